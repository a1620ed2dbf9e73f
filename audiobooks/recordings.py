"""Whether what was fetched is the recording that is wanted, asked before it comes onto the shelf.

What is not known is no fault: a file without tags, of a book whose length nobody knows, has only to play. What the files say
against the wanted book counts, and the length by the clock outweighs what people write into tags.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from .facts import BookFacts, Contributor, SeriesPlace
from .library.albums import without_part
from .library.audio import Listener, Sound
from .library.folder import AUDIO, is_hidden
from .library.tags import split_names
from .matching.compare import compare
from .matching.names import language_code, normalise, people, same_person
from .matching.releases import parse_release
from .matching.titles import ABRIDGED, DRAMATISED, parse_title, series_key
from .matching.works import as_work
from .parts import missing_parts
from .tongues import tongues_of

FITS = 0.015
"""Share by which a runtime that is that of a known edition may differ: shops round, and rips lose a jingle."""
SHORTEST = 600
"""Seconds below which a recording of a book of unknown length is taken for a sample."""
MOST_FILES = 3_000
SHELF_FORMATS = "MP3, M4B, M4A, FLAC, Ogg or Opus"
_OTHER_AUDIO = frozenset({".aa", ".aac", ".aax", ".aaxc", ".ac3", ".ape", ".mp4", ".oga", ".ra", ".wav", ".wma", ".wv"})
_ARCHIVES = frozenset({".rar", ".zip", ".7z", ".tar", ".gz", ".001", ".r00"})
_TEXTS = frozenset({".epub", ".mobi", ".azw", ".azw3", ".pdf", ".cbz", ".cbr", ".djvu", ".fb2", ".lit"})
_UNFINISHED = frozenset({".part", ".!qb", ".!ut", ".bc!", ".crdownload", ".tmp"})
_SAMPLE = re.compile(r"(?:^|[^a-z])(?:samples?|preview|excerpt|snippet|leseprobe|hörprobe|extrait)(?:[^a-z]|$)", re.I)
_CUT_GERMAN = re.compile(r"\b(un)?gekürzte?\b", re.I)
_READ_BY = re.compile(r"\b(?:narrated|read|performed|gelesen|narrator|reader)(?: by| von)?:?\s+([^.;()\n]{3,80})", re.I)
# Names and tags are written by strangers, and may be long. What repeats here can be read in one way only: where it fails,
# every other way would be tried, and they double with each word or digit.
_NOTHING = re.compile(
    r"(?:(?:unknown|untitled|no|new|various)(?:\s*(?:album|artists))?|audio(?: ?books)?|speech|spoken word|track|"
    r"artist|author|new folder|downloads?|chapter|kapitel|disc|cd|part|side|book|title|mp3|m4b|file|kbps|\d|\W)+",
    re.I,
)
# "The Glass Meridian - Chapter 0" of those that end in 01, 02, … It begins at no place within separators or digits, from which
# it would be sought to their end again.
_PART_BEHIND = re.compile(
    r"(?<![\s\-–—_,.:(\[#])(?!(?<=\d)\d)[\s\-–—_,.:(\[#]*+"
    r"(?:chapter|chap|ch|part|pt|track|kapitel|teil|cd|disc)?[\s.#_-]*+\d*+$",
    re.I,
)


class Verdict(StrEnum):
    """DOUBTFUL is for a person to decide; it is not put on the shelf without."""

    OK = "ok"
    WRONG = "wrong"
    DOUBTFUL = "doubtful"


class Kind(StrEnum):
    NO_AUDIO = "no audio"
    ARCHIVE = "archive"
    FORMAT = "format"
    BROKEN = "broken"
    MISSING = "missing part"
    SAMPLE = "sample"
    RUNTIME = "runtime"
    LANGUAGE = "language"
    ABRIDGED = "abridged"
    NARRATOR = "narrator"
    BOOK = "other book"
    VOLUME = "other volume"


class Unended(Exception):
    """It was stopped before all was played: nothing is known of it."""


@dataclass(frozen=True)
class Problem:
    """is_sure: it makes the recording wrong, and not only doubtful. sentence: for a person."""

    kind: Kind
    sentence: str
    is_sure: bool = True

    def as_json(self) -> dict[str, Any]:
        return {"kind": str(self.kind), "sentence": _storable(self.sentence), "is_sure": self.is_sure}


@dataclass(frozen=True)
class ExpectedFile:
    """One that the torrent names. path: below the content's folder, or the name of the content where that is a file; size: bytes."""

    path: str
    size: int | None = None


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the recording is held against.

    facts: of the edition. runtimes: of other editions that would do as well, in seconds.
    narrators: one of whom has to read it; () where anybody may.
    languages: that will do, where the edition does not name its own. unabridged: whether it has to be.
    release: the name under which it was offered.
    """

    facts: BookFacts
    runtimes: tuple[int, ...] = ()
    narrators: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    unabridged: bool = True
    release: str = ""


@dataclass(frozen=True, kw_only=True)
class CheckedFile:
    """path: below the content, or its name."""

    path: str
    sound: Sound


@dataclass(frozen=True, kw_only=True)
class Check:
    """runtime: seconds of all files; bitrate: kbit/s."""

    problems: tuple[Problem, ...]
    files: tuple[CheckedFile, ...] = ()

    @property
    def verdict(self) -> Verdict:
        if any(problem.is_sure for problem in self.problems):
            return Verdict.WRONG
        return Verdict.DOUBTFUL if self.problems else Verdict.OK

    @property
    def runtime(self) -> int:
        return round(sum(file.sound.duration for file in self.files))

    @property
    def bitrate(self) -> int:
        size = sum(file.sound.size for file in self.files)
        return round(size * 8 / self.runtime / 1000) if self.runtime else 0

    def as_json(self) -> dict[str, Any]:
        return {
            "verdict": str(self.verdict),
            "problems": [problem.as_json() for problem in self.problems],
            "runtime": self.runtime,
            "bitrate": self.bitrate,
            "size": sum(file.sound.size for file in self.files),
            "formats": sorted({PurePosixPath(file.path).suffix[1:].lower() for file in self.files}),
            "files": [
                {"path": _storable(file.path), "size": file.sound.size, "duration": round(file.sound.duration, 1)}
                for file in self.files
            ],
            "tags": self.files[0].sound.tags.as_json() if self.files else {},
        }


def check(
    content: Path,
    wanted: Wanted,
    *,
    expected: Sequence[ExpectedFile] = (),
    only: Sequence[PurePosixPath] | None = None,
    listener: Listener | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Check:
    """Hold what lies at `content`, a file or a folder, against what is wanted.

    only: what belongs to it of all that lies there; None for all.

    listener: one that plays more than this; without, there is one for it alone.

    should_stop: asked before each file.

    Raises:
        Unended: it was stopped.
        OSError: the content is not there, or cannot be looked into.
    """
    found = {path: size for path, size in _found(content).items() if only is None or path in set(only)}
    problems = [*_absent(found, content, expected), *_without_audio(found)]
    audio = [path for path in found if path.suffix.lower() in AUDIO and not _is_beside(path, found)]
    if not audio:
        return Check(problems=tuple(problems))
    if listener is None:
        with Listener() as own:
            files = _heard(content, audio, own, should_stop)
    else:
        files = _heard(content, audio, listener, should_stop)
    case = _Case(content, wanted, files, _has_whole_list(expected, problems))
    problems += _broken(files)
    if not any(problem.kind is Kind.BROKEN for problem in problems):
        problems += [*_runtime(case), *_parts(case)]
    said = [*_book(case), *_language(case), *_abridged(case), *_narrator(case)]
    if any(_is_unheard(file) for file in files):
        # Its tags and its length might speak for it.
        said = [replace(problem, is_sure=False) for problem in said]
    problems += said
    return Check(problems=tuple(problems), files=files)


# --- the files ----------------------------------------------------------------------------------------------------


def _found(content: Path) -> dict[PurePosixPath, int]:
    """Size by path below the content, of what is a file itself; links lead elsewhere."""
    status = content.lstat()
    if content.is_symlink():
        raise OSError("it is a link")
    if not content.is_dir():
        return {PurePosixPath(content.name): status.st_size}
    found: dict[PurePosixPath, int] = {}

    def failed(error: OSError) -> None:
        raise error

    for folder, folders, names in os.walk(content, onerror=failed):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        for name in names:
            path = Path(folder, name)
            if not is_hidden(name) and path.is_file() and not path.is_symlink():
                found[PurePosixPath(path.relative_to(content))] = path.lstat().st_size
                if len(found) > MOST_FILES:
                    raise OSError(f"it has more than {MOST_FILES} files")
    return dict(sorted(found.items(), key=lambda item: _natural(str(item[0]))))


def _natural(text: str) -> list[tuple[int, str]]:
    """Sorts 2 before 10."""
    return [(int(part[:15]), "") if part.isdecimal() else (-1, part.lower()) for part in re.split(r"(\d+)", text)]


def _is_beside(path: PurePosixPath, found: Iterable[PurePosixPath]) -> bool:
    """Whether it is a sample that comes with the whole."""
    others = any(each.suffix.lower() in AUDIO and not _SAMPLE.search(str(each)) for each in found)
    return others and bool(_SAMPLE.search(path.stem) or any(map(_SAMPLE.search, path.parts[:-1])))


def _heard(
    content: Path, audio: Iterable[PurePosixPath], listener: Listener, should_stop: Callable[[], bool]
) -> tuple[CheckedFile, ...]:
    is_file = not content.is_dir()
    files = []
    for path in audio:
        if should_stop():
            raise Unended
        files.append(CheckedFile(path=str(path), sound=listener.hear(content if is_file else content / path)))
    return tuple(files)


def _absent(found: dict[PurePosixPath, int], content: Path, expected: Sequence[ExpectedFile]) -> Iterator[Problem]:
    there = {str(path): size for path, size in found.items()}
    gone, short = [], []
    for file in expected:
        if PurePosixPath(file.path).suffix.lower() not in AUDIO | _OTHER_AUDIO | _ARCHIVES:
            continue
        if file.path not in there:
            gone.append(file.path)
        elif file.size is not None and there[file.path] != file.size:
            short.append(file.path)
    if gone:
        yield Problem(Kind.MISSING, f"{len(gone)} of its files are not there: {_some(gone)}.")
    if short:
        yield Problem(Kind.BROKEN, f"{len(short)} of its files have not the size that was announced: {_some(short)}.")
    if unfinished := [str(path) for path in found if path.suffix.lower() in _UNFINISHED]:
        yield Problem(Kind.MISSING, f"It is not finished: {_some(unfinished)}.")


def _has_whole_list(expected: Sequence[ExpectedFile], problems: Sequence[Problem]) -> bool:
    return bool(expected) and not any(problem.kind is Kind.MISSING for problem in problems)


def _without_audio(found: Iterable[PurePosixPath]) -> Iterator[Problem]:
    endings = {path.suffix.lower(): path for path in found}
    if AUDIO & endings.keys():
        return
    if other := _OTHER_AUDIO & endings.keys():
        yield Problem(Kind.FORMAT, f"It is {', '.join(sorted(e[1:].upper() for e in other))}, not {SHELF_FORMATS}.")
    elif any(ending in _ARCHIVES or re.fullmatch(r"\.(?:r|z|part)?\d\d\d?", ending) for ending in endings):
        yield Problem(
            Kind.ARCHIVE, f"It is an archive ({_some([str(path) for path in found])}), which is not unpacked."
        )
    elif texts := sorted(_TEXTS & endings.keys()):
        yield Problem(Kind.NO_AUDIO, f"It is an e-book ({', '.join(texts)}), and no recording.")
    else:
        yield Problem(Kind.NO_AUDIO, "There is no audio in it.")


def _broken(files: Sequence[CheckedFile]) -> Iterator[Problem]:
    for file in files:
        for fault in file.sound.faults:
            yield Problem(Kind.BROKEN, f"{file.path} {fault.text}.", not _is_unheard(file))


def _is_unheard(file: CheckedFile) -> bool:
    return any(fault.kind == "unreadable" for fault in file.sound.faults)


def _storable(text: str) -> str:
    """As a database takes it: names of files need be no UTF-8, and tags may hold anything."""
    return text.replace("\0", " ").encode("utf-8", "backslashreplace").decode()


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")


# --- what it says of itself ---------------------------------------------------------------------------------------


@dataclass
class _Case:
    content: Path
    wanted: Wanted
    files: tuple[CheckedFile, ...]
    is_whole: bool
    """Whether all that was announced is there."""
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.names = [self.content.name, self.wanted.release, *(file.path for file in self.files)]

    @cached_property
    def runtime(self) -> float:
        return sum(file.sound.duration for file in self.files)

    @cached_property
    def known(self) -> list[int]:
        return [each for each in (self.wanted.facts.runtime, *self.wanted.runtimes) if each]

    @cached_property
    def apart(self) -> float | None:
        """Share by which the runtime differs from that of the nearest edition; negative is too short. None is unknown."""
        shares = [self.runtime / known - 1 for known in self.known]
        return min(shares, key=abs) if shares and self.runtime else None

    @property
    def fits(self) -> bool:
        return self.apart is not None and abs(self.apart) <= FITS

    @cached_property
    def text(self) -> str:
        """Everything that names and tags say."""
        texts = list(self.names)
        for file in self.files:
            tags, said = file.sound.tags, file.sound.said
            texts += [tags.title, tags.album, tags.subtitle, *tags.authors, *tags.narrators, *said.values()]
        return " \n ".join(dict.fromkeys(text for text in texts if text))

    @cached_property
    def words(self) -> str:
        return f" {normalise(self.text[:500])} " + " ".join(f" {normalise(line)} " for line in self.text.split(" \n "))

    @cached_property
    def authors(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for file in self.files for name in file.sound.tags.authors))

    @cached_property
    def narrators(self) -> tuple[str, ...]:
        """Whom tags and names say to read it, without those who wrote it."""
        names: list[str] = []
        for file in self.files:
            names += file.sound.tags.narrators
            # Where the album has an author, the artist of the track is often the reader.
            names += split_names([file.sound.said.get("artist", "")])
        names += [
            name
            for text in (*self.names[:2], *(value for file in self.files for value in file.sound.said.values()))
            for match in _READ_BY.finditer(text)
            for name in split_names([match[1]])
        ]
        names += [name for text in self.names[:2] if text for name in parse_release(text).narrators]
        wrote = people((*self.wanted.facts.author_names, *self.authors))
        return tuple(
            name
            for name in dict.fromkeys(names)
            if any(all(same_person(who, author) < 0.7 for author in wrote) for who in people([name]))
        )

    @property
    def is_dramatised(self) -> bool:
        return bool(DRAMATISED.search(self.text))


# --- how long it is -----------------------------------------------------------------------------------------------

_ANY_READER = (-0.05, 0.10, -0.12, 0.30)
"""Shares by which it may be too short and too long: first to be in doubt, then to be wrong."""
_THIS_READER = (-0.03, 0.04, -0.10, 0.15)
_OTHER_READER = (-0.20, 0.30, -0.35, 0.60)
"""People read at other speeds."""
_DRAMATISED = (-0.55, 0.60, -0.75, 1.00)


def _runtime(case: _Case) -> Iterator[Problem]:
    apart = case.apart
    if apart is None:
        if case.runtime and case.runtime < SHORTEST:
            yield Problem(Kind.SAMPLE, f"It lasts only {_hours(case.runtime)}: is it a sample?", False)
        return
    short, long, far_short, far_long = _tolerance(case)
    if short <= apart <= long:
        return
    nearest = min(case.known, key=lambda known: abs(case.runtime / known - 1))
    word = "shorter" if apart < 0 else "longer"
    sentence = f"It lasts {_hours(case.runtime)}, which is {abs(apart):.0%} {word} than the {_hours(nearest)} of the wanted recording."
    yield Problem(Kind.RUNTIME, sentence, not far_short <= apart <= far_long)


def _tolerance(case: _Case) -> tuple[float, float, float, float]:
    if case.is_dramatised:
        return _DRAMATISED
    if case.wanted.narrators:
        return _THIS_READER
    wanted, said = people(case.wanted.facts.narrators), people(case.narrators)
    if wanted and said and all(same_person(a, b) < 0.6 for a in wanted for b in said):
        return _OTHER_READER
    return _ANY_READER


def _hours(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min {rest:02} s"


def _parts(case: _Case) -> Iterator[Problem]:
    """Of a whole that lasts as long as it should nothing is missing, however its parts are numbered."""
    if case.fits:
        return
    gap = missing_parts(
        [(file.path, file.sound.tags, file.sound.said) for file in case.files],
        name=case.content.name,
        title=case.wanted.facts.title,
    )
    if gap:
        yield Problem(Kind.MISSING, gap, not case.is_whole or bool(case.apart and case.apart < -0.02))


# --- which book it is ---------------------------------------------------------------------------------------------


def _book(case: _Case) -> Iterator[Problem]:
    """What the tags say counts more than names, and that nothing agrees more than that something does not."""
    wanted = case.wanted.facts
    if wanted.asin and any(file.sound.tags.asin == wanted.asin for file in case.files):
        return
    tagged = [_judged(wanted, said) for said in _by_tags(case)]
    named = [_judged(wanted, said) for said in _by_names(case)]
    volumes = [each for each in (tagged or named) if each.volume]
    if volumes and not any(each.is_same and not each.volume for each in tagged):
        yield Problem(Kind.VOLUME, f"It is another volume: {volumes[0].volume}.")
        return
    if any(each.is_same for each in tagged):
        return
    others = [each for each in tagged if each.other]
    if others:
        is_sure = not case.fits or not (_is_proved(case) or any(each.is_same for each in named))
        yield Problem(Kind.BOOK, f"Its tags are of another book: {others[0].other}.", is_sure)
    elif not any(each.is_same for each in named):
        strangers = [each for each in named if each.other]
        if strangers and len(strangers) == len(named) and not _names_title(case):
            yield Problem(Kind.BOOK, f"Its name is of another book: {strangers[0].other}.", not case.fits)


def _is_proved(case: _Case) -> bool:
    """Read by the same person for as long: a title that differs is then a translation or an alias."""
    wanted = people(case.wanted.facts.narrators)
    return case.fits and any(same_person(a, b) >= 0.9 for a in wanted for b in people(case.narrators))


@dataclass(frozen=True)
class _Judged:
    is_same: bool = False
    other: str = ""
    volume: str = ""


def _judged(wanted: BookFacts, said: BookFacts) -> _Judged:
    match = compare(as_work(wanted), as_work(said))
    shares = {penalty.name: penalty.share for penalty in match.penalties}
    title, author = shares.get("title"), shares.get("author")
    volume = next((veto for veto in match.vetoes if veto.startswith("volume")), "")
    shown = f"“{said.title}”" + (f" by {', '.join(said.author_names[:2])}" if said.authors else "")
    if any("summary" in veto for veto in match.vetoes):
        return _Judged(other=f"{shown}, a summary or excerpt")
    if title is None:
        return _Judged(volume=volume)
    if author is not None and author >= 0.6:
        return _Judged(other=shown)
    if title <= 0.3:
        return _Judged(is_same=True, volume=volume)
    return _Judged(other=shown if title >= 0.5 else "", volume=volume)


def _by_tags(case: _Case) -> Iterator[BookFacts]:
    """One reading for each album; and for the title of a file that is alone, or that all have in common."""
    wanted = case.wanted.facts
    read_by = people((*wanted.narrators, *case.narrators))
    first = case.files[0].sound.tags
    authors = tuple(
        Contributor(name=name)
        for name in case.authors
        if not _NOTHING.fullmatch(name)
        and not any(same_person(who, reader) >= 0.7 for who in people([name]) for reader in read_by)
    )
    if len(authors) > 3 or not people([author.name for author in authors]):
        authors = ()
    albums = [file.sound.tags.album for file in case.files]
    titles = [file.sound.tags.title for file in case.files]
    texts = [*albums, *map(without_part, albums), _common(titles)]
    series = tuple(SeriesPlace(name=name, position=position) for name, position in first.series[:5])
    for text in dict.fromkeys(text for text in texts if text and not _says_nothing(text, wanted)):
        yield BookFacts(title=text, subtitle=first.subtitle, authors=authors, series=series, isbns=())


def _common(titles: Sequence[str]) -> str:
    """What all begin with, up to the number of the part."""
    if not all(titles) or len(titles) == 1:
        return titles[0] if len(titles) == 1 else ""
    first, last = min(titles), max(titles)
    start = first[: next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]
    return _PART_BEHIND.sub("", start)


def _says_nothing(text: str, wanted: BookFacts) -> bool:
    """Whether it is no title: a word of the trade, a person, or the series alone."""
    plain = parse_title(text).title or text
    if _NOTHING.fullmatch(text.strip()) or len(normalise(plain)) < 3:
        return True
    if _is_person(plain, wanted):
        return True
    has_no_number = not re.search(r"\d", text)
    return has_no_number and series_key(plain) in {series_key(place.name) for place in wanted.series}


def _is_person(text: str, wanted: BookFacts) -> bool:
    named = people((*wanted.author_names, *wanted.narrators))
    return any(same_person(a, b) >= 0.9 for a in people([text]) for b in named)


def _by_names(case: _Case) -> Iterator[BookFacts]:
    wanted = case.wanted.facts
    stems = [PurePosixPath(file.path).stem for file in case.files]
    texts = [case.content.name if case.content.is_dir() else case.content.stem, _common(stems)]
    for text in dict.fromkeys(text for text in texts if text):
        said = parse_release(text)
        has_volume = any(place.position for place in said.series)
        if said.title and not _is_person(text, wanted) and (has_volume or not _says_nothing(said.title, wanted)):
            yield replace(said, narrators=(), runtime=None, asin="", isbns=())


def _names_title(case: _Case) -> bool:
    """Whether most words of the title stand in the names, or the name is only an abbreviation."""
    words = [word for word in normalise(case.wanted.facts.title).split() if len(word) > 2]
    joined = normalise(" ".join(case.names)).replace(" ", "")
    found = sum(word in joined for word in words)
    letters = re.findall(r"[^\W\d_]{3,}", case.names[0])
    return (bool(words) and found * 2 >= len(words)) or len(letters) < 2


# --- how it is read -----------------------------------------------------------------------------------------------


def _language(case: _Case) -> Iterator[Problem]:
    own = language_code(case.wanted.facts.language)
    right = {own} if own else {code for each in case.wanted.languages if (code := language_code(each))}
    if not right:
        return
    named = {code for text in case.names[:2] if text and (code := parse_release(text).language)}
    tagged = {code for file in case.files if (code := language_code(file.sound.tags.language))}
    # Encoders write English where nobody says what it is.
    tracks = {code for file in case.files if (code := language_code(file.sound.language)) not in ("", "en")}
    said = named | tagged | tracks
    heard = tongues_of(case.text)
    if (said & right) - ({"en"} if heard and not heard & right else set()) or heard & right:
        return
    if wrong := (heard or said) - right:
        yield Problem(
            Kind.LANGUAGE, f"It is in {', '.join(sorted(wrong))}, and {' or '.join(sorted(right))} is wanted."
        )


def _abridged(case: _Case) -> Iterator[Problem]:
    if not case.wanted.unabridged or case.wanted.facts.abridged or case.fits:
        return
    said = {match[1] is None for pattern in (ABRIDGED, _CUT_GERMAN) for match in pattern.finditer(case.text)}
    if said == {True}:
        yield Problem(Kind.ABRIDGED, "It says that it is abridged.")


def _narrator(case: _Case) -> Iterator[Problem]:
    wanted, said = people(case.wanted.narrators), people(case.narrators)
    if not wanted or not said:
        return
    if any(same_person(a, b) >= 0.6 for a in wanted for b in said):
        return
    wrote = {who.last for who in people((*case.wanted.facts.author_names, *case.authors))}
    if any(f" {who.last} " in case.words for who in wanted if who.last not in wrote):
        return
    names = ", ".join(case.narrators[:3])
    yield Problem(Kind.NARRATOR, f"It is read by {names}, and {' or '.join(case.wanted.narrators[:3])} is wanted.")
