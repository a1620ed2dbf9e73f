"""The way from approval to shelf where somebody steps in, something is odd, or a disk, a client or a source is away."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import json
import os
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.test import TestCase
from django.utils import timezone

from audiobooks import acquire, budget, collect, gaps, placing, recordings
from audiobooks.clients.base import Download, Phase
from audiobooks.fields import edit
from audiobooks.ledger import Volume
from audiobooks.library.audio import Listener
from audiobooks.models import Acquisition, Author, Authorship, Book, Crawl, LibraryFile, Release, WorkMark, WorkSearch
from audiobooks.placing import NoSpace
from audiobooks.scan import scan_library
from audiobooks.sources.torznab import Torznab
from audiobooks.tasks import series_completion_task
from audiobooks.torrents import read_torrent
from scheduling.context import TaskRun
from scheduling.exceptions import NotAllowedNow, TaskFailed
from scheduling.models import Task
from tests.audiobooks.outside import Reply
from tests.audiobooks.running import Quiet
from tests.audiobooks.way import SHELF, Way, make_way
from tests.fakes.librivox import project
from tests.fakes.torrent_files import torrent
from tests.samples.acquisitions import AUTHOR, TITLE, make_recording, next_volumes, owned_and_missing
from tests.scheduling.making import make_job
from tests.seeding import torrent_of

pytestmark = pytest.mark.django_db
State = Acquisition.State


def run() -> TaskRun:
    return TaskRun(task_id=0, attempt=1, channel=Quiet())


def test_a_download_with_many_files_does_not_stop_the_monitor(way: Way) -> None:
    for n in range(3001):
        (way.content / f"{n}.txt").write_bytes(b"x")
    way.look()
    assert way.state[1]


def test_content_removed_after_the_check_does_not_stop_the_monitor(way: Way, monkeypatch: Any) -> None:

    def full(*a: Any, **k: Any) -> Any:
        raise NoSpace("full")

    monkeypatch.setattr(collect, "place", full)
    way.look()
    assert way.state == ("checked", "full")

    shutil.rmtree(way.content)
    way.client.content = way.library  # only for the fake's own sum
    way.look()
    assert way.state[1]


def test_given_up_while_the_torrent_is_asked_for(way: Way, monkeypatch: Any, admin_user: Any) -> None:
    content = Torznab.content

    def slow(self: Any, http: Any, release: Any) -> Any:
        acquire.give_up(Acquisition.objects.get(pk=way.acquisition.pk), admin_user)
        return content(self, http, release)

    monkeypatch.setattr(Torznab, "content", slow)
    way.look()
    assert way.state[0] == "cancelled"
    assert way.client.given() == []


def test_slot_given_up_and_given_to_another_meanwhile(
    way: Way, monkeypatch: Any, admin_user: Any, settings: Any
) -> None:
    """The budget takes one in the week; two are handed over."""
    settings.BUDGET_WEEK = 1

    [other] = next_volumes(1)
    second = Acquisition.objects.create(
        work=other.work,
        book=other,
        state="proposed",
        state_since=timezone.now(),
        cause="series",
        why="x",
        source="fiction",
        key=way.acquisition.key,
        name="n",
        size=1000,
        verdict="fit",
    )
    content = Torznab.content

    def slow(self: Any, http: Any, release: Any) -> Any:
        acquire.give_up(Acquisition.objects.get(pk=way.acquisition.pk), admin_user)
        assert budget.reserve(second.pk, by=admin_user, run=None) == ()
        return content(self, http, release)

    monkeypatch.setattr(Torznab, "content", slow)
    way.client.phase, way.client.left = Phase.RUNNING, 1000
    way.look()
    week = next(f for f in budget.ledger().figures() if f.name == "week")
    assert week.used <= week.limit, (week, way.client.given())


def test_given_up_while_it_is_looked_at_again(way: Way, monkeypatch: Any, admin_user: Any) -> None:
    look_again = Torznab.look_again
    for each in way.source.items:
        each.size = "5000000"

    def slow(self: Any, http: Any, release: Any) -> Any:
        acquire.give_up(Acquisition.objects.get(pk=way.acquisition.pk), admin_user)
        return look_again(self, http, release)

    monkeypatch.setattr(Torznab, "look_again", slow)
    way.look()
    assert way.state[0] == "cancelled"


def test_chosen_instead_while_the_first_torrent_runs(way: Way, admin_user: Any, tmp_path: Path) -> None:
    other = make_recording(tmp_path / "theirs" / "other glass", parts=3)
    first_key = way.acquisition.key
    way.client.phase, way.client.left = Phase.RUNNING, 1000
    way.look()
    acquire.propose_again(way.acquisition, admin_user)
    again = Acquisition.objects.latest("pk")
    [candidate] = again.candidates
    for number in (1, 2):
        way.source.downloads[number] = Reply(200, torrent_of(other), {"Content-Type": "application/x-bittorrent"})
    acquire.choose_other(again, candidate["source"], candidate["key"], admin_user)
    acquire.approve(again, admin_user)
    way.look()
    again.refresh_from_db()
    assert (again.state, again.key != first_key) == ("fetching", True)
    assert len(way.client.given()) == 2
    assert len(budget.ledger().holds) == 2


def test_what_was_fetched_counts_in_the_week_though_it_is_proposed_again(
    way: Way, admin_user: Any, monkeypatch: Any
) -> None:
    Book.objects.update(runtime=None)
    way.look()
    assert way.state[0] == "fetched"
    acquire.propose_again(way.acquisition, admin_user)
    with time_machine.travel(timezone.now() + timedelta(hours=3)):
        week = next(f for f in budget.ledger().figures() if f.name == "week")
        assert week.used == 1


def test_the_folder_that_two_torrents_share(way: Way, tmp_path: Path) -> None:
    stranger = make_recording(tmp_path / "x", parts=1, title="Another Book")
    next(stranger.iterdir()).rename(way.content / "Another Book.mp3")
    way.look()
    assert way.state == ("imported", ""), way.acquisition.check_result["problems"]


def test_the_folder_that_two_torrents_share_without_a_known_length(way: Way, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(recordings, "SHORTEST", 1)
    Book.objects.update(runtime=None)
    stranger = make_recording(tmp_path / "x", parts=1, title="Another Book")
    next(stranger.iterdir()).rename(way.content / "Another Book.mp3")
    way.look()
    assert sorted(f.name for f in (way.library / SHELF).iterdir()) == sorted(
        f["name"].rpartition("/")[2] for f in way.acquisition.parts
    )


def test_what_a_person_ignores_is_not_approved_by_rule(
    indexer: Any, settings: Any, tmp_path: Path, monkeypatch: Any, admin_user: Any
) -> None:
    make_way(indexer, settings, tmp_path, monkeypatch)
    settings.BUDGET_RUN = 0
    series_completion_task.function(run())
    row = Acquisition.objects.get()
    assert row.state == "proposed"
    gaps.mark(row.work, WorkMark.Kind.IGNORED, by=admin_user)
    settings.BUDGET_RUN = 5
    series_completion_task.function(run())
    collect.monitor(run())
    row.refresh_from_db()
    assert row.state not in ("approved", "fetching", "imported")


def test_what_a_person_gave_up_is_not_fetched_by_rule_a_week_later(way: Way, admin_user: Any) -> None:
    acquire.give_up(way.acquisition, admin_user)
    with time_machine.travel(timezone.now() + timedelta(days=8)):
        series_completion_task.function(run())
        assert not Acquisition.objects.filter(state="approved", key=way.acquisition.key).exists()


def test_owned_meanwhile_after_a_first_try_to_place(way: Way, monkeypatch: Any) -> None:

    place = collect.place

    def full(*a: Any, **k: Any) -> Any:
        raise NoSpace("full")

    monkeypatch.setattr(collect, "place", full)
    way.look()
    assert way.state == ("checked", "full")
    Book.objects.create(work=way.acquisition.work, title="The Glass Meridian", standing="owned", path="elsewhere/it")
    monkeypatch.setattr(collect, "place", place)
    way.look()
    assert way.state[0] == "cancelled", list(way.library.rglob("*"))


def test_a_library_that_is_not_mounted(way: Way, tmp_path: Path) -> None:
    real = make_recording(tmp_path / "real" / "Some Author" / "Some Book", title="Some Book").parent.parent
    (real / "Some Author").rename(way.library / "Some Author")
    scan_library(run(), root=way.library)
    assert LibraryFile.objects.filter(missing_since=None).count() == 2
    # The disk is not mounted: its mount point is an empty folder.
    (way.library / "Some Author").rename(tmp_path / "unmounted")
    way.look()
    with pytest.raises(TaskFailed):
        scan_library(run(), root=way.library)
    assert way.state[0] == "checked" and "is its disk not mounted?" in way.state[1]
    assert not LibraryFile.objects.exclude(missing_since=None).exists()


def test_a_magnet_that_is_larger_than_it_said(way: Way, monkeypatch: Any) -> None:
    h = "a" * 40
    monkeypatch.setattr(Torznab, "content", lambda self, http, release: f"magnet:?xt=urn:btih:{h}")
    size = 10**15

    def downloads(hashes: Any) -> Any:
        return {
            x: Download(hash=x, name="x", phase=Phase.RUNNING, size=size, left=size - 10)
            for x in hashes
            if x in way.client.given()
        }

    monkeypatch.setattr(way.client, "downloads", downloads)
    way.look(2)
    assert way.client.given() == [h]
    disks = [f for f in budget.ledger().figures() if f.name == "disk"]
    assert way.state[1] or sum(f.reserved for f in disks) >= size, (way.state, disks)


def test_what_is_larger_than_it_said_is_told_until_there_is_room(way: Way, monkeypatch: Any) -> None:
    h, size = "a" * 40, 10**15
    monkeypatch.setattr(Torznab, "content", lambda self, http, release: f"magnet:?xt=urn:btih:{h}")
    running = Download(hash=h, name="x", phase=Phase.RUNNING, size=size, left=size - 10)
    monkeypatch.setattr(way.client, "downloads", lambda hashes: {each: running for each in hashes})
    since = set()
    for _ in range(3):
        way.look()
        assert "It is larger than it was said to be" in way.state[1]
        since.add(way.acquisition.problem_since)
    assert len(since) == 1
    assert "The disk of" in way.state[1] and "approved in 7 days" in way.state[1]
    told = [event.text for event in way.acquisition.events.all() if "larger" in event.text]
    assert len(told) == 1 and told[0].startswith("It is larger than it was said to be: 1,000,000.00 GB in place of")
    monkeypatch.setattr(budget, "_volume", lambda folder: Volume(device=1, free=3 * size, total=4 * size))
    with time_machine.travel(timezone.now() + timedelta(days=8)):
        Acquisition.objects.update(progress_at=timezone.now())
        way.look()
        assert way.state == ("fetching", "")


def test_what_is_larger_by_http_counts_and_stops(way: Way, monkeypatch: Any, settings: Any) -> None:
    part = {"name": "a.mp3", "url": "http://x/", "size": None, "md5": "", "sha1": ""}
    Acquisition.objects.update(state="fetching", client="http", size=1000, parts=[part])
    settings.BUDGET_WEEK_GB = 0.003
    stopped, seconds = [], itertools.count(time.monotonic())

    def fetch(http: Any, parts: Any, folder: Any, *, should_stop: Any, progress: Any) -> bool:
        for there in (900, 2_000_000, 4_000_000):
            progress(there)
            stopped.append(should_stop())
        return False

    monkeypatch.setattr(collect.over_http, "fetch", fetch)
    monkeypatch.setattr(collect, "FOR_TRANSFERS", 10.0**9)
    # It looks once in a second.
    monkeypatch.setattr(collect.time, "monotonic", lambda: next(seconds))
    way.look(2)
    assert stopped == [False, False, True]
    assert "It is larger than it was said to be" in way.state[1] and "approved in 7 days" in way.state[1]
    week = next(each for each in budget.ledger().figures() if each.name == "week_bytes")
    assert (week.used, way.acquisition.fetched) == (4_000_000, 4_000_000)


def test_room_of_the_client_for_what_it_has_still_to_fetch(way: Way) -> None:
    [other] = next_volumes(1)
    now, h = timezone.now(), "c" * 40
    row = Acquisition.objects.create(
        work=other.work,
        state="fetching",
        state_since=now,
        cause="series",
        why="x",
        source="fiction",
        key="k",
        name="n",
        size=50 * 10**6,
        verdict="fit",
        client="qbittorrent",
        hash=h,
        approved_at=now,
        handed_at=now,
        progress_at=now,
    )
    way.client.place.write_text(json.dumps([h]))
    way.client.phase, way.client.left, way.client.free = Phase.RUNNING, 50 * 10**6, 60 * 10**6
    # Also of what was given up, and runs on there.
    for state in ("fetching", "cancelled"):
        Acquisition.objects.filter(pk=row.pk).update(state=state)
        way.look()
        assert way.state[0] == "approved" and way.client.given() == [h]
    Acquisition.objects.filter(pk=row.pk).update(client="transmission")
    way.look()
    assert way.state[0] == "fetching"


def test_what_runs_on_at_a_client_that_is_set_no_more_is_released_after_a_week(
    way: Way, admin_user: Any, monkeypatch: Any
) -> None:
    way.client.phase, way.client.left = Phase.RUNNING, 1000
    way.look()
    monkeypatch.setattr(way.client, "name", "transmission")
    way.look()
    assert "which .env names no more" in way.state[1]
    acquire.give_up(way.acquisition, admin_user)
    for client in (way.client, None):
        monkeypatch.setattr(collect, "torrent_client", lambda client=client: client)
        way.look()
        assert budget.running_on().exists()
    with time_machine.travel(timezone.now() + timedelta(days=8)):
        way.look()
    assert not budget.running_on().exists()
    assert "whether qbittorrent still downloads it" in way.acquisition.events.last().text


def test_a_run_without_the_client_releases_nothing_that_was_seen_there_in_the_week(
    way: Way, admin_user: Any, monkeypatch: Any
) -> None:
    way.client.phase, way.client.left = Phase.RUNNING, 1000
    way.look()
    acquire.give_up(way.acquisition, admin_user)
    with time_machine.travel(timezone.now() + timedelta(days=8)):
        way.look()
        monkeypatch.setattr(collect, "torrent_client", lambda: None)
        way.look()
        assert budget.running_on().exists()
    with time_machine.travel(timezone.now() + timedelta(days=16)):
        way.look()
        assert not budget.running_on().exists()


def test_year_on_the_shelf(way: Way, settings: Any) -> None:
    settings.SHELF_PATH = "{author}/{title} ({year}) [{asin}]"
    Book.objects.filter(pk=way.missing.pk).update(released="2019-05-01", asin="B00TESTXYZ")
    way.look()
    # The ASIN is of a recording, and this may be another.
    assert way.acquisition.target == f"{AUTHOR}/{TITLE} (2019)"


def test_a_doubtful_recording_is_played_once(way: Way, monkeypatch: Any) -> None:

    heard = []
    hear = Listener.hear
    monkeypatch.setattr(Listener, "hear", lambda self, path: heard.append(path) or hear(self, path))
    Book.objects.update(runtime=None)
    way.look(3)
    assert way.state[0] == "fetched"
    assert len(heard) == 2


@pytest.mark.parametrize("what", ["stop", "give_up"])
def test_a_transfer_ends_when_a_person_says_so(way: Way, monkeypatch: Any, admin_user: Any, what: str) -> None:
    Acquisition.objects.update(
        state="fetching", client="http", parts=[{"name": "a.mp3", "url": "http://x/", "size": 1, "md5": "", "sha1": ""}]
    )
    seen = []

    def fetch(http: Any, parts: Any, folder: Any, *, should_stop: Any, progress: Any) -> bool:
        row = Acquisition.objects.get()
        if what == "stop":
            acquire.stop_fetching(admin_user, "")
        else:
            acquire.give_up(row, admin_user)
        seen.append(should_stop())
        return False

    monkeypatch.setattr(collect.over_http, "fetch", fetch)
    way.look()
    assert seen == [True]


def test_a_magnet_without_its_torrent_yet_runs_on(way: Way, monkeypatch: Any, admin_user: Any) -> None:
    """What QBittorrent of 4.5.2 really says of one that it has no metadata of: size None, left 0."""
    h = "a" * 40
    monkeypatch.setattr(Torznab, "content", lambda self, http, release: f"magnet:?xt=urn:btih:{h}")

    def downloads(hashes: Any) -> Any:
        return {
            x: Download(hash=x, name="x", phase=Phase.RUNNING, size=None, left=0)
            for x in hashes
            if x in way.client.given()
        }

    monkeypatch.setattr(way.client, "downloads", downloads)
    way.look()
    acquire.give_up(way.acquisition, admin_user)
    way.look()
    assert budget.running_on().exists()


def test_one_silent_source_is_not_no_release(
    indexer: Any, librivox: Any, settings: Any, tmp_path: Path, monkeypatch: Any
) -> None:

    make_way(indexer, settings, tmp_path, monkeypatch)
    settings.SOURCES = ["fiction", "librivox"]
    indexer.error = (900, 500, {})
    series_completion_task.function(run())
    found = WorkSearch.objects.get()
    assert found.decision["sources"], found.decision
    assert (found.outcome, found.fruitless) != ("nothing", 1), (
        found.next_at - found.searched_at,
        found.decision["sources"],
    )


def test_a_scan_between(way: Way, monkeypatch: Any) -> None:
    scan_place = collect.scan_place

    def scanned(task: Any, **k: Any) -> Any:
        scan_library(run(), root=way.library)
        return scan_place(task, **k)

    monkeypatch.setattr(collect, "scan_place", scanned)
    way.look()
    owned = list(Book.objects.filter(standing="owned", missing_since=None).exclude(title="The Salt Road"))
    assert (way.state, len(owned), way.acquisition.book_id) == (("imported", ""), 1, way.missing.pk), [
        (b.pk, b.title, b.work_id, b.missing_since) for b in Book.objects.all()
    ]


# HTTP
def http_way(librivox: Any, settings: Any, tmp_path: Path, gone: bool = False, two: bool = False) -> Any:

    settings.SOURCES, settings.ACQUIRE, settings.METADATA_PROVIDERS = ["librivox"], "auto", []
    settings.AUDIOBOOKS_LIBRARY, settings.AUDIOBOOKS_DOWNLOADS = tmp_path / "library", tmp_path / "downloads"
    settings.AUDIOBOOKS_LIBRARY.mkdir()
    settings.BUDGET_FREE_GB = 0.01
    _, missing = owned_and_missing()
    for number in (1, 2) if two else (1,):
        content = make_recording(
            tmp_path / f"offered{number}" / "files",
            parts=number + 1,
            title=f"{TITLE} {'ab'[number - 1]}" if two else TITLE,
        )
        offered = project(number, TITLE, AUTHOR, totaltimesecs=30, totaltime="0:00:30")
        for section in offered["sections"]:
            section["playtime"] = str(30 // len(offered["sections"]))
        librivox.projects.append(offered)
        identifier = f"invented_{number}_librivox"
        files = {each.name: each.read_bytes() for each in sorted(content.iterdir())}
        librivox.items[identifier] = {
            "metadata": {"identifier": identifier},
            "files": [
                {
                    "name": name,
                    "format": "64Kbps MP3",
                    "size": str(len(data)),
                    "track": str(n),
                    "md5": hashlib.md5(data).hexdigest(),
                }
                for n, (name, data) in enumerate(files.items(), 1)
            ],
        }
        if not gone:
            librivox.audio |= {f"{identifier}/{name}": data for name, data in files.items()}
    return missing


def test_a_file_that_is_gone_is_followed_by_the_next(
    librivox: Any, settings: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    librivox.projects = []
    http_way(librivox, settings, tmp_path, gone=True)
    series_completion_task.function(run())
    row = Acquisition.objects.get()
    assert row.state == "approved", (row.refusal, row.reasons)
    asked = []
    fetch = collect.over_http.fetch
    monkeypatch.setattr(collect.over_http, "fetch", lambda *a, **k: asked.append(1) or fetch(*a, **k))
    for _ in range(4):
        collect.monitor(run())
    row.refresh_from_db()
    assert row.state == "failed" and len(asked) == 1, (row.state, row.problem, len(asked))


def test_another_release_does_not_lie_in_the_same_folder(
    librivox: Any, settings: Any, tmp_path: Path, admin_user: Any
) -> None:
    librivox.projects = []
    http_way(librivox, settings, tmp_path, two=True)
    Book.objects.update(runtime=None)
    series_completion_task.function(run())
    row = Acquisition.objects.get()
    if row.state == "proposed":
        acquire.approve(row, admin_user)
    assert row.candidates, row.reasons
    collect.monitor(run())
    row.refresh_from_db()
    assert row.state == "fetched", (row.state, row.problem)
    acquire.propose_again(row, admin_user)
    row = Acquisition.objects.latest("pk")
    other = row.candidates[0]
    acquire.choose_other(row, other["source"], other["key"], admin_user)
    acquire.approve(row, admin_user)
    collect.monitor(run())
    row.refresh_from_db()
    there = sorted(f.name for f in Path(row.content).iterdir() if f.suffix == ".mp3")
    assert there == sorted(p["name"] for p in row.parts), (row.state, row.problem)


def test_a_runner_up_of_an_indexer_that_env_names_no_more(way: Way) -> None:

    row = way.acquisition
    [candidate] = row.candidates
    Release.objects.filter(source=candidate["source"], key=candidate["key"]).update(source="removed", size=300_000)
    row.candidates = [{**candidate, "source": "removed"}]
    row.save()
    way.client.refuses = True
    way.look()
    assert way.state[0] == "failed"


def test_the_server_that_is_told_is_away(way: Way, settings: Any) -> None:
    settings.AUDIOBOOKSHELF_URL, settings.AUDIOBOOKSHELF_KEY = "http://127.0.0.1:9", "k" * 20
    way.look()
    assert way.state == ("imported", "")


def test_the_place_of_what_was_before_is_not_that_of_another(way: Way, monkeypatch: Any, admin_user: Any) -> None:

    def full(*a: Any, **k: Any) -> Any:
        raise NoSpace("full")

    monkeypatch.setattr(collect, "place", full)
    way.look()
    acquire.propose_again(way.acquisition, admin_user)
    assert Acquisition.objects.latest("pk").target == ""


def test_a_row_behind_one_that_breaks_is_seen_to(way: Way, monkeypatch: Any) -> None:

    [other] = next_volumes(1)
    Acquisition.objects.create(
        work=other.work,
        book=other,
        state="fetched",
        state_since=timezone.now() - timedelta(days=9),
        cause="series",
        why="x",
        source="fiction",
        key="k",
        name="n",
        size=1000,
        verdict="fit",
        content=str(way.content.parent / "link"),
        fetched_at=timezone.now(),
        client="qbittorrent",
        hash="c" * 40,
        approved_at=timezone.now(),
    )
    (way.content.parent / "link").symlink_to(way.content)
    way.look()
    assert way.state == ("imported", ""), way.state


def test_what_is_unforeseen_of_one_is_told_and_holds_up_no_other(way: Way, monkeypatch: Any) -> None:
    """Here of a row and of an account; and what was given up is still settled."""
    [other] = next_volumes(1)
    now = timezone.now()
    made = {
        "work": other.work, "book": other, "cause": "series", "why": "x", "source": "fiction", "key": "k", "name": "n",
        "size": 10**6, "verdict": "fit", "client": "qbittorrent", "approved_at": now, "handed_at": now, "state_since": now,
    }  # fmt: skip
    bad = Acquisition.objects.create(**made, state="fetched", hash="c" * 40, fetched_at=now, content="/nowhere")
    given_up = Acquisition.objects.create(**made, state="cancelled", hash="d" * 40)
    files_of = collect._files_of

    def trips(row: Acquisition) -> Any:
        if row.pk == bad.pk:
            raise KeyError("no such thing")
        return files_of(row)

    def away(*a: object) -> None:
        raise LookupError("an account of another shape")

    monkeypatch.setattr(collect, "_files_of", trips)
    monkeypatch.setattr(collect, "refresh_accounts", away)
    for _ in range(2):
        with pytest.raises(ExceptionGroup) as caught:
            way.look()
        assert [type(each) for each in caught.value.exceptions] == [LookupError, KeyError]
    assert way.state == ("imported", "")
    bad.refresh_from_db()
    assert bad.state == "fetched" and "tripped over it (KeyError)" in bad.problem
    given_up.refresh_from_db()
    assert given_up.fetched_at is not None and given_up not in budget.running_on()
    monkeypatch.setattr(collect, "_files_of", files_of)
    monkeypatch.setattr(collect, "refresh_accounts", acquire.refresh_accounts)
    way.look()
    bad.refresh_from_db()
    assert "tripped" not in bad.problem


def test_names_that_are_no_text_are_told(way: Way, monkeypatch: Any) -> None:
    """As a mount shows them that does not know in what they are written."""
    broken = os.fsencode(str(way.content)) + b"/Caf\xe9.mp3"
    Path(os.fsdecode(broken)).write_bytes(b"junk" * 5000)
    monkeypatch.setattr(Torznab, "content", lambda *a: f"magnet:?xt=urn:btih:{read_torrent(way.torrent).hash}")
    way.look()
    assert way.state[0] == "quarantined"
    assert "Caf\\udce9.mp3" in way.acquisition.events.latest("pk").text


def test_a_link_whose_name_is_no_text_is_told(way: Way, monkeypatch: Any) -> None:
    os.symlink("/etc/passwd", os.fsencode(str(way.content)) + b"/Caf\xe9.mp3")
    monkeypatch.setattr(Torznab, "content", lambda *a: f"magnet:?xt=urn:btih:{read_torrent(way.torrent).hash}")
    way.look()
    assert way.state[0] == "checked" and "Caf\\udce9.mp3" in way.state[1]


def test_a_full_disk_of_the_client_asks_the_source_for_nothing(way: Way) -> None:
    way.client.free = 1000
    seen = len(way.source.outside.seen)
    way.look(3)
    assert way.state[0] == "approved" and len(way.source.outside.seen) == seen
    way.client.free = None
    way.look()
    assert way.state == ("imported", "")


def test_a_book_beside_its_place_on_the_shelf_is_another(way: Way, monkeypatch: Any) -> None:
    def full(*a: Any, **k: Any) -> Any:
        raise NoSpace("full")

    monkeypatch.setattr(collect, "place", full)
    way.look()
    for path, is_another in (
        *((SHELF, False), (f"{SHELF} (2)", False), (f"{SHELF}/CD1", False)),
        *((f"{SHELF} {{Mara Quill}}", True), (f"{SHELF} (1999)x", True)),
    ):
        book = Book.objects.create(work=way.acquisition.work, title=TITLE, standing="owned", path=path)
        assert acquire.is_owned(way.acquisition) == is_another, path
        book.delete()


def test_what_is_moved_in_the_client_is_followed(way: Way, monkeypatch: Any, tmp_path: Path) -> None:
    place = collect.place

    def full(*a: Any, **k: Any) -> Any:
        raise NoSpace("full")

    monkeypatch.setattr(collect, "place", full)
    way.look()
    moved = tmp_path / "elsewhere" / "glass"
    moved.parent.mkdir()
    shutil.move(way.content, moved)
    way.client.content = moved
    monkeypatch.setattr(collect, "place", place)
    way.look()
    assert way.state == ("imported", "")


def test_what_is_moved_while_a_person_is_asked_is_not_played_again(
    way: Way, monkeypatch: Any, admin_user: Any, tmp_path: Path
) -> None:
    Book.objects.update(runtime=None)
    way.look()
    assert "is it a sample?" in way.state[1]
    moved = tmp_path / "elsewhere" / "glass"
    moved.parent.mkdir()
    shutil.move(way.content, moved)
    way.client.content = moved
    monkeypatch.setattr(recordings, "check", None)
    way.look()
    assert "is it a sample?" in way.state[1]
    acquire.accept(way.acquisition, admin_user)
    way.look()
    assert way.state == ("imported", "")


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.EIO])
def test_a_file_system_that_cannot_sync_folders(way: Way, monkeypatch: Any, code: int) -> None:
    fsync = os.fsync

    def of_files(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(code, os.strerror(code))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", of_files)
    way.look()
    assert way.state[0] == ("checked" if code == errno.EIO else "imported")


def test_looked_at_again_a_doubtful_recording_is_played_again(client: Any, admin_user: Any, way: Way) -> None:
    Book.objects.update(runtime=None)
    way.look()
    assert "is it a sample?" in way.state[1]
    Book.objects.update(runtime=timedelta(seconds=30))
    way.look()
    assert "is it a sample?" in way.state[1]
    make_job("download_monitor", function="audiobooks.download_monitor")
    client.force_login(admin_user)
    client.post(f"/admin/audiobooks/acquisition/{way.acquisition.pk}/look/")
    way.look()
    assert way.state == ("imported", "")


def test_a_check_that_ends_its_run_comes_last_and_is_told_at_its_deadline(
    way: Way, monkeypatch: Any, tmp_path: Path
) -> None:
    [other] = next_volumes(1)
    now = timezone.now()
    bad = Acquisition.objects.create(
        work=other.work, book=other, state="fetched", state_since=now, cause="series", why="x", source="fiction", key="k",
        name="n", size=10**6, verdict="fit", client="qbittorrent", hash="c" * 40, approved_at=now, handed_at=now,
        fetched_at=now, content=str(make_recording(tmp_path / "slow")),
    )  # fmt: skip
    check = recordings.check

    class Killed(BaseException):
        pass

    def slow(content: Path, *a: Any, **k: Any) -> Any:
        if content == Path(bad.content):
            raise Killed
        return check(content, *a, **k)

    monkeypatch.setattr(recordings, "check", slow)
    for hours, problem in ((1, ""), (2, ""), (7, "It is stuck since")):
        with time_machine.travel(bad.state_since + timedelta(hours=hours)), pytest.raises(Killed):
            way.look()
        assert way.state == ("approved" if hours == 1 else "imported", "")
        bad.refresh_from_db()
        assert bad.state == "fetched" and bad.problem.startswith(problem) and bool(bad.problem) == bool(problem)
    monkeypatch.undo()
    monkeypatch.setattr(collect, "torrent_client", lambda: way.client)
    way.look()
    bad.refresh_from_db()
    assert (bad.state, bad.problem) == ("quarantined", "")


def test_a_check_that_takes_too_long_is_told_at_its_deadline(way: Way, monkeypatch: Any, admin_user: Any) -> None:
    monkeypatch.setattr(collect, "FOR_CHECK", -1.0)
    way.look()
    assert way.state == ("fetched", "")
    with time_machine.travel(timezone.now() + timedelta(hours=7)):
        way.look()
        since = way.acquisition.problem_since
        assert "has not come to an end" in way.state[1]
        way.look()
        assert way.acquisition.problem_since == since
        acquire.accept(way.acquisition, admin_user)
        way.look()
    assert way.state == ("imported", "")


def test_a_check_heeds_a_stop(way: Way, monkeypatch: Any) -> None:
    monkeypatch.setattr(Listener, "hear", lambda *a: pytest.fail("it goes on"))
    check = recordings.check

    def stopped(*a: Any, **k: Any) -> Any:
        monkeypatch.setattr(TaskRun, "should_stop", True)
        return check(*a, **k)

    monkeypatch.setattr(recordings, "check", stopped)
    way.look()
    assert way.state == ("fetched", "")


def test_a_book_whose_title_is_corrected_while_it_downloads(way: Way, admin_user: Any) -> None:
    """Another of its work stays with the old title, so that this one gets a new work."""
    way.client.phase, way.client.left = Phase.RUNNING, 1000
    way.look()
    mine = Book.objects.get(pk=way.missing.pk)
    other = Book.objects.create(work=mine.work, title=mine.title, standing="known", language="de")
    Authorship.objects.create(book=other, author=Author.objects.get(), number=0)
    edit(mine, {"title": "The Glass Meridian, a Novel of Salt"}, by=admin_user)
    mine.refresh_from_db()
    assert way.acquisition.work_id == other.work_id != mine.work_id
    way.acquisition.refresh_from_db()
    assert way.acquisition.work_id == mine.work_id
    way.client.phase, way.client.left = Phase.DONE, 0
    way.look()
    assert way.state == ("imported", "")


def test_a_book_that_hangs_on_a_work_that_is_being_got_already(way: Way) -> None:
    """Of one work one acquisition is open: this one stays with the work it was for, and brings its book all the same."""
    way.client.phase, way.client.left = Phase.RUNNING, 1000
    way.look()
    Acquisition.objects.filter(pk=way.acquisition.pk).update(work=next_volumes(1)[0].work)
    way.client.phase, way.client.left = Phase.DONE, 0
    way.look()
    assert way.state == ("imported", "")
    way.missing.refresh_from_db()
    assert way.missing.standing == "owned"


def test_files_that_lie_loose_need_no_mapping(way: Way, monkeypatch: Any) -> None:
    seen = way.client.downloads
    monkeypatch.setattr(
        way.client,
        "downloads",
        lambda hashes: {each: replace(was, path=None, is_loose=True) for each, was in seen(hashes).items()},
    )
    way.look()
    assert way.state[0] == "fetching" and "loose" in way.state[1] and "DOWNLOAD_PATHS" not in way.state[1]


def test_a_button_pressed_twenty_times(client: Any, admin_user: Any, way: Way) -> None:

    make_job("download_monitor", function="audiobooks.download_monitor")
    client.force_login(admin_user)
    acquire_url = f"/admin/audiobooks/acquisition/{way.acquisition.pk}/look/"

    for _ in range(20):
        with TestCase.captureOnCommitCallbacks(execute=True):
            client.post(acquire_url)
    assert Task.objects.filter(status="queued").count() < 5, Task.objects.filter(status="queued").count()


def given(way: Way, torrent: bytes, at: Path) -> None:
    for number in (1, 2):
        way.source.downloads[number] = Reply(200, torrent, {"Content-Type": "application/x-bittorrent"})
    way.client.path = at


def test_a_folder_of_one_file_below_a_folder(way: Way, tmp_path: Path) -> None:
    """qBittorrent 4.5.2 says of such a torrent that its content is the file."""
    made = make_recording(tmp_path / "theirs" / "deep" / "CD1", parts=1)
    given(way, torrent_of(tmp_path / "theirs" / "deep"), next(made.iterdir()))
    way.look()
    assert way.state == ("imported", ""), way.acquisition.check_result["problems"]


def test_names_that_are_no_utf_8(way: Way, tmp_path: Path) -> None:
    """qBittorrent 4.5.2 writes `B_cher`, Transmission 3.00 `Bücher`."""

    made = make_recording(tmp_path / "theirs" / "latin")
    files = []
    for n, each in enumerate(sorted(made.iterdir()), 1):
        each.rename(made / f"The Glass Meridian B_cher {n}.mp3")
        files.append(
            {
                "length": (made / f"The Glass Meridian B_cher {n}.mp3").stat().st_size,
                "path": [b"The Glass Meridian B\xfccher %d.mp3" % n],
            }
        )
    total = sum(f["length"] for f in files)
    info = {"name": "latin", "files": files, "piece length": 2**14, "pieces": b"a" * 20 * -(-total // 2**14)}
    given(way, torrent(info=info), made)
    way.look()
    assert way.state == ("imported", ""), way.acquisition.check_result.get("problems")


def test_the_disk_that_filled_while_it_waited(way: Way, settings: Any) -> None:
    """Approved while there was room; days later, when the client is back, there is none."""
    settings.BUDGET_FREE_GB = 10**6
    assert budget.recheck(way.acquisition.pk, size=way.acquisition.size, free=way.acquisition.free)
    way.client.phase, way.client.left = Phase.RUNNING, 1000
    way.look()
    assert way.client.given() == [], way.state


def test_slots_that_others_took_while_it_waited(mam: Any, way: Way) -> None:
    """The account has no slot left by now; what was approved before is handed over all the same."""

    Acquisition.objects.update(counts=True)
    Crawl.objects.update_or_create(
        source="fiction",
        defaults={
            "account": {"unsatisfied": 100, "unsatisfied_limit": 100, "uploaded": 10**12, "downloaded": 1},
            "account_at": timezone.now(),
        },
    )
    row = Acquisition.objects.get()
    assert budget.recheck(row.pk, size=row.size, free=row.free)
    way.look()
    assert way.client.given() == [], way.state


def test_a_tracker_that_turns_out_to_count_is_for_a_person(way: Way, admin_user: Any) -> None:
    """Approved as of a public one, such as by an earlier release of this program."""
    way.source.privacy = "private"
    way.look()
    assert way.state[0] == "cancelled" and way.client.given() == []
    again = Acquisition.objects.latest("pk")
    assert (again.state, again.counts, again.verdict) == ("proposed", True, "doubtful")
    assert "does not say how the account stands" in again.reasons[0]
    acquire.approve(again, admin_user)
    way.look()
    again.refresh_from_db()
    assert again.state == "imported"


@pytest.mark.parametrize("said", ["", "public"])
def test_a_private_torrent_is_for_a_person_whatever_its_indexer_says(
    way: Way, tmp_path: Path, admin_user: Any, said: str
) -> None:
    """Such as of a Jackett that knows no types of trackers, and of a tracker that says nothing of what it counts."""
    way.source.privacy = said
    for item in way.source.items:
        item.attrs = {"downloadvolumefactor": None}
    made = make_recording(tmp_path / "theirs" / "private")
    given(way, torrent_of(made, private=True), made)
    way.look()
    assert way.state[0] == "cancelled" and way.client.given() == []
    again = Acquisition.objects.latest("pk")
    assert (again.state, again.counts, again.verdict) == ("proposed", True, "doubtful")
    acquire.approve(again, admin_user)
    way.look()
    again.refresh_from_db()
    assert again.state == "imported"


def test_what_is_given_up_leaves_nothing_in_the_library(way: Way, monkeypatch: Any, admin_user: Any) -> None:
    def broken(*a: Any) -> Any:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(placing, "_show", broken)
    way.look()
    assert way.state[0] == "checked"
    acquire.give_up(way.acquisition, admin_user)
    # Its disk is away meanwhile.
    elsewhere = way.library.rename(way.library.with_name("elsewhere"))
    way.look()
    # As the place of its mount is.
    way.library.mkdir()
    there = LibraryFile.objects.create(book=way.missing, path="a/b.mp3", size=1, modified_ns=1)
    way.look()
    there.delete()
    way.library.rmdir()
    elsewhere.rename(way.library)
    assert list(way.library.iterdir()) != []
    way.look()
    assert list(way.library.iterdir()) == []
    assert way.acquisition.target == ""


def test_what_a_mac_leaves_beside_each_file(way: Way, tmp_path: Path) -> None:
    made = make_recording(tmp_path / "theirs" / "mac")
    (made / ".Trashes").mkdir()
    for each in [each for each in made.iterdir() if each.is_file()]:
        (made / f"._{each.name}").write_bytes(b"\0\5\x16\7" + bytes(100))
        shutil.copy(each, made / ".Trashes" / each.name)
    given(way, torrent_of(made), made)
    way.look()
    assert way.state == ("imported", ""), way.acquisition.check_result["problems"]
    assert not [each for each in way.library.rglob("*.mp3") if each.name.startswith(".")]


@contextlib.contextmanager
def dead(folder: Path, number: int) -> Iterator[None]:
    """Whatever the system is asked of the folder fails so, as of a mount whose server is gone."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("stat", "lstat", "statvfs", "listdir", "scandir", "open", "mkdir"):
            asked = getattr(os, name)

            def fail(path: Any, *a: Any, asked: Any = asked, **k: Any) -> Any:
                if isinstance(path, str | Path) and Path(path).is_relative_to(folder):
                    raise OSError(number, os.strerror(number), str(path))
                return asked(path, *a, **k)

            patch.setattr(os, name, fail)
        yield


@pytest.mark.parametrize("number", [errno.ENOTCONN, errno.ESTALE, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("which", ["AUDIOBOOKS_LIBRARY", "AUDIOBOOKS_DOWNLOADS"])
def test_a_dead_mount_is_said_and_nothing_else_stops(
    way: Way, settings: Any, client: Any, admin_user: Any, which: str, number: int
) -> None:
    client.force_login(admin_user)
    row = Acquisition.objects.get()
    row.pk, row.work, row.state = None, next_volumes(1)[0].work, "proposed"
    row.save()
    with dead(getattr(settings, which), number):
        way.look()
        assert way.state[0] == "approved" and "Is its disk mounted" in way.state[1]
        with pytest.raises(NotAllowedNow, match="Is its disk mounted"):
            acquire.approve(row, admin_user)
        page = client.get("/admin/audiobooks/acquisition/")
        assert page.status_code == 200 and "Is its disk mounted" in page.content.decode()
        client.post("/admin/audiobooks/acquisition/stop/")
        assert acquire.current_stop()
        assert client.get("/admin/audiobooks/acquisition/week/").status_code == 200
    acquire.let_fetching_go_on(admin_user)
    way.look()
    assert way.state == ("imported", "")
