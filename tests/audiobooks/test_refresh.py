"""The metadata refresh against a stand-in provider: what it writes, what it refuses, how it fails, goes on and is undone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DataError, OperationalError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audiobooks import fields, matches, merging, refresh
from audiobooks.facts import BookFacts, Contributor, SeriesPlace
from audiobooks.fields import Writing, edit, new_book, offers_of, values_of
from audiobooks.http import Doorway, Pace, Patience
from audiobooks.metadata import audnexus, open_library
from audiobooks.metadata.base import OWN_PACE, pace_at
from audiobooks.models import (
    Author,
    Book,
    BookChange,
    Host,
    HttpCopy,
    MetadataRun,
    ProviderMatch,
    Series,
    ServiceState,
    Work,
    with_names,
)
from audiobooks.names import rows_of
from audiobooks.transport import Transport
from scheduling.conf import scheduling_settings
from scheduling.context import TaskRun
from scheduling.display import step_url
from scheduling.exceptions import NotAllowedNow, TaskFailed
from scheduling.models import Job, SchedulerProcess, Task
from tests.audiobooks.outside import Outside, Reply
from tests.fakes.catalogue import FakeCatalogue
from tests.scheduling.processes import running_scheduler, wait_until
from tests.scheduling.test_running import ended

pytestmark = pytest.mark.django_db(transaction=True)

FULL, NEW = MetadataRun.Kind.FULL, MetadataRun.Kind.NEW
STATE = ProviderMatch.State
NUMBERS = ["One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten"]


def facts(number: int, **changes: Any) -> BookFacts:
    """What the catalogue knows of a book. Titles are words: numbers would be volumes."""
    title = f"The {NUMBERS[number // 100 % 10]} {NUMBERS[number // 10 % 10]} {NUMBERS[number % 10]} Lamps"
    said: dict[str, Any] = {
        "title": title,
        "subtitle": "A Novel",
        "authors": (Contributor(name=f"Ilse Varga {NUMBERS[number % 7]}"),),
        "narrators": ("Mara Quill",),
        "series": (SeriesPlace(name="The Salt Cartographers", position=str(number + 1)),),
        "genres": ("Fantasy",),
        "description": f"About {title}.",
        "language": "en",
        "abridged": False,
        "runtime": 36_000,
        "publisher": "Lantern Audio",
        "released": "2020-03-05",
        "asin": f"B0{number:08d}",
        "cover_url": f"https://images.example/{number}.jpg",
    }
    return BookFacts(**{**said, **changes})


def own(number: int, *, source: str = "folder", **changes: Any) -> Book:
    """The book in the library: title, author and ASIN, unless told otherwise."""
    known = facts(number)
    said = {"title": known.title, "authors": known.authors, "asin": known.asin, "language": "en", **changes}
    offers = offers_of(BookFacts(**said), source)
    return new_book(Work.objects.create(title=known.title, key=str(number)), offers, now=timezone.now())


@pytest.fixture
def outside(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCatalogue]:
    """The only provider that is turned on; our patience with it is short, and no name but a number has an address."""
    patience = Patience(read=30, total=60, first_pause=0.01, busy_pause=0.02, longest_pause=1)
    transport = Transport(resolver=no_names)

    def doorway(**_: Any) -> Doorway:
        return Doorway(patience=patience, contact="", transport=transport, pace=OWN_PACE)

    monkeypatch.setattr(refresh, "Doorway", doorway)
    with FakeCatalogue(facts(number) for number in range(300)) as fake:
        settings.METADATA_PROVIDERS = ["audnexus"]
        for name, value in fake.settings.items():
            setattr(settings, name, value)
        yield fake


def no_names(host: str, port: int) -> list[str]:
    """As a machine without a resolver, but at once: the covers are on no machine."""
    if host != "127.0.0.1":
        raise OSError("no resolver")
    return [host]


class Channel:
    """`at`: called with the run at each report."""

    def __init__(self, at: Callable[[TaskRun], object] = lambda run: None) -> None:
        self.at = at
        self.stop = False

    def stop_wanted(self) -> bool:
        return self.stop

    def report_progress(self, run: TaskRun) -> None:
        self.at(run)


def run(kind: str = FULL, channel: Channel | None = None) -> TaskRun:
    task = TaskRun(task_id=1, attempt=1, channel=channel or Channel())
    refresh.refresh_books(task, kind)
    return task


def later() -> None:
    """So much that copies of answers and pauses of providers are over."""
    HttpCopy.objects.update(checked_at=timezone.now() - timedelta(days=40))
    forget_failures()


def forget_failures() -> None:
    Host.objects.all().delete()
    ServiceState.objects.all().delete()


def read(book: Book) -> Book:
    return with_names(Book.objects.all()).get(pk=book.pk)


def everything() -> dict[int, Any]:
    """All fields of all books and what is known of their origin."""
    return {book.pk: (values_of(book), book.provenance) for book in with_names(Book.objects.all())}


def said(run: TaskRun) -> dict[str, Any]:
    assert isinstance(run.result, dict)
    return run.result


# --- what is written --------------------------------------------------------------------------------------------------


def test_a_book_known_by_its_asin_is_filled_in_and_each_value_knows_its_source_and_time(outside: FakeCatalogue) -> None:
    book, before = own(1), timezone.now()
    assert said(run()) == {
        "run": MetadataRun.objects.get().pk, "books": 1, "changed": 1, "to review": 0, "without an answer": 0,
        "finished": True,
    }  # fmt: skip
    book = read(book)
    known = facts(1)
    assert (book.narrator_names, book.publisher, book.description) == (
        ["Mara Quill"],
        "Lantern Audio",
        known.description,
    )
    assert values_of(book)["series"] == [["The Salt Cartographers", "2"]]
    assert book.provenance["title"]["source"] == "folder", "the same as it was"
    told = book.provenance["publisher"]
    assert told["source"] == "audnexus" and told["at"] >= before.isoformat()
    assert book.tried_at is not None and book.refreshed_at == book.tried_at
    match = ProviderMatch.objects.get()
    assert (match.state, match.record, match.region) == (STATE.AUTOMATIC, known.asin, "us")
    record = MetadataRun.objects.get()
    assert (record.state, record.checked, record.changed, record.replaced) == ("finished", 1, 1, 0)


def test_a_book_without_asin_is_found_by_search_and_only_the_work_is_written(outside: FakeCatalogue) -> None:
    book = own(1, asin="")
    run()
    book = read(book)
    assert book.description == facts(1).description
    assert (book.narrator_names, book.asin) == ([], ""), "nobody knows whether it is this recording"
    assert outside.asked == {facts(1).title: 1}


class Catalogue:
    """A provider that knows one record and finds it by whatever it is asked."""

    def __init__(self, name: str, number: int = 1, *, knows_recordings: bool = True) -> None:
        self.name = self.label = name
        self.knows_recordings = knows_recordings
        self.record = facts(number, source=name, id=f"{name}1", is_audio=True)

    def look_up(self, http: Doorway, wanted: BookFacts) -> BookFacts:
        return self.record

    def search(self, http: Doorway, wanted: BookFacts) -> tuple[BookFacts, ...]:
        return ()


def turn_on(monkeypatch: pytest.MonkeyPatch, *catalogues: Catalogue) -> None:
    monkeypatch.setattr(refresh, "providers", lambda: catalogues)


def test_a_provider_that_knows_no_recordings_writes_none_of_their_fields_in_any_run(
    outside: FakeCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found: from the second run on it did, for its record had compared as the very recording."""
    book = own(1)
    turn_on(monkeypatch, Catalogue("hardcover", knows_recordings=False))
    run()
    first = values_of(read(book))
    assert first["description"] and not first["publisher"] and not first["narrators"]
    later()
    run()
    assert values_of(read(book)) == first


