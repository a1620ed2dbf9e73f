"""Spellings of one thing brought together: words, people, languages, ISBN and ASIN."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

import langcodes
from rapidfuzz.distance import OSA

LENGTH = 500
"""Characters that are read of any text; what is longer is no name, and some files have megabytes in one tag."""
MOST_PEOPLE = 50
"""People that are read of any list; an anthology has as many."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FOLDED = str.maketrans(
    {"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "&": " and ", "꞉": " "}
)
_SIGNS = {number: " " for number in range(128) if not chr(number).isalnum()}
# Within a word these stand for nothing: "Wizard's" is written "Wizards" in file names.
_APOSTROPHES = re.compile(r"['’‘ʼ`´]")


def clean(text: str) -> str:
    """NFC, one blank for many, the start of what is too long, and the colon for the letters that stand for it in file names."""
    text = text[: 4 * LENGTH].replace("꞉", ":").replace("\0", " ")
    return " ".join(unicodedata.normalize("NFC", text).split())[:LENGTH]


@lru_cache(16384)
def normalise(text: str) -> str:
    """Words without case, accents and punctuation, one blank between them.

    Marks are taken from Latin and Greek letters only: in Cyrillic, Japanese or Hindi they make another letter. A text of
    nothing but signs stays as it is, so that it is not taken for an empty one.
    """
    text = clean(text)
    decomposed = unicodedata.normalize("NFKD", text).casefold().translate(_FOLDED)
    plain = _APOSTROPHES.sub("", decomposed)
    return " ".join(_letters(plain).split()) or text.casefold()


def _letters(plain: str) -> str:
    """Without marks, and with a blank for each sign."""
    if plain.isascii():
        return plain.translate(_SIGNS)
    letters: list[str] = []
    base = ""
    for letter in plain:
        if not unicodedata.combining(letter):
            base = letter
        elif base < "\u0400" or not base.isalnum():
            continue
        letters.append(letter if letter.isalnum() or unicodedata.category(letter).startswith("M") else " ")
    return unicodedata.normalize("NFC", "".join(letters))


_ARTICLES = _words("the a an der die das le la les el los las il lo")


def without_article(words: tuple[str, ...]) -> tuple[str, ...]:
    """The words without an article before them, unless there is nothing else."""
    return words[1:] if len(words) > 1 and words[0] in _ARTICLES else words


# --- people -------------------------------------------------------------------------------------------------------

_ROLE_WORDS = (
    r"translat\w+|editors?|edit(?:ed|ing)|introductions?|introducer|forewords?|prefaces?|afterwords?|adapt\w+|"
    r"illustrat\w+|contribut\w+|narrat\w+|readers?|performers?|creators?|director|producer|compil\w+|essay|full cast|authors?|writers?"
)
_ROLE = re.compile(rf"\s*(?:-\s*|[–—]\s*|\()(?P<role>{_ROLE_WORDS})\b[^()]*\)?$", re.I)
_BEFORE = re.compile(r"^(?:(?:written |read |narrated |performed |translated )?by|narrators?:|authors?:)\s+", re.I)
_SEPARATORS = re.compile(r"\s*[;|\0]\s*|\s*/\s*|\s+(?:&|and|with|und|et)\s+", re.I)
_GENERATION = _words("jr sr ii iii iv")
_TITLES = _words("dr prof professor sir dame lady lord rev mr mrs ms phd md esq dds ma ba jd mba psyd edd cbe obe")
_PHD = re.compile(r"\b(ph|psy|ed) d\b")
# Before a name they are initials: "JD Robb".
_DEGREES = _words("jd ma ba md")
_AFTER_NAME = re.compile(r"\s*(?:jr|sr|ii|iii|iv|ph\.?\s?d|m\.?d|esq|j\.?d|mba|obe|cbe)\b\.?\s*$", re.I)
_PARTICLES = _words("le la de del della di da van von der den du des st saint mac mc al el ter ten o")
_NOBODY = frozenset(
    {"full cast", "a full cast", "multiple narrators", "various narrators", "various", "various authors", "unknown"}
    | {"various artists", "unknown author", "unknown narrator", "anonymous", "narrator", "author", "n a", "none", "va"}
    | {"uncredited", "others", "more", "et al", "graphicaudio", "graphic audio", "the great courses", "virtual voice"}
)


def split_people(text: str) -> tuple[str, ...]:
    """The people that one text lists, each once, in order and as "First Last", with their roles.

    "Varga, Ilse" is one person and "Ilse Varga, Tomas Reed" are two; so is "Prince, Sting" one, which nobody can tell.
    """
    names: list[str] = []
    plain = " ".join(unicodedata.normalize("NFC", text[: 4 * LENGTH]).replace("\0", ";").split())
    for part in _SEPARATORS.split(_BEFORE.sub("", plain)):
        names += _of_commas([piece.strip() for piece in part.split(",") if piece.strip()])
    return tuple(dict.fromkeys(name for name in names if name))[:MOST_PEOPLE]


