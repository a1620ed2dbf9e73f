"""A doorway to loopback servers that stand in for the sources, without their paces."""

from __future__ import annotations

import pytest

from audiobooks.http import Doorway, Pace, Patience
from audiobooks.metadata import librivox as catalogue
from audiobooks.sources import librivox, myanonamouse, torznab


@pytest.fixture
def http(monkeypatch: pytest.MonkeyPatch) -> Doorway:
    fast = Pace(every=0.0, at_once=4)
    for module in (catalogue, librivox, myanonamouse, torznab):
        monkeypatch.setattr(module, "PACE", fast)
    return Doorway(patience=Patience(read=30, total=60, first_pause=0.01, busy_pause=0.02, longest_pause=1), contact="")
