"""`manage.py start`: web pages and scheduler together, as `make run` and the container do."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import signal
import socket
import subprocess
import sys
from functools import partial
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from scheduling.conf import scheduling_settings

_ADDRESS = re.compile(
    r"(?:\[(?P<ipv6>[0-9a-fA-F:.]+)\]|(?P<host>[\w-]{1,63}(?:\.[\w-]{1,63})*)):(?P<port>\d{1,5})", re.ASCII
)
_PR_SET_PDEATHSIG = 1


class Command(BaseCommand):
    help = (
        "Start the web pages and a scheduler (none of its own with SCHEDULER_IN_WEB). "
        "Ctrl-C, SIGTERM or closing the terminal stops both, a second signal at once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--bind", default=settings.WEB_BIND, help="HOST:PORT of the web pages (default: WEB_BIND, %(default)s)"
        )
        parser.add_argument("--check", action="store_true", help="only look whether the address can be used")

    def handle(self, *args: Any, bind: str, check: bool, **options: Any) -> None:
        _check_address(bind)
        if check:
            return
        self._children: list[subprocess.Popen[bytes]] = []
        self._stopping = False
        self._stop_on_signals()
        for command in _commands(bind):
            # Sessions of their own: the terminal's Ctrl-C reaches only this process, which passes it on in order.
            end_with_this = partial(_end_with, os.getpid())
            child = subprocess.Popen(command, cwd=settings.BASE_DIR, start_new_session=True, preexec_fn=end_with_this)
            self._children.append(child)
        if self._stopping:
            # The signal came when not all of them were known.
            self._tell_all()
        self.stdout.write(f"The pages are at http://{bind}/ – Ctrl-C stops everything.")
        self.stdout.flush()
        code = self._wait()
        if code:
            raise CommandError("One of its processes ended with an error; see above.", returncode=code)

    def _stop_on_signals(self) -> None:
        def stop(signum: int, frame: object) -> None:
            self._stopping = True
            self._tell_all()

        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # As it is under nohup.
            signal.signal(signal.SIGHUP, stop)

    def _tell_all(self) -> None:
        for child in self._children:
            # Not by Popen's own means, which would collect a child that has ended before `_wait` does.
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGTERM)

    def _wait(self) -> int:
        """Until all have ended. When one ends, the others are told to. Returns the exit code of the first."""
        waiting = {child.pid: child for child in self._children}
        first_code = None
        while waiting:
            pid, status = os.wait()
            child = waiting.pop(pid, None)
            if child is None:
                continue
            child.returncode = os.waitstatus_to_exitcode(status)
            if first_code is None:
                first_code = child.returncode
                # Telling the scheduler twice would cut off the work at hand.
                if not self._stopping:
                    self._tell_all()
        # It may have been told to end before it could listen.
        return 0 if first_code == -signal.SIGTERM else abs(first_code or 0)


def _commands(bind: str) -> list[list[str]]:
    web = [sys.executable, "-m", "gunicorn", "audiobooks.wsgi", "--bind", bind, "--workers", "2", "--threads", "4"]
    commands = [[*web, "--log-level", "warning"]]
    if not scheduling_settings().START_IN_WEB:
        commands.append([sys.executable, str(settings.BASE_DIR / "manage.py"), "runscheduler"])
    return commands


def _end_with(parent: int) -> None:
    """Run in a child: it gets SIGTERM when its parent is gone, even if that was killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)


def _check_address(bind: str) -> None:
    """It must be one that can be listened on.

    Raises:
        CommandError: it is no address, or cannot be listened on.
    """
    match = _ADDRESS.fullmatch(bind)
    if match is None or not 1 <= int(match["port"]) <= 65535:
        raise CommandError(f"“{bind}” is not HOST:PORT, such as 127.0.0.1:8000 or [::1]:8000.")
    # As gunicorn chooses it.
    family = socket.AF_INET6 if match["ipv6"] else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((match["ipv6"] or match["host"], int(match["port"])))
    except OSError as error:
        hint = " Is it running already?" if error.errno == errno.EADDRINUSE else ""
        raise CommandError(
            f"The address {bind} cannot be used: {error.strerror}.{hint} WEB_BIND in .env chooses another."
        ) from None
