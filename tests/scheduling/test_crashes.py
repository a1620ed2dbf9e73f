"""Promises 1, 2 and 5 under force: processes killed and frozen, workers killed, the database restarted."""

from __future__ import annotations

import signal
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from scheduling.models import Job, SchedulerProcess, Task
from tests.postgres import PostgresCluster
from tests.scheduling.jobs import ended, make_job, started
from tests.scheduling.processes import (
    SchedulerUnderTest,
    is_done_within,
    keep_declared_jobs_away,
    running_scheduler,
    wait_until,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]


def fire_times_of(job: Job) -> list[float]:
    return sorted(t.fire_time.timestamp() for t in job.tasks.exclude(fire_time=None) if t.fire_time)


def assert_no_fire_time_is_lost(job: Job) -> None:
    """Every time of the grid has its Task, or is counted in the one that stands for it."""
    tasks = list(job.tasks.exclude(fire_time=None).order_by("fire_time"))
    assert job.interval is not None
    first, last = tasks[0].fire_time, tasks[-1].fire_time
    assert first is not None and last is not None
    due = round((last - first) / job.interval) + 1
    assert sum(task.fire_count for task in tasks) - (tasks[0].fire_count - 1) == due
    assert len({task.fire_time for task in tasks}) == len(tasks)


@pytest.mark.slow
def test_five_schedulers_killed_in_turn_give_one_task_per_fire_time(
    process_env: dict[str, str], tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    start = timezone.now() + timedelta(seconds=3)
    jobs = [
        make_job(
            "sample.mark",
            id=f"often-{number}",
            trigger="interval",
            interval=timedelta(seconds=0.5),
            anchor=start,
            arguments={"path": str(marks)},
            coalesce=False,
            # The Task of a killed process holds its instance until it is closed as lost; here none may be skipped.
            max_instances=1000,
        )
        for number in range(5)
    ]
    keep_declared_jobs_away()
    environment = {**process_env, "SCHEDULER_WORKERS": "2"}
    schedulers = [SchedulerUnderTest(environment, tmp_path) for _ in range(5)]
    try:
        wait_until(lambda: SchedulerProcess.objects.alive().count() >= 5, seconds=120)
        ends = time.monotonic() + 45
        turn = 0
        while time.monotonic() < ends:
            time.sleep(2)
            schedulers[turn % 5].kill()
            schedulers[turn % 5] = SchedulerUnderTest(environment, tmp_path)
            turn += 1
        for job in jobs:
            job.pause()
        wait_until(
            lambda: not Task.objects.active().exists(),
            seconds=120,
            otherwise=lambda: Task.objects.active().values(),
        )
    finally:
        for scheduler in schedulers:
            scheduler.stop()
    ran = [int(line.split()[1]) for line in marks.read_text().splitlines()]
    assert len(ran) == len(set(ran)), "a Task was run twice"
    for job in jobs:
        assert_no_fire_time_is_lost(job)
        assert job.tasks.count() > 60
    ours = Task.objects.filter(job__in=jobs)
    assert set(ours.values_list("status", flat=True)) <= {"completed", "lost"}
    assert set(ours.filter(status="completed").values_list("pk", flat=True)) <= set(ran)


@pytest.mark.slow
def test_the_tasks_of_a_killed_scheduler_are_lost_within_60_s_and_retried(
    process_env: dict[str, str], tmp_path: Path
) -> None:
    job = make_job("sample.sleep", arguments={"seconds": 120}, retries=1, retry_delay=timedelta(seconds=0.1))
    with running_scheduler(process_env, tmp_path) as first:
        task = started(job.run_now())
        with running_scheduler(process_env, tmp_path):
            first.kill()
            killed = time.monotonic()
            assert ended(task, 60).status == Task.Status.LOST
            assert time.monotonic() - killed < 60
            assert "died, ended, or lost touch" in task.reason
            retry = task.retries.get()
            started(retry)
            retry.cancel()
            ended(retry)


def test_workers_do_not_outlive_a_killed_scheduler(process_env: dict[str, str], tmp_path: Path) -> None:
    job = make_job("sample.sleep", arguments={"seconds": 120})
    with running_scheduler(process_env, tmp_path) as scheduler:
        started(job.run_now())
        # The zygote and its workers, of which the first has the Task while others still come.
        wait_until(lambda: len(scheduler.descendants) >= 5, seconds=60)
        pids = scheduler.descendants
        scheduler.kill()
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), seconds=30)


def freeze_outside_a_write(scheduler: SchedulerUnderTest) -> None:
    """SQLite has one lock for all writers; frozen with it, a process stops the others until it is thawed or killed."""
    for _ in range(5):
        scheduler.signal(signal.SIGSTOP)
        try:
            SchedulerProcess.objects.filter(pk=0).update(host="")
        except OperationalError:
            scheduler.signal(signal.SIGCONT)
            time.sleep(0.1)
        else:
            return
    raise AssertionError("it was in the middle of a write five times")


