"""The verb behind the second half of `library_scan`: what an Audiobookshelf server holds is recorded.

Complete or nothing: where reading it breaks off, nothing is said of what is there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from scheduling.context import TaskRun

from .facts import BookFacts
from .http import Doorway, Pace
from .library.audiobookshelf import Audiobookshelf, Inventory, LibraryItem, moved
from .models import Book, Holding
from .owning import SERVER, Held, mark_missing, record_each

PACE = Pace(every=0.05, at_once=2)
"""The server is the person's own, and has nobody else to answer than the household."""


def audiobookshelf() -> Audiobookshelf | None:
    """The server of the settings; None where they name none.

    Raises:
        LibraryError: its address or key cannot be one.
    """
    if not (settings.AUDIOBOOKSHELF_URL and settings.AUDIOBOOKSHELF_KEY):
        return None
    return Audiobookshelf(Doorway(pace=PACE), settings.AUDIOBOOKSHELF_URL, settings.AUDIOBOOKSHELF_KEY)


def scan_server(run: TaskRun, server: Audiobookshelf) -> tuple[LibraryItem, ...]:
    """Record all items of the server; returns them, or none where the run was stopped before it had recorded all.

    Raises:
        LibraryError: the inventory is not to be had. Nothing was changed.
    """
    run.progress(text="Reading Audiobookshelf")
    inventory = server.inventory()
    now = timezone.now()
    libraries = {library_of(library.id) for library in inventory.libraries}
    counts: Counter[str] = Counter(items=len(inventory.items), moved=_follow(inventory.items, libraries))
    run.progress(total=run.processed + len(inventory.items))
    for recorded in record_each(_until_stopped(run, inventory.items), now=now):
        counts[recorded.outcome] += 1
        if recorded.error:
            run.failed()
            run.error("%s could not be recorded: %s", recorded.held.path or recorded.held.item, recorded.error)
        else:
            run.succeeded()
    if run.saw_stop:
        return ()
    named = {(library_of(item.library_id), item.id) for item in inventory.items}
    counts["missing"] = mark_missing(libraries - _without_books(run, inventory, named), named, now=now)
    if counts["missing"]:
        run.warning("%s books are not in Audiobookshelf any more; they are kept and marked missing.", counts["missing"])
    run.result = {**(run.result or {}), "audiobookshelf": {"version": inventory.version, **counts}}
    told = ", ".join(f"{name}: {count}" for name, count in counts.items())
    run.log("Audiobookshelf %s: %s", inventory.version, told)
    return inventory.items


def _without_books(run: TaskRun, inventory: Inventory, named: set[tuple[str, str]]) -> set[str]:
    """Libraries that are empty, of which nothing is concluded: a server may have been set up anew, or its books be no
    longer shown to the key's user."""
    with_books = {library for library, _ in named}
    names = {library_of(library.id): library.name for library in inventory.libraries}
    empty = names.keys() - with_books
    for library in sorted(empty):
        if there := Holding.objects.filter(library=library, missing_since=None).count():
            run.warning(
                "The library %s of Audiobookshelf shows no book at all, although %s were there. May the key's user see them? "
                "They are kept as they were.",
                *(names[library], there),
            )
    return empty


def tell_to_scan() -> int:
    """Tell the server of the settings that there are new files, in each of its libraries; returns how many those are.

    Raises:
        LibraryError: it was not told of all.
    """
    if (server := audiobookshelf()) is None:
        return 0
    libraries = server.libraries()
    for library in libraries:
        server.scan(library.id)
    return len(libraries)


def _until_stopped(run: TaskRun, items: Iterable[LibraryItem]) -> Iterator[Held]:
    for held in map(held_of, items):
        if run.should_stop:
            return
        run.progress(run.processed + 1, text=held.facts.title[:200])
        yield held


def library_of(library_id: str) -> str:
    return f"{SERVER}{library_id}"


def held_of(item: LibraryItem) -> Held:
    place = item.rel_path or item.path
    title = item.facts.title or PurePosixPath(place).stem or item.id
    return Held(
        library=library_of(item.library_id),
        item=item.id,
        facts=replace(item.facts, title=title),
        standing=Book.Standing.OWNED if item.audio_files else Book.Standing.KNOWN,
        missing=not item.is_owned,
        path=item.path,
        own_paths=own_paths(item.path, item.rel_path),
        formats=item.formats or ((item.ebook_format,) if item.ebook_format else ()),
        size=item.size,
    )


def own_paths(path: str, rel_path: str) -> tuple[str, ...]:
    """What the path on the server may be below our folder, the longest first: their folder may be ours, or around or in it.

    The last part alone is the title, as many books' may be, and counts only where it is the whole path in the library.
    """
    parts = PurePosixPath(path).parts
    below = ["/".join(parts[start:]) for start in range(1, len(parts) - 1)]
    return tuple(dict.fromkeys(each for each in (*below, rel_path) if each))


def _follow(items: Iterable[LibraryItem], libraries: set[str]) -> int:
    """Holdings of items that came back under another id follow them; returns how many."""
    rows = Holding.objects.filter(library__in=libraries).values_list("library", "item", "path", "book__asin")
    before = [
        LibraryItem(library_id=library.removeprefix(SERVER), id=item, path=path, facts=BookFacts(asin=asin))
        for library, item, path, asin in rows.iterator()
    ]
    after = {item.id: item for item in items}
    libraries_before = {item.id: library_of(item.library_id) for item in before}
    pairs = moved(before, list(after.values()))
    with transaction.atomic():
        for old, new in pairs.items():
            holding = Holding.objects.filter(library=libraries_before[old], item=old)
            holding.update(library=library_of(after[new].library_id), item=new)
    return len(pairs)
