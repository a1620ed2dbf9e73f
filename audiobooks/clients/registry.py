"""The download client that settings name."""

from __future__ import annotations

import os
from functools import lru_cache

from django.conf import settings

from audiobooks.clients.base import TorrentClient
from audiobooks.clients.qbittorrent import QBittorrent
from audiobooks.clients.transmission import Transmission

CLIENTS: dict[str, type[QBittorrent] | type[Transmission]] = {
    "QBITTORRENT": QBittorrent,
    "TRANSMISSION": Transmission,
}
"""By what the names of its settings begin with."""


def torrent_client() -> TorrentClient | None:
    """The same object each time, as it is signed in. None where there is no client, or two: which of them is meant is not
    guessed, and a system check asks."""
    prefixes = [prefix for prefix in CLIENTS if getattr(settings, f"{prefix}_URL")]
    if len(prefixes) != 1:
        return None
    [prefix] = prefixes
    url, user, password = (getattr(settings, f"{prefix}_{name}") for name in ("URL", "USER", "PASSWORD"))
    return _made(
        os.getpid(), prefix, url, user, password, settings.TORRENT_CATEGORY, tuple(settings.DOWNLOAD_PATHS.items())
    )


@lru_cache(maxsize=1)
def _made(
    process: int, prefix: str, url: str, user: str, password: str, category: str, paths: tuple[tuple[str, str], ...]
) -> TorrentClient:
    """One to a process: a lock that was held when this one was forked off would never be let go."""
    return CLIENTS[prefix](url=url, user=user, password=password, category=category, paths=dict(paths))
