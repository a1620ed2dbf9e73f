"""What a source of releases is to the rest. It is given a doorway, and knows no database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol, runtime_checkable

from audiobooks.facts import BookFacts
from audiobooks.http import Doorway


@dataclass(frozen=True, kw_only=True)
class Release:
    """One offer: a recording that can be fetched. Empty, None and () are unknown.

    source: the name of the source; id: its own identifier of the release.
    name: as the source writes it. facts: what it says of the book, parsed from fields or, where there are none, the name.
    size: bytes. files: how many.
    added: when the source got it. uploaded by nobody we keep.
    free: whether fetching it costs nothing of a ratio now; None also where that depends on what is not known of the member.
    counts: of a source without account, whether the tracker behind it counts what a member fetches, as far as that is said.
    genres: the source's own names of its categories. formats: such as m4b. bitrate: kbit/s.
    link: the page of the release for people; without secrets. fetch: what `Source` needs to fetch it; without secrets, and
        empty where that is not enough without them, so that the source is asked for it again.
    hash: the info hash in lower case, where the source names it.
    raw: the answer's own row, secrets removed.
    """

    source: str
    id: str
    name: str
    facts: BookFacts
    size: int | None = None
    files: int | None = None
    seeders: int | None = None
    leechers: int | None = None
    fetched: int | None = None
    added: datetime | None = None
    free: bool | None = None
    counts: bool | None = None
    genres: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    bitrate: int | None = None
    link: str = ""
    fetch: str = ""
    hash: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Page:
    """Part of a listing. `cursor` asks for the next part, empty at the end; it is the source's own. `rows` of the answer, of which `releases` could be read.

    has_more: whether the source says that there are rows behind these; without, what `cursor` asks for may be empty. With it
        and no cursor, the source lists no further.
    unread: the first row that could not be read, secrets removed; {} where there is none.
    """

    releases: tuple[Release, ...]
    rows: int
    cursor: str = ""
    has_more: bool = False
    unread: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Account:
    """Of a member: what limits fetching. None is unknown; a ratio may be infinite."""

    name: str = ""
    grade: str = ""
    ratio: float | None = None
    uploaded: int | None = None
    downloaded: int | None = None
    unsatisfied: int | None = None
    unsatisfied_limit: int | None = None
    wedges: int | None = None
    points: int | None = None


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file that is fetched by HTTP. `name` may hold folders; `size` in bytes; checksums in lower-case hex.

    url: made by the source of its own configured address, so that it may lead into our own network.
    """

    name: str
    url: str
    size: int | None = None
    md5: str = ""
    sha1: str = ""


Content = bytes | str | tuple[RemoteFile, ...]
"""What a release is fetched by: a torrent file, a magnet link, or files. The first two may hold a passkey: secrets."""


class Source(Protocol):
    """ "Nothing found" is an empty page; whatever is no answer is a ServiceError.

    name: as settings have it; label: for people. by_torrent: what it gives goes to a torrent client.
    """

    name: str
    label: str
    by_torrent: bool

    def search(self, http: Doorway, wanted: BookFacts, *, limit: int = 50) -> tuple[Release, ...]:
        """Audiobooks that may be the book that title and authors describe."""

    def newest(self, http: Doorway, cursor: str = "") -> Page:
        """Audiobooks, the newest first. A cursor that the source has not made is the beginning."""

    def popular(self, http: Doorway, genre: str, *, since: date, limit: int = 10) -> tuple[Release, ...]:
        """The most fetched audiobooks of one of the source's own genres since that day, as nearly as the source can tell; () where it cannot."""

    def look_again(self, http: Doorway, release: Release) -> Release | None:
        """The same release as it is offered now, from the source itself and no copy; None where it is gone.

        Of `release` its identifier, name and facts are looked at.
        """

    def content(self, http: Doorway, release: Release) -> Content:
        """What it is fetched by. May count as fetched with the source, so it is asked for once the client is ready.

        Raises:
            Gone, Refused: it is not given, which is not tried again as it is.
        """


@runtime_checkable
class ListedByDay(Protocol):
    """A source whose list is not in the order of time, so that what is new may be anywhere in it, but is cut by day."""

    def newest_since(self, http: Doorway, cursor: str = "", *, since: date | None) -> Page:
        """What came on that day or later; all where it is None. With a cursor it has to be the day of the first page."""


@runtime_checkable
class HasAccount(Source, Protocol):
    """A source for members."""

    def account(self, http: Doorway) -> Account:
        """Of the member whose session it has."""
