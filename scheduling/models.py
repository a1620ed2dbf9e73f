"""Job, Task, TaskLog and SchedulerProcess. QuerySets are the vocabulary, row methods the state machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Count, Exists, Q
from django.db.models.functions import Now
from django.utils import timezone
from django_apscheduler.models import DjangoJob

from . import wakeups
from .conf import scheduling_settings
from .exceptions import ArgumentError, NotAllowedNow, SchedulingError, UnknownJob, UnknownTaskFunction
from .records import DayCount, JobChange, PauseOfAll
from .registry import JobDefaults, TaskFunction, job_id_rule, policy_problems, registry
from .triggers import CronTrigger, IntervalTrigger, OnceTrigger, Trigger, TriggerError, check_moment

if TYPE_CHECKING:
    from django.contrib.auth.models import User

__all__ = [
    "DayCount", "Job", "JobChange", "JobQuerySet", "PauseOfAll", "SchedulerProcess", "Task", "TaskLog", "TaskQuerySet",
]  # fmt: skip

LONGEST_RETRY_DELAY = timedelta(days=1)


def everything_is_paused() -> Q:
    """A condition for a query of anything, so that nobody has to ask first."""
    return Q(Exists(PauseOfAll.objects.filter(ended_at=None)))


class SchedulerProcessQuerySet(models.QuerySet["SchedulerProcess"]):
    def alive(self) -> Self:
        """Not stopped, and with a heartbeat within the lost-after time by the database's clock."""
        limit = timedelta(seconds=scheduling_settings().LOST_AFTER)
        return self.filter(stopped_at=None, heartbeat_at__gt=Now() - limit)

    def unstopped(self) -> models.QuerySet[Any]:
        """With `is_late`: without a heartbeat within that time, so dead, unless a clock was set."""
        limit = timedelta(seconds=scheduling_settings().LOST_AFTER)
        return self.filter(stopped_at=None).annotate(is_late=Q(heartbeat_at__lte=Now() - limit))

    def schedulers(self) -> Self:
        return self.filter(kind=SchedulerProcess.Kind.SCHEDULER)


class SchedulerProcess(models.Model):
    """A process that runs Tasks: the living owner that every running Task has."""

    class Kind(models.TextChoices):
        SCHEDULER = "scheduler", "scheduler"
        SHELL = "shell", "shell or command"

    kind = models.CharField(max_length=16, choices=Kind.choices)
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())
    stopped_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=255, blank=True)

    objects = SchedulerProcessQuerySet.as_manager()

    class Meta:
        verbose_name = "scheduler process"
        verbose_name_plural = "scheduler processes"
        indexes = [models.Index(fields=["heartbeat_at"], condition=Q(stopped_at=None), name="process_unstopped")]

    def __str__(self) -> str:
        return f"{self.kind} {self.host}:{self.pid}"

    @classmethod
    def register(cls, kind: str) -> SchedulerProcess:
        return cls.objects.create(kind=kind, host=socket.gethostname()[:255], pid=os.getpid())

    def beat(self) -> bool:
        """Renew the lease. False: others have declared this process dead; nothing may be run in its name."""
        return bool(self._open_row().update(heartbeat_at=Now()))

    def stop(self, outcome: str) -> bool:
        """Close the row; False when it was closed already."""
        return bool(self._open_row().update(stopped_at=Now(), outcome=outcome))

    def declare_dead(self) -> bool:
        """Close the row of another process, unless it has given a sign of life since this object was read."""
        # Not by equality: SQLite compares texts, of which its own clock writes three decimals, and Django six or none.
        silent = self._open_row().filter(heartbeat_at__lt=self.heartbeat_at + timedelta(milliseconds=1))
        return bool(silent.update(stopped_at=Now(), outcome="lost: no heartbeat"))

    def _open_row(self) -> models.QuerySet[SchedulerProcess]:
        # A rolled back transaction gives its numbers back: the row of this number may be that of another process.
        return SchedulerProcess.objects.filter(pk=self.pk, host=self.host, pid=self.pid, stopped_at=None)


