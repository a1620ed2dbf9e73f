"""The Jobs of a scenario, the same for both sides, and the marks that their runs leave.

All times are seconds since the epoch, of the one clock of this machine; durations are seconds.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

ROUNDING = 1e-5
"""Times are stored in microseconds, so a start may seem this much earlier than its fire time."""


class Spec(NamedTuple):
    """An interval Job: it fires at `at`, `at + every`, … for ever."""

    id: str
    at: float
    every: float

    def fire_time(self, moment: float) -> float:
        """The latest fire time at or before the moment."""
        return self.at + math.floor((moment - self.at + ROUNDING) / self.every) * self.every

    def next_fire_time(self, moment: float) -> float:
        """The first fire time after the moment."""
        return max(self.at, self.fire_time(moment) + self.every)

    def count_between(self, begin: float, end: float) -> int:
        """How many fire times t with begin <= t < end."""
        first = max(0, math.ceil((begin - self.at) / self.every))
        return max(0, math.ceil((end - self.at) / self.every) - first)


class Start(NamedTuple):
    """A start of a run, as its mark tells."""

    job: str
    at: float
    pid: int


def spread(start: float, *, count: int, every: float) -> list[Spec]:
    """Jobs whose fire times follow each other evenly, the first at `start`."""
    return [Spec(f"job-{index}", round(start + index * every / count, 6), every) for index in range(count)]


def together(start: float, *, count: int, every: float) -> list[Spec]:
    """Jobs that all fire at `start`, and so on."""
    return [Spec(f"job-{index}", round(start, 6), every) for index in range(count)]


def mark(path: str, job: str) -> None:
    """What the measured functions of both sides do. Lines this short are appended whole."""
    with open(path, "a") as file:
        file.write(f"{job} {time.time():.6f} {os.getpid()}\n")


def read_starts(path: Path) -> list[Start]:
    if not path.exists():
        return []
    lines = (line.split() for line in path.read_text().splitlines())
    return [Start(job, float(at), int(pid)) for job, at, pid in lines]


def lateness(specs: Iterable[Spec], starts: Iterable[Start], begin: float, end: float) -> list[float]:
    """Milliseconds behind the fire time, of each start whose fire time lies in the window."""
    by_id = {spec.id: spec for spec in specs}
    found = []
    for start in starts:
        spec = by_id[start.job]
        fire_time = spec.fire_time(start.at)
        if begin <= fire_time < end:
            found.append(max(0.0, 1000 * (start.at - fire_time)))
    return found


def sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.time()))


def spin(work: int) -> int:
    """So many steps of plain computing."""
    total = 0
    for number in range(work):
        total += number & 3
    return total
