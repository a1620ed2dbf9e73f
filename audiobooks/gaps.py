"""What is missing of the series and authors that people own something of, and why; computed from the rows as they are.

What counts is the work, and its place in the series: a second edition, recording or ASIN of what one owns is no gap, and
neither is a volume that an omnibus has which one owns. Recordings in a language that is neither wanted
(`RELEASE_LANGUAGES`) nor that of a book owned of the same series or author do not count. A language or a day of release that
is not known counts as right, and as past.
"""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Count, DateTimeField, F, Min, Q, QuerySet, TextChoices, TextField, Value
from django.db.models.functions import Cast
from django.utils import timezone

from scheduling.exceptions import NotAllowedNow

from .facts import BookFacts, Contributor, SeriesPlace
from .matching.names import language_code, normalise
from .matching.positions import gaps as holes_in
from .matching.positions import parse_positions
from .matching.works import likeness
from .models import (
    Acquisition,
    Author,
    Authorship,
    Book,
    Follow,
    Proposal,
    Series,
    SeriesEntry,
    Work,
    WorkMark,
    WorkSearch,
)

Cause = Acquisition.Cause
Scope = Follow.Scope
SERIES, AUTHOR = "series", "author"

LONGEST_HOLE = 20
"""Volumes in a row that nobody names. A longer run says that the series counts in another way, as by years."""
MOST_COMPARED = 12
"""Works at one place of a series whose titles are compared."""
_LONGEST_NAME = 200
# As the database writes them: a member of an enumeration takes longer to compare, and these are compared for each book.
_OWNED, _WANTED, _KNOWN = (each.value for each in (Book.Standing.OWNED, Book.Standing.WANTED, Book.Standing.KNOWN))
_NO_DAY = "2100"
"""Days from then on stand for books that are announced without one, such as Audible's 2200-01-01."""


class Reason(TextChoices):
    """Why a work is not there. Those of SEARCHED have been looked for, or will be."""

    NOT_SEARCHED = "not_searched", "not searched yet"
    NO_RELEASE = "no_release", "no release found"
    LANGUAGE = "language", "in another language only"
    UNFIT = "unfit", "no release is fit"
    UNANSWERED = "unanswered", "no source answered"
    FOUND = "found", "found, but not fetched"
    NOT_RELEASED = "not_released", "not released yet"
    UNKNOWN_TITLE = "unknown_title", "no catalogue names it"
    PROPOSED = "proposed", "to be approved"
    DOWNLOADING = "downloading", "on its way"
    PROBLEM = "problem", "needs you"
    IN_A_SET = "in_a_set", "in a set you own"
    NAMESAKE = "namesake", "another series of this name"
    HEARD = "heard", "heard elsewhere"
    IGNORED = "ignored", "ignored"
    DECLINED = "declined", "declined as a proposal"


OF_OUTCOME: dict[str, Reason] = {
    WorkSearch.Outcome.FOUND: Reason.FOUND,
    WorkSearch.Outcome.NOTHING: Reason.NO_RELEASE,
    WorkSearch.Outcome.LANGUAGE: Reason.LANGUAGE,
    WorkSearch.Outcome.UNFIT: Reason.UNFIT,
    WorkSearch.Outcome.UNANSWERED: Reason.UNANSWERED,
}
HAD = frozenset({Reason.IN_A_SET, Reason.HEARD})
"""As good as owned."""
SETTLED = HAD | {Reason.IGNORED, Reason.DECLINED, Reason.NAMESAKE}
"""No gaps, but named where works are listed."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A work that is not owned as such.

    work, book: keys; the book is the recording that describes it best. Both None where no catalogue names the volume.
    position: in the series; empty where it has none. series: its name, on the board of an author.
    released: of the earliest recording that counts, as `Book.released`.
    next_at: when it is searched next, or released; None where nothing tells.
    note: what the reason is about, such as the set that has it.
    is_due: whether it may be searched now.
    """

    work: int | None
    title: str
    authors: str = ""
    position: str = ""
    series: str = ""
    book: int | None = None
    reason: Reason
    next_at: datetime | None = None
    released: str = ""
    note: str = ""
    is_due: bool = False

    @property
    def is_open(self) -> bool:
        return self.reason not in SETTLED


@dataclass(frozen=True, kw_only=True)
class Board:
    """A series or an author that something is owned of, or that is followed.

    have: works that are owned, in a set that is owned, or heard elsewhere. total: those and the open gaps.
    is_chosen: whether a person chose the scope.
    """

    key: int
    kind: str
    name: str
    scope: str
    is_chosen: bool
    have: int
    total: int
    gaps: tuple[Gap, ...]

    @property
    def open_gaps(self) -> tuple[Gap, ...]:
        return tuple(gap for gap in self.gaps if gap.is_open)


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A work that may be searched now. `why` says what for, `searched_at` when it was searched last."""

    work: int
    book: int
    title: str
    cause: str
    why: str
    searched_at: datetime | None


class Recording(NamedTuple):
    """A Book, as far as boards are made of it. added: as the database writes it, which sorts by time."""

    pk: int
    work: int
    standing: str
    title: str
    language: str
    abridged: bool | None
    released: str
    asin: str
    added: str


@dataclass(frozen=True, kw_only=True)
class Look:
    """One work. gap: None where it is owned, or nothing is known of it. places: key and name of series, and position."""

    gap: Gap | None
    places: tuple[tuple[int, str, str], ...]
    books: tuple[Recording, ...]


# --- asking -----------------------------------------------------------------------------------------------------------


@contextmanager
def _without_collector() -> Iterator[None]:
    """Rows by the hundred thousand stay until the boards are made: the collector would look through them again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@_without_collector()
