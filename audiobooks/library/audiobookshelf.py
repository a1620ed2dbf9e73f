"""A library that is an Audiobookshelf server, 2.26 or later: its inventory, and what we know written back when asked.

Sources: https://api.audiobookshelf.org for the shapes, advplyr/audiobookshelf (server/controllers, 2.36) where that is
out of date. Nothing is ever deleted there: no such request is sent, and lists only grow.
"""

from __future__ import annotations

import html
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from audiobooks.exceptions import BadAnswer, HttpError, LibraryError, ServiceError
from audiobooks.facts import BookFacts, Contributor, SeriesPlace
from audiobooks.matching.names import asin, isbn13, language_code

from .albums import key_of

PAGE = 500
"""Items asked for at a time; never 0, for which the server sends everything."""
BATCH = 50
"""Items whose details are asked for, or changed, at a time: each lists all its files."""
MOST_ITEMS = 200_000
"""A library that says it has more is not believed."""
OLDEST = (2, 26)
"""The first version with API keys."""
TEXT_LENGTH = 2_000
DESCRIPTION_LENGTH = 20_000

_LATER = "Try again later."


class Answer(Protocol):
    @property
    def data(self) -> Any: ...


class Http(Protocol):
    """What is needed of `audiobooks.http.Doorway`, which cannot be named here as it knows the database.

    All raise ServiceError: HttpError where the answer is an error, BadAnswer where it is no JSON.
    """

    def get_json(
        self, url: str, *, params: Mapping[str, str] | None = None, secret_headers: Mapping[str, str] | None = None
    ) -> Answer: ...

    def post_json(self, url: str, *, data: Any, secret_headers: Mapping[str, str] | None = None) -> Answer: ...


@dataclass(frozen=True, kw_only=True)
class Library:
    """One of the server's libraries of books; `folders` are paths as the server sees them."""

    id: str
    name: str
    folders: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LibraryItem:
    """A book as the server has it. Ids change when files are moved: `moved` finds such again.

    path, rel_path: as the server sees them. size: bytes. duration: seconds.
    formats: of the audio files (`m4b`); ebook_format: of its text (`epub`).
    is_missing: its files are gone; is_invalid: the server finds no media in it.
    """

    library_id: str
    id: str
    path: str = ""
    rel_path: str = ""
    is_missing: bool = False
    is_invalid: bool = False
    added_at: datetime | None = None
    size: int | None = None
    audio_files: int = 0
    formats: tuple[str, ...] = ()
    ebook_format: str = ""
    duration: float | None = None
    facts: BookFacts

    @property
    def is_owned(self) -> bool:
        """Whether a recording of it is there to be heard."""
        return self.audio_files > 0 and not self.is_missing and not self.is_invalid


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """All items of `libraries`; it says nothing of other libraries, which the key's user may just not be shown."""

    version: str
    libraries: tuple[Library, ...]
    items: tuple[LibraryItem, ...]


@dataclass(frozen=True, kw_only=True)
class Changes:
    """`was` is what the inventory said of the item; of `becomes` only what differs and is not empty is written."""

    was: BookFacts
    becomes: BookFacts


