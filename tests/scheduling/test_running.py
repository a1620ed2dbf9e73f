"""The real `runscheduler`, steered from this process: every verb is obeyed, everything ends as it should."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from scheduling.models import Job, SchedulerProcess, Task
from scheduling.scheduler import (
    cancel_task,
    get_scheduler,
    initialize_scheduler,
    is_scheduler_running,
    pause_job,
    resume_job,
)
from tests.scheduling.processes import ROOT, SchedulerUnderTest, running_scheduler, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def scheduler(process_env: dict[str, str], tmp_path: Path) -> Iterator[SchedulerUnderTest]:
    with running_scheduler(process_env, tmp_path) as running:
        yield running


def make_job(function: str, **fields: Any) -> Job:
    fields.setdefault("trigger", "cron")
    fields.setdefault("cron", "0 0 1 1 *")
    job = Job(id=fields.pop("id", f"{function}-{time.monotonic_ns()}"), name=function, function=function, **fields)
    job.save_definition()
    return job


def ended(task: Task, seconds: float = 15) -> Task:
    def has_ended() -> bool:
        task.refresh_from_db()
        return not task.is_active

    wait_until(has_ended, seconds=seconds, otherwise=lambda: (task.status, task.reason))
    return task


def started(task: Task) -> Task:
    def has_started() -> bool:
        task.refresh_from_db()
        return task.status == Task.Status.RUNNING

    wait_until(has_started, seconds=15, otherwise=lambda: task.status)
    return task


def is_process(pid: int) -> bool:
    """Whether it lives; one that has ended and is not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class TestOutcomes:
    def test_it_runs_and_keeps_counts_log_and_result(self, scheduler: SchedulerUnderTest) -> None:
        task = ended(make_job("sample.count", arguments={"items": 5, "fail_every": 5}).run_now())
        assert task.status == Task.Status.COMPLETED
        assert (task.items_processed, task.items_succeeded, task.items_failed) == (5, 4, 1)
        assert task.result == {"items": 5}
        assert "WARNING sample.count: item 0 failed" in task.log_output
        assert "printed by the function" in task.log_output
        assert task.duration is not None and task.duration < timedelta(seconds=5)

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

    @pytest.mark.parametrize("kind", ["nan", "object", "nul", "surrogate"])
    def test_odd_results_do_not_stop_it(self, scheduler: SchedulerUnderTest, kind: str) -> None:
        task = ended(make_job("sample.odd_result", arguments={"kind": kind}).run_now())
        assert task.status == Task.Status.COMPLETED
        assert "a nul \\0 and half a pair" in task.log_output

    def test_retries_follow_the_policy_and_see_the_checkpoint(self, scheduler: SchedulerUnderTest) -> None:
        job = make_job("sample.unreliable", retries=2, retry_delay=timedelta(seconds=0.2))
        first = ended(job.run_now())
        wait_until(lambda: job.tasks.filter(status="completed").exists(), seconds=20)
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
        task = ended(make_job("sample.chatter", arguments={"lines": 30_000}).run_now(), 30)
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
        task = started(make_job(function).run_now())
        time.sleep(0.7)
        cancel_task(task.pk)
        asked = time.monotonic()
        assert ended(task).status == Task.Status.CANCELLED
        assert time.monotonic() - asked < 2.5

    @pytest.mark.parametrize("function", ["sample.sleep_in_c", "sample.spin", "sample.ignore_signals"])
    def test_a_task_is_stopped_at_its_timeout(self, scheduler: SchedulerUnderTest, function: str) -> None:
        task = ended(make_job(function, timeout=timedelta(seconds=1)).run_now())
        assert task.status == Task.Status.TIMED_OUT
        assert task.duration is not None
        assert timedelta(seconds=1) <= task.duration < timedelta(seconds=3)

    def test_memory_of_a_killed_task_is_given_back(self, scheduler: SchedulerUnderTest) -> None:
        task = started(make_job("sample.hog", arguments={"megabytes": 800}).run_now())
        wait_until(lambda: Task.objects.get(pk=task.pk).progress_text == "held", seconds=20)
        held = scheduler.resident_megabytes
        cancel_task(task.pk)
        ended(task)
        wait_until(lambda: scheduler.resident_megabytes < held - 600, seconds=5)

    @pytest.mark.parametrize("how", ["cancelled", "its worker dies", "the scheduler is killed"])
    def test_programs_that_a_task_started_end_with_it(self, scheduler: SchedulerUnderTest, how: str) -> None:
        job = make_job("sample.start_program", arguments={"then_die": how == "its worker dies"})
        task = started(job.run_now())
        wait_until(lambda: Task.objects.get(pk=task.pk).progress_text != "", seconds=10)
        program = int(Task.objects.get(pk=task.pk).progress_text)
        assert is_process(program)
        if how == "cancelled":
            cancel_task(task.pk)
        elif how == "the scheduler is killed":
            scheduler.kill()
        wait_until(lambda: not is_process(program), seconds=5)

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

    def test_the_first_signal_lets_the_work_end(self, scheduler: SchedulerUnderTest) -> None:
        task = started(make_job("sample.sleep", arguments={"seconds": 1.5}).run_now())
        scheduler.signal(signal.SIGTERM)
        scheduler.process.wait(15)
        assert scheduler.process.returncode == 0
        task.refresh_from_db()
        assert task.status == Task.Status.COMPLETED
        assert not is_scheduler_running()

    def test_the_second_signal_stops_at_once(self, scheduler: SchedulerUnderTest) -> None:
        task = started(make_job("sample.sleep", arguments={"seconds": 60}).run_now())
        scheduler.signal(signal.SIGINT)
        time.sleep(0.5)
        scheduler.signal(signal.SIGINT)
        scheduler.process.wait(10)
        task.refresh_from_db()
        assert task.status == Task.Status.LOST
        assert "scheduler was stopped" in task.reason

    def test_a_signal_to_all_its_processes_lets_the_work_end_too(self, scheduler: SchedulerUnderTest) -> None:
        """As systemd sends it."""
        task = started(make_job("sample.sleep", arguments={"seconds": 1.5}).run_now())
        for pid in [*scheduler.descendants, scheduler.pid]:
            os.kill(pid, signal.SIGTERM)
        scheduler.process.wait(15)
        task.refresh_from_db()
        assert task.status == Task.Status.COMPLETED

    @pytest.mark.parametrize("when", ["at its start", "later"])
    def test_the_zygote_may_die_at_any_moment(self, scheduler: SchedulerUnderTest, when: str) -> None:
        job = make_job("sample.sleep", arguments={"seconds": 60})
        if when == "later":
            task = started(job.run_now())
            cancel_task(task.pk)
        killed = set()
        for _ in range(1 if when == "later" else 2):
            # What is handed to a worker that dies in this moment is lost; what comes after the new zygote is not.
            killed.add(scheduler.descendants[0])
            os.kill(scheduler.descendants[0], signal.SIGKILL)
            wait_until(lambda: bool(scheduler.descendants) and scheduler.descendants[0] not in killed, seconds=10)
        assert ended(make_job("sample.noop").run_now()).status == Task.Status.COMPLETED
        assert scheduler.process.poll() is None


