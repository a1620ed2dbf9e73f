"""From a gap to an acquisition: the sources are searched, what they offer is judged, and the best is proposed.

What is proposed is approved by a person or by rule, and by rule only in `apply_plan`: a run that plans only and one that
applies differ in nothing but whether it is called.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from scheduling.context import TaskRun, each_on_its_own
from scheduling.exceptions import NotAllowedNow, TaskFailed
from scheduling.outcomes import storable

from . import budget, crawl
from .facts import BookFacts
from .fields import facts_of
from .gaps import Missing
from .http import Doorway
from .ledger import silence_of
from .library.albums import key_of
from .matching.profile import Judgement, Offered, Profile, Verdict, judged
from .models import (
    Acquisition,
    AcquisitionEvent,
    BlockedRelease,
    Book,
    FetchingStop,
    Proposal,
    Release,
    WorkSearch,
    with_names,
)
from .owning import find_book
from .recordings import Kind
from .sources import base, registry
from .sources.base import HasAccount, Source
from .trust import PERSON

CANDIDATES = 20
"""Kept of a search, with what each was kept out or in by."""
FOUND = 50
"""Releases that a source is asked for."""
LADDER = (timedelta(weeks=1), timedelta(weeks=2), timedelta(weeks=4), timedelta(weeks=8))
"""Until the next search of a work, by how many in a row found nothing fit."""
ACCOUNT_FRESH_FOR = timedelta(hours=1)
OWNED = "The library has it by now; nothing was fetched."
UNWANTED = "A person wants it no more; nothing was fetched."
_FAULTS = frozenset({Kind.NO_AUDIO, Kind.ARCHIVE, Kind.FORMAT, Kind.BROKEN, Kind.MISSING, Kind.SAMPLE})
"""Found by a check: what makes a recording wrong whatever book is wanted."""
_SAME_SIZE = 0.01
"""Share of the size by which sources tell one upload differently."""
State = Acquisition.State
Outcome = WorkSearch.Outcome


def profile_for(book: Book) -> Profile:
    """Of the settings, and of a reader whom a person wrote to be the book's."""
    least, most = settings.RELEASE_MB_PER_HOUR
    return Profile(
        languages=tuple(settings.RELEASE_LANGUAGES),
        formats=tuple(settings.RELEASE_FORMATS),
        unabridged=settings.RELEASE_UNABRIDGED,
        bitrate=settings.RELEASE_BITRATE,
        mb_per_hour=(least, most),
        seeders=settings.RELEASE_SEEDERS,
        only_free=settings.RELEASE_COST == "free",
        narrators=narrators_wanted(book),
    )


def narrators_wanted(book: Book) -> tuple[str, ...]:
    """One of whom has to read it; () where anybody may."""
    by_person = book.provenance.get("narrators", {}).get("source") == PERSON
    return tuple(book.narrator_names) if by_person else ()


def wanted_of(book: Book) -> BookFacts:
    """What is looked for: the work, best as the recording that is known. `with_names` spares queries.

    Another recording will do as well, so no number of this one is looked for; and how long an abridged one is says nothing.
    """
    facts = facts_of(book)
    runtime = None if facts.abridged else facts.runtime
    return replace(facts, asin="", isbns=(), publisher="", released="", abridged=None, runtime=runtime)


# --- searching --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Searched:
    """release, judgement: of each candidate, best first. errors: label -> why a source did not answer."""

    candidates: Sequence[tuple[Release, Judgement]]
    asked: int
    errors: Mapping[str, str]

    @property
    def is_silent(self) -> bool:
        return len(self.errors) == self.asked

    @property
    def outcome(self) -> Outcome:
        judgements = [judgement for _, judgement in self.candidates]
        if any(each.verdict != Verdict.UNFIT for each in judgements):
            return Outcome.FOUND
        # Whoever was silent may have it.
        if self.errors:
            return Outcome.UNANSWERED
        alike = [each for each in judgements if each.is_the_work]
        if alike and all(each.is_other_language for each in alike):
            return Outcome.LANGUAGE
        return Outcome.UNFIT if alike else Outcome.NOTHING


