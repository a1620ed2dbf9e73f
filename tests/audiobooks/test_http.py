"""The doorway, against a server on loopback that does what the outside does."""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
import time_machine
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audiobooks.exceptions import BadAnswer, Forbidden, HttpError, LeftAlone, ServiceError, SignedOut, Unreachable
from audiobooks.http import Doorway, Pace, Patience
from audiobooks.models import Host, HttpCopy
from audiobooks.models.network import Turn, forget_unused
from audiobooks.transport import Transport, is_public
from tests.audiobooks.outside import Outside, Reply

ROOT = Path(__file__).resolve().parents[2]
QUICK = Patience(connect=30, read=30, total=60, first_pause=0.02, busy_pause=0.04, longest_pause=1.5)
FAST = Pace(every=0.0, at_once=8)
SECRET = "s3cr3t/key+of mine"

pytestmark = pytest.mark.django_db


@pytest.fixture
def outside() -> Iterator[Outside]:
    with Outside() as server:
        yield server


@pytest.fixture
def http() -> Doorway:
    return Doorway(patience=QUICK, contact="someone@example.org")


def get(http: Doorway, url: str, **options: object) -> object:
    return http.get_json(url, pace=FAST, **options).data  # type: ignore[arg-type]


# -- what is sent


def test_it_says_who_asks(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply.of([1]))
    assert get(http, f"{outside.url}/x", params={"q": "a b&c"}) == [1]
    [seen] = outside.seen
    assert seen.headers["user-agent"] == "AudiobookAutomation/0.1.0 (+someone@example.org)"
    assert seen.query == {"q": "a b&c"}


def test_post_sends_json_once(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply(status=502), Reply.of({}))
    with pytest.raises(HttpError):
        http.post_json(f"{outside.url}/x", data={"a": 1}, pace=FAST)
    [seen] = outside.seen
    assert json.loads(seen.body) == {"a": 1} and seen.headers["content-type"] == "application/json"


# -- 1: no answer


def test_a_refused_connection(http: Doorway) -> None:
    with socket.socket() as free:
        # Nobody else may have it meanwhile, and nobody listens.
        free.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable, match="could not be reached") as caught:
            get(http, f"http://127.0.0.1:{free.getsockname()[1]}/")
    assert not caught.value.permanent
    assert Host.objects.get().consecutive_failures == 3


def test_a_connection_that_is_not_taken(http: Doorway) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        others = [socket.socket() for _ in range(4)]
        for other in others:
            other.setblocking(False)
            other.connect_ex(address)
        once = Doorway(patience=Patience(connect=0.2, attempts=1), contact="")
        with pytest.raises(Unreachable, match="did not answer in time"):
            get(once, f"http://127.0.0.1:{address[1]}/")
        for other in others:
            other.close()


def test_a_name_without_an_address() -> None:
    def none(host: str, port: int) -> list[str]:
        raise socket.gaierror("Name or service not known")

    http = Doorway(patience=QUICK, transport=Transport(none), contact="")
    with pytest.raises(Unreachable, match=r"books\.example could not be reached: its name has no address"):
        get(http, "http://books.example/")


def test_something_that_speaks_no_tls(outside: Outside, http: Doorway) -> None:
    with pytest.raises(Unreachable):
        get(http, outside.url.replace("http:", "https:"))


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[Path, int, list[bytes]]]:
    """A certificate of books.example, the port of a server that shows it, and what reached it."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "3000",
                "-subj",
                "/CN=books.example",
            ),
            *("-addext", "subjectAltName=DNS:books.example", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    read: list[bytes] = []
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def serve() -> None:
            while True:
                try:
                    taken, _ = server.accept()
                except OSError:
                    return
                taken.settimeout(2)
                with taken, contextlib.suppress(OSError), context.wrap_socket(taken, server_side=True) as wrapped:
                    read.append(wrapped.recv(10_000))
                    wrapped.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n"secure"')

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield certificate, server.getsockname()[1], read
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.parametrize("name", ["books.example", "other.example"])
def test_a_certificate_is_that_of_the_name(secure: tuple[Path, int, list[bytes]], name: str) -> None:
    """The connection goes to an address; what has to be proved is the name."""
    certificate, port, read = secure
    transport = Transport(lambda host, port: ["127.0.0.1"])
    http = Doorway(patience=QUICK, transport=transport, contact="")
    with pytest.raises(Unreachable, match="no certificate that can be trusted") as caught:
        get(http, f"https://{name}:{port}/")
    assert caught.value.permanent and read == []
    transport._context.load_verify_locations(certificate)
    Host.objects.all().delete()
    if name == "books.example":
        assert get(http, f"https://{name}:{port}/") == "secure"
        assert b"Host: books.example" in read[0]
    else:
        with pytest.raises(Unreachable, match="no certificate that can be trusted"):
            get(http, f"https://{name}:{port}/")


def test_an_answer_that_does_not_come(outside: Outside) -> None:
    outside.gives("/x", Reply(delay=1.2), Reply(delay=1.2), Reply.of("late"))
    assert get(Doorway(patience=replace(QUICK, read=1), contact=""), f"{outside.url}/x") == "late"
    assert len(outside.seen) == 3


@pytest.mark.parametrize("headers", [{}, {"Content-Length": ""}])
def test_an_answer_that_drips(outside: Outside, headers: dict[str, str]) -> None:
    outside.gives("/x", Reply(body=b"[" + b" " * 1000 + b"]", drip=0.1, headers=headers))
    once = Doorway(patience=Patience(read=0.5, total=0.6, attempts=1), contact="")
    started = time.monotonic()
    with pytest.raises(Unreachable, match="did not answer in time"):
        get(once, f"{outside.url}/x")
    # To its end it would take twice as long.
    assert time.monotonic() - started < 50


def test_headers_that_drip() -> None:
    """Of one step each is in time; the whole is not."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def drip() -> None:
            taken, _ = server.accept()
            with taken:
                for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 1000:
                    try:
                        taken.sendall(bytes([byte]))
                    except OSError:
                        return
                    time.sleep(0.05)

        thread = threading.Thread(target=drip)
        thread.start()
        once = Doorway(patience=Patience(read=0.5, total=0.4, attempts=1), contact="")
        started = time.monotonic()
        with pytest.raises(Unreachable, match="did not answer in time"):
            get(once, f"http://127.0.0.1:{server.getsockname()[1]}/")
        # To its end it would take longer.
        assert time.monotonic() - started < 40
        thread.join()


