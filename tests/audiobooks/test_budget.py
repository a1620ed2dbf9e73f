"""What is reserved is in the rows: by one door, one after the other, and all or nothing."""

from __future__ import annotations

import ast
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audiobooks import budget
from audiobooks.budget import RunBudget, recheck, reserve
from audiobooks.ledger import GB, AccountState, Ask, Figure, Limits, Refusal, Run, Volume
from audiobooks.models import Acquisition, Crawl, FetchingStop, Work
from scheduling.exceptions import NotAllowedNow
from tests.audiobooks.outcomes import Broken, History, World

pytestmark = pytest.mark.django_db
State = Acquisition.State
ROOM = Volume(device=1, free=500 * GB, total=900 * GB)


@pytest.fixture(autouse=True)
def limits(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.BUDGET_SLOTS_KEPT, settings.BUDGET_RATIO, settings.BUDGET_FREE_GB = -1, 2.0, 20.0
    settings.BUDGET_RUN, settings.BUDGET_RUN_GB, settings.BUDGET_WEEK, settings.BUDGET_WEEK_GB = 5, 10.0, 20, 40.0
    monkeypatch.setattr(budget, "_volume", lambda folder: ROOM)


def proposed(**fields: Any) -> Acquisition:
    known = {"source": "m", "key": "1", "name": "The Glass Meridian", "size": GB, "free": True, "counts": True}
    work = Work.objects.create(title="The Glass Meridian", key="glass")
    return Acquisition.objects.create(
        work=work, state_since=timezone.now(), cause="series", why="number 2 of Salt", **{**known, **fields}
    )


def has_account(at: datetime | None = None, **told: Any) -> None:
    account = {"unsatisfied": 10, "unsatisfied_limit": 50, "uploaded": 1000 * GB, "downloaded": 400 * GB, **told}
    Crawl.objects.update_or_create(
        source="m", defaults={"account": account, "account_at": at or timezone.now() - timedelta(minutes=5)}
    )


def state_of(row: Acquisition) -> str:
    return Acquisition.objects.values_list("state", flat=True).get(pk=row.pk)


def figure(name: str) -> Figure:
    return next(each for each in budget.ledger().figures() if each.name == name)


# --- the door ---------------------------------------------------------------------------------------------------------


def test_what_fits_is_approved_by_rule_and_by_a_person() -> None:
    has_account()
    first, second, ann = proposed(), proposed(), User.objects.create(username="ann")
    run = RunBudget.of_settings()
    assert reserve(first.pk, by=None, run=run) == () and reserve(second.pk, by=ann, run=None) == ()
    first.refresh_from_db()
    second.refresh_from_db()
    assert first.state == second.state == State.APPROVED
    assert (first.approved_by, second.approved_by) == (None, ann)
    assert first.approved_at == first.state_since and first.approved_at
    assert [(each.state, each.text, each.by) for each in (*first.events.all(), *second.events.all())] == [
        ("approved", "Approved by rule.", None),
        ("approved", "Approved by ann.", ann),
    ]
    assert (run.run.approved, run.run.approved_bytes) == (1, GB)
    assert (figure("slots").reserved, figure("week").used, figure("disk").reserved) == (2, 2, 4 * GB)


def test_what_does_not_fit_is_left_as_it_is() -> None:
    row, run = proposed(), RunBudget.of_settings()
    (refusal,) = reserve(row.pk, by=None, run=run)
    assert refusal.transient and refusal == "What m says of the account is not known yet."
    assert state_of(row) == State.PROPOSED and not row.events.exists() and run.run.approved == 0


@pytest.mark.parametrize("state", [state for state in State if state != State.PROPOSED])
def test_only_what_is_proposed_is_approved(state: State) -> None:
    has_account()
    row = proposed(state=state)
    with pytest.raises(NotAllowedNow):
        reserve(row.pk, by=None, run=None)
    assert state_of(row) == state


def test_nothing_is_approved_while_fetching_is_stopped() -> None:
    has_account()
    row, stop = proposed(), FetchingStop.objects.create()
    assert reserve(row.pk, by=None, run=None) == ("All fetching is stopped by a person.",)
    assert state_of(row) == State.PROPOSED
    stop.ended_at = timezone.now()
    stop.save()
    assert reserve(row.pk, by=None, run=None) == ()


def test_a_run_takes_no_more_than_a_run_may(settings: Any) -> None:
    has_account()
    settings.BUDGET_RUN = 2
    run = RunBudget.of_settings()
    rows = [proposed() for _ in range(3)]
    assert [len(reserve(row.pk, by=None, run=run)) for row in rows] == [0, 0, 1]
    settings.BUDGET_RUN, settings.BUDGET_RUN_GB = 9, 1.5
    run = RunBudget.of_settings()
    rows = [rows[2], proposed()]
    assert [len(reserve(row.pk, by=None, run=run)) for row in rows] == [0, 1]


def test_a_crash_before_the_end_of_the_transaction_leaves_nothing() -> None:
    has_account()
    row = proposed()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        assert reserve(row.pk, by=None, run=None) == ()
        1 / 0  # noqa: B018
    assert state_of(row) == State.PROPOSED and not row.events.exists()
    assert figure("week").used == figure("slots").reserved == 0


def test_what_a_source_without_account_offers_needs_none() -> None:
    row = proposed(source="librivox", counts=False, free=True)
    assert reserve(row.pk, by=None, run=None) == ()


def test_what_it_costs_is_a_few_queries() -> None:
    has_account()
    for _ in range(5):
        reserve(proposed().pk, by=None, run=None)
    row = proposed()
    with CaptureQueriesContext(connection) as queries:
        assert reserve(row.pk, by=None, run=None) == ()
    assert len([each for each in queries if "SAVEPOINT" not in each["sql"]]) <= 8
    with CaptureQueriesContext(connection) as queries:
        budget.ledger().figures()
    assert len(queries) == 2


def test_the_limits_are_those_of_the_settings(settings: Any) -> None:
    settings.BUDGET_SLOTS_KEPT, settings.BUDGET_RATIO, settings.BUDGET_FREE_GB = 3, 1.25, 0.05
    settings.BUDGET_WEEK, settings.BUDGET_WEEK_GB = 7, 0.3
    assert budget.limits() == Limits(slots_kept=3, ratio=1.25, free_bytes=50_000_000, week=7, week_bytes=300_000_000)


# --- once more, before it begins --------------------------------------------------------------------------------------


def test_what_it_costs_by_now_is_reserved_instead() -> None:
    has_account()
    row = proposed()
    reserve(row.pk, by=None, run=None)
    assert recheck(row.pk, size=3 * GB, free=False) == ()
    row.refresh_from_db()
    assert (row.size, row.free, row.state) == (3 * GB, False, State.APPROVED)
    assert figure("ratio").reserved == figure("week_bytes").used == 3 * GB
    assert figure("week").used == 1


def test_what_costs_more_by_now_than_there_is_room_for_is_not_changed(settings: Any) -> None:
    has_account(downloaded=499 * GB)
    settings.BUDGET_WEEK = 1
    row = proposed()
    assert reserve(row.pk, by=None, run=None) == ()
    # It does not stand in its own way.
    assert recheck(row.pk, size=GB, free=False) == ()
    (refusal,) = recheck(row.pk, size=GB + 1, free=False)
    assert "ratio" in refusal
    assert "How large" in recheck(row.pk, size=None, free=True)[0]
    row.refresh_from_db()
    assert (row.size, row.free) == (GB, False)
    has_account(at=timezone.now() - timedelta(hours=3))
    assert recheck(row.pk, size=GB, free=True)[0].transient


@pytest.mark.parametrize("state", [State.PROPOSED, State.FETCHING, State.CANCELLED])
def test_only_what_is_approved_and_not_begun_is_checked_once_more(state: State) -> None:
    with pytest.raises(NotAllowedNow):
        recheck(proposed(state=state).pk, size=GB, free=True)


# --- which rows count -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "slots", "week"),
    [
        ({"state": State.PROPOSED}, 0, 0),
        ({"state": State.DECLINED}, 0, 0),
        # It is reserved however long ago.
        ({"state": State.FETCHING, "approved_at": 90, "handed_at": 90}, 1, 0),
        ({"state": State.FETCHED, "approved_at": 90, "handed_at": 90, "fetched_at": 80}, 0, 0),
        ({"state": State.APPROVED, "approved_at": 1}, 1, 1),
        # The account was read 5 minutes ago, and does not know it for sure.
        ({"state": State.IMPORTED, "approved_at": 90, "handed_at": 90, "fetched_at": 0.01}, 1, 0),
        ({"state": State.IMPORTED, "approved_at": 3, "handed_at": 2, "fetched_at": 1}, 0, 1),
        ({"state": State.CANCELLED, "approved_at": 90, "handed_at": 90, "state_since": 0.01}, 1, 0),
        ({"state": State.CANCELLED, "approved_at": 90, "handed_at": 90, "state_since": 1}, 0, 0),
        ({"state": State.CANCELLED, "approved_at": 1, "state_since": 0.01}, 0, 0),
        # A process died between the hash and the client, which may have it.
        ({"state": State.CANCELLED, "approved_at": 1, "state_since": 0.01, "hash": "a" * 40}, 1, 1),
        # A client fetches on, though it was given up long ago.
        ({"state": State.FAILED, "approved_at": 90, "handed_at": 90, "state_since": 80, "hash": "a" * 40}, 1, 0),
        ({"state": State.PROPOSED, "approved_at": None, "state_since": 80, "hash": "a" * 40}, 1, 0),
        # Approved by a clock that was ahead.
        ({"state": State.APPROVED, "approved_at": -30}, 1, 1),
    ],
)  # fmt: skip
def test_a_row_counts_by_its_state_and_its_times(fields: dict[str, Any], slots: int, week: int) -> None:
    """Times are days ago."""
    has_account()
    now = timezone.now()
    stamps = {"approved_at", "handed_at", "fetched_at", "state_since"}
    given = {
        name: now - timedelta(days=value) if name in stamps and value is not None else value
        for name, value in fields.items()
    }
    row = proposed()
    Acquisition.objects.filter(pk=row.pk).update(**given)
    assert (figure("slots").reserved, figure("week").used) == (slots, week)