def search(http: Doorway, sources: Sequence[Source], book: Book) -> Searched:
    """Ask each source, keep what it offers, and judge it."""
    wanted = wanted_of(book)
    found: dict[int, Release] = {}
    errors: dict[str, str] = {}
    for source in sources:
        outcome = registry.ask(http, source, lambda http, source=source: source.search(http, wanted, limit=FOUND))  # type: ignore[misc]
        if outcome.answer is None:
            errors[source.label] = str(outcome.error)
            continue
        crawl.record(source.name, outcome.answer, now=timezone.now())
        keys = [crawl.key_of_release(release) for release in outcome.answer]
        for row in Release.objects.filter(source=source.name, key__in=keys).defer("raw"):
            found[row.pk] = row
    return Searched(_judged(list(found.values()), book), len(sources), errors)


def _judged(releases: Sequence[Release], book: Book) -> list[tuple[Release, Judgement]]:
    blocked = _blocked(releases, book.work_id)
    rows = {(row.source, row.key): row for row in releases}
    offered = [offered_of(row, blocked=blocked.get(row.pk, "")) for row in releases]
    return [
        (rows[each.offered.source, each.offered.id], each)
        for each in judged(offered, wanted_of(book), profile_for(book))
    ]


def offered_of(row: Release, *, blocked: str = "") -> Offered:
    """A release as it is judged."""
    return Offered(**_told_by_source(row), bitrate=row.bitrate, blocked=blocked)


def _told_by_source(row: Release) -> dict[str, Any]:
    """What it says of itself, as it is judged and as the source is asked about it."""
    return {
        "source": row.source,
        "id": row.key,
        "name": row.name,
        "facts": BookFacts.from_json(row.facts),
        "size": row.size,
        "files": row.files,
        "seeders": row.seeders,
        "free": row.free,
        "formats": tuple(row.formats),
    }


def _blocked(releases: Iterable[Release], work: int) -> dict[int, str]:
    """Release -> why it is not fetched again for this work."""
    releases = list(releases)
    hashes = {row.hash for row in releases} - {""}
    names = {key_of(row.name)[:255] for row in releases} - {""}
    still = Q(until=None) | Q(until__gt=timezone.now())
    alike = Q(key__in={row.key for row in releases}) | Q(hash__in=hashes) | Q(name_key__in=names)
    for_it = Q(work=None) | Q(work=work)
    blocks = list(BlockedRelease.objects.filter(still, alike, for_it)) if releases else []
    return {
        row.pk: block.reason
        for row in releases
        for block in blocks
        if (row.source, row.key) == (block.source, block.key)
        or (row.hash and row.hash == block.hash)
        or _is_same_upload(row, block)
    }


def _is_same_upload(row: Release, block: BlockedRelease) -> bool:
    """Another source offers the very same. A source that has two of one name has two recordings."""
    if row.source == block.source or not (row.size and block.size) or key_of(row.name)[:255] != block.name_key:
        return False
    return abs(row.size - block.size) <= _SAME_SIZE * block.size


def _remember(missing: Missing, searched: Searched, now: datetime) -> WorkSearch:
    before = WorkSearch.objects.filter(work=missing.work).first()
    outcome = searched.outcome
    fruitless = 0 if outcome == Outcome.FOUND else (before.fruitless if before else 0)
    if outcome == Outcome.UNANSWERED:
        wait = timedelta(days=1) if searched.is_silent else LADDER[0]
    else:
        wait = LADDER[min(fruitless, len(LADDER) - 1)]
        fruitless += outcome != Outcome.FOUND
    decision = {
        "candidates": [told(row, judgement) for row, judgement in searched.candidates[:CANDIDATES]],
        "sources": dict(searched.errors),
    }
    values = {
        "outcome": outcome,
        "searched_at": now,
        "next_at": now + wait,
        "fruitless": fruitless,
        "decision": decision,
    }
    return WorkSearch.objects.update_or_create(work_id=missing.work, defaults=values)[0]


