"""Audnexus and Audible: what they have, what they lose, and how they say no. All records are invented."""

from __future__ import annotations

from typing import Any

import pytest

from audiobooks.exceptions import BadAnswer, HttpError, NoRecord, ProviderError, ServiceError
from audiobooks.facts import BookFacts, Contributor, SeriesPlace
from audiobooks.http import Doorway
from audiobooks.metadata import audible, audnexus
from audiobooks.metadata.audible import Audible
from audiobooks.metadata.audnexus import Audnexus
from tests.audiobooks.outside import Outside, Reply, Seen

pytestmark = pytest.mark.django_db

ASIN = "B0TESTAA03"
RECORD: dict[str, Any] = {
    "asin": ASIN,
    "title": "The Glass Meridian",
    "subtitle": "The Salt Cartographers, Book 3",
    "authors": [{"asin": "B0TESTAU01", "name": "Ilse Varga"}, {"name": "Tomas Reed - translator"}],
    "narrators": [{"name": "Mara Quill"}],
    "description": "A short plain blurb.",
    "summary": "<p>Long <b>HTML</b> &amp; more.</p><p>Second.<script>x()</script></p>",
    "formatType": "unabridged",
    "genres": [{"asin": "18580606011", "name": "Science Fiction & Fantasy", "type": "genre"}],
    "image": "https://m.media-amazon.com/images/I/00TEST.jpg",
    "isbn": "",
    "language": "english",
    "publisherName": "Lantern Audio",
    "region": "us",
    "releaseDate": "2024-03-05T00:00:00.000Z",
    "runtimeLengthMin": 812,
    "seriesPrimary": {"asin": "B0TESTSE01", "name": "The Salt Cartographers", "position": "3"},
}


@pytest.fixture
def provider(outside: Outside) -> Audnexus:
    return Audnexus(url=f"{outside.url}/nexus/", audible_url=outside.url, region="us")


def wanted(**values: Any) -> BookFacts:
    return BookFacts(**{"asin": ASIN, **values})


def gives(outside: Outside, *replies: Reply, asin: str = ASIN) -> None:
    outside.gives(f"/nexus/books/{asin}", *replies)


def product(asin: str, **values: Any) -> dict[str, Any]:
    return {
        "asin": asin,
        "title": f"Title {asin}",
        "authors": [{"asin": "B0TESTAU01", "name": "Ilse Varga"}],
        "content_delivery_type": "SinglePartBook",
        "language": "english",
        **values,
    }


def test_a_record(outside: Outside, http: Doorway, provider: Audnexus) -> None:
    gives(outside, Reply.of(RECORD))
    assert provider.look_up(http, wanted()) == BookFacts(
        source="audnexus",
        id=ASIN,
        region="us",
        title="The Glass Meridian",
        subtitle="The Salt Cartographers, Book 3",
        authors=(Contributor(name="Ilse Varga", id="B0TESTAU01"),),
        narrators=("Mara Quill",),
        series=(SeriesPlace(name="The Salt Cartographers", position="3", id="B0TESTSE01"),),
        genres=("Science Fiction & Fantasy",),
        description="Long HTML & more.\n\nSecond.",
        language="en",
        abridged=False,
        runtime=812 * 60,
        publisher="Lantern Audio",
        released="2024-03-05",
        asin=ASIN,
        cover_url="https://m.media-amazon.com/images/I/00TEST.jpg",
        is_audio=True,
    )
    assert [(seen.path, seen.query) for seen in outside.seen] == [(f"/nexus/books/{ASIN}", {"region": "us"})]


@pytest.mark.parametrize(
    "asked", [BookFacts(), BookFacts(asin="nonsense"), BookFacts(source="librivox", id=ASIN), BookFacts(title="X")]
)
def test_without_an_asin_nobody_is_asked(outside: Outside, http: Doorway, provider: Audnexus, asked: BookFacts) -> None:
    assert provider.look_up(http, asked) is None
    assert not outside.seen


def test_its_own_id_is_an_asin(outside: Outside, http: Doorway, provider: Audnexus) -> None:
    gives(outside, Reply.of(RECORD))
    assert provider.look_up(http, BookFacts(source="audible", id=ASIN)) is not None


# -- 8 and 9: how it says no

