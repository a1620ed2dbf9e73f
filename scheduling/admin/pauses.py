"""The switch that pauses everything, and its history."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from scheduling.display import moment
from scheduling.exceptions import SchedulingError
from scheduling.forms import PauseEverythingForm, checked
from scheduling.models import PauseOfAll
from scheduling.pauses import pause_everything, resume_everything

from .posting import ReadOnly, SchedulingAdmin, nothing_done, where_from, who


@admin.register(PauseOfAll)
class PauseOfAllAdmin(ReadOnly, SchedulingAdmin):
    list_display = ["began", "began_by", "reason", "ended", "ended_by"]
    list_select_related = ["began_by", "ended_by"]
    list_display_links = None
    show_full_result_count = False
    sortable_by = ()
    fields = ["began", "began_by", "reason", "ended", "ended_by"]
    readonly_fields = ["began", "ended"]

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("pause/", wrap(self.pause_view), name="scheduling_pause_everything"),
            path("resume/", wrap(self.resume_view), name="scheduling_resume_everything"),
            *super().get_urls(),
        ]

    @admin.display(description="began")
    def began(self, pause: PauseOfAll) -> str:
        return moment(pause.began_at)

    @admin.display(description="ended")
    def ended(self, pause: PauseOfAll) -> str:
        return moment(pause.ended_at)

    def pause_view(self, request: HttpRequest) -> HttpResponse:
        def pause() -> str:
            pause_everything(by=who(request), reason=checked(PauseEverythingForm(request.POST))["reason"])
            return "Everything is paused."

        return _switch(request, pause)

    def resume_view(self, request: HttpRequest) -> HttpResponse:
        def resume() -> str:
            moved = resume_everything(by=who(request))
            return f"Resumed. Jobs whose time fell into the pause: {moved}; they run at their next time."

        return _switch(request, resume)


def _switch(request: HttpRequest, verb: Callable[[], str]) -> HttpResponse:
    if not request.user.has_perm("scheduling.pause_everything"):
        raise PermissionDenied
    if request.method != "POST":
        return nothing_done(request, reverse("admin:index"))
    try:
        messages.success(request, verb())
    except SchedulingError as error:
        messages.error(request, str(error))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    return HttpResponseRedirect(where_from(request, otherwise=reverse("admin:index")))
