"""The person's time zone: from a cookie that the browser sets, for one request."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.utils import timezone

from scheduling.middleware import COOKIE, zone_of_person
from scheduling.models import Job, Task

pytestmark = pytest.mark.django_db

NOT_ZONES = [
    "",
    "Europe",
    "Mars/Olympus",
    "../../etc/passwd",
    "/etc/localtime",
    "localtime",
    "ü/ö",
    "x" * 70,
    "a\0b",
    "UTC;x",
]


def current_zone(value: str | None) -> str:
    """What a view finds, with this cookie."""
    seen: list[str] = []

    def view(request: Any) -> HttpResponse:
        seen.append(str(timezone.get_current_timezone()))
        return HttpResponse()

    request = RequestFactory().get("/")
    if value is not None:
        request.COOKIES[COOKIE] = value
    zone_of_person(view)(request)
    return seen[0]


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "Asia/Kolkata"])
def test_the_browsers_zone_holds_for_the_request_and_no_longer(name: str) -> None:
    assert current_zone(name) == name
    assert timezone.get_current_timezone_name() == "UTC"


@pytest.mark.parametrize("value", [None, *NOT_ZONES])
def test_what_is_no_zone_is_the_projects(value: str | None) -> None:
    assert current_zone(value) == "UTC"


def test_a_zone_does_not_outlive_a_request_that_fails() -> None:
    def view(request: Any) -> HttpResponse:
        raise RuntimeError("a bug")

    request = RequestFactory().get("/")
    request.COOKIES[COOKIE] = "Asia/Tokyo"
    with pytest.raises(RuntimeError):
        zone_of_person(view)(request)
    assert timezone.get_current_timezone_name() == "UTC"


def test_a_zone_left_over_in_the_thread_is_not_that_of_the_next_person() -> None:
    timezone.activate("Asia/Tokyo")
    try:
        assert current_zone(None) == "UTC"
    finally:
        timezone.deactivate()


@pytest.mark.parametrize("cookie", NOT_ZONES)
def test_pages_open_with_any_cookie(admin_client: Client, cookie: str) -> None:
    admin_client.cookies[COOKIE] = cookie
    assert admin_client.get("/admin/scheduling/task/").status_code == 200


@pytest.mark.parametrize("page", ["", "scheduling/task/", "scheduling/job/add/", "login/"])
def test_the_script_that_tells_the_zone_is_on_every_page(admin_client: Client, page: str) -> None:
    client = Client() if page == "login/" else admin_client
    assert "/static/scheduling/zone.js" in client.get(f"/admin/{page}").content.decode()


def test_a_task_shows_its_times_in_the_persons_zone_and_where_it_differs_in_the_jobs(admin_client: Client) -> None:
    job = Job(id="x", name="X", function="sample.count", cron="0 2 * * *", timezone="America/New_York")
    job.save_definition()
    began = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
    task = Task.objects.create(job=job, task_name="t", status="completed", fire_time=began, started_at=began)
    url = f"/admin/scheduling/task/{task.pk}/change/"

    html = admin_client.get(url).content.decode()
    assert "12:00:00 UTC" in html and "08:00:00 EDT</time> in the Job’s zone" in html
    admin_client.cookies[COOKIE] = "Europe/Berlin"
    html = admin_client.get(url).content.decode()
    assert "14:00:00 CEST" in html and "12:00:00 UTC" not in html and "08:00:00 EDT" in html
    # Another name, and the same clock.
    admin_client.cookies[COOKIE] = "America/Toronto"
    html = admin_client.get(url).content.decode()
    assert "08:00:00 EDT" in html and "in the Job’s zone" not in html


def test_a_job_whose_zone_cannot_be_read_shows_the_persons(admin_client: Client) -> None:
    job = Job(id="x", name="X", function="sample.count", cron="0 2 * * *")
    job.save_definition()
    Job.objects.update(timezone="Mars/Olympus")
    task = Task.objects.create(job=job, task_name="t", status="completed", started_at=timezone.now())
    html = admin_client.get(f"/admin/scheduling/task/{task.pk}/change/").content.decode()
    assert "in the Job’s zone" not in html


def test_a_time_that_is_typed_is_one_of_the_persons_zone(admin_client: Client) -> None:
    job = Job(id="x", name="X", function="sample.count", cron="0 2 * * *")
    job.save_definition()
    admin_client.cookies[COOKIE] = "Asia/Tokyo"
    admin_client.post("/admin/scheduling/job/x/pause/", {"until": "2099-01-01T09:00"})
    assert Job.objects.by_id("x").paused_until == datetime(2099, 1, 1, tzinfo=UTC)
