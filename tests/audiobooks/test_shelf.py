"""library_scan of an Audiobookshelf server, over real HTTP on loopback: reading, absence, and writing back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audiobooks import fields, shelf
from audiobooks.exceptions import LibraryError
from audiobooks.fields import Offer, values_of
from audiobooks.http import Doorway, Patience
from audiobooks.imports import import_upload, store
from audiobooks.models import Book, BookChange, Holding, LibraryFile, Work
from audiobooks.scan import scan_library
from audiobooks.shelf import own_paths
from audiobooks.tasks import library_scan
from scheduling.context import TaskRun
from scheduling.exceptions import TaskFailed
from scheduling.models import Task
from tests.audiobooks.running import Quiet
from tests.fakes.audiobookshelf import KEY, FakeAudiobookshelf, Reply

pytestmark = pytest.mark.django_db
LONG_AGO = timezone.now() - timedelta(days=3)


@pytest.fixture
def fake(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAudiobookshelf]:
    patience = Patience(first_pause=0.01, busy_pause=0.01, longest_pause=0.5)
    monkeypatch.setattr(shelf, "Doorway", lambda pace: Doorway(pace=replace(pace, every=0.0), patience=patience))
    settings.AUDIOBOOKS_LIBRARY = tmp_path / "library"
    settings.AUDIOBOOKS_LIBRARY.mkdir()
    with FakeAudiobookshelf() as server:
        server.add_library()
        settings.AUDIOBOOKSHELF_URL, settings.AUDIOBOOKSHELF_KEY = server.url, KEY
        yield server
        assert {request.method for request in server.requests} <= {"GET", "POST"}, "something was deleted"


def scanned(stop_after: int | None = None) -> dict[str, Any]:
    run = TaskRun(task_id=0, attempt=1, channel=Quiet(stop_after))
    library_scan.function(run)
    found: dict[str, Any] = (run.result or {}).get("audiobookshelf", {})
    return found


def state() -> list[Any]:
    books = [
        (each.pk, each.standing, each.missing_since, each.provenance, values_of(each))
        for each in Book.objects.order_by("pk")
    ]
    holdings = Holding.objects.order_by("pk").values(
        "library", "item", "book", "path", "formats", "missing_since", "written"
    )
    return [books, list(holdings), BookChange.objects.count(), LibraryFile.objects.count(), Work.objects.count()]  # fmt: skip


def said(fake: FakeAudiobookshelf, item: str = "one") -> dict[str, Any]:
    found: dict[str, Any] = fake.items[item]["media"]["metadata"]
    return found


def make_file(root: Path, place: str) -> None:
    """An audio file that cannot be read is a book all the same, by its place."""
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    (root / place).write_bytes(b"ID3" + b"\0" * 2000)


# --- reading ----------------------------------------------------------------------------------------------------------


def test_every_item_is_a_book_and_a_second_scan_changes_nothing(fake: FakeAudiobookshelf) -> None:
    fake.add_library("lib-2")
    fake.add_item("one", asin="B0TESTAA03", series=[{"id": "s", "name": "Tide", "sequence": "2"}], genres=["SF"])
    fake.add_item("two", "lib-2", files=3)
    first = scanned()
    assert (first["new"], first["items"], first["version"]) == (2, 2, "2.36.0")
    book = Book.objects.get(asin="B0TESTAA03")
    holding = book.holdings.get()
    assert (book.title, book.author_names, book.narrator_names) == ("Title one", ["Ilse Varga"], ["Mara Quill"])
    assert (book.standing, book.provenance["title"]["source"]) == ("owned", "audiobookshelf")
    assert (holding.library, holding.item, holding.path) == ("audiobookshelf:lib-1", "one", "/lib-1/one")
    assert (holding.formats, holding.size, holding.missing_since) == (["m4b"], 9, None)
    before = state()
    assert scanned()["same"] == 2
    assert state() == before


def test_a_known_item_costs_no_query_of_its_own(fake: FakeAudiobookshelf) -> None:
    counts = []
    for number in range(350):
        fake.add_item(
            f"item-{number}", genres=["A", "B"], series=[{"id": "s", "name": "Tide", "sequence": str(number)}]
        )
        if number in (49, 349):
            scanned()
            with CaptureQueriesContext(connection) as queries:
                assert scanned()["same"] == number + 1
            counts.append(len(queries))
    # Four chunks instead of one, and eight requests more, each of which takes its turn.
    assert counts[1] - counts[0] < 100, counts


def test_what_the_server_changes_is_followed(fake: FakeAudiobookshelf) -> None:
    fake.add_item("one")
    scanned()
    said(fake)["publisher"] = "Lantern"
    fake.items["one"]["path"] = "/lib-1/elsewhere"
    assert scanned()["changed"] == 1
    book = Book.objects.get()
    assert (book.publisher, book.holdings.get().path) == ("Lantern", "/lib-1/elsewhere")


def test_an_item_that_has_moved_is_the_same_book(fake: FakeAudiobookshelf) -> None:
    fake.add_library("lib-2")
    fake.add_item("one")
    fake.add_item("two", asin="B0TESTAA03")
    scanned()
    holdings = dict(Holding.objects.values_list("item", "pk"))
    fake.items["new-1"] = fake.items.pop("one") | {"id": "new-1"}
    fake.items["new-2"] = fake.items.pop("two") | {"id": "new-2", "path": "/lib-2/two", "libraryId": "lib-2"}
    found = scanned()
    assert (found["moved"], found["missing"], Book.objects.count()) == (2, 0, 2)
    assert dict(Holding.objects.values_list("item", "pk")) == {"new-1": holdings["one"], "new-2": holdings["two"]}
    assert Holding.objects.get(item="new-2").library == "audiobookshelf:lib-2"


def test_a_text_is_known_but_not_owned(fake: FakeAudiobookshelf) -> None:
    fake.add_item("text", files=0, ebook="epub")
    scanned()
    before = state()
    book = Book.objects.get()
    assert (book.standing, book.missing_since, book.holdings.get().formats) == ("known", None, ["epub"])
    scanned()
    assert state() == before


def test_an_item_that_does_not_fit_costs_only_itself(fake: FakeAudiobookshelf) -> None:
    fake.add_item("one")
    fake.add_item("two")
    fake.items["two"]["media"]["audioFiles"][0]["duration"] = 2**60
    found = scanned()
    assert (found["new"], found["failed"], found["missing"], Book.objects.count()) == (1, 1, 0, 1)


def test_a_stop_leaves_whole_books_and_says_nothing_of_absence(fake: FakeAudiobookshelf) -> None:
    for number in range(10):
        fake.add_item(f"item-{number}")
    scanned()
    fake.items.pop("item-9")
    for number in range(10, 20):
        fake.add_item(f"item-{number}")
    assert scanned(stop_after=12) == {}
    assert Book.objects.count() == Holding.objects.count() == 13
    assert not Holding.objects.exclude(missing_since=None).exists()
    assert (scanned()["missing"], Book.objects.count()) == (1, 20)


# --- absence ----------------------------------------------------------------------------------------------------------


def test_absence_marks_and_never_deletes_and_what_comes_back_is_there_again(fake: FakeAudiobookshelf) -> None:
    for name in ("one", "two", "three", "four"):
        fake.add_item(name)
    scanned()
    kept = fake.items.pop("one")
    fake.items["two"]["isMissing"] = True
    fake.items["three"]["isInvalid"] = True
    scanned()
    gone = set(Holding.objects.exclude(missing_since=None).values_list("item", flat=True))
    assert gone == {"one", "two", "three"}
    assert Book.objects.count() == 4 and Book.objects.filter(missing_since=None).count() == 1
    before = state()
    scanned()
    assert state() == before
    fake.items["one"] = kept
    fake.items["two"]["isMissing"] = fake.items["three"]["isInvalid"] = False
    scanned()
    assert not Holding.objects.exclude(missing_since=None).exists()
    assert not Book.objects.exclude(missing_since=None).exists() and Book.objects.count() == 4


def test_a_library_that_the_key_is_not_shown_is_not_missing(fake: FakeAudiobookshelf) -> None:
    fake.add_library("lib-2")
    fake.add_item("one")
    fake.add_item("two", "lib-2")
    scanned()
    fake.libraries.pop()
    scanned()
    assert Holding.objects.filter(missing_since=None).count() == 2


def test_a_library_that_shows_nothing_at_all_is_not_missing(
    fake: FakeAudiobookshelf, caplog: pytest.LogCaptureFixture
) -> None:
    """As one does whose server was set up anew, or from whose user the books were taken."""
    fake.add_library("lib-2")
    for name, library in (("one", "lib-1"), ("two", "lib-2"), ("three", "lib-2")):
        fake.add_item(name, library)
    scanned()
    fake.items.pop("one")
    fake.items.pop("two")
    scanned()
    assert set(Holding.objects.exclude(missing_since=None).values_list("item", flat=True)) == {"two"}
    assert "shows no book at all" in caplog.text


@pytest.mark.parametrize("requests", range(6))
def test_a_reading_that_breaks_off_changes_nothing(fake: FakeAudiobookshelf, requests: int) -> None:
    for number in range(60):
        fake.add_item(f"item-{number}")
    scanned()
    before = state()
    fake.items.pop("item-3")
    fake.add_item("new")
    fake.drop_after = len(fake.requests) + requests
    # Version, libraries, pages and two batches of details are five.
    if requests < 5:
        with pytest.raises(TaskFailed):
            scanned()
        assert state() == before
    else:
        assert scanned()["missing"] == 1


def test_a_server_that_fails_leaves_the_folder_scanned_and_is_told(fake: FakeAudiobookshelf, settings: Any) -> None:
    make_file(settings.AUDIOBOOKS_LIBRARY, "A. Author/Some Book/1.mp3")
    fake.key_is_active = False
    with pytest.raises(TaskFailed, match="refuses the API key"):
        scanned()
    assert Book.objects.get().path == "A. Author/Some Book"


def test_a_folder_that_fails_leaves_the_server_read_and_is_told(fake: FakeAudiobookshelf, settings: Any) -> None:
    settings.AUDIOBOOKS_LIBRARY = settings.AUDIOBOOKS_LIBRARY / "gone"
    fake.add_item("one")
    with pytest.raises(TaskFailed, match="gone"):
        scanned()
    assert Book.objects.get().title == "Title one"


@pytest.mark.parametrize("lacking", [True, False])
def test_who_has_only_a_server_needs_no_folder(
    fake: FakeAudiobookshelf, settings: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, lacking: bool
) -> None:
    """Found: each scan failed for want of a folder that nobody had asked for. One whose files are known has to be there."""
    settings.BASE_DIR = tmp_path / "project"
    settings.AUDIOBOOKS_LIBRARY = tmp_path / "project" / "library"
    fake.add_item("one")
    if lacking:
        caplog.set_level("INFO")
        scanned()
        assert sum("only Audiobookshelf is read" in record.message for record in caplog.records) == 1
    else:
        book = Book.objects.create(title="x", work=Work.objects.create(title="x"), path="x")
        LibraryFile.objects.create(book=book, path="x/1.mp3", size=1, modified_ns=1)
        with pytest.raises(TaskFailed, match="library"):
            scanned()
    assert Book.objects.filter(title="Title one").exists()


def test_a_scan_removes_covers_that_no_book_has(fake: FakeAudiobookshelf, settings: Any, tmp_path: Path) -> None:
    settings.AUDIOBOOKS_COVERS = tmp_path / "covers"
    place = tmp_path / "covers" / "00" / f"{'0' * 64}.jpg"
    place.parent.mkdir(parents=True)
    place.write_text("x")
    os.utime(place, (0, 0))
    scanned()
    assert not place.exists()


def test_without_a_server_none_is_asked(fake: FakeAudiobookshelf, settings: Any) -> None:
    settings.AUDIOBOOKSHELF_KEY = ""
    scanned()
    assert not fake.requests


# --- one book in several libraries ------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder_first", [True, False])
@pytest.mark.parametrize(
    ("place", "path"),
    [
        ("Ilse Varga/Salt", "/audiobooks/Ilse Varga/Salt"),
        ("audiobooks/Ilse Varga/Salt", "/mnt/audiobooks/Ilse Varga/Salt"),
    ],
)
def test_the_same_files_are_one_book(
    fake: FakeAudiobookshelf, settings: Any, folder_first: bool, place: str, path: str
) -> None:
    """Also where the server calls it otherwise."""
    make_file(settings.AUDIOBOOKS_LIBRARY, f"{place}/1.mp3")
    fake.add_item("one", title="Das Salz", authors=[])
    fake.items["one"] |= {"path": path, "relPath": "Ilse Varga/Salt"}
    parts: list[Callable[[TaskRun], Any]] = [
        lambda run: scan_library(run, root=settings.AUDIOBOOKS_LIBRARY),
        lambda run: shelf.scan_server(run, shelf.audiobookshelf()),  # type: ignore[arg-type]
    ]
    for part in parts if folder_first else parts[::-1]:
        part(TaskRun(task_id=0, attempt=1, channel=Quiet()))
    book = Book.objects.get()
    assert (book.path, book.files.count(), book.holdings.count()) == (place, 1, 1)
    scanned()
    before = state()
    scanned()
    assert state() == before and Book.objects.count() == 1


def test_other_recordings_at_such_a_path_are_other_books(fake: FakeAudiobookshelf) -> None:
    work = Work.objects.create(title="Salt", key="salt")
    Book.objects.create(work=work, title="Salt", path="Ilse Varga/Salt", runtime=timedelta(hours=9))
    fake.add_item("one", title="Salt")
    fake.items["one"] |= {"path": "/de/Ilse Varga/Salt", "relPath": "Ilse Varga/Salt"}
    scanned()
    assert Book.objects.count() == 2


@pytest.mark.parametrize(
    ("path", "rel_path", "paths"),
    [
        ("/books/A/B", "A/B", ("books/A/B", "A/B")),
        ("/A/B", "B", ("A/B", "B")),
        ("/books/B.m4b", "B.m4b", ("books/B.m4b", "B.m4b")),
        ("", "", ()),
        ("/", "", ()),
    ],
)
def test_what_a_path_of_the_server_may_be_here(path: str, rel_path: str, paths: tuple[str, ...]) -> None:
    assert own_paths(path, rel_path) == paths


def test_what_was_wanted_is_owned_once_it_is_there(fake: FakeAudiobookshelf, settings: Any) -> None:
    upload = store(b"Title,Author,ASIN\nSalt,Ilse Varga,B0TESTAA03\nWind,Tomas Reed,\n", "x.csv", "wanted", by=None)
    import_upload(TaskRun(task_id=0, attempt=1, channel=Quiet()), upload.pk)
    fake.add_item("one", title="Salt: A Novel", asin="B0TESTAA03")
    make_file(settings.AUDIOBOOKS_LIBRARY, "Tomas Reed/Wind/1.mp3")
    scanned()
    assert sorted(Book.objects.values_list("title", "standing")) == [("Salt: A Novel", "owned"), ("Wind", "owned")]
    assert Book.objects.get(title="Wind").files.count() == 1


def test_a_book_that_is_in_one_of_two_libraries_is_there(fake: FakeAudiobookshelf, settings: Any) -> None:
    make_file(settings.AUDIOBOOKS_LIBRARY, "A/Salt/1.mp3")
    make_file(settings.AUDIOBOOKS_LIBRARY, "A/Other/1.mp3")
    fake.add_item("one", title="Salt")
    fake.items["one"] |= {"path": "/books/A/Salt", "relPath": "A/Salt"}
    fake.add_item("two")
    scanned()
    (settings.AUDIOBOOKS_LIBRARY / "A/Salt/1.mp3").unlink()
    scanned()
    assert Book.objects.get(path="A/Salt").missing_since is None
    fake.items.pop("one")
    scanned()
    assert Book.objects.get(path="A/Salt").missing_since is not None
    assert Book.objects.get(path="A/Other").missing_since is None


def test_two_items_of_one_book_do_not_take_turns(fake: FakeAudiobookshelf) -> None:
    fake.add_item("one", asin="B0TESTAA03", publisher="One")
    fake.add_item("two", asin="B0TESTAA03", publisher="Two", genres=["SF"])
    scanned()
    before = state()
    assert (scanned()["same"], Book.objects.get().publisher) == (2, "One")
    assert state() == before
    fake.items.pop("one")
    scanned()
    scanned()
    assert (Book.objects.get().publisher, Book.objects.get().missing_since) == ("Two", None)


# --- writing back -----------------------------------------------------------------------------------------------------


@pytest.fixture
def writing(fake: FakeAudiobookshelf, settings: Any) -> FakeAudiobookshelf:
    settings.AUDIOBOOKSHELF_WRITE = True
    fake.add_item("one", series=[{"id": "s", "name": "Tide", "sequence": "2"}], genres=["Mine"])
    scanned()
    return fake


def updates(fake: FakeAudiobookshelf) -> list[Any]:
    return [request.body for request in fake.requests if request.path == "/api/items/batch/update"]


def learn(source: str = "audnexus", **values: Any) -> None:
    offers = {name: Offer(value, source) for name, value in values.items()}
    fields.apply(Book.objects.get(), offers, why="refresh", now=timezone.now())


def edit(**values: Any) -> None:
    fields.edit(Book.objects.get(), values, by=User.objects.get_or_create(username="me")[0])


def test_what_came_from_there_is_not_written_there(writing: FakeAudiobookshelf) -> None:
    said(writing)["subtitle"] = "New"
    scanned()
    assert Book.objects.get().subtitle == "New" and updates(writing) == []


def test_nothing_is_written_unless_that_is_allowed(writing: FakeAudiobookshelf, settings: Any) -> None:
    settings.AUDIOBOOKSHELF_WRITE = False
    learn(publisher="Lantern")
    scanned()
    assert updates(writing) == [] and "/api/me" not in {request.path for request in writing.requests}


def test_what_changed_here_is_written_once_and_nothing_is_dropped(writing: FakeAudiobookshelf) -> None:
    learn(publisher="Lantern", description="A.\nB.", series=[["Tide", "2"], ["Sea", "1"]], genres=["Fantasy"])
    edit(title="My Title", narrators=["Ann Other"])
    scanned()
    now = said(writing)
    assert (now["title"], now["publisher"], now["description"]) == ("My Title", "Lantern", "<p>A.</p><p>B.</p>")
    assert now["narrators"] == ["Mara Quill", "Ann Other"]
    assert sorted((each["name"], each["sequence"]) for each in now["series"]) == [("Sea", "1"), ("Tide", "2")]
    assert set(now["genres"]) >= {"Mine"}
    assert len(updates(writing)) == 1
    scanned()
    book = Book.objects.get()
    # What was refused is noted, but for what the server has from us by now.
    assert {name for name, known in book.provenance.items() if "offered" in known} == {"narrators"}
    before = state()
    scanned()
    assert len(updates(writing)) == 1, "it was written again"
    assert state() == before


def test_what_a_person_changes_there_stays_until_it_changes_here(writing: FakeAudiobookshelf) -> None:
    learn(publisher="Lantern")
    scanned()
    said(writing)["publisher"] = "Their Own"
    scanned()
    scanned()
    assert (said(writing)["publisher"], len(updates(writing))) == ("Their Own", 1)
    edit(publisher="Mine")
    scanned()
    assert said(writing)["publisher"] == "Mine"


def test_what_is_undone_here_is_undone_there(writing: FakeAudiobookshelf) -> None:
    said(writing)["publisher"] = "Before"
    scanned()
    learn(publisher="Wrong")
    scanned()
    assert said(writing)["publisher"] == "Wrong"
    fields.undo(BookChange.objects.filter(why="refresh").get())
    scanned()
    scanned()
    assert (said(writing)["publisher"], Book.objects.get().publisher) == ("Before", "Before")


def test_nothing_is_emptied_there(writing: FakeAudiobookshelf) -> None:
    edit(title="x", narrators=[], series=[], genres=[], authors=[])
    scanned()
    now = said(writing)
    assert now["narrators"] and now["series"] and now["genres"] and now["authors"] and now["title"] == "x"


def test_a_refusal_is_told_and_tried_again(writing: FakeAudiobookshelf) -> None:
    edit(publisher="Lantern")
    writing.may_update = False
    with pytest.raises(TaskFailed, match="the permission to update"):
        scanned()
    assert Holding.objects.get().written.get("publisher") is None
    writing.may_update = True
    scanned()
    assert said(writing)["publisher"] == "Lantern"


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_write_that_fails_is_told_and_tried_again(writing: FakeAudiobookshelf, status: int) -> None:
    edit(publisher="Lantern")
    writing.replies["POST", "/api/items/batch/update"] = Reply(status, {"error": "no"})
    with pytest.raises(TaskFailed, match="the next scan tries again"):
        scanned()
    writing.replies.clear()
    scanned()
    assert said(writing)["publisher"] == "Lantern"


def test_what_someone_changes_between_reading_and_writing_is_left(writing: FakeAudiobookshelf) -> None:
    edit(publisher="Lantern")

    def meanwhile(request: Any) -> None:
        if request.path == "/api/me":
            said(writing)["publisher"] = "Theirs"

    writing.before = meanwhile
    with pytest.raises(TaskFailed, match="Someone changed"):
        scanned()
    assert said(writing)["publisher"] == "Theirs"


def test_what_the_server_says_already_is_not_written(writing: FakeAudiobookshelf) -> None:
    said(writing)["publisher"] = "Lantern"
    edit(publisher="Lantern")
    scanned()
    assert updates(writing) == []


def test_many_are_written_and_missing_ones_are_not(fake: FakeAudiobookshelf, settings: Any) -> None:
    settings.AUDIOBOOKSHELF_WRITE = True
    for number in range(130):
        fake.add_item(f"item-{number}")
    fake.items["item-7"]["isMissing"] = True
    scanned()
    person = User.objects.create_user("me")
    for book in Book.objects.all():
        fields.edit(book, {"publisher": "Lantern"}, by=person)
    scanned()
    assert [said(fake, item)["publisher"] for item in fake.items].count("Lantern") == 129
    assert said(fake, "item-7")["publisher"] is None
    assert len(updates(fake)) == 3


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "key", "code"),
    [("http://a", "", "E005"), ("", "k", "E005"), ("books", "k", "E006"), ("", "", ""), ("https://a/b", "k", "")],
)
def test_settings_that_cannot_work_are_told(settings: Any, url: str, key: str, code: str) -> None:
    settings.AUDIOBOOKSHELF_URL, settings.AUDIOBOOKSHELF_KEY = url, key
    if not code:
        call_command("check")
        return
    with pytest.raises(SystemCheckError, match=code):
        call_command("check")


def test_an_address_that_is_none_fails_the_scan_with_a_sentence(fake: FakeAudiobookshelf, settings: Any) -> None:
    settings.AUDIOBOOKSHELF_URL = "http://me:secret@x"
    with pytest.raises(TaskFailed, match="user name or password") as caught:
        scanned()
    assert "secret" not in str(caught.value)
    with pytest.raises(LibraryError):
        shelf.audiobookshelf()


# --- a kill -----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_scan_that_is_killed_loses_nothing_and_does_nothing_twice(
    process_env: dict[str, str], tmp_path: Path
) -> None:
    with FakeAudiobookshelf() as fake:
        fake.add_library()
        for number in range(400):
            fake.add_item(f"item-{number}", series=[{"id": "s", "name": "Tide", "sequence": str(number)}])
        env = {**process_env, "AUDIOBOOKS_LIBRARY": str(tmp_path), "AUDIOBOOKSHELF_URL": fake.url}
        env["AUDIOBOOKSHELF_KEY"] = KEY
        command = [sys.executable, "manage.py", "runtask", "library_scan"]
        process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            give_up = time.monotonic() + 60
            while Holding.objects.count() < 25:
                assert time.monotonic() < give_up and process.poll() is None
                time.sleep(0.02)
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        there = Book.objects.count()
        assert there == Holding.objects.count() and 25 <= there < 400
        keys = set(Book.objects.values_list("pk", flat=True))
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        assert Book.objects.count() == Holding.objects.count() == Work.objects.count() == 400
        assert keys <= set(Book.objects.values_list("pk", flat=True))
        assert not Holding.objects.exclude(missing_since=None).exists()
        assert Task.objects.latest("pk").result["audiobookshelf"]["new"] == 400 - there


def test_the_server_is_told_to_scan_all_its_libraries(fake: FakeAudiobookshelf) -> None:
    fake.add_library("lib-2")
    fake.add_library("pods", media_type="podcast")
    assert shelf.tell_to_scan() == 2
    assert fake.scans == ["lib-1", "lib-2"]


def test_without_a_server_nobody_is_told(settings: Any) -> None:
    settings.AUDIOBOOKSHELF_URL = ""
    assert shelf.tell_to_scan() == 0


@pytest.mark.parametrize(
    ("reply", "words", "is_permanent"),
    [
        (Reply(403, "Forbidden"), "only administrators", True),
        (Reply(404, "Not Found"), "no such library", True),
        (Reply(401, "Unauthorized"), "refuses the API key", True),
        (Reply(200, "<html>Sign in</html>", {"Content-Type": "text/html"}), "not as Audiobookshelf does", False),
    ],
)
def test_why_it_does_not_scan_is_explained(
    fake: FakeAudiobookshelf, reply: Reply, words: str, is_permanent: bool
) -> None:
    fake.replies["POST", "/api/libraries/lib-1/scan"] = reply
    with pytest.raises(LibraryError, match=words) as raised:
        shelf.tell_to_scan()
    assert raised.value.permanent == is_permanent and KEY not in str(raised.value)


def test_a_key_of_no_administrator_cannot_start_a_scan(fake: FakeAudiobookshelf) -> None:
    fake.is_admin = False
    with pytest.raises(LibraryError, match="only administrators"):
        shelf.tell_to_scan()
    assert fake.scans == []
