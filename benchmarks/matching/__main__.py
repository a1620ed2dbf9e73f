"""`python -m benchmarks.matching`: precision and recall of STRONG on labelled pairs, beside simpler rules."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from audiobooks.matching.choose import choose
from audiobooks.matching.compare import Verdict, compare
from audiobooks.matching.releases import parse_release
from audiobooks.matching.titles import parse_title, series_key

from .peers import ACCEPTED, PEERS
from .sets import DATA, RELEASES, SETS, Pair, read_folders, recordings, rows

PRECISION = 0.995
"""Below it nothing may be written without asking."""


@dataclass(frozen=True)
class Rates:
    right: int
    wrong: int
    wanted: int

    @property
    def precision(self) -> float:
        return self.right / (self.right + self.wrong) if self.right + self.wrong else 1.0

    @property
    def recall(self) -> float:
        return self.right / self.wanted if self.wanted else 1.0

    @property
    def f1(self) -> float:
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0

    def __str__(self) -> str:
        recall = f"{self.recall:7.2%}" if self.wanted else "      –"
        return f"precision {self.precision:7.2%} ({self.wrong} wrong)  recall {recall}"


def rates(accepted: Sequence[bool], pairs: Sequence[Pair]) -> Rates:
    right = sum(yes and pair.same for yes, pair in zip(accepted, pairs, strict=True))
    return Rates(right, sum(accepted) - right, sum(pair.same for pair in pairs))


def swept(scores: Sequence[float], pairs: Sequence[Pair]) -> tuple[Rates, Rates]:
    """At the threshold with the best F1, and at that with the best recall whose precision is high enough."""
    wanted = sum(pair.same for pair in pairs)
    best, sure = Rates(0, 0, wanted), Rates(0, 0, wanted)
    right = wrong = 0
    ordered = sorted(zip(scores, (pair.same for pair in pairs), strict=True), key=lambda each: -each[0])
    for at, (score, same) in enumerate(ordered):
        right, wrong = right + same, wrong + (not same)
        if at + 1 < len(ordered) and ordered[at + 1][0] == score:
            continue
        found = Rates(right, wrong, wanted)
        best = max(best, found, key=lambda each: each.f1)
        if found.precision >= PRECISION and found.recall > sure.recall:
            sure = found
    return best, sure


def report(name: str, pairs: Sequence[Pair], *, peers: bool, errors: int) -> None:
    matches = [compare(pair.ours, pair.theirs) for pair in pairs]
    strong = [match.verdict is Verdict.STRONG for match in matches]
    wanted = sum(pair.same for pair in pairs)
    print(f"\n{name}: {wanted} same, {len(pairs) - wanted} others")
    print(f"  {'strong':34} {rates(strong, pairs)}")
    medium = [match.verdict in (Verdict.STRONG, Verdict.MEDIUM) for match in matches]
    print(f"  {'strong or medium':34} {rates(medium, pairs)}")
    if peers:
        for peer, score in PEERS.items():
            scores = [score(pair.ours, pair.theirs) for pair in pairs]
            best, sure = swept(scores, pairs)
            if peer in ACCEPTED:
                print(f"  {peer + ', its threshold':34} {rates([each >= ACCEPTED[peer] for each in scores], pairs)}")
            print(f"  {peer + ', best F1':34} {best}")
            print(f"  {f'{peer}, precision >= {PRECISION:.1%}':34} {sure}")
    wrong = [index for index, pair in enumerate(pairs) if strong[index] != pair.same]
    kinds = Counter(("taken though another: " if strong[at] else "missed: ") + pairs[at].kind for at in wrong)
    for kind, number in kinds.most_common(8):
        print(f"    {number:5} {kind}")
    for kind in ("taken", "missed") if errors else ():
        for at in [at for at in wrong if strong[at] == (kind == "taken")][:errors]:
            pair, match = pairs[at], matches[at]
            print(f"      {kind}: {_shown(pair, ours=True)} | {_shown(pair, ours=False)}")
            print(f"        {match.verdict}; {[p.words for p in match.penalties]} {match.vetoes} {match.doubts}")


def _shown(pair: Pair, *, ours: bool) -> str:
    facts = pair.ours if ours else pair.theirs
    series = [f"{place.name} #{place.position}" for place in facts.series]
    return f"{facts.title!r} {facts.subtitle!r} {', '.join(facts.author_names)} {series} {facts.runtime or ''}"


def report_choice(*, held_out: bool) -> None:
    """One folder, its own candidates and up to nine of the author's other books: what would be written without asking."""
    folders = read_folders()
    taken = right = wanted = 0
    for folder in folders:
        own = [theirs for theirs, agrees in folder.candidates if agrees]
        if not own or Pair(own[0], own[0], True, "", folder.authors[0]).is_held_out != held_out:
            continue
        wanted += 1
        rest = [
            theirs
            for other in folders
            if other is not folder and other.authors[0] == folder.authors[0]
            for theirs, agrees in other.candidates
            if agrees and theirs.asin not in {each.asin for each in own}
        ]
        ours = replace(parse_release(folder.name), runtime=folder.duration, is_audio=True)
        best = choose(ours, [*own, *rest[:9]])[0]
        if best.verdict is Verdict.STRONG:
            taken += 1
            right += best.theirs in own
    print(f"\nchoice among a folder's candidates: {Rates(right, taken - right, wanted)}")


