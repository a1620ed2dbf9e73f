"""Tasks whose process died: closed as lost, with the reason, and retried where the Job says so."""

from __future__ import annotations

import logging

from django.db import transaction
from django.utils import timezone

from .models import SchedulerProcess, Task
from .outcomes import Ended, Outcome, record

logger = logging.getLogger(__name__)


def recover_dead_processes() -> int:
    """Declare processes without a heartbeat dead and close their Tasks. Returns how many Tasks were closed.

    Any number of processes may do this at once; each dead one is closed by one of them, in one transaction.
    """
    closed = 0
    for process in SchedulerProcess.objects.dead():
        with transaction.atomic():
            if not SchedulerProcess.objects.dead().filter(pk=process.pk).exists():
                continue
            if not process.stop("lost: no heartbeat"):
                continue
            closed += _close_tasks(process)
    return closed


def _close_tasks(process: SchedulerProcess) -> int:
    outcome = Outcome(
        status=Task.Status.LOST,
        reason=f"The process that ran it ({process}) died or lost touch with the database.",
    )
    now = timezone.now()
    ended = [Ended(pk, outcome, now) for pk in Task.objects.running_in(process).values_list("pk", flat=True)]
    closed = record(ended, owner=process)
    logger.warning(
        "%s is dead; %s running Task%s closed as lost.", process, len(closed), "" if len(closed) == 1 else "s"
    )
    return len(closed)
