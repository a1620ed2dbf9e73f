"""Outcomes by day, for longer than the Tasks are kept.

A day is one of the project's TIME_ZONE, and a Task belongs to the day it was made on. Days that are over are rolled up
in order, so the newest day that has counts tells how far that went; the days after it are counted from the Tasks.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from django.db.models import (
    Case,
    Count,
    DateField,
    F,
    FloatField,
    Func,
    IntegerField,
    Max,
    Min,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Coalesce, TruncDate
from django.utils import timezone

from .models import DayCount, Job, Task

logger = logging.getLogger(__name__)

DAY = timedelta(days=1)
SETTLED_AFTER = timedelta(minutes=10)
"""After midnight: by then what was made before it is committed, also by a process with a slow clock."""
NOT_WAITED_LONGER = timedelta(days=7)
"""A Task that is active for so long after its day does not keep that day from being rolled up."""

COUNTED_AT_MOST = 250_000
"""Tasks that are counted for a page: a database counts some 100,000 in a second. It may be a few more, of one day."""


@dataclass
class Outcomes:
    """How the Tasks of a Job and a day ended. `seconds` and `longest` are of those that ran."""

    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    longest: float = 0.0

    def add(self, status: str, count: int, seconds: float, longest: float) -> None:
        self.counts[status] = self.counts.get(status, 0) + count
        self.seconds += seconds
        self.longest = max(self.longest, longest)

    def add_all(self, other: Outcomes) -> None:
        for status, count in other.counts.items():
            self.add(status, count, 0.0, 0.0)
        self.seconds += other.seconds
        self.longest = max(self.longest, other.longest)


class Counted(NamedTuple):
    """A row of counts, of a day that was rolled up or of one that is counted now. There may be tens of thousands."""

    job_key: str
    day: date
    status: str
    number: int
    seconds: float
    longest: float


class Seconds(Func):
    """Between two moments, the later one first. The database's own arithmetic: Django's calls Python once a row.

    On SQLite in whole milliseconds, which is what its `julianday` reads of a moment.
    """

    output_field = FloatField()
    template = "EXTRACT(EPOCH FROM (%(expressions)s))::double precision"
    arg_joiner = " - "

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(
            compiler,
            connection,
            template="round((julianday(%(expressions)s)) * 86400.0, 3)",
            arg_joiner=") - julianday(",
            **context,
        )


# --- days ---------------------------------------------------------------------------------------------------------


def today() -> date:
    return day_of(timezone.now())


def day_of(moment: datetime) -> date:
    """The day of the project's time zone, whatever zone a page is shown in."""
    return timezone.localtime(moment, timezone.get_default_timezone()).date()


def start_of(day: date) -> datetime:
    """Its first moment; where the clocks skip midnight, the moment they do so."""
    return datetime.combine(day, time.min, tzinfo=timezone.get_default_timezone())


def days_between(first: date, last: date) -> list[date]:
    return [first + DAY * number for number in range((last - first).days + 1)]


# --- rolling up ---------------------------------------------------------------------------------------------------


def roll_up(until: date | None = None) -> None:
    """Count each day up to and including `until` (yesterday) that is over, in which nothing is active any more.

    It may be called again, and by several processes at once: a day that has counts keeps them.
    """
    last = min(until or date.max, day_of(timezone.now() - SETTLED_AFTER) - DAY)
    day = _next_with_tasks(newest_rolled())
    while day is not None and day <= last:
        if not _may_be_rolled(day):
            return
        _roll(day)
        day = _next_with_tasks(day)


def counted_until() -> datetime:
    """The end of the newest day that is rolled up; all before it are."""
    newest = newest_rolled()
    return start_of(newest + DAY) if newest else datetime.min.replace(tzinfo=UTC)


def newest_rolled(**of: Any) -> date | None:
    newest: date | None = DayCount.objects.filter(**of).aggregate(newest=Max("day"))["newest"]
    return newest


def _next_with_tasks(after: date | None) -> date | None:
    tasks = Task.objects.filter(date_created__gte=start_of(after + DAY)) if after else Task.objects.all()
    oldest: datetime | None = tasks.aggregate(oldest=Min("date_created"))["oldest"]
    return day_of(oldest) if oldest else None


