"""What downloads may cost, added up: the slots and the ratio of accounts, the disks, and the caps on a run and on a week.

Everything is counted against us: what is reserved as if it were fetched already, what an account may not know yet as if it
did not, what is imported as a copy though it mostly is a hardlink, which no folder can promise beforehand (two mounts of one
disk have none between them). So what fits here fits outside, whatever is slower there.

Pure: `budget` fills a Ledger from the database, the disks and the settings. Sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction

LAG = timedelta(minutes=20)
"""Until a tracker surely counts what was fetched."""
STALE = timedelta(hours=2)
"""Age from which on nothing is fetched by what an account said."""
WEEK = timedelta(days=7)
LEAST_SLOTS_KEPT = 5
GB = 10**9
UNKNOWN_SIZE = 2**60
"""Of something that is fetched though nobody knows its size: it fills every limit."""


class Refusal(str):
    """Why something does not fit, as a sentence. transient: it may fit once the account is read again."""

    transient: bool

    def __new__(cls, text: str, *, transient: bool = False) -> Refusal:
        made = super().__new__(cls, text)
        made.transient = transient
        return made


class Unreadable(Refusal):
    """Why what room a disk has is not known, and what a person can do about it."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """slots_kept: of an account, never used; negative: a tenth of them, and 5 at least. ratio: never below; 0 is no limit.

    free_bytes: left on each disk. week, week_bytes: approved in 7 days.
    """

    slots_kept: int
    ratio: float
    free_bytes: int
    week: int
    week_bytes: int

    def slots_kept_of(self, limit: int) -> int:
        return self.slots_kept if self.slots_kept >= 0 else max(LEAST_SLOTS_KEPT, -(-limit // 10))


@dataclass(frozen=True, kw_only=True)
class Run:
    """The caps of one run, and what it has approved."""

    most: int
    most_bytes: int
    approved: int = 0
    approved_bytes: int = 0

    def with_(self, ask: Ask) -> Run:
        return replace(self, approved=self.approved + 1, approved_bytes=self.approved_bytes + (ask.bytes or 0))


@dataclass(frozen=True, kw_only=True)
class AccountState:
    """See `sources.base.Account`; as_of: when it was read."""

    as_of: datetime
    unsatisfied: int | None = None
    unsatisfied_limit: int | None = None
    uploaded: int | None = None
    downloaded: int | None = None


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A disk. free: what we may write. total: that, and what is used."""

    device: int
    free: int
    total: int


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A download that may be approved. counts: whether the source counts what a member fetches; free: that this costs no ratio.

    is_silent: whether the source never says how the account stands. by_person: that a person approves it, who was told so.
    """

    source: str
    bytes: int | None
    counts: bool
    free: bool = False
    is_silent: bool = False
    by_person: bool = False


@dataclass(frozen=True, kw_only=True)
class Hold:
    """What was approved. begun: whether it may have been handed over; torrent: to a program that fetches on when we give up.

    fetched: so many bytes of it are there. fetched_at: since when no more of it can come. ended_at: when it was imported or
    given up; None while it is reserved.
    """

    source: str
    bytes: int
    counts: bool
    free: bool = False
    approved_at: datetime
    handed_at: datetime | None = None
    begun: bool = False
    torrent: bool = False
    fetched: int = 0
    fetched_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.ended_at is None

    @property
    def is_used(self) -> bool:
        """Not where it was given up before anything was fetched."""
        return self.is_open or self.begun

    @property
    def is_coming(self) -> bool:
        return self.fetched_at is None and (self.is_open or (self.torrent and self.begun))

    @property
    def to_come(self) -> int:
        return max(0, self.bytes - self.fetched) if self.is_coming else 0

    def is_known_to(self, account: AccountState) -> bool:
        """Whether the account's figures surely have all that this has cost and will."""
        if self.is_coming:
            return False
        # Where the clock was set back, the earlier step has the later time.
        last = max(filter(None, (self.approved_at, self.handed_at, self.fetched_at or self.ended_at)))
        return last + LAG <= account.as_of


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One limit: what of it is used, what is reserved, and what room is left, which may be negative. For people: `label`."""

    name: str
    label: str
    limit: int
    used: int
    reserved: int
    in_bytes: bool = False

    @property
    def room(self) -> int:
        return self.limit - self.used - self.reserved

    @property
    def told(self) -> str:
        """Such as "3 of 20, and 2 reserved"."""
        reserved = f", and {self.words(self.reserved)} reserved" if self.reserved else ""
        return f"{self.words(self.used)} of {self.words(self.limit)}{reserved}"

    def words(self, number: int) -> str:
        return size_in_words(number) if self.in_bytes else f"{number:,}"

    def refusal(self, need: int) -> Refusal:
        used, reserved, limit = map(self.words, (self.used, self.reserved, self.limit))
        return Refusal(
            f"{self.label}: {limit} at most, of which {used} are used and {reserved} reserved; this takes {self.words(need)}."
        )


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """downloads, library: their disks, or why those are not known. accounts: by source. holds: all that are open or still coming, those of the week, and those that an account may not count
    yet."""

    limits: Limits
    now: datetime
    downloads: Volume | Unreadable
    library: Volume | Unreadable
    accounts: Mapping[str, AccountState] = field(default_factory=dict)
    holds: tuple[Hold, ...] = ()
    run: Run | None = None

    def refusals(self, ask: Ask) -> tuple[Refusal, ...]:
        """() where it fits."""
        if not ask.bytes or ask.bytes < 0:
            return (Refusal("How large it is, is not known, so that no limit could be kept."),)
        unknown = (*self.unreadable, *self._unknown(ask))
        return (*unknown, *(figure.refusal(need) for figure, need in self._needs(ask) if need > max(0, figure.room)))

    @property
    def unreadable(self) -> tuple[Unreadable, ...]:
        """Of the folders that cannot be read: nothing fits until they can."""
        return tuple(each for each in (self.downloads, self.library) if isinstance(each, Unreadable))

    def overdrawn(self, ask: Ask) -> tuple[Figure, ...]:
        """Of what is among the holds already: the limits in bytes that it touches, and of which more is taken than there is."""
        return tuple(figure for figure, need in self._needs(ask) if need and figure.in_bytes and figure.room < 0)

    def with_(self, ask: Ask) -> Ledger:
        """As it is once that is approved."""
        hold = Hold(
            source=ask.source, bytes=ask.bytes or UNKNOWN_SIZE, counts=ask.counts, free=ask.free, approved_at=self.now
        )
        return replace(self, holds=(*self.holds, hold), run=self.run.with_(ask) if self.run else None)

    def figures(self) -> tuple[Figure, ...]:
        """All limits, for people; of accounts also as they were when they were last read."""
        of_accounts = [each for source in self.accounts for each in (self._slots(source), self._ratio(source))]
        return (*filter(None, of_accounts), *self._disks().values(), *self._week(), *self._run())

    # -- what is not known

    def _unknown(self, ask: Ask) -> Iterator[Refusal]:
        account = self.accounts.get(ask.source)
        if not ask.counts:
            return
        if ask.is_silent:
            if not ask.by_person:
                yield Refusal(silence_of(ask.source))
        elif account is None:
            yield Refusal(f"What {ask.source} says of the account is not known yet.", transient=True)
        elif account.as_of > self.now:
            yield Refusal(
                f"What {ask.source} said of the account is of a time to come: the clock was set. It has to be read again.",
                transient=True,
            )
        elif self.now - account.as_of > STALE:
            yield Refusal(
                f"What {ask.source} said of the account is of {account.as_of:%d %b %Y %H:%M} UTC, and has to be read again.",
                transient=True,
            )
        else:
            if self._slots(ask.source) is None:
                yield Refusal(f"{ask.source} does not say how many slots the account has left.", transient=True)
            if not ask.free and self.limits.ratio and self._ratio(ask.source) is None:
                yield Refusal(f"{ask.source} does not say how much the account has fetched and given.", transient=True)

    # -- the limits

    def _needs(self, ask: Ask) -> Iterator[tuple[Figure, int]]:
        size = ask.bytes or 0
        if ask.counts and (slots := self._slots(ask.source)):
            yield slots, 1
        if ask.counts and not ask.free and (ratio := self._ratio(ask.source)):
            yield ratio, size
        for device, figure in self._disks().items():
            volumes = [each for each in (self.downloads, self.library) if isinstance(each, Volume)]
            yield figure, size * sum(volume.device == device for volume in volumes)
        for figures in (self._week(), self._run()):
            for figure, need in zip(figures, (1, size), strict=bool(figures)):
                yield figure, need

    def _uncounted(self, source: str) -> list[Hold]:
        """Those that the account's figures may not have yet, or only in part."""
        account = self.accounts[source]
        return [
            hold
            for hold in self.holds
            if hold.counts and hold.source == source and hold.is_used and not hold.is_known_to(account)
        ]

    def _slots(self, source: str) -> Figure | None:
        account = self.accounts.get(source)
        if account is None or account.unsatisfied is None or account.unsatisfied_limit is None:
            return None
        kept = self.limits.slots_kept_of(account.unsatisfied_limit)
        return Figure(
            name="slots",
            label=f"Torrents of {source} that are not yet seeded as long as it asks for, but for {kept} that are kept free",
            limit=max(0, account.unsatisfied_limit - kept),
            used=account.unsatisfied,
            reserved=len(self._uncounted(source)),
        )

    def _ratio(self, source: str) -> Figure | None:
        account = self.accounts.get(source)
        if account is None or account.uploaded is None or account.downloaded is None or not self.limits.ratio:
            return None
        return Figure(
            name="ratio",
            label=f"What may be fetched of {source} at a ratio of {self.limits.ratio:g}",
            # Exact: a float has 53 bits.
            limit=int(account.uploaded / Fraction(str(self.limits.ratio))),
            used=account.downloaded,
            reserved=sum(max(hold.bytes, hold.fetched) for hold in self._uncounted(source) if not hold.free),
            in_bytes=True,
        )

    def _disks(self) -> dict[int, Figure]:
        """By device; each open download lies in one folder, and a copy of it will in the other."""
        needs = (
            ("downloads", self.downloads, sum(hold.to_come for hold in self.holds)),
            ("library", self.library, sum(hold.bytes for hold in self.holds if hold.is_open)),
        )
        lie = [(name, volume, need) for name, volume, need in needs if isinstance(volume, Volume)]
        found: dict[int, Figure] = {}
        for device in dict.fromkeys(volume.device for _, volume, _ in lie):
            here = [each for each in lie if each[1].device == device]
            # Of two folders on a disk that were asked one after the other, what is worse.
            volume = min((volume for _, volume, _ in here), key=lambda volume: volume.free)
            names = " and ".join(name for name, *_ in here)
            found[device] = Figure(
                name="disk",
                label=f"The disk of {names}, but for {size_in_words(self.limits.free_bytes)} that are kept free",
                limit=max(0, volume.total - self.limits.free_bytes),
                used=max(0, volume.total - volume.free),
                reserved=sum(need for *_, need in here),
                in_bytes=True,
            )
        return found

    def _week(self) -> tuple[Figure, Figure]:
        # Also of a time to come: the clock was set back.
        approved = [hold for hold in self.holds if hold.is_used and hold.approved_at > self.now - WEEK]
        return _caps(
            "week",
            "approved in 7 days",
            (self.limits.week, self.limits.week_bytes),
            (len(approved), sum(hold.bytes for hold in approved)),
        )

    def _run(self) -> tuple[Figure, ...]:
        if self.run is None:
            return ()
        return _caps(
            "run",
            "approved by one run",
            (self.run.most, self.run.most_bytes),
            (self.run.approved, self.run.approved_bytes),
        )


def _caps(name: str, words: str, limits: tuple[int, int], used: tuple[int, int]) -> tuple[Figure, Figure]:
    return (
        Figure(name=name, label=f"Downloads {words}", limit=limits[0], used=used[0], reserved=0),
        Figure(
            name=f"{name}_bytes",
            label=f"Size of what is {words}",
            limit=limits[1],
            used=used[1],
            reserved=0,
            in_bytes=True,
        ),
    )


def silence_of(source: str) -> str:
    """For people, of a source that counts and has no account to be read."""
    return f"{source} counts what a member fetches, and does not say how the account stands: no rule approves it, a person may."


def size_in_words(number: int) -> str:
    """Such as "1.25 GB", of 10**9 bytes."""
    return f"{number / GB:,.2f} GB" if abs(number) >= GB else f"{number / 10**6:,.1f} MB"
