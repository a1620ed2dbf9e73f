"""Which book a library or an export means, and that it is owned or wanted there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from .facts import BookFacts
from .fields import apply, facts_of, new_book, offers_of
from .library.albums import key_of
from .matching.choose import choose
from .matching.compare import Verdict
from .models import Author, Book, Holding, LibraryFile, with_names
from .names import rows_of, work_of

ALIKE = 20
"""Books of one title that are compared at most."""
_HIGHEST = (Book.Standing.OWNED, Book.Standing.WANTED, Book.Standing.KNOWN)


@dataclass(frozen=True, kw_only=True)
class Held:
    """A book as a library or an export names it. `library` and `item` are its identity there.

    own_path: its path in our own library folder, where that is known.
    """

    library: str
    item: str
    facts: BookFacts
    standing: Book.Standing = Book.Standing.OWNED
    path: str = ""
    own_path: str = ""
    formats: tuple[str, ...] = ()
    size: int | None = None


def record(held: Held, *, now: datetime) -> tuple[Book, bool]:
    """Find or make its book, and write down that it is there. Returns the book, and whether it is new."""
    with transaction.atomic():
        holding = Holding.objects.filter(library=held.library, item=held.item).select_related("book").first()
        book = holding.book if holding else find_book(held.facts, own_path=held.own_path)
        offers = offers_of(held.facts, held.facts.source)
        is_new = book is None
        if book is None:
            work = work_of(held.facts.title, rows_of(Author, held.facts.author_names))
            book = new_book(work, offers, now=now, standing=held.standing)
        else:
            apply(with_names(Book.objects.all()).get(pk=book.pk), offers, why=f"read from {held.library}", now=now)
        standing = min(book.standing, held.standing, key=_HIGHEST.index)
        Book.objects.filter(pk=book.pk).update(standing=standing, missing_since=None)
        columns: dict[str, Any] = {
            **{"book": book, "path": held.path[:1024], "formats": list(held.formats), "size": held.size},
            **{"seen_at": now, "missing_since": None},
        }
        Holding.objects.update_or_create(library=held.library, item=held.item, defaults=columns)
    return book, is_new


def find_book(facts: BookFacts, *, own_path: str = "") -> Book | None:
    """The book these facts are of: by its place, its ASIN, or as a strong match of title, authors and the rest."""
    if own_path and (book := Book.objects.filter(path=own_path).first()):
        return book
    if facts.asin and (book := Book.objects.filter(asin=facts.asin).order_by("pk").first()):
        return book
    alike = list(with_names(_of_title(facts))[:ALIKE])
    matches = choose(facts, [replace(facts_of(book), source="book", id=str(book.pk)) for book in alike])
    for match in matches[:1]:
        if match.verdict is Verdict.STRONG and match.same_recording is not False:
            return next(book for book in alike if str(book.pk) == match.theirs.id)
    return None


def _of_title(facts: BookFacts) -> QuerySet[Book]:
    titles = {facts.title, facts.title.partition(":")[0], f"{facts.title} {facts.subtitle}"}
    keys = {key for title in titles if (key := key_of(title))}
    return Book.objects.filter(work__key__in=keys).order_by("pk")


def mark_missing(library: str, *, before: datetime) -> int:
    """What a whole reading of the library that began at `before` did not name is missing there. Nothing is deleted."""
    gone = Holding.objects.filter(library=library, seen_at__lt=before, missing_since=None)
    count = gone.update(missing_since=before)
    mark_books_missing(before)
    return count


def mark_books_missing(now: datetime) -> None:
    """Books that are owned, and in no library any more."""
    files = LibraryFile.objects.filter(book=OuterRef("pk"), missing_since=None)
    holdings = Holding.objects.filter(book=OuterRef("pk"), missing_since=None)
    there = Book.objects.filter(standing=Book.Standing.OWNED, missing_since=None)
    gone = there.exclude(Exists(files)).exclude(Exists(holdings)).values_list("pk", flat=True)
    for pks in _parts(list(gone)):
        Book.objects.filter(pk__in=pks).update(missing_since=now)


def _parts(values: list[int]) -> list[list[int]]:
    # SQLite takes a bounded number of parameters in a statement.
    return [values[start : start + 500] for start in range(0, len(values), 500)]
