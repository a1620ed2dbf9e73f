"""What may be fetched at all: the one door from proposed to approved, and what a download costs once more before it begins.

What is reserved is what the rows of acquisitions say, and nothing beside them: a reservation comes and goes with their state.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from scheduling.exceptions import NotAllowedNow

from .ledger import (
    GB,
    LAG,
    STALE,
    UNKNOWN_SIZE,
    WEEK,
    AccountState,
    Ask,
    Figure,
    Hold,
    Ledger,
    Limits,
    Refusal,
    Run,
    Unreadable,
    Volume,
    size_in_words,
)
from .models import Acquisition, AcquisitionEvent, Crawl, FetchingStop
from .sources import registry

State = Acquisition.State

_BUDGET = 7_301_402
"""The number of a lock, of no meaning but that nothing else uses it."""
# An index finds what is greater than "", and not what is not "".
_RUNNING_ON = Q(fetched_at=None, hash__gt="") & ~Q(state__in=Acquisition.RESERVING)
_OF_HOLDS = (
    *("pk", "source", "size", "counts", "free", "approved_at", "state", "state_since"),
    *("handed_at", "hash", "fetched", "fetched_at"),
)
_OF_ACCOUNT = ("unsatisfied", "unsatisfied_limit", "uploaded", "downloaded")


@dataclass
class RunBudget:
    """What one run may approve; it counts along."""

    run: Run

    @classmethod
    def of_settings(cls) -> RunBudget:
        return cls(Run(most=settings.BUDGET_RUN, most_bytes=round(settings.BUDGET_RUN_GB * GB)))


def reserve(pk: int, *, by: User | None, run: RunBudget | None) -> tuple[Refusal, ...]:
    """Approve what is proposed, by a person or by rule; or say why it does not fit, and change nothing.

    Raises:
        NotAllowedNow: it is not proposed any more.
    """
    now = timezone.now()
    with transaction.atomic():
        lock_budget()
        row = Acquisition.objects.get(pk=pk)
        if row.state != State.PROPOSED:
            raise NotAllowedNow(f"It is {row.get_state_display()}, and cannot be approved.")
        if FetchingStop.objects.filter(ended_at=None).exists():
            return (Refusal("All fetching is stopped by a person."),)
        forget_accounts_of_the_future(now)
        row.approved_by = by
        ask = _ask_of(row)
        if refusals := ledger(now, run=run.run if run else None, without=pk).refusals(ask):
            return refusals
        changed = Acquisition.objects.filter(pk=pk, state=State.PROPOSED).update(
            state=State.APPROVED,
            state_since=now,
            approved_at=now,
            approved_by=by,
            # Of an earlier approval.
            handed_at=None,
            fetched=0,
            fetched_at=None,
        )
        if not changed:
            raise NotAllowedNow("It has been decided meanwhile.")
        who = by.get_username() if by else "rule"
        AcquisitionEvent.objects.create(acquisition=row, state=State.APPROVED, text=f"Approved by {who}.", by=by)
    if run:
        run.run = run.run.with_(ask)
    return ()


def recheck(pk: int, *, size: int | None, free: bool | None, **kept: Any) -> tuple[Refusal, ...]:
    """Before a client is given what was approved: what it is now known to cost is reserved instead of what was said, unless
    it does not fit, or fetching is stopped; then nothing is changed.

    kept: columns that are kept with it, such as the info hash, by which it counts whatever becomes of the row.

    Raises:
        NotAllowedNow: it is not approved, or given to a client already.
    """
    now = timezone.now()
    with transaction.atomic():
        lock_budget()
        row = Acquisition.objects.get(pk=pk)
        if row.state != State.APPROVED:
            raise NotAllowedNow(f"It is {row.get_state_display()}, and not to be handed over.")
        if FetchingStop.objects.filter(ended_at=None).exists():
            return (Refusal("All fetching is stopped by a person.", transient=True),)
        forget_accounts_of_the_future(now)
        row.size, row.free = size, free
        if refusals := ledger(now, without=pk).refusals(_ask_of(row)):
            return refusals
        if not Acquisition.objects.filter(pk=pk, state=State.APPROVED).update(size=size, free=free, **kept):
            raise NotAllowedNow("It has been decided meanwhile.")
    return ()


def grown(row: Acquisition, size: int) -> None:
    """A download turns out larger than was approved: that is reserved. What it breaks by that, `overdrawn` tells."""
    with transaction.atomic():
        lock_budget()
        Acquisition.objects.filter(pk=row.pk).update(size=size, grown=True)
        if not row.grown:
            text = f"It is larger than it was said to be: {size_in_words(size)} in place of {size_in_words(row.size or 0)}."
            AcquisitionEvent.objects.create(acquisition=row, state=row.state, text=text)
    row.size, row.grown = size, True


def overdrawn(row: Acquisition) -> tuple[Figure, ...]:
    """What one that is under way and has grown takes more of than there is, as long as it does."""
    return ledger().overdrawn(_ask_of(row)) if row.grown else ()


def running_on() -> QuerySet[Acquisition]:
    """Given up, but not known to be gone from the client they were given to: they stay reserved until they are `settled`."""
    return Acquisition.objects.filter(_RUNNING_ON)


def settled(row: Acquisition, why: str = "") -> None:
    """Of one that is running on: its client has it no more, or has all of it, so that no more comes. why: what else ends its
    reservation, which is kept as an event."""
    with transaction.atomic():
        changed = running_on().filter(pk=row.pk).update(fetched_at=timezone.now())
        if changed and why:
            AcquisitionEvent.objects.create(acquisition=row, state=row.state, text=why)


def lock_budget() -> None:
    """Until the end of the transaction nobody else reserves: two who ask at once would both find room.

    After `names.lock_making` where both are taken, and before any row is locked. SQLite has one writer at a time anyway.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_BUDGET])


