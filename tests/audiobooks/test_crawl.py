"""The crawl against stand-ins of the sources: what it records, where it stops, how it goes on, and what it makes of failures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audiobooks import crawl
from audiobooks.facts import BookFacts, Contributor
from audiobooks.fields import new_book, offers_of
from audiobooks.http import Doorway, Patience
from audiobooks.models import Author, Book, Crawl, Host, Release, ServiceState, SourceSession
from audiobooks.names import rows_of, work_of
from audiobooks.sources import myanonamouse, registry
from scheduling.context import TaskRun
from scheduling.exceptions import TaskFailed
from scheduling.models import Job, Task
from tests.audiobooks.outside import Reply
from tests.audiobooks.running import Quiet
from tests.fakes import myanonamouse as site
from tests.fakes.librivox import FakeLibriVox, project
from tests.fakes.myanonamouse import SEED, Call, FakeMyAnonamouse, row
from tests.fakes.torznab import KEY, FakeTorznab, Item
from tests.scheduling.processes import running_scheduler, wait_until
from tests.scheduling.test_running import ended

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("roles")]
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our patience is short."""
    patience = Patience(read=30, total=60, attempts=2, first_pause=0.01, busy_pause=0.02, longest_pause=0.5)
    monkeypatch.setattr(crawl, "Doorway", lambda **_: Doorway(patience=patience, contact=""))


def offered(number: int, **values: Any) -> dict[str, Any]:
    """A row of MyAnonamouse that was added so many minutes after the start."""
    return row(number, **{"added": str(START + timedelta(minutes=number))[:19], **values})


class StopsAfterLooks(Quiet):
    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    def stop_wanted(self) -> bool:
        self.looks -= 1
        return self.looks < 0


def run(channel: Any = None) -> TaskRun:
    task = TaskRun(task_id=1, attempt=1, channel=channel or Quiet())
    crawl.new_releases(task)
    return task


def keys(source: str = "myanonamouse") -> list[int]:
    """In order; each as often as it is kept."""
    return sorted(int(key) for key in Release.objects.filter(source=source).values_list("key", flat=True))


def searches(mam: FakeMyAnonamouse) -> list[Call]:
    return [call for call in mam.calls if call.seen.path == site.SEARCH]


# --- what is recorded -------------------------------------------------------------------------------------------------


def test_all_is_recorded_once(mam: FakeMyAnonamouse) -> None:
    mam.rows = [offered(number) for number in range(1, 251)]
    task = run()
    assert keys() == list(range(1, 251))
    assert task.result["new"] == 250 and task.result["changed"] == 0 and "degraded" not in task.result
    assert task.result["sources"]["myanonamouse"]["finished"]
    assert task.processed == task.items_succeeded == 270, "pages overlap"
    release = Release.objects.get(key="7")
    assert (release.title, release.authors, release.language, release.format) == ("Book 7", "Nora Ferris", "en", "m4b")
    assert release.added == release.dated_at == START + timedelta(minutes=7)
    assert release.facts["narrators"] == ["Sam Oakes"] and release.seeders == 41 and release.free is False
    assert BookFacts.from_json(release.facts).series[0].name == "Harbour Cycle"
    assert "ownership" not in release.raw and release.raw["id"] == 7 and release.raw_at is not None
    assert release.search == "book 7 nora ferris sam oakes"


def test_a_second_crawl_changes_nothing_and_asks_little(mam: FakeMyAnonamouse) -> None:
    mam.rows = [offered(number) for number in range(1, 251)]
    run()
    before = list(Release.objects.order_by("pk").values_list("pk", "first_seen", "raw_at", "facts"))
    mam.calls.clear()
    task = run()
    assert (task.result["new"], task.result["changed"]) == (0, 0)
    assert [call.seen.path for call in mam.calls] == [site.ACCOUNT, site.SEARCH]
    assert list(Release.objects.order_by("pk").values_list("pk", "first_seen", "raw_at", "facts")) == before


def test_what_is_new_is_read_down_to_what_is_known(mam: FakeMyAnonamouse) -> None:
    mam.rows = [offered(number) for number in range(1, 301)]
    run()
    mam.rows += [offered(number) for number in range(301, 451)]
    mam.calls.clear()
    assert run().result["new"] == 150
    assert keys() == list(range(1, 451))
    assert len(searches(mam)) == 2


