"""MyAnonamouse (https://www.myanonamouse.net), by its JSON search and with the member's own session for programs.

The site publishes its interface to members only. What is known here was read in the clients that the site knows:
https://github.com/Prowlarr/Prowlarr (Indexers/Definitions/MyAnonamouse.cs), https://github.com/StirlingMouse/MLM (mlm_mam)
and https://github.com/t-mart/mousehole (docs). Nothing here spends points or wedges, or changes anything of the account.
"""

from __future__ import annotations

import json
import logging
import math
import re
import time
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as day_time
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from urllib.parse import parse_qsl, urljoin, urlsplit

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
    WrongAddress,
    WrongSession,
)
from audiobooks.facts import BookFacts, Contributor, SeriesPlace
from audiobooks.http import Doorway, Pace, clean
from audiobooks.matching.names import asin, isbn13, language_code, normalise, person
from audiobooks.matching.titles import ABRIDGED, parse_title
from audiobooks.metadata import reading
from audiobooks.sources import torrents
from audiobooks.sources.base import Account, Page, Release

logger = logging.getLogger(__name__)

NAME = "myanonamouse"
URL = "https://www.myanonamouse.net"
COOKIE = "mam_id"
# The site names no limit; Prowlarr keeps 2 s. The rest is for what a connection takes: 2 s hold where the calls arrive.
PACE = Pace(every=2.5, at_once=1)
SAME_SEARCH_FRESH_FOR = timedelta(minutes=5)
POPULAR_FRESH_FOR = timedelta(hours=6)
QUIET_AFTER_THROTTLE = timedelta(minutes=15)
"""Where it does not say how long."""
QUIET_AFTER_REFUSAL = timedelta(hours=1)
# Its documentation says 1000 or 100, its clients ask for no more than 100.
MOST_PER_PAGE, LEAST_PER_PAGE = 100, 5
OVERLAP = 10
"""Rows that two pages share: what is removed meanwhile moves the others up, so that else some would be in neither."""
MOST_HOPS = 3
"""Redirects of one download."""
MOST_ROWS = 20 * (MOST_PER_PAGE - OVERLAP) + OVERLAP
"""Of the newest, over all pages of one listing."""

AUDIOBOOKS = 13
"""The main category."""

GENRES: Mapping[int, str] = {
    39: "Action/Adventure", 49: "Art", 50: "Biographical", 83: "Business", 51: "Computer/Internet", 97: "Crafts",
    40: "Crime/Thriller", 41: "Fantasy", 106: "Food", 42: "General Fiction", 52: "General Non-Fic",
    98: "Historical Fiction", 54: "History", 55: "Home/Garden", 43: "Horror", 99: "Humor", 84: "Instructional",
    44: "Juvenile", 56: "Language", 45: "Literary Classics", 57: "Math/Science/Tech", 85: "Medical", 87: "Mystery",
    119: "Nature", 88: "Philosophy", 58: "Pol/Soc/Relig", 59: "Recreation", 46: "Romance", 47: "Science Fiction",
    53: "Self-Help", 89: "Travel/Adventure", 100: "True Crime", 108: "Urban Fantasy", 48: "Western", 111: "Young Adult",
}  # fmt: skip
"""Categories of audiobooks, as the site calls them behind "Audiobooks - " (Prowlarr's MyAnonamouse.cs)."""

THEMES: Mapping[int, str] = {
    1: "Action", 2: "Art", 3: "Biographical", 4: "Business", 5: "Comedy", 7: "Computer", 8: "Crafts", 9: "Crime",
    10: "Dramatization", 11: "Education", 12: "Factual News", 13: "Fantasy", 14: "Food", 16: "Health", 17: "Historical",
    18: "Home", 19: "Horror", 20: "Humor", 22: "Instructional", 23: "Juvenile", 24: "Language", 25: "LGBTQIA+",
    28: "Literary Classics", 29: "LitRPG", 30: "Math", 31: "Medicine", 32: "Music", 34: "Mystery", 35: "Nature",
    36: "Paranormal", 37: "Philosophy", 38: "Poetry", 39: "Politics", 40: "Reference", 41: "Religion", 42: "Romance",
    43: "RPG", 44: "Science", 45: "Science Fiction", 46: "Self-Help", 49: "Sports", 50: "Technology", 51: "Thriller",
    52: "Travel", 53: "Urban Fantasy", 54: "Western", 55: "Young Adult", 56: "Superheroes", 57: "Literary Fiction",
    58: "Progression Fantasy", 59: "Contemporary", 60: "Drama/Plays", 61: "Occult", 62: "Slice of Life",
}  # fmt: skip
"""The newer categories, of which a release has several: another numbering (MLM's mlm_db/src/impls/categories.rs)."""

