"""Tasks whose process is gone: closed as lost, with the reason, and retried where the Job says so."""

from __future__ import annotations

import logging
import time
from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from .conf import scheduling_settings
from .models import SchedulerProcess, Task
from .outcomes import Ended, Outcome, record

logger = logging.getLogger(__name__)


class Watch:
    """What one process has seen of the heartbeats of all, since it was last sure to see them.

    Clocks are set back and forth, and machines sleep: an old heartbeat alone proves nothing. Dead is who, beside that,
    was not seen to beat for twice the time in which the living do.
    """

    def __init__(self) -> None:
        self._seen: dict[int, tuple[datetime, float]] = {}
        """Process -> its heartbeat, and since when (CLOCK_MONOTONIC) it is the same."""

    def recover(self, own: SchedulerProcess) -> int:
        """Declare silent processes dead and close the Tasks of those that are gone. Returns how many were closed.

        Any number of processes may do this at once; each dead one is closed by one of them, in one transaction.
        """
        closed = 0
        for process in self._silent(own):
            with transaction.atomic():
                if process.declare_dead():
                    closed += _close_tasks(process)
        return closed + _close_ownerless_tasks()

    def _silent(self, own: SchedulerProcess) -> list[SchedulerProcess]:
        now = time.monotonic()
        seen = {}
        silent = []
        for process in SchedulerProcess.objects.unstopped().exclude(pk=own.pk):
            heartbeat, since = self._seen.get(process.pk, (None, now))
            if heartbeat != process.heartbeat_at:
                since = now
            seen[process.pk] = (process.heartbeat_at, since)
            if process.is_late and now - since >= 2 * scheduling_settings().HEARTBEAT_EVERY:
                silent.append(process)
        self._seen = seen
        return silent


def sign_off(process: SchedulerProcess, outcome: str) -> None:
    """Close the row of a process that ends, and what it leaves running."""
    with transaction.atomic():
        if process.stop(outcome):
            _close_tasks(process)


def _close_ownerless_tasks() -> int:
    """Running in the name of nobody, or of a process that is closed: taken, for instance, while it was declared dead."""
    ownerless = Task.objects.filter(status=Task.Status.RUNNING).filter(
        Q(owner=None) | Q(owner__stopped_at__isnull=False)
    )
    owners = {task.owner_id: task.owner for task in ownerless.select_related("owner")}
    return sum(_close_tasks(owner) for owner in owners.values())


def _close_tasks(process: SchedulerProcess | None) -> int:
    who = f"The process that ran it ({process})" if process else "Whatever ran it"
    outcome = Outcome(status=Task.Status.LOST, reason=f"{who} died, ended, or lost touch with the database.")
    now = timezone.now()
    ended = [Ended(pk, outcome, now) for pk in Task.objects.running_in(process).values_list("pk", flat=True)]
    if not ended:
        return 0
    if closed := record(ended, owner=process):
        logger.warning(
            "%s is gone; %s running Task%s closed as lost.", process, len(closed), "" if len(closed) == 1 else "s"
        )
    return len(closed)