def test_one_that_is_known_among_the_new_is_not_where_the_known_begin(mam: FakeMyAnonamouse) -> None:
    mam.rows = [offered(number) for number in range(1, 51)]
    run()
    # Added anew, it is the last of the first page; there are as many new ones behind it.
    again = offered(7, added=str(START + timedelta(minutes=201, seconds=30))[:19])
    mam.rows = [again if each["id"] == 7 else each for each in mam.rows]
    mam.rows += [offered(number) for number in range(51, 301)]
    run()
    assert keys() == list(range(1, 301))


def test_what_is_seen_again_is_brought_up_to_date_and_not_emptied(mam: FakeMyAnonamouse) -> None:
    mam.rows = [offered(1), offered(2)]
    run()
    mam.rows = [offered(1, seeders=7, narrator_info="", numfiles=None), offered(2)]
    task = run()
    assert (task.result["new"], task.result["changed"]) == (0, 1)
    release = Release.objects.get(key="1")
    assert (release.seeders, release.files, release.facts["narrators"]) == (7, 1, ["Sam Oakes"])
    assert release.first_seen < release.last_seen


def test_what_is_free_is_said_of_now(mam: FakeMyAnonamouse) -> None:
    mam.rows, mam.account["classname"] = [offered(1, vip=1), offered(2, free=1)], "VIP"
    run()
    assert set(Release.objects.values_list("key", "free")) == {("1", True), ("2", True)}
    mam.rows, mam.account["classname"] = [offered(1, vip=1), offered(2)], "User"
    run()
    assert set(Release.objects.values_list("key", "free")) == {("1", False), ("2", False)}
    mam.account = {"nothing": "known"}
    run()
    assert set(Release.objects.values_list("key", "free")) == {("1", None), ("2", False)}


def test_what_is_gone_stays(mam: FakeMyAnonamouse) -> None:
    mam.rows = [offered(1), offered(2)]
    run()
    mam.rows = [offered(2)]
    run()
    assert keys() == [1, 2]


@pytest.mark.parametrize(
    "odd",
    [
        {"title": "Nul\x00 and half \ud800 a letter"},
        {"description": "Cut off in the middle of a picture \ud83d"},
        {"title": "x" * 5000, "author_info": '{"1":"' + "y" * 5000 + '"}'},
        {"seeders": 10**30, "size": "99999999 TiB", "times_completed": 2**62},
        {"added": "2999-01-01 00:00:00"},
        {"title": "\U00020000" * 5000, "author_info": '{"1":"' + "\U0002a6d0" * 900 + '"}'},
        {"mediainfo": '{"a":1e999}', "tags": float("inf")},
        {"lang_code": "z" * 300, "filetype": "q" * 300, "series_info": '{"1":["' + "s" * 3000 + '","1"]}'},
    ],
)
def test_odd_values_are_kept_as_far_as_they_can_be(mam: FakeMyAnonamouse, odd: dict[str, Any]) -> None:
    mam.rows = [offered(1, **odd), offered(2)]
    assert run().result["new"] == 2
    assert run().result["changed"] == 0
    assert Release.objects.get(key="1").dated_at <= timezone.now()


def test_a_page_costs_few_queries(mam: FakeMyAnonamouse) -> None:
    mam.rows = [offered(number) for number in range(1, 191)]
    with CaptureQueriesContext(connection) as queries:
        run()
    told = [each["sql"] for each in queries if not each["sql"].startswith(("PRAGMA", "BEGIN", "COMMIT", "SAVEPOINT"))]
    pages = len(searches(mam))
    assert pages == 2
    # SQLite takes few values in a statement, so a page is written by several.
    assert len(told) / pages <= 30, told
    assert sum("audiobooks_release" in sql and sql.startswith("SELECT") for sql in told) <= pages + 2


def test_a_release_of_a_book_in_the_library_knows_its_work(mam: FakeMyAnonamouse) -> None:
    def own(title: str, author: str) -> int:
        facts = BookFacts(title=title, authors=(Contributor(name=author),))
        book = new_book(work_of(title, rows_of(Author, [author])), offers_of(facts, "folder"), now=timezone.now())
        return book.work_id

    ours = own("The Blue Harbour", "Nora Ferris")
    own("The Red Harbour", "Somebody Else")
    mam.rows = [offered(1, title="The Blue Harbour: A Novel"), offered(2, title="The Red Harbour"), offered(3)]
    run()
    assert dict(Release.objects.values_list("key", "work")) == {"1": ours, "2": None, "3": None}
    later = own("Book 3", "Nora Ferris")
    # It came during that crawl, when the release was recorded already.
    Book.objects.filter(work=later).update(added_at=Crawl.objects.get().crawled_at - timedelta(hours=12))
    assert run().result["matched with books that came since"] == 1
    assert Release.objects.get(key="3").work_id == later


