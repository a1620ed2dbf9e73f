"""A work: why it is not there yet, what the last search found and why none of it was taken, and what a person says of it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from audiobooks.gaps import SERIES, look_at, mark, unmark
from audiobooks.models import Acquisition, Book, Work, WorkMark, WorkSearch
from scheduling.admin.posting import post_action, who

from .base import LibraryAdmin
from .gaps import DECIDE, board_url, row_of

EDITIONS_SHOWN = 50
CANDIDATES_SHOWN = 50
REASONS_SHOWN = 20
ATTEMPTS_SHOWN = 20


@admin.register(Work)
class WorkAdmin(LibraryAdmin):
    """Reached from the gaps; it has no list of its own."""

    change_form_template = "audiobooks/admin/work.html"
    fields = ["title"]

    class Media:
        css = {"all": ["audiobooks/gaps.css"]}

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        steps = [
            path(
                f"<path:object_id>/{step.replace('_', '-')}/",
                wrap(getattr(self, f"{step}_view")),
                name=f"audiobooks_work_{step}",
            )
            for step in ("ignore", "heard", "take_back")
        ]
        return [*steps, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Work]:
        works: QuerySet[Work] = super().get_queryset(request).select_related("mark__by", "search")
        return works

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:audiobooks_follow_changelist"))

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        work: Any = kwargs["obj"]
        look = look_at(work.pk)
        search: WorkSearch | None = getattr(work, "search", None)
        context.update(
            title=work.title,
            work=work,
            row=row_of(look.gap, may_decide=request.user.has_perm(DECIDE)) if look.gap else None,
            books=[
                (book, reverse("admin:audiobooks_book_change", args=[book.pk]), Book.Standing(book.standing).label)
                for book in look.books[:EDITIONS_SHOWN]
            ],
            places=[(name, position, board_url(SERIES, key)) for key, name, position in look.places],
            mark=getattr(work, "mark", None),
            search=search,
            candidates=_candidates(search.decision) if search else [],
            sources=_sources(search.decision) if search else [],
            attempts=list(Acquisition.objects.filter(work=work)[:ATTEMPTS_SHOWN]),
        )
        return super().render_change_form(request, context, *args, **kwargs)

    @post_action(DECIDE)
    def ignore_view(self, request: HttpRequest, work: Work) -> str:
        mark(work, WorkMark.Kind.IGNORED, by=who(request))
        return "It is ignored, whatever the edition."

    @post_action(DECIDE)
    def heard_view(self, request: HttpRequest, work: Work) -> str:
        mark(work, WorkMark.Kind.HEARD, by=who(request))
        return "It counts as owned: heard elsewhere."

    @post_action(DECIDE)
    def take_back_view(self, request: HttpRequest, work: Work) -> str:
        unmark(work)
        return "It is a gap again, if it was one."


def _candidates(decision: dict[str, Any]) -> list[dict[str, Any]]:
    """Those of the last search, best first, as they were written down."""
    found = decision.get("candidates", [])[:CANDIDATES_SHOWN]
    return [{**each, "reasons": each.get("reasons", [])[:REASONS_SHOWN]} for each in found]


def _sources(decision: dict[str, Any]) -> list[tuple[str, str]]:
    return sorted(decision.get("sources", {}).items())
