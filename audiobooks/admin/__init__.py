"""The admin of the library and of the people who sign in."""

from . import books, guides, matches, names, numbers, people, providers, runs  # noqa: F401  (registers the pages)
