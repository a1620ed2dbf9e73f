"""What is remembered of the outside: when a host may be asked again, its last good answers, how each service fares."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, models
from django.db.models.expressions import RawSQL
from django.utils import timezone

from audiobooks.exceptions import ServiceError
from scheduling.redaction import redact

LONGEST_BLOCK = timedelta(hours=24)
"""A service may ask to be left alone for longer; it is asked again after this all the same."""
_HOST_LADDER = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))
_FAILURES_FOR_FREE = 4
_FAILURES_PER_RUNG = 3
_SERVICE_LADDER = (
    timedelta(0),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=6),
)
_NEWS = timedelta(minutes=1)
_OFF_WHEN_PERMANENT = timedelta(hours=20)
"""Less than a day, so that what runs each night asks again in the next."""
# Seconds. No lease is longer, and no pace keeps a request waiting for longer: a turn or slot further ahead was made by a clock
# that has since been set back.
_HORIZON = 600.0
_LONGEST_WAIT = 60.0
_KEPT = timedelta(days=90)
"""Longer than a refresh of all books is away from the next: its copies are what stands in for a catalogue that is out of order."""


class HostQuerySet(models.QuerySet["Host"]):
    def unused_since(self, moment: datetime) -> HostQuerySet:
        """Those that nobody has asked since; to be deleted by whoever cleans up."""
        return self.filter(next_slot__lt=moment.timestamp())

    def reserve(self, host: str, *, every: float, at_once: int, lease: float) -> Turn | None:
        """Claim the next slot of `host` in one statement, whichever thread or process asks.

        every: seconds between two slots; at_once: requests under way; lease: seconds from its slot on after which a request
        whose process died is forgotten.

        Returns None where the host is blocked or has enough under way.
        Not for use within a transaction: the row would stay locked until its end.
        """
        now = timezone.now()
        seconds = now.timestamp()
        # Turns are told from each other by their slots.
        every = max(every, 0.000_002)
        stored = connection.ops.adapt_datetimefield_value
        values: dict[str, Any] = {
            "host": host,
            "now": seconds,
            "latest": seconds + _LONGEST_WAIT,
            "every": every,
            "after_all": seconds + every * at_once,
            "lease": lease - every,
            "since": _micro(seconds),
            "until": _micro(seconds + _HORIZON),
            "at_once": at_once,
            "moment": stored(now),
            "longest": stored(now + LONGEST_BLOCK),
        }
        with connection.cursor() as cursor:
            cursor.execute(_RESERVE[connection.vendor], values)
            row = cursor.fetchone()
        return None if row is None else Turn(row[1], max(0.0, float(row[0]) - every - seconds))


@dataclass(frozen=True)
class Turn:
    """Leave to ask a host. `end` is the time of its lease in microseconds since 1970, which tells it from others;
    `wait` the seconds until it begins."""

    end: int
    wait: float


def _micro(seconds: float) -> int:
    # Whole numbers, for SQLite writes a fraction into JSON with 15 digits, and would not find it again.
    return int(seconds * 1_000_000)


_LISTS = {
    "sqlite": ("json_group_array(value)", "json_each({0}turns)", "value", "json_array({0})", "{0}"),
    "postgresql": (
        "coalesce(jsonb_agg(value), '[]')",
        "jsonb_array_elements({0}turns) AS turn (value)",
        "value::bigint",
        "jsonb_build_array({0})",
        "to_jsonb({0})",
    ),
}
"""Vendor -> how a list is made of values, taken apart, and what a value is as a number; a list of one number, and a number as
a value."""

# By a clock that was set back, the request before began at any time until now, and so did those that wait.
_SLOT = """CASE
        WHEN old.next_slot < %(now)s THEN %(now)s
        WHEN old.next_slot <= %(latest)s THEN old.next_slot
        ELSE %(after_all)s
    END"""


def _end(next_slot: str) -> str:
    """Of the lease of a turn, after which that is the next slot."""
    return f"CAST(1000000 * ({next_slot} + %(lease)s) AS bigint)"


def _reserving(vendor: str) -> str:
    made, taken_apart, number, only, value = _LISTS[vendor]
    # The same figure to the last bit wherever it is computed: by it the turn is found again.
    first, following = (f"CAST({each} AS double precision)" for each in ("%(now)s + %(every)s", f"%(every)s + {_SLOT}"))
    # Only these count: the others are of processes that died, or of a clock that has since been set back.
    under_way = f"FROM {taken_apart.format('old.')} WHERE {number} BETWEEN %(since)s AND %(until)s"
    return f"""
