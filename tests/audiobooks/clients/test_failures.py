"""How a download client fails, and what is said of it: in a sentence, in time, and without sending a password anywhere."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from audiobooks.exceptions import ClientError, TorrentRefused
from tests.audiobooks.clients.conftest import Make, qbittorrent_at, transmission_at
from tests.audiobooks.outside import Outside, Reply
from tests.programs import PASSWORD

HASH = "0123456789abcdef0123456789abcdef01234567"
HTML = {"Content-Type": "text/html"}
AT = {"qbittorrent": qbittorrent_at, "transmission": transmission_at}


@pytest.fixture
def outside() -> Iterator[Outside]:
    with Outside() as server:
        yield server


@pytest.fixture(params=AT)
def at(request: pytest.FixtureRequest) -> Callable[[str], Make]:
    return AT[request.param]


def failure(make: Make) -> ClientError:
    client = make(patience=0.6)
    with pytest.raises(ClientError) as failed:
        client.downloads([HASH])
    assert not isinstance(failed.value, TorrentRefused)
    assert str(failed.value).endswith((".", "?"))
    assert PASSWORD not in str(failed.value)
    return failed.value


def test_nobody_there(at: Callable[[str], Make]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        error = failure(at(f"http://127.0.0.1:{unused.getsockname()[1]}"))

    assert "could not be reached" in str(error)
    assert not error.permanent


def test_no_such_host(at: Callable[[str], Make]) -> None:
    error = failure(at("http://no-such-host.invalid:8080"))

    assert "could not be reached" in str(error)
    assert not error.permanent


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999", "http://[::1", "http://", "ftp://127.0.0.1:9/", "nonsense"])
def test_addresses_that_are_none(at: Callable[[str], Make], url: str) -> None:
    failure(at(url))


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 408])
def test_what_stands_before_it_does_not_reach_it(at: Callable[[str], Make], outside: Outside, status: int) -> None:
    outside.otherwise = lambda seen: Reply(status, b"<html><h1>Bad Gateway</h1></html>", HTML)

    error = failure(at(outside.url))

    assert str(status) in str(error)
    assert not error.permanent
    assert len(outside.seen) == 1


def test_a_page_in_place_of_an_answer(at: Callable[[str], Make], outside: Outside) -> None:
    outside.otherwise = lambda seen: Reply(200, b"<!DOCTYPE html><title>Sign in</title>", HTML)

    assert "web page" in str(failure(at(outside.url)))


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"{", b"7", b'"Ok."', b"\xff\xfe", b"[" * 100_000, b'{"result":7}']
)
def test_rubbish_in_place_of_an_answer(at: Callable[[str], Make], outside: Outside, body: bytes) -> None:
    outside.otherwise = lambda seen: Reply(200, body)

    failure(at(outside.url))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_it_sends_us_to_a_stranger(at: Callable[[str], Make], outside: Outside, status: int) -> None:
    with Outside() as stranger:
        outside.otherwise = lambda seen: Reply(status, b"", {"Location": stranger.url})
        error = failure(at(outside.url))

        assert stranger.seen == []
    assert error.permanent
    assert "_URL" in str(error)


@pytest.mark.parametrize("slow", [{"delay": 60.0}, {"drip": 0.2}], ids=["silent", "dripping"])
def test_it_takes_for_ever(at: Callable[[str], Make], outside: Outside, slow: dict[str, float]) -> None:
    outside.otherwise = lambda seen: Reply(200, b" " * 1000, **slow)
    began = time.monotonic()

    error = failure(at(outside.url))

    assert time.monotonic() - began < 30
    assert "in time" in str(error)
    assert not error.permanent


def test_it_breaks_off(at: Callable[[str], Make], outside: Outside) -> None:
    outside.otherwise = lambda seen: Reply(200, b"[" + b" " * 1000, cut=10)

    assert not failure(at(outside.url)).permanent


def test_it_has_no_end(at: Callable[[str], Make], outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiobooks.clients.wire.MOST_BYTES", 1000)
    outside.otherwise = lambda seen: Reply(200, b" " * 2000)

    assert "more than" in str(failure(at(outside.url)))


def test_a_packing_that_nobody_asked_for(at: Callable[[str], Make], outside: Outside) -> None:
    outside.otherwise = lambda seen: Reply(200, b"\x1f\x8b", {"Content-Encoding": "gzip"})

    failure(at(outside.url))


def test_it_is_something_else_that_answers(at: Callable[[str], Make], outside: Outside) -> None:
    assert "404" in str(failure(at(outside.url))) or "something else" in str(failure(at(outside.url)))


@pytest.mark.parametrize("status", [401, 403, 421])
def test_it_does_not_let_us_in(at: Callable[[str], Make], outside: Outside, status: int) -> None:
    outside.otherwise = lambda seen: Reply(status, b"Unauthorized")

    assert failure(at(outside.url)).permanent


def test_a_proxy_of_the_environment_is_not_asked(
    at: Callable[[str], Make], outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    outside.otherwise = lambda seen: Reply(500)

    failure(at(outside.url))

    assert len(outside.seen) == 1


def test_adding_fails_as_asking_does(at: Callable[[str], Make], outside: Outside) -> None:
    outside.otherwise = lambda seen: Reply(502)
    client, hash = at(outside.url)(), os.urandom(20).hex()

    for question in (client.version, client.free_space, lambda: client.add(f"magnet:?xt=urn:btih:{hash}", hash)):
        with pytest.raises(ClientError) as failed:
            question()
        assert not failed.value.permanent
