"""Torrent files and magnet links from strangers: read as they are, or refused in a sentence."""

from __future__ import annotations

import base64
import hashlib
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audiobooks import torrents
from audiobooks.torrents import BadTorrent, TorrentFile, decode, hash_of_magnet, read_torrent
from tests.seeding import PIECE, bencoded, needs_libtorrent, torrent_of

HASH = "0123456789abcdef0123456789abcdef01234567"
PASSKEY = "RECOGNISABLE0passkey1f2e3d4c5b6a"


def info_of(name: str | bytes = "Emma", files: list[Any] | None = None, length: int = 5, **more: Any) -> dict[str, Any]:
    sizes = [each["length"] for each in files] if files is not None else [length]
    total = sum(size for size in sizes if type(size) is int and size > 0)
    pieces = b"x" * 20 * -(-total // PIECE)
    what = {"files": files} if files is not None else {"length": length}
    return {"name": name, "piece length": PIECE, "pieces": pieces, **what, **more}


def torrent(info: Any, **more: Any) -> bytes:
    return bencoded({"announce": f"http://t.example/{PASSKEY}/announce", "info": info, **more})


def refused(data: bytes) -> str:
    with pytest.raises(BadTorrent) as error:
        read_torrent(data)
    said = str(error.value)
    assert said.endswith(".")
    assert PASSKEY not in f"{said} {error.value.__cause__!r}"
    return said


def test_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "Jane Austen – Emma"
    (folder / "CD 2").mkdir(parents=True)
    (folder / "01.mp3").write_bytes(b"a" * 40_000)
    (folder / "CD 2" / "02.mp3").write_bytes(b"b" * 7)
    data = torrent_of(folder, announce=f"http://t.example/{PASSKEY}/announce", private=True)

    read = read_torrent(data)

    assert read.name == "Jane Austen – Emma"
    assert read.files == (
        TorrentFile(("Jane Austen – Emma", "01.mp3"), 40_000),
        TorrentFile(("Jane Austen – Emma", "CD 2", "02.mp3"), 7),
    )
    assert (read.size, read.private, read.hostile) == (40_007, True, ())
    assert PASSKEY not in repr(read)


def test_a_single_file() -> None:
    read = read_torrent(torrent(info_of("Emma.m4b", length=17)))

    assert read.files == (TorrentFile(("Emma.m4b",), 17),)
    assert not read.private


def test_the_hash_is_of_the_bytes_as_they_stand() -> None:
    """Keys in another order than they should have: to encode it anew would make it another torrent."""
    info = b"d6:pieces20:" + b"x" * 20 + b"12:piece lengthi16384e6:lengthi5e4:name4:Emmae"
    data = b"d4:spam4:info4:info" + info + b"e"

    assert read_torrent(data).hash == hashlib.sha1(info).hexdigest()


@needs_libtorrent
def test_it_agrees_with_what_clients_use(tmp_path: Path) -> None:
    import libtorrent

    (tmp_path / "Emma").mkdir()
    for name, size in (("1.mp3", 40_000), ("2.mp3", 70_001)):
        (tmp_path / "Emma" / name).write_bytes(b"z" * size)
    kinds = {"both": 0, "first": libtorrent.create_torrent.v1_only, "second": libtorrent.create_torrent.v2_only}
    for kind, flags in kinds.items():
        made = libtorrent.create_torrent(libtorrent.list_files(str(tmp_path / "Emma")), PIECE, flags)
        libtorrent.set_piece_hashes(made, str(tmp_path))
        data = libtorrent.bencode(made.generate())
        hashes = libtorrent.torrent_info(libtorrent.bdecode(data)).info_hashes()

        read = read_torrent(data)

        assert read.hash == (str(hashes.v2)[:40] if kind == "second" else str(hashes.v1)), kind
        assert sorted(read.files) == [(("Emma", "1.mp3"), 40_000), (("Emma", "2.mp3"), 70_001)], kind
        assert read.hostile == ()


def test_padding_is_no_content_and_counts_all_the_same() -> None:
    """qBittorrent 4.5.2 fetches what only lies in `.pad`, Transmission 3.00 all of it."""
    files = [
        {"length": 10, "path": ["1.mp3"]},
        {"length": PIECE - 10, "path": [".pad", "16374"], "attr": "p"},
        {"length": 3, "path": [".pad", "3"]},
        {"length": 4, "path": ["rest"], "attr": "xp"},
        {"length": 5, "path": ["2.mp3"], "attr": "x"},
    ]

    read = read_torrent(torrent(info_of(files=files)))

    assert [each.path[-1] for each in read.files] == ["1.mp3", "2.mp3"]
    assert read.size == sum(each["length"] for each in files)


@pytest.mark.parametrize("more", [{"path": [".pad", "..", "..", "keys"]}, {"path": ["..", "keys"], "attr": "p"}])
def test_names_of_padding_are_looked_at_too(more: dict[str, Any]) -> None:
    read = read_torrent(torrent(info_of(files=[{"length": 5, "path": ["1.mp3"]}, {"length": 5, **more}])))

    assert read.hostile == ("A name in the torrent leads out of its folder.",)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"<!DOCTYPE html><html><title>You are not allowed</title>", "a web page"),
        (b"\xef\xbb\xbf\n <html>", "a web page"),
        (b'{"error": "' + PASSKEY.encode() + b'"}', "a text"),
        (b"Error, you are not signed in", "a text"),
        (b"\x1f\x8b\x08\x00", "something else"),
        (b"li1ei2ee", "a text"),
        (b"dear sir", "after its end"),
        (b"d", "broken"),
        (b"de", "no description"),
        (b"d4:infoi1ee", "no description"),
        (b"d4:infolee", "no description"),
        (b"d4:infodee", "no name"),
        (b"d4:infod4:name4:Emmaee", "of no version"),
    ],
)
def test_what_is_no_torrent(data: bytes, said: str) -> None:
    assert said in refused(data)


