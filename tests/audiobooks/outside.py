"""An HTTP server on loopback that answers as it is told: what the outside does, and what reached it."""

from __future__ import annotations

import json
import math
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
    """`replies` of a path are given in turn, the last for ever; a path without any is answered by `otherwise`.

    takes: seconds per answer. most_at_once: requests that were under way together.
    quiet_until: of time.monotonic(); quiet_broken: requests that came before, although quiet was asked for.
    """

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.connections = 0
        self.takes = self.quiet_until = 0.0
        self.most_at_once = self.quiet_broken = 0
        self._under_way = self._quiet = 0
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

    @property
    def gaps(self) -> list[float]:
        """Seconds between the arrivals of requests."""
        times = sorted(seen.at for seen in self.seen)
        return [later - earlier for earlier, later in zip(times, times[1:], strict=False)]

    def throttle(self, seconds: int) -> None:
        """Answers the next request with 429 and Retry-After, and from then on, for so long, all others too."""
        self._quiet = seconds

    def _throttled(self) -> Reply | None:
        now = time.monotonic()
        if self._quiet:
            self.quiet_until, self._quiet = now + self._quiet, 0
        elif now < self.quiet_until:
            self.quiet_broken += 1
        # A sum of floats is not quite what was added.
        left = math.ceil(round(self.quiet_until - now, 3))
        return Reply(429, b"Too Many Requests", {"Retry-After": str(left)}) if left > 0 else None

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        headers = {name.lower(): value for name, value in handler.headers.items()}
        seen = Seen(handler.command, parts.path, query, headers, body, time.monotonic())
        with self._lock:
            self.seen.append(seen)
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            time.sleep(self.takes)
            reply = self._reply(seen)
            time.sleep(reply.delay)
        finally:
            with self._lock:
                self._under_way -= 1
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

    def _reply(self, seen: Seen) -> Reply:
        with self._lock:
            reply = self._throttled()
            if reply is None and (replies := self.replies.get(seen.path)):
                reply = replies.pop(0) if len(replies) > 1 else replies[0]
        return self.otherwise(seen) if reply is None else reply
