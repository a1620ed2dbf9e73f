"""When a Job runs: cron expressions, fixed intervals and single dates, with their words and their arithmetic.

The rule for cron is Debian's (crontab(5), cron(8)), as the cronsim package computes it. Where a clock change
makes a wall-clock time vanish or come twice, a fixed time runs once, at the first valid moment, and a
wildcard counts elapsed time.

Trap for all comparisons here: Python compares two aware datetimes of one zone by their wall clocks, ignoring
`fold`. Every comparison is therefore made in UTC.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

MICROSECOND = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)

SHORTEST_INTERVAL = timedelta(milliseconds=1)
LONGEST_INTERVAL = timedelta(days=36_525)
COUNT_CAP = 1000

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_EXAMPLE = 'Example: "0 2 * * *" is every day at 02:00.'
_CRON_FIELDS = ("second", "minute", "hour", "day-of-month", "month", "day-of-week")
_CRON_HINTS = {
    "second": '0-59, e.g. "*/10"',
    "minute": '0-59, e.g. "*/5" or "0,30"',
    "hour": '0-23, e.g. "9-17"',
    "day-of-month": '1-31 or L for the last day, e.g. "1,15"',
    "month": '1-12 or JAN-DEC, e.g. "1-6"',
    "day-of-week": '0-7 (0 and 7 are Sunday) or SUN-SAT, e.g. "MON-FRI"',
}
_LONGEST_EXPRESSION = 255
_SEARCH_START = datetime(2024, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_HOUR = timedelta(hours=1)
_WINDOWS = (SECOND, MINUTE, 10 * MINUTE, _HOUR, 6 * _HOUR, DAY, *(n * DAY for n in (8, 32, 366, 1830, 18300)))


class TriggerError(ValueError):
    """A schedule that cannot be read: a sentence for people, and `field`, the form field at fault."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


# --- the clock ----------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    """Raises: TriggerError: no such zone."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        # OSError: the name of a directory of the zone database, e.g. "Europe".
        message = f"{name[:60]!r} is not a time zone. Write a name such as Europe/Berlin or UTC."
        raise TriggerError(message, field="timezone") from error


def _check_zone(name: str) -> None:
    """Raises: TriggerError: no such zone, or not even a text (which the cache could not look up)."""
    if not isinstance(name, str):
        raise TriggerError("A time zone is given by name, such as Europe/Berlin or UTC.", field="timezone")
    _zone(name)


