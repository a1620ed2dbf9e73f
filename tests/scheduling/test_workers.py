"""What the scheduler and its workers share."""

from __future__ import annotations

import mmap
import os
import signal
import socket
import time

import pytest

from scheduling import zygote
from scheduling.zygote import SCHEDULER_FROZEN, STOP_FLAGS, Worker, sign_of_life_in


def test_the_sign_of_life_is_never_read_half_written() -> None:
    shared = mmap.mmap(-1, STOP_FLAGS + 1)
    sign_of_life = sign_of_life_in(shared)
    sign_of_life[0] = began = time.monotonic()
    writer = os.fork()
    if not writer:
        while True:
            sign_of_life[0] = time.monotonic()
    try:
        while time.monotonic() < began + 1:
            assert all(sign_of_life[0] >= began for _ in range(1000))
    finally:
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)


def test_a_worker_ends_itself_when_its_scheduler_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else one that logs much would run on beside the retry that others have started."""
    monkeypatch.setattr(zygote, "SCHEDULER_SILENT_FOR", 1.0)
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if not pid:
        worker = Worker(theirs, mmap.mmap(-1, STOP_FLAGS + 1), 0)
        while True:
            worker._send({"log": "x" * 100_000})
    asked = time.monotonic()
    try:
        while not (ended := os.waitpid(pid, os.WNOHANG))[0] and time.monotonic() < asked + 20:
            time.sleep(0.05)
    finally:
        if not ended[0]:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        ours.close()
        theirs.close()
    assert os.waitstatus_to_exitcode(ended[1]) == SCHEDULER_FROZEN
