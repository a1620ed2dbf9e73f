"""What was fetched comes onto the shelf: linked, else copied, in a hidden folder of the library, and then shown at once.

What seeds is never moved, changed or given other rights, and nothing that is there already is written over. All is done by
handles of folders, and no link is followed, so that nothing outside the library is written whatever a name says. Whatever
stops it, to place the same again goes on from there.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .disk import sync_folder
from .library.base import PATH_CHARACTERS
from .library.folder import AUDIO, is_hidden, is_part_folder
from .shelf_path import NAME_BYTES, safe_name

BESIDE = frozenset({".jpg", ".jpeg", ".png", ".webp", ".pdf", ".cue"})
"""What comes along with the audio."""
_HIDDEN = ".incoming-"
_MOST_TWINS = 50
_MOST_FILES = 3_000
_BLOCK = 1024 * 1024
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTSUP}


class PlacingError(Exception):
    """It is not on the shelf; the message says why and what to do."""


class NoSpace(PlacingError):
    """The library's disk is full, or would be below what is kept free."""


@dataclass(frozen=True, kw_only=True)
class PlacedFile:
    """path: relative to the library. is_link: whether it is one file with that which was fetched. size: bytes."""

    path: str
    size: int
    is_link: bool


@dataclass(frozen=True, kw_only=True)
class Placed:
    """target: of the folder, relative to the library; another than was asked for where that was taken. was_there: it had been placed before."""

    target: str
    files: tuple[PlacedFile, ...]
    was_there: bool = False


def shelf_files(content: Path, *, only: Sequence[PurePosixPath] | None = None) -> tuple[PurePosixPath, ...]:
    """The audio of a folder or file, and its covers, texts and cue sheets; below the content, or its name.

    only: what is looked at; None for all.

    Raises:
        PlacingError: audio is only linked there, or there is none.
        OSError: it cannot be looked into.
    """
    if not stat.S_ISDIR(content.lstat().st_mode):
        found = [PurePosixPath(content.name)]
        parents = content.parent
    else:
        found, parents = list(below(content)) if only is None else list(only), content
    wanted = []
    for path in found:
        kind, mode = path.suffix.lower(), (parents / path).lstat().st_mode
        if kind in AUDIO and not stat.S_ISREG(mode):
            raise PlacingError(f"{path} is a link or no file: what it leads to is not taken.")
        if stat.S_ISREG(mode) and kind in AUDIO | BESIDE:
            wanted.append(path)
    if not any(path.suffix.lower() in AUDIO for path in wanted):
        raise PlacingError("There is no audio in it.")
    return tuple(wanted)


def below(content: Path) -> Iterator[PurePosixPath]:
    def failed(error: OSError) -> None:
        raise error

    count = 0
    for folder, folders, names in os.walk(content, onerror=failed):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        for name in sorted(names):
            count += 1
            if count > _MOST_FILES:
                raise PlacingError(f"It has more than {_MOST_FILES} files.")
            if not is_hidden(name):
                yield PurePosixPath(Path(folder, name).relative_to(content))


def place(content: Path, files: Sequence[PurePosixPath], library: Path, target: str, *, keep_free: int = 0) -> Placed:
    """Show `files` of the content in the library's folder `target`, or in "target (2)" where another book has that.

    keep_free: bytes that are left free on the library's disk where files have to be copied.

    Raises:
        NoSpace, PlacingError: the library is as it was, but for a hidden folder from which the next attempt goes on.
    """
    *parents, name = _checked(target)
    is_folder = stat.S_ISDIR(_status(content).st_mode)
    plan = _plan(files, room=PATH_CHARACTERS - len(target) - 8)
    try:
        with (
            _folder(library) as root,
            _folder(content if is_folder else content.parent, is_root=not is_folder) as source,
        ):
            return _place(_Job(root, source, plan, keep_free), parents, name, hidden=_hidden(content, target))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace("The library's disk is full. Make room; what was fetched is kept.") from error
        raise PlacingError(f"It could not be put into the library ({error.strerror or error}).") from error


def forget(content: Path, library: Path, target: str) -> bool:
    """Remove the hidden folder from which the next attempt would go on. False where the library is not to be had now."""
    try:
        with _folder(library) as root, contextlib.suppress(FileNotFoundError):
            _remove(root, _hidden(content, target))
    except OSError:
        return False
    return True


