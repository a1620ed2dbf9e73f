"""The pages of acquisitions: what they show, what a person may do there, the switch, and what was got in a week."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core import mail
from django.core.cache import cache
from django.db import IntegrityError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audiobooks import acquire, budget, digest
from audiobooks.admin.acquisitions import EVENTS_SHOWN, STOP_KEPT_SECONDS
from audiobooks.ledger import GB, Volume
from audiobooks.models import Acquisition, AcquisitionEvent, BlockedRelease, FetchingStop, Proposal, Release, Work
from audiobooks.services import configured_by
from scheduling.context import TaskRun
from scheduling.display import change_url, step_url
from scheduling.exceptions import TaskFailed
from scheduling.models import Task
from tests.audiobooks.running import Quiet
from tests.samples.acquired import SOURCE, acquired, candidate, fill, offered
from tests.scheduling.making import make_job, messages_of
from tests.scheduling.test_roles import WHO, signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("roles")]
LIST, WEEK = "/admin/audiobooks/acquisition/", "/admin/audiobooks/acquisition/week/"
BLOCKED = "/admin/audiobooks/blockedrelease/"
STOP, GO_ON = f"{LIST}stop/", f"{LIST}go-on/"
HOSTILE = '<script>alert("x")</script>\u202eevil'
MAY = ("Operator", "Administrator", "superuser")


@pytest.fixture(autouse=True)
def _budget(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.clear()
    settings.BUDGET_WEEK, settings.BUDGET_WEEK_GB, settings.BUDGET_FREE_GB = 20, 40.0, 1.0
    monkeypatch.setattr(budget, "_volume", lambda folder: Volume(device=1, free=500 * GB, total=900 * GB))


@pytest.fixture
def client() -> Client:
    return signed_in("Operator")


def get(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return re.sub(r"\s+", " ", unescape(response.content.decode()))


def shown(client: Client, query: str = "") -> list[str]:
    """The titles of a list."""
    response = client.get(f"{LIST}?{query}")
    assert response.status_code == 200
    return [row.work.title for row in response.context["cl"].result_list]


def press(client: Client, row: Acquisition, step: str, **data: str) -> str:
    """What the person is told."""
    response = client.post(step_url(row, step), data, follow=True)
    assert response.status_code == 200
    [told] = messages_of(response)
    row.refresh_from_db()
    return told


def buttons(page: str) -> set[str]:
    return set(re.findall(r'formaction="[^"]*/([\w-]+)/"', page))


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_every_page_costs_at_most_twelve_queries_with_nothing_cached() -> None:
    made = fill(User.objects.create_user("decides"))
    works = Work.objects.bulk_create(Work(title=f"Volume {number}", key=str(number)) for number in range(60))
    Acquisition.objects.bulk_create(Acquisition(work=each, name="x", state_since=timezone.now()) for each in works)
    acquire.stop_fetching(User.objects.get(username="decides"), "holiday")
    client = signed_in("Administrator")
    lists = [f"{LIST}?view={view}" for view in ("proposed", "needs", "way", "got", "not", "all")]
    for url in (
        LIST,
        f"{LIST}?p=2",
        f"{LIST}?q=salt",
        *lists,
        WEEK,
        BLOCKED,
        "/admin/",
        *map(change_url, made.values()),
    ):
        # Only what belongs to the process: content types, compiled templates.
        client.get(url)
        cache.clear()
        with CaptureQueriesContext(connection) as queries:
            assert client.get(url).status_code == 200
        assert len(queries) <= 12, (url, [query["sql"][:150] for query in queries])


def test_no_page_reads_all_acquisitions(client: Client) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("with few rows PostgreSQL reads all of them, whatever indexes there are")
    acquired()
    cache.clear()
    asked = []
    for url in (
        LIST,
        f"{LIST}?view=needs",
        f"{LIST}?view=way",
        f"{LIST}?view=got",
        f"{LIST}?view=not",
        WEEK,
        "/admin/",
    ):
        with CaptureQueriesContext(connection) as queries:
            assert client.get(url).status_code == 200
        asked += [query["sql"] for query in queries if "audiobooks_acquisition" in query["sql"]]
    assert len(asked) > 10
    with connection.cursor() as cursor:
        for sql in asked:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            plan = [row[3] for row in cursor.fetchall()]
            assert not any(re.match(r"SCAN (audiobooks_acquisition|U0)(?! USING)", line) for line in plan), (sql, plan)


# --- the list ---------------------------------------------------------------------------------------------------------


def test_by_itself_the_list_is_what_waits_for_a_person_and_its_filter_has_the_rest(client: Client) -> None:
    """Found: what was stuck was not in the list that a person sees after they approved it."""
    fill()
    assert set(shown(client)) == {*shown(client, "view=proposed"), *shown(client, "view=needs")}
    assert shown(client, "view=proposed") == ["A Harbour of Lanterns", "The Glass Meridian", "The Salt Road"]
    assert shown(client, "view=needs") == ["Winter Almanac", "Beneath the Ferrymen"]
    assert shown(client, "view=way") == [
        "Winter Almanac", "Beneath the Ferrymen", "The Last Observatory", "Seven Orchards",
    ]  # fmt: skip
    assert shown(client, "view=got") == ["Letters from the Beekeeper"]
    assert shown(client, "view=not") == ["The Quiet Tides"]
    assert len(shown(client, "view=all")) == 9
    assert shown(client, "view=nonsense") == shown(client)
    assert shown(client, "view=all&q=SALT+road") == ["The Salt Road"]
    assert shown(client, "view=all&q=m4b") == [] and shown(client, "q=%25_") == []
    # No field can be asked for by an address.
    assert client.get(f"{LIST}?approved_by__password__startswith=x").status_code == 400


def test_a_row_says_what_it_is_why_and_what_can_be_done(client: Client) -> None:
    fill()
    page = get(client, f"{LIST}?view=proposed")
    for words in ("number 1 of The Salt Cartographers", "librivox: Title and author are the same. 12 seed it.", "doubtful",
                  "20 at most, of which 20 are used", "476.8 MB", "The disk of downloads and library", "Budget"):  # fmt: skip
        assert words in page, words
    assert buttons(page) == {"approve", "decline"}
    page = get(client, f"{LIST}?view=way")
    assert 'value="40" aria-label="Downloaded' in page and "needs you" in page and "somebody removed it there" in page


def test_a_page_shows_its_whole_story(client: Client) -> None:
    made = fill(User.objects.create_user("decides"))
    page = get(client, change_url(made["doubted"]))
    for words in ("It needs you:", "It may be the wrong recording", "What the check found", "by decides", "by qbittorrent",
                  "/downloads/ilse varga", "Behind it", "What happened", "Approved by decides."):  # fmt: skip
        assert words in page, words
    assert buttons(page) == {"accept", "next", "give-up", "again", "look"} and "Take this instead" not in page
    page = get(client, change_url(made["refused"]))
    assert "No rule has approved it:" in page and "Take this instead" in page
    assert buttons(page) == {"approve", "decline"}
    assert "unknown" in get(client, change_url(made["doubtful"]))
    assert "40 % of 476.8 MB" in get(client, change_url(made["fetching"]))
    page = get(client, change_url(made["imported"]))
    assert "Ilse Varga/The Salt Cartographers/08 - Letters" in page and not buttons(page)


def test_a_row_without_book_size_or_event_is_shown(client: Client) -> None:
    row = acquired(size=None, reasons=[], candidates=[], approved_at=timezone.now(), state="fetching", problem="x")
    row.book.delete()
    row.events.all().delete()
    assert "Nothing is said against it." in get(client, change_url(row))
    assert shown(client, "view=needs") == ["The Glass Meridian"]


def test_of_many_events_the_newest_are_shown(client: Client) -> None:
    row = acquired()
    events = [AcquisitionEvent(acquisition=row, state="proposed", text=f"Step {at}.") for at in range(EVENTS_SHOWN + 9)]
    AcquisitionEvent.objects.bulk_create(events)
    page = get(client, change_url(row))
    assert f"Step {EVENTS_SHOWN + 8}." in page and "Step 8." not in page and "Step 9." in page


def test_what_others_wrote_is_text(client: Client) -> None:
    long = "An.Endless.Name." * 400
    for number, name in enumerate((HOSTILE, long)):
        release = offered(f"Other {number}", f"{number}", name=name)
        row = acquired(
            f"Work {number}", state="fetched", name=name, why=name[:255], reasons=[name], problem=name, content=name, target=name[:1024],
            problem_since=timezone.now(), check_result={"problems": [{"sentence": name}]}, fetched_at=timezone.now(),
            approved_at=timezone.now(), handed_at=timezone.now(), client="qbittorrent",
            candidates=[candidate(release, name)],
        )  # fmt: skip
        AcquisitionEvent.objects.create(acquisition=row, state="fetched", text=name)
        acquire.block(row, name, by=None, until=None, only_its_work=bool(number))
        refused = acquired(f"Refused {number}", name=name, refusal=name)
        FetchingStop.objects.filter(ended_at=None).update(ended_at=timezone.now())
        acquire.stop_fetching(User.objects.get(username="somebody"), name)
        cache.clear()
        for url in (LIST, f"{LIST}?view=needs", change_url(row), change_url(refused), WEEK, BLOCKED):
            response = client.get(url)
            body = response.content.decode()
            assert response.status_code == 200 and "<script>alert" not in body, url
            assert not re.search(r"\sstyle=", body.split('id="content-main"')[-1]), url
            # What turns the direction of writing stays where it is, unless it is in an attribute.
            text = re.sub(r'="[^"]*"', "", re.sub(r"<body.*?>", "", body.partition('id="content-main"')[2]))
            for found in re.finditer("\u202e", text):
                before = text[: found.start()]
                assert before.rfind("<bdi") > before.rfind("</bdi>"), (url, before[-200:])


# --- what a person does -----------------------------------------------------------------------------------------------


def test_what_is_approved_is_taken_on_at_once(client: Client, django_capture_on_commit_callbacks: Any) -> None:
    make_job("download_monitor")
    row = acquired()
    with django_capture_on_commit_callbacks() as callbacks:
        assert press(client, row, "approve").endswith("Approved.")
    assert (row.state, row.approved_by) == ("approved", User.objects.get(username="somebody"))
    assert not Task.objects.exists(), "before the commit it would see nothing"
    for callback in callbacks:
        callback()
    task = Task.objects.get()
    assert (task.job_id, task.requested_by) == ("download_monitor", row.approved_by)
    assert LogEntry.objects.get(object_id=str(row.pk)).change_message.find("Approved.") >= 0


def test_a_run_that_waits_already_is_enough(client: Client, django_capture_on_commit_callbacks: Any) -> None:
    make_job("download_monitor")
    rows = [acquired(f"Volume {name}") for name in ("one", "two", "three")]
    with django_capture_on_commit_callbacks(execute=True):
        for row in rows[:2]:
            press(client, row, "approve")
    assert Task.objects.count() == 1
    Task.objects.update(status="running")
    with django_capture_on_commit_callbacks(execute=True):
        press(client, rows[2], "approve")
    assert Task.objects.count() == 2, "one that has begun may have looked before"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("job", [None, {"function": "nobody.knows"}, {"arguments": {"nonsense": 1}}])
def test_without_a_job_that_can_run_it_is_approved_all_the_same(client: Client, job: dict[str, Any] | None) -> None:
    if job is not None:
        made = make_job("download_monitor")
        type(made).objects.filter(pk=made.pk).update(**job)
    row = acquired()
    told = messages_of(client.post(step_url(row, "approve"), follow=True))
    row.refresh_from_db()
    assert row.state == "approved" and not Task.objects.exists()
    assert len(told) == 2 and told[0].startswith("Nothing goes on by itself: ") and told[1].endswith("Approved.")


def test_why_the_budget_does_not_take_it_is_said(client: Client, settings: Any) -> None:
    settings.BUDGET_WEEK = 1
    first, second = acquired("One"), acquired("Two")
    press(client, first, "approve")
    told = press(client, second, "approve")
    assert "Downloads approved in 7 days: 1 at most, of which 1 are used" in told and second.state == "proposed"
    data = {"action": "approve_selected", "_selected_action": [second.pk]}
    assert "1 at most, of which 1 are used" in messages_of(client.post(LIST, data, follow=True))[0]


def test_what_is_declined_is_kept_out(client: Client) -> None:
    row = acquired()
    assert "not proposed again" in press(client, row, "decline")
    block = BlockedRelease.objects.get()
    assert (row.state, block.key, block.until, block.by) == ("declined", row.key, None, User.objects.get())
    assert f"Only for {row.work}" in get(client, BLOCKED)
    assert "declined already" in press(client, row, "decline")
    assert BlockedRelease.objects.count() == 1


def test_another_release_is_taken_instead_and_changes_places_with_the_first(client: Client) -> None:
    row = acquired()
    before, other = row.key, row.candidates[0]
    page = get(client, change_url(row))
    assert f'name="key" value="{other["key"]}"' in page
    assert "proposed now" in press(client, row, "choose", source=SOURCE, key=other["key"])
    assert (row.state, row.key, row.size, row.candidates[0]["key"]) == ("proposed", other["key"], GB, before)
    assert "chosen instead" in get(client, change_url(row))


@pytest.mark.parametrize(
    "data", [{}, {"source": SOURCE}, {"source": "x", "key": "y"}, {"source": SOURCE, "key": "x" * 9000}]
)
def test_only_what_is_behind_it_can_be_taken(client: Client, data: dict[str, str]) -> None:
    row = acquired()
    assert "not among the runners-up" in press(client, row, "choose", **data)


def test_a_release_that_is_unfit_by_now_is_not_taken(client: Client) -> None:
    row = acquired()
    key = row.candidates[0]["key"]
    Release.objects.filter(key=key).update(seeders=0)
    press(client, row, "choose", source=SOURCE, key=key)
    assert row.key != key
    row.candidates = [{**row.candidates[0], "verdict": "unfit"}]
    row.save()
    assert "Take this instead" not in get(client, change_url(row))


def test_the_next_candidate_is_proposed_in_its_place(client: Client) -> None:
    row = acquired(state="fetching", problem="Gone.", approved_at=timezone.now())
    told = press(client, row, "next")
    following = Acquisition.objects.get(state="proposed")
    assert following.name in told and (row.state, following.key) == ("failed", row.candidates[0]["key"])
    assert BlockedRelease.objects.get().until is not None
    assert "no other candidate" in press(client, following, "next")


def test_what_the_check_doubts_is_taken_and_what_it_does_not_is_not(client: Client) -> None:
    made = fill()
    assert "Taken as it is." in press(client, made["doubted"], "accept")
    assert (made["doubted"].state, made["doubted"].problem) == ("checked", "")
    assert "nothing to accept" in press(client, made["fetching"], "accept")
    unseen = acquired("Unseen", "fetched", problem="What was downloaded is not there.", approved_at=timezone.now())
    assert "accept" not in buttons(get(client, change_url(unseen)))


def test_it_is_given_up_or_proposed_again(client: Client) -> None:
    made = fill()
    assert "stays there" in press(client, made["stuck"], "give_up") and made["stuck"].state == "cancelled"
    assert "given up already" in press(client, made["stuck"], "give_up")
    assert "waits for approval" in press(client, made["doubted"], "again")
    assert made["doubted"].state == "cancelled"
    again = Acquisition.objects.latest("pk")
    assert (again.work, again.state, again.approved_at) == (made["doubted"].work, "proposed", None)
    assert (again.key, again.check_result, again.content) == (made["doubted"].key, {}, "")
    assert "to be approved" in press(client, made["proposed"], "again")


@pytest.mark.parametrize(
    ("mode", "verdict", "counts"),
    [("auto", "fit", False), ("auto", "fit", True), ("auto", "doubtful", False), ("review", "fit", False)],
)
def test_what_is_proposed_again_is_said_to_wait_for_whom_it_waits(
    client: Client, settings: Any, mode: str, verdict: str, counts: bool
) -> None:
    settings.ACQUIRE = mode
    row = acquired(state="fetching", problem="Gone.", approved_at=timezone.now(), verdict=verdict, counts=counts)
    by_rule = (mode, verdict, counts) == ("auto", "fit", False)
    told = press(client, row, "again")
    assert ("by rule" in told, "waits for approval" in told) == (by_rule, not by_rule)


def test_look_again_asks_a_client_that_was_left_alone(client: Client, django_capture_on_commit_callbacks: Any) -> None:
    from audiobooks.exceptions import ClientError
    from audiobooks.models import ServiceState

    make_job("download_monitor")
    error = ClientError("The password was refused.", permanent=True)
    configured = configured_by("clients", ("qbittorrent",))
    ServiceState.objects.record_failure("client:qbittorrent", configured, error)
    ServiceState.objects.update(off_until=timezone.now() + timedelta(days=1))
    with django_capture_on_commit_callbacks(execute=True):
        press(client, fill()["stuck"], "look")
    assert ServiceState.objects.get().off_until is None and Task.objects.count() == 1


def test_many_are_decided_at_once_each_by_itself(client: Client, django_capture_on_commit_callbacks: Any) -> None:
    make_job("download_monitor")
    made = fill()
    data = {
        "action": "approve_selected",
        "_selected_action": [made[each].pk for each in ("proposed", "refused", "fetching")],
    }
    with django_capture_on_commit_callbacks(execute=True):
        response = client.post(f"{LIST}?view=all", data, follow=True)
    assert len(messages_of(response)) == 3 and "cannot be approved" in messages_of(response)[-1]
    assert set(Acquisition.objects.filter(state="approved").values_list("pk", flat=True)) == {
        made[each].pk for each in ("proposed", "refused", "approved")
    }
    assert Task.objects.count() == 1
    for action, state in (("give_up_selected", "cancelled"), ("decline_selected", "declined")):
        row = acquired(f"Of {action}")
        client.post(LIST, {"action": action, "_selected_action": [row.pk]})
        row.refresh_from_db()
        assert row.state == state


def test_a_collision_is_told_as_a_sentence(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def collide(*args: Any, **kwargs: Any) -> None:
        raise IntegrityError("UNIQUE constraint failed: one_open_acquisition_a_work")

    monkeypatch.setattr(acquire, "approve", collide)
    row = acquired()
    told = press(client, row, "approve")
    assert "somebody else changed" in told and "UNIQUE" not in told


@pytest.mark.parametrize("step", ["approve", "decline", "accept", "next", "give_up", "again", "look", "choose"])
def test_an_acquisition_that_there_is_not(client: Client, step: str) -> None:
    row = acquired()
    for key in ("999999", "x", "1%00"):
        assert client.post(step_url(row, step).replace(f"/{row.pk}/", f"/{key}/")).status_code in (400, 404)


# --- who may ----------------------------------------------------------------------------------------------------------

DOUBTED = {"state": "fetched", "problem": "x", "check_result": {"problems": []}}
STUCK = {"state": "fetching", "problem": "x"}
STEPS: dict[str, tuple[dict[str, Any], str, dict[str, str]]] = {
    "approve": ({}, "approved", {}),
    "decline": ({}, "declined", {}),
    "accept": (DOUBTED, "checked", {}),
    "next": (STUCK, "failed", {}),
    "give_up": (STUCK, "cancelled", {}),
    "again": (DOUBTED, "cancelled", {}),
    "choose": ({}, "chosen", {"source": SOURCE, "key": "theglassmeridian-2"}),
}
"""Step -> what it is done to, the state after it, and what is posted."""


def state_after(row: Acquisition) -> str:
    row.refresh_from_db()
    return "chosen" if row.key == "theglassmeridian-2" else row.state


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_done_by_those_who_may(step: str, who: str) -> None:
    columns, after, data = STEPS[step]
    row = acquired(**columns)
    before = row.state
    response = signed_in(who).post(step_url(row, step), data)
    assert response.status_code == (302 if who in MAY or who == "stranger" else 403)
    assert state_after(row) == (after if who in MAY else before)


@pytest.mark.parametrize("step", STEPS)
def test_no_step_is_done_by_looking_or_without_the_token(step: str) -> None:
    columns, _, data = STEPS[step]
    row = acquired(**columns)
    before, person = row.state, signed_in("superuser")
    assert person.get(step_url(row, step), data).status_code == 302
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = person.cookies
    assert strict.post(step_url(row, step), data).status_code == 403
    assert state_after(row) == before


@pytest.mark.parametrize("who", WHO)
def test_in_bulk_as_well(who: str) -> None:
    row = acquired()
    block = BlockedRelease.objects.create(source="x", key="x", name="x", reason="x")
    client = signed_in(who)
    client.post(LIST, {"action": "approve_selected", "_selected_action": [row.pk]})
    client.post(BLOCKED, {"action": "let_in_selected", "_selected_action": [block.pk]})
    row.refresh_from_db()
    block.refresh_from_db()
    assert (row.state == "approved", block.until is not None) == ((True, True) if who in MAY else (False, False))


@pytest.mark.parametrize("who", WHO)
def test_the_switch_is_for_those_who_may(who: str) -> None:
    client = signed_in(who)
    assert client.post(STOP, {"reason": "x"}).status_code == (302 if who in MAY or who == "stranger" else 403)
    assert FetchingStop.objects.exists() == (who in MAY)
    FetchingStop.objects.get_or_create(ended_at=None)
    client.post(GO_ON)
    assert FetchingStop.objects.filter(ended_at=None).exists() == (who not in MAY)


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("url", [LIST, WEEK, BLOCKED, "one"])
def test_all_roles_may_look_and_nobody_else(url: str, who: str) -> None:
    row = acquired()
    response = signed_in(who).get(change_url(row) if url == "one" else url)
    assert (response.status_code == 200) == (who not in ("stranger", "member without rights"))


@pytest.mark.parametrize("who", ["Viewer", "Operator"])
def test_a_page_has_the_buttons_of_the_role_and_no_others(who: str) -> None:
    made, client, may = fill(), signed_in(who), who == "Operator"
    for url in (LIST, f"{LIST}?view=way", change_url(made["proposed"]), change_url(made["doubted"])):
        assert bool(buttons(get(client, url))) == may, url
    assert ("Take this instead" in get(client, change_url(made["proposed"]))) == may
    assert ("Stop all fetching" in get(client, LIST)) == may
    assert ("approve_selected" in get(client, LIST)) == may
    assert ("let_in_selected" in get(client, BLOCKED)) == may
    FetchingStop.objects.create()
    page = get(client, LIST)
    assert "All fetching is stopped" in page and ("Let fetching go on" in page) == may


def test_rows_are_added_changed_and_deleted_by_nobody() -> None:
    root = signed_in("superuser")
    block = BlockedRelease.objects.create(source="x", key="x", name="x", reason="x")
    for row in (acquired(), block):
        url = change_url(row)
        assert root.post(url, {"state": "imported", "reason": "y"}).status_code == 403
        assert root.post(url.replace("change", "delete"), {"post": "yes"}).status_code == 403
        assert root.get(f"{url.rsplit('/', 3)[0]}/add/").status_code == 403
    assert Acquisition.objects.get().state == "proposed" and BlockedRelease.objects.get().reason == "x"


# --- the switch -------------------------------------------------------------------------------------------------------


def head(client: Client, url: str = "/admin/audiobooks/book/") -> bool:
    """Whether a page's head says that fetching is stopped."""
    return "Fetching is stopped" in get(client, url).partition('id="header-inner"')[2].partition('id="content')[0]


