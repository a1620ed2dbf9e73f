"""A Transmission whose version, session and states are as a test wants them. `url` is its address."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from audiobooks.torrents import BadTorrent, hash_of_magnet, read_torrent
from tests.audiobooks.outside import Outside, Reply, Seen
from tests.programs import PASSWORD, USER

SAVED_IN = "/downloads"


@dataclass
class FakeTransmission:
    """Everything may be changed while it runs.

    rpc: 16 is of 3.00, which knows labels but not while adding; 17 of 4.0. rows: its torrents, as torrent-get gives them.
    result: its word on everything, in place of "success".
    """

    version: str = "3.00 (bb6b5a062e)"
    rpc: int = 16
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    session: str = "invented0session0id"
    free: int = 73_097_068_544
    result: str = "success"
    calls: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.outside = Outside()
        self.outside.otherwise = self.answer
        self.outside.__enter__()
        self.url = self.outside.url
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.outside.__exit__(kind, error, trace)

    def answer(self, seen: Seen) -> Reply:
        if seen.path != "/transmission/rpc":
            return Reply(301, b"", {"Location": "/transmission/web/"})
        credentials = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if seen.headers.get("authorization") != f"Basic {credentials}":
            return Reply(401, b"<h1>401: Unauthorized</h1>Unauthorized User", {"Content-Type": "text/html"})
        if seen.headers.get("x-transmission-session-id") != self.session:
            named = {"X-Transmission-Session-Id": self.session, "Content-Type": "text/html"}
            return Reply(409, b"<h1>409: Conflict</h1>", named)
        asked = json.loads(seen.body)
        self.calls.append(asked["method"])
        answers: dict[str, Callable[[dict[str, Any]], tuple[str, dict[str, Any]]]] = {
            "session-get": lambda given: (
                "success",
                {"version": self.version, "rpc-version": self.rpc, "download-dir": SAVED_IN},
            ),
            "free-space": lambda given: ("success", {"path": given["path"], "size-bytes": self.free}),
            "torrent-get": lambda given: (
                "success",
                {
                    "torrents": [
                        {name: each[name] for name in given["fields"]}
                        for hash, each in self.rows.items()
                        if hash in given["ids"]
                    ]
                },
            ),
            "torrent-add": self.add,
            "torrent-set": self.set,
        }
        result, arguments = answers.get(asked["method"], lambda given: ("method name not recognized", {}))(
            asked["arguments"]
        )
        if self.result != "success":
            result, arguments = self.result, {}
        return Reply.of({"arguments": arguments, "result": result})

    def add(self, given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        try:
            if "metainfo" in given:
                torrent = read_torrent(base64.b64decode(given["metainfo"]))
                row = row_of(torrent.hash, name=torrent.name, sizeWhenDone=torrent.size, leftUntilDone=torrent.size)
            else:
                hash = hash_of_magnet(given["filename"])
                row = row_of(hash, name=hash, sizeWhenDone=0, leftUntilDone=0, metadataPercentComplete=0)
        except BadTorrent:
            return "invalid or corrupt torrent file", {}
        kind = "torrent-duplicate" if row["hashString"] in self.rows else "torrent-added"
        row = self.rows.setdefault(row["hashString"], row)
        if self.rpc > 16:
            row["labels"] = given["labels"]
        return "success", {kind: {"id": 1, "name": row["name"], "hashString": row["hashString"]}}

    def set(self, given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        for hash in given["ids"]:
            self.rows[hash]["labels"] = given["labels"]
        return "success", {}


def row_of(hash: str, **changes: Any) -> dict[str, Any]:
    return {
        **{"hashString": hash, "name": "Emma", "status": 4, "percentDone": 0, "leftUntilDone": 165_000},
        **{"sizeWhenDone": 165_000, "metadataPercentComplete": 1, "error": 0, "errorString": "", "labels": []},
        **{"downloadDir": SAVED_IN, "activityDate": 0, "trackerStats": [], "isFinished": False},
        **changes,
    }
