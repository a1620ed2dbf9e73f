"""The measured task functions, found like those of any app."""

import logging
import time
from pathlib import Path

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


@task("bench.log")
def log_lines(run: TaskRun, path: str, lines: int, work: int, kept: bool) -> None:
    """Work and log by turns; write how many seconds of wall clock, and of CPU in the whole worker, it took."""
    logger = logging.getLogger("bench.kept" if kept else "bench.discarded")
    if not kept:
        logger.propagate = False
        logger.addHandler(logging.NullHandler())
    wall, cpu = time.perf_counter(), time.process_time()
    for number in range(lines):
        jobs.spin(work)
        logger.info("line %s of a Task that logs much", number)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    Path(path).write_text(f"{wall} {cpu}")
