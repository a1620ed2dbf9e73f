"""What is blanked out of texts and log lines, and what stays readable."""

from __future__ import annotations

import io
import logging
import time

import pytest
from django.conf import settings

from scheduling.redaction import RedactingFormatter, blanked, redact


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        # Addresses: the password ends at the last @ before the path.
        ("https://user:hunter22@host/path", "https://user:[secret]@host/path"),
        ("https://user:pa@ss@host", "https://user:[secret]@host"),
        ("https://user:pa@ss:w@host:8080/a@b", "https://user:[secret]@host:8080/a@b"),
        ("redis://:hunter22@host:6379/0", "redis://:[secret]@host:6379/0"),
        # Names and values.
        ("password=hunter22", "password=[secret]"),
        ("password='two words' user=me", "password='[secret]' user=me"),
        ("password='it\\'s two' user=me", "password='[secret]' user=me"),
        ('{"password": "two words", "user": "me"}', '{"password": "[secret]", "user": "me"}'),
        ("{'token': b'two words', 'user': 'me'}", "{'token': b'[secret]', 'user': 'me'}"),
        ('"{\\"password\\": \\"two words\\", \\"user\\": 1}"', '"{\\"password\\": \\"[secret]\\", \\"user\\": 1}"'),
        ('password="cut off here', 'password="[secret]'),
        ("SECRET_KEY=hunter22", "SECRET_KEY=[secret]"),
        ("DB1_PASSWORD: hunter22", "DB1_PASSWORD: [secret]"),
        ("GET /?apikey=abc123&x=1", "GET /?apikey=[secret]&x=1"),
        ("Invalid API key: abc123.", "Invalid API key: [secret]"),
        ("mam_id=qwertz; path=/", "mam_id=[secret]; path=/"),
        ("password2=hunter22", "password2=[secret]"),
        ("AWS_SECRET_ACCESS_KEY=hunter22", "AWS_SECRET_ACCESS_KEY=[secret]"),
        ("Server=x;Pwd=hunter22;", "Server=x;Pwd=[secret];"),
        ('{"tokens": "hunter22", "user": "me"}', '{"tokens": "[secret]", "user": "me"}'),
        ("{'password': ['hunter22', 'b'], 'user': 'me'}", "{'password': [secret], 'user': 'me'}"),
        ('{"token": {"value": "hunter22"}, "user": 1}', '{"token": [secret]}, "user": 1}'),
        ("password=[secret] token=[a]b", "password=[secret] token=[secret]"),
        # Headers.
        ("Cookie: session=hunter22; path=/", "Cookie: [secret]; path=/"),
        ("X-Api-Key: 12345", "X-Api-Key: [secret]"),
        ("Authorization: Basic dTpw, Host: x", "Authorization: [secret], Host: x"),
        ("authorization: dTpw", "authorization: [secret]"),
        ("{'Authorization': 'Bearer a.b-c', 'Host': 'x'}", "{'Authorization': '[secret]', 'Host': 'x'}"),
        ("Bearer abc", "Bearer [secret]"),
        ("sent bearer a1b2c3 to host", "sent bearer [secret] to host"),
    ],
)
def test_a_secret_is_blanked_out_whole(text: str, redacted: str) -> None:
    assert redact(text) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "the token of gratitude",
        "the bearer of good news",
        "Bearer of good news",
        "3 tokens: all valid",
        "Secrets and passwords",
        "https://host/path?q=1#part",
        "http://nas:8080/books/@new",
        "http://nas:8080 or me@example.org",
        '{"at":"http://nas:8080","mail":"me@example.org"}',
        "http://[::1]:8080/a@b",
        "ssh://git@example.org/repo",
        "https://host:443?mail=me@example.org",
        "mailto:me@example.org, you@example.org",
        "12:30:05 me@example.org",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert redact(text) == text


def test_configured_secrets_are_blanked_out() -> None:
    assert redact(f"before {settings.SECRET_KEY} after") == "before [secret] after"


