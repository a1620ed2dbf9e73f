"""A qBittorrent whose version, sessions and states are as a test wants them. `url` is its address."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

from audiobooks.torrents import BadTorrent, hash_of_magnet, read_torrent
from tests.audiobooks.outside import Outside, Reply, Seen
from tests.programs import PASSWORD, USER

BANNED = b"Your IP address has been banned after too many failed authentication attempts."
SAVED_IN = "/downloads"


@dataclass
class FakeQBittorrent:
    """Everything may be changed while it runs.

    version: as of its program; 5.2 and later sign in and add in another way.
    rows: its torrents, as torrents/info gives them. listed_after: lists that a new one is not in yet.
    adds: whether it takes torrents. sessions: that are valid now.
    """

    version: str = "4.5.2"
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    categories: set[str] = field(default_factory=set)
    listed_after: int = 0
    adds: bool = True
    free: int = 73_097_068_544
    log: list[str] = field(default_factory=list)
    sessions: set[str] = field(default_factory=set)
    failures: int = 0
    logins: int = 0

    def __enter__(self) -> Self:
        self.outside = Outside()
        self.outside.otherwise = self.answer
        self.outside.__enter__()
        self.url = self.outside.url
        self._unlisted: dict[str, int] = {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.outside.__exit__(kind, error, trace)

    @property
    def is_new(self) -> bool:
        return tuple(map(int, self.version.split(".")[:2])) >= (5, 2)

    @property
    def cookie(self) -> str:
        return f"QBT_SID_{self.outside.port}" if self.is_new else "SID"

    def asked(self, path: str) -> list[Seen]:
        return [seen for seen in self.outside.seen if seen.path == f"/api/v2/{path}"]

    def answer(self, seen: Seen) -> Reply:
        path = seen.path.removeprefix("/api/v2/")
        if seen.headers.get("referer") or seen.headers.get("origin"):
            return plain(b"Unauthorized", 401)
        if path == "auth/login":
            return self.log_in(seen)
        sent = SimpleCookie(seen.headers.get("cookie", ""))
        if self.cookie not in sent or sent[self.cookie].value not in self.sessions:
            return plain(b"Forbidden", 403)
        answers = {
            "app/version": lambda: plain(f"v{self.version}".encode()),
            "torrents/info": lambda: Reply.of(self.listed(seen.query)),
            "torrents/createCategory": lambda: self.create_category(seen),
            "torrents/add": lambda: self.add(seen),
            "sync/maindata": lambda: Reply.of({"rid": 1, "server_state": {"free_space_on_disk": self.free}}),
            "log/main": lambda: Reply.of([{"id": at, "message": line, "type": 4} for at, line in enumerate(self.log)]),
        }
        return answers[path]() if path in answers else plain(b"Not Found", 404)

    def log_in(self, seen: Seen) -> Reply:
        form = {name: values[0] for name, values in parse_qs(seen.body.decode()).items()}
        if self.failures >= 5:
            return plain(BANNED, 403)
        if (form.get("username"), form.get("password")) != (USER, PASSWORD):
            self.failures += 1
            return plain(b"Unauthorized", 401) if self.is_new else plain(b"Fails.")
        self.failures, self.logins = 0, self.logins + 1
        session = f"invented{self.logins}session"
        self.sessions.add(session)
        cookie = {"Set-Cookie": f"{self.cookie}={session}; HttpOnly; SameSite=Strict; path=/"}
        return Reply(204, b"", cookie) if self.is_new else plain(b"Ok.", 200, cookie)

    def create_category(self, seen: Seen) -> Reply:
        form = {name: values[0] for name, values in parse_qs(seen.body.decode(), keep_blank_values=True).items()}
        if not re.fullmatch(r"[^/\\]+(/[^/\\]+)*", form["category"]):
            return plain(b"Incorrect category name", 400)
        is_there = form["category"] in self.categories
        self.categories.add(form["category"])
        return plain(b"Unable to create category" if is_there else b"", 409 if is_there else 200)

    def add(self, seen: Seen) -> Reply:
        form = form_of(seen)
        try:
            if "torrents" in form:
                torrent = read_torrent(form["torrents"])
                hash, name, size = torrent.hash, torrent.name, torrent.size
            else:
                hash, name, size = hash_of_magnet(form["urls"].decode()), "", 0
        except BadTorrent:
            return plain(b"Error: 'book.torrent' is not a valid torrent file.", 415)
        is_taken = self.adds and hash not in self.rows
        if is_taken:
            self.rows[hash] = row_of(hash, name=name, size=size, category=form["category"].decode())
            self._unlisted[hash] = self.listed_after
        if not self.is_new:
            return plain(b"Ok." if is_taken else b"Fails.")
        counts = {"success_count": 1 if is_taken else 0, "failure_count": 0 if is_taken else 1, "pending_count": 0}
        return Reply.of({**counts, "added_torrent_ids": [hash] if is_taken else []}, 200 if is_taken else 409)

    def listed(self, query: dict[str, str]) -> list[dict[str, Any]]:
        wanted = query["hashes"].split("|") if "hashes" in query else None
        found = []
        for row in self.rows.values():
            if self._unlisted.get(row["hash"], 0):
                self._unlisted[row["hash"]] -= 1
            elif wanted is None or row["hash"] in wanted:
                found.append(row)
        return found


def row_of(hash: str, **changes: Any) -> dict[str, Any]:
    name, size = changes.get("name", "Emma"), changes.get("size", 165_000)
    return {
        **{"hash": hash, "infohash_v1": hash, "infohash_v2": "", "name": name, "state": "stalledDL", "progress": 0},
        **{"size": size, "total_size": size, "amount_left": size, "num_seeds": 0, "num_complete": -1},
        **{"save_path": SAVED_IN, "content_path": f"{SAVED_IN}/{name}", "category": "", "last_activity": 0},
        **changes,
    }


def form_of(seen: Seen) -> dict[str, bytes]:
    """Of either encoding."""
    kind = seen.headers["content-type"]
    if not kind.startswith("multipart/form-data"):
        return {name.decode(): values[0] for name, values in parse_qs(seen.body).items()}
    boundary = b"--" + kind.partition("boundary=")[2].encode()
    found = {}
    for part in seen.body.split(boundary)[1:-1]:
        head, _, body = part.partition(b"\r\n\r\n")
        named = re.search(rb'name="([^"]*)"', head)
        assert named is not None
        found[named[1].decode()] = body.removesuffix(b"\r\n")
    return found


def plain(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    return Reply(status, body, {"Content-Type": "text/plain", **(headers or {})})
