"""What the catalogue lists of series and authors becomes known: under which work, in which series, and at what cost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audiobooks import listing, names
from audiobooks.facts import BookFacts, Contributor, SeriesPlace
from audiobooks.fields import Offer, apply, new_book, offers_of
from audiobooks.gaps import series_boards
from audiobooks.library.albums import key_of
from audiobooks.listing import Listed, list_authors, list_series
from audiobooks.metadata.audnexus import Audnexus
from audiobooks.models import (
    Author,
    Book,
    BookChange,
    Follow,
    HttpCopy,
    Listing,
    ProviderMatch,
    Series,
    SeriesEntry,
    ServiceState,
    Work,
    WorkMark,
)
from scheduling.context import TaskRun
from tests.audiobooks.running import Quiet
from tests.fakes.catalogue import FakeCatalogue

pytestmark = pytest.mark.django_db(transaction=True)
SALT, ID = "The Salt Cartographers", "B0SERIES01"
VARGA = Contributor(name="Ilse Varga", id="B0AUTHOR01")
TITLES = ("Tide", "Shoal", "Ebb", "Reef", "Spit", "Sound")


def volume(number: int, **changes: Any) -> BookFacts:
    said: dict[str, Any] = {
        "title": TITLES[number - 1],
        "authors": (VARGA,),
        "narrators": ("Mara Quill",),
        "series": (SeriesPlace(name=SALT, position=str(number), id=ID),),
        "language": "en",
        "abridged": False,
        "runtime": 36_000,
        "released": "2020-03-05",
        "asin": f"B0VOLUME{number:02}",
    }
    return BookFacts(**{**said, **changes})


def own(facts: BookFacts, standing: str = "owned", **changes: Any) -> Book:
    work = Work.objects.create(title=facts.title, key=key_of(facts.title))
    said = {"source": "folder", "id": "", **changes}
    offers = offers_of(BookFacts(**{**facts.__dict__, **said}), "folder")
    return new_book(work, offers, now=timezone.now(), standing=standing)


@pytest.fixture
def catalogue(settings: Any) -> Iterator[FakeCatalogue]:
    with FakeCatalogue([volume(number) for number in range(1, 6)]) as outside:
        for name, value in {**outside.settings, "METADATA_PROVIDERS": ["audnexus"]}.items():
            setattr(settings, name, value)
        settings.RELEASE_LANGUAGES, settings.FOLLOW_AUTHORS = ["en"], 1
        yield outside


def task(stop_after: int | None = None) -> TaskRun:
    return TaskRun(task_id=0, attempt=1, channel=Quiet(stop_after))


def known() -> list[tuple[str, str]]:
    rows = SeriesEntry.objects.filter(series__name=SALT, book__standing="known")
    return [(entry.position, entry.book.title) for entry in rows.select_related("book").order_by("order", "book")]


def error_of(name: str = SALT) -> str:
    return str(Listing.objects.get(series__name=name).error)


# --- series -----------------------------------------------------------------------------------------------------------


def test_the_volumes_of_a_series_become_known(catalogue: FakeCatalogue) -> None:
    book = own(volume(2))
    assert list_series(task()) == Listed(asked=1, books=5, new=4)
    assert known() == [("1", "Tide"), ("3", "Ebb"), ("4", "Reef"), ("5", "Spit")]
    (found,) = series_boards()
    assert [gap.position for gap in found.gaps] == ["1", "3", "4", "5"] and found.total == 5
    told = Listing.objects.get()
    assert (told.series, told.books, told.error) == (Series.objects.get(), 5, "")
    tide = Book.objects.get(title="Tide")
    assert tide.provenance["asin"]["source"] == "audible" and tide.narrator_names == ["Mara Quill"]
    assert Book.objects.get(pk=book.pk).provenance == book.provenance
    # Nothing is new the second time, and nothing is written.
    assert list_series(task()) == Listed(asked=1, books=5, new=0)
    assert (Book.objects.count(), Work.objects.count(), BookChange.objects.count()) == (5, 5, 0)


def test_the_identifier_of_a_match_spares_a_question(catalogue: FakeCatalogue) -> None:
    book = own(volume(1))
    ProviderMatch.objects.create(
        book=book, provider="audnexus", record="B0VOLUME01", state="automatic", verdict="strong", distance=0,
        facts=volume(1, region="us").as_json(),
    )  # fmt: skip
    assert list_series(task()).new == 4
    assert not any(seen.path.endswith("B0VOLUME01") for seen in catalogue.seen)


def test_a_member_that_is_gone_is_passed_over(catalogue: FakeCatalogue) -> None:
    own(volume(1, asin="B0GONE0001"))
    own(volume(2, asin="B0GONE0002"))
    own(volume(3))
    assert list_series(task()).new == 4


@pytest.mark.parametrize("name", ["the salt cartographers", "Salt Cartographers", "The Salt Cartographers Series"])
def test_the_series_is_ours_whatever_the_catalogue_calls_it(catalogue: FakeCatalogue, name: str) -> None:
    own(volume(1, series=(SeriesPlace(name=name, position="1"),)))
    assert list_series(task()).new == 4
    assert Series.objects.count() == 1 and SeriesEntry.objects.count() == 5


def test_a_universe_is_not_the_series(catalogue: FakeCatalogue) -> None:
    universe = SeriesPlace(name="Coasts", position="12", id="B0UNIVERSE")
    catalogue.add(volume(1, series=(universe, SeriesPlace(name=SALT, position="1", id=ID))))
    own(volume(1))
    assert list_series(task()).books == 5
    assert catalogue.asked["B0UNIVERSE"] == 0 and catalogue.asked[ID] == 1


def test_a_second_recording_goes_under_the_same_work(catalogue: FakeCatalogue) -> None:
    mine = own(volume(1))
    catalogue.add(
        volume(1, asin="B0AGAIN001", narrators=("Somebody Else",)),
        volume(1, asin="B0AGAIN002", title="Tide: A Novel", abridged=True, runtime=9_000),
        volume(1, asin="B0AGAIN003", title="Tide (Dramatized Adaptation)", narrators=("A Cast",)),
        volume(2, asin="B0AGAIN004", title="Shoal (Unabridged)"),
        volume(1, asin="B0OTHER001", title="Tide and Time", series=(SeriesPlace(name=SALT, position="1.5", id=ID),)),
    )
    list_series(task())
    assert {book.asin for book in Book.objects.filter(work=mine.work)} == {
        "B0VOLUME01", "B0AGAIN001", "B0AGAIN002", "B0AGAIN003",
    }  # fmt: skip
    assert Book.objects.get(asin="B0VOLUME02").work == Book.objects.get(asin="B0AGAIN004").work
    assert Book.objects.get(asin="B0OTHER001").work.books.count() == 1
    (found,) = series_boards()
    assert [gap.position for gap in found.gaps] == ["2", "3", "4", "5"]


def test_a_work_that_is_ignored_stays_ignored_with_a_new_edition(catalogue: FakeCatalogue) -> None:
    own(volume(1))
    list_series(task())
    work = Book.objects.get(title="Shoal").work
    WorkMark.objects.create(work=work, kind="ignored")
    catalogue.add(volume(2, asin="B0AGAIN001", narrators=("Somebody Else",)))
    assert _ask_again().new == 1
    assert Book.objects.get(asin="B0AGAIN001").work == work
    assert series_boards()[0].gaps[0].reason == "ignored"


def _ask_again() -> Listed:
    HttpCopy.objects.all().delete()
    return list_series(task())


def test_an_owned_book_without_its_series_is_not_made_again(catalogue: FakeCatalogue) -> None:
    own(volume(1))
    other = own(volume(2, series=(), asin=""))
    list_series(task())
    assert Book.objects.get(asin="B0VOLUME02").work == other.work
    (found,) = series_boards()
    assert [gap.position for gap in found.gaps] == ["3", "4", "5"]


def test_a_day_of_release_that_was_put_off_is_noticed(catalogue: FakeCatalogue) -> None:
    own(volume(1))
    catalogue.add(volume(2, released="2090-01-01"))
    list_series(task())
    assert Book.objects.get(title="Shoal").released == "2090-01-01"
    catalogue.add(volume(1, released="1999-01-01"), volume(2, released="2091-01-01"))
    _ask_again()
    assert Book.objects.get(title="Shoal").released == "2091-01-01"
    # What is owned is the refresh's affair.
    assert Book.objects.get(title="Tide").released == "2020-03-05"


def test_absence_deletes_nothing(catalogue: FakeCatalogue) -> None:
    own(volume(1))
    list_series(task())
    for number in (3, 4, 5):
        del catalogue.books[f"B0VOLUME0{number}"]
    assert _ask_again().books == 2
    assert len(known()) == 4
    catalogue.books = {}
    assert _ask_again().failed == 1
    assert len(known()) == 4 and "no such series" in error_of() and Listing.objects.get().books == 2


# --- whom, how many, and how it fails ---------------------------------------------------------------------------------


def make_series(count: int) -> list[Series]:
    for number in range(count):
        own(volume(1, title=f"Book {number * 'x'}", series=(SeriesPlace(name=f"Series {number}", position="1"),)))
    return list(Series.objects.order_by("pk"))


def test_those_longest_ago_come_first_and_no_more_than_asked_for(catalogue: FakeCatalogue) -> None:
    rows = make_series(4)
    for row, days in zip(rows, (1, 9, None, 5), strict=True):
        if days is not None:
            Listing.objects.create(series=row, asked_at=timezone.now() - timedelta(days=days))
    began = timezone.now()
    assert list_series(task(), most=2).asked == 2
    asked = Listing.objects.filter(asked_at__gte=began).order_by("asked_at")
    assert [each.series for each in asked] == [rows[2], rows[1]]
    list_series(task(), most=2)
    assert Listing.objects.filter(asked_at__gte=began).count() == 4


def test_it_stops_when_asked_to_and_goes_on_with_the_others(catalogue: FakeCatalogue) -> None:
    make_series(3)
    assert list_series(task(stop_after=1)).asked == 1
    assert list_series(task(), most=2).asked == 2
    assert Listing.objects.count() == 3


def test_only_series_that_are_watched_are_asked_for(catalogue: FakeCatalogue) -> None:
    one, two, three = make_series(3)
    Book.objects.filter(series_entries__series=two).update(standing="known")
    Follow.objects.create(series=three, scope="none", since=timezone.now().date())
    assert list_series(task()).asked == 1 and Listing.objects.get().series == one
    Follow.objects.create(series=two, scope="all", since=timezone.now().date())
    assert list_series(task()).asked == 2


@pytest.mark.parametrize("fault", ["html", "error", "busy"])
def test_a_catalogue_that_does_not_answer_ends_the_run(catalogue: FakeCatalogue, fault: str, settings: Any) -> None:
    own(volume(1))
    make_series(6)
    catalogue.fault = fault
    found = list_series(task())
    assert (found.asked, found.new, found.failed) == (listing.UNANSWERED, 0, listing.UNANSWERED)
    assert all(each.error for each in Listing.objects.all()) and known() == []
    assert ServiceState.objects.get().consecutive_failures


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("METADATA_PROVIDERS", ["open_library"], "METADATA_PROVIDERS"), ("AUDIBLE_REGION", "atlantis", "AUDIBLE_REGION")],
)
def test_settings_that_lead_nowhere_are_said(
    catalogue: FakeCatalogue, settings: Any, name: str, value: Any, words: str
) -> None:
    own(volume(1))
    own(volume(3))
    setattr(settings, name, value)
    assert list_series(task()) == Listed(asked=1, failed=1)
    assert words in error_of() and catalogue.seen == []
    # What is known still makes a board.
    assert [gap.position for gap in series_boards()[0].gaps] == ["2"]


def test_a_series_that_no_member_leads_to(catalogue: FakeCatalogue) -> None:
    own(volume(1, series=(SeriesPlace(name="Unheard Of", position="1"),)))
    assert list_series(task()) == Listed(asked=1, failed=1)
    assert "no such series" in error_of("Unheard Of") and "(us)" in error_of("Unheard Of")


def test_a_series_of_which_no_member_is_known_to_the_catalogue(catalogue: FakeCatalogue) -> None:
    """Which is not to say that the catalogue lacks it."""
    own(volume(1, asin=""))
    assert list_series(task()) == Listed(asked=1, failed=1)
    assert "Nothing was asked" in error_of() and "no such series" not in error_of()


def test_what_does_not_fit_costs_its_own_series_only(catalogue: FakeCatalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    own(volume(1))
    make_series(1)
    real = listing.new_books

    def fails(*args: Any, **kwargs: Any) -> Any:
        raise listing.DataError("value too long\nSECRET ROW")

    monkeypatch.setattr(listing, "new_books", fails)
    found = list_series(task())
    assert found.asked == 2 and error_of() == "value too long" and known() == []
    monkeypatch.setattr(listing, "new_books", real)
    assert list_series(task()).new == 4


def trips(*args: Any) -> Any:
    raise TypeError("unhashable type: 'list'")


def test_what_the_code_trips_over_costs_its_own_series_only(
    catalogue: FakeCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends the Task, when the others were asked for."""
    own(volume(1))
    make_series(2)
    with monkeypatch.context() as broken, pytest.raises(TypeError):
        # No other gets as far as that.
        broken.setattr(Audnexus, "series_books", trips)
        list_series(run := task())
    assert (run.processed, run.items_failed) == (3, 3)
    assert "TypeError" in error_of() and "no such series" in error_of("Series 1")
    assert list_series(task()).new == 4 and error_of() == ""


