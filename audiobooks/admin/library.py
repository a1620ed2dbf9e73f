"""The library as the scan found it. Written by the scan, so the pages are read-only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.cache import cache
from django.db.models import Count, Q, Value
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import TabularInline

from audiobooks.models import Author, Book, LibraryFile, Narrator, Series, SeriesEntry
from scheduling.admin.dashboard import Facts, register_panel
from scheduling.admin.posting import ReadOnly, SchedulingAdmin

COUNTS_KEPT_SECONDS = 60


class FilesInline(ReadOnly, TabularInline):  # type: ignore[misc]
    model = LibraryFile
    fields = ["path", "format", "size", "duration", "error", "missing_since"]
    per_page = 100


class EntriesInline(ReadOnly, TabularInline):  # type: ignore[misc]
    model = SeriesEntry
    fields = ["series", "position"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("series")


@admin.register(Book)
class BookAdmin(ReadOnly, SchedulingAdmin):
    list_display = ["title", "by", "read_by", "in_series", "runtime", "language", "added_at", "is_there"]
    search_fields = ["title", "authors__name", "asin", "isbn"]
    list_filter = ["abridged", ("missing_since", admin.EmptyFieldListFilter)]
    list_per_page = 50
    show_full_result_count = False
    readonly_fields = ["all_files"]
    inlines = [EntriesInline, FilesInline]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("authors", "narrators", "series_entries__series")

    @admin.display(description="authors")
    def by(self, book: Book) -> str:
        return ", ".join(author.name for author in book.authors.all())

    @admin.display(description="narrators")
    def read_by(self, book: Book) -> str:
        return ", ".join(narrator.name for narrator in book.narrators.all())

    @admin.display(description="series")
    def in_series(self, book: Book) -> str:
        return ", ".join(str(entry) for entry in book.series_entries.all())

    @admin.display(description="files")
    def all_files(self, book: Book) -> str:
        url = reverse("admin:audiobooks_libraryfile_changelist", query={"book__id__exact": book.pk})
        return format_html('<a href="{}">{} in the list of files</a>', url, book.files.count())

    @admin.display(description="there", boolean=True)
    def is_there(self, book: Book) -> bool:
        return book.missing_since is None


@admin.register(Author, Narrator, Series)
class NamedAdmin(ReadOnly, SchedulingAdmin):
    list_display = ["name"]
    search_fields = ["name"]
    list_per_page = 50


@admin.register(LibraryFile)
class LibraryFileAdmin(ReadOnly, SchedulingAdmin):
    list_display = ["path", "book", "format", "size", "duration", "error"]
    list_select_related = ["book"]
    search_fields = ["path"]
    linked_lookups = ["book__id__exact"]
    list_filter = [("error", admin.EmptyFieldListFilter), ("missing_since", admin.EmptyFieldListFilter)]
    list_per_page = 50
    show_full_result_count = False


@register_panel
def library_in_numbers(request: HttpRequest) -> Facts | None:
    """For the first page."""
    seen = [
        label for label, model, *_ in _COUNTED if request.user.has_perm(f"audiobooks.view_{model._meta.model_name}")
    ]
    if not seen:
        return None
    numbers = cache.get_or_set("audiobooks.library_in_numbers", _count, COUNTS_KEPT_SECONDS) or {}
    facts = [
        (label, f"{numbers[label]:,}", _list_url(model, query)) for label, model, _, query in _COUNTED if label in seen
    ]
    return {"title": "Library", "facts": facts}


_COUNTED: list[tuple[str, Any, Q, dict[str, str]]] = [
    ("books", Book, Q(), {}),
    ("missing books", Book, Q(missing_since__isnull=False), {"missing_since__isempty": "0"}),
    ("files with errors", LibraryFile, ~Q(error=""), {"error__isempty": "0"}),
    ("authors", Author, Q(), {}),
    ("series", Series, Q(), {}),
]
"""Label, model, which rows, and the filter of its list that shows them."""


def _count() -> dict[str, int]:
    first, *others = [
        # Grouped by a word of its own, an empty table gives no row, and several counts are one query.
        model.objects.filter(wanted).order_by().annotate(label=Value(label)).values_list("label").annotate(Count("pk"))
        for label, model, wanted, _ in _COUNTED
    ]
    return {label: 0 for label, *_ in _COUNTED} | dict(first.union(*others, all=True))


def _list_url(model: Any, query: dict[str, str]) -> str:
    return reverse(f"admin:audiobooks_{model._meta.model_name}_changelist", query=query or None)
