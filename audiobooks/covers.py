"""Covers: fetched once, checked, scaled, and kept as JPEG under a name made of their content.

An image from outside is never served as it came: what is kept was decoded and written anew, without its metadata.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
import struct
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from PIL import Image, UnidentifiedImageError

from .models import Book

LARGEST_BYTES = 15 * 2**20
"""For whoever downloads."""
LARGEST_SIDE = 8000
LARGEST_PIXELS = 25_000_000
SMALLEST_SIDE = 40
"""Pixels. Catalogues answer with an image of one pixel where they have no cover."""
LARGE, SMALL = 600, 160
"""Pixels of the longer side, at most."""
FORMATS = ("JPEG", "PNG", "WEBP")
SPARED = timedelta(hours=1)
"""A cover is named by its book some time after it was written."""

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Orientation, as EXIF has it (JEITA CP-3451, 4.6.4) -> what makes it upright."""
_NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}(-small)?\.jpg")
# What Pillow raises for broken files of these formats.
_BROKEN = (
    *(OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, IndexError, OverflowError, MemoryError),
    *(TypeError, AttributeError),
)


class CoverError(Exception):
    """Bytes that are no cover; the message is a sentence that says why."""


def fetch(book: Book, download: Callable[[str], bytes]) -> bool:
    """Keep the image at the book's `cover_url`. False: there is none, or it was kept before.

    Raises:
        CoverError: what is there is no cover.
    """
    if not book.cover_url or book.cover:
        return False
    book.cover = keep(download(book.cover_url))
    # Not if the address changed in the meantime: then this is the cover of another.
    return bool(Book.objects.filter(pk=book.pk, cover_url=book.cover_url).update(cover=book.cover))


def keep(data: bytes) -> str:
    """Write the image in both sizes; its path in the folder of covers. One that is there already is not written again.

    Raises:
        CoverError
    """
    image = _read(data)
    large = _jpeg(image, LARGE)
    digest = hashlib.sha256(large).hexdigest()
    path = f"{digest[:2]}/{digest}.jpg"
    # The large one last: where it is, so is the small one.
    for name, content in ((small_of(path), None), (path, large)):
        place = settings.AUDIOBOOKS_COVERS / name
        if not _is_kept(place):
            _write(place, content or _jpeg(image, SMALL))
    return path


def keeps(path: str) -> bool:
    """Whether this cover is there, and stays for a while although no book names it yet."""
    if (place := place_of(path)) is None:
        return False
    return all(_is_kept(each) for each in (place.with_name(small_of(place.name)), place))


def _is_kept(place: Path) -> bool:
    try:
        # So that `remove_unused` takes it for new.
        os.utime(place)
    except PermissionError:  # It is somebody else's, who put it there for us.
        pass
    except FileNotFoundError:
        return False
    return True


def remove_unused() -> int:
    """Delete covers that no book names any more; returns how many files. What was just written may have no book yet."""
    folder, old = settings.AUDIOBOOKS_COVERS, time.time() - SPARED.total_seconds()
    # Before the books are looked at: what they name from here on was written or touched from here on.
    unused = {path for path in _covers_in(folder) if _written_at(folder / path) < old}
    for cover in Book.objects.exclude(cover="").values_list("cover", flat=True).iterator():
        unused -= {cover, small_of(cover)}
    removed = 0
    # The large one first, as keep writes it last.
    for path in sorted(unused, reverse=True):
        if _written_at(folder / path) < old:
            (folder / path).unlink(missing_ok=True)
            removed += 1
    return removed


def _covers_in(folder: Path) -> Iterator[str]:
    """Their paths; what lies there besides, or is a link, is not ours."""
    for part in _entries(folder):
        if part.is_dir(follow_symlinks=False):
            for file in _entries(Path(part.path)):
                path = f"{part.name}/{file.name}"
                if _NAME.fullmatch(path) and file.is_file(follow_symlinks=False):
                    yield path


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def _written_at(place: Path) -> float:
    """Seconds since 1970; of one that is gone the future."""
    try:
        return place.lstat().st_mtime
    except FileNotFoundError:
        return math.inf


def small_of(path: str) -> str:
    """The path of the cover for lists."""
    return f"{path.removesuffix('.jpg')}-small.jpg"


def place_of(path: str) -> Path | None:
    """The file of a cover; None for what is no path of one, or leads out of the folder."""
    if not _NAME.fullmatch(path):
        return None
    folder: Path = settings.AUDIOBOOKS_COVERS
    place = folder / path
    return place if place.is_file() and place.resolve().is_relative_to(folder.resolve()) else None


def _read(data: bytes) -> Image.Image:
    """The image, upright, as RGB, and no larger than is kept."""
    if not data:
        raise CoverError("The file is empty.")
    if len(data) > LARGEST_BYTES:
        raise CoverError(f"The file has more than {LARGEST_BYTES // 2**20} MiB.")
    try:
        # Pillow reads the head alone until `load`, so a bomb is seen before it goes off.
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check(*image.size)
            image.draft("RGB", (2 * LARGE, 2 * LARGE))
            image.load()
            return _rgb(_upright(image), LARGE)
    except CoverError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise CoverError("The image is larger than any cover.") from None
    except UnidentifiedImageError:
        raise CoverError(f"It is no image of the formats {', '.join(FORMATS)}.") from None
    except _BROKEN as error:
        raise CoverError(f"The image is broken: {error}") from None


def _upright(image: Image.Image) -> Image.Image:
    """Where its metadata cannot be read, as it is: they alone spoil no picture.

    Not by ImageOps, which writes the metadata anew, and fails where any of them are odd.
    """
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except _BROKEN:
        return image
    return image if turn is None else image.transpose(turn)


def _check(width: int, height: int) -> None:
    if max(width, height) > LARGEST_SIDE or width * height > LARGEST_PIXELS:
        raise CoverError(f"The image is larger than any cover: {width} x {height} pixels.")
    if min(width, height) < SMALLEST_SIDE:
        raise CoverError(f"The image is too small for a cover: {width} x {height} pixels.")


def _rgb(image: Image.Image, side: int) -> Image.Image:
    """What is transparent becomes white."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    image = image.convert("RGB")
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def _jpeg(image: Image.Image, side: int) -> bytes:
    scaled = Image.new("RGB", image.size)
    scaled.paste(image)  # Without `info`, which holds the metadata.
    scaled.thumbnail((side, side), Image.Resampling.LANCZOS)
    output = io.BytesIO()
    scaled.save(output, "JPEG", quality=85, optimize=True)
    return output.getvalue()


def _write(place: Path, content: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=place.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), 0o644)
        os.replace(name, place)
    finally:
        Path(name).unlink(missing_ok=True)  # There still where it could not be written whole.