def test_all_fetching_is_stopped_and_goes_on(client: Client) -> None:
    row = acquired()
    assert not head(client) and not head(client, LIST)
    told = messages_of(client.post(STOP, {"reason": "The disk is <full>."}, follow=True))
    assert told == ["All fetching is stopped. What a torrent client has been given goes on there."]
    stop = FetchingStop.objects.get()
    assert (stop.reason, stop.began_by, stop.ended_at) == ("The disk is <full>.", User.objects.get(), None)
    for url in (LIST, WEEK, "/admin/", "/admin/audiobooks/book/", change_url(row)):
        assert head(client, url), url
    page = get(client, LIST)
    assert "by somebody since" in page and "<bdi>The disk is <full>.</bdi>" in page
    assert "All fetching is stopped by a person." in press(client, row, "approve")
    assert messages_of(client.post(STOP, follow=True)) == ["All fetching is stopped already."]
    assert messages_of(client.post(GO_ON, follow=True)) == ["Fetching goes on."]
    assert not head(client) and messages_of(client.post(GO_ON, follow=True)) == ["Fetching is not stopped."]
    press(client, row, "approve")
    assert row.state == "approved"
    # Without a look at the list in between.
    client.post(STOP)
    assert head(client)
    client.post(GO_ON)
    assert not head(client)


