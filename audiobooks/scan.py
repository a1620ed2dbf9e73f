"""The verb behind `library_scan`: what stands in the library's folder is recorded, and only what changed is read."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TypeVar

from django.db import DataError, transaction
from django.utils import timezone

from scheduling.context import TaskRun
from scheduling.exceptions import TaskFailed

from .library.base import (
    FileTags,
    FileUnavailable,
    FoundBook,
    FoundFile,
    LibraryUnavailable,
    LocationFacts,
    UnreadableFile,
)
from .library.folder import Walk, find_books, parse_location
from .library.tags import read_tags
from .models import Author, Book, LibraryFile, Narrator, Series, SeriesEntry
from .models.library import Named

N = TypeVar("N", bound=Named)

CHUNK = 100
"""Books looked up at once."""
_UNABRIDGED = re.compile(r"\s*[(\[](un)?abridged[)\]]", re.I)


@dataclass
class Summary:
    books_new: int = 0
    books_changed: int = 0
    files_read: int = 0
    files_unchanged: int = 0
    files_failed: int = 0
    files_missing: int = 0


@dataclass(frozen=True)
class ReadFile:
    found: FoundFile
    tags: FileTags
    error: str = ""


@dataclass
class Scan:
    """One run. `unread` are places that could not be looked into: nothing below them counts as missing."""

    run: TaskRun
    root: Path
    summary: Summary = field(default_factory=Summary)
    seen: set[str] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)

    def could_not_look(self, place: str, error: OSError) -> None:
        self.unread.add(place)
        self.run.progress(self.run.processed + 1)
        self.failed("%s could not be read: %s", place, error.strerror or error)

    def could_not_record(self, place: str, error: Exception) -> None:
        self.run.progress(self.run.processed + 1)
        self.failed("%s could not be recorded: %s", place, error)

    def failed(self, message: str, *values: object) -> None:
        self.summary.files_failed += 1
        self.run.failed()
        self.run.error(message, *values)

    def left_link(self, place: str) -> None:
        shown = os.fsencode(place).decode("utf-8", "backslashreplace")
        self.run.warning("%s is a link and was left out: links inside the library are not followed.", shown)


def scan_library(run: TaskRun, *, root: Path) -> None:
    """Record the audio files below `root` as books; `run.result` is the Summary.

    Raises:
        TaskFailed: the folder is not there, or is empty although files of it are known. Nothing was changed.
    """
    scan = Scan(run, root)
    found = find_books(Walk(root, on_error=scan.could_not_look, on_link=scan.left_link))
    try:
        first = next(found, None)
    except LibraryUnavailable as error:
        raise TaskFailed(str(error)) from None
    if first is None and LibraryFile.objects.filter(missing_since=None).exists():
        raise TaskFailed(
            f"The library folder {root} holds no audio files, although some are known. Is the disk mounted? Nothing was changed."
        )
    if first is None:
        run.warning("There are no audio files in %s. Put some there, or set AUDIOBOOKS_LIBRARY to their folder.", root)
    run.progress(total=LibraryFile.objects.filter(missing_since=None).count() or None)
    books = iter(() if first is None else _chain(first, found))
    while chunk := list(islice(books, CHUNK)):
        _scan_chunk(scan, chunk)
        if run.should_stop:
            break
    else:
        _mark_missing(scan)
    run.result = vars(scan.summary)
    run.log("%s", ", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in run.result.items()))


def _chain(first: FoundBook, rest: Iterator[FoundBook]) -> Iterator[FoundBook]:
    yield first
    yield from rest


def _scan_chunk(scan: Scan, chunk: list[FoundBook]) -> None:
    paths = [file.path for book in chunk for file in book.files]
    known = {file.path: file for part in _parts(paths) for file in LibraryFile.objects.filter(path__in=part)}
    for book in chunk:
        if scan.run.should_stop:
            return
        scan.seen.update(file.path for file in book.files)
        if all(_is_unchanged(known.get(file.path), file) for file in book.files):
            scan.run.progress(scan.run.processed + len(book.files), text=book.path[:200])
            scan.summary.files_unchanged += len(book.files)
            scan.run.succeeded(len(book.files))
        else:
            read = [_read(scan, file, known.get(file.path)) for file in book.files]
            for path, files in _split_by_tags(book, [file for file in read if file]):
                try:
                    _record(scan, path, files)
                except (DataError, OverflowError) as error:  # SQLite's driver refuses too large a number by itself.
                    scan.could_not_record(path, error)


def _parts(paths: list[str]) -> Iterator[list[str]]:
    # SQLite takes a bounded number of parameters in a statement.
    for start in range(0, len(paths), 500):
        yield paths[start : start + 500]


def _is_unchanged(known: LibraryFile | None, found: FoundFile) -> bool:
    return (
        known is not None
        and known.missing_since is None
        and not known.error
        and (known.size, known.modified_ns) == (found.size, found.modified_ns)
    )


def _read(scan: Scan, found: FoundFile, known: LibraryFile | None) -> ReadFile | None:
    """The file with its tags. One that is not to be had now stays as it is known, or is left for the next scan."""
    scan.run.progress(scan.run.processed + 1, text=found.path[:200])
    if known and not known.error and (known.size, known.modified_ns) == (found.size, found.modified_ns):
        scan.summary.files_unchanged += 1
        scan.run.succeeded()
        return ReadFile(found, FileTags.from_json(known.tags))
    try:
        tags = read_tags(scan.root / found.path)
    except FileUnavailable as error:
        scan.failed("%s could not be read: %s", found.path, error)
        if known is None:
            return None
        as_known = FoundFile(path=found.path, size=known.size, modified_ns=known.modified_ns)
        return ReadFile(as_known, FileTags.from_json(known.tags), known.error)
    except UnreadableFile as error:
        scan.summary.files_failed += 1
        scan.run.failed()
        scan.run.warning("%s could not be read: %s", found.path, error)
        return ReadFile(found, FileTags(), str(error))
    scan.summary.files_read += 1
    scan.run.succeeded()
    return ReadFile(found, tags)


def _split_by_tags(book: FoundBook, files: list[ReadFile]) -> Iterator[tuple[str, list[ReadFile]]]:
    """Files of one folder whose tags name different albums are different books.

    An untagged file goes with the first; a loose one is a book.
    """
    groups: dict[str, list[ReadFile]] = {}
    for file in files:
        key = file.tags.asin or key_of(file.tags.album)
        groups.setdefault(key or (file.found.path if book.loose else ""), []).append(file)
    untagged = groups.pop("", [])
    if len(groups) < 2 and not book.loose:
        if files:
            yield book.path, files
        return
    for number, group in enumerate(groups.values()):
        group += untagged if number == 0 else []
        yield group[0].found.path, group


# --- writing ----------------------------------------------------------------------------------------------------------


def _record(scan: Scan, path: str, files: list[ReadFile]) -> None:
    """One book and its files, in one transaction."""
    with transaction.atomic():
        is_file = PurePosixPath(path).suffix != "" and files[0].found.path == path
        place = parse_location(path, is_file=is_file)
        tagged = next((file.tags for file in files if file.tags.duration), FileTags())
        book, is_new = Book.objects.update_or_create(path=path, defaults=_fields(path, files, tagged, place))
        book.authors.set(_named(Author, tagged.authors or _one(place.author)))
        book.narrators.set(_named(Narrator, tagged.narrators or _one(place.narrator)))
        _set_series(book, tagged, place)
        for file in files:
            _record_file(book, file)
    if is_new:
        scan.summary.books_new += 1
    else:
        scan.summary.books_changed += 1


def _fields(path: str, files: list[ReadFile], tags: FileTags, place: LocationFacts) -> dict[str, object]:
    named = tags.album or (tags.title if len(files) == 1 else "") or place.title or PurePosixPath(path).stem
    unabridged = _UNABRIDGED.search(named)
    seconds = sum(file.tags.duration for file in files)
    return {
        "title": _UNABRIDGED.sub("", named)[:512],
        "subtitle": (tags.subtitle or ("" if tags.album else place.subtitle))[:512],
        "language": tags.language[:64],
        "runtime": timedelta(seconds=round(seconds)) if seconds else None,
        "asin": tags.asin or place.asin,
        "isbn": tags.isbn,
        "publisher": tags.publisher[:255],
        "year": tags.year or place.year,
        "abridged": unabridged[1] is None if unabridged else place.abridged,
        "missing_since": None,
    }


def _set_series(book: Book, tags: FileTags, place: LocationFacts) -> None:
    wanted = tags.series or (((place.series, place.position),) if place.series else ())
    entries = []
    for name, position in wanted:
        found = _named(Series, (name,))
        if not found:
            continue
        (series,) = found
        position = position or (place.position if key_of(name) == key_of(place.series) else "")
        number = re.match(r"\d+(?:\.\d+)?", position)
        entries.append(
            SeriesEntry(book=book, series=series, position=position[:32], order=float(number[0]) if number else None)
        )
    book.series_entries.all().delete()
    SeriesEntry.objects.bulk_create({entry.series_id: entry for entry in entries}.values())


def _record_file(book: Book, file: ReadFile) -> None:
    LibraryFile.objects.update_or_create(
        path=file.found.path,
        defaults={
            "book": book,
            "size": file.found.size,
            "modified_ns": file.found.modified_ns,
            "format": PurePosixPath(file.found.path).suffix[1:].lower(),
            "duration": timedelta(seconds=file.tags.duration) if file.tags.duration else None,
            "tags": file.tags.as_json(),
            "error": file.error,
            "missing_since": None,
        },
    )


def _named(model: type[N], names: Iterable[str]) -> list[N]:
    """The rows of these names, made where there is none of the same key; names without a letter are left out."""
    rows = []
    for name in names:
        if key := key_of(name):
            rows.append(model._default_manager.get_or_create(key=key, defaults={"name": name[:255]})[0])
    return rows


def _one(name: str) -> tuple[str, ...]:
    return (name,) if name else ()


def key_of(name: str) -> str:
    """What spellings of one name have in common: letters and digits, without case, accents and punctuation."""
    plain = unicodedata.normalize("NFKD", name).casefold()
    return "".join(letter for letter in plain if letter.isalnum())[:255]


def _mark_missing(scan: Scan) -> None:
    """Files that were not seen are missing, unless their place could not be looked into. Nothing is deleted."""
    now = timezone.now()
    known = LibraryFile.objects.filter(missing_since=None).values_list("pk", "path")
    gone = [pk for pk, path in known.iterator() if path not in scan.seen and not _is_below(path, scan.unread)]
    for start in range(0, len(gone), 500):
        with transaction.atomic():
            files = LibraryFile.objects.filter(pk__in=gone[start : start + 500])
            files.update(missing_since=now)
            books = Book.objects.filter(files__in=gone[start : start + 500], missing_since=None)
            books.exclude(files__missing_since=None).update(missing_since=now)
    scan.summary.files_missing = len(gone)
    if gone:
        scan.run.warning("%s files are not there any more; their books are kept and marked missing.", len(gone))


def _is_below(path: str, places: set[str]) -> bool:
    return not places.isdisjoint([path, *map(str, PurePosixPath(path).parents)])
