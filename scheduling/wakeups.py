"""How a change made in another process reaches the scheduler's loop.

PostgreSQL: NOTIFY with the commit, LISTEN on a connection of the loop's own. SQLite: `PRAGMA data_version`, which moves
when another connection has committed. Either may fail silently (a pooler in front of PostgreSQL, a network file system
under SQLite), so the loop reads the rows at a slow pace as well.
"""

from __future__ import annotations

from typing import Any

from django.db import DEFAULT_DB_ALIAS, Error, connection, connections

CHANNEL = "scheduling"


def announce() -> None:
    """Tell every scheduler, with the commit of the current transaction, that rows changed."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            # The payload-less NOTIFY is folded with others of the same transaction.
            cursor.execute(f"NOTIFY {CHANNEL}")


class PostgresListener:
    """A file descriptor that becomes readable when a change is announced."""

    def __init__(self) -> None:
        self._wrapper: Any = None

    def open(self) -> None:
        """Raises:
        django.db.Error: the database is away.
        """
        self._wrapper = connections.create_connection(DEFAULT_DB_ALIAS)
        self._wrapper.ensure_connection()
        self._wrapper.connection.autocommit = True
        with self._wrapper.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")

    @property
    def is_open(self) -> bool:
        return self._wrapper is not None

    def fileno(self) -> int:
        return int(self._wrapper.connection.fileno())

    def drain(self) -> bool:
        """Take what has arrived.

        Raises:
            django.db.Error: the connection is gone.
        """
        with self._wrapper.wrap_database_errors:
            self._wrapper.connection.poll()
        heard = bool(self._wrapper.connection.notifies)
        self._wrapper.connection.notifies.clear()
        return heard

    def close(self) -> None:
        if self._wrapper is not None:
            try:
                self._wrapper.close()
            except Error:
                pass  # The server is gone, and the connection with it.
            self._wrapper = None


class SqliteWatcher:
    """Says whether another connection has committed since the last look. Costs some 10 microseconds.

    Raises:
        django.db.Error: the file cannot be read.
    """

    def __init__(self) -> None:
        self._seen: int | None = None

    def has_changed(self) -> bool:
        connection.ensure_connection()
        with connection.wrap_database_errors:
            (version,) = connection.connection.execute("PRAGMA data_version").fetchone()
        changed = self._seen is not None and version != self._seen
        self._seen = version
        return changed
