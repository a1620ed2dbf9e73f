"""What the name of a release or a folder says, in the forms in which people and programs write them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from audiobooks.facts import BookFacts, Contributor, SeriesPlace

from .names import asin, clean, isbn13, language_code, normalise, person, same_person, split_people
from .positions import parse_positions
from .titles import ABRIDGED, BRACKETS, DRAMATISED, ParsedTitle, parse_title, series_key

_AUDIO = "m4b|m4a|mp3|aac|flac|ogg|opus|wma|aax"
_TEXT = "epub|mobi|azw3?|pdf|cbr|cbz|djvu|lit|fb2|rtf|txt"
_SUFFIX = re.compile(rf"\.(?:{_AUDIO}|{_TEXT}|mp4|nzb|torrent)$", re.I)
_HUMPS = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z\d])|(?<=[A-Z])(?=[A-Z][a-z])")
_YEAR = re.compile(r"(?:1[5-9]|20)\d\d")
_READ_BY = re.compile(r"(?:narrated|read|performed)(?: by|:)\s+(.+)|narrators?:?\s+(.+)", re.I)
_AUDIO_WORD = re.compile(
    rf"\b(?:{_AUDIO}|audio ?books?|\d{{2,3}} ?k(?:bps)?|v0|un?abridged|chapter(?:ized|ised))\b", re.I
)
_TEXT_WORD = re.compile(rf"\b(?:{_TEXT}|e-?books?|retail)\b", re.I)
_NOISE_WORD = re.compile(
    rf"(?:{_AUDIO}|{_TEXT}|mp4|audio ?books?|e-?book|\d{{2,3}} ?k(?:bp|b)?s?|v0|vbr|cbr|(?:un)?abridged|retail|vip|"
    r"chapter(?:ized|ised)|by chap|freeleech|\d{1,4}(?:\.\d+)? ?[mg]i?b|\d{2} ?khz|\d\d? ?cds|\d\d?[.;:]\d\d[.;:]\d\d|cd ?rip|web|webrip|"
    r"(?:original |uncut |deluxe |special )edition|uncut|promo cd|complete|requested|nmr|enrich|lossless|tracks|multi|us|uk|v\d)",
    re.I,
)
# Of these only capitals are no part of a title: "The Salt Web", "The Rest of Us".
_MAY_END_TITLE = frozenset({"web", "us", "uk", "complete", "tracks", "multi", "opus", "lit"})
_TAIL = re.compile(rf"[\s,.-]+{_NOISE_WORD.pattern}$", re.I)
# "… 2015 M4B-GRP", where neither year nor group stands in brackets
_SCENE_TAIL = re.compile(rf"\s(?:{_NOISE_WORD.pattern})-\w{{2,15}}$", re.I)
# "… , read by Mara Quill", which needs no brackets
_READ_BY_TAIL = re.compile(r"[\s,-]+(?:narrated|read|performed) by\s+([^-–—]+)$", re.I)
# The folder of one disc is not that of a book.
_DISC = re.compile(r"(?:cd|dis[ck])[\s_-]?\d{1,2}", re.I)
_YEAR_TAIL = re.compile(rf"\s({_YEAR.pattern})$")
# One file of many: "The Glass Meridian - pt01.m4b"
_FILE_TAIL = re.compile(r"[\s-]+(?:pt|part|cd|dis[ck])[\s_]?\d\d+$", re.I)
# In the form of Prowlarr "by" is always before the author.
_PROWLARR = re.compile(r"\[[A-Z]{2,3} / [\w ]+\]")
_SEPARATOR = re.compile(r"\s+[-–—~]+\s+|\s*[–—]\s*")
_NUMBER_FIRST = re.compile(
    r"(?:#\s*|\[\s*)?(?:(?:vol(?:ume)?|book|bk|band|part)(?![^\W\d])\.?\s*)?#?(\d{1,3}(?:\.\d{1,2})?(?:-\d{1,3})?)\s*(?:\]|[.:)](?=\s|$)|-(?=\s)|(?<=\s)-(?=\S)|(?<=0\d)-(?=[A-Z]))\s*",
    re.I,
)
_PADDED_FIRST = re.compile(r"(0\d(?:\.\d)?|\d{1,2}\.\d)\s+(?=[^\W\d])")
# "Salt 03 The Glass Meridian", "Salt (3) The Glass Meridian"
_PADDED_INSIDE = re.compile(
    r"(?P<series>.*[^\W\d]\S*)\s+(?:#?(?P<position>0\d(?:\.\d)?)|[(\[]#?(?P<bracket>\d{1,2}(?:\.\d)?)[)\]])\s+(?P<title>[^\W\d].+)"
)
_PADDED_BEHIND = re.compile(r"(?P<series>.*[^\W\d]\S*)\s+(?P<position>0\d)")
_SIGN = re.compile(r"\b(?:vol(?:ume)?|books?|bk|band)\b|#|\b0\d", re.I)
_ONLY_NUMBER = re.compile(
    r"(?:vol(?:ume)?|book|bk|band|part|no)?\.?\s*#?\s*(\d{1,3}(?:\.\d{1,2})?(?:\s*-\s*\d{1,3})?)", re.I
)
# "JG-12", "SoM02": the letters of a series
_CODE = re.compile(r"[A-Z][A-Za-z]{0,3}-?(\d{1,2})")
_SERIES_NUMBER = re.compile(
    r"(?P<series>.*?[^\W\d].*?)[\s,]+(?:(?:vol(?:ume)?|book|books|bk|band)(?![^\W\d])\.?\s*)?#?(?P<position>\d{1,3}(?:\.\d{1,2})?(?:\s*-\s*\d{1,3})?)",
    re.I,
)
# Only within the folder of a series: "Book 3 The Glass Meridian", "3.The Glass Meridian"
_LABEL_FIRST = re.compile(
    r"(?:(?:vol(?:ume)?|book|bk|band|part)(?![^\W\d])\.?\s*(\d{1,3}(?:\.\d{1,2})?)\s+(?!of\b|in\b)|(\d{1,3})\.(?=[^\W\d]))(?=\S)",
    re.I,
)
_OF_AUTHOR_FOLDER = re.compile(r"[\s,-]+(?:collection|audio ?books?|books|library)$", re.I)
_BARE_FIRST = re.compile(r"(\d{1,2})\s+")
_OF_SERIES_FOLDER = re.compile(
    r"[\s,-]+(?:(?:books?|vols?)?\.?\s*\d+\s*-\s*\d+|series|collection|complete|unabridged|and|audio ?books?)$", re.I
)
# Words that no name of a person has, and most titles of the form of a name do.
_NOT_OF_NAMES = frozenset(
    {"the", "a", "an", "of", "and", "in", "on", "to", "for", "with", "at", "is", "my", "your", "book", "series", "from"}
    | {
        "how",
        "why",
        "what",
        "who",
        "i",
        "you",
        "we",
        "it",
        "no",
        "not",
        "novel",
        "edition",
        "collection",
        "saga",
        "part",
    }
    | {"vol", "volume", "trilogy", "chronicles", "by"}
)
_RARE_IN_NAMES = frozenset(
    {
        "new",
        "one",
        "two",
        "three",
        "dark",
        "red",
        "last",
        "first",
        "war",
        "world",
        "game",
        "games",
        "city",
        "house",
        "night",
    }
    | {
        "dead",
        "death",
        "life",
        "magic",
        "matter",
        "man",
        "girl",
        "fire",
        "ice",
        "star",
        "lost",
        "great",
        "big",
        "little",
    }
)


@dataclass
class _Found:
    author: str = ""
    narrators: tuple[str, ...] = ()
    asin: str = ""
    isbns: tuple[str, ...] = ()
    year: str = ""
    language: str = ""
    series: str = ""
    position: str = ""
    is_volume: bool = False
    """Whether the position stands as "Volume 3", and is no track."""
    words: list[str] = field(default_factory=list)
    """What titles keep, so that the comparison sees it: "Dramatized Adaptation", "Part 1 of 2"."""
    loose: list[str] = field(default_factory=list)
    """Brackets that may name the author."""


def parse_release(name: str) -> BookFacts:
    """Facts in "Title by Author [ENG / M4B] [VIP]", "Author - Series 03 - Title (2019) {Narrator} [B0…]", "Author-Title" …

    `name` may be a path: what is before the last "/" tells author and series. An author is only taken where a part of
    the name has the form of a person's; two such parts, and the first is the author. `is_audio` is False for an e-book's
    file type.
    """
    *folders, last = _path(clean(name)) or [""]
    if folders and _DISC.fullmatch(last):
        *folders, last = folders
    context = _Context.of(folders)
    text = _readable(_SUFFIX.sub("", last))
    if _SUFFIX.search(last):
        text = _FILE_TAIL.sub("", text)
    found = _Found(asin=_asin(text))
    if found.asin:
        text = re.sub(rf"[\[{{(]?\s*(?:ASIN[.:_ ]?\s*)?{found.asin}\s*[\]}})]?", " ", text, flags=re.I)
    text = BRACKETS.sub(lambda match: " " if _is_noise(_inside(match), found) else match[0], text)
    text = _without_tail(" ".join(text.split()))
    text = BRACKETS.sub(lambda match: _bracket(match, found), text)
    text = _without_tail(re.sub(r"\s+", " ", text).strip(" -,"))
    if (match := _READ_BY_TAIL.search(text)) and match.start() and looks_like_person(match[1]):
        found.narrators, text = found.narrators or _people(match[1]), text[: match.start()]
    if " " not in last and (scene := _SCENE_TAIL.search(text)) and scene.start():
        text = _without_tail(text[: scene.start()])
        if (year := _YEAR_TAIL.search(text)) and year.start():
            found.year, text = found.year or year[1], text[: year.start()]
    if context.series:
        if match := _ONLY_NUMBER.fullmatch(text):
            # "Book 3" in the folder "Salt"
            text = f"{context.series}, Book {match[1]}"
        elif (match := _LABEL_FIRST.match(rest := _behind(text, context.series))) and not _ONLY_NUMBER.fullmatch(
            rest[match.end() :].strip(" -,")
        ):
            text = rest
            found.position, text = match[1] or match[2], text[match.end() :]
        elif (match := _BARE_FIRST.match(text)) and series_key(text[match.end() :]) == series_key(context.series):
            found.position, text = match[1], text[match.end() :]
    parts = _parts(text, context, is_by_author=bool(_PROWLARR.search(last)))
    parts = _take_numbers(parts, context, found)
    title, author = _title_and_author(parts, context, found)
    parsed = parse_title(title, "; ".join(found.words))
    series = _series(parsed, context, found)
    return BookFacts(
        source="release",
        title=parsed.title,
        subtitle=": ".join(text for text in (parsed.subtitle, *found.words) if text),
        authors=tuple(Contributor(name=who) for who in _people(author)),
        narrators=found.narrators,
        series=series,
        language=found.language,
        abridged=abridged[1] is None if (abridged := ABRIDGED.search(last)) else None,
        released=found.year,
        asin=found.asin,
        isbns=found.isbns,
        is_audio=False
        if _TEXT_WORD.search(last) and not _AUDIO_WORD.search(last)
        else True
        if _AUDIO_WORD.search(last)
        else None,
    )


def _path(text: str) -> list[str]:
    """The parts of a path. A "/" with blanks round it, or within brackets, is none."""
    masked = BRACKETS.sub(lambda match: match[0].replace("/", "\0"), text)
    return [part.replace("\0", "/").strip() for part in re.split(r"(?<! )/|/(?! )", masked) if part.strip()]


def _readable(text: str) -> str:
    """Blanks for the dots, underscores and capitals of names that have none."""
    text = text.replace("_ ", ": ")
    if " " not in text:
        if "." in text and "_" not in text:
            # Not that of "2.5"; behind a year it is one.
            text = re.sub(r"(?<!\d)\.|\.(?!\d)|(?<=19\d\d)\.|(?<=20\d\d)\.", " ", text)
        text = text.replace("_", " ")
    if not any(" " in part for part in text.split(" - ")) and re.search(r"[a-z][A-Z]|[A-Z]{2}[a-z]{2}", text):
        text = _HUMPS.sub(" ", text)
    return " ".join(text.replace("_", " ").split())


def _behind(text: str, series: str) -> str:
    """The text without the series at its start, where "Book 2 The Glass Meridian" goes on."""
    return text[len(series) :].lstrip(" ,-") if text.lower().startswith(series.lower()) else text


def _asin(text: str) -> str:
    return asin(text) if re.search(r"B0[0-9A-Z]{8}", text, re.I) else ""


def _inside(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group is not None).strip()


def _bracket(match: re.Match[str], found: _Found) -> str:
    text = _inside(match)
    if read_by := _READ_BY.fullmatch(text):
        found.narrators = split_people(read_by[1] or read_by[2])
    elif _YEAR.fullmatch(text):
        found.year = found.year or text
    elif number := isbn13(text):
        found.isbns = (*found.isbns, number)
    elif DRAMATISED.search(text) or re.fullmatch(r"part \d+ of \d+", text, re.I):
        found.words.append(text)
    elif match[0][0] == "{":
        found.narrators = found.narrators or split_people(text)
    elif _series_in(text, found, bare_number=match[0][0] == "["):
        pass
    elif match[0][0] == "[" and parse_positions(text) and match.start() == 0:
        return f"{text} - "
    elif BRACKETS.sub("", match.string[match.end() :]).strip() and match.start() > 0 and match[0][0] == "(":
        return match[0]
    else:
        found.loose.append(text)
    return " "


def _is_noise(text: str, found: _Found) -> bool:
    """Whether the bracket has only formats, sizes, languages and the like, whose language is kept."""
    pieces = [piece.strip() for piece in re.split(r"[/,|+&]|\s-\s", text)]
    if not any(pieces):
        return True
    codes = [
        language_code(piece)
        if (piece.isupper() and piece not in ("CD", "US", "UK", "WEB", "VIP")) or len(piece) > 4
        else ""
        for piece in pieces
    ]
    found.language = found.language or next((code for code in codes if code), "")
    words = [
        not piece or bool(code) or all(map(_NOISE_WORD.fullmatch, piece.split())) or bool(_NOISE_WORD.fullmatch(piece))
        for piece, code in zip(pieces, codes, strict=True)
    ]
    return any(words) and (all(words) or len(pieces) > 1)


def _series_in(text: str, found: _Found, *, bare_number: bool) -> bool:
    """Series and position of "Salt #3", "Salt, Book 3", and in square brackets or with a zero also of "Salt 03"."""
    parsed = parse_title("-", text)
    if not parsed.series or parsed.guessed:
        match = _SERIES_NUMBER.fullmatch(text)
        if match is None or not (bare_number or parse_positions(match["position"])):
            return False
        series, position = match["series"].strip(" ,"), match["position"]
    else:
        series, position = parsed.series, parsed.position
    if not found.series and series != "-":
        found.series, found.position = series, position
    return True


def _without_tail(text: str) -> str:
    while (match := _TAIL.search(text)) and match.start() > 2:
        word = match[0].strip(" ,.-")
        if word.lower() in _MAY_END_TITLE and (not word.isupper() or text.isupper()):
            break
        text = text[: match.start()].rstrip(" -,")
    return text


@dataclass(frozen=True)
class _Context:
    """What the folders above say."""

    author: str = ""
    series: str = ""

    def is_author(self, part: str) -> bool:
        one, other = person(part), person(self.author)
        return bool(one and other and same_person(one, other) >= 0.7)

    @classmethod
    def of(cls, folders: list[str]) -> _Context:
        author = series = ""
        for folder in folders:
            text = _readable(BRACKETS.sub(" ", folder)).strip(" ~")
            # "Ilse Varga-Reed" is a folder of one person, while "Ilse Varga-Salt" is a book.
            whole = _OF_AUTHOR_FOLDER.sub("", text)
            parts = [whole] if looks_like_person(whole) else _author_first(text)
            if parts and (folder is folders[0] or not author) and looks_like_person(parts[0]):
                author, parts, series = parts[0], parts[1:], ""
            if parts and (len(folders) > 1 or author) and parts[-1] != author:
                series = parts[-1]
                while (match := _OF_SERIES_FOLDER.search(series)) and match.start():
                    series = series[: match.start()]
        return cls(author, series)


def _author_first(text: str) -> list[str]:
    """The parts of the folder of a series, which is "Ilse Varga - Salt", "Ilse Varga, Salt Series", "Salt by Ilse Varga", "Salt - Ilse Varga"."""
    if not _SEPARATOR.search(text):
        for author, rest in (text.rpartition(" by ")[::-2], text.partition(", ")[::2]):
            if rest and looks_like_person(author):
                return [author, rest]
    parts = _split(text)
    if len(parts) > 1 and not looks_like_person(parts[0]) and looks_like_person(parts[-1]):
        return [parts[-1], *parts[:-1]]
    return parts


def _split(text: str) -> list[str]:
    parts = [part.strip(" -,") for part in _SEPARATOR.split(text)]
    if len(parts) == 1 or (
        len(parts) == 2 and looks_like_person(parts[0].partition("-")[0]) and not looks_like_person(parts[0])
    ):
        head, *rest = parts
        # "Ilse Varga-Salt": only behind a name is a bare dash no hyphen, and "Ilse Varga-Reed - Salt" has it in the name.
        for first, _, other in (head.rpartition("-"), head.partition("-")):
            if looks_like_person(first) and other and (not rest or " " in other):
                spaced = re.split(r"-(?=#?\d+(?:\.\d+)?-)|(?<=\d)-", other)
                return [first.strip(), *(part.strip(" -") for part in spaced if part.strip(" -")), *rest]
    return [part for part in parts if part]


def _parts(text: str, context: _Context, *, is_by_author: bool) -> list[str]:
    parts = [part for part in _SEPARATOR.split(text) if part]
    title, by, author = text.rpartition(" by ")
    if by and looks_like_person(author) and (is_by_author or not (len(parts) > 1 and looks_like_person(parts[0]))):
        return [author, *(part for part in _SEPARATOR.split(title) if part)]
    parts = _split(text)
    if len(parts) == 1 and context.author and normalise(text).startswith(normalise(context.author) + " "):
        return [context.author, text[len(context.author) :].strip(" -")]
    return parts


def _take_numbers(parts: list[str], context: _Context, found: _Found) -> list[str]:
    """The parts without years and numbers; a part "Salt 03" before the last is a series, unless no title were left."""
    left: list[str] = []
    taken: list[tuple[int, re.Match[str]]] = []
    numbers = [part for part in parts if len(parts) > 1 and re.fullmatch(r"[\d.]+", part)]
    texts = [at for at, part in enumerate(parts) if not (_YEAR.fullmatch(part) or _ONLY_NUMBER.fullmatch(part))]
    for at, part in enumerate(parts):
        if _YEAR.fullmatch(part) and len(parts) > 1 and not found.year:
            found.year = part
        elif len(parts) > 1 and (match := _ONLY_NUMBER.fullmatch(part) or _CODE.fullmatch(part)):
            found.position = found.position or match[1]
            found.is_volume = found.is_volume or bool(re.match(r"[vb]", part, re.I))
            if at and left and not found.series and len(left) > 1:
                found.series = left.pop()
        elif at < max(texts, default=0) and (match := _SERIES_NUMBER.fullmatch(part)):
            taken.append((len(left), match))
        elif match := _PADDED_INSIDE.fullmatch(part):
            found.series, found.position = match["series"], match["position"] or match["bracket"]
            left.append(match["title"])
        elif len(left) > 1 and at == len(parts) - 1 and (match := _PADDED_BEHIND.fullmatch(part)):
            found.series, found.position = match["series"], match["position"]
        else:
            if " " not in part and len(re.findall(r"[A-Z][a-z]+", part)) > 2:
                part = _HUMPS.sub(" ", part)
            match = _NUMBER_FIRST.match(part) or _PADDED_FIRST.match(part)
            if match and match.end() < len(part) and not _YEAR.fullmatch(match[1]):
                found.position = found.position or match[1]
                part = part[match.end() :].strip()
            left.append(part)
    # Where no folder names the author, a name alone is that.
    is_author = context.is_author if context.author else looks_like_person
    is_untitled = not left or (len(left) == 1 and is_author(left[0]))
    if is_untitled and numbers and not taken and not (left and context.author):
        # "1984 - Ilse Varga"
        left.append(numbers[-1])
        found.year, found.position = found.year.replace(numbers[-1], ""), found.position.replace(numbers[-1], "")
    if is_untitled and taken:
        # "Salt 3 - Ilse Varga", and of "Apollo 13 - Salt 03 - Ilse Varga" that which has a number without a sign.
        title = next((each for each in reversed(taken) if not _SIGN.search(each[1][0])), taken[-1])
        taken.remove(title)
        left.insert(title[0], title[1][0])
    if taken:
        # Of "Cosmere 7 - Salt 1 - Title" the last is the nearest.
        found.series, found.position = taken[-1][1]["series"].strip(" ,"), taken[-1][1]["position"]
    return left


def _title_and_author(parts: list[str], context: _Context, found: _Found) -> tuple[str, str]:
    if context.series:
        kept = [part for part in parts if series_key(part) != series_key(context.series)]
        # The first volume of a series is often named like it, or stands in its folder without a name of its own.
        last = parts[-1] if parts else context.series
        parts = kept if any(not context.is_author(part) for part in kept) else [*(p for p in kept if p != last), last]
    if context.author:
        author = next((part for part in parts if context.is_author(part)), "")
        rest = [part for part in parts if part != author] if author and len(parts) > 1 else parts
        return " - ".join(rest), author or context.author
    if len(parts) > 1:
        people = [at for at in (0, -1) if looks_like_person(parts[at])]
        people.sort(key=lambda at: bool(_RARE_IN_NAMES.intersection(normalise(parts[at]).split())))
        if people:
            author = parts[people[0]]
            return " - ".join(part for part in parts if part is not author), author
    author = next((text for text in reversed(found.loose) if looks_like_person(text)), "")
    return " - ".join(parts), author if len(author.split()) > 1 else ""


def _series(parsed: ParsedTitle, context: _Context, found: _Found) -> tuple[SeriesPlace, ...]:
    """The nearest: as the title says it, the name, the folder. "Salt, Volume 3" in a folder is volume 3 of that as well."""
    is_of_title = series_key(parsed.series) == series_key(parsed.title)
    places = []
    if parsed.series and not parsed.guessed:
        places.append((parsed.series, parsed.position))
        if context.series and is_of_title:
            places.append((context.series, parsed.position))
    elif found.series:
        places.append((found.series, found.position))
    elif context.series and not parsed.series and (found.position or not _is_folder_of_title(parsed.title, context)):
        places.append((context.series, found.position))
    elif parsed.series:
        places.append((parsed.series, parsed.position))
    elif found.is_volume and parsed.title:
        places.append((parsed.title, found.position))
    each = {series_key(name): SeriesPlace(name=name, position=position) for name, position in reversed(places)}
    return tuple(reversed(each.values()))


def _is_folder_of_title(title: str, context: _Context) -> bool:
    return series_key(title) == series_key(context.series)


def _people(text: str) -> tuple[str, ...]:
    """As split_people; but in a name "Varga, Ilse Marie" is one person, since nobody is listed there by a last name alone."""
    last, _, first = text.partition(",")
    if len(last.split()) == 1 and _GIVEN.fullmatch(first) and normalise(first).split()[-1] not in _AFTER_LAST:
        text = f"{first.strip()} {last}"
    return split_people(text)


_GIVEN = re.compile(r"\s*[^\W\d][\w.'’-]*(?:\s[^\W\d][\w.'’-]*){0,2}\s*")
_AFTER_LAST = frozenset({"jr", "sr", "ii", "iii", "iv", "phd"})


def looks_like_person(text: str) -> bool:
    """Whether text, maybe a list of people, has the form of names: two to four words, capitals, none of the words of titles."""
    names = () if _SEPARATOR.search(text) else _people(text)
    return 0 < len(names) <= 5 and all(map(_is_name, names))


def _is_name(text: str) -> bool:
    words = re.sub(r"\.(?=\S)", ". ", text.replace(",", " ")).split()
    if words and words[0] in ("A", "I", "a", "i"):
        return False
    if not 2 <= len(words) <= 5 or any(character.isdigit() for character in text) or re.search(r"[!?:#]", text):
        return False
    if any(normalise(word) in _NOT_OF_NAMES for word in words if len(word.strip(".")) > 1):
        return False
    return sum(not word[0].isupper() for word in words) <= (1 if len(words) > 2 else 0) or text.islower()
