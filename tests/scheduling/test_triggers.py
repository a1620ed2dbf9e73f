"""The arithmetic, words and limits of the three triggers; the clock changes are in test_triggers_dst.py."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from functools import partial
from time import process_time
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.cron import CronTrigger as ApsCronTrigger
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.triggers import (
    ALIASES,
    COUNT_CAP,
    CronTrigger,
    DueTimes,
    IntervalTrigger,
    OnceTrigger,
    Trigger,
    TriggerError,
    due_times,
    fire_times,
    from_apscheduler,
)

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 2, 10, 0, tzinfo=BERLIN)
MICROSECOND = timedelta(microseconds=1)

# --- words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 2 * * *", "every day at 02:00"),
        ("@daily", "every day at 00:00"),
        ("@midnight", "every day at 00:00"),
        ("@hourly", "every hour"),
        ("@weekly", "every Sunday at 00:00"),
        ("@Monthly", "on the 1st of every month at 00:00"),
        ("@yearly", "every year on 1 January at 00:00"),
        ("@annually", "every year on 1 January at 00:00"),
        ("0 3 * * sun", "every Sunday at 03:00"),
        ("0 3 * * 7", "every Sunday at 03:00"),
        ("0 3 * * 0", "every Sunday at 03:00"),
        ("0 4 1 * *", "on the 1st of every month at 04:00"),
        ("0 4 1,15 * *", "on the 1st and 15th of every month at 04:00"),
        (
            "0 4 1-7,11,12,13,22 * *",
            "on the 1st to the 7th, 11th to the 13th and 22nd of every month at 04:00",
        ),
        ("0 0 */2 * *", "on the 1st, 3rd, 5th … 31st of every month at 00:00"),
        ("0 0 L * *", "on the last day of every month at 00:00"),
        ("0 0 1,L * *", "on the 1st and last day of every month at 00:00"),
        ("0 0 LW 3 *", "on the last weekday of March at 00:00"),
        ("0 0 29 2 *", "every year on 29 February at 00:00"),
        ("0 0 1 1,7 *", "on the 1st of January and July at 00:00"),
        ("* * * * *", "every minute"),
        ("*/5 * * * *", "every 5 minutes"),
        ("0,30 * * * *", "every 30 minutes"),
        ("*/7 * * * *", "at minutes 0, 7, 14 … 56 of every hour"),
        ("*/75 * * * *", "every hour"),
        ("15 * * * *", "every hour, at 15 minutes past"),
        ("0 */2 * * *", "every 2 hours"),
        ("0 */5 * * *", "at 00:00, 05:00, 10:00, 15:00 and 20:00"),
        ("0 0,12 * * *", "every day at 00:00 and 12:00"),
        ("0,30 9 * * *", "every day at 09:00 and 09:30"),
        ("30 9 * * mon-fri", "on weekdays at 09:30"),
        ("30 9 * * 6,0", "on weekends at 09:30"),
        ("0 0 * * 5-7", "on Friday to Sunday at 00:00"),
        ("0 0 * * 1,3", "on Monday and Wednesday at 00:00"),
        ("0 0 * * 5L", "on the last Friday of every month at 00:00"),
        ("0 0 * 6 5#2", "on the 2nd Friday of June at 00:00"),
        ("*/5 9-17 * * 1-5", "every 5 minutes from 09:00 to 17:55 on weekdays"),
        ("*/10 8-10,14 * * *", "every 10 minutes of hours 8 to 10 and 14"),
        ("0 9-17 * * *", "every hour from 09:00 to 17:00"),
        ("*/5 * * * 0", "every 5 minutes on Sundays"),
        ("*/5 * * 7 *", "every 5 minutes in July"),
        ("0 0 * 1-3 *", "every day from January to March at 00:00"),
        ("0 0 13 * fri", "on the 13th of the month or on Friday at 00:00"),
        ("0 0 13 6 fri", "on the 13th of the month or on Friday in June at 00:00"),
        ("0 0 1-31 * mon", "every day at 00:00"),
        ("0 0 */15 * mon", "on the 1st, 16th and 31st of the month if it is Monday at 00:00"),
        ("7,14 2,5,9 * * *", "at minutes 7 and 14 of hours 2, 5 and 9"),
        ("* * * * * *", "every second"),
        ("*/10 * * * * *", "every 10 seconds"),
        ("30 0 2 * * *", "every day at 02:00:30"),
        ("5 * * * * *", "at second 5 of every minute"),
        ("5,35 1 * * * *", "at seconds 5 and 35 of minute 1 of every hour"),
        ("* * 3 * * *", "every second of every minute of hour 3"),
    ],
)
def test_cron_in_words(expression: str, words: str) -> None:
    assert CronTrigger(expression, "UTC").in_words() == words


@pytest.mark.parametrize(
    ("every", "words"),
    [
        (timedelta(hours=24), "every day"),
        (timedelta(days=2), "every 2 days"),
        (timedelta(hours=1), "every hour"),
        (timedelta(minutes=5), "every 5 minutes"),
        (timedelta(minutes=90), "every 90 minutes"),
        (timedelta(seconds=1), "every second"),
        (timedelta(milliseconds=1500), "every 1.5 seconds"),
        (timedelta(milliseconds=1), "every 0.001 seconds"),
        (timedelta(days=1, seconds=1), "every 1 day 1 second"),
        (timedelta(days=400), "every 400 days"),
    ],
)
def test_interval_in_words(every: timedelta, words: str) -> None:
    assert IntervalTrigger(every, NOW, "UTC").in_words() == words


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (NOW, "once, on 2 March 2026 at 10:00 CET"),
        (NOW.astimezone(UTC).replace(second=5), "once, on 2 March 2026 at 09:00:05 UTC"),
        (NOW.replace(tzinfo=ZoneInfo("America/Sao_Paulo")), "once, on 2 March 2026 at 10:00 UTC-03"),
    ],
)
def test_once_in_words(at: datetime, words: str) -> None:
    assert OnceTrigger(at).in_words() == words


# --- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("", "has 0"),
        ("0 2 * *", "has 4"),
        ("0 0 0 1 1 * 2026", "has 7"),
        ("61 * * * *", 'minute field "61"'),
        ("0 24 * * *", 'hour field "24"'),
        ("61 0 0 * * *", 'second field "61"'),
        ("0 0 32 * *", 'day-of-month field "32"'),
        ("0 0 ? * *", 'day-of-month field "?"'),
        ("0 0 * foo *", 'month field "foo"'),
        ("0 0 * * 8", 'day-of-week field "8"'),
        ("0 0 * * fri-sun", 'day-of-week field "fri-sun"'),
        ("*/0 * * * *", 'minute field "*/0"'),
        ("5,,6 * * * *", 'minute field "5,,6"'),
        ("0 0 30 2 *", "never matches"),
        ("0 0 31 2,4,6 *", "never matches"),
        ("0 0 30 2 */2", "never matches"),
        ("@reboot", "short forms"),
        ("9" * 6000 + " * * * *", "at most"),
    ],
)
def test_a_bad_expression_is_refused_in_a_sentence_with_an_example(expression: str, part: str) -> None:
    with pytest.raises(TriggerError) as caught:
        CronTrigger(expression, "UTC")
    assert part in str(caught.value)
    assert 'Example: "0 2 * * *"' in str(caught.value)
    assert caught.value.field == "cron"


@pytest.mark.parametrize("name", ["", "Europe", "Mars/Base", "../UTC", "/etc/passwd", "x\0", None, 5, []])
@pytest.mark.parametrize(
    "make", [lambda zone: CronTrigger("@daily", zone), lambda zone: IntervalTrigger(timedelta(1), NOW, zone)]
)
def test_an_unknown_zone_is_refused(name: Any, make: Callable[[Any], Trigger]) -> None:
    with pytest.raises(TriggerError, match="time zone") as caught:
        make(name)
    assert caught.value.field == "timezone"


@pytest.mark.parametrize("every", [timedelta(0), timedelta(-1), timedelta(microseconds=999), timedelta.max])
def test_a_senseless_interval_is_refused(every: timedelta) -> None:
    with pytest.raises(TriggerError, match="interval") as caught:
        IntervalTrigger(every, NOW, "UTC")
    assert caught.value.field == "interval"


@pytest.mark.parametrize("moment", [NOW.replace(tzinfo=None), NOW.replace(year=1), "2026-03-02", None])
def test_a_moment_without_zone_or_sense_is_refused(moment: Any) -> None:
    with pytest.raises(TriggerError) as caught:
        OnceTrigger(moment)
    assert caught.value.field == "run_at"
    with pytest.raises(TriggerError) as caught:
        IntervalTrigger(timedelta(1), moment, "UTC")
    assert caught.value.field == "anchor"


def test_a_naive_moment_is_a_bug_of_the_caller() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        CronTrigger("@daily", "UTC").next_after(NOW.replace(tzinfo=None))


def test_triggers_and_errors_can_be_pickled_and_compared() -> None:
    trigger = CronTrigger("@daily", "Europe/Berlin")
    trigger.next_after(NOW)
    assert pickle.loads(pickle.dumps(trigger)) == trigger  # noqa: S301
    error = pickle.loads(pickle.dumps(TriggerError("No.", field="cron")))  # noqa: S301
    assert (str(error), error.field) == ("No.", "cron")
    assert TriggerError("No.").field == ""


# --- next_after ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 10 * * *", "2026-03-03T10:00:00+01:00"),
        ("1 10 * * *", "2026-03-02T10:01:00+01:00"),
        ("0 0 13 * fri", "2026-03-06T00:00:00+01:00"),
        ("0 9 * * 1", "2026-03-09T09:00:00+01:00"),
        ("0 9 * * 0", "2026-03-08T09:00:00+01:00"),
        ("0 9 * * 7", "2026-03-08T09:00:00+01:00"),
        ("0 0 L * *", "2026-03-31T00:00:00+02:00"),
        ("0 0 29 2 *", "2028-02-29T00:00:00+01:00"),
        ("0 0 * 2 mon#5", "2044-02-29T00:00:00+01:00"),
        ("*/10 * * * * *", "2026-03-02T10:00:10+01:00"),
        ("@hourly", "2026-03-02T11:00:00+01:00"),
    ],
)
def test_next_after_of_cron(expression: str, expected: str) -> None:
    trigger = CronTrigger(f"  {expression} ", "Europe/Berlin")
    found = trigger.next_after(NOW.astimezone(UTC))
    assert found is not None
    assert found.isoformat() == expected
    assert found.tzinfo is BERLIN


def test_next_after_of_an_interval_begins_with_the_anchor() -> None:
    trigger = IntervalTrigger(timedelta(minutes=7), NOW, "UTC")
    assert trigger.next_after(NOW - timedelta(days=365)) == NOW
    assert trigger.next_after(NOW - MICROSECOND) == NOW
    assert trigger.next_after(NOW) == NOW + timedelta(minutes=7)
    assert trigger.next_after(NOW + timedelta(days=3650)) == NOW + 750_858 * timedelta(minutes=7)
    found = trigger.next_after(NOW)
    assert found is not None
    assert str(found.tzinfo) == "UTC"


def test_an_interval_ends_where_the_calendar_does() -> None:
    trigger = IntervalTrigger(timedelta(days=36_525), NOW.replace(year=9000), "UTC")
    assert trigger.next_after(datetime(9999, 12, 30, tzinfo=UTC)) is None


def test_next_after_of_a_single_date() -> None:
    trigger = OnceTrigger(NOW)
    assert trigger.next_after(NOW - MICROSECOND) == NOW
    assert trigger.next_after(NOW) is None


def test_fire_times_end_with_the_trigger() -> None:
    assert fire_times(OnceTrigger(NOW), start=NOW - timedelta(1), count=5) == [NOW]
    assert fire_times(CronTrigger("@daily", "UTC"), start=NOW, count=0) == []
    assert [f"{moment:%d %H}" for moment in fire_times(CronTrigger("0 */12 * * *", "UTC"), start=NOW, count=3)] == [
        *("02 12", "03 00", "03 12")
    ]


# --- properties ---------------------------------------------------------------------------------------------

# No deadline: a busy machine is not a bug.
PROPERTY = settings(deadline=None, database=None)
ZONE_NAMES = st.sampled_from(
    [
        "UTC",
        "Europe/Berlin",
        "America/Havana",
        "Australia/Lord_Howe",
        "Africa/Cairo",
        "Pacific/Chatham",
        "Asia/Kolkata",
    ]
)
MOMENTS = st.builds(
    lambda seconds, micro: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds, microseconds=micro),
    st.integers(0, 3 * 366 * 86_400),
    st.sampled_from([0, 0, 1, 999_999]),
)


def cron_field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    return st.one_of(
        st.just("*"),
        number.map(str),
        st.sampled_from([2, 5, 7, 15]).map(lambda step: f"*/{step}"),
        st.lists(number, min_size=2, max_size=4).map(lambda numbers: ",".join(map(str, numbers))),
        st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}"),
    )


CRONS = st.builds(
    lambda parts, zone: CronTrigger(" ".join(parts), zone),
    st.tuples(
        cron_field(0, 59),
        cron_field(0, 23),
        st.sampled_from(["*", "*", "1", "28", "L", "*/3"]),
        st.just("*"),
        cron_field(0, 7),
    ),
    ZONE_NAMES,
)
INTERVALS = st.builds(
    IntervalTrigger,
    st.one_of(
        st.integers(1, 40).map(lambda days: timedelta(days=days)),
        st.integers(1, 10**12).map(lambda micro: timedelta(microseconds=micro + 1000)),
    ),
    MOMENTS,
    ZONE_NAMES,
)
TRIGGERS: st.SearchStrategy[Trigger] = st.one_of(CRONS, INTERVALS, st.builds(OnceTrigger, MOMENTS))


@PROPERTY
@given(TRIGGERS, MOMENTS)
def test_next_after_advances_to_a_time_that_exists(trigger: Trigger, moment: datetime) -> None:
    found = trigger.next_after(moment)
    if found is None:
        assert isinstance(trigger, OnceTrigger)
        return
    assert found.astimezone(UTC) > moment
    there_and_back = found.astimezone(UTC).astimezone(trigger.zone)
    assert (there_and_back.replace(tzinfo=None), there_and_back.fold) == (
        found.replace(tzinfo=None),
        found.fold,
    )
    assert found.tzinfo is trigger.zone


@PROPERTY
@given(TRIGGERS, MOMENTS)
def test_nothing_lies_between_a_moment_and_the_next_fire_time(trigger: Trigger, moment: datetime) -> None:
    found = trigger.next_after(moment)
    if found is None:
        return
    between = moment + (found.astimezone(UTC) - moment) / 2
    again = trigger.next_after(between)
    assert again is not None
    assert between >= found.astimezone(UTC) or again.astimezone(UTC) == found.astimezone(UTC)


@PROPERTY
@given(INTERVALS, MOMENTS)
def test_an_interval_stays_on_its_grid(trigger: IntervalTrigger, moment: datetime) -> None:
    found = trigger.next_after(moment)
    assert found is not None
    if not trigger.is_whole_days:
        assert (found.astimezone(UTC) - trigger.anchor.astimezone(UTC)) % trigger.every == timedelta(0)
        return
    anchor = trigger.anchor.astimezone(trigger.zone)
    assert (found.date() - anchor.date()).days % trigger.every.days == 0
    assert found.astimezone(UTC) - moment <= trigger.every + timedelta(hours=1) or found == anchor


@PROPERTY
@given(TRIGGERS)
def test_every_trigger_has_words(trigger: Trigger) -> None:
    words = trigger.in_words()
    assert words == words.strip()
    assert words[0].islower()
    assert "  " not in words


@PROPERTY
@given(TRIGGERS, MOMENTS, st.integers(0, 40_000_000))
def test_the_latest_fire_time_is_one_and_none_follows_it(trigger: Trigger, moment: datetime, span: int) -> None:
    floor = moment - timedelta(seconds=span)
    found = trigger.latest_at_or_before(moment, not_before=floor)
    following = trigger.next_after(floor - MICROSECOND if found is None else found)
    assert following is None or following.astimezone(UTC) > moment
    if found is not None:
        assert floor <= found.astimezone(UTC) <= moment
        before = trigger.next_after(found.astimezone(UTC) - MICROSECOND)
        assert before is not None
        assert before.astimezone(UTC) == found.astimezone(UTC)


# --- due_times ----------------------------------------------------------------------------------------------


def enumerated(trigger: Trigger, first: datetime, now: datetime, oldest: datetime | None, limit: int) -> DueTimes:
    """due_times by brute force."""
    due, moment = [], first
    while moment <= now:
        due.append(moment)
        following = trigger.next_after(moment)
        if following is None:
            break
        moment = following.astimezone(UTC)
    young = [moment for moment in due if oldest is None or moment >= oldest]
    old = due[: len(due) - len(young)]
    recent = young[len(young) - limit :] if limit < len(young) else young
    return DueTimes(
        recent=recent,
        missed_count=len(old),
        last_missed=old[-1] if old else None,
        folded=len(young) - len(recent),
    )


def in_utc(due: DueTimes) -> DueTimes:
    return DueTimes(
        recent=[moment.astimezone(UTC) for moment in due.recent],
        missed_count=due.missed_count,
        missed_count_is_exact=due.missed_count_is_exact,
        last_missed=due.last_missed and due.last_missed.astimezone(UTC),
        folded=due.folded,
    )


SMALL_TRIGGERS = st.one_of(
    CRONS,
    st.builds(
        IntervalTrigger,
        st.sampled_from([timedelta(minutes=7), timedelta(days=1), timedelta(hours=36)]),
        MOMENTS,
        ZONE_NAMES,
    ),
    st.builds(OnceTrigger, MOMENTS),
)


@settings(PROPERTY, max_examples=200)
@given(data=st.data(), trigger=SMALL_TRIGGERS, start=MOMENTS, limit=st.integers(0, 12), on_grid=st.booleans())
def test_due_times_agree_with_enumeration(
    data: st.DataObject, trigger: Trigger, start: datetime, limit: int, on_grid: bool
) -> None:
    found = trigger.next_after(start) if on_grid else start
    first = (found or start).astimezone(UTC)
    few = fire_times(trigger, start=first, count=30)
    edges = [first, *(moment.astimezone(UTC) for moment in few)]
    nudge = st.sampled_from([-MICROSECOND, timedelta(0), MICROSECOND, timedelta(seconds=-40)])
    now = data.draw(st.sampled_from(edges)) + data.draw(nudge)
    oldest = data.draw(st.none() | st.sampled_from(edges).map(lambda edge: edge + data.draw(nudge)))
    due = due_times(trigger, first=first, now=now, oldest=oldest, limit=limit)
    assert in_utc(due) == enumerated(trigger, first, now, oldest, limit)
    assert all(moment.tzinfo is trigger.zone for moment in due.recent)


def test_nothing_is_due_before_the_first() -> None:
    trigger = CronTrigger("* * * * *", "UTC")
    assert due_times(trigger, first=NOW, now=NOW - MICROSECOND, oldest=None, limit=5) == DueTimes()


def test_a_stored_time_off_the_grid_still_counts() -> None:
    first = NOW + timedelta(seconds=17)
    due = due_times(CronTrigger("@hourly", "UTC"), first=first, now=first, oldest=None, limit=5)
    assert (due.recent, due.missed_count, due.folded) == ([first], 0, 0)


def test_counting_stops_at_the_cap_and_says_so() -> None:
    due = due_times(
        CronTrigger("* * * * * *", "UTC"),
        first=NOW,
        now=NOW + timedelta(days=1),
        oldest=NOW + timedelta(hours=12),
        limit=1,
    )
    assert (due.missed_count, due.folded, due.missed_count_is_exact) == (COUNT_CAP, COUNT_CAP, False)
    assert due.last_missed == NOW + timedelta(hours=12, seconds=-1)
    assert due.recent == [NOW + timedelta(days=1)]


@pytest.mark.parametrize(("missed", "exact"), [(COUNT_CAP - 1, True), (COUNT_CAP + 1, True), (COUNT_CAP + 2, False)])
def test_the_cap_itself_is_exact(missed: int, exact: bool) -> None:
    oldest = NOW + timedelta(minutes=missed)
    due = due_times(CronTrigger("* * * * *", "UTC"), first=NOW, now=oldest, oldest=oldest, limit=1)
    assert (due.missed_count, due.missed_count_is_exact) == (missed if exact else COUNT_CAP, exact)
    assert (due.recent, due.folded) == ([oldest], 0)


def test_intervals_are_counted_exactly() -> None:
    trigger = IntervalTrigger(timedelta(seconds=1), NOW, "UTC")
    due = due_times(trigger, first=NOW, now=NOW + timedelta(days=365), oldest=NOW + timedelta(days=364), limit=3)
    assert (due.missed_count, due.folded, due.missed_count_is_exact) == (364 * 86_400, 86_398, True)
    assert len(due.recent) == 3


# --- speed: guards against another order of magnitude, not benchmarks ---------------------------------------


def best_seconds(call: Callable[[], object], *, runs: int = 5) -> float:
    best = float("inf")
    for _ in range(runs):
        start = process_time()
        call()
        best = min(best, process_time() - start)
    return best


@pytest.mark.parametrize("expression", ["*/5 * * * *", "0 2 * * *"])
def test_next_after_is_quick(expression: str) -> None:
    trigger = CronTrigger(expression, "Europe/Berlin")
    assert best_seconds(lambda: [trigger.next_after(NOW) for _ in range(100)]) < 100 * 300e-6


def test_a_second_trigger_of_the_same_expression_is_not_parsed_again() -> None:
    assert best_seconds(lambda: [CronTrigger("1,2,3,4 */2 * * *", "UTC") for _ in range(100)]) < 100 * 50e-6


@pytest.mark.parametrize("limit", [1, 100])
@pytest.mark.parametrize("oldest", [None, NOW - timedelta(minutes=15), NOW - timedelta(hours=12)])
@pytest.mark.parametrize("expression", ["* * * * * *", "* * 3 * * *", "* * * * *", "*/5 9-17 * * *"])
def test_a_day_missed_costs_little(expression: str, oldest: datetime | None, limit: int) -> None:
    trigger = CronTrigger(expression, "Europe/Berlin")
    first = trigger.next_after(NOW - timedelta(days=1))
    assert first is not None

    call = partial(due_times, trigger, first=first, now=NOW, oldest=oldest, limit=limit)
    assert best_seconds(call) < 0.1


@pytest.mark.parametrize("expression", ["* * * * * *", "* * * 1 * *"])
def test_years_missed_cost_no_more(expression: str) -> None:
    trigger, first = CronTrigger(expression, "Europe/Berlin"), NOW.replace(year=2016)
    call = partial(due_times, trigger, first=first, now=NOW, oldest=None, limit=1)
    assert best_seconds(call, runs=3) < 0.1


# --- APScheduler --------------------------------------------------------------------------------------------

UTC_NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "expression"),
    [
        ({"hour": 3}, "0 3 * * *"),
        ({"hour": "3", "minute": None}, "0 3 * * *"),
        ({"hour": "*"}, "0 * * * *"),
        ({"minute": "*/5"}, "*/5 * * * *"),
        ({"minute": "5-50/10, 55"}, "5-50/10,55 * * * *"),
        ({"minute": "10/20"}, "10/20 * * * *"),
        ({"hour": "9-17", "minute": 30}, "30 9-17 * * *"),
        ({"hour": 9, "second": 0}, "* 9 * * *"),
        ({"hour": 9, "minute": 5, "second": 30}, "30 5 9 * * *"),
        ({"second": "*/30"}, "*/30 * * * * *"),
        ({"day": 5}, "0 0 5 * *"),
        ({"day": "1,15"}, "0 0 1,15 * *"),
        ({"day": "*/10", "hour": 4}, "0 4 */10 * *"),
        ({"day": "last"}, "0 0 L * *"),
        ({"day": "1,last", "hour": 2}, "0 2 1,L * *"),
        ({"day": "last fri", "hour": 2}, "0 2 * * 5L"),
        ({"day": "2nd Fri", "hour": 2}, "0 2 * * 5#2"),
        ({"day": "1st sun,3rd sun"}, "0 0 * * 7#1,7#3"),
        ({"day": "15,1st mon"}, "0 0 15 * 1#1"),
        ({"day": "*/10,1st mon"}, "0 0 1-31/10 * 1#1"),
        ({"month": 3}, "0 0 1 3 *"),
        ({"month": "jan-mar,9", "day": 2}, "0 0 2 jan-mar,9 *"),
        ({"month": "*/3"}, "0 0 1 */3 *"),
        ({"day_of_week": "mon"}, "0 0 * * mon"),
        ({"day_of_week": "mon-fri", "hour": 9, "minute": 30}, "30 9 * * mon-fri"),
        ({"day_of_week": "sun"}, "0 0 * * sun"),
        ({"day_of_week": "sat-sun"}, "0 0 * * 6-7"),
        ({"day_of_week": "fri-sun", "hour": 1}, "0 1 * * 5-7"),
        ({"day_of_week": "mon-sun"}, "0 0 * * 1-7"),
        ({"day_of_week": "Mon, WED ,fri-sun"}, "0 0 * * mon,wed,5-7"),
        ({"day_of_week": "*", "hour": 6}, "0 6 * * *"),
        ({"day_of_week": "*"}, "0 0 * * *"),
        ({"month": 6, "day_of_week": "tue", "hour": 6}, "0 6 * 6 tue"),
        ({}, "* * * * * *"),
    ],
)
def test_from_apscheduler_means_the_same(fields: dict[str, Any], expression: str) -> None:
    ours = from_apscheduler("cron", timezone="UTC", now=UTC_NOW, **fields)
    assert ours == CronTrigger(expression, "UTC")
    theirs = ApsCronTrigger(**fields, timezone="UTC")
    moment, until, compared = UTC_NOW, UTC_NOW + timedelta(days=366), 0
    while moment < until and compared < 600:
        expected = theirs.get_next_fire_time(None, moment + MICROSECOND)
        found = ours.next_after(moment)
        assert found == expected
        assert found is not None
        moment, compared = found.astimezone(UTC), compared + 1
        if compared % 20 == 0:
            moment += timedelta(days=12, hours=7, minutes=11)  # so that frequent ones cross the year too


@pytest.mark.parametrize(
    ("trigger", "fields", "field", "part"),
    [
        ("cron", {"day_of_week": 0}, "day_of_week", "0 is Monday to APScheduler and Sunday to cron"),
        ("cron", {"day_of_week": "0-4"}, "day_of_week", "Write names, e.g. 'mon'"),
        ("cron", {"day_of_week": "mon,3"}, "day_of_week", "Write names"),
        ("cron", {"day_of_week": "*/2"}, "day_of_week", "Write names"),
        ("cron", {"day_of_week": "monday"}, "day_of_week", "not one of mon"),
        ("cron", {"day_of_week": "sun-mon"}, "day_of_week", "backwards"),
        ("cron", {"day_of_week": "mon fri"}, "day_of_week", "cannot be read"),
        ("cron", {"day_of_week": "fri", "day": 13}, "day_of_week", "AND"),
        ("cron", {"day_of_week": "fri", "day": "2nd mon"}, "day_of_week", "AND"),
        ("cron", {"day": "6th mon"}, "day", "cannot be read"),
        ("cron", {"day": "2nd foo"}, "day", "weekday"),
        ("cron", {"day": 32}, "day", "between 1 and 31"),
        ("cron", {"day": 30, "month": 2}, "cron", "never matches"),
        ("cron", {"minute": 60}, "minute", "between 0 and 59"),
        ("cron", {"minute": -1}, "minute", "cannot be read"),
        ("cron", {"minute": "*/75"}, "minute", "step"),
        ("cron", {"minute": "*/0"}, "minute", "step"),
        ("cron", {"minute": "9-5"}, "minute", "between"),
        ("cron", {"minute": "٣"}, "minute", "cannot be read"),
        ("cron", {"month": "foo"}, "month", "not one of jan"),
        ("cron", {"year": 2026}, "year", "year"),
        ("cron", {"week": 5}, "week", "week"),
        ("cron", {"hour": 3, "jitter": 5}, "jitter", "jitter"),
        ("cron", {"hour": 3, "start_date": UTC_NOW}, "start_date", "start date"),
        ("cron", {"hour": 3, "end_date": UTC_NOW}, "end_date", "end date"),
        ("cron", {"hours": 3}, "hours", "'hours' is not a field"),
        ("cron", {"hour": 3, "timezone": "Mars/X"}, "timezone", "time zone"),
        ("cron", {"hour": 3, "timezone": timezone(timedelta(hours=1))}, "timezone", "no name"),
        ("interval", {"minutes": 5, "jitter": 5}, "jitter", "jitter"),
        ("interval", {"minutes": 5, "end_date": UTC_NOW}, "end_date", "end date"),
        ("interval", {"minute": 5}, "minute", "'minute' is not a field"),
        ("interval", {"minutes": "5"}, "minutes", "number"),
        ("interval", {"minutes": -5}, "interval", "interval"),
        ("interval", {"weeks": 10**9}, "interval", "hundred years"),
        ("interval", {"days": float("nan")}, "interval", "interval"),
        ("interval", {"days": 1, "start_date": "soon"}, "start_date", "not a date"),
        ("date", {"run_date": "soon"}, "run_date", "not a date"),
        ("date", {"run_date": 5}, "run_date", "not a date"),
        ("date", {"jitter": 5}, "jitter", "not a field"),
        ("calendarinterval", {"days": 1}, "trigger", "'cron', 'interval' or 'date'"),
    ],
)
def test_from_apscheduler_refuses_with_a_reason(trigger: str, fields: dict[str, Any], field: str, part: str) -> None:
    with pytest.raises(TriggerError) as caught:
        from_apscheduler(trigger, **{"timezone": "UTC", "now": UTC_NOW, **fields})
    assert part in str(caught.value)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("zone", "name"), [("Europe/Berlin", "Europe/Berlin"), (BERLIN, "Europe/Berlin"), (UTC, "UTC")]
)
def test_from_apscheduler_takes_a_zone_by_name_or_as_an_object(zone: Any, name: str) -> None:
    found = from_apscheduler("cron", timezone=zone, now=NOW, hour=3)
    assert found == CronTrigger("0 3 * * *", name)


@pytest.mark.parametrize(
    ("fields", "every", "anchor"),
    [
        ({"minutes": 5}, timedelta(minutes=5), NOW + timedelta(minutes=5)),
        ({"weeks": 1, "hours": 1}, timedelta(days=7, hours=1), NOW + timedelta(days=7, hours=1)),
        ({"seconds": 0.5}, timedelta(seconds=0.5), NOW + timedelta(seconds=0.5)),
        ({}, timedelta(seconds=1), NOW + timedelta(seconds=1)),
        (
            {"days": 1, "start_date": "2026-3-5 9:00:00"},
            timedelta(days=1),
            datetime(2026, 3, 5, 9, tzinfo=BERLIN),
        ),
        ({"days": 1, "start_date": date(2026, 3, 5)}, timedelta(days=1), datetime(2026, 3, 5, tzinfo=BERLIN)),
        ({"days": 1, "start_date": NOW.astimezone(UTC)}, timedelta(days=1), NOW),
    ],
)
def test_an_interval_from_apscheduler(fields: dict[str, Any], every: timedelta, anchor: datetime) -> None:
    found = from_apscheduler("interval", timezone="Europe/Berlin", now=NOW, **fields)
    assert found == IntervalTrigger(every, anchor, "Europe/Berlin")
    assert isinstance(found, IntervalTrigger)
    assert found.next_after(NOW - MICROSECOND) == anchor


@pytest.mark.parametrize(
    ("run_date", "at"),
    [
        ("2026-03-05 09:00:00", datetime(2026, 3, 5, 9, tzinfo=BERLIN)),
        ("2026-3-5 9:00:00.5", datetime(2026, 3, 5, 9, 0, 0, 500_000, tzinfo=BERLIN)),
        ("2026-03-05", datetime(2026, 3, 5, tzinfo=BERLIN)),
        ("2026-03-05T09:00:00Z", datetime(2026, 3, 5, 9, tzinfo=UTC)),
        (datetime(2026, 3, 5, 9), datetime(2026, 3, 5, 9, tzinfo=BERLIN)),  # noqa: DTZ001
        (date(2026, 3, 5), datetime(2026, 3, 5, tzinfo=BERLIN)),
        (NOW.astimezone(UTC), NOW),
        (None, NOW),
    ],
)
def test_a_single_date_from_apscheduler(run_date: object, at: datetime) -> None:
    found = from_apscheduler("date", timezone="Europe/Berlin", now=NOW, run_date=run_date)
    assert isinstance(found, OnceTrigger)
    assert found.at == at
    assert found.zone is BERLIN


def test_the_short_forms_are_all_valid() -> None:
    assert all(CronTrigger(name, "UTC").next_after(NOW) for name in ALIASES)
