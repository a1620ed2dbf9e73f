"""Which of the releases that sources offer is fetched: what each is fit for, with the reasons in words.

A rule either leaves a release out, or makes it a case for a person, or only moves it up or down. No score outvotes the
first two, and each release is judged alone: that there is no other makes none better.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import product

import langcodes

from audiobooks.facts import BookFacts

from .compare import OTHER_RUNTIME, Match, compare, hours, same_series
from .compare import Verdict as Likeness
from .likeness import Reading, read
from .names import language_code, people, same_person
from .releases import parse_release
from .titles import DRAMATISED
from .works import as_work, likeness

WEIGHTS = {
    "format": 4.0,
    "narrator": 3.0,
    "abridged": 2.0,
    "language": 2.0,
    "bitrate": 2.0,
    "runtime": 1.0,
    "seeders": 1.0,
    "cost": 1.0,
    "title": 1.0,
}
TEXT = frozenset(
    {
        "epub",
        "mobi",
        "azw",
        "azw3",
        "pdf",
        "cbr",
        "cbz",
        "djvu",
        "lit",
        "fb2",
        "rtf",
        "txt",
        "doc",
        "docx",
        "html",
        "chm",
    }
)
"""Formats that are no recording."""
NEARLY = 0.98
"""Share of a bitrate that counts as the whole: encoders miss it by a little, and 127 is 128."""
HALF = 0.5
"""Share of the bitrate that is wanted, below which a person decides."""
OTHER_READER = 0.35
"""Share by which two readings of one whole book differ at most, where two people read it."""
MOST_SEEDERS = 255
"""More of them make nothing faster."""
MB = 10**6


class Verdict(StrEnum):
    """FIT may be fetched by rule; DOUBTFUL only if a person says so."""

    FIT = "fit"
    DOUBTFUL = "doubtful"
    UNFIT = "unfit"


_RANK = {Verdict.FIT: 0, Verdict.DOUBTFUL: 1, Verdict.UNFIT: 2}


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What is wanted of any recording; languages, formats and bitrate in () and 0 are "any".

    languages: as `language_code` has them, the best first, and formats too. bitrate: kbit/s. mb_per_hour: of 10**6 bytes,
    from and to. seeders: at least so many. only_free: nothing that counts against a ratio.
    narrators: those that a person named, of whom one has to read it.
    """

    languages: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    unabridged: bool = True
    bitrate: int = 0
    mb_per_hour: tuple[float, float] = (0, math.inf)
    seeders: int = 0
    only_free: bool = True
    narrators: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Offered:
    """A release, with what is looked at of it; see `sources.base.Release`. Empty, None and () are unknown.

    blocked: why it is not to be fetched again, as a sentence.
    """

    source: str
    id: str
    name: str
    facts: BookFacts
    size: int | None = None
    files: int | None = None
    seeders: int | None = None
    free: bool | None = None
    formats: tuple[str, ...] = ()
    bitrate: int | None = None
    blocked: str = ""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """score: 0..1, of use among those of one verdict. reasons: sentences, those that decided first.

    shares: how good it is by each of WEIGHTS. is_the_work: also where only a recording of several books has it.
    is_other_language: whether it is left out by its language.
    """

    offered: Offered
    verdict: Verdict
    score: float
    reasons: tuple[str, ...]
    shares: tuple[tuple[str, float], ...]
    is_the_work: bool
    is_other_language: bool


def judged(releases: Iterable[Offered], wanted: BookFacts, profile: Profile) -> tuple[Judgement, ...]:
    """All of them, best first, and of those behind the first why they are. The order they come in means nothing."""
    found = sorted((judge(release, wanted, profile) for release in releases), key=_goodness)
    if not found:
        return ()
    first, *others = found
    return (first, *(_behind(first, each) for each in others))


def _goodness(judgement: Judgement) -> tuple[int, float, str, str, str]:
    offered = judgement.offered
    return (_RANK[judgement.verdict], -judgement.score, offered.source, offered.id, repr(offered))


