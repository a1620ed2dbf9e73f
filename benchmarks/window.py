"""A while of steady work, watched from outside."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.jobs import Spec, lateness, read_starts, sleep_until
from benchmarks.sides import Side

WARM_UP = 2.0
"""Seconds of work before the window: the first runs wait for worker processes and connections."""


@dataclass(frozen=True)
class Window:
    due: int
    """Fire times in the window."""
    lateness: list[float]
    """Milliseconds, of each start that stands for a fire time in the window."""
    cpu_seconds: float
    server_cpu_seconds: float
    is_alive: bool
    """Whether the scheduler process still lived at the end."""

    @property
    def starts(self) -> int:
        return len(self.lateness)

    @property
    def cpu_ms_per_run(self) -> float:
        return 1000 * self.cpu_seconds / max(1, self.starts)

    @property
    def server_cpu_ms_per_run(self) -> float:
        return 1000 * self.server_cpu_seconds / max(1, self.starts)


def lead_for(count: int) -> float:
    """Seconds from now to the first fire time, in which so many Jobs are stored and the scheduler starts."""
    return 5.0 + count / 1500


def watch(
    side: Side,
    jobs: Callable[[float], list[Spec]],
    *,
    count: int,
    seconds: float,
    at_begin: Callable[[], None] = lambda: None,
    at_end: Callable[[], None] = lambda: None,
) -> Window:
    """Store `count` Jobs, made by `jobs` for a first fire time, and watch the scheduler run them for a while.

    Raises:
        TimeoutError: the machine is too slow for the time that is allowed for the start.
    """
    side.fresh()
    path = side.new_file("marks")
    start = time.time() + lead_for(count)
    specs = jobs(start)
    side.insert(specs, path=path)
    with side.scheduler() as process:
        if time.time() > start:
            raise TimeoutError(f"{side.name}: the scheduler was not ready before the first fire time")
        begin, end = start + WARM_UP, start + WARM_UP + seconds
        sleep_until(begin)
        at_begin()
        cpu, server_cpu = process.cpu_seconds, side.database.server_cpu_seconds
        sleep_until(end)
        cpu, server_cpu = process.cpu_seconds - cpu, side.database.server_cpu_seconds - server_cpu
        at_end()
        time.sleep(1.0)
        is_alive = process.is_alive
    due = sum(spec.count_between(begin, end) for spec in specs)
    return Window(due, lateness(specs, read_starts(path), begin, end), cpu, server_cpu, is_alive)
