"""Right and wrong recordings with what was wanted, made of short sounds: a "book" lasts a minute, and its known length too.

`python -m tests.samples.recordings FOLDER` makes them to be looked at.
"""

from __future__ import annotations

import io
import math
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import mutagen
from mutagen.id3 import COMM, ID3, TALB, TCOM, TIT2, TLAN, TPE1, TPE2, TPOS, TRCK, TXXX
from mutagen.mp4 import MP4, MP4FreeForm

from audiobooks.facts import BookFacts, Contributor, SeriesPlace
from audiobooks.recordings import ExpectedFile, Wanted

CODECS = {"mp3": "libmp3lame", "m4b": "aac", "flac": "flac", "ogg": "libopus", "opus": "libopus"}
AUTHORS = [
    "Ilse Varga",
    "Tomás Reed",
    "Oyelaran Adé",
    "M. T. Quill",
    "Jürgen Weiß",
    "K. R. Holm-Larsen",
    "Sarah O'Dell",
]
READERS = ["Mara Quill", "Peter Dunmore", "Ana Lindqvist", "Jo Banerjee", "Lucas Ferreira", "Nell Whitaker"]
SERIES = ["The Salt Cartographers", "Iron Vale", "Letters from Harrow", "The Long Winter", "Tidewalkers"]
TITLES = [
    "The Glass Meridian", "A Lantern for the Drowned", "Hollow Crown Rising", "The Cartographer's Apprentice", "Ember and Ash",
    "Midnight at the Observatory", "The Weaver's Daughter", "Salt", "What the River Kept", "Thirteen Winters", "Blackthorn House",
    "The Silent Orchard", "Kingdom of Wire", "Under a Copper Moon", "The Last Beekeeper", "Station Eleven Bells", "2312 Days",
    "The Art of Leaving", "Nightjar", "An Inventory of Storms",
]  # fmt: skip
GERMAN = ["Der gläserne Meridian", "Das Haus am Schwarzdorn", "Die letzte Imkerin", "Eine Laterne für die Ertrunkenen"]


@dataclass
class Sample:
    """kind: what is wrong with it, empty where it is right; odd: what is odd of a right one."""

    content: Path
    wanted: Wanted
    kind: str = ""
    odd: str = ""
    expected: tuple[ExpectedFile, ...] = ()


@dataclass
class Draft:
    """A recording to be written. seconds: of each file; tags: of each, beside those that all have."""

    rng: random.Random
    title: str
    author: str
    reader: str
    series: str
    position: str
    ending: str
    runtime: int
    seconds: list[int]
    convention: str
    names: list[str] = field(default_factory=list)
    shared: dict[str, str] = field(default_factory=dict)
    tags: list[dict[str, str]] = field(default_factory=list)
    folder: str = ""

    @property
    def facts(self) -> BookFacts:
        return BookFacts(
            source="audnexus",
            title=self.title,
            authors=(Contributor(name=self.author),),
            narrators=(self.reader,),
            series=(SeriesPlace(name=self.series, position=self.position),) if self.series else (),
            language="en",
            runtime=self.runtime,
        )


# --- sound --------------------------------------------------------------------------------------------------------


_QUICK = {"libopus": {"compression_level": "0"}, "libmp3lame": {"compression_level": "9"}}


@lru_cache(None)
def clip(ending: str, seconds: int) -> bytes:
    """A sound of noise and tone, which no encoder makes empty; made once of each length."""
    out = io.BytesIO()
    container_format = {"m4b": "ipod", "opus": "ogg"}.get(ending, ending)
    rate = 48000 if CODECS[ending] == "libopus" else 16000
    rng = random.Random(seconds)
    second = bytearray()
    for at in range(rate):
        value = int(6000 * math.sin(at / 11) + rng.randrange(-2000, 2000))
        second += value.to_bytes(2, "little", signed=True)
    with av.open(out, "w", format=container_format) as container:
        stream: Any = container.add_stream(CODECS[ending], rate=rate, options=_QUICK.get(CODECS[ending], {}))
        stream.codec_context.layout = "mono"
        stream.bit_rate = 32000
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate)
        for number in range(seconds):
            frame = av.AudioFrame(format="s16", layout="mono", samples=rate)
            frame.planes[0].update(bytes(second))
            frame.sample_rate = rate
            frame.pts = number * rate
            for each in resampler.resample(frame):
                container.mux(stream.encode(each))
        container.mux(stream.encode(None))
    return out.getvalue()


