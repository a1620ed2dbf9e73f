"""What the benchmark does to our side's database, from another process than the scheduler's."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import django

django.setup()

from django.db import transaction  # noqa: E402
from django.db.models import Count, Sum  # noqa: E402
from django.utils import timezone  # noqa: E402
from django_apscheduler.models import DjangoJob  # noqa: E402

from benchmarks.driver import serve  # noqa: E402
from benchmarks.jobs import ROUNDING, Spec, Start, read_starts  # noqa: E402
from benchmarks.pausing import Pause, pause_at_due_moments  # noqa: E402
from scheduling import wakeups  # noqa: E402
from scheduling.models import Job, Task  # noqa: E402

OBEYED_WITHIN = 10.0


def moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def insert(specs: list[list[Any]], path: str) -> None:
    """Store Jobs as `save_definition` would, in two statements."""
    jobs = [Spec(*values) for values in specs]
    with transaction.atomic():
        DjangoJob.objects.bulk_create(
            [DjangoJob(id=spec.id, next_run_time=moment(spec.at), job_state=b"") for spec in jobs], batch_size=1000
        )
        Job.objects.bulk_create(
            [
                interval_job(spec.id, path, interval=timedelta(seconds=spec.every), anchor=moment(spec.at))
                for spec in jobs
            ],
            batch_size=500,
        )
        wakeups.announce()


def interval_job(job_id: str, path: str, **fields: Any) -> Job:
    return new_job(job_id, path, trigger=Job.TriggerKind.INTERVAL, **fields)


def new_job(job_id: str, path: str, **fields: Any) -> Job:
    function, arguments = ("bench.mark", {"path": path, "job": job_id}) if path else ("bench.noop", {})
    return Job(id=job_id, runtime_id=job_id, name=job_id, **{"function": function, "arguments": arguments, **fields})


def completed(before: float) -> int:
    """Runs that stand for the fire times before the moment, and are completed."""
    return Task.objects.filter(fire_time__lt=moment(before), status=Task.Status.COMPLETED).count()


def grid(specs: list[list[Any]]) -> dict[str, Any]:
    """How many fire times the Jobs have passed by, how many of them no Task stands for, and how the Tasks ended."""
    passed = unrecorded = 0
    scheduled = Task.objects.filter(cause=Task.Cause.SCHEDULE)
    for spec in (Spec(*values) for values in specs):
        # One commit moves the next run time and writes the Task: what is before it must have one, whoever still runs.
        next_run_time = Job.objects.by_id(spec.id).next_run_time
        assert next_run_time is not None
        tasks = scheduled.filter(job=spec.id, fire_time__lt=next_run_time)
        due = spec.count_between(spec.at, next_run_time.timestamp() - ROUNDING)
        passed += due
        unrecorded += max(0, due - (tasks.aggregate(count=Sum("fire_count"))["count"] or 0))
    return {
        "passed": passed,
        "unrecorded": unrecorded,
        "statuses": dict(scheduled.order_by().values_list("status").annotate(Count("pk"))),
    }


def pauses(specs: list[list[Any]], rounds: int) -> list[Pause]:
    return pause_at_due_moments(
        [Spec(*values) for values in specs],
        rounds=rounds,
        pause=lambda job_id: Job.objects.by_id(job_id).pause(),
        resume=lambda job_id: Job.objects.by_id(job_id).resume(),
        is_paused=lambda job_id: Job.objects.filter(
            pk=job_id, paused_at__isnull=False, runtime__next_run_time=None
        ).exists(),
    )


# --- control ----------------------------------------------------------------------------------------------------------


def control(samples: int, path: str) -> dict[str, list[float]]:
    """Milliseconds from the return of each kind of call to the first start (or end) that obeys it.

    Where the schedule itself makes a Job wait, the time counts from its first fire time after the return.
    `lost pauses` are those after which the Job started again a second or more later.
    """
    steering = Steering(path)
    found: dict[str, list[float]] = {}
    for kind in (steering.run_now, steering.cancel, steering.pause, steering.resume, steering.edit, steering.add):
        found[kind.__name__] = []
        for number in range(samples):
            # Spread over the phases of whatever the scheduler polls.
            time.sleep(random.uniform(0.05, 0.3))
            found[kind.__name__].append(1000 * max(0.0, kind(f"{kind.__name__}-{number}")))
    time.sleep(1.5)
    found["pause"] = [1000 * max(0.0, late) for late in steering.starts_after_pause()]
    return found


class Steering:
    """Each method steers one Job of its own and returns the seconds until it was obeyed."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._paused_at: dict[str, float] = {}

    def run_now(self, name: str) -> float:
        job = self._stored(name, cron="0 0 1 1 *")
        job.run_now()
        returned = time.time()
        return self._first_start(name).at - returned

    def cancel(self, name: str) -> float:
        task = self._stored(name, cron="0 0 1 1 *", function="bench.sleep").run_now()
        self._first_start(name)
        time.sleep(random.uniform(0.05, 0.3))
        task.cancel()
        returned = time.time()
        ended = self._first_start(f"{name}-ended").at
        self._wait(lambda: Task.objects.filter(pk=task.pk, status=Task.Status.CANCELLED).exists(), name)
        return ended - returned

    def pause(self, name: str) -> float:
        """Aimed at the due moment. What it takes to be obeyed is known only later: `starts_after_pause`."""
        spec = Spec(name, time.time() + 0.1, 0.1)
        job = self._stored(name, interval=timedelta(seconds=0.1), anchor=moment(spec.at))
        self._wait(lambda: len(self._starts(name)) >= 2, name)
        time.sleep(max(0.0, spec.next_fire_time(time.time()) + random.uniform(0, 0.012) - time.time()))
        job.pause()
        self._paused_at[name] = time.time()
        return 0.0

    def starts_after_pause(self) -> Iterator[float]:
        """Seconds from each pause to the last start after it; 0 where there was none."""
        last: dict[str, float] = defaultdict(float)
        for start in read_starts(Path(self._path)):
            last[start.job] = start.at
        for name, paused_at in self._paused_at.items():
            yield max(0.0, last[name] - paused_at)

    def resume(self, name: str) -> float:
        spec = Spec(name, time.time() - 10, 0.05)
        job = interval_job(name, self._path, interval=timedelta(seconds=0.05), anchor=moment(spec.at))
        with transaction.atomic():
            job.save_definition()
            job.pause()
        time.sleep(random.uniform(0.2, 0.4))
        job.resume()
        return self._since_fire_time(spec, time.time(), job)

    def edit(self, name: str) -> float:
        job = self._stored(name, cron="0 0 1 1 *")
        time.sleep(random.uniform(0.2, 0.4))
        job.trigger, job.cron, job.interval = Job.TriggerKind.INTERVAL, "", timedelta(seconds=0.05)
        job.save_definition()
        returned = time.time()
        assert job.anchor is not None
        return self._since_fire_time(Spec(name, job.anchor.timestamp(), 0.05), returned, job)

    def add(self, name: str) -> float:
        new_job(name, self._path, trigger=Job.TriggerKind.ONCE, run_at=timezone.now()).save_definition()
        returned = time.time()
        return self._first_start(name).at - returned

    def _stored(self, name: str, **fields: Any) -> Job:
        kind = Job.TriggerKind.CRON if "cron" in fields else Job.TriggerKind.INTERVAL
        job = new_job(name, self._path, trigger=kind, **fields)
        job.arguments = {"path": self._path, "job": name}
        job.save_definition()
        return job

    def _since_fire_time(self, spec: Spec, returned: float, job: Job) -> float:
        start = self._first_start(spec.id)
        job.remove()
        return start.at - spec.next_fire_time(returned)

    def _first_start(self, name: str) -> Start:
        self._wait(lambda: bool(self._starts(name)), name)
        return self._starts(name)[0]

    def _starts(self, name: str) -> list[Start]:
        return [start for start in read_starts(Path(self._path)) if start.job == name]

    @staticmethod
    def _wait(condition: Callable[[], bool], what: str) -> None:
        give_up = time.monotonic() + OBEYED_WITHIN
        while not condition():
            if time.monotonic() > give_up:
                raise TimeoutError(f"{what} was not obeyed within {OBEYED_WITHIN} s")
            time.sleep(0.01)


serve({"insert": insert, "completed": completed, "grid": grid, "pauses": pauses, "control": control})
