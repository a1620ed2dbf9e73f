"""A library that is a folder: which files make a book, and what their place says about it."""

from __future__ import annotations

import logging
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath

from audiobooks.matching.titles import split_numbered

from .albums import ABRIDGED
from .base import PATH_CHARACTERS, FoundBook, FoundFile, LibraryUnavailable, LocationFacts

logger = logging.getLogger(__name__)

AUDIO = frozenset({".mp3", ".m4b", ".m4a", ".flac", ".ogg", ".opus"})
_PART_FOLDER = re.compile(r"^(?:dis[ck]|cd|part|side|teil|vol(?:ume)? ?(?=\d+$))[ ._-]*(?:\d+|[a-d])$", re.I)
_PATH_BYTES = 2600
"""PostgreSQL indexes no value of more than 2,704 bytes, its own few included."""
_JUNK = frozenset({"@eadir", "#recycle", "lost+found", "$recycle.bin", "extras", "sample", "samples"})

_ALL = PurePosixPath()


def reads_as_part(name: str) -> bool:
    """Whether a folder of that name is taken for a disc of the book around it, or for none of a book."""
    return bool(_PART_FOLDER.match(name)) or name.lower() in _JUNK


def is_hidden(name: str) -> bool:
    """Whether a file or folder of that name is none of a recording: of a system, or of a program that is at work."""
    return name.startswith(".")


def is_part_folder(name: str) -> bool:
    """Whether its files are of the book around it."""
    return bool(_PART_FOLDER.match(name))


@dataclass(frozen=True)
class Walk:
    """`on_error` is told of folders and files that cannot be read, `on_link` of links to such; the walk goes on."""

    root: Path
    on_error: Callable[[str, OSError], None]
    on_link: Callable[[str], None]


def find_books(walk: Walk, place: PurePosixPath = _ALL) -> Iterator[FoundBook]:
    """One book after the other in the order of their paths; below `place`, or all.

    The root may be a link; below it none is followed, so that nothing outside is read and no loop is walked.

    Raises:
        LibraryUnavailable: the folder itself is not there or cannot be read.
    """
    try:
        os.scandir(walk.root).close()
    except OSError as error:
        raise LibraryUnavailable(
            f"The library folder {walk.root} cannot be read ({error.strerror}). Is the disk mounted, and AUDIOBOOKS_LIBRARY right?"
        ) from error
    inner = () if place == _ALL else (place, *place.parents[:-1])
    if place.is_absolute() or ".." in place.parts or any((walk.root / folder).is_symlink() for folder in inner):
        raise LibraryUnavailable(f"{place} is no folder of the library, or lies behind a link.")
    yield from _books_in(walk, place)


def _books_in(walk: Walk, place: PurePosixPath) -> Iterator[FoundBook]:
    files, folders = _entries(walk, place)
    is_root = place == PurePosixPath()
    has_parts = False
    others: list[Iterable[FoundBook]] = []
    for name in folders:
        found: Iterable[FoundBook] = _books_in(walk, place / name)
        if _PART_FOLDER.match(name) and not is_root:
            found = list(found)
            # A folder of that name without audio of its own holds books, as a disk or a shelf does.
            if any(book.path == str(place / name) for book in found):
                files += [file for book in found for file in book.files]
                has_parts = True
                continue
        others.append(found)
    rest = chain.from_iterable(others)
    # Looked for before the files are given away: folders of covers or texts leave them one book.
    other = next(rest, None)
    if files:
        loose = is_root or (other is not None and not has_parts)
        yield FoundBook(path=str(place), files=tuple(files), loose=loose)
    if other is not None:
        yield other
    yield from rest


def _entries(walk: Walk, place: PurePosixPath) -> tuple[list[FoundFile], list[str]]:
    files: list[FoundFile] = []
    folders: list[str] = []
    try:
        with os.scandir(walk.root / place) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        walk.on_error(str(place), error)
        return [], []
    for entry in found:
        if is_hidden(entry.name) or entry.name.lower() in _JUNK:
            continue
        path = str(place / entry.name)
        try:
            is_audio = PurePosixPath(entry.name).suffix.lower() in AUDIO
            if entry.is_symlink():
                if is_audio or _may_lead_to_folder(entry):
                    walk.on_link(path)
            elif entry.is_dir():
                _check_length(path)
                folders.append(entry.name)
            elif is_audio and entry.is_file():
                status = entry.stat(follow_symlinks=False)
                path.encode()  # A name that is no UTF-8 can stand in no database column.
                _check_length(path)
                files.append(FoundFile(path=path, size=status.st_size, modified_ns=status.st_mtime_ns))
        except UnicodeEncodeError:
            shown = os.fsencode(path).decode("utf-8", "backslashreplace")
            walk.on_error(shown, OSError("its name is not UTF-8; rename it"))
        except OSError as error:
            walk.on_error(path, error)
    return files, folders


