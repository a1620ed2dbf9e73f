"""What the pages of the library show, and what they cost."""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.cache import cache
from django.db import connection, connections, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audiobooks import fields
from audiobooks.admin.book_form import BookForm
from audiobooks.admin.matches import comparison, evidence_of
from audiobooks.display import IMPORTANT, lacking
from audiobooks.facts import BookFacts, Contributor
from audiobooks.fields import FIELDS, Offer, new_book, values_of
from audiobooks.library.albums import key_of
from audiobooks.matching.positions import gaps
from audiobooks.merging import add_alias, merge
from audiobooks.models import Author, Book, BookChange, Holding, LibraryFile, ProviderMatch, Series, Work
from audiobooks.names import rows_by_key
from scheduling.display import change_url, step_url
from tests.scheduling.processes import wait_until

pytestmark = pytest.mark.django_db
LIST = "/admin/audiobooks/book/"
HOSTILE = '<script>alert("x")</script>\u202eevil'


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    cache.clear()
    return client


def make_book(title: str, *, offers: dict[str, Any] | None = None, **columns: Any) -> Book:
    said = {name: Offer(value, "folder") for name, value in {"title": title, **(offers or {})}.items()}
    work = Work.objects.create(title=title[:500], key=key_of(title))
    return new_book(work, said, now=timezone.now(), **columns)


def make_match(book: Book, record: str, facts: BookFacts | None = None, **fields: Any) -> ProviderMatch:
    told = (facts or BookFacts(title="x")).as_json()
    values = {"provider": "audnexus", "verdict": "medium", "distance": 0.2, "facts": told, **fields}
    return ProviderMatch.objects.create(book=book, record=record, **values)


def get(client: Client, url: str) -> str:
    response = client.get(url, follow=True)
    assert response.status_code == 200
    return response.content.decode()


def titles(client: Client, query: str) -> list[str]:
    response = client.get(f"{LIST}?{query}")
    assert response.status_code == 200
    return [book.title for book in response.context["cl"].result_list]


# --- the list ---------------------------------------------------------------------------------------------------------


def test_the_list_costs_at_most_twelve_queries_for_everybody(roles: None) -> None:
    user = User.objects.create_user("viewer", is_staff=True)
    user.groups.add(Group.objects.get(name="Viewer"))
    client = Client()
    client.force_login(user)
    for number in range(60):
        offers = {"authors": [f"A{number}", "B"], "narrators": ["N"], "genres": ["G"], "series": [["S", str(number)]]}
        book = make_book(f"Book {number:02}", offers=offers, path=f"p{number}")
        LibraryFile.objects.create(book=book, path=f"p{number}/1.mp3", size=1, modified_ns=1, format="mp3")
        make_match(book, "B1")
    for query in ("", "p=2", "q=book", "review=waiting", "language=-", "cover=none", "standing__exact=owned"):
        client.get(f"{LIST}?{query}")
        with CaptureQueriesContext(connection) as queries:
            assert client.get(f"{LIST}?{query}").status_code == 200
        assert len(queries) <= 12, query


def test_the_list_says_what_is_owned_and_what_is_lacking(client: Client) -> None:
    book = make_book("Dune", offers={"authors": ["Frank Herbert"], "series": [["Dune", "1"]], "asin": "B002V1OF70"})
    for number, format in enumerate(("mp3", "mp3", "m4b")):
        LibraryFile.objects.create(book=book, path=str(number), size=1, modified_ns=1, format=format)
    gone = {"path": "gone", "size": 1, "modified_ns": 1, "format": "ogg", "missing_since": timezone.now()}
    LibraryFile.objects.create(book=book, **gone)
    Holding.objects.create(book=book, library="libation", item="1", formats=["aax"], seen_at=timezone.now())
    page = get(client, LIST)
    assert "aax, m4b, mp3" in page and "Frank Herbert" in page and "Dune #1" in page
    assert "2 of 10" in page and "lacks narrators, description" in page


