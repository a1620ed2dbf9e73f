"""Acquisitions: an inbox of what would be fetched, what is under way, what needs a person, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audiobooks import acquire, budget, collect
from audiobooks.digest import digest
from audiobooks.ledger import Figure
from audiobooks.models import Acquisition, BlockedRelease
from audiobooks.models.acquisitions import NEEDS_YOU
from scheduling.admin.posting import nothing_done, perform_each, post_action, where_from, who
from scheduling.display import NOTHING, label, moment, step_url, two_lines
from scheduling.exceptions import NotAllowedNow, SchedulingError
from scheduling.models import Job, Task

from .base import Inbox, LibraryAdmin, cover_or_letter, day_in_list

PERMISSION = "audiobooks.decide_acquisition"
MAY_STOP = "audiobooks.stop_acquisition"
EVENTS_SHOWN = 200
MONITOR = "download_monitor"
STOP_KEPT_SECONDS = 10
_STOP_KEY = "audiobooks.fetching_stopped"
State = Acquisition.State
VARIANTS = {
    State.PROPOSED: "warning",
    State.APPROVED: "info",
    State.FETCHING: "info",
    State.FETCHED: "info",
    State.CHECKED: "info",
    State.IMPORTED: "success",
    State.FAILED: "danger",
    State.QUARANTINED: "danger",
}
VIEWS = {
    "inbox": ("waits for you", Q(state=State.PROPOSED) | NEEDS_YOU),
    "proposed": ("to be approved", Q(state=State.PROPOSED)),
    "needs": ("needs you", NEEDS_YOU),
    "way": ("under way", Q(state__in=Acquisition.RESERVING)),
    "got": ("in the library", Q(state=State.IMPORTED)),
    "not": ("came to nothing", Q(state__in=(State.DECLINED, State.FAILED, State.QUARANTINED, State.CANCELLED))),
    "all": ("all", Q()),
}


def stopped_in_words(request: HttpRequest) -> list[str] | None:
    """For the head of every page while all fetching is stopped. It has to fit on a phone: the list says by whom, and why."""
    if not request.user.has_perm("audiobooks.view_acquisition"):
        return None
    is_stopped = cache.get_or_set(_STOP_KEY, lambda: acquire.current_stop() is not None, STOP_KEPT_SECONDS)
    return ["Fetching is stopped", "warning"] if is_stopped else None


def remember_stop(is_stopped: bool) -> None:
    """For some seconds, so that a page that has asked need not ask again."""
    cache.set(_STOP_KEY, is_stopped, STOP_KEPT_SECONDS)


class StopForm(forms.Form):
    """Why all fetching is stopped; may be left open."""

    reason = forms.CharField(
        required=False, max_length=255, widget=forms.TextInput(attrs={"class": "scheduling-input"})
    )


class ViewFilter(admin.SimpleListFilter):
    """By itself those that wait for a person: to be approved, or stuck."""

    title = "standing"
    parameter_name = "view"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, words) for name, (words, _) in VIEWS.items() if name != "inbox"]

    def choices(self, changelist: Any) -> Any:
        first, *others = super().choices(changelist)
        yield {**first, "display": VIEWS["inbox"][0]}
        yield from others

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        _, wanted = VIEWS.get(self.value() or "inbox", VIEWS["inbox"])
        return queryset.filter(wanted)


@admin.register(Acquisition)
class AcquisitionAdmin(Inbox):
    permission = PERMISSION
    steps = ("approve", "decline", "accept", "next", "give_up", "again", "look", "choose")
    steps_in_list = 2
    list_display = [
        "cover_column",
        "work_column",
        "release_column",
        "size_column",
        "state_column",
        "since_column",
        "buttons",
    ]
    list_select_related = ["work", "book"]
    list_filter = [ViewFilter]
    search_fields = ["name", "work__title"]
    search_help_text = "work or release"
    actions = ["approve_selected", "decline_selected", "give_up_selected"]
    change_list_template = "audiobooks/admin/acquisition_list.html"
    change_form_template = "audiobooks/admin/acquisition.html"
    fields = ["state"]

    class Media:
        css = {"all": ["audiobooks/acquisitions.css"]}

    def steps_of(self, row: Acquisition) -> list[tuple[str, str]]:
        if row.state == State.PROPOSED:
            return [("approve", "Approve"), ("decline", "Decline")]
        if not row.is_open:
            return []
        is_doubted = row.state == State.FETCHED and row.problem and row.check_result
        wanted = [("accept", "Take it as it is")] if is_doubted else []
        wanted += [("next", "Take the next candidate")] if row.problem else []
        wanted += [("give_up", "Give up")]
        wanted += [("again", "Propose again"), ("look", "Look again")] if row.problem else []
        return wanted

    def get_queryset(self, request: HttpRequest) -> QuerySet[Acquisition]:
        found: QuerySet[Acquisition] = super().get_queryset(request).select_related("work", "book", "approved_by")
        return found

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("stop/", wrap(self.stop_view), name="audiobooks_acquisition_stop"),
            path("go-on/", wrap(self.go_on_view), name="audiobooks_acquisition_go_on"),
            path("week/", wrap(self.week_view), name="audiobooks_acquisition_week"),
            *super().get_urls(),
        ]

    # --- the list ----------------------------------------------------------------------------------------------------

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        stop, ledger = acquire.current_stop(), budget.ledger()
        remember_stop(stop is not None)
        context = {
            "title": "Acquisitions",
            "stop": stop,
            "stop_form": StopForm() if request.user.has_perm(MAY_STOP) else None,
            "figures": [(figure, share_used(figure)) for figure in ledger.figures()],
            "unreadable": ledger.unreadable,
            **(extra_context or {}),
        }
        return super().changelist_view(request, context)  # type: ignore[no-any-return]

    @admin.display(description="cover")
    def cover_column(self, row: Acquisition) -> SafeString:
        return cover_or_letter(row.book, str(row.work))

    @admin.display(description="work")
    def work_column(self, row: Acquisition) -> SafeString:
        return two_texts(str(row.work), row.why)

    @admin.display(description="release")
    def release_column(self, row: Acquisition) -> SafeString:
        return two_texts(row.name, f"{row.source}: {' '.join(row.reasons[:2])}")

    @admin.display(description="size")
    def size_column(self, row: Acquisition) -> str:
        return NOTHING if row.size is None else str(filesizeformat(row.size))

    @admin.display(description="state")
    def state_column(self, row: Acquisition) -> SafeString:
        return render_to_string(
            "audiobooks/admin/acquisition_state.html", {"row": row, "label": state_label(row), "share": share_of(row)}
        )

    @admin.display(description="since")
    def since_column(self, row: Acquisition) -> SafeString:
        return day_in_list(row.state_since)

    @admin.action(description="Approve the selected", permissions=["decide"])
    def approve_selected(self, request: HttpRequest, queryset: Any) -> None:
        perform_each(self, request, queryset, _approve)

    @admin.action(description="Decline the selected", permissions=["decide"])
    def decline_selected(self, request: HttpRequest, queryset: Any) -> None:
        perform_each(self, request, queryset, _decline)

    @admin.action(description="Give up the selected", permissions=["decide"])
    def give_up_selected(self, request: HttpRequest, queryset: Any) -> None:
        perform_each(self, request, queryset, _give_up)

    # --- one acquisition ---------------------------------------------------------------------------------------------

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        row: Acquisition = kwargs["obj"]
        may_decide = self.has_decide_permission(request)
        may_choose = may_decide and row.state == State.PROPOSED
        choose = step_url(row, "choose")
        candidates = [
            {**each, "choose": choose if may_choose and each.get("verdict") != "unfit" else ""}
            for each in row.candidates
        ]
        context.update(
            title=str(row.work),
            row=row,
            cover=cover_or_letter(row.book, str(row.work), small=False),
            label=state_label(row),
            share=share_of(row),
            of=row.name,
            steps=self.urls_of_steps(row) if may_decide else [],
            candidates=candidates,
            check=row.check_result,
            parts=len(row.parts),
            events=row.events.select_related("by").order_by("-pk")[:EVENTS_SHOWN],
        )
        return super().render_change_form(request, context, *args, **kwargs)

    @post_action(PERMISSION)
    def approve_view(self, request: HttpRequest, row: Acquisition) -> str:
        return _approve(self, request, row)

    @post_action(PERMISSION)
    def decline_view(self, request: HttpRequest, row: Acquisition) -> str:
        return _decline(self, request, row)

    @post_action(PERMISSION)
    def accept_view(self, request: HttpRequest, row: Acquisition) -> str:
        acquire.accept(row, who(request))
        _wake_monitor(request)
        return "Taken as it is."

    @post_action(PERMISSION)
    def next_view(self, request: HttpRequest, row: Acquisition) -> str:
        return acquire.take_next(row, who(request))

    @post_action(PERMISSION)
    def give_up_view(self, request: HttpRequest, row: Acquisition) -> str:
        return _give_up(self, request, row)

    @post_action(PERMISSION)
    def again_view(self, request: HttpRequest, row: Acquisition) -> str:
        return acquire.propose_again(row, who(request))

    @post_action(PERMISSION)
    def look_view(self, request: HttpRequest, row: Acquisition) -> str:
        collect.ask_clients_again()
        collect.check_again(row)
        _wake_monitor(request)
        return "It is looked at again now."

    @post_action(PERMISSION)
    def choose_view(self, request: HttpRequest, row: Acquisition) -> str:
        source, key = (request.POST.get(name, "") for name in ("source", "key"))
        acquire.choose_other(row, source, key, who(request))
        return "That release is proposed now."

    # --- the switch and the week -------------------------------------------------------------------------------------

    def stop_view(self, request: HttpRequest) -> HttpResponse:
        form = StopForm(request.POST)
        reason = form.cleaned_data["reason"] if form.is_valid() else ""
        return self._switch(
            request,
            lambda: acquire.stop_fetching(who(request), reason),
            "All fetching is stopped. What a torrent client has been given goes on there.",
        )

    def go_on_view(self, request: HttpRequest) -> HttpResponse:
        return self._switch(request, lambda: acquire.let_fetching_go_on(who(request)), "Fetching goes on.")

    def _switch(self, request: HttpRequest, verb: Callable[[], None], done: str) -> HttpResponse:
        if not request.user.has_perm(MAY_STOP):
            raise PermissionDenied
        url = reverse("admin:audiobooks_acquisition_changelist")
        if request.method != "POST":
            return nothing_done(request, url)
        try:
            verb()
        except SchedulingError as error:
            messages.error(request, str(error))
        else:
            messages.success(request, done)
        cache.delete(_STOP_KEY)
        return HttpResponseRedirect(where_from(request, otherwise=url))

    def week_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": "The last 7 days",
            "opts": self.opts,
            "digest": digest(timezone.now()),
            "media": self.media,
        }
        return TemplateResponse(request, "audiobooks/admin/week.html", context)


def two_texts(first: str, second: str) -> SafeString:
    """Of others: what turns the direction of writing stays in each."""
    return two_lines(*(format_html("<bdi>{}</bdi>", text) for text in (first, second)))


def state_label(row: Acquisition) -> SafeString:
    words = label(row.get_state_display(), VARIANTS.get(State(row.state), ""))
    if row.problem and row.is_open:
        return format_html("{} {}", words, label("needs you", "danger"))
    if row.state == State.PROPOSED and row.verdict != "fit":
        return format_html("{} {}", words, label("doubtful", "warning"))
    return words


def share_of(row: Acquisition) -> int | None:
    """Percent of what is being downloaded."""
    if row.state != State.FETCHING or not row.size:
        return None
    return min(100 * row.fetched // row.size, 100)


def share_used(figure: Figure) -> int:
    """Percent, also of what is reserved; all of a limit of nothing."""
    return min(100 * (figure.used + figure.reserved) // figure.limit, 100) if figure.limit > 0 else 100


def _approve(_: Any, request: HttpRequest, row: Acquisition) -> str:
    acquire.approve(row, who(request))
    _wake_monitor(request)
    return "Approved."


def _decline(_: Any, request: HttpRequest, row: Acquisition) -> str:
    acquire.decline(row, who(request))
    return "Declined: this release is not proposed again for this work."


def _give_up(_: Any, request: HttpRequest, row: Acquisition) -> str:
    acquire.give_up(row, who(request))
    return "Given up. What a client has been given stays there."


def _wake_monitor(request: HttpRequest) -> None:
    """After the commit, so that it sees what was done. A run that has not begun will see it, too."""

    def run() -> None:
        if Task.objects.filter(job=MONITOR, status=Task.Status.QUEUED, not_before=None).exists():
            return
        try:
            Job.objects.by_id(MONITOR).run_now(user=who(request))
        except SchedulingError as error:
            # Somebody has removed or changed the Job: then nothing looks by itself.
            messages.warning(request, f"Nothing goes on by itself: {error}")

    transaction.on_commit(run)


@admin.register(BlockedRelease)
class BlockedReleaseAdmin(LibraryAdmin):
    list_display = ["name_column", "reason_column", "at_column", "until_column", "by"]
    list_select_related = ["by", "work"]
    list_display_links = None
    search_fields = ["name"]
    ordering = ["-pk"]
    sortable_by = ()
    actions = ["let_in_selected"]

    class Media:
        css = {"all": ["audiobooks/acquisitions.css"]}

    @admin.display(description="release")
    def name_column(self, row: BlockedRelease) -> SafeString:
        return two_texts(row.name, row.source)

    @admin.display(description="reason")
    def reason_column(self, row: BlockedRelease) -> SafeString:
        return two_texts(row.reason, f"Only for {row.work}" if row.work else "For every work")

    @admin.display(description="since")
    def at_column(self, row: BlockedRelease) -> SafeString | str:
        return moment(row.at)

    @admin.display(description="until")
    def until_column(self, row: BlockedRelease) -> SafeString | str:
        if row.until is None:
            return "for good"
        return moment(row.until) if row.until > timezone.now() else "over"

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(PERMISSION)

    @admin.action(description="Let the selected in again", permissions=["decide"])
    def let_in_selected(self, request: HttpRequest, queryset: Any) -> None:
        def let_in(model_admin: Any, request: HttpRequest, row: BlockedRelease) -> str:
            now = timezone.now()
            still = Q(until=None) | Q(until__gt=now)
            if not BlockedRelease.objects.filter(still, pk=row.pk).update(until=now):
                raise NotAllowedNow("It is not kept out any more.")
            return "It may be proposed again."

        perform_each(self, request, queryset, let_in)
