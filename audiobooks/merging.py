"""Authors, narrators, series and genres that are one and the same, and those that are not after all.

Every step names the rows by kind and key, runs in one transaction, and locks books before names, each in order of their
keys, as a refresh does that writes a book. Each raises NotAllowedNow with a sentence where it cannot be done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import models, transaction
from django.utils import timezone

from scheduling.exceptions import NotAllowedNow

from .library.albums import key_of
from .matching.positions import order_of
from .models import (
    Author,
    AuthorAlias,
    Authorship,
    Book,
    Chart,
    Genre,
    GenreAlias,
    Merge,
    Narrator,
    NarratorAlias,
    Reading,
    Series,
    SeriesAlias,
    SeriesEntry,
)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """`through` hangs a book on a row by `column`; `place` is where in the book's list or in the series, if anywhere."""

    model: Any
    alias: Any
    through: Any
    column: str
    place: str = ""

    def links(self, *rows: int) -> Any:
        return self.through._default_manager.filter(**{f"{self.column}__in": rows}).order_by("book")

    def places(self, row: int) -> dict[int, Any]:
        """Book -> place, None for genres."""
        links = self.links(row).values_list("book_id", self.place or "pk")
        return {book: place if self.place else None for book, place in links}

    def hang(self, books: dict[int, Any], row: int) -> None:
        links = [self.through(book_id=book, **{f"{self.column}_id": row, **self._at(books[book])}) for book in books]
        self.through._default_manager.bulk_create(links, batch_size=500, ignore_conflicts=True)

    def _at(self, place: Any) -> dict[str, Any]:
        if self.place == "position":
            return {"position": place, "order": order_of(place)}
        return {self.place: place} if self.place else {}


KINDS: dict[str, Kind] = {
    Merge.Kind.AUTHOR: Kind(model=Author, alias=AuthorAlias, through=Authorship, column="author", place="number"),
    Merge.Kind.NARRATOR: Kind(model=Narrator, alias=NarratorAlias, through=Reading, column="narrator", place="number"),
    Merge.Kind.SERIES: Kind(model=Series, alias=SeriesAlias, through=SeriesEntry, column="series", place="position"),
    Merge.Kind.GENRE: Kind(model=Genre, alias=GenreAlias, through=Book.genres.through, column="genre"),
}


def merge(name: str, kept: int, gone: int, *, by: User) -> Merge:
    """`gone` becomes another name of `kept`, and its books those of `kept`. `name` is a Merge.Kind."""
    kind = KINDS[name]
    if kept == gone:
        raise NotAllowedNow("It is merged with another, not with itself.")
    with transaction.atomic():
        _lock_books(kind.links(kept, gone).values("book"))
        rows = _locked(kind, kept, gone)
        done = Merge(kind=name, kept=kept, name=rows[gone].name, key=rows[gone].key, by=by)
        aliases = kind.alias._default_manager.filter(of=gone)
        done.aliases = [list(alias) for alias in aliases.values_list("name", "key")]
        theirs, ours = kind.places(gone), kind.places(kept)
        done.links = [[book, place, book in ours, ours.get(book)] for book, place in theirs.items()]
        if isinstance(rows[kept], Genre):
            done.enabled = [rows[gone].enabled, rows[kept].enabled]
            rows[kept].enabled |= rows[gone].enabled
            rows[kept].save(update_fields=["enabled"])
            _hang_charts(Chart.objects.filter(genre=gone), kept)
        kind.links(gone).exclude(book__in=kind.links(kept).values("book")).update(**{kind.column: kept})
        if kind.place == "position":
            _place(kind, kept, {book: theirs[book] for book, place in ours.items() if not place and theirs.get(book)})
        aliases.update(of=kept)
        Merge.objects.filter(kind=name, kept=gone).update(kept=kept)
        rows[gone].delete()
        kind.alias._default_manager.create(name=done.name, key=done.key, of_id=kept)
        done.save()
    return done


def undo_merge(merge: Merge) -> Any:
    """The row that was gone, with its other names and those of its books that still hang on what it was merged with.

    That is found by the name, so merges of merged rows can be undone in any order.
    """
    kind = KINDS[merge.kind]
    with transaction.atomic():
        _lock_books([link[0] for link in merge.links])
        merge = Merge.objects.select_for_update().get(pk=merge.pk)
        alias = kind.alias._default_manager.filter(key=merge.key).first()
        if merge.undone_at is not None or alias is None:
            raise NotAllowedNow(f"{merge.name} is no other name of anything any more.")
        kept = _locked(kind, alias.of_id)[alias.of_id]
        row = _own_row(kind, alias, merge.name)
        names = [key for _, key in merge.aliases]
        kind.alias._default_manager.filter(of=kept, key__in=names).update(of=row)
        Merge.objects.filter(kind=merge.kind, kept=kept.pk, key__in=names).update(kept=row.pk)
        _hang_back(kind, merge, kept.pk, row.pk)
        if merge.enabled:
            row.enabled, was_enabled = merge.enabled
            kept.enabled &= was_enabled or not row.enabled
            row.save(update_fields=["enabled"])
            kept.save(update_fields=["enabled"])
        if merge.kind == Merge.Kind.GENRE:
            theirs = Chart.objects.filter(key__in=[row.key, *names])
            _hang_charts(theirs.filter(models.Q(genre=kept) | models.Q(genre=None)), row.pk)
        merge.undone_at = timezone.now()
        merge.save(update_fields=["undone_at"])
    return row


