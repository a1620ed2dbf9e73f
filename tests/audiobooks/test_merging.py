"""Merging of names: nothing doubled, nothing lost, and back exactly as it was."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audiobooks import fields
from audiobooks.fields import Offer, new_book, values_of
from audiobooks.library.albums import key_of
from audiobooks.merging import KINDS, add_alias, merge, rename, split, undo_merge
from audiobooks.models import Author, AuthorAlias, Authorship, Book, Follow, Genre, Merge, Series, SeriesEntry, Work
from audiobooks.names import rows_of
from scheduling.exceptions import NotAllowedNow

pytestmark = pytest.mark.django_db
VALUES: dict[str, Callable[[list[str]], Any]] = {
    "author": list,
    "narrator": list,
    "genre": list,
    "series": lambda names: [[name, str(number + 1)] for number, name in enumerate(names)],
}
FIELD = {"author": "authors", "narrator": "narrators", "genre": "genres", "series": "series"}


@pytest.fixture
def by(db: None) -> User:
    return User.objects.create_user("ann")


def make_book(title: str, **values: Any) -> Book:
    offers = {name: Offer(value, "folder") for name, value in {"title": title, **values}.items()}
    return new_book(Work.objects.create(title=title, key=key_of(title)), offers, now=timezone.now())


def row(kind: str, name: str) -> Any:
    return KINDS[kind].model.objects.get(name=name)


def everything(kind: str) -> Any:
    """Names, aliases and links, as they would look to anybody."""
    own = KINDS[kind]
    links = own.through.objects.values_list("book__title", f"{own.column}__name", *([own.place] if own.place else []))
    return (
        sorted(own.model.objects.values_list("name", "key")),
        sorted(own.alias.objects.values_list("name", "key", "of__name")),
        sorted(links),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_merge_moves_the_books_once_and_is_undone_exactly(kind: str, by: User) -> None:
    listed = VALUES[kind]
    make_book("only old", **{FIELD[kind]: listed(["Other", "Old"])})
    make_book("both", **{FIELD[kind]: listed(["Old", "New"])})
    make_book("only new", **{FIELD[kind]: listed(["New"])})
    add_alias(kind, row(kind, "Old").pk, "Oldest")
    before = everything(kind)
    done = merge(kind, row(kind, "New").pk, row(kind, "Old").pk, by=by)
    names, aliases, links = everything(kind)
    assert [name for name, _ in names] == ["New", "Other"]
    assert aliases == [("Old", "old", "New"), ("Oldest", "oldest", "New")]
    assert sorted(link[:2] for link in links) == [
        ("both", "New"), ("only new", "New"), ("only old", "New"), ("only old", "Other")
    ]  # fmt: skip
    assert done.by == by
    undo_merge(done)
    assert everything(kind) == before
    with pytest.raises(NotAllowedNow):
        undo_merge(done)


@pytest.mark.parametrize("kind", KINDS)
def test_the_old_name_leads_to_the_kept_row(kind: str, by: User) -> None:
    rows_of(KINDS[kind].model, ["Old", "New"])
    merge(kind, row(kind, "New").pk, row(kind, "Old").pk, by=by)
    assert rows_of(KINDS[kind].model, ["OLD!", "New"]) == [row(kind, "New")]


def test_a_source_that_uses_the_old_name_changes_nothing(by: User) -> None:
    """Neither does it count as one that would drop a name, nor is it noted beside the field."""
    book = make_book("x", authors=["J. Smith"], series=[["Saga", "1"]], genres=["SF"])
    rows_of(Author, ["John Smith"])
    rows_of(Series, ["The Saga"])
    merge("author", row("author", "John Smith").pk, row("author", "J. Smith").pk, by=by)
    merge("series", row("series", "The Saga").pk, row("series", "Saga").pk, by=by)
    book = Book.objects.get(pk=book.pk)
    offers = {"authors": Offer(["J. Smith"], "audnexus"), "series": Offer([["Saga", "1"]], "audnexus")}
    decision, change = fields.apply(book, offers, why="refresh", now=timezone.now())
    assert not decision.refused and change is None
    assert values_of(Book.objects.get(pk=book.pk))["authors"] == ["John Smith"]
    assert values_of(Book.objects.get(pk=book.pk))["series"] == [["The Saga", "1"]]


def test_a_position_that_only_the_gone_series_had_is_kept_and_given_back(by: User) -> None:
    book = make_book("x", series=[["New", ""], ["Old", "3"]])
    make_book("y", series=[["New", "7"], ["Old", "3"]])
    before = everything("series")
    done = merge("series", row("series", "New").pk, row("series", "Old").pk, by=by)
    assert values_of(Book.objects.get(pk=book.pk))["series"] == [["New", "3"]]
    assert SeriesEntry.objects.get(book=book).order == 3
    undo_merge(done)
    assert everything("series") == before


@pytest.mark.parametrize("first", [0, 1])
def test_merges_of_merged_rows_are_undone_in_any_order(first: int, by: User) -> None:
    for name in "ABC":
        make_book(f"by {name}", authors=[name])
    before = everything("author")
    one = merge("author", row("author", "B").pk, row("author", "A").pk, by=by)
    two = merge("author", row("author", "C").pk, row("author", "B").pk, by=by)
    assert Merge.objects.filter(kept=row("author", "C").pk).count() == 2
    for done in ([one, two], [two, one])[first]:
        undo_merge(done)
    assert everything("author") == before
    assert not AuthorAlias.objects.exists()


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_a_book_that_several_of_the_merged_have_is_given_back_to_each(
    kind: str, order: tuple[int, ...], by: User
) -> None:
    """A into B, that and D into C; each undoing leaves what the others alone would have made."""
    place = VALUES[kind]
    for names in ("AC", "AD", "BC", "ABC", "A", "D"):
        make_book(names, **{FIELD[kind]: place(list(names))})
    if kind == "series":
        make_book("unplaced", series=[["A", "2"], ["B", ""], ["C", ""], ["D", "4"]])
    before = everything(kind)
    owned = {(title, name) for title, name, *_ in before[2]}
    into = {"A": "B", "B": "C", "D": "C"}
    done = [merge(kind, row(kind, kept).pk, row(kind, gone).pk, by=by) for gone, kept in into.items()]
    for at in order:
        undo_merge(done[at])
        del into[done[at].name]
        called = {name: into.get(into.get(name, name), into.get(name, name)) for name in "ABCD"}
        assert {(title, name) for title, name, *_ in everything(kind)[2]} == {
            (title, called[name]) for title, name in owned
        }
    assert everything(kind) == before


def test_a_name_that_was_given_back_goes_with_what_it_was_merged_with_next(by: User) -> None:
    make_book("by A", authors=["A"])
    rows_of(Author, ["B", "C", "D"])
    one = merge("author", row("author", "B").pk, row("author", "A").pk, by=by)
    two = merge("author", row("author", "C").pk, row("author", "B").pk, by=by)
    undo_merge(one)
    merge("author", row("author", "D").pk, row("author", "A").pk, by=by)
    merge("author", row("author", "C").pk, row("author", "D").pk, by=by)
    undo_merge(two)
    assert AuthorAlias.objects.get(name="A").of == row("author", "C")
    assert Book.objects.get().author_names == ["C"]


def scopes(kind: str) -> dict[str, str]:
    return dict(Follow.objects.values_list(f"{kind}__name", "scope"))


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(
    "followed", [{"A": "all"}, {"A": "none", "C": "all"}, {"A": "future", "B": "none"}, {"C": "all"}]
)
@pytest.mark.parametrize("kind", ["author", "series"])
def test_what_is_followed_goes_along_and_back(kind: str, followed: dict[str, str], first: int, by: User) -> None:
    for name in rows_of(KINDS[kind].model, list("ABC")):
        if scope := followed.get(name.name):
            Follow.objects.create(**{kind: name}, scope=scope, since="2026-01-02", by=by)
    before = list(Follow.objects.order_by("pk").values())
    one = merge(kind, row(kind, "B").pk, row(kind, "A").pk, by=by)
    two = merge(kind, row(kind, "C").pk, row(kind, "B").pk, by=by)
    assert scopes(kind) == {"C": followed.get("C") or followed.get("B") or followed["A"]}
    for done in ([one, two], [two, one])[first]:
        undo_merge(done)
    assert scopes(kind) == followed
    after = list(Follow.objects.order_by("pk").values("pk", "scope", "from_number", "since", "by_id"))
    assert after == [{"pk": each["id"], **{name: each[name] for name in list(after[0])[1:]}} for each in before]


def test_what_a_person_has_followed_anew_since_stays(by: User) -> None:
    old, new = rows_of(Author, ["Old", "New"])
    Follow.objects.create(author=old, scope="all", since="2026-01-02")
    done = merge("author", new.pk, old.pk, by=by)
    Follow.objects.update(scope="none")
    undo_merge(done)
    assert scopes("author") == {"New": "none", "Old": "all"}


def test_what_a_person_changed_since_stays(by: User) -> None:
    taken, left = make_book("taken", authors=["Old"]), make_book("left", authors=["Old"])
    rows_of(Author, ["New"])
    done = merge("author", row("author", "New").pk, row("author", "Old").pk, by=by)
    fields.edit(taken, {"authors": ["Somebody Else"]}, by=by)
    undo_merge(done)
    assert values_of(Book.objects.get(pk=taken.pk))["authors"] == ["Somebody Else"]
    assert values_of(Book.objects.get(pk=left.pk))["authors"] == ["Old"]


@pytest.mark.parametrize(("gone", "kept"), [(True, False), (False, True), (True, True), (False, False)])
def test_a_genre_that_is_looked_at_stays_so(gone: bool, kept: bool, by: User) -> None:
    old = Genre.objects.create(name="Old", key="old", enabled=gone)
    new = Genre.objects.create(name="New", key="new", enabled=kept)
    done = merge("genre", new.pk, old.pk, by=by)
    assert row("genre", "New").enabled == (gone or kept)
    undo_merge(done)
    assert (row("genre", "Old").enabled, row("genre", "New").enabled) == (gone, kept)


def test_what_cannot_be_merged(by: User) -> None:
    one, two = rows_of(Author, ["One", "Two"])
    with pytest.raises(NotAllowedNow, match="itself"):
        merge("author", one.pk, one.pk, by=by)
    merge("author", one.pk, two.pk, by=by)
    with pytest.raises(NotAllowedNow, match="not there any more"):
        merge("author", one.pk, two.pk, by=by)
    assert Merge.objects.count() == 1


def test_another_name_is_somebody_else(by: User) -> None:
    make_book("x", authors=["Old"])
    (new,) = rows_of(Author, ["New"])
    merge("author", new.pk, row("author", "Old").pk, by=by)
    add_alias("author", new.pk, "Pen Name")
    assert list(split("author", AuthorAlias.objects.get(name="Old").pk).books.values_list("title", flat=True)) == ["x"]
    assert not split("author", AuthorAlias.objects.get(name="Pen Name").pk).books.exists()
    assert not AuthorAlias.objects.exists()
    assert Merge.objects.get().undone_at is not None


def test_names_are_added_and_changed() -> None:
    one, two = rows_of(Author, ["One", "Two"])
    add_alias("author", one.pk, " Uno ")
    add_alias("author", one.pk, "uno")
    assert list(AuthorAlias.objects.values_list("name", "of__name")) == [("Uno", "One")]
    for wrong in ("Two", "one", "…", "x" * 256):
        with pytest.raises(NotAllowedNow):
            add_alias("author", one.pk, wrong)
    with pytest.raises(NotAllowedNow, match="Uno is another name of One"):
        add_alias("author", two.pk, "Uno")
    with pytest.raises(NotAllowedNow, match="merge the two"):
        rename("author", one.pk, "TWO")
    rename("author", one.pk, "ONE")
    assert AuthorAlias.objects.count() == 1
    rename("author", one.pk, "Uno")
    assert list(AuthorAlias.objects.values_list("name", "of__name")) == [("ONE", "Uno")]
    assert rows_of(Author, ["one"]) == [Author.objects.get(name="Uno")]


def test_thousands_of_books_cost_no_more_queries_than_some(by: User) -> None:
    def cost(books: int) -> int:
        Author.objects.all().delete()
        old, new = rows_of(Author, ["Old", "New"])
        work = Work.objects.create(title="w", key="w")
        Book.objects.all().delete()
        Book.objects.bulk_create(Book(work=work, title=str(number)) for number in range(books))
        Authorship.objects.bulk_create(Authorship(book=book, author=old, number=0) for book in Book.objects.all())
        with CaptureQueriesContext(connection) as queries:
            done = merge("author", new.pk, old.pk, by=by)
        assert new.books.count() == books
        with CaptureQueriesContext(connection) as undoing:
            undo_merge(done)
        assert row("author", "Old").books.count() == books
        assert len(undoing) <= 18 + 4 * (books // 500 + 1)
        return len(queries)

    assert cost(3000) == cost(3) <= 20


@pytest.mark.django_db(transaction=True)
def test_two_people_merge_crosswise_at_once() -> None:
    by = User.objects.create_user("ann")
    for number in range(20):
        make_book(str(number), authors=["One", "Two"] if number % 2 else ["Two"])
    one, two = row("author", "One").pk, row("author", "Two").pk
    start, refused = threading.Barrier(2), []

    def work(kept: int, gone: int) -> None:
        try:
            start.wait()
            merge("author", kept, gone, by=by)
        except NotAllowedNow as error:
            refused.append(str(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=pair) for pair in ((one, two), (two, one))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1 and "quicker" in refused[0]
    assert Author.objects.count() == AuthorAlias.objects.count() == 1
    assert Authorship.objects.count() == 20
