"""The check before the shelf: what it catches and lets pass on a labelled set, and single traps."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from audiobooks.facts import BookFacts, Contributor
from audiobooks.library.audio import COMMAND, Fault, Listener, hear
from audiobooks.library.base import FileTags
from audiobooks.parts import missing_parts
from audiobooks.recordings import _NOTHING, Check, ExpectedFile, Kind, Verdict, Wanted, _common, check
from audiobooks.tongues import tongues_of
from benchmarks.recordings.__main__ import SEEDS, measure
from tests.samples.recordings import CODECS, ODD, WRONG, clip, write_tags

WANTED = Wanted(
    facts=BookFacts(title="The Glass Meridian", authors=(Contributor(name="Ilse Varga"),), language="en", runtime=20)
)


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    with Listener() as listener:
        yield listener


def put(folder: Path, *names: str, seconds: int = 20, **tags: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(clip(path.suffix[1:], seconds))
        write_tags(path, tags)
    return folder


def kinds(found: Check) -> set[Kind]:
    return {problem.kind for problem in found.problems}


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("half", SEEDS)
def test_wrong_recordings_are_caught_and_right_ones_let_pass(half: str, tmp_path: Path) -> None:
    """More than a hundred of each; the check was made with the first half in view only."""
    rates = measure(tmp_path, SEEDS[half], each=10, errors=True)
    caught, alarms = rates["the check"]
    assert caught >= 0.95 and alarms <= 0.02
    assert rates["runtime only"][0] < 0.7, "the set is too easy"


def test_the_set_has_enough_of_each() -> None:
    assert len(WRONG) * 10 >= 100 and len(ODD) >= 15


# --- one file -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", CODECS)
def test_a_whole_file_has_no_fault(ending: str, tmp_path: Path) -> None:
    path = put(tmp_path, f"a.{ending}", title="T") / f"a.{ending}"
    found = hear(path)
    assert found.faults == () and abs(found.duration - 20) < 0.3 and found.tags.title == "T"


@pytest.mark.parametrize("ending", CODECS)
@pytest.mark.parametrize("damage", ["cut", "hole", "empty", "zeros", "page", "noise", "head", "playlist"])
def test_damage_is_a_fault_and_no_error(ending: str, damage: str, tmp_path: Path) -> None:
    data = clip(ending, 20)
    middle = len(data) // 2
    path = tmp_path / f"a.{ending}"
    path.write_bytes(
        {
            "cut": data[: round(len(data) * 0.6)],
            "hole": data[:middle] + bytes(20_000) + data[middle + 20_000 :],
            "empty": b"",
            "zeros": bytes(len(data)),
            "page": b"<html>" * 9000,
            "noise": os.urandom(len(data)),
            "head": data[:100],
            "playlist": b"#EXTM3U\n#EXTINF:10,\nfile:///etc/hostname\n",
        }[damage]
    )
    found = hear(path)
    assert found.faults and {fault.kind for fault in found.faults} <= {"broken", "cut", "hole"}


def test_a_silent_file_is_told(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "a.flac"), "w") as container:
        stream = container.add_stream("flac", rate=16000)
        stream.codec_context.layout = "mono"
        for number in range(20):
            frame = av.AudioFrame(format="s16", layout="mono", samples=16000)
            frame.planes[0].update(bytes(32000))
            frame.sample_rate, frame.pts = 16000, number * 16000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert hear(tmp_path / "a.flac").faults == (Fault(kind="broken", text="is silent wherever it was played"),)


@pytest.mark.parametrize("odd", ["link", "fifo", "folder", "socket", "nothing"])
def test_what_is_no_file_is_not_opened(odd: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.mp3"
    if odd == "link":
        path.symlink_to(put(tmp_path, "b.mp3") / "b.mp3")
    elif odd == "fifo":
        os.mkfifo(path)
    elif odd == "folder":
        path.mkdir()
    elif odd == "socket":
        monkeypatch.chdir(tmp_path)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("a.mp3")
    began = time.monotonic()
    assert {fault.kind for fault in hear(path).faults} == {"unreadable"}
    assert time.monotonic() - began < 5


def test_glued_files_are_measured_and_not_believed(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(clip("mp3", 20) * 5)
    found = hear(tmp_path / "a.mp3")
    assert abs(found.duration - 100) < 2 and found.faults == ()


def test_a_file_that_takes_too_long_costs_itself_only(tmp_path: Path) -> None:
    put(tmp_path, "a.mp3", "b.mp3")
    with Listener(seconds=0.0) as listener:
        assert [fault.kind for fault in listener.hear(tmp_path / "a.mp3").faults] == ["unreadable"]
        listener._seconds = 30
        assert listener.hear(tmp_path / "b.mp3").faults == ()


def decoder(ending: str, *, unless: Path | None = None) -> tuple[str, ...]:
    """One that ends so when it is given a file; where `unless` is there, ours."""
    ours = f"[ -e {unless} ] && exec {shlex.join(COMMAND)}; touch {unless};" if unless else ""
    return "sh", "-c", f"ulimit -c 0; {ours} read path; {ending}"


FROM_OUTSIDE = ["kill -TERM $$", "kill -KILL $$", "exec sleep 30"]
BY_ITSELF = ["kill -SEGV $$", "kill -ABRT $$", "exit 1"]


@pytest.mark.parametrize("ending", FROM_OUTSIDE + BY_ITSELF)
def test_what_ends_the_decoder_once_is_no_fault(ending: str, tmp_path: Path) -> None:
    put(tmp_path, "a.mp3")
    with Listener(seconds=5.0, command=decoder(ending, unless=tmp_path / "once")) as listener:
        assert listener.hear(tmp_path / "a.mp3").faults == ()


@pytest.mark.parametrize(
    ("ending", "verdict"),
    [(each, Verdict.DOUBTFUL) for each in FROM_OUTSIDE] + [(each, Verdict.WRONG) for each in BY_ITSELF],
)
@pytest.mark.parametrize("name", ["The Glass Meridian", "Blackthorn House (Abridged) [German]"])
def test_only_what_the_file_does_to_the_decoder_is_its_fault(
    ending: str, verdict: Verdict, name: str, tmp_path: Path
) -> None:
    put(tmp_path / name, "a.mp3", "b.mp3")
    began = time.monotonic()
    with Listener(seconds=0.3, command=decoder(ending)) as listener:
        found = check(tmp_path / name, WANTED, listener=listener)
    assert found.verdict is verdict and Kind.BROKEN in kinds(found), found.problems
    assert time.monotonic() - began < 5, "each file is tried twice"


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_a_decoder_outlives_what_stops_a_whole_service(number: signal.Signals, tmp_path: Path) -> None:
    put(tmp_path, "a.mp3")
    with Listener() as listener:
        listener.hear(tmp_path / "a.mp3")
        process = listener._process
        assert process
        process.send_signal(number)
        assert listener.hear(tmp_path / "a.mp3").faults == () and listener._process is process


def test_a_decoder_ends_with_its_parent(tmp_path: Path) -> None:
    put(tmp_path, "a.mp3")
    script = (
        "import sys, time; from pathlib import Path; from audiobooks.library.audio import Listener;"
        "listener = Listener(); listener.hear(Path(sys.argv[1]));"
        "print(listener._process.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script, tmp_path / "a.mp3"], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        decoder = Path("/proc", parent.stdout.readline().decode().strip())
        assert decoder.exists()
        parent.kill()
    deadline = time.monotonic() + 10
    while decoder.exists() and "Z" not in (decoder / "stat").read_text().rpartition(")")[2]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_decoder_without_a_parent_comes_to_an_end_with_any_file() -> None:
    script = (
        "import time; from audiobooks.library import audio;"
        "audio._ALONE = 1; audio.hear = lambda path: time.sleep(60); audio.main()"
    )
    done = subprocess.run([sys.executable, "-c", script], input=b'"a.mp3"\n', timeout=20, check=False)
    assert done.returncode == -signal.SIGALRM


def test_the_decoder_is_given_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAM_SESSION", "a-secret")
    put(tmp_path, "a.mp3")
    with Listener() as listener:
        listener.hear(tmp_path / "a.mp3")
        assert listener._process
        assert b"a-secret" not in Path(f"/proc/{listener._process.pid}/environ").read_bytes()


@pytest.mark.slow
def test_ten_hours_are_checked_in_seconds(tmp_path: Path) -> None:
    book = tmp_path / "The Glass Meridian"
    book.mkdir()
    with open(book / "a.mp3", "wb") as file:
        for _ in range(1800):
            file.write(clip("mp3", 20))
    with Listener() as listener:
        began = time.monotonic()
        found = check(book, replace(WANTED, facts=replace(WANTED.facts, runtime=36_000)), listener=listener)
        assert time.monotonic() - began < 15
        assert listener._process
        used = Path(f"/proc/{listener._process.pid}/status").read_text().partition("VmHWM:")[2].split()[0]
    assert found.verdict is Verdict.OK and abs(found.runtime - 36_000) < 360 and int(used) < 200_000


# --- the book -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "tags", "wanted", "expected"),
    [
        (["a.mp3"], {}, WANTED, set()),
        (["a.mp3"], {"album": "The Glass Meridian", "author": "I. Varga"}, WANTED, set()),
        (["a.mp3"], {"album": "Blackthorn House", "author": "Ilse Varga"}, WANTED, {Kind.BOOK}),
        (["a.mp3"], {"album": "The Glass Meridian", "author": "Tom Sawyer"}, WANTED, {Kind.BOOK}),
        (["a.mp3"], {"language": "deu"}, WANTED, {Kind.LANGUAGE}),
        (["a.mp3"], {"album": "The Glass Meridian (Summary)", "comment": "An analysis of The Glass Meridian"}, WANTED, set()),
        (["a.mp3", "b.mp3"], {}, WANTED, {Kind.RUNTIME}),
        (["a.mp3"], {"album": "The Glass Meridian (Abridged)"}, replace(WANTED, facts=replace(WANTED.facts, runtime=36)), {Kind.RUNTIME, Kind.ABRIDGED}),
        (["a.mp3"], {"album": "The Glass Meridian (Abridged)"}, WANTED, set()),
        (["a.mp3"], {"narrator": "Jo Banerjee"}, replace(WANTED, narrators=("Mara Quill",)), {Kind.NARRATOR}),
        (["a.mp3"], {"narrator": "Jo Banerjee"}, WANTED, set()),
        (["a.mp3"], {"narrator": "Jo Banerjee", "comment": "read by Mara Quill"}, replace(WANTED, narrators=("Mara Quill",)), set()),
        (["a.mp3"], {}, replace(WANTED, facts=replace(WANTED.facts, runtime=None)), {Kind.SAMPLE}),
        (["a.m4b"], {"asin": "B012345678", "album": "Elsewhere"}, replace(WANTED, facts=replace(WANTED.facts, asin="B012345678")), set()),
    ],
)  # fmt: skip
def test_single_traps(
    names: list[str], tags: dict[str, str], wanted: Wanted, expected: set[Kind], tmp_path: Path, listener: Listener
) -> None:
    found = check(put(tmp_path / "The Glass Meridian", *names, **tags), wanted, listener=listener)
    assert kinds(found) == expected, found.problems
    assert all(problem.sentence.endswith((".", "?")) for problem in found.problems)


@pytest.mark.parametrize(
    ("text", "says_nothing"),
    [
        ("Unknown Album", True), ("various  artists", True), ("New Folder (2)", True), ("Audio Books", True), ("audiobook", True),
        ("Track 07", True), ("CD 1 - 128 kbps", True), ("Spoken Word", True), ("Chapter 1984", True), ("no-title", True), ("", False),
        ("Albums", False), ("Unknown Artists' Club", False), ("The Book", False), ("New Folders", False), ("Track_07", False),
    ],
)  # fmt: skip
def test_words_of_the_trade_say_nothing(text: str, says_nothing: bool) -> None:
    assert bool(_NOTHING.fullmatch(text)) == says_nothing


@pytest.mark.parametrize(
    ("titles", "common"),
    [
        ("The Glass Meridian - Chapter 01|The Glass Meridian - Chapter 02", "The Glass Meridian"), ("Salt (CD 1)|Salt (CD 2)", "Salt"),
        ("Salt 1984 - 1|Salt 1984 - 2", "Salt 1984"), ("Salt_pt.1|Salt_pt.2", "Salt"), ("Chapter 1|Chapter 2", ""), ("Salt 101|Salt 102", "Salt"),
        ("Salt, Teil #1|Salt, Teil #2", "Salt"), ("Chapter, 1|Chapter, 2", "Chapter"), ("Salt 1\n|Salt 1\n2", "Salt"), ("One|", ""), ("One 1", "One 1"),
    ],
)  # fmt: skip
def test_titles_have_in_common_what_comes_before_the_number(titles: str, common: str) -> None:
    assert _common(titles.split("|")) == common


@pytest.mark.parametrize(
    "text",
    [
        "1", "- ", " ", "no ", "no title ", "unknown album ", "audio book ", "audiobook", "new folder ", "chapter", "chapter - ", "ch. 1 ", "#1_",
    ],
)  # fmt: skip
def test_no_name_takes_long_to_read(text: str) -> None:
    text = (text * 2_000)[:2_000]
    began = time.monotonic()
    assert not _NOTHING.fullmatch(text + "x")
    assert _common([f"{text}x1", f"{text}x2"]) == f"{text}x"
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        (["a.epub"], Kind.NO_AUDIO), ([], Kind.NO_AUDIO), (["a.jpg", "a.nfo"], Kind.NO_AUDIO), (["a.rar", "a.r00"], Kind.ARCHIVE),
        (["a.zip"], Kind.ARCHIVE), (["a.aax"], Kind.FORMAT), (["a.wma", "b.pdf"], Kind.FORMAT), ([".a.mp3"], Kind.NO_AUDIO),
    ],
)  # fmt: skip
def test_what_has_no_audio_is_wrong(files: list[str], kind: Kind, tmp_path: Path) -> None:
    for name in files:
        (tmp_path / name).write_bytes(b"x")
    found = check(tmp_path, WANTED)
    assert kinds(found) == {kind} and found.verdict is Verdict.WRONG


def test_what_the_torrent_names_has_to_be_there(tmp_path: Path, listener: Listener) -> None:
    tmp_path = put(tmp_path / "The Glass Meridian", "a.mp3")
    size = len(clip("mp3", 20))
    here = ExpectedFile("a.mp3", size)
    assert check(tmp_path, WANTED, expected=[here, ExpectedFile("x.nfo", 9)], listener=listener).verdict is Verdict.OK
    assert kinds(check(tmp_path, WANTED, expected=[here, ExpectedFile("b.mp3")], listener=listener)) == {Kind.MISSING}
    short = ExpectedFile("a.mp3", size + 1)
    assert kinds(check(tmp_path, WANTED, expected=[short], listener=listener)) == {Kind.BROKEN}
    alone = check(tmp_path / "a.mp3", WANTED, expected=[here], listener=listener)
    assert alone.verdict is Verdict.OK and alone.files[0].path == "a.mp3"


def test_a_check_can_be_kept(tmp_path: Path, listener: Listener) -> None:
    put(tmp_path, "a.mp3", album="The Glass Meridian")
    kept = json.loads(json.dumps(check(tmp_path, WANTED, listener=listener).as_json()))
    assert (kept["verdict"], kept["runtime"], kept["formats"]) == ("ok", 20, ["mp3"])
    assert kept["tags"]["album"] == "The Glass Meridian" and kept["files"][0]["path"] == "a.mp3"


def test_a_name_that_is_no_text_can_be_kept(tmp_path: Path, listener: Listener) -> None:
    folder = tmp_path / "The Glass Meridian"
    folder.mkdir()
    for name in (b"\xff\xfe1.mp3", b"\xff 2.mp3"):
        (folder / os.fsdecode(name)).write_bytes(b"<html>")
    found = check(folder, WANTED, listener=listener)
    assert kinds(found) == {Kind.BROKEN} and len(found.problems) == 2
    assert json.dumps(found.as_json(), ensure_ascii=False).encode()


def test_content_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        check(tmp_path / "nothing", WANTED)
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(OSError, match="is a link"):
        check(tmp_path / "link", WANTED)


@pytest.mark.parametrize(
    ("names", "tracks", "is_missing"),
    [
        ("01 02 03", "", False), ("01 02 04", "", True), ("02 03 04", "", True), ("00 01 02", "", False), ("10 11 12", "", False),
        ("01 02 04", "1 2 3", False), ("01 02 04", "1 2 4", True), ("a b c", "1/4 2/4 4/4", True), ("a b c", "1/5 2/5 3/5", True),
        ("a b c", "1 1 1", False), ("a b c", "", False), ("part1of3 part2of3", "", True), ("x_1_of_2 x_2_of_2", "", False),
        ("CD1/01 CD1/02 CD3/01", "", True), ("CD1/01 CD1/02 CD2/01", "", False), ("Chapter_1_1984 Chapter_2 Chapter_3", "", False),
        ("01-03 04-06 07-09", "", False), ("1 17 1984", "", False), ("Side_1 Side_2", "", False), ("01 02 03", "1/1 1/1 1/1", False),
    ],
)  # fmt: skip
def test_parts_are_missed_by_their_numbers(names: str, tracks: str, is_missing: bool) -> None:
    numbers = tracks.split() or [""] * len(names.split())
    files = [(f"{name}.mp3", FileTags(), {"track": track}) for name, track in zip(names.split(), numbers, strict=True)]
    assert bool(missing_parts(files, name="X", title="X")) == is_missing


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("The Glass Meridian", set()), ("Hörbuch, ungekürzt", {"de"}), ("lu par Jean", {"fr"}), ("Мастер и Маргарита", {"ru"}),
        ("Der Mann und das Haus sind nicht von hier und die Frau ist mit dem Kind den Weg zu Fuß gegangen", {"de"}),
        ("The man and the house that was in the valley is of no use to his wife and her child with the dog", {"en"}),
        ("Kapitel 1", {"de"}), ("Teil", set()), ("", set()),
    ],
)  # fmt: skip
def test_words_tell_their_language(text: str, codes: set[str]) -> None:
    assert (tongues_of(text) & codes if codes else not tongues_of(text)) or tongues_of(text) == codes