@pytest.mark.slow
def test_a_frozen_and_thawed_scheduler_repeats_nothing(process_env: dict[str, str], tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    job = make_job(
        "sample.mark",
        trigger="interval",
        interval=timedelta(seconds=0.5),
        arguments={"path": str(marks)},
        coalesce=False,
    )
    with (
        running_scheduler(process_env, tmp_path) as frozen,
        running_scheduler(process_env, tmp_path) as other,
    ):
        wait_until(lambda: job.tasks.count() > 4, seconds=60)
        freeze_outside_a_write(frozen)
        dead = SchedulerProcess.objects.filter(outcome__startswith="lost")
        wait_until(dead.exists, seconds=90, otherwise=lambda: (frozen.output, other.output))
        time.sleep(2)
        frozen.signal(signal.SIGCONT)
        wait_until(lambda: "starts anew" in frozen.output, seconds=60, otherwise=lambda: frozen.output)
        time.sleep(4)
        job.pause()
        wait_until(lambda: not Task.objects.active().exists(), seconds=90)
        assert dead.count() == 1, (frozen.output, other.output, list(SchedulerProcess.objects.values()))
        assert other.process.poll() is None
    ran = [int(line.split()[1]) for line in marks.read_text().splitlines()]
    assert len(ran) == len(set(ran))
    assert_no_fire_time_is_lost(job)


def test_the_loop_outlives_a_restart_of_the_database(
    process_env: dict[str, str], tmp_path: Path, cluster: PostgresCluster
) -> None:
    jobs = [
        make_job("sample.noop", id=f"j{n}", trigger="interval", interval=timedelta(seconds=0.2), coalesce=False)
        for n in range(10)
    ]
    with running_scheduler(process_env, tmp_path) as scheduler:
        wait_until(lambda: Task.objects.count() > 100, seconds=60)

        def runs_again() -> bool:
            return Task.objects.filter(
                status="completed", started_at__gt=timezone.now() - timedelta(seconds=0.5)
            ).exists()

        def seconds_after_a_restart() -> float:
            connection.close()
            cluster.restart()
            connection.close()
            return wait_until(runs_again, seconds=60, otherwise=lambda: scheduler.output[-2000:])

        is_done_within(2.5, seconds_after_a_restart)
        time.sleep(1)
        for job in jobs:
            job.pause()
        wait_until(lambda: not Task.objects.active().exists(), seconds=60)
        assert "can be used again after" in scheduler.output
    for job in jobs:
        assert_no_fire_time_is_lost(job)


def test_fire_times_while_nothing_ran_are_recorded_as_missed(process_env: dict[str, str], tmp_path: Path) -> None:
    job = make_job(
        "sample.noop",
        trigger="interval",
        interval=timedelta(minutes=1),
        anchor=timezone.now() - timedelta(days=1, seconds=5),
    )
    type(job.runtime).objects.filter(pk=job.pk).update(next_run_time=job.anchor)
    with running_scheduler(process_env, tmp_path):
        wait_until(lambda: job.tasks.filter(status="completed").exists(), seconds=40)
    missed = job.tasks.get(status="missed")
    assert missed.fire_count == 1440 - 15 or missed.fire_count == 1441 - 15
    assert "no scheduler was running" in missed.reason
    run = job.tasks.get(status="completed")
    assert run.fire_count + missed.fire_count == 1441


def test_tasks_taken_without_a_worker_are_given_back(process_env: dict[str, str], tmp_path: Path) -> None:
    """As after a commit whose answer was lost with the connection: running in a living process, which has not heard."""
    job = make_job("sample.noop")
    with running_scheduler(process_env, tmp_path):
        process = SchedulerProcess.objects.get(kind="scheduler", stopped_at=None)
        task = Task.for_job(job, status=Task.Status.RUNNING, owner=process, started_at=timezone.now())
        task.save()
        assert ended(task).status == Task.Status.COMPLETED
        assert task.owner_id == process.pk


def test_a_poisoned_runtime_row_executes_nothing(process_env: dict[str, str], tmp_path: Path) -> None:
    import pickle

    from django_apscheduler.models import DjangoJob

    proof = tmp_path / "executed"

    class Poison:
        def __reduce__(self) -> tuple[object, tuple[str, str]]:
            return open, (str(proof), "w")

    poison = pickle.dumps(Poison())
    DjangoJob.objects.create(id="poison", next_run_time=timezone.now(), job_state=poison)
    job = make_job("sample.noop")
    DjangoJob.objects.filter(pk=job.pk).update(job_state=poison)
    from scheduling.scheduler import get_scheduled_jobs

    assert job.pk in [found.id for found in get_scheduled_jobs()]
    with running_scheduler(process_env, tmp_path):
        assert ended(job.run_now()).status == "completed"
        time.sleep(1)
    assert not proof.exists()
    assert DjangoJob.objects.filter(pk="poison").exists()


@pytest.mark.slow
def test_pauses_at_the_due_moment_are_never_lost(process_env: dict[str, str], tmp_path: Path) -> None:
    with running_scheduler(process_env, tmp_path):
        due = timezone.now() + timedelta(seconds=2)
        jobs = [
            make_job(
                "sample.noop",
                id=f"p{n}",
                trigger="interval",
                interval=timedelta(seconds=1),
                anchor=due + timedelta(seconds=n * 0.05),
            )
            for n in range(60)
        ]
        for number, job in enumerate(jobs):
            assert job.anchor is not None
            moment = job.anchor + timedelta(milliseconds=number % 13)
            time.sleep(max(0.0, (moment - timezone.now()).total_seconds()))
            job.pause()
        counts = {job.pk: job.tasks.count() for job in jobs}
        time.sleep(2.5)
        assert {job.pk: job.tasks.count() for job in jobs} == counts
        assert all(Job.objects.by_id(job.pk).next_run_time is None for job in jobs)
