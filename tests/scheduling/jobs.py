"""Jobs for tests, and waiting for what becomes of their Tasks."""

from __future__ import annotations

import time
from typing import Any

from scheduling.models import Job, Task
from tests.scheduling.processes import wait_until


def make_job(function: str, **fields: Any) -> Job:
    fields.setdefault("trigger", "cron")
    fields.setdefault("cron", "0 0 1 1 *")
    job = Job(id=fields.pop("id", f"{function}-{time.monotonic_ns()}"), name=function, function=function, **fields)
    job.save_definition()
    return job


def ended(task: Task, seconds: float = 60) -> Task:
    def has_ended() -> bool:
        task.refresh_from_db()
        return not task.is_active

    wait_until(has_ended, seconds=seconds, otherwise=lambda: (task.status, task.reason))
    return task


def started(task: Task) -> Task:
    def has_started() -> bool:
        task.refresh_from_db()
        return task.status == Task.Status.RUNNING

    wait_until(has_started, seconds=60, otherwise=lambda: task.status)
    return task
