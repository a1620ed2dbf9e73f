"""How alike two titles are, each read in every way that what stands beside a title allows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

from rapidfuzz import fuzz

from audiobooks.facts import BookFacts, Contributor, SeriesPlace

from .names import Person, normalise, people, person, without_article
from .positions import CARDINALS, Positions, parse_positions
from .titles import MOST_VOLUMES, ParsedTitle, parse_title, series_key, words_of

Words = tuple[str, ...]
CUT_SHORT = 40
"""Letters from which on the start of a title is enough: programs cut names at 40, 64 or more."""


@dataclass(frozen=True)
class Reading:
    """title: the words of the title; bare: without brackets; raw: all as it stands; rest: those of subtitles; places: positions by series_key.

    series: the keys of those that are named as such, and not only taken from "Salt, Vol. 3".
    series_words, author_words: their names as they may stand in a title, such as "varga ilse" and "dr ilse varga jr".
    """

    parsed: ParsedTitle
    title: Words
    bare: Words
    raw: Words
    rest: Words
    places: tuple[tuple[str, Positions], ...]
    series: frozenset[str]
    series_words: frozenset[Words]
    author_words: frozenset[Words]
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
        without_article(words_of(parsed.title)),
        without_article(words_of(_IN_BRACKETS.sub(" ", parsed.title).strip() or parsed.title)),
        without_article(words_of(f"{title} {subtitle}")),
        words_of(parsed.subtitle),
        tuple(places.items()),
        named,
        frozenset(words for name, _ in series for words in (words_of(name), without_article(words_of(name))) if words),
        frozenset(words for name in authors if (who := person(name)) for words in _names_of(name, who)),
        people(authors),
        people(narrators),
        any(re.search(r"full cast|multiple|various|graphic ?audio|dramati", normalise(name)) for name in narrators),
    )


def _names_of(name: str, who: Person) -> tuple[Words, ...]:
    # The last name may have several words and stand first, and "Ilse Varga's Salt" has lost its apostrophe.
    turns = [(*who.words[at:], *who.words[:at]) for at in range(len(who.words))][-3:]
    forms = [who.words, *turns, (*who.given, f"{who.last}s"), tuple(normalise(name.replace(".", ". ")).split())]
    # Titles have lost their article, which "A. M. Howell" begins with.
    return tuple(dict.fromkeys([*forms, *map(without_article, forms)]))


# Not those with a number, which may be the volume.
_IN_BRACKETS = re.compile(r"\([^()\d]*\)|\[[^\[\]\d]*\]")
# --- likeness -----------------------------------------------------------------------------------------------------


def title_likeness(one: Reading, other: Reading, *, same_volume: bool) -> tuple[float, str]:
    """0 the same title .. 1 another, and the reason; of all ways to read the two the best.

    same_volume: whether both are known to be one volume of one series, which excuses a title that is only the series.
    """
    series = {tuple(key.split()) for key in one.series | other.series if key}
    named = series | {tuple(key.split()) for reading in (one, other) for key, _ in reading.places}
    authors = one.author_words | other.author_words
    words = one.series_words | other.series_words
    forms = [_forms(reading, series, words, authors, same_volume) for reading in (one, other)]
    best = min((_share(a, b, named, same_volume) for a, b in product(*forms)), key=lambda found: found[0])
    if same_volume and best[0] > 0.12 and one.parsed.is_numbered != other.parsed.is_numbered:
        # "Salt, Vol. 3" beside "The Glass Meridian", volume 3 of Salt
        numbered, titled = (one, other) if one.parsed.is_numbered else (other, one)
        if " ".join(key_words(numbered.title)) in titled.series:
            return 0.12, "one has only series and volume for its title"
    if same_volume and best[0] > 0.3 and any(key_words(reading.title) in series for reading in (one, other)):
        # The first volume may be named like the series, and catalogues number in several orders.
        return 0.3, "one has only the series for its title"
    return best


@dataclass(frozen=True)
class _Form:
    """One way to read a title: its words, those of the subtitle, and whether something was cut off that may belong to it."""

    title: Words
    rest: Words
    is_cut: bool = False
    number: str = ""
    """What was cut off if that is a volume, which the other side must not have otherwise."""


def _forms(
    reading: Reading, series: set[Words], series_words: Iterable[Words], authors: Iterable[Words], same_volume: bool
) -> list[_Form]:
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
    for name in series_words:
        for words in without(title, name):
            forms.append(_Form(words, rest, True))
            if len(words) > 1 and words[0].isdecimal() and len(words[0]) <= 2:
                # "Salt 03 The Glass Meridian"
                forms.append(_Form(without_article(words[1:]), rest, True, words[0]))
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
    if not _EDITIONS.isdisjoint(reading.raw):
        forms += [
            _Form(words, form.rest, True, form.number)
            for form in forms
            if (words := _without_edition(form.title)) != form.title
        ]
    return [forms[0], *(form for form in forms[1:] if same_volume or key_words(form.title) not in series)]


_EDITIONS = frozenset({"edition", "uncut", "unabridged"})
# Not "3rd Edition", which is another text.
_EDITION_BEHIND = re.compile(
    r" (?:the )?(?:(?:complete|uncut|unabridged|original|deluxe|special|expanded|limited|collectors?|definitive|"
    r"(?:\d+th )?anniversary|and) )+edition$"
)
_EDITION_BEFORE = re.compile(r"^(?:complete (?:and )?)?(?:uncut|unabridged) ")


def _without_edition(title: Words) -> Words:
    """ "The Stand the Complete and Uncut Edition" has no colon or bracket before its edition."""
    text = _EDITION_BEFORE.sub("", _EDITION_BEHIND.sub("", " ".join(title)))
    return without_article(tuple(text.split()))


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
    if lost := _small_words_lost(whole_a, whole_b):
        return lost, "same title but for small words"
    text_a, text_b = " ".join(whole_a), " ".join(whole_b)
    ratio = fuzz.ratio(text_a, text_b) / 100
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
    if min(len(text_a), len(text_b)) >= CUT_SHORT and (text_a.startswith(text_b) or text_b.startswith(text_a)):
        return 0.12, "one is cut short"
    ratio = max(ratio, fuzz.ratio(" ".join(a.title), " ".join(b.title)) / 100 - 0.05)
    if ratio >= 0.9:
        return max(0.08, 1 - ratio), "nearly the same title"
    if sorted(whole_a) == sorted(whole_b):
        return 0.05, "same words in another order"
    if "".join(a.title) == "".join(b.rest) or "".join(b.title) == "".join(a.rest):
        return 0.15, "one's title is the other's subtitle"
    return min(1.0, (1 - ratio) * 1.6), "other titles"


_SMALL = frozenset({"a", "an", "the", "of", "in", "on", "to", "for", "and", "at", "by", "with", "from", "or", "as"})
_SPELLED = {str(number): word for word, number in CARDINALS.items()}


def _small_words_lost(a: Words, b: Words) -> float | None:
    """The share where one has lost its "&", or all its small words, as in the names of some indexers."""
    if "and" not in a + b and _SMALL.isdisjoint(a) == _SMALL.isdisjoint(b):
        return None
    if [word for word in a if word != "and"] == [word for word in b if word != "and"]:
        return 0.04
    if _SMALL.isdisjoint(a) == _SMALL.isdisjoint(b):
        return None
    kept_a, kept_b = ([_SPELLED.get(word, word) for word in words if word not in _SMALL] for words in (a, b))
    if "".join(kept_a) != "".join(kept_b):
        return None
    return 0.05 if min(len(kept_a), len(kept_b)) > 2 else 0.12


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


# --- title and author the other way round -------------------------------------------------------------------------


def turned(facts: BookFacts, other: BookFacts) -> BookFacts:
    """The facts, of another author, with that and the title exchanged where the other side shows that they are, else as they are.

    "Storm Front - Jim Butcher" does not say which of the two is the person, and "Tomas Reed-Holm-Salt" not where the name
    ends. All of it must be found on the other side: author, title, and maybe a series.
    """
    twin = read(other)
    titles = (twin.title, twin.title + twin.rest, twin.raw)
    named = words_of(" ".join((*facts.author_names, facts.title, facts.subtitle)))
    for place in (None, *facts.series):
        words = named + words_of(place.name) if place else named
        for author in other.authors:
            who = person(author.name)
            for name in _names_of(author.name, who) if who else ():
                for left in without(words, name, before="by") if len(name) > 1 else ():
                    for series in ((), *twin.series_words):
                        for title in without(left, series) if series else (left,):
                            if without_article(title) in titles:
                                return _as_turned(facts, author, title, series, place)
    return facts


def _as_turned(
    facts: BookFacts, author: Contributor, title: Words, series: Words, place: SeriesPlace | None
) -> BookFacts:
    places = [each for each in facts.series if each is not place]
    if series:
        places.append(SeriesPlace(name=" ".join(series), position=place.position if place else ""))
    return replace(facts, title=" ".join(title), subtitle="", authors=(author,), series=tuple(places))
