"""What is in an audio file, found by playing some of it. Decodes by PyAV, whose wheels bring FFmpeg's libraries (BSD).

What was fetched may be broken or made to harm, and FFmpeg is a large program in C: so it runs in a process of its own,
without our environment, that may write no file and is ended when a file takes too long.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Self

import av
from av.audio.stream import AudioStream
from av.container import InputContainer

from .base import FileTags, FileUnavailable, UnreadableFile
from .tags import MOST_HOURS, read_tags

SECONDS = 60.0
"""That one file may take, and once more where it is tried again; a whole book of ten hours takes one or two."""
_ALONE = round(SECONDS) + 10
"""Seconds after which the process ends on its own: its parent, which would have ended it before, is gone."""
_FROM_OUTSIDE = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
"""Sent to all processes of a service or a terminal at once. What goes on here is for the parent to decide."""
PLACES = (0.0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9)
"""Shares of the file at which it is played, its end besides."""
PLAYED = 1.0
"""Seconds that are played at each."""
HOLE = 16 * 1024
"""Bytes of zeros in a row that no encoder writes: the blocks in which torrents are fetched are as long."""
MOST_MEMORY = 2 * 1024**3
_STEP = HOLE // 2
_TEXT = 500
_TAGS = {"artist", "comment", "description", "synopsis", "genre", "track", "disc", "title", "album"}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """kind: `unreadable` (it was not got at, or not played: nothing is known of it), `broken`, `cut` (its end is missing) or `hole`.

    text: goes on after the file's name.
    """

    kind: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Sound:
    """duration: seconds; bitrate: kbit/s; codec, language: as FFmpeg names them; said: tags that FileTags leaves out."""

    size: int = 0
    duration: float = 0.0
    bitrate: int = 0
    codec: str = ""
    language: str = ""
    chapters: int = 0
    tags: FileTags = field(default_factory=FileTags)
    said: dict[str, str] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    def as_json(self) -> dict[str, Any]:
        fields = {name: value for name, value in asdict(self).items() if value}
        return {**fields, "tags": self.tags.as_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Sound:
        fields = dict(data)
        fields["tags"] = FileTags.from_json(fields["tags"])
        fields["faults"] = tuple(Fault(**each) for each in fields.get("faults", ()))
        return cls(**fields)


COMMAND = (sys.executable, "-B", "-m", __name__)
"""Runs `main`."""


class Listener:
    """The process that plays files, one after the other. Use it as a context manager; it starts with the first file."""

    def __init__(self, *, seconds: float = SECONDS, command: Sequence[str] = COMMAND) -> None:
        self._seconds = seconds
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._end()

    def hear(self, path: Path) -> Sound:
        """Never fails: what is wrong with the file is among its faults."""
        found = self._tried(path)
        if isinstance(found, Fault):
            # It need not be of the file: a disk may have slept, and the system ends what is large when memory is short.
            found = self._tried(path)
        return Sound(faults=(found,)) if isinstance(found, Fault) else found

    def _tried(self, path: Path) -> Sound | Fault:
        """The fault is that the process came to no answer."""
        process = self._process or self._start()
        assert process.stdin and process.stdout
        try:
            process.stdin.write(json.dumps(os.fspath(path)).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass  # It ended, which the answer shows.
        answer = self._answer(process.stdout)
        if answer.endswith(b"\n"):
            return Sound.from_json(json.loads(answer))
        self._end()
        # SIGKILL may have been ours, of one that took too long; a decoder that fails ends by other signals, or by itself.
        if -process.returncode in (*_FROM_OUTSIDE, signal.SIGKILL):
            text = "could not be played: that took too long (is its disk slow?), or was ended from outside"
            return Fault(kind="unreadable", text=text)
        return Fault(kind="broken", text="cannot be played: the decoder failed on it")

    def _answer(self, pipe: Any) -> bytes:
        """One line; without its end where the process died or took too long."""
        deadline = time.monotonic() + self._seconds
        answer = b""
        while not answer.endswith(b"\n"):
            ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            part = os.read(pipe.fileno(), 65536) if ready else b""
            if not part:
                break
            answer += part
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        root = str(Path(__file__).resolve().parents[2])
        kept = {name: value for name in ("PATH", "LD_LIBRARY_PATH") if (value := os.environ.get(name))}
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=root,
            env=kept,
        )
        return self._process

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):
                assert pipe
                pipe.close()
        self._process = None


def main() -> None:
    """The other end of Listener: a path as JSON on each line, a Sound as JSON for each."""
    for limit, most in (
        (resource.RLIMIT_AS, MOST_MEMORY),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    for number in _FROM_OUTSIDE:
        signal.signal(number, signal.SIG_IGN)
    av.logging.set_level(av.logging.PANIC)
    for line in sys.stdin.buffer:
        signal.alarm(_ALONE)
        sound = hear(Path(json.loads(line)))
        sys.stdout.buffer.write(json.dumps(sound.as_json()).encode() + b"\n")
        sys.stdout.buffer.flush()
        signal.alarm(0)


# --- one file -----------------------------------------------------------------------------------------------------


class _Fault(Exception):
    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.fault = Fault(kind=kind, text=text)


def hear(path: Path) -> Sound:
    """In this process; see Listener."""
    size = 0
    try:
        with _opened(path) as file:
            size = os.fstat(file.fileno()).st_size
            kind = _kind(file)
            found = _played(file, kind)
            faults = [*_structure(file, kind, size), *found.faults]
            duration = found.duration
    except OSError as error:
        text = f"cannot be read ({error.strerror or error})"
        return Sound(size=size, faults=(Fault(kind="unreadable", text=text),))
    except _Fault as error:
        return Sound(size=size, faults=(error.fault,))
    try:
        tags = read_tags(path)
    except (UnreadableFile, FileUnavailable):
        tags = FileTags()
    return Sound(
        size=size,
        duration=duration,
        bitrate=round(size * 8 / duration / 1000) if duration else 0,
        codec=found.codec,
        language=found.language,
        chapters=found.chapters,
        tags=tags,
        said=found.said,
        faults=tuple({fault.kind: fault for fault in reversed(faults)}.values()),
    )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    # A pipe would be waited for, and a link may lead anywhere.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is no file")
        yield file


def _kind(file: BinaryIO) -> str:
    """FFmpeg's name of the container. It is told that, since left to guess it also opens lists that name other files."""
    start = _audio_start(file)
    file.seek(start)
    first = file.read(16)
    if first[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"):
        return "mov"
    if first[:4] in (b"fLaC", b"OggS"):
        return {b"fLaC": "flac", b"OggS": "ogg"}[first[:4]]
    if len(first) > 2 and first[0] == 0xFF and first[1] & 0xF6 == 0xF0:
        return "aac"
    if start or (len(first) > 2 and first[0] == 0xFF and first[1] & 0xE0 == 0xE0):
        return "mp3"
    if not first.strip(b"\0"):
        raise _Fault("hole" if os.fstat(file.fileno()).st_size else "broken", "has no content: its beginning is empty")
    # Some have a few bytes before the first frame.
    file.seek(0)
    if b"\xff\xfb" in file.read(8192):
        return "mp3"
    raise _Fault("broken", "is no audio file, whatever its name says")


def _audio_start(file: BinaryIO) -> int:
    """Behind the ID3 tags."""
    start = 0
    for _ in range(8):
        file.seek(start)
        head = file.read(10)
        if head[:3] != b"ID3" or len(head) < 10 or any(byte & 0x80 for byte in head[6:10]):
            break
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        start += 10 + size + (10 if head[5] & 0x10 else 0)
    return start


@dataclass
class _Played:
    codec: str
    language: str
    duration: float = 0.0
    chapters: int = 0
    said: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def _played(file: BinaryIO, kind: str) -> _Played:
    file.seek(0)
    try:
        with av.open(file, "r", format=kind, metadata_errors="replace") as container:
            if not container.streams.audio:
                raise _Fault("broken", "has no audio in it")
            stream = container.streams.audio[0]
            found = _Played(codec=stream.codec_context.name, language=stream.language or "")
            found.chapters = len(container.chapters())
            said = {name.lower(): value for name, value in {**stream.metadata, **container.metadata}.items()}
            found.said = {name: str(said[name])[:_TEXT] for name in sorted(_TAGS & said.keys())}
            _play(container, stream, found)
            # Times in an MP3 are guessed behind a seek; its header is asked instead.
            if kind != "mp3":
                _look_at_end(container, stream, found)
    except (av.FFmpegError, ValueError, OverflowError, UnicodeDecodeError) as error:
        text = "cannot be played: its index is missing" if kind == "mov" else "cannot be played: it is damaged"
        raise _Fault("broken", text) from error
    if kind == "mp3":
        found.duration = _measured(file) or found.duration
    return found


def _play(container: InputContainer, stream: AudioStream, found: _Played) -> None:
    found.duration = duration = _duration(container, stream)
    if duration > MOST_HOURS * 3600:
        raise _Fault("broken", f"says that it is longer than {MOST_HOURS} hours")
    silent = True
    wrong = []
    for share in PLACES:
        heard = _heard_at(container, stream, share * duration, PLAYED)
        silent = silent and heard.silent
        if not heard.frames:
            wrong.append(share)
    if len(wrong) == len(PLACES):
        raise _Fault("broken", "cannot be played: none of it can be decoded")
    if wrong:
        places = ", ".join(_clock(share * duration) for share in wrong[:3])
        found.faults.append(Fault(kind="broken", text=f"cannot be played at {places}"))
    if silent and duration > PLAYED:
        found.faults.append(Fault(kind="broken", text="is silent wherever it was played"))


def _look_at_end(container: InputContainer, stream: AudioStream, found: _Played) -> None:
    duration = found.duration
    end = _heard_at(container, stream, max(0.0, duration - 4), None).end
    if duration and end < duration - max(0.02 * duration, 1.0):
        found.faults.append(Fault(kind="cut", text=f"says that it lasts {_clock(duration)}, but ends at {_clock(end)}"))


def _duration(container: InputContainer, stream: AudioStream) -> float:
    if stream.duration is not None and stream.time_base:
        return max(0.0, float(stream.duration * stream.time_base))
    return max(0.0, (container.duration or 0) / av.time_base)


@dataclass
class _Heard:
    frames: int = 0
    end: float = 0.0
    silent: bool = True


def _heard_at(container: InputContainer, stream: AudioStream, start: float, seconds: float | None) -> _Heard:
    """Played for so long, or to the end. A packet that cannot be decoded is left out."""
    heard = _Heard()
    try:
        container.seek(int(start * av.time_base))
        for packet in container.demux(stream):
            if packet.pts is not None and packet.time_base:
                heard.end = max(heard.end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            try:
                frames = packet.decode()
            except av.FFmpegError:
                frames = []
            for frame in frames:
                heard.frames += 1
                heard.silent = heard.silent and not any(bytes(plane).strip(b"\0") for plane in frame.planes)
            if seconds is not None and heard.frames and heard.end > start + seconds:
                break
            if seconds is not None and heard.end > start + 20 * seconds:
                break
    except av.FFmpegError:
        pass  # What was heard until then counts.
    return heard


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


# --- how long an MP3 is -------------------------------------------------------------------------------------------

_LOOKS = 2_000
"""Places of an MP3 whose frames are measured where no header says how long it is: enough for one percent of a variable rate."""
_KBITS = {
    True: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Of layer III by the bits of a frame's header, of MPEG 1 and of MPEG 2 (ISO/IEC 11172-3, 13818-3)."""
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def _xing(file: BinaryIO) -> int | None:
    """The bytes of audio by the header that encoders write first, None where there is none."""
    file.seek(_audio_start(file))
    first = file.read(4096)
    at = max(first.find(b"Xing"), first.find(b"Info"))
    if at < 0 or len(first) < at + 16 or not first[at + 7] & 2:
        return None
    after = at + 8 + (4 if first[at + 7] & 1 else 0)
    return int.from_bytes(first[after : after + 4]) or None


def _measured(file: BinaryIO) -> float | None:
    """Seconds of a file without that header, or glued from several of which it is the first's; None where it tells.

    FFmpeg would take the first frame for all, and to count them takes half a minute.
    """
    start, size = _audio_start(file), os.fstat(file.fileno()).st_size
    said = _xing(file)
    if said is not None and said > 0.9 * (size - start):
        return None
    step = max(1, (size - start) // _LOOKS)
    found = [each for at in range(start, size, step) if (each := _pace_at(file.fileno(), at))]
    return (size - start) * sum(found) / len(found) if found else None


def _pace_at(descriptor: int, at: int) -> float | None:
    """Seconds a byte of the frames behind that place, from the first on that another of its kind follows."""
    data = os.pread(descriptor, 8192, at)
    place = data.find(b"\xff")
    while 0 <= place < len(data) - 4:
        kind, start, seconds = data[place : place + 2], place, 0.0
        while data[place : place + 2] == kind and (frame := _frame(data[place : place + 4])):
            place, seconds = place + frame[0], seconds + frame[1]
        if place > len(data) - 4 or (seconds and data[place : place + 2] == kind):
            return seconds / (place - start)
        place = data.find(b"\xff", start + 1)
    return None


def _frame(head: bytes) -> tuple[int, float] | None:
    """Bytes and seconds of a frame of layer III."""
    if len(head) < 4:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    kbits, rate = head[2] >> 4, head[2] >> 2 & 3
    if head[1] & 0xE0 != 0xE0 or version == 1 or layer != 1 or kbits in (0, 15) or rate == 3:
        return None
    hertz, samples = _RATES[version][rate], 1152 if version == 3 else 576
    bits = _KBITS[version == 3][kbits - 1] * 1000
    return samples // 8 * bits // hertz + (head[2] >> 1 & 1), samples / hertz


# --- how the file is built ----------------------------------------------------------------------------------------


def _structure(file: BinaryIO, kind: str, size: int) -> Iterator[Fault]:
    ranges = [(_audio_start(file), size)]
    if kind == "mov":
        ranges, is_whole = _media(file, size)
        if not is_whole:
            yield Fault(kind="cut", text="is cut off: it is shorter than it says")
    if kind == "flac":
        ranges = [(_behind_flac_metadata(file), size)]
    if kind == "mp3" and (said := _xing(file)) and said - (size - ranges[0][0]) > max(0.01 * said, 4096):
        yield Fault(kind="cut", text="is cut off: it is shorter than it says")
    if kind == "ogg" and not _ends_with_page(file, size):
        yield Fault(kind="cut", text="is cut off in the middle of a page")
    if hole := next((found for start, end in ranges if (found := _hole(file, start, end))), None):
        yield Fault(kind="hole", text=f"has a hole: {hole[1] // 1024} KiB of it are empty from byte {hole[0]} on")


def _media(file: BinaryIO, size: int) -> tuple[list[tuple[int, int]], bool]:
    """Where the media of an MP4 lies, and whether the file is as long as its boxes say (ISO/IEC 14496-12, 4.2)."""
    ranges, at = [], 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, name = int.from_bytes(head[:4]), head[4:8]
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:16])
        if length == 0:
            length = size - at
        if length < 8:
            break
        if name == b"mdat":
            ranges.append((at + 16, min(at + length, size)))
        at += length
    return ranges, at <= size


def _behind_flac_metadata(file: BinaryIO) -> int:
    at, is_last = _audio_start(file) + 4, False
    while not is_last:
        file.seek(at)
        head = file.read(4)
        if len(head) < 4:
            break
        is_last, at = bool(head[0] & 0x80), at + 4 + int.from_bytes(head[1:4])
    return at


def _ends_with_page(file: BinaryIO, size: int) -> bool:
    """Whether the last page of an Ogg file is whole (RFC 3533, 6)."""
    file.seek(max(0, size - 128 * 1024))
    tail = file.read()
    at = tail.rfind(b"OggS")
    if at < 0 or len(tail) < at + 27:
        return False
    segments = tail[at + 27 : at + 27 + tail[at + 26]]
    return len(segments) == tail[at + 26] and len(tail) >= at + 27 + len(segments) + sum(segments)


def _hole(file: BinaryIO, start: int, end: int) -> tuple[int, int] | None:
    """Place and bytes of the first run of zeros of at least HOLE bytes. Looks at a few bytes of each step, so it is quick."""
    descriptor = file.fileno()
    at = start
    while at < end:
        if not os.pread(descriptor, 32, at).strip(b"\0") and (run := _zeros(descriptor, at, start, end))[1] >= HOLE:
            return run
        at += _STEP
    return None


def _zeros(descriptor: int, at: int, start: int, end: int) -> tuple[int, int]:
    low = max(start, at - _STEP)
    before = os.pread(descriptor, at - low, low)
    first = low + len(before.rstrip(b"\0"))
    last = at
    while last < end:
        part = os.pread(descriptor, min(1024**2, end - last), last)
        kept = len(part) - len(part.lstrip(b"\0"))
        last += kept
        if kept < len(part) or not part:
            break
    return first, last - first


if __name__ == "__main__":
    main()
