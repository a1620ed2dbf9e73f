"""The first page: is the scheduler alive, what runs, what is next, what failed, and the last 30 days as a picture.

Another app adds a panel with `register_panel`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, TypedDict

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Right
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from scheduling.display import length
from scheduling.models import Job, SchedulerProcess, Task
from scheduling.pauses import current_pause, pause_told_by, with_pause

from .pictures import picture
from .posting import nothing_done
from .task_list import UNSEEN
from .tasks import time_left

RUNNING_SHOWN = 10
NEXT_SHOWN = 10
FAILED_SHOWN = 10
PROCESSES_SHOWN = 5
MARKED_AT_ONCE = 500
ERROR_TAIL = 1000
ERROR_LINE = 240
LONGEST_NUMBER = 18


class Facts(TypedDict):
    """A panel: a title, and facts as label, value, and the address of a page about it or ""."""

    title: str
    facts: list[tuple[str, Any, str]]


Panel = Callable[[HttpRequest], Facts | None]
"""None for a person who may not see it. It is asked at every request, so what is costly is cached in it."""

_panels: list[Panel] = []


def register_panel(panel: Panel) -> Panel:
    """Show `panel` on the first page. May be used as a decorator; a second time does nothing."""
    if panel not in _panels:
        _panels.append(panel)
    return panel


def index(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
    """The site's own index with the dashboard."""
    return _index_of_site(request, {"dashboard": context(request), "is_fullwidth": "1", **(extra_context or {})})


_index_of_site = admin.site.index


def context(request: HttpRequest) -> dict[str, Any]:
    """What the page shows this person; a panel is None or missing where the permission for its rows is."""
    facts = [found for panel in _panels if (found := panel(request))]
    return {
        **live_context(request),
        "failed": failed(request) if may(request, "view_task") else None,
        "picture": picture() if may_see_days(request) else None,
        "facts": facts,
    }


def live_context(request: HttpRequest) -> dict[str, Any]:
    """The part that changes by itself."""
    schedulers: QuerySet[Any] = SchedulerProcess.objects.alive().schedulers().order_by("pk")
    alive = list(with_pause(schedulers)[: PROCESSES_SHOWN + 1])
    jobs = upcoming() if may(request, "view_job") else None
    told_by = alive or jobs
    return {
        "is_alive": bool(alive),
        "pause": pause_told_by(told_by[0]) if told_by else current_pause(),
        "processes": _shown(alive, PROCESSES_SHOWN) if may(request, "view_schedulerprocess") else None,
        "running": running() if may(request, "view_task") else None,
        "upcoming": jobs,
    }


def may(request: HttpRequest, permission: str) -> bool:
    return request.user.has_perm(f"scheduling.{permission}")


def may_see_days(request: HttpRequest) -> bool:
    """Who sees Tasks could count them."""
    return may(request, "view_task") or may(request, "view_daycount")


@dataclass(frozen=True)
class Shown:
    """The first of some rows, and whether there are more."""

    rows: list[Any]
    has_more: bool


def _shown(rows: list[Any], limit: int) -> Shown:
    return Shown(rows[:limit], len(rows) > limit)


# --- running now --------------------------------------------------------------------------------------------------


def running() -> Shown:
    tasks = Task.objects.filter(status=Task.Status.RUNNING).select_related("job").order_by("pk")
    tasks = tasks.defer("arguments", "result", "checkpoint", "error_message", "reason")
    rows: list[Any] = list(tasks[: RUNNING_SHOWN + 1])
    usual = picture().usual if rows else {}
    for task in rows:
        task.outlook = outlook(task, usual.get(task.job_id or ""))
    return _shown(rows, RUNNING_SHOWN)


def outlook(task: Task, usual: timedelta | None) -> str:
    """In words: by its pace, else by what completed runs of its Job take; empty where neither tells."""
    if (left := time_left(task)) is not None:
        return f"about {length(_rounded(left))} left"
    ran = task.duration
    if ran is None or usual is None or not task.job_id:
        return ""
    if ran < usual:
        return f"about {length(_rounded(usual - ran))} left, as usual"
    return f"longer than usual ({length(usual)})" if ran > 2 * usual else "about to end, as usual"


def _rounded(span: timedelta) -> timedelta:
    """An estimate has no tenths of a second."""
    return timedelta(seconds=max(1, round(span.total_seconds())))


# --- next runs ----------------------------------------------------------------------------------------------------


def upcoming() -> list[Any]:
    """The Jobs that run next, each with `countdown`, and the pause of everything."""
    jobs = Job.objects.filter(runtime__next_run_time__isnull=False).select_related("runtime")
    rows: list[Any] = list(with_pause(jobs).order_by("runtime__next_run_time", "pk")[:NEXT_SHOWN])
    for job in rows:
        job.countdown = countdown(job.next_run_time - timezone.now())
    return rows