def split(name: str, alias: int) -> Any:
    """Another name is somebody else: it gets a row of its own, with the books it had if it came by a merge."""
    kind = KINDS[name]
    with transaction.atomic():
        found = kind.alias._default_manager.filter(pk=alias).first()
        if found is None:
            raise NotAllowedNow("That name is no other name of it any more.")
        done = Merge.objects.filter(kind=name, key=found.key, undone_at=None).first()
        return undo_merge(done) if done else _own_row(kind, found, found.name)


def add_alias(name: str, row: int, alias: str) -> None:
    """Sources that use the name `alias` mean `row`."""
    kind = KINDS[name]
    with transaction.atomic():
        _locked(kind, row)
        key = _key(alias)
        _refuse_taken(kind, key, row)
        if kind.model._default_manager.filter(pk=row, key=key).exists():
            raise NotAllowedNow("That is its own name.")
        kind.alias._default_manager.get_or_create(key=key, defaults={"name": alias.strip(), "of_id": row})


def rename(name: str, row: int, new: str) -> None:
    """The former name stays as another, unless it is only spelled otherwise."""
    kind = KINDS[name]
    with transaction.atomic():
        found = _locked(kind, row)[row]
        key = _key(new)
        _refuse_taken(kind, key, row)
        kind.alias._default_manager.filter(key=key, of=row).delete()
        if key != found.key:
            kind.alias._default_manager.create(name=found.name, key=found.key, of=found)
        found.name, found.key = new.strip(), key
        found.save(update_fields=["name", "key"])


def _key(name: str) -> str:
    if not (key := key_of(name)):
        raise NotAllowedNow("A name has a letter or a digit.")
    if len(name.strip()) > 255:
        raise NotAllowedNow("A name has at most 255 characters.")
    return key


def _refuse_taken(kind: Kind, key: str, row: int) -> None:
    other = kind.model._default_manager.filter(key=key).exclude(pk=row).first()
    if other is not None:
        raise NotAllowedNow(f"There is {other} already; merge the two instead.")
    alias = kind.alias._default_manager.filter(key=key).exclude(of=row).select_related("of").first()
    if alias is not None:
        raise NotAllowedNow(f"{alias} is another name of {alias.of}.")


def _own_row(kind: Kind, alias: Any, name: str) -> Any:
    alias.delete()
    return kind.model._default_manager.get_or_create(key=alias.key, defaults={"name": name})[0]


def _hang_back(kind: Kind, merge: Merge, kept: int, row: int) -> None:
    """Books that a person took from the kept row since stay as they are."""
    here = kind.places(kept)
    links = [link for link in merge.links if link[0] in here]
    kind.hang({book: place for book, place, *_ in links}, row)
    for part in _parts([book for book, _, was_both, _ in links if not was_both]):
        kind.links(kept).filter(book__in=part).delete()
    if kind.place == "position":
        given = {
            book: before
            for book, place, was_both, before in links
            if was_both and not before and place and here[book] == place
        }
        _place(kind, kept, given)


def _hang_charts(charts: models.QuerySet[Chart], genre: int) -> None:
    """Where the genre has a chart of the same week, the other stays without one."""
    charts.exclude(week__in=Chart.objects.filter(genre=genre).values("week")).update(genre=genre)


def _place(kind: Kind, row: int, positions: dict[int, str]) -> None:
    entries = []
    for part in _parts(list(positions)):
        for entry in kind.links(row).filter(book__in=part):
            entry.position = positions[entry.book_id]
            entry.order = order_of(entry.position)
            entries.append(entry)
    kind.through._default_manager.bulk_update(entries, ["position", "order"], batch_size=200)


def _locked(kind: Kind, *rows: int) -> dict[int, Any]:
    found = {row.pk: row for row in kind.model._default_manager.select_for_update().filter(pk__in=rows).order_by("pk")}
    if len(found) < len(rows):
        raise NotAllowedNow("It is not there any more; somebody else was quicker.")
    return found


def _lock_books(books: models.QuerySet[Any] | list[int]) -> None:
    for part in _parts(sorted(books)) if isinstance(books, list) else [books]:
        list(Book.objects.select_for_update().filter(pk__in=part).order_by("pk").values_list("pk", flat=True))


def _parts(values: list[int]) -> Iterator[Iterable[int]]:
    # SQLite takes a bounded number of parameters in a statement.
    for start in range(0, len(values), 500):
        yield values[start : start + 500]
