"""`manage.py runtask NAME [key=value ...]`: run a task function here, with a progress bar."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from scheduling.context import TaskRun
from scheduling.exceptions import SchedulingError
from scheduling.models import Job
from scheduling.registry import TaskFunction, registry
from scheduling.runner import run_here, stoppable

BAR = 30


class Command(BaseCommand):
    help = "Run a task function in this terminal, recorded like every run. NAME is its name or the id of a Job."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="e.g. audiobooks.library_scan, or library_scan")
        parser.add_argument("arguments", nargs="*", metavar="key=value")

    def handle(self, *args: Any, name: str, arguments: list[str], **options: Any) -> None:
        try:
            function, given = _function_and_arguments(name, arguments)
            with stoppable():
                result = run_here(function, given, watch=self._draw if self.stderr.isatty() else None)
        except SchedulingError as error:
            self._clear()
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            self._clear()
            raise CommandError("Cancelled.") from None
        self._clear()
        self.stdout.write(
            self.style.SUCCESS(f"{function.label} completed.") + (f" {result}" if result is not None else "")
        )

    _drawn_at = 0.0

    def _draw(self, run: TaskRun) -> None:
        if time.monotonic() - self._drawn_at < 0.1:
            return
        self._drawn_at = time.monotonic()
        count = f"{run.processed:,}"
        bar = ""
        if run.total:
            filled = min(BAR, BAR * run.processed // run.total)
            bar, count = f"[{'#' * filled}{'.' * (BAR - filled)}] ", f"{run.processed:,} of {run.total:,}"
        failed = f", {run.items_failed:,} failed" if run.items_failed else ""
        self.stderr.write(f"\r\x1b[K{bar}{count}{failed} {run.text}"[:120], ending="")

    def _clear(self) -> None:
        if self._drawn_at:
            self.stderr.write("\r\x1b[K", ending="")


def _function_and_arguments(name: str, pairs: list[str]) -> tuple[TaskFunction, dict[str, Any]]:
    if name in registry:
        named = registry.get(name)
        return named, named.parse_arguments(pairs)
    declared: TaskFunction | None = next((f for f in registry if f.defaults and f.defaults.id == name), None)
    job = Job.objects.filter(pk=name).first()
    function: TaskFunction | None = registry.get(job.function) if job else declared
    if function is None:
        names = ", ".join(sorted(function.name for function in registry))
        raise SchedulingError(f"There is no task function or Job {name!r}. The task functions are: {names}.")
    stored = job.arguments if job else function.defaults.arguments if function.defaults else {}
    return function, function.parse_arguments(pairs, over=stored)
