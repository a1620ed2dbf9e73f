"""The place of a book in its series: a set of numbers, since "1-3" is three volumes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise

CARDINALS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60,
    "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
NUMBER_WORDS = CARDINALS | {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10,
}  # fmt: skip
TENS = "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
UNITS = "one|two|three|four|five|six|seven|eight|nine"
COMPOUND = rf"(?:{TENS})[- ](?:{UNITS})"
"""Twenty-One"""
ROMAN = r"(?=[IVX])X{0,3}(?:IX|IV|V?I{0,3})"
VOLUME_WORDS = (
    r"book|books|bk|bks|volume|volumes|vol|vols|part|parts|pt|no|nr|number|band|bd|teil|tome|livre|libro|episode|ep"
)
_BEFORE = re.compile(rf"^(?:#|№|(?:{VOLUME_WORDS})\b\.?)\s*#?\s*", re.I)
_FIRST = re.compile(rf"(?P<number>\d{{1,4}}(?:\.\d{{1,2}})?|{ROMAN}|{COMPOUND}|[a-z]{{3,9}})(?![\w.]*[^\W_])", re.I)
_JOIN = re.compile(
    r"\s*(?P<range>-|–|—|−|\bto\b|\bthrough\b|\bbis\b)\s*|\s*(?:,|;|&|\+|\band\b|\bund\b)\s*(?:#)?", re.I
)
_TOTAL = re.compile(r"\s*(?:/|\bof\b|\bvon\b)\s*\d{1,4}\b", re.I)
_WIDEST = 500
MOST_GAPS = 50


@dataclass(frozen=True)
class Positions:
    """Volumes of a series; none of them is unnumbered."""

    numbers: frozenset[Decimal] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.numbers)

    def __str__(self) -> str:
        """ "3", "1-3", "1, 3", or empty."""
        numbers = sorted(self.numbers)
        if len(numbers) > 1 and all(b - a == 1 for a, b in pairwise(numbers)):
            return f"{_plain(numbers[0])}-{_plain(numbers[-1])}"
        return ", ".join(map(_plain, numbers))

    @property
    def is_set(self) -> bool:
        return len(self.numbers) > 1

    @property
    def order(self) -> tuple[bool, Decimal, Decimal]:
        """Sorts a series: 0, 0.5, 1, 1-3, 2, and the unnumbered last."""
        if not self.numbers:
            return (True, Decimal(), Decimal())
        return (False, min(self.numbers), max(self.numbers))


@lru_cache(4096)
def parse_positions(text: str) -> Positions:
    """The numbers of "3", "Book 1", "0.5", "1-3", "1, 3", "Vol. III", "One", "2, Dramatized Adaptation".

    Empty for everything else, also for "3a": a wrong number is worse than none.
    """
    rest = unicodedata.normalize("NFKC", text[:100]).strip(" .[](){}")
    # The one comma that is no list: no series has the volumes 0 and 5 in one.
    rest = re.sub(r"^0,5\b", "0.5", rest)
    numbers: set[Decimal] = set()
    previous: Decimal | None = None
    is_range = False
    while True:
        rest = _BEFORE.sub("", rest)
        match = _FIRST.match(rest)
        number = _value(match["number"]) if match else None
        if match is None or number is None:
            return Positions(frozenset(numbers)) if numbers and not is_range else Positions()
        if is_range and previous is not None:
            if not previous <= number <= previous + _WIDEST:
                return Positions()
            numbers |= {Decimal(each) for each in range(int(previous) + 1, int(number) + 1)}
        numbers.add(number)
        rest = rest[match.end() :]
        if total := _TOTAL.match(rest):
            rest = rest[total.end() :]
        join = _JOIN.match(rest)
        if join is None:
            return Positions(frozenset(numbers))
        previous, is_range, rest = number, bool(join["range"]), rest[join.end() :]


def _value(text: str) -> Decimal | None:
    if text[0].isdigit():
        return Decimal(text)
    if text.lower() in NUMBER_WORDS:
        return Decimal(NUMBER_WORDS[text.lower()])
    if re.fullmatch(COMPOUND, text, re.I):
        tens, unit = re.split("[- ]", text.lower())
        return Decimal(CARDINALS[tens] + CARDINALS[unit])
    if re.fullmatch(ROMAN, text):
        values = [{"I": 1, "V": 5, "X": 10}[letter] for letter in text]
        return Decimal(sum(-a if a < b else a for a, b in pairwise([*values, 0])))
    return None


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"


def order_of(position: str) -> float | None:
    """The first volume it names, to sort by; None where it names none."""
    numbers = parse_positions(position).numbers
    return float(min(numbers)) if numbers else None


def gaps(positions: Iterable[str]) -> list[tuple[int, int]]:
    """First and last of each run of whole numbers, from 1 to the greatest, that no position has; at most MOST_GAPS."""
    there = {int(number) for text in positions for number in parse_positions(text).numbers if number == int(number)}
    edges = [0, *sorted(number for number in there if number > 0)]
    return [(before + 1, after - 1) for before, after in pairwise(edges) if after > before + 1][:MOST_GAPS]
