"""What a title says beside the title: series, volume, abridgement, edition, and what is only an advertisement."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache

from .names import clean, normalise
from .positions import CARDINALS, COMPOUND, NUMBER_WORDS, ROMAN, TENS, UNITS, parse_positions


@dataclass(frozen=True, kw_only=True)
class ParsedTitle:
    """A title and subtitle taken apart. Empty is "not said".

    more: further series and positions.
    position: as text; guessed: it is a bare number behind the title, which may belong to it ("Apollo 13").
    is_numbered: the title is the series and nothing else, as in "Salt, Vol. 3" and "Salt, Part 1".
    maybe_position: of the book in a series named like the title: "Salt: The Glass, Book 3" may be volume 3 of Salt.
    is_contradictory: title and subtitle give the book other numbers in one series; position is that of the subtitle.
    part: of a recording that is sold in parts, such as "1 of 2".
    derived: a summary, study guide, excerpt or adaptation of the book that it names.
    bundle: several books in one.
    """

    title: str
    subtitle: str = ""
    series: str = ""
    position: str = ""
    more: tuple[tuple[str, str], ...] = ()
    guessed: bool = False
    is_numbered: bool = False
    maybe_position: str = ""
    is_contradictory: bool = False
    abridged: bool | None = None
    dramatised: bool = False
    derived: bool = False
    bundle: bool = False
    part: str = ""
    editions: tuple[str, ...] = ()


_N = rf"(?:\d{{1,4}}(?:\.\d{{1,2}})?\b|(?-i:{ROMAN})\b(?<=[IVX])|{COMPOUND}\b|(?:{'|'.join(NUMBER_WORDS)})\b)"
_NUMBERS = rf"(?P<position>{_N}(?:\s*(?:-|–|,|&|and|to)\s*{_N})*)(?:\s*(?:of|/)\s*\d{{1,3}}\b)?"
_WORD = r"(?:book|books|bk|bks|volume|volumes|vol|vols|band|bd|teil|tome|livre|libro)\b\.?_?"
_LOOSE_WORD = rf"(?:{_WORD}|(?:part|pt|episode|no|nr|number|novella|story)\b\.?)"

# "Book 3", "Book 3 of the Salt", "Vol. III"
_ALONE = re.compile(rf"(?P<word>{_LOOSE_WORD}|#)\s*#?{_NUMBERS}(?:\s+(?:of|in)\s+(?:the\s+)?(?P<series>.+))?", re.I)
# "Salt, Book 3", "Salt Book 3", "Salt #3", "Salt, Part 3"; behind a comma also "Salt, 3"
_LINE = re.compile(
    rf"(?P<series>.+?)(?:\s*,\s*(?P<word>{_LOOSE_WORD}|#)?|\s+(?P<word2>{_WORD}|#)|(?P<word3>#))\s*#?{_NUMBERS}", re.I
)
# "The Glass Meridian Book Three of the Salt"
_INSIDE = re.compile(
    rf"(?P<title>.+?),?\s+(?P<word>{_WORD})\s*#?{_NUMBERS}\s+(?:of|in)\s+(?:the\s+)?(?P<series>.+)", re.I
)
_TRAILING = re.compile(r"(?P<stem>.*[^\W\d_].*?)\s+(?P<position>\d{1,2}(?:\.\d)?(?:\s*-\s*\d{1,2})?)$")
# A greater number is a year or belongs to the title.
MOST_VOLUMES = 40
_PART_OF = re.compile(r"(?:part|pt|teil)?\.?\s*(\d{1,2})\s*(?:of|von|/)\s*(\d{1,2})", re.I)

# An underscore stands for a colon in what was a file name.
_SEPARATOR = re.compile(r"\s+[-–—~]+\s+|:\s+|\s+:|;\s+|\s*\|\s*|\s?_\s+")
# "Glass Meridian, The"
_ARTICLE_BEHIND = re.compile(r"^(.+),\s+(the|an?|der|die|das|les?|la|el|il)$", re.I)
BRACKETS = re.compile(r"\(([^()]*)\)|\[([^\[\]]*)\]|\{([^{}]*)\}")

ABRIDGED = re.compile(r"\b(un)?abridged\b", re.I)
DRAMATISED = re.compile(
    r"\bdramati[sz](?:ed|ation)\b|\bfull[- ]cast\b|\bgraphic ?audio\b|\baudio (?:drama|play)\b|\bradio (?:play|drama)\b",
    re.I,
)
_DERIVED = re.compile(
    r"\bsummar(?:y|ies) (?:of|and|&|for)\b|\bstudy guide\b|\bsuper ?summary\b|\binstaread\b|\bcliffs? ?notes\b|"
    r"\bspark ?notes\b|\bconversation starters\b|\bkey takeaways\b|\bworkbook (?:for|of|on)\b|\banalysis of\b|"
    r"\bbook summary\b|\bexcerpt\b|\bsampler\b|\bfree preview\b|\bgraphic novel\b|\bcomic\b|\bmanga\b|"
    r"\b(?:adapted for|young) (?:young )?(?:adults|readers)\b|\bcoloring book\b|\btrivia\b|^summary\b",
    re.I,
)
_BUNDLE = re.compile(
    r"\bbox(?:ed)? ?set\b|\bomnibus\b|\bbundle\b|\bcomplete (?:series|trilogy|saga|collection)\b|\bcollection set\b|"
    r"\b(?:books|volumes|vols)\.? \d+ ?(?:-|–|&|and|to) ?\d+\b|\b(?:trilogy|duology|quartet|series) (?:collection|bundle)\b|"
    r"\b\d+[- ]book\b|\b(?:two|three|four|five|six) (?:books|novels) in one\b",
    re.I,
)
_EDITION = re.compile(
    r"(?:[^\d\s]+ |\d+(?:st|nd|rd|th) ){0,4}(?:edition|ed|anniversary|anniversary recording|version|remastered|uncut|expanded|illustrated|re-?issue|retail)",
    re.I,
)
_FORM = (
    "novel|novella|novelette|memoir|thriller|mystery|romance|litrpg|gamelit|fantasy|adventure|saga|story|stories|tale|"
    "biography|comedy|isekai|cultivation|investigation|whodunit|suspense|cozy|western|epic|book|collection|anthology"
)
# "A Novel", "A Post-Apocalyptic Thriller", "A LitRPG Adventure", "An Ilse Varga Mystery", "A Novel of the Salt"
_ADVERTISEMENT = re.compile(
    rf"(?:an?|another)\s+(?:[\w'’./&-]+\s+){{0,6}}(?:{_FORM}|series)(?:\s+(?:novel|series|adventure|saga|story))?|"
    r"(?:an?\s+)?(?:novel|memoir|thriller)(?:\s+of\s+.{1,60})?|(?:light novel|litrpg|gamelit|the complete text|an audible original(?: \w+)?)|"
    r"(?:audiobook|audio ?book|audible audio(?: edition)?|audio cd|official|hörbuch|ungekürzt)|"
    r"(?:narrated|read|performed) by .{1,80}",
    re.I,
)
# Only behind a title: "Salt: Stories", "Salt: A Life"
_DESCRIPTION = re.compile(
    r"(?:(?:an?|the|his|her|my)\s+)?(?:short\s+)?(?:stories|tales|poems|essays|plays|life|biography|autobiography|memoirs?|history)",
    re.I,
)
# "A Harry Hole Thriller, Book 9"
_ADVERTISED_SERIES = re.compile(r"an?\s+(.+?)\s+(?:novel|novella|thriller|mystery|romance|adventure|story)", re.I)
_BRACKET_NOISE = re.compile(
    r"(?:light novel|mp3|m4b|m4a|flac|[0-9]{2,3} ?kbps|audiobook|unabridged|web|cd|book|promo cd|us|uk)", re.I
)
_SERIES_NOISE = frozenset(
    {"series", "saga", "trilogy", "duology", "cycle", "chronicles", "novels", "books", "light", "novel", "the", "a"}
)


_ROMAN_WORDS = {
    "ii": "2", "iii": "3", "iv": "4", "vi": "6", "vii": "7", "viii": "8", "ix": "9", "xi": "11", "xii": "12",
}  # fmt: skip
_TENS = tuple(TENS.split("|"))
_COMPOUND_WORDS = re.compile(rf"\b({TENS}) ({UNITS})\b")


@lru_cache(16384)
def words_of(text: str) -> tuple[str, ...]:
    """The words of a title with numbers as digits."""
    words = normalise(text) if text.strip() else ""
    if any(tens in words for tens in _TENS):
        words = _COMPOUND_WORDS.sub(lambda match: str(CARDINALS[match[1]] + CARDINALS[match[2]]), words)
    return tuple(_ROMAN_WORDS.get(word) or str(CARDINALS.get(word, word)).lstrip("0") or "0" for word in words.split())


@lru_cache(8192)
def series_key(name: str) -> str:
    """What the names of one series have in common: no article, no "Series" or "Saga", nothing in brackets.

    Numbers are digits as in the words of titles, which are compared with it.
    """
    plain = BRACKETS.sub(" ", clean(name))
    words = words_of(plain if plain.strip() else name)
    return " ".join(word for word in words if word not in _SERIES_NOISE) or " ".join(words)


def split_numbered(text: str) -> tuple[str, str]:
    """Series and position as written in "The Tide #2" or "The Tide, Book 2"; the position may be empty."""
    text = clean(text)
    match = _LINE.fullmatch(text)
    is_named = match and (match["word"] or match["word2"] or match["word3"])
    return (match["series"].strip(" ,"), match["position"]) if match and is_named else (text, "")


@lru_cache(8192)
def parse_title(title: str, subtitle: str = "") -> ParsedTitle:
    """Take a title apart, be it as "Title - Series, Book 7", "Title (Series, #3)", or with the series where the title should be."""
    raw_title, raw_subtitle = clean(title), clean(subtitle)
    first, second = _Field(raw_title), _Field(raw_subtitle, is_subtitle=True)
    found = _arrange(first, second)
    # The line in the title itself knows better which volume of the light novels it is.
    line = next((line for line in found.lines if line.series), None)
    keys = {series_key(line.series) for line in found.lines if line.series} | {series_key(found.contents[0])}
    own = [text for at, text in enumerate(found.contents) if at == 0 or series_key(text) not in keys]
    if line and len(own) > 1 and series_key(own[0]) == series_key(line.series):
        own = own[1:]
    series = line.series if line else _without_number(own[0], found.lines[0].position) if found.lines else ""
    position = line.position if line else found.lines[0].position if found.lines else ""
    more = [(line.series, line.position) for line in found.lines if line.series and line.series != series]
    guess = None if found.lines else _number_behind(own, found.extra)
    if guess:
        series, position, more = guess
    # "Salt, Vol. 3 (Part 2)"
    part = first.part or second.part or next((each.position for each in found.lines if line and each.is_part), "")
    whole = f"{raw_title} : {raw_subtitle}"
    abridged = ABRIDGED.search(whole)
    return ParsedTitle(
        title=own[0],
        subtitle=": ".join(dict.fromkeys([*own[1:], *(text for text in found.extra if series_key(text) not in keys)])),
        series=re.sub(r"(?i)(?<=\w) series$", "", series).strip(" ,"),
        position=position,
        more=tuple(more),
        guessed=bool(guess and position),
        is_numbered=found.is_numbered or bool(found.lines and not line),
        maybe_position=found.maybe.position if found.maybe else "",
        is_contradictory=not part and _contradict(found.lines, found.contents[0]),
        abridged=abridged[1] is None if abridged else None,
        dramatised=bool(DRAMATISED.search(whole)),
        derived=bool(_DERIVED.search(whole)),
        bundle=bool(_BUNDLE.search(whole)) or parse_positions(position).is_set,
        part=part,
        editions=tuple(dict.fromkeys(first.editions + second.editions)),
    )


def _without_number(title: str, position: str) -> str:
    """ "Salt 2" with the subtitle "Book 2" is of "Salt"."""
    match = _TRAILING.fullmatch(title)
    return match["stem"].rstrip(" ,:-") if match and str(parse_positions(match["position"])) == position else title


def _arrange(first: _Field, second: _Field) -> _Arranged:
    """Which of the contents are the title, and which the subtitle."""
    if second.contents and second.lines and not any(line.series for line in second.lines):
        # "The Northern Years (Volume 1)" as a subtitle
        second.lines[0] = replace(second.lines[0], series=second.contents.pop())
    lines = [*second.lines, *first.lines]
    contents, extra = list(first.contents), list(second.contents)
    if not contents and extra and not any(line.is_volume for line in first.lines):
        contents, extra = extra, []
    maybe = next((line for line in first.lines if line.is_maybe_subtitle), None)
    if maybe and extra and not second.lines:
        # The whole title is the series: "Salt: The Northern Years, Book 2" with the title as subtitle.
        lines[0] = _Line(": ".join([*contents, maybe.series]), maybe.position, False)
        contents, extra, maybe = extra, [], None
    is_numbered = not contents
    if not contents:
        named = next((line.series for line in reversed(first.lines) if line.series), "")
        contents = [named or (first.text if first.text or not extra else extra.pop(0))]
    return _Arranged(contents, extra, lines, maybe, is_numbered)


def _number_behind(own: list[str], extra: list[str]) -> tuple[str, str, list[tuple[str, str]]] | None:
    """Series, position and further series of a bare number at the end of the title or subtitle."""
    for text in (own[-1], *extra[-1:], *(own[:1] if len(own) > 1 else ())):
        match = _TRAILING.fullmatch(text)
        if match and float(match["position"].split("-")[0]) <= MOST_VOLUMES:
            stem, position = match["stem"].rstrip(" ,:-"), str(parse_positions(match["position"]))
            if text is own[-1] and len(own) > 1:
                # "Salt: Kings of Glass 3" is of "Kings of Glass" or of the whole.
                return ": ".join([*own[:-1], stem]), position, [(stem, position)]
            return stem, position, []
    return None


def _contradict(lines: list[_Line], title: str) -> bool:
    numbers: dict[str, set[str]] = {}
    for line in lines:
        numbers.setdefault(series_key(line.series or title), set()).add(line.position)
    return any(len(each) > 1 for each in numbers.values())


@dataclass(frozen=True)
class _Line:
    series: str
    position: str
    is_volume: bool
    """Whether it says "Vol.", as light novels do, which have the series for their title."""
    is_maybe_subtitle: bool = False
    """Whether "Salt: The Glass, Book 3" may be volume 3 of Salt."""
    is_part: bool = False
    """Whether it is "Part 2" and names no series."""


@dataclass
class _Arranged:
    contents: list[str]
    extra: list[str]
    lines: list[_Line]
    maybe: _Line | None
    is_numbered: bool


@dataclass
class _Field:
    """The title or the subtitle: its contents, and the lines that name a series and a number."""

    text: str
    is_subtitle: bool = False
    contents: list[str] = field(default_factory=list)
    lines: list[_Line] = field(default_factory=list)
    editions: list[str] = field(default_factory=list)
    part: str = ""

    def __post_init__(self) -> None:
        text = BRACKETS.sub(self._bracket, self.text)
        text = re.sub(r"\s+([,:])", r"\1", " ".join(text.split())).strip(" ,-:")
        pieces = [piece.strip(" ,-") for piece in _SEPARATOR.split(text)]
        if len(pieces) > 1 and not re.search(r"[^\W\d_]", pieces[0]):
            # "2001: A Space Odyssey"
            pieces[:2] = [text[: text.index(pieces[1]) + len(pieces[1])]]
        for piece in pieces:
            if piece and not self._is_noise(BRACKETS.sub(" ", piece).strip() or piece) and not self._line(piece):
                self.contents.append(_ARTICLE_BEHIND.sub(r"\2 \1", piece))

    def _bracket(self, match: re.Match[str]) -> str:
        inside = next(group for group in match.groups() if group is not None).strip(" ,-")
        if not inside or _BRACKET_NOISE.fullmatch(inside) or self._is_noise(inside):
            return " "
        if re.fullmatch(r"1[5-9]\d\d|20\d\d", inside) and match.end() == len(self.text):
            return " "
        parts = [part.strip() for part in inside.split(";")]
        if all(self._line(part, in_brackets=True) for part in parts if part):
            return " "
        return match[0]

    def _is_noise(self, text: str) -> bool:
        if match := _PART_OF.fullmatch(text):
            self.part = f"{int(match[1])} of {int(match[2])}"
            return True
        if ABRIDGED.fullmatch(text) or (DRAMATISED.search(text) and len(text) <= MOST_VOLUMES):
            return True
        if _EDITION.fullmatch(text):
            self.editions.append(text)
            return True
        if (self.contents or self.is_subtitle) and _DESCRIPTION.fullmatch(text):
            return True
        return bool(_ADVERTISEMENT.fullmatch(text.rstrip("!.")))

    def _line(self, text: str, *, in_brackets: bool = False) -> bool:
        match = _ALONE.fullmatch(text)
        if match:
            if _PART_OF.fullmatch(text):
                return False
            self._add(match["series"] or "", match["position"], match["word"])
            return True
        if match := _INSIDE.fullmatch(text):
            self._add(match["series"], match["position"], match["word"])
            self.contents.append(match["title"].strip(" ,"))
            return True
        match = _LINE.fullmatch(text)
        if (
            in_brackets
            and match is None
            and (numbered := _TRAILING.fullmatch(text))
            and float(numbered["position"].split("-")[0]) <= MOST_VOLUMES
        ):
            self._add(numbered["stem"].strip(" ,-"), numbered["position"], "")
            return True
        word = (match["word"] or match["word2"] or match["word3"] or "") if match else ""
        if match is None or (not word and not in_brackets):
            return False
        series = match["series"].strip(" ,-")
        is_behind_colon = f": {text}" in self.text and not word.lower().startswith("vol")
        advertised = _ADVERTISED_SERIES.fullmatch(series)
        if advertised:
            series = advertised[1]
        if _ADVERTISEMENT.fullmatch(series):
            # "Light Novel, Vol. 3"; but "The Salt Road: A Fantasy Series, Book 3" is of "The Salt Road" if that is not the title.
            is_behind_series = series.lower().endswith(("series", "saga")) and len(self.contents) > (
                not self.is_subtitle
            )
            series = self.contents.pop() if is_behind_series else ""
        if not in_brackets and series and (word.lower().startswith("vol") or self.is_subtitle):
            # "Salt: Year 2, Vol. 3": the series is all that stands before, and so in a subtitle.
            series = ": ".join([*self.contents, series])
            self.contents.clear()
        self._add(series, match["position"], word, is_maybe_subtitle=not advertised and is_behind_colon)
        return True

    def _add(self, series: str, position: str, word: str, *, is_maybe_subtitle: bool = False) -> None:
        if numbers := str(parse_positions(position)):
            word = word.lower()
            is_part = word.startswith(("part", "pt")) and not series
            self.lines.append(_Line(series.strip(" ,-"), numbers, word.startswith("vol"), is_maybe_subtitle, is_part))
