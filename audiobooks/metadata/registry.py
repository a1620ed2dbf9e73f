"""The providers that settings turn on, and the one way to ask them: each failure costs only its own answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar

from django.conf import settings

from audiobooks.exceptions import NoRecord, ServiceError
from audiobooks.facts import BookFacts
from audiobooks.http import Doorway
from audiobooks.metadata.audnexus import Audnexus
from audiobooks.metadata.base import Provider
from audiobooks.metadata.google_books import GoogleBooks
from audiobooks.metadata.hardcover import Hardcover
from audiobooks.metadata.librivox import LibriVox
from audiobooks.metadata.open_library import OpenLibrary
from audiobooks.services import Outcome, Service, configured_by

T = TypeVar("T")
PROVIDERS: dict[str, Callable[[], Provider]] = {
    "audnexus": lambda: Audnexus(
        url=settings.AUDNEXUS_URL, audible_url=settings.AUDIBLE_URL, region=settings.AUDIBLE_REGION
    ),
    "open_library": lambda: OpenLibrary(url=settings.OPEN_LIBRARY_URL, identified=bool(settings.CONTACT)),
    "librivox": lambda: LibriVox(url=settings.LIBRIVOX_URL),
    "google_books": lambda: GoogleBooks(url=settings.GOOGLE_BOOKS_URL, key=settings.GOOGLE_BOOKS_KEY),
    "hardcover": lambda: Hardcover(url=settings.HARDCOVER_URL, token=settings.HARDCOVER_TOKEN),
}
NEEDS = {"google_books": "GOOGLE_BOOKS_KEY", "hardcover": "HARDCOVER_TOKEN"}
_SETTINGS = {
    "audnexus": ("AUDNEXUS_URL", "AUDIBLE_URL", "AUDIBLE_REGION"),
    "open_library": ("OPEN_LIBRARY_URL", "CONTACT"),
    "librivox": ("LIBRIVOX_URL",),
    "google_books": ("GOOGLE_BOOKS_URL", "GOOGLE_BOOKS_KEY"),
    "hardcover": ("HARDCOVER_URL", "HARDCOVER_TOKEN"),
}

Question = Literal["look_up", "search"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What one provider came to.

    found: its records; of a look-up at most one.
    reason: why it has no record, where it says so (`region`, `delisted`, `not a book`).
    error: why it did not answer, or, beside records, why they are the last good ones.
    as_of: when the oldest answer used was given; None where it was not asked.
    """

    provider: str
    found: tuple[BookFacts, ...] = ()
    reason: str = ""
    error: ServiceError | None = None
    as_of: datetime | None = None


def providers() -> tuple[Provider, ...]:
    """Those turned on, in the order of asking. A name that is none is left out: a system check says so."""
    names = dict.fromkeys(settings.METADATA_PROVIDERS)
    return tuple(PROVIDERS[name]() for name in names if name in PROVIDERS)


def ask(http: Doorway, provider: Provider, question: Question, wanted: BookFacts) -> Asked:
    """Ask one provider, unless it is to be left alone, and remember how it fared. Raises no ServiceError."""
    outcome = put(http, provider, lambda view: _found(view, provider, question, wanted))
    found, reason = outcome.answer or ((), "")
    return Asked(provider=provider.name, found=found, reason=reason, error=outcome.error, as_of=outcome.as_of)


def put(http: Doorway, provider: Provider, question: Callable[[Doorway], T]) -> Outcome[T]:
    """Put any question to one provider, as `ask` does."""
    values = (getattr(settings, each) for each in _SETTINGS.get(provider.name, ()))
    service = Service(name=provider.name, label=provider.label, configured=configured_by("metadata", values))
    return service.ask(http, question)


def catalogue() -> Audnexus | None:
    """The provider that lists what series and authors have, where it is turned on."""
    return next((provider for provider in providers() if isinstance(provider, Audnexus)), None)


def _found(
    http: Doorway, provider: Provider, question: Question, wanted: BookFacts
) -> tuple[tuple[BookFacts, ...], str]:
    """Its records, and why it has none where it says so."""
    try:
        if question == "search":
            return provider.search(http, wanted), ""
        book = provider.look_up(http, wanted)
    except NoRecord as no:
        return (), no.reason
    return (() if book is None else (book,)), ""
