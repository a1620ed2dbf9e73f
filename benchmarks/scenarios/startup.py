from __future__ import annotations

from collections.abc import Iterator

from benchmarks.figures import Figure
from benchmarks.sides import Bench, Side

EXTRA_APPS = "benchmarks.ours,benchmarks.declared"


def startup(bench: Bench) -> Iterator[Figure]:
    """10,000 Jobs declared in code: seconds from the start of the process to ready, first and unchanged second time."""
    count = 100 if bench.quick else 10_000
    (ours_first, ours), (stock_first, stock) = (_start_twice(side, count) for side in bench.sides)
    yield Figure(f"{count:,} Jobs declared, unchanged", "s", ours, stock, goal="< 2", met=ours < 2)
    yield Figure(f"{count:,} Jobs declared, first start", "s", ours_first, stock_first)


def _start_twice(side: Side, count: int) -> tuple[float, float]:
    side.fresh()
    times = []
    for _ in range(2):
        with side.scheduler(BENCHMARK_DECLARED=str(count), AUDIOBOOKS_EXTRA_APPS=EXTRA_APPS):
            times.append(side.started_in)
    return times[0], times[1]
