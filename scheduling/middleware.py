"""What every request passes: the time zone of the person who asks."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

COOKIE = "timezone"
"""Set by static/scheduling/zone.js to the browser's zone, e.g. Europe/Berlin."""
FIELD = "in_zone"
"""Of a form: the zone it was shown in, in which the times in it are meant. Set by templates/scheduling/admin/in_zone.html.

A page may be older than the cookie, which its own script, or another page, has replaced.
"""
LONGEST_NAME = 64

Next = Callable[[HttpRequest], HttpResponseBase]


def zone_of_person(next_one: Next) -> Next:
    """Times are read and shown in the form's zone, else the browser's; without a real one in the project's TIME_ZONE."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        name = request.POST.get(FIELD) or request.GET.get(FIELD) or ""
        with timezone.override(zone_named(name) or zone_named(request.COOKIES.get(COOKIE, ""))):
            return next_one(request)

    return middleware


def zone_named(name: str) -> ZoneInfo | None:
    """The zone of the IANA name; None for anything else."""
    # "localtime" is the machine's own zone, under a name that no browser gives.
    if not 0 < len(name) <= LONGEST_NAME or not name.isascii() or name == "localtime":
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        # OSError: a directory of the zone database, e.g. "Europe".
        return None
