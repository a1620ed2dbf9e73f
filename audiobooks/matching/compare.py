"""Whether two descriptions are of one book, and whether of one recording of it, with the reasons in words.

Weights follow the order of Readarr and beets (identifiers, title and author, the rest), but the verdict does not come from
the sum: it needs named evidence, since a sum lets many weak agreements outvote one contradiction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from itertools import product
from typing import Any

from rapidfuzz import fuzz

from audiobooks.facts import BookFacts

from .likeness import Reading, key_words, read, title_likeness, turned, without
from .names import isbn13, language_code, same_person
from .titles import series_key

WEIGHTS = {
    "identifiers": 5.0,
    "title": 3.0,
    "author": 3.0,
    "language": 2.0,
    "series": 1.5,
    "runtime": 1.5,
    "dramatised": 1.0,
    "narrator": 0.5,
    "abridged": 0.5,
}
SURE_RUNTIME = (0.003, 60)
"""The same where no narrator is known, since one reading in ten of a book is as long as another to a percent."""
SAME_RUNTIME = (0.01, 120)
"""Share and seconds, the larger of which two runtimes of one recording differ by at most: shops round to minutes and add a jingle."""
OTHER_RUNTIME = 0.05
"""Share by which two runtimes differ at least where they are of two recordings."""
LIKE_TITLE = 0.15
"""Share of the title's penalty up to which one side may only have said more."""