def _utc(moment: datetime) -> datetime:
    """Raises: ValueError: the moment is naive (astimezone would silently take the machine's zone)."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone.")
    return moment.astimezone(UTC)


def check_moment(moment: datetime, *, field: str) -> datetime:
    """The moment as a time that exists: 02:30 in a gap is read with the offset before it, so 03:30.

    Raises:
        TriggerError: it is naive, or out of the range in which clocks can be reckoned with.
    """
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise TriggerError(f"{moment!r} is not a date and time with a time zone.", field=field)
    if not 1900 <= moment.year <= 9000:
        raise TriggerError(f"The year {moment.year} is out of range: use 1900 to 9000.", field=field)
    return _utc(moment).astimezone(moment.tzinfo)


def _offsets(wall: datetime, zone: tzinfo) -> tuple[timedelta, timedelta]:
    """The UTC offsets of a wall-clock time, which are two in a gap (rising) or a repeated hour (falling)."""
    offsets = [wall.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1)]
    return offsets[0] or timedelta(0), offsets[1] or timedelta(0)


def _is_missing(wall: datetime, zone: tzinfo) -> bool:
    before, after = _offsets(wall, zone)
    return before < after


def _is_repeated(wall: datetime, zone: tzinfo) -> bool:
    before, after = _offsets(wall, zone)
    return before > after


def _first_valid(wall: datetime, zone: tzinfo) -> datetime:
    """The moment of a naive wall-clock time: the end of the gap it lies in, the first of two repeated."""
    if _is_missing(wall, zone):
        wall = wall.replace(second=0, microsecond=0) + MINUTE
        while _is_missing(wall, zone):
            wall += MINUTE
    return wall.replace(tzinfo=zone, fold=0)


# --- cron ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _CronPlan:
    """A parsed expression. `simulator` is a prototype without zone: copy it and set its `dt` before use."""

    simulator: CronSim
    is_fixed_time: bool

    def starting_at(self, moment: datetime) -> CronSim:
        simulator = copy(self.simulator)
        simulator.dt = moment.replace(microsecond=0)
        return simulator


@lru_cache(maxsize=4096)
def _plan(expression: str) -> _CronPlan:
    """Raises: TriggerError: the expression cannot be read, or never matches."""
    text = _without_alias(expression)
    try:
        simulator = CronSim(text, _SEARCH_START)
    except CronSimError as error:
        raise TriggerError(_cron_complaint(expression, text.split(), str(error)), field="cron") from error
    if next(copy(simulator), None) is None:
        raise TriggerError(_never_matches(expression), field="cron")
    times = simulator.parts[:3]
    return _CronPlan(simulator, is_fixed_time=not any(part.startswith("*") for part in times))


def _without_alias(expression: str) -> str:
    text = expression.strip()
    if not text.startswith("@"):
        return text
    try:
        return ALIASES[text.lower()]
    except KeyError as error:
        known = ", ".join(ALIASES)
        raise TriggerError(f'"{text}" is not known; the short forms are {known}. {_EXAMPLE}', field="cron") from error


def _cron_complaint(expression: str, parts: list[str], error: str) -> str:
    if len(parts) not in (5, 6):
        return (
            "A cron expression has 5 fields (minute, hour, day-of-month, month, day-of-week), or 6 (second "
            f'first); "{expression}" has {len(parts)}. {_EXAMPLE}'
        )
    name = error.removeprefix("Bad ")
    part = ["0", *parts][-6:][_CRON_FIELDS.index(name)]
    if name == "day-of-month" and _day_is_readable(part):
        return _never_matches(expression)
    return f'The {name} field "{part}" of "{expression}" cannot be read: use {_CRON_HINTS[name]}. {_EXAMPLE}'


def _day_is_readable(part: str) -> bool:
    """CronSim says "Bad day-of-month" of 30 February too."""
    try:
        CronSim(f"0 0 {part} * *", _SEARCH_START)
    except CronSimError:
        return False
    return True


def _never_matches(expression: str) -> str:
    return f'"{expression}" never matches: its day-of-month does not occur in its month. {_EXAMPLE}'


@dataclass(frozen=True)
class CronTrigger:
    """A cron expression of 5 fields, of 6 (seconds first), or one of ALIASES, on the wall clock of a zone.

    Raises:
        TriggerError: the expression or the zone cannot be read, or the expression never matches.
    """

    expression: str
    timezone: str

    def __post_init__(self) -> None:
        _check_zone(self.timezone)
        if not isinstance(self.expression, str) or len(self.expression) > _LONGEST_EXPRESSION:
            message = f"A cron expression is a text of at most {_LONGEST_EXPRESSION} characters. {_EXAMPLE}"
            raise TriggerError(message, field="cron")
        _plan(self.expression)

    @property
    def zone(self) -> ZoneInfo:
        return _zone(self.timezone)

    @property
    def is_fixed_time(self) -> bool:
        """No wildcard in second, minute or hour, so a change of the clock moves it instead of skipping it."""
        return _plan(self.expression).is_fixed_time

    def next_after(self, moment: datetime) -> datetime | None:
        """The first fire time strictly later than `moment`; None if there is none in the next 50 years."""
        return next(self._after(moment), None)

    def in_words(self) -> str:
        return _cron_in_words(_plan(self.expression).simulator)

    def latest_at_or_before(self, moment: datetime, *, not_before: datetime) -> datetime | None:
        """The latest fire time t with not_before <= t <= moment, in a few dozen steps at most."""
        moment, floor = _utc(moment), _utc(not_before) - MICROSECOND
        none_after = moment
        for window in _WINDOWS:
            start = max(moment - window, floor)
            found = self.next_after(start)
            if found is not None and _utc(found) <= moment:
                return self._last_between(found, none_after, moment)
            if start == floor:
                return None
            none_after = start
        return None

    def count_between(self, after: datetime, until: datetime) -> tuple[int, bool]:
        """How many fire times t with after < t <= until, and if that is exact: counting ends at COUNT_CAP."""
        end, count = _utc(until), 0
        for fire_time in self._after(after):
            if _utc(fire_time) > end:
                return count, True
            if count == COUNT_CAP:
                return count, False
            count += 1
        return count, True

    def _after(self, moment: datetime) -> Iterator[datetime]:
        return self._fixed_after(moment) if self.is_fixed_time else self._elapsed_after(moment)

    def _fixed_after(self, moment: datetime) -> Iterator[datetime]:
        zone, last = self.zone, _utc(moment)
        wall = last.astimezone(zone).replace(tzinfo=None)
        for candidate in _plan(self.expression).starting_at(wall):
            fire_time = _first_valid(candidate, zone)
            # Not later: begun in the second pass of a repeated hour, or several times of one gap.
            if (instant := fire_time.astimezone(UTC)) > last:
                last = instant
                yield fire_time

    def _elapsed_after(self, moment: datetime) -> Iterator[datetime]:
        zone, last = self.zone, _utc(moment)
        for candidate in _plan(self.expression).starting_at(last.astimezone(zone)):
            # By way of UTC, since CronSim can give the midnight of a day that begins at 01:00.
            if (instant := candidate.astimezone(UTC)) > last:
                last = instant
                yield instant.astimezone(zone)

    def _last_between(self, fire_time: datetime, none_after: datetime, moment: datetime) -> datetime:
        """The latest fire time <= moment, given one, and that none lies in (none_after, moment]. Bisects."""
        while (following := self.next_after(fire_time)) is not None and _utc(following) <= moment:
            fire_time = following
            middle = _utc(fire_time) + (none_after - _utc(fire_time)) / 2
            found = self.next_after(middle)
            if found is None or _utc(found) > moment:
                none_after = middle
            elif _utc(found) > _utc(fire_time):
                fire_time = found
        return fire_time


# --- intervals and single dates -----------------------------------------------------------------------------


@dataclass(frozen=True)
class IntervalTrigger:
    """The fixed grid anchor, anchor + every, anchor + 2 × every, … without end and without drift.

    A multiple of whole days is counted on the wall clock of the zone: 09:00 stays 09:00 when the clocks
    change. Anything else is elapsed time.

    Raises:
        TriggerError: a zone that is none, a naive anchor, an interval under a millisecond or over a century.
    """

    every: timedelta
    anchor: datetime
    timezone: str

    def __post_init__(self) -> None:
        _check_zone(self.timezone)
        object.__setattr__(self, "anchor", check_moment(self.anchor, field="anchor"))
        if not isinstance(self.every, timedelta) or self.every < SHORTEST_INTERVAL:
            raise TriggerError("An interval must be at least one millisecond, e.g. 5 minutes.", field="interval")
        if self.every > LONGEST_INTERVAL:
            raise TriggerError("An interval may be at most a hundred years.", field="interval")

    @property
    def zone(self) -> ZoneInfo:
        return _zone(self.timezone)

    @property
    def is_whole_days(self) -> bool:
        return not self.every % DAY

    def next_after(self, moment: datetime) -> datetime | None:
        """The first fire time strictly later than `moment`; None after the year 9999."""
        try:
            return self._fire(self._index(moment) + 1)
        except OverflowError:
            return None

    def in_words(self) -> str:
        return f"every {_length_in_words(self.every)}"

    def latest_at_or_before(self, moment: datetime, *, not_before: datetime) -> datetime | None:
        """The latest fire time t with not_before <= t <= moment."""
        index = self._index(moment)
        if index < 0:
            return None
        fire_time = self._fire(index)
        return fire_time if _utc(fire_time) >= _utc(not_before) else None

    def count_between(self, after: datetime, until: datetime) -> tuple[int, bool]:
        """How many fire times t with after < t <= until; always exact."""
        return max(0, self._index(until) - self._index(after)), True

    def _fire(self, index: int) -> datetime:
        """The fire time of that number; the anchor is number 0, and exempt from the wall-clock rule."""
        zone = self.zone
        if index == 0 or not self.is_whole_days:
            return (_utc(self.anchor) + index * self.every).astimezone(zone)
        return _first_valid(self._anchor_wall() + index * self.every, zone)

    def _index(self, moment: datetime) -> int:
        """The number of the latest fire time <= moment, -1 before the anchor."""
        elapsed = _utc(moment) - _utc(self.anchor)
        if elapsed < timedelta(0):
            return -1
        if not self.is_whole_days:
            return elapsed // self.every
        wall = moment.astimezone(self.zone).replace(tzinfo=None)
        index = max(0, (wall - self._anchor_wall()) // self.every)
        # In the second pass of a repeated hour the wall clock is behind times already run: one too low.
        while _utc(self._fire(index + 1)) <= _utc(moment):
            index += 1
        return index

    def _anchor_wall(self) -> datetime:
        return self.anchor.astimezone(self.zone).replace(tzinfo=None)


@dataclass(frozen=True)
class OnceTrigger:
    """One moment, in the zone it is given in.

    Raises:
        TriggerError: the moment is naive.
    """

    at: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", check_moment(self.at, field="run_at"))

    @property
    def zone(self) -> tzinfo:
        return self.at.tzinfo or UTC

    def next_after(self, moment: datetime) -> datetime | None:
        """`at` if that is later than `moment`, else None."""
        return self.at if _utc(self.at) > _utc(moment) else None

    def in_words(self) -> str:
        zone = self.at.tzname() or ""
        zone = f"UTC{zone}" if zone.startswith(("+", "-")) else zone
        return f"once, on {self.at.day} {self.at:%B %Y} at {_clock(self.at.time())} {zone}".rstrip()

    def latest_at_or_before(self, moment: datetime, *, not_before: datetime) -> datetime | None:
        """`at` if not_before <= at <= moment."""
        return self.at if _utc(not_before) <= _utc(self.at) <= _utc(moment) else None

    def count_between(self, after: datetime, until: datetime) -> tuple[int, bool]:
        """1 or 0; exact."""
        return int(_utc(after) < _utc(self.at) <= _utc(until)), True


Trigger = CronTrigger | IntervalTrigger | OnceTrigger


# --- many fire times ----------------------------------------------------------------------------------------


def fire_times(trigger: Trigger, *, start: datetime, count: int) -> list[datetime]:
    """The next `count` fire times after `start`; fewer if the trigger ends."""
    times: list[datetime] = []
    moment: datetime | None = start
    while len(times) < count and moment is not None and (moment := trigger.next_after(moment)) is not None:
        times.append(moment)
    return times


@dataclass(frozen=True, kw_only=True)
class DueTimes:
    """What became due between a stored next run time and now.

    recent: ascending, the latest ones that are young enough.
    missed_count, last_missed: those too old.
    folded: those young enough but left out of `recent` by its limit.
    missed_count_is_exact: False if either count stopped at COUNT_CAP.
    """

    recent: list[datetime] = field(default_factory=list)
    missed_count: int = 0
    missed_count_is_exact: bool = True
    last_missed: datetime | None = None
    folded: int = 0


def due_times(trigger: Trigger, *, first: datetime, now: datetime, oldest: datetime | None, limit: int) -> DueTimes:
    """Sort the fire times in [first, now] into the latest `limit` since `oldest` and the counts of the rest.

    `first` counts as a fire time even if the trigger has since changed. The work does not grow with the time
    missed.
    """
    first, now = _utc(first), _utc(now)
    if first > now:
        return DueTimes()
    since = first if oldest is None else max(first, _utc(oldest))
    missed, last_missed, missed_exact = 0, None, True
    if first < since:
        end = min(since - MICROSECOND, now)
        missed, missed_exact = _count_from(trigger, first, end)
        last_missed = trigger.latest_at_or_before(end, not_before=first) or first.astimezone(trigger.zone)
    recent = _latest(trigger, first=first, since=since, now=now, limit=limit)
    folded, folded_exact = _count_dropped(trigger, first, since, _utc(recent[0]) - MICROSECOND if recent else now)
    return DueTimes(
        recent=recent,
        missed_count=missed,
        missed_count_is_exact=missed_exact and folded_exact,
        last_missed=last_missed,
        folded=folded,
    )


def _latest(trigger: Trigger, *, first: datetime, since: datetime, now: datetime, limit: int) -> list[datetime]:
    """The latest `limit` fire times in [since, now], ascending; `first` is one of them if it lies there."""
    times: list[datetime] = []
    end = now
    while len(times) < limit and since <= end:
        found = trigger.latest_at_or_before(end, not_before=since)
        if found is None:
            break
        times.append(found)
        end = _utc(found) - MICROSECOND
    if len(times) < limit and since == first <= end:
        times.append(first.astimezone(trigger.zone))
    return times[::-1]


def _count_dropped(trigger: Trigger, first: datetime, since: datetime, end: datetime) -> tuple[int, bool]:
    if end < since:
        return 0, True
    return _count_from(trigger, first, end) if since == first else trigger.count_between(since - MICROSECOND, end)


def _count_from(trigger: Trigger, first: datetime, end: datetime) -> tuple[int, bool]:
    """As `count_between`, but of [first, end], with `first` counted beside the cap."""
    count, exact = trigger.count_between(first, end)
    return (count + 1 if exact else count), exact


# --- notes on clock changes ---------------------------------------------------------------------------------


def dst_note(moment: datetime, trigger: Trigger) -> str:
    """What a change of the clock does to this fire time: a short note, or '' on ordinary days."""
    local = _utc(moment).astimezone(trigger.zone)
    if (intended := _intended_time(local, trigger)) is not None:
        return f"moved from {_clock(intended)}: that time does not exist on this day"
    if not _is_repeated(local.replace(tzinfo=None), trigger.zone):
        return ""
    which = "second" if local.fold else "first"
    if isinstance(trigger, CronTrigger) and not trigger.is_fixed_time:
        return "this hour occurs twice; runs in both"
    return f"this hour occurs twice; runs in the {which}"


def _intended_time(local: datetime, trigger: Trigger) -> time | None:
    """The wall-clock time that a gap moved to `local`; None if it was not moved."""
    before = (local.astimezone(UTC) - SECOND).astimezone(trigger.zone).replace(tzinfo=None)
    wall = local.replace(tzinfo=None)
    if wall - before <= SECOND:
        return None
    if isinstance(trigger, IntervalTrigger) and trigger.is_whole_days:
        intended = trigger.anchor.astimezone(trigger.zone).time()
        return intended if intended != wall.time() else None
    if isinstance(trigger, CronTrigger) and trigger.is_fixed_time:
        plan = _plan(trigger.expression)
        is_own_time = next(plan.starting_at(wall - SECOND), None) == wall
        found = next(plan.starting_at(before), None)
        return found.time() if found is not None and found < wall and not is_own_time else None
    return None


# --- words --------------------------------------------------------------------------------------------------

_WEEKDAY_NAMES = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTH_NAMES = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_UNITS = (("day", DAY), ("hour", _HOUR), ("minute", MINUTE), ("second", SECOND))
_MANY = 120


def _clock(at: time) -> str:
    return f"{at:%H:%M:%S}" if at.second else f"{at:%H:%M}"


def _join(words: Iterable[str]) -> str:
    *head, last = words
    return f"{', '.join(head)} and {last}" if head else last


def _ordinal(number: int) -> str:
    suffix = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Ascending numbers as runs (first, last): 1, 2, 3, 7 gives (1, 3), (7, 7)."""
    start = last = None
    for number in sorted(numbers):
        if start is None or last is None:
            start = number
        elif number != last + 1:
            yield start, last
            start = number
        last = number
    if start is not None and last is not None:
        yield start, last


