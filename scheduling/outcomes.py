"""How a run ended, and the one way to write it into the rows, with the retry that may follow."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import DataError, IntegrityError, connection, transaction
from django.db.models.expressions import RawSQL

from . import wakeups
from .conf import scheduling_settings
from .models import Job, SchedulerProcess, Task
from .redaction import redact

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What is written when a run has ended. `result` is JSON text ('' is none). retry: whether its Job's retries apply."""

    status: str
    reason: str = ""
    error_message: str = ""
    result: str = ""
    items_processed: int = 0
    items_succeeded: int = 0
    items_failed: int = 0
    progress_total: int | None = None
    progress_text: str = ""
    retry: bool = True

    def fields(self) -> dict[str, Any]:
        """The columns of a Task."""
        columns = {**vars(self), "result": json.loads(self.result) if self.result else None}
        del columns["retry"]
        return columns


@dataclass(frozen=True)
class Ended:
    task_id: int
    outcome: Outcome
    finished_at: datetime
    started_at: datetime | None = None
    """When a worker took it, which may be later than it was claimed. None: when it was claimed."""


def storable(text: str) -> str:
    """`text` as any database takes it: no NUL (PostgreSQL refuses it), no half surrogate pairs, no secrets."""
    return redact(text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode())


def capped_error(text: str) -> str:
    """The head and the tail of an error text, where it is longer than the cap; the cut is said."""
    text = storable(text)
    cap = scheduling_settings().ERROR_CAP
    if len(text) <= cap:
        return text
    half = cap // 2
    return f"{text[:half]}\n… {len(text) - 2 * half:,} characters cut here (at most {cap:,} are kept) …\n{text[-half:]}"


def result_as_json(value: Any) -> str:
    """JSON text of a task function's result; '' for None.

    Raises:
        TypeError, ValueError: it has no JSON form.
        RecursionError: it is nested too deeply.
    """
    if value is None:
        return ""
    plain = json.loads(json.dumps(value, cls=DjangoJSONEncoder, allow_nan=False))
    return json.dumps(_storable_json(plain))


def _storable_json(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [_storable_json(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): _storable_json(item) for key, item in value.items()}
    return value


def record(ended: Iterable[Ended], *, owner: SchedulerProcess | None) -> set[int]:
    """Close running Tasks of `owner` (None: of nobody) and queue the retries their Jobs allow.

    Returns the ids that were closed; a Task that others have closed meanwhile (as lost) is left as it is. So is, running,
    one that may be retried while another has its Job locked: it is to be tried again.
    Runs that ended alike are written by one statement.

    Raises:
        django.db.Error: the database is away; nothing or a part was written, and the call may be repeated.
    """
    groups: dict[Outcome, list[Ended]] = defaultdict(list)
    for one in ended:
        groups[one.outcome].append(one)
    closed: set[int] = set()
    # Those that need no lock of their Jobs first.
    for outcome, alike in sorted(groups.items(), key=lambda group: group[0].status in Task.RETRIED):
        try:
            closed |= _close(alike, outcome, owner)
        except (DataError, IntegrityError) as error:
            logger.error("The outcome of Tasks %s cannot be stored: %s", [one.task_id for one in alike], error)
            plain = Outcome(
                status=Task.Status.FAILED,
                error_message=f"The outcome could not be stored: {storable(str(error))}",
                retry=outcome.retry,
            )
            closed |= _close(alike, plain, owner)
    return closed


def _close(ended: list[Ended], outcome: Outcome, owner: SchedulerProcess | None) -> set[int]:
    ids = [one.task_id for one in ended]
    mine = Task.objects.running_in(owner).filter(pk__in=ids)
    fields = {**outcome.fields(), "finished_at": _by_task({one.task_id: one.finished_at for one in ended})}
    if started := {one.task_id: one.started_at for one in ended if one.started_at}:
        fields["started_at"] = _by_task(started)
    if outcome.status not in Task.RETRIED:
        # One statement is one transaction.
        if mine.update(**fields) == len(ids):
            return set(ids)
        return set(Task.objects.filter(pk__in=ids, owner=owner, status=outcome.status).values_list("pk", flat=True))
    with transaction.atomic():
        # Jobs before Tasks: the order in which every other writer takes its locks.
        tasks = list(mine.order_by("job_id", "pk"))
        job_ids = sorted({task.job_id for task in tasks if task.job_id})
        # None is waited for: whoever has it, maybe for long, would hold up all other Jobs.
        jobs = {pk: job for pk in job_ids if (job := Job.objects.locked_at_once(pk))}
        mine = mine.exclude(job_id__in=[pk for pk in job_ids if pk not in jobs])
        held = list(mine.select_for_update().values_list("pk", flat=True))
        mine.filter(pk__in=held).update(**fields)
        due = [task for task in tasks if task.pk in held and outcome.retry]
        retried = [_retry(task, job) for task in due if (job := jobs.get(task.job_id or ""))]
        if any(retried):
            wakeups.announce()
    # With those whose commit had its answer lost.
    return set(Task.objects.filter(pk__in=ids, owner=owner, status=outcome.status).values_list("pk", flat=True))


def _by_task(moments: dict[int, datetime]) -> datetime | RawSQL:
    """What to store in one statement, where each Task has a moment of its own."""
    first, *others = set(moments.values())
    if not others:
        return first
    values = [(task_id, connection.ops.adapt_datetimefield_value(moment)) for task_id, moment in moments.items()]
    return RawSQL(f"CASE id {'WHEN %s THEN %s ' * len(values)}END", list(chain.from_iterable(values)))


def _retry(task: Task, job: Job) -> bool:
    """Queue the next attempt if the Job's policy has one left."""
    if task.attempt > job.retries or task.cancel_requested_at:
        return False
    delay = job.retry_delay_before(task.attempt + 1)
    Task.follow_up(task, job=job, delay=delay).save()
    logger.info(
        "Task %s will be tried again in %s (attempt %s of %s).",
        task,
        delay,
        task.attempt + 1,
        job.retries + 1,
    )
    return True
