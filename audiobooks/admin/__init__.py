"""The admin of the library and of the people who sign in."""

from . import books, matches, names, numbers, people, providers, releases, runs, sources  # noqa: F401  (registers the pages)