def _run_words(numbers: Iterable[int], labels: dict[int, str], *, to: str = " to ") -> list[str]:
    """Ascending numbers in few words: "1 to 3", "7", or "0, 7, 14 … 56"."""
    values, words = sorted(numbers), list[str]()
    steps = {later - earlier for earlier, later in pairwise(values)}
    if len(values) > 5 and len(steps) == 1 and steps != {1}:
        first, second, third, *_, last = (labels[value] for value in values)
        return [f"{first}, {second}, {third} … {last}"]
    for start, end in _runs(values):
        if end - start < 2:
            words += [labels[number] for number in range(start, end + 1)]
        else:
            words.append(f"{labels[start]}{to}{labels[end]}")
    return words


def _numbers_in_words(noun: str, numbers: set[int]) -> str:
    words = _run_words(numbers, {number: str(number) for number in numbers})
    return f"{noun}{'s' if len(numbers) > 1 else ''} {_join(words)}"


def _length_in_words(length: timedelta) -> str:
    """A length after the word "every": "5 minutes", "hour", "day", "1 day 1 second"."""
    for unit, size in _UNITS:
        if not length % size and length // size < _MANY:
            count = length // size
            return unit if count == 1 else f"{count} {unit}s"
    parts = []
    for unit, size in _UNITS[:3]:
        count, length = divmod(length, size)
        if count:
            parts.append(f"{count} {unit}{'s' if count > 1 else ''}")
    if length:
        parts.append(f"{length / SECOND:g} second{'s' if length != SECOND else ''}")
    return " ".join(parts)