def series_boards(*, only: int | None = None, follow: Follow | None = None) -> list[Board]:
    """By name. `only`: of this series alone. `follow`: as if that were its scope."""
    return _asked(SERIES, only).boards(SERIES, only=only, follow=follow)


@_without_collector()
def author_boards(*, only: int | None = None, follow: Follow | None = None) -> list[Board]:
    """By name. `only`: of this author alone. `follow`: as if that were the scope."""
    return _asked(AUTHOR, only).boards(AUTHOR, only=only, follow=follow)


def _asked(kind: str, only: int | None) -> _Shelf:
    if only is None:
        return _Shelf(None)
    column = "series_entries__series" if kind == SERIES else "authors"
    works = Book.objects.filter(**{column: only})
    return _Shelf(works, only=only if kind == SERIES else None)


@_without_collector()
def all_boards() -> list[Board]:
    """By name, those of series and of authors; in as many queries as those of either."""
    shelf = _Shelf(None)
    both = [*shelf.boards(SERIES), *shelf.boards(AUTHOR)]
    return sorted(both, key=lambda board: board.name.casefold())


def preview(kind: str, key: int, follow: Follow) -> tuple[Board, Board] | None:
    """The board of a series or an author as it is, and as it would be with that scope; None where there is none such."""
    shelf = _asked(kind, key)
    both = [*shelf.boards(kind, only=key), *shelf.boards(kind, only=key, follow=follow)]
    return (both[0], both[1]) if both else None


def look_at(work: int) -> Look:
    """What is known of one work."""
    shelf = _Shelf(Book.objects.filter(work=work))
    first = shelf.first(work)
    books = sorted(shelf.books_of(first))
    placed = [
        (key, shelf.names[SERIES][key], unit.position, places.languages)
        for key, places in shelf.series.items()
        for unit in (*places.units, *places.strangers)
        if unit.first == first
    ]
    gap = None
    if books and first not in shelf.owned:
        languages = frozenset().union(*(languages for *_, languages in placed))
        gap = shelf.gap(first, "", wanted=shelf.base | languages, preferred=languages)
    return Look(gap=gap, places=tuple(place[:3] for place in placed), books=tuple(books))


def mark(work: Work, kind: str, *, by: User) -> None:
    """No recording of it is wanted: `kind` is a WorkMark.Kind."""
    WorkMark.objects.update_or_create(work=work, defaults={"kind": kind, "by": by, "at": timezone.now()})


def unmark(work: Work) -> None:
    """Raises:
    NotAllowedNow: it has no mark.
    """
    if not WorkMark.objects.filter(work=work).delete()[0]:
        raise NotAllowedNow("It is neither ignored nor heard elsewhere.")


@_without_collector()
def missing(*, cause: str | None = None, only: int | None = None, scope: str | None = None) -> list[Missing]:
    """What may be searched now, each work once: those never searched first, then those searched longest ago.

    cause: gaps of series or of authors alone. only: of this series or author. scope: as if each were followed so from today.
    """
    shelf = _Shelf(None)
    follow = None if scope is None else Follow(scope=scope, since=timezone.localdate())
    found: dict[int, Missing] = {}
    for kind in (SERIES, AUTHOR):
        if cause not in (None, kind):
            continue
        for board in shelf.boards(kind, only=only, follow=follow):
            for gap in board.gaps:
                if gap.is_due and gap.work is not None and gap.book is not None:
                    why = _why(board, gap)
                    found.setdefault(shelf.first(gap.work), shelf.missing(gap.work, gap.book, gap.title, kind, why))
    return _in_turn(found.values())


def wishes() -> list[Missing]:
    """Works that are wanted, not owned, and may be searched now, in the order of `missing`."""
    shelf = _Shelf(Book.objects.filter(standing=Book.Standing.WANTED))
    found: dict[tuple[str, str], Gap] = {}
    for book in sorted(shelf.books.values()):
        if book.standing == _WANTED and (first := shelf.first(book.work)) not in shelf.owned:
            # A person asked for this work: whether a set has it, and in which language, is not asked here.
            gap = shelf.gap(first, "", wanted=None)
            # Two rows of one title, whose authors were merged since, are one work.
            found.setdefault((gap.title.casefold(), gap.authors or str(first)), gap)
    return _in_turn(
        shelf.missing(gap.work, gap.book, gap.title, Cause.WISH, "a wish")
        for gap in found.values()
        if gap.is_due and gap.work is not None and gap.book is not None
    )


def watched_series() -> QuerySet[Any]:
    """Of which something is owned, or that are followed, unless nothing of it is wanted."""
    watched = Q(began__isnull=False) | Q(follow__isnull=False)
    return _series().filter(watched).exclude(follow__scope=Scope.NONE)


