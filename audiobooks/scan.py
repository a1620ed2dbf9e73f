"""The verb behind `library_scan`: what stands in the library's folder is recorded, and only what changed is read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TypeVar

from django.db import DataError, transaction
from django.utils import timezone

from scheduling.context import TaskRun
from scheduling.exceptions import TaskFailed

from .fields import Offer, Value, apply, facts_from, is_empty, new_book
from .library.albums import ABRIDGED, book_keys, key_of, without_part
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
from .matching.names import language_code
from .models import Author, Book, LibraryFile
from .names import lock_making, rows_of, work_of
from .owning import find_book, held_at, mark_books_missing
from .trust import FOLDER

T = TypeVar("T")

CHUNK = 100
"""Books looked up at once."""


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
    """A file on disk, what it says, and its row if there is one; the row of a file that moved has its old path."""

    found: FoundFile
    tags: FileTags
    known: LibraryFile | None
    error: str = ""

    @property
    def is_recorded(self) -> bool:
        return self.known is not None and self.known.error == self.error and _is_unchanged(self.known, self.found)


@dataclass(frozen=True)
class Group:
    """The files of one book. `path` is their folder, or the first of them."""

    path: str
    files: list[ReadFile]


@dataclass
class Scan:
    """One run.

    `unread` are places that could not be looked into: nothing below them counts as missing.
    `claimed` are the keys of books that have their files for this time.
    """

    run: TaskRun
    root: Path
    summary: Summary = field(default_factory=Summary)
    seen: set[str] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)
    claimed: set[int] = field(default_factory=set)

    @cached_property
    def by_stamp(self) -> dict[tuple[int, int], int]:
        """The key of the one file known of a size and change time, 0 where there are several.

        Made at the first new file of a scan, before that is recorded.
        """
        found: dict[tuple[int, int], int] = {}
        for pk, size, modified_ns in LibraryFile.objects.values_list("pk", "size", "modified_ns").iterator():
            found[size, modified_ns] = 0 if (size, modified_ns) in found else pk
        return found

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


def scan_place(run: TaskRun, *, root: Path, place: str, book: int) -> Book | None:
    """Record the folder `place` alone, as the book of that key; the one that owns its files is returned.

    Where the book has files elsewhere, or is there no more, the files find or make their own as in any scan. None: they
    cannot be read, which `run` was told, and the next scan tries again.

    Raises:
        LibraryUnavailable: the place is not in the library, or cannot be read.
    """
    scan = Scan(run, root)
    walk = Walk(root, on_error=scan.could_not_look, on_link=scan.left_link)
    found = [each for each in find_books(walk, PurePosixPath(place)) if _is_below(each.path, {place})]
    known = {file.path: file for file in LibraryFile.objects.filter(path__startswith=f"{place}/")}
    wanted = Book.objects.filter(pk=book).first()
    if wanted and _has_files_beside(wanted, place):
        run.warning("%s has files elsewhere in the library; those of %s are recorded as their own.", wanted, place)
        wanted = None
    for each in found:
        read = [file for one in each.files if (file := _read(scan, one, known.get(one.path)))]
        groups = sorted(_split_by_tags(each, read), key=lambda group: -sum(f.tags.duration for f in group.files))
        if wanted and groups:
            scan.claimed.add(wanted.pk)
            _try_to_record(scan, groups.pop(0), wanted)
            wanted = None
        for group, owner in zip(groups, _owners(scan, groups), strict=True):
            _try_to_record(scan, group, owner)
    mark_books_missing(timezone.now())
    there = LibraryFile.objects.filter(path__startswith=f"{place}/", missing_since=None).order_by("-duration", "pk")
    row = there.filter(book=book).first() or there.first()
    return row.book if row else None


def _has_files_beside(book: Book, place: str) -> bool:
    files = LibraryFile.objects.filter(book=book, missing_since=None)
    return files.exclude(path__startswith=f"{place}/").exists()


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
        known.update(_moved(scan, [file for file in book.files if file.path not in known]))
        _scan_book(scan, book, known)


def _scan_book(scan: Scan, book: FoundBook, known: dict[str, LibraryFile]) -> None:
    read = []
    for found in book.files:
        if scan.run.should_stop:
            return
        if file := _read(scan, found, known.get(found.path)):
            read.append(file)
    sizes = Counter(file.known.book_id for file in read if file.known)
    changed = [group for group in _split_by_tags(book, read) if not _is_recorded(group, sizes)]
    owners = _owners(scan, changed)
    # Those that have a book first: another may want the path that it gives up.
    for group, owner in sorted(zip(changed, owners, strict=True), key=lambda pair: pair[1] is None):
        _try_to_record(scan, group, owner)


def _try_to_record(scan: Scan, group: Group, owner: Book | None) -> None:
    try:
        _record(scan, group, owner)
    except (DataError, OverflowError) as error:  # SQLite's driver refuses too large a number by itself.
        scan.could_not_record(group.path, error)


def _parts(values: list[T]) -> Iterator[list[T]]:
    # SQLite takes a bounded number of parameters in a statement.
    for start in range(0, len(values), 500):
        yield values[start : start + 500]


def _is_unchanged(known: LibraryFile, found: FoundFile) -> bool:
    as_found = (known.path, known.size, known.modified_ns) == (found.path, found.size, found.modified_ns)
    return as_found and known.missing_since is None


def _read(scan: Scan, found: FoundFile, known: LibraryFile | None) -> ReadFile | None:
    """The file with its tags. One that is not to be had now stays as it is known, or is left for the next scan."""
    scan.run.progress(scan.run.processed + 1, text=found.path[:200])
    if known and not known.error and (known.size, known.modified_ns) == (found.size, found.modified_ns):
        scan.summary.files_unchanged += 1
        scan.run.succeeded()
        return ReadFile(found, FileTags.from_json(known.tags), known)
    try:
        tags = read_tags(scan.root / found.path)
    except FileUnavailable as error:
        scan.failed("%s could not be read: %s", found.path, error)
        if known is None:
            return None
        as_known = FoundFile(path=found.path, size=known.size, modified_ns=known.modified_ns)
        return ReadFile(as_known, FileTags.from_json(known.tags), known, known.error)
    except UnreadableFile as error:
        scan.summary.files_failed += 1
        scan.run.failed()
        scan.run.warning("%s could not be read: %s", found.path, error)
        # A file that a tagger or a copy is at work on says nothing for a while; what it said before is not taken back.
        return ReadFile(found, FileTags.from_json(known.tags) if known else FileTags(), known, str(error))
    scan.summary.files_read += 1
    scan.run.succeeded()
    return ReadFile(found, tags, known)


# --- which book a file belongs to -------------------------------------------------------------------------------------


def _split_by_tags(book: FoundBook, files: list[ReadFile]) -> list[Group]:
    """Files of one folder whose tags name different albums are different books.

    An untagged file goes with the first; a loose one is a book.
    """
    groups: dict[str, list[ReadFile]] = {}
    for key, file in zip(book_keys([file.tags for file in files]), files, strict=True):
        groups.setdefault(key or (file.found.path if book.loose else ""), []).append(file)
    untagged = groups.pop("", [])
    if len(groups) < 2 and not book.loose:
        return [Group(book.path, files)] if files else []
    split = list(groups.values())
    if untagged:
        split[0] += untagged
    return [Group(group[0].found.path, group) for group in split]


def _is_recorded(group: Group, sizes: Counter[int]) -> bool:
    """Nothing of the group changed: neither a file nor which of the files are one book."""
    books = {file.known.book_id for file in group.files if file.known}
    return len(books) == 1 and all(file.is_recorded for file in group.files) and sizes[books.pop()] == len(group.files)


def _owners(scan: Scan, groups: list[Group]) -> list[Book | None]:
    """For each group the book that most of its files belong to; no book twice."""
    votes = [
        (count, number, pk)
        for number, group in enumerate(groups)
        for pk, count in Counter(file.known.book_id for file in group.files if file.known).items()
    ]
    owners: list[Book | None] = [None] * len(groups)
    for _, number, pk in sorted(votes, key=lambda vote: -vote[0]):
        if owners[number] is None and pk not in scan.claimed:
            owners[number] = Book.objects.get(pk=pk)
            scan.claimed.add(pk)
    return owners


def _moved(scan: Scan, new: list[FoundFile]) -> dict[str, LibraryFile]:
    """By its new path the row of each file that moved with its whole book.

    It is told by size and change time, which no other file may have; and none of the book's files is where it was.
    """
    paths = {pk: file.path for file in new if (pk := scan.by_stamp.get((file.size, file.modified_ns)))}
    rows = [row for part in _parts(list(paths)) for row in LibraryFile.objects.filter(pk__in=part)]
    left = {}
    for book in {row.book_id for row in rows}:
        places = LibraryFile.objects.filter(book=book).values_list("path", flat=True)
        left[book] = all(_is_gone(scan.root / place) for place in places)
    return {paths[row.pk]: row for row in rows if left[row.book_id]}


def _is_gone(path: Path) -> bool:
    try:
        path.lstat()
    except OSError as error:  # Any other says only that it cannot be looked at.
        return isinstance(error, FileNotFoundError | NotADirectoryError)
    return False


# --- writing ----------------------------------------------------------------------------------------------------------


def _record(scan: Scan, group: Group, owner: Book | None) -> None:
    """One book and its files, in one transaction."""
    with transaction.atomic():
        lock_making()
        group = _as_known_now(group)
        owner = owner or Book.objects.filter(path=group.path).first()
        is_file = PurePosixPath(group.path).suffix != "" and group.files[0].found.path == group.path
        place = parse_location(group.path, is_file=is_file)
        tagged = next((file.tags for file in group.files if file.tags.duration), FileTags())
        offers = {name: Offer(value, FOLDER) for name, value in _values(group, tagged, place).items()}
        if owner is None:
            owner = _without_files(group, offers)
        if owner is None:
            book = _new_book(group, offers)
        else:
            book = owner
            _free_path(book, group.path)
            Book.objects.filter(pk=book.pk).update(path=group.path, missing_since=None, standing=Book.Standing.OWNED)
            apply(book, offers, why="read from its files", now=timezone.now())
        for file in group.files:
            _record_file(book, file)
    scan.claimed.add(book.pk)
    if owner is None:
        scan.summary.books_new += 1
    else:
        scan.summary.books_changed += 1


def _as_known_now(group: Group) -> Group:
    """With the rows of files that were recorded while they were read here: a book is brought into the library beside a scan."""
    new = [file.found.path for file in group.files if file.known is None or file.known.path != file.found.path]
    rows = {row.path: row for part in _parts(new) for row in LibraryFile.objects.filter(path__in=part)}
    return Group(group.path, [replace(file, known=rows.get(file.found.path, file.known)) for file in group.files])


def _without_files(group: Group, offers: dict[str, Offer]) -> Book | None:
    """The book of these files, if it is known from elsewhere: it was wanted, or is in another library."""
    facts = facts_from({name: offer.value for name, offer in offers.items()})
    return held_at(group.path, facts) or find_book(facts, among=Book.objects.filter(path=None))


def _new_book(group: Group, offers: dict[str, Offer]) -> Book:
    work = work_of(offers["title"].value, rows_of(Author, offers["authors"].value))
    told = {name: offer for name, offer in offers.items() if not is_empty(offer.value)}
    return new_book(work, told, now=timezone.now(), path=group.path)


def _free_path(book: Book, path: str) -> None:
    """Gives another book that has this path the present one of `book`: it has no files here, or gets its own in turn."""
    other = Book.objects.filter(path=path).exclude(pk=book.pk).first()
    if other is not None:
        # Both must differ at every moment; no path in a library begins like this.
        Book.objects.filter(pk=book.pk).update(path=f"//{book.pk}")
        Book.objects.filter(pk=other.pk).update(path=book.path)


def _values(group: Group, tags: FileTags, place: LocationFacts) -> dict[str, Value]:
    """Field -> what the files say, blank where they say nothing."""
    is_one_album = len({file.tags.album for file in group.files if file.tags.album}) < 2
    names = [
        tags.album if is_one_album else without_part(tags.album),
        tags.title if len(group.files) == 1 else "",
        place.title,
        PurePosixPath(group.path).stem,
    ]
    titles = (ABRIDGED.sub("", name).strip() for name in names)
    said = next((found for name in names if (found := ABRIDGED.search(name))), None)
    seconds = sum(file.tags.duration for file in group.files)
    return {
        "title": next((title for title in titles if title), group.path)[:512],
        "subtitle": (tags.subtitle or ("" if tags.album else place.subtitle))[:512],
        "authors": [name for name in tags.authors or _one(place.author) if key_of(name)],
        "narrators": [name for name in tags.narrators or _one(place.narrator) if key_of(name)],
        "series": _series(tags, place),
        "language": language_code(tags.language),
        "runtime": round(seconds) if seconds else None,
        "asin": next((file.tags.asin for file in group.files if file.tags.asin), place.asin),
        "isbn": tags.isbn,
        "publisher": tags.publisher[:255],
        "released": tags.year or place.year,
        "abridged": said[1] is None if said else place.abridged,
    }


def _series(tags: FileTags, place: LocationFacts) -> list[list[str]]:
    wanted = tags.series or (((place.series, place.position),) if place.series else ())
    places = []
    for name, position in wanted:
        if key_of(name):
            said = position or (place.position if key_of(name) == key_of(place.series) else "")
            places.append([name[:255], said[:32]])
    return places


def _record_file(book: Book, file: ReadFile) -> None:
    row = file.known or LibraryFile()
    if file.is_recorded and row.book_id == book.pk:
        return
    row.book = book
    row.path = file.found.path
    row.size = file.found.size
    row.modified_ns = file.found.modified_ns
    row.format = PurePosixPath(file.found.path).suffix[1:].lower()
    row.duration = timedelta(seconds=file.tags.duration) if file.tags.duration else None
    row.tags = file.tags.as_json()
    row.error = file.error
    row.missing_since = None
    row.save()


def _one(name: str) -> tuple[str, ...]:
    return (name,) if name else ()


def _mark_missing(scan: Scan) -> None:
    """Files that were not seen are missing, unless their place could not be looked into. Nothing is deleted."""
    now = timezone.now()
    known = LibraryFile.objects.filter(missing_since=None).values_list("pk", "path")
    unseen = [(pk, path) for pk, path in known.iterator() if path not in scan.seen]
    for folder in sorted({PurePosixPath(path).parts[0] for _, path in unseen}):
        if _is_empty_folder(scan.root / folder):
            scan.unread.add(folder)
            scan.run.warning(
                "%s is empty, although files in it are known. Is the disk mounted? If they are gone for good, remove it.",
                folder,
            )
    gone = [pk for pk, path in unseen if not _is_below(path, scan.unread)]
    for part in _parts(gone):
        LibraryFile.objects.filter(pk__in=part).update(missing_since=now)
    mark_books_missing(now)
    scan.summary.files_missing = len(gone)
    if gone:
        scan.run.warning("%s files are not there any more; their books are kept and marked missing.", len(gone))


def _is_empty_folder(path: Path) -> bool:
    try:
        return not os.listdir(path)
    except OSError:  # It is no folder, or is not there.
        return False


def _is_below(path: str, places: set[str]) -> bool:
    return not places.isdisjoint([path, *map(str, PurePosixPath(path).parents)])
