"""What the pages share: a view that only takes POST, asks for a permission, and says how it went."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from scheduling.exceptions import SchedulingError

Verb = Callable[[Any, HttpRequest, Any], str]
"""Does it and returns the sentence that is shown and kept in the history."""


def post_action(permission: str) -> Callable[[Verb], Callable[..., HttpResponse]]:
    """A view method of a ModelAdmin for one row."""

    def decorate(verb: Verb) -> Callable[..., HttpResponse]:
        @wraps(verb)
        def view(self: Any, request: HttpRequest, object_id: str) -> HttpResponse:
            if request.method != "POST":
                return HttpResponseNotAllowed(["POST"])
            row = self.get_object(request, object_id)
            if row is None:
                raise Http404
            if not request.user.has_perm(permission):
                raise PermissionDenied
            perform(self, request, row, verb)
            return HttpResponseRedirect(_back(request, row))

        return view

    return decorate


def perform(model_admin: Any, request: HttpRequest, row: models.Model, verb: Verb) -> None:
    try:
        done = verb(model_admin, request, row)
    except (SchedulingError, ValueError) as error:
        messages.error(request, str(error))
        return
    assert request.user.pk is not None
    LogEntry.objects.log_actions(request.user.pk, [row], CHANGE, change_message=done, single_object=True)
    messages.success(request, f"{row}: {done}")


def _back(request: HttpRequest, row: models.Model) -> str:
    came_from = request.headers.get("Referer", "")
    if url_has_allowed_host_and_scheme(came_from, allowed_hosts={request.get_host()}):
        return came_from
    return reverse(f"admin:scheduling_{row._meta.model_name}_change", args=[row.pk])
