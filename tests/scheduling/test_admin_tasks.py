"""The admin of Tasks: read only, but for cancel and retry; a page that keeps up while a Task runs."""

from __future__ import annotations

import re
import tracemalloc
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_apscheduler.models import DjangoJob

from scheduling.admin.task_log import LogQuestion, shown_log
from scheduling.admin.task_texts import laid_out
from scheduling.models import Job, SchedulerProcess, Task, TaskLog
from tests.scheduling.making import make_job, messages_of, person

pytestmark = pytest.mark.django_db

LIST = "/admin/scheduling/task/"
STEPS = {"cancel": "cancel_task", "retry": "retry_task"}
EVIL = "<script>alert('x')</script>"


def make_task(**fields: Any) -> Task:
    return Task.objects.create(**{"task_name": "Count", "function": "sample.count", **fields})


def make_ready(step: str) -> Task:
    return make_task(status="queued" if step == "cancel" else "failed")


def url_of(step: str, task: Task) -> str:
    return reverse(f"admin:scheduling_task_{step}", args=[task.pk])


def page_of(client: Client, task: Task) -> str:
    response = client.get(url_of("change", task))
    assert response.status_code == 200
    return response.content.decode()


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
    assert client.get(url_of(step, task)).status_code == 302
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


@pytest.mark.parametrize("page", ["changelist", "change", "live", "log"])
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


def make_many(count: int, **fields: Any) -> list[int]:
    """Their numbers, newest first."""
    tasks = [Task(**{"task_name": "Count", "status": "completed", **fields}) for _ in range(count)]
    return sorted((task.pk for task in Task.objects.bulk_create(tasks)), reverse=True)


def listed(client: Client, address: str) -> tuple[list[int], Any]:
    """The numbers of the Tasks of the page, and its links."""
    response = client.get(LIST + address)
    assert response.status_code == 200
    changelist = response.context["cl"]
    return [task.pk for task in changelist.result_list], changelist.paginator


def test_the_list_can_be_paged_there_and_back(admin_client: Client) -> None:
    ids = make_many(120)
    first, pages = listed(admin_client, "")
    assert (first, pages.newer) == (ids[:50], "")
    second, pages = listed(admin_client, pages.older)
    assert second == ids[50:100]
    third, pages = listed(admin_client, pages.older)
    assert (third, pages.older) == (ids[100:], "")
    back, pages = listed(admin_client, pages.newer)
    assert back == ids[50:100]
    back, pages = listed(admin_client, pages.newer)
    assert (back, pages.newer) == (ids[:50], "")


def test_a_page_stays_what_it_is_while_tasks_come(admin_client: Client) -> None:
    ids = make_many(120)
    _, pages = listed(admin_client, "")
    make_many(30)
    second, pages = listed(admin_client, pages.older)
    assert second == ids[50:100]
    newer, pages = listed(admin_client, pages.newer)
    assert newer[-50:] == ids[:50] and pages.newer


def test_the_links_of_pages_keep_the_filters(admin_client: Client) -> None:
    job = make_job()
    ids = make_many(60, job=job, cause="manual")
    make_many(60)
    first, pages = listed(admin_client, "?job=x&cause=manual&status=completed")
    assert first == ids[:50]
    rest, pages = listed(admin_client, pages.older)
    assert rest == ids[50:]
    assert "job=x" in pages.newer and "cause=manual" in pages.newer and "status=completed" in pages.newer