LANGUAGES: Mapping[int, tuple[str, str]] = {
    1: ("English", "en"), 2: ("Chinese", "zh"), 4: ("Spanish", "es"), 16: ("Russian", "ru"), 21: ("Danish", "da"),
    22: ("Dutch", "nl"), 23: ("Finnish", "fi"), 34: ("Portuguese", "pt"), 36: ("French", "fr"), 37: ("German", "de"),
    38: ("Japanese", "ja"), 40: ("Swedish", "sv"), 43: ("Italian", "it"), 45: ("Polish", "pl"), 47: ("Other", ""),
    48: ("Norwegian", "no"), 52: ("Brazilian Portuguese", "pt"),
}  # fmt: skip
"""Their names there, and ISO 639 (MLM's mlm_mam/src/enums.rs, which has more)."""

_MAKE_ONE = (
    "make a new one for this program at Preferences, Security "
    f"({URL}/preferences/index.php?view=security), and set MAM_SESSION to it."
)
_VIP_GRADES = frozenset({"vip", "elite vip"})
_CLASS_HOLDS_FOR = 3600.0
# `dl` fetches as the member without a cookie; who uploaded is nobody's business.
_NOT_KEPT = frozenset({"dl", "dllink", "dl_link", "ownership", "owner", "owner_name"})
_SHORTEST_SECRET = 6
_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_SIZE = re.compile(r"([0-9][0-9,]*(?:\.[0-9]+)?)\s*(?:([kmgt]?)i?b(?:ytes)?)?", re.IGNORECASE)
_KBPS = re.compile(r"(?<![\d.,–-])([0-9]{2,4})(?:\.[0-9]+)?\s*k(?:b(?:p|/)?s|bit/s)", re.IGNORECASE)
_RANGE_OF_KBPS = re.compile(r"[0-9]\s*[–-]\s*[0-9]+\s*k(?:b|bit)", re.IGNORECASE)
_LONGEST = 400 * 3600
_ABRIDGED_FLAG = 32
# Pairs of a broken object, whose texts have quotes that nothing escapes: {"7": "Dwayne "The Rock" Johnson"}
_BROKEN_NAME = re.compile(r'"(\d+)"\s*:\s*"(.*?)"\s*(?=,\s*"\d+"\s*:|\}\s*$)', re.DOTALL)
_BROKEN_PLACE = re.compile(
    r'"(\d+)"\s*:\s*\[\s*"(.*?)"\s*,\s*"([^"]*)"\s*(?:,[^\]"]*)?\]\s*(?=,\s*"\d+"\s*:|\}\s*$)', re.DOTALL
)
_BB_CODE = re.compile(r"\[/?[a-z*]+(?:=[^\]\n]*)?\]", re.IGNORECASE)

_NOTHING = re.compile(r"\s*nothing returned, out of", re.IGNORECASE)
_WRONG_ADDRESS = re.compile(r"\b(?:ip|asn)\b[^.<]{0,40}(?:mis-?match|not match)", re.IGNORECASE)
_WRONG_SESSION = re.compile(r"(?:incorrect|wrong) session type|non-api session", re.IGNORECASE)
_SIGNED_OUT = re.compile(
    r"not (?:signed|logged) in|invalid (?:session|cookie)|no session cookie|takelogin\.php|/login\.php|session expired",
    re.IGNORECASE,
)
_LIMITED = re.compile(r"unsatisfied|(?:download|torrent) limit|not enough ratio|ratio (?:is )?too low", re.IGNORECASE)
_NO_SUCH = re.compile(
    r"invalid (?:download )?(?:link|torrent)|(?:torrent|link)[^.<]{0,30} (?:not found|does ?n[o']t exist|deleted|removed)"
    r"|no (?:such )?torrent",
    re.IGNORECASE,
)
_THROTTLED = re.compile(r"too many requests|rate limit|too often|slow down", re.IGNORECASE)


# -- the session


@dataclass(frozen=True, kw_only=True)
class Session:
    """seed: what a person pasted, as it was. current: what the site has given in its place since, empty where nothing."""

    seed: str = field(default="", repr=False)
    current: str = field(default="", repr=False)


class SessionStore(Protocol):
    """Where the session outlasts the process: an older value than the newest is worth nothing.

    Both are called while a request has its turn, so there is never more than one call for this site.
    """

    def load(self) -> Session:
        """A `current` that another seed led to is not given."""

    def save(self, current: str, *, seed: str) -> None:
        """Durably, before it returns; not where the seed is another by now than it was at `load`, since a person has pasted
        a new one."""


def seed(pasted: str) -> str:
    """The session as it was issued, out of what a person pasted: a line of a cookie, with quotes, broken into lines.

    Nothing is decoded: %3D is part of it. Raises SignedOut where it cannot be one.
    """
    text = re.sub(r"[\r\n]+[ \t]*", "", pasted).strip()
    for quote in "\"'`":
        text = text.strip().strip(quote)
    if named := re.search(rf"(?:^|[\s;\"'])(?i:{COOKIE})[\"']?\s*[=:]\s*(.*)", text):
        text = named[1].partition(";")[0]
    text = text.strip().rstrip(";").strip().strip("\"'`").rstrip(";").strip()
    if text and not re.fullmatch(r"[!#-+\--:<-\[\]-~]+", text):
        raise SignedOut(
            f"What is given as {COOKIE} is none: it holds characters that no session has. Paste it again.",
            permanent=True,
        )
    return text


