"""What the name of an album says: which files are one book, and what is no part of its title."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from .base import FileTags

ABRIDGED = re.compile(r"\s*[(\[](un)?abridged[)\]]", re.I)
_NUMBER = r"(?:\s*#?\d+(?:\s*(?:of|von|/)\s*\d+)?|\s+[a-d])"
_PARTS = rf"(?:dis[ck]|cd|part|side|teil){_NUMBER}"
# "Dune Part 2" may be a title; a disc never is, and neither is a part in brackets or behind a comma.
_PART = re.compile(rf"(?:\s*[(\[]{_PARTS}[)\]]|\s*[,:;–-]\s*{_PARTS}|(?:^|\s+)(?:dis[ck]|cd){_NUMBER})$", re.I)


def key_of(name: str) -> str:
    """What spellings of one name have in common: letters and digits, without case, accents and punctuation."""
    plain = unicodedata.normalize("NFKD", name).casefold()
    return "".join(filter(str.isalnum, plain))[:255]


def without_part(album: str) -> str:
    """The album without the disc or part at its end; empty where it says nothing else."""
    return _PART.sub("", ABRIDGED.sub("", album).strip())


def book_keys(files: Sequence[FileTags]) -> list[str]:
    """For each file what those of its book have in common: the ASIN that its album has in any of them, else the album.

    Empty is unknown.
    """
    albums = [key_of(without_part(tags.album)) for tags in files]
    asins: dict[str, str] = {}
    for album, tags in zip(albums, files, strict=True):
        if album and tags.asin:
            asins.setdefault(album, tags.asin)
    return [tags.asin or asins.get(album, album) for album, tags in zip(albums, files, strict=True)]
