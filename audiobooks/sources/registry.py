"""The sources that settings turn on, and the one way to ask them: each failure costs only its own answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.conf import settings
from django.db import connection
from django.utils import timezone

from audiobooks.exceptions import SignedOut
from audiobooks.http import Doorway, database
from audiobooks.models.sources import SourceSession
from audiobooks.services import Outcome, Service, configured_by
from audiobooks.sources.base import HasAccount, Source
from audiobooks.sources.librivox import LibriVox
from audiobooks.sources.myanonamouse import MyAnonamouse, Session
from audiobooks.sources.myanonamouse import seed as issued
from audiobooks.sources.torznab import Torznab

T = TypeVar("T")

OWN = ("myanonamouse", "librivox")
"""Names of the sources that there is one of."""


def names() -> list[str]:
    """Of all that could be turned on, the indexers of the settings among them."""
    return list(dict.fromkeys([*OWN, *_indexers()]))


def is_configured(name: str) -> bool:
    """Whether it has what it answers nobody without."""
    return bool(settings.MAM_SESSION) if name == MyAnonamouse.name else name in names()


def turned_on() -> list[str]:
    """Names, in the order of asking. One that is none is left out: a system check says so."""
    if settings.SOURCES:
        known = names()
        return [name for name in dict.fromkeys(settings.SOURCES) if name in known]
    configured = [name for name in names() if name != LibriVox.name and is_configured(name)]
    return configured or [LibriVox.name]


def sources() -> tuple[Source, ...]:
    """Those turned on, in the order of asking."""
    return tuple(source(name) for name in turned_on())


def source(name: str) -> Source:
    """Raises KeyError where there is none of this name."""
    if name == MyAnonamouse.name:
        return MyAnonamouse(
            store=KeptSession(name, settings.MAM_SESSION), url=settings.MAM_URL, languages=settings.MAM_LANGUAGES
        )
    if name == LibriVox.name:
        return LibriVox(url=settings.LIBRIVOX_URL, archive_url=settings.ARCHIVE_URL)
    indexer = _indexers()[name]
    return Torznab(url=indexer["url"], key=indexer["key"], name=name)


def is_silent(name: str) -> bool:
    """Whether it never says how the account of a member stands, though its tracker may count what is fetched."""
    return name in names() and not isinstance(source(name), HasAccount)


def ask(http: Doorway, source: Source, question: Callable[[Doorway], T]) -> Outcome[T]:
    """Put a question to one source, unless it is to be left alone, and remember how it fared. Raises no ServiceError.

    question: such as `lambda http: source.popular(http, "Fantasy", since=day)`.
    """
    return _service(source).ask(http, question)


def state_name(name: str) -> str:
    """Of its ServiceState: providers and sources may have one name."""
    return f"source:{name}"


def listing_of(name: str) -> str:
    """A hash of the settings that say what is listed, none of them secret."""
    indexer = _indexers().get(name, {})
    of = {
        MyAnonamouse.name: (settings.MAM_URL, *sorted(settings.MAM_LANGUAGES)),
        LibriVox.name: (settings.LIBRIVOX_URL,),
    }
    return configured_by("listing", (name, *of.get(name, (indexer.get("url", ""),))))


def address_of(name: str) -> str:
    """Of the host that is asked; it may hold a key."""
    own = {MyAnonamouse.name: settings.MAM_URL, LibriVox.name: settings.LIBRIVOX_URL}
    return str(own.get(name) or _indexers().get(name, {}).get("url", ""))


def _service(source: Source) -> Service:
    own = {
        MyAnonamouse.name: (settings.MAM_URL, settings.MAM_SESSION),
        LibriVox.name: (settings.LIBRIVOX_URL, settings.ARCHIVE_URL),
    }
    values = own.get(source.name) or tuple(_indexers().get(source.name, {}).values())
    configured = configured_by("sources", (source.name, *values))
    return Service(name=state_name(source.name), label=source.label, configured=configured)


def _indexers() -> dict[str, dict[str, str]]:
    return {each["name"]: each for each in settings.TORZNAB_INDEXERS if each["name"] not in OWN}


_SETTINGS_READ_AT = timezone.now()


class KeptSession:
    """The session of a source in the database: what each process is given, the others send.

    A process that still has the seed of before neither overwrites what has come of the newer one nor takes it away.
    """

    def __init__(self, source: str, pasted: str) -> None:
        self._source, self._pasted = source, pasted

    def load(self) -> Session:
        if not self._pasted:
            return Session()
        seed = _mark(self._pasted)
        with database():
            SourceSession.objects.begin(self._source, seed, unless_newer_than=_SETTINGS_READ_AT)
            return Session(seed=self._pasted, current=SourceSession.objects.current(self._source, seed))

    def save(self, current: str, *, seed: str) -> None:
        with database():
            # SQLite would else write it to the disk some time later, and what was kept before is worth nothing.
            is_hasty = connection.vendor == "sqlite" and not connection.in_atomic_block
            with connection.cursor() as cursor:
                if is_hasty:
                    cursor.execute("PRAGMA synchronous=FULL")
                try:
                    SourceSession.objects.renew(self._source, _mark(seed), current)
                finally:
                    if is_hasty:
                        cursor.execute("PRAGMA synchronous=NORMAL")


def _mark(pasted: str) -> str:
    """Of the session itself: quotes or a name that are put around it in .env make it no other."""
    try:
        seed = issued(pasted)
    except SignedOut:
        seed = pasted
    return configured_by("seed", (seed,))
