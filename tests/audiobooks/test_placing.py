"""Placing what was fetched: nothing outside the library, nothing over anything, and nothing half, whatever a name or torrent says."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import sys
import unicodedata
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiobooks import placing
from audiobooks.facts import BookFacts, Contributor, SeriesPlace
from audiobooks.library.base import PATH_CHARACTERS
from audiobooks.library.folder import Walk, find_books, parse_location
from audiobooks.matching.positions import parse_positions
from audiobooks.placing import NoSpace, PlacingError, place, shelf_files
from audiobooks.shelf_path import NAME_BYTES, BadTemplate, safe_name, target_for

TEMPLATE = "{author}/{series}/{position} - {title} {{{narrator}}}"
SOUND = b"ID3" + bytes(range(256)) * 40


def book(
    title: str, author: str = "Ilse Varga", series: str = "", position: str = "", narrator: str = "", **more: Any
) -> BookFacts:
    return BookFacts(
        title=title,
        authors=(Contributor(name=author),) if author else (),
        series=(SeriesPlace(name=series, position=position),) if series else (),
        narrators=(narrator,) if narrator else (),
        **more,
    )


# --- the path -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "path"),
    [
        (book("The Glass Meridian", series="Salt", position="3", narrator="Mara Quill"), "Ilse Varga/Salt/03 - The Glass Meridian {Mara Quill}"),
        (book("Salt"), "Ilse Varga/Salt"),
        (book("X", series="Salt"), "Ilse Varga/Salt/X"),
        (book("X", series="Salt", position="3.5"), "Ilse Varga/Salt/03.5 - X"),
        (book("X", series="Salt", position="0.5"), "Ilse Varga/Salt/00.5 - X"),
        (book("X", series="Salt", position="1-3"), "Ilse Varga/Salt/01-03 - X"),
        (book("X", series="Salt", position="Book 12"), "Ilse Varga/Salt/12 - X"),
        (book("X", series="Salt", position="what"), "Ilse Varga/Salt/X"),
        (book("X", author="", series="Salt", position="3", narrator="M"), "X {M}"),
        (book("Salt: A Novel", narrator="M"), "Ilse Varga/Salt - A Novel {M}"),
        (book("3:10 to {Yuma}?"), "Ilse Varga/3꞉10 to (Yuma)"),
        (book("Part 2"), "Ilse Varga/Part 2_"),
        (book("Samples"), "Ilse Varga/Samples_"),
        (book("..."), "Ilse Varga/Untitled"),
        (book("", asin="B012345678"), "Ilse Varga/B012345678"),
    ],
)  # fmt: skip
def test_the_path_is_made_of_what_is_known(facts: BookFacts, path: str) -> None:
    assert target_for(TEMPLATE, facts) == path


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("{authors} - {title} ({year}) [{asin}]", "A B, C D - X (2001) [B012345678]"),
        ("{series} {position}/{title}", "X"),
        ("Books/{title} read by {narrator}", "Books/X"),
        ("Imported/{author}/From {{all}}/{title}", "Imported/A B/From {all}/X"),
        ("{{{title}}}", "{X}"),
        ("{author}/{title} - {subtitle}/", "A B/X"),
    ],
)
def test_a_template_may_be_another(template: str, path: str) -> None:
    facts = BookFacts(
        title="X", authors=(Contributor(name="A B"), Contributor(name="C D")), released="2001-02", asin="B012345678"
    )
    assert target_for(template, facts) == path


@pytest.mark.parametrize(
    "template", ["", "{author}", "{title}/{author}", "{tittle}", "{title", "{title} }", "{0}", "{}", "../{title}"]
)
def test_a_template_that_cannot_be_is_said(template: str) -> None:
    with pytest.raises(BadTemplate, match="SHELF_PATH"):
        target_for(template, book("X"))


HOSTILE = [
    "../../etc/passwd", "..", ".", "", " ", "/etc/passwd", "//host/share", "\\\\host\\share", "C:\\Windows\\x", "C:", "~/x", "~root",
    "a/../../b", "a/./b", "a//b", "..\\..\\x", "%2e%2e%2f", "..%c0%af", "．．/x", "a／b", "a∕b", "a⁄b", ".hidden", "..hidden", ".incoming-x",
    "-rf", "--help", "—x", "- - -", "CON", "con", "NUL", "nul.txt", "COM1", "com9.mp3", "LPT1", "COM¹", "AUX ", "PRN.", "CONIN$", "CLOCK$",
    "con .txt", "x.", "x ", "x. . .", " x", "x\u00a0", "\u3000", "a\0b", "a\nb", "a\rb", "a\tb", "a\x1b[2Jb", "a\x7fb", "a\x9bb", "a\u200bb",
    "a\u200db", "\ufeffx", "a\u202egpj.b", "\u2066x\u2069", "\u2028x\u2029y", "\ud800", "a\udcffb", "\ue000", "\uffff", "x\U000e0041", "<x>", 'a"b',
    "a|b", "a?b", "a*b", "a:b", "a: b", "a꞉b", "*?", "$(reboot)", "`reboot`", "; rm -rf", "${HOME}", "{title}", "{{", "}", "{0.__class__}",
    "{narrator}", "[B012345678]", "Extras", "sample", "lost+found", "@eaDir", "#recycle", "$RECYCLE.BIN", "Disc 1", "CD1", "Part 2", "Volume 3",
    "é" * 300, "e\u0301" * 300, "日" * 300, "👩‍👩‍👧" * 100, "a" * 5000, "a" + "\u0301" * 600, "x" * 254 + "é", "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤" * 30, "ﷺ" * 200,
    "ß" * 200, "İ" * 200, "שלום", "مرحبا", "Ⅷ", "①", "ｎｕｌ", "k\u212a", "ﬁ", "1984", "03 - X", "{Mara}", "x.mp3", "x.m4b.part",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_name_leads_anywhere_else(text: str, tmp_path: Path) -> None:
    _check_target(book(text, author=text, series=text, position="2", narrator=text))
    _check_target(book(text))
    _check_target(book("X", author=text, narrator=text))
    library, outside = _places(tmp_path)
    content = _content(tmp_path, {"a.mp3": SOUND})
    target = target_for(TEMPLATE, book(text, author=text, series=text, position="2", narrator=text))
    placed = place(content, shelf_files(content), library, target)
    found = [path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes() == SOUND]
    assert len(found) == 2 and (library / placed.files[0].path) in found
    assert _tree(outside) == {"mine": b"untouched"}


def _check_target(facts: BookFacts) -> None:
    target = target_for(TEMPLATE, facts)
    parts = target.split("/")
    assert 1 <= len(parts) <= 3 and len(target) < PATH_CHARACTERS - 300
    for part in parts:
        assert part == safe_name(part) == unicodedata.normalize("NFC", part)
        assert 0 < len(part.encode()) <= NAME_BYTES - 8
        assert not re.search(r'[<>:"|?*\\\x00-\x1f\x7f-\x9f]', part)
        assert part[0] not in " .-" and part[-1] not in " ."
        assert not any(unicodedata.category(letter) in ("Cc", "Cf", "Cs") for letter in part)
        assert not re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", part)


@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=30), st.text(max_size=10), st.text(max_size=30))
@settings(deadline=None, max_examples=40)
def test_any_text_is_a_path(title: str, author: str, series: str, position: str, narrator: str) -> None:
    _check_target(book(title, author, series, position, narrator))


WORD = st.text(st.sampled_from("abcdeilmnorstuéößA"), min_size=3, max_size=8).map(str.capitalize)
NAME = st.lists(WORD, min_size=2, max_size=3).map(" ".join)


@given(
    NAME,
    NAME,
    st.one_of(st.just(""), NAME),
    st.sampled_from(["", "1", "2.5", "12", "1-3", "0", "100"]),
    st.one_of(st.just(""), NAME),
)
@settings(deadline=None)
def test_the_scan_reads_the_same_book_from_the_path(
    title: str, author: str, series: str, position: str, narrator: str
) -> None:
    found = parse_location(target_for(TEMPLATE, book(title, author, series, position, narrator)), is_file=False)
    assert (found.title, found.author, found.narrator, found.series) == (title, author, narrator, series)
    assert parse_positions(found.position) == (parse_positions(position) if series else parse_positions(""))


# --- the files ----------------------------------------------------------------------------------------------------


def _places(tmp_path: Path) -> tuple[Path, Path]:
    library, outside = tmp_path / "library", tmp_path / "outside"
    library.mkdir(exist_ok=True)
    outside.mkdir(exist_ok=True)
    (outside / "mine").write_bytes(b"untouched")
    return library, outside


def _content(tmp_path: Path, files: dict[str, bytes], name: str = "The Torrent") -> Path:
    content = tmp_path / "downloads" / name
    for path, data in files.items():
        (content / path).parent.mkdir(parents=True, exist_ok=True)
        (content / path).write_bytes(data)
    return content


def _tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def _stats(root: Path) -> dict[str, tuple[int, int, int]]:
    found = ((path, path.lstat()) for path in sorted(root.rglob("*")))
    return {str(path): (each.st_mode, each.st_size, each.st_mtime_ns) for path, each in found}


BOOK = {
    "01.mp3": SOUND + b"1",
    "02.mp3": SOUND + b"2",
    "cover.jpg": b"jpg",
    "book.pdf": b"pdf",
    "x.nfo": b"no",
    "x.exe": b"no",
}


@pytest.fixture(params=["link", "copy"])
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "copy":
        monkeypatch.setattr(os, "link", _no_link)
    return str(request.param)


_link = os.link


def _no_link(*places: Any, **options: Any) -> None:
    if "src_dir_fd" in options:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    _link(*places, **options)


def test_a_book_is_linked_and_else_copied_and_its_source_stays_as_it_was(how: str, tmp_path: Path) -> None:
    library, _ = _places(tmp_path)
    content = _content(tmp_path, BOOK)
    (content / "01.mp3").chmod(0o440)
    before = _stats(content)
    placed = place(content, shelf_files(content), library, "Ilse Varga/Salt")
    assert _tree(library) == {
        f"Ilse Varga/Salt/{name}": BOOK[name] for name in ("01.mp3", "02.mp3", "book.pdf", "cover.jpg")
    }
    assert {file.is_link for file in placed.files} == {how == "link"}
    assert (library / "Ilse Varga/Salt/01.mp3").samefile(content / "01.mp3") == (how == "link")
    assert _stats(content) == before
    assert os.listdir(library) == ["Ilse Varga"]


def test_to_place_it_again_does_nothing(how: str, tmp_path: Path) -> None:
    library, _ = _places(tmp_path)
    content = _content(tmp_path, BOOK)
    first = place(content, shelf_files(content), library, "Ilse Varga/Salt")
    # What a player or server lays beside is no reason to place it once more.
    (library / "Ilse Varga/Salt/metadata.json").write_text("{}")
    before = _stats(library)
    again = place(content, shelf_files(content), library, "Ilse Varga/Salt")
    assert again.was_there and not first.was_there and again.target == first.target and _stats(library) == before


@pytest.mark.parametrize("there", ["Salt", "SALT", "salt", "Sàlt"])
def test_a_name_that_is_taken_gets_a_number(there: str, how: str, tmp_path: Path) -> None:
    library, _ = _places(tmp_path)
    name = "Sàlt" if "à" in there else "Salt"
    there = unicodedata.normalize("NFD", there)
    (library / "Ilse Varga" / there).mkdir(parents=True)
    (library / "Ilse Varga" / there / "01.mp3").write_bytes(b"another")
    content = _content(tmp_path, BOOK)
    assert place(content, shelf_files(content), library, f"Ilse Varga/{name}").target == f"Ilse Varga/{name} (2)"
    assert place(content, shelf_files(content), library, f"Ilse Varga/{name}").was_there
    other = _content(tmp_path, {"01.mp3": b"third"}, "Other")
    assert place(other, shelf_files(other), library, f"Ilse Varga/{name}").target == f"Ilse Varga/{name} (3)"
    assert (library / "Ilse Varga" / there / "01.mp3").read_bytes() == b"another"


@pytest.mark.parametrize("there", ["file", "empty folder", "link", "dead link", "fifo"])
def test_nothing_is_put_in_place_of_what_is_there(there: str, tmp_path: Path) -> None:
    library, outside = _places(tmp_path)
    (library / "Ilse Varga").mkdir()
    taken = library / "Ilse Varga" / "Salt"
    match there:
        case "file":
            taken.write_bytes(b"mine")
        case "empty folder":
            taken.mkdir()
        case "link":
            taken.symlink_to(outside)
        case "dead link":
            taken.symlink_to(outside / "nothing")
        case _:
            os.mkfifo(taken)
    before = taken.lstat()
    content = _content(tmp_path, BOOK)
    assert place(content, shelf_files(content), library, "Ilse Varga/Salt").target == "Ilse Varga/Salt (2)"
    assert taken.lstat() == before and _tree(outside) == {"mine": b"untouched"}


@pytest.mark.parametrize("way", ["author", "series", "hidden"])
def test_no_link_in_the_library_is_followed(way: str, how: str, tmp_path: Path) -> None:
    library, outside = _places(tmp_path)
    if way == "author":
        (library / "Ilse Varga").symlink_to(outside)
    elif way == "series":
        (library / "Ilse Varga").mkdir()
        (library / "Ilse Varga" / "Salt").symlink_to(outside)
    else:
        content = _content(tmp_path, BOOK)
        mark = placing.hashlib.sha256(os.fsencode(f"{content}\0Ilse Varga/Salt/X")).hexdigest()[:24]
        (library / f".incoming-{mark}").symlink_to(outside)
    content = _content(tmp_path, BOOK)
    with pytest.raises(PlacingError):
        place(content, shelf_files(content), library, "Ilse Varga/Salt/X")
    assert _tree(outside) == {"mine": b"untouched"}


def test_a_link_that_comes_while_it_works_is_not_followed(tmp_path: Path) -> None:
    """The author's folder is exchanged for a link at each step in turn."""
    for step in range(60):
        folder = tmp_path / str(step)
        folder.mkdir()
        library, outside = _places(folder)
        (library / "Ilse Varga").mkdir()
        content = _content(folder, BOOK)
        steps = 0

        def exchange(event: str, values: tuple[Any, ...], step: int = step, library: Path = library) -> None:
            nonlocal steps
            if event.startswith("os.") and _watched == str(library):
                steps += 1
                if steps == step:
                    _watch("")
                    (library / "Ilse Varga").rename(library / "Gone")
                    (library / "Ilse Varga").symlink_to(library.parent / "outside")

        _watchers[:] = [exchange]
        _watch(str(library))
        try:
            place(content, shelf_files(content), library, "Ilse Varga/Salt")
        except PlacingError:
            pass
        finally:
            _watch("")
        assert _tree(outside) == {"mine": b"untouched"}
        if steps < step:
            break
    else:
        pytest.fail("it has more steps than were tried")
    assert step > 5


