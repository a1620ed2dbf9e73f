"""Which sources are turned on, what one failure costs, and which settings cannot work."""

from __future__ import annotations

import threading
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import time_machine
from django.test import override_settings
from django.utils import timezone

from audiobooks.checks import check_sources
from audiobooks.exceptions import Gone, Refused, ServiceError
from audiobooks.http import Doorway
from audiobooks.models import ServiceState, SourceSession
from audiobooks.sources import registry
from audiobooks.sources.base import HasAccount, ListedByDay, Page, Source
from audiobooks.sources.registry import KeptSession, ask, source, sources

INDEXERS = [{"name": name, "url": f"http://127.0.0.1:9/{name}/api", "key": "k0"} for name in ("fiction", "other")]


class Fake:
    name, label = "fiction", "Fiction"

    def __init__(self, *outcomes: Page | ServiceError) -> None:
        self.outcomes, self.asked = list(outcomes), 0

    def newest(self, http: Doorway, cursor: str = "") -> Page:
        self.asked += 1
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, ServiceError):
            raise outcome
        return outcome


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({}, ["librivox"]),
        ({"MAM_SESSION": "s"}, ["myanonamouse"]),
        ({"TORZNAB_INDEXERS": INDEXERS}, ["fiction", "other"]),
        ({"MAM_SESSION": "s", "TORZNAB_INDEXERS": INDEXERS}, ["myanonamouse", "fiction", "other"]),
        ({"SOURCES": ["other", "librivox", "other", "nope"], "TORZNAB_INDEXERS": INDEXERS}, ["other", "librivox"]),
        ({"SOURCES": ["myanonamouse"]}, ["myanonamouse"]),
        ({"TORZNAB_INDEXERS": [{"name": "librivox", "url": "http://x/", "key": ""}]}, ["librivox"]),
    ],
)
def test_which_are_on(changed: dict[str, Any], names: list[str]) -> None:
    with override_settings(**changed):
        assert [each.name for each in sources()] == names
        for each in sources():
            assert each.label


def test_what_they_can() -> None:
    def can(source: Source) -> tuple[bool, bool]:
        return isinstance(source, HasAccount), isinstance(source, ListedByDay)

    with override_settings(TORZNAB_INDEXERS=INDEXERS):
        assert can(source("myanonamouse")) == (True, False)
        assert can(source("librivox")) == (False, True)
        assert can(source("fiction")) == (False, False)
        with pytest.raises(KeyError):
            source("nope")


@pytest.mark.django_db
def test_one_that_failed_is_left_alone_beside_a_provider_of_its_name(http: Doorway) -> None:
    fake: Any = Fake(ServiceError("broken", permanent=True), Page(releases=(), rows=0), Page(releases=(), rows=0))
    with override_settings(TORZNAB_INDEXERS=INDEXERS):
        ServiceState.objects.record_success("fiction", "x")
        assert ask(http, fake, fake.newest).error is not None
        assert "is off until" in str(ask(http, fake, fake.newest).error) and fake.asked == 1
    with override_settings(TORZNAB_INDEXERS=[{**INDEXERS[0], "key": "another"}]):
        assert ask(http, fake, fake.newest).answer == Page(releases=(), rows=0)
    with override_settings(TORZNAB_INDEXERS=INDEXERS), time_machine.travel(timezone.now() + timedelta(days=2)):
        assert ask(http, fake, partial(fake.newest, cursor="1")).error is None
    assert {state.name for state in ServiceState.objects.all()} == {"fiction", "source:fiction"}


@pytest.mark.parametrize("error", [Gone("It is gone.", permanent=True), Refused("Too many.")])
@pytest.mark.django_db
def test_what_is_not_given_is_no_failure_of_the_source(http: Doorway, error: ServiceError) -> None:
    fake = Fake(error, error, Page(releases=(), rows=1))
    asked = [ask(http, fake, fake.newest) for _ in range(3)]  # type: ignore[arg-type]
    assert [each.error for each in asked] == [error, error, None] and asked[2].answer is not None
    assert not ServiceState.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_session_is_kept_for_all_threads_and_never_emptied() -> None:
    kept = KeptSession("myanonamouse", "Seed")
    assert (kept.load().seed, kept.load().current) == ("Seed", "")
    thread = threading.Thread(target=lambda: kept.save("newer", seed="Seed"))
    thread.start()
    thread.join()
    assert KeptSession("myanonamouse", "Seed").load().current == "newer"
    kept.save("of another", seed="Another")
    assert kept.load().current == "newer" and KeptSession("myanonamouse", "").load().seed == ""
    assert "newer" not in repr(kept.load()) and "Seed" not in SourceSession.objects.get().seed
    SourceSession.objects.all().delete()


@pytest.mark.parametrize(
    ("changed", "ids"),
    [
        ({}, []),
        ({"SOURCES": ["librivox", "goodreads"]}, ["E010"]),
        ({"SOURCES": ["myanonamouse"]}, ["E011"]),
        ({"SOURCES": ["myanonamouse"], "MAM_SESSION": "x"}, []),
        ({"SOURCES": ["other"], "TORZNAB_INDEXERS": INDEXERS}, []),
        ({"TORZNAB_INDEXERS": [*INDEXERS, INDEXERS[0]]}, ["E012", "E012"]),
        ({"TORZNAB_INDEXERS": [{"name": "librivox", "url": "http://x/", "key": "k"}]}, ["E012"]),
        ({"TORZNAB_INDEXERS": [{"name": "Übrig", "url": "http://x/", "key": "k"}]}, ["E012"]),
        ({"TORZNAB_INDEXERS": [{"name": "x", "url": "recognisable", "key": "k"}]}, ["E012"]),
        ({"TORZNAB_INDEXERS": [{"name": "x", "url": "http://[10.0.0.5:9696/recognisable", "key": "k"}]}, ["E012"]),
        ({"MAM_LANGUAGES": ["en", "tlh"]}, ["E013"]),
        ({"MAM_URL": "myanonamouse.net"}, ["E014"]),
        ({"MAM_URL": "https://[::1"}, ["E014"]),
        ({"ARCHIVE_URL": "ftp://x"}, ["E014"]),
        ({"CRAWL_PAGES": 0}, ["E015"]),
    ],
)
def test_settings_that_cannot_work_are_said(changed: dict[str, Any], ids: list[str]) -> None:
    with override_settings(**changed):
        found = check_sources(None)
    assert [message.id for message in found] == [f"audiobooks.{each}" for each in ids]
    assert all(message.hint for message in found) and "recognisable" not in str(found)


def test_another_key_is_the_same_listing() -> None:
    with override_settings(TORZNAB_INDEXERS=INDEXERS):
        before = registry.listing_of("fiction")
        assert before != registry.listing_of("other")
    with override_settings(TORZNAB_INDEXERS=[{**INDEXERS[0], "key": "another"}]):
        assert registry.listing_of("fiction") == before
