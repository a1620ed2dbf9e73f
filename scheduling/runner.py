"""Runs one Task: captures its log, throttles its progress, and turns whatever happens into an outcome.

The same code serves a worker process, which reports by a socket, and a run in this process (shell, command), which
writes the rows itself.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TextIO

from django.db import transaction
from django.utils import timezone

from .conf import scheduling_settings
from .context import TaskRun, checked_count
from .exceptions import NotAllowedNow, TaskCancelled, TaskFailed, TaskStopped
from .models import Task, TaskLog
from .outcomes import Ended, Outcome, capped_error, record, result_as_json, storable
from .presence import own_process
from .registry import TaskFunction, registry

logger = logging.getLogger(__name__)

FLUSH_EVERY = 0.2
PROGRESS_EVERY = 1.0
NOT_RETRIED = "It is not tried again by itself: that would change nothing until a person does something."


class _Lines:
    """Finished lines up to the cap; what comes after it is counted."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.cut = 0
        self._room = scheduling_settings().LOG_CAP

    def write(self, line: str) -> None:
        if len(line) > self._room:
            self.cut += 1
            # Without its secrets first: the head of one would not be known for one.
            line, self._room = storable(line)[: self._room], 0
        else:
            self._room -= len(line)
        if line:
            self.kept.append(line)


class LogCapture(logging.StreamHandler[_Lines]):
    """Collects finished lines up to the cap. `take` may be called from another thread."""

    def __init__(self) -> None:
        super().__init__(stream=_Lines())
        self._second = (0, "")

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info and record.exc_info[0]:
            text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        return f"{self._stamp(record)} {record.levelname} {record.name}: {text}"

    def handleError(self, record: logging.LogRecord) -> None:
        """The values do not fit the text, or cannot be shown: no reason to fail the run."""
        message = record.msg if isinstance(record.msg, str) else f"a {type(record.msg).__name__}"
        self.add(f"{self._stamp(record)} {record.levelname} {record.name}: {message} (this cannot be shown)\n")

    def add(self, line: str) -> None:
        self.stream.write(line)

    def take(self) -> str:
        """What has come since the last call, without secrets."""
        lines, self.stream.kept = self.stream.kept, []
        return storable("".join(lines)) if lines else ""

    def take_last(self) -> str:
        """As `take`, with a last line that says what was cut."""
        text = self.take()
        if not self.stream.cut:
            return text
        cap, newline = scheduling_settings().LOG_CAP, "" if text.endswith("\n") else "\n"
        return f"{text}{newline}… the log was cut here, {self.stream.cut:,} lines: a Task keeps {cap:,} characters of it.\n"

    def _stamp(self, record: logging.LogRecord) -> str:
        second = int(record.created)
        if self._second[0] != second:
            self._second = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))
        return f"{self._second[1]}.{int(record.msecs):03d}Z"


class Printed(io.TextIOBase):
    """Turns what a task function prints into log lines; `shown` is where it is printed as well."""

    def __init__(self, capture: LogCapture, shown: TextIO | None = None) -> None:
        self._capture = capture
        self._shown = shown
        self._pieces: list[str] = []
        """Of the line that is not ended yet. Not one text: dots, one an item, would cost more with each."""

    def write(self, text: str) -> int:
        if self._shown:
            self._shown.write(text)
        for number, piece in enumerate(text.split("\n")):
            if number:
                self._keep()
            self._pieces.append(piece)
        return len(text)

    def flush(self) -> None:
        if self._shown:
            self._shown.flush()

    def isatty(self) -> bool:
        return self._shown is not None and self._shown.isatty()

    def fileno(self) -> int:
        return self._shown.fileno() if self._shown else super().fileno()

    def finish(self) -> None:
        if any(self._pieces):
            self._keep()

    def _keep(self) -> None:
        line = "".join(self._pieces)
        self._pieces.clear()
        self._capture.handle(logging.LogRecord("print", logging.INFO, "", 0, line, None, None))


def execute(function: TaskFunction, run: TaskRun, arguments: Mapping[str, Any]) -> Outcome:
    """Call the task function. Whatever it raises becomes an outcome."""
    own = os.getpid()
    try:
        function.function(run, **function.call_arguments(arguments))
        return _outcome(run, Task.Status.CANCELLED if run.saw_stop else Task.Status.COMPLETED)
    except TaskFailed as failure:
        outcome = _outcome(run, Task.Status.FAILED, str(failure))
        return outcome if failure.retry else replace(outcome, retry=False, reason=NOT_RETRIED)
    except (TaskStopped, KeyboardInterrupt):
        return _outcome(run, Task.Status.CANCELLED)
    except BaseException:  # noqa: BLE001  The one place where any error of any task function ends up.
        return _outcome(run, Task.Status.FAILED, traceback.format_exc())
    finally:
        if os.getpid() != own:
            # A process that the function has forked came back from it: its end is not the Task's.
            os._exit(1)


def _outcome(run: TaskRun, status: str, error: str = "") -> Outcome:
    try:
        # Also of one that failed: what it had done by then.
        result = result_as_json(run.result)
    except (TypeError, ValueError, RecursionError) as problem:
        logger.warning("The result was not kept, since it has no JSON form: %s", problem)
        result = ""
    return Outcome(status=status, error_message=capped_error(error), result=result, **progress_fields(run))


