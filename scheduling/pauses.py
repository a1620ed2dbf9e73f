"""The switch that pauses everything: nothing is started by schedule or as a retry until it is turned off.

Schedulers ask for it with the statements by which they take work (`JobQuerySet.lock_due`, `TaskQuerySet.that_may_start`),
so it holds from its commit on. What runs goes on, and what a person asks for starts.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import DateTimeField, QuerySet, Subquery, Value
from django.utils import timezone
from django_apscheduler.models import DjangoJob

from . import wakeups
from .exceptions import NotAllowedNow
from .models import Job, PauseOfAll, SchedulerProcess, Task, not_by_a_person
from .triggers import TriggerError

logger = logging.getLogger(__name__)

AT_A_TIME = 500


def current_pause() -> PauseOfAll | None:
    """The pause of everything that is on, with who began it."""
    return PauseOfAll.objects.filter(ended_at=None).select_related("began_by").first()


def with_pause(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Rows that tell of the pause as well, by `pause_told_by`: a page that reads some need not ask for it."""
    on = PauseOfAll.objects.filter(ended_at=None)
    told = {f"pause_{name}": Subquery(on.values(name)) for name in ("began_at", "began_by__username", "reason")}
    annotated: QuerySet[Any] = rows.annotate(**told)
    return annotated


def pause_told_by(row: Any) -> PauseOfAll | None:
    """The pause of everything that is on, for its words; not to be saved."""
    if row.pause_began_at is None:
        return None
    return _told(row.pause_began_at, row.pause_began_by__username, row.pause_reason)


def _told(began_at: datetime, by: str | None, reason: str) -> PauseOfAll:
    return PauseOfAll(began_at=began_at, began_by=User(username=by) if by else None, reason=reason)


def alive_and_paused() -> tuple[bool, PauseOfAll | None]:
    """Whether a scheduler is alive, and the pause of everything that is on, for its words; one query for every page."""
    on = PauseOfAll.objects.filter(ended_at=None).order_by()
    pauses = on.values_list(Value(value=False), "began_at", "began_by__username", "reason")
    schedulers = SchedulerProcess.objects.alive().schedulers().order_by()
    never: Any = Value(None, output_field=DateTimeField())
    alive = schedulers.values_list(Value(value=True), never, Value(""), Value(""))
    rows = list(pauses.union(alive, all=True))
    pause = next((_told(*told) for is_scheduler, *told in rows if not is_scheduler), None)
    return any(is_scheduler for is_scheduler, *_ in rows), pause


def pause_everything(*, by: User | None = None, reason: str = "") -> PauseOfAll:
    """Raises:
    NotAllowedNow: it is on already.
    """
    with transaction.atomic():
        try:
            with transaction.atomic():
                pause = PauseOfAll.objects.create(began_by=by, reason=reason[:255])
        except IntegrityError:
            raise NotAllowedNow("Everything is paused already.") from None
        # What is held back holds no instance of its Job, which a run that a person asks for may need.
        Task.objects.filter(not_by_a_person(), status=Task.Status.QUEUED, waiting=False).update(waiting=True)
        wakeups.announce()
    return pause


def resume_everything(*, by: User | None = None) -> int:
    """Fire times that fell into the pause are not caught up; one-off Jobs of that time run now.

    Returns how many Jobs were given another next run time.

    Raises:
        NotAllowedNow: it is not on.
    """
    with transaction.atomic():
        now, pause = timezone.now(), current_pause()
        if pause is None or not PauseOfAll.objects.filter(ended_at=None).update(ended_at=now, ended_by=by):
            raise NotAllowedNow("Not everything is paused.")
        moved = _reschedule_due(pause.began_at, now)
        wakeups.announce()
    return moved


def _reschedule_due(since: datetime, now: datetime) -> int:
    """Of the Jobs that came due in the pause. Those that were due before it run now, or are recorded as missed."""
    # The locks come first: joined rows are read as they were before the wait for them.
    due = DjangoJob.objects.select_for_update().filter(next_run_time__gte=since, next_run_time__lte=now)
    list(due.order_by("pk").values_list("pk"))
    moved = []
    for job in Job.objects.due(now).filter(runtime__next_run_time__gte=since).select_related("runtime"):
        try:
            job.runtime.next_run_time = _after_pause(job, now)
        except (TriggerError, OverflowError) as error:
            # Left due: the scheduler that finds it pauses it, with the reason.
            logger.error("Job %s: its schedule cannot be read: %s", job.pk, error)
            continue
        moved.append(job.runtime)
    DjangoJob.objects.bulk_update(moved, ["next_run_time"], batch_size=AT_A_TIME)
    return len(moved)


def _after_pause(job: Job, now: datetime) -> datetime | None:
    moment = job.next_time(now)
    # A one-off Job has no other time than the one that went by.
    return max(moment, now) if moment is not None else None
