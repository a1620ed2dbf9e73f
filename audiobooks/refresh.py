"""The verb behind both metadata refreshes: each book is asked about at the providers, and what they know is written by rule.

A run goes over as many Tasks as it takes: what is left of it are the books not tried since it began, oldest first. Asking is
done in threads; this one alone writes, each book in a transaction of its own.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connections, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from scheduling.context import TaskRun
from scheduling.exceptions import NotAllowedNow, TaskFailed
from scheduling.models import Job, Task

from .exceptions import ServiceError
from .facts import BookFacts
from .fields import OF_THE_RECORDING, Offer, apply, decide, facts_of, offers_of, undo, values_of
from .http import Doorway
from .matching.choose import choose
from .matching.compare import Match, Verdict
from .metadata.base import Provider
from .metadata.registry import ask, providers
from .models import Book, MetadataRun, ProviderMatch, with_names
from .trust import rank

ASKERS = 8
"""Threads that ask. The pace of each host is kept by the doorway, whatever their number."""
AHEAD = 32
"""Books asked about before they are written."""
BATCH = 200
UNANSWERED = 10
"""So many books in a row that no provider answered for end a run: nobody is there."""
PROPOSED = 5
"""Doubtful records of one provider kept for a person to choose from."""
NEW_DAYS = 7
GONE_STALE = {MetadataRun.Kind.FULL: timedelta(days=25), MetadataRun.Kind.NEW: timedelta(days=6)}
"""A run that is not finished by then gives way to a new one."""
LEAST_GUARDED = 20
"""Books that any run may change, however small the library."""


@dataclass(frozen=True)
class Known:
    """A book as it was read for asking: all that a thread needs, and no row."""

    book: Book
    facts: BookFacts
    taken: Mapping[str, ProviderMatch]
    """Provider -> the record that is this book's."""
    rejected: frozenset[tuple[str, str, str]]
    """(provider, record, region) that a person said are not."""


@dataclass
class Answer:
    """What one provider said. `match` is None where the record was known to be the book's before."""

    provider: str
    record: BookFacts | None = None
    match: Match | None = None
    same_recording: bool | None = None
    doubtful: list[Match] = field(default_factory=list)
    error: ServiceError | None = None
    """Why it did not answer, or, beside a record, why that is an old copy."""

    @property
    def is_none(self) -> bool:
        return self.error is not None and self.record is None and not self.doubtful


# --- asking (in threads) ----------------------------------------------------------------------------------------------


def find(http: Doorway, known: Known, providers: tuple[Provider, ...]) -> list[Answer]:
    """Asks each provider in turn; what one fails at costs only its own answer."""
    return [_ask(http, known, provider) for provider in providers]


def _ask(http: Doorway, known: Known, provider: Provider) -> Answer:
    if (taken := known.taken.get(provider.name)) is not None:
        wanted = replace(known.facts, source=provider.name, id=taken.record, region=taken.region)
        asked = ask(http, provider, "look_up", wanted)
        # Of another record than that, as one that it was merged into, nothing is known.
        record = next((facts for facts in asked.found if facts.id == taken.record), None)
        return Answer(provider.name, record, same_recording=taken.same_recording, error=asked.error)
    looked_up = ask(http, provider, "look_up", known.facts)
    matches = _judged(known, provider, looked_up.found)
    error = looked_up.error
    if error is None and not (matches and matches[0].verdict is Verdict.STRONG):
        searched = ask(http, provider, "search", known.facts)
        matches = _judged(known, provider, (*looked_up.found, *searched.found))
        error = searched.error
    if matches and matches[0].verdict is Verdict.STRONG:
        match = matches[0]
        same = match.same_recording if provider.knows_recordings else None
        return Answer(provider.name, match.theirs, match, same, error=error)
    doubtful = [match for match in matches if match.verdict in (Verdict.LOW, Verdict.MEDIUM)]
    return Answer(provider.name, doubtful=doubtful[:PROPOSED], error=error)


def _judged(known: Known, provider: Provider, records: Iterable[BookFacts]) -> list[Match]:
    """Best first; without those that a person said are not the book."""
    unique = {(provider.name, facts.id, facts.region): facts for facts in records}
    return choose(known.facts, [facts for key, facts in unique.items() if key not in known.rejected])


