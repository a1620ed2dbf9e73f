"""Tasks: the history. Written by the scheduler; a person looks, cancels and retries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import quote, unquote
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import slugify

from scheduling.display import NOTHING, change_url, length, moment, status_label, two_lines, zone_of
from scheduling.models import Task

from .posting import MOST_AT_ONCE, ReadOnly, SchedulingAdmin, perform_each, post_action
from .task_list import TaskChangeList
from .task_log import LEVELS, LINES_SHOWN, LogQuestion, shown_log
from .task_texts import laid_out, pretty, table_of

CHUNKS_AT_A_TIME = 200
RETRIES_SHOWN = 20
LONGEST_LEFT = timedelta(days=100)
"""What would take longer is no estimate."""


@admin.register(Task)
class TaskAdmin(ReadOnly, SchedulingAdmin):
    """The list takes its filters from the address, see `task_list.TaskFilterForm`:

    `?job=mam_scraping&status=failed,lost&cause=manual&date_from=2026-11-01&date_to=2026-11-30&duration=over_10m&q=MAM`.
    Days are of the person's time zone; `job=-` is for Tasks without a Job.
    """

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
    list_select_related = ["job", "requested_by"]
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    ordering = ["-pk"]
    sortable_by = ()
    actions = ["cancel_selected", "retry_selected"]
    list_disable_select_all = True
    change_list_template = "admin/scheduling/task/change_list.html"
    change_form_template = "admin/scheduling/task/change_form.html"
    fields = ["status"]

    class Media:
        css = {"all": ["scheduling/task.css"]}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[TaskChangeList]:
        return TaskChangeList

    def get_queryset(self, request: HttpRequest) -> Any:
        queryset = super().get_queryset(request)
        if request.resolver_match and request.resolver_match.url_name == "scheduling_task_changelist":
            return queryset.defer("result", "checkpoint", "error_message", "arguments", "reason")
        return queryset.select_related("job", "requested_by", "owner", "retry_of")

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        steps = [
            path(f"<path:object_id>/{step}/", wrap(getattr(self, f"{step}_view")), name=f"scheduling_task_{step}")
            for step in ("cancel", "retry", "live", "log")
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
    def fire_column(self, task: Task) -> SafeString | str:
        return _day_and_time(task.fire_time)

    @admin.display(description="started")
    def started_column(self, task: Task) -> SafeString | str:
        return _day_and_time(task.started_at)

    def ran(self, task: Task) -> SafeString:
        return format_html('<span class="scheduling-nowrap">{}</span>', length(task.duration))

    def items(self, task: Task) -> SafeString | str:
        if not task.items_processed:
            return NOTHING
        failed = f", {task.items_failed:,} failed" if task.items_failed else ""
        return two_lines(f"{task.items_processed:,}", f"{task.items_succeeded:,} ok{failed}")

    def progress(self, task: Task) -> SafeString | str:
        if not task.is_active:
            return NOTHING
        return render_to_string("scheduling/admin/progress.html", {"task": task, "left": time_left(task)})

    # --- in bulk -----------------------------------------------------------------------------------------------------

    @admin.action(description="Cancel", permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Task]) -> None:
        self._each(request, queryset, lambda _, request, task: _cancel(task))

    @admin.action(description="Retry", permissions=["retry"])
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[Task]) -> None:
        self._each(request, queryset, lambda _, request, task: task.retry(user=request.user))

    def _each(
        self, request: HttpRequest, queryset: QuerySet[Task], verb: Callable[[Any, HttpRequest, Any], str | Task]
    ) -> None:
        # Oldest first, as they would run; and read anew, since the list leaves out what a retry copies.
        ids = list(queryset.order_by("pk").values_list("pk", flat=True)[: MOST_AT_ONCE + 1])
        perform_each(self, request, Task.objects.filter(pk__in=ids).order_by("pk"), verb)

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("scheduling.cancel_task")

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("scheduling.retry_task")

    # --- one Task ----------------------------------------------------------------------------------------------------

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        task: Task = kwargs["obj"]
        question = LogQuestion.asked(request.GET.get("level", ""), request.GET.get("q", ""))
        fields = table_of(task.result)
        context.update(
            state_context(task),
            title=str(task),
            log=shown_log(task, question),
            question=question,
            levels=LEVELS,
            most_lines=LINES_SHOWN,
            error=laid_out(task.error_message),
            arguments=pretty(task.arguments) if task.arguments else "",
            fields=fields,
            result=pretty(task.result) if task.result is not None and not fields else "",
            checkpoint=pretty(task.checkpoint) if task.checkpoint else "",
            retries=list(task.retries.order_by("pk")[:RETRIES_SHOWN]),
            person_url=_url_of_person(request, task),
        )
        return super().render_change_form(request, context, *args, **kwargs)

    @post_action("scheduling.cancel_task")
    def cancel_view(self, request: HttpRequest, task: Task) -> str:
        return _cancel(task)

    @post_action("scheduling.retry_task")
    def retry_view(self, request: HttpRequest, task: Task) -> Task:
        return task.retry(user=request.user)

    def live_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What changes while a Task is active, for the page's script. `after` is the last chunk of log it has.

        JSON: active, status, processed, total, the state as a piece of HTML, log (text), last (its chunk or null),
        more (whether there is more log already).
        """
        task = self._task_to_look_at(request, object_id)
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
                "state": render_to_string("scheduling/admin/task_state.html", state_context(task)),
                "log": "".join(text for _, text in chunks),
                "last": chunks[-1][0] if chunks else None,
                "more": len(chunks) == CHUNKS_AT_A_TIME,
            }
        )

    def log_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """The whole log as a file, read from the database while it is sent."""
        task = self._task_to_look_at(request, object_id)
        name = slugify(task.task_name)[:60] or "task"
        return StreamingHttpResponse(
            _log_in_pieces(task),
            content_type="text/plain; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}-{task.pk}.log"'},
        )

    def _task_to_look_at(self, request: HttpRequest, object_id: str) -> Task:
        """Raises:
        PermissionDenied, Http404
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        task: Task | None = self.get_object(request, unquote(object_id))
        if task is None:
            raise Http404
        return task


def _cancel(task: Task) -> str:
    task.cancel()
    return "Cancelled." if task.status == Task.Status.CANCELLED else "Asked to stop."


def _day_and_time(value: datetime | None) -> SafeString | str:
    if value is None:
        return NOTHING
    local = timezone.localtime(value)
    return two_lines(f"{local:%a} {local.day} {local:%b %Y}", f"{local:%H:%M:%S %Z}")


def _log_in_pieces(task: Task) -> Iterator[str]:
    last = -1
    while chunks := list(task.log_chunks.filter(seq__gt=last).order_by("seq").values_list("seq", "text")[:100]):
        yield "".join(text for _, text in chunks)
        last = chunks[-1][0]


def _url_of_person(request: HttpRequest, task: Task) -> str:
    """The page of who asked for it; empty where there is none or it may not be seen."""
    people = get_user_model()
    if task.requested_by_id is None or not admin.site.is_registered(people):
        return ""
    label = people._meta
    if not request.user.has_perm(f"{label.app_label}.view_{label.model_name}"):
        return ""
    return reverse(f"admin:{label.app_label}_{label.model_name}_change", args=[quote(task.requested_by_id)])


# --- what changes while it runs ---------------------------------------------------------------------------------------


def state_context(task: Task) -> dict[str, Any]:
    """For the template of a Task's state."""
    return {"task": task, "times": times_of(task), "left": time_left(task)}


def times_of(task: Task) -> list[tuple[str, SafeString | str, SafeString | str]]:
    """What, when in the person's zone, and when in the Job's zone where its clock shows another time."""
    moments = {
        "Due": task.fire_time,
        "Queued": task.date_created,
        "Started": task.started_at,
        "Ended": task.finished_at,
    }
    zone = zone_of(task.job) if task.job else None
    return [
        (
            name,
            moment(value),
            moment(value, zone)
            if value and zone and timezone.localtime(value).utcoffset() != timezone.localtime(value, zone).utcoffset()
            else "",
        )
        for name, value in moments.items()
        if value or name != "Due"
    ]


def time_left(task: Task) -> timedelta | None:
    """If it goes on at the pace so far; None where that says nothing."""
    if task.status != Task.Status.RUNNING or task.started_at is None or not task.items_processed:
        return None
    if task.progress_total is None or task.items_processed >= task.progress_total:
        return None
    so_far = (timezone.now() - task.started_at).total_seconds()
    seconds = so_far * ((task.progress_total - task.items_processed) / task.items_processed)
    return timedelta(seconds=seconds) if 0 < seconds < LONGEST_LEFT.total_seconds() else None
