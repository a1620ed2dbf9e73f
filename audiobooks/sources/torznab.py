"""Torznab and Newznab, as Prowlarr and Jackett serve one indexer each (https://torznab.github.io/spec-1.3-draft/).

Prowlarr answers with an empty feed where its own search failed, so here an empty page does not prove that there is none.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit, urlunsplit
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from audiobooks.exceptions import (
    BadAnswer,
    Forbidden,
    Gone,
    HttpError,
    Refused,
    ServiceError,
    SignedOut,
    SourceError,
    Throttled,
)
from audiobooks.facts import BookFacts, Contributor
from audiobooks.http import Doorway, Download, Pace, clean
from audiobooks.matching.names import isbn13, language_code, normalise, split_people
from audiobooks.matching.releases import parse_release
from audiobooks.matching.titles import parse_title
from audiobooks.metadata import reading
from audiobooks.sources import torrents
from audiobooks.sources.base import Page, Release

# Prowlarr spaces the requests to an indexer by 2 s itself.
PACE = Pace(every=1.0, at_once=1)
CAPS_FRESH_FOR = timedelta(days=1)
AUDIOBOOK = "3030"
MOST_PAGES = 30
OVERLAP = 5
"""Items that two pages share: what is removed meanwhile moves the others up, so that else some would be in neither."""
_MOST_SEARCH_PAGES = 5
_MOST_HOPS = 5
_DEFAULT_LIMIT = 100
_DEEPEST = 32
_LIMIT_PAUSE = timedelta(hours=1)
# An enclosure may give the length of the .torrent.
_LEAST_ENCLOSURE = 10_000_000
_ACCEPT = "application/rss+xml, application/xml, text/xml"
# Stands in Release.fetch where the key was.
_KEY = "{key}"
_SHORTEST_SECRET = 6
_COUNTED = frozenset({"downloadvolumefactor", "minimumratio", "minimumseedtime"})

_AUDIO = re.compile(r"3[0-9]{3}")
_AUDIOBOOK_NAME = re.compile(r"audio ?books?|hörb[uü]ch|livres? audio|audiolibro", re.IGNORECASE)
_SECRET_PARAM = re.compile(
    r".*(?:api_?key|pass|token|secret|auth|rss_?key|sign|session|uid$|user).*|key|r|i|dl|mam_id", re.IGNORECASE
)
# A step of a path that may be a passkey: long, of letters and digits, and no info hash.
_OPAQUE = re.compile(r"(?![0-9a-f]{40}$)(?=.*[0-9])(?=.*[a-z])[0-9a-z]{20,}", re.IGNORECASE)
_ADDRESS = re.compile(r"(?:https?://|magnet:\?)[^\s\"'<>]+", re.IGNORECASE)
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REFERENCE = re.compile(r"&#(?:x([0-9a-f]{1,8})|([0-9]{1,9}));", re.IGNORECASE)
_FORMAT = re.compile(r"\b(m4b|m4a|mp3|flac|aac|ogg|opus)\b", re.IGNORECASE)
_LIMIT = re.compile(r"limit (?:was |has been )?(?:reached|exceeded)|too many requests", re.IGNORECASE)
_BITRATE = re.compile(r"\b([0-9]{2,3}) ?kb(?:ps|it|/s)?\b", re.IGNORECASE)


class TorznabError(SourceError):
    """An error of the protocol; `code` is its number."""

    def __init__(
        self, message: str, *, code: int, permanent: bool = False, retry_after: timedelta | None = None
    ) -> None:
        super().__init__(message, permanent=permanent, retry_after=retry_after)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Caps:
    """What an indexer can. `categories` are all of its names by id; `audiobooks` are the ids that are asked for."""

    page: int
    book_params: frozenset[str]
    categories: Mapping[str, str]
    audiobooks: tuple[str, ...]


class Torznab:
    """url: of one indexer, as Prowlarr and Jackett show it to be copied, with or without `/api` at the end."""

    by_torrent = True

    def __init__(self, *, url: str, key: str, name: str, label: str = "") -> None:
        self.name, self.label = name, label or name
        self._url, inside = _endpoint(url)
        self._key = key.strip() or inside

    def __repr__(self) -> str:
        return f"Torznab({self.name!r})"

    def caps(self, http: Doorway) -> Caps:
        answer = self._ask(http, {"t": "caps"}, fresh_for=CAPS_FRESH_FOR)
        if answer.tag != "caps":
            raise SourceError(f"{self.label} did not say what it can. Correct its address.", permanent=True)
        return read_caps(answer)

    def search(self, http: Doorway, wanted: BookFacts, *, limit: int = 50) -> tuple[Release, ...]:
        caps = self.caps(http)
        refused: TorznabError | None = None
        is_answered = False
        for params in _tiers(wanted, caps):
            found: dict[str, Release] = {}
            try:
                for page in self._pages(http, params, caps, most=_MOST_SEARCH_PAGES):
                    found.update((each.id, each) for each in page.releases if _may_be(each, wanted))
                    if len(found) >= limit:
                        break
                is_answered = True
            except TorznabError as error:
                # Some say that they can what they cannot.
                if error.code not in (201, 202, 203):
                    raise
                refused = error
            if found:
                return tuple(found.values())[:limit]
        if refused is not None and not is_answered:
            raise refused
        return ()

    def newest(self, http: Doorway, cursor: str = "") -> Page:
        """Some come twice: two pages overlap."""
        return self._page(http, {"t": "search"}, self.caps(http), cursor)

    def popular(self, http: Doorway, genre: str, *, since: date, limit: int = 10) -> tuple[Release, ...]:
        """Of the newest, those that were fetched most: the protocol knows no other. `genre`: name or id of a category of
        audio; e-books may have others of the same name."""
        caps = self.caps(http)
        ids = [
            id
            for id, name in caps.categories.items()
            if genre in (id, name) and (id in caps.audiobooks or _AUDIO.fullmatch(id))
        ]
        if not ids:
            return ()
        found: dict[str, Release] = {}
        for page in self._pages(http, {"t": "search", "cat": ",".join(ids)}, caps, most=_MOST_SEARCH_PAGES):
            found.update((each.id, each) for each in page.releases if each.fetched)
            days = [each.added.date() for each in page.releases if each.added]
            if days and max(days) < since:
                break
        recent = [each for each in found.values() if each.added and each.added.date() >= since]
        return tuple(sorted(recent, key=lambda each: each.fetched or 0, reverse=True)[:limit])

    def look_again(self, http: Doorway, release: Release) -> Release | None:
        """Raises SourceError where the indexer lists nothing at all, which proves nothing."""
        row = self._row_again(http, release)
        return None if row is None else row.release(self.name, self.caps(http).categories)

    def content(self, http: Doorway, release: Release) -> bytes | str:
        """A torrent file, or the magnet link that the indexer sends us on to."""
        url, is_own = self.address(http, release), True
        for _ in range(_MOST_HOPS):
            if url[:7].lower() == "magnet:":
                if not torrents.is_magnet(url):
                    raise SourceError(f"{self.label} gave a magnet link that names no torrent.")
                return url
            # What the indexer's own host says may lead back to it; nobody else may lead there.
            is_own = is_own and self._is_own(url)
            got = self._download(http, url, is_own)
            if not got.location:
                return self._torrent(got.body, is_own)
            url = _next_hop(url, got.location, self.label)
        raise SourceError(f"{self.label} sends us from place to place for a torrent file.")

    def address(self, http: Doorway, release: Release) -> str:
        """Where the release is fetched from, http(s) or magnet: with secrets, so for the request only.

        Where the tracker's own secrets are in it, it was not kept, and is asked for again.
        """
        if release.fetch:
            return release.fetch.replace(_KEY, quote(self._key, safe=""))
        row = self._row_again(http, release)
        if row is None or not row.download:
            raise Gone(f"{self.label} offers “{release.name}” no more.", permanent=True)
        return row.download

    def _row_again(self, http: Doorway, release: Release) -> _Row | None:
        caps = self.caps(http)
        by_name = {"t": "search", "q": _words(release.name)}
        is_empty = True
        for params in (*_tiers(release.facts, caps), by_name, {"t": "search"}):
            try:
                answer = self._ask(
                    http,
                    {**params, "cat": ",".join(caps.audiobooks), "extended": "1", "limit": str(caps.page)},
                )
            except TorznabError as error:
                # Some say that they can what they cannot.
                if error.code not in (201, 202, 203):
                    raise
                continue
            rows = [_Row(item, self._key) for item in answer.iter("item")]
            is_empty = is_empty and not rows
            if found := next((row for row in rows if row.id == release.id), None):
                return found
            # The last question is only whether it lists anything.
            if params == by_name and not is_empty:
                return None
        if is_empty:
            raise SourceError(f"{self.label} answers with nothing, whatever it is asked for.")
        return None

    def _is_own(self, url: str) -> bool:
        own, there = urlsplit(self._url), urlsplit(url)
        return (there.scheme, there.netloc.lower()) == (own.scheme, own.netloc.lower())

    def _download(self, http: Doorway, url: str, is_own: bool) -> Download:
        secrets = _secrets_in(url)
        if self._key:
            secrets.add(self._key)
        try:
            return http.download(
                url,
                most_bytes=torrents.MOST_BYTES,
                trusted=is_own,
                secrets=secrets,
                pace=PACE,
                follow=False,
                final=lambda error: _is_error_element(error.text),
            )
        except HttpError as error:
            raise self._not_given(error, is_own) from None
        except Forbidden:
            message = f"The link of {self.label} leads where nothing is asked for: to a private address not its own, or to none."
            raise Forbidden(message, permanent=True) from None

    def _not_given(self, error: HttpError, is_own: bool) -> ServiceError:
        if _is_error_element(error.text):
            with contextlib.suppress(ValueError):
                return self._meant(read_xml(error.text), error.status, error.retry_after)
        if error.status in (404, 410):
            return Gone(f"{self.label} gives this release no more (HTTP {error.status}).", permanent=True)
        if error.status == 429:
            message = f"{self.label} was asked for too many downloads."
            return Throttled(message, retry_after=error.retry_after or _LIMIT_PAUSE)
        if error.status == 401 and is_own:
            return self._understood(error)
        if error.status in (401, 403):
            return Refused(f"{self.label} does not give this release (HTTP {error.status}).")
        return error

    def _torrent(self, body: bytes, is_own: bool) -> bytes | str:
        """Raises what is meant where it is none."""
        if torrents.is_torrent(body):
            return body
        if torrents.may_hold_passkey(body):
            raise SourceError(f"{self.label} sent a torrent file that is broken.")
        text = body[:4000].decode("utf-8", "replace").strip()
        if torrents.is_magnet(text):
            return text
        if _is_error_element(text):
            with contextlib.suppress(ValueError):
                raise self._meant(read_xml(text), 200, None)
        if _LIMIT.search(text):
            raise Throttled(f"{self.label} was asked for too many downloads.", retry_after=_LIMIT_PAUSE)
        what = "a page" if text.startswith("<") else "something else"
        raise SourceError(f"{self.label} sent {what} in place of a torrent file.")

    def _meant(self, error: Element, status: int, retry_after: timedelta | None) -> SourceError:
        """What an <error> in place of a torrent file means."""
        code = _count(error.get("code")) or 0
        said = clean(reading.text(error.get("description")), (self._key,) if self._key else ())[:200] or "no reason"
        told = f"{self.label} says: {said} (error {code})."
        if code in (300, 410):
            return Gone(told, permanent=True)
        if code == 501:
            return Refused(told, retry_after=retry_after or _LIMIT_PAUSE)
        if code == 429 or status == 429 or (code == 500 and status < 500) or _LIMIT.search(said):
            return Throttled(told, retry_after=retry_after or _LIMIT_PAUSE)
        if 100 <= code < 200 or status == 401:
            return SignedOut(f"{told} Give it the right key.", permanent=True)
        return TorznabError(told, code=code, permanent=code == 910, retry_after=retry_after)

    def _pages(self, http: Doorway, params: dict[str, str], caps: Caps, *, most: int) -> Iterator[Page]:
        cursor = ""
        for _ in range(most):
            page = self._page(http, params, caps, cursor)
            yield page
            cursor = page.cursor
            # Many indexers count their requests: what may be behind a short page is not worth one.
            if not cursor or page.rows < caps.page:
                return

    def _page(self, http: Doorway, params: dict[str, str], caps: Caps, cursor: str) -> Page:
        at = _Cursor.of(cursor)
        asked = {"cat": ",".join(caps.audiobooks), **params, "extended": "1", "limit": str(caps.page)}
        if at.offset:
            asked["offset"] = str(at.offset)
        answer = self._ask(http, asked)
        if answer.tag not in ("rss", "feed", "channel"):
            raise BadAnswer(f"{self.label} answered with “{answer.tag[:40]}” in place of a list.")
        rows = [_Row(item, self._key) for item in answer.iter("item")]
        marks = {_mark(row.id) for row in rows if row.id}
        cats = frozenset(asked["cat"].split(","))
        releases: dict[str, Release] = {}
        unread: dict[str, Any] = {}
        for row in rows:
            release = row.release(self.name, caps.categories) if row.is_of(cats) else None
            if release is None and row.is_of(cats):
                unread = unread or row.raw()
            if release and release.facts.is_audio is not False:
                releases.setdefault(release.id, release)
        response = next(answer.iter("response"), None)
        total = None if response is None else _count(response.get("total"))
        through = at.offset + len(rows)
        # A short page need not be the last: some sort out after they have cut. A page with nothing new is the last.
        is_last = not marks - at.seen or (total is not None and through >= total > 0) or at.page + 1 >= MOST_PAGES
        offset = through - min(OVERLAP, len(rows) // 2)
        following = "" if is_last else str(_Cursor(offset, at.page + 1, frozenset(marks)))
        has_more = bool(rows) and total is not None and through < total
        return Page(
            releases=tuple(releases.values()), rows=len(rows), cursor=following, has_more=has_more, unread=unread
        )

    def _ask(self, http: Doorway, params: dict[str, str], *, fresh_for: timedelta | None = None) -> Element:
        status, retry_after = 200, None
        try:
            text = http.get_text(
                self._url,
                accept=_ACCEPT,
                params=params,
                secret_params={"apikey": self._key} if self._key else {},
                pace=PACE,
                fresh_for=fresh_for,
                found=_is_caps if fresh_for else None,
                or_last_good=fresh_for is not None,
                final=_is_of_the_protocol,
            ).data
        except HttpError as error:
            if not _is_of_the_protocol(error):
                raise self._understood(error) from None
            text, status, retry_after = error.data, error.status, error.retry_after
        try:
            root = read_xml(text)
        except ValueError as error:
            begins = clean(" ".join(_NOT_XML.sub(" ", text[:400]).split()), (self._key,) if self._key else ())[:80]
            message = f"{self.label} answered with something that is no feed ({error}): “{begins}”."
            raise BadAnswer(message) from None
        if root.tag == "error":
            return self._refusal(root, status, retry_after)
        return root

    def _understood(self, error: HttpError) -> ServiceError:
        if error.status == 401:
            return SignedOut(f"{self.label} does not accept the key. Give it the right one.", permanent=True)
        if error.status in (404, 405):
            message = f"The address of {self.label} leads to no indexer (HTTP {error.status}): correct it."
            return SourceError(message, permanent=True)
        return error

    def _refusal(self, error: Element, status: int, retry_after: timedelta | None) -> Element:
        """Raises what an <error> means; an empty list where it means that there is nothing."""
        code = _count(error.get("code")) or 0
        said = clean(reading.text(error.get("description")), (self._key,) if self._key else ())[:200] or "no reason"
        told = f"{self.label} says: {said} (error {code})."
        if code == 300:
            return Element("rss")
        is_limit = code in (429, 501) or status == 429 or (code == 500 and status < 500)
        if is_limit or _LIMIT.search(said):
            raise TorznabError(told, code=code, retry_after=retry_after or _LIMIT_PAUSE)
        if code == 101:
            raise SignedOut(f"{told} The account is suspended.", permanent=True)
        if 100 <= code < 200 or status == 401:
            raise SignedOut(f"{told} Give it the right key.", permanent=True)
        if code in (410, 910):
            raise TorznabError(f"{told} It is switched off.", code=code, permanent=True)
        raise TorznabError(told, code=code, permanent=200 <= code < 300, retry_after=retry_after)


def _endpoint(url: str) -> tuple[str, str]:
    """The address that is asked, and the key that was in it."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return url, ""
    path = parts.path.rstrip("/")
    path = path if path.endswith(("/api", "/newznab")) else f"{path}/api"
    key = next((value for name, value in parse_qsl(parts.query) if name.lower() == "apikey"), "")
    return urlunsplit((parts.scheme, parts.netloc, path, "", "")), key


