"""Transmission: its session, its labels and its numbers; what all clients do alike is in test_contract.py."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from audiobooks.clients.base import Download, Phase
from audiobooks.exceptions import ClientError, TorrentRefused
from audiobooks.torrents import read_torrent
from tests import programs
from tests.audiobooks.clients.conftest import transmission_at, wait_for
from tests.audiobooks.outside import Reply
from tests.fakes.transmission import FakeTransmission, row_of
from tests.programs import Program
from tests.seeding import Seeder, needs_libtorrent, torrent_of

HASH = "0123456789abcdef0123456789abcdef01234567"
MAGNET = f"magnet:?xt=urn:btih:{HASH}"
WHOLE = {"percentDone": 1, "leftUntilDone": 0}


@pytest.fixture
def fake() -> Iterator[FakeTransmission]:
    with FakeTransmission() as server:
        yield server


def seen_as(fake: FakeTransmission, **row: Any) -> Download:
    fake.rows = {HASH: row_of(HASH, **row)}
    return transmission_at(fake.url)().downloads([HASH])[HASH]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("row", "phase", "is_seeding"),
    [
        ({"status": 0}, Phase.STOPPED, False),
        ({"status": 0, **WHOLE}, Phase.DONE, False),
        ({"status": 1, **WHOLE}, Phase.BUSY, False),
        ({"status": 2}, Phase.BUSY, False),
        ({"status": 3}, Phase.RUNNING, False),
        ({"status": 4}, Phase.RUNNING, False),
        ({"status": 4, **WHOLE}, Phase.RUNNING, False),
        ({"status": 5, **WHOLE}, Phase.DONE, True),
        ({"status": 6, **WHOLE}, Phase.DONE, True),
        ({"status": 7, **WHOLE}, Phase.RUNNING, False),
        ({"status": None}, Phase.RUNNING, False),
        # What it lost, it still counts as there.
        ({"status": 0, **WHOLE, "error": 3, "errorString": "No data found!"}, Phase.FAILED, False),
        ({"status": 6, **WHOLE, "error": 1, "errorString": "unregistered torrent"}, Phase.DONE, True),
        ({"status": 4, "error": 2, "errorString": "unregistered torrent"}, Phase.RUNNING, False),
        # A magnet link whose torrent has not come yet has nothing left to do.
        ({"status": 4, **WHOLE, "sizeWhenDone": 0, "metadataPercentComplete": 0.4}, Phase.RUNNING, False),
        ({"status": 6, **WHOLE, "sizeWhenDone": 0, "metadataPercentComplete": 0}, Phase.RUNNING, True),
        ({"status": 6, **WHOLE, "metadataPercentComplete": 0.4}, Phase.RUNNING, True),
        # It means that it has seeded enough, also of a part of its files.
        ({"status": 0, "isFinished": True}, Phase.STOPPED, False),
        ({"status": 0, **WHOLE, "sizeWhenDone": 0}, Phase.STOPPED, False),
        ({"status": 6, "percentDone": 0.9999, "leftUntilDone": 0}, Phase.RUNNING, True),
        ({"status": 6, "percentDone": 1, "leftUntilDone": 1}, Phase.RUNNING, True),
    ],
)
def test_states(fake: FakeTransmission, row: dict[str, Any], phase: Phase, is_seeding: bool) -> None:
    download = seen_as(fake, **row)

    assert (download.phase, download.is_seeding) == (phase, is_seeding)
    assert download.error == row.get("errorString", "").rstrip(".")


def test_what_a_tracker_says_is_told_without_addresses_and_keys(fake: FakeTransmission) -> None:
    said = (
        'Tracker: "https://t.example/0f1e2d3c4b5a69788796a5b4c3d2e1f0/announce" does not know\n'
        "passkey 0f1e2d3c4b5a69788796a5b4c3d2e1f0 \x1b[31m " + "x" * 5_000
    )

    download = seen_as(fake, error=2, errorString=said)

    assert "does not know passkey [key]" in download.error
    assert "0f1e2d3c" not in download.error
    assert "\x1b" not in download.error
    assert len(download.error) <= 300


def test_a_torrent_that_has_no_error_has_no_error_text(fake: FakeTransmission) -> None:
    assert seen_as(fake, error=0, errorString="of yesterday").error == ""


@pytest.mark.parametrize(
    ("folder", "name", "client_path", "path"),
    [
        ("/downloads", "Emma", "/downloads/Emma", "/mnt/torrents/Emma"),
        ("/downloads/", "Emma", "/downloads/Emma", "/mnt/torrents/Emma"),
        ("D:\\Torrents", "Emma", "D:\\Torrents\\Emma", "/mnt/windows/Emma"),
        ("D:/Torrents", "Emma", "D:/Torrents/Emma", "/mnt/windows/Emma"),
        ("/downloads", "../etc", "/downloads/../etc", None),
        ("/elsewhere", "Emma", "/elsewhere/Emma", None),
        ("", "Emma", "", None),
        ("/downloads", "", "", None),
    ],
)
def test_where_its_files_are(
    fake: FakeTransmission, folder: str, name: str, client_path: str, path: str | None
) -> None:
    fake.rows = {HASH: row_of(HASH, downloadDir=folder, name=name)}
    client = transmission_at(fake.url)(paths={"/downloads": "/mnt/torrents", "D:\\Torrents": "/mnt/windows"})

    download = client.downloads([HASH])[HASH]

    assert (download.client_path, download.path) == (client_path, Path(path) if path else None)


@pytest.mark.parametrize(("given", "seeds"), [([], None), ([-1], None), ([-1, 3], 3), ([0], 0), ([2, 7], 7)])
def test_seeds(fake: FakeTransmission, given: list[int], seeds: int | None) -> None:
    assert seen_as(fake, trackerStats=[{"seederCount": each} for each in given]).seeds == seeds


def test_when_bytes_last_came(fake: FakeTransmission) -> None:
    assert seen_as(fake, activityDate=1_795_448_142).active_at == datetime(2026, 11, 23, 15, 35, 42, tzinfo=UTC)
    assert seen_as(fake, activityDate=0).active_at is None


def test_its_session_is_taken_up_and_renewed(fake: FakeTransmission) -> None:
    client = transmission_at(fake.url)()
    client.version()
    client.version()
    assert len(fake.outside.seen) == 3

    fake.session = "another0session0id"

    client.version()
    assert len(fake.outside.seen) == 5


def test_a_session_that_never_holds_is_not_renewed_for_ever(fake: FakeTransmission) -> None:
    fake.outside.gives("/transmission/rpc", Reply(409, b"", {"X-Transmission-Session-Id": "never"}))

    with pytest.raises(ClientError, match="sessions"):
        transmission_at(fake.url)().version()

    assert len(fake.outside.seen) == 2


def test_a_wrong_password_is_sent_once(fake: FakeTransmission) -> None:
    client = transmission_at(fake.url)(password="wrong")

    for _ in range(5):
        with pytest.raises(ClientError, match="TRANSMISSION_PASSWORD") as failed:
            client.version()
        assert failed.value.permanent

    assert len(fake.outside.seen) == 1


@pytest.mark.parametrize(("status", "said"), [(403, "rpc-whitelist"), (421, "rpc-host-whitelist")])
def test_how_it_does_not_let_us_in(fake: FakeTransmission, status: int, said: str) -> None:
    fake.outside.gives("/transmission/rpc", Reply(status, b"<h1>no</h1>"))

    with pytest.raises(ClientError, match=said) as failed:
        transmission_at(fake.url)().version()

    assert failed.value.permanent


def test_its_word_for_a_failure_is_told(fake: FakeTransmission) -> None:
    fake.result = "method name not recognized"
    client = transmission_at(fake.url)()

    with pytest.raises(ClientError, match="method name not recognized"):
        client.downloads([HASH])
    with pytest.raises(ClientError) as failed:
        client.version()
    assert not isinstance(failed.value, TorrentRefused)


def test_its_word_for_a_bad_torrent_is_told(fake: FakeTransmission) -> None:
    with pytest.raises(TorrentRefused, match="invalid or corrupt torrent file"):
        transmission_at(fake.url)().add(b"rubbish", HASH)


@pytest.mark.parametrize(("rpc", "sets"), [(15, 0), (16, 1), (17, 0)])
def test_labels_are_set_where_adding_does_not_know_them(fake: FakeTransmission, rpc: int, sets: int) -> None:
    fake.rpc = rpc

    transmission_at(fake.url)().add(MAGNET, HASH)

    assert fake.calls.count("torrent-set") == sets
    assert fake.rows[HASH]["labels"] == ([] if rpc == 15 else ["audiobooks"])


def test_one_that_somebody_added_keeps_its_labels(fake: FakeTransmission) -> None:
    fake.rows = {HASH: row_of(HASH, labels=["theirs"])}

    transmission_at(fake.url)().add(MAGNET, HASH)

    assert fake.rows[HASH]["labels"] == ["theirs"]
    assert fake.calls == ["torrent-get"]


def test_nothing_is_changed_there_but_what_is_added(fake: FakeTransmission, book: Path) -> None:
    client, torrent = transmission_at(fake.url)(), torrent_of(book)
    client.version()
    client.free_space()
    client.add(torrent, read_torrent(torrent).hash)

    assert set(fake.calls) == {"session-get", "free-space", "torrent-get", "torrent-add", "torrent-set"}


def test_room_that_it_does_not_know(fake: FakeTransmission) -> None:
    fake.free = -1

    assert transmission_at(fake.url)().free_space() is None


@pytest.mark.parametrize("path", ["", "/", "/transmission/rpc", "/transmission/rpc/"])
def test_its_address_may_be_the_one_that_people_know(fake: FakeTransmission, path: str) -> None:
    assert transmission_at(fake.url + path)().version() == "3.00"


def test_another_path_is_kept() -> None:
    with FakeTransmission() as fake:
        fake.outside.gives("/box/rpc", Reply.of({"result": "success", "arguments": {"version": "4.0.6 (38c164933e)"}}))

        assert transmission_at(f"{fake.url}/box/rpc")().version() == "4.0.6"


@programs.needs("transmission-daemon")
@needs_libtorrent
@pytest.mark.slow
def test_a_torrent_is_fetched(real_transmission: Program, book: Path) -> None:
    """It dials nobody on loopback, so the seeder does; and it takes ten seconds to ask for the first piece."""
    client, torrent = transmission_at(real_transmission.url)(), torrent_of(book)
    hash = read_torrent(torrent).hash
    client.add(torrent, hash)

    with Seeder() as seeder:
        wait_for(client, hash, Phase.RUNNING)
        seeder.seed(torrent, book, to_port=real_transmission.peer_port)
        download = wait_for(client, hash, Phase.DONE)

    assert (download.left, download.size, download.is_seeding) == (0, 160_000, True)
    assert download.path == real_transmission.downloads / book.name
    for each in ("01.mp3", "CD 2/02.mp3"):
        assert (download.path / each).read_bytes() == (book / each).read_bytes()
