"""Scheduler processes: who is alive."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.paginator import InfinitePaginator

from scheduling.display import label, moment
from scheduling.models import SchedulerProcess

from .posting import ReadOnly, SchedulingAdmin


@admin.register(SchedulerProcess)
class SchedulerProcessAdmin(ReadOnly, SchedulingAdmin):
    list_display = ["kind", "host", "pid", "state", "since", "heartbeat", "stopped", "outcome"]
    list_filter = ["kind"]
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    paginator = InfinitePaginator
    ordering = ["-pk"]
    sortable_by = ()
    fieldsets = [
        (
            None,
            {"fields": ["kind", "host", "pid", "state", "since", "heartbeat", "stopped", "outcome", "running"]},
        )
    ]
    readonly_fields = ["state", "since", "heartbeat", "stopped", "running"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[SchedulerProcess]:
        # Whether it is alive is told by the database's clock, which the heartbeats are written with.
        alive = SchedulerProcess.objects.alive().filter(pk=OuterRef("pk"))
        queryset: QuerySet[SchedulerProcess] = super().get_queryset(request).annotate(is_alive=Exists(alive))
        return queryset

    def state(self, process: SchedulerProcess) -> SafeString:
        if process.stopped_at:
            return label("stopped", "")
        return label("alive", "success") if process.is_alive else label("dead", "danger")  # type: ignore[attr-defined]

    def since(self, process: SchedulerProcess) -> str:
        return moment(process.started_at)

    @admin.display(description="last heartbeat")
    def heartbeat(self, process: SchedulerProcess) -> str:
        return moment(process.heartbeat_at)

    def stopped(self, process: SchedulerProcess) -> str:
        return moment(process.stopped_at)

    @admin.display(description="Tasks running now")
    def running(self, process: SchedulerProcess) -> int:
        return process.tasks.filter(status="running").count()
