"""Real answers and catalogues, which lie beside the checkout and are not ours to publish.

Tests that need them are skipped where they are absent. In CI they are not: there nothing runs without them (conftest.py).
"""

from benchmarks.matching.sets import DATA

RECORDED = DATA / "recorded"
