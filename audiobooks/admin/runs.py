"""Refresh runs: what each did, whether it asks to go on, and the way back."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from audiobooks.models import MetadataRun
from audiobooks.refresh import go_on, queue_undo
from scheduling.admin.posting import post_action, who
from scheduling.display import NOTHING, label, moment
from scheduling.exceptions import NotAllowedNow
from scheduling.models import Task

from .base import LibraryAdmin
from .books import prepared

SHOWN_CHANGES = 20
State = MetadataRun.State
VARIANTS = {
    State.RUNNING: "info",
    State.ASKS: "warning",
    State.FINISHED: "success",
    State.ABANDONED: "danger",
    State.UNDONE: "",
}
MAY_BE_UNDONE = (State.RUNNING, State.FINISHED, State.ABANDONED, State.ASKS)


@admin.register(MetadataRun)
class MetadataRunAdmin(LibraryAdmin):
    list_display = ["number", "state_column", "started", "finished", "checked", "changed", "replaced"]
    list_filter = ["state", "kind"]
    ordering = ["-pk"]
    sortable_by = ()
    change_form_template = "audiobooks/admin/run.html"
    fields = ["state"]

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        steps = [
            path(
                f"<path:object_id>/{step}/", wrap(getattr(self, f"{step}_view")), name=f"audiobooks_metadatarun_{step}"
            )
            for step in ("allow", "undo")
        ]
        return [*steps, *super().get_urls()]

    @admin.display(description="run")
    def number(self, run: MetadataRun) -> str:
        return f"#{run.pk}, {run.get_kind_display()}"

    @admin.display(description="state")
    def state_column(self, run: MetadataRun) -> SafeString:
        return label(run.get_state_display(), VARIANTS.get(State(run.state), ""))

    @admin.display(description="started")
    def started(self, run: MetadataRun) -> SafeString | str:
        return moment(run.started_at)

    @admin.display(description="finished")
    def finished(self, run: MetadataRun) -> SafeString | str:
        return moment(run.finished_at) if run.finished_at else NOTHING

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        run: MetadataRun = kwargs["obj"]
        context.update(
            title=str(run),
            run=run,
            state=self.state_column(run),
            task_url=reverse("admin:scheduling_task_change", args=[run.task_id]) if run.task_id else "",
            changes=prepared(run.changes.select_related("by", "book")[:SHOWN_CHANGES], request),
            all_changes=reverse("admin:audiobooks_bookchange_changelist", query={"run__id__exact": run.pk}),
            may_allow=run.state == State.ASKS and request.user.has_perm("audiobooks.allow_metadatarun"),
            may_undo=request.user.has_perm("audiobooks.undo_metadatarun") and _may_be_undone(run),
        )
        return super().render_change_form(request, context, *args, **kwargs)

    @post_action("audiobooks.allow_metadatarun")
    def allow_view(self, request: HttpRequest, run: MetadataRun) -> Task:
        return go_on(run, by=who(request))

    @post_action("audiobooks.undo_metadatarun")
    def undo_view(self, request: HttpRequest, run: MetadataRun) -> Task:
        if not _may_be_undone(run):
            raise NotAllowedNow(f"It is {run.get_state_display()}.")
        return queue_undo(run, by=who(request))


def _may_be_undone(run: MetadataRun) -> bool:
    """One whose undoing was broken off may be undone again."""
    return run.state in MAY_BE_UNDONE or run.changes.filter(undone_at=None).exists()