def _made_on(day: date) -> Any:
    return Task.objects.filter(date_created__gte=start_of(day), date_created__lt=start_of(day + DAY))


def _may_be_rolled(day: date) -> bool:
    return start_of(day + DAY) < timezone.now() - NOT_WAITED_LONGER or not _made_on(day).active().exists()


def _roll(day: date) -> None:
    found = _counted(_made_on(day).ended(), [day])
    rows = [
        DayCount(job_key=key, day=day, status=status, count=number, seconds=seconds, longest=longest)
        for key, day, status, number, seconds, longest in found
    ]
    # One statement, so no half of a day is seen. Another process may have been quicker, and may even have deleted Tasks
    # since; its counts are whole, so they stay.
    DayCount.objects.bulk_create(rows, ignore_conflicts=True)
    logger.debug("%s rolled up into %s rows", day, len(rows))


def _counted(tasks: Any, days: list[date], *, by_job: bool = True) -> Iterator[Counted]:
    """One query, however many days; `days` are ascending and without a gap."""
    newest_first = list(enumerate(days))[:0:-1]
    number: Any = Value(0)
    if newest_first:
        whens = [When(date_created__gte=start_of(day), then=Value(index)) for index, day in newest_first]
        number = Case(*whens, default=Value(0), output_field=IntegerField())
    seconds = Seconds(F("finished_at"), F("started_at"))
    # Not the columns themselves: SQLite would read all Tasks in the order of an index rather than those of the days.
    key = Coalesce(F("job_id"), Value("")) if by_job else Value("")
    outcome = Coalesce(F("status"), Value(""))
    groups = (
        tasks.order_by()
        .annotate(day_number=number, key=key, outcome=outcome)
        .values_list("key", "day_number", "outcome")
        .annotate(Count("pk"), total=Sum(seconds), most=Max(seconds))
    )
    for job_id, index, status, count, total, most in groups:
        # Below nothing, where a clock was set back during a run.
        yield Counted(job_id, days[index], status, count, max(total or 0.0, 0.0), max(most or 0.0, 0.0))


# --- reading ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rolled:
    """What was rolled up, until which day.

    It stays right as it grows old, since `counted_since` counts the days after it: it may be cached for minutes.
    """

    newest: date | None
    rows: list[Counted]


def rolled_since(since: date, job_key: str | None = None, *, by_job: bool = True) -> Rolled:
    """As `counted_since`, of the days that were rolled up; one query, or two for one Job."""
    counts = DayCount.objects.filter(day__gte=since).order_by()
    if job_key is not None:
        # Before the rows, and those only up to it: a day that is rolled up meanwhile is counted once all the same.
        newest = newest_rolled()
        counts = counts.filter(job_key=job_key, day__lte=newest or date.min)
    if by_job:
        found = counts.values_list("job_key", "day", "status", "count", "seconds", "longest")
    else:
        sums = counts.values_list("day", "status").annotate(Sum("count"), Sum("seconds"), Max("longest"))
        found = sums.values_list(Value(""), "day", "status", "count__sum", "seconds__sum", "longest__max")
    # Each key, day and word once, however many rows: what is kept in a cache is smaller and quicker to read.
    same: dict[Any, Any] = {}
    once = same.setdefault
    rows = [
        Counted(once(key, key), once(day, day), once(status, status), number, seconds, longest)
        for key, day, status, number, seconds, longest in found
    ]
    if job_key is None:
        newest = max((row.day for row in rows), default=None)
    return Rolled(newest, rows)


@dataclass(frozen=True)
class RolledSums:
    """What was rolled up, until which day, added up in two ways; as `Rolled` it stays right as it grows old.

    `by_job` is all as of the newest day. Of `left_out` and the days before it there are too many Tasks to count.
    """

    newest: date | None
    by_day: list[Counted]
    by_job: list[Counted]
    left_out: date | None


