"""`python -m benchmarks`: our scheduler beside stock django-apscheduler, on this machine and in one run."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import psycopg2  # type: ignore[import-untyped]

from benchmarks.databases import Database, Postgres, Sqlite
from benchmarks.figures import Row, table
from benchmarks.scenarios import BOTH, SCENARIOS
from benchmarks.sides import Bench, Ours, Stock


def main() -> int:
    options = parse()
    # So that everything is ended and removed as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rows: list[Row] = []
    failed: list[str] = []
    try:
        for name in BOTH if options.database == "both" else (options.database,):
            chosen = [scenario for scenario in options.scenarios if name in SCENARIOS[scenario].databases]
            if chosen:
                measure(name, chosen, options, rows, failed)
    except KeyboardInterrupt:
        failed.append("stopped by Ctrl-C")
    finally:
        if options.json:
            options.json.write_text(json.dumps([as_json(row) for row in rows], indent=2) + "\n")
        if rows:
            print(f"\n{table(rows)}")
    missed = sum(row.figure.met is False for row in rows)
    print(f"\n{sum(row.figure.met is True for row in rows)} goals met, {missed} not met.")
    for problem in failed:
        print(f"Failed: {problem}")
    return 1 if missed or failed else 0


def parse() -> argparse.Namespace:
    described = "\n".join(f"  {name:12} {scenario.run.__doc__}" for name, scenario in SCENARIOS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=f"{__doc__}\n\nscenarios:\n{described}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="all of them if none is named")
    parser.add_argument("--database", choices=(*BOTH, "both"), default="both")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that the scenarios work")
    parser.add_argument("--minutes", type=float, help="length of endurance (default 10, with --quick 0.1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    if unknown := [name for name in options.scenarios if name not in SCENARIOS]:
        parser.error(f"There is no scenario {', '.join(unknown)}; there are {', '.join(SCENARIOS)}.")
    options.scenarios = options.scenarios or list(SCENARIOS)
    if options.minutes is None:
        options.minutes = 0.1 if options.quick else 10.0
    return options


def measure(
    name: str, scenarios: Sequence[str], options: argparse.Namespace, rows: list[Row], failed: list[str]
) -> None:
    """Run the scenarios on one kind of database. A scenario that fails does not stop the others."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        database: Database = Postgres(folder) if name == "postgres" else Sqlite(folder)
        try:
            bench = Bench(database, Ours(database, folder), Stock(database, folder), options.quick, options.minutes)
            for scenario in scenarios:
                began = time.monotonic()
                found: list[Row] = []
                try:
                    for figure in SCENARIOS[scenario].run(bench):
                        found.append(Row(scenario, name, figure))
                except (OSError, subprocess.SubprocessError, psycopg2.Error, sqlite3.Error):
                    traceback.print_exc()
                    failed.append(f"{scenario} on {name}")
                rows += found
                show(found, f"{scenario} on {name}, {time.monotonic() - began:.0f} s")
        finally:
            database.stop()


def show(rows: Iterable[Row], title: str) -> None:
    print(f"\n{title}")
    if rows := list(rows):
        print(table(rows), flush=True)


def as_json(row: Row) -> dict[str, Any]:
    figure = row.figure
    values = {**dataclasses.asdict(figure), "ratio": figure.ratio}
    # JSON knows no NaN.
    plain = {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in values.items()}
    return {"scenario": row.scenario, "database": row.database, **plain}


if __name__ == "__main__":
    sys.exit(main())
