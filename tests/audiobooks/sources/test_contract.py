"""What every source keeps to, whatever it speaks: each against the stand-in that speaks it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date

import pytest

from audiobooks.exceptions import Gone, ServiceError
from audiobooks.facts import BookFacts, Contributor
from audiobooks.http import Doorway
from audiobooks.models import HttpCopy
from audiobooks.sources.base import Release, RemoteFile, Source
from audiobooks.sources.librivox import LibriVox
from audiobooks.sources.myanonamouse import MyAnonamouse
from audiobooks.sources.torznab import Torznab
from tests.audiobooks.outside import Outside, Reply
from tests.fakes.librivox import FakeLibriVox, item_files, project
from tests.fakes.myanonamouse import SEED, FakeMyAnonamouse, MemoryStore, row
from tests.fakes.torrent_files import torrent
from tests.fakes.torznab import KEY, FakeTorznab, Item

pytestmark = pytest.mark.django_db

HARBOUR = BookFacts(title="The Blue Harbour", authors=(Contributor(name="Nora Ferris"),))


@dataclass
class Case:
    """`empty` takes everything away from the stand-in; 120 are there at first, `The Blue Harbour` all of them.

    genre: one that all are of. remove: takes away one of them. content: what each is fetched by.
    secrets: those that were at work.
    """

    source: Source
    outside: Outside
    genre: str
    empty: Callable[[], None]
    remove: Callable[[Release], None]
    content: object
    secrets: Callable[[], set[str]] = set

    def popular(self, http: Doorway, limit: int = 10) -> tuple[Release, ...]:
        return self.source.popular(http, self.genre, since=date(2026, 1, 1), limit=limit)

    def questions(self, http: Doorway) -> list[Callable[[], object]]:
        return [
            lambda: self.source.search(http, HARBOUR),
            lambda: self.source.newest(http).releases,
            lambda: self.popular(http),
        ]


@contextmanager
def torznab(kind: str) -> Iterator[Case]:
    with FakeTorznab(
        kind=kind, items=[Item("Nora Ferris - The Blue Harbour [M4B]", each) for each in range(120)]
    ) as fake:
        fake.most, fake.is_home = 50, True

        def remove(release: Release) -> None:
            fake.items = [each for each in fake.items if f"/{each.number}" != release.id[-len(f"/{each.number}") :]]

        source = Torznab(url=fake.url, key=KEY, name="indexer")
        yield Case(source, fake.outside, "Audio/Audiobook", fake.items.clear, remove, torrent(), lambda: {KEY})


@contextmanager
def librivox() -> Iterator[Case]:
    docs = [{"identifier": f"item{each}", "title": "The Blue Harbour", "downloads": each} for each in range(20)]
    items = {f"invented_{each}_librivox": {"files": item_files(1)} for each in range(120)}
    with FakeLibriVox(projects=[project(each) for each in range(120)], docs=docs, items=items) as fake:

        def empty() -> None:
            fake.projects.clear()
            fake.docs.clear()

        def remove(release: Release) -> None:
            fake.items.pop(release.id)

        # Each of them has the same, but for its address.
        content = (RemoteFile(name="part #1.mp3", url="", size=1000, md5=f"{1:032x}", sha1=f"{1:040x}"),)
        source = LibriVox(url=fake.url, archive_url=fake.archive_url)
        yield Case(source, fake.outside, "Detective Fiction", empty, remove, content)


@contextmanager
def myanonamouse() -> Iterator[Case]:
    with FakeMyAnonamouse(rows=[row(each, "The Blue Harbour") for each in range(120)]) as fake:

        def sessions() -> set[str]:
            return {SEED, fake.session, *(call.session for call in fake.calls)}

        def remove(release: Release) -> None:
            fake.rows = [each for each in fake.rows if str(each["id"]) != release.id]

        source = MyAnonamouse(store=MemoryStore(), url=fake.url)
        fake.torrents = dict.fromkeys(range(120), torrent())
        yield Case(source, fake.outside, "Fantasy", fake.rows.clear, remove, torrent(), sessions)


MAKERS = {
    "prowlarr": lambda: torznab("prowlarr"),
    "jackett": lambda: torznab("jackett"),
    "librivox": librivox,
    "myanonamouse": myanonamouse,
}
WITH_SECRETS = [name for name in MAKERS if name != "librivox"]


@pytest.fixture(params=MAKERS)
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    with MAKERS[request.param]() as made:
        yield made


NO_ANSWERS = [
    *(
        Reply(200, b"<html>Log in</html>"),
        Reply(200, b""),
        Reply(200, b"{}"),
        Reply(200, b"[]"),
        Reply(200, b"null"),
    ),
    *(Reply(403, b"<html>No</html>"), Reply(404, b"<html>No</html>"), Reply(500, b""), Reply(200, b"{}", cut=1)),
    Reply(429, b"", {"Retry-After": "3600"}),
]


def without_address(content: object) -> object:
    return tuple(replace(each, url="") for each in content) if isinstance(content, tuple) else content


def test_releases_are_whole_and_can_be_kept(case: Case, http: Doorway) -> None:
    found: list[Release] = [
        *case.source.search(http, HARBOUR),
        *case.source.newest(http).releases,
        *case.popular(http),
    ]
    assert found
    for each in found:
        assert each.source == case.source.name
        assert each.id and each.name and each.facts.title and each.fetch
        assert each.link.startswith(("https://", case.outside.url))
        assert each.added is None or each.added.tzinfo is not None
        assert BookFacts.from_json(json.loads(json.dumps(each.facts.as_json()))) == each.facts
        assert json.dumps(each.raw)


def test_a_limit_is_kept_and_nothing_comes_twice(case: Case, http: Doorway) -> None:
    for limit in (1, 7, 50):
        found = case.source.search(http, HARBOUR, limit=limit)
        assert len({each.id for each in found}) == len(found) == limit
    assert len(case.popular(http, limit=3)) == 3


def test_pages_go_through_all_and_end(case: Case, http: Doorway) -> None:
    seen: list[str] = []
    cursor = ""
    for _ in range(10):
        page = case.source.newest(http, cursor)
        seen += [each.id for each in page.releases]
        cursor = page.cursor
        if not cursor:
            break
    assert not cursor
    assert len(set(seen)) == 120 and len(seen) <= 150, "pages overlap by little"


@pytest.mark.parametrize("cursor", ["x", "-1", "1.2.zz", "9" * 400, "\0", "1;drop"])
def test_a_cursor_of_another_is_the_beginning(case: Case, http: Doorway, cursor: str) -> None:
    first, other = case.source.newest(http), case.source.newest(http, cursor)
    assert [each.id for each in first.releases] == [each.id for each in other.releases]


def test_nothing_found_is_no_error(case: Case, http: Doorway) -> None:
    case.empty()
    assert [each() for each in case.questions(http)] == [(), (), ()]
    assert case.source.newest(http).cursor == ""


@pytest.mark.parametrize(
    "reply",
    NO_ANSWERS,
    ids=lambda reply: f"{reply.status}-{reply.body.decode()}",
)
@pytest.mark.parametrize("at", range(3), ids=["search", "newest", "popular"])
def test_whatever_is_no_answer_is_an_error(case: Case, http: Doorway, at: int, reply: Reply) -> None:
    case.outside.otherwise = lambda seen: reply
    with pytest.raises(ServiceError) as caught:
        case.questions(http)[at]()
    assert str(caught.value).strip()


def test_a_release_is_looked_at_again(case: Case, http: Doorway) -> None:
    release = case.source.search(http, HARBOUR)[3]
    kept = Release(
        **{**vars(release), "facts": BookFacts.from_json(json.loads(json.dumps(release.facts.as_json()))), "raw": {}}
    )
    again = case.source.look_again(http, kept)
    assert again is not None
    assert (again.source, again.id, again.name, again.facts) == (
        release.source,
        release.id,
        release.name,
        release.facts,
    )
    # As it is now, not as it was.
    case.remove(release)
    assert case.source.look_again(http, kept) is None


def test_a_release_has_content(case: Case, http: Doorway) -> None:
    releases = case.source.search(http, HARBOUR)[:3]
    for release in releases:
        assert without_address(case.source.content(http, release)) == case.content
        # Also where it was not kept how it is fetched.
        assert without_address(case.source.content(http, replace(release, fetch=""))) == case.content
    case.remove(releases[1])
    with pytest.raises(Gone):
        case.source.content(http, replace(releases[1], fetch=""))
    assert without_address(case.source.content(http, releases[0])) == case.content


@pytest.mark.parametrize("reply", NO_ANSWERS, ids=lambda reply: f"{reply.status}-{reply.body.decode()}")
def test_whatever_is_no_content_is_an_error(case: Case, http: Doorway, reply: Reply) -> None:
    release = case.source.search(http, HARBOUR)[0]
    case.outside.otherwise = lambda seen: reply
    with pytest.raises(ServiceError) as caught:
        case.source.content(http, release)
    assert str(caught.value).strip()
    try:
        again = case.source.look_again(http, release)
    except ServiceError:
        return
    # The archive says so that it knows no such item.
    assert again is None and case.source.name == "librivox"
    assert (reply.status, reply.body) in ((200, b"{}"), (404, b"<html>No</html>"))


@pytest.mark.parametrize("case", WITH_SECRETS, indirect=True)
def test_the_log_has_no_secret(case: Case, http: Doorway, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    said = [repr(each()) for each in case.questions(http)]
    case.outside.otherwise = lambda seen: Reply(500, f"{seen.query} {seen.headers}".encode())
    HttpCopy.objects.all().delete()
    for each in case.questions(http.view()):
        with pytest.raises(ServiceError) as caught:
            each()
        said.append(f"{caught.value!r} {vars(caught.value)!r}")
    assert caplog.records and case.secrets()
    for secret in case.secrets():
        assert secret not in caplog.text + "".join(said)