class Audiobookshelf:
    """One server, with the rights of the user whose API key it is.

    Everything raises LibraryError, whose message tells the owner what to do.
    """

    def __init__(self, http: Http, base_url: str, api_key: str) -> None:
        """`base_url` includes the sub-path, if the server lives under one."""
        self._http = http
        self._base = _checked_base(base_url)
        self._key = {"Authorization": f"Bearer {api_key.strip()}"}
        if not re.fullmatch(r"[!-~]+", api_key.strip()):
            raise LibraryError("The API key is empty, or has blanks or letters that no key has.", permanent=True)

    def version(self) -> str:
        """Such as "2.36.0". Needs no key, so that a wrong address and a wrong key are told apart."""
        status = _record(self._call(lambda: self._http.get_json(f"{self._base}/status"), "its status"))
        version = _text(status.get("serverVersion"))
        if not status or "isInit" not in status:
            raise LibraryError(
                f"What answers at {self._base} is not Audiobookshelf. Is the address right?", permanent=True
            )
        if status.get("isInit") is False:
            raise LibraryError(
                f"Audiobookshelf at {self._base} is not set up yet. Open it in a browser and create its first user.",
                permanent=True,
            )
        numbers = tuple(int(number) for number in re.findall(r"[0-9]{1,6}", version)[:2])
        if numbers < OLDEST:
            raise LibraryError(
                f"Audiobookshelf at {self._base} is version {version or 'unknown, thus very old'}. "
                "API keys exist from 2.26 on: update it.",
                permanent=True,
            )
        return version

    def libraries(self) -> tuple[Library, ...]:
        """Those of books that the key's user may see; libraries of podcasts are left out."""
        found = _records(self._get("/api/libraries", "its libraries").get("libraries"))
        if not found:
            raise LibraryError(
                "Audiobookshelf shows this API key no library. Give the user of the key access to the library.",
                permanent=True,
            )
        return tuple(
            Library(
                id=_text(each.get("id")),
                name=_text(each.get("name")),
                folders=tuple(_text(folder.get("fullPath")) for folder in _records(each.get("folders"))),
            )
            for each in found
            if each.get("mediaType") == "book" and _text(each.get("id"))
        )

    def inventory(self) -> Inventory:
        """All that the server has. It is complete: where reading breaks off, there is none but a LibraryError."""
        version = self.version()
        libraries = self.libraries()
        items = tuple(item for library in libraries for item in self._items(library))
        return Inventory(version=version, libraries=libraries, items=items)

    def scan(self, library_id: str) -> None:
        """Tell the server to look for new files in a library, which it does after this returns.

        Only an administrator's key may (LibraryController.js, 2.36: 403 for any other user).
        """
        url = f"{self._base}/api/libraries/{quote(library_id, safe='')}/scan"
        try:
            self._http.post_json(url, data={}, secret_headers=self._key)
        except BadAnswer as error:
            # Its own answer is this word, which is no JSON; a page to sign in at is none either.
            if error.text.strip() != "OK":
                raise self._explained(error, "a scan") from error
        except ServiceError as error:
            status = error.status if isinstance(error, HttpError) else None
            if status not in _OF_SCANS:
                raise self._explained(error, "a scan") from error
            raise LibraryError(_OF_SCANS[status], permanent=True) from error

    def write(self, item_id: str, changes: Changes) -> bool:
        """Write what is new in `changes` into one item; False if it is all there already.

        Lists only grow: authors, narrators, series and genres of the server are kept, and a series that it has too
        gets the new position. Nothing is emptied.

        Raises:
            LibraryError: also if the server no longer says what `changes.was` says, as someone changed the item there.
        """
        self._check_may_write()
        return self._write_one(item_id, changes)

    def write_many(self, changes: Mapping[str, Changes]) -> dict[str, LibraryError]:
        """`write` for many items, fifty at a time; by item id why those that were not written were not.

        Once the server is out of reach, all that is left is given that error. Some of it may have been written; to write
        it again does no harm.
        """
        failed: dict[str, LibraryError] = {}
        left = list(changes)
        try:
            self._check_may_write()
            while left:
                failed |= self._write_batch({item_id: changes[item_id] for item_id in left[:BATCH]})
                left = left[BATCH:]
        except LibraryError as error:
            failed |= dict.fromkeys(left, error)
        return failed

    def _check_may_write(self) -> None:
        """The server does not ask this of a batch (batchUpdate in LibraryItemController.js, 2.36)."""
        if _record(self._get("/api/me", "its user").get("permissions")).get("update") is False:
            raise LibraryError(_ADVICE[403].format(what="changes"), permanent=True)

    def _write_batch(self, changes: Mapping[str, Changes]) -> dict[str, LibraryError]:
        records = self._details(list(changes))
        failed: dict[str, LibraryError] = {}
        payloads = []
        for item_id, change in changes.items():
            try:
                if payload := _payload(records.get(item_id), change):
                    payloads.append({"id": item_id, "mediaPayload": payload})
            except LibraryError as error:
                failed[item_id] = error
        if not payloads:
            return failed
        try:
            self._update(payloads)
        except _Gone:
            # One item that is gone has the server refuse all of them.
            for payload in payloads:
                item_id = str(payload["id"])
                try:
                    self._write_one(item_id, changes[item_id])
                except LibraryError as error:
                    failed[item_id] = error
        return failed

    def _write_one(self, item_id: str, changes: Changes) -> bool:
        payload = _payload(self._details([item_id]).get(item_id), changes)
        if payload:
            self._update([{"id": item_id, "mediaPayload": payload}])
        return bool(payload)

    def _update(self, payloads: list[dict[str, Any]]) -> None:
        if self._post("/api/items/batch/update", payloads, "changes").get("success") is not True:
            raise _not_understood("changes")

    # --- reading ----------------------------------------------------------------------------------------------------

    def _items(self, library: Library) -> list[LibraryItem]:
        try:
            return self._items_once(library)
        except _LibraryChanged:
            # A book deleted or moved while it is read shifts the pages: that is no fault, unless it goes on.
            return self._items_once(library)

    def _items_once(self, library: Library) -> list[LibraryItem]:
        items: list[LibraryItem] = []
        for ids in _batches(self._ids(library), BATCH):
            records = self._details(ids)
            if len(records) < len(ids):
                raise _LibraryChanged(f"{library.name} changed while it was being read. {_LATER}")
            items += (parse_item(each, library.id) for each in records.values() if each.get("mediaType") != "podcast")
        return items

    def _ids(self, library: Library) -> list[str]:
        """Sorted by the time of adding, so that what is added meanwhile comes on the last page."""
        ids: dict[str, None] = {}
        path = f"/api/libraries/{quote(library.id, safe='')}/items"
        page = 0
        while True:
            answer = self._get(path, "its books", limit=str(PAGE), page=str(page), sort="addedAt", minified="1")
            results, total = answer.get("results"), answer.get("total")
            if not isinstance(results, list) or type(total) is not int or not 0 <= total <= MOST_ITEMS:
                raise _not_understood("its books")
            known = len(ids)
            ids |= dict.fromkeys(_text(each.get("id")) for each in _records(results))
            if "" in ids:
                raise _not_understood("its books")
            if len(ids) == total:
                return list(ids)
            if len(ids) == known:
                raise _LibraryChanged(
                    f"Audiobookshelf says that {library.name} has {total} books, but its pages show {len(ids)}: it changed "
                    f"while it was being read, or repeats itself. {_LATER}"
                )
            page += 1

    def _details(self, ids: list[str]) -> dict[str, dict[str, Any]]:
        """By id; without those that are gone."""
        answer = self._post("/api/items/batch/get", {"libraryItemIds": ids}, "details of books")
        found = answer.get("libraryItems")
        if not isinstance(found, list):
            raise _not_understood("details of books")
        by_id = {_text(each.get("id")): each for each in _records(found)}
        return {item_id: by_id[item_id] for item_id in ids if item_id in by_id}

    # --- requests ---------------------------------------------------------------------------------------------------

    def _get(self, path: str, what: str, **params: str) -> dict[str, Any]:
        url = self._base + path
        return _whole(self._call(lambda: self._http.get_json(url, params=params, secret_headers=self._key), what), what)

    def _post(self, path: str, body: Any, what: str) -> dict[str, Any]:
        url = self._base + path
        return _whole(self._call(lambda: self._http.post_json(url, data=body, secret_headers=self._key), what), what)

    def _call(self, request: Callable[[], Answer], what: str) -> Any:
        try:
            return request().data
        except ServiceError as error:
            raise self._explained(error, what) from error

    def _explained(self, error: ServiceError, what: str) -> LibraryError:
        status = error.status if isinstance(error, HttpError) else None
        if what == "its status" and status == 404:
            advice = _NOT_THERE
        elif isinstance(error, BadAnswer):
            advice = _NOT_JSON
        else:
            advice = _ADVICE.get(status or 0, "Audiobookshelf at {base} did not give {what}: {error}")
        permanent = error.permanent or status in _FOR_A_PERSON
        kind = _Gone if status == 404 else LibraryError
        message = advice.format(base=self._base, what=what, error=error)
        return kind(message, permanent=permanent, retry_after=error.retry_after)