def test_what_has_no_index_is_looked_for_among_so_many_and_then_further_back(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduling.admin.task_list.LOOKED_THROUGH", 100)
    oldest = make_task(status="completed", cause="manual", task_name="Needle")
    make_many(250)
    newest = make_task(status="completed", cause="manual", task_name="Needle")
    for address in ("?cause=manual", "?q=need"):
        found: list[int] = []
        for _ in range(3):
            page, pages = listed(admin_client, address)
            found += page
            address = pages.older
        assert (found, address) == ([newest.pk, oldest.pk], "")
        assert f"Looked down to Task #{newest.pk - 100}" in admin_client.get(f"{LIST}?cause=manual").content.decode()
        up: list[int] = []
        while address := pages.newer:
            page, pages = listed(admin_client, address)
            up = page + up
        assert up[0] == newest.pk


@pytest.mark.parametrize(("name", "value"), [("before", "x"), ("after", "-1"), ("before", "9" * 40), ("after", "²")])
def test_an_edge_that_is_no_number_is_none(admin_client: Client, name: str, value: str) -> None:
    ids = make_many(3)
    assert listed(admin_client, f"?{name}={value}")[0] == ids


def test_a_page_beyond_the_ends_says_where_there_is_more(admin_client: Client) -> None:
    ids = make_many(3)
    page, pages = listed(admin_client, f"?before={ids[-1]}")
    assert page == [] and listed(admin_client, pages.newer)[0] == ids
    assert listed(admin_client, "?after=999999999999999999")[0] == ids


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status": "failed"}, "b"),
        ({"status": "failed,lost"}, "b"),
        ({"cause": "manual"}, "c"),
        ({"job": "x"}, "a"),
        ({"job": "job X"}, "a"),
        ({"job": "-", "status": "completed"}, "c"),
        ({"q": "needle"}, "b"),
        ({"q": "x"}, "a"),
        ({"duration": "under_1s"}, "a"),
        ({"duration": "1s_10s"}, "b"),
        ({"duration": "over_10m"}, "c"),
        ({"date_to": "2026-03-01"}, "a"),
        ({"date_from": "2026-03-02", "date_to": "2026-03-02"}, "b"),
        ({"date_from": "2026-03-03"}, "c"),
        ({"since": "2026-03-03T12:00:00Z"}, "c"),
        ({"until": "2026-03-02T14:00:00+02:00"}, "a"),
        ({"since": "2026-03-02T12:00:00Z", "until": "2026-03-03T12:00:00Z"}, "b"),
        (
            {
                "since": "2026-03-01T12:00:00Z",
                "date_from": "2026-03-02",
                "until": "2026-03-09",
                "date_to": "2026-03-02",
            },
            "b",
        ),
        ({"unseen": "yes"}, "b"),
        ({"date_from": "2026-03-02", "job": "", "q": "n", "cause": "schedule", "status": "failed"}, "b"),
    ],
)
def test_the_list_can_be_narrowed(admin_client: Client, query: dict[str, str], found: str) -> None:
    def lasted(day: int, seconds: float) -> dict[str, Any]:
        began = datetime(2026, 3, day, 12, tzinfo=UTC)
        return {"date_created": began, "started_at": began, "finished_at": began + timedelta(seconds=seconds)}

    tasks = {
        "a": make_task(job=make_job(), status="completed", **lasted(1, 0.999)),
        "b": make_task(status="failed", task_name="Needle", **lasted(2, 1)),
        "c": make_task(status="completed", cause="manual", **lasted(3, 600)),
    }
    assert list(admin_client.get(LIST, query).context["cl"].result_list) == [tasks[found]]


def test_days_are_those_of_the_persons_time_zone(admin_client: Client) -> None:
    task = make_task(date_created=datetime(2026, 3, 1, 23, 30, tzinfo=UTC))
    for zone, day in (("UTC", "2026-03-01"), ("Europe/Berlin", "2026-03-02"), ("America/New_York", "2026-03-01")):
        admin_client.cookies["timezone"] = zone
        assert listed(admin_client, f"?date_from={day}&date_to={day}")[0] == [task.pk], zone
        assert listed(admin_client, "?date_from=2026-03-03")[0] == []
    admin_client.cookies["timezone"] = "Europe/Berlin"
    assert listed(admin_client, "?date_to=2026-03-01")[0] == []


