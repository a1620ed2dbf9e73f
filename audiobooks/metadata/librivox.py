"""LibriVox (https://librivox.org/api/info): recordings in the public domain, by volunteers."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from audiobooks.exceptions import HttpError, ProviderError
from audiobooks.facts import BookFacts, Contributor
from audiobooks.http import Doorway, Pace
from audiobooks.matching.names import language_code
from audiobooks.metadata import reading
from audiobooks.metadata.base import FRESH_FOR, MOST_FOUND, SEARCH_FRESH_FOR, pace_at

# No limit is published; it is a small site.
PACE = Pace(every=2.0, at_once=1)
# It keeps titles without them.
_ARTICLE = re.compile(r"(?:the|an?)\s+(?=\S)", re.IGNORECASE)
_TOLERANCE = 0.2


class LibriVox:
    name = "librivox"
    label = "LibriVox"
    knows_recordings = True

    def __init__(self, *, url: str) -> None:
        self._url = url

    def look_up(self, http: Doorway, wanted: BookFacts) -> BookFacts | None:
        """By LibriVox's own number alone: its recordings have neither ASIN nor ISBN."""
        if wanted.source != self.name or not wanted.id.isascii() or not wanted.id.isdigit():
            return None
        found = self._ask(http, {"id": wanted.id}, fresh=FRESH_FOR)
        return next((book for book in found if book.id == wanted.id), None)

    def search(self, http: Doorway, wanted: BookFacts) -> tuple[BookFacts, ...]:
        """Titles that begin with the wanted one, by its first author where it names one."""
        params = asking_for(wanted.title, wanted.author_names)
        if params is None:
            return ()
        return self._ask(http, {**params, "limit": str(MOST_FOUND)}, fresh=SEARCH_FRESH_FOR)[:MOST_FOUND]

    def _ask(self, http: Doorway, params: dict[str, str], *, fresh: timedelta) -> tuple[BookFacts, ...]:
        return tuple(book for each in rows(http, self._url, params, fresh_for=fresh) if (book := parse(each)))


def asking_for(title: str, authors: tuple[str, ...]) -> dict[str, str] | None:
    title = _ARTICLE.sub("", title.strip(), count=1)
    if not title:
        return None
    surname = authors[0].split()[-1:] if authors else []
    return {"title": f"^{title}", **({"author": surname[0]} if surname else {})}


def rows(http: Doorway, url: str, params: dict[str, str], *, fresh_for: timedelta | None) -> list[dict[str, Any]]:
    """The recordings that the feed has for `params`; with `fresh_for`, also of a copy, and of an older one in need."""
    try:
        answer = http.get_json(
            url,
            params={**params, "format": "json", "extended": "1", "coverart": "1"},
            pace=pace_at(url, PACE),
            fresh_for=fresh_for,
            found=_found,
            or_last_good=True,
        )
    except HttpError as error:
        if error.status == 404 and reading.text(reading.mapping(error.data).get("error")):
            return []
        if error.status == 404:
            raise ProviderError("LIBRIVOX_URL leads to no LibriVox: correct it.", permanent=True) from error
        raise
    if "books" not in reading.mapping(answer.data):
        raise ProviderError("LibriVox answered without a list of books.")
    return _books(answer.data)


def _found(data: Any) -> bool | None:
    return bool(_books(data)) if "books" in reading.mapping(data) else None


def _books(data: Any) -> list[dict[str, Any]]:
    """`books` is a list, or in older answers an object whose keys mean nothing."""
    books = reading.mapping(data).get("books")
    return reading.mappings(list(books.values()) if isinstance(books, dict) else books)


def parse(data: dict[str, Any]) -> BookFacts | None:
    """None where it has no title. `copyright_year` is the text's, so when it was released is not known."""
    title = reading.text(data.get("title"))
    if not title:
        return None
    sections = reading.mappings(data.get("sections"))
    return BookFacts(
        source=LibriVox.name,
        id=reading.text(data.get("id")),
        title=title,
        authors=_authors(data.get("authors")),
        narrators=reading.each_once(
            reading.text(reader.get("display_name"))
            for section in sections
            for reader in reading.mappings(section.get("readers"))
        ),
        genres=reading.each_once(
            reading.text(each.get("name")).lstrip("*") for each in reading.mappings(data.get("genres"))
        ),
        description=reading.plain(data.get("description")),
        language=language_code(reading.text(data.get("language"))),
        runtime=_runtime(data, sections),
        cover_url=reading.https(data.get("coverart_jpg")),
        is_audio=True,
    )


def _authors(value: Any) -> tuple[Contributor, ...]:
    named = [
        (f"{reading.text(each.get('first_name'))} {reading.text(each.get('last_name'))}".strip(), each)
        for each in reading.mappings(value)
    ]
    found: dict[str, Contributor] = {}
    for name, each in named:
        if name and name.lower() != "unknown":
            found.setdefault(name, Contributor(name=name, id=reading.text(each.get("id"))))
    return tuple(found.values())


def _runtime(data: dict[str, Any], sections: list[dict[str, Any]]) -> int | None:
    """The total is written by hand; where its sections say something quite different, nobody knows."""
    total = reading.whole(data.get("totaltimesecs"))
    lengths = [reading.whole(each.get("playtime")) for each in sections]
    if total is None or not lengths or None in lengths:
        return total
    return total if abs(total - sum(each for each in lengths if each)) <= _TOLERANCE * total else None
