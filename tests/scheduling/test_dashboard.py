"""The first page, the year and the coming 24 hours: what is shown to whom, what it costs, and what is obeyed."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from audiobooks.models import Acquisition, Author, Book, LibraryFile, Proposal, Work
from scheduling import history
from scheduling.admin import dashboard, pictures
from scheduling.admin.pictures import cell, outcomes_in_words, picture
from scheduling.admin.task_list import SKEW
from scheduling.forecast import FIRES_OF_A_JOB, MINUTES, forecast
from scheduling.history import Outcomes, roll_up, start_of, today
from scheduling.models import DayCount, Job, SchedulerProcess, Task
from scheduling.pauses import pause_everything, resume_everything
from scheduling.tasks import cleanup_old_tasks
from tests.scheduling.making import make_job, person

pytestmark = pytest.mark.django_db

INDEX = "/admin/"
LIVE = "/admin/scheduling/daycount/live/"
SEEN_ALL = "/admin/scheduling/daycount/seen/"
YEAR = "/admin/scheduling/daycount/"
TIMELINE = "/admin/scheduling/daycount/timeline/"
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


@pytest.fixture(autouse=True)
def nothing_cached() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture(autouse=True)
def at_noon() -> Iterator[None]:
    """Days are what is tested here, and one ends while the tests run, now and then."""
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    with time_machine.travel(noon, tick=True):
        yield


def make(status: str = "completed", ago: timedelta = timedelta(hours=1), seconds: float = 10, **fields: Any) -> Task:
    at = timezone.now() - ago
    times: dict[str, Any] = {"date_created": at, "started_at": at}
    if status not in Task.ACTIVE:
        times["finished_at"] = at + timedelta(seconds=seconds)
    return Task.objects.create(**{"task_name": "t", "function": "sample.noop", "status": status, **times, **fields})


def text(client: Client, url: str = INDEX) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def body(page: str) -> str:
    """What the dashboard itself adds, without the theme's page round it."""
    return page[page.index("scheduling-dashboard") :]


# --- the whole ----------------------------------------------------------------------------------------------------


def test_an_empty_project_has_a_whole_page(admin_client: Client) -> None:
    page = text(admin_client)
    for sentence in ("No scheduler is running", "manage.py runscheduler", "Nothing runs.", "No Job will run."):
        assert sentence in page
    assert "All failures have been looked at" in page and page.count("No scheduler is running") == 1
    for url in (YEAR, TIMELINE):
        assert admin_client.get(url).status_code == 200


def test_living_schedulers_are_named_and_dead_ones_are_not(admin_client: Client) -> None:
    SchedulerProcess.objects.create(kind="scheduler", host="nas", pid=7)
    SchedulerProcess.objects.create(kind="shell", host="laptop", pid=8)
    dead = SchedulerProcess.objects.create(kind="scheduler", host="grave", pid=9)
    SchedulerProcess.objects.filter(pk=dead.pk).update(heartbeat_at=Now() - timedelta(minutes=5))
    page = text(admin_client)
    assert "nas:7" in page and "laptop:8" not in page and "grave:9" not in page
    assert "No scheduler is running" not in page


PANELS = {
    "Running now": "view_task",
    "Next runs": "view_job",
    "Failed and not looked at": "view_task",
    "The last 30 days": "view_task",
    "nas:7": "view_schedulerprocess",
    "authors</dt>": "view_author",
}


@pytest.mark.parametrize("permission", ["", *sorted(set(PANELS.values()))])
def test_a_panel_needs_the_permission_for_what_it_shows(permission: str) -> None:
    SchedulerProcess.objects.create(kind="scheduler", host="nas", pid=7)
    make("running", job=make_job(name="Secret name"))
    page = text(person(*filter(None, [permission])))
    for sentence, needed in PANELS.items():
        assert (sentence in page) == (needed == permission), sentence
    assert ("Secret name" in page) == (permission in ("view_task", "view_job"))
    live = person("view_group", *filter(None, [permission])).get(LIVE).json()
    assert ("nas:7" in live["alive"]) == (permission == "view_schedulerprocess")
    assert bool(live["running"].strip()) == (permission == "view_task")
    assert bool(live["upcoming"].strip()) == (permission == "view_job")


