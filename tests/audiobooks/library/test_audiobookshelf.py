"""The Audiobookshelf adapter against a server of our own that keeps Audiobookshelf's rules."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audiobooks.exceptions import BadAnswer, HttpError, LibraryError, Unreachable
from audiobooks.facts import BookFacts, Contributor, SeriesPlace
from audiobooks.library.audiobookshelf import (
    BATCH,
    PAGE,
    Audiobookshelf,
    Changes,
    LibraryItem,
    moved,
    parse_item,
)
from tests import recorded
from tests.fakes.audiobookshelf import KEY, FakeAudiobookshelf, Reply, Request

RECORDED = recorded.RECORDED / "audiobookshelf"
HTML = Reply(200, "<html><body>Please sign in</body></html>", {"Content-Type": "text/html"})


@dataclass(frozen=True)
class PlainAnswer:
    data: Any


class PlainHttp:
    """The Protocol `Http` by bare httpx, failing as `audiobooks.http.Doorway` does."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def get_json(
        self, url: str, *, params: Mapping[str, str] | None = None, secret_headers: Mapping[str, str] | None = None
    ) -> PlainAnswer:
        return self._json("GET", url, params=dict(params or {}), headers=secret_headers)

    def post_json(self, url: str, *, data: Any, secret_headers: Mapping[str, str] | None = None) -> PlainAnswer:
        return self._json("POST", url, json=data, headers=secret_headers)

    def _json(self, method: str, url: str, **options: Any) -> PlainAnswer:
        try:
            response = self.client.request(method, url, **options)
        except httpx.HTTPError as error:
            raise Unreachable("The host could not be reached.") from error
        if response.status_code != 200:
            wait = response.headers.get("Retry-After")
            raise HttpError(
                f"The host answered with HTTP {response.status_code}.",
                status=response.status_code,
                retry_after=timedelta(seconds=int(wait)) if wait else None,
            )
        try:
            return PlainAnswer(response.json())
        except ValueError as error:
            raise BadAnswer("The host answered with something that is not JSON.") from error


@pytest.fixture
def fake() -> Iterator[FakeAudiobookshelf]:
    with FakeAudiobookshelf() as server:
        server.add_library()
        yield server
        assert {request.method for request in server.requests} <= {"GET", "POST"}, "something was deleted"
        for request in server.requests:
            if request.path.endswith("/items"):
                assert int(request.query["limit"]) > 0
                assert "collapseseries" not in request.query


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=10) as client:
        yield client


@pytest.fixture
def server(fake: FakeAudiobookshelf, client: httpx.Client) -> Audiobookshelf:
    return Audiobookshelf(PlainHttp(client), fake.url, KEY)


def sent(fake: FakeAudiobookshelf, path: str) -> list[Request]:
    return [request for request in fake.requests if request.path == path]


# --- the server, the address and the key ----------------------------------------------------------------------------


def test_it_tells_the_version(server: Audiobookshelf) -> None:
    assert server.version() == "2.36.0"


def test_it_sends_the_key_to_nothing_that_needs_none_and_shows_it_nowhere(
    fake: FakeAudiobookshelf, server: Audiobookshelf
) -> None:
    server.inventory()
    assert [request.authorization for request in sent(fake, "/status")] == [""]
    assert KEY not in repr(server)
    assert not any(KEY in value for request in fake.requests for value in request.query.values())


@pytest.mark.parametrize("version", ["2.25.1", "2.3.0", "1.9", "", None])
def test_it_says_which_version_is_too_old(
    fake: FakeAudiobookshelf, server: Audiobookshelf, version: str | None
) -> None:
    fake.version = version
    with pytest.raises(LibraryError, match=r"API keys exist from 2\.26 on: update it") as caught:
        server.inventory()
    assert caught.value.permanent


