"""From approval to shelf, step by step: what waits, what needs a person, what is the wrong recording, and every kill."""

from __future__ import annotations

import os
import shutil
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from audiobooks import acquire, budget, collect
from audiobooks.clients import over_http
from audiobooks.clients.base import Phase
from audiobooks.collect import monitor
from audiobooks.exceptions import ClientError
from audiobooks.http import Doorway
from audiobooks.models import Acquisition, BlockedRelease, Book, LibraryFile, ServiceState
from audiobooks.sources.base import RemoteFile
from audiobooks.tasks import series_completion_task
from audiobooks.torrents import read_torrent
from scheduling.context import TaskRun
from tests.audiobooks.outside import Reply
from tests.audiobooks.running import Quiet
from tests.audiobooks.way import SHELF, FakeClient, Way, make_way
from tests.fakes.torznab import FakeTorznab
from tests.samples.acquisitions import AUTHOR, TITLE, make_recording

State = Acquisition.State


# --- all goes well ----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_one_look_takes_it_as_far_as_it_goes(way: Way) -> None:
    run = way.look()
    assert way.state == ("imported", ""), [event.text for event in way.acquisition.events.all()]
    assert way.client.given() == [read_torrent(way.torrent).hash] == [way.acquisition.hash]
    assert sorted(each.name for each in (way.library / SHELF).iterdir()) == sorted(
        each.name for each in way.content.iterdir()
    )
    way.missing.refresh_from_db()
    assert (way.missing.standing, LibraryFile.objects.filter(book=way.missing).count()) == ("owned", 2)
    assert run.result == {"imported": 1}
    assert [event.state for event in way.acquisition.events.all()] == [
        "proposed", "approved", "fetching", "fetched", "checked", "imported",
    ]  # fmt: skip
    # Nothing more happens to it, and nothing is reserved.
    assert way.look().result == {}
    assert not [figure for figure in budget.ledger().figures() if figure.reserved]


@pytest.mark.django_db
def test_what_is_downloading_waits_and_its_progress_is_kept(way: Way) -> None:
    way.client.phase, way.client.left = Phase.RUNNING, 1000
    way.look()
    assert way.state == ("fetching", "")
    assert way.acquisition.fetched > 0
    before = way.acquisition.progress_at
    with time_machine.travel(timezone.now() + timedelta(days=4)):
        way.look()
        assert way.state[0] == "fetching" and way.state[1].startswith("It is stuck since")
        since = way.acquisition.problem_since
        way.look()
        assert (way.acquisition.problem_since, way.acquisition.progress_at) == (since, before)
        way.client.left = 10
        way.look()
        # A byte has come.
        assert way.state == ("fetching", "")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("phase", "said"),
    [(Phase.BUSY, ""), (Phase.STOPPED, ""), (Phase.FAILED, "qBittorrent says: disk full")],
)
def test_what_the_client_says_of_it_is_told_apart(way: Way, phase: Phase, said: str) -> None:
    way.client.phase, way.client.left = phase, 5
    way.look()
    assert way.state == ("fetching", said)
    way.client.phase = Phase.DONE
    way.look()
    assert way.state == ("imported", "")


@pytest.mark.django_db
def test_a_torrent_that_somebody_removed_needs_a_person(way: Way, admin_user: User) -> None:
    way.client.phase = Phase.RUNNING
    way.look()
    way.client.place.unlink()
    way.look()
    assert way.state[0] == "fetching" and "somebody removed it there" in way.state[1]
    acquire.propose_again(way.acquisition, admin_user)
    assert way.state == ("cancelled", "")
    way.acquisition = Acquisition.objects.latest("pk")
    assert way.state == ("proposed", "")
    acquire.approve(way.acquisition, admin_user)
    way.client.phase = Phase.DONE
    way.look()
    assert way.state == ("imported", "")


@pytest.mark.django_db
def test_files_that_cannot_be_seen_from_here_need_a_person(way: Way) -> None:
    way.client.path = Path("/nowhere/at/all")
    way.look()
    assert way.state[0] == "fetching" and "DOWNLOAD_PATHS" in way.state[1]


