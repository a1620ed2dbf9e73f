"""The built-in download client: files by HTTP, one after another, into a folder of their own.

It may be killed at any time, and asked again as often as one likes: what is there is neither fetched nor read again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import stat
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from audiobooks import downloading
from audiobooks.exceptions import ClientError, Gone, HttpError
from audiobooks.http import Doorway, Pace
from audiobooks.sources.base import RemoteFile

NAME = "http"
MOST_PARTS = 5000
_FINAL = frozenset({401, 403, 404, 410})
_GONE = frozenset({404, 410})
_DEEPEST = 4
_TOLD_EVERY = 1.0
"""Seconds."""
_LOCK, _LIST = ".fetching", ".fetched.json"
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?", re.IGNORECASE)
_NO_NAME = re.compile(r'[<>:"|?*]')
_OURS = re.compile(r"\.part(?=(?:\.json)?$)", re.IGNORECASE)


def fetch(
    http: Doorway,
    parts: Sequence[RemoteFile],
    folder: Path,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int], None] = lambda have: None,
    pace: Pace = downloading.PACE,
) -> bool:
    """Whether all parts are in the folder, which is theirs alone, and are what they should be.

    False: it was stopped, or another process is at it. progress: how many bytes are there of all of them.

    Raises:
        Gone: a part is not there any more (404, 410).
        OtherContent: a part comes twice as another than it is.
        ClientError: permanent where a part is not given (401, 403).
        ServiceError: what else the doorway raises.
    """
    if not 0 < len(parts) <= MOST_PARTS:
        raise ClientError(f"{len(parts):,} files are no download.", permanent=True)
    with _reported(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder) as is_alone:
            return is_alone and _Fetching(http, parts, folder, should_stop, progress, pace).go_on()


def is_ours(folder: Path) -> bool:
    """Whether `fetch` has made it its own: each has the lock from its beginning."""
    try:
        return stat.S_ISREG((folder / _LOCK).lstat().st_mode)
    except OSError:
        # It is closed to us, or no folder.
        return False


def paths(parts: Sequence[RemoteFile]) -> list[PurePosixPath]:
    """Where each lies in the folder: names that every file system takes, none of which is another's, whatever they were."""
    names = _Names()
    return [names.take([step for each in re.split(r"[/\\]", part.name) if (step := _safe(each))]) for part in parts]


class _Fetching:
    def __init__(
        self,
        http: Doorway,
        parts: Sequence[RemoteFile],
        folder: Path,
        should_stop: Callable[[], bool],
        progress: Callable[[int], None],
        pace: Pace,
    ) -> None:
        self._http, self._should_stop, self._progress, self._pace = http, should_stop, progress, pace
        self._parts = [(part, folder / path) for part, path in zip(parts, paths(parts), strict=True)]
        self._folder, self._list = folder, _List(folder)
        self._there = 0
        self._told_at = 0.0

    def go_on(self) -> bool:
        missing = []
        for part, place in self._parts:
            if self._should_stop():
                return False
            self._check_inside(place)
            if self._is_there(part, place):
                self._there += place.stat().st_size
            else:
                missing.append((part, place))
        sizes = ((part.size or 0) - downloading.came(place) for part, place in missing)
        if missing:
            downloading.check_room(self._folder, sum(max(size, 0) for size in sizes))
        for part, place in missing:
            if self._should_stop() or not self._fetch(part, place):
                return False
            self._list.add(part, place)
            self._there += place.stat().st_size
        self._progress(self._there)
        return True

    def _fetch(self, part: RemoteFile, place: Path) -> bool:
        try:
            return downloading.download(
                self._http,
                part,
                place,
                trusted=True,
                pace=self._pace,
                should_stop=self._should_stop,
                progress=self._tell,
            )
        except HttpError as error:
            if error.status not in _FINAL:
                raise
            if error.status in _GONE:
                raise Gone(f"“{place.name}” is not there any more: {error}", permanent=True) from None
            raise ClientError(f"“{place.name}” is not given: {error}", permanent=True) from None

    def _is_there(self, part: RemoteFile, place: Path) -> bool:
        if self._list.has(part, place):
            return True
        # Whole, and the process was killed before it was noted; or put there by somebody.
        if not _is_file(place) or not downloading.is_right(part, place):
            return False
        self._list.add(part, place)
        downloading.forget(place)
        return True

    def _check_inside(self, place: Path) -> None:
        if not place.parent.resolve().is_relative_to(self._folder.resolve()):
            raise ClientError(f"“{place.parent.name}” leads out of the folder of the download.", permanent=True)

    def _tell(self, have: int) -> None:
        now = time.monotonic()
        if now - self._told_at >= _TOLD_EVERY:
            self._told_at = now
            self._progress(self._there + have)