class _Cookie:
    """The session within one call. It goes to the site alone, over https; of a stand-in to that very address."""

    def __init__(self, store: SessionStore, url: str) -> None:
        self._store, self._home = store, urlsplit(url)
        self.sent = self.seed = self._pasted = ""
        self.rotated = False
        self._refused = ""

    def once_more(self) -> bool:
        """Whether, after the site did not know the session, the one that the person pasted is worth a try."""
        self._refused, self.sent = self.sent, ""
        return bool(self.seed) and self._refused != self.seed

    def to_send(self, url: str) -> Mapping[str, str]:
        if not self.is_home(url):
            raise Forbidden(
                "The session of MyAnonamouse is sent to myanonamouse.net over https alone. Correct its address.",
                permanent=True,
            )
        session = self._store.load()
        self._pasted, self.seed = session.seed, seed(session.seed)
        newest = session.current or self.seed
        # Another process may have been given a newer one since.
        self.sent = self.seed if newest == self._refused else newest
        if not self.sent:
            raise SignedOut(f"MyAnonamouse has no session: {_MAKE_ONE}", permanent=True)
        return {COOKIE: self.sent}

    def given(self, url: str, set_cookie: Sequence[str]) -> None:
        host = urlsplit(url).hostname or ""
        values = [value for header in set_cookie if (value := rotated(header, host, time.time()))]
        if values and self.is_home(url) and values[-1] != self.sent:
            self.rotated = True
            self._store.save(values[-1], seed=self._pasted)
            logger.debug("MyAnonamouse gave its session a new value.")

    def keep(self) -> None:
        """What was sent is good, although the kept one was not."""
        if self.sent and not self.rotated:
            self._store.save(self.sent, seed=self._pasted)

    def is_home(self, url: str) -> bool:
        there = urlsplit(url)
        if _is_site(self._home.hostname):
            return there.scheme == "https" and _is_site(there.hostname)
        return (there.scheme, there.netloc.lower()) == (self._home.scheme, self._home.netloc.lower())

    def without(self, text: str) -> str:
        return clean(text, {each for each in (self.sent, self.seed) if each})


def _is_site(host: str | None) -> bool:
    return bool(host) and (host == "myanonamouse.net" or str(host).endswith(".myanonamouse.net"))


def rotated(set_cookie: str, host: str, now: float) -> str:
    """The session that a Set-Cookie header of `host` gives, as it stands there; empty where it gives none."""
    pair, *attributes = set_cookie.split(";")
    name, _, value = pair.partition("=")
    value = value.strip()
    if name.strip() != COOKIE or value.strip('"').lower() in ("", "deleted", "null"):
        return ""
    named = {
        key.strip().lower(): text.strip() for key, _, text in (attribute.partition("=") for attribute in attributes)
    }
    domain = named.get("domain", "").lstrip(".").lower()
    if domain and host != domain and not host.endswith(f".{domain}"):
        return ""
    if re.fullmatch(r"-?[0-9]+", named.get("max-age", "")):
        return value if int(named["max-age"][:18]) > 0 else ""
    try:
        ends = parsedate_to_datetime(named.get("expires", ""))
    except (ValueError, TypeError, OverflowError):
        return value
    return value if (ends if ends.tzinfo else ends.replace(tzinfo=UTC)).timestamp() > now else ""


# -- the source


@dataclass(frozen=True, kw_only=True)
class _Listing:
    """releases: the audiobooks among the rows. all: how many rows there are on all pages, as far as it says."""

    releases: tuple[Release, ...]
    rows: int
    all: int | None
    unread: Mapping[str, Any]


