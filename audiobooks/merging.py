"""Authors, narrators, series and genres that are one and the same, and those that are not after all.

Every step names the rows by kind and key, runs in one transaction, and locks books before names, each in order of their
keys, as a refresh does that writes a book. Each raises NotAllowedNow with a sentence where it cannot be done.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
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
    Follow,
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
FOLLOWED = (Merge.Kind.AUTHOR, Merge.Kind.SERIES)


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
        along = _standing(name, gone)
        done.links = [[book, place, False, None] for book, place in _own(kind, theirs, along).items()]
        _join(kind, ours, [done, *along], theirs.keys())
        Merge.objects.bulk_update(along, ["links"])
        if isinstance(rows[kept], Genre):
            done.enabled = [rows[gone].enabled, rows[kept].enabled]
            rows[kept].enabled |= rows[gone].enabled
            rows[kept].save(update_fields=["enabled"])
            _hang_charts(Chart.objects.filter(genre=gone), kept)
        if name in FOLLOWED:
            done.follow = _hand_follow_on(kind, gone, kept)
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
        along = Merge.objects.filter(kind=merge.kind, key__in=[key for _, key in merge.aliases], undone_at=None)
        _lock_books(list({link[0] for each in (merge, *along) for link in each.links}))
        alias = kind.alias._default_manager.filter(key=merge.key).first()
        if alias is None:
            raise NotAllowedNow(f"{merge.name} is no other name of anything any more.")
        # Before what is remembered of its merges, of which others change some as well.
        kept = _locked(kind, alias.of_id)[alias.of_id]
        merge = Merge.objects.select_for_update().get(pk=merge.pk)
        alias = kind.alias._default_manager.filter(key=merge.key, of=kept).first()
        if merge.undone_at is not None or alias is None:
            raise NotAllowedNow(f"{merge.name} is no other name of {kept} any more.")
        names = [key for _, key in merge.aliases]
        row = _own_row(kind, alias, merge.name)
        kind.alias._default_manager.filter(of=kept, key__in=names).update(of=row)
        _hang_back(kind, merge, kept.pk, row.pk)
        Merge.objects.filter(kind=merge.kind, kept=kept.pk, key__in=names).update(kept=row.pk)
        if merge.enabled:
            row.enabled, was_enabled = merge.enabled
            kept.enabled &= was_enabled or not row.enabled
            row.save(update_fields=["enabled"])
            kept.save(update_fields=["enabled"])
        if merge.follow:
            _hand_follow_back(kind, merge.follow, kept.pk, row.pk)
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


def _standing(name: str, row: int) -> list[Merge]:
    """What was merged into the row and is not undone, in that order."""
    return list(Merge.objects.filter(kind=name, kept=row, undone_at=None).order_by("pk"))


def _own(kind: Kind, places: dict[int, Any], merges: Iterable[Merge]) -> dict[int, Any]:
    """Without what the merges brought to these books of a row: the book itself, or its place in a series."""
    own = dict(places)
    for merge in merges:
        for book, place, was_both, before in merge.links:
            if book in own and not was_both:
                del own[book]
            elif kind.place == "position" and not before and place and own.get(book) == place:
                own[book] = before
    return own


def _join(kind: Kind, own: dict[int, Any], merges: Iterable[Merge], books: Collection[int]) -> dict[int, Any]:
    """The places of what is a row's own and of `books` of what was merged into it, which is told what each found there."""
    places = dict(own)
    for merge in merges:
        for link in merge.links:
            book, place = link[:2]
            if book not in books:
                continue
            link[2:] = [book in places, places.get(book)]
            if book not in places or (kind.place == "position" and not places[book]):
                places[book] = place
    return places


def _hang_back(kind: Kind, merge: Merge, kept: int, row: int) -> None:
    """The row and the kept one become as if it had not been; what a person has changed on the kept row since stays so."""
    here, standing = kind.places(kept), _standing(merge.kind, kept)
    names = {key for _, key in merge.aliases}
    along = [each for each in standing if each.key in names]
    others = [each for each in standing if each.key not in names and each.pk != merge.pk]
    told = {(book, place) for each in (merge, *along) for book, place, *_ in each.links}
    books = here.keys() & {book for book, _ in told}
    stays = _join(kind, _own(kind, here, standing), others, books)
    mine = {book: place for book, place, *_ in merge.links if book in here}
    kind.hang(_join(kind, mine, along, books), row)
    for each in others:
        # What goes back with the row is no name of theirs any more, wherever it is merged next.
        each.aliases = [alias for alias in each.aliases if alias[1] not in {merge.key, *names}]
    Merge.objects.bulk_update([*along, *others], ["links", "aliases"])
    otherwise = {book for book in books & stays.keys() if stays[book] != here[book] and (book, here[book]) in told}
    for part in _parts(sorted(books - stays.keys() | otherwise)):
        kind.links(kept).filter(book__in=part).delete()
    kind.hang({book: stays[book] for book in otherwise}, kept)


def _hand_follow_on(kind: Kind, gone: int, kept: int) -> dict[str, Any]:
    """What a person chose for the gone row holds for the kept one, unless they chose something for that; returns it."""
    follow = Follow.objects.filter(**{kind.column: gone}).first()
    if follow is None:
        return {}
    if not Follow.objects.filter(**{kind.column: kept}).exists():
        Follow.objects.filter(pk=follow.pk).update(**{kind.column: kept})
    chosen = {"scope": follow.scope, "from_number": follow.from_number, "since": follow.since.isoformat()}
    return {"id": follow.pk, **chosen, "by": follow.by_id}


def _hand_follow_back(kind: Kind, told: dict[str, Any], kept: int, row: int) -> None:
    """The one row under its own key, so that it goes back once, in whichever order merges of merged rows are undone."""
    chosen = {name: told[name] for name in ("scope", "from_number", "since")}
    same = Follow.objects.filter(pk=told["id"])
    if same.exclude(**{kind.column: kept}).exists():
        return
    if not same.filter(**chosen).update(**{kind.column: row}):
        # The kept row had its own, or a person has changed this one since: then it stays there.
        key = None if same.exists() else told["id"]
        by = User.objects.filter(pk=told["by"]).first()
        Follow.objects.create(pk=key, by=by, **{f"{kind.column}_id": row}, **chosen)


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