_watchers: list[Any] = []
_watched = ""


def _watch(library: str) -> None:
    global _watched
    _watched = library


sys.addaudithook(lambda event, values: [each(event, values) for each in _watchers if _watched] and None)


@pytest.mark.parametrize(
    "target", ["../x", "/x", "a/../b", "a//b", "", ".", ".hidden", "a/.x", "a\0b", "a/", "CON", "x" * 300, "a\nb", "a\\b"]
)  # fmt: skip
def test_a_target_that_is_none_is_refused(target: str, tmp_path: Path) -> None:
    library, _ = _places(tmp_path)
    content = _content(tmp_path, BOOK)
    with pytest.raises(PlacingError):
        place(content, shelf_files(content), library, target)
    assert os.listdir(library) == []


@pytest.mark.parametrize("file", ["../outside/mine", "/etc/hostname", "a/../../outside/mine", "nothing.mp3"])
def test_a_file_outside_what_was_fetched_is_refused(file: str, how: str, tmp_path: Path) -> None:
    library, _ = _places(tmp_path)
    content = _content(tmp_path, BOOK)
    with pytest.raises(PlacingError):
        place(content, [PurePosixPath(file)], library, "X")
    assert _tree(library) == {}


@pytest.mark.parametrize(
    "odd", ["link out", "link in", "link folder", "fifo", "socket", "folder", "content link", "content fifo"]
)
def test_what_is_no_file_is_not_taken(odd: str, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library, outside = _places(tmp_path)
    content = _content(tmp_path, BOOK)
    bad = content / "03.mp3"
    files = [*shelf_files(content), PurePosixPath("03.mp3")]
    match odd:
        case "link out":
            bad.symlink_to(outside / "mine")
        case "link in":
            bad.symlink_to("01.mp3")
        case "link folder":
            (content / "in").symlink_to(outside)
            (outside / "04.mp3").write_bytes(SOUND)
            files[-1] = PurePosixPath("in/04.mp3")
        case "fifo":
            os.mkfifo(bad)
        case "socket":
            with socket.socket(socket.AF_UNIX) as server:
                monkeypatch.chdir(content)
                server.bind("03.mp3")
        case "folder":
            bad.mkdir()
        case "content link":
            (tmp_path / "to").symlink_to(content)
            content = tmp_path / "to"
        case _:
            content = tmp_path / "pipe.mp3"
            os.mkfifo(content)
    with pytest.raises(PlacingError):
        place(content, files, library, "X")
    assert os.listdir(library) in ([], [each for each in os.listdir(library) if each.startswith(".incoming-")])
    assert list(find_books(Walk(library, on_error=print, on_link=print))) == []
    if odd in ("link out", "link in", "fifo", "socket"):
        with pytest.raises(PlacingError, match="is a link or no file"):
            shelf_files(content)


def test_a_file_with_other_links_and_one_with_holes_are_taken(how: str, tmp_path: Path) -> None:
    """A cross-seeding program links, too."""
    library, outside = _places(tmp_path)
    content = _content(tmp_path, BOOK)
    os.unlink(content / "02.mp3")
    (outside / "seed.mp3").write_bytes(SOUND)
    (content / "02.mp3").hardlink_to(outside / "seed.mp3")
    with open(content / "03.mp3", "wb") as file:
        file.truncate(3_000_000)
    place(content, shelf_files(content), library, "X")
    assert (library / "X/02.mp3").read_bytes() == (outside / "seed.mp3").read_bytes() == SOUND
    assert (library / "X/03.mp3").stat().st_size == 3_000_000


def test_folders_of_discs_stay_and_others_become_part_of_the_name(tmp_path: Path) -> None:
    library, _ = _places(tmp_path)
    names = [
        "In/CD 1/01.mp3",
        "In/CD 1/02.mp3",
        "In/CD 2/01.mp3",
        "In/One: Two/a?.MP3",
        "In/one_ two/A.mp3",
        "In/scans/cover.jpg",
    ]
    content = _content(tmp_path, {name: name.encode() for name in names})
    place(content, shelf_files(content), library, "Ilse Varga/Salt")
    assert sorted(_tree(library / "Ilse Varga/Salt").values()) == sorted(name.encode() for name in names)
    assert {"CD 1/01.mp3", "CD 1/02.mp3", "CD 2/01.mp3", "scans - cover.jpg"} < set(_tree(library / "Ilse Varga/Salt"))
    (found,) = find_books(Walk(library, on_error=print, on_link=print))
    assert found.path == "Ilse Varga/Salt" and len(found.files) == 5


def test_names_that_are_one_for_some_disk_are_told_apart(how: str, tmp_path: Path) -> None:
    library, _ = _places(tmp_path)
    names = ["A.mp3", "a.mp3", "a.MP3", "é.mp3", "e\u0301.mp3", "É.mp3", "b?.mp3", "b*.mp3", "b.mp3", "NUL.mp3", "x\u202e.mp3", "x.mp3", ("y" * 240) + "é.mp3"]  # fmt: skip
    content = _content(tmp_path, {name: name.encode() for name in names})
    place(content, shelf_files(content), library, "X")
    found = _tree(library / "X")
    assert sorted(found.values()) == sorted(name.encode() for name in names)
    assert len({unicodedata.normalize("NFC", name).casefold() for name in found}) == len(names)


def test_a_single_file_is_placed_in_a_folder(how: str, tmp_path: Path) -> None:
    library, _ = _places(tmp_path)
    content = _content(tmp_path, {"Salt.m4b": SOUND}) / "Salt.m4b"
    place(content, shelf_files(content), library, "Ilse Varga/Salt")
    assert _tree(library) == {"Ilse Varga/Salt/Salt.m4b": SOUND}


def test_the_folders_of_settings_may_be_links(how: str, tmp_path: Path) -> None:
    library, _ = _places(tmp_path)
    content = _content(tmp_path, {"Salt.m4b": SOUND}) / "Salt.m4b"
    (tmp_path / "to").symlink_to(content.parent)
    (tmp_path / "shelf").symlink_to(library)
    place(tmp_path / "to" / "Salt.m4b", shelf_files(content), tmp_path / "shelf", "X")
    assert _tree(library) == {"X/Salt.m4b": SOUND}


def test_the_author_s_folder_is_used_as_it_is_written(tmp_path: Path) -> None:
    library, _ = _places(tmp_path)
    (library / "ILSE VARGA").mkdir()
    content = _content(tmp_path, BOOK)
    assert place(content, shelf_files(content), library, "Ilse Varga/Salt").target == "ILSE VARGA/Salt"


# --- faults -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ENAMETOOLONG])
@pytest.mark.parametrize("call", ["mkdir", "open", "fsync", "rename"])
def test_a_fault_leaves_nothing_half(
    fault: int, call: str, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, _ = _places(tmp_path)
    content = _content(tmp_path, BOOK)
    files = shelf_files(content)
    real = getattr(os, call)

    def fail(path: Any, *more: Any, **options: Any) -> Any:
        if call != "open" or more[0] & os.O_CREAT:
            raise OSError(fault, os.strerror(fault))
        return real(path, *more, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        if (call, how) == ("open", "link"):
            place(content, files, library, "Ilse Varga/Salt")
            return
        with pytest.raises(NoSpace if fault in (errno.ENOSPC, errno.EDQUOT) else PlacingError):
            place(content, files, library, "Ilse Varga/Salt")
    assert list(find_books(Walk(library, on_error=print, on_link=print))) == []
    if fault == errno.ENOSPC and call != "rename":
        assert os.listdir(library) == []
    assert len(place(content, files, library, "Ilse Varga/Salt").files) == 4
    assert os.listdir(library) == ["Ilse Varga"]


def test_what_is_kept_free_is_kept(how: str, tmp_path: Path) -> None:
    library, _ = _places(tmp_path)
    content = _content(tmp_path, BOOK)
    if how == "link":
        assert place(content, shelf_files(content), library, "X", keep_free=2**62)
        return
    with pytest.raises(NoSpace, match="kept free"):
        place(content, shelf_files(content), library, "X", keep_free=2**62)
    assert os.listdir(library) == []


def test_nothing_is_copied_where_there_is_no_room_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library, _ = _places(tmp_path)
    content = _content(tmp_path, {f"{n}.mp3": bytes([n]) * 1000 for n in range(5)})
    copied, copy, link = [], placing._copy, os.link

    def links_some(source: str, *places: Any, **options: Any) -> None:
        (link if source in linked else _no_link)(source, *places, **options)

    class Disk:
        f_frsize = 1

        @property
        def f_bavail(self) -> int:
            written = (each.stat() for each in library.rglob("*.mp3"))
            return 4500 - sum(each.st_size for each in written if each.st_nlink == 1)

    monkeypatch.setattr(os, "link", links_some)
    monkeypatch.setattr(os, "fstatvfs", lambda handle: Disk())
    monkeypatch.setattr(placing, "_copy", lambda *a: copied.append(a[1]) or copy(*a))
    linked: set[str] = set()
    for _ in range(3):
        with pytest.raises(NoSpace, match="have to be copied"):
            place(content, shelf_files(content), library, "A/B")
    assert not copied and os.listdir(library) == []
    # What is linked takes no room, and comes in the order of the others.
    linked.add("2.mp3")
    placed = place(content, shelf_files(content), library, "A/B")
    assert [(each.path, each.is_link) for each in placed.files] == [(f"A/B/{n}.mp3", n == 2) for n in range(5)]
    assert copied == ["0.mp3", "1.mp3", "3.mp3", "4.mp3"]


def test_a_file_that_changes_while_it_is_copied_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library, _ = _places(tmp_path)
    content = _content(tmp_path, {"01.mp3": SOUND})
    monkeypatch.setattr(os, "link", _no_link)
    real = os.fsync

    def change(handle: int) -> None:
        (content / "01.mp3").write_bytes(SOUND[::-1])
        real(handle)

    monkeypatch.setattr(os, "fsync", change)
    with pytest.raises(PlacingError, match="was changed"):
        place(content, shelf_files(content), library, "X")
    assert not (library / "X").exists()


def _killed(content: Path, library: Path, how: str, last: int, results: Path) -> int:
    """How a process ended that places the content and kills itself before its `last` call of the system."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    steps, fsync = 0, os.fsync

    def hook(event: str, values: tuple[Any, ...]) -> None:
        nonlocal steps
        if not event.startswith("os.") and event != "open":
            return
        steps += 1
        if steps == last:
            os.kill(os.getpid(), signal.SIGKILL)
        if event == "os.link" and how == "copy":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    def counted(handle: int) -> None:
        hook("os.fsync", ())
        fsync(handle)

    try:
        files = shelf_files(content)
        os.fsync = counted
        sys.addaudithook(hook)
        place(content, files, library, "Ilse Varga/Salt/03 - X")
        results.write_text(str(steps))
        os._exit(0)
    finally:
        os._exit(1)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["link", "copy"])
def test_killed_at_any_step_and_run_again_it_is_one_book(how: str, tmp_path: Path) -> None:
    """A real process, killed before each of its calls of the system in turn."""
    code, last = -signal.SIGKILL, 0
    while code:
        last += 1
        folder = tmp_path / str(last)
        folder.mkdir()
        library, _ = _places(folder)
        content = _content(folder, BOOK)
        before = _tree(content)
        code = _killed(content, library, how, last, folder / "steps")
        assert code in (0, -signal.SIGKILL)
        shown = list(find_books(Walk(library, on_error=print, on_link=print)))
        assert len(shown) <= 1 and all(len(each.files) == 2 for each in shown)
        assert _killed(content, library, how, 0, folder / "again") == 0
        whole = {name: BOOK[name] for name in ("01.mp3", "02.mp3", "book.pdf", "cover.jpg")}
        assert _tree(library) == {f"Ilse Varga/Salt/03 - X/{name}": data for name, data in whole.items()}
        assert os.listdir(library) == ["Ilse Varga"] and _tree(content) == before
    assert last > 20


def test_a_half_copy_of_a_killed_process_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library, _ = _places(tmp_path)
    content = _content(tmp_path, BOOK)
    monkeypatch.setattr(os, "link", _no_link)
    mark = placing.hashlib.sha256(os.fsencode(f"{content}\0X")).hexdigest()[:24]
    hidden = library / f".incoming-{mark}"
    hidden.mkdir()
    (hidden / "01.mp3").write_bytes(SOUND[:100])
    (hidden / "02.mp3").write_bytes(bytes(len(SOUND) + 1))
    place(content, shelf_files(content), library, "X")
    assert _tree(library)["X/01.mp3"] == BOOK["01.mp3"] and _tree(library)["X/02.mp3"] == BOOK["02.mp3"]
