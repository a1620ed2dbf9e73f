"""Changes of Jobs: who changed what when, and the way back."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.paginator import InfinitePaginator
from unfold.views import ChangeList

from scheduling.changes import label_of, permission_to_undo, undo
from scheduling.display import NOTHING, author_of, change_url, length, moment, short
from scheduling.models import DURATION_FIELDS, MOMENT_FIELDS, Job, JobChange
from scheduling.redaction import blanked, redact

from .posting import ReadOnly, SchedulingAdmin, nothing_done, perform, where_from, who

SHOWN = 20
LONGEST_VALUE = 300


def changes_of(job: Job, request: HttpRequest) -> list[JobChange]:
    """The newest, each with `may_undo` and `what`; one query."""
    found = list(JobChange.objects.filter(job_key=job.pk).select_related("by")[:SHOWN])
    return _prepared(found, request)


def _prepared(changes: list[Any], request: HttpRequest) -> list[Any]:
    for change in changes:
        permission = permission_to_undo(change)
        change.may_undo = permission is not None and request.user.has_perm(permission)
        change.what = in_words(change)
    return changes


class ListOfChanges(ChangeList):  # type: ignore[misc]
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = _prepared(list(self.result_list), request)  # type: ignore[has-type]


@admin.register(JobChange)
class JobChangeAdmin(ReadOnly, SchedulingAdmin):
    list_display = ["when", "job", "kind", "author", "what_column", "undo_column"]
    list_filter = ["kind"]
    search_fields = ["job_key"]
    search_help_text = "job id"
    linked_lookups = ["job_key__exact"]
    list_select_related = ["by"]
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = InfinitePaginator
    ordering = ["-pk"]
    sortable_by = ()
    fields = ["when", "job", "kind", "author", "what_column"]
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[JobChange]:
        is_there = Exists(Job.objects.filter(pk=OuterRef("job_key")))
        queryset: QuerySet[JobChange] = super().get_queryset(request).annotate(is_there=is_there)
        return queryset

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ListOfChanges]:
        return ListOfChanges

    def get_urls(self) -> list[URLPattern]:
        undo_url = path(
            "<int:change_id>/undo/", self.admin_site.admin_view(self.undo_view), name="scheduling_jobchange_undo"
        )
        return [undo_url, *super().get_urls()]

    def undo_view(self, request: HttpRequest, change_id: int) -> HttpResponse:
        change = self.get_object(request, str(change_id))
        if change is None:
            raise Http404
        permission = permission_to_undo(change)
        if not request.user.has_perm(permission or "scheduling.change_job"):
            raise PermissionDenied
        if request.method != "POST":
            may_look = self.has_view_permission(request)
            return nothing_done(
                request, reverse("admin:scheduling_jobchange_changelist" if may_look else "admin:index")
            )
        # In the Job's own history, also where the Job is made again.
        job = Job(pk=change.job_key, name=((change.before or change.after or {}).get("name") or change.job_key)[:255])
        perform(self, request, job, lambda _, request, job: undo(change, by=who(request)))
        may_look = request.user.has_perm("scheduling.view_job") or request.user.has_perm("scheduling.change_job")
        here = reverse("admin:index")
        return HttpResponseRedirect(where_from(request, otherwise=here) if may_look else here)

    @admin.display(description="when")
    def when(self, change: JobChange) -> SafeString | str:
        return moment(change.at)

    @admin.display(description="job")
    def job(self, change: Any) -> SafeString | str:
        if not change.is_there:
            return f"{change.job_key} (deleted)"
        return format_html(
            '<a href="{}" class="scheduling-wrap">{}</a>', change_url(Job(pk=change.job_key)), change.job_key
        )

    @admin.display(description="who")
    def author(self, change: JobChange) -> str:
        return author_of(change)

    @admin.display(description="what")
    def what_column(self, change: JobChange) -> SafeString:
        return render_to_string("scheduling/admin/change_what.html", {"what": in_words(change)})

    @admin.display(description="undo")
    def undo_column(self, change: Any) -> SafeString | str:
        # A button of the list's own form, which carries the CSRF token.
        return render_to_string("scheduling/admin/undo_button.html", {"change": change}) if change.may_undo else NOTHING


def in_words(change: JobChange) -> list[tuple[str, str, str]]:
    """Field, before, after; of a Job that came or went, what it was."""
    if change.before is not None and change.after is not None:
        rows = ((name, change.before[name], change.after[name]) for name in change.changed)
        return [(label_of(name), shown(name, before), shown(name, after)) for name, before, after in rows]
    before, after = (_whole(change.job_key, values) for values in (change.before, change.after))
    return [("job", before, after)]


def _whole(job_id: str, values: dict[str, Any] | None) -> str:
    if values is None:
        return NOTHING
    job = Job.from_snapshot(job_id, values)
    return f"{job.name}: {job.function}, {job.schedule_in_words()}"


def shown(name: str, value: Any) -> str:
    """A value of a snapshot for people."""
    if value is None or value in ("", {}):
        return NOTHING
    if name in DURATION_FIELDS:
        return length(timedelta(seconds=value))
    if name in MOMENT_FIELDS:
        return short(datetime.fromisoformat(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = redact(value if isinstance(value, str) else json.dumps(blanked(value), ensure_ascii=False))
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"
