"""The arguments of task functions: read from the signature, checked, and turned into what the function wants.

Arguments are stored as JSON. Annotations may be str, int, float, bool, date, datetime, None, Any, Literal, list, dict
with text keys, and unions of these; dates stand in JSON as ISO texts. A parameter without annotation takes any value.
"""

from __future__ import annotations

import inspect
import json
import math
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from .exceptions import ArgumentError, SchedulingError

NOT_STORABLE = "It holds what no database keeps: NaN, infinity, NUL, half of a character, or lists without end."
_DESCRIBED = re.compile(r"(?P<name>\w+)\s*(?:\([^)]*\))?:\s*(?P<text>.*)")
"""Such as `limit (int): How many.`"""
_PLAIN = (str, int, float, bool, date, datetime)


class _DoesNotFit(ValueError):
    """A value is not of the annotated type."""


@dataclass(frozen=True)
class Parameter:
    """One argument of a task function, read from its signature."""

    name: str
    type: Any
    required: bool
    default: Any = None
    help: str = ""
    """What the function's docstring says of it, under "Args:"."""

    @property
    def type_in_words(self) -> str:
        return _in_words(self.type)


def parameters_of(function: Callable[..., Any], name: str) -> tuple[Parameter, ...]:
    """All but the first, which is the TaskRun.

    Raises:
        SchedulingError: a parameter cannot be given by name, or no JSON value can be of its annotated type.
    """
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or parameters[0].kind not in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    ):
        raise SchedulingError(f"@task({name!r}): the first parameter of {function.__qualname__} must be the TaskRun.")
    hints, helps = typing.get_type_hints(function), described_in(inspect.getdoc(function) or "")
    return tuple(_parameter(parameter, hints, helps, name) for parameter in parameters[1:])


def described_in(docstring: str) -> dict[str, str]:
    """Argument -> what the section "Args:" says of it; lines that are indented further belong to the one above."""
    found: dict[str, str] = {}
    lines = iter(docstring.splitlines())
    if not any(line.strip() in ("Args:", "Arguments:") for line in lines):
        return found
    depth, name = 0, ""
    for line in lines:
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        if not indent:
            break  # The next section, or prose.
        depth = depth or indent
        if indent > depth and name:
            found[name] += f" {line.strip()}"
        elif match := _DESCRIBED.match(line.strip()):
            name = match["name"]
            found[name] = match["text"]
    return found


def _parameter(
    parameter: inspect.Parameter, hints: Mapping[str, Any], helps: Mapping[str, str], function: str
) -> Parameter:
    if parameter.kind in (
        inspect.Parameter.VAR_POSITIONAL,
        inspect.Parameter.VAR_KEYWORD,
        inspect.Parameter.POSITIONAL_ONLY,
    ):
        raise SchedulingError(f"@task({function!r}): {parameter} cannot be given by name; use named arguments.")
    wanted = hints.get(parameter.name, Any)
    if not _is_known(wanted):
        raise SchedulingError(
            f"@task({function!r}): no JSON value is a {wanted}. Annotate {parameter.name} as str, int, float, bool, "
            "date, datetime, Literal, list[...] or dict[str, ...], or a union of these."
        )
    required = parameter.default is inspect.Parameter.empty
    default = None if required else parameter.default
    return Parameter(parameter.name, wanted, required, default, helps.get(parameter.name, ""))


def _is_known(wanted: Any) -> bool:
    if wanted is Any or wanted is None or wanted is type(None) or wanted in _PLAIN or wanted in (list, dict):
        return True
    origin, inner = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is Literal:
        return all(isinstance(value, str | int | bool | None) for value in inner)
    if origin is dict:
        return not inner or (inner[0] is str and _is_known(inner[1]))
    return (origin is list or _is_union(wanted)) and all(map(_is_known, inner))


def alternatives(wanted: Any) -> tuple[Any, ...]:
    """Those of a union, else the type itself."""
    return typing.get_args(wanted) if _is_union(wanted) else (wanted,)


def _is_union(wanted: Any) -> bool:
    return isinstance(wanted, types.UnionType) or typing.get_origin(wanted) is typing.Union


def converted(parameters: Sequence[Parameter], arguments: Mapping[str, Any], *, function: str) -> dict[str, Any]:
    """JSON arguments as the function wants them: ISO texts become dates where the signature says so.

    Raises:
        ArgumentError: one is missing, unknown, of another type than the signature says, or cannot be stored.
    """
    known = {parameter.name: parameter for parameter in parameters}
    values: dict[str, Any] = {}
    problems = {
        name: f"{function} has no argument of this name; it takes {', '.join(known) or 'none'}."
        for name in arguments
        if name not in known
    }
    for parameter in parameters:
        if parameter.name not in arguments:
            if parameter.required:
                problems[parameter.name] = "This argument is required."
            continue
        value = arguments[parameter.name]
        try:
            values[parameter.name] = _convert(value, parameter.type)
        except _DoesNotFit:
            problems[parameter.name] = f"{value!r} is not {parameter.type_in_words}."
        else:
            if not is_storable(value):
                problems[parameter.name] = NOT_STORABLE
    if problems:
        raise ArgumentError(problems)
    return values