def test_signed_out_nothing_is_told() -> None:
    for url in (INDEX, LIVE, YEAR, TIMELINE):
        assert Client().get(url).status_code == 302
    nobody = person()
    assert [nobody.get(url).status_code for url in (YEAR, TIMELINE)] == [403, 403]


def test_names_and_errors_are_escaped(admin_client: Client) -> None:
    job = make_job(id="evil", name=EVIL)
    make("failed", job=job, task_name=EVIL, error_message=f"Traceback\n{EVIL}")
    make("running", job=job, task_name=EVIL, progress_total=3, progress_text=EVIL)
    SchedulerProcess.objects.create(kind="scheduler", host=EVIL, pid=1)
    pages = [text(admin_client, url) for url in (INDEX, YEAR, f"{YEAR}?job=evil", TIMELINE)]
    for page in (*map(body, pages), *admin_client.get(LIVE).json().values()):
        assert "<script>alert" not in page and "<img" not in page
    assert "&lt;script&gt;" in pages[0]


@pytest.mark.parametrize("url", [INDEX, YEAR, TIMELINE])
def test_pages_keep_to_a_strict_content_security_policy(admin_client: Client, url: str) -> None:
    make("failed", job=make_job())
    part = body(text(admin_client, url))
    part = part[: part.rindex("</section>")]
    assert not re.search(r"<script|\son\w+=|\sstyle=|https?://", part)


def fill(jobs: int, tasks: int) -> None:
    made = [make_job(f"job{number:03}", cron="* * * * *") for number in range(jobs)]
    now = timezone.now()
    statuses = ["completed", "completed", "failed", "lost", "missed", "running"]
    Task.objects.bulk_create(
        Task(
            job=made[number % jobs],
            task_name="t",
            status=statuses[number % len(statuses)],
            date_created=now - timedelta(hours=number % 700),
            started_at=now - timedelta(hours=number % 700),
            finished_at=now - timedelta(hours=number % 700) + timedelta(seconds=5),
            error_message="Traceback\nValueError: no",
        )
        for number in range(tasks)
    )
    roll_up()


@pytest.mark.parametrize("url", [INDEX, LIVE, YEAR, f"{YEAR}?job=job001", TIMELINE])
def test_queries_are_bounded_with_200_jobs_and_2000_tasks(django_assert_max_num_queries: Any, url: str) -> None:
    fill(200, 2000)
    client = person("view_task", "view_job", "view_daycount", "view_schedulerprocess", "view_book", "retry_task")
    with django_assert_max_num_queries(12):
        page = client.get(url).content
    assert len(page) < 600_000
    with django_assert_max_num_queries(9):
        client.get(url)


# --- running now --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ran", "done", "total", "usual", "words"),
    [
        (60, 25, 100, None, "about 3 min 00 s left"),
        (60, 25, 100, 10, "about 3 min 00 s left"),
        (60, 0, 100, 90, "about 30 s left, as usual"),
        (60, 0, None, 90, "about 30 s left, as usual"),
        (60, 7, None, 45, "about to end, as usual"),
        (60, 0, None, 20, "longer than usual (20 s)"),
        (60, 0, None, None, ""),
        (60, 200, 100, None, ""),
        (0, 5, 100, None, ""),
        (60, 1, 10**18, None, ""),
        (60, 1, 10**18, 90, "about 30 s left, as usual"),
    ],
)
def test_outlook(
    monkeypatch: pytest.MonkeyPatch, ran: int, done: int, total: int | None, usual: int | None, words: str
) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    task = Task(job_id="x", status="running", items_processed=done, progress_total=total)
    task.started_at = now - timedelta(seconds=ran)
    assert dashboard.outlook(task, timedelta(seconds=usual) if usual else None) == words


