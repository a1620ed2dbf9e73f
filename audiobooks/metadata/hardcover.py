"""Hardcover (https://docs.hardcover.app/api/getting-started/): books and their editions, some of which are recordings."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from audiobooks.exceptions import HttpError, ProviderError
from audiobooks.facts import BookFacts, Contributor, SeriesPlace
from audiobooks.http import Doorway, Pace
from audiobooks.matching.names import asin, isbn13, language_code
from audiobooks.metadata import reading
from audiobooks.metadata.base import FRESH_FOR, MOST_FOUND, SEARCH_FRESH_FOR, pace_at

# 60 a minute and 5000 a day are free; each of our questions is one query.
PACE = Pace(every=1.1, at_once=1)
_AUDIO = 2
_MOST_MERGES = 3
_BOOK = """
id title subtitle description release_date canonical_id cached_image
contributions { contribution author { id name } }
book_series { position details series { id name } }
"""
_EDITIONS = f"""
query Editions($asin: String!, $isbn: String!) {{
  editions(where: {{_or: [{{asin: {{_eq: $asin}}}}, {{isbn_13: {{_eq: $isbn}}}}]}}, limit: 5) {{
    asin isbn_10 isbn_13 audio_seconds reading_format_id release_date
    language {{ code3 }} publisher {{ name }} contributions {{ contribution author {{ id name }} }}
    book {{ {_BOOK} }}
  }}
}}
"""
_BOOKS = f"query Books($id: Int!) {{ books(where: {{id: {{_eq: $id}}}}) {{ {_BOOK} }} }}"
# A search of books takes these five fields and as many weights, or fails.
_SEARCH = f"""
query Search($query: String!) {{
  search(query: $query, query_type: "Book", per_page: {MOST_FOUND}, page: 1,
    fields: "title,alternative_titles,author_names,series_names,isbns", weights: "5,1,1,3,5") {{ ids results error }}
}}
"""


class Hardcover:
    name = "hardcover"
    label = "Hardcover"
    knows_recordings = False

    def __init__(self, *, url: str, token: str) -> None:
        """The website's button copies a token with the word Bearer, and some editors break it into lines."""
        self._url = url
        self._token = re.sub(r"\s+", "", re.sub(r"^\s*(bearer\s+)+", "", token, flags=re.IGNORECASE))

    def look_up(self, http: Doorway, wanted: BookFacts) -> BookFacts | None:
        """By ASIN or ISBN an edition, by its own number a book; `id` is the book's in both."""
        own, isbn = asin(wanted.asin), next(filter(None, map(isbn13, wanted.isbns)), "")
        if own or isbn:
            data = self._query(http, "editions", _EDITIONS, {"asin": own or "-", "isbn": isbn or "-"}, FRESH_FOR)
            for edition in reading.mappings(data):
                if book := parse_edition(edition):
                    return book
        if wanted.source == self.name and reading.whole(wanted.id):
            return self._book(http, int(wanted.id))
        return None

    def search(self, http: Doorway, wanted: BookFacts) -> tuple[BookFacts, ...]:
        query = " ".join((wanted.title, *wanted.author_names[:1])).strip()
        if not wanted.title:
            return ()
        found = reading.mapping(self._query(http, "search", _SEARCH, {"query": query}, SEARCH_FRESH_FOR))
        results = found.get("results")
        if not isinstance(results, dict):
            raise ProviderError(
                f"Hardcover did not search: {reading.text(found.get('error'))[:200] or 'no results came'}."
            )
        hits = [parse_document(reading.mapping(hit.get("document"))) for hit in reading.mappings(results.get("hits"))]
        return tuple(filter(None, hits))[:MOST_FOUND]

    def _book(self, http: Doorway, own: int) -> BookFacts | None:
        """A merged book names the one it became."""
        for _ in range(_MOST_MERGES):
            rows = reading.mappings(self._query(http, "books", _BOOKS, {"id": own}, FRESH_FOR))
            if not rows:
                return None
            merged = reading.whole(rows[0].get("canonical_id"))
            if merged is None or merged == own:
                return parse_book(rows[0])
            own = merged
        return None

    def _query(self, http: Doorway, field: str, query: str, variables: dict[str, Any], fresh_for: timedelta) -> Any:
        """What the answer has under `data.<field>`. An answer with errors is none, however much else is in it."""
        if not self._token:
            raise ProviderError("Hardcover needs a token: set HARDCOVER_TOKEN.", permanent=True)
        try:
            answer = http.post_json(
                self._url,
                data={"query": query, "variables": variables},
                secret_headers={"Authorization": f"Bearer {self._token}"},
                pace=pace_at(self._url, PACE),
                fresh_for=fresh_for,
                found=lambda data: _is_found(_under(data, field)),
                or_last_good=True,
            ).data
        except HttpError as error:
            raise _explained(error) from error
        found = _under(answer, field)
        if found is None:
            errors = reading.mappings(reading.mapping(answer).get("errors"))
            said = "; ".join(reading.text(each.get("message")) for each in errors)[:200]
            raise ProviderError(f"Hardcover did not answer the question: {said or 'no data came'}.")
        return found


def _under(data: Any, field: str) -> Any:
    data = reading.mapping(data)
    return None if data.get("errors") else reading.mapping(data.get("data")).get(field)


