"""What a person decides of doubtful matches. It is remembered, and nothing but a person changes it.

What a record wrote while it was taken for the book's is taken back once it is not.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from scheduling.exceptions import NotAllowedNow

from .fields import withdraw
from .models import Book, ProviderMatch
from .names import lock_making

State = ProviderMatch.State


def accept(match: ProviderMatch, by: User) -> tuple[list[str], list[str]]:
    """It is the book's; what else the same provider proposed for the book, or a person accepted before, is not.

    What another record of the provider wrote goes first: no source drops a name, so its lists would stay beside the right.
    Returns what `reject` returns, of the other.

    Raises:
        NotAllowedNow: a person has decided already.
    """
    with transaction.atomic():
        lock_making()
        match = _undecided(match)
        known = ProviderMatch.objects.filter(book=match.book_id, provider=match.provider).exclude(pk=match.pk)
        others = {state: list(known.filter(state=state)) for state in (State.PROPOSED, *ProviderMatch.TAKEN)}
        was_the_books = match.state == State.AUTOMATIC and not others[State.ACCEPTED]
        for other in (*others[State.PROPOSED], *others[State.ACCEPTED]):
            _decide(other, State.REJECTED, by)
        _decide(match, State.ACCEPTED, by)
        if was_the_books or not any(others.values()):
            return [], []
        why = f"another record of {match.provider} was accepted by {by.get_username()}"
        return withdraw(match.book, [match.provider], why=why, by=by)


def reject(match: ProviderMatch, by: User) -> tuple[list[str], list[str]]:
    """It is not the book's.

    Returns the fields whose values of it gave way to those before, and those of it that stay for want of any.

    Raises:
        NotAllowedNow: a person has decided already.
    """
    with transaction.atomic():
        lock_making()
        _decide(_undecided(match), State.REJECTED, by)
        return _take_back_values(match.book, [match.provider], by)


def reject_all(book: Book, seen: Collection[str], by: User) -> tuple[int, list[str], list[str]]:
    """None of the proposed records is the book's of which the person saw the keys. How many these were, and what `reject`
    returns.

    Raises:
        NotAllowedNow: none of them waits.
    """
    with transaction.atomic():
        lock_making()
        _lock(book.pk)
        proposed = [
            match for match in ProviderMatch.objects.filter(book=book, state=State.PROPOSED) if str(match.pk) in seen
        ]
        if not proposed:
            raise NotAllowedNow("None of what was shown waits for a decision any more.")
        for match in proposed:
            _decide(match, State.REJECTED, by)
        # At once: one by one they would put back what another of them wrote, and lock names in the order of nobody else.
        put_back, stay = _take_back_values(book, sorted({match.provider for match in proposed}), by)
    return len(proposed), put_back, stay


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


def _take_back_values(book: Book, providers: Sequence[str], by: User) -> tuple[list[str], list[str]]:
    """Unless another of a provider's records is the book's, which may have written them, or will write its own."""
    taken = ProviderMatch.objects.filter(book=book, provider__in=providers, state__in=ProviderMatch.TAKEN)
    still = set(taken.values_list("provider", flat=True))
    if not (gone := [provider for provider in providers if provider not in still]):
        return [], []
    records = f"a record of {gone[0]} was" if len(gone) == 1 else f"records of {', '.join(gone)} were"
    return withdraw(book, gone, why=f"{records} rejected by {by.get_username()}", by=by)


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
