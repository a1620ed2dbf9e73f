"""Which book is meant, what is written of it, and what two who ask at once do."""

from __future__ import annotations

import importlib
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audiobooks.facts import BookFacts, Contributor
from audiobooks.models import Book, Holding
from audiobooks.owning import Held, find_book, held_at, higher, mark_books_missing, record, record_each

pytestmark = pytest.mark.django_db
SALT = BookFacts(
    source="audiobookshelf",
    title="Salt",
    authors=(Contributor(name="Ilse Varga"),),
    narrators=("Mara Quill",),
    runtime=36_000,
)


def held(item: str = "1", library: str = "audiobookshelf:lib", **facts: Any) -> Held:
    return Held(library=library, item=item, facts=replace(SALT, **facts))


def put(*helds: Held) -> list[Book]:
    return [record(each, now=timezone.now())[0] for each in helds]


@pytest.mark.parametrize(
    ("facts", "same"),
    [
        ({}, True),
        ({"title": "SALT!"}, True),
        ({"narrators": ()}, True),
        ({"narrators": (), "runtime": None}, True),
        ({"narrators": ("Somebody Else",)}, False),
        ({"narrators": (), "runtime": 20_000}, False),
        ({"authors": (Contributor(name="Tomas Reed"),)}, False),
        ({"title": "Wind"}, False),
    ],
)
def test_a_book_is_the_same_where_all_that_is_known_agrees(facts: dict[str, Any], same: bool) -> None:
    one, other = put(held("1"), held("2", **facts))
    assert (one == other) is same


def test_an_asin_decides_whatever_the_title() -> None:
    one, other = put(held("1", asin="B0TESTAA03"), held("2", asin="B0TESTAA03", title="Das Salz", narrators=("X",)))
    assert one == other and Holding.objects.filter(book=one).count() == 2


def test_another_recording_of_a_work_is_another_book_of_it() -> None:
    one, other = put(held("1"), held("2", narrators=("Somebody Else",), runtime=30_000))
    assert one != other and one.work == other.work


def test_an_identity_outweighs_what_is_said() -> None:
    one, other = put(held("1"), held("1", title="Wind", authors=(Contributor(name="Tomas Reed"),)))
    assert one == other


def test_a_find_among_some_finds_no_other() -> None:
    (book,) = put(held())
    assert find_book(SALT) == book
    assert find_book(SALT, among=Book.objects.exclude(pk=book.pk)) is None


@pytest.mark.parametrize(
    ("one", "other", "result"),
    [("owned", "wanted", "owned"), ("wanted", "owned", "owned"), ("known", "wanted", "wanted"), ("known", "known", "known")],
)  # fmt: skip
def test_of_two_standings_the_higher_counts(one: str, other: str, result: str) -> None:
    assert higher(one, other) == result


def test_each_is_recorded_one_for_one_and_in_order() -> None:
    helds = [held(str(number), title=f"Book {number % 7}") for number in range(250)]
    recorded = list(record_each(helds, now=timezone.now()))
    assert [each.held for each in recorded] == helds
    assert [each.outcome for each in recorded].count("new") == Book.objects.count() == 7
    again = timezone.now()
    assert {each.outcome for each in record_each(helds, now=again)} == {"same"}
    assert set(Holding.objects.values_list("seen_at", flat=True)) == {again}


def test_only_what_had_files_can_be_missing() -> None:
    listed, served, both = put(
        Held(library="libation", item="1", facts=replace(SALT, source="libation", title="A")),
        replace(held("2", title="B"), missing=True),
        replace(held("3", title="C"), missing=True),
    )
    put(Held(library="libation", item="3", facts=replace(SALT, source="libation", title="C")))
    now = timezone.now() + timedelta(seconds=1)
    mark_books_missing(now)
    missing = dict(Book.objects.values_list("pk", "missing_since"))
    assert missing == {listed.pk: None, served.pk: now, both.pk: now}


@pytest.mark.django_db(transaction=True)
def test_two_who_name_a_book_at_once_make_one() -> None:
    barrier = threading.Barrier(2)
    errors: list[Exception] = []

    def go(library: str) -> None:
        try:
            for number in range(15):
                barrier.wait(timeout=30)
                record(held(str(number), library=library, title=f"Title {number}"), now=timezone.now())
        except Exception as error:  # noqa: BLE001  Shown by the test.
            errors.append(error)
            barrier.abort()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=go, args=(library,)) for library in ("audiobookshelf:a", "audiobookshelf:b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert (Book.objects.count(), Holding.objects.count()) == (15, 30), connection.vendor


def test_a_path_is_found_from_its_end_without_a_look_at_all_others() -> None:
    """Found: each book of the folder was compared with the paths of the whole server."""
    at = [held(str(number), title=f"Book {number}") for number in range(3)]
    paths = ["/books/Ann/Salt", "/books/Ben/Salt", "/books/Ann/Salt/Disc"]
    one, two, _ = put(*(replace(each, path=path) for each, path in zip(at, paths, strict=True)))
    with CaptureQueriesContext(connection) as asked:
        assert held_at("Ann/Salt", SALT) == one and held_at("Ben/Salt", SALT) == two
    assert all('"name" = ' in query["sql"] for query in asked)
    assert held_at("nn/Salt", SALT) is None and held_at("Salt", SALT) is None
    far = "x" * 300
    (deep,) = put(replace(held("4", title="Deep"), path=f"/books/{far}"))
    assert held_at(f"books/{far}", SALT) == deep


def test_holdings_of_before_are_found_by_their_paths() -> None:
    one, two = put(replace(held("1"), path="/books/Ann/Salt"), held("2", title="Wind"))
    Holding.objects.update(name="")
    importlib.import_module("audiobooks.migrations.0021_name_holdings").name_holdings(apps, None)
    assert dict(Holding.objects.values_list("book", "name")) == {one.pk: "Salt", two.pk: ""}
