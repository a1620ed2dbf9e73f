"""Audnexus (https://github.com/laxamentumtech/audnexus) for what is known by its ASIN, and the Audible catalogue that it
reads for everything else: searches, and what Audnexus loses."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

from audiobooks.exceptions import HttpError, NoRecord, ProviderError, ServiceError
from audiobooks.facts import BookFacts, SeriesPlace
from audiobooks.http import Doorway, Pace
from audiobooks.matching.names import asin, isbn13, language_code
from audiobooks.metadata import audible, reading
from audiobooks.metadata.base import FRESH_FOR, pace_at

logger = logging.getLogger(__name__)

# 100 a minute are allowed.
PACE = Pace(every=0.75, at_once=2)


class Audnexus:
    """region: the Audible marketplace asked first, a key of audible.DOMAINS."""

    name = "audnexus"
    label = "Audnexus and Audible"
    knows_recordings = True

    def __init__(self, *, url: str, audible_url: str, region: str) -> None:
        self._url, self._region = url.rstrip("/"), region
        self.audible = audible.Audible(audible_url)

    def look_up(self, http: Doorway, wanted: BookFacts) -> BookFacts | None:
        """By ASIN. The answer's `region` says which marketplace has it: the wanted one, then the configured one, then us,
        and where one of them says that it is sold elsewhere, the others.

        Raises NoRecord: it is no book, is sold no more, or is sold in none of them.
        """
        own = asin(wanted.asin) or (asin(wanted.id) if wanted.source in (self.name, audible.NAME) else "")
        if not own:
            return None
        first = list(dict.fromkeys(each for each in (wanted.region, self._region, "us") if each in audible.DOMAINS))
        elsewhere: NoRecord | None = None
        for region in (*first, *(each for each in audible.DOMAINS if each not in first)):
            if region not in first and elsewhere is None:
                return None
            try:
                book = self._book(http, own, region)
            except NoRecord as error:
                if error.reason != "region":
                    raise
                elsewhere = error
                continue
            if book is not None:
                return book
        if elsewhere is not None:
            raise elsewhere
        return None

    def search(self, http: Doorway, wanted: BookFacts) -> tuple[BookFacts, ...]:
        return self.audible.search(http, wanted, self._marketplace(wanted.region))

    def series_of(self, http: Doorway, own: str, region: str) -> BookFacts | None:
        """The recording with the ASIN `own` as Audible itself has it, with all its series and their ids."""
        return self.audible.product(http, own, self._marketplace(region))

    def series_books(self, http: Doorway, series_id: str, region: str) -> tuple[BookFacts, ...]:
        return self.audible.series_books(http, series_id, self._marketplace(region))

    def author_books(self, http: Doorway, name: str, author_id: str, region: str) -> tuple[BookFacts, ...]:
        return self.audible.author_books(http, name, author_id, self._marketplace(region))

    def _marketplace(self, region: str) -> str:
        return region if region in audible.DOMAINS else self._region

    def _book(self, http: Doorway, own: str, region: str) -> BookFacts | None:
        """Of Audnexus, or of Audible where Audnexus is out of order."""
        try:
            book = self._record(http, own, region)
        except NoRecord:
            raise
        except ServiceError as error:
            logger.warning("%s Audible itself is asked.", error)
            try:
                return self.audible.product(http, own, region)
            except NoRecord:
                raise
            except ServiceError:
                raise error from None
        if book is None or book.series:
            return book
        # Audnexus shows no series where Audible calls the publication by another name, as it does for German books.
        try:
            original = self.audible.product(http, own, region)
        except ServiceError:
            return book
        return replace(book, series=original.series) if original else book

    def _record(self, http: Doorway, own: str, region: str) -> BookFacts | None:
        try:
            answer = http.get_json(
                f"{self._url}/books/{own}",
                params={"region": region},
                pace=pace_at(self._url, PACE),
                fresh_for=FRESH_FOR,
                found=lambda data: "asin" in reading.mapping(data) or None,
                or_last_good=True,
                final=_is_region_miss,
            )
        except HttpError as error:
            _explain(error, own, region)
            return None
        book = parse(reading.mapping(answer.data), region)
        return book if book is not None and book.asin == own else None


def parse(data: dict[str, Any], region: str) -> BookFacts | None:
    """None where it is no book: without ASIN or title."""
    title, own = reading.text(data.get("title")), asin(reading.text(data.get("asin")))
    if not title or not own:
        return None
    return BookFacts(
        source=Audnexus.name,
        id=own,
        region=reading.text(data.get("region")) or region,
        title=title,
        subtitle=reading.text(data.get("subtitle")),
        authors=reading.authors(data.get("authors"), id_key="asin"),
        narrators=reading.each_once(reading.text(each.get("name")) for each in reading.mappings(data.get("narrators"))),
        series=tuple(
            SeriesPlace(name=name, position=reading.position(each.get("position")), id=reading.text(each.get("asin")))
            for each in (reading.mapping(data.get(key)) for key in ("seriesPrimary", "seriesSecondary"))
            if (name := reading.text(each.get("name")))
        ),
        genres=reading.each_once(reading.text(each.get("name")) for each in reading.mappings(data.get("genres"))),
        description=reading.plain(data.get("summary")) or reading.plain(data.get("description")),
        language=language_code(reading.text(data.get("language"))),
        abridged=reading.abridged(data.get("formatType")),
        runtime=reading.minutes(data.get("runtimeLengthMin")),
        publisher=reading.text(data.get("publisherName")),
        released=reading.date(data.get("releaseDate")),
        asin=own,
        isbns=reading.each_once([isbn13(reading.text(data.get("isbn")))]),
        cover_url=reading.https(data.get("image")),
        is_audio=True,
    )


def _said(error: HttpError) -> tuple[str, str]:
    """(code, message) of `{"error": {"code", "message"}}`, of `{"error": "Bad Request", "message"}`, and of nothing."""
    data = reading.mapping(error.data)
    inner = reading.mapping(data.get("error"))
    return reading.text(inner.get("code")), reading.text(inner.get("message")) or reading.text(data.get("message"))


def _is_region_miss(error: HttpError) -> bool:
    """Also as instances before 2026 say it, with a 500 (https://github.com/laxamentumtech/audnexus/issues/809)."""
    code, message = _said(error)
    return code == "REGION_UNAVAILABLE" or bool(re.search(r"not available in region", message, re.IGNORECASE))


def _explain(error: HttpError, own: str, region: str) -> None:
    """Returns where it says that the ASIN is unknown. Raises NoRecord or ProviderError for everything else."""
    code, message = _said(error)
    if _is_region_miss(error):
        raise NoRecord(f"{own} is not sold in region {region}.", reason="region") from error
    if code == "PRODUCT_DELISTED":
        raise NoRecord(f"{own} is not sold any more.", reason="delisted") from error
    if code == "CONTENT_TYPE_MISMATCH":
        raise NoRecord(f"Audible knows {own}, but not as a book.", reason="not a book") from error
    if error.status == 404 and error.data is not None:
        return
    if error.status == 400 and re.search("asin", message, re.IGNORECASE):
        # Releases before August 2026 refuse an ASIN of digits.
        return
    if error.status == 404:
        raise ProviderError("AUDNEXUS_URL leads to no Audnexus: correct it.", permanent=True) from error
    if error.status == 403:
        raise ProviderError(f"Audnexus refuses this computer: {error}", retry_after=timedelta(hours=6)) from error
    raise ProviderError(str(error), permanent=error.permanent, retry_after=error.retry_after) from error
