"""Files of the outside, against a server that breaks off, lies and changes its mind, and processes that are killed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pytest
from django.utils import timezone
from hypothesis import example, given
from hypothesis import strategies as st

from audiobooks import downloading
from audiobooks import http as doorway
from audiobooks.clients import over_http
from audiobooks.downloading import LONGEST_NAME, download
from audiobooks.exceptions import (
    BadAnswer,
    ClientError,
    Forbidden,
    Gone,
    HttpError,
    LeftAlone,
    ServiceError,
    Unreachable,
)
from audiobooks.http import Doorway, Pace, Patience
from audiobooks.models import Host
from audiobooks.sources.base import RemoteFile
from audiobooks.sources.librivox import LibriVox
from tests.audiobooks.outside import Outside, Reply, Seen
from tests.fakes.librivox import FakeLibriVox, item_files, project

ROOT = Path(__file__).resolve().parents[2]
FAST = Pace(every=0.0, at_once=1)
QUICK = Patience(connect=30, read=30, total=60, stall=30, first_pause=0.01, busy_pause=0.02, longest_pause=0.5)
ONCE = replace(QUICK, attempts=1)
DATA = b"ID3" + bytes(range(256)) * 400
ETAG, MODIFIED = '"one"', "Tue, 03 Feb 2026 17:40:21 GMT"

pytestmark = pytest.mark.django_db


@dataclass
class Hosted:
    """A file as a good server gives it, with ranges. `faults` are in place of the next answers; None is none."""

    data: bytes = DATA
    headers: dict[str, str] = field(
        default_factory=lambda: {"Content-Type": "audio/mpeg", "ETag": ETAG, "Last-Modified": MODIFIED}
    )
    faults: list[Reply | Callable[[Seen, Reply], Reply] | None] = field(default_factory=list)

    def __call__(self, seen: Seen) -> Reply:
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, Reply):
            return fault
        reply = self._reply(seen)
        return reply if fault is None else fault(seen, reply)

    def _reply(self, seen: Seen) -> Reply:
        asked = re.fullmatch(r"bytes=(\d+)-", seen.headers.get("range", ""))
        condition = seen.headers.get("if-range")
        if asked is None or condition not in (None, self.headers.get("ETag"), self.headers.get("Last-Modified")):
            return Reply(200, self.data, self.headers)
        begins, size = int(asked[1]), len(self.data)
        if begins >= size:
            return Reply(416, b"", {"Content-Range": f"bytes */{size}"})
        headers = {**self.headers, "Content-Range": f"bytes {begins}-{size - 1}/{size}"}
        return Reply(206, self.data[begins:], headers)


def cut(at: int) -> Callable[[Seen, Reply], Reply]:
    return lambda seen, reply: replace(reply, cut=at)


def told(**headers: str) -> Callable[[Seen, Reply], Reply]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda seen, reply: replace(reply, headers={**reply.headers, **named})


class Setting(NamedTuple):
    outside: Outside
    hosted: Hosted
    file: RemoteFile
    target: Path


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Setting]:
    with Outside() as outside:
        hosted = Hosted()
        outside.otherwise = hosted
        yield Setting(outside, hosted, remote(outside), tmp_path / "a book" / "one.mp3")


@pytest.fixture
def http() -> Doorway:
    return Doorway(patience=QUICK, contact="")


@pytest.fixture
def once() -> Doorway:
    return Doorway(patience=ONCE, contact="")


def remote(outside: Outside, data: bytes = DATA, name: str = "one.mp3", **changed: Any) -> RemoteFile:
    file = RemoteFile(
        name=name,
        url=f"{outside.url}/{name}",
        size=len(data),
        md5=hashlib.md5(data).hexdigest(),
        sha1=hashlib.sha1(data).hexdigest(),
    )
    return replace(file, **changed)


def get(http: Doorway, file: RemoteFile, target: Path, **options: Any) -> bool:
    return download(http, file, target, trusted=True, pace=FAST, **options)


def part_of(target: Path) -> bytes:
    return target.with_name(f"{target.name}.part").read_bytes()


def ranges(outside: Outside) -> list[str]:
    return [seen.headers.get("range", "") for seen in outside.seen]


def is_alone(target: Path) -> bool:
    return [each.name for each in target.parent.iterdir()] == [target.name]


# -- it comes


def test_a_file_comes_whole(it: Setting, http: Doorway) -> None:
    had: list[int] = []
    assert get(http, it.file, it.target, progress=had.append)
    assert it.target.read_bytes() == DATA and is_alone(it.target)
    assert had == sorted(had) and had[-1] == len(DATA)
    [seen] = it.outside.seen
    assert seen.headers["accept-encoding"] == "identity" and "range" not in seen.headers
    host = Host.objects.get()
    assert host.turns == [] and host.consecutive_failures == 0 and host.last_success


@pytest.mark.parametrize("unknown", [{"sha1": ""}, {"md5": ""}, {"size": None}, {"size": None, "md5": "", "sha1": ""}])
def test_what_is_known_of_it_is_enough(it: Setting, http: Doorway, unknown: dict[str, Any]) -> None:
    it.hosted.faults = [cut(5000), None]
    assert get(http, replace(it.file, **unknown), it.target)
    assert it.target.read_bytes() == DATA and ranges(it.outside) == ["", "bytes=5000-"]


def test_an_empty_file(it: Setting, http: Doorway) -> None:
    it.hosted.data = b""
    assert get(http, remote(it.outside, b"", size=None), it.target)
    assert it.target.read_bytes() == b"" and is_alone(it.target)


def test_without_a_length(it: Setting, http: Doorway) -> None:
    it.hosted.headers["Content-Length"] = ""
    assert get(http, replace(it.file, size=None), it.target)
    assert it.target.read_bytes() == DATA


# -- it goes on


def test_it_goes_on_where_it_broke_off(it: Setting, http: Doorway) -> None:
    it.hosted.faults = [cut(30_000), cut(20_000), None]
    assert get(http, it.file, it.target)
    assert it.target.read_bytes() == DATA and is_alone(it.target)
    # What is asked for is what is missing now, not what was missing before.
    assert ranges(it.outside) == ["", "bytes=30000-", "bytes=50000-"]
    assert [seen.headers.get("if-range") for seen in it.outside.seen] == [None, ETAG, ETAG]


def test_it_goes_on_in_another_run(it: Setting, once: Doorway) -> None:
    it.hosted.faults = [cut(30_000), cut(20_000), None]
    for _ in range(2):
        with pytest.raises(Unreachable):
            get(once, it.file, it.target)
        assert not it.target.exists()
    assert part_of(it.target) == DATA[:50_000]
    assert get(once, it.file, it.target)
    assert it.target.read_bytes() == DATA and ranges(it.outside)[-1] == "bytes=50000-"


@pytest.mark.parametrize(
    ("headers", "condition"),
    [
        ({"ETag": 'W/"one"', "Last-Modified": MODIFIED}, MODIFIED),
        ({"Last-Modified": MODIFIED}, MODIFIED),
        ({"ETag": "one", "Last-Modified": MODIFIED}, MODIFIED),
        ({}, None),
        ({"ETag": 'W/"one"'}, None),
    ],
)
def test_by_what_a_rest_is_asked_for(
    it: Setting, http: Doorway, headers: dict[str, str], condition: str | None
) -> None:
    """Where nothing says that it is still the same, it is all asked for again."""
    it.hosted.headers = headers
    it.hosted.faults = [cut(30_000), None]
    assert get(http, it.file, it.target)
    second = it.outside.seen[1].headers
    assert second.get("if-range") == condition and ("range" in second) == (condition is not None)
    assert it.target.read_bytes() == DATA


@pytest.mark.parametrize(
    "fault",
    [
        told(Content_Range="bytes 0-102402/102403"),
        told(Content_Range="bytes 29999-102402/102403"),
        told(Content_Range="bytes 30001-102402/102403"),
        told(Content_Range=""),
        told(Content_Range="chunks 30000-102402/102403"),
        told(Content_Range="", Content_Type="multipart/byteranges; boundary=x"),
        told(ETag='"two"'),
    ],
    ids=["all", "one before", "one behind", "none", "odd", "multipart", "etag"],
)
def test_another_part_than_was_asked_for(it: Setting, http: Doorway, fault: Callable[[Seen, Reply], Reply]) -> None:
    it.hosted.faults = [cut(30_000), fault, None]
    # Without a checksum nothing else would see it.
    assert get(http, replace(it.file, md5="", sha1=""), it.target)
    assert it.target.read_bytes() == DATA and ranges(it.outside) == ["", "bytes=30000-", ""]


def test_all_of_it_in_place_of_the_rest(it: Setting, http: Doorway) -> None:
    it.hosted.faults = [cut(30_000), Reply(200, DATA, it.hosted.headers)]
    assert get(http, it.file, it.target)
    assert it.target.read_bytes() == DATA and len(it.outside.seen) == 2


def test_the_file_changed_meanwhile(it: Setting, once: Doorway) -> None:
    new = DATA[::-1].replace(b"3DI", b"", 1)
    new = b"ID3" + new
    it.hosted.faults = [cut(30_000)]
    unknown = replace(it.file, size=None, md5="", sha1="")
    with pytest.raises(Unreachable):
        get(once, unknown, it.target)
    it.hosted.data, it.hosted.headers = new, {"ETag": '"two"'}
    assert get(once, unknown, it.target)
    assert it.target.read_bytes() == new and it.outside.seen[-1].headers["if-range"] == ETAG


def test_another_file_is_wanted_by_now(it: Setting, once: Doorway) -> None:
    it.hosted.faults = [cut(30_000)]
    with pytest.raises(Unreachable):
        get(once, it.file, it.target)
    it.hosted.data = b"ID3" + b"x" * 90_000
    assert get(once, remote(it.outside, it.hosted.data), it.target)
    assert it.target.read_bytes() == it.hosted.data and ranges(it.outside) == ["", ""]


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b"[" * 100_000, b"\xff", b'{"of": 1}'])
def test_a_part_that_nothing_is_known_of(it: Setting, http: Doorway, note: bytes) -> None:
    it.target.parent.mkdir()
    it.target.with_name("one.mp3.part").write_bytes(b"x" * 500)
    it.target.with_name("one.mp3.part.json").write_bytes(note)
    assert get(http, it.file, it.target)
    assert it.target.read_bytes() == DATA and ranges(it.outside) == [""] and is_alone(it.target)


def keep_part(it: Setting, file: RemoteFile, data: bytes, total: int | None = None) -> None:
    """As a process leaves it that is killed."""
    it.target.parent.mkdir(exist_ok=True)
    it.target.with_name("one.mp3.part").write_bytes(data)
    note = {"of": vars(file), "validator": ETAG, "total": total if total is not None else file.size}
    it.target.with_name("one.mp3.part.json").write_text(json.dumps(note))


def test_killed_before_the_rename(it: Setting, http: Doorway) -> None:
    keep_part(it, it.file, DATA)
    assert get(http, it.file, it.target)
    assert it.target.read_bytes() == DATA and not it.outside.seen and is_alone(it.target)


def test_no_such_rest_of_a_file_that_is_whole(it: Setting, http: Doorway) -> None:
    """Its size was never told, so that only the host knows that there is no more."""
    file = replace(it.file, size=None)
    keep_part(it, file, DATA)
    assert get(http, file, it.target)
    assert it.target.read_bytes() == DATA and ranges(it.outside) == [f"bytes={len(DATA)}-"]


@pytest.mark.parametrize("checksum", [{}, {"md5": "", "sha1": ""}])
def test_no_such_rest_of_another_file(it: Setting, http: Doorway, checksum: dict[str, str]) -> None:
    file = replace(it.file, size=None, **checksum)
    keep_part(it, file, b"ID3" + b"x" * len(DATA))
    assert get(http, file, it.target)
    assert it.target.read_bytes() == DATA and ranges(it.outside) == [f"bytes={len(DATA) + 3}-", ""]


def test_a_host_that_never_has_a_rest(it: Setting, http: Doorway) -> None:
    it.hosted.faults = [cut(30_000), Reply(416, b""), Reply(416, b"")]
    with pytest.raises(HttpError) as caught:
        get(http, it.file, it.target)
    assert caught.value.status == 416 and len(it.outside.seen) == 3


# -- it is not what it should be


@pytest.mark.parametrize("size", [{}, {"size": None}])
def test_a_short_file(it: Setting, once: Doorway, size: dict[str, Any]) -> None:
    """Without a length nobody sees that it is short, but for its size and its checksum."""
    headers = {**it.hosted.headers, "Content-Length": ""}
    it.hosted.faults = [Reply(200, DATA[:40_000], headers)] * 2
    with pytest.raises((Unreachable, ClientError)) as caught:
        get(once, replace(it.file, **size), it.target)
    assert not it.target.exists()
    assert caught.value.permanent is bool(size)


def test_a_wrong_checksum_once(it: Setting, http: Doorway) -> None:
    it.hosted.faults = [Reply(200, DATA[:-1] + b"x", it.hosted.headers)]
    assert get(http, it.file, it.target)
    assert it.target.read_bytes() == DATA and ranges(it.outside) == ["", ""]


@pytest.mark.parametrize("unknown", [{"sha1": ""}, {"md5": ""}])
def test_a_wrong_checksum_twice(it: Setting, http: Doorway, unknown: dict[str, str]) -> None:
    it.hosted.data = DATA[:-1] + b"x"
    with pytest.raises(ClientError, match="twice") as caught:
        get(http, replace(it.file, **unknown), it.target)
    assert caught.value.permanent and len(it.outside.seen) == 2 and not it.target.exists()


def test_what_was_damaged_in_the_part_is_seen(it: Setting, http: Doorway) -> None:
    keep_part(it, it.file, b"x" + DATA[1:50_000])
    assert get(http, it.file, it.target)
    assert it.target.read_bytes() == DATA and ranges(it.outside) == ["bytes=50000-", ""]


PAGE = b"\n<!DOCTYPE html><html><body>Please log in</body></html>"


@pytest.mark.parametrize(
    ("reply", "unknown"),
    [
        (Reply(200, PAGE, {"Content-Type": "text/html; charset=utf-8"}), {}),
        (Reply(200, DATA, {"Content-Type": "text/html"}), {"size": None}),
        (Reply(200, PAGE, {"Content-Type": "audio/mpeg"}), {"size": None}),
        (Reply(200, b"\xef\xbb\xbf<?xml version='1.0'?>", {"Content-Type": "audio/mpeg"}), {"size": None}),
        (Reply(200, b'{"error": "no"}', {"Content-Type": "audio/mpeg"}), {"size": None, "md5": "", "sha1": ""}),
        (Reply(200, b"\0" * 900, {"Content-Type": "audio/mpeg"}), {"size": None, "md5": "", "sha1": ""}),
        (Reply(200, DATA + b"x", {"Content-Type": "audio/mpeg"}), {}),
        (Reply(200, DATA + b"x", {"Content-Length": ""}), {}),
        (Reply(204, b""), {}),
        (Reply(200, DATA, {"Content-Encoding": "gzip"}), {}),
    ],
    ids=["type", "type alone", "body", "xml", "json", "zeros", "long", "long untold", "204", "gzip"],
)
@pytest.mark.parametrize("has_part", [False, True])
def test_what_is_no_such_file(
    it: Setting, http: Doorway, reply: Reply, unknown: dict[str, Any], has_part: bool
) -> None:
    file = replace(it.file, **unknown)
    if has_part:
        keep_part(it, file, DATA[:50_000], len(DATA))
    it.hosted.faults = [reply, reply]
    with pytest.raises((BadAnswer, ClientError)):
        get(http, file, it.target)
    assert not it.target.exists() and len(it.outside.seen) == 1
    # A page of the moment does not cost what came before.
    if has_part and "x" not in reply.body.decode("latin-1")[-1:]:
        assert part_of(it.target) == DATA[:50_000]
    it.hosted.faults.clear()
    assert get(http, file, it.target)
    assert it.target.read_bytes() == DATA


@pytest.mark.parametrize("first", [b"ID3", b"\xff\xfb", b"\xff\xf1", b"\0\0\0 ftypM4B ", b"OggS", b"fLaC", b"PK\3\4"])
def test_how_audio_begins(it: Setting, http: Doorway, first: bytes) -> None:
    it.hosted.data = first + b"\0" * 700
    file = replace(it.file, size=None, md5="", sha1="")
    assert get(http, file, it.target) and it.target.read_bytes() == it.hosted.data


def test_no_more_than_is_allowed(it: Setting, http: Doorway) -> None:
    file = replace(it.file, size=None)
    with pytest.raises(BadAnswer, match="more than 1,000 bytes"):
        get(http, file, it.target, most_bytes=1000)
    it.hosted.headers["Content-Length"] = ""
    with pytest.raises(BadAnswer, match="more than 1,000 bytes") as caught:
        get(http, file, it.target, most_bytes=1000)
    assert caught.value.permanent and len(part_of(it.target)) <= 1000


# -- where it leads


def test_a_redirect_on_the_host_is_followed(it: Setting, http: Doorway) -> None:
    it.hosted.faults = [Reply(302, b"", {"Location": "/node/7/one.mp3"}), cut(30_000)]
    it.hosted.faults += [Reply(302, b"", {"Location": "/node/8/one.mp3"})]
    assert get(http, it.file, it.target)
    assert [seen.path for seen in it.outside.seen] == ["/one.mp3", "/node/7/one.mp3", "/one.mp3", "/node/8/one.mp3"]
    assert it.target.read_bytes() == DATA and ranges(it.outside) == ["", "", "bytes=30000-", "bytes=30000-"]


def test_a_redirect_loop(it: Setting, http: Doorway) -> None:
    it.outside.otherwise = lambda seen: Reply(302, b"", {"Location": "/one.mp3"})
    with pytest.raises(HttpError, match="without end") as caught:
        get(http, it.file, it.target)
    assert caught.value.permanent and len(it.outside.seen) == 6


@pytest.mark.parametrize(
    "location", ["http://10.0.0.1/x", "http://169.254.169.254/", "file:///etc/passwd", "magnet:?x"]
)
def test_a_redirect_elsewhere(it: Setting, http: Doorway, location: str) -> None:
    it.hosted.faults = [Reply(302, b"", {"Location": location})]
    with pytest.raises(Forbidden):
        get(http, it.file, it.target)


def test_a_redirect_to_a_private_neighbour(it: Setting, http: Doorway) -> None:
    with Outside() as neighbour:
        it.hosted.faults = [Reply(302, b"", {"Location": f"{neighbour.url}/x"})]
        with pytest.raises(Forbidden):
            get(http, it.file, it.target)
        assert neighbour.connections == 0


def test_an_address_that_nobody_configured_is_public(it: Setting, http: Doorway) -> None:
    with pytest.raises(Forbidden):
        download(http, it.file, it.target, pace=FAST)
    assert it.outside.connections == 0


# -- patience


def test_a_pause_that_is_a_date(it: Setting, http: Doorway) -> None:
    later = format_datetime(timezone.now() + timedelta(hours=1), usegmt=True)
    it.hosted.faults = [Reply(503, b"", {"Retry-After": later})]
    with pytest.raises(HttpError) as caught:
        get(http, it.file, it.target)
    wait = caught.value.retry_after
    assert wait is not None and timedelta(minutes=59) < wait <= timedelta(hours=1)
    with pytest.raises(LeftAlone):
        get(http, it.file, it.target)
    assert len(it.outside.seen) == 1


def test_a_host_that_is_busy_for_a_moment(it: Setting, http: Doorway) -> None:
    it.hosted.faults = [Reply(503, b""), Reply(429, b"")]
    assert get(http, it.file, it.target) and len(it.outside.seen) == 3


def test_a_body_that_stalls(it: Setting) -> None:
    """What came is kept."""

    def hang(seen: Seen, reply: Reply) -> Reply:
        return replace(reply, body=DATA[:10], headers={**reply.headers, "Content-Length": str(len(DATA))}, drip=0.01)

    it.hosted.faults = [hang]
    it.outside.otherwise = it.hosted
    http = Doorway(patience=replace(ONCE, stall=0.4), contact="")
    # The stand-in closes what it has sent, so that one of its own keeps the connection.
    with Holding(DATA[:20_000], len(DATA)) as holding:
        began = time.monotonic()
        with pytest.raises(Unreachable, match="in time"):
            get(http, replace(it.file, url=f"{holding.url}/one.mp3"), it.target)
        assert 0.3 < time.monotonic() - began < 30
    assert part_of(it.target) == DATA[:20_000]


def test_a_body_that_drips_for_ever(it: Setting) -> None:
    it.hosted.faults = [lambda seen, reply: replace(reply, drip=0.05)]
    http = Doorway(patience=replace(ONCE, stall=0.4), contact="")
    began = time.monotonic()
    with pytest.raises(Unreachable, match="slowly"):
        get(http, it.file, it.target)
    assert time.monotonic() - began < 30


def test_a_head_that_drips_for_ever(it: Setting) -> None:
    """The body alone has no end in time."""
    http = Doorway(patience=replace(ONCE, total=0.5, stall=0.4), contact="")
    with Holding(b"", 1, head=0.1) as holding:
        began = time.monotonic()
        with pytest.raises(Unreachable, match="in time"):
            get(http, replace(it.file, url=f"{holding.url}/one.mp3"), it.target)
        assert time.monotonic() - began < 30


@pytest.mark.parametrize("status", [200, 500])
def test_a_chunk_whose_head_drips_for_ever(it: Setting, status: int) -> None:
    """No byte of the file comes meanwhile."""
    http = Doorway(patience=replace(ONCE, total=0.5, stall=0.4), contact="")
    with Holding(DATA[:5000], len(DATA), chunk=True, status=status) as holding:
        began = time.monotonic()
        with pytest.raises(Unreachable, match="in time"):
            get(http, replace(it.file, url=f"{holding.url}/one.mp3"), it.target)
        assert time.monotonic() - began < 30
    assert status == 500 or part_of(it.target) == DATA[:5000]


def test_a_transfer_takes_longer_than_any_answer_may(it: Setting) -> None:
    it.hosted.data = data = DATA[:60]
    it.hosted.faults = [lambda seen, reply: replace(reply, drip=0.02)]
    http = Doorway(patience=replace(ONCE, total=0.4), contact="")
    began = time.monotonic()
    assert get(http, remote(it.outside, data), it.target)
    assert time.monotonic() - began > 1.0


def test_it_stops_between_chunks(it: Setting, http: Doorway) -> None:
    had: list[int] = []
    it.hosted.data = data = b"ID3" + b"y" * 2_000_000
    file = remote(it.outside, data)
    assert not get(http, file, it.target, should_stop=lambda: len(had) >= 3, progress=had.append)
    assert not it.target.exists() and 0 < len(part_of(it.target)) == had[-1] < len(data)
    host = Host.objects.get()
    assert host.turns == [] and host.consecutive_failures == 0
    assert get(http, file, it.target)
    assert it.target.read_bytes() == data and ranges(it.outside) == ["", f"bytes={had[2]}-"]


class Holding:
    """A server that sends so much of a file, and then nothing, nor does it end. head: seconds between two bytes of it.

    chunk: what is sent is a chunk of a body with status `status`, and behind it comes the head of another, without end.
    """

    def __init__(self, sent: bytes, size: int, head: float = 0.0, *, chunk: bool = False, status: int = 200) -> None:
        import socket

        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._sent, self._size, self._head, self._chunk, self._status = sent, size, head, chunk, status
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Holding:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        taken, _ = self._socket.accept()
        with taken:
            taken.recv(10_000)
            head = f"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nContent-Length: {self._size}\r\n\r\n".encode()
            while self._head and not self._over.wait(self._head):
                try:
                    taken.sendall(head[:1])
                except OSError:
                    return
                head = head[1:]
            if self._chunk:
                taken.sendall(f"HTTP/1.1 {self._status} X\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
                taken.sendall(b"%x\r\n%s\r\n5;a=" % (len(self._sent), self._sent))
                while not self._over.wait(0.1):
                    try:
                        taken.sendall(b"x")
                    except OSError:
                        return
            if not (self._head or self._chunk):
                taken.sendall(head + self._sent)
            self._over.wait(60)


# -- turns


@pytest.mark.django_db(transaction=True)
def test_a_host_has_one_transfer_at_a_time(it: Setting) -> None:
    it.hosted.data = data = DATA[:700]
    it.outside.otherwise = lambda seen: replace(it.hosted(seen), drip=0.0005)
    ended: list[float] = []

    def run(number: int) -> None:
        http = Doorway(patience=QUICK, contact="")
        file = remote(it.outside, data, f"{number}.mp3")
        had: list[float] = []
        assert get(http, file, it.target.with_name(file.name), progress=lambda have: had.append(time.monotonic()))
        ended.append(had[-1])

    threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    began = [seen.at for seen in it.outside.seen]
    assert len(ended) == len(began) == 3
    for earlier, later in zip(sorted(ended), sorted(began)[1:], strict=False):
        assert earlier <= later


def test_a_long_transfer_says_that_it_still_has_its_turn(it: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorway, "_RENEWED_EVERY", 0.02)
    it.hosted.data = data = DATA[:900]
    it.hosted.faults = [lambda seen, reply: replace(reply, drip=0.0005)]
    turns: list[list[int]] = []

    def look(have: int) -> None:
        turns.append(Host.objects.get().turns)

    http = Doorway(patience=QUICK, contact="")
    assert get(http, remote(it.outside, data), it.target, progress=look)
    # One, and later and later.
    assert all(len(each) == 1 for each in turns)
    ends = [each[0] for each in turns]
    assert ends == sorted(ends) and len(set(ends)) > 3
    assert Host.objects.get().turns == []


def test_the_turn_of_a_transfer_outlasts_a_stall(it: Setting) -> None:
    ends: list[float] = []
    http = Doorway(patience=replace(QUICK, stall=50), contact="")
    assert get(http, it.file, it.target, progress=lambda have: ends.extend(Host.objects.get().turns))
    assert all(time.time() + 50 < each / 10**6 < time.time() + 100 for each in ends) and ends


# -- the disk


class Full:
    """A file on a disk that is full after so many bytes."""

    def __init__(self, opened: Any, room: int) -> None:
        self._opened, self._room = opened, room

    def write(self, data: memoryview) -> int:
        if self._room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written: int = self._opened.write(data[: self._room])
        self._room -= written
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._opened, name)


def test_a_disk_that_is_full(it: Setting, http: Doorway, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.fdopen
    monkeypatch.setattr(downloading.os, "fdopen", lambda *given, **named: Full(opened(*given, **named), 40_000))
    with pytest.raises(ClientError, match="no room") as caught:
        get(http, it.file, it.target)
    assert not caught.value.permanent and part_of(it.target) == DATA[:40_000]
    # It is no failure of the host.
    assert Host.objects.get().consecutive_failures == 0 and Host.objects.get().turns == []
    monkeypatch.undo()
    assert get(http, it.file, it.target)
    assert it.target.read_bytes() == DATA and ranges(it.outside) == ["", "bytes=40000-"]


def test_a_disk_that_fills_meanwhile(it: Setting, http: Doorway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "_LOOKED_AT_ROOM_EVERY", 10_000)
    monkeypatch.setattr(downloading, "LEAST_FREE", 2**60)
    with pytest.raises(ClientError, match="no room"):
        get(http, it.file, it.target)
    assert not it.target.exists() and part_of(it.target)


def test_a_part_that_is_a_link_is_not_written_through(it: Setting, http: Doorway, tmp_path: Path) -> None:
    it.target.parent.mkdir()
    (tmp_path / "precious").write_bytes(b"precious")
    it.target.with_name("one.mp3.part").symlink_to(tmp_path / "precious")
    with pytest.raises(ClientError) as caught:
        get(http, it.file, it.target)
    assert caught.value.permanent and (tmp_path / "precious").read_bytes() == b"precious"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(it: Setting, http: Doorway) -> None:
    it.target.parent.mkdir(mode=0o500)
    with pytest.raises(ClientError, match="Permission") as caught:
        get(http, it.file, it.target)
    assert caught.value.permanent


# -- the client


def fetch(http: Doorway, parts: list[RemoteFile], folder: Path, **options: Any) -> bool:
    return over_http.fetch(http, parts, folder, pace=FAST, **options)


@pytest.fixture
def parts(it: Setting) -> list[RemoteFile]:
    return [remote(it.outside, name=name) for name in ("1.mp3", "cd 2/1.mp3", "cd 2/2.mp3")]


def test_all_parts_come_and_are_not_looked_at_again(
    it: Setting, http: Doorway, parts: list[RemoteFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    had: list[int] = []
    assert fetch(http, parts, tmp_path, progress=had.append)
    assert [(tmp_path / part.name).read_bytes() for part in parts] == [DATA] * 3
    assert had[-1] == 3 * len(DATA) and had == sorted(had)
    assert not [*tmp_path.rglob("*.part"), *tmp_path.rglob("*.part.json"), *tmp_path.rglob("*.new")]

    def read(*given: Any) -> bool:
        raise AssertionError("it was read again")

    monkeypatch.setattr(downloading, "is_right", read)
    for _ in range(3):
        assert fetch(http, parts, tmp_path)
    assert len(it.outside.seen) == 3


def test_what_was_changed_or_taken_away_comes_again(
    it: Setting, http: Doorway, parts: list[RemoteFile], tmp_path: Path
) -> None:
    assert fetch(http, parts, tmp_path)
    (tmp_path / "1.mp3").unlink()
    (tmp_path / "cd 2/1.mp3").write_bytes(b"x" + DATA[1:])
    assert fetch(http, parts, tmp_path)
    assert [(tmp_path / part.name).read_bytes() for part in parts] == [DATA] * 3
    assert [seen.path for seen in it.outside.seen[3:]] == ["/1.mp3", "/cd%202/1.mp3"]
    # Another recording is wanted under the same name.
    new = replace(parts[0], sha1="0" * 40, md5="", size=None)
    with pytest.raises(ClientError, match="twice"):
        fetch(http, [new], tmp_path)


def test_what_lies_there_is_read_once(it: Setting, http: Doorway, parts: list[RemoteFile], tmp_path: Path) -> None:
    """As after a kill between the rename and the note of it."""
    (tmp_path / "1.mp3").write_bytes(DATA)
    (tmp_path / "1.mp3.part.json").write_bytes(b"{}")
    assert fetch(http, parts[:1], tmp_path)
    assert not it.outside.seen and not (tmp_path / "1.mp3.part.json").exists()


@pytest.mark.parametrize("listed", [b"", b"{", b"[]", b'{"1.mp3": 5}', b"\xff"])
def test_a_list_that_is_none(
    it: Setting, http: Doorway, parts: list[RemoteFile], tmp_path: Path, listed: bytes
) -> None:
    assert fetch(http, parts, tmp_path)
    (tmp_path / ".fetched.json").write_bytes(listed)
    assert fetch(http, parts, tmp_path)
    assert len(it.outside.seen) == 3


@pytest.mark.parametrize(("status", "kind"), [(401, ClientError), (403, ClientError), (404, Gone), (410, Gone)])
def test_a_part_that_is_not_given(
    it: Setting, http: Doorway, parts: list[RemoteFile], tmp_path: Path, status: int, kind: type[ServiceError]
) -> None:
    it.hosted.faults = [None, Reply(status, PAGE)]
    with pytest.raises(kind, match=str(status)) as caught:
        fetch(http, parts, tmp_path)
    assert caught.value.permanent and len(it.outside.seen) == 2


@pytest.mark.parametrize("status", [400, 408, 429, 500, 503])
def test_a_part_that_is_not_given_now(
    it: Setting, http: Doorway, parts: list[RemoteFile], tmp_path: Path, status: int
) -> None:
    it.hosted.faults = [Reply(status, b"")] * 3
    with pytest.raises(ServiceError) as caught:
        fetch(http, parts, tmp_path)
    assert not caught.value.permanent


def test_there_is_room_for_all_or_nothing_is_asked_for(
    it: Setting, http: Doorway, parts: list[RemoteFile], tmp_path: Path
) -> None:
    huge = [*parts, replace(parts[0], name="4.mp3", size=10**17)]
    with pytest.raises(ClientError, match="no room") as caught:
        fetch(http, huge, tmp_path)
    assert not caught.value.permanent and not it.outside.seen


def test_it_is_stopped_and_goes_on(it: Setting, http: Doorway, parts: list[RemoteFile], tmp_path: Path) -> None:
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 7

    assert not fetch(http, parts, tmp_path, should_stop=stop)
    before = len(it.outside.seen)
    assert 0 < before < 4
    assert fetch(http, parts, tmp_path)
    assert [(tmp_path / part.name).read_bytes() for part in parts] == [DATA] * 3
    assert not fetch(http, [replace(parts[0], name="9.mp3")], tmp_path, should_stop=lambda: True)


def test_no_parts_are_no_download(http: Doorway, tmp_path: Path) -> None:
    with pytest.raises(ClientError):
        fetch(http, [], tmp_path)


def test_a_folder_that_leads_elsewhere(it: Setting, http: Doorway, parts: list[RemoteFile], tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "cd 2").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ClientError, match="leads out"):
        fetch(http, parts, tmp_path / "book")
    assert not list((tmp_path / "elsewhere").iterdir()) and not it.outside.seen


def test_a_recording_of_the_archive_comes(http: Doorway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the search to the files: names with # and blanks, and a redirect for each."""
    from audiobooks.facts import BookFacts
    from audiobooks.metadata import librivox as catalogue
    from audiobooks.sources import librivox

    for module in (catalogue, librivox):
        monkeypatch.setattr(module, "PACE", Pace(every=0.0, at_once=2))
    rows = [
        {**each, "size": str(len(DATA)), "sha1": hashlib.sha1(DATA).hexdigest(), "md5": hashlib.md5(DATA).hexdigest()}
        for each in item_files(3)
    ]
    with FakeLibriVox(projects=[project(1)], items={"invented_1_librivox": {"files": rows}}) as fake:
        fake.audio = {f"invented_1_librivox/{each['name']}": DATA for each in rows}
        source = LibriVox(url=fake.url, archive_url=fake.archive_url)
        [release] = source.search(http, BookFacts(title="The Blue Harbour"))
        assert fetch(http, list(source.content(http, release)), tmp_path)
    assert [(tmp_path / f"part #{each}.mp3").read_bytes() for each in (1, 2, 3)] == [DATA] * 3


