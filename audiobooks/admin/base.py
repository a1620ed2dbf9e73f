"""What the pages of the library share."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from unfold.paginator import InfinitePage, InfinitePaginator
from unfold.views import ChangeList

from scheduling.admin.posting import ReadOnly, SchedulingAdmin


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
