"""A server that behaves as Audiobookshelf 2.36 does, as far as we talk to it: state in memory, faults on demand.

Its rules are those of advplyr/audiobookshelf (server/controllers, server/models/Book.js); shapes of answers are those of
https://api.audiobookshelf.org. Use it as a context manager; `url` is its address.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

KEY = "fake-key-1"


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    body: Any
    authorization: str


@dataclass(frozen=True)
class Reply:
    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)
    """A text is sent as text/plain, unless the headers say otherwise; anything else as JSON."""


@dataclass
class FakeAudiobookshelf:
    """Everything may be changed while it runs.

    replies: answers in place of the real ones, by (method, path).
    before: called before each request, to change the state between two.
    drop_after: the connection is closed without an answer after so many requests.
    """

    version: str | None = "2.36.0"
    is_init: bool = True
    sub_path: str = ""
    key_is_active: bool = True
    may_update: bool = True
    is_admin: bool = True
    scans: list[str] = field(default_factory=list)
    libraries: list[dict[str, Any]] = field(default_factory=list)
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    replies: dict[tuple[str, str], Reply] = field(default_factory=dict)
    before: Callable[[Request], None] | None = None
    drop_after: int | None = None
    repeats_first_page: bool = False

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"fake": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{self.sub_path}"

    def add_library(self, library_id: str = "lib-1", *, media_type: str = "book") -> None:
        folders = [{"id": f"fol-{library_id}", "fullPath": f"/{library_id}", "libraryId": library_id}]
        self.libraries.append({"id": library_id, "name": library_id, "folders": folders, "mediaType": media_type})

    def add_item(
        self, item_id: str, library_id: str = "lib-1", *, files: int = 1, ebook: str = "", **metadata: Any
    ) -> None:
        """`metadata` is the server's: authors and series as lists of objects."""
        path = f"/{library_id}/{item_id}"
        audio = [
            {
                "index": n,
                "duration": 1800.5,
                "codec": "aac",
                "metadata": {"filename": f"{n}.m4b", "ext": ".m4b", "size": 9},
            }
            for n in range(1, files + 1)
        ]
        said = {
            "title": f"Title {item_id}",
            "subtitle": None,
            "authors": [{"id": "aut-1", "name": "Ilse Varga"}],
            "narrators": ["Mara Quill"],
            "series": [],
            "genres": [],
            "publishedYear": None,
            "publishedDate": None,
            "publisher": None,
            "description": None,
            "isbn": None,
            "asin": None,
            "language": None,
            "explicit": False,
            "abridged": False,
        } | metadata
        self.items[item_id] = {
            "id": item_id,
            "libraryId": library_id,
            "path": path,
            "relPath": item_id,
            "isFile": False,
            "addedAt": 1_710_000_000_000 + len(self.items),
            "isMissing": False,
            "isInvalid": False,
            "mediaType": "book",
            "size": 9 * files,
            "media": {
                "metadata": said,
                "tags": [],
                "audioFiles": audio,
                "ebookFile": {"ebookFormat": ebook, "metadata": {"ext": f".{ebook}"}} if ebook else None,
            },
        }

    def answer(self, request: Request) -> Reply:
        if reply := self.replies.get((request.method, request.path)):
            return reply
        if not request.path.startswith(f"{self.sub_path}/"):
            return Reply(404, "Cannot GET")
        path = request.path.removeprefix(self.sub_path)
        if path == "/status":
            status = {
                "app": "audiobookshelf",
                "serverVersion": self.version,
                "isInit": self.is_init,
                "language": "en-us",
            }
            return Reply(200, {name: value for name, value in status.items() if value is not None})
        if request.authorization != f"Bearer {KEY}" or not self.key_is_active:
            return Reply(401, "Unauthorized")
        match request.method, path.strip("/").split("/"):
            case "GET", ["api", "me"]:
                return Reply(200, {"id": "user-1", "permissions": {"update": self.may_update, "download": True}})
            case "GET", ["api", "libraries"]:
                return Reply(200, {"libraries": self.libraries})
            case "GET", ["api", "libraries", library_id, "items"]:
                return self._page(library_id, request.query)
            case "POST", ["api", "items", "batch", "get"]:
                return self._details(request.body)
            case "POST", ["api", "items", "batch", "update"]:
                return self._update_many(request.body)
            case "POST", ["api", "libraries", library_id, "scan"]:
                return self._scan(library_id)
            case "DELETE", ["api", "items", item_id]:
                return Reply(200, "OK") if self.items.pop(item_id, None) else Reply(404, "Not Found")
        return Reply(404, "Not Found")

    def _scan(self, library_id: str) -> Reply:
        if not self.is_admin:
            return Reply(403, "Forbidden")
        if library_id not in {each["id"] for each in self.libraries}:
            return Reply(404, "Not Found")
        self.scans.append(library_id)
        return Reply(200, "OK")

    def _page(self, library_id: str, query: dict[str, str]) -> Reply:
        found = [item for item in self.items.values() if item["libraryId"] == library_id]
        by_time = query.get("sort") == "addedAt"
        found.sort(key=lambda item: item["addedAt"] if by_time else item["media"]["metadata"]["title"])
        limit, page = int(query.get("limit", "0")), int(query.get("page", "0"))
        start = 0 if self.repeats_first_page else page * limit
        shown = found[start : start + limit] if limit else found
        results = [_minified(item) for item in shown]
        if query.get("collapseseries") == "1":
            results = results[:1]
        # These are echoed as they were sent.
        return Reply(200, {"results": results, "total": len(found)} | query)

    def _details(self, body: Any) -> Reply:
        if not body.get("libraryItemIds"):
            return Reply(403, "Invalid payload")
        return Reply(200, {"libraryItems": [self.items[each] for each in body["libraryItemIds"] if each in self.items]})

    def _update_many(self, body: Any) -> Reply:
        """Whether the user may update is not asked here: so it is in the real one."""
        ids = [each["id"] for each in body]
        if not ids or len(set(ids)) < len(ids):
            return Reply(400, "Bad Request")
        if not set(ids) <= set(self.items):
            return Reply(404, "Not Found")
        for each in body:
            _change(self.items[each["id"]], each["mediaPayload"])
        return Reply(200, {"success": True, "updates": len(ids)})