def is_storable(value: Any) -> bool:
    """Whether a JSON value can be kept as JSON by every database."""
    try:
        return _is_storable(value)
    except RecursionError:
        return False  # Brackets within brackets, by the hundred.


def _is_storable(value: Any) -> bool:
    if isinstance(value, str):
        return not any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_storable(key) and _is_storable(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_storable, value))
    return value is None or isinstance(value, bool | int)


def _alternatives(wanted: Any) -> Iterator[Any]:
    """Those that are narrower than a text first, since in JSON every date is a text too."""
    return iter(sorted(alternatives(wanted), key=lambda kind: kind is str))


def _convert(value: Any, wanted: Any) -> Any:
    for alternative in _alternatives(wanted):
        try:
            return _convert_to_one(value, alternative)
        except _DoesNotFit:
            continue
    raise _DoesNotFit


def _convert_to_one(value: Any, wanted: Any) -> Any:
    if wanted is Any:
        return value
    origin, inner = typing.get_origin(wanted) or wanted, typing.get_args(wanted)
    if origin is Literal:
        # 1 == True, yet the one is not the other.
        fits = any(value == one and type(value) is type(one) for one in inner)
    elif origin is list and isinstance(value, list):
        return [_convert(item, inner[0] if inner else Any) for item in value]
    elif origin is dict and isinstance(value, dict):
        return {key: _convert(item, inner[1] if inner else Any) for key, item in value.items()}
    elif wanted in (date, datetime) and isinstance(value, str):
        return _parse_moment(value, wanted)
    elif wanted is None or wanted is type(None):
        fits = value is None
    elif wanted in (int, float):
        fits = isinstance(value, int if wanted is int else int | float) and not isinstance(value, bool)
    else:
        fits = wanted in (str, bool) and isinstance(value, wanted)
    if not fits:
        raise _DoesNotFit
    return value


def _parse_moment(text: str, wanted: type[date]) -> date:
    try:
        return wanted.fromisoformat(text)
    except ValueError:
        raise _DoesNotFit from None


def from_words(parameters: Sequence[Parameter], pairs: Sequence[str]) -> dict[str, Any]:
    """JSON arguments from `key=value` words. What cannot be read as its parameter's type is left for the check to say.

    Raises:
        ArgumentError: a word is not `key=value`.
    """
    known = {parameter.name: parameter.type for parameter in parameters}
    arguments: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise ArgumentError({pair: "Write arguments as name=value."})
        arguments[name] = from_text(text, known.get(name, str))
    return arguments


def from_text(text: str, wanted: Any) -> Any:
    """The JSON value that a text means: a plain text where one is wanted, else JSON, `a,b` for a list, or a date."""
    if text == "" and wanted is not Any and _fits(None, wanted):
        return None
    takes_text = str in _alternatives(wanted)
    candidates: list[Any] = []
    for read in (_read_json, int, float):
        try:
            value = read(text)
        except (ValueError, RecursionError):
            continue
        if not (takes_text and isinstance(value, str)):
            candidates.append(value)
    for alternative in _alternatives(wanted):
        if (typing.get_origin(alternative) or alternative) is list:
            inner = (typing.get_args(alternative) or (str,))[0]
            candidates.append([from_text(part, inner) for part in text.split(",")] if text else [])
    return next((value for value in candidates if _fits(value, wanted)), text)


def _read_json(text: str) -> Any:
    return json.loads(text.lower() if text.lower() in ("true", "false") else text)


def _fits(value: Any, wanted: Any) -> bool:
    try:
        _convert(value, wanted)
    except _DoesNotFit:
        return False
    return True


_WORDS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    date: "a date such as 2026-03-01",
    datetime: "a date and time such as 2026-03-01T04:00+00:00",
    type(None): "nothing (null)",
    list: "a list",
    dict: "an object",
    Any: "any value",
}


def _in_words(wanted: Any) -> str:
    def one(alternative: Any) -> str:
        origin, inner = typing.get_origin(alternative), typing.get_args(alternative)
        if origin is Literal:
            return "one of " + ", ".join(map(repr, inner))
        if origin is list and inner:
            return f"a list, each {_in_words(inner[0])}"
        if origin is dict and inner:
            return f"an object, each value {_in_words(inner[1])}"
        return _WORDS[origin or alternative]

    return " or ".join(map(one, alternatives(wanted)))