def watched_authors() -> QuerySet[Any]:
    """Of whom enough is owned (`FOLLOW_AUTHORS`), or who are followed, unless nothing of them is wanted."""
    return _authors().filter(_watched_author()).exclude(follow__scope=Scope.NONE)


def _series() -> QuerySet[Any]:
    """Each with `began`: when the first owned book of it came."""
    mine = Q(entries__book__standing=Book.Standing.OWNED)
    return Series.objects.annotate(began=Min("entries__book__added_at", filter=mine))


def _authors() -> QuerySet[Any]:
    """Each with how many `works` are owned."""
    mine = Q(books__standing=Book.Standing.OWNED)
    return Author.objects.annotate(works=Count("books__work", filter=mine, distinct=True))


def _watched_author() -> Q:
    followed = Q(follow__isnull=False)
    return followed | Q(works__gte=settings.FOLLOW_AUTHORS) if settings.FOLLOW_AUTHORS > 0 else followed


def languages_wanted() -> frozenset[str]:
    return frozenset(_code(each) for each in settings.RELEASE_LANGUAGES)


def _in_turn(found: Iterable[Missing]) -> list[Missing]:
    never = datetime.min.replace(tzinfo=timezone.get_default_timezone(), year=1900)
    return sorted(found, key=lambda each: each.searched_at or never)


def _why(board: Board, gap: Gap) -> str:
    name = board.name[:_LONGEST_NAME]
    if board.kind == AUTHOR:
        return f"a book by {name}"
    return f"number {gap.position} of {name}" if gap.position else f"of the series {name}"


# --- what is there ----------------------------------------------------------------------------------------------------


def _said(what: str, state: F, next_at: Any = None, at: Any = None, told: Any = None) -> list[Any]:
    """Columns in which marks, searches and acquisitions are read by one query."""
    nothing = Cast(Value(None), DateTimeField())
    return [
        Value(what, output_field=TextField()),
        Cast(state, TextField()),
        nothing if next_at is None else next_at,
        nothing if at is None else at,
        Value("", output_field=TextField()) if told is None else told,
    ]


class _Search(NamedTuple):
    outcome: str
    next_at: datetime
    searched_at: datetime


class _Unit(NamedTuple):
    """A work in a series. `first` is the key under which its Work rows go."""

    first: int
    position: str
    numbers: frozenset[Decimal]

    @property
    def order(self) -> tuple[Any, ...]:
        return _order(self.position)


@dataclass
class _Places:
    """The works of one series. strangers: those of another series that has this name. began: when the first owned book of it
    came. in_sets: volume -> title of the owned set that has it. dropped: sets whose parts are listed."""

    units: list[_Unit] = field(default_factory=list)
    strangers: list[_Unit] = field(default_factory=list)
    began: str = ""
    languages: frozenset[str] = frozenset()
    in_sets: dict[Decimal, str] = field(default_factory=dict)
    dropped: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _Works:
    """The works of one author. lacking: those not owned, in the order in which they came. rows: keys of Works that are owned."""

    began: str = ""
    owned: set[int] = field(default_factory=set)
    lacking: dict[int, None] = field(default_factory=dict)
    rows: set[int] = field(default_factory=set)


_MOST_KEYS = 10_000
"""In a statement: SQLite takes some 30,000 values."""


