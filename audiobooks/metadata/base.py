"""What a metadata provider is to the rest: it is asked about one book and answers with facts, or raises ServiceError."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from audiobooks.facts import BookFacts
from audiobooks.http import Doorway

FRESH_FOR = timedelta(days=7)
"""What catalogues say of a book changes seldom."""
SEARCH_FRESH_FOR = timedelta(days=1)
MOST_FOUND = 10


class Provider(Protocol):
    """Knows no database. "Nothing found" is None or (); whatever is no answer is a ServiceError.

    The doorway's own errors pass through where the adapter knows nothing to add. ProviderError: it has understood the
    failure and says what to do. NoRecord: the provider is well, and says why it has no record.

    name: as settings and provenance have it; label: for people.
    knows_recordings: whether its records are of recordings, so that a match may be written without asking a person.
    """

    name: str
    label: str
    knows_recordings: bool

    def look_up(self, http: Doorway, wanted: BookFacts) -> BookFacts | None:
        """The record of an identifier that `wanted` has (its `id` if it is this provider's own, ASIN, ISBN).

        None where it has none that this provider understands, or the provider has no record of it.
        """

    def search(self, http: Doorway, wanted: BookFacts) -> tuple[BookFacts, ...]:
        """Records that may be the book that title, authors and language of `wanted` describe, at most 10."""