@pytest.mark.parametrize(
    "value",
    [
        *(
            b"i-0e",
            b"i01e",
            b"i00e",
            b"ie",
            b"i-e",
            b"i+1e",
            b"i 1e",
            b"i1_0e",
            b"i1",
            b"i1.0e",
            b"i" + b"9" * 30 + b"e",
        ),
        *(b"01:a", b"2:a", b"-1:a", b"1", b"1 :a", b"999999999:a", b"9999999999:a", b"1:"),
        *(b"l", b"d1:a", b"d1:ae", b"di1ei1ee", b"dle1:ae", b"x", b"\xb2:aa", "٣:abc".encode()),
    ],
)
def test_values_that_are_none(value: bytes) -> None:
    assert "broken" in refused(b"d4:spam" + value + b"e")


@pytest.mark.parametrize("after", [b"\n", b"e", b"\0", b"d4:infodee", b" "])
def test_nothing_may_come_behind_it(after: bytes) -> None:
    assert "after its end" in refused(torrent(info_of()) + after)


def test_what_stands_there_twice_could_be_read_in_two_ways() -> None:
    info = bencoded(info_of())

    assert "twice" in refused(b"d4:info" + info + b"4:info" + bencoded(info_of("Other")) + b"e")
    assert "twice" in refused(b"d4:infod4:name1:a4:name1:bee")


def test_depth_and_size_are_bounded() -> None:
    began = time.process_time()

    assert "intricate" in refused(b"d1:a" + b"l" * 100_000 + b"e" * 100_000 + b"e")
    assert "intricate" in refused(b"d1:a" + b"d1:a" * 2_000_000)
    assert "intricate" in refused(b"d1:al" + b"le" * 4_000_000 + b"ee")
    assert "larger" in refused(b"d" * (torrents.MOST_BYTES + 1))
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    ("info", "said"),
    [
        (info_of(length=0), "nothing in it"),
        (info_of(files=[]), "nothing in it"),
        (info_of(length=-5), "no size"),
        (info_of(length="5"), "no size"),  # type: ignore[arg-type]
        (info_of(files=[{"length": 5, "path": []}]), "which files"),
        (info_of(files=[{"length": 5, "path": "1.mp3"}]), "which files"),
        (info_of(files=[{"length": 5, "path": [1]}]), "which files"),
        (info_of(files=[{"length": 5}]), "which files"),
        ({**info_of(), "files": [1]}, "which files"),
        ({**info_of(), "files": {}}, "which files"),
        ({**info_of(), "name": 5}, "no name"),
        ({**info_of(), "name": ["a"]}, "no name"),
        ({**info_of(), "pieces": b"x" * 19}, "fit its pieces"),
        ({**info_of(), "pieces": b"x" * 40}, "fit its pieces"),
        ({**info_of(), "pieces": 20}, "fit its pieces"),
        ({**info_of(), "piece length": 0}, "fit its pieces"),
        ({**info_of(), "piece length": -1}, "fit its pieces"),
        ({**info_of(), "piece length": "16384"}, "fit its pieces"),
        ({**info_of(), "length": 10**12}, "fit its pieces"),
        ({**info_of(), "length": 10**18}, "any disk"),
        ({"name": "Emma", "meta version": 3, "file tree": {}}, "of no version"),
        ({"name": "Emma", "meta version": 2}, "which files"),
        ({"name": "Emma", "meta version": 2, "file tree": {}}, "nothing in it"),
        ({"name": "Emma", "meta version": 2, "file tree": {"a": 5}}, "which files"),
        ({"name": "Emma", "meta version": 2, "file tree": {"": {"length": 5}}}, "which files"),
        ({"name": "Emma", "meta version": 2, "file tree": {"a": {"": {"length": "5"}}}}, "no size"),
    ],
)
def test_contents_that_cannot_be(info: dict[str, Any], said: str) -> None:
    assert said in refused(torrent(info))


