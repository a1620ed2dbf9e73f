"""The settings under test: the project's own, in an environment that does not depend on `.env`.

TEST_DATABASE chooses the database: sqlite (default) or postgres, a private cluster that is started for the run.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from tests.postgres import PostgresCluster, find_server

FOLDER = Path(tempfile.mkdtemp(prefix="audiobooks-tests-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
CLUSTER: PostgresCluster | None = None

if os.environ.get("TEST_DATABASE", "sqlite") == "postgres":
    server = find_server()
    if server is None:
        raise SystemExit("TEST_DATABASE=postgres, but there is no PostgreSQL server: apt-get install postgresql-15")
    CLUSTER = PostgresCluster(server, FOLDER / "postgres")
    atexit.register(CLUSTER.stop)
    DATABASE_URL = CLUSTER.url("audiobooks")
else:
    DATABASE_URL = f"sqlite:///{FOLDER / 'audiobooks.sqlite3'}"

os.environ.update(
    {
        "SECRET_KEY": "a-secret-key-that-only-tests-use",
        "DATABASE_URL": DATABASE_URL,
        "ALLOWED_HOSTS": "127.0.0.1,localhost,testserver",
        "CSRF_TRUSTED_ORIGINS": "",
        "TIME_ZONE": "UTC",
        "AUDIOBOOKS_LIBRARY": str(FOLDER / "library"),
        "AUDIOBOOKS_COVERS": str(FOLDER / "covers"),
        "AUDIOBOOKS_EXTRA_APPS": "tests.sampleapp",
        "SCHEDULER_WORKERS": "4",
        "SCHEDULER_SHUTDOWN_GRACE": "10",
        "TASK_RETENTION_DAYS": "30",
        "TASK_RETENTION_FAILED_DAYS": "30",
        "SCHEDULER_IN_WEB": "false",
        "LOG_LEVEL": "INFO",
        **dict.fromkeys(("CONTACT", "METADATA_PROVIDERS", "AUDIBLE_REGION", "GOOGLE_BOOKS_KEY", "HARDCOVER_TOKEN"), ""),
        **dict.fromkeys(("AUDNEXUS_URL", "AUDIBLE_URL", "OPEN_LIBRARY_URL"), ""),
        **dict.fromkeys(("GOOGLE_BOOKS_URL", "HARDCOVER_URL", "LIBRIVOX_URL"), ""),
        **dict.fromkeys(("AUDIOBOOKSHELF_URL", "AUDIOBOOKSHELF_KEY", "AUDIOBOOKSHELF_WRITE"), ""),
        **dict.fromkeys(("SOURCES", "MAM_SESSION", "MAM_URL", "MAM_LANGUAGES", "TORZNAB_INDEXERS", "ARCHIVE_URL"), ""),
        **dict.fromkeys(("MAM_BROWSER_SESSION", "GUIDES_PAGES"), ""),
        **dict.fromkeys(("QBITTORRENT_URL", "QBITTORRENT_USER", "QBITTORRENT_PASSWORD", "TORRENT_CATEGORY"), ""),
        **dict.fromkeys(("TRANSMISSION_URL", "TRANSMISSION_USER", "TRANSMISSION_PASSWORD", "DOWNLOAD_PATHS"), ""),
        "GUIDES_FOLDER": str(FOLDER / "guides"),
        "AUDIOBOOKS_DOWNLOADS": str(FOLDER / "downloads"),
        **dict.fromkeys(
            ("AUDIOBOOKS_ACQUIRE", "FOLLOW_AUTHORS", "SHELF_PATH", "RELEASE_LANGUAGES", "RELEASE_FORMATS"), ""
        ),
        **dict.fromkeys(("RELEASE_UNABRIDGED", "RELEASE_BITRATE", "RELEASE_MB_PER_HOUR", "RELEASE_SEEDERS"), ""),
        **dict.fromkeys(("RELEASE_COST", "BUDGET_SLOTS_KEPT", "BUDGET_RATIO", "BUDGET_FREE_GB"), ""),
        **dict.fromkeys(("BUDGET_RUN", "BUDGET_RUN_GB", "BUDGET_WEEK", "BUDGET_WEEK_GB"), ""),
        **dict.fromkeys(("DIGEST_TO", "EMAIL_URL", "EMAIL_FROM"), ""),
        "DEBUG": "false",
    }
)

from audiobooks.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["tests.hashers.QuickPBKDF2PasswordHasher"]
