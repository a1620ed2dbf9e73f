"""Exports of other programs and plain lists of books, told apart by their headings: `read_export`.

Sources of the headings: Libation `Source/ApplicationServices/ExportDto.cs` (CSV by name, JSON by property), OpenAudible
by its importers (orbitalteapot/OpenAudible-BookOrganizer and others), Goodreads and StoryGraph by exports of theirs.

Values stay as they are in the file, `=1+1` included: nothing is evaluated, and whoever writes a table of them escapes.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from audiobooks.facts import BookFacts, Contributor, SeriesPlace
from audiobooks.matching.names import asin, isbn13, language_code
from audiobooks.matching.titles import split_numbered

from .albums import key_of

MOST_BYTES = 50 * 1024 * 1024
MOST_ROWS = 100_000
CELL_LENGTH = 2_000
"""Characters of a cell that names something; a row with more in one is left out, with a problem."""
DESCRIPTION_LENGTH = 20_000
"""Characters kept of a description."""
NAME_LENGTH = 255
"""Characters of the longest name of a series in which a number is looked for."""
MOST_NAMES = 50

COLUMNS = {
    "title": "title, book title",
    "subtitle": "subtitle",
    "author": "author, authors, author name, written by",
    "narrator": "narrator, narrators, narrated by, read by",
    "series": "series, series name, series title",
    "position": "position, series position, series index, series sequence, number in series, volume",
    "asin": "asin, audible asin",
    "isbn": "isbn, isbn13, isbn10, ean, isbn/uid",
    "language": "language, languages",
    "publisher": "publisher, publishers",
    "released": "released, release date, date published, pubdate, year, year published",
    "minutes": "minutes, length in minutes, runtime minutes",
    "seconds": "seconds",
    "length": "length, duration, runtime",
    "genres": "genres, genre, categories",
    "abridged": "abridged, is abridged",
    "format": "format, binding",
    "description": "description, summary",
    "region": "region, locale",
    "cover": "cover url, image url",
    "owned": "owned",
    "wanted": "wanted, wishlist",
    "shelf": "read status, shelf, exclusive shelf",
    "added": "added, date added, purchase date",
    "files": "file name, filename, file names, files, path",
}
"""The headings of a plain list, in any order and case; blanks and punctuation in them do not count.

