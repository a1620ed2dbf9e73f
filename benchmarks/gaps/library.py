"""The books of goodbooks with a third of each series missing, and second recordings of some that are owned.

Beyond the 10,000 of the file each series comes again under another name, so that there are as many more series.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import islice

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from audiobooks.facts import BookFacts
from audiobooks.fields import new_books, offers_of
from audiobooks.library.albums import key_of
from audiobooks.models import Book, Follow, Series, Work
from benchmarks.refresh.library import LAST, catalogue

SEED = 7
TOGETHER = 500


@dataclass(frozen=True)
class Row:
    """A book of the library. again: a second recording of one that is owned, under its work or one of its own."""

    facts: BookFacts
    is_owned: bool
    again: bool = False
    same_work: bool = False


@dataclass(frozen=True)
class Member:
    """A book at its place in a series. key: of its row in the database."""

    key: int
    title: str
    position: str
    authors: tuple[str, ...]
    asin: str
    is_owned: bool
    again: bool


@dataclass
class Made:
    series: dict[str, list[Member]] = field(default_factory=dict)
    owned: int = 0
    missing: int = 0
    again: int = 0


def fill(count: int) -> Made:
    """Write them to the database. All is wanted of every series, in every language that there is."""
    call_command("migrate", verbosity=0)
    User.objects.create_superuser("admin")
    books = list(_renamed(catalogue(count)))
    settings.RELEASE_LANGUAGES = sorted({book.language for book in books} - {""})
    made, rows = Made(), iter(_rows(books))
    while part := list(islice(rows, TOGETHER)):
        _write(made, part)
    keys = Series.objects.values_list("pk", flat=True)
    Follow.objects.bulk_create(
        (Follow(series_id=key, scope=Follow.Scope.ALL, since=date(2020, 1, 1)) for key in keys), batch_size=TOGETHER
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return made


def _renamed(books: Iterator[BookFacts]) -> Iterator[BookFacts]:
    for number, book in enumerate(books):
        again = number // 10_000
        places = tuple(replace(place, name=f"{place.name} of {LAST[again % 10]}shire") for place in book.series)
        yield replace(book, series=places) if again else book


def _rows(books: list[BookFacts]) -> Iterator[Row]:
    chance, missing = random.Random(SEED), _missing(books)
    for number, book in enumerate(books):
        is_owned = number not in missing
        yield Row(book, is_owned)
        if book.series and is_owned and chance.random() < 0.2:
            again = replace(book, asin=f"B1{number:08d}", title=f"{book.title} (Unabridged)", narrators=("Ada Moss",))
            yield Row(again, is_owned=False, again=True, same_work=bool(number % 2))


def _missing(books: list[BookFacts]) -> set[int]:
    """A third of each series, at random, but one of it stays owned."""
    chance, members = random.Random(SEED), _members(books)
    missing: set[int] = set()
    for several in members.values():
        for number in chance.sample(several, len(several) // 3):
            if all(set(members[place.name]) - missing > {number} for place in books[number].series):
                missing.add(number)
    return missing


def _members(books: Iterable[BookFacts]) -> dict[str, list[int]]:
    members: dict[str, list[int]] = {}
    for number, book in enumerate(books):
        for place in book.series:
            members.setdefault(place.name, []).append(number)
    return members


def _write(made: Made, rows: list[Row]) -> None:
    wanted, works, last = [], [], None
    for row in rows:
        title = row.facts.title[:512]
        is_same = row.same_work and last is not None
        work = last if is_same and last else Work(title=title, key=key_of(title))
        if not is_same:
            works.append(work)
        last = work
        standing = Book.Standing.OWNED if row.is_owned else Book.Standing.KNOWN
        wanted.append((work, offers_of(row.facts, "list"), {"standing": standing}))
    Work.objects.bulk_create(works)
    for row, book in zip(rows, new_books(wanted, now=timezone.now()), strict=True):
        made.owned += row.is_owned
        made.again += row.again
        made.missing += not row.is_owned and not row.again
        for place in {key_of(place.name): place for place in reversed(row.facts.series)}.values():
            authors = tuple(author.name for author in row.facts.authors)
            member = Member(book.pk, row.facts.title, place.position, authors, row.facts.asin, row.is_owned, row.again)
            made.series.setdefault(key_of(place.name), []).append(member)
