"""`python -m benchmarks.pages`: server time and queries of the admin's pages with a million Tasks of 200 Jobs."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.here import django_on

JOBS = 200
DAYS = 30


def main() -> int:
    options = parse()
    with tempfile.TemporaryDirectory(prefix="benchmarks-", ignore_cleanup_errors=True) as temporary:
        shown = {"ALLOWED_HOSTS": "testserver", "HTTPS": "false", "TIME_ZONE": "UTC"}
        with django_on(options.database, Path(temporary), **shown):
            return measure(options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.add_argument("--tasks", type=int, default=1_000_000, help="spread over 30 days (default 1,000,000)")
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--requests", type=int, default=15, help="of each page (default 15)")
    options = parser.parse_args()
    if options.tasks < 1000:
        parser.error("Fewer than 1,000 Tasks have no page 500 and no failures to show.")
    return options


def measure(options: argparse.Namespace) -> int:
    """Returns the exit code: 1 if a goal is missed."""
    # These read the settings.
    from benchmarks.pages import filling, measuring

    began = time.monotonic()
    filling.fill(tasks=options.tasks, jobs=JOBS, days=DAYS)
    filled = time.monotonic()
    filling.count_days()
    print(
        f"{options.database}: {options.tasks:,} Tasks of {JOBS} Jobs in {DAYS} days filled in {filled - began:.0f} s; "
        f"the days before today rolled up in {time.monotonic() - filled:.1f} s.\n"
    )
    timings = [measuring.timed(page, options.requests) for page in measuring.pages(options.tasks)]
    print(measuring.table(timings))
    missed = sum(not timing.is_met for timing in timings)
    print(f"\n{len(timings) - missed} goals met, {missed} not met.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
