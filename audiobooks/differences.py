"""What two texts differ in, line by line and within lines; in bounded time, however long they are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

MOST_COMPARED = 1_200
"""Lines of each that difflib is given, behind what both begin with and before what both end with: a second's work."""
MOST_ALIKE = 50_000
MOST_ROWS = 600
MOST_WORDS = 300
AROUND = 2
"""Lines shown before and behind a difference."""
_PAIRS_COMPARED = 100
_ALIKE = 0.4

Words = tuple[tuple[bool, str], ...]
"""Pieces of a line, and whether each is only in this text."""


@dataclass(frozen=True)
class Row:
    """kind: `gap` stands for lines that are left out."""

    kind: Literal["same", "gone", "new", "gap"]
    words: Words = ()


@dataclass(frozen=True, kw_only=True)
class Difference:
    """gone, new: how many lines. is_rough: the texts are too long to tell what moved. is_cut: there is more than `rows`."""

    rows: tuple[Row, ...]
    gone: int
    new: int
    is_rough: bool = False
    is_cut: bool = False


def difference(before: str, after: str) -> Difference:
    # Empty lines say nothing, and so many that are the same take long.
    old, new = ([line for line in text.split("\n") if line.strip()] for text in (before, after))
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    middle = old[start : len(old) - end], new[start : len(new) - end]
    is_rough = max(map(len, middle)) > MOST_COMPARED or _alike(*middle) > MOST_ALIKE
    # Some lines before and behind, to be shown round it.
    lead, tail = old[max(start - AROUND, 0) : start], old[len(old) - end : len(old) - end + AROUND]
    rows = _roughly(*middle) if is_rough else _exactly([*lead, *middle[0], *tail], [*lead, *middle[1], *tail])
    return Difference(
        rows=tuple(rows[:MOST_ROWS]),
        gone=sum(row.kind == "gone" for row in rows),
        new=sum(row.kind == "new" for row in rows),
        is_rough=is_rough,
        is_cut=len(rows) > MOST_ROWS,
    )


def _alike(old: list[str], new: list[str]) -> int:
    """How many pairs of the same there are, which is what each step of difflib goes through."""
    counts = Counter(new)
    return sum(times * counts[line] for line, times in Counter(old).items())


def _roughly(old: list[str], new: list[str]) -> list[Row]:
    """Lines that the other does not have at all."""
    in_old, in_new = set(old), set(new)
    gone = [Row("gone", _whole(line)) for line in old if line not in in_new]
    return [*gone, *(Row("new", _whole(line)) for line in new if line not in in_old)]


def _exactly(old: list[str], new: list[str]) -> list[Row]:
    rows: list[Row] = []
    pairs = 0
    for group in SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(AROUND):
        if rows:
            rows.append(Row("gap"))
        for tag, a, b, c, d in group:
            if tag == "equal":
                rows += [Row("same", ((False, line),)) for line in old[a:b]]
            elif tag == "replace" and b - a == d - c and pairs < _PAIRS_COMPARED:
                pairs += b - a
                told = [_words(*pair) for pair in zip(old[a:b], new[c:d], strict=True)]
                rows += [Row("gone", words) for words, _ in told] + [Row("new", words) for _, words in told]
            else:
                rows += [Row("gone", _whole(line)) for line in old[a:b]] + [
                    Row("new", _whole(line)) for line in new[c:d]
                ]
    return rows


def _whole(line: str) -> Words:
    return ((False, line),)


def _words(old: str, new: str) -> tuple[Words, Words]:
    """Where they are much alike, in which words they differ."""
    a, b = re.findall(r"\S+\s*|\s+", old), re.findall(r"\S+\s*|\s+", new)
    if max(len(a), len(b)) > MOST_WORDS or _alike(a, b) > 10 * MOST_WORDS:
        return _whole(old), _whole(new)
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    if matcher.ratio() < _ALIKE:
        return _whole(old), _whole(new)
    codes = matcher.get_opcodes()
    return (
        tuple(_pieces(a, ((tag != "equal", i, j) for tag, i, j, _, _ in codes))),
        tuple(_pieces(b, ((tag != "equal", i, j) for tag, _, _, i, j in codes))),
    )


def _pieces(words: Sequence[str], spans: Iterator[tuple[bool, int, int]]) -> Iterator[tuple[bool, str]]:
    for is_own, start, end in spans:
        if start < end:
            yield is_own, "".join(words[start:end])
