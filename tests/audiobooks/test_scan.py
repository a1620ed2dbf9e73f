"""library_scan over real files in six formats."""

from __future__ import annotations

import errno
import fnmatch
import io
import os
import re
import shutil
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models import Count, Q
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audiobooks import scan
from audiobooks.fields import Offer, new_book
from audiobooks.library.base import FileTags, FileUnavailable, LibraryUnavailable, UnreadableFile
from audiobooks.library.tags import MOST_NAMES, TEXT_LENGTH, read_tags
from audiobooks.models import Author, Book, LibraryFile, Series, Work
from audiobooks.scan import scan_library, scan_place
from scheduling.context import TaskRun
from scheduling.exceptions import TaskFailed

if shutil.which("ffmpeg") is None and not os.environ.get("CI"):
    pytest.skip("ffmpeg makes the audio files of these tests: apt-get install ffmpeg", allow_module_level=True)

from tests.audiobooks.running import Quiet
from tests.samples.audio import CODECS, make_clips, make_library, write_tags

pytestmark = pytest.mark.django_db


def scanned(root: Path, channel: Quiet | None = None) -> TaskRun:
    run = TaskRun(task_id=0, attempt=1, channel=channel or Quiet())
    scan_library(run, root=root)
    return run


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, str]]]:
    root = tmp_path_factory.mktemp("audio") / "library"
    return root, dict(make_library(root, files=60))


@pytest.fixture
def library(made: tuple[Path, dict[str, dict[str, str]]], tmp_path: Path) -> Path:
    return shutil.copytree(made[0], tmp_path / "library")


@pytest.fixture
def clip(made: tuple[Path, Any]) -> Callable[[str], Path]:
    return lambda ending: made[0].parent / "clips" / f"clip.{ending}"


