"""What every source keeps to, whatever it speaks: each against the stand-in that speaks it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import pytest

from audiobooks.exceptions import ServiceError
from audiobooks.facts import BookFacts, Contributor
from audiobooks.http import Doorway
from audiobooks.models import HttpCopy
from audiobooks.sources.base import Release, Source
from audiobooks.sources.librivox import LibriVox
from audiobooks.sources.torznab import Torznab
from tests.audiobooks.outside import Outside, Reply
from tests.fakes.librivox import FakeLibriVox, project
from tests.fakes.torznab import KEY, FakeTorznab, Item

pytestmark = pytest.mark.django_db

HARBOUR = BookFacts(title="The Blue Harbour", authors=(Contributor(name="Nora Ferris"),))
GENRE = "Audio/Audiobook"


@dataclass
class Case:
    """`empty` takes everything away from the stand-in; 120 are there at first, `The Blue Harbour` all of them."""

    source: Source
    outside: Outside
    empty: Callable[[], None]


@contextmanager
def torznab(kind: str) -> Iterator[Case]:
    with FakeTorznab(
        kind=kind, items=[Item("Nora Ferris - The Blue Harbour [M4B]", each) for each in range(120)]
    ) as fake:
        fake.most = 50
        yield Case(Torznab(url=fake.url, key=KEY, name="indexer"), fake.outside, fake.items.clear)


@contextmanager
def librivox() -> Iterator[Case]:
    docs = [{"identifier": f"item{each}", "title": "The Blue Harbour", "downloads": each} for each in range(20)]
    with FakeLibriVox(projects=[project(each) for each in range(120)], docs=docs) as fake:

        def empty() -> None:
            fake.projects.clear()
            fake.docs.clear()

        yield Case(LibriVox(url=fake.url, archive_url=fake.archive_url), fake.outside, empty)


MAKERS = {"prowlarr": lambda: torznab("prowlarr"), "jackett": lambda: torznab("jackett"), "librivox": librivox}


@pytest.fixture(params=MAKERS)
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    with MAKERS[request.param]() as made:
        yield made


def ask(source: Source, http: Doorway) -> list[Callable[[], object]]:
    return [
        lambda: source.search(http, HARBOUR),
        lambda: source.newest(http).releases,
        lambda: source.popular(http, GENRE, since=date(2026, 1, 1)),
    ]


def test_releases_are_whole_and_can_be_kept(case: Case, http: Doorway) -> None:
    found: list[Release] = [
        *case.source.search(http, HARBOUR),
        *case.source.newest(http).releases,
        *case.source.popular(http, GENRE, since=date(2026, 1, 1)),
    ]
    assert found
    for each in found:
        assert each.source == case.source.name
        assert each.id and each.name and each.facts.title and each.fetch
        assert each.link.startswith("https://")
        assert each.added is None or each.added.tzinfo is not None
        assert BookFacts.from_json(json.loads(json.dumps(each.facts.as_json()))) == each.facts
        assert json.dumps(each.raw)


def test_a_limit_is_kept_and_nothing_comes_twice(case: Case, http: Doorway) -> None:
    for limit in (1, 7, 50):
        found = case.source.search(http, HARBOUR, limit=limit)
        assert len({each.id for each in found}) == len(found) == limit
    assert len(case.source.popular(http, GENRE, since=date(2026, 1, 1), limit=3)) == 3


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
    assert len(seen) == len(set(seen)) == 120


@pytest.mark.parametrize("cursor", ["x", "-1", "1.2.zz", "9" * 400, "\0", "1;drop"])
def test_a_cursor_of_another_is_the_beginning(case: Case, http: Doorway, cursor: str) -> None:
    first, other = case.source.newest(http), case.source.newest(http, cursor)
    assert [each.id for each in first.releases] == [each.id for each in other.releases]


def test_nothing_found_is_no_error(case: Case, http: Doorway) -> None:
    case.empty()
    assert [each() for each in ask(case.source, http)] == [(), (), ()]
    assert case.source.newest(http).cursor == ""


@pytest.mark.parametrize(
    "reply",
    [
        *(
            Reply(200, b"<html>Log in</html>"),
            Reply(200, b""),
            Reply(200, b"{}"),
            Reply(200, b"[]"),
            Reply(200, b"null"),
        ),
        *(Reply(403, b"<html>No</html>"), Reply(404, b"<html>No</html>"), Reply(500, b""), Reply(200, b"{}", cut=1)),
        Reply(429, b"", {"Retry-After": "3600"}),
    ],
    ids=lambda reply: f"{reply.status}-{reply.body.decode()}",
)
@pytest.mark.parametrize("at", range(3), ids=["search", "newest", "popular"])
def test_whatever_is_no_answer_is_an_error(case: Case, http: Doorway, at: int, reply: Reply) -> None:
    case.outside.otherwise = lambda seen: reply
    with pytest.raises(ServiceError) as caught:
        ask(case.source, http)[at]()
    assert str(caught.value).strip()


def test_the_log_has_no_key(case: Case, http: Doorway, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    said = [repr(each()) for each in ask(case.source, http)]
    case.outside.otherwise = lambda seen: Reply(500, f"{seen.query} {seen.headers}".encode())
    HttpCopy.objects.all().delete()
    for each in ask(case.source, http.view()):
        with pytest.raises(ServiceError) as caught:
            each()
        said.append(f"{caught.value!r} {vars(caught.value)!r}")
    assert caplog.records
    assert KEY not in caplog.text + "".join(said)
