"""A tracker, disks and a clock as they really are, and a random history of a program that fetches within its budget.

What is checked here is the truth: what a tracker has counted, what lies on a disk. It shares no line with the ledger, and knows
what the program does not: how far the tracker's figures lag behind, when a client begins, whether an import is a copy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Protocol

from audiobooks.ledger import AccountState, Ask, Limits, Refusal, Run, Volume

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = 60, 3600, 86400
TRACKER, OPEN = "tracker", "open"
MOST_LAG = 10 * MINUTE
"""Of the tracker's figures."""
MOST_AHEAD = 4 * MINUTE
"""Of the clock."""
EVERY = 5 * MINUTE
"""The program looks at its downloads and accounts at least so often."""
SEEDED = 72 * HOUR


class Broken(AssertionError):
    """A limit is."""


class Program(Protocol):
    """What is tried. `number` counts what was offered; times are those of its clock."""

    def reserve(self, number: int, ask: Ask, *, run: Run | None, crash: bool) -> tuple[Refusal, ...]: ...
    def handed(self, number: int) -> None: ...
    def read(self, number: int, fetched: int) -> None: ...
    def fetched(self, number: int) -> None: ...
    def ended(self, number: int, state: str) -> None: ...
    def settled(self, number: int) -> None: ...
    def account(self, state: AccountState) -> None: ...
    def look(self) -> None: ...


@dataclass
class Torrent:
    ask: Ask
    size: int
    approved: datetime
    """By the program's clock."""
    handed: bool = False
    begun: int | None = None
    done: int = 0
    completed: int | None = None
    is_noticed: bool = False
    is_ended: bool = False
    is_removed: bool = False
    """From the client."""

    @property
    def is_with_client(self) -> bool:
        """What is given up is not stopped in a client, but what the program fetches itself."""
        return self.handed and not self.is_removed and (self.ask.source == TRACKER or not self.is_ended)

    @property
    def is_given_up_unbegun(self) -> bool:
        return self.is_ended and not self.handed


