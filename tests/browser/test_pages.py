"""Every page in a real browser: nothing refused by the policy, no other host, no sideways scrolling, axe content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from django.utils import timezone

from scheduling.models import Job, Task, TaskLog
from scheduling.scheduler import declare_jobs
from tests.browser.conftest import NARROW, WIDE, Visit

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def addresses() -> dict[str, str]:
    declare_jobs()
    job = Job.objects.by_id("library_scan")
    job.pause(reason="holiday")
    failed = Task.for_job(job, status="failed", error_message="Traceback\nValueError: x", finished_at=timezone.now())
    failed.save()
    TaskLog.objects.create(task=failed, seq=0, text="2026-01-01T00:00:00.000Z WARNING scan: odd\n" * 50)
    return {
        "dashboard": "/admin/",
        "jobs": "/admin/scheduling/job/",
        "job": "/admin/scheduling/job/library_scan/change/",
        "new job": "/admin/scheduling/job/add/",
        "tasks": "/admin/scheduling/task/",
        "task": f"/admin/scheduling/task/{failed.pk}/change/",
        "processes": "/admin/scheduling/schedulerprocess/",
        "books": "/admin/audiobooks/book/",
        "people": "/admin/auth/user/",
    }


@pytest.mark.parametrize("look", ["wide", "wide dark", "narrow", "narrow dark"])
def test_every_page_is_whole(
    look: str, addresses: dict[str, str], administrator: User, visit: Callable[..., Visit], tmp_path: Path
) -> None:
    one = visit(NARROW if "narrow" in look else WIDE, dark="dark" in look)
    one.sign_in("admin")
    problems: dict[str, Any] = {}
    for name, address in addresses.items():
        page = one.open(address)
        page.wait_for_load_state("networkidle")
        page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
        if found.violations_count:
            problems[name] = found.generate_report()
        if one.scrolls_sideways():
            problems[f"{name}, width"] = "it scrolls sideways"
    assert not problems, "\n".join(f"{name}: {text}" for name, text in problems.items())


def test_signing_in_is_refused_after_ten_wrong_passwords(administrator: User, visit: Callable[..., Visit]) -> None:
    one = visit()
    for _ in range(10):
        page = one.open("/admin/login/")
        page.fill("[name=username]", "admin")
        page.fill("[name=password]", "wrong")
        page.click("[type=submit]")
    assert "refused for 15 minutes" in page.content()
    assert page.title().startswith("Too many wrong passwords")
    one.sign_in("admin")
    assert "refused for 15 minutes" in page.content()
    one.wrong.clear()  # The refusals are error answers.


def test_pages_are_read_and_steps_taken_without_scripts(administrator: User, visit: Callable[..., Visit]) -> None:
    declare_jobs()
    job = Job.objects.by_id("library_scan")
    one = visit(scripts=False)
    page = one.open("/admin/")
    assert page.is_visible("[name=username]")
    one.sign_in("admin")
    page = one.open("/admin/scheduling/job/")
    assert page.is_visible(f"text={job.name}")
    page.click(f"button[aria-label='Run now: {job.name}']")
    task = Task.objects.get()
    assert page.is_visible(f"text=queued Task {task.pk}")
    page = one.open(f"/admin/scheduling/task/{task.pk}/change/")
    assert page.is_visible("#task-state")
    page.click("button:has-text('Cancel')")
    assert Task.objects.get().status == "cancelled"
    assert page.is_visible("text=cancelled")
