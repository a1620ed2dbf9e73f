"""Positions in a series: text such as 1, 0.5 or 1-3."""

from __future__ import annotations

import re
from collections.abc import Iterable

MOST_GAPS = 50


def order_of(position: str) -> float | None:
    number = re.search(r"\d+(?:\.\d+)?", position)
    return float(number[0]) if number else None


def gaps(positions: Iterable[str]) -> list[tuple[int, int]]:
    """First and last of each run of whole numbers, from 1 to the greatest, that no position has; at most MOST_GAPS."""
    covered = sorted(span for position in positions if (span := _span(position)))
    found: list[tuple[int, int]] = []
    expected = 1
    for first, last in covered:
        if first > expected:
            found.append((expected, first - 1))
        expected = max(expected, last + 1)
    return found[:MOST_GAPS]


def _span(position: str) -> tuple[int, int] | None:
    """The whole numbers that a position covers: "1-3" is three of them, "0.5" none."""
    found = re.fullmatch(r"\s*(\d{1,6})(?:\s*[-–]\s*(\d{1,6}))?\s*", position)
    if found is None:
        return None
    first = int(found[1])
    return first, max(first, int(found[2] or first))