@pytest.mark.parametrize("version", ["2.26.0", "2.100.0", "3.0", "v2.36.1-beta"])
def test_it_takes_newer_versions(fake: FakeAudiobookshelf, server: Audiobookshelf, version: str) -> None:
    fake.version = version
    assert server.inventory().version == version


def test_it_says_that_a_new_server_has_no_user_yet(fake: FakeAudiobookshelf, server: Audiobookshelf) -> None:
    fake.is_init = False
    with pytest.raises(LibraryError, match="create its first user"):
        server.version()


def test_it_finds_a_server_under_a_sub_path(client: httpx.Client) -> None:
    with FakeAudiobookshelf(sub_path="/audiobookshelf") as fake:
        fake.add_library()
        fake.add_item("one")
        for address in (fake.url, fake.url + "/", fake.url + "/api/"):
            assert len(Audiobookshelf(PlainHttp(client), address, KEY).inventory().items) == 1
        with pytest.raises(LibraryError, match="sub-path"):
            Audiobookshelf(PlainHttp(client), fake.url.removesuffix("/audiobookshelf"), KEY).inventory()


@pytest.mark.parametrize(
    "address",
    [
        "",
        "books.example.org",
        "ftp://books.example.org",
        "http://",
        "http://[",
        "http://a:99999",
        "http://a/?x=1",
        "javascript:1",
    ],
)
def test_it_refuses_what_is_no_address(client: httpx.Client, address: str) -> None:
    with pytest.raises(LibraryError, match="has to look like"):
        Audiobookshelf(PlainHttp(client), address, KEY)


def test_it_refuses_a_password_in_the_address_without_repeating_it(client: httpx.Client) -> None:
    with pytest.raises(LibraryError) as caught:
        Audiobookshelf(PlainHttp(client), "http://me:secret@books.example.org", KEY)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("key", ["", "  ", "two words", "new\nline", "schlüssel"])
def test_it_refuses_what_is_no_key(client: httpx.Client, key: str) -> None:
    with pytest.raises(LibraryError, match="API key"):
        Audiobookshelf(PlainHttp(client), "http://books.example.org", key)


def test_a_wrong_expired_or_inactive_key_is_told_as_that(
    fake: FakeAudiobookshelf, server: Audiobookshelf, client: httpx.Client
) -> None:
    fake.key_is_active = False
    with pytest.raises(LibraryError, match="has expired, was deleted, or is not active") as caught:
        server.inventory()
    assert caught.value.permanent
    assert len(fake.requests) == 2, "it was tried again"
    fake.key_is_active = True
    with pytest.raises(LibraryError, match="refuses the API key"):
        Audiobookshelf(PlainHttp(client), fake.url, "another").inventory()


def test_a_redirect_to_https_is_told_as_that(fake: FakeAudiobookshelf, server: Audiobookshelf) -> None:
    fake.replies["GET", "/status"] = Reply(301, "", {"Location": "https://127.0.0.1/status"})
    with pytest.raises(LibraryError, match="with https"):
        server.inventory()


def test_too_many_requests_pass_on_how_long_to_wait(fake: FakeAudiobookshelf, server: Audiobookshelf) -> None:
    fake.replies["GET", "/api/libraries"] = Reply(429, {"error": "Too many"}, {"Retry-After": "90"})
    with pytest.raises(LibraryError, match="less often") as caught:
        server.inventory()
    assert (caught.value.permanent, caught.value.retry_after) == (False, timedelta(seconds=90))


def test_a_server_that_is_down_may_be_back_later(client: httpx.Client) -> None:
    with FakeAudiobookshelf() as fake:
        address = fake.url
    with pytest.raises(LibraryError, match="could not be reached") as caught:
        Audiobookshelf(PlainHttp(client), address, KEY).inventory()
    assert not caught.value.permanent


