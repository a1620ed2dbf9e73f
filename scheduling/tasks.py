"""The task function that keeps the history small."""

import time
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from .conf import MOST_DAYS, scheduling_settings
from .context import TaskRun
from .exceptions import TaskFailed
from .history import counted_until, roll_up
from .models import Job, JobChange, SchedulerProcess, Task
from .registry import task

# Rows a transaction, and the pause after it: no other writer waits long, also on SQLite, which has one writer.
BATCH = 500
PAUSE = 0.02
CHANGES_KEPT = timedelta(days=365)
"""Changes of Jobs hold their arguments, so they are not kept for ever."""


@task(
    "scheduling.cleanup_old_tasks",
    id="cleanup_tasks",
    name="Daily Task Cleanup",
    label="CLEANUP",
    cron="0 1 * * *",
    timeout=timedelta(hours=2),
)
def cleanup_old_tasks(run: TaskRun, days: int | None = None) -> None:
    """Delete Task records older than 30 days, or what the settings say."""
    if days is not None and not 0 <= days <= MOST_DAYS:
        raise TaskFailed(f"{days} days make no sense: give a number from 0 to {MOST_DAYS:,}.")
    settings = scheduling_settings()
    now = timezone.now()
    keep = timedelta(days=settings.RETENTION_DAYS if days is None else days)
    keep_failed = max(keep, timedelta(days=settings.RETENTION_FAILED_DAYS)) if days is None else keep
    old = Task.objects.ended().filter(date_created__lt=now - keep).exclude(finished_at__gte=now - keep)
    # The record that a one-off Job has run keeps it from running again.
    old = old.exclude(job__trigger=Job.TriggerKind.ONCE, fire_time=F("job__run_at"))
    if keep_failed > keep:
        old = old.exclude(status__in=Task.RETRIED, date_created__gte=now - keep_failed)
    roll_up()
    # What was not counted yet, as the last days, or one in which a run still goes on, stays until it is.
    old = old.filter(date_created__lt=counted_until())
    deleted = 0
    while not run.should_stop:
        with transaction.atomic():
            # In the order in which others lock several.
            ids = list(old.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True)[:BATCH])
            Task.objects.ended().filter(pk__in=ids).delete()
        deleted += len(ids)
        run.succeeded(len(ids))
        run.progress(deleted, text=f"{deleted:,} deleted")
        if len(ids) < BATCH:
            break
        time.sleep(PAUSE)
    _forget_old_changes(now)
    # As long as a page may have to say whether one was running.
    kept = max(keep, timedelta(days=settings.RETENTION_DAYS))
    SchedulerProcess.objects.filter(stopped_at__lt=now - kept, tasks=None).delete()
    if deleted and not connection.in_atomic_block:
        _vacuum()
    run.log("%s Task records older than %s were deleted.", f"{deleted:,}", keep)
    run.result = {"deleted": deleted}


def _vacuum() -> None:
    """Let the database reuse the room now. PostgreSQL's VACUUM and SQLite's PRAGMA optimize stop no writer."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM (ANALYZE) scheduling_task, scheduling_tasklog, django_apscheduler_djangojob")
        else:
            cursor.execute("PRAGMA optimize")


def _forget_old_changes(now: datetime) -> None:
    """But for the newest of each Job, which tells how the Job came to be as it is."""
    later = JobChange.objects.filter(job_key=OuterRef("job_key"), pk__gt=OuterRef("pk"))
    job = Job.objects.filter(pk=OuterRef("job_key"))
    JobChange.objects.filter(Exists(later) | ~Exists(job), Q(at__lt=now - CHANGES_KEPT)).delete()