def told(row: Release, judgement: Judgement) -> dict[str, Any]:
    """A candidate, as decisions keep it."""
    return {
        "source": row.source,
        "key": row.key,
        "name": row.name,
        "size": row.size,
        "score": round(judgement.score, 3),
        "verdict": str(judgement.verdict),
        "reasons": list(judgement.reasons),
    }


# --- proposing --------------------------------------------------------------------------------------------------------


def complete(run: TaskRun, missing: Sequence[Missing], *, plan_only: bool) -> None:
    """Search for each work, propose what is found and, unless this only plans, approve by rule what the budget takes.

    `run.result` tells how many.

    Raises:
        TaskFailed: no source is turned on, or none answered.
        Exception: what our code does not foresee of a work, when the others were searched for.
    """
    sources = registry.sources()
    if not sources:
        raise TaskFailed("No source is turned on, so nothing can be searched for. SOURCES in .env names them.")
    drop_unwanted()
    for row in Acquisition.objects.filter(state=State.PROPOSED):
        _drop_owned(row)
    completion = _Completion(run, sources)
    run.progress(total=len(missing))
    ends = [partial(completion.end, apply=not plan_only and settings.ACQUIRE == "auto")]
    each_on_its_own([*(partial(completion.complete, each) for each in missing), *ends])


@dataclass
class _Completion:
    """A run that searches. errors: label -> why a source did not answer. silent: works of which none did."""

    run: TaskRun
    sources: Sequence[Source]
    http: Doorway = field(default_factory=Doorway)
    counts: Counter[str] = field(default_factory=Counter)
    errors: dict[str, str] = field(default_factory=dict)
    silent: int = 0

    def complete(self, missing: Missing) -> None:
        if self.run.should_stop:
            return
        with ExitStack() as at_its_end:
            at_its_end.callback(lambda: self.run.progress(self.run.processed + 1))
            at_its_end.push(partial(self._put_off, missing))
            self._search(missing)

    def _search(self, missing: Missing) -> None:
        self.run.progress(text=missing.why)
        book = with_names(Book.objects.filter(pk=missing.book)).first()
        if book is None:
            self.run.log("%s: It is not known any more.", missing.why)
            return
        searched = search(self.http, self.sources, book)
        self.errors |= searched.errors
        self.counts[searched.outcome] += 1
        made, words = _conclude(missing, book, searched)
        if searched.is_silent:
            self.silent += 1
            self.run.failed()
            return
        self.run.succeeded()
        self.counts["proposed"] += made is not None
        self.run.log("%s: %s.", missing.why, words)

    def _put_off(self, missing: Missing, _: object, error: BaseException | None, __: object) -> None:
        """A work that our code trips over would be first in each run, being never searched. The error ends the Task later."""
        if isinstance(error, Exception):
            self.run.failed()
            self.run.error("%s: This program tripped over it (%s).", missing.why, type(error).__name__)
            now = timezone.now()
            told = {"candidates": [], "sources": {"this program": f"tripped over it ({type(error).__name__})"}}
            tried = {
                "outcome": Outcome.UNANSWERED,
                "searched_at": now,
                "next_at": now + timedelta(days=1),
                "decision": told,
            }
            WorkSearch.objects.update_or_create(work_id=missing.work, defaults=tried)

    def end(self, *, apply: bool) -> None:
        if apply and not self.run.should_stop:
            self.counts["approved"] = apply_plan(self.run)
        self.run.result = {**self.counts, **({"failed sources": self.errors} if self.errors else {})}
        if self.silent and self.silent == sum(self.counts[each] for each in Outcome):
            reasons = "; ".join(f"{label}: {error}" for label, error in self.errors.items())
            raise TaskFailed(f"No source answered, so nothing is concluded. {reasons}")


