"""A work's way through the charts of a genre, from the rows of its ranks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from .models import Chart, ChartEntry

WEEK = timedelta(weeks=1)


class Move(StrEnum):
    """Against the chart before, which is that of the week before where there is one, else the last one."""

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


def week_before(genre: int | None, week: date) -> date | None:
    """Of the chart of the genre before that week; one query."""
    if genre is None:
        return None
    earlier = Chart.objects.filter(genre=genre, week__lt=week).order_by("-week")
    return earlier.values_list("week", flat=True).first()


def ranks_of(genre: int, works: Iterable[int]) -> dict[int, dict[date, int]]:
    """Work -> its rank in each week that it was on the chart of the genre; one query."""
    found: dict[int, dict[date, int]] = {}
    rows = ChartEntry.objects.filter(chart__genre=genre, proposal__in=list(works)).order_by()
    for work, week, rank in rows.values_list("proposal", "chart__week", "rank"):
        found.setdefault(work, {})[week] = rank
    return found


def courses(chart: Chart, entries: Iterable[ChartEntry]) -> dict[int, Course]:
    """Work -> its course until the chart's week; two queries. A chart without its genre has no other beside it."""
    here = {entry.proposal_id: entry.rank for entry in entries}
    if chart.genre_id is None:
        return {work: course({chart.week: rank}, chart.week, None) for work, rank in here.items()}
    before, ranks = week_before(chart.genre_id, chart.week), ranks_of(chart.genre_id, here)
    return {work: course(ranks.get(work, {}) | {chart.week: rank}, chart.week, before) for work, rank in here.items()}