def test_running_tasks_with_progress_and_the_usual_length(admin_client: Client) -> None:
    job = make_job(name="Nightly")
    for days in (1, 2):
        make("completed", timedelta(days=days), 600, job=job)
    make("running", timedelta(minutes=4), job=job, task_name="SCAN")
    make("running", timedelta(minutes=1), task_name="CRAWL", progress_total=10, items_processed=5)
    page = text(admin_client)
    assert re.search(r"about (6 min 00|5 min 59) s left, as usual", page)
    assert re.search(r'role="progressbar"[^>]*aria-valuenow="5"', page) and re.search(
        "about (59|60|1 min 00) s left", page
    )
    assert "SCAN" in admin_client.get(LIVE).json()["running"]


def test_a_running_task_without_job_or_start_is_shown(admin_client: Client) -> None:
    Task.objects.create(task_name="ODD", status="running")
    assert "ODD" in text(admin_client)


def test_no_more_than_ten_are_listed(admin_client: Client) -> None:
    for number in range(12):
        make("running", task_name=f"R{number:02}")
        make("failed", task_name=f"F{number:02}")
        make_job(f"j{number:02}")
    page = body(text(admin_client))
    assert len(set(re.findall(r"R\d\d #", page))) == 10 and "All that run" in page
    assert len(set(re.findall(r"F\d\d #", page))) == 10 and "there are more" in page
    assert "F11 #" in page and "F00 #" not in page
    link = re.search(r'href="([^"]*unseen[^"]*)"', page)
    assert link and len(admin_client.get(link[1]).context["cl"].result_list) == 12


# --- live ---------------------------------------------------------------------------------------------------------


def test_an_open_page_is_told_of_a_pause_by_no_more_queries() -> None:
    make_job()
    resume = reverse("admin:scheduling_resume_everything")
    client, other = person("view_job", "pause_everything"), person("view_job")
    with CaptureQueriesContext(connection) as off:
        assert client.get(LIVE).json()["paused"].strip() == ""
    pause_everything(reason="the disk is full")
    with CaptureQueriesContext(connection) as on:
        banner = client.get(LIVE).json()["paused"]
    assert len(on) == len(off)
    assert "the disk is full" in banner and f'action="{resume}"' in banner and "csrfmiddlewaretoken" in banner
    banner = other.get(LIVE).json()["paused"]
    assert "the disk is full" in banner and resume not in banner
    resume_everything()
    assert client.get(LIVE).json()["paused"].strip() == ""


# --- next runs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3720, "in 1 h 02 min"), (5.9, "in 5 s"), (0.4, "now"), (-0.4, "now"), (-90, "due for 1 min 30 s")],
)
def test_countdown(seconds: float, words: str) -> None:
    assert dashboard.countdown(timedelta(seconds=seconds)) == words


def test_next_runs_are_in_order_and_in_the_persons_zone(admin_client: Client) -> None:
    make_job("later", cron="0 0 1 1 *")
    make_job("sooner", cron="* * * * *")
    make_job("paused").pause()
    jobs = dashboard.upcoming()
    assert [job.pk for job in jobs] == ["sooner", "later"]
    admin_client.cookies["timezone"] = "Asia/Tokyo"
    page = admin_client.get(LIVE).json()["upcoming"]
    assert "09:00:00 JST" in page and "paused" not in page


# --- failed and not looked at -------------------------------------------------------------------------------------


def test_failures_show_the_last_line_of_their_error(admin_client: Client) -> None:
    make("failed", error_message="Traceback (most recent call last):\n  File x\nValueError: the reason\n\n")
    make("lost", error_message="", reason="Its process died.")
    make("timed_out", error_message="y" * 5000)
    make("completed", task_name="fine")
    make("failed", task_name="old news", seen_at=timezone.now())
    page = body(text(admin_client))
    assert "ValueError: the reason" in page and "Traceback" not in page and "Its process died." in page
    assert "y" * 240 + "…" in page and "y" * 241 not in page
    assert "old news" not in page


def test_one_is_marked_and_the_others_stay(admin_client: Client) -> None:
    first, second = make("failed"), make("lost")
    assert f"/seen/{first.pk}/" in text(admin_client)
    response = admin_client.post(f"{SEEN_ALL}{first.pk}/", follow=True)
    assert response.status_code == 200 and f"#{first.pk}: marked" in response.content.decode()
    assert list(dashboard.unseen()) == [second]
    assert LogEntry.objects.get().object_id == str(first.pk)
    admin_client.post(f"{SEEN_ALL}{first.pk}/")
    assert LogEntry.objects.count() == 1
    assert admin_client.post(f"{SEEN_ALL}999999/").status_code == 404