# -- names


def names(*given: str) -> list[str]:
    return [str(path) for path in over_http.paths([RemoteFile(name=name, url="") for name in given])]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("part #1.mp3", "part #1.mp3"),
        ("cd 1/one.mp3", "cd 1/one.mp3"),
        ("../../etc/passwd", "etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("..\\..\\x.mp3", "x.mp3"),
        ("a/./../b.mp3", "a/b.mp3"),
        ("a\0b\nc\x7f.mp3", "abc.mp3"),
        ("\u202eevil.mp3", "evil.mp3"),
        ("CON", "_CON"),
        ("aux.mp3", "_aux.mp3"),
        ("com1.tar.gz", "_com1.tar.gz"),
        ("console.mp3", "console.mp3"),
        ('a:b*c?"<>|.mp3', "a_b_c_____.mp3"),
        (".fetched.json", "fetched.json"),
        (".fetching", "fetching"),
        ("one.mp3. . ", "one.mp3"),
        ("one.mp3.part", "one.mp3_part"),
        ("one.mp3.PART.json", "one.mp3_part.json"),
        ("", "part"),
        ("...", "part"),
        ("/", "part"),
        ("a/b/c/d/e/f.mp3", "c/d/e/f.mp3"),
        ("e\u0301.mp3", "é.mp3"),
        ("\ud800.mp3", "mp3"),
    ],
)
def test_safe_names(name: str, path: str) -> None:
    assert names(name) == [path]


