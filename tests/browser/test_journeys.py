"""What people do in the console, in a real browser, with a real scheduler running."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, User
from django.utils import timezone

from scheduling.models import Job, Task
from scheduling.pauses import pause_everything, resume_everything
from tests.browser.conftest import NARROW, PASSWORD, Visit
from tests.scheduling.jobs import make_job
from tests.scheduling.processes import SchedulerUnderTest, running_scheduler, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def scheduler(process_env: dict[str, str], tmp_path: Path) -> Iterator[SchedulerUnderTest]:
    with running_scheduler(process_env, tmp_path) as running:
        yield running


@pytest.fixture
def console(administrator: User, visit: Callable[..., Visit], scheduler: SchedulerUnderTest) -> Visit:
    one = visit()
    one.sign_in("admin")
    return one


def job_page(job: Job) -> str:
    return f"/admin/scheduling/job/{job.pk}/change/"


def test_a_first_look(console: Visit) -> None:
    page = console.open("/admin/")
    text = page.inner_text("#content, main")
    assert "No scheduler is running" not in text
    assert "Library Scan" in text, "what runs next"
    page.click("#dashboard-upcoming a:has-text('Library Scan')")
    page.wait_for_url(re.compile("/scheduling/job/library.*scan/change/"))


def test_pause_and_resume_from_the_list(console: Visit) -> None:
    page = console.open("/admin/scheduling/job/?q=library_scan")
    page.click("button:has-text('Pause') >> nth=-1")
    page.wait_for_selector("button:has-text('Resume')")
    assert Job.objects.by_id("library_scan").is_paused
    page.click("button:has-text('Resume') >> nth=-1")
    page.wait_for_selector("text=Resumed")
    assert not Job.objects.by_id("library_scan").is_paused


def test_a_schedule_with_a_mistake_then_right(console: Visit) -> None:
    page = console.open("/admin/scheduling/job/library_scan/change/")
    page.fill("[name=cron]", "0 25 * * *")
    page.wait_for_selector("[data-schedule-preview] >> text=hour")
    page.fill("[name=cron]", "30 6 * * MON-FRI")
    page.wait_for_selector("[data-schedule-preview] >> text=weekdays at 06:30")
    assert page.locator("[data-schedule-preview] li").count() == 10
    page.fill("[name=cron]", "0 25 * * *")
    page.click("[name=_save]")
    page.wait_for_selector("text=cannot be read")
    page.fill("[name=cron]", "30 6 * * MON-FRI")
    page.click("[name=_save]")
    page.wait_for_url(re.compile(r"/scheduling/job/(\?|$)"))
    assert Job.objects.by_id("library_scan").cron == "30 6 * * MON-FRI"


def test_a_mistake_in_a_field_of_another_kind_is_seen(console: Visit) -> None:
    page = console.open("/admin/scheduling/job/library_scan/change/")
    page.select_option("[name=trigger]", "interval")
    page.fill("[name=interval]", "garbage")
    page.select_option("[name=trigger]", "cron")
    assert not page.is_visible("[name=interval]")
    page.click("[name=_save]")
    page.wait_for_selector(".field-interval .errorlist")
    assert page.is_visible("[name=interval]") and not page.is_visible("[name=run_at_0]")


def test_run_with_arguments_and_watch_it_to_its_end(console: Visit) -> None:
    job = make_job("sample.count", id="counting")
    page = console.open(f"/admin/scheduling/job/{job.pk}/run-with/")
    page.fill("[name=argument-items]", "many")
    page.click("button:has-text('Run')")
    page.wait_for_selector("text=/whole number/i")
    page.fill("[name=argument-items]", "30")
    # So long that the page is there before its end.
    page.fill("[name=argument-pause]", "0.3")
    page.click("button:has-text('Run')")
    page.wait_for_url(re.compile("/scheduling/task/"))
    page.wait_for_selector("progress, [role=progressbar]")
    page.wait_for_selector("text=completed")
    page.wait_for_selector("text=printed by the function")
    assert Task.objects.get(job=job).items_processed == 30


def test_cancel(console: Visit) -> None:
    task = make_job("sample.sleep", id="sleeping", arguments={"seconds": 600}).run_now()
    page = console.open(f"/admin/scheduling/task/{task.pk}/change/")
    page.wait_for_selector("text=running")
    page.click("button:has-text('Cancel')")
    page.wait_for_selector("text=cancelled")
    task.refresh_from_db()
    assert task.status == Task.Status.CANCELLED


def test_last_weeks_failure_is_found_and_retried(console: Visit) -> None:
    job = make_job("sample.noop", id="flaky")
    then = timezone.now() - timedelta(days=7)
    Task.objects.bulk_create(Task.for_job(job, status="completed", date_created=then) for _ in range(120))
    failed = Task.for_job(
        job, status="failed", error_message="ValueError: last week", date_created=then, finished_at=then
    )
    failed.save()
    page = console.open(f"/admin/scheduling/task/?job={job.pk}&status=failed")
    page.click(f"a[href*='/task/{failed.pk}/change/']")
    page.wait_for_selector("text=ValueError: last week")
    page.click("button:has-text('Retry')")
    wait_until(lambda: failed.retries.filter(status="completed").exists(), seconds=60)


def test_a_viewer_sees_and_changes_nothing(
    console: Visit, roles: None, visit: Callable[..., Visit], scheduler: SchedulerUnderTest
) -> None:
    viewer = User.objects.create_user("viewer", password=PASSWORD, is_staff=True)
    viewer.groups.add(Group.objects.get(name="Viewer"))
    one = visit(NARROW)
    one.sign_in("viewer")
    page = one.open("/admin/scheduling/job/library_scan/change/")
    assert page.locator("button:has-text('Run'), button:has-text('Pause'), [name=_save]").count() == 0
    token = page.context.cookies()
    status = page.evaluate(
        """async () => (await fetch('/admin/scheduling/job/library_scan/pause/', {method: 'POST', headers: {
            'X-CSRFToken': document.querySelector('[name=csrfmiddlewaretoken]')?.value ?? ''}})).status"""
    )
    assert token and status == 403
    one.wrong.clear()  # The refusal is an error answer.
    assert not Job.objects.by_id("library_scan").is_paused


def test_everything_is_paused_and_every_page_says_so(console: Visit) -> None:
    page = console.open("/admin/scheduling/job/")
    page.click("text=Pause everything")
    if page.locator("[name=reason]").count():
        page.fill("[name=reason] >> nth=0", "moving house")
        page.locator("button:has-text('Pause everything')").last.click()
    page.wait_for_selector("text=Everything is paused")
    for path in ("/admin/", "/admin/scheduling/task/", "/admin/scheduling/job/library_scan/change/"):
        assert "Everything is paused" in console.open(path).inner_text("body")
    page.click("button:has-text('Resume everything')")
    page.wait_for_selector("text=Everything is paused", state="detached")


def test_an_open_dashboard_tells_of_a_pause_and_of_its_end(console: Visit) -> None:
    page = console.open("/admin/")
    pause_everything(reason="moving house")
    page.wait_for_selector("#dashboard-paused >> text=moving house")
    page.focus("#dashboard-paused button")
    page.evaluate("document.querySelector('#dashboard-paused form').dataset.same = 'yes'")
    for _ in range(2):
        with page.expect_response("**/live/"):
            pass
    # Left alone while it says the same, though its form's token is another in every answer.
    assert page.evaluate("document.activeElement.form.dataset.same") == "yes"
    resume_everything()
    page.wait_for_selector("#dashboard-paused >> text=moving house", state="detached")
