"""The worker processes of a scheduler process, seen from the scheduler: start a Task, stop it, hear how it ended."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from django.conf import settings

from .zygote import STOP_FLAGS, sign_of_life_in

RUNS_OF_A_WORKER = 1000
# Kilobytes: a worker that has once grown so large is replaced, since Python seldom gives memory back.
LARGEST_WORKER = 500_000


class Worker:
    """One worker process: `starting` until it says it is ready, then idle or with the Task it runs."""

    def __init__(self, slot: int, sock: socket.socket) -> None:
        self.slot = slot
        self.socket = sock
        self.pid: int | None = None
        self.task_id: int | None = None
        self.runs = 0
        self.doomed = False
        self._rest = b""

    @property
    def is_idle(self) -> bool:
        return self.pid is not None and self.task_id is None and not self.doomed

    def messages(self) -> Iterator[dict[str, Any]]:
        """What has arrived on the socket, without waiting."""
        while True:
            try:
                data = self.socket.recv(262_144)
            except BlockingIOError:
                return
            except ConnectionError:
                return
            if not data:
                return
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                yield json.loads(line)
            if len(data) < 262_144:
                return


class WorkerPool:
    """A zygote and its workers. `selector` is the loop's; keys carry `self.hear_*` methods as data."""

    def __init__(self, *, size: int, selector: selectors.BaseSelector) -> None:
        self._size = size
        self._selector = selector
        self._workers: dict[int, Worker] = {}
        self._zygote: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._control_rest = b""
        self._shared: mmap.mmap | None = None
        self._sign_of_life: memoryview[float] | None = None
        self._started_at = 0.0
        self.news: deque[tuple[str, Worker, int | None, Any]] = deque()
        """Messages in order: kind (ready, log, progress, done, gone), worker, the Task it had, payload."""

    def open(self) -> None:
        if self._shared is None:
            with tempfile.TemporaryFile() as memory:
                memory.truncate(STOP_FLAGS + self._size)
                self._shared = mmap.mmap(memory.fileno(), 0)
                self._sign_of_life = sign_of_life_in(self._shared)
                self._start_zygote(memory.fileno())

    def _start_zygote(self, shared_fd: int) -> None:
        self.sign_of_life()
        self._control, theirs = socket.socketpair()
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE", settings.SETTINGS_MODULE),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        command = f"from scheduling.zygote import main; main({theirs.fileno()}, {shared_fd})"
        self._zygote = subprocess.Popen(
            [sys.executable, "-c", command],
            env=environment,
            pass_fds=[theirs.fileno(), shared_fd],
            stdin=subprocess.DEVNULL,
            # The terminal's Ctrl-C is for the scheduler alone, which lets the work at hand end.
            start_new_session=True,
        )
        theirs.close()
        self._started_at = time.monotonic()
        self._selector.register(self._control, selectors.EVENT_READ, self._hear_zygote)
        for slot in range(self._size):
            self._fork(slot)

    def _fork(self, slot: int) -> None:
        assert self._control is not None and self._shared is not None
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._shared[STOP_FLAGS + slot] = 0
        with contextlib.suppress(OSError):  # The zygote is gone; its control socket will say so.
            socket.send_fds(self._control, [json.dumps({"fork": slot}).encode() + b"\n"], [theirs.fileno()])
        theirs.close()
        worker = self._workers[slot] = Worker(slot, ours)
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._hear_worker(worker))

    def sign_of_life(self) -> None:
        """To be called with every turn of the loop; workers of a frozen scheduler end themselves."""
        if self._sign_of_life is not None:
            self._sign_of_life[0] = time.monotonic()

    @property
    def idle_count(self) -> int:
        return sum(worker.is_idle for worker in self._workers.values())

    def start(self, order: dict[str, Any]) -> Worker:
        """Hand a Task to an idle worker. `order`: task, function, arguments, attempt."""
        assert self._shared is not None
        worker = next(worker for worker in self._workers.values() if worker.is_idle)
        worker.task_id = order["task"]
        worker.runs += 1
        self._shared[STOP_FLAGS + worker.slot] = 0
        data = memoryview(json.dumps(order).encode() + b"\n")
        worker.socket.setblocking(True)
        try:
            worker.socket.sendall(data)
        except OSError:
            pass  # It died this moment; the zygote's word of it closes the Task as lost.
        finally:
            worker.socket.setblocking(False)
        return worker

    def ask_to_stop(self, worker: Worker) -> None:
        """Set the flag that `should_stop` reads, and interrupt what can be interrupted. The worker ends afterwards."""
        assert self._shared is not None
        self._shared[STOP_FLAGS + worker.slot] = 1
        worker.doomed = True
        self._signal(worker, signal.SIGTERM)

    def kill(self, worker: Worker) -> None:
        worker.doomed = True
        self._signal(worker, signal.SIGKILL)

    def _signal(self, worker: Worker, number: int) -> None:
        if self._control is not None:
            with contextlib.suppress(OSError):  # No zygote, no workers.
                self._control.sendall(json.dumps({"signal": worker.slot, "number": int(number)}).encode() + b"\n")

    def _hear_worker(self, worker: Worker) -> None:
        if worker.socket.fileno() < 0:
            return  # Buried by what was heard from the zygote in this same turn.
        for message in worker.messages():
            ((kind, payload),) = message.items()
            self.news.append((kind, worker, worker.task_id, payload))
            if kind == "ready":
                worker.pid = payload
            if kind == "done":
                worker.task_id = None
                large = payload["peak_memory"] > LARGEST_WORKER
                if worker.doomed or large or worker.runs >= RUNS_OF_A_WORKER:
                    self.kill(worker)
        if not self._still_open(worker):
            with contextlib.suppress(KeyError):
                self._selector.unregister(worker.socket)

    @staticmethod
    def _still_open(worker: Worker) -> bool:
        try:
            return worker.socket.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def _hear_zygote(self) -> None:
        assert self._control is not None
        try:
            data = self._control.recv(65536)
        except OSError:
            data = b""  # It died with words of ours unread.
        if not data:
            self._lose_all()
            return
        *lines, self._control_rest = (self._control_rest + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            self._bury(self._workers[message["slot"]], message["code"])
            self._fork(message["slot"])

    def _bury(self, worker: Worker, code: int) -> None:
        self._hear_worker(worker)  # Its last words may still lie in the socket.
        with contextlib.suppress(KeyError):
            self._selector.unregister(worker.socket)
        worker.socket.close()
        worker.doomed = True
        self.news.append(("gone", worker, worker.task_id, code))

    def _lose_all(self) -> None:
        """The zygote died, and by the kernel's rule its workers too: begin anew."""
        for worker in self._workers.values():
            if worker.pid is not None:
                # What it had started; its number is not given out again within the moment.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(worker.pid, signal.SIGKILL)
            self._bury(worker, -signal.SIGKILL)
        self._close_zygote()
        # A zygote that dies at once, e.g. for want of memory, is not started in a tight loop.
        time.sleep(max(0.0, 1.0 - (time.monotonic() - self._started_at)))
        self.open()

    def close(self) -> None:
        """Kill every worker and the zygote. Tasks still running are the caller's to close."""
        for worker in self._workers.values():
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(worker.socket)
            worker.socket.close()
        self._close_zygote()

    def _close_zygote(self) -> None:
        if self._control is not None:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(self._control)
            self._control.close()
        if self._zygote is not None:
            try:
                self._zygote.wait(timeout=2)
            except subprocess.TimeoutExpired:
                self._zygote.kill()
                self._zygote.wait()
        self._workers.clear()
        self._control = self._zygote = self._shared = self._sign_of_life = None
        self._control_rest = b""