def test_a_task_that_was_written_late_is_found_by_its_date(admin_client: Client) -> None:
    first, second = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)
    make_many(5, date_created=first)
    make_many(5, date_created=second)
    late = make_task(date_created=first)
    found, _ = listed(admin_client, "?date_to=2026-03-01")
    assert len(found) == 6 and found[0] == late.pk
    assert len(listed(admin_client, "?date_from=2026-03-02")[0]) == 5


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"date_from": "yesterday"}, "Enter a valid date"),
        ({"date_to": "2026-02-30"}, "Enter a valid date"),
        ({"date_from": "0001-01-01"}, "Use a year from 1900"),
        ({"date_to": "9999-12-31"}, "Use a year from 1900"),
        ({"since": "soon"}, "Made since: Enter a valid date/time"),
        ({"until": "2026-02-30T00:00:00Z"}, "Made before: Enter a valid date/time"),
        ({"since": "0001-01-01T00:00:00+14:00"}, "Made since: Use a year from 1900"),
        ({"until": "9999-12-31T23:59:59-12:00"}, "Made before: Use a year from 1900"),
        ({"unseen": "maybe"}, "Failed and not looked at: Select a valid choice. maybe is not one"),
        ({"status": "nonsense"}, "nonsense is not one of the available choices"),
        ({"status": "failed,"}, "is not one of the available choices"),
        ({"cause": "fate"}, "fate is not one"),
        ({"duration": "long"}, "long is not one"),
        ({"job": "nowhere"}, "There is no Job of this id or name"),
        ({"job": "twin"}, "Several Jobs have this name"),
        ({"q": "x" * 300}, "at most 255"),
    ],
)
def test_a_filter_that_cannot_be_read_is_explained_and_shows_nothing(
    admin_client: Client, query: dict[str, str], sentence: str
) -> None:
    for id in "ab":
        make_job(id, name="twin")
    make_task()
    response = admin_client.get(LIST, query)
    assert sentence in response.content.decode()
    assert response.context["cl"].result_list == []


def test_what_a_link_filters_is_shown_kept_and_can_be_removed(admin_client: Client) -> None:
    make_task()
    query = {"since": "2026-03-01T23:00:00Z", "until": "2999-01-01T00:00:00Z", "unseen": "yes"}
    admin_client.cookies["timezone"] = "Europe/Berlin"
    page = admin_client.get(LIST, {**query, "status": "failed"})
    html = page.content.decode()
    assert "Mon 2 Mar 2026, 00:00:00 CET" in html and "Failed and not looked at" in html
    for name, value in query.items():
        assert re.search(f'<input type="hidden" name="{name}" value="{re.escape(value)}"', html)
        link = re.search(f'<a href="([^"]+)" aria-label="Remove: {page.context["cl"].form[name].label}"', html)
        assert link is not None
        left = parse_qs(link[1].replace("&amp;", "&").removeprefix("?"))
        assert left == {key: [kept] for key, kept in {**query, "status": "failed"}.items() if key != name}
    plain = admin_client.get(LIST, {"status": "failed"}).content.decode()
    assert 'type="hidden" name="since"' not in plain and "Remove:" not in plain
    # What is wrong in a link does not stay in the way of what a person fills in.
    assert 'name="since"' not in admin_client.get(LIST, {"since": EVIL}).content.decode()