class TestSteering:
    def test_a_new_one_off_job_runs_at_its_time_and_keeps_its_history(self, scheduler: SchedulerUnderTest) -> None:
        due = timezone.now() + timedelta(seconds=1)
        job = make_job("sample.noop", trigger="once", run_at=due)
        wait_until(lambda: job.tasks.filter(status="completed").exists(), seconds=10)
        task = job.tasks.get()
        assert task.fire_time == due
        assert task.started_at is not None and task.started_at - due < timedelta(seconds=0.5)
        job = Job.objects.by_id(job.pk)
        assert job.state == "ended"

    def test_nothing_starts_before_its_time(self, scheduler: SchedulerUnderTest) -> None:
        """Though Jobs that come due a moment after another are dispatched with it."""
        anchor = timezone.now()
        for number in range(8):
            make_job(
                "sample.noop",
                trigger="interval",
                interval=timedelta(seconds=0.1),
                anchor=anchor + timedelta(milliseconds=7 * number),
                max_instances=3,
            )
        runs = Task.objects.filter(status="completed")
        wait_until(lambda: runs.count() > 300, seconds=30)
        late = [(task.started_at - task.fire_time).total_seconds() for task in runs]  # type: ignore[operator]
        assert min(late) >= 0
        assert sorted(late)[len(late) // 2] < 0.05

    def test_an_edited_schedule_is_obeyed(self, scheduler: SchedulerUnderTest) -> None:
        job = make_job("sample.noop")
        time.sleep(0.5)
        job.trigger, job.interval, job.anchor = "interval", timedelta(seconds=0.2), timezone.now()
        job.save_definition()
        took = wait_until(lambda: job.tasks.count() >= 2, seconds=10)
        assert took < 2

    def test_a_paused_job_does_not_run_and_a_resumed_one_does(self, scheduler: SchedulerUnderTest) -> None:
        job = make_job("sample.noop", trigger="interval", interval=timedelta(seconds=0.2))
        wait_until(lambda: job.tasks.exists(), seconds=10)
        pause_job(job.pk, reason="for a test")
        time.sleep(0.3)
        count = job.tasks.count()
        time.sleep(0.7)
        assert job.tasks.count() == count
        resume_job(job.pk)
        wait_until(lambda: job.tasks.count() > count, seconds=3)

    def test_a_pause_with_an_end_ends_by_itself(self, scheduler: SchedulerUnderTest) -> None:
        job = make_job("sample.noop", trigger="interval", interval=timedelta(seconds=0.2))
        job.pause(until=timezone.now() + timedelta(seconds=1.5))
        time.sleep(0.3)
        count = job.tasks.count()
        time.sleep(0.7)
        assert job.tasks.count() == count
        wait_until(lambda: job.tasks.count() > count, seconds=4)
        assert Job.objects.by_id(job.pk).paused_at is None

    def test_runs_overlap_only_as_far_as_the_job_allows(self, scheduler: SchedulerUnderTest) -> None:
        often = {"trigger": "interval", "interval": timedelta(seconds=0.3), "arguments": {"seconds": 1.0}}
        skipping = make_job("sample.sleep", **often)
        queueing = make_job("sample.sleep", overlap="queue", **often)
        time.sleep(4)
        for job in (skipping, queueing):
            pause_job(job.pk)
        for job in (skipping, queueing):
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
        wait_until(with_restart.exists, seconds=15)

    def test_is_scheduler_running_sees_other_processes(self, scheduler: SchedulerUnderTest) -> None:
        assert is_scheduler_running()
        scheduler.stop()
        assert not is_scheduler_running()

    def test_a_worker_killed_from_outside_is_replaced(self, scheduler: SchedulerUnderTest, tmp_path: Path) -> None:
        marks = tmp_path / "pids"
        job = make_job("sample.sleep", arguments={"seconds": 60}, max_instances=4)
        tasks = [started(job.run_now()) for _ in range(4)]
        for pid in worker_pids(scheduler.pid):
            os.kill(pid, signal.SIGKILL)
        assert {ended(task).status for task in tasks} == {Task.Status.LOST}
        assert ended(make_job("sample.mark", arguments={"path": str(marks)}).run_now()).status == "completed"

    def test_a_killed_zygote_costs_its_tasks_and_nothing_else(self, scheduler: SchedulerUnderTest) -> None:
        task = started(make_job("sample.sleep", arguments={"seconds": 60}).run_now())
        (zygote,) = children(scheduler.pid)
        os.kill(zygote, signal.SIGKILL)
        assert ended(task).status == Task.Status.LOST
        assert ended(make_job("sample.noop").run_now()).status == "completed"


def test_a_thousand_runs_recycle_workers_without_a_loss(scheduler: SchedulerUnderTest) -> None:
    due = timezone.now() + timedelta(seconds=1)
    for number in range(12):
        make_job(
            "sample.noop",
            id=f"burst-{number}",
            trigger="interval",
            interval=timedelta(milliseconds=10),
            anchor=due,
            coalesce=False,
        )
    wait_until(lambda: Task.objects.filter(status="completed").count() > 5000, seconds=60)
    assert scheduler.process.poll() is None
    for job in Job.objects.filter(pk__startswith="burst-"):
        job.pause()
    wait_until(lambda: not Task.objects.active().exists(), seconds=30)
    lost = Task.objects.exclude(status__in=["completed", "skipped"])
    assert not lost, list(lost.values("status", "reason", "started_at", "finished_at"))


class TestBriefRuns:
    """While runs are brief, Tasks are claimed ahead of the workers that will run them."""

    @staticmethod
    def queue(function: str, count: int, **fields: Any) -> None:
        job = make_job(function, max_instances=1000, **fields)
        Task.objects.bulk_create(Task.for_job(job, cause=Task.Cause.MANUAL) for _ in range(count))

    def test_the_history_shows_no_more_at_once_than_there_are_workers(self, scheduler: SchedulerUnderTest) -> None:
        self.queue("sample.noop", 500)
        wait_until(lambda: Task.objects.filter(status="completed").count() == 500, seconds=30)
        moments: list[tuple[Any, int]] = []
        for started_at, finished_at in Task.objects.values_list("started_at", "finished_at"):
            moments += [(started_at, 1), (finished_at, -1)]
        at_once = [0]
        for _, step in sorted(moments):
            at_once.append(at_once[-1] + step)
        assert max(at_once) <= 4 and min(at_once) == 0

    def test_what_was_claimed_ahead_of_a_long_run_is_given_back(self, scheduler: SchedulerUnderTest) -> None:
        self.queue("sample.noop", 100)
        self.queue("sample.sleep", 20, arguments={"seconds": 60})
        self.queue("sample.noop", 20)
        running = Task.objects.filter(status="running")
        wait_until(lambda: running.filter(function="sample.sleep").count() >= 4, seconds=20)
        wait_until(lambda: running.count() == 4, seconds=2, otherwise=running.count)
        assert Task.objects.filter(status="completed").count() == 100
        back = Task.objects.filter(status="queued", owner=None, started_at=None)
        assert back.count() == 36
        for task in [*running, *back]:
            cancel_task(task.pk)
        wait_until(lambda: not Task.objects.active().exists(), seconds=20)
        assert not Task.objects.filter(status__in=["lost", "failed"]).exists()

    def test_a_stop_gives_back_what_no_worker_has(self, scheduler: SchedulerUnderTest) -> None:
        self.queue("sample.noop", 3000)
        wait_until(lambda: Task.objects.filter(status="completed").count() > 300, seconds=20)
        assert scheduler.stop() == 0
        assert set(Task.objects.values_list("status", flat=True)) == {"completed", "queued"}
        assert not Task.objects.filter(status="queued").exclude(owner=None, started_at=None).exists()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def worker_pids(pid: int) -> list[int]:
    (zygote,) = children(pid)
    return children(zygote)


def test_a_scheduler_in_a_thread_of_this_process_works(
    process_env: dict[str, str], monkeypatch: pytest.MonkeyPatch, restored_scheduler: Callable[[], None]
) -> None:
    for name, value in process_env.items():
        monkeypatch.setenv(name, value)
    from scheduling.scheduler import shutdown_scheduler, start_scheduler

    assert initialize_scheduler() is get_scheduler() is initialize_scheduler()
    start_scheduler()
    assert ended(make_job("sample.noop").run_now(), 20).status == "completed"
    shutdown_scheduler(wait=True)
    assert not is_scheduler_running()
    assert set(SchedulerProcess.objects.values_list("outcome", flat=True)) == {"stopped"}


@pytest.fixture
def restored_scheduler() -> Iterator[Callable[[], None]]:
    from scheduling.scheduler import shutdown_scheduler

    yield lambda: None
    shutdown_scheduler(wait=False)


def test_the_level_of_the_terminal_cuts_no_log_of_a_task(process_env: dict[str, str], tmp_path: Path) -> None:
    with running_scheduler({**process_env, "LOG_LEVEL": "ERROR"}, tmp_path) as scheduler:
        task = ended(make_job("sample.sleep", arguments={"seconds": 0}).run_now())
        assert "sleeping for 0" in task.log_output
        assert "completed in" not in scheduler.output


def test_closing_the_terminal_lets_the_work_end(process_env: dict[str, str], tmp_path: Path) -> None:
    """What the signal's handler would say goes nowhere then."""
    reader, terminal = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "runscheduler"], cwd=ROOT, env=process_env, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    try:
        wait_until(is_scheduler_running, seconds=20)
        task = started(make_job("sample.sleep", arguments={"seconds": 1.5}).run_now())
        os.close(reader)
        process.send_signal(signal.SIGTERM)
        process.wait(15)
    finally:
        process.kill()
        process.wait()
    task.refresh_from_db()
    assert task.status == Task.Status.COMPLETED
