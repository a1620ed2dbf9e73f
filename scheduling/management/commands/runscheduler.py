"""`manage.py runscheduler`: a scheduler process, until it is told to stop."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection

from scheduling.conf import scheduling_settings
from scheduling.history import roll_up
from scheduling.models import Job
from scheduling.scheduler import Scheduler, declare_jobs, initialize_scheduler


class Command(BaseCommand):
    help = (
        "Run the Jobs on their schedules. Any number may run at once. Ctrl-C or SIGTERM lets the running Tasks end "
        "(for SCHEDULER_SHUTDOWN_GRACE seconds); a second one stops at once."
    )
    requires_migrations_checks = True

    def handle(self, *args: Any, **options: Any) -> None:
        scheduler = initialize_scheduler()
        for job_id in declare_jobs():
            self.stdout.write(f"Job {job_id} was brought in line with the code.")
        # So that the pages need not count a long history themselves, e.g. after an upgrade.
        roll_up()
        self._stop_on_signals(scheduler)
        workers = scheduling_settings().WORKERS
        self.stdout.write(
            f"Scheduler started: {Job.objects.count()} Jobs, {workers} workers, {connection.vendor}. Ctrl-C stops it."
        )
        self.stdout.flush()
        scheduler.run_until_stopped()
        self.stdout.write("Scheduler stopped.")

    def _stop_on_signals(self, scheduler: Scheduler) -> None:
        received: list[int] = []

        def stop(signum: int, frame: object) -> None:
            received.append(signum)
            scheduler.request_stop(wait=len(received) == 1)
            # Not self.stdout: a signal may come in the middle of a write to it.
            message = b"Stopping after the work at hand; a second signal stops at once.\n"
            with contextlib.suppress(OSError):  # The terminal was closed.
                os.write(2, message if len(received) == 1 else b"Stopping at once.\n")

        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)