REGION = {"error": {"code": "REGION_UNAVAILABLE", "message": "Item not available in region 'us'", "details": {}}}
OLD_REGION = {
    "statusCode": 500,
    "error": "Internal Server Error",
    "message": "Item not available in region 'us' for ASIN: X",
}
UNKNOWN = {"error": {"code": "NOT_FOUND", "message": f"{ASIN} not found"}}


@pytest.mark.parametrize("miss", [Reply.of(REGION, 404), Reply.of(OLD_REGION, 500)], ids=["now", "before 2026"])
def test_another_region_has_it(outside: Outside, http: Doorway, provider: Audnexus, miss: Reply) -> None:
    def by_region(seen: Seen) -> Reply:
        return Reply.of({**RECORD, "region": "de"}) if seen.query["region"] == "de" else miss

    outside.otherwise = by_region
    book = provider.look_up(http, wanted())
    assert book is not None and book.region == "de"
    regions = [seen.query["region"] for seen in outside.seen]
    assert regions[0] == "us" and len(regions) == len(set(regions))


def test_no_region_has_it(outside: Outside, http: Doorway, provider: Audnexus) -> None:
    gives(outside, Reply.of(REGION, 404))
    with pytest.raises(NoRecord) as caught:
        provider.look_up(http, wanted(region="de"))
    assert caught.value.reason == "region"
    assert [seen.query["region"] for seen in outside.seen][:2] == ["de", "us"] and len(outside.seen) == 10


def test_an_unknown_asin_is_asked_for_where_it_may_be_and_at_home(
    outside: Outside, http: Doorway, provider: Audnexus
) -> None:
    gives(outside, Reply.of(UNKNOWN, 404))
    assert provider.look_up(http, wanted(region="uk")) is None
    assert [seen.query["region"] for seen in outside.seen] == ["uk", "us"]
    assert provider.look_up(http, wanted(region="uk")) is None
    assert len(outside.seen) == 2, "that it is unknown is remembered"


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [(404, "PRODUCT_DELISTED", "delisted"), (400, "CONTENT_TYPE_MISMATCH", "not a book")],
)
def test_it_says_why_it_has_none(
    outside: Outside, http: Doorway, provider: Audnexus, status: int, code: str, reason: str
) -> None:
    gives(outside, Reply.of({"error": {"code": code, "message": "no", "details": {"asin": ASIN}}}, status))
    with pytest.raises(NoRecord) as caught:
        provider.look_up(http, wanted())
    assert caught.value.reason == reason and len(outside.seen) == 1


@pytest.mark.parametrize(
    "error",
    [
        Reply.of({"error": {"code": "VALIDATION_ERROR", "message": "no"}}, 422),
        Reply.of({"error": "Bad Request", "message": "Unknown region: us"}, 400),
        Reply.of({"statusCode": 500, "error": "Internal Server Error", "message": "oh"}, 500),
        Reply(403, b"<html>Attention required</html>"),
        Reply(200, b"<html>"),
        Reply.of({"error": {"code": "RATE_LIMIT_EXCEEDED"}}, 429, Retry_After="900"),
        Reply(404, b"<html>nginx</html>"),
    ],
    ids=["422", "flat", "500", "blocked", "html", "429", "elsewhere"],
)
def test_where_it_is_out_of_order_audible_answers(outside: Outside, http: Doorway, error: Reply) -> None:
    with Outside() as amazon:
        provider = Audnexus(url=f"{outside.url}/nexus", audible_url=f"{amazon.url}/{{domain}}", region="us")
        gives(outside, error)
        amazon.gives(f"/com/1.0/catalog/products/{ASIN}", Reply.of({"product": product(ASIN)}))
        amazon.gives(f"/de/1.0/catalog/products/{ASIN}", Reply.of({}, 503, Retry_After="900"))
        book = provider.look_up(http, wanted())
        assert book is not None and book.source == "audible"
        with pytest.raises(ServiceError):
            provider.look_up(http, wanted(region="de"))


def test_an_old_instance_that_knows_no_asin_of_digits(outside: Outside, http: Doorway, provider: Audnexus) -> None:
    gives(outside, Reply.of({"error": {"code": "BAD_REQUEST", "message": "Bad ASIN"}}, 400), asin="1721358595")
    assert provider.look_up(http, wanted(asin="1721358595")) is None


# -- 10 and 11: what it loses, and what it does not know


