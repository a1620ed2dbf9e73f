"""What the tests of the way from approval to shelf share: an indexer, a client that is a file, and a library."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from audiobooks import collect
from audiobooks.clients.base import Download, Phase
from audiobooks.collect import monitor
from audiobooks.exceptions import ClientError, TorrentRefused
from audiobooks.models import Acquisition, Book
from audiobooks.tasks import series_completion_task
from scheduling.context import TaskRun
from tests.audiobooks.outside import Reply
from tests.audiobooks.running import Quiet
from tests.fakes.torznab import FakeTorznab, Item
from tests.samples.acquisitions import AUTHOR, SERIES, TITLE, make_recording, owned_and_missing
from tests.seeding import torrent_of

State = Acquisition.State
SHELF = f"{AUTHOR}/{SERIES}/02 - {TITLE}"


@dataclass
class FakeClient:
    """A torrent client whose torrents are in a file, so that they outlive a process. `error` is raised by whatever it is asked.

    phases: by hash, else it is done. given: how often it was given which torrent.
    """

    place: Path
    content: Path
    name: str = "qbittorrent"
    label: str = "qBittorrent"
    error: ClientError | None = None
    refuses: bool = False
    phase: Phase = Phase.DONE
    left: int = 0
    path: Path | None = None
    free: int | None = None
    asked: int = 0

    def version(self) -> str:
        self._fail()
        return "4.5.2"

    def add(self, torrent: bytes | str, hash: str) -> None:
        self._fail()
        if self.refuses:
            raise TorrentRefused("qBittorrent does not take this torrent.")
        self.place.write_text(
            json.dumps([*self.given(), hash]) if hash not in self.given() else json.dumps(self.given())
        )

    def given(self) -> list[str]:
        return json.loads(self.place.read_text()) if self.place.exists() else []

    def downloads(self, hashes: Collection[str]) -> Mapping[str, Download]:
        self._fail()
        size = sum(each.stat().st_size for each in self.content.rglob("*"))
        return {
            each: Download(
                hash=each, name="x", phase=self.phase, size=size, left=self.left,
                path=self.path or self.content, client_path="/theirs", error="disk full" if self.phase == Phase.FAILED else "",
            )
            for each in hashes
            if each in self.given()
        }  # fmt: skip

    def free_space(self) -> int | None:
        return self.free

    def _fail(self) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error


@dataclass
class Way:
    """All that is needed from an approval on. `look` is one run of the monitor."""

    client: FakeClient
    source: FakeTorznab
    content: Path
    library: Path
    missing: Book
    torrent: bytes
    acquisition: Acquisition = field(init=False)

    def look(self, times: int = 1) -> TaskRun:
        for _ in range(times):
            run = TaskRun(task_id=0, attempt=1, channel=Quiet())
            monitor(run)
        self.acquisition.refresh_from_db()
        return run

    @property
    def state(self) -> tuple[str, str]:
        self.acquisition.refresh_from_db()
        return self.acquisition.state, self.acquisition.problem


def make_way(indexer: FakeTorznab, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Way:
    settings.SOURCES, settings.ACQUIRE, settings.METADATA_PROVIDERS = ["fiction"], "auto", []
    settings.AUDIOBOOKS_LIBRARY, settings.AUDIOBOOKS_DOWNLOADS = tmp_path / "library", tmp_path / "downloads"
    settings.AUDIOBOOKS_LIBRARY.mkdir()
    settings.BUDGET_FREE_GB = 0.01
    _, missing = owned_and_missing()
    content = make_recording(tmp_path / "theirs" / "glass")
    torrent = torrent_of(content)
    indexer.is_home = True
    size = str(sum(each.stat().st_size for each in content.iterdir()))
    indexer.items = [offered(1, size), offered(2, size, attrs={"downloadvolumefactor": "0", "seeders": "3"})]
    for number in (1, 2):
        indexer.downloads[number] = Reply(200, torrent, {"Content-Type": "application/x-bittorrent"})
    client = FakeClient(tmp_path / "client.json", content)
    monkeypatch.setattr(collect, "torrent_client", lambda: client)
    return Way(client, indexer, content, settings.AUDIOBOOKS_LIBRARY, missing, torrent)


def offered(number: int, size: str, **changed: Any) -> Item:
    return Item(
        f"{TITLE} by {AUTHOR} [ENG / MP3]", number, size=size, **{"attrs": {"downloadvolumefactor": "0"}, **changed}
    )


def approve_by_rule(way: Way) -> None:
    series_completion_task.function(TaskRun(task_id=0, attempt=1, channel=Quiet()))
    way.acquisition = Acquisition.objects.get()
    assert way.acquisition.state == State.APPROVED
