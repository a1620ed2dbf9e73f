"""A server on loopback that speaks as MyAnonamouse does, as far as we talk to it: sessions that change with each answer,
its search, its account data, and its ways to say no. All of its content is invented.

Use it as a context manager; `url` is its address. Its rules are those that public clients tell of
(https://github.com/StirlingMouse/MLM, https://github.com/t-mart/mousehole, https://github.com/Prowlarr/Prowlarr).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from audiobooks.sources.myanonamouse import Session
from tests.audiobooks.outside import Outside, Reply, Seen
from tests.fakes.torrent_files import torrent

SEED = "SeedOf%2BTheMember%3D%3D"
SEARCH = "/tor/js/loadSearchJSONbasic.php"
ACCOUNT = "/jsonLoad.php"
DOWNLOAD = "/tor/download.php"
NOT_SIGNED_IN = b"Error, you are not signed in<br />Other error"


def page(text: bytes, status: int = 200, **headers: str) -> Reply:
    return Reply(status, text, {"Content-Type": "text/html; charset=UTF-8", **headers})


SIGNED_OUT = page(NOT_SIGNED_IN)
SIGNED_OUT_403 = page(NOT_SIGNED_IN, 403)
INVALID_SESSION = Reply.of({"Success": False, "msg": "Invalid session - Other"}, 403)
IP_MISMATCH = Reply.of({"Success": False, "msg": "Invalid session - IP mismatch"}, 403)
ASN_MISMATCH = Reply.of({"Success": False, "msg": "Invalid session - ASN mismatch"}, 403)
WRONG_SESSION = Reply.of({"Success": False, "msg": "Incorrect session type - non-API session"}, 403)
TO_LOGIN = Reply(302, b"", {"Location": "/login.php?returnto=%2Ftor"})
THROTTLED = page(b"<html><h1>429 Too Many Requests</h1></html>", 429)
FIREWALL = page(b"<html><head><title>403 Forbidden</title></head><body><center>nginx</center></body></html>", 403)
LOGIN_PAGE = page(b"<!DOCTYPE html><html><head><title>Login</title></head><form action='/takelogin.php'></form></html>")
SOME_PAGE = page(b"<!DOCTYPE html><html><head><title>Maintenance</title></head><body>Back soon.</body></html>")
CUT = Reply(200, b'{"data":[{"id":1,"title":"Th', {"Content-Type": "application/json"})
UNSATISFIED = page(b"<html><body>You have reached your limit of 50 unsatisfied torrents.</body></html>")
INVALID_LINK = page(b"Error<br />Invalid download link")
SEARCH_FAILED = Reply.of({"data": None, "message": "searchd error: connection refused"})


def row(number: int, title: str = "", **values: Any) -> dict[str, Any]:
    """As the search gives it, with everything that was asked for."""
    return {
        "id": number,
        "title": title or f"Book {number}",
        "main_cat": 13,
        "category": "41",
        "catname": "Audiobooks - Fantasy",
        "mediatype": 1,
        "maincat": 1,
        "categories": "[13]",
        "language": 1,
        "lang_code": "ENG",
        "filetype": "m4b",
        "numfiles": 1,
        "size": "528.3 MiB",
        "seeders": 41,
        "leechers": 0,
        "times_completed": 512,
        "added": "2026-02-03 17:40:21",
        "author_info": '{"7001":"Nora Ferris"}',
        "narrator_info": '{"8002":"Sam Oakes"}',
        "series_info": '{"3003":["Harbour Cycle","1"]}',
        "ownership": '[4,"uploader"]',
        "free": 0,
        "vip": 0,
        "fl_vip": 0,
        "personal_freeleech": 0,
        "my_snatched": 0,
        "tags": "fantasy, 64 kbps, unabridged",
        "isbn": "",
        "mediainfo": "",
        **values,
    }


@dataclass
class MemoryStore:
    """As the database keeps it: a current session belongs to the seed that led to it. Not safe for threads on purpose: the
    turn of a call is what keeps two of them apart."""

    seed: str = field(default=SEED, repr=False)
    saved: list[str] = field(default_factory=list, repr=False)
    belongs_to: str = field(default="", repr=False)

    def load(self) -> Session:
        is_kept = bool(self.saved) and self.belongs_to == self.seed
        return Session(seed=self.seed, current=self.saved[-1] if is_kept else "")

    def save(self, current: str, *, seed: str) -> None:
        if seed == self.seed:
            self.saved.append(current)
            self.belongs_to = seed


@dataclass
class Call:
    seen: Seen
    session: str

    @property
    def body(self) -> dict[str, Any]:
        found = json.loads(self.seen.body)
        assert isinstance(found, dict)
        return found

    @property
    def tor(self) -> dict[str, Any]:
        found = self.body["tor"]
        assert isinstance(found, dict)
        return found


@dataclass
class FakeMyAnonamouse:
    """Everything may be changed while it runs.

    session: the only one that is known. rotates: with each answer to it the session gets a new value.
    faults: answers in place of the next ones, whatever the session; with rotation all the same where it is known.
    torrents: what is downloaded, by number; any other is made up. wedges_spent: downloads that asked for it.
    dl: given with each row, although nobody asked. browser: a session that opens pages, which a member reads; it changes as well.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    session: str = SEED
    rotates: bool = True
    faults: list[Reply] = field(default_factory=list)
    dl: str = ""
    torrents: dict[int, bytes] = field(default_factory=dict)
    wedges_spent: int = 0
    browser: str = ""
    pages: dict[str, str] = field(default_factory=dict)
    account: dict[str, Any] = field(
        default_factory=lambda: {
            "uid": 77,
            "username": "member",
            "classname": "Power User",
            "ratio": 3.25,
            "uploaded_bytes": 3250,
            "downloaded_bytes": 1000,
            "seedbonus": 4321,
            "wedges": 7,
            "unsat": {"name": "Unsatisfied", "count": 12, "red": False, "size": 99, "limit": 100},
        }
    )
    calls: list[Call] = field(default_factory=list)
    before: Callable[[Call], None] | None = None

    def __post_init__(self) -> None:
        self.outside = Outside()
        self.outside.otherwise = self._answer
        self._lock = threading.Lock()
        self._rotations = 0
        self.url = self.outside.url

    def __enter__(self) -> Self:
        self.outside.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.outside.__exit__(kind, error, trace)

    def _answer(self, seen: Seen) -> Reply:
        call = Call(seen, _session_of(seen))
        with self._lock:
            self.calls.append(call)
        if self.before is not None:
            self.before(call)
        with self._lock:
            return self._rotated(call, self._reply(call))

    def _rotated(self, call: Call, reply: Reply) -> Reply:
        if not self.rotates or call.session not in (self.session, self.browser):
            return reply
        self._rotations += 1
        value = f"Rotated{self._rotations}%2Fof%3Dthis"
        if call.session == self.session:
            self.session = value
        else:
            self.browser = value
        cookie = f"mam_id={value}; expires=Tue, 01-Jan-2999 00:00:00 GMT; Max-Age=2592000; path=/; secure; HttpOnly"
        return Reply(
            reply.status, reply.body, {"Set-Cookie": cookie, **reply.headers}, reply.delay, reply.cut, reply.drip
        )

    def _reply(self, call: Call) -> Reply:
        if self.faults:
            return self.faults.pop(0)
        if not call.session:
            return Reply.of({"Success": False, "msg": "No Session Cookie"}, 403)
        if call.session == self.browser and call.seen.path in self.pages:
            return page(self.pages[call.seen.path].encode())
        if call.session != self.session:
            return SIGNED_OUT
        if (call.seen.method, call.seen.path) == ("GET", ACCOUNT):
            return Reply.of(self.account)
        if (call.seen.method, call.seen.path) == ("GET", DOWNLOAD):
            return self._download(call.seen.query)
        if call.seen.path != SEARCH:
            return page(b"<html>404</html>", 404)
        return Reply.of(self._search(call.body))

    def _download(self, query: dict[str, str]) -> Reply:
        # Its presence is enough, whatever its value.
        self.wedges_spent += "fl" in query
        number = int(query.get("tid", 0))
        if not any(int(each["id"]) == number for each in self.rows):
            return INVALID_LINK
        return Reply(200, self.torrents.get(number) or torrent(), {"Content-Type": "application/x-bittorrent"})

    def _search(self, body: dict[str, Any]) -> dict[str, Any]:
        tor = body["tor"]
        found = [each for each in self.rows if _is_asked_for(each, tor)]
        if tor.get("sortType") == "dateDesc":
            found.sort(key=lambda each: str(each.get("added")), reverse=True)
        if tor.get("sortType") == "snatchedDesc":
            found.sort(key=lambda each: int(each.get("times_completed") or 0), reverse=True)
        # Within `tor` it has no effect.
        perpage = min(max(int(body.get("perpage", 20)), 5), 100)
        start = int(tor.get("startNumber", 0))
        rows = found[start : start + perpage]
        if not rows:
            return {"error": f"Nothing returned, out of {len(found)}"}
        if self.dl:
            rows = [{**each, "dl": self.dl} for each in rows]
        return {"perpage": perpage, "start": start, "total": start + len(rows), "found": len(found), "data": rows}


def _session_of(seen: Seen) -> str:
    pairs = [pair.strip().partition("=") for pair in seen.headers.get("cookie", "").split(";")]
    return next((value for name, _, value in pairs if name == "mam_id"), "")


def _is_asked_for(row: dict[str, Any], tor: dict[str, Any]) -> bool:
    said = " ".join(str(row.get(key)) for key in ("title", "author_info", "series_info")).lower()
    if "browse_lang" in tor and int(row.get("language") or 0) not in tor["browse_lang"]:
        return False
    if tor.get("cat", ["0"]) != ["0"] and str(row.get("category")) not in tor["cat"]:
        return False
    if "id" in tor and int(row["id"]) != int(tor["id"]):
        return False
    if int(row.get("main_cat") or 0) not in tor.get("main_cat", [13, 14, 15, 16]):
        return False
    if start := tor.get("startDate"):
        added = datetime.strptime(row["added"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        if added < datetime.fromisoformat(start).replace(tzinfo=UTC):
            return False
    return all(word in said for word in str(tor.get("text", "")).lower().split())