def test_the_answer_as_it_was_is_kept_for_some_days(mam: FakeMyAnonamouse, settings: Any) -> None:
    mam.rows = [offered(1)]
    run()
    assert Release.objects.get().raw
    mam.rows = [offered(2)]
    with time_machine.travel(timezone.now() + timedelta(days=settings.CRAWL_RAW_DAYS, hours=1)):
        run()
    old, new = Release.objects.order_by("key")
    assert (old.raw, old.raw_at) == ({}, None) and old.facts and new.raw


def test_old_answers_are_emptied_in_parts_without_sorting_and_until_it_is_to_stop(
    mam: FakeMyAnonamouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crawl, "BATCH", 10)
    mam.rows = [offered(number) for number in range(1, 31)]
    run()
    Release.objects.update(raw_at=START)
    crawl.forget_raw(TaskRun(task_id=1, attempt=1, channel=StopsAfterLooks(2)))
    assert Release.objects.filter(raw_at=None).count() == 20
    with CaptureQueriesContext(connection) as queries:
        crawl.forget_raw(TaskRun(task_id=1, attempt=1, channel=Quiet()))
    assert Release.objects.filter(raw_at=None, raw={}).count() == 30
    assert not any("ORDER BY" in query["sql"] for query in queries)


# --- where it stops and goes on ---------------------------------------------------------------------------------------


def test_a_listing_that_moves_while_it_is_read(mam: FakeMyAnonamouse) -> None:
    mam.rows = [offered(number) for number in range(1, 401)]

    def move(call: Call) -> None:
        count = len(searches(mam))
        if call.seen.path == site.SEARCH and count in (2, 3):
            # Some come on top, some of those that were read are taken away.
            mam.rows += [offered(1000 * count + each) for each in range(30)]
            mam.rows = [each for each in mam.rows if each["id"] not in range(395 - 8 * (count - 2), 400)]

    mam.before = move
    run()
    mam.before = None
    assert set(range(1, 387)) <= set(keys()), "none is lost"
    run()
    there = {each["id"] for each in mam.rows}
    assert there <= set(keys()) and len(keys()) == len(set(keys()))


def test_a_run_is_bounded_and_the_next_goes_on(mam: FakeMyAnonamouse, settings: Any) -> None:
    settings.CRAWL_PAGES = 2
    mam.rows = [offered(number) for number in range(1, 501)]
    finished = []
    for night in range(4):
        mam.rows.append(offered(1000 + night))
        mam.calls.clear()
        task = run()
        finished.append(task.result["sources"]["myanonamouse"]["finished"])
        assert len(searches(mam)) <= 3
    assert set(range(1, 501)) <= set(keys())
    run()
    assert keys() == [*range(1, 501), *range(1000, 1004)]
    assert finished[0] is False


def test_a_bound_of_one_page_gets_to_the_end(mam: FakeMyAnonamouse, settings: Any) -> None:
    settings.CRAWL_PAGES = 1
    mam.rows = [offered(number) for number in range(1, 301)]
    for _ in range(5):
        run()
    assert keys() == list(range(1, 301))
    assert Crawl.objects.get().complete_at is not None


def test_to_stop_is_heeded_between_pages_and_nothing_is_lost(mam: FakeMyAnonamouse) -> None:
    mam.rows = [offered(number) for number in range(1, 301)]
    run(Quiet(stop_after=100))
    assert len(keys()) == 100 and len(searches(mam)) == 1
    mam.rows += [offered(number) for number in range(301, 331)]
    assert run().result["sources"]["myanonamouse"]["finished"]
    assert keys() == list(range(1, 331))


def test_what_fails_in_the_middle_goes_on_there(mam: FakeMyAnonamouse) -> None:
    mam.rows = [offered(number) for number in range(1, 401)]
    mam.before = lambda call: mam.faults.append(site.SOME_PAGE) if len(mam.calls) == 4 else None
    with pytest.raises(TaskFailed, match="a page in place of data"):
        run()
    assert 100 < len(keys()) < 400
    mam.before = None
    mam.calls.clear()
    run()
    assert keys() == list(range(1, 401))
    assert int(searches(mam)[0].tor["startNumber"]) > 0, "not from the beginning"


