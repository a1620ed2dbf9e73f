"""Torrent files, all invented."""

from __future__ import annotations

from typing import Any

PASSKEY = "fakePASSKEYofTheMember42"


def torrent(name: str = "The Blue Harbour", **changed: Any) -> bytes:
    """Of one file; the address of its tracker holds a passkey. `changed` are keys of the whole, None leaves one out."""
    info = {"name": name, "length": 554001203, "piece length": 2**20, "pieces": b"\x00\xff" * 10, "private": 1}
    whole = {"announce": f"https://t.example/{PASSKEY}/announce", "comment": "MID=1", "info": info, **changed}
    return bencoded({key: value for key, value in whole.items() if value is not None})


def bencoded(value: Any) -> bytes:
    match value:
        case int():
            return b"i%de" % value
        case str():
            return bencoded(value.encode())
        case bytes():
            return b"%d:%b" % (len(value), value)
        case dict():
            return b"d%be" % b"".join(bencoded(each) for key in sorted(value) for each in (key, value[key]))
    return b"l%be" % b"".join(map(bencoded, value))
