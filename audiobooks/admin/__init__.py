"""The admin of the library and of the people who sign in."""

from . import (  # noqa: F401  (registers the pages)
    acquisitions,
    books,
    charts,
    gaps,
    guides,
    matches,
    names,
    numbers,
    people,
    proposals,
    providers,
    releases,
    runs,
    sources,
    works,
)