_ELSEWHERE = (
    "{base} sends us elsewhere. Enter the address that the browser shows in the end: with https, if it changes to that. "
    "A login page in front of it has to let the API through."
)
_NOT_JSON = (
    "{base} answers, but not as Audiobookshelf does: {error} Is that a login or error page of a reverse proxy, or is the "
    "sub-path missing in the address?"
)
_NOT_THERE = "There is no Audiobookshelf at {base}. If it lives under a sub-path, add that to the address, such as /audiobookshelf."
_ADVICE = {
    401: (
        "Audiobookshelf refuses the API key: it is mistyped, has expired, was deleted, or is not active. "
        "Look at it in Audiobookshelf under Settings, API Keys, or make a new one there."
    ),
    403: (
        "Audiobookshelf does not let the API key's user have {what}. Give that user access to the library, "
        "and the permission to update if books are to be changed."
    ),
    404: "Audiobookshelf has no such thing ({what}): the book is gone there, or the server is too old. Update it.",
    429: "Audiobookshelf wants to be asked less often. " + _LATER,
} | dict.fromkeys((301, 302, 303, 307, 308), _ELSEWHERE)
_OF_SCANS = {
    403: (
        "Audiobookshelf lets only administrators start a scan: make the API key for such a user, or let the server watch "
        "its folders (Settings, Libraries)."
    ),
    404: "Audiobookshelf has no such library any more. Read the library again first.",
}
_FOR_A_PERSON = {401, 403, 404, 301, 302, 303, 307, 308}


