"""Why a Job ran, or did not: each verdict from stored facts, and the page that shows it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from scheduling.explain import Explanation, Verdict, explain
from scheduling.models import DayCount, Job, JobChange, PauseOfAll, SchedulerProcess, Task
from scheduling.tasks import cleanup_old_tasks
from scheduling.triggers import TriggerError

pytestmark = pytest.mark.django_db

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
LAST_HOUR = timezone.now().replace(minute=0, second=0, microsecond=0)
"""One for all tests: an hour may end while they run."""
EVIL = "<script>alert('x')</script>"


def make_job(id: str = "x", *, days_old: int = 100, **fields: Any) -> Job:
    job = Job(id=id, **{"name": f"Job {id}", "function": "sample.count", "cron": "0 * * * *", **fields})
    job.save_definition()
    # As of a Job from before changes were recorded; each test records those that it is about.
    JobChange.objects.filter(job_key=id).delete()
    Job.objects.filter(pk=id).update(created_at=timezone.now() - timedelta(days=days_old))
    return Job.objects.by_id(id)


def full_hour(hours_ago: int) -> datetime:
    return LAST_HOUR - hours_ago * HOUR


def make_task(job: Job | None, **fields: Any) -> Task:
    return Task.objects.create(**{"job": job, "task_name": "Count", "function": "sample.count", **fields})


def ran_at(job: Job, moment: datetime, *, late: timedelta = SECOND / 10, **fields: Any) -> Task:
    times = {"date_created": moment, "started_at": moment + late, "finished_at": moment + late + MINUTE}
    return make_task(job, **{"fire_time": moment, "status": "completed", **times, **fields})


def scheduler_between(since: datetime, until: datetime, **fields: Any) -> SchedulerProcess:
    """One that was alive in that time, and stopped."""
    process = SchedulerProcess.register("scheduler")
    values = {"started_at": since, "heartbeat_at": until, "stopped_at": until, **fields}
    SchedulerProcess.objects.filter(pk=process.pk).update(**values)
    return process


def changed(job: Job | str, kind: str, at: datetime, before: Any, after: Any, by: Any = None) -> JobChange:
    key = job if isinstance(job, str) else job.pk
    return JobChange.objects.create(job_key=key, kind=kind, at=at, before=before, after=after, by=by)


def facts_of(explanation: Explanation) -> dict[str, Any]:
    return dict(explanation.facts)


# --- it ran ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("late", "status", "words"),
    [
        (SECOND / 10, "completed", "started on time and ended as completed"),
        (75 * SECOND, "failed", "started 1 min 15 s after its time and ended as failed"),
    ],
)
def test_a_run_is_named_with_how_late_it_was(late: timedelta, status: str, words: str) -> None:
    job = make_job()
    task = ran_at(job, full_hour(3), late=late, status=status)
    found = explain(job, full_hour(3))
    assert (found.verdict, found.task_ids) == (Verdict.RAN, (task.pk,))
    assert words in found.sentence
    assert facts_of(found)["Started"] == task.started_at


def test_a_minute_stands_for_all_of_it_and_a_second_for_itself() -> None:
    job = make_job(trigger="interval", interval=HOUR, anchor=full_hour(9) + 30 * SECOND)
    task = ran_at(job, full_hour(3) + 30 * SECOND)
    assert explain(job, full_hour(3)).task_ids == (task.pk,)
    assert explain(job, full_hour(3) + 30 * SECOND).task_ids == (task.pk,)
    assert explain(job, full_hour(3) + 29 * SECOND).verdict == Verdict.NOT_DUE


def test_a_running_a_waiting_and_a_cancelled_one(admin_user: User) -> None:
    job = make_job()
    ran_at(job, full_hour(1), status="running", finished_at=None)
    make_task(job, fire_time=full_hour(2), status="queued", waiting=True)
    make_task(job, fire_time=full_hour(3), status="cancelled")
    assert "is running" in explain(job, full_hour(1)).sentence
    waiting = explain(job, full_hour(2))
    assert waiting.verdict == Verdict.WAITING and "another run of it has to end first" in waiting.sentence
    assert explain(job, full_hour(3)).verdict == Verdict.CANCELLED


def test_a_pause_of_everything_is_why_a_task_waits_or_a_job_is_still_due(admin_user: User) -> None:
    job = make_job()
    scheduler_between(full_hour(9), timezone.now())
    held = make_task(job, fire_time=full_hour(2), status="queued", waiting=True, cause="schedule")
    asked = make_task(job, fire_time=full_hour(3), status="queued", waiting=True, cause="manual")
    Job.objects.by_id(job.pk).runtime.__class__.objects.filter(pk=job.runtime_id).update(next_run_time=full_hour(1))
    before = explain(Job.objects.by_id(job.pk), full_hour(1))
    assert before.verdict == Verdict.WAITING
    PauseOfAll.objects.create(began_by=admin_user, reason="disk", began_at=timezone.now())
    for moment in (full_hour(1), full_hour(2)):
        found = explain(Job.objects.by_id(job.pk), moment)
        assert found.verdict == Verdict.ALL_PAUSED, moment
        assert facts_of(found)["Reason"] == "disk"
        assert "everything is paused" in found.sentence
    assert explain(job, full_hour(2)).task_ids == (held.pk,)
    assert explain(job, full_hour(3)).verdict == Verdict.WAITING, f"{asked} was asked for by a person"


def test_a_retry_waits_until_its_time() -> None:
    job = make_job()
    later = timezone.now() + HOUR
    make_task(job, fire_time=full_hour(2), status="queued", waiting=True, cause="retry", not_before=later)
    assert explain(job, full_hour(2)).sentence.startswith("It waits until ")


def test_a_run_beside_the_schedule_says_who_wanted_it(admin_user: User) -> None:
    job = make_job()
    moment = full_hour(3) + 20 * MINUTE
    task = ran_at(job, moment, fire_time=None, cause="manual", requested_by=admin_user)
    found = explain(job, moment)
    assert (found.verdict, found.task_ids) == (Verdict.RAN, (task.pk,))
    assert "not by its schedule (admin asked for it)" in found.sentence


def test_the_retries_of_a_run_are_linked() -> None:
    job = make_job()
    task = ran_at(job, full_hour(3), status="failed")
    retry = ran_at(job, full_hour(3) + 2 * MINUTE, fire_time=None, cause="retry", retry_of=task)
    assert explain(job, full_hour(3)).task_ids == (task.pk, retry.pk)


# --- it did not -----------------------------------------------------------------------------------------------------


def test_a_skipped_one_names_the_run_that_was_going_on() -> None:
    job = make_job()
    over = ran_at(job, full_hour(5))
    long = ran_at(job, full_hour(4), finished_at=full_hour(2))
    skipped = make_task(job, fire_time=full_hour(3), status="skipped", date_created=full_hour(3))
    found = explain(job, full_hour(3))
    assert found.verdict == Verdict.SKIPPED
    assert found.task_ids == (skipped.pk, long.pk) and over.pk not in found.task_ids
    assert f"#{long.pk}" in found.sentence


def test_a_missed_one_says_whether_a_scheduler_was_running() -> None:
    job = make_job()
    scheduler_between(full_hour(9), full_hour(6))
    scheduler_between(full_hour(2), full_hour(0))
    make_task(job, fire_time=full_hour(4), status="missed", date_created=full_hour(2), reason="1 fire time …")
    make_task(job, fire_time=full_hour(1), status="missed", date_created=full_hour(0))
    found = explain(job, full_hour(4))
    assert found.verdict == Verdict.MISSED and "no scheduler was running" in found.sentence
    facts = facts_of(found)
    assert facts["Last sign of a scheduler before"] == full_hour(6)
    assert facts["Next scheduler started"] == full_hour(2)
    assert "could not be started in time" in explain(job, full_hour(1)).sentence


def test_one_of_many_missed_is_found_in_the_record_of_the_last() -> None:
    job = make_job()
    record = make_task(job, fire_time=full_hour(3), status="missed", fire_count=4, date_created=full_hour(1))
    scheduler_between(full_hour(9), full_hour(1))
    for hours, verdict in ((3, Verdict.MISSED), (6, Verdict.MISSED), (7, Verdict.UNKNOWN)):
        found = explain(job, full_hour(hours))
        assert found.verdict == verdict
        assert (record.pk in found.task_ids) == (verdict == Verdict.MISSED)


def test_a_fire_time_that_was_folded_names_the_run_that_stands_for_it() -> None:
    job = make_job()
    scheduler_between(full_hour(9), full_hour(1))
    task = ran_at(job, full_hour(3), fire_count=3)
    for hours, verdict in ((3, Verdict.RAN), (4, Verdict.FOLDED), (5, Verdict.FOLDED), (6, Verdict.UNKNOWN)):
        found = explain(job, full_hour(hours))
        assert found.verdict == verdict
        assert (task.pk in found.task_ids) == (verdict != Verdict.UNKNOWN)


def test_without_a_scheduler_nothing_is_run() -> None:
    job = make_job()
    scheduler_between(full_hour(9), full_hour(6))
    found = explain(job, full_hour(4))
    assert found.verdict == Verdict.MISSED and "no scheduler was running" in found.sentence
    assert facts_of(found)["Next scheduler started"] == "none has"
    SchedulerProcess.objects.all().delete()
    assert facts_of(explain(job, full_hour(4)))["Last sign of a scheduler before"] == "none is recorded"


def test_a_scheduler_found_dead_days_later_was_not_running_all_the_time() -> None:
    job = make_job()
    scheduler_between(full_hour(60), full_hour(50), stopped_at=full_hour(2), outcome="lost: no heartbeat")
    assert explain(job, full_hour(51)).verdict == Verdict.UNKNOWN
    found = explain(job, full_hour(30))
    assert found.verdict == Verdict.MISSED
    assert facts_of(found)["How that one ended"] == "lost: no heartbeat"


def test_a_shell_is_no_scheduler() -> None:
    job = make_job()
    scheduler_between(full_hour(9), full_hour(1), kind="shell")
    assert explain(job, full_hour(4)).verdict == Verdict.MISSED


def test_nothing_is_made_up_where_the_records_do_not_tell() -> None:
    job = make_job()
    scheduler_between(full_hour(9), full_hour(1))
    assert explain(job, full_hour(4)).verdict == Verdict.UNKNOWN


def test_due_and_not_yet_dispatched() -> None:
    job = make_job(cron="* * * * *")
    scheduler_between(full_hour(9), timezone.now() + MINUTE, stopped_at=None)
    moment = timezone.now().replace(second=0, microsecond=0)
    job.runtime.next_run_time = moment
    assert explain(job, moment).verdict == Verdict.WAITING


# --- pauses ---------------------------------------------------------------------------------------------------------


def test_a_pause_that_is_recorded_names_who_made_it(admin_user: User) -> None:
    job = make_job()
    before = job.snapshot()
    paused = {**before, "paused_at": full_hour(6).isoformat(), "paused_until": None, "paused_reason": "holiday"}
    changed(job, "paused", full_hour(6), before, paused, admin_user)
    changed(job, "resumed", full_hour(3), paused, before)
    scheduler_between(full_hour(9), full_hour(0))
    found = explain(job, full_hour(4))
    assert found.verdict == Verdict.PAUSED and "until resumed (holiday)" in found.sentence
    assert (facts_of(found)["Paused"], facts_of(found)["By"]) == (full_hour(6), "admin")
    assert [explain(job, full_hour(hours)).verdict for hours in (7, 2)] == [Verdict.UNKNOWN] * 2


def test_the_present_pause_counts_from_when_it_began() -> None:
    job = make_job()
    scheduler_between(full_hour(9), full_hour(0))
    Job.objects.update(paused_at=full_hour(3) - MINUTE, paused_until=full_hour(1), paused_reason="")
    job = Job.objects.by_id("x")
    expected = {4: Verdict.UNKNOWN, 3: Verdict.PAUSED, 2: Verdict.PAUSED, 1: Verdict.UNKNOWN}
    assert {hours: explain(job, full_hour(hours)).verdict for hours in expected} == expected


def test_a_pause_that_was_brought_back_later_does_not_count_for_the_time_before() -> None:
    job = make_job()
    free = job.snapshot()
    paused = {**free, "paused_at": full_hour(6).isoformat()}
    changed(job, "paused", full_hour(6), free, paused)
    changed(job, "resumed", full_hour(4) + MINUTE, paused, free)
    changed(job, "undone", full_hour(1) - MINUTE, free, paused)
    Job.objects.update(paused_at=full_hour(6))
    verdicts = {hours: explain("x", full_hour(hours)).verdict for hours in (5, 3, 0, -5)}
    assert verdicts == {5: Verdict.PAUSED, 3: Verdict.MISSED, 0: Verdict.PAUSED, -5: Verdict.PAUSED}
    assert "no scheduler was running" in explain("x", full_hour(3)).sentence


def test_a_pause_within_the_minute_counts_from_its_second() -> None:
    job = make_job(trigger="interval", cron="", interval=30 * SECOND, anchor=full_hour(9) + 30 * SECOND)
    Job.objects.update(interval=HOUR)
    free = Job.objects.by_id("x").snapshot()
    paused = {**free, "paused_at": (full_hour(3) + 10 * SECOND).isoformat()}
    changed(job, "paused", full_hour(3) + 10 * SECOND, free, paused)
    Job.objects.update(paused_at=full_hour(3) + 10 * SECOND)
    assert explain("x", full_hour(3)).verdict == Verdict.PAUSED


@pytest.mark.parametrize("why", ["paused", "skipped"])
def test_a_run_by_hand_does_not_hide_what_became_of_the_scheduled_one(admin_user: User, why: str) -> None:
    job = make_job()
    by_hand = ran_at(job, full_hour(3) + SECOND, fire_time=None, cause="manual", requested_by=admin_user)
    if why == "paused":
        Job.objects.update(paused_at=full_hour(4), paused_reason="holiday")
    else:
        make_task(job, status="skipped", fire_time=full_hour(3), date_created=full_hour(3))
    found = explain("x", full_hour(3))
    assert found.verdict == Verdict.RAN and found.task_ids[0] == by_hand.pk
    assert "admin asked for it" in found.sentence and f"it was {why}" in found.sentence.lower()


def test_a_run_by_hand_at_no_time_of_the_schedule_is_told_alone(admin_user: User) -> None:
    job = make_job()
    ran_at(job, full_hour(3) + 5 * MINUTE, fire_time=None, cause="manual", requested_by=admin_user)
    assert "schedule:" not in explain("x", full_hour(3) + 5 * MINUTE).sentence


@pytest.mark.parametrize("is_down", [True, False])
def test_tasks_of_before_a_deletion_that_was_undone_are_kept_without_the_job(*, is_down: bool) -> None:
    job = make_job()
    if not is_down:
        scheduler_between(full_hour(9), full_hour(0))
    snapshot = job.snapshot()
    changed(job, "deleted", full_hour(3) + MINUTE, snapshot, None)
    changed(job, "undone", full_hour(2) + MINUTE, None, snapshot)
    found = explain(job, full_hour(4))
    assert found.verdict == Verdict.UNKNOWN and "kept without it" in found.sentence
    assert "kept without it" not in explain(job, full_hour(1)).sentence


def test_a_pause_of_everything(admin_user: User) -> None:
    job = make_job()
    scheduler_between(full_hour(9), full_hour(0))
    PauseOfAll.objects.create(began_at=full_hour(6), ended_at=full_hour(3), began_by=admin_user, reason="disk")
    found = explain(job, full_hour(4))
    assert found.verdict == Verdict.ALL_PAUSED
    assert (facts_of(found)["By"], facts_of(found)["Reason"]) == ("admin", "disk")
    assert [explain(job, full_hour(hours)).verdict for hours in (7, 3)] == [Verdict.UNKNOWN] * 2


# --- not due, and the Job as it was ---------------------------------------------------------------------------------


def test_a_time_that_the_schedule_does_not_name_has_neighbours() -> None:
    job = make_job()
    task = ran_at(job, full_hour(3))
    found = explain(job, full_hour(3) + 20 * MINUTE)
    assert found.verdict == Verdict.NOT_DUE
    facts = facts_of(found)
    assert (facts["Fire time before"], facts["Fire time after"]) == (full_hour(3), full_hour(2))
    assert facts["Definition used"] == "the present one; no change of it is recorded"
    assert found.task_ids == (task.pk,)


def test_the_schedule_is_that_of_the_time_asked_for() -> None:
    job = make_job(cron="30 * * * *")
    now = job.snapshot()
    earlier = {**now, "cron": "0 * * * *"}
    changed(job, "edited", full_hour(5) + MINUTE, earlier, now)
    scheduler_between(full_hour(20), full_hour(0))
    half = 30 * MINUTE
    assert explain(job, full_hour(8)).verdict == Verdict.UNKNOWN
    assert "before the change" in facts_of(explain(job, full_hour(8)))["Definition used"]
    assert explain(job, full_hour(8) + half).verdict == Verdict.NOT_DUE
    assert explain(job, full_hour(3)).verdict == Verdict.NOT_DUE
    assert "as recorded at" in facts_of(explain(job, full_hour(3)))["Definition used"]
    assert explain(job, full_hour(3) + half).verdict == Verdict.UNKNOWN


@pytest.mark.parametrize(
    "fields",
    [
        {"trigger": "interval", "interval": 15 * MINUTE},
        {"trigger": "once", "run_at": datetime(2030, 1, 1, tzinfo=UTC)},
        {"cron": "0 2 * * *", "timezone": "Europe/Berlin"},
    ],
)
def test_every_kind_of_schedule_can_be_read_back_from_a_snapshot(fields: dict[str, Any]) -> None:
    job = make_job(**fields)
    snapshot = job.snapshot()
    Job.objects.update(trigger="cron", cron="1 1 1 1 *", timezone="")
    changed(job, "edited", full_hour(1), snapshot, None)
    expected = job.build_trigger().next_after(full_hour(1000))
    found = explain(Job.objects.by_id("x"), full_hour(1000) - 7 * SECOND)
    assert expected is None or facts_of(found)["Fire time after"] == expected


def test_before_it_was_made_and_after_it_was_deleted(admin_user: User) -> None:
    job = make_job(days_old=2)
    assert explain(job, full_hour(72)).verdict == Verdict.NO_JOB
    snapshot = job.snapshot()
    changed(job, "created", full_hour(30), None, snapshot)
    changed(job, "deleted", full_hour(5), snapshot, None, admin_user)
    job.remove()
    assert explain("x", full_hour(31)).verdict == Verdict.NO_JOB
    gone = explain("x", full_hour(4))
    assert gone.verdict == Verdict.DELETED and facts_of(gone)["By"] == "admin"
    assert explain("x", timezone.now() + HOUR).verdict == Verdict.DELETED
    assert explain("x", full_hour(20) + 5 * MINUTE).verdict == Verdict.NOT_DUE
    assert explain("never", full_hour(1)).verdict == Verdict.NO_JOB


def test_records_that_are_deleted_are_said_to_be() -> None:
    job = make_job()
    moment = full_hour(40 * 24)
    DayCount.objects.create(job_key="x", day=moment.date(), status="completed", count=24)
    found = explain(job, moment)
    assert found.verdict == Verdict.FORGOTTEN and "older than 30 days are deleted" in found.sentence
    assert facts_of(found)["That day"] == "24 completed"
    assert explain(job, moment + MINUTE).verdict == Verdict.NOT_DUE


def test_a_function_that_is_not_here() -> None:
    job = make_job()
    Job.objects.update(function="gone.away")
    job = Job.objects.by_id("x")
    scheduler_between(full_hour(9), full_hour(0))
    for moment in (full_hour(3), full_hour(-30)):
        found = explain(job, moment)
        assert found.verdict == Verdict.UNRESOLVABLE and "no task function gone.away" in found.sentence


def test_a_schedule_that_cannot_be_read() -> None:
    make_job()
    Job.objects.update(cron="nonsense")
    assert explain(Job.objects.by_id("x"), full_hour(3)).verdict == Verdict.UNREADABLE


# --- the future -----------------------------------------------------------------------------------------------------


def test_what_is_to_come() -> None:
    job = make_job()
    moment = full_hour(-30)
    found = explain(job, moment)
    assert found.verdict == Verdict.COMING and "none is running now" in str(facts_of(found)["Scheduler"])
    assert "is not due then" in explain(job, moment + MINUTE).sentence
    SchedulerProcess.register("scheduler")
    assert "Scheduler" not in facts_of(explain(job, moment))
    pause = PauseOfAll.objects.create()
    assert explain(job, moment).verdict == Verdict.ALL_PAUSED
    pause.delete()
    job.pause(until=moment + MINUTE)
    assert explain(job, moment).verdict == Verdict.PAUSED
    assert explain(job, moment + HOUR).verdict == Verdict.COMING


def test_times_of_a_repeated_hour_are_told_apart() -> None:
    job = make_job(cron="30 * * * *", timezone="Europe/Berlin", days_old=1000)
    first = datetime(2024, 10, 27, 0, 30, tzinfo=UTC)
    tasks = [ran_at(job, moment) for moment in (first, first + HOUR)]
    assert [explain(job, moment).task_ids[0] for moment in (first, first + HOUR)] == [task.pk for task in tasks]


@pytest.mark.parametrize("moment", [datetime(2026, 1, 1), datetime(1, 1, 1, tzinfo=UTC)])  # noqa: DTZ001
def test_a_moment_that_is_none_is_refused(moment: datetime) -> None:
    with pytest.raises(TriggerError):
        explain(make_job(), moment)


# --- the page -------------------------------------------------------------------------------------------------------


def page_of(client: Client, key: str = "x", **query: str) -> str:
    response = client.get(f"/admin/scheduling/job/{key}/why/", query)
    assert response.status_code == 200
    return response.content.decode()


def person(*permissions: str) -> Client:
    user = User.objects.create_user("somebody", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def test_the_page_answers_in_the_persons_zone(admin_client: Client) -> None:
    job = make_job(cron="0 12 * * *")
    moment = full_hour(0).replace(hour=12) - timedelta(days=2)
    task = ran_at(job, moment)
    admin_client.cookies["timezone"] = "Asia/Tokyo"
    html = page_of(admin_client, at=f"{moment:%Y-%m-%d}T21:00")
    assert 'data-verdict="ran"' in html and f"/admin/scheduling/task/{task.pk}/change/" in html
    assert "21:00:00 JST" in html and "Asia/Tokyo" in html
    assert 'data-verdict="not due"' in page_of(admin_client, at=f"{moment:%Y-%m-%d}T12:00")


@pytest.mark.parametrize(
    ("at", "sentence"),
    [
        ("soon", "This is not a date and time"),
        ("2026-02-30T00:00", "This is not a date and time"),
        ("0001-01-01T00:00", "out of range"),
        ("9999-12-31T23:59", "out of range"),
        ("<b>", "This is not a date and time"),
    ],
)
def test_a_time_that_cannot_be_read_is_explained(admin_client: Client, at: str, sentence: str) -> None:
    make_job()
    html = page_of(admin_client, at=at)
    assert sentence in html and "data-verdict" not in html and "<b>" not in html


def test_without_a_time_it_is_now(admin_client: Client) -> None:
    make_job()
    assert "data-verdict" in page_of(admin_client)
    assert admin_client.get("/admin/scheduling/job/x/why/", {"at": "2026-01-01T00:00\0"}).status_code == 400


def test_the_page_of_a_deleted_job_opens_and_that_of_none_does_not(admin_client: Client) -> None:
    changed("gone", "deleted", full_hour(2), {"cron": "0 * * * *", "trigger": "cron"}, None)
    assert 'data-verdict="deleted"' in page_of(admin_client, "gone")
    assert admin_client.get("/admin/scheduling/job/never/why/").status_code == 404


def test_the_page_is_for_those_who_see_jobs_and_tasks() -> None:
    """What it says is read from Tasks."""
    ran_at(make_job(), full_hour(3))
    for permissions, status in (
        (("view_job",), 403),
        (("view_task", "change_task"), 403),
        (("view_job", "view_task"), 200),
    ):
        User.objects.all().delete()
        assert person(*permissions).get("/admin/scheduling/job/x/why/").status_code == status, permissions
    assert Client().get("/admin/scheduling/job/x/why/").status_code == 302


def test_hostile_texts_are_escaped(admin_client: Client) -> None:
    job = make_job(name=EVIL)
    make_task(job, fire_time=full_hour(3), status="missed", reason=EVIL, task_name=EVIL)
    Job.objects.update(paused_at=full_hour(2) - MINUTE, paused_reason=EVIL)
    for hours in (3, 2, -20):
        html = page_of(admin_client, at=f"{full_hour(hours):%Y-%m-%dT%H:%M}")
        assert EVIL not in html and "&lt;script&gt;" in html


def test_it_costs_few_queries_among_thousands_of_tasks(
    administrator_client: Client, django_assert_max_num_queries: Any
) -> None:
    job = make_job(cron="* * * * *")
    start = full_hour(50)
    Task.objects.bulk_create(
        [
            Task(
                job=job,
                task_name="t",
                status="completed",
                fire_time=start + n * MINUTE,
                date_created=start + n * MINUTE,
            )
            for n in range(2000)
            if n != 1000
        ]
    )
    for minutes in (1000, 1001, 2500):
        with django_assert_max_num_queries(12):
            page_of(administrator_client, at=f"{start + minutes * MINUTE:%Y-%m-%dT%H:%M}")


def missed_in_another(job: Job) -> None:
    make_task(job, fire_time=full_hour(2), status="missed", fire_count=4, date_created=full_hour(1))


def paused_then(job: Job) -> None:
    free = job.snapshot()
    paused = {**free, "paused_at": full_hour(4).isoformat()}
    by = User.objects.create_user("anna")
    changed(job, "paused", full_hour(4), free, paused, by)
    changed(job, "resumed", full_hour(2), paused, free, by)


def function_is_gone(job: Job) -> None:
    scheduler_between(full_hour(9), full_hour(0))
    Job.objects.update(function="gone.away")


def deleted_since(job: Job) -> None:
    changed(job, "deleted", full_hour(2), job.snapshot(), None)
    job.remove()


def deleted_before(job: Job) -> None:
    changed(job, "deleted", full_hour(4), job.snapshot(), None, User.objects.create_user("anna"))
    job.remove()


def due_since(job: Job) -> None:
    scheduler_between(full_hour(9), full_hour(0))
    job.runtime.__class__.objects.update(next_run_time=full_hour(3))


def pause_of_all(job: Job, hours_ago: int = 4) -> None:
    PauseOfAll.objects.create(began_at=full_hour(hours_ago), began_by=User.objects.create_user("anna"), reason="disk")


def held_back(job: Job) -> None:
    pause_of_all(job)
    make_task(job, fire_time=full_hour(3), status="queued", waiting=True, cause="schedule")


def due_in_a_later_pause(job: Job) -> None:
    due_since(job)
    pause_of_all(job, 1)


def one_task(**fields: Any) -> Any:
    def prepare(job: Job) -> None:
        make_task(job, **{"fire_time": full_hour(3), "date_created": full_hour(3), **fields})

    return prepare


def skipped(job: Job) -> None:
    for hours in (5, 4):
        ran_at(job, full_hour(hours), finished_at=full_hour(1))
    make_task(job, fire_time=full_hour(3), status="skipped", date_created=full_hour(3))


def ran_and_was_retried(job: Job) -> None:
    task = ran_at(job, full_hour(3), status="failed")
    for minutes in (1, 2):
        ran_at(job, full_hour(3) + minutes * MINUTE, fire_time=None, cause="retry", retry_of=task)


ANSWERS: dict[str, tuple[Any, Verdict, timedelta]] = {
    "ran": (ran_and_was_retried, Verdict.RAN, 0 * HOUR),
    "waiting": (one_task(status="queued", waiting=True), Verdict.WAITING, 0 * HOUR),
    "waiting for its time": (one_task(status="queued", not_before=full_hour(-9)), Verdict.WAITING, 0 * HOUR),
    "held back": (held_back, Verdict.ALL_PAUSED, 0 * HOUR),
    "cancelled": (one_task(status="cancelled"), Verdict.CANCELLED, 0 * HOUR),
    "missed": (one_task(status="missed"), Verdict.MISSED, 0 * HOUR),
    "missed with others": (missed_in_another, Verdict.MISSED, 0 * HOUR),
    "no scheduler": (lambda job: None, Verdict.MISSED, 0 * HOUR),
    "skipped": (skipped, Verdict.SKIPPED, 0 * HOUR),
    "folded": (one_task(fire_time=full_hour(2), fire_count=3, status="completed"), Verdict.FOLDED, 0 * HOUR),
    "paused": (paused_then, Verdict.PAUSED, 0 * HOUR),
    "everything paused": (pause_of_all, Verdict.ALL_PAUSED, 0 * HOUR),
    "due, everything paused": (due_in_a_later_pause, Verdict.ALL_PAUSED, 0 * HOUR),
    "due": (due_since, Verdict.WAITING, 0 * HOUR),
    "no function": (function_is_gone, Verdict.UNRESOLVABLE, 0 * HOUR),
    "no record": (lambda job: scheduler_between(full_hour(9), full_hour(0)), Verdict.UNKNOWN, 0 * HOUR),
    "not due": (lambda job: ran_at(job, full_hour(3)), Verdict.NOT_DUE, 20 * MINUTE),
    "not due tomorrow": (lambda job: None, Verdict.NOT_DUE, 33 * HOUR + MINUTE),
    "forgotten": (lambda job: None, Verdict.FORGOTTEN, -40 * 24 * HOUR),
    "not made yet": (lambda job: None, Verdict.NO_JOB, -200 * 24 * HOUR),
    "deleted": (deleted_before, Verdict.DELETED, 0 * HOUR),
    "deleted since": (deleted_since, Verdict.UNKNOWN, 0 * HOUR),
    "unreadable": (lambda job: Job.objects.update(cron="nonsense"), Verdict.UNREADABLE, 0 * HOUR),
    "coming": (lambda job: None, Verdict.COMING, 33 * HOUR),
    "coming in a pause": (pause_of_all, Verdict.ALL_PAUSED, 33 * HOUR),
}
"""What is stored besides, the answer, and the time asked for, from three hours ago."""


@pytest.mark.parametrize("answer", ANSWERS)
def test_no_answer_costs_a_role_more_than_twelve_queries(
    administrator_client: Client, answer: str, django_assert_max_num_queries: Any
) -> None:
    """Neither alone nor beside a run by hand, which is told as well."""
    prepare, verdict, after = ANSWERS[answer]
    moment = full_hour(3) + after
    job = make_job()
    SchedulerProcess.register("scheduler").stop("the power failed")
    scheduler_between(full_hour(20), full_hour(15), outcome="stopped")
    PauseOfAll.objects.create(began_at=full_hour(30), ended_at=full_hour(28))
    DayCount.objects.create(job_key="x", day=moment.date(), status="completed", count=24)
    prepare(job)
    with django_assert_max_num_queries(12):
        html = page_of(administrator_client, at=f"{moment:%Y-%m-%dT%H:%M}")
    assert f'data-verdict="{verdict}"' in html
    if verdict == Verdict.RAN or moment > timezone.now() or not Job.objects.exists():
        return
    by = User.objects.create_user("carl")
    run = ran_at(job, moment + SECOND, fire_time=None, cause="manual", requested_by=by, status="failed")
    retry = ran_at(job, moment + 5 * MINUTE, fire_time=None, cause="retry", retry_of=run)
    with django_assert_max_num_queries(12):
        html = page_of(administrator_client, at=f"{moment:%Y-%m-%dT%H:%M}")
    assert 'data-verdict="ran"' in html and "carl asked for it" in html and f"#{retry.pk}" in html


def test_the_pages_of_a_job_and_of_its_tasks_lead_to_the_answer(admin_client: Client) -> None:
    job = make_job()
    task = ran_at(job, full_hour(3))
    page = admin_client.get(f"/admin/scheduling/job/{job.pk}/change/").content.decode()
    assert 'href="/admin/scheduling/job/x/why/"' in page
    page = admin_client.get(f"/admin/scheduling/task/{task.pk}/change/").content.decode()
    address = page.partition('href="/admin/scheduling/job/x/why/?')[2].partition('"')[0]
    answer = admin_client.get(f"/admin/scheduling/job/x/why/?{address}").content.decode()
    assert f"/admin/scheduling/task/{task.pk}/change/" in answer and "started on time" in answer


@pytest.mark.parametrize("who", ["the Job", "everything"])
def test_a_time_in_a_pause_counts_in_no_later_run(who: str) -> None:
    """Of so many missed fire times that they were counted up to the cap only."""
    job = make_job(cron="* * * * *")
    free, began, ended = job.snapshot(), full_hour(60), full_hour(58)
    if who == "everything":
        PauseOfAll.objects.create(began_at=began, ended_at=ended, reason="disk")
    else:
        paused = {**free, "paused_at": began.isoformat()}
        changed(job, "paused", began, free, paused)
        changed(job, "resumed", ended, paused, free)
    scheduler_between(full_hour(90), ended)
    scheduler_between(full_hour(4), full_hour(0))
    make_task(job, fire_time=full_hour(4), status="missed", fire_count=1000, date_created=full_hour(4))
    assert explain(job, full_hour(59)).verdict in (Verdict.PAUSED, Verdict.ALL_PAUSED)
    assert explain(job, full_hour(5)).verdict == Verdict.MISSED


@pytest.mark.parametrize(("field", "is_counted"), [("cron", False), ("name", True)])
def test_a_time_before_an_edited_schedule_counts_in_no_later_run(field: str, is_counted: bool) -> None:
    time = full_hour(10)
    job = make_job(cron=f"0 {time.hour} * * *")
    before = job.snapshot()
    Job.objects.filter(pk=job.pk).update(**{field: "* * * * *"})
    changed(job, "edited", full_hour(7), before, {**before, field: "* * * * *"})
    scheduler_between(full_hour(12), full_hour(0))
    make_task(job, fire_time=full_hour(4), status="completed", fire_count=15, date_created=full_hour(4))
    job.refresh_from_db()
    assert (explain(job, time).verdict == Verdict.FOLDED) == is_counted


def test_a_clean_up_of_fewer_days_leaves_what_says_that_a_scheduler_ran() -> None:
    job, moment = make_job(), full_hour(15 * 24)
    scheduler_between(moment - 5 * 24 * HOUR, moment + 5 * 24 * HOUR)
    ran_at(job, moment)
    cleanup_old_tasks(days=7)
    assert not Task.objects.filter(fire_time=moment).exists()
    assert explain(job, moment).verdict == Verdict.UNKNOWN