@pytest.mark.parametrize("position", ["1-3", "0.5", "0", "Book 1", "2, Dramatized Adaptation", ""])
def test_a_position_stays_as_it_is_written(position: str) -> None:
    book = audnexus.parse({**RECORD, "seriesPrimary": {"name": "S", "position": position}}, "us")
    assert book is not None and book.series == (SeriesPlace(name="S", position=position),)


def test_a_series_that_it_lost_is_taken_from_audible(outside: Outside, http: Doorway, provider: Audnexus) -> None:
    gives(outside, Reply.of({key: value for key, value in RECORD.items() if key != "seriesPrimary"}))
    series = [{"asin": "B0TESTSE01", "title": "The Salt Cartographers", "sequence": "3"}, {"title": "Coasts"}]
    outside.gives(f"/1.0/catalog/products/{ASIN}", Reply.of({"product": product(ASIN, series=series)}))
    book = provider.look_up(http, wanted())
    assert book is not None and book.source == "audnexus" and book.narrators == ("Mara Quill",)
    assert [place.position for place in book.series] == ["3", ""]


@pytest.mark.parametrize("answer", [Reply.of({"product": {"asin": ASIN}}), Reply(500), Reply.of([], 404)])
def test_without_audible_it_has_no_series(outside: Outside, http: Doorway, provider: Audnexus, answer: Reply) -> None:
    gives(outside, Reply.of({**RECORD, "seriesPrimary": None}))
    outside.gives(f"/1.0/catalog/products/{ASIN}", answer)
    book = provider.look_up(http, wanted())
    assert book is not None and book.series == ()


def test_unknown_is_not_zero() -> None:
    book = audnexus.parse({"asin": ASIN, "title": "T", "runtimeLengthMin": 0, "isbn": "", "rating": ""}, "us")
    assert book == BookFacts(source="audnexus", id=ASIN, asin=ASIN, region="us", title="T", is_audio=True)


@pytest.mark.parametrize(
    "odd",
    [
        {"authors": None, "narrators": {"name": "X"}, "genres": "x", "seriesPrimary": []},
        {"runtimeLengthMin": "812", "title": 1984, "subtitle": None, "releaseDate": 2024, "image": 7},
        {"authors": [None, 3, {"name": None}, {"asin": 5}], "narrators": [[]], "isbn": 9, "summary": ["x"]},
        {"language": {}, "formatType": True, "releaseDate": "soon", "runtimeLengthMin": -5, "extra": {"x": [1]}},
        {"runtimeLengthMin": 1e400, "title": "a\x00b\ud800", "releaseDate": "2200-01-01T00:00:00Z"},
    ],
)
def test_odd_shapes_cost_their_field_alone(odd: dict[str, Any]) -> None:
    book = audnexus.parse({**RECORD, **odd}, "us")
    assert book is not None and book.asin == ASIN and book.title
    assert "\x00" not in book.title and book.released in ("", "2024", "2024-03-05")
    book.title.encode()


@pytest.mark.parametrize("data", [[], None, "x", {"asin": ASIN}, {"title": "T"}, {"asin": "B0TESTOTHR", "title": "T"}])
def test_an_answer_without_the_record(outside: Outside, http: Doorway, provider: Audnexus, data: Any) -> None:
    gives(outside, Reply.of(data))
    assert provider.look_up(http, wanted()) is None


# -- Audible: 14 to 20


def test_search_falls_back_to_all_words(outside: Outside, http: Doorway, provider: Audnexus) -> None:
    hits = [
        product(ASIN),
        {"asin": "B0TESTSTUB"},
        product("B0TESTPOD1", content_type="Podcast"),
        None,
        product("B0TESTAA04"),
    ]
    outside.gives("/1.0/catalog/products", Reply.of({"products": [], "total_results": 0}), Reply.of({"products": hits}))
    found = provider.search(http, BookFacts(title="Glass Meridian", authors=(Contributor(name="Ilse Varga"),)))
    assert [book.id for book in found] == [ASIN, "B0TESTAA04"]
    assert outside.seen[0].query["title"] == "Glass Meridian" and outside.seen[0].query["author"] == "Ilse Varga"
    assert outside.seen[1].query["keywords"] == "Glass Meridian Ilse Varga"
    assert provider.search(http, BookFacts()) == ()


@pytest.mark.parametrize("status", [200, 400])
def test_a_question_that_audible_does_not_understand(
    outside: Outside, http: Doorway, provider: Audnexus, status: int
) -> None:
    said = "1 validation error detected: Value '100' at 'numResults' failed to satisfy constraint"
    outside.gives("/1.0/catalog/products", Reply.of({"message": said}, status))
    with pytest.raises(ProviderError, match="1 validation error"):
        provider.search(http, BookFacts(title="X"))