INSERT INTO audiobooks_host AS old (host, next_slot, turns, consecutive_failures, last_error)
VALUES (%(host)s, {first}, {only.format(_end(first))}, 0, '')
ON CONFLICT (host) DO UPDATE SET
    next_slot = {following},
    turns = (SELECT {made} FROM (SELECT value {under_way} UNION ALL SELECT {value.format(_end(following))}) AS turns)
WHERE (old.blocked_until IS NULL OR old.blocked_until <= %(moment)s OR old.blocked_until > %(longest)s)
    AND (SELECT count(*) {under_way}) < %(at_once)s
RETURNING next_slot, {_end("next_slot")}
"""


def _without_turn(vendor: str) -> str:
    made, taken_apart, number, *_ = _LISTS[vendor]
    return f"(SELECT {made} FROM {taken_apart.format('')} WHERE {number} <> %s)"


def _renewing(vendor: str) -> str:
    made, taken_apart, number, *_ = _LISTS[vendor]
    later = "%s" if vendor == "sqlite" else "to_jsonb(%s::bigint)"
    others = f"SELECT value FROM {taken_apart.format('')} WHERE {number} <> %s"
    return f"""
UPDATE audiobooks_host SET turns = (SELECT {made} FROM ({others} UNION ALL SELECT {later}) AS turns) WHERE host = %s
"""


_RENEW = {vendor: _renewing(vendor) for vendor in _LISTS}
_RESERVE = {vendor: _reserving(vendor) for vendor in _LISTS}
_WITHOUT_TURN = {vendor: _without_turn(vendor) for vendor in _LISTS}
_SUCCEEDED = {
    vendor: f"UPDATE audiobooks_host SET turns = {rest}, consecutive_failures = 0, last_success = %s WHERE host = %s"
    for vendor, rest in _WITHOUT_TURN.items()
}


class Host(models.Model):
    """One row per host, shared by all processes: its pace, and how long it is to be left alone."""

    host = models.CharField(max_length=255, unique=True, help_text="With its port where that is not the usual one.")
    next_slot = models.FloatField(help_text="Seconds since 1970: the next request starts no earlier.")
    turns = models.JSONField(
        default=list, help_text="Of each request under way, when it is over at the latest: microseconds since 1970."
    )
    blocked_until = models.DateTimeField(null=True, blank=True)
    consecutive_failures = models.PositiveIntegerField(default=0)
    last_success = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)

    objects = HostQuerySet.as_manager()

    class Meta:
        ordering = ["host"]

    def __str__(self) -> str:
        return self.host

    @classmethod
    def released(cls, host: str, turn: Turn) -> None:
        """It was given back unused."""
        cls.objects.filter(host=host).update(turns=_without(turn))

    @classmethod
    def renewed(cls, host: str, turn: Turn, *, lease: float) -> Turn:
        """The same leave for longer: it ends `lease` seconds from now."""
        later = Turn(_micro(timezone.now().timestamp() + lease), 0.0)
        with connection.cursor() as cursor:
            cursor.execute(_RENEW[connection.vendor], [turn.end, later.end, host])
        return later

    @classmethod
    def succeeded(cls, host: str, turn: Turn, *, leave_alone: timedelta | None = None) -> None:
        """`leave_alone`: it answered, and said that no more requests are allowed for so long.

        A block stays: it may be newer than the request that has now been answered.
        """
        now = timezone.now()
        if leave_alone:
            cls.objects.filter(host=host).update(blocked_until=_blocked(now, leave_alone))
        # As text, for it comes with every request, and to compile it takes longer than to execute it.
        stored = connection.ops.adapt_datetimefield_value
        with connection.cursor() as cursor:
            cursor.execute(_SUCCEEDED[connection.vendor], [turn.end, stored(now), host])

    @classmethod
    def failed(cls, host: str, turn: Turn, error: str, *, leave_alone: timedelta | None = None) -> None:
        """Counts the failure; after some in a row the host is left alone, longer each time, or for as long as it asked."""
        now = timezone.now()
        rungs = [
            models.When(
                consecutive_failures__gte=_FAILURES_FOR_FREE + rung * _FAILURES_PER_RUNG,
                then=_blocked(now, max(pause, leave_alone or pause)),
            )
            for rung, pause in reversed(list(enumerate(_HOST_LADDER)))
        ]
        cls.objects.filter(host=host).update(
            turns=_without(turn),
            consecutive_failures=models.F("consecutive_failures") + 1,
            last_error=error,
            blocked_until=models.Case(
                *rungs, default=_blocked(now, leave_alone), output_field=models.DateTimeField(null=True)
            ),
        )

    @classmethod
    def blocked_for(cls, host: str) -> timedelta | None:
        """How long the host is to be left alone, None where it is not."""
        now = timezone.now()
        until = cls.objects.filter(host=host).values_list("blocked_until", flat=True).first()
        return until - now if until is not None and now < until <= now + LONGEST_BLOCK else None


def _without(turn: Turn) -> RawSQL:
    return RawSQL(_WITHOUT_TURN[connection.vendor], [turn.end])


def _blocked(now: datetime, pause: timedelta | None) -> models.F | models.Case:
    """The end of `pause` from now, or of a longer block that stands; one from a clock that was wrong does not stand."""
    if not pause:
        return models.F("blocked_until")
    until = now + min(pause, LONGEST_BLOCK)
    return models.Case(
        models.When(blocked_until__gt=until, blocked_until__lte=now + LONGEST_BLOCK, then=models.F("blocked_until")),
        default=models.Value(until),
        output_field=models.DateTimeField(),
    )


class HttpCopyQuerySet(models.QuerySet["HttpCopy"]):
    def unused_since(self, moment: datetime) -> HttpCopyQuerySet:
        """Those that no request has confirmed since; to be deleted by whoever cleans up."""
        return self.filter(checked_at__lt=moment)

    # As text, for they come with every question, and to compile them takes longer than to execute them.

    def of(self, key: str, other: str) -> list[HttpCopy]:
        """The newest first."""
        with connection.cursor() as cursor:
            cursor.execute(_FIND_COPIES, [key, other])
            found = [self.model.from_db(self.db, _COPIED, row) for row in cursor.fetchall()]
        for copy in found:
            if timezone.is_naive(copy.checked_at):
                # As SQLite has it.
                copy.checked_at = copy.checked_at.replace(tzinfo=connection.timezone)
        return sorted(found, key=lambda copy: copy.checked_at, reverse=True)

    def keep(
        self,
        key: str,
        url: str,
        *,
        etag: str,
        last_modified: str,
        now: datetime,
        nothing: bool,
        status: int,
        body: bytes,
    ) -> None:
        """In place of an older one of the same key."""
        moment = connection.ops.adapt_datetimefield_value(now)
        with connection.cursor() as cursor:
            cursor.execute(_KEEP_COPY, [key, url, etag, last_modified, moment, moment, nothing, status, body])

    def confirm(self, copy: HttpCopy, now: datetime, **told: Any) -> bool:
        """That it still holds; `told` is what the host said of it besides. False where it is not there as it was read."""
        stored = connection.ops.adapt_datetimefield_value
        values = {"checked_at": stored(now), **told}
        columns = ", ".join(f"{connection.ops.quote_name(name)} = %s" for name in values)
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE audiobooks_httpcopy SET {columns} WHERE id = %s AND checked_at = %s",
                [*values.values(), copy.pk, stored(copy.checked_at)],
            )
            return bool(cursor.rowcount)


_COPIED = ("id", "key", "url", "etag", "last_modified", "checked_at", "nothing", "status", "body")
"""In the order of the model."""
# NOTHING is a word of SQL.
_FIND_COPIES = """
SELECT id, key, url, etag, last_modified, checked_at, "nothing", status, body FROM audiobooks_httpcopy WHERE key IN (%s, %s)
"""
_KEEP_COPY = """
INSERT INTO audiobooks_httpcopy (key, url, etag, last_modified, fetched_at, checked_at, "nothing", status, body)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (key) DO UPDATE SET
    url = excluded.url, etag = excluded.etag, last_modified = excluded.last_modified, fetched_at = excluded.fetched_at,
    checked_at = excluded.checked_at, "nothing" = excluded."nothing", status = excluded.status, body = excluded.body