class JobQuerySet(models.QuerySet["Job"]):
    def due(self, now: datetime) -> Self:
        return self.filter(runtime__next_run_time__lte=now)

    def lock_due(self, now: datetime) -> Self:
        """The due ones that no other process has locked, their runtime rows locked; to be used in a transaction.

        None while everything is paused: asked by the same statement, a pause holds from its commit on.
        """
        due = self.due(now).exclude(everything_is_paused()).select_related("runtime")
        return due.select_for_update(of=("runtime",), skip_locked=True)

    def paused(self) -> Self:
        return self.filter(paused_at__isnull=False).filter(Q(paused_until=None) | Q(paused_until__gt=timezone.now()))

    def by_id(self, job_id: str) -> Job:
        """Raises:
        UnknownJob: there is none of that id.
        """
        try:
            return self.select_related("runtime").get(pk=job_id)
        except Job.DoesNotExist:
            raise UnknownJob(f"There is no Job {job_id!r}. `manage.py jobs list` shows all.") from None

    def locked_or_new(self, job_id: str) -> Job:
        """As `locked`; where there is none, an unsaved one whose id nobody else can take until the transaction ends."""
        # A row that django-apscheduler left behind is taken over as it is; its pickle is never read.
        DjangoJob.objects.get_or_create(pk=job_id, defaults={"next_run_time": None, "job_state": b""})
        runtime = DjangoJob.objects.select_for_update().get(pk=job_id)
        return self.select_related("runtime").filter(pk=job_id).first() or Job(id=job_id, runtime=runtime)

    def locked(self, job_id: str) -> Job:
        """The Job with its runtime row locked; to be used in a transaction.

        Whoever adds a Task to a Job, or moves its next run time, holds this lock.

        Raises:
            UnknownJob: there is none of that id.
        """
        # The lock comes first: joined rows are read as they were before the wait for it.
        list(DjangoJob.objects.select_for_update().filter(pk=job_id).values_list("pk"))
        return self.by_id(job_id)

    def locked_at_once(self, job_id: str) -> Job | None:
        """As `locked`, without waiting; None where another has the lock, or somebody has deleted it."""
        runtime = DjangoJob.objects.select_for_update(skip_locked=True).filter(pk=job_id)
        return self.select_related("runtime").filter(pk=job_id).first() if runtime.values_list("pk") else None


