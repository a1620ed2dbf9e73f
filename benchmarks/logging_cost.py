"""`python -m benchmarks.logging_cost`: what it costs a Task that its log is kept, while somebody watches its page.

A function works and logs by turns, about 10,000 lines a second; the same function with its log discarded takes turns
with it. Meanwhile its page's live view is asked twice a second, as a browser does. The goal is a ratio of at most 1.05.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.databases import Database, Postgres, Sqlite
from benchmarks.jobs import spin
from benchmarks.sides import Ours

LINES = 10_000
"""A turn: less than the cap of a Task's log, so that all of it is kept."""
PER_SECOND = 10_000
LOGGING = 8e-6
"""Seconds, about, that a discarded line takes; the rest of its time is work."""
GOAL = 1.05


@dataclass(frozen=True)
class Turn:
    wall: float
    cpu: float
    looks: int


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.logging_cost", description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--turns", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="logging-cost-") as name:
        folder = Path(name)
        database: Database = Sqlite(folder) if options.database == "sqlite" else Postgres(folder)
        try:
            return measure(Ours(database, folder), options.turns)
        finally:
            database.stop()


def measure(side: Ours, turns: int) -> int:
    side.fresh()
    os.environ.update(side.environment(), ALLOWED_HOSTS="testserver")
    import django

    django.setup()
    client, work = signed_in(), steps_of_work()
    with side.scheduler():
        take_turn(side, client, work=work, kept=True)  # Workers are warm afterwards.
        pairs = [[take_turn(side, client, work=work, kept=kept) for kept in (True, False)] for _ in range(turns)]
    for kind in ("wall", "cpu"):
        kept, discarded = (statistics.median(getattr(pair[index], kind) for pair in pairs) for index in (0, 1))
        best = min(getattr(pair[0], kind) for pair in pairs) / min(getattr(pair[1], kind) for pair in pairs)
        print(
            f"{kind:4}: kept {kept:.3f} s, discarded {discarded:.3f} s, ratio {kept / discarded:.3f}, of the best {best:.3f}"
        )
    wall = statistics.median(kept.wall / discarded.wall for kept, discarded in pairs)
    rate = LINES / statistics.median(discarded.wall for _, discarded in pairs)
    looks = sum(turn.looks for pair in pairs for turn in pair)
    print(f"{rate:,.0f} lines/s, {looks} looks at the page; median of {turns} ratios {wall:.3f}, goal {GOAL}")
    return 0 if wall <= GOAL else 1


def steps_of_work() -> int:
    """How many make up a line's time with its logging."""
    steps, took = 200_000, min(_timed_spin(200_000) for _ in range(5))
    return int(steps / took * (1 / PER_SECOND - LOGGING))


def _timed_spin(steps: int) -> float:
    began = time.thread_time()
    spin(steps)
    return time.thread_time() - began


def signed_in() -> Any:
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client()
    client.force_login(User.objects.create_superuser("admin", password="x"))
    return client


def take_turn(side: Ours, client: Any, *, work: int, kept: bool) -> Turn:
    from scheduling.models import Job

    path = side.new_file("seconds")
    job = Job.objects.filter(pk="log").first() or Job(id="log", name="log", function="bench.log", cron="0 0 1 1 *")
    if job._state.adding:
        job.arguments = {"path": "", "lines": 1, "work": 1, "kept": True}
        job.save_definition()
    task = job.run_now(arguments={"path": str(path), "lines": LINES, "work": work, "kept": kept})
    last, looks, is_active = -1, 0, True
    while is_active:
        time.sleep(0.5)
        answer = client.get(f"/admin/scheduling/task/{task.pk}/live/", {"after": str(last)}).json()
        last, looks, is_active = answer["last"] if answer["last"] is not None else last, looks + 1, answer["active"]
    wall, cpu = map(float, path.read_text().split())
    return Turn(wall, cpu, looks)


if __name__ == "__main__":
    raise SystemExit(main())