def test_a_doubtful_record_is_proposed_and_nothing_is_written(outside: FakeCatalogue) -> None:
    book = own(1, asin="", authors=())
    before = everything()
    assert said(run())["to review"] == 1
    assert everything() == before
    match = ProviderMatch.objects.get()
    assert (match.state, match.record) == (STATE.PROPOSED, facts(1).asin)
    assert match.evidence["doubts"] and match.facts["title"] == facts(1).title
    assert read(book).tried_at is not None and read(book).refreshed_at is None


def test_a_rejected_record_never_comes_back(outside: FakeCatalogue) -> None:
    own(1)
    ProviderMatch.objects.create(
        book=Book.objects.get(), provider="audnexus", record=facts(1).asin, region="us", state=STATE.REJECTED,
        verdict="strong", distance=0,
    )  # fmt: skip
    before = everything()
    for _ in range(2):
        run()
        later()
    assert everything() == before
    assert ProviderMatch.objects.get().state == STATE.REJECTED


def test_an_accepted_record_is_used_whatever_asin_the_files_say(outside: FakeCatalogue) -> None:
    """Found: the record was asked for by the book's own ASIN, so that of the accepted one nothing ever came."""
    book = own(1, asin=facts(2).asin)
    ProviderMatch.objects.create(
        book=book, provider="audnexus", record=facts(1).asin, region="us", state=STATE.ACCEPTED, verdict="low",
        distance=0.4, same_recording=True,
    )  # fmt: skip
    run()
    assert outside.asked == {facts(1).asin: 1}
    assert read(book).description == facts(1).description


def test_a_doubt_is_over_once_the_record_is_certain(outside: FakeCatalogue, admin_user: User) -> None:
    book = own(1, asin="", authors=())
    run()
    edit(read(book), {"authors": list(facts(1).author_names)}, by=admin_user)
    later()
    run()
    assert [match.state for match in ProviderMatch.objects.all()] == [STATE.AUTOMATIC]
    assert read(book).description == facts(1).description


def test_what_a_person_edits_while_the_provider_is_asked_is_kept(outside: FakeCatalogue, admin_user: User) -> None:
    book = own(1, publisher="Old", source="audnexus")
    run_while(outside, lambda: edit(read(book), {"publisher": "Mine", "subtitle": "Mine too"}, by=admin_user))
    book = read(book)
    assert (book.publisher, book.subtitle, book.description) == ("Mine", "Mine too", facts(1).description)
    assert book.provenance["publisher"]["locked"]
    assert book.provenance["publisher"]["offered"]["value"] == "Lantern Audio", "the source now says ..."


def in_thread(step: Callable[[], None]) -> None:
    try:
        step()
    finally:
        connection.close()


def match_of(book: Book, number: int, state: str) -> ProviderMatch:
    return ProviderMatch.objects.create(
        book=book, provider="audnexus", record=facts(number).asin, region="us", state=state, verdict="strong",
        distance=0, same_recording=True,
    )  # fmt: skip


def run_while(outside: FakeCatalogue, step: Callable[[], object], *, questions: int = 1) -> None:
    """A run, during which the step is taken between so many questions to the provider and their answers."""
    outside.asked.clear()
    lock, left, errors = threading.Lock(), [step], list[Exception]()

    def meanwhile() -> None:
        wait_until(lambda: len(outside.asked) >= questions, seconds=20)
        with lock:
            try:
                while left:
                    left.pop()()
            except Exception as error:  # noqa: BLE001  Shown below.
                errors.append(error)
            finally:
                connection.close()

    outside.before_answer = meanwhile
    run()
    assert not left and not errors, errors


