"""The one doorway for all outgoing HTTP: pace, patience, limits, copies and discretion, so that no adapter forgets them.

The pace of a host and its last good answers are in the database, so they hold for all threads and processes. Not for use
within a transaction: a host's row would stay locked until its end.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import logging
import random
import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Literal, Protocol, TypeVar
from urllib.parse import quote, quote_plus

import httpx
from django.conf import settings
from django.db import connection
from django.utils import timezone

from audiobooks.exceptions import BadAnswer, Forbidden, HttpError, LeftAlone, ServiceError, Unreachable
from audiobooks.models.network import LONGEST_BLOCK, Host, HttpCopy, Turn
from audiobooks.transport import BROKEN, OUT_OF_TIME, Transport
from scheduling.redaction import BLANK, redact

logger = logging.getLogger(__name__)

T = TypeVar("T")

MOST_JSON_BYTES = 32 * 1024 * 1024
MOST_TEXT_BYTES = 8 * 1024 * 1024
MOST_JSON_DEPTH = 64
"""Lists and objects within each other; of those who go through an answer, some call themselves for each."""
NOTHING_IS_FRESH_FOR = timedelta(days=1)
"""At most: that a catalogue has no such book is sooner untrue than what it says of one."""
_MOST_REDIRECTS = 5
_SHOWN_CHARACTERS = 80
_QUEUE_PAUSE = 0.05
_MARGIN = 5.0
"""Seconds."""
_RENEWED_EVERY = 20.0
"""Seconds: how often a long transfer says that it still has its turn."""
_LEAST_FLOW = 4096
"""Bytes within `Patience.stall`, below which a transfer is a host's way to keep us."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast a host is asked, by all processes together. `every` is seconds between the starts of two requests."""

    every: float = 1.0
    at_once: int = 2


@dataclass(frozen=True, kw_only=True)
class Patience:
    """All times are seconds.

    connect, read: of one step; total: of one attempt, whatever it drips.
    attempts: of a GET; anything else has one.
    first_pause: before the second attempt, doubled before each further one, and shortened by a random part.
    busy_pause: the same after a 429 or 503 that does not say how long.
    longest_pause: what is waited for within a call; a longer Retry-After is raised.
    stall: of a stream, whose body has no total: without a byte, or with next to none.
    """

    connect: float = 10.0
    read: float = 30.0
    total: float = 60.0
    stall: float = 60.0
    attempts: int = 3
    first_pause: float = 1.0
    busy_pause: float = 5.0
    longest_pause: float = 30.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """`data` is the JSON, or the text where that was asked for. `as_of` is when the host gave or last confirmed it. `stale`: the host failed, this is a copy."""

    data: Any
    as_of: datetime
    stale: bool = False


@dataclass(frozen=True, kw_only=True)
class Download:
    """`type` is the content type as the host says it, in lower case without parameters; empty where it says none.

    location: where a redirect leads that was not followed, whatever its scheme. It and the body may hold secrets.
    """

    body: bytes = field(repr=False)
    type: str
    location: str = field(default="", repr=False)


class Stream:
    """An answer while its body comes. To go through it gives the chunks, once.

    Raises Unreachable where it breaks off or stalls.
    """

    def __init__(self, received: httpx.Response, request: _Request, turn: Turn, stall: float) -> None:
        self.status, self.headers = received.status_code, received.headers
        self.host = request.host
        self._received, self._request, self._stall = received, request, stall
        self._turn = Host.renewed(request.host, turn, lease=self._lease)

    @property
    def type(self) -> str:
        return _type_of(self.headers)

    def __iter__(self) -> Iterator[bytes]:
        assert isinstance(self._received.stream, httpx.SyncByteStream)
        chunks = iter(self._received.stream)
        renewed = began = time.monotonic()
        came = 0
        while True:
            # Of all that comes before the next bytes of the file, such as the endless size of a chunk.
            self._received.extensions["until"](time.monotonic() + self._stall)
            with _unreachable_where_it_breaks(self._request):
                chunk = next(chunks, None)
            if chunk is None:
                return
            now, came = time.monotonic(), came + len(chunk)
            if now - began > self._stall:
                if came < _LEAST_FLOW:
                    raise Unreachable(f"{self.host} sends so slowly that it would never end.")
                began, came = now, 0
            if now - renewed > _RENEWED_EVERY:
                with database():
                    self._turn = Host.renewed(self.host, self._turn, lease=self._lease)
                renewed = now
            yield chunk

    def release(self) -> None:
        Host.released(self.host, self._turn)

    @property
    def _lease(self) -> float:
        return self._stall + _RENEWED_EVERY + _MARGIN


