"""The project's own files agree with each other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.core.management import call_command
from django.test import override_settings

from scheduling.checks import check_sqlite

ROOT = Path(__file__).resolve().parents[1]


def test_env_example_names_every_setting_and_no_other() -> None:
    read = set(re.findall(r'env\.\w+\("([A-Z_]+)"', (ROOT / "audiobooks/settings.py").read_text()))
    named = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.M))
    assert named == read


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_everything_is_pinned(name: str) -> None:
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith(("#", "-r"))]
    assert lines and all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)


def test_the_settings_pass_the_checks() -> None:
    assert run_checks() == []


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ({}, {"scheduling.E001", "scheduling.E002"}),
        ({"transaction_mode": "IMMEDIATE", "timeout": 20}, {"scheduling.E002"}),
        (
            {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode = WAL", "timeout": 1},
            {"scheduling.W001"},
        ),
    ],
)
def test_undone_sqlite_options_are_said(
    options: dict[str, object], ids: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": options}
    monkeypatch.setitem(settings.DATABASES, "default", changed)
    assert {message.id for message in check_sqlite(None)} == ids


@pytest.mark.django_db
def test_the_administrator_is_made_once(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("createadmin")
    assert "password" in capsys.readouterr().out
    call_command("createadmin")
    assert "none was created" in capsys.readouterr().out


def test_an_unknown_setting_is_refused() -> None:
    from django.core.exceptions import ImproperlyConfigured

    from scheduling.conf import scheduling_settings

    with override_settings(SCHEDULING={"WORKER": 3}), pytest.raises(ImproperlyConfigured, match="WORKERS"):
        scheduling_settings()


def test_an_empty_secret_key_is_said(process_env_without_database: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env=process_env_without_database,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "SECRET_KEY" in done.stderr


def test_the_database_password_is_a_secret_however_it_is_written(process_env_without_database: dict[str, str]) -> None:
    code = "from django.conf import settings; print(*settings.SCHEDULING['SECRETS'])"
    url = "postgres://someone:p%40ss%2Fword@127.0.0.1/none"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**process_env_without_database, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"p%40ss%2Fword", "p@ss/word"} <= set(done.stdout.split())


@pytest.fixture
def process_env_without_database() -> dict[str, str]:
    return {**os.environ, "DJANGO_SETTINGS_MODULE": "audiobooks.settings", "SECRET_KEY": ""}