def test_a_stop_by_another_process_is_told_within_seconds_and_at_once_on_its_own_page(client: Client) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        assert not head(client)
        FetchingStop.objects.create(reason="x")
        assert not head(client)
        clock.shift(STOP_KEPT_SECONDS + 0.1)
        assert head(client)
        FetchingStop.objects.update(ended_at=timezone.now())
        assert head(client)
        assert not head(client, LIST) and not head(client), "what the list has seen is remembered"
    assert STOP_KEPT_SECONDS <= 10


def test_the_head_tells_it_to_those_who_may_look(client: Client) -> None:
    FetchingStop.objects.create()
    nobody = signed_in("stranger")
    assert "Fetching is stopped" not in nobody.get("/admin/login/").content.decode()
    User.objects.all().delete()
    assert "Fetching is stopped" not in signed_in("member without rights").get("/admin/").content.decode()


def test_the_switch_wants_a_post_with_the_token_and_a_reason_that_fits(client: Client) -> None:
    for url in (STOP, GO_ON):
        assert client.get(url).status_code == 302
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    assert strict.post(STOP).status_code == 403
    assert not FetchingStop.objects.exists()
    # It is the stop that matters.
    client.post(STOP, {"reason": "x" * 9000})
    assert FetchingStop.objects.filter(ended_at=None).exists()


