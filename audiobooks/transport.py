"""The wire under the doorway: which addresses may be connected to, and connections that end in time."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import cache
from typing import Any

import certifi
import httpcore
import httpx

from audiobooks.exceptions import Forbidden

OUT_OF_TIME = (httpcore.TimeoutException, httpx.TimeoutException)
BROKEN = (
    *(httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError, httpcore.UnsupportedProtocol),
    *(httpx.TransportError, OSError),
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the open internet, also where it is an IPv4 address in an IPv6 one."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif ip in _NAT64:
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        elif ip.sixtofour is not None or ip.teredo is not None:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def resolve(host: str, port: int) -> list[str]:
    """The IP addresses of a host name. Raises OSError where it has none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


@cache
def _trusted() -> ssl.SSLContext:
    """With the authorities that certifi names. To read them costs 20 ms, so they are read once."""
    return ssl.create_default_context(cafile=certifi.where())


class Transport(httpx.BaseTransport):
    """A connection per request, to the very address that was looked at, and with an end that holds for all of it.

    Of httpx's own transport neither can be had: it resolves names out of sight, and each of its steps has its own time.
    A proxy of the environment is not used: it would resolve names itself.

    Of a request's extensions it reads `timeout` (as httpx has it), `deadline` (of time.monotonic) and `public_only`. The
    answer's extension `until` sets another deadline for what is still to come.
    """

    def __init__(self, resolver: Callable[[str, int], list[str]] = resolve) -> None:
        self._resolver = resolver
        self._context = _trusted()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.SyncByteStream)
        if request.url.scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol("Only http and https are spoken.", request=request)
        backend = _Backend(self._resolver, request.extensions["deadline"], request.extensions["public_only"])
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        connection = httpcore.HTTPConnection(url.origin, ssl_context=self._context, network_backend=backend)
        with ExitStack() as failed:
            failed.callback(connection.close)
            response = connection.handle_request(
                httpcore.Request(
                    method=request.method.encode("ascii"),
                    url=url,
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions={"timeout": request.extensions["timeout"]},
                )
            )
            failed.pop_all()  # The stream closes it.
        return httpx.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_Stream(response, connection),
            request=request,
            extensions={"until": backend.until},
        )


class _Stream(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response, connection: httpcore.HTTPConnection) -> None:
        self._response, self._connection = response, connection

    def __iter__(self) -> Iterator[bytes]:
        return self._response.iter_stream()

    def close(self) -> None:
        self._response.close()
        self._connection.close()


class _Backend(httpcore.NetworkBackend):
    def __init__(self, resolver: Callable[[str, int], list[str]], deadline: float, public_only: bool) -> None:
        self._resolver, self.deadline, self._public_only = resolver, deadline, public_only
        self._plain = httpcore.SyncBackend()

    def until(self, deadline: float) -> None:
        self.deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            addresses = self._resolver(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"its name has no address ({error})") from error
        if self._public_only and not all(map(is_public, addresses)):
            raise Forbidden(f"{host} is in a private network, and a link in an answer led there.", permanent=True)
        failure: Exception = httpcore.ConnectError("its name has no address")
        for address in addresses:
            try:
                within = _time_left(self.deadline, timeout, httpcore.ConnectTimeout)
                stream = self._plain.connect_tcp(address, port, within, local_address, socket_options)
                return _Timed(stream, self)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class _Timed(httpcore.NetworkStream):
    """A connection none of whose steps outlasts the deadline of the whole, as its backend has it at the time."""

    def __init__(self, stream: httpcore.NetworkStream, backend: _Backend) -> None:
        self._stream, self._backend = stream, backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _time_left(self._backend.deadline, timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _time_left(self._backend.deadline, timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        within = _time_left(self._backend.deadline, timeout, httpcore.ConnectTimeout)
        return _Timed(self._stream.start_tls(ssl_context, server_hostname, within), self._backend)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _time_left(deadline: float, timeout: float | None, late: type[Exception]) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise late("it took too long in all")
    return left if timeout is None else min(timeout, left)
