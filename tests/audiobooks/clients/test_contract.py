"""What every download client does alike, stand-in or real."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from audiobooks.clients.base import Phase
from audiobooks.exceptions import ClientError, TorrentRefused
from audiobooks.torrents import read_torrent
from tests.audiobooks.clients.conftest import Stand
from tests.programs import PASSWORD
from tests.scheduling.processes import wait_until
from tests.seeding import bencoded, torrent_of

WRONG = "RECOGNISABLE-wrong-password-41"


def test_it_says_its_version(stand: Stand) -> None:
    version = stand.make().version()

    assert version[0].isdigit()
    assert " " not in version


def test_it_says_how_much_room_there_is(stand: Stand) -> None:
    free = stand.make().free_space()

    assert free is not None
    assert free > 1_000_000


def test_a_torrent_is_listed_when_it_was_added(stand: Stand, book: Path) -> None:
    client, torrent = stand.make(), torrent_of(book)
    hash = read_torrent(torrent).hash

    client.add(torrent, hash)

    [(listed, download)] = client.downloads([hash]).items()
    assert listed == download.hash == hash
    assert download.name == book.name
    assert download.size == 160_000
    assert download.left == 160_000
    assert download.phase in (Phase.RUNNING, Phase.BUSY)
    assert not download.error
    assert stand.filed_under(hash) == "audiobooks"


@pytest.mark.parametrize("attributes", [{}, {"attr": "p"}])
def test_no_more_is_fetched_of_a_torrent_with_padding_than_was_read(stand: Stand, attributes: dict[str, str]) -> None:
    client = stand.make()
    files = [{"length": 20_000, "path": ["01.mp3"]}, {"length": 3 * 2**20, "path": [".pad", "01"], **attributes}]
    info = {"name": os.urandom(8).hex(), "files": files, "piece length": 2**22, "pieces": os.urandom(20), "private": 1}
    torrent = bencoded({"info": info})
    read = read_torrent(torrent)

    client.add(torrent, read.hash)

    size = client.downloads([read.hash])[read.hash].size
    assert size is not None
    assert size <= read.size


def test_a_torrent_that_is_there_is_not_added_again(stand: Stand, book: Path) -> None:
    torrent = torrent_of(book)
    hash = read_torrent(torrent).hash
    stand.make().add(torrent, hash)

    stand.make(category="other").add(torrent, hash)

    assert len(stand.make().downloads([hash])) == 1
    assert stand.filed_under(hash) == "audiobooks"


def test_a_magnet_link_is_listed_and_not_taken_to_be_whole(stand: Stand) -> None:
    client, hash = stand.make(), os.urandom(20).hex()

    client.add(f"magnet:?xt=urn:btih:{hash}&dn=Emma", hash)

    # Transmission looks for a moment what there is of it.
    wait_until(lambda: client.downloads([hash])[hash].phase == Phase.RUNNING, seconds=30)
    assert client.downloads([hash])[hash].size is None
    assert stand.filed_under(hash) == "audiobooks"


@pytest.mark.parametrize("form", [str.upper, str.lower])
def test_hashes_come_back_as_they_were_asked_for(stand: Stand, book: Path, form: object) -> None:
    assert callable(form)
    client, torrent = stand.make(), torrent_of(book)
    hash = form(read_torrent(torrent).hash)

    client.add(torrent, hash)

    assert list(client.downloads([hash])) == [hash]


def test_torrents_it_does_not_know_are_left_out(stand: Stand, book: Path) -> None:
    client, torrent = stand.make(), torrent_of(book)
    known, unknown = read_torrent(torrent).hash, os.urandom(20).hex()
    client.add(torrent, known)

    assert list(client.downloads([unknown, known])) == [known]
    assert client.downloads([unknown]) == {}
    assert client.downloads([]) == {}
    assert client.downloads(["", "all", "recently-active", f"{known}|{unknown}", "ä" * 40]) == {}
    assert list(client.downloads([known, *(os.urandom(20).hex() for _ in range(200))])) == [known]


def test_what_is_no_torrent_is_refused(stand: Stand) -> None:
    client, hash = stand.make(), os.urandom(20).hex()

    with pytest.raises(TorrentRefused) as refused:
        client.add(b"<html>You have no slots left</html>", hash)

    assert refused.value.permanent
    assert client.downloads([hash]) == {}


@pytest.mark.parametrize(
    "link",
    [
        "magnet:?xt=urn:btih:{other}",
        "magnet:?xt=urn:btih:{hash}\nmagnet:?xt=urn:btih:{other}",
        "magnet:?xt=urn:btih:{hash}&dn=Emma\nmagnet:?xt=urn:btih:{other}",
        "magnet:?xt=urn:btih:{hash}&dn=Emma\r\n/etc/passwd",
        "http://127.0.0.1:9/{hash}.torrent",
        "/etc/{hash}.torrent",
        "",
    ],
)
def test_only_the_magnet_link_of_that_torrent_is_taken(stand: Stand, link: str) -> None:
    client, hash, other = stand.make(), os.urandom(20).hex(), os.urandom(20).hex()

    with pytest.raises(TorrentRefused):
        client.add(link.format(hash=hash, other=other), hash)

    assert client.downloads([hash, other]) == {}


def test_a_wrong_password_is_said_and_kept_secret(stand: Stand, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client = stand.make(password=WRONG)

    for _ in range(10):
        # As often as this, it would be banned if it asked each time.
        with pytest.raises(ClientError) as refused:
            client.downloads([os.urandom(20).hex()])
        assert refused.value.permanent
        assert "PASSWORD" in str(refused.value)
        assert WRONG not in f"{refused.value!r} {refused.value.__cause__!r} {refused.value.__context__!r}"

    stand.make().version()
    assert WRONG not in caplog.text
    assert PASSWORD not in caplog.text


def test_nothing_that_it_sends_out_of_itself_shows_a_password(stand: Stand) -> None:
    assert PASSWORD not in repr(stand.make())
