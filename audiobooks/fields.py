"""The one way in which what a book says of itself is written: by trust, never blank, never less, with source and time.

A value that is offered takes the place of the present one if its source is trusted as much in that field, unless a person
locked the field. What is refused is noted beside the field ("the source now says ..."). Each change is kept with what it
replaced, and can be undone.

A value is JSON: text; whole seconds (runtime); true, false or null (abridged); a list of names (authors, narrators, genres);
a list of [name, position] (series).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from . import covers
from .facts import BookFacts, Contributor, SeriesPlace
from .library.albums import key_of
from .matching.positions import order_of
from .models import (
    Author,
    Authorship,
    Book,
    BookChange,
    Genre,
    MetadataRun,
    Narrator,
    Reading,
    Series,
    SeriesEntry,
    Work,
)
from .models import with_names as books_with_names
from .names import known_names, lock_making, rows_by_key, settle_work
from .trust import FOLDER, PERSON, UNLOCKED, rank

Value = Any

TEXTS = {
    "title": 512,
    "subtitle": 512,
    "description": 20_000,
    "language": 64,
    "publisher": 255,
    "released": 10,
    "asin": 16,
    "isbn": 20,
    "cover_url": 1000,
}
"""Field -> characters kept."""
NAMES: dict[str, tuple[Any, Any, str, str]] = {
    "authors": (Author, Authorship, "authorships", "author"),
    "narrators": (Narrator, Reading, "readings", "narrator"),
}
MODELS: dict[str, Any] = {"authors": Author, "narrators": Narrator, "genres": Genre, "series": Series}
"""Fields whose values are names of rows."""
FIELDS = (*TEXTS, "abridged", "runtime", *NAMES, "genres", "series")
OF_THE_RECORDING = frozenset(
    {"narrators", "runtime", "abridged", "publisher", "released", "asin", "isbn", "language", "cover_url"}
)
"""Fields that another recording of the same work says nothing about."""
_OF_THE_WORK = frozenset({"title", "authors"})
"""Fields that say which work it is a recording of."""
_NOT_COMPARED = ("description", "genres", "cover_url")


@dataclass(frozen=True)
class Offer:
    value: Value
    source: str


@dataclass
class Decision:
    """accepted: field -> what takes the place of the present value; refused: field -> what does not, and why.

    settled: fields whose value is what was once refused.
    replaces: whether a value that was there gives way to another.
    """

    accepted: dict[str, Offer] = field(default_factory=dict)
    refused: dict[str, dict[str, Any]] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)
    replaces: bool = False

    @property
    def concerns_names(self) -> bool:
        return not MODELS.keys().isdisjoint((*self.accepted, *self.refused))

    def changes_something(self, provenance: Mapping[str, Any]) -> bool:
        if self.accepted or self.settled:
            return True
        return any(
            {**provenance.get(name, {}).get("offered", {}), "at": None} != {**offered, "at": None}
            for name, offered in self.refused.items()
        )


# --- reading ----------------------------------------------------------------------------------------------------------


def values_of(book: Book) -> dict[str, Value]:
    """All fields. No query where the book was read `with_names`, or its names by `read_names`."""
    values: dict[str, Value] = {name: getattr(book, name) for name in TEXTS}
    values["abridged"] = book.abridged
    values["runtime"] = None if book.runtime is None else round(book.runtime.total_seconds())
    if book.names_read is not None:
        return values | book.names_read
    values["authors"] = book.author_names
    values["narrators"] = book.narrator_names
    values["genres"] = sorted(genre.name for genre in book.genres.all())
    values["series"] = [[entry.series.name, entry.position] for entry in book.series_entries.all()]
    return values


def read_names(books: Collection[Book]) -> None:
    """For `values_of`, in four queries; cheaper than `with_names`, which makes a row of each name."""
    names = _names_of([book.pk for book in books])
    for book in books:
        book.names_read = names[book.pk]


def facts_of(book: Book) -> BookFacts:
    """The book as others are compared with it. No query where `values_of` needs none."""
    return facts_from({name: value for name, value in values_of(book).items() if name not in _NOT_COMPARED})


def facts_from(values: Mapping[str, Value]) -> BookFacts:
    """Of some fields; those that are not given are unknown."""
    plain = (*TEXTS.keys() - {"isbn"}, "abridged", "runtime")
    return BookFacts(
        **{name: values[name] for name in plain if name in values},
        authors=tuple(Contributor(name=name) for name in values.get("authors", ())),
        narrators=tuple(values.get("narrators", ())),
        genres=tuple(values.get("genres", ())),
        series=tuple(SeriesPlace(name=name, position=position) for name, position in values.get("series", ())),
        isbns=(values["isbn"],) if values.get("isbn") else (),
    )


def offers_of(facts: BookFacts, source: str) -> dict[str, Offer]:
    """What is known there, by field."""
    values: dict[str, Value] = {
        name: getattr(facts, name, "")[:length] for name, length in TEXTS.items() if name != "isbn"
    }
    values |= {
        "isbn": facts.isbns[0] if facts.isbns else "",
        "abridged": facts.abridged,
        "runtime": facts.runtime,
        "authors": _names(facts.author_names),
        "narrators": _names(facts.narrators),
        "genres": sorted(_names(facts.genres)),
        "series": [[place.name[:255], place.position[:32]] for place in facts.series if key_of(place.name)],
    }
    return {name: Offer(value, source) for name, value in values.items() if not is_empty(value)}


def _names(names: tuple[str, ...]) -> list[str]:
    return list({key: name[:255] for name in reversed(names) if (key := key_of(name))}.values())[::-1]


def digest_of(value: Value) -> str:
    """By which a value is known again; of a text whatever its blanks."""
    plain = " ".join(value.split()) if isinstance(value, str) else value
    return hashlib.blake2b(json.dumps(plain).encode(), digest_size=8).hexdigest()


def is_empty(value: Value) -> bool:
    return value is None or value == "" or value == []


def is_same(name: str, one: Value, other: Value) -> bool:
    """Lists are the same whatever the spelling of their names."""
    return bool(_keys(name, one) == _keys(name, other))


def _keys(name: str, value: Value) -> Value:
    if name in NAMES:
        return [key_of(each) for each in value]
    if name == "genres":
        return sorted(key_of(each) for each in value)
    if name == "series":
        return sorted((key_of(series), position) for series, position in value)
    return value


# --- deciding ---------------------------------------------------------------------------------------------------------


def decide(values: Mapping[str, Value], provenance: Mapping[str, Any], offers: Mapping[str, Offer]) -> Decision:
    """What of the offers is written. Pure: it asks nothing and changes nothing."""
    decision = Decision()
    for name, offer in offers.items():
        known, present = provenance.get(name, {}), values[name]
        # What has no source was written by a scan of an earlier release.
        source = known.get("source", FOLDER)
        # The files are the person's own: what they do not say any more is gone.
        is_own = source == offer.source == FOLDER
        # Of lists too what a person gave free gives way, not only for more of the same.
        may_drop = is_own or source == UNLOCKED
        value = _joined(present, offer, source) if name == "series" and not may_drop else offer.value
        if is_same(name, present, value):
            offered = known.get("offered")
            # Whoever said otherwise, or one more trusted than what stands, says it now.
            if offered and (offered["source"] == offer.source or rank(name, offer.source) <= rank(name, source)):
                decision.settled.add(name)
        elif is_empty(value) and not is_own:
            continue
        elif known.get("locked"):
            decision.refused[name] = {"value": value, "source": offer.source, "why": "locked"}
        elif is_empty(present):
            decision.accepted[name] = Offer(value, offer.source)
        elif rank(name, offer.source) > rank(name, source):
            continue
        elif not may_drop and not _outdoes(name, offer.source, source) and (lost := _lost(name, present, value)):
            decision.refused[name] = {"value": value, "source": offer.source, "why": f"it would drop {', '.join(lost)}"}
        else:
            decision.accepted[name] = Offer(value, offer.source)
            decision.replaces = True
    return decision


def _joined(present: Value, offer: Offer, source: str) -> Value:
    """Series are added, and placed where there was no position or by a source trusted as much; none is taken away."""
    may_move = rank("series", offer.source) <= rank("series", source)
    offered = {key_of(name): position for name, position in offer.value}
    joined = []
    for name, position in present:
        other = offered.pop(key_of(name), "")
        joined.append([name, other if other and (may_move or not position) else position])
    return joined + [[name, position] for name, position in offer.value if key_of(name) in offered]


def _outdoes(name: str, source: str, other: str) -> bool:
    """Genres of a source that is trusted more replace the others: few and even ones are better than a ripper's many."""
    return name == "genres" and rank(name, source) < rank(name, other)


