"""The task functions: what `@task` registers, and the only things that can be scheduled."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator

from .arguments import Parameter, converted, from_words, parameters_of
from .exceptions import SchedulingError, UnknownTaskFunction
from .triggers import LONGEST_INTERVAL, CronTrigger, IntervalTrigger, TriggerError

Overlap = Literal["skip", "queue"]

# Others fold an address away ("..") or break one, or mean something in a filter ("-").
job_id_rule = RegexValidator(
    r"\A\w(?:[\w .:@+/-]*[\w.:@+/-])?\Z",
    "The id of a Job begins with a letter, a digit or _; letters, digits, blanks and . : @ + / - _ may follow.",
)


def check_job_id(job_id: str) -> None:
    """Raises:
    SchedulingError: no new Job may have this id.
    """
    try:
        job_id_rule(job_id)
    except ValidationError as error:
        raise SchedulingError(f"{error.message} Not {job_id!r}.") from None


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


def policy_problems(policy: Any) -> dict[str, str]:
    """Field -> what is wrong with it, of a Job or of JobDefaults."""
    problems = {}
    if policy.max_instances is not None and policy.max_instances < 1:
        problems["max_instances"] = "At least one."
    if policy.retries is not None and policy.retries < 0:
        problems["retries"] = "None, or more."
    if policy.overlap not in typing.get_args(Overlap):
        problems["overlap"] = f"Choose {' or '.join(typing.get_args(Overlap))}."
    for name in ("timeout", "misfire_grace", "retry_delay"):
        value = getattr(policy, name)
        if value is not None and (value < timedelta(0) or (not value and name != "retry_delay")):
            problems[name] = "Must be longer than nothing."
        elif value is not None and value > LONGEST_INTERVAL:
            problems[name] = "May be at most a hundred years."
    return problems


class TaskFunction:
    """A registered function. Calling it runs it in this process and records a Task with cause `shell`."""

    do_not_call_in_templates = True
    """A template that merely names one must not run it."""

    def __init__(self, function: Callable[..., Any], *, name: str, label: str, defaults: JobDefaults | None) -> None:
        self.function = function
        self.name = name
        self.label = label
        self.defaults = defaults
        self.parameters = _parameters(function, name)
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        self.__module__ = function.__module__

    def __call__(self, *values: Any, **arguments: Any) -> Any:
        from .runner import run_here

        names = [parameter.name for parameter in self.parameters]
        if len(values) > len(names) or not arguments.keys().isdisjoint(names[: len(values)]):
            raise TypeError(f"{self.name} takes {', '.join(names) or 'no arguments'}, each once.")
        return run_here(self, {**dict(zip(names, values, strict=False)), **arguments})

    def __repr__(self) -> str:
        return f"<task function {self.name}>"

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    def check_arguments(self, arguments: Mapping[str, Any]) -> None:
        """Raises:
        ArgumentError: one is missing, unknown, of another type than the signature says, or cannot be stored.
        """
        self.call_arguments(arguments)

    def call_arguments(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """JSON arguments as the function wants them; raises as `check_arguments`."""
        return converted(self.parameters, arguments, function=self.name)

    def parse_arguments(self, pairs: Sequence[str], *, over: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Arguments from `key=value` words, each value read as its parameter's type, over those of a Job.

        Raises:
            ArgumentError: as `check_arguments`, or a word is not `key=value`.
        """
        arguments = {**(over or {}), **from_words(self.parameters, pairs)}
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
            check_job_id(id)
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
    if problems := policy_problems(declared):
        raise SchedulingError(f"@task({name!r}): {'; '.join(f'{key}: {text}' for key, text in problems.items())}")
    try:
        if declared.cron:
            CronTrigger(declared.cron, declared.timezone or "UTC")
        elif declared.interval:
            IntervalTrigger(declared.interval, datetime.fromisoformat("2000-01-01T00:00:00+00:00"), "UTC")
    except TriggerError as error:
        raise SchedulingError(f"@task({name!r}): {error}") from error


def _parameters(function: Callable[..., Any], name: str) -> tuple[Parameter, ...]:
    if "<locals>" in function.__qualname__ and "." not in name:
        raise SchedulingError(f"@task({name!r}): name it app.function, e.g. 'audiobooks.library_scan'.")
    if inspect.iscoroutinefunction(function):
        raise SchedulingError(
            f"@task({name!r}): {function.__qualname__} is async; call asyncio.run inside a plain function."
        )
    return parameters_of(function, name)
