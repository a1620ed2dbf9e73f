"""The Audible catalogue, which anybody may read and nobody has documented.

What is known of it: https://audible.readthedocs.io/en/latest/misc/external_api.html. Everything is per marketplace.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from audiobooks.exceptions import HttpError, NoRecord, ProviderError
from audiobooks.facts import BookFacts, SeriesPlace
from audiobooks.http import Doorway, Pace
from audiobooks.matching.names import asin, isbn13, language_code
from audiobooks.metadata import reading
from audiobooks.metadata.base import FRESH_FOR, MOST_FOUND, SEARCH_FRESH_FOR, pace_at

logger = logging.getLogger(__name__)

NAME = "audible"
DOMAINS = {
    **{"us": "com", "uk": "co.uk", "au": "com.au", "jp": "co.jp"},
    **{region: region for region in ("ca", "de", "es", "fr", "in", "it")},
}
"""By region, as Audnexus knows them."""
# No limit is published; clients that were told off asked several times at once.
PACE = Pace(every=1.0, at_once=1)
_GROUPS = (
    "contributors,product_desc,product_attrs,product_extended_attrs,product_details,sku,media,series,category_ladders"
)
_PAGE = 50
_MOST_PAGES = 20
_NO_BOOKS = {
    *("AudioPart", "SinglePartIssue", "MultiPartIssue", "Periodical", "BookSeries", "Bundle"),
    *("PodcastParent", "PodcastSeason", "PodcastEpisode", "PodcastSeries"),
}


class Audible:
    """url: may hold `{domain}`, such as `co.uk`. Every `region` is a key of DOMAINS."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def product(self, http: Doorway, wanted: str, region: str) -> BookFacts | None:
        """The recording with the ASIN `wanted`; None where this marketplace has none. Raises NoRecord: it is no book."""
        data = self._one(http, wanted, region, _GROUPS)
        if is_no_book(data):
            raise NoRecord(f"Audible knows {wanted}, but not as a book.", reason="not a book")
        return parse(data, region)

    def search(self, http: Doorway, wanted: BookFacts, region: str) -> tuple[BookFacts, ...]:
        """By title and first author, and where that finds nothing, by all their words."""
        if not wanted.title:
            return ()
        author = wanted.author_names[0] if wanted.authors else ""
        exact = {"title": wanted.title, "author": author} if author else {"title": wanted.title}
        for query in (exact, {"keywords": f"{wanted.title} {author}".strip()}):
            params = {**query, "num_results": str(MOST_FOUND), "products_sort_by": "Relevance"}
            found = tuple(self._books(self._products(http, params, region), region))
            if found:
                return found[:MOST_FOUND]
        return ()

    def series_books(self, http: Doorway, series_id: str, region: str) -> tuple[BookFacts, ...]:
        """All recordings of a series in this marketplace; () where it has no such series.

        Each has this series as the first of `series`, with the position that the series gives it, which may be empty and
        is shared by other recordings of the same volume. What the marketplace does not sell has no record and is left out.
        """
        data = self._one(http, series_id, region, "relationships,product_desc,product_attrs")
        name = reading.text(data.get("title"))
        places: dict[str, str] = {}
        for row in reading.mappings(data.get("relationships")):
            kind = (row.get("relationship_to_product"), row.get("relationship_type"))
            # Not `sort`: it is the order of display, and would invent volumes.
            if kind == ("child", "series") and (child := asin(reading.text(row.get("asin")))):
                places.setdefault(child, reading.position(row.get("sequence")))
        found: dict[str, BookFacts] = {}
        wanted = list(places)
        for start in range(0, len(wanted), _PAGE):
            params = {"asins": ",".join(wanted[start : start + _PAGE]), "num_results": str(_PAGE)}
            for book in self._books(self._products(http, params, region), region):
                found.setdefault(book.asin, book)
        return tuple(
            _placed(found[each], SeriesPlace(name=name, position=places[each], id=series_id))
            for each in wanted
            if each in found
        )

    def author_books(self, http: Doorway, name: str, author_id: str, region: str) -> tuple[BookFacts, ...]:
        """All recordings of an author in this marketplace, in every language, newest (or announced) first.

        Audible knows the author by name only: namesakes are told apart by `author_id`; where that is empty, the name has
        to be the same.
        """
        found: dict[str, BookFacts] = {}
        for page in range(_MOST_PAGES):
            params = {
                "author": name,
                "num_results": str(_PAGE),
                "page": str(page),
                "products_sort_by": "-ReleaseDate",
            }
            products = self._products(http, params, region)
            asins = {reading.text(each.get("asin")) for each in products}
            # An empty page is the end, and so is one that has been before.
            if asins <= found.keys():
                return tuple(book for book in found.values() if _is_by(book, name, author_id))
            for each in products:
                book = parse(each, region)
                found.setdefault(reading.text(each.get("asin")), book or BookFacts())
        logger.warning(
            "Audible lists more than %s recordings of %s; the oldest are left out.", _MOST_PAGES * _PAGE, name
        )
        return tuple(book for book in found.values() if _is_by(book, name, author_id))

    def _one(self, http: Doorway, wanted: str, region: str, groups: str) -> dict[str, Any]:
        """Empty where the marketplace has no such product; it may also answer with a stub."""
        params = {"response_groups": groups, "image_sizes": "500,1024"}
        try:
            answer = self._get(http, f"/1.0/catalog/products/{wanted}", params, region, FRESH_FOR)
        except HttpError as error:
            if error.status == 404:
                return {}
            raise _explained(error) from error
        return reading.mapping(reading.mapping(answer).get("product"))

    def _products(self, http: Doorway, params: dict[str, str], region: str) -> list[dict[str, Any]]:
        params = {**params, "response_groups": _GROUPS, "image_sizes": "500,1024"}
        try:
            answer = reading.mapping(self._get(http, "/1.0/catalog/products", params, region, SEARCH_FRESH_FOR))
        except HttpError as error:
            if error.status == 404:
                return []
            raise _explained(error) from error
        if "products" not in answer:
            said = reading.text(answer.get("message"))[:200]
            raise ProviderError(f"Audible did not understand the question: {said or 'it sent no products'}.")
        return reading.mappings(answer["products"])

    def _get(self, http: Doorway, path: str, params: dict[str, str], region: str, fresh_for: timedelta) -> Any:
        return http.get_json(
            self._url.replace("{domain}", DOMAINS[region]) + path,
            params=params,
            pace=pace_at(self._url, PACE),
            fresh_for=fresh_for,
            found=_found,
            or_last_good=True,
        ).data

    def _books(self, products: list[dict[str, Any]], region: str) -> Iterator[BookFacts]:
        for product in products:
            if book := parse(product, region):
                yield book


