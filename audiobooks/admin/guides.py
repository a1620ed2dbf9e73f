"""Guides: their text to read and to search, and what changed in it from version to version."""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Count, QuerySet, Value
from django.db.models.functions import Greatest, StrIndex, Substr
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from audiobooks.differences import difference
from audiobooks.models import Guide, GuideVersion
from audiobooks.models.guides import folded
from audiobooks.sources.layout import Part, laid_out
from scheduling.display import NOTHING, label, moment

from .base import LibraryAdmin, LibraryList

SHOWN_CHARACTERS = 150_000
"""Of one text; the whole is a page of plain text."""
SHOWN_VERSIONS = 20
_EXCERPT_BEFORE, _EXCERPT = 60, 180
_LINK = re.compile(r"\[([^\[\]\n]{1,300})\]\((https?://[^\s()<>\"']{1,2000})\)|(https?://[^\s()<>\"'\[\]]{1,2000})")


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("there", "there"), ("gone", "gone"), ("problem", "could not be read")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "problem":
            return queryset.exclude(problem="")
        if self.value() in ("there", "gone"):
            return queryset.filter(missing_since__isnull=self.value() == "there")
        return queryset


class GuideList(LibraryList):
    """Each guide of a page with `versions_seen` and, where something was searched for, `excerpt`: two more queries."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        keys = [guide.pk for guide in self.result_list]
        versions = GuideVersion.objects.filter(guide__in=keys).order_by().values_list("guide").annotate(Count("pk"))
        counts = dict(versions)
        excerpts = _excerpts(keys, self.query)
        for guide in self.result_list:
            guide.versions_seen, guide.excerpt = counts.get(guide.pk, 0), excerpts.get(guide.pk, "")


def _excerpts(keys: list[int], asked: str) -> dict[int, str]:
    """What stands round the longest of the words, as it is searched: without case and accents."""
    word = max(folded(asked).split(), key=len, default="")
    if not word or not keys:
        return {}
    start = Greatest(StrIndex("searched", Value(word)) - _EXCERPT_BEFORE, Value(1))
    return dict(Guide.objects.filter(pk__in=keys).order_by().values_list("pk", Substr("searched", start, _EXCERPT)))


@admin.register(Guide)
class GuideAdmin(LibraryAdmin):
    list_display = ["title_column", "origin_column", "changed", "checked", "versions_column"]
    list_filter = ["origin", StateFilter]
    search_fields = ["title"]
    search_help_text = "words of the title or the text"
    ordering = ["title", "pk"]
    sortable_by = ()
    change_form_template = "audiobooks/admin/guide.html"
    fields = ["title"]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[GuideList]:
        return GuideList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Guide]:
        guides: QuerySet[Guide] = super().get_queryset(request).defer("searched")
        is_list = request.resolver_match and request.resolver_match.url_name == "audiobooks_guide_changelist"
        return guides.defer("text", "searched") if is_list else guides

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        return queryset.searched(search_term), False

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<path:object_id>/text/", wrap(self.text_view), name="audiobooks_guide_text"),
            path("<path:object_id>/versions/<int:number>/", wrap(self.version_view), name="audiobooks_guide_version"),
            *super().get_urls(),
        ]

    # --- the list ----------------------------------------------------------------------------------------------------

    @admin.display(description="title")
    def title_column(self, guide: Any) -> SafeString:
        title = format_html('<bdi class="library-title">{}</bdi>', guide.title)
        state = _state(guide)
        excerpt = (
            format_html('<span class="scheduling-small library-title">…{}…</span>', guide.excerpt)
            if guide.excerpt
            else ""
        )
        return format_html('<span class="scheduling-two"><span>{} {}</span>{}</span>', title, state, excerpt)

    @admin.display(description="origin")
    def origin_column(self, guide: Guide) -> SafeString:
        return format_html(
            '<span class="scheduling-two"><span>{}</span><span class="scheduling-small library-title">{}</span></span>',
            guide.get_origin_display(),
            guide.place,
        )

    @admin.display(description="changed")
    def changed(self, guide: Guide) -> SafeString | str:
        return moment(guide.changed_at)

    @admin.display(description="checked")
    def checked(self, guide: Guide) -> SafeString | str:
        return moment(guide.checked_at)

    @admin.display(description="versions")
    def versions_column(self, guide: Any) -> str:
        return str(guide.versions_seen) if guide.versions_seen else NOTHING

    # --- one guide ---------------------------------------------------------------------------------------------------

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        guide: Guide = kwargs["obj"]
        versions = list(guide.versions.defer("text")[: SHOWN_VERSIONS + 1])
        context.update(
            title=guide.title,
            guide=guide,
            state=_state(guide) or label("there", "success"),
            address=_address(guide),
            versions=[(version, _url(version)) for version in versions[:SHOWN_VERSIONS]],
            is_more=len(versions) > SHOWN_VERSIONS,
            text_url=reverse("admin:audiobooks_guide_text", args=[guide.pk]),
            **_laid_out(guide.text),
        )
        return super().render_change_form(request, context, *args, **kwargs)

    def text_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        guide: Guide = self.row_to_look_at(request, object_id)
        return HttpResponse(guide.text, content_type="text/plain; charset=utf-8")

    def version_view(self, request: HttpRequest, object_id: str, number: int) -> HttpResponse:
        """A version, and what it differs in from the one before."""
        guide: Guide = self.row_to_look_at(request, object_id)
        version = get_object_or_404(guide.versions, pk=number)
        before = guide.versions.filter(pk__lt=version.pk).first()
        after = guide.versions.filter(pk__gt=version.pk).order_by("pk").defer("text").first()
        context = {
            **self.admin_site.each_context(request),
            "title": guide.title,
            "opts": self.opts,
            "media": self.media,
            "guide": guide,
            "version": version,
            "before": before,
            "before_url": _url(before) if before else "",
            "after_url": _url(after) if after else "",
            "difference": difference(_whole(before), _whole(version)) if before else None,
            **_laid_out(version.text),
        }
        return TemplateResponse(request, "audiobooks/admin/guide_version.html", context)


def _whole(version: GuideVersion) -> str:
    return f"{version.title}\n\n{version.text}"


def _url(version: GuideVersion) -> str:
    return reverse("admin:audiobooks_guide_version", args=[version.guide_id, version.pk])


def _state(guide: Guide) -> SafeString | str:
    if guide.missing_since:
        return label("gone", "warning")
    return label("could not be read", "danger") if guide.problem else ""


def _address(guide: Guide) -> str:
    """Where it is on the site; empty of a file."""
    return settings.MAM_URL.rstrip("/") + guide.place if guide.origin == Guide.Origin.SITE else ""


def _laid_out(text: str) -> dict[str, Any]:
    shown = text[:SHOWN_CHARACTERS]
    return {"parts": [_part(part) for part in laid_out(shown)], "is_cut": len(text) > len(shown)}


def _part(part: Part) -> dict[str, Any]:
    rows = [[linked(cell) for cell in row] for row in part.rows]
    return {
        "kind": part.kind,
        # Below the headings of the page itself.
        "level": min(part.level + 2, 6),
        "text": part.text if part.kind == "written" else linked(part.text),
        "items": [(level, marker, linked(said)) for level, marker, said in part.items],
        "head": rows[0] if part.has_head and rows else [],
        "rows": rows[1:] if part.has_head else rows,
    }


def linked(text: str) -> SafeString:
    """Escaped, with the addresses of the web in it as links."""
    pieces: list[SafeString | str] = []
    at = 0
    for found in _LINK.finditer(text):
        pieces.append(text[at : found.start()])
        said, url = (found[1], found[2]) if found[2] else (found[3], found[3])
        pieces.append(format_html('<a class="underline" rel="noreferrer noopener" href="{}">{}</a>', url, said))
        at = found.end()
    pieces.append(text[at:])
    return format_html_join("", "{}", ((piece,) for piece in pieces))
