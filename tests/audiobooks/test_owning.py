"""Which book is meant, what is written of it, and what two who ask at once do."""

from __future__ import annotations

import importlib
import random
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audiobooks.facts import BookFacts, Contributor, SeriesPlace
from audiobooks.fields import Offer, apply, facts_of, new_book, offers_of, values_of
from audiobooks.models import Author, Book, Holding, Work, with_names
from audiobooks.owning import Held, find_book, held_at, higher, mark_books_missing, record, record_each, works_of

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


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("said", [{}, {"title": "Salt", "subtitle": "A Novel"}, {"title": "Salt: A Novel"}])
def test_a_book_is_found_by_the_title_that_a_refresh_gave_it(said: dict[str, str], at_once: bool) -> None:
    (own,) = put(held("1", title="Salt, Cartographers, Book 2"))
    title = "Salt: A Novel" if said.get("subtitle") else "Salt"
    apply(with_names(Book.objects.all()).get(), {"title": Offer(title, "audnexus")}, why="test", now=timezone.now())
    assert Book.objects.get().title == title != own.work.title
    facts = replace(SALT, source="goodreads", narrators=(), runtime=None, is_audio=None, **said)
    wanted = Held(library="goodreads", item="1", facts=facts, standing="wanted")
    assert works_of([facts]) == [own.work_id]
    if at_once:
        assert [each.outcome for each in record_each([wanted], now=timezone.now())] == ["changed"]
    else:
        record(wanted, now=timezone.now())
    assert Holding.objects.get(library="goodreads").book == own
    assert Book.objects.get().standing == "owned"


def test_of_two_books_of_a_title_the_one_with_the_author_is_meant() -> None:
    own, other = put(held("1", title="Old"), held("2", title="Salt", authors=(Contributor(name="Tomas Reed"),)))
    Book.objects.filter(pk=own.pk).update(title="Salt")
    assert (find_book(SALT), find_book(facts_of(with_names(Book.objects.all()).get(pk=other.pk)))) == (own, other)


@pytest.mark.parametrize("title", ["Sa\0lt", "Sa\ud800lt", "Salt\n", "", "?"])
def test_a_title_that_no_database_can_be_asked_for_is_looked_for_without_a_fault(title: str) -> None:
    facts = replace(SALT, title=title)
    assert (find_book(facts), works_of([facts])) == (None, [None])