class Job(models.Model):
    """What runs when under which policy. The row is the whole definition; its `runtime` holds the next run time."""

    class TriggerKind(models.TextChoices):
        CRON = "cron", "cron expression"
        INTERVAL = "interval", "every so often"
        ONCE = "once", "once"

    class Overlap(models.TextChoices):
        SKIP = "skip", "skip the new run"
        QUEUE = "queue", "let one run wait"

    id = models.CharField(
        max_length=255,
        primary_key=True,
        validators=[job_id_rule],
        help_text="A short name for commands, e.g. mam_scraping. It cannot be changed later.",
    )
    # PROTECT: whatever deletes rows of django-apscheduler, as its own job store does, cannot take a Job with it.
    runtime = models.OneToOneField(DjangoJob, on_delete=models.PROTECT, related_name="job", editable=False)
    name = models.CharField(max_length=255, help_text="What people call it, e.g. Daily MAM Scraping.")
    function = models.CharField("task function", max_length=255, help_text="What is run.")
    arguments = models.JSONField(default=dict, blank=True, help_text='Named arguments as JSON, e.g. {"limit": 20}.')

    trigger = models.CharField(max_length=16, choices=TriggerKind.choices, default=TriggerKind.CRON)
    cron = models.CharField(
        max_length=255,
        blank=True,
        help_text="minute hour day-of-month month day-of-week, e.g. “0 2 * * *”: every day at 02:00.",
    )
    interval = models.DurationField(null=True, blank=True, help_text="days hours:minutes:seconds, e.g. 00:05:00.")
    anchor = models.DateTimeField(
        null=True, blank=True, help_text="A moment that the interval is counted from; empty means from now."
    )
    run_at = models.DateTimeField(null=True, blank=True, help_text="When a one-off Job runs.")
    timezone = models.CharField(
        max_length=64, blank=True, help_text="Such as Europe/Berlin; empty means the project's TIME_ZONE."
    )

    max_instances = models.PositiveSmallIntegerField(default=1, help_text="How many runs of it may go on at a time.")
    overlap = models.CharField(
        max_length=8,
        choices=Overlap.choices,
        default=Overlap.SKIP,
        help_text="What happens when a run is due and all instances are busy.",
    )
    coalesce = models.BooleanField(default=True, help_text="Several runs that are due at once become one.")
    misfire_grace = models.DurationField(
        null=True,
        blank=True,
        default=timedelta(seconds=900),
        help_text="A run that would start later than this is recorded as missed; empty means never.",
    )
    timeout = models.DurationField(null=True, blank=True, help_text="A run is stopped after this; empty means never.")
    retries = models.PositiveSmallIntegerField(
        default=0, help_text="How often a failed, lost or timed-out run is tried again."
    )
    retry_delay = models.DurationField(
        default=timedelta(minutes=1), help_text="Before the first retry; doubled before each further one."
    )

    paused_at = models.DateTimeField(null=True, blank=True, editable=False)
    paused_until = models.DateTimeField(null=True, blank=True, editable=False)
    paused_reason = models.CharField(max_length=255, blank=True, editable=False)
    declared = models.JSONField(
        null=True,
        blank=True,
        editable=False,
        help_text="The definition in code when this row was last brought in line with it.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        permissions = [
            ("pause_job", "Can pause and resume jobs"),
            ("run_job", "Can run jobs now"),
            ("run_with_arguments_job", "Can run jobs now with arguments of their own"),
        ]

    def __str__(self) -> str:
        return self.name

    # --- reading -------------------------------------------------------------------------------------------------

    @property
    def next_run_time(self) -> datetime | None:
        moment: datetime | None = self.runtime.next_run_time
        return moment

    @property
    def is_paused(self) -> bool:
        return self.paused_at is not None and (self.paused_until is None or self.paused_until > timezone.now())

    @property
    def task_function(self) -> TaskFunction | None:
        """The function, or None while no app of this program registers it."""
        return registry.get(self.function) if self.function in registry else None

    @property
    def state(self) -> str:
        """unresolvable, paused, ended or active."""
        if self.function not in registry:
            return "unresolvable"
        if self.is_paused:
            return "paused"
        return "active" if self.next_run_time else "ended"

    @property
    def zone(self) -> str:
        return self.timezone or settings.TIME_ZONE

    def build_trigger(self) -> Trigger:
        """Raises:
        TriggerError: the schedule's fields do not make one.
        """
        match self.trigger:
            case self.TriggerKind.CRON:
                return CronTrigger(self.cron, self.zone)
            case self.TriggerKind.INTERVAL if self.interval:
                return IntervalTrigger(self.interval, self.anchor or self.created_at or timezone.now(), self.zone)
            case self.TriggerKind.ONCE if self.run_at:
                return OnceTrigger(self.run_at)
        field = "run_at" if self.trigger == self.TriggerKind.ONCE else "interval"
        raise TriggerError(f"A Job of the kind “{self.get_trigger_display()}” needs this field filled in.", field=field)

    def schedule_in_words(self) -> str:
        try:
            return self.build_trigger().in_words()
        except TriggerError as error:
            return f"unreadable: {error}"

    def differences_from_default(self) -> dict[str, tuple[Any, Any]]:
        """Field -> (value declared in code, value now), for a Job that code declares."""
        current = {**self.definition(), "anchor": as_json(self.anchor)}
        declared = _comparable(self.declared or {})
        return {name: (declared[name], now) for name, now in current.items() if declared.get(name, now) != now}

    def definition(self) -> dict[str, Any]:
        """The fields that code may declare, as JSON values."""
        return {name: as_json(getattr(self, name)) for name in DECLARED_FIELDS}

    def snapshot(self) -> dict[str, Any]:
        """The Job as JSON values: its definition, anchor and pause."""
        values = {name: getattr(self, name) for name in _SNAPSHOT_FIELDS}
        return {name: as_json(value) for name, value in values.items()}

    def clean(self) -> None:
        problems: dict[str, str] = {}
        try:
            self.build_trigger()
        except TriggerError as error:
            problems[getattr(error, "field", "") or self.trigger] = str(error)
        try:
            if not isinstance(self.arguments, dict):
                problems["arguments"] = 'Write the arguments as a JSON object, e.g. {"limit": 20}.'
            else:
                registry.get(self.function).check_arguments(self.arguments)
        except UnknownTaskFunction as error:
            problems["function"] = str(error)
        except ArgumentError as error:
            problems["arguments"] = str(error)
        problems |= policy_problems(self)
        if problems:
            raise ValidationError(problems)

    # --- changing ------------------------------------------------------------------------------------------------

    def reschedule(self, now: datetime) -> None:
        """Set the next run time that follows from the definition and the pause; part of the caller's transaction."""
        moment = self.next_time(now)
        self.runtime.next_run_time = moment
        DjangoJob.objects.filter(pk=self.pk).update(next_run_time=moment)

    def next_time(self, now: datetime) -> datetime | None:
        """When it runs next, by its definition and its pause.

        Raises:
            TriggerError: the schedule cannot be read.
        """
        moment: datetime | None = None
        if self.trigger == self.TriggerKind.ONCE:
            # Also when the time has come: it runs if it never did, or is recorded as missed.
            done = Task.objects.filter(job=self, fire_time=self.run_at).exists()
            moment = None if done else self.run_at
            if moment and self.is_paused:
                moment = max(moment, self.paused_until) if self.paused_until else None
        elif not self.is_paused:
            moment = self.build_trigger().next_after(now)
        elif self.paused_until:
            moment = self.build_trigger().next_after(self.paused_until)
        return moment

    def save_definition(self, *, by: User | None = None, kind: str = "") -> None:
        """Store a new or edited definition. The next run time moves only if the schedule changed.

        `by` and `kind` (of `JobChange.Kind`) are for the record of the change.

        Raises:
            TriggerError: the schedule cannot be read.
            SchedulingError: a policy cannot be followed.
        """
        if problems := policy_problems(self):
            raise SchedulingError("; ".join(f"{name}: {text}" for name, text in problems.items()))
        with transaction.atomic():
            now = timezone.now()
            if self.trigger == self.TriggerKind.INTERVAL and self.anchor is None and self.interval:
                self.anchor = now + self.interval
            before = Job.objects.locked_or_new(self.pk)
            self.runtime = before.runtime
            if self._state.adding:
                self.save(force_insert=True)
                self.reschedule(now)
            else:
                # Neither a pause nor what code declares is part of the definition: one made since this object was read
                # stays.
                for name in PAUSE_FIELDS if kind == JobChange.Kind.CODE else (*PAUSE_FIELDS, "declared"):
                    setattr(self, name, getattr(before, name))
                self.save(update_fields=[*DECLARED_FIELDS, "anchor", "declared", "changed_at"])
                if _schedule_of(before) != _schedule_of(self):
                    self.reschedule(now)
            self._note(kind or (JobChange.Kind.CREATED if before._state.adding else JobChange.Kind.EDITED), by, before)
            wakeups.announce()

    def _note(self, kind: str, by: User | None, before: Job) -> None:
        was = None if before._state.adding else before.snapshot()
        JobChange.note(self.pk, kind, by=by, before=was, after=self.snapshot())

    def put_back(self, values: Mapping[str, Any], *, by: User | None = None) -> None:
        """Set these fields of a locked Job, given in their form in a snapshot.

        Raises:
            ValidationError: the whole is no Job that can run.
        """
        before = self.snapshot()
        for name, value in values.items():
            setattr(self, name, _from_json(name, value))
        if self.function in registry or "function" in values:
            self.clean()
        self.save(update_fields=[*values, "changed_at"])
        if not values.keys().isdisjoint((*SCHEDULE, *PAUSE_FIELDS)):
            self.reschedule(timezone.now())
        JobChange.note(self.pk, JobChange.Kind.UNDONE, by=by, before=before, after=self.snapshot())
        wakeups.announce()

    @classmethod
    def from_snapshot(cls, job_id: str, values: Mapping[str, Any]) -> Job:
        """An unsaved Job; what a snapshot of an older release lacks is as by default."""
        fields = {name: _from_json(name, values[name]) for name in _SNAPSHOT_FIELDS if name in values}
        return cls(id=job_id, **fields)

    def pause(self, *, reason: str = "", until: datetime | None = None, by: User | None = None) -> None:
        """Raises:
        TriggerError: `until` is naive, over, or so far away that no calendar reaches it.
        """
        if until is not None and check_moment(until, field="until") <= timezone.now():
            raise TriggerError("The end of the pause must be in the future.", field="until")
        with transaction.atomic():
            job = Job.objects.locked(self.pk)
            before = job.snapshot()
            job.paused_at, job.paused_reason, job.paused_until = timezone.now(), reason[:255], until
            job.save(update_fields=[*PAUSE_FIELDS, "changed_at"])
            job.reschedule(timezone.now())
            JobChange.note(job.pk, JobChange.Kind.PAUSED, by=by, before=before, after=job.snapshot())
            wakeups.announce()
        self.refresh_from_db()

    def resume(self, *, by: User | None = None) -> None:
        """Fire times that fell into the pause are not caught up. Does nothing to a Job that is not paused."""
        with transaction.atomic():
            job = Job.objects.locked(self.pk)
            if job.paused_at is not None:
                was_paused, before = job.is_paused, job.snapshot()
                job.paused_at, job.paused_reason, job.paused_until = None, "", None
                job.save(update_fields=[*PAUSE_FIELDS, "changed_at"])
                if was_paused:
                    job.reschedule(timezone.now())
                JobChange.note(job.pk, JobChange.Kind.RESUMED, by=by, before=before, after=job.snapshot())
                wakeups.announce()
        self.refresh_from_db()

    def run_now(
        self, *, arguments: Mapping[str, Any] | None = None, only_these: bool = False, user: Any = None
    ) -> Task:
        """Queue a run beside the schedule, also of a paused Job. It waits while all instances are busy.

        The arguments come over the Job's own, or instead of them with `only_these`.

        Raises:
            UnknownTaskFunction, ArgumentError
        """
        function = registry.get(self.function)
        merged = {**({} if only_these else self.arguments), **(arguments or {})}
        function.check_arguments(merged)
        with transaction.atomic():
            job = Job.objects.locked(self.pk)
            task = Task.for_job(job, cause=Task.Cause.MANUAL, arguments=merged, requested_by=user)
            task.waiting = Task.objects.active_counts([job.pk]).get(job.pk, 0) >= job.max_instances
            task.save()
            wakeups.announce()
        return task

    def remove(self, *, by: User | None = None) -> None:
        """Delete the Job; its Tasks stay, without it."""
        with transaction.atomic():
            stored = Job.objects.locked(self.pk)
            # With what code declares, so that a Job which is made again is known to differ from it.
            before = {**stored.snapshot(), "declared": stored.declared}
            JobChange.note(self.pk, JobChange.Kind.DELETED, by=by, before=before, after=None)
            self.delete()
            wakeups.announce()

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        with transaction.atomic():
            runtime_id = self.runtime_id
            deleted = super().delete(*args, **kwargs)
            DjangoJob.objects.filter(pk=runtime_id).delete()
            return deleted

    def retry_delay_before(self, attempt: int) -> timedelta:
        """The pause before the given attempt (2 is the first retry)."""
        doublings = min(attempt - 2, 20)
        return min(min(self.retry_delay, LONGEST_RETRY_DELAY) * (1 << doublings), LONGEST_RETRY_DELAY)

    def take_over(self, wanted: Mapping[str, Any]) -> None:
        """Bring the row in line with a definition in code, except where a person has changed it since.

        The fields of a schedule are one: a person's own cron expression keeps an interval in code away.
        """
        previous = self.definition() if self._state.adding else _comparable(self.declared or {})
        for names in (SCHEDULE, *((name,) for name in wanted if name not in (*SCHEDULE, BY_CALL))):
            untouched = all(as_json(getattr(self, name)) == previous[name] for name in names if name in previous)
            if untouched and any(name in previous for name in names):
                self._take(wanted, names)
        self.declared = dict(wanted)
        self.save_definition(kind=JobChange.Kind.CODE)

    def restore_default(self, *, by: User | None = None) -> list[str]:
        """Take back what code declares, whatever was changed since. Returns the names of the fields that differed."""
        with transaction.atomic():
            # What was changed since this object was read and is declared nowhere stays.
            job = Job.objects.locked(self.pk)
            if names := list(job.differences_from_default()):
                job._take(job.declared or {}, (*SCHEDULE, *DECLARED_FIELDS))
                job.save_definition(by=by, kind=JobChange.Kind.RESTORED)
        self.refresh_from_db()
        return names

    def _take(self, wanted: Mapping[str, Any], names: Iterable[str]) -> None:
        if "interval" in names and wanted.get("interval") != as_json(self.interval):
            self.anchor = None  # Counted anew, unless the definition says from when.
        for name in names:
            if name in wanted:
                setattr(self, name, _from_json(name, wanted[name]))


