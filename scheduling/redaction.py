"""Secrets are blanked out before a text reaches a log, a Task, a page or an exception."""

import copy
import logging
import re
from collections.abc import ItemsView
from types import FrameType
from typing import Any

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter

from .conf import scheduling_settings

BLANK = "[secret]"
# A shorter value would blank out ordinary words.
_SHORTEST_SECRET = 6

# Behind it may stand a number, and in JSON an s: "3 tokens: all valid" is no secret.
_NAMES = (
    r"authorization | passwords? | passwd | pwd | secret (?:[_-]?(?:access[_-]?)?key)? | token | api[ _-]?key | cookie"
    r" | mam_id | pass(?:key|phrase) | torrent_pass | rss_?key | auth_?key"
)
_SECRET_KEY = re.compile(rf"(?: {_NAMES} ) s?\d*\Z", re.VERBOSE | re.IGNORECASE)

# Every pattern takes what it has read or stops at the next of its own beginnings, so that a long line costs linear time.
# Possessive quantifiers stand behind sets only: before Python 3.11.5 they took too much of a group (gh-106052).
# Before it stand texts of which each of its matches holds one, caseless: to look for those first makes the log of a Task
# that logs much several times cheaper.
_PATTERNS = (
    # The password in an address ends at the last @ before the path.
    (("://",), re.compile(r'(?<=://)([^/\s:@?#"<>]*):[^/\s?#"<>]*(?=@)'), rf"\1:{BLANK}"),
    # name=value, "name": "value", Name: value.
    (
        (
            *("authorization", "passw", "pwd", "cookie", "secret", "token", "apikey", "api key", "api_key", "api-key"),
            *("mam_id", "passkey", "passphrase", "torrent_pass", "rsskey", "rss_key", "authkey", "auth_key"),
        ),
        re.compile(
            rf"""
            ( (?: {_NAMES} ) \d{{0,3}} (?: s (?=\\{{0,3}}["']) )?
              \\{{0,3}}["']? [ \t]* [=:] [ \t]* )
            (?: (\\{{1,3}}["']) [^\\\n]* (?:(?!\2)\\[^\\\n]*)*    # in escaped quotes, as in JSON within JSON
              | (b?") [^"\\\n]* (?:\\.[^"\\\n]*)*
              | (b?') [^'\\\n]* (?:\\.[^'\\\n]*)*
              | (?:(?:bearer|basic)[ ]+)? [^\s"'&,;)}}\[{{][^\s"'&,;)}}]*
              | [\[{{] [^\]}}\n]*+ [^\s"'&,;)}}]*    # a list or an object, up to its end
            )
            """,
            re.VERBOSE | re.IGNORECASE,
        ),
        rf"\1\2\3\4{BLANK}",
    ),
    # The scheme of a header without its name; "the bearer of good news" is none.
    (
        ("bearer",),
        re.compile(r"\b(Bearer[ ]+(?!of\b)|(?i:bearer)[ ]+(?=[a-zA-Z_.~+/=-]*\d))[\w.~+/=-]+"),
        rf"\1{BLANK}",
    ),
)


def redact(text: str) -> str:
    """`text` without the configured secrets and without what stands behind names like `api_key=`."""
    for secret in scheduling_settings().SECRETS:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, BLANK)
    caseless = _caseless(text)
    for signs, pattern, put in _PATTERNS:
        if any(sign in caseless for sign in signs):
            text = pattern.sub(put, text)
    return text


def blanked(value: Any) -> Any:
    """A JSON value without what stands behind such names, whatever it is. Texts in it are still to pass `redact`."""
    if isinstance(value, dict):
        found = {}
        for name, held in value.items():
            is_secret = held and not isinstance(held, bool) and _SECRET_KEY.search(name)
            found[name] = BLANK if is_secret else blanked(held)
        return found
    return list(map(blanked, value)) if isinstance(value, list) else value


def _caseless(text: str) -> str:
    """As `re.IGNORECASE` sees it, or with more that looks alike."""
    if text.isascii():
        return text.lower()
    # The dotless i, and the dot that folding leaves behind the dotted capital one.
    return text.casefold().replace("\u0131", "i").replace("\u0307", "")


class RedactingFormatter(logging.Formatter):
    """For log handlers: the finished line, with traceback and stack, passes through `redact`.

    A log call whose values do not fit its message is logged all the same. A filter could do neither: an error in it is
    raised where the log call stands.
    """

    def format(self, record: logging.LogRecord) -> str:
        try:
            text = super().format(record)
        except (TypeError, ValueError, KeyError) as error:
            record = copy.copy(record)
            record.msg, record.args = f"{record.msg!r} (values do not fit: {error})", None
            text = super().format(record)
        return redact(text)


class RedactingReporterFilter(SafeExceptionReporterFilter):
    """For Django's error page: texts pass through `redact`, also those in the environment and in local variables."""

    def cleanse_setting(self, key: int | str, value: Any) -> Any:
        cleansed = super().cleanse_setting(key, value)
        return redact(cleansed) if isinstance(cleansed, str) else cleansed

    def get_traceback_frame_variables(self, request: HttpRequest | None, tb_frame: FrameType) -> ItemsView[str, Any]:
        variables = super().get_traceback_frame_variables(request, tb_frame)
        # Without their names, of which too many look secret (`author` holds "auth"); keys of dicts are looked at.
        return {name: self.cleanse_setting("", value) for name, value in variables}.items()
