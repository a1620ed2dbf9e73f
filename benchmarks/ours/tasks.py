"""The measured task functions, found like those of any app."""

import time

from benchmarks import jobs
from scheduling.context import TaskRun
from scheduling.registry import task


@task("bench.noop")
def noop(run: TaskRun) -> None:
    """Do nothing."""


@task("bench.mark")
def mark(run: TaskRun, path: str, job: str) -> None:
    """Append which Job started when."""
    jobs.mark(path, job)


@task("bench.sleep")
def sleep(run: TaskRun, path: str, job: str) -> None:
    """Sleep for a minute, where a signal can interrupt; mark the begin and the end."""
    jobs.mark(path, job)
    try:
        time.sleep(60)
    finally:
        jobs.mark(path, f"{job}-ended")