@pytest.mark.parametrize("known", [True, False])
def test_a_record_that_a_person_rejects_while_it_is_asked_for_is_not_written(
    outside: FakeCatalogue, admin_user: User, known: bool
) -> None:
    """Found: it was, and stayed for good."""
    book, other = own(1), own(2)
    match = match_of(book, 1, STATE.AUTOMATIC if known else STATE.PROPOSED)
    before = everything()[book.pk]
    run_while(outside, lambda: matches.reject(match, admin_user))
    assert ProviderMatch.objects.get(book=book).state == STATE.REJECTED
    assert everything()[book.pk] == before
    assert read(book).tried_at is not None and read(book).refreshed_at is None
    assert read(other).description == facts(2).description


def test_what_is_undone_while_it_is_asked_for_again_is_not_written(outside: FakeCatalogue) -> None:
    book = own(1)
    before = everything()[book.pk]
    run()
    first = MetadataRun.objects.get()
    later()
    outside.add(facts(1, publisher="Another House"))
    run_while(outside, lambda: refresh.undo_run(first))
    match = ProviderMatch.objects.get()
    assert (match.state, match.undone) == (STATE.PROPOSED, True)
    assert everything()[book.pk] == before


def test_a_record_is_not_written_once_a_person_has_accepted_another(outside: FakeCatalogue, admin_user: User) -> None:
    book = own(1)
    match_of(book, 1, STATE.AUTOMATIC)
    another = match_of(book, 2, STATE.PROPOSED)
    before = everything()[book.pk]
    run_while(outside, lambda: matches.accept(another, admin_user))
    assert everything()[book.pk] == before


def test_a_merge_that_is_undone_while_the_provider_is_asked_stays_undone(
    outside: FakeCatalogue, admin_user: User
) -> None:
    """Found: the book was written with the names that it had been read with."""
    book = own(1, series=(SeriesPlace(name="Old", position="1"),))
    (new,) = rows_of(Series, ["New"])
    done = merging.merge("series", new.pk, Series.objects.get(name="Old").pk, by=admin_user)
    assert values_of(read(book))["series"] == [["New", "1"]]
    run_while(outside, lambda: merging.undo_merge(done))
    assert values_of(read(book))["series"] == [["Old", "1"], ["The Salt Cartographers", "2"]]


def test_an_author_who_is_merged_while_the_provider_is_asked_is_the_one_it_offers(
    outside: FakeCatalogue, admin_user: User
) -> None:
    """Found: it was noted that the offer would drop the name that was merged away."""
    book = own(1, authors=(Contributor(name="I. Varga"),))
    kept, gone = rows_of(Author, [*facts(1).author_names, "I. Varga"])
    run_while(outside, lambda: merging.merge("author", kept.pk, gone.pk, by=admin_user))
    assert read(book).author_names == list(facts(1).author_names)
    assert "offered" not in read(book).provenance["authors"]


def test_what_a_person_decides_is_asked_once_for_all_that_are_written_together(outside: FakeCatalogue) -> None:
    def queries(books: int) -> int:
        due = []
        for known in refresh._known_of(list(Book.objects.all()[:books])):
            match_of(known.book, 1, STATE.REJECTED)
            due.append(refresh.Due(known, [refresh.Answer("audnexus", facts(1, id=facts(1).asin))], {}))
        with CaptureQueriesContext(connection) as asked, transaction.atomic():
            decided = refresh._as_decided(due)
        assert [each.answers for each in decided] == [[]] * books
        ProviderMatch.objects.all().delete()
        return len(asked)

    for number in range(16):
        own(number)
    assert queries(16) == queries(1)


@pytest.mark.parametrize("knows_asin", [True, False])
def test_a_book_deleted_while_the_provider_is_asked_stays_deleted(outside: FakeCatalogue, knows_asin: bool) -> None:
    """Found: a new match of a book that was gone, and of which nothing else was to be written, broke the Task."""
    own(2)
    doomed = own(1) if knows_asin else own(1, asin="", authors=())
    run_while(outside, Book.objects.filter(pk=doomed.pk).delete, questions=2)
    assert Book.objects.count() == 1
    assert MetadataRun.objects.get().state == MetadataRun.State.FINISHED


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["blank", "series gone", "wrong language", "other book"])
def test_a_record_that_says_less_or_other_things_than_before_changes_nothing(
    outside: FakeCatalogue, fault: str
) -> None:
    """Found: a record once taken was written whatever it had turned into."""
    own(1)
    own(2, asin="")
    run()
    before = everything()
    later()
    outside.fault = fault
    run()
    assert everything() == before


def test_a_record_that_turned_into_another_book_goes_back_to_review(outside: FakeCatalogue) -> None:
    own(1)
    run()
    later()
    outside.fault = "other book"
    assert said(run())["to review"] == 1
    match = ProviderMatch.objects.get()
    assert (match.state, match.facts["title"]) == (STATE.PROPOSED, "Gardening for Cats")


@pytest.mark.parametrize("fault", ["wrong language", "other book"])
def test_another_book_under_our_asin_is_not_ours(outside: FakeCatalogue, fault: str) -> None:
    book = own(1)
    before = everything()
    outside.fault = fault
    run()
    assert everything() == before
    assert not ProviderMatch.objects.filter(book=book, state=STATE.AUTOMATIC).exists()


