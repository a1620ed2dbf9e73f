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
)
from tests.scheduling.jobs import ended, make_job, started
from tests.scheduling.processes import ROOT, SchedulerUnderTest, running_scheduler, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def scheduler(process_env: dict[str, str], tmp_path: Path) -> Iterator[SchedulerUnderTest]:
    with running_scheduler(process_env, tmp_path) as running:
        yield running


def is_process(pid: int) -> bool:
    """Whether it lives; one that has ended and is not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class TestStopping:
    @pytest.mark.parametrize(
        "how",
        [
            "cancelled",
            "its worker dies",
            "the zygote is killed",
            "the scheduler is killed",
            "the scheduler is killed with words unread",
        ],
    )
    @pytest.mark.slow
    def test_programs_that_a_task_started_end_with_it(self, scheduler: SchedulerUnderTest, how: str) -> None:
        job = make_job("sample.start_program", arguments={"then_die": how == "its worker dies"})
        task = started(job.run_now())
        wait_until(lambda: Task.objects.get(pk=task.pk).progress_text != "", seconds=30)
        program = int(Task.objects.get(pk=task.pk).progress_text)
        assert is_process(program)
        if how == "cancelled":
            cancel_task(task.pk)
        elif how == "the zygote is killed":
            os.kill(scheduler.descendants[0], signal.SIGKILL)
        elif how == "the scheduler is killed":
            scheduler.kill()
        elif how == "the scheduler is killed with words unread":
            # A zygote that is reading then finds no end of file but a connection that was reset.
            wait_until(lambda: len(worker_pids(scheduler.pid)) == 4, seconds=30)
            scheduler.signal(signal.SIGSTOP)
            idle = next(pid for pid in worker_pids(scheduler.pid) if not children(pid))
            os.kill(idle, signal.SIGKILL)
            wait_until(lambda: idle not in worker_pids(scheduler.pid), seconds=30)
            scheduler.kill()
        wait_until(lambda: not is_process(program), seconds=30)

    def test_the_first_signal_lets_the_work_end(self, scheduler: SchedulerUnderTest) -> None:
        task = started(make_job("sample.sleep", arguments={"seconds": 1.5}).run_now())
        scheduler.signal(signal.SIGTERM)
        scheduler.process.wait(60)
        assert scheduler.process.returncode == 0
        task.refresh_from_db()
        assert task.status == Task.Status.COMPLETED
        assert not is_scheduler_running()

    def test_the_second_signal_stops_at_once(self, scheduler: SchedulerUnderTest) -> None:
        task = started(make_job("sample.sleep", arguments={"seconds": 60}).run_now())
        scheduler.signal(signal.SIGINT)
        # Two that come before the first was heard are one.
        wait_until(lambda: "a second signal stops at once.\n" in scheduler.output, seconds=30)
        began = time.monotonic()
        scheduler.signal(signal.SIGINT)
        scheduler.process.wait(60)
        # It had been told to wait so long for the work at hand.
        assert time.monotonic() - began < 10
        task.refresh_from_db()
        assert task.status == Task.Status.LOST
        assert "scheduler was stopped" in task.reason

    def test_a_signal_to_all_its_processes_lets_the_work_end_too(self, scheduler: SchedulerUnderTest) -> None:
        """As systemd sends it."""
        task = started(make_job("sample.sleep", arguments={"seconds": 1.5}).run_now())
        for pid in [*scheduler.descendants, scheduler.pid]:
            os.kill(pid, signal.SIGTERM)
        scheduler.process.wait(60)
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
            (zygote,) = children(scheduler.pid)
            killed.add(zygote)
            os.kill(zygote, signal.SIGKILL)
            wait_until(lambda: bool(set(children(scheduler.pid)) - killed), seconds=30)
        assert ended(make_job("sample.noop").run_now()).status == Task.Status.COMPLETED
        assert scheduler.process.poll() is None


class TestSteering:
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


@pytest.mark.slow
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
    tasks = Task.objects.filter(job__id__startswith="burst-")
    wait_until(lambda: tasks.filter(status="completed").count() > 5000, seconds=100)
    assert scheduler.process.poll() is None
    for job in Job.objects.filter(pk__startswith="burst-"):
        job.pause()
    wait_until(lambda: not tasks.active().exists(), seconds=60)
    lost = tasks.exclude(status__in=["completed", "skipped"])
    assert not lost, list(lost.values("status", "reason", "started_at", "finished_at"))


class TestBriefRuns:
    """While runs are brief, Tasks are claimed ahead of the workers that will run them."""

    tasks = Task.objects.filter(function__startswith="sample.")

    @staticmethod
    def queue(function: str, count: int, **fields: Any) -> None:
        job = make_job(function, max_instances=1000, **fields)
        Task.objects.bulk_create(Task.for_job(job, cause=Task.Cause.MANUAL) for _ in range(count))

    def test_the_history_shows_no_more_at_once_than_there_are_workers(self, scheduler: SchedulerUnderTest) -> None:
        self.queue("sample.noop", 500)
        wait_until(lambda: self.tasks.filter(status="completed").count() == 500, seconds=60)
        moments: list[tuple[Any, int]] = []
        for started_at, finished_at in self.tasks.values_list("started_at", "finished_at"):
            moments += [(started_at, 1), (finished_at, -1)]
        at_once = [0]
        for _, step in sorted(moments):
            at_once.append(at_once[-1] + step)
        assert max(at_once) <= 4 and min(at_once) == 0

    def test_what_was_claimed_ahead_of_a_long_run_is_given_back(self, scheduler: SchedulerUnderTest) -> None:
        self.queue("sample.noop", 100)
        self.queue("sample.sleep", 20, arguments={"seconds": 60})
        self.queue("sample.noop", 20)
        running = self.tasks.filter(status="running")
        wait_until(
            lambda: list(running.values_list("function", flat=True)) == ["sample.sleep"] * 4,
            seconds=60,
            otherwise=running.count,
        )
        assert self.tasks.filter(status="completed").count() == 100
        back = self.tasks.filter(status="queued", owner=None, started_at=None)
        assert back.count() == 36
        # Those that run last, so that no worker is free for the others meanwhile.
        for task in [*back, *running]:
            cancel_task(task.pk)
        wait_until(lambda: not self.tasks.active().exists(), seconds=60)
        assert not self.tasks.filter(status__in=["lost", "failed"]).exists()

    def test_a_stop_gives_back_what_no_worker_has(self, scheduler: SchedulerUnderTest) -> None:
        self.queue("sample.noop", 3000)
        wait_until(lambda: self.tasks.filter(status="completed").count() > 300, seconds=60)
        assert scheduler.stop() == 0
        assert set(self.tasks.values_list("status", flat=True)) == {"completed", "queued"}
        assert not self.tasks.filter(status="queued").exclude(owner=None, started_at=None).exists()


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
    assert ended(make_job("sample.noop").run_now()).status == "completed"
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
        wait_until(is_scheduler_running, seconds=60)
        task = started(make_job("sample.sleep", arguments={"seconds": 1.5}).run_now())
        os.close(reader)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    finally:
        process.kill()
        process.wait()
    task.refresh_from_db()
    assert task.status == Task.Status.COMPLETED
