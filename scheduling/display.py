"""How rows are shown in the admin: moments, lengths of time, labels and links. All of it is escaped.

Unfold renders templates while it is being imported, so nothing here may import it.
"""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from django.contrib.admin.utils import quote
from django.db import models
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from .models import Job, JobChange, Task

NOTHING = "–"

STATUS_VARIANTS = {
    Task.Status.QUEUED: "",
    Task.Status.RUNNING: "info",
    Task.Status.COMPLETED: "success",
    Task.Status.FAILED: "danger",
    Task.Status.CANCELLED: "",
    Task.Status.TIMED_OUT: "danger",
    Task.Status.LOST: "danger",
    Task.Status.MISSED: "warning",
    Task.Status.SKIPPED: "warning",
}
STATE_VARIANTS = {"active": "success", "paused": "warning", "ended": "", "unresolvable": "danger"}


@lru_cache(maxsize=256)
def label(text: str, variant: str) -> SafeString:
    """A word in a coloured box; the word says it all, the colour only helps."""
    return render_to_string("unfold/helpers/label.html", {"text": text, "variant": variant})


def status_label(task: Task) -> SafeString:
    variant = STATUS_VARIANTS.get(Task.Status(task.status), "") if task.status in Task.Status else ""
    return label(str(task.get_status_display()), variant)


def state_label(job: Job) -> SafeString:
    return label(job.state, STATE_VARIANTS[job.state])


def moment(value: datetime | None, zone: tzinfo | None = None) -> SafeString | str:
    """Such as "Tue 24 Nov 2026, 02:00:00 UTC", in the zone given or the current one."""
    if value is None:
        return NOTHING
    local = timezone.localtime(value, zone)
    return format_html(
        '<time datetime="{}" class="scheduling-time">{} {}</time>',
        local.isoformat(),
        f"{local:%a} {local.day} {local:%b %Y},",
        f"{local:%H:%M:%S %Z}",
    )


def length(value: timedelta | None) -> str:
    """Such as "0.25 s", "12 s", "3 min 05 s", "1 h 02 min", "2 d 3 h"."""
    if value is None:
        return NOTHING
    if value < timedelta(minutes=1):
        seconds = max(value.total_seconds(), 0.0)
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"
    minutes, seconds = divmod(int(value.total_seconds()), 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02} min"
    return f"{hours // 24} d {hours % 24} h"


def short(value: datetime) -> str:
    """As text, with seconds only where there are some: "24 Nov 2026, 02:00 UTC"."""
    local = timezone.localtime(value)
    return f"{local.day} {local:%b %Y}, {local:{'%H:%M:%S' if local.second else '%H:%M'} %Z}"


def pause_in_words(job: Job) -> str:
    """Empty for a Job that is not paused."""
    return pause_words(job) if job.is_paused else ""


def pause_words(job: Job) -> str:
    """Such as "until 24 Nov 2026, 08:00 UTC (holiday)", also of a pause that is over."""
    until = f"until {short(job.paused_until)}" if job.paused_until else "until resumed"
    return f"{until} ({job.paused_reason})" if job.paused_reason else until


def author_of(change: JobChange) -> str:
    if change.by is not None:
        return str(change.by)
    return "code" if change.kind == JobChange.Kind.CODE else "a command or program"


def waited(task: Task) -> timedelta | None:
    """From the queue, or the later time it was queued for, to its start."""
    if task.started_at is None:
        return None
    return task.started_at - max(filter(None, (task.date_created, task.not_before)))


def two_lines(first: str, second: str) -> SafeString:
    return format_html(
        '<span class="scheduling-two"><span>{}</span><span class="scheduling-small">{}</span></span>', first, second
    )


def zone_of(job: Job) -> tzinfo | None:
    """The Job's zone; None, for the current one, if it cannot be read."""
    try:
        return ZoneInfo(job.zone)
    except (KeyError, ValueError, OSError):
        return None


def change_url(row: models.Model) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[quote(row.pk)])


def step_url(row: models.Model, step: str) -> str:
    """The address of a step such as run, pause or cancel."""
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{step}", args=[quote(row.pk)])
