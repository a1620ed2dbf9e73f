"""Google Books (https://developers.google.com/books/docs/v1/reference/volumes): printed and electronic books, no recordings.

Without a key all the world shares one quota, which is used up.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from audiobooks.exceptions import HttpError, ProviderError
from audiobooks.facts import BookFacts, Contributor
from audiobooks.http import Doorway, Pace
from audiobooks.matching.names import isbn13, language_code
from audiobooks.metadata import reading
from audiobooks.metadata.base import FRESH_FOR, MOST_FOUND, SEARCH_FRESH_FOR, pace_at

# More than one a second was refused.
PACE = Pace(every=1.1, at_once=1)
_QUOTA = re.compile(r"quota|limit ?exceeded|resource_exhausted", re.IGNORECASE)
_FULL_QUOTA = re.compile(r"per day|daily|limit '?0'?", re.IGNORECASE)


class GoogleBooks:
    name = "google_books"
    label = "Google Books"
    knows_recordings = False

    def __init__(self, *, url: str, key: str) -> None:
        self._url, self._key = url.rstrip("/"), key

    def look_up(self, http: Doorway, wanted: BookFacts) -> BookFacts | None:
        """By its own id or an ISBN."""
        if wanted.source == self.name and re.fullmatch(r"[\w-]{1,40}", wanted.id, re.ASCII):
            try:
                return parse(reading.mapping(self._get(http, f"/volumes/{wanted.id}", {}, FRESH_FOR)))
            except HttpError as error:
                if error.status == 404:
                    return None
                raise
        for isbn in filter(None, map(isbn13, wanted.isbns)):
            found = self._volumes(http, {"q": f"isbn:{isbn}"})
            # It answers with something else rather than with nothing.
            return next((book for book in found if isbn in book.isbns), None)
        return None

    def search(self, http: Doorway, wanted: BookFacts) -> tuple[BookFacts, ...]:
        if not wanted.title:
            return ()
        words = [f"intitle:{_quoted(wanted.title)}"]
        words += [f"inauthor:{_quoted(name)}" for name in wanted.author_names[:1]]
        language = {"langRestrict": wanted.language} if len(wanted.language) == 2 else {}
        return self._volumes(http, {"q": " ".join(words), **language})

    def _volumes(self, http: Doorway, params: dict[str, str]) -> tuple[BookFacts, ...]:
        """`items` is missing where nothing was found."""
        params = {**params, "maxResults": str(MOST_FOUND), "printType": "books"}
        data = reading.mapping(self._get(http, "/volumes", params, SEARCH_FRESH_FOR))
        if "items" not in data and "totalItems" not in data:
            raise ProviderError("Google Books answered without a list of books.")
        found = [book for each in reading.mappings(data.get("items")) if (book := parse(each))]
        return tuple(found[:MOST_FOUND])

    def _get(self, http: Doorway, path: str, params: dict[str, str], fresh_for: timedelta) -> Any:
        if not self._key:
            raise ProviderError("Google Books needs a key: set GOOGLE_BOOKS_KEY.", permanent=True)
        try:
            return http.get_json(
                self._url + path,
                params=params,
                secret_params={"key": self._key},
                pace=pace_at(self._url, PACE),
                fresh_for=fresh_for,
                found=_found,
                or_last_good=True,
                final=lambda error: error.status == 429 and bool(_FULL_QUOTA.search(_said(error))),
            ).data
        except HttpError as error:
            raise _explained(error) from error


def _found(data: Any) -> bool | None:
    answer = reading.mapping(data)
    if "volumeInfo" in answer or answer.get("items"):
        return True
    return False if "totalItems" in answer else None


def parse(data: dict[str, Any]) -> BookFacts | None:
    volume = reading.mapping(data.get("volumeInfo"))
    title = reading.text(volume.get("title"))
    if not title:
        return None
    numbers = [
        isbn13(reading.text(each.get("identifier")))
        for each in reading.mappings(volume.get("industryIdentifiers"))
        if each.get("type") in ("ISBN_10", "ISBN_13")
    ]
    return BookFacts(
        source=GoogleBooks.name,
        id=reading.text(data.get("id")),
        title=title,
        subtitle=reading.text(volume.get("subtitle")),
        authors=tuple(Contributor(name=name) for name in reading.texts(volume.get("authors"))),
        genres=reading.texts(volume.get("categories")),
        description=reading.plain(volume.get("description")),
        language=language_code(reading.text(volume.get("language"))),
        publisher=reading.text(volume.get("publisher")),
        released=reading.date(volume.get("publishedDate")),
        isbns=reading.each_once(numbers),
        cover_url=_cover(reading.mapping(volume.get("imageLinks"))),
    )


def _cover(links: dict[str, Any]) -> str:
    """The largest, without the drawn curl at its corner."""
    sizes = ("extraLarge", "large", "medium", "small", "thumbnail", "smallThumbnail")
    found = next((url for size in sizes if (url := reading.https(links.get(size)))), "")
    return found.replace("&edge=curl", "")


def _quoted(value: str) -> str:
    return '"' + value.replace('"', " ").strip() + '"'


def _said(error: HttpError) -> str:
    """All that `{"error": {"message", "status", "errors": [{"reason"}], "details": [{"reason"}]}}` says."""
    told = reading.mapping(reading.mapping(error.data).get("error"))
    reasons = [
        reading.text(each.get("reason")) for key in ("errors", "details") for each in reading.mappings(told.get(key))
    ]
    return " ".join([reading.text(told.get("message")), reading.text(told.get("status")), *reasons])


def _explained(error: HttpError) -> HttpError | ProviderError:
    said = _said(error)
    if re.search(r"limit '?0'?(?!\d)", said):
        return ProviderError(
            "Google gives this key no quota: turn on the Books API for it in the Google Cloud console.", permanent=True
        )
    if error.status == 429 or (error.status in (400, 403) and _QUOTA.search(said)):
        wait = error.retry_after or timedelta(hours=1)
        return ProviderError("The quota of GOOGLE_BOOKS_KEY is used up for now.", retry_after=wait)
    if error.status == 400 and re.search(r"API_?KEY|API key", said, re.IGNORECASE):
        return ProviderError("Google does not know this key: correct GOOGLE_BOOKS_KEY.", permanent=True)
    if error.status in (401, 403):
        return ProviderError(
            "GOOGLE_BOOKS_KEY may not be used here: lift its restriction to addresses or sites, and turn on the Books API.",
            permanent=True,
        )
    return error
