"""The switch that pauses everything: what it holds back, what it lets through, and what comes after it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_apscheduler.models import DjangoJob

from scheduling.dispatch import Dispatcher
from scheduling.exceptions import NotAllowedNow
from scheduling.health import problems
from scheduling.models import Job, PauseOfAll, SchedulerProcess, Task
from scheduling.outcomes import Ended, Outcome, record
from scheduling.pauses import current_pause, pause_everything, resume_everything
from tests.scheduling.making import four_at_once, person
from tests.scheduling.processes import SchedulerUnderTest, is_done_within, running_scheduler, wait_until

EVIL = "<script>alert('x')</script>"
LIST = "/admin/scheduling/job/"


def make_job(id: str = "x", **fields: Any) -> Job:
    job = Job(id=id, **{"name": f"Job {id}", "function": "sample.noop", "cron": "* * * * *", **fields})
    job.save_definition()
    return job


def paused_for(time: timedelta = timedelta(minutes=1)) -> None:
    pause_everything()
    PauseOfAll.objects.update(began_at=timezone.now() - time)


def make_due(id: str = "x", *, since: timedelta = timedelta(seconds=5), **fields: Any) -> Job:
    make_job(id, **fields)
    DjangoJob.objects.filter(pk=id).update(next_run_time=timezone.now() - since)
    return Job.objects.by_id(id)


def dispatcher() -> Dispatcher:
    return Dispatcher(SchedulerProcess.register("scheduler"))


def dispatch(by: Dispatcher) -> list[Task]:
    done = by.dispatch_due(timezone.now(), room=10, ended=Counter())
    return [*done.started, *done.queued, *done.recorded]


@pytest.mark.django_db
class TestTheSwitch:
    def test_it_is_on_once_and_says_who_and_why(self, admin_user: User) -> None:
        assert current_pause() is None
        pause_everything(by=admin_user, reason="the disk is full")
        pause = current_pause()
        assert pause is not None and (pause.began_by, pause.reason) == (admin_user, "the disk is full")
        with pytest.raises(NotAllowedNow):
            pause_everything()
        resume_everything(by=admin_user)
        assert current_pause() is None
        assert PauseOfAll.objects.get().ended_by == admin_user
        with pytest.raises(NotAllowedNow):
            resume_everything()
        pause_everything(reason="x" * 1000)
        assert PauseOfAll.objects.count() == 2

    def test_nothing_due_is_dispatched_while_it_is_on_and_nothing_is_caught_up_after(self) -> None:
        scheduler = dispatcher()
        make_due()
        paused_for()
        assert dispatch(scheduler) == []
        assert scheduler.upcoming(timezone.now() + timedelta(hours=1)) == []
        before = timezone.now()
        assert resume_everything() == 1
        assert dispatch(scheduler) == []
        moment = Job.objects.by_id("x").next_run_time
        assert moment is not None and before < moment <= timezone.now() + timedelta(minutes=1)
        assert not Task.objects.exists()
        make_due("y")
        assert [task.job_id for task in dispatch(scheduler)] == ["y"]

    def test_it_costs_a_dispatch_no_statement(self) -> None:
        scheduler = dispatcher()
        dispatch(scheduler)
        with CaptureQueriesContext(connection) as off:
            dispatch(scheduler)
        paused_for()
        with CaptureQueriesContext(connection) as on:
            dispatch(scheduler)
        statements = [query["sql"] for query in off if "SELECT" in query["sql"]]
        assert len(statements) == 1 == len([query for query in on if "SELECT" in query["sql"]])

    @pytest.mark.parametrize("grace", [timedelta(seconds=60), None])
    def test_a_one_off_job_of_that_time_runs_once_at_the_end(self, grace: timedelta | None) -> None:
        scheduler = dispatcher()
        meant = timezone.now() - timedelta(hours=2)
        make_job(trigger="once", run_at=meant, misfire_grace=grace)
        paused_for(timedelta(hours=3))
        assert dispatch(scheduler) == []
        resume_everything()
        (task,) = dispatch(scheduler)
        assert (task.status, task.fire_time) == ("running", meant)
        job = Job.objects.by_id("x")
        assert job.next_run_time is None
        # It is known to have run, whatever makes it look again.
        job.pause()
        job.resume()
        assert Job.objects.by_id("x").next_run_time is None

    def test_a_one_off_job_put_off_by_its_own_pause_does_not_run_twice(self) -> None:
        meant = timezone.now() + timedelta(seconds=1)
        job = make_job(trigger="once", run_at=meant)
        job.pause(until=timezone.now() + timedelta(hours=1))
        moment = Job.objects.by_id("x").next_run_time
        assert moment is not None
        done = dispatcher().dispatch_due(moment + timedelta(seconds=1), room=1, ended=Counter())
        assert [task.fire_time for task in done.started] == [meant]
        job.pause()
        job.resume()
        assert Job.objects.by_id("x").next_run_time is None

    def test_a_paused_job_stays_paused_and_a_job_not_due_keeps_its_time(self) -> None:
        make_job("paused").pause(reason="own")
        later = make_job("later", cron="0 0 1 1 *").next_run_time
        paused_for()
        assert resume_everything() == 0
        assert Job.objects.by_id("paused").paused_reason == "own"
        assert Job.objects.by_id("paused").next_run_time is None
        assert Job.objects.by_id("later").next_run_time == later

    def test_one_unreadable_schedule_holds_up_no_other(self) -> None:
        make_due("bad")
        make_due("good")
        Job.objects.filter(pk="bad").update(cron="nonsense")
        paused_for()
        assert resume_everything() == 1
        good = Job.objects.by_id("good").next_run_time
        assert good is not None and good > timezone.now()
        assert dispatch(dispatcher()) == []
        assert Job.objects.by_id("bad").is_paused

    def test_it_holds_back_retries_and_queued_runs_of_the_schedule(self) -> None:
        scheduler = dispatcher()
        job = make_job(cron="0 0 1 1 *", max_instances=9)
        failed = Task.for_job(job, status="failed", arguments={})
        failed.save()
        retry = Task.follow_up(failed, job=job, delay=timedelta(seconds=1))
        retry.not_before = timezone.now() - timedelta(seconds=1)
        retry.save()
        scheduled = Task.for_job(job, fire_time=timezone.now())
        scheduled.save()
        behind = Task.for_job(job, fire_time=timezone.now() + timedelta(seconds=1), waiting=True)
        behind.save()
        paused_for()
        assert scheduler.admit_waiting(timezone.now()) == (None, set())
        assert scheduler.queued_tasks(10) == []
        assert scheduler.claim([scheduled]) == []
        resume_everything()
        scheduler.admit_waiting(timezone.now())
        assert {task.pk for task in scheduler.queued_tasks(10)} == {retry.pk, scheduled.pk, behind.pk}
        assert len(scheduler.claim([scheduled])) == 1

    def test_what_a_person_asks_for_starts(self, admin_user: User) -> None:
        scheduler = dispatcher()
        job = make_job(cron="0 0 1 1 *", max_instances=9)
        failed = Task.for_job(job, status="failed")
        failed.save()
        paused_for()
        asked = [job.run_now(user=admin_user), job.run_now(), failed.retry(user=admin_user), failed.retry()]
        Task.objects.filter(pk=asked[0].pk).update(waiting=True)
        scheduler.admit_waiting(timezone.now())
        assert [task.pk for task in scheduler.claim(scheduler.queued_tasks(10))] == [task.pk for task in asked]

    def test_many_jobs_are_resumed_by_few_statements(self) -> None:
        Job.objects.bulk_create(
            Job(id=f"j{n}", runtime=DjangoJob.objects.create(id=f"j{n}", next_run_time=timezone.now(), job_state=b""),
                name="j", function="sample.noop", trigger="cron", cron=f"{n % 60} * * * *")
            for n in range(1200)
        )  # fmt: skip
        paused_for()
        # A minute that begins meanwhile is a fire time of some.
        resumed = timezone.now()
        with CaptureQueriesContext(connection) as asked:
            assert resume_everything() == 1200
        assert len(asked) < 20
        assert not Job.objects.due(resumed).exists()

    def test_a_pause_is_no_problem_and_is_said(self) -> None:
        SchedulerProcess.register("scheduler")
        make_due(since=timedelta(hours=1))
        assert "overdue" in problems(overdue=timedelta(seconds=60))[0]
        pause_everything(reason="moving house")
        assert problems(overdue=timedelta(seconds=60)) == []
        out = StringIO()
        call_command("checkscheduler", stdout=out)
        assert "everything is paused" in out.getvalue().lower() and "moving house" in out.getvalue()
        SchedulerProcess.objects.all().delete()
        with pytest.raises(CommandError, match="No scheduler is alive"):
            call_command("checkscheduler")

    def test_the_command_pauses_and_resumes_everything(self) -> None:
        out = StringIO()
        call_command("jobs", "pause", "--all", "--reason", "holiday", stdout=out)
        pause = current_pause()
        assert pause is not None and pause.reason == "holiday"
        with pytest.raises(CommandError, match="already"):
            call_command("jobs", "pause", "--all")
        call_command("jobs", "resume", "--all", stdout=out)
        assert current_pause() is None
        for wrong in (
            ["pause"],
            ["resume"],
            ["pause", "x", "--all"],
            ["pause", "--all", "--until", "2099-01-01T00:00"],
        ):
            with pytest.raises(CommandError):
                call_command("jobs", *wrong)
        assert current_pause() is None


@pytest.mark.django_db
class TestWhatIsHeldBack:
    def test_a_retry_without_delay_is_held_back_too(self) -> None:
        job = make_job(retries=3, retry_delay=timedelta(0))
        process = SchedulerProcess.register("scheduler")
        task = Task.for_job(job, status="running", owner=process)
        task.save()
        pause_everything()
        record([Ended(task.pk, Outcome(status="failed"), timezone.now())], owner=process)
        dispatcher = Dispatcher(process)
        assert task.retries.count() == 1
        assert not dispatcher.queued_tasks(10) and not dispatcher.claim(list(task.retries.all()))
        resume_everything()
        assert [one.pk for one in dispatcher.queued_tasks(10)] == [task.retries.get().pk]

    def test_what_is_held_back_keeps_no_instance_from_what_a_person_asks_for(self) -> None:
        job = make_job()
        held = Task.for_job(job, fire_time=timezone.now())
        held.save()
        pause_everything()
        asked = job.run_now()
        assert not asked.waiting
        dispatcher = Dispatcher(SchedulerProcess.register("scheduler"))
        dispatcher.admit_waiting(timezone.now())
        assert [task.pk for task in dispatcher.queued_tasks(10)] == [asked.pk]
        Task.objects.filter(pk=asked.pk).delete()
        resume_everything()
        dispatcher.admit_waiting(timezone.now())
        assert [task.pk for task in dispatcher.queued_tasks(10)] == [held.pk]

    def test_a_one_off_run_that_was_put_off_after_it_had_run_is_not_tried_for_ever(self) -> None:
        """As after a clock was set back: its Task is there, at the time that it was planned for."""
        planned = timezone.now() - timedelta(minutes=5)
        job = make_job(trigger="once", run_at=planned)
        ran = Task.for_job(job, fire_time=planned, status="completed")
        ran.save()
        DjangoJob.objects.filter(pk=job.pk).update(next_run_time=planned + timedelta(minutes=4))
        assert dispatch(dispatcher()) == []
        assert Job.objects.by_id(job.pk).next_run_time is None
        assert list(job.tasks.all()) == [ran]

    def test_what_was_due_before_the_pause_is_run_or_recorded_after_it(self) -> None:
        before, within = make_job("before"), make_job("within")
        pause_everything()
        now = timezone.now()
        PauseOfAll.objects.update(began_at=now - timedelta(minutes=10))
        for job, minutes in ((before, 20), (within, 5)):
            type(job.runtime).objects.filter(pk=job.pk).update(next_run_time=now - timedelta(minutes=minutes))
        resume_everything()
        dispatcher = Dispatcher(SchedulerProcess.register("scheduler"))
        dispatcher.dispatch_due(timezone.now(), room=5, ended=Counter())
        assert before.tasks.exists() and not within.tasks.exists()


@pytest.mark.django_db
class TestThePages:
    PAGES = ["/admin/", LIST, f"{LIST}x/change/", "/admin/scheduling/task/", "/admin/scheduling/schedulerprocess/"]

    @pytest.mark.parametrize("page", PAGES)
    def test_every_page_says_so_with_a_button_for_those_who_may(self, page: str) -> None:
        make_job()
        resume = reverse("admin:scheduling_resume_everything")
        views = ("view_job", "view_task", "view_schedulerprocess")
        client, other = person(*views, "pause_everything"), person(*views)
        assert resume not in client.get(page).content.decode()
        pause_everything(reason=EVIL)
        html = client.get(page).content.decode()
        assert "Everything is paused" in html and f'action="{resume}"' in html and EVIL not in html
        html = other.get(page).content.decode()
        assert "Everything is paused" in html and resume not in html

    def test_pausing_by_the_button_is_written_down(self, admin_client: Client, admin_user: User) -> None:
        url = reverse("admin:scheduling_pause_everything")
        make_due()
        assert f'action="{url}"' in admin_client.get(LIST).content.decode()
        response = admin_client.post(url, {"reason": "disk"}, follow=True)
        pause = current_pause()
        assert pause is not None and (pause.began_by, pause.reason) == (admin_user, "disk")
        assert f'action="{url}"' not in response.content.decode()
        for data, sentence in (({}, "already"), ({"reason": "x" * 256}, "at most 255")):
            (message,) = admin_client.post(url, data, follow=True).context["messages"]
            assert sentence in str(message)
        admin_client.post(reverse("admin:scheduling_resume_everything"))
        pause.refresh_from_db()
        assert pause.ended_by == admin_user and current_pause() is None
        html = admin_client.get("/admin/scheduling/pauseofall/").content.decode()
        assert "disk" in html

    @pytest.mark.parametrize("verb", ["pause", "resume"])
    def test_only_by_post_with_a_token_and_the_permission(self, admin_user: User, verb: str) -> None:
        if verb == "resume":
            pause_everything()
        url = reverse(f"admin:scheduling_{verb}_everything")
        others = person("pause_job", "run_job", "change_job", "change_pauseofall")
        assert others.post(url).status_code == 403
        client = Client(enforce_csrf_checks=True)
        client.force_login(admin_user)
        assert client.get(url).status_code == 302
        assert client.post(url).status_code == 403
        assert (current_pause() is not None) == (verb == "resume")

    def test_run_now_works_in_a_pause(self, admin_client: Client) -> None:
        make_job()
        pause_everything()
        admin_client.post(reverse("admin:scheduling_job_run", args=["x"]))
        assert [task.job_id for task in dispatcher().queued_tasks(1)] == ["x"]


@pytest.mark.django_db(transaction=True)
class TestForReal:
    @pytest.fixture
    def scheduler(self, process_env: dict[str, str], tmp_path: Path) -> Iterator[SchedulerUnderTest]:
        with running_scheduler(process_env, tmp_path) as running:
            yield running

    def test_a_running_scheduler_obeys_at_once_idles_and_goes_on(self, scheduler: SchedulerUnderTest) -> None:
        every = timedelta(milliseconds=200)
        make_job("often", trigger="interval", cron="", interval=every, misfire_grace=None)
        wait_until(lambda: Task.objects.filter(status="completed").exists(), seconds=60)
        pause_everything()
        time.sleep(0.5)
        newest = Task.objects.latest("pk")
        used = _cpu_seconds(scheduler.pid)
        time.sleep(2)
        assert Task.objects.latest("pk") == newest
        assert _cpu_seconds(scheduler.pid) - used < 0.5
        asked = Job.objects.by_id("often").run_now()
        wait_until(lambda: Task.objects.get(pk=asked.pk).status == "completed", seconds=60)

        def seconds_to_go_on() -> float:
            if current_pause() is None:  # A try before took too long.
                pause_everything()
                time.sleep(0.5)
            last = Task.objects.latest("pk").pk
            resumed = timezone.now()
            resume_everything()
            took = wait_until(lambda: Task.objects.filter(pk__gt=last).exists(), seconds=60)
            first = Task.objects.filter(pk__gt=last).earliest("pk")
            # Nor does it stand for fire times of the pause.
            assert first.fire_time is not None
            assert first.fire_time - (first.fire_count - 1) * every >= resumed
            return took

        is_done_within(1.5, seconds_to_go_on)

    def test_two_who_switch_at_once_get_one_pause(self) -> None:
        assert four_at_once(pause_everything) == ["done", "refused", "refused", "refused"]
        assert PauseOfAll.objects.count() == 1


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