@dataclass
class World:
    """time: seconds, true. ahead: of the program's clock. disks: device -> (size, what others have on it)."""

    random: Random
    limits: Limits
    time: int = 0
    ahead: int = 0
    slots: int = 0
    base_downloaded: int = 0
    disks: dict[int, tuple[int, int]] = field(default_factory=dict)
    downloads: int = 1
    library: int = 1
    uploads: list[tuple[int, int]] = field(default_factory=list)
    downloaded: list[tuple[int, int]] = field(default_factory=list)
    torrents: dict[int, Torrent] = field(default_factory=dict)
    copies: dict[int, int] = field(default_factory=dict)

    @classmethod
    def any(cls, random: Random) -> World:
        """Each is tight by one limit or by all, so that no other hides it."""
        tight = random.choice(["slots", "ratio", "disk", "week", "week_bytes", "all"])

        def one_of(name: str, tightly: list[float], loosely: float) -> int:
            return int(random.choice(tightly) if tight in (name, "all") else loosely)

        limits = Limits(
            slots_kept=random.choice([-1, -1, 2]),
            ratio=random.choice([1, 1.5, 2.0]) if tight in ("ratio", "all") else 0,
            free_bytes=random.choice([0, 50]),
            week=one_of("week", [0, 3, 6], 50),
            week_bytes=one_of("week_bytes", [60, 300], 10_000),
        )
        world = cls(random, limits, ahead=random.randint(0, MOST_AHEAD))
        world.slots = one_of("slots", [6, 8], 60)
        world.base_downloaded = random.choice([0, 100, 1000])
        room = one_of("ratio", [0, 60, 120, 250], 3000)
        world.uploads = [(-DAY, int(limits.ratio * (world.base_downloaded + room)) + 1)]
        world.library = random.choice([1, 2])
        world.disks = {
            device: (one_of("disk", [150, 300, 600], 20_000), random.choice([0, 0, 100])) for device in (1, 2)
        }
        return world

    @property
    def clock(self) -> datetime:
        return BEGAN + timedelta(seconds=self.time + self.ahead)

    # -- what is true

    def free(self, device: int) -> int:
        size, others = self.disks[device]
        ours = sum(each.done for each in self.torrents.values()) if device == self.downloads else 0
        return size - others - ours - self.copies.get(device, 0)

    def volumes(self) -> tuple[Volume, Volume]:
        first, second = (
            Volume(device=device, free=self.free(device), total=self.disks[device][0])
            for device in (self.downloads, self.library)
        )
        return first, second

    def reading(self) -> AccountState:
        """What the tracker says: of the past, but for torrents that are seeded long enough, which it sees at once."""
        at = self.time - self.random.choice([0, MOST_LAG, MOST_LAG, self.random.randint(0, MOST_LAG)])
        unsatisfied = [each for each in self._unsatisfied() if each.begun is not None and each.begun <= at]
        return AccountState(
            as_of=self.clock,
            unsatisfied=len(unsatisfied),
            unsatisfied_limit=self.slots,
            uploaded=sum(size for when, size in self.uploads if when <= at),
            downloaded=self.base_downloaded + sum(size for when, size in self.downloaded if when <= at),
        )

    def _unsatisfied(self) -> list[Torrent]:
        return [
            each
            for each in self.torrents.values()
            if each.ask.counts
            and each.begun is not None
            and (each.completed is None or self.time - each.completed < SEEDED)
        ]

    # -- what happens, and what must not

    def begin(self, torrent: Torrent) -> None:
        torrent.begun = self.time
        kept = self.limits.slots_kept
        if kept < 0:
            kept = max(5, self.slots / 10)
        if torrent.ask.counts and len(self._unsatisfied()) > self.slots - kept:
            raise Broken("slots")

    def fetch(self, torrent: Torrent, size: int) -> None:
        torrent.done += size
        if torrent.done == torrent.size:
            torrent.completed = self.time
        self._check_disk(self.downloads)
        if torrent.ask.counts and not torrent.ask.free:
            self.downloaded.append((self.time, size))
            given = sum(size for _, size in self.uploads)
            fetched = self.base_downloaded + sum(size for _, size in self.downloaded)
            if given < self.limits.ratio * fetched:
                raise Broken("ratio")

    def place(self, torrent: Torrent) -> None:
        """In the library: by a hardlink where one can be made, else as a copy."""
        if self.downloads != self.library or self.random.random() < 0.5:
            self.copies[self.library] = self.copies.get(self.library, 0) + torrent.size
            self._check_disk(self.library)

    def _check_disk(self, device: int) -> None:
        if self.free(device) < self.limits.free_bytes:
            raise Broken("disk")

    def approved(self, number: int, ask: Ask) -> None:
        if not ask.bytes:
            raise Broken("size")
        self.torrents[number] = Torrent(ask, ask.bytes, self.clock)
        week = [
            each
            for each in self.torrents.values()
            if not each.is_given_up_unbegun and self.clock - each.approved < timedelta(days=7)
        ]
        if len(week) > self.limits.week:
            raise Broken("week")
        if sum(each.size for each in week) > self.limits.week_bytes:
            raise Broken("week_bytes")