def parse(product: dict[str, Any], region: str) -> BookFacts | None:
    """None where it is a stub, as for an unknown ASIN, or no book."""
    title, own = reading.text(product.get("title")), asin(reading.text(product.get("asin")))
    if not title or not own or is_no_book(product):
        return None
    return BookFacts(
        source=NAME,
        id=own,
        region=region,
        title=title,
        subtitle=reading.text(product.get("subtitle")),
        authors=reading.authors(product.get("authors"), id_key="asin"),
        narrators=reading.each_once(
            reading.text(each.get("name")) for each in reading.mappings(product.get("narrators"))
        ),
        series=tuple(
            SeriesPlace(name=name, position=reading.position(each.get("sequence")), id=reading.text(each.get("asin")))
            for each in reading.mappings(product.get("series"))
            if (name := reading.text(each.get("title")))
        ),
        genres=reading.each_once(
            reading.text(step.get("name"))
            for ladder in reading.mappings(product.get("category_ladders"))
            for step in reading.mappings(ladder.get("ladder"))
        ),
        description=reading.plain(product.get("publisher_summary"))
        or reading.plain(product.get("extended_product_description"))
        or reading.plain(product.get("merchandising_summary")),
        language=language_code(reading.text(product.get("language"))),
        abridged=reading.abridged(product.get("format_type")),
        runtime=reading.minutes(product.get("runtime_length_min")),
        publisher=reading.text(product.get("publisher_name")),
        released=reading.date(product.get("release_date")) or reading.date(product.get("issue_date")),
        asin=own,
        isbns=reading.each_once([isbn13(reading.text(product.get("isbn")))]),
        cover_url=_largest(reading.mapping(product.get("product_images"))),
        is_audio=True,
    )


def is_no_book(product: dict[str, Any]) -> bool:
    return reading.text(product.get("content_delivery_type")) in _NO_BOOKS or product.get("content_type") == "Podcast"


def _largest(images: dict[str, Any]) -> str:
    """Of {"500": address, ...}."""
    # Not isdigit, which a superscript is too.
    sized = sorted(
        (int(size), url) for size, url in images.items() if re.fullmatch("[0-9]{1,9}", size) and isinstance(url, str)
    )
    return reading.https(sized[-1][1]) if sized else ""


def _placed(book: BookFacts, place: SeriesPlace) -> BookFacts:
    others = tuple(each for each in book.series if each.id != place.id)
    own = next((each.name for each in book.series if each.id == place.id), "")
    return replace(book, series=(replace(place, name=place.name or own), *others))


def _is_by(book: BookFacts, name: str, author_id: str) -> bool:
    if author_id:
        return any(author.id == author_id for author in book.authors)
    return name.casefold() in (author.casefold() for author in book.author_names)


def _found(data: Any) -> bool | None:
    answer = reading.mapping(data)
    if "products" in answer:
        return bool(answer["products"])
    return bool(reading.mapping(answer["product"]).get("title")) if "product" in answer else None


def _explained(error: HttpError) -> ProviderError:
    said = reading.text(reading.mapping(error.data).get("message"))[:200]
    if error.status == 400:
        return ProviderError(f"Audible did not understand the question: {said or error}.")
    if error.status == 403:
        return ProviderError(f"Audible refuses this computer: {error}", retry_after=timedelta(hours=6))
    return ProviderError(str(error), permanent=error.permanent, retry_after=error.retry_after)
