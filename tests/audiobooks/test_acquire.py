"""From a gap to an approved acquisition: what is searched, proposed, approved by rule, kept waiting and kept out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from audiobooks import acquire, budget, gaps, listing, proposing
from audiobooks.facts import BookFacts, Contributor
from audiobooks.fields import Offer, edit, new_book
from audiobooks.ledger import GB, Volume
from audiobooks.models import (
    Acquisition,
    BlockedRelease,
    Book,
    Crawl,
    Proposal,
    Release,
    Series,
    Work,
    WorkMark,
    WorkSearch,
)
from audiobooks.sources.torznab import Torznab
from audiobooks.tasks import series_completion_task, wanted_books_task
from scheduling.context import TaskRun
from scheduling.exceptions import NotAllowedNow, TaskFailed
from tests.audiobooks.outside import Reply
from tests.audiobooks.running import Quiet
from tests.fakes.myanonamouse import FakeMyAnonamouse, row
from tests.fakes.torznab import FakeTorznab, Item
from tests.samples.acquisitions import AUTHOR, TITLE, next_volumes, owned_and_missing

pytestmark = pytest.mark.django_db
State = Acquisition.State
HOUR = 3600
MB = 10**6


@pytest.fixture(autouse=True)
def household(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.SOURCES, settings.ACQUIRE, settings.METADATA_PROVIDERS = ["fiction"], "auto", []
    monkeypatch.setattr(budget, "_volume", lambda folder: Volume(device=1, free=500 * GB, total=900 * GB))


@pytest.fixture
def missing(db: None) -> Book:
    return owned_and_missing(runtime=10 * HOUR)[1]


def offer(title: str = TITLE, number: int = 1, *, language: str = "ENG", **changed: Any) -> Item:
    """Ten hours of a book that is free."""
    fields = {"size": str(300 * MB), "attrs": {"downloadvolumefactor": "0"}, **changed}
    return Item(f"{title} by {AUTHOR} [{language} / M4B]", number, **fields)


def run_series(**arguments: Any) -> TaskRun:
    run = TaskRun(task_id=0, attempt=1, channel=Quiet())
    series_completion_task.function(run, **arguments)
    return run


def states() -> list[str]:
    return list(Acquisition.objects.order_by("pk").values_list("state", flat=True))


# --- searching --------------------------------------------------------------------------------------------------------


def test_a_gap_is_searched_proposed_and_approved_by_rule(missing: Book, indexer: FakeTorznab) -> None:
    indexer.items = [offer(), offer(number=2, size=str(250 * MB))]
    run = run_series()
    acquisition = Acquisition.objects.get()
    assert (acquisition.work_id, acquisition.book_id, acquisition.state) == (missing.work_id, missing.pk, "approved")
    assert (acquisition.cause, acquisition.why) == ("series", "number 2 of The Salt Cartographers")
    assert acquisition.reasons and [each["verdict"] for each in acquisition.candidates] == ["fit"]
    assert [event.state for event in acquisition.events.all()] == ["proposed", "approved"]
    assert run.result == {"found": 1, "proposed": 1, "approved": 1}
    # What was offered is kept as a release, as the crawl keeps it.
    assert Release.objects.filter(source="fiction").count() == 2
    assert gaps.series_boards()[0].open_gaps[0].reason == gaps.Reason.DOWNLOADING


@pytest.mark.parametrize(
    ("items", "outcome"),
    [
        ([], "nothing"),
        ([Item("Another Book by Somebody Else [ENG / M4B]", size=str(300 * MB))], "nothing"),
        ([offer(language="GER"), offer(number=2, language="GER")], "language"),
        ([offer(language="GER"), offer(number=2, attrs={"downloadvolumefactor": "1"})], "unfit"),
        ([Item(f"{TITLE} by {AUTHOR} [ENG / EPUB]", size=str(MB))], "nothing"),
        ([offer(size=str(9_000 * MB))], "unfit"),
    ],
)
def test_what_comes_of_a_search_is_told_by_kind(
    missing: Book, indexer: FakeTorznab, items: list[Item], outcome: str
) -> None:
    indexer.items = items
    run_series()
    search = WorkSearch.objects.get(work=missing.work)
    assert (search.outcome, Acquisition.objects.exists()) == (outcome, False)
    for each in search.decision["candidates"]:
        assert each["reasons"] and each["verdict"] == "unfit"


def test_what_is_hopeless_is_searched_ever_more_rarely(missing: Book, indexer: FakeTorznab) -> None:
    waits = []
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for _ in range(6):
            run_series()
            search = WorkSearch.objects.get()
            waits.append((search.next_at - timezone.now()).days)
            asked = len(indexer.outside.seen)
            # Not a moment before.
            clock.move_to(search.next_at - timedelta(seconds=1))
            run_series()
            assert len(indexer.outside.seen) == asked
            clock.move_to(search.next_at)
        assert waits == [7, 14, 28, 56, 56, 56]
        indexer.items = [offer()]
        run_series()
        assert (WorkSearch.objects.get().fruitless, states()) == (0, ["approved"])


def test_a_source_that_does_not_answer_is_no_fruitless_search(missing: Book, indexer: FakeTorznab) -> None:
    indexer.broken = Reply(200, b"<html>Sign in</html>")
    with pytest.raises(TaskFailed, match="No source answered, so nothing is concluded"):
        run_series()
    search = WorkSearch.objects.get()
    assert (search.outcome, search.fruitless) == ("unanswered", 0)
    assert search.next_at - timezone.now() < timedelta(days=1)
    assert list(search.decision["sources"]) == ["fiction"]


def test_without_a_source_the_task_says_so(missing: Book, settings: Any) -> None:
    settings.SOURCES = ["none of this name"]
    with pytest.raises(TaskFailed, match="No source is turned on"):
        run_series()


def test_those_never_searched_come_first_and_a_run_has_its_most(missing: Book, indexer: FakeTorznab) -> None:
    others = next_volumes(4, runtime=10 * HOUR)
    with time_machine.travel(timezone.now(), tick=False) as clock:
        run_series(most=3)
        clock.shift(timedelta(days=60))
        run_series(most=3)
        # The two that were left, and the one of the first three that was searched longest ago.
        searched = dict(WorkSearch.objects.values_list("work", "searched_at"))
        assert [searched[each.work_id] == timezone.now() for each in (missing, *others)] == [
            True, False, False, True, True,
        ]  # fmt: skip


def test_a_run_that_is_stopped_leaves_the_rest(missing: Book, indexer: FakeTorznab) -> None:
    next_volumes(4, runtime=10 * HOUR)
    indexer.items = [offer()]
    run = TaskRun(task_id=0, attempt=1, channel=Quiet(stop_after=3))  # The series is listed first.
    series_completion_task.function(run)
    assert (WorkSearch.objects.count(), states()) == (2, ["proposed"])


@pytest.mark.django_db(transaction=True)
def test_a_title_that_is_corrected_meanwhile_costs_the_run_nothing_else(
    missing: Book, indexer: FakeTorznab, admin_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, third = next_volumes(2, runtime=10 * HOUR)
    indexer.items = [offer(), offer(other.title, 2), offer(third.title, 3)]
    search, gone = acquire.search, missing.work_id

    def corrected(http: Any, sources: Any, book: Book) -> acquire.Searched:
        found = search(http, sources, book)
        if book == missing:
            edit(missing, {"title": other.title}, by=admin_user)
        elif book == other:
            # Hung on another work before its own turn came.
            edit(third, {"title": "Salt Volume Nine"}, by=admin_user)
            Book.objects.filter(pk=third.pk).update(work=Work.objects.create(title="Salt Volume Nine", key="x"))
        return found

    monkeypatch.setattr(acquire, "search", corrected)
    indexer.items[2].title = f"Salt Volume Nine by {AUTHOR} [ENG / M4B]"
    run_series()
    third.refresh_from_db()
    assert not Work.objects.filter(pk=gone).exists()
    # What was found by the wrong title is nowhere proposed.
    assert set(WorkSearch.objects.values_list("work", flat=True)) == {other.work_id, third.work_id}
    assert dict(Acquisition.objects.values_list("work", "state")) == dict.fromkeys(
        [other.work_id, third.work_id], "approved"
    )


def test_a_book_that_is_deleted_meanwhile_is_passed_over(
    missing: Book, indexer: FakeTorznab, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = missing, *next_volumes(2, runtime=10 * HOUR)
    indexer.items = [offer(each.title, number) for number, each in enumerate((first, second, third), 1)]
    search, asked = acquire.search, []

    def deleting(http: Any, sources: Any, book: Book) -> acquire.Searched:
        if not asked:
            Book.objects.get(pk=second.pk if book != second else third.pk).delete()
        asked.append(book.pk)
        return search(http, sources, book)

    monkeypatch.setattr(acquire, "search", deleting)
    run_series()
    assert len(asked) == 2 == Acquisition.objects.count()


# --- plan and apply ---------------------------------------------------------------------------------------------------


def told() -> list[tuple[Any, ...]]:
    names = (
        "work",
        "state",
        "source",
        "key",
        "name",
        "size",
        "free",
        "verdict",
        "score",
        "reasons",
        "candidates",
        "refusal",
    )
    return list(Acquisition.objects.order_by("pk").values_list(*names))


@pytest.mark.parametrize("most", [1, 2, 3, 99])
@pytest.mark.slow
def test_to_plan_and_then_apply_does_what_a_run_does(
    missing: Book, indexer: FakeTorznab, settings: Any, most: int
) -> None:
    others = next_volumes(4, runtime=10 * HOUR)
    settings.BUDGET_RUN, settings.BUDGET_RUN_GB = most, 1.0
    indexer.items = [offer(), *(offer(each.title, number) for number, each in enumerate(others, 2))]
    # One that a rule does not take: its language is not told.
    indexer.items[2].title = f"{others[1].title} by {AUTHOR}"
    run_series()
    directly = told()
    Acquisition.objects.all().delete()
    WorkSearch.objects.all().delete()
    run_series(plan_only=True)
    assert set(states()) == {"proposed"}
    acquire.apply_plan(TaskRun(task_id=0, attempt=1, channel=Quiet()))
    assert told() == directly
    assert states().count("approved") == min(most, 3)


def test_what_the_budget_does_not_take_waits_for_the_next_run(
    missing: Book, indexer: FakeTorznab, settings: Any
) -> None:
    settings.BUDGET_RUN = 1
    (other,) = next_volumes(1, runtime=10 * HOUR)
    indexer.items = [offer(), offer(other.title, 2)]
    run_series()
    assert states() == ["approved", "proposed"]
    assert "1 at most" in Acquisition.objects.latest("pk").refusal
    run_series()
    assert (states(), Acquisition.objects.latest("pk").refusal) == (["approved", "approved"], "")


def test_in_review_nothing_is_approved_by_rule(missing: Book, indexer: FakeTorznab, settings: Any) -> None:
    settings.ACQUIRE = "review"
    indexer.items = [offer()]
    run = run_series()
    assert (states(), run.result) == (["proposed"], {"found": 1, "proposed": 1})


def test_what_is_doubtful_is_for_a_person(missing: Book, indexer: FakeTorznab, admin_user: User) -> None:
    indexer.items = [Item(f"{TITLE} by {AUTHOR}", size=str(300 * MB), attrs={"downloadvolumefactor": "0"})]
    run_series()
    acquisition = Acquisition.objects.get()
    assert (acquisition.state, acquisition.verdict) == ("proposed", "doubtful")
    acquire.approve(acquisition, admin_user)
    acquisition.refresh_from_db()
    assert (acquisition.state, acquisition.approved_by) == ("approved", admin_user)


@pytest.mark.parametrize("same_work", [True, False])
def test_what_is_owned_meanwhile_leaves_the_inbox_and_is_not_approved(
    missing: Book, indexer: FakeTorznab, settings: Any, same_work: bool
) -> None:
    settings.BUDGET_RUN = 1
    (other,) = next_volumes(1, runtime=10 * HOUR)
    indexer.items = [offer(), offer(other.title, 2)]
    run_series(plan_only=True)
    become_owned(missing, same_work=same_work)
    acquire.apply_plan(TaskRun(task_id=0, attempt=1, channel=Quiet()))
    assert states() == ["cancelled", "approved"]
    assert "library has it" in Acquisition.objects.earliest("pk").events.last().text


@pytest.mark.parametrize("same_work", [True, False])
def test_what_is_owned_meanwhile_does_not_wait_for_a_person(
    missing: Book, indexer: FakeTorznab, settings: Any, same_work: bool
) -> None:
    settings.ACQUIRE = "review"
    indexer.items = [offer()]
    run_series()
    become_owned(missing, same_work=same_work)
    run_series()
    assert states() == ["cancelled"]


def test_what_is_owned_by_the_end_of_its_search_is_not_proposed(
    missing: Book, indexer: FakeTorznab, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexer.items = [offer()]
    search = acquire.search

    def bought(http: Any, sources: Any, book: Book) -> acquire.Searched:
        become_owned(book, same_work=True)
        return search(http, sources, book)

    monkeypatch.setattr(acquire, "search", bought)
    run_series()
    assert states() == []


def become_owned(book: Book, *, same_work: bool) -> None:
    """By a recording of its work, or of another work that is the same."""
    if same_work:
        Book.objects.create(work=book.work, title=book.title, standing="owned")
    else:
        said = {"title": book.title, "authors": [AUTHOR], "language": "en"}
        offers = {name: Offer(value, "folder") for name, value in said.items()}
        work = Work.objects.create(title=book.title, key=book.work.key)
        new_book(work, offers, now=timezone.now(), standing="owned")


def test_the_switch_stops_rules_and_people(missing: Book, indexer: FakeTorznab, admin_user: User) -> None:
    indexer.items = [offer()]
    acquire.stop_fetching(admin_user, "on holiday")
    with pytest.raises(NotAllowedNow):
        acquire.stop_fetching(admin_user, "twice")
    run_series()
    assert states() == ["proposed"]
    with pytest.raises(NotAllowedNow, match="stopped"):
        acquire.approve(Acquisition.objects.get(), admin_user)
    acquire.let_fetching_go_on(admin_user)
    with pytest.raises(NotAllowedNow):
        acquire.let_fetching_go_on(admin_user)
    run_series()
    assert states() == ["approved"]


def test_a_work_has_one_open_acquisition(missing: Book, indexer: FakeTorznab) -> None:
    indexer.items = [offer()]
    [wanted] = gaps.missing()
    run_series()
    searched = acquire.Searched([], 1, {})
    assert acquire.propose(wanted, searched) is None
    fields = {"work": missing.work, "state_since": timezone.now(), "cause": "series", "source": "x", "key": "1"}
    with pytest.raises(IntegrityError), transaction.atomic():
        Acquisition.objects.create(**fields)
    assert gaps.missing() == []


# --- a person ---------------------------------------------------------------------------------------------------------


def test_a_declined_release_does_not_come_again_and_another_may(
    missing: Book, indexer: FakeTorznab, admin_user: User, settings: Any
) -> None:
    settings.ACQUIRE = "review"
    indexer.items = [offer(), offer(number=2, size=str(200 * MB))]
    with time_machine.travel(timezone.now(), tick=False) as clock:
        run_series()
        first = Acquisition.objects.get()
        acquire.decline(first, admin_user)
        with pytest.raises(NotAllowedNow):
            acquire.decline(first, admin_user)
        clock.shift(timedelta(days=400))
        run_series()
        first, second = Acquisition.objects.order_by("pk")
        assert (first.state, second.state) == ("declined", "proposed")
        assert first.key != second.key
        acquire.decline(second, admin_user)
        clock.shift(timedelta(days=400))
        run_series()
    assert Acquisition.objects.count() == 2
    search = WorkSearch.objects.get()
    assert search.outcome == "unfit"
    assert all("A person declined it." in each["reasons"][0] for each in search.decision["candidates"])


def test_what_is_blocked_is_known_at_another_source_by_hash_or_by_name_and_size(missing: Book) -> None:
    now = timezone.now()
    made = {
        "title": TITLE,
        "name": f"{TITLE} by {AUTHOR} [ENG / M4B]",
        "dated_at": now,
        "first_seen": now,
        "last_seen": now,
    }
    rows = [
        Release.objects.create(source=source, key=key, hash=hash, size=size, **made)
        for source, key, hash, size in (
            ("a", "1", "f" * 40, 300 * MB),
            ("b", "7", "f" * 40, 99 * MB),
            ("b", "8", "", 301 * MB),
            ("b", "9", "", 320 * MB),
            ("a", "2", "", 300 * MB),
        )
    ]
    BlockedRelease.objects.create(
        source="a", key="1", hash="f" * 40, name=made["name"], size=300 * MB, reason="Broken.",
        name_key=acquire.key_of(made["name"])[:255], until=now + timedelta(days=1),
    )  # fmt: skip
    assert list(acquire._blocked(rows, missing.work_id)) == [rows[0].pk, rows[1].pk, rows[2].pk]
    with time_machine.travel(now + timedelta(days=2)):
        assert acquire._blocked(rows, missing.work_id) == {}


@pytest.mark.parametrize("way", ["decline", "give_up", "take_next"])
def test_what_a_person_decides_of_a_release_keeps_it_from_this_work_only(
    missing: Book, indexer: FakeTorznab, settings: Any, admin_user: User, way: str
) -> None:
    settings.ACQUIRE = "review"
    (other,) = next_volumes(1, runtime=10 * HOUR)
    indexer.items = [offer()]
    run_series()
    getattr(acquire, way)(Acquisition.objects.get(), admin_user)
    assert BlockedRelease.objects.get().by == admin_user
    blocked = [acquire._blocked(Release.objects.all(), work) for work in (missing.work_id, other.work_id)]
    assert [len(each) for each in blocked] == [1, 0]
    # It follows its book to the work that a person says it is of, also where another recording of the old one stays.
    Book.objects.create(work=missing.work, title=missing.title, standing="known", language="de")
    edit(missing, {"title": "Salt Volume Nine"}, by=admin_user)
    assert BlockedRelease.objects.get().work == Book.objects.get(pk=missing.pk).work != missing.work
    edit(missing, {"title": other.title}, by=admin_user)
    assert BlockedRelease.objects.get().work == other.work


@pytest.mark.parametrize(
    ("state", "kinds", "is_for_all"),
    [
        ("failed", [], True),
        ("quarantined", ["broken"], True),
        ("quarantined", ["other book"], False),
        ("quarantined", ["runtime", "other volume"], False),
        ("quarantined", ["other book", "missing part"], True),
    ],
)
def test_what_is_at_fault_is_kept_from_every_work(
    missing: Book, indexer: FakeTorznab, state: str, kinds: list[str], is_for_all: bool
) -> None:
    indexer.items = [offer()]
    run_series()
    row = Acquisition.objects.get()
    problems = [{"kind": kind, "sentence": "x", "is_sure": True} for kind in kinds]
    # What the check doubts makes nothing wrong.
    problems.append({"kind": "sample", "sentence": "x", "is_sure": False})
    Acquisition.objects.update(check_result={"problems": problems})
    acquire.next_candidate(row, state, "x")
    assert (BlockedRelease.objects.get().work is None) == is_for_all


def test_a_runner_up_can_be_taken_instead(missing: Book, indexer: FakeTorznab, admin_user: User, settings: Any) -> None:
    settings.ACQUIRE = "review"
    indexer.items = [offer(), offer(number=2, size=str(200 * MB)), offer(number=3, language="GER")]
    run_series()
    acquisition = Acquisition.objects.get()
    # What is unfit is told of with the search, and is not to be had.
    chosen, (other,) = acquisition.key, acquisition.candidates
    [unfit] = [each for each in WorkSearch.objects.get().decision["candidates"] if each["verdict"] == "unfit"]
    with pytest.raises(NotAllowedNow):
        acquire.choose_other(acquisition, unfit["source"], unfit["key"], admin_user)
    with pytest.raises(NotAllowedNow):
        acquire.choose_other(acquisition, "fiction", "of another work", admin_user)
    acquire.choose_other(acquisition, other["source"], other["key"], admin_user)
    acquisition.refresh_from_db()
    assert (acquisition.key, acquisition.size) == (other["key"], other["size"])
    assert [each["key"] for each in acquisition.candidates] == [chosen]
    acquire.choose_other(acquisition, "fiction", chosen, admin_user)
    acquisition.refresh_from_db()
    assert acquisition.key == chosen
    acquire.approve(acquisition, admin_user)
    with pytest.raises(NotAllowedNow):
        acquire.choose_other(acquisition, other["source"], other["key"], admin_user)


def test_an_ignored_work_is_not_searched(missing: Book, indexer: FakeTorznab) -> None:
    WorkMark.objects.create(work=missing.work, kind="heard")
    indexer.items = [offer()]
    run_series()
    assert not indexer.outside.seen
    assert states() == []


# --- an account -------------------------------------------------------------------------------------------------------


def test_what_an_account_allows_is_read_before_anything_is_approved(
    missing: Book, mam: FakeMyAnonamouse, settings: Any
) -> None:
    settings.SOURCES = ["myanonamouse"]
    mam.rows = [row(1, TITLE, author_info='{"5": "Ilse Varga"}', free=1, filetype="m4b", size=str(300 * MB))]
    mam.account |= {"uploaded_bytes": 900 * GB, "downloaded_bytes": 100 * GB, "ratio": 9.0}
    run = run_series()
    acquisition = Acquisition.objects.get()
    assert acquisition.counts
    assert (acquisition.state, acquisition.refusal) == ("approved", ""), (run.result, acquisition.reasons)
    read = Crawl.objects.get(source="myanonamouse")
    assert read.account["unsatisfied"] == 12
    # 100 slots, 12 used, 10 kept: 78 are free; with all but those used, nothing more fits.
    mam.account["unsat"] = {"count": 90, "limit": 100}
    Acquisition.objects.update(state=State.PROPOSED, approved_at=None)
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        assert acquire.apply_plan(TaskRun(task_id=0, attempt=1, channel=Quiet())) == 0
    assert "90 at most, of which 90 are used" in Acquisition.objects.get().refusal


def test_an_account_that_cannot_be_read_plans_and_does_not_grab(
    missing: Book, mam: FakeMyAnonamouse, settings: Any
) -> None:
    settings.SOURCES = ["myanonamouse"]
    mam.rows = [row(1, TITLE, author_info='{"5": "Ilse Varga"}', free=1, filetype="m4b", size=str(300 * MB))]
    mam.account = {"error": "no"}
    run_series()
    acquisition = Acquisition.objects.get()
    assert acquisition.state == "proposed"
    assert acquisition.refusal


def test_a_tracker_that_counts_without_telling_the_account_is_for_a_person(
    missing: Book, indexer: FakeTorznab, admin_user: User, admin_client: Client
) -> None:
    indexer.privacy, indexer.items = "private", [offer()]
    run_series()
    acquisition = Acquisition.objects.get()
    said = "fiction counts what a member fetches, and does not say how the account stands: no rule approves it, a person may."
    assert (acquisition.state, acquisition.counts, acquisition.refusal) == ("proposed", True, said)
    assert acquisition.reasons[0] == said
    page = admin_client.get(f"/admin/audiobooks/acquisition/{acquisition.pk}/change/").content.decode()
    assert said in page and "nothing is counted there" not in page
    acquire.approve(acquisition, admin_user)
    assert states() == ["approved"]
    assert budget.recheck(acquisition.pk, size=acquisition.size, free=True) == ()


def test_what_is_approved_by_a_person_before_an_account_was_read_waits(
    missing: Book, mam: FakeMyAnonamouse, settings: Any, admin_user: User
) -> None:
    settings.SOURCES = ["myanonamouse"]
    mam.rows = [row(1, TITLE, author_info='{"5": "Ilse Varga"}', free=1, filetype="m4b", size=str(300 * MB))]
    mam.account = {"error": "no"}
    run_series()
    with pytest.raises(NotAllowedNow, match="not known yet"):
        acquire.approve(Acquisition.objects.get(), admin_user)


def test_a_reader_whom_a_person_wrote_has_to_read_it(missing: Book, indexer: FakeTorznab, admin_user: User) -> None:
    edit(missing, {"narrators": ["Mara Quill"]}, by=admin_user)
    indexer.items = [offer()]
    indexer.items[0].title = f"{TITLE} by {AUTHOR} read by Tom Other [ENG / M4B]"
    run_series()
    assert WorkSearch.objects.get().outcome == "unfit", WorkSearch.objects.get().decision
    WorkSearch.objects.update(next_at=timezone.now())
    indexer.items[0].title = f"{TITLE} by {AUTHOR} read by Mara Quill [ENG / M4B]"
    run_series()
    assert states() == ["approved"]


def test_a_book_that_is_called_otherwise_takes_along_what_is_known_of_its_work(
    missing: Book, indexer: FakeTorznab, admin_user: User
) -> None:
    indexer.items = [offer()]
    run_series()
    WorkMark.objects.create(work=missing.work, kind="heard")
    other = next_volumes(1)[0]
    edit(missing, {"title": other.title}, by=admin_user)
    missing.refresh_from_db()
    assert missing.work_id == other.work_id
    assert Acquisition.objects.get().work_id == WorkMark.objects.get().work_id == other.work_id
    assert WorkSearch.objects.get().work_id == other.work_id
    # Where both are being got, each stays with its own.
    third = next_volumes(2)[1]
    Acquisition.objects.create(work=third.work, state_since=timezone.now(), cause="wish", source="x", key="1")
    edit(third, {"title": other.title}, by=admin_user)
    assert Acquisition.objects.filter(work=third.work, state="proposed").count() == 1


# --- what a person decides meanwhile ----------------------------------------------------------------------------------


@pytest.fixture
def somebody(db: None) -> User:
    return User.objects.create_user("somebody")


def on_a_chart() -> Proposal:
    """That work, as a chart proposes it."""
    facts = BookFacts(title=TITLE, authors=(Contributor(name=AUTHOR),), language="en")
    proposal = proposing.propose(facts, cause="chart", why="x")
    proposing.learn(proposal, [facts])
    proposing.look_in_library()
    proposal.refresh_from_db()
    return proposal


def run_wishes() -> None:
    wanted_books_task.function(TaskRun(task_id=0, attempt=1, channel=Quiet()))


@pytest.mark.parametrize("room", [0, 5])
def test_a_wish_that_is_taken_back_is_not_fetched(
    indexer: FakeTorznab, settings: Any, somebody: User, room: int
) -> None:
    """Whether it waits for the budget meanwhile or was approved by rule already."""
    settings.BUDGET_RUN = room
    proposal = on_a_chart()
    proposing.want(proposal, somebody)
    indexer.items = [offer()]
    run_wishes()
    assert states() == ["approved" if room else "proposed"]
    proposing.take_back(proposal)
    settings.BUDGET_RUN = 5
    run_wishes()
    assert states() == ["cancelled"]
    # It is searched for again once it is wanted again.
    proposing.want(proposal, somebody)
    WorkSearch.objects.update(next_at=timezone.now())
    run_wishes()
    assert states() == ["cancelled", "approved"]


def test_what_was_declined_on_a_chart_is_no_gap(missing: Book, indexer: FakeTorznab, somebody: User) -> None:
    indexer.items = [offer()]
    proposal = on_a_chart()
    assert proposal.book == missing
    proposing.decline(proposal, somebody)
    assert gaps.series_boards()[0].gaps[0].reason == gaps.Reason.DECLINED
    run_series()
    assert not states() and not WorkSearch.objects.exists()
    proposing.take_back(proposal)
    run_series()
    assert states() == ["approved"]


def test_what_is_declined_on_a_chart_while_it_waits_is_not_approved_by_rule(
    missing: Book, indexer: FakeTorznab, settings: Any, somebody: User
) -> None:
    settings.BUDGET_RUN = 0
    indexer.items = [offer()]
    run_series()
    assert states() == ["proposed"]
    proposing.decline(on_a_chart(), somebody)
    settings.BUDGET_RUN = 5
    run_wishes()
    assert states() == ["cancelled"]


def test_what_a_person_approves_in_spite_of_a_declined_proposal_is_got(
    missing: Book, indexer: FakeTorznab, settings: Any, somebody: User
) -> None:
    settings.ACQUIRE = "review"
    indexer.items = [offer()]
    run_series()
    acquire.approve(Acquisition.objects.get(), somebody)
    proposing.decline(on_a_chart(), somebody)
    acquire.drop_unwanted()
    assert states() == ["approved"]


@pytest.mark.parametrize(("scope", "state"), [("none", "cancelled"), ("future", "cancelled"), ("gaps", "")])
@pytest.mark.parametrize("is_wished", [False, True])
@pytest.mark.parametrize("how", ["proposed", "approved"])
def test_less_that_is_wanted_of_a_series_is_less_that_is_proposed(
    missing: Book,
    indexer: FakeTorznab,
    settings: Any,
    admin_client: Client,
    scope: str,
    state: str,
    is_wished: bool,
    how: str,
) -> None:
    settings.ACQUIRE = "review" if how == "proposed" else "auto"
    missing.released = "2020-01-01"
    missing.standing = "wanted" if is_wished else "known"
    missing.save()
    indexer.items = [offer()]
    run_series()
    assert states() == [how]
    series = Series.objects.get().pk
    admin_client.post(f"/admin/audiobooks/follow/series/{series}/", {"scope": scope})
    assert states() == [how if is_wished or not state else state]


def test_a_listing_that_breaks_keeps_nothing_from_being_searched(
    missing: Book, indexer: FakeTorznab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*args: object, **values: object) -> None:
        raise KeyError("of another shape")

    monkeypatch.setattr(listing, "list_series", breaks)
    indexer.items = [offer()]
    with pytest.raises(KeyError):
        run_series()
    assert states() == ["approved"]


def test_a_work_that_our_code_trips_over_holds_up_no_other(
    missing: Book, indexer: FakeTorznab, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = next_volumes(1, runtime=10 * HOUR)[0]
    indexer.items = [offer(), offer(other.title, 2)]
    search, asked = Torznab.search, []

    def trips(self: Torznab, http: Any, wanted: BookFacts, *, limit: int = 50) -> Any:
        asked.append(wanted.title)
        if wanted.title == TITLE:
            raise TypeError("unhashable type")
        return search(self, http, wanted, limit=limit)

    monkeypatch.setattr(Torznab, "search", trips)
    with pytest.raises(TypeError, match="unhashable"):
        run_series()
    assert asked == [TITLE, other.title]
    assert list(Acquisition.objects.values_list("work", "state")) == [(other.work_id, "approved")]
    put_off = WorkSearch.objects.get(work=missing.work)
    assert put_off.outcome == "unanswered" and put_off.next_at > timezone.now() + timedelta(hours=23)
    run_series()
    assert len(asked) == 2
    monkeypatch.undo()
    with time_machine.travel(timezone.now() + timedelta(days=2)):
        settings.SOURCES, settings.ACQUIRE = ["fiction"], "review"
        run_series()
    assert states() == ["approved", "proposed"]