# --- the inventory --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE, BATCH * 5 + 1])
def test_it_reads_every_item_once(fake: FakeAudiobookshelf, server: Audiobookshelf, count: int) -> None:
    for number in range(count):
        fake.add_item(f"item-{number}")
    items = server.inventory().items
    assert sorted(item.id for item in items) == sorted(fake.items)
    assert len(items) == count
    assert all(len(request.body["libraryItemIds"]) <= BATCH for request in sent(fake, "/api/items/batch/get"))


def test_it_reads_5000_items(fake: FakeAudiobookshelf, server: Audiobookshelf) -> None:
    for number in range(5000):
        fake.add_item(f"item-{number}")
    assert len({item.id for item in server.inventory().items}) == 5000
    assert len(sent(fake, "/api/libraries/lib-1/items")) == 5000 // PAGE


def test_it_reads_all_libraries_of_books_and_no_podcasts(fake: FakeAudiobookshelf, server: Audiobookshelf) -> None:
    fake.add_library("lib-2")
    fake.add_library("pods", media_type="podcast")
    fake.add_item("one")
    fake.add_item("two", "lib-2")
    fake.add_item("episode", "pods")
    found = server.inventory()
    assert [library.id for library in found.libraries] == ["lib-1", "lib-2"]
    assert found.libraries[0].folders == ("/lib-1",)
    assert [(item.library_id, item.id) for item in found.items] == [("lib-1", "one"), ("lib-2", "two")]


def test_a_server_that_shows_no_library_is_no_empty_library(fake: FakeAudiobookshelf, server: Audiobookshelf) -> None:
    fake.libraries.clear()
    with pytest.raises(LibraryError, match="access to the library"):
        server.inventory()


def test_an_item_added_while_paging_is_read_too(fake: FakeAudiobookshelf, server: Audiobookshelf) -> None:
    for number in range(PAGE * 2):
        fake.add_item(f"item-{number}")

    def add(request: Request) -> None:
        if request.query.get("page") == "1":
            fake.add_item("added-late")

    fake.before = add
    assert len({item.id for item in server.inventory().items}) == PAGE * 2 + 1


@pytest.mark.parametrize("when", ["page", "details"])
def test_an_item_deleted_while_reading_is_no_fault(fake: FakeAudiobookshelf, server: Audiobookshelf, when: str) -> None:
    for number in range(PAGE * 2):
        fake.add_item(f"item-{number}")

    def delete(request: Request) -> None:
        if (when == "page" and request.query.get("page") == "1") or (when == "details" and request.method == "POST"):
            fake.items.pop("item-3", None)

    fake.before = delete
    items = server.inventory().items
    assert sorted(item.id for item in items) == sorted(fake.items)
    assert len(items) == PAGE * 2 - 1


def test_a_page_that_is_repeated_ends_with_an_error(fake: FakeAudiobookshelf, server: Audiobookshelf) -> None:
    for number in range(PAGE * 3):
        fake.add_item(f"item-{number}")
    fake.repeats_first_page = True
    with pytest.raises(LibraryError, match="repeats itself"):
        server.inventory()
    assert len(fake.requests) < 10


@pytest.mark.parametrize(
    "reply",
    [
        HTML,
        Reply(200, "OK"),
        Reply(200, ""),
        Reply(200, []),
        Reply(200, {}),
        Reply(200, {"results": None, "total": 2}),
        Reply(200, {"results": [], "total": None}),
        Reply(200, {"results": [], "total": 2}),
        Reply(200, {"results": [], "total": -1}),
        Reply(200, {"results": [], "total": True}),
        Reply(200, {"results": [{}], "total": 1}),
        Reply(200, {"results": ["x"], "total": 1}),
        Reply(200, {"results": [{"id": "x"}], "total": 10**9}),
        Reply(404, "Not Found"),
        Reply(403, "Forbidden"),
        Reply(502, "<html>Bad Gateway</html>", {"Content-Type": "text/html"}),
    ],
)
@pytest.mark.parametrize("path", ["/api/libraries/lib-1/items", "/api/items/batch/get", "/api/libraries", "/status"])
def test_an_answer_that_is_none_gives_no_inventory(
    fake: FakeAudiobookshelf, server: Audiobookshelf, reply: Reply, path: str
) -> None:
    for number in range(3):
        fake.add_item(f"item-{number}")
    fake.replies["POST" if "batch" in path else "GET", path] = reply
    with pytest.raises(LibraryError) as caught:
        server.inventory()
    assert str(caught.value).endswith(".") or str(caught.value).endswith("?")


