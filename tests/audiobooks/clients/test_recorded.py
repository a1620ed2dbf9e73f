"""Every recorded answer is read, or refused for the reason that stands here.

The recordings lie beside the checkout and are not ours to publish; where they are absent, this is skipped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from audiobooks.clients.base import Phase
from audiobooks.clients.qbittorrent import QBittorrent
from audiobooks.clients.transmission import Transmission
from audiobooks.exceptions import ClientError, TorrentRefused
from tests.audiobooks.clients.conftest import qbittorrent_at, transmission_at
from tests.audiobooks.outside import Outside, Reply
from tests.recorded import RECORDED

FOLDER = RECORDED / "torrent_clients"
FILES = sorted(FOLDER.glob("*"))
HASH = "0123456789abcdef0123456789abcdef01234567"
MAGNET = f"magnet:?xt=urn:btih:{HASH}"

pytestmark = pytest.mark.skipif(not FILES, reason=f"no recorded answers in {RECORDED}")

PHASES = {
    "Jane Austen - Emma (read by Moira Fogarty) [64k MP3]": (Phase.DONE, Phase.DONE),
    "Herman Melville - Moby Dick, or the Whale (Stewart Wills).m4b": (Phase.DONE, Phase.DONE),
    "The Count of Monte Cristo (Alexandre Dumas) {David Clarke}": (Phase.RUNNING, Phase.RUNNING),
    "Sherlock Holmes 03 - The Adventures of Sherlock Holmes": (Phase.DONE, Phase.DONE),
    "Война и мир - Лев Толстой (том 1)": (Phase.RUNNING, Phase.RUNNING),
    "Émile Zola - Thérèse Raquin (Français)": (Phase.STOPPED, Phase.STOPPED),
    "Bram Stoker - Dracula (LibriVox)": (Phase.RUNNING, Phase.RUNNING),
}
"""As qBittorrent and as Transmission have them."""
NOT_ASKED_FOR = {
    **{f"qbittorrent-4.5.2-{name}.json": "of one torrent alone" for name in ("torrents-files", "torrents-trackers")},
    "qbittorrent-4.5.2-torrents-properties.json": "of one torrent alone",
    "qbittorrent-4.5.2-torrents-properties-unknown-hash-http404.txt": "of one torrent alone",
    "qbittorrent-5.0-torrents-properties-documented.json": "of one torrent alone",
    "qbittorrent-5.0-torrents-trackers-documented.json": "of one torrent alone",
    "qbittorrent-4.5.2-torrents-categories.json": "a category is made, whether there is one or not",
    "qbittorrent-5.0-torrents-categories-documented.json": "a category is made, whether there is one or not",
    "qbittorrent-4.5.2-transfer-info.json": "speeds",
    "qbittorrent-5.0-transfer-info-documented.json": "speeds",
    "qbittorrent-4.5.2-webapi-version.txt": "what differs is seen by the answers",
    "transmission-3.00-session-stats.json": "speeds",
}
"""They are rubbish to the adapters, and answered as such."""
DIALECT_OF_4_1 = [f"transmission-rpc-spec-response-{number}.json" for number in (1, 2, 3)]
tried: set[str] = set()


@pytest.fixture
def outside() -> Iterator[Outside]:
    with Outside() as server:
        server.gives("/api/v2/auth/login", Reply(200, b"Ok.", {"Set-Cookie": "SID=invented; path=/"}))
        yield server


@pytest.fixture
def qbittorrent(outside: Outside) -> QBittorrent:
    return qbittorrent_at(outside.url)(paths={"/downloads": "/mnt/torrents"})  # type: ignore[no-any-return]


@pytest.fixture
def transmission(outside: Outside) -> Transmission:
    return transmission_at(outside.url)(paths={"/downloads": "/mnt/torrents"})  # type: ignore[no-any-return]


def recorded(name: str, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    tried.add(name)
    kind = {".json": "application/json", ".html": "text/html"}.get(Path(name).suffix, "text/plain")
    return Reply(status, (FOLDER / name).read_bytes(), {"Content-Type": kind, **(headers or {})})


def rows_of(name: str) -> list[dict[str, Any]]:
    data = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return data["arguments"]["torrents"] if isinstance(data, dict) else data  # type: ignore[no-any-return]


# --- qBittorrent ---


def test_qbittorrent_lists_its_torrents(outside: Outside, qbittorrent: QBittorrent) -> None:
    name = "qbittorrent-4.5.2-torrents-info.json"
    outside.gives("/api/v2/torrents/info", recorded(name))

    found = qbittorrent.downloads([row["hash"] for row in rows_of(name)])

    assert {each.name: each.phase for each in found.values()} == {book: of for book, (of, _) in PHASES.items()}
    for each in found.values():
        assert not each.error
        assert each.client_path == ("" if "Dracula" in each.name else each.client_path)
        assert (each.path is None) == ("Dracula" in each.name)
        assert each.path is None or each.path.is_relative_to("/mnt/torrents")
        assert each.is_seeding == (each.phase == Phase.DONE)
        assert "magnet:" not in repr(each)


def test_qbittorrent_lists_what_is_lost_and_what_was_documented(outside: Outside, qbittorrent: QBittorrent) -> None:
    outside.gives("/api/v2/torrents/info", recorded("qbittorrent-4.5.2-torrents-info-files-lost.json"))
    [lost] = qbittorrent.downloads(["128f1b303f4c8420e10709907862fc87540c804e"]).values()
    outside.gives("/api/v2/torrents/info", recorded("qbittorrent-5.0-torrents-info-documented.json"))
    [documented] = qbittorrent.downloads(["8c212779b4abde7c6bc608063a0d008b7e40ce32"]).values()
    outside.gives("/api/v2/torrents/info", recorded("qbittorrent-4.5.2-torrents-info-empty.json"))

    # It has been whole once: `completion_on` says so still.
    assert (lost.phase, lost.left, lost.size) == (Phase.RUNNING, 120_000, 120_000)
    assert (documented.phase, documented.seeds, documented.path) == (Phase.RUNNING, 54, None)
    assert qbittorrent.downloads([HASH]) == {}


def test_qbittorrent_says_its_version(outside: Outside, qbittorrent: QBittorrent) -> None:
    outside.gives("/api/v2/app/version", recorded("qbittorrent-4.5.2-app-version.txt"))

    assert qbittorrent.version() == "4.5.2"


def test_qbittorrent_signs_in(outside: Outside, qbittorrent: QBittorrent) -> None:
    cookie = {"Set-Cookie": "SID=invented; path=/"}
    outside.gives("/api/v2/auth/login", recorded("qbittorrent-4.5.2-login-right.txt", headers=cookie))
    listed = recorded("qbittorrent-4.5.2-torrents-info-empty.json")
    outside.gives("/api/v2/torrents/info", recorded("qbittorrent-4.5.2-not-logged-in-http403.txt", 403), listed)

    assert qbittorrent.downloads([HASH]) == {}
    assert [seen.path for seen in outside.seen].count("/api/v2/auth/login") == 2


def test_qbittorrent_does_not_sign_in(outside: Outside, qbittorrent: QBittorrent) -> None:
    outside.gives("/api/v2/auth/login", recorded("qbittorrent-4.5.2-login-wrong.txt"))

    with pytest.raises(ClientError, match="QBITTORRENT_PASSWORD"):
        qbittorrent.version()


@pytest.mark.parametrize(
    ("name", "status", "is_listed", "error"),
    [
        ("qbittorrent-4.5.2-add-answer.txt", 200, True, None),
        ("qbittorrent-4.5.2-add-again-answer.txt", 200, True, None),
        ("qbittorrent-4.5.2-add-again-answer.txt", 200, False, TorrentRefused),
        ("qbittorrent-4.5.2-add-rubbish-answer-http415.txt", 415, False, TorrentRefused),
    ],
)
def test_qbittorrent_adds(
    outside: Outside, qbittorrent: QBittorrent, name: str, status: int, is_listed: bool, error: type[Exception] | None
) -> None:
    empty = Reply(200, b"[]")
    after = Reply.of([{"hash": HASH, "state": "metaDL"}]) if is_listed else empty
    outside.gives("/api/v2/torrents/info", empty, empty, after)
    outside.gives("/api/v2/torrents/createCategory", Reply(200, b""))
    outside.gives("/api/v2/torrents/add", recorded(name, status))

    if error is None:
        qbittorrent.add(MAGNET, HASH)
    else:
        with pytest.raises(error):
            qbittorrent.add(MAGNET, HASH)


def test_qbittorrent_without_free_space(outside: Outside, qbittorrent: QBittorrent) -> None:
    outside.gives("/api/v2/sync/maindata", recorded("qbittorrent-5.0-sync-maindata-documented.json"))

    assert qbittorrent.free_space() is None


# --- Transmission ---


def test_transmission_lists_its_torrents(outside: Outside, transmission: Transmission) -> None:
    name = "transmission-3.00-torrent-get.json"
    outside.gives(
        "/transmission/rpc",
        recorded("transmission-3.00-no-session-id-http409.html", 409, {"X-Transmission-Session-Id": "invented"}),
        recorded(name),
    )

    found = transmission.downloads([row["hashString"] for row in rows_of(name)])

    assert {each.name.replace("+", " "): each.phase for each in found.values()} == {
        book: of for book, (_, of) in PHASES.items()
    }
    for each in found.values():
        assert not each.error
        assert each.path is not None
        assert each.path.is_relative_to("/mnt/torrents")
        assert each.is_seeding == (each.phase == Phase.DONE)
        assert "announce" not in repr(each)


def test_transmission_lists_what_is_lost(outside: Outside, transmission: Transmission) -> None:
    outside.gives("/transmission/rpc", recorded("transmission-3.00-torrent-get-files-lost.json"))

    [lost] = transmission.downloads(["128f1b303f4c8420e10709907862fc87540c804e"]).values()

    assert lost.phase == Phase.FAILED
    assert lost.error.startswith("No data found!")


@pytest.mark.parametrize(
    "name", ["transmission-3.00-torrent-get-empty.json", "transmission-3.00-torrent-get-unknown-hash.json"]
)
def test_transmission_lists_none(outside: Outside, transmission: Transmission, name: str) -> None:
    outside.gives("/transmission/rpc", recorded(name))

    assert transmission.downloads([HASH]) == {}


def test_transmission_says_its_version(outside: Outside, transmission: Transmission) -> None:
    outside.gives("/transmission/rpc", recorded("transmission-3.00-session-get.json"))

    assert transmission.version() == "3.00"


@pytest.mark.parametrize(
    ("name", "sets_labels"),
    [("transmission-3.00-torrent-add-answer.json", True), ("transmission-3.00-torrent-add-duplicate.json", False)],
)
def test_transmission_adds(outside: Outside, transmission: Transmission, name: str, sets_labels: bool) -> None:
    empty = recorded("transmission-3.00-torrent-get-empty.json")
    listed = Reply.of({"result": "success", "arguments": {"torrents": [{"hashString": HASH}]}})
    done = Reply.of({"result": "success", "arguments": {}})
    session = recorded("transmission-3.00-session-get.json")
    outside.gives("/transmission/rpc", empty, recorded(name), listed, session, done)

    transmission.add(MAGNET, HASH)

    assert (json.loads(outside.seen[-1].body)["method"] == "torrent-set") == sets_labels


def test_transmission_does_not_add(outside: Outside, transmission: Transmission) -> None:
    empty = recorded("transmission-3.00-torrent-get-empty.json")
    outside.gives("/transmission/rpc", empty, recorded("transmission-3.00-torrent-add-rubbish.json"))

    with pytest.raises(TorrentRefused, match="invalid or corrupt"):
        transmission.add(MAGNET, HASH)


@pytest.mark.parametrize("name", ["transmission-3.00-unknown-method.json", *DIALECT_OF_4_1])
def test_transmission_does_not_do_it(outside: Outside, transmission: Transmission, name: str) -> None:
    """Those of 4.1's own dialect come only to who speaks it."""
    outside.gives("/transmission/rpc", recorded(name))

    with pytest.raises(ClientError) as failed:
        transmission.downloads([HASH])
    assert not isinstance(failed.value, TorrentRefused)


# --- both ---


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@pytest.mark.parametrize("status", [200, 409])
def test_any_answer_to_any_question_is_read_or_refused(
    outside: Outside, qbittorrent: QBittorrent, transmission: Transmission, path: Path, status: int
) -> None:
    body = path.read_bytes()
    outside.otherwise = lambda seen: Reply(status, body)
    qbittorrent._listed_within = 0
    questions: list[Callable[[], object]] = []
    for client in (qbittorrent, transmission):
        questions += [client.version, client.free_space]
        questions += [lambda client=client: client.downloads([HASH]), lambda client=client: client.add(MAGNET, HASH)]

    for question in questions:
        try:
            question()
        except ClientError as error:
            assert str(error)


def test_every_file_is_looked_at() -> None:
    """The last, for it counts what those before it have read."""
    if not tried:
        pytest.skip("run alone")
    assert {path.name for path in FILES} - tried - set(NOT_ASKED_FOR) == set()
    assert set(NOT_ASKED_FOR) <= {path.name for path in FILES}
