"""Open Library, Google Books, Hardcover and LibriVox: what they have and how they fail. All records are invented."""

from __future__ import annotations

import json
from typing import Any

import pytest

from audiobooks.exceptions import BadAnswer, HttpError, LeftAlone, NoRecord, ProviderError
from audiobooks.facts import BookFacts, Contributor
from audiobooks.http import Doorway
from audiobooks.metadata import google_books, hardcover, librivox, open_library
from audiobooks.metadata.google_books import GoogleBooks
from audiobooks.metadata.hardcover import Hardcover
from audiobooks.metadata.librivox import LibriVox
from audiobooks.metadata.open_library import OpenLibrary
from audiobooks.models import HttpCopy
from tests.audiobooks.outside import Outside, Reply

pytestmark = pytest.mark.django_db

ISBN = "9780306406157"
WANTED = BookFacts(title="The Glass Meridian", authors=(Contributor(name="Ilse Varga"),), language="en")

# -- Open Library (23, 24)

DOCUMENT: dict[str, Any] = {
    "key": "/works/OL900001W",
    "title": "The Glass Meridian",
    "author_key": ["OL900002A"],
    "author_name": ["Ilse Varga"],
    "first_publish_year": 2023,
    "cover_i": 9000003,
    "language": ["eng", "ger"],
    "series_key": ["OL900004L"],
    "series_name": ["The Salt Cartographers"],
    "series_position": ["3"],
}


@pytest.fixture
def library(outside: Outside, http: Doorway) -> OpenLibrary:
    return OpenLibrary(url=outside.url, identified=False)


def test_open_library_search(outside: Outside, http: Doorway, library: OpenLibrary) -> None:
    odd = [None, 7, {"title": "No key"}, {"key": "/works/OL1W"}, {**DOCUMENT, "author_name": None, "language": "eng"}]
    outside.gives("/search.json", Reply.of({"numFound": 6, "docs": [DOCUMENT, *odd]}))
    found = library.search(http, WANTED)
    assert len(found) == 2 and found[1].authors == () and found[1].language == "en"
    assert found[0].author_names == ("Ilse Varga",) and found[0].language == "" and found[0].released == "2023"
    assert found[0].cover_url == "https://covers.openlibrary.org/b/id/9000003-L.jpg"
    assert outside.seen[0].query["title"] == "The Glass Meridian" and outside.seen[0].query["limit"] == "10"


@pytest.mark.parametrize(
    ("names", "positions", "keys", "expected"),
    [
        (["A", "B"], ["1", ""], ["K", "L"], [("A", "1", "K"), ("B", "", "L")]),
        (["A", "B"], ["1"], ["K", "L"], [("A", "", "K"), ("B", "", "L")]),
        (["A"], ["1", "2"], [], [("A", "1", "")]),
        (["A"], None, "K", [("A", "", "")]),
        (None, ["1"], ["K"], []),
        (["A", None], [1, 2.0], ["K", "L"], [("A", "1", "K")]),
    ],
)
def test_lists_that_belong_together(names: Any, positions: Any, keys: Any, expected: Any) -> None:
    book = open_library.parse_document(
        {**DOCUMENT, "series_name": names, "series_position": positions, "series_key": keys}
    )
    assert book is not None
    assert [(place.name, place.position, place.id) for place in book.series] == expected


def test_an_isbn_leads_to_an_edition_and_its_work(outside: Outside, http: Doorway, library: OpenLibrary) -> None:
    edition = {
        "key": "/books/OL900009M",
        "type": {"key": "/type/edition"},
        "title": "The glass meridian",
        "covers": [-1, 55],
        "publish_date": "March 5, 2024",
        "languages": [{"key": "/languages/eng"}],
        "isbn_10": ["0306406152"],
        "physical_format": "Audio CD",
        "works": [{"key": "/works/OL900001W"}],
        "description": {"type": "/type/text", "value": "Of <i>salt</i>."},
    }
    outside.gives(f"/isbn/{ISBN}.json", Reply(302, headers={"Location": "/books/OL900009M.json"}))
    outside.gives("/books/OL900009M.json", Reply.of(edition))
    outside.gives("/search.json", Reply.of({"docs": [DOCUMENT]}))
    book = library.look_up(http, BookFacts(isbns=("bad", "0306406152")))
    assert book is not None
    assert (book.id, book.released, book.language, book.is_audio) == ("OL900009M", "2024-03-05", "en", True)
    assert (book.description, book.isbns, book.author_names) == ("Of salt.", (ISBN,), ("Ilse Varga",))
    assert book.cover_url.endswith("/55-L.jpg") and book.series[0].position == "3"
    assert outside.seen[-1].query["q"] == 'key:"/works/OL900001W"'


