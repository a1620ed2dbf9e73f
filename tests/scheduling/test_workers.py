"""What the scheduler and its workers share."""

from __future__ import annotations

import json
import mmap
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from scheduling import zygote
from scheduling.zygote import SCHEDULER_FROZEN, STOP_FLAGS, Worker, Zygote, sign_of_life_in


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


Started = Callable[[], tuple[socket.socket, socket.socket]]


@pytest.fixture
def started() -> Iterator[Started]:
    """Forks a zygote of one worker; gives what the scheduler has: its control socket and the worker's socket."""
    opened: list[tuple[int, socket.socket, socket.socket]] = []

    def start() -> tuple[socket.socket, socket.socket]:
        control, its_control = socket.socketpair()
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if not pid:
            control.close()
            ours.close()
            shared = mmap.mmap(-1, STOP_FLAGS + 1)
            sign_of_life_in(shared)[0] = time.monotonic()
            try:
                Zygote(its_control, shared).serve()
            finally:
                os._exit(1)
        its_control.close()
        opened.append((pid, control, ours))
        socket.send_fds(control, [b'{"fork": 0}\n'], [theirs.fileno()])
        theirs.close()
        return control, ours

    yield start
    for pid, control, ours in opened:
        control.close()
        os.waitpid(pid, 0)
        ours.close()


def test_a_zygote_outlives_a_fork_that_fails(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a moment without memory would cost all Tasks that run."""
    fork, zygote_forks = os.fork, iter([True, False])

    def fails_first() -> int:
        if os.getpid() != own and next(zygote_forks):
            raise BlockingIOError
        return fork()

    own = os.getpid()
    monkeypatch.setattr(zygote, "FORK_AGAIN_AFTER", 0.01)
    monkeypatch.setattr(os, "fork", fails_first)
    _, worker = started()
    assert b"ready" in worker.recv(100)


def test_why_a_worker_ended_is_told(started: Started, capfd: pytest.CaptureFixture[str]) -> None:
    control, worker = started()
    assert b"ready" in worker.recv(100)
    worker.sendall(b'{"function": "sample.gone_by_now"}\n')
    assert json.loads(control.recv(1000))["code"] == 1
    assert "There is no task function sample.gone_by_now" in capfd.readouterr().err
