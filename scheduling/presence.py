"""The row of a process that runs Tasks outside a scheduler: a shell, a command, a script.

While it has Tasks, a thread renews its heartbeat, so that they have a living owner; if it dies they are closed as lost.
"""

from __future__ import annotations

import atexit
import os
import threading

from django.db import Error, connection

from .conf import scheduling_settings
from .models import SchedulerProcess
from .recovery import sign_off

_lock = threading.Lock()
_own: SchedulerProcess | None = None
_own_pid = 0


def own_process() -> SchedulerProcess:
    """The row of this process, made at the first call."""
    global _own, _own_pid
    with _lock:
        if _own is None or _own_pid != os.getpid() or not _own.beat():
            _own, _own_pid = SchedulerProcess.register(SchedulerProcess.Kind.SHELL), os.getpid()
            threading.Thread(target=_keep_beating, args=(_own,), name="scheduling-heartbeat", daemon=True).start()
            atexit.register(_leave, _own, os.getpid())
        return _own


def _keep_beating(process: SchedulerProcess) -> None:
    pause = threading.Event()
    while not pause.wait(scheduling_settings().HEARTBEAT_EVERY):
        if process is not _own:
            return
        try:
            # That nothing is found to renew may mean that the row is not committed yet.
            process.beat()
        except Error:
            pass  # The database is away; the next beat may reach it.
        finally:
            connection.close()


def _leave(process: SchedulerProcess, pid: int) -> None:
    if pid != os.getpid():
        return
    try:
        sign_off(process, "ended")
    except Error:
        pass  # Without a database the row is closed by the others, for want of a heartbeat.
