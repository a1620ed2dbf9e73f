"""A library of the first release, brought up to date."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from audiobooks.models import Book, Work, with_names


@pytest.fixture
def first_release(transactional_db: None) -> Iterator[MigrationExecutor]:
    executor = MigrationExecutor(connection)
    newest = [node for node in executor.loader.graph.leaf_nodes() if node[0] == "audiobooks"]
    executor.migrate([("audiobooks", "0002_roles")])
    yield MigrationExecutor(connection)
    MigrationExecutor(connection).migrate(newest)


def test_books_keep_their_names_in_order_and_get_works(first_release: MigrationExecutor) -> None:
    apps = first_release.loader.project_state([("audiobooks", "0002_roles")]).apps
    book, author, narrator = (apps.get_model("audiobooks", name) for name in ("Book", "Author", "Narrator"))
    people = {name: author.objects.create(name=name, key=name.lower()) for name in ("Zoe", "Ann", "Ben")}
    rows = [
        ("a", "Low Water", ["Zoe", "Ann"], "2019"),
        ("b", "Low water!", ["Ann"], ""),
        ("c", "Low Water", ["Ben"], "2020"),
        ("d", "Low Water", [], ""),
    ]
    for path, title, authors, year in rows:
        made = book.objects.create(path=path, title=title, year=year)
        for name in authors:
            made.authors.add(people[name])
    reader = narrator.objects.create(name="Mia", key="mia")
    book.objects.get(path="a").narrators.add(reader)

    executor = MigrationExecutor(connection)
    executor.migrate([node for node in executor.loader.graph.leaf_nodes() if node[0] == "audiobooks"])

    books = {each.path: each for each in with_names(Book.objects.all())}
    assert books["a"].author_names == ["Zoe", "Ann"]
    assert books["a"].narrator_names == ["Mia"]
    assert [books[path].released for path, *_ in rows] == ["2019", "", "2020", ""]
    assert {each.standing for each in books.values()} == {"owned"}
    assert books["a"].work == books["b"].work, "one title by one of the same authors"
    assert len({books[path].work_id for path in "acd"}) == 3
    assert Work.objects.count() == 3
