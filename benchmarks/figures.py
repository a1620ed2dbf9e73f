"""What a scenario found, and the table of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Value = float | str | None
"""A number, words where there is no number (it died), or None where nothing was measured."""


@dataclass(frozen=True)
class Figure:
    name: str
    unit: str
    ours: Value
    stock: Value = None
    goal: str = ""
    met: bool | None = None
    """None: it has no goal."""

    @property
    def ratio(self) -> float | None:
        """Ours / stock."""
        if isinstance(self.ours, str | None) or isinstance(self.stock, str | None) or not self.stock:
            return None
        return self.ours / self.stock


@dataclass(frozen=True)
class Row:
    scenario: str
    database: str
    figure: Figure


def percentile(values: Sequence[float], share: float) -> float:
    """By the nearest rank; NaN where there are no values, which meets no goal."""
    return sorted(values)[math.ceil(share * len(values)) - 1] if values else math.nan


def quantiles(what: str, ours: Sequence[float], stock: Sequence[float] | None = None) -> list[Figure]:
    """p50 and maximum in ms, without a goal."""
    return [
        Figure(f"{what}, {name}", "ms", percentile(ours, share), None if stock is None else percentile(stock, share))
        for name, share in (("p50", 0.5), ("max", 1.0))
    ]


def table(rows: Sequence[Row]) -> str:
    head = ("scenario", "database", "figure", "unit", "ours", "stock", "ours/stock", "goal", "")
    lines = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    numbers = {4, 5, 6}
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _cells(row: Row) -> tuple[str, ...]:
    figure = row.figure
    verdict = {None: "", True: "met", False: "NOT met"}[figure.met]
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    return (
        row.scenario,
        row.database,
        figure.name,
        figure.unit,
        _text(figure.ours),
        _text(figure.stock),
        ratio,
        figure.goal,
        verdict,
    )


def _text(value: Value) -> str:
    match value:
        case None:
            return "-"
        case str():
            return value
        case _ if math.isnan(value):
            return "none"
        case _ if value == int(value):
            return f"{int(value):,}"
        case _:
            return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.2f}"
