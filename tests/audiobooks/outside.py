"""An HTTP server on loopback that answers as it is told: what the outside does, and what reached it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Reply:
    """`cut`: the connection is closed after so many bytes of the body. `drip`: seconds between two bytes.
    `delay`: seconds before the answer begins."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: int | None = None
    drip: float = 0.0

    @classmethod
    def of(cls, data: Any, status: int = 200, **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status, json.dumps(data).encode(), {"Content-Type": "application/json", **named})


@dataclass
class Seen:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    at: float


Answering = Callable[[Seen], Reply]


class Outside:
    """`replies` of a path are given in turn, the last for ever; a path without any is answered by `otherwise`."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.connections = 0
        self.replies: dict[str, list[Reply]] = {}
        self.otherwise: Answering = lambda seen: Reply(404, b'{"error": "not found"}')
        self._lock = threading.Lock()
        outside = self

        class Handler(BaseHTTPRequestHandler):
            def setup(self) -> None:
                with outside._lock:
                    outside.connections += 1
                super().setup()

            def answer(self) -> None:
                outside._answer(self)

            do_GET = do_POST = answer

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Outside:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def gives(self, path: str, *replies: Reply) -> None:
        self.replies[path] = list(replies)

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        headers = {name.lower(): value for name, value in handler.headers.items()}
        seen = Seen(handler.command, parts.path, query, headers, body, time.monotonic())
        with self._lock:
            self.seen.append(seen)
            replies = self.replies.get(parts.path)
            reply = (replies.pop(0) if len(replies) > 1 else replies[0]) if replies else None
        if reply is None:
            reply = self.otherwise(seen)
        time.sleep(reply.delay)
        handler.send_response(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            if value:
                handler.send_header(name, value)
        handler.end_headers()
        if reply.status == 304:
            return
        sent = reply.body if reply.cut is None else reply.body[: reply.cut]
        if not reply.drip:
            handler.wfile.write(sent)
            return
        for byte in sent:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(reply.drip)
