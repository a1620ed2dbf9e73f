"""Child processes and the CPU time that they take."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")


class Process:
    """A child in a session of its own, so that Ctrl-C reaches the benchmark alone. Ended with the block."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], output: Path) -> None:
        self._path = output
        with output.open("wb") as file:
            self._popen = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def is_alive(self) -> bool:
        return self._popen.poll() is None

    @property
    def output(self) -> str:
        return self._path.read_text(errors="replace")

    def wait_until(self, condition: Callable[[], bool], *, seconds: float, every: float = 0.01) -> None:
        """Raises:
        TimeoutError, ChildProcessError: with the end of its output.
        """
        give_up = time.monotonic() + seconds
        while not condition():
            if not self.is_alive:
                raise ChildProcessError(f"The process ended with {self._popen.returncode}:\n{self.output[-2000:]}")
            if time.monotonic() > give_up:
                raise TimeoutError(f"The process was not ready after {seconds} s:\n{self.output[-2000:]}")
            time.sleep(every)

    def ask_to_stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._popen.send_signal(signal.SIGTERM)

    def stop(self, *, seconds: float = 20) -> None:
        if self.is_alive:
            self.ask_to_stop()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(seconds)
        if self.is_alive:
            self._popen.kill()
            self._popen.wait()

    @property
    def cpu_seconds(self) -> float:
        return cpu_seconds(self.pid)


def cpu_seconds(root: int) -> float:
    """User and system time of a process, its living descendants, and those that they have waited for."""
    parents, times = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # It has ended meanwhile.
            # The name stands in parentheses and may hold anything; the fields behind it are numbered from 3 in proc(5).
            fields = path.read_text().rpartition(")")[2].split()
            pid = int(path.parent.name)
            parents[pid], times[pid] = int(fields[1]), sum(map(int, fields[11:15]))
    children = defaultdict(list)
    for pid, parent in parents.items():
        children[parent].append(pid)
    family, ticks = [root], 0
    while family:
        pid = family.pop()
        ticks += times.get(pid, 0)
        family += children[pid]
    return ticks / TICKS
