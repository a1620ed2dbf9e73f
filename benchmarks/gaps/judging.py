"""The truth of what is missing, by the rows alone, and how three rules do beside it: the board, holes of numbers, and ASINs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from audiobooks.gaps import Reason, series_boards
from audiobooks.models import Series
from benchmarks.gaps.library import Made, Member

Found = set[tuple[str, int]]
"""(series, book)."""
HALF = re.compile(r"(\d+), Part \d+ of \d+")
NAMESAKES = {
    "after": "Anna Todd",
    "betweenthelines": "Jodi Picoult",
    "inheritance": "N.K. Jemisin",
    "private": "Kate Brian",
    "starcrossed": "Leisa Rayven",
    "sweet": "Wendy Higgins",
    "thehollows": "Amanda Hocking",
    "thesecret": "Rhonda Byrne",
}
"""Of the file's series, read by eye, those that are two of one name; and the author of one of the two."""


@dataclass
class Judged:
    right: int
    overlooked: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        return len(self.overlooked) + len(self.invented)

    @property
    def share(self) -> float:
        return self.wrong / max(1, self.right + self.wrong)


def judge(made: Made) -> dict[str, Judged]:
    series = [(name, side) for name, members in made.series.items() for side in _sides(name, members)]
    # A volume that a set has is not missing in another series either.
    in_sets = {key for _, members in series for key in _in_sets(members)}
    truth = {(name, key) for name, members in series for key in _missing(members) if key not in in_sets}
    titles = {member.key: f"{member.position} {member.title}" for each in made.series.values() for member in each}
    rules = {"board": _board(made), "holes of numbers": _by_holes(made), "every ASIN not owned": _by_asin(made)}
    return {name: _judged(truth, found, titles) for name, found in rules.items()}


def _sides(name: str, members: list[Member]) -> list[list[Member]]:
    """The series of this name of which something is owned."""
    author = NAMESAKES.get(re.sub(r"of[a-z]+shire$", "", name))
    sides = ([each for each in members if (author in each.authors) == is_one] for is_one in (True, False))
    return [side for side in sides if any(each.is_owned for each in side)]


def _judged(truth: Found, found: Found, titles: dict[int, str]) -> Judged:
    overlooked, invented = (
        sorted(f"{name}: {titles[key]}" for name, key in each) for each in (truth - found, found - truth)
    )
    return Judged(len(truth & found), overlooked, invented)


def _in_sets(members: list[Member]) -> list[int]:
    """Volumes of a set that is owned."""
    there = _of_sets(members)
    return [each.key for each in members if len(own := _numbers(each.position)) == 1 and own <= there]


def _missing(members: list[Member]) -> list[int]:
    """Each book that was taken away, but for sets of which every volume is there otherwise, and parts of a volume that is
    owned whole."""
    listed = {number for each in members if len(own := _numbers(each.position)) == 1 for number in own}
    there = listed | _of_sets(members)
    whole = {each.position for each in members if each.is_owned}
    halves = {each.key for each in members if (half := HALF.fullmatch(each.position)) and half[1] in whole}
    taken = [each for each in members if not each.is_owned and not each.again and each.key not in halves]
    return [each.key for each in taken if len(own := _numbers(each.position)) < 2 or not own <= there]


def _of_sets(members: list[Member]) -> frozenset[str]:
    sets = (own for each in members if each.is_owned and len(own := _numbers(each.position)) > 1)
    return frozenset[str]().union(*sets)


def _numbers(position: str) -> frozenset[str]:
    """Of "3", "0.5" and "1-3"; what else the file has is read by eye: lists, and parts of a volume, which are that volume."""
    found: set[str] = set()
    for part in re.split(r"\s*(?:,|\+)\s*#?", position):
        if match := re.fullmatch(r"(\d+)\s*[-–]\s*(\d+)", part):
            found |= {str(number) for number in range(int(match[1]), int(match[2]) + 1)}
        elif match := re.fullmatch(r"(\d+(?:\.\d+)?)(?::.*)?", part):
            found.add(match[1])
        elif match := re.fullmatch(r"(\d+\.\d+)\s*-\s*(\d+\.\d+)", part):
            found |= {match[1], match[2]}
    return frozenset(found)


def _board(made: Made) -> Found:
    keys = dict(Series.objects.values_list("pk", "key"))
    return {
        (keys[board.key], gap.book)
        for board in series_boards()
        for gap in board.gaps
        if gap.book is not None and gap.reason not in (Reason.IN_A_SET, Reason.NAMESAKE)
    }


def _by_holes(made: Made) -> Found:
    """What is listed where a whole number is lacking between 1 and the greatest that is known."""
    found: Found = set()
    for name, members in made.series.items():
        owned = {_first(each.position) for each in members if each.is_owned}
        taken: set[int] = set()
        for each in members:
            number = _first(each.position)
            if not each.is_owned and number not in owned and number is not None and number >= 1 and number not in taken:
                taken.add(number)
                found.add((name, each.key))
    return found


def _first(position: str) -> int | None:
    match = re.match(r"(\d+)(?!\.)", position)
    return int(match[1]) if match else None


def _by_asin(made: Made) -> Found:
    owned = {each.asin for members in made.series.values() for each in members if each.is_owned}
    return {(name, each.key) for name, members in made.series.items() for each in members if each.asin not in owned}