def test_how_long_a_task_ran_is_asked_of_few_and_of_the_database_itself(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduling.admin.task_list.LOOKED_THROUGH", 100)
    now = timezone.now()
    running = make_task(status="running", started_at=now - timedelta(hours=1))
    ids = make_many(150, started_at=now, finished_at=now + timedelta(milliseconds=999))
    with CaptureQueriesContext(connection) as asked:
        found, pages = listed(admin_client, "?duration=under_1s&since=2026-01-01T00:00:00Z&cause=manual")
    assert (found, pages.looked_down_to) == ([], ids[100])
    page = next(one["sql"] for one in asked if '"scheduling_task"."task_name"' in one["sql"])
    # Two lower bounds, and SQLite would go on past the nearer one.
    assert page.count('"scheduling_task"."id" >') == 0 and f'"scheduling_task"."id" BETWEEN {ids[100]} AND' in page
    assert "django_" not in page
    assert listed(admin_client, "?duration=under_1s")[0] == ids[:50]
    assert running.pk not in listed(admin_client, "?duration=over_10m")[0]


def test_a_filter_of_nowhere_is_refused(admin_client: Client) -> None:
    for name in ("requested_by__password", "status__exact", "arguments__password__startswith"):
        assert admin_client.get(LIST, {name: "x"}).status_code == 400
    assert admin_client.get(LIST, {"q": "a\0b"}).status_code == 400


def test_a_number_finds_its_task(admin_client: Client) -> None:
    task, _ = make_task(), make_task()
    for text in (f"#{task.pk}", str(task.pk)):
        assert listed(admin_client, f"?{urlencode({'q': text})}")[0] == [task.pk]
    assert listed(admin_client, "?q=%23999999999999999999")[0] == []


@pytest.mark.parametrize("jobs", [200, 201])
def test_more_jobs_than_are_offered_can_still_be_named(admin_client: Client, jobs: int) -> None:
    runtimes = DjangoJob.objects.bulk_create([DjangoJob(id=f"j{n:03}", job_state=b"") for n in range(jobs)])
    Job.objects.bulk_create(
        [Job(id=row.id, runtime=row, name=f"Job {row.id}", function="sample.count", cron="@daily") for row in runtimes]
    )
    task = make_task(job_id=f"j{jobs - 1:03}")
    html = admin_client.get(LIST).content.decode()
    assert ("200 are offered" in html) == (jobs > 200)
    assert html.count('<option value="j') == 200
    assert listed(admin_client, f"?job=j{jobs - 1:03}")[0] == [task.pk]


# --- in bulk --------------------------------------------------------------------------------------------------------


def act(client: Client, action: str, ids: list[int], **more: str) -> Any:
    return client.post(LIST, {"action": action, "_selected_action": ids, **more}, follow=True)


def test_selected_tasks_are_cancelled_or_retried_each_by_itself(admin_client: Client) -> None:
    queued, done = make_task(), make_task(status="completed")
    response = act(admin_client, "cancel_selected", [queued.pk, done.pk])
    queued.refresh_from_db()
    assert queued.status == "cancelled"
    assert [text for text in messages_of(response) if "has ended (completed)" in text]
    failed = make_task(status="failed", arguments={"items": 3}, checkpoint={"page": 2})
    act(admin_client, "retry_selected", [failed.pk])
    retry = failed.retries.get()
    assert (retry.arguments, retry.checkpoint, str(retry.requested_by)) == ({"items": 3}, {"page": 2}, "admin")
    assert LogEntry.objects.count() == 2


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("permission", ["cancel_task", "retry_task"])
def test_an_action_in_bulk_needs_its_own_permission(step: str, permission: str) -> None:
    task = make_ready(step)
    client = person("view_task", permission)
    act(client, f"{step}_selected", [task.pk])
    assert LogEntry.objects.exists() == (STEPS[step] == permission)
    assert (f'value="{step}_selected"' in client.get(LIST).content.decode()) == (STEPS[step] == permission)


def test_all_of_a_long_history_cannot_be_retried_at_once(admin_client: Client) -> None:
    ids = make_many(101, status="failed", function="sample.count")
    response = act(admin_client, "retry_selected", ids[:1], select_across="1")
    assert "more than 100 Tasks" in messages_of(response)[0]
    assert Task.objects.count() == 101


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
        "failed", "It was no good.", "The Job", ">admin</a>, attempt 2 after", "First #", "stands for 3 fire times",
        "2 s", "1 min 02 s", "5 processed, 4 succeeded, 1 failed", "Traceback: no", "ä",
        "&quot;limit&quot;: 20", "&quot;page&quot;: 3",
    ):  # fmt: skip
        assert text in html, text
    order = ("It was no good.", "Traceback: no", "The Job", "&quot;ä&quot;", "first\n", "second\n")
    assert [html.index(text) for text in order] == sorted(html.index(text) for text in order)
    assert "data-live" not in html


def test_the_page_of_a_task_costs_few_queries(administrator_client: Client, django_assert_max_num_queries: Any) -> None:
    task = make_task(job=make_job(), status="failed", retry_of=make_task(), owner=SchedulerProcess.register("shell"))
    for number in range(30):
        make_task(retry_of=task)
        task.log_chunks.create(seq=number, text="line\n")
    with django_assert_max_num_queries(12):
        page_of(administrator_client, task)


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