def _even_step(values: set[int], size: int) -> int | None:
    """n if the values are 0, n, 2n, … and n divides the whole, so that the step is even over the turn too."""
    step = size // len(values)
    return step if values == set(range(0, size, step)) and size % step == 0 else None


def _cron_in_words(cron: CronSim) -> str:
    moments = _few_times(cron)
    if moments:
        return f"{_days_in_words(cron, at_a_time=True)} at {_join(moments)}"
    days = _days_in_words(cron, at_a_time=False)
    return f"{_frequency(cron)} {days}".rstrip()


def _few_times(cron: CronSim) -> list[str]:
    """The times of day as 09:00, if they are few enough to list."""
    count = len(cron.seconds) * len(cron.minutes) * len(cron.hours)
    is_step = len(cron.hours) > 2 and _even_step(cron.hours, 24) is not None
    if count > 4 or is_step:
        return []
    return [
        _clock(time(hour, minute, second))
        for hour in sorted(cron.hours)
        for minute in sorted(cron.minutes)
        for second in sorted(cron.seconds)
    ]


def _frequency(cron: CronSim) -> str:
    """How often within a day, for what is not a short list of times."""
    if cron.seconds != {0}:
        return _second_frequency(cron)
    every = _every_minutes(cron.minutes)
    if every and len(cron.hours) == 24:
        return every
    if every and len(list(_runs(cron.hours))) == 1:
        last = time(max(cron.hours), max(cron.minutes))
        return f"{every} from {_clock(time(min(cron.hours)))} to {_clock(last)}"
    if every:
        return f"{every} of {_hours_in_words(cron.hours)}"
    if len(cron.minutes) == 1:
        return _hour_frequency(min(cron.minutes), cron.hours)
    return f"at {_numbers_in_words('minute', cron.minutes)} of {_hours_in_words(cron.hours)}"