class _Gone(LibraryError):
    """The server knows no such thing."""


class _LibraryChanged(LibraryError):
    """What was read does not fit together; read again, it may."""


def _not_understood(what: str) -> LibraryError:
    return LibraryError(f"Audiobookshelf's answer for {what} was not understood. Is it the newest version?")


def _checked_base(base_url: str) -> str:
    wrong = "The address of Audiobookshelf has to look like https://books.example.org or http://192.168.1.5:13378."
    try:
        parts = urlsplit(base_url.strip())
        port = f":{parts.port}" if parts.port else ""
    except ValueError as error:
        raise LibraryError(wrong, permanent=True) from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise LibraryError(wrong, permanent=True)
    if parts.username is not None:
        raise LibraryError("The address of Audiobookshelf must not have a user name or password in it.", permanent=True)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/').removesuffix('/api')}"


def moved(before: Sequence[LibraryItem], after: Sequence[LibraryItem]) -> dict[str, str]:
    """New ids by old ones, for items which came back under another id: the path is the same, else the ASIN.

    Only where it is one on both sides.
    """
    old_ids, new_ids = {item.id for item in before}, {item.id for item in after}
    lost = [item for item in before if item.id not in new_ids]
    found = [item for item in after if item.id not in old_ids]
    keys: tuple[Callable[[LibraryItem], str], ...] = (lambda item: item.path, lambda item: item.facts.asin)
    pairs: dict[str, str] = {}
    for key in keys:
        taken = set(pairs.values())
        olds, news = defaultdict(list), defaultdict(list)
        for item in lost:
            if item.id not in pairs:
                olds[key(item)].append(item.id)
        for item in found:
            if item.id not in taken:
                news[key(item)].append(item.id)
        for said, (old, *twins) in olds.items():
            same = news.get(said, [])
            if said and not twins and len(same) == 1:
                pairs[old] = same[0]
    return pairs


# --- what an answer says --------------------------------------------------------------------------------------------


def parse_item(record: Mapping[str, Any], library_id: str) -> LibraryItem:
    """An item in full form, as `/api/items/batch/get` and `/api/items/{id}?expanded=1` have it."""
    media = _record(record.get("media"))
    audio = _records(media.get("audioFiles"))
    ebook = _record(media.get("ebookFile"))
    # Not the server's sum, which for a while counted files that are gone.
    duration = sum(_number(each.get("duration")) or 0.0 for each in audio) or _number(media.get("duration"))
    formats = {_text(_record(each.get("metadata")).get("ext")).lstrip(".").lower() for each in audio}
    return LibraryItem(
        library_id=library_id,
        id=_text(record.get("id")),
        path=_text(record.get("path")),
        rel_path=_text(record.get("relPath")),
        is_missing=record.get("isMissing") is True,
        is_invalid=record.get("isInvalid") is True,
        added_at=_time(record.get("addedAt")),
        size=int(size) if (size := _number(record.get("size"))) else None,
        audio_files=len(audio),
        formats=tuple(sorted(formats - {""})),
        ebook_format=_text(ebook.get("ebookFormat")) or _text(_record(ebook.get("metadata")).get("ext")).lstrip("."),
        duration=duration,
        facts=_facts(record, duration, is_audio=bool(audio) or None),
    )


