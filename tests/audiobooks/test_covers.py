"""Covers: what is kept is a JPEG of ours, whatever came."""

from __future__ import annotations

import io
import os
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from PIL import Image, ImageChops, ImageOps, ImageStat

from audiobooks import covers
from audiobooks.fields import edit, undo
from audiobooks.models import Book, Work

SQUARE = (900, 900)


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.AUDIOBOOKS_COVERS = tmp_path / "covers"
    return tmp_path / "covers"


def image(mode: str = "RGB", size: tuple[int, int] = SQUARE, format: str = "JPEG", **options: Any) -> bytes:
    output = io.BytesIO()
    Image.new(mode, size, options.pop("colour", None) or 0).save(output, format, **options)
    return output.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


def animated(format: str) -> bytes:
    output = io.BytesIO()
    frames = [Image.new("RGB", SQUARE, colour) for colour in ("red", "blue")]
    frames[0].save(output, format, save_all=True, append_images=frames[1:], duration=100)
    return output.getvalue()


def kept(folder: Path, data: bytes) -> Image.Image:
    with Image.open(folder / covers.keep(data)) as found:
        found.load()
        assert found.format == "JPEG" and found.mode == "RGB"
        return found


@pytest.mark.parametrize(
    "data",
    [
        image(),
        image("RGB", (200, 100), "WEBP"),
        image("CMYK"),
        image("L"),
        image("P", format="PNG"),
        image("P", format="PNG", transparency=0),
        image("RGBA", format="PNG"),
        image("1", format="PNG"),
        image("I;16", format="PNG"),
        animated("WEBP"),
        animated("PNG"),
    ],
    ids=["jpeg", "small webp", "cmyk", "grey", "palette", "see-through palette", "rgba", "bits", "16 bits", "moving", "apng"],
)  # fmt: skip
def test_what_is_a_cover_is_kept_in_two_sizes(folder: Path, data: bytes) -> None:
    path = covers.keep(data)
    sizes = []
    for name in (path, covers.small_of(path)):
        with Image.open(folder / name) as found:
            found.load()
            assert found.format == "JPEG" and found.mode == "RGB"
            sizes.append(found.size)
    assert sizes in ([(600, 600), (160, 160)], [(200, 100), (160, 80)])


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b"\0" * 5000, "no image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "no image"),
        (b"<html><script>alert(1)</script></html>", "no image"),
        (b"GIF89a" + b"\1" * 100, "no image"),
        (image(format="GIF", mode="L"), "no image"),
        (image()[:3000], "broken"),
        (image()[:10], "broken"),
        (image("RGB", SQUARE, "PNG")[:200], "broken"),
        (image("RGB", SQUARE, "WEBP")[:60], "broken"),
        (png_that_claims(900, 900), "broken"),
        (png_that_claims(7000, 7000), "larger"),
        (png_that_claims(12_000, 12_000), "larger"),
        (png_that_claims(100_000, 100_000), "larger"),
        (image("L", (1, 50_000), "PNG"), "larger"),
        (image("L", (1, 5000), "PNG"), "too small"),
        (image("L", (1, 1), "PNG"), "too small"),
        (b"x" * (covers.LARGEST_BYTES + 1), "MiB"),
    ],
)
def test_what_is_no_cover_is_refused_and_nothing_is_written(folder: Path, data: bytes, why: str) -> None:
    with pytest.raises(covers.CoverError, match=why):
        covers.keep(data)
    assert not folder.exists()


def exif(tag: int, kind: int, count: int, value: bytes) -> bytes:
    """That it lies on its side, and one entry more; what does not fit in there stands at 38."""
    entries = struct.pack("<HHII", 0x0112, 3, 1, 6) + struct.pack("<HHI", tag, kind, count) + value[:4]
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + struct.pack("<I", 0) + value[4:]


@pytest.mark.parametrize(
    "odd",
    [
        exif(0x011A, 2, 4, b"abc\0"),
        exif(0x011A, 7, 4, b"abcd"),
        exif(0x010E, 5, 1, struct.pack("<III", 38, 1, 2)),
    ],
    ids=["resolution of text", "resolution of bytes", "description that is a number"],
)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_odd_metadata_do_not_spoil_a_picture_nor_its_turn(folder: Path, format: str, odd: bytes) -> None:
    output = io.BytesIO()
    Image.new("RGB", (64, 128)).save(output, format, exif=odd)
    assert kept(folder, output.getvalue()).size == (128, 64)


