"""The admin of the library and of the people who sign in."""

from . import (  # noqa: F401  (registers the pages)
    books,
    guides,
    matches,
    names,
    numbers,
    people,
    providers,
    releases,
    runs,
    sources,
)
