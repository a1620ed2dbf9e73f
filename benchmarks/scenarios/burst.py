from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median
from typing import Any

from benchmarks.figures import Figure
from benchmarks.jobs import sleep_until, together
from benchmarks.sides import Bench, Side
from benchmarks.window import lead_for

PATIENCE = 15.0
"""Seconds without a further finished run after which the rest counts as dropped."""


def burst(bench: Bench) -> Iterator[Figure]:
    """5,000 no-op Jobs that are due at one moment: runs per second, median of 3 turns."""
    count, turns = (100, 1) if bench.quick else (5000, 3)
    ours, stock = [], []
    for _ in range(turns):
        ours.append(_burst(bench.ours, count))
        # Its default, to drop what is a second late, would drop most of them.
        stock.append(_burst(bench.stock, count, any_lateness=True))
    rates = median(rate for rate, _ in ours), median(rate for rate, _ in stock)
    least = 3.0 if bench.on_postgres else 1.0
    yield Figure(
        f"{count:,} due at once", "runs/s", *rates, goal=f">= {least:g} x stock", met=rates[0] >= least * rates[1]
    )
    dropped = max(lost for _, lost in ours), max(lost for _, lost in stock)
    yield Figure("dropped, worst turn", "runs", *dropped, goal="0", met=dropped[0] == 0)


def _burst(side: Side, count: int, **options: Any) -> tuple[float, int]:
    """Runs per second, and how many were not run."""
    side.fresh()
    due = time.time() + lead_for(count)
    side.insert(together(due, count=count, every=12 * 3600), **options)
    with side.scheduler() as process:
        if time.time() > due - 1:
            raise TimeoutError(f"{side.name}: the scheduler was not ready a second before the due moment")
        sleep_until(due + 0.5)
        finished, last = side.finished()
        give_up = time.monotonic() + PATIENCE
        while finished < count and process.is_alive and time.monotonic() < give_up:
            time.sleep(0.5)
            before = finished
            finished, last = side.finished()
            if finished > before:
                give_up = time.monotonic() + PATIENCE
    return finished / (last - due) if finished else 0.0, count - finished
