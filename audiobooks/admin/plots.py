"""Ranks over weeks as a picture, with the same as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from audiobooks.charts import TOP
from audiobooks.display import day_of

WEEKS = 16
"""The most that are drawn."""
COLUMN, ROW, LEFT, ABOVE, BELOW = 48, 26, 30, 16, 26
NAMES = 250
"""For the names behind the lines."""
LONGEST_NAME = 34
SMALL_COLUMN, SMALL_ROW, SMALL_EDGE, SMALL_WEEKS = 9, 4, 3, 10


@dataclass(frozen=True)
class Line:
    """`number` chooses its colour, from 1; `end` is the place of its name, None where it is off the chart by then."""

    number: int
    name: str
    path: str
    dots: list[tuple[int, int]]
    words: str
    end: int | None


@dataclass(frozen=True)
class Plot:
    """`rows`: name, and for each week the rank or None. The weeks are those that have a chart."""

    weeks: list[date]
    lines: list[Line]
    rows: list[tuple[str, list[int | None]]]
    columns: list[tuple[int, str]]
    ranks: list[tuple[int, int]]
    width: int
    height: int
    right: int
    bottom: int

    @property
    def widest(self) -> int:
        """Pixels, where there is room."""
        return round(self.width * 1.4)


def plot(ranks: Mapping[str, Mapping[date, int]], weeks: Sequence[date], *, named: bool) -> Plot | None:
    """None where there is no line to draw, as in the first week. `named`: each line bears its name at its end."""
    shown = sorted(weeks)[-WEEKS:]
    if len(shown) < 2:
        return None
    x = {week: LEFT + COLUMN // 2 + COLUMN * at for at, week in enumerate(shown)}
    right, bottom = LEFT + COLUMN * len(shown), ABOVE + ROW * TOP
    lines = [
        Line(
            number=at,
            name=_short(name),
            path=_path([(x[week], _y(of[week])) if week in of else None for week in shown]),
            dots=[(x[week], _y(of[week])) for week in shown if week in of],
            words=f"{name}: {in_words(of, shown)}",
            end=_y(of[shown[-1]]) if shown[-1] in of else None,
        )
        for at, (name, of) in enumerate(ranks.items(), 1)
    ]
    # Where all would be too close, every other.
    step = 1 if len(shown) <= WEEKS // 2 else 2
    columns = [(x[week], f"{week.day} {week:%b}") for week in shown[::-1][::step]]
    return Plot(
        weeks=shown,
        lines=lines,
        rows=[(name, [of.get(week) for week in shown]) for name, of in ranks.items()],
        columns=columns,
        ranks=[(_y(rank), rank) for rank in range(1, TOP + 1)],
        width=right + (NAMES if named else LEFT),
        height=bottom + BELOW,
        right=right,
        bottom=bottom,
    )


def _y(rank: int) -> int:
    return ABOVE + ROW * (rank - 1) + ROW // 2


def _path(points: Sequence[tuple[int, int] | None]) -> str:
    """A line from each week to the next; it breaks where the work was off the chart."""
    steps, before = [], False
    for point in points:
        if point is not None:
            steps.append(f"{'L' if before else 'M'}{point[0]} {point[1]}")
        before = point is not None
    return "".join(steps)


def in_words(ranks: Mapping[date, int], weeks: Sequence[date]) -> str:
    return ", ".join(f"{day_of(week)}: {ranks[week]}" if week in ranks else f"{day_of(week)}: –" for week in weeks)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1].rstrip()}…"


@dataclass(frozen=True)
class Small:
    path: str
    last: tuple[int, int]
    width: int
    height: int
    words: str


def small(ranks: Mapping[date, int], weeks: Sequence[date]) -> Small | None:
    """The last weeks of one work, for a row."""
    shown = sorted(weeks)[-SMALL_WEEKS:]
    if len(shown) < 2 or len([week for week in shown if week in ranks]) < 2:
        return None
    points = [
        (SMALL_EDGE + SMALL_COLUMN * at, SMALL_EDGE + SMALL_ROW * (ranks[week] - 1)) if week in ranks else None
        for at, week in enumerate(shown)
    ]
    there = [point for point in points if point is not None]
    return Small(
        path=_path(points),
        last=there[-1],
        width=2 * SMALL_EDGE + SMALL_COLUMN * (len(shown) - 1),
        height=2 * SMALL_EDGE + SMALL_ROW * (TOP - 1),
        words=f"Ranks by week: {in_words(ranks, shown)}",
    )
