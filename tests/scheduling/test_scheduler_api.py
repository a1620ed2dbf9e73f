"""The public API on the rows, without a running scheduler."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from apscheduler.jobstores.base import ConflictingIdError, JobLookupError
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, connections, transaction
from django.db.models import F
from django.utils import timezone
from django_apscheduler.models import DjangoJob

from scheduling import presence
from scheduling import scheduler as api
from scheduling.context import TaskRun
from scheduling.dispatch import Dispatcher
from scheduling.exceptions import (
    ArgumentError,
    NotAllowedNow,
    SchedulingError,
    TaskCancelled,
    TaskFailed,
    UnknownJob,
)
from scheduling.loop import Loop, Run
from scheduling.models import Job, JobQuerySet, SchedulerProcess, Task, TaskLog, declared_definition
from scheduling.outcomes import Ended, Outcome, record
from scheduling.recovery import Watch, sign_off
from scheduling.registry import JobDefaults, registry
from scheduling.runner import run_here
from scheduling.triggers import TriggerError
from scheduling.workers import Worker
from tests.sampleapp.tasks import count, fail
from tests.scheduling.making import make_job
from tests.scheduling.processes import wait_until

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
        bad = self.job(now - timedelta(seconds=2))
        Job.objects.filter(pk=bad.pk).update(misfire_grace=timedelta(days=1_000_000))
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

    def test_a_loop_that_turns_while_it_is_told_to_stop_goes_on(self) -> None:
        class Turning(Loop):
            """Whose thread takes its turn between any two steps of `stop`."""

            def __setattr__(self, name: str, value: object) -> None:
                super().__setattr__(name, value)
                if name.startswith("_stop") and self.__dict__.get("_stopping"):
                    self._finish_if_done()

        loop = Turning(lambda what, task: None)
        loop.stop(wait=0)
        assert loop.finished
        loop._close()

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

    def test_a_fire_time_that_has_its_task_hides_no_other(self, dispatcher: Dispatcher) -> None:
        """As after a clock was set back."""
        now = timezone.now().replace(microsecond=0)
        job = self.job(
            now - timedelta(seconds=20),
            trigger="interval", interval=timedelta(seconds=10), anchor=now - timedelta(seconds=20), coalesce=False,
        )  # fmt: skip
        other = self.job(now - timedelta(seconds=1))
        Task.for_job(job, fire_time=now - timedelta(seconds=10), status="completed").save()
        done = dispatcher.dispatch_due(now, room=5, ended=Counter())
        made = job.tasks.order_by("fire_time").values_list("fire_time", flat=True)
        assert list(made) == [now - timedelta(seconds=20), now - timedelta(seconds=10), now]
        assert other.tasks.count() == 1
        assert Job.objects.by_id(job.pk).next_run_time in done.next_times

    @pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(days=800)])
    def test_a_clock_that_was_ahead_puts_no_job_off(self, dispatcher: Dispatcher, ahead: timedelta) -> None:
        now = timezone.now()
        every = {"trigger": "interval", "interval": timedelta(minutes=5), "anchor": now - timedelta(minutes=2)}
        job, paused = (self.job(now + ahead, **every) for _ in range(2))
        dispatcher.dispatch_due(now + ahead, room=5, ended=Counter())
        paused.pause(until=now + 2 * ahead)
        assert min(job.tasks.get().date_created, Job.objects.by_id(job.pk).next_run_time or now) >= now + ahead
        assert [dispatcher.bring_forward(now) for _ in range(2)] == [1, 0]
        assert Job.objects.by_id(job.pk).next_run_time == now + timedelta(minutes=3)
        assert (Job.objects.by_id(paused.pk).next_run_time or now) > now + ahead

    def test_runs_that_wait_behind_a_busy_job_keep_no_other_from_its_turn(
        self, dispatcher: Dispatcher, django_assert_max_num_queries: Any
    ) -> None:
        now = timezone.now()
        busy, other = self.job(now + timedelta(days=1)), self.job(now + timedelta(days=1))
        Task.for_job(busy, status="running", owner=dispatcher.process).save()
        Task.objects.bulk_create(Task.for_job(busy, waiting=True) for _ in range(600))
        retry = Task.for_job(other, waiting=True, not_before=now)
        retry.save()
        with django_assert_max_num_queries(10):
            assert busy.pk in dispatcher.admit_waiting(now)[1]
        retry.refresh_from_db()
        assert not retry.waiting
        assert busy.tasks.filter(waiting=True).count() == 600

    def test_as_many_waiting_runs_are_admitted_as_there_are_instances(self, dispatcher: Dispatcher) -> None:
        now = timezone.now()
        job = self.job(now + timedelta(days=1), max_instances=3)
        Task.for_job(job, status="running", owner=dispatcher.process).save()
        Task.objects.bulk_create(Task.for_job(job, waiting=True) for _ in range(5))
        dispatcher.admit_waiting(now)
        assert job.tasks.filter(status="queued", waiting=False).count() == 2

    def test_functions_unknown_here_do_not_hide_the_queue(self, dispatcher: Dispatcher) -> None:
        Task.objects.bulk_create(Task(task_name="x", function="gone.gone") for _ in range(5))
        known = Task.objects.create(task_name="x", function="sample.noop")
        assert [task.pk for task in dispatcher.queued_tasks(5)] == [known.pk]

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


class TestEnds:
    def running(self, job: Job | None = None) -> tuple[Task, SchedulerProcess]:
        process = SchedulerProcess.register("scheduler")
        task = Task(job=job, task_name="x", function="sample.noop", status="running", owner=process)
        task.save()
        return task, process

    def test_the_job_may_be_deleted_before_the_lock_is_had(self, monkeypatch: pytest.MonkeyPatch) -> None:
        job = Job(id="x", name="x", function="sample.noop", cron="0 3 * * *", retries=3)
        job.save_definition()
        task, process = self.running(job)
        locked = JobQuerySet.locked_at_once

        def too_late(self: JobQuerySet, job_id: str) -> Job | None:
            Job.objects.get(pk=job_id).delete()
            return locked(self, job_id)

        monkeypatch.setattr(JobQuerySet, "locked_at_once", too_late)
        assert record([Ended(task.pk, Outcome(status="failed"), timezone.now())], owner=process) == {task.pk}
        task.refresh_from_db()
        assert (task.status, task.job) == ("failed", None)
        assert Task.objects.count() == 1

    @pytest.mark.django_db(transaction=True)
    def test_an_outcome_that_the_database_refuses_is_a_failed_task(self) -> None:
        task, process = self.running()
        record([Ended(task.pk, Outcome(status="completed", items_failed=-1), timezone.now())], owner=process)
        task.refresh_from_db()
        assert task.status == "failed" and "could not be stored" in task.error_message

    @pytest.mark.django_db(transaction=True)
    def test_a_job_that_another_has_locked_holds_up_its_own_tasks_alone(self) -> None:
        if connection.vendor == "sqlite":
            pytest.skip("SQLite locks no rows")
        job = Job(id="x", name="x", function="sample.noop", cron="0 3 * * *", retries=1)
        job.save_definition()
        task, process = self.running(job)
        loop = Loop(lambda what, task: None)
        loop._process, loop._dispatcher = process, Dispatcher(process)
        ended = Ended(task.pk, Outcome(status="failed"), timezone.now())
        run = Run(task, Worker(0, socket.socket()), timezone.now(), None)
        loop._ended = [(run, ended)]
        other = connections.create_connection("default")
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '1s'")
        try:
            with other.cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.execute("SELECT 1 FROM django_apscheduler_djangojob WHERE id = 'x' FOR UPDATE")
            loop._write_ended()
            assert loop._ended == [(run, ended)] and not task.retries.exists()
        finally:
            other.close()
            connection.close()
        loop._write_ended_at = 0.0
        loop._write_ended()
        task.refresh_from_db()
        assert (task.status, task.retries.count(), loop._ended) == ("failed", 1, [])
        run.worker.socket.close()
        loop._close()

    def test_what_somebody_wanted_cancelled_is_not_retried(self) -> None:
        job = Job(id="x", name="x", function="sample.noop", cron="0 3 * * *", retries=3)
        job.save_definition()
        task, process = self.running(job)
        task.cancel()
        record([Ended(task.pk, Outcome(status="lost"), timezone.now())], owner=process)
        assert not task.retries.exists()

    def test_an_end_whose_commit_had_its_answer_lost_counts_as_written(self) -> None:
        job = Job(id="x", name="x", function="sample.noop", cron="0 3 * * *", retries=3)
        job.save_definition()
        task, process = self.running(job)
        for _ in range(2):
            assert record([Ended(task.pk, Outcome(status="failed"), timezone.now())], owner=process) == {task.pk}
        assert task.retries.count() == 1

    def test_a_log_chunk_whose_commit_lost_its_answer_is_completed(self) -> None:
        task, _ = self.running()
        TaskLog.objects.create(task=task, seq=0, text="one\n")
        loop = Loop(lambda what, task: None)
        with socket.socket() as unused:
            run = Run(task, Worker(0, unused), timezone.now(), None, log=["one\n", "two\n"])
            loop._write_log_chunks([run])
        assert task.log_output == "one\ntwo\n"


class TestRecovery:
    @pytest.fixture(autouse=True)
    def brisk(self, settings: Any) -> None:
        settings.SCHEDULING = {**settings.SCHEDULING, "HEARTBEAT_EVERY": 0.1}

    def test_a_process_that_was_not_seen_to_beat_is_dead(self) -> None:
        own, dead = SchedulerProcess.register("scheduler"), SchedulerProcess.register("scheduler")
        task = Task.objects.create(task_name="x", status="running", owner=dead)
        SchedulerProcess.objects.filter(pk=dead.pk).update(heartbeat_at=timezone.now() - timedelta(seconds=31))
        watch = Watch()
        assert watch.recover(own) == 0, "nobody is judged at first sight"
        time.sleep(0.25)
        assert watch.recover(own) == 1
        task.refresh_from_db()
        assert task.status == "lost" and "died, ended" in task.reason

    def test_nobody_is_dead_because_a_clock_was_set(self) -> None:
        own, other = SchedulerProcess.register("scheduler"), SchedulerProcess.register("scheduler")
        watch = Watch()
        for _ in range(5):
            other.beat()
            SchedulerProcess.objects.update(heartbeat_at=F("heartbeat_at") - timedelta(hours=1))
            assert watch.recover(own) == 0
            time.sleep(0.1)
        assert not SchedulerProcess.objects.exclude(stopped_at=None).exists()

    def test_a_beat_at_the_last_moment_counts(self) -> None:
        other = SchedulerProcess.register("scheduler")
        read = SchedulerProcess.objects.get(pk=other.pk)
        SchedulerProcess.objects.filter(pk=other.pk).update(heartbeat_at=timezone.now() + timedelta(seconds=1))
        assert not read.declare_dead()
        assert SchedulerProcess.objects.get(pk=other.pk).declare_dead()

    @pytest.mark.parametrize("microseconds", [0, 1, 123_000, 999_999])
    def test_any_heartbeat_is_known_again(self, microseconds: int) -> None:
        other = SchedulerProcess.register("scheduler")
        moment = timezone.now().replace(microsecond=microseconds)
        SchedulerProcess.objects.filter(pk=other.pk).update(heartbeat_at=moment)
        if connection.vendor == "sqlite":  # As its own clock writes it.
            text = f"{moment:%Y-%m-%d %H:%M:%S}.{microseconds // 1000:03}"
            with connection.cursor() as cursor:
                cursor.execute("UPDATE scheduling_schedulerprocess SET heartbeat_at = %s", [text])
        assert SchedulerProcess.objects.get(pk=other.pk).declare_dead()

    def test_the_databases_own_time_is_known_again(self) -> None:
        other = SchedulerProcess.register("scheduler")
        other.beat()
        assert SchedulerProcess.objects.get(pk=other.pk).declare_dead()

    @pytest.mark.parametrize("owner", ["nobody", "a process that is closed"])
    def test_what_runs_in_the_name_of_no_living_process_is_lost(self, owner: str) -> None:
        own, closed = SchedulerProcess.register("scheduler"), SchedulerProcess.register("scheduler")
        closed.stop("stopped")
        job = Job(id="x", name="x", function="sample.noop", cron="0 3 * * *", retries=1)
        job.save_definition()
        task = Task.for_job(job, status="running", owner=None if owner == "nobody" else closed)
        task.save()
        mine = Task.objects.create(task_name="x", status="running", owner=own)
        assert Watch().recover(own) == 1
        task.refresh_from_db()
        mine.refresh_from_db()
        assert (task.status, mine.status) == ("lost", "running")
        assert task.retries.count() == 1

    def test_a_process_that_ends_leaves_nothing_running(self) -> None:
        process = SchedulerProcess.register("shell")
        task = Task.objects.create(task_name="x", status="running", owner=process)
        sign_off(process, "ended")
        task.refresh_from_db()
        assert task.status == "lost"


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

    def test_a_record_ends_once(self) -> None:
        task = api.create_task_record("MAM")
        with pytest.raises(ValueError, match="whole number"):
            api.update_task_success(task, -1)
        api.update_task_success(task, 1)
        with pytest.raises(NotAllowedNow, match="ended already"):
            api.update_task_failure(task, "too late", log_output="too late")
        assert (task.status, task.log_output) == ("completed", "")

    def test_a_cancelled_call_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("scheduling.runner.PROGRESS_EVERY", 0.0)

        def cancel(run: TaskRun) -> None:
            if run.processed == 3:
                Task.objects.get(pk=run.task_id).cancel()

        with pytest.raises(TaskCancelled):
            run_here(registry.get("sample.count"), {"items": 10}, watch=cancel)
        assert Task.objects.get().status == "cancelled"

    @pytest.mark.parametrize("kind", ["generator exit", "negative", "infinite", "text as count", "set directly"])
    def test_an_odd_end_is_an_outcome(self, kind: str) -> None:
        with contextlib.suppress(TaskFailed):
            registry.get("sample.odd_end")(kind=kind)
        task = Task.objects.get()
        assert task.status == ("completed" if kind == "set directly" else "failed")
        assert task.items_failed == 0

    def test_large_counts_and_texts_that_are_none_are_kept(self) -> None:
        registry.get("sample.odd_end")(kind="large")
        task = Task.objects.get()
        assert (task.progress_total, task.items_processed, task.progress_text) == (5_000_000_000, 3_000_000_000, "5")

    def test_what_is_printed_is_in_the_log_and_on_the_screen(self, capsys: pytest.CaptureFixture[str]) -> None:
        count(items=1)
        assert "INFO print: printed by the function" in Task.objects.get().log_output
        assert "printed by the function" in capsys.readouterr().out

    @pytest.mark.django_db(transaction=True)
    def test_a_process_known_from_a_long_transaction_goes_on_beating(self, settings: Any) -> None:
        settings.SCHEDULING = {**settings.SCHEDULING, "HEARTBEAT_EVERY": 0.1}
        presence._own = None
        with transaction.atomic():
            process = presence.own_process()
            time.sleep(0.5)
        before = SchedulerProcess.objects.get(pk=process.pk).heartbeat_at
        wait_until(lambda: SchedulerProcess.objects.get(pk=process.pk).heartbeat_at > before, seconds=30)
        presence._own = None

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

    def test_days_that_make_no_sense_are_refused(self) -> None:
        Task.objects.create(task_name="b", status="completed")
        for days in (-1, 800_000):
            with pytest.raises(TaskFailed, match="make no sense"):
                registry.get("scheduling.cleanup_old_tasks")(days=days)
        assert Task.objects.filter(task_name="b").exists()

    def test_the_record_that_a_one_off_job_ran_stays_so_that_it_never_runs_again(self) -> None:
        then = timezone.now() - timedelta(days=40)
        job = Job(id="x", name="x", function="sample.noop", trigger="once", run_at=then, misfire_grace=None)
        job.save_definition()
        Task.for_job(job, fire_time=then, status="completed", date_created=then, finished_at=then).save()
        other = Task.for_job(job, status="completed", cause="manual", date_created=then, finished_at=then)
        other.save()
        late = Task.objects.create(
            task_name="waited", status="completed", date_created=then, finished_at=timezone.now()
        )
        registry.get("scheduling.cleanup_old_tasks")()
        assert not Task.objects.filter(pk=other.pk).exists()
        assert Task.objects.filter(pk=late.pk).exists()
        job.pause()
        job.resume()
        assert Job.objects.by_id("x").next_run_time is None


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

    def test_words_are_laid_over_the_arguments_of_a_job(self, tmp_path: Path) -> None:
        job = Job(id="mk", name="mk", function="sample.mark", cron="0 3 * * *", arguments={"path": str(tmp_path / "m")})
        job.save_definition()
        self.call("runtask", "mk", "text=hi")
        assert (tmp_path / "m").read_text().endswith("hi\n")
        queued = json.loads(self.call("jobs", "run", "mk", "text=ho", "--json"))
        assert Task.objects.get(pk=queued["task"]).arguments == {"path": str(tmp_path / "m"), "text": "ho"}

    def test_pauses_that_are_over_or_have_no_zone_are_refused(self) -> None:
        job = Job(id="x", name="x", function="sample.noop", cron="0 3 * * *")
        job.save_definition()
        with pytest.raises(CommandError, match="in the future"):
            self.call("jobs", "pause", "x", "--until", "2001-01-01")
        with pytest.raises(TriggerError, match="time zone"):
            api.pause_job("x", until=datetime(2099, 1, 1))  # noqa: DTZ001
        assert not Job.objects.by_id("x").is_paused

    def test_a_preview_says_that_the_job_is_paused(self) -> None:
        job = Job(id="x", name="x", function="sample.noop", cron="0 3 * * *")
        job.save_definition()
        job.pause(until=datetime(2099, 1, 1, tzinfo=UTC))
        assert "paused until 2099-01-01" in (shown := self.call("jobs", "preview", "x"))
        assert "Thu 2099-01-01 03:00" in shown


class TestCodeAndPeople:
    """Two places in code may declare a Job, and a person may change it."""

    def test_a_call_comes_before_what_the_decorator_declares_and_keeps_what_it_does_not_say(
        self, scheduler: api.Scheduler
    ) -> None:
        cleanup = registry.get("scheduling.cleanup_old_tasks")
        for _ in range(2):
            scheduler.add_job(cleanup, "cron", hour=5, minute=0, id="cleanup_tasks", name="Mine", replace_existing=True)
            api.declare_jobs()
        job = Job.objects.by_id("cleanup_tasks")
        assert (job.cron, job.name, job.timeout) == ("0 5 * * *", "Mine", timedelta(hours=2))
        assert job.differences_from_default() == {}
        job.cron = "0 6 * * *"
        job.save_definition()
        scheduler.add_job(cleanup, "cron", hour=5, minute=0, id="cleanup_tasks", name="Mine", replace_existing=True)
        job = Job.objects.by_id("cleanup_tasks")
        assert job.cron == "0 6 * * *"
        job.restore_default()
        assert Job.objects.by_id("cleanup_tasks").cron == "0 5 * * *"

    def test_a_persons_schedule_stays_when_code_changes_its_kind(self) -> None:
        base = declared_definition(JobDefaults(id="x", name="x", cron="0 2 * * *"), "sample.noop")
        with transaction.atomic():
            Job.objects.locked_or_new("x").take_over(base)
        job = Job.objects.by_id("x")
        job.cron = "0 3 * * *"
        job.save_definition()
        job.take_over({**base, "trigger": "interval", "cron": "", "interval": 3600.0, "name": "y"})
        job = Job.objects.by_id("x")
        assert (job.trigger, job.cron, job.interval, job.name) == ("cron", "0 3 * * *", None, "y")
        job.restore_default()
        assert Job.objects.by_id("x").schedule_in_words() == "every hour"

    def test_a_job_made_by_hand_keeps_what_it_has_when_code_declares_its_id(self) -> None:
        job = Job(id="cleanup_tasks", name="by hand", function="sample.noop", cron="0 3 * * *")
        job.save_definition()
        api.declare_jobs()
        job = Job.objects.by_id("cleanup_tasks")
        assert (job.name, job.function, job.timeout) == ("by hand", "sample.noop", None)

    def test_a_start_date_is_followed_when_it_changes(self, scheduler: api.Scheduler) -> None:
        for start in ("2030-01-01T00:00", "2031-06-01T00:07"):
            job = scheduler.add_job(count, "interval", hours=1, start_date=start, id="x", replace_existing=True)
            assert job.next_run_time.isoformat().startswith(start)
        before = Job.objects.by_id("x").anchor
        scheduler.add_job(count, "interval", hours=1, id="x", replace_existing=True)
        assert Job.objects.by_id("x").anchor == before

    @pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC", "America/New_York"])
    def test_code_that_says_the_same_in_another_zone_is_no_edit(self, scheduler: api.Scheduler, zone: str) -> None:
        for minutes in (5, 5, 7):
            scheduler.add_job(
                count, "interval", minutes=minutes, start_date="2030-01-01 09:00", timezone=zone, id="x",
                replace_existing=True,
            )  # fmt: skip
            job = Job.objects.by_id("x")
            assert job.interval == timedelta(minutes=minutes)
            assert job.differences_from_default() == {}
        scheduler.add_job(count, "date", run_date="2030-01-01 09:00", timezone=zone, id="y")
        assert Job.objects.by_id("y").differences_from_default() == {}

    def test_a_row_that_cannot_be_brought_in_line_keeps_nothing_else_from_it(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        api.declare_jobs()
        Job.objects.filter(pk="cleanup_tasks").update(max_instances=0, declared={"cron": "0 9 * * *"})
        Job.objects.filter(pk="library_scan").update(declared={"cron": "0 9 * * *"}, cron="0 9 * * *")
        assert {"cleanup_tasks", "library_scan"} <= set(api.declare_jobs())
        assert "cleanup_tasks could not be brought in line" in caplog.text
        assert Job.objects.by_id("library_scan").cron == "30 0 * * *"

    def test_what_a_newer_release_declared_is_no_difference(self) -> None:
        api.declare_jobs()
        job = Job.objects.by_id("cleanup_tasks")
        job.declared = {**job.declared, "not_known_here": 1}
        assert job.differences_from_default() == {}

    @pytest.mark.parametrize(
        ("keywords", "sentence"),
        [
            ({"misfire_grace_time": 0}, "longer than nothing"),
            ({"misfire_grace_time": -5}, "longer than nothing"),
            ({"max_instances": 0}, "At least one"),
            ({"id": "x" * 256}, "255 characters"),
            ({"next_run_time": None}, "no next_run_time"),
            ({"kwargs": {"items": float("nan")}}, "items"),
        ],
    )
    def test_what_cannot_work_is_refused(
        self, scheduler: api.Scheduler, keywords: dict[str, Any], sentence: str
    ) -> None:
        with pytest.raises(SchedulingError, match=sentence):
            scheduler.add_job(count, "cron", hour=3, **keywords)
        assert not Job.objects.exists()

    def test_the_scheduler_is_not_paused_behind_the_others_backs(self, scheduler: api.Scheduler) -> None:
        with pytest.raises(SchedulingError, match="pause its Jobs"):
            scheduler.start(paused=True)
        with pytest.raises(SchedulingError, match="pause its Jobs"):
            scheduler.pause()

    def test_all_jobs_are_listed_and_removed_without_a_start(self, scheduler: api.Scheduler) -> None:
        scheduler.add_job(count, "cron", hour=3, id="x")
        out = io.StringIO()
        scheduler.print_jobs(out=out)
        assert "x: " in out.getvalue() and "every day at 03:00" in out.getvalue()
        scheduler.remove_all_jobs()
        assert not Job.objects.exists()

    @pytest.mark.django_db(transaction=True)
    def test_a_stop_that_comes_before_the_loop_is_not_lost(self) -> None:
        scheduler = api.Scheduler()
        scheduler.request_stop(wait=True)
        scheduler.run_until_stopped()
        assert SchedulerProcess.objects.get().outcome == "stopped"


def test_of_those_that_ended_alike_only_those_are_retried_that_may_be() -> None:
    job, owner, now = make_job(retries=3), presence.own_process(), timezone.now()
    fields = {"job": job, "task_name": "t", "status": Task.Status.RUNNING, "owner": owner, "started_at": now}
    tasks = [Task.objects.create(**fields) for _ in range(4)]
    outcomes = [Outcome(status="failed", error_message="away", retry=number % 2 == 0) for number in range(4)]
    ended = [Ended(task.pk, outcome, now) for task, outcome in zip(tasks, outcomes, strict=True)]
    assert record(ended, owner=owner) == {task.pk for task in tasks}
    assert [task.retries.count() for task in tasks] == [1, 0, 1, 0]