def _behind(first: Judgement, other: Judgement) -> Judgement:
    """With the rule by which it lost to a release of the same verdict."""
    if other.verdict is not first.verdict or other.verdict is Verdict.UNFIT:
        return other
    best = dict(first.shares)
    lost = {name: WEIGHTS[name] * (best[name] - share) for name, share in other.shares}
    worst = max(lost, key=lambda name: lost[name])
    words = f"It stands behind {first.offered.name[:100]} of {first.offered.source}"
    why = f", most of all for its {_CALLED.get(worst, worst)}." if lost[worst] > 0 else ", which is as good."
    return replace(other, reasons=(*other.reasons, words + why))


_CALLED = {"abridged": "abridgement"}


def judge(offered: Offered, wanted: BookFacts, profile: Profile) -> Judgement:
    case = _Case(offered, wanted, profile)
    if offered.blocked:
        case.against.append(offered.blocked)
    is_bundle = _work(case)
    for rule in (_recording, _language, _abridged, _dramatised, _part, _narrator, _format, _bitrate, _seeders, _cost):
        rule(case)
    if is_bundle:
        # How long it is nobody knows.
        case.shares["runtime"] = 0.5
    else:
        _runtime(case)
        _size(case)
    verdict = Verdict.UNFIT if case.against else Verdict.DOUBTFUL if case.doubts else Verdict.FIT
    total = sum(WEIGHTS[name] * share for name, share in case.shares.items())
    return Judgement(
        offered=offered,
        verdict=verdict,
        score=round(total / sum(WEIGHTS.values()), 6),
        reasons=(*case.against, *case.doubts, *case.remarks),
        shares=tuple(sorted(case.shares.items())),
        is_the_work=case.is_the_work,
        is_other_language=case.is_other_language,
    )


# --- the rules --------------------------------------------------------------------------------------------------------


@dataclass
class _Case:
    """What is found while one release is judged.

    said: what the words of its name say, which count where the source's own fields are silent.
    against: each leaves it out; doubts: each leaves it to a person; remarks: the rest of what there is to say.
    """

    offered: Offered
    wanted: BookFacts
    profile: Profile
    against: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    shares: dict[str, float] = field(default_factory=dict)
    is_the_work: bool = True
    is_other_language: bool = False

    def __post_init__(self) -> None:
        self.facts = self.offered.facts
        self.said = parse_release(self.offered.name)
        self.one, self.other = read(self.wanted), read(self.facts)


def _work(case: _Case) -> bool:
    """Whether it is of the work; True where it is a recording of several books that has it."""
    if held := _held_in(case.one, case.other):
        case.doubts.append(held)
        case.shares["title"] = 0.0
        return True
    wanted, facts = as_work(case.wanted), as_work(case.facts)
    match, apart = compare(wanted, facts), likeness(case.wanted, case.facts)
    case.shares["title"] = 1 - match.distance
    if apart is not None and match.verdict is Likeness.STRONG:
        case.remarks.append(f"It is the book: {_agreement(match)}.")
    elif apart is not None or (match.verdict is Likeness.MEDIUM and not match.vetoes):
        why = "; ".join(match.doubts) or _disagreement(match)
        case.doubts.append(f"It may be another book: {why}." if why else "It may be another book.")
    else:
        case.is_the_work = False
        why = "; ".join(match.vetoes) or _disagreement(match)
        case.against.append(f"It is another book: {why}." if why else "It is another book.")
    return False


def _agreement(match: Match) -> str:
    return "; ".join(penalty.words for penalty in match.penalties if penalty.share < 0.5)


def _disagreement(match: Match) -> str:
    worst = sorted((penalty for penalty in match.penalties if penalty.share), key=lambda each: -each.share)
    return "; ".join(penalty.words for penalty in worst[:2])