Only the title is needed. Several authors, narrators or series are separated by semicolons.
"""


_KEYS = {column: tuple(key_of(name) for name in names.split(",")) for column, names in COLUMNS.items()}
_KNOWN = {key for keys in _KEYS.values() for key in keys} | {"audibleproductid", "bookid"}


class UnreadableExport(Exception):
    """Nothing was read of the file; the message is a sentence for its owner."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """`line` is as in ExportRow; `sentence` says what was left out and why."""

    line: int
    sentence: str


@dataclass(frozen=True, kw_only=True)
class ExportRow:
    """One row that is a book.

    line: where it begins in the file, from 1; in JSON the number of the entry.
    owned: whether it says that its owner has a recording of it for good; wanted: whether they want to read it.
    None is unknown. file_names: of its files, as the file has them.
    """

    line: int
    facts: BookFacts
    owned: bool | None = None
    wanted: bool | None = None
    added: date | None = None
    file_names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Export:
    """`kind` is `goodreads`, `libation`, `openaudible` or `list`. Every row of the file is in `rows` or `problems`.

    unused: headings of a list that are none of COLUMNS.
    """

    kind: str
    rows: tuple[ExportRow, ...]
    problems: tuple[Problem, ...]
    unused: tuple[str, ...] = ()


def read_export(data: bytes, name: str) -> Export:
    """Read a whole file; `name` is for sentences only.

    Raises:
        UnreadableExport: it is none that we know, is broken, or too large. Then nothing of it is to be used.
    """
    if len(data) > MOST_BYTES:
        raise UnreadableExport(f"{name} is larger than {MOST_BYTES // 1024**2} MB, and no export of books is.")
    text = _decoded(data, name)
    if not text.strip():
        raise UnreadableExport(f"{name} is empty.")
    table = _json_table(text, name) if text.lstrip()[0] in "[{" else _csv_table(text, name)
    return _export(table)


# --- from bytes to rows of cells ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Table:
    """`records` are (line, cells by key of the heading); `comma` is whether cells are separated by commas."""

    kind: str
    headings: list[str]
    records: list[tuple[int, dict[str, Any]]]
    problems: list[Problem]
    comma: bool


def _decoded(data: bytes, name: str) -> str:
    if data.startswith(b"PK\x03\x04") or data.startswith(b"\xd0\xcf\x11\xe0"):
        raise UnreadableExport(f"{name} is a spreadsheet. Export it as CSV or JSON instead.")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    elif data[1:2] == b"\0":
        encodings = ["utf-16-le"]
    elif data[:1] == b"\0":
        encodings = ["utf-16-be"]
    else:
        encodings = ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding == "cp1252" and _is_broken_utf8(data):
            break
        if "\0" not in text:
            return text
    raise UnreadableExport(f"{name} is not a text file, or a broken one. Export it again, or save it as CSV in UTF-8.")


def _is_broken_utf8(data: bytes) -> bool:
    """Whether it is no UTF-8, but has more letters that are than that are not: in cp1252 they would be gibberish."""
    text = data.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    return len(text) - len(text.encode("ascii", "ignore")) - broken > broken


def _csv_table(text: str, name: str) -> _Table:
    first_line = 1
    # Spreadsheet programs write and understand this line; it is no heading.
    if match := re.match(r"\ufeff?\s*\"?sep=.\"?[ \t]*\r?\n", text):
        first_line += match[0].count("\n")
        text = text[match.end() :]
    firsts = {delimiter: _headings(text, delimiter, name) for delimiter in ",;\t"}
    # That which makes most headings of the first line; a comma, where it is one heading by any.
    delimiter = max(firsts, key=lambda each: (len(set(map(key_of, firsts[each])) & _KNOWN), len(firsts[each])))
    headings = firsts[delimiter]
    keys = [key_of(heading) for heading in headings]
    named = [heading for heading in headings if heading.strip()]
    kind = _kind(keys, named, name)
    rows: list[tuple[int, dict[str, Any]]] = []
    problems = []
    for line, cells in _records(text, delimiter, name, first_line):
        if cells == headings:
            continue
        if any(cell.strip() for cell in cells[len(keys) :]):
            problems.append(
                Problem(line=line, sentence=f"It has {len(cells)} cells for {len(keys)} headings, so it was left out.")
            )
            continue
        row: dict[str, Any] = {}
        for key, cell in zip(keys, cells, strict=False):
            row[key] = row.get(key) or cell
        rows.append((line, row))
        if len(rows) > MOST_ROWS:
            raise _too_many(name)
    return _Table(kind, named, rows, problems, delimiter == ",")


def _headings(text: str, delimiter: str, name: str) -> list[str]:
    """None, where the first line is no CSV with this delimiter."""
    try:
        return next(_records(text, delimiter, name, 1), (1, []))[1]
    except UnreadableExport:
        return []


def _records(text: str, delimiter: str, name: str, first_line: int) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of those that are not blank."""
    # The reader is strict, as an unclosed quotation mark would else make one cell of all that follows.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    done = 0
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise UnreadableExport(
                f"{name} is no CSV from line {first_line + done} on ({error}). Is a quotation mark left open there?"
            ) from error
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield first_line + done, cells
        done = reader.line_num


def _json_table(text: str, name: str) -> _Table:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableExport(f"{name} looks like JSON, but is broken: {str(error)[:200]}.") from error
    if not isinstance(found, list):
        raise UnreadableExport(f"{name} is JSON, but not a list of books; it has {_listed(list(found))}.")
    if len(found) > MOST_ROWS:
        raise _too_many(name)
    entries = [(number, entry) for number, entry in enumerate(found, 1) if isinstance(entry, dict)]
    headings = list(dict.fromkeys(heading for _, entry in entries for heading in entry))
    problems = [
        Problem(line=number, sentence="It is no book but a bare value, so it was left out.")
        for number, entry in enumerate(found, 1)
        if not isinstance(entry, dict)
    ]
    rows = []
    for number, entry in entries:
        row: dict[str, Any] = {}
        for heading, value in entry.items():
            row[key_of(heading)] = row.get(key_of(heading)) or value
        rows.append((number, row))
    return _Table(_kind([key_of(each) for each in headings], headings, name), headings, rows, problems, False)