def countdown(span: timedelta) -> str:
    """Such as "in 3 h 02 min" or "due for 4 s"."""
    if span >= timedelta(seconds=1):
        return f"in {length(timedelta(seconds=int(span.total_seconds())))}"
    if span > -timedelta(seconds=1):
        return "now"
    return f"due for {length(timedelta(seconds=int(-span.total_seconds())))}"


# --- failed and not looked at -------------------------------------------------------------------------------------


def unseen() -> QuerySet[Task]:
    return Task.objects.filter(UNSEEN)


def failed(request: HttpRequest) -> dict[str, Any]:
    tasks = unseen().select_related("job").annotate(error_tail=Right("error_message", ERROR_TAIL))
    tasks = tasks.defer("arguments", "result", "checkpoint", "error_message").order_by("-pk")
    rows: list[Any] = list(tasks[: FAILED_SHOWN + 1])
    for task in rows:
        task.last_line = last_line(task.error_tail) or task.reason
    return {
        **vars(_shown(rows, FAILED_SHOWN)),
        "newest": rows[0].pk if rows else None,
        "may_mark": may(request, "retry_task"),
    }


def last_line(text: str) -> str:
    """Of a traceback, the one that says what happened."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return ""
    return lines[-1] if len(lines[-1]) <= ERROR_LINE else f"{lines[-1][:ERROR_LINE]}…"


def seen_view(request: HttpRequest, pk: int) -> HttpResponse:
    """Mark one failure as looked at."""
    if (refused := _refused(request)) is not None:
        return refused
    task = Task.objects.filter(pk=pk).first()
    if task is None:
        raise Http404
    if unseen().filter(pk=pk).update(seen_at=timezone.now()):
        admin.site.get_model_admin(Task).log_change(request, task, "Looked at.")
        messages.success(request, f"{task}: marked as looked at.")
    else:
        messages.info(request, f"{task}: nothing to look at any more.")
    return HttpResponseRedirect(reverse("admin:index"))


def seen_all_view(request: HttpRequest) -> HttpResponse:
    """Mark all failures up to `newest`, the newest that the page showed: what failed since has not been seen."""
    if (refused := _refused(request)) is not None:
        return refused
    newest = request.POST.get("newest", "")
    if not newest.isdecimal() or len(newest) > LONGEST_NUMBER:
        messages.error(request, "Up to which Task? Use the button on the page.")
        return HttpResponseRedirect(reverse("admin:index"))
    count = sum(iter(partial(_mark_some, int(newest)), 0))
    if task := Task.objects.filter(pk=int(newest)).first() if count else None:
        sentence = f"All up to this one looked at: {count:,}."
        admin.site.get_model_admin(Task).log_change(request, task, sentence)
    messages.success(request, f"{count:,} failed Task{'' if count == 1 else 's'} marked as looked at.")
    return HttpResponseRedirect(reverse("admin:index"))


def _mark_some(newest: int) -> int:
    """A short transaction, since SQLite has one writer; by ascending number, as clean-up, so that no two wait in a circle."""
    with transaction.atomic():
        locked = unseen().filter(pk__lte=newest).order_by("pk").select_for_update()
        ids = list(locked.values_list("pk", flat=True)[:MARKED_AT_ONCE])
        return Task.objects.filter(pk__in=ids).update(seen_at=timezone.now())


def _refused(request: HttpRequest) -> HttpResponse | None:
    """The answer to GET.

    Raises:
        PermissionDenied
    """
    if not (may(request, "view_task") and may(request, "retry_task")):
        raise PermissionDenied
    return nothing_done(request, reverse("admin:index")) if request.method != "POST" else None


# --- live ---------------------------------------------------------------------------------------------------------


def live_view(request: HttpRequest) -> HttpResponse:
    """Piece of the page -> its HTML now, for the page's script."""
    live = live_context(request)
    return JsonResponse(
        {
            piece: render_to_string(f"scheduling/admin/dashboard/{piece}.html", {"dashboard": live}, request)
            for piece in ("paused", "alive", "running", "upcoming")
        }
    )


def urls() -> list[URLPattern]:
    """To be placed under a page of the admin."""
    wrap = admin.site.admin_view
    return [
        path("live/", wrap(live_view), name="scheduling_dashboard_live"),
        path("seen/", wrap(seen_all_view), name="scheduling_dashboard_seen_all"),
        path("seen/<int:pk>/", wrap(seen_view), name="scheduling_dashboard_seen"),
    ]