DECLARED_FIELDS = (
    "name",
    "function",
    "arguments",
    "trigger",
    "cron",
    "interval",
    "run_at",
    "timezone",
    "max_instances",
    "overlap",
    "coalesce",
    "misfire_grace",
    "timeout",
    "retries",
    "retry_delay",
)
BY_CALL = "by_call"
"""In `declared`: by a call of `add_job`, which comes before what `@task` declares."""
PAUSE_FIELDS = ("paused_at", "paused_until", "paused_reason")
_SNAPSHOT_FIELDS = (*DECLARED_FIELDS, "anchor", *PAUSE_FIELDS)
MOMENT_FIELDS = frozenset({"run_at", "anchor", "paused_at", "paused_until"})
SCHEDULE = ("trigger", "cron", "interval", "anchor", "run_at", "timezone")
_SCHEDULE_FIELDS = ("trigger", "cron", "interval", "anchor", "run_at", "zone")
DURATION_FIELDS = frozenset({"interval", "misfire_grace", "timeout", "retry_delay"})


def _schedule_of(job: Job) -> tuple[Any, ...]:
    return tuple(getattr(job, name) for name in _SCHEDULE_FIELDS)


def as_json(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, datetime):
        # As the database gives it back, whatever the zone in which it was given.
        return value.astimezone(UTC).isoformat()
    return value


