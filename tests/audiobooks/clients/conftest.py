"""Download clients to try the adapters on: stand-ins of each version that differs, and the real programs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from audiobooks.clients.base import Download, Phase, TorrentClient
from audiobooks.clients.qbittorrent import QBittorrent
from audiobooks.clients.transmission import Transmission
from tests import programs
from tests.fakes.qbittorrent import FakeQBittorrent
from tests.fakes.transmission import FakeTransmission
from tests.programs import PASSWORD, USER, Program

Make = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Stand:
    """make: a client that is not signed in yet; what is given goes to its constructor.
    filed_under: the category or label that the torrent of this hash has there."""

    make: Make
    filed_under: Callable[[str], str]


def qbittorrent_at(url: str) -> Make:
    def make(**given: Any) -> QBittorrent:
        return QBittorrent(
            **{
                **{"url": url, "user": USER, "password": PASSWORD, "category": "audiobooks", "paths": {}},
                **{"patience": 30.0, "listed_within": 30.0},
                **given,
            }
        )

    return make


def transmission_at(url: str) -> Make:
    def make(**given: Any) -> Transmission:
        return Transmission(
            **{
                **{"url": url, "user": USER, "password": PASSWORD, "category": "audiobooks", "paths": {}},
                **{"patience": 30.0, **given},
            }
        )

    return make


@pytest.fixture(scope="session")
def real_qbittorrent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with programs.qbittorrent(tmp_path_factory.mktemp("qbittorrent")) as program:
        yield program


@pytest.fixture(scope="session")
def real_transmission(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with programs.transmission(tmp_path_factory.mktemp("transmission")) as program:
        yield program


@pytest.fixture(
    params=[
        *("qbittorrent 4.5.2", "qbittorrent 5.0.4", "qbittorrent 5.2.1", "transmission 3.00", "transmission 4.0.6"),
        pytest.param("real qbittorrent", marks=programs.needs("qbittorrent-nox")),
        pytest.param("real transmission", marks=programs.needs("transmission-daemon")),
    ]
)
def stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    kind, _, version = request.param.partition(" ")
    if kind == "real":
        make: Make = {"qbittorrent": qbittorrent_at, "transmission": transmission_at}[version](
            request.getfixturevalue(f"real_{version}").url
        )
        yield Stand(make=make, filed_under=lambda hash: _filed_under(make(), hash))
    elif kind == "qbittorrent":
        with FakeQBittorrent(version=version, listed_after=2) as fake:
            yield Stand(make=qbittorrent_at(fake.url), filed_under=lambda hash: str(fake.rows[hash]["category"]))
    else:
        with FakeTransmission(version=version, rpc=16 if version == "3.00" else 17) as other:
            yield Stand(make=transmission_at(other.url), filed_under=lambda hash: ",".join(other.rows[hash]["labels"]))


def wait_for(client: TorrentClient, hash: str, phase: Phase) -> Download:
    deadline = time.monotonic() + 60
    while True:
        download = client.downloads([hash])[hash]
        if download.phase == phase:
            return download
        assert time.monotonic() < deadline, download
        time.sleep(0.05)


def _filed_under(client: TorrentClient, hash: str) -> str:
    if isinstance(client, QBittorrent):
        return str(client._list({"hashes": hash})[0]["category"])
    assert isinstance(client, Transmission)
    return ",".join(client._ask("torrent-get", {"ids": [hash], "fields": ["labels"]})["torrents"][0]["labels"])


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A folder of files that no other test has, nor one of its name."""
    folder = tmp_path / "content" / f"Emma (read by Moira Fogarty) – {os.urandom(3).hex()}"
    (folder / "CD 2").mkdir(parents=True)
    (folder / "01.mp3").write_bytes(os.urandom(70_000))
    (folder / "CD 2" / "02.mp3").write_bytes(os.urandom(90_000))
    return folder
