"""An indexer that speaks Torznab as Prowlarr or Jackett does, with its faults on demand. `url` is its address."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from tests.audiobooks.outside import Outside, Reply, Seen
from tests.fakes.torrent_files import torrent

KEY = "fake0key1RECOGNISABLE2a3b4c5d6e7f"
PASSKEY = "fakePASSKEYofTheTracker99"
HASH = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Item:
    """`attrs` are added to what every item has; None leaves one out. `extra` is XML within the item."""

    title: str
    number: int = 1
    size: str = "554001203"
    category: str = "3030"
    link: str | None = None
    guid: str | None = None
    comments: str | None = None
    attrs: dict[str, str | None] = field(default_factory=dict)
    published: str = "Tue, 03 Feb 2026 17:40:21 +0000"
    extra: str = ""


@dataclass
class FakeTorznab:
    """Everything may be changed while it runs.

    kind: `prowlarr` or `jackett`: how a wrong key is told, and where a link has the key.
    privacy: of the tracker, such as `private`; nothing is said of it where it is empty.
    book_params: what caps say of the book search; None leaves it out. can_book: whether it can.
    paging: `honest`, `same` (the first page for ever), `empty` (one page).
    tells_total: whether an answer says how many there are.
    is_home: whether the links lead to the stand-in itself, as they do where its address is the one that it knows.
    downloads: answers to them, by number of the item; else a torrent file.
    error: code, HTTP status and headers of the answer to everything but caps. broken: the body of it.
    """

    kind: str = "prowlarr"
    privacy: str = "public"
    items: list[Item] = field(default_factory=list)
    book_params: str | None = "q,title,author"
    can_book: bool = True
    categories: str = '<category id="3000" name="Audio"><subcat id="3030" name="Audio/Audiobook"/></category>'
    most: int = 100
    paging: str = "honest"
    tells_total: bool = False
    searches_for_nothing: bool = False
    is_home: bool = False
    downloads: dict[int, Reply] = field(default_factory=dict)
    error: tuple[int, int, dict[str, str]] | None = None
    broken: Reply | None = None
    caps_broken: Reply | None = None

    def __enter__(self) -> Self:
        self.outside = Outside()
        self.outside.otherwise = self.answer
        self.outside.__enter__()
        self.url = f"{self.outside.url}/3/api"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.outside.__exit__(kind, error, trace)

    @property
    def asked(self) -> list[dict[str, str]]:
        return [seen.query for seen in self.outside.seen]

    def answer(self, seen: Seen) -> Reply:
        query = seen.query
        if seen.path in ("/3/download", f"/dl/fake/{KEY}"):
            return self.download(query)
        if seen.path != "/3/api":
            return Reply(404, b"<html>Not found</html>", {"Content-Type": "text/html"})
        if query.get("apikey") != KEY:
            return Reply(401, b"") if self.kind == "prowlarr" else error_of(100, 200, "Invalid API Key")
        if query.get("t") == "caps":
            return self.caps_broken or xml(self.caps())
        if self.error:
            return error_of(self.error[0], self.error[1], f"No luck with {KEY}", self.error[2])
        if self.broken:
            return self.broken
        if query.get("t") == "book" and not self.can_book:
            return error_of(203, 200, "Function Not Available")
        if query.get("t") not in ("search", "book"):
            return error_of(202, 400 if self.kind == "prowlarr" else 200, "No such function")
        return xml(self.feed(query))

    def download(self, query: dict[str, str]) -> Reply:
        if self.kind == "prowlarr" and query.get("apikey") != KEY:
            return Reply(401, b"")
        number = int((query.get("link") or query.get("path", "")).removeprefix("BLOB"))
        return self.downloads.get(number) or Reply(200, torrent(), {"Content-Type": "application/x-bittorrent"})

    def caps(self) -> str:
        book = (
            "" if self.book_params is None else f'<book-search available="yes" supportedParams="{self.book_params}"/>'
        )
        return (
            f'<caps><server title="Fake"/><limits default="50" max="{self.most}"/><searching>'
            f'<search available="yes" supportedParams="q"/>{book}</searching>'
            f"<categories>{self.categories}</categories></caps>"
        )

    def feed(self, query: dict[str, str]) -> str:
        words = " ".join(query.get(name, "") for name in ("q", "title", "author")).lower().split()
        found = [
            each
            for each in self.items
            if self.searches_for_nothing or all(word in each.title.lower() for word in words)
        ]
        offset, limit = int(query.get("offset", 0)), min(int(query.get("limit", 50)), self.most)
        if offset and self.paging != "honest":
            shown = found[:limit] if self.paging == "same" else []
        else:
            shown = found[offset : offset + limit]
        total = f'<newznab:response offset="{offset}" total="{len(found)}"/>' if self.tells_total else ""
        return (
            '<rss version="1.0" xmlns:torznab="http://torznab.com/schemas/2015/feed" '
            'xmlns:newznab="http://www.newznab.com/DTD/2010/feeds/attributes/"><channel><title>Fake</title>'
            f"{total}{''.join(map(self.row, shown))}</channel></rss>"
        )

    def row(self, item: Item) -> str:
        page = f"https://tracker.example/t/{item.number}"
        if self.kind == "prowlarr":
            home = self.outside.url if self.is_home else "http://prowlarr.local:9696"
            link = f"{home}/3/download?apikey={KEY}&link=BLOB{item.number}&file={quote(item.title)}"
        else:
            home = self.outside.url if self.is_home else "http://jackett.local:9117"
            link = f"{home}/dl/fake/{KEY}?path=BLOB{item.number}&file={quote(item.title)}.torrent"
        link = item.link if item.link is not None else link
        attrs: dict[str, str | None] = {
            **{"category": item.category, "seeders": "12", "peers": "14", "grabs": str(item.number), "files": "3"},
            **{"infohash": f"{item.number:040x}", "downloadvolumefactor": "1", **item.attrs},
        }
        named = "".join(
            f"<torznab:attr name={quoteattr(name)} value={quoteattr(value)}/>"
            for name, value in attrs.items()
            if value is not None
        )
        privacy = (
            f'<prowlarrindexer id="3" type={quoteattr(self.privacy)}>Fake</prowlarrindexer>'
            if self.kind == "prowlarr"
            else f'<jackettindexer id="fake">Fake</jackettindexer><type>{escape(self.privacy)}</type>'
        )
        return (
            f"<item>{privacy}<title>{escape(item.title)}</title><guid>{escape(page if item.guid is None else item.guid)}</guid>"
            f"<comments>{escape(page if item.comments is None else item.comments)}#comments</comments>"
            f"<pubDate>{item.published}</pubDate><size>{item.size}</size><link>{escape(link)}</link>"
            f'<enclosure url={quoteattr(link)} length="{item.size}" type="application/x-bittorrent"/>'
            f"{named}{item.extra}</item>"
        )


def xml(text: str, status: int = 200, **headers: str) -> Reply:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()
    return Reply(status, body, {"Content-Type": "application/rss+xml", **headers})


def error_of(code: int, status: int, description: str, headers: dict[str, str] | None = None) -> Reply:
    return xml(f'<error code="{code}" description={quoteattr(description)}/>', status, **(headers or {}))