def _lost(name: str, present: Value, value: Value) -> list[str]:
    if name not in (*NAMES, "genres"):
        return []
    kept = {key_of(each) for each in value}
    return [each for each in present if key_of(each) not in kept]


# --- writing ----------------------------------------------------------------------------------------------------------


@dataclass
class Writing:
    """What is to be written of a book. present: the values that `wanted` takes the place of; columns: those of no field."""

    book: Book
    present: Mapping[str, Value]
    wanted: Mapping[str, Value]
    provenance: dict[str, Any]
    columns: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Offered:
    """What is offered of a book as it was read, with its names; columns, which are no fields, are written whatever that is."""

    book: Book
    offers: Mapping[str, Offer]
    columns: Mapping[str, Any] = field(default_factory=dict)


def new_book(work: Work, offers: Mapping[str, Offer], *, now: datetime, **columns: Any) -> Book:
    """A book that has what is offered; `columns` are those that are no fields. Its own transaction is the caller's."""
    return new_books([(work, offers, columns)], now=now)[0]


def new_books(wanted: Iterable[tuple[Work, Mapping[str, Offer], Mapping[str, Any]]], *, now: datetime) -> list[Book]:
    """Of work, offers and columns each, as `new_book`; a bounded number of queries for all."""
    writings = [
        Writing(
            Book(work=work, **columns),
            {},
            {name: offer.value for name, offer in offers.items()},
            {name: {"source": offer.source, "at": now.isoformat()} for name, offer in offers.items()},
        )
        for work, offers, columns in wanted
    ]
    _store(writings)
    return [each.book for each in writings]