class Verdict(StrEnum):
    """STRONG may be written without asking a person."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    STRONG = "strong"


RANK = {Verdict.NONE: 0, Verdict.LOW: 1, Verdict.MEDIUM: 2, Verdict.STRONG: 3}


@dataclass(frozen=True)
class Penalty:
    """share: 0 agrees, 1 contradicts; words: for a person."""

    name: str
    share: float
    words: str

    @property
    def weight(self) -> float:
        return WEIGHTS[self.name]

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "weight": self.weight, "share": round(self.share, 3), "words": self.words}


@dataclass(frozen=True, kw_only=True)
class Match:
    """One candidate beside our book.

    penalties: of what both sides say; distance: their weighted mean, 0..1.
    vetoes: each makes it another book. doubts: each forbids STRONG.
    verdict: of the work. same_recording: whether narrator, runtime and ASIN are of our recording too, None where that is
    not known; recording_evidence says why.
    """

    theirs: BookFacts
    penalties: tuple[Penalty, ...]
    distance: float
    vetoes: tuple[str, ...]
    doubts: tuple[str, ...]
    verdict: Verdict
    same_recording: bool | None
    recording_evidence: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "source": self.theirs.source,
            "id": self.theirs.id,
            "verdict": str(self.verdict),
            "distance": round(self.distance, 4),
            "penalties": [penalty.as_json() for penalty in self.penalties],
            "vetoes": list(self.vetoes),
            "doubts": list(self.doubts),
            "same_recording": self.same_recording,
            "recording_evidence": list(self.recording_evidence),
        }


# --- the comparisons ----------------------------------------------------------------------------------------------


@dataclass
class _Case:
    """What is found while two sides are compared."""

    a: BookFacts
    b: BookFacts
    one: Reading
    other: Reading
    penalties: list[Penalty] = field(default_factory=list)
    vetoes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    def add(self, name: str, share: float, words: str) -> float:
        self.penalties.append(Penalty(name, min(1.0, max(0.0, share)), words))
        return share


def compare(ours: BookFacts, theirs: BookFacts) -> Match:
    """Compare what we know of a book with a candidate. What only one side says is neutral, except where it makes a doubt."""
    one, other = read(ours), read(theirs)
    a, b = ours, theirs
    if (
        one.authors
        and other.authors
        and not any(same_person(*pair) >= 0.6 for pair in product(one.authors, other.authors))
    ):
        a = turned(ours, theirs)
        b = turned(theirs, ours) if a is ours else theirs
        one, other = read(a), read(b)
    case = _Case(a, b, one, other)
    position = _series(case)
    title = _title(case, position)
    author = _author(case)
    runtime = _runtime(case)
    narrator = _narrator(case)
    _language(case)
    same_asin = _identifiers(case)
    _kind(case, runtime, position)
    total = sum(penalty.weight for penalty in case.penalties)
    distance = sum(penalty.weight * penalty.share for penalty in case.penalties) / total if total else 1.0
    evidence = _Evidence(
        title=title,
        author=author,
        position=position,
        runtime=runtime,
        narrator=narrator,
        same_asin=same_asin,
        same_isbn=bool(_isbns(ours) & _isbns(theirs)),
    )
    _weigh_asin(case, evidence)
    verdict = _verdict(case, evidence, distance)
    same, why = _recording(case, evidence, verdict)
    return Match(
        theirs=theirs,
        penalties=tuple(case.penalties),
        distance=1.0 if case.vetoes else distance,
        vetoes=tuple(case.vetoes),
        doubts=tuple(case.doubts),
        verdict=verdict,
        same_recording=same,
        recording_evidence=tuple(why),
    )


@dataclass(frozen=True)
class _Evidence:
    """Shares of the penalties, None where a side is silent. position and narrator: True agrees, False contradicts."""

    title: float | None
    author: float | None
    position: bool | None
    runtime: float | None
    narrator: bool | None
    same_asin: bool
    same_isbn: bool


def _title(case: _Case, position: bool | None) -> float | None:
    one, other = case.one, case.other
    if not one.title or not other.title:
        return None
    share, words = title_likeness(one, other, same_volume=bool(position))
    shown = [" – ".join(filter(None, (each.parsed.title, each.parsed.subtitle))) for each in (one, other)]
    return case.add("title", share, f"{words}: “{shown[0]}” against “{shown[1]}”" if share else words)


def _author(case: _Case) -> float | None:
    one, other = case.one.authors, case.other.authors
    if not one or not other:
        silent, names = (case.one, case.other) if not one else (case.other, case.one)
        if any(
            (len(words) > 1 and without(silent.title, words, before="by"))
            or (silent.rest and silent.title == words)
            # One word is a name only where the rest is the whole title: "Plato The Republic".
            or any(left in (names.title, names.title + names.rest) for left in without(silent.raw, words, before="by"))
            for words in names.author_words
        ):
            return case.add("author", 0.05, "the author is named in the title")
        return None
    best = max(same_person(a, b) for a, b in product(one, other))
    names_a, names_b = (", ".join(facts.author_names[:3]) for facts in (case.a, case.b))
    if best >= 0.9:
        return case.add("author", 0.0, "same author")
    words = "nearly the same author" if best >= 0.6 else "other authors"
    return case.add("author", round(1 - best, 3), f"{words}: {names_a} against {names_b}")


def _series(case: _Case) -> bool | None:
    """Whether the volumes agree, None where they cannot be compared. Another number in one series is a veto."""
    one, other = dict(case.one.places), dict(case.other.places)
    title_a, title_b = (series_key(reading.parsed.title) for reading in (case.one, case.other))
    shared = [
        (key, twin)
        for key in one
        for twin in other
        # "Salt" with the subtitle "The Northern Years, Book 2" is of "Salt: The Northern Years".
        if same_series(key, twin) or f"{title_a} {key}" == twin or f"{title_b} {twin}" == key
    ]
    pairs = [(one[key], other[twin]) for key, twin in shared if one[key] and other[twin]]
    if pairs:
        if any(a.numbers == b.numbers for a, b in pairs):
            case.add("series", 0.0, "same volume of the series")
            return True
        a, b = pairs[0]
        case.add("series", 1.0, f"volume {a} against volume {b}")
        case.vetoes.append(f"volume {a} against volume {b} of the series")
        return False
    if shared:
        case.add("series", 0.0, "same series")
        return None
    if one and other:
        case.add("series", 0.4, f"other series: {next(iter(one))} against {next(iter(other))}")
    return None


@lru_cache(8192)
def same_series(a: str, b: str) -> bool:
    if a == b:
        return True
    digits_a, digits_b = ([letter for letter in key if letter.isdigit()] for key in (a, b))
    return digits_a == digits_b and fuzz.ratio(a, b) >= 92


def _runtime(case: _Case) -> float | None:
    a, b = case.a.runtime or 0, case.b.runtime or 0
    if a <= 0 or b <= 0:
        return None
    apart = abs(a - b) / max(a, b)
    words = f"runtime {hours(a)} against {hours(b)}"
    if abs(a - b) <= max(SAME_RUNTIME[0] * max(a, b), SAME_RUNTIME[1]):
        case.add("runtime", 0.0, f"same runtime ({hours(a)})")
    else:
        case.add("runtime", min(1.0, 0.2 + apart * 4), words)
    return apart


def hours(seconds: int) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min"


def _narrator(case: _Case) -> bool | None:
    one, other = case.one, case.other
    if not one.narrators or not other.narrators or one.is_cast or other.is_cast:
        return None
    sides = ((one.narrators, other.narrators), (other.narrators, one.narrators))
    found = min(sum(any(same_person(who, twin) >= 0.7 for twin in twins) for who in side) for side, twins in sides)
    share = found / min(len(one.narrators), len(other.narrators))
    if share > 0.5:
        case.add("narrator", 1 - share, "same narrator")
        return True
    if share:
        case.add("narrator", 1 - share, "some of the narrators are the same")
        return None
    case.add("narrator", 1.0, f"narrator {', '.join(case.a.narrators[:2])} against {', '.join(case.b.narrators[:2])}")
    return False


def _language(case: _Case) -> None:
    a, b = language_code(case.a.language), language_code(case.b.language)
    if a and b:
        case.add("language", float(a != b), f"language {a} against {b}" if a != b else "same language")
        if a != b:
            case.vetoes.append(f"language {a} against {b}")


def _isbns(facts: BookFacts) -> set[str]:
    return {number for text in (*facts.isbns[:20], facts.asin) if (number := isbn13(text))}


def _identifiers(case: _Case) -> bool:
    """Whether the ASIN says that it is one recording: both are Audible's, which that of a Kindle or printed book is not."""
    if case.a.asin and case.a.asin.upper() == case.b.asin.upper():
        case.add("identifiers", 0.0, f"same ASIN {case.b.asin}")
        return (
            case.a.is_audio is not False
            and case.b.is_audio is not False
            and not (isbn13(case.a.asin) and not (case.a.is_audio or case.b.is_audio))
        )
    if shared := _isbns(case.a) & _isbns(case.b):
        case.add("identifiers", 0.0, f"same ISBN {min(shared)}")
    return False


