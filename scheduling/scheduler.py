"""The public API, usable from any process: web, shell, scheduler. See also `Job` and `Task` in `models`."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, TextIO

from apscheduler.events import (
    EVENT_JOB_ADDED,
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    EVENT_JOB_SUBMITTED,
    JobEvent,
    JobExecutionEvent,
    JobSubmissionEvent,
)
from apscheduler.jobstores.base import ConflictingIdError, JobLookupError
from apscheduler.schedulers import SchedulerAlreadyRunningError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.util import undefined
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from .conf import scheduling_settings
from .exceptions import SchedulingError, UnknownJob
from .jobstore import JobStore, ScheduledJob
from .loop import Loop
from .models import BY_CALL, Job, SchedulerProcess, Task, as_json, declared_definition
from .registry import JobDefaults, TaskFunction, check_job_id, registry
from .runner import create_task_record, update_task_failure, update_task_success
from .triggers import CronTrigger, IntervalTrigger, OnceTrigger, Trigger, TriggerError, from_apscheduler

__all__ = [
    "Scheduler",
    "cancel_task",
    "create_task_record",
    "declare_jobs",
    "get_scheduled_jobs",
    "get_scheduler",
    "initialize_scheduler",
    "is_scheduler_running",
    "pause_job",
    "remove_job",
    "resume_job",
    "run_job",
    "shutdown_scheduler",
    "start_scheduler",
    "update_task_failure",
    "update_task_success",
]

logger = logging.getLogger(__name__)

DECLARED_AT_ONCE = 100
"""Jobs a transaction: a commit each would take most of a first start, and too many would hold others up."""


class Scheduler(BackgroundScheduler):  # type: ignore[misc]
    """APScheduler's BackgroundScheduler over Job rows.

    The methods that look at or change Jobs work in any process and whether or not it is started. Started, it runs the
    loop of `loop.Loop` instead of APScheduler's own, and raises APScheduler's events for what it does.
    """

    def __init__(self) -> None:
        super().__init__(timezone=settings.TIME_ZONE, jobstores={"default": JobStore()})
        # Before its start APScheduler looks only at jobs that were not stored yet; ours are always stored.
        self._jobstores["default"]._scheduler = self
        self._jobstores["default"]._alias = "default"
        self._loop: Loop | None = None
        self._stop_asked: float | None = None
        """Seconds to wait for the work at hand, of a stop that came before the loop was there."""
        self._pid = os.getpid()

    # --- the loop -------------------------------------------------------------------------------------------------

    def run_until_stopped(self) -> None:
        """Start and run in this thread until `shutdown`, as `runscheduler` does."""
        self._prepare()
        super(BackgroundScheduler, self).start()

    def start(self, paused: bool = False) -> None:
        """Run in a thread of its own."""
        if paused:
            self.pause()
        self._prepare()
        super().start()

    def pause(self) -> None:
        """Raises:
        SchedulingError: always.
        """
        raise SchedulingError("A scheduler is not paused, since others may run beside it: pause its Jobs, or stop it.")

    def _prepare(self) -> None:
        if self.running:
            raise SchedulerAlreadyRunningError
        self._loop = Loop(self._announce)
        # In this order no signal comes between.
        if self._stop_asked is not None:
            self._loop.stop(wait=self._stop_asked)
            self._stop_asked = None

    def _main_loop(self) -> None:
        assert self._loop is not None
        self._loop.run()

    def wakeup(self) -> None:
        if self._loop is not None:
            self._loop.wake()

    def request_stop(self, *, wait: bool) -> None:
        """Ask the loop to end, from a signal handler or another thread; with `wait`, after the work at hand."""
        seconds = scheduling_settings().SHUTDOWN_GRACE if wait else 0.0
        if self._loop is not None:
            self._loop.stop(wait=seconds)
        else:
            self._stop_asked = seconds

    def shutdown(self, wait: bool = True) -> None:
        """End the loop. With `wait` running Tasks may end first, for the time that the settings allow."""
        if self.running:
            self.request_stop(wait=wait)
        thread = getattr(self, "_thread", None)
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        super(BackgroundScheduler, self).shutdown(wait=False)
        self._loop = None

    def _announce(self, what: str, task: Task) -> None:
        """A line for people and an event for listeners, for each Task that starts, ends or is passed over."""
        job_id, fire_time = task.job_id or "", task.fire_time or task.date_created
        match what:
            case "running":
                self._dispatch_event(JobSubmissionEvent(EVENT_JOB_SUBMITTED, job_id, "default", [fire_time]))
            case "completed":
                logger.info("%s completed in %s%s.", task, _seconds(task.duration), _items(task))
                self._dispatch_event(
                    JobExecutionEvent(EVENT_JOB_EXECUTED, job_id, "default", fire_time, retval=task.result)
                )
            case "missed":
                logger.warning("%s missed: %s", task, task.reason)
                self._dispatch_event(JobExecutionEvent(EVENT_JOB_MISSED, job_id, "default", fire_time))
            case "skipped":
                logger.warning("%s skipped: %s", task, task.reason)
                self._dispatch_event(JobSubmissionEvent(EVENT_JOB_MAX_INSTANCES, job_id, "default", [fire_time]))
            case _:
                last_line = (task.error_message.strip() or task.reason).rpartition("\n")[2]
                logger.error("%s %s after %s: %s", task, task.get_status_display(), _seconds(task.duration), last_line)
                error = SchedulingError(task.error_message or task.reason)
                self._dispatch_event(
                    JobExecutionEvent(
                        EVENT_JOB_ERROR,
                        job_id,
                        "default",
                        fire_time,
                        exception=error,
                        traceback=task.error_message,
                    )
                )

    # --- Jobs -----------------------------------------------------------------------------------------------------

    def add_job(
        self,
        func: TaskFunction | str,
        trigger: str | BaseTrigger | None = None,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        id: str | None = None,
        name: str | None = None,
        misfire_grace_time: Any = undefined,
        coalesce: Any = undefined,
        max_instances: Any = undefined,
        replace_existing: bool = False,
        **trigger_args: Any,
    ) -> ScheduledJob:
        """As APScheduler's, for functions registered with `@task`; makes a Job row.

        What is not given is what `@task` declares for this id, else the defaults. The Job is from then on the call's:
        later starts do not bring it back to what `@task` declares.
        With `replace_existing`, a Job of this id takes the definition over where no person has changed it: it stays
        paused if it is, and its next run time moves only if the schedule is another one. An interval of whole days
        keeps its time of day when clocks change; to APScheduler it is elapsed time.

        Raises:
            ConflictingIdError: the id is taken and `replace_existing` is off.
            TriggerError, ArgumentError, SchedulingError: with a sentence that says what to write instead.
        """
        for word in ("next_run_time", "jobstore", "executor"):
            if word in trigger_args:
                raise SchedulingError(f"add_job has no {word} here: there is one store, and the schedule says when.")
        function = _registered(func)
        if args:
            raise SchedulingError("Give arguments by name: kwargs={...}.")
        if not isinstance(trigger, str | None):
            raise SchedulingError("Give the trigger by name, e.g. trigger='cron', hour=2, minute=0.")
        made = _made(trigger, trigger_args, zone=settings.TIME_ZONE)
        job_id = id or function.__name__
        if len(job_id) > 255:
            raise SchedulingError("The id of a Job has at most 255 characters.")
        given = {
            "name": name or undefined,
            "arguments": undefined if kwargs is None else dict(kwargs),
            "misfire_grace": misfire_grace_time,
            "coalesce": coalesce,
            "max_instances": max_instances,
        }
        wanted = {
            **_declared_by_task(job_id, function),
            **{field: value for field, value in given.items() if value is not undefined},
            **_schedule_as_declared(made, with_anchor=trigger_args.get("start_date") is not None),
            BY_CALL: True,
        }
        function.check_arguments(wanted["arguments"])
        with transaction.atomic():
            job = Job.objects.locked_or_new(job_id)
            if not (job._state.adding or replace_existing):
                raise ConflictingIdError(job_id)
            if job._state.adding:
                check_job_id(job_id)
            job.take_over(wanted)
        self._dispatch_event(JobEvent(EVENT_JOB_ADDED, job_id, "default"))
        found = self.get_job(job_id)
        assert isinstance(found, ScheduledJob)
        return found

    def get_job(self, job_id: str, jobstore: str | None = None) -> ScheduledJob | None:
        found = self._jobstores["default"].lookup_job(job_id)
        return found if isinstance(found, ScheduledJob) else None

    def get_jobs(self, jobstore: str | None = None, pending: bool | None = None) -> list[ScheduledJob]:
        return list(self._jobstores["default"].get_all_jobs())

    def remove_all_jobs(self, jobstore: str | None = None) -> None:
        self._jobstores["default"].remove_all_jobs()

    def print_jobs(self, jobstore: str | None = None, out: TextIO | None = None) -> None:
        for job in self.get_jobs():
            print(f"{job.id}: {job.name}, {job.trigger}, next run: {job.next_run_time or '–'}", file=out or sys.stdout)

    def pause_job(self, job_id: str, jobstore: str | None = None) -> None:
        _looked_up(job_id).pause()

    def resume_job(self, job_id: str, jobstore: str | None = None) -> None:
        _looked_up(job_id).resume()

    def remove_job(self, job_id: str, jobstore: str | None = None) -> None:
        _looked_up(job_id).remove()

    def reschedule_job(
        self, job_id: str, jobstore: str | None = None, trigger: Any = None, **trigger_args: Any
    ) -> ScheduledJob:
        job = _looked_up(job_id)
        made = _made(trigger, trigger_args, zone=job.zone)
        for field, value in _trigger_fields(made).items():
            setattr(job, field, value)
        job.save_definition()
        found = self.get_job(job_id)
        assert isinstance(found, ScheduledJob)
        return found

    def modify_job(self, job_id: str, jobstore: str | None = None, **changes: Any) -> ScheduledJob:
        """`name`, `kwargs`, `coalesce`, `max_instances` and `misfire_grace_time` (seconds) can be changed."""
        job = _looked_up(job_id)
        for name, value in changes.items():
            match name:
                case "name" | "coalesce" | "max_instances":
                    setattr(job, name, value)
                case "kwargs":
                    registry.get(job.function).check_arguments(value)
                    job.arguments = dict(value)
                case "misfire_grace_time":
                    job.misfire_grace = None if value is None else timedelta(seconds=value)
                case _:
                    raise SchedulingError(f"modify_job cannot change {name}; use reschedule_job or the Job row.")
        job.save_definition()
        found = self.get_job(job_id)
        assert isinstance(found, ScheduledJob)
        return found


def _declared_by_task(job_id: str, function: TaskFunction) -> dict[str, Any]:
    defaults = function.defaults
    if defaults is None or defaults.id != job_id:
        defaults = JobDefaults(id=job_id, name=function.label)
    return declared_definition(defaults, function.name)


def _schedule_as_declared(trigger: Trigger, *, with_anchor: bool) -> dict[str, Any]:
    fields = {"cron": "", "interval": None, "run_at": None, "timezone": "", **_trigger_fields(trigger)}
    anchor = fields.pop("anchor", None)
    return {name: as_json(value) for name, value in {**fields, **({"anchor": anchor} if with_anchor else {})}.items()}


def _seconds(duration: timedelta | None) -> str:
    return f"{duration.total_seconds():.1f} s" if duration else "0 s"


def _items(task: Task) -> str:
    return f", {task.items_succeeded} of {task.items_processed} items" if task.items_processed else ""


def _registered(func: TaskFunction | str | Callable[..., Any]) -> TaskFunction:
    if isinstance(func, TaskFunction):
        return func
    if isinstance(func, str):
        return registry.get(func)
    raise SchedulingError(
        f"{getattr(func, '__qualname__', func)} is no task function: put @task('app.name') from scheduling.registry above it."
    )


def _looked_up(job_id: str) -> Job:
    try:
        return Job.objects.by_id(job_id)
    except UnknownJob:
        raise JobLookupError(job_id) from None


def _made(trigger: str | None, fields: Mapping[str, Any], *, zone: str) -> Trigger:
    given = {name: value for name, value in fields.items() if not (name == "timezone" and value is None)}
    return from_apscheduler(trigger or "date", **{"timezone": zone, "now": timezone.now(), **given})


def _trigger_fields(trigger: CronTrigger | IntervalTrigger | OnceTrigger) -> dict[str, Any]:
    match trigger:
        case CronTrigger():
            return {"trigger": "cron", "cron": trigger.expression, "timezone": _own_zone(trigger.timezone)}
        case IntervalTrigger():
            zone = _own_zone(trigger.timezone)
            return {
                "trigger": "interval",
                "interval": trigger.every,
                "anchor": trigger.anchor,
                "timezone": zone,
            }
        case OnceTrigger():
            return {"trigger": "once", "run_at": trigger.at}


def _own_zone(name: str) -> str:
    """Empty for the project's zone, so that a Job follows a change of it."""
    return "" if name == settings.TIME_ZONE else name