class _Shelf:
    """All that boards are made of, in a fixed number of queries.

    works: books of those asked about, None for all, as which more than _MOST_KEYS are taken, too. Whatever shares a series
        with them is read as well: it says what covers them.
    only: a series that is asked about, even where nothing is in it.
    """

    def __init__(self, works: QuerySet[Any] | None, *, only: int | None = None) -> None:
        self.now = timezone.now()
        self.today = timezone.localdate(self.now).isoformat()
        self.base = languages_wanted()
        series = Series.objects.all()
        books, entries, names = Book.objects.all(), SeriesEntry.objects.all(), Authorship.objects.all()
        keys: set[int] | None = None
        # Keys are read step by step, and never as a query within a query: where PostgreSQL knows no sizes (a first import,
        # many rows that were taken back), it makes loops in loops of those.
        pairs: list[tuple[int, int | None]] = []
        if works is not None:
            asked = works.order_by().values_list("work", "work__books__series_entries__series")
            pairs = list(asked[: _MOST_KEYS + 1])
        named: tuple[str, ...] = ()
        if works is not None and len(pairs) <= _MOST_KEYS:
            theirs = {each for _, each in pairs if each is not None}
            entries = entries.filter(series__in=theirs)
            # Of few, what is joined to them costs nothing.
            named = ("series__name", *(f"series__{name}" for name in _FOLLOWED))
        placed = list(entries.order_by().values_list("series_id", "book_id", "position", "book__work", *named))
        self.names: dict[str, dict[int, str]] = {SERIES: {}, AUTHOR: {}}
        self._follows: dict[tuple[str, int], tuple[Any, ...]] = {}
        if named:
            keys = {work for work, _ in pairs} | {work for _, _, _, work, *_ in placed}
            books = books.filter(work__in=keys)
            names = names.filter(book__work__in=keys)
            self._take_names(SERIES, [(row[0], *row[4:]) for row in placed])
            series = series.filter(pk=only) if only and only not in self.names[SERIES] else series.none()
        self._take_names(SERIES, series.order_by("name").values_list("pk", "name", *_FOLLOWED))
        columns = (*Recording._fields[:-1], Cast("added_at", TextField()))
        self.books = {row[0]: Recording._make(row) for row in books.order_by().values_list(*columns)}
        self._codes = {text: _code(text) for text in {book.language for book in self.books.values()}}
        # Sorted here, for few books have several.
        self.authors: dict[int, list[tuple[int, int]]] = {}
        # Of few authors the joined Follow costs nothing.
        followed = () if keys is None else tuple(f"author__{name}" for name in _FOLLOWED)
        rows = names.order_by().values_list("book_id", "number", "author_id", "author__name", *followed)
        for pk, number, author, name, *follow in rows:
            # Of a book that came after the last query.
            if pk not in self.books:
                continue
            if follow:
                self._take_names(AUTHOR, [(author, name, *follow)])
            else:
                self.names[AUTHOR][author] = name
            self.authors.setdefault(pk, []).append((number, author))
        for several in self.authors.values():
            if len(several) > 1:
                several.sort()
        self._rules: dict[tuple[str, int], _Rule] = {}
        self._found: dict[tuple[int, _Rule], list[Gap]] = {}
        self._authors_read: set[int | None] = set()
        self.is_part = keys is not None
        self._first: dict[int, int] = {}
        self._joined: dict[int, list[int]] = {}
        self.by_work: dict[int, list[Recording]] = {}
        for each in self.books.values():
            self.by_work.setdefault(each.work, []).append(each)
        self.series = self._read_series(placed)
        first = self._first
        self.owned = {first.get(book.work, book.work) for book in self.books.values() if book.standing == _OWNED}
        self.covered: dict[int, str] = {}
        self.marks: dict[int, tuple[str, int]] = {}
        self.declined: set[int] = set()
        self.searches: dict[int, _Search] = {}
        self.acquisitions: dict[int, tuple[str, str]] = {}
        for places in self.series.values():
            self._cover(places)
        self._read_states(keys)

    def _take_names(self, kind: str, rows: Iterable[tuple[Any, ...]]) -> None:
        for key, name, *followed in rows:
            self.names[kind][key] = name
            if followed[0]:
                self._follows[kind, key] = tuple(followed)

    def _read_states(self, works: set[int] | None) -> None:
        asked = Q() if works is None else Q(work__in=works)
        said = {
            "mark": WorkMark.objects.filter(asked).values_list("work_id", *_said("mark", F("kind"))),
            "search": WorkSearch.objects.filter(asked).values_list(
                "work_id", *_said("search", F("outcome"), F("next_at"), F("searched_at"))
            ),
            "acquisition": Acquisition.objects.filter(asked, state__in=Acquisition.OPEN).values_list(
                "work_id", *_said("acquisition", F("state"), told=F("problem"))
            ),
        }
        declined = (
            Proposal.objects.declined() if works is None else Proposal.objects.declined().filter(book__work__in=works)
        )
        said["declined"] = declined.values_list("book__work_id", *_said("declined", F("state")))
        first, *others = (rows.order_by() for rows in said.values())
        for work, what, state, next_at, at, told in first.union(*others, all=True):
            key = self.first(work)
            if what == "mark":
                self.marks[key] = (state, work)
            elif what == "declined":
                self.declined.add(key)
            elif what == "acquisition":
                self.acquisitions[key] = (state, told)
            # Of several rows of one work the last search counts.
            elif key not in self.searches or self.searches[key].searched_at < at:
                self.searches[key] = _Search(state, next_at, at)

    # --- which works are one ------------------------------------------------------------------------------------------

    def first(self, work: int) -> int:
        while (up := self._first.get(work, work)) != work:
            work = up
        return work

    def _join(self, one: int, other: int) -> int:
        one, other = sorted((self.first(one), self.first(other)))
        if one != other:
            self._first[other] = one
            self._joined[one] = [*self._joined.get(one, [one]), *self._joined.pop(other, [other])]
        return one

    def books_of(self, first: int) -> list[Recording]:
        if first not in self._joined:
            return self.by_work.get(first, [])
        return [book for work in self._joined[first] for book in self.by_work.get(work, ())]

    def languages_of(self, books: Iterable[Recording]) -> frozenset[str]:
        return frozenset(self._codes[book.language] for book in books) - {""}

    def authors_of(self, book: Recording) -> tuple[str, ...]:
        return tuple(self.names[AUTHOR][author] for _, author in self.authors.get(book.pk, ())[:5])

    # --- series -------------------------------------------------------------------------------------------------------

    def _read_series(self, placed: Iterable[tuple[Any, ...]]) -> dict[int, _Places]:
        """The place of a work is that of its first owned row that has one, else of its first row that has one."""
        texts: dict[int, dict[int, tuple[bool, bool, int, str]]] = {}
        mine: dict[int, list[Recording]] = {}
        for series, pk, text, *_ in placed:
            if (book := self.books.get(pk)) is None or series not in self.names[SERIES]:
                continue
            is_owned = book.standing == _OWNED
            places = texts.setdefault(series, {})
            place = (not text, not is_owned, pk, text)
            if book.work not in places or place < places[book.work]:
                places[book.work] = place
            if is_owned:
                mine.setdefault(series, []).append(book)
        at = {series: {work: place[3] for work, place in places.items()} for series, places in texts.items()}
        for series, works in at.items():
            self._join_alike(self.names[SERIES][series], works)
        # From here on one step leads to the first.
        self._first = {work: self.first(work) for work in self._first}
        return {series: self._places(works, mine.get(series, [])) for series, works in at.items()}

    def _places(self, works: Mapping[int, str], mine: list[Recording]) -> _Places:
        units = self._units(works)
        strangers = self._strangers(units) if mine else frozenset()
        return _Places(
            units=[unit for unit in units if unit.first not in strangers] if strangers else units,
            strangers=[unit for unit in units if unit.first in strangers],
            began=min((book.added for book in mine), default=""),
            languages=self.languages_of(mine),
        )

    def _strangers(self, units: list[_Unit]) -> frozenset[int]:
        """Works of a series that has but the name of the one of which something is owned: of their authors nobody has part in
        that, and they have a volume of a number that it has as well. Several authors of one series count it through, but for
        a mistake of a catalogue: where what is owned is by several who never wrote together, nothing is concluded.
        """
        volumes = [unit for unit in units if len(unit.numbers) == 1]
        if len({unit.numbers for unit in volumes}) == len(volumes):
            return frozenset()
        authors = {unit.first: self._words_of_authors(unit.first) for unit in units}
        # A recording that is owned need not be in the series itself.
        own = {first for first in authors if any(book.standing != _KNOWN for book in self.books_of(first))}
        if not all(authors[first] for first in own):
            return frozenset()
        kin = self._akin(authors, {min(own)})
        if not own <= kin:
            return frozenset()
        taken = {unit.numbers for unit in volumes if unit.first in kin}
        again = {
            unit.first for unit in volumes if unit.first not in kin and unit.numbers in taken and authors[unit.first]
        }
        return self._akin(authors, again)

    def _words_of_authors(self, first: int) -> frozenset[str]:
        """Since one author is written in several ways, who shares a word of the name is taken for the same."""
        names = {name for book in self.books_of(first) for name in self.authors_of(book)}
        return frozenset(word for name in names for word in normalise(name).split() if len(word) > 2)

    @staticmethod
    def _akin(authors: Mapping[int, frozenset[str]], some: set[int]) -> frozenset[int]:
        """Those, and who has written with their authors, or with those of these."""
        found, words = set(some), frozenset[str]().union(*(authors[first] for first in some))
        while more := {first for first in authors.keys() - found if authors[first] & words}:
            found |= more
            words = words.union(*(authors[first] for first in more))
        return frozenset(found)

    def _join_alike(self, series: str, works: Mapping[int, str]) -> None:
        if len(works) < 2:
            return
        slots: dict[frozenset[Decimal], list[int]] = {}
        for work, text in works.items():
            slots.setdefault(parse_positions(text).numbers, []).append(work)
        for numbers, several in slots.items():
            if numbers and len(several) > 1:
                self._join_at_one_place(series, sorted(several)[:MOST_COMPARED], is_set=len(numbers) > 1)

    def _join_at_one_place(self, series: str, works: list[int], *, is_set: bool) -> None:
        groups: list[list[Recording]] = []
        for work in works:
            books = self.by_work[work]
            like = next((group for group in groups if self._are_alike(series, group[0], books[0])), None)
            if like is None:
                groups.append(list(books))
            else:
                self._join(like[0].work, work)
                like.extend(books)
        if len(groups) == 2 and not is_set:
            # The one volume of this number has another title in another language.
            one, other = map(self.languages_of, groups)
            if one and other and one.isdisjoint(other):
                self._join(groups[0][0].work, groups[1][0].work)

    def _are_alike(self, series: str, one: Recording, other: Recording) -> bool:
        return _are_alike(series, one.title, self.authors_of(one), other.title, self.authors_of(other))

    def _units(self, works: Mapping[int, str]) -> list[_Unit]:
        """One a work, the numbered ones first; a work that is at two places is at the first of them."""
        if len(works) == 1:
            return [_Unit(self.first(work), text, parse_positions(text).numbers) for work, text in works.items()]
        found: dict[int, _Unit] = {}
        units = (_Unit(self.first(work), text, parse_positions(text).numbers) for work, text in works.items())
        for unit in sorted(units, key=lambda unit: (unit.order, unit.first)):
            found.setdefault(unit.first, unit)
        return list(found.values())

    def _cover(self, places: _Places) -> None:
        """Find what an owned set has, and which sets have nothing that is not listed by itself."""
        sets = sorted((unit for unit in places.units if len(unit.numbers) > 1), key=lambda unit: len(unit.numbers))
        if not sets:
            return
        wanted = self.base | places.languages
        singles = [unit for unit in places.units if len(unit.numbers) == 1]
        listed = {number for unit in singles if self._counts(unit.first, wanted) for number in unit.numbers}
        for unit in sets:
            if unit.first in self.owned:
                title = self.best(unit.first, wanted, places.languages).title
                places.in_sets |= dict.fromkeys(unit.numbers - places.in_sets.keys(), title)
        for unit in singles:
            if unit.first not in self.owned and unit.numbers <= places.in_sets.keys():
                self.covered.setdefault(unit.first, places.in_sets[min(unit.numbers)])
        there = listed | places.in_sets.keys()
        for unit in sets:
            is_owned = unit.first in self.owned
            if unit.numbers <= (listed if is_owned else there):
                places.dropped.add(unit.first)
            elif not is_owned:
                there = there | unit.numbers

    def _counts(self, first: int, wanted: Collection[str]) -> bool:
        """Whether it is owned, or has a recording in a language that is wanted or not known."""
        return first in self.owned or any(
            not (code := self._codes[book.language]) or code in wanted for book in self.books_of(first)
        )

    # --- one gap ------------------------------------------------------------------------------------------------------

    def best(self, first: int, wanted: Collection[str] | None, preferred: Collection[str] = ()) -> Recording:
        """The recording that a person wants, else that in the language owned, whole, and of which most is known."""

        def order(book: Recording) -> tuple[Any, ...]:
            code = self._codes[book.language]
            known = bool(book.asin) + bool(book.released) + bool(code) + (book.abridged is not None)
            return (
                book.standing == _KNOWN,
                wanted is not None and bool(code) and code not in wanted,
                bool(preferred) and code not in preferred,
                bool(book.abridged),
                -known,
                book.pk,
            )

        return min(self.books_of(first), key=order)

    def gap(
        self,
        first: int,
        position: str,
        *,
        wanted: Collection[str] | None,
        preferred: Collection[str] = (),
        series: str = "",
    ) -> Gap:
        """wanted: languages that count; None asks neither for languages nor for sets."""
        book = self.best(first, wanted, preferred)
        released = self.released(first, wanted)
        told = {"work": book.work, **self._state(first, wanted, released)}
        return Gap(
            book=book.pk,
            title=book.title,
            authors=", ".join(self.authors_of(book)),
            position=position,
            series=series,
            released=released,
            **told,
        )

    def _state(self, first: int, wanted: Collection[str] | None, released: str) -> dict[str, Any]:
        """Why it is not there. What a person said of it comes before all that is found out."""
        if said := self.marks.get(first):
            kind, work = said
            return {"work": work, "reason": Reason.HEARD if kind == WorkMark.Kind.HEARD else Reason.IGNORED}
        if open_one := self.acquisitions.get(first):
            return _of_acquisition(*open_one)
        if wanted is not None and first in self.declined:
            return {"reason": Reason.DECLINED}
        if wanted is not None and first in self.covered:
            return {"reason": Reason.IN_A_SET, "note": self.covered[first]}
        if wanted is not None and not self._counts(first, wanted):
            return {"reason": Reason.LANGUAGE}
        if (day := day_of_release(released)) > self.today:
            return {"reason": Reason.NOT_RELEASED, "next_at": _begin(day) if day < _NO_DAY else None}
        if search := self.searches.get(first):
            is_due = search.next_at <= self.now
            return {"reason": OF_OUTCOME[search.outcome], "next_at": search.next_at, "is_due": is_due}
        return {"reason": Reason.NOT_SEARCHED, "is_due": True}

    def released(self, first: int, wanted: Collection[str] | None) -> str:
        """Of the earliest recording that counts and tells it."""
        days = [
            (day, book.released)
            for book in self.books_of(first)
            if (day := day_of_release(book.released))
            and (wanted is None or not (code := self._codes[book.language]) or code in wanted)
        ]
        return min(days)[1] if days else ""

    def missing(self, work: int, book: int, title: str, cause: str, why: str) -> Missing:
        search = self.searches.get(self.first(work))
        return Missing(
            work=work, book=book, title=title, cause=cause, why=why, searched_at=search.searched_at if search else None
        )

    # --- boards -------------------------------------------------------------------------------------------------------

    def boards(self, kind: str, *, only: int | None = None, follow: Follow | None = None) -> list[Board]:
        """By name. `only`: of this series or author, whether or not something of it is owned."""
        make = self._series_board if kind == SERIES else self._author_board
        if kind == AUTHOR:
            self._read_authors(only)
        names = self.names[kind]
        asked = (
            (key for key in names if self._is_watched(kind, key)) if only is None else [only] if only in names else []
        )
        return [make(key, names[key], self._rule(kind, key, follow)) for key in asked]

    def _read_authors(self, only: int | None) -> None:
        """Those who have books here are known already. Joined to all authors, Follow takes SQLite seconds."""
        if only in self._authors_read or (only in self.names[AUTHOR] and self.is_part):
            return
        self._authors_read.add(only)
        if only is None:
            follows = Follow.objects.filter(author__isnull=False)
            self._take_names(AUTHOR, follows.values_list("author_id", "author__name", *_COLUMNS))
            self.names[AUTHOR] = dict(sorted(self.names[AUTHOR].items(), key=lambda item: item[1]))
        else:
            self._take_names(AUTHOR, Author.objects.filter(pk=only).values_list("pk", "name", *_FOLLOWED))

    def _is_watched(self, kind: str, key: int) -> bool:
        if (kind, key) in self._follows:
            return True
        if kind == SERIES:
            return bool(self._began(kind, key))
        works = self._by_author.get(key)
        return works is not None and 0 < int(settings.FOLLOW_AUTHORS) <= len(works.rows)

    def _began(self, kind: str, key: int) -> str:
        their = self.series.get(key) if kind == SERIES else self._by_author.get(key)
        return their.began if their else ""

    def _rule(self, kind: str, key: int, follow: Follow | None = None) -> _Rule:
        if follow is not None:
            return _rule(self._began(kind, key), *_columns_of(follow))
        if (kind, key) not in self._rules:
            self._rules[kind, key] = _rule(self._began(kind, key), *self._follows.get((kind, key), (None, None, None)))
        return self._rules[kind, key]

    def _series_board(self, pk: int, name: str, rule: _Rule) -> Board:
        places = self.series.get(pk, _Places())
        gaps = self._gaps_of(pk, rule)
        owned = sum([unit.first in self.owned and unit.first not in places.dropped for unit in places.units])
        return _board(pk, SERIES, name, rule, owned, gaps)

    def _gaps_of(self, series: int, rule: _Rule) -> list[Gap]:
        """Made once, for authors ask again."""
        if (series, rule) not in self._found:
            gaps = self._gaps_in(self.series.get(series, _Places()), rule)
            self._found[series, rule] = sorted(
                gaps, key=lambda gap: (gap.reason == Reason.NAMESAKE, _order(gap.position), gap.title)
            )
        return self._found[series, rule]

    def _gaps_in(self, places: _Places, rule: _Rule) -> Iterator[Gap]:
        wanted = self.base | places.languages
        counted = {unit.first for unit in places.units if self._counts(unit.first, wanted)}
        holes = _holes(tuple([unit.position for unit in places.units if unit.first in counted]))
        for unit in places.units:
            if unit.first in self.owned or unit.first in places.dropped:
                continue
            # What is in another language alone is named where else there would be a hole.
            if unit.first not in counted and not (len(unit.numbers) == 1 and unit.numbers <= holes):
                continue
            if self._is_wished(unit.first) or rule.wants(unit.numbers, self.released(unit.first, wanted), self.today):
                yield self.gap(unit.first, unit.position, wanted=wanted, preferred=places.languages)
            holes -= unit.numbers
        for unit in places.strangers if rule.scope != Scope.NONE else ():
            book = self.best(unit.first, wanted, places.languages)
            yield Gap(
                work=book.work,
                book=book.pk,
                title=book.title,
                authors=", ".join(self.authors_of(book)),
                position=unit.position,
                reason=Reason.NAMESAKE,
            )
        for number in holes:
            if rule.wants(frozenset([number]), "", self.today):
                yield Gap(work=None, title="", position=str(number), reason=Reason.UNKNOWN_TITLE)

    def _is_wished(self, first: int) -> bool:
        return any(book.standing == _WANTED for book in self.books_of(first))

    def _author_board(self, pk: int, name: str, rule: _Rule) -> Board:
        works = self._by_author.get(pk, _Works())
        gaps = self._gaps_of_author(works, rule) if works.lacking else []
        return _board(pk, AUTHOR, name, rule, len(works.owned - self._in_series.dropped), gaps)

    def _gaps_of_author(self, works: _Works, rule: _Rule) -> list[Gap]:
        mine = [book for first in works.owned for book in self.books_of(first)]
        languages = self.languages_of(book for book in mine if book.standing == _OWNED)
        wanted = self.base | languages
        # Two rows of one title that no series brought together.
        titles = {book.title.casefold() for book in mine}
        gaps = []
        for first in works.lacking:
            if not self._is_wanted_of_author(first, wanted, rule):
                continue
            series, position = self._in_series.places.get(first, ("", ""))
            gap = self.gap(first, position, wanted=wanted, preferred=languages, series=series)
            if gap.title.casefold() not in titles:
                titles.add(gap.title.casefold())
                gaps.append(gap)
        gaps.sort(key=lambda gap: (not gap.series, gap.series, _order(gap.position), gap.title))
        return gaps

    def _is_wanted_of_author(self, first: int, wanted: Collection[str], rule: _Rule) -> bool:
        if self._is_wished(first):
            return True
        found = self._in_series
        is_gap_of_series = first in found.gaps
        if first in found.dropped or not (is_gap_of_series or self._counts(first, wanted)):
            return False
        if rule.scope == Scope.ALL:
            return True
        if rule.scope == Scope.GAPS and is_gap_of_series:
            return True
        is_new = rule.is_new(self.released(first, wanted), self.today)
        return rule.scope in (Scope.GAPS, Scope.FUTURE) and is_new and first not in found.left_out

    @cached_property
    def _by_author(self) -> dict[int, _Works]:
        found: dict[int, _Works] = {}
        known, firsts = self.books, self._first
        for pk, authors in self.authors.items():
            book = known[pk]
            first = firsts.get(book.work, book.work)
            is_lacking, is_owned = first not in self.owned, book.standing == _OWNED
            for _, author in authors:
                if (works := found.get(author)) is None:
                    works = found[author] = _Works()
                if is_lacking:
                    works.lacking[first] = None
                    continue
                works.owned.add(first)
                if is_owned:
                    works.rows.add(book.work)
                    if not works.began or book.added < works.began:
                        works.began = book.added
        return found

    @cached_property
    def _in_series(self) -> _InSeries:
        found = _InSeries()
        for pk, places in self.series.items():
            rule = self._rule(SERIES, pk)
            found.dropped |= places.dropped
            if rule.scope == Scope.NONE:
                found.left_out |= {unit.first for unit in places.units}
            elif places.began:
                found.gaps |= {
                    self.first(gap.work)
                    for gap in self._gaps_of(pk, rule)
                    if gap.work is not None and gap.reason != Reason.NAMESAKE
                }
            for unit in (*places.units, *places.strangers):
                if unit.first not in self.owned:
                    found.places.setdefault(unit.first, (self.names[SERIES][pk], unit.position))
        found.left_out -= found.gaps
        return found