@pytest.mark.parametrize(
    "part",
    [
        "a",
        "a_",
        "a-",
        "token",
        "token ",
        "password='",
        'password=\\"',
        "password='\\",
        "://",
        "://a:",
        "a@",
        "bearer ",
        "token=[",
        "token={",
        "token1",
    ],
)
def test_a_long_line_takes_no_time(part: str) -> None:
    line = part * (1_000_000 // len(part))
    began = time.process_time()
    redact(line)
    redact("://a:" + line)
    assert time.process_time() - began < 1, "two lines of 1 MB"


@pytest.mark.parametrize("name", ["password", "Passwords", "password2", "tokens", "db_secret", "secret_access_key", "pwd",
                                  "cookie", "cookies", "api-keys", "Authorization"])  # fmt: skip
@pytest.mark.parametrize("held", ["hunter22", ["hunter22"], {"value": {"of": "hunter22"}}, 12345678])
def test_what_a_name_holds_is_blanked_out_of_json_whatever_it_is(name: str, held: object) -> None:
    value = [{"user": "me", name: held, "deep": [{name: held}]}]
    assert blanked(value) == [{"user": "me", name: "[secret]", "deep": [{name: "[secret]"}]}]


def test_the_rest_of_json_stays() -> None:
    value = {
        "password": None,
        "token": "",
        "has_cookie": True,
        "token_count": 3,
        "secretary": "me",
        "keys": [1, {"a": {}}],
    }
    assert blanked(value) == value


@pytest.fixture
def printed() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def logger(printed: io.StringIO) -> logging.Logger:
    """Prints as the project's terminal handler does, and stands apart from pytest's own handlers."""
    (formatter,) = {h.formatter for h in logging.getLogger().handlers if isinstance(h.formatter, RedactingFormatter)}
    handler = logging.StreamHandler(printed)
    handler.setFormatter(formatter)
    logger = logging.Logger("sample")
    logger.addHandler(handler)
    return logger


def test_messages_tracebacks_and_stacks_are_logged_without_secrets(
    logger: logging.Logger, printed: io.StringIO
) -> None:
    try:
        raise ValueError("token=hunter22")
    except ValueError:
        logger.warning("password=%s", "hunter23", exc_info=True)
    logger.warning("here", stack_info=bool("token=hunter24"))
    text = printed.getvalue()
    assert "WARNING sample: password=[secret]\nTraceback" in text
    assert "ValueError: token=[secret]" in text
    assert 'stack_info=bool("token=[secret]' in text
    assert not any(secret in text for secret in ("hunter22", "hunter23", "hunter24"))


@pytest.mark.parametrize(("message", "values"), [("%d items", "three"), ("%s %s", "one"), ("%(a)s", {"b": 1})])
def test_a_log_call_whose_values_do_not_fit_is_a_line_and_no_error(
    message: str, values: object, logger: logging.Logger, printed: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    logger.warning(message + " token=hunter22", values)
    assert f"WARNING sample: '{message} token=[secret]' (values do not fit" in printed.getvalue()
    assert capsys.readouterr().err == ""


def test_djangos_lines_pass_through_our_formatter_alone() -> None:
    assert logging.getLogger("django").handlers == []
    assert logging.getLogger("django").propagate


@pytest.mark.parametrize("name", ["torrent_pass", "rsskey", "passphrase", "authkey", "X-Api-Key", "db1_password"])
def test_names_that_trackers_and_indexers_use_are_known(name: str) -> None:
    for text in (f"GET /rss?{name}=abc123def&x=1", f"{{'{name}': 'abc123def'}}", f"{name}: abc123def"):
        assert "abc123def" not in redact(text)


NAMES = [
    "authorization",
    "password",
    "passwd",
    "secret",
    "secretkey",
    "secret_key",
    "secret-key",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "mam_id",
    "passkey",
    "passphrase",
    "torrent_pass",
    "rsskey",
    "rss_key",
    "authkey",
    "auth_key",
]


@pytest.mark.parametrize("name", [*NAMES, "api key"])
def test_a_name_is_found_however_its_letters_are_written(name: str) -> None:
    # What IGNORECASE takes for the same letter: the long s, the Kelvin sign, the dotless i and the dotted capital one.
    for written in (name, name.upper(), name.title(), *(name.replace(*pair) for pair in ("sſ", "kK", "iı", "iİ"))):
        for around in ("{}", "x{}", "ü {}", "İ\u0307 {}", "{} ſ"):
            text = around.format(f"{written}=hunter22,")
            assert "hunter22" not in redact(text) and "[secret]" in redact(text), text


def test_a_log_without_secrets_costs_little() -> None:
    text = (
        "2026-11-24T02:00:00.123Z INFO books.crawl: page 12 of https://example.org/list, 25 releases: read\n" * 10_000
    )
    began = time.process_time()
    assert redact(text) == text
    assert time.process_time() - began < 0.1