@pytest.mark.parametrize(
    "unreadable",
    [
        b"Exif\0\0XX*\0" + struct.pack("<I", 8),
        b"Exif\0\0II",
        b"Exif\0\0II*\0" + struct.pack("<I", 0xFFFFFFFF),
        b"Exif\0\0II*\0" + struct.pack("<IHHHI", 8, 1, 0x0112, 2, 3) + b"ab\0\0" + bytes(4),
    ],
    ids=["no TIFF", "cut off", "leads nowhere", "orientation that is text"],
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_picture_whose_metadata_cannot_be_read_is_kept_as_it_lies(
    folder: Path, format: str, unreadable: bytes
) -> None:
    output = io.BytesIO()
    Image.new("RGB", (64, 128)).save(output, format, exif=unreadable)
    assert kept(folder, output.getvalue()).size == (64, 128)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_whatever_way_it_lies_it_stands_upright(folder: Path, orientation: int) -> None:
    lying = Image.new("RGB", (400, 200), "white")
    lying.paste("black", (0, 0, 200, 50))
    output, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    lying.save(output, "PNG", exif=exif)
    with Image.open(output) as said:
        upright = ImageOps.exif_transpose(said).convert("L")
    difference = ImageChops.difference(upright, kept(folder, output.getvalue()).convert("L"))
    assert ImageStat.Stat(difference).mean[0] < 3


def test_the_first_frame_is_what_is_seen(folder: Path) -> None:
    red = kept(folder, animated("WEBP")).getpixel((300, 300))
    assert isinstance(red, tuple) and red[0] > 200 and red[2] < 60


def test_what_is_transparent_is_white(folder: Path) -> None:
    assert kept(folder, image("RGBA", format="PNG")).getpixel((300, 300)) == (255, 255, 255)


def test_it_stands_upright_and_says_nothing_of_who_took_it(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 6, "Somebody"
    found = kept(folder, image(size=(800, 400), exif=exif, comment=b"a secret", icc_profile=b"x" * 200))
    assert found.size == (300, 600)
    assert not found.getexif() and not {"comment", "exif", "icc_profile"} & found.info.keys()


def test_the_same_image_is_kept_once_and_no_part_is_left(folder: Path) -> None:
    assert covers.keep(image()) == covers.keep(image(comment=b"other")) != covers.keep(image(colour="red"))
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 4 and all(path.suffix == ".jpg" for path in files)
    assert len(covers.keep(image())) < 100


def test_a_write_that_fails_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("audiobooks.covers.os.replace", full)
    with pytest.raises(OSError):
        covers.keep(image())
    assert not [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "path", ["", "../settings.py", "/etc/passwd", "ab/../../x.jpg", "ab/" + "0" * 64 + ".jpg\n", "ab/" + "0" * 64 + ".png"]
)  # fmt: skip
def test_no_path_leads_out(folder: Path, path: str) -> None:
    covers.keep(image())
    assert covers.place_of(path) is None


def test_a_link_that_leads_out_is_not_followed(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    path = f"ab/{'0' * 64}.jpg"
    (folder / "ab").mkdir(parents=True)
    (folder / path).symlink_to(secret)
    assert covers.place_of(path) is None


# --- of a book --------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_cover_is_fetched_once(folder: Path) -> None:
    asked: list[str] = []

    def download(url: str) -> bytes:
        asked.append(url)
        return image()

    book = Book.objects.create(title="x", work=Work.objects.create(title="x"), cover_url="https://example.org/a.jpg")
    assert covers.fetch(book, download)
    assert not covers.fetch(Book.objects.get(), download)
    assert asked == ["https://example.org/a.jpg"]
    assert (folder / Book.objects.get().cover).is_file()


@pytest.mark.django_db
def test_a_cover_of_an_address_that_changed_meanwhile_is_not_taken() -> None:
    book = Book.objects.create(title="x", work=Work.objects.create(title="x"), cover_url="https://example.org/a.jpg")

    def download(url: str) -> bytes:
        Book.objects.update(cover_url="https://example.org/b.jpg")
        return image()

    assert not covers.fetch(book, download)
    assert Book.objects.get().cover == ""


def age(folder: Path, seconds: float = 2 * 3600) -> None:
    """Everything there was written so long ago."""
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - seconds,) * 2, follow_symlinks=False)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


@pytest.mark.django_db
def test_covers_that_no_book_names_are_removed_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    used, unused = covers.keep(image()), covers.keep(image(colour="red"))
    Book.objects.create(title="x", work=Work.objects.create(title="x"), cover=used)
    outside = tmp_path / "elsewhere" / f"{'0' * 64}.jpg"
    outside.parent.mkdir()
    outside.write_text("x")
    (folder / "00").symlink_to(outside.parent)
    (folder / used[:2] / f"{'1' * 64}.jpg").symlink_to(outside)
    (folder / unused[:2] / "mine.jpg").write_text("x")
    (folder / f"{'2' * 64}.jpg").write_text("x")
    before = files(folder)
    assert covers.remove_unused() == 0, "they were just written"
    age(folder)
    age(outside.parent)
    assert covers.remove_unused() == 2
    assert before - files(folder) == {unused, covers.small_of(unused)}
    assert outside.exists()


@pytest.mark.django_db
def test_a_cover_that_is_kept_again_is_new_again(folder: Path) -> None:
    """Its book names it only later."""
    path = covers.keep(image())
    age(folder)
    assert covers.keep(image()) == path
    assert covers.remove_unused() == 0
    age(folder)
    assert covers.keeps(path) and not covers.keeps(f"00/{'0' * 64}.jpg") and not covers.keeps("../x")
    assert covers.remove_unused() == 0


@pytest.mark.django_db
def test_one_that_is_kept_while_books_are_looked_at_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = covers.keep(image())
    age(folder)
    looked = covers._written_at
    asked: list[Path] = []

    def written_at(place: Path) -> float:
        asked.append(place)
        if len(asked) == 3:  # Both were found to be old.
            covers.keep(image())
        return looked(place)

    monkeypatch.setattr(covers, "_written_at", written_at)
    assert covers.remove_unused() == 0
    assert (folder / path).exists()


@pytest.mark.django_db
def test_without_a_folder_of_covers_there_is_nothing_to_remove(folder: Path) -> None:
    assert covers.remove_unused() == 0
    assert not folder.exists()


@pytest.mark.django_db
def test_the_undo_of_another_address_gives_the_cover_back(folder: Path, admin_user: User) -> None:
    """Found: the book had no cover until a month later."""
    path = covers.keep(image())
    book = Book.objects.create(
        title="x", work=Work.objects.create(title="x"), cover_url="https://example.org/a.jpg", cover=path
    )
    change = edit(book, {"cover_url": "https://example.org/b.jpg"}, by=admin_user)
    assert change is not None and Book.objects.get().cover == ""
    age(folder)
    undo(change)
    assert (Book.objects.get().cover_url, Book.objects.get().cover) == ("https://example.org/a.jpg", path)
    change = edit(book, {"cover_url": "https://example.org/b.jpg"}, by=admin_user)
    assert change is not None
    (folder / path).unlink()
    undo(change)
    assert Book.objects.get().cover == "", "it is fetched again"


@pytest.fixture
def cover_url() -> Callable[[str], str]:
    return lambda path: reverse("admin:audiobooks_book_cover", args=[path])


@pytest.mark.django_db
def test_covers_are_for_those_who_may_see_books(cover_url: Callable[[str], str]) -> None:
    url = cover_url(covers.keep(image()))
    assert Client().get(url).status_code == 302
    client, user = Client(), User.objects.create_user("somebody", is_staff=True)
    client.force_login(user)
    assert client.get(url).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_book"))
    response = client.get(url)
    assert response.status_code == 200
    assert b"".join(response)[:3] == b"\xff\xd8\xff"  # type: ignore[arg-type]
    assert response["Content-Type"] == "image/jpeg"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Cache-Control"] == "private, max-age=31536000, immutable"
    for path in (f"00/{'0' * 64}.jpg", "..%2f..%2fmanage.py", "%2e%2e/manage.py", "/etc/passwd"):
        assert client.get(url.replace(url.split("/cover/")[1], path)).status_code in (301, 302, 404)
