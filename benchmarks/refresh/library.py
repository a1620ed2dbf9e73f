"""Books as a person has them, and as the stand-in's catalogue knows them: those of goodbooks, and variations of them."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from audiobooks.facts import BookFacts, Contributor, SeriesPlace
from audiobooks.matching.names import language_code
from benchmarks.matching.sets import DATA

SOURCE: Path = DATA / "goodbooks10k.csv.gz"
GENRES = ("Fantasy", "Science Fiction", "Mystery", "Romance", "History", "Biography", "Horror", "Classics")
FIRST = ("Mara", "Ilse", "Tomas", "Ray", "Nina", "Cyril", "Dana", "Ove", "Petra", "Hal")
LAST = ("Quill", "Varga", "Reed", "Holm", "Lindt", "Moss", "Okoro", "Stone", "Weiss", "Young")


def catalogue(count: int) -> Iterator[BookFacts]:
    """What the provider knows of the first `count` books. Beyond the 10,000 of the file each comes again, as another volume."""
    number = 0
    while True:
        with gzip.open(SOURCE, "rt", newline="") as file:
            for row in csv.DictReader(file):
                if number == count:
                    return
                yield _known(row, number)
                number += 1


def owned(count: int) -> Iterator[BookFacts]:
    """What a person's files say of them: title, authors and series; every second one its ASIN."""
    for number, known in enumerate(catalogue(count)):
        yield BookFacts(
            source="list",
            title=known.title,
            authors=known.authors,
            series=known.series,
            asin=known.asin if number % 2 else "",
        )


def _known(row: dict[str, str], number: int) -> BookFacts:
    again = number // 10_000
    title = row["title"] if not again else f"{row['title']} of {LAST[again % 10]}shire"
    facts = BookFacts(
        title=title,
        subtitle="A Novel",
        authors=tuple(Contributor(name=name) for name in row["authors"].split("; ")[:3]),
        narrators=(f"{FIRST[number % 10]} {LAST[number // 10 % 10]} {number % 997}",),
        genres=(GENRES[number % 8], GENRES[number // 8 % 8])
        if number % 8 != number // 8 % 8
        else (GENRES[number % 8],),
        description=f"{title} is told at length. " * 20,
        language=language_code(row["language"]) or "en",
        abridged=False,
        runtime=60 * (300 + number % 600),
        publisher=f"{LAST[number % 7]} Audio",
        released=row["year"] if row["year"].isdigit() and len(row["year"]) == 4 else "",
        asin=f"B0{number:08d}",
        cover_url=f"https://images.example/{number}.jpg",
    )
    if not row["series"]:
        return facts
    places = zip(row["series"].split("; "), row["position"].split("; "), strict=False)
    return replace(facts, series=tuple(SeriesPlace(name=name, position=position) for name, position in places))