def test_absence_never_deletes(outside: FakeCatalogue) -> None:
    own(1)
    run()
    before = everything()
    outside.books.clear()
    later()
    run()
    assert everything() == before
    assert ProviderMatch.objects.get().state == STATE.AUTOMATIC


# --- how it fails -----------------------------------------------------------------------------------------------------

WHY = {
    "down": "could not be reached|peer closed",
    "busy": "429",
    "busy without saying how long": "429|left alone",
    "html": "not JSON.*Just a moment",
    "half": "could not be reached|peer closed",
    "error": "500",
}


@pytest.mark.parametrize("fault", WHY)
def test_a_provider_that_does_not_answer_ends_the_task_early_with_the_reason_and_no_book_changed(
    outside: FakeCatalogue, fault: str
) -> None:
    for number in range(60):
        own(number)
    before = everything()
    outside.fault = fault
    with pytest.raises(TaskFailed, match=f"No provider answers.*({WHY[fault]})"):
        run()
    assert everything() == before
    assert not Book.objects.exclude(tried_at=None).exists()
    assert len(outside.seen) <= 3 * refresh.AHEAD
    assert MetadataRun.objects.get().state == MetadataRun.State.RUNNING
    outside.fault = ""
    later()
    assert said(run())["books"] == 60
    assert MetadataRun.objects.get().state == MetadataRun.State.FINISHED


def test_a_storm_of_429_in_the_middle_costs_no_book(outside: FakeCatalogue) -> None:
    for number in range(80):
        own(number)

    def at(task: TaskRun) -> None:
        outside.fault = "busy" if task.processed >= 20 else ""

    with pytest.raises(TaskFailed, match="429"):
        run(channel=Channel(at))
    done = Book.objects.exclude(tried_at=None).count()
    assert 20 <= done < 80
    assert Book.objects.exclude(description="").count() == done
    seen = len(outside.seen)
    with pytest.raises(TaskFailed, match="is off until"):
        run()
    assert len(outside.seen) == seen, "it asked for an hour of quiet"
    outside.fault = ""
    later()
    assert said(run())["books"] == 80 - done
    assert not Book.objects.filter(description="").exists()


def test_of_two_providers_one_is_down_and_costs_only_its_own_answers(outside: FakeCatalogue, settings: Any) -> None:
    with Outside() as broken:
        broken.otherwise = lambda seen: Reply(503, b"down")
        settings.METADATA_PROVIDERS = ["open_library", "audnexus"]
        settings.OPEN_LIBRARY_URL = broken.url
        for number in range(30):
            own(number)
        task = run()
    assert said(task)["without an answer"] == 0 and said(task)["changed"] == 30
    assert not Book.objects.filter(description="").exists()


def test_every_provider_is_down(outside: FakeCatalogue, settings: Any) -> None:
    settings.METADATA_PROVIDERS = ["open_library", "audnexus"]
    with Outside() as gone:
        settings.OPEN_LIBRARY_URL = settings.AUDNEXUS_URL = settings.AUDIBLE_URL = gone.url
    for number in range(30):
        own(number)
    before = everything()
    with pytest.raises(TaskFailed, match=r"open_library: .*audnexus: "):
        run()
    assert everything() == before


