"""A person's decision about a match."""

from __future__ import annotations

import re
import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import Client

from audiobooks import fields, matches
from audiobooks.fields import Offer, apply, edit, new_book, undo, values_of
from audiobooks.models import Book, BookChange, ProviderMatch, Work, with_names
from scheduling.display import change_url, step_url
from scheduling.exceptions import NotAllowedNow

pytestmark = pytest.mark.django_db
State = ProviderMatch.State
NOW = datetime(2026, 1, 4, tzinfo=UTC)


@pytest.fixture
def by(db: None) -> User:
    return User.objects.create_user("ann")


@pytest.fixture
def book(db: None) -> Book:
    return Book.objects.create(title="x", work=Work.objects.create(title="x", key="x"))


def make_match(book: Book, record: str, *, provider: str = "audnexus", state: str = State.PROPOSED) -> ProviderMatch:
    return ProviderMatch.objects.create(
        book=book, provider=provider, record=record, state=state, verdict="medium", distance=0.2
    )


def test_accepting_settles_the_other_proposals_of_the_same_provider_alone(book: Book, by: User) -> None:
    wanted, other = make_match(book, "1"), make_match(book, "2")
    elsewhere, automatic = make_match(book, "3", provider="librivox"), make_match(book, "4", state=State.AUTOMATIC)
    matches.accept(wanted, by)
    states = dict(ProviderMatch.objects.values_list("pk", "state"))
    assert states[wanted.pk] == State.ACCEPTED
    assert states[other.pk] == State.REJECTED
    assert states[elsewhere.pk] == State.PROPOSED
    assert states[automatic.pk] == State.AUTOMATIC
    for pk in (wanted.pk, other.pk):
        decided = ProviderMatch.objects.get(pk=pk)
        assert decided.decided_by == by and decided.decided_at is not None


def test_a_decision_is_never_overwritten(book: Book, by: User) -> None:
    match = make_match(book, "1")
    stale = ProviderMatch.objects.get(pk=match.pk)
    matches.reject(match, by)
    for verb in (matches.accept, matches.reject):
        with pytest.raises(NotAllowedNow, match="rejected by a person"):
            verb(stale, by)


def test_of_one_provider_one_record_is_accepted(book: Book, by: User) -> None:
    """Found: both were, and which of them counted was not to be seen."""
    earlier, elsewhere = make_match(book, "2", state=State.ACCEPTED), make_match(book, "2", provider="librivox")
    matches.accept(elsewhere, by)
    matches.accept(make_match(book, "3"), by)
    states = dict(ProviderMatch.objects.values_list("pk", "state"))
    assert (states[earlier.pk], states[elsewhere.pk]) == (State.REJECTED, State.ACCEPTED)
    assert sorted(states.values()) == [State.ACCEPTED, State.ACCEPTED, State.REJECTED]


def test_a_match_by_rule_can_be_rejected(book: Book, by: User) -> None:
    match = make_match(book, "1", state=State.AUTOMATIC)
    matches.reject(match, by)
    assert match.state == State.REJECTED


def test_none_of_these(book: Book, by: User) -> None:
    seen = [make_match(book, "1"), make_match(book, "2", provider="librivox")]
    accepted, unseen = make_match(book, "3", state=State.ACCEPTED), make_match(book, "4")
    other = Book.objects.create(title="y", work=book.work)
    elsewhere = make_match(other, "1")
    keys = {str(match.pk) for match in (*seen, accepted, elsewhere)}
    assert matches.reject_all(book, keys, by) == (2, [], [])
    assert set(ProviderMatch.objects.filter(state=State.REJECTED)) == set(seen)
    for none in (keys, set(), {"", "x", "9" * 40, "-1"}):
        with pytest.raises(NotAllowedNow, match="None of what was shown"):
            matches.reject_all(book, none, by)
    assert set(ProviderMatch.objects.exclude(state=State.REJECTED)) == {accepted, unseen, elsewhere}


def test_a_mistake_is_taken_back(book: Book, by: User) -> None:
    match = make_match(book, "1")
    with pytest.raises(NotAllowedNow):
        matches.take_back(match)
    matches.accept(match, by)
    matches.take_back(match)
    match.refresh_from_db()
    assert (match.state, match.decided_at, match.decided_by) == (State.PROPOSED, None, None)


# --- what a rejected record had written -------------------------------------------------------------------------------


def write(book: Book, source: str, run: int = 0, **values: Any) -> None:
    offers = {name: Offer(value, source) for name, value in values.items()}
    read = with_names(Book.objects.all()).get(pk=book.pk)
    apply(read, offers, why="test", now=datetime(2026, 3, 1 + run, tzinfo=UTC))