def forget_accounts_of_the_future(now: datetime) -> None:
    """The clock was set back: by the time it comes to theirs, they would pass for new."""
    Crawl.objects.filter(account_at__gt=now).update(account_at=None)


def ledger(now: datetime | None = None, *, run: Run | None = None, without: int = 0) -> Ledger:
    """As it is now, in two queries. without: the key of an acquisition that is not counted."""
    now = now or timezone.now()
    accounts = Crawl.objects.filter(account_at__isnull=False).values_list("source", "account", "account_at")
    return Ledger(
        limits=limits(),
        now=now,
        downloads=_volume(settings.AUDIOBOOKS_DOWNLOADS),
        library=_volume(settings.AUDIOBOOKS_LIBRARY),
        accounts={source: _account(told, as_of) for source, told, as_of in accounts if as_of},
        holds=_holds(now, without),
        run=run,
    )


def limits() -> Limits:
    """Of the settings."""
    return Limits(
        slots_kept=settings.BUDGET_SLOTS_KEPT,
        ratio=settings.BUDGET_RATIO,
        free_bytes=round(settings.BUDGET_FREE_GB * GB),
        week=settings.BUDGET_WEEK,
        week_bytes=round(settings.BUDGET_WEEK_GB * GB),
    )


def _ask_of(row: Acquisition) -> Ask:
    return Ask(
        source=row.source,
        bytes=row.size,
        counts=row.counts,
        free=bool(row.free),
        is_silent=registry.is_silent(row.source),
        by_person=row.approved_by_id is not None,
    )


def _account(told: Mapping[str, Any], as_of: datetime) -> AccountState:
    return AccountState(as_of=as_of, **{name: told.get(name) for name in _OF_ACCOUNT})


def _holds(now: datetime, without: int) -> tuple[Hold, ...]:
    since = now - STALE - LAG
    first, *others = (
        Acquisition.objects.filter(which).exclude(pk=without).order_by().values_list(*_OF_HOLDS, named=True)
        for which in (
            Q(state__in=Acquisition.RESERVING),
            Q(approved_at__gt=now - WEEK),
            _RUNNING_ON,
            Q(fetched_at__gt=since),
            Q(approved_at__isnull=False, state_since__gt=since),
        )
    )
    # As a union, since of conditions joined by OR a database would rather read all rows than use an index for each.
    found = sorted(first.union(*others), key=lambda row: row.pk)
    return tuple(
        Hold(
            source=row.source,
            bytes=row.size or UNKNOWN_SIZE,
            counts=row.counts,
            free=bool(row.free),
            approved_at=row.approved_at or row.state_since,
            handed_at=row.handed_at,
            # The hash is kept before the client is given anything, so that a process may have died in between.
            begun=bool(row.handed_at or row.hash or row.fetched),
            torrent=bool(row.hash),
            fetched=row.fetched,
            fetched_at=row.fetched_at,
            ended_at=None if row.state in Acquisition.RESERVING else row.state_since,
        )
        for row in found
    )


def _volume(folder: Path) -> Volume | Unreadable:
    """Of the folder or, where there is none yet, of the nearest above it."""
    try:
        # Of a dead mount, or in a folder that is closed to us, this fails as well.
        there = next(each for each in (folder, *folder.parents) if each.exists())
        room, device = os.statvfs(there), there.stat().st_dev
    except OSError as error:
        return Unreadable(
            f"{folder} cannot be read ({error.strerror}), so that what room it has is not known. Is its disk mounted, and "
            "may this program read it?"
        )
    free, taken = room.f_bavail * room.f_frsize, (room.f_blocks - room.f_bfree) * room.f_frsize
    return Volume(device=device, free=free, total=free + taken)