def _conclude(missing: Missing, book: Book, searched: Searched) -> tuple[Acquisition | None, str]:
    """Remember what was found for the book, and propose it; returns what is proposed, and in words what came of it.

    Of a book that got another title meanwhile nothing is concluded: this was found for what it is not. Of one that went to
    another work before it was searched for, it is remembered under that.
    """
    with transaction.atomic():
        # Locked, so that it stays on its work, and its work in the database, until this is written.
        same = Book.objects.select_for_update().filter(pk=book.pk, title=book.title, work=book.work_id)
        if same.first() is None:
            return None, "It is called otherwise by now, and searched for in the next run"
        missing = replace(missing, work=book.work_id)
        _remember(missing, searched, timezone.now())
        made = propose(missing, searched)
    if made is not None:
        return made, f"{searched.outcome.label}: {made.name}"
    return None, f"{searched.outcome.label} (of {len(searched.candidates)})"


def propose(missing: Missing, searched: Searched) -> Acquisition | None:
    """The best that is fit or, where none is, doubtful. None where there is neither, or the work is owned or being got already."""
    eligible = [(row, judgement) for row, judgement in searched.candidates if judgement.verdict != Verdict.UNFIT]
    if not eligible:
        return None
    (row, judgement), *others = eligible
    return _make(
        row,
        judgement,
        [told(*other) for other in others[:CANDIDATES]],
        work=missing.work,
        book=missing.book,
        cause=missing.cause,
        why=missing.why,
    )


def _make(
    row: Release,
    judgement: Judgement,
    others: Sequence[dict[str, Any]],
    *,
    work: int,
    book: int | None,
    cause: str,
    why: str,
) -> Acquisition | None:
    now = timezone.now()
    acquisition = Acquisition(
        work_id=work, book_id=book, cause=cause, why=why[:255], state_since=now, candidates=list(others)
    )
    _take(acquisition, row, judgement)
    if is_owned(acquisition):
        return None
    try:
        with transaction.atomic():
            acquisition.save()
            _note(acquisition, f"Proposed, {why}: {row.name} of {row.source}.")
    except IntegrityError:
        # Another run has made one meanwhile.
        return None
    return acquisition


def _take(acquisition: Acquisition, row: Release, judgement: Judgement) -> None:
    acquisition.source, acquisition.key, acquisition.name = row.source, row.key, row.name
    acquisition.size, acquisition.free = row.size, row.free
    is_silent = registry.is_silent(row.source)
    acquisition.counts = bool(row.counts) or not is_silent
    acquisition.verdict, acquisition.score = str(judgement.verdict), judgement.score
    told = [silence_of(row.source)] if acquisition.counts and is_silent else []
    acquisition.reasons = [*told, *judgement.reasons]


def _note(acquisition: Acquisition, text: str, by: User | None = None) -> None:
    # It may name a file, whose name need be no UTF-8.
    AcquisitionEvent.objects.create(acquisition=acquisition, state=acquisition.state, text=storable(text), by=by)


def drop_unwanted() -> None:
    """Acquisitions of works that a person wants no recording of, or that are owned by now, as far as nothing was handed over."""
    for row in unwanted(_undone()):
        move(row, State.CANCELLED, UNWANTED)
    owned = Book.objects.filter(standing=Book.Standing.OWNED, work=OuterRef("work"))
    for row in _undone().filter(Exists(owned)):
        move(row, State.CANCELLED, OWNED)


def _undone() -> QuerySet[Acquisition]:
    return Acquisition.objects.filter(state__in=(State.PROPOSED, State.APPROVED), hash="", handed_at=None)


_IS_WISHED = Exists(
    Book.objects.filter(Q(work=OuterRef("work")) | Q(pk=OuterRef("book")), standing=Book.Standing.WANTED)
)


def unwanted(rows: QuerySet[Acquisition]) -> QuerySet[Acquisition]:
    """Those that a person has decided against since: of the work, of the wish for it, or of its proposal by a chart.

    What a person wished for, or approved in spite of a declined proposal, is wanted.
    """
    declined = Proposal.objects.declined().filter(book__work=OuterRef("work"))
    is_marked = Q(work__mark__isnull=False)
    is_lapsed = Q(cause=Acquisition.Cause.WISH) & ~_IS_WISHED
    is_declined = ~_IS_WISHED & Q(approved_by=None) & Exists(declined)
    return rows.filter(is_marked | is_lapsed | is_declined)