def test_what_is_lacking() -> None:
    book = make_book("x", offers={"isbn": "9780306406157", "runtime": 60, "cover_url": "https://x.org/y"})
    missing = lacking(values_of(Book.objects.get(pk=book.pk)))
    assert set(IMPORTANT) - set(missing) == {"identifier", "runtime", "cover"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("dune", ["Dune"]), ("DÜNE", ["Dune"]), ("herbert", ["Dune"]), ("frank dune", ["Dune"]), ("patrick", ["Dune"]),
        ("b002v1of70", ["Dune"]), ("978-0306406157", ["Dune"]), ("herbert%2Fdune", ["Dune"]), ("emma", ["Emma"]),
        ("frank emma", []), ("%25", []), ("_", []), ("", ["Dune", "Emma"]), ("e", ["Dune", "Emma"]), ("…", []),
    ],
)  # fmt: skip
def test_search(client: Client, text: str, found: list[str]) -> None:
    offers = {"authors": ["Frank Herbert"], "asin": "B002V1OF70", "isbn": "9780306406157"}
    make_book("Dune", offers=offers, path="Herbert/Dune")
    add_alias("author", Author.objects.get().pk, "Franklin Patrick Herbert")
    make_book("Emma", offers={"authors": ["Jane Austen"]}, path="Austen/Emma")
    assert titles(client, f"q={text}") == found


def test_filters(client: Client) -> None:
    make_book("a", standing="wanted", cover="ab/x.jpg", offers={"language": "de"})
    make_match(make_book("b", missing_since=timezone.now(), offers={"language": "en"}), "B1")
    expected = {
        "standing__exact=wanted": ["a"], "missing_since__isempty=0": ["b"], "missing_since__isempty=1": ["a"],
        "review=waiting": ["b"], "language=de": ["a"], "language=-": [], "cover=none": ["b"], "cover=some": ["a"],
        "o=-7": ["b", "a"], "o=1": ["a", "b"],
    }  # fmt: skip
    for query, found in expected.items():
        assert titles(client, query) == found, query


def test_pages_end(client: Client) -> None:
    for number in range(100):
        make_book(f"{number:03}")
    first, second = titles(client, ""), titles(client, "p=2")
    assert (first[0], first[-1], second[0], second[-1]) == ("000", "049", "050", "099")
    assert "p=2" in get(client, LIST)
    assert "p=3" not in get(client, f"{LIST}?p=2")
    assert titles(client, "p=3") == []


# --- one book ---------------------------------------------------------------------------------------------------------


def test_a_book_shows_who_said_what_and_what_a_source_says_now(client: Client) -> None:
    book = make_book("Ours")
    user = User.objects.get()
    fields.edit(book, {"publisher": "By Hand"}, by=user)
    offers = {"publisher": Offer("Macmillan", "audnexus")}
    fields.apply(Book.objects.get(pk=book.pk), offers, why="refresh", now=timezone.now())
    page = html.unescape(get(client, change_url(book)))
    assert "Audnexus now says: <q><bdi>Macmillan" in page
    assert "a person," in page and "the files," in page and "locked" in page
    at = Book.objects.get(pk=book.pk).provenance["publisher"]["offered"]["at"]
    client.post(step_url(book, "take"), {"field": "publisher", "at": "2001-01-01T00:00:00+00:00"})
    assert Book.objects.get(pk=book.pk).publisher == "By Hand"
    client.post(step_url(book, "take"), {"field": "publisher", "at": at})
    book = Book.objects.get(pk=book.pk)
    assert book.publisher == "Macmillan"
    assert book.provenance["publisher"].keys() == {"source", "at"}
    client.post(step_url(BookChange.objects.latest("pk"), "undo"))
    book = Book.objects.get(pk=book.pk)
    assert (book.publisher, book.provenance["publisher"]["locked"]) == ("By Hand", True)
    assert "undone" in get(client, change_url(book))


def posted(book: Book, **changed: str) -> dict[str, str]:
    """The form as a browser sends it."""
    form = BookForm(values_of(Book.objects.get(pk=book.pk)))
    data = {}
    for field in form:
        value = field.value()
        data[field.name] = data[f"initial-{field.name}"] = "" if value is None else str(value)
    assert not changed.keys() - data.keys()
    return {**data, **changed}


