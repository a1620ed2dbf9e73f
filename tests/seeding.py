"""Torrents of files that a test made, and a peer within the test's process that has all of them."""

from __future__ import annotations

import hashlib
import os
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

needs_libtorrent = pytest.mark.skipif(
    find_spec("libtorrent") is None and not os.environ.get("CI"), reason="libtorrent has no package for this system"
)

PIECE = 16 * 1024
"""Bytes."""
_READY_WITHIN = 60.0
"""Seconds."""


def bencoded(value: Any) -> bytes:
    """Of dict, list, int, str and bytes."""
    if isinstance(value, dict):
        pairs = sorted((_raw(key), each) for key, each in value.items())
        return b"d" + b"".join(bencoded(key) + bencoded(each) for key, each in pairs) + b"e"
    if isinstance(value, list):
        return b"l" + b"".join(map(bencoded, value)) + b"e"
    if isinstance(value, int):
        return b"i%de" % value
    raw = _raw(value)
    return b"%d:%s" % (len(raw), raw)


def _raw(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def torrent_of(content: Path, *, announce: str = "", private: bool = False) -> bytes:
    """Of a file or a folder."""
    files = sorted(each for each in content.rglob("*") if each.is_file()) if content.is_dir() else [content]
    whole = b"".join(each.read_bytes() for each in files)
    pieces = [hashlib.sha1(whole[at : at + PIECE]).digest() for at in range(0, len(whole), PIECE)]
    info = {"name": content.name, "piece length": PIECE, "pieces": b"".join(pieces), "private": int(private)}
    if content.is_dir():
        info["files"] = [
            {"length": each.stat().st_size, "path": list(each.relative_to(content).parts)} for each in files
        ]
    else:
        info["length"] = len(whole)
    return bencoded({"info": info, **({"announce": announce} if announce else {})})


class Seeder:
    """A peer on loopback that has what it is given, and goes to whom it is sent."""

    def __enter__(self) -> Self:
        # Not above: those who only write torrents run without it.
        import libtorrent

        self._library = libtorrent
        self._session = libtorrent.session(
            {
                "listen_interfaces": "127.0.0.1:0",
                **dict.fromkeys(("enable_dht", "enable_lsd", "enable_upnp", "enable_natpmp"), False),
                **dict.fromkeys(("enable_outgoing_utp", "enable_incoming_utp"), False),
                "dht_bootstrap_nodes": "",
                "allow_multiple_connections_per_ip": True,
            }
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._session

    def seed(self, torrent: bytes, content: Path, *, to_port: int) -> None:
        """Offer it to the peer at this port of loopback, which must have the torrent."""
        given = self._library.add_torrent_params()
        given.ti = self._library.torrent_info(self._library.bdecode(torrent))
        given.save_path = str(content.parent)
        handle = self._session.add_torrent(given)
        deadline = time.monotonic() + _READY_WITHIN
        while not handle.status().is_seeding:
            assert time.monotonic() < deadline, "The seeder does not find its own files."
            time.sleep(0.02)
        handle.connect_peer(("127.0.0.1", to_port))
