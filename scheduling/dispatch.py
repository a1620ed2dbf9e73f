"""Due Jobs become Tasks, in one transaction; queued Tasks are claimed.

Two scheduler processes, or twenty, may do this at the same time: a Job's runtime row is locked before anything of it is
decided, and a Task is claimed by the one UPDATE that finds it queued.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, connection, models, transaction
from django.db.models import F, Min, Q
from django.utils import timezone
from django_apscheduler.models import DjangoJob

from . import wakeups
from .models import PAUSE_FIELDS, Job, JobChange, SchedulerProcess, Task, everything_is_paused
from .registry import registry
from .triggers import MICROSECOND, OnceTrigger, Trigger, TriggerError, due_times

logger = logging.getLogger(__name__)

BATCH = 500
"""Jobs a transaction: it bounds the time that locks are held and a turn of the loop takes."""
LOOK_AHEAD = timedelta(milliseconds=25)
"""Jobs that come due so soon are dispatched with those at hand: one commit then serves several, and is done by their
time. A pause or an edit that comes later still holds from the next fire time on.
"""
CLOCK_AHEAD = timedelta(minutes=10)
"""A Task made so far in the future was made by a clock that was wrong; less is told from machines that do not quite agree."""
CATCH_UP = 100
"""Runs of one Job made at once where `coalesce` is off; older fire times are counted in its oldest Task."""


@dataclass
class Dispatched:
    """What one transaction did."""

    until: datetime
    """The Jobs due up to here were dispatched."""
    started: list[Task] = field(default_factory=list)
    """Running in this process's name, to be handed to workers at their `started_at`: now, or a moment ahead."""
    recorded: list[Task] = field(default_factory=list)
    """Missed and skipped ones."""
    queued: list[Task] = field(default_factory=list)
    next_times: list[datetime] = field(default_factory=list)
    waiting_jobs: set[str | None] = field(default_factory=set)
    """Jobs of which a Task waits for an instance."""
    full: bool = False
    """There may be more due Jobs than one batch."""