# -- XML


def read_xml(text: str) -> Element:
    """Tags and attributes without their prefixes. Raises ValueError, also of declared entities, which feeds have not."""
    text = _REFERENCE.sub(_without_impossible, _NOT_XML.sub("", text)).lstrip("\ufeff \t\r\n")
    # It is decoded already.
    text = re.sub(r"\A<\?xml[^>]*\?>", "", text)
    builder, depth = TreeBuilder(), 0
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise ValueError("too deep")
        builder.start(_local(tag), {_local(name): value for name, value in attributes.items()})

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_local(tag))

    def refuse(*_: object) -> None:
        raise ValueError("it declares a document type")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    try:
        parser.Parse(text.encode("utf-8", "ignore"), True)
    except expat.ExpatError as error:
        raise ValueError(str(error)) from None
    return builder.close()


def _without_impossible(match: re.Match[str]) -> str:
    number = int(match[1], 16) if match[1] else int(match[2])
    return match[0] if number <= 0x10FFFF and not _NOT_XML.match(chr(number)) else ""


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _is_of_the_protocol(error: HttpError) -> bool:
    """Whether the error is a sentence of the protocol: then it is of one indexer, and its host is well."""
    return isinstance(error.data, str) and _is_error_element(error.data)


def _is_error_element(text: str) -> bool:
    return bool(re.match(r"\ufeff?\s*(?:<\?xml[^>]*\?>\s*)?<error[\s/>]", text[:400]))