@contextlib.contextmanager
def stoppable(wanted: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """SIGTERM, where it is `wanted`, raises TaskStopped in the block, which wakes a function from a sleep or a read."""
    own = os.getpid()

    def stop(signum: int, frame: object) -> None:
        if os.getpid() != own:
            # A process that the function has forked, e.g. by `multiprocessing`, which waits for it to end of this.
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
        elif wanted():
            raise TaskStopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# --- a run in this process ----------------------------------------------------------------------------------------


class RowChannel:
    """Writes log and progress of a run in this process straight into the rows, a few times a second at most."""

    def __init__(self, task: Task, watch: Callable[[TaskRun], None] | None = None) -> None:
        self.capture = LogCapture()
        self._task = task
        self._watch = watch
        self._seq = 0
        self._flush_at = 0.0
        self._stop = False

    def stop_wanted(self) -> bool:
        self._flush_if_time()
        return self._stop

    def report_progress(self, run: TaskRun) -> None:
        if self._watch:
            self._watch(run)
        if self._flush_if_time():
            Task.objects.filter(pk=self._task.pk).update(**progress_fields(run))

    def _flush_if_time(self) -> bool:
        if time.monotonic() < self._flush_at:
            return False
        self._flush_at = time.monotonic() + PROGRESS_EVERY
        self.write(self.capture.take())
        self._stop = Task.objects.filter(pk=self._task.pk, cancel_requested_at__isnull=False).exists()
        return True

    def write(self, text: str) -> None:
        if text:
            TaskLog.objects.create(task=self._task, seq=self._seq, text=text)
            self._seq += 1


def progress_fields(run: TaskRun) -> dict[str, Any]:
    counts = run.counts()
    return {**counts, "progress_text": storable(counts["progress_text"])[:255]}


def run_here(
    function: TaskFunction, arguments: Mapping[str, Any], *, watch: Callable[[TaskRun], None] | None = None
) -> Any:
    """Run a task function in this process, recorded with cause `shell`. `watch` sees each progress report.

    Returns what the function left in `run.result`.

    Raises:
        ArgumentError: nothing was run or recorded.
        TaskFailed: the run failed; the message is the Task's error text.
        TaskCancelled: somebody cancelled it from elsewhere.
        KeyboardInterrupt: the person stopped it; recorded as cancelled.
    """
    function.check_arguments(arguments)
    owner = own_process()
    task = Task.objects.create(
        task_name=function.label,
        function=function.name,
        arguments=dict(arguments),
        cause=Task.Cause.SHELL,
        status=Task.Status.RUNNING,
        owner=owner,
        started_at=timezone.now(),
    )
    channel = RowChannel(task, watch)
    run = TaskRun(task_id=task.pk, attempt=1, channel=channel, name=function.name)
    printed = Printed(channel.capture, shown=sys.stdout)
    root = logging.getLogger()
    root.addHandler(channel.capture)
    try:
        with contextlib.redirect_stdout(printed):
            outcome = execute(function, run, arguments)
    finally:
        root.removeHandler(channel.capture)
    printed.finish()
    try:
        channel.write(channel.capture.take_last())
    finally:
        record([Ended(task.pk, outcome, timezone.now())], owner=owner)
    if outcome.status == Task.Status.FAILED:
        raise TaskFailed(outcome.error_message, retry=outcome.retry)
    if outcome.status == Task.Status.CANCELLED:
        raise TaskCancelled(f"{task} was cancelled.") if run.saw_stop else KeyboardInterrupt
    return run.result


def run_job(job_id: str) -> None:
    """What APScheduler is told to call for every Job; the scheduler's own loop never calls it."""
    from .models import Job

    job = Job.objects.by_id(job_id)
    run_here(registry.get(job.function), job.arguments)


# --- the guide's plain way to record work ---------------------------------------------------------------------------


def create_task_record(task_name: str) -> Task:
    """Record that work outside the scheduler has begun. It ends with one of the two functions below."""
    owner = own_process()
    return Task.objects.create(
        task_name=task_name,
        cause=Task.Cause.SHELL,
        status=Task.Status.RUNNING,
        owner=owner,
        started_at=timezone.now(),
    )


def update_task_success(
    task: Task,
    items_processed: int = 0,
    items_succeeded: int = 0,
    items_failed: int = 0,
    log_output: str = "",
) -> None:
    """Raises:
    NotAllowedNow: the Task has ended.
    ValueError: a count is negative or no whole number.
    """
    counts: dict[str, Any] = {
        "items_processed": items_processed,
        "items_succeeded": items_succeeded,
        "items_failed": items_failed,
    }
    for name, value in counts.items():
        checked_count(name, value)
    _end_record(task, Outcome(status=Task.Status.COMPLETED, **counts), log_output)


def update_task_failure(task: Task, error_message: str, log_output: str = "") -> None:
    """Raises:
    NotAllowedNow: the Task has ended.
    """
    _end_record(task, Outcome(status=Task.Status.FAILED, error_message=capped_error(error_message)), log_output)


def _end_record(task: Task, outcome: Outcome, log_output: str) -> None:
    with transaction.atomic():
        if not record([Ended(task.pk, outcome, timezone.now())], owner=task.owner):
            raise NotAllowedNow(f"{task} has ended already, so this end is not recorded.")
        capture = LogCapture()
        for line in log_output.splitlines():
            capture.add(line + "\n")
        if text := capture.take_last():
            TaskLog.objects.create(task=task, seq=task.log_chunks.count(), text=text)
    task.refresh_from_db()
