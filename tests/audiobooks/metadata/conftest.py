"""A doorway to a loopback server that stands in for every provider; what is in our own network has no pace."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from audiobooks.http import Doorway, Patience
from tests.audiobooks.outside import Outside


@pytest.fixture
def outside() -> Iterator[Outside]:
    with Outside() as server:
        yield server


@pytest.fixture
def http() -> Doorway:
    return Doorway(patience=Patience(read=30, total=60, first_pause=0.01, busy_pause=0.02, longest_pause=2), contact="")
