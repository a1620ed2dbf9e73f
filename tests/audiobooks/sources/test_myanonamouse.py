"""MyAnonamouse against a stand-in that speaks its protocol: what it finds, how it says no, and what it must never do."""

from __future__ import annotations

import inspect
import json
import logging
import math
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiobooks.exceptions import (
    BadAnswer,
    Forbidden,
    Gone,
    LeftAlone,
    Refused,
    ServiceError,
    SignedOut,
    SourceError,
    Throttled,
    Unreachable,
    WrongAddress,
    WrongSession,
)
from audiobooks.facts import BookFacts, Contributor, SeriesPlace
from audiobooks.http import Doorway, Download, Pace, Patience
from audiobooks.models import Host, HttpCopy
from audiobooks.sources import myanonamouse
from audiobooks.sources.base import Account, Release, Source
from audiobooks.sources.myanonamouse import GENRES, LANGUAGES, URL, MyAnonamouse, Session, parse, rotated, seed
from tests import recorded as recorded
from tests.audiobooks.outside import Outside, Reply
from tests.fakes import myanonamouse as fakes
from tests.fakes.myanonamouse import SEED, FakeMyAnonamouse, MemoryStore, row
from tests.fakes.torrent_files import PASSKEY, torrent

ROOT = Path(__file__).resolve().parents[3]
RECORDED = recorded.RECORDED / "myanonamouse"
WANTED = BookFacts(title="The Blue Harbour", authors=(Contributor(name="Nora Ferris"),))
SINCE = date(2026, 1, 1)

pytestmark = pytest.mark.django_db


@pytest.fixture
def mam() -> Iterator[FakeMyAnonamouse]:
    with FakeMyAnonamouse(rows=[row(1, "The Blue Harbour")]) as fake:
        yield fake


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def source(mam: FakeMyAnonamouse, store: MemoryStore) -> MyAnonamouse:
    return MyAnonamouse(store=store, url=f"{mam.url}/")


