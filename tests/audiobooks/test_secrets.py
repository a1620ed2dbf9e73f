"""Everything that asks a source, at the most talkative, with secrets that would be recognised wherever they came out."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from audiobooks import charts, crawl
from audiobooks.admin import sources as admin_sources
from audiobooks.http import Doorway, Pace, Patience
from audiobooks.management.commands import trysource
from audiobooks.models import Chart, Genre, Guide, Host, HttpCopy, Proposal, Release, ServiceState, SourceSession
from audiobooks.sources import myanonamouse_pages
from audiobooks.transport import Transport
from scheduling.exceptions import TaskFailed
from scheduling.models import Task
from scheduling.registry import registry as registered
from scheduling.runner import run_here
from tests.audiobooks.outside import Reply
from tests.fakes import myanonamouse as site
from tests.fakes.librivox import FakeLibriVox, project
from tests.fakes.myanonamouse import SEED, FakeMyAnonamouse, page, row
from tests.fakes.torznab import KEY, FakeTorznab, Item

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("roles")]
PASSKEY = "recognisablePASSKEY77of99the2tracker"
BROWSER = "recognisableBROWSER%2Fsession%3D"
DL = "recognisableDLHASH0123456789"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    patience = Patience(read=30, total=60, attempts=2, first_pause=0.01, busy_pause=0.02, longest_pause=0.5)
    transport = Transport()
    for module in (crawl, charts, trysource, admin_sources):
        monkeypatch.setattr(module, "Doorway", lambda **_: Doorway(patience=patience, transport=transport, contact=""))
    monkeypatch.setattr(myanonamouse_pages, "PACE", Pace(every=0.0, at_once=1))


class Everything:
    """What was said while it was run. secrets: that were at work, the settings' and those that the site gave."""

    def __init__(self, mam: FakeMyAnonamouse, indexer: FakeTorznab, client: Client) -> None:
        self.said: list[str] = []
        self.mam, self.indexer, self._client = mam, indexer, client

    @property
    def secrets(self) -> set[str]:
        given = {self.mam.session, self.mam.browser, *(call.session for call in self.mam.calls)}
        return {SEED, KEY, PASSKEY, BROWSER, DL, *given} - {""}

    def run(self) -> None:
        for name in ("mam_scraping", "top10_discovery"):
            ServiceState.objects.all().delete()
            Host.objects.all().delete()
            # What was kept would be no question.
            HttpCopy.objects.all().delete()
            try:
                self.said.append(str(run_here(registered.get(f"audiobooks.{name}"), {})))
            except TaskFailed as error:
                self.said.append("".join(traceback.format_exception(error)))
        for name in ("myanonamouse", "fiction", "librivox"):
            try:
                call_command("trysource", name)
            except CommandError as error:
                self.said.append("".join(traceback.format_exception(error)))
            self._look(f"crawl/{name}/try/", title="Book 8")

    def look(self) -> None:
        self._look("crawl/")
        for model, name in ((Release, "release"), (Chart, "chart"), (Guide, "guide"), (Proposal, "proposal")):
            keys = list(model.objects.order_by("pk").values_list("pk", flat=True))
            assert keys, name
            self._look(f"{name}/")
            for key in keys[:3]:
                self._look(f"{name}/{key}/change/")
        for key in Guide.objects.values_list("pk", flat=True):
            self._look(f"guide/{key}/text/")
        for key in Task.objects.values_list("pk", flat=True):
            self._look(f"/admin/scheduling/task/{key}/change/")

    def _look(self, address: str, **data: str) -> None:
        url = address if address.startswith("/") else f"/admin/audiobooks/{address}"
        answer = self._client.post(url, data) if data else self._client.get(url)
        assert answer.status_code == 200, url
        self.said.append(answer.content.decode())