# --- what is kept out -------------------------------------------------------------------------------------------------


def test_what_is_kept_out_is_listed_and_let_in_again(client: Client) -> None:
    fill(User.objects.create_user("decides"))
    page = get(client, BLOCKED)
    for words in (
        "for good",
        "A person declined it.",
        "For every work",
        "decides",
        "over",
        "Wrong recording.",
        "librivox",
    ):
        assert words in page, words
    assert "Winter.Almanac.2." not in get(client, f"{BLOCKED}?q=almanac.1")
    keys = list(BlockedRelease.objects.values_list("pk", flat=True))
    told = messages_of(client.post(BLOCKED, {"action": "let_in_selected", "_selected_action": keys}, follow=True))
    assert sum("may be proposed again" in each for each in told) == 2
    assert sum("not kept out any more" in each for each in told) == 1
    assert not BlockedRelease.objects.filter(until=None).exists()
    assert not BlockedRelease.objects.filter(until__gt=timezone.now()).exists()


# --- the week ---------------------------------------------------------------------------------------------------------


def run_of() -> TaskRun:
    return TaskRun(task_id=0, attempt=1, channel=Quiet())


def test_the_week_tells_what_was_got_found_and_needs_you(client: Client) -> None:
    made = fill()
    old = acquired("Long Ago", "imported")
    Acquisition.objects.filter(pk=old.pk).update(state_since=timezone.now() - timedelta(days=8))
    Proposal.objects.create(title="Charted", cause="chart", why="number 1 of Fantasy")
    page = get(client, WEEK)
    for words in ("In the library: 1", "Letters from the Beekeeper", "Need you: 2", "To be approved: 3", "Under way: 2",
                  "Came to nothing: 1", "New on the charts: 1", "Charted"):  # fmt: skip
        assert words in page, words
    assert "Long Ago" not in page
    Acquisition.objects.filter(pk=made["imported"].pk).update(state_since=timezone.now() - timedelta(days=8))
    assert "In the library:" not in get(client, WEEK)


