"""Every recorded answer is read, or refused for the reason that stands here.

The recordings lie beside the checkout and are not ours to publish; where they are absent, this is skipped.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from audiobooks.metadata.librivox import _books
from audiobooks.sources import librivox, torznab
from tests.recorded import RECORDED

FOLDERS = ("torznab", "librivox", "archive_org")
FILES = [path for folder in FOLDERS for path in sorted((RECORDED / folder).glob("*"))]

pytestmark = pytest.mark.skipif(not FILES, reason=f"no recorded answers in {RECORDED}")

NOT_XML = {"gazelle-redacted-browse.json": "JSON of a tracker, not of an indexer"}
WITHOUT_AUDIO = {"metadata-nasa.json": "the page of a collection"}
WITHOUT_RELEASES = {
    "error-not-found.json": "nothing found",
    "feed-audiobooks-list-extended-react.json": "it has no sections either, whatever its name says",
    "feed-audiobooks-list-wnm617.json": "not extended, so whether it is finished is not known",
}
ROWS = {
    "newznab-nzbfinder.xml": 100,
    "newznab-nzbgeek-music.xml": 100,
    "rss-invalid-size.xml": 1,
    "rss-relative-urls.xml": 1,
    "torznab-animetosho.xml": 2,
    "torznab-jackett-btn.xml": 3,
    "torznab-jackett-piratebay.xml": 5,
    "torznab-morethantv.xml": 2,
    "torznab-prowlarr.xml": 3,
}
KEYS = ("invented0key", "jackettApiKey", "apikey=redacted", "apikey=xxx", "authkey=authkey")
tried: set[Path] = set()


def answers(path: Path) -> list[Any]:
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]
    return [json.loads(path.read_text(encoding="utf-8"))]


def of(folder: str) -> Any:
    return pytest.mark.parametrize(
        "path", [path for path in FILES if path.parent.name == folder], ids=lambda path: path.name
    )


@of("torznab")
def test_torznab(path: Path) -> None:
    tried.add(path)
    text = path.read_text(encoding="utf-8")
    if path.name in NOT_XML:
        with pytest.raises(ValueError):
            torznab.read_xml(text)
        return
    root = torznab.read_xml(text)
    if path.name.startswith(("caps-", "jackett-configured")):
        for each in root.iter("caps"):
            caps = torznab.read_caps(each)
            assert caps.categories and caps.audiobooks[0] == "3030" and 0 < caps.page <= 100
        assert len(list(root.iter("caps"))) == (13 if path.name.startswith("jackett") else 1)
        return
    if path.name.startswith("error-"):
        assert (root.tag, root.get("code")) == ("error", "100")
        return
    rows = [torznab._Row(item, "jackettApiKey") for item in root.iter("item")]
    releases = [row.release("indexer", {}) for row in rows]
    assert len(releases) == ROWS[path.name]
    for release in releases:
        assert release is not None and release.id and release.name
        assert not any(key in repr(release) for key in KEYS), release
        # Its dates and sizes are in nobody's form.
        assert release.added is not None or path.name == "rss-invalid-size.xml"
        assert release.size or path.name == "rss-invalid-size.xml"


def test_what_torznab_answers_say() -> None:
    root = torznab.read_xml((RECORDED / "torznab/torznab-jackett-piratebay.xml").read_text(encoding="utf-8"))
    release = torznab._Row(next(root.iter("item")), "").release("indexer", {})
    assert release is not None
    assert (release.seeders, release.leechers) == (34128, 36724 - 34128)
    assert (release.size, release.hash) == (388895872, "9fb267cff5ae5603f07a347676ec3bf3e35f75e1")
    assert release.fetch.startswith("magnet:?xt=urn:btih:9fb267")
    root = torznab.read_xml((RECORDED / "torznab/torznab-prowlarr.xml").read_text(encoding="utf-8"))
    found = [torznab._Row(item, "redacted").release("indexer", {}) for item in root.iter("item")]
    assert [each and each.free for each in found] == [False, False, True]
    assert [each and each.counts for each in found] == [True, True, True]
    assert [each and each.fetched for each in found] == [106, 438, 438]
    assert found[0] and found[0].fetch.startswith("http://localhost:9696/2/download?apikey={key}&link=xxx&")


@of("librivox")
def test_librivox(path: Path) -> None:
    tried.add(path)
    if path.suffix == ".html":
        with pytest.raises(ValueError):
            answers(path)
        return
    rows = [row for answer in answers(path) for row in _books(answer)]
    releases = [release for row in rows if (release := librivox.parse(row))]
    if path.name in WITHOUT_RELEASES:
        assert releases == []
        return
    assert rows
    for row in rows:
        release = librivox.parse(row)
        lacks = [name for name in ("url_librivox", "url_iarchive", "url_zip_file", "sections") if not row.get(name)]
        assert (release is None) is bool(lacks), (row.get("id"), lacks)
        if release:
            assert release.facts.id == row["id"] and f"/{release.id}" in row["url_iarchive"]
    assert len(releases) >= 0.9 * len(rows)


@of("archive_org")
def test_archive_org(path: Path) -> None:
    tried.add(path)
    for answer in answers(path):
        answer = answer.get("response", answer) if "librivox_id" in answer else answer
        if path.name.startswith("advancedsearch"):
            docs = answer["response"]["docs"]
            releases = [librivox.release_of(doc) for doc in docs]
            assert len(docs) == 50 and all(release and release.id for release in releases)
            return
        files = librivox.pick(answer["files"])
        if path.name in WITHOUT_AUDIO:
            assert files == ()
            return
        named = {name.lstrip("/"): each for name, each in answer["files"].items()}
        assert files and len({each.format for each in files}) == 1
        for file in files:
            row = named[file.name]
            assert (str(file.size), file.md5, file.sha1) == (row["size"], row["md5"], row["sha1"])
            assert file.length or not row.get("length")


def test_each_was_tried() -> None:
    """Of a selection this knows nothing."""
    on_disk = {path for folder in FOLDERS for path in (RECORDED / folder).rglob("*") if path.is_file()}
    assert on_disk == set(FILES)
    if tried and len({path.parent for path in tried}) == len(FOLDERS):
        assert tried == on_disk