def test_a_task_that_did_not_fail_is_not_marked(admin_client: Client) -> None:
    task = make("completed")
    admin_client.post(f"{SEEN_ALL}{task.pk}/")
    task.refresh_from_db()
    assert task.seen_at is None and not LogEntry.objects.exists()


def test_all_are_those_that_the_page_showed(admin_client: Client) -> None:
    make("failed")
    newest = make("timed_out")
    assert f'name="newest" value="{newest.pk}"' in text(admin_client)
    later = make("failed")
    admin_client.post(SEEN_ALL, {"newest": str(newest.pk)})
    assert list(dashboard.unseen()) == [later]
    assert "looked at: 2" in LogEntry.objects.get().get_change_message()


def test_many_are_marked_some_at_a_time_in_the_order_in_which_clean_up_deletes(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard, "MARKED_AT_ONCE", 2)
    newest = [make("failed") for _ in range(5)][-1]
    later = make("lost")
    with CaptureQueriesContext(connection) as asked:
        admin_client.post(SEEN_ALL, {"newest": str(newest.pk)})
    assert list(dashboard.unseen()) == [later]
    assert "looked at: 5" in LogEntry.objects.get().get_change_message()
    updates = [one["sql"] for one in asked if one["sql"].startswith('UPDATE "scheduling_task"')]
    assert len(updates) == 3
    if connection.vendor == "postgresql":
        locks = [one["sql"] for one in asked if "FOR UPDATE" in one["sql"]]
        assert len(locks) == 4 and all("ORDER BY" in one for one in locks)


@pytest.mark.parametrize("newest", ["", "x", "-1", "1" * 30, "²"])
def test_a_number_that_is_none_marks_nothing(admin_client: Client, newest: str) -> None:
    make("failed")
    assert admin_client.post(SEEN_ALL, {"newest": newest}).status_code == 302
    assert dashboard.unseen().count() == 1


@pytest.mark.parametrize("permissions", [(), ("view_task",), ("retry_task",), ("view_task", "retry_task")])
def test_marking_needs_its_permission(permissions: tuple[str, ...]) -> None:
    task = make("failed")
    client, allowed = person(*permissions), len(permissions) == 2
    assert ("Looked at</button>" in text(client)) == allowed
    for url in (f"{SEEN_ALL}{task.pk}/", SEEN_ALL):
        assert client.post(url, {"newest": str(task.pk)}).status_code == (302 if allowed else 403)
    assert dashboard.unseen().exists() != allowed


def test_nothing_is_marked_by_get_or_without_a_token(admin_user: User) -> None:
    task = make("failed")
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    for url in (f"{SEEN_ALL}{task.pk}/", SEEN_ALL):
        assert client.get(url).status_code == 302
        assert client.post(url, {"newest": str(task.pk)}).status_code == 403
    assert dashboard.unseen().exists()


# --- days as pictures ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "kind", "mark"),
    [
        ({"completed": 5}, "good", ""),
        ({"completed": 5, "failed": 1}, "bad", "×"),
        ({"lost": 1, "running": 1}, "bad", "×"),
        ({"completed": 1, "missed": 1}, "warn", "!"),
        ({"completed": 1, "queued": 1}, "active", "…"),
        ({"cancelled": 1, "completed": 3}, "stopped", "–"),
        ({"unheard_of": 1}, "none", ""),
    ],
)
def test_a_cell_shows_the_worst(counts: dict[str, int], kind: str, mark: str) -> None:
    found = cell(date(2026, 11, 24), Outcomes(counts, 0, 0), "x")
    assert (found.kind, found.mark) == (kind, mark)


