"""LibriVox and the Internet Archive, against a stand-in that answers as they do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiobooks.exceptions import BadAnswer, HttpError, ServiceError, SourceError
from audiobooks.facts import BookFacts, Contributor
from audiobooks.http import Doorway
from audiobooks.sources import librivox
from audiobooks.sources.librivox import ItemFile, LibriVox, pick
from tests.audiobooks.outside import Reply
from tests.fakes.librivox import OUTAGE, FakeLibriVox, item_files, project

pytestmark = pytest.mark.django_db

HARBOUR = BookFacts(title="The Blue Harbour", authors=(Contributor(name="Nora Ferris"),))
TODAY = datetime.now(UTC).date()


@pytest.fixture
def fake() -> Iterator[FakeLibriVox]:
    with FakeLibriVox(projects=[project(11), project(12, "Salt", "Ilse Varga")]) as server:
        yield server


@pytest.fixture
def source(fake: FakeLibriVox) -> LibriVox:
    return LibriVox(url=fake.url, archive_url=fake.archive_url)


# -- the catalogue


@pytest.mark.parametrize("as_object", [True, False])
def test_a_release_is_read(fake: FakeLibriVox, source: LibriVox, http: Doorway, as_object: bool) -> None:
    fake.as_object = as_object
    [release] = source.search(http, HARBOUR)
    assert (release.source, release.id, release.fetch) == ("librivox", "invented_11_librivox", "invented_11_librivox")
    assert release.name == "The Blue Harbour by Nora Ferris"
    assert (release.files, release.free, release.genres) == (2, True, ("Detective Fiction",))
    assert (release.formats, release.bitrate) == (("mp3",), 64)
    assert release.link == "https://librivox.org/invented-11/"
    assert (release.facts.id, release.facts.narrators, release.facts.runtime) == ("11", ("Sam Oakes",), 2000)


def test_what_was_not_asked_for_is_no_hit(fake: FakeLibriVox, source: LibriVox, http: Doorway) -> None:
    fake.ignores = frozenset({"title", "author"})
    fake.projects = [project(number, f"Book {number}") for number in range(20)]
    assert source.search(http, HARBOUR) == ()
    fake.projects = [project(1, author="Ann Other"), project(2), project(3, "Blue")]
    # Another limit is another question: the first has been answered.
    [release] = source.search(http, HARBOUR, limit=49)
    assert release.facts.id == "2"


def test_a_title_with_what_it_is_not_called_there(source: LibriVox, http: Doorway) -> None:
    [release] = source.search(http, BookFacts(title="Salt (Unabridged)", authors=(Contributor(name="Ilse Varga"),)))
    assert release.facts.id == "12"


def test_nothing_found_and_nothing_asked(fake: FakeLibriVox, source: LibriVox, http: Doorway) -> None:
    assert source.search(http, BookFacts(title="No such")) == ()
    fake.projects = []
    assert source.newest(http).releases == ()
    seen = len(fake.outside.seen)
    assert source.search(http, BookFacts(title=" ")) == ()
    assert len(fake.outside.seen) == seen


UNFINISHED = [
    {name: value}
    for name in ("url_librivox", "url_iarchive", "url_zip_file", "sections", "title")
    for value in ("", None, [])
]


@pytest.mark.parametrize("changed", UNFINISHED, ids=repr)
def test_an_unfinished_project_is_none(
    fake: FakeLibriVox, source: LibriVox, http: Doorway, changed: dict[str, Any]
) -> None:
    fake.projects = [project(1, **changed), project(2)]
    page = source.newest(http)
    assert [each.facts.id for each in page.releases] == ["2"]
    assert page.rows == 2 and page.unread["id"] == "1" and "sections" not in page.unread


def walk(source: LibriVox, http: Doorway, **options: Any) -> list[list[str]]:
    pages, cursor = [], ""
    while True:
        page = source.newest_since(http, cursor, **{"since": None, **options})
        pages.append([each.facts.id for each in page.releases])
        cursor = page.cursor
        if not cursor:
            return pages


def test_newest_first_page_by_page(
    fake: FakeLibriVox, source: LibriVox, http: Doorway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(librivox, "PAGE", 2)
    fake.projects = [project(number) for number in (1, 2, 30, 4, 100)]
    assert walk(source, http) == [["100", "30"], ["30", "4"], ["4", "2"], ["2", "1"], ["1"]]
    fake.ignores = frozenset({"offset"})
    assert walk(source, http) == [["100", "30"]] * 2


def test_what_is_removed_between_two_pages_hides_none(fake: FakeLibriVox, source: LibriVox, http: Doorway) -> None:
    fake.projects = [project(number) for number in range(1, 121)]
    page = source.newest(http)
    seen = [each.facts.id for each in page.releases]
    while page.cursor:
        # Of those that were read.
        del fake.projects[-librivox.OVERLAP :]
        page = source.newest(http, page.cursor)
        seen += [each.facts.id for each in page.releases]
    assert {str(number) for number in range(1, 121)} == set(seen)


def test_a_listing_without_end_ends(
    fake: FakeLibriVox, source: LibriVox, http: Doorway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(librivox, "PAGE", 10)
    monkeypatch.setattr(librivox, "MOST_PAGES", 2)
    fake.projects = [project(number) for number in range(1, 101)]
    assert [len(page) for page in walk(source, http)] == [10, 10, 10]


def test_since_a_day(fake: FakeLibriVox, source: LibriVox, http: Doorway) -> None:
    fake.catalogued = {
        "11": datetime(2026, 2, 1, 23, 59, tzinfo=UTC),
        "12": datetime(2026, 2, 2, 0, 1, tzinfo=UTC),
    }
    assert walk(source, http, since=date(2026, 2, 3)) == [["12"], []], "its days end at another hour"
    assert walk(source, http, since=date(2026, 2, 2)) == [["12", "11"], ["11"]]
    source.newest_since(http, "a cursor of somebody else", since=date(1960, 1, 1))
    assert fake.outside.seen[-1].query["since"] == "0"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(200, OUTAGE), BadAnswer),
        (Reply(200, b""), BadAnswer),
        (Reply(500, OUTAGE), HttpError),
        (Reply(522, b""), HttpError),
        (Reply(429, b"", {"Retry-After": "600"}), HttpError),
        (Reply(404, OUTAGE), SourceError),
        (Reply.of([]), SourceError),
        (Reply.of({"error": "out of order"}), SourceError),
    ],
)
def test_outages_are_errors(
    fake: FakeLibriVox, source: LibriVox, http: Doorway, reply: Reply, kind: type[ServiceError]
) -> None:
    fake.feed_reply = reply
    with pytest.raises(kind) as caught:
        source.newest(http)
    assert caught.value.permanent is (reply.status == 404)
    if reply.status == 429:
        assert caught.value.retry_after == timedelta(minutes=10)


# -- charts


def doc(**changed: Any) -> dict[str, Any]:
    told = {"identifier": "blue_harbour_librivox", "title": "The Blue Harbour", "creator": "Ferris, Nora"}
    return {**told, "subject": ["mystery; librivox"], "week": 88, "downloads": 40213, "item_size": "9000", **changed}


def test_the_most_popular_of_a_genre(fake: FakeLibriVox, source: LibriVox, http: Doorway) -> None:
    fake.docs = [
        doc(),
        doc(identifier=["salt"], title=["Salt"], creator=["Ilse Varga", "LibriVox Volunteers"]),
        {},
        doc(),
    ]
    first, second = source.popular(http, "Detective Fiction", since=TODAY - timedelta(days=7))
    assert (first.id, first.fetched, first.size) == ("blue_harbour_librivox", 40213, 9000)
    assert (first.facts.author_names, first.genres) == (("Nora Ferris",), ("mystery",))
    assert (second.name, second.link) == ("Salt by Ilse Varga", "https://archive.org/details/salt")
    asked = fake.outside.seen[-1].query
    assert 'subject:"detective" OR subject:"detective fiction"' in asked["q"]
    assert "collection:librivoxaudio" in asked["q"]
    assert (asked["sort[]"], asked["rows"]) == ("week desc", "10")
    source.popular(http, 'any "other', since=TODAY - timedelta(days=40))
    asked = fake.outside.seen[-1].query
    assert (asked["sort[]"], 'subject:"any \\"other"' in asked["q"]) == ("month desc", True)


@pytest.mark.parametrize("genre", librivox.SUBJECTS)
def test_subjects_are_tags(genre: str) -> None:
    subjects = librivox.SUBJECTS[genre]
    assert subjects and all(each == each.lower().strip() for each in subjects)
    assert len(set(subjects)) == len(subjects)


@pytest.mark.parametrize(
    "reply", [Reply.of({"error": "overload"}), Reply.of([]), Reply.of({"response": {}}), Reply(200, OUTAGE)]
)
def test_a_search_that_failed(fake: FakeLibriVox, source: LibriVox, http: Doorway, reply: Reply) -> None:
    fake.search_reply = reply
    with pytest.raises((SourceError, BadAnswer)):
        source.popular(http, "History", since=TODAY)


# -- files


def test_files_of_one_format_in_their_order(fake: FakeLibriVox, source: LibriVox, http: Doorway) -> None:
    fake.items["invented_11_librivox"] = {"files": item_files(11)}
    files = source.files(http, "invented_11_librivox")
    assert [each.name for each in files] == [f"part #{number}.mp3" for number in range(1, 12)]
    assert files[1] == ItemFile(
        **{"name": "part #2.mp3", "size": 2000, "md5": f"{2:032x}", "sha1": f"{2:040x}"},  # type: ignore[arg-type]
        format="128Kbps MP3",
        length=1204.33,
    )
    [first, *_] = source.files(http, "invented_11_librivox", formats=("64Kbps MP3",))
    assert (first.name, first.length) == ("part #1_64kb.mp3", 1204.0)
    url = source.file_url("invented_11_librivox", "a b/c#d%.mp3")
    assert url == f"{fake.archive_url}/download/invented_11_librivox/a%20b/c%23d%25.mp3"


def test_the_format_that_is_whole(fake: FakeLibriVox) -> None:
    files = item_files(3)
    hidden = next(each for each in files if each["name"] == "part #2.mp3")
    hidden["private"] = "true"
    assert {each.format for each in pick(files)} == {"64Kbps MP3"}
    assert len(pick(files)) == 3


@pytest.mark.parametrize("name", ["../a.mp3", "/a.mp3", "a//b.mp3", "a\\b.mp3", "a/../b.mp3", "a\nb.mp3", "", None, 7])
def test_a_name_that_leads_elsewhere_is_no_file(name: Any) -> None:
    assert pick([{"name": name, "format": "VBR MP3"}]) == ()


def test_what_is_not_said_of_a_file_is_unknown() -> None:
    odd = {"name": "a.mp3", "format": "VBR MP3", "size": "x", "md5": "zz", "sha1": None, "length": "0:00"}
    assert pick([odd, None, "x"]) == (ItemFile(name="a.mp3", format="VBR MP3"),)
    assert pick(None) == pick("x") == pick([]) == pick({"/a.txt": {"format": "Text"}, "/b": 7}) == ()


@pytest.mark.parametrize(
    "item",
    [{}, {"is_dark": True, "files": item_files()}, {"nodownload": True}, {"files": []}, {"files": item_files()[:1]}],
    ids=["none", "dark", "closed", "empty", "no audio"],
)
def test_an_item_that_gives_nothing(fake: FakeLibriVox, source: LibriVox, http: Doorway, item: dict[str, Any]) -> None:
    fake.items["some_item"] = item
    with pytest.raises(SourceError) as caught:
        source.files(http, "some_item")
    assert caught.value.permanent


@pytest.mark.parametrize("identifier", ["", "../x", "a/b", "a?b", "a b", "é"])
def test_what_is_no_identifier_is_not_asked_for(
    fake: FakeLibriVox, source: LibriVox, http: Doorway, identifier: str
) -> None:
    with pytest.raises(SourceError):
        source.files(http, identifier)
    assert fake.outside.seen == []


# -- anything at all

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(sorted(project(1))), JSON)
def test_rows_of_any_shape(name: str, value: Any) -> None:
    release = librivox.parse({**project(1), name: value})
    assert release is None or (release.id and release.name)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(["identifier", "title", "creator", "subject", "runtime", "publicdate", "description"]), JSON)
def test_hits_of_any_shape(name: str, value: Any) -> None:
    release = librivox.release_of(doc(**{name: value}))
    assert release is None or (release.id and release.name)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(["name", "format", "size", "md5", "length", "private", "track"]), JSON)
def test_files_of_any_shape(name: str, value: Any) -> None:
    for file in pick([*item_files(), {**item_files()[1], name: value}]):
        assert file.name and not file.name.startswith("/")
