"""What the pages of the library share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.paginator import InfinitePage, InfinitePaginator
from unfold.views import ChangeList

from audiobooks.display import cover_of, day_of
from audiobooks.models import Book
from scheduling.admin.posting import ReadOnly, SchedulingAdmin
from scheduling.display import step_url

WORDS_SEARCHED = 6
"""Of what is written into the search of a list."""


class PagesByKey(InfinitePaginator):  # type: ignore[misc]
    """Pages without a count. The keys of a page are asked for first, so that what is skipped is never read as a whole.

    One key more than the page holds says whether there is another page.
    """

    template_name = "audiobooks/admin/pages.html"
    is_more = False

    def page(self, number: Any) -> Any:
        number = self.validate_number(number)
        start = (number - 1) * self.per_page
        rows = self.object_list
        keys = list(rows.values_list("pk", flat=True)[start : start + self.per_page + 1])
        self.is_more = len(keys) > self.per_page
        # Ordered as the keys are, which are in memory and few.
        found = {row.pk: row for row in rows.order_by().filter(pk__in=keys[: self.per_page])}
        return InfinitePage([found[key] for key in keys[: self.per_page] if key in found], number, self)


class LibraryList(ChangeList):  # type: ignore[misc]
    """Its page is a list in `result_list`."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list: list[Any] = list(self.result_list)
        if isinstance(self.paginator, PagesByKey):
            # The same, since it is not known: Unfold then says nothing of it.
            self.result_count = self.full_result_count = len(self.result_list)
            self.can_show_all = False


class LibraryAdmin(ReadOnly, SchedulingAdmin):
    """Rows that only the steps of their pages change. Nothing is counted, so a page costs the same in a large library."""

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator: Any = PagesByKey

    class Media:
        css = {"all": ["scheduling/task.css", "audiobooks/library.css"]}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[LibraryList]:
        return LibraryList

    def row_to_look_at(self, request: HttpRequest, object_id: str) -> Any:
        """Raises:
        PermissionDenied, Http404
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        if (row := self.get_object(request, object_id)) is None:
            raise Http404
        return row

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(f"audiobooks.view_{self.opts.model_name}")


class InboxList(LibraryList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        inbox: Inbox = self.model_admin
        may_decide = inbox.has_decide_permission(request)
        for row in self.result_list:
            row.steps = inbox.urls_of_steps(row)[: inbox.steps_in_list] if may_decide else []


class Inbox(LibraryAdmin):
    """Rows that wait for a person, who decides in the list, of several at once, or on the page of one."""

    permission: str
    """To decide. Without it there are no buttons, which are the last column."""
    steps: Sequence[str]
    """Each has a view of that name, such as `give_up_view`."""
    steps_in_list: int | None = None
    list_display_links = ["work_column"]
    ordering = ["-pk"]
    sortable_by = ()

    def steps_of(self, row: Any) -> list[tuple[str, str]]:
        """Name and text of what may be done with it now, the likeliest first."""
        raise NotImplementedError

    def urls_of_steps(self, row: Any) -> list[tuple[str, str]]:
        """Address and text."""
        return [(step_url(row, step), text) for step, text in self.steps_of(row)]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[InboxList]:
        return InboxList

    def get_list_display(self, request: HttpRequest) -> list[str]:
        columns = list(self.list_display)
        return columns if self.has_decide_permission(request) else columns[:-1]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        for word in search_term.split()[:WORDS_SEARCHED]:
            places = [(f"{name}__icontains", word) for name in self.search_fields]
            queryset = queryset.filter(Q(*places, _connector=Q.OR))
        return queryset, False

    def get_urls(self) -> list[URLPattern]:
        steps = [
            path(
                f"<path:object_id>/{step.replace('_', '-')}/",
                self.admin_site.admin_view(getattr(self, f"{step}_view")),
                name=f"audiobooks_{self.opts.model_name}_{step}",
            )
            for step in self.steps
        ]
        return [*steps, *super().get_urls()]

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(self.permission)

    @admin.display(description="decide")
    def buttons(self, row: Any) -> SafeString:
        # Buttons of the list's own form, which carries the CSRF token.
        return render_to_string("audiobooks/admin/decide_buttons.html", {"of": str(row), "steps": row.steps})


def cover_or_letter(book: Book | None, title: str, *, small: bool = True) -> SafeString:
    """The cover of the library's book, or a drawn one: nothing is fetched from elsewhere for a look."""
    if book is not None and book.cover:
        return cover_of(book, small=small)
    return render_to_string("audiobooks/admin/cover.html", {"url": "", "small": small, "letter": title.strip()[:1]})


def day_in_list(at: datetime) -> SafeString:
    return format_html('<span class="scheduling-nowrap">{}</span>', day_of(timezone.localdate(at)))
