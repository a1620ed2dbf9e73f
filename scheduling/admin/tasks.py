"""Tasks: the history. Written by the scheduler; a person looks, cancels and retries."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.paginator import InfinitePaginator

from scheduling.display import NOTHING, change_url, length, moment, status_label, two_lines
from scheduling.models import Job, Task
from scheduling.redaction import redact

from .posting import ReadOnly, SchedulingAdmin, post_action

CHUNKS_AT_A_TIME = 200
RETRIES_SHOWN = 20


class JobFilter(admin.SimpleListFilter):
    """The Jobs from their own small table, not by DISTINCT over the history."""

    title = "job"
    parameter_name = "job"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(Job.objects.order_by("name").values_list("pk", "name")[:200])

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(job_id=self.value()) if self.value() else queryset


@admin.register(Task)
class TaskAdmin(ReadOnly, SchedulingAdmin):
    list_display = [
        "title",
        "status_column",
        "job_column",
        "cause_column",
        "fire_column",
        "started_column",
        "ran",
        "items",
        "progress",
    ]
    list_filter = ["status", "cause", JobFilter, "date_created"]
    search_fields = ["task_name", "job__id"]
    search_help_text = "task name or job id"
    list_select_related = ["job", "requested_by"]
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = InfinitePaginator
    ordering = ["-pk"]
    sortable_by = ()
    change_form_template = "admin/scheduling/task/change_form.html"
    fields = ["status"]

    def get_queryset(self, request: HttpRequest) -> Any:
        queryset = super().get_queryset(request)
        if request.resolver_match and request.resolver_match.url_name == "scheduling_task_changelist":
            return queryset.defer("result", "checkpoint", "error_message", "arguments", "reason")
        return queryset.select_related("job", "requested_by", "owner", "retry_of")

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        steps = [
            path(f"<path:object_id>/{step}/", wrap(getattr(self, f"{step}_view")), name=f"scheduling_task_{step}")
            for step in ("cancel", "retry", "live")
        ]
        return [*steps, *super().get_urls()]

    # --- the list ----------------------------------------------------------------------------------------------------

    @admin.display(description="task")
    def title(self, task: Task) -> SafeString:
        return two_lines(task.task_name, f"#{task.pk}")

    @admin.display(description="status")
    def status_column(self, task: Task) -> SafeString:
        return status_label(task)

    @admin.display(description="job")
    def job_column(self, task: Task) -> SafeString | str:
        if task.job is None:
            return NOTHING
        return format_html('<a href="{}" class="scheduling-wrap">{}</a>', change_url(task.job), task.job)

    @admin.display(description="cause")
    def cause_column(self, task: Task) -> str:
        return str(task.requested_by or task.get_cause_display())

    @admin.display(description="fire time")
    def fire_column(self, task: Task) -> str:
        return moment(task.fire_time)

    @admin.display(description="started")
    def started_column(self, task: Task) -> str:
        return moment(task.started_at)

    def ran(self, task: Task) -> SafeString:
        return format_html('<span class="scheduling-nowrap">{}</span>', length(task.duration))

    def items(self, task: Task) -> SafeString | str:
        if not task.items_processed:
            return NOTHING
        return two_lines(f"{task.items_processed:,}", f"{task.items_succeeded:,} ok, {task.items_failed:,} failed")

    def progress(self, task: Task) -> SafeString | str:
        return render_to_string("scheduling/admin/progress.html", {"task": task}) if task.is_active else NOTHING

    # --- one Task ----------------------------------------------------------------------------------------------------

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        task: Task = kwargs["obj"]
        chunks = list(task.log_chunks.order_by("seq").values_list("seq", "text"))
        context.update(
            task=task,
            title=str(task),
            log="".join(text for _, text in chunks),
            last=chunks[-1][0] if chunks else -1,
            arguments=_pretty(task.arguments) if task.arguments else "",
            result=_pretty(task.result) if task.result is not None else "",
            checkpoint=_pretty(task.checkpoint) if task.checkpoint else "",
            retries=list(task.retries.order_by("pk")[:RETRIES_SHOWN]),
        )
        return super().render_change_form(request, context, *args, **kwargs)

    @post_action("scheduling.cancel_task")
    def cancel_view(self, request: HttpRequest, task: Task) -> str:
        task.cancel()
        return "Cancelled." if task.status == Task.Status.CANCELLED else "Asked to stop."

    @post_action("scheduling.retry_task")
    def retry_view(self, request: HttpRequest, task: Task) -> Task:
        return task.retry(user=request.user)

    def live_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What changes while a Task is active, for the page's script. `after` is the last chunk of log it has.

        JSON: active, status, processed, total, the state as a piece of HTML, log (text), last (its chunk or null).
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        task = self.get_object(request, unquote(object_id))
        if task is None:
            raise Http404
        after = request.GET.get("after", "")
        # The status was read before the log, so the log of a Task that has ended is whole.
        newer = task.log_chunks.filter(seq__gt=int(after) if after.isdecimal() and len(after) < 10 else -1)
        chunks = list(newer.order_by("seq").values_list("seq", "text")[:CHUNKS_AT_A_TIME])
        return JsonResponse(
            {
                "active": task.is_active,
                "status": task.get_status_display(),
                "processed": task.items_processed,
                "total": task.progress_total,
                "state": render_to_string("scheduling/admin/task_state.html", {"task": task}),
                "log": "".join(text for _, text in chunks),
                "last": chunks[-1][0] if chunks else None,
            }
        )


def _pretty(value: Any) -> str:
    return redact(json.dumps(value, indent=2, ensure_ascii=False))
