"""Requests of the pages, one after the other, as Django's test client makes them: without a network or a web server."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from benchmarks.figures import percentile
from scheduling.models import Task

GOAL_MS = 150.0
GOAL_QUERIES = 12
FAR_PAGE = 500
ON_A_PAGE = 50


@dataclass(frozen=True)
class Page:
    name: str
    url: str
    uncached: bool = False


@dataclass(frozen=True)
class Timing:
    name: str
    p50: float
    """Milliseconds, as `p95`."""
    p95: float
    cpu: float
    """p50 of this process's own CPU milliseconds: what is left of the time when others use the machine."""
    queries: int
    size: int
    """Bytes of HTML."""

    @property
    def is_met(self) -> bool:
        return self.p95 <= GOAL_MS and self.queries <= GOAL_QUERIES


def pages(tasks: int) -> Iterator[Page]:
    index = reverse("admin:index")
    yield Page("dashboard", index)
    yield Page("dashboard, nothing cached", index, uncached=True)
    yield Page("dashboard, its live part", reverse("admin:scheduling_dashboard_live"))
    yield Page("a year", reverse("admin:scheduling_daycount_changelist"))
    yield Page("a year of a Job", f"{reverse('admin:scheduling_daycount_changelist')}?job=job7")
    yield Page("the coming 24 hours", reverse("admin:scheduling_dashboard_timeline"))
    yield Page("Job list", reverse("admin:scheduling_job_changelist"))
    yield Page("Job page", reverse("admin:scheduling_job_change", args=["job7"]))
    listed = reverse("admin:scheduling_task_changelist")
    far = min(FAR_PAGE, tasks // ON_A_PAGE)
    edge = Task.objects.order_by("-pk").values_list("pk", flat=True)[(far - 1) * ON_A_PAGE - 1]
    day = timezone.now() - timedelta(days=12)
    for name, query in {
        "first": {},
        "failed": {"status": "failed"},
        "running": {"status": "running"},
        "of a Job": {"job": "job7"},
        "of a day": {"since": f"{day:%Y-%m-%d}T00:00:00Z", "until": f"{day:%Y-%m-%d}T23:59:59Z"},
        "of a length": {"duration": "over_10m"},
        "searched": {"q": "job7"},
        f"page {far}": {"before": str(edge)},
    }.items():
        yield Page(f"Task list, {name}", f"{listed}?{urlencode(query)}")
    with_log, failed = (
        Task.objects.filter(status=status).order_by("-pk").values_list("pk", flat=True)[0]
        for status in ("running", "failed")
    )
    yield Page("Task page, long log", reverse("admin:scheduling_task_change", args=[with_log]))
    yield Page("Task page, failed", reverse("admin:scheduling_task_change", args=[failed]))


def timed(page: Page, requests: int) -> Timing:
    """After one request that is not timed: templates and the database's own cache are warm."""
    client = Client()
    client.force_login(User.objects.get())
    size = len(_get(client, page))
    times, cpu = [], []
    for _ in range(requests):
        if page.uncached:
            cache.clear()
        began, began_cpu = time.perf_counter(), time.process_time()
        _get(client, page)
        times.append((time.perf_counter() - began) * 1000)
        cpu.append((time.process_time() - began_cpu) * 1000)
    if page.uncached:
        cache.clear()
    with CaptureQueriesContext(connection) as queries:
        _get(client, page)
    return Timing(page.name, percentile(times, 0.5), percentile(times, 0.95), percentile(cpu, 0.5), len(queries), size)


def _get(client: Client, page: Page) -> bytes:
    response = client.get(page.url)
    if response.status_code != 200:
        raise ValueError(f"{page.name} answered {response.status_code}: {page.url}")
    return bytes(response.content)


def table(timings: Sequence[Timing]) -> str:
    width = max(len(timing.name) for timing in timings)
    lines = [f"{'page':{width}}  p50 ms  p95 ms  CPU ms  queries  HTML kB"]
    for timing in timings:
        verdict = "met" if timing.is_met else "NOT met"
        lines.append(
            f"{timing.name:{width}}  {timing.p50:6.1f}  {timing.p95:6.1f}  {timing.cpu:6.1f}  "
            f"{timing.queries:7}  {timing.size / 1000:7.0f}  {verdict}"
        )
    return "\n".join([*lines, f"Goals: p95 of {GOAL_MS:.0f} ms and {GOAL_QUERIES} queries."])
