"""The whole way with the real programs: Jobs on their schedules, a scheduler, a download client, a peer, a source."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from audiobooks import gaps
from audiobooks.clients.base import Phase, TorrentClient
from audiobooks.clients.qbittorrent import QBittorrent
from audiobooks.clients.transmission import Transmission
from audiobooks.models import Acquisition, Book, LibraryFile, WorkSearch
from audiobooks.torrents import read_torrent
from scheduling.models import Task
from tests import programs
from tests.audiobooks.outside import Reply
from tests.fakes.librivox import FakeLibriVox, project
from tests.fakes.torznab import KEY, FakeTorznab, Item
from tests.samples.acquisitions import AUTHOR, SERIES, TITLE, make_recording, owned_and_missing
from tests.scheduling.making import make_job
from tests.scheduling.processes import SchedulerUnderTest, wait_until
from tests.seeding import Seeder, needs_libtorrent, torrent_of

pytestmark = pytest.mark.django_db(transaction=True)
ON_THE_SHELF = f"{AUTHOR}/{SERIES}/02 - {TITLE}"


@pytest.fixture
def schedule() -> None:
    """The Jobs of the way, every second or two."""
    for name, seconds in (("series_completion", 2.0), ("download_monitor", 1.0)):
        every = timedelta(seconds=seconds)
        make_job(name, function=f"audiobooks.{name}", trigger="interval", interval=every, anchor=timezone.now())


@pytest.fixture
def environment(process_env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    (tmp_path / "library").mkdir()
    return process_env | {
        "AUDIOBOOKS_ACQUIRE": "auto",
        "AUDIOBOOKS_LIBRARY": str(tmp_path / "library"),
        "AUDIOBOOKS_DOWNLOADS": str(tmp_path / "fetched"),
        "BUDGET_FREE_GB": "0.01",
        # The catalogues are not asked: what there is of the series is known.
        "METADATA_PROVIDERS": "open_library",
        "OPEN_LIBRARY_URL": "http://127.0.0.1:9/",
    }


@pytest.fixture
def scheduler(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., SchedulerUnderTest]]:
    with ExitStack() as stack:

        def start(**more: str) -> SchedulerUnderTest:
            started = SchedulerUnderTest(environment | more, tmp_path)
            stack.callback(started.stop)
            return started

        yield start


def digests(folder: Path) -> dict[str, str]:
    return {
        str(each.relative_to(folder)): hashlib.sha256(each.read_bytes()).hexdigest()
        for each in sorted(folder.rglob("*"))
        if each.is_file() and not each.name.startswith(".")
    }


def how_it_stands() -> object:
    rows = [(row.state, row.refusal, row.problem, row.reasons) for row in Acquisition.objects.all()]
    logs = [task.log_output[-300:] for task in Task.objects.order_by("-pk")[:4]]
    return rows, list(WorkSearch.objects.values("outcome", "decision")), logs


def wait_for_the_shelf(seconds: float) -> Acquisition:
    def told() -> bool:
        return Acquisition.objects.filter(state__in=("imported", "failed", "quarantined", "cancelled")).exists()

    wait_until(told, seconds=seconds, otherwise=how_it_stands)
    row = Acquisition.objects.get()
    assert row.state == "imported", [event.text for event in row.events.all()] + [row.problem]
    return row


def check_shelf(tmp_path: Path, missing: Book, fetched: Path, *, links: int, narrator: str = "") -> None:
    shelf = tmp_path / "library" / f"{ON_THE_SHELF}{narrator}"
    assert digests(shelf) == digests(fetched)
    assert all(each.stat().st_nlink == links for each in shelf.iterdir())
    missing.refresh_from_db()
    assert (missing.standing, missing.files.count()) == ("owned", len(list(shelf.iterdir())))
    assert LibraryFile.objects.exclude(book=missing).count() == 0
    [board] = gaps.series_boards()
    assert (board.have, board.total, board.open_gaps) == (2, 2, ())


@needs_libtorrent
@pytest.mark.parametrize(
    "program",
    [
        pytest.param("qbittorrent", marks=programs.needs("qbittorrent-nox")),
        # It dials nobody, and looks around every 10 seconds.
        pytest.param("transmission", marks=[programs.needs("transmission-daemon"), pytest.mark.slow]),
    ],
)
def test_a_gap_is_closed_by_a_torrent_that_goes_on_seeding(
    program: str, schedule: None, scheduler: Callable[..., SchedulerUnderTest], tmp_path: Path
) -> None:
    _, missing = owned_and_missing()
    content = make_recording(tmp_path / "offered" / "ilse varga - glass meridian")
    torrent = torrent_of(content)
    own = read_torrent(torrent).hash
    (tmp_path / "client").mkdir()
    size = sum(each.stat().st_size for each in content.iterdir())
    item = Item(f"{TITLE} by {AUTHOR} [ENG / MP3]", size=str(size), attrs={"downloadvolumefactor": "0"})
    made: dict[str, Any] = {"qbittorrent": QBittorrent, "transmission": Transmission}
    with (
        FakeTorznab(items=[item], is_home=True) as source,
        getattr(programs, program)(tmp_path / "client") as running,
        Seeder() as seeder,
    ):
        source.downloads[1] = Reply(200, torrent, {"Content-Type": "application/x-bittorrent"})
        client: TorrentClient = made[program](
            url=running.url, user=programs.USER, password=programs.PASSWORD, category="audiobooks", paths={}
        )
        prefix = program.upper()
        scheduler(
            SOURCES="fake",
            TORZNAB_INDEXERS=f"fake|{source.url}|{KEY}",
            **{f"{prefix}_URL": running.url, f"{prefix}_USER": programs.USER, f"{prefix}_PASSWORD": programs.PASSWORD},
        )
        wait_until(lambda: own in client.downloads([own]), seconds=90)
        seeder.seed(torrent, content, to_port=running.peer_port)
        row = wait_for_the_shelf(180)
        assert (row.hash, row.client, row.approved_by) == (own, program, None)
        # One file with two names: nothing was copied.
        check_shelf(tmp_path, missing, running.downloads / content.name, links=2)
        # It is as the client has it, and is offered to others still.
        [download] = client.downloads([own]).values()
        assert (download.phase, download.is_seeding) == (Phase.DONE, True)
        assert digests(running.downloads / content.name) == digests(content)


def test_a_gap_is_closed_by_files_that_are_fetched_by_http(
    schedule: None, scheduler: Callable[..., SchedulerUnderTest], tmp_path: Path
) -> None:
    _, missing = owned_and_missing()
    content = make_recording(tmp_path / "offered" / "files")
    files = {each.name: each.read_bytes() for each in sorted(content.iterdir())}
    offered = project(1, TITLE, AUTHOR, totaltimesecs=30, totaltime="0:00:30")
    for section in offered["sections"]:
        section["playtime"] = "15"
    with FakeLibriVox(projects=[offered]) as source:
        identifier = "invented_1_librivox"
        source.items[identifier] = {
            "metadata": {"identifier": identifier},
            "files": [
                {
                    **{"name": name, "format": "64Kbps MP3", "size": str(len(data)), "track": str(number)},
                    **{"md5": hashlib.md5(data).hexdigest(), "sha1": hashlib.sha1(data).hexdigest()},
                }
                for number, (name, data) in enumerate(files.items(), 1)
            ],
        }
        source.audio |= {f"{identifier}/{name}": data for name, data in files.items()}
        scheduler(SOURCES="librivox", LIBRIVOX_URL=source.url, ARCHIVE_URL=source.archive_url)
        row = wait_for_the_shelf(180)
    assert row.client == "http"
    # What the library has is not kept twice: until its run has cleared that away, each file has two names.
    wait_until(lambda: list((tmp_path / "fetched").iterdir()) == [], seconds=60)
    check_shelf(tmp_path, missing, content, links=1, narrator=" {Sam Oakes}")
