"""Exports of other programs: made-up samples, anything at all, and recorded files where they are beside the checkout."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audiobooks.facts import SeriesPlace
from audiobooks.library import exports
from audiobooks.library.exports import COLUMNS, Export, ExportRow, UnreadableExport, read_export
from audiobooks.matching.names import isbn13
from tests.recorded import RECORDED

LIBATION = '''\
Account;Date Added to library;Is Audible Plus?;Absent from last scan?;Audible Product Id;Locale;Title;Subtitle;Authors;\
Narrators;Length In Minutes;Description;Publisher;Series Names;Series Order;Community Rating: Overall;Is Abridged?;\
Date Published;Categories;Book Liberated Status;Content Type;Language
me@example.org;15.03.2024 20:11:00;False;False;B0TESTAA03;germany;Das gläserne Meer;Band 3;Ilse Varga, Martin Ott, Jr.;\
Mara Quill;812;"Zeile 1
Zeile 2; mit ""Zitat""";Lantern Audio;Salz, Wind, Das Archiv;3 : Salz, Wind,  : Das Archiv;4,5;False;\
02.01.2024 00:00:00;Fantasy;Liberated;Product;German
'''
LIBATION_JSON = [
    {
        "Account": "me@example.org",
        "DateAdded": "2024-03-15T20:11:00",
        "IsAudiblePlus": False,
        "AbsentFromLastScan": False,
        "AudibleProductId": "B0TESTAA03",
        "Locale": "us",
        "Title": "The Glass Meridian",
        "Subtitle": "",
        "AuthorNames": "Ilse Varga, Tomas Reed",
        "NarratorNames": "Mara Quill",
        "LengthInMinutes": 812,
        "SeriesNames": "The Salt Cartographers",
        "SeriesOrder": "1-3 : The Salt Cartographers",
        "CommunityRatingOverall": 4.5,
        "IsAbridged": True,
        "DatePublished": "2200-01-01T00:00:00",
        "CategoriesNames": "Fantasy; Sea",
        "ContentType": "Product",
        "Language": "english",
        "LastDownloadedFormat": {"Codec": 1},
    }
]

OPENAUDIBLE = """\
Key,Title,Author,Narrated By,Purchase Date,Duration,Release Date,Ave. Rating,Genre,Series Name,Series Sequence,\
Product ID,ASIN,Book URL,Summary,Publisher,Short Title,Abridged,Language,Image URL,Region,File name,File Paths,AYCE
BK_1,The Glass Meridian,"Ilse Varga, Tomas Reed",Mara Quill,2024-03-05,13:32:00,2024-01-02,4.5,Fantasy,\
The Salt Cartographers,3,BK_1,B0TESTAA03,https://example.org/b,Short.,Lantern Audio,Glass,false,english,\
https://example.org/c.jpg,US,The Glass Meridian,/audio/The Glass Meridian.m4b,false
"""
OPENAUDIBLE_OLD = """\
Product ID,Codec,ASIN,Link,Title,Author,Narrated By,Purchase Date,Title (short),Customer ID,Order #
BK_1,m4b,B0TESTAA03,https://example.org,The Glass Meridian,Ilse Varga,Mara Quill,03/25/2019,Glass,7,D01
"""
OPENAUDIBLE_JSON = [
    {
        "title": "The Glass Meridian",
        "title_short": "Glass",
        "author": "Ilse Varga",
        "narrated_by": "Mara Quill",
        "asin": "B0TESTAA03",
        "summary": "Short.",
        "filename": "The Glass Meridian",
        "files": ["/audio/The Glass Meridian.m4b"],
        "purchase_date": "2024-03-05",
        "seconds": 48720,
        "series_name": "The Salt Cartographers",
        "series_sequence": "3",
        "ayce": "true",
    }
]

GOODREADS = '''\
Book Id,Title,Author,Author l-f,Additional Authors,ISBN,ISBN13,My Rating,Publisher,Binding,Year Published,Date Read,\
Date Added,Bookshelves,Exclusive Shelf,My Review,Owned Copies
900001,"The Glass Meridian (The Salt Cartographers, #3)",Ilse Varga,"Varga, Ilse","Tomas Reed, Ann Other",\
"=""0306406152""","=""9780306406157""",4,Lantern,Audible Audio,2024,2024/06/01,2024/05/01,favourites,read,"Fine.

