"""The verb behind “Import books” and `manage.py importbooks`: a file is stored, looked through, and imported by a Task.

Files of any size go the same way, since a request that takes minutes is cut off by whatever stands before the pages, and a
Task shows how far it is, can be stopped, and can be run again: what is imported already stays as it is.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from scheduling.context import TaskRun
from scheduling.exceptions import NotAllowedNow, TaskFailed
from scheduling.models import Task
from scheduling.registry import registry

from .library.albums import key_of
from .library.exports import Export, ExportRow, Problem, UnreadableExport, read_export
from .models import Book, Upload
from .owning import CHUNK, Held, find_book, higher, known_holdings, record_each

KEPT = timedelta(days=1)
COMPARED = 2_000
"""Rows of a file that the preview looks for among the books: a few seconds' work. The import looks for all."""
SHOWN_ROWS = 25
SHOWN_PROBLEMS = 200
LOGGED_PROBLEMS = 1_000

STANDINGS = (Book.Standing.OWNED, Book.Standing.WANTED)


def standing_of(row: ExportRow, chosen: str) -> str:
    """What the row says of itself counts; what it denies is not so, and where it says nothing, the choice counts."""
    if row.owned:
        return Book.Standing.OWNED
    if row.wanted:
        return Book.Standing.WANTED
    said = row.owned if chosen == Book.Standing.OWNED else row.wanted
    return Book.Standing.KNOWN if said is False else chosen


def held_of(row: ExportRow, chosen: str) -> Held:
    facts = row.facts
    return Held(
        library=facts.source,
        item=(facts.id or facts.asin or _key_of(row))[:255],
        facts=facts,
        standing=standing_of(row, chosen),
        path=row.file_names[0] if row.file_names else "",
    )


def _key_of(row: ExportRow) -> str:
    """Of a row without an identifier: by what tells it from the others of a list."""
    facts = row.facts
    said = [facts.title, facts.subtitle, *facts.author_names, *facts.narrators, str(facts.runtime or "")]
    said += [f"{place.name} {place.position}" for place in facts.series]
    return hashlib.blake2b("\n".join(map(key_of, said)).encode(), digest_size=16).hexdigest()


def entries(export: Export, chosen: str) -> tuple[list[tuple[ExportRow, Held]], list[Problem]]:
    """Each book once, with its row, and all problems by line. Of rows with one identifier the first tells what it is of."""
    found: dict[tuple[str, str], tuple[ExportRow, Held]] = {}
    problems = list(export.problems)
    for row in export.rows:
        held = held_of(row, chosen)
        first, kept = found.setdefault((held.library, held.item), (row, held))
        if first is not row:
            found[held.library, held.item] = (first, replace(kept, standing=higher(kept.standing, held.standing)))
            problems.append(Problem(line=row.line, sentence=f"It is the book of line {first.line} again."))
    return list(found.values()), sorted(problems, key=lambda problem: problem.line)


# --- before the import ------------------------------------------------------------------------------------------------


def preview(export: Export, chosen: str, *, most: int | None = COMPARED) -> dict[str, Any]:
    """What an import would do, as JSON; `most` rows are looked for among the books. Changes nothing."""
    books, problems = entries(export, chosen)
    helds = [held for _, held in books]
    known = list(_are_known(helds[:most]))
    rows = [
        {
            **{"line": row.line, "title": row.facts.title[:300], "authors": ", ".join(row.facts.author_names)[:300]},
            **{"standing": str(held.standing), "known": is_known},
        }
        for (row, held), is_known in islice(zip(books, known, strict=False), SHOWN_ROWS)
    ]
    return {
        "kind": export.kind,
        "books": len(helds),
        "unused": list(export.unused[:SHOWN_PROBLEMS]),
        **{standing: sum(held.standing == standing for held in helds) for standing in map(str, Book.Standing)},
        **{"compared": len(known), "new": known.count(False), "already known": known.count(True)},
        "first": rows,
        "problems": len(problems),
        "first problems": [[each.line, each.sentence] for each in problems[:SHOWN_PROBLEMS]],
    }


