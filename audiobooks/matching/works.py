"""Which descriptions are of one work, whatever the edition.

Language, narrator, length, abridgement, dramatisation and the part of a recording that is sold in parts tell editions apart,
and not works. A summary or a bundle is another work.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from audiobooks.facts import BookFacts

from .compare import LIKE_TITLE, Match, Verdict, compare
from .likeness import Reading, Words, read
from .names import isbn13, typing_error
from .titles import ABRIDGED, BRACKETS, DRAMATISED

SAME_AUTHOR = 0.15
"""Share of the author's penalty up to which two names are one person's: initials, a typing error."""
SAME_TITLE = 0.05
"""Share of the title's penalty up to which a title alone tells, where one side names no author."""
# "Version 2" is LibriVox's second recording, with readers of its own; "Fitzgerald translation" is of one work, too.
_RECORDING = re.compile(
    r"(?:abridged,?\s*)?(?:version|ver|v)\b\.?\s*\d{1,2}\b.*|.*\bdramatic reading\b.*|[\w.'’-]+ (?:translation|version)",
    re.I,
)
_PART = re.compile(r"(?:part|pt|teil)?\.?\s*\d{1,2}\s*(?:of|von|/)\s*\d{1,2}", re.I)
_AT_THE_END = re.compile(
    rf"\s*(?:[-–—:,]\s*(?:an?\s+)?(?:{DRAMATISED.pattern})(?:\s+(?:adaptation|edition|production|version))?"
    rf"|[-–—:,]?\s*{ABRIDGED.pattern}|[-–—:,]\s*version\s+\d{{1,2}})\s*$",
    re.I,
)
_ABBREVIATED = {"dr": "doctor", "st": "saint", "mr": "mister", "mt": "mount"}
_KEY_LENGTH = 200


def as_work(facts: BookFacts) -> BookFacts:
    """Without what is said of the edition."""
    title, subtitle = _without_edition(facts.title), _without_edition(facts.subtitle)
    return replace(
        facts, title=title, subtitle=subtitle, language="", narrators=(), runtime=None, abridged=None, is_audio=None
    )


def _without_edition(text: str) -> str:
    def kept(match: re.Match[str]) -> str:
        inside = next(group for group in match.groups() if group is not None).strip()
        is_of_the_edition = DRAMATISED.search(inside) or _PART.fullmatch(inside) or _RECORDING.fullmatch(inside)
        return " " if is_of_the_edition else match[0]

    text = text[:1000]
    plain = " ".join(_AT_THE_END.sub("", BRACKETS.sub(kept, text)).split())
    return plain or text


def likeness(a: BookFacts, b: BookFacts) -> float | None:
    """None where they are of two works, else how far apart they are: 0 says the same.

    Title and author must agree, or an identifier. Where a side names no author, the title must be the same.
    """
    one, other = as_work(a), as_work(b)
    match = compare(one, other)
    return match.distance if _is_one_work(match, one, other) else None


def _is_one_work(match: Match, a: BookFacts, b: BookFacts) -> bool:
    if match.vetoes or match.verdict is Verdict.NONE or any("several books" in doubt for doubt in match.doubts):
        return False
    shares = {penalty.name: penalty.share for penalty in match.penalties}
    title, author = shares.get("title", 1.0), shares.get("author")
    if match.verdict is Verdict.STRONG and (title <= SAME_TITLE or {"identifiers", "series"} & shares.keys()):
        return True
    if author is None:
        return not (a.authors and b.authors) and title <= SAME_TITLE
    return title <= LIKE_TITLE and author <= SAME_AUTHOR and _is_one_title(read(a), read(b))


def _is_one_title(one: Reading, other: Reading) -> bool:
    """But for typing errors, and for a subtitle that one lacks: "Salt and the Sea" is no edition of "Salt"."""
    if not _is_mistyped(one.title, other.title):
        return False
    shorter, longer = sorted((one.rest, other.rest), key=len)
    return longer[: len(shorter)] == shorter or _is_mistyped(shorter, longer)


def _is_mistyped(a: Words, b: Words) -> bool:
    """Each word is the same or nearly so; blanks do not count."""
    if "".join(a) == "".join(b):
        return True
    pairs = zip(a, b, strict=False)
    return len(a) == len(b) and all(
        _ABBREVIATED.get(x, x) == _ABBREVIATED.get(y, y) or typing_error(x, y) for x, y in pairs
    )


def keys_of(facts: BookFacts) -> frozenset[str]:
    """Of two descriptions of one work that are not both mistyped, at least one key is the same: what else is never compared.

    t: the title's words; a: an author's last name; i: an identifier.
    """
    reading = read(as_work(facts))
    keys = {f"t:{''.join(words)}" for words in (reading.title, reading.bare) if words}
    keys |= {f"a:{who.last}" for who in reading.authors[:5]}
    keys |= {f"i:{number}" for text in (*facts.isbns[:20], facts.asin) if (number := isbn13(text))}
    if facts.asin:
        keys.add(f"i:{facts.asin.upper()}")
    return frozenset(key[:_KEY_LENGTH] for key in keys)


def same_works(many: Sequence[BookFacts]) -> list[int]:
    """For each the place of the first that is of the same work, which is its own where there is none before it."""
    firsts: list[int] = []
    by_key: dict[str, list[int]] = {}
    for place, facts in enumerate(many):
        keys = keys_of(facts)
        alike = sorted({first for key in keys for first in by_key.get(key, ())})
        near = [(apart, first) for first in alike if (apart := likeness(many[first], facts)) is not None]
        first = min(near)[1] if near else place
        firsts.append(first)
        if first == place:
            for key in keys:
                by_key.setdefault(key, []).append(place)
    return firsts
