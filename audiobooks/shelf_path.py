"""Where a book stands on the shelf: a path made of what is known of it, whatever a title or a tag says."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter

from .facts import BookFacts
from .library.folder import reads_as_part
from .matching.positions import parse_positions

FIELDS = (
    "author",
    "authors",
    "series",
    "position",
    "title",
    "subtitle",
    "narrator",
    "narrators",
    "year",
    "asin",
    "language",
)
NAME_BYTES = 255
"""Of one name, in UTF-8, on most file systems."""
TARGET_BYTES = 500
"""Of the whole path to a book, so that those of its files can be recorded, too."""
_NAMES = 3
"""People of `authors` and `narrators` that are named."""

_DEVICE = re.compile(r"^(con|prn|aux|nul|conin\$|conout\$|clock\$|(?:com|lpt)[0-9¹²³])(?=\s*(?:\.|$))", re.I)
"""Names that Windows keeps for devices, whatever ending they have (learn.microsoft.com, "Naming Files, Paths, and Namespaces")."""
_SIGNS = str.maketrans(
    {"/": "-", "\\": "-", "|": "-", "<": "(", ">": ")", '"': "'", "?": "", "*": "", ":": "꞉", "⁄": "-"}
    | {"∕": "-", "／": "-", "＼": "-"}
)
# The scan reads this letter as the colon that it stands for.
_COLON = re.compile(r"\s*[:꞉]\s+")
_EDGE = " .\u00a0"
_FIRST = " .-–—~\u00a0"


class BadTemplate(ValueError):
    """SHELF_PATH cannot be used; the message says why."""


def target_for(template: str, facts: BookFacts) -> str:
    """The path of the book's folder below the library's, such as "Ilse Varga/Salt/03 - The Glass Meridian {Mara Quill}".

    Parts of the template whose fields are empty vanish with what stands between them. A folder without a field stays.

    Raises:
        BadTemplate: it names a field that there is not, leaves out the title, or has a folder of no name.
    """
    values = _values(facts)
    components = [_parsed(part) for part in template.split("/") if part.strip()]
    if not any(piece.field == "title" for piece in (components[-1] if components else [])):
        raise BadTemplate("The last part of SHELF_PATH has to hold {title}.")
    most = min(NAME_BYTES - 8, TARGET_BYTES // len(components))
    names = [_rendered(component, values, most) for component in components]
    return "/".join(name for name in names if name)


def safe_name(text: str, *, most: int = NAME_BYTES) -> str:
    """One name that every file system takes and no program takes for something else; empty where nothing is left of it."""
    name = _clean(text).translate(_SIGNS)
    name = " ".join(name.split()).lstrip(_FIRST).rstrip(_EDGE)
    name = _DEVICE.sub(r"\1_", name)
    if len(name.encode()) > most:
        name = _cut(name, most).rstrip(_EDGE)
    return name + "_" if name and reads_as_part(name) else name


def _clean(text: str) -> str:
    """NFC, without what is not seen: controls, marks of direction, halves of characters."""
    text = unicodedata.normalize("NFC", text[:4000])
    seen = (" " if unicodedata.category(letter) in ("Zl", "Zp") or letter in "\t\n\r" else letter for letter in text)
    return "".join(letter for letter in seen if unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Cn", "Co"))


def _cut(name: str, most: int) -> str:
    """So many bytes at most, and no letter without its marks."""
    kept = name.encode()[:most].decode("utf-8", "ignore")
    rest = name[len(kept) :]
    while kept and rest and unicodedata.combining(rest[0]):
        rest, kept = kept[-1] + rest, kept[:-1]
    return kept


# --- the template -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Piece:
    """A field with what stands before it if it is not the first, and the brackets that are its own.

    Of a folder without a field it is all that stands `before` none.
    """

    field: str
    between: str
    before: str
    behind: str


def _parsed(component: str) -> list[_Piece]:
    fields: list[str] = []
    texts = [""]
    try:
        for text, name, _, _ in Formatter().parse(component):
            texts[-1] += text
            if name is not None:
                if name not in FIELDS:
                    raise BadTemplate(f"SHELF_PATH names {{{name}}}. There are: {', '.join(FIELDS)}.")
                fields.append(name)
                texts.append("")
    except ValueError as error:
        if isinstance(error, BadTemplate):
            raise
        raise BadTemplate(f"SHELF_PATH cannot be read ({error}). A brace itself is written twice: {{{{.") from None
    if not fields:
        if not safe_name(texts[0]):
            raise BadTemplate(f"SHELF_PATH has the folder “{component}”, and none can be called so.")
        return [_Piece("", "", texts[0], "")]
    pieces = []
    for at, name in enumerate(fields):
        start = texts[at] if at == 0 else texts[at].lstrip(")]}")
        opened = start[len(start.rstrip("([{")) :] if at else start
        last = texts[at + 1]
        closed = last if at == len(fields) - 1 else last[: len(last) - len(last.lstrip(")]}"))]
        pieces.append(_Piece(name, start[: len(start) - len(opened)], opened, closed))
    return pieces


def _rendered(component: list[_Piece], values: Mapping[str, str], most: int) -> str:
    """Where it is too long, its longest value is cut."""
    if not component[0].field:
        return safe_name(component[0].before, most=most)
    own = {piece.field: values[piece.field] for piece in component}
    while True:
        name = ""
        for piece in component:
            if own[piece.field]:
                name += (piece.between if name else "") + piece.before + own[piece.field] + piece.behind
        over = len(name.encode()) - most
        if over <= 0:
            break
        longest = max(own, key=lambda field: len(own[field].encode()))
        own[longest] = _cut(own[longest], max(0, len(own[longest].encode()) - over)).rstrip(_EDGE)
        if not any(own.values()):
            break
    return safe_name(name)


def _values(facts: BookFacts) -> dict[str, str]:
    authors = [name for each in facts.author_names if (name := _value(each))]
    narrators = [name for each in facts.narrators if (name := _value(each))]
    place = facts.series[0] if facts.series else None
    # Without an author the folder of a series would be read as one.
    series = _value(place.name) if place and authors else ""
    return {
        "author": authors[0] if authors else "",
        "authors": ", ".join(authors[:_NAMES]),
        "series": series,
        "position": _padded(place.position) if place and series else "",
        "title": _value(facts.title) or _value(facts.asin) or "Untitled",
        "subtitle": _value(facts.subtitle),
        "narrator": narrators[0] if narrators else "",
        "narrators": ", ".join(narrators[:_NAMES]),
        "year": facts.released[:4] if re.match(r"\d{4}", facts.released) else "",
        "asin": _value(facts.asin),
        "language": _value(facts.language),
    }


def _value(text: str) -> str:
    """Without braces, in which a narrator stands."""
    text = _clean(text).replace("{", "(").replace("}", ")")
    name = " ".join(_COLON.sub(" - ", text).translate(_SIGNS).split())
    return name.strip(_FIRST + "_").rstrip(_EDGE)


def _padded(position: str) -> str:
    """ "03", "03.5", "01-03"; empty where it names no numbers, or some that are no range."""
    text = str(parse_positions(position))
    if not re.fullmatch(r"\d{1,3}(?:\.\d+)?(?:-\d{1,3})?", text):
        return ""
    return "-".join(".".join([whole.zfill(2), *rest]) for whole, *rest in (each.split(".") for each in text.split("-")))
