"""Pauses aimed at the due moment, where a scheduler that writes back what it has read before would lose them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import TypedDict

from benchmarks.jobs import Spec, sleep_until

AIM = 0.012
"""A pause is asked for this long after the due moment at most."""
WATCHED = 2.3
"""Long enough for two more fire times of Jobs that run each second."""


class Pause(TypedDict):
    """One pause, in seconds as in `benchmarks.jobs`."""

    job: str
    after_due: float
    """How long after the due moment it was asked for."""
    returned: float
    resumed: float
    row_is_paused: bool
    """Whether the row still said so when the Job was resumed."""


def pause_at_due_moments(
    specs: Sequence[Spec],
    *,
    rounds: int,
    pause: Callable[[str], None],
    resume: Callable[[str], None],
    is_paused: Callable[[str], bool],
) -> list[Pause]:
    """Pause every Job once a round, and resume it."""
    pauses = []
    for _ in range(rounds):
        returned: dict[str, tuple[float, float]] = {}
        for spec in sorted(specs, key=lambda spec: spec.next_fire_time(time.time() + 0.1)):
            due = spec.next_fire_time(time.time())
            sleep_until(due + random.uniform(0, AIM))
            asked = time.time()
            pause(spec.id)
            returned[spec.id] = asked - due, time.time()
        time.sleep(WATCHED)
        for job, (after_due, at) in returned.items():
            still = is_paused(job)
            pauses.append(Pause(job=job, after_due=after_due, returned=at, resumed=time.time(), row_is_paused=still))
            resume(job)
        time.sleep(1.2)
    return pauses
