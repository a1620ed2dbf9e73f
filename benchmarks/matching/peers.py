"""Simpler rules on the same rows: one ratio, and those of two other projects as the reference describes them. Ours to read,
not their code.
"""

from __future__ import annotations

from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein

from audiobooks.facts import BookFacts


def _authors(facts: BookFacts) -> str:
    return ", ".join(facts.author_names).lower()


def _title(facts: BookFacts) -> str:
    return f"{facts.title} {facts.subtitle}".strip().lower()


def token_set(ours: BookFacts, theirs: BookFacts) -> float:
    """rapidfuzz's token_set_ratio of title, subtitle and authors, 0..1."""
    return fuzz.token_set_ratio(f"{_title(ours)} {_authors(ours)}", f"{_title(theirs)} {_authors(theirs)}") / 100


def audiobookshelf(ours: BookFacts, theirs: BookFacts) -> float:
    """BookFinder's confidence: 0.7 duration + 0.2 title + 0.1 author; duration is 1 within a minute, 0.6 at 5 minutes, 0
    from 10 on, 0.1 where it is not known; 1 for the ASIN.
    """
    if ours.asin and ours.asin == theirs.asin:
        return 1.0
    duration = 0.1
    if ours.runtime and theirs.runtime:
        apart = abs(ours.runtime - theirs.runtime) / 60
        duration = 1.0 if apart <= 1 else 1 - 0.1 * (apart - 1) if apart <= 5 else max(0.0, 0.6 - 0.12 * (apart - 5))
    title = Levenshtein.normalized_similarity(ours.title.lower(), theirs.title.lower())
    author = Levenshtein.normalized_similarity(_authors(ours), _authors(theirs))
    return 0.7 * duration + 0.2 * title + 0.1 * author


def readarr(ours: BookFacts, theirs: BookFacts) -> float:
    """1 - Readarr's distance, a weighted mean of penalties: isbn and asin 10, language 5, author 3, book 3, missing ones 0.1.

    Accepted from 0.8 on.
    """
    penalties = [
        (3.0, 1 - max((fuzz.ratio(a.lower(), b.lower()) for a in ours.author_names for b in theirs.author_names), default=0) / 100),
        (3.0, 1 - max(fuzz.ratio(ours.title.lower(), theirs.title.lower()), fuzz.ratio(_title(ours), _title(theirs))) / 100),
    ]  # fmt: skip
    if ours.language and theirs.language:
        penalties.append((5.0, float(ours.language != theirs.language)))
    for mine, other in (
        (ours.isbns, theirs.isbns),
        ((ours.asin,) if ours.asin else (), (theirs.asin,) if theirs.asin else ()),
    ):
        if mine and other:
            penalties.append((10.0, float(not set(mine) & set(other))))
        elif mine or other:
            penalties.append((0.1, 1.0))
    return 1 - sum(weight * share for weight, share in penalties) / sum(weight for weight, _ in penalties)


PEERS = {"token_set_ratio": token_set, "Audiobookshelf": audiobookshelf, "Readarr": readarr}
ACCEPTED = {"Readarr": 0.8}
"""Thresholds that the projects have; the others are swept."""
