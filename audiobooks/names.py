"""Rows for names: a name, another spelling of it and each alias lead to the same row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from .library.albums import key_of
from .models import Acquisition, Author, Authorship, BlockedRelease, Book, Named, Work, WorkMark, WorkSearch

N = TypeVar("N", bound=Named)

_MAKING_BOOKS = 7_301_401
"""The number of a lock, of no meaning but that nothing else uses it."""


def rows_of(model: type[N], names: Iterable[str]) -> list[N]:
    """One row a name, in order and each once; made where there is none. Names without a letter are left out."""
    return list({row.pk: row for row in rows_by_key(model, names).values()}.values())


def rows_by_key(model: type[N], names: Iterable[str]) -> dict[str, N]:
    """Key of each name -> its row, in order; a fixed number of queries.

    Until the end of the transaction nobody merges them away, which would leave what is hung on them on nothing. As
    merging has it: after the books, before what hangs books on names.
    """
    keys: dict[str, str] = {}
    for name in names:
        if key := key_of(name):
            keys.setdefault(key, name[:255])
    found = _locked(model, list(keys))
    # In order, so that two who make the same rows do not wait for each other.
    new = [model(key=key, name=name) for key, name in sorted(keys.items()) if key not in found]
    if new:
        # One that another has made meanwhile is found by being written as it is.
        made = model._default_manager.bulk_create(
            new, update_conflicts=True, unique_fields=["key"], update_fields=["key"]
        )
        found |= {row.key: row for row in made}
    return {key: found[key] for key in keys}


def known_names(model: type[N], names: Iterable[str]) -> dict[str, str]:
    """Key of each name -> the name of its row, or the name itself where there is no row; in order."""
    keys: dict[str, str] = {}
    for name in names:
        if key := key_of(name):
            keys.setdefault(key, name)
    found = _known(model, list(keys))
    return {key: found[key].name if key in found else name for key, name in keys.items()}


def _known(model: type[N], keys: list[str]) -> dict[str, N]:
    if not keys:
        return {}
    found = {row.key: row for row in model._default_manager.filter(key__in=keys)}
    if rest := [key for key in keys if key not in found]:
        aliases = model.aliases.rel.related_model._default_manager  # type: ignore[attr-defined]
        found |= {alias.key: alias.of for alias in aliases.filter(key__in=rest).select_related("of")}
    return found


def _locked(model: type[N], keys: list[str]) -> dict[str, N]:
    """As `_known`, of rows that stay. SQLite has one writer at a time anyway."""
    if not connection.features.has_select_for_update:
        return _known(model, keys)
    with transaction.atomic(savepoint=False):
        while True:
            found = _known(model, keys)
            wanted = {row.pk for row in found.values()}
            # Known first and locked then, so that all are locked in one order, be it by a name or by another.
            rows = model._default_manager.select_for_update(no_key=True).filter(pk__in=wanted).order_by("pk")
            if not wanted or len(rows.values_list("pk", flat=True)) == len(wanted):
                return found
            # One was merged away while it was waited for: by now its name leads to another.


def lock_making() -> None:
    """Until the end of the transaction nobody else looks for a book or work and makes it: else both might make it.

    Before any row is locked. SQLite has one writer at a time anyway.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_MAKING_BOOKS])


def work_of(title: str, authors: Iterable[Author]) -> Work:
    """The work of this title by one of these authors, made where there is none."""
    known = _called(title).filter(author__in=list(authors)).values_list("book__work", flat=True).first()
    if known is None:
        return Work.objects.create(title=title[:512], key=key_of(title))
    return Work.objects.get(pk=known)


def _called(title: str) -> QuerySet[Authorship]:
    """Of books whose work is called so, or that are so themselves: a refresh gives a book another title than its work has."""
    return Authorship.objects.filter(Q(book__work__key=key_of(title)) | Q(book__title=title)).order_by("book_id")


def settle_work(book: Book) -> None:
    """Hang a book whose title or authors a person changed on the work that an import would find or make for it.

    What is being got of it goes along.
    """
    key, own = key_of(book.title), book.work
    authors = Authorship.objects.filter(book=book).values("author")
    others = _called(book.title).filter(author__in=authors).exclude(book=book)
    works = list(others.values_list("book__work", flat=True))
    if own.pk in works:
        return
    if works:
        book.work_id = works[0]
    elif Book.objects.filter(work=own).exclude(pk=book.pk).exists():
        book.work = Work.objects.create(title=book.title[:512], key=key)
    else:
        own.title, own.key = book.title[:512], key
        own.save(update_fields=["title", "key"])
        return
    book.save(update_fields=["work"])
    _take_along(Acquisition.objects.filter(work=own, book=book), book.work)
    if not Book.objects.filter(work=own).exists():
        _hand_on(own, book.work)


def _hand_on(own: Work, other: Work) -> None:
    """What is known of a work that no book is of any more belongs to the one that its last book hangs on now."""
    for model in (WorkMark, WorkSearch):
        if not model._default_manager.filter(work=other).exists():
            model._default_manager.filter(work=own).update(work=other)
    BlockedRelease.objects.filter(work=own).update(work=other)
    _take_along(Acquisition.objects.filter(work=own), other)
    Work.objects.filter(pk=own.pk, acquisitions=None).delete()


def _take_along(acquisitions: QuerySet[Acquisition], other: Work) -> None:
    """To another work; one that is open stays where that has an open one."""
    if Acquisition.objects.filter(work=other, state__in=Acquisition.OPEN).exists():
        acquisitions = acquisitions.exclude(state__in=Acquisition.OPEN)
    # With the releases that were declined of it.
    for work, source, key in set(acquisitions.values_list("work", "source", "key")):
        BlockedRelease.objects.filter(work=work, source=source, key=key).update(work=other)
    acquisitions.update(work=other)