# --- the client -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_refused_password_is_tried_once_and_again_when_a_person_says_so(way: Way) -> None:
    way.client.error = ClientError("qBittorrent refuses the password.", permanent=True)
    way.look(5)
    assert way.state == ("approved", "qBittorrent refuses the password.")
    assert way.client.asked == 1
    way.client.error = None
    collect.ask_clients_again()
    way.look()
    assert way.state == ("imported", "")
    assert ServiceState.objects.get(name="client:qbittorrent").consecutive_failures == 0


@pytest.mark.django_db
def test_a_client_that_is_away_is_waited_for(way: Way) -> None:
    way.client.error = ClientError("qBittorrent does not answer.")
    way.look()
    assert way.state == ("approved", "")
    with time_machine.travel(timezone.now() + timedelta(days=2)):
        way.look()
        assert "It is stuck since" in way.state[1] and "does not answer" in way.state[1]
        way.client.error = None
    with time_machine.travel(timezone.now() + timedelta(days=3)):
        way.look()
        assert way.state == ("imported", "")


@pytest.mark.django_db
def test_without_a_client_the_source_is_asked_for_nothing(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "torrent_client", lambda: None)
    asked = len(way.source.outside.seen)
    way.look()
    assert way.state[0] == "approved" and "QBITTORRENT_URL" in way.state[1]
    assert len(way.source.outside.seen) == asked


@pytest.mark.django_db
def test_a_torrent_that_the_client_refuses_is_followed_by_the_next(way: Way) -> None:
    way.client.refuses = True
    way.look()
    assert way.state[0] == "failed"
    following = Acquisition.objects.latest("pk")
    assert (following.state, following.key != way.acquisition.key) == ("proposed", True)


# --- just before it is handed over ------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_release_that_is_gone_is_followed_by_the_next(way: Way) -> None:
    way.source.items = [each for each in way.source.items if not way.acquisition.key.endswith(f"/{each.number}")]
    way.look()
    assert way.state[0] == "failed"
    following = Acquisition.objects.latest("pk")
    assert (following.state, following.work_id) == ("proposed", way.acquisition.work_id)
    assert BlockedRelease.objects.get().key == way.acquisition.key
    assert way.client.given() == []


@pytest.mark.django_db
def test_what_is_owned_by_now_is_not_fetched(way: Way) -> None:
    Book.objects.create(work=way.acquisition.work, title=TITLE, standing="owned")
    way.look()
    assert way.state[0] == "cancelled"
    assert way.client.given() == []


@pytest.mark.django_db
def test_what_became_larger_is_reserved_anew_or_approved_again(way: Way, settings: Any) -> None:
    for each in way.source.items:
        each.size = str(5_000_000)
    way.look()
    assert way.state[0] == "imported"
    # The torrent itself says how large it is.
    assert way.acquisition.size == sum(each.stat().st_size for each in way.content.iterdir())


@pytest.mark.django_db
def test_what_became_larger_than_the_budget_is_approved_again(way: Way, settings: Any) -> None:
    settings.BUDGET_WEEK_GB = 0.001
    for each in way.source.items:
        each.size = str(5_000_000)
    way.look()
    assert way.state[0] == "cancelled"
    again = Acquisition.objects.latest("pk")
    assert (again.state, again.verdict, again.size, again.key) == (
        "proposed",
        "doubtful",
        5_000_000,
        way.acquisition.key,
    )
    assert "has no room for it any more" in again.reasons[0]
    assert way.client.given() == []


@pytest.mark.django_db
def test_nothing_is_handed_over_while_fetching_is_stopped(way: Way, admin_user: User) -> None:
    acquire.stop_fetching(admin_user, "")
    way.look()
    assert way.state == ("approved", "")
    assert way.client.given() == []
    acquire.let_fetching_go_on(admin_user)
    way.look()
    assert way.state[0] == "imported"


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["../../etc", "CON", "a\0b", ".."])
def test_a_hostile_torrent_is_given_to_nobody(way: Way, name: str) -> None:
    from tests.fakes.torrent_files import torrent

    info = {"name": name, "length": 1000, "piece length": 2**14, "pieces": b"\0" * 20, "private": 1}
    for number in (1, 2):
        way.source.downloads[number] = Reply(200, torrent(info=info), {"Content-Type": "application/x-bittorrent"})
    way.look()
    assert way.state[0] == "failed"
    assert way.client.given() == []


