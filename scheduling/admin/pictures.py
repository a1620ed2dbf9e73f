"""Outcomes by day as cells: a colour, a mark, and the same in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from functools import cache as cache_forever
from functools import lru_cache
from time import monotonic
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone

from scheduling.display import length
from scheduling.history import (
    DAY,
    Counted,
    Outcomes,
    Rolled,
    RolledSums,
    by_day,
    by_job_and_day,
    countable_from,
    counted_since,
    days_between,
    newest_rolled,
    rolled_of,
    rolled_since,
    rolled_sums,
    start_of,
    today,
    usual_lengths,
)
from scheduling.models import Task

T = TypeVar("T")

PICTURED_DAYS = 30
PICTURED_JOBS = 12
KEPT_SECONDS = 15
"""How old the counts of a picture may be. Counting the Tasks of a busy day takes longer than the rest of a page."""
LAST_KEPT_SECONDS = 60
"""How much older they may be while another request counts anew."""
SHARE_OF_TIME = 20
"""Counts are kept for so many times as long as they took, so that counting takes no process more than a twentieth."""
ROLLED_KEPT_SECONDS = 600

WITHOUT_JOB = "Without a Job"
_MARKS = {"bad": "×", "warn": "!", "active": "…", "stopped": "–", "good": "", "none": ""}
_LABELS = {str(value): str(label) for value, label in Task.Status.choices}
_BY_WORST = (
    ("bad", Task.RETRIED),
    ("warn", (Task.Status.MISSED, Task.Status.SKIPPED)),
    ("active", Task.ACTIVE),
    ("stopped", (Task.Status.CANCELLED,)),
    ("good", (Task.Status.COMPLETED,)),
)


@dataclass(frozen=True)
class Cell:
    """`kind` is the worst outcome: bad, warn, active, stopped, good; none where nothing was to run."""

    day: date
    kind: str
    words: str
    url: str = ""

    @property
    def mark(self) -> str:
        return _MARKS[self.kind]


@dataclass(frozen=True)
class Row:
    key: str
    name: str
    cells: list[Cell]
    words: str
    url: str = ""


@dataclass(frozen=True)
class Picture:
    days: list[date]
    total: Row
    rows: list[Row]
    left_out: int
    """Jobs that had runs and are not shown."""
    usual: dict[str, timedelta]
    """Job id -> how long its completed runs took on average."""
    uncounted: tuple[date, date] | None
    """The first and the last day of which there are too many Tasks to count; a scheduler does so."""


def picture() -> Picture:
    """The last 30 days; a handful of queries, however many Jobs, and none while it is fresh."""
    return _fresh(f"scheduling.picture.{today()}", _draw)


def _fresh(key: str, draw: Callable[[], T]) -> T:
    """From the cache; while one request draws it anew, others get the last.

    `key` names the project's day, so that no picture of yesterday is shown as today's.
    """
    last: T | None = cache.get(key)
    # Whoever adds the mark is the one to draw; it goes by itself, also where drawing failed.
    is_mine = cache.add(f"{key}.fresh", True, KEPT_SECONDS)
    if last is not None and not is_mine:
        return last
    began = monotonic()
    found = draw()
    seconds = max(KEPT_SECONDS, round(SHARE_OF_TIME * (monotonic() - began)))
    cache.set(key, found, seconds + LAST_KEPT_SECONDS)
    if seconds > KEPT_SECONDS:
        cache.set(f"{key}.fresh", True, seconds)
    return found


def _draw() -> Picture:
    days = days_between(today() - DAY * (PICTURED_DAYS - 1), today())
    rolled = _rolled_sums(days[0])
    first = rolled.newest + DAY if rolled.newest else days[0]
    counted_from = countable_from(first, rolled.left_out)
    recent = counted_since(counted_from, rolled=Rolled(None, []))
    counted = [*rolled.by_job, *recent]
    by_job = by_job_and_day(counted)
    shown = sorted(by_job, key=lambda key: _badness(by_job[key]), reverse=True)[:PICTURED_JOBS]
    rolled_days = [day for day in days if day < first]
    rolled_shown, names = rolled_of(shown, rolled_days)
    of_shown = by_job_and_day([*rolled_shown, *(row for row in recent if row.job_key in shown)])
    rows = [_row(key, _name_of(key, names), of_shown.get(key, {}), days) for key in shown]
    rows.sort(key=lambda row: (row.key == "", row.name.casefold()))
    total = _row(None, "All together", by_day([*rolled.by_day, *recent]), days)
    uncounted = (first, counted_from - DAY) if counted_from > first else None
    return Picture(days, total, rows, len(by_job) - len(shown), usual_lengths(counted), uncounted)


def all_days(since: date) -> dict[date, Outcomes]:
    """Day -> the outcomes of all Jobs together; as fresh as the picture."""

    def draw() -> dict[date, Outcomes]:
        return by_day(counted_since(since, by_job=False, rolled=rolled(since)))

    return _fresh(f"scheduling.days.{since}.{today()}", draw)


def rolled(since: date) -> Rolled:
    """Of all Jobs together, from the cache if it is there, and no day was rolled up since."""
    key = f"scheduling.rolled.{since}"
    found: Rolled | None = cache.get(key)
    if found is None or found.newest != newest_rolled(day__gte=since):
        found = rolled_since(since, by_job=False)
        cache.set(key, found, ROLLED_KEPT_SECONDS)
    return found


def _rolled_sums(since: date) -> RolledSums:
    """From the cache if it is there, and no day was rolled up since."""
    key = f"scheduling.rolled_sums.{since}"
    kept: tuple[Any, ...] | None = cache.get(key)
    # A clean-up rolls up days that it deletes.
    if kept is None or kept[0] != newest_rolled(day__gte=since):
        found = rolled_sums(since)
        # As plain tuples, which are pickled many times quicker.
        kept = found.newest, list(map(tuple, found.by_day)), list(map(tuple, found.by_job)), found.left_out
        cache.set(key, kept, ROLLED_KEPT_SECONDS)
    newest, of_days, of_jobs, left_out = kept
    return RolledSums(newest, list(map(Counted._make, of_days)), list(map(Counted._make, of_jobs)), left_out)


def _badness(days: Mapping[date, Outcomes]) -> tuple[int, int]:
    failures = sum(count_of(each, Task.RETRIED) for each in days.values())
    return failures, sum(sum(each.counts.values()) for each in days.values())


def _name_of(key: str, names: Mapping[str, str]) -> str:
    if not key:
        return WITHOUT_JOB
    return names.get(key) or f"{key} (deleted)"


def _row(key: str | None, name: str, outcomes: Mapping[date, Outcomes], days: Iterable[date]) -> Row:
    cells = [cell(day, outcomes.get(day), key) for day in days]
    return Row(key or "", name, cells, outcomes_in_words(together(outcomes.values())), tasks_url(key))


# --- cells --------------------------------------------------------------------------------------------------------


def cell(day: date, outcomes: Outcomes | None, key: str | None) -> Cell:
    """`key` is the Job's id, "" for Tasks without one, None for all."""
    if outcomes is None:
        return Cell(day, "none", f"{day_in_words(day)}: no runs")
    words = f"{day_in_words(day)}: {outcomes_in_words(outcomes)}"
    return Cell(day, kind_of(outcomes), words, tasks_url(key, day))