def test_a_stub_and_a_podcast(outside: Outside, http: Doorway) -> None:
    catalogue = Audible(outside.url)
    outside.gives(f"/1.0/catalog/products/{ASIN}", Reply.of({"product": {"asin": ASIN}}))
    assert catalogue.product(http, ASIN, "us") is None
    outside.gives(
        "/1.0/catalog/products/B0TESTPOD1", Reply.of({"product": product("B0TESTPOD1", content_type="Podcast")})
    )
    with pytest.raises(NoRecord) as caught:
        catalogue.product(http, "B0TESTPOD1", "us")
    assert caught.value.reason == "not a book"


@pytest.mark.parametrize(
    "odd",
    [
        {"content_delivery_type": ["SinglePartBook"]},
        {"content_delivery_type": {"x": 1}, "content_type": ["Podcast"]},
        {"product_images": {"²": "https://m.example/2.jpg", "٣": "https://m.example/3.jpg", "9" * 5000: "x"}},
        {"product_images": {"500": ["x"], "": "x", "large": "x"}},
    ],
)
def test_odd_shapes_cost_a_product_their_field_alone(odd: dict[str, Any]) -> None:
    assert audible.parse({**product(ASIN), **odd}, "us") == audible.parse(product(ASIN), "us")


def series_of(*children: dict[str, Any]) -> Reply:
    base = {"relationship_to_product": "child", "relationship_type": "series"}
    rows = [{**base, **child} for child in children]
    return Reply.of({"product": {"asin": "B0TESTSE01", "title": "The Salt Cartographers", "relationships": rows}})


def test_a_series(outside: Outside, http: Doorway) -> None:
    outside.gives(
        "/1.0/catalog/products/B0TESTSE01",
        series_of(
            {"asin": "B0TESTAA01", "sequence": "1", "sort": "1"},
            {"asin": "B0TESTAA05", "sequence": "1", "sort": "2"},
            {"asin": "B0TESTAA12", "sequence": "1-3", "sort": "3"},
            {"asin": "B0TESTAA00", "sequence": 0.5, "sort": "4"},
            {"asin": "B0TESTAA09", "sequence": "", "sort": "5"},
            {"asin": "B0TESTAA10", "sort": "6"},
            {"asin": "B0TESTGONE", "sequence": "7", "sort": "7"},
            {"asin": "B0TESTPART", "sequence": "1", "relationship_type": "component"},
            {"asin": "B0TESTSEAS", "sequence": "1", "relationship_type": "season"},
            {"asin": "B0TESTPARE", "sequence": "1", "relationship_to_product": "parent"},
            {"asin": "B0TESTAA01", "sequence": "9"},
        ),
    )

    def details(seen: Seen) -> Reply:
        asins = [each for each in seen.query["asins"].split(",") if each != "B0TESTGONE"]
        universe = {"asin": "B0TESTSE99", "title": "Coasts", "sequence": "12"}
        own = {"asin": "B0TESTSE01", "title": "The Salt Cartographers (renamed)", "sequence": "99"}
        return Reply.of({"products": [product(each, series=[universe, own]) for each in reversed(asins)]})

    outside.otherwise = details
    books = Audible(outside.url).series_books(http, "B0TESTSE01", "us")
    assert [(book.asin[-4:], book.series[0].position) for book in books] == [
        *[("AA01", "1"), ("AA05", "1"), ("AA12", "1-3"), ("AA00", "0.5"), ("AA09", ""), ("AA10", "")]
    ]
    assert {book.series[0].name for book in books} == {"The Salt Cartographers"}
    assert {book.series[1].name for book in books} == {"Coasts"}


def test_a_long_series_is_asked_for_in_parts(outside: Outside, http: Doorway) -> None:
    asins = [f"B0TEST{number:04}" for number in range(120)]
    outside.gives(
        "/1.0/catalog/products/B0TESTSE01",
        series_of(*({"asin": each, "sequence": str(n)} for n, each in enumerate(asins))),
    )
    outside.otherwise = lambda seen: Reply.of({"products": [product(each) for each in seen.query["asins"].split(",")]})
    books = Audible(outside.url).series_books(http, "B0TESTSE01", "us")
    assert [book.asin for book in books] == asins
    assert [seen.query.get("num_results") for seen in outside.seen] == [None, "50", "50", "50"]


