"""`python -m benchmarks.crawl.standin RELEASES SECONDS`: MyAnonamouse on loopback, in a process of its own."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime, timedelta

import django

from benchmarks.crawl.offered import author, title

START = datetime(2026, 1, 1, tzinfo=UTC)


def serve(releases: int, seconds: float) -> None:
    # Of the tests, it imports what is to be set up.
    django.setup()
    from tests.fakes.myanonamouse import FakeMyAnonamouse, row

    rows = [
        row(
            number,
            title(number),
            added=str(START + timedelta(minutes=number))[:19],
            author_info=json.dumps({str(number): author(number)}),
            description=f"[b]{title(number)}[/b] is told at length. " * 20,
            mediainfo=json.dumps({"General": {"Format": "MPEG-4", "Duration": "9 h 2 min"}}),
        )
        for number in range(1, releases + 1)
    ]
    with FakeMyAnonamouse(rows) as site:
        site.outside.takes = seconds
        print(f"READY {site.url}", flush=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]))