# --- one book ---------------------------------------------------------------------------------------------------------


def offers_from(answers: list[Answer]) -> dict[str, Offer]:
    """Field -> the most trusted of what the answers say. Of another recording, only what concerns the work."""
    offers: dict[str, Offer] = {}
    for answer in answers:
        if answer.record is None:
            continue
        for name, offer in offers_of(answer.record, answer.provider).items():
            if name in OF_THE_RECORDING and answer.same_recording is not True:
                continue
            if name not in offers or rank(name, offer.source) < rank(name, offers[name].source):
                offers[name] = offer
    return offers


def _remember(book: Book, answers: list[Answer]) -> None:
    """What was matched, and what a person has to look at. A decision that is there stays."""
    rows = []
    for answer in answers:
        if answer.match is not None:
            rows.append(_match_row(book, answer.provider, answer.match, ProviderMatch.State.AUTOMATIC))
        rows += [_match_row(book, answer.provider, match, ProviderMatch.State.PROPOSED) for match in answer.doubtful]
    if rows:
        ProviderMatch.objects.bulk_create(rows, ignore_conflicts=True)
    for row in rows:
        if row.state == ProviderMatch.State.AUTOMATIC:
            same = ProviderMatch.objects.filter(book=book, provider=row.provider, state=ProviderMatch.State.PROPOSED)
            same.filter(record=row.record, region=row.region).update(state=row.state)
            same.delete()


def _match_row(book: Book, provider: str, match: Match, state: str) -> ProviderMatch:
    return ProviderMatch(
        **{
            "book": book,
            "provider": provider,
            "state": state,
            "record": match.theirs.id,
            "region": match.theirs.region,
        },
        verdict=match.verdict,
        distance=match.distance,
        evidence=match.as_json(),
        facts=match.theirs.as_json(),
        same_recording=match.same_recording,
    )


# --- a run ------------------------------------------------------------------------------------------------------------


def refresh_books(run: TaskRun, kind: str) -> None:
    """Go on with the unfinished run of this kind, or begin one.

    Raises:
        TaskFailed: there is no provider, none answers, or the guard asks a person.
    """
    now = timezone.now()
    last = MetadataRun.objects.filter(kind=kind).first()
    if last and last.state in (MetadataRun.State.RUNNING, MetadataRun.State.ASKS):
        if last.started_at < now - GONE_STALE[MetadataRun.Kind(kind)]:
            MetadataRun.objects.filter(pk=last.pk).update(state=MetadataRun.State.ABANDONED, finished_at=now)
            run.warning("%s was not finished in time; a new one begins.", last)
        elif last.state == MetadataRun.State.ASKS:
            raise TaskFailed(_question(last))
        else:
            run.log("Going on with %s, begun at %s.", last, last.started_at.isoformat(timespec="seconds"))
            _Refresh(run, last).work()
            return
    _Refresh(run, MetadataRun.objects.create(kind=kind, started_at=now)).work()


def refresh_book(run: TaskRun, pk: int) -> None:
    """Raises:
    TaskFailed: there is no such book, no provider, or none answers.
    """
    if not Book.objects.filter(pk=pk).exists():
        raise TaskFailed(f"There is no book {pk}.")
    record = MetadataRun.objects.create(kind=MetadataRun.Kind.ONE, started_at=timezone.now(), may_change_much=True)
    _Refresh(run, record, only=pk).work()


def refresh_one(pk: int, *, by: User) -> Task:
    """Queue a refresh of this book.

    Raises:
        NotAllowedNow: the Job that would do it was deleted.
    """
    job = Job.objects.filter(pk="metadata_new").first()
    if job is None:
        raise NotAllowedNow("The Job metadata_new was deleted; a refresh of one book runs as one of its Tasks.")
    return job.run_now(arguments={"book": pk}, user=by)


