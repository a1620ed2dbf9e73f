"""Which descriptions are of one work."""

from __future__ import annotations

import time

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
        (of("1984", "George Orwell"), of("Nineteen Eighty-Four", "George Orwell"), False),
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
