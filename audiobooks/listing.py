"""Ask the catalogue which books series and authors have, and record those that are not known as such.

Those asked longest ago are asked first, so that runs of a bounded length get round to all of them. What the catalogue does
not list is left as it is. A listed recording goes under the work that it is a recording of, whatever its ASIN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.db import DataError, IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from scheduling.context import TaskRun, each_on_its_own

from .exceptions import NoRecord
from .facts import BookFacts
from .fields import Offer, Offered, apply_all, facts_of, new_books, offers_of
from .gaps import AUTHOR, SERIES, languages_wanted, watched_authors, watched_series
from .http import Doorway
from .library.albums import key_of
from .matching.names import language_code
from .matching.titles import series_key
from .matching.works import keys_of, likeness
from .metadata.audible import DOMAINS
from .metadata.audnexus import Audnexus
from .metadata.registry import catalogue, put
from .models import Author, Book, Listing, ProviderMatch, Series, Work, with_names
from .names import lock_making, rows_of, work_of
from .owning import works_of

TOGETHER = 50
"""Books recorded in one transaction."""
BESIDE = 1000
"""Books of a series or an author that new ones are compared with at most."""
MEMBERS_ASKED = 3
"""Books of a series by which its identifier is looked up: the first may be sold no more."""
UNANSWERED = 3
"""So many in a row that the catalogue did not answer for end a run."""

Found = tuple[BookFacts, ...] | None
"""None where the catalogue has no such series."""


@dataclass
class Listed:
    """What a run came to. books: listed; new: recorded of them; failed: series or authors without an answer."""

    asked: int = 0
    books: int = 0
    new: int = 0
    failed: int = 0


def list_series(run: TaskRun, most: int = 50, *, only: int | None = None) -> Listed:
    """Ask for the books of at most so many series of which something is owned, or that are followed; or of one alone.

    Raises:
        Exception: what this program tripped over at one, when the others were asked for.
    """
    rows = watched_series() if only is None else Series.objects.filter(pk=only)
    return _list(run, SERIES, _due(rows, most), _of_series)


def list_authors(run: TaskRun, most: int = 25, *, only: int | None = None) -> Listed:
    """Ask for the books of at most so many authors who are followed, by rule or by a person; or of one alone.

    Raises:
        Exception: what this program tripped over at one, when the others were asked for.
    """
    rows = watched_authors() if only is None else Author.objects.filter(pk=only)
    return _list(run, AUTHOR, _due(rows, most), _of_author)


def _due(rows: QuerySet[Any], most: int) -> QuerySet[Any]:
    return rows.order_by(F("listing__asked_at").asc(nulls_first=True), "pk")[:most]


def _list(run: TaskRun, kind: str, rows: QuerySet[Any], ask: Callable[[Any, Audnexus], _Question]) -> Listed:
    look = _Look(run, kind, ask)
    due = list(rows)
    run.progress(total=len(due))
    each_on_its_own(partial(_take, look, row) for row in due)
    if look.turned_off and look.listed.asked:
        run.warning("Nothing was listed: %s", look.turned_off)
    return look.listed


@dataclass
class _Look:
    """A run. silent: how many in a row the catalogue did not answer for."""

    run: TaskRun
    kind: str
    ask: Callable[[Any, Audnexus], _Question]
    provider: Audnexus | None = field(default_factory=catalogue)
    http: Doorway = field(default_factory=Doorway)
    listed: Listed = field(default_factory=Listed)
    silent: int = 0

    @property
    def turned_off(self) -> str:
        return _why_not(self.provider)


def _take(look: _Look, row: Any) -> None:
    if look.run.should_stop or look.silent >= UNANSWERED:
        return
    look.listed.asked += 1
    with ExitStack() as at_its_end:
        at_its_end.callback(lambda: look.run.progress(look.run.processed + 1))
        at_its_end.push(partial(_note_what_tripped, look, row))
        _look_up(look, row)


def _note_what_tripped(look: _Look, row: Any, _: object, error: BaseException | None, __: object) -> None:
    """What nobody foresees ends the Task, which has the traceback, when the others were asked for; else it would be the
    first of each run."""
    if isinstance(error, Exception):
        look.listed.failed += 1
        look.run.failed()
        why = f"This program tripped over the answer ({type(error).__name__}); the Task that failed says where."
        _note(look.kind, row, error=why)


def _look_up(look: _Look, row: Any) -> None:
    run, listed, provider = look.run, look.listed, look.provider
    if provider is None or look.turned_off:
        _note(look.kind, row, error=look.turned_off)
        listed.failed += 1
        return
    question = look.ask(row, provider)
    outcome = put(look.http, provider, question.put)
    error = str(outcome.error) if outcome.error else question.lacks if not outcome.answer else ""
    look.silent = look.silent + 1 if outcome.error and outcome.answer is None else 0
    try:
        new = record(outcome.answer or (), series=row if look.kind == SERIES else None, beside=question.beside)
    except (DataError, IntegrityError, OverflowError) as failed:
        new, error = 0, str(failed).strip().partition("\n")[0]
    _note(look.kind, row, books=len(outcome.answer or ()), error=error)
    listed.books += len(outcome.answer or ())
    listed.new += new
    listed.failed += bool(error)
    if error:
        run.failed()
        run.warning("%s: %s", row, error)
    else:
        run.succeeded()
        run.log("%s: %s books are listed, %s of them new.", row, len(outcome.answer or ()), new)
    if look.silent == UNANSWERED:
        run.warning("%s answers nothing; the others are asked in the next run.", provider.label)


def _why_not(provider: Audnexus | None) -> str:
    if provider is None:
        return "No provider that is turned on lists books (METADATA_PROVIDERS lacks audnexus)."
    if settings.AUDIBLE_REGION not in DOMAINS:
        return f"Audible has no marketplace “{settings.AUDIBLE_REGION}” (AUDIBLE_REGION)."
    return ""


def _note(kind: str, row: Any, *, error: str, books: int | None = None) -> None:
    told: dict[str, Any] = {"asked_at": timezone.now(), "error": error[:500]}
    # How many were listed when it answered last is still the best that is known.
    if books:
        told["books"] = books
    Listing.objects.update_or_create(**{kind: row}, defaults=told)


# --- asking -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Question:
    """put: to be put to the catalogue. beside: books that may be of the works that it lists. lacks: said where it lists none."""

    put: Callable[[Doorway], Found]
    beside: QuerySet[Book]
    lacks: str


def _of_series(series: Series, provider: Audnexus) -> _Question:
    beside = Book.objects.filter(series_entries__series=series)
    names = [series.name, *series.aliases.values_list("name", flat=True)]
    known = list(
        ProviderMatch.objects.filter(
            provider=provider.name, state__in=ProviderMatch.TAKEN, book__series_entries__series=series
        )
        .order_by("pk")
        .values_list("facts", flat=True)[:BESIDE]
    )
    with_asin = beside.exclude(asin="").annotate(is_owned=Q(standing=Book.Standing.OWNED))
    members = list(with_asin.order_by("-is_owned", "pk").values_list("asin", flat=True)[:MEMBERS_ASKED])

    def ask(http: Doorway) -> Found:
        for told in _told(http, provider, known, members):
            if place := _place_of(told, names):
                return provider.series_books(http, place, told.region)
        return None

    lacks = f"Audible ({settings.AUDIBLE_REGION}) has no such series that we could find."
    if not known and not members:
        lacks = "Nothing was asked: no book of it has an ASIN yet, or a match at Audnexus. The refresh of metadata looks for them."
    return _Question(ask, beside, lacks)


def _told(
    http: Doorway, provider: Audnexus, known: Iterable[dict[str, Any]], asins: Iterable[str]
) -> Iterator[BookFacts]:
    """Records of members of a series: those that were matched before, then by their ASIN."""
    for facts in known:
        yield BookFacts.from_json(facts)
    for own in asins:
        try:
            if record := provider.series_of(http, own, settings.AUDIBLE_REGION):
                yield record
        except NoRecord:
            continue


def _place_of(told: BookFacts, names: Sequence[str]) -> str:
    """The identifier of the series of one of these names; universes are listed beside it."""
    keys, plain = {key_of(name) for name in names}, {series_key(name) for name in names}
    exact = (place.id for place in told.series if place.id and key_of(place.name) in keys)
    like = (place.id for place in told.series if place.id and series_key(place.name) in plain)
    return next(exact, "") or next(like, "")


def _of_author(author: Author, provider: Audnexus) -> _Question:
    beside = Book.objects.filter(authors=author)
    keys = {author.key, *author.aliases.values_list("key", flat=True)}
    matched = ProviderMatch.objects.filter(provider=provider.name, state__in=ProviderMatch.TAKEN, book__authors=author)
    ids = [
        (each["id"], each["name"])
        for facts in matched.order_by("pk").values_list("facts", flat=True)[:BESIDE]
        for each in facts.get("authors", ())
        if each.get("id") and key_of(each["name"]) in keys
    ]
    own, name = ids[0] if ids else ("", author.name)
    mine = beside.filter(standing=Book.Standing.OWNED).values_list("language", flat=True).distinct()
    wanted = languages_wanted() | {language_code(each) for each in mine} | {""}

    def ask(http: Doorway) -> Found:
        # Of every language there are many, and none but these ever counts.
        books = provider.author_books(http, name, own, settings.AUDIBLE_REGION)
        return tuple(book for book in books if book.language in wanted)

    return _Question(ask, beside, f"Audible ({settings.AUDIBLE_REGION}) lists nothing by {author}.")


# --- recording --------------------------------------------------------------------------------------------------------


def record(listed: Sequence[BookFacts], *, series: Series | None, beside: QuerySet[Book]) -> int:
    """Record what is not known yet, and what is said anew of what is known but not owned; returns how many are new.

    series: that which each has as its first, whatever the catalogue calls it.

    Raises:
        DataError, IntegrityError, OverflowError: a value does not fit; what was recorded before it stays.
    """
    now, new = timezone.now(), 0
    placed = [_under(facts, series) for facts in listed if facts.asin]
    for start in range(0, len(placed), TOGETHER):
        chunk = placed[start : start + TOGETHER]
        with transaction.atomic():
            lock_making()
            known = {
                book.asin: book for book in with_names(Book.objects.filter(asin__in={each.asin for each in chunk}))
            }
            unknown = list({each.asin: each for each in chunk if each.asin not in known}.values())
            works = _works(unknown, beside)
            columns = {"standing": Book.Standing.KNOWN}
            new_books([(work, _offers(facts), columns) for facts, work in zip(unknown, works, strict=True)], now=now)
            new += len(unknown)
        # By itself, for it locks series, and the new ones lock authors, which go first.
        _say_anew(chunk, known, now)
    return new


def _under(facts: BookFacts, series: Series | None) -> BookFacts:
    if series is None or not facts.series:
        return facts
    first, *others = facts.series
    others = [place for place in others if key_of(place.name) != series.key]
    return replace(facts, series=(replace(first, name=series.name), *others))


def _offers(facts: BookFacts) -> dict[str, Offer]:
    return offers_of(facts, facts.source)


def _say_anew(chunk: Sequence[BookFacts], known: dict[str, Book], now: datetime) -> None:
    """Such as a day of release that was put off. What is owned is refreshed elsewhere, within the guard."""
    told = {
        facts.asin: Offered(known[facts.asin], _offers(facts))
        for facts in chunk
        if facts.asin in known and known[facts.asin].standing != Book.Standing.OWNED
    }
    if told:
        apply_all(list(told.values()), why="listed by Audible", now=now)


def _works(unknown: Sequence[BookFacts], beside: QuerySet[Book]) -> list[Work]:
    """Of each its work: that of a like one beside it or in the library, else a new one."""
    if not unknown:
        return []
    near = _Near()
    for book in with_names(beside.order_by("pk").select_related("work"))[:BESIDE]:
        near.add(facts_of(book), book.work)
    elsewhere = works_of(unknown)
    there = Work.objects.in_bulk([pk for pk in elsewhere if pk is not None])
    # All at once, for one by one they would be locked in another order than by who refreshes books of theirs.
    rows_of(Author, [name for facts in unknown for name in facts.author_names])
    works = []
    for facts, pk in zip(unknown, elsewhere, strict=True):
        work = near.like(facts) or (there[pk] if pk is not None else None)
        if work is None:
            work = work_of(facts.title, rows_of(Author, facts.author_names))
        near.add(facts, work)
        works.append(work)
    return works


class _Near:
    """Descriptions by the words of their titles, each with its work."""

    def __init__(self) -> None:
        self._by_key: dict[str, list[tuple[BookFacts, Work]]] = {}

    def add(self, facts: BookFacts, work: Work) -> None:
        for key in _title_keys(facts):
            self._by_key.setdefault(key, []).append((facts, work))

    def like(self, facts: BookFacts) -> Work | None:
        nearest: tuple[float, Work] | None = None
        for key in _title_keys(facts):
            for other, work in self._by_key.get(key, ()):
                apart = likeness(other, facts)
                if apart is not None and (nearest is None or apart < nearest[0]):
                    nearest = apart, work
        return nearest[1] if nearest else None


def _title_keys(facts: BookFacts) -> list[str]:
    # Not by the authors, whom all of these share.
    return sorted(key for key in keys_of(facts) if not key.startswith("a:"))
