"""LibriVox's catalogue, whose recordings lie at the Internet Archive (https://archive.org/developers/): without an account."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from audiobooks.exceptions import Gone, HttpError, ProviderError, SourceError
from audiobooks.facts import BookFacts, Contributor
from audiobooks.http import Doorway, Pace
from audiobooks.matching.names import language_code, normalise, people, same_person, without_article
from audiobooks.matching.titles import parse_title
from audiobooks.metadata import librivox as catalogue
from audiobooks.metadata import reading
from audiobooks.sources.base import Page, Release, RemoteFile

# Of archive.org, which publishes no limit.
PACE = Pace(every=1.0, at_once=1)
SEARCH_FRESH_FOR = timedelta(hours=6)
# Its extended answers are costly to LibriVox.
PAGE = 50
MOST_PAGES = 1000
OVERLAP = 5
"""Rows that two pages share: what is removed meanwhile moves the others up, so that else some would be in neither."""
MOST_FILES = 5000
# "week" counts the last 7 days, "month" the last 30.
_WEEK = timedelta(days=10)

FORMATS = (
    *("128Kbps MP3", "64Kbps MP3", "VBR MP3", "MP3", "LibriVox Apple Audiobook", "Apple Audiobook"),
    *("Ogg Vorbis", "Flac", "24bit Flac", "32Kbps MP3", "Apple Lossless Audio"),
)
"""What archive.org calls the formats of audio, the best to have first."""

_BYTES_A_SECOND = 16_000
"""Of MP3 with 128 kbit/s: the feed tells no size, and this is the largest that is chosen by itself."""
SUBJECTS: dict[str, tuple[str, ...]] = {
    "Action & Adventure Fiction": ("adventure", "action"),
    "Biography & Autobiography": ("biography", "autobiography", "memoir", "memoirs"),
    "Children's Fiction": ("children", "children's fiction", "juvenile fiction"),
    "Comedy": ("comedy", "humor", "humour"),
    "Crime & Mystery Fiction": ("mystery", "detective", "crime", "mystery fiction", "detective fiction"),
    "Detective Fiction": ("detective", "detective fiction", "mystery"),
    "Drama": ("drama", "plays", "play"),
    "Fantastic Fiction": ("fantasy", "fantastic fiction"),
    "Fantasy Fiction": ("fantasy", "fantasy fiction"),
    "General Fiction": ("fiction", "general fiction", "novel"),
    "Ghost Stories": ("ghost stories", "ghosts", "ghost"),
    "Historical Fiction": ("historical fiction", "historical novel"),
    "History": ("history",),
    "Horror & Supernatural Fiction": ("horror", "supernatural", "gothic", "ghost stories"),
    "Humorous Fiction": ("humor", "humour", "humorous fiction", "satire"),
    "Literary Fiction": ("literature", "literary fiction", "classics"),
    "Myths, Legends & Fairy Tales": ("fairy tales", "folklore", "myths", "mythology", "legends"),
    "Nature & Animal Fiction": ("nature", "animals"),
    "Non-fiction": ("nonfiction", "non-fiction"),
    "Philosophy": ("philosophy",),
    "Poetry": ("poetry", "poems", "poem"),
    "Religion": ("religion", "christianity", "theology"),
    "Romance": ("romance", "love story", "love"),
    "Science": ("science", "natural history"),
    "Science Fiction": ("science fiction", "sci-fi", "scifi"),
    "Short Stories": ("short stories", "short story"),
    "Suspense, Espionage, Political & Thrillers": ("thriller", "suspense", "espionage", "spy"),
    "Travel & Geography": ("travel", "exploration", "geography"),
    "War & Military Fiction": ("war", "military"),
    "Westerns": ("western", "westerns"),
}
"""What the tags of archive.org, which anybody makes, are for a genre of LibriVox. Any other genre is its own tag."""


@dataclass(frozen=True, kw_only=True)
class ItemFile:
    """`name` is a path within the item. length: seconds. Empty and None are unknown."""

    name: str
    size: int | None = None
    md5: str = ""
    sha1: str = ""
    format: str = ""
    length: float | None = None


class LibriVox:
    """A release is an item of archive.org: its identifier is `id` and `fetch`.

    url: of the feed of audiobooks; archive_url: of the Internet Archive.
    """

    name = "librivox"
    label = "LibriVox"
    by_torrent = False

    def __init__(self, *, url: str, archive_url: str) -> None:
        self._url, self._archive = url, archive_url.rstrip("/")

    def search(self, http: Doorway, wanted: BookFacts, *, limit: int = 50) -> tuple[Release, ...]:
        found: dict[str, Release] = {}
        for title in dict.fromkeys((wanted.title.strip(), parse_title(wanted.title).title if wanted.title else "")):
            params = catalogue.asking_for(title, wanted.author_names)
            if params is None or found:
                continue
            rows = self._rows(http, {**params, "limit": str(min(limit, PAGE))}, fresh_for=SEARCH_FRESH_FOR)
            for release in _releases(rows):
                # It ignores what it does not understand, and gives the beginning of the list.
                if _is_asked_for(release.facts, title, wanted.author_names):
                    found.setdefault(release.id, release)
        return tuple(found.values())[:limit]

    def newest(self, http: Doorway, cursor: str = "") -> Page:
        """By the number of the project, which it has long before it is finished. Some come twice: two pages overlap."""
        return self.newest_since(http, cursor, since=None)

    def newest_since(self, http: Doorway, cursor: str = "", *, since: date | None) -> Page:
        """`since`: of the day on which LibriVox took it into its catalogue."""
        at = re.fullmatch(r"([0-9]{1,7})\.([0-9]{1,7})\.([0-9]{1,9}|-)", cursor)
        offset, known, first = (int(at[1]), int(at[2]), at[3]) if at else (0, 0, "")
        params = {"limit": str(PAGE), "offset": str(offset), "sort_field": "id", "sort_order": "desc"}
        if since is not None:
            # Its days end at another hour than ours.
            moment = datetime.combine(since - timedelta(days=1), time(), UTC)
            params["since"] = str(max(0, int(moment.timestamp())))
        rows = self._rows(http, params, fresh_for=None)
        begins = reading.text(rows[0].get("id")) if rows else ""
        begins = begins if re.fullmatch(r"[0-9]{1,9}", begins) else "-"
        through = offset + len(rows)
        following = ""
        # Where it is the same page once more, it takes no offset.
        if known < through < PAGE * MOST_PAGES and (begins != first or begins == "-"):
            following = f"{through - min(OVERLAP, len(rows) // 2)}.{through}.{begins}"
        releases = tuple(_releases(rows))
        return Page(releases=releases, rows=len(rows), cursor=following, unread=_unread(rows))

    def popular(self, http: Doorway, genre: str, *, since: date, limit: int = 10) -> tuple[Release, ...]:
        """By how often archive.org showed them in the last week, or month where `since` is longer ago."""
        is_week = datetime.now(UTC).date() - since <= _WEEK
        subjects = " OR ".join(f"subject:{_quoted(each)}" for each in SUBJECTS.get(genre, (genre,)))
        query = f"collection:librivoxaudio AND mediatype:audio AND ({subjects})"
        fields = ("identifier", "title", "creator", "subject", "language", "downloads", "week", "month", "item_size")
        asked = [
            ("q", query),
            *(("fl[]", each) for each in (*fields, "runtime", "publicdate", "description")),
            ("sort[]", "week desc" if is_week else "month desc"),
            *(("rows", str(limit)), ("page", "1"), ("output", "json")),
        ]
        url = f"{self._archive}/advancedsearch.php?{urlencode(asked)}"
        data = reading.mapping(http.get_json(url, pace=PACE).data)
        response = data.get("response")
        if not isinstance(response, dict) or not isinstance(response.get("docs"), list):
            said = reading.text(data.get("error"))[:200] or "no list"
            raise SourceError(f"archive.org answered a search with: {said}.")
        found = (release_of(each) for each in reading.mappings(response["docs"]))
        return tuple({each.id: each for each in found if each}.values())[:limit]

    def look_again(self, http: Doorway, release: Release) -> Release | None:
        """As the archive has it: its files, and that it gives them. What is told of the recording stays as it is."""
        try:
            files = self.files(http, release.id)
        except Gone:
            return None
        sizes = [file.size for file in files if file.size is not None]
        return replace(
            release,
            size=sum(sizes) if len(sizes) == len(files) else None,
            files=len(files),
            formats=reading.each_once(file.name.rpartition(".")[2].lower() for file in files),
            fetch=release.id,
        )

    def content(self, http: Doorway, release: Release) -> tuple[RemoteFile, ...]:
        return tuple(
            RemoteFile(
                name=file.name,
                url=self.file_url(release.id, file.name),
                size=file.size,
                md5=file.md5,
                sha1=file.sha1,
            )
            for file in self.files(http, release.id)
        )

    def files(self, http: Doorway, identifier: str, *, formats: Sequence[str] = FORMATS) -> tuple[ItemFile, ...]:
        """The recording in one format, in its order: the first of `formats` that has all of it.

        Raises Gone: archive.org has no such item, shows it to nobody, or has no audio of it.
        """
        if not _is_identifier(identifier):
            raise Gone(f"“{identifier[:100]}” is no item of archive.org.", permanent=True)
        try:
            data = http.get_json(f"{self._archive}/metadata/{identifier}", pace=PACE).data
        except HttpError as error:
            if error.status == 404:
                raise Gone(f"archive.org has no item {identifier}.", permanent=True) from None
            raise
        if not isinstance(data, dict):
            raise SourceError(f"archive.org describes {identifier} in no way that is known.")
        # So it says that it knows none.
        if not data:
            raise Gone(f"archive.org has no item {identifier}.", permanent=True)
        if data.get("error") and not data.get("files"):
            raise SourceError(f"archive.org says of {identifier}: {reading.text(data['error'])[:200]}.")
        if data.get("is_dark") or data.get("nodownload"):
            raise Gone(f"archive.org gives {identifier} to nobody.", permanent=True)
        chosen = pick(data.get("files"), formats)
        if not chosen:
            raise Gone(f"{identifier} of archive.org holds no audio that may be fetched.", permanent=True)
        return chosen

    def file_url(self, identifier: str, name: str) -> str:
        """It redirects to another host of archive.org, which is not to be kept."""
        return f"{self._archive}/download/{identifier}/{quote(name)}"

    def _rows(self, http: Doorway, params: dict[str, str], *, fresh_for: timedelta | None) -> list[dict[str, Any]]:
        try:
            return catalogue.rows(http, self._url, params, fresh_for=fresh_for)
        except ProviderError as error:
            raise SourceError(str(error), permanent=error.permanent) from error


# -- the catalogue


def _releases(rows: Iterable[dict[str, Any]]) -> list[Release]:
    return [release for row in rows if (release := parse(row))]


def _unread(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return next((_without_sections(row) for row in rows if parse(row) is None), {})


def _without_sections(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "sections"}


def parse(row: dict[str, Any]) -> Release | None:
    """None of a project that is not finished. Of many finished ones it has lost where the sections lie."""
    facts = catalogue.parse(row)
    sections = reading.mappings(row.get("sections"))
    identifier = _identifier_in(row.get("url_iarchive"))
    page = reading.https(row.get("url_librivox"))
    # The address of the zip may have a blank in it.
    if facts is None or not identifier or not page or not reading.text(row.get("url_zip_file")) or not sections:
        return None
    return Release(
        source=LibriVox.name,
        id=identifier,
        name=_name(facts),
        facts=facts,
        size=None if facts.runtime is None else facts.runtime * _BYTES_A_SECOND,
        files=len(sections),
        free=True,
        genres=facts.genres,
        formats=("mp3",),
        bitrate=64,
        link=page,
        fetch=identifier,
        raw=_without_sections(row),
    )


def _name(facts: BookFacts) -> str:
    return f"{facts.title} by {', '.join(facts.author_names)}" if facts.authors else facts.title


def _identifier_in(url: Any) -> str:
    found = re.search(r"archive\.org/(?:details|download)/([^/?#\s]+)", url) if isinstance(url, str) else None
    return found[1] if found and _is_identifier(found[1]) else ""


def _is_identifier(text: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,200}", text))


def _is_asked_for(facts: BookFacts, title: str, authors: tuple[str, ...]) -> bool:
    asked = without_article(tuple(normalise(title).split()))
    if not set(asked) <= set(normalise(f"{facts.title} {facts.subtitle}").split()):
        return False
    ours, theirs = people(authors[:1]), people(facts.author_names)
    return not ours or not theirs or any(same_person(a, b) >= 0.7 for a in ours for b in theirs)


# -- the archive


def release_of(doc: dict[str, Any]) -> Release | None:
    """A hit of archive.org's search, any field of which may be missing, one value or a list. None without identifier or title."""
    identifier, title = _first(doc.get("identifier")), _first(doc.get("title"))
    if not _is_identifier(identifier) or not title:
        return None
    # "Ferris, Nora" as well as "Nora Ferris".
    creators = reading.each_once(" ".join(reversed(each.split(", ", 1))) for each in reading.texts(doc.get("creator")))
    subjects = reading.each_once(part.strip() for each in reading.texts(doc.get("subject")) for part in each.split(";"))
    facts = BookFacts(
        source=LibriVox.name,
        title=title,
        authors=tuple(Contributor(name=each) for each in creators if normalise(each) != "librivox volunteers"),
        genres=tuple(
            each for each in subjects if each.lower() not in ("librivox", "audiobook", "audiobooks", "audio book")
        ),
        description=reading.plain("\n".join(reading.texts(doc.get("description")))),
        language=language_code(_first(doc.get("language"))),
        runtime=_seconds(_first(doc.get("runtime"))),
        is_audio=True,
    )
    return Release(
        source=LibriVox.name,
        id=identifier,
        name=_name(facts),
        facts=facts,
        size=_count(doc.get("item_size")),
        fetched=_count(doc.get("downloads")),
        added=_moment(_first(doc.get("publicdate"))),
        free=True,
        genres=facts.genres,
        link=f"https://archive.org/details/{identifier}",
        fetch=identifier,
        raw=dict(doc),
    )


