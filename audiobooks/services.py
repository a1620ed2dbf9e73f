"""The one way to ask a provider or a source: it is left alone while it is off, and how it fared is remembered."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from django.utils import timezone
from django.utils.crypto import salted_hmac

from audiobooks.exceptions import Gone, LeftAlone, Refused, ServiceError
from audiobooks.http import Doorway, database
from audiobooks.models.network import ServiceState

T = TypeVar("T")
logger = logging.getLogger(__name__)

_WELL_FOR = 1.0
"""Seconds in which what others find out about a service that is well is not looked at."""


@dataclass(frozen=True, kw_only=True)
class Outcome(Generic[T]):
    """What one question came to.

    answer: None where there is none.
    error: why it was not answered, or, beside an answer, why that is an old copy.
    as_of: when the oldest answer used was given; None where nothing was asked.
    """

    answer: T | None = None
    error: ServiceError | None = None
    as_of: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Service:
    """`name`: its own among all services; `label`: for people; `configured`: see `configured_by`."""

    name: str
    label: str
    configured: str

    def ask(self, http: Doorway, question: Callable[[Doorway], T]) -> Outcome[T]:
        """Put a question, unless the service is to be left alone. Raises no ServiceError."""
        is_well, state = time.monotonic() < http.well_until.get(self.configured, 0), None
        if not is_well:
            with database():
                state = ServiceState.objects.of(self.name, self.configured)
        if state is not None and state.off_until is not None and state.is_off:
            message = f"{self.label} is off until {state.off_until:%Y-%m-%d %H:%M} UTC: {state.last_error}"
            return Outcome(error=ServiceError(message, retry_after=state.off_until - timezone.now()))
        view = http.view()
        answer: T | None = None
        error: ServiceError | None = None
        try:
            answer = question(view)
        except ServiceError as failed:
            error = failed
        error = error or view.covered
        # Where nothing was asked, because of a copy or for want of an identifier, nothing is known of its health.
        # To be left alone, or to have no turn among our own, is no failure of the service now; nor is it one that it does
        # not give what was asked for.
        if error is not None and not isinstance(error, LeftAlone | Gone | Refused):
            http.well_until.pop(self.configured, None)
            with database():
                ServiceState.objects.record_failure(self.name, self.configured, error)
        elif error is None and view.reached and not is_well:
            if state is None or not state.is_known_well:
                with database():
                    ServiceState.objects.record_success(self.name, self.configured)
            http.well_until[self.configured] = time.monotonic() + _WELL_FOR
        if error is not None:
            logger.warning("%s: %s", self.label, error)
        return Outcome(answer=answer, error=error, as_of=view.as_of)


def configured_by(kind: str, values: Iterable[object]) -> str:
    """A hash of settings, secrets among them: what a person has changed is tried at once."""
    return salted_hmac(f"audiobooks.{kind}", "\n".join(map(str, values)), algorithm="sha256").hexdigest()