@pytest.fixture
def everything(
    mam: FakeMyAnonamouse, indexer: FakeTorznab, admin_client: Client, settings: Any, tmp_path: Path
) -> Iterator[Everything]:
    settings.SOURCES = ["myanonamouse", "fiction", "librivox"]
    settings.MAM_BROWSER_SESSION = mam.browser = BROWSER
    # By this it is found in a page that was saved. The others have to be kept back without.
    settings.SCHEDULING = {**settings.SCHEDULING, "SECRETS": (BROWSER,)}
    settings.GUIDES_FOLDER, settings.GUIDES_PAGES = tmp_path, ["/guides/1", "/guides/2"]
    guide = f"""<div id="guideBox"><h1>Guides -> Mine</h1><p>Seed. passkey={PASSKEY} {BROWSER}
        <a href="https://t.example/{PASSKEY}/announce">announce</a> <a href="/rss.php?passkey={PASSKEY}">feed</a></div>"""
    mam.pages = {"/guides/1": guide}
    (tmp_path / "saved.html").write_text(guide)
    mam.dl = DL
    added = f"{timezone.now():%Y-%m-%d %H:%M:%S}"
    mam.rows = [row(number, tags=f"see {DL}", added=added) for number in range(1, 31)]
    indexer.categories = indexer.categories.replace("Audio/Audiobook", "Fantasy")
    indexer.items = [
        Item(
            f"Nora Ferris - Book {number} [M4B]",
            number,
            published=format_datetime(timezone.now()),
            comments=f"https://tracker.example/t/{number}?passkey={PASSKEY}",
            attrs={"magneturl": f"magnet:?xt=urn:btih:{number:040x}&tr=https://t.example/{PASSKEY}/announce"},
        )
        for number in range(1, 31)
    ]
    Genre.objects.create(name="Fantasy", key="fantasy", enabled=True)
    with FakeLibriVox([project(1)], docs=[{"identifier": "item1", "title": "Book 7"}]) as fake:
        settings.LIBRIVOX_URL, settings.ARCHIVE_URL = fake.url, fake.archive_url
        yield Everything(mam, indexer, admin_client)


def texts_of_the_database() -> str:
    """Everything but what the session is kept in."""
    skipped = {SourceSession._meta.db_table}
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            if table not in skipped:
                cursor.execute(f'SELECT * FROM "{table}"')
                found += [bytes(value) if isinstance(value, memoryview) else value for row in cursor for value in row]
    compressed = [row.content() or b"" for row in HttpCopy.objects.all()]
    return "\n".join(map(str, [*found, *compressed]))


@pytest.mark.slow
def test_no_secret_is_shown_anywhere(
    everything: Everything, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Crawl, charts, guides, trysource and pages: in no log, Task, page, exception or row."""
    caplog.set_level(logging.DEBUG)
    mam, indexer = everything.mam, everything.indexer
    everything.run()
    everything.look()
    assert Chart.objects.get().sources == ["fiction", "librivox", "myanonamouse"]
    echo = Reply(500, f"No luck with {KEY}".encode())
    for faults in ([site.SIGNED_OUT] * 2, [site.IP_MISMATCH], [site.THROTTLED], [site.SOME_PAGE], [site.CUT]):
        mam.faults, indexer.broken = list(faults), echo
        everything.run()
        mam.faults.clear()
    # It says again whatever it is sent.
    mam.before = lambda call: mam.faults.append(page(f"You are {call.session}".encode()))
    indexer.broken, indexer.error = None, (100, 200, {})
    everything.run()
    mam.before, indexer.error = None, None
    mam.faults.clear()
    mam.rows = [row(number, narrator_info="", tags=DL) for number in range(31, 131)]
    everything.run()
    assert any("degraded" in said for said in everything.said)
    everything.look()
    said = [*everything.said, caplog.text, *capsys.readouterr(), texts_of_the_database()]
    said += [str(vars(record)) for record in caplog.records]
    secrets = everything.secrets
    assert len(secrets) > 20 and any(record.levelno == logging.DEBUG for record in caplog.records)
    for secret in secrets:
        for place, text in enumerate(said):
            at = text.find(secret)
            assert at < 0, (place, secret, text[max(0, at - 200) : at + 100])
