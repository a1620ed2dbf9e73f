"""What was found and got in a week, for a page and a letter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from django.conf import settings
from django.core.mail import send_mail
from django.db.models import Case, Count, F, Q, Value, When, Window
from django.db.models.functions import RowNumber

from scheduling.context import TaskRun
from scheduling.exceptions import TaskFailed

from .models import Acquisition, Proposal

WEEK = timedelta(days=7)
MOST = 100
"""Lines of a part; of more the number is told."""
State = Acquisition.State


@dataclass(frozen=True)
class Part:
    """title; lines: of what, at most MOST; number: of all."""

    title: str
    lines: tuple[str, ...]
    number: int

    @property
    def more(self) -> int:
        return self.number - len(self.lines)


@dataclass(frozen=True)
class Digest:
    since: datetime
    until: datetime
    parts: tuple[Part, ...]

    def __str__(self) -> str:
        """As plain text."""
        if not self.parts:
            return "Nothing was found or got."
        return "\n\n".join(_as_text(part) for part in self.parts)


def _as_text(part: Part) -> str:
    more = [f"- and {part.more} more"] if part.more else []
    return "\n".join([f"{part.title} ({part.number})", *(f"- {line}" for line in part.lines), *more])


_ENDED = (State.IMPORTED, State.FAILED, State.QUARANTINED)
_TOLD: list[tuple[str, Q, Callable[[Acquisition], str]]] = [
    ("In the library", Q(state=State.IMPORTED), lambda row: f"{row.work}: {row.why}"),
    ("Need you", ~Q(problem="") & Q(state__in=Acquisition.OPEN), lambda row: f"{row.work}: {row.problem}"),
    ("To be approved", Q(state=State.PROPOSED), lambda row: f"{row.work}: {row.name}"),
    ("Under way", Q(state__in=Acquisition.RESERVING), lambda row: f"{row.work}: {row.get_state_display()}"),
    ("Came to nothing", Q(state__in=_ENDED), lambda row: f"{row.work}: {row.get_state_display()}"),
]
"""Title, which rows that no part before has, and how one is told."""


def digest(now: datetime) -> Digest:
    """Of the 7 days until then; parts of which there is nothing are left out."""
    since = now - WEEK
    parts = [*_of_acquisitions(since), _charted(since)]
    return Digest(since, now, tuple(part for part in parts if part.number))


def _of_acquisitions(since: datetime) -> Iterator[Part]:
    """In one query."""
    newest = [F("state_since").desc(), F("pk").desc()]
    rows = (
        Acquisition.objects.filter(Q(state__in=Acquisition.OPEN) | Q(state__in=_ENDED, state_since__gt=since))
        .annotate(part=Case(*(When(which, Value(at)) for at, (_, which, _) in enumerate(_TOLD))))
        .annotate(
            place=Window(RowNumber(), partition_by="part", order_by=newest),
            number=Window(Count("pk"), partition_by="part"),
        )
        .filter(place__lte=MOST)
        .select_related("work")
        .only("name", "state", "why", "problem", "work__title")
        .order_by("part", "place")
    )
    for part, of_part in groupby(rows, lambda row: row.part):
        title, _, told = _TOLD[part]
        found = list(of_part)
        yield Part(title, tuple(map(told, found)), found[0].number)


def _charted(since: datetime) -> Part:
    rows = Proposal.objects.waiting().filter(made_at__gt=since).order_by("-pk")
    return Part("New on the charts", tuple(f"{row.title}: {row.why}" for row in rows[:MOST]), rows.count())


def tell(run: TaskRun, now: datetime) -> None:
    """Into the Task's log and result, and as a letter to DIGEST_TO where that is set.

    Raises:
        TaskFailed: the letter could not be sent.
    """
    made = digest(now)
    text = str(made)
    run.result = {part.title: part.number for part in made.parts}
    run.log("%s", text)
    if not settings.DIGEST_TO:
        return
    try:
        send_mail("Audiobooks of the week", text, None, settings.DIGEST_TO)
    except OSError as error:
        # smtplib's errors are OSErrors, too.
        raise TaskFailed(f"The letter could not be sent: {error}. EMAIL_URL in .env says by whom it is.") from None
