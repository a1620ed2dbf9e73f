"""`python -m benchmarks.refresh`: the first import and full refreshes of a library of real books.

The provider is a stand-in on loopback, in a process of its own, that answers after 30 ms.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.here import django_on
from benchmarks.processes import ROOT, Process
from benchmarks.refresh.library import SOURCE

if TYPE_CHECKING:
    from benchmarks.refresh.measuring import Passage

COST = 5.0
"""CPU milliseconds a book."""
DRIFT = 1.2
"""The last thousand books beside the first, and memory beside what it was in the middle."""


def main() -> int:
    options = parse()
    if not SOURCE.exists():
        print(f"Nothing was run: there is no {SOURCE} (AUDIOBOOKS_DATA is its folder).")
        return 0
    with tempfile.TemporaryDirectory(prefix="benchmarks-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        command = [sys.executable, "-m", "benchmarks.refresh.standin", str(options.books), str(options.latency / 1000)]
        with Process(command, {**os.environ, "PYTHONPATH": str(ROOT)}, folder / "standin.log") as outside:
            outside.wait_until(lambda: "READY" in outside.output, seconds=120)
            url = outside.output.split()[1]
            services = {"AUDNEXUS_URL": url, "AUDIBLE_URL": url, "AUDIBLE_REGION": "us"}
            whole = {"METADATA_PROVIDERS": "audnexus", "METADATA_GUARD_PERCENT": "100"}
            with django_on(options.database, folder, **services, **whole):
                return measure(options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refresh", description=__doc__)
    parser.add_argument("--books", type=int, default=10_000, help="10,000 real ones, beyond that variations of them")
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--latency", type=float, default=30.0, help="milliseconds before an answer (default 30)")
    options = parser.parse_args()
    if options.books < 3000:
        parser.error("Fewer than 3,000 books have no first and last thousand.")
    return options


def measure(options: argparse.Namespace) -> int:
    """Returns the exit code: 1 if a goal is missed."""
    # It reads the settings.
    from benchmarks.refresh import measuring

    measuring.prepare()
    passages = [measuring.first_import(options.books), measuring.full_refresh("first refresh")]
    measuring.let_a_month_pass()
    passages.append(measuring.full_refresh("refresh a month later"))
    print(f"\n{options.database}, {options.books:,} books, the provider answers after {options.latency:.0f} ms")
    missed = 0
    for passage in passages:
        print(f"\n{passage.name}")
        for words, met in _lines(passage):
            print(f"  {words}{'' if met is None else '  met' if met else '  NOT met'}")
            missed += met is False
    print(f"\n{missed} goals missed.")
    return 1 if missed else 0


def _lines(passage: Passage) -> Iterator[tuple[str, bool | None]]:
    """What is said of it, and whether that meets its goal, where it has one."""
    is_refresh = "refresh" in passage.name
    whole, first, last = passage.cost(0, -1), passage.cost(0, 1), passage.cost(-2, -1)
    early, middle, most = passage.memory()
    yield f"{passage.rate():,.0f} books/s, {passage.queries():.1f} queries a book", None
    yield f"CPU {whole:.2f} ms a book (goal < {COST:.0f})", whole < COST if is_refresh else None
    if is_refresh:
        writing = passage.cost(0, -1, "main")
        yield f"  of it {whole - writing:.2f} ms to ask and {writing:.2f} ms to read and write", None
    goal = last <= first * DRIFT if is_refresh else None
    yield f"CPU of the first thousand {first:.2f}, of the last {last:.2f} ms a book (goal <= {DRIFT} x)", goal
    memory = f"memory {early / 1e6:.0f} MB after the first thousand, {middle / 1e6:.0f} MB in the middle"
    yield f"{memory}, {most / 1e6:.0f} MB at most from there (goal <= {DRIFT} x)", most <= middle * DRIFT


if __name__ == "__main__":
    sys.exit(main())
