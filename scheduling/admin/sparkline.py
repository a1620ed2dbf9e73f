"""A Job's last runs as a small picture, with the same in words."""

from __future__ import annotations

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from scheduling.display import length
from scheduling.models import Task
from scheduling.recent import RUNS, Recent

HEIGHT = 24
STEP = 5
WIDTH = 4
FOOT = 2
ROOM = HEIGHT - 2 * FOOT
"""For the bars; below it are the feet of those that failed."""


def sparkline(recent: Recent) -> SafeString:
    """A bar for each run, as high as it was long; those that did not complete are marked by colour and a foot."""
    seconds = [duration.total_seconds() for duration in recent.durations]
    longest = max(seconds) or 1.0
    # Two paths rather than a shape for each run: a page of Jobs has a thousand, and templates are slow with numbers.
    completed, failed = "", ""
    for index, (value, run) in enumerate(zip(seconds, recent.runs, strict=True)):
        x, height = index * STEP, max(1, round(value / longest * ROOM))
        if run.status == Task.Status.COMPLETED:
            completed += _box(x, ROOM, height)
        else:
            failed += _box(x, ROOM, height) + _box(x, HEIGHT, FOOT)
    context = {
        "completed": completed,
        "failed": failed,
        "width": STEP * RUNS,
        "height": HEIGHT,
        "words": in_words(recent),
        "rate": rate(recent),
    }
    return render_to_string("scheduling/admin/sparkline.html", context)


def _box(x: int, bottom: int, height: int) -> str:
    return f"M{x} {bottom}v-{height}h{WIDTH}v{height}z"


def rate(recent: Recent) -> str:
    """Such as "95 % of 20 completed"; 100 % and 0 % mean all and none."""
    count = len(recent.runs)
    percent = 100 * recent.succeeded / count
    rounded = round(percent) if percent in (0, 100) else min(99, max(1, round(percent)))
    return f"{rounded} % of {count} completed"


def in_words(recent: Recent) -> str:
    count, failed = len(recent.runs), len(recent.runs) - recent.succeeded
    durations = recent.durations
    took = f"they took {length(min(durations))} to {length(max(durations))}, the last {length(durations[-1])}"
    if count == 1:
        took = f"it took {length(durations[0])}"
    what = "all completed" if not failed else f"{failed} did not complete"
    return f"Last {count} run{'s' if count > 1 else ''}: {what}; {took}."
