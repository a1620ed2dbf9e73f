"""Signing in: wrong passwords are counted, and none of them is kept. What the pages may load."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

pytestmark = pytest.mark.django_db

PASSWORD = "the-right-password-1"
WRONG = "a-wrong-password-2"


@pytest.fixture(autouse=True)
def quick_hasher(settings: Any) -> None:
    """What is tested is the count. To hash a hundred passwords as well as they are kept takes a minute."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def person() -> User:
    return User.objects.create_superuser("somebody", password=PASSWORD)


def sign_in(password: str, *, name: str = "somebody", address: str = "127.0.0.1") -> HttpResponse:
    data = {"username": name, "password": password}
    return Client(REMOTE_ADDR=address).post("/admin/login/", data)  # type: ignore[return-value]


def test_ten_wrong_passwords_close_the_door_for_a_quarter_of_an_hour(person: User) -> None:
    now = timezone.now()
    with time_machine.travel(now, tick=False):
        assert [sign_in(WRONG).status_code for _ in range(10)] == [200] * 9 + [429]
        refused = sign_in(PASSWORD)
        assert refused.status_code == 429
        assert "refused for 15 minutes" in refused.content.decode()
    with time_machine.travel(now + timedelta(minutes=14), tick=False):
        assert sign_in(PASSWORD).status_code == 429
    with time_machine.travel(now + timedelta(minutes=16), tick=False):
        assert sign_in(PASSWORD).status_code == 302


def test_neither_another_name_nor_another_address_is_refused_with_it(person: User) -> None:
    for _ in range(10):
        sign_in(WRONG)
    assert sign_in(PASSWORD, address="127.0.0.2").status_code == 302
    User.objects.create_superuser("other", password=PASSWORD)
    assert sign_in(PASSWORD, name="other").status_code == 302


def attempt(password: str, forwarded: str) -> int:
    data = {"username": "somebody", "password": password}
    return (
        Client(REMOTE_ADDR="10.0.0.1").post("/admin/login/", data, headers={"X-Forwarded-For": forwarded}).status_code
    )


def test_behind_a_proxy_it_is_the_address_that_the_proxy_saw(person: User, settings: Any) -> None:
    settings.AXES_CLIENT_IP_CALLABLE = "audiobooks.middleware.address_behind_proxy"
    # A visitor may send what he likes before it.
    assert [attempt(WRONG, f"192.0.2.{number}, 198.51.100.7") for number in range(10)][-1] == 429
    assert attempt(PASSWORD, "198.51.100.8, 198.51.100.7") == 429
    assert attempt(PASSWORD, "198.51.100.7, 198.51.100.8") == 302
    assert sign_in(PASSWORD, address="10.0.0.2").status_code == 302, "a proxy that adds none"
    assert attempt(WRONG, "198.51.100.9, rubbish") == 200


def test_without_a_proxy_nobody_says_where_he_is(person: User) -> None:
    for number in range(10):
        attempt(WRONG, f"192.0.2.{number}")
    assert attempt(PASSWORD, "192.0.2.99") == 429


def test_the_right_password_begins_the_count_anew(person: User) -> None:
    for _ in range(2):
        for _ in range(9):
            assert sign_in(WRONG).status_code == 200
        assert sign_in(PASSWORD).status_code == 302


def test_no_password_is_kept_or_logged(person: User, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        for _ in range(10):
            sign_in(WRONG)
    assert AccessAttempt.objects.exists()
    kept = str(list(AccessAttempt.objects.values()))
    assert WRONG not in kept and WRONG not in caplog.text


@pytest.mark.parametrize("path", ["/admin/login/", "/admin/", "/admin/scheduling/job/", "/admin/nothing/"])
def test_pages_load_nothing_from_elsewhere(path: str, admin_client: Client) -> None:
    policy = admin_client.get(path).headers["Content-Security-Policy"]
    directives = {words[0]: words[1:] for words in (part.split() for part in policy.split(";"))}
    assert directives["default-src"] == ["'self'"]
    assert directives["script-src"] == ["'self'", "'unsafe-eval'"]
    assert directives["object-src"] == directives["frame-ancestors"] == ["'none'"]
    assert directives["form-action"] == directives["base-uri"] == ["'self'"]
