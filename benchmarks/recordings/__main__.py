"""`python -m benchmarks.recordings`: wrong recordings caught and false alarms on a labelled set, beside simpler rules."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

from audiobooks.library.audio import Listener
from audiobooks.recordings import Check, Verdict, check
from tests.samples.recordings import Sample, make_samples

SEEDS = {"tuned on": 1, "held out": 2}
PER_MINUTE = (0.05, 2.0)
"""MB per minute of the wanted runtime that ReadMeABook's rule takes for an audiobook, before it downloads."""
RUNTIME = 0.10


def by_size(sample: Sample, found: Check) -> bool:
    """Whether the size per minute of the wanted runtime lets it pass; our sounds are of 32 kbit/s or lossless."""
    size = sum(path.stat().st_size for path in sample.content.rglob("*") if path.is_file() and not path.is_symlink())
    size = size or (sample.content.stat().st_size if sample.content.is_file() else 0)
    runtime = sample.wanted.facts.runtime
    return runtime is None or PER_MINUTE[0] <= size / 1e6 / (runtime / 60) <= PER_MINUTE[1]


def by_runtime(sample: Sample, found: Check) -> bool:
    known = [each for each in (sample.wanted.facts.runtime, *sample.wanted.runtimes) if each]
    return bool(found.files) and (not known or any(abs(found.runtime / each - 1) <= RUNTIME for each in known))


RULES = {
    "the check": lambda sample, found: found.verdict is Verdict.OK,
    "runtime only": by_runtime,
    "size per minute only": by_size,
}


def measure(folder: Path, seed: int, *, each: int, errors: bool) -> dict[str, tuple[float, float]]:
    """By rule the share of the wrong that it caught, and of the right that it held back; printed, too."""
    samples = list(make_samples(folder, seed, each=each))
    began = time.monotonic()
    with Listener() as listener:
        checks = [
            check(sample.content, sample.wanted, expected=sample.expected, listener=listener) for sample in samples
        ]
    took = time.monotonic() - began
    wrong = sum(bool(sample.kind) for sample in samples)
    right = len(samples) - wrong
    print(f"{wrong} wrong, {right} right, checked in {took:.1f} s")
    rates = {}
    for name, passes in RULES.items():
        caught = Counter[str]()
        alarms = 0
        for sample, found in zip(samples, checks, strict=True):
            if not passes(sample, found):
                caught[sample.kind.partition(":")[0]] += bool(sample.kind)
                alarms += not sample.kind
        rates[name] = (sum(caught.values()) / wrong, alarms / right)
        kinds = Counter(sample.kind.partition(":")[0] for sample in samples if sample.kind)
        missed = {kind: number - caught[kind] for kind, number in kinds.items() if caught[kind] < number}
        print(
            f"  {name:22} caught {rates[name][0]:7.2%}  false alarms {rates[name][1]:7.2%}  missed: {missed or 'none'}"
        )
    if errors:
        for sample, found in zip(samples, checks, strict=True):
            if bool(sample.kind) == (found.verdict is Verdict.OK):
                said = [problem.sentence for problem in found.problems]
                print(f"    {sample.kind or f'right, {sample.odd}'}: {sample.content.name} {found.runtime} s: {said}")
    return rates


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=12, help="recordings of each wrong kind")
    parser.add_argument("--errors", action="store_true", help="name what was judged wrongly")
    parser.add_argument("--half", choices=SEEDS, help="one half alone")
    chosen = parser.parse_args()
    for half, number in SEEDS.items():
        if chosen.half in (None, half):
            print(half)
            with tempfile.TemporaryDirectory() as place:
                measure(Path(place), number, each=chosen.each, errors=chosen.errors)
