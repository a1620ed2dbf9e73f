"""`manage.py checkscheduler`: for a health check, a cron mail or a container."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from scheduling.health import problems
from scheduling.pauses import current_pause


class Command(BaseCommand):
    help = "Exit with 1, and say why, when no scheduler is alive or a Job is overdue."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--overdue",
            type=_seconds,
            default=60,
            help="seconds that a Job may be late (default 60)",
        )

    def handle(self, *args: Any, overdue: int, **options: Any) -> None:
        if found := problems(overdue=timedelta(seconds=overdue)):
            raise CommandError("\n".join(found))
        if (pause := current_pause()) is not None:
            self.stdout.write(f"A scheduler is alive. Everything is paused {pause.in_words()}.")
        else:
            self.stdout.write("A scheduler is alive and no Job is overdue.")


def _seconds(text: str) -> int:
    seconds = int(text)
    if not 0 < seconds < 1_000_000_000:
        raise ValueError(text)
    return seconds
