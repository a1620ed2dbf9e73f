"""From a client's path to ours, and never out of the folder that a person named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiobooks.clients.paths import is_absolute, ours


@pytest.mark.parametrize(
    ("client_path", "mapping", "path"),
    [
        ("/downloads/Emma", {}, "/downloads/Emma"),
        ("/downloads/Emma/", {}, "/downloads/Emma"),
        ("/downloads//Emma/./1.mp3", {}, "/downloads/Emma/1.mp3"),
        ("/downloads/a\\b", {}, "/downloads/a\\b"),
        ("D:\\Torrents\\Emma", {}, None),
        ("Emma", {}, None),
        ("", {}, None),
        ("/downloads/../etc", {}, None),
        ("/downloads/\0", {}, None),
        ("/downloads/Emma", {"/downloads": "/mnt/t"}, "/mnt/t/Emma"),
        ("/downloads/Emma", {"/downloads/": "/mnt/t/"}, "/mnt/t/Emma"),
        ("/downloads", {"/downloads": "/mnt/t"}, "/mnt/t"),
        ("/downloads2/Emma", {"/downloads": "/mnt/t"}, None),
        ("/Downloads/Emma", {"/downloads": "/mnt/t"}, None),
        ("/elsewhere/Emma", {"/downloads": "/mnt/t"}, None),
        ("/downloads/books/Emma", {"/downloads": "/mnt/t", "/downloads/books": "/mnt/b"}, "/mnt/b/Emma"),
        ("/downloads/books/Emma", {"/downloads/books": "/mnt/b", "/downloads": "/mnt/t"}, "/mnt/b/Emma"),
        ("/downloads/booksets/Emma", {"/downloads": "/mnt/t", "/downloads/books": "/mnt/b"}, "/mnt/t/booksets/Emma"),
        ("/downloads/Emma", {"/": "/mnt/all"}, "/mnt/all/downloads/Emma"),
        ("D:\\Torrents\\Jane Austen\\Emma", {"D:\\Torrents": "/mnt/t"}, "/mnt/t/Jane Austen/Emma"),
        ("d:/torrents/Jane Austen/Emma", {"D:\\Torrents\\": "/mnt/t"}, "/mnt/t/Jane Austen/Emma"),
        ("\\\\NAS\\books\\Emma", {"\\\\nas\\Books": "/mnt/t"}, "/mnt/t/Emma"),
        ("D:\\Torrents\\..\\Windows", {"D:\\Torrents": "/mnt/t"}, None),
        ("D:\\Torrents/../Windows", {"D:\\Torrents": "/mnt/t"}, None),
        ("/downloads/../etc/passwd", {"/downloads": "/mnt/t"}, None),
        ("/downloads/..", {"/downloads": "/mnt/t"}, None),
        ("downloads/Emma", {"downloads": "/mnt/t"}, None),
    ],
)
def test_paths(client_path: str, mapping: dict[str, str], path: str | None) -> None:
    assert ours(client_path, mapping) == (Path(path) if path else None)


def test_a_link_that_leads_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "torrents").mkdir()
    (tmp_path / "torrents" / "Emma").symlink_to(tmp_path / "private")
    (tmp_path / "torrents" / "round").symlink_to("round")
    mapping = {"/downloads": str(tmp_path / "torrents")}

    assert ours("/downloads/Emma", mapping) is None
    assert ours("/downloads/Emma/1.mp3", mapping) is None
    assert ours("/downloads/Persuasion", mapping) == tmp_path / "torrents" / "Persuasion"
    ours("/downloads/round/1.mp3", mapping)


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "torrents").symlink_to(tmp_path / "disk")

    assert ours("/downloads/Emma", {"/downloads": str(tmp_path / "torrents")}) == tmp_path / "torrents" / "Emma"


@given(st.lists(st.sampled_from(["..", ".", "", "/", "\\", "a", "downloads", "D:", "\0", "ä", "x" * 300]), max_size=8))
def test_no_path_leads_out(parts: list[str]) -> None:
    for begin in ("/downloads/", "/downloads\\", "D:\\t\\", ""):
        for separator in ("/", "\\"):
            path = ours(begin + separator.join(parts), {"/downloads": "/mnt/torrents", "D:\\t": "/mnt/torrents"})
            assert path is None or path.is_relative_to("/mnt/torrents")
            assert path is None or ".." not in path.parts


def test_what_is_a_whole_path() -> None:
    assert all(map(is_absolute, ("/downloads", "/", "D:\\Torrents", "d:/Torrents", "\\\\nas\\books")))
    assert not any(map(is_absolute, ("", "downloads", "./x", "D:", "D:x", "~/x", "/a/../b", "http://x")))