def _every_minutes(minutes: set[int]) -> str:
    step = _even_step(minutes, 60)
    if step is None or step == 60:
        return ""
    return f"every {step} minutes" if step > 1 else "every minute"


def _hour_frequency(minute: int, hours: set[int]) -> str:
    past = f", at {minute} minute{'s' if minute > 1 else ''} past" if minute else ""
    step = _even_step(hours, 24)
    if step is not None and step < 24:
        return f"every {step} hours{past}" if step > 1 else f"every hour{past}"
    if len(list(_runs(hours))) == 1:
        return f"every hour from {_clock(time(min(hours), minute))} to {_clock(time(max(hours), minute))}"
    return "at " + _join(_clock(time(hour, minute)) for hour in sorted(hours))


def _hours_in_words(hours: set[int]) -> str:
    return "every hour" if len(hours) == 24 else _numbers_in_words("hour", hours)


def _second_frequency(cron: CronSim) -> str:
    step = _even_step(cron.seconds, 60)
    if step is None or step == 60:
        often = f"at {_numbers_in_words('second', cron.seconds)}"
    else:
        often = f"every {step} seconds" if step > 1 else "every second"
    if len(cron.minutes) == 60 and len(cron.hours) == 24:
        return often if often.startswith("every") else f"{often} of every minute"
    if len(cron.minutes) == 60:
        return f"{often} of every minute of {_hours_in_words(cron.hours)}"
    return f"{often} of {_numbers_in_words('minute', cron.minutes)} of {_hours_in_words(cron.hours)}"


