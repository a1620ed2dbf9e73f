"""The pages of sources and of releases, and `trysource`."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audiobooks import crawl
from audiobooks.facts import BookFacts, Contributor
from audiobooks.models import Book, Crawl, Release, ServiceState, SourceSession, Work
from audiobooks.sources import base
from tests.audiobooks.outside import Reply
from tests.fakes import myanonamouse as site
from tests.fakes.librivox import FakeLibriVox, project
from tests.fakes.myanonamouse import SEED, FakeMyAnonamouse, row

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("roles")]

SOURCES = "/admin/audiobooks/crawl/"
RELEASES = "/admin/audiobooks/release/"
EVIL = "<script>alert('x')</script>"


@pytest.fixture(autouse=True)
def nothing_cached() -> None:
    cache.clear()


@pytest.fixture
def viewer() -> Client:
    user = User.objects.create_user("viewer", is_staff=True)
    user.groups.add(Group.objects.get(name="Viewer"))
    client = Client()
    client.force_login(user)
    return client


def offer(number: int, *, title: str = "", author: str = "Nora Ferris", **changed: Any) -> base.Release:
    facts = BookFacts(
        title=title or f"Book {number}",
        authors=(Contributor(name=author),),
        narrators=("Sam Oakes",),
        language=changed.pop("language", "en"),
    )
    made: dict[str, Any] = {"name": facts.title, "formats": ("m4b",), "size": 5_000_000, "seeders": 1200, **changed}
    return base.Release(source="test", id=str(number), facts=facts, **made)


def keep(*releases: base.Release, source: str = "librivox", at: datetime | None = None) -> None:
    crawl.record(source, releases, now=at or timezone.now())


def shown(client: Client, query: str = "") -> list[str]:
    response = client.get(f"{RELEASES}?{query}")
    assert response.status_code == 200
    return [release.key for release in response.context["cl"].result_list]


# --- releases ---------------------------------------------------------------------------------------------------------


def test_a_list_of_releases_costs_at_most_twelve_queries(viewer: Client) -> None:
    keep(*(offer(number) for number in range(120)))
    for query in ("", "p=2", "q=book+ferris", "source=librivox", "language=en", "format=m4b", "free=-", "days=7"):
        viewer.get(f"{RELEASES}?{query}")
        with CaptureQueriesContext(connection) as queries:
            assert len(shown(viewer, query)) == (20 if query == "p=3" else 50), query
        assert len(queries) <= 12, query
        assert not any('."raw"' in each["sql"] for each in queries), "what is long is not read"


def test_the_filters(admin_client: Client) -> None:
    now = timezone.now()
    keep(
        offer(1, free=True, added=now - timedelta(days=2)),
        offer(2, free=False, language="de", formats=("mp3", "m4b"), added=now - timedelta(days=20)),
        offer(3, language="", formats=(), added=now - timedelta(days=90)),
    )
    keep(offer(4, added=now), source="fiction")
    assert shown(admin_client) == ["4", "1", "2", "3"]
    assert shown(admin_client, "source=fiction") == ["4"]
    assert shown(admin_client, "language=de") == ["2"] and shown(admin_client, "language=-") == ["3"]
    assert shown(admin_client, "format=mp3") == ["2"]
    assert shown(admin_client, "free=1") == ["1"] and shown(admin_client, "free=0") == ["2"]
    assert shown(admin_client, "free=-") == ["4", "3"]
    assert shown(admin_client, "days=7") == ["4", "1"] and shown(admin_client, "days=30") == ["4", "1", "2"]
    for nonsense in ("days=x", "free=x", "days=-1"):
        assert shown(admin_client, nonsense) == ["4", "1", "2", "3"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("harbour", ["1"]), ("HÄRBOUR", ["1"]), ("ferris harb", ["1"]), ("oakes", ["1", "2"]), ("varga", ["2"]),
        ("harbour varga", []), ("%25", []), ("_", []), ("o'brien", ["2"]), ("", ["1", "2"]),
    ],
)  # fmt: skip
def test_search(admin_client: Client, text: str, found: list[str]) -> None:
    keep(offer(1, title="The Blue Harbour"), offer(2, title="Salt", author="Ilse O'Brien Varga"))
    assert sorted(shown(admin_client, f"q={text}")) == found


def test_a_release_has_a_page(viewer: Client) -> None:
    work = Work.objects.create(title="Book 1")
    Book.objects.create(title="Our Own Copy", work=work)
    keep(offer(1, name=f"Name {EVIL}", link="https://site.example/t/1", raw={"said": EVIL}, free=True))
    Release.objects.update(work=work)
    release = Release.objects.get()
    url = f"{RELEASES}{release.pk}/change/"
    with CaptureQueriesContext(connection) as queries:
        html = viewer.get(url).content.decode()
    assert len(queries) <= 12
    for words in ("Nora Ferris", "Sam Oakes", "https://site.example/t/1", "Our Own Copy", "in the library", "1,200"):
        assert words in html
    assert EVIL not in html and 'rel="noopener noreferrer"' in html
    Release.objects.update(link="javascript:alert(1)", raw={})
    assert "javascript:" not in viewer.get(url).content.decode()
    assert viewer.post(url, {"title": "x"}).status_code in (302, 403) and Release.objects.get().title == "Book 1"


# --- sources ----------------------------------------------------------------------------------------------------------


def test_it_says_which_are_on_and_what_they_lack(viewer: Client, settings: Any, librivox: FakeLibriVox) -> None:
    settings.TORZNAB_INDEXERS = [{"name": f"i{n}", "url": f"http://127.0.0.1:9/{n}/api", "key": "k0"} for n in range(9)]
    with CaptureQueriesContext(connection) as queries:
        html = viewer.get(SOURCES).content.decode()
    assert len(queries) <= 12
    assert "it needs MAM_SESSION in .env" in html and "lacks a session" not in html and "i8" in html
    assert html.count("name it in SOURCES") == 2
    settings.SOURCES = ["myanonamouse"]
    assert "lacks a session" in viewer.get(SOURCES).content.decode()
    index = viewer.get("/admin/").content.decode()
    assert f'href="{SOURCES}"' in index and f'href="{RELEASES}"' in index
    assert "Try it now" not in html and librivox.outside.seen == []


def test_account_crawl_and_drift_are_shown_and_no_session(viewer: Client, mam: FakeMyAnonamouse) -> None:
    mam.rows = [row(1)]
    call_command("trysource", "myanonamouse", stdout=io.StringIO())
    session = SourceSession.objects.get().current
    now = timezone.now()
    Crawl.objects.create(
        source="myanonamouse",
        account={"grade": "Power User", "ratio": "∞", "unsatisfied": 12, "unsatisfied_limit": 100, "wedges": 7},
        **{"account_at": now, "crawled_at": now, "complete_at": now, "new": 17, "pages": 3, "rows": 280},
        drift={"less": ["narrators is filled in 20% of its releases"], "sample": {"title": EVIL}},
    )
    html = viewer.get(SOURCES).content.decode()
    for words in (
        "Power User",
        "∞",
        "Unsatisfied at most",
        "17 new",
        "reads less than usual",
        "280 rows of 3 pages, 40 at most",
        "narrators is filled",
    ):
        assert words in html
    assert EVIL not in html and "alert" in html, "the sample is shown as text"
    assert session not in html and SEED not in html


def test_a_question_is_answered_and_nothing_is_kept(admin_client: Client, librivox: FakeLibriVox) -> None:
    librivox.projects = [project(1, f"The Blue Harbour {EVIL}")]
    html = admin_client.post(f"{SOURCES}librivox/try/", {"title": "The Blue Harbour"}).content.decode()
    assert "LibriVox offers 1" in html and "Nora Ferris" in html and EVIL not in html
    assert not Release.objects.exists()
    assert ServiceState.objects.get(name="source:librivox").last_success is not None


def test_nothing_found_and_signed_out_do_not_look_alike(admin_client: Client, mam: FakeMyAnonamouse) -> None:
    html = admin_client.post(f"{SOURCES}myanonamouse/try/", {"title": "Unheard Of"}).content.decode()
    assert "has nothing like it" in html
    mam.faults = [site.SIGNED_OUT, site.SIGNED_OUT]
    html = admin_client.post(f"{SOURCES}myanonamouse/try/", {"title": "Another"}).content.decode()
    assert "has nothing like it" not in html and "make a new one" in html


def test_a_bad_question_is_explained_and_looking_asks_nobody(admin_client: Client, mam: FakeMyAnonamouse) -> None:
    assert "Write a title." in admin_client.post(f"{SOURCES}myanonamouse/try/", {"title": " "}).content.decode()
    assert admin_client.get(f"{SOURCES}myanonamouse/try/", {"title": "x"}).status_code == 302
    assert admin_client.post(f"{SOURCES}nobody/try/", {"title": "x"}).status_code == 302
    assert mam.calls == []


def test_an_address_that_is_none_is_no_error_of_the_page(viewer: Client, settings: Any) -> None:
    settings.TORZNAB_INDEXERS = [{"name": "x", "url": "http://[10.0.0.5:9696/3/api?apikey=recognisable", "key": ""}]
    answer = viewer.get(SOURCES)
    assert answer.status_code == 200 and "recognisable" not in answer.content.decode()


# --- trysource --------------------------------------------------------------------------------------------------------


def trysource(*arguments: str) -> str:
    out = io.StringIO()
    call_command("trysource", *arguments, stdout=out)
    return out.getvalue()


def test_it_prints_what_the_source_answers(mam: FakeMyAnonamouse) -> None:
    mam.rows = [row(number, title=f"Book \x1b[31m{number}") for number in range(1, 31)]
    printed = trysource("myanonamouse")
    assert "Signed in: Power User, ratio 3.25." in printed and "… and 10 more." in printed
    assert "by Nora Ferris, read by Sam Oakes, en, m4b, 554 MB, 41 seeders [" in printed and "\x1b" not in printed
    mam.rows = [row(1, title="The Blue Harbour")]
    assert "The Blue Harbour" in trysource("myanonamouse", "blue harbour")
    assert "answers, and has nothing like it" in trysource("myanonamouse", "Unheard Of")
    assert not Release.objects.exists()


def test_what_a_stranger_wrote_does_not_steer_the_terminal(mam: FakeMyAnonamouse) -> None:
    mam.account["classname"] = "Power\x9b2J\u202eUser"
    mam.rows = [row(1, title="Book\u202e \x1b[31m1")]
    printed = trysource("myanonamouse")
    assert "Signed in: Power 2J User," in printed and "\u202e" not in printed and "\x1b" not in printed
    mam.faults = [Reply.of({"error": "Out of\x9border\u202e \x1b[2J"})]
    with pytest.raises(CommandError) as raised:
        trysource("myanonamouse")
    assert "Out of" in str(raised.value) and str(raised.value).isprintable()


def test_it_says_what_is_wrong(mam: FakeMyAnonamouse) -> None:
    with pytest.raises(CommandError, match=r"no source “nope”\. There are: myanonamouse, librivox"):
        trysource("nope")
    with pytest.raises(CommandError, match="Write a title"):
        trysource("librivox", " ")
    mam.faults = [site.IP_MISMATCH]
    with pytest.raises(CommandError, match="another address of the internet"):
        trysource("myanonamouse")
    assert len(mam.calls) == 1


def test_a_page_with_status_200_is_said_of_librivox(librivox: FakeLibriVox) -> None:
    librivox.feed_reply = Reply(200, b"<html>Sign in</html>")
    with pytest.raises(CommandError, match="not JSON"):
        trysource("librivox")


def test_dates_without_one_are_when_it_was_first_seen() -> None:
    at = datetime(2026, 5, 1, tzinfo=UTC)
    keep(offer(1), at=at)
    keep(offer(1, seeders=3), at=at + timedelta(days=3))
    release = Release.objects.get()
    assert (release.dated_at, release.first_seen, release.last_seen) == (at, at, at + timedelta(days=3))
    keep(offer(1, added=at - timedelta(days=9)), at=at + timedelta(days=4))
    assert Release.objects.get().dated_at == at - timedelta(days=9)