@dataclass
class _InSeries:
    """What series say of works. gaps: those that a series lacks of which something is owned. left_out: those of series of
    which nothing is wanted. places: series and position of each that is not owned."""

    gaps: set[int] = field(default_factory=set)
    left_out: set[int] = field(default_factory=set)
    dropped: set[int] = field(default_factory=set)
    places: dict[int, tuple[str, str]] = field(default_factory=dict)


class _Rule(NamedTuple):
    """since: a day as text, empty for none."""

    scope: str
    is_chosen: bool
    from_number: float | None
    since: str

    def wants(self, numbers: frozenset[Decimal], released: str, today: str) -> bool:
        """A work at this place of its series, released then."""
        if self.scope == Scope.FROM:
            return bool(numbers) and self.from_number is not None and max(numbers) >= self.from_number
        if self.scope in (Scope.ALL, Scope.NONE):
            return self.scope == Scope.ALL
        is_main = self.scope == Scope.GAPS and any(number >= 1 and number == int(number) for number in numbers)
        return is_main or self.is_new(released, today)

    def is_new(self, released: str, today: str) -> bool:
        day = day_of_release(released)
        return bool(day) and (day > today or (bool(self.since) and day >= self.since))


_COLUMNS = ("scope", "from_number", "since")
_FOLLOWED = tuple(f"follow__{column}" for column in _COLUMNS)


