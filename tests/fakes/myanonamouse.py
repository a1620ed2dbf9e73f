"""A server on loopback that speaks as MyAnonamouse does, as far as we talk to it: sessions that change with each answer,
its search, its account data, and its ways to say no. All of its content is invented.

Use it as a context manager; `url` is its address. Its rules are those that public clients tell of
(https://github.com/StirlingMouse/MLM, https://github.com/t-mart/mousehole, https://github.com/Prowlarr/Prowlarr).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from audiobooks.sources.myanonamouse import Session
from tests.audiobooks.outside import Outside, Reply, Seen

SEED = "SeedOf%2BTheMember%3D%3D"
SEARCH = "/tor/js/loadSearchJSONbasic.php"
ACCOUNT = "/jsonLoad.php"
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
    ended: float = 0.0

    @property
    def at(self) -> float:
        return self.seen.at

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
    throttled_until: of time.monotonic. takes: seconds per answer. dl: given with each row, although nobody asked.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    session: str = SEED
    rotates: bool = True
    faults: list[Reply] = field(default_factory=list)
    takes: float = 0.0
    dl: str = ""
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
    most_at_once: int = 0
    quiet_broken: int = 0
    throttled_until: float = 0.0
    before: Callable[[Call], None] | None = None

    def __post_init__(self) -> None:
        self._outside = Outside()
        self._outside.otherwise = self._answer
        self._lock = threading.Lock()
        self._under_way = self._rotations = 0
        self.url = self._outside.url

    def __enter__(self) -> Self:
        self._outside.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._outside.__exit__(kind, error, trace)

    @property
    def gaps(self) -> list[float]:
        """Seconds between the arrivals of calls."""
        times = sorted(call.at for call in self.calls)
        return [later - earlier for earlier, later in zip(times, times[1:], strict=False)]

    def throttle(self, seconds: int) -> None:
        """Answers with 429 and Retry-After until then, and counts who asks all the same."""
        self.throttled_until = time.monotonic() + seconds
        self.faults.append(page(b"Too Many Requests", 429, **{"Retry-After": str(seconds)}))

    def _answer(self, seen: Seen) -> Reply:
        call = Call(seen, _session_of(seen))
        with self._lock:
            if self.throttled_until > time.monotonic() and not self.faults:
                self.quiet_broken += 1
            self.calls.append(call)
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            time.sleep(self.takes)
            if self.before is not None:
                self.before(call)
            with self._lock:
                return self._rotated(call, self._reply(call))
        finally:
            call.ended = time.monotonic()
            with self._lock:
                self._under_way -= 1

    def _rotated(self, call: Call, reply: Reply) -> Reply:
        if not (self.rotates and call.session == self.session):
            return reply
        self._rotations += 1
        self.session = f"Rotated{self._rotations}%2Fof%3Dthis"
        cookie = (
            f"mam_id={self.session}; expires=Tue, 01-Jan-2999 00:00:00 GMT; Max-Age=2592000; path=/; secure; HttpOnly"
        )
        return Reply(
            reply.status, reply.body, {"Set-Cookie": cookie, **reply.headers}, reply.delay, reply.cut, reply.drip
        )

    def _reply(self, call: Call) -> Reply:
        if self.faults:
            return self.faults.pop(0)
        if not call.session:
            return Reply.of({"Success": False, "msg": "No Session Cookie"}, 403)
        if call.session != self.session:
            return SIGNED_OUT
        if (call.seen.method, call.seen.path) == ("GET", ACCOUNT):
            return Reply.of(self.account)
        if call.seen.path != SEARCH:
            return page(b"<html>404</html>", 404)
        return Reply.of(self._search(call.body))

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
    if int(row.get("main_cat") or 0) not in tor.get("main_cat", [13, 14, 15, 16]):
        return False
    if start := tor.get("startDate"):
        added = datetime.strptime(row["added"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        if added < datetime.fromisoformat(start).replace(tzinfo=UTC):
            return False
    return all(word in said for word in str(tor.get("text", "")).lower().split())