def test_what_the_code_trips_over_is_not_the_first_of_each_run(
    catalogue: FakeCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = make_series(3)
    monkeypatch.setattr(Audnexus, "series_of", trips)
    for asked in (1, 2, 3):
        with pytest.raises(TypeError):
            list_series(task(stop_after=1))
        assert [each.series for each in Listing.objects.order_by("asked_at")] == rows[:asked]


def test_what_cannot_be_recorded_is_noted_too(catalogue: FakeCatalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    own(volume(1))
    monkeypatch.setattr(listing, "_works", trips)
    with pytest.raises(TypeError):
        list_series(task())
    assert "TypeError" in error_of() and known() == []


def test_long_and_odd_values_are_kept_as_far_as_they_fit(catalogue: FakeCatalogue) -> None:
    own(volume(1))
    place = SeriesPlace(name=SALT, position="7 " * 40, id=ID)
    catalogue.add(volume(2, asin="B0LONG0001", title="Long " * 300, series=(place,), publisher="P" * 999))
    assert list_series(task()).new == 5 and error_of() == ""


# --- authors ----------------------------------------------------------------------------------------------------------


def test_the_works_of_an_author_become_known(catalogue: FakeCatalogue) -> None:
    own(volume(1, series=()))
    alone = volume(6, series=())
    stranger = volume(6, asin="B0STRANGER", title="Not Hers", authors=(Contributor(name="Ilse Varga", id="B0OTHER"),))
    german = volume(6, asin="B0GERMAN01", title="Die Flut", language="de")
    catalogue.add(alone, stranger, german)
    ProviderMatch.objects.create(
        book=Book.objects.get(), provider="audnexus", record="B0VOLUME01", state="accepted", verdict="strong", distance=0,
        facts=volume(1).as_json(),
    )  # fmt: skip
    found = list_authors(task())
    assert (found.asked, found.books, found.new) == (1, 6, 5)
    titles = set(Book.objects.filter(standing="known").values_list("title", flat=True))
    assert titles == {"Shoal", "Ebb", "Reef", "Spit", "Sound"}
    assert Author.objects.count() == 1 and Listing.objects.get().author == Author.objects.get()


def test_the_languages_of_what_one_owns_are_listed(catalogue: FakeCatalogue) -> None:
    own(volume(1, title="Das Watt", language="de", asin=""))
    catalogue.add(volume(6, asin="B0GERMAN01", title="Die Flut", language="de"))
    list_authors(task())
    assert Book.objects.filter(title="Die Flut").exists()


# --- what it costs ----------------------------------------------------------------------------------------------------


def _cost(catalogue: FakeCatalogue, count: int) -> int:
    places = [SeriesPlace(name="Long", position=str(number), id="B0LONG") for number in range(count)]
    titles = [f"{TITLES[number % 6]} {TITLES[number // 6 % 6]} {chr(97 + number % 26) * 3}" for number in range(count)]
    several = [
        volume(1, asin=f"B0L{number:07}", title=title, series=(place,))
        for number, (place, title) in enumerate(zip(places, titles, strict=True))
    ]
    catalogue.add(*several)
    book = own(several[0])
    with CaptureQueriesContext(connection) as queries:
        list_series(task())
    assert SeriesEntry.objects.filter(series__name="Long").count() == count
    for model in (SeriesEntry, Listing, Book, HttpCopy):
        model.objects.all().delete()
    assert book.title
    return len(queries)


def test_the_queries_are_a_few_for_each_new_book(catalogue: FakeCatalogue) -> None:
    few, many = _cost(catalogue, 10), _cost(catalogue, 50)
    assert (many - few) / 40 <= 4


def test_who_lists_and_who_refreshes_do_not_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both hang books on the same authors: they lock them in one order."""
    authors = [Author.objects.create(name=name, key=key_of(name)) for name in ("Nora Ferris", "Tomas Reed")]
    book = own(volume(1, authors=()))
    under_way, errors = threading.Event(), []

    def work_of(title: str, found: list[Author]) -> Work:
        under_way.set()
        time.sleep(0.5)
        return names.work_of(title, found)

    def refresh() -> None:
        try:
            under_way.wait(10)
            offers = {"authors": Offer([author.name for author in authors], "audnexus")}
            apply(Book.objects.get(pk=book.pk), offers, why="refresh", now=timezone.now())
        except OperationalError as error:
            errors.append(error)
        finally:
            connection.close()

    monkeypatch.setattr(listing, "work_of", work_of)
    thread = threading.Thread(target=refresh)
    thread.start()
    listed = [
        volume(number, authors=(Contributor(name=author.name),))
        for number, author in zip((2, 3), reversed(authors), strict=True)
    ]
    try:
        listing.record(listed, series=None, beside=Book.objects.none())
    finally:
        thread.join()
    assert not errors and Book.objects.count() == 3
    assert Book.objects.get(pk=book.pk).author_names == ["Nora Ferris", "Tomas Reed"]