def _is_caps(text: Any) -> bool | None:
    """What is not that is not kept."""
    try:
        return True if read_xml(text).tag == "caps" else None
    except ValueError:
        return None


def read_caps(root: Element) -> Caps:
    limits, book = next(root.iter("limits"), None), next(root.iter("book-search"), None)
    most = None if limits is None else _count(limits.get("max"))
    able = book is not None and reading.text(book.get("available")).lower() in ("yes", "true", "1")
    params = reading.text(book.get("supportedParams")).lower() if book is not None and able else ""
    categories: dict[str, str] = {}
    for top in root.iter("category"):
        for each in (top, *top.iter("subcat")):
            if (id := reading.text(each.get("id"))).isdigit():
                categories.setdefault(id, reading.text(each.get("name")))
    audiobooks = [id for id, name in categories.items() if id != AUDIOBOOK and _AUDIOBOOK_NAME.search(name)]
    return Caps(
        page=min(most or _DEFAULT_LIMIT, _DEFAULT_LIMIT),
        book_params=frozenset(re.split(r"[\s,]+", params)) - {""},
        categories=categories,
        # Asked for also where it is not listed: some lists are wrong.
        audiobooks=(AUDIOBOOK, *audiobooks),
    )


# -- what is asked


def _tiers(wanted: BookFacts, caps: Caps) -> list[dict[str, str]]:
    """The questions, the closest first."""
    title = _words(parse_title(wanted.title).title) if wanted.title.strip() else ""
    if not title:
        return []
    author = _words(wanted.author_names[0]) if wanted.authors else ""
    tiers = []
    if author and {"title", "author"} <= caps.book_params:
        tiers.append({"t": "book", "title": title, "author": author})
    elif "q" in caps.book_params:
        tiers.append({"t": "book", "q": f"{title} {author}".strip()})
    if author:
        tiers.append({"t": "search", "q": f"{title} {author}"})
    tiers.append({"t": "search", "q": title})
    return tiers


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.replace("'", "").replace("’", "")))


