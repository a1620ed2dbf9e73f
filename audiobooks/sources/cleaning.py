"""Text of a page as it may be kept: without the secrets of the member who saved it, and without what no page shows."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import parse_qsl, quote, unquote, urlsplit

BLANK = "[secret]"
MOST_CHARACTERS = 500_000
"""A book of 250 pages."""

_CUT = "(It goes on; only so much is kept.)"
_NOT_KEPT = re.compile("[^\n\t -\x7e\xa0-\u2029\u202f-\u2065\u206a-\ud7ff\ue000-\ufefe\uff00-\ufff8\ufffc-\U0010ffff]")
"""Control characters, half characters, and marks that turn the direction of what follows."""
_URL = re.compile(r"(?:https?|udp|wss?|magnet)(?:://|:\?)[^\s<>\"'`|()\[\]{}]+", re.IGNORECASE)
_SECRET_PARAMETERS = re.compile(
    r"pass_?key|torrent_?pass|(?:rss|auth|api)_?key|mam_id|token|key|secret|sid|session(?:_?id)?|pass(?:word|wd)?|pwd|pid"
    r"|hash|auth|uid|user(?:name)?|dl|tr",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"(?i)(?<![a-z])(pass[_ -]?key|torrent_pass|(?:rss|auth|api)[_ -]?key|mam_id|session[_ -]?id|secret|token|password|passwd|pwd)"
    r"([\"']?\s{0,3}[=:]\s{0,3}[\"']?)([^\s\"'<>&,;()\[\]{}]{6,})"
)
_LONG = re.compile(r"[A-Za-z0-9+/=_%~-]{32,}")
_OPAQUE = re.compile(r"[A-Za-z0-9+=]{20,}")


def clean_text(text: str) -> str:
    """Without secrets and what no page shows; blanks and empty lines in order; no longer than is kept. What is clean stays as it is."""
    text = _NOT_KEPT.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).expandtabs(4)
    text = unicodedata.normalize("NFC", text)
    text = _URL.sub(lambda found: _url_in_text(found[0]), text)
    text = _NAMED.sub(_without_value, text)
    text = _LONG.sub(lambda found: BLANK if _is_secret(found[0]) else found[0], text)
    lines: list[str] = []
    length, is_cut = 0, False
    for line in (each.rstrip() for each in text.split("\n")):
        if not line and (not lines or not lines[-1]):
            continue
        if length + len(line) + 1 > MOST_CHARACTERS:
            is_cut = True
            line = line[: max(MOST_CHARACTERS - length - 1, 0)].rstrip()
        lines.append(line)
        length += len(line) + 1
        if is_cut:
            break
    while lines and not lines[-1]:
        lines.pop()
    if is_cut:
        lines += ["", _CUT]
    return "\n".join(lines)


def safe_url(url: str) -> str:
    """An address of the web as it may be kept; empty where it is none, or where it opens something as its owner."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        return ""
    path = parts.path.lower()
    pieces = parts.path.split("/")
    if "announce" in path or re.search(r"download\.php/.", path) or any(_is_secret(unquote(each)) for each in pieces):
        return ""
    try:
        asked = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=50)
    except ValueError:
        asked = [("key", "")]
    # Whose key it is stands beside it.
    is_secret = any(
        _SECRET_PARAMETERS.fullmatch(name) or _is_secret(value) or _is_secret(name) for name, value in asked
    )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    netloc = host if port is None else f"{host}:{port}"
    kept = f"{parts.path}?{parts.query}" if parts.query and not is_secret else parts.path
    kept = re.sub(r"[\s<>\"'`|()\[\]{}\\]", lambda found: quote(found[0]), kept)
    return f"{parts.scheme.lower()}://{netloc}{kept}"[:2000]


def _url_in_text(url: str) -> str:
    # What ends a sentence is not part of it.
    said = url.rstrip(".,;:!?*_")
    return (safe_url(said) or BLANK) + url[len(said) :]


def _without_value(found: re.Match[str]) -> str:
    name, between, value = found.groups()
    is_told = "=" in between or (len(value) >= 8 and any(letter.isdigit() for letter in value))
    return f"{name}{between}{BLANK}" if is_told and not value.startswith(BLANK) else found[0]


def _is_secret(text: str) -> bool:
    """Whether it looks like a key: long, and of nothing but digits of base 16, or of letters and digits without sense."""
    if re.search(r"[0-9a-fA-F]{32,}", text):
        return True
    return any(
        sum(letter.isdigit() for letter in each) >= 4 and re.search("[a-z]", each) and re.search("[A-Z]", each)
        for each in _OPAQUE.findall(text)
    )
