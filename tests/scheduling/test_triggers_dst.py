"""Clock changes: both of a year in many zones, against cronsim itself, and the cases worth spelling out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from scheduling.triggers import CronTrigger, IntervalTrigger, OnceTrigger, dst_note, fire_times

ZONES = (
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Havana",
    "America/New_York",
    "America/Santiago",
    "America/St_Johns",
    "Asia/Beirut",
    "Atlantic/Azores",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Europe/Berlin",
    "Europe/Dublin",
    "Europe/London",
    "Pacific/Auckland",
    "Pacific/Chatham",
)
SHAPES = (
    "* * * * *",
    "*/5 * * * *",
    "*/20 1-3 * * *",
    "*/7 * * * sun",
    "0 * * * *",
    "30 */2 * * *",
    "30 2 * * *",
    "0 0 * * *",
    "59 23 * * *",
    "0,15,45 0-4 * * *",
    "30 1,2,3 * * sat,sun",
    "0 3 1-31 * mon",
    "*/30 */5 * * * *",
    "15 */10 2 * * *",
    "*/20 30 2 * * *",
)


@cache
def changes(zone_name: str) -> tuple[datetime, ...]:
    """The moments in 2025 (UTC) at which the offset changes, to the second."""
    zone = ZoneInfo(zone_name)
    start = datetime(2025, 1, 1, tzinfo=UTC)
    hours = [start + timedelta(hours=hour) for hour in range(365 * 24)]
    offsets = [hour.astimezone(zone).utcoffset() for hour in hours]
    return tuple(
        next(
            second
            for second in (hours[index - 1] + timedelta(minutes=minute) for minute in range(61))
            if second.astimezone(zone).utcoffset() == offsets[index]
        )
        for index in range(1, len(hours))
        if offsets[index] != offsets[index - 1]
    )


CASES = [(zone, index) for zone in ZONES for index in (0, 1)]


def both_sides(zone_name: str, index: int) -> tuple[datetime, datetime]:
    change = changes(zone_name)[index]
    return change - timedelta(days=2), change + timedelta(days=1, hours=12)


def by_cronsim(expression: str, zone_name: str, start: datetime, end: datetime) -> Iterator[datetime]:
    for moment in CronSim(expression, start.astimezone(ZoneInfo(zone_name))):
        if moment.astimezone(UTC) > end:
            return
        yield moment.astimezone(UTC)


def by_chain(trigger: CronTrigger, start: datetime, end: datetime) -> Iterator[datetime]:
    moment = trigger.next_after(start)
    while moment is not None and moment.astimezone(UTC) <= end:
        yield moment
        moment = trigger.next_after(moment)


def test_every_zone_of_the_matrix_changes_its_clocks_twice_in_2025() -> None:
    assert {zone: len(changes(zone)) for zone in ZONES} == dict.fromkeys(ZONES, 2)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("zone", "index"), CASES)
@pytest.mark.slow
def test_the_chain_over_a_change_is_that_of_cronsim(zone: str, index: int, shape: str) -> None:
    start, end = both_sides(zone, index)
    chain = list(by_chain(CronTrigger(shape, zone), start, end))
    instants = [moment.astimezone(UTC) for moment in chain]
    assert instants == list(by_cronsim(shape, zone, start, end))
    assert instants == sorted(set(instants))
    assert [moment.replace(tzinfo=None) for moment in chain] == [
        instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for instant in instants
    ]


@pytest.mark.parametrize(("zone", "index"), CASES)
@pytest.mark.parametrize("shape", ["30 2 * * *", "0 0 * * *", "*/20 1-3 * * *", "0 * * * *"])
def test_it_does_not_matter_where_one_starts(zone: str, index: int, shape: str) -> None:
    start, end = both_sides(zone, index)
    trigger = CronTrigger(shape, zone)
    chain = [moment.astimezone(UTC) for moment in by_chain(trigger, start, end + timedelta(days=2))]
    moment = start
    while moment < end:
        found = trigger.next_after(moment)
        assert found is not None
        assert found.astimezone(UTC) == next(later for later in chain if later > moment), moment
        moment += timedelta(minutes=13, microseconds=1)


@pytest.mark.parametrize(("zone", "index"), CASES)
@pytest.mark.parametrize("hour", [0, 1, 2, 3, 9, 23])
def test_a_daily_interval_runs_once_on_every_date_at_its_wall_clock_time(zone: str, index: int, hour: int) -> None:
    start, _end = both_sides(zone, index)
    anchor = (start - timedelta(days=9)).astimezone(ZoneInfo(zone)).replace(hour=hour, minute=30, second=0)
    trigger = IntervalTrigger(timedelta(days=1), anchor, zone)
    times = fire_times(trigger, start=start, count=4)
    dates = [moment.date() for moment in times]
    assert dates == [dates[0] + timedelta(days=day) for day in range(4)]
    for moment in times:
        assert moment.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == moment.replace(tzinfo=None)
        assert moment.fold == 0
        assert (moment.hour, moment.minute) == (hour, 30) or dst_note(moment, trigger).startswith("moved from ")


BERLIN = ZoneInfo("Europe/Berlin")
GAP = datetime(2026, 3, 29, tzinfo=BERLIN)
REPEATED = datetime(2026, 10, 25, tzinfo=BERLIN)


def times_of_day(expression: str, day: datetime) -> list[str]:
    times = by_chain(CronTrigger(expression, "Europe/Berlin"), day - timedelta(seconds=1), day + timedelta(hours=20))
    return [f"{moment:%H:%M:%S%z}" for moment in times if moment.date() == day.date()]


def test_a_fixed_time_in_the_gap_runs_at_the_first_valid_moment() -> None:
    assert times_of_day("30 2 * * *", GAP) == ["03:00:00+0200"]


def test_several_fixed_times_in_one_gap_run_once() -> None:
    assert times_of_day("0,20,40 2,3 * * *", GAP) == ["03:00:00+0200", "03:20:00+0200", "03:40:00+0200"]


def test_a_fixed_time_in_the_repeated_hour_runs_in_the_first() -> None:
    assert times_of_day("30 2 * * *", REPEATED) == ["02:30:00+0200"]


def test_six_fields_without_a_wildcard_are_a_fixed_time_too() -> None:
    """Unlike cronsim's own, which would skip the day in spring and run twice in autumn."""
    assert times_of_day("15 30 2 * * *", GAP) == ["03:00:00+0200"]
    assert times_of_day("15 30 2 * * *", REPEATED) == ["02:30:15+0200"]