# --- the check --------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_wrong_recording_stays_out_and_the_next_candidate_is_proposed(way: Way, tmp_path: Path) -> None:
    way.client.path = make_recording(tmp_path / "wrong", seconds=12)
    way.look()
    assert way.state[0] == "quarantined"
    assert list(way.library.iterdir()) == []
    following = Acquisition.objects.latest("pk")
    assert (following.state, following.pk != way.acquisition.pk) == ("proposed", True)
    # What was downloaded stays with the client.
    assert way.client.path.exists()


@pytest.mark.django_db
def test_a_doubtful_recording_is_taken_if_a_person_says_so(way: Way, tmp_path: Path, admin_user: User) -> None:
    Book.objects.update(runtime=None)
    way.look()
    assert way.state[0] == "fetched" and "is it a sample?" in way.state[1]
    assert list(way.library.iterdir()) == []
    acquire.accept(way.acquisition, admin_user)
    way.look()
    assert way.state == ("imported", "")


@pytest.mark.django_db
def test_what_the_library_got_meanwhile_is_not_imported(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    check = collect._STEPS[State.FETCHED]

    def owned_meanwhile(look: Any, row: Acquisition) -> None:
        check(look, row)
        Book.objects.create(work=row.work, title=TITLE, standing="owned")

    monkeypatch.setitem(collect._STEPS, State.FETCHED, owned_meanwhile)
    way.look()
    assert way.state[0] == "cancelled"
    assert list(way.library.iterdir()) == []


@pytest.mark.django_db
def test_a_place_that_another_book_has_is_not_written_to(way: Way) -> None:
    taken = way.library / SHELF
    taken.mkdir(parents=True)
    (taken / "other.mp3").write_bytes(b"another book")
    way.look()
    assert way.state == ("imported", "")
    assert way.acquisition.target == f"{SHELF} (2)"
    assert [each.name for each in taken.iterdir()] == ["other.mp3"]


@pytest.mark.django_db
def test_what_is_given_up_stays_reserved_until_the_client_has_it_no_more(way: Way, admin_user: User) -> None:
    way.client.phase, way.client.left = Phase.RUNNING, 1000
    way.look()
    acquire.give_up(way.acquisition, admin_user)
    assert list(budget.running_on()) == [way.acquisition]
    way.look()
    assert budget.running_on().exists()
    way.client.place.unlink()
    way.look()
    assert not budget.running_on().exists()


def begin_to_fetch_into(folder: Path) -> None:
    """And be stopped before there is a byte."""
    parts = [RemoteFile(name="a.mp3", url="http://127.0.0.1:9/")]
    assert not over_http.fetch(Doorway(), parts, folder, should_stop=lambda: True)


@pytest.mark.django_db
def test_what_was_fetched_here_is_cleared_once_it_is_of_no_use(way: Way, settings: Any, tmp_path: Path) -> None:
    downloads = settings.AUDIOBOOKS_DOWNLOADS
    Acquisition.objects.filter(pk=way.acquisition.pk).update(client="http", state="imported")
    way.acquisition.refresh_from_db()
    mine = collect.folder_of(way.acquisition)
    others = [downloads / f"else-{way.acquisition.pk}", downloads / "my own books", downloads / f"{mine.name}9"]
    others += [downloads / f"volume-{'9' * 30}", downloads / "volume-²", downloads / "volume-٣"]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept.mp3").touch()
    for each in (mine, *others):
        each.mkdir(parents=True)
    (downloads / "fiction-7").symlink_to(tmp_path / "elsewhere")
    way.look()
    # Of that name, and not made here: the folder may be the torrent client's as well.
    assert mine.exists()
    for each in (mine, *others):
        begin_to_fetch_into(each)
    way.look()
    assert not mine.exists() and all(each.exists() for each in others)
    for state in ("fetching", "quarantined"):
        begin_to_fetch_into(mine)
        Acquisition.objects.filter(pk=way.acquisition.pk).update(state=state, state_since=timezone.now(), parts=[{}])
        way.acquisition.refresh_from_db()
        collect._clear(collect.Monitor(TaskRun(task_id=0, attempt=1, channel=Quiet())))
        assert mine.exists()
        with time_machine.travel(timezone.now() + timedelta(days=31)):
            collect._clear(collect.Monitor(TaskRun(task_id=0, attempt=1, channel=Quiet())))
        assert mine.exists() == (state == "fetching")
        shutil.rmtree(mine, ignore_errors=True)
    assert (tmp_path / "elsewhere" / "kept.mp3").exists()


# --- kills ------------------------------------------------------------------------------------------------------------


_EFFECTS = {"os.link", "os.rename", "os.mkdir", "shutil.rmtree", "os.remove"}


def dies_at(step: int, work: Callable[[], object]) -> bool:
    """Do the work in a process that ends before its step of that number; whether it came to its end before."""
    connection.close()
    child = os.fork()
    if child == 0:
        taken, status = 0, 3

        def count() -> None:
            nonlocal taken
            taken += 1
            if taken == step:
                os._exit(9)

        def statement(execute: Any, sql: str, *rest: Any) -> Any:
            result = execute(sql, *rest)
            if not sql.startswith("SELECT"):
                count()
            return result

        try:
            sys.addaudithook(lambda event, arguments: count() if event in _EFFECTS else None)
            add = FakeClient.add

            def added(self: FakeClient, torrent: bytes | str, hash: str) -> None:
                add(self, torrent, hash)
                count()

            FakeClient.add = added  # type: ignore[method-assign]
            with connection.execute_wrapper(statement):
                work()
            status = 0
        finally:
            if status:
                traceback.print_exc()
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 9), status
    return status == 0