def _comparable(declared: Mapping[str, Any]) -> dict[str, Any]:
    """A stored declaration in the form of `Job.definition`, whatever release wrote it."""
    return {name: as_json(_from_json(name, value)) for name, value in declared.items()}


def _from_json(name: str, value: Any) -> Any:
    if value is not None and name in DURATION_FIELDS:
        return timedelta(seconds=value)
    if value is not None and name in MOMENT_FIELDS:
        return datetime.fromisoformat(value)
    return value


def declared_definition(defaults: JobDefaults, function_name: str) -> dict[str, Any]:
    """The JSON form of a definition in code, to compare with `Job.definition`."""
    return {
        "name": defaults.name,
        "function": function_name,
        "arguments": dict(defaults.arguments),
        "trigger": "cron" if defaults.cron else "interval",
        "cron": defaults.cron,
        "interval": as_json(defaults.interval),
        "run_at": None,
        "timezone": defaults.timezone,
        "max_instances": defaults.max_instances,
        "overlap": defaults.overlap,
        "coalesce": defaults.coalesce,
        "misfire_grace": as_json(defaults.misfire_grace),
        "timeout": as_json(defaults.timeout),
        "retries": defaults.retries,
        "retry_delay": as_json(defaults.retry_delay),
    }


def not_by_a_person() -> Q:
    """Of Tasks: made by the schedule or by the retries of a Job."""
    own_retry = Q(cause=Task.Cause.RETRY, requested_by=None, not_before__isnull=False)
    return Q(cause=Task.Cause.SCHEDULE) | own_retry