def told(book: Book) -> tuple[dict[str, Any], dict[str, Any]]:
    read = with_names(Book.objects.all()).get(pk=book.pk)
    return values_of(read), read.provenance


def test_what_a_rejected_record_wrote_is_taken_back(book: Book, by: User) -> None:
    """Found: it stayed, with nobody to say that it is wrong. Also what it wrote over itself, a month later."""
    write(book, "google_books", publisher="First", genres=["Fantasy"], cover_url="https://x.org/a.jpg")
    before = told(book)
    match = make_match(book, "1", state=State.AUTOMATIC)
    write(book, "audnexus", 1, publisher="Wrong", narrators=["Mara Quill"], series=[["Salt", "1"]], runtime=60)
    write(book, "audnexus", 2, publisher="Wronger", subtitle="Or not", cover_url="https://x.org/b.jpg")
    put_back, stay = matches.reject(match, by)
    assert put_back == ["subtitle", "publisher", "cover_url", "runtime", "narrators", "series"] and stay == []
    assert told(book) == before
    change = BookChange.objects.latest("pk")
    assert change.by == by and "audnexus was rejected" in change.why
    undo(change)
    assert told(book)[0]["publisher"] == "Wronger"


def test_what_was_written_since_stays(book: Book, by: User) -> None:
    match = make_match(book, "1", state=State.AUTOMATIC)
    write(book, "audnexus", publisher="Wrong", subtitle="Wrong", runtime=60)
    edit(book, {"publisher": "Mine"}, by=by)
    write(book, "folder", 1, runtime=70)
    write(book, "audnexus", 2, publisher="Wrong again")
    # Of before changes were kept.
    Book.objects.update(provenance={**told(book)[1], "asin": {"source": "audnexus", "at": "2020"}}, asin="B000000001")
    assert told(book)[1]["publisher"]["offered"]["value"] == "Wrong again"
    put_back, stay = matches.reject(match, by)
    values, provenance = told(book)
    assert (put_back, stay) == (["subtitle"], ["asin"])
    assert (values["publisher"], values["subtitle"], values["asin"]) == ("Mine", "", "B000000001")
    assert (values["runtime"], provenance["runtime"]["source"]) == (70, "folder")
    assert "offered" not in provenance["publisher"] and provenance["publisher"]["locked"]


def test_nothing_is_taken_back_while_another_record_of_the_provider_is_the_books(book: Book, by: User) -> None:
    make_match(book, "2", state=State.ACCEPTED)
    match = make_match(book, "1", state=State.AUTOMATIC)
    write(book, "audnexus", publisher="Right")
    assert matches.reject(match, by) == ([], [])
    assert told(book)[0]["publisher"] == "Right"


def test_a_value_of_before_is_found_once_and_not_beyond(book: Book, by: User) -> None:
    """What another source wrote over something older is what stood there."""
    write(book, "google_books", publisher="Oldest")
    write(book, "folder", 1, publisher="Old")
    match = make_match(book, "1", state=State.AUTOMATIC)
    write(book, "audnexus", 2, publisher="Wrong")
    assert matches.reject(match, by)[0] == ["publisher"]
    assert told(book)[0]["publisher"] == "Old"


def test_the_page_says_what_was_taken_back(roles: None, book: Book) -> None:
    match = make_match(book, "1", state=State.AUTOMATIC)
    write(book, "audnexus", publisher="Wrong")
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    page = client.post(step_url(match, "reject"), follow=True).content.decode()
    assert "What it had written was taken back: publisher." in page


@pytest.mark.parametrize("takes_back", [True, False])
def test_what_another_record_wrote_gives_way_to_the_accepted_one(
    roles: None, book: Book, by: User, takes_back: bool
) -> None:
    """Found: its names and series stayed for good, for no source drops one; the right ones were refused."""
    wrong, right = make_match(book, "1"), make_match(book, "2")
    before = told(book)
    matches.accept(wrong, by)
    write(book, "audnexus", authors=["Wrong"], series=[["Wrong", "1"]], title="Wrong")
    right.refresh_from_db()
    matches.take_back(right)
    if takes_back:
        matches.take_back(wrong)
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    page = client.post(step_url(right, "accept"), follow=True).content.decode()
    assert "What another record had written was taken back: title, authors, series." in page
    assert told(book) == before
    wrong.refresh_from_db()
    assert wrong.state == State.REJECTED
    write(book, "audnexus", 1, authors=["Right"], series=[["Salt", "2"]])
    values, provenance = told(book)
    assert (values["authors"], values["series"]) == (["Right"], [["Salt", "2"]])
    assert "offered" not in provenance["authors"]