@pytest.fixture
def put(clip: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """Puts an audio file with these tags at a path of the library `tmp_path`."""

    def put(path: str, **tags: str) -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(clip(file.suffix[1:]), file)
        write_tags(file, **tags)
        return file

    return put


def books() -> dict[str, int]:
    """The path of each book that is there, and the number of its files."""
    found = Book.objects.filter(missing_since=None).annotate(there=Count("files", filter=Q(files__missing_since=None)))
    return dict(found.values_list("path", "there"))


@pytest.mark.parametrize("ending", CODECS)
def test_the_tags_of_every_format_are_read(ending: str, clip: Callable[[str], Path], tmp_path: Path) -> None:
    path = tmp_path / f"a.{ending}"
    shutil.copyfile(clip(ending), path)
    tags = {
        "title": "Ch",
        "album": "Bö",
        "author": "A; B",
        "narrator": "N",
        "series": "S",
        "position": "0.5",
        "asin": "B012345678",
    }
    write_tags(path, language="eng", **tags)
    found = read_tags(path)
    assert (found.title, found.album, found.authors, found.narrators) == ("Ch", "Bö", ("A", "B"), ("N",))
    assert (found.series, found.asin, found.language) == ((("S", "0.5"),), "B012345678", "eng")
    assert 0.9 < found.duration < 1.2


@pytest.mark.parametrize("content", [b"", b"ID3", b"\0" * 5000, b"not audio at all" * 100])
def test_what_is_no_audio_is_said(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(content)
    with pytest.raises(UnreadableFile):
        read_tags(path)


def test_books_are_recorded_as_their_tags_say(library: Path, made: tuple[Path, dict[str, dict[str, str]]]) -> None:
    run = scanned(library)
    files = LibraryFile.objects.count()
    assert files >= 60 and run.items_failed == 0
    assert run.result == {
        "books_new": len(made[1]), "books_changed": 0, "files_read": files, "files_unchanged": 0, "files_failed": 0,
        "files_missing": 0,
    }  # fmt: skip
    for path, tags in made[1].items():
        book = Book.objects.get(path=path)
        assert (book.title, book.asin, book.language) == (tags["album"], tags["asin"], "en")
        assert [author.name for author in book.authors.all()] == [tags["author"]]
        assert [narrator.name for narrator in book.narrators.all()] == [tags["narrator"]]
        assert [str(entry) for entry in book.series_entries.all()] == [f"{tags['series']} {tags['position']}"]
        assert book.runtime == timedelta(seconds=book.files.count())
    assert Author.objects.count() == 5


def test_a_second_scan_reads_and_writes_nothing(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scanned(library)
    monkeypatch.setattr(scan, "read_tags", lambda path: pytest.fail(f"{path} was read again"))
    with CaptureQueriesContext(
        connection,
    ) as queries:
        run = scanned(library)
    assert run.result["files_unchanged"] == LibraryFile.objects.count()
    assert not [query for query in queries if query["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]
    assert len(queries) < 10


def test_only_what_changed_is_read(library: Path) -> None:
    scanned(library)
    book = Book.objects.filter(files__path__endswith="02.m4b").first()
    assert book is not None
    write_tags(library / book.files.all()[0].path, album="Another name")
    for file in book.files.all()[1:]:
        write_tags(library / file.path, album="Another name")
    run = scanned(library)
    assert run.result["files_read"] == book.files.count()
    book.refresh_from_db()
    assert book.title == "Another name"


def test_a_broken_file_costs_a_line_and_not_the_run(library: Path, caplog: pytest.LogCaptureFixture) -> None:
    (library / "Broken").mkdir()
    (library / "Broken" / "one.mp3").write_bytes(b"nonsense")
    with caplog.at_level("INFO"):
        run = scanned(library)
    assert run.items_failed == 1
    assert "Broken/one.mp3 could not be read" in caplog.text
    assert LibraryFile.objects.get(path="Broken/one.mp3").error
    assert scanned(library).result["files_read"] == 0


@pytest.mark.parametrize("what", ["nothing there", "a file", "empty"])
def test_a_folder_that_is_not_there_changes_nothing(library: Path, what: str) -> None:
    scanned(library)
    shutil.rmtree(library)
    if what == "a file":
        library.write_text("")
    elif what == "empty":
        library.mkdir()
    with pytest.raises(TaskFailed, match="mounted"):
        scanned(library)
    assert not LibraryFile.objects.exclude(missing_since=None).exists()


def test_what_vanished_is_marked_and_found_again(library: Path) -> None:
    scanned(library)
    book = Book.objects.order_by("pk")[0]
    shutil.move(library / book.path, library.parent / "away")
    run = scanned(library)
    book.refresh_from_db()
    assert book.missing_since is not None
    assert run.result["files_missing"] == book.files.count()
    shutil.move(library.parent / "away", library / book.path)
    scanned(library)
    book.refresh_from_db()
    assert book.missing_since is None


def test_a_stopped_scan_marks_nothing_as_missing(library: Path) -> None:
    scanned(library)
    shutil.rmtree(library / Book.objects.order_by("path").last().path)  # type: ignore[union-attr]
    run = scanned(library, Quiet(stop_after=5))
    assert run.saw_stop
    assert not LibraryFile.objects.exclude(missing_since=None).exists()


def test_odd_names_and_links_cost_a_line_and_not_the_run(
    tmp_path: Path, clip: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    root, outside = tmp_path / "library", tmp_path / "outside"
    outside.mkdir()
    shutil.copyfile(clip("mp3"), outside / "secret.mp3")
    names = ["‮rtl", "tab\tand\nline", "x" * 240, "quo'te\"; DROP", "💿", "e\u0301"]
    for name in names:
        (root / "A" / name).mkdir(parents=True)
        shutil.copyfile(clip("mp3"), root / "A" / name / "1.mp3")
    (root / "A" / "link").symlink_to(outside)
    (root / "A" / "loop").symlink_to(root)
    (root / "A" / "one.mp3").symlink_to(outside / "secret.mp3")
    (root / "A" / "cover.jpg").symlink_to(outside / "cover.jpg")
    shutil.copyfile(clip("mp3"), os.fsencode(root / "A") + b"/\xff.mp3")
    (root / "A" / "._1.mp3").write_bytes(b"")
    (root / "A" / "2.mp3.part").write_bytes(b"")
    run = scanned(root)
    assert run.items_failed == 1
    assert "not UTF-8" in caplog.text
    assert {"A/link is a link", "A/loop is a link", "A/one.mp3 is a link"} <= set(
        re.findall(r"A/\S+ is a link", caplog.text)
    )
    assert "cover" not in caplog.text
    assert Book.objects.count() == len(names)
    assert not LibraryFile.objects.filter(path__contains="secret").exists()


def test_an_empty_library_says_what_to_do_and_a_link_may_stand_for_it(
    tmp_path: Path, clip: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    real, root = tmp_path / "real", tmp_path / "library"
    real.mkdir()
    root.symlink_to(real)
    scanned(root)
    assert "no audio files" in caplog.text and "AUDIOBOOKS_LIBRARY" in caplog.text
    shutil.copyfile(clip("mp3"), real / "1.mp3")
    scanned(root)
    assert Book.objects.count() == 1


def test_a_library_that_has_grown_is_shown_without_a_false_total(library: Path) -> None:
    scanned(library)
    for number in range(2):
        shutil.copytree(
            library, library / f"again {number}", ignore=lambda folder, names: fnmatch.filter(names, "again*")
        )
    assert scanned(library).total is None
    assert scanned(library).total == LibraryFile.objects.count()


def test_two_editions_in_one_folder_are_two_books(tmp_path: Path, clip: Callable[[str], Path]) -> None:
    folder = tmp_path / "Ilse Varga"
    folder.mkdir()
    for name in ("One", "Two"):
        shutil.copyfile(clip("m4b"), folder / f"{name}.m4b")
        write_tags(folder / f"{name}.m4b", album=name, author="Ilse Varga")
    scanned(tmp_path)
    assert set(Book.objects.values_list("title", flat=True)) == {"One", "Two"}


def test_spellings_of_a_name_are_one_person(tmp_path: Path, clip: Callable[[str], Path]) -> None:
    for number, author in enumerate(["J. R. R. Reed", "J.R.R. Reed", "j r r reed"]):
        (tmp_path / str(number)).mkdir()
        shutil.copyfile(clip("flac"), tmp_path / str(number) / "1.flac")
        write_tags(
            tmp_path / str(number) / "1.flac", album=f"B{number}", author=author, series="The Tide", position="1-3"
        )
    scanned(tmp_path)
    assert (Author.objects.count(), Series.objects.count()) == (1, 1)
    assert {entry.order for entry in Series.objects.get().entries.all()} == {1.0}


def test_clips_can_be_made(tmp_path: Path) -> None:
    assert set(make_clips(tmp_path)) == set(CODECS)


# --- which files are a book ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "folders", "expected"),
    [
        (["Ann/Big/0.mp3", "Ann/Big/1.mp3"], ["Ann/Big/Artwork"], {"Ann/Big": 2}),
        (["Ann/Big/0.mp3", "Ann/Big/1.mp3"], ["Ann/Big/PDF/more"], {"Ann/Big": 2}),
        (["Ann/Big/CD1/0.mp3", "Ann/Big/CD2/0.mp3"], ["Ann/Big/Scans"], {"Ann/Big": 2}),
        (["Ann/Big/CD1/0.mp3", "Ann/Big/CD2/0.mp3", "Ann/Big/Talk/0.mp3"], [], {"Ann/Big": 2, "Ann/Big/Talk": 1}),
        (["Ann/Big/CD1/Part A/0.mp3", "Ann/Big/CD1/Part B/0.mp3"], [], {"Ann/Big": 2}),
        (["Ann/Big/CD1/0.mp3", "Ann/Big/CD1/Bonus/0.mp3"], [], {"Ann/Big": 2}),
        (["Ann/disk1/One/0.mp3", "Ann/disk1/Two/0.mp3"], [], {"Ann/disk1/One": 1, "Ann/disk1/Two": 1}),
        (["disk1/Ann/Big/0.mp3", "disk2/Bob/Other/0.mp3"], [], {"disk1/Ann/Big": 1, "disk2/Bob/Other": 1}),
        (["disk1/0.mp3", "disk2/0.mp3"], [], {"disk1": 1, "disk2": 1}),
        (["Ann/0.mp3", "Ann/1.mp3", "Ann/Big/0.mp3"], [], {"Ann/0.mp3": 1, "Ann/1.mp3": 1, "Ann/Big": 1}),
        (["0.mp3", "1.mp3"], [], {"0.mp3": 1, "1.mp3": 1}),
    ],
)
def test_a_book_is_a_folder_with_its_discs_and_whatever_else_lies_there(
    tmp_path: Path, put: Callable[..., Path], files: list[str], folders: list[str], expected: dict[str, int]
) -> None:
    for file in files:
        put(file)
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "cover.jpg").write_bytes(b"")
    scanned(tmp_path)
    assert books() == expected


def test_loose_files_beside_the_folder_of_a_book_are_grouped_by_album(tmp_path: Path, put: Callable[..., Path]) -> None:
    for number in range(3):
        put(f"Ann/{number}.mp3", album="One")
    put("Ann/3.mp3", album="Two")
    put("Ann/Big/0.mp3", album="Big")
    scanned(tmp_path)
    assert books() == {"Ann/0.mp3": 3, "Ann/3.mp3": 1, "Ann/Big": 1}


def test_a_link_to_itself_is_a_link_and_no_failure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "again").symlink_to(tmp_path / "again")
    assert scanned(tmp_path).items_failed == 0
    assert "again is a link" in caplog.text


@pytest.mark.parametrize("name", ["x" * 120, "".join(map(chr, range(0x4E00, 0x4E50)))], ids=["characters", "bytes"])
def test_too_long_a_path_costs_a_line_and_not_the_run(
    tmp_path: Path, put: Callable[..., Path], caplog: pytest.LogCaptureFixture, name: str
) -> None:
    put("Ann/Big/0.mp3")
    put("/".join([name] * 12) + "/0.mp3")
    run = scanned(tmp_path)
    assert run.items_failed == 1
    assert "too long" in caplog.text
    assert books() == {"Ann/Big": 1}


def test_folders_nested_as_deep_as_a_path_may_be_are_walked(tmp_path: Path, put: Callable[..., Path]) -> None:
    deepest = "/".join(["d"] * 500)
    put(f"{deepest}/0.mp3")
    scanned(tmp_path)
    assert books() == {deepest: 1}


# --- odd files ----------------------------------------------------------------------------------------------------


def with_huge_granule(path: Path) -> None:
    """The last page of an Ogg file says how long it is, in samples."""
    data = bytearray(path.read_bytes())
    last = data.rindex(b"OggS")
    data[last + 6 : last + 14] = (2**63 - 1).to_bytes(8, "little")
    path.write_bytes(data)


def with_long_header(path: Path) -> None:
    """An MP4 header of version 1 has a duration of 64 bits."""
    data = bytearray(path.read_bytes())
    start = data.index(b"mvhd") + 4
    data[start : start + 32] = bytes([1, 0, 0, 0]) + bytes(16) + (1).to_bytes(4, "big") + (2**64 - 1).to_bytes(8, "big")
    path.write_bytes(data)


@pytest.mark.parametrize(("ending", "spoil"), [("ogg", with_huge_granule), ("m4b", with_long_header)])
def test_an_absurd_length_costs_a_line_and_not_the_run(
    tmp_path: Path,
    put: Callable[..., Path],
    caplog: pytest.LogCaptureFixture,
    ending: str,
    spoil: Callable[[Path], None],
) -> None:
    put("Ann/Big/0.mp3")
    spoil(put(f"Ann/Odd/0.{ending}"))
    run = scanned(tmp_path)
    assert run.items_failed == 1
    assert f"Ann/Odd/0.{ending} could not be read" in caplog.text
    assert LibraryFile.objects.get(path=f"Ann/Odd/0.{ending}").duration is None
    assert Book.objects.get(path="Ann/Big").runtime == timedelta(seconds=1)


def test_what_the_database_refuses_costs_a_line_and_not_the_run(
    tmp_path: Path, put: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    put("Ann/Odd/0.mp3")
    put("Ann/Other/0.mp3")
    seconds = 2**63 // 10**9 + 1
    os.utime(tmp_path / "Ann/Odd/0.mp3", (seconds, seconds))
    if (tmp_path / "Ann/Odd/0.mp3").stat().st_mtime != seconds:
        pytest.skip("this file system keeps no time so far ahead")
    run = scanned(tmp_path)
    assert run.items_failed == 1
    assert "Ann/Odd could not be recorded" in caplog.text
    assert books() == {"Ann/Other": 1}


def test_huge_tags_are_cut(tmp_path: Path, put: Callable[..., Path]) -> None:
    path = put("0.mp3", album="x" * 3_000_000, author="; ".join(f"Author {number}" for number in range(3000)))
    found = read_tags(path)
    assert (len(found.album), len(found.authors)) == (TEXT_LENGTH, MOST_NAMES)
    assert found.authors[-1] == f"Author {MOST_NAMES - 1}"


def test_blanks_in_a_row_are_one(tmp_path: Path, put: Callable[..., Path]) -> None:
    found = read_tags(put("0.mp3", album="Big \n \t Book", series="The" + " " * 1900 + "Tide"))
    assert (found.album, found.series) == ("Big Book", (("The Tide", ""),))


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES])
def test_a_place_that_fails_is_told_from_a_broken_file(
    tmp_path: Path, put: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = put("0.mp3")

    class Failing(io.FileIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr("builtins.open", lambda *args, **options: Failing(path))
    with pytest.raises(FileUnavailable):
        read_tags(path)


# --- what could not be read ---------------------------------------------------------------------------------------


def unavailable(path: Path) -> FileTags:
    raise FileUnavailable("Input/output error")


def test_a_file_that_is_unavailable_for_a_night_keeps_its_book_as_it_was(
    tmp_path: Path, put: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = put("Ann/Big/0.mp3", album="Real name", author="Real author")
    scanned(tmp_path)
    before = LibraryFile.objects.values().get()
    put("Ann/Big/0.mp3", album="New name")
    with monkeypatch.context() as patched:
        patched.setattr(scan, "read_tags", unavailable)
        run = scanned(tmp_path)
    assert (run.items_failed, run.result["files_failed"]) == (1, 1)
    assert caplog.text.count("Input/output error") == 1
    assert LibraryFile.objects.values().get() == before
    assert Book.objects.get().title == "Real name"
    assert file.exists() and scanned(tmp_path).result["files_read"] == 1
    assert Book.objects.get().title == "New name"


def test_a_new_file_that_is_unavailable_is_read_the_next_night(
    tmp_path: Path, put: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    put("Ann/Big/0.mp3", album="Big")
    with monkeypatch.context() as patched:
        patched.setattr(scan, "read_tags", unavailable)
        assert scanned(tmp_path).items_failed == 1
    assert not Book.objects.exists()
    scanned(tmp_path)
    assert books() == {"Ann/Big": 1}


def test_what_vanishes_between_listing_and_reading_is_no_absence(
    tmp_path: Path, put: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    put("Ann/Big/0.mp3", album="Big")
    scanned(tmp_path)
    put("Ann/Big/0.mp3", album="Bigger")

    def vanishing(path: Path) -> FileTags:
        shutil.rmtree(tmp_path / "Ann/Big", ignore_errors=True)
        return read_tags(path)

    monkeypatch.setattr(scan, "read_tags", vanishing)
    assert scanned(tmp_path).items_failed == 1
    assert books() == {"Ann/Big": 1}


def test_a_file_with_an_error_is_tried_again_each_night(tmp_path: Path, put: Callable[..., Path]) -> None:
    put("Ann/Big/0.mp3", album="Big")
    scanned(tmp_path)
    LibraryFile.objects.update(error="Input/output error", tags={}, duration=None)
    assert scanned(tmp_path).result["files_read"] == 1
    assert LibraryFile.objects.get().error == ""
    assert Book.objects.get().title == "Big"


def test_a_broken_file_is_said_each_night_and_written_once(library: Path) -> None:
    (library / "Broken").mkdir()
    (library / "Broken" / "one.mp3").write_bytes(b"nonsense")
    scanned(library)
    run = scanned(library)
    assert (run.items_failed, run.result["books_changed"]) == (1, 0)


# --- which book a file belongs to ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("Big Book (Disc 1)", "Big Book (Disc 2)"),
        ("Big Book [CD 01]", "Big Book [CD 02]"),
        ("Big Book - CD1", "Big Book - CD2"),
        ("Big Book, Part 1 of 2", "Big Book, Part 2 of 2"),
        ("Big Book: Teil 1", "Big Book: Teil 2"),
        ("Big Book Disk 1", "Big Book Disk 2"),
        ("Big Book (Unabridged) (Disc 1)", "Big Book (Disc 2)"),
        ("Big Book (Side A)", "Big Book (Side B)"),
        ("Big Book", ""),
    ],
)
def test_the_discs_of_a_book_are_one_book(tmp_path: Path, put: Callable[..., Path], one: str, two: str) -> None:
    put("Ann/Big/CD1/0.mp3", album=one)
    put("Ann/Big/CD2/0.mp3", album=two)
    scanned(tmp_path)
    assert books() == {"Ann/Big": 2}
    assert Book.objects.get().title == "Big Book"


@pytest.mark.parametrize("album", ["Big Book Part 1", "Big Book (1 of 5)", "Big Book (Part 1 of 5)", "CD1"])
def test_a_part_sold_as_a_book_keeps_its_title(tmp_path: Path, put: Callable[..., Path], album: str) -> None:
    put("Ann/Big/0.mp3", album=album)
    scanned(tmp_path)
    assert Book.objects.get().title == album


@pytest.mark.parametrize(("one", "two"), [("Disc 1", "Disc 2"), ("(CD 1)", "(CD 2)")])
def test_an_album_that_only_counts_discs_is_no_title(
    tmp_path: Path, put: Callable[..., Path], one: str, two: str
) -> None:
    put("Ann/Big/CD1/0.mp3", album=one)
    put("Ann/Big/CD2/0.mp3", album=two)
    scanned(tmp_path)
    assert list(Book.objects.values_list("path", "title")) == [("Ann/Big", "Big")]


@pytest.mark.parametrize(("one", "two"), [("Dune Part 1", "Dune Part 2"), ("Dune", "Disco 2"), ("One CDA", "One CDB")])
def test_books_that_only_look_like_discs_stay_apart(
    tmp_path: Path, put: Callable[..., Path], one: str, two: str
) -> None:
    put("Ann/0.mp3", album=one)
    put("Ann/1.mp3", album=two)
    scanned(tmp_path)
    assert set(Book.objects.values_list("title", flat=True)) == {one, two}


@pytest.mark.parametrize("with_asin", [0, 1])
def test_a_file_without_asin_goes_with_its_album(tmp_path: Path, put: Callable[..., Path], with_asin: int) -> None:
    put(f"Ann/Big/{with_asin}.mp3", album="Big", asin="B012345678")
    put(f"Ann/Big/{1 - with_asin}.mp3", album="Big")
    put("Ann/Big/2.mp3", album="Other")
    scanned(tmp_path)
    assert books() == {"Ann/Big/0.mp3": 2, "Ann/Big/2.mp3": 1}
    assert Book.objects.get(title="Big").asin == "B012345678"


@pytest.mark.parametrize("path", ["Ann/Big/0.mp3", "Ann/(Unabridged)/0.mp3", "(Unabridged)/0.mp3", "(Unabridged).mp3"])
def test_a_title_is_never_empty(tmp_path: Path, put: Callable[..., Path], path: str) -> None:
    put(path, album="(Unabridged)")
    scanned(tmp_path)
    book = Book.objects.get()
    assert book.title == "Big" if "Big" in path else book.title
    assert book.abridged is False


def test_books_keep_their_rows_when_their_files_are_grouped_anew(tmp_path: Path, put: Callable[..., Path]) -> None:
    for number in range(5):
        put(f"Ann/Big/{number}.mp3", album="Big")
    scanned(tmp_path)
    old = Book.objects.get()
    put("Ann/Big/0.mp3", album="Other")
    scanned(tmp_path)
    assert books() == {"Ann/Big/0.mp3": 1, "Ann/Big/1.mp3": 4}
    assert Book.objects.get(title="Big").pk == old.pk
    other = Book.objects.get(title="Other")
    assert Book.objects.count() == 2
    put("Ann/Big/0.mp3", album="Big")
    scanned(tmp_path)
    assert books() == {"Ann/Big": 5}
    assert Book.objects.get(path="Ann/Big").pk == old.pk
    other.refresh_from_db()
    assert other.missing_since is not None
    put("Ann/Big/0.mp3", album="Other")
    scanned(tmp_path)
    other.refresh_from_db()
    assert other.missing_since is None


def test_books_whose_paths_change_places_keep_their_rows(tmp_path: Path, put: Callable[..., Path]) -> None:
    for number, album in enumerate(["One", "One", "One", "Two", "Two", "Two"]):
        put(f"Ann/{number}.mp3", album=album)
    scanned(tmp_path)
    rows = dict(Book.objects.values_list("title", "pk"))
    put("Ann/0.mp3", album="Two")
    scanned(tmp_path)
    assert books() == {"Ann/0.mp3": 4, "Ann/1.mp3": 2}
    assert dict(Book.objects.values_list("title", "pk")) == rows


def test_a_path_that_was_that_of_a_book_without_files_is_free(tmp_path: Path, put: Callable[..., Path]) -> None:
    for number, album in enumerate(["One", "Two", "One"]):
        put(f"{number}.mp3", album=album)
    scanned(tmp_path)
    put("1.mp3", album="One")
    scanned(tmp_path)
    assert books() == {"0.mp3": 3}
    put("0.mp3", album="Three")
    scanned(tmp_path)
    assert books() == {"0.mp3": 1, "1.mp3": 2}


def test_books_are_grouped_anew_though_no_file_changed(tmp_path: Path, put: Callable[..., Path]) -> None:
    put("Ann/Big/0.mp3")
    put("Ann/Big/1.mp3")
    scanned(tmp_path)
    as_once_grouped = Book.objects.create(path="Ann/Big/1.mp3", title="1", work=Work.objects.create(title="1"))
    LibraryFile.objects.filter(path="Ann/Big/1.mp3").update(book=as_once_grouped)
    run = scanned(tmp_path)
    assert books() == {"Ann/Big": 2}
    assert run.result["files_read"] == 0


def test_one_more_loose_file_changes_no_other_book(tmp_path: Path, put: Callable[..., Path]) -> None:
    for number in range(4):
        put(f"{number}.mp3", album=f"Book {number}")
    scanned(tmp_path)
    put("9.mp3", album="Book 9")
    run = scanned(tmp_path)
    assert (run.result["books_new"], run.result["books_changed"]) == (1, 0)


# --- absence ------------------------------------------------------------------------------------------------------


def test_an_empty_folder_where_books_were_may_be_a_disk_that_is_not_mounted(
    tmp_path: Path, put: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    put("disk1/Ann/Big/0.mp3", album="Big")
    put("disk2/Bob/Other/0.mp3", album="Other")
    scanned(tmp_path)
    shutil.rmtree(tmp_path / "disk1/Ann")
    run = scanned(tmp_path)
    assert books() == {"disk1/Ann/Big": 1, "disk2/Bob/Other": 1}
    assert run.result["files_missing"] == 0
    assert caplog.text.count("mounted") == 1
    (tmp_path / "disk1").rmdir()
    scanned(tmp_path)
    assert books() == {"disk2/Bob/Other": 1}


def moved(root: Path, old: str, new: str) -> None:
    (root / new).parent.mkdir(parents=True, exist_ok=True)
    (root / old).rename(root / new)


@pytest.mark.parametrize(
    ("old", "new"),
    [("Ann/Big", "Ann/Series/1 - Big"), ("Ann", "Zoe"), ("Ann", "A"), ("Ann/Big/0.mp3", "Ann/Big/first.mp3")],
)
def test_a_book_that_moved_is_the_same_book(tmp_path: Path, put: Callable[..., Path], old: str, new: str) -> None:
    files = 1 if old.endswith("mp3") else 3
    for number in range(files):
        put(f"Ann/Big/{number}.mp3", album="Big")
    put("Bob/Other/0.mp3")
    scanned(tmp_path)
    before = Book.objects.get(title="Big")
    moved(tmp_path, old, new)
    run = scanned(tmp_path)
    after = Book.objects.get(title="Big")
    assert (after.pk, after.added_at, after.missing_since) == (before.pk, before.added_at, None)
    assert LibraryFile.objects.count() == files + 1 and not LibraryFile.objects.exclude(missing_since=None).exists()
    assert (run.result["files_read"], run.result["books_new"], run.result["files_missing"]) == (0, 0, 0)
    assert all((tmp_path / path).exists() for path in books())


def test_a_book_that_comes_back_elsewhere_is_the_same_book(tmp_path: Path, put: Callable[..., Path]) -> None:
    put("Ann/Big/0.mp3", album="Big")
    put("Bob/Other/0.mp3")
    scanned(tmp_path)
    before = Book.objects.get(title="Big")
    aside = tmp_path.with_name("aside")
    (tmp_path / "Ann").rename(aside)
    scanned(tmp_path)
    aside.rename(tmp_path / "Anna")
    scanned(tmp_path)
    after = Book.objects.get(title="Big")
    assert (after.pk, after.path, after.missing_since) == (before.pk, "Anna/Big", None)


def test_a_copy_of_a_book_is_another_book(tmp_path: Path, put: Callable[..., Path]) -> None:
    put("Ann/Big/0.mp3", album="Big")
    scanned(tmp_path)
    shutil.copytree(tmp_path / "Ann", tmp_path / "Again")
    scanned(tmp_path)
    assert books() == {"Ann/Big": 1, "Again/Big": 1}


def test_a_file_that_leaves_others_behind_takes_no_book_along(tmp_path: Path, put: Callable[..., Path]) -> None:
    for number in range(3):
        put(f"Ann/Big/{number}.mp3", album="Big")
    scanned(tmp_path)
    before = Book.objects.get()
    moved(tmp_path, "Ann/Big/0.mp3", "Aaron/0.mp3")
    scanned(tmp_path)
    before.refresh_from_db()
    assert before.path == "Ann/Big"
    assert books() == {"Ann/Big": 2, "Aaron": 1}


def test_a_file_that_breaks_takes_nothing_of_its_book_back(tmp_path: Path) -> None:
    library = tmp_path / "library"
    for _ in make_library(library, files=1):
        pass
    scanned(library)
    book = Book.objects.get()
    before = (book.title, book.asin, book.runtime, [reading.narrator.name for reading in book.readings.all()])
    assert all(before)
    place = library / LibraryFile.objects.get().path
    place.write_bytes(b"\0" * 5000)
    scanned(library)
    book = Book.objects.get()
    assert (book.title, book.asin, book.runtime, [one.narrator.name for one in book.readings.all()]) == before
    assert LibraryFile.objects.get().error


# --- one place --------------------------------------------------------------------------------------------------------


def placed(root: Path, place: str, book: int, channel: Quiet | None = None) -> Book | None:
    return scan_place(TaskRun(task_id=0, attempt=1, channel=channel or Quiet()), root=root, place=place, book=book)


@pytest.fixture
def wanted() -> Book:
    work = Work.objects.create(title="The Salt Road", key="thesaltroad")
    told = {"title": "The Salt Road", "asin": "B012345678"}
    offers = {name: Offer(value, "audnexus") for name, value in told.items()}
    return new_book(work, offers, now=timezone.now(), standing=Book.Standing.WANTED)


def test_a_placed_book_is_that_which_was_wanted(wanted: Book, put: Callable[..., Path], tmp_path: Path) -> None:
    """Whatever its tags say; nothing else of the library is looked at."""
    put("Elsewhere/Other/1.mp3", album="Other", author="Tomás Reed")
    for number in (1, 2):
        put(f"Ilse Varga/Salt/03 - X/{number}.mp3", album="Quite Another", author="I. Varga")
    found = placed(tmp_path, "Ilse Varga/Salt/03 - X", wanted.pk)
    assert found == wanted
    wanted.refresh_from_db()
    assert (wanted.standing, wanted.path, wanted.missing_since) == ("owned", "Ilse Varga/Salt/03 - X", None)
    assert books() == {"Ilse Varga/Salt/03 - X": 2} and wanted.asin == "B012345678"
    before = list(LibraryFile.objects.order_by("pk").values())
    assert placed(tmp_path, "Ilse Varga/Salt/03 - X", wanted.pk) == wanted
    assert list(LibraryFile.objects.order_by("pk").values()) == before
    run = scanned(tmp_path)
    assert run.result["books_new"] == 1 and run.result["books_changed"] == 0
    assert books() == {"Elsewhere/Other": 1, "Ilse Varga/Salt/03 - X": 2}


def test_a_scan_that_came_first_is_put_right(wanted: Book, put: Callable[..., Path], tmp_path: Path) -> None:
    put("Ilse Varga/X/1.mp3", album="Quite Another", author="Nobody Known")
    scanned(tmp_path)
    stranger = Book.objects.get(path="Ilse Varga/X")
    assert stranger != wanted
    assert placed(tmp_path, "Ilse Varga/X", wanted.pk) == wanted
    assert books() == {"Ilse Varga/X": 1} and LibraryFile.objects.get().book == wanted
    stranger.refresh_from_db()
    assert stranger.path is None and stranger.missing_since is not None


@pytest.mark.parametrize("first", ["scan", "place"])
def test_a_book_that_is_placed_while_a_scan_reads_it_is_recorded_once(
    first: str, wanted: Book, put: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("Ilse Varga/X/1.mp3", album="Quite Another", author="Nobody Known")
    put("Ilse Varga/Y/1.mp3", album="The Other", author="Nobody Known")
    scan_all, place = partial(scanned, tmp_path), partial(placed, tmp_path, "Ilse Varga/X", wanted.pk)
    other: list[Callable[[], Any]] = [place if first == "scan" else scan_all]

    def while_the_other_records(path: Path) -> FileTags:
        if other and path.parent.name == "X":
            other.pop()()
        return read_tags(path)

    monkeypatch.setattr(scan, "read_tags", while_the_other_records)
    if first == "scan":
        assert scan_all().result["files_failed"] == 0
    else:
        assert place() == wanted
    assert books() == {"Ilse Varga/X": 1, "Ilse Varga/Y": 1}
    assert LibraryFile.objects.get(path="Ilse Varga/X/1.mp3").book == wanted


def test_a_book_that_has_files_keeps_them(wanted: Book, put: Callable[..., Path], tmp_path: Path) -> None:
    put("Old/1.mp3", album="The Salt Road", author="Ilse Varga", asin="B012345678")
    scanned(tmp_path)
    wanted.refresh_from_db()
    assert wanted.path == "Old"
    put("New/1.mp3", album="The Salt Road", author="Ilse Varga", narrator="Another")
    found = placed(tmp_path, "New", wanted.pk)
    assert found is not None and found != wanted and found.path == "New"
    wanted.refresh_from_db()
    assert wanted.path == "Old" and books() == {"Old": 1, "New": 1}


def test_a_book_that_is_gone_is_made_anew(put: Callable[..., Path], tmp_path: Path) -> None:
    put("New/1.mp3", album="The Salt Road", author="Ilse Varga")
    found = placed(tmp_path, "New", 999_999)
    assert found is not None and found.path == "New" and found.title == "The Salt Road"


@pytest.mark.parametrize("place", ["../outside", "/etc", "a/../..", "link", "link/x"])
def test_a_place_outside_the_library_is_not_looked_at(place: str, wanted: Book, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(LibraryUnavailable):
        placed(tmp_path / "library", place, wanted.pk)
    assert LibraryFile.objects.count() == 0


def test_a_place_that_is_not_there_is_told(wanted: Book, tmp_path: Path) -> None:
    assert placed(tmp_path, "Nothing", wanted.pk) is None
    wanted.refresh_from_db()
    assert (wanted.standing, wanted.path) == ("wanted", None)
