"""Rows for names: a name, another spelling of it and each alias lead to the same row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from django.db import connection

from .library.albums import key_of
from .models import Author, Authorship, Book, Named, Work

N = TypeVar("N", bound=Named)

_MAKING_BOOKS = 7_301_401
"""The number of a lock, of no meaning but that nothing else uses it."""


def rows_of(model: type[N], names: Iterable[str]) -> list[N]:
    """One row a name, in order and each once; made where there is none. Names without a letter are left out."""
    return list({row.pk: row for row in rows_by_key(model, names).values()}.values())


def rows_by_key(model: type[N], names: Iterable[str]) -> dict[str, N]:
    """Key of each name -> its row, in order. Three queries at most."""
    keys: dict[str, str] = {}
    for name in names:
        if key := key_of(name):
            keys.setdefault(key, name[:255])
    found = _known(model, list(keys))
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


def lock_making() -> None:
    """Until the end of the transaction nobody else looks for a book or work and makes it: else both might make it.

    Before any row is locked. SQLite has one writer at a time anyway.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_MAKING_BOOKS])


def work_of(title: str, authors: Iterable[Author]) -> Work:
    """The work of this title by one of these authors, made where there is none."""
    key = key_of(title)
    by = Authorship.objects.filter(author__in=list(authors), book__work__key=key).order_by("book_id")
    known = by.values_list("book__work", flat=True).first()
    if known is None:
        return Work.objects.create(title=title[:512], key=key)
    return Work.objects.get(pk=known)


def settle_work(book: Book) -> None:
    """Hang a book whose title or authors a person changed on the work that an import would find or make for it."""
    key, own = key_of(book.title), book.work
    authors = Authorship.objects.filter(book=book).values("author")
    others = Authorship.objects.filter(author__in=authors, book__work__key=key).exclude(book=book).order_by("book_id")
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
    Work.objects.filter(pk=own.pk, books=None).delete()
