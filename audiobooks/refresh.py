"""The verb behind both metadata refreshes: each book is asked about at the providers, and what they know is written by rule.

A run goes over as many Tasks as it takes: what is left of it are the books not tried since it began, oldest first. Asking is
done in threads; this one alone writes, what was answered at about the same time in one transaction. What cannot be written
costs its own book only.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import User
from django.db import DataError, IntegrityError, InterfaceError, OperationalError, connection, connections, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from scheduling.context import TaskRun
from scheduling.exceptions import NotAllowedNow, TaskFailed
from scheduling.models import Job, Task

from . import covers
from .exceptions import LeftAlone, ServiceError
from .facts import BookFacts
from .fields import (
    OF_THE_RECORDING,
    Offer,
    Offered,
    apply_all,
    decide,
    facts_of,
    offers_of,
    read_names,
    undo,
    values_of,
    written_by,
)
from .http import Doorway
from .matching.choose import choose
from .matching.compare import Match, Verdict, compare
from .metadata.base import Provider
from .metadata.open_library import COVERS_REDIRECT_TO
from .metadata.registry import ask, providers
from .models import Book, BookChange, MetadataRun, ProviderMatch
from .trust import rank

ASKERS = 8
"""Threads that ask. The pace of each host is kept by the doorway, whatever their number."""
AHEAD = 64
"""Books asked about, or answered, before they are written."""
TOGETHER = 32
"""Books written at once, at most."""
BATCH = 200
UNANSWERED = 10
"""So many books in a row that no provider answered for end a Task: nobody is there."""
LOOK = 0.5
"""Seconds between two looks whether to stop, while an answer is waited for; what was answered before is written then."""
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
    proposed: frozenset[str]
    """Providers that have records for a person to choose from."""
    rejected: frozenset[tuple[str, str]]
    """(provider, record) that a person said are not."""
    undone: frozenset[tuple[str, str]]
    """(provider, record) of which a person took back what they wrote, and has not decided yet."""


@dataclass
class Answer:
    """What one provider said. `match` is None where the record was known to be the book's before.

    withdrawn: the doubtful record was taken by rule before, and is not as it was.
    """

    provider: str
    record: BookFacts | None = None
    match: Match | None = None
    same_recording: bool | None = None
    doubtful: list[Match] = field(default_factory=list)
    withdrawn: bool = False
    error: ServiceError | None = None
    """Why it did not answer, or, beside a record, why that is an old copy."""

    @property
    def is_none(self) -> bool:
        return self.error is not None and self.record is None and not self.doubtful


# --- asking (in threads) ----------------------------------------------------------------------------------------------


def find(http: Doorway, known: Known, provider: Provider) -> Answer:
    """Asks one provider about one book."""
    if (taken := known.taken.get(provider.name)) is not None:
        return _look_again(http, known, provider, taken)
    looked_up = ask(http, provider, "look_up", known.facts)
    matches = _judged(known, provider, looked_up.found)
    error = looked_up.error
    if error is None and not (matches and matches[0].verdict is Verdict.STRONG):
        searched = ask(http, provider, "search", known.facts)
        matches = _judged(known, provider, (*looked_up.found, *searched.found))
        error = searched.error
    if matches and matches[0].verdict is Verdict.STRONG and not _is_undone(known, provider, matches[0]):
        match = matches[0]
        same = match.same_recording if provider.knows_recordings else None
        return Answer(provider.name, match.theirs, match, same, error=error)
    doubtful = [
        match
        for match in matches
        if match.verdict in (Verdict.LOW, Verdict.MEDIUM) or _is_undone(known, provider, match)
    ]
    return Answer(provider.name, doubtful=doubtful[:PROPOSED], error=error)


def _is_undone(known: Known, provider: Provider, match: Match) -> bool:
    return (provider.name, match.theirs.id) in known.undone


def _look_again(http: Doorway, known: Known, provider: Provider, taken: ProviderMatch) -> Answer:
    # By its identifier alone: the ASIN and ISBN of ours may be those of another record.
    wanted = replace(known.facts, source=provider.name, id=taken.record, region=taken.region, asin="", isbns=())
    asked = ask(http, provider, "look_up", wanted)
    # Of another record than that, as one that it was merged into, nothing is known.
    record = next((facts for facts in asked.found if facts.id == taken.record), None)
    if record is not None and taken.state == ProviderMatch.State.AUTOMATIC:
        match = compare(known.facts, record)
        if match.verdict is not Verdict.STRONG:
            return Answer(provider.name, doubtful=[match], withdrawn=True, error=asked.error)
    # Of a provider that knows none, a comparison by which it was the very recording says nothing of its fields.
    same = taken.same_recording if provider.knows_recordings else None
    return Answer(provider.name, record, same_recording=same, error=asked.error)


def _judged(known: Known, provider: Provider, records: Iterable[BookFacts]) -> list[Match]:
    """Best first; without those that a person said are not the book."""
    unique = {(provider.name, facts.id, facts.region): facts for facts in records}
    return choose(known.facts, [facts for key, facts in unique.items() if key[:2] not in known.rejected])


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


def _remember(known: Known, answers: list[Answer]) -> list[ProviderMatch]:
    """What was matched, and what a person has to look at: to be added where there is no decision yet."""
    rows = []
    for answer in answers:
        if answer.withdrawn:
            (match,) = answer.doubtful
            taken = _matches(known, answer, ProviderMatch.State.AUTOMATIC).filter(record=match.theirs.id)
            taken.update(state=ProviderMatch.State.PROPOSED, **_columns(match))
            continue
        if answer.match is not None and answer.provider in known.proposed:
            _matches(known, answer, ProviderMatch.State.PROPOSED).delete()
        found = [(answer.match, ProviderMatch.State.AUTOMATIC)] if answer.match is not None else []
        found += [(match, ProviderMatch.State.PROPOSED) for match in answer.doubtful]
        for match, state in found:
            key = {"record": match.theirs.id, "region": match.theirs.region}
            rows.append(ProviderMatch(book=known.book, provider=answer.provider, state=state, **key, **_columns(match)))
    return rows


def _matches(known: Known, answer: Answer, state: ProviderMatch.State) -> QuerySet[ProviderMatch]:
    return ProviderMatch.objects.filter(book=known.book, provider=answer.provider, state=state)


def _columns(match: Match) -> dict[str, Any]:
    return {
        "verdict": match.verdict,
        "distance": match.distance,
        "evidence": match.as_json(),
        "facts": match.theirs.as_json(),
        "same_recording": match.same_recording,
    }


# --- a run ------------------------------------------------------------------------------------------------------------


def refresh_books(run: TaskRun, kind: str) -> None:
    """Go on with the unfinished run of this kind, or begin one.

    Raises:
        TaskFailed: there is no provider, none answers, asking broke over each book, or the guard asks a person.
    """
    now = timezone.now()
    last = MetadataRun.objects.filter(kind=kind).first()
    if last and last.state in (MetadataRun.State.RUNNING, MetadataRun.State.ASKS):
        is_stale = last.started_at < now - GONE_STALE[MetadataRun.Kind(kind)]
        # A person who let it go on, however late, wants this one.
        if is_stale and not last.may_change_much:
            MetadataRun.objects.filter(pk=last.pk).update(state=MetadataRun.State.ABANDONED, finished_at=now)
            run.warning("%s was not finished in time; a new one begins.", last)
        elif last.state == MetadataRun.State.ASKS:
            raise TaskFailed(_question(last), retry=False)
        else:
            run.log("Going on with %s, begun at %s.", last, last.started_at.isoformat(timespec="seconds"))
            _Refresh(run, last).work()
            return
    _Refresh(run, MetadataRun.objects.create(kind=kind, started_at=now)).work()


def refresh_book(run: TaskRun, pk: int) -> None:
    """Raises:
    TaskFailed: there is no such book, no provider, none answers, or asking broke.
    """
    if not Book.objects.filter(pk=pk).exists():
        raise TaskFailed(f"There is no book {pk}.", retry=False)
    record = MetadataRun.objects.create(kind=MetadataRun.Kind.ONE, started_at=timezone.now(), may_change_much=True)
    try:
        _Refresh(run, record, only=pk).work()
    finally:
        # Nobody goes on with it: the next one of this book is another.
        unfinished = MetadataRun.objects.filter(pk=record.pk, state=MetadataRun.State.RUNNING)
        unfinished.update(state=MetadataRun.State.ABANDONED, finished_at=timezone.now())


def refresh_one(pk: int, *, by: User) -> Task:
    """Queue a refresh of this book.

    Raises:
        NotAllowedNow: the Job that would do it was deleted.
    """
    return _queue("metadata_new", by, book=pk)


def _queue(job_id: str, by: User, **arguments: int) -> Task:
    job = Job.objects.filter(pk=job_id).first()
    if job is None:
        raise NotAllowedNow(f"The Job {job_id} was deleted; this would be done by one of its Tasks.")
    return job.run_now(arguments=arguments, user=by)


def queue_undo(record: MetadataRun, *, by: User) -> Task:
    """Queue the undoing of a run, which takes a while where it changed much.

    Raises:
        NotAllowedNow: the Job that would do it was deleted.
    """
    return _queue("metadata_full", by, undo=record.pk)


def undo_refresh(run: TaskRun, pk: int) -> None:
    """Raises:
    TaskFailed: there is no such run, or it is not to be undone now.
    """
    record = MetadataRun.objects.filter(pk=pk).first()
    if record is None:
        raise TaskFailed(f"There is no refresh #{pk}.", retry=False)
    try:
        undone, left = undo_run(record, run)
    except NotAllowedNow as error:
        raise TaskFailed(str(error), retry=False) from None
    run.result = {"run": pk, "changes undone": undone, "fields written again since and left": left}
    if run.saw_stop:
        run.warning("Stopped: %s changes are undone, the others are not. Undo it again to go on.", undone)


def let_go_on(record: MetadataRun) -> None:
    """Raises:
    NotAllowedNow: it does not ask.
    """
    asking = MetadataRun.objects.filter(pk=record.pk, state=MetadataRun.State.ASKS)
    if not asking.update(state=MetadataRun.State.RUNNING, may_change_much=True):
        raise NotAllowedNow(f"{record} does not wait for an answer.")


def go_on(record: MetadataRun, *, by: User) -> Task:
    """Let it change as much as it wants, and queue that it goes on.

    Raises:
        NotAllowedNow: it does not ask, or the Job that would do it was deleted.
    """
    let_go_on(record)
    return _queue("metadata_new" if record.kind == MetadataRun.Kind.NEW else "metadata_full", by)


def undo_run(record: MetadataRun, run: TaskRun | None = None) -> tuple[int, int]:
    """Put back what it replaced, book by book; what was broken off is gone on with by doing it again.

    The matches by which it wrote wait for a person: else the next run would write the same. `run` shows how far it is.

    Returns how many changes were undone, and how many fields were written again since and left.

    Raises:
        NotAllowedNow: it is at work, or undone.
    """
    to_undo = record.changes.filter(undone_at=None).order_by("-pk")
    with transaction.atomic():
        # A Task that would go on with it waits for this lock, and finds it undone.
        locked = MetadataRun.objects.select_for_update().get(pk=record.pk)
        if Task.objects.filter(pk=locked.task_id or 0, status=Task.Status.RUNNING).exists():
            raise NotAllowedNow(f"{record} is at work.")
        if locked.state == MetadataRun.State.UNDONE and not to_undo.exists():
            raise NotAllowedNow(f"{record} is undone already.")
        MetadataRun.objects.filter(pk=record.pk).update(state=MetadataRun.State.UNDONE, finished_at=timezone.now())
    if run is not None:
        run.progress(total=to_undo.count())
    undone = left = 0
    while changes := list(to_undo.select_related("book")[:BATCH]):
        for change in changes:
            if run is not None and run.should_stop:
                return undone, left
            left += len(undo_change(change))
            undone += 1
            if run is not None:
                run.progress(undone, text=change.book.title[:200])
                run.succeeded()
    return undone, left


def undo_change(change: BookChange) -> list[str]:
    """As `fields.undo`. Where a run wrote it, what matched the book by rule waits for a person: what was undone would be
    written again by the next run, if not by the record that wrote it, then by one that is trusted less."""
    with transaction.atomic():
        # The book is locked first, as by a refresh that writes it.
        left = undo(change)
        if change.run_id is not None and written_by(change):
            taken = ProviderMatch.objects.filter(book=change.book_id, state=ProviderMatch.State.AUTOMATIC)
            taken.update(state=ProviderMatch.State.PROPOSED, undone=True)
    return left


Asked = Mapping[str, Future[Answer]]
"""By provider: each its own, so that a bug in one adapter costs no answers of the others."""


class _Askers:
    """Threads that ask and fetch covers, each with a connection to the database for as long as the block lasts."""

    def __init__(self) -> None:
        self.http = Doorway()
        self.providers = providers()
        self._is_over = False
        self._quiet: dict[str, tuple[float, str]] = {}
        """Host of covers -> time.monotonic() until which it is to be left alone, and why."""

    def __enter__(self) -> _Askers:
        self._pool = ThreadPoolExecutor(ASKERS, thread_name_prefix="ask")
        return self

    def __exit__(self, *exception: object) -> None:
        self._is_over = True
        together = threading.Barrier(ASKERS)
        for _ in range(ASKERS):
            self._pool.submit(_close_connection, together)
        self._pool.shutdown()

    def ask(self, known: Known) -> Asked:
        """One answer a provider, which may be one that failed, or that it knows nothing once the block is over."""
        return {provider.name: self._pool.submit(self._ask, known, provider) for provider in self.providers}

    def _ask(self, known: Known, provider: Provider) -> Answer:
        if self._is_over:
            return Answer(provider.name)
        # Open for good, so that not every statement makes one of its own.
        connection.ensure_connection()
        return find(self.http, known, provider)

    def fetch_cover(self, pk: int, url: str) -> Future[str]:
        """Why there is none, or empty."""
        return self._pool.submit(self._fetch_cover, pk, url)

    def _fetch_cover(self, pk: int, url: str) -> str:
        if self._is_over:
            return ""
        host = urlsplit(url).netloc
        until, why = self._quiet.get(host, (0.0, ""))
        if time.monotonic() < until:
            return why
        # Open for good, so that not every statement makes one of its own.
        connection.ensure_connection()
        try:
            covers.fetch(Book(pk=pk, cover_url=url), self._download)
        except LeftAlone as error:
            if error.retry_after is not None:
                self._quiet[host] = time.monotonic() + error.retry_after.total_seconds(), str(error)
            return str(error)
        except (ServiceError, covers.CoverError, OSError) as error:
            return str(error)
        return ""

    def _download(self, url: str) -> bytes:
        return self.http.download(url, most_bytes=covers.LARGEST_BYTES, redirects_to=COVERS_REDIRECT_TO).body


def _close_connection(together: threading.Barrier) -> None:
    # Each thread has one of its own, and waits so that no other takes its turn.
    connections.close_all()
    together.wait(timeout=60)


@dataclass(frozen=True)
class Due:
    """A book of which the answers are to be written."""

    known: Known
    answers: list[Answer]
    offers: dict[str, Offer]

    def columns(self, now: datetime) -> dict[str, Any]:
        is_described = any(answer.record for answer in self.answers)
        return {"tried_at": now, "refreshed_at": now} if is_described else {"tried_at": now}


class _Refresh:
    """A Task at work on a run."""

    def __init__(self, run: TaskRun, record: MetadataRun, *, only: int | None = None) -> None:
        self.run = run
        self.record = record
        self.books = Book.objects.filter(pk=only) if only is not None else _books_of(record)
        self.unanswered = 0
        self.silent = 0
        self.changed = 0
        self.reviews = 0
        self.reasons: dict[str, str] = {}
        self.covers: deque[Future[str]] = deque()
        self.lacking: Counter[str] = Counter()
        """Why a cover could not be had -> how many."""
        self.due: list[Due] = []

    def work(self) -> None:
        askers = _Askers()
        if not askers.providers:
            raise TaskFailed("No metadata provider is turned on (METADATA_PROVIDERS). Nothing was done.", retry=False)
        going = MetadataRun.objects.filter(pk=self.record.pk, state=MetadataRun.State.RUNNING)
        if not going.update(task_id=self.run.task_id):
            raise TaskFailed(f"{self.record} was undone just now. Nothing was done.", retry=False)
        self.run.progress(total=self._left().count())
        self.limit = max(LEAST_GUARDED, self.books.count() * settings.METADATA_GUARD_PERCENT // 100)
        with askers:
            try:
                finished = self._go_through(askers) and self._write(askers) and self._have_covers(0)
            finally:
                # Also where it ends before: what was answered is written.
                self._write(askers)
        got_nothing = self.run.items_failed > 0 and not self.run.items_succeeded
        is_silent = got_nothing and self.silent > 0
        if finished and not is_silent:
            going.update(state=MetadataRun.State.FINISHED, finished_at=timezone.now())
        self._conclude(finished)
        if is_silent:
            raise TaskFailed(self._nobody())
        if got_nothing:
            # The same would break again.
            raise TaskFailed(f"Asking broke over each book, as the log tells. {self._reasons()}", retry=not finished)

    def _go_through(self, askers: _Askers) -> bool:
        """Whether nothing is left."""
        asked: deque[tuple[Known, Asked]] = deque()
        for known in self._known():
            asked.append((known, askers.ask(known)))
            if len(asked) + len(self.due) >= AHEAD and not self._settle(askers, *asked.popleft()):
                return False
        return all(self._settle(askers, *each) for each in asked)

    def _left(self) -> QuerySet[Book]:
        return self.books.filter(Q(tried_at=None) | Q(tried_at__lt=self.record.started_at))

    def _known(self) -> Iterator[Known]:
        """What is left, oldest first, in batches that begin behind the last: what is being asked about is left as well."""
        never, before = self.books.filter(tried_at=None), self.books.filter(tried_at__lt=self.record.started_at)
        last = 0
        while batch := list(never.filter(pk__gt=last).order_by("pk")[:BATCH]):
            last = batch[-1].pk
            yield from _known_of(batch)
        moment, last = datetime.min.replace(tzinfo=self.record.started_at.tzinfo, year=1900), 0
        while batch := list(
            before.filter(tried_at__gte=moment)
            .exclude(tried_at=moment, pk__lte=last)
            .order_by("tried_at", "pk")[:BATCH]
        ):
            assert batch[-1].tried_at is not None
            moment, last = batch[-1].tried_at, batch[-1].pk
            yield from _known_of(batch)

    def _have_covers(self, most: int) -> bool:
        """Wait until so many are on their way at most. False where it is to stop instead."""
        while len(self.covers) > most:
            while not wait([self.covers[0]], timeout=LOOK).done:
                if self.run.should_stop:
                    return False
            if reason := self.covers.popleft().result():
                if reason not in self.lacking:
                    self.run.warning("A cover could not be had: %s", reason)
                self.lacking[reason] += 1
        return True

    def _settle(self, askers: _Askers, known: Known, asked: Asked) -> bool:
        """Wait for the answers about one book, to be written with others. False where it is to stop instead."""
        while True:
            if self.run.should_stop:
                return False
            if all(future.done() for future in asked.values()) or not wait(asked.values(), timeout=LOOK).not_done:
                break
            self._write(askers)
        answers, broke = self._answers(known, asked)
        self.run.progress(self.run.processed + 1, text=known.facts.title[:200])
        if all(answer.is_none for answer in answers):
            self.run.failed()
            if broke:
                # Else it would come first in each run, and ten of its kind would end them all.
                Book.objects.filter(pk=known.book.pk).update(tried_at=timezone.now())
                return True
            self.silent += 1
            self.unanswered += 1
            if self.unanswered >= UNANSWERED:
                raise TaskFailed(self._nobody())
            return True
        self.unanswered = 0
        due = Due(known, answers, offers_from(answers))
        self._guard(askers, due)
        self.due.append(due)
        self.run.succeeded()
        if len(self.due) >= TOGETHER:
            self._write(askers)
        return self._have_covers(AHEAD)

    def _answers(self, known: Known, asked: Asked) -> tuple[list[Answer], bool]:
        """None of a provider where asking it broke: a record that an adapter cannot digest keeps nothing else from being asked.

        And whether one broke over the book, which it does not where the database is away.
        """
        answers, broke_over_it = [], False
        for provider, future in asked.items():
            if (broke := future.exception()) is not None:
                told = "".join(traceback.format_exception(broke))
                self.run.error("%s could not be asked about at %s.\n%s", known.book, provider, told)
                self.reasons[provider] = f"{type(broke).__name__}: {broke}"
                broke_over_it |= not isinstance(broke, (InterfaceError, OperationalError))
                continue
            answers.append(answer := future.result())
            if answer.error is not None:
                self.reasons[provider] = str(answer.error)
        return answers, broke_over_it

    def _guard(self, askers: _Askers, due: Due) -> None:
        """Stop and ask where one more book would be changed than the guard allows."""
        if self.record.may_change_much or self.record.replaced + len(self.due) < self.limit:
            return
        self._write(askers)
        book = due.known.book
        if self.record.replaced >= self.limit and decide(values_of(book), book.provenance, due.offers).replaces:
            MetadataRun.objects.filter(pk=self.record.pk).update(state=MetadataRun.State.ASKS)
            raise TaskFailed(_question(self.record), retry=False)

    def _write(self, askers: _Askers) -> bool:
        """All that is due. True, for what is there to be done is done."""
        due, self.due = self.due, []
        for pk, url in self._written(due):
            self.covers.append(askers.fetch_cover(pk, url))
        return True

    def _written(self, due: list[Due]) -> list[tuple[int, str]]:
        """Write them together; where that fails each by itself, so that a value which no column takes, or a name that was
        merged away this moment, stops no other book. Returns the books that have no cover, and where it is."""
        if not due:
            return []
        try:
            return self._write_together(due)
        except (DataError, IntegrityError, ValueError) as error:
            if len(due) > 1:
                return [each for one in due for each in self._written([one])]
            self.run.error("%s could not be written: %s", due[0].known.book, error)
            Book.objects.filter(pk=due[0].known.book.pk).update(tried_at=timezone.now())
            return []

    def _write_together(self, due: list[Due]) -> list[tuple[int, str]]:
        now = timezone.now()
        with transaction.atomic():
            due = _as_decided(due)
            offered = [Offered(each.known.book, each.offers, each.columns(now)) for each in due]
            done = apply_all(offered, why=str(self.record), now=now, run=self.record)
            # What is not there was deleted while it was asked about.
            written = [(each, one[0]) for each, one in zip(due, done, strict=True) if one is not None]
            rows = [row for each, _ in written for row in _remember(each.known, each.answers)]
            if rows:
                ProviderMatch.objects.bulk_create(rows, ignore_conflicts=True)
            changed = sum(bool(decision.accepted) for _, decision in written)
            replaced = sum(decision.replaces for _, decision in written)
            MetadataRun.objects.filter(pk=self.record.pk).update(
                checked=F("checked") + len(written), changed=F("changed") + changed, replaced=F("replaced") + replaced
            )
        self.record.replaced += replaced
        self.changed += changed
        self.reviews += sum(any(answer.doubtful for answer in each.answers) for each, _ in written)
        books = {each.known.book.pk: each.known.book for each, _ in written}
        urls = {pk: book.cover_url for pk, book in books.items() if not book.cover}
        for each, decision in written:
            if "cover_url" in decision.accepted:
                urls[each.known.book.pk] = decision.accepted["cover_url"].value
        return [(pk, url) for pk, url in urls.items() if url]

    def _nobody(self) -> str:
        return f"No provider answers; the books it did not answer for are as they were. {self._reasons()} The next run goes on."

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
        for name, reason in self.reasons.items():
            self.run.warning("%s: %s", name, reason)
        for reason, count in self.lacking.most_common(20):
            self.run.warning("Covers that could not be had: %s. %s", count, reason)


def _books_of(record: MetadataRun) -> QuerySet[Book]:
    # What is only known of was described by the catalogue that listed it.
    books = Book.objects.exclude(standing=Book.Standing.KNOWN)
    if record.kind == MetadataRun.Kind.NEW:
        books = books.filter(added_at__gte=record.started_at - timedelta(days=NEW_DAYS))
    return books


def _known_of(batch: list[Book]) -> Iterator[Known]:
    read_names(batch)
    rows: dict[int, list[ProviderMatch]] = {}
    for row in ProviderMatch.objects.filter(book__in=batch).defer("evidence", "facts"):
        rows.setdefault(row.book_id, []).append(row)
    for book in batch:
        mine = rows.get(book.pk, [])
        # The last stays: of a person's words the latest.
        taken = sorted(
            (row for row in mine if row.state in ProviderMatch.TAKEN),
            key=lambda row: (row.state == ProviderMatch.State.ACCEPTED, row.decided_at or row.made_at),
        )
        yield Known(
            book,
            facts_of(book),
            {row.provider: row for row in taken},
            frozenset(row.provider for row in mine if row.state == ProviderMatch.State.PROPOSED),
            frozenset((row.provider, row.record) for row in mine if row.state == ProviderMatch.State.REJECTED),
            frozenset(
                (row.provider, row.record) for row in mine if row.undone and row.state == ProviderMatch.State.PROPOSED
            ),
        )


def _as_decided(due: list[Due]) -> list[Due]:
    """Without the records that a person rejected, or whose values were undone, while the books were asked about; of a
    provider of which a person accepted another, none. The books are locked from here on, as by who decides."""
    pks = [each.known.book.pk for each in due]
    list(Book.objects.select_for_update().filter(pk__in=pks).order_by("pk").values_list("pk", flat=True))
    state = ProviderMatch.State
    rows = ProviderMatch.objects.filter(
        Q(state__in=ProviderMatch.DECIDED) | Q(state=state.PROPOSED, undone=True), book__in=pks
    )
    accepted: dict[tuple[int, str], set[str]] = {}
    refused: dict[tuple[int, str], set[str]] = {}
    for book, provider, record, decision in rows.values_list("book", "provider", "record", "state"):
        decided = accepted if decision == state.ACCEPTED else refused
        decided.setdefault((book, provider), set()).add(record)

    def stands(book: int, answer: Answer) -> bool:
        if answer.record is None:
            return True
        of_it, record = (book, answer.provider), answer.record.id
        return record not in refused.get(of_it, ()) and record in accepted.get(of_it, (record,))

    standing = []
    for pk, each in zip(pks, due, strict=True):
        answers = [answer for answer in each.answers if stands(pk, answer)]
        if len(answers) < len(each.answers):
            each = replace(each, answers=answers, offers=offers_from(answers))
        standing.append(each)
    return standing


def _question(record: MetadataRun) -> str:
    return (
        f"{record} replaced values of {record.replaced} books and would go on. That is more than the guard allows "
        f"({settings.METADATA_GUARD_PERCENT} % of the books), so it stopped. Look at its changes, then let it go on or undo it."
    )
