"""The project's own files agree with each other."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.core.management import call_command
from django.test import override_settings

from scheduling.checks import check_sqlite

ROOT = Path(__file__).resolve().parents[1]


def test_env_example_names_every_setting_and_no_other() -> None:
    read = set(re.findall(r'env\.\w+\("([A-Z_]+)"', (ROOT / "audiobooks/settings.py").read_text()))
    named = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.M))
    assert named == read


def test_services_are_told_the_version_that_this_is() -> None:
    assert f'version = "{settings.VERSION}"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_everything_is_pinned(name: str) -> None:
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith(("#", "-r"))]
    assert lines and all(re.fullmatch(r"[\w.-]+==[\w.]+(; .+)?", line) for line in lines)


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


@pytest.mark.django_db
def test_where_the_name_is_taken_the_administrator_gets_another(capsys: pytest.CaptureFixture[str]) -> None:
    users = get_user_model().objects
    taken = [users.create_user(username=name, password="x") for name in ("admin", "admin2")]
    call_command("createadmin")
    assert "Sign in as admin3 " in capsys.readouterr().out
    assert users.get(username="admin3").is_superuser
    for user in taken:
        user.refresh_from_db()
        assert not user.is_superuser and user.check_password("x")


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
    code = f"from django.conf import settings; print({expression})"
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


def test_keys_and_tokens_are_secrets(environment: dict[str, str]) -> None:
    environment |= {"GOOGLE_BOOKS_KEY": "key-of-google", "HARDCOVER_TOKEN": "Bearer token-of-hardcover"}
    secrets = read_settings("*settings.SCHEDULING['SECRETS']", environment).split()
    assert {"key-of-google", "token-of-hardcover"} <= set(secrets)


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
        ("METADATA_PROVIDERS", "librivox, audnexus", "settings.METADATA_PROVIDERS", "['librivox', 'audnexus']"),
        ("METADATA_PROVIDERS", "", "settings.METADATA_PROVIDERS[0]", "audnexus"),
        ("SOURCES", "librivox, fiction", "settings.SOURCES", "['librivox', 'fiction']"),
        (
            "TORZNAB_INDEXERS",
            "a | http://x/1/api?apikey=inside1key | , b|http://y/2|the0key, ,",
            "[each['name'] + each['url'] + each['key'] for each in settings.TORZNAB_INDEXERS]",
            "['ahttp://x/1/api?apikey=inside1key', 'bhttp://y/2the0key']",
        ),
        (
            "TORZNAB_INDEXERS",
            "a|http://x/1/api?apikey=inside1key,b|http://y/2|the0key",
            "[each for each in settings.SCHEDULING['SECRETS'] if each in ('inside1key', 'the0key')]",
            "['the0key', 'inside1key']",
        ),
        ("MAM_SESSION", "mam_id=abc%3Ddef;", "'abc%3Ddef' in settings.SCHEDULING['SECRETS']", "True"),
        ("GUIDES_PAGES", "/rules.php, /guides/?gid=1", "settings.GUIDES_PAGES", "['/rules.php', '/guides/?gid=1']"),
        ("GUIDES_FOLDER", "", "settings.GUIDES_FOLDER", str(ROOT / "guides")),
        ("MAM_BROWSER_SESSION", "mam_id=abc%3Ddef;", "'abc%3Ddef' in settings.SCHEDULING['SECRETS']", "True"),
        ("AUDIBLE_REGION", "DE", "settings.AUDIBLE_REGION", "de"),
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
from django.db import OperationalError, connection
from django.test import RequestFactory
from django.views.debug import technical_500_response
# runserver puts the environment into each request.
request = RequestFactory().get("/", **os.environ)
try:
    connection.ensure_connection()
except OperationalError:
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


def test_the_database_file_is_private(environment: dict[str, str], tmp_path: Path) -> None:
    code = """
import os
os.umask(0o022)
import django
django.setup()
from django.db import connection
connection.cursor().execute("CREATE TABLE one (id int)")
for path in sorted(os.scandir(os.path.dirname(connection.settings_dict["NAME"])), key=lambda path: path.name):
    print(path.name, oct(path.stat().st_mode & 0o777))