def test_a_cell_in_words() -> None:
    day = date(2026, 11, 24)
    assert cell(day, None, "x").words == "Tue 24 Nov 2026: no runs"
    words = cell(day, Outcomes({"failed": 1, "completed": 1200}, 3723.4, 120), "x").words
    assert words == "Tue 24 Nov 2026: 1,200 completed, 1 failed; ran 1 h 02 min, the longest 2 min 00 s"
    assert outcomes_in_words(Outcomes({"timed_out": 1}, 5, 5)) == "1 timed out; ran 5 s"
    assert outcomes_in_words(Outcomes({"skipped": 2})) == "2 skipped"


def test_a_cell_leads_to_its_tasks(admin_client: Client) -> None:
    job, other = make_job("x&y=1 ü"), make_job("other")
    yesterday = start_of(today() - timedelta(days=1))
    hits = [make("failed", timezone.now() - yesterday, 1, job=job)]
    make("failed", timezone.now() - yesterday, 1, job=other)
    make("failed", timezone.now() - yesterday + timedelta(minutes=1), 1, job=job)
    row = next(row for row in picture().rows if row.key == job.pk)
    response = admin_client.get(row.cells[-2].url)
    assert list(response.context["cl"].result_list) == hits
    assert len(admin_client.get(row.url).context["cl"].result_list) == 2


def test_a_cell_of_a_day_reads_no_other_days_tasks(admin_client: Client) -> None:
    make("failed", timedelta(days=1))
    with CaptureQueriesContext(connection) as asked:
        admin_client.get(picture().total.cells[-2].url)
    page = next(one["sql"] for one in asked if '"scheduling_task"."task_name"' in one["sql"])
    task = Task.objects.get()
    assert f'"scheduling_task"."id" BETWEEN {task.pk - SKEW} AND {task.pk + SKEW}' in page


def test_while_one_draws_the_others_get_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def draw() -> int:
        drawn.append(len(drawn))
        if drawn[-1]:
            # Another request, in the midst of it.
            assert kept() == 0
        return drawn[-1]

    def kept() -> int:
        return pictures._fresh("test", draw)

    assert [kept(), kept()] == [0, 0]
    with time_machine.travel(timezone.now() + timedelta(seconds=pictures.KEPT_SECONDS + 1)):
        assert [kept(), kept()] == [1, 1]
    assert len(drawn) == 2


def test_a_drawing_that_failed_is_tried_again() -> None:
    def fail() -> int:
        raise OSError

    assert pictures._fresh("test", lambda: 1) == 1
    start = timezone.now()
    with time_machine.travel(start + timedelta(seconds=pictures.KEPT_SECONDS + 1)), pytest.raises(OSError):
        pictures._fresh("test", fail)
    with time_machine.travel(start + timedelta(seconds=2 * pictures.KEPT_SECONDS + 2)):
        assert pictures._fresh("test", lambda: 2) == 2


def test_tasks_without_a_job_and_of_a_deleted_one_are_pictured(admin_client: Client) -> None:
    job = make_job("gone")
    make("completed", timedelta(days=2), job=job)
    roll_up()
    job.remove()
    lone = make("failed", timedelta(hours=0), seconds=0)
    rows = {row.name: row for row in picture().rows}
    assert set(rows) == {"gone (deleted)", "Without a Job"}
    assert rows["gone (deleted)"].cells[-3].kind == "good" and rows["Without a Job"].cells[-1].kind == "bad"
    assert picture().total.cells[-1].kind == "bad"
    found = admin_client.get(rows["Without a Job"].cells[-1].url).context["cl"].result_list
    assert list(found) == [lone]
    assert "gone (deleted)" in text(admin_client, f"{YEAR}?job=gone")


def test_the_jobs_with_the_most_failures_are_pictured(admin_client: Client) -> None:
    for number in range(20):
        make("completed", job=make_job(f"j{number:02}"))
    make("failed", job=Job.objects.by_id("j19"))
    shown = picture()
    assert len(shown.rows) == 12 and shown.left_out == 8 and "j19" in {row.key for row in shown.rows}
    assert "8 more Jobs had runs" in text(admin_client)


