"""What the benchmark does to the stock side's database, by django-apscheduler's own means."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from typing import Any

import django

django.setup()

from apscheduler.schedulers.background import BackgroundScheduler  # noqa: E402
from django_apscheduler.jobstores import DjangoJobStore  # noqa: E402
from django_apscheduler.models import DjangoJob  # noqa: E402

from benchmarks.driver import serve  # noqa: E402
from benchmarks.jobs import Spec, sleep_until  # noqa: E402
from benchmarks.pausing import Pause, pause_at_due_moments  # noqa: E402
from benchmarks.stock import functions  # noqa: E402


def insert(specs: list[list[Any]], path: str, any_lateness: bool = False) -> None:
    """Store what `add_job` would, in one statement.

    A scheduler whose jobs are kept in memory fills in the defaults and the next run time.
    """
    scheduler = BackgroundScheduler(timezone="UTC")
    scheduler.start(paused=True)
    options = {"misfire_grace_time": None} if any_lateness else {}
    rows = []
    for spec in (Spec(*values) for values in specs):
        job = scheduler.add_job(
            functions.mark if path else functions.noop,
            "interval",
            seconds=spec.every,
            start_date=datetime.fromtimestamp(spec.at, UTC),
            id=spec.id,
            kwargs={"path": path, "job": spec.id} if path else {},
            **options,
        )
        state = pickle.dumps(job.__getstate__(), pickle.HIGHEST_PROTOCOL)
        rows.append(DjangoJob(id=job.id, next_run_time=job.next_run_time, job_state=state))
    scheduler.shutdown()
    DjangoJob.objects.bulk_create(rows, batch_size=1000)


def paused_scheduler() -> BackgroundScheduler:
    """What a web process uses to steer the jobs that another process runs."""
    scheduler = BackgroundScheduler(timezone="UTC")
    scheduler.add_jobstore(DjangoJobStore(), "default")
    scheduler.start(paused=True)
    return scheduler


def pauses(specs: list[list[Any]], rounds: int) -> list[Pause]:
    scheduler = paused_scheduler()
    return pause_at_due_moments(
        [Spec(*values) for values in specs],
        rounds=rounds,
        pause=scheduler.pause_job,
        resume=scheduler.resume_job,
        is_paused=lambda job_id: DjangoJob.objects.filter(pk=job_id, next_run_time=None).exists(),
    )


def visit(leave_at: float) -> None:
    """Start a paused scheduler and shut it down at the given moment."""
    scheduler = paused_scheduler()
    sleep_until(leave_at)
    scheduler.shutdown()


serve({"insert": insert, "pauses": pauses, "visit": visit})
