"""The language that the words beside a recording are in: what people write into names and tags without thinking of it."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_MARKS = {
    r"\bhörbuch|\b(?:un)?gekürzte?\b|\bgelesen von\b|\bhörspiel\b|\bsprecher(?:in)?\b": {"de"},
    r"\bkapitel\b": {"de", "sv", "da", "no", "nb"},
    r"\blivre audio\b|\blu par\b|\bchapitre\b|\btexte intégral\b|\blivre lu\b": {"fr"},
    r"\baudiolibro\b": {"es", "it"},
    r"\ble[ií]do por\b|\bnarrado por\b|\bcapítulo\b": {"es", "pt", "gl"},
    r"\bletto da\b|\bcapitolo\b": {"it"},
    r"\bluisterboek\b|\bhoofdstuk\b|\bvoorgelezen door\b": {"nl"},
    r"\bljudbok\b|\buppläst\b|\binläsare\b": {"sv"},
    r"\bczyta\b|\brozdział\b": {"pl"},
}
_COMMON = {
    "en": "the and of to in is was that his her with for from",
    "de": "der die das und ist nicht mit ein eine den von zu im",
    "fr": "le la les et est une dans pas des du que qui pour",
    "es": "el los las y una por con del que para su es en",
    "it": "il gli che di una per con del della non sono è",
    "nl": "het een van en niet met zijn op voor dat de is",
}
"""The commonest words, by which a description is known for its language."""
_SCRIPTS = {
    "CYRILLIC": {"ru", "uk", "bg", "sr", "be", "mk"},
    "CJK": {"zh", "ja"},
    "HIRAGANA": {"ja"},
    "KATAKANA": {"ja"},
    "HANGUL": {"ko"},
    "ARABIC": {"ar", "fa", "ur"},
    "HEBREW": {"he", "yi"},
    "GREEK": {"el"},
    "DEVANAGARI": {"hi", "mr", "ne"},
}
_READ = 20_000
"""Characters."""


def tongues_of(text: str) -> set[str]:
    """Codes of the languages that it may be in; empty where it does not tell."""
    text = unicodedata.normalize("NFC", text[:_READ])
    if found := _by_script(text):
        return found
    marked = [codes for pattern, codes in _MARKS.items() if re.search(pattern, text, re.I)]
    if marked:
        return set().union(*marked)
    return set().union(*(_by_words(line) for line in text.splitlines()))


def _by_script(text: str) -> set[str]:
    letters = [letter for letter in text[:4000] if letter.isalpha()]
    scripts = Counter(unicodedata.name(letter, "").partition(" ")[0] for letter in letters if letter > "\u036f")
    for script, number in scripts.most_common(1):
        if number * 2 > len(letters):
            return _SCRIPTS.get(script, set())
    return set()


def _by_words(line: str) -> set[str]:
    words = re.findall(r"[^\W\d_]+", line.lower())
    if len(words) < 12:
        return set()
    counts = Counter({code: sum(word in known.split() for word in words) for code, known in _COMMON.items()})
    (best, most), (_, second) = counts.most_common(2)
    return {best} if most >= 0.15 * len(words) and most >= 2 * second else set()
