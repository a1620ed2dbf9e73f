"""What a running scheduler does with Jobs and Tasks: every verb is obeyed, everything ends as it should.

All tests share one `runscheduler`, so each makes Jobs of its own and looks at them alone. What stops or kills a scheduler
is in test_running.py.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from scheduling.exceptions import NotAllowedNow
from scheduling.models import Job, Task
from scheduling.scheduler import cancel_task, pause_job, resume_job
from tests.scheduling.jobs import ended, make_job, started
from tests.scheduling.processes import SchedulerUnderTest, is_done_within, running_scheduler, wait_until

# So that it comes with those tests that leave an empty database behind.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def _django_db_helper() -> None:
    """pytest-django's would empty the database after each test, under the scheduler that all share."""


@pytest.fixture(scope="module")
def scheduler(
    process_env: dict[str, str], django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SchedulerUnderTest]:
    with django_db_blocker.unblock():
        with running_scheduler(process_env, tmp_path_factory.mktemp("scheduler")) as running:
            # Its row is there before its workers are.
            ended(make_job("sample.noop").run_now())
            yield running
        call_command("flush", interactive=False, verbosity=0)


@pytest.fixture(autouse=True)
def nothing_goes_on(scheduler: SchedulerUnderTest) -> Iterator[None]:
    yield
    for job in Job.objects.filter(pk__startswith="sample."):
        job.pause()
    for task in Task.objects.active():
        with contextlib.suppress(NotAllowedNow):  # It ended this moment.
            cancel_task(task.pk)
    wait_until(lambda: not Task.objects.active().exists(), seconds=60)


class TestOutcomes:
    def test_it_runs_and_keeps_counts_log_and_result(self, scheduler: SchedulerUnderTest) -> None:
        task = ended(make_job("sample.count", arguments={"items": 5, "fail_every": 5}).run_now())
        assert task.status == Task.Status.COMPLETED
        assert (task.items_processed, task.items_succeeded, task.items_failed) == (5, 4, 1)
        assert task.result == {"items": 5}
        assert "WARNING sample.count: item 0 failed" in task.log_output
        assert "printed by the function" in task.log_output
        assert task.duration is not None and task.duration < timedelta(seconds=30)

    @pytest.mark.parametrize(
        ("function", "status", "text"),
        [
            ("sample.fail", "failed", "ValueError: as asked"),
            ("sample.refuse", "failed", "There is nothing to do this with."),
            ("sample.exit", "failed", "SystemExit: bye"),
        ],
    )
    def test_it_records_a_failure(self, scheduler: SchedulerUnderTest, function: str, status: str, text: str) -> None:
        task = ended(make_job(function).run_now())
        assert task.status == status
        assert text in task.error_message

    def test_a_dead_worker_is_a_lost_task_with_the_reason(self, scheduler: SchedulerUnderTest) -> None:
        task = ended(make_job("sample.die").run_now())
        assert task.status == Task.Status.LOST
        assert "killed by signal 9" in task.reason
        assert ended(make_job("sample.noop").run_now()).status == Task.Status.COMPLETED

    @pytest.mark.parametrize(
        ("kind", "status"),
        [("generator exit", "failed"), ("negative", "failed"), ("infinite", "failed"), ("text as count", "failed"),
         ("set directly", "completed"), ("large", "completed")],
    )  # fmt: skip
    def test_odd_counts_and_ends_hold_up_nothing_else(
        self, scheduler: SchedulerUnderTest, kind: str, status: str
    ) -> None:
        task = ended(make_job("sample.odd_end", arguments={"kind": kind}).run_now())
        assert task.status == status
        assert ended(make_job("sample.noop").run_now()).status == Task.Status.COMPLETED
        assert "cannot be used" not in scheduler.output

    def test_a_transaction_left_open_fails_no_other_task(self, scheduler: SchedulerUnderTest) -> None:
        task = ended(make_job("sample.leave_open").run_now())
        assert "left a transaction open" in task.log_output
        assert (task.status, task.checkpoint) == (Task.Status.COMPLETED, None)
        # One for each worker, of which one ran that Task.
        job = make_job("sample.unreliable", arguments={"fail_until": 0}, max_instances=4)
        assert {ended(task).status for task in [job.run_now() for _ in range(4)]} == {Task.Status.COMPLETED}

    @pytest.mark.parametrize("kind", ["nan", "object", "nul", "surrogate"])
    def test_odd_results_do_not_stop_it(self, scheduler: SchedulerUnderTest, kind: str) -> None:
        task = ended(make_job("sample.odd_result", arguments={"kind": kind}).run_now())
        assert task.status == Task.Status.COMPLETED
        assert "a nul \\0 and half a pair" in task.log_output

    def test_retries_follow_the_policy_and_see_the_checkpoint(self, scheduler: SchedulerUnderTest) -> None:
        job = make_job("sample.unreliable", retries=2, retry_delay=timedelta(seconds=0.2))
        first = ended(job.run_now())
        wait_until(lambda: job.tasks.filter(status="completed").exists(), seconds=60)
        attempts = list(job.tasks.order_by("pk"))
        assert [task.status for task in attempts] == ["failed", "failed", "completed"]
        assert [task.attempt for task in attempts] == [1, 2, 3]
        assert attempts[1].retry_of_id == first.pk
        assert attempts[2].checkpoint["before"]["attempt"] == 2

    @pytest.mark.parametrize("retry", [True, False])
    def test_what_waits_for_a_person_is_not_retried(self, scheduler: SchedulerUnderTest, retry: bool) -> None:
        arguments = {"retry": retry}
        job = make_job("sample.refuse", arguments=arguments, retries=2, retry_delay=timedelta(hours=1))
        assert ended(job.run_now()).status == Task.Status.FAILED
        # A retry is queued in the transaction that ends the Task.
        assert job.tasks.count() == (2 if retry else 1)

    def test_long_logs_and_errors_are_kept_up_to_the_cap_and_the_cut_is_said(
        self, scheduler: SchedulerUnderTest
    ) -> None:
        task = ended(make_job("sample.chatter", arguments={"lines": 30_000}).run_now())
        assert task.status == Task.Status.COMPLETED
        assert 900_000 < len(task.log_output) < 1_000_200
        assert "the log was cut here" in task.log_output.splitlines()[-1]
        failed = ended(make_job("sample.fail", arguments={"message": "x" * 300_000}).run_now())
        assert len(failed.error_message) < 101_000
        assert "characters cut here" in failed.error_message