@pytest.mark.parametrize("reply", [Reply.of({}, 404), Reply.of({"product": {"asin": "B0TESTSE01"}}), Reply.of([])])
def test_a_series_that_is_gone(outside: Outside, http: Doorway, reply: Reply) -> None:
    outside.gives("/1.0/catalog/products/B0TESTSE01", reply)
    assert Audible(outside.url).series_books(http, "B0TESTSE01", "us") == ()


def pages(*counts: int, repeat: bool = False, total: int | None = None) -> Any:
    def answer(seen: Seen) -> Reply:
        page = int(seen.query["page"])
        page = 0 if repeat else page
        count = counts[page] if page < len(counts) else 0
        return Reply.of({"products": [product(f"B0TES{page:02}{n:03}") for n in range(count)], "total_results": total})

    return answer


def test_all_pages_of_an_author_once(outside: Outside, http: Doorway) -> None:
    outside.otherwise = pages(50, 50, 7)
    books = Audible(outside.url).author_books(http, "Ilse Varga", "B0TESTAU01", "us")
    assert len(books) == len({book.asin for book in books}) == 107
    assert [seen.query["page"] for seen in outside.seen] == ["0", "1", "2", "3"]


def test_a_page_that_comes_again_is_the_end(outside: Outside, http: Doorway) -> None:
    outside.otherwise = pages(50, repeat=True)
    assert len(Audible(outside.url).author_books(http, "Ilse Varga", "B0TESTAU01", "us")) == 50
    assert len(outside.seen) == 2


def test_pages_without_end_have_one(outside: Outside, http: Doorway) -> None:
    outside.otherwise = pages(*[1] * 90)
    assert len(Audible(outside.url).author_books(http, "Ilse Varga", "B0TESTAU01", "us")) == 20


def test_an_author_is_not_their_namesake(outside: Outside, http: Doorway) -> None:
    rows = [
        product("B0TESTAA01"),
        product("B0TESTAA02", authors=[{"asin": "B0TESTAU99", "name": "Ilse Varga"}]),
        product("B0TESTAA03", authors=[{"asin": "B0TESTAU01", "name": "Ilse Varga - translator"}]),
        product("B0TESTAA04", content_delivery_type="PodcastEpisode"),
        product(
            "B0TESTAA05",
            authors=[{"name": f"A {n}"} for n in range(20)] + [{"asin": "B0TESTAU01", "name": "Ilse Varga"}],
        ),
        product("B0TESTAA06", language="german"),
    ]
    outside.otherwise = lambda seen: Reply.of({"products": rows if seen.query["page"] == "0" else []})
    catalogue = Audible(outside.url)
    by_id = catalogue.author_books(http, "Ilse Varga", "B0TESTAU01", "us")
    assert [book.asin[-2:] for book in by_id] == ["01", "05", "06"]
    by_name = catalogue.author_books(http, "ilse varga", "", "de")
    assert [book.asin[-2:] for book in by_name] == ["01", "02", "05", "06"]


@pytest.mark.parametrize(
    ("given", "released"),
    [("2200-01-01", ""), (None, ""), ("2024-03-05", "2024-03-05"), ("0001-01-01", ""), ("2027-11-01", "2027-11-01")],
)
def test_placeholder_dates(given: str | None, released: str) -> None:
    book = audible.parse(product(ASIN, release_date=given), "us")
    assert book is not None and book.released == released


def test_each_region_has_its_host() -> None:
    assert audible.DOMAINS["uk"] == "co.uk" and audible.DOMAINS["de"] == "de" and len(audible.DOMAINS) == 10


def test_a_refusal_is_not_nothing(outside: Outside, http: Doorway, provider: Audnexus) -> None:
    outside.gives("/1.0/catalog/products", Reply(403, b"<html>Robot check</html>"))
    with pytest.raises(ProviderError, match="refuses this computer") as caught:
        provider.search(http, BookFacts(title="X"))
    assert caught.value.retry_after is not None
    outside.gives("/1.0/catalog/products", Reply(200, b"<html>Robot check</html>"))
    with pytest.raises(BadAnswer):
        provider.search(http, BookFacts(title="Y"))
    outside.gives("/1.0/catalog/products", Reply(500))
    with pytest.raises((ProviderError, HttpError)):
        provider.search(http, BookFacts(title="Z"))
