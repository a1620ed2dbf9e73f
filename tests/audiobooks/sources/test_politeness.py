"""How every source is asked, measured where the requests arrive, with real processes that share nothing but the database."""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from audiobooks.http import Pace
from audiobooks.metadata import librivox as catalogue
from audiobooks.models import Host
from audiobooks.sources import librivox, myanonamouse, torznab
from tests.audiobooks.outside import Outside
from tests.fakes.librivox import FakeLibriVox, project
from tests.fakes.myanonamouse import SEED, FakeMyAnonamouse, row
from tests.fakes.torznab import KEY, FakeTorznab, Item
from tests.scheduling.processes import wait_until

ROOT = Path(__file__).resolve().parents[3]
QUIET = 10
"""Seconds, and more where processes take long to begin."""
PROCESS = """
import sys, threading, datetime
import django
django.setup()
from audiobooks.http import Doorway
from audiobooks.metadata import librivox as catalogue
from audiobooks.sources import registry

# The stand-ins are on loopback, where what answers is taken for our own.
catalogue.pace_at = lambda url, public: public
http = Doorway()

def newest(source, http):
    return source.newest(http)

def popular(source, http):
    return source.popular(http, "History", since=datetime.date(2026, 1, 1))

def ask(name, question):
    for _ in range(int(sys.argv[1])):
        source = registry.source(name)
        outcome = registry.ask(http, source, lambda http: question(source, http))
        print(name, question.__name__, outcome.error or "answered", flush=True)

asked = [("myanonamouse", newest), ("fiction", newest), ("librivox", newest), ("librivox", popular)]
threads = [threading.Thread(target=ask, args=each) for each in asked]
print("asking", flush=True)
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


class Asking:
    """A process that puts one question to each host, so many times."""

    def __init__(self, times: int, environment: dict[str, str], folder: Path) -> None:
        self._output = folder / f"asking-{time.monotonic_ns()}.log"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROCESS, str(times)],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def said(self) -> list[str]:
        return self._output.read_text(errors="replace").splitlines()

    def begins(self) -> None:
        wait_until(lambda: "asking" in self.said, seconds=120)

    def answers(self) -> list[str]:
        assert self.process.wait(250) == 0, self.said
        return [line for line in self.said if line.endswith("answered")]


@contextlib.contextmanager
def hosts() -> Iterator[tuple[dict[str, tuple[Outside, Pace]], dict[str, str]]]:
    """Each by what it stands in for, with the pace that it is to see; and the settings that lead to them."""
    docs = [{"identifier": "item1", "title": "The Blue Harbour"}]
    with (
        FakeMyAnonamouse(rows=[row(1)]) as mam,
        FakeTorznab(items=[Item("Nora Ferris - The Blue Harbour [M4B]")]) as indexer,
        FakeLibriVox(projects=[project(1)]) as feed,
        FakeLibriVox(docs=docs) as archive,
    ):
        standing = {
            "MyAnonamouse": (mam.outside, myanonamouse.PACE),
            "an indexer": (indexer.outside, torznab.PACE),
            "LibriVox": (feed.outside, catalogue.PACE),
            "archive.org": (archive.outside, librivox.PACE),
        }
        settings = {
            **{"MAM_SESSION": SEED, "MAM_URL": mam.url, "TORZNAB_INDEXERS": f"fiction|{indexer.url}|{KEY}"},
            **{"LIBRIVOX_URL": feed.url, "ARCHIVE_URL": archive.archive_url},
        }
        yield standing, settings


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.django_db(transaction=True)
def test_every_source_is_asked_one_at_a_time_at_its_pace_and_left_quiet_across_processes_and_restarts(
    process_env: dict[str, str], tmp_path: Path
) -> None:
    with hosts() as (standing, settings):
        outsides = [outside for outside, _ in standing.values()]
        environment = {**process_env, **settings}
        for outside, pace in standing.values():
            # The first two would overlap, were there a second one at once; the others only keep the pace.
            outside.takes = pace.every + 0.5
        began = time.monotonic()
        both = [Asking(2, environment, tmp_path) for _ in range(2)]
        for asking in both:
            asking.begins()
        quiet = QUIET + math.ceil(4 * (time.monotonic() - began))
        while any(asking.process.poll() is None for asking in both):
            for outside in outsides:
                if len(outside.seen) >= 2:
                    outside.takes = 0.0
            time.sleep(0.01)
        assert [len(asking.answers()) for asking in both] == [8, 8], [asking.said for asking in both]

        for outside in outsides:
            outside.throttle(quiet)
        killed = Asking(1, environment, tmp_path)
        wait_until(lambda: Host.objects.exclude(blocked_until=None).count() == len(standing), seconds=120)
        killed.process.kill()
        killed.process.wait()
        restarted = [Asking(1, environment, tmp_path) for _ in range(2)]
        for asking in restarted:
            asking.begins()
        assert time.monotonic() < min(outside.quiet_until for outside in outsides), "the machine is too slow for this"
        for asking in restarted:
            asking.answers()
        time.sleep(max(0.0, max(outside.quiet_until for outside in outsides) - time.monotonic()))
        assert len(Asking(1, environment, tmp_path).answers()) == 4

        for name, (outside, pace) in standing.items():
            print(
                f"{name}: {len(outside.seen)} requests, {outside.most_at_once} at once, {min(outside.gaps):.2f} s apart"
            )
            assert len(outside.seen) >= 6, name
            assert outside.most_at_once == 1, name
            # What arrives may have been on its way for a little longer than what follows.
            assert min(outside.gaps) >= pace.every - 0.5, name
            assert outside.quiet_broken == 0, name