def test_what_is_given_up_stays_reserved_until_its_client_has_it_no_more() -> None:
    has_account()
    row, other = proposed(state=State.CANCELLED, hash="a" * 40, approved_at=timezone.now()), proposed(hash="b" * 40)
    Acquisition.objects.filter(pk=other.pk).update(state=State.FETCHING)
    assert list(budget.running_on()) == [row]
    assert (figure("slots").reserved, figure("disk").reserved) == (2, 3 * GB)
    budget.settled(row)
    budget.settled(other)
    assert not budget.running_on().exists()
    # The account may not know of it yet.
    assert (figure("slots").reserved, figure("disk").reserved) == (2, 2 * GB)
    has_account(at=timezone.now() + timedelta(minutes=21))
    with time_machine.travel(timezone.now() + timedelta(minutes=22), tick=False):
        assert figure("slots").reserved == 1


def test_what_is_approved_again_begins_anew() -> None:
    has_account()
    row = proposed(hash="a" * 40, handed_at=timezone.now(), fetched=5, fetched_at=timezone.now())
    assert reserve(row.pk, by=None, run=None) == ()
    row.refresh_from_db()
    assert (row.handed_at, row.fetched, row.fetched_at) == (None, 0, None)
    assert (figure("slots").reserved, figure("disk").reserved) == (1, 2 * GB)