class MyAnonamouse:
    """url: another than the site's own is for a stand-in. languages: ISO 639-1, of which the newest and the popular are; all
    where there are none."""

    name = NAME
    label = "MyAnonamouse"
    by_torrent = True

    def __init__(self, *, store: SessionStore, url: str = URL, languages: Iterable[str] = ()) -> None:
        self._store, self._url = store, url.rstrip("/")
        wanted = set(languages)
        self._languages = [number for number, (_, code) in LANGUAGES.items() if code in wanted]
        self._vip: tuple[float, bool] | None = None

    def search(self, http: Doorway, wanted: BookFacts, *, limit: int = 50) -> tuple[Release, ...]:
        """By title and the first author's last name; where that finds nothing, by the title alone."""
        title = words(parse_title(wanted.title).title) if wanted.title else ""
        if not title:
            return ()
        author = _last_name(wanted.author_names)
        for text in dict.fromkeys((f"{title} {author}".strip(), title)):
            asked = {"text": text, "srchIn": ["title", "author", "series"], "sortType": "default"}
            listing = self._listing(http, asked, most=limit, fresh_for=SAME_SEARCH_FRESH_FOR)
            if listing.releases:
                return listing.releases[:limit]
        return ()

    def newest(self, http: Doorway, cursor: str = "") -> Page:
        """Some come twice: two pages overlap, and whatever is added between them moves the others on."""
        start = int(cursor) if re.fullmatch(r"[0-9]{1,7}", cursor) else 0
        asked = {"text": "", "sortType": "dateDesc", "startNumber": start, **self._in_languages()}
        listing = self._listing(http, asked, most=MOST_PER_PAGE)
        through = start + listing.rows
        is_more = listing.rows > 0 and through < min(MOST_ROWS, through + 1 if listing.all is None else listing.all)
        following = through - min(OVERLAP, listing.rows // 2)
        return Page(
            releases=listing.releases,
            rows=listing.rows,
            cursor=str(following) if is_more else "",
            has_more=listing.rows > 0 and listing.all is not None and through < listing.all,
            unread=listing.unread,
        )

    def popular(self, http: Doorway, genre: str, *, since: date, limit: int = 10) -> tuple[Release, ...]:
        """The most fetched of those *added* since that day: the site counts no others. `genre`: a name or number of GENRES."""
        number = genre_number(genre)
        asked = {
            "text": "",
            "cat": [str(number)],
            "sortType": "snatchedDesc",
            "startDate": since.isoformat(),
            **self._in_languages(),
        }
        listing = self._listing(http, asked, most=limit, fresh_for=POPULAR_FRESH_FOR)
        first = datetime.combine(since, day_time(), UTC)
        return tuple(each for each in listing.releases if each.added is None or each.added >= first)[:limit]

    def look_again(self, http: Doorway, release: Release) -> Release | None:
        if not _is_number(release.id):
            return None
        listing = self._listing(http, {"text": "", "id": int(release.id)}, most=LEAST_PER_PAGE)
        found = next((each for each in listing.releases if each.id == release.id), None)
        if found is None and listing.rows:
            raise SourceError("MyAnonamouse was asked for one release, and answered with others.")
        return found

    def content(self, http: Doorway, release: Release) -> bytes:
        """The torrent file, which holds the member's passkey. The parameter that spends a wedge is never sent."""
        if not _is_number(release.id):
            raise Gone(f"“{release.id[:60]}” is no release of MyAnonamouse.", permanent=True)

        def ask(cookie: _Cookie) -> bytes:
            url = f"{self._url}/tor/download.php?tid={release.id}"
            for _ in range(MOST_HOPS + 1):
                is_own = urlsplit(url).netloc == urlsplit(self._url).netloc
                try:
                    got = http.download(
                        url,
                        most_bytes=torrents.MOST_BYTES,
                        trusted=is_own,
                        cookies=cookie,
                        pace=PACE,
                        follow=False,
                        heeds_busy=True,
                    )
                except HttpError as error:
                    raise _not_given(error.text, cookie, error.status) or error from None
                if not got.location:
                    return _torrent(got.body, cookie)
                url = _next_hop(url, got.location, cookie)
            raise SourceError("MyAnonamouse sends us from place to place for a torrent file.")

        torrent: bytes = self._with_session(ask)
        return torrent

    def account(self, http: Doorway) -> Account:
        """Never of a copy: what may be fetched depends on it."""

        def ask(cookie: _Cookie) -> Any:
            url, params = f"{self._url}/jsonLoad.php", {"snatch_summary": ""}
            return http.get_json(url, params=params, cookies=cookie, pace=PACE, follow=False, heeds_busy=True).data

        data = self._with_session(ask)
        account = parse_account(data)
        if not account.name and not account.grade:
            raise BadAnswer("MyAnonamouse answered with something that describes no account.")
        self._vip = time.monotonic(), account.grade.lower() in _VIP_GRADES
        return account

    def _in_languages(self) -> dict[str, Any]:
        # An empty list would find nothing.
        return {"browse_lang": self._languages} if self._languages else {}

    def _listing(
        self, http: Doorway, asked: Mapping[str, Any], *, most: int, fresh_for: timedelta | None = None
    ) -> _Listing:
        # `perpage` has no effect within `tor`. `dlLink` is never asked for: what it adds is a secret, and not needed.
        body = {
            "perpage": min(max(most, LEAST_PER_PAGE), MOST_PER_PAGE),
            **{"isbn": "", "mediaInfo": "", "thumbnail": ""},
            "tor": {
                **{"searchType": "all", "searchIn": "torrents", "main_cat": [AUDIOBOOKS], "cat": ["0"]},
                "startNumber": 0,
                **asked,
            },
        }

        def ask(cookie: _Cookie) -> Any:
            return http.post_json(
                f"{self._url}/tor/js/loadSearchJSONbasic.php",
                data=body,
                cookies=cookie,
                pace=PACE,
                fresh_for=fresh_for,
                found=_verdict,
            ).data

        data = self._with_session(ask)
        rows = reading.mapping(data).get("data")
        if not isinstance(rows, list):
            if _verdict(data) is False:
                return _Listing(releases=(), rows=0, all=0, unread={})
            raise BadAnswer("MyAnonamouse answered with something that is no list of releases.")
        vip = self._vip[1] if self._vip and time.monotonic() - self._vip[0] < _CLASS_HOLDS_FOR else None
        read = [(row, parse(row, url=self._url, vip=vip)) for row in reading.mappings(rows)]
        if unread := len(rows) - sum(release is not None for _, release in read):
            logger.warning("Of %d releases of MyAnonamouse %d could not be read.", len(rows), unread)
        answer = reading.mapping(data)
        counts = (count(answer.get(key)) for key in ("found", "total_found"))
        return _Listing(
            releases=tuple(release for _, release in read if release is not None and release.facts.is_audio),
            rows=len(rows),
            all=next((each for each in counts if each is not None), None),
            unread=next((_discreet(row) for row, release in read if release is None), {}),
        )

    def _with_session(self, ask: Callable[[_Cookie], Any]) -> Any:
        """Where the site does not know the rotated session, once more with the one that the person pasted."""
        cookie = _Cookie(self._store, self._url)
        try:
            return _checked(ask, cookie)
        except WrongSession:
            raise
        except SignedOut:
            if not cookie.once_more():
                raise
        logger.info("MyAnonamouse does not know its session any more; the one that was pasted is tried.")
        data = _checked(ask, cookie)
        cookie.keep()
        return data


def _checked(ask: Callable[[_Cookie], Any], cookie: _Cookie) -> Any:
    """Its answer, which is no error. Raises ServiceError, with a SourceError wherever it is known what the site means."""
    try:
        data = ask(cookie)
    except HttpError as error:
        raise _meant(error, cookie) from None
    except BadAnswer as error:
        said = cookie.without(_in_short(error.text))
        if error.text and (known := _known(error.text, said)):
            raise known from None
        if "<" in error.text[:200]:
            raise SourceError(f"MyAnonamouse answered with a page in place of data: {said}") from None
        if error.text.lower().startswith("error"):
            raise SourceError(f"MyAnonamouse says: {said}") from None
        raise
    answer = reading.mapping(data)
    said = reading.text(answer.get("error")) or (
        reading.text(answer.get("msg")) if answer.get("Success") is False or answer.get("success") is False else ""
    )
    if said and not _NOTHING.match(said):
        said = cookie.without(_in_short(said))
        raise _known(said, said) or SourceError(f"MyAnonamouse says: {said}")
    if "data" in answer and answer["data"] is None:
        said = cookie.without(_in_short(reading.text(answer.get("message"))))
        raise SourceError(f"The search of MyAnonamouse is out of order: {said or 'it does not say why.'}")
    return data


def _torrent(body: bytes, cookie: _Cookie) -> bytes:
    """Raises what is meant where it is none."""
    if torrents.is_torrent(body):
        return body
    if torrents.may_hold_passkey(body):
        raise SourceError("MyAnonamouse sent a torrent file that is broken.")
    text = cookie.without(body[:4000].decode("utf-8", "replace"))
    raise _not_given(text, cookie) or BadAnswer("MyAnonamouse sent something that is no torrent file.", text=text)


def _not_given(text: str, cookie: _Cookie, status: int = 200) -> SourceError | None:
    """What the answer to a download says of this release, None where it says nothing of it."""
    said = cookie.without(_in_short(text))
    if _LIMITED.search(text):
        return Refused(f"MyAnonamouse does not give this release now. It says: {said}")
    if status in (404, 410) or _NO_SUCH.search(text):
        return Gone("MyAnonamouse has no torrent of this release any more.", permanent=True)
    return None


def _next_hop(url: str, location: str, cookie: _Cookie) -> str:
    """The address that a redirect leads to, on the site. It may be the member's own, so that no message quotes it."""
    try:
        following = urljoin(url, location)
        parts = urlsplit(following)
    except ValueError:
        raise SourceError("MyAnonamouse sends us to something that is no address.") from None
    if _SIGNED_OUT.search(parts.path):
        raise _signed_out("")
    if not cookie.is_home(following):
        raise SourceError("MyAnonamouse sends us to another site for a torrent file.")
    if any(name.lower() == "fl" for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise SourceError("MyAnonamouse sends us to an address that would spend a wedge.", permanent=True)
    return following


def _meant(error: HttpError, cookie: _Cookie) -> ServiceError:
    data = reading.mapping(error.data)
    said = next((text for key in ("msg", "error", "message") if (text := reading.text(data.get(key)))), "")
    said = cookie.without(_in_short(said or error.text))
    if error.status == 429:
        return Throttled(
            "MyAnonamouse was asked too often, and wants quiet.", retry_after=error.retry_after or QUIET_AFTER_THROTTLE
        )
    if error.status >= 500:
        message = f"MyAnonamouse is out of order, and answers with HTTP {error.status}. {said}"
        return SourceError(message.rstrip(), retry_after=error.retry_after)
    if known := _known(f"{said} {error.text}", said):
        return known
    if 300 <= error.status < 400:
        return SourceError("MyAnonamouse sends us elsewhere: correct its address.", permanent=True)
    if error.status == 401 or (error.status == 403 and re.search(r"\b(?:session|cookie)\b", said, re.IGNORECASE)):
        return _signed_out(said)
    if error.status == 403:
        return SourceError(
            "MyAnonamouse refuses this computer without a reason: its address may be blocked, or the session at its end."
            f" {said}".rstrip(),
            retry_after=error.retry_after or QUIET_AFTER_REFUSAL,
        )
    if error.status == 404:
        return SourceError("At the address of MyAnonamouse there is none: correct it.", permanent=True)
    return SourceError(str(error), permanent=error.permanent, retry_after=error.retry_after)


def _known(text: str, said: str) -> SourceError | None:
    """What a text of the site means, in JSON, in a page or alone."""
    if _WRONG_ADDRESS.search(text):
        return WrongAddress(
            "MyAnonamouse knows the session, but from another address of the internet: a VPN may have changed it, or the "
            f"session is locked to too little. It says: {said}",
            retry_after=QUIET_AFTER_REFUSAL,
        )
    if _WRONG_SESSION.search(text):
        return WrongSession(
            f"What was given as session of MyAnonamouse is of another kind, such as a browser's: {_MAKE_ONE} "
            f"It says: {said}",
            permanent=True,
        )
    if _SIGNED_OUT.search(text):
        return _signed_out(said)
    if _THROTTLED.search(text):
        return Throttled("MyAnonamouse was asked too often, and wants quiet.", retry_after=QUIET_AFTER_THROTTLE)
    return None


def _signed_out(said: str) -> SignedOut:
    message = f"MyAnonamouse does not know the session: {_MAKE_ONE}"
    return SignedOut(f"{message} It says: {said}".removesuffix(" It says: "), permanent=True)


def _in_short(text: str) -> str:
    return reading.plain(text).replace("\n", " ")[:200].strip()


def _verdict(data: Any) -> bool | None:
    """Of an answer to a search, as Doorway.get_json has it. What no copy may hold is taken out of it here."""
    answer = reading.mapping(data)
    rows = answer.get("data")
    if isinstance(rows, list):
        for row in reading.mappings(rows):
            kept = _discreet(row)
            row.clear()
            row.update(kept)
        return bool(rows)
    return False if _NOTHING.match(reading.text(answer.get("error"))) else None


# -- rows


def parse(row: dict[str, Any], *, url: str = URL, vip: bool | None = None) -> Release | None:
    """None where it has no number or no title. `vip`: whether the member has free what VIPs have free; None is unknown."""
    own, name = reading.text(row.get("id")), reading.text(row.get("title")) or reading.text(row.get("name"))
    if not _is_number(own) or not name:
        return None
    tags = reading.text(row.get("tags"))
    size, files, genres = bytes_of(row.get("size")), count(row.get("numfiles")), _genres(row)
    media = _object(row.get("mediainfo"))
    bitrate = _bitrate(tags) or _bitrate_of_media(media)
    identifier = reading.text(row.get("isbn"))
    facts = BookFacts(
        source=NAME,
        id=own,
        title=name,
        authors=tuple(Contributor(name=who, id=number) for number, who in people(row.get("author_info"))),
        narrators=reading.each_once(who for _, who in people(row.get("narrator_info"))),
        series=series(row.get("series_info")),
        genres=genres,
        description=reading.plain(_BB_CODE.sub("", row["description"]))
        if isinstance(row.get("description"), str)
        else "",
        language=_language(row),
        abridged=_abridged(f"{name} {tags}", count(row.get("browseflags")) or 0),
        runtime=_runtime(media, size=size, files=files, bitrate=bitrate),
        # A number of ten digits is an ISBN here, although Audible uses such as an ASIN.
        asin="" if isbn13(identifier) else asin(identifier),
        isbns=reading.each_once([isbn13(identifier)]),
        cover_url=reading.https(row.get("thumbnail")),
        is_audio=_is_audiobook(row),
    )
    return Release(
        source=NAME,
        id=own,
        name=name,
        facts=facts,
        size=size,
        files=files,
        seeders=count(row.get("seeders")),
        leechers=count(row.get("leechers")),
        fetched=count(row.get("times_completed")),
        added=moment(row.get("added")),
        free=_is_free(row, vip),
        genres=genres,
        formats=_formats(row),
        bitrate=bitrate,
        link=f"{url.rstrip('/')}/t/{own}",
        fetch=own,
        raw=_discreet(row),
    )


def parse_account(data: Any) -> Account:
    """Of jsonLoad.php, whose buckets are beside the rest or in an object of their own."""
    answer = reading.mapping(data)
    buckets = {**answer, **reading.mapping(answer.get("snatch_summary"))}
    unsatisfied = reading.mapping(buckets.get("unsat"))

    def volume(name: str) -> int | None:
        exact = count(answer.get(f"{name}_bytes"))
        return bytes_of(answer.get(name)) if exact is None else exact

    return Account(
        name=reading.text(answer.get("username")),
        grade=reading.text(answer.get("classname")),
        ratio=ratio(answer.get("ratio")),
        uploaded=volume("uploaded"),
        downloaded=volume("downloaded"),
        unsatisfied=count(unsatisfied.get("count")),
        unsatisfied_limit=count(unsatisfied.get("limit")),
        wedges=count(answer.get("wedges")),
        points=count(answer.get("seedbonus")),
    )


def genre_number(genre: str) -> int:
    """Raises SourceError."""
    for number, name in GENRES.items():
        if genre.strip() == str(number) or normalise(genre) == normalise(name):
            return number
    raise SourceError(f"MyAnonamouse has no genre “{genre[:60]}” of audiobooks.", permanent=True)


def words(text: str) -> str:
    """Letters, with their marks, and digits alone: quotes, bars, stars and dashes mean something to the search."""
    kept = (each if unicodedata.category(each)[0] in "LMN" else " " for each in unicodedata.normalize("NFC", text))
    return " ".join("".join(kept).split())[:200]


def _is_number(id: str) -> bool:
    return bool(re.fullmatch(r"[0-9]{1,12}", id))


def _last_name(authors: Sequence[str]) -> str:
    """As it is written, accents and all."""
    for name in authors:
        if who := person(name):
            # "O'Brien" is one word, "Saint-Exupéry" two.
            parts = [*name.replace(".", ". ").replace(",", ", ").split(), *words(name).split()]
            return next((words(part) for part in parts if normalise(part) == who.last), "")
    return ""


def count(value: Any) -> int | None:
    """A whole number from zero, also as text and with commas."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if math.isfinite(value) and 0 <= value < 2**63 else None
    if isinstance(value, str):
        # Not isdigit, which a superscript is too.
        text = value.strip().replace(",", "")
        if not re.fullmatch(r"[0-9]{1,18}(?:\.[0-9]{1,6})?", text):
            return None
        value = int(text.partition(".")[0])
    return value if isinstance(value, int) and 0 <= value < 2**63 else None


def bytes_of(value: Any) -> int | None:
    """Of "1,016.2 KiB" and of bare bytes; zero is unknown."""
    if isinstance(value, str) and (found := _SIZE.fullmatch(value.strip())) and len(value) < 40:
        value = round(float(found[1].replace(",", "")) * _UNITS[(found[2] or "").lower()])
    return count(value) or None


def ratio(value: Any) -> float | None:
    """Infinite where it says so."""
    if isinstance(value, str):
        text = value.strip().replace(",", "").lower()
        if text in ("∞", "inf", "inf.", "infinity", "infinite", "&infin;"):
            return math.inf
        if not re.fullmatch(r"[0-9]{1,12}(?:\.[0-9]{1,12})?", text):
            return None
        value = float(text)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value < 1e300 else None


def moment(value: Any) -> datetime | None:
    """Its times name no zone, and are UTC."""
    try:
        found = datetime.strptime(reading.text(value), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return found if found.year > 1990 else None


def people(value: Any) -> tuple[tuple[str, str], ...]:
    """(number, name) of an object that is a text, of one that is none, of a list of names, and of a broken one."""
    found = _object(value)
    if found is None and isinstance(value, str):
        pairs: list[tuple[Any, Any]] = list(_BROKEN_NAME.findall(value))
    elif isinstance(found, list):
        pairs = [("", each) for each in found]
    else:
        pairs = list(reading.mapping(found).items())
    named: dict[str, str] = {}
    for number, said in pairs:
        if name := reading.text(said):
            named.setdefault(name, reading.text(number))
    return tuple((number, name) for name, number in named.items())


def series(value: Any) -> tuple[SeriesPlace, ...]:
    """Of number → [name, position, …]; the position stays text: "01-16, 13.5"."""
    found = _object(value)
    if found is None and isinstance(value, str):
        pairs: list[tuple[Any, Any]] = [(number, [name, at]) for number, name, at in _BROKEN_PLACE.findall(value)]
    else:
        pairs = list(reading.mapping(found).items())
    places = []
    for number, said in pairs:
        name, position, *_ = [*said, "", ""] if isinstance(said, list) else [said, "", ""]
        if name := reading.text(name):
            places.append(SeriesPlace(name=name, position=reading.position(position), id=reading.text(number)))
    return tuple(places)


def _object(value: Any) -> Any:
    """What is JSON within a text, maybe twice; None where it is broken."""
    for _ in range(2):
        if not isinstance(value, str):
            break
        try:
            value = json.loads(value, parse_constant=lambda _: None) if value.strip() else {}
        except (ValueError, RecursionError):
            return None
    return {} if value is None else value


def _is_yes(value: Any) -> bool:
    return value is True or reading.text(value).lower() in ("1", "yes", "true")


def _is_free(row: Mapping[str, Any], vip: bool | None) -> bool | None:
    if any(_is_yes(row.get(key)) for key in ("free", "personal_freeleech")):
        return True
    if _is_yes(row.get("fl_vip")) or _is_yes(row.get("vip")):
        return vip
    return False if {"free", "vip", "fl_vip"} & row.keys() else None


def _is_audiobook(row: Mapping[str, Any]) -> bool:
    """Whether it is what was asked for; a row that does not say so is."""
    main = count(row.get("main_cat"))
    return main == AUDIOBOOKS if main is not None else count(row.get("mediatype")) in (None, 1)


def _genres(row: Mapping[str, Any]) -> tuple[str, ...]:
    category = count(row.get("category"))
    own = GENRES.get(category, "") if category is not None else ""
    own = own or re.sub(r"^Audiobooks\s*-\s*", "", reading.text(row.get("catname")))
    themes = _object(row.get("categories"))
    numbers = [count(each) for each in themes] if isinstance(themes, list) else []
    return reading.each_once([own, *(THEMES.get(number, "") for number in numbers if number is not None)])


def _language(row: Mapping[str, Any]) -> str:
    number = count(row.get("language"))
    return language_code(reading.text(row.get("lang_code"))) or (LANGUAGES.get(number, ("", ""))[1] if number else "")


def _formats(row: Mapping[str, Any]) -> tuple[str, ...]:
    said = row.get("filetype") or row.get("filetypes")
    return reading.each_once(word for each in reading.texts(said) for word in re.findall(r"[a-z0-9]+", each.lower()))


def _abridged(text: str, flags: int) -> bool | None:
    """None where it is both, as a collection is."""
    said = {found[1] is None for found in ABRIDGED.finditer(text)}
    if flags & _ABRIDGED_FLAG:
        said.add(True)
    return said.pop() if len(said) == 1 else None


def _bitrate(text: str) -> int | None:
    """None of several, and of "64–128 Kbps"."""
    found = {int(each) for each in _KBPS.findall(text)}
    return found.pop() if len(found) == 1 and not _RANGE_OF_KBPS.search(text) else None


def _bitrate_of_media(media: Any) -> int | None:
    for name, section in reading.mapping(media).items():
        if re.fullmatch(r"audio ?#?1?", str(name), re.IGNORECASE):
            for key, value in reading.mapping(section).items():
                if re.fullmatch(r"(?:overall ?)?bit ?_?rate", str(key), re.IGNORECASE):
                    return _bitrate(reading.text(value))
    return None


def _runtime(media: Any, *, size: int | None, files: int | None, bitrate: int | None) -> int | None:
    """Of the whole: mediainfo describes one file, so that it must go with the size."""
    general = next((value for key, value in reading.mapping(media).items() if str(key).lower() == "general"), None)
    said = next((value for key, value in reading.mapping(general).items() if str(key).lower() == "duration"), None)
    runtime = duration(said)
    if runtime is None or files == 1:
        return runtime
    if size is None:
        return None
    # Covers and the like are beside it.
    return runtime if size * 8 / 1000 / runtime <= (bitrate * 1.5 if bitrate else 400) else None


def duration(value: Any) -> int | None:
    """Whole seconds of "9 h 2 min", "1h 2mn 3s" and "09:02:11"; a bare number may be of anything."""
    text = reading.text(value).lower()
    if found := re.fullmatch(r"([0-9]{1,3}):([0-5][0-9]):([0-5][0-9])(?:\.[0-9]+)?", text):
        seconds = int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3])
    elif text and (
        found := re.fullmatch(
            r"(?:([0-9]{1,3})\s*h(?:ours?|rs?)?)?\s*(?:([0-9]{1,4})\s*m(?:i?n)?(?:utes?|s)?)?"
            r"\s*(?:([0-9]{1,2})(?:\.[0-9]+)?\s*s(?:ec(?:onds?)?)?)?(?:\s*[0-9]{1,3}\s*ms)?",
            text,
        )
    ):
        hours, minutes, rest = (int(each or 0) for each in found.groups())
        seconds = hours * 3600 + minutes * 60 + rest
    else:
        return None
    return seconds if 0 < seconds <= _LONGEST else None


def _discreet(row: Mapping[str, Any]) -> dict[str, Any]:
    """Without what fetches as the member, also where it is part of another value, and without who uploaded."""
    hidden = reading.text(row.get("dl"))

    def without(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace(hidden, "") if len(hidden) >= _SHORTEST_SECRET else value
        if isinstance(value, dict):
            return {key: without(each) for key, each in value.items()}
        return [without(each) for each in value] if isinstance(value, list) else value

    return {key: without(value) for key, value in row.items() if str(key).lower() not in _NOT_KEPT}
