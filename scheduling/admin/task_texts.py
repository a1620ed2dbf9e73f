"""A Task's result and error, laid out for people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scheduling.redaction import blanked, redact

MOST_FIELDS = 100
"""Of a result that is shown as a table."""

_FRAME = re.compile(r'  File "(?P<file>[^"]+)", line \d+')
_OTHERS = re.compile(r"site-packages|dist-packages|/lib/python3|[\\/]Lib[\\/]|^<|[\\/]scheduling[\\/]runner\.py$")
"""Files that are not the program's own."""


@dataclass(frozen=True)
class Part:
    """A run of lines of a traceback."""

    text: str
    is_own: bool = False


@dataclass(frozen=True)
class ErrorText:
    heading: str
    parts: tuple[Part, ...] = ()
    """The whole text; empty where the heading says it all."""

    @property
    def has_own(self) -> bool:
        return any(part.is_own for part in self.parts)


def pretty(value: Any) -> str:
    return redact(json.dumps(blanked(value), indent=2, ensure_ascii=False))


def table_of(result: Any) -> list[tuple[str, str]]:
    """The fields of an object of plain values; empty for any other result."""
    if not isinstance(result, dict) or not 0 < len(result) <= MOST_FIELDS:
        return []
    if any(isinstance(value, dict | list) for value in result.values()):
        return []
    return [(redact(str(name)), _plain(value)) for name, value in blanked(result).items()]


def _plain(value: Any) -> str:
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case str():
            return redact(value)
    return str(value)


def laid_out(error_message: str) -> ErrorText | None:
    lines = error_message.rstrip().splitlines()
    if not lines:
        return None
    frames = [number for number, line in enumerate(lines) if _FRAME.match(line)]
    if not frames:
        return ErrorText(lines[-1], (Part(error_message),) if len(lines) > 1 else ())
    # A message may have several lines: the error's name begins the first that is not indented after the last frame.
    after = (line for line in lines[frames[-1] + 1 :] if line and not line.startswith(" "))
    return ErrorText(next(after, lines[-1]), tuple(_parts(lines)))


def _parts(lines: list[str]) -> Iterator[Part]:
    held: list[str] = []
    is_own = False
    for line in lines:
        frame = _FRAME.match(line)
        starts_own = bool(frame and not _OTHERS.search(frame["file"]))
        # What a frame's first line says goes for the indented ones below it.
        now_own = starts_own if frame else is_own and line.startswith("    ")
        if held and now_own != is_own:
            yield Part("\n".join(held) + "\n", is_own)
            held = []
        is_own = now_own
        held.append(line)
    if held:
        yield Part("\n".join(held), is_own)
