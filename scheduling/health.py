"""Is the scheduling well? Answered from the rows, so it can be asked in any process."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from .models import Job, SchedulerProcess
from .pauses import current_pause
from .registry import registry

SHOWN = 20


def problems(*, overdue: timedelta) -> list[str]:
    """A sentence per problem; empty when all is well. While everything is paused, no Job is late."""
    found = []
    if not SchedulerProcess.objects.alive().schedulers().exists():
        found.append("No scheduler is alive. Start one with: python manage.py runscheduler")
    if current_pause() is not None:
        return found
    late = Job.objects.due(timezone.now() - overdue).select_related("runtime")
    for job in late.order_by("runtime__next_run_time")[:SHOWN]:
        if job.function in registry:
            found.append(f"Job {job.pk} is overdue: it should have run at {job.next_run_time:%Y-%m-%d %H:%M:%S %Z}.")
        else:
            found.append(f"Job {job.pk} cannot run: this program has no task function {job.function}.")
    if (count := late.count()) > SHOWN:
        found.append(f"{count - SHOWN:,} more Jobs are overdue.")
    return found
