"""Task functions for tests, found like those of a user's own app."""

import ctypes
import os
import signal
import subprocess
import time
from datetime import timedelta

from django.db import transaction

from scheduling.context import TaskRun
from scheduling.exceptions import TaskFailed
from scheduling.registry import task


@task("sample.noop")
def noop(run: TaskRun) -> None:
    """Do nothing."""


@task("sample.mark")
def mark(run: TaskRun, path: str, text: str = "x") -> None:
    """Append a line: when, which Task, which text."""
    with open(path, "a") as file:
        file.write(f"{time.time():.6f} {run.task_id} {text}\n")


@task("sample.sleep")
def sleep(run: TaskRun, seconds: float) -> None:
    """Sleep where a signal can interrupt."""
    run.log("sleeping for %s", seconds)
    time.sleep(seconds)


@task("sample.sleep_in_c")
def sleep_in_c(run: TaskRun) -> None:
    """Sleep inside a C call that holds the interpreter."""
    run.log("sleeping in C")
    time.sleep(0.5)
    ctypes.PyDLL(None).sleep(3600)


@task("sample.spin")
def spin(run: TaskRun) -> None:
    """A tight loop."""
    while True:
        pass


@task("sample.ignore_signals")
def ignore_signals(run: TaskRun) -> None:
    """Ignore what can be ignored, and swallow every exception."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(0.1)


@task("sample.cooperate")
def cooperate(run: TaskRun) -> None:
    """Work until asked to stop."""
    while not run.should_stop:
        try:
            time.sleep(0.05)
        except BaseException:  # noqa: BLE001  The test wants the flag to be what ends it.
            continue


@task("sample.hog")
def hog(run: TaskRun, megabytes: int) -> None:
    """Hold memory and never end."""
    held = bytearray(b"x") * (megabytes * 1_000_000)
    run.progress(text="held")
    while True:
        time.sleep(1)
        held[0] = 1


@task("sample.start_program")
def start_program(run: TaskRun, then_die: bool = False) -> None:
    """Start another program, say its process id, and never end, or be killed."""
    program = subprocess.Popen(["sleep", "3600"])
    run.progress(text=str(program.pid))
    if then_die:
        time.sleep(1.5)
        os.kill(os.getpid(), signal.SIGKILL)
    while True:
        try:
            time.sleep(3600)
        except BaseException:  # noqa: BLE001  The test wants a function that does not tidy up.
            continue


@task("sample.fail")
def fail(run: TaskRun, message: str = "as asked") -> None:
    """Raise an error with a traceback."""
    raise ValueError(message)


@task("sample.refuse")
def refuse(run: TaskRun, retry: bool = True) -> None:
    """Fail with a sentence."""
    raise TaskFailed("There is nothing to do this with.", retry=retry)


@task("sample.die")
def die(run: TaskRun) -> None:
    """End the worker process."""
    os.kill(os.getpid(), signal.SIGKILL)


@task("sample.exit")
def leave(run: TaskRun) -> None:
    """Call sys.exit, as scripts do."""
    raise SystemExit("bye")


@task("sample.count")
def count(run: TaskRun, items: int = 10, pause: float = 0.0, fail_every: int = 0) -> None:
    """Go through items, with progress, log and counts."""
    for number in run.items(range(items)):
        if fail_every and number % fail_every == 0:
            run.failed()
            run.warning("item %s failed", number)
        else:
            run.succeeded()
        time.sleep(pause)
    print("printed by the function")
    run.result = {"items": items}


@task("sample.chatter")
def chatter(run: TaskRun, lines: int, width: int = 60) -> None:
    """Log many lines."""
    for number in range(lines):
        run.log("%s %s", number, "-" * width)


@task("sample.odd_result")
def odd_result(run: TaskRun, kind: str) -> None:
    """Leave a result or an error text that databases dislike."""
    values = {"nan": float("nan"), "object": object(), "nul": "a\0b", "surrogate": "\ud800"}
    run.log("a nul \0 and half a pair \ud800")
    run.result = {"value": values[kind]}


@task("sample.unreliable", id="unreliable", cron="0 0 1 1 *", retries=2, retry_delay=timedelta(seconds=1))
def unreliable(run: TaskRun, fail_until: int = 3) -> None:
    """Fail until the given attempt."""
    run.save_checkpoint(attempt=run.attempt, before=run.checkpoint)
    if run.attempt < fail_until:
        raise TaskFailed(f"attempt {run.attempt} failed")


@task("sample.leave_open")
def leave_open(run: TaskRun) -> None:
    """Begin a transaction, save a checkpoint in it, and never end it."""
    transaction.atomic().__enter__()
    run.save_checkpoint(kept=True)


@task("sample.odd_end")
def odd_end(run: TaskRun, kind: str) -> None:
    """Count or end in a way that nobody should."""
    match kind:
        case "generator exit":
            raise GeneratorExit
        case "negative":
            run.failed(-1)
        case "infinite":
            run.progress(0, total=float("inf"))  # type: ignore[arg-type]
        case "text as count":
            run.progress("12")  # type: ignore[arg-type]
        case "set directly":
            run.items_failed, run.processed, run.text = -5, "much", object()  # type: ignore[assignment]
        case "large":
            run.progress(3_000_000_000, total=5_000_000_000, text=5)  # type: ignore[arg-type]
            time.sleep(0.5)
