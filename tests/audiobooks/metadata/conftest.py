"""A doorway to a loopback server that stands in for every provider, without their paces."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from audiobooks.http import Doorway, Pace, Patience
from audiobooks.metadata import audible, audnexus, google_books, hardcover, librivox, open_library
from tests.audiobooks.outside import Outside


@pytest.fixture
def outside() -> Iterator[Outside]:
    with Outside() as server:
        yield server


@pytest.fixture
def http(monkeypatch: pytest.MonkeyPatch) -> Doorway:
    fast = Pace(every=0.0, at_once=4)
    for module in (audible, audnexus, google_books, hardcover, librivox, open_library):
        monkeypatch.setattr(module, "PACE", fast)
    return Doorway(patience=Patience(read=2, total=3, first_pause=0.01, busy_pause=0.02, longest_pause=2), contact="")
