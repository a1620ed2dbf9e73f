"""Pages of MyAnonamouse that a member reads, such as its guides, with a session of the member's own browser.

The site has no interface for them, and a session for programs does not open them. So nothing is asked for but the pages that
a person has listed, one at a time and slowly; no link is followed, nobody is signed in, and the first refusal ends it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from audiobooks.exceptions import Forbidden, HttpError, ServiceError, SignedOut, SourceError, Throttled
from audiobooks.http import Doorway, Pace
from audiobooks.sources import pages
from audiobooks.sources.cleaning import BLANK, clean_text, safe_url
from audiobooks.sources.markup import NotReadable
from audiobooks.sources.myanonamouse import COOKIE, QUIET_AFTER_THROTTLE, URL, SessionStore, rotated, seed

# What else reads these pages waits 10 to 30 s (https://github.com/AlmightyTopher/MAMcrawler); a person is no faster.
PACE = Pace(every=15.0, at_once=1)
FRESH_FOR = timedelta(hours=20)
"""A page is asked for once a night, also where the Task is run again."""
MOST_BYTES = 4 * 1024 * 1024

# Pages that do something, or open something as the member.
_NO_PAGE = re.compile(
    r"log(?:out|in)|takelogin|download|bonus_?buy|/json|\.torrent|delete|preferences|/tor/", re.IGNORECASE
)
_SIGNED_OUT = re.compile(r"not (?:signed|logged) in|invalid (?:session|cookie)|session expired", re.IGNORECASE)


class PageError(SourceError):
    """Of this page alone: the others are worth asking for."""


class PageGone(PageError):
    """The site says that there is no such page."""


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """as_of: when the site gave it, or said that it is the same as before."""

    page: pages.Page
    as_of: datetime


def path_of(given: str, url: str = URL) -> str:
    """A page as a person lists it, by its path or its whole address, as a path. Raises ValueError with a sentence."""
    given = given.strip()
    shown = clean_text(given)[:80]
    try:
        parts, home = urlsplit(given), urlsplit(url)
    except ValueError:
        raise ValueError(f"“{shown}” is no path of a page.") from None
    if parts.netloc and (parts.scheme.lower(), parts.netloc.lower()) != (home.scheme, home.netloc.lower()):
        raise ValueError(f"“{shown}” is not on {home.netloc}.")
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    if (
        not re.fullmatch(r"/[!-~]{0,250}", path)
        or path.startswith("//")
        or ".." in path
        or (parts.scheme and not parts.netloc)
    ):
        raise ValueError(f"“{shown}” is no path of a page, such as /guides/?gid=72809.")
    if _NO_PAGE.search(path) or safe_url(url.rstrip("/") + path) != url.rstrip("/") + path:
        raise ValueError(f"“{shown}” does something, or opens something as you, and is no page to read.")
    return path


def listed(given: Iterable[str], url: str = URL) -> tuple[list[str], list[str]]:
    """The paths of pages that a person lists, each once, and what is wrong with the others."""
    paths: dict[str, None] = {}
    problems = []
    for one in given:
        try:
            paths[path_of(one, url)] = None
        except ValueError as error:
            problems.append(str(error))
    return list(paths), problems


class MemberPages:
    """url: another than the site's own is for a stand-in."""

    def __init__(self, *, store: SessionStore, url: str = URL) -> None:
        self._store, self._url = store, url.rstrip("/")

    def fetch(self, http: Doorway, path: str) -> Fetched:
        """A page, by what `path_of` gave.

        Raises ServiceError: PageError where only this page is concerned; SignedOut, Throttled and any other where it is the
        site, so that no other page is to be asked for.
        """
        cookie = _BrowserCookie(self._store, self._url)

        def read(text: str) -> dict[str, Any]:
            page = _page(cookie.without(text), path, self._url)
            return {"title": page.title, "text": page.text, "is_boxed": page.is_boxed}

        try:
            answer = http.get_text(
                self._url + path,
                accept="text/html",
                cookies=cookie,
                pace=PACE,
                follow=False,
                fresh_for=FRESH_FOR,
                read=read,
                most_bytes=MOST_BYTES,
            )
        except HttpError as error:
            raise _meant(error, cookie, path) from None
        kept = answer.data
        # Also a copy that an earlier release has read is without what this one takes for a secret.
        page = pages.Page(title=kept["title"], text=clean_text(kept["text"]), is_boxed=kept["is_boxed"])
        return Fetched(page=page, as_of=answer.as_of)


