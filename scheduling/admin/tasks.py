"""Tasks: the history. Written by the scheduler; a person looks, cancels and retries."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, JsonResponse
from django.http.response import Http404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.paginator import InfinitePaginator

from scheduling.models import Job, Task

from .posting import post_action

STATUS_LABELS = {
    "queued": "info",
    "running": "primary",
    "completed": "success",
    "failed": "danger",
    "timed out": "danger",
    "lost": "danger",
    "cancelled": "warning",
    "missed": "warning",
    "skipped": "warning",
}


class JobFilter(admin.SimpleListFilter):
    """The Jobs from their own small table, not by DISTINCT over the history."""

    title = "job"
    parameter_name = "job"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(Job.objects.order_by("name").values_list("pk", "name")[:200])

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(job_id=self.value()) if self.value() else queryset


@admin.register(Task)
class TaskAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ["id", "task_name", "status_label", "cause", "fire_time", "started_at", "ran", "items", "progress"]
    list_filter = ["status", "cause", JobFilter, "date_created"]
    search_fields = ["task_name", "job__id"]
    list_per_page = 50
    list_select_related = ["job"]
    show_full_result_count = False
    paginator = InfinitePaginator
    ordering = ["-pk"]
    change_form_template = "admin/scheduling/task/change_form.html"
    fieldsets = [
        (None, {"fields": ["status_label", "reason", "task_name", "function", "arguments_text", "job", "cause_text"]}),
        (
            "Times",
            {"fields": ["fire_time", "fire_count", "date_created", "started_at", "finished_at", "waited", "ran"]},
        ),
        ("Work", {"fields": ["items", "progress", "error_text", "result_text", "log_text"]}),
        ("Attempts", {"fields": ["attempt", "retry_of", "retried_as", "owner", "worker_pid"]}),
    ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [name for _, options in self.fieldsets for name in options["fields"]]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("result", "checkpoint", "error_message", "arguments")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<path:object_id>/cancel/", wrap(self.cancel_view), name="scheduling_task_cancel"),
            path("<path:object_id>/retry/", wrap(self.retry_view), name="scheduling_task_retry"),
            path("<path:object_id>/live/", wrap(self.live_view), name="scheduling_task_live"),
            *super().get_urls(),
        ]

    # --- columns and fields ------------------------------------------------------------------------------------------

    @display(description="status", label=STATUS_LABELS)  # type: ignore[untyped-decorator]
    def status_label(self, task: Task) -> str:
        return str(task.get_status_display())

    def ran(self, task: Task) -> str:
        return f"{task.duration.total_seconds():.1f} s" if task.duration else "–"

    def waited(self, task: Task) -> str:
        return f"{(task.started_at - task.date_created).total_seconds():.3f} s" if task.started_at else "–"

    def items(self, task: Task) -> str:
        if not task.items_processed:
            return "–"
        return f"{task.items_processed:,}: {task.items_succeeded:,} succeeded, {task.items_failed:,} failed"

    def progress(self, task: Task) -> SafeString | str:
        if not task.progress_total:
            return task.progress_text or "–"
        label = f"{task.items_processed} of {task.progress_total}"
        return format_html(
            '<progress value="{}" max="{}" aria-label="{}">{}</progress> {}',
            task.items_processed, task.progress_total, label, label, task.progress_text,
        )  # fmt: skip

    @admin.display(description="cause")
    def cause_text(self, task: Task) -> str:
        return f"{task.get_cause_display()}{f': {task.requested_by}' if task.requested_by else ''}"

    @admin.display(description="arguments")
    def arguments_text(self, task: Task) -> SafeString | str:
        return format_html("<code>{}</code>", json.dumps(task.arguments)) if task.arguments else "–"

    @admin.display(description="error")
    def error_text(self, task: Task) -> SafeString | str:
        return _block(task.error_message, "task-error")

    @admin.display(description="result")
    def result_text(self, task: Task) -> SafeString | str:
        return _block(json.dumps(task.result, indent=2) if task.result is not None else "", "task-result")

    @admin.display(description="log")
    def log_text(self, task: Task) -> SafeString | str:
        return _block(task.log_output, "task-log", always=True)

    @admin.display(description="retried as")
    def retried_as(self, task: Task) -> SafeString | str:
        rows = ((reverse("admin:scheduling_task_change", args=[retry.pk]), retry) for retry in task.retries.all())
        return format_html_join(", ", '<a href="{}">{}</a>', rows) or "–"

    # --- verbs -------------------------------------------------------------------------------------------------------

    @post_action("scheduling.cancel_task")
    def cancel_view(self, request: HttpRequest, task: Task) -> str:
        task.cancel()
        return "Cancelled." if task.status == Task.Status.CANCELLED else "It was asked to stop."

    @post_action("scheduling.retry_task")
    def retry_view(self, request: HttpRequest, task: Task) -> str:
        return f"Queued again as Task {task.retry(user=request.user).pk}."

    def live_view(self, request: HttpRequest, object_id: str) -> JsonResponse:
        """What changes while a Task is active, for the page's script. `after` is the last chunk it has."""
        task = self.get_object(request, object_id)
        if task is None or not self.has_view_permission(request, task):
            raise Http404
        after = request.GET.get("after", "-1")
        chunks = task.log_chunks.filter(seq__gt=int(after) if after.lstrip("-").isdigit() else -1).order_by("seq")
        rows = list(chunks.values_list("seq", "text")[:100])
        return JsonResponse(
            {
                "active": task.is_active,
                "status": task.get_status_display(),
                "items": self.items(task),
                "processed": task.items_processed,
                "total": task.progress_total,
                "text": task.progress_text,
                "log": "".join(text for _, text in rows),
                "last": rows[-1][0] if rows else None,
            }
        )


def _block(text: str, css_id: str, *, always: bool = False) -> SafeString | str:
    if not text and not always:
        return "–"
    return format_html(
        '<pre id="{}" tabindex="0" class="whitespace-pre-wrap overflow-auto max-h-96">{}</pre>', css_id, text
    )
