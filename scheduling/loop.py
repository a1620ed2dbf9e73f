"""The loop of a scheduler process: one thread that waits for the next event and then does one step.

Events are a due time, a change made elsewhere, a word from a worker, and the pace of the heartbeat. The loop outlives
whatever the database does: what could not be written is kept and written when it is back.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import logging
import os
import selectors
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django import db
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from . import wakeups
from .conf import scheduling_settings
from .dispatch import LOOK_AHEAD, Dispatcher
from .models import SchedulerProcess, Task, TaskLog
from .outcomes import Ended, Outcome, record
from .recovery import Watch, sign_off
from .workers import Worker, WorkerPool

logger = logging.getLogger(__name__)

LOG_EVERY = 0.25
QUEUE = 200
LONGEST_QUEUE = 2000
"""Queued Tasks that are remembered; more are read again when these are gone."""
RECOVER_EVERY = 10.0
LONGEST_RETRY = 1.0
BRIEF = 0.01
"""Seconds: while runs take less, more Tasks are claimed than there are idle workers, so that a commit serves many."""
AHEAD = 8
"""How many per worker."""
AHEAD_FOR = 0.25
"""Seconds in which no worker became free, after which those that were claimed ahead are given back."""
EARLY = timedelta(milliseconds=5)
"""How long before its time a Job is dispatched, so that the commit is done by then."""
LINGER = 0.02
"""Seconds for which ends of runs are collected, to be written together."""
TO_STOP = 10.0
"""Seconds before others may begin a retry in which a run must be asked to stop: an attempt to connect may come between."""
TURN = 1.0
"""Seconds without an event after which the loop turns anyway, to show that it lives."""
POSTGRES_SESSION = """
    SET lock_timeout = '3s';
    SET statement_timeout = '15s';
    SET idle_in_transaction_session_timeout = '30s'