def _kind(case: _Case, runtime: float | None, position: bool | None) -> None:
    """Abridged, dramatised, a summary, a part, a bundle."""
    one, other = case.one.parsed, case.other.parsed
    a = case.a.abridged if case.a.abridged is not None else one.abridged
    b = case.b.abridged if case.b.abridged is not None else other.abridged
    if a is not None and b is not None:
        case.add("abridged", float(a != b), "one is abridged" if a != b else "abridgement agrees")
    same_runtime = runtime is not None and runtime <= SAME_RUNTIME[0]
    if one.dramatised != other.dramatised:
        case.add("dramatised", 1.0, "one is a dramatised adaptation")
        (case.doubts if same_runtime else case.vetoes).append("one is a dramatised adaptation")
    if one.derived != other.derived:
        case.vetoes.append("one is a summary, excerpt or adaptation of the other")
    if one.part != other.part:
        (case.vetoes if one.part and other.part else case.doubts).append(
            f"{one.part or 'the whole'} against {other.part or 'the whole'}"
        )
    if one.bundle != other.bundle and not position:
        case.doubts.append("one is several books in one")


# --- the verdict --------------------------------------------------------------------------------------------------


def _weigh_asin(case: _Case, evidence: _Evidence) -> None:
    """One ASIN is one recording, however two sources number or describe it; unless title and author agree a person decides."""
    if evidence.same_asin:
        if not (_agrees(evidence.title, LIKE_TITLE) and _agrees(evidence.author, 0.15)):
            case.doubts += case.vetoes
        case.vetoes.clear()


def _agrees(share: float | None, limit: float) -> bool:
    return share is not None and share <= limit


def _verdict(case: _Case, evidence: _Evidence, distance: float) -> Verdict:
    if case.vetoes:
        return Verdict.NONE
    _find_doubts(case, evidence)
    title, author = evidence.title, evidence.author
    if _is_proved(evidence) and not case.doubts:
        return Verdict.STRONG
    if _agrees(title, LIKE_TITLE) and (author is None or author <= 0.4):
        is_backed = author is not None or _agrees(evidence.runtime, SAME_RUNTIME[0]) or evidence.position
        return Verdict.MEDIUM if is_backed or evidence.same_asin or evidence.same_isbn else Verdict.LOW
    if evidence.same_asin or evidence.same_isbn:
        return Verdict.MEDIUM if (title or 0) < 0.6 or (author is not None and author < 0.2) else Verdict.LOW
    if _agrees(author, 0.4) and _agrees(title, 0.35):
        return Verdict.MEDIUM
    return Verdict.LOW if distance <= 0.35 and (title is None or title <= 0.5) else Verdict.NONE