def pick(files: Any, formats: Sequence[str] = FORMATS) -> tuple[ItemFile, ...]:
    """Of one format, which has as many files as any that is in parts; `files` is a list, or by path as it once was."""
    if isinstance(files, dict):
        files = [{**each, "name": name.lstrip("/")} for name, each in files.items() if isinstance(each, dict)]
    by_format: dict[str, list[tuple[tuple[Any, ...], ItemFile]]] = {}
    for row in reading.mappings(files)[:MOST_FILES]:
        kind = reading.text(row.get("format"))
        file = _file(row, kind) if kind in formats else None
        if file is not None:
            by_format.setdefault(kind, []).append((_order(row, file.name), file))
    whole = max((len(found) for found in by_format.values()), default=0)
    for kind in formats:
        found = by_format.get(kind, [])
        # One book in one file, or a few, is whole too.
        if found and (len(found) == whole or kind.endswith("Apple Audiobook")):
            return tuple(file for _, file in sorted(found, key=lambda each: each[0]))
    return ()


def _file(row: dict[str, Any], kind: str) -> ItemFile | None:
    """None where it is private, or its name would lead out of a folder."""
    name = row.get("name")
    if reading.text(row.get("private")).lower() in ("true", "1", "yes") or row.get("private") is True:
        return None
    if not isinstance(name, str) or not name.isprintable() or "\\" in name:
        return None
    if any(step in ("", ".", "..") for step in name.split("/")):
        return None
    return ItemFile(
        name=name,
        size=_count(row.get("size")),
        md5=_digest(row.get("md5"), 32),
        sha1=_digest(row.get("sha1"), 40),
        format=kind,
        length=_length(reading.text(row.get("length"))),
    )


