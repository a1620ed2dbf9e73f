from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.figures import Figure
from benchmarks.jobs import spread
from benchmarks.scenarios.control import control_figures
from benchmarks.sides import Bench, Side


def idle(bench: Bench) -> Iterator[Figure]:
    """10,000 Jobs due in 12 hours: CPU time of the waiting scheduler, and control in spite of them (20 samples)."""
    count = 200 if bench.quick else 10_000
    seconds = 5.0 if bench.quick else 60.0
    stock, stock_server = _wait(bench.stock, count, seconds)
    bench.ours.fresh()
    _insert(bench.ours, count)
    with bench.ours.scheduler():
        pass  # Its own Jobs are declared now.
    with bench.ours.scheduler() as process:
        time.sleep(3)
        before, server_before = process.cpu_seconds, bench.database.server_cpu_seconds
        time.sleep(seconds)
        ours = (process.cpu_seconds - before) * 60 / seconds
        server = (bench.database.server_cpu_seconds - server_before) * 60 / seconds
        yield Figure(f"{count:,} Jobs: CPU of the scheduler", "s/min", ours, stock, goal="<= 0.4", met=ours <= 0.4)
        if bench.on_postgres:
            yield Figure(f"{count:,} Jobs: CPU of PostgreSQL", "s/min", server, stock_server)
        yield from control_figures(bench, samples=2 if bench.quick else 20)


def _insert(side: Side, count: int) -> None:
    side.insert(spread(time.time() + 12 * 3600, count=count, every=12 * 3600))


def _wait(side: Side, count: int, seconds: float) -> tuple[float, float]:
    """CPU seconds a minute of the scheduler and of the database's server."""
    side.fresh()
    _insert(side, count)
    with side.scheduler() as process:
        time.sleep(3)
        before, server_before = process.cpu_seconds, side.database.server_cpu_seconds
        time.sleep(seconds)
        cpu, server = process.cpu_seconds - before, side.database.server_cpu_seconds - server_before
    return cpu * 60 / seconds, server * 60 / seconds
