"""What a torrent file is, as far as a source has to tell one from a page (https://www.bittorrent.org/beps/bep_0003.html)."""

from __future__ import annotations

import re

MOST_BYTES = 10 * 2**20
_DEEPEST = 64
_NUMBER = re.compile(rb"i-?[0-9]{1,20}e")
_LENGTH = re.compile(rb"([0-9]{1,9}):")


def is_torrent(data: bytes) -> bool:
    """Whether it is one whole dictionary with `info`, which is one too. What is said of it holds a passkey."""
    keys: dict[bytes, int] = {}
    try:
        end = _end_of_value(data, 0, 0, keys) if data.startswith(b"d") else -1
    except ValueError:
        return False
    return end == len(data) and data[(at := keys.get(b"info", end)) : at + 1] == b"d"


def may_hold_passkey(data: bytes) -> bool:
    """Whether it looks like a part of one, which is not to be quoted."""
    return b"8:announce" in data or b"4:info" in data or b"passkey" in data.lower()


def is_magnet(text: str) -> bool:
    return bool(re.match(r"magnet:\?(?:[^#\s]*&)?xt=urn:btih:[0-9a-zA-Z]{32,40}(?:&|$)", text, re.IGNORECASE))


def _end_of_value(data: bytes, at: int, depth: int, keys: dict[bytes, int]) -> int:
    """Where the value that begins there ends; of the outermost dictionary, `keys` and where their values begin."""
    if depth > _DEEPEST:
        raise ValueError("too deep")
    kind = data[at : at + 1]
    if kind == b"i":
        found = _NUMBER.match(data, at)
        if found is None:
            raise ValueError("no number")
        return found.end()
    if kind not in (b"d", b"l"):
        return _text(data, at)[1]
    at += 1
    while data[at : at + 1] != b"e":
        if kind == b"d":
            key, at = _text(data, at)
            if depth == 0:
                keys.setdefault(key, at)
        at = _end_of_value(data, at, depth + 1, keys)
    return at + 1


def _text(data: bytes, at: int) -> tuple[bytes, int]:
    found = _LENGTH.match(data, at)
    if found is None:
        raise ValueError("no text")
    end = found.end() + int(found[1])
    if end > len(data):
        raise ValueError("cut off")
    return data[found.end() : end], end