def test_an_answer_that_breaks_off(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply(body=b'{"a": 1}', cut=3), Reply.of({"a": 1}))
    assert get(http, f"{outside.url}/x") == {"a": 1}
    outside.gives("/x", Reply(body=b'{"a": 1}', cut=3))
    with pytest.raises(Unreachable):
        get(http, f"{outside.url}/x")


# -- 2 and 3: errors of the host


def test_a_short_retry_after_is_waited_for(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply.of({}, 429, Retry_After="1"), Reply.of("done"))
    assert get(http, f"{outside.url}/x") == "done"
    first, second = outside.seen
    assert second.at - first.at >= 0.99


def test_a_retry_after_that_is_a_date(outside: Outside, http: Doorway) -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)
    outside.gives("/x", Reply.of({}, 503, Retry_After=moment))
    with pytest.raises(HttpError) as caught:
        get(http, f"{outside.url}/x")
    assert caught.value.retry_after is not None
    assert timedelta(minutes=119) < caught.value.retry_after <= timedelta(minutes=120)
    assert len(outside.seen) == 1


@pytest.mark.parametrize("value", ["99999999999999999999", "86400000", "Wed, 01 Jan 9999 00:00:00 GMT"])
def test_an_absurd_retry_after_is_capped(outside: Outside, http: Doorway, value: str) -> None:
    outside.gives("/x", Reply.of({}, 429, Retry_After=value))
    with pytest.raises(HttpError) as caught:
        get(http, f"{outside.url}/x")
    assert caught.value.retry_after == timedelta(hours=24)


@pytest.mark.parametrize("value", ["", "soon", "-5", "Wed, 99 Foo 2020", "²"])
def test_without_a_usable_retry_after_it_pauses(outside: Outside, http: Doorway, value: str) -> None:
    headers = {"Retry-After": value.encode().decode("latin-1")}
    outside.gives("/x", Reply(429, headers=headers), Reply.of("done"))
    assert get(http, f"{outside.url}/x") == "done"


def test_nobody_else_asks_a_host_that_wants_quiet(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply.of({}, 429, Retry_After="600"))
    with pytest.raises(HttpError):
        get(http, f"{outside.url}/x")
    with pytest.raises(LeftAlone, match="left alone for 10 min") as caught:
        get(Doorway(patience=QUICK, contact=""), f"{outside.url}/other")
    assert caught.value.retry_after is not None and caught.value.retry_after > timedelta(seconds=590)
    assert len(outside.seen) == 1
    with time_machine.travel(timezone.now() + timedelta(minutes=11)):
        outside.gives("/x", Reply.of("done"))
        assert get(http, f"{outside.url}/x") == "done"
    host = Host.objects.get()
    assert (host.consecutive_failures, host.turns) == (0, [])


def test_an_older_request_that_succeeds_does_not_end_a_block() -> None:
    """Another process was told to stop while this one's request was under way."""

    def stopped_meanwhile(request: httpx.Request) -> httpx.Response:
        Host.failed("x.example", Turn(0, 0.0), "429", leave_alone=timedelta(minutes=10))
        return httpx.Response(200, content=b"{}")

    answers = httpx.MockTransport(stopped_meanwhile)
    get(Doorway(patience=QUICK, transport=answers, contact=""), "http://x.example/")
    blocked = Host.blocked_for("x.example")
    assert blocked is not None and blocked > timedelta(minutes=9)
    Host.failed("x.example", Turn(0, 0.0), "oh", leave_alone=timedelta(seconds=5))
    blocked = Host.blocked_for("x.example")
    assert blocked is not None and blocked > timedelta(minutes=9)


def test_a_day_that_is_used_up(outside: Outside, http: Doorway) -> None:
    limit = '"Free";r=8;t=42, "daily";r=0;t=3600'
    outside.gives("/x", Reply.of("the last", RateLimit=limit))
    assert get(http, f"{outside.url}/x") == "the last"
    with pytest.raises(LeftAlone):
        get(http, f"{outside.url}/x")


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_an_error_that_passes(outside: Outside, http: Doorway, status: int) -> None:
    outside.gives("/x", Reply(status), Reply.of("done"))
    assert get(http, f"{outside.url}/x") == "done"


def test_an_error_that_stays_is_asked_for_ever_less(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply.of({"error": "out of order"}, 500))
    for _ in range(6):
        with pytest.raises(ServiceError):
            get(http, f"{outside.url}/x")
    assert len(outside.seen) == 5
    blocks = []
    start = timezone.now()
    for hours in range(1, 13):
        with time_machine.travel(start + timedelta(hours=2 * hours)):
            with pytest.raises(HttpError, match="HTTP 500"):
                get(http, f"{outside.url}/x")
            blocked = Host.blocked_for(f"127.0.0.1:{outside.port}")
            assert blocked is not None
            blocks.append(round(blocked.total_seconds() / 60))
    assert blocks == sorted(blocks) and blocks[0] == 1 and blocks[-1] == 60
    assert len(outside.seen) == 5 + 12


def test_what_is_final_is_not_asked_again(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply.of({"message": "not in region"}, 500))
    with pytest.raises(HttpError) as caught:
        get(http, f"{outside.url}/x", final=lambda error: "region" in error.data["message"])
    assert caught.value.status == 500 and len(outside.seen) == 1
    assert Host.objects.get().consecutive_failures == 0


@pytest.mark.parametrize(("status", "permanent"), [(400, False), (401, True), (403, True), (404, False), (422, False)])
def test_a_refusal_is_an_answer(outside: Outside, http: Doorway, status: int, permanent: bool) -> None:
    outside.gives("/x", Reply.of({"error": {"code": "NO"}}, status))
    with pytest.raises(HttpError) as caught:
        get(http, f"{outside.url}/x")
    assert (caught.value.status, caught.value.data) == (status, {"error": {"code": "NO"}})
    assert caught.value.permanent is permanent and len(outside.seen) == 1
    assert Host.objects.get().consecutive_failures == 0