class TestStopping:
    @pytest.mark.parametrize(
        "function", ["sample.sleep_in_c", "sample.spin", "sample.ignore_signals", "sample.cooperate"]
    )
    def test_a_task_can_be_cancelled_whatever_it_does(self, scheduler: SchedulerUnderTest, function: str) -> None:
        def seconds_to_the_end() -> float:
            task = started(make_job(function).run_now())
            time.sleep(0.7)
            cancel_task(task.pk)
            asked = time.monotonic()
            assert ended(task).status == Task.Status.CANCELLED
            return time.monotonic() - asked

        is_done_within(2.5, seconds_to_the_end)

    @pytest.mark.parametrize("function", ["sample.sleep_in_c", "sample.spin", "sample.ignore_signals"])
    def test_a_task_is_stopped_at_its_timeout(self, scheduler: SchedulerUnderTest, function: str) -> None:
        def duration() -> float:
            task = ended(make_job(function, timeout=timedelta(seconds=1)).run_now())
            assert task.status == Task.Status.TIMED_OUT
            assert task.duration is not None and task.duration >= timedelta(seconds=1)
            return task.duration.total_seconds()

        is_done_within(3, duration)

    def test_memory_of_a_killed_task_is_given_back(self, scheduler: SchedulerUnderTest) -> None:
        task = started(make_job("sample.hog", arguments={"megabytes": 800}).run_now())
        wait_until(lambda: Task.objects.get(pk=task.pk).progress_text == "held", seconds=60)
        held = scheduler.resident_megabytes
        cancel_task(task.pk)
        ended(task)
        wait_until(lambda: scheduler.resident_megabytes < held - 600, seconds=30)

    def test_a_queued_task_that_is_cancelled_never_runs(self, scheduler: SchedulerUnderTest) -> None:
        job = make_job("sample.sleep", arguments={"seconds": 60})
        running = started(job.run_now())
        waiting = job.run_now()
        assert waiting.waiting
        cancel_task(waiting.pk)
        cancel_task(running.pk)
        assert ended(running).status == Task.Status.CANCELLED
        waiting.refresh_from_db()
        assert (waiting.status, waiting.started_at) == (Task.Status.CANCELLED, None)


