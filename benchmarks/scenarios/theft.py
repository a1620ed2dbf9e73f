from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.jobs import Spec, read_starts, sleep_until, together
from benchmarks.sides import Bench, Side, Stock


def theft(bench: Bench) -> Iterator[Figure]:
    """20 Jobs, stored a moment ago, come due while a second scheduler process shuts down: how many it steals."""
    ours, stock = _outcome(bench.ours), _outcome(bench.stock)
    yield Figure("of 20 stolen: moved on to the next day, not run", "Jobs", ours[0], stock[0], "0", ours[0] == 0)
    yield Figure("of 20 not run", "Jobs", ours[1], stock[1], "0", ours[1] == 0)
    yield Figure("of 20 run twice", "Jobs", ours[2], stock[2], "0", ours[2] == 0)


def _outcome(side: Side) -> tuple[int, int, int]:
    """How many Jobs were stolen, not run at all, and run more than once."""
    side.fresh()
    path = side.new_file("marks")
    with side.scheduler():
        if isinstance(side, Stock):
            specs = _insert(side, path)
            # What its users put into a web process; its shutdown makes a last pass over the due jobs.
            side.call("visit", leave_at=specs[0].at)
        else:
            with side.scheduler() as second:
                time.sleep(1)
                specs = _insert(side, path)
                sleep_until(specs[0].at)
                second.ask_to_stop()
        sleep_until(specs[0].at + 4)
    runs = Counter(start.job for start in read_starts(path))
    # SQLite stores times as texts, in UTC as PostgreSQL compares them here; both sort as they should.
    later = datetime.fromtimestamp(specs[0].at + 3600, UTC).strftime("%Y-%m-%d %H:%M:%S+00")
    rows = side.read(f"SELECT id FROM django_apscheduler_djangojob WHERE id LIKE 'job-%' AND next_run_time > '{later}'")
    moved = {job for (job,) in rows}
    not_run = {spec.id for spec in specs if not runs[spec.id]}
    return len(not_run & moved), len(not_run), sum(runs[spec.id] > 1 for spec in specs)


def _insert(side: Side, path: Path) -> list[Spec]:
    """Due so soon that both schedulers are up, and late enough for the drivers to start."""
    specs = together(time.time() + 3, count=20, every=24 * 3600)
    side.insert(specs, path=path)
    return specs