def test_days_are_those_of_the_project_in_any_zone(admin_client: Client, settings: Any) -> None:
    settings.TIME_ZONE = "Pacific/Auckland"
    with timezone.override("America/Los_Angeles"):
        DayCount.objects.create(day=today() - timedelta(days=1), job_key="", status="failed", count=1)
        shown = picture()
    assert shown.days[-1] == today() and [one.kind for one in shown.rows[0].cells[-2:]] == ["bad", "none"]
    query = shown.rows[0].cells[-2].url
    assert f"{start_of(today() - timedelta(days=1)).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" in query


def test_a_year_has_each_day_once(admin_client: Client) -> None:
    make_job("x")
    DayCount.objects.create(day=today() - timedelta(days=364), job_key="x", status="failed", count=3)
    DayCount.objects.create(day=today() - timedelta(days=365), job_key="x", status="lost", count=9)
    DayCount.objects.create(day=today() - timedelta(days=5), job_key="y", status="completed", count=2, seconds=9)
    response = admin_client.get(YEAR)
    cells = [one for _, row in response.context["year"].weekdays for one in row if one]
    assert sorted(one.day for one in cells) == [today() - timedelta(days=days) for days in reversed(range(365))]
    assert [one.kind for one in sorted(cells, key=lambda one: one.day)].count("none") == 363
    assert "2 completed, 3 failed" in response.content.decode()
    only = admin_client.get(f"{YEAR}?job=x").context["words"]
    assert only == "3 failed"
    assert admin_client.get(f"{YEAR}?job=nobody").status_code == 404
    assert admin_client.get(f"{YEAR}?job=").status_code == 200


def test_counts_that_are_kept_for_a_while_stay_right_when_a_day_is_rolled_up(admin_client: Client) -> None:
    job = make_job()
    for days in (1, 2, 3):
        make("completed", timedelta(days=days), job=job)
    before = picture()
    for key in ("scheduling.picture", "scheduling.days"):
        cache.delete(f"{key}.{today()}")
    text(admin_client, YEAR)
    roll_up()
    cache.delete(f"scheduling.picture.{today()}")
    assert picture() == before
    cache.clear()
    assert picture() == before


def test_what_is_rolled_up_is_added_up_once_and_today_each_time() -> None:
    job, other = make_job("x"), make_job("y")
    for days in (1, 2):
        make("failed", timedelta(days=days), job=job)
        make("completed", timedelta(days=days), job=other)
    roll_up()
    before = pictures._draw()
    make("lost", timedelta(0), job=other)
    with CaptureQueriesContext(connection) as asked:
        after = pictures._draw()
    of_days = [one["sql"] for one in asked if "scheduling_daycount" in one["sql"]]
    newest, of_shown = of_days
    assert "MAX(" in newest and "SUM(" not in newest and '"job_key" IN' in of_shown
    words = {row.name: row.words.split(";")[0] for row in after.rows}
    assert words == {"Job x": "2 failed", "Job y": "2 completed, 1 lost"}
    assert after.total.words.startswith("2 completed, 2 failed, 1 lost")
    assert [one.kind for one in after.total.cells[-3:]] == ["bad"] * 3
    assert before.rows[0] == after.rows[0] and after.usual["y"] == before.usual["y"] == timedelta(seconds=10)


def test_more_tasks_than_can_be_counted_are_said_to_be(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for days in (3, 2, 1, 0):
        make("completed", timedelta(days=days))
        make("completed", timedelta(days=days))
    monkeypatch.setattr(history, "COUNTED_AT_MOST", 4)
    found = picture()
    assert found.uncounted == (today() - timedelta(days=29), today() - timedelta(days=2))
    assert found.total.words.startswith("4 completed")
    assert "Not counted yet:" in text(admin_client)
    roll_up()
    cache.clear()
    assert picture().uncounted is None and picture().total.words.startswith("8 completed")


def test_what_took_long_to_count_is_kept_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 10.0, 10.0, 10.0])
    monkeypatch.setattr(pictures, "monotonic", lambda: next(clock))
    drawn = iter([1, 2])
    start = timezone.now()
    kept = []
    for seconds in (0, 190, 210):
        with time_machine.travel(start + timedelta(seconds=seconds), tick=False):
            kept.append(pictures._fresh("test", lambda: next(drawn)))
    assert kept == [1, 1, 2]


