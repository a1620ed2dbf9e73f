"""The sources of the settings, each a server on loopback that stands in for it and has no pace."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from audiobooks.clients import over_http
from audiobooks.http import Pace
from audiobooks.sources import librivox as librivox_source
from audiobooks.sources import myanonamouse, registry, torznab
from tests.audiobooks.way import Way, approve_by_rule, make_way
from tests.fakes.librivox import FakeLibriVox
from tests.fakes.myanonamouse import SEED, FakeMyAnonamouse
from tests.fakes.torznab import KEY, FakeTorznab

FAST = Pace(every=0.0, at_once=1)


@pytest.fixture
def mam(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeMyAnonamouse]:
    monkeypatch.setattr(myanonamouse, "PACE", FAST)
    # A test may follow one with another session in this process.
    monkeypatch.setattr(registry, "_SETTINGS_READ_AT", timezone.now())
    with FakeMyAnonamouse() as fake:
        settings.MAM_SESSION, settings.MAM_URL = SEED, fake.url
        yield fake


@pytest.fixture
def librivox(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLibriVox]:
    monkeypatch.setattr(librivox_source, "PACE", FAST)
    monkeypatch.setattr(over_http, "fetch", partial(over_http.fetch, pace=FAST))
    with FakeLibriVox() as fake:
        settings.LIBRIVOX_URL, settings.ARCHIVE_URL = fake.url, fake.archive_url
        yield fake


@pytest.fixture
def indexer(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTorznab]:
    monkeypatch.setattr(torznab, "PACE", FAST)
    with FakeTorznab() as fake:
        settings.TORZNAB_INDEXERS = [{"name": "fiction", "url": fake.url, "key": KEY}]
        yield fake


@pytest.fixture
def way(
    db: None, indexer: FakeTorznab, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Way]:
    made = make_way(indexer, settings, tmp_path, monkeypatch)
    approve_by_rule(made)
    yield made