# --- one scheduler per process --------------------------------------------------------------------------------------

_lock = threading.Lock()
_scheduler: Scheduler | None = None


def initialize_scheduler() -> Scheduler:
    """The scheduler of this process, made at the first call; a process that was forked makes its own."""
    global _scheduler
    with _lock:
        if _scheduler is None or _scheduler._pid != os.getpid():
            _scheduler = Scheduler()
        return _scheduler


def get_scheduler() -> Scheduler:
    """Raises:
    RuntimeError: `initialize_scheduler` was not called in this process.
    """
    if _scheduler is None or _scheduler._pid != os.getpid():
        raise RuntimeError("The scheduler is not initialized; call initialize_scheduler() first.")
    return _scheduler


def start_scheduler() -> None:
    """Run Jobs in this process, in a thread and worker processes of its own. Does nothing if it runs already."""
    scheduler = get_scheduler()
    with _lock:
        if not scheduler.running:
            declare_jobs()
            scheduler.start()


def shutdown_scheduler(wait: bool = True) -> None:
    """Stop the scheduler of this process, if it runs. With `wait`, running Tasks may end first."""
    global _scheduler
    with _lock:
        scheduler, _scheduler = _scheduler, None
    if scheduler is not None and scheduler._pid == os.getpid() and scheduler.running:
        scheduler.shutdown(wait=wait)


