"""`@task` refuses what cannot work when it is defined, and checks arguments by the signature."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from scheduling.context import TaskRun
from scheduling.exceptions import ArgumentError, SchedulingError, UnknownTaskFunction
from scheduling.registry import registry, task


@pytest.fixture(autouse=True)
def restored_registry() -> Iterator[None]:
    before = {function.name for function in registry}
    yield
    for name in {function.name for function in registry} - before:
        registry.remove(name)


def test_it_registers_a_function_and_keeps_its_docstring() -> None:
    @task("t.ok", label="OK", id="ok", name="The name", cron="0 2 * * *", retries=3)
    def ok(run: TaskRun, limit: int = 3) -> None:
        """What it does.

        And more.
        """

    assert registry.get("t.ok") is ok
    assert (ok.label, ok.summary) == ("OK", "What it does.")
    assert ok.defaults is not None
    assert (ok.defaults.name, ok.defaults.retries) == ("The name", 3)


def test_two_functions_of_one_name_are_refused() -> None:
    @task("t.one")
    def one(run: TaskRun) -> None: ...

    with pytest.raises(SchedulingError, match=r"Two task functions are called t\.one"):

        @task("t.one")
        def other(run: TaskRun) -> None: ...


def test_two_jobs_of_one_id_are_refused() -> None:
    @task("t.a", id="same", cron="@daily")
    def a(run: TaskRun) -> None: ...

    with pytest.raises(SchedulingError, match="the id same"):

        @task("t.b", id="same", cron="@daily")
        def b(run: TaskRun) -> None: ...


def no_parameter() -> None: ...
def var_keyword(run: TaskRun, **more: int) -> None: ...
async def asynchronous(run: TaskRun) -> None: ...


@pytest.mark.parametrize(
    ("function", "keywords", "sentence"),
    [
        (no_parameter, {}, "first parameter"),
        (var_keyword, {}, "cannot be given by name"),
        (asynchronous, {}, "is async"),
        (test_two_functions_of_one_name_are_refused, {}, "first parameter"),
    ],
)
def test_a_function_that_cannot_be_run_is_refused(function: Any, keywords: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SchedulingError, match=sentence):
        task("t.bad", **keywords)(function)


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"cron": "0 2 * * *"}, "needs an id"),
        ({"cron": "0 2 * * *", "id": ".."}, "begins with a letter"),
        ({"id": "x"}, "not when"),
        ({"id": "x", "cron": "0 25 * * *"}, "hour"),
        ({"id": "x", "cron": "0 2 * * *", "interval": timedelta(1)}, "choose one"),
        ({"id": "x", "cron": "0 2 * * *", "arguments": {"nothing": 1}}, "no argument"),
    ],
)
def test_a_schedule_that_cannot_work_is_refused(keywords: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SchedulingError, match=sentence):

        @task("t.bad", **keywords)
        def bad(run: TaskRun) -> None: ...


@pytest.fixture
def typed() -> Any:
    @task("t.typed")
    def typed(
        run: TaskRun,
        name: str,
        count: int = 1,
        ratio: float = 0.5,
        on: bool = False,
        day: date | None = None,
        names: list[str] | None = None,
        mode: Literal["a", "b"] = "a",
    ) -> None: ...

    return typed


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ({}, {"name"}),
        ({"name": 3}, {"name"}),
        ({"name": "x", "count": "3"}, {"count"}),
        ({"name": "x", "count": True}, {"count"}),
        ({"name": "x", "count": 1.5}, {"count"}),
        ({"name": "x", "ratio": "much"}, {"ratio"}),
        ({"name": "x", "on": 1}, {"on"}),
        ({"name": "x", "day": "yesterday"}, {"day"}),
        ({"name": "x", "names": [1]}, {"names"}),
        ({"name": "x", "mode": "c"}, {"mode"}),
        ({"name": "x", "other": 1, "more": 2}, {"other", "more"}),
    ],
)
def test_wrong_arguments_are_named(typed: Any, arguments: dict[str, Any], wrong: set[str]) -> None:
    with pytest.raises(ArgumentError) as error:
        typed.check_arguments(arguments)
    assert set(error.value.problems) == wrong


def test_right_arguments_pass_and_dates_become_dates(typed: Any) -> None:
    arguments = {"name": "x", "count": 3, "ratio": 1, "on": True, "day": "2026-03-01", "names": ["a"], "mode": "b"}
    typed.check_arguments(arguments)
    assert typed.call_arguments(arguments)["day"] == date(2026, 3, 1)


def test_words_of_the_command_line_become_values(typed: Any) -> None:
    words = ["name=x=y", "count=3", "ratio=1.5", "on=true", "day=2026-03-01", "names=a,b", "mode=b"]
    assert typed.parse_arguments(words) == {
        "name": "x=y", "count": 3, "ratio": 1.5, "on": True, "day": "2026-03-01", "names": ["a", "b"], "mode": "b"
    }  # fmt: skip
    with pytest.raises(ArgumentError):
        typed.parse_arguments(["name"])
    with pytest.raises(ArgumentError):
        typed.parse_arguments(["name=x", "count=many"])


def test_arguments_in_order_are_taken_as_named(typed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []
    monkeypatch.setattr("scheduling.runner.run_here", lambda function, arguments: given.append(dict(arguments)))
    typed("x", 3, on=True)
    assert given == [{"name": "x", "count": 3, "on": True}]
    for values, named in ((("x", 1, 2.0, True, None, None, "a", 9), {}), (("x",), {"name": "y"})):
        with pytest.raises(TypeError, match="each once"):
            typed(*values, **named)


def test_words_are_laid_over_stored_arguments_before_they_are_checked(typed: Any) -> None:
    assert typed.parse_arguments(["count=4"], over={"name": "x", "count": 1}) == {"name": "x", "count": 4}


@pytest.mark.parametrize(
    ("wanted", "text", "value", "converted"),
    [
        (Literal[1, 2], "1", 1, 1),
        (int | float, "1.5", 1.5, 1.5),
        (dict[str, int], '{"a": 1}', {"a": 1}, {"a": 1}),
        (list[date], "2026-01-01,2026-01-02", ["2026-01-01", "2026-01-02"], [date(2026, 1, 1), date(2026, 1, 2)]),
        (list[int] | None, "", None, None),
        (str | date, "hello", "hello", "hello"),
        (str | date, "2026-01-01", "2026-01-01", date(2026, 1, 1)),
        (str, "12", "12", "12"),
        (Any, "12", 12, 12),
        (bool | None, "False", False, False),
        (float, ".5", 0.5, 0.5),
        (int, "007", 7, 7),
        (str | None, '"x"', '"x"', '"x"'),
        (str | None, "", None, None),
        (Any, "", "", ""),
        (typing.List, "[1]", [1], [1]),  # noqa: UP006
        (typing.Dict, '{"a": 1}', {"a": 1}, {"a": 1}),  # noqa: UP006
    ],
)
def test_a_word_is_read_as_the_type_wanted(wanted: Any, text: str, value: Any, converted: Any) -> None:
    def typed(run: TaskRun, x: Any) -> None: ...

    typed.__annotations__["x"] = wanted
    function = task("t.words")(typed)
    arguments = function.parse_arguments([f"x={text}"])
    assert arguments == {"x": value}
    assert function.call_arguments(arguments) == {"x": converted}


def nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


@pytest.mark.parametrize(
    ("wanted", "value"),
    [(dict[str, int], {"a": "no"}), (list[date], ["never"]), (Literal[1], True), (str, "\0"), (float, float("nan")),
     (Any, "\ud800"), (list, [float("inf")]), (list, 3), (list, nested(2000)), (dict, {"a": {"b": "\0"}})],
)  # fmt: skip
def test_what_does_not_fit_or_cannot_be_kept_is_refused(wanted: Any, value: Any) -> None:
    def typed(run: TaskRun, x: Any) -> None: ...

    typed.__annotations__["x"] = wanted
    with pytest.raises(ArgumentError):
        task("t.unfit")(typed).check_arguments({"x": value})


@pytest.mark.parametrize("wanted", [tuple[int, ...], Path, set[str], dict[int, str], Sequence[str], list[Path]])
def test_an_annotation_that_no_json_value_fits_is_refused_at_the_definition(wanted: Any) -> None:
    def typed(run: TaskRun, x: Any) -> None: ...

    typed.__annotations__["x"] = wanted
    with pytest.raises(SchedulingError, match="no JSON value"):
        task("t.unknown")(typed)


def test_an_unknown_function_is_said() -> None:
    with pytest.raises(UnknownTaskFunction, match="renamed"):
        registry.get("t.gone")