class Dispatcher:
    """The database's side of one scheduler process.

    Functions that this process does not know are remembered and left to others, e.g. to a newer release of the program
    during an upgrade.
    """

    def __init__(self, process: SchedulerProcess) -> None:
        self.process = process
        self.unresolvable: set[str] = set()
        self._due: DueJobs | None = None

    def upcoming(self, until: datetime) -> list[datetime]:
        """The distinct next run times up to `until`, ascending; none while everything is paused."""
        rows = DjangoJob.objects.filter(next_run_time__lte=until, job__isnull=False).exclude(everything_is_paused())
        if self.unresolvable:
            rows = rows.exclude(job__function__in=self.unresolvable)
        return list(rows.order_by("next_run_time").values_list("next_run_time", flat=True).distinct())

    def bring_forward(self, now: datetime) -> int:
        """Jobs that ran while the clock was ahead get the next time of their schedule. Returns how many did.

        The one they had is behind the time of that clock, which may be years away.
        """
        ran_ahead = Task.objects.filter(date_created__gt=now + CLOCK_AHEAD, job__isnull=False).order_by()
        job_ids = list(ran_ahead.values_list("job_id", flat=True).distinct())
        moved = 0
        now += LOOK_AHEAD  # What is due within that may be dispatched already.
        for job in Job.objects.filter(pk__in=job_ids, runtime__next_run_time__gt=now).select_related("runtime"):
            if not _is_put_off(job, now):
                continue
            with transaction.atomic():
                locked = Job.objects.locked_at_once(job.pk)
                if locked is not None and _is_put_off(locked, now):
                    locked.reschedule(now)
                    logger.warning(
                        "Job %s ran while the clock was ahead; it runs next at %s, not at %s.",
                        *(job, locked.next_run_time, job.next_run_time),
                    )
                    moved += 1
        return moved

    def dispatch_due(self, now: datetime, *, room: int, ended: Counter[str]) -> Dispatched:
        """One batch of due Jobs, in one transaction. Up to `room` Tasks are born running, owned by this process.

        `ended` are the Jobs of Tasks that have ended here and whose rows do not say so yet.
        """
        try:
            with transaction.atomic():
                if self._due is None:
                    self._due = DueJobs(without=self.unresolvable)
                jobs = self._due.lock(now + LOOK_AHEAD)
                active = self._due.active_counts(now + LOOK_AHEAD) if jobs else Counter()
                return self._dispatch(jobs, active - ended, now, room)
        except IntegrityError:
            # A fire time has its Task already, as after a clock was set back.
            return self._dispatch_without_doubles(now, ended)

    def _dispatch_without_doubles(self, now: datetime, ended: Counter[str]) -> Dispatched:
        with transaction.atomic():
            jobs = list(Job.objects.lock_due(now).exclude(function__in=self.unresolvable)[:BATCH])
            ids = [job.pk for job in jobs]
            # A one-off Job that was put off, as by a pause, has its Task at the time it was planned for.
            times = [moment for job in jobs for moment in (job.next_run_time, job.run_at) if moment]
            earliest = min(times, default=now)
            made = set(Task.objects.filter(job_id__in=ids, fire_time__gte=earliest).values_list("job_id", "fire_time"))
            active = Counter(Task.objects.active_counts(ids))
            done = self._dispatch(jobs, active - ended, now, 0, made=made)
        # The others, due a moment ahead, are for the next turn.
        done.until, done.full = now, True
        return done

    def _dispatch(
        self,
        jobs: list[Job],
        active: Mapping[str, int],
        now: datetime,
        room: int,
        made: Collection[tuple[str | None, datetime | None]] = (),
    ) -> Dispatched:
        """`made` are the Jobs and fire times that have their Task already."""
        done = Dispatched(until=now + LOOK_AHEAD, full=len(jobs) == BATCH)
        tasks: list[Task] = []
        moves: dict[datetime | None, list[str]] = defaultdict(list)
        for job in filter(self._knows, jobs):
            assert job.next_run_time is not None
            moment = max(now, job.next_run_time)
            if moment > now and (len(done.started) >= room or active.get(job.pk, 0) >= job.max_instances):
                # Nothing is decided ahead but that a worker takes it at its time.
                done.until = min(done.until, moment - MICROSECOND)
                continue
            planned: list[Task] = []
            try:
                next_time = self._plan(job, moment, active.get(job.pk, 0), planned, made)
            except (TriggerError, OverflowError) as error:
                # Set past the forms. Paused rather than tried again with every turn.
                logger.error("Job %s is paused: its schedule cannot be read: %s", job.pk, error)
                _set_pause(job, JobChange.Kind.PAUSED, at=now, reason=f"Its schedule cannot be read: {error}"[:255])
                next_time = None
            moves[next_time].append(job.pk)
            for task in planned:
                if task.status == Task.Status.QUEUED and not task.waiting:
                    if len(done.started) < room:
                        task.status, task.owner, task.started_at = Task.Status.RUNNING, self.process, moment
                        done.started.append(task)
                    else:
                        done.queued.append(task)
            tasks += planned
        if not moves:
            return done
        Task.objects.bulk_create(tasks)
        for next_time, ids in moves.items():
            DjangoJob.objects.filter(pk__in=ids).update(next_run_time=next_time)
        done.recorded = [task for task in tasks if task.status in (Task.Status.MISSED, Task.Status.SKIPPED)]
        done.waiting_jobs = {task.job_id for task in tasks if task.waiting}
        done.next_times = [moment for moment in moves if moment]
        return done

    def _knows(self, job: Job) -> bool:
        if job.function in registry:
            return True
        self._leave_alone({job.function})
        logger.warning("Job %s is left alone: this program has no task function %s.", job.pk, job.function)
        return False

    def _leave_alone(self, functions: set[str]) -> None:
        self.unresolvable |= functions
        self._due = None  # Its SQL names them.

    def _plan(
        self,
        job: Job,
        now: datetime,
        active: int,
        tasks: list[Task],
        made: Collection[tuple[str | None, datetime | None]],
    ) -> datetime | None:
        """Append the Tasks that the due fire times of a locked Job make; return the Job's next run time."""
        assert job.next_run_time is not None
        trigger = job.build_trigger()
        due = due_times(
            trigger,
            first=job.next_run_time,
            now=now,
            oldest=now - job.misfire_grace if job.misfire_grace else None,
            limit=1 if job.coalesce else CATCH_UP,
        )
        planned_time = _planned_time(trigger)
        last_missed = due.last_missed and planned_time(due.last_missed)
        if due.missed_count and (job.pk, last_missed) not in made:
            tasks.append(_missed(job, last_missed, due.missed_count, due.missed_count_is_exact, now))
        for index, fire_time in enumerate(map(planned_time, due.recent)):
            if (job.pk, fire_time) in made:
                logger.warning("Job %s: %s was dispatched before; it is not run again.", job, fire_time)
                continue
            task = Task.for_job(job, fire_time=fire_time, date_created=now)
            if index == 0 and due.folded:
                task.fire_count += due.folded
                task.reason = f"Stands for {task.fire_count} fire times that were due together."
            if active >= job.max_instances:
                self._hold_back(job, task, now, waits=_waits(job, tasks))
            else:
                active += 1
            tasks.append(task)
        if job.paused_at is not None:
            # Due in spite of a pause: its until-date has passed.
            _set_pause(job, JobChange.Kind.RESUMED, at=None, reason="")
        return trigger.next_after(now)

    @staticmethod
    def _hold_back(job: Job, task: Task, now: datetime, *, waits: bool) -> None:
        if waits:
            task.waiting = True
            return
        task.status, task.finished_at = Task.Status.SKIPPED, now
        task.reason = f"An earlier run was still going on, and the Job allows {job.max_instances} at a time."

    def claim(self, tasks: list[Task]) -> list[Task]:
        """Take these queued Tasks, as far as no other process has. They run in this process's name from then on."""
        started = timezone.now()
        ids = [task.pk for task in tasks]
        queued = Task.objects.filter(pk__in=ids, status=Task.Status.QUEUED, waiting=False).that_may_start()
        taken = queued.update(status=Task.Status.RUNNING, owner=self.process, started_at=started)
        if taken < len(ids):
            mine = set(Task.objects.running_in(self.process).filter(pk__in=ids).values_list("pk", flat=True))
            tasks = [task for task in tasks if task.pk in mine]
        for task in tasks:
            task.started_at = started
        return tasks

    def queued_tasks(self, limit: int) -> list[Task]:
        """Queued Tasks that this process could run, oldest first."""
        queued = Task.objects.filter(status=Task.Status.QUEUED, waiting=False).that_may_start()
        if self.unresolvable:
            queued = queued.exclude(function__in=self.unresolvable)
        tasks = list(queued.select_related("job").order_by("pk")[:limit])
        if unknown := {task.function for task in tasks if task.function not in registry}:
            self._leave_alone(unknown)
            return self.queued_tasks(limit)
        return tasks

    def admit_waiting(self, now: datetime) -> tuple[datetime | None, set[str | None]]:
        """Queued Tasks whose time has come, and whose Job has an instance free, stop waiting.

        Returns the time of the next one that waits for a time, and the Jobs whose Tasks wait for an instance.
        """
        waiting = Task.objects.filter(status=Task.Status.QUEUED, waiting=True)
        ripe = waiting.filter(Q(not_before=None) | Q(not_before__lte=now)).that_may_start()
        held: set[str | None] = set()
        jobs = dict(ripe.order_by().values_list("job_id", "job__max_instances").distinct())
        active = Task.objects.active_counts(filter(None, jobs))
        for job_id, limit in jobs.items():
            if job_id is None:
                ripe.filter(job=None).update(waiting=False)
            elif active.get(job_id, 0) >= limit:
                held.add(job_id)
            else:
                self._admit(job_id, ripe)
                held.add(job_id)
        earliest: datetime | None = waiting.filter(not_before__gt=now).aggregate(Min("not_before"))["not_before__min"]
        return earliest, held

    @staticmethod
    def _admit(job_id: str, ripe: models.QuerySet[Task]) -> None:
        """As many of a Job's ripe Tasks as it has instances free, oldest first."""
        with transaction.atomic():
            # Not waiting for the lock: whoever has it announces what it does, and the other Jobs are not to wait.
            if (job := Job.objects.locked_at_once(job_id)) is None:
                return
            free = job.max_instances - Task.objects.active_counts([job_id]).get(job_id, 0)
            ids = list(ripe.filter(job_id=job_id).order_by("pk").values_list("pk", flat=True)[: max(0, free)])
            Task.objects.filter(pk__in=ids).update(waiting=False)

    def running(self) -> dict[int, bool]:
        """The Tasks that run in this process's name -> whether someone wants them cancelled."""
        rows = Task.objects.running_in(self.process).values_list("pk", "cancel_requested_at")
        return {task_id: cancel_requested_at is not None for task_id, cancel_requested_at in rows}

    def give_back(self, task_ids: Iterable[int]) -> None:
        """Tasks taken in this process's name, of which no worker has heard, are queued again, or end as cancelled."""
        mine = Task.objects.running_in(self.process).filter(pk__in=list(task_ids))
        now = timezone.now()
        queued: dict[str, Any] = {"status": Task.Status.QUEUED, "owner": None, "started_at": None}
        # In this order there is no moment at which a wish to cancel is overlooked.
        wanted = mine.filter(cancel_requested_at=None)
        wanted.filter(fire_time__gt=now).update(**queued, waiting=True, not_before=F("fire_time"))
        wanted.update(**queued)
        mine.update(status=Task.Status.CANCELLED, finished_at=now, reason="Cancelled before it started.")
        wakeups.announce()


