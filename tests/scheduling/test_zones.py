"""The person's time zone: from a cookie that the browser sets, for one request."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.utils import timezone

from scheduling.argument_forms import ArgumentsForm
from scheduling.context import TaskRun
from scheduling.middleware import COOKIE, zone_of_person
from scheduling.models import Job, JobChange, Task
from scheduling.registry import TaskFunction
from tests.scheduling.making import form_data, make_job

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


# --- a form that was shown in another zone, and the hour that the clocks show twice -----------------------------------

TWICE = datetime(2026, 10, 25, 1, 30, 0, 123456, tzinfo=UTC)
"""In Berlin 02:30 for the second time."""


def posted(client: Client, page: str) -> dict[str, str]:
    """What a browser sends of the Job's form on the page as it was shown."""
    html = client.get(page).content.decode()
    form = html[html.index('id="job_form"') :]
    names = ("in_zone", "seen", "anchor_0", "anchor_1", "run_at_0", "run_at_1")
    inputs = {name: re.search(rf'<input[^>]*name="{name}"[^>]*>', form) for name in names}
    values = {name: found and re.search(r'value="([^"]*)"', found[0]) for name, found in inputs.items()}
    return {name: found[1] for name, found in values.items() if found}


@pytest.mark.parametrize(
    "zones", [("Europe/Berlin", "America/New_York"), ("", "Europe/Berlin"), ("Europe/Berlin",) * 2]
)
@pytest.mark.parametrize("moment", [TWICE, TWICE - timedelta(hours=1), datetime(2027, 1, 10, 2, tzinfo=UTC)])
@pytest.mark.parametrize("trigger", ["interval", "once"])
def test_renaming_a_job_moves_none_of_its_times(
    admin_client: Client, trigger: str, moment: datetime, zones: tuple[str, str]
) -> None:
    times: Any = {"interval": timedelta(minutes=7), "anchor": moment} if trigger == "interval" else {"run_at": moment}
    make_job(trigger=trigger, cron="", **times)
    page = "/admin/scheduling/job/x/change/"
    admin_client.cookies[COOKIE] = zones[0]
    data = posted(admin_client, page)
    assert data["in_zone"] == (zones[0] or "UTC")
    admin_client.cookies[COOKIE] = zones[1]
    interval = {"interval": "00:07:00"} if trigger == "interval" else {}
    form = form_data(**{**data, **interval, "name": "other", "trigger": trigger, "cron": ""})
    preview = admin_client.get("/admin/scheduling/job/preview/", {**form, "job": "x"}).content.decode()
    assert "interpreted" not in preview
    assert admin_client.post(page, form).status_code == 302
    assert JobChange.objects.filter(kind="edited").get().changed == ["name"]
    assert (Job.objects.by_id("x").anchor or Job.objects.by_id("x").run_at) == moment


def test_a_pause_ends_in_the_zone_that_its_form_named(admin_client: Client) -> None:
    make_job()
    admin_client.cookies[COOKIE] = "Asia/Tokyo"
    html = admin_client.get("/admin/scheduling/job/x/change/").content.decode()
    form = re.search(r'<form[^>]*/x/pause/".*?</form>', html, re.DOTALL)
    assert form and 'name="in_zone" value="Asia/Tokyo"' in form[0]
    admin_client.cookies[COOKIE] = "Europe/Berlin"
    data = {"until": "2099-01-01T09:00", "in_zone": "Asia/Tokyo"}
    admin_client.post("/admin/scheduling/job/x/pause/", data)
    assert Job.objects.by_id("x").paused_until == datetime(2099, 1, 1, tzinfo=UTC)


# A NUL is refused before any form is read.
@pytest.mark.parametrize("name", [name for name in NOT_ZONES if "\0" not in name])
def test_a_form_that_names_no_zone_is_read_in_the_browsers(admin_client: Client, name: str) -> None:
    make_job()
    admin_client.cookies[COOKIE] = "Asia/Tokyo"
    admin_client.post("/admin/scheduling/job/x/pause/", {"until": "2099-01-01T09:00", "in_zone": name})
    assert Job.objects.by_id("x").paused_until == datetime(2099, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("stored", ["2026-10-25T01:30:00+00:00", "2026-10-25T02:30:00", "2026-03-29T02:30:00"])
@pytest.mark.parametrize("seconds", [":00", ""])
def test_an_argument_left_as_it_is_is_taken_as_it_is(stored: str, seconds: str) -> None:
    def at_a_time(run: TaskRun, at: datetime) -> None: ...

    function = TaskFunction(at_a_time, name="sample.at", label="", defaults=None)
    with timezone.override("Europe/Berlin"):
        shown = ArgumentsForm(function, {"at": stored}).fields["at"].initial
        form = ArgumentsForm(function, {"at": stored}, {"argument-at": shown.removesuffix(":00") + seconds})
        assert form.is_valid(), form.errors
        assert form.cleaned_arguments == {"at": stored}
        assert not ArgumentsForm(function, {"at": stored}, {"argument-at": "2026-10-25T02:30:01"}).is_valid()


@pytest.mark.parametrize("hour", [0, 1])
def test_the_why_link_of_a_task_means_the_same_moment_for_everybody(admin_client: Client, hour: int) -> None:
    fire_time = TWICE.replace(hour=hour, microsecond=0)
    task = Task.objects.create(
        job=make_job(), task_name="t", status="completed", fire_time=fire_time, started_at=fire_time
    )
    admin_client.cookies[COOKIE] = "Europe/Berlin"
    html = admin_client.get(f"/admin/scheduling/task/{task.pk}/change/").content.decode()
    link = re.search(r'href="([^"]*/why/[^"]*)"', html)
    assert link
    for zone in ("Europe/Berlin", "America/New_York"):
        admin_client.cookies[COOKIE] = zone
        response = admin_client.get(link[1])
        assert response.context["explanation"].task_ids == (task.pk,)
        # Asked once more as it is shown, it is the same question.
        field = response.context["form"]["at"]
        again = admin_client.get("/admin/scheduling/job/x/why/", {"at": field.value(), "in_zone": zone})
        assert again.context["explanation"].task_ids == (task.pk,)
        # Of an attribute that is there twice, browsers take the first, and the other kind of input shows no offset.
        kind = "text" if zone == "Europe/Berlin" else "datetime-local"
        assert re.findall(r'type="([^"]*)"', str(field)) == [kind]


def test_a_time_that_is_shown_twice_is_asked_for_with_its_offset(admin_client: Client) -> None:
    make_job()
    admin_client.cookies[COOKIE] = "Europe/Berlin"
    response = admin_client.get("/admin/scheduling/job/x/why/", {"at": "2026-10-25T02:30"})
    assert response.context["form"].errors
    assert re.findall(r'type="([^"]*)"', str(response.context["form"]["at"])) == ["text"]
    assert "write its offset too" in response.content.decode()