def _may_lead_to_folder(link: os.DirEntry[str]) -> bool:
    try:
        return link.is_dir()
    except OSError:  # A link to itself, for one.
        return True


def _check_length(path: str) -> None:
    if len(path) > PATH_CHARACTERS or len(os.fsencode(path)) > _PATH_BYTES:
        raise OSError("its path in the library is too long; shorten its name or those of its folders")


# --- what a place says --------------------------------------------------------------------------------------------

_ASIN = re.compile(r"[\[{(]?(?:ASIN[.:_ ])?\b(B0[0-9A-Z]{8})\b[\]})]?")
_NARRATOR = re.compile(r"\{([^{}]+)\}")
_YEAR_BRACKETS = re.compile(r"[(\[](1[5-9]\d\d|20\d\d)[)\]]")
_SERIES_BRACKETS = re.compile(r"\[([^\[\]]+?)[ ,#]+(\d[\d.\-]*)\]")
_VOLUME = re.compile(r"^(?:vol(?:ume)?\.?|book|bk|band)\s*(\d[\d.\-]*)\s*(?:\.|-|–|:)\s+", re.I)
_VOLUME_INSIDE = re.compile(r"\s+vol_(\d[\d.]*)\b", re.I)
_NUMBER = re.compile(r"^#?(\d{1,3}(?:\.\d+)?(?:-\d{1,3})?)\s*(?:\.|-|–)\s+")
_YEAR_FIRST = re.compile(r"^(1[5-9]\d\d|20\d\d)\s*-\s+")
_NUMBERED_SERIES = re.compile(r"^(?P<series>.+?)\s+#(?P<position>\d[\d.\-]*)\s+-\s+")


def parse_location(path: str, *, is_file: bool) -> LocationFacts:
    """What the path of a book says, by the layouts that library programs write.

    The last part is the book, the one before it a series if there are three, and the first the author.
    """
    parts = [unicodedata.normalize("NFC", part) for part in PurePosixPath(path).parts]
    name = PurePosixPath(parts[-1]).stem if is_file else parts[-1]
    # Libation writes this letter where a colon may not stand in a file name.
    name = name.replace("꞉", ":").replace("_ ", ": ")
    author = parts[0] if len(parts) > 1 else ""
    series = parts[-2] if len(parts) > 2 else ""
    facts: dict[str, str] = {}

    def take(key: str, pattern: re.Pattern[str], text: str) -> str:
        match = pattern.search(text)
        if match:
            facts.setdefault(key, match[1].strip())
            return (text[: match.start()] + " " + text[match.end() :]).strip()
        return text

    abridged = None
    if match := ABRIDGED.search(name):
        abridged = match[1] is None
        name = ABRIDGED.sub("", name)
    name = take("asin", _ASIN, name)
    name = take("narrator", _NARRATOR, name)
    name = take("year", _YEAR_BRACKETS, name)
    if match := _SERIES_BRACKETS.search(name):
        series, facts["position"] = match[1].strip(), match[2]
        name = (name[: match.start()] + name[match.end() :]).strip()
    if match := _NUMBERED_SERIES.match(name):
        series, facts["position"] = match["series"], match["position"]
        name = name[match.end() :]
    name = take("position", _VOLUME, name)
    name = take("position", _VOLUME_INSIDE, name)
    name = take("year", _YEAR_FIRST, name)
    if series and "position" not in facts:
        name = take("position", _NUMBER, name)
        name = take("year", _YEAR_FIRST, name)
    title, subtitle = _title_and_subtitle(name, author)
    return LocationFacts(
        title=title,
        subtitle=subtitle,
        author=author,
        narrator=facts.get("narrator", ""),
        series=split_numbered(series)[0] if series else "",
        position=facts.get("position", ""),
        asin=facts.get("asin", ""),
        year=facts.get("year", ""),
        abridged=abridged,
    )


def _title_and_subtitle(name: str, author: str) -> tuple[str, str]:
    name = re.sub(r"\s{2,}", " ", name).strip(" -–_")
    if author and name.lower().startswith(author.lower() + " - "):
        name = name[len(author) + 3 :]
    if author:
        name = re.sub(rf"\s*\({re.escape(author)}\)\s*$", "", name, flags=re.I)
    for separator in (" - ", ": "):
        title, found, subtitle = name.partition(separator)
        if found:
            return title.strip(), subtitle.strip()
    return name, ""
