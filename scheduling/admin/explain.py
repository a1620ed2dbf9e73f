"""The page that tells why a Job ran, or did not, at a time."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from django import forms
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from scheduling.display import change_url, moment
from scheduling.explain import Explanation, explain
from scheduling.models import Job, JobChange, Task
from scheduling.triggers import TriggerError, check_moment

_FITS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?")
"""What an input of the type datetime-local takes."""


class MomentForm(forms.Form):
    """A time in the person's zone, or with an offset of its own; with seconds, that very second."""

    at = forms.DateTimeField(
        label="At",
        widget=forms.DateTimeInput(
            attrs={"type": "datetime-local", "step": "1", "class": "scheduling-input"}, format="%Y-%m-%dT%H:%M:%S"
        ),
        error_messages={"invalid": "This is not a date and time. Write e.g. 2026-12-24T08:00."},
    )

    def __init__(self, at: str) -> None:
        super().__init__({"at": at})
        if not (self.is_valid() and _FITS.fullmatch(at)):
            # The other kind of input would show nothing.
            self.fields["at"].widget.input_type = "text"

    def clean_at(self) -> datetime:
        at: datetime = self.cleaned_data["at"]
        try:
            return check_moment(at, field="at")
        except TriggerError as error:
            raise forms.ValidationError(str(error)) from None


def explain_view(model_admin: Any, request: HttpRequest, object_id: str) -> HttpResponse:
    """A view of the admin of Jobs, by GET; also for the id of a Job that is deleted. `at` is the time, else now.

    What it says is read from Tasks, so it is for those who see both.
    """
    if not (model_admin.has_view_permission(request) and request.user.has_perm("scheduling.view_task")):
        raise PermissionDenied
    key = unquote(object_id)
    job = Job.objects.select_related("runtime").filter(pk=key).first()
    if job is None and not JobChange.objects.filter(job_key=key).exists():
        raise Http404
    now = timezone.localtime().replace(second=0, microsecond=0, tzinfo=None)
    form = MomentForm(request.GET.get("at") or now.isoformat(timespec="seconds"))
    explanation = None
    if form.is_valid():
        at = form.cleaned_data["at"]
        form, explanation = MomentForm(_typed(at)), explain(job or key, at)
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": Job._meta,
        "title": f"Why did {job.name if job else key} (not) run?",
        "job": job,
        "key": key,
        "form": form,
        "zone": timezone.get_current_timezone_name(),
        "explanation": explanation,
        "facts": _facts(explanation) if explanation else [],
        "tasks": _tasks(explanation) if explanation else [],
        "media": model_admin.media,
    }
    return TemplateResponse(request, "scheduling/admin/task_why.html", context)


def _typed(at: datetime) -> str:
    """As a person of this zone would write it: with its offset where the clocks show that time twice."""
    local = timezone.localtime(at)
    is_twice = local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset()
    return (local if is_twice else local.replace(tzinfo=None)).isoformat()


def _facts(explanation: Explanation) -> list[tuple[str, str | SafeString]]:
    return [(label, moment(value) if isinstance(value, datetime) else value) for label, value in explanation.facts]


def _tasks(explanation: Explanation) -> list[tuple[Task, str]]:
    return [(task, change_url(task)) for task in explanation.tasks]