def test_merged_and_deleted_records(outside: Outside, http: Doorway, library: OpenLibrary) -> None:
    outside.gives("/works/OL1W.json", Reply.of({"type": {"key": "/type/redirect"}, "location": "/works/OL2W"}))
    outside.gives("/works/OL2W.json", Reply.of({"key": "/works/OL2W", "title": "Found", "type": {"key": "/type/work"}}))
    outside.gives("/search.json", Reply.of({"docs": []}))
    book = library.look_up(http, BookFacts(source="open_library", id="OL1W"))
    assert book is not None and (book.id, book.title, book.authors) == ("OL2W", "Found", ())
    outside.gives("/works/OL3W.json", Reply.of({"type": {"key": "/type/redirect"}, "location": "/works/OL3W"}))
    assert library.look_up(http, BookFacts(source="open_library", id="OL3W")) is None
    outside.gives("/works/OL4W.json", Reply.of({"type": {"key": "/type/redirect"}, "location": "//evil.example/x"}))
    assert library.look_up(http, BookFacts(source="open_library", id="OL4W")) is None
    outside.gives("/works/OL5W.json", Reply.of({"type": {"key": "/type/delete"}, "key": "/works/OL5W"}))
    with pytest.raises(NoRecord):
        library.look_up(http, BookFacts(source="open_library", id="OL5W"))
    outside.gives("/works/OL6W.json", Reply.of({"error": "notfound", "key": "/works/OL6W"}, 404))
    assert library.look_up(http, BookFacts(source="open_library", id="OL6W")) is None
    before = len(outside.seen)
    assert library.look_up(http, BookFacts(source="open_library", id="../admin")) is None
    assert len(outside.seen) == before


def test_how_open_library_fails(outside: Outside, http: Doorway, library: OpenLibrary) -> None:
    outside.gives("/search.json", Reply(403, b"Forbidden"))
    with pytest.raises(ProviderError, match="set CONTACT"):
        library.search(http, WANTED)
    outside.gives("/search.json", Reply(200, b"<html>maintenance</html>"))
    with pytest.raises(BadAnswer):
        library.search(http, WANTED)
    outside.gives("/search.json", Reply.of({"error": "query too short"}))
    with pytest.raises(ProviderError, match="query too short"):
        library.search(http, WANTED)
    assert not HttpCopy.objects.exists()
    outside.gives("/search.json", Reply(503, b"<html>", headers={"Retry-After": "600"}))
    with pytest.raises(HttpError):
        library.search(http, WANTED)
    with pytest.raises(LeftAlone):
        library.search(http, WANTED)


def test_open_library_goes_faster_for_those_it_can_reach() -> None:
    assert (
        OpenLibrary(url="https://openlibrary.org", identified=True)._pace.every
        < OpenLibrary(url="https://openlibrary.org", identified=False)._pace.every
    )


# -- Google Books (21, 22)

VOLUME: dict[str, Any] = {
    "id": "TESTvolume01",
    "volumeInfo": {
        "title": "The Glass Meridian",
        "authors": ["Ilse Varga"],
        "publishedDate": "2024-03",
        "industryIdentifiers": [
            {"type": "OTHER", "identifier": "X:1"},
            {"type": "ISBN_10", "identifier": "0306406152"},
        ],
        "imageLinks": {"thumbnail": "http://books.google.com/books/content?id=T&edge=curl&zoom=1"},
        "language": "en",
        "description": "<b>Of</b> salt.",
    },
}


@pytest.fixture
def google(outside: Outside, http: Doorway) -> GoogleBooks:
    return GoogleBooks(url=outside.url, key="a-key-of-google")


