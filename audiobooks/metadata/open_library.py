"""Open Library (https://openlibrary.org/developers/api): works and their printed editions; recordings seldom."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from itertools import zip_longest
from typing import Any

from audiobooks.exceptions import HttpError, NoRecord, ProviderError
from audiobooks.facts import BookFacts, Contributor, SeriesPlace
from audiobooks.http import Doorway, Pace
from audiobooks.matching.names import isbn13, language_code
from audiobooks.metadata import reading
from audiobooks.metadata.base import FRESH_FOR, MOST_FOUND, SEARCH_FRESH_FOR, pace_at

# Requests a second: 1 for the unknown, 3 for those who say how they can be reached.
PACE = Pace(every=1.0, at_once=1)
PACE_WITH_CONTACT = Pace(every=0.4, at_once=2)
COVERS = "https://covers.openlibrary.org/b/id/{number}-L.jpg"
COVERS_REDIRECT_TO = ("archive.org",)
_FIELDS = "key,title,subtitle,author_key,author_name,first_publish_year,cover_i,language,series_key,series_name,series_position"
_KEY = re.compile(r"/(works|books)/(OL[0-9]+[WM])")
_MOST_REDIRECTS = 3


class OpenLibrary:
    """identified: whether requests say how their sender can be reached, which earns a faster pace."""

    name = "open_library"
    label = "Open Library"
    knows_recordings = False

    def __init__(self, *, url: str, identified: bool) -> None:
        self._url = url.rstrip("/")
        self._pace = pace_at(self._url, PACE_WITH_CONTACT if identified else PACE)

    def look_up(self, http: Doorway, wanted: BookFacts) -> BookFacts | None:
        """By its own key (OL…W, OL…M) or an ISBN: the record, and what only the search knows of its work, as authors' names.

        Raises NoRecord: it was deleted.
        """
        if wanted.source == self.name and re.fullmatch(r"OL[0-9]+[WM]", wanted.id):
            path = f"/{'works' if wanted.id.endswith('W') else 'books'}/{wanted.id}"
        elif isbns := reading.each_once(map(isbn13, wanted.isbns)):
            path = f"/isbn/{isbns[0]}"
        else:
            return None
        record = self._record(http, path)
        book = parse_record(record)
        if book is None:
            return None
        work = reading.text(next(iter(reading.mappings(record.get("works"))), record).get("key"))
        documents = self._search(http, {"q": f'key:"{work}"'}) if _KEY.fullmatch(work) else ()
        found = next((each for each in documents if work.endswith(each.id)), None)
        if found is None:
            return book
        return replace(book, authors=found.authors, series=found.series, cover_url=book.cover_url or found.cover_url)

    def search(self, http: Doorway, wanted: BookFacts) -> tuple[BookFacts, ...]:
        if not wanted.title:
            return ()
        params = {"title": wanted.title}
        if wanted.authors:
            params["author"] = wanted.author_names[0]
        return self._search(http, params)

    def _record(self, http: Doorway, path: str) -> dict[str, Any]:
        """Empty where there is none. A merged record says which one it became."""
        for _ in range(_MOST_REDIRECTS):
            try:
                data = reading.mapping(self._get(http, f"{path}.json", {}, FRESH_FOR))
            except HttpError as error:
                if error.status == 404:
                    return {}
                raise
            kind = reading.text(reading.mapping(data.get("type")).get("key"))
            if kind == "/type/delete":
                raise NoRecord(f"Open Library has deleted {path}.", reason="delisted")
            if kind != "/type/redirect":
                return data
            path = reading.text(data.get("location"))
            if not _KEY.fullmatch(path):
                return {}
        return {}

    def _search(self, http: Doorway, params: dict[str, str]) -> tuple[BookFacts, ...]:
        params = {**params, "fields": _FIELDS, "limit": str(MOST_FOUND)}
        data = reading.mapping(self._get(http, "/search.json", params, SEARCH_FRESH_FOR))
        if "docs" not in data:
            raise ProviderError(
                f"Open Library did not search: {reading.text(data.get('error'))[:200] or 'no list came'}."
            )
        found = [book for each in reading.mappings(data["docs"]) if (book := parse_document(each))]
        return tuple(found[:MOST_FOUND])

    def _get(self, http: Doorway, path: str, params: dict[str, str], fresh_for: timedelta) -> Any:
        try:
            return http.get_json(
                self._url + path,
                params=params,
                pace=self._pace,
                fresh_for=fresh_for,
                found=_found,
                or_last_good=True,
            ).data
        except HttpError as error:
            if error.status == 403:
                raise ProviderError(
                    "Open Library refuses requests from here: set CONTACT, so that it knows who asks.",
                    retry_after=timedelta(hours=6),
                ) from error
            if error.status == 422:
                raise ProviderError(f"Open Library did not understand the question: {error}") from error
            raise


def _found(data: Any) -> bool | None:
    answer = reading.mapping(data)
    return bool(answer["docs"]) if "docs" in answer else "key" in answer or None


def parse_document(data: dict[str, Any]) -> BookFacts | None:
    """A work as the search shows it. Its languages and ISBNs are those of all its editions."""
    title, key = reading.text(data.get("title")), _KEY.fullmatch(reading.text(data.get("key")))
    if not title or key is None:
        return None
    languages = reading.texts(data.get("language"))
    return BookFacts(
        source=OpenLibrary.name,
        id=key[2],
        title=title,
        subtitle=reading.text(data.get("subtitle")),
        authors=tuple(
            Contributor(name=name, id=own) for own, name in _side_by_side(data, "author_key", "author_name") if name
        ),
        series=tuple(
            SeriesPlace(name=name, position=place, id=own)
            for own, name, place in _side_by_side(data, "series_key", "series_name", "series_position")
            if name
        ),
        language=language_code(languages[0]) if len(languages) == 1 else "",
        released=reading.date(data.get("first_publish_year")),
        isbns=reading.each_once(isbn13(each) for each in reading.texts(data.get("isbn"))),
        cover_url=_cover([data.get("cover_i")]),
    )


def parse_record(data: dict[str, Any]) -> BookFacts | None:
    """A work or an edition; neither has its authors' names."""
    title, key = reading.text(data.get("title")), _KEY.fullmatch(reading.text(data.get("key")))
    if not title or key is None:
        return None
    described, edition = data.get("description"), key[1] == "books"
    languages = reading.mappings(data.get("languages"))
    said = reading.text(languages[0].get("key")).rpartition("/")[2] if len(languages) == 1 else ""
    numbers = (*reading.texts(data.get("isbn_13")), *reading.texts(data.get("isbn_10")))
    return BookFacts(
        source=OpenLibrary.name,
        id=key[2],
        title=title,
        subtitle=reading.text(data.get("subtitle")),
        genres=() if edition else reading.texts(data.get("subjects")),
        description=reading.plain(described) or reading.plain(reading.mapping(described).get("value")),
        language=language_code(said),
        publisher=next(iter(reading.texts(data.get("publishers"))), ""),
        released=reading.date(data.get("publish_date" if edition else "first_publish_date")),
        isbns=reading.each_once(isbn13(each) for each in numbers),
        cover_url=_cover(data.get("covers")),
        is_audio=True if re.search(r"\baudio", reading.text(data.get("physical_format")), re.IGNORECASE) else None,
    )


def _side_by_side(data: dict[str, Any], *names: str) -> list[tuple[str, ...]]:
    """Lists whose places belong together; where they are not of one length, what belongs to what is known of the last,
    the names, alone."""
    lists = [
        [reading.text(each) for each in data.get(name) or []] if isinstance(data.get(name), list) else []
        for name in names
    ]
    longest = max(map(len, lists))
    even = [each if len(each) == longest else [] for each in lists]
    name = 1
    even[name] = lists[name]
    return list(zip_longest(*even, fillvalue=""))


def _cover(numbers: Any) -> str:
    """-1 stands for a cover that was taken away."""
    found = (
        next((number for each in numbers if (number := reading.whole(each))), None)
        if isinstance(numbers, list)
        else None
    )
    return COVERS.format(number=found) if found else ""