def kind_of(outcomes: Outcomes) -> str:
    return next((kind for kind, statuses in _BY_WORST if count_of(outcomes, statuses)), "none")


def count_of(outcomes: Outcomes, statuses: Iterable[str]) -> int:
    return sum(outcomes.counts.get(status, 0) for status in statuses)


def together(many: Iterable[Outcomes]) -> Outcomes:
    found = Outcomes()
    for one in many:
        found.add_all(one)
    return found


def day_in_words(day: date) -> str:
    return f"{day:%a} {day.day} {day:%b %Y}"


def outcomes_in_words(outcomes: Outcomes) -> str:
    """Such as "24 completed, 1 failed; ran 12 min 03 s, the longest 2 min 00 s"."""
    order = [status for status in _LABELS if outcomes.counts.get(status)]
    order += sorted(outcomes.counts.keys() - _LABELS.keys())
    if not order:
        return "no runs"
    counts = ", ".join(f"{outcomes.counts[status]:,} {_status_in_words(status)}" for status in order)
    if not outcomes.seconds:
        return counts
    ran = f"{counts}; ran {length(timedelta(seconds=outcomes.seconds))}"
    several = sum(outcomes.counts.values()) > 1
    return f"{ran}, the longest {length(timedelta(seconds=outcomes.longest))}" if several else ran


def _status_in_words(status: str) -> str:
    return _LABELS.get(status, status)


def tasks_url(key: str | None, day: date | None = None) -> str:
    """The list of Tasks of a Job ("": without one, None: all) and a day."""
    query = [] if key is None else [urlencode({"job": key or "-"})]
    if day is not None:
        query.append(_query_of_day(day, timezone.get_default_timezone_name()))
    return f"{_tasks_path()}?{'&'.join(query)}" if query else _tasks_path()


@lru_cache(maxsize=1024)
def _query_of_day(day: date, zone: str) -> str:
    """`zone` is the project's, which the moments depend on."""
    first, end = (f"{start_of(edge).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for edge in (day, day + DAY))
    return f"since={first}&until={end}"


@cache_forever
def _tasks_path() -> str:
    return reverse("admin:scheduling_task_changelist")