def _status(content: Path) -> os.stat_result:
    try:
        status = content.lstat()
    except OSError as error:
        raise PlacingError(f"{content} cannot be read ({error.strerror}).") from error
    if not stat.S_ISDIR(status.st_mode) and not stat.S_ISREG(status.st_mode):
        raise PlacingError(f"{content} is a link or no file: what it leads to is not taken.")
    return status


def _checked(target: str) -> list[str]:
    parts = target.split("/")
    # A person may have written it.
    if any(part != safe_name(part) or not part for part in parts):
        raise PlacingError(f"“{target}” cannot be a folder of the library.")
    return parts


def _plan(files: Sequence[PurePosixPath], *, room: int) -> dict[PurePosixPath, PurePosixPath]:
    """By each file its place in the book's folder. Only folders of discs stay; what is in others is named after them.

    A folder that all files are in is left out.
    """
    if not files:
        raise PlacingError("There are no files to place.")
    shared = 0
    while all(len(file.parts) > shared + 1 and file.parts[shared] == files[0].parts[shared] for file in files):
        shared += 1
    plan: dict[PurePosixPath, PurePosixPath] = {}
    taken: set[str] = set()
    for file in files:
        if file.is_absolute() or ".." in file.parts or not file.parts:
            raise PlacingError(f"{file} lies outside of what was fetched.")
        *folders, name = file.parts[shared:]
        disc = _disc_name(folders[0]) if folders else ""
        before = " - ".join(folders[1:] if disc else folders)
        name = f"{before} - {name}" if before else name
        place = _free_name(PurePosixPath(disc), PurePosixPath(name), taken, room)
        taken.add(_key(str(place)))
        plan[file] = place
    return plan


def _disc_name(folder: str) -> str:
    return folder if is_part_folder(folder) and not any(ord(letter) < 32 for letter in folder) else ""


def _free_name(disc: PurePosixPath, name: PurePosixPath, taken: set[str], room: int) -> PurePosixPath:
    ending = safe_name(name.suffix[1:], most=16).lower()
    most = min(NAME_BYTES, max(32, room - len(str(disc)) - 1)) - len(ending) - 8
    stem = safe_name(name.name[: len(name.name) - len(name.suffix)], most=most) or "file"
    for number in range(1, len(taken) + 2):
        place = disc / (f"{stem} ({number}).{ending}" if number > 1 else f"{stem}.{ending}")
        if _key(str(place)) not in taken:
            return place
    raise AssertionError("one of so many names is free")