def both_jobs() -> None:
    run = TaskRun(task_id=0, attempt=1, channel=Quiet())
    series_completion_task.function(run)
    monitor(run)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(600)
def test_whichever_step_it_is_killed_at_there_is_one_torrent_and_one_book(
    indexer: FakeTorznab, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = make_way(indexer, settings, tmp_path, monkeypatch)
    content = sorted(each.name for each in way.content.iterdir())
    step, is_whole = 0, False
    while not is_whole:
        # Each on SQLite, and on PostgreSQL every third, for want of time.
        step += 1 if connection.vendor == "sqlite" else 3
        for model in (Acquisition, BlockedRelease, LibraryFile):
            model.objects.all().delete()
        Book.objects.filter(pk=way.missing.pk).update(standing="known", path=None, missing_since=None)
        acquire.WorkSearch.objects.all().delete()
        way.client.place.unlink(missing_ok=True)
        settings.AUDIOBOOKS_LIBRARY = tmp_path / f"library-{step}"
        settings.AUDIOBOOKS_LIBRARY.mkdir()
        is_whole = dies_at(step, both_jobs)
        # A search that was kept is not made again soon.
        acquire.WorkSearch.objects.all().delete()
        both_jobs()
        row = Acquisition.objects.get()
        told = (step, row.state, row.problem, [event.text for event in row.events.all()])
        assert row.state == "imported", told
        assert way.client.given() == [row.hash], told
        assert sorted(each.name for each in (settings.AUDIOBOOKS_LIBRARY / SHELF).iterdir()) == content, told
        assert [each.name for each in settings.AUDIOBOOKS_LIBRARY.iterdir()] == [AUTHOR], told
        assert list(Book.objects.filter(standing="owned", work=way.missing.work)) == [way.missing], told
        assert LibraryFile.objects.filter(book=way.missing, missing_since=None).count() == 2, told
        assert not [figure for figure in budget.ledger().figures() if figure.reserved], told
    # The way has so many steps, each of which it was killed at.
    assert step > 40, step
    print(f"killed until step {step}")