def _held_in(one: Reading, other: Reading) -> str:
    """A sentence where the other is several books of a series of ours, by one of our authors, that have or may have ours."""
    if one.parsed.bundle or (one.authors and other.authors and not _share_a_person(one, other)):
        return ""
    pairs = product(one.places, other.places)
    volumes = [(a, b) for (key, a), (twin, b) in pairs if a and b and same_series(key, twin)]
    for ours, theirs in volumes:
        if theirs.is_set and ours.numbers < theirs.numbers:
            return f"It is volumes {theirs} of the series in one, and volume {ours} is wanted."
    series = [tuple(key.split()) for key in one.series if key]
    if not volumes and other.parsed.bundle and any(other.title[: len(words)] == words for words in series):
        return "It is several books of the series in one: whether the one that is wanted is among them has to be looked at."
    return ""


def _share_a_person(one: Reading, other: Reading) -> bool:
    return any(same_person(a, b) >= 0.7 for a, b in product(one.authors, other.authors))


def _recording(case: _Case) -> None:
    formats = set(_formats(case.offered))
    is_audio = case.said.is_audio if case.facts.is_audio is None else case.facts.is_audio
    if formats <= TEXT if formats else is_audio is False:
        case.against.append("It is an e-book, and no recording.")


def _language(case: _Case) -> None:
    languages = case.profile.languages
    wanted = language_code(case.wanted.language)
    code = language_code(case.facts.language) or case.said.language
    case.shares["language"] = 0.0
    if not code:
        case.doubts.append("In which language it is, is not known.")
    elif languages and code not in languages:
        case.is_other_language = True
        case.against.append(
            f"It is in {_called(code)}, and {_any_of([_called(each) for each in languages])} is wanted."
        )
    elif wanted and code != wanted:
        case.doubts.append(f"It is in {_called(code)}, and the book is wanted in {_called(wanted)}.")
    else:
        case.shares["language"] = 1 - languages.index(code) / len(languages) if languages else 1.0


def _called(code: str) -> str:
    return langcodes.Language.get(code).display_name()


