"""Invented books for the tests of matching."""

from __future__ import annotations

from typing import Any

from audiobooks.facts import BookFacts, Contributor, SeriesPlace


def book(title: str = "", *authors: str, series: tuple[tuple[str, str], ...] = (), **fields: Any) -> BookFacts:
    return BookFacts(
        title=title,
        authors=tuple(Contributor(name=name) for name in authors),
        series=tuple(SeriesPlace(name=name, position=position) for name, position in series),
        **fields,
    )


HOUR = 3600
VARGA = "Ilse Varga"
MERIDIAN = book("The Glass Meridian", VARGA)
