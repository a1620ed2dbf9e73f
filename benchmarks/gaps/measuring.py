"""What boards and their pages take, one after the other, in this process: without a network or a web server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audiobooks.gaps import all_boards, missing, series_boards, wishes
from audiobooks.models import Author, Series
from benchmarks.figures import percentile

Question = tuple[str, Callable[[], object]]


@dataclass(frozen=True)
class Timing:
    """Seconds. cpu: p50 of this process's own."""

    name: str
    p50: float
    p95: float
    cpu: float
    queries: int


def questions() -> Iterator[Question]:
    client = Client()
    client.force_login(User.objects.get())
    yield "boards of series", series_boards
    yield "all boards", all_boards
    yield "what is missing", missing
    yield "wishes", wishes
    listed = reverse("admin:audiobooks_follow_changelist")
    for name, url in {
        "page": listed,
        "page 20": f"{listed}?p=20",
        "page, searched": f"{listed}?q=salt",
        "page, of a reason": f"{listed}?reason=in_a_set",
        "page of a series": reverse("admin:audiobooks_follow_series", args=[Series.objects.earliest("pk").pk]),
        "page of an author": reverse("admin:audiobooks_follow_author", args=[Author.objects.earliest("pk").pk]),
    }.items():
        yield name, _getting(client, url)


def _getting(client: Client, url: str) -> Callable[[], object]:
    def get() -> object:
        response = client.get(url)
        if response.status_code != 200:
            raise ValueError(f"{url} answered {response.status_code}")
        return response.content

    return get


def timed(name: str, ask: Callable[[], object], times: int) -> Timing:
    """After one that is not timed: templates and the database's own cache are warm."""
    ask()
    with CaptureQueriesContext(connection) as captured:
        ask()
        # The next request would forget them.
        queries = len(captured)
    took, cpu = [], []
    for _ in range(times):
        began, began_cpu = time.perf_counter(), time.process_time()
        ask()
        took.append(time.perf_counter() - began)
        cpu.append(time.process_time() - began_cpu)
    return Timing(name, percentile(took, 0.5), percentile(took, 0.95), percentile(cpu, 0.5), queries)
