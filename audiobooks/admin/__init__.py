"""The admin of the library and of the people who sign in."""

from . import library, people  # noqa: F401  (registers the pages)