def _days_in_words(cron: CronSim, *, at_a_time: bool) -> str:
    """The days, before "at 02:00" ("every day") or after "every 5 minutes" ("")."""
    weekdays = {day % 7 for day in cron.weekdays if isinstance(day, int)}
    any_date, any_weekday = cron.days >= set(range(1, 32)), len(weekdays) == 7
    months = set(cron.months) if len(cron.months) < 12 else set()
    in_months = _in_months(months)
    if (any_date and any_weekday) or (not cron.day_and and (any_date or any_weekday)):
        return f"every day{in_months}" if at_a_time else in_months.strip()
    if any_weekday:
        return _dates_in_words(cron.days, months, at_a_time=at_a_time)
    if any_date:
        return _weekdays_in_words(cron, months, at_a_time=at_a_time)
    dates, days = f"{_dates(cron.days)} of the month", _join(_weekday_names(cron))
    return f"on {dates} {'if it is' if cron.day_and else 'or on'} {days}{in_months}"


def _in_months(months: set[int]) -> str:
    if not months:
        return ""
    is_range = len(list(_runs(months))) == 1 and len(months) > 2
    return f" {'from' if is_range else 'in'} {_months_in_words(months)}"


def _months_in_words(months: set[int]) -> str:
    return _join(_run_words(months, dict(enumerate(_MONTH_NAMES, 1))))


def _dates_in_words(days: set[int], months: set[int], *, at_a_time: bool) -> str:
    if len(days) == len(months) == 1 and min(days) > 0:
        every_year = "every year on" if at_a_time else "on"
        return f"{every_year} {min(days)} {_months_in_words(months)}"
    return f"on {_dates(days)} of {_months_in_words(months) if months else 'every month'}"


def _dates(days: set[int]) -> str:
    numbers = {day for day in days if day > 0}
    words = _run_words(numbers, {number: _ordinal(number) for number in numbers}, to=" to the ")
    if CronSim.LAST in days:
        words.append("last day")
    if CronSim.LAST_WEEKDAY in days:
        words.append("last weekday")
    return f"the {_join(words)}"


def _weekdays_in_words(cron: CronSim, months: set[int], *, at_a_time: bool) -> str:
    in_months = _in_months(months)
    names = _weekday_names(cron)
    if any(isinstance(day, tuple) for day in cron.weekdays):
        return f"on {_join(names)} of {_months_in_words(months) if months else 'every month'}"
    if len(names) == 1 and names[0] in _WEEKDAY_NAMES:
        return f"every {names[0]}{in_months}" if at_a_time else f"on {names[0]}s{in_months}"
    return f"on {_join(names)}{in_months}"


def _weekday_names(cron: CronSim) -> list[str]:
    plain = {day % 7 for day in cron.weekdays if isinstance(day, int)}
    if plain == {1, 2, 3, 4, 5}:
        names = ["weekdays"]
    elif plain == {0, 6}:
        names = ["weekends"]
    else:
        # Sunday last, as people say it: Friday to Sunday.
        labels = {day: _WEEKDAY_NAMES[day % 7] for day in range(1, 8)}
        names = _run_words({day or 7 for day in plain}, labels)
    places = sorted({(nth, day % 7) for day, nth in (item for item in cron.weekdays if isinstance(item, tuple))})
    return names + [
        f"the {'last' if nth == CronSim.LAST else _ordinal(nth)} {_WEEKDAY_NAMES[day]}" for nth, day in places
    ]


# --- APScheduler's arguments --------------------------------------------------------------------------------