def leave_out(works: Collection[int], cause: str) -> None:
    """What was proposed, or approved by rule, of these works as gaps of a series or an author that a person wants less of now."""
    for row in _undone().filter(~_IS_WISHED, approved_by=None, work__in=works, cause=cause):
        move(row, State.CANCELLED, UNWANTED)


def _drop_owned(row: Acquisition) -> bool:
    """As `drop_unwanted`, also where the library has it as a book of another work."""
    return is_owned(row) and move(row, State.CANCELLED, OWNED)


# --- approving by rule ------------------------------------------------------------------------------------------------


def apply_plan(run: TaskRun) -> int:
    """Approve what is fit, oldest first, as far as the budget of a run and all others go; returns how many.

    What does not fit waits for the next run, with what kept it.
    """
    if FetchingStop.objects.filter(ended_at=None).exists():
        run.warning("All fetching is stopped by a person: nothing is approved.")
        return 0
    waiting = Acquisition.objects.filter(state=State.PROPOSED, verdict=Verdict.FIT).order_by("pk")
    refresh_accounts(run, Doorway(), waiting)
    approved = 0
    allowance = budget.RunBudget.of_settings()
    for row in list(waiting):
        if run.should_stop:
            break
        if _drop_owned(row):
            continue
        try:
            refusals = budget.reserve(row.pk, by=None, run=allowance)
        except NotAllowedNow:
            continue
        Acquisition.objects.filter(pk=row.pk).update(refusal=" ".join(refusals))
        approved += not refusals
    held = waiting.filter(state=State.PROPOSED).exclude(refusal="")
    if reason := held.values_list("refusal", flat=True).first():
        run.log("%s wait for the budget. %s", held.count(), reason)
    return approved


def refresh_accounts(run: TaskRun, http: Doorway, rows: QuerySet[Acquisition]) -> None:
    """Read again what the members may fetch at whose sources one of these would be, where that is older than ACCOUNT_FRESH_FOR."""
    names = set(rows.filter(counts=True).order_by().values_list("source", flat=True).distinct())
    for source in registry.sources():
        if source.name not in names or not isinstance(source, HasAccount):
            continue
        if error := crawl.read_account(http, source, older_than=ACCOUNT_FRESH_FOR):
            run.warning("%s: the account could not be read: %s", source.label, error)


# --- what a person does -----------------------------------------------------------------------------------------------


def approve(acquisition: Acquisition, by: User) -> None:
    """Raises:
    NotAllowedNow: it is not to be approved any more, or the budget does not take it.
    """
    if refusals := budget.reserve(acquisition.pk, by=by, run=None):
        raise NotAllowedNow(" ".join(refusals))


def decline(acquisition: Acquisition, by: User) -> None:
    """This release is not proposed again for this work; another may be.

    Raises:
        NotAllowedNow: it is decided already.
    """
    with transaction.atomic():
        row = locked(acquisition.pk)
        _only_proposed(row)
        block(row, "A person declined it.", by=by, until=None, only_its_work=True)
        move(row, State.DECLINED, "Declined.", by=by)


def choose_other(acquisition: Acquisition, source: str, key: str, by: User) -> None:
    """Take a runner-up instead; what was chosen before becomes one.

    Raises:
        NotAllowedNow: it is not to be approved any more, or has no such runner-up.
    """
    with transaction.atomic():
        row = locked(acquisition.pk)
        _only_proposed(row)
        release = Release.objects.filter(source=source, key=key, source__in=registry.turned_on()).first()
        others = [each for each in row.candidates if (each["source"], each["key"]) != (source, key)]
        if release is None or len(others) == len(row.candidates):
            raise NotAllowedNow("It is not among the runners-up any more.")
        before = {
            "source": row.source, "key": row.key, "name": row.name, "size": row.size, "score": row.score,
            "verdict": row.verdict, "reasons": row.reasons,
        }  # fmt: skip
        book = _book_of(row)
        judgement = _judged([release], book)[0][1] if book else None
        if judgement is None or judgement.verdict == Verdict.UNFIT:
            raise NotAllowedNow(" ".join(judgement.reasons) if judgement else "The book is not known any more.")
        _take(row, release, judgement)
        row.candidates = [before, *others]
        row.refusal = ""
        row.save()
        _note(row, f"{release.name} was chosen instead.", by)


