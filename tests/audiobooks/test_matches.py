"""A person's decision about a match."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from audiobooks import matches
from audiobooks.models import Book, ProviderMatch, Work
from scheduling.exceptions import NotAllowedNow

pytestmark = pytest.mark.django_db
State = ProviderMatch.State


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
    accepted = make_match(book, "2", state=State.ACCEPTED)
    matches.accept(make_match(book, "3"), by)
    accepted.refresh_from_db()
    assert accepted.state == State.ACCEPTED


def test_a_match_by_rule_can_be_rejected(book: Book, by: User) -> None:
    match = make_match(book, "1", state=State.AUTOMATIC)
    matches.reject(match, by)
    assert match.state == State.REJECTED


def test_none_of_these(book: Book, by: User) -> None:
    make_match(book, "1")
    make_match(book, "2", provider="librivox")
    accepted = make_match(book, "3", state=State.ACCEPTED)
    assert matches.reject_all(book, by) == 2
    assert list(ProviderMatch.objects.exclude(state=State.REJECTED)) == [accepted]


def test_a_mistake_is_taken_back(book: Book, by: User) -> None:
    match = make_match(book, "1")
    with pytest.raises(NotAllowedNow):
        matches.take_back(match)
    matches.accept(match, by)
    matches.take_back(match)
    match.refresh_from_db()
    assert (match.state, match.decided_at, match.decided_by) == (State.PROPOSED, None, None)
