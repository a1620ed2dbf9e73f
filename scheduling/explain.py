"""Why a Job ran, or did not, at a time: read from what is stored, with the facts that say so.

Where the records do not tell, or are deleted by now, that is the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Q, QuerySet, Subquery
from django.utils import timezone

from .conf import scheduling_settings
from .display import length, pause_words, short
from .models import SCHEDULE, Job, SchedulerProcess, Task, not_by_a_person
from .pauses import current_pause
from .records import DayCount, JobChange, PauseOfAll
from .registry import registry
from .triggers import COUNT_CAP, DAY, MICROSECOND, MINUTE, SECOND, Trigger, TriggerError, check_moment

LOOKED_BACK = 2000 * DAY
"""For the fire time before a moment at which nothing was due."""
LONGEST_QUEUE = DAY
"""How long before its start a run by hand is looked for."""
RUNS_COMPARED = 100
_NOT_READ = ("arguments", "result", "checkpoint", "error_message")
"""Of a Task: what may be long and is not told here."""


class Verdict(StrEnum):
    RAN = "ran"
    WAITING = "waiting"
    CANCELLED = "cancelled"
    MISSED = "missed"
    SKIPPED = "skipped"
    FOLDED = "folded"
    PAUSED = "paused"
    ALL_PAUSED = "all paused"
    NOT_DUE = "not due"
    NO_JOB = "no job"
    DELETED = "deleted"
    UNRESOLVABLE = "unresolvable"
    UNREADABLE = "unreadable"
    FORGOTTEN = "forgotten"
    COMING = "coming"
    UNKNOWN = "unknown"


Fact = tuple[str, str | datetime]


@dataclass(frozen=True)
class Explanation:
    """`tasks` are those it speaks of, the one that matters most first, without their arguments and texts."""

    verdict: Verdict
    sentence: str
    facts: tuple[Fact, ...] = ()
    tasks: tuple[Task, ...] = ()

    @property
    def task_ids(self) -> tuple[int, ...]:
        return tuple(task.pk for task in self.tasks)


def explain(job: Job | str, moment: datetime) -> Explanation:
    """A Job, or the id of one that may be deleted; a moment without seconds stands for its minute.

    Raises:
        TriggerError: the moment is naive, or out of the range in which clocks can be reckoned with.
    """
    key = job if isinstance(job, str) else job.pk
    row = Job.objects.select_related("runtime").filter(pk=key).first() if isinstance(job, str) else job
    # In UTC: two times of one zone would be compared by their wall clocks.
    return _Inquiry(key, row, check_moment(moment, field="at").astimezone(UTC), timezone.now()).answer()


@dataclass(frozen=True)
class _Definition:
    """The Job as it was; or None, and what to say of there being none."""

    job: Job | None
    source: str
    absent: Explanation | None = None


@dataclass
class _Inquiry:
    key: str
    row: Job | None
    moment: datetime
    now: datetime

    def answer(self) -> Explanation:
        by_schedule = self._at_tasks() or self._definition.absent or self._by_the_schedule()
        by_hand = None if by_schedule.verdict == Verdict.RAN else self._at_runs_by_hand()
        if by_hand is None:
            return by_schedule
        if by_schedule.verdict in (Verdict.NOT_DUE, Verdict.NO_JOB, Verdict.DELETED):
            return by_hand
        return Explanation(
            by_hand.verdict,
            f"{by_hand.sentence} By its schedule: {by_schedule.sentence}",
            (*by_hand.facts, *by_schedule.facts),
            (*by_hand.tasks, *by_schedule.tasks),
        )

    # --- the time asked for --------------------------------------------------------------------------------------

    @property
    def start(self) -> datetime:
        return self.moment.replace(microsecond=0)

    @property
    def end(self) -> datetime:
        return self.start + (SECOND if self.moment.second or self.moment.microsecond else MINUTE)

    # --- Tasks ---------------------------------------------------------------------------------------------------

    @cached_property
    def _runs(self) -> list[Any]:
        """At most one of that time, the first that stands for a later one, and the first that stands for none."""
        if self.row is None:
            return []
        of_job = Task.objects.filter(job_id=self.key)
        due = of_job.order_by("fire_time")
        since = self.start - LONGEST_QUEUE
        # By a person, and retries.
        others = of_job.filter(fire_time=None, date_created__gte=since, date_created__lt=self.end).order_by("pk")
        first = _first_of_each(
            due.filter(fire_time__gte=self.start, fire_time__lt=self.end),
            due.filter(fire_time__gte=self.end),
            others.filter(started_at__gte=self.start, started_at__lt=self.end),
        )
        runs = Task.objects.filter(first).select_related("requested_by").defer(*_NOT_READ)
        return list(runs.annotate(may_be_held_back=not_by_a_person()))

    def _at_tasks(self) -> Explanation | None:
        task = next((run for run in self._runs if run.fire_time is not None and run.fire_time < self.end), None)
        return None if task is None else self._of_task(task)

    def _of_task(self, task: Any) -> Explanation:
        match task.status:
            case Task.Status.MISSED:
                return self._missed(task)
            case Task.Status.SKIPPED:
                return self._skipped(task)
            case Task.Status.QUEUED:
                return self._queued(task)
        if task.started_at is None:
            return self._told(
                Verdict.CANCELLED, f"It was due, and {task.get_status_display()} before it started.", task
            )
        late = task.started_at - (task.fire_time or task.started_at)
        punctual = "on time" if late < SECOND else f"{length(late)} after its time"
        ended = "is running" if task.is_active else f"ended as {task.get_status_display()}"
        return self._told(Verdict.RAN, f"It ran: {task} started {punctual} and {ended}.", task)

    def _queued(self, task: Any) -> Explanation:
        if task.may_be_held_back and (pause := current_pause()):
            told = self._told(Verdict.ALL_PAUSED, "It is due and held back: everything is paused.", task)
            return replace(told, facts=(*told.facts, *_facts_of_pause(pause)))
        if task.not_before is not None and task.not_before > self.now:
            return self._told(Verdict.WAITING, f"It waits until {short(task.not_before)}.", task)
        held = "another run of it has to end first" if task.waiting else "no worker has taken it yet"
        return self._told(Verdict.WAITING, f"It is due and waits: {held}.", task)

    def _told(self, verdict: Verdict, sentence: str, task: Task, *others: Task) -> Explanation:
        retries = task.retries.order_by("pk").defer(*_NOT_READ)[:20]
        return Explanation(verdict, sentence, tuple(_facts_of(task)), (task, *others, *retries))

    def _missed(self, task: Task) -> Explanation:
        schedulers = _Schedulers.at(self.start)
        why = "no scheduler was running then" if schedulers.are_down else "it could not be started in time"
        told = self._told(
            Verdict.MISSED, f"It was missed: {why}, and by {short(task.date_created)} it was too late.", task
        )
        return replace(told, facts=(*told.facts, *schedulers.facts())) if schedulers.are_down else told

    def _skipped(self, task: Task) -> Explanation:
        earlier = Task.objects.filter(job_id=self.key, pk__lt=task.pk).order_by("-pk")
        going = [run for run in earlier.defer(*_NOT_READ)[:RUNS_COMPARED] if _was_going_on(run, task.date_created)]
        names = ", ".join(str(run) for run in going) or "an earlier run"
        sentence = f"It was skipped: {names} was still going on, and the Job does not let so many run at a time."
        return self._told(Verdict.SKIPPED, sentence, task, *going)

    def _at_runs_by_hand(self) -> Explanation | None:
        """Of Tasks that stand for no fire time: by a person, and retries."""
        run = next((run for run in self._runs if run.fire_time is None), None)
        if run is None:
            return None
        asked = f"{run.requested_by} asked for it" if run.requested_by else f"cause: {run.get_cause_display()}"
        return self._told(Verdict.RAN, f"It ran, not by its schedule ({asked}): {run}.", run)

    # --- the Job as it was -----------------------------------------------------------------------------------------

    @cached_property
    def _definition(self) -> _Definition:
        return self._definition_at(self.moment)

    @cached_property
    def _changes(self) -> list[JobChange]:
        """What tells the Job at any moment from `start` to `end`, by number: the changes of that time, those next to
        it, the last pause before it and the first deletion after it.
        """
        of_job = JobChange.objects.filter(job_key=self.key)
        before, after = of_job.filter(at__lt=self.start).order_by("-pk"), of_job.filter(at__gte=self.end).order_by("pk")
        next_to_it = _first_of_each(
            before, after, before.filter(kind=JobChange.Kind.PAUSED), after.filter(kind=JobChange.Kind.DELETED)
        )
        of_that_time = Q(at__gte=self.start, at__lt=self.end)
        return list(of_job.filter(of_that_time | next_to_it).select_related("by").order_by("pk"))

    def _last_change(self, until: datetime, kind: str = "") -> JobChange | None:
        return next((one for one in reversed(self._changes) if one.at <= until and kind in ("", one.kind)), None)

    def _first_change(self, after: datetime, kind: str = "") -> JobChange | None:
        return next((one for one in self._changes if one.at > after and kind in ("", one.kind)), None)

    def _definition_at(self, moment: datetime) -> _Definition:
        """`moment` is one from `start` to `end`."""
        before, after = self._last_change(moment), self._first_change(moment)
        if before is not None:
            if before.after is None:
                return _absent(Verdict.DELETED, f"There was no Job: it was deleted at {short(before.at)}.", before)
            return _Definition(self._job_of(before.after), f"as recorded at {short(before.at)}")
        if after is not None and after.before is None:
            return _absent(Verdict.NO_JOB, f"There was no Job yet: it was made at {short(after.at)}.", after)
        if self.row is not None and self.row.created_at > self.end:
            return _absent(Verdict.NO_JOB, f"There was no Job yet: it was made at {short(self.row.created_at)}.")
        if after is not None:
            return _Definition(self._job_of(after.before or {}), f"as it was before the change at {short(after.at)}")
        if self.row is None:
            return _absent(Verdict.NO_JOB, "There is no Job of this id, and no record of one.")
        return _Definition(self.row, "the present one; no change of it is recorded")

    def _job_of(self, snapshot: Mapping[str, Any]) -> Job:
        job = Job.from_snapshot(self.key, snapshot)
        if self.row is not None:
            job.created_at = self.row.created_at
        return job

    # --- the schedule ----------------------------------------------------------------------------------------------

    def _by_the_schedule(self) -> Explanation:
        job = self._definition.job
        assert job is not None
        try:
            trigger = job.build_trigger()
        except TriggerError as error:
            return Explanation(Verdict.UNREADABLE, f"Its schedule cannot be read: {error}", self._schedule_facts(job))
        fire_time = trigger.next_after(self.start - MICROSECOND)
        if fire_time is None or fire_time >= self.end:
            return self._not_due(job, trigger)
        facts = (("Fire time", fire_time), *self._schedule_facts(job))
        return self._coming(job, fire_time, facts) if fire_time > self.now else self._no_task(job, fire_time, facts)

    def _schedule_facts(self, job: Job) -> tuple[Fact, ...]:
        return ("Schedule", f"{job.schedule_in_words()}, zone {job.zone}"), ("Definition used", self._definition.source)

    def _not_due(self, job: Job, trigger: Trigger) -> Explanation:
        before = trigger.latest_at_or_before(self.start - MICROSECOND, not_before=self.start - LOOKED_BACK)
        after = trigger.next_after(self.end - MICROSECOND)
        near = [moment for moment in (before, after) if moment is not None]
        facts: list[Fact] = [("Fire time before", before or "none"), ("Fire time after", after or "none")]
        facts += self._schedule_facts(job)
        tasks = self._tasks_of(near)
        facts += [(f"{task}", task.get_status_display()) for task in tasks]
        facts += [("Going on then", str(task)) for task in tasks if _was_going_on(task, self.start)]
        tense = "is" if self.start > self.now else "was"
        sentence = f"It {tense} not due then: its schedule does not name that time."
        return Explanation(Verdict.NOT_DUE, sentence, tuple(facts), tuple(tasks))

    def _tasks_of(self, fire_times: list[datetime]) -> list[Task]:
        tasks = Task.objects.filter(job_id=self.key, fire_time__in=fire_times).order_by("fire_time")
        return list(tasks.defer(*_NOT_READ))

    def _coming(self, job: Job, fire_time: datetime, facts: tuple[Fact, ...]) -> Explanation:
        time = short(fire_time)
        if job.function not in registry:
            return Explanation(Verdict.UNRESOLVABLE, f"It is due at {time}, but {_no_function(job)}", facts)
        if (pause := self._pause_at(fire_time)) is not None:
            return Explanation(Verdict.PAUSED, f"It will not run at {time}: it is paused {pause_words(pause)}.", facts)
        if current_pause() is not None:
            sentence = f"It is due at {time}, but everything is paused: it will run only if that has ended by then."
            return Explanation(Verdict.ALL_PAUSED, sentence, facts)
        if not SchedulerProcess.objects.alive().schedulers().exists():
            facts = (*facts, ("Scheduler", "none is running now; without one nothing will start"))
        return Explanation(Verdict.COMING, f"It will run at {time}, unless something is changed until then.", facts)

    # --- due, and no Task --------------------------------------------------------------------------------------------

    def _no_task(self, job: Job, fire_time: datetime, facts: tuple[Fact, ...]) -> Explanation:
        return (
            self._paused(fire_time, facts)
            or self._counted_in_another(job, fire_time, facts)
            or self._forgotten(fire_time, facts)
            or self._deleted_since(fire_time, facts)
            or self._unstarted(job, fire_time, facts)
        )

    def _counted_in_another(self, job: Job, fire_time: datetime, facts: tuple[Fact, ...]) -> Explanation | None:
        # There is none of this time.
        later = next((run for run in self._runs if run.fire_time is not None), None)
        if later is None:
            return None
        change = self._first_change(fire_time)
        if change is not None and change.at <= later.date_created and _moves_fire_times(change):
            return None
        between, is_exact = job.build_trigger().count_between(fire_time, later.fire_time)
        if between >= later.fire_count and (is_exact or later.fire_count < COUNT_CAP):
            return None
        if later.status == Task.Status.MISSED:
            return self._missed(later)
        sentence = f"It was folded into another run: {later} stands for {later.fire_count} fire times due together."
        return Explanation(Verdict.FOLDED, sentence, (*facts, *_facts_of(later)), (later,))

    def _paused(self, fire_time: datetime, facts: tuple[Fact, ...]) -> Explanation | None:
        if (job := self._pause_at(fire_time)) is not None:
            facts = (*facts, *self._pause_facts(job, fire_time))
            return Explanation(Verdict.PAUSED, f"It did not run: it was paused {pause_words(job)}.", facts)
        pause = next(
            (
                pause
                for pause in self._pauses_of_all
                if pause.began_at <= fire_time and (pause.ended_at is None or pause.ended_at > fire_time)
            ),
            None,
        )
        if pause is None:
            return None
        facts = (*facts, *_facts_of_pause(pause))
        return Explanation(Verdict.ALL_PAUSED, "It did not run: everything was paused.", facts)

    @cached_property
    def _pauses_of_all(self) -> list[PauseOfAll]:
        """Those of the time asked for, and the one that is on."""
        of_that_time = Q(began_at__lt=self.end, ended_at__gt=self.start)
        return list(PauseOfAll.objects.filter(Q(ended_at=None) | of_that_time).select_related("began_by"))

    def _pause_at(self, fire_time: datetime) -> Job | None:
        """The Job as it was then, if it was paused; for what is to come, also as it is."""
        for job in (self._definition_at(fire_time).job, self.row if fire_time > self.now else None):
            if job is None or job.paused_at is None or job.paused_at > fire_time:
                continue
            if job.paused_until is None or job.paused_until > fire_time:
                return job
        return None

    def _pause_facts(self, job: Job, fire_time: datetime) -> Iterator[Fact]:
        assert job.paused_at is not None
        yield "Paused", job.paused_at
        if (change := self._last_change(fire_time, JobChange.Kind.PAUSED)) is not None:
            yield "By", str(change.by or "code or a command")

    def _forgotten(self, fire_time: datetime, facts: tuple[Fact, ...]) -> Explanation | None:
        days = scheduling_settings().RETENTION_DAYS
        if fire_time >= self.now - timedelta(days=days):
            return None
        # Days are counted in the project's zone.
        day = timezone.localtime(fire_time, ZoneInfo(settings.TIME_ZONE)).date()
        counts = DayCount.objects.filter(job_key=self.key, day=day).order_by("status")
        if told := ", ".join(f"{count.count} {count.status}" for count in counts):
            facts = (*facts, ("That day", told))
        sentence = (
            f"It was due then. Whether it ran cannot be said any more: records older than {days} days are deleted."
        )
        return Explanation(Verdict.FORGOTTEN, sentence, facts)

    def _deleted_since(self, fire_time: datetime, facts: tuple[Fact, ...]) -> Explanation | None:
        if (deletion := self._first_change(fire_time, JobChange.Kind.DELETED)) is None:
            return None
        sentence = (
            "It was due then. Whether it ran cannot be said from here: the Job was deleted at "
            f"{short(deletion.at)}, and its Tasks of before are kept without it."
        )
        return Explanation(Verdict.UNKNOWN, sentence, facts)

    def _unstarted(self, job: Job, fire_time: datetime, facts: tuple[Fact, ...]) -> Explanation:
        schedulers = _Schedulers.at(fire_time)
        if schedulers.are_down:
            facts = (*facts, *schedulers.facts())
            return Explanation(Verdict.MISSED, "It was due then, and no scheduler was running.", facts)
        if job.function not in registry:
            return Explanation(Verdict.UNRESOLVABLE, f"It was due then, but {_no_function(job)}", facts)
        if self.row and self.row.next_run_time and self.row.next_run_time <= fire_time:
            if (pause := next((pause for pause in self._pauses_of_all if pause.ended_at is None), None)) is not None:
                facts = (*facts, *_facts_of_pause(pause))
                return Explanation(Verdict.ALL_PAUSED, "It is due and held back: everything is paused.", facts)
            return Explanation(Verdict.WAITING, "It is due; the scheduler has not come to it yet.", facts)
        sentence = (
            "It was due then, a scheduler was running, and there is no record of a run: one may have been deleted."
        )
        return Explanation(Verdict.UNKNOWN, sentence, facts)


@dataclass(frozen=True)
class _Schedulers:
    """Of a moment: the last that had begun, if one was alive then, and the first that began after it."""

    last: SchedulerProcess | None
    following: SchedulerProcess | None
    are_down: bool

    @classmethod
    def at(cls, moment: datetime) -> _Schedulers:
        # A dead process is marked as stopped only when another finds it, which may be days later.
        beat = moment - timedelta(seconds=2 * scheduling_settings().HEARTBEAT_EVERY)
        was_alive = Q(started_at__lte=moment, heartbeat_at__gte=beat) & (Q(stopped_at=None) | Q(stopped_at__gte=moment))
        schedulers = SchedulerProcess.objects.schedulers()
        first = _first_of_each(
            schedulers.filter(was_alive).order_by("pk"),
            schedulers.filter(started_at__lte=moment).order_by("-heartbeat_at"),
            schedulers.filter(started_at__gt=moment).order_by("started_at"),
        )
        found: list[Any] = list(SchedulerProcess.objects.filter(first).annotate(was_alive=was_alive))
        before = [one for one in found if one.started_at <= moment]
        return cls(
            max(before, key=lambda one: one.heartbeat_at, default=None),
            next((one for one in found if one.started_at > moment), None),
            not any(one.was_alive for one in found),
        )

    def facts(self) -> Iterator[Fact]:
        yield "Last sign of a scheduler before", self.last.heartbeat_at if self.last else "none is recorded"
        if self.last and self.last.outcome:
            yield "How that one ended", self.last.outcome
        yield "Next scheduler started", self.following.started_at if self.following else "none has"


def _first_of_each(*rows: QuerySet[Any]) -> Q:
    """The first row of each, so that one query reads them all."""
    wanted = Q()
    for each in rows:
        wanted |= Q(pk=Subquery(each.values("pk")[:1]))
    return wanted


def _facts_of_pause(pause: PauseOfAll) -> Iterator[Fact]:
    yield "Everything paused", pause.began_at
    yield "Resumed", pause.ended_at or "not yet"
    yield "By", str(pause.began_by or "a command")
    yield "Reason", pause.reason or "none given"


def _absent(verdict: Verdict, sentence: str, change: JobChange | None = None) -> _Definition:
    facts: tuple[Fact, ...] = ()
    if change is not None:
        facts = ((change.get_kind_display().capitalize(), change.at), ("By", str(change.by or "code or a command")))
    return _Definition(None, "", Explanation(verdict, sentence, facts))


def _facts_of(task: Task) -> Iterator[Fact]:
    yield "Task", f"{task}, {task.get_status_display()}"
    moments = {
        "Due": task.fire_time,
        "Queued": task.date_created,
        "Started": task.started_at,
        "Ended": task.finished_at,
    }
    for label, moment in moments.items():
        if moment is not None:
            yield label, moment
    if task.fire_count > 1:
        yield "Stands for", f"{task.fire_count} fire times"
    if task.reason:
        yield "Reason", task.reason


def _was_going_on(task: Task, moment: datetime) -> bool:
    if task.started_at is None or task.started_at > moment:
        return False
    return task.finished_at is None or task.finished_at > moment


def _moves_fire_times(change: JobChange) -> bool:
    """Whether the next fire time was set anew with it, so that what was due before counts in no later run."""
    before, after = change.before or {}, change.after or {}
    return any(before.get(name) != after.get(name) for name in (*SCHEDULE, "paused_at"))


def _no_function(job: Job) -> str:
    return f"this program has no task function {job.function}."