class _BrowserCookie:
    """The session goes to the very address of the site alone; what it is given in its place is kept."""

    def __init__(self, store: SessionStore, url: str) -> None:
        self._store, self._home = store, urlsplit(url)
        self._known: set[str] = set()
        self._pasted = self._sent = ""

    def to_send(self, url: str) -> Mapping[str, str]:
        if not self._is_home(url):
            raise Forbidden(
                "The browser session of MyAnonamouse is sent to that site over https alone.", permanent=True
            )
        session = self._store.load()
        self._pasted = session.seed
        self._sent = session.current or seed(session.seed)
        self._known |= {each for each in (self._sent, seed(session.seed)) if each}
        if not self._sent:
            raise SignedOut("MyAnonamouse has no browser session to read its pages with.", permanent=True)
        return {COOKIE: self._sent}

    def given(self, url: str, set_cookie: Sequence[str]) -> None:
        host = urlsplit(url).hostname or ""
        values = [value for header in set_cookie if (value := rotated(header, host, time.time()))]
        self._known |= set(values)
        if values and self._is_home(url) and values[-1] != self._sent:
            self._store.save(values[-1], seed=self._pasted)

    def _is_home(self, url: str) -> bool:
        there = urlsplit(url)
        if self._home.scheme != "https" and not _is_loopback(self._home.hostname):
            return False
        return (there.scheme, there.netloc.lower()) == (self._home.scheme, self._home.netloc.lower())

    def without(self, text: str) -> str:
        for value in sorted(self._known, key=len, reverse=True):
            text = text.replace(value, BLANK)
        return text


def _is_loopback(host: str | None) -> bool:
    return host in ("127.0.0.1", "::1", "localhost")


def _page(text: str, path: str, url: str) -> pages.Page:
    """Raises SignedOut, Throttled, PageError."""
    if not re.search(r"<(?:!doctype|html|head|body|div|p|table|br)\b", text[:5000], re.IGNORECASE):
        raise PageError(f"MyAnonamouse answered for {path} with something that is no page.")
    try:
        page = pages.read_html(text, name=path, address=url + path)
    except pages.LoginPage:
        raise _signed_out() from None
    except NotReadable as error:
        raise PageError(f"MyAnonamouse answered for {path} with a page that cannot be read. {error}") from None
    said = page.text[:500]
    if not page.is_boxed and len(page.text) < 1000:
        if _SIGNED_OUT.search(said):
            raise _signed_out()
        if re.search(r"too many requests|rate limit", said, re.IGNORECASE):
            raise _throttled(None)
        if re.match(r"[#\s]*(?:error|sorry|\d{3}\b)", said, re.IGNORECASE):
            raise PageError(f"MyAnonamouse answered for {path} with an error: {_in_short(said)}")
    return page


def _meant(error: HttpError, cookie: _BrowserCookie, path: str) -> ServiceError:
    said = _in_short(clean_text(cookie.without(error.text)))
    if error.status == 429:
        return _throttled(error.retry_after)
    if 300 <= error.status < 400:
        if "login" in error.text.lower():
            return _signed_out()
        return PageError(f"MyAnonamouse has {path} at another address now: list that one.", permanent=True)
    if error.status in (404, 410):
        return PageGone(f"MyAnonamouse says that there is no page {path}.", permanent=True)
    if _SIGNED_OUT.search(error.text):
        return _signed_out()
    if error.status in (401, 403):
        return SourceError(
            "MyAnonamouse refuses its pages: the browser session is at its end, of another address of the internet, or not "
            f"wanted here. {said}".rstrip(),
            permanent=True,
            retry_after=error.retry_after,
        )
    if error.status >= 500:
        message = f"MyAnonamouse is out of order, and answers with HTTP {error.status}."
        return SourceError(message, retry_after=error.retry_after)
    return PageError(f"MyAnonamouse answered for {path} with HTTP {error.status}. {said}".rstrip())


def _signed_out() -> SignedOut:
    return SignedOut(
        "MyAnonamouse does not know the browser session any more: sign in with a browser again and set MAM_BROWSER_SESSION to "
        "the new one, or empty it.",
        permanent=True,
    )


def _throttled(retry_after: timedelta | None) -> Throttled:
    return Throttled(
        "MyAnonamouse was asked too often, and wants quiet.", retry_after=retry_after or QUIET_AFTER_THROTTLE
    )


def _in_short(text: str) -> str:
    text = re.sub(r"<[^<>]{0,500}>", " ", text)
    return " ".join(text.split())[:120]
