"""The providers that settings turn on, and the one way to ask them: each failure costs only its own answers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.conf import settings
from django.utils import timezone
from django.utils.crypto import salted_hmac

from audiobooks.exceptions import LeftAlone, NoRecord, ServiceError
from audiobooks.facts import BookFacts
from audiobooks.http import Doorway, database
from audiobooks.metadata.audnexus import Audnexus
from audiobooks.metadata.base import Provider
from audiobooks.metadata.google_books import GoogleBooks
from audiobooks.metadata.hardcover import Hardcover
from audiobooks.metadata.librivox import LibriVox
from audiobooks.metadata.open_library import OpenLibrary
from audiobooks.models.network import ServiceState

logger = logging.getLogger(__name__)

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

_WELL_FOR = 1.0
"""Seconds in which what others find out about a service that is well is not looked at."""

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
    configured = _configured(provider.name)
    is_well, state = time.monotonic() < http.well_until.get(configured, 0), None
    if not is_well:
        with database():
            state = ServiceState.objects.of(provider.name, configured)
    if state is not None and state.off_until is not None and state.is_off:
        message = f"{provider.label} is off until {state.off_until:%Y-%m-%d %H:%M} UTC: {state.last_error}"
        return Asked(provider=provider.name, error=ServiceError(message, retry_after=state.off_until - timezone.now()))
    view, reason = http.view(), ""
    found: tuple[BookFacts, ...] = ()
    error: ServiceError | None = None
    try:
        found = _found(view, provider, question, wanted)
    except NoRecord as no:
        reason = no.reason
    except ServiceError as failed:
        error = failed
    error = error or view.covered
    # Where nothing was asked, because of a copy or for want of an identifier, nothing is known of its health.
    # To be left alone, or to have no turn among our own, is no failure of the provider now.
    if error is not None and not isinstance(error, LeftAlone):
        http.well_until.pop(configured, None)
        with database():
            ServiceState.objects.record_failure(provider.name, configured, error)
    elif error is None and view.reached and not is_well:
        if state is None or not state.is_known_well:
            with database():
                ServiceState.objects.record_success(provider.name, configured)
        http.well_until[configured] = time.monotonic() + _WELL_FOR
    if error is not None:
        logger.warning("%s: %s", provider.label, error)
    return Asked(provider=provider.name, found=found, reason=reason, error=error, as_of=view.as_of)


def ask_all(http: Doorway, question: Question, wanted: BookFacts) -> tuple[Asked, ...]:
    """Ask every provider that is turned on, one after the other."""
    return tuple(ask(http, provider, question, wanted) for provider in providers())


def _found(http: Doorway, provider: Provider, question: Question, wanted: BookFacts) -> tuple[BookFacts, ...]:
    if question == "search":
        return provider.search(http, wanted)
    book = provider.look_up(http, wanted)
    return () if book is None else (book,)


def _configured(name: str) -> str:
    values = "\n".join(str(getattr(settings, each)) for each in _SETTINGS.get(name, ()))
    return salted_hmac("audiobooks.metadata", values, algorithm="sha256").hexdigest()