def test_no_part_is_written_over_another() -> None:
    assert names("a.mp3", "A.mp3", "a.MP3") == ["a.mp3", "A (2).mp3", "a (3).MP3"]
    assert names("a.mp3", "a.mp3", "a (2).mp3") == ["a.mp3", "a (2).mp3", "a (2) (2).mp3"]
    assert names("a", "a/b", "a/b") == ["a", "a - b", "a - b (2)"]
    assert names("a/b", "a") == ["a/b", "a (2)"]
    assert names("é.mp3", "e\u0301.mp3", "ﬁ.mp3", "fi.mp3") == ["é.mp3", "é (2).mp3", "ﬁ.mp3", "fi (2).mp3"]
    assert names("x.mp3", "x.mp3.part", "x.mp3.part.json")[0] == "x.mp3"


def test_long_names() -> None:
    long, other = "ü" * 200 + ".mp3", "ü" * 200 + "y.mp3"
    first, second = names(long, other)
    assert first.endswith(".mp3") and second.endswith(" (2).mp3")
    assert all(len(each.encode()) <= LONGEST_NAME for each in (first, second))
    deep = "/".join(["ü" * 200] * 3)
    assert len({*names(deep, deep, deep)}) == 3


def test_many_of_one_name_take_no_time() -> None:
    began = time.monotonic()
    assert len(set(names(*["a.mp3"] * 5000))) == 5000
    assert time.monotonic() - began < 5


