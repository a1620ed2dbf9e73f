"""Who may do what: every step, by a real POST, in each of the roles that a new database has."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from scheduling.history import roll_up
from scheduling.models import DayCount, Job, JobChange, SchedulerProcess, Task
from scheduling.pauses import current_pause, pause_everything
from tests.conftest import Editor
from tests.scheduling.making import make_job, messages_of, person

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("roles")]

LIST = "/admin/scheduling/job/"
EDIT = {
    "name": "Job x", "function": "sample.count", "arguments": "{}", "trigger": "cron", "cron": "5 5 * * *",
    "interval": "", "run_at_0": "", "run_at_1": "", "anchor_0": "", "anchor_1": "", "timezone": "",
    "max_instances": "1", "overlap": "skip", "coalesce": "on", "misfire_grace": "900", "timeout": "",
    "retries": "0", "retry_delay": "60",
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """`prepare` makes what is needed and returns where to post; `is_done` asks the database."""

    prepare: Callable[[], str]
    is_done: Callable[[], bool]
    roles: str
    """The initials of those who may: Viewer, Operator, Administrator."""
    data: dict[str, Any]


def job_step(step: str) -> Callable[[], str]:
    def prepare() -> str:
        make_job()
        return reverse(f"admin:scheduling_job_{step}", args=["x"])

    return prepare


def resume() -> str:
    make_job().pause()
    return reverse("admin:scheduling_job_resume", args=["x"])


def restore() -> str:
    make_job(declared={"retries": 5})
    return reverse("admin:scheduling_job_restore", args=["x"])


def task_step(step: str, status: str) -> Callable[[], str]:
    def prepare() -> str:
        task = Task.objects.create(task_name="t", function="sample.noop", status=status)
        return reverse(f"admin:scheduling_task_{step}", args=[task.pk])

    return prepare


def page(where: str) -> Callable[[], str]:
    def prepare() -> str:
        make_job()
        return f"{LIST}{where}"

    return prepare


def undo(kind: str) -> Callable[[], str]:
    def prepare() -> str:
        job = make_job()
        if kind == "edit":
            job.retries = 3
            job.save_definition()
        elif kind == "pause":
            job.pause()
        else:
            job.remove()
        return reverse("admin:scheduling_jobchange_undo", args=[JobChange.objects.latest("pk").pk])

    return prepare


def everything(step: str) -> Callable[[], str]:
    def prepare() -> str:
        make_job()
        if step == "resume":
            pause_everything()
        return reverse(f"admin:scheduling_{step}_everything")

    return prepare


def job() -> Job | None:
    return Job.objects.filter(pk="x").first()


def the_job() -> Job:
    return Job.objects.get(pk="x")


def selected(action: str) -> dict[str, Any]:
    return {"action": action, "_selected_action": ["x"], "post": "yes"}


STEPS = {
    "run": Step(job_step("run"), lambda: Task.objects.filter(job="x").exists(), "OA", {}),
    "run, in bulk": Step(page(""), lambda: Task.objects.exists(), "OA", selected("run_selected")),
    "run with arguments": Step(
        job_step("run_with"),
        lambda: Task.objects.filter(arguments={"items": 3}).exists(),
        "A",
        {"argument-items": "3"},
    ),
    "run with arguments, past the page": Step(
        job_step("run"), lambda: Task.objects.filter(arguments={"items": 3}).exists(), "", {"arguments": '{"items": 3}'}
    ),
    "pause": Step(job_step("pause"), lambda: the_job().is_paused, "OA", {}),
    "pause, in bulk": Step(page(""), lambda: the_job().is_paused, "OA", selected("pause_selected")),
    "resume": Step(resume, lambda: not the_job().is_paused, "OA", {}),
    "edit": Step(page("x/change/"), lambda: the_job().cron == "5 5 * * *", "A", EDIT),
    "add": Step(page("add/"), lambda: Job.objects.filter(pk="y").exists(), "A", {**EDIT, "id": "y"}),
    "back to default": Step(restore, lambda: the_job().retries == 5, "A", {}),
    "delete": Step(page("x/delete/"), lambda: job() is None, "A", {"post": "yes"}),
    "delete, in bulk": Step(page(""), lambda: job() is None, "A", selected("delete_selected")),
    "undo an edit": Step(undo("edit"), lambda: the_job().retries == 0, "A", {}),
    "undo a pause": Step(undo("pause"), lambda: not the_job().is_paused, "OA", {}),
    "undo a deletion": Step(undo("deletion"), lambda: job() is not None, "A", {}),
    "cancel": Step(task_step("cancel", "queued"), lambda: Task.objects.get().status == "cancelled", "OA", {}),
    "retry": Step(task_step("retry", "failed"), lambda: Task.objects.count() == 2, "OA", {}),
    "pause everything": Step(everything("pause"), lambda: current_pause() is not None, "OA", {"reason": "r"}),
    "resume everything": Step(everything("resume"), lambda: current_pause() is None, "OA", {}),
}
WHO = ["stranger", "member without rights", "Viewer", "Operator", "Administrator", "superuser"]
PAGES = [
    LIST, f"{LIST}x/change/", f"{LIST}x/history/", "/admin/scheduling/task/", "/admin/scheduling/schedulerprocess/",
    "/admin/scheduling/jobchange/", "/admin/scheduling/pauseofall/",
]  # fmt: skip


def signed_in(who: str) -> Client:
    client = Client()
    if who != "stranger":
        user = User.objects.create_user("somebody", is_staff=True, is_superuser=who == "superuser")
        if who in ("Viewer", "Operator", "Administrator"):
            user.groups.add(Group.objects.get(name=who))
        client.force_login(user)
    return client


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_done_by_those_who_may_and_by_nobody_else(name: str, who: str) -> None:
    step = STEPS[name]
    url = step.prepare()
    assert not step.is_done()
    changes, tasks = JobChange.objects.count(), Task.objects.count()
    response = signed_in(who).post(url, step.data)
    may = (who == "superuser" and bool(step.roles)) or who[0] in step.roles
    assert step.is_done() == may
    assert response.status_code in (200, 302, 403)
    if not may:
        assert (JobChange.objects.count(), Task.objects.count()) == (changes, tasks)


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("url", PAGES)
def test_all_roles_may_look_and_nobody_else(url: str, who: str) -> None:
    make_job()
    response = signed_in(who).get(url)
    assert (response.status_code == 200) == (who not in ("stranger", "member without rights"))


@pytest.mark.parametrize("who", ["Viewer", "Operator", "Administrator"])
def test_a_page_shows_the_buttons_of_the_role_and_no_others(who: str) -> None:
    job = make_job()
    job.retries = 3
    job.save_definition()
    html = signed_in(who).get(f"{LIST}x/change/").content.decode()
    shown = {
        step for step in ("run", "run_with", "pause") if reverse(f"admin:scheduling_job_{step}", args=["x"]) in html
    }
    operator, administrator = {"run", "pause"}, {"run", "run_with", "pause"}
    assert shown == {"Viewer": set(), "Operator": operator, "Administrator": administrator}[who]
    assert ("/undo/" in html) == ('name="_save"' in html) == (who == "Administrator")
    listing = signed_in_again(who).get(LIST).content.decode()
    assert (reverse("admin:scheduling_pause_everything") in listing) == (who != "Viewer")


def signed_in_again(who: str) -> Client:
    User.objects.all().delete()
    return signed_in(who)


def test_looking_includes_the_library() -> None:
    for role in ("Viewer", "Operator", "Administrator"):
        group = Group.objects.get(name=role)
        assert group.permissions.filter(codename="view_book").exists()
        assert not group.permissions.filter(content_type__app_label="auth").exists()


def test_making_the_roles_again_takes_nothing_away(roles: None) -> None:
    extra = Permission.objects.get(codename="delete_task")
    viewer = Group.objects.get(name="Viewer")
    viewer.permissions.add(extra)
    before = set(viewer.permissions.all())
    migration = importlib.import_module("scheduling.migrations.0005_roles")
    migration.make_roles(apps, Editor)
    assert set(viewer.permissions.all()) == before
    assert Group.objects.filter(name="Viewer").count() == 1


def test_whoever_may_change_a_job_is_told_what_that_amounts_to() -> None:
    make_job()
    sentence = "have any task function run"
    assert sentence in signed_in("Administrator").get(f"{LIST}x/change/").content.decode()
    assert sentence not in signed_in_again("Operator").get(f"{LIST}x/change/").content.decode()


def test_a_one_off_job_is_the_way_round_the_right_to_run() -> None:
    """Which is why the page says so: whoever changes Jobs decides what runs."""
    make_job()
    user = User.objects.create_user("editor", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["change_job", "view_job"]))
    client = Client()
    client.force_login(user)
    soon = timezone.now() + timedelta(hours=1)
    data = {**EDIT, "trigger": "once", "run_at_0": f"{soon:%Y-%m-%d}", "run_at_1": f"{soon:%H:%M:%S}"}
    assert client.post(f"{LIST}x/change/", data).status_code == 302
    assert the_job().next_run_time is not None


@pytest.mark.parametrize(
    "query",
    [
        "arguments__password__startswith=hu",
        "arguments__icontains=hunter2",
        "after__arguments__password__startswith=hu",
        "runtime__job_state__isnull=False",
        "runtime__job__arguments__password__startswith=hu",
        "tasks__arguments__password__startswith=hu",
        "book__path__startswith=x",
        "password__startswith=pbkdf2",
        "groups__user__password__startswith=pbkdf2",
    ],
)
def test_no_list_can_be_asked_letter_by_letter_for_what_is_blanked_out(query: str) -> None:
    client = signed_in("superuser")
    for page in ("scheduling/job", "scheduling/task", "scheduling/jobchange", "scheduling/schedulerprocess", "scheduling/pauseofall",
                 "audiobooks/book", "audiobooks/libraryfile", "audiobooks/author", "auth/user", "auth/group"):  # fmt: skip
        assert client.get(f"/admin/{page}/?{query}").status_code == 400, page


@pytest.mark.parametrize(
    "address",
    [
        "scheduling/job/?state=active&trigger__exact=cron", "scheduling/jobchange/?kind__exact=edited&job_key__exact=x",
        "audiobooks/book/?authors__id__exact=1", "audiobooks/libraryfile/?book__id__exact=1",
        "audiobooks/libraryfile/?error__isempty=0", "auth/user/?is_staff__exact=1&groups__id__exact=1",
    ],
)  # fmt: skip
def test_the_filters_and_our_own_links_work(address: str) -> None:
    assert signed_in("superuser").get(f"/admin/{address}").status_code == 200


def test_no_page_shows_a_viewer_what_nested_arguments_and_results_keep_secret() -> None:
    held = {"password": ["hunter2"], "token": {"value": "hunter2"}, "plain": {"pwd": 12345678}}
    job = make_job(declared={"arguments": held})
    job.arguments = held
    job.save_definition()
    job.arguments = {}
    job.save_definition()
    flat = {"passwords": "hunter2", "pin_token": 12345678}
    client = signed_in("Viewer")
    for result in (held, flat):
        task = Task.objects.create(
            job=job, task_name="t", status="failed", arguments=held, result=result, checkpoint=held
        )
        for url in (f"{LIST}x/change/", "/admin/scheduling/jobchange/", f"/admin/scheduling/task/{task.pk}/change/"):
            html = client.get(url).content.decode()
            assert "[secret]" in html and not re.search("hunter2|12345678|12,345,678", html), url


def test_the_arguments_of_a_job_are_not_put_into_the_fields_of_who_may_not_change_it() -> None:
    make_job(function="sample.fail", arguments={"message": "password=hunter2"})
    url = reverse("admin:scheduling_job_run_with", args=["x"])
    assert person("run_with_arguments_job").get(url).status_code == 403
    client = person("run_with_arguments_job", "view_job")
    html = client.get(url).content.decode()
    assert "hunter2" not in html and "what the function takes by itself" in html
    client.post(url, {"argument-message": "mine"})
    assert Task.objects.get().arguments == {"message": "mine"}
    html = person("run_with_arguments_job", "view_job", "change_job").get(url).content.decode()
    assert "hunter2" in html and "by itself" not in html


def test_who_sees_jobs_alone_sees_no_tasks_and_no_changes_with_them() -> None:
    job = make_job()
    job.retries = 3
    job.save_definition()
    job.pause(reason="some holiday")
    job.resume()
    now = timezone.now()
    Task.objects.create(job=job, task_name="t", status="failed", started_at=now, finished_at=now)
    pages = [LIST, f"{LIST}x/change/"]

    def shown(*permissions: str) -> list[bool]:
        client = person(*permissions)
        texts = [client.get(page).content.decode() for page in pages]
        runs = [
            bool(re.search('/scheduling/task/1?[0-9]*/change/|<svg class="scheduling-sparkline', html))
            for html in texts
        ]
        return [*runs, "some holiday" in texts[1]]

    assert shown("view_job") == [False, False, False]
    assert shown("view_job", "view_task") == [True, True, False]
    assert shown("view_job", "view_jobchange") == [False, False, True]


def test_many_at_once_are_told_in_one_message_and_too_many_not_done() -> None:
    for number in range(101):
        make_job(f"j{number:03}")
    client = signed_in("Operator")
    data = {"action": "pause_selected", "select_across": "1", "_selected_action": "j000"}
    told = messages_of(client.post(LIST, data, follow=True))
    assert told == ["These are more than 100 Jobs, the most at once; nothing was done."]
    assert not Job.objects.exclude(paused_at=None).exists()
    Job.objects.by_id("j000").remove()
    for number in range(1, 8):
        Job.objects.by_id(f"j{number:03}").pause()
    told = messages_of(client.post(LIST, {**data, "_selected_action": "j001"}, follow=True))
    assert sorted(told)[0] == "Done for 93 of 100 Jobs." and "Refused as well: 2 more Jobs." in told
    assert len(told) == 7 and any(one.startswith("Job j001: It is paused already") for one in told)
    assert Job.objects.exclude(paused_at=None).count() == 100


@pytest.mark.parametrize("post", [{}, {"post": "yes"}])
def test_no_more_are_deleted_at_once_either(post: dict[str, str]) -> None:
    """Each is deleted by itself, with its record: thousands kept a request busy for minutes."""
    for number in range(101):
        make_job(f"j{number:03}")
    client = signed_in("Administrator")
    data = {"action": "delete_selected", "select_across": "1", "_selected_action": "j000", **post}
    told = messages_of(client.post(LIST, data, follow=True))
    assert told == ["These are more than 100 Jobs, the most at once; nothing was done."]
    assert Job.objects.count() == 101
    Job.objects.by_id("j000").remove()
    response = client.post(LIST, {**data, "_selected_action": "j001"}, follow=True)
    assert response.status_code == 200 and Job.objects.count() == (0 if post else 100)


@pytest.mark.parametrize(
    "name", [name for name, step in STEPS.items() if not step.data.keys() & {"action", "name", "post"}]
)
def test_a_step_that_was_pressed_after_the_session_ended_leads_back_after_signing_in(name: str) -> None:
    url = STEPS[name].prepare()
    client = Client(enforce_csrf_checks=True)
    assert client.get(url).headers["Location"] == f"/admin/login/?next={url}"
    client.force_login(User.objects.create_superuser("somebody"))
    # As a browser comes from the page of signing in.
    response = client.get(url, follow=True, headers={"referer": f"http://testserver/admin/login/?next={url}"})
    assert response.status_code == 200 and not STEPS[name].is_done()
    if not name.startswith("run with arguments"):
        assert messages_of(response) == ["Nothing was done yet. Press the button again."]


FILTERS = (
    "status=failed&cause=manual&date_from=2020-01-01&date_to=2099-01-01&duration=under_1s&q=t"
    "&since=2020-01-01T00:00:00Z&until=2099-01-01T00:00:00Z&unseen=yes&before=100"
)


@pytest.mark.parametrize("who", ["Viewer", "Operator", "Administrator"])
@pytest.mark.parametrize("is_alive", [True, False])
@pytest.mark.parametrize(
    "url",
    [
        "/admin/", "/admin/scheduling/daycount/live/", "/admin/scheduling/daycount/", "/admin/scheduling/daycount/timeline/",
        LIST, f"{LIST}x/change/", "/admin/scheduling/jobchange/", f"/admin/scheduling/task/?job=x&{FILTERS}",
        f"/admin/scheduling/task/?job=job+x&{FILTERS}", "/admin/scheduling/pauseofall/", "/admin/audiobooks/book/",
    ],
)  # fmt: skip
def test_a_page_costs_a_role_twelve_queries_at_most_also_in_a_pause_with_a_cold_cache(
    url: str, is_alive: bool, who: str, django_assert_max_num_queries: Any
) -> None:
    job, now = make_job(), timezone.now()
    process = SchedulerProcess.register("scheduler")
    if not is_alive:
        process.stop("stopped")
    # A day that is rolled up, and one that its running Task keeps from it: no picture costs more.
    for days in (3, 1):
        at = now - timedelta(days=days)
        Task.objects.create(job=job, task_name="t", status="completed", date_created=at, started_at=at, finished_at=at)
    at = now - timedelta(days=1)
    Task.objects.create(job=job, task_name="t", status="running", date_created=at, started_at=at)
    Task.objects.create(job=job, task_name="t", status="failed", started_at=now, finished_at=now, cause="manual")
    roll_up()
    assert DayCount.objects.count() == 1
    pause_everything(reason="some disk", by=User.objects.create_user("anna"))
    client = signed_in(who)
    cache.clear()
    with django_assert_max_num_queries(12):
        response = client.get(url)
    if url in ("/admin/", LIST):
        assert re.search(r"since [^<]* by anna \(some disk\)", response.content.decode())