def propose_again(acquisition: Acquisition, by: User) -> str:
    """From the beginning; returns what comes next, as a sentence. What a client has stays there, and stays reserved until
    it is gone there.

    Raises:
        NotAllowedNow: it is not under way.
    """
    with transaction.atomic():
        row = locked(acquisition.pk)
        if row.state not in Acquisition.RESERVING:
            raise NotAllowedNow(f"It is {row.get_state_display()}.")
        begin_anew(row, "To be approved again.", by=by)
    is_silent = row.counts and registry.is_silent(row.source)
    by_rule = settings.ACQUIRE == "auto" and row.verdict == Verdict.FIT and not is_silent
    return "The next run approves it by rule, if the budget takes it." if by_rule else "It waits for approval."


def begin_anew(row: Acquisition, why: str, *, by: User | None = None, **changed: Any) -> None:
    """End this attempt and propose the same release once more, with what is known of it by now.

    Another row, so that what this one has cost goes on to count, and nothing of it is taken for that of the other.
    """
    with transaction.atomic():
        if not move(row, State.CANCELLED, why, by=by):
            return
        names = ("book_id", "cause", "why", "source", "key", "name", "size", "free", "counts", "verdict", "score")
        same = {name: getattr(row, name) for name in (*names, "reasons", "candidates")}
        again = Acquisition(work_id=row.work_id, state_since=timezone.now(), **{**same, **changed})
        again.save()
        _note(again, f"Proposed again. {why}", by)


def take_next(acquisition: Acquisition, by: User) -> str:
    """Keep this release out and propose the one behind it; returns what came of it, as a sentence.

    Raises:
        NotAllowedNow: it is not open any more.
    """
    with transaction.atomic():
        row = locked(acquisition.pk)
        _only_open(row)
        following = next_candidate(row, State.FAILED, f"{by} took the next candidate.", by=by)
    return (
        f"Proposed instead: {following.name}."
        if following
        else "There is no other candidate; the next search may find one."
    )


def accept(acquisition: Acquisition, by: User) -> None:
    """Take what was downloaded although its check doubts it.

    Raises:
        NotAllowedNow: it is not downloaded, or nothing is doubted.
    """
    with transaction.atomic():
        row = locked(acquisition.pk)
        if row.state != State.FETCHED or not row.check_result:
            raise NotAllowedNow("There is nothing to accept.")
        move(row, State.CHECKED, "Taken as it is.", by=by)


def give_up(acquisition: Acquisition, by: User) -> None:
    """Its release stays out for a while, of this work. What a client has stays there, and what was downloaded stays where it is.

    Raises:
        NotAllowedNow: it is not open any more.
    """
    with transaction.atomic():
        row = locked(acquisition.pk)
        _only_open(row)
        until = timezone.now() + BlockedRelease.DAYS
        block(row, "A person gave it up.", by=by, until=until, only_its_work=True)
        move(row, State.CANCELLED, "Given up.", by=by)


def _only_open(row: Acquisition) -> None:
    if not row.is_open:
        raise NotAllowedNow(f"It is {row.get_state_display()} already.")


# --- the switch -------------------------------------------------------------------------------------------------------


def current_stop() -> FetchingStop | None:
    return FetchingStop.objects.filter(ended_at=None).select_related("began_by").first()


def stop_fetching(by: User, reason: str) -> None:
    """Raises:
    NotAllowedNow: it is stopped already.
    """
    try:
        with transaction.atomic():
            FetchingStop.objects.create(began_by=by, reason=reason[:255])
    except IntegrityError:
        raise NotAllowedNow("All fetching is stopped already.") from None


def let_fetching_go_on(by: User) -> None:
    """Raises:
    NotAllowedNow: it is not stopped.
    """
    if not FetchingStop.objects.filter(ended_at=None).update(ended_at=timezone.now(), ended_by=by):
        raise NotAllowedNow("Fetching is not stopped.")