# -- 4: what is not JSON


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"<!DOCTYPE html><title>Welcome</title>", "<!DOCTYPE html><title>Welcome</title>"),
        (b"", "nothing at all"),
        (b'{"a": [1, 2', '{"a": [1, 2'),
        (b"\x00\xff\xfe\x80", ""),
        (b"[" * 100_000, "[[["),
        (b"1" * 5000, "111"),
    ],
    ids=["html", "empty", "truncated", "bytes", "deep", "a number without end"],
)
def test_what_is_not_json_is_said_with_its_beginning(outside: Outside, http: Doorway, body: bytes, shown: str) -> None:
    outside.gives("/x", Reply(body=body, headers={"Content-Type": "application/json"}))
    with pytest.raises(BadAnswer) as caught:
        get(http, f"{outside.url}/x", fresh_for=timedelta(hours=1))
    assert shown in str(caught.value) and len(str(caught.value)) < 250 and "\x00" not in str(caught.value)
    assert not HttpCopy.objects.exists() and len(outside.seen) == 1
    assert re.search("not JSON|nested too deeply", Host.objects.get().last_error)


def nested(depth: int, *, beside: int = 0) -> bytes:
    """Lists and objects in turn; each list has so many others beside the next object."""
    kinds = [('{"a":', "}") if level % 2 else (f"[{'[],' * beside}", "]") for level in range(depth)]
    return "".join([*(opens for opens, _ in kinds), "7", *(closes for _, closes in reversed(kinds))]).encode()


@pytest.mark.parametrize("beside", [0, 3])
def test_what_is_nested_so_deeply_that_to_go_through_it_would_fail_is_refused(
    outside: Outside, http: Doorway, beside: int
) -> None:
    """Who goes through it may be a function that calls itself, which Python allows a thousand times."""
    outside.gives("/x", Reply(body=nested(64, beside=beside)))
    outside.gives("/deep", Reply(body=nested(65, beside=beside)))
    outside.gives("/deeper", Reply(body=nested(900, beside=beside)))
    outside.gives("/none", Reply(404, nested(900, beside=beside)))
    assert get(http, f"{outside.url}/x", fresh_for=timedelta(hours=1)) == json.loads(nested(64, beside=beside))
    for path in ("deep", "deeper"):
        with pytest.raises(BadAnswer, match="nested"):
            get(http, f"{outside.url}/{path}", fresh_for=timedelta(hours=1))
    with pytest.raises(HttpError) as caught:
        get(http, f"{outside.url}/none", fresh_for=timedelta(hours=1))
    assert (caught.value.status, caught.value.data) == (404, None)


def test_many_brackets_are_not_deep(outside: Outside, http: Doorway) -> None:
    wide = {"rows": [{"a": [[]]}] * 500, "text": "[{" * 500}
    outside.gives("/x", Reply.of(wide))
    assert get(http, f"{outside.url}/x") == wide


@pytest.mark.parametrize(
    ("body", "type"),
    [
        ('\ufeff{"a": "ü"}'.encode(), "application/json"),
        ('{"a": "ü"}'.encode(), "text/javascript; charset=utf-8"),
        ('{"a": "ü"}'.encode(), "text/html; charset=iso-8859-1"),
        ('{"a": "ü"}'.encode("latin-1"), "application/json; charset=ISO-8859-1"),
        ('{"a": "ü", "b": NaN}'.encode(), ""),
        ('{"a": "ü"}'.encode("utf-16"), "application/json"),
    ],
)
def test_json_is_known_by_reading_it(outside: Outside, http: Doorway, body: bytes, type: str) -> None:
    outside.gives("/x", Reply(body=body, headers={"Content-Type": type}))
    data = get(http, f"{outside.url}/x")
    assert isinstance(data, dict) and data["a"] == "ü" and data.get("b") is None


# -- 7: too much, and elsewhere


def test_too_much_is_not_read(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply(body=b"[" + b" " * 100_000 + b"]"))
    with pytest.raises(BadAnswer, match="more than 1,000 bytes"):
        get(http, f"{outside.url}/x", most_bytes=1000)
    with pytest.raises(BadAnswer, match="more than 1,000 bytes"):
        http.download(f"{outside.url}/x", most_bytes=1000, trusted=True, pace=FAST)


def test_a_small_answer_that_unpacks_to_too_much(outside: Outside, http: Doorway) -> None:
    packed = gzip.compress(b"[" + b" " * 50_000_000 + b"]")
    outside.gives("/x", Reply(body=packed, headers={"Content-Encoding": "gzip"}))
    tracemalloc.start()
    try:
        with pytest.raises(BadAnswer, match="more than 1,000,000 bytes"):
            get(http, f"{outside.url}/x", most_bytes=1_000_000)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 10_000_000


def test_what_comes_behind_the_end_of_what_is_packed_is_not_read(outside: Outside, http: Doorway) -> None:
    body = gzip.compress(b'{"a": 1}') + b"x" * 50_000_000
    outside.gives("/x", Reply(body=body, headers={"Content-Encoding": "gzip"}))
    tracemalloc.start()
    try:
        assert get(http, f"{outside.url}/x", most_bytes=1000) == {"a": 1}
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 10_000_000


def test_packed_answers(outside: Outside, http: Doorway) -> None:
    packed = gzip.compress(b'{"a": 1}')
    outside.gives("/x", Reply(body=packed, headers={"Content-Encoding": "gzip"}))
    assert get(http, f"{outside.url}/x") == {"a": 1}
    outside.gives("/x", Reply(body=packed[:-9], headers={"Content-Encoding": "gzip"}))
    with pytest.raises(Unreachable, match="broke off"):
        get(http, f"{outside.url}/x")
    outside.gives("/x", Reply(body=packed, headers={"Content-Encoding": "br"}))
    with pytest.raises(BadAnswer, match="packing"):
        get(http, f"{outside.url}/x")


def test_a_redirect_at_home_is_followed(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply(302, headers={"Location": "/y?z=1"}))
    outside.gives("/y", Reply.of("here"))
    assert get(http, f"{outside.url}/x", secret_headers={"Authorization": "Bearer abcdefgh"}) == "here"
    assert outside.seen[1].headers["authorization"] == "Bearer abcdefgh"


def test_a_redirect_without_end(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply(301, headers={"Location": "/x"}))
    with pytest.raises(HttpError, match="without end"):
        get(http, f"{outside.url}/x")
    assert len(outside.seen) == 6


def test_a_post_is_not_sent_elsewhere(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply(307, headers={"Location": "/y"}))
    with pytest.raises(HttpError, match="sends a POST elsewhere"):
        http.post_json(f"{outside.url}/x", data={}, pace=FAST)
    assert len(outside.seen) == 1


