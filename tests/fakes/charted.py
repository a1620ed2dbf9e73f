"""A source of which tests say what is popular there, and works of an invented household of books."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from audiobooks.exceptions import SourceError
from audiobooks.facts import BookFacts, Contributor, SeriesPlace
from audiobooks.http import Doorway
from audiobooks.sources.base import Page, Release
from scheduling.history import today


def facts(title: str, author: str = "", *, series: str = "", position: str = "", **more: object) -> BookFacts:
    """By default of an author of its own, so that two titles are never one work."""
    author = author or f"Nora {title.split()[-1]}son"
    places = (SeriesPlace(name=series, position=position),) if series else ()
    return BookFacts(title=title, authors=(Contributor(name=author),), series=places, is_audio=True, **more)  # type: ignore[arg-type]


def release(of: BookFacts | str, *, source: str = "fake", id: str = "", fetched: int | None = None) -> Release:
    of = facts(of) if isinstance(of, str) else of
    return Release(
        source=source,
        id=id or f"{of.title} {' '.join(of.narrators)}",
        name=of.title,
        facts=of,
        fetched=fetched,
        link=f"https://{source}.invalid/1",
    )


@dataclass
class Charted:
    """`lists`: by its own name of a genre, what it has by the days that a window must have; `error`: it fails with that,
    where `failing` is empty or has the genre."""

    name: str = "fake"
    label: str = "Fake"
    lists: dict[str, dict[int, list[BookFacts | str]]] = field(default_factory=dict)
    error: str = ""
    failing: tuple[str, ...] = ()
    asked: list[tuple[str, int]] = field(default_factory=list)

    def put(self, genre: str, works: list[BookFacts | str], *, days: int = 7) -> None:
        self.lists.setdefault(genre, {})[days] = works

    def popular(self, http: Doorway, genre: str, *, since: date, limit: int = 10) -> tuple[Release, ...]:
        window = (today() - since).days
        self.asked.append((genre, window))
        if self.error and (not self.failing or genre in self.failing):
            raise SourceError(self.error)
        found = [one for days, works in sorted(self.lists.get(genre, {}).items()) if days <= window for one in works]
        return tuple(release(one, source=self.name, fetched=1000 - at) for at, one in enumerate(found[:limit]))

    def search(self, http: Doorway, wanted: BookFacts, *, limit: int = 50) -> tuple[Release, ...]:
        raise AssertionError("a chart searches for nothing")

    def newest(self, http: Doorway, cursor: str = "") -> Page:
        raise AssertionError("a chart lists nothing new")