class Cookies(Protocol):
    """Secret cookies that answers may change.

    It is called within a request's turn: where a host is asked by one at a time, no other process comes between. What it
    raises ends the request.
    """

    def to_send(self, url: str) -> Mapping[str, str]:
        """Names and values, which are sent as they are. Also before each further attempt."""

    def given(self, url: str, set_cookie: Sequence[str]) -> None:
        """The Set-Cookie headers of an answer, be it an error or a redirect, before anything else is done with it."""


class Doorway:
    """Shared freely between threads, and inherited across a fork: it holds no connection.

    Since this object or view was made: `covered` is the failure that a last good copy stood in for, `as_of` the time of
    the oldest answer, `reached` whether a host has answered.

    Every method raises:
        Forbidden: the address may not be asked.
        LeftAlone: the host asked for quiet, or failed too often.
        Unreachable, BadAnswer: no answer, or none that can be used.
        HttpError: an answer that is an error.
    """

    def __init__(
        self,
        *,
        patience: Patience | None = None,
        transport: httpx.BaseTransport | None = None,
        contact: str | None = None,
        pace: Pace | None = None,
    ) -> None:
        """`patience` and `transport` are for tests. `pace` is of requests that name none. `contact` goes into the User-Agent, the setting where it is None."""
        self.covered: ServiceError | None = None
        self.as_of: datetime | None = None
        self.reached = False
        self.well_until: dict[str, float] = {}
        """Service -> time.monotonic() until which nobody looks whether it is well; shared by all views."""
        self._patience = patience or Patience()
        self._pace = pace or Pace()
        self._transport = transport or Transport()
        contact = settings.CONTACT if contact is None else contact
        contact = "".join(each for each in contact if each.isascii() and each.isprintable())
        self._agent = f"AudiobookAutomation/{settings.VERSION}" + (f" (+{contact})" if contact else "")

    def view(self) -> Doorway:
        """The same doorway, to see what one question of many came to."""
        view = copy.copy(self)
        view.covered = view.as_of = None
        view.reached = False
        return view

    def get_json(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        secret_params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        secret_headers: Mapping[str, str] | None = None,
        cookies: Cookies | None = None,
        pace: Pace | None = None,
        redirects_to: Iterable[str] = (),
        follow: bool = True,
        fresh_for: timedelta | None = None,
        found: Callable[[Any], bool | None] | None = None,
        or_last_good: bool = False,
        final: Callable[[HttpError], bool] | None = None,
        heeds_busy: bool = False,
        most_bytes: int = MOST_JSON_BYTES,
    ) -> Answer:
        """Ask an address that a person configured, which may be private.

        secret_params, secret_headers: shown nowhere, no part of a copy's key, not carried to another host.
        cookies: asked for each request, with all redirects, so it says itself to which addresses they go.
        redirects_to: further hosts, with their subdomains, that a redirect may lead to.
        follow: whether a redirect is followed; else it is an HttpError.
        fresh_for: keep a copy, and use one that is no older without asking. None: no copy.
        found: True of an answer; False where it says "no such thing", which like a 404 is kept for less long; None where it
            is an error in disguise, which is given back but not kept.
        or_last_good: where the host fails, the copy is used, however old it is.
        final: tells an error that asking again does not change, although its status is 429 or 5xx.
        heeds_busy: whether a 429 is the end of the call at once, also one that does not say how long.
        """
        request = _Request(
            method="GET",
            url=_address(url, {**(params or {}), **(secret_params or {})}),
            headers=_headers({"Accept": "application/json", **(headers or {}), **(secret_headers or {})}),
            secrets=_values(secret_params, secret_headers),
            secret_names=frozenset(name.lower() for name in secret_headers or {}),
            cookies=cookies,
            pace=pace or self._pace,
            redirects_to=tuple(redirects_to),
            follow=follow,
            most_bytes=most_bytes,
            final=final,
            heeds_busy=heeds_busy,
        )
        shown = _address(url, params or {}) if secret_params else request.url
        return self._ask(request, shown, fresh_for, found, or_last_good)

    def get_text(
        self,
        url: str,
        *,
        accept: str,
        params: Mapping[str, str] | None = None,
        secret_params: Mapping[str, str] | None = None,
        cookies: Cookies | None = None,
        pace: Pace | None = None,
        follow: bool = True,
        fresh_for: timedelta | None = None,
        read: Callable[[str], Any] | None = None,
        found: Callable[[Any], bool | None] | None = None,
        or_last_good: bool = False,
        final: Callable[[HttpError], bool] | None = None,
        most_bytes: int = MOST_TEXT_BYTES,
    ) -> Answer:
        """get_json for what is text, such as XML: `data` is a str, also of an HttpError. `accept` is the type asked for.

        read: makes of the text what is given back and kept, as JSON has it; what it raises ends the call.
        A copy is kept without secret_params; what was just fetched may hold them, but not what `read` is given.
        """
        request = _Request(
            method="GET",
            url=_address(url, {**(params or {}), **(secret_params or {})}),
            headers=_headers({"Accept": accept}),
            secrets=_values(secret_params),
            cookies=cookies,
            pace=pace or Pace(),
            follow=follow,
            most_bytes=most_bytes,
            reads="text",
            read=read,
            final=final,
        )
        return self._ask(request, _address(url, params or {}), fresh_for, found, or_last_good)

    def post_json(
        self,
        url: str,
        *,
        data: Any,
        headers: Mapping[str, str] | None = None,
        secret_headers: Mapping[str, str] | None = None,
        cookies: Cookies | None = None,
        pace: Pace | None = None,
        fresh_for: timedelta | None = None,
        found: Callable[[Any], bool | None] | None = None,
        or_last_good: bool = False,
        most_bytes: int = MOST_JSON_BYTES,
    ) -> Answer:
        """Send `data` as JSON, once, and read JSON. A copy is for a POST that only asks, such as a GraphQL query.

        The other arguments are as for get_json.
        """
        sent = {"Accept": "application/json", "Content-Type": "application/json", **(headers or {})}
        request = _Request(
            method="POST",
            url=_address(url, {}),
            headers=_headers({**sent, **(secret_headers or {})}),
            content=json.dumps(data, sort_keys=True).encode(),
            secrets=_values(secret_headers),
            cookies=cookies,
            pace=pace or self._pace,
            most_bytes=most_bytes,
        )
        return self._ask(request, request.url, fresh_for, found, or_last_good)

    def download(
        self,
        url: str,
        *,
        most_bytes: int,
        trusted: bool = False,
        secret_headers: Mapping[str, str] | None = None,
        cookies: Cookies | None = None,
        secrets: Iterable[str] = (),
        pace: Pace | None = None,
        redirects_to: Iterable[str] = (),
        follow: bool = True,
        final: Callable[[HttpError], bool] | None = None,
        heeds_busy: bool = False,
    ) -> Download:
        """The bytes behind an address.

        trusted: a person configured it; any other came out of an answer, and must be public.
        secrets: parts of the address that are shown nowhere.
        follow: whether a redirect is followed; else it is given back as it is, with its `location`.
        """
        request = _Request(
            method="GET",
            url=_address(url, {}),
            headers=_headers({"Accept": "*/*", **(secret_headers or {})}),
            secrets=(*_values(secret_headers), *filter(str.strip, secrets)),
            secret_names=frozenset(name.lower() for name in secret_headers or {}),
            cookies=cookies,
            pace=pace or self._pace,
            redirects_to=tuple(redirects_to),
            follow=follow,
            most_bytes=most_bytes,
            public_only=not trusted,
            reads="bytes",
            final=final,
            heeds_busy=heeds_busy,
        )
        response = self._persist(request)
        location = response.headers.get("location", "") if response.is_redirect else ""
        return Download(body=response.body, type=_type_of(response.headers), location=location)

    def stream(
        self,
        url: str,
        receive: Callable[[Stream], T],
        *,
        headers: Callable[[], Mapping[str, str]],
        trusted: bool = False,
        pace: Pace | None = None,
        redirects_to: Iterable[str] = (),
    ) -> T:
        """What `receive` makes of an answer that may take hours: it is read as it comes, and only a stall ends it.

        Its host's turn is kept until its end. Where it breaks off, the host is asked again, with `headers` as they are then.
        trusted: as for download. What `receive` raises ends the call, but for an Unreachable.
        """
        request = _Request(
            method="GET",
            url=_address(url, {}),
            # What is packed on the way has other places than the file.
            headers={"Accept": "*/*", "Accept-Encoding": "identity"},
            headers_now=headers,
            pace=pace or self._pace,
            redirects_to=tuple(redirects_to),
            most_bytes=MOST_TEXT_BYTES,
            public_only=not trusted,
            reads="bytes",
            receive=receive,
        )
        made: T = self._persist(request).data
        return made

    def _ask(
        self,
        request: _Request,
        shown: httpx.URL,
        fresh_for: timedelta | None,
        found: Callable[[Any], bool | None] | None,
        or_last_good: bool,
    ) -> Answer:
        """One question: by a copy that is fresh, by the host, or by a copy that is all there is."""
        copies = None if fresh_for is None else _Copies(request, shown)
        found_copies = copies.find() if copies else []
        if found_copies and fresh_for is not None and found_copies[0].is_fresh(fresh_for):
            return self._told(found_copies[0].answer())
        kept = next((copy for copy in found_copies if copy.status == 200), None)
        conditions = kept.conditions() if kept else {}
        try:
            response = self._persist(
                replace(request, headers={**request.headers, **conditions}) if conditions else request
            )
            if response.status == 304:
                if copies and kept:
                    return self._told(copies.confirm(kept).answer())
                # Something between here and the host answered for a copy that we do not have.
                response = self._persist(replace(request, headers={**request.headers, "Cache-Control": "no-cache"}))
                if response.status == 304:
                    raise BadAnswer(f"{request.host} says “not modified” of something that was never fetched.")
        except ServiceError as error:
            if copies and isinstance(error, HttpError) and error.status == 404:
                # What was not read is not kept either.
                copies.keep(error.data if request.read is None else None, status=404, nothing=True)
            if not (kept and or_last_good and _is_failure(error, request)):
                raise
            logger.warning("%s Its answer of %s is used.", error, kept.checked_at)
            self.covered = error
            return self._told(kept.answer(stale=True))
        if request.read is not None:
            response = replace(response, data=request.read(_without(response.data, request.secrets)))
        now = timezone.now()
        verdict = True if found is None else found(response.data)
        if copies and verdict is not None:
            data = response.data
            if request.reads == "text" and request.read is None:
                data = _without(data, request.secrets)
            now = copies.keep(data, headers=response.headers, nothing=not verdict, kept=kept)
        return self._told(Answer(data=response.data, as_of=now))

    def _told(self, answer: Answer) -> Answer:
        self.as_of = answer.as_of if self.as_of is None else min(self.as_of, answer.as_of)
        return answer

    def _persist(self, request: _Request) -> _Response:
        """Attempts, until one succeeds or no further one is worth it."""
        attempts = self._patience.attempts if request.method == "GET" else 1
        failed: _Again | None = None
        for attempt in range(1, attempts + 1):
            try:
                return self._follow(request)
            except LeftAlone as left:
                if failed is None:
                    raise
                # What the host was left alone for says more.
                failed.error.retry_after = left.retry_after
                break
            except _Again as again:
                failed = again
                pause = self._pause(again, attempt)
                if request.heeds_busy and isinstance(again.error, HttpError) and again.error.status == 429:
                    break
                if attempt == attempts or pause is None:
                    break
                logger.debug("%s Once more in %.1f s.", again.error, pause)
                time.sleep(pause)
        assert failed is not None
        raise failed.error from None

    def _pause(self, again: _Again, attempt: int) -> float | None:
        """Seconds before the next attempt; None where the host asks for more than is waited for."""
        longest = self._patience.longest_pause
        if again.error.retry_after is not None:
            asked = again.error.retry_after.total_seconds()
            return None if asked > longest else asked + random.uniform(0, 0.1)
        first = self._patience.busy_pause if again.busy else self._patience.first_pause
        return float(min(first * 2 ** (attempt - 1), longest) * random.uniform(0.5, 1.0))

    def _follow(self, first: _Request) -> _Response:
        """One attempt, through its redirects."""
        if first.headers_now is not None:
            first = replace(first, headers=_headers({**first.headers, **first.headers_now()}))
        request = first
        for _ in range(_MOST_REDIRECTS + 1):
            response = self._exchange(request)
            if not response.is_redirect or (request.reads == "bytes" and not request.follow):
                return response
            request = _redirected(first, request, response)
        raise HttpError(f"{first.host} redirects without end.", status=response.status, permanent=True)

    def _exchange(self, request: _Request) -> _Response:
        """One request and its answer, at the host's pace; the host's row learns how it went."""
        turn = self._take_turn(request)
        answered = False
        failure: ServiceError | None = None
        pause: timedelta | None = None
        try:
            request = _with_cookies(request)
            response = self._transfer(request, turn)
            answered = self.reached = True
            pause = response.nothing_left_for
            error = _error_of(response, request)
            if error is not None and _is_failure(error, request):
                failure, busy = error, response.status in (429, 503)
                if busy:
                    pause = error.retry_after or timedelta(seconds=self._patience.busy_pause)
                raise _Again(error, busy=busy)
            if error is not None:
                raise error
            return response
        except Unreachable as error:
            failure = error
            if error.permanent:
                raise
            raise _Again(error) from None
        except BadAnswer as error:
            failure = error
            raise
        finally:
            with database():
                if failure is not None:
                    Host.failed(request.host, turn, str(failure), leave_alone=pause)
                elif answered:
                    Host.succeeded(request.host, turn, leave_alone=pause)
                else:
                    Host.released(request.host, turn)

    def _take_turn(self, request: _Request) -> Turn:
        patience, pace = self._patience, request.pace
        began = time.monotonic()
        # The longest that a request can take, and what its host's row needs besides.
        lease = patience.total + pace.every * pace.at_once + _MARGIN
        while True:
            with database():
                turn = Host.objects.reserve(request.host, every=pace.every, at_once=pace.at_once, lease=lease)
                blocked = Host.blocked_for(request.host) if turn is None else None
            if turn is not None:
                if turn.wait:
                    time.sleep(turn.wait)
                return turn
            waited = time.monotonic() - began
            if blocked is not None and blocked.total_seconds() > patience.longest_pause - waited:
                with database():
                    why = Host.objects.filter(host=request.host).values_list("last_error", flat=True).first()
                message = (
                    f"{request.host} is left alone for {_in_words(blocked)}: it asked for that, or failed too often."
                )
                message += f" {why}" if why else ""
                raise LeftAlone(message, retry_after=blocked)
            # As long as it takes until the requests of a process that was killed are forgotten.
            if waited > lease:
                message = f"{request.host} has more requests waiting than it takes."
                raise LeftAlone(message, retry_after=timedelta(seconds=patience.longest_pause))
            # A short block is the pause that another request makes as well.
            time.sleep(blocked.total_seconds() if blocked else _QUEUE_PAUSE * random.uniform(0.5, 1.5))

    def _transfer(self, request: _Request, turn: Turn) -> _Response:
        patience, started = self._patience, time.monotonic()
        read = patience.read if request.receive is None else patience.stall
        timeout = {"connect": patience.connect, "read": read, "write": patience.read, "pool": None}
        deadline = started + patience.total
        sent = httpx.Request(
            request.method,
            request.url,
            headers={
                "Accept-Encoding": "gzip",
                "User-Agent": self._agent,
                "Connection": "close",
                **request.headers,
            },
            content=request.content,
            extensions={
                "timeout": timeout,
                "deadline": deadline,
                "public_only": request.public_only,
            },
        )
        with _unreachable_where_it_breaks(request):
            received = self._transport.handle_request(sent)
        made: Any = None
        try:
            # Its errors are no failure of the host, even those of a file that cannot be written.
            if request.cookies is not None:
                request.cookies.given(str(request.url), received.headers.get_list("set-cookie"))
            if request.receive is not None and 200 <= received.status_code < 300:
                body, made = b"", _received(received, request, turn, patience.stall)
            else:
                with _unreachable_where_it_breaks(request):
                    body = _read(received, request, deadline)
        finally:
            with _unreachable_where_it_breaks(request):
                received.close()
        response = _Response(status=received.status_code, headers=received.headers, body=body, data=made)
        if logger.isEnabledFor(logging.DEBUG):
            where = clean(request.url.path, request.secrets)
            took = time.monotonic() - started
            logger.debug("%s %s%s: %s in %.2f s.", request.method, request.host, where, response.status, took)
        if 200 <= response.status < 300 and request.reads != "bytes":
            data = _json(response, request) if request.reads == "json" else _text(response)
            response = replace(response, data=data)
        return response