def test_hostile_errors_frames_and_lines_are_escaped(admin_client: Client) -> None:
    error = (
        f'Traceback (most recent call last):\n  File "/srv/{EVIL}.py", line 1, in {EVIL}\n    {EVIL}\n{EVIL}: {EVIL}\n'
    )
    task = make_task(status="failed", error_message=error, result={EVIL: EVIL})
    task.log_chunks.create(seq=0, text=line("ERROR", EVIL) + f"2026-11-24T02:00:00.000Z {EVIL} x: y\n")
    for query in ("", f"?level={EVIL}&q={EVIL}", "?q=alert"):
        html = admin_client.get(url_of("change", task) + query).content.decode()
        assert EVIL not in html and "&lt;script&gt;" in html


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


# --- result and error -----------------------------------------------------------------------------------------------


def test_a_flat_result_is_a_table_and_another_is_json(admin_client: Client) -> None:
    flat = make_task(status="completed", result={"new": 1250, "page": "x", "none": None, "all": True, "rate": 0.5})
    html = page_of(admin_client, flat)
    for name, value in {"new": "1,250", "page": "x", "none": "–", "all": "yes", "rate": "0.5"}.items():
        assert f'<th scope="row">{name}</th><td class="scheduling-text">{value}</td>' in html
    for result in ({"a": {"b": 1}}, {"a": [1]}, [1, 2], "text", 0, False, {}, {str(n): n for n in range(101)}):
        html = page_of(admin_client, make_task(status="completed", result=result))
        assert 'id="task-result"' in html and '<table class="scheduling-table" id="task-result"' not in html
    assert 'id="task-result"' not in page_of(admin_client, make_task(status="completed"))


TRACEBACK = """Traceback (most recent call last):
  File "/srv/app/scheduling/runner.py", line 150, in execute
    function.function(run)
  File "/srv/app/books/crawl.py", line 88, in crawl
    page = source.page(number)
           ^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/site-packages/httpx/_client.py", line 914, in send
    raise exc
  File "<frozen os>", line 1, in x
httpx.ConnectTimeout: timed out
  after 30 s
on page 7
"""


def test_an_error_is_headed_by_its_last_line_and_marks_the_programs_own_frames() -> None:
    error = laid_out(TRACEBACK)
    assert error is not None and error.heading == "httpx.ConnectTimeout: timed out"
    assert "".join(part.text for part in error.parts) == TRACEBACK.rstrip("\n")
    own = [part.text for part in error.parts if part.is_own]
    assert len(own) == 1 and own[0].startswith('  File "/srv/app/books/crawl.py"') and own[0].endswith("^\n")


@pytest.mark.parametrize(
    ("text", "heading", "has_more"),
    [
        ("There is nothing to do.", "There is nothing to do.", False),
        ("one\ntwo\n", "two", True),
        (TRACEBACK.split("httpx.Connect")[0], '  File "<frozen os>", line 1, in x', True),
    ],
)
def test_an_error_of_any_form_has_a_heading(text: str, heading: str, has_more: bool) -> None:
    error = laid_out(text)
    assert error is not None and (error.heading, bool(error.parts)) == (heading, has_more)


def test_no_error_is_none(admin_client: Client) -> None:
    assert laid_out("") is None and laid_out(" \n") is None
    assert "task-error" not in page_of(admin_client, make_task(status="completed"))


# --- the log --------------------------------------------------------------------------------------------------------


def line(level: str, text: str) -> str:
    return f"2026-11-24T02:00:00.123Z {level} books.crawl: {text}\n"


def entries_of_page(client: Client, task: Task, **query: str) -> list[tuple[str, str]]:
    response = client.get(url_of("change", task), query)
    assert response.status_code == 200
    return [(entry.level, entry.text) for entry in response.context["log"].entries]