def _may_be(release: Release, wanted: BookFacts) -> bool:
    """Some indexers answer with their newest, whatever they are asked for."""
    asked = set(normalise(parse_title(wanted.title).title).split())
    said = set(normalise(f"{release.name} {release.facts.title}").split())
    return 2 * len(asked & said) >= len(asked)


@dataclass(frozen=True)
class _Cursor:
    """`seen` are marks of what the page before had: there are indexers that give one page for ever."""

    offset: int = 0
    page: int = 0
    seen: frozenset[str] = frozenset()

    @classmethod
    def of(cls, text: str) -> _Cursor:
        found = re.fullmatch(r"([0-9]{1,9})\.([0-9]{1,4})\.((?:[0-9a-f]{8})*)", text)
        return cls(int(found[1]), int(found[2]), frozenset(re.findall(".{8}", found[3]))) if found else cls()

    def __str__(self) -> str:
        return f"{self.offset}.{self.page}.{''.join(sorted(self.seen))}"


def _mark(id: str) -> str:
    return hashlib.sha256(id.encode("utf-8", "replace")).hexdigest()[:8]


# -- what is answered


class _Row:
    """One <item>. Nothing that leaves it has `key` or another secret, but for `download`."""

    def __init__(self, item: Element, key: str) -> None:
        self._item, self._key = item, key
        self._attrs: dict[str, list[str]] = {}
        for each in item.iter("attr"):
            name, value = reading.text(each.get("name")).lower(), reading.text(each.get("value"))
            if name and value:
                self._attrs.setdefault(name, []).append(value)
        enclosure = item.find("enclosure")
        self._enclosure = {} if enclosure is None else enclosure.attrib
        self.download = self._download()
        given = self._text("guid") or self._hash() or self._text("comments") or self._text("link")
        self.id = self._clean(_without_secrets(given, key))[:500]

    def is_of(self, categories: frozenset[str]) -> bool:
        """A row without any category may be."""
        own = self._categories()
        return not own or any(each in categories or f"{each[:-3]}000" in categories for each in own)

    def release(self, source: str, names: Mapping[str, str]) -> Release | None:
        name = self._clean(self._text("title"))[:1000]
        if not name or not self.id:
            return None
        seeders, peers, leechers = self._number("seeders"), self._number("peers"), self._number("leechers")
        if leechers is None and seeders is not None and peers is not None and peers >= seeders:
            leechers = peers - seeders
        bitrate = _BITRATE.search(name)
        own = [names.get(each, "") or each for each in self._categories()]
        return Release(
            source=source,
            id=self.id,
            name=name,
            facts=self._facts(source, name),
            size=self._size(),
            files=self._number("files"),
            seeders=seeders,
            leechers=leechers,
            fetched=self._number("grabs"),
            added=_moment(self._text("pubDate")),
            free=_is_free(self._attr("downloadvolumefactor")),
            counts=self._counts(),
            genres=reading.each_once(own),
            formats=reading.each_once(each.lower() for each in _FORMAT.findall(name)),
            bitrate=int(bitrate[1]) if bitrate else None,
            link=self._link(),
            fetch=self._fetch(),
            hash=self._hash(),
            raw=self.raw(),
        )

    def _facts(self, source: str, name: str) -> BookFacts:
        facts = replace(parse_release(name), source=source, id=self.id)
        title = self._clean(self._attr("booktitle") or self._attr("book"))
        if title:
            facts = replace(facts, title=title, subtitle="")
        if author := self._clean(self._attr("author")):
            facts = replace(facts, authors=tuple(Contributor(name=who) for who in split_people(author)))
        genres = reading.each_once(
            self._clean(part).strip() for each in self._attrs.get("genre", []) for part in each.split(",")
        )
        isbn = isbn13(self._attr("isbn"))
        return replace(
            facts,
            genres=genres or facts.genres,
            isbns=(isbn,) if isbn else facts.isbns,
            publisher=self._clean(self._attr("publisher")) or facts.publisher,
            language=language_code(self._attr("language")) or facts.language,
            released=reading.date(self._attr("year")) or facts.released,
            cover_url=reading.https(_without_secrets(self._attr("coverurl"), self._key)),
        )

    def _categories(self) -> list[str]:
        own = [*self._attrs.get("category", []), *(reading.text(each.text) for each in self._item.iter("category"))]
        return list(dict.fromkeys(each for each in own if each.isascii() and each.isdigit()))

    def _text(self, tag: str) -> str:
        return reading.text(self._item.findtext(tag))

    def _attr(self, name: str) -> str:
        return self._attrs.get(name, [""])[0]

    def _number(self, name: str) -> int | None:
        number = _count(self._attr(name))
        return _count(self._text(name)) if number is None else number

    def _counts(self) -> bool | None:
        """As Prowlarr and Jackett say of each indexer. Where nobody says it: what has such numbers keeps account of them."""
        prowlarr = self._item.find("prowlarrindexer")
        kind = self._text("type") or ("" if prowlarr is None else reading.text(prowlarr.get("type")))
        if kind:
            return kind.lower() != "public"
        return True if self._attrs.keys() & _COUNTED else None

    def _size(self) -> int | None:
        """The length of an enclosure may be that of the .torrent."""
        length = _count(self._enclosure.get("length")) or 0
        return self._number("size") or (length if length >= _LEAST_ENCLOSURE else None)

    def _hash(self) -> str:
        return _info_hash(self._attr("infohash")) or _hash_of(self._attr("magneturl")) or _hash_of(self.download)

    def _download(self) -> str:
        urls = [reading.text(self._enclosure.get("url")), self._text("link"), self._attr("magneturl")]
        return next((url for url in urls if _is_address(url)), "")

    def _fetch(self) -> str:
        """`download` with a place for the key; empty where it has other secrets, or what may be one."""
        if self.download[:7].lower() == "magnet:":
            # Without a tracker of its own nobody is found who has it.
            kept = _without_secrets(self.download, self._key)
            return kept if kept.count("tr=") == len(re.findall(r"[?&]tr=", self.download)) else ""
        if _KEY in self.download:
            # Of a tracker that would be given the key.
            return ""
        held = self.download
        for form in {self._key, quote(self._key, safe="")} - {""}:
            held = held.replace(form, _KEY)
        bare = held.replace(_KEY, "")
        with contextlib.suppress(ValueError):
            parts = urlsplit(bare)
            others = any(_SECRET_PARAM.fullmatch(name) for name, _ in parse_qsl(parts.query))
            others = others or any(_OPAQUE.fullmatch(step) for step in parts.path.split("/"))
            if not others and "@" not in parts.netloc and clean(bare) == bare:
                return held
        return ""

    def _link(self) -> str:
        for text in (self._text("comments"), self._text("guid")):
            if re.match(r"https?://", text, re.IGNORECASE):
                return self._clean(_without_secrets(text.removesuffix("#comments"), self._key))
        return ""

    def raw(self) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for each in self._item:
            if each.tag not in ("attr", "enclosure") and (said := reading.text(each.text)):
                row[each.tag] = self._clean(said)
        if self._enclosure:
            row["enclosure"] = {name: self._clean(value) for name, value in self._enclosure.items()}
        if self._attrs:
            row["attr"] = {
                name: [
                    "" if _SECRET_PARAM.fullmatch(name) and name not in ("author", "year") else self._clean(value)
                    for value in values
                ]
                for name, values in self._attrs.items()
            }
        return row

    def _clean(self, text: str) -> str:
        """Without secrets, wherever they stand."""
        text = _ADDRESS.sub(lambda match: _without_secrets(match[0], self._key), text)
        return clean(text, (self._key,) if self._key else ())