"""
    environment["DATABASE_URL"] = f"sqlite:///{tmp_path}/new.sqlite3"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["new.sqlite3 0o600", "new.sqlite3-shm 0o600", "new.sqlite3-wal 0o600"]
    (tmp_path / "new.sqlite3").chmod(0o640)
    done = subprocess.run([sys.executable, "-c", "import django; django.setup()"], cwd=ROOT, env=environment)
    assert (tmp_path / "new.sqlite3").stat().st_mode & 0o777 == 0o640, "what a person chose was changed"


TOOLS = ("python", "pip", "ruff", "lint-imports", "mypy", "pytest")


class Project:
    """A folder with our Makefile, where every tool is a script that notes how it was called.

    Those on the PATH fail. `whole` and `half` are for PYTHON: with one a virtual environment can be made, with the
    other it comes to half of it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / ".venv/bin"
        self._calls = folder / "calls"
        for name in ("Makefile", ".env.example", "requirements.txt", "requirements-dev.txt"):
            shutil.copy(ROOT / name, folder)
        for name in TOOLS:
            self.script(folder / "path" / name, "exit 1")
        copies = "; ".join(f'cp "$0" .venv/bin/{name}' for name in TOOLS)
        self.whole = self.script(folder / "whole", f'case "$*" in *venv*) mkdir -p .venv/bin; {copies};; esac')
        self.half = self.script(
            folder / "half", 'case "$*" in *venv*) mkdir -p .venv/bin; cp "$0" .venv/bin/python; exit 1;; esac'
        )

    def script(self, path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\nprintf "%s %s\\n" "$0" "$*" >> "{self._calls}"\n{text}\n')
        path.chmod(0o755)
        return path

    def make(self, verb: str, python: Path) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PATH": f"{self.folder}/path:{os.environ['PATH']}"}
        self._calls.write_text("")
        return subprocess.run(
            ["make", verb, f"PYTHON={python}"], cwd=self.folder, env=environment, capture_output=True, text=True
        )

    def called(self) -> list[str]:
        """The command lines, with the files as seen from the folder."""
        return self._calls.read_text().replace(f"{self.folder}/", "").splitlines()

    def django_commands(self) -> list[str]:
        return [line.split("manage.py ")[1] for line in self.called() if "manage.py" in line]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_make_run_looks_at_the_address_before_it_touches_the_database(project: Project) -> None:
    assert project.make("run", project.whole).returncode == 0
    commands = project.django_commands()
    assert [command.split()[0] for command in commands] == ["start", "migrate", "collectstatic", "createadmin", "start"]
    assert commands[0] == "start --check" and commands[-1] == "start"
    project.script(project.bin / "python", 'case "$*" in *--check) exit 1;; esac')
    assert project.make("run", project.whole).returncode != 0
    assert project.django_commands() == ["start --check"]


def test_a_venv_that_could_not_be_made_leaves_nothing_and_is_said(project: Project) -> None:
    for _ in range(2):
        done = project.make("run", project.half)
        assert done.returncode != 0
        assert "apt-get install python3-venv" in done.stderr
        assert not (project.folder / ".venv").exists()
        assert not any("pip" in line for line in project.called())


def test_a_venv_left_half_made_is_made_anew(project: Project) -> None:
    project.script(project.bin / "python", "exit 1")
    assert project.make("run", project.whole).returncode == 0
    assert "whole -m venv .venv" in project.called()
    assert any(line.startswith(".venv/bin/python -m pip install") for line in project.called())


@pytest.mark.parametrize("verb", ["run", "test-all", "bench", "format", ".env"])
def test_make_calls_the_tools_of_the_venv_alone(verb: str, project: Project) -> None:
    done = project.make(verb, project.whole)
    assert done.returncode == 0, done.stderr
    called = [line for line in project.called() if not line.startswith("whole ")]
    assert called and all(line.startswith(".venv/bin/") for line in called)
