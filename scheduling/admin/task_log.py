"""The log of a Task as its page shows it: the newest lines, grouped into entries, narrowed by level and text."""

from __future__ import annotations

import io
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.db.models import F, QuerySet, Sum, Value
from django.db.models.functions import Length, Replace

from scheduling.models import Task, TaskLog

LINES_SHOWN = 2_000
CHARACTERS_SHOWN = 300_000
LONGEST_ENTRY = 20_000
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

_CHUNKS_FIRST = 25
_CHUNKS_AT_A_TIME = 25
_HEAD = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (\S+) ")


@dataclass(frozen=True)
class Entry:
    """What one call of the logger wrote: a line, and those that belong to it, as of a traceback."""

    level: str
    """Empty for lines that do not say it, as when they were printed by other means."""
    text: str


@dataclass(frozen=True, kw_only=True)
class ShownLog:
    entries: list[Entry]
    lines_above: int
    """Of the log, or of what was found in it."""
    last: int
    """The number of the newest chunk; -1 while there is none."""
    is_narrowed: bool = False


@dataclass(frozen=True)
class LogQuestion:
    """What of the log is wanted; a level means that one and what is graver."""

    level: str = ""
    text: str = ""

    @classmethod
    def asked(cls, level: str, text: str) -> LogQuestion:
        """Of a level that does not exist nothing is asked."""
        return cls(level if level in LEVELS else "", text)

    def __bool__(self) -> bool:
        return bool(self.level or self.text)

    def fits(self, entry: Entry) -> bool:
        # An entry whose level is not known is never hidden for it.
        is_grave = entry.level not in LEVELS or not self.level or _grade(entry.level) >= _grade(self.level)
        return is_grave and self.text.casefold() in entry.text.casefold()


def _grade(level: str) -> int:
    return LEVELS.index(level)


def shown_log(task: Task, question: LogQuestion) -> ShownLog:
    """The end of the log; with a question, the end of what is found in all of it."""
    chunks = task.log_chunks.order_by("-seq")
    if question:
        return _found(chunks, question)
    tail = _tail(chunks)
    lines = _lines_of(tail)
    kept = _last_lines(lines)
    above = len(lines) - len(kept) + (_lines_before(task, tail[-1][0]) if tail else 0)
    return ShownLog(entries=list(entries_of(kept)), lines_above=above, last=tail[0][0] if tail else -1)


def _tail(chunks: QuerySet[TaskLog]) -> list[tuple[int, str]]:
    """The newest chunks, newest first: as many as the page can show, and few more."""
    tail: list[tuple[int, str]] = []
    lines = characters = 0
    take = _CHUNKS_FIRST
    while lines < LINES_SHOWN and characters < CHARACTERS_SHOWN:
        more = list(chunks.values_list("seq", "text")[len(tail) : len(tail) + take])
        tail += more
        lines += sum(text.count("\n") for _, text in more)
        characters += sum(len(text) for _, text in more)
        if len(more) < take:
            break
        take *= 10
    return tail


def _lines_of(chunks: list[tuple[int, str]]) -> list[str]:
    # Not splitlines: a form feed, say, ends no line of a log.
    return list(io.StringIO("".join(text for _, text in reversed(chunks))))


def _last_lines(lines: list[str]) -> list[str]:
    room, kept = CHARACTERS_SHOWN, 0
    for line in reversed(lines[-LINES_SHOWN:]):
        room -= min(len(line), LONGEST_ENTRY)
        if room < 0:
            break
        kept += 1
    return lines[len(lines) - kept :]


def _lines_before(task: Task, seq: int) -> int:
    breaks = Length("text") - Length(Replace(F("text"), Value("\n"), Value("")))
    return task.log_chunks.filter(seq__lt=seq).aggregate(lines=Sum(breaks))["lines"] or 0


def _found(chunks: QuerySet[TaskLog], question: LogQuestion) -> ShownLog:
    """Reads all of the log, which may be larger than what a process should hold."""
    last = -1

    def lines() -> Iterator[str]:
        nonlocal last
        for last, text in chunks.order_by("seq").values_list("seq", "text").iterator(_CHUNKS_AT_A_TIME):  # noqa: B007
            yield from io.StringIO(text)

    shown = deque[Entry]()
    found = characters = 0
    for entry in filter(question.fits, entries_of(lines())):
        shown.append(entry)
        found, characters = found + 1, characters + len(entry.text)
        while len(shown) > LINES_SHOWN or (characters > CHARACTERS_SHOWN and len(shown) > 1):
            characters -= len(shown.popleft().text)
    return ShownLog(entries=list(shown), lines_above=found - len(shown), last=last, is_narrowed=True)


def entries_of(lines: Iterable[str]) -> Iterator[Entry]:
    """Lines that begin with no time of their own belong to the one above."""
    level, held, size = "", list[str](), 0
    for line in lines:
        if head := _HEAD.match(line):
            if held:
                yield _entry(level, held, size)
            level, held, size = head[1], [], 0
        if size <= LONGEST_ENTRY:
            held.append(line)
        size += len(line)
    if held:
        yield _entry(level, held, size)


def _entry(level: str, lines: list[str], size: int) -> Entry:
    """`lines` are as many as are shown of it, `size` the characters that it has."""
    text = "".join(lines)
    if size > LONGEST_ENTRY:
        text = f"{text[:LONGEST_ENTRY]}… {size - LONGEST_ENTRY:,} characters more in the downloaded log\n"
    return Entry(level if level in LEVELS else "", text if text.endswith("\n") else f"{text}\n")
