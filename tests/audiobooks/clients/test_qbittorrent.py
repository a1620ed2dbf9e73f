"""qBittorrent: its versions, its session and its words; what all clients do alike is in test_contract.py."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from audiobooks.clients.base import Download, Phase
from audiobooks.exceptions import ClientError, TorrentRefused
from audiobooks.torrents import read_torrent
from tests import programs
from tests.audiobooks.clients.conftest import qbittorrent_at, wait_for
from tests.audiobooks.outside import Reply
from tests.fakes.qbittorrent import FakeQBittorrent, form_of, plain, row_of
from tests.programs import Program
from tests.seeding import Seeder, needs_libtorrent, torrent_of

HASH = "0123456789abcdef0123456789abcdef01234567"
OTHER = "89abcdef0123456789abcdef0123456789abcdef"
WHOLE = {"progress": 1, "amount_left": 0}
MAGNET = f"magnet:?xt=urn:btih:{HASH}"


@pytest.fixture(params=["4.5.2", "5.2.1"])
def fake(request: pytest.FixtureRequest) -> Iterator[FakeQBittorrent]:
    with FakeQBittorrent(version=request.param) as server:
        yield server


def seen_as(fake: FakeQBittorrent, **row: Any) -> Download:
    fake.rows = {HASH: row_of(HASH, **row)}
    return qbittorrent_at(fake.url)().downloads([HASH])[HASH]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("state", "row", "phase", "is_seeding"),
    [
        *((state, WHOLE, Phase.DONE, True) for state in ("uploading", "stalledUP", "queuedUP", "forcedUP")),
        *((state, WHOLE, Phase.DONE, False) for state in ("pausedUP", "stoppedUP")),
        *((state, WHOLE, Phase.BUSY, False) for state in ("checkingUP", "moving")),
        *((state, {}, Phase.BUSY, False) for state in ("checkingDL", "checkingResumeData", "moving")),
        *((state, {}, Phase.RUNNING, False) for state in ("downloading", "forcedDL", "queuedDL", "allocating")),
        *((state, {}, Phase.RUNNING, False) for state in ("stalledDL", "metaDL", "forcedMetaDL", "unknown")),
        *((state, {}, Phase.STOPPED, False) for state in ("pausedDL", "stoppedDL")),
        *((state, WHOLE, Phase.FAILED, False) for state in ("error", "missingFiles")),
        ("a word of tomorrow", WHOLE, Phase.RUNNING, False),
        ("", WHOLE, Phase.RUNNING, False),
        # Said to be done, and not whole.
        ("uploading", {"progress": 1, "amount_left": 1}, Phase.RUNNING, True),
        ("uploading", {"progress": 0.999, "amount_left": 0}, Phase.RUNNING, True),
        ("uploading", {"progress": "1", "amount_left": 0}, Phase.RUNNING, True),
        ("uploading", {"progress": 1, "amount_left": None}, Phase.RUNNING, True),
        ("stoppedUP", {**WHOLE, "size": 0}, Phase.RUNNING, False),
        ("stalledDL", {**WHOLE, "completion_on": 1_795_448_145}, Phase.RUNNING, False),
    ],
)
def test_states(fake: FakeQBittorrent, state: str, row: dict[str, Any], phase: Phase, is_seeding: bool) -> None:
    download = seen_as(fake, state=state, **row)

    assert (download.phase, download.is_seeding) == (phase, is_seeding)
    assert bool(download.error) == (phase == Phase.FAILED)


def test_a_state_that_is_not_known_is_told_once(fake: FakeQBittorrent, caplog: pytest.LogCaptureFixture) -> None:
    fake.rows = {HASH: row_of(HASH, state="dreaming"), OTHER: row_of(OTHER, state="dreaming")}
    client = qbittorrent_at(fake.url)()

    for _ in range(3):
        client.downloads([HASH, OTHER])

    assert caplog.text.count("dreaming") == 1


@pytest.mark.parametrize(
    ("row", "seeds"),
    [
        ({"num_seeds": 2, "num_complete": 17}, 17),
        ({"num_seeds": 2, "num_complete": -1}, 2),
        ({"num_seeds": 0, "num_complete": 0}, 0),
        ({"num_seeds": None, "num_complete": -1}, None),
    ],
)
def test_seeds(fake: FakeQBittorrent, row: dict[str, Any], seeds: int | None) -> None:
    assert seen_as(fake, **row).seeds == seeds


@pytest.mark.parametrize(
    ("given", "moment"),
    [
        (1_795_448_142, datetime(2026, 11, 23, 15, 35, 42, tzinfo=UTC)),
        *((never, None) for never in (0, -1, 2**32 - 1, None, "1795448142", 1e300)),
    ],
)
def test_when_bytes_last_came(fake: FakeQBittorrent, given: Any, moment: datetime | None) -> None:
    assert seen_as(fake, last_activity=given).active_at == moment


def test_where_its_files_are(fake: FakeQBittorrent) -> None:
    fake.rows = {HASH: row_of(HASH, name="Emma")}
    client = qbittorrent_at(fake.url)(paths={"/downloads": "/mnt/torrents"})

    download = client.downloads([HASH])[HASH]

    assert (download.client_path, download.path) == ("/downloads/Emma", Path("/mnt/torrents/Emma"))


def test_files_that_lie_among_those_of_others_are_nowhere(fake: FakeQBittorrent) -> None:
    download = seen_as(fake, state="uploading", content_path="/downloads/", save_path="/downloads", **WHOLE)

    assert download.path is None and download.is_loose


def test_why_it_stopped_one_is_in_its_log(fake: FakeQBittorrent) -> None:
    fake.log = [
        'File error alert. Torrent: "Emma". File: "/downloads/Emma/1.mp3". Reason: "No space left on device".',
        'File error alert. Torrent: "Persuasion". Reason: "other"',
    ]

    download = seen_as(fake, state="error", name="Emma")

    assert "No space left" in download.error
    fake.log = []
    assert seen_as(fake, state="error", name="Emma").error


def test_a_new_session_does_not_know_at_once_how_much_room_there_is(fake: FakeQBittorrent) -> None:
    unknown, known = ({"server_state": {"free_space_on_disk": space}} for space in (0, 5_000_000))
    fake.outside.gives("/api/v2/sync/maindata", Reply.of(unknown), Reply.of(unknown), Reply.of(known))

    assert qbittorrent_at(fake.url)().free_space() == 5_000_000


@pytest.mark.parametrize(
    ("state", "space"), [({"free_space_on_disk": 0}, 0), ({"free_space_on_disk": -1}, None), ({}, None), (None, None)]
)
def test_room_that_is_none_or_not_known(fake: FakeQBittorrent, state: Any, space: int | None) -> None:
    fake.outside.gives("/api/v2/sync/maindata", Reply.of({"server_state": state}))

    assert qbittorrent_at(fake.url)().free_space() == space


def test_what_is_sent_with_a_torrent(fake: FakeQBittorrent, book: Path) -> None:
    torrent = torrent_of(book)

    qbittorrent_at(fake.url)().add(torrent, read_torrent(torrent).hash)

    [sent] = fake.asked("torrents/add")
    assert form_of(sent) == {"category": b"audiobooks", "contentLayout": b"Original", "torrents": torrent}


def test_nothing_is_changed_there_but_what_is_added(fake: FakeQBittorrent, book: Path) -> None:
    client, torrent = qbittorrent_at(fake.url)(), torrent_of(book)
    hash = read_torrent(torrent).hash
    client.version()
    client.free_space()
    client.add(torrent, hash)
    fake.rows[hash]["state"] = "error"
    client.downloads([hash])

    assert {seen.path.removeprefix("/api/v2/") for seen in fake.outside.seen if seen.method == "POST"} == {
        *("auth/login", "torrents/createCategory", "torrents/add")
    }


def test_a_category_that_is_there_or_was_deleted_meanwhile(fake: FakeQBittorrent) -> None:
    fake.categories = {"audiobooks"}
    client = qbittorrent_at(fake.url)()

    client.add(MAGNET, HASH)
    fake.categories.clear()
    client.add(MAGNET.replace(HASH, OTHER), OTHER)

    assert fake.categories == {"audiobooks"}


def test_a_category_that_it_does_not_take(fake: FakeQBittorrent) -> None:
    with pytest.raises(ClientError, match="TORRENT_CATEGORY") as failed:
        qbittorrent_at(fake.url)(category="a//b").add(MAGNET, HASH)

    assert failed.value.permanent
    assert fake.rows == {}


def test_one_that_somebody_added_meanwhile_is_taken_over(fake: FakeQBittorrent) -> None:
    fake.rows = {HASH: row_of(HASH)}
    fake._unlisted[HASH] = 1  # Not at the first look, where nothing else is asked for.
    client = qbittorrent_at(fake.url)()

    client.add(MAGNET, HASH)

    assert len(fake.rows) == 1


def test_one_that_it_does_not_take(fake: FakeQBittorrent) -> None:
    fake.adds = False

    with pytest.raises(TorrentRefused):
        qbittorrent_at(fake.url)().add(MAGNET, HASH)


def test_one_that_it_is_still_fetching() -> None:
    with FakeQBittorrent(version="5.2.1", listed_after=9) as fake:
        pending = {"success_count": 0, "failure_count": 0, "pending_count": 1, "added_torrent_ids": []}
        fake.outside.gives("/api/v2/torrents/add", Reply.of(pending, 202))
        fake.rows = {HASH: row_of(HASH)}
        fake._unlisted[HASH] = 9

        qbittorrent_at(fake.url)().add(MAGNET, HASH)

        assert fake._unlisted[HASH] == 0


def test_one_that_it_took_and_never_lists(fake: FakeQBittorrent) -> None:
    fake.listed_after = 10**6
    began = time.monotonic()

    with pytest.raises(ClientError, match="does not list it") as failed:
        qbittorrent_at(fake.url)(listed_within=0.5).add(MAGNET, HASH)

    assert not failed.value.permanent
    assert not isinstance(failed.value, TorrentRefused)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("status", [401, 404, 405, 418])
def test_answers_to_adding_that_nobody_expects(fake: FakeQBittorrent, status: int) -> None:
    fake.outside.gives("/api/v2/torrents/add", plain(b"Endpoint does not exist", status))

    with pytest.raises(ClientError) as failed:
        qbittorrent_at(fake.url)().add(MAGNET, HASH)

    assert not isinstance(failed.value, TorrentRefused)


def test_it_signs_in_once(fake: FakeQBittorrent) -> None:
    client = qbittorrent_at(fake.url)()

    for _ in range(5):
        client.version()

    assert fake.logins == 1


def test_a_session_that_runs_out_is_renewed_once(fake: FakeQBittorrent) -> None:
    client = qbittorrent_at(fake.url)()
    client.version()
    fake.sessions.clear()

    client.add(MAGNET, HASH)
    client.version()

    assert fake.logins == 2


def test_threads_that_find_it_run_out_sign_in_once(fake: FakeQBittorrent) -> None:
    client = qbittorrent_at(fake.url)()
    client.version()
    fake.sessions.clear()
    together, failed = threading.Barrier(8), []

    def ask() -> None:
        together.wait()
        try:
            client.version()
        except ClientError as error:
            failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    assert fake.logins == 2


def test_sessions_that_never_hold_are_not_renewed_for_ever(fake: FakeQBittorrent) -> None:
    fake.outside.gives("/api/v2/app/version", plain(b"Forbidden", 403))

    with pytest.raises(ClientError) as failed:
        qbittorrent_at(fake.url)().version()

    assert failed.value.permanent
    assert len(fake.outside.seen) == 4


def test_a_wrong_password_is_sent_once(fake: FakeQBittorrent) -> None:
    client = qbittorrent_at(fake.url)(password="wrong")

    for _ in range(7):
        with pytest.raises(ClientError):
            client.version()

    assert len(fake.outside.seen) == 1
    assert fake.failures == 1


def test_a_ban_is_left_to_end(fake: FakeQBittorrent) -> None:
    fake.failures = 5
    client = qbittorrent_at(fake.url)()

    for _ in range(3):
        with pytest.raises(ClientError, match="banned") as failed:
            client.version()
        assert failed.value.permanent
        assert failed.value.retry_after is not None
        assert timedelta(minutes=59) < failed.value.retry_after <= timedelta(hours=1)

    assert len(fake.outside.seen) == 1
    client._banned_until = time.monotonic() - 1
    fake.failures = 0
    assert client.version() == fake.version


def test_it_lets_us_in_without() -> None:
    with FakeQBittorrent() as fake:
        fake.outside.gives("/api/v2/app/version", plain(b"v4.5.2"))

        assert qbittorrent_at(fake.url)(user="", password="").version() == "4.5.2"
        assert [seen.headers.get("cookie") for seen in fake.outside.seen] == [None]


def test_it_does_not_let_us_in_without(fake: FakeQBittorrent) -> None:
    with pytest.raises(ClientError, match="QBITTORRENT_USER") as failed:
        qbittorrent_at(fake.url)(user="", password="").version()

    assert failed.value.permanent
    assert len(fake.outside.seen) == 1


def test_a_sub_path_of_its_address_is_kept() -> None:
    with FakeQBittorrent() as fake:
        fake.outside.gives("/qbt/api/v2/auth/login", plain(b"Ok.", 200, {"Set-Cookie": "SID=x"}))
        fake.outside.gives("/qbt/api/v2/app/version", plain(b"v4.5.2"))

        assert qbittorrent_at(f"{fake.url}/qbt/")().version() == "4.5.2"


# --- the real one ---

real = programs.needs("qbittorrent-nox")


@real
@needs_libtorrent
def test_a_torrent_is_fetched(real_qbittorrent: Program, book: Path) -> None:
    client, torrent = qbittorrent_at(real_qbittorrent.url)(), torrent_of(book)
    hash = read_torrent(torrent).hash
    client.add(torrent, hash)

    with Seeder() as seeder:
        seeder.seed(torrent, book, to_port=real_qbittorrent.peer_port)
        download = wait_for(client, hash, Phase.DONE)

    assert (download.left, download.size, download.is_seeding) == (0, 160_000, True)
    assert download.path == real_qbittorrent.downloads / book.name
    for each in ("01.mp3", "CD 2/02.mp3"):
        assert (download.path / each).read_bytes() == (book / each).read_bytes()


@real
@needs_libtorrent
def test_a_torrent_of_two_versions_is_found_by_its_first_hash(real_qbittorrent: Program, book: Path) -> None:
    import libtorrent

    made = libtorrent.create_torrent(libtorrent.list_files(str(book)), 16 * 1024)
    libtorrent.set_piece_hashes(made, str(book.parent))
    torrent = libtorrent.bencode(made.generate())
    client, hash = qbittorrent_at(real_qbittorrent.url)(), read_torrent(torrent).hash
    assert hash == str(libtorrent.torrent_info(libtorrent.bdecode(torrent)).info_hashes().v1)

    client.add(torrent, hash)

    download = client.downloads([hash])[hash]
    assert (download.hash, download.name) == (hash, book.name)
    # Its own name for it is the other one, by which alone it finds it.
    assert client._list({"hashes": hash}) == []


@real
@needs_libtorrent
def test_what_cannot_be_written_is_told_with_the_reason(real_qbittorrent: Program, book: Path) -> None:
    (real_qbittorrent.downloads / book.name).write_bytes(b"a file where a folder is wanted")
    client, torrent = qbittorrent_at(real_qbittorrent.url)(), torrent_of(book)
    hash = read_torrent(torrent).hash
    try:
        client.add(torrent, hash)
        with Seeder() as seeder:
            seeder.seed(torrent, book, to_port=real_qbittorrent.peer_port)
            download = wait_for(client, hash, Phase.FAILED)
    finally:
        (real_qbittorrent.downloads / book.name).unlink()

    assert "Not a directory" in download.error


@real
def test_files_that_are_there_already_are_looked_at(real_qbittorrent: Program, book: Path) -> None:
    shutil.copytree(book, real_qbittorrent.downloads / book.name)
    client, torrent = qbittorrent_at(real_qbittorrent.url)(), torrent_of(book)
    hash = read_torrent(torrent).hash

    client.add(torrent, hash)

    assert wait_for(client, hash, Phase.DONE).is_seeding


@real
def test_it_bans_who_sends_wrong_passwords(tmp_path: Path) -> None:
    with programs.qbittorrent(tmp_path, {"WebUI\\MaxAuthenticationFailCount": "1"}) as program:
        with pytest.raises(ClientError, match="PASSWORD"):
            qbittorrent_at(program.url)(password="wrong").version()

        with pytest.raises(ClientError, match="banned") as failed:
            qbittorrent_at(program.url)().version()

    assert failed.value.permanent
    assert failed.value.retry_after


@real
def test_it_looks_at_the_host_name(tmp_path: Path) -> None:
    names = {"WebUI\\HostHeaderValidation": "true", "WebUI\\ServerDomains": "books.example"}
    with programs.qbittorrent(tmp_path, names) as program:
        url = program.url.replace("127.0.0.1", "localhost")

        with pytest.raises(ClientError, match="host name") as failed:
            qbittorrent_at(url)().version()

    assert failed.value.permanent


@real
def test_its_session_ends(tmp_path: Path) -> None:
    with programs.qbittorrent(tmp_path, {"WebUI\\SessionTimeout": "1"}) as program:
        client = qbittorrent_at(program.url)()
        client.version()
        first = client._cookies
        time.sleep(1.6)

        assert client.version()
        assert client._cookies != first
