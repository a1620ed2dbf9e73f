"""The text of a guide as parts to lay out a page of. pages.py writes the form; any text is in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

DEEPEST_LIST = 8
"""Lists within lists that are told apart."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """kind: heading (level), text, quotation, as written, list (of (level, marker, text)), table (rows of cells)."""

    kind: Literal["heading", "text", "quotation", "written", "list", "table"]
    level: int = 0
    text: str = ""
    items: tuple[tuple[int, str, str], ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    has_head: bool = False


_ITEM = re.compile(r"( {0,20})(-|\d{1,4}\.) +(\S.*)")
_HEADING = re.compile(r"(#{1,6}) +(\S.*)")


def laid_out(text: str) -> Iterator[Part]:
    """In their order."""
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        line = lines[at]
        start = at
        if not line.strip():
            at += 1
        elif found := _HEADING.fullmatch(line):
            yield Part(kind="heading", level=len(found[1]), text=found[2])
            at += 1
        elif _is_row(line):
            while at < len(lines) and _is_row(lines[at]):
                at += 1
            yield _table(lines[start:at])
        elif _ITEM.fullmatch(line):
            items: list[tuple[int, str, str]] = []
            while at < len(lines) and lines[at].strip():
                if item := _ITEM.fullmatch(lines[at]):
                    items.append((min(len(item[1]) // 2, DEEPEST_LIST - 1), item[2], item[3]))
                elif lines[at].startswith(" "):
                    level, marker, said = items[-1]
                    items[-1] = level, marker, f"{said}\n{lines[at].strip()}"
                else:
                    break
                at += 1
            yield Part(kind="list", items=tuple(items))
        else:
            kind = _kind_of(line)
            while at < len(lines) and _kind_of(lines[at]) == kind:
                at += 1
            cut = {"written": 4, "quotation": 2}.get(kind, 0)
            said = "\n".join(each[cut:] for each in lines[start:at])
            yield Part(kind=kind, text=said)  # type: ignore[arg-type]


def _is_row(line: str) -> bool:
    return len(line) > 2 and line.startswith("|") and line.endswith("|")


def _kind_of(line: str) -> str:
    if not line.strip() or _is_row(line) or _HEADING.fullmatch(line) or _ITEM.fullmatch(line):
        return ""
    return "written" if line.startswith("    ") else "quotation" if line.startswith("> ") else "text"


def _table(lines: list[str]) -> Part:
    rows = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line[1:-1])] for line in lines]
    is_line = [all(cell == "---" for cell in row) for row in rows]
    width = max(len(row) for row in rows)
    told = [(*row, *[""] * (width - len(row))) for row, line in zip(rows, is_line, strict=True) if not line]
    return Part(kind="table", rows=tuple(told), has_head=len(rows) > 1 and is_line[1] and not is_line[0])
