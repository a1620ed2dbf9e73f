"""A first crawl and a second one in this process, and what they cost."""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import connection
from django.db.backends.signals import connection_created
from django.utils import timezone

from audiobooks import crawl, owning
from audiobooks.facts import BookFacts, Contributor
from audiobooks.http import Pace
from audiobooks.models import Release
from audiobooks.sources import myanonamouse
from benchmarks.crawl.offered import author, title
from scheduling.context import TaskRun

_queries = itertools.count()
_looks = itertools.count()


@dataclass
class Passage:
    """The channel of a run. memory: bytes at each page. seconds: of the clock; cpu: of this process."""

    name: str
    memory: list[int] = field(default_factory=list)
    pages: int = 0
    releases: int = 0
    new: int = 0
    changed: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    queries: int = 0

    def stop_wanted(self) -> bool:
        return False

    def report_progress(self, run: TaskRun) -> None:
        self.memory.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))


def prepare(*, own: int) -> None:
    """A library of which some books are offered, and no pace, which would be all that is measured."""
    call_command("migrate", verbosity=0)
    connection_created.connect(_count)
    connection.close()
    myanonamouse.PACE = Pace(every=0.0, at_once=1)
    now = timezone.now()
    for number in range(own):
        facts = BookFacts(
            source="list",
            title=title(number * 10 if number % 10 == 0 else 1_000_000 + number),
            authors=(Contributor(name=author(number * 10)),),
        )
        owning.record(owning.Held(library="list", item=str(number), facts=facts), now=now)


def crawled(name: str, releases: int) -> Passage:
    # Its own bound is for a site that others use as well.
    myanonamouse.MOST_ROWS = releases + 1000
    passage = Passage(name)
    run = TaskRun(task_id=0, attempt=1, channel=passage)
    at, cpu, queries = time.monotonic(), time.process_time(), next(_queries) - next(_looks)
    crawl.new_releases(run)
    passage.seconds, passage.cpu = time.monotonic() - at, time.process_time() - cpu
    passage.queries = next(_queries) - next(_looks) - queries
    told = run.result["sources"]["myanonamouse"]
    assert told["finished"] and Release.objects.count() == releases, (run.result, Release.objects.count())
    passage.pages, passage.releases = told["pages"], told["releases"]
    passage.new, passage.changed = told["new"], told["changed"]
    print(f"{name}: {run.result}; {Release.objects.exclude(work=None).count()} of books in the library", flush=True)
    return passage


def _count(connection: Any, **kwargs: Any) -> None:
    def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        next(_queries)
        return execute(sql, params, many, context)

    connection.execute_wrappers.append(wrapper)
