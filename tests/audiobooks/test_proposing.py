"""What a person decided is remembered: under another edition, spelling, genre and source, and for good."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audiobooks import charts, proposing
from audiobooks.charts import discover
from audiobooks.facts import BookFacts, Contributor
from audiobooks.models import Book, ChartEntry, Genre, Proposal, ProposalKey
from audiobooks.owning import SERVER, Held, record
from audiobooks.proposing import EDITIONS, decline, learn, propose, recognise, take_back, want
from scheduling.context import TaskRun
from scheduling.exceptions import NotAllowedNow
from tests.audiobooks.running import Quiet
from tests.fakes.charted import Charted
from tests.samples.editions import WORK, editions, others
from tests.scheduling.processes import wait_until

pytestmark = pytest.mark.django_db
OTHER = (Contributor(name="Tomas Reed"),)
GENRES = ("Fantasy", "Horror", "Sea Stories")


@pytest.fixture
def by() -> User:
    return User.objects.create_user("somebody")


@pytest.fixture
def looked_at() -> list[Genre]:
    return [Genre.objects.create(name=name, key=name.lower().replace(" ", ""), enabled=True) for name in GENRES]


def proposed(facts: BookFacts = WORK) -> Proposal:
    found = propose(facts, cause=Proposal.Cause.CHART, why="Number 1 of Fantasy")
    learn(found, [facts])
    return found


def discovered(*lists: tuple[str, list[BookFacts | str]], source: str = "fake") -> None:
    fake = Charted(source, source.title())
    for genre, works in lists:
        fake.put(genre, works)
    discover(TaskRun(task_id=0, attempt=1, channel=Quiet()), sources=[fake])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(editions(), min_size=1, max_size=3), st.sampled_from(GENRES), st.sampled_from(["fake", "other"]))
def test_a_declined_work_never_comes_back(
    looked_at: list[Genre], by: User, found: list[BookFacts], genre: str, source: str
) -> None:
    # The rows of the examples before are there still, as in weeks that go by.
    if not Proposal.objects.exists():
        discovered(("Fantasy", [WORK]))
        decline(Proposal.objects.get(), by)
    discovered((genre, [*found, *others()[:2]]), source=source)
    assert (
        not Proposal.objects.waiting().filter(title__icontains="meridian").exclude(title="The Iron Meridian").exists()
    )
    [work] = Proposal.objects.of_standing("declined")
    assert work.title == WORK.title
    assert ChartEntry.objects.filter(proposal=work, chart__name=genre).exists()


@pytest.mark.parametrize("other", others(), ids=lambda facts: facts.title)
def test_a_declined_work_takes_no_other_with_it(other: BookFacts, by: User) -> None:
    decline(proposed(), by)
    assert recognise([other]) == [None]


def test_an_edition_is_recognised_by_what_earlier_editions_were_called(by: User) -> None:
    work = proposed(BookFacts(title="Amber", authors=WORK.authors, asin="B0TESTAA03"))
    bernstein = BookFacts(title="Bernstein", authors=WORK.authors)
    assert recognise([bernstein]) == [None]
    learn(work, [replace(bernstein, asin="B0TESTAA03")])
    decline(work, by)
    assert recognise([bernstein, replace(bernstein, title="Bernstein: Roman")]) == [work, work]
    assert recognise([replace(bernstein, title="Birch"), BookFacts(title="Bernstein", authors=OTHER)]) == [None, None]
    assert ProposalKey.objects.filter(proposal=work, key="t:bernstein").exists()
    assert Proposal.objects.get().title == "Amber"


def test_a_declined_work_does_not_come_back_under_its_other_title(looked_at: list[Genre], by: User) -> None:
    amber = BookFacts(title="Amber", authors=WORK.authors, asin="B0TESTAA03")
    discovered(("Fantasy", [amber, replace(amber, title="Bernstein")]))
    decline(Proposal.objects.get(), by)
    discovered(("Horror", [replace(amber, title="Bernstein", asin="")]))
    assert Proposal.objects.get().state == "declined"


def test_typing_errors_one_after_another_lead_to_no_other_work() -> None:
    work = proposed()
    learn(
        work, [replace(WORK, title=title) for title in ("The Glas Meridian", "The Glass Meridan", WORK.title.upper())]
    )
    assert Proposal.objects.get().editions == []


def test_few_other_titles_are_remembered_and_the_first_stay() -> None:
    work = proposed()
    many = [BookFacts(title=f"{letter * 9} Harbour", authors=WORK.authors) for letter in "abcdefghijklmnop"]
    for _ in range(2):
        learn(work, many)
    found = recognise(many)
    assert found == [work] * EDITIONS + [None] * (len(many) - EDITIONS)


def test_what_an_edition_knows_more_is_kept_and_nothing_replaced() -> None:
    work = proposed(BookFacts(title="Amber"))
    learn(work, [BookFacts(title="AMBER", authors=WORK.authors, series=WORK.series, narrators=("X",))])
    work.refresh_from_db()
    facts = BookFacts.from_json(work.facts)
    assert (facts.title, facts.author_names, facts.series, facts.narrators) == (
        "Amber",
        ("Ilse Varga",),
        WORK.series,
        (),
    )
    assert work.authors == "Ilse Varga"


def test_two_that_were_taken_for_two_works_are_the_one_that_was_decided(by: User) -> None:
    first, second = proposed(), proposed()
    decline(second, by)
    assert recognise([WORK]) == [second]
    assert first.state == "proposed"


def test_decisions_are_made_once_and_taken_back_by_a_person(by: User) -> None:
    work = proposed()
    with pytest.raises(NotAllowedNow):
        take_back(work)
    decline(work, by)
    for verb in (want, decline):
        with pytest.raises(NotAllowedNow, match="declined already"):
            verb(work, by)
    take_back(work)
    want(work, by)
    work.refresh_from_db()
    assert (work.state, work.decided_by, Book.objects.get().standing) == ("wanted", by, "wanted")
    with pytest.raises(NotAllowedNow, match="wanted already"):
        decline(work, by)


def test_what_is_owned_is_not_wanted(by: User) -> None:
    work = proposed()
    record(Held(library="libation", item="1", facts=WORK), now=timezone.now() - timedelta(days=1))
    with pytest.raises(NotAllowedNow, match="in the library already"):
        want(work, by)
    assert Proposal.objects.get().state == "proposed"


def test_two_wishes_of_one_book_are_one_book(by: User) -> None:
    for work in (proposed(), proposed()):
        want(work, by)
    assert Book.objects.count() == 1
    first, second = Proposal.objects.order_by("pk")
    take_back(second)
    assert Book.objects.get().standing == "wanted", "the first is wanted still"
    take_back(first)
    assert Book.objects.get().standing == "known"


def test_a_wish_outlasts_that_of_another_for_the_same_book(by: User) -> None:
    for work in (proposed(), proposed()):
        want(work, by)
    first, second = Proposal.objects.order_by("pk")
    take_back(first)
    assert Book.objects.get().standing == "wanted", "the second is wanted still"
    take_back(second)
    assert Book.objects.get().standing == "known"


@pytest.mark.django_db(transaction=True)
def test_a_wish_outlasts_another_that_is_taken_back_at_the_same_moment(
    by: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second finds the book wanted, and the first ends before that is said."""
    first, second = proposed(), proposed()
    want(first, by)
    decided = proposing._decided

    with ThreadPoolExecutor(1) as pool:

        def and_another_takes_back(row: Proposal, state: str, by: User) -> None:
            decided(row, state, by)
            other = pool.submit(_in_a_thread, lambda: take_back(first))
            if connection.vendor == "postgresql":
                # It has ended, or waits for us.
                wait_until(lambda: other.done() or _somebody_waits(), seconds=20)

        monkeypatch.setattr(proposing, "_decided", and_another_takes_back)
        want(second, by)
    assert Proposal.objects.get(pk=first.pk).state == "proposed"
    assert Book.objects.get().standing == "wanted"