def test_lines_without_a_time_belong_to_the_one_above(admin_client: Client) -> None:
    task = make_task(status="completed")
    task.log_chunks.create(seq=0, text="no time\n" + line("ERROR", "bad") + "Traceback\n  File x\n")
    task.log_chunks.create(seq=1, text="of the error\n" + line("Level", "odd") + line("INFO", "x\x0cy\u2028z") + "cut")
    assert entries_of_page(admin_client, task) == [
        ("", "no time\n"),
        ("ERROR", line("ERROR", "bad") + "Traceback\n  File x\nof the error\n"),
        ("", line("Level", "odd")),
        ("INFO", line("INFO", "x\x0cy\u2028z") + "cut\n"),
    ]
    assert 'data-level="ERROR">2026-11-24T02:00:00.123Z ERROR books.crawl: bad' in page_of(admin_client, task)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"level": "WARNING"}, "odd warn fail"),
        ({"level": "ERROR"}, "odd fail"),
        ({"level": "nonsense"}, "odd tell warn fail"),
        ({"level": "warning"}, "odd tell warn fail"),
        ({"q": "FAIL"}, "fail"),
        ({"q": "needle"}, "warn"),
        ({"q": ""}, "odd tell warn fail"),
        ({"level": "ERROR", "q": "warn"}, ""),
        ({"q": "(["}, ""),
    ],
)
def test_the_log_is_narrowed_by_the_server_in_all_of_it(
    admin_client: Client, query: dict[str, str], found: str
) -> None:
    task = make_task(status="completed")
    task.log_chunks.create(seq=0, text=line("Level", "odd") + line("INFO", "tell"))
    task.log_chunks.create(seq=1, text=line("WARNING", "warn") + "the needle\n" + line("ERROR", "fail"))
    texts = [text.split("books.crawl: ")[1].split("\n")[0] for _, text in entries_of_page(admin_client, task, **query)]
    assert " ".join(texts) == found
    assert ("Nothing in the log fits." in admin_client.get(url_of("change", task), query).content.decode()) == (
        not found
    )


def fill_log(task: Task, chunks: int, lines: int, width: int = 60) -> int:
    texts = ["".join(line("INFO", f"{c}-{n} {'x' * width}") for n in range(lines)) for c in range(chunks)]
    TaskLog.objects.bulk_create([TaskLog(task=task, seq=seq, text=text) for seq, text in enumerate(texts)])
    return sum(map(len, texts))


@pytest.mark.parametrize(("chunks", "lines"), [(100, 100), (1, 10_000), (3000, 3)])
def test_a_long_log_shows_its_end_says_how_much_is_above_and_stays_light(
    administrator_client: Client, chunks: int, lines: int, django_assert_max_num_queries: Any
) -> None:
    task = make_task(status="running", started_at=timezone.now())
    assert fill_log(task, chunks, lines) > 900_000 or lines == 3
    with django_assert_max_num_queries(12):
        html = page_of(administrator_client, task)
    assert html.count('data-level="INFO"') == 2000
    above = chunks * lines - 2000
    assert f'data-above="{above}"><span>{above}</span> older lines' in html
    assert f"{chunks - 1}-{lines - 1} x" in html and "INFO books.crawl: 0-0 x" not in html
    assert url_of("log", task) in html
    assert f'data-last="{chunks - 1}"' in html
    assert len(html) < 700_000


def test_only_the_end_of_a_long_log_is_read(admin_client: Client) -> None:
    task = make_task(status="completed")
    fill_log(task, 1000, 100)
    with CaptureQueriesContext(connection) as seen:
        page_of(admin_client, task)
    read = [query["sql"] for query in seen if "LIMIT" in query["sql"] and "scheduling_tasklog" in query["sql"]]
    assert len(read) == 1


