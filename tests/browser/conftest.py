"""A real browser before the real web and scheduler processes, on the test database."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from tests.ports import free_port
from tests.scheduling.processes import ROOT, wait_until
from tests.settings import CLUSTER

CHROMIUM = shutil.which("chromium")
if CHROMIUM is None and not os.environ.get("CI"):
    collect_ignore_glob = ["test_*.py"]
else:
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, sync_playwright

PASSWORD = "a-long-password-for-tests"
WIDE, NARROW = {"width": 1400, "height": 900}, {"width": 390, "height": 844}
# Any name but loopback fails to resolve, so a call of another host cannot go unnoticed.
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]  # fmt: skip


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    assert CHROMIUM, "chromium is not installed: apt-get install chromium"
    # Playwright's loop runs in this thread, and Django would take every query for one in an async function.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="session")
def static_files(process_env: dict[str, str]) -> None:
    subprocess.run(
        [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"],
        cwd=ROOT,
        env=process_env,
        check=True,
    )


@pytest.fixture
def site(process_env: dict[str, str], static_files: None, tmp_path: Path) -> Iterator[str]:
    """The address of the web pages, served by gunicorn as `start` does."""
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "gunicorn", "audiobooks.wsgi", "--bind", address, "--threads", "4"]
    with (tmp_path / "web.log").open("wb") as output:
        web = subprocess.Popen(command, cwd=ROOT, env=process_env, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: _answers(f"http://{address}/admin/login/"), seconds=60)
        yield f"http://{address}"
    finally:
        web.terminate()
        web.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=20):
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


@dataclass
class Visit:
    """A page in the browser, and what went wrong on it: errors, refused by policy, other hosts, error answers."""

    page: Page
    site: str
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.wrong.append(f"script: {error}"))
        self.page.on("request", self._asked)
        self.page.on("response", self._answered)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"console: {message.text}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.site, "data:", "blob:")):
            self.wrong.append(f"other host: {request.url}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.wrong.append(f"{response.status}: {response.url}")

    def open(self, path: str) -> Page:
        self.page.goto(self.site + path)
        return self.page

    def sign_in(self, username: str) -> Page:
        self.open("/admin/")
        self.page.fill("[name=username]", username)
        self.page.fill("[name=password]", PASSWORD)
        self.page.click("[type=submit]")
        self.page.wait_for_selector("#content, #page, main")
        return self.page

    def scrolls_sideways(self) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))

    def problems_of(self, addresses: dict[str, str], folder: Path) -> str:
        """What is not whole of these pages, by their names; empty where all are. Pictures of them are in `folder`."""
        problems: dict[str, str] = {}
        for name, address in addresses.items():
            page = self.open(address)
            page.wait_for_load_state("networkidle")
            page.screenshot(path=folder / f"{name}.png", full_page=True)
            found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
            if found.violations_count:
                problems[name] = found.generate_report()
            if self.scrolls_sideways():
                problems[f"{name}, width"] = "it scrolls sideways"
        return "\n".join(f"{name}: {text}" for name, text in problems.items())


@pytest.fixture
def visit(browser: Browser, site: str) -> Iterator[Callable[..., Visit]]:
    """Make a Visit: `visit(width=..., dark=True)`. What went wrong in it fails the test at its end."""
    visits: list[Visit] = []

    def make(viewport: dict[str, int] | None = None, *, dark: bool = False, scripts: bool = True) -> Visit:
        context = browser.new_context(
            viewport=viewport or WIDE,  # type: ignore[arg-type]
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
        )
        context.set_default_timeout(60_000)
        visits.append(Visit(context.new_page(), site))
        return visits[-1]

    yield make
    for one in visits:
        one.page.context.close()
    wrong = sorted({line for one in visits for line in one.wrong})
    assert not wrong, "\n".join(wrong)


# How a page looks is no matter of the database: two on each make the four. What pages do is tried on both.
LOOKS = ["wide", "narrow dark"] if CLUSTER is None else ["wide dark", "narrow"]


@pytest.fixture(params=LOOKS)
def look(request: pytest.FixtureRequest, administrator: User, visit: Callable[..., Visit]) -> Visit:
    """Signed in, on a desk and a phone, light and dark."""
    one = visit(NARROW if "narrow" in request.param else WIDE, dark="dark" in request.param)
    one.sign_in("admin")
    return one


@pytest.fixture
def administrator(transactional_db: None) -> User:
    return User.objects.create_superuser("admin", password=PASSWORD)
