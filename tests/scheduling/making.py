"""Rows, people and answers that many tests want."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client

from scheduling.exceptions import NotAllowedNow
from scheduling.models import Job


def make_job(id: str = "x", **fields: Any) -> Job:
    job = Job(id=id, **{"name": f"Job {id}", "function": "sample.count", "cron": "0 2 * * *", **fields})
    job.save_definition()
    return job


def form_data(**changes: str) -> dict[str, str]:
    """What the page of `make_job()` posts."""
    return {
        "name": "Job x", "function": "sample.count", "arguments": "{}", "trigger": "cron", "cron": "0 2 * * *",
        "interval": "", "run_at_0": "", "run_at_1": "", "anchor_0": "", "anchor_1": "", "timezone": "",
        "max_instances": "1", "overlap": "skip", "coalesce": "on", "misfire_grace": "900", "timeout": "",
        "retries": "0", "retry_delay": "60", **changes,
    }  # fmt: skip


def person(*permissions: str) -> Client:
    """The browser of somebody new, who has these and no others."""
    user = User.objects.create_user(f"somebody-{User.objects.count()}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    assert user.user_permissions.count() == len(permissions)
    client = Client()
    client.force_login(user)
    return client


def messages_of(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def four_at_once(step: Callable[[], object]) -> list[str]:
    """How it went for each, sorted: done or refused."""
    results: list[str] = []

    def take() -> None:
        try:
            step()
            results.append("done")
        except NotAllowedNow:
            results.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(results)