def _too_many(name: str) -> UnreadableExport:
    return UnreadableExport(f"{name} has more than {MOST_ROWS:,} rows. Split it.")


def _kind(keys: Iterable[str], headings: list[str], name: str) -> str:
    has = set(keys)
    if {"audibleproductid", "title"} <= has:
        return "libation"
    if {"bookid", "title"} <= has and has & {"exclusiveshelf", "bookshelves", "authorlf"}:
        return "goodreads"
    if {"title", "narratedby"} <= has and has & {"productid", "purchasedate", "filename", "seriessequence", "ayce"}:
        return "openaudible"
    if has & set(_KEYS["title"]):
        return "list"
    raise UnreadableExport(
        f"{name} is no export that we know: it has {_listed(headings)}. We read exports of Goodreads, Libation and "
        "OpenAudible, and lists with headings such as Title, Author, Series, Position and ASIN."
    )


def _listed(headings: list[str]) -> str:
    shown = ", ".join(" ".join(heading.split())[:40] for heading in headings[:20])
    more = f" and {len(headings) - 20} more" if len(headings) > 20 else ""
    return f"the headings {shown}{more}" if shown else "no headings"


# --- from cells to books --------------------------------------------------------------------------------------------


class _LeftOut(Exception):
    """A row that is no book for us; the message says why."""


class _Row:
    """The cells of a row by key of the heading. Texts come in one line, without blanks at their ends."""

    def __init__(self, cells: Mapping[str, Any], days: _Days, *, comma: bool) -> None:
        self.cells = cells
        self.days = days
        self.comma = comma

    def raw(self, *headings: str) -> Any:
        """The first of these cells that is not empty."""
        for heading in headings:
            value = self.cells.get(heading)
            if value not in (None, "", [], {}):
                return value
        return ""

    def text(self, *headings: str) -> str:
        value = self.raw(*headings)
        return "" if value == "" else _one_line(_as_text(value))

    def names(self, *headings: str, split: Callable[[str], Iterable[str]]) -> tuple[str, ...]:
        value = self.raw(*headings)
        if value == "":
            return ()
        value = [value] if isinstance(value, dict) else value
        names = value if isinstance(value, list) else split(_as_text(value))
        # Catalogues write an object for each, with its identifier beside the name.
        plain = (_as_text(each.get("name") if isinstance(each, dict) else each) for each in names)
        return tuple(dict.fromkeys(name for each in plain if (name := _one_line(each))))[:MOST_NAMES]

    def flag(self, *headings: str) -> bool | None:
        return _FLAGS.get(self.text(*headings).casefold())

    def day(self, *headings: str) -> str:
        return self.days.read(self.text(*headings))

    def date(self, *headings: str) -> date | None:
        day = self.day(*headings)
        return date.fromisoformat(day) if len(day) == len("2024-03-05") else None

    def description(self, *headings: str) -> str:
        return _clean(_as_text(self.raw(*headings)))[:DESCRIPTION_LENGTH].strip()

    def isbns(self, *headings: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(isbn for each in headings if (isbn := isbn13(self.text(each)))))


def _export(table: _Table) -> Export:
    days = _Days(table)
    rows: dict[ExportRow, ExportRow] = {}
    problems = list(table.problems)
    for line, cells in table.records:
        try:
            row = _READERS[table.kind](line, _Row(cells, days, comma=table.comma))
        except _LeftOut as reason:
            problems.append(Problem(line=line, sentence=f"{reason}, so it was left out."))
            continue
        first = rows.setdefault(_without_line(row), row)
        if first is not row:
            problems.append(Problem(line=line, sentence=f"It says the same as line {first.line}, so it was left out."))
    problems.sort(key=lambda problem: problem.line)
    # Other programs' exports have many that say nothing of a book.
    unused = [" ".join(each.split())[:40] for each in table.headings if key_of(each) not in _KNOWN]
    return Export(
        kind=table.kind,
        rows=tuple(rows.values()),
        problems=tuple(problems),
        unused=tuple(unused) if table.kind == "list" else (),
    )


