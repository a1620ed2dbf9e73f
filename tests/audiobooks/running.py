"""A run of a task function that reports to nobody."""

from __future__ import annotations

from scheduling.context import TaskRun


class Quiet:
    """A channel; `stop_after` items it wants the run to stop."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.stop_after = stop_after
        self.seen = 0

    def stop_wanted(self) -> bool:
        return self.stop_after is not None and self.seen >= self.stop_after

    def report_progress(self, run: TaskRun) -> None:
        self.seen = run.processed
        assert run.items_succeeded + run.items_failed <= run.processed
        assert run.total is None or run.processed <= run.total