@pytest.mark.parametrize("requests", range(7))
def test_a_server_restarted_at_any_moment_gives_no_inventory(
    fake: FakeAudiobookshelf, server: Audiobookshelf, requests: int
) -> None:
    for number in range(PAGE + 1):
        fake.add_item(f"item-{number}")
    fake.drop_after = requests
    with pytest.raises(LibraryError) as caught:
        server.inventory()
    assert not caught.value.permanent
    fake.drop_after = 100
    assert len(server.inventory().items) == PAGE + 1


# --- an item --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "owned"),
    [({}, True), ({"isMissing": True}, False), ({"isInvalid": True}, False), ({"isMissing": None}, True)],
)
def test_owned_is_what_is_there(
    fake: FakeAudiobookshelf, server: Audiobookshelf, change: dict[str, Any], owned: bool
) -> None:
    fake.add_item("one")
    fake.items["one"] |= change
    (item,) = server.inventory().items
    assert item.is_owned is owned


def test_a_text_is_no_recording(fake: FakeAudiobookshelf, server: Audiobookshelf) -> None:
    fake.add_item("text", files=0, ebook="epub")
    fake.add_item("both", files=2, ebook="epub")
    fake.add_item("empty", files=0)
    text, both, empty = server.inventory().items
    assert (text.is_owned, text.ebook_format, text.formats) == (False, "epub", ())
    assert text.facts.is_audio is None
    assert (both.is_owned, both.formats) == (True, ("m4b",))
    assert (both.duration, both.facts.runtime, both.size, both.facts.is_audio) == (3601.0, 3601, 18, True)
    assert not empty.is_owned


@pytest.mark.parametrize(
    ("sequence", "position"), [(None, ""), ("1.5", "1.5"), ("1-2", "1-2"), ("3a", "3a"), (3, "3"), ("", ""), ([], "")]
)
def test_the_position_in_a_series_stays_text(
    fake: FakeAudiobookshelf, server: Audiobookshelf, sequence: Any, position: str
) -> None:
    fake.add_item("one", series=[{"id": "s1", "name": "The Tide", "sequence": sequence}, {"id": "s2", "name": "Sea"}])
    (item,) = server.inventory().items
    assert item.facts.series == (
        SeriesPlace(name="The Tide", position=position, id="s1"),
        SeriesPlace(name="Sea", id="s2"),
    )


def test_what_is_said_of_a_book_is_cleaned(fake: FakeAudiobookshelf, server: Audiobookshelf) -> None:
    fake.add_item(
        "one",
        language="English",
        asin="b0testaa03",
        isbn="0-306-40615-2",
        publishedYear="2024",
        publishedDate="2024-03-05T00:00:00",
        description="<p>Salt &amp; sea.</p><p>More<br>here</p>",
        title="A\x00B",
        genres=None,
        narrators="Mara",
    )
    facts = server.inventory().items[0].facts
    assert (facts.language, facts.asin, facts.isbns) == ("en", "B0TESTAA03", ("9780306406157",))
    assert (facts.released, facts.title, facts.genres, facts.narrators) == ("2024-03-05", "AB", (), ())
    assert facts.description == "Salt & sea.\nMore\nhere"
    assert facts.abridged is None, "the server says False of what nobody marked"
    assert (facts.source, facts.id) == ("audiobookshelf", "one")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = [
    "title",
    "authors",
    "narrators",
    "series",
    "genres",
    "publishedYear",
    "publishedDate",
    "isbn",
    "asin",
    "language",
]