def _without_line(row: ExportRow) -> ExportRow:
    return ExportRow(
        line=0, facts=row.facts, owned=row.owned, wanted=row.wanted, added=row.added, file_names=row.file_names
    )


def _title(row: _Row, *headings: str) -> str:
    title = row.text(*headings)
    if not title:
        raise _LeftOut("It has no title")
    return title


def _libation(line: int, row: _Row) -> ExportRow:
    content = row.text("contenttype")
    if content and content != "Product":
        raise _LeftOut(f"It is no book, but of the type {content}")
    minutes = _count(row.text("lengthinminutes"))
    facts = BookFacts(
        source="libation",
        id=row.text("audibleproductid"),
        region=_REGIONS.get(row.text("locale").casefold(), ""),
        title=_title(row, "title"),
        subtitle=row.text("subtitle"),
        authors=_authors(row.names("authors", "authornames", split=_by_commas)),
        narrators=row.names("narrators", "narratornames", split=_by_commas),
        series=_libation_series(row.text("seriesorder")) or _one_series(row.text("seriesnames"), ""),
        genres=row.names("categories", "categoriesnames", split=_by_semicolons),
        description=row.description("description"),
        language=language_code(row.text("language")),
        abridged=row.flag("isabridged"),
        runtime=minutes * 60 if minutes else None,
        publisher=row.text("publisher"),
        released=row.day("datepublished"),
        asin=asin(row.text("audibleproductid")),
        is_audio=True,
    )
    # Titles of the Plus catalogue, and those that Audible no longer lists, are there only for a time.
    owned = not (row.flag("isaudibleplus") or row.flag("absentfromlastscan"))
    return ExportRow(line=line, facts=facts, owned=owned, added=row.date("dateaddedtolibrary", "dateadded"))


def _openaudible(line: int, row: _Row) -> ExportRow:
    seconds = _count(row.text("seconds")) or _clock(row.text("duration"))
    facts = BookFacts(
        source="openaudible",
        id=row.text("productid", "key", "asin"),
        region=_REGIONS.get(row.text("region").casefold(), ""),
        title=_title(row, "title", "titleshort", "shorttitle"),
        subtitle=row.text("subtitle"),
        authors=_authors(row.names("author", split=_by_commas)),
        narrators=row.names("narratedby", split=_by_commas),
        series=_one_series(row.text("seriesname"), row.text("seriessequence")),
        genres=row.names("genre", split=_by_semicolons),
        description=row.description("description", "summary"),
        language=language_code(row.text("language")),
        abridged=_abridged(row.text("abridged")),
        runtime=seconds or None,
        publisher=row.text("publisher"),
        released=row.day("releasedate"),
        asin=asin(row.text("asin")),
        isbns=row.isbns("isbn"),
        cover_url=_https(row.text("imageurl")),
        is_audio=True,
    )
    # AYCE, all you can eat: the Plus catalogue.
    return ExportRow(
        line=line,
        facts=facts,
        owned=not row.flag("ayce"),
        added=row.date("purchasedate"),
        file_names=_files(row, "filename", "filepaths", "files"),
    )


def _goodreads(line: int, row: _Row) -> ExportRow:
    title, series = _goodreads_title(_title(row, "title"))
    is_audio = _is_audio(row.text("binding"))
    names = (*row.names("author", split=lambda text: [text]), *row.names("additionalauthors", split=_by_commas))
    facts = BookFacts(
        source="goodreads",
        id=row.text("bookid"),
        title=title,
        authors=_authors(tuple(dict.fromkeys(names))),
        series=series,
        publisher=row.text("publisher"),
        released=row.day("yearpublished"),
        isbns=row.isbns("isbn13", "isbn"),
        is_audio=is_audio,
    )
    shelves = [row.text("exclusiveshelf")] if "exclusiveshelf" in row.cells else _by_commas(row.text("bookshelves"))
    # 0 copies is what Goodreads writes for everybody who does not count them.
    has_copies = bool(_count(row.text("ownedcopies")))
    return ExportRow(
        line=line,
        facts=facts,
        owned=is_audio if has_copies else None,
        wanted=_wanted(shelves),
        added=row.date("dateadded"),
    )


