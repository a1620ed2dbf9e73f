"""Books: what is known of each and who says so; a person edits, takes what a source says, undoes and refreshes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from audiobooks import fields
from audiobooks.covers import place_of
from audiobooks.display import (
    IMPORTANT,
    cover_of,
    in_words,
    label_of,
    lacking,
    moment_of,
    place_in_words,
    shown,
    source_of,
)
from audiobooks.fields import FIELDS, values_of
from audiobooks.models import Book, BookChange, LibraryFile, with_names
from audiobooks.refresh import refresh_one, undo_change
from scheduling.admin.posting import perform, post_action, who
from scheduling.display import NOTHING, change_url, label, moment, two_lines
from scheduling.exceptions import NotAllowedNow
from scheduling.models import Task

from .base import LibraryAdmin, LibraryList
from .book_form import BookForm
from .book_list import (
    PROPOSED,
    BookList,
    CoverFilter,
    LanguageFilter,
    ReviewFilter,
    ThereFilter,
    formats_of,
    listed,
    searched,
)
from .imports import import_urls

SHOWN_FILES = 100
LONG = 300
"""Characters; what has more is folded."""
SHOWN_CHANGES = 20
STANDINGS = {Book.Standing.OWNED: "success", Book.Standing.WANTED: "info", Book.Standing.KNOWN: ""}


@dataclass(frozen=True)
class FieldRow:
    """A field as the page shows it; `offered` is what a source says instead."""

    name: str
    label: str
    value: str
    source: str
    at: datetime | None
    locked: bool
    offered: dict[str, Any] | None

    @property
    def is_unknown(self) -> bool:
        """Neither known nor told of; a blank that a person wrote is known to be so."""
        return self.value == NOTHING and not self.source and not self.offered

    @property
    def is_long(self) -> bool:
        return len(self.value) > LONG


def rows_of_fields(book: Book) -> list[FieldRow]:
    return [_row(name, value, book.provenance.get(name, {})) for name, value in _in_order(values_of(book))]


def _in_order(values: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(name, values[name]) for name in FIELDS]


def _row(name: str, value: Any, known: dict[str, Any]) -> FieldRow:
    offered = known.get("offered")
    if offered is not None:
        said = {"value": shown(name, offered["value"]), "source": source_of(offered["source"])}
        offered = {**offered, **said, "moment": moment_of(offered["at"])}
    return FieldRow(
        name=name,
        label=label_of(name),
        value=shown(name, value),
        source=source_of(known["source"]) if "source" in known else "",
        at=moment_of(known["at"]) if "at" in known else None,
        locked=bool(known.get("locked")),
        offered=offered,
    )


@admin.register(Book)
class BookAdmin(LibraryAdmin):
    linked_lookups = [f"{name}__id__exact" for name in ("authors", "narrators", "genres", "series_entries__series")]
    list_display = [
        "cover_column",
        "title_column",
        "authors_column",
        "series_column",
        "formats_column",
        "standing_column",
        "completeness",
        "added",
    ]
    list_display_links = ["title_column"]
    search_fields = ["title"]
    search_help_text = "title, author, ASIN, ISBN, or path with /"
    list_filter = ["standing", ThereFilter, ReviewFilter, LanguageFilter, CoverFilter]
    list_filter_sheet = True
    ordering = ["title"]
    change_form_template = "audiobooks/admin/book.html"
    change_list_template = "audiobooks/admin/book_list.html"
    fields = ["title"]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[BookList]:
        return BookList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Book]:
        books = super().get_queryset(request).annotate(is_proposed=PROPOSED)
        is_list = request.resolver_match and request.resolver_match.url_name == "audiobooks_book_changelist"
        return listed(books) if is_list else with_names(books)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Book], search_term: str
    ) -> tuple[QuerySet[Book], bool]:
        return searched(queryset, search_term), False

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        steps = [
            path(f"<path:object_id>/{step}/", wrap(getattr(self, f"{step}_view")), name=f"audiobooks_book_{step}")
            for step in ("edit", "take", "unlock", "refresh")
        ]
        cover = path("cover/<path:name>", wrap(self.cover_view, cacheable=True), name="audiobooks_book_cover")
        return [cover, *import_urls(self), *steps, *super().get_urls()]

    # --- the list ----------------------------------------------------------------------------------------------------

    @admin.display(description="cover")
    def cover_column(self, book: Book) -> SafeString:
        return cover_of(book, small=True)

    @admin.display(description="title", ordering="title")
    def title_column(self, book: Book) -> SafeString:
        return format_html('<bdi class="library-title">{}</bdi>', book.title)

    @admin.display(description="authors")
    def authors_column(self, book: Book) -> SafeString | str:
        return _each(book.author_names) or NOTHING

    @admin.display(description="series")
    def series_column(self, book: Book) -> SafeString | str:
        return _each([place_in_words(one.series.name, one.position) for one in book.series_entries.all()]) or NOTHING

    @admin.display(description="formats")
    def formats_column(self, book: Any) -> str:
        return ", ".join(book.formats) or NOTHING

    @admin.display(description="standing")
    def standing_column(self, book: Any) -> SafeString:
        return standing_labels(book)

    @admin.display(description="known")
    def completeness(self, book: Any) -> SafeString:
        lacks = f"lacks {', '.join(book.lacks)}" if book.lacks else "complete"
        return format_html('<span class="library-known" title="{}">{} of {}</span>', lacks, book.known, len(IMPORTANT))

    @admin.display(description="added", ordering="added_at")
    def added(self, book: Book) -> str:
        return f"{book.added_at.day} {book.added_at:%b %Y}"

    # --- one book ----------------------------------------------------------------------------------------------------

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        book: Any = kwargs["obj"]
        files = list(book.files.all()[:SHOWN_FILES])
        lacks, rows = lacking(values_of(book)), rows_of_fields(book)
        context.update(
            title=book.title,
            book=book,
            cover=cover_of(book, small=False),
            labels=standing_labels(book),
            formats=", ".join(formats_of([book.pk]).get(book.pk, [])),
            known=len(IMPORTANT) - len(lacks),
            important=len(IMPORTANT),
            lacks=", ".join(label_of(name) for name in lacks),
            places=list(book.series_entries.all()),
            rows=[row for row in rows if not row.is_unknown],
            unknown=", ".join(row.label for row in rows if row.is_unknown),
            files=files,
            files_in_all=book.files.count(),
            holdings=list(book.holdings.all()[:SHOWN_FILES]),
            matches=list(book.matches.select_related("decided_by")[:SHOWN_FILES]),
            changes=prepared(book.changes.select_related("by", "run")[:SHOWN_CHANGES], request),
            all_changes=reverse("admin:audiobooks_bookchange_changelist", query={"book__id__exact": book.pk}),
            may_change=request.user.has_perm("audiobooks.change_book"),
        )
        return super().render_change_form(request, context, *args, **kwargs)

    def edit_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if not request.user.has_perm("audiobooks.change_book"):
            raise PermissionDenied
        book = self.row_to_look_at(request, object_id)
        form = BookForm(values_of(book), request.POST if request.method == "POST" else None)
        if form.is_valid() and (
            not form.changed or perform(self, request, book, lambda _, request, book: _edit(request, book, form))
        ):
            return HttpResponseRedirect(change_url(book))
        locked = [label_of(name) for name in FIELDS if book.provenance.get(name, {}).get("locked")]
        context = {
            **self.admin_site.each_context(request),
            "title": f"Edit {book}",
            "book": book,
            "opts": self.opts,
            "form": form,
            "media": self.media,
            "locked": ", ".join(locked),
        }
        return TemplateResponse(request, "audiobooks/admin/book_edit.html", context)

    @post_action("audiobooks.change_book")
    def take_view(self, request: HttpRequest, book: Book) -> str:
        name, at = request.POST.get("field", ""), request.POST.get("at", "")
        if fields.take(book, name, said_at=at, by=who(request)) is None:
            raise NotAllowedNow("The source says something else by now; look again.")
        return f"Took the {label_of(name)} that the source says."

    @post_action("audiobooks.change_book")
    def unlock_view(self, request: HttpRequest, book: Book) -> str:
        name = request.POST.get("field", "")
        if not book.provenance.get(name, {}).get("locked"):
            raise NotAllowedNow("That is not locked.")
        fields.edit(book, {}, by=who(request), unlock=frozenset([name]))
        return f"Unlocked the {label_of(name)}: sources may write it again."

    @post_action("audiobooks.change_book")
    def refresh_view(self, request: HttpRequest, book: Book) -> Task:
        return refresh_one(book.pk, by=who(request))

    def cover_view(self, request: HttpRequest, name: str) -> HttpResponseBase:
        if not self.has_view_permission(request):
            raise PermissionDenied
        if (place := place_of(name)) is None:
            raise Http404
        headers = {
            # Its name is made of its content, so what is at an address never changes.
            "Cache-Control": "private, max-age=31536000, immutable",
            "X-Content-Type-Options": "nosniff",
        }
        return FileResponse(place.open("rb"), content_type="image/jpeg", headers=headers)


def _edit(request: HttpRequest, book: Book, form: BookForm) -> str:
    change = fields.edit(book, form.changed, by=who(request))
    if change is None:
        return "It is so already; nothing was changed."
    return f"Changed and locked: {', '.join(label_of(name) for name in change.after)}."


def _each(texts: list[str]) -> SafeString:
    """Each isolated, so that one written from right to left does not turn its neighbours round."""
    return format_html_join(", ", '<bdi class="scheduling-wrap">{}</bdi>', ((text,) for text in texts))


def standing_labels(book: Any) -> SafeString:
    labels = [label(book.get_standing_display(), STANDINGS.get(book.standing, ""))]
    if book.missing_since is not None:
        labels.append(label("missing", "danger"))
    if book.is_proposed:
        labels.append(label("to review", "warning"))
    return format_html(
        '<span class="library-labels">{}</span>', format_html_join(" ", "{}", ((one,) for one in labels))
    )


# --- changes ----------------------------------------------------------------------------------------------------------


def prepared(changes: Any, request: HttpRequest) -> list[Any]:
    """Each with `what` and `may_undo`."""
    may_change = request.user.has_perm("audiobooks.change_book")
    found = list(changes)
    for change in found:
        change.what = in_words(change.before, change.after)
        change.may_undo = may_change and change.undone_at is None
    return found


class ListOfChanges(LibraryList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = prepared(self.result_list, request)


@admin.register(BookChange)
class BookChangeAdmin(LibraryAdmin):
    linked_lookups = ["book__id__exact", "run__id__exact"]
    list_display = ["when", "book_column", "why_column", "what_column", "undo_column"]
    list_display_links = None
    list_select_related = ["by", "run", "book"]
    ordering = ["-pk"]
    sortable_by = ()
    fields = ["when", "book_column", "why", "what_column"]
    readonly_fields = ["when", "book_column", "what_column"]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ListOfChanges]:
        return ListOfChanges

    def get_urls(self) -> list[URLPattern]:
        undo = path(
            "<path:object_id>/undo/", self.admin_site.admin_view(self.undo_view), name="audiobooks_bookchange_undo"
        )
        return [undo, *super().get_urls()]

    @post_action("audiobooks.change_book")
    def undo_view(self, request: HttpRequest, change: BookChange) -> str:
        if change.undone_at is not None:
            raise NotAllowedNow("It was undone already.")
        left = undo_change(change)
        if left:
            return f"Undone, but for what was changed again since: {', '.join(map(label_of, left))}."
        return "Undone."

    @admin.display(description="when")
    def when(self, change: BookChange) -> SafeString | str:
        return moment(change.at)

    @admin.display(description="book")
    def book_column(self, change: BookChange) -> SafeString:
        return format_html(
            '<a href="{}" class="scheduling-wrap"><bdi>{}</bdi></a>', change_url(change.book), change.book
        )

    @admin.display(description="why")
    def why_column(self, change: BookChange) -> SafeString:
        return two_lines(change.why, "undone" if change.undone_at else "")

    @admin.display(description="what")
    def what_column(self, change: BookChange) -> SafeString:
        return what_changed(change)

    @admin.display(description="undo")
    def undo_column(self, change: Any) -> SafeString | str:
        return undo_button(change) if change.may_undo else NOTHING


def what_changed(change: BookChange) -> SafeString:
    what = render_to_string("scheduling/admin/change_what.html", {"what": in_words(change.before, change.after)})
    return format_html("<div>{}</div>", what)


def undo_button(change: BookChange) -> SafeString:
    # A button of the list's own form, which carries the CSRF token.
    return render_to_string("audiobooks/admin/undo_button.html", {"row": change})


# --- files ------------------------------------------------------------------------------------------------------------


@admin.register(LibraryFile)
class LibraryFileAdmin(LibraryAdmin):
    linked_lookups = ["book__id__exact"]
    list_display = ["path", "book", "format", "size", "duration", "error"]
    list_select_related = ["book"]
    paginator = Paginator
    search_fields = ["path"]
    list_filter = [("error", admin.EmptyFieldListFilter), ("missing_since", admin.EmptyFieldListFilter)]