def _of_commas(pieces: list[str]) -> list[str]:
    joined: list[str] = []
    for piece in pieces:
        if joined and _AFTER_NAME.fullmatch(piece):
            joined[-1] += f", {piece}"
        else:
            joined.append(piece)
    if len(joined) != 2:
        return joined
    last, first = joined
    particles, given = normalise(last).split()[:-1], first.split()
    # "J. R. R." and "Kathryn" stand behind a last name; "Tomas Reed" is another person.
    is_given = all(len(word.strip(".")) == 1 for word in given[1:])
    return [f"{first} {last}"] if is_given and _PARTICLES.issuperset(particles) else joined


@dataclass(frozen=True)
class Person:
    """A name in comparable form.

    last: its last word; given: the words before; generation: "jr" and the like, empty where none is named;
    role: what else than author or narrator the person was, empty for those two.
    """

    last: str
    given: tuple[str, ...]
    generation: str = ""
    role: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        return (*self.given, self.last)


@lru_cache(8192)
def person(name: str) -> Person | None:
    """None where it names nobody: "full cast", "Various", nothing."""
    text = clean(name)
    role = ""
    if match := _ROLE.search(text):
        role, text = match["role"].lower(), text[: match.start()]
    # "J.K.Rowling", "Leonard L.Martin": a point divides as a blank does.
    words = _PHD.sub(r"\1d", normalise(_BEFORE.sub("", text).replace(".", ". "))).split()
    generation = next((word for word in words[1:] if word in _GENERATION), "")
    plain = _without_titles(word for word in words if word != generation) or words
    if not plain or not text.strip() or " ".join(plain) in _NOBODY:
        return None
    if "," in text and len(pair := split_people(text)) == 1 and not _AFTER_NAME.search(text):
        plain = _without_titles(normalise(pair[0].replace(".", ". ")).split())
    *given, last = plain
    return Person(
        last, tuple(given), generation, "" if role.startswith(("narrat", "read", "perform", "author", "writ")) else role
    )


def _without_titles(words: Iterable[str]) -> list[str]:
    return [word for at, word in enumerate(words) if word not in _TITLES or (at == 0 and word in _DEGREES)]


def people(names: Iterable[str]) -> tuple[Person, ...]:
    """Those who wrote or read; translators and the like only where nobody else is named."""
    found = [who for name in list(names)[:MOST_PEOPLE] if (who := person(name))]
    return tuple(dict.fromkeys([who for who in found if not who.role] or found))


@lru_cache(16384)
def same_person(a: Person, b: Person) -> float:
    """0 other people, 1 the same; between: a typing error, a last name alone, initials only."""
    if a.generation and b.generation and a.generation != b.generation:
        return 0.0
    if a.words == b.words or "".join(a.words) == "".join(b.words):
        return 1.0
    if not a.given or not b.given:
        # "Tolkien" for "J. R. R. Tolkien"; a pen name of one word is nobody's last name.
        return 0.7 if a.last == b.last else 0.0
    if sorted(a.words) == sorted(b.words):
        return 0.95
    shorter, longer = sorted((a.words, b.words), key=len)
    if longer[-len(shorter) :] == shorter and len(shorter[0]) > 1:
        # "García Márquez" for "Gabriel García Márquez"
        return 0.9
    a, b = _with_particles(a), _with_particles(b)
    last = 1.0 if a.last == b.last else 0.9 if _misspelt(a.last, b.last) else 0.0
    return last * _given_agree(a.given, b.given)


def _with_particles(who: Person) -> Person:
    """ "Ursula K. Le Guin" as "Ursula K. LeGuin" is written."""
    at = len(who.given)
    while at > 1 and who.given[at - 1] in _PARTICLES:
        at -= 1
    return replace(who, last="".join((*who.given[at:], who.last)), given=who.given[:at]) if at < len(who.given) else who


def _given_agree(a: tuple[str, ...], b: tuple[str, ...]) -> float:
    if a[0] == b[0]:
        # A middle name may be missing on one side, but two that differ are two people.
        return 0.95 if all(x == y for x, y in zip(_initials(a[1:]), _initials(b[1:]), strict=False)) else 0.5
    if "".join(word[0] for word in a) == "".join(b) or "".join(word[0] for word in b) == "".join(a):
        return 0.95
    if len(a[0]) == 1 or len(b[0]) == 1:
        return 0.9 if a[0][0] == b[0][0] else 0.0
    is_same_middle = all(x == y for x, y in zip(_initials(a[1:]), _initials(b[1:]), strict=False))
    if is_same_middle and _sound(a[0]) == _sound(b[0]):
        return 0.9
    if is_same_middle and (a[0].startswith(b[0]) or b[0].startswith(a[0])):
        # "Dan Reed" and "Daniel C. Reed", "Steve" and "Steven"
        return 0.85
    if a[1:] and _initials(a[1:]) == _initials(b[1:]) and a[0][0] == b[0][0] and OSA.distance(a[0], b[0]) == 1:
        # "Ian M." and "Iain M."
        return 0.85
    if is_same_middle and _misspelt(a[0], b[0]):
        return 0.85
    # "Mike" and "Michael": an initial is all that such a name has in common with the other.
    return 0.6 if is_same_middle and a[0][0] == b[0][0] else 0.0


