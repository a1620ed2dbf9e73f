"""How books and their fields are shown to people. What comes back is text, or HTML in which all is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString

from scheduling.display import NOTHING

from .covers import small_of
from .fields import FIELDS, Value, is_empty
from .models import Book
from .trust import FOLDER, PERSON

LONGEST_VALUE = 300
IMPORTANT = (
    "authors", "narrators", "description", "genres", "language", "runtime", "released", "publisher", "identifier", "cover",
)  # fmt: skip
"""What a complete book has. An identifier is an ASIN or an ISBN; a title each book has, and not each is in a series."""

_LABELS = {"asin": "ASIN", "isbn": "ISBN", "cover_url": "cover address"}
_SOURCES = {FOLDER: "the files", PERSON: "a person"}


def lacking(values: Mapping[str, Value]) -> list[str]:
    """Of the important fields those that are not known; `values` are those of `fields.values_of`."""
    has = {**values, "identifier": values["asin"] or values["isbn"], "cover": values["cover_url"]}
    return [name for name in IMPORTANT if is_empty(has[name])]


def label_of(name: str) -> str:
    return _LABELS.get(name, name)


def source_of(source: str) -> str:
    return _SOURCES.get(source, source.replace("_", " ").title())


def shown(name: str, value: Value) -> str:
    """A field's value in one line of text."""
    if is_empty(value):
        return NOTHING
    if name == "runtime":
        hours, minutes = divmod(round(value / 60), 60)
        return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"
    if name == "series":
        return ", ".join(place_in_words(*place) for place in value)
    if name == "abridged":
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, list) else str(value)


def place_in_words(series: str, position: str) -> str:
    return f"{series} #{position}" if position else series


def said_of(facts: Mapping[str, Any]) -> str:
    """Of an edition, by `BookFacts.as_json`: who reads it, how long, in which language, its place in a series."""
    narrators = facts.get("narrators", [])
    told = [
        ", ".join(place_in_words(one["name"], one.get("position", "")) for one in facts.get("series", [])[:1]),
        f"read by {', '.join(narrators[:2])}{' and others' if len(narrators) > 2 else ''}" if narrators else "",
        shown("runtime", facts["runtime"]) if facts.get("runtime") else "",
        facts.get("language", ""),
    ]
    return " · ".join(text for text in told if text)


def in_words(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Field, before, after of a BookChange, in the order of FIELDS."""
    names = [name for name in FIELDS if name in after]
    return [
        (label_of(name), _short(shown(name, before[name]["value"])), _short(shown(name, after[name]["value"])))
        for name in names
    ]


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def day_of(day: date) -> str:
    """Such as "23 Nov 2026"."""
    return f"{day.day} {day:%b %Y}"


def moment_of(text: str) -> datetime | None:
    """Of an `at` in a book's provenance."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def cover_of(book: Book, *, small: bool) -> SafeString:
    """The cover, or a drawn one. Its text is that of the title beside it, so there is none."""
    path = small_of(book.cover) if small else book.cover
    url = reverse("admin:audiobooks_book_cover", args=[path]) if book.cover else ""
    return render_to_string(
        "audiobooks/admin/cover.html", {"url": url, "small": small, "letter": book.title.strip()[:1]}
    )