def _order(row: dict[str, Any], name: str) -> tuple[Any, ...]:
    """By names, whose numbers count: tracks are wrong too often, and begin again with every part."""
    return tuple(
        (1, int(each), "") if each.isascii() and each.isdigit() else (2, 0, each)
        for each in re.split(r"([0-9]{1,9})", name.casefold())
        if each
    ), name


def _first(value: Any) -> str:
    return next(iter(reading.texts(value)), "")


def _count(value: Any) -> int | None:
    text = _first(value)
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _digest(value: Any, length: int) -> str:
    text = reading.text(value).lower()
    return text if re.fullmatch(rf"[0-9a-f]{{{length}}}", text) else ""


def _length(text: str) -> float | None:
    """Of "1204.33" or "20:04" or "1:20:04"; zero is unknown."""
    if re.fullmatch(r"[0-9]{1,7}(?:\.[0-9]{1,9})?", text):
        return float(text) or None
    if re.fullmatch(r"(?:[0-9]{1,3}:)?[0-9]{1,4}:[0-9]{2}(?:\.[0-9]{1,3})?", text):
        seconds = 0.0
        for each in text.split(":"):
            seconds = seconds * 60 + float(each)
        return seconds or None
    return None


def _seconds(text: str) -> int | None:
    length = _length(text)
    return None if length is None else round(length) or None


def _moment(text: str) -> datetime | None:
    found = re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?=Z|$)", text)
    try:
        return datetime.fromisoformat(found[0]).replace(tzinfo=UTC) if found else None
    except ValueError:
        return None


def _quoted(text: str) -> str:
    """For Lucene."""
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
