"""The admin: permissions, POST only, effects, constant query counts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from scheduling.models import Job, Task
from tests.scheduling.making import form_data, make_job, person

FORM = "application/x-www-form-urlencoded"
pytestmark = pytest.mark.django_db

VERBS = {
    "job_run": "run_job",
    "job_pause": "pause_job",
    "job_resume": "pause_job",
    "job_restore": "change_job",
    "task_cancel": "cancel_task",
    "task_retry": "retry_task",
}


def target(verb: str) -> tuple[str, Any]:
    if verb.startswith("job"):
        row: Any = make_job(declared={"retries": 3})
        if verb == "job_resume":
            row.pause()
    else:
        row = Task.objects.create(
            task_name="t", function="sample.noop", status="queued" if "cancel" in verb else "failed"
        )
    return reverse(f"admin:scheduling_{verb}", args=[row.pk]), row


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("permission", ["", *sorted(set(VERBS.values()))])
def test_each_action_needs_its_own_permission(verb: str, permission: str) -> None:
    url, row = target(verb)
    response = person("view_job", "view_task", *filter(None, [permission])).post(url)
    assert response.status_code == (302 if permission == VERBS[verb] else 403)
    assert LogEntry.objects.filter(object_id=str(row.pk)).exists() == (permission == VERBS[verb])


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_changes_by_get_or_without_a_token_or_signed_out(verb: str, admin_user: User) -> None:
    url, _ = target(verb)
    client = Client(enforce_csrf_checks=True)
    assert client.post(url).status_code in (302, 403)
    client.force_login(admin_user)
    assert client.get(url).status_code == 302
    assert client.post(url).status_code == 403
    assert not LogEntry.objects.exists()


def test_run_pause_and_resume(admin_client: Client) -> None:
    job = make_job()
    admin_client.post(reverse("admin:scheduling_job_run", args=["x"]))
    task = job.tasks.get()
    assert (task.arguments, task.cause, str(task.requested_by)) == ({}, "manual", "admin")
    admin_client.post(
        reverse("admin:scheduling_job_pause", args=["x"]), {"reason": "holiday", "until": "2099-01-01T00:00"}
    )
    job = Job.objects.by_id("x")
    assert (job.paused_reason, job.is_paused) == ("holiday", True)
    admin_client.post(reverse("admin:scheduling_job_resume", args=["x"]))
    assert not Job.objects.by_id("x").is_paused


@pytest.mark.parametrize(
    ("verb", "data", "sentence"),
    [
        ("pause", {"until": "soon"}, "not a date"),
        ("pause", {"until": "2000-01-01T00:00"}, "in the future"),
    ],
)
def test_bad_input_is_explained(admin_client: Client, verb: str, data: dict[str, str], sentence: str) -> None:
    make_job()
    response = admin_client.post(reverse(f"admin:scheduling_job_{verb}", args=["x"]), data, follow=True)
    assert any(sentence in str(message) for message in response.context["messages"])
    assert not Task.objects.exists() and not Job.objects.by_id("x").is_paused


def test_an_edited_schedule_moves_the_next_run_and_another_edit_does_not(admin_client: Client) -> None:
    job = make_job()
    url = reverse("admin:scheduling_job_change", args=["x"])
    before = job.next_run_time
    assert admin_client.post(url, form_data(name="New")).status_code == 302
    assert (Job.objects.by_id("x").name, Job.objects.by_id("x").next_run_time) == ("New", before)
    assert admin_client.post(url, form_data(cron="30 4 * * *")).status_code == 302
    moved = Job.objects.by_id("x").next_run_time
    assert moved is not None and (moved.hour, moved.minute) == (4, 30)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("cron", "0 25 * * *", "hour"),
        ("timezone", "Mars/Olympus", "Mars/Olympus"),
        ("arguments", '{"nothing": 1}', "no argument of this name"),
        ("max_instances", "0", "At least one"),
    ],
)
def test_a_mistake_is_explained_beside_its_field(admin_client: Client, field: str, value: str, sentence: str) -> None:
    make_job()
    response = admin_client.post(reverse("admin:scheduling_job_change", args=["x"]), form_data(**{field: value}))
    assert response.status_code == 200
    assert sentence in str(response.context["adminform"].form.errors[field])


def test_a_job_can_be_added_and_deleted(admin_client: Client) -> None:
    response = admin_client.post(reverse("admin:scheduling_job_add"), {"id": "new", **form_data()})
    assert response.status_code == 302
    assert Job.objects.by_id("new").next_run_time is not None
    admin_client.post(reverse("admin:scheduling_job_delete", args=["new"]), {"post": "yes"})
    assert not Job.objects.filter(pk="new").exists()


def test_an_unresolvable_job_is_shown_as_such(admin_client: Client) -> None:
    make_job()
    Job.objects.update(function="gone.away")
    assert b"unresolvable" in admin_client.get(reverse("admin:scheduling_job_changelist")).content
    assert b"has no such function" in admin_client.get(reverse("admin:scheduling_job_change", args=["x"])).content


@pytest.mark.parametrize("page", ["job_changelist", "task_changelist"])
def test_lists_cost_the_same_queries_at_any_length(
    administrator_client: Client, page: str, django_assert_max_num_queries: Any
) -> None:
    for number in range(60):
        job = make_job(f"j{number}")
        Task.objects.create(
            job=job, task_name="t", status="completed", started_at=timezone.now(), finished_at=timezone.now()
        )
    with django_assert_max_num_queries(12):
        assert administrator_client.get(reverse(f"admin:scheduling_{page}")).status_code == 200


def test_hostile_texts_are_escaped(admin_client: Client) -> None:
    evil = "<script>alert(1)</script>"
    task = Task.objects.create(task_name=evil, status="failed", error_message=evil, reason=evil, result={"x": evil})
    task.log_chunks.create(seq=0, text=evil)
    Job.objects.filter(pk=make_job(name=evil).pk).update(paused_at=timezone.now(), paused_reason=evil)
    for url in (
        reverse("admin:scheduling_task_change", args=[task.pk]),
        reverse("admin:scheduling_task_changelist"),
        reverse("admin:scheduling_job_changelist"),
    ):
        assert evil not in admin_client.get(url).content.decode()


def test_the_live_view_tells_what_changed(admin_client: Client) -> None:
    task = Task.objects.create(task_name="t", status="running", progress_total=10, items_processed=3)
    task.log_chunks.create(seq=0, text="one\n")
    task.log_chunks.create(seq=1, text="two\n")
    answer = admin_client.get(reverse("admin:scheduling_task_live", args=[task.pk]), {"after": "0"}).json()
    assert (answer["log"], answer["last"], answer["active"], answer["total"]) == ("two\n", 1, True, 10)
    url = reverse("admin:scheduling_task_live", args=[task.pk])
    stranger = Client()
    stranger.force_login(User.objects.create_user("stranger", is_staff=True))
    assert stranger.get(url).status_code in (302, 403, 404)


def test_the_task_list_and_page_open(admin_client: Client) -> None:
    task = Task.objects.create(task_name="t", status="running", started_at=timezone.now() - timedelta(seconds=3))
    assert (
        admin_client.get(reverse("admin:scheduling_task_changelist"), {"q": "t", "status": "running"}).status_code
        == 200
    )
    assert b"Cancel" in admin_client.get(reverse("admin:scheduling_task_change", args=[task.pk])).content


def test_a_nul_in_a_field_is_no_error_page(admin_client: Client) -> None:
    make_job()
    url = reverse("admin:scheduling_job_changelist")
    for data in ({"action": "run_selected", "_selected_action": "\0"}, {"action": "run_selected\0"}):
        assert admin_client.post(url, data).status_code == 400
        assert admin_client.post(url, urlencode(data), content_type=FORM).status_code == 400
    upload = SimpleUploadedFile("x", b"\0")
    assert (
        admin_client.post(url, {"action": "run_selected", "_selected_action": "x", "file": upload}).status_code == 302
    )
    assert Task.objects.count() == 1


def test_a_form_of_before_the_sign_in_gets_a_sentence_and_a_way_back(admin_user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    response = client.post(reverse("admin:scheduling_job_changelist"), {"action": "run_selected"})
    html = response.content.decode()
    assert response.status_code == 403
    assert "Load the page anew" in html and 'href="/admin/"' in html
