"""Jobs: what runs when; pause, resume, run now, edit."""

from __future__ import annotations

import json
from datetime import datetime
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timeuntil
from unfold.views import ChangeList

from scheduling.argument_forms import ArgumentsForm
from scheduling.changes import label_of
from scheduling.display import (
    NOTHING,
    change_url,
    length,
    moment,
    pause_in_words,
    short,
    state_label,
    status_label,
    step_url,
    two_lines,
    zone_of,
)
from scheduling.exceptions import NotAllowedNow, UnknownJob
from scheduling.forms import JobForm, PauseEverythingForm, PauseForm, ScheduleForm, checked
from scheduling.models import DECLARED_FIELDS, Job, Task
from scheduling.recent import recent_of
from scheduling.redaction import blanked, redact
from scheduling.registry import registry
from scheduling.triggers import TriggerError, dst_note, fire_times

from .changes import changes_of, shown
from .explain import explain_view
from .posting import MOST_AT_ONCE, SchedulingAdmin, are_too_many, perform, perform_each, post_action, who
from .sparkline import sparkline

PREVIEWED = 10
RECENT = 5
WHAT_CHANGING_MEANS = (
    "Whoever may change or add Jobs can have any task function run, with any arguments and at once: give that right "
    "to those only who may run everything."
)


class StateFilter(admin.SimpleListFilter):
    """The states of `Job.state`, asked of the database."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state) for state in ("active", "paused", "ended", "unresolvable")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        known = Q(function__in=[function.name for function in registry])
        paused = Q(pk__in=Job.objects.paused().values("pk"))
        over = Q(runtime__next_run_time=None)
        states = {
            "unresolvable": ~known,
            "paused": known & paused,
            "ended": known & ~paused & over,
            "active": known & ~paused & ~over,
        }
        return queryset.filter(states.get(self.value() or "", Q()))


class JobChangeList(ChangeList):  # type: ignore[misc]
    """A page of the list, with what each Job did last: one more query, however many Jobs."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        jobs: list[Any] = list(self.result_list)  # type: ignore[has-type]
        self.result_list = jobs
        recent = recent_of([job.pk for job in jobs]) if may_see_tasks(request) else {}
        may_run = self.model_admin.has_run_permission(request)
        may_pause = self.model_admin.has_pause_permission(request)
        for job in jobs:
            job.recent = recent.get(job.pk)
            job.steps = _row_steps(job, may_run=may_run, may_pause=may_pause)


def may_see_tasks(request: HttpRequest) -> bool:
    return request.user.has_perm("scheduling.view_task")


def _row_steps(job: Job, *, may_run: bool, may_pause: bool) -> list[tuple[str, str]]:
    steps = []
    if may_run and job.task_function is not None:
        steps.append((step_url(job, "run"), "Run now"))
    if may_pause:
        verb = "resume" if job.is_paused else "pause"
        steps.append((step_url(job, verb), verb.capitalize()))
    return steps