def test_an_edit_writes_and_locks_what_was_changed_alone(client: Client) -> None:
    offers = {
        "authors": ["One"],
        "series": [["Saga", "1-3"]],
        "runtime": 3661,
        "language": "English",
        "description": "a\nb",
    }
    book = make_book("x", offers=offers)
    assert client.post(step_url(book, "edit"), posted(book)).status_code == 302
    assert not BookChange.objects.exists()
    changed = {
        "authors": "Two\r\n\r\n  Three ", "series": "Saga #2\r\nNo. 9 Street # \r\nOther", "runtime": "12:05",
        "abridged": "False", "released": "2020-02", "isbn": "978-0-306-40615-7", "genres": "",
    }  # fmt: skip
    assert client.post(step_url(book, "edit"), posted(book, **changed)).status_code == 302
    values = values_of(Book.objects.get(pk=book.pk))
    assert values["authors"] == ["Two", "Three"]
    assert sorted(values["series"]) == [["No. 9 Street", ""], ["Other", ""], ["Saga", "2"]]
    assert (values["runtime"], values["abridged"], values["isbn"]) == (43_500, False, "9780306406157")
    assert (values["language"], values["released"]) == ("English", "2020-02")
    change = BookChange.objects.get()
    assert change.after.keys() == {"authors", "series", "runtime", "abridged", "released", "isbn"}


def test_a_place_whose_line_stays_is_the_same_also_with_a_sign_of_numbers_in_its_name(client: Client) -> None:
    book = make_book("x", offers={"series": [["Catch #22", ""], ["No # at all", "3"], ["Saga", "1"]]})
    shown = posted(book)
    assert client.post(step_url(book, "edit"), shown).status_code == 302
    assert not BookChange.objects.exists()
    lines = shown["series"].replace("Saga #1", "Saga #2") + "\r\nNew #4"
    assert client.post(step_url(book, "edit"), {**shown, "series": lines}).status_code == 302
    expected = [["Catch #22", ""], ["New", "4"], ["No # at all", "3"], ["Saga", "2"]]
    assert sorted(values_of(Book.objects.get(pk=book.pk))["series"]) == expected


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("title", " ", "required"), ("authors", "…", "no letter"), ("authors", "A\na", "twice"),
        ("narrators", "x" * 256, "255"), ("series", "S #1\ns #2", "twice"), ("series", f"S #{'1' * 33}", "32"),
        ("released", "2020-13", "YYYY"), ("released", "last year", "YYYY"), ("released", "2023-02-29", "YYYY"),
        ("language", "English", "code"), ("asin", "B1", "ten"), ("isbn", "9780306406158", "check digit"),
        ("isbn", "1", "digits"), ("cover_url", "javascript:alert(1)", "https"), ("runtime", "12", "hours"),
        ("title", "x" * 513, "512"), ("abridged", "maybe", "valid"),
    ],
)  # fmt: skip
def test_bad_input_is_explained_beside_its_field(client: Client, name: str, value: str, problem: str) -> None:
    book = make_book("x")
    response = client.post(step_url(book, "edit"), posted(book, **{name: value}))
    assert response.status_code == 200
    assert problem in " ".join(response.context["form"].errors[name])
    assert "Nothing was saved" in response.content.decode()
    assert not BookChange.objects.exists()


@pytest.mark.parametrize("name", ["title", "authors", "series"])
def test_a_nul_is_no_part_of_a_name(name: str) -> None:
    """Found: in a list none was seen, and PostgreSQL takes none."""
    form = BookForm({name: None for name in FIELDS}, {"title": "x", name: "A\0b"})
    assert "Null characters are not allowed." in form.errors[name]


