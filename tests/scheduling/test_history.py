"""Counts by day: what is rolled up when, and that nothing is counted twice or lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from scheduling.history import (
    Counted,
    Outcomes,
    counted_since,
    day_counts,
    day_of,
    days_between,
    roll_up,
    start_of,
    today,
    usual_lengths,
)
from scheduling.models import DayCount, Job, JobChange, Task
from scheduling.registry import registry
from tests.scheduling.making import make_job

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def at_noon() -> Iterator[None]:
    """Days are what is tested here, and one ends while the tests run, now and then."""
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    with time_machine.travel(noon, tick=True):
        yield


def make(at: datetime, status: str = "completed", seconds: float | None = 10, **fields: Any) -> Task:
    ran = {} if seconds is None else {"started_at": at, "finished_at": at + timedelta(seconds=seconds)}
    return Task.objects.create(task_name="t", date_created=at, status=status, **ran, **fields)


def noon(days_ago: int) -> datetime:
    return start_of(today() - timedelta(days=days_ago)) + timedelta(hours=12)


def rolled() -> set[tuple[str, date, str, int, float, float]]:
    rows = DayCount.objects.values_list("job_key", "day", "status", "count", "seconds", "longest")
    return {(*row[:4], round(row[4], 2), round(row[5], 2)) for row in rows}


def test_a_day_is_counted_by_job_and_status() -> None:
    job, day = make_job(), today() - timedelta(days=1)
    make(noon(1), seconds=1.5, job=job)
    make(noon(1), seconds=4, job=job)
    make(noon(1), "failed", 2, job=job)
    make(noon(1), "missed", None, job=job)
    make(noon(1), "completed", 7)
    roll_up()
    assert rolled() == {
        ("x", day, "completed", 2, 5.5, 4.0),
        ("x", day, "failed", 1, 2.0, 2.0),
        ("x", day, "missed", 1, 0.0, 0.0),
        ("", day, "completed", 1, 7.0, 7.0),
    }


def test_today_is_never_rolled_up_and_until_is_the_last_day() -> None:
    for days in (0, 1, 2, 3):
        make(noon(days))
    roll_up(until=today() - timedelta(days=2))
    assert {row[1] for row in rolled()} == {today() - timedelta(days=days) for days in (2, 3)}
    roll_up(until=today() + timedelta(days=5))
    assert {row[1] for row in rolled()} == {today() - timedelta(days=days) for days in (1, 2, 3)}


def test_again_changes_nothing_also_after_the_tasks_are_gone() -> None:
    make(noon(2))
    make(noon(2))
    make(noon(1))
    roll_up()
    before = rolled()
    Task.objects.first().delete()  # type: ignore[union-attr]
    roll_up()
    assert rolled() == before
    Task.objects.all().delete()
    roll_up()
    assert rolled() == before


def test_another_process_that_was_quicker_keeps_its_counts() -> None:
    make(noon(1), seconds=10)
    day = today() - timedelta(days=1)
    from scheduling import history

    DayCount.objects.create(day=day, job_key="", status="completed", count=5, seconds=50, longest=20)
    history._roll(day)
    assert rolled() == {("", day, "completed", 5, 50.0, 20.0)}


def test_an_active_task_keeps_its_day_and_the_later_ones_open_for_a_week() -> None:
    make(noon(3))
    held = make(noon(2), "running", None)
    make(noon(2))
    make(noon(1))
    roll_up()
    assert {row[1] for row in rolled()} == {today() - timedelta(days=3)}
    held.status = "completed"
    held.save()
    roll_up()
    assert {(row[1], row[3]) for row in rolled()} == {
        (today() - timedelta(days=3), 1),
        (today() - timedelta(days=2), 2),
        (today() - timedelta(days=1), 1),
    }


def test_a_task_that_never_ends_holds_nothing_up_after_a_week() -> None:
    make(noon(9), "queued", None)
    make(noon(9))
    make(noon(8), "running", None)
    make(noon(1))
    roll_up()
    assert {(row[1], row[2]) for row in rolled()} == {
        (today() - timedelta(days=9), "completed"),
        (today() - timedelta(days=1), "completed"),
    }


def test_a_day_is_settled_only_minutes_after_midnight(monkeypatch: pytest.MonkeyPatch) -> None:
    midnight = start_of(today())
    make(midnight - timedelta(minutes=1), seconds=5)
    monkeypatch.setattr(timezone, "now", lambda: midnight + timedelta(minutes=2))
    roll_up()
    assert rolled() == set()
    monkeypatch.setattr(timezone, "now", lambda: midnight + timedelta(minutes=11))
    roll_up()
    assert {row[3] for row in rolled()} == {1}


def test_a_run_over_midnight_belongs_to_the_day_it_was_made_on() -> None:
    midnight = start_of(today() - timedelta(days=1))
    make(midnight - timedelta(seconds=30), seconds=3600)
    roll_up()
    assert rolled() == {("", today() - timedelta(days=2), "completed", 1, 3600.0, 3600.0)}


def test_days_without_tasks_cost_nothing(django_assert_max_num_queries: Any) -> None:
    make(noon(400))
    make(noon(1))
    with django_assert_max_num_queries(10):
        roll_up()
    assert len(rolled()) == 2


def test_a_clock_that_was_set_back_gives_no_negative_time() -> None:
    make(noon(1), seconds=-50)
    roll_up()
    assert rolled() == {("", today() - timedelta(days=1), "completed", 1, 0.0, 0.0)}


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Los_Angeles", "Pacific/Auckland"])
def test_day_borders_are_those_of_the_projects_zone(zone: str, settings: Any) -> None:
    settings.TIME_ZONE = zone
    day = today() - timedelta(days=2)
    with timezone.override("Asia/Tokyo"):
        make(start_of(day) - timedelta(microseconds=1), "failed", 1)
        make(start_of(day), "completed", 1)
        make(start_of(day + timedelta(days=1)) - timedelta(microseconds=1), "completed", 1)
        make(start_of(day + timedelta(days=1)), "lost", 1)
        live = {found: outcomes.counts for found, outcomes in day_counts(day - timedelta(days=5))[""].items()}
        roll_up()
    expected = {
        day - timedelta(days=1): {"failed": 1},
        day: {"completed": 2},
        day + timedelta(days=1): {"lost": 1},
    }
    assert live == expected
    assert {found: outcomes.counts for found, outcomes in day_counts(day - timedelta(days=5))[""].items()} == expected


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2025, 3, 30), 23),
        ("Europe/Berlin", date(2025, 10, 26), 25),
        # Its clocks skip midnight, and repeat the hour before it.
        ("Africa/Cairo", date(2025, 4, 25), 23),
        ("America/Havana", date(2025, 3, 9), 23),
        ("America/Havana", date(2025, 11, 2), 25),
        ("America/Santiago", date(2025, 9, 7), 23),
        ("America/Santiago", date(2025, 4, 5), 25),
    ],
)
def test_the_day_of_a_clock_change_has_all_its_hours(settings: Any, zone: str, day: date, hours: int) -> None:
    settings.TIME_ZONE = zone
    first, after = start_of(day).astimezone(UTC), start_of(day + timedelta(days=1)).astimezone(UTC)
    assert after - first == timedelta(hours=hours)
    for hour in range(hours):
        make(first + timedelta(hours=hour), seconds=1)
        assert day_of(first + timedelta(hours=hour)) == day
    make(after, seconds=1)
    roll_up()
    assert {(row[1], row[3]) for row in rolled()} == {(day, hours), (day + timedelta(days=1), 1)}


def test_counts_are_of_rolled_days_and_of_the_tasks_since() -> None:
    job = make_job()
    for days in (3, 2, 1, 0):
        make(noon(days), job=job, seconds=days + 1)
    roll_up(until=today() - timedelta(days=2))
    Task.objects.filter(date_created__lt=noon(1)).delete()
    make(noon(0), "running", None, job=job)
    found = day_counts(today() - timedelta(days=2))
    assert {day: (each.counts, round(each.seconds)) for day, each in found["x"].items()} == {
        today() - timedelta(days=2): ({"completed": 1}, 3),
        today() - timedelta(days=1): ({"completed": 1}, 2),
        today(): ({"completed": 1, "running": 1}, 1),
    }


def test_counts_of_one_job_and_of_tasks_without_one() -> None:
    first, second = make_job("a"), make_job("b")
    for job in (first, second, None):
        make(noon(1), job=job)
        make(noon(0), job=job)
    roll_up()
    for key in ("a", "b", ""):
        found = day_counts(today() - timedelta(days=9), key)
        assert {name: len(days) for name, days in found.items()} == {key: 2}
    assert day_counts(today() - timedelta(days=9), "nobody") == {}


def test_a_job_without_counts_of_its_own_does_not_count_rolled_days_again() -> None:
    job = make_job()
    make(noon(2))
    roll_up()
    Task.objects.all().update(job=job)
    assert day_counts(today() - timedelta(days=9), "x") == {}


def test_a_deleted_job_keeps_the_days_that_were_rolled_up() -> None:
    job = make_job()
    make(noon(2), job=job)
    roll_up()
    make(noon(1), job=job)
    job.remove()
    found = day_counts(today() - timedelta(days=9))
    assert set(found["x"]) == {today() - timedelta(days=2)}
    assert set(found[""]) == {today() - timedelta(days=1)}


def test_reading_takes_three_queries_however_many_days(django_assert_max_num_queries: Any) -> None:
    for days in range(40):
        make(noon(days), seconds=1)
    with django_assert_max_num_queries(3):
        live = counted_since(today() - timedelta(days=365))
    assert {row.day for row in live} == set(days_between(today() - timedelta(days=39), today()))
    roll_up(until=today() - timedelta(days=20))
    with django_assert_max_num_queries(3):
        half = counted_since(today() - timedelta(days=365))

    def plain(rows: list[Counted]) -> list[tuple[date, int, float]]:
        return sorted((row.day, row.number, round(row.seconds, 2)) for row in rows)

    assert plain(half) == plain(live)


def test_nothing_at_all() -> None:
    roll_up()
    assert rolled() == set() and day_counts(today() - timedelta(days=30)) == {}


def test_outcomes_add_up() -> None:
    one, other = Outcomes(), Outcomes()
    one.add("completed", 2, 10, 6)
    other.add("completed", 1, 3, 3)
    other.add("failed", 4, 20, 9)
    one.add_all(other)
    assert one == Outcomes({"completed": 3, "failed": 4}, 33, 9)


def test_the_usual_length_is_that_of_completed_runs() -> None:
    day = today()
    rows = [
        Counted("a", day, "completed", 3, 30.0, 20.0),
        Counted("a", day - timedelta(days=1), "completed", 1, 50.0, 50.0),
        Counted("a", day, "failed", 9, 9000.0, 1000.0),
        Counted("b", day, "failed", 1, 5.0, 5.0),
    ]
    assert usual_lengths(rows) == {"a": timedelta(seconds=20)}


def test_the_cleanup_counts_before_it_deletes() -> None:
    make(noon(45), seconds=3)
    make(noon(40), "failed", 5)
    make(noon(1), seconds=3)
    registry.get("scheduling.cleanup_old_tasks")()
    assert not Task.objects.filter(date_created__lt=noon(31)).exists()
    found = day_counts(today() - timedelta(days=60))[""]
    assert {day: each.counts for day, each in found.items() if day < today() - timedelta(days=30)} == {
        today() - timedelta(days=45): {"completed": 1},
        today() - timedelta(days=40): {"failed": 1},
    }


def test_the_cleanup_forgets_changes_of_jobs_after_a_year_but_not_the_newest() -> None:
    for key in ("there", "old"):
        Job(id=key, name=key, function="sample.count", cron="0 * * * *").save_definition()
    JobChange.objects.all().delete()
    for key in ("there", "gone"):
        for days in (800, 400, 364):
            at = timezone.now() - timedelta(days=days)
            JobChange.objects.create(job_key=key, kind="edited", at=at, before={"name": "a"}, after={"name": "b"})
    for key in ("old", "also-old"):
        at = timezone.now() - timedelta(days=500)
        JobChange.objects.create(job_key=key, kind="edited", at=at, before={"name": "a"}, after={"name": "b"})
    registry.get("scheduling.cleanup_old_tasks")()
    assert sorted(JobChange.objects.values_list("job_key", flat=True)) == ["gone", "old", "there"]


@pytest.mark.django_db(transaction=True)
def test_rolling_up_in_two_threads_at_once() -> None:
    from concurrent.futures import ThreadPoolExecutor

    for days in range(1, 6):
        for _ in range(20):
            make(noon(days), seconds=2)

    def work(_: int) -> None:
        try:
            roll_up()
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    assert sorted(row[3:] for row in rolled()) == [(20, 40.0, 2.0)] * 5