def _is_proved(evidence: _Evidence) -> bool:
    """Title and author, or one of them with an identifier, or the title with narrator and runtime. Never the title alone."""
    title, author = evidence.title, evidence.author
    same_runtime = _agrees(evidence.runtime, SAME_RUNTIME[0])
    if evidence.same_asin:
        return (title is None and author is None) or (title is not None and title <= 0.3) or author == 0
    if title is None:
        return evidence.same_isbn and author == 0
    if evidence.same_isbn and title <= 0.3 and (author is None or author <= 0.4):
        return True
    if author is None:
        return title <= 0.02 and same_runtime and evidence.narrator is True
    if author > 0.15:
        return author <= 0.4 and title <= 0.05 and same_runtime
    backed = same_runtime or evidence.position is True or evidence.narrator is True
    return title <= 0.05 or (title <= LIKE_TITLE and backed)


def _find_doubts(case: _Case, evidence: _Evidence) -> None:
    """What forbids STRONG though nothing contradicts."""
    title = evidence.title
    if evidence.author is None and not evidence.same_asin and not evidence.same_isbn and evidence.narrator is not True:
        case.doubts.append("no author on one side")
    # With a subtitle on both sides it is that which agrees, and not the series alone.
    has_own_title = bool(case.one.rest and case.other.rest)
    if title is not None and evidence.position is None and not evidence.same_asin and not has_own_title:
        for reading in (case.one, case.other):
            title_key = " ".join(key_words(reading.title))
            is_sure = title_key in reading.series or not reading.parsed.maybe_position
            volumes = [p for key, p in reading.places if p and is_sure and key == title_key]
            known = [p for side in (case.one, case.other) for _, p in side.places if p]
            first = all(p.numbers == {Decimal(1)} for p in known) and not reading.parsed.is_numbered
            if volumes and not first:
                case.doubts.append(f"volume {volumes[0]} against an unknown one")
                break
    if (case.one.parsed.is_contradictory or case.other.parsed.is_contradictory) and not evidence.same_asin:
        case.doubts.append("title and subtitle of one side give other volumes")
    if evidence.same_asin and evidence.author is not None and evidence.author >= 0.6 and (title or 0) >= 0.3:
        case.doubts.append("the ASIN is the same, but title and author are others")


def _recording(case: _Case, evidence: _Evidence, verdict: Verdict) -> tuple[bool | None, list[str]]:
    """Whether it is one recording. Only asked of what may be one work."""
    if RANK[verdict] < RANK[Verdict.MEDIUM]:
        return (False, ["another book"]) if case.vetoes else (None, [])
    shares = {penalty.name: penalty for penalty in case.penalties}
    against = [shares[name].words for name in ("abridged", "dramatised") if name in shares and shares[name].share == 1]
    if case.a.is_audio is False or case.b.is_audio is False:
        against.append("one is no recording")
    if evidence.narrator is False:
        against.append(shares["narrator"].words)
    if evidence.runtime is not None and evidence.runtime > OTHER_RUNTIME:
        against.append(shares["runtime"].words)
    evidence_for = []
    if evidence.same_asin:
        evidence_for.append("same ASIN")
    if evidence.narrator:
        evidence_for.append("same narrator")
    same_runtime = "runtime" in shares and shares["runtime"].share == 0
    if same_runtime:
        evidence_for.append(shares["runtime"].words)
    if against:
        # An ASIN that the rest contradicts may be a wrong tag, and the rest may be a file cut short: nobody knows.
        return (None if evidence.same_asin else False), [*against, *evidence_for]
    is_close = abs((case.a.runtime or 0) - (case.b.runtime or 0)) <= max(
        SURE_RUNTIME[0] * (case.a.runtime or 0), SURE_RUNTIME[1]
    )
    known_length = (same_runtime and is_close) or (
        "abridged" in shares and evidence.narrator is True and evidence.runtime is None
    )
    if evidence.same_asin or known_length or (evidence.narrator is True and (evidence.runtime or 1) <= 0.02):
        return True, evidence_for
    return None, evidence_for
