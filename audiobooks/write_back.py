"""What is known here is written into Audiobookshelf, where the person allowed that.

A field is written once for each change of it here, so what a person changes there stays until it changes here. What came
from there is not written, nothing is emptied, and lists only grow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from scheduling.context import TaskRun
from scheduling.exceptions import TaskFailed

from .fields import digest_of, facts_from, is_empty, values_of
from .library.audiobookshelf import Audiobookshelf, Changes, LibraryItem, would_change
from .models import Book, Holding, with_names
from .shelf import library_of

FIELDS = (
    *("title", "subtitle", "authors", "narrators", "series", "genres", "description", "language", "abridged"),
    *("publisher", "released", "asin", "isbn"),
)
CHUNK = 200
"""Books compared, and then written, at a time."""


@dataclass(frozen=True)
class Due:
    """What is to be written of one item; `written` is its Holding's once it is."""

    holding: Holding
    changes: Changes
    written: dict[str, str]


def write_back(run: TaskRun, server: Audiobookshelf, items: Sequence[LibraryItem]) -> None:
    """`items` are what the server said just now. What is not written now is tried at the next scan.

    Raises:
        TaskFailed: the server refused all of it.
    """
    counts: Counter[str] = Counter()
    problems: Counter[str] = Counter()
    rest = iter(items)
    while not run.should_stop and (chunk := list(islice(rest, CHUNK))):
        due = {each.holding.item: each for each in _due(chunk)}
        failed = server.write_many({item: each.changes for item, each in due.items()}) if due else {}
        done = [each for item, each in due.items() if item not in failed]
        _remember(done)
        counts["written"] += len(done)
        counts["not written"] += len(failed)
        problems.update(str(error) for error in failed.values())
    for problem, number in problems.items():
        run.warning("Not written to Audiobookshelf, %s of the books: %s", number, problem)
    run.result = {**(run.result or {}), "written back": dict(counts)}
    if problems and not counts["written"]:
        sentence = problems.most_common(1)[0][0]
        raise TaskFailed(f"Nothing could be written to Audiobookshelf; the next scan tries again. {sentence}")
    if counts["written"]:
        run.log("Written to Audiobookshelf: %s books.", counts["written"])


def _due(items: Sequence[LibraryItem]) -> list[Due]:
    """Those with something to write. Where the server says the same already, that is remembered as written."""
    there = {(library_of(item.library_id), item.id): item for item in items if item.is_owned}
    holdings = Holding.objects.filter(item__in=[item.id for item in items]).order_by("pk")
    rows = [row for row in holdings if (row.library, row.item) in there]
    books = {book.pk: book for book in with_names(Book.objects.filter(pk__in={row.book_id for row in rows}))}
    due: list[Due] = []
    agreed: list[Due] = []
    for row in rows:
        values = _to_write(books[row.book_id], row)
        if not values:
            continue
        written = {**row.written, **{name: digest_of(value) for name, value in values.items()}}
        changes = Changes(was=there[row.library, row.item].facts, becomes=facts_from(values))
        (due if would_change(changes) else agreed).append(Due(row, changes, written))
    _remember(agreed)
    return due


def _to_write(book: Book, holding: Holding) -> dict[str, Any]:
    """Field -> what is ours and was not written there.

    A value from the server itself is ours only where we have written over it, and it was put back since.
    """
    values = values_of(book)
    sources = {name: book.provenance.get(name, {}).get("source") for name in FIELDS}
    return {
        name: values[name]
        for name in FIELDS
        if not is_empty(values[name])
        and (sources[name] != "audiobookshelf" or name in holding.written)
        and holding.written.get(name) != digest_of(values[name])
    }


def _remember(done: list[Due]) -> None:
    for each in done:
        each.holding.written = each.written
    Holding.objects.bulk_update([each.holding for each in done], ["written"])