def _list(line: int, row: _Row) -> ExportRow:
    minutes, seconds = _count(row.text(*_KEYS["minutes"])), _count(row.text(*_KEYS["seconds"]))
    runtime = minutes * 60 if minutes else seconds or _clock(row.text(*_KEYS["length"]))
    form = row.text(*_KEYS["format"])
    abridged = row.text(*_KEYS["abridged"])
    facts = BookFacts(
        source="list",
        region=_REGIONS.get(row.text(*_KEYS["region"]).casefold(), ""),
        title=_title(row, *_KEYS["title"]),
        subtitle=row.text(*_KEYS["subtitle"]),
        authors=_authors(row.names(*_KEYS["author"], split=_people)),
        narrators=row.names(*_KEYS["narrator"], split=_people),
        series=_list_series(row, _KEYS["series"], _KEYS["position"]),
        genres=row.names(*_KEYS["genres"], split=_by_semicolons),
        description=row.description(*_KEYS["description"]),
        language=language_code(row.text(*_KEYS["language"])),
        abridged=_abridged(abridged) if abridged else _abridged(form),
        runtime=runtime or None,
        publisher="; ".join(row.names(*_KEYS["publisher"], split=lambda text: [text])),
        released=row.day(*_KEYS["released"]),
        asin=asin(row.text(*_KEYS["asin"])),
        isbns=row.isbns(*_KEYS["isbn"]),
        cover_url=_https(row.text(*_KEYS["cover"])),
        is_audio=_is_audio(form),
    )
    wanted = row.flag(*_KEYS["wanted"])
    return ExportRow(
        line=line,
        facts=facts,
        owned=row.flag(*_KEYS["owned"]),
        wanted=_wanted([row.text(*_KEYS["shelf"])]) if wanted is None else wanted,
        added=row.date(*_KEYS["added"]),
        file_names=_files(row, *_KEYS["files"]),
    )


_READERS: dict[str, Callable[[int, _Row], ExportRow]] = {
    "libation": _libation,
    "openaudible": _openaudible,
    "goodreads": _goodreads,
    "list": _list,
}


# --- from cells to values -------------------------------------------------------------------------------------------

_FLAGS = {
    word: flag
    for flag, words in {
        True: "true yes y 1 x wahr ja vrai oui verdadero sí si vero",
        False: "false no n 0 falsch nein faux non falso",
    }.items()
    for word in words.split()
}
_REGIONS = {
    name: code
    for code, names in {
        "us": "us united-states usa",
        "uk": "uk united-kingdom gb",
        "de": "de germany",
        "fr": "fr france",
        "ca": "ca canada",
        "au": "au australia",
        "in": "in india",
        "it": "it italy",
        "es": "es spain",
        "jp": "jp japan",
        "br": "br brazil",
    }.items()
    for name in names.split()
}
_SUFFIX = r"(?:Jr|Sr|Ph\.?\s?D|M\.?D|Esq|II|III|IV)\b"
_COMMA = re.compile(rf",(?!\s*{_SUFFIX})\s*")
_PRINT = re.compile(
    r"paperback|hardcover|hardback|softcover|kindle|e-?book|nook|epub|print\b|cloth|broché|gebunden|taschenbuch", re.I
)


def _as_text(value: Any) -> str:
    """Of a cell of CSV or a value of JSON; of several, with semicolons between."""
    if isinstance(value, str):
        # How spreadsheets are kept from making a number of an ISBN.
        match = re.fullmatch(r"\s*=\"([^\"]*)\"\s*", value) if value.lstrip().startswith('="') else None
        return match[1] if match else value
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int | float):
        return str(value) if -1e15 < value < 1e15 else ""
    if isinstance(value, list):
        return "; ".join(each for each in value[:MOST_NAMES] if isinstance(each, str))
    return ""


