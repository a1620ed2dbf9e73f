"""Files of books: what an import records, the command, and the page with its steps."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import DataError
from django.test import Client
from django.utils import timezone

from audiobooks import imports, owning
from audiobooks.fields import Offer, new_book, values_of
from audiobooks.imports import import_upload, preview, queue_import, store
from audiobooks.library.albums import key_of
from audiobooks.library.exports import Export, UnreadableExport, read_export
from audiobooks.models import Author, Book, Holding, Upload, Work
from scheduling.context import TaskRun
from scheduling.exceptions import NotAllowedNow, TaskFailed
from scheduling.models import Task
from tests.audiobooks.library.test_exports import GOODREADS, LIBATION, OPENAUDIBLE
from tests.audiobooks.running import Quiet
from tests.recorded import RECORDED
from tests.scheduling.test_roles import WHO, signed_in

pytestmark = pytest.mark.django_db
PAGE = "/admin/audiobooks/book/import/"
HOSTILE = "=cmd|' /C calc'!A0<script>alert(\"x\")</script>"


def imported(text: str | bytes, chosen: str = "owned", name: str = "books.csv") -> dict[str, Any]:
    data = text.encode() if isinstance(text, str) else text
    upload = store(data, name, chosen, by=None)
    run = TaskRun(task_id=0, attempt=1, channel=Quiet())
    import_upload(run, upload.pk)
    assert not Upload.objects.filter(pk=upload.pk).exists(), "the file was kept"
    found: dict[str, Any] = run.result
    return found


def state() -> list[Any]:
    """All that an import may change, but for when the library last named it."""
    books = [
        (book.pk, book.standing, book.missing_since, book.provenance, values_of(book))
        for book in Book.objects.order_by("pk")
    ]
    holdings = Holding.objects.order_by("pk").values("library", "item", "book", "path", "formats", "size", "written")
    return [books, list(holdings), Author.objects.count(), Work.objects.count()]


def make_book(title: str, author: str = "Ilse Varga", **columns: Any) -> Book:
    said: dict[str, Any] = {"title": title, "authors": [author]}
    work = Work.objects.create(title=title, key=key_of(title))
    return new_book(work, {name: Offer(value, "folder") for name, value in said.items()}, now=timezone.now(), **columns)


# --- what is recorded -------------------------------------------------------------------------------------------------


def test_the_exports_of_three_programs_mean_one_book() -> None:
    assert imported(OPENAUDIBLE)["new"] == 1
    assert imported(LIBATION)["changed"] == 1
    book = Book.objects.get()
    assert (book.asin, book.standing) == ("B0TESTAA03", "owned")
    assert set(book.holdings.values_list("library", "item")) == {("openaudible", "BK_1"), ("libation", "B0TESTAA03")}


@pytest.mark.parametrize("chosen", ["owned", "wanted"])
@pytest.mark.parametrize("text", [LIBATION, OPENAUDIBLE, GOODREADS])
def test_a_second_import_changes_nothing(text: str, chosen: str) -> None:
    first = imported(text, chosen)
    before = state()
    second = imported(text, chosen)
    assert state() == before
    assert second["same"] == first["books"] and not second.get("new") and not second.get("changed")


@pytest.mark.parametrize(
    ("cells", "chosen", "standing"),
    [
        ("", "owned", "owned"),
        ("", "wanted", "wanted"),
        ("yes,", "wanted", "owned"),
        ("no,", "owned", "known"),
        ("no,", "wanted", "wanted"),
        (",yes", "owned", "wanted"),
        (",no", "wanted", "known"),
        (",no", "owned", "owned"),
        ("yes,yes", "wanted", "owned"),
        ("no,yes", "owned", "wanted"),
    ],
)
def test_a_rows_own_statement_counts(cells: str, chosen: str, standing: str) -> None:
    imported(f"Title,Author,Owned,Wanted\nSalt,Ilse Varga,{cells or ','}\n", chosen)
    assert Book.objects.get().standing == standing


@pytest.mark.parametrize(("was", "chosen", "becomes"), [
    ("owned", "wanted", "owned"), ("owned", "owned", "owned"), ("wanted", "owned", "owned"), ("known", "wanted", "wanted"),
    ("known", "owned", "owned"),
])  # fmt: skip
def test_a_standing_never_goes_down(was: str, chosen: str, becomes: str) -> None:
    book = make_book("Salt", standing=was)
    imported("Title,Author\nSalt,Ilse Varga\n", chosen)
    assert Book.objects.get(pk=book.pk).standing == becomes
    assert Book.objects.count() == 1


def test_a_printed_book_tells_a_recording_nothing_of_itself() -> None:
    book = make_book("Salt", path="Salt")
    imported(
        "Book Id,Title,Author,Author l-f,Bookshelves,Exclusive Shelf,ISBN13,Publisher,Binding,Year Published\n"
        '7,"Salt (Tide, #2)",Ilse Varga,"Varga, Ilse",to-read,to-read,9780306406157,Lantern,Paperback,1999\n'
    )
    book.refresh_from_db()
    assert (book.isbn, book.publisher, book.released, book.standing) == ("", "", "", "owned")
    assert [str(entry) for entry in book.series_entries.all()] == ["Tide 2"]
    assert book.missing_since is None


def test_an_import_says_nothing_of_files() -> None:
    missing = timezone.now() - timedelta(days=3)
    book = make_book("Salt", missing_since=missing)
    imported("Title,Author\nSalt,Ilse Varga\n")
    assert Book.objects.get(pk=book.pk).missing_since == missing


def test_a_row_that_does_not_fit_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def choke(wanted: Any, *, now: Any) -> Any:
        made = new_books(wanted, now=now)
        if any(book.title == "Two" for book in made):
            raise DataError("value too long\nDETAIL: secrets")
        return made

    new_books = owning.new_books
    monkeypatch.setattr(owning, "new_books", choke)
    found = imported("Title,Author\nOne,A\nTwo,B\nThree,C\n")
    assert (found["books"], found["new"], found["failed"]) == (3, 2, 1)
    assert set(Book.objects.values_list("title", flat=True)) == {"One", "Three"}


def test_rows_of_one_identifier_are_one_book_and_the_file_says_so() -> None:
    text = "Title,Author,ASIN,Publisher,Wanted\nSalt,A,B0TESTAA03,One,yes\nSalt!,A,B0TESTAA03,Two,no\n"
    found = imported(text, "wanted")
    assert (found["books"], found["problems"], Book.objects.get().publisher) == (1, 1, "One")
    before = state()
    imported(text, "wanted")
    assert state() == before


def test_two_rows_of_one_book_do_not_take_turns() -> None:
    text = "Title,Author,Narrator,Publisher,Genres\nSalt,Ilse Varga,,One,\nSalt,Ilse Varga,Mara Quill,Two,Fantasy\n"
    imported(text)
    before = state()
    assert imported(text)["same"] == 2
    assert state() == before
    book = Book.objects.get()
    assert (book.publisher, book.narrator_names, book.genres.count()) == ("One", ["Mara Quill"], 1)


def test_what_looks_like_a_formula_is_text() -> None:
    imported('Title,Author\n"=1+1",@SUM(A1)\n')
    book = Book.objects.get()
    assert (book.title, book.author_names) == ("=1+1", ["@SUM(A1)"])


def test_a_stop_leaves_whole_books_and_the_file_to_go_on_with() -> None:
    text = "Title,Author\n" + "".join(f"Book {number},Author {number}\n" for number in range(30))
    upload = store(text.encode(), "books.csv", "owned", by=None)
    import_upload(TaskRun(task_id=0, attempt=1, channel=Quiet(stop_after=10)), upload.pk)
    assert Book.objects.count() == Holding.objects.count() == 10
    run = TaskRun(task_id=0, attempt=2, channel=Quiet())
    import_upload(run, upload.pk)
    assert (run.result["new"], run.result["same"], Book.objects.count()) == (20, 10, 30)


def _shortened(export: Export) -> Export:
    return replace(export, rows=export.rows[:150])


@pytest.mark.parametrize("path", sorted((RECORDED / "library_exports").glob("*")) or [None])
@pytest.mark.slow
def test_a_recorded_export_is_imported_twice_with_the_same_result(
    path: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if path is None:
        pytest.skip("the recorded exports are not beside this checkout")
    # Some have thousands of rows, which is minutes.
    monkeypatch.setattr(imports, "read_export", lambda *given: _shortened(read_export(*given)))
    try:
        first = imported(path.read_bytes(), "wanted", path.name)
    except UnreadableExport as error:
        assert str(error).endswith(".")
        return
    before = state()
    second = imported(path.read_bytes(), "wanted", path.name)
    assert state() == before
    assert (second["books"], second["same"], second.get("failed", 0)) == (first["books"], first["books"], 0)


@pytest.mark.parametrize("path", sorted((RECORDED / "goodreads").glob("*")) or [None])
def test_what_is_no_export_is_refused_and_changes_nothing(path: Path | None) -> None:
    if path is None:
        pytest.skip("the recorded pages are not beside this checkout")
    with pytest.raises(UnreadableExport):
        store(path.read_bytes(), path.name, "owned", by=None)
    assert not Upload.objects.exists() and not Book.objects.exists()


# --- the preview ------------------------------------------------------------------------------------------------------


def test_the_preview_says_what_the_import_then_does() -> None:
    make_book("Salt")
    export = read_export(GOODREADS.encode(), "books.csv")
    before = state()
    found = preview(export, "owned")
    assert state() == before, "a preview changed something"
    done = imported(GOODREADS)
    assert (found["new"], found["already known"]) == (done["new"], done["changed"])
    for standing in ("owned", "wanted", "known"):
        changed = Book.objects.filter(standing=standing).count()
        # Salt was owned before, and the file wants it.
        assert changed == found[standing] + {"owned": 1, "wanted": -1, "known": 0}[standing]
    assert preview(export, "owned")["already known"] == found["books"]


def test_the_preview_names_the_columns_that_are_not_read(tmp_path: Path, admin_client: Client) -> None:
    file = tmp_path / "list.csv"
    file.write_text("Title,<b>Status</b>\nSalt,wanted\n")
    said = "Nothing is known of these columns, and they are not read: "
    assert f"{said}<b>Status</b>" in command(file, "--as", "wanted", "--dry-run")
    with file.open("rb") as opened:
        page = admin_client.post("/admin/audiobooks/book/import/", {"file": opened, "standing": "owned"}, follow=True)
    assert f"{said}<bdi>&lt;b&gt;Status&lt;/b&gt;</bdi>" in page.content.decode()


def test_a_preview_of_a_large_file_looks_for_some_and_counts_all() -> None:
    text = "Title,Author\n" + "".join(f"Book {number},A\n" for number in range(40))
    found = preview(read_export(text.encode(), "x"), "wanted", most=10)
    assert (found["compared"], found["new"], found["wanted"], found["books"]) == (10, 10, 40, 40)


# --- uploads ----------------------------------------------------------------------------------------------------------


def test_an_upload_takes_the_place_of_the_one_before_and_none_outlives_a_day() -> None:
    person, other = User.objects.create_user("a"), User.objects.create_user("b")
    first, theirs = (store(b"Title\nx\n", "x.csv", "owned", by=user) for user in (person, other))
    second = store(b"Title\ny\n", "y.csv", "owned", by=person)
    assert set(Upload.objects.values_list("pk", flat=True)) == {theirs.pk, second.pk} and first.pk != second.pk
    Upload.objects.update(made_at=timezone.now() - imports.KEPT - timedelta(minutes=1))
    queue_import(theirs, by=other)
    imports.forget_old_uploads()
    assert list(Upload.objects.values_list("pk", flat=True)) == [theirs.pk]
    Task.objects.update(status="failed")
    imports.forget_old_uploads()
    assert not Upload.objects.exists()


def test_an_import_is_queued_once() -> None:
    person = User.objects.create_user("a")
    upload = store(b"Title\nx\n", "x.csv", "owned", by=person)
    task = queue_import(upload, by=person)
    assert (task.function, task.arguments, task.requested_by) == (
        "audiobooks.import_books",
        {"upload": upload.pk},
        person,
    )
    with pytest.raises(NotAllowedNow, match=f"Task {task.pk}"):
        queue_import(upload, by=person)
    upload.delete()
    with pytest.raises(NotAllowedNow, match="not kept any more"):
        queue_import(Upload(pk=task.pk + 99), by=person)
    with pytest.raises(TaskFailed, match="Upload it again"):
        import_upload(TaskRun(task_id=0, attempt=1, channel=Quiet()), task.pk + 99)


# --- the command ------------------------------------------------------------------------------------------------------


def command(*words: Any) -> str:
    out = StringIO()
    call_command("importbooks", *map(str, words), stdout=out)
    return out.getvalue()


def test_the_command_imports_and_tells(tmp_path: Path) -> None:
    file = tmp_path / "books.csv"
    file.write_text("Title,Author\nSalt,A\n,B\n")
    assert "books: 1, new: 1" in command(file, "--as", "wanted", "--dry-run")
    assert not Book.objects.exists() and not Upload.objects.exists() and not Task.objects.exists()
    assert "new: 1" in command(file, "--as", "wanted")
    assert (Book.objects.get().standing, Task.objects.get().status) == ("wanted", "completed")
    assert "Line 3: It has no title" in Task.objects.get().log_output
    assert not Upload.objects.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"a,b\n1,2\n", b'Title\n"open', None])
def test_the_command_refuses_what_it_cannot_read(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "books.csv"
    if content is not None:
        file.write_bytes(content)
    for words in ([], ["--dry-run"]):
        with pytest.raises(CommandError):
            command(file, *words)
    assert not Book.objects.exists() and not Upload.objects.exists()


# --- the page ---------------------------------------------------------------------------------------------------------


def upload(client: Client, text: str, standing: str = "owned", name: str = "books.csv") -> Any:
    file = SimpleUploadedFile(name, text.encode())
    return client.post(PAGE, {"file": file, "standing": standing}, follow=True)


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def test_a_file_is_shown_before_it_is_imported(client: Client) -> None:
    make_book("Salt")
    page = upload(
        client, "Title,Author,Owned\nSalt,Ilse Varga,yes\nWind,Ilse Varga,\n,Nobody,\n", "wanted"
    ).content.decode()
    assert "a plain list with 2 books" in page and "Line 4: It has no title" in page
    assert Book.objects.count() == 1 and not Task.objects.exists()
    stored = Upload.objects.get()
    assert {name: stored.preview[name] for name in ("new", "already known", "owned", "wanted")} == {
        "new": 1, "already known": 1, "owned": 1, "wanted": 1,
    }  # fmt: skip
    response = client.post(f"{PAGE}{stored.pk}/")
    task = Task.objects.get()
    assert response["Location"] == f"/admin/scheduling/task/{task.pk}/change/"
    client.post(f"{PAGE}{stored.pk}/")
    assert Task.objects.count() == 1, "a second click imported it again"
    assert f"Task {task.pk}" in client.get(f"{PAGE}{stored.pk}/").content.decode()
    import_upload(TaskRun(task_id=task.pk, attempt=1, channel=Quiet()), task.arguments["upload"])
    assert Book.objects.count() == 2 and not Upload.objects.exists()
    assert client.get(f"{PAGE}{stored.pk}/").status_code == 404


def test_what_a_file_says_is_shown_as_text(client: Client) -> None:
    page = upload(
        client, f'Title,Author\n"{HOSTILE.replace(chr(34), chr(34) * 2)}",x\n', name="<b>.csv"
    ).content.decode()
    assert "=cmd|" in page and "<script>alert" not in page and "<b>.csv" not in page


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "%PDF-1.4 \0\1"])
def test_what_is_no_export_is_said_at_the_field(client: Client, text: str) -> None:
    page = upload(client, text).content.decode()
    assert "enctype" in page and not Upload.objects.exists()
    assert any(words in page for words in ("is empty", "no export that we know", "not a text file"))


def test_a_file_that_is_too_large_is_not_read(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiobooks.admin.imports.MOST_BYTES", 10)
    assert "It is larger than" in upload(client, "Title,Author\nSalt,x\n").content.decode()
    assert not Upload.objects.exists()


@pytest.mark.usefixtures("roles")
@pytest.mark.parametrize("who", WHO)
def test_the_page_is_for_those_who_may(who: str) -> None:
    may = who[0] in "OA" or who == "superuser"
    client = signed_in(who)
    assert (client.get(PAGE).status_code == 200) == may
    upload(client, "Title\nSalt\n")
    assert Upload.objects.exists() == may
    # Made for them, so that the steps behind the upload are asked as well.
    user = User.objects.filter(username="somebody").first()
    stored = Upload.objects.first() or store(b"Title\nSalt\n", "x.csv", "owned", by=user)
    assert (client.get(f"{PAGE}{stored.pk}/").status_code == 200) == may
    assert client.get(f"{PAGE}{stored.pk}/give-up/").status_code in ((405,) if may else (302, 403))
    client.post(f"{PAGE}{stored.pk}/")
    assert Task.objects.exists() == may
    Upload.objects.update(task=None)
    client.post(f"{PAGE}{stored.pk}/give-up/")
    assert Upload.objects.exists() != may
    if who not in ("stranger", "member without rights"):
        assert (f'href="{PAGE}"' in client.get("/admin/audiobooks/book/").content.decode()) == may


def test_no_step_is_done_without_the_token(client: Client) -> None:
    stored = store(b"Title\nSalt\n", "x.csv", "owned", by=User.objects.get())
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    for url in (PAGE, f"{PAGE}{stored.pk}/", f"{PAGE}{stored.pk}/give-up/"):
        assert strict.post(url).status_code == 403
    assert Upload.objects.count() == 1 and not Task.objects.exists()


def test_a_file_is_for_who_uploaded_it(client: Client) -> None:
    stored = store(b"Title\nSalt\n", "x.csv", "owned", by=User.objects.create_user("other"))
    for response in (
        client.get(f"{PAGE}{stored.pk}/"),
        client.post(f"{PAGE}{stored.pk}/"),
        client.post(f"{PAGE}{stored.pk}/give-up/"),
    ):
        assert response.status_code == 404
    assert json.dumps(stored.preview) and Upload.objects.exists() and not Task.objects.exists()
