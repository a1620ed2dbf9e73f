"""The task functions: what `@task` registers, and the only things that can be scheduled."""

from __future__ import annotations

import inspect
import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal

from .exceptions import ArgumentError, SchedulingError, UnknownTaskFunction
from .triggers import CronTrigger, IntervalTrigger, TriggerError

Overlap = Literal["skip", "queue"]


@dataclass(frozen=True, kw_only=True)
class JobDefaults:
    """How a Job of a task function is created. Durations are `timedelta`."""

    id: str
    name: str
    cron: str = ""
    interval: timedelta | None = None
    timezone: str = ""
    """IANA zone; empty means the project's TIME_ZONE."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    timeout: timedelta | None = None
    max_instances: int = 1
    overlap: Overlap = "skip"
    coalesce: bool = True
    misfire_grace: timedelta | None = timedelta(seconds=900)
    """How late a run may start; None is without limit."""
    retries: int = 0
    retry_delay: timedelta = timedelta(minutes=1)
    """Before the first retry; doubled before each further one, up to a day."""


@dataclass(frozen=True)
class Parameter:
    """One argument of a task function, read from its signature."""

    name: str
    type: Any
    required: bool
    default: Any = None


class TaskFunction:
    """A registered function. Calling it runs it in this process and records a Task with cause `shell`."""

    do_not_call_in_templates = True
    """A template that merely names one must not run it."""

    def __init__(self, function: Callable[..., Any], *, name: str, label: str, defaults: JobDefaults | None) -> None:
        self.function = function
        self.name = name
        self.label = label
        self.defaults = defaults
        self.parameters = tuple(_parameters(function, name))
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        self.__module__ = function.__module__

    def __call__(self, **arguments: Any) -> Any:
        from .runner import run_here

        return run_here(self, arguments)

    def __repr__(self) -> str:
        return f"<task function {self.name}>"

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    def check_arguments(self, arguments: Mapping[str, Any]) -> None:
        """Raises:
        ArgumentError: one is missing, unknown or of another type than the signature says.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        problems = {
            name: f"{self.name} has no argument of this name; it takes {', '.join(known) or 'none'}."
            for name in arguments
            if name not in known
        }
        for parameter in self.parameters:
            if parameter.name not in arguments:
                if parameter.required:
                    problems[parameter.name] = "This argument is required."
            elif not _fits(arguments[parameter.name], parameter.type):
                value = arguments[parameter.name]
                problems[parameter.name] = f"{value!r} is not {_in_words(parameter.type)}."
            elif not is_storable(arguments[parameter.name]):
                problems[parameter.name] = NOT_STORABLE
        if problems:
            raise ArgumentError(problems)

    def parse_arguments(self, pairs: Sequence[str]) -> dict[str, Any]:
        """Arguments from `key=value` words, each value read as its parameter's type.

        Raises:
            ArgumentError: as `check_arguments`, or a word is not `key=value`.
        """
        types_by_name = {parameter.name: parameter.type for parameter in self.parameters}
        arguments: dict[str, Any] = {}
        for pair in pairs:
            name, equals, text = pair.partition("=")
            if not equals:
                raise ArgumentError({pair: "Write arguments as name=value."})
            arguments[name] = _from_text(text, types_by_name.get(name, str))
        self.check_arguments(arguments)
        return arguments


class Registry:
    """Task functions by name. One per process: `registry`."""

    def __init__(self) -> None:
        self._functions: dict[str, TaskFunction] = {}
        self._job_ids: set[str] = set()

    def __iter__(self) -> Iterator[TaskFunction]:
        return iter(self._functions.values())

    def __contains__(self, name: object) -> bool:
        return name in self._functions

    def add(self, function: TaskFunction) -> None:
        """Raises:
        SchedulingError: the name, or the id of its Job, is taken.
        """
        known = self._functions.get(function.name)
        if known is not None and known.function.__code__ is not function.function.__code__:
            where = f"{known.function.__module__}.{known.function.__qualname__}"
            raise SchedulingError(
                f"Two task functions are called {function.name}; the other one is {where}. Rename one."
            )
        if function.defaults:
            if known is None and function.defaults.id in self._job_ids:
                raise SchedulingError(
                    f"Two task functions declare a Job with the id {function.defaults.id}. Rename one."
                )
            self._job_ids.add(function.defaults.id)
        self._functions[function.name] = function

    def remove(self, name: str) -> None:
        """Forget a function, as if its app were gone."""
        function = self._functions.pop(name)
        if function.defaults:
            self._job_ids.discard(function.defaults.id)

    def get(self, name: str) -> TaskFunction:
        """Raises:
        UnknownTaskFunction: none of that name is registered here.
        """
        try:
            return self._functions[name]
        except KeyError:
            raise UnknownTaskFunction(
                f"There is no task function {name} in this program. Was it renamed, or its app removed?"
            ) from None

    def choices(self) -> list[tuple[str, str]]:
        """For a form: name and what it does."""
        return sorted((function.name, f"{function.name} – {function.summary}") for function in self)


registry = Registry()