def test_a_row_whose_size_nobody_knows_fills_the_disk() -> None:
    reserved, row = proposed(source="librivox", counts=False, state=State.FETCHING, size=None), proposed(counts=False)
    assert any("The disk" in each for each in reserve(row.pk, by=None, run=None))
    Acquisition.objects.filter(pk=reserved.pk).update(size=GB)
    assert reserve(row.pk, by=None, run=None) == ()


def test_an_account_that_was_read_by_a_clock_ahead_of_time_is_forgotten() -> None:
    has_account(at=timezone.now() + timedelta(minutes=3))
    row = proposed()
    assert reserve(row.pk, by=None, run=None)[0].transient
    with time_machine.travel(timezone.now() + timedelta(minutes=10), tick=False):
        assert reserve(row.pk, by=None, run=None)[0].transient
        has_account(at=timezone.now())
        assert reserve(row.pk, by=None, run=None) == ()


def test_a_folder_that_is_not_there_yet_lies_where_the_nearest_above_it_does(tmp_path: Path) -> None:
    budget_of = VOLUME(tmp_path / "a" / "b")
    room = os.statvfs(tmp_path)
    assert budget_of.device == tmp_path.stat().st_dev
    assert 0 <= budget_of.free <= budget_of.total <= room.f_blocks * room.f_frsize


