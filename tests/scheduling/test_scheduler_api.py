"""The public API on the rows, without a running scheduler."""

from __future__ import annotations

import io
import json
import threading
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from apscheduler.jobstores.base import ConflictingIdError, JobLookupError
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.utils import timezone
from django_apscheduler.models import DjangoJob

from scheduling import scheduler as api
from scheduling.dispatch import Dispatcher
from scheduling.exceptions import ArgumentError, NotAllowedNow, SchedulingError, TaskFailed, UnknownJob
from scheduling.loop import Loop
from scheduling.models import Job, SchedulerProcess, Task
from scheduling.outcomes import Ended, Outcome, record
from scheduling.registry import registry
from scheduling.triggers import TriggerError
from tests.sampleapp.tasks import count, fail

pytestmark = pytest.mark.django_db


@pytest.fixture
def scheduler() -> api.Scheduler:
    return api.initialize_scheduler()


def test_the_guides_jobs_can_be_added_as_the_guide_does(scheduler: api.Scheduler) -> None:
    scheduler.add_job(
        count, trigger="cron", day_of_week="sun", hour=3, minute=0, id="top10", name="Weekly", replace_existing=True
    )
    found = scheduler.get_job("top10")
    assert found is not None
    assert (found.id, found.name, found.state) == ("top10", "Weekly", "active")
    assert found.next_run_time.strftime("%a %H:%M") == "Sun 03:00"
    assert Job.objects.by_id("top10").schedule_in_words() == "every Sunday at 03:00"
    assert [job.id for job in api.get_scheduled_jobs()] == ["top10"]


def test_an_existing_id_is_refused_unless_it_may_be_replaced(scheduler: api.Scheduler) -> None:
    scheduler.add_job(count, "cron", hour=3, id="x")
    with pytest.raises(ConflictingIdError):
        scheduler.add_job(count, "cron", hour=3, id="x")


def test_replacing_keeps_a_pause_a_persons_edit_and_the_next_run_time(scheduler: api.Scheduler) -> None:
    scheduler.add_job(count, "interval", hours=1, id="x", name="From code", max_instances=1)
    job = Job.objects.by_id("x")
    due = job.next_run_time
    scheduler.add_job(count, "interval", hours=1, id="x", name="From code", replace_existing=True)
    assert Job.objects.by_id("x").next_run_time == due
    job = Job.objects.by_id("x")
    job.interval = timedelta(minutes=5)
    job.save_definition()
    api.pause_job("x", reason="holiday")
    scheduler.add_job(count, "interval", hours=2, id="x", name="New name", replace_existing=True)
    job = Job.objects.by_id("x")
    assert (job.name, job.interval, job.state, job.paused_reason) == (
        "New name",
        timedelta(minutes=5),
        "paused",
        "holiday",
    )
    assert set(job.differences_from_default()) == {"interval"}
    job.restore_default()
    assert job.interval == timedelta(hours=2)


