"""The labelled names, where they are: what may be written without asking must be right, and most must be found."""

import pytest

from audiobooks.matching.compare import Verdict, compare
from benchmarks.matching.sets import DATA, RELEASES, SETS

pytestmark = pytest.mark.skipif(not RELEASES.is_dir(), reason=f"no labelled data in {DATA}; set AUDIOBOOKS_DATA")


@pytest.mark.parametrize(
    ("name", "precision", "recall"),
    [
        ("folders", 0.995, 0.96),
        ("folders, checked title", 0.995, 0.97),
        ("audnexus", 0.995, 0.95),
        ("subtitles", 0.995, 0.95),
        ("tagged library", 0.995, 0.95),
        ("volumes", 1.0, 0.0),
        # Two of the eleven names have no author.
        ("threads", 1.0, 0.8),
    ],
)
def test_what_is_strong_is_right(name: str, precision: float, recall: float) -> None:
    pairs = list(SETS[name]())
    strong = [pair for pair in pairs if compare(pair.ours, pair.theirs).verdict is Verdict.STRONG]
    right = sum(pair.same for pair in strong)
    assert right >= precision * len(strong)
    assert right >= recall * sum(pair.same for pair in pairs)