def test_who_may_not_see_tasks_is_given_no_links_to_them() -> None:
    DayCount.objects.create(day=today(), job_key="", status="failed", count=1)
    client = person("view_daycount")
    for url in (INDEX, YEAR):
        assert "since=" not in text(client, url) and "1 failed" in text(client, url)


def test_nothing_is_written_by_the_pages_of_days(admin_client: Client) -> None:
    row = DayCount.objects.create(day=today(), job_key="", status="failed", count=1)
    for step in ("add/", f"{row.pk}/change/", f"{row.pk}/delete/"):
        assert admin_client.post(f"{YEAR}{step}").status_code == 404


# --- the coming 24 hours ------------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)


def at(monkeypatch: pytest.MonkeyPatch, now: datetime = NOW) -> None:
    monkeypatch.setattr(timezone, "now", lambda: now)


def all_jobs() -> list[Job]:
    return list(Job.objects.select_related("runtime").order_by("pk"))


def test_runs_are_drawn_as_long_as_usual_and_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch)
    make_job("a", cron="0 12 * * *")
    make_job("b", cron="10 12 * * *")
    make_job("c", cron="0 13 * * *")
    coming = forecast(all_jobs(), {"a": timedelta(minutes=15, seconds=1), "b": timedelta(seconds=2)}, NOW)
    assert coming.start == NOW.replace(minute=0)
    assert {lane.job.pk: lane.spans for lane in coming.lanes} == {
        "a": [(120, 136)],
        "b": [(130, 131)],
        "c": [(180, 181)],
    }
    assert [([job.pk for job in one.jobs], one.stretches) for one in coming.meetings] == [(["a", "b"], [(130, 131)])]
    assert coming.busy[125] == 1 and coming.busy[130] == 2 and coming.busy[140] == 0


def test_two_that_meet_again_and_again_are_one_meeting(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch)
    make_job("a", cron="*/30 11-12 * * *")
    make_job("b", cron="*/30 11-12 * * *")
    coming = forecast(all_jobs(), {}, NOW)
    assert [one.stretches for one in coming.meetings] == [[(60, 61), (90, 91), (120, 121), (150, 151)]]


def test_what_will_not_run_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch)
    make_job("paused").pause()
    make_job("far", cron="0 0 1 1 *")
    make_job("unknown")
    Job.objects.filter(pk="unknown").update(function="gone.away")
    make_job("pausing", cron="0 * * * *").pause(until=NOW + timedelta(hours=20))
    coming = forecast(all_jobs(), {}, NOW)
    assert {lane.job.pk: lane.runs for lane in coming.lanes} == {"pausing": 4}


def test_many_runs_are_capped_and_that_is_said(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch)
    make_job("often", cron="* * * * *")
    make_job("hourly", cron="0 * * * *")
    lanes = {lane.job.pk: lane for lane in forecast(all_jobs(), {}, NOW).lanes}
    assert lanes["often"].runs == FIRES_OF_A_JOB and lanes["often"].is_capped
    assert lanes["hourly"].runs == 24 and not lanes["hourly"].is_capped
    assert lanes["often"].spans == [(31, 331)]
    page = text(admin_client, TIMELINE)
    assert "drawn until" in page and "Job hourly" in page


def test_an_overdue_job_is_drawn_now_and_a_long_run_ends_with_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch)
    job = make_job("late", cron="0 9 * * *")
    job.runtime.next_run_time = NOW - timedelta(hours=1)
    job.runtime.save()
    coming = forecast(all_jobs(), {"late": timedelta(days=3)}, NOW)
    assert coming.lanes[0].spans == [(30, MINUTES)]