def _one_line(text: str) -> str:
    text = " ".join(_clean(text).split())
    if len(text) > CELL_LENGTH:
        raise _LeftOut(f"It has a cell of more than {CELL_LENGTH:,} characters")
    return text


def _clean(text: str) -> str:
    """Without what no database column takes: NUL, and halves of characters."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode()


def _count(text: str) -> int:
    """Of a whole number, be it written 812 or 812,0; 0 for anything else."""
    match = re.fullmatch(r"(\d{1,9})(?:[.,]0+)?", text)
    return int(match[1]) if match and match[1].isascii() else 0


def _clock(text: str) -> int:
    """Seconds of "13:32:00", "13:32", "13h 32m" and "13 hrs and 32 mins". A bare number has no unit: 0."""
    if match := re.fullmatch(r"([0-9]{1,4}):([0-5][0-9])(?::([0-5][0-9])(?:\.[0-9]+)?)?", text):
        return int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3] or 0)
    pattern = (
        r"(?:([0-9]{1,4}) ?h[a-z]*)?(?: ?(?:and|,)? ?([0-9]{1,4}) ?m[a-z]*)?(?: ?(?:and|,)? ?([0-9]{1,4}) ?s[a-z]*)?"
    )
    if match := re.fullmatch(pattern, text, re.I):
        return int(match[1] or 0) * 3600 + int(match[2] or 0) * 60 + int(match[3] or 0)
    return 0


class _Days:
    """Reads dates as the file's locale writes them: which of day and month is first shows in some of its dates."""

    _SLASHED = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})(?![0-9])(.*)")

    def __init__(self, table: _Table) -> None:
        self._day_first: bool | None = None
        signs = set()
        for _, cells in table.records:
            for value in cells.values():
                match = self._SLASHED.match(value.strip()) if isinstance(value, str) and len(value) < 40 else None
                if not match:
                    continue
                if int(match[1]) > 12:
                    signs.add(True)
                elif int(match[2]) > 12 or re.search(r"[AP]M\b", match[4]):
                    signs.add(False)
        if len(signs) == 1:
            self._day_first = signs.pop()
        elif not signs and not table.comma:
            # No locale with the month first separates cells by semicolons.
            self._day_first = True

    def read(self, text: str) -> str:
        """YYYY-MM-DD, or the YYYY or YYYY-MM that is certain; empty for none, or one that is only a placeholder."""
        if match := re.match(r"([0-9]{4})(?:([-/.])\s?([0-9]{1,2})(?:\2\s?([0-9]{1,2}))?)?(?![0-9])", text):
            return _day(match[1], match[3], match[4])
        if match := re.match(r"([0-9]{1,2})([-.])\s?([0-9]{1,2})\2\s?([0-9]{4})(?![0-9])", text):
            return _day(match[4], match[3], match[1])
        if match := self._SLASHED.match(text):
            if self._day_first is None and match[1] != match[2]:
                return _day(match[3], None, None)
            month, day = (match[2], match[1]) if self._day_first else (match[1], match[2])
            return _day(match[3], month, day)
        return ""


def _day(year: str, month: str | None, day: str | None) -> str:
    # Audible has 2200-01-01 for what has no date yet, .NET 0001-01-01.
    if not 1000 <= int(year) < 2100:
        return ""
    try:
        whole = date(int(year), int(month or 1), int(day or 1)).isoformat()
    except ValueError:
        return year
    return whole if day else whole[:7] if month else year


def _by_commas(text: str) -> list[str]:
    return _COMMA.split(text)


def _by_semicolons(text: str) -> list[str]:
    return text.split(";")


def _people(text: str) -> list[str]:
    """ "A; B" and "Ann Bee, Cy Dee" are two; "Bee, Ann" is one."""
    if ";" in text:
        return text.split(";")
    names = _COMMA.split(text)
    return [text] if len(names) == 2 and " " not in names[0].strip() else names


def _authors(names: tuple[str, ...]) -> tuple[Contributor, ...]:
    return tuple(Contributor(name=name) for name in names)


def _one_series(name: str, position: str) -> tuple[SeriesPlace, ...]:
    return (SeriesPlace(name=name, position=position),) if name else ()