def test_google_search(outside: Outside, http: Doorway, google: GoogleBooks) -> None:
    rows = [VOLUME, None, {"id": "x"}, {"id": "y", "volumeInfo": {"title": "Bare", "authors": "One", "language": 3}}]
    outside.gives("/volumes", Reply.of({"totalItems": 4, "items": rows}))
    first, second = google.search(http, WANTED)
    assert (first.released, first.isbns, first.description) == ("2024-03", (ISBN,), "Of salt.")
    assert first.cover_url == "https://books.google.com/books/content?id=T&zoom=1"
    assert second.author_names == ("One",) and second.language == ""
    query = outside.seen[0].query
    assert query["q"] == 'intitle:"The Glass Meridian" inauthor:"Ilse Varga"'
    assert (query["langRestrict"], query["key"]) == ("en", "a-key-of-google")


@pytest.mark.parametrize("given", ["2024", "2024-03", "2024-03-05"])
def test_google_dates_stay_as_exact_as_they_are(given: str) -> None:
    book = google_books.parse({"id": "x", "volumeInfo": {"title": "T", "publishedDate": given}})
    assert book is not None and book.released == given


def test_google_has_nothing(outside: Outside, http: Doorway, google: GoogleBooks) -> None:
    outside.gives("/volumes", Reply.of({"kind": "books#volumes", "totalItems": 0}))
    assert google.search(http, WANTED) == ()
    assert google.look_up(http, BookFacts(isbns=(ISBN,))) is None
    assert HttpCopy.objects.filter(nothing=True).count() == 2
    outside.gives("/volumes", Reply.of({"totalItems": 1, "items": [VOLUME]}))
    assert google.look_up(http, BookFacts(isbns=("9783161484100",))) is None, "it has another ISBN"
    outside.gives("/volumes/none", Reply.of({"error": {"code": 404}}, 404))
    assert google.look_up(http, BookFacts(source="google_books", id="none")) is None


def google_error(status: int, message: str, reason: str, **headers: str) -> Reply:
    error = {"code": status, "message": message, "errors": [{"message": message, "domain": "global", "reason": reason}]}
    return Reply.of({"error": error}, status, **headers)


@pytest.mark.parametrize(
    ("reply", "says", "permanent"),
    [
        (
            google_error(400, "API key not valid. Please pass a valid API key.", "badRequest"),
            "correct GOOGLE_BOOKS_KEY",
            True,
        ),
        (google_error(403, "Requests from this referrer are blocked.", "forbidden"), "lift its restriction", True),
        (
            google_error(403, "Books API has not been used in project 1", "accessNotConfigured"),
            "turn on the Books API",
            True,
        ),
        (google_error(403, "Daily Limit Exceeded", "dailyLimitExceeded"), "quota", False),
        (google_error(429, "Quota exceeded for 'Queries per day'", "rateLimitExceeded"), "quota", False),
        (google_error(400, "Quota exceeded", "quotaExceeded"), "quota", False),
        (
            google_error(429, "Quota exceeded ... limit '0' per day", "rateLimitExceeded"),
            "gives this key no quota",
            True,
        ),
    ],
)
def test_google_refusals_differ(
    outside: Outside, http: Doorway, google: GoogleBooks, reply: Reply, says: str, permanent: bool
) -> None:
    outside.gives("/volumes", reply)
    with pytest.raises(ProviderError, match=says) as caught:
        google.search(http, WANTED)
    assert caught.value.permanent is permanent and (permanent or caught.value.retry_after is not None)
    assert len(outside.seen) == 1 and "a-key-of-google" not in str(caught.value)


def test_google_out_of_order_passes(outside: Outside, http: Doorway, google: GoogleBooks) -> None:
    failing = google_error(503, "Service temporarily unavailable.", "backendFailed")
    outside.gives("/volumes", failing, Reply.of({"totalItems": 1, "items": [VOLUME]}))
    assert len(google.search(http, WANTED)) == 1
    outside.gives("/volumes/v1", failing)
    with pytest.raises(HttpError) as caught:
        google.look_up(http, BookFacts(source="google_books", id="v1"))
    assert not caught.value.permanent


def test_google_needs_a_key(outside: Outside, http: Doorway) -> None:
    with pytest.raises(ProviderError, match="set GOOGLE_BOOKS_KEY"):
        GoogleBooks(url=outside.url, key="").search(http, WANTED)
    assert not outside.seen


