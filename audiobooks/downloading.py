"""One file of the outside, fetched whole or not at all: what came of it is kept and gone on with, whatever ended the run.

Beside the file lie meanwhile `<name>.part`, in its own file system so that it is there at once when it is whole, and
`<name>.part.json`: what of, by which a host tells whether the rest still belongs to it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from audiobooks.disk import sync_folder
from audiobooks.exceptions import BadAnswer, ClientError, HttpError, OtherContent, Unreachable
from audiobooks.http import Doorway, Pace, Stream
from audiobooks.sources.base import RemoteFile

PACE = Pace(every=1.0, at_once=1)
MOST_BYTES = 20 * 2**30
LEAST_FREE = 64 * 2**20
"""Bytes that stay free where it is written."""
LONGEST_NAME = 255 - len(".part.json")
"""Bytes of UTF-8."""
_LOOKED_AT_ROOM_EVERY = 64 * 2**20
_READ_AT_ONCE = 2**20
_ENOUGH_TO_TELL = 512

# https://en.wikipedia.org/wiki/List_of_file_signatures; an MPEG frame begins with eleven ones.
_AUDIO = re.compile(rb"ID3|\xff[\xe0-\xff]|.{4}ftyp|OggS|fLaC|PK", re.DOTALL)
_AUDIO_NAME = re.compile(r"\.(?:mp3|m4[ab]|mp4|aac|og[ga]|opus|flac|zip)$", re.IGNORECASE)
_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|head|body|\?xml|!--)", re.IGNORECASE)
_PAGES = frozenset({"text/html", "application/xhtml+xml"})
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_NOT_OURS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG, errno.ENAMETOOLONG, errno.ELOOP})


def download(
    http: Doorway,
    file: RemoteFile,
    target: Path,
    *,
    trusted: bool = False,
    pace: Pace = PACE,
    most_bytes: int = MOST_BYTES,
    should_stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int], None] = lambda have: None,
) -> bool:
    """Have `file` at `target`, whose name is no longer than LONGEST_NAME. For one caller at a time.

    trusted: as for Doorway.download. A redirect leads to the same host, or to one below its name.
    should_stop: looked at between chunks; then the answer is False, and what came stays. progress: bytes of it so far.

    Raises:
        ClientError: no room, or no leave to write.
        OtherContent: twice another content than was promised.
        ServiceError: as Doorway.stream.
    """
    with _as_of_the_disk(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with _Part(file, target, most_bytes) as part:
            for _ in range(2):
                if not part.is_whole and not _fetch(http, part, trusted, pace, should_stop, progress):
                    return False
                if part.is_right():
                    part.finish()
                    return True
                part.clear()
    raise OtherContent(f"{_host(file)} sent “{target.name}” twice with another content than it has.", permanent=True)


def is_right(file: RemoteFile, place: Path) -> bool:
    """Whether `place` holds the file, as far as its size and checksum are known: all of it is read."""
    with place.open("rb") as opened:
        digest = _Digest(file)
        have = digest.read(opened)
    return (file.size is None or have == file.size) and digest.is_right


def came(target: Path) -> int:
    """Bytes that are there of a file that is not whole."""
    try:
        return _beside(target, ".part").stat().st_size
    except OSError:
        return 0


def forget(target: Path) -> None:
    """Remove what lies beside it."""
    for suffix in (".part", ".part.json"):
        _beside(target, suffix).unlink(missing_ok=True)


def check_room(folder: Path, needed: int) -> None:
    """Raises ClientError."""
    free = shutil.disk_usage(folder).free
    if free < needed + LEAST_FREE:
        raise _no_room(f"{_in_mb(needed)} are to come, and {_in_mb(free)} are free.")


def _fetch(
    http: Doorway,
    part: _Part,
    trusted: bool,
    pace: Pace,
    should_stop: Callable[[], bool],
    progress: Callable[[int], None],
) -> bool:
    def ask() -> bool:
        return http.stream(
            part.file.url,
            lambda stream: part.receive(stream, should_stop, progress),
            headers=part.headers,
            trusted=trusted,
            pace=pace,
            redirects_to=(urlsplit(part.file.url).hostname or "",),
        )

    try:
        return ask()
    except HttpError as error:
        if error.status != 416 or not part.have:
            raise
    # It has no such rest: all is there, or what is there is of another.
    if part.has_checksum and part.is_right():
        return True
    part.clear()
    return ask()


class _Part:
    """What is there of a file. `have`: bytes; `is_whole`: whether there is nothing more to come."""

    def __init__(self, file: RemoteFile, target: Path, most_bytes: int) -> None:
        self.file, self._target = file, target
        self._path, self._note = _beside(target, ".part"), _beside(target, ".part.json")
        self._most = most_bytes if file.size is None else min(most_bytes, file.size)
        self._total, self._validator = file.size, ""
        self._goes_on = True
        self.have = 0
        self._digest = _Digest(file)

    def __enter__(self) -> Self:
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        self._file = os.fdopen(handle, "r+b", buffering=0)
        note = self._noted()
        if note is None:
            self.clear()
            return self
        self._validator, self._total = note["validator"], note["total"]
        self.have = self._digest.read(self._file)
        if self.have > (self._most if self._total is None else self._total):
            self.clear()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def is_whole(self) -> bool:
        return self._total is not None and self.have == self._total

    @property
    def has_checksum(self) -> bool:
        return bool(self.file.sha1 or self.file.md5)

    def is_right(self) -> bool:
        return (self.file.size is None or self.have == self.file.size) and self._digest.is_right

    def clear(self) -> None:
        self._file.truncate(0)
        self._file.seek(0)
        self._note.unlink(missing_ok=True)
        self.have, self._total, self._validator = 0, self.file.size, ""
        self._goes_on = True
        self._digest = _Digest(self.file)

    def headers(self) -> dict[str, str]:
        if not (self.have and self._validator and self._goes_on):
            return {}
        return {"Range": f"bytes={self.have}-", "If-Range": self._validator}

    def receive(self, stream: Stream, should_stop: Callable[[], bool], progress: Callable[[int], None]) -> bool:
        chunks: Iterator[bytes] = iter(stream)
        if stream.status == 206 and self.have:
            self._check_rest(stream)
        elif stream.status in (200, 206):
            if stream.status == 206:
                self._check_rest(stream, begins=0)
            chunks = self._begin(stream, chunks)
        else:
            raise BadAnswer(f"{stream.host} answered with HTTP {stream.status} in place of a file.")
        looked_at = self.have
        for chunk in chunks:
            if should_stop():
                return False
            if self.have + len(chunk) > (self._most if self._total is None else self._total):
                raise self._too_much(stream)
            self._write(chunk)
            progress(self.have)
            if self.have - looked_at > _LOOKED_AT_ROOM_EVERY:
                check_room(self._target.parent, 0)
                looked_at = self.have
        if self._total is not None and self.have < self._total:
            raise Unreachable(f"{stream.host} broke off in the middle of a file.")
        self._total = self.have
        return True

    def finish(self) -> None:
        os.fsync(self._file.fileno())
        os.replace(self._path, self._target)
        folder = os.open(self._target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            sync_folder(folder)
        finally:
            os.close(folder)
        self._note.unlink(missing_ok=True)

    def _noted(self) -> dict[str, Any] | None:
        """What the part is of; None where that is not known, or another file is wanted by now."""
        try:
            note = json.loads(self._note.read_bytes())
        except (FileNotFoundError, ValueError, RecursionError):
            return None
        return note if isinstance(note, dict) and note.get("of") == asdict(self.file) else None

    def _begin(self, stream: Stream, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """From the start. What was there before is kept until it is seen that a file comes."""
        length = _number(stream.headers.get("content-length", ""))
        self._check_size(stream, length)
        if stream.type in _PAGES:
            raise self._page_of(stream)
        first = b""
        for chunk in chunks:
            first += chunk
            if len(first) >= _ENOUGH_TO_TELL:
                break
        is_audio = bool(_AUDIO_NAME.search(self.file.name))
        if is_audio and _PAGE.match(first):
            raise self._page_of(stream)
        # A checksum says more: there are tags that none of these begins with.
        if is_audio and not self.has_checksum and not _AUDIO.match(first):
            raise BadAnswer(f"{stream.host} sent something that is no audio in place of “{self._target.name}”.")
        self.clear()
        self._total, self._validator = (length if self._total is None else self._total), _validator(stream)
        note = {"of": asdict(self.file), "validator": self._validator, "total": self._total}
        self._note.write_text(json.dumps(note), encoding="utf-8")
        return itertools.chain([first] if first else [], chunks)

    def _check_rest(self, stream: Stream, begins: int | None = None) -> None:
        """Raises Unreachable where it is none of ours: then all of it is asked for."""
        found = re.fullmatch(
            r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)", stream.headers.get("content-range", "")
        )
        now = _validator(stream)
        is_other = begins is None and now.startswith('"') == self._validator.startswith('"') and now != self._validator
        if found is None or int(found[1]) != (self.have if begins is None else begins) or (now and is_other):
            self._goes_on = False
            raise Unreachable(f"{stream.host} sent another part of a file than it was asked for.")
        total = _number(found[2])
        self._check_size(stream, total)
        self._total = total if self._total is None else self._total

    def _check_size(self, stream: Stream, size: int | None) -> None:
        if size is not None and size > self._most and (self.file.size is None or self.file.size > self._most):
            raise self._too_much(stream)
        if None not in (size, self.file.size) and size != self.file.size:
            message = f"{stream.host} has “{self._target.name}” with {size:,} bytes in place of {self.file.size:,}."
            raise BadAnswer(message, permanent=True)

    def _write(self, chunk: bytes) -> None:
        left = memoryview(chunk)
        while left:
            left = left[self._file.write(left) :]
        self._digest.update(chunk)
        self.have += len(chunk)

    def _too_much(self, stream: Stream) -> BadAnswer:
        most = self._most if self._total is None else min(self._most, self._total)
        return BadAnswer(f"{stream.host} sent more than {most:,} bytes of “{self._target.name}”.", permanent=True)

    def _page_of(self, stream: Stream) -> BadAnswer:
        return BadAnswer(f"{stream.host} sent a web page in place of “{self._target.name}”.")


class _Digest:
    """Of the one checksum that is compared."""

    def __init__(self, file: RemoteFile) -> None:
        name, self._wanted = ("sha1", file.sha1) if file.sha1 else ("md5", file.md5)
        self._digest = hashlib.new(name, usedforsecurity=False) if self._wanted else None

    def update(self, data: bytes) -> None:
        if self._digest is not None:
            self._digest.update(data)

    def read(self, file: Any) -> int:
        """All that is in an open file; how many bytes that is."""
        have = 0
        while data := file.read(_READ_AT_ONCE):
            self.update(data)
            have += len(data)
        return have

    @property
    def is_right(self) -> bool:
        return self._digest is None or self._digest.hexdigest() == self._wanted.lower()


@contextlib.contextmanager
def _as_of_the_disk(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise _no_room(f"“{target.name}” is kept as far as it came.") from None
        message = f"“{target.name}” cannot be written: {error.strerror or type(error).__name__}."
        raise ClientError(message, permanent=error.errno in _NOT_OURS) from None


def _no_room(why: str) -> ClientError:
    return ClientError(f"There is no room left for what is downloaded: {why}")


def _validator(stream: Stream) -> str:
    """What If-Range takes: a strong ETag, or the date."""
    etag = str(stream.headers.get("etag", "")).strip()
    return etag if re.fullmatch(r'"[\x21\x23-\x7e]*"', etag) else str(stream.headers.get("last-modified", "")).strip()


def _beside(target: Path, suffix: str) -> Path:
    return target.with_name(f"{target.name}{suffix}")


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _host(file: RemoteFile) -> str:
    return urlsplit(file.url).netloc


def _in_mb(size: int) -> str:
    return f"{size / 10**6:,.0f} MB"