@given(
    item=st.dictionaries(st.sampled_from(["id", "path", "addedAt", "size", "isMissing", "media"]), JSON),
    media=st.dictionaries(st.sampled_from(["metadata", "audioFiles", "ebookFile", "duration"]), JSON),
    said=st.dictionaries(st.sampled_from([*NAMES, "description", "abridged"]), JSON),
    depth=st.integers(0, 2),
)
@settings(max_examples=150, deadline=None)
def test_an_item_of_any_shape_is_read(
    item: dict[str, Any], media: dict[str, Any], said: dict[str, Any], depth: int
) -> None:
    if depth > 1:
        media["metadata"] = said
    if depth:
        item["media"] = media
    found = parse_item(item, "lib")
    json.dumps(found.facts.as_json(), ensure_ascii=False).encode()
    assert found.added_at is None or found.added_at < datetime(2300, 1, 1, tzinfo=UTC)


# --- recorded answers -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded answers are not beside this checkout")
def test_it_reads_the_recorded_answers(fake: FakeAudiobookshelf, server: Audiobookshelf) -> None:
    answers = {path.name: json.loads(path.read_text()) for path in RECORDED.iterdir()}
    assert len(answers) == 20
    for name in ("item-expanded.json", "item-media-update-answer.json"):
        item = parse_item(answers[name], "lib")
        assert (item.is_owned, item.formats, item.audio_files) == (True, ("mp3",), 2)
        assert (item.facts.title, item.facts.author_names) == ("Wizards First Rule", ("Terry Goodkind",))
        assert (item.facts.asin, item.facts.released, item.facts.runtime) == ("B002V0QK4C", "2008", 12001)
        assert item.added_at == datetime(2022, 4, 22, 9, 51, 13, 750000, tzinfo=UTC)
    assert parse_item(answers["item-expanded.json"], "lib").facts.series[0].position == "1"
    assert parse_item(answers["item-media-update-answer.json"], "lib").facts.series[0].position == ""
    fake.replies["GET", "/api/libraries"] = Reply(200, answers["libraries.json"])
    assert [library.name for library in server.libraries()] == ["Main"]
    fake.replies["GET", "/api/libraries/lib_5yvub9dqvctlcrza6h/items"] = Reply(
        200, answers["library-items-minified.json"]
    )
    fake.replies["POST", "/api/items/batch/get"] = Reply(200, {"libraryItems": [answers["item-expanded.json"]]})
    assert [item.id for item in server.inventory().items] == ["li_8gch9ve09orgn4fdz8"]
    fake.replies["GET", "/status"] = Reply(200, answers["status.json"])
    with pytest.raises(LibraryError, match="very old"):
        server.version()
    # What none of our requests is answered with must not pass for an answer to one.
    for name in set(answers) - {"libraries.json", "library-with-filterdata.json"}:
        fake.replies["GET", "/api/libraries"] = Reply(200, answers[name])
        with pytest.raises(LibraryError):
            server.libraries()


# --- writing --------------------------------------------------------------------------------------------------------


def changes(item: LibraryItem, **becomes: Any) -> Changes:
    return Changes(was=item.facts, becomes=replace(item.facts, **becomes))


@pytest.fixture
def item(fake: FakeAudiobookshelf, server: Audiobookshelf) -> LibraryItem:
    fake.add_item(
        "one",
        authors=[{"id": "a1", "name": "Ilse Varga"}, {"id": "a2", "name": "Tomas Reed"}],
        series=[
            {"id": "s1", "name": "The Tide", "sequence": "1"},
            {"id": "s2", "name": "Sea Stories", "sequence": None},
        ],
        genres=["Fantasy"],
        tags=["mine"],
    )
    (item,) = server.inventory().items
    fake.requests.clear()
    return item


