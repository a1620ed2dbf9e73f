"""The tags of audio files, as players, rippers and shops write them. Reads by tinytag (MIT)."""

from __future__ import annotations

import errno
import re
from pathlib import Path

from tinytag import TinyTag, TinyTagException

from audiobooks.matching.names import split_people
from audiobooks.matching.titles import split_numbered

from .base import FileTags, FileUnavailable, UnreadableFile

TEXT_LENGTH = 2_000
"""Characters kept of one tag; there are files with megabytes in one."""
MOST_NAMES = 50
"""Names kept of one tag."""
MOST_HOURS = 1_000
"""A file that says it is longer has a broken header."""

_YEAR = re.compile(r"\b(1[5-9]\d\d|20\d\d)\b")
_ASIN = re.compile(r"^(?:B[0-9A-Z]{9}|\d{9}[\dX])$")


def read_tags(path: Path) -> FileTags:
    """Read one file.

    Raises:
        UnreadableFile: it is no audio file, or is broken.
        FileUnavailable: it, or the disk it is on, cannot be read at present.
    """
    try:
        found = TinyTag.get(path)
    except OSError as error:
        raise FileUnavailable(error.strerror or str(error)) from error
    except TinyTagException as error:
        # A broken file may send the reader to a place before its start: that is the one system error it can cause.
        if isinstance(error.__cause__, OSError) and error.__cause__.errno != errno.EINVAL:
            raise FileUnavailable(error.__cause__.strerror or str(error)) from error
        raise UnreadableFile(str(error) or type(error).__name__) from error
    fields = {str(name).lower(): _texts(value) for name, value in found.as_dict().items()}
    duration = found.duration or 0.0
    if not duration > 0:
        raise UnreadableFile("it has no audio")
    if duration > MOST_HOURS * 3600:
        raise UnreadableFile(f"it says that it is longer than {MOST_HOURS} hours")

    def first(*names: str) -> str:
        return next((fields[name][0] for name in names if fields.get(name)), "")

    return FileTags(
        title=first("title"),
        album=first("album"),
        subtitle=first("tit3", "subtitle"),
        authors=split_names(fields.get("albumartist") or fields.get("artist") or []),
        narrators=split_names(
            fields.get("narrator") or fields.get("©nrt") or fields.get("composer") or fields.get("performer") or []
        ),
        series=_series(fields),
        language=first("language"),
        asin=_asin(first("asin", "audible_asin", "cdek", "prid")),
        isbn=re.sub(r"[^\dXx]", "", first("isbn"))[:13],
        publisher=first("publisher", "©pub"),
        year=year if (year := _match(_YEAR, first("year", "date"))) else "",
        duration=duration,
    )


def split_names(values: list[str]) -> tuple[str, ...]:
    """The people named in tag values, each once, in order; the first MOST_NAMES of them."""
    return tuple(dict.fromkeys(name for value in values for name in split_people(value)))[:MOST_NAMES]


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    cut = (str(item)[:TEXT_LENGTH].replace("\0", "; ") for item in values[:MOST_NAMES])
    # One blank for many: the patterns of names and numbers take minutes for a thousand in a row.
    return [text for value in cut if (text := " ".join(value.split()).strip("; "))]


def _series(fields: dict[str, list[str]]) -> tuple[tuple[str, str], ...]:
    """Own series tags first, then a movement, then a grouping of the form "Series #1; Other #2"."""
    position = next((fields[name][0] for name in ("series-part", "part") if fields.get(name)), "")
    if names := fields.get("series"):
        return ((names[0], position or split_numbered(names[0])[1]),)
    if names := fields.get("movement_name"):
        movement = fields.get("movement", [""])[0].partition("/")[0]
        return ((names[0], position or movement),)
    parts = [part for value in fields.get("grouping", []) for part in value.split(";")]
    numbered = (split_numbered(part) for part in parts)
    return tuple((name, number) for name, number in numbered if name and number)[:MOST_NAMES]


def _asin(text: str) -> str:
    return text.upper() if _ASIN.match(text.upper()) else ""


def _match(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1] if match else ""
