"""The admin of the library and of the people who sign in."""

from . import books, charts, matches, names, numbers, people, proposals, providers, runs  # noqa: F401  (registers the pages)
