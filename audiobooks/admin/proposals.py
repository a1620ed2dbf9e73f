"""What is proposed: an inbox, and a page for each work with its way through the charts. A person wants or declines it."""

from __future__ import annotations

from datetime import date
from typing import Any
from urllib.parse import urlsplit

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from audiobooks.courses import weeks_of
from audiobooks.display import said_of, source_of
from audiobooks.models import Proposal
from audiobooks.proposing import decline, take_back, want
from audiobooks.sources import registry
from scheduling.admin.posting import perform_each, post_action, who
from scheduling.display import label, two_lines

from .base import Inbox, cover_or_letter, day_in_list
from .plots import plot

PERMISSION = "audiobooks.decide_proposal"
ENTRIES_SHOWN = 500
EDITIONS_SHOWN = 20
STANDINGS = {"owned": "success", "wanted": "info", "declined": "", "proposed": "warning"}


def labels_of_sources() -> dict[str, str]:
    """Name -> label, of those that are turned on."""
    return {source.name: source.label for source in registry.sources()}


def standing_label(proposal: Proposal) -> SafeString:
    return label(proposal.standing, STANDINGS.get(proposal.standing, ""))


class StandingFilter(admin.SimpleListFilter):
    """By itself those that wait."""

    title = "standing"
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("wanted", "wanted"), ("declined", "declined"), ("owned", "owned"), ("all", "all")]

    def choices(self, changelist: Any) -> Any:
        first, *others = super().choices(changelist)
        yield {**first, "display": "to be decided"}
        yield from others

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.of_standing(self.value() or "proposed")


@admin.register(Proposal)
class ProposalAdmin(Inbox):
    permission = PERMISSION
    steps = ("want", "decline", "take_back")
    list_display = ["cover_column", "work_column", "why_column", "standing_column", "made", "buttons"]
    list_select_related = ["book"]
    list_filter = [StandingFilter]
    search_fields = ["title", "authors"]
    search_help_text = "title or author"
    actions = ["want_selected", "decline_selected"]
    change_form_template = "audiobooks/admin/proposal.html"
    fields = ["state"]

    class Media:
        css = {"all": ["audiobooks/charts.css"]}

    def steps_of(self, row: Proposal) -> list[tuple[str, str]]:
        if row.state != Proposal.State.PROPOSED:
            return [("take_back", "Take back")]
        return [("want", "Want"), ("decline", "Decline")] if row.is_waiting else []

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"title": "Proposals", **(extra_context or {})})  # type: ignore[no-any-return]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Proposal]:
        found: QuerySet[Proposal] = super().get_queryset(request).select_related("book", "decided_by")
        return found

    # --- the list ----------------------------------------------------------------------------------------------------

    @admin.display(description="cover")
    def cover_column(self, proposal: Proposal) -> SafeString:
        return cover_or_letter(proposal.book, proposal.title)

    @admin.display(description="work")
    def work_column(self, proposal: Proposal) -> SafeString:
        return two_lines(proposal.title, proposal.authors)

    @admin.display(description="why")
    def why_column(self, proposal: Proposal) -> SafeString:
        return render_to_string("audiobooks/admin/proposal_why.html", {"proposal": proposal})

    @admin.display(description="standing")
    def standing_column(self, proposal: Proposal) -> SafeString:
        return standing_label(proposal)

    @admin.display(description="since")
    def made(self, proposal: Proposal) -> SafeString:
        return day_in_list(proposal.made_at)

    @admin.action(description="Want the selected", permissions=["decide"])
    def want_selected(self, request: HttpRequest, queryset: Any) -> None:
        perform_each(self, request, queryset, _want)

    @admin.action(description="Decline the selected", permissions=["decide"])
    def decline_selected(self, request: HttpRequest, queryset: Any) -> None:
        perform_each(self, request, queryset, _decline)

    # --- one work ----------------------------------------------------------------------------------------------------

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        proposal: Proposal = kwargs["obj"]
        entries: list[Any] = list(
            proposal.entries.select_related("chart__genre").order_by("-chart__week", "rank")[:ENTRIES_SHOWN]
        )
        ranks: dict[str, dict[date, int]] = {}
        for entry in entries:
            ranks.setdefault(entry.chart.title, {})[entry.chart.week] = entry.rank
        weeks = weeks_of(entry.chart.genre_id for entry in entries if entry.chart.genre_id)
        charted = {week for each in weeks.values() for week in each} | {entry.chart.week for entry in entries}
        first = min((entry.chart.week for entry in entries), default=None)
        editions = list({(entry.source, entry.release): entry for entry in entries}.values())[:EDITIONS_SHOWN]
        labels = labels_of_sources()
        for entry in editions:
            entry.said = said_of(entry.facts)
            entry.from_source = labels.get(entry.source, source_of(entry.source))
            entry.url = entry.link if urlsplit(entry.link).scheme in ("http", "https") else ""
        best = min(entries, key=lambda entry: (entry.rank, entry.chart.week), default=None)
        context.update(
            title=proposal.title,
            proposal=proposal,
            cover=cover_or_letter(proposal.book, proposal.title, small=False),
            label=standing_label(proposal),
            of=proposal.title,
            steps=self.urls_of_steps(proposal) if self.has_decide_permission(request) else [],
            plot=plot(dict(sorted(ranks.items())), [week for week in charted if first and week >= first], named=False),
            entries=entries[:EDITIONS_SHOWN],
            best=best,
            weeks_in_all=len({entry.chart.week for entry in entries}),
            editions=editions,
            description=proposal.facts.get("description", ""),
            said=said_of(proposal.facts),
            genres=", ".join(proposal.facts.get("genres", [])[:10]),
        )
        return super().render_change_form(request, context, *args, **kwargs)

    @post_action(PERMISSION)
    def want_view(self, request: HttpRequest, proposal: Proposal) -> str:
        return _want(self, request, proposal)

    @post_action(PERMISSION)
    def decline_view(self, request: HttpRequest, proposal: Proposal) -> str:
        return _decline(self, request, proposal)

    @post_action(PERMISSION)
    def take_back_view(self, request: HttpRequest, proposal: Proposal) -> str:
        take_back(proposal)
        return "It waits for a decision again."


def _want(_: Any, request: HttpRequest, proposal: Proposal) -> str:
    want(proposal, who(request))
    return "It is wanted now."


def _decline(_: Any, request: HttpRequest, proposal: Proposal) -> str:
    decline(proposal, who(request))
    return "Declined: it is not proposed again, whatever the edition."