def test_an_empty_week(client: Client) -> None:
    assert "Nothing was found or got" in get(client, WEEK)
    assert str(digest.digest(timezone.now())) == "Nothing was found or got."


def test_of_many_lines_the_number_is_told(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "MOST", 2)
    for number in range(5):
        row = acquired(f"Volume {number * 'x'}")
        Acquisition.objects.filter(pk=row.pk).update(state_since=timezone.now() + timedelta(seconds=number))
    [part] = digest.digest(timezone.now()).parts
    assert part.number == 5 and [line.partition(":")[0] for line in part.lines] == ["Volume xxxx", "Volume xxx"]
    assert "and 3 more" in str(digest.digest(timezone.now())) and "and 3 more" in get(client, WEEK)


def test_the_week_is_told_to_the_task_and_by_letter(settings: Any) -> None:
    fill()
    run = run_of()
    digest.tell(run, timezone.now())
    assert run.result == {"In the library": 1, "Need you": 2, "To be approved": 3, "Under way": 2, "Came to nothing": 1}
    assert mail.outbox == []
    settings.DIGEST_TO, settings.DEFAULT_FROM_EMAIL = ["one@example.org", "two@example.org"], "me@example.org"
    digest.tell(run_of(), timezone.now())
    [letter] = mail.outbox
    assert (letter.to, letter.from_email) == (["one@example.org", "two@example.org"], "me@example.org")
    assert "Need you (2)\n- Winter Almanac: It may be the wrong recording." in letter.body
    assert "In the library (1)\n- Letters from the Beekeeper: number 8" in letter.body


@pytest.mark.parametrize("hostile", ["x\r\nBcc: all@example.org", "\u202e" + "x" * 2000])
def test_a_letter_has_the_header_that_it_should(settings: Any, hostile: str) -> None:
    settings.DIGEST_TO = ["one@example.org"]
    acquired(hostile[:400], name=hostile)
    digest.tell(run_of(), timezone.now())
    [letter] = mail.outbox
    message = letter.message()
    assert message["Bcc"] is None and message["Subject"] == "Audiobooks of the week"
    assert all(len(line) < 1000 for line in message.as_bytes().splitlines())


def test_a_letter_that_cannot_be_sent_fails_the_task(settings: Any) -> None:
    settings.DIGEST_TO = ["one@example.org"]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", 9, 5
    with pytest.raises(TaskFailed, match=r"The letter could not be sent: .*EMAIL_URL in \.env"):
        digest.tell(run_of(), timezone.now())