class TaskQuerySet(models.QuerySet["Task"]):
    def active(self) -> Self:
        return self.filter(status__in=Task.ACTIVE)

    def ended(self) -> Self:
        return self.exclude(status__in=Task.ACTIVE)

    def that_may_start(self) -> Self:
        """Without those that a pause of everything holds back: what a person asked for starts in spite of it."""
        return self.exclude(Q(not_by_a_person()) & everything_is_paused())

    def running_in(self, process: SchedulerProcess | None) -> Self:
        return self.filter(owner=process, status=Task.Status.RUNNING)

    def holding_an_instance(self) -> Self:
        """Running, or queued and not waiting; in no order."""
        return self.active().filter(waiting=False).order_by()

    def active_counts(self, job_ids: Iterable[str]) -> dict[str, int]:
        """Job id -> how many of its instances are taken."""
        holding = self.holding_an_instance().filter(job_id__in=list(job_ids))
        return dict(holding.values_list("job_id").annotate(Count("pk")))

    def checkpoint_for(self, task_id: int) -> dict[str, Any]:
        """The checkpoint of the Task before this one of the same Job (or function), if that one did not complete."""
        task = self.get(pk=task_id)
        if task.checkpoint:
            return dict(task.checkpoint)
        same = Q(job_id=task.job_id) if task.job_id else Q(job=None, function=task.function)
        never_ran = (Task.Status.MISSED, Task.Status.SKIPPED)
        previous = self.filter(same, pk__lt=task_id).exclude(status__in=never_ran).order_by("-pk").first()
        if previous is None or previous.status == Task.Status.COMPLETED:
            return {}
        return dict(previous.checkpoint or {})


