"""Several records of one book as one: each field from the source that is trusted most for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from audiobooks.facts import BookFacts

_AUDIBLE = ("audnexus", "audible")
_RECORDINGS = (*_AUDIBLE, "librivox", "hardcover")

TRUST: dict[str, tuple[str, ...]] = {
    # What is printed on the recording, then where people write with care, then what was scanned.
    "title": (*_RECORDINGS, "open_library", "google_books"),
    # Audible's are often the series' line, but of the recording; Google's are of some edition.
    "subtitle": (*_RECORDINGS, "google_books", "open_library"),
    # Hardcover and Open Library tell authors from translators; Audible writes the role into the name, where we drop it.
    "authors": ("hardcover", *_AUDIBLE, "librivox", "open_library", "google_books"),
    # Nobody else knows who reads.
    "narrators": _RECORDINGS,
    # Audible itself lists all series of a book, Audnexus two at most; Hardcover's are kept by readers.
    "series": ("audible", "audnexus", "hardcover", "open_library"),
    # Audible's are few and even; Open Library's are every word that a librarian ever used.
    "genres": (*_RECORDINGS, "google_books", "open_library"),
    "description": (*_AUDIBLE, "librivox", "hardcover", "google_books", "open_library"),
    # Of the recording; an edition in print may be in another.
    "language": (*_RECORDINGS, "google_books", "open_library"),
    "abridged": _RECORDINGS,
    "runtime": _RECORDINGS,
    "publisher": _RECORDINGS,
    "released": _RECORDINGS,
    "asin": (*_AUDIBLE, "hardcover"),
    "isbns": (*_AUDIBLE, "hardcover", "open_library", "google_books"),
    # Square ones first.
    "cover_url": (*_AUDIBLE, "librivox", "hardcover", "open_library", "google_books"),
    "is_audio": _RECORDINGS,
    # These go with the ASIN.
    "region": _AUDIBLE,
}
"""By field, most trusted first. Sources that are not named (an export, a library) come before all: a person keeps those."""

OF_A_RECORDING = frozenset({"narrators", "abridged", "runtime", "publisher", "released", "asin", "region", "is_audio"})
"""These are taken only from a record that says it is of a recording: those of a printed book are no facts of ours."""


@dataclass(frozen=True, kw_only=True)
class Merged:
    """`sources` names, for each field that `facts` has, who said it. `facts.source` and `facts.id` are empty."""

    facts: BookFacts
    sources: dict[str, str]


def merge(records: Iterable[BookFacts]) -> Merged:
    """Of records of one and the same book. Of one source, the earlier record goes first. An empty value replaces nothing."""
    records = tuple(records)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name in (each.name for each in fields(BookFacts) if each.name in TRUST):
        ranked = sorted(records, key=lambda record: _rank(name, record.source))
        for record in ranked:
            value = getattr(record, name)
            if value not in ("", None, ()) and (record.is_audio or name not in OF_A_RECORDING):
                values[name], sources[name] = value, record.source
                break
    if sources.get("region") != sources.get("asin"):
        values.pop("region", None)
        sources.pop("region", None)
    return Merged(facts=BookFacts(**values), sources=sources)


def _rank(field: str, source: str) -> int:
    known = {name for order in TRUST.values() for name in order}
    if source not in known:
        return -1
    order = TRUST[field]
    return order.index(source) if source in order else len(order)
