"""The charts: a week of all genres, the weeks of one genre, and each chart with what became of its works."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from audiobooks.courses import Course, Move, courses, week_before, weeks_of
from audiobooks.display import day_of, said_of, source_of
from audiobooks.models import Chart, ChartEntry, Genre

from .base import LibraryAdmin, cover_or_letter
from .plots import plot, small
from .proposals import PERMISSION, labels_of_sources, standing_label

SHOWN_ENTRIES = 3
"""Of each chart in the overview."""
CARDS = 60
"""More charts than a week has genres."""
OFFERED_WEEKS = 520
OFFERED_GENRES = 200

_MOVES = {
    Move.NEW: ("new", "New", "new on the chart"),
    Move.BACK: ("back", "Back", "on the chart again"),
    Move.SAME: ("same", "=", "as before"),
}


@admin.register(Chart)
class ChartAdmin(LibraryAdmin):
    """Its list is the overview."""

    change_form_template = "audiobooks/admin/chart.html"
    fields = ["week"]

    class Media:
        css = {"all": ["audiobooks/charts.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Chart]:
        charts: QuerySet[Chart] = super().get_queryset(request).select_related("genre")
        return charts

    # --- the overview -------------------------------------------------------------------------------------------------

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """All genres of a week (`?week=2026-11-23`), by itself the last; or the weeks of one genre (`?genre=5`)."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        weeks = list(Chart.objects.order_by("-week").values_list("week", flat=True).distinct()[:OFFERED_WEEKS])
        genres = list(Genre.objects.filter(charts__isnull=False).distinct().order_by("name")[:OFFERED_GENRES])
        genre = _chosen_genre(genres, request.GET.get("genre", ""))
        week = _chosen_week(weeks, request.GET.get("week", ""))
        charts = Chart.objects.filter(genre=genre).order_by("-week") if genre else Chart.objects.none()
        if week and not genre:
            charts = Chart.objects.filter(week=week).order_by("name")
        found = list(charts.select_related("genre")[: CARDS + 1])
        context = {
            **self.admin_site.each_context(request),
            "title": "Charts",
            "opts": self.opts,
            "media": self.media,
            "weeks": [(each.isoformat(), day_of(each)) for each in weeks],
            "genres": genres,
            "genre": genre,
            "week": week.isoformat() if week and not genre else "",
            "heading": f"{genre}, week by week" if genre else f"Week of {day_of(week)}" if week else "",
            "cards": _cards(found[:CARDS]),
            "most": CARDS if len(found) > CARDS else 0,
            "earlier": _neighbour(weeks, week, -1) if not genre else "",
            "later": _neighbour(weeks, week, 1) if not genre else "",
            "is_looked_at": bool(weeks) or Genre.objects.filter(enabled=True).exists(),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "audiobooks/admin/charts.html", context)

    # --- one chart ----------------------------------------------------------------------------------------------------

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        chart: Chart = kwargs["obj"]
        entries = entries_of([chart])
        beside = Chart.objects.filter(genre=chart.genre_id) if chart.genre_id else Chart.objects.filter(pk=chart.pk)
        keys = dict(beside.order_by("week").values_list("week", "pk"))
        before = [week for week in keys if week <= chart.week]
        drawn = prepared(entries, {chart.genre_id: list(keys)} if chart.genre_id else {}, before)
        named = {f"{entry.rank}  {entry.title}": entry.course.ranks for entry in drawn}
        labels = labels_of_sources()
        context.update(
            title=str(chart),
            chart=chart,
            entries=drawn,
            plot=plot(named, before, named=True),
            made_of=", ".join(labels.get(name, source_of(name)) for name in chart.sources),
            earlier=_url(keys, week_before(list(keys), chart.week)),
            later=_url(keys, next((week for week in keys if week > chart.week), None)),
            all_genres=f"{reverse('admin:audiobooks_chart_changelist')}?week={chart.week.isoformat()}",
            all_weeks=f"{reverse('admin:audiobooks_chart_changelist')}?genre={chart.genre_id}"
            if chart.genre_id
            else "",
            may_decide=request.user.has_perm(PERMISSION),
        )
        for entry in drawn:
            entry.counted = _counted(entry.count, labels.get(entry.source, source_of(entry.source)))
        return super().render_change_form(request, context, *args, **kwargs)


def entries_of(charts: Iterable[Chart], most: int | None = None) -> list[Any]:
    """Their entries in order, those of the first `most` ranks, each with its chart, proposal and book; one query."""
    by_key = {chart.pk: chart for chart in charts}
    found = ChartEntry.objects.filter(chart__in=by_key).select_related("proposal__book").order_by("chart", "rank")
    entries = list(found if most is None else found.filter(rank__lte=most))
    for entry in entries:
        entry.chart = by_key[entry.chart_id]
    return entries


def prepared(entries: Sequence[Any], weeks: dict[int, list[date]] | None, drawn: Sequence[date] = ()) -> list[Any]:
    """Each with what its row shows."""
    known = courses(entries, weeks)
    for entry in entries:
        entry.course = known[entry.pk]
        entry.move = _move(entry.course)
        entry.small = small(entry.course.ranks, drawn)
        entry.cover = cover_or_letter(entry.proposal.book, entry.proposal.title)
        entry.label = standing_label(entry.proposal) if not entry.proposal.is_waiting else ""
        entry.said = said_of(entry.facts)
    return list(entries)


def _move(course: Course) -> dict[str, str]:
    if course.move in _MOVES:
        kind, text, words = _MOVES[course.move]
    else:
        kind = str(course.move)
        text = f"{'▲' if kind == 'up' else '▼'} {course.places}"
        words = f"{kind} {course.places}, from {course.before}"
    return {"kind": kind, "text": text, "words": words}


def _counted(count: int | None, source: str) -> str:
    return "" if count is None else f"fetched {count:,} time{'' if count == 1 else 's'} at {source}"


def _cards(charts: list[Chart]) -> list[dict[str, Any]]:
    entries = prepared(
        entries_of(charts, SHOWN_ENTRIES), weeks_of(chart.genre_id for chart in charts if chart.genre_id)
    )
    by_chart: dict[int, list[Any]] = {}
    for entry in entries:
        by_chart.setdefault(entry.chart_id, []).append(entry)
    return [{"chart": chart, "entries": by_chart.get(chart.pk, [])} for chart in charts]


def _chosen_genre(genres: Sequence[Genre], text: str) -> Genre | None:
    return next((genre for genre in genres if str(genre.pk) == text), None)


def _chosen_week(weeks: Sequence[date], text: str) -> date | None:
    """The week asked for; the last where that is none, or has no chart."""
    return next((week for week in weeks if week.isoformat() == text), weeks[0] if weeks else None)


def _neighbour(weeks: Sequence[date], week: date | None, step: int) -> str:
    """The week before or after, of those with a chart, as an address takes it."""
    if week is None:
        return ""
    # The newest is the first.
    at = weeks.index(week) - step
    return weeks[at].isoformat() if 0 <= at < len(weeks) else ""


def _url(keys: dict[date, int], week: date | None) -> str:
    return reverse("admin:audiobooks_chart_change", args=[keys[week]]) if week is not None else ""