_APS_DEFAULTS = {"month": "1", "day": "1", "day_of_week": "*", "hour": "0", "minute": "0", "second": "0"}
_APS_RANGES = {"month": (1, 12), "day": (1, 31), "hour": (0, 23), "minute": (0, 59), "second": (0, 59)}
_APS_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_APS_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_APS_PLACES = {"1st": "#1", "2nd": "#2", "3rd": "#3", "4th": "#4", "5th": "#5", "last": "L"}
_APS_LENGTHS = ("weeks", "days", "hours", "minutes", "seconds")
_APS_REFUSED = {
    "year": "A schedule cannot be bound to a year; use trigger='date' for a single run.",
    "week": "Cron has no week of the year; choose days and months instead.",
    "jitter": "A random delay (jitter) is not supported; choose a time at which little else runs.",
    "start_date": "A start date is not supported for cron; pause the job until then.",
    "end_date": "An end date is not supported; pause or delete the job when it has run long enough.",
}
_NUMBER_TERM = re.compile(r"(?:\*|(?P<first>\d{1,4})(?:-(?P<last>\d{1,4}))?)(?:/(?P<step>\d{1,4}))?", re.ASCII)
_NAME_TERM = re.compile(r"(?P<first>[a-z]+)(?:-(?P<last>[a-z]+))?")
_PLACE_TERM = re.compile(r"(?P<place>1st|2nd|3rd|4th|5th|last) +(?P<weekday>\w+)")


def from_apscheduler(trigger: str, *, timezone: str | tzinfo, now: datetime, **fields: object) -> Trigger:
    """The trigger that APScheduler 3's add_job(…, trigger, **fields) means; None counts as not given.

    `timezone` is the scheduler's, unless the call names its own, which the caller lets win:
    from_apscheduler(trigger, **{"timezone": default, "now": now, **fields}).
    A 'date' without run_date is due `now`.
    See https://apscheduler.readthedocs.io/en/3.x/modules/triggers/cron.html

    Raises:
        TriggerError: a field is unknown, unreadable, or has no counterpart here; says what to write instead.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    zone_name = _zone_name(timezone)
    if trigger == "cron":
        return _aps_cron(given, zone_name)
    if trigger == "interval":
        return _aps_interval(given, zone_name, now)
    if trigger == "date":
        _refuse_others(given, ("run_date",), trigger)
        return OnceTrigger(_aps_moment(given.get("run_date", now), zone_name, field="run_date"))
    raise TriggerError(f"There is no trigger {trigger!r}: use 'cron', 'interval' or 'date'.", field="trigger")


def _zone_name(zone: object) -> str:
    if zone is UTC:
        return "UTC"
    name = zone if isinstance(zone, str) else getattr(zone, "key", None) or getattr(zone, "zone", None)
    if not isinstance(name, str):
        raise TriggerError(f"The time zone {zone!r} has no name; write one such as Europe/Berlin.", field="timezone")
    return _zone(name).key


def _refuse_others(given: dict[str, object], known: Iterable[str], trigger: str) -> None:
    allowed = tuple(known)
    for name in given:
        if name in allowed:
            continue
        if trigger != "date" and name in _APS_REFUSED:
            raise TriggerError(_APS_REFUSED[name], field=name)
        raise TriggerError(f"{name!r} is not a field of the trigger {trigger!r}; it has {_join(allowed)}.", field=name)


def _aps_cron(given: dict[str, object], zone_name: str) -> CronTrigger:
    _refuse_others(given, _APS_DEFAULTS, "cron")
    terms = {name: _aps_terms(value) for name, value in _aps_defaulted(given).items()}
    dates, weekdays = _aps_days(terms["day"], terms["day_of_week"])
    months = ",".join(_aps_month(term) for term in terms["month"])
    clock = [",".join(_aps_number(name, term) for term in terms[name]) for name in ("second", "minute", "hour")]
    if clock[0] == "0":
        del clock[0]
    return CronTrigger(" ".join([*clock, dates, months, weekdays]), zone_name)


def _aps_defaulted(given: dict[str, object]) -> dict[str, object]:
    """APScheduler's rule: '*' above the least significant field given, the minimum below it."""
    names = list(_APS_DEFAULTS)
    least = max((names.index(name) for name in given), default=len(names))
    return {name: given.get(name, _APS_DEFAULTS[name] if index > least else "*") for index, name in enumerate(names)}


def _aps_terms(value: object) -> list[str]:
    return re.split(" *, *", str(value).strip().lower())


def _aps_number(name: str, term: str) -> str:
    """One term of a numeric field, checked as APScheduler does: cron alone would let */75 pass."""
    low, high = _APS_RANGES[name]
    match = _NUMBER_TERM.fullmatch(term)
    if match is None:
        raise TriggerError(f"The {name} {term!r} cannot be read; use {low}-{high}, '*/n' or 'a-b'.", field=name)
    first, last = int(match["first"] or low), int(match["last"] or match["first"] or high)
    if match["step"]:
        last = last if match["last"] else high
        if not 0 < int(match["step"]) <= last - first:
            raise TriggerError(f"The step of the {name} {term!r} must lie between 1 and {last - first}.", field=name)
    if not low <= first <= last <= high:
        raise TriggerError(f"The {name} {term!r} must lie between {low} and {high}.", field=name)
    return term