def write_tags(path: Path, tags: dict[str, str]) -> None:
    """Names: title, album, author, artist, narrator, series, position, language, asin, comment, track ("3/12"), disc."""
    tags = {name: value for name, value in tags.items() if value}
    if not tags:
        return
    if path.suffix == ".mp3":
        file = ID3()
        frames = {
            "title": TIT2,
            "album": TALB,
            "author": TPE2,
            "artist": TPE1,
            "narrator": TCOM,
            "language": TLAN,
            "track": TRCK,
            "disc": TPOS,
        }
        for name, value in tags.items():
            if name in frames:
                file.add(frames[name](encoding=3, text=value))
            elif name == "comment":
                file.add(COMM(encoding=3, lang="eng", desc="", text=value))
            else:
                file.add(TXXX(encoding=3, desc={"position": "SERIES-PART"}.get(name, name.upper()), text=value))
        file.save(path)
    elif path.suffix == ".m4b":
        atoms = {
            "title": "\xa9nam",
            "album": "\xa9alb",
            "author": "aART",
            "artist": "\xa9ART",
            "narrator": "\xa9wrt",
            "comment": "\xa9cmt",
        }
        mp4 = MP4(path)
        for name, value in tags.items():
            if name in atoms:
                mp4[atoms[name]] = [value]
            elif name in ("track", "disc"):
                number, _, total = value.partition("/")
                mp4[{"track": "trkn", "disc": "disk"}[name]] = [(int(number), int(total or 0))]
            else:
                mp4[f"----:com.apple.iTunes:{ {'position': 'SERIES-PART'}.get(name, name.upper()) }"] = [
                    MP4FreeForm(value.encode())
                ]
        mp4.save()
    else:
        names = {"author": "albumartist", "position": "series-part", "track": "tracknumber", "disc": "discnumber"}
        other: Any = mutagen.File(path)
        for name, value in tags.items():
            other[names.get(name, name)] = value
        other.save()


# --- drafts -------------------------------------------------------------------------------------------------------

CONVENTIONS = ("full", "plain", "artist is reader", "none", "none", "shop", "bare")


def draft(rng: random.Random, **fixed: Any) -> Draft:
    author, reader = rng.choice(AUTHORS), rng.choice(READERS)
    runtime = rng.choice((40, 48, 60, 72))
    parts = rng.choice((1, 1, 3, 4, 6, 8))
    made = Draft(
        rng=rng,
        title=rng.choice(TITLES),
        author=author,
        reader=reader,
        series=rng.choice(SERIES) if rng.random() < 0.6 else "",
        position=str(rng.randint(1, 9)),
        ending=rng.choice(["mp3", "mp3", "m4b", "m4b", "flac", "ogg", "opus"]),
        runtime=runtime,
        seconds=split(runtime, parts),
        convention=rng.choice(CONVENTIONS),
    )
    for name, value in fixed.items():
        setattr(made, name, value)
    if "parts" in fixed:
        made.seconds = split(made.runtime, fixed["parts"])
    return made


