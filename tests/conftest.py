"""Fixtures for all tests. The environment is set in tests/settings.py."""

from __future__ import annotations

import gc
import importlib
import os
import signal
from collections.abc import Iterator

import hypothesis
import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.db import connections
from django.test import Client

from scheduling import presence
from tests.postgres import PostgresCluster
from tests.recorded import RECORDED
from tests.settings import CLUSTER, FOLDER

# An example that takes long says something of the machine only. In CI its own profile, with a fixed seed, stays below.
hypothesis.settings.register_profile(
    "any machine",
    hypothesis.settings.default,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    # Ignored where the suite is started to outlive its terminal; what the tests start would inherit that.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if os.environ.get("CI") and not RECORDED.is_dir():
        raise pytest.UsageError(f"There is no {RECORDED}; AUDIOBOOKS_DATA names the folder that has it.")


USES_A_DATABASE = {"db", "transactional_db", "django_db_setup", "database_url", "process_env", "cluster"}
"""Fixtures."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what knows a database: it runs on each, and all else once. Before `-m` looks at the marks."""
    for item in items:
        if item.get_closest_marker("django_db") or USES_A_DATABASE & set(getattr(item, "fixturenames", ())):
            item.add_marker("database")


def pytest_collection_finish() -> None:
    """The thousands of tests need not be looked through for garbage again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> None:
    """SQLite's test database is a file, so that real processes can open it."""
    connection = connections["default"]
    if connection.vendor == "sqlite":
        connection.settings_dict["TEST"]["NAME"] = str(FOLDER / "test.sqlite3")


@pytest.fixture(scope="session")
def database_url(django_db_setup: None) -> str:
    """The URL of the test database, for other processes."""
    if CLUSTER is not None:
        return CLUSTER.url(str(connections["default"].settings_dict["NAME"]))
    return f"sqlite:///{FOLDER / 'test.sqlite3'}"


@pytest.fixture(scope="session")
def process_env(database_url: str) -> dict[str, str]:
    """The environment for a `manage.py` process on the test database."""
    return {
        **os.environ,
        "DATABASE_URL": database_url,
        "DJANGO_SETTINGS_MODULE": "audiobooks.settings",
        "PYTHONUNBUFFERED": "1",
        # A Job that comes due meanwhile asks nobody outside.
        **dict.fromkeys(("LIBRIVOX_URL", "ARCHIVE_URL"), "http://127.0.0.1:9/"),
    }


@pytest.fixture
def cluster() -> PostgresCluster:
    if CLUSTER is None:
        pytest.skip("a restart of the server can be tested only on PostgreSQL")
    return CLUSTER


@pytest.fixture(autouse=True)
def no_heartbeat_outlives_its_test() -> Iterator[None]:
    yield
    # Its thread ends at its next beat, before it touches a database that the next test may not use.
    presence._own = None


class Editor:
    """What a migration wants of a schema editor, which SQLite does not open in a transaction."""

    connection = connections["default"]


@pytest.fixture
def roles(db: None) -> None:
    """The groups that migrations make, also where a test of real processes has emptied the database."""
    if Group.objects.exists():
        return
    for app in (
        "scheduling.migrations.0005_roles",
        "audiobooks.migrations.0002_roles",
        "audiobooks.migrations.0007_library_roles",
        "audiobooks.migrations.0010_import_roles",
        "audiobooks.migrations.0011_provider_roles",
        "audiobooks.migrations.0014_source_roles",
        "audiobooks.migrations.0016_chart_roles",
        "audiobooks.migrations.0020_guide_roles",
        "audiobooks.migrations.0023_gap_roles",
        "audiobooks.migrations.0024_acquisition_roles",
    ):
        importlib.import_module(app).make_roles(apps, Editor)


@pytest.fixture
def administrator_client(roles: None) -> Client:
    """Of somebody in the role of that name. Pages cost a role two queries more than a superuser."""
    user = User.objects.create_user("role", is_staff=True)
    user.groups.add(Group.objects.get(name="Administrator"))
    client = Client()
    client.force_login(user)
    return client
