"""`python -m benchmarks.refresh.standin BOOKS SECONDS`: Audnexus and Audible on loopback, in a process of its own."""

from __future__ import annotations

import sys
import time

from benchmarks.refresh.library import catalogue
from tests.fakes.catalogue import FakeCatalogue

if __name__ == "__main__":
    with FakeCatalogue(catalogue(int(sys.argv[1])), latency=float(sys.argv[2])) as outside:
        print(f"READY {outside.url}", flush=True)
        while True:
            time.sleep(3600)
