from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from benchmarks.databases import Postgres
from benchmarks.figures import Figure
from benchmarks.jobs import Spec, read_starts, sleep_until, spread
from benchmarks.sides import Bench, Side
from benchmarks.window import WARM_UP, lead_for

WATCHED = 10.0


def restart(bench: Bench) -> Iterator[Figure]:
    """PostgreSQL restarts as after a crash, 3 times at 100 runs a second: how soon and how completely work goes on."""
    restarts = 1 if bench.quick else 3
    ours = _Restarts(bench.ours, restarts)
    grid = bench.ours.call("grid", specs=ours.specs)
    stock = _Restarts(bench.stock, restarts)
    slowest = max((first_completed(bench.ours, moment) for moment in ours.accepting), default=float("nan"))
    yield Figure("first completed run, worst", "s", slowest, goal="< 2", met=slowest < 2)
    yield Figure(f"alive after {restarts}", "", ours.life, stock.life, goal="alive", met=ours.life == "alive")
    yield Figure(f"starts in the 10 s after a restart, worst of {restarts}", "runs", ours.worst, stock.worst)
    yield Figure(
        f"fire times without a record, of {grid['passed']:,}",
        "fire times",
        grid["unrecorded"],
        goal="0",
        # The dead pass no fire time by.
        met=grid["unrecorded"] == 0 and ours.life == "alive",
    )
    for status, count in sorted(grid["statuses"].items()):
        yield Figure(f"Tasks {status}", "Tasks", count)


class _Restarts:
    """Restarts of the server under one side. `accepting`: when it took connections again."""

    def __init__(self, side: Side, restarts: int) -> None:
        database = side.database
        assert isinstance(database, Postgres)
        side.fresh()
        path = side.new_file("marks")
        start = time.time() + lead_for(100)
        self.specs: list[Spec] = spread(start, count=100, every=1.0)
        self.accepting: list[float] = []
        side.insert(self.specs, path=path)
        with side.scheduler() as process:
            sleep_until(start + WARM_UP)
            for _ in range(restarts):
                self.accepting.append(database.restart())
                sleep_until(self.accepting[-1] + WATCHED)
            self.life = "alive" if process.is_alive else f"dead: {process.output.strip().splitlines()[-1:]}"
        starts = [start.at for start in read_starts(path)]
        self.worst = min(sum(at <= one < at + WATCHED for one in starts) for at in self.accepting)


def first_completed(side: Side, moment: float) -> float:
    """Seconds from the moment to the end of the first completed run that started after it."""
    since = datetime.fromtimestamp(moment, UTC).isoformat()
    sql = (
        "SELECT extract(epoch FROM min(finished_at)) FROM scheduling_task "
        f"WHERE status = 'completed' AND started_at >= '{since}'"
    )
    ((first,),) = side.read(sql)
    return float("nan") if first is None else float(first) - moment