"""
"""A server that hangs must not hang the loop, which would hear no signal and give no sign of life; and a process frozen
in the middle of a transaction must not keep its locks for ever."""

# Counts the time a laptop sleeps as well, in which others may have taken our Tasks over.
_SUSPEND_AWARE_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _lease_clock() -> float:
    return time.clock_gettime(_SUSPEND_AWARE_CLOCK)


@dataclass
class Run:
    """A Task in the hands of a worker."""

    task: Task
    worker: Worker
    started_at: datetime
    deadline: float | None
    """When it is out of time, CLOCK_MONOTONIC."""
    stop: Outcome | None = None
    """What it will be recorded as, once it was asked to stop."""
    kill_at: float | None = None
    log: list[str] = field(default_factory=list)
    seq: int = 0
    shown: dict[str, Any] = field(default_factory=dict)
    """The progress it last told."""
    progress_is_written: bool = True


class Loop:
    """See the module. `announce` is called for every Task that was started, ended, missed or skipped."""

    def __init__(self, announce: Callable[[str, Task], None]) -> None:
        self._settings = scheduling_settings()
        self._announce = announce
        self._selector = selectors.DefaultSelector()
        self._pool = WorkerPool(size=self._settings.WORKERS, selector=self._selector)
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._hear_wakeup)
        self._listener = wakeups.PostgresListener()
        self._watcher = wakeups.SqliteWatcher()

        self._process: SchedulerProcess | None = None
        self._dispatcher: Dispatcher | None = None
        self._runs: dict[int, Run] = {}
        self._ended: list[tuple[Run, Ended]] = []
        self._write_ended_at = 0.0
        self._claimed: list[tuple[float, int, Task]] = []
        """Running in our name, though no worker has them yet: while runs are brief, or their time is a moment ahead.
        A heap by the time (CLOCK_MONOTONIC) at which a worker may have them."""
        self._keep_claimed_until = 0.0
        self._ahead = 0
        self._due: list[datetime] = []
        self._horizon = self._looked_until = timezone.now()
        self._queue: deque[Task] = deque()
        """Queued Tasks that this process has seen; any other may take them first."""
        self._backlog = True
        """There may be queued Tasks that it has not seen."""
        self._refresh = True
        self._stopping = False
        self._stop_at: float | None = None
        self.finished = False

        self._away_since: float | None = None
        self._retry_delay = 0.1
        self._next = dict.fromkeys(("poll", "watch", "heartbeat", "recover", "log", "retry"), 0.0)
        self._lease_renewed = 0.0
        self._watch = Watch()
        self._look_at_waiting: datetime | None = None
        self._waiting_jobs: set[str | None] = set()

    # --- from other threads and signal handlers -------------------------------------------------------------------

    def wake(self) -> None:
        try:
            os.write(self._wake_write, b"w")
        except (BlockingIOError, OSError):
            pass  # The pipe is full, so the loop is about to turn; or it is closed, and the loop over.

    def stop(self, *, wait: float) -> None:
        """Start nothing any more; end when the running Tasks have ended, at the latest after `wait` seconds."""
        # In this order: the loop may look in between, where it has a thread of its own.
        self._stop_at = time.monotonic() + wait
        self._stopping = True
        self.wake()

    # --- the loop -------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Turn until stopped."""
        self._pool.open()
        # What this thread did before has left a connection without the settings of a session of ours.
        connection.close()
        try:
            while not self.finished:
                self.turn()
        finally:
            self._close()

    def turn(self) -> None:
        """Wait for an event, then do what there is to do."""
        self._wait()
        self._pool.sign_of_life()
        self._take_news()
        self._enforce_limits()
        if self._away_since is not None:
            self._stop_what_may_be_repeated()
        if time.monotonic() >= self._next["retry"] and not self._must_kill_first:
            try:
                self._work_with_database()
            except db.Error as error:
                self._database_is_away(error)
        if self._stopping:
            self._finish_if_done()

    def _wait(self) -> None:
        seconds = self._seconds_to_next_event()
        # The selector rounds up to whole milliseconds; the last one is slept exactly.
        whole = int(seconds * 1000) / 1000
        ready = self._selector.select(whole)
        for key, _ in ready:
            key.data()
        if not ready and seconds > whole:
            time.sleep(seconds - whole)

    def _seconds_to_next_event(self) -> float:
        if self._pool.news:
            return 0.0
        now = time.monotonic()
        moments = [now + TURN]
        moments += [run.kill_at or run.deadline or moments[0] for run in self._runs.values()]
        if self._stop_at is not None:
            moments.append(self._stop_at if now < self._stop_at else self._patience_ends)
        if self._away_since is not None:
            moments.append(self._next["retry"])
        else:
            moments += [self._next["poll"], self._next["heartbeat"]]
            if connection.vendor == "sqlite":
                moments.append(self._next["watch"])
            if self._ended:
                moments.append(self._write_ended_at)
            if (self._queue or self._backlog) and self._may_claim:
                moments.append(now)
            if self._claimed:
                moments.append(self._keep_claimed_until)
                if self._pool.idle_count:
                    moments.append(self._claimed[0][0])
            if any(run.log or not run.progress_is_written for run in self._runs.values()):
                moments.append(self._next["log"])
            if self._due and not self._stopping:
                moments.append(now + (self._dispatch_at() - timezone.now()).total_seconds())
            if self._look_at_waiting:
                moments.append(now + (self._look_at_waiting - timezone.now()).total_seconds())
        return max(0.0, min(moments) - now)

    def _hear_wakeup(self) -> None:
        os.read(self._wake_read, 4096)
        self._refresh = True

    def _hear_postgres(self) -> None:
        try:
            if self._listener.drain():
                self._refresh = True
        except db.Error as error:
            self._close_listener()
            self._database_is_away(error)

    # --- the database ---------------------------------------------------------------------------------------------

    def _work_with_database(self) -> None:
        self._connect()
        now = time.monotonic()
        if now >= self._next["heartbeat"]:
            self._beat()
        if self._claimed and (self._stopping or now >= self._keep_claimed_until):
            self._give_claimed_back()
        self._hand_out()
        self._write_ended()
        self._pool.sign_of_life()
        if now >= self._next["log"]:
            self._next["log"] = now + LOG_EVERY
            self._write_logs()
        if connection.vendor == "sqlite" and now >= self._next["watch"]:
            self._next["watch"] = now + self._settings.SQLITE_POLL_EVERY
            self._refresh |= self._watcher.has_changed()
        if now >= self._next["poll"]:
            self._refresh = True
        if self._look_at_waiting and self._look_at_waiting <= timezone.now():
            self._refresh = True
        if self._refresh:
            self._read_changes()
        if not self._stopping and self._hold_lease():
            self._dispatch()
            self._claim()
        self._pool.sign_of_life()
        if now >= self._next["recover"]:
            self._next["recover"] = now + RECOVER_EVERY
            assert self._process is not None and self._dispatcher is not None
            closed, moved = self._watch.recover(self._process), self._dispatcher.bring_forward(timezone.now())
            if closed or moved:
                self._refresh = True
        if self._away_since is not None:
            self._database_is_back()

    def _connect(self) -> None:
        if connection.connection is None:
            connection.ensure_connection()
            # While it was away nobody could be seen to live.
            self._watch = Watch()
            if connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    cursor.execute(POSTGRES_SESSION)
        if self._process is None:
            self._register()
        if connection.vendor == "postgresql" and not self._listener.is_open:
            self._listener.open()
            self._selector.register(self._listener, selectors.EVENT_READ, self._hear_postgres)
            self._refresh = True

    def _register(self) -> None:
        self._lease_renewed = _lease_clock()
        self._process = SchedulerProcess.register(SchedulerProcess.Kind.SCHEDULER)
        self._dispatcher = Dispatcher(self._process)
        self._next["heartbeat"] = time.monotonic() + self._settings.HEARTBEAT_EVERY

    def _beat(self) -> None:
        assert self._process is not None
        asked = _lease_clock()
        if self._process.beat():
            self._lease_renewed = asked
            self._next["heartbeat"] = time.monotonic() + self._settings.HEARTBEAT_EVERY
            return
        logger.error("Other schedulers have declared this process dead and taken its Tasks over; it starts anew.")
        for run in self._runs.values():
            self._pool.kill(run.worker)
        self._runs.clear()
        self._claimed.clear()
        self._ended.clear()
        self._queue.clear()
        self._refresh = True
        self._register()

    def _hold_lease(self) -> bool:
        """Whether Tasks that were taken a moment ago are still ours; false after a freeze in which others took them."""
        if _lease_clock() - self._lease_renewed < self._settings.LOST_AFTER / 2:
            return True
        before = self._process
        self._beat()
        return self._process is before

    def _read_changes(self) -> None:
        assert self._dispatcher is not None
        self._refresh = False
        self._queue.clear()
        self._backlog = True
        self._next["poll"] = time.monotonic() + self._settings.POLL_EVERY
        now = timezone.now()
        # A turn longer than the poll, so that the next one never comes too late.
        self._horizon = now + timedelta(seconds=2 * self._settings.POLL_EVERY)
        self._due = self._dispatcher.upcoming(self._horizon)
        self._look_at_waiting, self._waiting_jobs = self._dispatcher.admit_waiting(now)
        running = self._dispatcher.running()
        if any(running.get(task_id) for _, task_id, _ in self._claimed):
            self._give_claimed_back()
        for task_id, cancel_requested in running.items():
            if cancel_requested:
                self._ask_to_stop(task_id, Outcome(status=Task.Status.CANCELLED, reason="Cancelled while it ran."))
        in_hand = {*self._runs, *(ended.task_id for _, ended in self._ended), *(pk for _, pk, _ in self._claimed)}
        if never_started := running.keys() - in_hand:
            # Taken by a commit whose answer was lost with the connection: no worker ever had them.
            self._dispatcher.give_back(never_started)

    def _dispatch_at(self) -> datetime:
        first = self._due[0]
        # What was looked at ahead and left alone is for its time to decide.
        return first if first <= self._looked_until else first - EARLY

    def _dispatch(self) -> None:
        assert self._dispatcher is not None
        now = timezone.now()
        if not self._due or self._dispatch_at() > now:
            return
        done = self._dispatcher.dispatch_due(
            now, room=self._room(), ended=Counter(run.task.job_id for run, _ in self._ended if run.task.job_id)
        )
        self._looked_until = now + LOOK_AHEAD
        while self._due and self._due[0] <= done.until:
            heapq.heappop(self._due)
        for moment in done.next_times:
            if moment <= self._horizon:
                heapq.heappush(self._due, moment)
        if done.full:
            heapq.heappush(self._due, now)
        self._queue.extend(done.queued[: LONGEST_QUEUE - len(self._queue)])
        self._backlog |= len(self._queue) == LONGEST_QUEUE
        self._waiting_jobs |= done.waiting_jobs
        self._start(done.started)
        for task in done.recorded:
            self._announce(task.status, task)

    def _claim(self) -> None:
        # Once a turn: those that others have taken meanwhile may be many.
        assert self._dispatcher is not None
        if chosen := self._next_queued():
            self._start(self._dispatcher.claim(chosen))

    def _room(self) -> int:
        """How many Tasks may be claimed now."""
        return max(0, self._pool.idle_count + self._ahead - len(self._claimed))

    @property
    def _is_supplied(self) -> bool:
        """Whether the workers have enough to do for the time of a commit."""
        return 0 < self._ahead < 4 * len(self._claimed)

    @property
    def _may_claim(self) -> bool:
        return bool(self._room()) and not self._stopping and not self._is_supplied

    def _next_queued(self) -> list[Task]:
        """Queued Tasks to be claimed, taken off our list."""
        assert self._dispatcher is not None
        if not self._may_claim:
            return []
        if not self._queue and self._backlog:
            self._queue.extend(self._dispatcher.queued_tasks(QUEUE))
            self._backlog = len(self._queue) == QUEUE
        return [self._queue.popleft() for _ in range(min(self._room(), len(self._queue)))]

    def _start(self, tasks: list[Task]) -> None:
        now, clock = timezone.now(), time.monotonic()
        for task in tasks:
            assert task.started_at is not None
            heapq.heappush(self._claimed, (clock + (task.started_at - now).total_seconds(), task.pk, task))
        self._hand_out()

    def _hand_out(self) -> None:
        """Give claimed Tasks whose time has come to idle workers."""
        if not self._claimed or not self._pool.idle_count or not self._hold_lease():
            return
        self._keep_claimed_until = time.monotonic() + AHEAD_FOR
        while self._claimed and self._pool.idle_count and self._claimed[0][0] <= time.monotonic():
            _, _, task = heapq.heappop(self._claimed)
            worker = self._pool.start(
                {
                    "task": task.pk,
                    "function": task.function,
                    "arguments": task.arguments,
                    "attempt": task.attempt,
                }
            )
            timeout = task.job.timeout if task.job else None
            deadline = time.monotonic() + timeout.total_seconds() if timeout else None
            self._runs[task.pk] = Run(task, worker, timezone.now(), deadline)
            self._announce("running", task)

    def _give_claimed_back(self) -> None:
        assert self._dispatcher is not None
        task_ids = [task_id for _, task_id, _ in self._claimed]
        # Before the commit, whose answer may be lost: what is queued again may be run by others, and no more by us.
        # Where the commit itself is lost, the next look finds them running without a worker.
        self._claimed.clear()
        self._ahead = 0
        self._refresh = True
        self._dispatcher.give_back(task_ids)

    def _write_ended(self) -> None:
        assert self._process is not None and self._dispatcher is not None
        if not self._ended:
            return
        workers_wait = bool(self._queue) and not self._is_supplied
        if time.monotonic() < self._write_ended_at and not workers_wait and not self._stopping:
            return
        self._write_log_chunks([run for run, _ in self._ended if run.log])
        outcomes = [ended for _, ended in self._ended]
        # Under load the next Tasks are claimed with the same commit. Not where a retry or odd data may need its own.
        plain = all(one.outcome.status == Task.Status.COMPLETED and not one.outcome.result for one in outcomes)
        successors = self._next_queued() if plain and self._queue else []
        with contextlib.ExitStack() as stack:
            if successors:
                stack.enter_context(transaction.atomic())
            closed = record(outcomes, owner=self._process)
            claimed = self._dispatcher.claim(successors) if successors else []
        written, self._ended = self._ended, []
        if unclosed := [one.task_id for one in outcomes if one.task_id not in closed]:
            # Their Jobs are locked by others, unless these have closed them.
            running = Task.objects.running_in(self._process).filter(pk__in=unclosed)
            held_up = set(running.values_list("pk", flat=True))
            self._ended = [pair for pair in written if pair[1].task_id in held_up]
            written = [pair for pair in written if pair[1].task_id not in held_up]
            self._write_ended_at = time.monotonic() + LOG_EVERY
        self._start(claimed)
        for run, ended in written:
            if ended.task_id in closed:
                run.task.status = ended.outcome.status
                run.task.started_at, run.task.finished_at = ended.started_at, ended.finished_at
                run.task.result = json.loads(ended.outcome.result) if ended.outcome.result else None
                run.task.items_processed = ended.outcome.items_processed
                run.task.items_succeeded = ended.outcome.items_succeeded
                run.task.error_message, run.task.reason = ended.outcome.error_message, ended.outcome.reason
                self._announce(run.task.status, run.task)
            else:
                logger.warning("Task %s had been closed by others; its outcome here was dropped.", ended.task_id)
            if ended.outcome.status in Task.RETRIED:
                self._refresh = True
            if run.task.job_id in self._waiting_jobs:
                self._refresh = True

    def _write_logs(self) -> None:
        self._write_log_chunks([run for run in self._runs.values() if run.log])
        for run in self._runs.values():
            if not run.progress_is_written:
                Task.objects.filter(pk=run.task.pk, status=Task.Status.RUNNING).update(**run.shown)
                run.progress_is_written = True

    def _write_log_chunks(self, runs: list[Run]) -> None:
        if not runs:
            return
        chunks = [TaskLog(task_id=run.task.pk, seq=run.seq, text="".join(run.log)) for run in runs]
        try:
            _write_chunks(chunks)
        except IntegrityError:
            # A Task that somebody deleted while it ran.
            known = set(Task.objects.filter(pk__in=[run.task.pk for run in runs]).values_list("pk", flat=True))
            _write_chunks([chunk for chunk in chunks if chunk.task_id in known])
        for run in runs:
            run.log.clear()
            run.seq += 1

    def _database_is_away(self, error: db.Error) -> None:
        now = time.monotonic()
        if self._away_since is None:
            self._away_since, self._retry_delay = now, 0.1
            logger.error("The database cannot be used; the scheduler keeps trying. %s", error)
        self._close_listener()
        try:
            connection.close()
        except db.Error:
            connection.connection = None  # It cannot even be closed.
        self._queue.clear()
        self._next["retry"] = now + self._retry_delay
        self._retry_delay = min(2 * self._retry_delay, LONGEST_RETRY)
        self._refresh = True

    def _database_is_back(self) -> None:
        assert self._away_since is not None
        logger.warning(
            "The database can be used again after %.1f s; what was due meanwhile is started now, or recorded as missed.",
            time.monotonic() - self._away_since,
        )
        self._away_since = None

    def _close_listener(self) -> None:
        if self._listener.is_open:
            # By number: a connection that broke does not tell its file descriptor any more.
            for key in list(self._selector.get_map().values()):
                if key.fileobj is self._listener:
                    self._selector.unregister(key.fd)
            self._listener.close()

    # --- the workers ----------------------------------------------------------------------------------------------

    def _take_news(self) -> None:
        news = self._pool.news
        finished_at = timezone.now()
        if not self._ended:
            self._write_ended_at = time.monotonic() + LINGER
        while news:
            kind, worker, task_id, payload = news.popleft()
            run = self._runs.get(task_id) if task_id is not None else None
            if run is not None and run.worker is not worker:
                run = None
            if kind == "ready":
                self._backlog = True
            elif run is None:
                continue
            elif kind == "done":
                self._task_done(run, payload, finished_at)
            elif kind == "gone":
                self._worker_gone(run, payload, finished_at)
            elif kind == "log":
                run.log.append(payload)
            else:
                run.shown, run.progress_is_written = payload, False

    def _task_done(self, run: Run, payload: dict[str, Any], finished_at: datetime) -> None:
        del self._runs[run.task.pk]
        outcome = Outcome(**payload["outcome"])
        if run.stop is not None and outcome.status == Task.Status.CANCELLED:
            outcome = Outcome(**{**vars(outcome), "status": run.stop.status, "reason": run.stop.reason})
        self._ahead = AHEAD * self._settings.WORKERS if payload["seconds"] < BRIEF else 0
        self._ended.append((run, Ended(run.task.pk, outcome, finished_at, run.started_at)))

    def _worker_gone(self, run: Run, code: int, finished_at: datetime) -> None:
        del self._runs[run.task.pk]
        worker = run.worker
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        outcome = run.stop or Outcome(status=Task.Status.LOST, reason=f"Its worker process {worker.pid} {how}.")
        outcome = Outcome(**{**vars(outcome), **run.shown})
        self._ended.append((run, Ended(run.task.pk, outcome, finished_at, run.started_at)))

    def _enforce_limits(self) -> None:
        now = time.monotonic()
        for run in list(self._runs.values()):
            if run.kill_at is not None:
                if now >= run.kill_at:
                    self._pool.kill(run.worker)
                    run.kill_at = now + self._settings.KILL_AFTER
            elif run.deadline is not None and now >= run.deadline:
                limit = run.task.job.timeout if run.task.job else None
                self._ask_to_stop(
                    run.task.pk, Outcome(status=Task.Status.TIMED_OUT, reason=f"It took longer than {limit}.")
                )

    @property
    def _must_kill_first(self) -> bool:
        """An attempt to reach a database that is away may take seconds, which a run that is to be killed has not."""
        return self._away_since is not None and any(run.kill_at for run in self._runs.values())

    def _stop_what_may_be_repeated(self) -> None:
        """Others, who may reach the database, take a process without heartbeat for dead and start its retries."""
        if _lease_clock() - self._lease_renewed < self._settings.LOST_AFTER - TO_STOP - self._settings.KILL_AFTER:
            return
        why = Outcome(
            status=Task.Status.LOST,
            reason="Its scheduler was cut off from the database for so long that others may have started its retry.",
        )
        for run in list(self._runs.values()):
            if run.task.job and run.task.attempt <= run.task.job.retries:
                self._ask_to_stop(run.task.pk, why)

    def _ask_to_stop(self, task_id: int, outcome: Outcome) -> None:
        run = self._runs.get(task_id)
        if run is not None and run.stop is None:
            run.stop = outcome
            run.kill_at = time.monotonic() + self._settings.KILL_AFTER
            self._pool.ask_to_stop(run.worker)

    # --- the end --------------------------------------------------------------------------------------------------

    def _finish_if_done(self) -> None:
        assert self._stop_at is not None
        now = time.monotonic()
        if now >= self._stop_at:
            # Lost, not cancelled: nobody wanted this Task to end, and its Job may have retries left.
            why = Outcome(status=Task.Status.LOST, reason="The scheduler was stopped before it had ended.")
            for task_id in list(self._runs):
                self._ask_to_stop(task_id, why)
        # Without a database the outcomes cannot be written; the others will close these Tasks as lost.
        self.finished = not (self._runs or self._claimed or self._ended) or now >= self._patience_ends

    @property
    def _patience_ends(self) -> float:
        assert self._stop_at is not None
        return self._stop_at + 2 * self._settings.KILL_AFTER + 1

    def _close(self) -> None:
        self._pool.close()
        self._close_listener()
        if self._process is not None:
            try:
                sign_off(self._process, "stopped")
            except db.Error as error:
                logger.error("The database is away, so this process could not sign off: %s", error)
        self._selector.close()
        for fd in (self._wake_read, self._wake_write):
            os.close(fd)
        connection.close()


def _write_chunks(chunks: list[TaskLog]) -> None:
    # A chunk whose commit had its answer lost stands there already, maybe without the lines that came since.
    TaskLog.objects.bulk_create(chunks, update_conflicts=True, update_fields=["text"], unique_fields=["task", "seq"])
