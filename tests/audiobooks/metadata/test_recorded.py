"""Every recorded answer is read, and nothing is read into it.

The recordings lie beside the checkout and are not ours to publish; where they are absent, this is skipped.
"""

from __future__ import annotations

import gzip
import html
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from audiobooks.facts import BookFacts
from audiobooks.matching.names import isbn13, language_code
from audiobooks.metadata import audible, audnexus, google_books, hardcover, librivox, open_library
from tests.recorded import RECORDED

FOLDERS = ("audible", "audnexus", "google_books", "hardcover", "librivox", "open_library")
FILES = [path for folder in FOLDERS for path in sorted((RECORDED / folder).glob("*"))]

pytestmark = pytest.mark.skipif(not FILES, reason=f"no recorded answers in {RECORDED}")

Pair = tuple[dict[str, Any], BookFacts | None]


def read_audible(data: Any) -> Iterator[Pair]:
    for each in data.get("products") or [data.get("product", data)]:
        yield each, audible.parse(each, "us")


def read_audnexus(data: Any) -> Iterator[Pair]:
    rows = data if isinstance(data, list) else [data]
    # The samples are grouped under names.
    rows = [sample for row in rows for sample in (_samples(row) if "_comment" in row else [row])]
    for each in rows:
        yield each, audnexus.parse(each, "us")


