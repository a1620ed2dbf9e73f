"""What the pages of the library share."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from unfold.paginator import InfinitePaginator

from scheduling.admin.posting import ReadOnly, SchedulingAdmin


class LibraryAdmin(ReadOnly, SchedulingAdmin):
    """Rows that only the steps of their pages change. Nothing is counted, so a page costs the same in a large library."""

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = InfinitePaginator

    class Media:
        css = {"all": ["scheduling/task.css", "audiobooks/library.css"]}

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