def said(fake: FakeAudiobookshelf, item_id: str = "one") -> dict[str, Any]:
    metadata: dict[str, Any] = fake.items[item_id]["media"]["metadata"]
    return metadata


def written(fake: FakeAudiobookshelf) -> list[Any]:
    """What was sent to be written, one for each item."""
    return [each["mediaPayload"] for request in sent(fake, "/api/items/batch/update") for each in request.body]


def test_it_writes_only_what_is_new(fake: FakeAudiobookshelf, server: Audiobookshelf, item: LibraryItem) -> None:
    assert server.write(
        "one", changes(item, asin="B0TESTAA03", released="2024-03-05", language="en", isbns=("9780306406157",))
    )
    expected = {
        "asin": "B0TESTAA03",
        "publishedYear": "2024",
        "publishedDate": "2024-03-05",
        "language": "en",
        "isbn": "9780306406157",
    }
    assert written(fake) == [{"metadata": expected}]


def test_it_reads_back_what_it_wrote(fake: FakeAudiobookshelf, server: Audiobookshelf, item: LibraryItem) -> None:
    new = replace(
        item.facts,
        title="New",
        subtitle="Sub",
        description="One < two & three.\nFour",
        publisher="Lantern",
        released="2024",
        abridged=True,
        narrators=(*item.facts.narrators, "Priya Lund"),
    )
    assert server.write("one", Changes(was=item.facts, becomes=new))
    assert server.inventory().items[0].facts == new
    fake.requests.clear()
    assert not server.write("one", Changes(was=item.facts, becomes=new)), "it is there already"
    assert written(fake) == []


def test_it_drops_no_author_narrator_series_or_genre(
    fake: FakeAudiobookshelf, server: Audiobookshelf, item: LibraryItem
) -> None:
    server.write(
        "one",
        changes(
            item,
            authors=(Contributor(name="ILSE VARGA"), Contributor(name="Ann Other")),
            narrators=("Priya Lund",),
            series=(SeriesPlace(name="the tide", position="2"), SeriesPlace(name="New One", position="0.5")),
            genres=("Adventure",),
        ),
    )
    now = said(fake)
    assert [each["name"] for each in now["authors"]] == ["Ilse Varga", "Tomas Reed", "Ann Other"]
    assert now["narrators"] == ["Mara Quill", "Priya Lund"]
    assert [(each["name"], each["sequence"]) for each in now["series"]] == [
        ("The Tide", "2"),
        ("Sea Stories", None),
        ("New One", "0.5"),
    ]
    assert now["genres"] == ["Fantasy", "Adventure"]
    assert now["series"][0]["id"] == "s1"


def test_a_sequence_is_always_text(fake: FakeAudiobookshelf, server: Audiobookshelf, item: LibraryItem) -> None:
    server.write("one", changes(item, series=(SeriesPlace(name="Sea Stories", position="3"),)))
    (change,) = written(fake)
    assert change["metadata"]["series"] == [
        {"name": "The Tide", "sequence": "1"},
        {"name": "Sea Stories", "sequence": "3"},
    ]


def test_it_empties_nothing(fake: FakeAudiobookshelf, server: Audiobookshelf, item: LibraryItem) -> None:
    assert not server.write("one", Changes(was=item.facts, becomes=BookFacts()))
    assert written(fake) == []