# -- Hardcover (25 to 27)

BOOK: dict[str, Any] = {
    "id": 4242,
    "title": "The Glass Meridian",
    "release_date": "2024-03-05",
    "canonical_id": None,
    "contributions": [
        {"contribution": None, "author": {"id": 1, "name": "Ilse Varga"}},
        {"contribution": "Illustrator", "author": {"id": 2, "name": "Ada Penn"}},
    ],
    "book_series": [
        {"position": 1, "details": "1-3", "series": {"id": 7, "name": "The Salt Cartographers"}},
        {"position": 0.5, "details": None, "series": {"id": 8, "name": "Coasts"}},
        {"position": None, "details": None, "series": {"id": 9, "name": "Letters"}},
        {"position": 2.0, "details": "", "series": {"id": 10, "name": "Two"}},
    ],
}


@pytest.fixture
def cover(outside: Outside, http: Doorway) -> Hardcover:
    return Hardcover(url=f"{outside.url}/v1/graphql", token="token-of-mine")


def test_hardcover_editions(outside: Outside, http: Doorway, cover: Hardcover) -> None:
    edition = {
        "asin": "B0TESTAA03",
        "isbn_13": ISBN,
        "audio_seconds": 48720,
        "reading_format_id": 2,
        "language": {"code3": "eng"},
        "publisher": None,
        "contributions": [
            {"contribution": "Narrator", "author": {"id": 3, "name": "Mara Quill"}},
            {"contribution": "Author", "author": {"id": 1, "name": "Ilse Varga"}},
        ],
        "book": BOOK,
    }
    outside.gives("/v1/graphql", Reply.of({"data": {"editions": [None, {"book": None}, edition]}}))
    book = cover.look_up(http, BookFacts(asin="B0TESTAA03"))
    assert book is not None
    assert (book.id, book.asin, book.runtime, book.language, book.is_audio) == ("4242", "B0TESTAA03", 48720, "en", True)
    assert (book.author_names, book.narrators) == (("Ilse Varga",), ("Mara Quill",))
    assert [place.position for place in book.series] == ["1-3", "0.5", "", "2"]
    assert outside.seen[0].headers["authorization"] == "Bearer token-of-mine"
    assert cover.look_up(http, BookFacts(asin="B0TESTAA03")) == book and len(outside.seen) == 1


def test_hardcover_prints_have_no_runtime() -> None:
    book = hardcover.parse_edition({"reading_format_id": 1, "audio_seconds": 5, "book": BOOK})
    assert book is not None and book.runtime is None and book.is_audio is False


def test_hardcover_follows_merged_books(outside: Outside, http: Doorway, cover: Hardcover) -> None:
    outside.gives(
        "/v1/graphql",
        Reply.of({"data": {"books": [{**BOOK, "id": 1, "canonical_id": 4242}]}}),
        Reply.of({"data": {"books": [BOOK]}}),
    )
    book = cover.look_up(http, BookFacts(source="hardcover", id="1"))
    assert book is not None and book.id == "4242" and book.author_names == ("Ilse Varga",)
    assert [json.loads(seen.body)["variables"]["id"] for seen in outside.seen] == [1, 4242]