@pytest.mark.parametrize(
    ("keywords", "error"),
    [
        ({"trigger": "cron", "day_of_week": 0}, TriggerError),
        ({"trigger": "cron", "hour": 25}, TriggerError),
        ({"trigger": "cron", "hour": 3, "kwargs": {"items": "many"}}, ArgumentError),
        ({"trigger": "cron", "hour": 3, "args": [1]}, SchedulingError),
    ],
)
def test_what_cannot_work_is_refused_with_a_sentence(
    scheduler: api.Scheduler, keywords: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        scheduler.add_job(count, id="x", **keywords)
    assert not Job.objects.exists() and not DjangoJob.objects.exists()


def test_a_plain_function_is_refused(scheduler: api.Scheduler) -> None:
    with pytest.raises(SchedulingError, match="@task"):
        scheduler.add_job(print, "cron", hour=3)  # type: ignore[arg-type]


def test_unknown_ids_are_said(scheduler: api.Scheduler) -> None:
    for verb in (api.pause_job, api.resume_job, api.remove_job, api.run_job):
        with pytest.raises(UnknownJob, match="no Job 'nothing'"):
            verb("nothing")
    with pytest.raises(JobLookupError):
        scheduler.pause_job("nothing")
    with pytest.raises(SchedulingError):
        api.cancel_task(4711)


def test_pause_resume_and_remove_keep_the_history(scheduler: api.Scheduler) -> None:
    scheduler.add_job(count, "cron", hour=3, id="x")
    api.pause_job("x")
    assert Job.objects.by_id("x").next_run_time is None
    api.resume_job("x")
    assert Job.objects.by_id("x").next_run_time is not None
    task = api.run_job("x", items=3)
    assert task.arguments == {"items": 3}
    api.remove_job("x")
    task.refresh_from_db()
    assert task.job is None
    assert not DjangoJob.objects.exists()


def test_code_declares_jobs_once(django_assert_max_num_queries: Any) -> None:
    assert "cleanup_tasks" in api.declare_jobs()
    with django_assert_max_num_queries(1):
        assert api.declare_jobs() == []
    job = Job.objects.by_id("cleanup_tasks")
    assert job.schedule_in_words() == "every day at 01:00"
    job.pause()
    assert api.declare_jobs() == []
    assert Job.objects.by_id("cleanup_tasks").is_paused


def test_an_edit_keeps_a_pause_that_came_meanwhile() -> None:
    stale = Job(id="x", name="x", function="sample.noop", cron="0 3 * * *")
    stale.save_definition()
    Job.objects.by_id("x").pause(reason="holiday")
    stale.cron = "0 4 * * *"
    stale.save_definition()
    job = Job.objects.by_id("x")
    assert (job.cron, job.paused_reason, job.is_paused, job.next_run_time) == ("0 4 * * *", "holiday", True, None)
    assert stale.is_paused


def test_a_row_that_django_apscheduler_left_behind_is_taken_over(scheduler: api.Scheduler) -> None:
    DjangoJob.objects.create(id="x", next_run_time=None, job_state=b"no pickle of ours")
    scheduler.add_job(count, "cron", hour=3, id="x")
    row = DjangoJob.objects.get(pk="x")
    assert row.next_run_time == Job.objects.by_id("x").next_run_time is not None
    assert bytes(row.job_state) == b"no pickle of ours"


@pytest.mark.django_db(transaction=True)
def test_processes_that_start_at_once_declare_each_job_once() -> None:
    failures: list[BaseException] = []
    ready = threading.Barrier(4)

    def declare() -> None:
        try:
            ready.wait()
            api.declare_jobs()
        except Exception as error:  # noqa: BLE001  Shown below.
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=declare) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert Job.objects.count() == sum(function.defaults is not None for function in registry)


def test_the_stock_store_cannot_delete_a_job(scheduler: api.Scheduler) -> None:
    from django.db.models import ProtectedError

    scheduler.add_job(count, "cron", hour=3, id="x")
    with pytest.raises(ProtectedError):
        DjangoJob.objects.filter(pk="x").delete()


def test_get_scheduler_before_initialize_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "_scheduler", None)
    with pytest.raises(RuntimeError, match="initialize_scheduler"):
        api.get_scheduler()