@pytest.mark.parametrize(
    "location",
    [
        "http://localhost:{port}/y",
        "http://127.0.0.2:{port}/y",
        "http://127.0.0.1:1/y",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "http://user:pass@127.0.0.1:{port}/y",
        "http://[::1]:{port}/y",
        "http://a b/",
    ],
)
def test_a_redirect_to_a_stranger_is_not_followed(outside: Outside, http: Doorway, location: str) -> None:
    with Outside() as other:
        outside.gives("/x", Reply(302, headers={"Location": location.format(port=other.port)}))
        with pytest.raises(Forbidden) as caught:
            get(http, f"{outside.url}/x")
        assert caught.value.permanent and other.connections == 0 and len(outside.seen) == 1


def test_an_allowed_redirect_may_not_lead_into_a_private_network(outside: Outside, http: Doorway) -> None:
    with Outside() as other:
        outside.gives("/x", Reply(302, headers={"Location": f"http://localhost:{other.port}/y"}))
        with pytest.raises(Forbidden, match="private network"):
            get(http, f"{outside.url}/x", redirects_to=["localhost"])
        assert other.connections == 0


class Answers(httpx.BaseTransport):
    """Stands in for the internet: answers by host, and keeps what it was asked."""

    def __init__(self, **answers: httpx.Response) -> None:
        self.answers = {name.replace("_", "."): answer for name, answer in answers.items()}
        self.asked: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self.answers[request.url.host]


def test_no_secret_goes_to_another_host() -> None:
    answers = Answers(
        covers_example=httpx.Response(302, headers={"Location": "https://ia800.archive.example/x.jpg"}),
        ia800_archive_example=httpx.Response(200, content=b"JPEG", headers={"Content-Type": "image/JPEG; q=1"}),
    )
    http = Doorway(patience=QUICK, transport=answers, contact="")
    got = http.download(
        "https://covers.example/x",
        most_bytes=100,
        secret_headers={"Authorization": "Bearer abcdefgh", "X-Key": "12345678"},
        redirects_to=["archive.example"],
        pace=FAST,
    )
    assert (got.body, got.type) == (b"JPEG", "image/jpeg")
    first, second = answers.asked
    assert first.headers["authorization"] == "Bearer abcdefgh" and first.headers["x-key"] == "12345678"
    assert "authorization" not in second.headers and "x-key" not in second.headers
    assert second.extensions["public_only"] is True


@pytest.mark.parametrize("location", ["http://covers.example/x", "http://www.archive.example/x"])
def test_a_redirect_does_not_give_up_https(location: str) -> None:
    answers = Answers(covers_example=httpx.Response(302, headers={"Location": location}))
    with pytest.raises(Forbidden):
        http = Doorway(patience=QUICK, transport=answers, contact="")
        http.download("https://covers.example/y", most_bytes=9, redirects_to=["archive.example"], pace=FAST)
    assert len(answers.asked) == 1


# -- private addresses


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "0.0.0.0", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]"]
)
def test_a_link_in_an_answer_may_not_lead_into_a_private_network(outside: Outside, http: Doorway, host: str) -> None:
    with pytest.raises((Forbidden, Unreachable)):
        http.download(f"http://{host}:{outside.port}/x.jpg", most_bytes=100, pace=FAST)
    assert outside.connections == 0


