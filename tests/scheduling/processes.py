"""Real scheduler processes for tests, on the test database."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class SchedulerUnderTest:
    """`manage.py runscheduler` as a child process. `output` is what it printed, readable at any time."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self._output = (folder / f"scheduler-{time.monotonic_ns()}.log").open("w+b")
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "runscheduler"],
            cwd=ROOT,
            env=environment,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        return Path(self._output.name).read_text(errors="replace")

    @property
    def resident_megabytes(self) -> int:
        """Of it and all that descend from it."""
        return _resident_bytes(self.pid) // 1_000_000

    @property
    def descendants(self) -> list[int]:
        """Process ids, parents before their children."""
        return _descendants(self.pid)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._output.close()

    def kill_all(self) -> None:
        """Itself and all that descend from it, of which some end with their parents."""
        for pid in [*self.descendants, self.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, timeout: float = 60) -> int:
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout)
        if self.process.poll() is None:
            self.kill()
        self._output.close()
        return self.process.returncode


def _descendants(pid: int) -> list[int]:
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []  # It has ended meanwhile.
    return children + [descendant for child in children for descendant in _descendants(child)]


def _resident_bytes(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # It has ended meanwhile.
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(_resident_bytes(int(child)) for child in children)


def keep_declared_jobs_away() -> None:
    """Those that come due every few minutes, or at an hour of the night, would run beside a test's own."""
    from django.utils import timezone
    from django_apscheduler.models import DjangoJob

    from scheduling.scheduler import declare_jobs

    declare_jobs()
    later = timezone.now() + timedelta(hours=1)
    DjangoJob.objects.filter(job__declared__isnull=False, next_run_time__lt=later).update(next_run_time=later)


@contextlib.contextmanager
def running_scheduler(environment: dict[str, str], folder: Path) -> Iterator[SchedulerUnderTest]:
    from scheduling.models import SchedulerProcess

    keep_declared_jobs_away()
    before = set(SchedulerProcess.objects.values_list("pk", flat=True))
    scheduler = SchedulerUnderTest(environment, folder)
    try:
        wait_until(
            lambda: SchedulerProcess.objects.filter(kind="scheduler", stopped_at=None).exclude(pk__in=before).exists(),
            seconds=60,
            otherwise=lambda: scheduler.output,
        )
        yield scheduler
    finally:
        # Shown by pytest where the test fails.
        print(scheduler.output[-5000:])
        scheduler.stop()


def wait_until(
    condition: Callable[[], bool],
    *,
    seconds: float,
    otherwise: Callable[[], object] = lambda: "it did not happen",
) -> float:
    """Wait for a condition; returns the seconds it took. Fails the test with `otherwise` when it never holds."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"after {seconds} s: {otherwise()}")
        time.sleep(0.01)
    return time.monotonic() - began


def is_done_within(seconds: float, measure: Callable[[], float], *, tries: int = 5) -> None:
    """That what `measure` does takes less than so many seconds. One try may meet a busy machine, so the best counts."""
    took: list[float] = []
    while not took or min(took) >= seconds:
        assert len(took) < tries, f"not within {seconds} s: {took}"
        took.append(measure())