def task(
    task_name: str,
    /,
    *,
    name: str = "",
    label: str = "",
    id: str | None = None,
    cron: str = "",
    interval: timedelta | None = None,
    **defaults: Any,
) -> Callable[[Callable[..., Any]], TaskFunction]:
    """Register a function that takes a `TaskRun` first and named, typed arguments after it.

    With `cron` or `interval` it also declares a Job, created when a scheduler starts; `name` is that Job's name and
    further keywords are those of `JobDefaults`. `label` is the short word by which its Tasks are listed.

    Raises:
        SchedulingError: at the definition, when the function or the schedule cannot work.
    """

    def register(function: Callable[..., Any]) -> TaskFunction:
        declared = None
        if cron or interval:
            if not id:
                raise SchedulingError(
                    f"@task({task_name!r}) has a schedule, so its Job needs an id: @task(..., id='...')."
                )
            declared = JobDefaults(id=id, name=name or task_name, cron=cron, interval=interval, **defaults)
            _check_schedule(declared, task_name)
        elif defaults or id:
            raise SchedulingError(f"@task({task_name!r}) says how a Job runs but not when: add cron= or interval=.")
        made = TaskFunction(function, name=task_name, label=label or name or task_name, defaults=declared)
        if declared:
            made.check_arguments(declared.arguments)
        registry.add(made)
        return made

    return register


def _check_schedule(declared: JobDefaults, name: str) -> None:
    if declared.cron and declared.interval:
        raise SchedulingError(f"@task({name!r}) has both cron and interval; choose one.")
    try:
        if declared.cron:
            CronTrigger(declared.cron, declared.timezone or "UTC")
        elif declared.interval:
            IntervalTrigger(declared.interval, datetime.fromisoformat("2000-01-01T00:00:00+00:00"), "UTC")
    except TriggerError as error:
        raise SchedulingError(f"@task({name!r}): {error}") from error


def _parameters(function: Callable[..., Any], name: str) -> Iterator[Parameter]:
    if "<locals>" in function.__qualname__ and "." not in name:
        raise SchedulingError(f"@task({name!r}): name it app.function, e.g. 'audiobooks.library_scan'.")
    if inspect.iscoroutinefunction(function):
        raise SchedulingError(
            f"@task({name!r}): {function.__qualname__} is async; call asyncio.run inside a plain function."
        )
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or parameters[0].kind not in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    ):
        raise SchedulingError(f"@task({name!r}): the first parameter of {function.__qualname__} must be the TaskRun.")
    hints = typing.get_type_hints(function)
    for parameter in parameters[1:]:
        if parameter.kind in (
            inspect.Parameter.VAR_POSITIONAL,
            inspect.Parameter.VAR_KEYWORD,
            inspect.Parameter.POSITIONAL_ONLY,
        ):
            raise SchedulingError(f"@task({name!r}): {parameter} cannot be given by name; use named arguments.")
        required = parameter.default is inspect.Parameter.empty
        yield Parameter(
            parameter.name,
            hints.get(parameter.name, Any),
            required,
            None if required else parameter.default,
        )


def _alternatives(wanted: Any) -> tuple[Any, ...]:
    if isinstance(wanted, types.UnionType) or typing.get_origin(wanted) is typing.Union:
        return typing.get_args(wanted)
    return (wanted,)


NOT_STORABLE = "It holds what no database keeps: NaN, infinity, NUL or half of a character."


def is_storable(value: Any) -> bool:
    """Whether a JSON value can be kept as JSON by every database."""
    if isinstance(value, str):
        return not any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(is_storable(key) and is_storable(item) for key, item in value.items())
    return all(map(is_storable, value)) if isinstance(value, list) else True


def _fits(value: Any, wanted: Any) -> bool:
    """Whether a JSON value fits an annotation. Dates are ISO texts in JSON."""
    return any(_fits_one(value, alternative) for alternative in _alternatives(wanted))


def _fits_one(value: Any, wanted: Any) -> bool:
    if wanted is Any:
        return True
    if wanted is type(None) or wanted is None:
        return value is None
    origin = typing.get_origin(wanted)
    if origin is Literal:
        return value in typing.get_args(wanted)
    if origin is list:
        inner = typing.get_args(wanted) or (Any,)
        return isinstance(value, list) and all(_fits(item, inner[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict)
    if wanted in (datetime, date):
        return isinstance(value, str) and _is_iso(value, wanted)
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, wanted)


def _is_iso(text: str, wanted: type[date]) -> bool:
    try:
        wanted.fromisoformat(text)
    except ValueError:
        return False
    return True


_TYPE_WORDS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    date: "a date such as 2026-03-01",
    datetime: "a date and time such as 2026-03-01T04:00+00:00",
    type(None): "nothing (null)",
}


def _in_words(wanted: Any) -> str:
    def one(alternative: Any) -> str:
        if typing.get_origin(alternative) is Literal:
            return "one of " + ", ".join(map(repr, typing.get_args(alternative)))
        if typing.get_origin(alternative) is list:
            return "a list"
        return _TYPE_WORDS.get(alternative, str(alternative))

    return " or ".join(map(one, _alternatives(wanted)))


def _from_text(text: str, wanted: Any) -> Any:
    """The value meant by a word of the command line; left as it is where it does not fit, for the check to say so."""
    alternatives = _alternatives(wanted)
    if type(None) in alternatives and text in ("", "null"):
        return None
    first = next(alternative for alternative in alternatives if alternative is not type(None))
    if first is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    if first in (int, float):
        try:
            return first(text)
        except ValueError:
            return text
    if typing.get_origin(first) is list:
        inner = (typing.get_args(first) or (str,))[0]
        return [_from_text(part, inner) for part in text.split(",")] if text else []
    return text


def call_arguments(function: TaskFunction, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """JSON arguments as the function wants them: ISO texts become dates where the signature says so."""
    converted = dict(arguments)
    for parameter in function.parameters:
        value = converted.get(parameter.name)
        for wanted in (datetime, date):
            if wanted in _alternatives(parameter.type) and isinstance(value, str):
                converted[parameter.name] = wanted.fromisoformat(value)
                break
    return converted
