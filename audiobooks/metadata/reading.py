"""Values out of JSON that may be of any shape. What is not as expected is unknown; nothing is made up.

Each function takes whatever a key may hold, and gives an empty value where that cannot be read.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable
from datetime import date as calendar_date
from typing import Any
from urllib.parse import urlsplit

import nh3

from audiobooks.facts import Contributor

# Audible's placeholders are 2200-01-01.
_LAST_YEAR = 2100
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = re.compile(
    "jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sept?(ember)?|oct(ober)?|nov(ember)?|dec(ember)?"
)
# What stands behind a name that is not, or not only, an author's: "Tomas Reed - translator".
_ROLE = re.compile(
    r"\s+[-–]\s+(?:\w+\s+)?(?:translat\w+|edit(?:or|ors|ed by)|introduct\w+|forewords?|afterwords?|preface|prologue"
    r"|contribut\w+|adapt\w+|illustrat\w+|commentary|compil\w+|notes?|direct\w+|produc\w+|narrat\w+|read by"
    r"|übersetz\w+|herausgeb\w+|traduct\w+|tradutt\w+|éditeur|prólogo|préface|vorwort)\s*$",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"[^\n\t\r -\U0010ffff]")
_BREAKS = re.compile(r"<\s*(?:br|/?p|/?div|/?li|/?ul|/?ol|/h\d)\b[^<>]*>", re.IGNORECASE)


def mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def mappings(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; what else is in it is left out."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def text(value: Any) -> str:
    """One line. A number is its digits; entities such as &amp; are what they stand for."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    said = str(value)
    # Most are plain, and the long way is taken with every value of every answer.
    if not (said.isascii() and said.isprintable() and "&" not in said):
        said = _printable(html.unescape(said))
    return " ".join(said.split())


def texts(value: Any) -> tuple[str, ...]:
    """Of a list, or of one text in place of a list; each once, in their order."""
    return each_once(text(each) for each in (value if isinstance(value, list) else [value]))


def each_once(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value))


def plain(value: Any) -> str:
    """HTML, or text that may be HTML, as text with its paragraphs."""
    if not isinstance(value, str):
        return ""
    # It takes no half characters.
    whole_letters = value.encode("utf-8", "ignore").decode()
    unmarked = html.unescape(nh3.clean(_BREAKS.sub("\n", whole_letters), tags=set()))
    lines = [" ".join(line.split()) for line in _printable(unmarked).splitlines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _printable(value: str) -> str:
    """Without NUL and other control characters, which no database or page wants, and without half characters."""
    return _CONTROL.sub("", value).replace("\r\n", "\n").encode("utf-8", "ignore").decode()


def whole(value: Any) -> int | None:
    """A whole number above zero; zero stands for unknown in every catalogue."""
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,9}\s*", value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**9 else None


def minutes(value: Any) -> int | None:
    """Whole minutes as seconds."""
    found = whole(value)
    return None if found is None else found * 60


def position(value: Any) -> str:
    """A place in a series as text: 1.0 is "1", everything written stays as it is."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return text(value)


def date(value: Any) -> str:
    """YYYY, YYYY-MM or YYYY-MM-DD of `2018-02-20T00:00:00Z`, `April 22, 2008`, `November 2006`, `c1995`, 1995."""
    said = text(value)
    if found := re.match(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})(?![0-9]))?)?(?:T.*)?$", said):
        return _calendar(found[1], int(found[2] or 0), int(found[3] or 0))
    if found := re.fullmatch(r"([^\W\d]+)\.?\s+(?:([0-9]{1,2})(?:st|nd|rd|th)?,?\s+)?([0-9]{4})", said):
        name = found[1].lower()
        month = _MONTHS.index(name[:3]) + 1 if _MONTH.fullmatch(name) else 0
        return _calendar(found[3], month, int(found[2] or 0) if month else 0)
    years = set(re.findall(r"(?<![0-9])[0-9]{4}(?![0-9])", said))
    return _calendar(years.pop(), 0, 0) if len(years) == 1 and not re.search(r"[0-9]\?|--", said) else ""


def _calendar(year: str, month: int, day: int) -> str:
    if not 1000 <= int(year) < _LAST_YEAR:
        return ""
    if not 1 <= month <= 12:
        return year
    try:
        return calendar_date(int(year), month, day).isoformat()
    except ValueError:
        return f"{year}-{month:02}"


def https(value: Any) -> str:
    """An address as https, whatever it was given as; empty where it is none of the web."""
    said = value.strip() if isinstance(value, str) and value == _printable(value) else ""
    try:
        parts = urlsplit("https:" + said if said.startswith("//") else said)
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or re.search(r"\s", said):
        return ""
    if parts.scheme == "http" and port not in (None, 80):
        return ""
    return parts._replace(scheme="https", netloc=parts.hostname if port in (None, 80, 443) else parts.netloc).geturl()


def authors(value: Any, *, id_key: str) -> tuple[Contributor, ...]:
    """Of a list of {name, id}; those who translated or introduced are none."""
    found: dict[str, Contributor] = {}
    for each in mappings(value):
        name = text(each.get("name"))
        if name and not _ROLE.search(name):
            found.setdefault(name, Contributor(name=name, id=text(each.get(id_key))))
    return tuple(found.values())


def abridged(value: Any) -> bool | None:
    """Audible's format type; "original_recording" and the like say nothing of it."""
    return {"abridged": True, "unabridged": False}.get(text(value).lower())
