"""Torrent files and magnet links, read strictly: they come from strangers, and a client obeys what is in them. Pure.

Sources: https://www.bittorrent.org/beps/bep_0003.html, bep_0047 (padding, links), bep_0052 (version 2), bep_0009 (magnet links).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

MOST_BYTES = 10_000_000
"""Of a torrent file."""
MOST_VALUES = 500_000
MOST_FILES = 20_000
MOST_DEPTH = 64
MOST_SIZE = 2**46
"""Bytes of what is in a torrent: 64 TiB."""

_INTEGER = re.compile(rb"(0|-?[1-9]\d{0,18})e")
_LENGTH = re.compile(rb"(0|[1-9]\d{0,8}):")
_HEX = re.compile(r"[0-9a-f]{40}\Z")
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\.|:|\Z)", re.IGNORECASE)
_DRIVE = re.compile(r"[a-z]:", re.IGNORECASE)
# The last are invisible marks that show a name in another order than it has.
_STEERING = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_LONGEST_PART = 255


class BadTorrent(Exception):
    """No torrent, or none that may be used. The message is a sentence for a person, without addresses."""


class TorrentFile(NamedTuple):
    path: tuple[str, ...]
    """Below the folder that the client saves in."""
    size: int
    """Bytes."""


@dataclass(frozen=True, kw_only=True)
class Torrent:
    """hash: 40 hexadecimal digits: of version 1 where it has one, else the beginning of that of version 2.

    name: of its file or folder. files: without padding. size: bytes of all, since whether padding is fetched depends on the
        client: qBittorrent leaves out what has the attribute, Transmission nothing.
    hostile: why its names must not be given to a client, each a sentence; empty of a proper one.
    """

    hash: str
    name: str
    files: tuple[TorrentFile, ...]
    size: int
    private: bool
    hostile: tuple[str, ...] = ()


def read_torrent(data: bytes) -> Torrent:
    """Raises BadTorrent."""
    value, raw = decode(data)
    if not isinstance(value, dict) or not isinstance(value.get(b"info"), dict):
        raise BadTorrent("The torrent file has no description of what is in it.")
    info = value[b"info"]
    name = _name(info)
    has_first, has_second = b"pieces" in info, info.get(b"meta version") == 2
    if has_first:
        found, hash = _first_files(info, name), hashlib.sha1(raw[b"info"]).hexdigest()
    elif has_second:
        found, hash = _second_files(info, name), hashlib.sha256(raw[b"info"]).hexdigest()[:40]
    else:
        raise BadTorrent("The torrent file is of no version that we know.")
    files = tuple(TorrentFile(path, size) for path, size, attributes in found if not _is_padding(path, attributes))
    if not files or not sum(each.size for each in files):
        raise BadTorrent("The torrent has nothing in it.")
    return Torrent(
        hash=hash,
        name=name,
        files=files,
        size=sum(size for _, size, _ in found),
        private=info.get(b"private") == 1,
        hostile=tuple(_hostile(name, found)),
    )


def hash_of_magnet(text: str) -> str:
    """Of a magnet link, as `Torrent.hash`. Raises BadTorrent."""
    scheme, _, query = text.strip().partition("?")
    if scheme.lower() != "magnet:":
        raise BadTorrent("It is no magnet link.")
    try:
        pairs = parse_qsl(query, max_num_fields=1_000)
    except ValueError:
        raise BadTorrent("The magnet link is too long.") from None
    topics = [value.lower() for key, value in pairs if key.lower().partition(".")[0] == "xt"]
    for topic in topics:
        if topic.startswith("urn:btih:") and (hash := _hex_of(topic.removeprefix("urn:btih:"))):
            return hash
    for topic in topics:
        # A multihash: 12 is SHA-256, 20 its length of 32 bytes.
        if match := re.fullmatch(r"urn:btmh:1220([0-9a-f]{64})", topic):
            return match[1][:40]
    raise BadTorrent("The magnet link has no hash.")


def _hex_of(hash: str) -> str:
    """Of 40 hexadecimal digits, or 32 characters of base32; else empty."""
    if _HEX.match(hash):
        return hash
    try:
        return base64.b32decode(hash.upper()).hex() if len(hash) == 32 else ""
    except (binascii.Error, ValueError):
        return ""


# --- the encoding ----------------------------------------------------------------------------------------------------


def decode(data: bytes) -> tuple[Any, dict[bytes, bytes]]:
    """What is encoded, as dict, list, int and bytes, and the values of the outermost dict as they stand there.

    Raises BadTorrent. Keys may stand in any order, as programs read them so; one that stands there twice would be read
    in two ways.
    """
    if len(data) > MOST_BYTES:
        raise BadTorrent(f"The torrent file is larger than {MOST_BYTES // 1_000_000} MB.")
    if not data.startswith(b"d"):
        raise BadTorrent(f"It is no torrent file, but {_kind(data)}.")
    reader = _Reader(data)
    value = reader.value(0)
    if reader.at != len(data):
        raise BadTorrent("The torrent file goes on after its end.")
    return value, reader.raw


def _kind(data: bytes) -> str:
    begin = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip()
    if not begin:
        return "empty"
    if begin.startswith(b"<"):
        return "a web page"
    return "a text" if all(byte >= 32 or byte in b"\t\r\n" for byte in begin) else "something else"


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._values = data, 0
        self.at = 0
        self.raw: dict[bytes, bytes] = {}
        """The values of the outermost dict."""

    def value(self, depth: int) -> Any:
        self._values += 1
        if depth > MOST_DEPTH or self._values > MOST_VALUES:
            raise BadTorrent("The torrent file is too intricate.")
        kind = self._data[self.at : self.at + 1]
        if kind.isdigit():
            return self._string()
        if kind not in (b"i", b"l", b"d"):
            raise self._broken()
        self.at += 1
        if kind == b"i":
            return int(self._take(_INTEGER))
        return self._list(depth) if kind == b"l" else self._dict(depth)

    def _list(self, depth: int) -> list[Any]:
        found = []
        while not self._ends():
            found.append(self.value(depth + 1))
        return found

    def _dict(self, depth: int) -> dict[bytes, Any]:
        found: dict[bytes, Any] = {}
        while not self._ends():
            key = self._string()
            if key in found:
                raise BadTorrent("The torrent file says the same thing twice.")
            begin = self.at
            found[key] = self.value(depth + 1)
            if depth == 0:
                self.raw[key] = self._data[begin : self.at]
        return found

    def _ends(self) -> bool:
        if self._data[self.at : self.at + 1] != b"e":
            return False
        self.at += 1
        return True

    def _string(self) -> bytes:
        length = int(self._take(_LENGTH))
        begin, self.at = self.at, self.at + length
        if self.at > len(self._data):
            raise self._broken()
        return self._data[begin : self.at]

    def _take(self, pattern: re.Pattern[bytes]) -> bytes:
        match = pattern.match(self._data, self.at)
        if match is None:
            raise self._broken()
        self.at = match.end()
        return match[1]

    def _broken(self) -> BadTorrent:
        return BadTorrent("The torrent file is broken or cut off.")


# --- what is in it ---------------------------------------------------------------------------------------------------

_Found = tuple[tuple[str, ...], int, bytes]
"""Path, bytes and attributes of a file."""


def _first_files(info: dict[bytes, Any], name: str) -> list[_Found]:
    """As version 1 has them, after a look at whether they fit the pieces."""
    if b"files" in info:
        listed = info[b"files"]
        if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
            raise _no_files()
        found = [((name, *_parts(each)), _size(each), _attributes(each)) for each in listed]
    else:
        found = [((name,), _size(info), _attributes(info))]
    _look_at(found)
    pieces, length = info[b"pieces"], info.get(b"piece length")
    total = sum(size for _, size, _ in found)
    if (
        not isinstance(pieces, bytes)
        or type(length) is not int
        or length < 1
        or len(pieces) != -(-total // length) * 20
    ):
        raise BadTorrent("The sizes in the torrent file do not fit its pieces.")
    return found


def _second_files(info: dict[bytes, Any], name: str) -> list[_Found]:
    tree = info.get(b"file tree")
    if not isinstance(tree, dict):
        raise _no_files()
    found = list(_leaves(tree, ()))
    is_single = len(found) == 1 and found[0][0] == (name,)
    if not is_single:
        found = [((name, *path), size, attributes) for path, size, attributes in found]
    _look_at(found)
    return found


def _leaves(tree: dict[bytes, Any], above: tuple[str, ...]) -> Iterator[_Found]:
    for key, below in tree.items():
        if not isinstance(below, dict):
            raise _no_files()
        if key == b"" and above:
            yield above, _size(below), _attributes(below)
        else:
            yield from _leaves(below, (*above, _text(key)))


def _look_at(found: list[_Found]) -> None:
    if len(found) > MOST_FILES:
        raise BadTorrent(f"The torrent has more than {MOST_FILES} files.")
    if sum(size for _, size, _ in found) > MOST_SIZE:
        raise BadTorrent("The torrent says that it is larger than any disk.")


def _name(info: dict[bytes, Any]) -> str:
    name = info.get(b"name.utf-8", info.get(b"name"))
    if not isinstance(name, bytes):
        raise BadTorrent("The torrent has no name.")
    return _text(name)


def _parts(file: dict[bytes, Any]) -> tuple[str, ...]:
    parts = file.get(b"path.utf-8", file.get(b"path"))
    if not isinstance(parts, list) or not parts or not all(isinstance(each, bytes) for each in parts):
        raise _no_files()
    return tuple(map(_text, parts))


def _size(file: dict[bytes, Any]) -> int:
    size = file.get(b"length")
    if type(size) is not int or size < 0:
        raise BadTorrent("A file in the torrent has no size.")
    return size


def _attributes(file: dict[bytes, Any]) -> bytes:
    attributes = file.get(b"attr", b"")
    return attributes if isinstance(attributes, bytes) else b""


def _is_padding(path: tuple[str, ...], attributes: bytes) -> bool:
    return b"p" in attributes or path[1:2] == (".pad",)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")


def _no_files() -> BadTorrent:
    return BadTorrent("The torrent file does not say properly which files are in it.")


def _hostile(name: str, found: list[_Found]) -> Iterator[str]:
    if any(b"l" in attributes for _, _, attributes in found):
        yield "A file in the torrent is a link to another."
    parts = dict.fromkeys([name, *(part for path, _, _ in found for part in path)])
    yield from dict.fromkeys(problem for part in parts for problem in _problems(part))


def _problems(part: str) -> Iterator[str]:
    if not part.strip():
        yield "A name in the torrent is empty."
    if part in (".", "..") or "/" in part or "\\" in part or _DRIVE.match(part):
        yield "A name in the torrent leads out of its folder."
    if _STEERING.search(part):
        yield "A name in the torrent has characters that are not to be seen."
    if _DEVICE.match(part):
        yield "A name in the torrent is that of a device."
    if len(part.encode("utf-8", "replace")) > _LONGEST_PART:
        yield "A name in the torrent is longer than a disk takes."