def test_a_book_that_an_adapter_cannot_digest_does_not_stop_the_others_and_is_first_the_next_time(
    outside: FakeCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found: it would have ended every run, being the oldest."""
    for number in range(20):
        own(number)
    right = audnexus.parse

    def wrong(data: dict[str, Any], region: str) -> BookFacts | None:
        if data["asin"] == facts(7).asin:
            raise KeyError("a bug")
        return right(data, region)

    monkeypatch.setattr(audnexus, "parse", wrong)
    assert said(run()) | {"run": 0} == {
        "run": 0, "books": 20, "changed": 19, "to review": 0, "without an answer": 0, "finished": True,
    }  # fmt: skip
    monkeypatch.setattr(audnexus, "parse", right)
    texts: list[str] = []
    run(channel=Channel(lambda task: texts.append(task.text)))
    assert next(filter(None, texts)) == facts(7).title
    assert not Book.objects.filter(description="").exists()


def adapter_breaks(monkeypatch: pytest.MonkeyPatch, *numbers: int) -> None:
    """Over the records of these books."""
    right, broken = audnexus.parse, {facts(number).asin for number in numbers}

    def wrong(data: dict[str, Any], region: str) -> BookFacts | None:
        if data["asin"] in broken:
            raise TypeError("a bug")
        return right(data, region)

    monkeypatch.setattr(audnexus, "parse", wrong)


def test_books_in_a_row_that_an_adapter_cannot_digest_hold_up_no_other(
    outside: FakeCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found: each run ended at the same ten, which had never been tried, and were first again."""
    for number in range(20):
        own(number)
    adapter_breaks(monkeypatch, *range(refresh.UNANSWERED + 2))
    task = run()
    assert (said(task)["changed"], said(task)["finished"]) == (8, True)
    assert (task.items_succeeded, task.items_failed) == (8, 12)
    assert not Book.objects.filter(tried_at=None).exists()
    assert Book.objects.exclude(description="").count() == Book.objects.exclude(refreshed_at=None).count() == 8
    own(20)
    texts: list[str] = []
    run(channel=Channel(lambda task: texts.append(task.text)))
    assert next(filter(None, texts)) == facts(20).title


def test_where_an_adapter_broke_over_all_that_is_left_the_task_fails_and_the_run_is_over(
    outside: FakeCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        own(number)
    adapter_breaks(monkeypatch, *range(3))
    with pytest.raises(TaskFailed, match=r"broke over.*audnexus: TypeError: a bug") as broke:
        run()
    assert "No provider answers" not in str(broke.value)
    assert not broke.value.retry, "the same would break"
    assert MetadataRun.objects.get().state == MetadataRun.State.FINISHED
    assert not Book.objects.filter(tried_at=None).exists()


def test_of_books_that_nobody_answered_for_those_that_broke_an_adapter_are_not_asked_about_again(
    outside: FakeCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        own(number)
    adapter_breaks(monkeypatch, 0)
    monkeypatch.setattr(refresh, "ASKERS", 1)
    right = outside._answer
    outside._outside.otherwise = lambda seen: right(seen) if facts(0).asin in seen.path else Reply(503, b"down")
    with pytest.raises(TaskFailed, match="No provider answers") as silent:
        run()
    assert silent.value.retry
    assert Book.objects.exclude(tried_at=None).get().asin == facts(0).asin
    assert MetadataRun.objects.get().state == MetadataRun.State.RUNNING
    outside._outside.otherwise = right
    later()
    assert said(run())["books"] == 29


def test_an_adapter_that_breaks_costs_no_query_of_the_other_books(
    outside: FakeCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def queries() -> int:
        Book.objects.update(tried_at=None)
        later()
        with CaptureQueriesContext(connection) as asked:
            run()
        return len(asked)

    for number in range(4):
        own(number)
    queries()
    before = queries()
    adapter_breaks(monkeypatch, 3)
    assert queries() <= before + 1


def test_a_bug_in_one_adapter_costs_only_its_own_answers(
    outside: FakeCatalogue, settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Found: what the others had answered was thrown away."""

    def wrong(*_: Any) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(open_library.OpenLibrary, "look_up", wrong)
    settings.METADATA_PROVIDERS = ["open_library", "audnexus"]
    for number in range(3):
        own(number)
    assert said(run()) | {"run": 0} == {
        "run": 0, "books": 3, "changed": 3, "to review": 0, "without an answer": 0, "finished": True,
    }  # fmt: skip
    assert not Book.objects.filter(description="").exists()
    told = [record.getMessage() for record in caplog.records if "could not be asked about" in record.getMessage()]
    assert len(told) == 3 and all("at open_library" in line and "a bug" in line for line in told)


def test_a_value_that_no_column_takes_costs_its_own_book_only(
    outside: FakeCatalogue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Those that were written with it are written all the same."""
    for number in range(20):
        own(number)
    right = fields._store

    def store(writings: Sequence[Writing]) -> None:
        right(writings)
        if any(each.book.asin == facts(7).asin for each in writings):
            raise DataError("value too long")

    monkeypatch.setattr(fields, "_store", store)
    assert said(run())["changed"] == 19
    assert Book.objects.filter(description="").get().asin == facts(7).asin
    assert not Book.objects.filter(tried_at=None).exists()
    assert BookChange.objects.count() == ProviderMatch.objects.count() == 19
    told = [record.getMessage() for record in caplog.records if "could not be written" in record.getMessage()]
    assert told == [f"{facts(7).title} could not be written: value too long"]
    record = MetadataRun.objects.get()
    assert (record.checked, record.changed) == (19, 19)


def test_covers_of_a_host_that_is_left_alone_are_not_asked_for_one_by_one(
    outside: FakeCatalogue, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(60):
        own(number)
    run()
    told = [record.getMessage() for record in caplog.records if "over" in record.getMessage()]
    assert sum(int(line.split(": ")[1].split(".")[0]) for line in told if line.startswith("Covers that")) == 60
    assert len(told) < 20
    assert Host.objects.get(host="images.example").consecutive_failures < 20


def test_what_was_answered_is_written_soon(outside: FakeCatalogue) -> None:
    """Also where the next answer is long in coming."""
    for number in range(4):
        own(number)
    slow = facts(3).asin
    right = outside._answer
    written: list[int] = []

    def look() -> None:
        wait_until(lambda: Book.objects.exclude(tried_at=None).count() == 3, seconds=20)
        written.append(Book.objects.exclude(tried_at=None).count())

    def answer(seen: Any) -> Reply:
        if slow in seen.path:
            in_thread(look)
        return right(seen)

    outside._outside.otherwise = answer
    run()
    assert written == [3]


def test_threads_that_reach_no_database_do_not_keep_the_task_waiting(
    outside: FakeCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found: a thread that ended left its book waited for, for ever."""
    for number in range(20):
        own(number)

    def gone() -> None:
        raise OperationalError("too many connections")

    monkeypatch.setattr(refresh, "connection", SimpleNamespace(ensure_connection=gone))
    with pytest.raises(TaskFailed, match=r"No provider answers.*too many connections"):
        run()
    assert not Book.objects.exclude(tried_at=None).exists(), "no fault of theirs"


def test_without_a_provider_it_says_so(settings: Any) -> None:
    settings.METADATA_PROVIDERS = []
    with pytest.raises(TaskFailed, match="METADATA_PROVIDERS"):
        run()


# --- a run over several Tasks -----------------------------------------------------------------------------------------


def test_cancel_ends_it_soon_and_it_goes_on_where_it_was(outside: FakeCatalogue) -> None:
    for number in range(100):
        own(number)
    channel = Channel()

    def at(task: TaskRun) -> None:
        channel.stop = task.processed >= 30

    channel.at = at
    assert said(run(channel=channel)) | {"run": 0} == {
        "run": 0, "books": 30, "changed": 30, "to review": 0, "without an answer": 0, "finished": False,
    }  # fmt: skip
    assert Book.objects.exclude(tried_at=None).count() == 30
    assert said(run())["books"] == 70
    assert max(outside.asked.values()) == 1 and len(outside.asked) == 100
    assert (MetadataRun.objects.get().checked, MetadataRun.objects.get().changed) == (100, 100)


def test_cancel_does_not_wait_for_a_slow_provider(outside: FakeCatalogue) -> None:
    for number in range(100):
        own(number)
    outside.latency = 1
    channel = Channel()
    outside.before_answer = lambda: setattr(channel, "stop", True)
    assert said(run(channel=channel))["books"] == 0
    assert len(outside.seen) <= refresh.ASKERS


def test_the_oldest_come_first_the_never_asked_before_them(outside: FakeCatalogue) -> None:
    now = timezone.now()
    ages: dict[int, timedelta | None] = {
        0: timedelta(days=1), 1: timedelta(days=90), 2: None, 3: timedelta(days=30), 4: None
    }  # fmt: skip
    for number, age in ages.items():
        Book.objects.filter(pk=own(number).pk).update(tried_at=age and now - age)
    texts: list[str] = []
    run(channel=Channel(lambda task: texts.append(task.text)))
    assert list(dict.fromkeys(filter(None, texts))) == [facts(number).title for number in (2, 4, 1, 3, 0)]


def test_batches_that_end_within_one_moment_lose_no_book(
    outside: FakeCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "BATCH", 7)
    for number in range(40):
        own(number)
    Book.objects.update(tried_at=timezone.now() - timedelta(days=30))
    assert said(run())["changed"] == 40
    assert max(outside.asked.values()) == 1


def test_the_new_books_run_takes_the_last_seven_days_only(outside: FakeCatalogue) -> None:
    new, old = own(1), own(2)
    for book, days in ((new, 6.9), (old, 7.1)):
        Book.objects.filter(pk=book.pk).update(added_at=timezone.now() - timedelta(days=days))
    assert said(run(NEW))["books"] == 1
    assert read(new).description and not read(old).description


def test_a_run_that_was_never_finished_gives_way_to_a_new_one(outside: FakeCatalogue) -> None:
    own(1)
    for kind, days in ((FULL, 26), (NEW, 6.5)):
        stale = MetadataRun.objects.create(kind=kind, started_at=timezone.now() - timedelta(days=days))
        task = run(kind)
        assert said(task)["run"] != stale.pk
        stale.refresh_from_db()
        assert stale.state == MetadataRun.State.ABANDONED


@pytest.mark.parametrize(("kind", "days"), [(FULL, 26), (NEW, 6.5)])
def test_a_run_that_a_person_lets_go_on_late_goes_on(outside: FakeCatalogue, kind: str, days: float) -> None:
    """Found: the answer was thrown away, for the run was too old by then, and a new one asked the same."""
    own(1)
    started = timezone.now() - timedelta(days=days)
    record = MetadataRun.objects.create(kind=kind, started_at=started, state=MetadataRun.State.ASKS, replaced=20)
    refresh.let_go_on(record)
    assert said(run(kind))["run"] == record.pk
    assert MetadataRun.objects.get().state == MetadataRun.State.FINISHED


def test_one_book_alone_can_be_refreshed(outside: FakeCatalogue, admin_user: User) -> None:
    book, other = own(1), own(2)
    Job(id="metadata_new", name="x", function="audiobooks.metadata_new", cron="0 0 1 1 *").save_definition()
    task = refresh.refresh_one(book.pk, by=admin_user)
    assert task.arguments == {"book": book.pk}
    refresh.refresh_book(TaskRun(task_id=task.pk, attempt=1, channel=Channel()), book.pk)
    assert read(book).description and not read(other).description
    with pytest.raises(TaskFailed, match="no book"):
        refresh.refresh_book(TaskRun(task_id=task.pk, attempt=1, channel=Channel()), 10**6)


def test_a_refresh_of_one_book_that_nobody_answers_is_over(outside: FakeCatalogue) -> None:
    book = own(1)
    outside.fault = "down"
    with pytest.raises(TaskFailed, match="No provider answers"):
        refresh.refresh_book(TaskRun(task_id=1, attempt=1, channel=Channel()), book.pk)
    record = MetadataRun.objects.get()
    assert (record.state, record.finished_at is not None) == (MetadataRun.State.ABANDONED, True)


# --- the guard, and the undo ------------------------------------------------------------------------------------------


def publishers_change(outside: FakeCatalogue, count: int) -> None:
    outside.add(*(facts(number, publisher="Another House") for number in range(count)))


def test_the_guard_stops_a_mass_change_asks_and_lets_it_go_on(outside: FakeCatalogue, settings: Any) -> None:
    settings.METADATA_GUARD_PERCENT = 10
    for number in range(40):
        own(number)
    run()
    assert MetadataRun.objects.get().replaced == 0, "what was unknown does not count"
    later()
    publishers_change(outside, 40)
    with pytest.raises(TaskFailed, match="more than the guard allows") as asks:
        run()
    assert not asks.value.retry, "it would ask the same each hour"
    record = MetadataRun.objects.latest("pk")
    assert (record.state, record.replaced) == ("asks", refresh.LEAST_GUARDED)
    assert Book.objects.filter(publisher="Another House").count() == refresh.LEAST_GUARDED
    with pytest.raises(TaskFailed, match="more than the guard allows") as asks:
        run()
    assert not asks.value.retry
    assert Book.objects.filter(publisher="Another House").count() == refresh.LEAST_GUARDED
    refresh.let_go_on(record)
    run()
    assert Book.objects.filter(publisher="Another House").count() == 40
    record.refresh_from_db()
    assert (record.state, record.replaced) == ("finished", 40)
    with pytest.raises(NotAllowedNow):
        refresh.let_go_on(record)


def test_what_replaces_nothing_goes_on_beyond_the_guard(outside: FakeCatalogue) -> None:
    for number in range(30):
        own(number)
    run()
    later()
    publishers_change(outside, refresh.LEAST_GUARDED)
    assert said(run())["finished"], "as many as the guard allows"


def test_the_undo_of_a_run_restores_every_field_and_its_origin_byte_for_byte(
    outside: FakeCatalogue, admin_user: User
) -> None:
    """Found: what a run noted beside a value that it did not write was not undone."""
    for number in range(8):
        own(number, asin="" if number % 3 == 0 else facts(number).asin, publisher="Old" if number % 2 else "")
    edit(read(Book.objects.all()[0]), {"description": "Mine"}, by=admin_user)
    fresh = everything()
    run()
    first = MetadataRun.objects.latest("pk")
    once = everything()
    later()
    outside.add(*(facts(n, publisher="Another House", narrators=("Someone",), series=()) for n in range(8)))
    run()
    second = MetadataRun.objects.latest("pk")
    assert everything() != once != fresh
    assert any("offered" in told for _, known in everything().values() for told in known.values())
    undone, left = refresh.undo_run(second)
    assert undone > 0 and left == 0
    assert everything() == once
    refresh.undo_run(first)
    assert everything() == fresh
    assert not BookChange.objects.filter(run__isnull=False, undone_at=None).exists()
    with pytest.raises(NotAllowedNow, match="undone already"):
        refresh.undo_run(first)


def test_an_undo_leaves_what_was_written_since_and_says_how_much(outside: FakeCatalogue, admin_user: User) -> None:
    """Found: a value that a person had chosen again was taken back as if the run had written it."""
    book, other = own(1), own(2)
    before = everything()[other.pk]
    run()
    edit(read(book), {"publisher": "Mine"}, by=admin_user)
    edit(read(book), {"publisher": "Lantern Audio", "subtitle": "Mine"}, by=admin_user)
    assert refresh.undo_run(MetadataRun.objects.get()) == (2, 2)
    book = read(book)
    assert (book.publisher, book.subtitle, book.description) == ("Lantern Audio", "Mine", "")
    assert everything()[other.pk] == before


def test_an_undo_that_broke_off_can_be_gone_on_with(outside: FakeCatalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found: it was refused as done, with half of its changes still there."""
    for number in range(5):
        own(number)
    before = everything()
    run()
    right, calls = refresh.undo, []

    def breaks(change: BookChange) -> list[str]:
        calls.append(change)
        if len(calls) == 3:
            raise OSError("the power is gone")
        return right(change)

    monkeypatch.setattr(refresh, "undo", breaks)
    with pytest.raises(OSError):
        refresh.undo_run(MetadataRun.objects.get())
    assert everything() != before
    assert refresh.undo_run(MetadataRun.objects.get()) == (3, 0)
    assert everything() == before


def test_an_undo_shows_how_far_it_is_and_can_be_stopped(outside: FakeCatalogue) -> None:
    """Found: it counted nothing until its end, and a cancelled one went on until it was killed."""
    for number in range(8):
        own(number)
    before = everything()
    run()
    record = MetadataRun.objects.get()
    channel = Channel()

    def at(task: TaskRun) -> None:
        channel.stop = task.processed >= 3

    channel.at = at
    task = TaskRun(task_id=1, attempt=1, channel=channel)
    refresh.undo_refresh(task, record.pk)
    assert (task.processed, task.items_succeeded, task.total, task.saw_stop) == (3, 3, 8, True)
    assert BookChange.objects.exclude(undone_at=None).count() == 3
    channel.at = lambda run: None
    channel.stop = False
    again = TaskRun(task_id=1, attempt=1, channel=channel)
    refresh.undo_refresh(again, record.pk)
    assert (again.processed, again.total) == (5, 5)
    assert everything() == before


def test_what_was_undone_is_not_written_again_until_a_person_decides(outside: FakeCatalogue, admin_user: User) -> None:
    """Found: the next run wrote all of it again."""
    book, other = own(1), own(2)
    accepted = {"book": other, "provider": "audnexus", "record": facts(2).asin, "region": "us"}
    ProviderMatch.objects.create(**accepted, state=STATE.ACCEPTED, verdict="strong", distance=0, same_recording=True)
    before = everything()
    run()
    refresh.undo_run(MetadataRun.objects.get())
    assert everything() == before
    states = dict(ProviderMatch.objects.values_list("book", "state"))
    assert states == {book.pk: STATE.PROPOSED, other.pk: STATE.ACCEPTED}
    for _ in range(2):
        later()
        run()
        assert everything()[book.pk] == before[book.pk]
        assert ProviderMatch.objects.get(book=book).state == STATE.PROPOSED
    assert read(other).description
    matches.accept(ProviderMatch.objects.get(book=book), admin_user)
    later()
    run()
    assert read(book).description == facts(1).description


def test_what_was_undone_is_not_written_by_another_provider_instead(
    outside: FakeCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found: the same values came back a run later, of a source that is trusted less."""
    book = own(1)
    before = everything()[book.pk]
    turn_on(monkeypatch, Catalogue("audnexus"), Catalogue("hardcover"))
    run()
    refresh.undo_run(MetadataRun.objects.get())
    assert set(ProviderMatch.objects.values_list("provider", "state", "undone")) == {
        ("audnexus", STATE.PROPOSED, True),
        ("hardcover", STATE.PROPOSED, True),
    }
    later()
    run()
    assert everything()[book.pk] == before


def test_one_change_that_is_undone_on_its_page_is_not_written_again(outside: FakeCatalogue, admin_user: User) -> None:
    """Found: the next run wrote all of it again."""
    book = own(1)
    before = everything()[book.pk]
    run()
    client = Client()
    client.force_login(admin_user)
    client.post(step_url(BookChange.objects.get(), "undo"))
    assert everything()[book.pk] == before
    assert ProviderMatch.objects.get().state == STATE.PROPOSED
    later()
    run()
    assert everything()[book.pk] == before


def test_undoing_what_a_person_edited_leaves_the_matches_alone(outside: FakeCatalogue, admin_user: User) -> None:
    book = own(1)
    run()
    edit(read(book), {"publisher": "Mine"}, by=admin_user)
    assert refresh.undo_change(BookChange.objects.latest("pk")) == []
    assert read(book).publisher == "Lantern Audio"
    assert ProviderMatch.objects.get().state == STATE.AUTOMATIC


def test_a_run_at_work_cannot_be_undone_and_an_undone_one_is_not_gone_on_with(outside: FakeCatalogue) -> None:
    own(1)
    job = Job(id="x", name="x", function="audiobooks.metadata_full", cron="0 0 1 1 *")
    job.save_definition()
    task = Task.objects.create(job=job, status=Task.Status.RUNNING)
    record = MetadataRun.objects.create(kind=FULL, started_at=timezone.now(), task_id=task.pk)
    with pytest.raises(NotAllowedNow, match="at work"):
        refresh.undo_run(record)
    Task.objects.filter(pk=task.pk).update(status=Task.Status.LOST)
    refresh.undo_run(record)
    assert said(run())["run"] != record.pk


# --- pace -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("https://api.audnex.us", False),
        ("https://api.audible.{domain}", False),
        ("https://audnexus.example.org", False),
        ("http://8.8.8.8:3000", False),
        ("http://127.0.0.1:3000", True),
        ("http://192.168.1.4", True),
        ("http://[fd00::4]:3000", True),
        ("http://audnexus:3000", True),
        ("http://nas.lan", True),
    ],
)
def test_only_what_is_in_our_own_network_is_asked_without_pace(url: str, own: bool) -> None:
    assert (pace_at(url, audnexus.PACE) is OWN_PACE) == own


def test_the_pace_of_a_provider_is_kept_whatever_the_number_of_threads(
    outside: FakeCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (audnexus, open_library):
        monkeypatch.setattr(module, "pace_at", lambda url, public: Pace(every=0.1, at_once=2))
    for number in range(12):
        own(number)
    began = time.monotonic()
    run()
    times = sorted(seen.at for seen in outside.seen if seen.path.startswith("/books/"))
    assert len(times) == 12
    # A request may arrive late, so that the next one follows it sooner, but none arrives before its turn.
    assert all(at - began >= number * 0.1 - 0.01 for number, at in enumerate(times))
    for first, ninth in zip(times, times[8:], strict=False):
        assert ninth - first >= 8 * 0.1 - 0.5


# --- with real processes ----------------------------------------------------------------------------------------------


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_a_killed_refresh_goes_on_without_repeating_a_book(
    outside: FakeCatalogue, process_env: dict[str, str], tmp_path: Path
) -> None:
    count = 240
    # The covers' host has no address, and to find that out takes a real process long.
    outside.add(*(facts(number, cover_url="") for number in range(count)))
    for number in range(count):
        own(number)
    outside.latency = 0.1
    environment = {**process_env, **outside.settings, "METADATA_PROVIDERS": "audnexus"}
    with running_scheduler(environment, tmp_path) as scheduler:
        task = Job.objects.get(pk="metadata_full").run_now()
        wait_until(
            lambda: Book.objects.exclude(tried_at=None).count() >= 60, seconds=60, otherwise=lambda: scheduler.output
        )
        scheduler.kill_all()
    # As if the time were nearly over for which its requests may be under way, and that in which it may only be silent.
    assert Host.objects.get().turns
    Host.objects.update(turns=[int((time.time() + 5) * 1e6)] * OWN_PACE.at_once)
    late = timezone.now() - timedelta(seconds=scheduling_settings().LOST_AFTER)
    SchedulerProcess.objects.unstopped().update(heartbeat_at=late)
    done = Book.objects.exclude(tried_at=None).count()
    asked_before = set(outside.asked)
    assert 60 <= done < count
    assert len(asked_before) - done <= refresh.AHEAD, "what was under way"
    with running_scheduler(environment, tmp_path):
        assert ended(task, 90).status == Task.Status.LOST
        again = Job.objects.get(pk="metadata_full").run_now()
        assert ended(again).status == Task.Status.COMPLETED, again.error_message
    assert again.items_succeeded == count - done
    assert len(outside.asked) == count
    twice = {asin for asin, times in outside.asked.items() if times > 1}
    assert len(twice) <= refresh.ASKERS and max(outside.asked.values()) <= 2
    assert not Book.objects.filter(description="").exists()
    record = MetadataRun.objects.get()
    assert (record.state, record.checked, record.changed) == ("finished", count, count)


def test_the_task_of_a_provider_that_is_down_says_why(
    outside: FakeCatalogue, process_env: dict[str, str], tmp_path: Path
) -> None:
    for number in range(30):
        own(number)
    before = everything()
    outside.fault = "html"
    environment = {**process_env, **outside.settings, "METADATA_PROVIDERS": "audnexus"}
    with running_scheduler(environment, tmp_path):
        task = ended(Job.objects.get(pk="metadata_full").run_now())
    assert task.status == Task.Status.FAILED
    assert "No provider answers" in task.error_message and "Just a moment" in task.error_message
    assert everything() == before
