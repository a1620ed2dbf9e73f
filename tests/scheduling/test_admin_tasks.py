"""The admin of Tasks: read only, but for cancel and retry; a page that keeps up while a Task runs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from scheduling.models import Job, SchedulerProcess, Task

pytestmark = pytest.mark.django_db

LIST = "/admin/scheduling/task/"
STEPS = {"cancel": "cancel_task", "retry": "retry_task"}
EVIL = "<script>alert('x')</script>"


def make_job(id: str = "x", **fields: Any) -> Job:
    job = Job(id=id, **{"name": f"Job {id}", "function": "sample.count", "cron": "0 2 * * *", **fields})
    job.save_definition()
    return job


def make_task(**fields: Any) -> Task:
    return Task.objects.create(**{"task_name": "Count", "function": "sample.count", **fields})


def make_ready(step: str) -> Task:
    return make_task(status="queued" if step == "cancel" else "failed")


def person(*permissions: str) -> Client:
    user = User.objects.create_user("somebody", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    assert user.user_permissions.count() == len(permissions)
    client = Client()
    client.force_login(user)
    return client


def url_of(step: str, task: Task) -> str:
    return reverse(f"admin:scheduling_task_{step}", args=[task.pk])


def page_of(client: Client, task: Task) -> str:
    response = client.get(url_of("change", task))
    assert response.status_code == 200
    return response.content.decode()


def messages_of(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


# --- who may --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "permissions", [(), ("view_task",), ("cancel_task",), ("retry_task",), ("change_task", "delete_task", "run_job")]
)
def test_a_step_is_done_by_its_own_permission_and_by_no_other(step: str, permissions: tuple[str, ...]) -> None:
    task = make_ready(step)
    response = person(*permissions).post(url_of(step, task))
    allowed = STEPS[step] in permissions
    assert response.status_code == (302 if allowed else 403)
    assert LogEntry.objects.exists() == allowed


@pytest.mark.parametrize("step", STEPS)
def test_nothing_is_done_by_get_without_a_token_or_signed_out(step: str, admin_user: User) -> None:
    task = make_ready(step)
    client = Client(enforce_csrf_checks=True)
    assert client.post(url_of(step, task)).status_code in (302, 403)
    client.force_login(admin_user)
    assert client.get(url_of(step, task)).status_code == 405
    assert client.post(url_of(step, task)).status_code == 403
    assert not LogEntry.objects.exists() and Task.objects.count() == 1


@pytest.mark.parametrize(
    ("status", "shown"), [("queued", "cancel"), ("running", "cancel"), ("failed", "retry"), ("completed", "retry")]
)
def test_the_button_that_fits_the_state_is_shown_to_those_who_may(status: str, shown: str) -> None:
    task = make_task(status=status)
    html = page_of(person("view_task", "cancel_task", "retry_task"), task)
    assert {step for step in STEPS if f'action="{url_of(step, task)}"' in html} == {shown}
    User.objects.all().delete()
    html = page_of(person("view_task"), task)
    assert "/cancel/" not in html and "/retry/" not in html


def test_tasks_cannot_be_added_changed_or_deleted(admin_client: Client) -> None:
    task = make_task(status="failed")
    assert admin_client.get(f"{LIST}add/").status_code == 403
    assert admin_client.post(url_of("change", task), {"status": "completed"}).status_code == 403
    assert admin_client.post(url_of("delete", task), {"post": "yes"}).status_code == 403
    admin_client.post(LIST, {"action": "delete_selected", "_selected_action": [task.pk], "post": "yes"})
    task.refresh_from_db()
    assert task.status == "failed"
    assert 'name="_save"' not in page_of(admin_client, task)


@pytest.mark.parametrize("page", ["changelist", "change", "live"])
def test_looking_needs_the_view_permission(page: str) -> None:
    task = make_task()
    url = reverse(f"admin:scheduling_task_{page}", args=[] if page == "changelist" else [task.pk])
    assert person("view_job").get(url).status_code == 403


# --- what the steps do ----------------------------------------------------------------------------------------------


def test_cancelling_a_queued_task_ends_it_and_a_running_one_is_asked_to_stop(
    admin_client: Client, admin_user: User
) -> None:
    queued, running = make_task(), make_task(status="running", started_at=timezone.now())
    for task in (queued, running):
        admin_client.post(url_of("cancel", task))
        task.refresh_from_db()
    assert (queued.status, running.status) == ("cancelled", "running")
    assert running.cancel_requested_at is not None
    assert "asked to stop at" in page_of(admin_client, running)
    written = [(entry.user, entry.object_id, entry.change_message) for entry in LogEntry.objects.order_by("pk")]
    assert written == [(admin_user, str(queued.pk), "Cancelled."), (admin_user, str(running.pk), "Asked to stop.")]


def test_retrying_queues_another_task_with_the_same_arguments(admin_client: Client, admin_user: User) -> None:
    task = make_task(job=make_job(), status="failed", arguments={"items": 3})
    response = admin_client.post(url_of("retry", task), follow=True)
    new = task.retries.get()
    assert (new.arguments, new.attempt, new.requested_by) == ({"items": 3}, 2, admin_user)
    assert url_of("change", new) in messages_of(response)[0]
    assert url_of("change", new) in page_of(admin_client, task)
    assert url_of("change", task) in page_of(admin_client, new)
    assert LogEntry.objects.get().change_message == f"Queued Task {new.pk}."


@pytest.mark.parametrize(
    ("step", "fields", "sentence"),
    [
        ("cancel", {"status": "completed"}, "has ended (completed)"),
        ("retry", {"status": "running"}, "has not ended yet"),
        ("retry", {"status": "failed", "function": "gone.away"}, "no task function gone.away"),
        ("retry", {"status": "failed", "function": ""}, "no task function"),
    ],
)
def test_what_cannot_be_done_is_explained_and_not_written_down(
    admin_client: Client, step: str, fields: dict[str, str], sentence: str
) -> None:
    response = admin_client.post(url_of(step, make_task(**fields)), follow=True)
    assert [sentence in message for message in messages_of(response)] == [True]
    assert not LogEntry.objects.exists() and Task.objects.count() == 1


# --- the list -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tasks", [5, 50, 120])
def test_the_list_costs_the_same_queries_at_any_length_and_counts_nothing(
    admin_client: Client, admin_user: User, tasks: int
) -> None:
    now = timezone.now()
    for number in range(tasks):
        job = make_job(f"j{number}")
        make_task(job=job, status="running", started_at=now, requested_by=admin_user, cause="manual", progress_total=9)
    with CaptureQueriesContext(connection) as seen:
        response = admin_client.get(LIST, {"status": "running", "q": "Count"})
    assert len(response.context["cl"].result_list) == min(tasks, 50)
    assert len(seen) <= 8
    assert not [query["sql"] for query in seen if "COUNT(" in query["sql"] and "scheduling_task" in query["sql"]]
    assert not [query["sql"] for query in seen if "DISTINCT" in query["sql"]]


def test_the_list_can_be_paged(admin_client: Client) -> None:
    for _ in range(60):
        make_task(status="completed")
    first = [task.pk for task in admin_client.get(LIST).context["cl"].result_list]
    second = [task.pk for task in admin_client.get(LIST, {"p": 2}).context["cl"].result_list]
    assert (len(first), len(second)) == (50, 10)
    assert first + second == sorted(first + second, reverse=True)
    assert list(admin_client.get(LIST, {"p": 99}).context["cl"].result_list) == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status__exact": "failed"}, "b"),
        ({"cause__exact": "manual"}, "c"),
        ({"job": "x"}, "a"),
        ({"q": "needle"}, "b"),
        ({"q": "x"}, "a"),
    ],
)
def test_the_list_can_be_narrowed(admin_client: Client, query: dict[str, str], found: str) -> None:
    tasks = {
        "a": make_task(job=make_job(), status="completed"),
        "b": make_task(status="failed", task_name="Needle"),
        "c": make_task(status="completed", cause="manual"),
    }
    assert list(admin_client.get(LIST, query).context["cl"].result_list) == [tasks[found]]


def test_the_list_shows_counts_progress_and_times(admin_client: Client) -> None:
    now = timezone.now()
    make_task(
        job=make_job(), status="running", started_at=now - timedelta(seconds=125), fire_time=now,
        items_processed=1200, items_succeeded=1190, items_failed=10, progress_total=4000, progress_text="page 3",
    )  # fmt: skip
    html = admin_client.get(LIST).content.decode()
    assert "1,200" in html and "1,190 ok, 10 failed" in html and "2 min 05 s" in html
    assert 'role="progressbar"' in html and 'aria-valuenow="1200"' in html and 'aria-valuemax="4000"' in html
    assert "1200 of 4000, page 3" in html


# --- the page -------------------------------------------------------------------------------------------------------


def test_the_page_tells_everything_in_order(admin_client: Client, admin_user: User) -> None:
    now = timezone.now()
    process = SchedulerProcess.register("scheduler")
    first = make_task(status="lost", task_name="First")
    task = make_task(
        job=make_job(name="The Job"), status="failed", reason="It was no good.", cause="retry", retry_of=first, attempt=2,
        requested_by=admin_user, fire_time=now, fire_count=3, owner=process,
        date_created=now, started_at=now + timedelta(seconds=2), finished_at=now + timedelta(seconds=64),
        items_processed=5, items_succeeded=4, items_failed=1, error_message="Traceback: no", result={"a": ["ä"]},
        arguments={"limit": 20}, checkpoint={"page": 3},
    )  # fmt: skip
    task.log_chunks.create(seq=1, text="second\n")
    task.log_chunks.create(seq=0, text="first\n")
    html = page_of(admin_client, task)
    for text in (
        "failed", "It was no good.", "The Job", "retry: admin", "attempt 2 after", "First #", "stands for 3 fire times",
        "2 s", "1 min 02 s", "5 processed, 4 succeeded, 1 failed", "Traceback: no", "ä",
        "&quot;limit&quot;: 20", "&quot;page&quot;: 3", "first\nsecond\n",
    ):  # fmt: skip
        assert text in html, text
    assert html.index("It was no good.") < html.index("The Job") < html.index("Traceback: no") < html.index("second\n")
    assert "data-live" not in html


def test_the_page_of_a_task_costs_few_queries(admin_client: Client, django_assert_max_num_queries: Any) -> None:
    task = make_task(job=make_job(), status="failed", retry_of=make_task(), owner=SchedulerProcess.register("shell"))
    for number in range(30):
        make_task(retry_of=task)
        task.log_chunks.create(seq=number, text="line\n")
    with django_assert_max_num_queries(8):
        page_of(admin_client, task)


@pytest.mark.parametrize("page", ["list", "page", "live", "history"])
def test_hostile_texts_are_escaped(admin_client: Client, page: str) -> None:
    task = make_task(
        job=make_job(name=EVIL), task_name=EVIL, function=EVIL, status="running", started_at=timezone.now(), reason=EVIL,
        error_message=EVIL, result={EVIL: EVIL}, arguments={EVIL: EVIL}, progress_text=EVIL, progress_total=3,
    )  # fmt: skip
    task.log_chunks.create(seq=0, text=EVIL)
    name = {"list": "changelist", "page": "change"}.get(page, page)
    response = admin_client.get(reverse(f"admin:scheduling_task_{name}", args=[] if page == "list" else [task.pk]))
    assert response.status_code == 200
    # The log goes into the page as text, not as HTML, so of JSON it may hold anything.
    assert EVIL not in (response.json()["state"] if page == "live" else response.content.decode())


def test_a_message_about_a_hostile_task_is_escaped(admin_client: Client) -> None:
    task = make_task(task_name=EVIL, status="failed")
    response = admin_client.post(url_of("retry", task), follow=True)
    assert EVIL not in response.content.decode()


def test_the_page_holds_no_script_of_its_own(admin_client: Client) -> None:
    task = make_task(status="running")
    html = page_of(admin_client, task)
    content = html[html.index('id="content-main"') :]
    content = content[: content.index("Log</h2>")]
    assert "<script" not in content and " style=" not in content and "onclick" not in content
    assert "scheduling/live.js" in html


# --- live -----------------------------------------------------------------------------------------------------------


def test_the_live_view_gives_what_is_new(admin_client: Client) -> None:
    task = make_task(status="running", started_at=timezone.now(), progress_total=10, items_processed=3)
    task.log_chunks.create(seq=0, text="one\n")
    task.log_chunks.create(seq=1, text="two\n")
    assert f'data-live="{url_of("live", task)}" data-last="1"' in page_of(admin_client, task)
    task.log_chunks.create(seq=2, text="three\n")
    answer = admin_client.get(url_of("live", task), {"after": "1"})
    assert "no-cache" in answer["Cache-Control"]
    live = answer.json()
    assert (live["active"], live["status"], live["processed"], live["total"]) == (True, "running", 3, 10)
    assert (live["log"], live["last"]) == ("three\n", 2)
    assert 'aria-valuenow="3"' in live["state"]
    assert admin_client.get(url_of("live", task), {"after": "2"}).json()["log"] == ""


@pytest.mark.parametrize("after", ["", "-1", "x", "²", "9" * 30, "1.5"])
def test_the_live_view_bears_any_question(admin_client: Client, after: str) -> None:
    task = make_task(status="running")
    task.log_chunks.create(seq=0, text="one\n")
    assert admin_client.get(url_of("live", task), {"after": after}).json()["log"] == "one\n"


def test_the_live_view_ends_with_the_task_and_gives_a_long_log_in_parts(admin_client: Client) -> None:
    task = make_task(status="completed", finished_at=timezone.now())
    for number in range(250):
        task.log_chunks.create(seq=number, text=f"{number}\n")
    url = url_of("live", task)
    first = admin_client.get(url).json()
    assert (first["active"], first["last"]) == (False, 199)
    assert admin_client.get(url, {"after": "199"}).json()["last"] == 249


def test_the_live_view_costs_few_queries(admin_client: Client, django_assert_max_num_queries: Any) -> None:
    task = make_task(status="running", job=make_job())
    with django_assert_max_num_queries(4):
        admin_client.get(url_of("live", task))


def test_the_live_view_of_no_task_is_not_found(admin_client: Client) -> None:
    assert admin_client.get("/admin/scheduling/task/999/live/").status_code == 404
    assert admin_client.get("/admin/scheduling/task/word/live/").status_code == 404