class AtMoment:
    """A SELECT that is run for one moment after the other. Its SQL is built once: that takes Django longer than the
    database needs to run it.
    """

    def __init__(self, queryset: models.QuerySet[Any, Any], moment: datetime) -> None:
        """`queryset` asks for that very moment, once."""
        self._compiler = queryset.query.get_compiler(connection=connection)
        self._sql, values = self._compiler.as_sql()
        self._values = list(values)
        self._place = self._values.index(connection.ops.adapt_datetimefield_value(moment))
        self._converters = self._compiler.get_converters([column for column, *_ in self._compiler.select])

    def rows(self, moment: datetime) -> list[Sequence[Any]]:
        self._values[self._place] = connection.ops.adapt_datetimefield_value(moment)
        with connection.cursor() as cursor:
            cursor.execute(self._sql, self._values)
            rows = cursor.fetchall()
        return list(self._compiler.apply_converters(rows, self._converters)) if self._converters else rows


JOB_FIELDS = [field.attname for field in Job._meta.concrete_fields]
RUNTIME_FIELDS = [field.attname for field in DjangoJob._meta.concrete_fields]


class DueJobs:
    """What a scheduler asks each time that something is due. To be used in a transaction."""

    def __init__(self, *, without: Collection[str]) -> None:
        """`without` are functions whose Jobs are left alone."""
        now = timezone.now()
        locked = Job.objects.lock_due(now).exclude(function__in=without).order_by("runtime__next_run_time")
        self._locked = AtMoment(locked[:BATCH], now)
        self._active = AtMoment(
            Task.objects.holding_an_instance().filter(job__runtime__next_run_time__lte=now).values_list("job_id"), now
        )

    def lock(self, now: datetime) -> list[Job]:
        """Those that no other process has locked, the longest due first, at most `BATCH`."""
        jobs = []
        for values in self._locked.rows(now):
            job = Job.from_db(connection.alias, JOB_FIELDS, values[: len(JOB_FIELDS)])
            job.runtime = DjangoJob.from_db(connection.alias, RUNTIME_FIELDS, values[len(JOB_FIELDS) :])
            jobs.append(job)
        return jobs

    def active_counts(self, now: datetime) -> Counter[str]:
        """Of all due Jobs, as `TaskQuerySet.active_counts`."""
        return Counter(job_id for (job_id,) in self._active.rows(now))