ODD = st.text(max_size=30) | st.sampled_from(["a", "A", "a/b", "..", ".part", "a.part", "a.part.json", "con", "ﬁ"])


@given(st.lists(ODD, min_size=1, max_size=8))
@example(["\xa0"])
@example(["a\u2028b"])
def test_any_names(given: list[str]) -> None:
    found = names(*given)
    keys = {each.casefold() for each in found}
    assert len(keys) == len(found)
    for each in found:
        path = PurePosixPath(each)
        assert not path.is_absolute() and each.isprintable()
        for step in path.parts:
            assert step not in ("", ".", "..") and not step.startswith(".")
            assert len(step.encode()) <= LONGEST_NAME and not set(step) & set('\0/\\<>:"|?*')
        # No file is what another is while it comes, or within it.
        assert not {f"{each}.part".casefold(), f"{each}.part.json".casefold()} & keys
        assert not {str(parent).casefold() for parent in path.parents} & keys


# -- processes

PROCESS = """
import json, os, resource, signal, sys, time
import django
django.setup()
from pathlib import Path
from audiobooks.clients import over_http
from audiobooks.exceptions import ClientError
from audiobooks.http import Doorway, Pace, Patience
from audiobooks.sources.base import RemoteFile

how, folder = sys.argv[1], Path(sys.argv[2])
parts = [RemoteFile(**each) for each in json.loads(sys.argv[3])]
if how == "stuck":
    replace = os.replace
    def stuck(old, new):
        if str(new).endswith(".mp3"):
            print("stuck", flush=True)
            time.sleep(60)
        replace(old, new)
    os.replace = stuck
if how == "limited":
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
def told(have):
    print("some", flush=True)
def most_memory():
    # Not ru_maxrss, which a process has of the one that started it.
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
before = most_memory()
began = time.monotonic()
try:
    done = over_http.fetch(Doorway(), parts, folder, pace=Pace(every=0.0, at_once=1), progress=told)
except ClientError as error:
    done = str(error)
took = time.monotonic() - began
grown = most_memory() - before
print(json.dumps({"done": done, "took": took, "grown": grown}), flush=True)
"""