"""


class HttpCopy(models.Model):
    """The last good answer to one request, or that there was nothing (404), which has a key of its own."""

    key = models.CharField(max_length=64, unique=True, help_text="Of method, address and parameters without secrets.")
    url = models.CharField(max_length=1024, help_text="As it may be shown.")
    etag = models.CharField(max_length=255, blank=True)
    last_modified = models.CharField(max_length=64, blank=True, help_text="As the host wrote it.")
    fetched_at = models.DateTimeField()
    checked_at = models.DateTimeField(db_index=True, help_text="When the host last said that it still holds.")
    nothing = models.BooleanField(
        default=False, help_text="It says that there is nothing; it is believed for less long."
    )
    status = models.PositiveSmallIntegerField(default=200)
    body = models.BinaryField(help_text="zlib.")

    objects = HttpCopyQuerySet.as_manager()

    class Meta:
        verbose_name = "HTTP copy"
        verbose_name_plural = "HTTP copies"
        ordering = ["-checked_at"]

    def __str__(self) -> str:
        return self.url

    def content(self) -> bytes | None:
        """None where the copy is damaged."""
        try:
            return zlib.decompress(bytes(self.body))
        except zlib.error:
            return None


class ServiceStateQuerySet(models.QuerySet["ServiceState"]):
    def of(self, name: str, configured: str) -> ServiceState | None:
        """None where nothing is known of it with these settings."""
        return self.filter(name=name, configured=configured).first()

    def record_success(self, name: str, configured: str) -> None:
        self.update_or_create(
            name=name,
            defaults={
                "configured": configured,
                "last_success": timezone.now(),
                "consecutive_failures": 0,
                "off_until": None,
            },
        )

    def record_failure(self, name: str, configured: str, error: ServiceError) -> ServiceState:
        """Leaves the service alone for as long as it asked, or longer with each failure; most of a day where it is permanent."""
        now = timezone.now()
        state, _ = self.get_or_create(name=name, defaults={"configured": configured})
        is_known = state.configured == configured
        # What was under way when it was turned off fails for the same reason.
        failures = state.consecutive_failures + (not state.is_off) if is_known else 1
        pause = _SERVICE_LADDER[min(failures, len(_SERVICE_LADDER)) - 1]
        if error.permanent:
            pause = _OFF_WHEN_PERMANENT
        pause = min(max(pause, error.retry_after or pause), LONGEST_BLOCK)
        state.configured = configured
        state.consecutive_failures = failures
        state.last_failure = now
        state.last_error = redact(str(error))
        state.off_until = now + pause if pause else None
        state.save()
        return state


class ServiceState(models.Model):
    """How a provider, a source or a client fares."""

    name = models.CharField(max_length=64, unique=True)
    configured = models.CharField(max_length=64, blank=True, editable=False)
    """A hash of its settings: what a person has changed is tried at once."""
    last_success = models.DateTimeField(null=True, blank=True)
    last_failure = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)
    consecutive_failures = models.PositiveIntegerField(default=0)
    off_until = models.DateTimeField(null=True, blank=True)

    objects = ServiceStateQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name = "provider"
        permissions = [("try_servicestate", "Can put a question to a provider")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_off(self) -> bool:
        now = timezone.now()
        return self.off_until is not None and now < self.off_until <= now + LONGEST_BLOCK

    @property
    def is_known_well(self) -> bool:
        """Whether one more success is no news."""
        now = timezone.now()
        since = now - self.last_success if self.last_success is not None else _NEWS
        return not self.consecutive_failures and timedelta(0) <= since < _NEWS


def forget_unused() -> None:
    """Copies of answers and paces of hosts that nobody has needed for long."""
    moment = timezone.now() - _KEPT
    HttpCopy.objects.unused_since(moment).delete()
    Host.objects.unused_since(moment).delete()