def _is_address(url: str) -> bool:
    """Whether it may lead to a torrent, and can be taken apart, as all that is done with it takes for granted."""
    try:
        urlsplit(url)
    except ValueError:
        return False
    return url.lower().startswith(("http://", "https://", "magnet:"))


def _without_secrets(url: str, key: str) -> str:
    """An address without the parameters, users and parts of the path that are or may be secret; any other text as it is."""
    if not _ADDRESS.match(url):
        return url
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return ""
    if parts.scheme.lower() == "magnet":
        # The trackers of a private torrent have the passkey in their paths.
        kept = [
            (name, value)
            for name, value in parse_qsl(parts.query)
            if name in ("xt", "dn", "xl") or (name == "tr" and re.fullmatch(r"\w+://[\w.:-]+(?:/announce)?/?", value))
        ]
        return "magnet:?" + urlencode(kept, safe=":/")
    query = [
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if not _SECRET_PARAM.fullmatch(name) and not (key and key in value)
    ]
    steps = [step for step in parts.path.split("/") if not (key and (key in step or quote(key, safe="") in step))]
    # What stands there is still told from others.
    steps = [_mark(step) if _OPAQUE.fullmatch(step) else step for step in steps]
    return urlunsplit((parts.scheme, host, "/".join(steps), urlencode(query), ""))