def _is_put_off(job: Job, now: datetime) -> bool:
    """Whether it is to run later than its schedule says."""
    try:
        moment, planned = job.next_time(now), job.next_run_time
    except (TriggerError, OverflowError):
        return False  # For the dispatch to find.
    return moment is not None and planned is not None and max(moment, now) < planned


def _set_pause(job: Job, kind: str, *, at: datetime | None, reason: str) -> None:
    before = job.snapshot()
    job.paused_at, job.paused_until, job.paused_reason = at, None, reason
    job.save(update_fields=PAUSE_FIELDS)
    JobChange.note(job.pk, kind, by=None, before=before, after=job.snapshot())


def _planned_time(trigger: Trigger) -> Callable[[datetime], datetime]:
    """Of a fire time, the one of the schedule: a one-off Job that a pause has put off runs for the time it was meant
    for, by which it is known to have run.
    """
    return lambda moment: min(moment, trigger.at) if isinstance(trigger, OnceTrigger) else moment


def _waits(job: Job, planned: list[Task]) -> bool:
    """Whether a run that finds all instances busy may wait: one may, where the Job says so."""
    if job.overlap != Job.Overlap.QUEUE:
        return False
    if any(task.waiting for task in planned):
        return False
    return not Task.objects.filter(job=job, status=Task.Status.QUEUED, waiting=True).exists()


def _missed(job: Job, last: datetime | None, count: int, exact: bool, now: datetime) -> Task:
    grace = job.misfire_grace or timedelta(0)
    times = f"{count:,}{'' if exact else ' or more'} fire time{'s' if count != 1 else ''}"
    return Task.for_job(
        job,
        status=Task.Status.MISSED,
        fire_time=last,
        fire_count=count,
        date_created=now,
        finished_at=now,
        reason=f"{times} could not be started within {grace} (no scheduler was running, or the database was away).",
    )