<br/>Very, ""fine"".",1
900002,Salt,Ilse Varga,"Varga, Ilse",,"=""""","=""""",0,,Paperback,,,2024/05/02,to-read,to-read,,2
900003,Wind (Basics),Ilse Varga,"Varga, Ilse",,,,0,,Audio CD,,,2024/05/03,,currently-reading,,0
900004,Sea,Ilse Varga,"Varga, Ilse",,,,0,,Unknown Binding,,,,mine,my-own-shelf,,
'''


def rows(text: str, name: str = "books.csv") -> tuple[ExportRow, ...]:
    found = read_export(text.encode(), name)
    assert found.problems == ()
    return found.rows


def only(text: str) -> ExportRow:
    (row,) = rows(text)
    return row


# --- the programs ---------------------------------------------------------------------------------------------------


def test_libation_from_a_german_computer() -> None:
    row = only(LIBATION)
    facts = row.facts
    assert (row.line, row.owned, row.wanted, row.added) == (2, True, None, date(2024, 3, 15))
    assert (facts.source, facts.id, facts.asin, facts.region) == ("libation", "B0TESTAA03", "B0TESTAA03", "de")
    assert (facts.title, facts.subtitle, facts.language) == ("Das gläserne Meer", "Band 3", "de")
    assert facts.author_names == ("Ilse Varga", "Martin Ott, Jr.")
    assert facts.series == (SeriesPlace(name="Salz, Wind", position="3"), SeriesPlace(name="Das Archiv"))
    assert (facts.runtime, facts.released, facts.abridged, facts.genres) == (
        812 * 60,
        "2024-01-02",
        False,
        ("Fantasy",),
    )
    assert facts.description == 'Zeile 1\nZeile 2; mit "Zitat"'
    assert facts.is_audio


def test_libation_json() -> None:
    facts = only(json.dumps(LIBATION_JSON)).facts
    assert facts.author_names == ("Ilse Varga", "Tomas Reed")
    assert facts.series == (SeriesPlace(name="The Salt Cartographers", position="1-3"),)
    assert (facts.released, facts.abridged, facts.genres, facts.language) == ("", True, ("Fantasy", "Sea"), "en")
    assert only(json.dumps([LIBATION_JSON[0] | {"IsAbridged": False}])).facts.abridged is False


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("", [("Names", "")]),
        ("1 : Name, 2 : Other", [("Name", "1"), ("Other", "2")]),
        (" : Name", [("Name", "")]),
        (" : Name,  : Other", [("Name", ""), ("Other", "")]),
        ("0.5 : Here, There, 1-3 : Other: A Tale", [("Here, There", "0.5"), ("Other: A Tale", "1-3")]),
        ("1 : Name: Part, Two", [("Name: Part, Two", "1")]),
        ("Book 1", [("Book 1", "")]),
    ],
)
def test_libation_series(order: str, expected: list[tuple[str, str]]) -> None:
    entry = LIBATION_JSON[0] | {"SeriesOrder": order, "SeriesNames": "Names"}
    assert [(place.name, place.position) for place in only(json.dumps([entry])).facts.series] == expected


@pytest.mark.parametrize(
    ("change", "owned"),
    [
        ({}, True),
        ({"IsAudiblePlus": True}, False),
        ({"AbsentFromLastScan": True}, False),
        ({"AbsentFromLastScan": None}, True),
    ],
)
def test_plus_titles_and_absent_ones_are_not_owned(change: dict[str, Any], owned: bool) -> None:
    assert only(json.dumps([LIBATION_JSON[0] | change])).owned is owned


@pytest.mark.parametrize("content", ["Episode", "Parent", "Unknown"])
def test_what_is_no_book_is_left_out_and_said(content: str) -> None:
    found = read_export(json.dumps([LIBATION_JSON[0], LIBATION_JSON[0] | {"ContentType": content}]).encode(), "x")
    assert len(found.rows) == 1
    (problem,) = found.problems
    assert (problem.line, content in problem.sentence) == (2, True)


def test_columns_of_a_list_that_nobody_knows_are_said() -> None:
    """Found: a list whose column "Status" said that all was wanted was imported as owned, without a word."""
    assert read_export(b"Title, Status ,Author,My  notes\nSalt,wanted,Ilse Varga,x\n", "x").unused == (
        "Status",
        "My notes",
    )
    assert read_export(b'[{"title": "Salt", "mood": "good"}]', "x").unused == ("mood",)
    assert read_export(LIBATION.encode(), "x").unused == ()


def test_an_old_libation_export_lacks_columns() -> None:
    row = only("Audible Product Id,Title,Authors\nB0TESTAA03,The Glass Meridian,Ilse Varga\n")
    assert (row.owned, row.facts.runtime, row.facts.abridged, row.facts.series, row.added) == (
        True,
        None,
        None,
        (),
        None,
    )


def test_openaudible() -> None:
    row = only(OPENAUDIBLE)
    facts = row.facts
    assert read_export(OPENAUDIBLE.encode(), "x").kind == "openaudible"
    assert (facts.id, facts.asin, facts.region, facts.language) == ("BK_1", "B0TESTAA03", "us", "en")
    assert (facts.runtime, facts.released, row.added, row.owned) == (48720, "2024-01-02", date(2024, 3, 5), True)
    assert facts.series == (SeriesPlace(name="The Salt Cartographers", position="3"),)
    assert row.file_names == ("The Glass Meridian", "/audio/The Glass Meridian.m4b")
    assert facts.cover_url == "https://example.org/c.jpg"


def test_a_cover_that_has_no_address() -> None:
    assert only(OPENAUDIBLE.replace("https://example.org/c.jpg", "https://[x")).facts.cover_url == ""


def test_openaudible_of_old() -> None:
    row = only(OPENAUDIBLE_OLD)
    assert (row.facts.title, row.facts.series, row.added) == ("The Glass Meridian", (), date(2019, 3, 25))


def test_openaudible_json() -> None:
    row = only(json.dumps(OPENAUDIBLE_JSON))
    assert (row.facts.runtime, row.owned, row.facts.title) == (48720, False, "The Glass Meridian")
    assert row.file_names == ("The Glass Meridian", "/audio/The Glass Meridian.m4b")


def test_goodreads() -> None:
    glass, salt, wind, sea = rows(GOODREADS)
    assert (glass.facts.title, glass.facts.id) == ("The Glass Meridian", "900001")
    assert glass.facts.series == (SeriesPlace(name="The Salt Cartographers", position="3"),)
    assert glass.facts.author_names == ("Ilse Varga", "Tomas Reed", "Ann Other")
    assert glass.facts.isbns == ("9780306406157",)
    assert [row.line for row in (glass, salt, wind, sea)] == [2, 5, 6, 7]
    assert [row.facts.is_audio for row in (glass, salt, wind, sea)] == [True, False, True, None]
    assert [row.owned for row in (glass, salt, wind, sea)] == [True, False, None, None]
    assert [row.wanted for row in (glass, salt, wind, sea)] == [False, True, False, None]
    assert [row.added for row in (glass, sea)] == [date(2024, 5, 1), None]
    assert (salt.facts.isbns, salt.facts.series, wind.facts.title) == ((), (), "Wind (Basics)")


@pytest.mark.parametrize(
    ("cell", "title", "series"),
    [
        ("Title (Series, #3)", "Title", [("Series", "3")]),
        ("Title (Series #3)", "Title", [("Series", "3")]),
        ("Title (Series, #1-3)", "Title", [("Series", "1-3")]),
        ("Title (Series, #0.5)", "Title", [("Series", "0.5")]),
        ("Title (A, #1; B, #2)", "Title", [("A", "1"), ("B", "2")]),
        ("Title (A. B., The Gentleman #1)", "Title", [("A. B., The Gentleman", "1")]),
        ("Title (Of A; and B, #1)", "Title", [("Of A; and B", "1")]),
        ("Title (Series (New), #1)", "Title", [("Series (New)", "1")]),
        ("Title (Part) (Series, #1)", "Title (Part)", [("Series", "1")]),
        ("Title (Basics)", "Title (Basics)", []),
        ("Title (Volume 2)", "Title (Volume 2)", []),
        ("Title (#3)", "Title (#3)", []),
        ("(Series, #3)", "(Series, #3)", []),
        ("Title (Series, #)", "Title (Series, #)", []),
        ("Title Series, #3)", "Title Series, #3)", []),
        ("Title #1", "Title #1", []),
    ],
)
def test_goodreads_titles(cell: str, title: str, series: list[tuple[str, str]]) -> None:
    facts = only(f'Book Id,Title,Exclusive Shelf\n1,"{cell}",read\n').facts
    assert (facts.title, [(place.name, place.position) for place in facts.series]) == (title, series)


# --- plain lists ----------------------------------------------------------------------------------------------------


def test_a_plain_list_in_any_order_and_case() -> None:
    row = only(
        "NARRATED BY,asin,Series Position,series,Author(s),AUTHORS,Title,Language,ISBN,Runtime (minutes),Owned,Date added\n"
        "Mara Quill; Priya Lund,b0testaa03,2.5,The Tide,,Ilse Varga; Tomas Reed,Salt,de,0-306-40615-2,90,yes,2024-03-05\n"
    )
    facts = row.facts
    assert (facts.narrators, facts.author_names) == (("Mara Quill", "Priya Lund"), ("Ilse Varga", "Tomas Reed"))
    assert (facts.asin, facts.isbns, facts.language, facts.runtime) == ("B0TESTAA03", ("9780306406157",), "de", 5400)
    assert facts.series == (SeriesPlace(name="The Tide", position="2.5"),)
    assert (row.owned, row.wanted, row.added) == (True, None, date(2024, 3, 5))


@pytest.mark.parametrize("column", COLUMNS)
def test_every_documented_heading_is_read(column: str) -> None:
    samples = {"minutes": "90", "seconds": "90", "length": "1:30", "released": "2024", "added": "2024-03-05"}
    samples |= {"owned": "yes", "wanted": "yes", "shelf": "to-read", "abridged": "yes", "format": "Audiobook"}
    samples |= {"asin": "B0TESTAA03", "isbn": "9780306406157", "language": "en", "region": "us", "cover": "https://x/y"}
    for heading in COLUMNS[column].split(", "):
        first = "" if column == "title" else "Title\tSeries\t" if column == "position" else "Title\t"
        cells = "" if column == "title" else "Salt\tTide\t" if column == "position" else "Salt\t"
        without = only("Title\tSeries\nSalt\tTide" if column == "position" else "Title\nSalt")
        row = only(f"{first}{heading.upper()}\n{cells}{samples.get(column, '3')}")
        assert row != without, heading


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("Ilse Varga", ["Ilse Varga"]),
        ("Varga, Ilse", ["Varga, Ilse"]),
        ("Ilse Varga, Tomas Reed", ["Ilse Varga", "Tomas Reed"]),
        ("Varga, Ilse; Reed, Tomas", ["Varga, Ilse", "Reed, Tomas"]),
        ("Martin Ott, Jr., Ann Other", ["Martin Ott, Jr.", "Ann Other"]),
        ("Ann Other; Ann Other;", ["Ann Other"]),
    ],
)
def test_authors_of_a_list(cell: str, names: list[str]) -> None:
    assert list(only(f'Title,Author\nSalt,"{cell}"').facts.author_names) == names


@pytest.mark.parametrize(
    ("series", "position", "expected"),
    [
        ("Tide", "", [("Tide", "")]),
        ("Tide #2", "", [("Tide", "2")]),
        ("Tide, Book 2", "", [("Tide", "2")]),
        ("Tide #2; Sea #0.5", "", [("Tide", "2"), ("Sea", "0.5")]),
        ("Tide; Sea", "2; 3", [("Tide", "2"), ("Sea", "3")]),
        ("Tide; Sea", "2", [("Tide", ""), ("Sea", "")]),
        ("Tide", "1-3", [("Tide", "1-3")]),
        ("Tide", "3a", [("Tide", "3a")]),
        ("", "3", []),
    ],
)
def test_series_of_a_list(series: str, position: str, expected: list[tuple[str, str]]) -> None:
    found = only(f'Title,Series,Position\nSalt,"{series}","{position}"').facts.series
    assert [(place.name, place.position) for place in found] == expected


def test_a_decimal_comma() -> None:
    assert only("Title;Series;Position\nSalt;Tide;1,5").facts.series[0].position == "1.5"
    assert only('Title,Series,Position\nSalt,Tide,"1,2"').facts.series[0].position == "1,2"


@pytest.mark.parametrize(
    ("length", "seconds"),
    [
        ("13:32:00", 48720),
        ("13:32", 48720),
        ("13h 32m", 48720),
        ("13 hrs and 32 mins", 48720),
        ("32 min", 1920),
        ("90", None),
    ],
)
def test_lengths(length: str, seconds: int | None) -> None:
    assert only(f"Title,Length\nSalt,{length}").facts.runtime == seconds


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["2024-03-05"], ["2024-03-05"]),
        (
            ["2024/3/5", "2024. 03. 05.", "2024-03", "2024", "5.3.2024 20:11:00"],
            ["2024-03-05"] * 2 + ["2024-03", "2024", "2024-03-05"],
        ),
        (["05/03/2024"], ["2024"]),
        (["05/03/2024", "25/03/2024"], ["2024-03-05", "2024-03-25"]),
        (["05/03/2024", "03/25/2024"], ["2024-05-03", "2024-03-25"]),
        (["5/3/2024 8:11:00 PM"], ["2024-05-03"]),
        (["05/03/2024", "25/03/2024", "03/25/2024"], ["2024"] * 3),
        (["05/05/2024"], ["2024-05-05"]),
        (["2024-13-45", "0001-01-01", "2200-01-01", "soon", "5/3/24", "²⁰²⁴"], ["2024", "", "", "", "", ""]),
    ],
)
def test_dates_of_any_locale(cells: list[str], expected: list[str]) -> None:
    found = rows("Number,Title,Released\n" + "".join(f"{n},Salt {n},{cell}\n" for n, cell in enumerate(cells)))
    assert [row.facts.released for row in found] == expected


def test_a_date_with_the_day_first_where_semicolons_are() -> None:
    assert only("Title;Released\nSalt;05/03/2024").facts.released == "2024-03-05"


# --- odd files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_delimiters_and_line_ends(encoding: str, delimiter: str, end: str) -> None:
    text = f'Title{delimiter}Author{end}"Süß{end}bitter"{delimiter}Jürgen Groß{end}{end}Salz{delimiter}Ilse{end}'
    found = read_export(text.encode(encoding), "x").rows
    assert [(row.line, row.facts.title, row.facts.author_names) for row in found] == [
        (2, "Süß bitter", ("Jürgen Groß",)),
        (5, "Salz", ("Ilse",)),
    ]


def test_the_first_line_of_a_spreadsheet_is_no_heading() -> None:
    assert only("sep=;\r\nTitle;Author\r\nSalt, and wind;Ilse\r\n").line == 3


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_headings_may_be_in_quotation_marks(delimiter: str) -> None:
    text = '"Title","Author","Series, or none"\n"Salt","Ilse",""'.replace('","', f'"{delimiter}"')
    assert only(text).facts.author_names == ("Ilse",)


def test_a_title_with_delimiters_of_other_files() -> None:
    assert only('Title,Author\n"a;b;c\td;e",Ilse').facts.title == "a;b;c d;e"


def test_no_rows_is_an_empty_export() -> None:
    for text in (LIBATION, OPENAUDIBLE, GOODREADS, "Title"):
        found = read_export(text.splitlines()[0].encode(), "x")
        assert (found.rows, found.problems) == ((), ())


def test_a_row_that_is_repeated_is_one_row() -> None:
    found = read_export(b"Title,Author\nSalt,Ilse\nWind,Ilse\nSalt,Ilse\nSalt,Tomas\n", "x")
    assert [row.line for row in found.rows] == [2, 3, 5]
    (problem,) = found.problems
    assert (problem.line, "line 2" in problem.sentence) == (4, True)


def test_rows_that_cannot_be_books_are_said_one_by_one() -> None:
    found = read_export(b"Title,Author\n,Ilse\nSalt,Ilse,too,many\nWind,Ilse,,\n" + b"x" * 2001 + b",Ilse\n", "x")
    assert [row.facts.title for row in found.rows] == ["Wind"]
    assert [problem.line for problem in found.problems] == [2, 3, 5]


def test_formulas_stay_as_they_are() -> None:
    cells = ["=1+1", '=HYPERLINK("https://example.org")', "+1", "@SUM(A1)", "-2+3", "=cmd|'/c calc'!A1"]
    text = io.StringIO()
    csv.writer(text).writerows([["Title", "Author"], *[[cell, "Ilse"] for cell in cells]])
    assert [row.facts.title for row in rows(text.getvalue())] == cells
    assert only('Title,ISBN\n"=""1984""","=""9780306406157"""\n').facts.title == "1984"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"\xff\xfe", "is empty"),
        (b"PK\x03\x04rest", "Export it as CSV or JSON"),
        (b"\xd0\xcf\x11\xe0rest", "Export it as CSV or JSON"),
        (b"Title\n\x81\x8d", "not a text file"),
        (b"Title,\0\0\0", "not a text file"),
        (b"%PDF-1.7", "headings %PDF-1.7"),
        ("Title\nSüß\nGroß\nÜber".encode() + b"\xfc", "broken"),
        (b"\xff\xfea", "broken"),
        (b"Shop,Price\nx,2", "it has the headings Shop, Price"),
        (b'Title,Author\n"Salt,Ilse\nWind,Ilse', "from line 2 on"),
        (b'Title,Author\n"Salt" x,Ilse', "from line 2 on"),
        (b"[" * 100_000, "looks like JSON, but is broken"),
        (b'[{"title": ' + b"1" * 5000 + b"}]", "looks like JSON, but is broken"),
        (b"{}", "not a list of books; it has no headings"),
        (b'{"books": []}', "it has the headings books"),
        (b"[]", "it has no headings"),
        (b'[{"name": 1}]', "it has the headings name"),
        (b"[1, 2]", "it has no headings"),
    ],
)
def test_a_file_that_is_none_is_said_as_that(data: bytes, sentence: str) -> None:
    with pytest.raises(UnreadableExport, match=re.escape(sentence)):
        read_export(data, "books.csv")


def test_a_cell_that_swallows_the_rest_is_no_cell() -> None:
    with pytest.raises(UnreadableExport, match="quotation mark"):
        read_export(b'Title,Author\nSalt,"' + b"x,y\n" * 100_000 + b'"\n', "x")


@pytest.mark.timeout(100)
@pytest.mark.parametrize(
    "cell", [", " * 900, "#1; " * 450, "(" * 900 + ")" * 900, "1 : " * 450, " " * 1900, "a #" * 600]
)
def test_cells_made_to_be_slow_are_not(cell: str) -> None:
    for headings in ("Title,Series,Author", "Title,Audible Product Id,Series Order", "Title,Book Id,Exclusive Shelf"):
        rows = "".join(f'"x{number}{cell}","{cell}","{cell}"\n' for number in range(100))
        found = read_export(f"{headings}\n{rows}".encode(), "x")
        assert len(found.rows) + len(found.problems) == 100


def test_files_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "MOST_ROWS", 3)
    assert len(rows("Title\na\nb\nc")) == 3
    for text in ("Title\na\nb\nc\nd", json.dumps([{"title": str(n)} for n in range(4)])):
        with pytest.raises(UnreadableExport, match="more than 3 rows"):
            read_export(text.encode(), "x")
    monkeypatch.setattr(exports, "MOST_BYTES", 5)
    with pytest.raises(UnreadableExport, match="larger than"):
        read_export(b"Title\n", "x")


@pytest.mark.parametrize("is_list", [True, False])
def test_json_whose_names_are_objects(is_list: bool) -> None:
    """As Audnexus has them."""

    def one(entry: dict[str, str]) -> Any:
        return [entry] if is_list else entry

    entry = {
        "title": "Salt",
        "authors": one({"asin": "B000APZGGS", "name": "Ilse Varga"}),
        "narrators": one({"name": "Tomas Reed"}),
        "genres": one({"asin": "18580606011", "name": "Fantasy", "type": "genre"}),
        "series": one({"asin": "B08W8G61WX", "name": "The Tide", "position": "2"}),
    }
    facts = only(json.dumps([entry])).facts
    assert (facts.author_names, facts.narrators, facts.genres) == (("Ilse Varga",), ("Tomas Reed",), ("Fantasy",))
    assert [(place.name, place.position) for place in facts.series] == [("The Tide", "2")]


def test_json_with_halves_of_characters_and_other_values() -> None:
    entry = {
        "title": "A\ud800B\0",
        "author": ["Ilse", None, {"x": 1}],
        "owned": True,
        "minutes": 90.0,
        "language": None,
    }
    found = read_export(json.dumps([entry, 7, {"title": ["x"]}, {"title": {}}]).encode(), "x")
    row = found.rows[0]
    assert (row.facts.title, row.facts.author_names, row.owned, row.facts.runtime) == ("AB", ("Ilse",), True, 5400)
    assert [problem.line for problem in found.problems] == [2, 4]


def whole(found: Export) -> None:
    """What holds of any export."""
    lines = [row.line for row in found.rows]
    assert len(set(lines)) == len(lines)
    for row in found.rows:
        assert row.facts.title
        assert row.facts.runtime is None or row.facts.runtime > 0
        assert all(isbn13(isbn) == isbn for isbn in row.facts.isbns)
        json.dumps(row.facts.as_json(), ensure_ascii=False).encode()
    assert all(problem.sentence.endswith(".") for problem in found.problems)


@given(data=st.binary(max_size=200))
@example(b"\xfe\xff\xd8\x00")
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_an_export_or_none(data: bytes) -> None:
    for start in (b"", b"Title,Author\n", b"[", "Title;Süß\n".encode("utf-16")):
        try:
            whole(read_export(start + data, "x"))
        except UnreadableExport as error:
            assert str(error).endswith((".", "?"))


HEADINGS = sorted(
    {heading for sample in (LIBATION, OPENAUDIBLE, GOODREADS) for heading in re.split("[;,]", sample.splitlines()[0])}
)
CELLS = st.text(max_size=12) | st.sampled_from(
    ["1 : A, 2 : B", "T (S, #1)", "05/03/2024", "True", '="1"', "1:30", "#1;#2", "9780306406157"]
)


@given(
    headings=st.lists(st.sampled_from(HEADINGS), min_size=3, unique=True).map(lambda found: ["Title", *found]),
    table=st.lists(st.lists(CELLS, max_size=8), max_size=5),
    delimiter=st.sampled_from(",;\t"),
)
@settings(max_examples=200, deadline=None)
def test_any_cells_under_known_headings(headings: list[str], table: list[list[str]], delimiter: str) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows([headings, *table])
    data = text.getvalue().encode("utf-8", "replace")
    try:
        found = read_export(data, "x")
    except UnreadableExport as error:
        assert "not a text file" in str(error) and b"\0" in data
        return
    whole(found)
    filled = [row for row in table if any(cell.strip() for cell in row) and row != headings]
    assert len(found.rows) + len(found.problems) == len(filled)


@given(
    entries=st.lists(
        st.dictionaries(
            st.sampled_from(HEADINGS),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | CELLS,
                lambda inner: (
                    st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "position"]), inner)
                ),
                max_leaves=5,
            ),
        ),
        max_size=4,
    )
)
@settings(max_examples=200, deadline=None)
def test_any_json_under_known_headings(entries: list[dict[str, Any]]) -> None:
    found = read_export(json.dumps([{"title": "Salt"}, *entries]).encode(), "x")
    whole(found)
    assert len(found.rows) + len(found.problems) == len(entries) + 1


# --- recorded files -------------------------------------------------------------------------------------------------


def column(path: Path, name: str, holds: Callable[[str], bool]) -> int:
    with path.open(encoding="utf-8", newline="") as file:
        return sum(1 for row in csv.DictReader(file) if holds(row[name]))


RECORDED_FILES = {
    "library_exports/audible-library-extractor-110.json": ("list", 110),
    "library_exports/audible-library-list-455.csv": ("list", 455),
    "library_exports/bookwyrm-calibre.csv": ("list", 1),
    "library_exports/bookwyrm-storygraph.csv": ("list", 2),
    "library_exports/goodreads-export-1.csv": ("goodreads", 2638),
    "library_exports/goodreads-export-2.csv": ("goodreads", 232),
    "library_exports/goodreads-export-bookwyrm.csv": ("goodreads", 3),
    # No exports of a library: a feed, and the inside of a web page.
    "goodreads/shelf-rss.xml": ("", 0),
    "goodreads/book-page-next-data-hobbit.json": ("", 0),
}
needs_recorded = pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded files are not beside this checkout")


@needs_recorded
def test_every_recorded_file_is_tried() -> None:
    there = {
        str(path.relative_to(RECORDED))
        for folder in ("library_exports", "goodreads")
        for path in (RECORDED / folder).iterdir()
    }
    assert there == set(RECORDED_FILES)


@needs_recorded
@pytest.mark.parametrize("name", RECORDED_FILES)
def test_recorded_files(name: str) -> None:
    kind, count = RECORDED_FILES[name]
    path = RECORDED / name
    data = path.read_bytes()
    if not kind:
        with pytest.raises(UnreadableExport, match="headings"):
            read_export(data, path.name)
        return
    found = read_export(data, path.name)
    whole(found)
    assert (found.kind, len(found.rows), found.problems) == (kind, count, ())
    if path.suffix == ".csv":
        assert column(path, "title" if "title" in data.decode().splitlines()[0].split(",") else "Title", bool) == count


@needs_recorded
@pytest.mark.parametrize("name", [name for name in RECORDED_FILES if "goodreads-export" in name])
def test_recorded_goodreads_exports_agree_with_a_count_of_their_cells(name: str) -> None:
    path = RECORDED / name
    found = read_export(path.read_bytes(), path.name).rows
    assert sum(row.wanted is True for row in found) == column(path, "Exclusive Shelf", lambda cell: cell == "to-read")
    assert sum(bool(row.facts.series) for row in found) == column(
        path, "Title", lambda cell: bool(re.search(r"#\d[^()]*\)$", cell))
    )
    assert sum(row.facts.is_audio is True for row in found) == column(
        path, "Binding", lambda cell: cell.startswith("Audio")
    )
    assert sum(row.added is not None for row in found) == column(path, "Date Added", bool)
    # Nothing is invented: each title is the beginning of its cell, and each name is in it.
    with path.open(encoding="utf-8", newline="") as file:
        cells = {row["Book Id"]: row for row in csv.DictReader(file)}
    for row in found:
        cell = " ".join(cells[row.facts.id]["Title"].split())
        assert cell.startswith(row.facts.title)
        assert all(place.name in cell and place.position in cell for place in row.facts.series)
        assert row.facts.author_names[0] == " ".join(cells[row.facts.id]["Author"].split())


@needs_recorded
def test_recorded_lists_agree_with_a_count_of_their_cells() -> None:
    path = RECORDED / "library_exports/audible-library-list-455.csv"
    found = read_export(path.read_bytes(), path.name).rows
    for name, value in (("asin", "asin"), ("release_date", "released"), ("length", "runtime"), ("authors", "authors")):
        assert sum(bool(getattr(row.facts, value)) for row in found) == column(
            path, name, lambda cell: bool(cell.strip())
        )
    path = RECORDED / "library_exports/audible-library-extractor-110.json"
    entries = json.loads(path.read_bytes())
    found = read_export(path.read_bytes(), path.name).rows
    assert [row.facts.asin for row in found] == [entry["asin"] for entry in entries]
    assert sum(bool(row.facts.series) for row in found) == 92
    assert [len(row.facts.authors) for row in found] == [len(entry["authors"]) for entry in entries]
