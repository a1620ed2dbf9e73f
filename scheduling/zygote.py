"""The process from which workers are forked, and what a worker does.

It loads Django once, opens no connection and starts no thread, so a fork is quick and clean. It is the parent of the
workers, so it alone can signal them without hitting a process that has taken over a dead one's id. It ends, and its
workers with it, when the scheduler process at the other end of its control socket is gone, however that happened.

    python -c "from scheduling.zygote import main; main(CONTROL_FD, SHARED_FD)"

Shared memory: bytes 0-7 are the scheduler's last sign of life (a double, CLOCK_MONOTONIC seconds); byte 8 + slot is 1
when the Task in that slot should stop.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import logging
import mmap
import os
import resource
import select
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from typing import Any

from .conf import SHORTEST_LOST_AFTER
from .redaction import redact

STOP_FLAGS = 8
"""Where the flags begin in the shared memory, behind the sign of life."""
# The scheduler gives a sign of life with every turn of its loop, several times a second; a write that waits for
# SQLite's lock may take 20 s. After this it is frozen, and others will take its Tasks over.
SCHEDULER_SILENT_FOR = SHORTEST_LOST_AFTER - 5.0
SCHEDULER_FROZEN = 3
"""Exit code of a worker that ended itself for that reason."""
FORK_AGAIN_AFTER = 1.0
"""Seconds after a fork for which there was no memory, or no process left."""
_PR_SET_PDEATHSIG = 1


def sign_of_life_in(shared: mmap.mmap) -> memoryview[float]:
    """The sign of life as a view of one number, which is stored and read whole.

    `struct.pack_into` would blank the bytes first, and a worker that looks in between would find its scheduler dead.
    """
    return memoryview(shared)[:STOP_FLAGS].cast("d")


def main(control_fd: int, shared_fd: int) -> None:
    """Serve the scheduler until it is gone."""
    import django

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Service managers send it to every process at once, yet the scheduler may let the work at hand end.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    django.setup()
    gc.collect()
    gc.freeze()
    Zygote(socket.socket(fileno=control_fd), mmap.mmap(shared_fd, 0)).serve()


class Zygote:
    def __init__(self, control: socket.socket, shared: mmap.mmap) -> None:
        self._control = control
        self._shared = shared
        self._slots: dict[int, int] = {}
        """Worker's process id -> its slot."""
        self._to_fork: list[tuple[int, int]] = []
        """Slots whose fork failed, with the sockets of their workers."""
        self._child_ended, child_ended_write = os.pipe()
        os.set_blocking(child_ended_write, False)
        os.set_blocking(self._child_ended, False)
        signal.set_wakeup_fd(child_ended_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        rest = b""
        while True:
            patience = FORK_AGAIN_AFTER if self._to_fork else None
            readable, _, _ = select.select([self._control.fileno(), self._child_ended], [], [], patience)
            to_fork, self._to_fork = self._to_fork, []
            for slot, fd in to_fork:
                self._fork(slot, fd)
            if self._child_ended in readable:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._child_ended, 4096)
                self._reap()
            if self._control.fileno() in readable:
                try:
                    data, fds, _, _ = socket.recv_fds(self._control, 65536, 32)
                except ConnectionResetError:
                    data, fds = b"", []  # It is gone with words of ours unread.
                if not data:
                    self._end()
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._obey(json.loads(line), fds)

    def _obey(self, order: dict[str, int], fds: list[int]) -> None:
        if "fork" in order:
            self._fork(order["fork"], fds.pop(0))
        else:
            for pid, slot in self._slots.items():
                if slot == order["signal"]:
                    # A kill is for what the task function started as well; the wish to stop is for the function alone.
                    (os.killpg if order["number"] == signal.SIGKILL else os.kill)(pid, order["number"])

    def _fork(self, slot: int, fd: int) -> None:
        try:
            pid = os.fork()
        except OSError:
            # To die of it would cost all that runs.
            self._to_fork.append((slot, fd))
            return
        with contextlib.suppress(ProcessLookupError):
            # By both, since either may come first: the group of a worker is what a kill reaches.
            os.setpgid(pid, pid)
        if pid:
            os.close(fd)
            self._slots[pid] = slot
            return
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._control.close()
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        code = 1
        try:
            # Without a scheduler there is nobody to tell.
            with contextlib.suppress(ConnectionError):
                Worker(socket.socket(fileno=fd), self._shared, slot).serve()
            code = 0
        finally:
            if code:
                sys.stderr.write(redact(traceback.format_exc()))
            # Not sys.exit: nothing of the zygote's may be run or flushed twice.
            os._exit(code)

    def _reap(self) -> None:
        while self._slots:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            # What it started and left behind; a number is not given out again within the moment.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            slot = self._slots.pop(pid)
            message = json.dumps({"slot": slot, "pid": pid, "code": os.waitstatus_to_exitcode(status)})
            with contextlib.suppress(OSError):  # The scheduler is gone; the next read says so.
                self._control.sendall(message.encode() + b"\n")

    def _end(self) -> None:
        for pid in self._slots:
            os.killpg(pid, signal.SIGKILL)
        os._exit(0)


