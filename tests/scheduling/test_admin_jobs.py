"""The admin of Jobs: who may do what, what it does, what is written down, and what a page costs."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_apscheduler.models import DjangoJob

from scheduling.admin.jobs import JobAdmin
from scheduling.changes import undo
from scheduling.display import change_url, step_url
from scheduling.exceptions import SchedulingError
from scheduling.models import Job, JobChange, SchedulerProcess, Task
from scheduling.scheduler import initialize_scheduler
from tests.sampleapp.tasks import count
from tests.scheduling.making import form_data, make_job, messages_of, person

pytestmark = pytest.mark.django_db

LIST = "/admin/scheduling/job/"
STEPS = {"run": "run_job", "pause": "pause_job", "resume": "pause_job", "restore": "change_job"}
EVIL = "<script>alert('x')</script>"


def make_ready(step: str, id: str = "x") -> Job:
    """A Job to which the step can be done."""
    job = make_job(id, declared={"retries": 3} if step == "restore" else None)
    if step == "resume":
        job.pause()
    return job


def url_of(step: str, id: str = "x") -> str:
    return reverse(f"admin:scheduling_job_{step}", args=[id])


# --- who may --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "permissions",
    [(), ("view_job",), ("run_job",), ("pause_job",), ("change_job",), ("delete_job", "add_job"), ("cancel_task",)],
)
def test_a_step_is_done_by_its_own_permission_and_by_no_other(step: str, permissions: tuple[str, ...]) -> None:
    make_ready(step)
    response = person(*permissions).post(url_of(step))
    allowed = STEPS[step] in permissions
    assert response.status_code == (302 if allowed else 403)
    assert LogEntry.objects.exists() == allowed


@pytest.mark.parametrize("step", STEPS)
def test_nothing_is_done_by_get_without_a_token_or_by_strangers(step: str, admin_user: User) -> None:
    make_ready(step)
    client = Client(enforce_csrf_checks=True)
    assert client.post(url_of(step)).status_code in (302, 403)
    client.force_login(User.objects.create_user("no staff"))
    assert client.post(url_of(step)).status_code in (302, 403)
    client.force_login(admin_user)
    assert client.get(url_of(step)).status_code == 302
    assert client.post(url_of(step)).status_code == 403
    assert not LogEntry.objects.exists()
    assert not Task.objects.exists()


@pytest.mark.parametrize("step", STEPS)
def test_a_step_on_no_job_is_not_found(step: str, admin_client: Client) -> None:
    assert admin_client.post(url_of(step)).status_code == 404


@pytest.mark.parametrize(
    ("permissions", "buttons"),
    [
        (("view_job",), set()),
        (("view_job", "run_job"), {"run"}),
        (("view_job", "pause_job"), {"pause"}),
        (("view_job", "run_job", "pause_job"), {"run", "pause"}),
    ],
)
def test_only_the_buttons_that_one_may_press_are_shown(permissions: tuple[str, ...], buttons: set[str]) -> None:
    make_job()
    client = person(*permissions)
    for page in (LIST, f"{LIST}x/change/"):
        html = client.get(page).content.decode()
        assert {step for step in STEPS if f'"{url_of(step)}"' in html} == buttons


@pytest.mark.parametrize(
    ("action", "permission"),
    [("run_selected", "run_job"), ("pause_selected", "pause_job"), ("resume_selected", "pause_job")],
)
def test_a_bulk_action_needs_its_permission(action: str, permission: str) -> None:
    make_ready(action.removesuffix("_selected"))
    data = {"action": action, "_selected_action": ["x"]}
    others = {"run_job", "pause_job"} - {permission}
    person("view_job", *others).post(LIST, data)
    assert not LogEntry.objects.exists()
    person("view_job", permission).post(LIST, data)
    assert LogEntry.objects.count() == 1


def test_django_apschedulers_own_pages_are_gone(admin_client: Client) -> None:
    assert admin_client.get("/admin/django_apscheduler/djangojob/").status_code == 404
    assert b"django_apscheduler" not in admin_client.get("/admin/").content


# --- what the steps do ----------------------------------------------------------------------------------------------


def test_run_now_queues_a_task_and_writes_down_who(admin_client: Client, admin_user: User) -> None:
    job = make_job(arguments={"pause": 0.5})
    response = admin_client.post(url_of("run"), follow=True)
    task = job.tasks.get()
    assert (task.arguments, task.cause, task.requested_by) == ({"pause": 0.5}, "manual", admin_user)
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id, entry.action_flag) == (admin_user, "x", CHANGE)
    assert entry.change_message == f"Queued Task {task.pk}."
    assert f"/admin/scheduling/task/{task.pk}/change/" in messages_of(response)[0]
    assert f"Queued Task {task.pk}." in admin_client.get(f"{LIST}x/history/").content.decode()


def test_pause_with_a_reason_and_an_end_and_resume(admin_client: Client) -> None:
    make_job()
    admin_client.post(url_of("pause"), {"reason": "holiday", "until": "2099-01-01T08:30"})
    job = Job.objects.by_id("x")
    assert (job.is_paused, job.paused_reason) == (True, "holiday")
    assert job.paused_until == datetime(2099, 1, 1, 8, 30, tzinfo=UTC)
    assert job.next_run_time == datetime(2099, 1, 2, 2, 0, tzinfo=UTC)
    html = admin_client.get(LIST).content.decode()
    assert "until 1 Jan 2099, 08:30 UTC (holiday)" in html
    admin_client.post(url_of("resume"))
    job = Job.objects.by_id("x")
    assert not job.is_paused
    assert job.next_run_time is not None and job.next_run_time - timezone.now() < timedelta(days=1, seconds=1)
    written = [entry.change_message for entry in LogEntry.objects.order_by("pk")]
    assert written == ["Paused until 1 Jan 2099, 08:30 UTC (holiday).", "Resumed."]


def test_back_to_default_takes_back_what_was_edited(admin_client: Client) -> None:
    job = make_job(retries=1)
    job.take_over(job.definition())
    job.retries, job.cron = 7, "5 5 * * *"
    job.save_definition()
    html = admin_client.get(f"{LIST}x/change/").content.decode()
    assert "Differs from default" in html and "Back to default" in html
    admin_client.post(url_of("restore"))
    job = Job.objects.by_id("x")
    assert (job.retries, job.cron, job.differences_from_default()) == (1, "0 2 * * *", {})
    assert job.next_run_time is not None and job.next_run_time.hour == 2
    assert LogEntry.objects.get().change_message == "Brought back to what code declares: cron, retries."
    assert "Differs from default" not in admin_client.get(f"{LIST}x/change/").content.decode()


@pytest.mark.parametrize(
    ("step", "data", "sentence"),
    [
        ("run", {"arguments": '{"items": 3}'}, "Run with arguments"),
        ("pause", {"until": "soon"}, "not a date and time"),
        ("pause", {"until": "2000-01-01T00:00"}, "in the future"),
        ("pause", {"reason": "x" * 256}, "at most 255 characters"),
        ("resume", {}, "not paused"),
        ("restore", {}, "does not differ"),
    ],
)
def test_what_cannot_be_done_is_explained_and_not_written_down(
    admin_client: Client, step: str, data: dict[str, str], sentence: str
) -> None:
    make_job()
    response = admin_client.post(url_of(step), data, follow=True)
    assert [sentence in message for message in messages_of(response)] == [True]
    assert not Task.objects.exists() and not Job.objects.by_id("x").is_paused
    assert not LogEntry.objects.exists()


def test_a_step_goes_back_to_the_list_with_its_filters_and_nowhere_else(admin_client: Client) -> None:
    make_job()
    came_from = f"http://testserver{LIST}?q=x&state=active"
    assert admin_client.post(url_of("pause"), headers={"referer": came_from})["Location"] == came_from
    elsewhere = admin_client.post(url_of("resume"), headers={"referer": "https://evil.example/"})
    assert elsewhere["Location"] == f"{LIST}x/change/"


def test_the_list_draws_its_buttons_in_its_own_form(admin_client: Client) -> None:
    make_job()
    html = admin_client.get(LIST).content.decode()
    form = html[html.index('<form id="changelist-form"') :]
    form = form[: form.index("</form>")]
    assert "csrfmiddlewaretoken" in form
    assert f'formmethod="post" formaction="{url_of("run")}"' in form
    assert "<form" not in form[5:]


def test_bulk_actions_do_what_they_can_and_say_what_they_could_not(admin_client: Client) -> None:
    make_job("a"), make_job("b").pause(reason="why")
    Job.objects.filter(pk=make_job("c").pk).update(function="gone.away")
    data = {"_selected_action": ["a", "b", "c"]}
    response = admin_client.post(LIST, {"action": "run_selected", **data}, follow=True)
    assert sorted(Task.objects.values_list("job_id", flat=True)) == ["a", "b"]
    assert sum("gone.away" in message for message in messages_of(response)) == 1
    admin_client.post(LIST, {"action": "pause_selected", **data})
    assert set(Job.objects.paused().values_list("pk", flat=True)) == {"a", "b", "c"}
    assert Job.objects.by_id("b").paused_reason == "why"
    admin_client.post(LIST, {"action": "resume_selected", **data})
    assert not Job.objects.paused().exists()
    assert LogEntry.objects.count() == 2 + 2 + 3


def test_ids_with_odd_characters_work_everywhere(admin_client: Client) -> None:
    make_job("a/b_5F? ü")
    page = admin_client.get(LIST).content.decode()
    assert admin_client.get(f"{LIST}a_2Fb_5F5F_3F ü/change/").status_code == 200
    url = page[page.index('formaction="') + 12 :].partition('"')[0]
    assert admin_client.post(url).status_code == 302
    assert Task.objects.get().job_id == "a/b_5F? ü"


# --- the form -------------------------------------------------------------------------------------------------------


def test_an_edited_schedule_moves_the_next_run_time_and_another_edit_does_not(admin_client: Client) -> None:
    before = make_job().next_run_time
    assert admin_client.post(f"{LIST}x/change/", form_data(name="New", retries="2")).status_code == 302
    job = Job.objects.by_id("x")
    assert (job.name, job.retries, job.next_run_time) == ("New", 2, before)
    assert admin_client.post(f"{LIST}x/change/", form_data(cron="30 4 * * *")).status_code == 302
    moved = DjangoJob.objects.get(pk="x").next_run_time
    assert (moved.hour, moved.minute) == (4, 30)
    assert "Cron" in LogEntry.objects.filter(action_flag=CHANGE).latest("pk").get_change_message()


def test_editing_a_paused_job_keeps_its_pause(admin_client: Client) -> None:
    make_job().pause(reason="holiday")
    admin_client.post(f"{LIST}x/change/", form_data(cron="30 4 * * *"))
    job = Job.objects.by_id("x")
    assert (job.cron, job.paused_reason, job.is_paused, job.next_run_time) == ("30 4 * * *", "holiday", True, None)


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"cron": "0 25 * * *"}, "cron", 'The hour field "25"'),
        ({"cron": ""}, "cron", "cron expression"),
        ({"cron": "0 0 30 2 *"}, "cron", "never matches"),
        ({"timezone": "Mars/Olympus"}, "timezone", "not a time zone"),
        ({"arguments": "{"}, "arguments", "not JSON"),
        ({"arguments": "[1]"}, "arguments", "JSON object"),
        ({"arguments": '{"nothing": 1}'}, "arguments", "no argument of this name"),
        ({"arguments": '{"items": "x"}'}, "arguments", "not a whole number"),
        ({"function": "sample.sleep"}, "arguments", "seconds: This argument is required"),
        ({"function": "os.system"}, "function", "not one of the available choices"),
        ({"trigger": "interval"}, "interval", "needs this field"),
        ({"trigger": "interval", "interval": "soon"}, "interval", "valid duration"),
        ({"max_instances": "0"}, "max_instances", "At least one"),
        ({"timeout": "-5"}, "timeout", "longer than nothing"),
    ],
)
def test_a_mistake_is_explained_once_beside_its_field(
    admin_client: Client, changes: dict[str, str], field: str, sentence: str
) -> None:
    before = make_job().next_run_time
    response = admin_client.post(f"{LIST}x/change/", form_data(**changes))
    assert response.status_code == 200
    errors = response.context["adminform"].form.errors
    assert {name: len(found) for name, found in errors.items()} == {field: 1}
    assert sentence in errors[field][0]
    assert Job.objects.by_id("x").next_run_time == before


def test_a_one_off_job_without_a_time_is_refused(admin_client: Client) -> None:
    make_job()
    response = admin_client.post(f"{LIST}x/change/", form_data(trigger="once"))
    assert response.status_code == 200
    assert "run_at" in response.context["adminform"].form.errors


def test_empty_arguments_are_none(admin_client: Client) -> None:
    make_job(arguments={"items": 3})
    assert admin_client.post(f"{LIST}x/change/", form_data(arguments="")).status_code == 302
    assert Job.objects.by_id("x").arguments == {}


def test_a_job_can_be_added_and_its_id_stays(admin_client: Client) -> None:
    assert admin_client.get(f"{LIST}add/").status_code == 200
    assert admin_client.post(f"{LIST}add/", form_data(id="new")).status_code == 302
    assert Job.objects.by_id("new").next_run_time is not None
    admin_client.post(f"{LIST}new/change/", form_data(id="other"))
    assert list(Job.objects.values_list("pk", flat=True)) == ["new"]
    taken = admin_client.post(f"{LIST}add/", form_data(id="new"))
    assert "already exists" in str(taken.context["adminform"].form.errors["id"])


def test_an_interval_and_a_one_off_job_can_be_added(admin_client: Client) -> None:
    admin_client.post(f"{LIST}add/", form_data(id="often", trigger="interval", interval="00:05:00"))
    often = Job.objects.by_id("often")
    assert often.next_run_time is not None and often.next_run_time > timezone.now()
    admin_client.post(f"{LIST}add/", form_data(id="once", trigger="once", run_at_0="2099-05-06", run_at_1="07:08:00"))
    assert Job.objects.by_id("once").next_run_time == datetime(2099, 5, 6, 7, 8, tzinfo=UTC)


def test_deleting_takes_the_runtime_row_along_and_leaves_the_history(admin_client: Client) -> None:
    task = make_job("a").run_now()
    make_job("b"), make_job("c")
    assert admin_client.post(f"{LIST}a/delete/", {"post": "yes"}).status_code == 302
    task.refresh_from_db()
    assert task.job is None
    admin_client.post(LIST, {"action": "delete_selected", "_selected_action": ["b", "c"], "post": "yes"})
    assert not Job.objects.exists() and not DjangoJob.objects.exists()
    assert LogEntry.objects.filter(action_flag=DELETION).count() == 3


def test_deleting_a_job_that_code_declares_warns_that_it_comes_back(admin_client: Client) -> None:
    make_job("unreliable")
    response = admin_client.post(f"{LIST}unreliable/delete/", {"post": "yes"}, follow=True)
    assert any("makes it again" in message for message in messages_of(response))


def test_adding_is_written_down(admin_client: Client) -> None:
    admin_client.post(f"{LIST}add/", form_data(id="new"))
    assert LogEntry.objects.get().action_flag == ADDITION


# --- the pages ------------------------------------------------------------------------------------------------------


def test_an_unresolvable_job_is_shown_as_such_and_can_still_be_edited(admin_client: Client) -> None:
    make_job(arguments={"depth": 3})
    Job.objects.update(function="gone.away")
    html = admin_client.get(LIST).content.decode()
    assert "unresolvable" in html and url_of("run") not in html
    html = admin_client.get(f"{LIST}x/change/").content.decode()
    assert "gone.away – unresolvable: this program has no such function" in html
    data = form_data(function="gone.away", arguments='{"depth": 3}', cron="1 1 * * *")
    assert admin_client.post(f"{LIST}x/change/", data).status_code == 302
    assert (Job.objects.get().function, Job.objects.get().cron) == ("gone.away", "1 1 * * *")
    response = admin_client.post(f"{LIST}add/", {**data, "id": "y"})
    assert "not one of the available choices" in str(response.context["adminform"].form.errors["function"])


def test_looking_at_a_job_runs_nothing(admin_client: Client) -> None:
    """Templates call whatever can be called, and a task function can be."""
    make_job()
    for page in (LIST, f"{LIST}x/change/", f"{LIST}x/history/", f"{LIST}x/delete/"):
        assert admin_client.get(page).status_code == 200
    assert not Task.objects.exists()


def test_the_page_shows_the_next_ten_runs_in_the_jobs_zone_and_clock_changes(
    admin_client: Client, time_machine: Any
) -> None:
    time_machine.move_to("2026-03-27T12:00:00+00:00")
    make_job(cron="30 2 * * *", timezone="Europe/Berlin")
    html = admin_client.get(f"{LIST}x/change/").content.decode()
    assert html.count("<li><time") == 10
    assert "Every day at 02:30" in html and "zone Europe/Berlin" in html
    assert "2026-03-28T02:30:00+01:00" in html
    assert "2026-03-30T02:30:00+02:00" in html
    assert "moved from 02:30" in html


def test_the_preview_follows_what_is_typed(admin_client: Client) -> None:
    url = reverse("admin:scheduling_job_preview")
    answer = admin_client.get(url, {"trigger": "cron", "cron": "0 7 * * 1", "timezone": "Asia/Tokyo"})
    html = answer.content.decode()
    assert "Every Monday at 07:00" in html and "T07:00:00+09:00" in html and "<html" not in html
    for bad in (
        {"trigger": "cron", "cron": f"0 {EVIL} * * *"},
        {"trigger": "cron", "cron": "0 2 * * *", "timezone": EVIL},
        {"trigger": "interval", "interval": "-"},
        {"trigger": "once"},
        {"trigger": EVIL},
        {},
    ):
        html = admin_client.get(url, bad).content.decode()
        assert "<p class" in html and "<script" not in html and "<li>" not in html
    assert person("view_task").get(url, {"trigger": "cron", "cron": "0 7 * * 1"}).status_code == 403
    assert Job.objects.count() == 0


def test_hostile_texts_are_escaped(admin_client: Client) -> None:
    job = make_job(EVIL, name=EVIL, declared={"name": EVIL + "2", "timezone": EVIL})
    Job.objects.update(paused_at=timezone.now(), paused_reason=EVIL)
    Task.objects.create(job=job, task_name=EVIL, status="failed", started_at=timezone.now())
    page = change_url(job)
    for url in (LIST, page, page.replace("change", "history"), page.replace("change", "delete")):
        response = admin_client.get(url)
        assert response.status_code == 200
        assert EVIL not in response.content.decode()
    Job.objects.update(timezone=EVIL, cron=EVIL, function=EVIL)
    for url in (LIST, page):
        assert EVIL not in admin_client.get(url).content.decode()
    response = admin_client.post(step_url(job, "resume"), follow=True)
    assert EVIL not in response.content.decode()


@pytest.mark.parametrize("jobs", [5, 50])
def test_the_list_costs_the_same_queries_at_any_length(
    administrator_client: Client, django_assert_max_num_queries: Any, jobs: int
) -> None:
    for number in range(jobs):
        job = make_job(f"j{number}")
        for _ in range(3):
            Task.objects.create(job=job, task_name="t", status="completed", started_at=timezone.now())
    with django_assert_max_num_queries(11):
        html = administrator_client.get(LIST).content.decode()
    assert html.count("COMPLETED") + html.count("completed") >= jobs


def test_the_page_of_a_job_costs_few_queries(administrator_client: Client, django_assert_max_num_queries: Any) -> None:
    job = make_job()
    for _ in range(20):
        Task.objects.create(job=job, task_name="t", status="completed", started_at=timezone.now())
    with django_assert_max_num_queries(12):
        assert administrator_client.get(f"{LIST}x/change/").status_code == 200


def test_the_last_run_is_the_newest_that_began_and_links_to_it(admin_client: Client) -> None:
    job, now = make_job(), timezone.now()
    old = Task.objects.create(job=job, task_name="t", status="failed", started_at=now, finished_at=now)
    new = Task.objects.create(
        job=job, task_name="t", status="completed", started_at=now, finished_at=now + timedelta(seconds=75)
    )
    queued = Task.objects.create(job=job, task_name="t")
    html = admin_client.get(LIST).content.decode()
    assert f"/task/{new.pk}/change/" in html and "1 min 15 s" in html
    assert f"/task/{old.pk}/change/" not in html and f"/task/{queued.pk}/change/" not in html


@pytest.mark.parametrize("state", ["active", "paused", "ended", "unresolvable"])
def test_the_list_can_be_narrowed_to_a_state(admin_client: Client, state: str) -> None:
    make_job("active")
    make_job("paused").pause()
    make_job("ended", trigger="once", run_at=timezone.now() + timedelta(days=1))
    DjangoJob.objects.filter(pk="ended").update(next_run_time=None)
    Job.objects.filter(pk=make_job("unresolvable").pk).update(function="gone.away")
    found = admin_client.get(LIST, {"state": state}).context["cl"].result_list
    assert [(job.pk, job.state) for job in found] == [(state, state)]


def test_a_viewer_sees_a_job_and_its_next_runs_but_no_form(admin_client: Client) -> None:
    make_job()
    html = person("view_job").get(f"{LIST}x/change/").content.decode()
    assert "Every day at 02:00" in html
    assert 'name="cron"' not in html and 'name="_save"' not in html


def test_secrets_in_arguments_are_for_those_who_may_change_them(admin_client: Client) -> None:
    job = make_job(function="sample.count")
    Job.objects.filter(pk=job.pk).update(arguments={"api_key": "abcdef123456", "limit": 3})
    seen = person("view_job").get(f"{LIST}x/change/").content.decode()
    assert "abcdef123456" not in seen
    assert "limit" in seen and "[secret]" in seen
    assert "abcdef123456" in admin_client.get(f"{LIST}x/change/").content.decode(), "or saving would destroy it"


@pytest.mark.parametrize("page", ["/admin/", LIST, "/admin/scheduling/task/", f"{LIST}x/change/"])
def test_a_banner_warns_while_no_scheduler_is_alive(admin_client: Client, page: str) -> None:
    make_job()
    assert "python manage.py runscheduler" in admin_client.get(page).content.decode()
    shell = SchedulerProcess.register("shell")
    assert "python manage.py runscheduler" in admin_client.get(page).content.decode()
    SchedulerProcess.register("scheduler")
    html = admin_client.get(page).content.decode()
    assert "python manage.py runscheduler" not in html
    assert "<title>" in html and "Audiobook Automation" in html
    assert shell.kind == "shell"


def test_the_processes_say_whether_they_live(admin_client: Client) -> None:
    SchedulerProcess.register("scheduler")
    stopped = SchedulerProcess.register("shell")
    stopped.stop("ended")
    dead = SchedulerProcess.register("scheduler")
    SchedulerProcess.objects.filter(pk=dead.pk).update(heartbeat_at=timezone.now() - timedelta(hours=1))
    url = "/admin/scheduling/schedulerprocess/"
    html = admin_client.get(url).content.decode()
    for word in ("alive", "dead", "stopped"):
        assert html.count(f"\n{word}\n") == 1
    assert admin_client.get(f"{url}{dead.pk}/change/").status_code == 200
    assert admin_client.get(f"{url}add/").status_code == 403
    assert admin_client.post(f"{url}{dead.pk}/delete/", {"post": "yes"}).status_code == 403


# --- odd input --------------------------------------------------------------------------------------------------------


def test_an_edit_does_not_undo_what_somebody_else_saved_meanwhile(admin_client: Client) -> None:
    make_job()
    url = f"{LIST}x/change/"
    seen = admin_client.get(url).context["adminform"].form["seen"].value()
    admin_client.post(url, form_data(cron="5 5 * * *", seen=seen))
    assert Job.objects.by_id("x").cron == "5 5 * * *"
    refused = admin_client.post(url, form_data(timeout="60", seen=seen))
    assert "Somebody has saved this Job since you opened it" in refused.content.decode()
    assert Job.objects.by_id("x").cron == "5 5 * * *"
    again = refused.context["adminform"].form["seen"].value()
    assert f'value="{again}"' in refused.content.decode()
    assert admin_client.post(url, form_data(timeout="60", seen=again)).status_code == 302
    assert Job.objects.by_id("x").cron == "0 2 * * *"


def test_a_pause_meanwhile_is_no_edit(admin_client: Client) -> None:
    job = make_job()
    url = f"{LIST}x/change/"
    seen = admin_client.get(url).context["adminform"].form["seen"].value()
    job.pause(reason="holiday")
    assert admin_client.post(url, form_data(timeout="60", seen=seen)).status_code == 302
    assert Job.objects.by_id("x").is_paused


@pytest.mark.parametrize(
    "arguments",
    [
        '{"items": NaN}',
        '{"items": 1e999}',
        '{"items": ' + "9" * 5000 + "}",
        "[" * 100_000,
        "[" * 600 + "]" * 600,
        '{"\\u0000": 1}',
        '{"\\ud800": 1}',
        '{"items": ' + "[" * 900 + "]" * 900 + "}",
    ],
)
def test_arguments_that_no_database_keeps_are_refused_beside_the_field(admin_client: Client, arguments: str) -> None:
    make_job()
    response = admin_client.post(f"{LIST}x/change/", form_data(arguments=arguments))
    assert response.status_code == 200
    assert "arguments" in response.context["adminform"].form.errors


@pytest.mark.parametrize("field", ["misfire_grace", "timeout", "retry_delay"])
@pytest.mark.parametrize("days", ["1000000", "999999999"])
def test_a_length_without_reason_is_refused_beside_the_field(admin_client: Client, field: str, days: str) -> None:
    make_job()
    response = admin_client.post(f"{LIST}x/change/", form_data(**{field: f"{days} 00:00:00"}))
    assert "at most a hundred years" in str(response.context["adminform"].form.errors[field])


def test_a_pause_ends_in_a_year_that_clocks_know(admin_client: Client) -> None:
    make_job()
    response = admin_client.post(url_of("pause"), {"until": "9999-12-31T00:00"}, follow=True)
    assert "out of range" in messages_of(response)[0]
    assert not Job.objects.by_id("x").is_paused


def test_a_nul_in_an_address_is_refused(admin_client: Client) -> None:
    for query in ("job=%00", "status__exact=%00", "q=a%00"):
        assert admin_client.get(f"/admin/scheduling/task/?{query}").status_code == 400


def test_deleting_what_is_gone_already_is_no_error(admin_client: Client) -> None:
    job = make_job()
    url = f"{LIST}x/delete/"
    assert admin_client.get(url).status_code == 200
    job.remove()
    assert admin_client.post(url, {"post": "yes"}, follow=True).status_code == 200


# --- the last runs, as a picture --------------------------------------------------------------------------------------


def make_runs(job: Job, *seconds: float, status: str = "completed") -> None:
    began = timezone.now() - timedelta(days=1)
    for length in seconds:
        Task.objects.create(
            job=job, task_name="t", status=status, started_at=began, finished_at=began + timedelta(seconds=length)
        )


def test_the_list_draws_the_last_20_runs_and_says_them_in_words(admin_client: Client) -> None:
    job = make_job()
    make_runs(job, *[50.0] * 30)
    make_runs(job, *[10.0] * 17)
    make_runs(job, 3.0, status="failed")
    make_runs(job, 20.0, 5.0)
    Task.objects.create(job=job, task_name="t", status="missed", finished_at=timezone.now())
    Task.objects.create(job=job, task_name="t", status="running", started_at=timezone.now())
    html = admin_client.get(LIST).content.decode()
    assert 'aria-label="Last 20 runs: 1 did not complete; they took 3 s to 20 s, the last 5 s."' in html
    assert "95 % of 20 completed" in html
    svg = html[html.index('<svg class="scheduling-sparkline') :].partition("</svg>")[0]
    completed, failed = re.findall(r' d="([^"]*)"/>', svg)
    # Each begins where it stands and how high it is; who failed has a foot as well.
    assert completed.count("M") == 19 and completed.startswith("M0 20v-10h4") and completed.endswith("M95 20v-5h4v5z")
    assert failed == "M85 20v-3h4v3zM85 24v-2h4v2z" and svg.count("scheduling-failed") == 1
    assert "v-20h4" in completed and "style=" not in svg


@pytest.mark.parametrize(
    ("good", "bad", "words"), [(1, 0, "100 % of 1"), (0, 2, "0 % of 2"), (19, 1, "95 % of 20"), (40, 0, "100 % of 20")]
)
def test_the_success_rate(admin_client: Client, good: int, bad: int, words: str) -> None:
    job = make_job()
    make_runs(job, *[0.0] * good)
    make_runs(job, *[0.0] * bad, status="lost")
    assert f"{words} completed" in admin_client.get(LIST).content.decode()


def test_runs_of_one_job_are_not_drawn_for_another(admin_client: Client) -> None:
    make_runs(make_job("a"), 1.0)
    make_job("b")
    html = admin_client.get(LIST).content.decode()
    assert html.count('<svg class="scheduling-sparkline') == 1


# --- copies, and runs in progress -------------------------------------------------------------------------------------


def test_a_copy_starts_from_the_job_and_leaves_it_as_it_is(admin_client: Client) -> None:
    make_job("a/b", name=EVIL, arguments={"items": 3}, retries=4, timezone="Asia/Tokyo", misfire_grace=None).pause()
    html = admin_client.get(reverse("admin:scheduling_job_change", args=["a_2Fb"])).content.decode()
    assert f'href="{LIST}add/?copy=a%2Fb"' in html
    form = admin_client.get(f"{LIST}add/?copy=a%2Fb").context["adminform"].form
    shown = {name: form[name].value() for name in ("id", "arguments", "retries", "timezone", "cron", "misfire_grace")}
    assert shown == {
        "id": "a/b-copy", "arguments": '{"items": 3}', "retries": 4, "timezone": "Asia/Tokyo", "cron": "0 2 * * *",
        "misfire_grace": None,
    }  # fmt: skip
    assert admin_client.post(f"{LIST}add/?copy=a%2Fb", form_data(id="a/b-copy")).status_code == 302
    assert Job.objects.by_id("a/b").is_paused and not Job.objects.by_id("a/b-copy").is_paused


def test_a_copy_of_nothing_or_by_those_who_may_not_look_is_an_empty_form(admin_client: Client) -> None:
    make_job(arguments={"items": 3})
    assert admin_client.get(f"{LIST}add/?copy=gone").status_code == 200
    form = person("add_job").get(f"{LIST}add/?copy=x").context["adminform"].form
    assert not form["id"].value() and "items" not in form["arguments"].value()
    assert "?copy=" not in person("view_job", "change_job").get(f"{LIST}x/change/").content.decode()


def test_the_form_says_what_becomes_of_a_run_in_progress(admin_client: Client) -> None:
    job = make_job()
    url = f"{LIST}x/change/"
    assert "goes on as it began" not in admin_client.get(url).content.decode()
    first = Task.objects.create(job=job, task_name="t", status="running", started_at=timezone.now())
    assert f"Task {first.pk} is running and goes on as it began" in admin_client.get(url).content.decode()
    second = Task.objects.create(job=job, task_name="t", status="running", started_at=timezone.now())
    assert f"Tasks {first.pk}, {second.pk} are running" in admin_client.get(url).content.decode()
    assert "as they began" not in person("view_job").get(url).content.decode()


# --- old pages ----------------------------------------------------------------------------------------------------


def test_an_old_page_does_not_replace_the_reason_of_a_pause(admin_client: Client) -> None:
    until = timezone.now() + timedelta(days=1)
    make_job("x").pause(reason="disk is full", until=until)
    response = admin_client.post("/admin/scheduling/job/x/pause/", {"reason": "", "until": ""}, follow=True)
    assert "It is paused already" in messages_of(response)[0] and "(disk is full)" in messages_of(response)[0]
    job = Job.objects.by_id("x")
    assert (job.paused_reason, job.paused_until) == ("disk is full", until)


def test_a_job_that_is_deleted_while_its_edit_is_saved(admin_client: Client) -> None:
    job = make_job()
    data = form_data(name="other", seen=admin_client.get(f"{LIST}x/change/").context["adminform"].form.initial["seen"])
    found = JobAdmin.get_object

    def get_object(*args: Any) -> Any:
        row = found(*args)
        job.remove()
        return row

    with mock.patch.object(JobAdmin, "get_object", get_object):
        response = admin_client.post(f"{LIST}x/change/", data, follow=True)
    assert response.redirect_chain == [(LIST, 302)]
    assert messages_of(response) == ["Somebody has deleted this Job meanwhile."]


def test_moments_of_the_schedule_are_shown_to_a_viewer_with_seconds_and_zone() -> None:
    moment = datetime(2026, 11, 25, 1, 52, 7, tzinfo=UTC)
    make_job(trigger="interval", cron="", interval=timedelta(minutes=7), anchor=moment)
    make_job("once", trigger="once", cron="", run_at=moment.replace(year=2099))
    client = person("view_job")
    assert "Wed 25 Nov 2026, 01:52:07 UTC" in client.get(f"{LIST}x/change/").content.decode()
    for page in ("x", "once"):
        assert "a.m." not in client.get(f"{LIST}{page}/change/").content.decode()


HOSTILE_IDS = ["..", ".", "-", "-x", "x\ny", "x\n", "x\x07", "x y ", "?", "x#y", "../x", "<b>", "x%", "a\u2028b"]


@pytest.mark.parametrize("id", HOSTILE_IDS)
def test_a_new_job_of_an_id_that_breaks_addresses_is_refused_with_what_is_allowed(
    admin_client: Client, id: str
) -> None:
    with pytest.raises(SchedulingError, match="begins with a letter"):
        initialize_scheduler().add_job(count, "cron", hour=3, id=id)
    if id == id.strip():  # The form takes blanks off the ends.
        response = admin_client.post(f"{LIST}add/", form_data(id=id))
        assert "begins with a letter" in str(response.context["adminform"].form.errors["id"])
    assert not Job.objects.exists() and not DjangoJob.objects.exists()


@pytest.mark.parametrize("id", ["mam_scraping", "_x", "7", "tests.tasks:count", "Ärger mit 2/3 a@b+c-d"])
def test_a_new_job_may_have_such_an_id(admin_client: Client, id: str) -> None:
    assert admin_client.post(f"{LIST}add/", form_data(id=id)).status_code == 302
    assert admin_client.get(change_url(Job.objects.get(pk=id))).status_code == 200


def test_a_job_that_has_an_id_of_before_the_rule_is_edited_and_brought_back(admin_client: Client) -> None:
    job = make_job("<b>-?")
    assert admin_client.post(change_url(job), form_data(name="other")).status_code == 302
    Job.objects.by_id("<b>-?").remove()
    undo(JobChange.objects.latest("pk"))
    assert Job.objects.by_id("<b>-?").name == "other"
