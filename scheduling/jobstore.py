"""APScheduler's view of the Jobs: built from the rows at every look, with nothing pickled.

django-apscheduler's own store keeps a pickle of each job, runs code when it reads one, and deletes what it cannot load.
Here `DjangoJob` holds only the next run time; the definition is the Job row.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apscheduler.job import Job as APSchedulerJob
from apscheduler.jobstores.base import ConflictingIdError, JobLookupError
from apscheduler.triggers.base import BaseTrigger
from django_apscheduler.jobstores import DjangoJobStore
from django_apscheduler.models import DjangoJob

from .exceptions import UnknownJob
from .models import Job
from .triggers import Trigger, TriggerError

STABLE_FUNCTION = "scheduling.runner:run_job"


class RowTrigger(BaseTrigger):  # type: ignore[misc]
    """One of our triggers in APScheduler's clothes."""

    def __init__(self, trigger: Trigger) -> None:
        self.trigger = trigger

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        return self.trigger.next_after(max(previous_fire_time, now) if previous_fire_time else now)

    def __str__(self) -> str:
        return self.trigger.in_words()


class _Unreadable(BaseTrigger):  # type: ignore[misc]
    """Stands for a schedule that cannot be read, so that one bad row hides no other."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> None:
        return None

    def __str__(self) -> str:
        return "unreadable"


class ScheduledJob(APSchedulerJob):  # type: ignore[misc]
    """APScheduler's Job with the `state` of the row: active, paused, ended or unresolvable."""

    __slots__ = ("state",)


class JobStore(DjangoJobStore):  # type: ignore[misc]
    """See the module. Changes go through the Job's own verbs, never through APScheduler's copy of a job."""

    def register_event_listeners(self) -> None:
        """None: the history is kept as Tasks, by the loop."""

    def lookup_job(self, job_id: str) -> ScheduledJob | None:
        try:
            return self._build(Job.objects.by_id(job_id))
        except UnknownJob:
            return None

    def get_due_jobs(self, now: datetime) -> list[ScheduledJob]:
        return [self._build(job) for job in Job.objects.due(now).select_related("runtime")]

    def get_next_run_time(self) -> datetime | None:
        times = DjangoJob.objects.filter(next_run_time__isnull=False, job__isnull=False)
        first: datetime | None = times.order_by("next_run_time").values_list("next_run_time", flat=True).first()
        return first

    def get_all_jobs(self) -> list[ScheduledJob]:
        jobs = [self._build(job) for job in Job.objects.select_related("runtime").order_by("runtime__next_run_time")]
        self._fix_paused_jobs_sorting(jobs)
        return jobs

    def add_job(self, job: APSchedulerJob) -> None:
        if Job.objects.filter(pk=job.id).exists():
            raise ConflictingIdError(job.id)
        raise TypeError("Add Jobs with the scheduler's add_job, which makes a Job row.")

    def update_job(self, job: APSchedulerJob) -> None:
        raise TypeError("Change Jobs with the scheduler's methods or the Job row, not through APScheduler's copy.")

    def remove_job(self, job_id: str) -> None:
        try:
            Job.objects.by_id(job_id).remove()
        except UnknownJob:
            raise JobLookupError(job_id) from None

    def remove_all_jobs(self) -> None:
        for job in Job.objects.select_related("runtime"):
            job.remove()

    def _build(self, row: Job) -> ScheduledJob:
        job = ScheduledJob.__new__(ScheduledJob)
        job.__setstate__(self._state(row))
        job.state = row.state
        job._scheduler = self._scheduler
        job._jobstore_alias = self._alias
        return job

    @staticmethod
    def _state(row: Job) -> dict[str, Any]:
        try:
            trigger: BaseTrigger = RowTrigger(row.build_trigger())
        except TriggerError:
            trigger = _Unreadable()
        grace = row.misfire_grace
        return {
            "version": 1,
            "id": row.pk,
            "func": STABLE_FUNCTION,
            "trigger": trigger,
            "executor": "default",
            "args": (row.pk,),
            "kwargs": {},
            "name": row.name,
            "misfire_grace_time": int(grace.total_seconds()) if grace else None,
            "coalesce": row.coalesce,
            "max_instances": row.max_instances,
            "next_run_time": row.next_run_time,
        }
