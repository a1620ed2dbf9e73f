from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from benchmarks.figures import Figure
from benchmarks.jobs import Spec, read_starts, sleep_until, spread
from benchmarks.sides import Bench, Stock
from benchmarks.window import lead_for

LOCKED = "database is locked"


def endurance(bench: Bench) -> Iterator[Figure]:
    """100 runs a second on SQLite for 10 minutes; stock with Django's default transactions for a minute at most."""
    ours, minutes = bench.ours, bench.minutes
    ours.fresh()
    start = time.time() + lead_for(100)
    specs = spread(start, count=100, every=1.0)
    ours.insert(specs)
    with ours.scheduler() as process:
        end = start + 60 * minutes
        while time.time() < end and process.is_alive:
            sleep_until(min(end, time.time() + 1))
        lived = time.time() - start
        time.sleep(2)
        alive, locked = process.is_alive, process.output.count(LOCKED)
    due = sum(spec.count_between(start, end) for spec in specs)
    completed = ours.call("completed", before=end)
    stock_life = _life_of_stock(bench.stock, seconds=10 if bench.quick else 60)
    yield Figure(
        f"life, watched for {60 * minutes:,.0f} s (stock 60 s, DEFERRED)",
        "s",
        lived,
        stock_life,
        goal="alive",
        met=alive,
    )
    yield Figure(f"“{LOCKED}” in its output", "times", locked, goal="0", met=locked == 0)
    yield Figure(f"completed of {due:,} due", "runs", completed, goal="all", met=completed == due)


def _life_of_stock(stock: Stock, *, seconds: float) -> str:
    stock.fresh()
    path = stock.new_file("marks")
    start = time.time() + lead_for(100)
    specs: list[Spec] = spread(start, count=100, every=1.0)
    stock.insert(specs, path=path)
    with stock.scheduler(BENCHMARK_TRANSACTION_MODE="DEFERRED") as process:
        with contextlib.suppress(ChildProcessError):
            process.wait_until(lambda: time.time() > start + seconds, seconds=60 + 2 * seconds)
        if process.is_alive:
            return f"alive after {seconds:.0f}"
    return f"died after {time.time() - start:.1f}, {len(read_starts(path)):,} starts"
