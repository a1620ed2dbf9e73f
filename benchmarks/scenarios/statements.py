from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import partial

from benchmarks.databases import Postgres
from benchmarks.figures import Figure
from benchmarks.jobs import spread
from benchmarks.sides import Bench, Side
from benchmarks.window import watch

CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


def statements(bench: Bench) -> Iterator[Figure]:
    """SQL statements a run, from the server's log, at 100 runs a second over 100 Jobs."""
    ours, stock = (_statements_per_run(side, 3 if bench.quick else 20) for side in bench.sides)
    yield Figure("statements", "per run", ours[0], stock[0], goal="<= 5", met=ours[0] <= 5)
    yield Figure("BEGIN, COMMIT, SAVEPOINT and the like", "per run", ours[1], stock[1])


def _statements_per_run(side: Side, seconds: float) -> tuple[float, float]:
    """Statements, and statements that only control transactions. Nobody else sends any meanwhile."""
    database = side.database
    assert isinstance(database, Postgres)
    side.logs_statements = True
    try:
        log: list[str] = []
        window = watch(
            side,
            partial(spread, count=100, every=1.0),
            count=100,
            seconds=seconds,
            at_begin=lambda: log.append(database.log),
            at_end=lambda: log.append(database.log),
        )
    finally:
        side.logs_statements = False
    new = log[1][len(log[0]) :]
    words = Counter(re.findall(r"LOG:  statement: (\w+)", new))
    control = sum(words[word] for word in CONTROL)
    runs = max(1, window.starts)
    return (words.total() - control) / runs, control / runs
