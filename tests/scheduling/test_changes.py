"""Every change of a Job is written down, with who and what, and can be taken back."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from datetime import timezone as fixed
from typing import Any

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from scheduling import scheduler
from scheduling.changes import undo
from scheduling.dispatch import Dispatcher
from scheduling.display import change_url
from scheduling.exceptions import NotAllowedNow, UnknownJob
from scheduling.models import Job, JobChange, SchedulerProcess, Task
from tests.scheduling.making import form_data, four_at_once, make_job, person

EVIL = "<script>alert('x')</script>"
LIST = "/admin/scheduling/job/"
CHANGES = "/admin/scheduling/jobchange/"


def edit(job_id: str = "x", by: User | None = None, **fields: Any) -> JobChange:
    job = Job.objects.by_id(job_id)
    for name, value in fields.items():
        setattr(job, name, value)
    job.save_definition(by=by)
    return newest(job_id)


def newest(job_id: str = "x") -> JobChange:
    return JobChange.objects.filter(job_key=job_id).order_by("-pk")[0]


def kinds(job_id: str = "x") -> list[str]:
    return list(JobChange.objects.filter(job_key=job_id).order_by("pk").values_list("kind", flat=True))


def undo_url(change: JobChange) -> str:
    return reverse("admin:scheduling_jobchange_undo", args=[change.pk])


@pytest.mark.django_db
class TestRecords:
    def test_what_a_person_does_in_the_admin_is_theirs(self, admin_client: Client, admin_user: User) -> None:
        admin_client.post(f"{LIST}add/", form_data(id="x"))
        admin_client.post(f"{LIST}x/change/", form_data(cron="30 4 * * *", retries="2"))
        change = newest()
        assert (change.by, change.changed) == (admin_user, ["cron", "retries"])
        assert change.before is not None and change.after is not None
        assert (change.before["cron"], change.after["cron"]) == ("0 2 * * *", "30 4 * * *")
        for step in ("pause", "resume"):
            admin_client.post(reverse(f"admin:scheduling_job_{step}", args=["x"]), {"reason": "r"})
        for action in ("pause_selected", "resume_selected"):
            admin_client.post(LIST, {"action": action, "_selected_action": ["x"]})
        Job.objects.update(declared={"retries": 5})
        admin_client.post(reverse("admin:scheduling_job_restore", args=["x"]))
        admin_client.post(f"{LIST}x/delete/", {"post": "yes"})
        assert kinds() == ["created", "edited", "paused", "resumed", "paused", "resumed", "restored", "deleted"]
        assert set(JobChange.objects.filter(job_key="x").values_list("by", flat=True)) == {admin_user.pk}
        assert newest().after is None

    def test_what_commands_and_code_do_is_nobodys(self) -> None:
        scheduler.declare_jobs()
        assert kinds("unreliable") == ["code"]
        assert newest("unreliable").before is None
        scheduler.declare_jobs()
        call_command("jobs", "pause", "unreliable", "--reason", "r")
        call_command("jobs", "resume", "unreliable")
        Job.objects.filter(pk="unreliable").update(declared={**Job.objects.get(pk="unreliable").declared, "retries": 9})
        Job.objects.filter(pk="unreliable").update(retries=9)
        scheduler.declare_jobs()
        assert kinds("unreliable") == ["code", "paused", "resumed", "code"]
        assert newest("unreliable").changed == ["retries"]
        scheduler.remove_job("unreliable")
        assert kinds("unreliable")[-1] == "deleted"
        assert not JobChange.objects.exclude(by=None).exists()

    def test_no_record_where_nothing_changed(self) -> None:
        job = make_job(
            trigger="once", run_at=datetime(2099, 1, 1, 12, 0, 0, 123456, tzinfo=fixed(timedelta(hours=2))), cron=""
        )
        job.save_definition()
        Job.objects.by_id("x").save_definition()
        job.run_at = datetime(2099, 1, 1, 10, 0, 0, 123456, tzinfo=UTC)
        job.save_definition()
        Job.objects.by_id("x").resume()
        assert kinds() == ["created"]

    def test_a_refused_change_leaves_no_record(self) -> None:
        make_job()
        with pytest.raises(ValueError):
            edit(cron="nonsense")
        with pytest.raises(ValueError):
            Job.objects.by_id("x").pause(until=timezone.now())
        assert kinds() == ["created"]

    def test_a_stale_object_does_not_falsify_what_was_before(self) -> None:
        stale = make_job()
        edit(retries=3)
        stale.cron = "1 1 * * *"
        stale.save_definition()
        change = newest()
        assert change.before is not None and change.before["retries"] == 3
        assert change.changed == ["cron", "retries"]

    def test_the_schedulers_own_pause_of_an_unreadable_job_is_written_down(self) -> None:
        make_job()
        Job.objects.filter(pk="x").update(cron="nonsense")
        Job.objects.by_id("x").runtime.__class__.objects.update(next_run_time=timezone.now())
        process = SchedulerProcess.register("scheduler")
        Dispatcher(process).dispatch_due(timezone.now(), room=1, ended=Counter())
        change = newest()
        assert (change.kind, change.by) == ("paused", None)
        assert change.after is not None and "cannot be read" in change.after["paused_reason"]

    def test_a_declared_job_costs_one_insert_more(self) -> None:
        job = Job(id="y", name="y", function="sample.noop", cron="0 2 * * *")
        with CaptureQueriesContext(connection) as asked:
            job.save_definition()
        assert sum("jobchange" in query["sql"] for query in asked) == 1


@pytest.mark.django_db
class TestUndo:
    def test_it_brings_back_its_own_fields_and_leaves_later_ones(self, admin_user: User) -> None:
        make_job()
        first = edit(cron="30 4 * * *", timeout=timedelta(hours=1))
        edit(retries=4, name="Other")
        assert undo(first, by=admin_user) == "Undone: cron, timeout."
        job = Job.objects.by_id("x")
        assert (job.cron, job.timeout, job.retries, job.name) == ("0 2 * * *", None, 4, "Other")
        assert job.next_run_time is not None and job.next_run_time.hour == 2
        record = newest()
        assert (record.kind, record.by, record.changed) == ("undone", admin_user, ["cron", "timeout"])

    def test_an_undo_can_be_undone(self) -> None:
        make_job()
        undo(edit(cron="30 4 * * *"))
        undo(newest())
        assert Job.objects.by_id("x").cron == "30 4 * * *"

    def test_it_refuses_what_was_changed_again_and_names_it(self) -> None:
        make_job()
        first = edit(cron="30 4 * * *", retries=2)
        edit(cron="45 5 * * *")
        with pytest.raises(NotAllowedNow, match="Changed again since then: cron"):
            undo(first)
        assert (Job.objects.by_id("x").cron, Job.objects.by_id("x").retries) == ("45 5 * * *", 2)
        with pytest.raises(NotAllowedNow):
            undo(JobChange.objects.get(kind="created"))
        second = newest()
        undo(second)
        with pytest.raises(NotAllowedNow):
            undo(second)

    def test_pauses(self) -> None:
        job = make_job()
        job.pause(reason="holiday", until=timezone.now() + timedelta(days=3))
        undo(newest())
        job = Job.objects.by_id("x")
        assert not job.is_paused and job.next_run_time is not None
        undo(newest())
        job = Job.objects.by_id("x")
        assert (job.is_paused, job.paused_reason) == (True, "holiday")
        assert job.next_run_time is not None and job.next_run_time > timezone.now() + timedelta(days=2)
        job.resume()
        undo(newest())
        assert Job.objects.by_id("x").is_paused

    @pytest.mark.parametrize(
        "fields",
        [
            {"trigger": "interval", "interval": timedelta(minutes=5), "cron": ""},
            {"trigger": "once", "run_at": datetime(2099, 1, 1, tzinfo=UTC), "cron": ""},
            {"arguments": {"items": 3}, "timezone": "Europe/Berlin", "misfire_grace": None, "coalesce": False},
        ],
    )
    def test_every_kind_of_field_comes_back_as_it_was(self, fields: dict[str, Any]) -> None:
        before = make_job(**fields).snapshot()
        change = edit(
            trigger="cron", cron="1 1 * * *", interval=None, run_at=None, anchor=None, arguments={"items": 1},
            timezone="", misfire_grace=timedelta(1), coalesce=True,
        )  # fmt: skip
        undo(change)
        assert Job.objects.by_id("x").snapshot() == before

    def test_a_deleted_job_is_made_again_with_its_pause(self) -> None:
        job = make_job(arguments={"items": 3}, retries=2)
        task = job.run_now()
        job.pause(reason="holiday")
        before = Job.objects.by_id("x").snapshot()
        job.remove()
        sentence = undo(newest())
        again = Job.objects.by_id("x")
        assert again.snapshot() == before and again.next_run_time is None
        assert "without it" in sentence
        task.refresh_from_db()
        assert task.job is None
        with pytest.raises(NotAllowedNow, match="again"):
            undo(JobChange.objects.get(kind="deleted"))

    def test_a_one_off_job_that_may_have_run_is_not_made_again(self) -> None:
        job = make_job(trigger="once", run_at=timezone.now() - timedelta(seconds=5))
        job.remove()
        with pytest.raises(NotAllowedNow, match="gone by"):
            undo(newest())
        assert not Job.objects.exists()

    def test_a_change_of_a_job_that_is_gone_says_so(self) -> None:
        job = make_job()
        change = edit(retries=1)
        job.remove()
        with pytest.raises(UnknownJob, match="deleted since"):
            undo(change)

    def test_what_would_not_work_any_more_is_refused(self) -> None:
        make_job(arguments={"items": 3})
        change = edit(arguments={})
        edit(function="sample.noop")
        with pytest.raises(ValidationError, match="no argument of this name"):
            undo(change)
        assert Job.objects.by_id("x").arguments == {}

    def test_a_job_whose_function_is_gone_can_be_put_back(self) -> None:
        make_job()
        change = edit(retries=3)
        Job.objects.update(function="gone.away")
        undo(change)
        assert Job.objects.by_id("x").retries == 0


@pytest.mark.django_db
class TestWhatIsOver:
    def test_a_pause_that_ran_out_is_written_down_as_over_and_not_brought_back(self) -> None:
        begin = timezone.now()
        with time_machine.travel(begin - timedelta(hours=2)):
            make_job(cron="* * * * *").pause(until=begin - timedelta(hours=1))
        pause = newest()
        Dispatcher(SchedulerProcess.register("scheduler")).dispatch_due(timezone.now(), room=4, ended=Counter())
        assert kinds() == ["created", "paused", "resumed"]
        assert (newest().by, Job.objects.by_id("x").paused_at) == (None, None)
        with pytest.raises(NotAllowedNow, match="later change"):
            undo(pause)
        with pytest.raises(NotAllowedNow, match="over already"):
            undo(newest())

    def test_resuming_is_not_undone_once_the_pause_is_over(self) -> None:
        begin = timezone.now()
        with time_machine.travel(begin - timedelta(hours=2)):
            job = make_job()
            job.pause(until=begin - timedelta(hours=1))
            job.resume()
        with pytest.raises(NotAllowedNow, match="over already"):
            undo(newest())
        assert kinds() == ["created", "paused", "resumed"]

    def test_a_pause_in_place_of_one_that_is_over_can_be_undone(self) -> None:
        begin = timezone.now()
        with time_machine.travel(begin - timedelta(hours=2)):
            make_job().pause(until=begin - timedelta(hours=1))
        Job.objects.by_id("x").pause(reason="again")
        undo(newest())
        assert not Job.objects.by_id("x").is_paused

    def test_a_job_made_again_differs_from_its_default_as_before(self) -> None:
        make_job(declared={"retries": 5})
        differences = Job.objects.by_id("x").differences_from_default()
        Job.objects.by_id("x").remove()
        undo(newest())
        assert differences == Job.objects.by_id("x").differences_from_default() == {"retries": (5, 0)}


@pytest.mark.django_db
class TestStaleObjects:
    def test_back_to_default_takes_back_only_what_is_declared(self) -> None:
        stale = make_job(declared={"retries": 5})
        edit(timeout=timedelta(minutes=1))
        assert stale.restore_default() == ["retries"]
        assert (newest().kind, newest().changed) == ("restored", ["retries"])
        assert (stale.retries, stale.timeout) == (5, timedelta(minutes=1))

    def test_nothing_is_written_down_where_nothing_differs(self) -> None:
        assert make_job(declared={"retries": 0}).restore_default() == []
        assert kinds() == ["created"]

    def test_an_edit_keeps_what_code_has_declared_meanwhile(self) -> None:
        make_job()
        stale = Job.objects.by_id("x")
        Job.objects.by_id("x").take_over({"retries": 5})
        stale.name = "other"
        stale.save_definition()
        assert Job.objects.by_id("x").declared == {"retries": 5}


@pytest.mark.django_db(transaction=True)
def test_two_who_undo_at_once_undo_it_once() -> None:
    make_job()
    change = edit(retries=3)
    results = four_at_once(lambda: undo(JobChange.objects.get(pk=change.pk)))
    assert results == ["done", "refused", "refused", "refused"]
    assert kinds() == ["created", "edited", "undone"]


@pytest.mark.django_db
class TestPages:
    def test_the_page_of_a_job_shows_who_changed_what_and_undoes_it(
        self, admin_client: Client, admin_user: User
    ) -> None:
        make_job()
        change = edit(by=admin_user, cron="30 4 * * *", timeout=timedelta(minutes=90), misfire_grace=None)
        html = " ".join(admin_client.get(f"{LIST}x/change/").content.decode().split())
        assert "<del>0 2 * * *</del> → <ins>30 4 * * *</ins>" in html
        assert "<del>–</del> → <ins>1 h 30 min</ins>" in html and "<del>15 min 00 s</del> → <ins>–</ins>" in html
        assert f'formaction="{undo_url(change)}"' in html
        came_from = f"http://testserver{LIST}x/change/"
        response = admin_client.post(undo_url(change), headers={"referer": came_from})
        assert response["Location"] == came_from
        assert Job.objects.by_id("x").cron == "0 2 * * *"
        assert LogEntry.objects.get().change_message.startswith("Undone: cron")
        assert "Undone" in admin_client.get(f"{LIST}x/history/").content.decode()
        response = admin_client.post(undo_url(change), headers={"referer": came_from}, follow=True)
        assert any("Changed again since then" in str(message) for message in response.context["messages"])

    @pytest.mark.parametrize("kind", ["edited", "paused", "deleted"])
    def test_an_undo_needs_the_permission_of_what_it_amounts_to(self, kind: str) -> None:
        job = make_job()
        if kind == "edited":
            edit(retries=3)
        elif kind == "paused":
            job.pause()
        else:
            job.remove()
        change, wanted = newest(), {"edited": "change_job", "paused": "pause_job", "deleted": "add_job"}[kind]
        others = {"change_job", "pause_job", "add_job", "delete_job", "run_job"} - {wanted}
        client = person(*others, "view_job", "view_jobchange", "change_jobchange")
        assert client.post(undo_url(change)).status_code == 403
        assert undo_url(change) not in client.get(CHANGES).content.decode()
        client = person(wanted, "view_job", "view_jobchange")
        assert undo_url(change) in client.get(CHANGES).content.decode()
        assert client.get(undo_url(change)).status_code == 302
        assert client.post(undo_url(change)).status_code == 302
        assert newest().kind == "undone"

    def test_not_without_a_token_and_not_what_is_not_there(self, admin_user: User, admin_client: Client) -> None:
        make_job()
        change = edit(retries=3)
        client = Client(enforce_csrf_checks=True)
        client.force_login(admin_user)
        assert client.post(undo_url(change)).status_code == 403
        assert Job.objects.by_id("x").retries == 3
        for number in (0, change.pk + 1000, 10**30):
            assert admin_client.post(f"{CHANGES}{number}/undo/").status_code == 404

    def test_deleted_jobs_are_found_in_the_list_and_nothing_is_edited_there(self, admin_client: Client) -> None:
        make_job("there"), make_job("gone").remove()
        html = admin_client.get(CHANGES).content.decode()
        assert "gone (deleted)" in html and f"{LIST}there/change/" in html
        found = admin_client.get(f"{CHANGES}?job_key__exact=gone").context["cl"].result_list
        assert {change.job_key for change in found} == {"gone"}
        for page in ("add/", f"{newest('gone').pk}/change/", f"{newest('gone').pk}/delete/"):
            assert admin_client.post(f"{CHANGES}{page}", {"post": "yes"}).status_code == 403
        assert admin_client.get(f"{CHANGES}{newest('gone').pk}/change/").status_code == 200
        admin_client.post(undo_url(newest("gone")))
        assert Job.objects.filter(pk="gone").exists()

    def test_hostile_and_huge_texts(self, admin_client: Client) -> None:
        make_job(EVIL, name=EVIL)
        edit(EVIL, name=EVIL + "2", function="sample.mark", arguments={"path": EVIL * 2000})
        Job.objects.by_id(EVIL).pause(reason=EVIL)
        url = change_url(Job(pk=EVIL))
        Job.objects.by_id(EVIL).remove()
        undo(newest(EVIL))
        for page in (url, CHANGES, f"{CHANGES}?q={EVIL}"):
            response = admin_client.get(page)
            assert response.status_code == 200
            assert EVIL not in response.content.decode() and len(response.content) < 600_000
        assert "…" in admin_client.get(CHANGES).content.decode()

    @pytest.mark.parametrize("count", [3, 60])
    def test_the_pages_cost_the_same_queries_at_any_number(
        self, administrator_client: Client, django_assert_max_num_queries: Any, count: int
    ) -> None:
        make_job()
        for number in range(count):
            edit(retries=number + 1)
        with django_assert_max_num_queries(9):
            html = administrator_client.get(CHANGES).content.decode()
        with django_assert_max_num_queries(12):
            html = administrator_client.get(f"{LIST}x/change/").content.decode()
        assert html.count("/undo/") == min(count, 20)
        assert not Task.objects.exists()

    @pytest.mark.parametrize("was", [1, None])
    def test_a_field_that_only_another_release_knows_is_shown_and_not_brought_back(
        self, admin_client: Client, was: int | None
    ) -> None:
        values = make_job().snapshot()
        change = JobChange.objects.create(
            job_key="x", kind="edited", before={**values, "weight": 2}, after={**values, "weight": was}
        )
        for page in (CHANGES, f"{LIST}x/change/"):
            assert "Weight" in admin_client.get(page).content.decode()
        with pytest.raises(NotAllowedNow, match="Changed again since then: weight"):
            undo(change)


@pytest.mark.django_db
def test_an_undo_brings_back_no_time_that_has_gone_by() -> None:
    """The Task of its run may have been cleaned up, and it would run again."""
    job = make_job(trigger="once", cron="", run_at=timezone.now() - timedelta(days=40))
    job.trigger, job.cron, job.run_at = "cron", "0 3 * * *", None
    job.save_definition()
    with pytest.raises(NotAllowedNow, match="gone by"):
        undo(JobChange.objects.filter(job_key=job.pk).first())
    assert Job.objects.by_id(job.pk).trigger == "cron"
