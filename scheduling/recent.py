"""The last runs of many Jobs, by two queries that cost the same however long the history is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from django.db import connection
from django.db.models import QuerySet

from .history import Seconds
from .models import Task

RUNS = 20
LOOKED_AT = 40
"""Tasks of a Job, among which those that were missed or skipped are no runs."""
_FIELDS = ("pk", "job_id", "status", "started_at", "finished_at", "date_created", "task_name")

_ANY_JOB = "\0"
"""Stands for a Job's id; no database keeps one like it."""


class Run(NamedTuple):
    """`seconds` is how long it ran; None for a Task that did not run, or still does."""

    pk: int
    job_id: str
    status: str
    seconds: float | None

    @property
    def duration(self) -> timedelta:
        return timedelta(seconds=max(self.seconds or 0.0, 0.0))


@dataclass
class Recent:
    """What a Job did last."""

    last: Task | None = None
    """The newest that began or was passed over."""
    runs: list[Run] = field(default_factory=list)
    """The newest ended ones that had begun, the oldest first."""

    @property
    def succeeded(self) -> int:
        return sum(run.status == Task.Status.COMPLETED for run in self.runs)

    @property
    def durations(self) -> list[timedelta]:
        return [run.duration for run in self.runs]


def recent_of(job_ids: Iterable[str]) -> dict[str, Recent]:
    """By Job id; each of them has one."""
    by_job: dict[str, list[Run]] = {job_id: [] for job_id in job_ids}
    for run in _newest_of(list(by_job)):
        by_job[run.job_id].append(run)
    for runs in by_job.values():
        runs.sort(reverse=True)
    newest = Task.objects.only(*_FIELDS).in_bulk([runs[0].pk for runs in by_job.values() if runs])
    return {
        # Cleaned up since the first query: none.
        job_id: Recent(newest.get(runs[0].pk) if runs else None, _ended(runs))
        for job_id, runs in by_job.items()
    }


def _ended(newest_first: list[Run]) -> list[Run]:
    return [run for run in newest_first if run.seconds is not None][:RUNS][::-1]


def _newest_of(job_ids: list[str]) -> list[Run]:
    """A part for each Job, read from the end of its index; a window over all would read all of the history."""
    if not job_ids:
        return []
    # Put together by hand, since Django's union has no LIMIT in its parts on SQLite, which takes one in a subquery;
    # and from one part, since to build fifty takes Django longer than the database needs to run them. Plain rows, since
    # a page has two thousand of them.
    part, values = _newest(_ANY_JOB).query.sql_with_params()
    sql = " UNION ALL ".join([f"SELECT * FROM ({part}) AS part"] * len(job_ids))
    with connection.cursor() as cursor:
        cursor.execute(sql, [job_id if value == _ANY_JOB else value for job_id in job_ids for value in values])
        return list(map(Run._make, cursor.fetchall()))


def _newest(job_id: str) -> QuerySet[Task, tuple[object, ...]]:
    began = Task.objects.filter(job_id=job_id).exclude(status=Task.Status.QUEUED)
    lasted = Seconds("finished_at", "started_at")
    return began.order_by("-pk").values_list("pk", "job_id", "status", lasted)[:LOOKED_AT]