def _is_found(data: Any) -> bool | None:
    """A search that its index refused has results of null, and no error but its own."""
    if not isinstance(data, dict):
        return None if data is None else bool(data)
    results = data.get("results")
    return bool(results.get("hits")) if isinstance(results, dict) else None


def parse_document(data: dict[str, Any]) -> BookFacts | None:
    """A book as the search shows it. Its ISBNs are those of all its editions."""
    title = reading.text(data.get("title"))
    if not title:
        return None
    featured = reading.mapping(data.get("featured_series"))
    places = [_place(featured)]
    places += [SeriesPlace(name=name) for name in reading.texts(data.get("series_names"))]
    return BookFacts(
        source=Hardcover.name,
        id=reading.text(data.get("id")),
        title=title,
        subtitle=reading.text(data.get("subtitle")),
        authors=_authors(data.get("contributions")),
        series=_each_series(places),
        genres=reading.texts(data.get("genres")),
        description=reading.plain(data.get("description")),
        released=reading.date(data.get("release_date")) or reading.date(data.get("release_year")),
        isbns=reading.each_once(isbn13(each) for each in reading.texts(data.get("isbns"))),
        cover_url=reading.https(reading.mapping(data.get("image")).get("url")),
    )


def parse_book(data: dict[str, Any]) -> BookFacts | None:
    title = reading.text(data.get("title"))
    if not title:
        return None
    return BookFacts(
        source=Hardcover.name,
        id=reading.text(data.get("id")),
        title=title,
        subtitle=reading.text(data.get("subtitle")),
        authors=_authors(data.get("contributions")),
        series=_each_series([_place(each) for each in reading.mappings(data.get("book_series"))]),
        description=reading.plain(data.get("description")),
        released=reading.date(data.get("release_date")),
        cover_url=reading.https(reading.mapping(data.get("cached_image")).get("url")),
    )


def parse_edition(data: dict[str, Any]) -> BookFacts | None:
    """The edition, with what its book knows besides."""
    book = parse_book(reading.mapping(data.get("book")))
    if book is None:
        return None
    is_audio = data.get("reading_format_id") == _AUDIO
    numbers = (reading.text(data.get("isbn_13")), reading.text(data.get("isbn_10")))
    return BookFacts(
        source=Hardcover.name,
        id=book.id,
        title=book.title,
        subtitle=book.subtitle,
        authors=_authors(data.get("contributions")) or book.authors,
        narrators=reading.each_once(
            reading.text(reading.mapping(each.get("author")).get("name"))
            for each in reading.mappings(data.get("contributions"))
            if reading.text(each.get("contribution")).lower() in ("narrator", "reader", "performer")
        ),
        series=book.series,
        description=book.description,
        language=language_code(reading.text(reading.mapping(data.get("language")).get("code3"))),
        runtime=reading.whole(data.get("audio_seconds")) if is_audio else None,
        publisher=reading.text(reading.mapping(data.get("publisher")).get("name")),
        released=reading.date(data.get("release_date")),
        asin=asin(reading.text(data.get("asin"))),
        isbns=reading.each_once(map(isbn13, numbers)),
        cover_url=book.cover_url,
        is_audio=is_audio,
    )


def _authors(value: Any) -> tuple[Contributor, ...]:
    """Of [{contribution, author}]; who has no role is an author, and so is who has that one."""
    found: dict[str, Contributor] = {}
    for each in reading.mappings(value):
        author = reading.mapping(each.get("author"))
        name = reading.text(author.get("name"))
        if name and reading.text(each.get("contribution")).lower() in ("", "author"):
            found.setdefault(name, Contributor(name=name, id=reading.text(author.get("id"))))
    return tuple(found.values())


def _place(data: dict[str, Any]) -> SeriesPlace:
    """`details` is what people wrote ("1-3"); `position` is a number, 1 for that one."""
    series = reading.mapping(data.get("series"))
    return SeriesPlace(
        name=reading.text(series.get("name")),
        position=reading.text(data.get("details")) or reading.position(data.get("position")),
        id=reading.text(series.get("id")),
    )


def _each_series(places: list[SeriesPlace]) -> tuple[SeriesPlace, ...]:
    found: dict[str, SeriesPlace] = {}
    for place in places:
        if place.name:
            found.setdefault(place.name, place)
    return tuple(found.values())


def _explained(error: HttpError) -> HttpError | ProviderError:
    data = reading.mapping(error.data)
    said = " ".join(reading.text(data.get(key)) for key in ("error", "error_description", "message")).strip()
    if error.status == 401:
        return ProviderError("Hardcover does not accept the token (any more): renew HARDCOVER_TOKEN.", permanent=True)
    if error.status == 403 and "scope" in said:
        return ProviderError(
            "The token may not read the catalogue: make one that may, for HARDCOVER_TOKEN.", permanent=True
        )
    if error.status == 403:
        return ProviderError(f"Hardcover refuses the question: {said or error}", permanent=True)
    if error.status == 400:
        if "authorization" in said.lower():
            return ProviderError("Hardcover cannot read the token: copy it anew to HARDCOVER_TOKEN.", permanent=True)
        return ProviderError(f"Hardcover does not understand the question: {said or error}", permanent=True)
    if error.status in (404, 405) or 300 <= error.status < 400:
        return ProviderError("HARDCOVER_URL leads to no Hardcover: correct it.", permanent=True)
    return error
