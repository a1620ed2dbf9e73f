"""What the tests of the way from gap to shelf start from: a series of which one volume is owned, and audio of the next."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from audiobooks.library.albums import key_of
from audiobooks.models import Author, Authorship, Book, Series, SeriesEntry, Work
from tests.samples.audio import write_tags

AUTHOR, SERIES, TITLE = "Ilse Varga", "The Salt Cartographers", "The Glass Meridian"
SECONDS = 30


def owned_and_missing(runtime: int | None = SECONDS) -> tuple[Book, Book]:
    """Number 1, which is owned, and number 2, which is only known of, and lasts `runtime` seconds."""
    author = Author.objects.create(name=AUTHOR, key=key_of(AUTHOR))
    series = Series.objects.create(name=SERIES, key=key_of(SERIES))
    books = []
    for position, title, standing in (("1", "The Salt Road", "owned"), ("2", TITLE, "known")):
        work = Work.objects.create(title=title, key=key_of(title))
        length = timedelta(seconds=runtime) if runtime and standing == "known" else None
        book = Book.objects.create(work=work, title=title, standing=standing, language="en", runtime=length)
        Authorship.objects.create(book=book, author=author, number=0)
        SeriesEntry.objects.create(book=book, series=series, position=position, order=float(position))
        books.append(book)
    return books[0], books[1]


def make_recording(folder: Path, parts: int = 2, *, seconds: int = SECONDS, title: str = TITLE) -> Path:
    """A folder of MP3 files that last so long together, with tags."""
    folder.mkdir(parents=True)
    for part in range(1, parts + 1):
        file = folder / f"{title} - Part {part}.mp3"
        file.write_bytes(_tone(200 * part, seconds / parts))
        write_tags(file, album=title, author=AUTHOR, title=f"Part {part}", series=SERIES, position="2")
    return folder


@cache
def _tone(frequency: int, seconds: float) -> bytes:
    """An MP3 file."""
    with TemporaryDirectory() as folder:
        # Into a pipe no length would be written.
        file = Path(folder, "tone.mp3")
        sound = ["-f", "lavfi", "-i", f"sine=frequency={frequency}:duration={seconds}", "-ac", "1"]
        command = ["ffmpeg", "-loglevel", "error", *sound, "-c:a", "libmp3lame", "-b:a", "64k", str(file)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        return file.read_bytes()


def next_volumes(number: int, *, runtime: int | None = None) -> list[Book]:
    """More of that series, which are known: 3, 4, ... called "Salt Volume 3" and so on."""
    author, series = Author.objects.get(), Series.objects.get()
    books = []
    for position in range(3, 3 + number):
        title = f"Salt Volume {['Three', 'Four', 'Five', 'Six', 'Seven', 'Eight', 'Nine', 'Ten'][position - 3]}"
        work = Work.objects.create(title=title, key=key_of(title))
        length = timedelta(seconds=runtime) if runtime else None
        book = Book.objects.create(work=work, title=title, standing="known", language="en", runtime=length)
        Authorship.objects.create(book=book, author=author, number=0)
        SeriesEntry.objects.create(book=book, series=series, position=str(position), order=position)
        books.append(book)
    return books
