"""Releases: what the sources offer, to be looked through."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.core.cache import cache
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audiobooks.crawl import searchable
from audiobooks.display import shown
from audiobooks.facts import BookFacts
from audiobooks.fields import FIELDS, offers_of
from audiobooks.models import Book, Release
from scheduling.display import NOTHING, change_url, label

from .base import WORDS_SEARCHED, LibraryAdmin

VALUES_KEPT_SECONDS = 60
MOST_VALUES = 200
SHOWN_BOOKS = 10
DAYS = {"1": "last day", "7": "last 7 days", "30": "last 30 days"}


def _filter_by(name: str) -> type[admin.SimpleListFilter]:
    """By a column's values, which are looked up seldom."""

    class ValueFilter(admin.SimpleListFilter):
        title = parameter_name = name

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            found = cache.get_or_set(f"audiobooks.releases.{name}", lambda: _values(name), VALUES_KEPT_SECONDS) or []
            return [(value or "-", value or "unknown") for value in found]

        def queryset(self, request: HttpRequest, queryset: Any) -> Any:
            wanted = self.value()
            return queryset if wanted is None else queryset.filter(**{name: "" if wanted == "-" else wanted})

    return ValueFilter


def _values(name: str) -> list[str]:
    return list(Release.objects.order_by(name).values_list(name, flat=True).distinct()[:MOST_VALUES])


class DateFilter(admin.SimpleListFilter):
    title = "added"
    parameter_name = "days"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(DAYS.items())

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        wanted = self.value()
        if wanted not in DAYS:
            return queryset
        return queryset.filter(dated_at__gte=timezone.now() - timedelta(days=int(wanted)))


class FreeFilter(admin.SimpleListFilter):
    title = parameter_name = "free"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", "free"), ("0", "not free"), ("-", "unknown")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        wanted = {"1": Q(free=True), "0": Q(free=False), "-": Q(free=None)}
        return queryset.filter(wanted.get(self.value() or "", Q()))


@admin.register(Release)
class ReleaseAdmin(LibraryAdmin):
    list_display = [
        *("title_column", "authors_column", "source", "language_column", "formats_column", "size_column"),
        *("seeders_column", "state_column", "dated"),
    ]
    list_display_links = ["title_column"]
    search_fields = ["search"]
    search_help_text = "words of title, author or narrator"
    list_filter = [_filter_by("source"), _filter_by("language"), _filter_by("format"), FreeFilter, DateFilter]
    list_filter_sheet = True
    ordering = ["-dated_at", "-pk"]
    sortable_by = ()
    change_form_template = "audiobooks/admin/release.html"
    fields = ["title"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Release]:
        releases: QuerySet[Release] = super().get_queryset(request)
        is_list = request.resolver_match and request.resolver_match.url_name == "audiobooks_release_changelist"
        return releases.defer("raw", "facts", "genres", "fetch") if is_list else releases

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Release], search_term: str
    ) -> tuple[QuerySet[Release], bool]:
        for word in searchable(search_term).split()[:WORDS_SEARCHED]:
            queryset = queryset.filter(search__contains=word)
        return queryset, False

    # --- the list ----------------------------------------------------------------------------------------------------

    @admin.display(description="title")
    def title_column(self, release: Release) -> SafeString:
        return format_html('<bdi class="library-title">{}</bdi>', release.title)

    @admin.display(description="authors")
    def authors_column(self, release: Release) -> SafeString | str:
        return format_html("<bdi>{}</bdi>", release.authors) if release.authors else NOTHING

    @admin.display(description="language")
    def language_column(self, release: Release) -> str:
        return release.language or NOTHING

    @admin.display(description="formats")
    def formats_column(self, release: Release) -> str:
        return ", ".join(release.formats) or NOTHING

    @admin.display(description="size")
    def size_column(self, release: Release) -> str:
        return NOTHING if release.size is None else filesizeformat(release.size)

    @admin.display(description="seeders")
    def seeders_column(self, release: Release) -> str:
        return NOTHING if release.seeders is None else f"{release.seeders:,}"

    @admin.display(description="state")
    def state_column(self, release: Release) -> SafeString:
        words = [label("free", "success")] if release.free else []
        words += [label("in the library", "info")] if release.work_id else []
        return format_html("{} {}", *[*words, "", ""][:2])

    @admin.display(description="added")
    def dated(self, release: Release) -> str:
        return f"{release.dated_at.day} {release.dated_at:%b %Y}"

    # --- one release -------------------------------------------------------------------------------------------------

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        release: Release = kwargs["obj"]
        books = Book.objects.filter(work=release.work_id).order_by("pk")[:SHOWN_BOOKS] if release.work_id else []
        may_look = request.user.has_perm("audiobooks.view_book")
        context.update(
            title=release.title,
            release=release,
            state=self.state_column(release),
            said=_said(release),
            told=_told(release),
            # What stands there came out of an answer.
            link=release.link if release.link.startswith(("http://", "https://")) else "",
            books=[(str(book), change_url(book)) for book in books] if may_look else [],
            raw=json.dumps(release.raw, indent=2, ensure_ascii=False, sort_keys=True) if release.raw else "",
        )
        return super().render_change_form(request, context, *args, **kwargs)


def _said(release: Release) -> list[tuple[str, str]]:
    """What it says of the book."""
    offers = offers_of(BookFacts.from_json(release.facts), release.source)
    return [(name, shown(name, offers[name].value)) for name in FIELDS if name in offers]


def _told(release: Release) -> list[tuple[str, str]]:
    """What it says of itself."""
    numbers = ("files", "seeders", "leechers", "fetched")
    told = [
        ("formats", ", ".join(release.formats)),
        ("size", "" if release.size is None else f"{filesizeformat(release.size)} ({release.size:,} bytes)"),
        *((name, "" if (value := getattr(release, name)) is None else f"{value:,}") for name in numbers),
        ("bit rate", "" if release.bitrate is None else f"{release.bitrate} kbit/s"),
        ("free", "" if release.free is None else "yes" if release.free else "no"),
        ("categories", ", ".join(release.genres)),
        ("info hash", release.hash),
    ]
    return [(name, value) for name, value in told if value]