def _samples(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [sample for group in row.values() if isinstance(group, list) for sample in group if isinstance(sample, dict)]


def read_google(data: Any) -> Iterator[Pair]:
    for each in data if isinstance(data, list) else data.get("items", [data]):
        yield each, google_books.parse(each)


def read_hardcover(data: Any) -> Iterator[Pair]:
    hits = data.get("data", {}).get("search", {}).get("results", {}).get("hits", [])
    for hit in hits:
        yield hit["document"], hardcover.parse_document(hit["document"])


def read_librivox(data: Any) -> Iterator[Pair]:
    for each in librivox._books(data):
        yield each, librivox.parse(each)


def read_open_library(data: Any) -> Iterator[Pair]:
    if "docs" in data:
        for each in data["docs"]:
            yield each, open_library.parse_document(each)
        return
    for each in data.get("entries", [data]):
        yield each, open_library.parse_record(each)


READERS: dict[str, Callable[[Any], Iterator[Pair]]] = {
    "audible": read_audible,
    "audnexus": read_audnexus,
    "google_books": read_google,
    "hardcover": read_hardcover,
    "librivox": read_librivox,
    "open_library": read_open_library,
}
# Answers that hold no record of a book, by what they are.
WITHOUT_BOOKS = {
    # A podcast.
    "catalog-product-B08JC5J5HR-audnexus.json",
    *(
        "catalog-product-delisted-B089T8FSK6.json",
        "catalog-product-unknown-asin.json",
        "catalog-series-B0182NWM9I.json",
    ),
    *("content-metadata-chapters-B017V4IM1G.json", "content-metadata-chapters-galaxys-edge.json"),
    *(
        "audimeta-series.json",
        "authors-B00G0WYW92.json",
        "books-1721358595-chapters.json",
        "books-B079LRSMNN-chapters.json",
    ),
    *("error-ilike-http403.json", "search-series-harry-potter.json", "error-not-found.json"),
    *("shelfarr-search-no-results.json", "shelfarr-work-not-found-http404.json"),
    *("error-page-1.html", "error-page-2.html"),
}
tried: set[Path] = set()


def answers(path: Path) -> list[Any]:
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]
    return [json.loads(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_it_is_read_and_nothing_is_invented(path: Path) -> None:
    tried.add(path)
    if path.suffix == ".html":
        with pytest.raises(ValueError):
            answers(path)
        return
    pairs = [pair for answer in answers(path) for pair in READERS[path.parent.name](answer)]
    books = [book for _, book in pairs if book is not None]
    assert bool(books) is (path.name not in WITHOUT_BOOKS)
    # Whatever has a title is a book, but for what says that it is something else.
    for raw, book in pairs:
        if book is not None:
            occurs(raw, book)
            assert BookFacts.from_json(json.loads(json.dumps(book.as_json()))) == book


def test_each_file_was_tried(request: pytest.FixtureRequest) -> None:
    on_disk = {path for folder in FOLDERS for path in (RECORDED / folder).rglob("*") if path.is_file()}
    assert set(FILES) == on_disk and len(on_disk) > 100
    selected = sum("test_it_is_read" in item.nodeid for item in request.session.items)
    if selected == len(FILES):
        assert tried == on_disk


def letters(text: str) -> str:
    return "".join(each for each in text.casefold() if each.isalnum())


def scalars(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield str(key)
            yield from scalars(each)
    elif isinstance(value, list):
        for each in value:
            yield from scalars(each)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)


def occurs(raw: dict[str, Any], book: BookFacts) -> None:
    """Every value of `book` is in the raw answer, once both are without markup, case and punctuation."""
    said = list(scalars(raw))
    whole = "|".join(letters(html.unescape(re.sub(r"<[^<>]*>", " ", each))) for each in said)
    exact = set(said)

    def there(text: str) -> bool:
        return letters(text) in whole

    texts = [book.title, book.subtitle, book.publisher, *book.narrators, *book.genres, book.asin, book.id]
    texts += [part for place in book.series for part in (place.name, place.position, place.id)]
    texts += [part for author in book.authors for part in (*author.name.split(), author.id)]
    for text in filter(None, texts):
        assert there(text), text
    for paragraph in book.description.split("\n"):
        assert there(paragraph), paragraph
        assert "<p" not in paragraph and "&amp;" not in paragraph
    if book.language:
        parts = {each.rpartition("/")[2] for each in exact}
        assert book.language in {language_code(each) for each in parts if len(each) < 30}
    if book.runtime is not None:
        assert book.runtime > 0 and {str(book.runtime), str(book.runtime // 60)} & exact
    for isbn in book.isbns:
        assert isbn in {isbn13(each) for each in exact}
    if book.released:
        assert there(book.released[:4]) and re.fullmatch(r"\d{4}(-\d\d){0,2}", book.released)
        assert book.released[:4] < "2100"
    if book.abridged is not None:
        assert ("abridged" if book.abridged else "unabridged") in exact
    if book.cover_url:
        assert book.cover_url.startswith("https://")
        number = re.search(r"/(\d+)-L\.jpg$", book.cover_url)
        given = {each.replace("http://", "https://").replace("&edge=curl", "") for each in exact}
        assert (number and number[1] in exact) or book.cover_url in given
    assert {each.name for each in fields(BookFacts)} >= set(book.as_json())


def read(folder: str, name: str) -> list[BookFacts]:
    [answer] = answers(RECORDED / folder / name)
    return [book for _, book in READERS[folder](answer) if book is not None]


def test_spot_audnexus() -> None:
    [book] = read("audnexus", "books-B079LRSMNN.json")
    assert (book.title, book.asin, book.region, book.runtime) == ("Galaxy's Edge", "B079LRSMNN", "us", 1042 * 60)
    assert [(place.name, place.position, place.id) for place in book.series] == [
        ("Galaxy's Edge Series", "1-2", "B079YXK1GL")
    ]
    assert (book.author_names, book.narrators) == (("Jason Anspach", "Nick Cole"), ("R.C. Bray",))
    assert (book.released, book.language, book.abridged, book.isbns) == ("2018-02-20", "en", False, ("9781772305241",))


def test_spot_audible() -> None:
    [book] = read("audible", "catalog-product-B017V4IM1G-audnexus.json")
    assert len(book.series) == 2 and book.series[0].position == "1"
    assert book.cover_url == "https://m.media-amazon.com/images/I/91eopoUCjLL._SL1024_.jpg"
    [book] = read("audible", "catalog-product-B089T8FSK6-ca-trimmed.json")
    assert (book.runtime, book.narrators, book.language, book.abridged) == (610 * 60, (), "", None)


def test_spot_hardcover() -> None:
    books = read("hardcover", "search-book-lord-of-the-rings.json")
    assert (books[1].series[0].name, books[1].series[0].position) == ("The Lord of the Rings", "1-3")
    # An illustrator is no author.
    assert books[3].author_names == ("J.R.R. Tolkien",)


def test_spot_open_library() -> None:
    editions = read("open_library", "bookwyrm-ol_edition_list.json")
    assert [book.released for book in editions[:4]] == ["2006-11", "1996", "2006-01", "2008-04-22"]
    assert [book.is_audio for book in editions].count(True) == 4
    assert read("open_library", "search-harry-potter.json")[0].language == ""


def test_spot_librivox() -> None:
    [book] = read("librivox", "feed-audiobooks-id-1062-extended.json")
    assert (book.title, book.runtime, book.language, book.narrators) == (
        "Klassiske eventyr", 3380, "da", ("Kristoffer Hunsdahl",)
    )  # fmt: skip
    by_id = {}
    for answer in answers(RECORDED / "librivox/feed-audiobooks-extended-1998-responses.jsonl.gz"):
        by_id |= {book.id: book for _, book in read_librivox(answer) if book}
    assert len(by_id) == 1998
    # "25.35", 0, and totals that the sections give the lie.
    assert [by_id[each].runtime for each in ("1685", "8267", "8576", "10486")] == [None] * 4


def test_spot_google() -> None:
    [book] = read("google_books", "volumes-single-volume-en.json")
    assert (book.title, book.released, book.isbns) == ("Children of Time", "2018-12-11", ("9780316452502",))
    assert book.cover_url.startswith("https://books.google.com/") and "edge=curl" not in book.cover_url
    assert book.is_audio is None and book.runtime is None