def _secrets_in(url: str) -> set[str]:
    """What is or may be secret in an address; a word such as download, which an answer may hold as well, is not."""
    parts = urlsplit(url)
    named = [value for name, value in parse_qsl(parts.query) if _SECRET_PARAM.fullmatch(name)]
    others = [*parts.path.split("/"), *(value for _, value in parse_qsl(parts.query))]
    return {each for each in named if len(each) >= _SHORTEST_SECRET} | {each for each in others if _OPAQUE.search(each)}


def _next_hop(url: str, location: str, label: str) -> str:
    """Where a redirect leads; nothing of it is quoted."""
    if location[:7].lower() == "magnet:":
        return location
    try:
        following = urljoin(url, location)
        schemes = urlsplit(url).scheme, urlsplit(following).scheme
    except ValueError:
        raise SourceError(f"{label} sends us to something that is no address.") from None
    if schemes == ("https", "http"):
        raise Forbidden(f"{label} sends us from https to http for a torrent file.", permanent=True)
    return following


def _hash_of(magnet: str) -> str:
    found = re.search(r"urn:btih:([0-9a-z]+)", magnet, re.IGNORECASE) if magnet[:7].lower() == "magnet:" else None
    return _info_hash(found[1]) if found else ""


def _info_hash(text: str) -> str:
    if re.fullmatch(r"[0-9a-fA-F]{40}", text):
        return text.lower()
    if re.fullmatch(r"[A-Za-z2-7]{32}", text):
        with contextlib.suppress(binascii.Error):
            return base64.b32decode(text.upper()).hex()
    return ""


def _count(value: Any) -> int | None:
    """A whole number, also zero, which here is one."""
    text = value.strip() if isinstance(value, str) else ""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _is_free(factor: str) -> bool | None:
    return float(factor) == 0 if re.fullmatch(r"[0-9]{1,6}(?:\.[0-9]{1,6})?", factor) else None


def _moment(text: str) -> datetime | None:
    """None also of the future, and of what is no date."""
    with contextlib.suppress(ValueError, TypeError, OverflowError, IndexError):
        moment = parsedate_to_datetime(text)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        return moment if moment <= datetime.now(UTC) + timedelta(days=1) else None
    return None