def _columns_of(follow: Follow) -> tuple[str, float | None, date]:
    return follow.scope, follow.from_number, follow.since


def _rule(began: str, scope: str | None, from_number: float | None, since: date | None) -> _Rule:
    """Without a row: the main line, and what has come out since the first book of it came into the library."""
    if since is None and began:
        since = _day_of(began)
    return _Rule(scope or Scope.GAPS, scope is not None, from_number, since.isoformat() if since else "")


@lru_cache(65536)
def _day_of(written: str) -> date:
    """Both databases write moments in UTC, SQLite without saying so."""
    moment = datetime.fromisoformat(written)
    return timezone.localdate(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _board(pk: int, kind: str, name: str, rule: _Rule, owned: int, gaps: list[Gap]) -> Board:
    have = owned + sum(gap.reason in HAD for gap in gaps)
    total = have + sum(gap.is_open for gap in gaps)
    return Board(
        key=pk,
        kind=kind,
        name=name,
        scope=rule.scope,
        is_chosen=rule.is_chosen,
        have=have,
        total=total,
        gaps=tuple(gaps),
    )


def _of_acquisition(state: str, problem: str) -> dict[str, Any]:
    if problem:
        return {"reason": Reason.PROBLEM, "note": problem}
    return {"reason": Reason.PROPOSED if state == Acquisition.State.PROPOSED else Reason.DOWNLOADING}


@lru_cache(4096)
def _order(position: str) -> tuple[Any, ...]:
    return parse_positions(position).order


@lru_cache(16384)
def _holes(positions: tuple[str, ...]) -> frozenset[Decimal]:
    """Volumes that nobody names."""
    return frozenset(
        Decimal(number)
        for begin, end in holes_in(positions)
        if end - begin < LONGEST_HOLE
        for number in range(begin, end + 1)
    )


@lru_cache(65536)
def _are_alike(series: str, one: str, authors: tuple[str, ...], other: str, others: tuple[str, ...]) -> bool:
    """At one place of a series. That is said of both, so that the series' name in a title tells nothing."""
    return likeness(_facts(series, one, authors), _facts(series, other, others)) is not None


def _facts(series: str, title: str, authors: tuple[str, ...]) -> BookFacts:
    places = (SeriesPlace(name=series, position="1"),) if series else ()
    return BookFacts(title=title, authors=tuple(Contributor(name=name) for name in authors), series=places)


@lru_cache(16384)
def day_of_release(released: str) -> str:
    """The first day of the year, month or day; empty where it is none."""
    try:
        return date.fromisoformat(f"{released}-01-01"[:10]).isoformat()
    except ValueError:
        return ""


def _begin(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), time.min, timezone.get_current_timezone())


@lru_cache(1024)
def _code(language: str) -> str:
    return language_code(language) or language.strip().casefold()