@dataclass(frozen=True, kw_only=True)
class _Request:
    method: str
    url: httpx.URL
    headers: Mapping[str, str]
    content: bytes | None = None
    secrets: tuple[str, ...] = ()
    secret_names: frozenset[str] = frozenset()
    """Of headers, in lower case."""
    cookies: Cookies | None = None
    pace: Pace
    redirects_to: tuple[str, ...] = ()
    follow: bool = True
    most_bytes: int
    public_only: bool = False
    reads: Literal["json", "text", "bytes"] = "json"
    read: Callable[[str], Any] | None = None
    """Of a text."""
    receive: Callable[[Stream], Any] | None = None
    """Of the body of a success, in place of all of it at once."""
    headers_now: Callable[[], Mapping[str, str]] | None = None
    """What is sent besides, anew for each attempt."""
    final: Callable[[HttpError], bool] | None = None
    heeds_busy: bool = False

    @property
    def host(self) -> str:
        return _host(self.url)


@dataclass(frozen=True, kw_only=True)
class _Response:
    status: int
    headers: httpx.Headers
    body: bytes
    data: Any = field(default=None)

    @property
    def is_redirect(self) -> bool:
        return self.status in (301, 302, 303, 307, 308)

    @property
    def nothing_left_for(self) -> timedelta | None:
        """How long no request is left, from a header like `RateLimit: "daily";r=0;t=3600`
        (https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/)."""
        waits = [int(t) for t in re.findall(r";\s*r=0\s*;\s*t=(\d{1,8})", self.headers.get("ratelimit", ""))]
        return timedelta(seconds=max(waits)) if waits else None

    @property
    def retry_after(self) -> timedelta | None:
        value = self.headers.get("retry-after", "").strip()
        asked = self.nothing_left_for
        if value.isascii() and value.isdigit():
            asked = timedelta(seconds=min(int(value[:12]), 10**9))
        else:
            with contextlib.suppress(ValueError, TypeError, OverflowError):
                moment = parsedate_to_datetime(value)
                moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
                asked = max(moment - timezone.now(), timedelta(0))
        return None if asked is None else min(asked, LONGEST_BLOCK)