class _List:
    """Which files were seen to be right, and how they looked then: one that looks the same is not read again."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / _LIST
        try:
            found = json.loads(self._path.read_bytes())
        except (FileNotFoundError, ValueError, RecursionError):
            found = {}
        self._rows: dict[str, Any] = found if isinstance(found, dict) else {}

    def has(self, part: RemoteFile, place: Path) -> bool:
        return _is_file(place) and self._rows.get(self._name(place)) == _look(part, place)

    def add(self, part: RemoteFile, place: Path) -> None:
        self._rows[self._name(place)] = _look(part, place)
        new = self._path.with_name(f"{_LIST}.new")
        new.write_text(json.dumps(self._rows), encoding="utf-8")
        os.replace(new, self._path)

    def _name(self, place: Path) -> str:
        return place.relative_to(self._folder).as_posix()


def _look(part: RemoteFile, place: Path) -> dict[str, Any]:
    seen = place.stat()
    return {"of": asdict(part), "bytes": seen.st_size, "written": seen.st_mtime_ns}


def _is_file(place: Path) -> bool:
    try:
        return stat.S_ISREG(place.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether no other process is at the folder; a lock ends with its process."""
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(handle)


@contextlib.contextmanager
def _reported(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        said = error.strerror or type(error).__name__
        raise ClientError(f"The folder “{folder.name}” of a download cannot be used: {said}.") from None


# -- names


def _safe(step: str) -> str:
    """A name that every file system takes; empty where nothing is left of it."""
    text = unicodedata.normalize("NFC", step)
    text = "".join(each for each in text if unicodedata.category(each)[0] != "C")
    text = "".join(each if each.isprintable() else " " for each in text)
    # What begins with a dot is hidden, and ours.
    text = _NO_NAME.sub("_", text).lstrip(". ")
    text = _shortened(text).rstrip(". ")
    if _RESERVED.fullmatch(text):
        text = f"_{text}"
    return _OURS.sub("_part", text)


def _shortened(name: str, most: int = downloading.LONGEST_NAME - len(" (9999)") - 1) -> str:
    """To so many bytes, with its suffix."""
    if len(name.encode()) <= most:
        return name
    stem, dot, suffix = name.rpartition(".")
    if not dot or len(suffix.encode()) > 15:
        stem, dot, suffix = name, "", ""
    kept = stem.encode()[: most - len(f"{dot}{suffix}".encode())].decode("utf-8", "ignore")
    return f"{kept.rstrip('. ')}{dot}{suffix}"


class _Names:
    """Those that are taken, as the file systems see them that tell the fewest apart."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._folders: set[str] = set()
        self._numbers: dict[str, int] = {}

    def take(self, steps: list[str]) -> PurePosixPath:
        path = PurePosixPath(*(steps[-_DEEPEST:] or ["part"]))
        if self._is_taken(path):
            path = self._numbered(_shortened(" - ".join(path.parts)))
        self._files.add(_key(path))
        self._folders.update(map(_key, path.parents))
        return path

    def _numbered(self, name: str) -> PurePosixPath:
        stem, dot, suffix = name.rpartition(".") if "." in name else (name, "", "")
        path, key = PurePosixPath(name), _key(PurePosixPath(name))
        while self._is_taken(path):
            self._numbers[key] = self._numbers.get(key, 1) + 1
            path = PurePosixPath(f"{stem} ({self._numbers[key]}){dot}{suffix}")
        return path

    def _is_taken(self, path: PurePosixPath) -> bool:
        taken = self._files, self._folders
        return any(_key(path) in each for each in taken) or any(_key(each) in self._files for each in path.parents)


def _key(path: PurePosixPath) -> str:
    return unicodedata.normalize("NFKC", str(path)).casefold()
