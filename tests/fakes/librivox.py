"""LibriVox's feed and the parts of archive.org that are asked, with their faults on demand."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

from django.utils import timezone

from tests.audiobooks.outside import Outside, Reply, Seen

OUTAGE = b"<!DOCTYPE html><html><head><title>Database Error</title></head><body>Unable to connect</body></html>"


def project(
    number: int, title: str = "The Blue Harbour", author: str = "Nora Ferris", **changed: Any
) -> dict[str, Any]:
    """A row of the feed, finished unless `changed` says otherwise."""
    first, _, last = author.rpartition(" ")
    identifier = f"invented_{number}_librivox"
    return {
        **{"id": str(number), "title": title, "description": "<p>Invented.</p>", "language": "English"},
        **{"copyright_year": "1901", "num_sections": "2", "totaltime": "0:33:20", "totaltimesecs": 2000},
        "url_zip_file": f"https://archive.org/compress/{identifier}/formats=64KBPS MP3&file;=/{identifier}.zip",
        "url_librivox": f"http://librivox.org/invented-{number}/",
        "url_iarchive": f"http://www.archive.org/details/{identifier}",
        "authors": [{"id": "7", "first_name": first, "last_name": last, "dob": "1860", "dod": "1920"}],
        "sections": [
            {
                **{"id": str(each), "section_number": str(each), "title": f"Part {each}", "playtime": "1000"},
                "listen_url": f"http://archive.org/download/{identifier}/{each}_64kb.mp3",
                "readers": [{"reader_id": "9", "display_name": "Sam Oakes"}],
            }
            for each in (2, 1)
        ],
        "genres": [{"id": "1", "name": "Detective Fiction"}],
        **changed,
    }


def item_files(tracks: int = 2) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [{"name": "cover.jpg", "format": "JPEG", "size": "10"}]
    for each in range(tracks, 0, -1):
        for kind, suffix, length in (
            ("128Kbps MP3", ".mp3", "1204.33"),
            ("64Kbps MP3", "_64kb.mp3", "20:04"),
            ("Ogg Vorbis", ".ogg", ""),
        ):
            made.append(
                {
                    **{
                        "name": f"part #{each}{suffix}",
                        "format": kind,
                        "size": f"{each}000",
                        "track": f"{each}/{tracks}",
                    },
                    **{"md5": f"{each:032x}", "sha1": f"{each:040x}", "length": length},
                }
            )
    return made


@dataclass
class FakeLibriVox:
    """Everything may be changed while it runs. `url` is the feed, `archive_url` the archive.

    catalogued: number of a project -> when it was taken into the catalogue; of any other, when the feed is first asked with it.
    as_object: `books` is an object, as it was until 2017. ignores: parameters that it does not understand.
    audio: what files hold, by `identifier/name`; /download/ sends to another place for it, as the archive does.
    feed_reply, search_reply: an answer in place of any.
    """

    projects: list[dict[str, Any]] = field(default_factory=list)
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    docs: list[dict[str, Any]] = field(default_factory=list)
    catalogued: dict[str, datetime] = field(default_factory=dict)
    as_object: bool = False
    ignores: frozenset[str] = frozenset()
    audio: dict[str, bytes] = field(default_factory=dict)
    feed_reply: Reply | None = None
    search_reply: Reply | None = None

    def __enter__(self) -> Self:
        self.outside = Outside()
        self.outside.otherwise = self.answer
        self.outside.__enter__()
        self.url, self.archive_url = f"{self.outside.url}/api/feed/audiobooks", self.outside.url
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.outside.__exit__(kind, error, trace)

    def answer(self, seen: Seen) -> Reply:
        if seen.path == "/api/feed/audiobooks":
            return self.feed_reply or self.feed({k: v for k, v in seen.query.items() if k not in self.ignores})
        if seen.path == "/advancedsearch.php":
            return self.search_reply or Reply.of({"response": {"numFound": len(self.docs), "docs": self.docs}})
        if seen.path.startswith("/metadata/"):
            # Of what it does not have it says nothing.
            return Reply.of(self.items.get(seen.path.removeprefix("/metadata/"), {}))
        if seen.path.startswith("/download/"):
            return Reply(302, b"", {"Location": seen.path.replace("/download/", "/7/items/", 1)})
        if seen.path.startswith("/7/items/"):
            return self.file(unquote(seen.path.removeprefix("/7/items/")), seen.headers.get("range", ""))
        return Reply(404, b"<html>Not found</html>", {"Content-Type": "text/html"})

    def file(self, name: str, asked: str) -> Reply:
        if name not in self.audio:
            return Reply(404, b"<html>Not found</html>", {"Content-Type": "text/html"})
        data, headers = self.audio[name], {"Content-Type": "audio/mpeg", "ETag": f'"{len(self.audio[name])}"'}
        begins = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if not begins:
            return Reply(200, data, headers)
        headers["Content-Range"] = f"bytes {begins}-{len(data) - 1}/{len(data)}"
        return Reply(206, data[begins:], headers)

    def feed(self, query: dict[str, str]) -> Reply:
        for each in self.projects:
            self.catalogued.setdefault(each["id"], timezone.now())
        found = sorted(self.projects, key=lambda each: int(each["id"]), reverse=query.get("sort_order") == "desc")
        if title := query.get("title"):
            begins = title.removeprefix("^").lower()
            found = [each for each in found if re.sub("^(the|an?) ", "", each["title"].lower()).startswith(begins)]
        if author := query.get("author"):
            found = [each for each in found if each["authors"][0]["last_name"].lower() == author.lower()]
        if since := query.get("since"):
            found = [each for each in found if self.catalogued[each["id"]].timestamp() >= int(since)]
        offset = int(query.get("offset", 0))
        found = found[offset : offset + int(query.get("limit", 50))]
        if not found:
            return Reply.of({"error": "Audiobooks could not be found"}, 404)
        return Reply.of({"books": {str(at): each for at, each in enumerate(found)} if self.as_object else found})