def apply(
    book: Book,
    offers: Mapping[str, Offer],
    *,
    why: str,
    now: datetime,
    run: MetadataRun | None = None,
    columns: Mapping[str, Any] | None = None,
) -> tuple[Decision, BookChange | None]:
    """Write what `decide` lets through, in one transaction, and `columns`, which are no fields, whatever that is.

    `book` is as it was read, with its names; where it was written since, what is written now counts.

    Raises:
        Book.DoesNotExist: it was deleted since.
    """
    (done,) = apply_all([Offered(book, offers, columns or {})], why=why, now=now, run=run)
    if done is None:
        raise Book.DoesNotExist
    return done


def apply_all(
    asked: Sequence[Offered], *, why: str, now: datetime, run: MetadataRun | None = None
) -> list[tuple[Decision, BookChange | None] | None]:
    """As `apply`, of different books, all or none of them; None of one that was deleted since."""
    # Without a savepoint: nobody goes on within a transaction in which this failed.
    with transaction.atomic(savepoint=False):
        values = [values_of(each.book) for each in asked]
        offers = _by_known_names(asked, values)
        decisions = [
            decide(present, each.book.provenance, offered)
            for each, present, offered in zip(asked, values, offers, strict=True)
        ]
        touched = [
            number
            for number, each in enumerate(asked)
            if each.columns or decisions[number].changes_something(each.book.provenance)
        ]
        locked = _lock(
            [asked[number].book for number in touched],
            {asked[number].book.pk for number in touched if decisions[number].concerns_names},
        )
        gone = {number for number in touched if asked[number].book.pk not in locked}
        written = [number for number in touched if number not in gone]
        again = [number for number in written if locked[asked[number].book.pk] is not asked[number].book]
        for number in again:
            values[number] = values_of(locked[asked[number].book.pk])
        renamed = _by_known_names([asked[number] for number in again], [values[number] for number in again])
        for number, offered in zip(again, renamed, strict=True):
            decisions[number] = decide(values[number], locked[asked[number].book.pk].provenance, offered)
        writings = {}
        for number in written:
            book = locked[asked[number].book.pk]
            wanted = {name: offer.value for name, offer in decisions[number].accepted.items()}
            provenance = _told(decisions[number], book.provenance, now)
            writings[number] = Writing(book, values[number], wanted, provenance, asked[number].columns)
        changes = dict(zip(writings, _write(list(writings.values()), why=why, run=run), strict=True))
    return [None if number in gone else (decision, changes.get(number)) for number, decision in enumerate(decisions)]


