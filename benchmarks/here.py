"""Django in this very process, on an empty database."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import django

from benchmarks.databases import Database, Postgres, Sqlite


@contextlib.contextmanager
def django_on(kind: str, folder: Path, **settings: str) -> Iterator[None]:
    """On a database of this kind in `folder`, whose server ends with the block. `settings` are variables of the environment.

    What reads the settings is to be imported within the block.
    """
    database: Database = Postgres(folder) if kind == "postgres" else Sqlite(folder)
    try:
        database.create("measured")
        os.environ.update(
            {
                "DJANGO_SETTINGS_MODULE": "audiobooks.settings",
                "DATABASE_URL": database.url("measured"),
                "SECRET_KEY": "a-key-for-measuring",
                "AUDIOBOOKS_EXTRA_APPS": "",
                "DEBUG": "false",
                "LOG_LEVEL": "WARNING",
                **settings,
            }
        )
        django.setup()
        yield
    finally:
        database.stop()