def _aps_month(term: str) -> str:
    match = _NAME_TERM.fullmatch(term)
    return _aps_number("month", term) if match is None else _aps_names("month", match, _APS_MONTHS)


def _aps_names(name: str, match: re.Match[str], known: tuple[str, ...]) -> str:
    first, last = match["first"], match["last"] or match["first"]
    for word in (first, last):
        if word not in known:
            raise TriggerError(f"The {name} {word!r} is not one of {_join(known)}.", field=name)
    if known.index(first) > known.index(last):
        message = f"The {name} {match[0]!r} runs backwards; write the two parts apart, separated by a comma."
        raise TriggerError(message, field=name)
    return first if first == last else f"{first}-{last}"


def _aps_weekday(term: str) -> str:
    if any(character.isdigit() for character in term):
        message = (
            f"The day_of_week {term!r} is ambiguous: 0 is Monday to APScheduler and Sunday to cron. "
            "Write names, e.g. 'mon' or 'mon-fri'."
        )
        raise TriggerError(message, field="day_of_week")
    if term == "*":
        return term
    match = _NAME_TERM.fullmatch(term)
    if match is None:
        message = f"The day_of_week {term!r} cannot be read; write names, e.g. 'mon' or 'mon-fri'."
        raise TriggerError(message, field="day_of_week")
    names = _aps_names("day_of_week", match, _APS_WEEKDAYS)
    # As a name, Sunday is 0 to cronsim, and no range can end in it.
    return f"{_APS_WEEKDAYS.index(names[:3]) + 1}-7" if names.endswith("-sun") else names


def _aps_days(days: list[str], weekdays: list[str]) -> tuple[str, str]:
    """The day-of-month and day-of-week fields of cron for APScheduler's day and day_of_week."""
    named = "*" if "*" in weekdays else ",".join(_aps_weekday(term) for term in weekdays)
    if "*" in days or "*/1" in days:
        return "*", named
    if named != "*":
        message = (
            "APScheduler runs when day AND day_of_week both match, cron when one OR the other does. "
            "Give only one of them, or write e.g. day='2nd fri'."
        )
        raise TriggerError(message, field="day_of_week")
    places = [match for match in map(_PLACE_TERM.fullmatch, days) if match]
    dates = [_aps_date(term, mixed=bool(places)) for term in days if not _PLACE_TERM.fullmatch(term)]
    return ",".join(dates) or "*", ",".join(_aps_place(match) for match in places) or "*"


def _aps_date(term: str, *, mixed: bool) -> str:
    if term == "last":
        return "L"
    number = _aps_number("day", term)
    # With a leading star cron would want the date AND the weekday; beside '1st mon' either will do.
    return number.replace("*", "1-31") if mixed else number


def _aps_place(match: re.Match[str]) -> str:
    if match["weekday"] not in _APS_WEEKDAYS:
        raise TriggerError(f"The day {match[0]!r} needs a weekday such as 'fri'.", field="day")
    return f"{_APS_WEEKDAYS.index(match['weekday']) + 1}{_APS_PLACES[match['place']]}"


def _aps_interval(given: dict[str, object], zone_name: str, now: datetime) -> IntervalTrigger:
    _refuse_others(given, (*_APS_LENGTHS, "start_date"), "interval")
    lengths = {name: _aps_length(name, given[name]) for name in _APS_LENGTHS if name in given}
    try:
        # No length at all is one second to APScheduler.
        every = timedelta(**lengths) or SECOND
        start = given.get("start_date") or now + every
    except (OverflowError, ValueError) as error:
        raise TriggerError("An interval may be at most a hundred years.", field="interval") from error
    return IntervalTrigger(every, _aps_moment(start, zone_name, field="start_date"), zone_name)


def _aps_length(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TriggerError(f"The {name} {value!r} must be a number.", field=name)
    return value


def _aps_moment(value: object, zone_name: str, *, field: str) -> datetime:
    """A datetime, a date (its midnight) or an ISO text; naive ones are in the zone."""
    if isinstance(value, str):
        value = _parsed_moment(value, field=field)
    if not isinstance(value, datetime) and isinstance(value, date):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        raise TriggerError(f"The {field} {value!r} is not a date and time.", field=field)
    zone = _zone(zone_name)
    moment = check_moment(value if value.tzinfo else value.replace(tzinfo=zone), field=field)
    return moment.astimezone(zone)


def _parsed_moment(text: str, *, field: str) -> datetime:
    # APScheduler takes 2026-3-2 9:00:00 as well.
    padded = re.sub(r"(?<![\d.])(\d)(?!\d)", r"0\1", text.strip())
    try:
        return datetime.fromisoformat(padded)
    except ValueError as error:
        message = f"The {field} {text!r} is not a date and time; write e.g. '2026-03-02 10:00:00'."
        raise TriggerError(message, field=field) from error