def _told(decision: Decision, known: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The provenance once the decision is written."""
    provenance = dict(known)
    for name, offer in decision.accepted.items():
        provenance[name] = {"source": offer.source, "at": now.isoformat()}
    for name, offered in decision.refused.items():
        provenance[name] = {**provenance.get(name, {}), "offered": {**offered, "at": now.isoformat()}}
    for name in decision.settled:
        provenance[name] = {key: value for key, value in provenance[name].items() if key != "offered"}
    return provenance


def _by_known_names(asked: Sequence[Offered], values: Sequence[Mapping[str, Value]]) -> list[dict[str, Offer]]:
    """With the names that the rows have: an author's other name is no other author. Two queries a field where it differs."""
    differ: dict[str, list[str]] = {}
    for each, present in zip(asked, values, strict=True):
        for name in MODELS.keys() & each.offers.keys():
            offered = each.offers[name].value
            if not is_same(name, present[name], offered):
                differ.setdefault(name, []).extend(_names_in(name, offered))
    known = {name: known_names(MODELS[name], differ[name]) for name in MODELS if name in differ}
    return [
        {
            name: Offer(_renamed(name, offer.value, known[name]), offer.source)
            if name in known and not is_same(name, present[name], offer.value)
            else offer
            for name, offer in each.offers.items()
        }
        for each, present in zip(asked, values, strict=True)
    ]


def _names_in(name: str, value: Value) -> list[str]:
    return [series for series, _ in value] if name == "series" else list(value)


def _renamed(name: str, value: Value, known: Mapping[str, str]) -> Value:
    """`value` with the known names, each once."""
    if name == "series":
        places = {known[key]: [known[key], place] for series, place in reversed(value) if (key := key_of(series))}
        return list(places.values())[::-1]
    return list(dict.fromkeys(known[key] for each in value if (key := key_of(each))))


def edit(
    book: Book, wanted: Mapping[str, Value], *, by: User, unlock: frozenset[str] = frozenset()
) -> BookChange | None:
    """A person's values, blank ones too. What they change is locked; `unlock` are fields that sources may write again."""
    now = timezone.now()
    with transaction.atomic():
        _lock_work(wanted)
        locked = _locked(book.pk)
        values = values_of(locked)
        wanted = {name: value for name, value in wanted.items() if value != values[name]}
        provenance = dict(locked.provenance)
        for name in wanted:
            provenance[name] = {"source": PERSON, "at": now.isoformat(), "locked": True}
        for name in unlock - wanted.keys():
            # Of nobody, so that every source may write it again.
            known = {key: value for key, value in provenance.get(name, {}).items() if key != "locked"}
            provenance[name] = {**known, "source": UNLOCKED}
        return _write([Writing(locked, values, wanted, provenance)], why=f"edited by {by.get_username()}", by=by)[0]


def take(book: Book, name: str, *, said_at: str, by: User) -> BookChange | None:
    """What a source says of a field and was refused is written after all; the field follows its sources again.

    said_at: the `at` of what the person saw. None: the source says something else by now, or nothing.
    """
    with transaction.atomic():
        _lock_work([name])
        locked = _locked(book.pk)
        offered = locked.provenance.get(name, {}).get("offered", {})
        if offered.get("at") != said_at:
            return None
        provenance = dict(locked.provenance)
        provenance[name] = {"source": offered["source"], "at": timezone.now().isoformat()}
        why = f"taken from {offered['source']} by {by.get_username()}"
        wanted = {name: offered["value"]}
        return _write([Writing(locked, values_of(locked), wanted, provenance)], why=why, by=by)[0]


def undo(change: BookChange) -> list[str]:
    """Puts back what the change replaced; the fields that were written again since are left, and returned."""
    with transaction.atomic():
        _lock_work(change.before if change.by_id is not None else ())
        book = _locked(change.book_id)
        values, provenance = values_of(book), dict(book.provenance)
        wanted, left = {}, []
        for name, before in change.before.items():
            after, known = change.after[name], provenance.get(name)
            is_note = before["value"] == after["value"]
            if is_note and known != after["provenance"]:
                # What was noted since is newer, or a person has locked or unlocked the field.
                continue
            if not _still_has(name, values[name], after["value"]) or _written(known) != _written(after["provenance"]):
                left.append(name)
                continue
            if not is_note:
                wanted[name] = before["value"]
            provenance.pop(name, None)
            if before["provenance"] is not None:
                provenance[name] = before["provenance"]
        _store([Writing(book, values, wanted, provenance, _with_cover(change.before, wanted))])
        if change.by_id is not None and wanted.keys() & _OF_THE_WORK:
            settle_work(book)
        change.undone_at = timezone.now()
        change.save(update_fields=["undone_at"])
    return left


def _still_has(name: str, present: Value, written: Value) -> bool:
    """Also by the names that its rows have by now: who merges or renames them writes no book."""
    if is_same(name, present, written):
        return True
    if name not in MODELS:
        return False
    return is_same(name, present, _renamed(name, written, known_names(MODELS[name], _names_in(name, written))))


def written_by(change: BookChange) -> set[str]:
    """The sources of what it wrote."""
    return {
        str(told["provenance"].get("source", ""))
        for name, told in change.after.items()
        if told["provenance"] and _written(told["provenance"]) != _written(change.before[name]["provenance"])
    }


def withdraw(book: Book, sources: Collection[str], *, why: str, by: User) -> tuple[list[str], list[str]]:
    """What `sources` wrote, and nobody has written since, gives way to what stood there before; what they offer is forgotten.

    Returns the fields that were put back, and those of which nothing tells what stood there.
    """
    with transaction.atomic():
        lock_making()
        locked = _locked(book.pk)
        values, provenance = values_of(locked), dict(locked.provenance)
        mine = {name: known for name, known in provenance.items() if known.get("source") in sources}
        before: dict[str, Any] = {}
        # Back through what they wrote over each other, to what was there before all of it.
        for change in BookChange.objects.filter(book=locked, undone_at=None).order_by("-pk").iterator(chunk_size=100):
            for name in mine.keys() & change.after.keys():
                earlier, is_of_it = change.before[name], mine[name].get("source") in sources
                if is_of_it and _written(change.after[name]["provenance"]) == _written(mine[name]):
                    before[name], mine[name] = earlier, earlier["provenance"] or {}
        put_back = [name for name in FIELDS if name in before and mine[name].get("source") not in sources]
        for name in put_back:
            provenance[name] = mine[name]
        for name, known in provenance.items():
            if known.get("offered", {}).get("source") in sources:
                provenance[name] = {key: value for key, value in known.items() if key != "offered"}
        provenance = {name: known for name, known in provenance.items() if known}
        wanted = {name: before[name]["value"] for name in put_back}
        writing = Writing(locked, values, wanted, provenance, _with_cover(before, wanted))
        _write([writing], why=why, by=by)
    return put_back, [name for name in FIELDS if provenance.get(name, {}).get("source") in sources]


def _with_cover(before: Mapping[str, Any], wanted: Mapping[str, Value]) -> dict[str, Any]:
    """The cover that belongs to the address which is put back; without its file it is fetched at the next refresh."""
    cover = before["cover_url"].get("cover", "") if "cover_url" in wanted else ""
    return {"cover": cover} if cover and covers.keeps(cover) else {}


def _written(provenance: Mapping[str, Any] | None) -> tuple[Any, Any]:
    """By whom and when, whatever was noted beside it since."""
    known = provenance or {}
    return known.get("source"), known.get("at")


def _lock_work(names: Iterable[str]) -> None:
    """Before the book, where fields change that say which work it is of."""
    if not _OF_THE_WORK.isdisjoint(names):
        lock_making()


def _locked(pk: int) -> Book:
    """As it is now."""
    return books_with_names(Book.objects.select_for_update()).get(pk=pk)


def _lock(books: Sequence[Book], by_names: Collection[int]) -> dict[int, Book]:
    """By key, those that are there, as they are now: the same where nothing of it was written since it was read.

    What writes a field writes its provenance; but who merges names, or undoes that, writes none of the books, so those
    of `by_names`, of which names are to be written, are compared by them as well.
    """
    read = {book.pk: book for book in books}
    # In order, as others lock them who want several.
    rows = Book.objects.select_for_update().filter(pk__in=read).order_by("pk") if read else Book.objects.none()
    stale = set()
    found = {}
    for pk, provenance, cover in rows.values_list("pk", "provenance", "cover"):
        found[pk] = read[pk]
        read[pk].cover = cover
        if provenance != read[pk].provenance:
            stale.add(pk)
    named = _names_of(found.keys() & set(by_names) - stale)
    stale |= {pk for pk, names in named.items() if names != {name: values_of(read[pk])[name] for name in MODELS}}
    if stale:
        found |= {book.pk: book for book in books_with_names(Book.objects.filter(pk__in=stale))}
    return found


def _names_of(books: Collection[int]) -> dict[int, dict[str, list[Any]]]:
    """By key, what `values_of` has for MODELS, as it is now; much cheaper than to read the books."""
    found: dict[int, dict[str, list[Any]]] = {pk: {name: [] for name in MODELS} for pk in books}
    if not found:
        return found
    for name, (_, through, _, column) in NAMES.items():
        of_them = through.objects.filter(book__in=books)
        for pk, one in of_them.values_list("book_id", f"{column}__name"):
            found[pk][name].append(one)
    genres = Book.genres.through._default_manager.filter(book__in=books)
    for pk, one in sorted(genres.values_list("book_id", "genre__name")):
        found[pk]["genres"].append(one)
    for pk, *place in SeriesEntry.objects.filter(book__in=books).values_list("book_id", "series__name", "position"):
        found[pk]["series"].append(place)
    return found


def _write(
    writings: Sequence[Writing], *, why: str, run: MetadataRun | None = None, by: User | None = None
) -> list[BookChange | None]:
    """Store them, and what that changes of each."""
    changes = [_change(each, why=why, run=run, by=by) for each in writings]
    _store([each for each, change in zip(writings, changes, strict=True) if change or each.columns])
    for each in writings:
        if by is not None and each.wanted.keys() & _OF_THE_WORK:
            settle_work(each.book)
    BookChange.objects.bulk_create(change for change in changes if change)
    return changes


def _change(writing: Writing, *, why: str, run: MetadataRun | None, by: User | None) -> BookChange | None:
    """Not saved yet; None where nothing is told."""
    book, values, wanted, provenance = writing.book, writing.present, writing.wanted, writing.provenance
    known = book.provenance
    # Also where the value stays, and only what is noted of it changes: an undo puts that back as well.
    told = [name for name in FIELDS if name in wanted or provenance.get(name) != known.get(name)]
    if not told:
        return None
    before = {name: {"value": values[name], "provenance": known.get(name)} for name in told}
    if "cover_url" in wanted:
        before["cover_url"]["cover"] = book.cover
    after = {name: {"value": wanted.get(name, values[name]), "provenance": provenance.get(name)} for name in told}
    return BookChange(book=book, run=run, by=by, why=why[:255], before=before, after=after)


def _store(writings: Sequence[Writing]) -> None:
    new = []
    for each in writings:
        changed = _set_columns(each)
        if each.book._state.adding:
            new.append(each.book)
        elif changed:
            _update(each.book, changed)
    Book.objects.bulk_create(new)
    # The names before the links: who merges them goes the same way.
    for name, (model, through, related, column) in NAMES.items():
        lists = [each for each in writings if name in each.wanted]
        rows = rows_by_key(model, [one for each in lists for one in each.wanted[name]])
        _clear(lists, name, through, related)
        through._default_manager.bulk_create(
            through(book=each.book, **{column: row}, number=number)
            for each in lists
            for number, row in enumerate(_each_once(rows, each.wanted[name]))
        )
    lists = [each for each in writings if "genres" in each.wanted]
    genres = rows_by_key(Genre, [one for each in lists for one in each.wanted["genres"]])
    _clear(lists, "genres", Book.genres.through, "genres")
    Book.genres.through._default_manager.bulk_create(
        Book.genres.through(book=each.book, genre=row)
        for each in lists
        for row in _each_once(genres, each.wanted["genres"])
    )
    lists = [each for each in writings if "series" in each.wanted]
    series = rows_by_key(Series, [one for each in lists for one, _ in each.wanted["series"]])
    _clear(lists, "series", SeriesEntry, "series_entries")
    SeriesEntry.objects.bulk_create(entry for each in lists for entry in _entries(each, series))


def _set_columns(writing: Writing) -> list[str]:
    """The names of the columns that are other than they were."""
    book, wanted = writing.book, writing.wanted
    changed: dict[str, Any] = dict(writing.columns)
    if writing.provenance != book.provenance:
        changed["provenance"] = writing.provenance
    changed |= {name: wanted[name] for name in (*TEXTS, "abridged") if name in wanted}
    if "cover_url" in wanted:
        changed.setdefault("cover", "")  # The cover that is kept is of the address before.
    if "runtime" in wanted:
        changed["runtime"] = None if wanted["runtime"] is None else timedelta(seconds=wanted["runtime"])
    for name, value in changed.items():
        setattr(book, name, value)
    return list(changed)


def _update(book: Book, names: list[str]) -> None:
    """As text, for it comes with every book, and to compile it takes longer than to execute it."""
    columns: list[Any] = [Book._meta.get_field(name) for name in names]
    wanted = ", ".join(f"{connection.ops.quote_name(column.column)} = %s" for column in columns)
    values = [column.get_db_prep_save(getattr(book, column.attname), connection) for column in columns]
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE audiobooks_book SET {wanted} WHERE id = %s", [*values, book.pk])


def _clear(lists: Sequence[Writing], name: str, through: Any, related: str) -> None:
    """The rows of before go, and what was read of them with the book."""
    if had := [each.book.pk for each in lists if not is_empty(each.present.get(name))]:
        through._default_manager.filter(book__in=had).delete()
    for each in lists:
        each.book.names_read = None
        getattr(each.book, "_prefetched_objects_cache", {}).pop(related, None)


def _each_once(rows: Mapping[str, Any], names: Iterable[str]) -> list[Any]:
    """In order; two names of one row are one."""
    found = (rows[key] for name in names if (key := key_of(name)))
    return list({row.pk: row for row in found}.values())


def _entries(writing: Writing, rows: Mapping[str, Series]) -> list[SeriesEntry]:
    """One a series; of two names of one series, the first."""
    entries: dict[int, SeriesEntry] = {}
    for name, position in writing.wanted["series"]:
        if row := rows.get(key_of(name)):
            entry = SeriesEntry(book=writing.book, series=row, position=position, order=order_of(position))
            entries.setdefault(row.pk, entry)
    return list(entries.values())