VOLUME = budget._volume


# --- two at once ------------------------------------------------------------------------------------------------------


def at_once(ask: Callable[[int], Any], pks: list[int]) -> list[Any]:
    together = threading.Barrier(len(pks))

    def one(pk: int) -> Any:
        try:
            connection.ensure_connection()
            together.wait(timeout=20)
            return ask(pk)
        except NotAllowedNow as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(pks)) as pool:
        return list(pool.map(one, pks))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("limit", ["slots", "ratio", "week"])
def test_those_who_ask_at_once_find_the_room_of_one_after_the_other(settings: Any, limit: str) -> None:
    has_account(**{"slots": {"unsatisfied": 42}, "ratio": {"downloaded": 497 * GB}, "week": {}}[limit])
    settings.BUDGET_WEEK = 3 if limit == "week" else 20
    rows = [proposed(free=limit != "ratio") for _ in range(8)]
    found = at_once(lambda pk: reserve(pk, by=None, run=None), [row.pk for row in rows])
    assert sorted(len(each) for each in found) == [0] * 3 + [1] * 5
    assert Acquisition.objects.filter(state=State.APPROVED).count() == 3


@pytest.mark.django_db(transaction=True)
def test_one_of_two_who_approve_the_same_does() -> None:
    has_account()
    row = proposed()
    found = at_once(lambda pk: reserve(pk, by=None, run=None), [row.pk, row.pk])
    assert sorted(type(each).__name__ for each in found) == ["NotAllowedNow", "tuple"]
    assert row.events.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_recheck_and_a_reservation_at_once_share_the_room() -> None:
    has_account(downloaded=498 * GB)
    held, other = proposed(), proposed(free=False, size=2 * GB)
    assert reserve(held.pk, by=None, run=None) == ()

    def ask(pk: int) -> Any:
        return recheck(pk, size=GB, free=False) if pk == held.pk else reserve(pk, by=None, run=None)

    found = at_once(ask, [held.pk, other.pk])
    assert sorted(map(len, found)) == [0, 1]


# --- no other door ----------------------------------------------------------------------------------------------------

_READING = {"filter", "exclude", "Q", "get", "count", "exists", "When", "CheckConstraint", "UniqueConstraint"}


def approvals_in(source: str) -> list[int]:
    """Lines in which the state `approved` is given to something."""

    def is_approved(node: ast.AST | None) -> bool:
        return any(
            (isinstance(each, ast.Attribute) and each.attr == "APPROVED")
            or (isinstance(each, ast.Constant) and each.value == "approved")
            for each in (ast.walk(node) if node else ())
        )

    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            is_state = any(isinstance(each, ast.Attribute) and each.attr == "state" for each in targets)
            if is_state and is_approved(node.value):
                found.append(node.lineno)
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            is_move = name in ("move", "_move") and any(map(is_approved, node.args))
            is_field = any(each.arg == "state" and is_approved(each.value) for each in node.keywords)
            unpacked = [each.value for each in node.keywords if each.arg is None and isinstance(each.value, ast.Dict)]
            is_field |= any(
                isinstance(key, ast.Constant) and key.value == "state" and is_approved(value)
                for each in unpacked
                for key, value in zip(each.keys, each.values, strict=True)
            )
            if is_move or (is_field and name not in _READING):
                found.append(node.lineno)
    return found


def test_nothing_else_approves() -> None:
    root = Path(budget.__file__).parent
    others = [path for path in root.rglob("*.py") if path != Path(budget.__file__) and "migrations" not in path.parts]
    assert len(others) > 50
    assert {str(path.relative_to(root)): found for path in others if (found := approvals_in(path.read_text()))} == {}
    # One is the change, the other the event.
    assert len(approvals_in(Path(budget.__file__).read_text())) == 2


