"""What a download client is to the rest: it is given torrents, and says how they are. It knows no database."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class Phase(StrEnum):
    RUNNING = "running"
    """It downloads, or waits for its turn or for peers."""
    BUSY = "busy"
    """Its files are checked or moved: not to be read now."""
    STOPPED = "stopped"
    """A person stopped it in the client: that is no failure."""
    DONE = "done"
    """All that was wanted is there, and lies still."""
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Download:
    """How one torrent is. Empty and None are unknown.

    hash: as it was asked for. size, left: bytes of what is wanted. seeds: peers that have all of it.
    path: its file or folder as we see it (the client's own path, mapped), None where no mapping leads to it, or it has
    none of its own. client_path: as the client sees it. is_loose: whether its files lie in the folder of all.
    error: why it failed or what the tracker says, without secrets.
    active_at: when bytes last came. is_seeding: whether it is offered to others.
    """

    hash: str
    name: str
    phase: Phase
    size: int | None = None
    left: int | None = None
    seeds: int | None = None
    path: Path | None = None
    client_path: str = ""
    is_loose: bool = False
    error: str = ""
    active_at: datetime | None = None
    is_seeding: bool = False


class TorrentClient(Protocol):
    """A program that fetches torrents. Raises ClientError; a torrent it does not know is not in an answer.

    name: as settings have it; label: for people.
    """

    name: str
    label: str

    def version(self) -> str:
        """Of the program; what a person is shown when the settings are tried."""

    def add(self, torrent: bytes | str, hash: str) -> None:
        """Hand over a torrent file, or a magnet link; nothing happens where the client has a torrent of this hash already.

        It is listed when this returns.
        """

    def downloads(self, hashes: Collection[str]) -> Mapping[str, Download]:
        """Of those it knows, by hash; one question for all of them."""

    def free_space(self) -> int | None:
        """Bytes, where it saves what it fetches."""
