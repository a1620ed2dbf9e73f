"""`python -m benchmarks.crawl`: a first crawl of a tracker's newest audiobooks, and a second one that finds nothing new.

The tracker is a stand-in on loopback, in a process of its own; the pace that is kept with the real one is left out.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.databases import Database, Postgres, Sqlite
from benchmarks.processes import ROOT, Process

if TYPE_CHECKING:
    from benchmarks.crawl.measuring import Passage

OWN = 1000
"""Books in the library."""
QUERIES = 30
"""A page."""
RATE = 200
"""Releases a second."""
DRIFT = 1.2
"""Memory beside what it was in the middle."""


def main() -> int:
    options = parse()
    with tempfile.TemporaryDirectory(prefix="benchmarks-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        database: Database = Postgres(folder) if options.database == "postgres" else Sqlite(folder)
        command = [sys.executable, "-m", "benchmarks.crawl.standin", str(options.releases), str(options.latency / 1000)]
        database.create("crawl")
        os.environ.update(
            {
                "DJANGO_SETTINGS_MODULE": "audiobooks.settings",
                "DATABASE_URL": database.url("crawl"),
                "SECRET_KEY": "a-key-for-measuring",
                "AUDIOBOOKS_EXTRA_APPS": "",
                "DEBUG": "false",
                "LOG_LEVEL": "WARNING",
                "SOURCES": "myanonamouse",
                # The stand-in's.
                "MAM_SESSION": "SeedOf%2BTheMember%3D%3D",
                "MAM_LANGUAGES": "",
                "CRAWL_PAGES": str(options.releases),
            }
        )
        try:
            with Process(command, {**os.environ, "PYTHONPATH": str(ROOT)}, folder / "standin.log") as outside:
                outside.wait_until(lambda: "READY" in outside.output, seconds=120)
                return measure(outside.output.split()[1], options)
        finally:
            database.stop()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crawl", description=__doc__)
    parser.add_argument("--releases", type=int, default=5000)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--latency", type=float, default=30.0, help="milliseconds before an answer (default 30)")
    return parser.parse_args()


def measure(url: str, options: argparse.Namespace) -> int:
    """Returns the exit code: 1 if a goal is missed."""
    os.environ["MAM_URL"] = url
    import django

    django.setup()
    # It reads the settings.
    from benchmarks.crawl import measuring

    measuring.prepare(own=OWN)
    first = measuring.crawled("first crawl", options.releases)
    second = measuring.crawled("second crawl", options.releases)
    print(f"\n{options.database}, {options.releases:,} releases, an answer takes {options.latency:.0f} ms")
    missed = 0
    for words, met in [*_of_the_first(first), *_of_the_second(second)]:
        print(f"  {words}{'' if met is None else '  met' if met else '  NOT met'}")
        missed += met is False
    print(f"\n{missed} goals missed.")
    return 1 if missed else 0


def _of_the_first(crawl: Passage) -> Iterator[tuple[str, bool | None]]:
    rate, queries = crawl.releases / crawl.seconds, crawl.queries / crawl.pages
    yield f"first crawl: {rate:,.0f} releases/s without the pace (goal > {RATE})", rate > RATE
    yield f"  CPU {1000 * crawl.cpu / crawl.releases:.2f} ms a release", None
    yield f"  {queries:.1f} queries a page of 100 (goal <= {QUERIES})", queries <= QUERIES
    middle, most = crawl.memory[len(crawl.memory) // 2], max(crawl.memory[len(crawl.memory) // 2 :])
    words = f"memory {crawl.memory[1] / 1e6:.0f} MB after the first page, {middle / 1e6:.0f} MB in the middle"
    yield f"  {words}, {most / 1e6:.0f} MB at most from there (goal <= {DRIFT} x)", most <= middle * DRIFT


def _of_the_second(crawl: Passage) -> Iterator[tuple[str, bool | None]]:
    words = f"second crawl: {crawl.new} new, {crawl.changed} changed, {crawl.pages} page in {crawl.seconds:.2f} s"
    yield f"{words} (goal: 0, 0, 1)", (crawl.new, crawl.changed, crawl.pages) == (0, 0, 1)


if __name__ == "__main__":
    sys.exit(main())
