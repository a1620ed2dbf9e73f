"""Whatever the text: an answer, soon, the same from both sides."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiobooks.facts import BookFacts, Contributor, SeriesPlace
from audiobooks.matching.choose import choose
from audiobooks.matching.compare import Verdict, compare
from audiobooks.matching.names import asin, isbn13, language_code, normalise, person, split_people
from audiobooks.matching.positions import parse_positions
from audiobooks.matching.releases import parse_release
from audiobooks.matching.titles import parse_title, series_key

words = st.sampled_from(
    ["Salt", "The", "Glass", "Book", "Vol.", "3", "One", "-", ":", ",", "(", ")", "[", "#", "Ilse", "Varga", "A Novel", "of", "II", "by", "/"]
)  # fmt: skip
texts = st.one_of(st.text(max_size=60), st.lists(words, max_size=8).map(" ".join))
facts = st.builds(
    BookFacts,
    title=texts,
    subtitle=texts,
    authors=st.lists(st.builds(Contributor, name=texts), max_size=2).map(tuple),
    narrators=st.lists(texts, max_size=2).map(tuple),
    series=st.lists(st.builds(SeriesPlace, name=texts, position=texts), max_size=2).map(tuple),
    language=st.sampled_from(["", "en", "de", "?"]),
    runtime=st.one_of(st.none(), st.integers(0, 10**6)),
    abridged=st.sampled_from([None, True, False]),
    asin=st.sampled_from(["", "B0TESTAA03", "0306406152", "x"]),
    isbns=st.sampled_from([(), ("9780306406157",), ("?",)]),
)


@settings(max_examples=300, deadline=None)
@given(facts, facts)
def test_both_sides_see_the_same(a: BookFacts, b: BookFacts) -> None:
    one, other = compare(a, b), compare(b, a)
    assert one.distance == pytest.approx(other.distance)
    assert 0 <= one.distance <= 1
    assert (one.verdict, one.same_recording) == (other.verdict, other.same_recording)
    one.as_json()


@settings(max_examples=200, deadline=None)
@given(facts, st.sampled_from(["Ilse Varga", "J. R. Reed"]))
def test_a_book_is_itself(a: BookFacts, author: str) -> None:
    ours = BookFacts(title=a.title, subtitle=a.subtitle, authors=(Contributor(name=author),), series=a.series)
    match = compare(ours, ours)
    assert not match.vetoes
    assert match.distance == pytest.approx(0)
    if parse_title(ours.title).title and not match.doubts:
        assert match.verdict is Verdict.STRONG


@settings(max_examples=200, deadline=None)
@given(texts)
def test_any_text_is_read(text: str) -> None:
    parse_release(text)
    parse_title(text, text)
    parse_positions(text)
    language_code(text)
    assert len(isbn13(text)) in (0, 13) and len(asin(text)) in (0, 10)
    assert normalise(normalise(text)) == normalise(text)


@settings(max_examples=100, deadline=None)
@given(st.lists(facts, max_size=4))
def test_a_choice_has_every_candidate_once(candidates: list[BookFacts]) -> None:
    matches = choose(BookFacts(title="Salt", authors=(Contributor(name="Ilse Varga"),)), candidates)
    assert sorted(map(repr, candidates)) == sorted(repr(match.theirs) for match in matches)


@pytest.mark.parametrize("piece", ["(", ")", "[", "{", " ", "\t", "-", " - ", ":", ",", ", ", "1", "1 ", "#", "a", "A ", "B0", ".", "/", "& ", "Book ", "1-", "Vol. 1, ", "by ", "꞉", "̈"])  # fmt: skip
@pytest.mark.parametrize(
    "read",
    [parse_release, parse_title, lambda text: parse_title("Salt", text), parse_positions, split_people, person, normalise, series_key, language_code, isbn13, asin, lambda text: compare(BookFacts(title=text, authors=(Contributor(name=text),), narrators=(text,)), BookFacts(title=text[1:], isbns=(text,)))],
    ids=["release", "title", "subtitle", "positions", "people", "person", "normalise", "series", "language", "isbn", "asin", "compare"],
)  # fmt: skip
def test_a_megabyte_of_anything_is_read_soon(read: Callable[[str], object], piece: str) -> None:
    text = (piece * (1_000_000 // len(piece) + 1)) + "x"
    began = time.process_time()
    read(text)
    assert time.process_time() - began < 0.5