def _are_known(helds: list[Held]) -> Iterator[bool]:
    # Rows of one file that mean one new book count as new each: only the import makes it.
    for start in range(0, len(helds), CHUNK):
        chunk = helds[start : start + CHUNK]
        holdings = known_holdings(chunk)
        for held in chunk:
            yield (held.library, held.item) in holdings or find_book(held.facts) is not None


def store(data: bytes, name: str, chosen: str, *, by: User | None, most: int | None = COMPARED) -> Upload:
    """Keep the file with its preview, in the place of what the same person uploaded before and did not import.

    Raises:
        UnreadableExport: it is none that we know; nothing is kept.
    """
    name = "".join(each for each in name if each.isprintable())[-100:] or "the file"
    found = preview(read_export(data, name), chosen, most=most)
    forget_old_uploads()
    with transaction.atomic():
        if by is not None:
            Upload.objects.filter(by=by, task=None).delete()
        return Upload.objects.create(name=name, data=zlib.compress(data), standing=chosen, preview=found, by=by)


def forget_old_uploads() -> None:
    """But for those whose import waits or runs."""
    old = Upload.objects.filter(made_at__lt=timezone.now() - KEPT)
    old.exclude(task__status__in=Task.ACTIVE).delete()


def queue_import(upload: Upload, *, by: User) -> Task:
    """Raises:
    NotAllowedNow: it was queued already, or is gone.
    """
    with transaction.atomic():
        stored = Upload.objects.select_for_update().filter(pk=upload.pk).defer("data", "preview").first()
        if stored is None:
            raise NotAllowedNow("The file is not kept any more. Upload it again.")
        if stored.task is not None:
            raise NotAllowedNow(f"Its import was queued already, as Task {stored.task.pk}.")
        task = Task.queue(registry.get("audiobooks.import_books"), {"upload": stored.pk}, user=by)
        stored.task = task
        stored.save(update_fields=["task"])
    return task


# --- the import -------------------------------------------------------------------------------------------------------


def import_upload(run: TaskRun, pk: int) -> None:
    """Record the books of a stored file, each by itself; `run.result` tells how many. Then the file is deleted.

    Raises:
        TaskFailed: the file is not there any more, or cannot be read.
    """
    upload = Upload.objects.filter(pk=pk).first()
    if upload is None:
        raise TaskFailed(
            "The uploaded file is not kept any more: it was imported, or is older than a day. Upload it again."
        )
    try:
        export = read_export(zlib.decompress(bytes(upload.data)), upload.name)
    except UnreadableExport as error:
        raise TaskFailed(str(error)) from None
    books, problems = entries(export, upload.standing)
    counts: Counter[str] = Counter({"books": len(books), "problems": len(problems)})
    for problem in problems[:LOGGED_PROBLEMS]:
        run.warning("Line %s: %s", problem.line, problem.sentence)
    run.progress(total=len(books))
    for (row, _), recorded in zip(books, record_each(_until_stopped(run, books), now=timezone.now()), strict=False):
        counts[recorded.outcome] += 1
        if recorded.error:
            run.failed()
            run.error("Line %s: %s could not be recorded: %s", row.line, row.facts.title, recorded.error)
        else:
            run.succeeded()
    if left := len(books) - run.processed:
        run.warning(
            "Stopped: %s books are done, %s are not. Retry the Task within a day to go on.", run.processed, left
        )
        return
    run.result = dict(counts)
    run.log("%s", ", ".join(f"{name}: {count}" for name, count in counts.items()))
    upload.delete()


def _until_stopped(run: TaskRun, books: list[tuple[ExportRow, Held]]) -> Iterator[Held]:
    """Shows how far it is by what was taken: that is recorded, a hundred at a time."""
    for row, held in books:
        if run.should_stop:
            return
        run.progress(run.processed + 1, text=row.facts.title[:200])
        yield held
