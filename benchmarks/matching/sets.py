"""The labelled pairs, each set with the way in which its truth is made. None of the data is ours; see its README."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from audiobooks.facts import BookFacts, Contributor, SeriesPlace
from audiobooks.matching.releases import parse_release

DATA = Path(os.environ.get("AUDIOBOOKS_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
RELEASES = DATA / "recorded" / "release_names"


@dataclass(frozen=True)
class Pair:
    """same: whether it is one work; kind: of the difference or of the form, for the list of errors."""

    ours: BookFacts
    theirs: BookFacts
    same: bool
    kind: str
    author: str

    @property
    def is_held_out(self) -> bool:
        """A third of the authors, which nobody looks at while rules are made."""
        return hashlib.md5(_plain(self.author).encode(), usedforsecurity=False).digest()[0] % 3 == 0


def rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def book(
    title: str, authors: Iterable[str] = (), *, series: str = "", position: str = "", **fields: object
) -> BookFacts:
    places = (SeriesPlace(name=series, position=position),) if series else ()
    names = tuple(Contributor(name=name.strip()) for name in authors if name.strip())
    return BookFacts(title=title, authors=names, series=places, **fields)  # type: ignore[arg-type]


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower().replace("&", " and ").replace("'", "").replace("’", "")))


def _contains(a: str, b: str) -> bool:
    """Whether one title is in the other, word by word; for truth only, so it is simple and not ours."""
    a, b = (f" {re.sub(r'^(the|a|an) ', '', _plain(text))} " for text in (a, b))
    return a in b or b in a


def _may_be_one(a: str, b: str) -> bool:
    """Whether two titles of an author may be one book: equal without article and brackets, or one has a subtitle more."""
    short_a, short_b = (re.sub(r"^(the|a|an) ", "", _plain(re.sub(r"[(\[].*?[)\]]", " ", text))) for text in (a, b))
    parts_a, parts_b = (
        [re.sub(r"^(the|a|an) ", "", _plain(part)) for part in re.split(r":| - ", text)] for text in (a, b)
    )
    return short_a == short_b or short_a in parts_b or short_b in parts_a


def _by_author(pairs: Iterable[tuple[str, BookFacts]]) -> dict[str, list[BookFacts]]:
    found: dict[str, list[BookFacts]] = defaultdict(list)
    for author, facts in pairs:
        found[_plain(author)].append(facts)
    return found


# --- a person's library -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Folder:
    name: str
    title: str
    authors: tuple[str, ...]
    duration: int
    candidates: tuple[tuple[BookFacts, bool], ...]
    """Those of a search for author and title whose runtime is within 15 minutes, and whether their title agrees as well."""


def read_folders() -> list[Folder]:
    """Truth: the owner's checked title is in the candidate's or the other way round, word by word, and so is an author's
    last name; the runtime was within 15 minutes already. A translated title ("El murciélago [The Bat]") is no truth.
    """
    folders = []
    for row in rows(RELEASES / "folders-author-title-audible-candidates-323.csv"):
        authors = tuple(name.strip() for name in row["author"].split(",") if name.strip() and " - " not in name)
        if not authors:
            continue
        last = _plain(authors[0]).split()[-1]
        candidates = [
            (
                book(
                    one["title"],
                    one["authors"].split(","),
                    narrators=tuple(one["narrators"].split(",")),
                    runtime=one["runtime_s"],
                    asin=one["asin"],
                    is_audio=True,
                ),
                _contains(row["title"], one["title"]) and last in _plain(one["authors"]).split(),
            )
            for one in json.loads(row["candidates"])
            if one["within_15_min"] and "[" not in one["title"]
        ]
        folders.append(Folder(row["folder"], row["title"], authors, int(row["duration_s"]), tuple(candidates)))
    return folders


def folders(*, checked: bool) -> Iterator[Pair]:
    """Folder and measured runtime, or the owner's title and author alone, against the candidates: his own (truth as in
    `read_folders`), and those of his other books by the author (another book, unless a title is in the other).
    """
    known = read_folders()
    for folder in known:
        ours = (
            book(folder.title, folder.authors)
            if checked
            else replace(parse_release(folder.name), runtime=folder.duration, is_audio=True)
        )
        for theirs, agrees in folder.candidates:
            if agrees:
                yield Pair(ours, theirs, True, "own folder", folder.authors[0])
        for other in known:
            if other.authors[0] == folder.authors[0] and not _contains(other.title, folder.title):
                for theirs, agrees in other.candidates:
                    if agrees and not _contains(theirs.title, folder.title):
                        yield Pair(ours, theirs, False, "other book by the author", folder.authors[0])


# --- titles with their series -------------------------------------------------------------------------------------


def audnexus() -> Iterator[Pair]:
    """Audible's title and subtitle against title and series alone, once as they are and once swapped. Truth: the ASIN; for
    other books another volume of the same series, or another title by the author.
    """
    known = {
        row["asin"]: (row, [name for name in row["authors"].split("; ") if " - " not in name])
        for row in rows(RELEASES / "audnexus-title-subtitle-series-761.csv")
    }
    for row, authors in known.values():
        ours = book(row["title"], authors, subtitle=row["subtitle"])
        theirs = book(row["title"], authors, series=row["series"], position=row["position"])
        yield Pair(ours, theirs, True, "series in the subtitle", authors[0])
        if row["kind"] == "swapped_mapping":
            swapped = book(row["subtitle"], authors, subtitle=row["title"])
            yield Pair(swapped, theirs, True, "title and subtitle swapped", authors[0])
        for other, other_authors in known.values():
            if other is row or other_authors[0] != authors[0]:
                continue
            same_series = bool(row["series"]) and row["series"] == other["series"]
            if same_series and row["position"] and other["position"] and row["position"] != other["position"]:
                kind = "other volume of the series"
            elif not _contains(row["title"], other["title"]) and not _contains(row["series"], other["series"]):
                kind = "other book by the author"
            else:
                continue
            theirs = book(other["title"], other_authors, series=other["series"], position=other["position"])
            yield Pair(ours, theirs, False, kind, authors[0])


def tagged() -> Iterator[Pair]:
    """Titles as tagged ("Title - Series, Book 7") against the part before " - " with series and number. Truth: the row;
    for other books another number of the same series.
    """
    known = [row for row in rows(RELEASES / "tagged-library-titles-738.csv") if row["author"]]
    for row in known:
        authors = row["author"].split(", ")
        ours = book(row["title"], authors)
        for other in known:
            title, dash, _ = other["title"].rpartition(" - ")
            theirs = book(
                title if dash else other["title"], other["author"].split(", "), series=other["series"],
                position=other["series_index_display"],
            )  # fmt: skip
            if other is row:
                yield Pair(ours, theirs, True, "tagged title", authors[0])
            elif (
                row["series"]
                and row["series"] == other["series"]
                and row["series_index_display"] != other["series_index_display"]
                and row["series_index_display"]
                and other["series_index_display"]
                and row["author"] == other["author"]
            ):
                yield Pair(ours, theirs, False, "other volume of the series", authors[0])


def links() -> Iterator[Pair]:
    """Audible's title and subtitle against the words of a Goodreads address, the author given to both. Truth (weak): the
    rows whose words agree; for other books another address by the author that has none of the title.
    """
    known = [row for row in rows(RELEASES / "audible-to-goodreads-links-2356.csv") if row["title_agrees"] == "yes"]
    slugs = [
        (
            row["author"],
            book(
                re.sub(
                    r"[-_](?=(?:s|t|d|m|ll|re|ve)(?:[-_]|$))|[-_]",
                    lambda gap: (
                        "’"
                        if gap.end() < len(gap.string)
                        and re.match(r"(?:s|t|d|m|ll|re|ve)(?:[-_]|$)", gap.string[gap.end() :])
                        else " "
                    ),
                    row["goodreads_slug"],
                ),
                row["author"].split(", "),
            ),
        )
        for row in known
    ]
    others = _by_author(slugs)
    for row, (author, theirs) in zip(known, slugs, strict=True):
        ours = book(row["title"], author.split(", "), subtitle=row["subtitle"], asin=row["audible_asin"])
        yield Pair(ours, theirs, True, "Goodreads address", author)
        for other in others[_plain(author)][:20]:
            # In an address "aviator's" is "aviator s".
            if other is not theirs and not _contains(row["title"].replace("'", " ").replace("’", " "), other.title):
                yield Pair(ours, other, False, "other book by the author", author)


def subtitles() -> Iterator[Pair]:
    """Listings of the form "Title" + "Series, Book N" against each other, made as `audnexus`; truth: the ASIN."""
    known = rows(RELEASES / "audible-subtitle-series-position-95.csv")
    for row in known:
        ours = book(row["title"], [row["author"]], subtitle=row["subtitle"])
        for other in known:
            theirs = book(other["title"], [other["author"]], series=other["series"], position=other["position"])
            if other is row:
                yield Pair(ours, theirs, True, "series in the subtitle", row["author"])
            elif other["author"] == row["author"] and other["position"] != row["position"]:
                yield Pair(ours, theirs, False, "other volume of the series", row["author"])


def volumes() -> Iterator[Pair]:
    """Names that Jaro-Winkler had merged and that differ in a number and in nothing else, as titles of one author. Truth:
    the number. All are other volumes.
    """
    number = re.compile(r"\d+")
    for row in rows(RELEASES / "series-name-fuzzy-pairs-1579.csv"):
        a, b = row["name_a"], row["name_b"]
        digits_a, digits_b = ([int(each) for each in number.findall(text)] for text in (a, b))
        if len(digits_a) == len(digits_b) == 1 and digits_a != digits_b and number.sub("", a) == number.sub("", b):
            yield Pair(book(a, ["Ilse Varga"]), book(b, ["Ilse Varga"]), False, "other volume of the series", a)


# --- catalogues ---------------------------------------------------------------------------------------------------

_FORMS: tuple[Callable[[str, str, str, str], str], ...] = (
    lambda title, author, series, number: f"{title} by {author} [ENG / M4B] [VIP]",
    lambda title, author, series, number: f"{author} - {title} (Unabridged) [64kbps]",
    lambda title, author, series, number: f"{author} - {series} {number} - {title}" if number else f"{author} - {title}",
    lambda title, author, series, number: (
        f"{author}/{series}/{number} - {title}" if number else f"{author}/2019 - {title}"
    ),
    lambda title, author, series, number: (
        f"{author.split()[-1]}, {' '.join(author.split()[:-1])} - {title} (2019) {{A Reader}}"
    ),
    lambda title, author, series, number: f"{title} ({series}, #{number}) - {author}" if number else f"{title} - {author}",
)  # fmt: skip


def _name(form: int, title: str, author: str, series: str, number: str) -> str:
    """What a file system makes of it: no colon, no slash."""
    name = _FORMS[form % len(_FORMS)](title.replace("/", " "), author, series.replace("/", " "), number)
    return name.replace(":", " -" if form % 2 else "")


def catalogue() -> Iterator[Pair]:
    """English rows of Audible's catalogue: a release's name made of a row in one of six forms against that row (truth: the
    making), the five titles most like it by the author that are not the same but for brackets and subtitle, and the same
    title by other authors.
    """
    known = [
        row
        for row in rows(DATA / "audible_catalogue.csv.gz")
        if row["language"] == "english" and len(row["authors"].split(",")[0].split()) in (2, 3)
    ]
    facts = [_catalogue_facts(row) for row in known]
    by_author, by_title = defaultdict(list), defaultdict(list)
    for row, each in zip(known, facts, strict=True):
        by_author[_plain(each.author_names[0])].append(each)
        by_title[_plain(row["title"])].append(each)
    for at, (row, theirs) in enumerate(zip(known, facts, strict=True)):
        author = theirs.author_names[0]
        ours = parse_release(_name(at, row["title"], author, row["series"], row["position"]))
        if at % 3 == 0:
            yield Pair(ours, theirs, True, f"form {at % len(_FORMS)}", author)
        words = set(_plain(row["title"]).split())
        rest = [
            other
            for other in by_author[_plain(author)]
            if other is not theirs and not _may_be_one(other.title, row["title"])
        ]
        rest.sort(key=lambda other: -len(words & set(_plain(other.title).split())))
        for other in rest[:5]:
            yield Pair(ours, other, False, "other book by the author", author)
        for other in by_title[_plain(row["title"])][:10]:
            # "Walter Ling MD" is no other author.
            if not _long_words(other.author_names) & _long_words(theirs.author_names):
                yield Pair(ours, other, False, "same title by another author", author)


def _long_words(names: Iterable[str]) -> set[str]:
    return {word for name in names for word in re.findall(r"[^\W\d_]{3,}", name.lower())}


def _catalogue_facts(row: dict[str, str]) -> BookFacts:
    return book(
        row["title"],
        # "Robert Reed-translator", "J.K.Rowling"
        [re.sub(r"(?<=[a-z.])(?=[A-Z][a-z])", " ", name) if " " not in name.strip() else name for name in row["authors"].split(",")],
        series=row["series"],
        position=row["position"],
        narrators=tuple(row["narrators"].replace(";", ",").split(",")),
        runtime=int(float(row["runtime_min"] or 0)) * 60 or None,
        language="en",
        is_audio=True,
    )  # fmt: skip


def goodbooks() -> Iterator[Pair]:
    """Goodreads' short title and first author against its full title ("Title (Series, #3)") and all authors. Truth: the
    row; for other books another number of the series, and the two titles most like it by the author.
    """
    known = [row for row in rows(DATA / "goodbooks10k.csv.gz") if row["authors"]]
    by_author, by_series = defaultdict(list), defaultdict(list)
    for row in known:
        by_author[row["authors"].split("; ")[0]].append(row)
        if row["series"] and row["position"]:
            by_series[row["series"]].append(row)
    for at, row in enumerate(known):
        author = row["authors"].split("; ")[0]
        ours = book(
            row["title"], [author], series=row["series"].split("; ")[0], position=row["position"].split("; ")[0]
        )
        short = book(row["title"], [author])
        if at % 3 == 0:
            yield Pair(short, _goodreads(row), True, "short title", author)
        for other in by_series[row["series"]][:8]:
            if other["position"] != row["position"] and other["authors"].split("; ")[0] == author:
                yield Pair(ours, _goodreads(other), False, "other volume of the series", author)
        words = set(_plain(row["title"]).split())
        rest = [other for other in by_author[author] if not _contains(other["title"], row["title"])]
        for other in sorted(rest, key=lambda other: -len(words & set(_plain(other["title"]).split())))[:2]:
            yield Pair(short, _goodreads(other), False, "other book by the author", author)


def _goodreads(row: dict[str, str]) -> BookFacts:
    return book(row["full_title"], row["authors"].split("; "), isbns=(row["isbn13"],) if row["isbn13"] else ())


def threads() -> Iterator[Pair]:
    """Release names of 26 threads against the book that was wanted. Truth: the thread; of names without an author none can
    be the book for certain, and they count for recall alone.
    """
    for row in rows(RELEASES / "release-names-from-threads-26.csv"):
        if row["verdict"] in ("same author", "wrong author on the folder"):
            continue
        same = row["verdict"].startswith(("match", "right book", "no author"))
        theirs = book(row["wanted_title"], [row["wanted_author"]])
        yield Pair(parse_release(row["release_name"]), theirs, same, row["verdict"], row["wanted_title"])


SETS: dict[str, Callable[[], Iterable[Pair]]] = {
    "folders": lambda: folders(checked=False),
    "folders, checked title": lambda: folders(checked=True),
    "audnexus": audnexus,
    "subtitles": subtitles,
    "tagged library": tagged,
    "volumes": volumes,
    "threads": threads,
    "Goodreads links (weak)": links,
    "goodbooks (made)": goodbooks,
    "catalogue (made)": catalogue,
}


# --- recordings ---------------------------------------------------------------------------------------------------


def recordings() -> Iterator[tuple[str, BookFacts, BookFacts, bool]]:
    """(kind, ours, theirs, same): folders with their candidates within two minutes; wrong recordings of a thread; and two
    LibriVox recordings of one book with other readers, of which ours has lost the readers' names.
    """
    for folder in read_folders():
        for theirs, agrees in folder.candidates:
            if agrees and abs((theirs.runtime or 0) - folder.duration) <= 120:
                yield "folder", book(folder.title, folder.authors, runtime=folder.duration), theirs, True
    for row in rows(RELEASES / "wrong-recording-durations.csv"):
        ours, theirs = (
            book(row["title"], ["Wilbur Smith"], runtime=int(row[name]) * 60) for name in ("local_min", "audible_min")
        )
        yield "wrong recording", ours, theirs, False
    works: dict[tuple[str, str, str], list[dict[str, str]]] = defaultdict(list)
    for row in rows(DATA / "librivox_catalogue.csv.gz"):
        title = re.sub(r"\s*\((?:version|dramatic)[^)]*\)", "", row["title"])
        works[title, row["authors"], row["language"]].append({**row, "title": title})
    for versions in works.values():
        for a in versions:
            for b in versions:
                if a["narrators"] != b["narrators"] and a["runtime_s"] and b["runtime_s"]:
                    ours, theirs = (
                        book(
                            each["title"], each["authors"].split("; "), runtime=int(each["runtime_s"]),
                            narrators=tuple(each["narrators"].split("; ")),
                        )
                        for each in (a, b)
                    )  # fmt: skip
                    yield "other readers, known", ours, theirs, False
                    yield "other readers, unknown to us", replace(ours, narrators=()), theirs, False