def _libation_series(text: str) -> tuple[SeriesPlace, ...]:
    """ "1 : Name, 2 : Other"; a number may be missing, and a name have commas."""
    parts = re.split(r",\s(?=\s?(?:\d[^\s,:]{0,20}\s)?:\s)", text)
    places = (part.partition(":") if re.match(r"\s*(?:\d\S*\s)?:", part) else ("", "", part) for part in parts)
    return tuple(
        SeriesPlace(name=name.strip(), position=position.strip()) for position, _, name in places if name.strip()
    )[:MOST_NAMES]


def _goodreads_title(text: str) -> tuple[str, tuple[SeriesPlace, ...]]:
    """ "Title (Series, #3; Other #1-2)". Brackets without a number belong to the title."""
    depth = 0
    start = len(text)
    for start in range(len(text) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(text[start], 0)
        if depth <= 0:
            break
    title, inside = text[:start].strip(), text[start + 1 : -1]
    if not text.endswith(")") or depth or not title:
        return text, ()
    parts = inside.split(";") if all(re.search(r"#\d", part) for part in inside.split(";")) else [inside]
    places = []
    for part in parts:
        name, _, position = part.rpartition("#")
        name = name.strip().removesuffix(",").strip()
        if not name or not re.match(r"\d", position):
            return text, ()
        places.append(SeriesPlace(name=name, position=position.strip()))
    return title, tuple(places)


def _list_series(row: _Row, names: tuple[str, ...], positions: tuple[str, ...]) -> tuple[SeriesPlace, ...]:
    value = row.raw(*names)
    value = [value] if isinstance(value, dict) else value
    if isinstance(value, list) and any(isinstance(each, dict) for each in value):
        return tuple(place for each in value[:MOST_NAMES] if isinstance(each, dict) for place in _json_series(each))
    position = row.text(*positions)
    # In a file with other separators the comma is the decimal one.
    if not row.comma and re.fullmatch(r"[0-9]+,[0-9]+", position):
        position = position.replace(",", ".")
    series = row.names(*names, split=_by_semicolons)
    if len(series) == 1 and position:
        return _one_series(series[0], position)
    given = [each.strip() for each in position.split(";")] if position else []
    if len(given) == len(series):
        return tuple(SeriesPlace(name=name, position=each) for name, each in zip(series, given, strict=True))
    # The pattern of numbers takes long for what is no name.
    numbered = (split_numbered(name) if len(name) <= NAME_LENGTH else (name, "") for name in series)
    return tuple(SeriesPlace(name=name, position=number) for name, number in numbered)


def _json_series(entry: Mapping[str, Any]) -> tuple[SeriesPlace, ...]:
    """As the browser extension Audible Library Extractor has them, and Audnexus alike."""
    row = _Row({key_of(key): value for key, value in entry.items()}, _Days(_Table("", [], [], [], False)), comma=False)
    numbers = row.raw("position", "sequence", "booknumbers")
    position = _one_line(_as_text(numbers if not isinstance(numbers, list) else ", ".join(map(_as_text, numbers))))
    name = row.text("name", "title")
    return (SeriesPlace(name=name, position=position, id=row.text("asin")),) if name else ()


def _wanted(shelves: Iterable[str]) -> bool | None:
    names = {key_of(shelf) for shelf in shelves}
    if "toread" in names:
        return True
    return False if names & {"read", "currentlyreading"} else None


def _is_audio(text: str) -> bool | None:
    if re.search(r"audi[ob]|hörbuch|\bmp3\b", text, re.I):
        return True
    return False if _PRINT.search(text) else None


def _abridged(text: str) -> bool | None:
    word = text.casefold()
    if "unabridged" in word or "ungekürzt" in word:
        return False
    return True if "abridged" in word or "gekürzt" in word else _FLAGS.get(word)


def _https(text: str) -> str:
    try:
        urlsplit(text)
    except ValueError:
        return ""
    return text if text.startswith("https://") else ""


def _files(row: _Row, *headings: str) -> tuple[str, ...]:
    names = (name for heading in headings for name in row.names(heading, split=lambda text: re.split(r"[;\n|]", text)))
    return tuple(dict.fromkeys(names))[:MOST_NAMES]
