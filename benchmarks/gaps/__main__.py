"""`python -m benchmarks.gaps`: the gap board of a library of real series, beside the truth, two simple rules and the clock."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.databases import Database, Postgres, Sqlite
from benchmarks.refresh.library import SOURCE

GOALS = {10_000: 1.0, 100_000: 3.0}
"""Books -> seconds of the server."""


def main() -> int:
    options = parse()
    if not SOURCE.exists():
        print(f"Nothing was run: there is no {SOURCE} (AUDIOBOOKS_DATA is its folder).")
        return 0
    with tempfile.TemporaryDirectory(prefix="benchmarks-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        database: Database = Postgres(folder) if options.database == "postgres" else Sqlite(folder)
        try:
            return measure(database, options)
        finally:
            database.stop()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gaps", description=__doc__)
    parser.add_argument("--books", type=int, default=10_000, help="10,000 real ones, beyond that variations of them")
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--requests", type=int, default=7, help="of each kind (default 7)")
    parser.add_argument("--errors", type=int, default=0, help="show so many of each kind")
    return parser.parse_args()


def measure(database: Database, options: argparse.Namespace) -> int:
    """Returns the exit code: 1 if a goal is missed."""
    database.create("gaps")
    os.environ.update(
        {
            "DJANGO_SETTINGS_MODULE": "audiobooks.settings",
            "DATABASE_URL": database.url("gaps"),
            "SECRET_KEY": "a-key-for-measuring",
            "ALLOWED_HOSTS": "testserver",
            "AUDIOBOOKS_EXTRA_APPS": "",
            "DEBUG": "false",
            "HTTPS": "false",
            "LOG_LEVEL": "WARNING",
            "TIME_ZONE": "UTC",
        }
    )
    import django

    django.setup()
    # These read the settings.
    from benchmarks.gaps import judging, library, measuring

    made = library.fill(options.books)
    print(
        f"{options.database}: {made.owned:,} books owned, {made.missing:,} missing, {made.again:,} second recordings.\n"
    )
    judged = judging.judge(made)
    _print_judged(judged, options.errors)
    goal = next((seconds for books, seconds in sorted(GOALS.items()) if options.books <= books), 0.0)
    timings = [measuring.timed(*what, options.requests) for what in measuring.questions()]
    print(f"\n{'what':28}  p50 s  p95 s  CPU s  queries")
    for timing in timings:
        verdict = ("met" if timing.p95 <= goal else "NOT met") if goal else ""
        print(f"{timing.name:28} {timing.p50:6.3f} {timing.p95:6.3f} {timing.cpu:6.3f}  {timing.queries:7}  {verdict}")
    is_right = not judged["board"].wrong
    print(f"Goals: no error{'' if is_right else ' (NOT met)'}; p95 of {goal} s.")
    return 0 if is_right and (not goal or all(timing.p95 <= goal for timing in timings)) else 1


def _print_judged(judged: dict[str, Any], shown: int) -> None:
    print(f"{'rule':28}  right  overlooked  not gaps  errors, %")
    for name, each in judged.items():
        print(f"{name:28} {each.right:6,} {len(each.overlooked):11,} {len(each.invented):9,} {100 * each.share:10.1f}")
    for kind in ("overlooked", "invented"):
        for what in getattr(judged["board"], kind)[:shown]:
            print(f"  {kind}: {what}")


if __name__ == "__main__":
    sys.exit(main())