def report_recordings() -> None:
    said: Counter[tuple[str, bool, str]] = Counter()
    for kind, ours, theirs, same in recordings():
        answer = {True: "same", None: "unknown", False: "other"}[compare(ours, theirs).same_recording]
        said[kind, same, answer] += 1
    print("\nrecordings")
    for (kind, same, answer), number in sorted(said.items()):
        print(f"  {number:6} {kind}: {'the same' if same else 'another'}, said to be {answer}")


def report_parsing() -> None:
    """Series and number against the sources' own columns, where these have them."""
    print("\nparsing")
    for name, path, title, subtitle, series, position in (
        ("audnexus", "audnexus-title-subtitle-series-761.csv", "title", "subtitle", "series", "position"),
        ("audnexus, swapped", "audnexus-title-subtitle-series-761.csv", "subtitle", "title", "series", "position"),
        ("subtitles", "audible-subtitle-series-position-95.csv", "title", "subtitle", "series", "position"),
        ("tagged library", "tagged-library-titles-738.csv", "title", "", "series", "series_index_display"),
    ):
        said = Counter[str]()
        for row in rows(RELEASES / path):
            if "swapped" in name and row["kind"] != "swapped_mapping":
                continue
            found = parse_title(row[title], row.get(subtitle, ""))
            if not (row[series] and row[position]):
                said[
                    "number where the source has none" if found.position and not found.guessed else "none, rightly"
                ] += 1
            elif not found.position:
                said["no number found"] += 1
            elif found.position != row[position].removeprefix("Book ").strip():
                said["other number"] += 1
            else:
                said["number right"] += 1
                said["and series right"] += series_key(found.series) == series_key(row[series])
            if "swapped" in name:
                said["and title right"] += series_key(found.title) == series_key(parse_title(row["title"]).title)
        print(f"  {name}: " + ", ".join(f"{kind} {number}" for kind, number in said.most_common()))


def report_speed() -> None:
    pairs = [pair for pair in SETS["folders"]() if pair.ours.title][:2000]
    began = time.perf_counter()
    for at in range(0, len(pairs) - 10, 10):
        choose(pairs[at].ours, [pair.theirs for pair in pairs[at : at + 10]])
    each = (time.perf_counter() - began) / (len(pairs) // 10)
    print(f"\nspeed: one book with 10 candidates {each * 1000:.2f} ms (goal 2 ms)")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.matching", description=__doc__)
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"all of them if none is named: {', '.join(SETS)}")
    parser.add_argument("--part", choices=("seen", "held-out", "both"), default="both", help="of the authors")
    parser.add_argument("--errors", type=int, default=0, metavar="N", help="show N errors of each sort")
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args()
    if not RELEASES.is_dir():
        print(f"Skipped: there is no labelled data in {DATA}. Set AUDIOBOOKS_DATA to the folder that has it.")
        return 0
    for part in ("seen", "held-out") if options.part == "both" else (options.part,):
        print(f"\n=== {part} authors")
        for name in options.sets or SETS:
            pairs = [pair for pair in SETS[name]() if pair.is_held_out == (part == "held-out")]
            report(name, pairs, peers=not options.no_peers, errors=options.errors)
        if not options.sets:
            report_choice(held_out=part == "held-out")
    if not options.sets:
        report_recordings()
        report_parsing()
        report_speed()
    return 0


if __name__ == "__main__":
    sys.exit(main())
