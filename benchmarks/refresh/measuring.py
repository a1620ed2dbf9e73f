"""A first import and full refreshes in this process, and what they cost."""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import connection
from django.db.backends.signals import connection_created
from django.utils import timezone

from audiobooks import owning, refresh
from audiobooks.models import HttpCopy, MetadataRun
from benchmarks.refresh.library import owned
from scheduling.context import TaskRun

PART = 1000
"""Books at the beginning and at the end that are measured apart."""
_queries = itertools.count()
_looks = itertools.count()


@dataclass(frozen=True)
class Point:
    """books: done so far; all, main: CPU seconds of the process and of its main thread; memory: bytes."""

    books: int
    at: float
    all: float
    main: float
    queries: int
    memory: int


@dataclass(frozen=True)
class Passage:
    name: str
    points: list[Point]

    @property
    def books(self) -> int:
        return self.points[-1].books

    def rate(self) -> float:
        return self.books / (self.points[-1].at - self.points[0].at)

    def queries(self) -> float:
        return (self.points[-1].queries - self.points[0].queries) / self.books

    def cost(self, begin: int, end: int, kind: str = "all") -> float:
        """CPU milliseconds a book."""
        one, other = self.points[begin], self.points[end]
        return 1000 * float(getattr(other, kind) - getattr(one, kind)) / (other.books - one.books)

    def memory(self) -> tuple[int, int, int]:
        """Bytes after the first part, in the middle, and at the most from there on. Caches of bounded size fill first."""
        middle = len(self.points) // 2
        return self.points[1].memory, self.points[middle].memory, max(point.memory for point in self.points[middle:])


class Watch:
    """The channel of a run that notes a point every PART books."""

    def __init__(self) -> None:
        self.points = [_point(0)]

    def stop_wanted(self) -> bool:
        return False

    def report_progress(self, run: TaskRun) -> None:
        self.note(run.processed)

    def note(self, books: int, *, at_least: int = PART) -> None:
        if books - self.points[-1].books >= at_least:
            self.points.append(_point(books))


def prepare() -> None:
    call_command("migrate", verbosity=0)
    connection_created.connect(_count)
    connection.close()


def first_import(count: int) -> Passage:
    watch, now = Watch(), timezone.now()
    helds = (owning.Held(library="list", item=str(item), facts=facts) for item, facts in enumerate(owned(count), 1))
    for number, recorded in enumerate(owning.record_each(helds, now=now), 1):
        assert not recorded.error, recorded.error
        watch.note(number)
    watch.note(count, at_least=PART // 2)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return Passage("first import", watch.points)


def full_refresh(name: str) -> Passage:
    watch = Watch()
    run = TaskRun(task_id=0, attempt=1, channel=watch)
    refresh.refresh_books(run, MetadataRun.Kind.FULL)
    watch.note(run.processed, at_least=PART // 2)
    record = MetadataRun.objects.latest("pk")
    assert record.state == MetadataRun.State.FINISHED and run.items_failed == 0, (record.state, run.result)
    print(f"{name}: {run.result}", flush=True)
    return Passage(name, watch.points)


def let_a_month_pass() -> None:
    """For the copies of answers, which would be used instead of asking."""
    HttpCopy.objects.update(checked_at=timezone.now() - timedelta(days=31))


def _count(connection: Any, **kwargs: Any) -> None:
    def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        next(_queries)
        return execute(sql, params, many, context)

    connection.execute_wrappers.append(wrapper)


def _point(books: int) -> Point:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    # itertools.count is exact from any thread; looking at it moves it on.
    queries = next(_queries) - next(_looks)
    memory = pages * os.sysconf("SC_PAGE_SIZE")
    return Point(books, time.monotonic(), time.process_time(), time.thread_time(), queries, memory)