@pytest.mark.parametrize(
    ("by_the_user", "by_us"),
    [
        ({"title": "Theirs"}, {"title": "Ours"}),
        ({"asin": "B0THEIRS00"}, {"asin": "B0OURSXX00"}),
        ({"series": []}, {"series": (SeriesPlace(name="The Tide", position="2"),)}),
        ({"authors": [{"name": "Only One"}]}, {"authors": (Contributor(name="Ann Other"),)}),
        ({"language": "Klingon"}, {"language": "en"}),
        ({"publishedYear": "c. 1999"}, {"released": "1999"}),
    ],
)
def test_it_refuses_to_overwrite_what_the_user_changed_meanwhile(
    fake: FakeAudiobookshelf,
    server: Audiobookshelf,
    item: LibraryItem,
    by_the_user: dict[str, Any],
    by_us: dict[str, Any],
) -> None:
    said(fake).update(by_the_user)
    with pytest.raises(LibraryError, match="Read the library again and decide anew") as caught:
        server.write("one", changes(item, **by_us, publisher="Lantern"))
    assert next(iter(by_us)) in str(caught.value)
    assert written(fake) == []


def test_a_change_by_the_user_elsewhere_is_kept(
    fake: FakeAudiobookshelf, server: Audiobookshelf, item: LibraryItem
) -> None:
    said(fake)["title"] = "Theirs"
    assert server.write("one", changes(item, publisher="Lantern"))
    assert (said(fake)["title"], said(fake)["publisher"]) == ("Theirs", "Lantern")


def test_it_says_what_a_user_who_may_not_write_needs(
    fake: FakeAudiobookshelf, server: Audiobookshelf, item: LibraryItem
) -> None:
    fake.may_update = False
    with pytest.raises(LibraryError, match="permission to update"):
        server.write("one", changes(item, publisher="Lantern"))
    failed = server.write_many({"one": changes(item, publisher="Lantern")})
    assert "permission to update" in str(failed["one"])
    assert said(fake)["publisher"] is None


def test_an_item_that_is_gone_cannot_be_written(
    fake: FakeAudiobookshelf, server: Audiobookshelf, item: LibraryItem
) -> None:
    fake.items.clear()
    with pytest.raises(LibraryError, match="no longer has this book"):
        server.write("one", changes(item, publisher="Lantern"))


@pytest.mark.parametrize("reply", [HTML, Reply(200, {}), Reply(200, [])])
def test_a_write_whose_answer_is_none_is_not_taken_for_done(
    fake: FakeAudiobookshelf, server: Audiobookshelf, item: LibraryItem, reply: Reply
) -> None:
    fake.replies["POST", "/api/items/batch/update"] = reply
    with pytest.raises(LibraryError):
        server.write("one", changes(item, publisher="Lantern"))


def many(fake: FakeAudiobookshelf, server: Audiobookshelf, count: int) -> dict[str, Changes]:
    for number in range(count):
        fake.add_item(f"item-{number}")
    found = {item.id: changes(item, publisher="Lantern") for item in server.inventory().items}
    fake.requests.clear()
    return found


def test_many_are_written_in_batches(fake: FakeAudiobookshelf, server: Audiobookshelf) -> None:
    assert server.write_many(many(fake, server, BATCH + 1)) == {}
    assert all(said(fake, item_id)["publisher"] == "Lantern" for item_id in fake.items)
    assert [len(request.body) for request in sent(fake, "/api/items/batch/update")] == [BATCH, 1]
    assert server.write_many({}) == {}


def test_one_that_vanishes_from_a_batch_does_not_stop_the_others(
    fake: FakeAudiobookshelf, server: Audiobookshelf
) -> None:
    wanted = many(fake, server, BATCH)

    def delete(request: Request) -> None:
        if request.path == "/api/items/batch/update":
            fake.items.pop("item-7", None)

    fake.before = delete
    failed = server.write_many(wanted)
    assert list(failed) == ["item-7"]
    assert all(said(fake, item_id)["publisher"] == "Lantern" for item_id in fake.items)
    updates = [len(request.body) for request in sent(fake, "/api/items/batch/update")]
    assert updates == [BATCH] + [1] * (BATCH - 1)


