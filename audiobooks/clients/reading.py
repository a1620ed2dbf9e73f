"""Values out of a client's JSON: what is not as it should be is unknown."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from audiobooks.exceptions import TorrentRefused
from audiobooks.torrents import BadTorrent, hash_of_magnet

HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")


def records(value: Any) -> list[dict[str, Any]] | None:
    """None where it is no list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else None


def text(value: Any) -> str:
    return value.replace("\0", "").encode("utf-8", "ignore").decode() if isinstance(value, str) else ""


def count(value: Any) -> int | None:
    """0 or more, and not absurd."""
    return value if type(value) is int and 0 <= value < 2**62 else None


def share(value: Any) -> float:
    """From 0 to 1; 0 where it is unknown."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value <= 1 else 0.0


def moment(value: Any) -> datetime | None:
    """Of seconds since 1970; 0 and less, and what old versions have for "never", are none."""
    seconds = count(value)
    return datetime.fromtimestamp(seconds, UTC) if seconds and seconds < 2**32 - 1 else None


def most(*values: Any) -> int | None:
    """The largest of those that are known."""
    return max((each for each in map(count, values) if each is not None), default=None)


def hashes_asked(hashes: Collection[str]) -> dict[str, str]:
    """As clients write them -> as asked for. What is no hash is known to no client."""
    return {each.lower(): each for each in hashes if HASH.match(each.lower())}


def refuse_other_magnet(link: str, hash: str) -> None:
    """Raises TorrentRefused unless the link is one magnet link, of this hash: clients take several, a line each."""
    try:
        is_it = hash_of_magnet(link) == hash.lower() and not any(each.isspace() for each in link)
    except BadTorrent:
        is_it = False
    if not is_it:
        raise TorrentRefused("The magnet link is not one of this torrent.")