def process(env: dict[str, str], how: str, folder: Path, parts: list[RemoteFile]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROCESS, how, str(folder), json.dumps([vars(part) for part in parts])]
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)


def said(running: subprocess.Popen[str]) -> dict[str, Any]:
    output, _ = running.communicate(timeout=100)
    assert running.returncode == 0
    found = json.loads(output.splitlines()[-1])
    assert isinstance(found, dict)
    return found


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", ["stuck", "plain"])
def test_a_process_that_is_killed(
    it: Setting, http: Doorway, process_env: dict[str, str], tmp_path: Path, how: str
) -> None:
    """Between the last byte and the rename; and in the middle."""
    it.hosted.data = data = b"ID3" + bytes(range(256)) * 4000
    if how == "plain":
        with Holding(data[:300_000], len(data)) as holding:
            part = remote(it.outside, data, url=f"{holding.url}/one.mp3")
            running = process(process_env, how, tmp_path, [part])
            assert running.stdout is not None and running.stdout.readline() == "some\n"
            until = time.monotonic() + 60
            while len((tmp_path / "one.mp3.part").read_bytes()) < 300_000 and time.monotonic() < until:
                time.sleep(0.02)
            running.send_signal(signal.SIGKILL)
            running.communicate()
        keep = json.loads((tmp_path / "one.mp3.part.json").read_bytes())
        # The same server at another port.
        part = replace(part, url=f"{it.outside.url}/one.mp3")
        keep["of"]["url"], keep["validator"] = part.url, ETAG
        (tmp_path / "one.mp3.part.json").write_text(json.dumps(keep))
    else:
        part = remote(it.outside, data)
        running = process(process_env, how, tmp_path, [part])
        assert running.stdout is not None
        for line in running.stdout:
            if line == "stuck\n":
                break
        running.send_signal(signal.SIGKILL)
        running.communicate()
    assert running.returncode == -signal.SIGKILL
    assert not (tmp_path / "one.mp3").exists()
    assert fetch(http, [part], tmp_path)
    assert (tmp_path / "one.mp3").read_bytes() == data
    assert ranges(it.outside) == ([""] if how == "stuck" else ["bytes=300000-"])
    assert sorted(each.name for each in tmp_path.iterdir()) == [".fetched.json", ".fetching", "one.mp3"]