@pytest.fixture
def http(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Doorway:
    monkeypatch.setattr(myanonamouse, "PACE", Pace(every=0.0, at_once=1))
    patience = Patience(read=30, total=60, first_pause=0.01, busy_pause=0.02, longest_pause=2)
    if "no answer" in request.node.name:
        patience = replace(patience, read=1, total=2)
    return Doorway(patience=patience, contact="")


# -- what is asked, and found


def test_a_search(mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse) -> None:
    [found] = source.search(http, WANTED)
    assert (found.source, found.id, found.name, found.fetch) == ("myanonamouse", "1", "The Blue Harbour", "1")
    assert found.link == f"{mam.url}/t/1"
    assert found.facts == BookFacts(
        source="myanonamouse",
        id="1",
        title="The Blue Harbour",
        authors=(Contributor(name="Nora Ferris", id="7001"),),
        narrators=("Sam Oakes",),
        series=(SeriesPlace(name="Harbour Cycle", position="1", id="3003"),),
        genres=("Fantasy",),
        language="en",
        abridged=False,
        is_audio=True,
    )
    assert (found.size, found.files, found.seeders, found.leechers, found.fetched) == (
        round(528.3 * 1024**2),
        1,
        41,
        0,
        512,
    )
    assert found.added == datetime(2026, 2, 3, 17, 40, 21, tzinfo=UTC)
    assert (found.free, found.genres, found.formats, found.bitrate, found.hash) == (
        False,
        ("Fantasy",),
        ("m4b",),
        64,
        "",
    )
    [call] = mam.calls
    assert (call.seen.method, call.seen.path) == ("POST", fakes.SEARCH)
    assert call.body["perpage"] == 50 and "perpage" not in call.tor
    assert "dlLink" not in call.body and not {"dl", "fl"} & {*call.body, *call.tor, *call.seen.query}
    assert call.tor["text"] == "The Blue Harbour Ferris" and call.tor["main_cat"] == [13]
    assert "browse_lang" not in call.tor
    assert call.seen.headers["user-agent"].startswith("AudiobookAutomation/")
    is_source: Source = source
    assert is_source.label


def test_an_author_written_otherwise(mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse) -> None:
    assert source.search(http, replace(WANTED, authors=(Contributor(name="N. Fairies"),)))
    assert [call.tor["text"] for call in mam.calls] == ["The Blue Harbour Fairies", "The Blue Harbour"]


def test_nothing_found_is_no_error(mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse) -> None:
    assert source.search(http, BookFacts(title="Unheard Of")) == ()
    mam.faults = [Reply.of({"found": 0, "data": []}), Reply.of({"error": "Nothing returned, out of 153"})]
    assert source.newest(http).releases == source.newest(http).releases == ()


@pytest.mark.parametrize("title", ["", "***", '"|"', "—"])
def test_without_words_nobody_is_asked(mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse, title: str) -> None:
    assert source.search(http, BookFacts(title=title)) == ()
    assert not mam.calls


def test_signs_of_the_search_are_not_sent(mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse) -> None:
    source.search(http, BookFacts(title='"Salt" | -Wizard\'s *Glass*'))
    assert not set(mam.calls[0].tor["text"]) & set("\"'|*-")


def test_what_is_no_audiobook_is_left_out(mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse) -> None:
    mam.faults = [Reply.of({"data": [row(1), row(2, main_cat="14"), {"id": None}, "x", row(3)], "found": 5})]
    page = source.newest(http)
    assert ([each.id for each in page.releases], page.rows) == (["1", "3"], 5)
    assert page.unread == {"id": None}


def test_the_newest_are_paged(mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    mam.rows = [row(n, added=str(start + timedelta(minutes=n))[:19]) for n in range(1, 251)]
    seen: list[str] = []
    cursor, pages = "", 0
    while pages == 0 or cursor:
        page = source.newest(http, cursor)
        seen += [each.id for each in page.releases]
        cursor, pages = page.cursor, pages + 1
    assert list(dict.fromkeys(seen)) == [str(n) for n in range(250, 0, -1)] and pages == 3
    assert [call.tor["startNumber"] for call in mam.calls] == [0, 90, 180]
    assert {call.body["perpage"] for call in mam.calls} == {100}


def test_what_is_removed_between_two_pages_hides_none(
    mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse
) -> None:
    mam.rows = [row(n, added=f"2026-01-01 {n // 60:02}:{n % 60:02}:00") for n in range(1, 251)]
    first = source.newest(http)
    del mam.rows[-myanonamouse.OVERLAP :]
    second = source.newest(http, first.cursor)
    assert {int(each.id) for each in first.releases + second.releases} == set(range(51, 251))
    assert source.newest(http, "a cursor of somebody else").releases[0].id == "240"


def test_pages_of_a_few_rows_come_to_an_end(mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse) -> None:
    mam.faults = [Reply.of({"data": [row(1)], "found": 3}), Reply.of({"data": [row(2), row(3)], "found": 3})]
    assert source.newest(http, source.newest(http).cursor).cursor == ""


def test_a_listing_without_end_ends(mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse) -> None:
    full = Reply.of({"data": [row(n) for n in range(100)], "found": "1000000"})
    cursor, pages = "", 0
    while pages == 0 or cursor:
        mam.faults = [full]
        cursor, pages = source.newest(http, cursor).cursor, pages + 1
    assert pages == 20
    assert source.newest(http, "100").cursor == ""


def test_the_popular(mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse) -> None:
    mam.rows = [
        row(1, times_completed="5"),
        row(2, times_completed="70"),
        row(3, times_completed="900", added="2025-12-31 23:59:59"),
        row(4, times_completed="30", category="47"),
        *(row(n, times_completed="1") for n in range(5, 12)),
    ]
    assert [each.id for each in source.popular(http, "Fantasy", since=SINCE, limit=2)] == ["2", "1"]
    assert [each.id for each in source.popular(http, "47", since=SINCE)] == ["4"]
    first, second = mam.calls
    assert first.body["perpage"] == 5 and second.body["perpage"] == 10
    assert first.tor["sortType"] == "snatchedDesc" and first.tor["startDate"] == "2026-01-01"
    assert first.tor["cat"] == ["41"] and first.tor["text"] == ""
    with pytest.raises(SourceError, match="no genre “Polka”"):
        source.popular(http, "Polka", since=SINCE)
    # Some hours old is new enough.
    source.popular(http, "fantasy", since=SINCE, limit=2)
    assert len(mam.calls) == 2


def test_languages(mam: FakeMyAnonamouse, http: Doorway, store: MemoryStore) -> None:
    source = MyAnonamouse(store=store, url=mam.url, languages=["de", "pt"])
    mam.rows = [row(1, language=37), row(2), row(3, language=52)]
    assert {each.id for each in source.newest(http).releases} == {"1", "3"}
    assert mam.calls[0].tor["browse_lang"] == [34, 37, 52]


# -- the account


def test_the_account(mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse) -> None:
    assert source.account(http) == Account(
        name="member",
        grade="Power User",
        ratio=3.25,
        uploaded=3250,
        downloaded=1000,
        unsatisfied=12,
        unsatisfied_limit=100,
        wedges=7,
        points=4321,
    )
    assert mam.calls[0].seen.query == {"snatch_summary": ""}


@pytest.mark.parametrize(
    "said, ratio", [("∞", math.inf), ("inf", math.inf), ("1,234.5", 1234.5), ("---", None), (None, None), (0, 0.0)]
)
def test_ratios(said: Any, ratio: float | None) -> None:
    assert myanonamouse.parse_account({"ratio": said}).ratio == ratio


def test_an_account_in_words(mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse) -> None:
    mam.account = {
        "username": "member",
        "uploaded": "1,234.5 GiB",
        "downloaded": "0 B",
        "snatch_summary": {"unsat": {"count": "0", "limit": "20"}},
    }
    account = source.account(http)
    assert (account.uploaded, account.downloaded) == (round(1234.5 * 1024**3), None)
    assert (account.unsatisfied, account.unsatisfied_limit, account.wedges) == (0, 20, None)


def test_what_is_free_depends_on_the_class(mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse) -> None:
    mam.rows = [row(1, fl_vip=1, vip="1"), row(2, free="yes"), row(3), row(4, personal_freeleech=True)]

    def free() -> dict[str, bool | None]:
        return {each.id: each.free for each in source.newest(http).releases}

    assert free() == {"1": None, "2": True, "3": False, "4": True}
    source.account(http)
    assert free()["1"] is False
    mam.account["classname"] = "Elite VIP"
    source.account(http)
    assert free()["1"] is True


# -- how it says no

SIGNED_OUT = [
    fakes.SIGNED_OUT,
    fakes.SIGNED_OUT_403,
    fakes.INVALID_SESSION,
    fakes.TO_LOGIN,
    fakes.LOGIN_PAGE,
    Reply.of({"error": "You are not signed in"}),
    Reply.of({}, 401),
]
ERRORS: list[tuple[str, Reply, type[ServiceError], bool, str]] = [
    *((f"signed out {n}", reply, SignedOut, True, "does not know the session") for n, reply in enumerate(SIGNED_OUT)),
    ("ip", fakes.IP_MISMATCH, WrongAddress, False, "IP mismatch"),
    ("asn", fakes.ASN_MISMATCH, WrongAddress, False, "ASN mismatch"),
    ("session type", fakes.WRONG_SESSION, WrongSession, True, "of another kind"),
    ("throttled", fakes.THROTTLED, Throttled, False, "too often"),
    ("firewall", fakes.FIREWALL, SourceError, False, "refuses this computer"),
    ("page", fakes.SOME_PAGE, SourceError, False, "a page in place of data"),
    ("broken JSON", fakes.CUT, BadAnswer, False, "not JSON"),
    ("nothing", Reply(200, b""), BadAnswer, False, "nothing at all"),
    ("search failed", fakes.SEARCH_FAILED, SourceError, False, "out of order: searchd error"),
    ("error", Reply.of({"error": "Bad sortType"}), SourceError, False, "says: Bad sortType"),
    ("error alone", Reply(200, b"Error, something else"), SourceError, False, "Error, something else"),
    ("another address", Reply(301, b"", {"Location": "https://elsewhere.example/"}), SourceError, True, "elsewhere"),
    ("no such page", Reply(404, b"<html>"), SourceError, True, "there is none"),
    ("502", Reply(502, b"<html>Bad gateway"), SourceError, False, "HTTP 502"),
    ("shape", Reply.of([]), BadAnswer, False, "no list of releases"),
    ("shape within", Reply.of({"data": {}}), BadAnswer, False, "no list of releases"),
    ("no answer", Reply(delay=3), Unreachable, False, "in time"),
    ("half an answer", Reply(200, b'{"data": []}', cut=4), Unreachable, False, "could not be reached"),
]


@pytest.mark.parametrize(
    "reply, kind, permanent, said", [each[1:] for each in ERRORS], ids=[each[0] for each in ERRORS]
)
def test_a_search_that_fails(
    mam: FakeMyAnonamouse,
    http: Doorway,
    source: MyAnonamouse,
    reply: Reply,
    kind: type[ServiceError],
    permanent: bool,
    said: str,
) -> None:
    mam.faults = [reply]
    with pytest.raises(ServiceError, match=said) as caught:
        source.search(http, WANTED)
    assert type(caught.value) is kind and caught.value.permanent is permanent
    assert len(mam.calls) == 1
    if kind in (WrongAddress, Throttled):
        assert caught.value.retry_after
    assert "<" not in str(caught.value)
    assert not HttpCopy.objects.exists() or HttpCopy.objects.get().status == 404


@pytest.mark.parametrize("reply", [fakes.TO_LOGIN, fakes.SIGNED_OUT, fakes.LOGIN_PAGE])
def test_an_account_that_is_signed_out(
    mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse, reply: Reply
) -> None:
    mam.faults = [reply]
    with pytest.raises(SignedOut):
        source.account(http)
    assert [call.seen.path for call in mam.calls] == [fakes.ACCOUNT]


def test_an_account_that_is_none(mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse) -> None:
    mam.faults = [Reply.of({"uid": 1})]
    with pytest.raises(BadAnswer, match="no account"):
        source.account(http)


# -- the session


def test_each_answer_changes_it(mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse, store: MemoryStore) -> None:
    for _ in range(3):
        source.newest(http)
    source.account(http)
    assert [call.session for call in mam.calls] == [SEED, *store.saved[:3]]
    assert store.saved[-1] == mam.session and "%3D" in mam.session and len(store.saved) == 4


@pytest.mark.parametrize(
    "reply", [fakes.SEARCH_FAILED, fakes.CUT, Reply(502, b""), Reply(200, b"{}", cut=1), fakes.FIREWALL]
)
def test_errors_change_it_too(
    mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse, store: MemoryStore, reply: Reply
) -> None:
    mam.faults = [reply]
    with pytest.raises(ServiceError):
        source.newest(http)
    assert store.saved == [mam.session]
    assert source.newest(http).rows == 1


def test_a_further_attempt_sends_the_newest(
    mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse, store: MemoryStore
) -> None:
    mam.faults = [Reply(502, b""), Reply(503, b"")]
    assert source.account(http).name == "member"
    assert [call.session for call in mam.calls] == [SEED, *store.saved[:2]]


def test_it_is_kept_before_anything_else_is_asked(
    mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse, store: MemoryStore
) -> None:
    class Full(MemoryStore):
        def save(self, current: str, *, seed: str) -> None:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        MyAnonamouse(store=Full(), url=mam.url).newest(http)
    assert Host.objects.get().turns == []


def test_what_was_pasted_is_tried_once_more(
    mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse, store: MemoryStore
) -> None:
    store.save("lost", seed=SEED)
    assert source.newest(http).rows == 1
    assert [call.session for call in mam.calls] == ["lost", SEED] and store.saved[-1] == mam.session
    mam.session, mam.rotates = SEED, False
    store.save("lost again", seed=SEED)
    source.newest(http)
    assert store.saved[-1] == SEED
    source.newest(http)
    assert [call.session for call in mam.calls[2:]] == ["lost again", SEED, SEED]


def test_and_no_more_than_once(mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse, store: MemoryStore) -> None:
    store.save("lost", seed=SEED)
    mam.session = "of somebody else"
    with pytest.raises(SignedOut):
        source.newest(http)
    assert [call.session for call in mam.calls] == ["lost", SEED] and store.saved == ["lost"]


def test_what_was_pasted_is_kept_also_where_the_site_gives_it_again(
    mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save("Refused", seed=SEED)

    def same(call: fakes.Call, reply: Reply) -> Reply:
        if call.session != SEED:
            return reply
        return replace(reply, headers={**reply.headers, "Set-Cookie": f"mam_id={SEED}; path=/; secure"})

    monkeypatch.setattr(mam, "_rotated", same)
    for _ in range(2):
        source.search(http, replace(WANTED, title=f"The Blue Harbour {len(mam.calls)}"))
    assert store.saved[-1] == SEED
    assert [call.session for call in mam.calls[:2]] == ["Refused", SEED]
    assert {call.session for call in mam.calls[2:]} == {SEED}


def test_who_wants_quiet_is_not_asked_for_the_account_again(
    mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse
) -> None:
    mam.faults = [fakes.THROTTLED] * 3
    with pytest.raises(Throttled):
        source.account(http)
    assert len(mam.calls) == 1
    # What is out of order for a moment is.
    mam.faults = [fakes.page(b"", 502)]
    time.sleep(0.1)
    source.account(http)
    assert len(mam.calls) == 3


@pytest.mark.parametrize("reply", [fakes.IP_MISMATCH, fakes.WRONG_SESSION, fakes.THROTTLED, fakes.FIREWALL])
def test_other_refusals_are_no_reason_to(
    mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse, store: MemoryStore, reply: Reply
) -> None:
    store.save("rotated", seed=SEED)
    mam.faults = [reply]
    with pytest.raises(ServiceError):
        source.newest(http)
    assert len(mam.calls) == 1 and store.saved == ["rotated"]


def test_a_new_seed_drops_the_current_one(
    mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse, store: MemoryStore
) -> None:
    source.newest(http)
    store.seed = mam.session = "another"
    source.newest(http)
    assert mam.calls[-1].session == "another"

    def paste(call: fakes.Call) -> None:
        # While a call is under way.
        store.seed, mam.before = "a third", None

    mam.before = paste
    kept = list(store.saved)
    source.newest(http)
    assert store.saved == kept and store.load() == Session(seed="a third")


@pytest.mark.parametrize("pasted", ["", " ; ", "mam_id=", "two wordsOf4", "späßeOf4", "ab,cdOf4"])
def test_without_a_session_nobody_is_asked(mam: FakeMyAnonamouse, http: Doorway, pasted: str) -> None:
    with pytest.raises(SignedOut) as caught:
        MyAnonamouse(store=MemoryStore(seed=pasted), url=mam.url).newest(http)
    assert caught.value.permanent and "Of4" not in str(caught.value)
    assert not mam.calls


@pytest.mark.parametrize(
    "pasted",
    [
        "aB%3D%2Bc9",
        " aB%3D%2Bc9\n",
        "mam_id=aB%3D%2Bc9",
        "MAM_ID = aB%3D%2Bc9;",
        "'mam_id=aB%3D%2Bc9;'",
        '"aB%3D%2Bc9";',
        '"aB%3D%2Bc9;"',
        'mam_id="aB%3D%2Bc9";',
        "aB%3D\r\n  %2Bc9",
        "Cookie: uid=5; mam_id=aB%3D%2Bc9; other=1",
        '"mam_id": "aB%3D%2Bc9"',
    ],
)
def test_pasted_forms(pasted: str) -> None:
    assert seed(pasted) == "aB%3D%2Bc9"


@settings(deadline=None, max_examples=150)
@given(
    st.text(st.sampled_from("abzAZ09%+/=._~-:!*"), min_size=1, max_size=60),
    st.sampled_from(["{}", "mam_id={}", "mam_id={};", '"{}"', "'mam_id={};'", "{};\n"]),
)
def test_what_was_issued_is_what_is_sent(issued: str, form: str) -> None:
    assert seed(form.format(issued)) == issued


@settings(deadline=None, max_examples=150)
@given(st.text(max_size=80))
def test_a_seed_can_be_sent(pasted: str) -> None:
    try:
        found = seed(pasted)
    except SignedOut as error:
        assert str(error).startswith("What is given as mam_id is none")
        return
    assert found.isascii() and found.isprintable() and not set(found) & set(' ;,"')


HOST = "www.myanonamouse.net"


@pytest.mark.parametrize(
    "header, host, value",
    [
        ("mam_id=new%3D; path=/; secure; HttpOnly", HOST, "new%3D"),
        ("mam_id=a=b==; Domain=.myanonamouse.net", HOST, "a=b=="),
        ("mam_id=new; expires=Tue, 01-Jan-2999 00:00:00 GMT; Max-Age=2592000", HOST, "new"),
        ("mam_id=new; Expires=nonsense", HOST, "new"),
        ("mam_id=new; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", HOST, "new"),
        ("mam_id=", HOST, ""),
        ('mam_id=""', HOST, ""),
        ("mam_id=deleted; expires=Thu, 01-Jan-1970 00:00:01 GMT; Max-Age=0", HOST, ""),
        ("mam_id=old; expires=Thu, 01-Jan-1970 00:00:01 GMT", HOST, ""),
        ("mam_id=old; Max-Age=0", HOST, ""),
        ("mam_id=old; Max-Age=-1", HOST, ""),
        ("mam_id=foreign; Domain=elsewhere.example", HOST, ""),
        ("mam_id=foreign; Domain=myanonamouse.net", "evilmyanonamouse.net", ""),
        ("lid=x; path=/", HOST, ""),
        ("", HOST, ""),
    ],
)
def test_set_cookie(header: str, host: str, value: str) -> None:
    assert rotated(header, host, time.time()) == value


def test_an_empty_or_expired_one_overwrites_nothing(
    mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse, store: MemoryStore
) -> None:
    mam.rotates = False
    gone = "mam_id=deleted; expires=Thu, 01-Jan-1970 00:00:01 GMT"
    data = {"data": [], "found": 0}
    mam.faults = [
        Reply.of(data, **{"Set_Cookie": gone}),
        Reply.of(data, **{"Set_Cookie": "mam_id="}),
        Reply.of(data, **{"Set_Cookie": "mam_id=x; Domain=elsewhere.example"}),
        Reply.of(data, **{"Set_Cookie": "mam_id=good", "set_cookie": gone}),
    ]
    for _ in range(4):
        source.newest(http)
    assert store.saved == ["good"]


# -- where the session goes


def test_it_goes_over_https_alone(store: MemoryStore, http: Doorway, monkeypatch: pytest.MonkeyPatch) -> None:
    source = MyAnonamouse(store=store, url="http://www.myanonamouse.net")
    with pytest.raises(Forbidden, match="over https alone"):
        source.newest(http)
    site = myanonamouse._Cookie(store, URL)
    assert site.to_send("https://t.myanonamouse.net/json/x") == {"mam_id": SEED}
    for url in (
        "http://www.myanonamouse.net/",
        "https://evilmyanonamouse.net/",
        "https://myanonamouse.net.elsewhere.example/",
        "https://elsewhere.example/?www.myanonamouse.net",
        "http://127.0.0.1/",
    ):
        with pytest.raises(Forbidden):
            site.to_send(url)
        site.given(url, ["mam_id=foreign"])
    assert store.saved == []


def test_of_a_stand_in_to_that_alone(mam: FakeMyAnonamouse, http: Doorway, store: MemoryStore) -> None:
    stand_in = myanonamouse._Cookie(store, mam.url)
    for url in (URL, mam.url.replace("http:", "https:"), "http://127.0.0.1:1/", "http://localhost/"):
        with pytest.raises(Forbidden):
            stand_in.to_send(url)


def test_a_redirect_takes_it_nowhere(http: Doorway, mam: FakeMyAnonamouse, source: MyAnonamouse) -> None:
    with Outside() as elsewhere:
        for ask in (source.newest, source.account):
            mam.faults = [Reply(302, b"", {"Location": f"{elsewhere.url}/x"})]
            with pytest.raises(SourceError, match="elsewhere"):
                ask(http)
        assert not elsewhere.seen


# -- politeness


def test_a_slow_answer_is_waited_for(
    mam: FakeMyAnonamouse, source: MyAnonamouse, http: Doorway, transactional_db: None
) -> None:
    mam.outside.takes = 0.4
    threads = [threading.Thread(target=source.newest, args=(http,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert mam.outside.most_at_once == 1 and min(mam.outside.gaps) >= 0.4
    assert mam.calls[-1].session == f"Rotated{2}%2Fof%3Dthis"


PROCESS = """
import sys, time, pathlib
import django
django.setup()
from audiobooks.http import Doorway
from audiobooks.sources.myanonamouse import MyAnonamouse, Session

class File:
    path = pathlib.Path(sys.argv[2])
    def load(self):
        return Session(seed=sys.argv[3], current=self.path.read_text() if self.path.exists() else "")
    def save(self, current, *, seed):
        self.path.write_text(current)

source = MyAnonamouse(store=File(), url=sys.argv[1])
http = Doorway()
for _ in range(2):
    assert source.newest(http).rows == 1
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_processes_share_pace_and_session(mam: FakeMyAnonamouse, process_env: dict[str, str], tmp_path: Path) -> None:
    mam.outside.takes = 0.3
    command = [sys.executable, "-c", PROCESS, mam.url, str(tmp_path / "session"), SEED]
    running = [subprocess.Popen(command, cwd=ROOT, env=process_env) for _ in range(2)]
    assert [process.wait(60) for process in running] == [0] * 2
    assert len(mam.calls) == 4 and mam.outside.most_at_once == 1 and min(mam.outside.gaps) >= 2.0
    assert (tmp_path / "session").read_text() == mam.session == "Rotated4%2Fof%3Dthis"


def test_retry_after_is_obeyed(mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse) -> None:
    mam.outside.throttle(3600)
    with pytest.raises(Throttled) as caught:
        source.newest(http)
    assert caught.value.retry_after == timedelta(hours=1)
    for ask in (source.newest, source.account):
        with pytest.raises(LeftAlone):
            ask(http)
    assert len(mam.outside.seen) == 1 and mam.outside.quiet_broken == 0


def test_a_short_one_is_waited_for(mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse) -> None:
    mam.outside.throttle(1)
    with pytest.raises(Throttled):
        source.newest(http)
    source.newest(http)
    assert min(mam.outside.gaps) >= 1 and mam.outside.quiet_broken == 0


def test_the_same_search_is_not_asked_twice(mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse) -> None:
    assert source.search(http, WANTED) == source.search(http, WANTED)
    assert len(mam.calls) == 1


def test_nothing_in_it_spends_or_pretends(mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse) -> None:
    code = inspect.getsource(myanonamouse).lower()
    for word in (
        "bonusbuy",
        "personalfl",
        "spendtype",
        "dynamicseedbox",
        "password",
        "mozilla",
        "user-agent",
    ):
        assert word not in code, word
    source.search(http, WANTED)
    source.newest(http)
    source.popular(http, "41", since=SINCE)
    source.account(http)
    [release] = source.search(http, WANTED)
    source.look_again(http, release)
    source.content(http, release)
    assert {call.seen.path for call in mam.calls} == {fakes.SEARCH, fakes.ACCOUNT, fakes.DOWNLOAD}
    assert all(set(call.seen.query) <= {"snatch_summary", "tid"} for call in mam.calls)
    assert mam.wedges_spent == 0
    assert len({call.seen.headers["user-agent"] for call in mam.calls}) == 1


@pytest.mark.parametrize(
    "author, sent",
    [
        ("Siobhán O'Dea", "O Dea"), ("Antoine de Saint-Exupéry", "Exupéry"), ("Jo Nesbø", "Nesbø"), ("J.R.R.Reed", "Reed"),
        ("Reed, Tomas", "Reed"), ("Tomas Reed Jr.", "Reed"), ("full cast", ""), ("", ""), ("村上春樹", "村上春樹"),
    ],
)  # fmt: skip
def test_the_last_name_is_sent(author: str, sent: str) -> None:
    assert myanonamouse._last_name([author]) == sent


def test_marks_are_letters() -> None:
    assert myanonamouse.words("हिन्दी: “किताब”_2") == "हिन्दी किताब 2"


# -- secrets

DL = "DlHashThatNobodySees0123456789"
SESSION = "SessionThatNobodySees%3D1"


@pytest.mark.parametrize("name", [None, *(each[0] for each in ERRORS), "echo"])
def test_secrets_are_shown_nowhere(
    mam: FakeMyAnonamouse, http: Doorway, caplog: pytest.LogCaptureFixture, name: str | None
) -> None:
    caplog.set_level(logging.DEBUG)
    for known in list(logging.Logger.manager.loggerDict):
        if known.startswith(("audiobooks", "scheduling", "httpx")):
            caplog.set_level(logging.DEBUG, known)
    store = MemoryStore(seed=f"mam_id={SESSION}")
    source = MyAnonamouse(store=store, url=mam.url)
    mam.session, mam.dl = SESSION, DL
    mam.rows = [row(1, "The Blue Harbour", description=f"/tor/download.php/{DL}", cat=f"<a href='{DL}'>x</a>")]
    shown: list[str] = []
    replies = {**{each[0]: each[1] for each in ERRORS}, "echo": Reply.of({"error": f"mam {SESSION} is bad"}, 403)}
    if name is not None:
        mam.faults = [replies[name]]
        for ask in (lambda: source.search(http, WANTED), lambda: source.account(http)):
            try:
                ask()
            except ServiceError as error:
                shown += [str(error), repr(error), repr(vars(error)), repr(error.__cause__), str(error.__context__)]
    else:
        releases = [*source.search(http, WANTED), *source.newest(http).releases]
        assert len(releases) == 2
        shown += [repr(each) for each in releases] + [json.dumps(dict(each.raw)) for each in releases]
        source.account(http)
    shown += [caplog.text, repr(source), repr(store), repr(store.load())]
    shown += [str(each.__dict__) for each in caplog.records]
    shown += [host.last_error for host in Host.objects.all()]
    shown += [str(each.url) + (each.content() or b"").decode() for each in HttpCopy.objects.all()]
    assert caplog.records
    text = "\n".join(shown)
    assert "NobodySees" not in text and "Rotated" not in text and '"uploader"' not in text


# -- rows


@pytest.mark.parametrize(
    "said, found",
    [
        ('{"7":"Nora Ferris","8":"Sam Oakes"}', (("7", "Nora Ferris"), ("8", "Sam Oakes"))),
        ("", ()), (None, ()), ("{}", ()), ("[]", ()), ("null", ()), ("{", ()), ([], ()), (5, ()),
        ({"7": "Nora Ferris"}, (("7", "Nora Ferris"),)),
        ('["Nora Ferris"]', (("", "Nora Ferris"),)),
        ('{"7":"Dwayne "The Rock" Johnson","8":"Sam Oakes"}', (("7", 'Dwayne "The Rock" Johnson'), ("8", "Sam Oakes"))),
        ('{"7":"Siobh&aacute;n O&#039;Dea"}', (("7", "Siobhán O'Dea"),)),
        ('"{\\"7\\":\\"Nora Ferris\\"}"', (("7", "Nora Ferris"),)),
        ('{"7":""}', ()), ('{"7":null,"8":"B","9":"A","10":"B"}', (("8", "B"), ("9", "A"))),
    ],
)  # fmt: skip
def test_people(said: Any, found: Any) -> None:
    assert myanonamouse.people(said) == found
    release = parse(row(1, author_info=said, narrator_info=said))
    assert release is not None and len(release.facts.authors) == len(release.facts.narrators) == len(found)


@pytest.mark.parametrize(
    "said, found",
    [
        ('{"67": ["Love at Stake", "01-16, 13.5"]}', [("Love at Stake", "01-16, 13.5", "67")]),
        ('{"67": ["Salt &amp; Glass", "2.5", 2.5], "68": ["Tide", ""]}', [("Salt & Glass", "2.5", "67"), ("Tide", "", "68")]),
        ('{"67": ["Salt", 3.0]}', [("Salt", "3", "67")]),
        ('{"67": ["The "Salt" Books", "3", 3]}', [('The "Salt" Books', "3", "67")]),
        ('{"67": "Salt"}', [("Salt", "", "67")]),
        ("", []), (None, []), ("[]", []), ('{"67": []}', []), ('{"67": ["", "1"]}', []), ("broken", []),
    ],
)  # fmt: skip
def test_series(said: Any, found: list[tuple[str, str, str]]) -> None:
    assert [(each.name, each.position, each.id) for each in myanonamouse.series(said)] == found


@pytest.mark.parametrize(
    "said, found",
    [
        ("528.3 MiB", round(528.3 * 1024**2)), ("1,016.2 KiB", round(1016.2 * 1024)), ("1.2 GiB", round(1.2 * 1024**3)),
        ("6324306932", 6324306932), (6324306932, 6324306932), ("17 B", 17), ("2 TB", 2 * 1024**4),
        ("", None), (None, None), ("much", None), ("-1 MiB", None), ("0", None), (True, None), ("1" * 400, None),
    ],
)  # fmt: skip
def test_sizes(said: Any, found: int | None) -> None:
    assert myanonamouse.bytes_of(said) == found


@pytest.mark.parametrize(
    "said, found",
    [
        ("9 h 2 min", 32520), ("9h 2mn", 32520), ("1 h 2 min 3 s", 3723), ("45 min", 2700), ("09:02:11", 32531),
        ("2 min 3 s 400 ms", 123), ("", None), ("32520", None), (32520, None), ("0 s", None), ("long", None), (None, None),
    ],
)  # fmt: skip
def test_durations(said: Any, found: int | None) -> None:
    assert myanonamouse.duration(said) == found


def media(**values: str) -> str:
    return json.dumps(
        {"General": {"Format": "MPEG-4", "Duration": "9 h 2 min"}, "Audio1": values, "menu": {"0": "One"}}
    )


def test_the_runtime_is_of_the_whole() -> None:
    def runtime(**values: Any) -> int | None:
        release = parse(row(1, **{"tags": "", "size": "250 MiB", **values}))
        assert release is not None
        return release.facts.runtime

    assert runtime(mediainfo=media(), numfiles=1) == 32520
    assert runtime(mediainfo=media(), numfiles=3) == 32520
    assert runtime(mediainfo=json.loads(media()), numfiles="3") == 32520
    # One of many files, of which each is as long.
    assert runtime(mediainfo=media(), numfiles=30, size="7 GiB") is None
    assert runtime(mediainfo=media(BitRate="64.0 kb/s"), numfiles=4, size="1000 MiB") is None
    assert runtime(mediainfo="{broken") is None
    release = parse(row(1, tags="", mediainfo=media(BitRate="64.0 kb/s")))
    assert release is not None and release.bitrate == 64


@pytest.mark.parametrize(
    "tags, flags, abridged, bitrate",
    [
        ("unabridged 64 kbps", 0, False, 64), ("Abridged, 128Kbps", 0, True, 128), ("", 32, True, None),
        ("unabridged and abridged", 0, None, None), ("unabridged", "32", None, None),
        ("64–128 Kbps", 0, None, None), ("64 kbps and 128 kbps", 0, None, None), (None, None, None, None),
    ],
)  # fmt: skip
def test_tags(tags: Any, flags: Any, abridged: bool | None, bitrate: int | None) -> None:
    release = parse(row(1, tags=tags, browseflags=flags))
    assert release is not None and (release.facts.abridged, release.bitrate) == (abridged, bitrate)


@pytest.mark.parametrize(
    "said, asin, isbns",
    [
        ("ASIN:B0TESTAA03", "B0TESTAA03", ()), ("B0TESTAA03", "B0TESTAA03", ()), (9780306406157, "", ("9780306406157",)),
        ("978-0-306-40615-7", "", ("9780306406157",)), ("0306406152", "", ("9780306406157",)), ("", "", ()), (None, "", ()),
        ("9780306406158", "", ()),
    ],
)  # fmt: skip
def test_identifiers(said: Any, asin: str, isbns: tuple[str, ...]) -> None:
    release = parse(row(1, isbn=said))
    assert release is not None and (release.facts.asin, release.facts.isbns) == (asin, isbns)


def test_numbers_as_texts_and_texts_as_numbers() -> None:
    release = parse(
        row(1, id="42", title=1984, language="37", lang_code="", category="9999", catname="Audiobooks - New One",
            main_cat="13", numfiles="1,234", seeders="0", leechers=None, times_completed="many", filetype="M4B mp3, Flac",
            categories="[41, 29]", thumbnail="http://cdn.example/t.jpg", added="0000-00-00 00:00:00")
    )  # fmt: skip
    assert release is not None
    assert (release.id, release.name, release.facts.language) == ("42", "1984", "de")
    assert release.genres == ("New One", "Religion", "LitRPG")
    assert (release.files, release.seeders, release.leechers, release.fetched) == (1234, 0, None, None)
    assert release.formats == ("m4b", "mp3", "flac") and release.added is None
    assert release.facts.cover_url == "https://cdn.example/t.jpg"


@pytest.mark.parametrize("values", [{"id": None}, {"id": "x"}, {"id": True}, {"title": "", "name": None}])
def test_what_is_no_release(values: dict[str, Any]) -> None:
    assert parse({**row(1), **values}) is None


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["1", "[1]", "{}", '{"1":["a","1"]}']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=200)
@given(
    st.fixed_dictionaries({}, optional={key: JSON for key in (*row(1), "dl", "thumbnail", "description", "filetypes")})
)
def test_no_row_is_too_strange(values: dict[str, Any]) -> None:
    parse(values)
    release = parse({**values, "id": 1, "title": "x"})
    assert release is not None and BookFacts.from_json(json.loads(json.dumps(release.facts.as_json()))) == release.facts
    myanonamouse.parse_account(values)


def test_tables() -> None:
    assert len(GENRES) == 35 and len(set(GENRES.values())) == 35
    for number, name in GENRES.items():
        assert myanonamouse.genre_number(name.upper()) == myanonamouse.genre_number(str(number)) == number
    assert all(code == "" or len(code) == 2 for _, code in LANGUAGES.values())


# -- what was recorded

needs_recorded = pytest.mark.skipif(not RECORDED.is_dir(), reason=f"no recorded answers in {RECORDED}")


@needs_recorded
def test_the_documented_example_is_read() -> None:
    answer = json.loads((RECORDED / "loadSearchJSONbasic-documented-example.json").read_text(encoding="utf-8"))
    [release] = [parse(each) for each in answer["data"]]
    assert release is not None
    assert (release.id, release.name, release.size, release.files) == (
        "273200",
        "Love at Stake series",
        6324306932,
        149,
    )
    assert (release.genres, release.formats, release.free) == (("Urban Fantasy",), ("m4a", "mp3"), False)
    assert release.facts.series == (SeriesPlace(name="Love at Stake", position="01-16, 13.5", id="67"),)
    assert release.facts.narrators == ("Abby Craden", "Deanna Hurst", "Lorna Bennett")
    assert (release.facts.language, release.facts.abridged, release.bitrate) == ("en", False, None)
    assert release.facts.description.startswith("Love at Stake - Books")
    assert "invented-download-hash" not in repr(release) and "example-uploader" not in repr(release)


@needs_recorded
def test_the_recorded_nothing(mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse) -> None:
    mam.faults = [Reply(200, (RECORDED / "error-nothing-returned.json").read_bytes())]
    assert source.newest(http).rows == 0


@needs_recorded
def test_every_recorded_row_is_read() -> None:
    """They were taken out of pages, so the encoding of the interface is put on them first."""
    rows = json.loads((RECORDED / "search-page-rows-151.json").read_text(encoding="utf-8"))
    assert len(rows) == 151
    for each in rows:
        at = datetime.strptime(each["added"], "%B %d, %Y, %I:%M %p UTC").replace(tzinfo=UTC)
        encoded = {
            **{key: value for key, value in each.items() if key not in ("authors", "narrators", "series", "filetypes")},
            "author_info": json.dumps(dict(enumerate(each["authors"]))),
            "narrator_info": json.dumps(dict(enumerate(each["narrators"]))) if each["narrators"] else "",
            "series_info": json.dumps(dict(enumerate(each["series"]))),
            "filetype": " ".join(each["filetypes"]),
            "added": str(at)[:19],
            "main_cat": 13,
        }
        release = parse(encoded)
        assert release is not None, each
        assert release.name == " ".join(each["title"].split()) and release.id == str(each["id"])
        assert list(release.facts.author_names) == list(dict.fromkeys(each["authors"]))
        assert list(release.facts.narrators) == list(dict.fromkeys(each["narrators"]))
        assert [[place.name, place.position] for place in release.facts.series] == each["series"]
        assert release.added == at and release.size and release.genres
        assert (release.seeders, release.fetched) == (each["seeders"], each["times_completed"])
        assert release.free is (True if each["free"] else None if each["vip"] else False)
        assert release.formats == tuple(each["filetypes"])


# -- what it is fetched by


HARBOUR = Release(source="myanonamouse", id="1", name="The Blue Harbour", facts=WANTED)
TORRENT = Reply(200, torrent(), {"Content-Type": "application/x-bittorrent"})


def to(location: str) -> Reply:
    return Reply(302, b"", {"Location": location})


def test_a_torrent_is_fetched_with_the_session(
    mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse, store: MemoryStore
) -> None:
    assert source.content(http, HARBOUR) == torrent()
    [call] = mam.calls
    assert (call.seen.method, call.seen.path, call.seen.query) == ("GET", fakes.DOWNLOAD, {"tid": "1"})
    assert call.session == SEED and store.saved == [mam.session]


def test_a_release_is_looked_at_again_without_a_copy(
    mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse
) -> None:
    [found] = source.search(http, WANTED)
    mam.rows = [row(1, "The Blue Harbour", free=1, size="1.0 GiB"), row(2)]
    again = source.look_again(http, found)
    assert again is not None and (again.free, again.size) == (True, 2**30)
    assert mam.calls[-1].tor["id"] == 1 and mam.calls[-1].tor["text"] == ""
    mam.rows = [row(2)]
    assert source.look_again(http, found) is None
    assert source.look_again(http, replace(found, id="../1")) is None
    assert len(mam.calls) == 3


def test_a_search_that_knows_no_number_proves_nothing(
    mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse
) -> None:
    mam.faults = [Reply.of({"found": 2, "data": [row(7), row(8)]})]
    with pytest.raises(SourceError, match="others"):
        source.look_again(http, HARBOUR)


def test_redirects_of_a_torrent_stay_on_the_site(
    mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse, store: MemoryStore
) -> None:
    """The cookie is on each hop, and what each gives is kept."""
    mam.faults = [to("/tor/a"), to(f"{mam.url}/tor/b"), to("c?tid=1")]
    mam.faults.append(TORRENT)
    assert source.content(http, HARBOUR) == torrent()
    assert [call.seen.path for call in mam.calls] == [fakes.DOWNLOAD, "/tor/a", "/tor/b", "/tor/c"]
    assert [call.session for call in mam.calls] == [SEED, *store.saved[:3]]
    assert store.saved[-1] == mam.session and len(store.saved) == 4


@pytest.mark.parametrize(
    ("locations", "kind"),
    [
        (["/a", "/b", "/c", "/d"], SourceError),
        (["http://127.0.0.1:9/x.torrent"], SourceError),
        (["https://elsewhere.example/x.torrent"], SourceError),
        (["//elsewhere.example/x"], SourceError),
        (["http://[::1"], SourceError),
        (["magnet:?xt=urn:btih:" + "0" * 40], SourceError),
        (["/tor/download.php?tid=1&fl"], SourceError),
        (["/tor/download.php?tid=1&FL=1"], SourceError),
        (["/login.php?returnto=x", "/login.php?returnto=x"], SignedOut),
    ],
)
def test_redirects_that_are_not_followed(
    mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse, locations: list[str], kind: type[SourceError]
) -> None:
    mam.faults = [*map(to, locations), TORRENT]
    with pytest.raises(kind) as caught:
        source.content(http, HARBOUR)
    assert type(caught.value) is kind
    assert mam.wedges_spent == 0 and len(mam.calls) <= 4
    assert "tid" not in str(caught.value) and "elsewhere" not in str(caught.value)


CUT_TORRENT = torrent()[:-20]


@pytest.mark.parametrize(
    ("reply", "kind", "permanent"),
    [
        (fakes.UNSATISFIED, Refused, False),
        (fakes.page(fakes.UNSATISFIED.body, 403), Refused, False),
        (fakes.INVALID_LINK, Gone, True),
        (fakes.page(b"<html>404</html>", 404), Gone, True),
        (fakes.SIGNED_OUT, SignedOut, True),
        (fakes.SIGNED_OUT_403, SignedOut, True),
        (Reply(401, b""), SignedOut, True),
        (fakes.LOGIN_PAGE, SignedOut, True),
        (fakes.IP_MISMATCH, WrongAddress, False),
        (fakes.page(b"Your IP does not match, and no cookie was given", 401), WrongAddress, False),
        (fakes.WRONG_SESSION, WrongSession, True),
        (fakes.THROTTLED, Throttled, False),
        (fakes.SOME_PAGE, SourceError, False),
        (fakes.FIREWALL, SourceError, False),
        (Reply(500, b""), SourceError, False),
        (Reply(200, b""), BadAnswer, False),
        (Reply(200, b"\x00\x01"), BadAnswer, False),
        (Reply(200, CUT_TORRENT), SourceError, False),
        (Reply(200, torrent(info=None)), SourceError, False),
        (Reply(200, torrent(info="text")), SourceError, False),
        (Reply(200, b" " + torrent()), SourceError, False),
        (Reply(200, torrent() + b"x"), SourceError, False),
        (Reply(500, torrent()), SourceError, False),
        (Reply(404, torrent()), Gone, True),
        (Reply(200, torrent(), cut=30), Unreachable, False),
        (Reply(200, torrent(junk="x" * 11 * 2**20)), BadAnswer, False),
        (Reply(200, b"d" + b"l" * 100_000), BadAnswer, False),
    ],
    ids=lambda value: f"{value.status}-{value.body[:12]!r}" if isinstance(value, Reply) else None,
)
def test_what_comes_in_place_of_a_torrent(
    mam: FakeMyAnonamouse,
    http: Doorway,
    source: MyAnonamouse,
    caplog: pytest.LogCaptureFixture,
    reply: Reply,
    kind: type[ServiceError],
    permanent: bool,
) -> None:
    caplog.set_level(logging.DEBUG)
    mam.faults = [reply] * 3
    with pytest.raises(ServiceError) as caught:
        source.content(http, HARBOUR)
    assert type(caught.value) is kind and caught.value.permanent is permanent
    said = f"{caught.value!r} {vars(caught.value)} {caught.value.__context__!r} {caplog.text}"
    said += repr(list(Host.objects.values_list("last_error", flat=True)))
    assert PASSKEY not in said and PASSKEY[:12] not in said and SEED not in said and "Rotated" not in said


def test_a_torrent_is_kept_nowhere(
    mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    source.content(http, HARBOUR)
    assert not HttpCopy.objects.exists()
    assert caplog.records and PASSKEY not in caplog.text
    assert PASSKEY not in repr(Download(body=torrent(), type="", location=PASSKEY))


def test_what_is_no_number_is_asked_for_nowhere(mam: FakeMyAnonamouse, http: Doorway, source: MyAnonamouse) -> None:
    for odd in ("", "1&fl", "１", "1/../2", "9" * 13):
        with pytest.raises(Gone):
            source.content(http, replace(HARBOUR, id=odd))
    assert not mam.calls