def test_files_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torrents, "MOST_FILES", 50)
    files = [{"length": 1, "path": [str(number)]} for number in range(51)]

    assert "more than" in refused(torrent(info_of(files=files)))
    assert len(read_torrent(torrent(info_of(files=files[1:]))).files) == 50


@pytest.mark.parametrize(
    "part",
    [
        *("..", ".", "", " ", "a/b", "/etc/passwd", "..\\windows", "C:", "c:\\windows", "C:evil", "\\\\nas\\share"),
        *("a\0b", "a\nb", "a\x1b[2J", "a\x7f", "a\x85", "gpj.\u202e3pm", "a\u2066b"),
        *("CON", "con", "nul.mp3", "COM1", "lpt9.txt", "aux .txt", "COM¹", "CONIN$"),
        *("x" * 256, "ä" * 128),
    ],
)
def test_names_that_are_hostile(part: str) -> None:
    as_name = read_torrent(torrent(info_of(part)))
    as_file = read_torrent(torrent(info_of(files=[{"length": 5, "path": ["CD 1", part]}])))
    as_folder = read_torrent(torrent(info_of(files=[{"length": 5, "path": [part, "1.mp3"]}])))

    for read in (as_name, as_file, as_folder):
        assert read.hostile
        assert all(problem.endswith(".") for problem in read.hostile)
        assert all(problem.isprintable() for problem in read.hostile)


def test_names_of_the_second_version_are_looked_at_too() -> None:
    file = {"": {"length": 5, "pieces root": b"x" * 32}}
    read = read_torrent(torrent({"name": "Emma", "meta version": 2, "file tree": {"CD 1": {"..": {"evil": file}}}}))

    assert read.files == (TorrentFile(("Emma", "CD 1", "..", "evil"), 5),)
    assert read.hostile == ("A name in the torrent leads out of its folder.",)
    single = read_torrent(torrent({"name": "Emma", "meta version": 2, "file tree": {"Emma": file}}))
    assert (single.files, single.hostile) == ((TorrentFile(("Emma",), 5),), ())


def test_a_link_is_hostile() -> None:
    files = [{"length": 5, "path": ["1"]}, {"length": 0, "path": ["2"], "attr": "l", "symlink path": ["..", "etc"]}]

    assert read_torrent(torrent(info_of(files=files))).hostile == ("A file in the torrent is a link to another.",)


@pytest.mark.parametrize(
    "part",
    [
        *("Emma", "Vol. 1", "Mr. Knightley ...", "01 - Глава 1.mp3", "第一章.mp3", "Thérèse Raquin", ".nfo", "a..b"),
        *(
            "Emma: A Novel.m4b",
            "Console Wars.m4b",
            "Auxiliary",
            "Nullius",
            "communion",
            "x" * 255,
            " leading",
            "~",
            "$HOME",
        ),
        *("می\u200cخواهم.mp3", "🎧.mp3"),
    ],
)
def test_names_that_are_not(part: str) -> None:
    assert read_torrent(torrent(info_of(files=[{"length": 5, "path": [part]}]))).hostile == ()


def test_names_that_are_no_text_are_read_somehow() -> None:
    read = read_torrent(torrent(info_of(b"Th\xe9r\xe8se")))

    assert read.name == "Th\N{REPLACEMENT CHARACTER}r\N{REPLACEMENT CHARACTER}se"
    assert read_torrent(torrent({**info_of(b"Th\xe9"), "name.utf-8": "Thé"})).name == "Thé"


# --- magnet links ---


