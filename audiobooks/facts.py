"""What anything outside says of a book: a provider's answer, a release's name, an item of a library, a row of an export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Contributor:
    """`id` is the source's own, empty where it names none."""

    name: str
    id: str = ""


@dataclass(frozen=True, kw_only=True)
class SeriesPlace:
    """`position` is text as the source has it ("1", "0.5", "1-3"), empty where it names none; `id` is the source's own."""

    name: str
    position: str = ""
    id: str = ""


_OF_PARTS = ("authors", "series")


@dataclass(frozen=True, kw_only=True)
class BookFacts:
    """One recording, or one book where the source knows no recordings. Empty, None and () are unknown, never "none".

    source: who says it (`audnexus`, `librivox`, `libation`, ...); id: its own identifier there.
    region: of an Audible marketplace (`us`, `de`, ...).
    description: plain text.
    language: ISO 639-1 (639-3 where that has no code), such as `en`.
    runtime: whole seconds.
    released: YYYY, YYYY-MM or YYYY-MM-DD.
    asin: ten characters. isbns: ISBN-13, checked.
    cover_url: https.
    is_audio: whether the source says that this is a recording.
    """

    source: str = ""
    id: str = ""
    region: str = ""
    title: str = ""
    subtitle: str = ""
    authors: tuple[Contributor, ...] = ()
    narrators: tuple[str, ...] = ()
    series: tuple[SeriesPlace, ...] = ()
    genres: tuple[str, ...] = ()
    description: str = ""
    language: str = ""
    abridged: bool | None = None
    runtime: int | None = None
    publisher: str = ""
    released: str = ""
    asin: str = ""
    isbns: tuple[str, ...] = ()
    cover_url: str = ""
    is_audio: bool | None = None

    @property
    def author_names(self) -> tuple[str, ...]:
        return tuple(author.name for author in self.authors)

    def as_json(self) -> dict[str, Any]:
        # Not `asdict`, which copies each value by itself: a run writes thousands.
        values = vars(self) | {name: tuple(dict(vars(each)) for each in getattr(self, name)) for name in _OF_PARTS}
        return {name: value for name, value in values.items() if value not in ("", None, ())}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> BookFacts:
        fields = dict(data)
        fields["authors"] = tuple(Contributor(**each) for each in fields.get("authors", ()))
        fields["series"] = tuple(SeriesPlace(**each) for each in fields.get("series", ()))
        for name in ("narrators", "genres", "isbns"):
            fields[name] = tuple(fields.get(name, ()))
        return cls(**fields)