@pytest.mark.parametrize("of_one_entry", [True, False])
def test_a_long_log_is_searched_without_being_held(*, of_one_entry: bool) -> None:
    task = make_task(status="completed")
    if of_one_entry:
        text = "no time of its own\n" * 2_000
        TaskLog.objects.bulk_create([TaskLog(task=task, seq=seq, text=text) for seq in range(400)])
    else:
        fill_log(task, 400, 400)
    tracemalloc.start()
    try:
        found = shown_log(task, LogQuestion.asked("", "own" if of_one_entry else "399-"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (len(found.entries), found.lines_above, found.last) == (1 if of_one_entry else 400, 0, 399)
    assert peak < 8_000_000, "of a log of 15 MB"


def test_lines_of_a_megabyte_are_cut_on_the_page(admin_client: Client) -> None:
    task = make_task(status="completed")
    task.log_chunks.create(seq=0, text=line("INFO", "before"))
    task.log_chunks.create(seq=1, text=line("INFO", "y" * 1_000_000))
    html = page_of(admin_client, task)
    assert "characters more in the downloaded log" in html and "before" in html and len(html) < 100_000
    many = make_task(status="completed")
    fill_log(many, 10, 20, width=5000)
    assert len(page_of(admin_client, many)) < 500_000


def test_a_short_log_is_whole(admin_client: Client) -> None:
    task = make_task(status="completed")
    fill_log(task, 2, 2)
    html = page_of(admin_client, task)
    assert html.count('data-level="INFO"') == 4 and 'data-above="0" hidden' in html
    empty = page_of(admin_client, make_task(status="queued"))
    assert 'data-last="-1"' in empty and "data-level" not in empty.split('id="task-log"')[1]


def test_the_log_can_be_downloaded_whole(admin_client: Client) -> None:
    task = make_task(status="completed", task_name='a/../"b"\r\n: ü.exe')
    fill_log(task, 250, 2)
    response = admin_client.get(url_of("log", task))
    assert response.streaming
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response["Content-Disposition"] == f'attachment; filename="ab-uexe-{task.pk}.log"'
    assert response["X-Content-Type-Options"] == "nosniff"
    assert b"".join(response.streaming_content).decode() == task.log_output
    assert b"".join(admin_client.get(url_of("log", make_task(task_name="ü!"))).streaming_content) == b""


def test_a_task_deleted_while_its_log_is_sent_ends_the_file(admin_client: Client) -> None:
    task = make_task(status="completed")
    fill_log(task, 250, 1)
    pieces = iter(admin_client.get(url_of("log", task)).streaming_content)
    next(pieces)
    task.delete()
    assert list(pieces) == []


def test_the_person_is_linked_for_those_who_may_see_people(admin_user: User) -> None:
    task = make_task(status="completed", cause="manual", requested_by=admin_user)
    link = f'href="/admin/auth/user/{admin_user.pk}/change/"'
    client = Client()
    client.force_login(admin_user)
    assert link in page_of(client, task)
    html = page_of(person("view_task"), task)
    assert link not in html and "a person: admin" in html


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"items_processed": 25, "progress_total": 100}, True),
        ({"items_processed": 0, "progress_total": 100}, False),
        ({"items_processed": 120, "progress_total": 100}, False),
        ({"items_processed": 25}, False),
        ({"items_processed": 25, "progress_total": 100, "status": "failed"}, False),
        ({"items_processed": 1, "progress_total": 10**18}, False),
    ],
)
def test_the_time_left_is_told_where_it_can_be(admin_client: Client, fields: dict[str, Any], shown: bool) -> None:
    task = make_task(**{"status": "running", "started_at": timezone.now() - timedelta(seconds=100), **fields})
    html = page_of(admin_client, task)
    assert (" left</span>" in html) == shown
    if fields["items_processed"] == 25 and shown:
        assert "about 5 min 00 s left" in html


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


def test_the_live_view_costs_few_queries(administrator_client: Client, django_assert_max_num_queries: Any) -> None:
    task = make_task(status="running", job=make_job())
    with django_assert_max_num_queries(6):
        administrator_client.get(url_of("live", task))


def test_the_live_view_of_no_task_is_not_found(admin_client: Client) -> None:
    assert admin_client.get("/admin/scheduling/task/999/live/").status_code == 404
    assert admin_client.get("/admin/scheduling/task/word/live/").status_code == 404


def test_the_live_view_says_when_there_is_more(admin_client: Client) -> None:
    task = make_task(status="running")
    fill_log(task, 201, 1)
    url = url_of("live", task)
    assert admin_client.get(url).json()["more"] is True
    assert admin_client.get(url, {"after": "199"}).json()["more"] is False


def test_a_task_deleted_while_it_is_watched_is_not_found(admin_client: Client) -> None:
    task = make_task(status="running")
    url = url_of("live", task)
    assert admin_client.get(url).status_code == 200
    task.delete()
    assert admin_client.get(url).status_code == 404


@pytest.mark.parametrize("address", ["", "?status=completed&cause=manual", "?q=count&date_from=2020-01-01&job=x"])
def test_the_list_costs_few_queries_among_thousands(
    administrator_client: Client, address: str, django_assert_max_num_queries: Any
) -> None:
    make_many(2000, job=make_job(), cause="manual")
    with django_assert_max_num_queries(12):
        assert len(listed(administrator_client, address)[0]) == 50