def _key(name: str) -> str:
    """What names have in common that one file system takes for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


# --- handles of folders -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _folder(path: Path | str, *, within: int | None = None, is_root: bool = True) -> Iterator[int]:
    """A handle. The folders of settings may be links, as the scan allows it of the library."""
    flags = _FOLDER & ~os.O_NOFOLLOW if is_root and within is None else _FOLDER
    handle = os.open(path, flags, dir_fd=within)
    try:
        yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def _parent_of(root: int, path: PurePosixPath, *, make: bool = False) -> Iterator[int]:
    """The handle of the folder that `path` lies in, come to without following a link."""
    with contextlib.ExitStack() as stack:
        handle = root
        for part in path.parts[:-1]:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, dir_fd=handle)
            handle = stack.enter_context(_folder(part, within=handle))
        yield handle


def _entry(parent: int, name: str) -> str:
    """The name there that is this one for some file system; empty where there is none."""
    names = os.listdir(parent)
    return name if name in names else next((each for each in names if _key(each) == _key(name)), "")


def _stat(parent: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _remove(parent: int, name: str) -> None:
    """A folder of ours with all in it."""
    with _folder(name, within=parent) as handle:
        for each in os.listdir(handle):
            status = os.stat(each, dir_fd=handle, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                _remove(handle, each)
            else:
                os.unlink(each, dir_fd=handle)
    os.rmdir(name, dir_fd=parent)


# --- the steps ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Job:
    """root: handle of the library; source: of the folder that the files lie below."""

    root: int
    source: int
    plan: dict[PurePosixPath, PurePosixPath]
    keep_free: int


def _hidden(content: Path, target: str) -> str:
    return _HIDDEN + hashlib.sha256(os.fsencode(f"{content}\0{target}")).hexdigest()[:24]


def _place(job: _Job, parents: list[str], name: str, *, hidden: str) -> Placed:
    if found := _find_placed(job, parents, name):
        if _stat(job.root, hidden):
            _remove(job.root, hidden)
        return found
    try:
        files = _fill(job, hidden)
    except NoSpace:
        _remove(job.root, hidden)
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT) and _stat(job.root, hidden):
            _remove(job.root, hidden)
        raise
    return _show(job, hidden, parents, name, files)


def _find_placed(job: _Job, parents: list[str], name: str) -> Placed | None:
    """Where all of it stands already, under the name or one of its twins."""
    place, handle = _existing(job, parents)
    if handle is None:
        return None
    try:
        for twin in _twins(name):
            there = _entry(handle, twin)
            if not there:
                return None
            if (found := _is_all_there(job, handle, there)) is not None:
                target = "/".join([*place, there])
                return _placed(target, found, was_there=True)
    finally:
        os.close(handle)
    return None


def _existing(job: _Job, parents: list[str]) -> tuple[list[str], int | None]:
    """The names of these folders as they are, and a handle of the last; None where one is not there.

    Raises:
        PlacingError: one is a link, or no folder.
    """
    handle = os.dup(job.root)
    place: list[str] = []
    for part in parents:
        there = _entry(handle, part)
        if not there:
            os.close(handle)
            return place, None
        try:
            inner = os.open(there, _FOLDER, dir_fd=handle)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                shown = "/".join([*place, there])
                raise PlacingError(f"{shown} in the library is a link or no folder; move it away.") from error
            raise
        finally:
            os.close(handle)
        handle = inner
        place.append(there)
    return place, handle


def _twins(name: str) -> Iterator[str]:
    yield name
    for number in range(2, _MOST_TWINS):
        yield f"{name} ({number})"
    raise PlacingError(f"The library has too many folders named {name}.")


def _is_all_there(job: _Job, parent: int, name: str) -> list[PlacedFile] | None:
    """The files, where each is the one that was fetched or has its content."""
    status = _stat(parent, name)
    if status is None or not stat.S_ISDIR(status.st_mode):
        return None
    found = []
    with _folder(name, within=parent) as folder:
        for source, path in job.plan.items():
            try:
                with _parent_of(folder, path) as inner, _parent_of(job.source, source) as outer:
                    file = _same(outer, source.name, inner, path.name)
            except (FileNotFoundError, NotADirectoryError):
                return None
            if file is None:
                return None
            found.append(PlacedFile(path=str(path), size=file.st_size, is_link=file.st_nlink > 1))
    return found


def _same(outer: int, source: str, inner: int, name: str) -> os.stat_result | None:
    """How the second is, where it is one file with the first, or has the same content."""
    one, other = _regular(outer, source), _stat(inner, name)
    if other is None or not stat.S_ISREG(other.st_mode):
        return None
    if os.path.samestat(one, other):
        return other
    is_same = one.st_size == other.st_size and _digest(outer, source) == _digest(inner, name)
    return other if is_same else None


def _regular(parent: int, name: str) -> os.stat_result:
    status = _stat(parent, name)
    if status is None:
        raise PlacingError(f"{name} is not there any more.")
    if not stat.S_ISREG(status.st_mode):
        raise PlacingError(f"{name} is a link or no file: what it leads to is not taken.")
    return status


def _fill(job: _Job, hidden: str) -> list[PlacedFile]:
    """All files in the hidden folder, safely on the disk; what an attempt before left is used or replaced.

    What can be linked comes first, so that there is room for all the rest before any of it is copied.
    """
    with contextlib.suppress(FileExistsError):
        os.mkdir(hidden, dir_fd=job.root)
    files: dict[PurePosixPath, PlacedFile] = {}
    sizes: dict[PurePosixPath, int] = {}
    with _folder(hidden, within=job.root) as folder:
        for source, path in job.plan.items():
            with _parent_of(folder, path, make=True) as inner, _parent_of(job.source, source) as outer:
                if file := _linked(outer, source.name, inner, path):
                    files[source] = file
                else:
                    sizes[source] = _regular(outer, source.name).st_size
                sync_folder(inner)
        left = sum(sizes.values())
        for source, size in sizes.items():
            path = job.plan[source]
            _check_space(job, left)
            with _parent_of(folder, path) as inner, _parent_of(job.source, source) as outer:
                status = _regular(outer, source.name)
                _copy(outer, source.name, inner, path.name, status)
                sync_folder(inner)
            files[source] = PlacedFile(path=str(path), size=status.st_size, is_link=False)
            left -= size
        sync_folder(folder)
    return [files[source] for source in job.plan]


def _linked(outer: int, source: str, inner: int, path: PurePosixPath) -> PlacedFile | None:
    """Linked, or there already; None where it has to be copied."""
    status = _regular(outer, source)
    if _stat(inner, path.name):
        if there := _same(outer, source, inner, path.name):
            return PlacedFile(path=str(path), size=there.st_size, is_link=os.path.samestat(status, there))
        os.unlink(path.name, dir_fd=inner)
    try:
        os.link(source, path.name, src_dir_fd=outer, dst_dir_fd=inner, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    else:
        there = os.stat(path.name, dir_fd=inner, follow_symlinks=False)
        if not os.path.samestat(status, there) or there.st_nlink < 2:
            raise PlacingError(f"{source} was changed while it was linked.")
        return PlacedFile(path=str(path), size=there.st_size, is_link=True)
    return None


def _check_space(job: _Job, size: int) -> None:
    """Raises:
    NoSpace: so many bytes more would leave less than is kept free.
    """
    disk = os.fstatvfs(job.root)
    if disk.f_bavail * disk.f_frsize - size < job.keep_free:
        raise NoSpace(
            f"The library's disk has {disk.f_bavail * disk.f_frsize // 10**6} MB left, of which {job.keep_free // 10**6} MB are "
            f"kept free, and {size // 10**6} MB have to be copied. Make room, or let downloads and library be on one disk, so that nothing has to be copied."
        )


def _copy(outer: int, source: str, inner: int, name: str, status: os.stat_result) -> None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(source, flags, dir_fd=outer), "rb") as reader:
        fresh = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(name, fresh, 0o666, dir_fd=inner), "wb") as writer:
            digest, size = hashlib.sha256(), 0
            while block := reader.read(_BLOCK):
                digest.update(block)
                size += len(block)
                writer.write(block)
            writer.flush()
            os.fsync(writer.fileno())
        after = os.fstat(reader.fileno())
    is_as_before = (after.st_ino, after.st_size, after.st_mtime_ns) == (status.st_ino, size, status.st_mtime_ns)
    if not is_as_before or _digest(inner, name) != digest.digest():
        raise PlacingError(f"{source} was changed while it was copied, or the copy cannot be read back.")


def _digest(parent: int, name: str) -> bytes:
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    with open(handle, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _show(job: _Job, hidden: str, parents: list[str], name: str, files: list[PlacedFile]) -> Placed:
    """The hidden folder gets its name, which shows all of it at once."""
    handle = os.dup(job.root)
    place: list[str] = []
    try:
        for part in parents:
            there = _entry(handle, part)
            if not there:
                os.mkdir(part, dir_fd=handle)
                sync_folder(handle)
            inner = os.open(there or part, _FOLDER, dir_fd=handle)
            os.close(handle)
            handle = inner
            place.append(there or part)
        for twin in _twins(name):
            if _entry(handle, twin):
                continue
            try:
                # A folder would be put in place of an empty one that came this instant, and of nothing else.
                os.rename(hidden, twin, src_dir_fd=job.root, dst_dir_fd=handle)
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    continue
                raise
            sync_folder(handle)
            sync_folder(job.root)
            return _placed("/".join([*place, twin]), files)
    finally:
        os.close(handle)
    raise AssertionError("the names end with an error")


def _placed(target: str, files: Sequence[PlacedFile], *, was_there: bool = False) -> Placed:
    return Placed(
        target=target,
        files=tuple(PlacedFile(path=f"{target}/{each.path}", size=each.size, is_link=each.is_link) for each in files),
        was_there=was_there,
    )
