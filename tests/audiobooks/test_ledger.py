"""No accepted set of downloads breaks a limit, whatever happens; and each limit says what it is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from audiobooks import ledger
from audiobooks.ledger import GB, AccountState, Ask, Figure, Hold, Ledger, Limits, Refusal, Run, Volume
from tests.audiobooks.outcomes import Broken, History, World

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTES = timedelta(minutes=1)
LIMITS = Limits(slots_kept=-1, ratio=2.0, free_bytes=20 * GB, week=20, week_bytes=40 * GB)
ACCOUNT = AccountState(
    as_of=NOW - 5 * MINUTES, unsatisfied=10, unsatisfied_limit=50, uploaded=1000 * GB, downloaded=400 * GB
)
ASK = Ask(source="m", bytes=2 * GB, counts=True)
FREE = replace(ASK, free=True)
BOOK = Ledger(
    limits=LIMITS,
    now=NOW,
    downloads=Volume(device=1, free=500 * GB, total=900 * GB),
    library=Volume(device=2, free=300 * GB, total=400 * GB),
    accounts={"m": ACCOUNT},
)


def hold(**fields: Any) -> Hold:
    return Hold(**{"source": "m", "bytes": 2 * GB, "counts": True, "approved_at": NOW - 9 * MINUTES, **fields})


def ended(minutes: int, **fields: Any) -> Hold:
    """Imported, and downloaded so many minutes before the account was read."""
    at = ACCOUNT.as_of - minutes * MINUTES
    stamps = {"approved_at": at - 60 * MINUTES, "handed_at": at - 50 * MINUTES, "fetched_at": at, "ended_at": at}
    return hold(**{**stamps, "begun": True, **fields})


def figure(book: Ledger, name: str) -> Figure:
    return next(each for each in book.figures() if each.name == name)


def with_account(**fields: Any) -> Ledger:
    return replace(BOOK, accounts={"m": replace(ACCOUNT, **fields)})


def test_what_fits_is_not_refused() -> None:
    assert BOOK.refusals(ASK) == () and BOOK.refusals(FREE) == ()
    assert [each.name for each in BOOK.figures()] == ["slots", "ratio", "disk", "disk", "week", "week_bytes"]


@pytest.mark.parametrize(
    ("book", "ask", "said"),
    [
        (BOOK, replace(ASK, bytes=None), "How large it is, is not known"),
        (BOOK, replace(ASK, bytes=0), "How large it is, is not known"),
        (BOOK, replace(ASK, bytes=-1), "How large it is, is not known"),
        # MLM's (up - down) / ratio would allow 300 GB and end at 1.43; 1000 / 2 - 400 are 100.
        (replace(BOOK, limits=replace(LIMITS, week_bytes=999 * GB)), replace(ASK, bytes=100 * GB + 1), "at a ratio of 2: 500.00 GB at most, of which 400.00 GB are used and 0.0 MB reserved; this takes 100.00 GB."),
        (with_account(unsatisfied=45), FREE, "but for 5 that are kept free: 45 at most, of which 45 are used and 0 reserved; this takes 1."),
        (with_account(unsatisfied=70, unsatisfied_limit=100), ASK, ""),
        (with_account(unsatisfied=90, unsatisfied_limit=100), ASK, "but for 10 that are kept free: 90 at most"),
        (with_account(unsatisfied=99, unsatisfied_limit=3), ASK, "0 at most, of which 99 are used"),
        (replace(BOOK, downloads=replace(BOOK.downloads, free=21 * GB)), ASK, "The disk of downloads, but for 20.00 GB that are kept free: 880.00 GB at most, of which 879.00 GB are used"),
        (replace(BOOK, library=replace(BOOK.library, free=21 * GB)), ASK, "The disk of library"),
        (replace(BOOK, library=replace(BOOK.downloads, free=23 * GB)), ASK, "The disk of downloads and library"),
        (replace(BOOK, run=Run(most=5, most_bytes=9 * GB, approved=5)), ASK, "Downloads approved by one run: 5 at most"),
        (replace(BOOK, run=Run(most=5, most_bytes=9 * GB, approved_bytes=8 * GB)), ASK, "Size of what is approved by one run"),
        (replace(BOOK, limits=replace(LIMITS, week=0)), ASK, "Downloads approved in 7 days: 0 at most"),
        (replace(BOOK, limits=replace(LIMITS, week_bytes=GB)), ASK, "Size of what is approved in 7 days: 1.00 GB at most"),
    ],
)  # fmt: skip
def test_a_limit_says_what_it_is_and_what_of_it_is_used(book: Ledger, ask: Ask, said: str) -> None:
    found = book.refusals(ask)
    assert len(found) == bool(said), found
    assert all(said in each and not each.transient for each in found)


@pytest.mark.parametrize(
    ("book", "ask", "said"),
    [
        (replace(BOOK, accounts={}), FREE, "is not known yet"),
        (with_account(as_of=NOW - 121 * MINUTES), FREE, "is of 01 Mar 2026 09:59 UTC, and has to be read again"),
        (with_account(as_of=NOW + MINUTES), FREE, "the clock was set"),
        (with_account(unsatisfied=None), FREE, "does not say how many slots"),
        (with_account(unsatisfied_limit=None), FREE, "does not say how many slots"),
        (with_account(uploaded=None), ASK, "does not say how much"),
        (with_account(uploaded=None), FREE, ""),
        (replace(BOOK, accounts={}), replace(ASK, source="librivox", counts=False), ""),
        (replace(BOOK, accounts={}), replace(ASK, is_silent=True, by_person=True), ""),
    ],
)
def test_nothing_is_fetched_by_an_account_that_is_not_known(book: Ledger, ask: Ask, said: str) -> None:
    found = book.refusals(ask)
    assert len(found) == bool(said), found
    assert all(said in each and each.transient for each in found)


@pytest.mark.parametrize(
    ("held", "slots", "ratio"),
    [
        (hold(), 1, 2 * GB),
        (hold(free=True), 1, 0),
        (hold(source="other"), 0, 0),
        (hold(counts=False), 0, 0),
        (hold(handed_at=NOW - 3 * MINUTES, fetched=GB), 1, 2 * GB),
        # However long it was given to a client: it may wait there, and nobody know of it.
        (hold(handed_at=NOW - 999 * MINUTES), 1, 2 * GB),
        (ended(19), 1, 2 * GB),
        (ended(20), 0, 0),
        (ended(20, ended_at=None), 0, 0),
        # It may have cost all before it was given up.
        (ended(19, fetched_at=None), 1, 2 * GB),
        (ended(20, fetched_at=None), 0, 0),
        (ended(0, fetched_at=None, handed_at=None, begun=False), 0, 0),
        # A client fetches on, though we have given up.
        (ended(999, fetched_at=None, torrent=True), 1, 2 * GB),
        (ended(999, fetched_at=None, torrent=True, begun=False), 0, 0),
        # The clock was set back while it was fetched.
        (ended(20, handed_at=NOW), 1, 2 * GB),
        (ended(20, approved_at=NOW + 600 * MINUTES), 1, 2 * GB),
    ],
)
def test_what_the_account_may_not_know_yet_is_reserved(held: Hold, slots: int, ratio: int) -> None:
    book = replace(BOOK, holds=(held,))
    assert (figure(book, "slots").reserved, figure(book, "ratio").reserved) == (slots, ratio)


def test_a_disk_keeps_room_for_what_is_to_come_and_for_its_copy() -> None:
    book = replace(
        BOOK,
        holds=(
            hold(fetched=GB // 2),
            hold(fetched=3 * GB),
            hold(fetched=2 * GB, fetched_at=NOW),
            ended(5),
            ended(5, fetched_at=None),
            ended(999, fetched_at=None, torrent=True, fetched=GB // 2),
        ),
    )
    assert [each.reserved for each in book.figures() if each.name == "disk"] == [3 * GB, 6 * GB]
    same = replace(book, library=replace(book.downloads, free=4 * GB))
    disk = figure(same, "disk")
    assert (disk.reserved, disk.room) == (9 * GB, 4 * GB - 20 * GB - 9 * GB)


@pytest.mark.parametrize(
    ("held", "count"),
    [
        (hold(approved_at=NOW - timedelta(days=6.99)), 1),
        (hold(approved_at=NOW - timedelta(days=7)), 0),
        (hold(approved_at=NOW + timedelta(days=300)), 1),
        (hold(ended_at=NOW), 0),
        (hold(ended_at=NOW, begun=True), 1),
        (hold(source="librivox", counts=False), 1),
    ],
)
def test_a_week_has_what_was_approved_in_it_and_not_given_up_before_it_began(held: Hold, count: int) -> None:
    book = replace(BOOK, holds=(held,))
    assert figure(book, "week").used == count
    assert figure(book, "week_bytes").used == count * 2 * GB


def test_what_is_approved_is_counted_by_the_next() -> None:
    book, approved = replace(BOOK, run=Run(most=4, most_bytes=99 * GB)), 0
    while not book.refusals(ASK):
        book, approved = book.with_(ASK), approved + 1
    assert approved == 4
    assert figure(book, "run_bytes").used == figure(book, "ratio").reserved == 8 * GB
    assert book.with_(replace(ASK, bytes=None)).refusals(FREE)


def test_a_ratio_of_nothing_is_no_limit_and_one_that_is_no_binary_fraction_is_exact() -> None:
    none = replace(with_account(uploaded=0), limits=replace(LIMITS, ratio=0.0))
    assert none.refusals(ASK) == () and "ratio" not in [each.name for each in none.figures()]
    tight = replace(with_account(uploaded=11 * 10**17, downloaded=10**18 - GB), limits=replace(LIMITS, ratio=1.1))
    assert tight.refusals(replace(ASK, bytes=GB)) == ()
    assert tight.refusals(replace(ASK, bytes=GB + 1)) != ()


# --- random histories -------------------------------------------------------------------------------------------------


@dataclass
class Memory:
    """A program whose rows are in memory."""

    world: World
    holds: dict[int, Hold] = field(default_factory=dict)
    accounts: dict[str, AccountState] = field(default_factory=dict)

    def reserve(self, number: int, ask: Ask, *, run: Run | None, crash: bool) -> tuple[Refusal, ...]:
        downloads, library = self.world.volumes()
        book = Ledger(
            limits=self.world.limits,
            now=self.world.clock,
            downloads=downloads,
            library=library,
            accounts=self.accounts,
            holds=tuple(self.holds.values()),
            run=run,
        )
        refusals = book.refusals(ask)
        if not refusals and not crash:
            self.holds[number] = book.with_(ask).holds[-1]
        return refusals

    def _change(self, number: int, **fields: Any) -> None:
        self.holds[number] = replace(self.holds[number], **fields)

    def handed(self, number: int) -> None:
        torrent = self.holds[number].source == "tracker"
        self._change(number, handed_at=self.world.clock, begun=True, torrent=torrent)

    def read(self, number: int, fetched: int) -> None:
        self._change(number, fetched=fetched)

    def fetched(self, number: int) -> None:
        self._change(number, fetched_at=self.world.clock)

    def ended(self, number: int, state: str) -> None:
        self._change(number, ended_at=self.world.clock)

    def settled(self, number: int) -> None:
        if self.holds[number].fetched_at is None:
            self.fetched(number)

    def account(self, state: AccountState) -> None:
        self.accounts["tracker"] = state

    def look(self) -> None:
        if "tracker" in self.accounts and self.accounts["tracker"].as_of > self.world.clock:
            del self.accounts["tracker"]


def live(seeds: range, steps: int = 50) -> tuple[int, Counter[str]]:
    """How often something was approved, and what it was refused by."""
    approved, refused = 0, Counter[str]()
    for seed in seeds:
        world = World.any(Random(seed))
        history = History(world, Memory(world))
        try:
            history.live(steps)
        except Broken as limit:
            raise Broken(f"{limit} (history {seed})") from None
        approved += history.approved
        refused.update(name for text in history.refused for name, words in WORDS.items() if words in text)
    return approved, refused


WORDS = {
    "size": "How large it is",
    "slots": "Torrents of tracker",
    "ratio": "at a ratio of",
    "disk": "The disk of",
    "week": "Downloads approved in 7 days",
    "week_bytes": "Size of what is approved in 7 days",
    "run": "Downloads approved by one run",
    "run_bytes": "Size of what is approved by one run",
    "unknown": "is not known yet",
    "stale": "has to be read again",
    "silent": "does not say",
}


def test_no_history_breaks_a_limit() -> None:
    approved, refused = live(range(500))
    assert approved > 500
    assert set(refused) == set(WORDS)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_none_of_ten_thousand_histories_breaks_a_limit() -> None:
    approved, _ = live(range(500, 10_500), steps=40)
    assert approved > 10_000


@pytest.mark.parametrize(
    ("broken", "limit"),
    [
        (lambda patch: patch(ledger, "LAG", timedelta(0)), "ratio|slots"),
        (lambda patch: patch(ledger, "LAG", timedelta(minutes=4)), "ratio|slots"),
        (lambda patch: patch(ledger, "LEAST_SLOTS_KEPT", 4), "slots"),
        (lambda patch: patch(ledger, "WEEK", timedelta(days=6)), "week"),
        (lambda patch: patch(Hold, "is_known_to", lambda hold, account: True), "ratio|slots"),
        (lambda patch: patch(Hold, "is_known_to", lambda hold, account: hold.handed_at is not None), "ratio|slots"),
        (lambda patch: patch(Hold, "is_used", property(lambda hold: hold.is_open)), "week|ratio|slots"),
        (lambda patch: patch(Hold, "to_come", 0), "disk"),
        (
            lambda patch: patch(Hold, "is_coming", property(lambda hold: hold.is_open and hold.fetched_at is None)),
            "disk|ratio|slots",
        ),
        (lambda patch: patch(Figure, "room", property(lambda figure: figure.limit - figure.used)), "disk|ratio|slots"),
        (lambda patch: patch(Run, "with_", lambda run, ask: run), "run"),
    ],
)
def test_what_is_checked_notices_a_ledger_that_is_wrong(
    monkeypatch: pytest.MonkeyPatch, broken: Any, limit: str
) -> None:
    broken(monkeypatch.setattr)
    with pytest.raises(Broken, match=limit):
        live(range(3000))