def split(runtime: int, parts: int) -> list[int]:
    whole = [runtime // parts] * parts
    whole[-1] += runtime - sum(whole)
    return whole


def written(made: Draft) -> Draft:
    """With names and tags, as the convention has them."""
    rng, number = made.rng, len(made.seconds)
    styles: list[Callable[[int], str]] = [
        lambda n: f"{n:02d} - {made.title}",
        lambda n: f"{made.title} - Part {n:02d}",
        lambda n: f"{made.title.replace(' ', '_')}_{n:03d}",
        lambda n: f"Chapter {n}",
        lambda n: f"{made.author} - {made.title} - {n:02d} of {number:02d}",
    ]
    style = rng.choice(styles)
    made.names = made.names or [style(n) if number > 1 else made.title for n in range(1, number + 1)]
    made.folder = made.folder or rng.choice(
        [
            f"{made.author} - {made.title}",
            f"{made.title} by {made.author} [ENG / {made.ending.upper()}]",
            f"{made.author} - {made.series + ' ' + made.position.zfill(2) + ' - ' if made.series else ''}{made.title} (2019)",
            f"{made.title} {{{made.reader}}}",
            f"{made.author.replace(' ', '.')}-{made.title.replace(' ', '.')}",
            made.title,
        ]
    )
    base = {"album": made.title, "author": made.author, "artist": made.author}
    match made.convention:
        case "full":
            made.shared = {
                **base,
                "narrator": made.reader,
                "series": made.series,
                "language": "eng",
                "position": made.position if made.series else "",
            }
        case "plain":
            made.shared = base
        case "artist is reader":
            made.shared = {**base, "artist": made.reader}
        case "shop":
            line = f": {made.series}, Book {made.position}" if made.series else " (Unabridged)"
            made.shared = {**base, "album": made.title + line, "comment": f"Narrated by {made.reader}"}
        case "bare":
            made.shared = {"artist": made.author}
    for n in range(1, number + 1):
        own = (
            {}
            if made.convention == "none"
            else {"title": f"Chapter {n}" if number > 1 else made.title, "track": f"{n}/{number}"}
        )
        made.tags.append(own)
    return made


def save(made: Draft, folder: Path) -> Path:
    content = folder / (made.folder.replace("/", "-"))
    content.mkdir(parents=True)
    for name, seconds, tags in zip(made.names, made.seconds, made.tags, strict=True):
        path = content / f"{name.replace('/', '-')}.{made.ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(clip(made.ending, seconds))
        write_tags(path, made.shared | tags)
    return content


def audio_in(content: Path) -> list[Path]:
    return sorted(path for path in content.rglob("*") if path.suffix[1:] in CODECS)


def listed(content: Path) -> tuple[ExpectedFile, ...]:
    return tuple(
        ExpectedFile(str(path.relative_to(content)), path.stat().st_size)
        for path in sorted(content.rglob("*"))
        if path.is_file()
    )


# --- the wrong ones -----------------------------------------------------------------------------------------------

EACH = 12
"""Of each kind."""
Maker = Callable[[random.Random, Path], Sample]


def other_narrator(rng: random.Random, folder: Path) -> Sample:
    """He is said somewhere, or tells himself by his speed."""
    made = draft(rng)
    facts = made.facts
    made.reader = rng.choice([each for each in READERS if each != made.reader])
    says = rng.random() < 0.8
    made.convention = rng.choice(("full", "artist is reader", "shop")) if says else "none"
    if not says:
        made.runtime = round(made.runtime * rng.choice((0.86, 0.91, 1.08, 1.14)))
    made.seconds = split(made.runtime, len(made.seconds))
    made = written(made)
    if not says:
        made.folder = f"{made.author} - {made.title}"
    return Sample(save(made, folder), Wanted(facts=facts, narrators=facts.narrators), "narrator")


def abridged(rng: random.Random, folder: Path) -> Sample:
    made = draft(rng)
    facts = made.facts
    made.runtime = round(made.runtime * rng.uniform(0.3, 0.75))
    made.seconds = split(made.runtime, rng.choice((1, 2, 4)))
    made = written(made)
    if rng.random() < 0.4:
        made.folder = f"{made.author} - {made.title} (Abridged)"
    unknown = rng.random() < 0.2
    if unknown:
        made.folder = f"{made.title} [Abridged]"
        facts = replace(facts, runtime=None)
        made.ending, made.runtime, made.seconds = "mp3", 660, [330, 330]
        made.names, made.tags = ["01", "02"], [{}, {}]
    return Sample(save(made, folder), Wanted(facts=facts), "abridged")


def other_language(rng: random.Random, folder: Path) -> Sample:
    made = draft(rng)
    facts = made.facts
    how = rng.randrange(5)
    if how in (1, 2):
        made.title = rng.choice(GERMAN)
    made.convention = rng.choice(("full", "plain", "bare")) if how != 4 else "none"
    made = written(made)
    if how == 0:
        made.shared["language"] = rng.choice(("deu", "fra", "German", "es"))
    elif how == 1:
        made.shared["comment"] = "Ungekürzte Lesung, gelesen von Karl Brandt"
    elif how == 2:
        made.shared["language"] = "ger"
    elif how == 3:
        made.shared["comment"] = (
            "Un roman sur la vie et les amours du pays qui est dans une vallée pour les gens des montagnes et la mer"
        )
    else:
        made.folder = f"{made.author} - {made.title} [{rng.choice(('German', 'GER / MP3', 'French', 'Spanish'))}]"
    if how == 3:
        made.shared.pop("language", None)
    return Sample(save(made, folder), Wanted(facts=facts), "language")


def missing_part(rng: random.Random, folder: Path) -> Sample:
    made = written(draft(rng, parts=rng.choice((3, 4, 6, 8, 12))))
    content = save(made, folder)
    paths = audio_in(content)
    expected = listed(content) if rng.random() < 0.3 else ()
    for path in rng.sample(paths, 1 if rng.random() < 0.7 else 2):
        path.unlink()
    facts = made.facts
    # Of a book whose length nobody knows, only a gap between the numbers tells.
    if rng.random() < 0.25 and not expected:
        facts = replace(facts, runtime=None)
        shutil.rmtree(content)
        long = draft(
            rng,
            ending="mp3",
            title=made.title,
            author=made.author,
            reader=made.reader,
            series=made.series,
            position=made.position,
        )
        long.seconds, long.convention = [110] * 7, rng.choice(("full", "none"))
        long.names = [f"{n:02d} {made.title}" for n in range(1, 8)]
        content = save(written(long), folder)
        audio_in(content)[rng.randrange(1, 6)].unlink()
    return Sample(content, Wanted(facts=facts), "missing part", expected=expected)


def damaged(rng: random.Random, folder: Path) -> Sample:
    made = written(draft(rng))
    content = save(made, folder)
    path = rng.choice(audio_in(content))
    data = path.read_bytes()
    how = rng.choice(("cut", "hole", "empty", "page", "zeros", "noise"))
    if how == "hole" and len(data) < 60_000:
        how = "cut"
    if how == "cut":
        data = data[: round(len(data) * rng.uniform(0.3, 0.8))]
    elif how == "hole":
        at = rng.randrange(len(data) // 4, len(data) // 2)
        data = data[:at] + bytes(max(20_000, len(data) // 4)) + data[at + max(20_000, len(data) // 4) :]
    elif how == "page":
        data = b"<!DOCTYPE html><html><body>Sign in</body></html>" * 400
    elif how == "zeros":
        data = bytes(len(data))
    elif how == "noise":
        data = rng.randbytes(len(data))
    else:
        data = b""
    path.write_bytes(data)
    return Sample(content, Wanted(facts=made.facts), f"damaged: {how}")


def other_book(rng: random.Random, folder: Path) -> Sample:
    """By the same author, or by another; of the same length, or of its own."""
    made = draft(rng)
    facts = made.facts
    made.title = rng.choice([each for each in TITLES if each != made.title])
    if rng.random() < 0.5:
        made.author = rng.choice([each for each in AUTHORS if each != made.author])
    made.series = ""
    if rng.random() < 0.6:
        made.runtime = round(made.runtime * rng.choice((0.7, 0.8, 1.3, 1.5)))
    made.seconds = split(made.runtime, len(made.seconds))
    made = written(made)
    if rng.random() < 0.5 and made.convention not in ("none", "bare"):
        # It was offered as the right one.
        made.folder = f"{facts.author_names[0]} - {facts.title}"
    return Sample(save(made, folder), Wanted(facts=facts), "other book")


def other_volume(rng: random.Random, folder: Path) -> Sample:
    made = draft(rng, series=rng.choice(SERIES))
    facts = made.facts
    made.position = str(int(made.position) + 1)
    how = rng.randrange(3)
    if how == 0:
        made.title = rng.choice([each for each in TITLES if each != made.title])
        made.convention = rng.choice(("full", "shop", "plain"))
    elif how == 1:
        facts = replace(facts, title=f"{made.series}, Book {facts.series[0].position}")
        made.title = f"{made.series}, Book {made.position}"
        made.convention = rng.choice(("full", "plain", "none"))
    else:
        made.title = rng.choice([each for each in TITLES if each != made.title])
        made.convention = "none"
    made = written(made)
    if how == 2:
        made.folder = f"{made.author} - {made.series} {made.position.zfill(2)} - {made.title}"
    return Sample(save(made, folder), Wanted(facts=facts), "other volume")


def no_audio(rng: random.Random, folder: Path) -> Sample:
    made = written(draft(rng))
    content = folder / made.folder.replace("/", "-")
    content.mkdir()
    how = rng.choice(("epub", "rar", "zip", "wma", "aax", "cover", "nothing", "link"))
    if how == "link":
        (content / f"{made.title}.mp3").symlink_to("/etc/hostname")
    elif how == "rar":
        for name in ("part1.rar", "part2.rar"):
            (content / f"{made.title}.{name}").write_bytes(b"Rar!\x1a\x07\0" + rng.randbytes(2000))
    elif how != "nothing":
        (content / f"{made.title}.{'jpg' if how == 'cover' else how}").write_bytes(rng.randbytes(2000))
    return Sample(content, Wanted(facts=made.facts), f"no audio: {how}")


def sample_only(rng: random.Random, folder: Path) -> Sample:
    made = draft(rng)
    facts = made.facts
    made.seconds = [5]
    made = written(made)
    if rng.random() < 0.5:
        made.names = ["sample"]
    if rng.random() < 0.5:
        facts = replace(facts, runtime=None)
    return Sample(save(made, folder), Wanted(facts=facts), "sample")


def several_books(rng: random.Random, folder: Path) -> Sample:
    made = draft(rng, series=rng.choice(SERIES))
    facts = made.facts
    titles = rng.sample([each for each in TITLES if each != made.title], 2)
    made.seconds = [made.runtime, made.runtime - 7, made.runtime + 5]
    made.names = [f"{n} - {title}" for n, title in enumerate((made.title, *titles), 1)]
    made.folder = f"{made.author} - {made.series} Books 1-3"
    made = written(made)
    for tags, title in zip(made.tags, (made.title, *titles), strict=True):
        if made.convention != "none":
            tags["album"] = title
    return Sample(save(made, folder), Wanted(facts=facts), "several books")


def unfinished(rng: random.Random, folder: Path) -> Sample:
    made = written(draft(rng, parts=rng.choice((1, 4))))
    content = save(made, folder)
    expected = listed(content)
    path = rng.choice(audio_in(content))
    if rng.random() < 0.5:
        path.rename(path.with_name(path.name + rng.choice((".!qB", ".part"))))
    else:
        data = path.read_bytes()
        path.write_bytes(data[: len(data) - 3000])
    return Sample(content, Wanted(facts=made.facts), "unfinished", expected=expected)


WRONG: tuple[Maker, ...] = (
    other_narrator, abridged, other_language, missing_part, damaged, other_book, other_volume, no_audio, sample_only,
    several_books, unfinished,
)  # fmt: skip


# --- the right ones -----------------------------------------------------------------------------------------------


Oddity = Callable[[random.Random, Draft, Wanted, Path], Sample]


def _plain(rng: random.Random, made: Draft, wanted: Wanted, folder: Path) -> Sample:
    return Sample(save(written(made), folder), wanted)


def _listed(rng: random.Random, made: Draft, wanted: Wanted, folder: Path) -> Sample:
    content = save(written(made), folder)
    (content / "cover.jpg").write_bytes(b"\xff\xd8\xff" + rng.randbytes(500))
    expected = listed(content)
    (content / "cover.jpg").unlink()
    return Sample(content, wanted, expected=expected)


def _narrator_wanted(rng: random.Random, made: Draft, wanted: Wanted, folder: Path) -> Sample:
    """By name; the tags say him, spell him otherwise, or are silent."""
    first, *rest = made.reader.split()
    made = written(made)
    if "narrator" in made.shared:
        made.shared["narrator"] = rng.choice(
            (made.reader, f"{first[0]}. {' '.join(rest)}", f"{made.reader}, Full Cast")
        )
    return Sample(save(made, folder), replace(wanted, narrators=(made.reader,)))


def _series_in_title(rng: random.Random, made: Draft, wanted: Wanted, folder: Path) -> Sample:
    made = written(made)
    if made.series and made.convention not in ("none", "bare"):
        made.shared["album"] = rng.choice(
            (
                f"{made.series} {made.position.zfill(2)} - {made.title}",
                f"{made.title} ({made.series} #{made.position})",
                f"{made.title} (Unabridged)",
                f"{made.title}: A Novel",
            )
        )
    return Sample(save(made, folder), wanted)


def _subtitle(rng: random.Random, made: Draft, wanted: Wanted, folder: Path) -> Sample:
    facts = replace(wanted.facts, subtitle="A Novel of the Northern Shore")
    made = written(made)
    return Sample(save(made, folder), replace(wanted, facts=facts))


def _initials(rng: random.Random, made: Draft, wanted: Wanted, folder: Path) -> Sample:
    made.author = "Karin R. Holm-Larsen" if "Holm" in made.author else made.author
    made = written(made)
    if "author" in made.shared:
        *given, last = made.author.split()
        made.shared["author"] = rng.choice(
            (f"{last}, {' '.join(given)}", f"{given[0][0]}. {last}", made.author.upper())
        )
    return Sample(save(made, folder), wanted)


def _reader_as_author(rng: random.Random, made: Draft, wanted: Wanted, folder: Path) -> Sample:
    made = written(made)
    if "author" in made.shared:
        made.shared["author"] = made.reader
    return Sample(save(made, folder), wanted)


def _generic_tags(rng: random.Random, made: Draft, wanted: Wanted, folder: Path) -> Sample:
    made = written(made)
    made.shared |= {
        "album": rng.choice(("Unknown Album", "Audiobook", made.author, "CD 1")),
        "artist": "Unknown Artist",
        "author": "",
    }
    return Sample(save(made, folder), wanted)


def _discs(rng: random.Random, made: Draft, wanted: Wanted, folder: Path) -> Sample:
    """Numbers begin anew on each disc."""
    made.seconds = split(sum(made.seconds), 6)
    made = written(made)
    made.names = [f"CD {n // 3 + 1}/{n % 3 + 1:02d} Track" for n in range(6)]
    for n, tags in enumerate(made.tags):
        if tags:
            tags |= {"track": str(n % 3 + 1), "disc": f"{n // 3 + 1}/2", "album": f"{made.title} (Disc {n // 3 + 1})"}
    content = folder / made.folder.replace("/", "-")
    for n in range(6):
        (content / f"CD {n // 3 + 1}").mkdir(parents=True, exist_ok=True)
        path = content / f"{made.names[n]}.{made.ending}"
        path.write_bytes(clip(made.ending, made.seconds[n]))
        write_tags(path, made.shared | made.tags[n])
    return Sample(content, wanted)


def _odd_numbers(rng: random.Random, made: Draft, wanted: Wanted, folder: Path) -> Sample:
    """Prologue, epilogue, a 13 that is left out, years."""
    made.seconds = split(wanted.facts.runtime or 60, 5)
    made.names = rng.choice(
        (
            ["00 Prologue", "01 One", "02 Two", "03 Three", "04 Epilogue"],
            ["Prologue", "Chapter 1", "Chapter 2 1984", "Chapter 3", "Epilogue"],
            ["10", "11", "12", "14", "15"],
            ["01-03", "04-06", "07-09", "10-12", "13-15"],
            ["a", "b", "c", "d", "e"],
        )
    )
    made = written(made)
    for tags in made.tags:
        tags.pop("track", None)
    return Sample(save(made, folder), wanted)


def _other_edition(rng: random.Random, made: Draft, wanted: Wanted, folder: Path) -> Sample:
    """Another reader, whom nobody ruled out, of a length that is known or within what readers differ by."""
    made.reader = rng.choice([each for each in READERS if each != made.reader])
    share = rng.choice((0.75, 0.88, 1.12, 1.25))
    made.seconds = split(round(made.runtime * share), len(made.seconds))
    known = (round(made.runtime * share * rng.uniform(0.99, 1.01)),)
    if 0.85 < share < 1.2 and rng.random() < 0.5:
        known, made.convention = (), rng.choice(("full", "shop"))
    return Sample(save(written(made), folder), replace(wanted, runtimes=known))


def _dramatised(rng: random.Random, made: Draft, wanted: Wanted, folder: Path) -> Sample:
    made.seconds = split(round(made.runtime * rng.uniform(0.6, 1.2)), len(made.seconds))
    made = written(made)
    made.folder = f"{made.author} - {made.title} [Dramatized Adaptation]"
    if made.shared.get("album"):
        made.shared["album"] = f"{made.title} [Dramatized Adaptation]"
    return Sample(save(made, folder), wanted)


def _languages(rng: random.Random, made: Draft, wanted: Wanted, folder: Path) -> Sample:
    made = written(made)
    if made.convention != "none":
        made.shared["language"] = rng.choice(("en-GB", "English", "eng", "und", "mul", "eng; deu"))
    return Sample(save(made, folder), wanted)


def _german(rng: random.Random, made: Draft, wanted: Wanted, folder: Path) -> Sample:
    made.title = rng.choice(GERMAN)
    made.series = ""
    facts = replace(made.facts, language="de")
    made = written(made)
    if made.shared:
        made.shared |= {"language": rng.choice(("deu", "ger", "")), "comment": "Ungekürzte Lesung. Hörbuch."}
    made.folder = f"{made.author} - {made.title}"
    return Sample(save(made, folder), replace(wanted, facts=facts))


def _unknown_length(rng: random.Random, made: Draft, wanted: Wanted, folder: Path) -> Sample:
    made.ending, made.seconds = "mp3", [110] * 6
    return Sample(save(written(made), folder), replace(wanted, facts=replace(wanted.facts, runtime=None)))


def _sample_beside(rng: random.Random, made: Draft, wanted: Wanted, folder: Path) -> Sample:
    content = save(written(made), folder)
    (content / "Sample").mkdir()
    (content / "Sample" / f"sample.{made.ending}").write_bytes(clip(made.ending, 5))
    (content / "book.epub").write_bytes(b"PK")
    return Sample(content, wanted)


def _one_file(rng: random.Random, made: Draft, wanted: Wanted, folder: Path) -> Sample:
    made.seconds = [sum(made.seconds)]
    content = audio_in(save(written(made), folder))[0]
    return Sample(content, wanted)


def _abbreviated(rng: random.Random, made: Draft, wanted: Wanted, folder: Path) -> Sample:
    made.convention = "none"
    made = written(made)
    made.folder = rng.choice(("gm_64k", "bk01", "audio", f"{made.author}", "New Folder"))
    made.names = [f"{n:02d}" for n in range(1, len(made.seconds) + 1)]
    return Sample(save(made, folder), wanted)


def _glued(rng: random.Random, made: Draft, wanted: Wanted, folder: Path) -> Sample:
    """MP3 files put behind one another, whose header speaks of the first alone."""
    made.ending, made.seconds = "mp3", split(sum(made.seconds), 3)
    content = save(written(made), folder)
    paths = audio_in(content)
    data = b"".join(path.read_bytes() for path in paths)
    for path in paths:
        path.unlink()
    (content / f"{made.title}.mp3").write_bytes(data)
    return Sample(content, wanted)


def _padded(rng: random.Random, made: Draft, wanted: Wanted, folder: Path) -> Sample:
    """Much room left in the tags, which is zeros and no hole."""
    made.ending = "mp3"
    content = save(written(made), folder)
    for path in audio_in(content):
        file = mutagen.File(path)
        if file.tags is None:
            file.add_tags()
        file.save(padding=lambda info: 70_000)
    return Sample(content, wanted)


ODD: dict[str, Oddity] = {
    "plain": _plain, "listed": _listed, "narrator wanted": _narrator_wanted, "series in title": _series_in_title,
    "subtitle": _subtitle, "initials": _initials, "reader as author": _reader_as_author, "generic tags": _generic_tags,
    "discs": _discs, "odd numbers": _odd_numbers, "other edition": _other_edition, "dramatised": _dramatised,
    "languages": _languages, "german": _german, "unknown length": _unknown_length, "sample beside": _sample_beside,
    "one file": _one_file, "abbreviated": _abbreviated, "glued": _glued, "padded": _padded,
}  # fmt: skip


def make_samples(folder: Path, seed: int, *, each: int = EACH) -> Iterator[Sample]:
    """`each` of every wrong kind, and as many right ones as wrong. The same seed makes the same."""
    for kind in WRONG:
        for number in range(each):
            place = folder / f"{kind.__name__}-{number:02d}"
            place.mkdir(parents=True)
            yield kind(random.Random(f"{seed} {kind.__name__} {number}"), place)
    oddities = tuple(ODD)
    for number in range(len(WRONG) * each):
        place = folder / f"right-{number:03d}"
        place.mkdir(parents=True)
        rng = random.Random(f"{seed} right {number}")
        made = draft(rng)
        made.seconds = split(round(made.runtime * rng.uniform(0.985, 1.02)), len(made.seconds))
        odd = oddities[number % len(oddities)]
        sample = ODD[odd](rng, made, Wanted(facts=made.facts, languages=("en",)), place)
        sample.odd = odd
        yield sample


if __name__ == "__main__":
    print(sum(1 for _ in make_samples(Path(sys.argv[1]), 1)), "recordings")