def rolled_sums(since: date) -> RolledSums:
    """One query."""
    counts = DayCount.objects.filter(day__gte=since).order_by()
    sums = Sum("count"), Sum("seconds"), Max("longest")
    by_day = counts.values_list(Value("day"), Value(""), "day", "status").annotate(*sums)
    by_job = counts.values_list(Value("job"), "job_key", Max("day"), "status").annotate(*sums)
    newest = Task.objects.order_by("-pk").values("pk")[:1]
    before = Task.objects.filter(pk__lte=Subquery(newest) - COUNTED_AT_MOST).order_by("-pk").values("pk")[:1]
    # By its number, since SQLite takes no LIMIT in a part.
    left_out = Task.objects.filter(pk=Subquery(before)).order_by()
    day = TruncDate("date_created", tzinfo=timezone.get_default_timezone())
    marks = left_out.values_list(Value("left out"), Value(""), day, Value(""), Value(0), Value(0.0), Value(0.0))
    parts: dict[str, list[Counted]] = {"day": [], "job": [], "left out": []}
    for part, *row in by_day.union(by_job, marks, all=True):
        parts[part].append(Counted(*row))
    until = max((row.day for row in parts["day"]), default=None)
    of_jobs = [row._replace(day=until) for row in parts["job"]] if until else []
    return RolledSums(until, parts["day"], of_jobs, next((row.day for row in parts["left out"]), None))


def rolled_of(job_keys: Collection[str], days: Iterable[date]) -> tuple[list[Counted], dict[str, str]]:
    """Of some Jobs and days, as they were rolled up, and job id -> name of those that are there; one query."""
    # The days one by one, as they stand in the index before the Jobs.
    counts = DayCount.objects.filter(day__in=list(days), job_key__in=job_keys).order_by()
    rows = counts.values_list("job_key", "day", "status", "count", "seconds", "longest")
    no_day: Any = Value(None, output_field=DateField())
    jobs = Job.objects.filter(pk__in=job_keys).order_by()
    names = jobs.values_list("pk", no_day, "name", Value(0), Value(0.0), Value(0.0))
    found = list(map(Counted._make, rows.union(names, all=True)))
    return [row for row in found if row.day], {row.job_key: row.status for row in found if not row.day}


def countable_from(first: date, left_out: date | None) -> date:
    """The day from `first` on from which the Tasks can be counted while somebody waits; today always can."""
    return first if left_out is None else max(first, min(left_out + DAY, today()))


def counted_since(
    since: date, job_key: str | None = None, *, by_job: bool = True, rolled: Rolled | None = None
) -> list[Counted]:
    """All counts from `since` to today, of one Job ("": of Tasks without one) or of all; three queries at most.

    `by_job=False`: the counts of all Jobs together. `rolled` is what is known already of the same.
    """
    rolled = rolled or rolled_since(since, job_key, by_job=by_job)
    first = max(since, rolled.newest + DAY) if rolled.newest else since
    if first > today():
        return rolled.rows
    tasks = Task.objects.filter(date_created__gte=start_of(first))
    if job_key is not None:
        tasks = tasks.filter(job=job_key or None)
    return [*rolled.rows, *_counted(tasks, days_between(first, today()), by_job=by_job)]


def day_counts(since: date, job_key: str | None = None) -> dict[str, dict[date, Outcomes]]:
    """Job id ("" for Tasks without a Job) -> day -> outcomes, from `since` to today; days without Tasks are left out."""
    return by_job_and_day(counted_since(since, job_key))


def by_job_and_day(rows: Iterable[Counted]) -> dict[str, dict[date, Outcomes]]:
    found: dict[str, dict[date, Outcomes]] = {}
    for job_key, day, status, number, seconds, longest in rows:
        days = found.setdefault(job_key, {})
        outcomes = days.get(day) or days.setdefault(day, Outcomes())
        outcomes.add(status, number, seconds, longest)
    return found


def by_day(rows: Iterable[Counted]) -> dict[date, Outcomes]:
    """Day -> the outcomes of all Jobs together."""
    found: dict[date, Outcomes] = {}
    for row in rows:
        found.setdefault(row.day, Outcomes()).add(row.status, row.number, row.seconds, row.longest)
    return found


def usual_lengths(rows: Iterable[Counted]) -> dict[str, timedelta]:
    """Job id -> the mean length of its completed runs."""
    sums: dict[str, tuple[int, float]] = {}
    for row in rows:
        if row.status == Task.Status.COMPLETED:
            count, seconds = sums.get(row.job_key, (0, 0.0))
            sums[row.job_key] = count + row.number, seconds + row.seconds
    return {key: timedelta(seconds=seconds / count) for key, (count, seconds) in sums.items()}
