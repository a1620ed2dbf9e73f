"""The two that are compared. Each has a database of its own and processes of its own."""

from __future__ import annotations

import abc
import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.databases import Database, Postgres
from benchmarks.jobs import Spec
from benchmarks.processes import ROOT, Process

READY_WITHIN = 240.0


class Side(abc.ABC):
    name: str
    settings: str
    scheduler_command: Sequence[str]
    logs_statements = False
    """Whether PostgreSQL's log tells every statement of the next fresh database."""
    started_in = 0.0
    """Seconds from the start of the last scheduler process to ready."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self._folder = folder
        self._numbers = itertools.count(1)
        database.create(f"{self.name}_template")
        self._run(["-m", "django", "migrate", "--verbosity", "0"], database=f"{self.name}_template")

    def fresh(self) -> None:
        """Begin with an empty database, in which nothing of the last scenario is left."""
        self.database.create(self.name, template=f"{self.name}_template")
        if self.logs_statements and isinstance(self.database, Postgres):
            self.database.log_statements(self.name)

    def new_file(self, suffix: str) -> Path:
        return self._folder / f"{self.name}-{next(self._numbers)}.{suffix}"

    def environment(self, database: str = "") -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DJANGO_SETTINGS_MODULE": self.settings,
            "DATABASE_URL": self.database.url(database or self.name),
            "LOG_LEVEL": "WARNING",
            "TIME_ZONE": "UTC",
        }

    def call(self, command: str, **arguments: Any) -> Any:
        """Let the side's driver do a command."""
        answer = self._run(["-m", f"benchmarks.{self.name}.driver", command], arguments=json.dumps(arguments))
        return json.loads(answer)

    def _run(self, words: Sequence[str], *, arguments: str = "", database: str = "") -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            env=self.environment(database),
            input=arguments,
            capture_output=True,
            text=True,
            timeout=900,
        )
        if done.returncode:
            raise ChildProcessError(f"{' '.join(words)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        return done.stdout

    def insert(self, specs: Sequence[Spec], *, path: Path | None = None, **arguments: Any) -> None:
        """Store Jobs that leave marks in a file, or do nothing."""
        self.call("insert", specs=specs, path=str(path or ""), **arguments)

    @contextlib.contextmanager
    def scheduler(self, **environment: str) -> Iterator[Process]:
        """A scheduler process that is ready."""
        began = time.monotonic()
        command = [sys.executable, *self.scheduler_command]
        with Process(command, {**self.environment(), **environment}, self.new_file("log")) as process:
            self._wait_until_ready(process)
            self.started_in = time.monotonic() - began
            yield process

    @abc.abstractmethod
    def _wait_until_ready(self, process: Process) -> None: ...

    @abc.abstractmethod
    def finished(self) -> tuple[int, float]:
        """From the history: how many runs are finished, and when the last was."""

    def read(self, sql: str) -> list[tuple[Any, ...]]:
        return self.database.read(self.name, sql)


class Ours(Side):
    name = "ours"
    settings = "audiobooks.settings"
    scheduler_command = ("manage.py", "runscheduler")

    def environment(self, database: str = "") -> dict[str, str]:
        return {
            **super().environment(database),
            "SECRET_KEY": "a-secret-key-that-only-benchmarks-use",
            "DEBUG": "false",
            "AUDIOBOOKS_LIBRARY": str(self._folder / "library"),
            "AUDIOBOOKS_EXTRA_APPS": "benchmarks.ours",
            # The defaults, whatever the project's .env says.
            "SCHEDULER_WORKERS": "4",
            "SCHEDULER_SHUTDOWN_GRACE": "10",
            "SCHEDULER_IN_WEB": "false",
        }

    def _wait_until_ready(self, process: Process) -> None:
        sql = f"SELECT 1 FROM scheduling_schedulerprocess WHERE pid = {process.pid} AND stopped_at IS NULL"
        with contextlib.closing(self.database.connect(self.name)) as connection:
            cursor = connection.cursor()

            def is_ready() -> bool:
                cursor.execute(sql)
                return cursor.fetchone() is not None

            process.wait_until(is_ready, seconds=READY_WITHIN)

    def finished(self) -> tuple[int, float]:
        seconds = (
            "extract(epoch FROM max(finished_at))"
            if self.database.name == "postgres"
            else "unixepoch(max(finished_at)) + substr(max(finished_at), 20)"
        )
        ((count, last),) = self.read(f"SELECT count(*), {seconds} FROM scheduling_task WHERE status = 'completed'")
        return count, float(last or 0)


class Stock(Side):
    name = "stock"
    settings = "benchmarks.stock.settings"
    scheduler_command = ("-m", "benchmarks.stock.scheduler")

    def _wait_until_ready(self, process: Process) -> None:
        process.wait_until(lambda: "READY" in process.output, seconds=READY_WITHIN)

    def finished(self) -> tuple[int, float]:
        sql = "SELECT count(*), max(finished) FROM django_apscheduler_djangojobexecution WHERE status = 'Executed'"
        ((count, last),) = self.read(sql)
        return count, float(last or 0)


@dataclass(frozen=True)
class Bench:
    """What a scenario works with."""

    database: Database
    ours: Ours
    stock: Stock
    quick: bool
    """Sizes that prove that the scenario works; the figures mean nothing."""
    minutes: float
    """How long `endurance` takes."""

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.ours, self.stock

    @property
    def on_postgres(self) -> bool:
        return self.database.name == "postgres"
