"""A stand-in for Audnexus and the Audible catalogue on loopback: a dict of books, latency, counts, and faults on demand.

Shapes of answers are those of laxamentumtech/audnexus (ApiBookSchema) and of the catalogue as mkb79/Audible tells it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Self

from audiobooks.facts import BookFacts, Contributor
from tests.audiobooks.outside import Outside, Reply, Seen

PAGE = 50
LANGUAGES = {"en": "english", "de": "german"}
FAULTS = (
    *("down", "busy", "busy without saying how long", "html", "half", "error"),
    *("wrong language", "other book", "blank", "series gone"),
)


class FakeCatalogue:
    """Everything may be changed while it runs. Use it as a context manager; `url` is the address of both services.

    books: by ASIN; asked: requests by ASIN, or by title where it was a search.
    latency: seconds before each answer; before_answer is called then. fault: one of FAULTS, of every answer, or "".
    """

    def __init__(self, books: Iterable[BookFacts] = (), *, latency: float = 0.0) -> None:
        self.books: dict[str, BookFacts] = {}
        self.asked: Counter[str] = Counter()
        self.latency = latency
        self.before_answer: Callable[[], object] = lambda: None
        self.fault = ""
        self._titles: defaultdict[str, list[str]] = defaultdict(list)
        self._outside = Outside()
        self._outside.otherwise = self._answer
        self.url = self._outside.url
        self.add(*books)

    def __enter__(self) -> Self:
        self._outside.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._outside.__exit__(None, None, None)

    @property
    def settings(self) -> dict[str, str]:
        """What makes our settings lead here and to nobody else."""
        return {"AUDNEXUS_URL": self.url, "AUDIBLE_URL": self.url, "AUDIBLE_REGION": "us"}

    @property
    def seen(self) -> list[Seen]:
        return self._outside.seen

    def add(self, *books: BookFacts) -> None:
        for book in books:
            if book.asin not in self.books:
                self._titles[book.title.casefold()].append(book.asin)
            self.books[book.asin] = book

    def _answer(self, seen: Seen) -> Reply:
        if len(self.seen) > 5000:
            self.seen.clear()
        reply = self._faulty(self._right(seen))
        self.before_answer()
        reply.delay = self.latency
        return reply

    def _right(self, seen: Seen) -> Reply:
        match seen.path.strip("/").split("/"):
            case ["books", asin]:
                self.asked[asin] += 1
                book = self._book(asin)
                if book is None:
                    return Reply.of({"error": {"code": "NOT_FOUND", "message": "not found"}}, 404)
                return Reply.of(as_audnexus(book))
            case ["1.0", "catalog", "products", asin]:
                book = self._book(asin)
                return Reply.of({"product": as_product(book) if book else self._series(asin)})
            case ["1.0", "catalog", "products"] if "asins" in seen.query:
                several = [self._book(asin) for asin in seen.query["asins"].split(",")]
                return Reply.of({"products": [as_product(book) for book in several if book]})
            case ["1.0", "catalog", "products"] if "page" in seen.query:
                begin, author = int(seen.query["page"]) * PAGE, seen.query["author"]
                by = [book for book in self.books.values() if author in book.author_names]
                return Reply.of({"products": [as_product(book) for book in by[begin : begin + PAGE]]})
            case ["1.0", "catalog", "products"]:
                title = seen.query.get("title", "")
                if title:
                    self.asked[title] += 1
                found = [self._book(asin) for asin in self._titles.get(title.casefold(), ())]
                return Reply.of({"products": [as_product(book) for book in found if book]})
        return Reply(404, b"no such page")

    def _series(self, asin: str) -> dict[str, Any]:
        """A stub where no book is in it."""
        places = [(book.asin, place) for book in self.books.values() for place in book.series if place.id == asin]
        if not places:
            return {"asin": asin}
        self.asked[asin] += 1
        kind = {"relationship_to_product": "child", "relationship_type": "series"}
        rows = [{"asin": book, "sequence": place.position, **kind} for book, place in places]
        return {"asin": asin, "title": places[0][1].name, "relationships": rows}

    def _book(self, asin: str) -> BookFacts | None:
        book = self.books.get(asin)
        if book is None:
            return None
        match self.fault:
            case "wrong language":
                return replace(book, title="Der Fluss im Nebel", language="de", narrators=("Jemand Anders",))
            case "other book":
                return replace(
                    book, title="Gardening for Cats", authors=(Contributor(name="Somebody Else"),), series=()
                )
            case "blank":
                return BookFacts(asin=book.asin, title=book.title, authors=book.authors)
            case "series gone":
                return replace(book, series=())
        return book

    def _faulty(self, reply: Reply) -> Reply:
        match self.fault:
            case "down":
                reply.cut = 0
            case "half":
                reply.cut = len(reply.body) // 2
            case "busy":
                return Reply.of({"message": "slow down"}, 429, Retry_After="3600")
            case "busy without saying how long":
                return Reply.of({"message": "slow down"}, 429)
            case "html":
                return Reply(200, b"<html><title>Just a moment</title></html>", {"Content-Type": "text/html"})
            case "error":
                return Reply.of({"statusCode": 500, "error": "Internal Server Error"}, 500)
        return reply


def as_audnexus(book: BookFacts) -> dict[str, Any]:
    """At most two series, as the real one."""
    places = [{"asin": each.id, "name": each.name, "position": each.position} for each in book.series]
    return {
        "asin": book.asin,
        "title": book.title,
        "subtitle": book.subtitle,
        "authors": [{"name": each.name} for each in book.authors],
        "narrators": [{"name": name} for name in book.narrators],
        "genres": [{"name": name, "type": "genre"} for name in book.genres],
        "summary": f"<p>{book.description}</p>" if book.description else "",
        "formatType": {True: "abridged", False: "unabridged", None: ""}[book.abridged],
        "language": LANGUAGES.get(book.language, ""),
        "publisherName": book.publisher,
        "releaseDate": book.released,
        "runtimeLengthMin": (book.runtime or 0) // 60,
        "isbn": next(iter(book.isbns), ""),
        "image": book.cover_url,
        "region": "us",
        **dict(zip(("seriesPrimary", "seriesSecondary"), places, strict=False)),
    }


def as_product(book: BookFacts) -> dict[str, Any]:
    return {
        "asin": book.asin,
        "title": book.title,
        "subtitle": book.subtitle,
        "authors": [{"name": each.name, "asin": each.id} for each in book.authors],
        "narrators": [{"name": name} for name in book.narrators],
        "series": [{"asin": each.id, "title": each.name, "sequence": each.position} for each in book.series],
        "category_ladders": [{"ladder": [{"id": "1", "name": name} for name in book.genres]}],
        "publisher_summary": f"<p>{book.description}</p>" if book.description else "",
        "format_type": {True: "abridged", False: "unabridged", None: ""}[book.abridged],
        "language": LANGUAGES.get(book.language, ""),
        "publisher_name": book.publisher,
        "release_date": book.released,
        "runtime_length_min": (book.runtime or 0) // 60,
        "isbn": next(iter(book.isbns), ""),
        "product_images": {"500": book.cover_url} if book.cover_url else {},
        "content_delivery_type": "SinglePartBook",
    }
