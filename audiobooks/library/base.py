"""What a library adapter gives: plain facts, no database."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

PATH_CHARACTERS = 1024
"""The longest path of a book or file that can be recorded."""


class UnreadableFile(Exception):
    """An audio file that is broken; the message says how."""


class FileUnavailable(Exception):
    """A file that cannot be got at now, be it broken or not; the message says why."""


class LibraryUnavailable(Exception):
    """The library's folder is not there or cannot be read; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class FileTags:
    """The tags of one file that describe its book. Empty is unknown; duration is seconds."""

    title: str = ""
    album: str = ""
    subtitle: str = ""
    authors: tuple[str, ...] = ()
    narrators: tuple[str, ...] = ()
    series: tuple[tuple[str, str], ...] = ()
    """(name, position) pairs."""
    language: str = ""
    asin: str = ""
    isbn: str = ""
    publisher: str = ""
    year: str = ""
    duration: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> FileTags:
        fields = dict(data)
        for name in ("authors", "narrators"):
            fields[name] = tuple(fields.get(name, ()))
        fields["series"] = tuple((name, position) for name, position in fields.get("series", ()))
        return cls(**fields)


@dataclass(frozen=True, kw_only=True)
class FoundFile:
    """An audio file on disk; `path` is relative to the library's folder."""

    path: str
    size: int
    modified_ns: int


@dataclass(frozen=True, kw_only=True)
class FoundBook:
    """The audio files of the folder `path`, which is "." for the library's own, and of its discs.

    Loose files lie in the library's folder itself or beside the folders of books: only their tags say which belong
    together.
    """

    path: str
    files: tuple[FoundFile, ...]
    loose: bool = False


@dataclass(frozen=True, kw_only=True)
class LocationFacts:
    """What the place of a book says about it. Empty is unknown."""

    title: str = ""
    subtitle: str = ""
    author: str = ""
    narrator: str = ""
    series: str = ""
    position: str = ""
    asin: str = ""
    year: str = ""
    abridged: bool | None = None