@admin.register(Job)
class JobAdmin(SchedulingAdmin):
    form = JobForm
    list_display = ["title", "state_column", "schedule", "next_run", "last_run", "trend", "buttons"]
    list_select_related = ["runtime"]
    search_fields = ["id", "name", "function"]
    list_filter = [StateFilter, "trigger"]
    show_facets = admin.ShowFacets.NEVER
    actions = ["run_selected", "pause_selected", "resume_selected"]
    change_form_template = "admin/scheduling/job/change_form.html"
    change_list_template = "admin/scheduling/job/change_list.html"
    readonly_fields = ["preview", "arguments_shown", "anchor_shown", "run_at_shown"]
    fieldsets = [
        ("What runs", {"fields": ["id", "name", "function", "arguments"], "description": WHAT_CHANGING_MEANS}),
        ("When", {"fields": ["trigger", "cron", "interval", "anchor", "run_at", "timezone", "preview"]}),
        (
            "Under which policy",
            {
                "fields": [
                    "max_instances",
                    "overlap",
                    "coalesce",
                    "misfire_grace",
                    "timeout",
                    "retries",
                    "retry_delay",
                ]
            },
        ),
    ]

    # Not Unfold's conditional_fields: they make each field a name in scripts, and one of ours is `function`.

    class Media:
        js = ["scheduling/preview.js"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        jobs: QuerySet[Job] = super().get_queryset(request).select_related("runtime")
        return jobs

    @admin.display(description="arguments")
    def arguments_shown(self, job: Job) -> str:
        return redact(json.dumps(blanked(job.arguments), ensure_ascii=False)) if job.arguments else NOTHING

    @admin.display(description="anchor")
    def anchor_shown(self, job: Job) -> str:
        return moment(job.anchor)

    @admin.display(description="run at")
    def run_at_shown(self, job: Job) -> str:
        return moment(job.run_at)

    def get_list_display(self, request: HttpRequest) -> list[str]:
        hidden = () if may_see_tasks(request) else ("last_run", "trend")
        return [name for name in self.list_display if name not in hidden]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[JobChangeList]:
        return JobChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        form = PauseEverythingForm(auto_id="pause_everything_%s")
        return super().changelist_view(request, {"pause_everything_form": form, **(extra_context or {})})  # type: ignore[no-any-return]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """`?copy=id`: as that Job, but for its id and its pause."""
        original = None
        # A copy shows what only those see who may change the original: its arguments as they are.
        if (job_id := request.GET.get("copy")) and self.has_change_permission(request):
            original = self.get_queryset(request).filter(pk=job_id).first()
        if original is None:
            return {
                name: value for name, value in super().get_changeform_initial_data(request).items() if name != "copy"
            }
        fields = {name: getattr(original, name) for name in (*DECLARED_FIELDS, "anchor")}
        return {**fields, "id": f"{original.pk[:250]}-copy", "name": f"{original.name[:248]} (copy)"}

    def get_fieldsets(self, request: HttpRequest, obj: Job | None = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        may_save = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        if may_save:
            return fieldsets
        # Arguments may hold secrets, which are for those who may change them; moments are in our words.
        shown = {name: f"{name}_shown" for name in ("arguments", "anchor", "run_at")} if obj else {}
        return [
            (heading, {**options, "description": "", "fields": [shown.get(name, name) for name in options["fields"]]})
            for heading, options in fieldsets
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Job | None = None) -> list[str]:
        return [*self.readonly_fields, *(["id"] if obj else [])]

    def save_model(self, request: HttpRequest, obj: Job, form: Any, change: bool) -> None:
        obj.save_definition(by=who(request))

    def delete_model(self, request: HttpRequest, obj: Job) -> None:
        job_id = obj.pk
        try:
            obj.remove(by=who(request))
        except UnknownJob:
            return  # Somebody else was quicker.
        if any(function.defaults and function.defaults.id == job_id for function in registry):
            messages.warning(
                request,
                f"Code declares the Job {job_id}: the next scheduler that starts makes it again. Pause it instead.",
            )

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        if "delete_selected" in actions:
            delete, *named = actions["delete_selected"]
            actions["delete_selected"] = (partial(_unless_too_many, delete), *named)
        return actions

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        for job in queryset:
            self.delete_model(request, job)

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        steps = [
            path(f"<path:object_id>/{step}/", wrap(getattr(self, f"{step}_view")), name=f"scheduling_job_{step}")
            for step in ("run", "pause", "resume", "restore")
        ]
        run_with = path("<path:object_id>/run-with/", wrap(self.run_with_view), name="scheduling_job_run_with")
        preview = path("preview/", wrap(self.preview_view), name="scheduling_job_preview")
        why = path("<path:object_id>/why/", wrap(partial(explain_view, self)), name="scheduling_job_why")
        return [preview, run_with, why, *steps, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        forms = {"pause_form": PauseForm(auto_id="pause_%s")}
        return super().change_view(request, object_id, form_url, {**forms, **(extra_context or {})})  # type: ignore[no-any-return]

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        if (job := kwargs.get("obj")) is not None:
            # The form has put what was typed into the row given; what holds is in the database.
            stored = self.get_queryset(request).filter(pk=job.pk).first()
            if stored is None:
                messages.error(request, "Somebody has deleted this Job meanwhile.")
                return HttpResponseRedirect(reverse("admin:scheduling_job_changelist"))
            context.update(
                stored=stored,
                # Not `stored.task_function` in the template: templates call what can be called, which would run it.
                is_runnable=stored.task_function is not None,
                differences=_differences(stored),
                recent=list(stored.tasks.all()[:RECENT]) if may_see_tasks(request) else [],
                changes=changes_of(stored, request) if request.user.has_perm("scheduling.view_jobchange") else [],
                running=running_in_words(stored),
            )
        return super().render_change_form(request, context, *args, **kwargs)

    # --- the list ----------------------------------------------------------------------------------------------------

    @admin.display(description="job", ordering="name")
    def title(self, job: Job) -> SafeString:
        return two_lines(job.name, job.pk)

    @admin.display(description="state")
    def state_column(self, job: Job) -> SafeString:
        return two_lines(state_label(job), pause_in_words(job))

    def schedule(self, job: Job) -> SafeString:
        return format_html('<span class="scheduling-wrap">{}</span>', job.schedule_in_words())

    @admin.display(description="next run", ordering="runtime__next_run_time")
    def next_run(self, job: Job) -> SafeString | str:
        if job.next_run_time is None:
            return NOTHING
        return two_lines(short(job.next_run_time), distance(job.next_run_time))

    def last_run(self, job: Any) -> SafeString | str:
        task: Task | None = job.recent.last
        if task is None:
            return "never"
        began = task.started_at or task.date_created
        return format_html(
            '<a href="{}" class="scheduling-two">{}<span class="scheduling-small">{}</span></a>',
            change_url(task),
            status_label(task),
            f"{f'{length(task.duration)}, ' if task.duration else ''}{short(began.replace(second=0))}",
        )

    @admin.display(description="last 20 runs")
    def trend(self, job: Any) -> SafeString | str:
        return sparkline(job.recent) if job.recent.runs else NOTHING

    @admin.display(description="actions")
    def buttons(self, job: Any) -> SafeString:
        # Buttons of the list's own form, which carries the CSRF token; links would change things by GET.
        return render_to_string("scheduling/admin/row_buttons.html", {"steps": job.steps, "job": job})

    # --- one Job -----------------------------------------------------------------------------------------------------

    @admin.display(description="next runs")
    def preview(self, job: Job) -> SafeString:
        url = reverse("admin:scheduling_job_preview")
        return format_html('<div data-schedule-preview="{}" data-job="{}">{}</div>', url, job.pk, preview_of(job))

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """The preview of a schedule that is being typed, as a piece of HTML."""
        if not (self.has_view_permission(request) or self.has_add_permission(request)):
            raise PermissionDenied
        try:
            stored = Job.objects.filter(pk=request.GET.get("job")).first()
            job = ScheduleForm(request.GET, stored=stored).job()
        except ValidationError as error:
            return TemplateResponse(request, "scheduling/admin/preview.html", {"problem": " ".join(error.messages)})
        return HttpResponse(preview_of(job))

    @post_action("scheduling.run_job")
    def run_view(self, request: HttpRequest, job: Job) -> Task:
        if request.POST.get("arguments"):
            raise NotAllowedNow("Arguments of its own are given on the page “Run with arguments”.")
        return job.run_now(user=request.user)

    def run_with_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Asks for the arguments of one run."""
        if not (request.user.has_perm("scheduling.run_with_arguments_job") and self.has_view_permission(request)):
            raise PermissionDenied
        job = self.get_object(request, unquote(object_id))
        if job is None or (function := job.task_function) is None:
            raise Http404
        # They may hold secrets, as on the Job's page.
        is_shown = self.has_change_permission(request, job)
        form = ArgumentsForm(
            function, job.arguments if is_shown else {}, request.POST if request.method == "POST" else None
        )
        if form.is_valid():
            done: list[Task] = []

            def run(_: Any, request: HttpRequest, job: Job) -> Task:
                done.append(job.run_now(arguments=form.cleaned_arguments, only_these=True, user=who(request)))
                return done[0]

            if perform(self, request, job, run):
                return HttpResponseRedirect(change_url(done[0]))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Run {job} with arguments",
            "job": job,
            "opts": self.opts,
            "form": form,
            "is_shown": is_shown,
            "media": self.media,
            # Not the function itself: templates call what can be called.
            "summary": function.summary,
        }
        return TemplateResponse(request, "scheduling/admin/run_with.html", context)

    @post_action("scheduling.pause_job")
    def pause_view(self, request: HttpRequest, job: Job) -> str:
        return _pause(job, **checked(PauseForm(request.POST)), by=who(request))

    @post_action("scheduling.pause_job")
    def resume_view(self, request: HttpRequest, job: Job) -> str:
        return _resume(job, by=who(request))

    @post_action("scheduling.change_job")
    def restore_view(self, request: HttpRequest, job: Job) -> str:
        names = job.restore_default(by=who(request))
        if not names:
            raise NotAllowedNow("It does not differ from what code declares.")
        return f"Brought back to what code declares: {', '.join(map(label_of, names))}."

    # --- in bulk -----------------------------------------------------------------------------------------------------

    @admin.action(description="Run now", permissions=["run"])
    def run_selected(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        perform_each(self, request, queryset, lambda _, request, job: job.run_now(user=request.user))

    @admin.action(description="Pause", permissions=["pause"])
    def pause_selected(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        perform_each(self, request, queryset, lambda _, request, job: _pause(job, by=who(request)))

    @admin.action(description="Resume", permissions=["pause"])
    def resume_selected(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        perform_each(self, request, queryset, lambda _, request, job: _resume(job, by=who(request)))

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("scheduling.run_job")

    def has_pause_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("scheduling.pause_job")


def _pause(job: Job, *, by: User, **how: Any) -> str:
    """One that is paused already keeps its reason and its end; somebody's page, or list, may be an old one."""
    if (stored := Job.objects.locked(job.pk)).is_paused:
        raise NotAllowedNow(f"It is paused already, {pause_in_words(stored)}. Resume it first.")
    job.pause(**how, by=by)
    return f"Paused {pause_in_words(job)}."


def _resume(job: Job, *, by: User) -> str:
    if job.paused_at is None:
        raise NotAllowedNow("It is not paused.")
    job.resume(by=by)
    return "Resumed."


def _unless_too_many(action: Any, model_admin: Any, request: HttpRequest, queryset: QuerySet[Job]) -> Any:
    number = queryset[: MOST_AT_ONCE + 1].count()
    return None if are_too_many(model_admin, request, number) else action(model_admin, request, queryset)


# --- words ------------------------------------------------------------------------------------------------------------


def distance(value: datetime) -> str:
    """Such as "in 3 hours", or how long it is overdue."""
    now = timezone.now()
    if value > now:
        return f"in {timeuntil(value, now, depth=1)}" if (value - now).total_seconds() >= 60 else "in under a minute"
    return f"due for {length(now - value)}"


def preview_of(job: Job) -> SafeString:
    """The schedule in words and its next fire times in the Job's zone."""
    try:
        trigger = job.build_trigger()
    except TriggerError as error:
        return render_to_string("scheduling/admin/preview.html", {"problem": str(error)})
    start = job.paused_until if job.is_paused and job.paused_until else timezone.now()
    times = fire_times(trigger, start=start, count=PREVIEWED)
    rows = [(moment(time, zone_of(job)), dst_note(time, trigger)) for time in times]
    words = trigger.in_words()
    return render_to_string("scheduling/admin/preview.html", {"words": words, "rows": rows, "job": job})


def running_in_words(job: Job) -> str:
    """What becomes of runs in progress when the Job is edited; empty when there are none."""
    numbers = list(job.tasks.filter(status=Task.Status.RUNNING).order_by("pk").values_list("pk", flat=True)[:RECENT])
    if not numbers:
        return ""
    which = ", ".join(map(str, numbers))
    if len(numbers) == 1:
        return f"Task {which} is running and goes on as it began; the new definition counts from the next run."
    return f"Tasks {which} are running and go on as they began; the new definition counts from the next run."


def _differences(job: Job) -> list[tuple[str, str, str]]:
    differences = job.differences_from_default().items()
    return [(label_of(name), shown(name, was), shown(name, now)) for name, (was, now) in differences]
