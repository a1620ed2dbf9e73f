"""The days as pages: a year of outcomes, and the coming 24 hours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone

from scheduling.display import length, short
from scheduling.forecast import HOURS, MINUTES, Forecast, Lane, forecast
from scheduling.history import DAY, Outcomes, by_day, counted_since, days_between, today
from scheduling.models import DayCount, Job

from . import dashboard
from .pictures import WITHOUT_JOB, Cell, all_days, cell, outcomes_in_words, picture, together
from .posting import ReadOnly, SchedulingAdmin

YEAR = 365
JOBS_OFFERED = 500
JOBS_DRAWN = 500
LANES_SHOWN = 60
MEETINGS_SHOWN = 20
NAMES_SHOWN = 6
LANE_HEIGHT = 12


@admin.register(DayCount)
class DayCountAdmin(ReadOnly, SchedulingAdmin):
    """Its list is the picture of a year; single rows have no page that anybody needs."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return dashboard.may_see_days(request)

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        timeline = path("timeline/", wrap(self.timeline_view), name="scheduling_dashboard_timeline")
        year = path("", wrap(self.changelist_view), name="scheduling_daycount_changelist")
        return [*dashboard.urls(), timeline, year]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """A year of all Jobs, of one (`?job=id`), or of the Tasks without one (`?job=`)."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        key = request.GET.get("job")
        days = days_between(today() - DAY * (YEAR - 1), today())
        outcomes = all_days(days[0]) if key is None else by_day(counted_since(days[0], key))
        context = {
            **self.admin_site.each_context(request),
            "title": "A year of runs",
            "opts": self.opts,
            "year": _year(days, outcomes, key),
            "words": outcomes_in_words(together(outcomes.values())),
            "of": _name_of(key, has_runs=bool(outcomes)),
            "job": key,
            "zone": timezone.get_default_timezone_name(),
            "jobs": _jobs_offered() if dashboard.may(request, "view_job") else [],
            "days": YEAR,
            "without_job": WITHOUT_JOB,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "scheduling/admin/year.html", context)

    def timeline_view(self, request: HttpRequest) -> HttpResponse:
        """The coming 24 hours of all Jobs."""
        if not dashboard.may(request, "view_job"):
            raise PermissionDenied
        jobs = Job.objects.filter(runtime__next_run_time__isnull=False).select_related("runtime")
        soonest = list(jobs.order_by("runtime__next_run_time", "pk")[: JOBS_DRAWN + 1])
        coming = forecast(soonest[:JOBS_DRAWN], picture().usual, timezone.now())
        context = {
            **self.admin_site.each_context(request),
            "title": "The coming 24 hours",
            # The way to it: it is about Jobs, no year of runs.
            "opts": Job._meta,
            "is_fullwidth": "1",
            "jobs_left_out": len(soonest) > JOBS_DRAWN,
            **_drawn(coming),
        }
        return TemplateResponse(request, "scheduling/admin/timeline.html", context)


def _jobs_offered() -> list[tuple[str, str]]:
    return list(Job.objects.order_by("name").values_list("pk", "name")[:JOBS_OFFERED])


def _name_of(key: str | None, *, has_runs: bool) -> str:
    """Raises:
    Http404: nothing is known of such a Job.
    """
    if not key:
        return "All Jobs" if key is None else WITHOUT_JOB
    name = Job.objects.filter(pk=key).values_list("name", flat=True).first()
    if name is None and not has_runs:
        raise Http404
    return name or f"{key} (deleted)"


# --- a year -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Year:
    """Weeks from left to right, Monday to Sunday downwards. `months` are names with their number of weeks."""

    months: list[tuple[str, int]]
    weekdays: list[tuple[str, list[Cell | None]]]


def _year(days: list[date], outcomes: dict[date, Outcomes], key: str | None) -> Year:
    monday = days[0] - DAY * days[0].weekday()
    mondays = [monday + timedelta(weeks=number) for number in range((days[-1] - monday).days // 7 + 1)]
    weekdays = []
    for number in range(7):
        column = [week + DAY * number for week in mondays]
        cells = [cell(day, outcomes.get(day), key) if days[0] <= day <= days[-1] else None for day in column]
        weekdays.append((f"{column[0]:%a}", cells))
    return Year(_months(mondays), weekdays)


def _months(mondays: list[date]) -> list[tuple[str, int]]:
    """A week belongs to the month of its Monday."""
    found: list[tuple[str, int]] = []
    for week in mondays:
        name = f"{week:%b}"
        if found and found[-1][0] == name:
            found[-1] = (name, found[-1][1] + 1)
        else:
            found.append((name, 1))
    return found


# --- 24 hours -----------------------------------------------------------------------------------------------------


def _drawn(coming: Forecast) -> dict[str, Any]:
    meetings = coming.meetings
    if len(meetings) > MEETINGS_SHOWN:
        most = sorted(meetings, key=lambda one: (-len(one.jobs), one.stretches))[:MEETINGS_SHOWN]
        meetings = sorted(most, key=lambda one: one.stretches)
    return {
        "hours": [coming.start + timedelta(hours=hour) for hour in range(HOURS)],
        "columns": HOURS,
        "minutes": MINUTES,
        "height": LANE_HEIGHT,
        "now_at": (coming.now - coming.start).total_seconds() / 60,
        "lanes": [_lane(lane) for lane in coming.lanes[:LANES_SHOWN]],
        "lanes_left_out": max(len(coming.lanes) - LANES_SHOWN, 0),
        "alone": _bars(coming.busy, lambda count: count == 1),
        "together": _bars(coming.busy, lambda count: count > 1),
        "most": max(coming.busy),
        "meetings": [
            {
                "first": coming.at(one.stretches[0][0]),
                "end": coming.at(one.stretches[-1][1]),
                "times": len(one.stretches),
                "count": len(one.jobs),
                "jobs": one.jobs[:NAMES_SHOWN],
                "more": max(len(one.jobs) - NAMES_SHOWN, 0),
            }
            for one in meetings
        ],
        "meetings_left_out": len(coming.meetings) - len(meetings),
    }


def _lane(lane: Lane) -> dict[str, Any]:
    runs = f"{lane.runs:,} run{'' if lane.runs == 1 else 's'}"
    each = f"about {length(lane.usual)}" if lane.usual is not None else "length unknown"
    return {
        "job": lane.job,
        "runs": runs,
        "each": each,
        "until": short(lane.last) if lane.is_capped else "",
        "path": "".join(f"M{first} 0h{end - first}v{LANE_HEIGHT}h-{end - first}z" for first, end in lane.spans),
    }


def _bars(busy: list[int], wanted: Any) -> str:
    """A path of one bar for each stretch of minutes with the same number of Jobs, as high as their share."""
    most, found, minute = max(max(busy), 1), [], 0
    while minute < len(busy):
        end = minute
        while end < len(busy) and busy[end] == busy[minute]:
            end += 1
        if wanted(busy[minute]):
            height = max(round(busy[minute] / most * LANE_HEIGHT * 3, 1), 4)
            found.append(f"M{minute} {LANE_HEIGHT * 3}v-{height}h{end - minute}v{height}z")
        minute = end
    return "".join(found)
