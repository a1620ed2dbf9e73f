"""The databases under the schedulers: SQLite files in a folder, or a PostgreSQL cluster with its stock durability."""

from __future__ import annotations

import abc
import re
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2  # type: ignore[import-untyped]

from benchmarks.processes import cpu_seconds
from tests.postgres import PostgresCluster, find_server


class Database(abc.ABC):
    """Databases by name. What is read here goes past Django, so that it shares nothing with the measured processes."""

    name: str

    @abc.abstractmethod
    def url(self, database: str) -> str: ...

    @abc.abstractmethod
    def create(self, database: str, *, template: str | None = None) -> None:
        """Make a new one, in place of an older one of that name. Nobody may be connected to the template."""

    @abc.abstractmethod
    def connect(self, database: str) -> Any:
        """A DB-API connection in autocommit mode."""

    def stop(self) -> None:  # noqa: B027  A file has nothing to stop.
        """End the server."""

    @property
    def server_cpu_seconds(self) -> float:
        """CPU time of the server's processes so far."""
        return 0.0

    def read(self, database: str, sql: str) -> list[tuple[Any, ...]]:
        with closing(self.connect(database)) as connection:
            cursor = connection.cursor()
            cursor.execute(sql)
            return list(cursor.fetchall())


class Sqlite(Database):
    name = "sqlite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, database: str) -> Path:
        return self._folder / f"{database}.sqlite3"

    def url(self, database: str) -> str:
        return f"sqlite:///{self._path(database)}"

    def create(self, database: str, *, template: str | None = None) -> None:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self._path(database)}{suffix}").unlink(missing_ok=True)
        if template:
            with closing(self.connect(template)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            shutil.copyfile(self._path(template), self._path(database))

    def connect(self, database: str) -> sqlite3.Connection:
        return sqlite3.connect(self._path(database), timeout=20, isolation_level=None)


class Postgres(Database):
    name = "postgres"

    def __init__(self, folder: Path) -> None:
        programs = find_server()
        if programs is None:
            raise SystemExit("There is no PostgreSQL server: apt-get install postgresql-15, or --database sqlite")
        self._folder = folder / "postgres"
        self._cluster = PostgresCluster(programs, self._folder, durable=True)
        self._execute("ALTER SYSTEM SET log_timezone = 'UTC'", "SELECT pg_reload_conf()")

    def url(self, database: str) -> str:
        return self._cluster.url(database)

    def create(self, database: str, *, template: str | None = None) -> None:
        self._execute(
            f"DROP DATABASE IF EXISTS {database} WITH (FORCE)",
            f"CREATE DATABASE {database} TEMPLATE {template or 'template1'}",
        )

    def log_statements(self, database: str) -> None:
        """Every statement of connections made from now on goes to the server's log."""
        self._execute(f"ALTER DATABASE {database} SET log_statement = 'all'")

    def connect(self, database: str) -> Any:
        connection = psycopg2.connect(
            host="127.0.0.1", port=self._cluster.port, user="postgres", dbname=database, connect_timeout=10
        )
        connection.autocommit = True
        return connection

    def _execute(self, *statements: str) -> None:
        with closing(self.connect("postgres")) as connection:
            for statement in statements:
                connection.cursor().execute(statement)

    def stop(self) -> None:
        self._cluster.stop()

    def restart(self) -> float:
        """As after a crash. Returns the moment at which the server took connections again."""
        self._cluster.restart()
        ready = re.findall(
            r"^(\S+ \S+) UTC .*database system is ready to accept connections", self.log, flags=re.MULTILINE
        )
        return datetime.fromisoformat(ready[-1]).replace(tzinfo=UTC).timestamp()

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    @property
    def server_cpu_seconds(self) -> float:
        return cpu_seconds(int((self._folder / "data" / "postmaster.pid").read_text().split()[0]))