def test_the_day_of_a_clock_change_is_drawn_in_hours_that_pass(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    now = datetime(2026, 3, 28, 23, 15, tzinfo=UTC)
    at(monkeypatch, now)
    make_job("a", cron="0 4 * * *")
    with timezone.override("Europe/Berlin"):
        coming = forecast(all_jobs(), {}, now)
    # From 00:00 to 04:00 on the clock only three hours pass.
    assert coming.lanes[0].spans == [(180, 181)]
    assert f"{timezone.localtime(coming.at(180)):%H:%M}" == "04:00"


def test_200_jobs_every_minute_are_quick(admin_client: Client) -> None:
    for number in range(200):
        make_job(f"j{number:03}", cron="* * * * *")
    # CPU time: what else the machine does is no matter.
    began = time.process_time()
    page = text(admin_client, TIMELINE)
    assert time.process_time() - began < 1
    assert "200 Jobs at a time" in page and "140 more Jobs" in page and len(page) < 600_000


# --- panels of other apps -----------------------------------------------------------------------------------------


def test_another_app_adds_a_panel(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "_panels", [])

    def panel(request: Any) -> dashboard.Facts | None:
        facts = [(EVIL, 5, ""), ("y", EVIL, "/admin/?a=1&b=2")]
        return {"title": EVIL, "facts": facts} if request.user.is_superuser else None

    dashboard.register_panel(panel)
    dashboard.register_panel(panel)
    page = body(text(admin_client))
    assert page.count("scheduling-numbers") == 1 and "<script>alert" not in page and "a=1&amp;b=2" in page
    assert "scheduling-numbers" not in text(person())


def test_the_library_in_numbers(admin_client: Client, django_assert_max_num_queries: Any) -> None:
    from audiobooks.admin.numbers import library_in_numbers

    work = Work.objects.create(title="a")
    here = Book.objects.create(path="a", title="a", work=work)
    Book.objects.create(path="b", title="b", work=work, missing_since=timezone.now())
    LibraryFile.objects.create(book=here, path="a/1", size=1, modified_ns=1, format="mp3", error="broken")
    Author.objects.create(name="A", key="a")
    for book, state in ((None, "proposed"), (here, "proposed"), (None, "declined")):
        Proposal.objects.create(title="a", cause="chart", why="x", book=book, state=state)
    for state, problem in (
        ("proposed", ""),
        ("fetching", ""),
        ("checked", "The disk is full."),
        ("imported", ""),
        ("failed", "x"),
    ):
        Acquisition.objects.create(
            work=Work.objects.create(title="a"), state=state, problem=problem, state_since=timezone.now(), why="x"
        )
    request = admin_client.get(INDEX).wsgi_request
    cache.clear()
    with django_assert_max_num_queries(2):
        found = library_in_numbers(request)
    assert found is not None
    assert {label: value for label, value, _ in found["facts"]} == {
        "books": "2", "missing books": "1", "books to review": "0", "files with errors": "1", "authors": "1", "series": "0",
        "proposals to decide": "1", "acquisitions to approve": "1", "downloads under way": "2", "need you": "1",
    }  # fmt: skip
    for label, value, url in found["facts"]:
        assert len(admin_client.get(url).context["cl"].result_list) == int(value), label
    with django_assert_max_num_queries(0):
        library_in_numbers(request)


def test_every_address_of_the_dashboard_is_under_the_admin() -> None:
    assert reverse("admin:scheduling_dashboard_live") == LIVE
    assert reverse("admin:scheduling_dashboard_seen_all") == SEEN_ALL
    assert reverse("admin:scheduling_dashboard_timeline") == TIMELINE


def test_the_coming_hours_are_no_year_of_runs(admin_client: Client) -> None:
    assert "The coming 24 hours" in text(admin_client, TIMELINE)
    header = text(admin_client, TIMELINE).partition('id="header-inner"')[2].partition('id="content"')[0]
    assert "year of runs" not in header.lower() and "/admin/scheduling/job/" in header


def test_a_clean_up_that_rolls_up_what_it_deletes_is_seen_at_once() -> None:
    job, since = make_job(), today() - timedelta(days=10)
    for days in range(1, 6):
        at = timezone.now() - timedelta(days=days)
        Task.objects.create(job=job, task_name="t", status="completed", date_created=at, started_at=at, finished_at=at)
    assert "5 completed" in pictures._draw().total.words
    pictures.rolled(since)
    cleanup_old_tasks(days=2)
    assert Task.objects.filter(job=job).count() < 5
    # With the clean-up itself.
    words = pictures._draw().total.words
    assert "6 completed" in words, words
    assert sum(row.number for row in pictures.rolled(since).rows if row.status == "completed") == 5
