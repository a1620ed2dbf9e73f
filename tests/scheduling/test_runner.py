"""What is captured of a run: its log and what it prints, without secrets."""

from __future__ import annotations

import io
import logging
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from scheduling.context import TaskRun, each_on_its_own
from scheduling.exceptions import TaskFailed, TaskStopped
from scheduling.outcomes import Outcome
from scheduling.registry import TaskFunction
from scheduling.runner import LogCapture, Printed, execute, progress_fields, stoppable


class Unshowable:
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.fixture
def logger() -> logging.Logger:
    logger = logging.Logger("captured")
    logger.addHandler(LogCapture())
    return logger


def captured(logger: logging.Logger) -> str:
    (capture,) = logger.handlers
    assert isinstance(capture, LogCapture)
    return capture.take_last()


@pytest.mark.parametrize(
    ("message", "values"),
    [("%d items", ("many",)), ("%(a)s", ({"b": 1},)), ("%s %s", ("one",)), (Unshowable(), ()), ("%s", (Unshowable(),))],
)
def test_a_line_that_cannot_be_shown_fails_nothing(logger: logging.Logger, message: Any, values: Any) -> None:
    logger.info(message, *values)
    logger.info("after")
    first, second = captured(logger).splitlines()
    assert "cannot be shown" in first and second.endswith("captured: after")


def test_a_log_is_cut_once_and_says_so(settings: Any) -> None:
    settings.SCHEDULING = {**settings.SCHEDULING, "LOG_CAP": 1000}
    capture = LogCapture()
    for line in ("short\n", "x" * 2000 + "\n", "after\n"):
        capture.add(line)
    lines = capture.take_last().splitlines()
    assert lines[0] == "short" and set(lines[1]) == {"x"} and len(lines) == 3
    assert "cut here, 2 lines" in lines[2]


def test_a_secret_at_the_cut_is_no_more_shown_than_elsewhere(settings: Any) -> None:
    settings.SCHEDULING = {**settings.SCHEDULING, "LOG_CAP": 1000, "SECRETS": ("abcdefghijkl",)}
    capture = LogCapture()
    capture.add("x" * 994 + "abcdefghijkl\n")
    assert "abcdef" not in capture.take_last()
    run = TaskRun(task_id=1, attempt=1, channel=None)  # type: ignore[arg-type]
    run.text = "x" * 250 + "abcdefghijkl"
    assert "abcde" not in progress_fields(run)["progress_text"]


def test_what_is_printed_goes_to_both_places() -> None:
    capture, shown = LogCapture(), io.StringIO()
    printed = Printed(capture, shown=shown)
    print("a", file=printed)
    print("b", end="", file=printed, flush=True)
    printed.finish()
    assert shown.getvalue() == "a\nb"
    assert [line[-1] for line in capture.take().splitlines()] == ["a", "b"]


@pytest.mark.timeout(20)
def test_a_line_that_is_printed_piece_by_piece_costs_its_length() -> None:
    """As dots, one for each item. It took minutes when each was added to all before it."""
    capture = LogCapture()
    printed = Printed(capture)
    for _ in range(300_000):
        print("." * 30, end="", file=printed)
    print("\nnext", file=printed)
    printed.finish()
    assert "the log was cut here, 2 lines" in capture.take_last()


@pytest.mark.parametrize("error", [TaskFailed("one of two sources is away"), RuntimeError("a bug")])
def test_what_a_run_that_failed_had_done_is_kept(error: Exception) -> None:
    def fails(run: TaskRun) -> None:
        run.result = {"new": 3}
        raise error

    function = TaskFunction(fails, name="tests.fails", label="", defaults=None)
    outcome = execute(function, TaskRun(task_id=1, attempt=1, channel=None), {})  # type: ignore[arg-type]
    assert (outcome.retry, outcome.reason) == (True, "")
    assert outcome.status == "failed" and outcome.result == '{"new": 3}' and str(error) in outcome.error_message


def test_why_a_failure_is_not_tried_again_is_said() -> None:
    def asks(run: TaskRun) -> None:
        raise TaskFailed("Look at it.", retry=False)

    function = TaskFunction(asks, name="tests.asks", label="", defaults=None)
    outcome = execute(function, TaskRun(task_id=1, attempt=1, channel=None), {})  # type: ignore[arg-type]
    assert outcome.status == "failed" and not outcome.retry and "not tried again" in outcome.reason
    with pytest.raises(TaskFailed, match=r"^$"):
        raise TaskFailed


def executed(function: Callable[[TaskRun], None]) -> Outcome:
    run = TaskRun(task_id=1, attempt=1, channel=None)  # type: ignore[arg-type]
    return execute(TaskFunction(function, name="tests.any", label="", defaults=None), run, {})


def test_a_result_too_deep_to_be_written_is_not_kept() -> None:
    def nests(run: TaskRun) -> None:
        run.result = []
        for _ in range(5000):
            run.result = [run.result]

    outcome = executed(nests)
    assert (outcome.status, outcome.result) == ("completed", "")


def test_a_process_that_a_function_forked_ends_no_task() -> None:
    def forks(run: TaskRun) -> None:
        forked = os.fork()
        if not forked:
            raise ValueError("in the forked process")
        run.result = os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1])

    own = os.getpid()
    outcome = executed(forks)
    if os.getpid() != own:
        os._exit(0)  # It should not have come so far.
    assert (outcome.status, outcome.result) == ("completed", "1")


def test_a_process_that_a_function_forked_can_be_ended() -> None:
    """As `multiprocessing` does, which then waits for it."""
    reader, writer = os.pipe()
    with stoppable(lambda: False):
        forked = os.fork()
        if not forked:
            os.write(writer, b"x")
            time.sleep(0.5)
            os._exit(0)
        os.read(reader, 1)
        os.kill(forked, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]) == -signal.SIGTERM
    os.close(reader)
    os.close(writer)


class TestEachOnItsOwn:
    def test_all_are_called_in_order_and_what_was_raised_is_raised(self) -> None:
        called = []

        def trips(number: int) -> None:
            called.append(number)
            if number in raising:
                raise KeyError(number)

        calls = [partial(trips, number) for number in range(4)]
        raising: set[int] = set()
        each_on_its_own(calls)
        assert called == [0, 1, 2, 3]
        raising = {1}
        with pytest.raises(KeyError, match="1"):
            each_on_its_own(iter(calls))
        assert called == [0, 1, 2, 3] * 2
        raising = {0, 3}
        with pytest.raises(ExceptionGroup) as caught:
            each_on_its_own(calls)
        assert [each.args for each in caught.value.exceptions] == [(0,), (3,)]
        assert called == [0, 1, 2, 3] * 3

    @pytest.mark.parametrize("end", [TaskStopped, KeyboardInterrupt, SystemExit])
    def test_a_stop_ends_it_at_once(self, end: type[BaseException]) -> None:
        called = []

        def stop() -> None:
            called.append(1)
            raise end

        with pytest.raises(end):
            each_on_its_own([stop, stop])
        assert called == [1]
