"""Jobs: what runs when; pause, resume, run now, edit."""

from __future__ import annotations

import json
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import display

from scheduling.exceptions import SchedulingError
from scheduling.models import Job, Task
from scheduling.registry import registry
from scheduling.triggers import TriggerError, dst_note, fire_times

from .posting import perform, post_action

PREVIEWED = 10


class JobForm(forms.ModelForm):  # type: ignore[type-arg]
    function = forms.ChoiceField(help_text="What is run. Functions are found in the tasks.py of the installed apps.")

    class Meta:
        model = Job
        exclude = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = registry.choices()
        current = self.instance.function
        if current and current not in registry:
            choices.append((current, f"{current} (this program has no such function)"))
        if "function" in self.fields:
            self.fields["function"].choices = choices  # type: ignore[attr-defined]


@admin.register(Job)
class JobAdmin(ModelAdmin):  # type: ignore[misc]
    form = JobForm
    list_display = ["name", "id", "state_label", "schedule", "next_run", "last_run", "buttons"]
    list_display_links = ["name"]
    list_select_related = ["runtime"]
    list_per_page = 50
    search_fields = ["id", "name", "function"]
    list_filter = ["trigger"]
    actions = ["run_selected", "pause_selected", "resume_selected"]
    readonly_fields = ["preview", "difference"]
    change_form_template = "admin/scheduling/job/change_form.html"
    fieldsets = [
        ("What runs", {"fields": ["id", "name", "function", "arguments"]}),
        ("When", {"fields": ["trigger", "cron", "interval", "anchor", "run_at", "timezone", "preview"]}),
        (
            "Under which policy",
            {
                "fields": [
                    "max_instances", "overlap", "coalesce", "misfire_grace", "timeout", "retries", "retry_delay",
                    "difference",
                ]
            },
        ),
    ]  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        last = Task.objects.filter(job=OuterRef("pk")).exclude(started_at=None).order_by("-pk")
        jobs: QuerySet[Job] = super().get_queryset(request)
        return jobs.annotate(
            **{
                f"last_{name}": Subquery(last.values(name)[:1])
                for name in ("pk", "status", "started_at", "finished_at")
            }
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Job | None = None) -> list[str]:
        return [*self.readonly_fields, *(["id"] if obj else [])]

    def save_model(self, request: HttpRequest, obj: Job, form: Any, change: bool) -> None:
        obj.save_definition()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        for job in queryset:
            job.delete()

    def get_urls(self) -> list[URLPattern]:
        views = [
            path(
                f"<path:object_id>/{verb}/",
                self.admin_site.admin_view(getattr(self, f"{verb}_view")),
                name=f"scheduling_job_{verb}",
            )
            for verb in ("run", "pause", "resume", "restore")
        ]
        return [*views, *super().get_urls()]

    # --- the list ----------------------------------------------------------------------------------------------------

    @display(  # type: ignore[untyped-decorator]
        description="state", label={"active": "success", "paused": "warning", "unresolvable": "danger", "ended": "info"}
    )
    def state_label(self, job: Job) -> str:
        return job.state

    def schedule(self, job: Job) -> str:
        return job.schedule_in_words()

    @admin.display(description="next run", ordering="runtime__next_run_time")
    def next_run(self, job: Job) -> str:
        if job.is_paused and job.paused_until is None:
            return f"paused: {job.paused_reason}" if job.paused_reason else "paused"
        return _local(job.next_run_time, job) if job.next_run_time else "–"

    def last_run(self, job: Any) -> SafeString | str:
        if job.last_pk is None:
            return "never"
        task = Task(
            pk=job.last_pk, status=job.last_status, started_at=job.last_started_at, finished_at=job.last_finished_at
        )
        seconds = task.duration.total_seconds() if task.duration else 0
        url = reverse("admin:scheduling_task_change", args=[task.pk])
        return format_html('<a href="{}">{} in {} s</a>', url, task.get_status_display(), f"{seconds:.1f}")

    def buttons(self, job: Job) -> SafeString:
        verbs = [("run", "Run now"), ("resume", "Resume") if job.is_paused else ("pause", "Pause")]
        # Buttons of the list's own form, which carries the CSRF token; links would change things by GET.
        rows = ((reverse(f"admin:scheduling_job_{verb}", args=[job.pk]), text) for verb, text in verbs)
        html = '<button type="submit" formmethod="post" formaction="{}" class="underline mr-3">{}</button>'
        return format_html_join("", html, rows)

    # --- one Job -----------------------------------------------------------------------------------------------------

    @admin.display(description="next runs")
    def preview(self, job: Job) -> SafeString | str:
        if job._state.adding:
            return "Shown once it is saved."
        try:
            trigger = job.build_trigger()
        except TriggerError as error:
            return str(error)
        times = fire_times(trigger, start=timezone.now(), count=PREVIEWED)
        rows = ((_local(moment, job, seconds=True), dst_note(moment, trigger)) for moment in times)
        return format_html(
            "{} ({})<ul>{}</ul>", trigger.in_words(), job.zone, format_html_join("", "<li>{} {}</li>", rows)
        )

    @admin.display(description="differs from default")
    def difference(self, job: Job) -> SafeString | str:
        rows = ((name, was, now) for name, (was, now) in job.differences_from_default().items())
        return format_html_join("", "<div>{}: {} in code, {} here</div>", rows) or "no"

    @post_action("scheduling.run_job")
    def run_view(self, request: HttpRequest, job: Job) -> str:
        text = request.POST.get("arguments", "").strip()
        try:
            arguments = json.loads(text) if text else {}
        except json.JSONDecodeError as error:
            raise SchedulingError(f"The arguments are not JSON ({error}).") from None
        if not isinstance(arguments, dict):
            raise SchedulingError('Write the arguments as a JSON object, e.g. {"limit": 20}.')
        task = job.run_now(arguments=arguments, user=request.user)
        return f"Run queued as Task {task.pk}."

    @post_action("scheduling.pause_job")
    def pause_view(self, request: HttpRequest, job: Job) -> str:
        until = None
        if text := request.POST.get("until", "").strip():
            until = parse_datetime(text)
            if until is None:
                raise SchedulingError(f"{text} is not a date and time; write e.g. 2026-12-24T00:00.")
            if timezone.is_naive(until):
                until = timezone.make_aware(until)
            if until <= timezone.now():
                raise SchedulingError("A pause must end in the future.")
        job.pause(reason=request.POST.get("reason", ""), until=until)
        return f"Paused{f' until {until:%Y-%m-%d %H:%M %Z}' if until else ''}."

    @post_action("scheduling.pause_job")
    def resume_view(self, request: HttpRequest, job: Job) -> str:
        job.resume()
        return "Resumed."

    @post_action("scheduling.change_job")
    def restore_view(self, request: HttpRequest, job: Job) -> str:
        job.restore_default()
        return "Brought back to what the code declares."

    # --- in bulk -----------------------------------------------------------------------------------------------------

    @admin.action(description="Run now", permissions=["run"])
    def run_selected(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._each(
            request, queryset, lambda _, request, job: f"Run queued as Task {job.run_now(user=request.user).pk}."
        )

    @admin.action(description="Pause", permissions=["pause"])
    def pause_selected(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._each(request, queryset, lambda _, request, job: job.pause() or "Paused.")

    @admin.action(description="Resume", permissions=["pause"])
    def resume_selected(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._each(request, queryset, lambda _, request, job: job.resume() or "Resumed.")

    def _each(self, request: HttpRequest, queryset: QuerySet[Job], verb: Any) -> None:
        for job in queryset:
            perform(self, request, job, verb)

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("scheduling.run_job")

    def has_pause_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("scheduling.pause_job")


def _local(moment: Any, job: Job, *, seconds: bool = False) -> str:
    try:
        zone = ZoneInfo(job.zone)
    except (KeyError, ValueError):
        zone = ZoneInfo("UTC")
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M{':%S' if seconds else ''} %Z}"