def is_scheduler_running() -> bool:
    """Whether a scheduler process lives anywhere, by its heartbeat."""
    return SchedulerProcess.objects.alive().schedulers().exists()


def declare_jobs() -> list[str]:
    """Create the Jobs that code declares and bring untouched ones up to date. Returns the ids that changed."""
    declared = {f.defaults.id: declared_definition(f.defaults, f.name) for f in registry if f.defaults is not None}
    stored: dict[str, Any] = dict(Job.objects.filter(declared__isnull=False).values_list("pk", "declared"))
    # In order, so that two processes that start at once wait for each other instead of dead-locking.
    changed = sorted(
        job_id
        for job_id, wanted in declared.items()
        if stored.get(job_id) != wanted and not stored.get(job_id, {}).get(BY_CALL)
    )
    for begin in range(0, len(changed), DECLARED_AT_ONCE):
        with transaction.atomic():
            for job_id in changed[begin : begin + DECLARED_AT_ONCE]:
                _declare(job_id, declared[job_id])
    return changed


def _declare(job_id: str, wanted: dict[str, Any]) -> None:
    try:
        with transaction.atomic():
            job = Job.objects.locked_or_new(job_id)
            # A call may have come between.
            if not (job.declared or {}).get(BY_CALL):
                job.take_over(wanted)
    except (SchedulingError, TriggerError) as error:
        # One row that somebody's SQL has spoiled keeps no scheduler from its start.
        logger.error("Job %s could not be brought in line with the code: %s", job_id, error)