@pytest.mark.django_db(transaction=True)
def test_a_file_that_may_not_grow(it: Setting, http: Doorway, process_env: dict[str, str], tmp_path: Path) -> None:
    """A limit of the system in place of a full disk: the process lives on, and says why."""
    it.hosted.data = data = b"ID3" + bytes(range(256)) * 4000
    part = remote(it.outside, data)
    assert "cannot be written: File too large" in said(process(process_env, "limited", tmp_path, [part]))["done"]
    assert len((tmp_path / "one.mp3.part").read_bytes()) == 500_000
    assert fetch(http, [part], tmp_path) and (tmp_path / "one.mp3").read_bytes() == data


@pytest.mark.django_db(transaction=True)
def test_processes_at_one_folder(it: Setting, process_env: dict[str, str], tmp_path: Path) -> None:
    it.hosted.data = data = b"ID3" + bytes(range(256)) * 4000
    it.outside.otherwise = lambda seen: replace(it.hosted(seen), delay=0.5)
    parts = [remote(it.outside, data, f"{number}.mp3") for number in range(3)]
    running = [process(process_env, "plain", tmp_path, parts) for _ in range(3)]
    found = [said(each)["done"] for each in running]
    assert True in found and set(found) <= {True, False}
    assert [(tmp_path / part.name).read_bytes() for part in parts] == [data] * 3
    assert [seen.path for seen in it.outside.seen] == ["/0.mp3", "/1.mp3", "/2.mp3"]


PLAIN = """
import sys, time, httpx
began = time.monotonic()
with httpx.stream("GET", sys.argv[1], trust_env=False) as answer, open(sys.argv[2], "wb") as file:
    for chunk in answer.iter_raw():
        file.write(chunk)
print(time.monotonic() - began)
"""


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_large_file_takes_no_memory(it: Setting, process_env: dict[str, str], tmp_path: Path) -> None:
    it.hosted.data = data = b"ID3" + os.urandom(2**20) * 100
    part = remote(it.outside, data)
    result = said(process(process_env, "plain", tmp_path / "ours", [part]))
    assert result["done"] is True
    command = [sys.executable, "-c", PLAIN, part.url, str(tmp_path / "plain")]
    plain = float(subprocess.run(command, check=True, capture_output=True, text=True, timeout=100).stdout)
    size = len(data) / 10**6
    print(
        f"{size / result['took']:.0f} MB/s, checked, beside {size / plain:.0f} MB/s; {result['grown']} KiB more memory"
    )
    assert result["grown"] < 24 * 1024
    # A guard against what grows with the square; the figures beside each other are in the test's output.
    assert result["took"] < max(15 * plain, 5)