def _any_of(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def _abridged(case: _Case) -> None:
    abridged = case.facts.abridged
    if abridged is None:
        abridged = next((each for each in (case.other.parsed.abridged, case.said.abridged) if each is not None), None)
    case.shares["abridged"] = {True: 0.0, None: 0.5, False: 1.0}[abridged]
    if abridged and case.profile.unabridged:
        case.against.append("It is abridged.")
    elif abridged is not None:
        case.remarks.append("It is abridged." if abridged else "It is unabridged.")


def _dramatised(case: _Case) -> None:
    wanted = case.one.parsed.dramatised
    is_drama = case.other.parsed.dramatised or bool(DRAMATISED.search(case.offered.name[:1000]))
    if is_drama and not wanted:
        case.against.append("It is a dramatised adaptation.")
    elif wanted and not is_drama:
        case.doubts.append("It does not say that it is the dramatised adaptation, which is wanted.")
    elif not wanted and any(DRAMATISED.search(name) for name in case.facts.narrators[:50]):
        case.doubts.append(f"It may be a dramatised adaptation: it is read by {case.facts.narrators[0][:100]}.")


def _part(case: _Case) -> None:
    part = case.other.parsed.part or read(case.said).parsed.part
    if part != case.one.parsed.part:
        case.against.append(
            f"It is only part {part}."
            if part
            else f"It is not said to be part {case.one.parsed.part}, which is wanted."
        )


def _narrator(case: _Case) -> None:
    theirs = case.other.narrators or people(case.said.narrators)
    by = ", ".join(case.facts.narrators[:2] or case.said.narrators[:2])
    named = people(case.profile.narrators)
    ours = named or case.one.narrators
    case.shares["narrator"] = 0.5
    if named and not theirs:
        case.doubts.append(f"Who reads it is not known, and {_any_of(case.profile.narrators)} is wanted.")
    elif ours and theirs:
        is_same = any(same_person(a, b) >= 0.7 for a, b in product(ours, theirs))
        case.shares["narrator"] = float(is_same)
        if is_same:
            case.remarks.append(
                f"It is read by {by}, as wanted." if named else f"It is read by {by}, as the one known."
            )
        elif named:
            case.against.append(f"It is read by {by}, and {_any_of(case.profile.narrators)} is wanted.")
        else:
            case.remarks.append(f"It is read by {by}, and the one known by {', '.join(case.wanted.narrators[:2])}.")


def _formats(offered: Offered) -> list[str]:
    return [each for name in offered.formats if (each := name.lower().strip(" ."))]


def _format(case: _Case) -> None:
    wanted, there = case.profile.formats, [each for each in _formats(case.offered) if each not in TEXT]
    listed = [wanted.index(each) for each in there if each in wanted]
    case.shares["format"] = 0.0
    if not wanted:
        case.shares["format"] = 1.0
    elif listed:
        case.shares["format"] = 1 - min(listed) / len(wanted)
        case.remarks.append(f"It is in {wanted[min(listed)]}.")
    elif there:
        case.against.append(f"It is in {_any_of(there[:3])}, and {_any_of(wanted)} is wanted.")
    elif not _formats(case.offered):
        case.doubts.append("In which format it is, is not known.")


def _bitrate(case: _Case) -> None:
    wanted, rate = case.profile.bitrate, case.offered.bitrate or 0
    case.shares["bitrate"] = 0.5
    if not wanted:
        case.shares["bitrate"] = 1.0
    elif rate > 0:
        case.shares["bitrate"] = 1.0 if rate >= NEARLY * wanted else rate / wanted
        if rate < HALF * wanted:
            case.doubts.append(f"It has only {rate} kbit/s, and {wanted} are wanted.")
        elif rate < NEARLY * wanted:
            case.remarks.append(f"It has {rate} kbit/s, and {wanted} are wanted.")


def _seeders(case: _Case) -> None:
    seeders = case.offered.seeders
    case.shares["seeders"] = 0.5
    if seeders is not None:
        case.shares["seeders"] = math.log2(1 + min(max(seeders, 0), MOST_SEEDERS)) / math.log2(1 + MOST_SEEDERS)
        if seeders < case.profile.seeders:
            case.against.append(f"It has {seeders} seeders, and {case.profile.seeders} are wanted.")


def _cost(case: _Case) -> None:
    free = case.offered.free
    case.shares["cost"] = float(bool(free))
    if free:
        case.remarks.append("It is free.")
    elif case.profile.only_free and free is None:
        case.doubts.append("Whether it counts against your ratio is not known.")
    elif case.profile.only_free:
        case.against.append("It counts against your ratio, and only what is free is wanted.")


def _runtime(case: _Case) -> None:
    ours, theirs = case.wanted.runtime or 0, case.facts.runtime or 0
    case.shares["runtime"] = 0.5
    if ours <= 0 or theirs <= 0:
        return
    apart = abs(ours - theirs) / max(ours, theirs)
    narrators = case.one.narrators, case.other.narrators
    is_other_reader = all(narrators) and not any(same_person(a, b) >= 0.7 for a, b in product(*narrators))
    case.shares["runtime"] = max(0.0, 1 - apart)
    if apart > (OTHER_READER if is_other_reader else OTHER_RUNTIME):
        case.doubts.append(f"It takes {hours(theirs)}, and the one known {hours(ours)}.")


def _size(case: _Case) -> None:
    """What is far too small for its length is a sample or another book, and what is far too large is several."""
    size, runtime = case.offered.size or 0, case.facts.runtime or case.wanted.runtime or 0
    if size <= 0:
        case.remarks.append("How large it is, is not known.")
    elif runtime > 0:
        least, most = case.profile.mb_per_hour
        per_hour = size / MB / (runtime / 3600)
        if not least <= per_hour <= most:
            limit, less = (least, "less") if per_hour < least else (most, "more")
            case.against.append(
                f"It has {_amount(size / MB)} MB for {hours(runtime)}, and {_amount(per_hour)} an hour are {less} than "
                f"{_amount(limit)}: it is a sample, or another book, or several."
            )


def _amount(number: float) -> str:
    return re.sub(r"\.0$", "", f"{number:,.1f}")
