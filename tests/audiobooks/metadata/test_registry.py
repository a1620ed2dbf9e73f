"""Which providers are asked, what one failure costs, and how records become one."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import example, given
from hypothesis import settings as bounds
from hypothesis import strategies as st

from audiobooks.checks import check_providers
from audiobooks.exceptions import NoRecord, ProviderError, ServiceError
from audiobooks.facts import BookFacts
from audiobooks.http import Doorway
from audiobooks.metadata import reading, registry
from audiobooks.metadata.registry import ask, providers
from audiobooks.models import ServiceState
from tests.audiobooks.outside import Outside, Reply

WANTED = BookFacts(title="The Glass Meridian", asin="B0TESTAA03")


class Fake:
    """A provider that does as it is told."""

    name = "fake"
    label = "Fake"
    knows_recordings = True

    def __init__(self, *outcomes: BookFacts | ServiceError | None, url: str = "") -> None:
        self.outcomes, self.url, self.asked = list(outcomes), url, 0

    def look_up(self, http: Doorway, wanted: BookFacts) -> BookFacts | None:
        self.asked += 1
        if self.url:
            http.get_json(self.url, fresh_for=timedelta(0), or_last_good=True)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, ServiceError):
            raise outcome
        return outcome

    def search(self, http: Doorway, wanted: BookFacts) -> tuple[BookFacts, ...]:
        found = self.look_up(http, wanted)
        return () if found is None else (found,)


BOOK = BookFacts(source="fake", id="1", title="T")


def test_those_without_a_key_are_on() -> None:
    assert [provider.name for provider in providers()] == ["audnexus", "open_library", "librivox"]


@override_settings(METADATA_PROVIDERS=["hardcover", "nonsense", "librivox", "hardcover"])
def test_the_order_is_the_settings() -> None:
    assert [provider.name for provider in providers()] == ["hardcover", "librivox"]


def test_every_provider_is_what_it_is_registered_as() -> None:
    for name, make in registry.PROVIDERS.items():
        assert make().name == name and make().label
    assert set(registry._SETTINGS) == set(registry.PROVIDERS)
    assert {name for name, make in registry.PROVIDERS.items() if make().knows_recordings} == {"audnexus", "librivox"}


@pytest.mark.django_db
def test_one_failure_costs_its_own_answers_alone(outside: Outside, http: Doorway) -> None:
    outside.gives("/bad/search.json", Reply(200, b"<html>"))
    outside.gives("/vox", Reply.of({"books": [{"id": "1", "title": "Glass Meridian"}]}))
    with override_settings(
        METADATA_PROVIDERS=["open_library", "librivox"],
        OPEN_LIBRARY_URL=f"{outside.url}/bad",
        LIBRIVOX_URL=f"{outside.url}/vox",
    ):
        first, second = (ask(http, provider, "search", WANTED) for provider in providers())
    assert first.error is not None and "not JSON" in str(first.error) and first.found == ()
    assert second.error is None and [book.id for book in second.found] == ["1"] and second.as_of is not None
    assert ServiceState.objects.get(name="open_library").consecutive_failures == 1
    assert ServiceState.objects.get(name="librivox").last_success is not None


@pytest.mark.django_db
def test_a_provider_that_fails_is_left_alone_ever_longer(http: Doorway) -> None:
    fake = Fake(ServiceError("out of order"))
    pauses = []
    now = start = timezone.now()
    for _ in range(8):
        with time_machine.travel(now, tick=False):
            assert ask(http, fake, "look_up", WANTED).error is not None
            off = ServiceState.objects.get().off_until
            pauses.append(round(((off or now) - now).total_seconds() / 60))
            now = (off or now) + timedelta(seconds=1)
    assert pauses == [0, 1, 5, 15, 60, 360, 360, 360]
    assert fake.asked == 8
    with time_machine.travel(now - timedelta(minutes=5), tick=False):
        asked = ask(http, fake, "look_up", WANTED)
        assert fake.asked == 8 and "is off until" in str(asked.error) and "out of order" in str(asked.error)
    assert start < now


@pytest.mark.django_db
def test_it_comes_back(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply.of({}))
    fake = Fake(ServiceError("x"), ServiceError("x"), BOOK, url=f"{outside.url}/x")
    ask(http, fake, "look_up", WANTED)
    ask(http, fake, "look_up", WANTED)
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        assert ask(http, fake, "look_up", WANTED).found == (BOOK,)
    state = ServiceState.objects.get()
    assert (state.consecutive_failures, state.off_until, state.last_error) == (0, None, "x")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("error", "minutes"),
    [
        (ProviderError("renew the token", permanent=True), 20 * 60),
        (ProviderError("quota", retry_after=timedelta(hours=2)), 120),
        (ProviderError("quota", retry_after=timedelta(days=300)), 24 * 60),
    ],
)
def test_how_long_it_is_left_alone(http: Doorway, error: ServiceError, minutes: int) -> None:
    ask(http, Fake(error), "search", WANTED)
    off = ServiceState.objects.get().off_until
    assert off is not None and round((off - timezone.now()).total_seconds() / 60) == minutes


@pytest.mark.django_db
def test_a_new_key_is_tried_at_once(outside: Outside, http: Doorway) -> None:
    with override_settings(HARDCOVER_TOKEN="old-token-of-mine", HARDCOVER_URL=f"{outside.url}/g"):
        outside.gives("/g", Reply.of({"error": "invalid_token"}, 401))
        for _ in range(3):
            ask(http, registry.PROVIDERS["hardcover"](), "search", WANTED)
        assert len(outside.seen) == 1, "a token that was refused is not tried again"
        stored = json.dumps(list(ServiceState.objects.values()), default=str)
        assert "old-token" not in stored
    with override_settings(HARDCOVER_TOKEN="new-token-of-mine", HARDCOVER_URL=f"{outside.url}/g"):
        outside.gives("/g", Reply.of({"data": {"search": {"results": {"hits": []}}}}))
        assert ask(http, registry.PROVIDERS["hardcover"](), "search", WANTED).error is None
    assert ServiceState.objects.get().off_until is None


@pytest.mark.django_db
def test_to_have_no_record_is_no_failure(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply.of({}))
    asked = ask(http, Fake(NoRecord("gone", reason="delisted"), url=f"{outside.url}/x"), "look_up", WANTED)
    assert (asked.found, asked.reason, asked.error) == ((), "delisted", None)
    assert ServiceState.objects.get().last_success is not None


@pytest.mark.django_db
def test_who_was_not_asked_has_not_fared_well(http: Doorway) -> None:
    assert ask(http, Fake(None), "look_up", WANTED).as_of is None
    assert not ServiceState.objects.exists()


@pytest.mark.django_db
def test_last_good_answers_come_with_their_time_and_the_failure(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply.of({}), Reply(500))
    fake = Fake(BOOK, url=f"{outside.url}/x")
    first = ask(http, fake, "look_up", WANTED)
    second = ask(http, fake, "look_up", WANTED)
    assert second.found == (BOOK,) and second.as_of == first.as_of and second.error is not None
    assert ServiceState.objects.get().consecutive_failures == 1


@pytest.mark.django_db
def test_a_bug_stays_a_bug(http: Doorway) -> None:
    class Broken(Fake):
        def look_up(self, http: Doorway, wanted: BookFacts) -> BookFacts | None:
            raise KeyError("x")

    with pytest.raises(KeyError):
        ask(http, Broken(None), "look_up", WANTED)


@pytest.mark.django_db
def test_what_asking_costs(outside: Outside, http: Doorway) -> None:
    outside.gives("/x", Reply.of({}))
    fake = Fake(BOOK, url=f"{outside.url}/x")
    ask(http, fake, "look_up", WANTED)
    with CaptureQueriesContext(connection) as queries:
        ask(http, fake, "look_up", WANTED)
    assert len([each for each in queries if "SAVEPOINT" not in each["sql"]]) <= 7


# -- the settings


@pytest.mark.parametrize(
    ("changed", "ids"),
    [
        ({}, []),
        ({"METADATA_PROVIDERS": []}, []),
        ({"METADATA_PROVIDERS": ["audnexus", "goodreads"]}, ["audiobooks.E001"]),
        ({"METADATA_PROVIDERS": ["google_books", "hardcover"]}, ["audiobooks.E002", "audiobooks.E002"]),
        ({"METADATA_PROVIDERS": ["hardcover"], "HARDCOVER_TOKEN": "x"}, []),
        ({"AUDIBLE_REGION": "br"}, ["audiobooks.E003"]),
        ({"LIBRIVOX_URL": "librivox.org"}, ["audiobooks.E004"]),
    ],
)
def test_settings_that_cannot_work_are_said(changed: dict[str, Any], ids: list[str]) -> None:
    with override_settings(**changed):
        found = check_providers(None)
    assert [message.id for message in found] == ids
    assert all(message.hint for message in found)


# -- reading values


@pytest.mark.parametrize(
    ("given_date", "read"),
    [
        ("2018-02-20T00:00:00.000Z", "2018-02-20"),
        ("April 22, 2008", "2008-04-22"),
        ("Sept. 2006", "2006-09"),
        ("November 2006", "2006-11"),
        ("c1995", "1995"),
        (1995, "1995"),
        ("2006-02-31", "2006-02"),
        ("2006-13-01", "2006"),
        ("Foo 2006", "2006"),
        ("2200-01-01T00:00:00Z", ""),
        ("0", ""),
        ("1995-1997 or 2001", ""),
        ("199?", ""),
        (None, ""),
        ({}, ""),
    ],
)
def test_dates(given_date: Any, read: str) -> None:
    assert reading.date(given_date) == read


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@bounds(max_examples=300, deadline=None)
@given(JUNK)
@example("Cut off in the middle of a picture \ud83d")
def test_anything_can_be_read(value: Any) -> None:
    for read in (reading.text, reading.plain, reading.date, reading.https, reading.position):
        got = read(value)
        assert isinstance(got, str) and "\x00" not in got
        got.encode()
    assert all(isinstance(each, str) and each for each in reading.texts(value))
    found = reading.whole(value)
    assert found is None or found > 0
    reading.authors(value, id_key="asin")


@pytest.mark.parametrize(
    ("name", "is_author"),
    [
        ("Ilse Varga", True),
        ("Jean-Luc O'Neil", True),
        ("Tomas Reed - translator", False),
        ("Tomas Reed - introductions", False),
        ("Tomas Reed - editor", False),
        ("Tomas Reed – foreword", False),
        ("Tomas Reed - Übersetzer", False),
        ("Ann Lee - series editor", False),
    ],
)
def test_who_is_an_author(name: str, is_author: bool) -> None:
    assert bool(reading.authors([{"name": name}], id_key="asin")) is is_author


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("http://x.example/a?b=1&c=2", "https://x.example/a?b=1&c=2"),
        ("//x.example/a", "https://x.example/a"),
        ("https://x.example:8443/a", "https://x.example:8443/a"),
        ("http://x.example:8080/a", ""),
        ("javascript:alert(1)", ""),
        ("https://user:pw@x.example/", ""),
        ("https://x.example/a b", ""),
        ("https://[::1", ""),
        (5, ""),
    ],
)
def test_addresses(url: Any, read: str) -> None:
    assert reading.https(url) == read