@pytest.mark.parametrize(
    ("address", "public"),
    [
        *[
            (each, False)
            for each in ("10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.1.1", "100.64.0.1", "127.8.9.1")
        ],
        *[(each, False) for each in ("0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fd00::1")],
        *[
            (each, False)
            for each in ("ff02::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "fe80::1%eth0", "x")
        ],
        *[(each, True) for each in ("1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101")],
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_a_name_is_looked_up_once_and_that_address_is_used(outside: Outside) -> None:
    """A name that is public when looked at and private when connected to."""
    lookups: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        lookups.append(host)
        return ["192.0.2.1"] if len(lookups) > 1 else ["1.1.1.1", "127.0.0.1"]

    http = Doorway(patience=QUICK, transport=Transport(rebinding), contact="")
    with pytest.raises(Forbidden):
        http.download(f"http://books.example:{outside.port}/x", most_bytes=9, pace=FAST)
    assert lookups == ["books.example"] and outside.connections == 0


def test_a_configured_name_is_connected_to_where_it_was_found(outside: Outside) -> None:
    outside.gives("/x", Reply.of("here"))
    http = Doorway(patience=QUICK, transport=Transport(lambda host, port: ["127.0.0.9", "127.0.0.1"]), contact="")
    assert get(http, f"http://nas.example:{outside.port}/x") == "here"
    assert outside.seen[0].headers["host"] == f"nas.example:{outside.port}"


@pytest.mark.parametrize(
    "url", ["", "/x", "ftp://x/y", "http://", "http://u:p@x/", "javascript:1", "http://[::1", "http://\x00/"]
)
def test_what_is_no_address_is_not_asked(http: Doorway, url: str) -> None:
    with pytest.raises(Forbidden) as caught:
        get(http, url)
    assert caught.value.permanent and "u:p@" not in str(caught.value)


def test_a_token_with_a_line_break_is_not_sent(outside: Outside, http: Doorway) -> None:
    with pytest.raises(Forbidden, match="Authorization") as caught:
        get(http, outside.url, secret_headers={"Authorization": "Bearer abcdefgh\nX: y"})
    assert "abcdefgh" not in str(caught.value) and outside.connections == 0


# -- 40: secrets


def test_secrets_are_shown_nowhere(outside: Outside, http: Doorway, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "audiobooks")
    said = f"key={SECRET} or s3cr3t%2Fkey%2Bof%20mine or s3cr3t%2Fkey%2Bof+mine, token-of-mine"
    outside.gives("/bad", Reply(403, said.encode()))
    outside.gives("/html", Reply(200, said.encode()))
    outside.gives("/good", Reply.of({}, ETag='"1"'))
    options = {
        "secret_params": {"k": SECRET},
        "secret_headers": {"Authorization": "Bearer token-of-mine"},
        "fresh_for": timedelta(0),
    }
    texts = []
    for path in ("bad", "html"):
        with pytest.raises(ServiceError) as caught:
            get(http, f"{outside.url}/{path}", **options)
        texts.append(str(caught.value))
    outside.gives("/json", Reply.of({"error": f"{SECRET} is wrong"}, 401))
    with pytest.raises(HttpError) as refused:
        get(http, f"{outside.url}/json", **options)
    assert refused.value.data == {"error": "[secret] is wrong"}
    get(http, f"{outside.url}/good", **options)
    get(http, f"{outside.url}/good", **options)
    assert [seen.query["k"] for seen in outside.seen] == [SECRET] * 5
    texts += [caplog.text, Host.objects.get().last_error, HttpCopy.objects.get().url]
    for text in texts:
        assert "s3cr3t" not in text and "token-of-mine" not in text
    assert "k=" not in HttpCopy.objects.get().url


# -- 39: copies


def test_a_fresh_copy_is_not_asked_for(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply.of({"n": 1}), Reply.of({"n": 2}))
    hour = timedelta(hours=1)
    assert get(http, f"{outside.url}/x", fresh_for=hour) == {"n": 1}
    with CaptureQueriesContext(connection) as queries:
        assert get(http, f"{outside.url}/x", fresh_for=hour) == {"n": 1}
    assert len(queries) == 1
    with time_machine.travel(timezone.now() + timedelta(minutes=61)):
        assert get(http, f"{outside.url}/x", fresh_for=hour) == {"n": 2}
    assert len(outside.seen) == 2


def test_what_a_question_costs(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply.of({}))
    get(http, f"{outside.url}/x")
    with CaptureQueriesContext(connection) as queries:
        get(http, f"{outside.url}/x")
    assert len(queries) == 2
    outside.gives("/x", Reply.of({}, ETag='"1"'), Reply(304))
    get(http, f"{outside.url}/x", fresh_for=timedelta(0))
    with CaptureQueriesContext(connection) as queries:
        get(http, f"{outside.url}/x", fresh_for=timedelta(0))
    assert len(queries) == 4


def test_not_modified(outside: Outside, http: Doorway) -> None:
    modified = "Wed, 21 Oct 2015 07:28:00 GMT"
    outside.gives("/x", Reply.of({"n": 1}, ETag='"one"', Last_Modified=modified), Reply(304))
    first = http.get_json(f"{outside.url}/x", fresh_for=timedelta(0), pace=FAST)
    second = http.get_json(f"{outside.url}/x", fresh_for=timedelta(0), pace=FAST)
    assert second.data == {"n": 1} and second.as_of > first.as_of and not second.stale
    assert outside.seen[1].headers["if-none-match"] == '"one"'
    assert outside.seen[1].headers["if-modified-since"] == modified


def test_not_modified_of_what_we_do_not_have(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply(304), Reply.of("whole"))
    assert get(http, f"{outside.url}/x", fresh_for=timedelta(0)) == "whole"
    assert outside.seen[1].headers["cache-control"] == "no-cache"
    outside.gives("/y", Reply(304))
    with pytest.raises(BadAnswer, match="never fetched"):
        get(http, f"{outside.url}/y")


def test_what_is_told_again_word_for_word_is_not_written_again(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply.of({"n": 1}, ETag='"1"'), Reply.of({"n": 1}, ETag='"2"'), Reply(304))
    get(http, f"{outside.url}/x", fresh_for=timedelta(0))
    first = HttpCopy.objects.get()
    get(http, f"{outside.url}/x", fresh_for=timedelta(0))
    second = HttpCopy.objects.get()
    assert second.fetched_at == first.fetched_at and second.checked_at > first.checked_at
    get(http, f"{outside.url}/x", fresh_for=timedelta(0))
    assert outside.seen[-1].headers["if-none-match"] == '"2"'


def test_a_copy_that_another_process_wrote_meanwhile_is_not_taken_for_the_one_that_was_read(
    outside: Outside, http: Doorway
) -> None:
    outside.gives("/x", Reply.of({"n": 1}))
    get(http, f"{outside.url}/x", fresh_for=timedelta(0))
    read = HttpCopy.objects.get()
    later = read.checked_at + timedelta(minutes=1)
    assert HttpCopy.objects.confirm(read, later)
    assert not HttpCopy.objects.confirm(read, later + timedelta(minutes=1), etag='"of another"')
    now = HttpCopy.objects.get()
    assert now.checked_at == later and now.etag == ""


def test_a_damaged_copy_is_fetched_again(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply.of({"n": 1}, ETag='"1"'), Reply.of({"n": 2}))
    get(http, f"{outside.url}/x", fresh_for=timedelta(days=1))
    HttpCopy.objects.update(body=b"damaged")
    assert get(http, f"{outside.url}/x", fresh_for=timedelta(days=1)) == {"n": 2}
    assert "if-none-match" not in outside.seen[1].headers


def test_a_copy_from_the_future_is_not_fresh(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply.of({"n": 1}), Reply.of({"n": 2}))
    with time_machine.travel(timezone.now() + timedelta(days=30)):
        get(http, f"{outside.url}/x", fresh_for=timedelta(days=1))
    assert get(http, f"{outside.url}/x", fresh_for=timedelta(days=1)) == {"n": 2}


def test_a_clock_that_was_wrong_blocks_nobody(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply.of({"n": 1}))
    with time_machine.travel(timezone.now() + timedelta(days=30)):
        get(http, f"{outside.url}/x")
    Host.objects.update(blocked_until=timezone.now() + timedelta(days=29))
    started = time.monotonic()
    get(http, f"{outside.url}/x")
    assert time.monotonic() - started < 20


def test_parameters_are_part_of_a_copys_key(outside: Outside, http: Doorway) -> None:
    outside.otherwise = lambda seen: Reply.of(seen.query)
    for region in ("us", "de", "us"):
        got = get(http, f"{outside.url}/x", params={"region": region}, fresh_for=timedelta(days=1))
        assert got == {"region": region}
    assert len(outside.seen) == 2
    # Also where they look like what is blanked out.
    for token in ("abcdefgh", "ijklmnop"):
        assert get(http, f"{outside.url}/y", params={"token": token}, fresh_for=timedelta(days=1)) == {"token": token}
    assert not HttpCopy.objects.filter(url__contains="abcdefgh").exists()
    outside.seen.clear()
    data = [{"query": "a"}, {"query": "b"}, {"query": "a"}]
    for each in data:
        http.post_json(f"{outside.url}/x", data=each, fresh_for=timedelta(days=1), pace=FAST)
    assert len(outside.seen) == 2


def test_nothing_found_is_kept_for_less_long(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply.of([]))
    outside.gives("/y", Reply.of({"error": "no"}, 404))
    week = timedelta(days=7)
    for _ in range(2):
        assert get(http, f"{outside.url}/x", fresh_for=week, found=bool) == []
        with pytest.raises(HttpError) as caught:
            get(http, f"{outside.url}/y", fresh_for=week)
        assert (caught.value.status, caught.value.data) == (404, {"error": "no"})
    assert len(outside.seen) == 2
    with time_machine.travel(timezone.now() + timedelta(days=1, minutes=1)):
        get(http, f"{outside.url}/x", fresh_for=week, found=bool)
        with pytest.raises(HttpError):
            get(http, f"{outside.url}/y", fresh_for=week)
    assert len(outside.seen) == 4


@pytest.mark.parametrize(
    "failing", [Reply(500), Reply(429, headers={"Retry-After": "900"}), Reply(body=b"<html>"), Reply(cut=1)]
)
def test_the_last_good_copy_stands_in_and_says_so(outside: Outside, http: Doorway, failing: Reply) -> None:
    outside.gives("/x", Reply.of({"n": 1}), failing)
    options = {"fresh_for": timedelta(0), "pace": FAST}
    first = http.get_json(f"{outside.url}/x", **options)  # type: ignore[arg-type]
    with pytest.raises(ServiceError):
        http.get_json(f"{outside.url}/x", **options)  # type: ignore[arg-type]
    Host.objects.update(blocked_until=None)
    view = http.view()
    again = view.get_json(f"{outside.url}/x", or_last_good=True, **options)  # type: ignore[arg-type]
    assert again.data == {"n": 1} and again.stale and again.as_of == first.as_of
    assert isinstance(view.covered, ServiceError) and http.covered is None


def test_the_last_good_copy_outlives_that_there_was_nothing(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply.of({"n": 1}, ETag='"1"'), Reply.of({"error": "no"}, 404), Reply(500))
    week, now = timedelta(days=7), timezone.now()

    def at(days: float, **options: object) -> object:
        Host.objects.update(blocked_until=None)
        with time_machine.travel(now + timedelta(days=days)):
            return get(http, f"{outside.url}/x", or_last_good=True, **{"fresh_for": week, **options})

    assert at(0) == {"n": 1}
    with pytest.raises(HttpError, match="404"):
        at(1, fresh_for=timedelta(0))
    for days in (1.1, 1.9):
        # As long as that is fresh, it is what counts, and nobody is asked.
        with pytest.raises(HttpError, match="not there at the last look"):
            at(days)
    assert len(outside.seen) == 2
    # Neither is what was there before it taken for fresh again.
    assert at(2.1) == {"n": 1} and len(outside.seen) > 2 and http.covered is not None
    assert outside.seen[2].headers["if-none-match"] == '"1"'


@pytest.mark.parametrize("again", [Reply.of({"n": 2}), Reply(304)])
def test_what_is_there_again_ends_that_there_was_nothing(outside: Outside, http: Doorway, again: Reply) -> None:
    outside.gives("/x", Reply.of({"n": 2}, ETag='"1"'), Reply.of({}, 404), again)
    with time_machine.travel(timezone.now() + timedelta(days=3)):
        # By a clock that is set back afterwards.
        get(http, f"{outside.url}/x", fresh_for=timedelta(0))
        with pytest.raises(HttpError):
            get(http, f"{outside.url}/x", fresh_for=timedelta(0))
    for _ in range(2):
        assert get(http, f"{outside.url}/x", fresh_for=timedelta(days=1)) == {"n": 2}
    assert len(outside.seen) == 3 and HttpCopy.objects.get().status == 200


def test_a_refusal_is_not_covered_by_a_copy(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply.of({"n": 1}), Reply(401))
    get(http, f"{outside.url}/x", fresh_for=timedelta(0))
    with pytest.raises(HttpError):
        get(http, f"{outside.url}/x", fresh_for=timedelta(0), or_last_good=True)


def test_old_copies_can_be_found(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply.of({}))
    get(http, f"{outside.url}/x", fresh_for=timedelta(0))
    assert HttpCopy.objects.unused_since(timezone.now()).count() == 1
    assert HttpCopy.objects.unused_since(timezone.now() - timedelta(minutes=1)).count() == 0
    assert Host.objects.unused_since(timezone.now() + timedelta(hours=1)).count() == 1
    assert Host.objects.unused_since(timezone.now() - timedelta(hours=1)).count() == 0


# -- the pace


def test_the_pace_holds(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply.of({}))
    for _ in range(4):
        http.get_json(f"{outside.url}/x", pace=Pace(every=0.15))
    times = [seen.at for seen in outside.seen]
    assert times[-1] - times[0] >= 0.43


@pytest.mark.parametrize("back", [0, 20, 50, 300, 86400])
def test_a_clock_that_is_set_back_lets_no_two_ask_at_once(back: int) -> None:
    def reserve() -> Turn | None:
        return Host.objects.reserve("x.example", every=2.0, at_once=1, lease=10.0)

    with time_machine.travel(timezone.now(), tick=False) as clock:
        before = reserve()
        assert before is not None and before.wait == 0
        Host.released("x.example", before)
        assert Host.objects.get().turns == []
        clock.shift(-back)
        turn = reserve()
        assert turn is not None and 1.99 <= turn.wait <= 60
        # It is under way from the end of that wait on.
        clock.shift(turn.wait + 7.9)
        assert reserve() is None
        clock.shift(2.2)
        assert reserve() is not None
        Host.released("x.example", turn)
        assert len(Host.objects.get().turns) == 1


def test_turns_of_one_moment_are_told_apart() -> None:
    with time_machine.travel(timezone.now(), tick=False):
        turns = [Host.objects.reserve("x.example", every=0.0, at_once=8, lease=10.0) for _ in range(8)]
        for left in range(7, -1, -1):
            turn = turns.pop()
            assert turn is not None
            Host.released("x.example", turn)
            assert len(Host.objects.get().turns) == left


def test_those_that_wait_keep_their_pace_when_the_clock_is_set_back() -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        turns = [Host.objects.reserve("x.example", every=2.0, at_once=3, lease=10.0) for _ in range(2)]
        clock.shift(-300)
        turns.append(Host.objects.reserve("x.example", every=2.0, at_once=3, lease=10.0))
    waits = [turn.wait for turn in turns if turn is not None]
    assert len(waits) == 3 and all(later - earlier > 1.99 for earlier, later in zip(waits, waits[1:], strict=False))


def test_a_process_that_died_does_not_keep_its_turn(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply.of({}))
    get(http, f"{outside.url}/x")
    now = time.time()
    until = [int((now + seconds) * 1e6) for seconds in (0.3, 60)]
    Host.objects.update(turns=until)
    for _ in range(3):
        http.get_json(f"{outside.url}/x", pace=Pace(every=0, at_once=2))
    assert now + 0.299 < time.time() < now + 30
    assert Host.objects.get().turns == until[1:]


def test_the_turn_of_a_process_that_died_ends_however_much_others_ask(outside: Outside, http: Doorway) -> None:
    """It is not prolonged by their turns."""
    outside.gives("/x", Reply.of({}))
    get(http, f"{outside.url}/x")
    now = timezone.now()
    Host.objects.update(turns=[int((now.timestamp() + 60) * 1e6)])
    for seconds in range(0, 60, 20):
        with time_machine.travel(now + timedelta(seconds=seconds)):
            http.get_json(f"{outside.url}/x", pace=Pace(every=0, at_once=2))
            assert len(Host.objects.get().turns) == 1
    with time_machine.travel(now + timedelta(seconds=61)):
        http.get_json(f"{outside.url}/x", pace=Pace(every=0, at_once=1))
        assert Host.objects.get().turns == []


@pytest.mark.django_db(transaction=True)
def test_threads_share_a_host(outside: Outside, http: Doorway) -> None:
    outside.otherwise = lambda seen: Reply.of({}, 200) if seen.path == "/x" else Reply()
    under_way, most, lock = [0], [0], threading.Lock()

    def slow(seen: object) -> Reply:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        time.sleep(0.1)
        with lock:
            under_way[0] -= 1
        return Reply.of({})

    outside.otherwise = slow
    failures: list[BaseException] = []
    still_open: list[bool] = []

    def work() -> None:
        try:
            http.get_json(f"{outside.url}/x", pace=Pace(every=0.01, at_once=2))
            still_open.append(connections["default"].connection is not None)
        except BaseException as error:  # noqa: BLE001 (shown by the test)
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and len(outside.seen) == 8
    assert most[0] <= 2
    assert still_open == [False] * 8


PROCESS = """
import sys, time
import django
django.setup()
from audiobooks.http import Doorway, Pace
http = Doorway()
for _ in range(5):
    http.get_json(sys.argv[1], pace=Pace(every=0.1, at_once=2))
"""


@pytest.mark.django_db(transaction=True)
def test_processes_share_a_host(outside: Outside, process_env: dict[str, str]) -> None:
    outside.gives("/x", Reply.of({}))
    command = [sys.executable, "-c", PROCESS, f"{outside.url}/x"]
    running = [subprocess.Popen(command, cwd=ROOT, env=process_env) for _ in range(4)]
    assert [process.wait(100) for process in running] == [0] * 4
    times = sorted(seen.at for seen in outside.seen)
    assert len(times) == 20
    # A request may arrive a little late, so that the next one follows it sooner; over several that evens out.
    for first, eleventh in zip(times, times[10:], strict=False):
        assert eleventh - first >= 10 * 0.1 - 0.5
    assert times[-1] - times[0] >= 19 * 0.1 - 0.5
    host = Host.objects.get(host=f"127.0.0.1:{outside.port}")
    assert (host.turns, host.consecutive_failures) == ([], 0)


@pytest.mark.django_db
def test_copies_and_hosts_that_nobody_needs_are_forgotten() -> None:
    now = timezone.now()
    for name, days in (("old", 100), ("kept", 80)):
        moment = now - timedelta(days=days)
        HttpCopy.objects.create(key=name, url=name, fetched_at=moment, checked_at=moment, body=b"")
        Host.objects.create(host=name, next_slot=moment.timestamp())
    forget_unused()
    assert [copy.key for copy in HttpCopy.objects.all()] == ["kept"]
    assert [host.host for host in Host.objects.all()] == ["kept"]


# -- text


def text_of(http: Doorway, url: str, **options: object) -> object:
    return http.get_text(url, accept="text/xml", pace=FAST, **options).data  # type: ignore[arg-type]


def test_text_is_read_as_it_says(outside: Outside, http: Doorway) -> None:
    outside.gives("/utf8", Reply(200, "\ufeff<a>é</a>".encode()))
    outside.gives("/header", Reply(200, "<a>é</a>".encode("latin-1"), {"Content-Type": "text/xml; charset=latin-1"}))
    declared = '<?xml version="1.0" encoding="iso-8859-1"?><a>é</a>'
    outside.gives("/declared", Reply(200, declared.encode("latin-1")))
    assert text_of(http, outside.url + "/utf8") == text_of(http, outside.url + "/header") == "<a>é</a>"
    assert text_of(http, outside.url + "/declared") == declared
    assert outside.seen[0].headers["accept"] == "text/xml"


def test_text_has_the_rules_of_json(outside: Outside, http: Doorway) -> None:
    outside.gives("/busy", Reply(503, b"busy"), Reply(200, b"there"))
    assert text_of(http, outside.url + "/busy") == "there"
    outside.gives("/large", Reply(200, b"x" * 101))
    with pytest.raises(BadAnswer, match="more than 100 bytes"):
        text_of(http, outside.url + "/large", most_bytes=100)
    outside.gives("/away", Reply(302, b"", {"Location": "http://127.0.0.2:1/"}))
    with pytest.raises(Forbidden):
        text_of(http, outside.url + "/away")


def test_an_error_has_the_text_without_secrets(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply(400, f"<error>{SECRET}</error>".encode()))
    with pytest.raises(HttpError) as caught:
        text_of(http, outside.url + "/x", secret_params={"apikey": SECRET})
    assert caught.value.data == "<error>[secret]</error>"
    assert SECRET not in str(caught.value)


def test_a_copy_of_a_text_is_another_than_that_of_the_json(outside: Outside, http: Doorway) -> None:
    day = timedelta(days=1)
    outside.gives("/x", Reply(200, f'["{SECRET}"]'.encode()), Reply(500, b""))
    secret = {"apikey": SECRET}
    assert text_of(http, outside.url + "/x", secret_params=secret, fresh_for=day) == f'["{SECRET}"]'
    assert text_of(http, outside.url + "/x", secret_params=secret, fresh_for=day) == '["[secret]"]'
    [row] = HttpCopy.objects.all()
    assert SECRET not in f"{row.url}{row.content()!r}"
    with pytest.raises(HttpError):
        get(http, outside.url + "/x", fresh_for=day)


def test_what_is_read_of_a_text_is_kept_and_the_text_is_not(outside: Outside, http: Doorway) -> None:
    day = timedelta(days=1)
    page = Reply(200, f"<p>page {SECRET}</p>".encode(), {"ETag": '"1"'})
    outside.gives("/x", page, page, page, Reply(304))
    given: list[str] = []

    def read(text: str) -> dict[str, int]:
        given.append(text)
        return {"length": len(text)}

    def refuse(text: str) -> None:
        raise SignedOut("It asks who we are.", permanent=True)

    options = {"secret_params": {"apikey": SECRET}, "fresh_for": day}
    with pytest.raises(SignedOut):
        text_of(http, outside.url + "/x", **options, read=refuse)
    assert not HttpCopy.objects.exists()
    for _ in range(2):
        assert text_of(http, outside.url + "/x", **options, read=read) == {"length": 20}
    assert given == ["<p>page [secret]</p>"] and len(outside.seen) == 2
    assert [row.content() for row in HttpCopy.objects.all()] == [b'{"length": 20}']
    assert text_of(http, outside.url + "/x", **options) == f"<p>page {SECRET}</p>"
    HttpCopy.objects.update(checked_at=timezone.now() - 2 * day)
    assert text_of(http, outside.url + "/x", **options, read=read) == {"length": 20}
    assert len(given) == 1 and outside.seen[-1].headers["if-none-match"] == '"1"'


def test_a_text_that_is_not_there_is_remembered_and_its_page_is_not(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply(404, b"<p>Your key is 12345678.</p>"))
    for _ in range(2):
        with pytest.raises(HttpError):
            text_of(http, outside.url + "/x", fresh_for=timedelta(days=1), read=len)
    assert len(outside.seen) == 1 and HttpCopy.objects.get().content() == b"null"


# -- cookies that answers change


class Jar:
    """The cookie `sid`, which every answer may change."""

    def __init__(self, value: str = "first%3D") -> None:
        self.value, self.under_way = value, 0

    def to_send(self, url: str) -> dict[str, str]:
        self.under_way = len(Host.objects.get().turns)
        return {"sid": self.value}

    def given(self, url: str, set_cookie: Sequence[str]) -> None:
        for header in set_cookie:
            self.value = header.partition(";")[0].removeprefix("sid=")


def test_cookies_are_kept_of_errors_and_redirects(outside: Outside, http: Doorway) -> None:
    outside.gives(
        "/x",
        Reply(502, headers={"Set-Cookie": "sid=second; path=/"}),
        Reply(302, headers={"Location": "/y", "Set-Cookie": "sid=third"}),
    )
    outside.gives("/y", Reply.of({"ok": 1}, Set_Cookie="sid=a", set_cookie="sid=b%2F"))
    jar = Jar()
    assert get(http, f"{outside.url}/x", cookies=jar) == {"ok": 1}
    assert [seen.headers["cookie"] for seen in outside.seen] == ["sid=first%3D", "sid=second", "sid=third"]
    assert jar.value == "b%2F" and jar.under_way == 1
    http.post_json(f"{outside.url}/y", data={}, cookies=jar, pace=FAST)
    http.download(f"{outside.url}/y", most_bytes=100, trusted=True, cookies=jar, pace=FAST)
    assert [seen.headers["cookie"] for seen in outside.seen[3:]] == ["sid=b%2F", "sid=b%2F"]


def test_a_cookie_is_kept_of_half_an_answer(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply(200, b'{"a": 1}', {"Set-Cookie": "sid=second"}, cut=3))
    jar = Jar()
    with pytest.raises(Unreachable):
        http.post_json(f"{outside.url}/x", data={}, cookies=jar, pace=FAST)
    assert jar.value == "second"


def test_a_cookie_is_shown_nowhere(outside: Outside, http: Doorway, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for reply in (Reply(400, b"you sent Verysecret1"), Reply(200, b"<b>Verysecret1"), Reply(500, b"Verysecret1")):
        outside.gives("/x", Reply(reply.status, reply.body, {"Set-Cookie": "sid=Verysecret1; path=/"}))
        with pytest.raises((HttpError, BadAnswer)) as caught:
            get(http, f"{outside.url}/x", cookies=Jar("Verysecret1"))
        assert isinstance(caught.value, HttpError | BadAnswer) and "[secret]" in caught.value.text
        assert "Verysecret1" not in f"{caught.value} {vars(caught.value)} {caplog.text}"


@pytest.mark.parametrize("broken", ["to_send", "given"])
def test_a_jar_that_breaks_ends_the_request(
    outside: Outside, http: Doorway, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside.gives("/x", Reply.of({}))
    jar = Jar()

    def breaks(*_: object) -> dict[str, str]:
        raise OSError("disk full")

    monkeypatch.setattr(jar, broken, breaks)
    with pytest.raises(OSError, match="disk full"):
        get(http, f"{outside.url}/x", cookies=jar)
    host = Host.objects.get()
    assert (host.turns, host.consecutive_failures) == ([], 0)
    assert len(outside.seen) == (broken == "given")


def test_a_cookie_that_cannot_be_sent(outside: Outside, http: Doorway) -> None:
    with pytest.raises(Forbidden, match="sent as Cookie"):
        get(http, f"{outside.url}/x", cookies=Jar("a\r\nX: 1"))
    assert not outside.seen


def test_a_redirect_that_is_not_followed(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply(302, b"", {"Location": "/login"}))
    with pytest.raises(HttpError) as caught:
        get(http, f"{outside.url}/x", follow=False)
    assert (caught.value.status, caught.value.text, caught.value.permanent) == (302, "/login", True)
    assert len(outside.seen) == 1


def test_an_error_has_more_than_its_beginning(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply(200, b"<html>" + b"x" * 3000 + b"<form action='/login'>"))
    with pytest.raises(BadAnswer) as caught:
        get(http, f"{outside.url}/x")
    assert "/login" in caught.value.text and "/login" not in str(caught.value)