def _change(item: dict[str, Any], payload: dict[str, Any]) -> None:
    said = item["media"]["metadata"]
    for name, value in payload.get("metadata", {}).items():
        if name == "authors":
            said[name] = _linked(said[name], [each["name"] for each in value if isinstance(each.get("name"), str)])
        elif name == "series":
            if all(isinstance(each.get("name"), str) and each["name"] for each in value):
                said[name] = _linked(said[name], [each["name"] for each in value])
                for kept, sent in zip(said[name], value, strict=True):
                    kept["sequence"] = sent["sequence"] if isinstance(sent.get("sequence"), str) else None
        elif name in ("narrators", "genres"):
            said[name] = [each for each in value if isinstance(each, str)]
        elif name in ("explicit", "abridged"):
            said[name] = bool(value)
        elif name in said and (value is None or isinstance(value, str)):
            said[name] = value


def _linked(known: list[dict[str, Any]], names: list[str]) -> list[dict[str, Any]]:
    """Those of the names, found again whatever their case; one left out is unlinked."""
    by_name = {each["name"].lower(): each for each in known}
    return [by_name.get(name.lower(), {"id": f"new-{name}", "name": name}) for name in names]


def _minified(item: dict[str, Any]) -> dict[str, Any]:
    said = item["media"]["metadata"]
    shown = {name: value for name, value in said.items() if name not in ("authors", "narrators", "series")}
    series = (
        f"{each['name']} #{each['sequence']}" if each.get("sequence") else each["name"] for each in said["series"]
    )
    names = {
        "authorName": ", ".join(each["name"] for each in said["authors"]),
        "narratorName": ", ".join(said["narrators"]),
        "seriesName": ", ".join(series),
    }
    media = {"metadata": shown | names, "numAudioFiles": len(item["media"]["audioFiles"]), "tags": []}
    return {name: value for name, value in item.items() if name != "media"} | {"media": media}


class _Handler(BaseHTTPRequestHandler):
    fake: FakeAudiobookshelf

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(
            method=self.command,
            path=unquote(parts.path),
            query={name: values[0] for name, values in parse_qs(parts.query).items()},
            body=json.loads(self.rfile.read(length)) if length else None,
            authorization=self.headers.get("Authorization", ""),
        )
        self.fake.requests.append(request)
        if self.fake.drop_after is not None and len(self.fake.requests) > self.fake.drop_after:
            self.close_connection = True
            return
        if self.fake.before:
            self.fake.before(request)
        self._send(self.fake.answer(request))

    def _send(self, reply: Reply) -> None:
        is_text = isinstance(reply.body, str)
        body = (reply.body if is_text else json.dumps(reply.body)).encode()
        headers = {"Content-Type": "text/plain" if is_text else "application/json"} | reply.headers
        self.send_response(reply.status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = _serve

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the requests are kept."""
