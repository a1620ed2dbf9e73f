"""The list of books: its filters, its search, and what it says of each book beside the book's own columns."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.core.cache import cache
from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.http import HttpRequest

from audiobooks.display import IMPORTANT, label_of, lacking
from audiobooks.fields import TEXTS
from audiobooks.library.albums import key_of
from audiobooks.models import (
    Author,
    AuthorAlias,
    Authorship,
    Book,
    Holding,
    LibraryFile,
    ProviderMatch,
    Reading,
    SeriesEntry,
    Work,
)

from .base import WORDS_SEARCHED, LibraryList

LANGUAGES_KEPT_SECONDS = 60

PROPOSED = Exists(ProviderMatch.objects.filter(book=OuterRef("pk"), state=ProviderMatch.State.PROPOSED))


class LanguageFilter(admin.SimpleListFilter):
    title = "language"
    parameter_name = "language"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        languages = cache.get_or_set("audiobooks.languages", _languages, LANGUAGES_KEPT_SECONDS) or []
        return [(language or "-", language or "unknown") for language in languages]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        wanted = self.value()
        return queryset if wanted is None else queryset.filter(language="" if wanted == "-" else wanted)


def _languages() -> list[str]:
    return list(Book.objects.order_by("language").values_list("language", flat=True).distinct()[:200])


class ReviewFilter(admin.SimpleListFilter):
    title = "matches"
    parameter_name = "review"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("waiting", "to be reviewed")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(PROPOSED) if self.value() == "waiting" else queryset


class ThereFilter(admin.SimpleListFilter):
    title = "files"
    parameter_name = "missing_since__isempty"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("0", "missing"), ("1", "there")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() not in ("0", "1"):
            return queryset
        return queryset.filter(missing_since__isnull=self.value() == "1")


class CoverFilter(admin.SimpleListFilter):
    title = "cover"
    parameter_name = "cover"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("none", "no cover"), ("some", "has a cover")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        wanted = {"none": Q(cover=""), "some": ~Q(cover="")}
        return queryset.filter(wanted.get(self.value() or "", Q()))


def searched(books: QuerySet[Book], text: str) -> QuerySet[Book]:
    """Books of an ASIN or ISBN; of a part of a path, which has a slash; or with each word in title or authors."""
    if not (text := text.strip()):
        return books
    if "/" in text:
        return books.filter(pk__in=Book.objects.filter(path__icontains=text).values("pk"))
    named = Book.objects.filter(Q(asin=text.upper()) | Q(isbn=text.replace("-", "")))
    if named.exists():
        return books.filter(pk__in=named.values("pk"))
    words = text.split()
    # A single letter stands in nearly every title.
    for word in ([word for word in words if len(key_of(word)) != 1] or words[:1])[:WORDS_SEARCHED]:
        books = books.filter(_has(word))
    return books


def _has(word: str) -> Q:
    # Each of its own: an index or a narrow table is read through rather than the wide rows of books.
    found = Q(pk__in=Book.objects.filter(title__icontains=word).values("pk"))
    if key := key_of(word):
        aliases = AuthorAlias.objects.filter(key__contains=key).values("of")
        authors = Author.objects.filter(Q(key__contains=key) | Q(pk__in=aliases)).values("pk")
        found |= Q(pk__in=Authorship.objects.filter(author__in=authors).values("book"))
        found |= Q(work__in=Work.objects.filter(key__contains=key).values("pk"))
    return found


def listed(books: QuerySet[Book]) -> QuerySet[Book]:
    """With what the list shows at hand: three queries for any number of books."""
    looks: Any = (
        Prefetch("authorships", Authorship.objects.select_related("author")),
        Prefetch("series_entries", SeriesEntry.objects.select_related("series")),
    )
    some = {
        "has_narrators": Exists(Reading.objects.filter(book=OuterRef("pk"))),
        "has_genres": Exists(Book.genres.through.objects.filter(book=OuterRef("pk"))),
    }
    return books.annotate(**some).defer("provenance").prefetch_related(*looks)


def _lacking(book: Any) -> list[str]:
    values = {name: getattr(book, name) for name in (*TEXTS, "runtime")}
    # Whether there are some is enough.
    some = {"narrators": book.has_narrators or None, "genres": book.has_genres or None}
    return lacking({**values, **some, "authors": book.author_names})


class BookList(LibraryList):
    """A page of the list, each book with `formats`, `known` (a number) and `lacks` (names of fields): one more query."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        formats = formats_of([book.pk for book in self.result_list])
        for book in self.result_list:
            missing = _lacking(book)
            book.formats = formats.get(book.pk, [])
            book.known, book.lacks = len(IMPORTANT) - len(missing), [label_of(name) for name in missing]


def formats_of(books: list[int]) -> dict[int, list[str]]:
    """Book -> formats of its files that are there, and of what other libraries hold of it; one query."""
    files = LibraryFile.objects.filter(book__in=books, missing_since=None).order_by()
    held = Holding.objects.filter(book__in=books, missing_since=None).order_by()
    found: dict[int, set[str]] = {}
    rows = files.values_list("book_id", "format").distinct()
    for book, text in rows.union(held.values_list("book_id", Cast("formats", TextField())), all=True):
        found.setdefault(book, set()).update(json.loads(text) if text.startswith("[") else [text])
    return {book: sorted(formats) for book, formats in found.items()}