class Task(models.Model):
    """One execution of a task function, or the record that one was missed or skipped."""

    class Status(models.TextChoices):
        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        COMPLETED = "completed", "completed"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"
        TIMED_OUT = "timed_out", "timed out"
        LOST = "lost", "lost"
        MISSED = "missed", "missed"
        SKIPPED = "skipped", "skipped"

    ACTIVE = (Status.QUEUED, Status.RUNNING)
    RETRIED = (Status.FAILED, Status.TIMED_OUT, Status.LOST)

    class Cause(models.TextChoices):
        SCHEDULE = "schedule", "schedule"
        MANUAL = "manual", "a person"
        RETRY = "retry", "retry"
        SHELL = "shell", "shell or command"
        APPROVAL = "approval", "approval"

    job = models.ForeignKey(Job, null=True, blank=True, on_delete=models.SET_NULL, related_name="tasks")
    task_name = models.CharField(max_length=255, help_text="The short word for what was run, e.g. MAM.")
    function = models.CharField(max_length=255, blank=True)
    arguments = models.JSONField(default=dict, blank=True)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    reason = models.TextField(blank=True, help_text="Why it is in this state, where the state alone does not say.")
    cause = models.CharField(max_length=16, choices=Cause.choices, default=Cause.SCHEDULE)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    fire_time = models.DateTimeField(null=True, blank=True, help_text="The time of the schedule that it stands for.")
    fire_count = models.PositiveIntegerField(default=1, help_text="How many fire times it stands for.")
    retry_of = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="retries")
    attempt = models.PositiveSmallIntegerField(default=1)

    waiting = models.BooleanField(default=False, help_text="Queued behind another run, or for a later time.")
    not_before = models.DateTimeField(null=True, blank=True)
    owner = models.ForeignKey(SchedulerProcess, null=True, blank=True, on_delete=models.SET_NULL, related_name="tasks")
    cancel_requested_at = models.DateTimeField(null=True, blank=True)

    date_created = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    items_processed = models.PositiveBigIntegerField(default=0)
    items_succeeded = models.PositiveBigIntegerField(default=0)
    items_failed = models.PositiveBigIntegerField(default=0)
    progress_total = models.PositiveBigIntegerField(null=True, blank=True)
    progress_text = models.CharField(max_length=255, blank=True)
    error_message = models.TextField(blank=True)
    result = models.JSONField(null=True, blank=True)
    checkpoint = models.JSONField(null=True, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True, help_text="When somebody marked a failure as looked at.")

    objects = TaskQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        permissions = [("cancel_task", "Can cancel tasks"), ("retry_task", "Can retry tasks")]
        constraints = [models.UniqueConstraint(fields=["job", "fire_time"], name="one_task_per_fire_time")]
        indexes = [
            models.Index(fields=["waiting", "id"], condition=Q(status="queued"), name="task_queued"),
            models.Index(fields=["job"], condition=Q(status__in=["queued", "running"]), name="task_active"),
            models.Index(fields=["owner"], condition=Q(status="running"), name="task_running"),
            models.Index(fields=["status", "-id"], name="task_by_status"),
            models.Index(fields=["job", "-id"], name="task_by_job"),
            models.Index(fields=["date_created"], name="task_by_date"),
            models.Index(
                fields=["-id"],
                condition=Q(status__in=["failed", "timed_out", "lost"], seen_at=None),
                name="task_unseen",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task_name} #{self.pk}"

    @classmethod
    def for_job(cls, job: Job, **fields: Any) -> Task:
        """An unsaved Task of the Job, with the Job's arguments unless others are given."""
        fields.setdefault("arguments", job.arguments)
        return cls(job=job, function=job.function, task_name=label_of(job.function, job.name), **fields)

    @classmethod
    def queue(cls, function: TaskFunction, arguments: Mapping[str, Any], *, user: Any = None) -> Task:
        """Queue one run of a function, with no Job.

        Raises:
            ArgumentError
        """
        function.check_arguments(arguments)
        with transaction.atomic():
            task = cls.objects.create(
                **{"function": function.name, "task_name": function.label, "arguments": dict(arguments)},
                cause=cls.Cause.MANUAL,
                requested_by=user,
            )
            wakeups.announce()
        return task

    @property
    def duration(self) -> timedelta | None:
        """How long it ran; so far, if it is running."""
        if self.started_at is None:
            return None
        return (self.finished_at or timezone.now()) - self.started_at

    @property
    def is_active(self) -> bool:
        return self.status in self.ACTIVE

    @property
    def log_output(self) -> str:
        return "".join(self.log_chunks.order_by("seq").values_list("text", flat=True))

    def cancel(self) -> None:
        """A queued Task never runs; a running one is asked to stop and, a moment later, made to.

        Raises:
            NotAllowedNow: it has ended.
        """
        now = timezone.now()
        with transaction.atomic():
            # Locked, since a queued Task may be claimed, and a claimed one queued again, at any moment.
            self.refresh_from_db(from_queryset=Task.objects.select_for_update())
            if not self.is_active:
                raise NotAllowedNow(
                    f"Task {self.pk} has ended ({self.get_status_display()}), so it cannot be cancelled."
                )
            self.cancel_requested_at = now
            if self.status == self.Status.QUEUED:
                self.status, self.waiting, self.finished_at = self.Status.CANCELLED, False, now
                self.reason = "Cancelled before it started."
            self.save(update_fields=["status", "waiting", "cancel_requested_at", "finished_at", "reason"])
            wakeups.announce()

    def retry(self, *, user: Any = None) -> Task:
        """Queue another run with the same arguments.

        Raises:
            NotAllowedNow: it has not ended, or was never a run of a task function.
            UnknownTaskFunction
        """
        if self.is_active:
            raise NotAllowedNow(f"Task {self.pk} has not ended yet, so it cannot be retried.")
        registry.get(self.function)
        with transaction.atomic():
            new = Task.follow_up(self, job=Job.objects.locked(self.job_id) if self.job_id else None, delay=None)
            new.requested_by = user
            new.save()
            wakeups.announce()
        return new

    @classmethod
    def follow_up(cls, task: Task, *, job: Job | None, delay: timedelta | None) -> Task:
        """The unsaved retry of an ended Task; the Job, if any, is locked by the caller.

        `delay` None: at a person's wish, which `TaskQuerySet.that_may_start` tells by the time that it does not have.
        """
        return cls(
            job=job,
            function=task.function,
            task_name=task.task_name,
            arguments=task.arguments,
            checkpoint=task.checkpoint,
            cause=cls.Cause.RETRY,
            retry_of_id=task.pk,
            attempt=task.attempt + 1,
            not_before=None if delay is None else timezone.now() + delay,
            waiting=bool(delay)
            or (job is not None and cls.objects.active_counts([job.pk]).get(job.pk, 0) >= job.max_instances),
        )


def label_of(function: str, otherwise: str) -> str:
    return registry.get(function).label if function in registry else otherwise


class TaskLog(models.Model):
    """A chunk of a Task's log: whole lines, each `time level logger: text`."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="log_chunks")
    seq = models.PositiveIntegerField()
    text = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task", "seq"], name="one_chunk_per_seq")]

    def __str__(self) -> str:
        return f"{self.task_id}/{self.seq}"
