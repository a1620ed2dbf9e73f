"""TO BE REPLACED AT THE MERGE by the full version: only what `audiobooks.library` needs until then."""

from __future__ import annotations

import re

_LANGUAGES = {
    "da": "danish dansk",
    "de": "german deutsch ger deu",
    "en": "english eng en-us en-gb",
    "es": "spanish español spa",
    "fi": "finnish suomi fin",
    "fr": "french français fra fre",
    "it": "italian italiano ita",
    "ja": "japanese jpn",
    "nl": "dutch nederlands nld dut",
    "no": "norwegian norsk nor",
    "pl": "polish polski pol",
    "pt": "portuguese português por",
    "ru": "russian rus",
    "sv": "swedish svenska swe",
    "zh": "chinese zho chi",
}
_CODES = {name: code for code, names in _LANGUAGES.items() for name in (code, *names.split())}


def language_code(text: str) -> str:
    """ISO 639-1 of a language's name or code; empty is unknown."""
    return _CODES.get(text.strip().casefold(), "")


def isbn13(text: str) -> str:
    """The ISBN-13 of an ISBN-10 or ISBN-13 whose check digit is right; empty otherwise."""
    plain = re.sub(r"[\s-]", "", text).upper()
    if re.fullmatch(r"[0-9]{9}[0-9X]", plain):
        digits = [10 if each == "X" else int(each) for each in plain]
        if sum(digit * (10 - place) for place, digit in enumerate(digits)) % 11:
            return ""
        stem = "978" + plain[:9]
        return stem + str(-_weighted(stem) % 10)
    if re.fullmatch(r"97[89][0-9]{10}", plain) and _weighted(plain) % 10 == 0:
        return plain
    return ""


def _weighted(digits: str) -> int:
    return sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits))


def asin(text: str) -> str:
    """Ten characters in upper case; empty for anything else."""
    plain = text.strip().upper()
    return plain if re.fullmatch(r"B[0-9A-Z]{9}|[0-9]{9}[0-9X]", plain) else ""