def test_a_title_is_looked_up_in_an_index() -> None:
    put(*(held(f"n{number}", title=f"Volume {number}") for number in range(100)))
    with connection.cursor() as cursor:
        # Of a table whose size it does not know, the planner thinks one way or the other.
        cursor.execute("ANALYZE audiobooks_book" if connection.vendor == "postgresql" else "ANALYZE")
    with CaptureQueriesContext(connection) as asked:
        find_book(SALT)
    plans = []
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
        for query in asked:
            cursor.execute(("EXPLAIN " if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN ") + query["sql"])
            plans.append(" ".join(str(row) for row in cursor.fetchall()))
    assert any("book_by_title" in plan for plan in plans)


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


@pytest.mark.slow
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
    importlib.import_module("audiobooks.migrations.0018_name_holdings").name_holdings(apps, None)
    assert dict(Holding.objects.values_list("book", "name")) == {one.pk: "Salt", two.pk: ""}


# --- many at once -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="has one writer at a time")
def test_a_standing_that_another_raises_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def listed(standing: str, library: str) -> Held:
        return Held(library=library, item="1", facts=SALT, standing=standing)

    put(listed("known", "list"))

    def buy() -> None:
        try:
            put(listed("owned", "libation"))
        finally:
            connections.close_all()

    other = threading.Thread(target=buy)

    def slow(*args: Any, **options: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            other.start()
            other.join(0.5)
        return apply(*args, **options)

    monkeypatch.setattr("audiobooks.owning.apply", slow)
    put(listed("wanted", "list"))
    other.join()
    assert Book.objects.get().standing == "owned"


def some_helds(seed: int) -> list[Held]:
    """Few titles, people, ASINs and paths, so that most have something in common with another."""
    chance = random.Random(seed)
    titles = ["Salt", "SALT!", "Salt: A Novel", "Wind", "…", "Tide", *(f"Only {word}" for word in "abcdefgh")]
    helds = []
    for number in range(60):
        facts = BookFacts(
            source="audiobookshelf",
            title=chance.choice(titles),
            subtitle=chance.choice(["", "A Novel"]),
            authors=tuple(
                Contributor(name=name) for name in chance.sample(["Ann", "Ben", "ann"], chance.randint(0, 2))
            ),
            narrators=tuple(chance.sample(["Mara Quill", "Tomas Reed"], chance.randint(0, 2))),
            series=tuple(SeriesPlace(name=name, position="1") for name in chance.sample(["Sea", "Land"], 1)),
            genres=tuple(chance.sample(["Fantasy", "History"], chance.randint(0, 2))),
            runtime=chance.choice([None, 36_000, 20_000]),
            asin=chance.choice(["", "", "", "B000000001", "B000000002", f"B1{number:08d}"]),
        )
        place = chance.choice(["Ann/Salt", f"Ann/{number}"])
        helds.append(
            Held(
                library="audiobookshelf:lib",
                item=str(number),
                facts=facts,
                path=f"/books/{place}",
                own_paths=(place,),
                missing=chance.random() < 0.2,
                standing=chance.choice(["owned", "wanted"]),
            )
        )
    return helds


def recorded_state() -> list[Any]:
    """All but the keys of rows, by which books are told apart here."""
    books = list(with_names(Book.objects.order_by("pk")))
    works = {work: number for number, work in enumerate(dict.fromkeys(book.work_id for book in books))}
    by_first = sorted(books, key=lambda book: min(int(item) for item in book.holdings.values_list("item", flat=True)))
    of_book = [
        [
            *(values_of(book), book.provenance, book.standing, book.missing_since),
            sorted(book.holdings.values_list("item", "path", "name", "missing_since", "seen_at")),
            sorted(str(other.holdings.order_by("pk").first()) for other in books if other.work_id == book.work_id),
        ]
        for book in by_first
    ]
    return [of_book, len(works), sorted(Author.objects.values_list("key", flat=True)), Work.objects.count()]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.slow
def test_many_at_once_become_what_they_become_one_by_one(seed: int) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    helds = some_helds(seed)
    before = BookFacts(source="folder", title="Salt", authors=(Contributor(name="Ben"),), runtime=36_000)

    def fresh() -> None:
        for model in (Holding, Book, Work, Author):
            model._default_manager.all().delete()
        own = new_book(Work.objects.create(title="Salt", key="salt"), offers_of(before, "folder"), now=now)
        Book.objects.filter(pk=own.pk).update(path="Ann/Salt")
        Holding.objects.create(library="audiobookshelf:lib", item="7", book=own, seen_at=now)

    fresh()
    for each in helds:
        record(each, now=now)
    expected = recorded_state()
    fresh()
    outcomes = [each.outcome for each in record_each(helds, now=now)]
    assert recorded_state() == expected
    assert outcomes.count("new") == Book.objects.count() - 1


def test_what_a_known_item_says_now_is_known_of_those_behind_it() -> None:
    (one,) = put(held("1"))
    now = timezone.now()
    said = [held("1", asin="B000000001"), held("2", title="Tide", asin="B000000001")]
    assert [each.outcome for each in record_each(said, now=now)] == ["changed", "changed"]
    assert set(Holding.objects.values_list("book", flat=True)) == {one.pk}


def test_new_books_cost_few_queries_each() -> None:
    helds = [held(str(number), title=f"Title {number}", asin=f"B0{number:08d}") for number in range(200)]
    with CaptureQueriesContext(connection) as asked:
        assert {each.outcome for each in record_each(helds, now=timezone.now())} == {"new"}
    assert len(asked) < 200
    assert Book.objects.count() == Holding.objects.count() == Work.objects.count() == 200