def _facts(record: Mapping[str, Any], duration: float | None, *, is_audio: bool | None) -> BookFacts:
    said = _record(_record(record.get("media")).get("metadata"))
    abridged = said.get("abridged")
    return BookFacts(
        source="audiobookshelf",
        id=_text(record.get("id")),
        title=_text(said.get("title")),
        subtitle=_text(said.get("subtitle")),
        authors=tuple(
            Contributor(name=name, id=_text(each.get("id")))
            for each in _records(said.get("authors"))
            if (name := _text(each.get("name")))
        ),
        narrators=_texts(said.get("narrators")),
        series=tuple(
            SeriesPlace(name=name, position=_text(each.get("sequence")), id=_text(each.get("id")))
            for each in _records(said.get("series"))
            if (name := _text(each.get("name")))
        ),
        genres=_texts(said.get("genres")),
        description=_plain(said),
        language=language_code(_text(said.get("language"))),
        # The server has no third value: False is what it says of every book that nobody marked.
        abridged=True if abridged is True else None,
        runtime=round(duration) if duration else None,
        publisher=_text(said.get("publisher")),
        released=_released(said),
        asin=asin(_text(said.get("asin"))),
        isbns=(isbn,) if (isbn := isbn13(_text(said.get("isbn")))) else (),
        is_audio=is_audio,
    )


def _released(said: Mapping[str, Any]) -> str:
    day = re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9])", _text(said.get("publishedDate")))
    year = re.fullmatch(r"[0-9]{4}", _text(said.get("publishedYear")))
    return day[0] if day else year[0] if year else ""


def _plain(said: Mapping[str, Any]) -> str:
    text = said.get("description")
    text = _clean(text)[:DESCRIPTION_LENGTH] if isinstance(text, str) else ""
    if "<" in text:
        text = re.sub(r"<(?:br\b|/p\b)[^<>]*>", "\n", text)
        text = re.sub(r"<[^<>]*>", "", text)
    return html.unescape(text).strip()


def _whole(answer: Any, what: str) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise _not_understood(what)
    return answer