@pytest.mark.parametrize(
    ("source", "is_found"),
    [
        ("row.state = State.APPROVED", True),
        ("row.state: str = 'approved'", True),
        ("rows.filter(pk=1).update(state=Acquisition.State.APPROVED)", True),
        ("Acquisition(state='approved')", True),
        ("rows.update(**{'state': State.APPROVED})", True),
        ("move(row, State.APPROVED, 'x')", True),
        ("rows.filter(state=State.APPROVED).update(problem='')", False),
        ("steps = {State.APPROVED: hand_over}", False),
        ("row.state == State.APPROVED", False),
    ],
)
def test_an_approval_is_recognised(source: str, is_found: bool) -> None:
    assert bool(approvals_in(source)) is is_found


# --- random histories -------------------------------------------------------------------------------------------------


@dataclass
class Rows:
    """A program whose rows are in the database."""

    world: World
    keys: dict[int, int] = field(default_factory=dict)
    account_at: datetime | None = None

    def _now(self) -> time_machine.travel:
        return time_machine.travel(self.world.clock, tick=False)

    def reserve(self, number: int, ask: Ask, *, run: Run | None, crash: bool) -> tuple[Refusal, ...]:
        of_run = RunBudget(run) if run else None
        with self._now():
            row = proposed(source=ask.source, size=ask.bytes, free=ask.free, counts=ask.counts)
            self.keys[number] = row.pk
            try:
                with transaction.atomic():
                    refusals = reserve(row.pk, by=None, run=of_run)
                    if crash:
                        raise ZeroDivisionError
            except ZeroDivisionError:
                return ()
        if run and of_run and not refusals:
            assert of_run.run == run.with_(ask)
        return refusals

    def _change(self, number: int, **fields: Any) -> None:
        Acquisition.objects.filter(pk=self.keys[number]).update(**fields)

    def handed(self, number: int) -> None:
        if self.world.torrents[number].ask.counts:
            self._change(number, hash="a" * 40)
        self._change(number, handed_at=self.world.clock, state=State.FETCHING, state_since=self.world.clock)

    def read(self, number: int, fetched: int) -> None:
        self._change(number, fetched=fetched)

    def fetched(self, number: int) -> None:
        self._change(number, fetched_at=self.world.clock, state=State.FETCHED, state_since=self.world.clock)

    def ended(self, number: int, state: str) -> None:
        self._change(number, state=state, state_since=self.world.clock)

    def settled(self, number: int) -> None:
        with self._now():
            budget.settled(Acquisition.objects.get(pk=self.keys[number]))

    def account(self, state: AccountState) -> None:
        self.account_at = state.as_of
        names = ("unsatisfied", "unsatisfied_limit", "uploaded", "downloaded")
        told = {name: value for name in names if (value := getattr(state, name)) is not None}
        Crawl.objects.update_or_create(source="tracker", defaults={"account": told, "account_at": state.as_of})

    def look(self) -> None:
        # Where there is something to forget: most looks are at nothing new.
        if self.account_at and self.account_at > self.world.clock:
            budget.forget_accounts_of_the_future(self.world.clock)


def live(seeds: range, monkeypatch: pytest.MonkeyPatch) -> int:
    approved = 0
    for seed in seeds:
        world = World.any(Random(seed))
        monkeypatch.setattr(budget, "_volume", lambda folder, world=world: world.volumes()[folder])
        monkeypatch.setattr(budget, "limits", lambda world=world: world.limits)
        Acquisition.objects.all().delete()
        Crawl.objects.all().delete()
        history = History(world, Rows(world))
        try:
            history.live(40)
        except Broken as limit:
            raise Broken(f"{limit} (history {seed})") from None
        approved += history.approved
    return approved


def test_no_history_in_the_database_breaks_a_limit(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.AUDIOBOOKS_DOWNLOADS, settings.AUDIOBOOKS_LIBRARY = 0, 1
    assert live(range(8), monkeypatch) > 8


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_none_of_hundreds_in_the_database_breaks_a_limit(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.AUDIOBOOKS_DOWNLOADS, settings.AUDIOBOOKS_LIBRARY = 0, 1
    assert live(range(8, 68), monkeypatch) > 60