class TestDispatch:
    """One pass, called by hand."""

    @pytest.fixture
    def dispatcher(self) -> Dispatcher:
        return Dispatcher(SchedulerProcess.register("scheduler"))

    def job(self, due: datetime, **fields: Any) -> Job:
        job = Job(
            id=f"j{Job.objects.count()}",
            name="j",
            function="sample.noop",
            **{"trigger": "cron", "cron": "* * * * *", **fields},
        )
        job.save_definition()
        DjangoJob.objects.filter(pk=job.pk).update(next_run_time=due)
        return job

    def test_a_run_costs_at_most_five_statements(self, dispatcher: Dispatcher, django_assert_num_queries: Any) -> None:
        now = timezone.now()
        self.job(now - timedelta(seconds=1))
        with django_assert_num_queries(6):  # four, and the savepoint of this test's transaction around them
            done = dispatcher.dispatch_due(now, room=1, ended=Counter())
        (task,) = done.started
        with django_assert_num_queries(1):
            record([Ended(task.pk, Outcome(status="completed"), now)], owner=dispatcher.process)

    def test_a_fire_time_is_dispatched_once(self, dispatcher: Dispatcher) -> None:
        now = timezone.now()
        job = self.job(now - timedelta(seconds=1))
        dispatcher.dispatch_due(now, room=1, ended=Counter())
        assert not dispatcher.dispatch_due(now, room=1, ended=Counter()).started
        DjangoJob.objects.filter(pk=job.pk).update(next_run_time=job.tasks.get().fire_time)
        dispatcher.dispatch_due(now, room=1, ended=Counter())
        assert job.tasks.count() == 1
        assert Job.objects.by_id(job.pk).next_run_time > now  # type: ignore[operator]

    def test_a_bad_schedule_is_paused_and_hides_no_other(self, dispatcher: Dispatcher) -> None:
        now = timezone.now()
        bad, good = self.job(now - timedelta(seconds=2)), self.job(now - timedelta(seconds=1))
        Job.objects.filter(pk=bad.pk).update(cron="not a schedule")
        assert [task.job_id for task in dispatcher.dispatch_due(now, room=5, ended=Counter()).started] == [good.pk]
        bad = Job.objects.by_id(bad.pk)
        assert bad.is_paused and "cannot be read" in bad.paused_reason

    def test_a_grace_longer_than_time_itself_pauses_the_job_and_hides_no_other(self, dispatcher: Dispatcher) -> None:
        now = timezone.now()
        bad = self.job(now - timedelta(seconds=2), misfire_grace=timedelta(days=1_000_000))
        good = self.job(now - timedelta(seconds=1))
        assert [task.job_id for task in dispatcher.dispatch_due(now, room=5, ended=Counter()).started] == [good.pk]
        assert "cannot be read" in Job.objects.by_id(bad.pk).paused_reason

    def test_a_retry_delay_without_reason_is_a_day(self) -> None:
        assert Job(retry_delay=timedelta(days=100_000_000)).retry_delay_before(6) == timedelta(days=1)

    def test_without_idle_workers_tasks_are_queued_for_anyone(self, dispatcher: Dispatcher) -> None:
        now = timezone.now()
        self.job(now - timedelta(seconds=1))
        done = dispatcher.dispatch_due(now, room=0, ended=Counter())
        assert (len(done.started), len(done.queued)) == (0, 1)
        other = Dispatcher(SchedulerProcess.register("scheduler"))
        assert len(other.claim(other.queued_tasks(10))) == 1
        assert dispatcher.claim(done.queued) == []

    def test_a_run_whose_end_is_not_written_yet_holds_no_instance(self, dispatcher: Dispatcher) -> None:
        now = timezone.now()
        job = self.job(now - timedelta(seconds=1))
        (first,) = dispatcher.dispatch_due(now, room=1, ended=Counter()).started
        for moment, ended, status in ((2, Counter(), "skipped"), (1, Counter({job.pk: 1}), "running")):
            DjangoJob.objects.filter(pk=job.pk).update(next_run_time=now - timedelta(milliseconds=moment))
            dispatcher.dispatch_due(now, room=1, ended=ended)
            newest = job.tasks.first()
            assert newest != first and newest is not None and newest.status == status

    def test_given_back_tasks_are_queued_and_those_to_be_cancelled_are(self, dispatcher: Dispatcher) -> None:
        now = timezone.now()
        for _ in range(2):
            self.job(now - timedelta(seconds=1))
        kept, cancelled = dispatcher.dispatch_due(now, room=2, ended=Counter()).started
        cancelled.cancel()
        dispatcher.give_back([kept.pk, cancelled.pk])
        for task in (kept, cancelled):
            task.refresh_from_db()
        assert (kept.status, kept.owner, kept.started_at) == ("queued", None, None)
        assert cancelled.status == "cancelled" and "before it started" in cancelled.reason
        assert [task.pk for task in dispatcher.queued_tasks(10)] == [kept.pk]

    def test_what_is_given_back_is_no_more_ours_even_if_the_answer_is_lost(
        self, dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else this process would start what others may have claimed by now."""
        now = timezone.now()
        self.job(now - timedelta(seconds=1))
        loop = Loop(lambda what, task: None)
        loop._dispatcher = dispatcher
        (task,) = dispatcher.dispatch_due(now, room=1, ended=Counter()).started
        loop._claimed.append((0.0, task.pk, task))
        give_back = dispatcher.give_back

        def without_an_answer(task_ids: Iterable[int]) -> None:
            give_back(task_ids)
            raise OperationalError("server closed the connection unexpectedly")

        monkeypatch.setattr(dispatcher, "give_back", without_an_answer)
        with pytest.raises(OperationalError):
            loop._give_claimed_back()
        assert not loop._claimed
        assert Task.objects.get().status == "queued"

    def test_jobs_due_in_a_moment_are_dispatched_with_the_others(self, dispatcher: Dispatcher) -> None:
        now = timezone.now()
        due = [now + timedelta(milliseconds=wait) for wait in (-1, 10, 15, 60)]
        jobs = [self.job(moment) for moment in due]
        done = dispatcher.dispatch_due(now, room=4, ended=Counter())
        assert [task.job for task in done.started] == jobs[:3]
        assert [task.fire_time for task in done.started] == due[:3]
        assert [task.started_at for task in done.started] == [now, *due[1:3]]
        assert due[2] <= done.until < due[3]
        assert dispatcher.upcoming(due[3]) == [due[3]]

    @pytest.mark.parametrize(("overlap", "room"), [("skip", 3), ("queue", 3), ("skip", 1)])
    def test_nothing_else_is_decided_ahead_of_its_time(
        self, dispatcher: Dispatcher, overlap: Job.Overlap, room: int
    ) -> None:
        """The instance, or the worker, may be free when the time has come."""
        now = timezone.now()
        soon = now + timedelta(milliseconds=10)
        job = self.job(soon, overlap=overlap)
        if room > 1:
            Task.for_job(job, status=Task.Status.RUNNING, owner=dispatcher.process).save()
        first, later = self.job(now), self.job(now + timedelta(milliseconds=15))
        done = dispatcher.dispatch_due(now, room=room, ended=Counter())
        assert [task.job for task in done.started] == ([first, later] if room > 1 else [first])
        assert not (done.queued or done.recorded or done.waiting_jobs)
        assert Job.objects.by_id(job.pk).next_run_time == soon > done.until
        done = dispatcher.dispatch_due(soon, room=room, ended=Counter())
        assert soon in job.tasks.values_list("fire_time", flat=True)

    def test_what_is_given_back_ahead_of_its_time_waits_for_it(self, dispatcher: Dispatcher) -> None:
        now = timezone.now()
        self.job(now)
        soon = self.job(now + timedelta(milliseconds=19))
        tasks = dispatcher.dispatch_due(now, room=2, ended=Counter()).started
        # The moment of the give-back is the real one, which this test must not race with.
        Task.objects.filter(job=soon).update(fire_time=now + timedelta(minutes=1))
        dispatcher.give_back([task.pk for task in tasks])
        (ripe,) = dispatcher.queued_tasks(10)
        assert ripe.pk == tasks[0].pk
        waiting = soon.tasks.get()
        assert (waiting.status, waiting.waiting, waiting.started_at) == ("queued", True, None)
        assert waiting.not_before == waiting.fire_time
        assert dispatcher.admit_waiting(now)[0] == waiting.fire_time

    def test_misfires_are_one_row(self, dispatcher: Dispatcher) -> None:
        now = timezone.now()
        job = self.job(
            now - timedelta(days=1),
            misfire_grace=timedelta(minutes=5),
            trigger="interval",
            interval=timedelta(minutes=1),
            anchor=now - timedelta(days=1),
        )
        dispatcher.dispatch_due(now, room=1, ended=Counter())
        assert {t.status: t.fire_count for t in job.tasks.all()} == {"missed": 1435, "running": 6}


class TestRecords:
    def test_calling_a_task_function_runs_and_records_it(self) -> None:
        assert count(items=3) == {"items": 3}
        task = Task.objects.get()
        assert (task.status, task.cause, task.items_processed) == ("completed", "shell", 3)
        assert task.owner is not None and task.owner.kind == "shell"

    def test_a_failing_call_is_recorded_and_raised(self) -> None:
        with pytest.raises(TaskFailed, match="as asked"):
            fail()
        assert "ValueError: as asked" in Task.objects.get().error_message

    def test_wrong_arguments_record_nothing(self) -> None:
        with pytest.raises(ArgumentError):
            count(items="many")
        assert not Task.objects.exists()

    def test_the_guides_functions(self) -> None:
        task = api.create_task_record("MAM")
        assert (task.status, task.task_name) == ("running", "MAM")
        api.update_task_success(task, 100, 95, 5, "line one\nline two")
        assert (task.status, task.items_processed, task.items_succeeded, task.items_failed) == ("completed", 100, 95, 5)
        assert task.log_output == "line one\nline two\n"
        task = api.create_task_record("MAM")
        api.update_task_failure(task, error_message="no way", log_output="tried")
        assert (task.status, task.error_message, task.log_output) == ("failed", "no way", "tried\n")
        with pytest.raises(NotAllowedNow):
            task.cancel()

    def test_secrets_are_blanked_out(self, settings: Any) -> None:
        task = api.create_task_record("MAM")
        message = f"GET https://me:hunter22@host/?apikey=abc123&x=1 {settings.SECRET_KEY} mam_id=qwertz"
        api.update_task_failure(task, error_message=message, log_output=message)
        for text in (task.error_message, task.log_output):
            for secret in ("hunter22", "abc123", settings.SECRET_KEY, "qwertz"):
                assert secret not in text
            assert "x=1" in text


class TestCleanup:
    def test_old_records_go_and_running_ones_stay(self) -> None:
        old = timezone.now() - timedelta(days=31)
        Task.objects.bulk_create(Task(task_name="b", status="completed", date_created=old) for _ in range(1100))
        running = Task.objects.create(task_name="r", status="running", date_created=old)
        new = Task.objects.create(task_name="n", status="completed")
        from scheduling import tasks

        original = tasks._vacuum
        tasks._vacuum = lambda: None  # VACUUM cannot run in this test's transaction
        try:
            result = registry.get("scheduling.cleanup_old_tasks")()
        finally:
            tasks._vacuum = original
        assert result == {"deleted": 1100}
        assert {running.pk, new.pk} <= set(Task.objects.values_list("pk", flat=True))
        assert Task.objects.count() == 3


class TestCommands:
    def call(self, *words: str) -> str:
        out = io.StringIO()
        call_command(*words, stdout=out)
        return out.getvalue()

    def test_jobs(self) -> None:
        api.declare_jobs()
        assert "cleanup_tasks" in self.call("jobs", "list")
        self.call("jobs", "pause", "cleanup_tasks", "--reason", "test", "--until", "2099-01-01T00:00")
        shown = json.loads(self.call("jobs", "show", "cleanup_tasks", "--json"))
        assert (shown["state"], shown["paused_reason"]) == ("paused", "test")
        self.call("jobs", "resume", "cleanup_tasks")
        times = json.loads(self.call("jobs", "preview", "cleanup_tasks", "--count", "3", "--json"))
        assert [datetime.fromisoformat(row["time"]).astimezone(UTC).hour for row in times] == [1, 1, 1]
        queued = json.loads(self.call("jobs", "run", "cleanup_tasks", "days=3", "--json"))
        assert Task.objects.get(pk=queued["task"]).arguments == {"days": 3}
        with pytest.raises(CommandError, match="no Job 'nothing'"):
            self.call("jobs", "show", "nothing")

    def test_runtask(self) -> None:
        assert "{'items': 4}" in self.call("runtask", "sample.count", "items=4")
        for words, sentence in (
            (["sample.refuse"], "nothing to do this with"),
            (["sample.count", "items=x"], "whole number"),
            (["nothing"], "no task function or Job"),
        ):
            with pytest.raises(CommandError, match=sentence):
                self.call("runtask", *words)

    def test_checkscheduler(self) -> None:
        with pytest.raises(CommandError, match="No scheduler is alive"):
            self.call("checkscheduler")
        SchedulerProcess.register("scheduler")
        assert "alive" in self.call("checkscheduler")
        api.declare_jobs()
        DjangoJob.objects.filter(pk="cleanup_tasks").update(next_run_time=timezone.now() - timedelta(minutes=5))
        with pytest.raises(CommandError, match="cleanup_tasks is overdue"):
            self.call("checkscheduler")
