"""Scheduler processes: who is alive."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin

from scheduling.conf import scheduling_settings
from scheduling.models import SchedulerProcess


@admin.register(SchedulerProcess)
class SchedulerProcessAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ["kind", "host", "pid", "started_at", "heartbeat_at", "is_alive", "outcome"]
    list_per_page = 50
    ordering = ["-pk"]

    @admin.display(description="alive", boolean=True)
    def is_alive(self, process: SchedulerProcess) -> bool:
        limit = timedelta(seconds=scheduling_settings().LOST_AFTER)
        return process.stopped_at is None and process.heartbeat_at > timezone.now() - limit

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