@pytest.mark.parametrize(
    "link",
    [
        f"magnet:?xt=urn:btih:{HASH}",
        f"magnet:?xt=urn:btih:{HASH.upper()}&dn=Emma&tr=http%3A%2F%2Ft.example%2F{PASSKEY}",
        f"MAGNET:?dn=x&XT=URN:BTIH:{HASH}",
        f"magnet:?xt.1=urn:btih:{HASH}",
        f"magnet:?xt=urn%3Abtih%3A{HASH}",
        f"  magnet:?xt=urn:btih:{HASH}\n",
        f"magnet:?xt=urn:btih:{base64.b32encode(bytes.fromhex(HASH)).decode()}",
        f"magnet:?xt=urn:btih:{base64.b32encode(bytes.fromhex(HASH)).decode().lower()}",
        f"magnet:?xt=urn:btmh:1220{'ab' * 32}&xt=urn:btih:{HASH}",
        f"magnet:?xt=urn:btmh:1220{HASH}{'0' * 24}",
        f"magnet:?xt=urn:sha1:abc&xt=urn:btih:nonsense&xt=urn:btih:{HASH}",
    ],
)
def test_the_hash_of_a_magnet_link(link: str) -> None:
    assert hash_of_magnet(link) == HASH


@pytest.mark.parametrize(
    "link",
    [
        *("", "magnet:", "magnet:?", "magnet:?xt=", f"http://t.example/{PASSKEY}", f"magnet:?dn={PASSKEY}", HASH),
        *("magnet:?xt=urn:btih:", f"magnet:?xt=urn:btih:{HASH[1:]}", f"magnet:?xt=urn:btih:{HASH}0"),
        *(f"magnet:?xt=urn:btih:{'1' * 32}", f"magnet:?xt=urn:btih:{'ä' * 32}", f"magnet:?xt=urn:btih:{'g' * 40}"),
        *("magnet:?xt=urn:btmh:1220abcd", f"magnet:?xt=urn:btmh:1114{'ab' * 32}", "magnet:?" + "a&" * 5_000),
        f"javascript:?xt=urn:btih:{HASH}",
    ],
)
def test_magnet_links_that_have_none(link: str) -> None:
    with pytest.raises(BadTorrent) as error:
        hash_of_magnet(link)
    assert PASSKEY not in f"{error.value} {error.value.__cause__!r}"


# --- whatever comes ---

VALUES = st.recursive(
    st.integers(-(10**18), 10**18) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.binary(max_size=8), inner, max_size=4),
    max_leaves=25,
)
PROPER = torrent(
    info_of(files=[{"length": 40_000, "path": ["CD 1", "1.mp3"]}, {"length": 3, "path": ["b"], "attr": "p"}])
)


@given(st.dictionaries(st.binary(max_size=8), VALUES, max_size=6))
def test_what_was_encoded_is_decoded(value: dict[bytes, Any]) -> None:
    data = bencoded(value)

    decoded, raw = decode(data)

    assert decoded == value
    assert raw == {key: bencoded(each) for key, each in value.items()}


@given(st.dictionaries(st.binary(max_size=8), VALUES, min_size=1, max_size=6), st.data())
def test_what_is_cut_off_is_refused(value: dict[bytes, Any], draw: st.DataObject) -> None:
    data = bencoded(value)

    with pytest.raises(BadTorrent):
        decode(data[: draw.draw(st.integers(0, len(data) - 1))])


@settings(max_examples=400)
@given(
    st.lists(st.tuples(st.integers(0, len(PROPER)), st.integers(0, 3), st.binary(max_size=3)), min_size=1, max_size=4)
)
@example([(0, len(PROPER), b"")])
def test_a_torrent_that_was_tampered_with_is_read_or_refused(changes: list[tuple[int, int, bytes]]) -> None:
    data = PROPER
    for at, gone, put in changes:
        data = data[:at] + put + data[at + gone :]

    try:
        read = read_torrent(data)
    except BadTorrent as error:
        assert PASSKEY not in str(error)
        return
    assert read.size > 0
    assert len(read.hash) == 40


@given(
    st.dictionaries(st.sampled_from(["name", "files", "length", "pieces", "piece length", "file tree", "attr"]), VALUES)
)
def test_any_values_where_others_are_expected(info: dict[str, Any]) -> None:
    for base in (info_of(), {"name": "Emma", "meta version": 2, "file tree": {"a": {"": {"length": 5}}}}):
        try:
            read_torrent(torrent({**base, **info}))
        except BadTorrent:
            continue


TEXTS = st.text("magnet:?xturbih&=%.0123456789ABCDEFGZä\0\n ")


@given(TEXTS | TEXTS.map("magnet:?xt=urn:btih:{}".format))
def test_any_text_is_a_magnet_link_or_none(text: str) -> None:
    try:
        assert len(hash_of_magnet(text)) == 40
    except BadTorrent:
        pass