def _record(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _records(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _texts(value: Any) -> tuple[str, ...]:
    texts = (_text(each) for each in value) if isinstance(value, list) else ()
    return tuple(dict.fromkeys(text for text in texts if text))


def _text(value: Any) -> str:
    """Of a text or number; anything else is empty."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return _clean(str(value)[:TEXT_LENGTH]).strip()


def _clean(text: str) -> str:
    """Without what no database column takes: NUL, and halves of characters."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode()


def _number(value: Any) -> float | None:
    """Above 0 and not absurd; anything else is unknown."""
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else 0
    return float(number) if 0 < number < 2**62 else None


def _time(value: Any) -> datetime | None:
    """Of milliseconds since 1970, below the year 2286."""
    number = _number(value)
    return datetime.fromtimestamp(number / 1000, UTC) if number and number < 1e13 else None


def _batches(ids: list[str], size: int) -> Iterator[list[str]]:
    rest = iter(ids)
    while batch := list(islice(rest, size)):
        yield batch


# --- what is written ------------------------------------------------------------------------------------------------


def _payload(record: Mapping[str, Any] | None, changes: Changes) -> dict[str, Any]:
    """The body of a change; empty if there is nothing to do.

    Raises:
        LibraryError: the server's item is gone, is no longer what `changes.was` says, or has a value that we do not
            understand.
    """
    if record is None:
        raise _Gone("Audiobookshelf no longer has this book. Read the library again first.", permanent=True)
    said = _record(_record(record.get("media")).get("metadata"))
    if not said:
        raise _not_understood("this book")
    now = _facts(record, None, is_audio=None)
    metadata: dict[str, Any] = {}
    conflicts = []
    for name, write in _WRITERS.items():
        wanted = _comparable(name, changes.becomes)
        if not wanted or wanted in (_comparable(name, changes.was), _comparable(name, now)):
            continue
        written = write(changes.becomes, now)
        not_understood = not _comparable(name, now) and any(said.get(each) for each in written)
        if not_understood or _comparable(name, changes.was) != _comparable(name, now):
            conflicts.append(name)
        metadata |= written
    if conflicts:
        raise LibraryError(
            f"Someone changed “{now.title}” in Audiobookshelf since it was read ({', '.join(conflicts)}), so nothing was "
            "written. Read the library again and decide anew.",
            permanent=True,
        )
    changed = {name: value for name, value in metadata.items() if not _has(said, name, value)}
    return {"metadata": changed} if changed else {}


def would_change(changes: Changes) -> bool:
    """Whether the server's item would be another, if it is as `changes.was` says."""
    was, becomes = changes.was, changes.becomes
    for name, write in _WRITERS.items():
        wanted, now = _comparable(name, becomes), _comparable(name, was)
        if wanted and wanted != now and not (now and write(becomes, was) == write(was, was)):
            return True
    return False


def _comparable(name: str, facts: BookFacts) -> Any:
    """Names without the ids that one source gives them."""
    value = getattr(facts, name)
    if name == "authors":
        return facts.author_names
    if name == "series":
        return tuple((place.name, place.position) for place in facts.series)
    return " ".join(value.split()) if name == "description" else value


def _has(said: Mapping[str, Any], name: str, value: Any) -> bool:
    """Whether the server's item would stay as it is."""
    if name == "authors":
        return [each["name"] for each in value] == [_text(each.get("name")) for each in _records(said.get(name))]
    if name == "series":
        now = [(_text(each.get("name")), _text(each.get("sequence"))) for each in _records(said.get(name))]
        return [(each["name"], each.get("sequence", "")) for each in value] == now
    return bool(said.get(name) == value)


def _key(name: str) -> str:
    return key_of(name) or name


def _merged(now: tuple[str, ...], wanted: tuple[str, ...]) -> list[str]:
    """The server's names as it spells them, then those that it has not."""
    known = {_key(name) for name in now}
    return [*now, *(name for name in wanted if _key(name) not in known)]


def _merged_series(now: tuple[SeriesPlace, ...], wanted: tuple[SeriesPlace, ...]) -> list[dict[str, str]]:
    positions = {_key(place.name): place.position for place in wanted if place.position}
    known = {_key(place.name) for place in now}
    places = [(place.name, positions.get(_key(place.name), place.position)) for place in now]
    places += [(place.name, place.position) for place in wanted if _key(place.name) not in known]
    # A sequence that is no string is stored as none, and none needs no key.
    return [{"name": name, "sequence": position} if position else {"name": name} for name, position in places]


def _paragraphs(text: str) -> str:
    lines = (line.strip() for line in text.splitlines())
    return "".join(f"<p>{html.escape(line, quote=False)}</p>" for line in lines if line)


def _dates(released: str) -> dict[str, str]:
    year = {"publishedYear": released[:4]}
    return year | {"publishedDate": released} if len(released) == len("2024-03-05") else year


_WRITERS: dict[str, Callable[[BookFacts, BookFacts], dict[str, Any]]] = {
    "title": lambda new, now: {"title": new.title},
    "subtitle": lambda new, now: {"subtitle": new.subtitle},
    "authors": lambda new, now: {"authors": [{"name": name} for name in _merged(now.author_names, new.author_names)]},
    "narrators": lambda new, now: {"narrators": _merged(now.narrators, new.narrators)},
    "series": lambda new, now: {"series": _merged_series(now.series, new.series)},
    "genres": lambda new, now: {"genres": _merged(now.genres, new.genres)},
    "description": lambda new, now: {"description": _paragraphs(new.description)},
    "language": lambda new, now: {"language": new.language},
    "abridged": lambda new, now: {"abridged": new.abridged},
    "publisher": lambda new, now: {"publisher": new.publisher},
    "released": lambda new, now: _dates(new.released),
    "asin": lambda new, now: {"asin": new.asin},
    "isbns": lambda new, now: {"isbn": new.isbns[0]},
}
"""By the field of BookFacts: the server's fields for the new value, given what the server has now."""