class _Again(Exception):
    """An attempt that failed in a way that another may not."""

    def __init__(self, error: ServiceError, *, busy: bool = False) -> None:
        super().__init__(str(error))
        self.error, self.busy = error, busy


def _is_failure(error: ServiceError, request: _Request) -> bool:
    """Whether the host failed, so that a copy may stand in; a refusal is an answer."""
    if isinstance(error, HttpError):
        told = error.status in (408, 429) or error.status >= 500
        return told and not (request.final is not None and request.final(error))
    return not error.permanent


class _Copies:
    """The last good answer to one request, as the database keeps it, and beside it that there was nothing since (404)."""

    def __init__(self, request: _Request, url: httpx.URL) -> None:
        self._url = clean(str(url), request.secrets)
        parts = [request.method.encode(), str(url).encode(), request.content or b""]
        # The JSON of an address, its text, and what was read in that are copies of their own.
        if request.reads == "text":
            parts.append(b"text" if request.read is None else b"read")
        self._key = hashlib.sha256(b"\0".join(parts)).hexdigest()
        self._key_of_nothing = hashlib.sha256(f"{self._key} 404".encode()).hexdigest()
        self._was_nothing = False

    def find(self) -> list[_Copy]:
        """The newest first."""
        with database():
            rows = HttpCopy.objects.of(self._key, self._key_of_nothing)
        self._was_nothing = any(row.key == self._key_of_nothing for row in rows)
        contents = [(row, row.content()) for row in rows]
        return [_Copy(row, content) for row, content in contents if content is not None]

    def keep(
        self,
        data: Any,
        *,
        headers: httpx.Headers | None = None,
        status: int = 200,
        nothing: bool = False,
        kept: _Copy | None = None,
    ) -> datetime:
        """Returns when it was fetched. kept: the copy of before, whose body is not written again where it is the same."""
        now = timezone.now()
        headers = headers or httpx.Headers()
        etag, modified = headers.get("etag", ""), headers.get("last-modified", "")
        told: dict[str, Any] = {
            "etag": etag if len(etag) <= 255 else "",
            "last_modified": modified if len(modified) <= 64 else "",
            "nothing": nothing,
        }
        content = json.dumps(data).encode()
        with database():
            if not (kept and kept.content == content and kept.confirm(now, **told)):
                HttpCopy.objects.keep(
                    self._key if status == 200 else self._key_of_nothing,
                    self._url[:1024],
                    now=now,
                    status=status,
                    body=zlib.compress(content),
                    **told,
                )
            if status == 200:
                self._is_there()
        return now

    def confirm(self, copy: _Copy) -> _Copy:
        """Where the host said that it still holds."""
        with database():
            copy.confirm(timezone.now())
            self._is_there()
        return copy

    def _is_there(self) -> None:
        """That it was not is over, also where its time is later, by a clock that has since been set back."""
        if self._was_nothing:
            HttpCopy.objects.filter(key=self._key_of_nothing).delete()


