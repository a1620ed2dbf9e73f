"""The settings of scheduling: the dict `SCHEDULING` of the Django settings, with defaults and units."""

import dataclasses
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

SHORTEST_LOST_AFTER = 30.0
"""Seconds. Workers of a frozen scheduler end themselves a little earlier, so that none runs on beside a retry."""
MOST_DAYS = 36_500


@dataclass(frozen=True, kw_only=True)
class SchedulingSettings:
    """Durations are seconds, sizes are characters."""

    WORKERS: int = 4
    """Worker processes of one scheduler process, so Tasks at a time."""
    SHUTDOWN_GRACE: float = 30.0
    """How long running Tasks may still take after the first signal to stop."""
    KILL_AFTER: float = 1.0
    """How long a Task that was asked to stop may take before its worker is killed."""
    HEARTBEAT_EVERY: float = 5.0
    LOST_AFTER: float = 30.0
    """A process without a heartbeat for so long is dead, and its running Tasks are lost."""
    POLL_EVERY: float = 5.0
    """How often the rows are read without being told of a change."""
    SQLITE_POLL_EVERY: float = 0.1
    """How often SQLite is asked whether another process has written."""
    LOG_CAP: int = 1_000_000
    """Characters of log kept of one Task."""
    ERROR_CAP: int = 100_000
    """Characters of error text kept of one Task."""
    RETENTION_DAYS: int = 30
    RETENTION_FAILED_DAYS: int = 30
    START_IN_WEB: bool = False
    SECRETS: tuple[str, ...] = ()
    """Values that are blanked out wherever a Task or a log line would show them."""

    def __post_init__(self) -> None:
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if not isinstance(value, int | float) or not least <= value <= most:
                raise ImproperlyConfigured(f"SCHEDULING[{name!r}] must be a number from {least:,} to {most:,}.")
        if not isinstance(self.WORKERS, int):
            raise ImproperlyConfigured("SCHEDULING['WORKERS'] must be a whole number.")
        if self.LOST_AFTER < 3 * self.HEARTBEAT_EVERY:
            raise ImproperlyConfigured("SCHEDULING['LOST_AFTER'] must be at least three times HEARTBEAT_EVERY.")


_BOUNDS: dict[str, tuple[float, float]] = {
    "WORKERS": (1, 1000),
    "SHUTDOWN_GRACE": (0, 86_400),
    # The time that a run which is to be stopped has before others may begin its retry.
    "KILL_AFTER": (0, 5),
    "HEARTBEAT_EVERY": (0.1, 3600),
    "LOST_AFTER": (SHORTEST_LOST_AFTER, 86_400),
    "POLL_EVERY": (0.05, 3600),
    "SQLITE_POLL_EVERY": (0.01, 3600),
    "LOG_CAP": (1000, 1_000_000_000),
    "ERROR_CAP": (1000, 1_000_000_000),
    "RETENTION_DAYS": (0, MOST_DAYS),
    "RETENTION_FAILED_DAYS": (0, MOST_DAYS),
}


@cache
def scheduling_settings() -> SchedulingSettings:
    """The settings in force.

    Raises:
        ImproperlyConfigured: `SCHEDULING` holds a name that does not exist, or a value that cannot work.
    """
    given: dict[str, Any] = getattr(django_settings, "SCHEDULING", {})
    known = {field.name for field in dataclasses.fields(SchedulingSettings)}
    if unknown := sorted(set(given) - known):
        raise ImproperlyConfigured(
            f"SCHEDULING has no setting {', '.join(unknown)}; it knows {', '.join(sorted(known))}."
        )
    return SchedulingSettings(**given)


def _forget(*, setting: str, **_: object) -> None:
    if setting == "SCHEDULING":
        scheduling_settings.cache_clear()


setting_changed.connect(_forget)