def _initials(words: tuple[str, ...]) -> str:
    """Those of "Ronald Reuel", "R R" and "RR"."""
    return "".join(words) if words and max(map(len, words)) <= 2 else "".join(word[0] for word in words)


_SOUNDS = (
    ("ph", "f"), ("v", "f"), ("w", "f"), ("x", "ks"), ("kh", "h"), ("tz", "z"), ("th", "t"), ("sch", "sh"), ("hn", "n"),
    ("ck", "k"), ("c", "k"), ("j", "i"), ("y", "i"), ("ie", "i"), ("ii", "i"), ("oe", "o"), ("ue", "u"), ("z", "s"),
)  # fmt: skip


@lru_cache(8192)
def _sound(word: str) -> str:
    """What spellings and transliterations of one name have in common: Steven and Stephen, Dostoyevsky and Dostojewski."""
    for letters, sound in _SOUNDS:
        word = word.replace(letters, sound)
    return re.sub(r"(.)\1+", r"\1", re.sub(r"(?<=..)[eh]$", "", word))


def typing_error(a: str, b: str) -> bool:
    return OSA.distance(a, b) <= _errors_in(a, b)


@lru_cache(8192)
def _misspelt(a: str, b: str) -> bool:
    return typing_error(a, b) or OSA.distance(_sound(a), _sound(b)) <= _errors_in(a, b)


def _errors_in(a: str, b: str) -> int:
    """So many letters may differ in words of that length; in short ones none may, and no two are equal then."""
    longest = max(len(a), len(b))
    return -1 if longest < 5 else 2 if longest >= 9 else 1


# --- languages ----------------------------------------------------------------------------------------------------

_OF_AUDIBLE = {"mandarin chinese": "zh", "simplified chinese": "zh", "traditional chinese": "zh", "mandarin": "zh"}
_NO_LANGUAGE = frozenset({"und", "mul", "zxx", "mis", "xx", "multilingual", "unknown", "other"})


@lru_cache(1024)
def language_code(text: str) -> str:
    """ISO 639-1 (639-3 where that has none) of a code, a tag or a name ("eng", "de-DE", "German", "Deutsch"), else ""."""
    text = clean(text[:60]).lower().replace("_", " ").split("(")[0].split(";")[0].strip(" .,")
    if text in _OF_AUDIBLE:
        return _OF_AUDIBLE[text]
    if not text or text in _NO_LANGUAGE or not text[0].isalpha():
        return ""
    try:
        if re.fullmatch(r"[a-z]{2,3}(?:[- ][a-z]{2,4})?", text):
            found = langcodes.Language.get(text.replace(" ", "-"))
            if found.is_valid():
                return found.language or ""
        found = langcodes.find(text)
    except (LookupError, ValueError):
        return ""
    # The search takes "retail" for Retta: what it finds must be called so, in itself or in a language of the marketplaces.
    names = {found.autonym(), *(found.language_name(speaker) for speaker in ("en", "de", "fr", "es", "it", "pt", "nl"))}
    return (found.language or "") if normalise(text) in map(normalise, names) else ""


# --- identifiers --------------------------------------------------------------------------------------------------

_ISBN_NAME = re.compile(r"^\W*(?:urn:)?isbn(?:[- ]?1[03])?\W*", re.I)
_ASIN_INSIDE = re.compile(r"(?<![0-9A-Z])B0[0-9A-Z]{8}(?![0-9A-Z])")
_ASIN_WHOLE = re.compile(r"B(?=.*\d)[0-9A-Z]{9}")


def isbn13(text: str) -> str:
    """ISBN-13 of an ISBN-10 or -13 in any dress (`="0-306-40615-2"`), "" where there is none or its check digit is wrong."""
    return _isbn13(text[:60])


@lru_cache(8192)
def _isbn13(text: str) -> str:
    digits = re.sub(r"[^0-9X]", "", _ISBN_NAME.sub("", text).upper())
    if re.fullmatch(r"\d{9}[\dX]", digits):
        values = [10 if digit == "X" else int(digit) for digit in digits]
        if sum(weight * value for weight, value in zip(range(10, 0, -1), values, strict=True)) % 11:
            return ""
        return f"978{digits[:9]}{_check_digit('978' + digits[:9])}"
    if re.fullmatch(r"97[89]\d{10}", digits) and digits[-1] == _check_digit(digits[:12]):
        return digits
    return ""


def _check_digit(twelve: str) -> str:
    return str(-sum(int(digit) * (3 if at % 2 else 1) for at, digit in enumerate(twelve)) % 10)


def asin(text: str) -> str:
    """The ASIN that the text is or has in it, else "". Audible also uses an ISBN-10 as one, which must be the whole text."""
    text = text[: 4 * LENGTH].upper().strip()
    if _ASIN_WHOLE.fullmatch(text) or (re.fullmatch(r"[0-9]{9}[0-9X]", text) and isbn13(text)):
        return text
    match = _ASIN_INSIDE.search(text)
    return match[0] if match and re.search(r"\d", match[0][2:]) else ""
