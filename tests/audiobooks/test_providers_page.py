"""The page of the providers: how they fare, and a question put to one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audiobooks.http import Pace
from audiobooks.metadata import audible, audnexus
from audiobooks.models import Book, Host, ServiceState
from tests.audiobooks.outside import Outside, Reply

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "/admin/audiobooks/servicestate/"
EVIL = "<script>alert('x')</script>"
RECORD = {
    "asin": "B0TESTAA03",
    "title": f"The Glass Meridian {EVIL}",
    "authors": [{"name": "Ilse Varga"}],
    "region": "us",
    "language": "english",
    "runtimeLengthMin": 812,
    "formatType": "unabridged",
    "releaseDate": "2024-03-05T00:00:00.000Z",
}


@pytest.fixture
def outside(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    for module in (audible, audnexus):
        monkeypatch.setattr(module, "PACE", Pace(every=0.0, at_once=4))
    settings.METADATA_PROVIDERS = ["audnexus", "google_books"]
    settings.GOOGLE_BOOKS_KEY = ""
    with Outside() as server:
        settings.AUDNEXUS_URL = settings.AUDIBLE_URL = server.url
        yield server


def test_it_says_which_are_on_and_what_they_lack(outside: Outside, admin_client: Client) -> None:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        html = admin_client.get(PAGE).content.decode()
    assert len(queries) <= 12
    assert "GOOGLE_BOOKS_KEY in .env" in html and "lacks a key" in html
    assert html.count("name it in METADATA_PROVIDERS") == 3
    assert outside.seen == [], "looking asks nobody"


def test_a_host_is_shown_among_however_many_others(outside: Outside, admin_client: Client) -> None:
    Host.objects.bulk_create(Host(host=f"1{number:03}.example.org", next_slot=1) for number in range(101))
    Host.objects.create(host=urlsplit(outside.url).netloc, next_slot=1, consecutive_failures=3)
    rows = [row for row, _ in admin_client.get(PAGE).context["rows"]]
    hosts = {row.name: [host.host for host in row.hosts] for row in rows}
    assert hosts.pop("audnexus") == [urlsplit(outside.url).netloc] and not any(hosts.values())


def test_a_question_is_answered_and_nothing_is_written(outside: Outside, admin_client: Client) -> None:
    outside.replies["/books/B0TESTAA03"] = [Reply.of(RECORD)]
    html = admin_client.post(f"{PAGE}audnexus/try/", {"asin": "b0testaa03"}).content.decode()
    assert "Ilse Varga" in html and "13 h 32 min" in html
    assert EVIL not in html
    assert not Book.objects.exists()
    assert ServiceState.objects.get().last_success is not None
    assert "answers" in admin_client.get(PAGE).content.decode()


def test_nothing_found_and_no_answer_do_not_look_alike(outside: Outside, admin_client: Client) -> None:
    outside.otherwise = lambda seen: Reply.of({"products": []}) if "catalog" in seen.path else Reply(404, b"{}")
    html = admin_client.post(f"{PAGE}audnexus/try/", {"title": "No such book"}).content.decode()
    assert "has nothing like it" in html
    outside.otherwise = lambda seen: Reply(200, b"<html>Sign in</html>")
    html = admin_client.post(f"{PAGE}audnexus/try/", {"title": "Another book"}).content.decode()
    assert "has nothing like it" not in html
    assert ServiceState.objects.get().last_error in html.replace("&lt;", "<").replace("&gt;", ">").replace(
        "&#x27;", "'"
    ).replace("&quot;", '"')


@pytest.mark.parametrize(("data", "words"), [({}, "Write a title or an ASIN."), ({"asin": "x"}, "ten letters")])
def test_a_bad_question_is_explained(outside: Outside, admin_client: Client, data: Any, words: str) -> None:
    assert words in admin_client.post(f"{PAGE}audnexus/try/", data).content.decode()
    assert outside.seen == []


def test_looking_at_the_address_of_a_question_asks_nobody(outside: Outside, admin_client: Client) -> None:
    assert admin_client.get(f"{PAGE}audnexus/try/", {"asin": "B0TESTAA03"}).status_code == 302
    assert admin_client.post(f"{PAGE}nobody/try/", {"asin": "B0TESTAA03"}).status_code == 302
    assert outside.seen == []
