"""The last runs of many Jobs, by one query that costs the same however long the history is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from django.db.models import QuerySet

from .models import Task

RUNS = 20
LOOKED_AT = 40
"""Tasks of a Job, among which those that were missed or skipped are no runs."""
_FIELDS = ("pk", "job_id", "status", "started_at", "finished_at", "date_created", "task_name")

_ANY_JOB = "\0"
"""Stands for a Job's id; no database keeps one like it."""


@dataclass
class Recent:
    """What a Job did last."""

    last: Task | None = None
    """The newest that began or was passed over."""
    runs: list[Task] = field(default_factory=list)
    """The newest ended ones that had begun, the oldest first."""

    @property
    def succeeded(self) -> int:
        return sum(task.status == Task.Status.COMPLETED for task in self.runs)

    @property
    def durations(self) -> list[timedelta]:
        return [task.duration or timedelta(0) for task in self.runs]


def recent_of(job_ids: Iterable[str]) -> dict[str, Recent]:
    """By Job id; each of them has one."""
    by_job: dict[str, list[Task]] = {job_id: [] for job_id in job_ids}
    for task in _newest_of(list(by_job)):
        by_job[str(task.job_id)].append(task)
    return {job_id: _recent(tasks) for job_id, tasks in by_job.items()}


def _recent(tasks: list[Task]) -> Recent:
    newest_first = sorted(tasks, key=lambda task: -task.pk)
    runs = [task for task in newest_first if task.started_at and task.finished_at][:RUNS]
    return Recent(last=newest_first[0] if newest_first else None, runs=runs[::-1])


def _newest_of(job_ids: list[str]) -> Iterable[Task]:
    """A part for each Job, read from the end of its index; a window over all would read all of the history."""
    if not job_ids:
        return []
    # Put together by hand, since Django's union has no LIMIT in its parts on SQLite, which takes one in a subquery;
    # and from one part, since to build fifty takes Django longer than the database needs to run them.
    part, values = _newest(_ANY_JOB).query.sql_with_params()
    sql = " UNION ALL ".join([f"SELECT * FROM ({part}) AS part"] * len(job_ids))
    return Task.objects.raw(sql, [job_id if value == _ANY_JOB else value for job_id in job_ids for value in values])


def _newest(job_id: str) -> QuerySet[Task]:
    began = Task.objects.filter(job_id=job_id).exclude(status=Task.Status.QUEUED)
    return began.order_by("-pk").only(*_FIELDS)[:LOOKED_AT]
