"""Which client the settings name, and what is said of settings that name none properly."""

from __future__ import annotations

from typing import Any

import pytest

from audiobooks.checks import check_torrent_client
from audiobooks.clients.qbittorrent import QBittorrent
from audiobooks.clients.registry import torrent_client
from audiobooks.clients.transmission import Transmission
from tests.programs import PASSWORD

SIGNED_IN = {"QBITTORRENT_URL": "http://10.0.0.5:8080", "QBITTORRENT_USER": "me", "QBITTORRENT_PASSWORD": PASSWORD}


def put(settings: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(settings, name, value)


def ids() -> list[str | None]:
    return [each.id for each in check_torrent_client(None)]


def test_no_client() -> None:
    assert torrent_client() is None
    assert ids() == []


def test_qbittorrent(settings: Any) -> None:
    put(settings, SIGNED_IN)

    assert isinstance(torrent_client(), QBittorrent)
    assert ids() == []


def test_transmission_without_a_password(settings: Any) -> None:
    settings.TRANSMISSION_URL = "http://[fd00::5]:9091/transmission/rpc"

    assert isinstance(torrent_client(), Transmission)
    assert ids() == []


def test_it_is_one_object_until_the_settings_change(settings: Any) -> None:
    put(settings, SIGNED_IN)
    first = torrent_client()

    assert torrent_client() is first
    settings.QBITTORRENT_PASSWORD = "corrected"
    assert torrent_client() is not first


def test_a_process_that_was_forked_off_has_its_own(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put(settings, SIGNED_IN)
    first = torrent_client()
    monkeypatch.setattr("audiobooks.clients.registry.os.getpid", lambda: 1)

    assert torrent_client() is not first


def test_two_clients_are_none(settings: Any) -> None:
    put(settings, {**SIGNED_IN, "TRANSMISSION_URL": "http://10.0.0.5:9091"})

    assert torrent_client() is None
    assert ids() == ["audiobooks.E040"]


@pytest.mark.parametrize(
    "values",
    [
        {"QBITTORRENT_USER": ""},
        {"QBITTORRENT_PASSWORD": ""},
        {"QBITTORRENT_URL": ""},
        {"QBITTORRENT_URL": "", "TRANSMISSION_URL": "http://10.0.0.5:9091"},
        {"TRANSMISSION_USER": "me"},
        {"TRANSMISSION_PASSWORD": PASSWORD},
    ],
)
def test_half_of_the_settings(settings: Any, values: dict[str, str]) -> None:
    put(settings, {**SIGNED_IN, **values})

    [problem] = check_torrent_client(None)

    assert problem.id == "audiobooks.E041"
    assert PASSWORD not in f"{problem.msg} {problem.hint}"


@pytest.mark.parametrize(
    "url",
    [
        *("10.0.0.5:8080", "ftp://10.0.0.5", "http://", "http:///x", "http://[::1", "http://10.0.0.5:99999"),
        *(f"http://me:{PASSWORD}@10.0.0.5:8080", "http://10.0.0.5/?x=1", "http://10.0.0.5/#x", "http://10.0.0.5 /"),
    ],
)
def test_an_address_that_is_none(settings: Any, url: str) -> None:
    put(settings, {**SIGNED_IN, "QBITTORRENT_URL": url})

    [problem] = check_torrent_client(None)

    assert problem.id == "audiobooks.E042"
    assert PASSWORD not in f"{problem.msg} {problem.hint}"


@pytest.mark.parametrize(
    ("paths", "is_good"),
    [
        ({"/downloads": "/mnt/t", "D:\\Torrents": "/mnt/t"}, True),
        ({"downloads": "/mnt/t"}, False),
        ({"/downloads": "mnt/t"}, False),
        ({"/downloads": ""}, False),
        ({"": "/mnt/t"}, False),
        ({"/downloads": "D:\\t"}, False),
        ({"/downloads/..": "/mnt/t"}, False),
    ],
)
def test_paths_that_lead_nowhere(settings: Any, paths: dict[str, str], is_good: bool) -> None:
    settings.DOWNLOAD_PATHS = paths

    assert ids() == ([] if is_good else ["audiobooks.E043"])
