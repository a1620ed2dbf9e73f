"""The driver of a side: a process that has the side's Django settings, and is none of those that are measured."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any


def serve(commands: Mapping[str, Callable[..., Any]]) -> None:
    """Do the command that is named on the command line, with named arguments as JSON on stdin; print JSON."""
    result = commands[sys.argv[1]](**json.load(sys.stdin))
    json.dump(result, sys.stdout)
