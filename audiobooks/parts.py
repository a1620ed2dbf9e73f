"""Whether a part of a recording is missing, by what its files number themselves."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from .library.base import FileTags

File = tuple[str, FileTags, Mapping[str, str]]
"""Path, tags, and further tags such as `track`, of "3" or "3/12"."""

MOST_GAPS = 0.34
"""Share of the numbers above which they are no numbering: 3, 17 and 1984 count nothing."""
_OF = re.compile(
    r"\b(?:part|pt|dis[ck]|cd|teil|tape|file|side)s?[\s._-]*#?(\d{1,3})\s*(?:of|von|/|-of-|_of_)[\s._-]*(\d{1,3})\b",
    re.I,
)
_OF_BARE = re.compile(r"(?:^|[\s(\[_-])(\d{1,3})\s?(?:of|von|_of_|-of-)\s?(\d{1,3})(?:$|[\s)\]_.-])", re.I)
_PART_FOLDER = re.compile(r"^(?:dis[ck]|cd|part|side|teil|tape)[ ._-]*(\d{1,3})$", re.I)


def missing_parts(files: Sequence[File], *, name: str, title: str) -> str:
    """A sentence that says which are missing, empty where nothing tells.

    name: of the content. title: of the book, whose own numbers count nothing.
    """
    own = set(re.findall(r"\d+", title))
    return _of_total(files, name, own) or _of_folders(files) or _of_numbers(files, own)


def _of_total(files: Sequence[File], name: str, own: set[str]) -> str:
    """ "Part 2 of 3", and the total that a track has."""
    found: dict[int, set[int]] = defaultdict(set)
    texts = [(*PurePosixPath(path).parts, tags.title, tags.album) for path, tags, _ in files]
    for each in texts:
        totals = {int(match[2]): int(match[1]) for text in each for match in _all(text) if match[2] not in own}
        for total, number in totals.items():
            found[total].add(number)
    if not found and len(files) == 1:
        for match in _all(name):
            found[int(match[2])].add(int(match[1]))
    for total, numbers in found.items():
        gone = sorted(set(range(1, total + 1)) - numbers)
        if (
            total > 1
            and gone
            and max(numbers) <= total
            and not (len(files) > total and len(numbers) == 1 and total > 50)
        ):
            return f"Only part {_list(sorted(numbers))} of {total} is there."
    tracks = [_numbers_of(more.get("track", "")) for _, _, more in files]
    totals_of_tracks = {track[1] for track in tracks if track[1]}
    folders = {str(PurePosixPath(path).parent) for path, _, _ in files} | {more.get("disc", "") for _, _, more in files}
    if len(totals_of_tracks) == 1 and len(folders) <= 2 and all(track[1] for track in tracks):
        total, there = totals_of_tracks.pop(), {track[0] for track in tracks}
        # One file made of many keeps the number of the first.
        if len(there) == len(files) > 1 and len(files) < total and max(there) <= total:
            return f"Its tracks are numbered up to {total}, and {len(files)} are there."
    return ""


def _all(text: str) -> Iterator[re.Match[str]]:
    for pattern in (_OF, _OF_BARE):
        yield from pattern.finditer(text)


def _of_folders(files: Sequence[File]) -> str:
    discs = {
        int(match[1])
        for path, _, _ in files
        for part in PurePosixPath(path).parts[:-1]
        if (match := _PART_FOLDER.match(part))
    }
    discs |= {number for _, _, more in files if (number := _numbers_of(more.get("disc", ""))[0])}
    totals = {total for _, _, more in files if (total := _numbers_of(more.get("disc", ""))[1])}
    if len(discs) > 1 or (discs and totals):
        last = max(max(discs), *totals, 0) if len(totals) == 1 else max(discs)
        if (gone := sorted(set(range(1, last + 1)) - discs)) and len(gone) <= max(1, last // 2):
            return f"Disc {_list(gone)} is missing."
    return ""


def _of_numbers(files: Sequence[File], own: set[str]) -> str:
    """Gaps in each folder's numbers. Where the names or the tracks are numbered without one, nothing is missing."""
    folders: dict[str, list[File]] = defaultdict(list)
    for file in files:
        folders[str(PurePosixPath(file[0]).parent)].append(file)
    for folder in folders.values():
        if len(folder) < 2:
            continue
        numberings = [numbers for numbers in (*_in_names(folder, own), _in_tracks(folder)) if _counts(numbers)]
        gaps = [gap for numbers in numberings if (gap := _gap(numbers)) is not None]
        if gaps and all(gaps):
            return f"By their numbers {_list(gaps[0])} is missing between its files."
    return ""


def _in_names(folder: Sequence[File], own: set[str]) -> Iterator[list[int]]:
    """The numbers at each place where the names have one."""
    names = [
        [int(n) for n in re.findall(r"\d{1,4}", PurePosixPath(path).stem) if n not in own] for path, _, _ in folder
    ]
    for place in range(min(map(len, names), default=0)):
        yield [numbers[place] for numbers in names]
        yield [numbers[-1 - place] for numbers in names]


def _in_tracks(folder: Sequence[File]) -> list[int]:
    numbers = [_numbers_of(more.get("track", ""))[0] for _, _, more in folder]
    discs = {more.get("disc", "") for _, _, more in folder}
    return numbers if all(numbers) and len(discs) == 1 else []


def _numbers_of(text: str) -> tuple[int, int]:
    match = re.match(r"\s*(\d{1,4})(?:\s*/\s*(\d{1,4}))?", text)
    return (int(match[1]), int(match[2] or 0)) if match else (0, 0)


def _counts(numbers: Sequence[int]) -> bool:
    """Whether they number the files: none twice, and few left out."""
    if len(numbers) < 2 or len(set(numbers)) < len(numbers):
        return False
    span = max(numbers) - min(numbers, default=0) + 1
    start = 0 if min(numbers) > 3 else min(numbers) - 1
    return min(numbers) <= 3 and (span + max(0, start) - len(numbers)) <= max(1, MOST_GAPS * span)


def _gap(numbers: Sequence[int]) -> list[int] | None:
    """[] where there is none."""
    return sorted(set(range(min(1, min(numbers)), max(numbers) + 1)) - set(numbers) - {0})


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:5])) + (" …" if len(numbers) > 5 else "")
