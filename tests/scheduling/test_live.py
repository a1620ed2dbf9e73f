"""A Task's page beside the real `runscheduler`: what it logs and how it ends is seen while somebody watches."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone

from scheduling.models import Job, Task
from tests.scheduling.processes import SchedulerUnderTest, is_done_within, running_scheduler, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

SOON = 1.0
"""Seconds within which a line is to be seen."""
STAMP = re.compile(r"^(\S+Z) WARNING", re.MULTILINE)


@pytest.fixture
def scheduler(process_env: dict[str, str], tmp_path: Path) -> Iterator[SchedulerUnderTest]:
    with running_scheduler(process_env, tmp_path) as running:
        yield running


def started(**arguments: object) -> Task:
    job = Job(id=f"count-{time.monotonic_ns()}", name="count", function="sample.count", cron="0 0 1 1 *")
    job.save_definition()
    task = job.run_now(arguments=arguments)
    wait_until(lambda: Task.objects.get(pk=task.pk).status == "running", seconds=60)
    return task


def delays_of(client: Client, task: Task) -> Iterator[float]:
    """Seconds from when each line was logged until the view gave it, to the end of the Task."""
    url, last, is_active = f"/admin/scheduling/task/{task.pk}/live/", -1, True
    while is_active:
        time.sleep(0.05)
        answer = client.get(url, {"after": str(last)}).json()
        seen = timezone.now()
        for stamp in STAMP.findall(answer["log"]):
            yield (seen - datetime.fromisoformat(stamp)).total_seconds()
        last = last if answer["last"] is None else answer["last"]
        is_active = answer["active"]


def test_a_line_is_seen_within_a_second(admin_client: Client, scheduler: SchedulerUnderTest) -> None:
    def longest_delay() -> float:
        delays = list(delays_of(admin_client, started(items=20, pause=0.13, fail_every=1)))
        assert len(delays) == 20
        return max(delays)

    is_done_within(SOON, longest_delay)


def test_the_end_is_seen_within_a_second(admin_client: Client, scheduler: SchedulerUnderTest) -> None:
    task = Task()

    def delay() -> float:
        nonlocal task
        task = started(items=2, pause=0.2)
        for _ in delays_of(admin_client, task):
            pass
        seen = timezone.now()
        task.refresh_from_db()
        assert task.finished_at is not None
        return (seen - task.finished_at).total_seconds()

    is_done_within(SOON, delay)
    html = admin_client.get(f"/admin/scheduling/task/{task.pk}/change/").content.decode()
    assert "completed" in html and "printed by the function" in html and "data-live" not in html