class TestSteering:
    def test_a_new_one_off_job_runs_at_its_time_and_keeps_its_history(self, scheduler: SchedulerUnderTest) -> None:
        def seconds_late() -> float:
            due = timezone.now() + timedelta(seconds=1)
            job = make_job("sample.noop", trigger="once", run_at=due)
            wait_until(lambda: job.tasks.filter(status="completed").exists(), seconds=60)
            task = job.tasks.get()
            assert task.fire_time == due
            assert Job.objects.by_id(job.pk).state == "ended"
            assert task.started_at is not None
            return (task.started_at - due).total_seconds()

        is_done_within(0.5, seconds_late)

    def test_nothing_starts_before_its_time(self, scheduler: SchedulerUnderTest) -> None:
        """Though Jobs that come due a moment after another are dispatched with it."""
        anchor = timezone.now()
        jobs = [
            make_job(
                "sample.noop",
                trigger="interval",
                interval=timedelta(seconds=0.1),
                anchor=anchor + timedelta(milliseconds=7 * number),
                max_instances=3,
            )
            for number in range(8)
        ]
        runs = Task.objects.filter(status="completed", job__in=jobs).order_by("pk")
        seen = 0

        def seconds_late() -> float:
            nonlocal seen
            wait_until(lambda: runs.count() > seen + 300, seconds=60)
            new = list(runs[seen:])
            seen += len(new)
            late = [(task.started_at - task.fire_time).total_seconds() for task in new]  # type: ignore[operator]
            assert min(late) >= 0
            return sorted(late)[len(late) // 2]

        is_done_within(0.05, seconds_late)

    def test_an_edited_schedule_is_obeyed(self, scheduler: SchedulerUnderTest) -> None:
        def seconds_to_the_second_run() -> float:
            job = make_job("sample.noop")
            time.sleep(0.5)
            job.trigger, job.interval, job.anchor = "interval", timedelta(seconds=0.2), timezone.now()
            job.save_definition()
            return wait_until(lambda: job.tasks.count() >= 2, seconds=60)

        is_done_within(2, seconds_to_the_second_run)

    def test_a_paused_job_does_not_run_and_a_resumed_one_does(self, scheduler: SchedulerUnderTest) -> None:
        job = make_job("sample.noop", trigger="interval", interval=timedelta(seconds=0.2))
        wait_until(lambda: job.tasks.exists(), seconds=60)
        pause_job(job.pk, reason="for a test")
        time.sleep(0.3)
        count = job.tasks.count()
        time.sleep(0.7)
        assert job.tasks.count() == count
        resume_job(job.pk)
        wait_until(lambda: job.tasks.count() > count, seconds=60)

    def test_a_pause_with_an_end_ends_by_itself(self, scheduler: SchedulerUnderTest) -> None:
        job = make_job("sample.noop", trigger="interval", interval=timedelta(seconds=0.2))
        end = timezone.now() + timedelta(seconds=1.5)
        job.pause(until=end)
        before = list(job.tasks.filter(date_created__lt=end).values_list("pk", flat=True))
        after = job.tasks.exclude(pk__in=before).order_by("fire_time")
        wait_until(after.exists, seconds=60)
        first = after[0].fire_time
        assert first is not None and first >= end
        assert Job.objects.by_id(job.pk).paused_at is None

    def test_runs_overlap_only_as_far_as_the_job_allows(self, scheduler: SchedulerUnderTest) -> None:
        often = {"trigger": "interval", "interval": timedelta(seconds=0.3), "arguments": {"seconds": 1.0}}
        skipping = make_job("sample.sleep", **often)
        queueing = make_job("sample.sleep", overlap="queue", **often)
        both = (skipping, queueing)
        wait_until(lambda: all(job.tasks.filter(status="completed").count() >= 2 for job in both), seconds=60)
        wait_until(lambda: all(job.tasks.filter(status="skipped").exists() for job in both), seconds=60)
        for job in both:
            pause_job(job.pk)
        for job in both:
            runs = sorted((t.started_at, t.finished_at or timezone.now()) for t in job.tasks.exclude(started_at=None))
            assert len(runs) >= 2
            assert all(first[1] <= second[0] for first, second in zip(runs, runs[1:], strict=False))
        assert skipping.tasks.filter(status="skipped", reason__contains="still going on").exists()
        assert queueing.tasks.filter(status="skipped").exists()

    def test_it_calls_a_function_with_other_arguments(self, scheduler: SchedulerUnderTest, tmp_path: Path) -> None:
        marks = tmp_path / "marks"
        job = make_job("sample.mark", arguments={"path": str(marks)})
        ended(job.run_now(arguments={"text": "other"}))
        assert marks.read_text().split()[-1] == "other"

    def test_a_job_of_an_unknown_function_is_kept_and_left_alone(self, scheduler: SchedulerUnderTest) -> None:
        job = make_job("sample.gone_by_now", trigger="once", run_at=timezone.now())
        time.sleep(1)
        job = Job.objects.by_id(job.pk)
        assert job.state == "unresolvable"
        assert not job.tasks.exists()
        Job.objects.filter(pk=job.pk).update(function="sample.noop")
        assert ended(make_job("sample.noop").run_now()).status == "completed"
        with_restart = job.tasks
        wait_until(with_restart.exists, seconds=60)