def test_an_edit_does_not_put_back_what_a_refresh_wrote_meanwhile(client: Client) -> None:
    book = make_book("x", offers={"publisher": "Old"})
    shown = posted(book, language="de")
    fields.apply(book, {"publisher": Offer("New", "audnexus")}, why="refresh", now=timezone.now())
    client.post(step_url(book, "edit"), shown)
    book = Book.objects.get(pk=book.pk)
    assert (book.publisher, book.language) == ("New", "de")


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="has one writer at a time")
def test_an_edit_beside_a_merge_of_its_names_is_merged_with_them(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found: the names were read without a lock, and hung on what was gone by then."""
    make_book("x", offers={"authors": ["One"]})
    kept, gone = (Author.objects.create(name=name, key=key_of(name)) for name in ("Two", "2wo"))
    merging = in_thread(lambda: merge("author", kept.pk, gone.pk, by=User.objects.get()))

    def slow(model: Any, names: Any) -> Any:
        rows = rows_by_key(model, names)
        if model is Author:
            merging.start()
            wait_until(somebody_waits, seconds=60)
        return rows

    monkeypatch.setattr(fields, "rows_by_key", slow)
    response = client.post(step_url(Book.objects.get(), "edit"), posted(Book.objects.get(), authors="2wo"))
    merging.join(60)
    assert response.status_code == 302
    assert values_of(Book.objects.get())["authors"] == ["Two"] and BookChange.objects.count() == 1
    assert not Author.objects.filter(pk=gone.pk).exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="has one writer at a time")
@pytest.mark.parametrize("before", ["One", "2wo, One"])
def test_an_edit_that_waits_for_a_merge_of_its_names_takes_what_is_kept(client: Client, before: str) -> None:
    book = make_book("x", offers={"authors": before.split(", ")})
    kept = Author.objects.create(name="Two", key="two")
    gone, _ = Author.objects.get_or_create(key="2wo", defaults={"name": "2wo"})
    wanted = {"authors": ["2wo"]}
    editing = in_thread(lambda: fields.edit(book, wanted, by=User.objects.get()))
    with transaction.atomic():
        merge("author", kept.pk, gone.pk, by=User.objects.get())
        editing.start()
        wait_until(somebody_waits, seconds=60)
    editing.join(60)
    assert values_of(Book.objects.get())["authors"] == ["Two"]
    assert set(Author.objects.values_list("name", flat=True)) == {"One", "Two"}


def in_thread(step: Callable[[], object]) -> threading.Thread:
    def closing() -> None:
        try:
            step()
        finally:
            connections.close_all()

    return threading.Thread(target=closing)


def somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


# --- matches ----------------------------------------------------------------------------------------------------------


def test_candidates_stand_side_by_side_and_the_next_book_follows(client: Client) -> None:
    book, other = make_book("Dune", offers={"authors": ["Frank Herbert"]}), make_book("Emma")
    facts = BookFacts(title="Dune", authors=(Contributor(name="Brian Herbert"),), cover_url="https://x.org/c.jpg")
    evidence = {
        "penalties": [
            {"name": "runtime", "words": "runs 10 % longer", "share": 0.1, "weight": 10},
            {"name": "authors", "words": "another author", "share": 1.0, "weight": 30},
            {"name": "title", "words": "another title", "share": 0.0, "weight": 90},
        ],
        "vetoes": ["one is abridged"],
    }
    one, two = make_match(book, "B1", facts, evidence=evidence), make_match(book, "B2")
    third = make_match(other, "B3")
    assert evidence_of(one) == ["one is abridged", "another author", "runs 10 % longer"]
    rows = {label: cells for label, _, cells in comparison(Book.objects.get(pk=book.pk), [one, two])}
    assert [cell.differs for cell in rows["title"]] == [False, True]
    assert [cell.differs for cell in rows["authors"]] == [True, False]
    listing = client.get("/admin/audiobooks/providermatch/")
    assert [row.candidates for row in listing.context["cl"].result_list] == [2, 1]
    page = get(client, change_url(two))
    assert "one is abridged" in page and 'src="https' not in page
    response = client.post(step_url(two, "accept"))
    assert response["Location"] == change_url(third)
    one.refresh_from_db()
    assert one.state == "rejected"
    response = client.post(step_url(third, "none"), {"seen": third.pk})
    assert response["Location"] == "/admin/audiobooks/providermatch/"
    assert "Nothing else waits" in get(client, response["Location"])


# --- names ------------------------------------------------------------------------------------------------------------


def test_a_series_stands_in_order_with_its_gaps(client: Client) -> None:
    for position in ("10", "2", "0.5", "4-5", ""):
        make_book(f"Part {position}", offers={"series": [["Saga", position]]})
    page = get(client, change_url(Series.objects.get()))
    cells = re.findall(r'<span class="library-position">([^<]*)</span>', page)
    assert [cell for cell in cells if cell != "–"] == ["0.5", "1", "2", "3", "4-5", "6–9", "10"]


def test_gaps() -> None:
    assert gaps(["1", "2-4", "7", "0.5", "x", ""]) == [(5, 6)]
    assert gaps([]) == gaps(["1"]) == []
    assert gaps(["9999"]) == [(1, 9998)]


def test_names_are_found_and_merged_from_the_page(client: Client) -> None:
    kept = make_book("a", offers={"authors": ["J. R. R. Tolkien"]}).authors.get()
    gone = make_book("b", offers={"authors": ["John Tolkien"]}).authors.get()
    page = client.get(change_url(kept))
    assert [(other.name, other.books_in_all) for other in page.context["others"]] == [("John Tolkien", 1)]
    url = f"/admin/audiobooks/author/{kept.pk}/merge/"
    assert "with itself" in client.post(url, {"gone": kept.pk}, follow=True).content.decode()
    for wrong in ("", "x", "9" * 30, "12345678"):
        assert client.post(url, {"gone": wrong}).status_code == 302
    client.post(url, {"gone": gone.pk})
    listing = client.get("/admin/audiobooks/author/?q=john")
    assert [(row.name, row.books_in_all, row.other_names) for row in listing.context["cl"].result_list] == [
        ("J. R. R. Tolkien", 2, ["John Tolkien"])
    ]
    assert titles(client, f"authors__id__exact={kept.pk}") == ["a", "b"]


# --- safety -----------------------------------------------------------------------------------------------------------


def test_nothing_that_came_from_outside_is_taken_for_html(client: Client) -> None:
    names = {name: [HOSTILE] for name in ("authors", "narrators", "genres")}
    offers = {**names, "series": [[HOSTILE, "<b>1"]], "publisher": HOSTILE, "description": HOSTILE * 20}
    book = make_book(HOSTILE, offers=offers, path=HOSTILE)
    fields.edit(book, {"publisher": HOSTILE + "2"}, by=User.objects.get())
    again = {"publisher": Offer(HOSTILE, "<i>source")}
    fields.apply(Book.objects.get(pk=book.pk), again, why=HOSTILE, now=timezone.now())
    add_alias("author", Author.objects.get().pk, HOSTILE + "alias")
    LibraryFile.objects.create(book=book, path=HOSTILE, size=1, modified_ns=1, format="mp3", error=HOSTILE)
    evidence = {"penalties": [{"words": HOSTILE, "share": 1, "weight": 1}], "vetoes": [HOSTILE]}
    facts = BookFacts(title=HOSTILE, cover_url=f"javascript:{HOSTILE}")
    match = make_match(book, HOSTILE[:20], facts, evidence=evidence)
    pages = [LIST, change_url(book), step_url(book, "edit"), change_url(match), "/admin/audiobooks/providermatch/"]
    pages += ["/admin/audiobooks/bookchange/", "/admin/audiobooks/author/", change_url(Author.objects.get())]
    pages += [change_url(Series.objects.get()), "/admin/audiobooks/genre/", change_url(book.genres.get())]
    for url in pages:
        page = get(client, url)
        assert "<script>alert" not in page and "<i>source" not in page and "<b>1" not in page, url
        assert 'href="javascript' not in page


def test_pages_of_what_is_not_there(client: Client) -> None:
    for url in (f"{LIST}99/edit/", f"{LIST}cover/../../settings.py", f"{LIST}cover/x.jpg"):
        assert client.get(url).status_code == 404
    assert client.post(f"{LIST}99/refresh/").status_code == 404


def test_the_first_page_counts_what_waits(client: Client) -> None:
    make_match(make_book("x", missing_since=timezone.now() - timedelta(days=1)), "B1")
    assert "books to review" in get(client, "/admin/")
