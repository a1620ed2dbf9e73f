"""Prowlarr and Jackett, against a stand-in that speaks as they do."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, SubElement

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiobooks.exceptions import (
    BadAnswer,
    Forbidden,
    Gone,
    HttpError,
    Refused,
    ServiceError,
    SignedOut,
    SourceError,
    Throttled,
    Unreachable,
)
from audiobooks.facts import BookFacts, Contributor
from audiobooks.http import Doorway
from audiobooks.models import HttpCopy
from audiobooks.sources.torznab import MOST_PAGES, OVERLAP, Torznab, TorznabError, _Row, read_caps, read_xml
from tests.audiobooks.outside import Outside, Reply
from tests.fakes.torrent_files import torrent
from tests.fakes.torznab import HASH, KEY, PASSKEY, FakeTorznab, Item, error_of, xml

pytestmark = pytest.mark.django_db

HARBOUR = BookFacts(title="The Blue Harbour", authors=(Contributor(name="Nora Ferris"),))
NAME = "Nora Ferris - The Blue Harbour [M4B] 64 kbps"


@pytest.fixture(params=["prowlarr", "jackett"])
def fake(request: pytest.FixtureRequest) -> Iterator[FakeTorznab]:
    with FakeTorznab(kind=request.param, items=[Item(NAME)]) as server:
        yield server


@pytest.fixture
def source(fake: FakeTorznab) -> Torznab:
    return Torznab(url=fake.url, key=KEY, name="indexer", label="My indexer")


@pytest.mark.parametrize(
    ("privacy", "attrs", "counts"),
    [
        ("public", {"downloadvolumefactor": "1", "minimumratio": "1"}, False),
        ("private", {}, True),
        ("semi-private", {"downloadvolumefactor": "0"}, True),
        ("semiPrivate", {}, True),
        ("", {"downloadvolumefactor": "0"}, True),
        ("", {"minimumratio": "1.0"}, True),
        ("", {"minimumseedtime": "172800"}, True),
        ("", {"uploadvolumefactor": "1"}, None),
        ("", {}, None),
    ],
)
def test_whether_its_tracker_counts(
    fake: FakeTorznab, source: Torznab, http: Doorway, privacy: str, attrs: dict[str, str], counts: bool | None
) -> None:
    fake.privacy, fake.items = privacy, [Item(NAME, attrs={"downloadvolumefactor": None, **attrs})]
    [release] = source.search(http, HARBOUR)
    assert release.counts is counts


def test_a_release_is_read(fake: FakeTorznab, source: Torznab, http: Doorway) -> None:
    [release] = source.search(http, HARBOUR)
    assert (release.source, release.id, release.name) == ("indexer", "https://tracker.example/t/1", NAME)
    assert (release.size, release.files, release.fetched) == (554001203, 3, 1)
    assert (release.seeders, release.leechers, release.free) == (12, 2, False)
    assert release.added == datetime(2026, 2, 3, 17, 40, 21, tzinfo=UTC)
    assert (release.formats, release.bitrate, release.genres) == (("m4b",), 64, ("Audio/Audiobook",))
    assert release.link == "https://tracker.example/t/1"
    assert release.hash == f"{1:040x}"
    assert release.facts.title == "The Blue Harbour"
    assert release.facts.author_names == ("Nora Ferris",)
    assert release.facts.is_audio is True


def test_fields_say_more_than_the_name(fake: FakeTorznab, source: Torznab, http: Doorway) -> None:
    told = {"booktitle": "The Blue Harbour", "author": "Nora Ferris", "year": "1998", "language": "German"}
    fake.items = [Item("Blue Harbour etc", attrs={**told, "downloadvolumefactor": "0"})]
    [release] = source.newest(http).releases
    assert (release.facts.title, release.facts.author_names) == ("The Blue Harbour", ("Nora Ferris",))
    assert (release.facts.released, release.facts.language, release.free) == ("1998", "de", True)


def test_what_is_not_said_is_unknown(fake: FakeTorznab, source: Torznab, http: Doorway) -> None:
    nothing = dict.fromkeys(("seeders", "peers", "grabs", "files", "infohash", "downloadvolumefactor", "category"))
    fake.items = [Item(NAME, size="", published="yesterday", attrs=nothing, link="")]
    [release] = source.newest(http).releases
    assert {release.size, release.files, release.seeders, release.leechers, release.fetched} == {None}
    assert (release.added, release.free, release.hash, release.fetch) == (None, None, "", "")


# -- what is asked


def asked(fake: FakeTorznab) -> list[tuple[str, ...]]:
    return [
        tuple(query[name] for name in ("t", "title", "author", "q") if name in query)
        for query in fake.asked
        if query["t"] != "caps"
    ]


def test_by_title_and_author_where_caps_say_so(fake: FakeTorznab, source: Torznab, http: Doorway) -> None:
    source.search(http, HARBOUR)
    assert asked(fake) == [("book", "The Blue Harbour", "Nora Ferris")]
    assert fake.asked[-1]["cat"] == "3030"
    source.search(http, HARBOUR)
    assert [query["t"] for query in fake.asked].count("caps") == 1


def test_by_words_where_it_cannot(fake: FakeTorznab, source: Torznab, http: Doorway) -> None:
    fake.book_params, fake.items = "q", [Item("The Blue Harbour (unabridged)")]
    assert len(source.search(http, HARBOUR)) == 1
    words = "The Blue Harbour Nora Ferris"
    assert asked(fake) == [("book", words), ("search", words), ("search", "The Blue Harbour")]


def test_by_words_where_it_only_said_that_it_can(fake: FakeTorznab, source: Torznab, http: Doorway) -> None:
    fake.can_book = False
    assert len(source.search(http, HARBOUR)) == 1


def test_where_every_question_is_refused_it_is_an_error(fake: FakeTorznab, source: Torznab, http: Doorway) -> None:
    fake.error = (201, 400, {})
    with pytest.raises(TorznabError, match="201") as caught:
        source.search(http, HARBOUR)
    assert caught.value.permanent


def test_categories_of_the_tracker_are_asked_for_too(fake: FakeTorznab, source: Torznab, http: Doorway) -> None:
    fake.categories += '<category id="100042" name="Hörbuch"/><category id="7020" name="EBook"/>'
    fake.items = [
        *(Item(NAME, 1, category="100042"), Item(NAME, 2, category="7020"), Item(NAME, 3, category="")),
        *(Item("Nora Ferris - The Blue Harbour (epub)", 4), Item(NAME, 5, category="3040")),
    ]
    assert [each.id[-1] for each in source.newest(http).releases] == ["1", "3"]
    assert fake.asked[-1]["cat"] == "3030,100042"


def test_what_was_not_asked_for_is_no_hit(fake: FakeTorznab, source: Torznab, http: Doorway) -> None:
    fake.searches_for_nothing, fake.items = True, [Item("Ilse Varga - Salt [M4B]")]
    assert source.search(http, HARBOUR) == ()


def test_a_title_of_nothing_is_not_asked_for(fake: FakeTorznab, source: Torznab, http: Doorway) -> None:
    assert source.search(http, BookFacts(title=" ")) == () == source.search(http, BookFacts(title="…"))
    assert asked(fake) == []


def test_nothing_found(fake: FakeTorznab, source: Torznab, http: Doorway) -> None:
    fake.items = []
    assert source.search(http, HARBOUR) == ()
    assert source.newest(http).rows == 0
    fake.error = (300, 200, {})
    assert source.search(http, HARBOUR) == ()


@pytest.mark.parametrize("suffix", ["", "/", "/api", "/api/", "/api?apikey=" + KEY, "/api?t=caps&x=1"])
def test_the_address_is_taken_as_people_have_it(fake: FakeTorznab, http: Doorway, suffix: str) -> None:
    source = Torznab(url=fake.url.removesuffix("/api") + suffix, key="" if KEY in suffix else KEY, name="indexer")
    assert source.newest(http).rows == 1


# -- pages


def walk(source: Torznab, http: Doorway) -> list[list[str]]:
    pages, cursor = [], ""
    while True:
        page = source.newest(http, cursor)
        pages.append([each.id for each in page.releases])
        cursor = page.cursor
        if not cursor:
            return pages


@pytest.mark.parametrize("tells_total", [True, False])
def test_page_by_page(fake: FakeTorznab, source: Torznab, http: Doorway, tells_total: bool) -> None:
    fake.most, fake.tells_total = 2, tells_total
    fake.items = [Item(NAME, each) for each in range(1, 6)]
    pages = walk(source, http)
    assert [len(each) for each in pages] == ([2] * 4 if tells_total else [2, 2, 2, 2, 1])
    assert len({each for page in pages for each in page}) == 5


def test_what_is_removed_between_two_pages_hides_none(fake: FakeTorznab, source: Torznab, http: Doorway) -> None:
    fake.most, fake.items = 20, [Item(NAME, each) for each in range(100)]
    page = source.newest(http)
    seen = [each.id for each in page.releases]
    while page.cursor:
        # Of those that were read.
        del fake.items[:OVERLAP]
        page = source.newest(http, page.cursor)
        seen += [each.id for each in page.releases]
    assert len(set(seen)) == 100


@pytest.mark.parametrize("paging", ["same", "empty"])
def test_the_offset_is_ignored(fake: FakeTorznab, source: Torznab, http: Doorway, paging: str) -> None:
    fake.most, fake.paging = 2, paging
    fake.items = [Item(NAME, each) for each in range(1, 6)]
    assert [len(each) for each in walk(source, http)] == [2, 2 if paging == "same" else 0]


def test_pages_end(fake: FakeTorznab, source: Torznab, http: Doorway) -> None:
    fake.most, fake.items = 1, [Item(NAME, each) for each in range(1, MOST_PAGES + 9)]
    assert len(walk(source, http)) == MOST_PAGES


def test_an_item_that_comes_twice_is_one(fake: FakeTorznab, source: Torznab, http: Doorway) -> None:
    fake.items = [Item(NAME), Item(NAME)]
    page = source.newest(http, "a cursor of somebody else")
    assert (len(page.releases), page.rows) == (1, 2)


def test_popular_are_those_fetched_most(fake: FakeTorznab, source: Torznab, http: Doorway) -> None:
    old = "Tue, 03 Feb 2015 17:40:21 +0000"
    fake.items = [Item(NAME, 3), Item(NAME, 9), Item(NAME, 5), Item(NAME, 99, published=old)]
    found = source.popular(http, "Audio/Audiobook", since=date(2026, 1, 1), limit=2)
    assert [each.fetched for each in found] == [9, 5]
    assert source.popular(http, "No such", since=date(2026, 1, 1)) == ()


def test_popular_are_of_the_categories_of_audio(fake: FakeTorznab, source: Torznab, http: Doorway) -> None:
    fake.categories = (
        '<category id="3000" name="Audio"><subcat id="3050" name="Fantasy"/></category>'
        '<category id="7000" name="Books"><subcat id="7060" name="Fantasy"/><subcat id="7020" name="EBook"/></category>'
        '<category id="100042" name="Hörbuch"/><category id="130500" name="Fantasy"/>'
    )
    fake.items = [Item(NAME, 9, category="7060"), Item(NAME, 3, category="3050"), Item(NAME, 5, category="100042")]
    since = date(2026, 1, 1)
    assert [each.fetched for each in source.popular(http, "Fantasy", since=since)] == [3]
    assert fake.asked[-1]["cat"] == "3050"
    assert [each.fetched for each in source.popular(http, "Hörbuch", since=since)] == [5]
    assert source.popular(http, "EBook", since=since) == source.popular(http, "7060", since=since) == ()


# -- errors


def test_a_wrong_key(fake: FakeTorznab, http: Doorway) -> None:
    with pytest.raises(SignedOut, match="key") as caught:
        Torznab(url=fake.url, key="another0wrong", name="indexer").newest(http)
    assert caught.value.permanent
    assert HttpCopy.objects.count() == 0


@pytest.mark.parametrize(
    ("code", "status", "kind", "permanent", "waits"),
    [
        *((code, 200, SignedOut, True, False) for code in (*range(100, 108), 199)),
        *((code, status, TorznabError, True, False) for code in (200, 201, 202, 203) for status in (200, 400)),
        (410, 410, TorznabError, True, False),
        (429, 429, TorznabError, False, True),
        *((code, 200, TorznabError, False, True) for code in (500, 501)),
        (500, 500, TorznabError, False, False),
        *((900, status, TorznabError, False, False) for status in (200, 400, 503)),
        (900, 429, TorznabError, False, True),
        *((910, status, TorznabError, True, False) for status in (200, 503)),
        (777, 200, TorznabError, False, False),
    ],
)
def test_errors_of_the_protocol(
    fake: FakeTorznab,
    source: Torznab,
    http: Doorway,
    code: int,
    status: int,
    kind: type[SourceError],
    permanent: bool,
    waits: bool,
) -> None:
    fake.error = (code, status, {"Retry-After": "120"} if status == 429 else {})
    with pytest.raises(SourceError, match=str(code)) as caught:
        source.newest(http)
    assert type(caught.value) is kind
    assert caught.value.permanent is permanent
    assert KEY not in str(caught.value)
    expected = timedelta(seconds=120) if status == 429 else timedelta(hours=1)
    assert caught.value.retry_after == (expected if waits else None)
    # What is said of one indexer is not held against the others behind the same address.
    fake.error = None
    assert source.newest(http).rows == 1


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"<html><body>Just a moment</body></html>", b"<!DOCTYPE html><html></html>", b'{"error": "no"}'),
        *(
            b"<rss><channel><item>",
            b"<rss>&nbsp;</rss>",
            b"<rss><a b=c/></rss>",
            b"<rss/>" * 2,
            b"\xff\xfe\xfd",
            b"<caps/>",
        ),
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><rss><channel><title>&b;</title></channel></rss>',
        b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><rss><channel><title>&f;</title></channel></rss>',
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE x SYSTEM "http://127.0.0.1/x"><rss/>'.encode("utf-16"),
        b"<rss>" + b"<a>" * 5000 + b"</a>" * 5000 + b"</rss>",
        b"<rss>" + b" " * (9 * 1024 * 1024) + b"</rss>",
    ],
    ids=lambda body: repr(body[:40]),
)
def test_what_is_no_feed_is_an_error(fake: FakeTorznab, source: Torznab, http: Doorway, body: bytes) -> None:
    fake.broken = Reply(200, body, {"Content-Type": "text/html"})
    with pytest.raises(BadAnswer):
        source.newest(http)


def test_outages_and_wrong_addresses(fake: FakeTorznab, source: Torznab, http: Doorway) -> None:
    fake.broken = Reply(502, b"<html>Bad gateway</html>")
    with pytest.raises(HttpError) as outage:
        source.newest(http)
    assert not outage.value.permanent
    with pytest.raises(SourceError, match="correct it") as wrong:
        Torznab(url=f"{fake.outside.url}/nowhere", key=KEY, name="indexer").newest(http)
    assert wrong.value.permanent


def test_caps_that_are_none_are_not_kept(fake: FakeTorznab, source: Torznab, http: Doorway) -> None:
    fake.caps_broken = xml("<rss/>")
    with pytest.raises(SourceError, match="address"):
        source.newest(http)
    fake.caps_broken = None
    assert source.newest(http).rows == 1


def test_control_characters_and_other_encodings(fake: FakeTorznab, source: Torznab, http: Doorway) -> None:
    text = fake.feed({}).replace("Nora Ferris", "N\x01o&#x2;ra Férris&#233;")
    fake.broken = Reply(200, f'<?xml version="1.0" encoding="iso-8859-1"?>{text}'.encode("latin-1"))
    [release] = source.newest(http).releases
    assert release.name.startswith("Nora Férrisé")


# -- secrets


LEAKY = [
    Item(NAME, 1),
    Item(
        NAME,
        2,
        link=f"magnet:?xt=urn:btih:{HASH}&dn=x&tr=https://tracker.example/{PASSKEY}/announce&tr=udp://a.example:1",
    ),
    Item(NAME, 3, link=f"https://tracker.example/download?id=3&authkey=a1&torrent_pass={PASSKEY}"),
    Item(NAME, 4, guid=f"https://tracker.example/dl?id=4&passkey={PASSKEY}", link=f"https://u:{PASSKEY}@t.example/4"),
    Item(NAME, 5, comments=f"https://tracker.example/t/5?apikey={KEY}&id=5", guid=f"http://x.example/{KEY}/5"),
    Item(
        f"{NAME} {KEY}",
        6,
        attrs={"magneturl": f"magnet:?xt=urn:btih:{HASH}&tr=http://t.example/announce?passkey={PASSKEY}"},
    ),
    Item(
        NAME, 7, extra=f"<description>&lt;a href='http://x.example/a?rsskey={PASSKEY}&amp;id=1'&gt; {KEY}</description>"
    ),
    Item(NAME, 8, attrs={"passkey": PASSKEY, "coverurl": f"https://x.example/c.jpg?token={PASSKEY}"}),
    Item(
        NAME,
        9,
        guid=f"https://tracker.example/rss/download/9/{PASSKEY}/x.torrent",
        link=f"https://tracker.example/rss/download/9/{PASSKEY}/x.torrent",
    ),
]


def test_no_secret_leaves_the_adapter(
    fake: FakeTorznab, source: Torznab, http: Doorway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fake.items = LEAKY
    releases = source.newest(http).releases
    assert len(releases) == len(LEAKY)
    said = [repr(releases), repr(source), *(repr(each) for each in HttpCopy.objects.values_list("url", "body"))]
    for status, body in (
        (200, f"<html>{KEY}".encode()),
        (500, KEY.encode()),
        (200, f"<error code='900' description='{KEY}'/>".encode()),
    ):
        fake.broken = Reply(status, body)
        with pytest.raises(ServiceError) as caught:
            source.newest(http)
        said.append(f"{caught.value} {vars(caught.value)!r} {caught.value.__context__!r} {caught.value.__cause__!r}")
    said.append(caplog.text)
    for text in said:
        assert KEY not in text
        assert PASSKEY not in text


def test_steps_of_a_path_that_may_be_passkeys(fake: FakeTorznab, source: Torznab, http: Doorway) -> None:
    """Two that differ in nothing else stay two; an info hash is none."""
    links = [f"https://t.example/{step}/x.torrent" for step in (PASSKEY, f"{PASSKEY}2", HASH, "the-blue-harbour-2020")]
    fake.items = [Item(NAME, number, guid=link, link=link) for number, link in enumerate(links)]
    found = source.newest(http).releases
    assert len({each.id for each in found}) == 4
    assert [each.fetch for each in found] == ["", "", *links[2:]]
    assert [each.id for each in found][2:] == links[2:] and PASSKEY not in repr(found)
    assert source.address(http, found[0]) == links[0]


@pytest.mark.parametrize(
    "link", ["https://elsewhere.example/{key}/1.torrent", "magnet:?xt=urn:btih:" + "a" * 40 + "&dn={key}"]
)
def test_nobody_is_given_the_key_who_asks_for_it(fake: FakeTorznab, source: Torznab, http: Doorway, link: str) -> None:
    fake.items = [Item(NAME, 1, guid="1", link=link)]
    (release,) = source.newest(http).releases
    assert KEY not in source.address(http, release)


def test_the_key_comes_back_for_the_request(fake: FakeTorznab, source: Torznab, http: Doorway) -> None:
    fake.items = LEAKY[:4]
    first, magnet, third, fourth = source.newest(http).releases
    assert "{key}" in first.fetch
    assert source.address(http, first).count(KEY) == 1
    assert source.address(http, first).startswith(
        ("http://prowlarr.local:9696/3/download?apikey=", "http://jackett.local")
    )
    # Without the tracker that has the passkey in it, the magnet would be worth nothing.
    assert (magnet.fetch, third.fetch, fourth.fetch) == ("", "", "")
    assert source.address(http, magnet) == fake.items[1].link
    assert PASSKEY in source.address(http, third)
    assert PASSKEY in source.address(http, fourth)
    fake.items = LEAKY[3:4]
    with pytest.raises(Gone, match="no more"):
        source.address(http, third)
    # Prowlarr lists nothing also where its own search failed.
    fake.items = []
    with pytest.raises(SourceError, match="whatever it is asked for") as nothing:
        source.address(http, third)
    assert not isinstance(nothing.value, Gone) and not nothing.value.permanent


# -- what it is fetched by

MAGNET = f"magnet:?xt=urn:btih:{HASH}&dn=x&tr=https://tracker.example/{PASSKEY}/announce"


def test_a_torrent_is_fetched_with_the_key(fake: FakeTorznab, source: Torznab, http: Doorway) -> None:
    fake.is_home = True
    [release] = source.search(http, HARBOUR)
    assert KEY not in release.fetch
    assert source.content(http, release) == torrent()
    assert not [copy for copy in HttpCopy.objects.all() if "download" in copy.url or "/dl/" in copy.url]


def test_a_release_that_is_asked_for_again_by_its_own_name(fake: FakeTorznab, source: Torznab, http: Doorway) -> None:
    """Neither title nor author of it can be searched for: the indexer knows the name alone."""
    fake.is_home = True
    fake.items = [Item("Some Other Book", 5), Item("TBH-NF-2019", 6)]
    _, odd = source.newest(http).releases
    odd = replace(odd, facts=HARBOUR, fetch="")
    again = source.look_again(http, odd)
    assert again is not None and again.id == odd.id
    assert source.content(http, odd) == torrent()


@pytest.mark.parametrize("link", ["http://[x/1.torrent", "https://a℀b/1.torrent", "magnet://[x?xt=urn:btih:" + HASH])
def test_a_link_that_is_no_address_is_none(fake: FakeTorznab, source: Torznab, http: Doorway, link: str) -> None:
    fake.items = [Item(NAME, link=link)]
    [release] = source.newest(http).releases
    assert release.fetch == ""
    with pytest.raises(Gone, match="no more"):
        source.content(http, release)


@pytest.mark.parametrize("status", [301, 302, 307])
def test_a_redirect_to_a_magnet_is_its_content(
    fake: FakeTorznab, source: Torznab, http: Doorway, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fake.is_home = True
    fake.downloads[1] = Reply(status, b"", {"Location": MAGNET})
    [release] = source.search(http, HARBOUR)
    assert source.content(http, release) == MAGNET
    assert PASSKEY not in caplog.text and KEY not in caplog.text


def test_a_link_that_is_a_magnet(fake: FakeTorznab, source: Torznab, http: Doorway) -> None:
    fake.items = [Item(NAME, 1, link=MAGNET), Item(NAME, 2, link=f"magnet:?xt=urn:btih:{HASH}&tr=udp://t.example:1")]
    private, public = source.newest(http).releases
    assert (private.fetch, bool(public.fetch)) == ("", True)
    assert source.content(http, private) == MAGNET
    asked = len(fake.asked)
    assert str(source.content(http, public)).startswith(f"magnet:?xt=urn:btih:{HASH}")
    assert len(fake.asked) == asked
    fake.items = [Item(NAME, 3, link="magnet:?dn=x")]
    with pytest.raises(SourceError, match="no torrent"):
        source.content(http, source.newest(http).releases[0])


@pytest.mark.parametrize(
    ("reply", "kind", "waits"),
    [
        (error_of(429, 429, "Blocked", {"Retry-After": "120"}), Throttled, timedelta(seconds=120)),
        (error_of(429, 200, "Grab limit"), Throttled, timedelta(hours=1)),
        (error_of(900, 429, "Upstream", {"Retry-After": "60"}), Throttled, timedelta(seconds=60)),
        (error_of(500, 200, "Request limit reached"), Throttled, timedelta(hours=1)),
        (error_of(501, 200, "Download limit reached"), Refused, timedelta(hours=1)),
        (error_of(500, 500, "Download failed"), TorznabError, None),
        (error_of(410, 410, "Release is no longer available"), Gone, None),
        (error_of(300, 200, "No such item"), Gone, None),
        (error_of(100, 200, "Invalid API Key"), SignedOut, None),
        (Reply(401, b""), SignedOut, None),
        (Reply(403, b"<html>No</html>"), Refused, None),
        (Reply(404, b"<html>No</html>"), Gone, None),
        (Reply(410, b""), Gone, None),
        (Reply(429, b"", {"Retry-After": "7200"}), Throttled, timedelta(hours=2)),
        (Reply(502, b"<html>Bad gateway</html>"), HttpError, None),
        (Reply(200, b"<html><body>Log in</body></html>"), SourceError, None),
        (Reply(200, b"<html>Daily download limit reached</html>"), Throttled, timedelta(hours=1)),
        (Reply(200, b""), SourceError, None),
        (Reply(200, torrent()[:-3]), SourceError, None),
        (Reply(200, torrent(info=None)), SourceError, None),
        (Reply(200, b"d4:infod" * 5000), SourceError, None),
        (Reply(200, torrent(), cut=20), Unreachable, None),
        (Reply(200, b"d4:junk11000000:" + b"x" * 11_000_000), BadAnswer, None),
        (Reply(301, b"", {"Location": "magnet:?dn=nothing"}), SourceError, None),
        (Reply(301, b"", {"Location": "ftp://x.example/y"}), Forbidden, None),
        (Reply(301, b"", {"Location": "http://[::1"}), SourceError, None),
        (Reply(301, b"", {"Location": "http://10.0.0.1/x.torrent"}), Forbidden, None),
        (Reply(301, b"", {"Location": "?again=1&path=BLOB1&link=BLOB1&apikey=" + KEY}), SourceError, None),
    ],
    ids=lambda value: f"{value.status}-{value.body[-40:]!r}" if isinstance(value, Reply) else None,
)
def test_what_comes_in_place_of_a_torrent(
    fake: FakeTorznab,
    source: Torznab,
    http: Doorway,
    reply: Reply,
    kind: type[ServiceError],
    waits: timedelta | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    fake.is_home, fake.downloads = True, {1: reply}
    [release] = source.search(http, HARBOUR)
    with pytest.raises(ServiceError) as caught:
        source.content(http, release)
    assert type(caught.value) is kind and caught.value.retry_after == waits
    said = f"{caught.value!r} {vars(caught.value)} {caught.value.__context__!r} {caplog.text}"
    assert KEY not in said and PASSKEY not in said and "announce" not in said


def test_a_link_may_lead_into_a_private_network_only_at_the_indexer(
    fake: FakeTorznab, source: Torznab, http: Doorway
) -> None:
    with Outside() as neighbour:
        neighbour.otherwise = lambda seen: Reply(200, torrent())
        fake.items = [Item(NAME, 1, link=f"{neighbour.url}/x.torrent")]
        [release] = source.newest(http).releases
        with pytest.raises(Forbidden):
            source.content(http, release)
        fake.is_home = True
        fake.items, fake.downloads = [Item(NAME, 2)], {2: Reply(302, b"", {"Location": f"{neighbour.url}/y"})}
        [release] = source.newest(http).releases
        with pytest.raises(Forbidden):
            source.content(http, release)
        assert neighbour.connections == 0


# -- anything at all

TEXT = st.text(max_size=40) | st.sampled_from(
    [
        f"magnet:?xt=urn:btih:{HASH}",
        "http://[",
        "https://a@b:c/d",
        f"http://x.example/{KEY}?apikey={KEY}",
        "-1",
        "9" * 30,
    ]
)
TAGS = ["title", "guid", "link", "comments", "pubDate", "size", "category", "files", "grabs", "other"]
ATTRS = [
    "seeders",
    "peers",
    "size",
    "infohash",
    "magneturl",
    "author",
    "booktitle",
    "genre",
    "year",
    "coverurl",
    "category",
]


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.tuples(st.sampled_from(TAGS), TEXT), max_size=12),
    st.lists(st.tuples(st.sampled_from(ATTRS), TEXT), max_size=12),
    TEXT,
)
def test_rows_of_any_shape(tags: list[tuple[str, str]], attrs: list[tuple[str, str]], url: str) -> None:
    item = Element("item")
    for tag, text in tags:
        SubElement(item, tag).text = text
    for name, value in attrs:
        SubElement(item, "attr", {"name": name, "value": value})
    SubElement(item, "enclosure", {"url": url})
    row = _Row(item, KEY)
    release = row.release("indexer", {})
    assert release is None or (release.id and release.name and KEY not in repr(release))
    urlsplit(row.download)


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=60) | st.text("<>/ab =\"'&;#x0:!?-[]", max_size=60))
def test_text_of_any_shape(text: str) -> None:
    for each in (text, f"<rss>{text}</rss>"):
        try:
            read_caps(read_xml(each))
        except ValueError:
            pass
