"""From where a client says that files lie to where we see them: it may run in a container, or on another machine."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")


def ours(client_path: str, mapping: Mapping[str, str]) -> Path | None:
    """None where no entry of `mapping` (the client's folder -> ours) leads there, or what it leads to is not within it.

    The longest entry that fits is meant. Without any, the client's path is ours.
    """
    parts = _parts(client_path)
    if parts is None:
        return None
    if not mapping:
        return None if _WINDOWS.match(client_path) else Path("/", *parts)
    folders = [(folder, each) for theirs, each in mapping.items() if (folder := _parts(theirs)) is not None]
    folders = [(folder, each) for folder, each in folders if parts[: len(folder)] == folder]
    if not folders:
        return None
    folder, root = max(folders, key=lambda each: len(each[0]))
    # Windows does not tell small letters from capitals in what was compared; what is left is as the client spells it.
    path = Path(root, *_spelled(client_path)[len(folder) :])
    # Path.resolve would raise where links lead round in a circle.
    return path if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)) else None


def is_absolute(client_path: str) -> bool:
    """Of any system."""
    return _parts(client_path) is not None


def _parts(path: str) -> tuple[str, ...] | None:
    """To be compared. None of a path that is not absolute, or has steps up in it."""
    spelled = _spelled(path)
    is_windows = bool(_WINDOWS.match(path))
    if "\0" in path or ".." in spelled or not (is_windows or path.startswith("/")):
        return None
    return tuple(part.lower() for part in spelled) if is_windows else spelled


def _spelled(path: str) -> tuple[str, ...]:
    path = path.replace("\\", "/") if _WINDOWS.match(path) else path
    return tuple(part for part in path.split("/") if part not in ("", "."))