def _in_a_thread(verb: Callable[[], None]) -> None:
    try:
        verb()
    finally:
        connection.close()


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        return bool(cursor.fetchone()[0])


@pytest.mark.parametrize("library", ["audiobookshelf:lib-1", "goodreads"])
def test_a_wish_that_is_taken_back_leaves_a_book_as_it_was_known_before(library: str, by: User) -> None:
    """As the text that a server has of it, or the row of one that was read long ago."""
    known = Held(library=library, item="1", facts=WORK, standing=Book.Standing.KNOWN, missing=True)
    record(known, now=timezone.now() - timedelta(days=1))
    work = proposed()
    want(work, by)
    assert Book.objects.get().standing == "wanted"
    if library.startswith(SERVER):
        # It is seen each night.
        record(known, now=timezone.now())
    take_back(Proposal.objects.get())
    assert Book.objects.get().standing == "known"


def test_a_book_that_a_list_wants_since_stays_wanted(by: User) -> None:
    work = proposed()
    want(work, by)
    record(Held(library="goodreads", item="1", facts=WORK, standing=Book.Standing.WANTED), now=timezone.now())
    take_back(Proposal.objects.get())
    assert Book.objects.get().standing == "wanted"


def test_who_decided_may_leave_and_a_book_be_deleted(by: User) -> None:
    work = proposed()
    want(work, by)
    by.delete()
    Book.objects.all().delete()
    work.refresh_from_db()
    assert (work.state, work.standing, work.decided_by) == ("wanted", "wanted", None)


@pytest.mark.django_db(transaction=True)
def test_a_wish_and_a_chart_at_once_do_not_wait_for_each_other(
    looked_at: list[Genre], by: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one lock, and so no order of locks")
    discovered(("Fantasy", [WORK]))
    work = Proposal.objects.get()
    inside, wanting, locked, look = threading.Event(), threading.Event(), threading.Event(), charts.recognise
    undecided = proposing._undecided

    def slow(many: list[BookFacts]) -> list[Proposal | None]:
        inside.set()
        # Until the wish has the proposal, which it must not get while the chart is being made.
        assert wanting.wait(10)
        locked.wait(0.5)
        return look(many)

    def told(proposal: Proposal) -> Proposal:
        row = undecided(proposal)
        locked.set()
        return row

    def wish() -> None:
        assert inside.wait(10)
        wanting.set()
        try:
            want(work, by)
        finally:
            connection.close()

    def chart() -> None:
        try:
            # More is known of the work now, so that its row is written.
            discovered(("Fantasy", [replace(WORK, description="Of the sea.")]))
        finally:
            connection.close()

    monkeypatch.setattr(charts, "recognise", slow)
    monkeypatch.setattr(proposing, "_undecided", told)
    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(chart), pool.submit(wish)]:
            future.result()
    work.refresh_from_db()
    assert (work.state, work.standing) == ("wanted", "wanted")