class Worker:
    """Runs one Task after another and reports by its socket: lines of JSON."""

    def __init__(self, sock: socket.socket, shared: mmap.mmap, slot: int) -> None:
        from .runner import LogCapture

        self._socket = sock
        silent_for = struct.pack("ll", int(SCHEDULER_SILENT_FOR), 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, silent_for)
        self._shared = shared
        self._sign_of_life = sign_of_life_in(shared)
        self._stop_byte = STOP_FLAGS + slot
        # So that one thread at a time takes lines and sends them: none comes after the word that the Task is done.
        self._reporting = threading.Lock()
        self._capture: LogCapture | None = None
        self._run: Any = None
        self._progress_due = False

    def serve(self) -> None:
        threading.Thread(target=self._housekeeping, daemon=True, name="scheduling-worker").start()
        root = logging.getLogger()
        root.handlers.clear()
        self._send({"ready": os.getpid()})
        with self._socket.makefile("rb") as orders:
            for line in orders:
                self._send({"done": self._run_task(json.loads(line))})

    def _run_task(self, order: dict[str, Any]) -> dict[str, Any]:
        from django.db import close_old_connections, connections

        from .context import TaskRun
        from .registry import registry
        from .runner import LogCapture, Printed, execute, stoppable

        function = registry.get(order["function"])
        capture = LogCapture()
        root = logging.getLogger()
        root.addHandler(capture)
        run = TaskRun(task_id=order["task"], attempt=order["attempt"], channel=self, name=order["function"])
        self._capture, self._run = capture, run
        printed = Printed(capture)
        began = time.perf_counter()
        # A connection that broke since the last Task, or is over its age, would fail this one.
        close_old_connections()
        try:
            with stoppable(self.stop_wanted), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                outcome = execute(function, run, order["arguments"])
            for connection in connections.all(initialized_only=True):
                if connection.in_atomic_block:
                    # Left open by the function. It would swallow what the next Tasks write, or fail them.
                    run.error("It left a transaction open; what it wrote in it is undone.")
                    connection.close()
                    del connections[connection.alias]
        finally:
            root.removeHandler(capture)
            close_old_connections()
        printed.finish()
        with self._reporting:
            self._run = self._capture = None
            if text := capture.take_last():
                self._send({"log": text})
        return {
            "task": order["task"],
            "outcome": vars(outcome),
            "seconds": time.perf_counter() - began,
            # Kilobytes on Linux.
            "peak_memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        }

    # The Channel of a TaskRun.

    def stop_wanted(self) -> bool:
        return bool(self._shared[self._stop_byte])

    def report_progress(self, run: Any) -> None:
        self._progress_due = True

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except BlockingIOError:
            os._exit(SCHEDULER_FROZEN)  # It has read nothing for so long.

    def _housekeeping(self) -> None:
        from .runner import FLUSH_EVERY, PROGRESS_EVERY, progress_fields

        progress_at = 0.0
        while True:
            time.sleep(FLUSH_EVERY)
            now = time.monotonic()
            if now - self._sign_of_life[0] > SCHEDULER_SILENT_FOR:
                os._exit(SCHEDULER_FROZEN)
            # Without a scheduler nothing can be sent; the main thread finds that out too.
            with self._reporting, contextlib.suppress(OSError):
                capture, run = self._capture, self._run
                if capture is None or run is None:
                    continue
                if text := capture.take():
                    self._send({"log": text})
                if self._progress_due and now >= progress_at:
                    self._progress_due, progress_at = False, now + PROGRESS_EVERY
                    self._send({"progress": progress_fields(run)})