@dataclass
class History:
    """Random steps of a program in a world. approved: how often it approved; refused: why it did not."""

    world: World
    program: Program
    offered: int = 0
    approved: int = 0
    refused: list[str] = field(default_factory=list)
    run: Run | None = None
    of_run: list[int] = field(default_factory=list)

    def live(self, steps: int) -> None:
        random = self.world.random
        for _ in range(steps):
            random.choice(_STEPS)(self)

    # -- the program

    def offer(self) -> None:
        random = self.world.random
        is_counted = random.random() < 0.7
        ask = Ask(
            source=TRACKER if is_counted else OPEN,
            bytes=random.choice([1, 5, 20, 20, 60, 60, 120, None, 0]),
            counts=is_counted,
            free=is_counted and random.random() < 0.4,
        )
        crash = random.random() < 0.1
        self.offered += 1
        refusals = self.program.reserve(self.offered, ask, run=self.run, crash=crash)
        self.refused += refusals
        if crash or refusals:
            return
        self.approved += 1
        self.world.approved(self.offered, ask)
        if self.run:
            self.run = self.run.with_(ask)
            self.of_run.append(ask.bytes or 0)
            if len(self.of_run) > self.run.most or sum(self.of_run) > self.run.most_bytes:
                raise Broken("run")

    def offers(self) -> None:
        """A run of its own."""
        random = self.world.random
        self.run = Run(most=random.randint(0, 4), most_bytes=random.choice([30, 200, 10_000]))
        self.of_run.clear()
        for _ in range(random.randint(1, 5)):
            self.offer()
        self.run = None

    def hand_over(self) -> None:
        if found := self._any(lambda each: not each.handed and not each.is_ended):
            number, torrent = found
            torrent.handed = True
            self.program.handed(number)

    def notice(self) -> None:
        for number, torrent in self.world.torrents.items():
            if torrent.handed and not torrent.is_ended and not torrent.is_noticed:
                self.program.read(number, torrent.done)
                if torrent.completed is not None:
                    torrent.is_noticed = True
                    self.program.fetched(number)
            elif torrent.is_ended and torrent.handed and (torrent.completed is not None or torrent.is_removed):
                self.program.settled(number)

    def end(self) -> None:
        if found := self._any(lambda each: not each.is_ended):
            number, torrent = found
            if torrent.is_noticed and self.world.random.random() < 0.7:
                self.world.place(torrent)
                self._ended(number, torrent, "imported")
            else:
                self._ended(number, torrent, self.world.random.choice(["failed", "cancelled", "quarantined"]))

    def _ended(self, number: int, torrent: Torrent, state: str) -> None:
        torrent.is_ended = True
        self.program.ended(number, state)

    def read_account(self) -> None:
        reading = self.world.reading()
        if self.world.random.random() < 0.05:
            reading = replace(reading, unsatisfied=None, downloaded=None)
        self.program.account(reading)

    # -- the outside

    def client_begins(self) -> None:
        if found := self._any(lambda each: each.is_with_client and each.begun is None):
            self.world.begin(found[1])

    def client_fetches(self) -> None:
        random = self.world.random
        if found := self._any(lambda each: each.is_with_client and each.begun is not None and each.completed is None):
            torrent = found[1]
            left = torrent.size - torrent.done
            self.world.fetch(torrent, left if random.random() < 0.6 else random.randint(1, left))

    def remove(self) -> None:
        """A person does, in the client."""
        if found := self._any(lambda each: each.is_with_client and each.is_ended):
            found[1].is_removed = True

    def soon(self) -> None:
        """A download that nothing delays."""
        for step in (History.hand_over, History.client_begins, History.client_fetches, History.notice):
            step(self)

    def later(self) -> None:
        """All that was counted in the meantime is known."""
        for _ in range(6):
            self.world.time += EVERY
            self.program.look()
        self.read_account()
        self.offer()

    def upload(self) -> None:
        self.world.uploads.append((self.world.time, self.world.random.choice([1, 30, 100])))

    def free_up(self) -> None:
        size, others = self.world.disks[1]
        self.world.disks[1] = (size, max(0, others - 50))

    def wait(self) -> None:
        left = self.world.random.choice([MINUTE, MINUTE, 4 * MINUTE, 9 * MINUTE, 25 * MINUTE, HOUR, 5 * HOUR, 3 * DAY])
        while left > 0:
            self.world.time += min(left, EVERY)
            left -= EVERY
            if left <= 5 * HOUR:
                self.program.look()

    def set_clock_back(self) -> None:
        world = self.world
        if world.random.random() < 0.3:
            world.ahead -= world.random.choice([MINUTE, 10 * MINUTE, HOUR, 3 * HOUR, 2 * DAY, 400 * DAY])
            world.time += world.random.randint(0, EVERY)
            self.program.look()

    def set_clock_right(self) -> None:
        """Figures of a tracker that were read within its lag after this cannot be told from later ones."""
        if self.world.ahead < 0:
            self.world.ahead = self.world.random.randint(0, MOST_AHEAD)
            self.world.time += 20 * MINUTE
            self.program.look()

    def _any(self, is_one: Callable[[Torrent], bool]) -> tuple[int, Torrent] | None:
        found = [(number, each) for number, each in self.world.torrents.items() if is_one(each)]
        return self.world.random.choice(found) if found else None


_STEPS = [
    History.offer,
    History.offer,
    History.offers,
    History.hand_over,
    History.hand_over,
    History.client_begins,
    History.client_begins,
    History.client_fetches,
    History.client_fetches,
    History.client_fetches,
    History.notice,
    History.notice,
    History.end,
    History.read_account,
    History.read_account,
    History.read_account,
    History.soon,
    History.soon,
    History.later,
    History.later,
    History.remove,
    History.upload,
    History.free_up,
    History.wait,
    History.wait,
    History.set_clock_back,
    History.set_clock_right,
]