def test_what_an_accepted_record_wrote_by_rule_stays(book: Book, by: User) -> None:
    make_match(book, "2")
    match = make_match(book, "1", state=State.AUTOMATIC)
    write(book, "audnexus", publisher="Right")
    assert matches.accept(match, by) == ([], [])
    assert told(book)[0]["publisher"] == "Right"


def test_accepting_what_alone_is_proposed_takes_nothing_back(book: Book, by: User) -> None:
    """As one that was taken by rule until it compared less well."""
    write(book, "audnexus", publisher="Right")
    make_match(book, "3", provider="librivox")
    assert matches.accept(make_match(book, "1"), by) == ([], [])
    assert told(book)[0]["publisher"] == "Right"


def test_none_of_these_are_those_that_the_page_shows(roles: None, book: Book) -> None:
    """Found: what no page had shown, for it has ten at most, was rejected for good as well."""
    for number in range(12):
        make_match(book, f"REC{number:02}", provider=f"p{number // 4}")
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    for shown in (10, 2):
        waiting = ProviderMatch.objects.filter(state=State.PROPOSED)
        page = client.get(change_url(waiting[0])).content.decode()
        records = set(re.findall(r"<code>(REC\d\d)</code>", page))
        before = set(waiting.values_list("record", flat=True))
        client.post(step_url(waiting[0], "none"), {"seen": re.findall(r'name="seen" value="(\d+)"', page)})
        rejected = before - set(waiting.values_list("record", flat=True))
        assert rejected == records & before and len(rejected) == shown
    assert not ProviderMatch.objects.filter(state=State.PROPOSED).exists()


def written_in_turn(*writings: tuple[str, str, Any]) -> Book:
    """By providers, whose records are proposed again; before that a folder did."""
    said = {"title": "Salt", "authors": ["Ann Old"], "series": [["Old", "1"]]}
    work = Work.objects.create(title="Salt", key="salt")
    book = new_book(work, {name: Offer(value, "folder") for name, value in said.items()}, now=NOW)
    for source, name, value in writings:
        apply(with_names(Book.objects.all()).get(pk=book.pk), {name: Offer(value, source)}, why="refresh", now=NOW)
        make_match(book, "x", provider=source)
    return book


def test_of_two_that_are_rejected_neither_is_put_back(by: User) -> None:
    """Hardcover wrote over Audnexus: what that had said was put back, though nobody believes it either."""
    ours, theirs = ["Ann Old", "Bea New"], ["Ann Old", "Bea New", "Cy Newer"]
    book = written_in_turn(("audnexus", "authors", ours), ("hardcover", "authors", theirs))
    assert with_names(Book.objects.all()).get(pk=book.pk).author_names == theirs
    seen = [str(match.pk) for match in ProviderMatch.objects.all()]
    assert matches.reject_all(book, seen, by) == (2, ["authors"], [])
    assert with_names(Book.objects.all()).get(pk=book.pk).author_names == ["Ann Old"]


@pytest.mark.django_db(transaction=True)
def test_who_rejects_several_and_who_refreshes_do_not_wait_for_each_other(
    by: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names of a book are locked once, in the order of all others."""
    wrote = ("audnexus", "series", [["Tides", "1"]]), ("hardcover", "authors", ["Ann Old", "Bea New"])
    book = written_in_turn(*wrote)
    work = Work.objects.create(title="Wind", key="wind")
    other = new_book(work, {"title": Offer("Wind", "folder")}, now=NOW)
    under_way, errors = threading.Event(), []

    def withdraw(*values: Any, **named: Any) -> Any:
        done = fields.withdraw(*values, **named)
        under_way.set()
        time.sleep(0.5)
        return done

    def refresh() -> None:
        try:
            under_way.wait(10)
            offers = {"authors": Offer(["Ann Old"], "audnexus"), "series": Offer([["Old", "2"]], "audnexus")}
            apply(Book.objects.get(pk=other.pk), offers, why="refresh", now=NOW)
        except OperationalError as error:
            errors.append(error)
        finally:
            connection.close()

    monkeypatch.setattr(matches, "withdraw", withdraw)
    thread = threading.Thread(target=refresh)
    thread.start()
    try:
        matches.reject_all(book, [str(match.pk) for match in ProviderMatch.objects.all()], by)
    finally:
        thread.join()
    assert not errors
