"""Real audio files with tags, made by ffmpeg and mutagen: `python -m tests.samples.audio FOLDER --files 200`."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mutagen
from mutagen.id3 import COMM, ID3, TALB, TCOM, TIT2, TLAN, TPE1, TPE2, TXXX
from mutagen.mp4 import MP4, MP4FreeForm

CODECS = {"mp3": "libmp3lame", "m4b": "aac", "m4a": "aac", "flac": "flac", "ogg": "libvorbis", "opus": "libopus"}
AUTHORS = ["Ilse Varga", "Tomás Reed", "Oyelaran Adé", "M. T. Quill", "Jürgen Weiß"]


def make_clips(folder: Path) -> dict[str, Path]:
    """One second of sound in every format."""
    folder.mkdir(parents=True, exist_ok=True)
    clips = {}
    for ending, codec in CODECS.items():
        clips[ending] = folder / f"clip.{ending}"
        container = ["-f", "ipod"] if codec == "aac" else []
        sound = ["-f", "lavfi", "-i", "sine=frequency=300:duration=1", "-ac", "1"]
        command = ["ffmpeg", "-y", "-loglevel", "error", *sound, "-c:a", codec, *container, str(clips[ending])]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return clips


def write_tags(path: Path, **tags: str) -> None:
    """Tags in the form that each format has. Names: title, album, author, narrator, series, position, language, asin."""
    match path.suffix:
        case ".mp3":
            _write_id3(path, tags)
        case ".m4b" | ".m4a":
            _write_mp4(path, tags)
        case _:
            names = {"author": "albumartist", "position": "series-part"}
            file: Any = mutagen.File(path)
            for name, value in tags.items():
                file[names.get(name, name)] = value
            file.save()


def _write_id3(path: Path, tags: dict[str, str]) -> None:
    frames = {"title": TIT2, "album": TALB, "author": TPE2, "narrator": TCOM, "language": TLAN}
    file = ID3()
    for name, value in tags.items():
        if name in frames:
            file.add(frames[name](encoding=3, text=value))
        else:
            file.add(TXXX(encoding=3, desc={"position": "SERIES-PART"}.get(name, name.upper()), text=value))
    file.add(TPE1(encoding=3, text=tags.get("author", "")))
    file.add(COMM(encoding=3, lang="eng", desc="", text="made for a test"))
    file.save(path)


def _write_mp4(path: Path, tags: dict[str, str]) -> None:
    atoms = {"title": "\xa9nam", "album": "\xa9alb", "author": "aART", "narrator": "\xa9wrt"}
    file = MP4(path)
    for name, value in tags.items():
        if name in atoms:
            file[atoms[name]] = [value]
        else:
            key = {"position": "SERIES-PART"}.get(name, name.upper())
            file[f"----:com.apple.iTunes:{key}"] = [MP4FreeForm(value.encode())]
    file.save()


def make_library(root: Path, *, files: int) -> Iterator[tuple[str, dict[str, str]]]:
    """At least `files` files in books of one to five parts and several layouts. Yields (book's path, its tags)."""
    clips = make_clips(root.parent / "clips")
    made = number = 0
    while made < files:
        author, ending = AUTHORS[number % len(AUTHORS)], list(CODECS)[number % len(CODECS)]
        title, position = f"Book {number}", str(number // len(AUTHORS) + 1)
        series = f"Cycle of {author.split()[-1]}"
        tags = {
            "album": title, "author": author, "narrator": f"Reader {number % 7}", "series": series, "position": position,
            "language": "eng", "asin": f"B0{number:08d}",
        }  # fmt: skip
        folder = [
            f"{author}/{series}/Vol {position} - 2001 - {title} {{Reader {number % 7}}} [B0{number:08d}]",
            f"{author}/{title}",
            f"{author}/{series}/{position} - {title}",
            f"{title} [B0{number:08d}]",
        ][number % 4]
        parts = number % 5 + 1
        for part in range(parts):
            place = root / folder / (f"Disc {part % 2 + 1}" if parts == 4 else "") / f"{part + 1:02d}.{ending}"
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(clips[ending], place)
            write_tags(place, title=f"Chapter {part + 1}", **tags)
            made += 1
        yield folder, tags
        number += 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=200)
    chosen = parser.parse_args()
    books = sum(1 for _ in make_library(chosen.folder, files=chosen.files))
    print(f"{books} books in {chosen.folder}")