class _Copy:
    """`content` is the JSON as it is kept."""

    def __init__(self, row: HttpCopy, content: bytes) -> None:
        self._row, self.content = row, content
        self.status, self.checked_at = row.status, row.checked_at

    def is_fresh(self, fresh_for: timedelta) -> bool:
        if self._row.nothing:
            fresh_for = min(fresh_for, NOTHING_IS_FRESH_FOR)
        # One from the future was written by a clock that has since been set back.
        return timedelta(0) <= timezone.now() - self.checked_at < fresh_for

    def conditions(self) -> dict[str, str]:
        found = {"If-None-Match": self._row.etag, "If-Modified-Since": self._row.last_modified}
        return {name: value for name, value in found.items() if value} if self.status == 200 else {}

    def confirm(self, now: datetime, **told: Any) -> bool:
        """False where another process has written or confirmed it meanwhile, or it is gone."""
        self.checked_at = now
        return HttpCopy.objects.confirm(self._row, now, **told)

    def answer(self, *, stale: bool = False) -> Answer:
        data = json.loads(self.content)
        if self.status == 404:
            raise HttpError(f"{self._row.url} was not there at the last look.", status=404, data=data)
        return Answer(data=data, as_of=self.checked_at, stale=stale)


def _address(url: str, params: Mapping[str, str]) -> httpx.URL:
    """Raises Forbidden where it is none that can be asked."""
    try:
        # Reading an address takes long, so it is read once where that is enough.
        address = httpx.URL(url, params=params) if params and "?" not in url else httpx.URL(url)
        usable = address.scheme in ("http", "https") and bool(_host(address)) and not address.userinfo
        address = address.copy_merge_params(params) if params and "?" in url else address
    except (httpx.InvalidURL, UnicodeError, ValueError, TypeError):
        usable = False
    if not usable:
        raise Forbidden(f"“{clean(str(url)[:200])}” is no address of http or https.", permanent=True)
    return address.copy_with(fragment=None) if address.fragment else address


