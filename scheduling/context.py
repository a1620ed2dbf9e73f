"""What a task function is given: its log, progress, counts, the wish to stop, and a checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import ExitStack
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
logger = logging.getLogger(__name__)


LARGEST_COUNT = 2**63 - 1
"""What the columns of counts hold."""


class Channel(Protocol):
    """Where a run reports to: the scheduler process by a pipe, or the rows themselves."""

    def stop_wanted(self) -> bool: ...

    def report_progress(self, run: TaskRun) -> None: ...


class TaskRun:
    """The first argument of every task function.

    Attributes:
        task_id: primary key of the Task row.
        attempt: 1 for the first run, 2 for the first retry.
        result: any JSON value; kept with the Task, however the function ends.
    """

    def __init__(self, *, task_id: int, attempt: int, channel: Channel, name: str = "") -> None:
        self.task_id = task_id
        self.attempt = attempt
        self.result: Any = None
        self.processed = 0
        self.items_succeeded = 0
        self.items_failed = 0
        self.total: int | None = None
        self.text = ""
        self.saw_stop = False
        self._channel = channel
        self._logger = logging.getLogger(name or "task")

    def log(self, message: str, *values: object, level: int = logging.INFO) -> None:
        """A line in the Task's log, with %-style values. Lines of any `logging` logger are kept as well."""
        self._logger.log(level, message, *values)

    def warning(self, message: str, *values: object) -> None:
        self.log(message, *values, level=logging.WARNING)

    def error(self, message: str, *values: object) -> None:
        self.log(message, *values, level=logging.ERROR)

    def items(self, work: Iterable[T], *, total: int | None = None) -> Iterator[T]:
        """Go through the work: counts each item as processed, shows progress, ends early when asked to stop."""
        if total is None and isinstance(work, Sized):
            total = len(work)
        self.progress(total=total)
        for item in work:
            if self.should_stop:
                return
            yield item
            self.progress(self.processed + 1)

    def progress(self, processed: int | None = None, *, total: int | None = None, text: str | None = None) -> None:
        """Say how far the run is. Shown at most once a second, so it may be called as often as one likes.

        A total may be an estimate: once more is processed, it is dropped.

        Raises:
            ValueError: a count is negative or no whole number.
        """
        if processed is not None:
            self.processed = checked_count("processed", processed)
        if total is not None:
            self.total = checked_count("total", total)
        if text is not None:
            self.text = str(text)
        if self.total is not None and self.processed > self.total:
            self.total = None
        self._channel.report_progress(self)

    def succeeded(self, count: int = 1) -> None:
        self.items_succeeded += checked_count("succeeded", count)

    def failed(self, count: int = 1) -> None:
        self.items_failed += checked_count("failed", count)

    def counts(self) -> dict[str, Any]:
        """The columns of a Task that tell its progress. Whatever a task function put in the attributes, they fit."""
        succeeded, failed = _kept_count(self.items_succeeded), _kept_count(self.items_failed)
        return {
            # A function may tell successes and failures alone.
            "items_processed": min(max(_kept_count(self.processed), succeeded + failed), LARGEST_COUNT),
            "items_succeeded": succeeded,
            "items_failed": failed,
            "progress_total": None if self.total is None else _kept_count(self.total),
            "progress_text": str(self.text),
        }

    @property
    def should_stop(self) -> bool:
        """True once the Task is cancelled, out of time, or its scheduler stops. Look at it between items."""
        if self._channel.stop_wanted():
            self.saw_stop = True
        return self.saw_stop

    @property
    def checkpoint(self) -> dict[str, Any]:
        """What the last unfinished run of the same Job saved, or {}. One query."""
        from .models import Task

        return Task.objects.checkpoint_for(self.task_id)

    def save_checkpoint(self, **values: Any) -> None:
        """Keep JSON values for the run that goes on where this one breaks off. One query."""
        from .models import Task

        Task.objects.filter(pk=self.task_id).update(checkpoint=values)


def each_on_its_own(calls: Iterable[Callable[[], object]]) -> None:
    """Call all of them in order, also behind one that raises: what is unforeseen in one item holds up no other.

    Raises:
        Exception: what one of them raised, when all were called; an ExceptionGroup of those that several raised.
        BaseException: what is no Exception, such as TaskStopped, at once.
    """
    raised: list[Exception] = []

    def kept(_: object, error: BaseException | None, __: object) -> bool:
        if isinstance(error, Exception):
            raised.append(error)
        return isinstance(error, Exception)

    for call in calls:
        with ExitStack() as stack:
            stack.push(kept)
            call()
    if len(raised) > 1:
        raise ExceptionGroup("Several items failed", raised)
    if raised:
        raise raised[0]


def checked_count(name: str, value: object) -> int:
    if not isinstance(value, int) or not 0 <= value <= LARGEST_COUNT:
        raise ValueError(f"{name} must be a whole number of 0 or more, not {value!r}.")
    return value


def _kept_count(value: object) -> int:
    return min(max(value, 0), LARGEST_COUNT) if isinstance(value, int) else 0
