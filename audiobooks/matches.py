"""What a person decides of doubtful matches. It is remembered, and nothing but a person changes it."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from scheduling.exceptions import NotAllowedNow

from .models import Book, ProviderMatch

State = ProviderMatch.State


def accept(match: ProviderMatch, by: User) -> None:
    """It is the book's; what else the same provider proposed for the book is not.

    Raises:
        NotAllowedNow: a person has decided already.
    """
    with transaction.atomic():
        match = _undecided(match)
        others = ProviderMatch.objects.filter(book=match.book_id, provider=match.provider, state=State.PROPOSED)
        for other in others.exclude(pk=match.pk):
            _decide(other, State.REJECTED, by)
        _decide(match, State.ACCEPTED, by)


def reject(match: ProviderMatch, by: User) -> None:
    """It is not the book's.

    Raises:
        NotAllowedNow: a person has decided already.
    """
    with transaction.atomic():
        _decide(_undecided(match), State.REJECTED, by)


def reject_all(book: Book, by: User) -> int:
    """None of what is proposed is the book's. How many were proposed."""
    with transaction.atomic():
        _lock(book.pk)
        proposed = list(ProviderMatch.objects.filter(book=book, state=State.PROPOSED))
        for match in proposed:
            _decide(match, State.REJECTED, by)
    return len(proposed)


def take_back(match: ProviderMatch) -> None:
    """A person's decision was a mistake: the match waits for another.

    Raises:
        NotAllowedNow: nobody has decided.
    """
    with transaction.atomic():
        _lock(match.book_id)
        match.refresh_from_db()
        if match.state not in ProviderMatch.DECIDED:
            raise NotAllowedNow("Nobody has decided about it.")
        match.state, match.decided_at, match.decided_by = State.PROPOSED, None, None
        match.save(update_fields=["state", "decided_at", "decided_by"])


def _undecided(match: ProviderMatch) -> ProviderMatch:
    _lock(match.book_id)
    match.refresh_from_db()
    if match.state in ProviderMatch.DECIDED:
        raise NotAllowedNow(f"It was {match.get_state_display()} already.")
    return match


def _lock(book: int) -> None:
    # Two people at once decide one after the other; so does a refresh, which locks the book to write it.
    Book.objects.select_for_update().values_list("pk", flat=True).get(pk=book)


def _decide(match: ProviderMatch, state: ProviderMatch.State, by: User) -> None:
    match.state, match.decided_at, match.decided_by = state, timezone.now(), by
    match.save(update_fields=["state", "decided_at", "decided_by"])