def _host(url: httpx.URL) -> str:
    return url.netloc.decode("ascii").lower()


def _headers(given: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in given.items():
        if not (value.isascii() and value.isprintable()):
            raise Forbidden(f"What is to be sent as {name} holds characters that cannot be sent.", permanent=True)
    return given


def _with_cookies(request: _Request) -> _Request:
    found = request.cookies.to_send(str(request.url)) if request.cookies is not None else {}
    if not found:
        return request
    header = _headers({"Cookie": "; ".join(f"{name}={value}" for name, value in found.items())})
    return replace(
        request, headers={**request.headers, **header}, secrets=(*request.secrets, *filter(str.strip, found.values()))
    )


def _values(*given: Mapping[str, str] | None) -> tuple[str, ...]:
    """Also the part behind the scheme of an Authorization."""
    whole = [value for each in given if each for value in each.values() if value.strip()]
    return tuple(dict.fromkeys(form for value in whole for form in (value, value.split()[-1])))


def _redirected(first: _Request, request: _Request, response: _Response) -> _Request:
    """The request that a redirect asks for.

    A host that a person configured may be private, so it may also send us elsewhere on itself; nobody else may.
    """
    location = response.headers.get("location", "")
    if first.method != "GET" or not first.follow or not location:
        message = f"{request.host} sends a {first.method} elsewhere. Give the address that it means, if you know it."
        text = clean(location, request.secrets)
        raise HttpError(message, status=response.status, permanent=True, text=text)
    try:
        url = _address(str(request.url.join(location)), {})
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise Forbidden(f"{request.host} redirects to something that is no address.", permanent=True) from None
    upward = (first.url.scheme, url.scheme) == ("http", "https")
    at_home = url.host == first.url.host and (upward or (url.scheme, url.port) == (first.url.scheme, first.url.port))
    named = any(url.host == name or url.host.endswith(f".{name}") for name in first.redirects_to)
    downward = (request.url.scheme, url.scheme) == ("https", "http")
    if downward or not (at_home or named):
        raise Forbidden(f"{first.host} redirects to {_host(url)}, which nobody has allowed.", permanent=True)
    private = frozenset() if at_home else first.secret_names | {"authorization", "cookie"}
    return replace(
        first,
        url=url,
        headers={name: value for name, value in first.headers.items() if name.lower() not in private},
        public_only=first.public_only or not at_home,
    )


@contextlib.contextmanager
def _unreachable_where_it_breaks(request: _Request) -> Iterator[None]:
    try:
        yield
    except OUT_OF_TIME:
        raise Unreachable(f"{request.host} did not answer in time.") from None
    except BROKEN as error:
        raise _unreachable(error, request) from None


def _unreachable(error: Exception, request: _Request) -> Unreachable:
    said = clean(str(error), request.secrets)
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return Unreachable(f"{request.host} shows no certificate that can be trusted: {said}.", permanent=True)
    return Unreachable(f"{request.host} could not be reached: {said or type(error).__name__}.")


def _received(received: httpx.Response, request: _Request, turn: Turn, stall: float) -> Any:
    assert request.receive is not None
    if received.headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
        raise BadAnswer(f"{request.host} answered in a packing that was not asked for.")
    with database():
        stream = Stream(received, request, turn, stall)
    try:
        return request.receive(stream)
    finally:
        with database():
            stream.release()


def _type_of(headers: httpx.Headers) -> str:
    return str(headers.get("content-type", "")).partition(";")[0].strip().lower()


def _read(received: httpx.Response, request: _Request, deadline: float) -> bytes:
    """The body, unpacked, never more than `most_bytes` of it in memory."""
    packing = received.headers.get("content-encoding", "").strip().lower()
    if packing not in ("", "identity", "gzip", "x-gzip"):
        raise BadAnswer(f"{request.host} answered in a packing that was not asked for.")
    unpacker = zlib.decompressobj(wbits=31) if "gzip" in packing else None
    body = bytearray()
    assert isinstance(received.stream, httpx.SyncByteStream)
    for chunk in received.stream:
        if time.monotonic() > deadline:
            raise Unreachable(f"{request.host} did not answer in time.")
        room = request.most_bytes + 1 - len(body)
        try:
            body += chunk[:room] if unpacker is None else unpacker.decompress(chunk, room)
        except zlib.error:
            raise Unreachable(f"{request.host} sent an answer that cannot be unpacked.") from None
        if len(body) > request.most_bytes:
            raise BadAnswer(f"{request.host} sent more than {request.most_bytes:,} bytes.")
        if unpacker is not None and unpacker.eof:
            # What comes behind the end would gather in the unpacker, however much it is.
            break
    if unpacker is not None and not unpacker.eof and received.status_code != 304:
        raise Unreachable(f"{request.host} broke off in the middle of its answer.")
    return bytes(body)


def _text(response: _Response) -> str:
    """JSON is UTF-8; some say that theirs is something else, and mean it."""
    try:
        return response.body.decode("utf-8-sig")
    except UnicodeDecodeError:
        declared = re.search(r"charset=[\"']?([\w-]+)", response.headers.get("content-type", ""))
        if declared is None and response.body.startswith(b"<?xml"):
            declared = re.search(r"encoding=[\"']([\w-]+)", response.body[:200].decode("latin-1"))
        with contextlib.suppress(LookupError, UnicodeDecodeError):
            return response.body.decode(declared[1] if declared else "utf-16")
        return response.body.decode("utf-8", "replace")


def _json(response: _Response, request: _Request) -> Any:
    try:
        return _loads(_text(response))
    except RecursionError:
        wrong = "JSON that is nested too deeply"
    except ValueError:
        wrong = "something that is not JSON"
    message = f"{request.host} answered with {wrong}: {_beginning(response, request)}."
    raise BadAnswer(message, text=_shown(response, request))


def _loads(text: str) -> Any:
    """NaN and Infinity, which JSON does not have, are unknown.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is deeper than MOST_JSON_DEPTH.
    """
    data = json.loads(text, parse_constant=lambda _: None)
    if _is_deeper(data, MOST_JSON_DEPTH):
        # As json itself does of what is too deep for it.
        raise RecursionError(f"JSON of more than {MOST_JSON_DEPTH} levels")
    return data


def _is_deeper(data: Any, most: int) -> bool:
    # Level by level, for this may not call itself. Its cost is that of each answer: isinstance would double it.
    level = [data] if type(data) in (dict, list) else []
    for _ in range(most):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return False
    return True


def _error_of(response: _Response, request: _Request) -> HttpError | None:
    if response.status < 400:
        return None
    try:
        # Adapters quote from it.
        data = _without(_text(response), request.secrets)
        data = data if request.reads == "text" else _loads(data)
    except (ValueError, RecursionError):
        data = None
    return HttpError(
        f"{request.host} answered with HTTP {response.status}: {_beginning(response, request)}.",
        status=response.status,
        data=data,
        permanent=response.status in (401, 403),
        retry_after=response.retry_after,
        text=_shown(response, request),
    )


def _shown(response: _Response, request: _Request) -> str:
    if re.match(rb"\s*d\d+:", response.body):
        return "a torrent file"  # Its first line has the passkey.
    return clean(_text(response)[: _SHOWN_CHARACTERS * 50], request.secrets)


def _beginning(response: _Response, request: _Request) -> str:
    text = _shown(response, request)
    text = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return f"“{text[:_SHOWN_CHARACTERS]}”" if text else "nothing at all"


def clean(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without `secrets`, and without what `redact` knows."""
    return redact(_without(text, secrets))


def _without(text: str, secrets: Iterable[str]) -> str:
    """In whatever form they stand in an address."""
    for secret in sorted(secrets, key=len, reverse=True):
        for form in {secret, quote(secret), quote(secret, safe=""), quote_plus(secret)}:
            text = text.replace(form, BLANK)
    return text


def _in_words(duration: timedelta) -> str:
    seconds = max(1, round(duration.total_seconds()))
    return f"{seconds} s" if seconds < 120 else f"{round(seconds / 60)} min"


@contextlib.contextmanager
def database() -> Iterator[None]:
    """A thread's connection is closed by who opened it: Django would keep it until the thread is gone."""
    opened = connection.connection is None
    try:
        yield
    finally:
        if opened:
            connection.close()
