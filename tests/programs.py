"""Real download clients, started on loopback for a test, with nothing that would ask anybody outside."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ports import free_port

USER = "tester"
PASSWORD = "RECOGNISABLE-client-password-7f3a"
_STARTS_WITHIN = 60.0
"""Seconds."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """A client that runs. `peer_port`: where other peers reach it. `downloads`: its folder."""

    url: str
    peer_port: int
    downloads: Path


def is_missing(program: str) -> bool:
    """Whether to leave out what needs it. In CI nothing is: there its start fails."""
    return shutil.which(program) is None and not os.environ.get("CI")


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(is_missing(program), reason=f"{program} is not installed: apt-get install {program}")


@contextmanager
def qbittorrent(folder: Path, preferences: Mapping[str, str] | None = None) -> Iterator[Program]:
    """`preferences` are lines of that section of its configuration."""
    web_port, peer_port, downloads = free_port(), free_port(), folder / "downloads"
    salt = os.urandom(16)
    key = hashlib.pbkdf2_hmac("sha512", PASSWORD.encode(), salt, 100_000)
    hashed = f"{base64.b64encode(salt).decode()}:{base64.b64encode(key).decode()}"
    sections = {
        "LegalNotice": {"Accepted": "true"},
        "BitTorrent": {
            **{f"Session\\{name}": "lo" for name in ("Interface", "InterfaceName")},
            "Session\\InterfaceAddress": "127.0.0.1",
            "Session\\Port": str(peer_port),
            **{f"Session\\{name}Enabled": "false" for name in ("DHT", "LSD", "PeX", "QueueingSystem")},
            "Session\\BTProtocol": "TCP",
            "Session\\MultiConnectionsPerIp": "true",
            "Session\\DefaultSavePath": str(downloads),
        },
        "Network": {"PortForwardingEnabled": "false"},
        "Preferences": {
            "WebUI\\Address": "127.0.0.1",
            "WebUI\\Port": str(web_port),
            "WebUI\\UseUPnP": "false",
            "WebUI\\LocalHostAuth": "true",
            "WebUI\\Username": USER,
            "WebUI\\Password_PBKDF2": f'"@ByteArray({hashed})"',
            "Connection\\ResolvePeerCountries": "false",
            "Connection\\ResolvePeerHostNames": "false",
            **(preferences or {}),
        },
    }
    config = folder / "qBittorrent" / "config" / "qBittorrent.conf"
    config.parent.mkdir(parents=True)
    downloads.mkdir()
    config.write_text(
        "\n".join(
            f"[{section}]\n" + "".join(f"{name}={value}\n" for name, value in values.items())
            for section, values in sections.items()
        )
    )
    with _running(["qbittorrent-nox", f"--profile={folder}"], folder, web_port, "/api/v2/app/version"):
        yield Program(url=f"http://127.0.0.1:{web_port}", peer_port=peer_port, downloads=downloads)


@contextmanager
def transmission(folder: Path) -> Iterator[Program]:
    web_port, peer_port, downloads = free_port(), free_port(), folder / "downloads"
    downloads.mkdir()
    off = ("port-forwarding", "dht", "lpd", "pex", "utp", "blocklist", "incomplete-dir", "rpc-host-whitelist")
    # Else the torrents of other tests, which nobody has, would keep one waiting.
    off += ("download-queue",)
    settings = {
        **{f"{name}-enabled": False for name in off},
        "bind-address-ipv4": "127.0.0.1",
        "bind-address-ipv6": "::1",
        "rpc-bind-address": "127.0.0.1",
        "rpc-port": web_port,
        "rpc-whitelist": "127.0.0.1",
        "rpc-authentication-required": True,
        "rpc-username": USER,
        "rpc-password": PASSWORD,
        "peer-port": peer_port,
        "peer-port-random-on-start": False,
        "download-dir": str(downloads),
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    with _running(["transmission-daemon", "-f", "-g", str(folder)], folder, web_port, "/transmission/rpc"):
        yield Program(url=f"http://127.0.0.1:{web_port}", peer_port=peer_port, downloads=downloads)


@contextmanager
def _running(command: list[str], folder: Path, port: int, path: str) -> Iterator[None]:
    """In a session of its own, so that nothing of it is left."""
    environment = {"HOME": str(folder), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait_for(process, port, path, folder / "output.txt")
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(process: subprocess.Popen[bytes], port: int, path: str, output: Path) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request("GET", path)
            connection.getresponse()
            return
        except OSError:
            time.sleep(0.05)
        finally:
            connection.close()
    raise AssertionError(f"{process.args!r} did not start: {output.read_text(errors='replace')}")