def test_hardcover_search(outside: Outside, http: Doorway, cover: Hardcover) -> None:
    document = {
        **BOOK,
        "series_names": ["The Salt Cartographers", "Coasts"],
        "genres": ["Fantasy"],
        "isbns": [ISBN, "x"],
    }
    document["featured_series"] = BOOK["book_series"][0]
    hits = [{"document": document}, None, {"document": None}, {"document": {"title": "Bare", "featured_series": {}}}]
    outside.gives("/v1/graphql", Reply.of({"data": {"search": {"results": {"found": 4, "hits": hits}, "error": None}}}))
    first, second = cover.search(http, WANTED)
    assert [(place.name, place.position) for place in first.series] == [
        ("The Salt Cartographers", "1-3"),
        ("Coasts", ""),
    ]
    assert first.isbns == (ISBN,) and second == BookFacts(source="hardcover", title="Bare")
    outside.gives("/v1/graphql", Reply.of({"data": {"search": {"results": {"found": 0, "hits": []}}}}))
    assert cover.search(http, BookFacts(title="Nothing")) == ()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"errors": [{"message": "field 'x' not found"}]}, "field 'x' not found"),
        ({"errors": [{"message": "half"}], "data": {"search": {"results": {"hits": []}}}}, "half"),
        ({"data": {"search": {"results": None, "error": "weights do not match"}}}, "weights do not match"),
        ({"data": {"search": {"results": None}}}, "did not search"),
        ({"data": {"search": None}}, "no data came"),
        ({"data": None}, "no data came"),
        ([], "no data came"),
    ],
)
def test_an_error_of_hardcover_is_not_nothing_found(
    outside: Outside, http: Doorway, cover: Hardcover, answer: Any, says: str
) -> None:
    outside.gives("/v1/graphql", Reply.of(answer))
    with pytest.raises(ProviderError, match=says):
        cover.search(http, WANTED)
    assert not HttpCopy.objects.exists()


@pytest.mark.parametrize(
    ("reply", "says", "permanent"),
    [
        (Reply.of({"error": "invalid_token", "error_description": "expired"}, 401), "renew HARDCOVER_TOKEN", True),
        (Reply.of({"error": "Unable to verify token"}, 401), "renew HARDCOVER_TOKEN", True),
        (Reply.of({"error": "insufficient_scope"}, 403), "may not read", True),
        (Reply.of({"error": "top_level_limit_exceeded"}, 403), "top_level_limit", True),
        (Reply.of({"error": "ilike and related operations are not permitted on this server."}, 403), "ilike", True),
        (Reply.of({"error": "Malformed Authorization header"}, 400), "copy it anew", True),
        (Reply.of({"error": "Malformed request body"}, 400), "Malformed request", True),
        (Reply(404, b"<html>Not found</html>"), "HARDCOVER_URL", True),
        (Reply(301, headers={"Location": "/elsewhere"}), "HARDCOVER_URL", True),
    ],
)
def test_hardcover_refusals_say_what_to_do(
    outside: Outside, http: Doorway, cover: Hardcover, reply: Reply, says: str, permanent: bool
) -> None:
    outside.gives("/v1/graphql", reply)
    with pytest.raises(ProviderError, match=says) as caught:
        cover.search(http, WANTED)
    assert caught.value.permanent is permanent and len(outside.seen) == 1


@pytest.mark.parametrize("status", [408, 500, 503])
def test_hardcover_out_of_order(outside: Outside, http: Doorway, cover: Hardcover, status: int) -> None:
    outside.gives("/v1/graphql", Reply.of({"error": "Request timeout"}, status))
    with pytest.raises(HttpError) as caught:
        cover.search(http, WANTED)
    assert not caught.value.permanent and len(outside.seen) == 1


def test_hardcover_keeps_to_its_day(outside: Outside, http: Doorway, cover: Hardcover) -> None:
    limits = '"Free";r=8;t=42, "daily";r=0;t=7200'
    outside.gives("/v1/graphql", Reply.of({"error": "Too Many Requests"}, 429, RateLimit=limits))
    with pytest.raises(HttpError) as caught:
        cover.search(http, WANTED)
    assert caught.value.retry_after is not None and caught.value.retry_after.total_seconds() == 7200
    with pytest.raises(LeftAlone):
        cover.search(http, BookFacts(title="Another"))
    assert len(outside.seen) == 1


@pytest.mark.parametrize(
    "token", ["token-of-mine", "Bearer token-of-mine", "bearer  Bearer token-of-mine\n", " token-of\n-mine "]
)
def test_a_token_however_it_was_copied(outside: Outside, http: Doorway, token: str) -> None:
    outside.gives("/", Reply.of({"data": {"search": {"results": {"hits": []}}}}))
    Hardcover(url=outside.url, token=token).search(http, WANTED)
    assert outside.seen[0].headers["authorization"] == "Bearer token-of-mine"


# -- LibriVox

