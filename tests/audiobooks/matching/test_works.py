"""Which descriptions are of one work."""

from __future__ import annotations

import csv
import gzip
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiobooks.facts import BookFacts, Contributor
from audiobooks.matching.works import as_work, keys_of, likeness, same_works
from tests.audiobooks.matching.test_properties import facts as any_facts
from tests.samples.editions import WORK, editions, others


def of(title: str, *authors: str) -> BookFacts:
    return BookFacts(title=title, authors=tuple(Contributor(name=name) for name in authors))


@settings(max_examples=250, deadline=None)
@given(editions())
def test_every_edition_is_of_the_work_and_is_found_by_its_keys(edition: BookFacts) -> None:
    assert likeness(WORK, edition) is not None
    assert likeness(edition, WORK) is not None
    assert keys_of(WORK) & keys_of(edition)


@settings(max_examples=100, deadline=None)
@given(editions(), st.sampled_from(others()))
def test_no_other_work_is_taken_for_it(edition: BookFacts, other: BookFacts) -> None:
    assert likeness(WORK, other) is None
    assert likeness(other, WORK) is None


@settings(max_examples=100, deadline=None)
@given(any_facts, any_facts)
def test_both_sides_see_the_same(a: BookFacts, b: BookFacts) -> None:
    one, other = likeness(a, b), likeness(b, a)
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert one == pytest.approx(other)


@settings(max_examples=100, deadline=None)
@given(st.lists(any_facts, max_size=6))
def test_each_is_of_the_first_of_its_kind(many: list[BookFacts]) -> None:
    firsts = same_works(many)
    assert len(firsts) == len(many)
    assert all(first <= place and firsts[first] == first for place, first in enumerate(firsts))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (of("Island of Dr. Moreau", "H. G. Wells"), of("Island Of Doctor Moreau (Version 2)", "H.G. Wells"), True),
        (of("Little Men", "Louisa May Alcott"), of("Little Women", "Louisa May Alcott"), False),
        (of("Mary Louise", "L. Frank Baum"), of("Mary Louise and the Liberty Girls", "L. Frank Baum"), False),
        (of("Dune", "Frank Herbert"), of("Dune Messiah", "Frank Herbert"), False),
        (of("Rubaiyat (Fitzgerald version)", "Omar"), of("Rubáiyát (Whinfield Translation)", "Omar"), True),
        (of("Black Beauty", "Anna Sewell"), of("Black Beauty: The Autobiography of a Horse", "Anna Sewell"), True),
        (of("Amber"), of("Amber", "Nora Ferris"), True),
        (of("Amber Sky"), of("Amber", "Nora Ferris"), False),
        (of("Ghost Stories 001"), of("Ghost Stories 002"), False),
        (of("1984", "George Orwell"), of("Nineteen Eighty-Four", "George Orwell"), True),
        (of("Wool: Part 1 of 5", "Hugh Howey"), of("Wool (Part 3 of 5)", "Hugh Howey"), True),
    ],
)
def test_works(one: BookFacts, other: BookFacts, same: bool) -> None:
    assert (likeness(one, other) is not None) == same


def test_what_is_said_of_the_edition_alone_leaves_a_title() -> None:
    assert as_work(of("(Dramatized Adaptation)")).title == "(Dramatized Adaptation)"
    assert as_work(of("Unabridged")).title == "Unabridged"


@pytest.mark.parametrize("piece", ["(", "[", "- ", "version ", "(1 of 2) ", "dramatic reading ", "dramatized ", "unabridged ", "v 1"])  # fmt: skip
def test_a_megabyte_of_anything_is_read_soon(piece: str) -> None:
    text = (piece * (1_000_000 // len(piece) + 1)) + "x"
    began = time.process_time()
    likeness(of(text, text), of(text[1:], text))
    keys_of(of(text, text))
    assert time.process_time() - began < 0.5


CATALOGUE = Path(__file__).resolve().parents[4] / "shared/data/librivox_catalogue.csv.gz"
OTHER_WORKS = [
    ("Little Men", "Little Women (version 4)"),
    ("Heroes Every Child Should Know", "Heroines Every Child Should Know"),
    ("Aunt Jane's Nieces", "Aunt Jane's Nieces In The Red Cross"),
    ("Mother West Wind 'Why' Stories", "Mother West Wind 'Where' Stories"),
    ("Bunny Brown and His Sister Sue", "Bunny Brown and his Sister Sue at Christmas Tree Cove"),
    ("Libro I de la Historia de Heródoto", "Libro V de la Historia de Heródoto"),
]


@pytest.mark.skipif(not CATALOGUE.exists(), reason=f"no catalogue at {CATALOGUE}")
def test_the_recordings_of_a_real_catalogue() -> None:
    with gzip.open(CATALOGUE, "rt", encoding="utf-8") as file:
        rows = [(row["title"], tuple(row["authors"].split("; "))) for row in csv.DictReader(file)]
    again = {authors for title, authors in rows if re.search(r"\(version \d", title, re.I)}
    named = {title for pair in OTHER_WORKS for title in pair}
    rows = [row for row in rows if row[1] in again or row[0] in named]
    works = same_works([of(title, *authors) for title, authors in rows])
    by_title: dict[Any, set[int]] = {}
    for (title, authors), work in zip(rows, works, strict=True):
        plain = re.sub(r"\s*\((?:version|ver\.?) \d+[^)]*\)", "", title, flags=re.I).casefold()
        by_title.setdefault((plain, authors), set()).add(work)
    apart = [key for key, found in by_title.items() if len(found) > 1 and key[1] not in (("Unknown",), ("Anonymous",))]
    assert not apart
    assert len(rows) > 1_000 and len(set(works)) < 0.95 * len(rows)
    work_of = {title: work for (title, _), work in zip(rows, works, strict=True)}
    assert [pair for pair in OTHER_WORKS if work_of[pair[0]] == work_of[pair[1]]] == []
