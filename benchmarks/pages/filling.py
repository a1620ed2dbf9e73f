"""A long history, written by the database itself: of 1,000 Tasks 30 failed, 10 were lost, 10 missed, all unlooked at."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from scheduling.history import roll_up
from scheduling.models import Job, SchedulerProcess, Task, TaskLog

FUNCTION = "scheduling.cleanup_old_tasks"
RUNNING = 4
LOG_CHUNKS = 50
TRACEBACK = "Traceback (most recent call last):\n" + '  File "crawl.py", line 1, in crawl\n' * 50 + "ValueError: no"


def fill(*, tasks: int, jobs: int, days: int) -> None:
    call_command("migrate", verbosity=0)
    User.objects.create_superuser("admin")
    with transaction.atomic():
        for number in range(jobs):
            cron = f"{number % 60} * * * *" if number % 2 else "*/5 * * * *"
            Job(id=f"job{number}", name=f"Job number {number}", function=FUNCTION, cron=cron).save_definition()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_insert(tasks, jobs, days), [TRACEBACK])
    process = SchedulerProcess.register(SchedulerProcess.Kind.SCHEDULER)
    SchedulerProcess.objects.update(heartbeat_at=timezone.now() + timedelta(hours=5))
    _add_running(process)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def count_days() -> None:
    """As the nightly cleanup does."""
    roll_up()


def _add_running(process: SchedulerProcess) -> None:
    now = timezone.now()
    for number in range(RUNNING):
        task = Task.objects.create(
            job_id=f"job{number}",
            task_name="RUN",
            function=FUNCTION,
            status=Task.Status.RUNNING,
            owner=process,
            started_at=now,
            progress_total=100,
            items_processed=10 * number,
        )
    line = "2026-11-24 02:00:00 INFO crawl: page 12 of 400 was read, 25 entries, 3 of them new\n"
    TaskLog.objects.bulk_create(TaskLog(task=task, seq=seq, text=line * 50) for seq in range(LOG_CHUNKS))


def _insert(tasks: int, jobs: int, days: int) -> str:
    step = days * 86400 / tasks
    start = time.time() - days * 86400
    columns = _columns(f"{start:.3f} + n * {step:.9f}", jobs)
    if connection.vendor == "postgresql":
        numbers = f"generate_series(0, {tasks - 1}) AS g(n)"
        prefix = ""
    else:
        numbers = "g"
        prefix = f"WITH RECURSIVE g(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM g WHERE n + 1 < {tasks}) "
    names, values = ", ".join(columns), ", ".join(columns.values())
    return f"{prefix}INSERT INTO scheduling_task ({names}) SELECT {values} FROM {numbers} ORDER BY n"


def _columns(epoch: str, jobs: int) -> dict[str, str]:
    """Column -> SQL of the n-th Task, which ran for 1 to 60 seconds."""
    kind = "(n %% 1000 * 7919) %% 1000"
    never_ran = f"{kind} >= 990"
    ended = _moment(f"{epoch} + 1 + n %% 60")
    return {
        **_defaults(),
        "job_id": f"'job' || (n %% {jobs})",
        "task_name": f"'JOB ' || (n %% {jobs})",
        "function": f"'{FUNCTION}'",
        "status": f"CASE WHEN {kind} < 30 THEN 'failed' WHEN {kind} < 40 THEN 'lost' WHEN {never_ran} THEN 'missed' "
        "ELSE 'completed' END",
        "date_created": _moment(epoch),
        "fire_time": _moment(epoch),
        "started_at": f"CASE WHEN {never_ran} THEN NULL ELSE {_moment(epoch)} END",
        "finished_at": f"CASE WHEN {never_ran} THEN NULL ELSE {ended} END",
        "error_message": f"CASE WHEN {kind} < 30 THEN %s ELSE '' END",
    }


def _defaults() -> dict[str, str]:
    """The columns that may not be NULL, as the model fills them."""
    wanted: dict[str, Any] = {
        field.column: field.get_default()
        for field in Task._meta.concrete_fields
        if not field.null and not field.primary_key
    }
    return {name: _literal(value) for name, value in wanted.items()}


def _literal(value: Any) -> str:
    match value:
        case bool():
            return "TRUE" if value else "FALSE"
        case int():
            return str(value)
        case dict():
            return "'{}'"
        case _:
            return f"'{value}'"


def _moment(epoch: str) -> str:
    if connection.vendor == "postgresql":
        return f"to_timestamp({epoch})"
    return f"strftime('%%Y-%%m-%%d %%H:%%M:%%f', {epoch}, 'unixepoch')"
