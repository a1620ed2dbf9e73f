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


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """For a process that reads the project's settings, whatever the tests' own are."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    return {
        **kept,
        "DJANGO_SETTINGS_MODULE": "audiobooks.settings",
        "SECRET_KEY": "a-key-of-this-test",
        "DEBUG": "false",
    }


def read_settings(expression: str, environment: dict[str, str]) -> str:
    """What `expression`, of `settings`, is in a process with that environment."""
    code = f"import django; django.setup(); from django.conf import settings; print({expression})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_missing_secret_key_is_said_in_a_sentence(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={**environment, "SECRET_KEY": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].endswith(
        "SECRET_KEY is not set. `make run` writes a .env with a random one; or copy .env.example to .env and fill it in."
    )


def test_the_database_password_is_a_secret_however_it_is_written(environment: dict[str, str]) -> None:
    environment["DATABASE_URL"] = "postgres://someone:p%40ss%2Fword@127.0.0.1/none"
    secrets = read_settings("*settings.SCHEDULING['SECRETS']", environment)
    assert {"p%40ss%2Fword", "p@ss/word"} <= set(secrets.split())


@pytest.mark.parametrize(
    ("name", "value", "expression", "expected"),
    [
        ("ALLOWED_HOSTS", "a.example, b.example", "settings.ALLOWED_HOSTS", "['a.example', 'b.example']"),
        ("ALLOWED_HOSTS", " ", "settings.ALLOWED_HOSTS[0]", "127.0.0.1"),
        (
            "CSRF_TRUSTED_ORIGINS",
            "https://a, https://b ",
            "settings.CSRF_TRUSTED_ORIGINS",
            "['https://a', 'https://b']",
        ),
        (
            "AUDIOBOOKS_EXTRA_APPS",
            "tests.sampleapp, django.contrib.humanize",
            "settings.INSTALLED_APPS[-2:]",
            "['tests.sampleapp', 'django.contrib.humanize']",
        ),
        ("AUDIOBOOKS_LIBRARY", "~/Audiobooks", "settings.AUDIOBOOKS_LIBRARY", str(Path.home() / "Audiobooks")),
        ("AUDIOBOOKS_LIBRARY", "books", "settings.AUDIOBOOKS_LIBRARY", str(ROOT / "books")),
        ("AUDIOBOOKS_LIBRARY", "", "settings.AUDIOBOOKS_LIBRARY", str(ROOT / "library")),
        ("DATABASE_URL", "", "settings.DATABASES['default']['NAME']", str(ROOT / "audiobooks.sqlite3")),
        ("SCHEDULER_WORKERS", "", "settings.SCHEDULING['WORKERS']", "4"),
    ],
)
def test_blanks_are_not_meant_and_nothing_means_the_default(
    name: str, value: str, expression: str, expected: str, environment: dict[str, str]
) -> None:
    assert read_settings(expression, {**environment, name: value}) == expected


def test_djangos_error_page_shows_no_secret(environment: dict[str, str]) -> None:
    code = """
import os, sys
import django
django.setup()
from django.conf import settings
from django.db import connection
from django.test import RequestFactory
from django.views.debug import technical_500_response
# runserver puts the environment into each request.
request = RequestFactory().get("/", **os.environ)
try:
    connection.ensure_connection()
except Exception:
    print(technical_500_response(request, *sys.exc_info()).content.decode())
"""
    environment |= {
        "DEBUG": "true",
        "DATABASE_URL": "postgres://someone:p%40ss%2Fword@127.0.0.1:1/none",
        "CSRF_TRUSTED_ORIGINS": "https://shown.example",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert "https://shown.example" in done.stdout and "conn_params" in done.stdout, "the page shows less than it did"
    for secret in (environment["SECRET_KEY"], "p@ss/word", "p%40ss%2Fword"):
        assert secret not in done.stdout


def check_deploy(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    environment["SECRET_KEY"] = "a-key-that-is-long-enough-for-the-check-with-0123456789-other-characters"
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def test_https_is_one_setting(environment: dict[str, str]) -> None:
    assert "security.W012" in check_deploy({**environment, "HTTPS": "false"}).stderr
    done = check_deploy({**environment, "HTTPS": "true"})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("https", "header", "expected"),
    [
        ("true", "https", "True 200"),
        ("true", "http", "False 301"),
        ("false", "https", "False 200"),
        ("false", "http", "False 200"),
    ],
)
def test_the_proxys_word_counts_only_with_https(
    https: str, header: str, expected: str, environment: dict[str, str]
) -> None:
    environment["HTTPS"] = https
    code = f"""
import django
django.setup()
from django.http import HttpResponse
from django.middleware.security import SecurityMiddleware
from django.test import RequestFactory
request = RequestFactory().get("/", headers={{"host": "localhost", "x-forwarded-proto": "{header}"}})
response = SecurityMiddleware(lambda request: HttpResponse())(request)
print(request.is_secure(), response.status_code)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == expected, done.stderr
