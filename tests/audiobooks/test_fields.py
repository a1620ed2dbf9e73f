"""How a book's fields are written: by trust, never blank, never less, and undone to the byte."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audiobooks import merging, owning
from audiobooks.facts import BookFacts, Contributor, SeriesPlace
from audiobooks.fields import (
    FIELDS,
    MODELS,
    Offer,
    apply,
    decide,
    edit,
    facts_of,
    is_same,
    new_book,
    offers_of,
    read_names,
    undo,
    values_of,
)
from audiobooks.models import Author, AuthorAlias, Book, Work, with_names
from audiobooks.names import work_of
from audiobooks.trust import FOLDER, PERSON

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def make_book(source: str = FOLDER, **values: Any) -> Book:
    offers = {name: Offer(value, source) for name, value in {"title": "Low Water", **values}.items()}
    return new_book(Work.objects.create(title="Low Water", key="lowwater"), offers, now=NOW)


def read(book: Book) -> Book:
    return with_names(Book.objects.all()).get(pk=book.pk)


def offer(book: Book, source: str, **values: Any) -> Book:
    apply(read(book), {name: Offer(value, source) for name, value in values.items()}, why="test", now=NOW)
    return read(book)


def test_what_is_unknown_is_filled_in_by_anyone_and_says_by_whom() -> None:
    book = offer(make_book(), "google_books", description="About the coast.")
    assert book.description == "About the coast."
    assert book.provenance["description"] == {"source": "google_books", "at": NOW.isoformat()}


@pytest.mark.parametrize(
    ("first", "second", "wins"),
    [
        (FOLDER, "audnexus", True),
        ("audnexus", FOLDER, False),
        ("audnexus", "audnexus", True),
        ("audnexus", "open_library", False),
    ],
)
def test_a_value_gives_way_to_one_trusted_as_much(first: str, second: str, wins: bool) -> None:
    book = offer(make_book(first, publisher="Old"), second, publisher="New")
    assert book.publisher == ("New" if wins else "Old")


def test_measured_runtime_outweighs_what_is_said_of_it() -> None:
    assert values_of(offer(make_book(FOLDER, runtime=100), "audnexus", runtime=200))["runtime"] == 100
    assert values_of(offer(make_book("audnexus", runtime=200), FOLDER, runtime=100))["runtime"] == 100


@pytest.mark.parametrize(
    ("name", "blank"), [("title", ""), ("authors", []), ("series", []), ("runtime", None), ("abridged", None)]
)
def test_nothing_is_blanked_by_a_source(name: str, blank: Any) -> None:
    full = {"authors": ["Ann"], "series": [["Tide", "1"]], "runtime": 5, "abridged": False}
    before = make_book("audnexus", **full)
    assert values_of(offer(before, "audnexus", **{name: blank})) == values_of(read(before))


def test_no_source_drops_an_author_and_what_it_says_is_noted() -> None:
    book = offer(make_book("audnexus", authors=["Ann", "Ben"]), "audnexus", authors=["Ben"])
    assert book.author_names == ["Ann", "Ben"]
    assert book.provenance["authors"]["offered"] == {
        "value": ["Ben"],
        "source": "audnexus",
        "why": "it would drop Ann",
        "at": NOW.isoformat(),
    }
    agreed = offer(book, "audnexus", authors=["Ann", "Ben"])
    assert "offered" not in agreed.provenance["authors"], "the source came round"


def test_series_are_added_and_placed_but_never_taken_away() -> None:
    book = offer(
        make_book(series=[["Tide", ""], ["Coast", "2"]]), "audnexus", series=[["the tide", "9"], ["TIDE", "3"]]
    )
    assert values_of(book)["series"] == [["Coast", "2"], ["Tide", "3"], ["the tide", "9"]]
    book = offer(make_book("audnexus", series=[["Tide", "1"]]), "open_library", series=[["Tide", "7"]])
    assert values_of(book)["series"] == [["Tide", "1"]]


def test_the_files_of_the_person_may_take_back_what_they_said() -> None:
    book = offer(make_book(FOLDER, subtitle="A tale", authors=["Ann", "Ben"]), FOLDER, subtitle="", authors=["Ben"])
    assert (book.subtitle, book.author_names) == ("", ["Ben"])


def test_a_persons_edit_is_locked_and_shows_what_the_source_says(admin_user: User) -> None:
    book = make_book("audnexus", publisher="Old", authors=["Ann"])
    edit(book, {"publisher": "Mine", "authors": ["Ann", "Cy"]}, by=admin_user)
    book = offer(book, "audnexus", publisher="New", authors=["Ann"])
    assert (book.publisher, book.author_names) == ("Mine", ["Ann", "Cy"])
    assert book.provenance["publisher"]["offered"]["value"] == "New"
    edit(book, {}, by=admin_user, unlock=frozenset({"publisher"}))
    book = offer(book, "audnexus", publisher="New")
    assert book.publisher == "New", "whoever unlocks a field wants it written"


@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [
        ("narrators", ["Typo"], ["Mara Quill"]),
        ("authors", ["Ann", "Typo"], ["Ann"]),
        ("genres", ["Typo"], ["Fantasy"]),
        ("series", [["Typo", "1"]], [["Tide", "2"]]),
    ],
)
def test_a_list_that_a_person_unlocked_gives_way(name: str, wrong: Any, right: Any, admin_user: User) -> None:
    """Found: what was mistyped stayed for good, for no source drops a name."""
    book = make_book("audnexus", **{name: right})
    edit(book, {name: wrong}, by=admin_user)
    assert values_of(offer(book, "audnexus", **{name: right}))[name] == wrong, "it is locked"
    edit(read(book), {}, by=admin_user, unlock=frozenset({name}))
    assert values_of(offer(book, "audnexus", **{name: []}))[name] == wrong, "never blank"
    book = offer(book, "audnexus", **{name: right})
    assert values_of(book)[name] == right
    assert book.provenance[name] == {"source": "audnexus", "at": NOW.isoformat()}
    if name in ("narrators", "authors"):
        assert values_of(offer(book, "audnexus", **{name: ["Other"]}))[name] == right, "from here on as ever"


def test_a_person_may_blank(admin_user: User) -> None:
    book = make_book("audnexus", publisher="Old")
    edit(book, {"publisher": ""}, by=admin_user)
    assert offer(book, "audnexus", publisher="New").publisher == ""


def test_an_alias_is_no_other_author() -> None:
    book = make_book("audnexus", authors=["Ann"])
    AuthorAlias.objects.create(name="A. Writer", key="awriter", of=Author.objects.get(name="Ann"))
    edit_free = offer(book, FOLDER, authors=["A. Writer"])
    assert edit_free.author_names == ["Ann"]
    assert not Author.objects.filter(name="A. Writer").exists()


def test_order_of_authors_is_kept() -> None:
    names = ["Zoe", "Ann", "Mia"]
    assert read(make_book(authors=names)).author_names == names


def test_an_undo_leaves_what_was_changed_again_since(admin_user: User) -> None:
    book = make_book(FOLDER, publisher="Old", subtitle="One")
    _, change = apply(
        read(book), offers_of(BookFacts(publisher="New", subtitle="Two"), "audnexus"), why="test", now=NOW
    )
    assert change is not None
    edit(book, {"publisher": "Mine"}, by=admin_user)
    assert undo(change) == ["publisher"]
    book = read(book)
    assert (book.publisher, book.subtitle) == ("Mine", "One")
    assert book.provenance["publisher"]["source"] == PERSON


@pytest.mark.parametrize(
    ("kind", "name", "written", "other"),
    [
        ("narrator", "narrators", ["Mara Quill", "Ben"], ["Mara Quille"]),
        ("author", "authors", ["Mara Quill", "Mara Quille"], ["Mara Quille"]),
        ("genre", "genres", ["Mara Quill", "Ben"], ["Mara Quille"]),
        ("series", "series", [["Mara Quill", "1"], ["Ben", ""]], [["Mara Quille", "1"]]),
    ],
)
def test_an_undo_takes_back_names_that_were_merged_since(
    kind: str, name: str, written: Any, other: Any, admin_user: User
) -> None:
    """Found: they were left, as if somebody had written them since."""
    book = make_book()
    before = values_of(book)
    make_book(**{name: other})
    offers = {name: Offer(written, "audnexus")}
    _, change = apply(read(book), offers, why="test", now=NOW)
    assert change is not None
    model = MODELS[name].objects
    kept = merging.merge(kind, model.get(name="Mara Quille").pk, model.get(name="Mara Quill").pk, by=admin_user).kept
    merging.rename(kind, kept, "Quite Another")
    assert values_of(read(book)) != before
    assert undo(change) == []
    assert values_of(read(book)) == before and read(book).provenance == book.provenance


NAMES = st.lists(st.sampled_from(["Ann", "Ben", "Cy", "Zoë", "É. O'Neil"]), unique=True)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
FACTS = st.builds(
    BookFacts,
    title=TEXT,
    subtitle=TEXT,
    description=TEXT,
    publisher=TEXT,
    authors=NAMES.map(lambda names: tuple(Contributor(name=name) for name in names)),
    narrators=NAMES.map(tuple),
    genres=NAMES.map(tuple),
    series=NAMES.map(lambda names: tuple(SeriesPlace(name=name, position="1-3") for name in names)),
    runtime=st.none() | st.integers(1, 10**6),
    abridged=st.none() | st.booleans(),
)
SOURCES = st.sampled_from([FOLDER, "audnexus", "open_library", "hardcover"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=FACTS, second=FACTS, third=FACTS, sources=st.tuples(SOURCES, SOURCES, SOURCES))
def test_undoing_all_changes_restores_every_field_to_the_byte(
    first: BookFacts, second: BookFacts, third: BookFacts, sources: tuple[str, str, str]
) -> None:
    offers = {name: each for name, each in offers_of(first, sources[0]).items()}
    book = new_book(Work.objects.create(title="x", key="x"), offers, now=NOW)
    before, provenance = values_of(read(book)), read(book).provenance
    changes = []
    for facts, source in ((second, sources[1]), (third, sources[2])):
        _, change = apply(read(book), offers_of(facts, source), why="test", now=NOW)
        changes.append(change)
    for change in reversed(changes):
        if change is not None:
            assert undo(change) == []
    after = read(book)
    assert values_of(after) == before
    told = {name: {k: v for k, v in entry.items() if k != "offered"} for name, entry in after.provenance.items()}
    assert {name: entry for name, entry in told.items() if entry} == provenance


@settings(max_examples=200, deadline=None)
@given(first=FACTS, second=FACTS, sources=st.tuples(SOURCES, SOURCES))
def test_no_offer_makes_a_book_say_less(first: BookFacts, second: BookFacts, sources: tuple[str, str]) -> None:
    values = {name: {"authors": [], "narrators": [], "genres": [], "series": []}.get(name, "") for name in FIELDS}
    values |= {"runtime": None, "abridged": None}
    values |= {name: offer.value for name, offer in offers_of(first, sources[0]).items()}
    provenance = {name: {"source": sources[0]} for name in values}
    if sources == (FOLDER, FOLDER):
        return
    for name, accepted in decide(values, provenance, offers_of(second, sources[1])).accepted.items():
        assert accepted.value not in ("", [], None)
        if name in ("authors", "narrators"):
            assert set(values[name]) <= set(accepted.value)
        if name == "series":
            assert {series for series, _ in values[name]} <= {series for series, _ in accepted.value}


def test_facts_of_a_book_say_what_was_written() -> None:
    facts = BookFacts(
        title="Low Water",
        authors=(Contributor(name="Ann"),),
        series=(SeriesPlace(name="Tide", position="0.5"),),
        narrators=("Ben",),
        runtime=3600,
        asin="B0TESTAA03",
        isbns=("9780000000002",),
        abridged=False,
        language="en",
    )
    book = new_book(Work.objects.create(title="x", key="x"), offers_of(facts, "audnexus"), now=NOW)
    assert facts_of(read(book)) == facts


def test_names_that_are_read_without_rows_are_the_same_until_they_are_written() -> None:
    several = {
        "authors": ["Ilse Varga", "Bo Lind"],
        "narrators": ["Zoe Kern", "Adam Orr"],
        "genres": ["Sea", "Crime"],
        "series": [["The Coast", "2"], ["Salt", "1-3"]],
    }
    books = [make_book(**several), make_book(), make_book(authors=["Bo Lind"], series=[["Salt", ""]])]
    bare = list(Book.objects.order_by("pk"))
    with CaptureQueriesContext(connection) as asked:
        read_names(bare)
        found = [values_of(book) for book in bare]
    assert len(asked) == 4
    assert found == [values_of(read(book)) for book in books]
    more = [*several["narrators"], "Mia Holt"]
    apply(bare[0], {"narrators": Offer(more, "audnexus")}, why="test", now=NOW)
    assert values_of(bare[0]) == {**found[0], "narrators": more}


def test_same_is_by_spelling() -> None:
    assert is_same("authors", ["J. R. Ännchen"], ["JR Annchen"])
    assert not is_same("authors", ["Ann", "Ben"], ["Ben", "Ann"]), "their order counts"


# --- the work ---------------------------------------------------------------------------------------------------------


def recording(title: str, author: str) -> Book:
    """As an import records it."""
    facts = BookFacts(source="list", title=title, authors=(Contributor(name=author),), runtime=Book.objects.count() + 1)
    item = str(Book.objects.count())
    now = NOW
    return owning.record(owning.Held(library="list", item=item, facts=facts), now=now)[0]


def test_a_book_follows_its_title_and_authors_to_the_work_they_mean(admin_user: User) -> None:
    """Found: it stayed with recordings of another book."""
    salt, other, wind = (recording(*each) for each in (("Salt", "Ann"), ("Salt", "Ben"), ("Wind", "Ann")))
    same = edit(recording("Salt", "Ann"), {"language": "de", "subtitle": "x"}, by=admin_user)
    assert same is not None and read(same.book).work == read(salt).work
    edit(salt, {"authors": ["Ben"]}, by=admin_user)
    assert read(salt).work == read(other).work
    moved = edit(wind, {"title": "Salt", "authors": ["Ben"]}, by=admin_user)
    assert moved is not None
    assert read(wind).work == read(other).work
    assert not Work.objects.filter(title="Wind").exists(), "nothing hangs on it"
    undo(moved)
    assert read(wind).work != read(other).work and read(wind).work.title == "Wind"


def test_another_recording_is_of_the_work_of_a_book_that_a_refresh_has_renamed() -> None:
    """Found: only the title that the work was made with was looked for."""
    author = Author.objects.create(name="Ilse Varga", key="ilsevarga")
    other = Author.objects.create(name="Tomas Reed", key="tomasreed")
    work = work_of("salt cd1", [author])
    offers = {"title": Offer("salt cd1", "folder"), "authors": Offer(["Ilse Varga"], "folder")}
    book = new_book(work, offers, now=NOW)
    apply(book, {"title": Offer("Salt", "audnexus")}, why="refresh", now=NOW)
    assert work_of("Salt", [author]) == work_of("Salt CD1", [author]) == work
    assert work_of("Salt", [other]) != work and work_of("Sea", [author]) != work


def test_a_work_of_one_recording_is_renamed_and_one_of_several_is_left(admin_user: User) -> None:
    one = recording("Slat", "Ann")
    edit(one, {"title": "Salt"}, by=admin_user)
    assert (read(one).work_id, read(one).work.title) == (one.work_id, "Salt")
    assert recording("Salt", "Ann").work == read(one).work, "found by its new title"
    edit(one, {"title": "Another"}, by=admin_user)
    assert sorted(Work.objects.values_list("title", flat=True)) == ["Another", "Salt"]
    assert read(one).work.title == "Another"
