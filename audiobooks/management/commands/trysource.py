"""`manage.py trysource NAME [TITLE]`: put a question to a source and print what it answers."""

from __future__ import annotations

from functools import partial
from typing import Any, TypeVar

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audiobooks.facts import BookFacts
from audiobooks.http import Doorway
from audiobooks.services import Outcome
from audiobooks.sources import registry
from audiobooks.sources.base import HasAccount, Release, Source

T = TypeVar("T")
MOST = 20


class Command(BaseCommand):
    help = (
        "Ask a source for its newest audiobooks, or for a title, and print what it answers. Nothing is kept or fetched."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="such as librivox, myanonamouse, or the name of an indexer")
        parser.add_argument("title", nargs="?", help="search for this title; without it, the newest are asked for")

    def handle(self, *args: Any, name: str, title: str | None, **options: Any) -> None:
        if name not in registry.names():
            raise CommandError(f"There is no source “{name}”. There are: {', '.join(registry.names())}.")
        if title is not None and not title.strip():
            raise CommandError("Write a title to search for.")
        source, http = registry.source(name), Doorway()
        if isinstance(source, HasAccount):
            account = self._answer(registry.ask(http, source, source.account))
            grade, ratio = account.grade or "class unknown", _or_unknown(account.ratio)
            self.stdout.write(_printable(f"Signed in: {grade}, ratio {ratio}."))
        releases = self._releases(http, source, title)
        if not releases:
            self.stdout.write(f"{source.label} answers, and has nothing{' like it' if title else ''}.")
        for release in releases[:MOST]:
            self.stdout.write(_in_a_line(release))
        if len(releases) > MOST:
            self.stdout.write(f"… and {len(releases) - MOST} more.")

    def _releases(self, http: Doorway, source: Source, title: str | None) -> tuple[Release, ...]:
        if title is None:
            return self._answer(registry.ask(http, source, source.newest)).releases
        wanted = BookFacts(title=title, is_audio=True)
        return self._answer(registry.ask(http, source, partial(source.search, wanted=wanted)))

    def _answer(self, outcome: Outcome[T]) -> T:
        if outcome.answer is None:
            raise CommandError(_printable(str(outcome.error)))
        if outcome.error is not None:
            said = f"{outcome.error} This is its last good answer, of {outcome.as_of:%Y-%m-%d %H:%M} UTC."
            self.stderr.write(_printable(said))
        return outcome.answer


def _in_a_line(release: Release) -> str:
    facts = release.facts
    told = [
        facts.title,
        f"by {', '.join(facts.author_names)}" if facts.authors else "",
        f"read by {', '.join(facts.narrators[:3])}" if facts.narrators else "",
        facts.language,
        "/".join(release.formats),
        "" if release.size is None else f"{release.size / 1e6:,.0f} MB",
        "" if release.seeders is None else f"{release.seeders} seeders",
        "free" if release.free else "",
    ]
    line = ", ".join(each for each in told if each)
    return _printable(f"{line} [{release.id}]")


def _printable(text: str) -> str:
    """What a stranger wrote does not steer the terminal."""
    return "".join(each if each.isprintable() else " " for each in text)


def _or_unknown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.2f}"