def let_go_on(record: MetadataRun) -> None:
    """Raises:
    NotAllowedNow: it does not ask.
    """
    asking = MetadataRun.objects.filter(pk=record.pk, state=MetadataRun.State.ASKS)
    if not asking.update(state=MetadataRun.State.RUNNING, may_change_much=True):
        raise NotAllowedNow(f"{record} does not wait for an answer.")


def undo_run(record: MetadataRun) -> tuple[int, int]:
    """Put back what it replaced. Returns how many changes were undone, and how many fields were changed again since and left.

    Raises:
        NotAllowedNow: it is at work, or undone.
    """
    stopped = MetadataRun.objects.filter(pk=record.pk).exclude(state=MetadataRun.State.UNDONE)
    busy = Task.objects.filter(pk=record.task_id or 0, status=Task.Status.RUNNING).exists()
    if busy or not stopped.update(state=MetadataRun.State.UNDONE, finished_at=timezone.now()):
        raise NotAllowedNow(f"{record} is {'at work' if busy else 'undone already'}.")
    undone = left = 0
    for change in record.changes.filter(undone_at=None).order_by("-pk").iterator():
        left += len(undo(change))
        undone += 1
    return undone, left


class _Refresh:
    """A Task at work on a run."""

    def __init__(self, run: TaskRun, record: MetadataRun, *, only: int | None = None) -> None:
        self.run = run
        self.record = record
        self.books = Book.objects.filter(pk=only) if only is not None else _books_of(record)
        self.providers = providers()
        self.http = Doorway()
        self.unanswered = 0
        self.silent = 0
        self.changed = 0
        self.reviews = 0
        self.reasons: dict[str, str] = {}

    def work(self) -> None:
        if not self.providers:
            raise TaskFailed("No metadata provider is turned on (METADATA_PROVIDERS). Nothing was done.")
        MetadataRun.objects.filter(pk=self.record.pk).update(task_id=self.run.task_id)
        self.run.progress(total=self._left().count())
        self.limit = max(LEAST_GUARDED, self.books.count() * settings.METADATA_GUARD_PERCENT // 100)
        with ThreadPoolExecutor(ASKERS, thread_name_prefix="ask") as pool:
            try:
                finished = self._go_through(pool)
            finally:
                _close_connections(pool)
        if finished:
            now = timezone.now()
            MetadataRun.objects.filter(pk=self.record.pk).update(state=MetadataRun.State.FINISHED, finished_at=now)
        self._conclude(finished)

    def _go_through(self, pool: ThreadPoolExecutor) -> bool:
        """Whether nothing is left."""
        asked: deque[tuple[Known, Future[list[Answer]]]] = deque()
        try:
            for known in self._known():
                asked.append((known, pool.submit(find, self.http, known, self.providers)))
                if len(asked) >= AHEAD:
                    self._settle(asked.popleft())
                if self.run.should_stop:
                    return False
            while asked:
                self._settle(asked.popleft())
                if self.run.should_stop:
                    return False
        finally:
            for _, future in asked:
                future.cancel()
        return True

    def _left(self) -> QuerySet[Book]:
        return self.books.filter(Q(tried_at=None) | Q(tried_at__lt=self.record.started_at))

    def _known(self) -> Iterator[Known]:
        """What is left, oldest first, in batches that begin behind the last: what is being asked about is left as well."""
        never, before = self.books.filter(tried_at=None), self.books.filter(tried_at__lt=self.record.started_at)
        last = 0
        while batch := list(with_names(never.filter(pk__gt=last).order_by("pk"))[:BATCH]):
            last = batch[-1].pk
            yield from _with_matches(batch)
        moment, last = datetime.min.replace(tzinfo=self.record.started_at.tzinfo, year=1900), 0
        while batch := list(
            with_names(
                before.filter(tried_at__gte=moment).exclude(tried_at=moment, pk__lte=last).order_by("tried_at", "pk")
            )[:BATCH]
        ):
            assert batch[-1].tried_at is not None
            moment, last = batch[-1].tried_at, batch[-1].pk
            yield from _with_matches(batch)

    def _settle(self, asked: tuple[Known, Future[list[Answer]]]) -> None:
        known, future = asked
        answers = future.result()
        for answer in answers:
            if answer.error is not None:
                self.reasons[answer.provider] = str(answer.error)
        self.run.progress(self.run.processed + 1, text=known.facts.title[:200])
        if all(answer.is_none for answer in answers):
            self.run.failed()
            self.silent += 1
            self.unanswered += 1
            if self.unanswered >= UNANSWERED:
                raise TaskFailed(
                    f"No provider answers; the books are as they were. {self._reasons()} The next run goes on."
                )
            return
        self.unanswered = 0
        self._write(known, answers)
        self.run.succeeded()

    def _write(self, known: Known, answers: list[Answer]) -> None:
        now = timezone.now()
        offers = offers_from(answers)
        would = decide(values_of(known.book), known.book.provenance, offers)
        if would.replaces and not self.record.may_change_much and self.record.replaced >= self.limit:
            MetadataRun.objects.filter(pk=self.record.pk).update(state=MetadataRun.State.ASKS)
            raise TaskFailed(_question(self.record))
        tried: dict[str, Any] = {"tried_at": now}
        if any(answer.record for answer in answers):
            tried["refreshed_at"] = now
        with transaction.atomic():
            try:
                decision, change = apply(known.book, offers, why=str(self.record), now=now, run=self.record)
            except Book.DoesNotExist:  # Deleted while it was asked about.
                return
            _remember(known.book, answers)
            Book.objects.filter(pk=known.book.pk).update(**tried)
            counts: dict[str, Any] = {"checked": F("checked") + 1}
            if change is not None:
                counts["changed"] = F("changed") + 1
            if decision.replaces:
                counts["replaced"] = F("replaced") + 1
                self.record.replaced += 1
            MetadataRun.objects.filter(pk=self.record.pk).update(**counts)
        self.changed += change is not None
        self.reviews += any(answer.doubtful for answer in answers)

    def _reasons(self) -> str:
        return " ".join(f"{name}: {reason}" for name, reason in self.reasons.items())

    def _conclude(self, finished: bool) -> None:
        self.run.result = {
            "run": self.record.pk,
            "books": self.run.processed,
            "changed": self.changed,
            "to review": self.reviews,
            "without an answer": self.silent,
            "finished": finished,
        }
        self.run.log("%s", ", ".join(f"{name}: {count}" for name, count in self.run.result.items()))
        if self.silent and self.silent == self.run.processed:
            raise TaskFailed(f"No provider answered; the books are as they were. {self._reasons()}")


def _books_of(record: MetadataRun) -> QuerySet[Book]:
    books = Book.objects.all()
    if record.kind == MetadataRun.Kind.NEW:
        books = books.filter(added_at__gte=record.started_at - timedelta(days=NEW_DAYS))
    return books


def _with_matches(batch: list[Book]) -> Iterator[Known]:
    rows: dict[int, list[ProviderMatch]] = {}
    states = (*ProviderMatch.TAKEN, ProviderMatch.State.REJECTED)
    for row in ProviderMatch.objects.filter(book__in=batch, state__in=states).defer("evidence", "facts"):
        rows.setdefault(row.book_id, []).append(row)
    for book in batch:
        mine = rows.get(book.pk, [])
        # A person's word last: it stays.
        taken = sorted(
            (row for row in mine if row.state in ProviderMatch.TAKEN),
            key=lambda row: row.state == ProviderMatch.State.ACCEPTED,
        )
        yield Known(
            book,
            facts_of(book),
            {row.provider: row for row in taken},
            frozenset(
                (row.provider, row.record, row.region) for row in mine if row.state == ProviderMatch.State.REJECTED
            ),
        )


def _question(record: MetadataRun) -> str:
    return (
        f"{record} replaced values of {record.replaced} books and would go on. That is more than the guard allows "
        f"({settings.METADATA_GUARD_PERCENT} % of the books), so it stopped. Look at its changes, then let it go on or undo it."
    )


def _close_connections(pool: ThreadPoolExecutor) -> None:
    """Each thread has its own to the database, which nobody else can close."""
    barrier = threading.Barrier(ASKERS)

    def close() -> None:
        connections.close_all()
        barrier.wait(timeout=60)

    for future in [pool.submit(close) for _ in range(ASKERS)]:
        future.result()
