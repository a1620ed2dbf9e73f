"""System checks: settings that would break a promise are said at start-up, with the way out."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

_SQLITE_HINT = (
    "Set DATABASES['default']['OPTIONS'] to {'transaction_mode': 'IMMEDIATE', 'timeout': 20, "
    "'init_command': 'PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;'}."
)


@register()
def check_sqlite(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    database = settings.DATABASES["default"]
    if database["ENGINE"] != "django.db.backends.sqlite3":
        return []
    options = database.get("OPTIONS", {})
    found: list[CheckMessage] = []
    if options.get("transaction_mode") != "IMMEDIATE":
        found.append(
            Error(
                "SQLite would refuse writes with “database is locked”: a transaction that reads first cannot become a writer.",
                hint=_SQLITE_HINT,
                id="scheduling.E001",
            )
        )
    if "journal_mode=wal" not in options.get("init_command", "").lower().replace(" ", ""):
        found.append(
            Error(
                "Without WAL every writer of SQLite stops every reader.",
                hint=_SQLITE_HINT,
                id="scheduling.E002",
            )
        )
    if options.get("timeout", 5) < 5:
        found.append(Warning("SQLite's busy timeout is under 5 seconds.", hint=_SQLITE_HINT, id="scheduling.W001"))
    return found