def _book_of(row: Acquisition) -> Book | None:
    return with_names(Book.objects.filter(pk=row.book_id)).first() if row.book_id else None


def _only_proposed(row: Acquisition) -> None:
    if row.state != State.PROPOSED:
        raise NotAllowedNow(f"It is {row.get_state_display()} already.")


# --- moving on --------------------------------------------------------------------------------------------------------


def locked(pk: int) -> Acquisition:
    return Acquisition.objects.select_for_update().get(pk=pk)


def move(row: Acquisition, state: str, text: str, *, by: User | None = None, **values: Any) -> bool:
    """Into another state, with its reason. False where it is not any more in the state that it was read in."""
    now = timezone.now()
    values = {"problem": "", "problem_since": None, **values, "state": state, "state_since": now}
    with transaction.atomic():
        if not Acquisition.objects.filter(pk=row.pk, state=row.state).update(**values):
            return False
        for name, value in values.items():
            setattr(row, name, value)
        _note(row, text, by)
    return True


def block(row: Acquisition, reason: str, *, by: User | None, until: datetime | None, only_its_work: bool) -> None:
    """Its release is not fetched again until then; None is for good. What is no fault of it keeps it from its work only."""
    BlockedRelease.objects.create(
        work_id=row.work_id if only_its_work else None,
        source=row.source,
        key=row.key,
        hash=row.hash,
        name=row.name,
        size=row.size,
        name_key=key_of(row.name)[:255],
        reason=storable(reason),
        until=until,
        by=by,
    )


def next_candidate(row: Acquisition, state: str, reason: str, *, by: User | None = None) -> Acquisition | None:
    """End this attempt, keep its release out, and propose the best of those behind it; returns that, None without.

    By rule it is approved in the next run that applies a plan: a person who chose this one looks at the other.
    A release may be right for another work that a person, or a check, found to be wrong for this one.
    """
    with transaction.atomic():
        if not move(row, state, reason, by=by):
            return None
        only_its_work = by is not None or (state == State.QUARANTINED and not _is_faulty(row))
        block(row, reason, by=by, until=timezone.now() + BlockedRelease.DAYS, only_its_work=only_its_work)
        book = _book_of(row)
        if book is None:
            return None
        keys = Q()
        for each in row.candidates:
            keys |= Q(source=each["source"], key=each["key"])
        offered = Release.objects.filter(keys, source__in=registry.turned_on()).defer("raw")
        releases = list(offered) if row.candidates else []
        eligible = [each for each in _judged(releases, book) if each[1].verdict != Verdict.UNFIT]
        if not eligible:
            return None
        (release, judgement), *others = eligible
        rest = [told(*other) for other in others]
        return _make(release, judgement, rest, work=row.work_id, book=row.book_id, cause=row.cause, why=row.why)


def _is_faulty(row: Acquisition) -> bool:
    """By its check, as that is stored by now."""
    row.refresh_from_db(fields=["check_result"])
    return any(each["is_sure"] and each["kind"] in _FAULTS for each in row.check_result.get("problems", ()))


def is_owned(row: Acquisition) -> bool:
    """By its work, or as whatever book is surely the same; but not as what this has brought itself."""
    owned = Book.objects.filter(standing=Book.Standing.OWNED)
    if row.target:
        its_own = re.compile(rf"{re.escape(row.target)}(?: \(\d+\))?(?:/.*)?", re.DOTALL)
        near = owned.filter(path__startswith=row.target).values_list("pk", "path")
        owned = owned.exclude(pk__in=[pk for pk, path in near if its_own.fullmatch(path or "")])
    if owned.filter(work=row.work_id).exists():
        return True
    book = _book_of(row)
    return book is not None and find_book(wanted_of(book), among=owned) is not None


def release_of(row: Acquisition) -> base.Release:
    """As a source is asked about it.

    Raises:
        Release.DoesNotExist: nobody knows it any more.
    """
    found = Release.objects.defer("raw").get(source=row.source, key=row.key)
    return base.Release(**_told_by_source(found), link=found.link, fetch=found.fetch, hash=found.hash)