def test_one_that_was_gone_or_changed_before_is_left_out(fake: FakeAudiobookshelf, server: Audiobookshelf) -> None:
    wanted = many(fake, server, 4)
    del fake.items["item-1"]
    said(fake, "item-2")["publisher"] = "Theirs"
    failed = server.write_many(wanted)
    assert sorted(failed) == ["item-1", "item-2"]
    assert [said(fake, each)["publisher"] for each in ("item-0", "item-2", "item-3")] == [
        "Lantern",
        "Theirs",
        "Lantern",
    ]


def test_a_server_that_goes_down_leaves_the_rest_unwritten(fake: FakeAudiobookshelf, server: Audiobookshelf) -> None:
    wanted = many(fake, server, 2 * BATCH)
    fake.drop_after = 3
    failed = server.write_many(wanted)
    assert list(failed) == list(wanted)[BATCH:]


# --- items under new ids --------------------------------------------------------------------------------------------


def found(item_id: str, path: str = "", asin: str = "") -> LibraryItem:
    return LibraryItem(library_id="lib", id=item_id, path=path, facts=BookFacts(asin=asin))


@pytest.mark.parametrize(
    ("before", "after", "pairs"),
    [
        ([found("1", "/a", "A")], [found("1", "/b", "A")], {}),
        ([found("1", "/a", "A")], [found("2", "/b", "A")], {"1": "2"}),
        ([found("1", "/a")], [found("2", "/a", "A")], {"1": "2"}),
        ([found("1", "/a")], [found("2", "/b")], {}),
        ([found("1", "/a", "A"), found("2", "/b", "A")], [found("3", "/c", "A"), found("4", "/d", "A")], {}),
        (
            [found("1", "/a", "A"), found("2", "/b", "A")],
            [found("3", "/a", "A"), found("4", "/d", "A")],
            {"1": "3", "2": "4"},
        ),
        ([found("1", "/a", "A")], [found("1", "/a", "A"), found("2", "/b", "A")], {}),
        ([found("1", "/a", "A")], [], {}),
    ],
)
def test_a_renamed_item_is_found_again(
    before: list[LibraryItem], after: list[LibraryItem], pairs: dict[str, str]
) -> None:
    assert moved(before, after) == pairs


def test_ten_thousand_renamed_items_are_found_again_at_once() -> None:
    """Found: each was compared with each."""
    before = [found(f"old-{number}", f"/{number}", f"B{number}") for number in range(10_000)]
    after = [found(f"new-{number}", f"/{number}{'' if number % 2 else '-'}", f"B{number}") for number in range(10_000)]
    began = time.process_time()
    assert moved(before, after) == {f"old-{number}": f"new-{number}" for number in range(10_000)}
    assert time.process_time() - began < 2


def test_positions_and_authors_survive_any_write(client: httpx.Client) -> None:
    names = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=6)
    places = st.lists(
        st.tuples(names, st.sampled_from(["", "1", "2.5", "1-3"])), max_size=4, unique_by=lambda p: p[0].lower()
    )

    with FakeAudiobookshelf() as fake:
        fake.add_library()
        server = Audiobookshelf(PlainHttp(client), fake.url, KEY)

        @given(had=places, wanted=places, authors=st.lists(names, max_size=3, unique_by=str.lower))
        @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        def check(had: list[tuple[str, str]], wanted: list[tuple[str, str]], authors: list[str]) -> None:
            fake.items.clear()
            fake.add_item(
                "one",
                series=[{"id": name, "name": name, "sequence": position or None} for name, position in had],
                authors=[{"id": name, "name": name} for name in authors],
            )
            (item,) = server.inventory().items
            places = tuple(SeriesPlace(name=name, position=position) for name, position in wanted)
            server.write("one", changes(item, series=places, authors=(Contributor(name="Ann Other"),)))
            kept = {each["name"]: each["sequence"] for each in said(fake)["series"]}
            assert {name for name, _ in had} <= set(kept)
            assert all(kept[name] for name, position in had if position), "a position was lost"
            assert set(authors) <= {each["name"] for each in said(fake)["authors"]}

        check()
