"""The task functions of the library: a few lines each, each calling a verb."""

from datetime import timedelta
from functools import partial
from typing import Literal

from django.conf import settings
from django.utils import timezone

from scheduling.context import TaskRun, each_on_its_own
from scheduling.exceptions import TaskFailed
from scheduling.registry import task

from . import (
    acquire,
    charts,
    collect,
    covers,
    crawl,
    digest,
    gaps,
    guides,
    imports,
    listing,
    proposing,
    refresh,
    scan,
    shelf,
    write_back,
)
from .exceptions import LibraryError
from .models import LibraryFile, MetadataRun
from .models.network import forget_unused

MOST_SEARCHED = 50
"""Works that a run searches the sources for, where it is not told another number."""
Scope = Literal["gaps", "future", "all"]


@task(
    "audiobooks.library_scan",
    id="library_scan",
    name="Library Scan",
    label="SCAN",
    cron="30 0 * * *",
    timeout=timedelta(hours=6),
)
def library_scan(run: TaskRun) -> None:
    """Record the audio files of the library folder, and what an Audiobookshelf server holds, as books."""
    problems, began = [], timezone.now()
    for part in (_scan_folder, _scan_server):
        if run.should_stop:
            return
        # What fails in one library is no reason to leave the other out.
        try:
            part(run)
        except (TaskFailed, LibraryError) as error:
            problems.append(str(error))
    proposing.look_at_books(added_since=began)
    imports.forget_old_uploads()
    forget_unused()
    try:
        covers.remove_unused()
    except OSError as error:
        run.warning("Covers that no book has any more could not be removed: %s", error)
    if problems:
        raise TaskFailed(" ".join(problems))


def _scan_folder(run: TaskRun) -> None:
    root = settings.AUDIOBOOKS_LIBRARY
    has_server = settings.AUDIOBOOKSHELF_URL and settings.AUDIOBOOKSHELF_KEY
    if has_server and root == settings.BASE_DIR / "library" and not root.exists() and not LibraryFile.objects.exists():
        run.log("There is no folder %s; only Audiobookshelf is read. AUDIOBOOKS_LIBRARY names another folder.", root)
        return
    scan.scan_library(run, root=root)


def _scan_server(run: TaskRun) -> None:
    if (server := shelf.audiobookshelf()) is None:
        return
    items = shelf.scan_server(run, server)
    if settings.AUDIOBOOKSHELF_WRITE and not run.should_stop:
        write_back.write_back(run, server, items)


@task("audiobooks.import_books", label="IMPORT")
def import_books(run: TaskRun, upload: int) -> None:
    """Import the books of a file that was uploaded on the page “Import books”.

    upload: the key of the uploaded file.
    """
    began = timezone.now()
    imports.import_upload(run, upload)
    proposing.look_at_books(added_since=began)


@task(
    "audiobooks.mam_scraping",
    id="mam_scraping",
    name="Daily MAM Scraping",
    label="MAM",
    cron="0 2 * * *",
    timeout=timedelta(hours=2),
)
def mam_scraping_task(run: TaskRun) -> None:
    """Crawl the sources that are turned on for new audiobooks, and read the guides of the tracker."""
    problems = []
    for part in (crawl.new_releases, _read_guides):
        if run.should_stop:
            break
        # What fails in one is no reason to leave the other out.
        try:
            part(run)
        except TaskFailed as error:
            problems.append(str(error))
    if problems:
        raise TaskFailed(" ".join(problems))


def _read_guides(run: TaskRun) -> None:
    counts = guides.read_guides(run)
    run.result = {**(run.result or {}), "guides": counts}


@task(
    "audiobooks.top10_discovery",
    id="top10_discovery",
    name="Weekly Top-10 Discovery",
    label="TOP10",
    cron="0 3 * * 0",
    timeout=timedelta(hours=2),
)
def top10_discovery_task(run: TaskRun) -> None:
    """Find the top 10 of the week of each enabled genre."""
    charts.discover(run)


@task(
    "audiobooks.metadata_full",
    id="metadata_full",
    name="Monthly Full Metadata Refresh",
    label="METADATA_FULL",
    cron="0 4 1 * *",
    timeout=timedelta(hours=12),
    # A run that broke off, because nobody answered or the process died, goes on by itself.
    retries=3,
    retry_delay=timedelta(hours=1),
)
def metadata_full_refresh_task(run: TaskRun, undo: int | None = None) -> None:
    """Refresh the metadata of every book.

    undo: the number of a refresh to take back, instead of refreshing.
    """
    if undo is None:
        refresh.refresh_books(run, MetadataRun.Kind.FULL)
    else:
        refresh.undo_refresh(run, undo)


