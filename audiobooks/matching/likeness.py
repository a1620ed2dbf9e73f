"""How alike two titles are, each read in every way that what stands beside a title allows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from rapidfuzz import fuzz

from audiobooks.facts import BookFacts

from .names import Person, normalise, people, without_article
from .positions import CARDINALS, Positions, parse_positions
from .titles import MOST_VOLUMES, ParsedTitle, parse_title, series_key

Words = tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """title: the words of the title; bare: without brackets; raw: all as it stands; rest: those of subtitles; places: positions by series_key.

    series: the keys of those that are named as such, and not only taken from "Salt, Vol. 3".
    """

    parsed: ParsedTitle
    title: Words
    bare: Words
    raw: Words
    rest: Words
    places: tuple[tuple[str, Positions], ...]
    series: frozenset[str]
    authors: tuple[Person, ...]
    narrators: tuple[Person, ...]
    is_cast: bool


def read(facts: BookFacts) -> Reading:
    series = tuple((place.name, place.position) for place in facts.series[:10])
    return _read(facts.title[:1000], facts.subtitle[:1000], series, facts.author_names[:50], facts.narrators[:50])


@lru_cache(4096)
def _read(title: str, subtitle: str, series: tuple[tuple[str, str], ...], authors: Words, narrators: Words) -> Reading:
    parsed = parse_title(title, subtitle)
    places = {series_key(name): parse_positions(position) for name, position in series if name}
    for name, position in ((parsed.series, parsed.position), *parsed.more):
        # A number behind the title is only a volume where the source names that series.
        if name and not (parsed.guessed and series_key(name) not in places and places):
            found = parse_positions(position)
            places[series_key(name)] = places.get(series_key(name)) or found
    named = frozenset(key for key in places if key != series_key(parsed.title)) | {
        series_key(name) for name, _ in series
    }
    if parsed.maybe_position:
        places.setdefault(series_key(parsed.title), parse_positions(parsed.maybe_position))
    return Reading(
        parsed,
        without_article(_words(parsed.title)),
        without_article(_words(_IN_BRACKETS.sub(" ", parsed.title).strip() or parsed.title)),
        without_article(_words(f"{title} {subtitle}")),
        _words(parsed.subtitle),
        tuple(places.items()),
        named,
        people(authors),
        people(narrators),
        any(re.search(r"full cast|multiple|various|graphic ?audio|dramati", normalise(name)) for name in narrators),
    )


# Not those with a number, which may be the volume.
_IN_BRACKETS = re.compile(r"\([^()\d]*\)|\[[^\[\]\d]*\]")
_ROMAN_WORDS = {
    "ii": "2",
    "iii": "3",
    "iv": "4",
    "vi": "6",
    "vii": "7",
    "viii": "8",
    "ix": "9",
    "xi": "11",
    "xii": "12",
}


@lru_cache(16384)
def _words(text: str) -> Words:
    """The words of a title with numbers as digits."""
    words = normalise(text).split() if text.strip() else []
    return tuple(_ROMAN_WORDS.get(word) or str(CARDINALS.get(word, word)).lstrip("0") or "0" for word in words)


# --- likeness -----------------------------------------------------------------------------------------------------


def title_likeness(one: Reading, other: Reading, *, same_volume: bool) -> tuple[float, str]:
    """0 the same title .. 1 another, and the reason; of all ways to read the two the best.

    same_volume: whether both are known to be one volume of one series, which excuses a title that is only the series.
    """
    series = {tuple(key.split()) for key in one.series | other.series if key}
    named = series | {tuple(key.split()) for reading in (one, other) for key, _ in reading.places}
    authors = {who.words for reading in (one, other) for who in reading.authors}
    forms = [_forms(reading, series, authors, same_volume) for reading in (one, other)]
    best = min((_share(a, b, named, same_volume) for a, b in product(*forms)), key=lambda found: found[0])
    if same_volume and best[0] > 0.12 and one.parsed.is_numbered != other.parsed.is_numbered:
        # "Salt, Vol. 3" beside "The Glass Meridian", volume 3 of Salt
        numbered, titled = (one, other) if one.parsed.is_numbered else (other, one)
        if " ".join(key_words(numbered.title)) in titled.series:
            return 0.12, "one has only series and volume for its title"
    return best


@dataclass(frozen=True)
class _Form:
    """One way to read a title: its words, those of the subtitle, and whether something was cut off that may belong to it."""

    title: Words
    rest: Words
    is_cut: bool = False
    number: str = ""
    """What was cut off if that is a volume, which the other side must not have otherwise."""


def _forms(reading: Reading, series: set[Words], authors: set[Words], same_volume: bool) -> list[_Form]:
    """As it is, and without what may stand beside a title: the series, its number, the author."""
    title, rest = reading.title, reading.rest
    forms = [_Form(title, rest)]
    if reading.raw != title + rest:
        # "Salt A Novel", of which the colon was lost, beside "Salt: A Novel"
        forms.append(_Form(reading.raw, (), True))
    if reading.bare != title:
        forms.append(_Form(reading.bare, rest))
    if len(title) > 1 and title[0].isdecimal() and len(title[0]) <= 2:
        # "10 The Glass Meridian", as in a folder
        forms.append(_Form(without_article(title[1:]), rest, True, title[0]))
    for name in series:
        if rest and key_words(title) == name:
            forms.append(_Form(without_article(rest), ()))
        if rest and name in (key_words(rest), key_words(rest[:-1]) if reading.parsed.guessed else ()):
            forms.append(_Form(title, ()))
        forms += [_Form(words, rest, True) for words in without(title, name)]
    for name in authors:
        if rest and title == name:
            forms.append(_Form(without_article(rest), ()))
        forms += [_Form(words, rest, True) for words in without(title, name, before="by")]
    if reading.parsed.guessed:
        numbered = rest or title
        if same_volume and len(numbered) > 1 and numbered[-1].isdecimal():
            # "Salt 3" is "Salt" of which volume 3 is known.
            forms.append(_Form(title, rest[:-1]) if rest else _Form(title[:-1], ()))
        if rest and title[-1].isdecimal():
            # "Salt 3: The Glass Meridian"
            forms.append(_Form(without_article(rest), ()))
    return [forms[0], *(form for form in forms[1:] if same_volume or key_words(form.title) not in series)]


def without(title: Words, name: Words, before: str = "") -> list[Words]:
    """The title without the name at its start or end, where that leaves words."""
    size = len(name)
    left = []
    if title[:size] == name:
        left.append(without_article(title[size:]))
    if title[-size:] == name:
        head = title[:-size]
        left.append(head[:-1] if before and head[-1:] == (before,) else head)
    return [words for words in left if any(not word.isdecimal() for word in words)]


def key_words(words: Words) -> Words:
    return tuple(series_key(" ".join(words)).split())


def _share(a: _Form, b: _Form, series: set[Words], same_volume: bool) -> tuple[float, str]:
    whole_a, whole_b = a.title + a.rest, b.title + b.rest
    joined_a, joined_b = "".join(whole_a), "".join(whole_b)
    if joined_a == joined_b and (not a.number or not b.number or a.number == b.number):
        return (0.03 if a.is_cut or b.is_cut else 0.0), "same title"
    ratio = fuzz.ratio(" ".join(whole_a), " ".join(whole_b)) / 100
    if a.is_cut or b.is_cut:
        return 1.0, "other titles"
    if _numbers(a.title) != _numbers(b.title) or (a.rest and b.rest and _numbers(a.rest) != _numbers(b.rest)):
        return max(0.6, 1 - ratio), "other numbers in the titles"
    if "".join(a.title) == "".join(b.title):
        return _rest_share(a, b, key_words(a.title) in series and not same_volume, same_volume)
    shorter, longer = sorted((whole_a, whole_b), key=len)
    if longer[: len(shorter)] == shorter and len(longer) - len(shorter) >= 4:
        # "Salt A New History of the World": the colon was lost in a file name.
        return 0.12, "one goes on after the title"
    ratio = max(ratio, fuzz.ratio(" ".join(a.title), " ".join(b.title)) / 100 - 0.05)
    if ratio >= 0.9:
        return max(0.08, 1 - ratio), "nearly the same title"
    if sorted(whole_a) == sorted(whole_b):
        return 0.05, "same words in another order"
    if "".join(a.title) == "".join(b.rest) or "".join(b.title) == "".join(a.rest):
        return 0.15, "one's title is the other's subtitle"
    return min(1.0, (1 - ratio) * 1.6), "other titles"


def _rest_share(a: _Form, b: _Form, is_series: bool, has_volume: bool) -> tuple[float, str]:
    """Of two equal titles whose subtitles differ. Where the title is only the series, the subtitle is the title."""
    if a.rest and b.rest:
        shorter, longer = sorted((a.rest, b.rest), key=len)
        if longer[: len(shorter)] == shorter or fuzz.ratio(" ".join(a.rest), " ".join(b.rest)) >= 92:
            return 0.12, "nearly the same subtitle"
        return (0.6, "same series, other titles") if is_series else (0.25, "other subtitles")
    rest = a.rest or b.rest
    if is_series or (not has_volume and rest[-1].isdecimal() and int(rest[-1][:6]) <= MOST_VOLUMES):
        return 0.3, "the title may be the series only"
    return (0.02, "one has a subtitle") if len(rest) >= 4 else (0.12, "one goes on after the title")


def _numbers(words: Words) -> list[str]:
    return sorted(word for word in words if word.isdecimal())
