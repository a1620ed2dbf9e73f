"""A work's way through the charts of a genre, from the rows of its ranks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from .models import Chart, ChartEntry


class Move(StrEnum):
    """Against the last chart before, mostly that of the week before."""

    NEW = "new"
    UP = "up"
    DOWN = "down"
    SAME = "same"
    BACK = "back"


@dataclass(frozen=True)
class Course:
    """rank: now; before: on the chart before, None where it was not on it; weeks: on the chart in all, with this one;
    peak: its best rank until now; ranks: by week."""

    rank: int
    before: int | None
    weeks: int
    peak: int
    ranks: Mapping[date, int]

    @property
    def move(self) -> Move:
        if self.before is None:
            return Move.NEW if self.weeks == 1 else Move.BACK
        if self.before == self.rank:
            return Move.SAME
        return Move.UP if self.rank < self.before else Move.DOWN

    @property
    def places(self) -> int:
        """By how many it moved."""
        return 0 if self.before is None else abs(self.before - self.rank)


def course(ranks: Mapping[date, int], week: date, before: date | None) -> Course:
    """`ranks` may hold weeks after `week`, which are left out; `before` is the week of the chart before."""
    known = {each: ranks[each] for each in sorted(ranks) if each <= week}
    return Course(
        rank=known[week],
        before=known.get(before) if before else None,
        weeks=len(known),
        peak=min(known.values()),
        ranks=known,
    )


def weeks_of(genres: Iterable[int]) -> dict[int, list[date]]:
    """Genre -> the weeks of which it has a chart, in order; one query."""
    found: dict[int, list[date]] = {}
    charts = Chart.objects.filter(genre__in=set(genres)).order_by("week")
    for genre, week in charts.values_list("genre", "week"):
        found.setdefault(genre, []).append(week)
    return found


def week_before(weeks: Sequence[date], week: date) -> date | None:
    """The last of them before that week."""
    at = bisect_left(weeks, week)
    return weeks[at - 1] if at else None


def ranks_of(genres: Iterable[int], works: Iterable[int]) -> dict[tuple[int, int], dict[date, int]]:
    """(genre, work) -> its rank in each week that it was on the chart; one query."""
    found: dict[tuple[int, int], dict[date, int]] = {}
    rows = ChartEntry.objects.filter(chart__genre__in=set(genres), proposal__in=set(works)).order_by("chart__week")
    for genre, work, week, rank in rows.values_list("chart__genre", "proposal", "chart__week", "rank"):
        found.setdefault((genre, work), {})[week] = rank
    return found


def courses(entries: Sequence[ChartEntry], weeks: Mapping[int, Sequence[date]] | None = None) -> dict[int, Course]:
    """Key of each entry -> its course until the week of its chart, which is at hand; two queries, or one with `weeks`.

    A chart without its genre has no other beside it.
    """
    genres = {entry.chart.genre_id for entry in entries if entry.chart.genre_id is not None}
    weeks = weeks_of(genres) if weeks is None else weeks
    ranks = ranks_of(genres, (entry.proposal_id for entry in entries))
    found = {}
    for entry in entries:
        genre, week = entry.chart.genre_id, entry.chart.week
        known = ranks.get((genre, entry.proposal_id), {}) if genre is not None else {}
        before = week_before(weeks.get(genre, ()), week) if genre is not None else None
        found[entry.pk] = course(known | {week: entry.rank}, week, before)
    return found
