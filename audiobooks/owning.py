"""Which book a library or an export means, and that it is owned or wanted there.

Standing never goes down, and absence never deletes: what a library no longer names is marked missing in it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import PurePosixPath
from typing import Any, Literal, TypeVar

from django.db import DataError, IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from .facts import BookFacts
from .fields import (
    OF_THE_RECORDING,
    Offer,
    apply,
    decide,
    digest_of,
    facts_of,
    is_empty,
    is_same,
    new_books,
    offers_of,
    values_of,
)
from .library.albums import key_of
from .library.base import PATH_CHARACTERS
from .matching.choose import choose
from .matching.compare import OTHER_RUNTIME, Verdict
from .models import Author, Book, Holding, LibraryFile, Work, with_names
from .names import lock_making, rows_of, work_of

T = TypeVar("T")

SERVER = "audiobookshelf:"
"""Libraries of this beginning hold files; any other is an export, which says only that a book is owned or wanted."""
ALIKE = 20
"""Books of one title that are compared at most."""
CHUNK = 100
"""Books looked up at once."""
_HIGHEST = (Book.Standing.OWNED, Book.Standing.WANTED, Book.Standing.KNOWN)


@dataclass(frozen=True, kw_only=True)
class Held:
    """A book as a library or an export names it. `library` and `item` are its identity there.

    missing: the library itself says that no recording of it is there.
    own_paths: what its path in our own library folder may be, the most telling first.
    size: bytes.
    """

    library: str
    item: str
    facts: BookFacts
    standing: str = Book.Standing.OWNED
    missing: bool = False
    path: str = ""
    own_paths: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    size: int | None = None

    @property
    def has_files(self) -> bool:
        return self.library.startswith(SERVER) and not self.missing

    @property
    def is_a_recording(self) -> bool:
        """Whether what is said is said of a recording: an export may mean a printed book."""
        facts = self.facts
        tells = facts.is_audio or facts.asin or facts.narrators or facts.runtime
        return self.library.startswith(SERVER) or bool(tells and facts.is_audio is not False)

    def columns(self) -> dict[str, Any]:
        """Of its Holding."""
        path = self.path[:PATH_CHARACTERS]
        return {"path": path, "name": name_at(path), "formats": list(self.formats), "size": self.size}


Outcome = Literal["new", "changed", "same", "failed"]


@dataclass(frozen=True)
class Recorded:
    """`error` is why it failed, which left everything as it was."""

    held: Held
    outcome: Outcome
    error: str = ""


def record_each(helds: Iterable[Held], *, now: datetime) -> Iterator[Recorded]:
    """Record each, in order, one for one. What is recorded as it is, or is new and like no other, costs no query of its own.

    All that was taken from `helds` is recorded, also where nobody waits for what came of it.
    """
    rest = iter(helds)
    while chunk := list(islice(rest, CHUNK)):
        known = known_holdings(chunk)
        books = with_names(Book.objects.filter(pk__in={holding.book_id for holding in known.values()}))
        by_pk = {book.pk: book for book in books}
        speakers = _speakers(by_pk)
        same = {
            key: holding.pk
            for held in chunk
            if (holding := known.get(key := (held.library, held.item))) is not None
            and _is_recorded(held, holding, by_pk[holding.book_id], speakers)
        }
        Holding.objects.filter(pk__in=same.values()).update(seen_at=now)
        outcomes: dict[tuple[str, str], Outcome] = dict.fromkeys(same, "same")
        if any((held.library, held.item) not in known for held in chunk):
            outcomes |= dict.fromkeys(_record_new(chunk, now=now), "new")
        yield from [_recorded(held, outcomes.pop((held.library, held.item), None), now=now) for held in chunk]


def _recorded(held: Held, outcome: Outcome | None, *, now: datetime) -> Recorded:
    """In a transaction of its own, unless it is done."""
    try:
        return Recorded(held, outcome or record(held, now=now)[1])
    except (DataError, IntegrityError, OverflowError) as error:
        return Recorded(held, "failed", str(error).strip().partition("\n")[0])


def _record_new(helds: Collection[Held], *, now: datetime) -> set[tuple[str, str]]:
    """Record, in one transaction, those that can be no book that is known, nor one of the others; returns their keys."""
    try:
        with transaction.atomic():
            lock_making()
            new = _like_no_other(helds)
            works = Work.objects.bulk_create(
                Work(title=held.facts.title[:512], key=key_of(held.facts.title)) for held in new
            )
            wanted = [_new(held, work) for held, work in zip(new, works, strict=True)]
            Holding.objects.bulk_create(
                Holding(
                    library=held.library,
                    item=held.item,
                    book=book,
                    seen_at=now,
                    missing_since=now if held.missing else None,
                    **held.columns(),
                )
                for held, book in zip(new, new_books(wanted, now=now), strict=True)
            )
    except (DataError, IntegrityError, OverflowError):
        # Each by itself, so that it is seen of which one.
        return set()
    return {(held.library, held.item) for held in new}


def _new(held: Held, work: Work) -> tuple[Work, dict[str, Offer], dict[str, Any]]:
    return work, offers_of(held.facts, held.facts.source), {"standing": held.standing}


def _like_no_other(helds: Collection[Held]) -> list[Held]:
    """Those of which `record` would find no holding, book or work, whatever of the others is recorded before."""
    paths = {path for held in helds for path in held.own_paths}
    keys = {key for held in helds for key in _title_keys(held.facts)}
    taken: set[tuple[str, str]] = {*known_holdings(helds)}
    taken |= {("path", path) for path in _values("path", paths)}
    taken |= {("asin", asin) for asin in _values("asin", {held.facts.asin for held in helds} - {""})}
    taken |= {("title", key) for key in _values("work__key", keys)}
    titles = {title for held in helds for title in _titles(held.facts)}
    taken |= {("title", key_of(title)) for title in _values("title", titles)}
    new = []
    for held in helds:
        asin, key = held.facts.asin, key_of(held.facts.title)
        marks: set[tuple[str, str]] = {(held.library, held.item), ("asin", asin)} - {("asin", "")}
        found = marks | {("path", path) for path in held.own_paths}
        found |= {("title", each) for each in _title_keys(held.facts)}
        if key and taken.isdisjoint(found):
            new.append(held)
        taken |= marks | {("title", key)}
    return new


def _values(column: str, wanted: set[str]) -> set[str]:
    """Those that books have."""
    found: set[str] = set()
    for part in _parts(sorted(wanted)):
        found.update(Book.objects.filter(**{f"{column}__in": part}).values_list(column, flat=True).distinct())
    return found


def record(held: Held, *, now: datetime) -> tuple[Book, Outcome]:
    """Find or make its book, and write down that it is there, in one transaction.

    Raises:
        DataError, IntegrityError, OverflowError: a value does not fit.
    """
    with transaction.atomic():
        holding = _holding(held)
        if holding is None:
            lock_making()
            holding = _holding(held)
        book = holding.book if holding else find_book(held.facts, own_paths=held.own_paths)
        outcome: Outcome = "same" if holding else "changed"
        if book is None:
            outcome = "new"
            work = work_of(held.facts.title, rows_of(Author, held.facts.author_names))
            (book,) = new_books([_new(held, work)], now=now)
        else:
            # Locked, so that nobody raises its standing between this look and what is written of it.
            book = with_names(Book.objects.select_for_update()).get(pk=book.pk)
            offers = _offers(held, holding, book, _speakers([book.pk]))
            if apply(book, offers, why=f"read from {held.library}", now=now)[1] is not None:
                outcome = "changed"
        columns: dict[str, Any] = {"standing": higher(book.standing, held.standing)}
        if held.has_files:
            columns["missing_since"] = None
        if any(getattr(book, name) != value for name, value in columns.items()):
            Book.objects.filter(pk=book.pk).update(**columns)
            outcome = "new" if outcome == "new" else "changed"
        if holding is None:
            holding = Holding(library=held.library, item=held.item)
        elif not _is_as_before(held, holding):
            outcome = "changed"
        for name, value in held.columns().items():
            setattr(holding, name, value)
        holding.book, holding.seen_at = book, now
        holding.missing_since = (holding.missing_since or now) if held.missing else None
        holding.save()
    return book, outcome


def known_holdings(helds: Collection[Held]) -> dict[tuple[str, str], Holding]:
    """By library and item; one query."""
    wanted = Holding.objects.filter(
        library__in={held.library for held in helds}, item__in={held.item for held in helds}
    )
    return {(holding.library, holding.item): holding for holding in wanted}


def _holding(held: Held) -> Holding | None:
    return Holding.objects.filter(library=held.library, item=held.item).select_related("book").first()


Speakers = dict[tuple[int, str], int]
"""(book, source) -> the holding that speaks for the source."""


def _speakers(books: Collection[int]) -> Speakers:
    """The first that is there: where a source has a book twice, the two would else take turns; one query."""
    speakers: Speakers = {}
    rows = Holding.objects.filter(book__in=books, missing_since=None).order_by("pk")
    for pk, book, library in rows.values_list("pk", "book", "library"):
        speakers.setdefault((book, _source(library)), pk)
    return speakers


def _source(library: str) -> str:
    return SERVER if library.startswith(SERVER) else library


def _is_recorded(held: Held, holding: Holding, book: Book, speakers: Speakers) -> bool:
    decision = decide(values_of(book), book.provenance, _offers(held, holding, book, speakers))
    return (
        _is_as_before(held, holding)
        and higher(book.standing, held.standing) == book.standing
        and not (held.has_files and book.missing_since)
        and not decision.changes_something(book.provenance)
    )


def _is_as_before(held: Held, holding: Holding) -> bool:
    as_before = all(getattr(holding, name) == value for name, value in held.columns().items())
    return as_before and (holding.missing_since is not None) == held.missing


def higher(one: str, other: str) -> str:
    """Of two standings."""
    return min(Book.Standing(one), Book.Standing(other), key=_HIGHEST.index)


def _offers(held: Held, holding: Holding | None, book: Book, speakers: Speakers) -> dict[str, Offer]:
    """What it says of a book that was there before.

    A printed book says nothing of the recording; what we wrote there ourselves comes back as an echo, which is nobody's
    word; and one that does not speak for its source only says what is not known.
    """
    written = holding.written if holding else {}
    speaker = speakers.get((book.pk, _source(held.library)))
    may_replace = speaker is None or (holding is not None and holding.pk <= speaker)
    values = values_of(book)
    return {
        name: offer
        for name, offer in offers_of(held.facts, held.facts.source).items()
        if (held.is_a_recording or name not in OF_THE_RECORDING)
        and (may_replace or is_empty(values[name]))
        and (written.get(name) != digest_of(offer.value) or is_same(name, values[name], offer.value))
    }


# --- finding ----------------------------------------------------------------------------------------------------------


def find_book(facts: BookFacts, *, own_paths: tuple[str, ...] = (), among: QuerySet[Book] | None = None) -> Book | None:
    """The book these facts are of: by its place, its ASIN, or as a strong match of title, authors and the rest."""
    books = Book.objects.all() if among is None else among
    if own_paths:
        at = {book.path: book for book in books.filter(path__in=own_paths)}
        for path in own_paths:
            if path in at and _may_be(at[path], facts):
                return at[path]
    if facts.asin and (book := books.filter(asin=facts.asin).order_by("pk").first()):
        return book
    if facts.is_audio is False:
        # Whoever lists a printed book means the work: no recording of it is another book.
        facts = replace(facts, is_audio=None)
    # By the one or the other, for a refresh gives a book another title than its work has. In two, each with its index.
    named = {
        pk
        for either in (Q(work__key__in=_title_keys(facts)), Q(title__in=_titles(facts)))
        for pk in books.filter(either).order_by("pk").values_list("pk", flat=True)[:ALIKE]
    }
    alike = list(with_names(Book.objects.filter(pk__in=named).order_by("pk")))
    matches = choose(facts, [replace(facts_of(book), source="book", id=str(book.pk)) for book in alike])
    for match in matches[:1]:
        if match.verdict is Verdict.STRONG and match.same_recording is not False:
            return next(book for book in alike if str(book.pk) == match.theirs.id)
    return None


def works_of(several: Sequence[BookFacts]) -> list[int | None]:
    """Of each the work that it is a strong match of, None where there is none; in a fixed number of queries."""
    keys = [_title_keys(facts) for facts in several]
    asins = {facts.asin for facts in several if facts.asin}
    titles = set().union(*(_titles(facts) for facts in several))
    wanted = Q(work__key__in=set().union(*keys)) | Q(title__in=titles) | Q(asin__in=asins)
    books = with_names(Book.objects.filter(wanted).select_related("work").order_by("pk")) if several else []
    by_key: dict[str, list[Book]] = {}
    by_asin: dict[str, Book] = {}
    for book in books:
        for key in {book.work.key, key_of(book.title)}:
            by_key.setdefault(key, []).append(book)
        by_asin.setdefault(book.asin, book)
    return [
        by_asin[facts.asin].work_id
        if facts.asin in asins & by_asin.keys()
        else _work_among(
            list(dict.fromkeys(book for key in sorted(mine) for book in by_key.get(key, ())))[:ALIKE], facts
        )
        for facts, mine in zip(several, keys, strict=True)
    ]


def _work_among(books: Sequence[Book], facts: BookFacts) -> int | None:
    candidates = [replace(facts_of(book), source="book", id=str(book.pk)) for book in books]
    for match in choose(facts, candidates)[:1]:
        if match.verdict is Verdict.STRONG:
            return next(book.work_id for book in books if str(book.pk) == match.theirs.id)
    return None


def name_at(path: str) -> str:
    """Of a Holding at this path, by which it is found from the end of the path."""
    return PurePosixPath(path).name[:255]


def held_at(path: str, facts: BookFacts) -> Book | None:
    """The book without files of ours that a server has at this path of our library folder."""
    if "/" not in path:
        return None
    named = Holding.objects.filter(name=name_at(path), book__path=None)
    there = named.filter(library__startswith=SERVER, path__endswith=f"/{path}")
    books = (holding.book for holding in there.select_related("book").order_by("pk")[:ALIKE])
    return next((book for book in books if _may_be(book, facts)), None)


def _may_be(book: Book, facts: BookFacts) -> bool:
    """Two libraries may have different books at paths of one name."""
    if book.asin and facts.asin and book.asin != facts.asin:
        return False
    if book.runtime is None or facts.runtime is None:
        return True
    seconds = book.runtime.total_seconds()
    return abs(seconds - facts.runtime) <= OTHER_RUNTIME * max(seconds, facts.runtime)


def _title_keys(facts: BookFacts) -> set[str]:
    return {key for title in _called(facts) if (key := key_of(title))}


def _titles(facts: BookFacts) -> set[str]:
    """Such as a database can be asked for: not with NUL or half a pair of surrogates."""
    return {title for title in _called(facts) if title and title.isprintable()}


def _called(facts: BookFacts) -> set[str]:
    title, subtitle = facts.title, facts.subtitle
    return {title, title.partition(":")[0].strip(), f"{title} {subtitle}", f"{title}: {subtitle}"}


# --- absence ----------------------------------------------------------------------------------------------------------


def mark_missing(libraries: Collection[str], named: Collection[tuple[str, str]], *, now: datetime) -> int:
    """What a complete inventory of the libraries does not name, by (library, item), is missing there: returns how many.

    Nothing is deleted.
    """
    there = Holding.objects.filter(library__in=libraries, missing_since=None)
    gone = [pk for pk, *key in there.values_list("pk", "library", "item").iterator() if tuple(key) not in named]
    for pks in _parts(gone):
        Holding.objects.filter(pk__in=pks).update(missing_since=now)
    mark_books_missing(now)
    return len(gone)


def mark_books_missing(now: datetime) -> None:
    """Books that are owned, and whose files are in no library any more. Of one that only exports name, none ever were."""
    files = LibraryFile.objects.filter(book=OuterRef("pk"))
    holdings = Holding.objects.filter(book=OuterRef("pk"))
    served = holdings.filter(library__startswith=SERVER)
    there = Exists(files.filter(missing_since=None)) | Exists(served.filter(missing_since=None))
    only_listed = Exists(holdings) & ~Exists(served) & ~Exists(files)
    owned = Book.objects.filter(standing=Book.Standing.OWNED, missing_since=None)
    gone = owned.exclude(Q(there) | Q(only_listed)).values_list("pk", flat=True)
    for pks in _parts(list(gone)):
        Book.objects.filter(pk__in=pks).update(missing_since=now)


def _parts(values: list[T]) -> list[list[T]]:
    # SQLite takes a bounded number of parameters in a statement.
    return [values[start : start + 500] for start in range(0, len(values), 500)]