def test_a_wildcard_counts_elapsed_time() -> None:
    assert times_of_day("30 * * * *", GAP)[:4] == [
        *("00:30:00+0100", "01:30:00+0100", "03:30:00+0200", "04:30:00+0200")
    ]
    assert times_of_day("*/30 2 * * *", REPEATED) == [
        *("02:00:00+0200", "02:30:00+0200", "02:00:00+0100", "02:30:00+0100")
    ]


def test_started_in_the_second_pass_a_fixed_time_runs_on_the_next_day() -> None:
    second_pass = datetime(2026, 10, 25, 2, 15, tzinfo=BERLIN, fold=1)
    assert CronTrigger("30 2 * * *", "Europe/Berlin").next_after(second_pass) == datetime(
        2026, 10, 26, 2, 30, tzinfo=BERLIN
    )


def test_several_fixed_times_in_one_gap_are_counted_once() -> None:
    trigger = CronTrigger("0,20,40 2,3 * * *", "Europe/Berlin")
    assert trigger.count_between(GAP, GAP + timedelta(hours=4)) == (3, True)


def test_started_in_the_second_pass_a_daily_interval_runs_on_the_next_day() -> None:
    anchor = datetime(2026, 10, 20, 2, 30, tzinfo=BERLIN)
    trigger = IntervalTrigger(timedelta(days=1), anchor, "Europe/Berlin")
    second_pass = datetime(2026, 10, 25, 2, 15, tzinfo=BERLIN, fold=1)
    assert trigger.next_after(second_pass) == datetime(2026, 10, 26, 2, 30, tzinfo=BERLIN)
    assert trigger.count_between(anchor, second_pass) == (5, True)
    assert trigger.latest_at_or_before(second_pass, not_before=anchor) == second_pass.replace(minute=30, fold=0)


def test_nine_o_clock_stays_nine_o_clock_and_24_hours_of_seconds_do_not() -> None:
    anchor = datetime(2026, 3, 27, 9, tzinfo=BERLIN)
    daily = IntervalTrigger(timedelta(days=1), anchor, "Europe/Berlin")
    assert [moment.hour for moment in fire_times(daily, start=anchor, count=4)] == [9, 9, 9, 9]
    half = IntervalTrigger(timedelta(hours=12), anchor, "Europe/Berlin")
    assert [moment.hour for moment in fire_times(half, start=anchor, count=6)] == [21, 9, 21, 10, 22, 10]


def test_an_anchor_in_the_second_pass_is_a_fire_time_itself() -> None:
    anchor = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)
    trigger = IntervalTrigger(timedelta(days=1), anchor, "Europe/Berlin")
    first, second = fire_times(trigger, start=REPEATED, count=2)
    assert (first.astimezone(UTC).hour, first.fold) == (1, 1)
    assert second == datetime(2026, 10, 26, 2, 30, tzinfo=BERLIN)


def test_a_single_date_in_the_gap_becomes_a_time_that_exists() -> None:
    assert OnceTrigger(datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN)).at.hour == 3


@pytest.mark.parametrize(
    ("expression", "day", "notes"),
    [
        ("30 2 * * *", GAP, ["moved from 02:30: that time does not exist on this day"]),
        ("15 30 2 * * *", GAP, ["moved from 02:30:15: that time does not exist on this day"]),
        ("30 2,3 * * *", GAP, ["moved from 02:30: that time does not exist on this day", ""]),
        ("0 2,3 * * *", GAP, [""]),
        ("0 * * * *", GAP, ["", "", "", ""]),
        ("30 3 * * *", GAP, [""]),
        ("30 2 * * *", REPEATED, ["this hour occurs twice; runs in the first"]),
        ("*/30 2 * * *", REPEATED, ["this hour occurs twice; runs in both"] * 4),
        ("0 3 * * *", REPEATED, [""]),
    ],
)
def test_dst_note(expression: str, day: datetime, notes: list[str]) -> None:
    trigger = CronTrigger(expression, "Europe/Berlin")
    times = list(by_chain(trigger, day - timedelta(seconds=1), day + timedelta(hours=4)))
    assert [dst_note(moment.astimezone(UTC), trigger) for moment in times[: len(notes)]] == notes


def test_dst_note_of_intervals_and_dates() -> None:
    anchor = datetime(2026, 3, 1, 2, 30, tzinfo=BERLIN)
    daily = IntervalTrigger(timedelta(days=1), anchor, "Europe/Berlin")
    (moved,) = fire_times(daily, start=GAP, count=1)
    assert dst_note(moved, daily) == "moved from 02:30: that time does not exist on this day"
    hourly = IntervalTrigger(timedelta(hours=1), GAP, "Europe/Berlin")
    assert [dst_note(moment, hourly) for moment in fire_times(hourly, start=GAP, count=3)] == ["", "", ""]
    once = OnceTrigger(datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1))
    assert dst_note(once.at, once) == "this hour occurs twice; runs in the second"
    assert dst_note(GAP, OnceTrigger(GAP)) == ""
