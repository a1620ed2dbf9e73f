from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.figures import Figure, percentile, quantiles
from benchmarks.sides import Bench


def control(bench: Bench) -> Iterator[Figure]:
    """How soon a sleeping scheduler obeys another process, 50 samples of each kind. Stock asleep never does."""
    bench.ours.fresh()
    with bench.ours.scheduler():
        time.sleep(2)
        yield from control_figures(bench, samples=3 if bench.quick else 50)


def control_figures(bench: Bench, *, samples: int) -> Iterator[Figure]:
    """Of a scheduler of ours that runs."""
    limit = 100 if bench.on_postgres else 1000
    found = bench.ours.call("control", samples=samples, path=str(bench.ours.new_file("marks")))
    for kind, latencies in found.items():
        name = kind.replace("_", " ")
        late = percentile(latencies, 0.95)
        yield Figure(f"{name}, p95", "ms", late, goal=f"< {limit:,}", met=late < limit)
        yield from quantiles(name, latencies)
    lost = sum(latency > 1000 for latency in found["pause"])
    yield Figure("starts 1 s or more after a pause", "Jobs", lost, goal="0", met=lost == 0)