# --- verbs ------------------------------------------------------------------------------------------------------------


def get_scheduled_jobs() -> list[ScheduledJob]:
    """Every Job, with `id`, `name`, `next_run_time`, `state` and `trigger`; the next due first, paused ones last."""
    return initialize_scheduler().get_jobs()


def pause_job(job_id: str, *, reason: str = "", until: datetime | None = None) -> None:
    """Raises:
    UnknownJob
    """
    Job.objects.by_id(job_id).pause(reason=reason, until=until)


def resume_job(job_id: str) -> None:
    """Raises:
    UnknownJob
    """
    Job.objects.by_id(job_id).resume()


def remove_job(job_id: str) -> None:
    """Delete a Job; its Tasks are kept. One that code declares comes back when a scheduler starts: pause it instead.

    Raises:
        UnknownJob
    """
    Job.objects.by_id(job_id).remove()


def run_job(job_id: str, **kwargs: Any) -> Task:
    """Queue a run now, with these arguments in place of the Job's.

    Raises:
        UnknownJob, UnknownTaskFunction, ArgumentError
    """
    return Job.objects.by_id(job_id).run_now(arguments=kwargs)


def cancel_task(task_id: int) -> None:
    """Raises:
    NotAllowedNow: it has ended.
    SchedulingError: there is none.
    """
    try:
        task = Task.objects.get(pk=task_id)
    except Task.DoesNotExist:
        raise SchedulingError(f"There is no Task {task_id}.") from None
    task.cancel()
