"""The candidates in order, and whether the best may be taken without asking."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import product

from audiobooks.facts import BookFacts

from .compare import LIKE_TITLE, RANK, Match, Verdict, compare
from .likeness import read

NEARLY = 0.04
"""Distance by which one candidate must be better than another book to be taken without asking."""


def choose(ours: BookFacts, candidates: Iterable[BookFacts]) -> list[Match]:
    """The matches, best first. Where two that are different books are nearly as good, none of them is STRONG.

    Where several recordings of the same work fit ours equally well, none is said to be ours.
    """
    matches = sorted((compare(ours, theirs) for theirs in candidates), key=_goodness)
    return _without_equal_recordings(_without_equal_books(matches))


def _goodness(match: Match) -> tuple[int, int, float]:
    recording = {True: 0, None: 1, False: 2}[match.same_recording]
    return (-RANK[match.verdict], recording, match.distance)


def _without_equal_books(matches: list[Match]) -> list[Match]:
    strong = [match for match in matches if match.verdict is Verdict.STRONG]
    if not strong:
        return matches
    best = strong[0]
    if _named_by_identifier(best):
        return matches
    rivals = [
        match
        for match in matches
        if match is not best
        and not match.vetoes
        and match.verdict in (Verdict.STRONG, Verdict.MEDIUM)
        and match.distance <= best.distance + NEARLY
        and not _are_one_book(best.theirs, match.theirs)
    ]
    if not rivals:
        return matches
    doubt = "several equal candidates"
    weakened = [
        replace(match, verdict=Verdict.MEDIUM, doubts=(*match.doubts, doubt))
        if match.verdict is Verdict.STRONG
        else match
        for match in matches
    ]
    return sorted(weakened, key=_goodness)


def _named_by_identifier(match: Match) -> bool:
    return any(penalty.name == "identifiers" for penalty in match.penalties)


def _are_one_book(a: BookFacts, b: BookFacts) -> bool:
    match = compare(a, b)
    title = next((penalty.share for penalty in match.penalties if penalty.name == "title"), 1.0)
    return match.verdict in (Verdict.STRONG, Verdict.MEDIUM) and title <= LIKE_TITLE


def _without_equal_recordings(matches: list[Match]) -> list[Match]:
    same = [match for match in matches if match.same_recording]
    certain = [match for match in same if {"same ASIN", "same narrator"}.intersection(match.recording_evidence)]
    if certain or len(same) < 2:
        return matches
    narrators = [read(match.theirs).narrators for match in same]
    if all(not a or not b or set(a) & set(b) for a, b in product(narrators, repeat=2)):
        return matches
    doubt = "several recordings have this runtime"
    return [
        replace(match, same_recording=None, recording_evidence=(*match.recording_evidence, doubt))
        if match.same_recording
        else match
        for match in matches
    ]