@task(
    "audiobooks.metadata_new",
    id="metadata_new",
    name="Weekly New Books Metadata Refresh",
    label="METADATA_NEW",
    cron="30 4 * * 0",
    timeout=timedelta(hours=4),
    retries=3,
    retry_delay=timedelta(hours=1),
)
def metadata_new_books_task(run: TaskRun, book: int | None = None) -> None:
    """Refresh the metadata of books added in the last 7 days.

    book: the key of a book, to refresh it alone.
    """
    if book is None:
        refresh.refresh_books(run, MetadataRun.Kind.NEW)
    else:
        refresh.refresh_book(run, book)


@task(
    "audiobooks.series_completion",
    id="series_completion",
    name="Monthly Series Completion",
    label="SERIES",
    cron="0 3 2 * *",
    timeout=timedelta(hours=4),
)
def series_completion_task(
    run: TaskRun,
    series: int | None = None,
    scope: Scope | None = None,
    most: int = MOST_SEARCHED,
    plan_only: bool = False,
) -> None:
    """Find the missing books of series that one owns something of, and get them within the budget.

    Args:
        series: the key of a series, to look at it alone.
        scope: which works are wanted, in place of what each series is followed by.
        most: how many works are searched for at most; the others come first in the next run.
        plan_only: propose, and approve nothing by rule.
    """

    def complete() -> None:
        # Read once the catalogue has listed what is new.
        missing = gaps.missing(cause=gaps.SERIES, only=series, scope=scope)[:most]
        acquire.complete(run, missing, plan_only=plan_only)

    each_on_its_own([partial(listing.list_series, run, only=series), complete])


@task(
    "audiobooks.author_completion",
    id="author_completion",
    name="Monthly Author Completion",
    label="AUTHOR",
    cron="0 3 3 * *",
    timeout=timedelta(hours=4),
)
def author_completion_task(
    run: TaskRun,
    author: int | None = None,
    scope: Scope | None = None,
    most: int = MOST_SEARCHED,
    plan_only: bool = False,
) -> None:
    """Find the missing audiobooks of authors that are followed, and get them within the budget.

    Args:
        author: the key of an author, to look at them alone.
        scope: which works are wanted, in place of what each author is followed by.
        most: how many works are searched for at most; the others come first in the next run.
        plan_only: propose, and approve nothing by rule.
    """

    def complete() -> None:
        # Read once the catalogue has listed what is new.
        missing = gaps.missing(cause=gaps.AUTHOR, only=author, scope=scope)[:most]
        acquire.complete(run, missing, plan_only=plan_only)

    each_on_its_own([partial(listing.list_authors, run, only=author), complete])


@task(
    "audiobooks.wanted_books",
    id="wanted_books",
    name="Daily Search for Wanted Books",
    label="WANTED",
    cron="30 5 * * *",
    timeout=timedelta(hours=2),
)
def wanted_books_task(run: TaskRun, most: int = MOST_SEARCHED, plan_only: bool = False) -> None:
    """Search for the books that people want, and approve what waits for the budget.

    Args:
        most: how many works are searched for at most; the others come first in the next run.
        plan_only: propose, and approve nothing by rule.
    """
    acquire.complete(run, gaps.wishes()[:most], plan_only=plan_only)


@task(
    "audiobooks.download_monitor",
    id="download_monitor",
    name="Download Monitor",
    label="DOWNLOADS",
    cron="*/5 * * * *",
    timeout=timedelta(hours=1),
)
def download_monitor(run: TaskRun) -> None:
    """Hand over what is approved, look at downloads, check what is there, and bring it into the library."""
    collect.monitor(run)


@task(
    "audiobooks.weekly_digest",
    id="weekly_digest",
    name="Weekly Digest",
    label="DIGEST",
    cron="0 7 * * 1",
    timeout=timedelta(minutes=10),
)
def weekly_digest(run: TaskRun) -> None:
    """Tell what was found and got in the last 7 days, by letter where DIGEST_TO is set."""
    digest.tell(run, timezone.now())
