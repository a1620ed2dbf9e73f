"""The verb behind the guides of `mam_scraping`: pages that a person saved, and listed pages of the site, kept as text."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from audiobooks.exceptions import ServiceError
from audiobooks.http import Doorway, Patience
from audiobooks.sources.markup import NotReadable
from audiobooks.sources.myanonamouse_pages import MemberPages, PageError, PageGone, listed
from audiobooks.sources.pages import MOST_BYTES, READER, SUFFIXES, read_file
from audiobooks.sources.registry import KeptSession
from scheduling.conf import scheduling_settings
from scheduling.context import TaskRun
from scheduling.exceptions import TaskFailed

from .models import Guide
from .models.guides import PLACE_CHARACTERS

MOST_FILES = 2_000
DEEPEST_FOLDER = 12
MOST_PAGES = 40
"""Of the site, in one run: ten minutes. Those that were asked for longest ago come first."""
_SHORTEST_SECRET = 6
_FROM_A_PAGE = "_files"
"""The end of the folder in which browsers keep what belongs to a saved page."""

Origin = Guide.Origin


@dataclass
class Reading:
    """One run. counts: of new, changed, unchanged, unreadable, missing. problems: what a person has to mend."""

    run: TaskRun
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    @property
    def has_read(self) -> bool:
        return any(self.counts[told] for told in ("new", "changed", "unchanged"))

    def record(self, origin: Origin, place: str, *, title: str, text: str, now: datetime, stamp: str = "") -> None:
        before = Guide.objects.filter(origin=origin, place=place).values_list("text", flat=True).first() or ""
        title, text = _without_secrets(title), _without_secrets(text)
        guide, told = Guide.seen(origin, place, title=title, text=text, now=now, stamp=stamp)
        self.counts[told] += 1
        self.run.succeeded()
        if told != "unchanged":
            self.run.log("%s guide: %s (%s)", told.capitalize(), guide, place)
        if told == "changed" and len(text) * 2 < len(before):
            self.run.warning("%s is less than half as long as it was. Its earlier text is among its versions.", guide)

    def could_not_read(self, origin: Origin, place: str, why: str) -> None:
        """What is known of it stays as it is."""
        self.counts["unreadable"] += 1
        self.run.failed()
        self.run.warning("%s was left out. %s", place, why)
        Guide.objects.filter(origin=origin, place=place).update(problem=why[:255])

    def missing(self, guides: list[Guide]) -> None:
        for guide in guides:
            self.counts["missing"] += 1
            self.run.log("%s is gone, and kept as it was last seen: %s", guide.place, guide)
        Guide.objects.filter(pk__in=[guide.pk for guide in guides]).update(missing_since=timezone.now())


def read_guides(run: TaskRun) -> dict[str, int]:
    """Read the folder GUIDES_FOLDER, and with MAM_BROWSER_SESSION the pages GUIDES_PAGES; returns how many were what.

    Raises:
        TaskFailed: nothing could be read, for a reason that a person has to mend.
    """
    reading = Reading(run)
    is_folder = _read_folder(reading, settings.GUIDES_FOLDER)
    if settings.MAM_BROWSER_SESSION:
        if not run.should_stop:
            _read_site(reading)
    elif not is_folder:
        run.log(
            "No guides are read: there is no folder %s of saved pages, and no MAM_BROWSER_SESSION.",
            settings.GUIDES_FOLDER,
        )
    if reading.counts:
        run.log("Guides: %s", ", ".join(f"{count} {told}" for told, count in sorted(reading.counts.items())))
    if reading.problems and not reading.has_read:
        raise TaskFailed(" ".join(reading.problems))
    for problem in reading.problems:
        run.error("%s", problem)
    return dict(reading.counts)


# -- the folder


def _read_folder(reading: Reading, root: Path) -> bool:
    """Whether there is one."""
    known = Guide.objects.filter(origin=Origin.FOLDER)
    try:
        os.scandir(root).close()
    except OSError as error:
        there = known.filter(missing_since=None).exists()
        if isinstance(error, FileNotFoundError) and not there:
            return False
        reading.problems.append(
            f"The folder of guides {root} cannot be read ({error.strerror}). Is the disk mounted, and GUIDES_FOLDER right?"
        )
        return True
    walk = _Walk(reading, root)
    for found in walk.files():
        reading.run.progress(text=f"Guides: {found.place}")
        _read_one(reading, found)
        reading.run.progress(reading.run.processed + 1)
        if reading.run.should_stop:
            return True
    gone = [
        guide for guide in known.filter(missing_since=None).defer("text", "searched") if walk.looked_for(guide.place)
    ]
    if gone and not walk.seen:
        reading.problems.append(
            f"The folder of guides {root} holds no pages, although some are known. Is the disk mounted? Nothing was changed."
        )
    else:
        reading.missing(gone)
    return True


def _read_one(reading: Reading, found: _Found) -> None:
    now = timezone.now()
    try:
        data, stamp = found.read()
        page = None if data is None else read_file(data, name=found.place)
    except (OSError, NotReadable) as error:
        # Of what belongs to another page nobody says that it is a guide.
        if isinstance(error, OSError) or not found.is_of_page:
            why = error.strerror if isinstance(error, OSError) else str(error)
            reading.could_not_read(Origin.FOLDER, found.place, why or type(error).__name__)
        return
    if page is None:
        same = Guide.objects.filter(origin=Origin.FOLDER, place=found.place)
        same.update(checked_at=now, missing_since=None, problem="")
        reading.counts["unchanged"] += 1
        reading.run.succeeded()
    elif page.is_boxed or not found.is_of_page:
        reading.record(Origin.FOLDER, found.place, title=page.title, text=page.text, now=now, stamp=stamp)


@dataclass(frozen=True)
class _Found:
    """is_of_page: it lies in the folder of another page, so that it is one only where a guide is in it."""

    folder: int
    name: str
    place: str
    known: str
    is_of_page: bool

    def read(self) -> tuple[bytes | None, str]:
        """Its bytes, None where they are those of the last time, and its stamp. Raises OSError, NotReadable."""
        # A link in its place is not followed, and a pipe does not make us wait.
        opened = os.open(self.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.folder)
        with os.fdopen(opened, "rb") as file:
            status = os.fstat(opened)
            if not stat.S_ISREG(status.st_mode):
                raise NotReadable("It is no file.")
            stamp = f"{status.st_size} {status.st_mtime_ns} {READER}"
            if stamp == self.known:
                return None, stamp
            if status.st_size > MOST_BYTES:
                raise NotReadable(f"It is larger than {MOST_BYTES // 1024**2} MB, and no page is.")
            return file.read(MOST_BYTES + 1), stamp


class _Walk:
    """seen: places of the files that are there. What could not be looked into is not gone."""

    def __init__(self, reading: Reading, root: Path) -> None:
        self._reading, self._root = reading, root
        self.seen: set[str] = set()
        self._unread: list[str] = []
        self.is_whole = True
        self._stamps: dict[str, str] = {}

    def looked_for(self, place: str) -> bool:
        """Whether the place was looked for in vain."""
        within = any(folder == "" or place.startswith(f"{folder}/") for folder in self._unread)
        return self.is_whole and place not in self.seen and not within

    def files(self) -> Iterator[_Found]:
        """In the order of their paths. The root may be a link; below it none is followed, so that nothing outside is read."""
        self._stamps = dict(Guide.objects.filter(origin=Origin.FOLDER).values_list("place", "stamp"))
        try:
            root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            self._could_not_look("", error)
            return
        try:
            yield from self._files_in("", root)
        finally:
            os.close(root)

    def _files_in(self, here: str, folder: int) -> Iterator[_Found]:
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self._could_not_look(here, error)
            return
        for entry in found:
            place = f"{here}/{entry.name}" if here else entry.name
            is_named = Path(entry.name).suffix.lower() in SUFFIXES
            if entry.name.startswith((".", "@", "#")):
                continue
            if entry.is_symlink():
                if is_named or Path(entry.name).suffix == "":
                    self._left_out(place, "It is a link; links inside the folder are not followed.")
            elif entry.is_dir(follow_symlinks=False):
                yield from self._files_below(place, entry.name, folder)
            elif is_named and entry.is_file(follow_symlinks=False) and self._may_be_kept(place):
                if len(self.seen) >= MOST_FILES:
                    self.is_whole = False
                    return
                self.seen.add(place)
                is_of_page = any(part.endswith(_FROM_A_PAGE) for part in here.split("/"))
                yield _Found(folder, entry.name, place, self._stamps.get(place, ""), is_of_page)

    def _files_below(self, place: str, name: str, folder: int) -> Iterator[_Found]:
        if place.count("/") >= DEEPEST_FOLDER:
            self._unread.append(place)
            self._left_out(place, "It lies too deep.")
            return
        try:
            # One that has become a link meanwhile is not followed.
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        except OSError as error:
            self._could_not_look(place, error)
            return
        try:
            yield from self._files_in(place, below)
        finally:
            os.close(below)

    def _may_be_kept(self, place: str) -> bool:
        try:
            place.encode()
        except UnicodeEncodeError:
            self._left_out(place, "Its name is not UTF-8; rename it.")
            return False
        if len(place) > PLACE_CHARACTERS:
            self._left_out(place, "Its path is too long.")
            return False
        return True

    def _left_out(self, place: str, why: str) -> None:
        self._reading.run.warning("%s was left out. %s", _shown(place), why)

    def _could_not_look(self, place: str, error: OSError) -> None:
        self._unread.append(place)
        self._reading.run.progress(self._reading.run.processed + 1)
        self._reading.run.failed()
        self._reading.run.warning("%s could not be read: %s", _shown(place) or "The folder", error.strerror or "")


def _shown(place: str) -> str:
    return os.fsencode(place).decode("utf-8", "backslashreplace")


# -- the site


def _read_site(reading: Reading) -> None:
    run = reading.run
    paths, problems = listed(settings.GUIDES_PAGES, settings.MAM_URL)
    reading.problems += [f"GUIDES_PAGES: {problem}" for problem in problems]
    # One attempt: the next night is soon enough.
    http = Doorway(patience=Patience(attempts=1))
    store = KeptSession("myanonamouse-pages", settings.MAM_BROWSER_SESSION)
    site = MemberPages(store=store, url=settings.MAM_URL)
    for path in _longest_ago_first(paths)[:MOST_PAGES]:
        if run.should_stop:
            return
        run.progress(text=f"Guides: {path}")
        try:
            fetched = site.fetch(http, path)
        except PageGone as error:
            run.failed()
            run.warning("%s", error)
            reading.missing(
                list(Guide.objects.filter(origin=Origin.SITE, place=path, missing_since=None).defer("text", "searched"))
            )
        except PageError as error:
            reading.could_not_read(Origin.SITE, path, str(error))
        except ServiceError as error:
            run.failed()
            run.progress(run.processed + 1)
            _ended(reading, error)
            return
        else:
            page = fetched.page
            reading.record(Origin.SITE, path, title=page.title, text=page.text, now=fetched.as_of)
        run.progress(run.processed + 1)
    if len(paths) > MOST_PAGES:
        run.log("GUIDES_PAGES lists %d pages; %d are read in one run, the others in the next.", len(paths), MOST_PAGES)


def _ended(reading: Reading, error: ServiceError) -> None:
    if error.permanent:
        reading.problems.append(f"{error} No further page was asked for.")
    else:
        reading.run.warning("%s No further page was asked for; the next run tries again.", error)


def _longest_ago_first(paths: list[str]) -> list[str]:
    known = dict(Guide.objects.filter(origin=Origin.SITE, place__in=paths).values_list("place", "checked_at"))
    return sorted(paths, key=lambda path: known[path].timestamp() if path in known else 0)


def _without_secrets(text: str) -> str:
    """Without those of the settings: a page that was saved may hold them."""
    for secret in scheduling_settings().SECRETS:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "[secret]")
    return text
