"""System checks of the outside: what in the settings cannot work is said at start-up, with the way out."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from audiobooks.clients.paths import is_absolute
from audiobooks.clients.registry import CLIENTS
from audiobooks.facts import BookFacts
from audiobooks.library.folder import AUDIO
from audiobooks.matching.names import language_code
from audiobooks.metadata.audible import DOMAINS
from audiobooks.metadata.registry import NEEDS, PROVIDERS
from audiobooks.shelf_path import BadTemplate, target_for
from audiobooks.sources import registry as sources
from audiobooks.sources.myanonamouse import LANGUAGES, MyAnonamouse
from audiobooks.sources.myanonamouse_pages import listed

_URLS = ("AUDNEXUS_URL", "AUDIBLE_URL", "OPEN_LIBRARY_URL", "GOOGLE_BOOKS_URL", "HARDCOVER_URL", "LIBRIVOX_URL")
_FROM_ZERO = (
    *("FOLLOW_AUTHORS", "RELEASE_BITRATE", "RELEASE_SEEDERS", "BUDGET_RATIO", "BUDGET_FREE_GB"),
    *("BUDGET_RUN", "BUDGET_RUN_GB", "BUDGET_WEEK", "BUDGET_WEEK_GB"),
)


@register()
def check_providers(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for name in settings.METADATA_PROVIDERS:
        if name not in PROVIDERS:
            found.append(
                Error(
                    f"METADATA_PROVIDERS names “{name}”, and there is no such provider.",
                    hint=f"Correct it in .env. There are: {', '.join(PROVIDERS)}.",
                    id="audiobooks.E001",
                )
            )
        elif name in NEEDS and not getattr(settings, NEEDS[name]):
            found.append(
                Error(
                    f"METADATA_PROVIDERS names {name}, which answers nobody without {NEEDS[name]}.",
                    hint=f"Set {NEEDS[name]} in .env, which says where to get it, or take {name} out of METADATA_PROVIDERS.",
                    id="audiobooks.E002",
                )
            )
    if settings.AUDIBLE_REGION not in DOMAINS:
        found.append(
            Error(
                f"AUDIBLE_REGION is “{settings.AUDIBLE_REGION}”, and Audible has no such marketplace that we know.",
                hint=f"Correct it in .env. There are: {', '.join(sorted(DOMAINS))}.",
                id="audiobooks.E003",
            )
        )
    for name in _URLS:
        if not _is_http(getattr(settings, name)):
            found.append(
                Error(
                    f"{name} is no address of http or https.",
                    hint="Correct it in .env, or empty it for the public service.",
                    id="audiobooks.E004",
                )
            )
    return found


@register()
def check_audiobookshelf(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    url, key = settings.AUDIOBOOKSHELF_URL, settings.AUDIOBOOKSHELF_KEY
    if bool(url) != bool(key):
        there, lacking = ("AUDIOBOOKSHELF_URL", "AUDIOBOOKSHELF_KEY")[:: 1 if url else -1]
        return [
            Error(
                f"{there} is set and {lacking} is not: the library of Audiobookshelf cannot be read.",
                hint=f"Set {lacking} in .env, which says where to get it, or empty {there}.",
                id="audiobooks.E005",
            )
        ]
    if url and not _is_http(url):
        return [
            Error(
                "AUDIOBOOKSHELF_URL is no address of http or https.",
                hint="Correct it in .env: such as http://192.168.1.5:13378, with the sub-path if there is one.",
                id="audiobooks.E006",
            )
        ]
    return []


@register()
def check_sources(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for name in settings.SOURCES:
        if name not in sources.names():
            found.append(
                Error(
                    f"SOURCES names “{name}”, and there is no such source.",
                    hint=f"Correct it in .env. There are: {', '.join(sources.names())}.",
                    id="audiobooks.E010",
                )
            )
        elif not sources.is_configured(name):
            found.append(
                Error(
                    f"SOURCES names {name}, which answers nobody without MAM_SESSION.",
                    hint=f"Set MAM_SESSION in .env, which says where to get it, or take {name} out of SOURCES.",
                    id="audiobooks.E011",
                )
            )
    times = Counter(each["name"] for each in settings.TORZNAB_INDEXERS)
    for number, each in enumerate(settings.TORZNAB_INDEXERS, 1):
        # Not as it stands there: it may hold the key.
        is_name = re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", each["name"]) and each["name"] not in sources.OWN
        if not is_name or times[each["name"]] > 1 or not _is_http(each["url"]):
            found.append(
                Error(
                    f"Number {number} of TORZNAB_INDEXERS is not NAME|URL|KEY with a name of its own.",
                    hint="Correct it in .env: such as fiction|http://192.168.1.5:9696/3/api|KEY, with small letters, digits, "
                    f"- and _ in the name, which may not be {' or '.join(sources.OWN)}.",
                    id="audiobooks.E012",
                )
            )
    known = {code for _, code in LANGUAGES.values() if code}
    if unknown := [code for code in settings.MAM_LANGUAGES if code not in known]:
        found.append(
            Error(
                f"MAM_LANGUAGES names “{unknown[0]}”, which {MyAnonamouse.label} has no language for that we know.",
                hint=f"Correct it in .env. There are: {', '.join(sorted(known))}.",
                id="audiobooks.E013",
            )
        )
    for name in ("MAM_URL", "ARCHIVE_URL"):
        if not _is_http(getattr(settings, name)):
            found.append(
                Error(
                    f"{name} is no address of http or https.",
                    hint="Correct it in .env, or empty it for the public service.",
                    id="audiobooks.E014",
                )
            )
    if settings.CRAWL_PAGES < 1:
        found.append(
            Error(
                "CRAWL_PAGES is less than 1: no crawl would read anything.",
                hint="Correct it in .env.",
                id="audiobooks.E015",
            )
        )
    return found


@register()
def check_guides(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if not settings.MAM_BROWSER_SESSION:
        return []
    if not _is_http(settings.MAM_URL):
        # E014 says so.
        return []
    home = urlsplit(settings.MAM_URL)
    found: list[CheckMessage] = []
    if home.scheme != "https" and home.hostname not in ("127.0.0.1", "localhost", "::1"):
        found.append(
            Error(
                "MAM_URL is no address of https: the browser session would be sent for all to read.",
                hint="Empty it in .env, for the site itself.",
                id="audiobooks.E020",
            )
        )
    _, problems = listed(settings.GUIDES_PAGES, settings.MAM_URL)
    for problem in problems:
        found.append(
            Error(
                f"GUIDES_PAGES: {problem}",
                hint="Correct it in .env: paths of pages on the site, such as /guides/?gid=72809.",
                id="audiobooks.E021",
            )
        )
    return found


@register()
def check_torrent_client(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if all(getattr(settings, f"{prefix}_URL") for prefix in CLIENTS):
        found.append(
            Error(
                f"{' and '.join(f'{prefix}_URL' for prefix in CLIENTS)} are set: which client is meant is not guessed.",
                hint="Empty one of them in .env.",
                id="audiobooks.E040",
            )
        )
    for prefix in CLIENTS:
        found += _check_client(prefix)
    for theirs, ours in settings.DOWNLOAD_PATHS.items():
        if not is_absolute(theirs) or not ours.startswith("/"):
            found.append(
                Error(
                    f"DOWNLOAD_PATHS has “{theirs}”, and does not say with whole paths where that is.",
                    hint="Correct it in .env: THEIRS=>OURS, such as /downloads=>/mnt/torrents.",
                    id="audiobooks.E043",
                )
            )
    return found


def _check_client(prefix: str) -> list[CheckMessage]:
    url, user, password = (getattr(settings, f"{prefix}_{name}") for name in ("URL", "USER", "PASSWORD"))
    if bool(user) != bool(password) or (user and not url):
        has = {f"{prefix}_URL": url, f"{prefix}_USER": user, f"{prefix}_PASSWORD": password}
        lacking = " and ".join(name for name, value in has.items() if not value)
        return [
            Error(
                f"{' and '.join(name for name, value in has.items() if value)} without {lacking}: the client cannot be asked.",
                hint=f"Set {lacking} in .env. It takes neither user nor password where the client lets this machine in without.",
                id="audiobooks.E041",
            )
        ]
    if url and not _is_plain_address(url):
        # Not as it stands there: it may hold the password.
        return [
            Error(
                f"{prefix}_URL is no address of http or https alone.",
                hint="Correct it in .env: such as http://192.168.1.5:8080, with the sub-path if there is one; user and password "
                "have settings of their own.",
                id="audiobooks.E042",
            )
        ]
    return []


def _is_plain_address(url: str) -> bool:
    """Without user, password, question and fragment."""
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return _is_http(url) and is_whole and not any(mark in url for mark in "@?# ")


@register()
def check_acquiring(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []

    def wrong(number: int, message: str, hint: str) -> None:
        found.append(Error(message, hint=f"Correct it in .env: {hint}", id=f"audiobooks.E{number:03}"))

    if settings.ACQUIRE not in ("auto", "review"):
        wrong(30, f"AUDIOBOOKS_ACQUIRE is “{settings.ACQUIRE}”.", "it is auto or review.")
    if settings.RELEASE_COST not in ("free", "paid"):
        wrong(31, f"RELEASE_COST is “{settings.RELEASE_COST}”.", "it is free or paid.")
    for name in _FROM_ZERO:
        value = getattr(settings, name)
        if not 0 <= value < math.inf:
            wrong(32, f"{name} is {value}.", "a number from 0 on.")
    for code in settings.RELEASE_LANGUAGES:
        if language_code(code) != code:
            wrong(33, f"RELEASE_LANGUAGES names “{code}”.", "codes of ISO 639-1 in small letters, such as en,de.")
    formats = sorted(suffix.strip(".") for suffix in AUDIO)
    for name in settings.RELEASE_FORMATS:
        if name not in formats:
            wrong(
                34,
                f"RELEASE_FORMATS names “{name}”, which the library does not read.",
                f"there are {', '.join(formats)}.",
            )
    sizes = settings.RELEASE_MB_PER_HOUR
    if len(sizes) != 2 or not 0 <= sizes[0] < sizes[1]:
        wrong(35, "RELEASE_MB_PER_HOUR is not two numbers, of which the second is larger.", "such as 7,250.")
    try:
        target_for(settings.SHELF_PATH, BookFacts(title="A title"))
    except BadTemplate as error:
        wrong(36, str(error), "such as {author}/{series}/{position} - {title}.")
    downloads, library = settings.AUDIOBOOKS_DOWNLOADS, settings.AUDIOBOOKS_LIBRARY
    if downloads.is_relative_to(library):
        wrong(
            37,
            "AUDIOBOOKS_DOWNLOADS is in AUDIOBOOKS_LIBRARY: half a download would be taken for a book.",
            "a folder beside it.",
        )
    return found


def _is_http(url: str) -> bool:
    try:
        return urlsplit(url).scheme in ("http", "https")
    except ValueError:
        # Such as a [ that is never closed.
        return False
