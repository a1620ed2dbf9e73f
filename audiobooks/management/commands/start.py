"""`manage.py start`: web pages and scheduler together, as `make run` and the container do."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    help = "Start the web pages and a scheduler; Ctrl-C or SIGTERM stops both, a second one at once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--bind", default="127.0.0.1:8000", help="HOST:PORT of the web pages")

    def handle(self, *args: Any, bind: str, **options: Any) -> None:
        _check_free(bind)
        manage = str(settings.BASE_DIR / "manage.py")
        web = [sys.executable, "-m", "gunicorn", "audiobooks.wsgi", "--bind", bind, "--workers", "2", "--threads", "4"]
        self._children = [
            # Sessions of their own: the terminal's Ctrl-C reaches only this process, which passes it on in order.
            subprocess.Popen(command, cwd=settings.BASE_DIR, start_new_session=True)
            for command in ([*web, "--log-level", "warning"], [sys.executable, manage, "runscheduler"])
        ]
        signal.signal(signal.SIGINT, self._pass_on)
        signal.signal(signal.SIGTERM, self._pass_on)
        self.stdout.write(f"The pages are at http://{bind}/ – Ctrl-C stops everything.")
        code = self._wait()
        if code:
            raise CommandError("One of the two ended with an error; see above.", returncode=code)

    def _pass_on(self, signum: int, frame: object) -> None:
        for child in self._children:
            if child.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    child.send_signal(signal.SIGTERM)

    def _wait(self) -> int:
        """Until both have ended. When one ends, the other is told to. Returns the exit code of the first."""
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
                self._pass_on(signal.SIGTERM, None)
        return abs(first_code or 0)


def _check_free(bind: str) -> None:
    host, _, port = bind.rpartition(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError as error:
            raise CommandError(f"The address {bind} cannot be used: {error.strerror}. Is it running already?") from None
