"""What will run in the coming 24 hours, by the minute, and where runs of two or more Jobs meet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

from django.utils import timezone

from .models import Job
from .registry import registry
from .triggers import Trigger, TriggerError

AHEAD = timedelta(hours=24)
HOURS = 25
"""From the start of this hour, so that the hours of the picture are those of the clock."""
MINUTES = HOURS * 60
FIRES_OF_A_JOB = 300
MINUTE = timedelta(minutes=1)
TICK = timedelta.resolution
"""There may be tens of thousands of runs, and numbers are many times quicker to add up than moments."""


@dataclass(frozen=True)
class Lane:
    """A Job's expected runs. `spans` are minutes since the picture's start, [from, to), ascending and apart."""

    job: Job
    runs: int
    spans: list[tuple[int, int]]
    usual: timedelta | None
    """How long completed runs took; None where none is known, which is drawn as a minute."""
    last: datetime
    is_capped: bool
    """There are more runs after `last`."""


@dataclass(frozen=True)
class Meeting:
    """Two or more Jobs that are expected to run in the same minutes: stretches of them, each [from, to)."""

    jobs: list[Job]
    stretches: list[tuple[int, int]]


@dataclass(frozen=True)
class Forecast:
    start: datetime
    now: datetime
    lanes: list[Lane]
    busy: list[int]
    """How many Jobs are expected to run, by minute."""
    meetings: list[Meeting]

    def at(self, minute: int) -> datetime:
        return self.start + MINUTE * minute


def forecast(jobs: Iterable[Job], usual: Mapping[str, timedelta], now: datetime) -> Forecast:
    """`usual` is Job id -> mean length. Jobs that will not run are left out."""
    # In UTC from here on: between two moments of one zone Python subtracts what the clocks show.
    start = timezone.localtime(now).replace(minute=0, second=0, microsecond=0).astimezone(UTC)
    known: dict[tuple[Trigger, datetime], list[int]] = {}
    lanes = [lane for job in jobs if (lane := _lane(job, usual.get(job.pk), start, now, known))]
    lanes.sort(key=lambda lane: (lane.spans[0][0], lane.job.name.casefold()))
    masks = [0] * MINUTES
    for index, lane in enumerate(lanes):
        bit = 1 << index
        for first, end in lane.spans:
            for minute in range(first, end):
                masks[minute] |= bit
    return Forecast(start, now, lanes, [mask.bit_count() for mask in masks], _meetings(masks, lanes))


def _lane(
    job: Job,
    usual: timedelta | None,
    start: datetime,
    now: datetime,
    known: dict[tuple[Trigger, datetime], list[int]],
) -> Lane | None:
    times = _fires(job, start, now, known)
    shown = times[:FIRES_OF_A_JOB]
    if not shown:
        return None
    last = start + shown[-1] * TICK
    return Lane(job, len(shown), _spans(shown, usual or MINUTE), usual, last, len(times) > len(shown))


def _fires(job: Job, start: datetime, now: datetime, known: dict[tuple[Trigger, datetime], list[int]]) -> list[int]:
    """In the 24 hours, in ticks since `start`, one more than is shown.

    Many Jobs have the same schedule; each is computed once.
    """
    due = job.next_run_time
    if due is None or due > now + AHEAD or job.function not in registry:
        return []
    try:
        trigger = job.build_trigger()
    except TriggerError:
        return []
    first = max(due, now)
    if (trigger, first) not in known:
        known[trigger, first] = [(one - start) // TICK for one in [first, *_fires_until(trigger, first, now + AHEAD)]]
    return known[trigger, first]


def _fires_until(trigger: Trigger, first: datetime, end: datetime) -> list[datetime]:
    found: list[datetime] = []
    moment = trigger.next_after(first)
    while moment is not None and moment <= end and len(found) < FIRES_OF_A_JOB:
        found.append(moment)
        moment = trigger.next_after(moment)
    return found


def _spans(times: list[int], usual: timedelta) -> list[tuple[int, int]]:
    minute, lasting = MINUTE // TICK, usual // TICK
    found: list[tuple[int, int]] = []
    for time in times:
        first = min(time // minute, MINUTES - 1)
        end = min(max(-(-(time + lasting) // minute), first + 1), MINUTES)
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((first, end))
    return found


def _meetings(masks: list[int], lanes: list[Lane]) -> list[Meeting]:
    """By their Jobs, so that two that meet every five minutes are one meeting."""
    found: dict[int, list[tuple[int, int]]] = {}
    for mask, group in groupby(range(MINUTES), key=masks.__getitem__):
        minutes = list(group)
        if mask.bit_count() > 1:
            found.setdefault(mask, []).append((minutes[0], minutes[-1] + 1))
    return [
        Meeting([lane.job for index, lane in enumerate(lanes) if mask >> index & 1], stretches)
        for mask, stretches in found.items()
    ]
