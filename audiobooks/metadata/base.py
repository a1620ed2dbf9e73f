"""What a metadata provider is to the rest: it is asked about one book and answers with facts, or raises ServiceError."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from typing import Protocol
from urllib.parse import urlsplit

from audiobooks.facts import BookFacts
from audiobooks.http import Doorway, Pace
from audiobooks.transport import is_public

FRESH_FOR = timedelta(days=7)
"""What catalogues say of a book changes seldom."""
SEARCH_FRESH_FOR = timedelta(days=1)
MOST_FOUND = 10
OWN_PACE = Pace(every=0.0, at_once=8)
"""Of an instance in our own network, whose load is its owner's affair: no faster than it answers eight at a time."""
_OWN_NAMES = (".localhost", ".local", ".lan", ".internal", ".home.arpa")


def pace_at(url: str, public: Pace) -> Pace:
    """`public` unless the address can only be one of our own network: whoever is asked on the internet is spared."""
    host = urlsplit(url).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return OWN_PACE if "." not in host or host.endswith(_OWN_NAMES) else public
    return public if is_public(host) else OWN_PACE


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