RECORDING: dict[str, Any] = {
    "id": "901",
    "title": "Glass Meridian &amp; other tales",
    "description": "<p>Of salt.<br/>(Summary by a reader)</p>",
    "language": "German",
    "copyright_year": "1887",
    "totaltimesecs": 100,
    "authors": [
        {"id": "1", "first_name": "Ilse", "last_name": "Varga"},
        {"id": "2", "first_name": "", "last_name": "Unknown"},
    ],
    "translators": [{"id": "3", "first_name": "Tomas", "last_name": "Reed"}],
    "genres": [{"name": "*Non-fiction"}],
    "sections": [
        {"playtime": "60", "readers": [{"display_name": "Mara Quill"}]},
        {
            "playtime": "41",
            "readers": [{"display_name": " Ben Ash "}, {"display_name": "Mara Quill"}, {"display_name": None}],
        },
    ],
}


@pytest.fixture
def vox(outside: Outside, http: Doorway) -> LibriVox:
    return LibriVox(url=f"{outside.url}/feed")


@pytest.mark.parametrize("books", [[RECORDING, None, {"id": "2"}], {"3": RECORDING, "4": 7}])
def test_librivox_search(outside: Outside, http: Doorway, vox: LibriVox, books: Any) -> None:
    outside.gives("/feed", Reply.of({"books": books}))
    [book] = vox.search(http, WANTED)
    assert book.title == "Glass Meridian & other tales" and book.author_names == ("Ilse Varga",)
    assert (book.narrators, book.runtime, book.language) == (("Mara Quill", "Ben Ash"), 100, "de")
    assert (book.genres, book.released, book.is_audio) == (("Non-fiction",), "", True)
    assert book.description == "Of salt.\n(Summary by a reader)"
    query = outside.seen[0].query
    assert (query["title"], query["author"]) == ("^Glass Meridian", "Varga")


def test_librivox_numbers(outside: Outside, http: Doorway, vox: LibriVox) -> None:
    outside.gives("/feed", Reply.of({"books": [RECORDING]}))
    book = vox.look_up(http, BookFacts(source="librivox", id="901"))
    assert book is not None and book.id == "901"
    assert vox.look_up(http, BookFacts(source="librivox", id="902")) is None
    assert vox.look_up(http, BookFacts(asin="B0TESTAA03", isbns=(ISBN,))) is None
    assert len(outside.seen) == 2


def test_librivox_has_nothing(outside: Outside, http: Doorway, vox: LibriVox) -> None:
    outside.gives("/feed", Reply.of({"error": "Audiobooks could not be found"}, 404))
    assert vox.search(http, WANTED) == () and vox.search(http, WANTED) == ()
    assert len(outside.seen) == 1


def test_how_librivox_fails(outside: Outside, http: Doorway, vox: LibriVox) -> None:
    outside.gives("/feed", Reply(200, b"<!DOCTYPE html><h1>A Database Error Occurred</h1>"))
    with pytest.raises(BadAnswer, match="Database"):
        vox.search(http, WANTED)
    outside.gives("/feed", Reply.of({"weather": "fine"}))
    with pytest.raises(ProviderError, match="without a list"):
        vox.search(http, WANTED)
    outside.gives("/feed", Reply(404, b"<html>"))
    with pytest.raises(ProviderError, match="LIBRIVOX_URL"):
        vox.search(http, WANTED)


@pytest.mark.parametrize(
    ("total", "playtimes", "runtime"),
    [
        (100, ["60", "41"], 100),
        ("100", ["60", "41"], 100),
        (0, ["60", "41"], None),
        (25.35, ["60"], None),
        (216, ["1000", "2000"], None),
        (216, ["0", "2000"], 216),
        (216, [], 216),
    ],
)
def test_a_total_that_its_sections_give_the_lie(total: Any, playtimes: list[str], runtime: int | None) -> None:
    sections = [{"playtime": each} for each in playtimes]
    book = librivox.parse({"id": "1", "title": "T", "totaltimesecs": total, "sections": sections})
    assert book is not None and book.runtime == runtime


@pytest.mark.parametrize("field", list(RECORDING))
@pytest.mark.parametrize("odd", [None, 7, "x", [], {}, [None], [[]], True])
def test_odd_shapes_cost_librivox_their_field_alone(field: str, odd: Any) -> None:
    book = librivox.parse({**RECORDING, field: odd})
    assert book is not None or field == "title"
