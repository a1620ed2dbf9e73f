from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.figures import Figure, percentile
from benchmarks.jobs import Spec, read_starts, spread
from benchmarks.pausing import AIM
from benchmarks.sides import Bench, Side
from benchmarks.window import lead_for


def pauses(bench: Bench) -> Iterator[Figure]:
    """600 pauses (stock: 60) within 12 ms after the due moment of Jobs that run each second: how many are lost."""
    ours = _lost(bench.ours, jobs=40, rounds=1 if bench.quick else 15)
    stock = _lost(bench.stock, jobs=20, rounds=1 if bench.quick else 3)
    yield Figure(
        f"lost of {ours.asked} (stock: of {stock.asked})", "pauses", ours.lost, stock.lost, "0", ours.lost == 0
    )
    yield Figure("asked for within 12 ms after the due moment", "%", ours.on_target, stock.on_target)
    yield Figure("asked for after the due moment, p50", "ms", ours.after_due, stock.after_due)


class _Outcome:
    """`on_target` is a percentage, `after_due` the median in milliseconds."""

    def __init__(self, asked: int, lost: int, after_due: list[float]) -> None:
        self.asked = asked
        self.lost = lost
        self.on_target = 100 * sum(delay <= AIM + 0.001 for delay in after_due) / asked
        self.after_due = 1000 * percentile(after_due, 0.5)


def _lost(side: Side, *, jobs: int, rounds: int) -> _Outcome:
    side.fresh()
    path = side.new_file("marks")
    specs = spread(time.time() + lead_for(jobs), count=jobs, every=1.0)
    # One Job is never paused, so that even a scheduler that is not told of changes wakes up and sees them.
    side.insert([*specs, Spec("awake", specs[0].at, 0.5)], path=path)
    with side.scheduler() as process:
        time.sleep(max(0.0, specs[0].at + 2 - time.time()))
        found = side.call("pauses", specs=specs, rounds=rounds)
        if not process.is_alive:
            raise ChildProcessError(f"{side.name}: the scheduler died:\n{process.output[-1000:]}")
    starts = read_starts(path)
    lost = sum(
        not one["row_is_paused"]
        or any(start.job == one["job"] and one["returned"] + 1 < start.at < one["resumed"] for start in starts)
        for one in found
    )
    return _Outcome(len(found), lost, [one["after_due"] for one in found])
