from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.figures import Figure, percentile, quantiles
from benchmarks.jobs import spread, together
from benchmarks.sides import Bench
from benchmarks.window import Window, watch

RATE = 100


def steady(bench: Bench) -> Iterator[Figure]:
    """100 runs a second, spread evenly over 100, 1,000 and 5,000 Jobs, for 30 s: lateness and CPU time."""
    for count in (100,) if bench.quick else (100, 1000, 5000):
        ours, stock = (
            watch(
                side,
                partial(spread, count=count, every=count / RATE),
                count=count,
                seconds=3 if bench.quick else 30,
            )
            for side in bench.sides
        )
        what = f"{count:,} Jobs"
        late = percentile(ours.lateness, 0.95)
        yield Figure(f"{what}: lateness, p95", "ms", late, _late(stock), goal="< 5", met=ours.is_alive and late < 5)
        yield from quantiles(f"{what}: lateness", ours.lateness, stock.lateness)
        yield Figure(
            f"{what}: CPU of the scheduler",
            "ms/run",
            ours.cpu_ms_per_run,
            stock.cpu_ms_per_run if stock.is_alive else "died",
            goal="<= stock",
            met=ours.is_alive and ours.cpu_ms_per_run <= stock.cpu_ms_per_run,
        )
        if bench.on_postgres:
            yield Figure(
                f"{what}: CPU of PostgreSQL", "ms/run", ours.server_cpu_ms_per_run, stock.server_cpu_ms_per_run
            )
        yield Figure(f"{what}: starts of {ours.due:,} due", "runs", ours.starts, stock.starts)


def same_second(bench: Bench) -> Iterator[Figure]:
    """100 Jobs that are due in the same moment, 5 times after a first one to warm up: lateness."""
    rounds = 1 if bench.quick else 5
    ours, stock = (
        watch(side, partial(together, count=100, every=5.0), count=100, seconds=5.0 * rounds) for side in bench.sides
    )
    late, theirs = percentile(ours.lateness, 0.95), percentile(stock.lateness, 0.95)
    yield Figure("lateness, p95", "ms", late, _late(stock), goal="<= 1/3 of stock", met=late <= theirs / 3)
    yield from quantiles("lateness", ours.lateness, stock.lateness)
    yield Figure(f"starts of {ours.due:,} due", "runs", ours.starts, stock.starts)


def _late(window: Window) -> float | str:
    return percentile(window.lateness, 0.95) if window.is_alive else "died"