@pytest.mark.parametrize("known", [0, 50])
def test_a_pass_that_is_too_old_begins_at_the_top_and_hides_nothing(mam: FakeMyAnonamouse, known: int) -> None:
    mam.rows = [offered(number) for number in range(1, known + 1)]
    run()
    mam.rows = [offered(number) for number in range(1, 401)]
    run(Quiet(stop_after=190))
    mam.calls.clear()
    with time_machine.travel(timezone.now() + crawl.CURSOR_GOES_STALE + timedelta(days=1)):
        run()
    assert searches(mam)[0].tor["startNumber"] == 0 and keys() == list(range(1, 401))
    assert Crawl.objects.get().pass_began is None


def test_a_first_pass_that_takes_longer_than_a_cursor_holds_comes_to_its_end(
    librivox: FakeLibriVox, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CRAWL_PAGES = 1
    monkeypatch.setattr(crawl, "CURSOR_GOES_STALE", timedelta(days=3))
    librivox.projects = [project(number) for number in range(1, 401)]
    with time_machine.travel(timezone.now()) as clock:
        for _ in range(10):
            run()
            clock.shift(timedelta(days=1))
    assert Release.objects.count() == 400 and Crawl.objects.get().complete_at is not None


def test_a_clock_that_is_set_back_in_the_middle_hides_nothing(mam: FakeMyAnonamouse) -> None:
    mam.rows = [offered(number) for number in range(1, 51)]
    run()
    mam.rows = [offered(number) for number in range(1, 401)]
    mam.calls.clear()
    with time_machine.travel(timezone.now() + timedelta(hours=3)) as clock:
        mam.before = lambda call: clock.shift(timedelta(hours=-1)) if len(searches(mam)) == 2 else None
        run()
    assert keys() == list(range(1, 401))


@pytest.mark.parametrize("known", [0, 50])
def test_a_list_that_became_shorter_is_read_from_the_top_and_hides_nothing(mam: FakeMyAnonamouse, known: int) -> None:
    mam.rows = [offered(number) for number in range(1, known + 1)]
    run()
    mam.rows = [offered(number) for number in range(1, 401)]
    run(Quiet(stop_after=190))
    # The page that was read last is the last one now.
    mam.rows = [*mam.rows[:60], *mam.rows[-60:]]
    run()
    assert keys() == [*range(1, 61), *range(211, 401)]


def test_another_listing_is_read_from_the_beginning(mam: FakeMyAnonamouse, settings: Any) -> None:
    mam.rows = [offered(n, language=37 if n < 50 else 1, lang_code="") for n in range(1, 251)]
    settings.MAM_LANGUAGES = ["en"]
    run()
    assert len(keys()) == 201
    settings.MAM_LANGUAGES = ["de", "en"]
    run()
    assert keys() == list(range(1, 251))


# --- LibriVox, which needs no account ---------------------------------------------------------------------------------


def test_without_anything_configured_librivox_is_crawled(librivox: FakeLibriVox) -> None:
    librivox.projects = [project(number) for number in range(1, 121)]
    assert run().result["new"] == 120
    release = Release.objects.get(key="invented_7_librivox")
    assert release.free and release.added is None and release.dated_at == release.first_seen
    librivox.outside.seen.clear()
    with time_machine.travel(timezone.now() + timedelta(days=1)):
        assert run().result["new"] == 0
    since = int(librivox.outside.seen[0].query["since"])
    assert timedelta(days=0) < timezone.now() - datetime.fromtimestamp(since, UTC) < timedelta(days=3)


def test_what_librivox_finishes_late_is_found(librivox: FakeLibriVox) -> None:
    librivox.projects = [project(number) for number in range(2, 121)]
    run()
    # Its number is older than all that are known.
    librivox.projects = [project(1), *librivox.projects]
    run()
    assert Release.objects.filter(key="invented_1_librivox").exists()


def test_of_librivox_only_what_came_since_is_asked_for(librivox: FakeLibriVox) -> None:
    librivox.projects = [project(number) for number in range(2, 121)]
    with time_machine.travel(timezone.now()) as clock:
        for days in (5, 5, 0):
            run()
            clock.shift(timedelta(days=days))
        librivox.projects.append(project(1))
        assert run().result["new"] == 1
    assert Crawl.objects.get().rows == 1


def test_that_nothing_is_new_is_no_failure(librivox: FakeLibriVox) -> None:
    task = run()
    assert task.result["new"] == 0 and "degraded" not in task.result
    assert ServiceState.objects.get(name="source:librivox").consecutive_failures == 0


# --- several sources, and failures ------------------------------------------------------------------------------------


def test_an_indexer_is_crawled(indexer: FakeTorznab) -> None:
    indexer.items = [Item(f"Nora Ferris - Book {number} [M4B]", number) for number in range(1, 251)]
    assert run().result["new"] == 250
    release = Release.objects.get(key="https://tracker.example/t/9")
    assert (release.source, release.format, release.name) == ("fiction", "m4b", "Nora Ferris - Book 9 [M4B]")
    assert KEY not in str(Release.objects.values_list("raw", "link", "fetch", "key", "facts"))


@pytest.mark.parametrize("more", [95, 100])
def test_an_indexer_whose_list_has_moved_on_by_a_page(indexer: FakeTorznab, more: int) -> None:
    def items(last: int) -> list[Item]:
        return [Item(f"Nora Ferris - Book {number} [M4B]", number) for number in range(last, 0, -1)]

    indexer.items = items(400)
    run(Quiet(stop_after=190))
    assert Release.objects.count() == 195, "pages overlap"
    # Where the crawl broke off stands what it has seen the page before.
    indexer.items = items(400 + more)
    assert "degraded" not in run().result
    assert Release.objects.count() == 400 + more


def test_one_source_that_fails_costs_only_its_own(mam: FakeMyAnonamouse, indexer: FakeTorznab) -> None:
    indexer.items = [Item("Nora Ferris - The Blue Harbour [M4B]")]
    mam.faults = [site.SIGNED_OUT, site.SIGNED_OUT]
    with pytest.raises(TaskFailed, match="does not know the session"):
        run()
    assert Release.objects.get().source == "fiction"


def test_an_answer_that_our_code_trips_over_costs_only_its_own(
    mam: FakeMyAnonamouse, indexer: FakeTorznab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trips(*args: object, **values: object) -> None:
        raise KeyError("no such thing")

    indexer.items = [Item("Nora Ferris - The Blue Harbour [M4B]")]
    mam.rows = [offered(1)]
    monkeypatch.setattr(myanonamouse.MyAnonamouse, "newest", trips)
    with pytest.raises(KeyError, match="no such thing"):
        run()
    assert Release.objects.get().source == "fiction"


SHAPES: dict[str, tuple[list[Reply], str]] = {
    "signed out": ([site.SIGNED_OUT] * 2, "make a new one .* and set MAM_SESSION"),
    "signed out, 403": ([site.SIGNED_OUT_403] * 2, "make a new one .* and set MAM_SESSION"),
    "invalid session": ([site.INVALID_SESSION] * 2, "make a new one .* and set MAM_SESSION"),
    "to the login": ([site.TO_LOGIN] * 2, "make a new one .* and set MAM_SESSION"),
    "a login page": ([site.LOGIN_PAGE] * 2, "make a new one .* and set MAM_SESSION"),
    "a browser's session": ([site.WRONG_SESSION], "of another kind"),
    "another address": ([site.IP_MISMATCH], "another address of the internet"),
    "another network": ([site.ASN_MISMATCH], "another address of the internet"),
    "throttled": ([site.THROTTLED] * 2, "asked too often|left alone"),
    "a firewall": ([site.FIREWALL], "refuses this computer"),
    "a page with status 200": ([site.SOME_PAGE], "a page in place of data"),
    "out of order": ([Reply(503, b"<html>busy</html>")] * 2, "out of order|left alone"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_each_failure_is_a_sentence_and_takes_nothing_away(mam: FakeMyAnonamouse, shape: str) -> None:
    mam.rows = [offered(1)]
    run()
    state = list(Crawl.objects.values())
    ServiceState.objects.all().delete()
    mam.faults, sentence = list(SHAPES[shape][0]), SHAPES[shape][1]
    with pytest.raises(TaskFailed, match=sentence) as failed:
        run()
    assert SEED not in str(failed.value) and mam.session not in str(failed.value)
    assert keys() == [1] and list(Crawl.objects.values()) == state


@pytest.mark.parametrize("broken", [site.CUT, site.SEARCH_FAILED, Reply(200, b"[]"), Reply(200, b"")])
def test_a_broken_listing_is_a_failure(mam: FakeMyAnonamouse, broken: Reply) -> None:
    mam.rows = [offered(1)]
    mam.before = lambda call: mam.faults.append(broken) if call.seen.path == site.SEARCH else None
    with pytest.raises(TaskFailed):
        run()
    assert not Release.objects.exists() and Crawl.objects.get().complete_at is None


def test_an_account_that_cannot_be_read_does_not_keep_from_crawling(mam: FakeMyAnonamouse) -> None:
    mam.rows, mam.account = [offered(1)], {"nothing": "known"}
    run()
    assert keys() == [1] and Crawl.objects.get().account == {}


def test_the_account_is_kept(mam: FakeMyAnonamouse) -> None:
    mam.account["ratio"] = "∞"
    run()
    state = Crawl.objects.get()
    assert state.account == {
        **{"grade": "Power User", "ratio": "∞", "uploaded": 3250, "downloaded": 1000, "wedges": 7, "points": 4321},
        **{"unsatisfied": 12, "unsatisfied_limit": 100},
    }
    assert state.account_at is not None


def test_a_host_that_takes_nobody_for_a_moment_is_waited_for(mam: FakeMyAnonamouse) -> None:
    mam.rows = [offered(1)]
    host = mam.url.removeprefix("http://")
    # Of a process that was killed in the middle of its request.
    Host.objects.reserve(host, every=0, at_once=1, lease=1.0)
    run()
    assert keys() == [1]


def test_without_a_session_that_is_said(settings: Any, mam: FakeMyAnonamouse) -> None:
    settings.SOURCES, settings.MAM_SESSION = ["myanonamouse"], ""
    with pytest.raises(TaskFailed, match="has no session: make a new one"):
        run()
    assert mam.calls == []


def test_without_a_source_that_is_said(settings: Any) -> None:
    settings.SOURCES = ["goodreads"]
    with pytest.raises(TaskFailed, match="SOURCES"):
        run()


def test_one_that_is_off_is_not_asked(mam: FakeMyAnonamouse) -> None:
    mam.faults = [site.SIGNED_OUT, site.SIGNED_OUT]
    for _ in range(2):
        with pytest.raises(TaskFailed, match="make a new one"):
            run()
    assert len(mam.calls) == 1, "the session that was pasted is the one that was refused"


# --- the session ------------------------------------------------------------------------------------------------------


def test_the_session_outlasts_the_process(mam: FakeMyAnonamouse) -> None:
    mam.rows = [offered(1)]
    run()
    run()
    assert mam.calls[0].session == SEED and len({call.session for call in mam.calls}) == 4
    kept = SourceSession.objects.get()
    assert kept.current == mam.session and kept.renewed_at is not None and SEED not in kept.seed


def test_a_new_session_is_used_at_once(mam: FakeMyAnonamouse, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    settings.MAM_SESSION = mam.session = "AnotherSeed%3D%3Dof9"
    # As a process that is started after it was pasted.
    monkeypatch.setattr(registry, "_SETTINGS_READ_AT", timezone.now())
    mam.calls.clear()
    run()
    assert mam.calls[0].session == "AnotherSeed%3D%3Dof9" and SourceSession.objects.get().current == mam.session


def test_a_session_is_the_same_however_it_is_written(
    mam: FakeMyAnonamouse, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MAM_SESSION = f"mam_id={SEED};"
    run()
    # .env is tidied, and the process started anew.
    settings.MAM_SESSION = SEED
    monkeypatch.setattr(registry, "_SETTINGS_READ_AT", timezone.now())
    mam.calls.clear()
    run()
    assert mam.calls[0].session not in ("", SEED)
    # What is no session at all is still refused in words.
    settings.MAM_SESSION = "no session"
    with pytest.raises(TaskFailed, match="Paste it again"):
        run()


def test_a_process_with_the_old_session_leaves_the_new_one_alone(
    mam: FakeMyAnonamouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_ago = timezone.now()
    old = registry.KeptSession("myanonamouse", "OldSeed")
    old.load()
    monkeypatch.setattr(registry, "_SETTINGS_READ_AT", timezone.now())
    new = registry.KeptSession("myanonamouse", "NewSeed")
    new.load()
    new.save("of the new", seed="NewSeed")
    monkeypatch.setattr(registry, "_SETTINGS_READ_AT", long_ago)
    assert old.load().current == ""
    old.save("of the old", seed="OldSeed")
    assert new.load().current == "of the new"


# --- drift ------------------------------------------------------------------------------------------------------------


def test_fewer_fields_than_usual_are_noticed(mam: FakeMyAnonamouse) -> None:
    mam.rows = [offered(number) for number in range(1, 101)]
    run()
    tags = "64 kbps https://tracker.example/rss?passkey=never-shown-2"
    mam.rows += [offered(n, narrator_info="", mam_id="never-shown-1", tags=tags) for n in range(101, 181)]
    task = run()
    [degraded] = task.result["degraded"]
    assert degraded["source"] == "myanonamouse" and degraded["less"] == [
        "narrators is filled in 20% of its releases, usually in 100%"
    ]
    state = Crawl.objects.get()
    assert degraded["sample"]["id"] == 180 and "never-shown" not in str(task.result) + str(state.drift)
    assert state.drift["less"] == degraded["less"] and state.drifting == 1
    assert keys() == list(range(1, 181)), "what could be read is kept"
    mam.rows += [offered(number) for number in range(181, 281)]
    assert "degraded" not in run().result
    assert Crawl.objects.get().drift == {} and Crawl.objects.get().drifting == 0


def test_from_rows_that_cannot_be_read_nothing_is_concluded(mam: FakeMyAnonamouse) -> None:
    mam.rows = [offered(number) for number in range(1, 101)]
    run()
    before = Crawl.objects.get()
    whole = mam.rows
    mam.rows = [{**offered(number), "id": f"id-{number}"} for number in range(101, 201)]
    task = run()
    assert task.result["degraded"][0]["less"] == ["0% of its rows could be read, usually 100%"]
    assert task.result["degraded"][0]["sample"]["id"] == "id-200"
    assert Crawl.objects.get().complete_at == before.complete_at
    mam.rows = whole + [offered(number) for number in range(101, 201)]
    run()
    assert keys() == list(range(1, 201))


def test_from_an_empty_list_nothing_is_concluded(mam: FakeMyAnonamouse) -> None:
    mam.rows = [offered(number) for number in range(1, 31)]
    run()
    complete_at = Crawl.objects.get().complete_at
    whole, mam.rows = mam.rows, []
    task = run()
    assert "lists nothing at all" in task.result["degraded"][0]["less"][0]
    assert Crawl.objects.get().complete_at == complete_at
    mam.rows = [*whole, offered(31)]
    assert "degraded" not in run().result
    assert keys() == list(range(1, 32))


def test_an_empty_page_in_place_of_the_last_one_begins_again(mam: FakeMyAnonamouse) -> None:
    mam.rows = [offered(number) for number in range(1, 301)]
    run()
    mam.rows += [offered(number) for number in range(301, 701)]
    run(Quiet(stop_after=190))
    whole, mam.rows = mam.rows, mam.rows[-50:]
    assert run().result["degraded"]
    mam.rows = whole
    run()
    assert keys() == list(range(1, 701))


@pytest.mark.parametrize("answer", [{"error": "Nothing returned, out of 0"}, {"found": 0, "data": []}])
@pytest.mark.parametrize("known", [0, 50])
def test_an_empty_page_in_the_middle_is_not_the_end(mam: FakeMyAnonamouse, known: int, answer: dict[str, Any]) -> None:
    mam.rows = [offered(number) for number in range(1, known + 1)]
    run()
    complete_at = Crawl.objects.get().complete_at
    mam.rows = [offered(number) for number in range(1, 401)]
    mam.calls.clear()
    mam.before = lambda call: mam.faults.append(Reply.of(answer)) if len(searches(mam)) == 3 else None
    task = run()
    mam.before = None
    assert not task.result["sources"]["myanonamouse"]["finished"]
    assert task.result["degraded"][0]["less"] == ["it lists nothing where it said that there is more"]
    state = Crawl.objects.get()
    assert state.complete_at == complete_at and state.pass_began is not None
    mam.calls.clear()
    assert "degraded" not in run().result
    assert int(searches(mam)[0].tor["startNumber"]) > 0, "not from the beginning"
    assert keys() == list(range(1, 401)) and Crawl.objects.get().pass_began is None


def test_an_indexer_that_is_empty_in_the_middle_is_not_at_its_end(
    indexer: FakeTorznab, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexer.tells_total = True
    indexer.items = [Item(f"Nora Ferris - Book {number} [M4B]", number) for number in range(400, 0, -1)]
    whole, feed = indexer.items, indexer.feed

    def empty_in_the_middle(query: dict[str, str]) -> str:
        indexer.items = [] if query.get("offset") == "190" else whole
        return feed(query)

    monkeypatch.setattr(indexer, "feed", empty_in_the_middle)
    assert run().result["degraded"] and Crawl.objects.get().complete_at is None
    monkeypatch.setattr(indexer, "feed", feed)
    indexer.items = whole
    run()
    assert Release.objects.count() == 400 and Crawl.objects.get().complete_at is not None


def test_an_indexer_that_counts_wrong_has_come_to_its_end_the_second_time(
    indexer: FakeTorznab, caplog: pytest.LogCaptureFixture
) -> None:
    indexer.tells_total, indexer.paging = True, "empty"
    items = [Item(f"Nora Ferris - Book {number} [M4B]", number) for number in range(600, 0, -1)]
    indexer.items = items[200:]
    assert "degraded" in run().result and Crawl.objects.get().complete_at is None
    assert "degraded" not in run().result
    state = Crawl.objects.get()
    assert state.complete_at is not None and (state.drift, state.drifting) == ({}, 0)
    indexer.items = items[180:]
    assert "degraded" not in run().result
    indexer.items = items
    assert "degraded" in run().result and "more is new than it lists" not in caplog.text
    assert "degraded" not in run().result and "more is new than it lists" in caplog.text


def test_an_empty_page_behind_another_one_is_not_the_end(
    indexer: FakeTorznab, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.CRAWL_PAGES = 2
    indexer.tells_total = True
    indexer.items = [Item(f"Nora Ferris - Book {number} [M4B]", number) for number in range(400, 0, -1)]
    whole, feed = indexer.items, indexer.feed

    def empty_from(offset: int) -> None:
        def answer(query: dict[str, str]) -> str:
            indexer.items = [] if int(query.get("offset", 0)) >= offset else whole
            return feed(query)

        monkeypatch.setattr(indexer, "feed", answer)

    empty_from(95)
    assert run().result["degraded"]
    empty_from(190)
    assert run().result["degraded"] and Crawl.objects.get().complete_at is None


def test_that_more_is_new_than_the_source_lists_is_said(
    mam: FakeMyAnonamouse, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(myanonamouse, "MOST_ROWS", 190)
    mam.rows = [offered(number) for number in range(1, 301)]
    assert run().result["sources"]["myanonamouse"]["finished"], "before the first crawl nothing was known"
    mam.rows += [offered(number) for number in range(301, 601)]
    caplog.clear()
    assert run().result["sources"]["myanonamouse"]["finished"] is False
    assert "MyAnonamouse: more is new than it lists." in caplog.text
    caplog.clear()
    assert run().result["sources"]["myanonamouse"]["finished"] is True
    assert "more is new" not in caplog.text


def test_what_has_changed_for_good_becomes_usual(mam: FakeMyAnonamouse) -> None:
    mam.rows = [offered(number) for number in range(1, 101)]
    run()
    mam.rows = [offered(number, narrator_info="") for number in range(101, 201)]
    nights = 0
    while "degraded" in run().result:
        nights += 1
    assert nights == crawl.DRIFT_ACCEPTED_AFTER + 1
    assert Crawl.objects.get().drift == {}


def test_that_nothing_can_be_read_never_becomes_usual(mam: FakeMyAnonamouse) -> None:
    mam.rows = [offered(number) for number in range(1, 101)]
    run()
    mam.rows = [{**offered(number), "id": "x"} for number in range(101, 201)]
    for _ in range(crawl.DRIFT_ACCEPTED_AFTER + 3):
        assert "degraded" in run().result
    assert Crawl.objects.get().drifting == crawl.DRIFT_ACCEPTED_AFTER + 3


def test_a_few_rows_are_no_drift(mam: FakeMyAnonamouse) -> None:
    mam.rows = [offered(number) for number in range(1, 101)]
    run()
    mam.rows = [offered(number, narrator_info="") for number in range(101, 110)]
    assert "degraded" not in run().result


# --- with real processes ----------------------------------------------------------------------------------------------


@pytest.fixture
def environment(mam: FakeMyAnonamouse, process_env: dict[str, str]) -> dict[str, str]:
    return {**process_env, "MAM_SESSION": SEED, "MAM_URL": mam.url, "LOG_LEVEL": "DEBUG"}


def queue() -> Task:
    return Job.objects.get(pk="mam_scraping").run_now()


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_a_killed_crawl_goes_on_and_keeps_its_pace(
    mam: FakeMyAnonamouse, environment: dict[str, str], tmp_path: Path
) -> None:
    mam.rows = [offered(number) for number in range(1, 501)]
    with running_scheduler(environment, tmp_path) as scheduler:
        task = queue()
        wait_until(lambda: len(keys()) >= 190, seconds=120, otherwise=lambda: scheduler.output)
        scheduler.kill_all()
    done = len(keys())
    assert 190 <= done < 500
    mam.rows += [offered(number) for number in range(501, 521)]
    with running_scheduler(environment, tmp_path):
        assert ended(task, 90).status == Task.Status.LOST
        # The request that was under way is forgotten only when it can be under way no more.
        again = ended(queue(), 200)
    assert again.status == Task.Status.COMPLETED, again.error_message
    assert keys() == list(range(1, 521))
    assert mam.outside.most_at_once == 1 and min(mam.outside.gaps) >= 2.0
    assert len(mam.calls) <= 13
