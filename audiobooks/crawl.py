"""The verb behind the nightly crawl: what sources have new is recorded as releases, each page with how far the crawl is.

A pass goes from the newest release down to those that were known when it began, over as many Tasks as it takes. Only when
it is there does the next one begin at the top, so that what is known has no holes. What is seen again is never emptied by an
answer that says less.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from scheduling.context import TaskRun, each_on_its_own
from scheduling.exceptions import TaskFailed
from scheduling.redaction import blanked, redact

from .exceptions import BadAnswer, ServiceError
from .facts import BookFacts
from .http import Doorway
from .library.albums import key_of
from .matching.names import normalise
from .models import Book, Crawl, Release
from .owning import works_of
from .sources import base
from .sources.base import Account, HasAccount, ListedByDay, Page, Source
from .sources.registry import ask, listing_of, sources

OVERLAP = 20
"""So many releases at the end of a page that were known before show that all that follow are."""
JUDGED_ROWS = 20
"""Rows that a crawl has to read to be compared with what is usual."""
JUDGED_BY = 50
"""Rows of earlier crawls that it is compared with at least."""
MUCH_LESS = 0.3
"""Share, of all rows, by which a share has to be smaller than usual; and it has to be half of it at most."""
USUAL_CRAWLS = 10
DRIFT_ACCEPTED_AFTER = 7
"""Crawls in a row that read less than usual; the next one is what is usual from then on."""
CURSOR_GOES_STALE = timedelta(days=30)
"""A pass of which nothing was read for so long begins at the top again. It stays the same pass, else what it has read already
would count as known, and hide what it has not."""
BATCH = 200
_MOST_COUNT = 2**63 - 1
_AHEAD = timedelta(days=1)
"""By which a source's clock may be before ours."""

_COUNTS = ("size", "files", "seeders", "leechers", "fetched", "bitrate")
_SEEN_ANEW = (
    *("name", "title", "authors", "search", "title_key", "language", "format", "free", *_COUNTS, "added", "dated_at"),
    *("counts", "hash", "link", "fetch", "genres", "formats", "facts"),
)
"""Columns that a later answer may change."""


@dataclass
class Reading:
    """What one crawl read of a source."""

    pages: int = 0
    rows: int = 0
    releases: int = 0
    new: int = 0
    changed: int = 0
    filled: dict[str, int] = field(default_factory=dict)
    lacking: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Field -> the row of the first release without it."""
    unread: Mapping[str, Any] = field(default_factory=dict)

    def count(self, page: Page) -> None:
        self.pages += 1
        self.rows += page.rows
        self.releases += len(page.releases)
        self.unread = self.unread or page.unread
        for release in page.releases:
            found = _filled(release)
            for name in found:
                self.filled[name] = self.filled.get(name, 0) + 1
            for name in _FIELDS - found:
                self.lacking.setdefault(name, release.raw)

    def as_json(self) -> dict[str, Any]:
        return {"rows": self.rows, "releases": self.releases, "filled": self.filled}


_FIELDS = frozenset(
    {"title", "authors", "narrators", "series", "genres", "description", "language", "runtime", "publisher", "released"}
    | {"asin", "isbns", "cover_url", "added", "formats", "link", "fetch", *_COUNTS}
)


def _filled(release: base.Release) -> set[str]:
    of_facts = release.facts.as_json()
    own = {name for name in _FIELDS if getattr(release, name, None) not in (None, "", ())}
    return own | (_FIELDS & of_facts.keys())


# --- a run ------------------------------------------------------------------------------------------------------------


def new_releases(run: TaskRun) -> None:
    """Crawl every source that is turned on; what fails at one costs only its own.

    Raises:
        TaskFailed: no source is turned on, or one did not answer; what was read of the others is kept.
        Exception: an answer of one that this code does not bear; likewise.
    """
    turned_on = sources()
    if not turned_on:
        raise TaskFailed("No source is turned on (SOURCES). Nothing was done.")
    http = Doorway()
    last = Crawl.objects.order_by("-crawled_at").values_list("crawled_at", flat=True).exclude(crawled_at=None).first()
    crawls: list[_Crawl] = []

    def crawl(source: Source) -> None:
        if not run.should_stop:
            crawls.append(_Crawl(run, http, source))
            crawls[-1].go()

    each_on_its_own([*(partial(crawl, source) for source in turned_on), partial(_conclude, run, crawls, last)])
    if problems := [crawl.problem for crawl in crawls if crawl.problem]:
        raise TaskFailed(" ".join(problems))


def _conclude(run: TaskRun, crawls: Sequence[_Crawl], last: datetime | None) -> None:
    # What was read before a book came could not be recognised. A day more, since books may come during a crawl.
    matched = match_again(since=last - timedelta(days=1)) if last is not None else 0
    forget_raw(run)
    told = {
        crawl.source.name: {
            **{name: getattr(crawl.reading, name) for name in ("pages", "releases", "new", "changed")},
            "finished": crawl.finished,
        }
        for crawl in crawls
    }
    run.result = {
        "new": sum(crawl.reading.new for crawl in crawls),
        "changed": sum(crawl.reading.changed for crawl in crawls),
        "matched with books that came since": matched,
        "sources": told,
    }
    for name, counts in told.items():
        run.log("%s: %s", name, ", ".join(f"{label}: {value}" for label, value in counts.items()))
    if degraded := [{"source": crawl.source.name, **crawl.drift} for crawl in crawls if crawl.drift]:
        run.result["degraded"] = degraded


class _Crawl:
    """One source at work in a run.

    problem: why it did not answer. drift: what it read less of than usual.
    finished: whether nothing newer is left. is_cut_off: whether the source does not list all that is.
    broke_off_at: the cursor of the page behind which the last crawl found nothing, although there was to be more.
    """

    def __init__(self, run: TaskRun, http: Doorway, source: Source) -> None:
        self.run, self.http, self.source = run, http, source
        self.reading = Reading()
        self.problem = ""
        self.drift: dict[str, Any] = {}
        self.finished = self.is_cut_off = False
        self.most_pages = settings.CRAWL_PAGES
        self.state, _ = Crawl.objects.get_or_create(source=source.name)
        if self.state.listing != (listing := listing_of(source.name)):
            # Another listing: nothing of it is known.
            self._keep_state(listing=listing, pass_began=None, cursor="", complete_at=None, usual=[])
        is_broken_off = self.state.pass_began is not None and _BROKEN_OFF in self.state.drift.get("less", ())
        self.broke_off_at = self.state.cursor if is_broken_off else None

    def go(self) -> None:
        self.run.progress(text=f"{self.source.label}")
        if self._read_account():
            self._passes()
        if self.reading.pages:
            self._judge()

    def _passes(self) -> None:
        # Not when the pass began: the first one of a big source takes longer, and would never end.
        if self.state.crawled_at and self.state.crawled_at < timezone.now() - CURSOR_GOES_STALE:
            self._keep_state(cursor="")
        goes_on = self.state.pass_began is not None
        if goes_on:
            self.run.log("%s: going on where the last crawl broke off.", self.source.label)
            # Of the last page once more.
            self.most_pages += 1
        if self._pass() and goes_on:
            # What came on top since that pass began.
            self._pass()

    def _pass(self) -> bool:
        """Whether it came to its end."""
        self.finished = False
        began = self.state.pass_began or timezone.now()
        # The last page once more: what was removed since has moved the others up.
        cursor, is_again = self.state.cursor, self.state.pass_began is not None
        has_more = False
        while self.reading.pages < self.most_pages:
            if self.run.should_stop:
                return False
            page = self._page(cursor)
            if page is None:
                return False
            if is_again and cursor and page.rows and not page.cursor:
                # Something was behind it. The list has moved by more than the cursor can tell: from the top.
                cursor, is_again = "", False
                continue
            self.reading.count(page)
            if has_more and not page.rows:
                if self._is_broken_off():
                    return False
                page = replace(page, has_more=True)
            if self._is_odd(page, has_rows=is_again or (not cursor and self._has_rows_on_top())):
                return False
            is_last = self._record(page, cursor, began)
            self.run.progress(
                self.run.processed + len(page.releases), text=f"{self.source.label}, page {self.reading.pages}"
            )
            self.run.succeeded(len(page.releases))
            if is_last:
                self.finished = not self.is_cut_off
                return True
            cursor, is_again, has_more = page.cursor, False, page.has_more
        self.run.log("%s: CRAWL_PAGES are read; the next crawl goes on from there.", self.source.label)
        return False

    # -- asking

    def _read_account(self) -> bool:
        """False where the source does not answer."""
        if not isinstance(self.source, HasAccount):
            return True
        outcome = ask(self.http, self.source, self.source.account)
        if outcome.answer is not None:
            self._keep_state(account=told_of(outcome.answer), account_at=timezone.now())
        if isinstance(outcome.error, BadAnswer):
            self.run.warning("%s: the account could not be read: %s", self.source.label, outcome.error)
        elif outcome.error is not None:
            self._failed(outcome.error)
            return False
        return True

    def _page(self, cursor: str) -> Page | None:
        if isinstance(self.source, ListedByDay):
            since = self.state.complete_at.date() if self.state.complete_at else None
            outcome = ask(self.http, self.source, partial(self.source.newest_since, cursor=cursor, since=since))
        else:
            outcome = ask(self.http, self.source, partial(self.source.newest, cursor=cursor))
        if outcome.error is not None:
            self._failed(outcome.error)
            return None
        return outcome.answer

    def _failed(self, error: ServiceError) -> None:
        if self.run.should_stop:
            # Broken off while it waited.
            return
        label = self.source.label
        self.problem = str(error) if label in str(error) else f"{label}: {error}"

    # -- writing

    def _record(self, page: Page, cursor: str, began: datetime) -> bool:
        """The releases of the page and how far the pass is, at once. Returns whether it came to its end."""
        # Our clock may be set back: what this pass records never counts as known before it.
        now = max(timezone.now(), began)
        with transaction.atomic():
            recorded = record(self.source.name, page.releases, now=now)
            known = [first < began for first in recorded.first_seen]
            # In the first pass there is nothing to meet.
            met = self.state.complete_at is not None and bool(known) and all(known[-OVERLAP:])
            is_last = not page.cursor or (met and not isinstance(self.source, ListedByDay))
            if is_last and page.has_more and not met and self.state.complete_at is not None:
                self.is_cut_off = True
                self.run.warning(
                    "%s: more is new than it lists. What is older than that, back to the last crawl, is not known.",
                    self.source.label,
                )
            self.reading.new += recorded.new
            self.reading.changed += recorded.changed
            progress: dict[str, Any] = {"pass_began": began, "cursor": cursor}
            if is_last:
                progress = {"pass_began": None, "cursor": "", "complete_at": began}
            self._keep_state(crawled_at=now, **{name: getattr(self.reading, name) for name in _TOLD}, **progress)
        return is_last

    def _keep_state(self, **columns: Any) -> None:
        for name, value in columns.items():
            setattr(self.state, name, value)
        Crawl.objects.filter(pk=self.state.pk).update(**columns)

    # -- drift

    def _has_rows_on_top(self) -> bool:
        return bool(_sum(self.state.usual, "rows")) and not isinstance(self.source, ListedByDay)

    def _is_odd(self, page: Page, *, has_rows: bool) -> bool:
        """Whether nothing is to be concluded from the page: it is empty although it `has_rows`, or cannot be read."""
        if has_rows and not page.rows:
            self._drifts(["it lists nothing at all, where it usually lists something"], {})
            # At the top the next time, should there be no such page any more.
            self._keep_state(cursor="")
        elif (words := self._unreadable()) is not None:
            self._drifts([words], self.reading.unread)
        return bool(self.drift)

    def _is_broken_off(self) -> bool:
        """Of an empty page where the source said that there is more. The next crawl goes on from the page before.

        Where that has just been read again, and behind it there is nothing again, the source counts wrong or takes no
        offset: then it is the end.
        """
        if self.broke_off_at == self.state.cursor:
            return False
        self._drifts([_BROKEN_OFF], {})
        return True

    def _unreadable(self) -> str | None:
        reading, usual = self.reading, _sum(self.state.usual, "rows")
        if reading.rows < JUDGED_ROWS or usual < JUDGED_BY:
            return None
        now, before = reading.releases / reading.rows, _sum(self.state.usual, "releases") / usual
        words = f"{now:.0%} of its rows could be read, usually {before:.0%}"
        return words if _is_much_less(now, before) else None

    def _judge(self) -> None:
        """What was read beside what is usual."""
        reading, usual = self.reading, _sum(self.state.usual, "releases")
        is_judged = reading.releases >= JUDGED_ROWS
        if not self.drift and is_judged and usual >= JUDGED_BY:
            less = {}
            for name in sorted(_FIELDS):
                now = reading.filled.get(name, 0) / reading.releases
                before = sum(each.get("filled", {}).get(name, 0) for each in self.state.usual) / usual
                if _is_much_less(now, before):
                    less[name] = f"{name} is filled in {now:.0%} of its releases, usually in {before:.0%}"
            if less:
                self._drifts(list(less.values()), reading.lacking.get(next(iter(less)), {}))
        if self.drift and is_judged and self.state.drifting >= DRIFT_ACCEPTED_AFTER:
            self._keep_state(drift=self.drift, drifting=0, usual=[reading.as_json()])
        elif self.drift:
            self._keep_state(drift=self.drift, drifting=self.state.drifting + 1)
        elif reading.rows:
            self._keep_state(
                usual=[*self.state.usual, reading.as_json()][-USUAL_CRAWLS:],
                **({"drift": {}, "drifting": 0} if is_judged or not self.state.drift else {}),
            )

    def _drifts(self, words: list[str], sample: Mapping[str, Any]) -> None:
        self.drift = {"at": timezone.now().isoformat(timespec="seconds"), "less": words, "sample": _shown(sample)}
        told = "; ".join(words)
        self.run.warning(
            "%s is read less well than usual: %s. Nothing is concluded from that.", self.source.label, told
        )


_TOLD = ("pages", "rows", "new", "changed")
_BROKEN_OFF = "it lists nothing where it said that there is more"


def _sum(usual: Iterable[Mapping[str, Any]], name: str) -> int:
    return sum(each.get(name, 0) for each in usual)


def _is_much_less(now: float, before: float) -> bool:
    return before - now > MUCH_LESS and now * 2 <= before


def _shown(value: Any) -> Any:
    """A row of an answer without anything that looks like a secret."""

    def without(value: Any) -> Any:
        if isinstance(value, str):
            return redact(value[:2000])
        if isinstance(value, Mapping):
            return {str(name): without(each) for name, each in value.items()}
        return [without(each) for each in value] if isinstance(value, list | tuple) else value

    return without(blanked(storable(value)))


def read_account(http: Doorway, source: HasAccount, *, older_than: timedelta) -> ServiceError | None:
    """Ask what the member may fetch, unless that was read since; returns why it could not be."""
    now = timezone.now()
    state = Crawl.objects.filter(source=source.name).first()
    if state is not None and state.account_at is not None and timedelta() <= now - state.account_at < older_than:
        return None
    outcome = ask(http, source, source.account)
    if outcome.answer is not None:
        Crawl.objects.update_or_create(
            source=source.name, defaults={"account": told_of(outcome.answer), "account_at": timezone.now()}
        )
    return outcome.error


def told_of(account: Account) -> dict[str, Any]:
    """Without the member's name. An infinite ratio has no JSON."""
    infinite = account.ratio is not None and math.isinf(account.ratio)
    told = {
        **{"grade": account.grade, "ratio": "∞" if infinite else account.ratio},
        **{"uploaded": account.uploaded, "downloaded": account.downloaded, "wedges": account.wedges},
        **{
            "unsatisfied": account.unsatisfied,
            "unsatisfied_limit": account.unsatisfied_limit,
            "points": account.points,
        },
    }
    return {name: value for name, value in told.items() if value not in (None, "")}


# --- releases ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """first_seen: of each release that was given, in its order."""

    new: int
    changed: int
    first_seen: list[datetime]


def record(source: str, releases: Sequence[base.Release], *, now: datetime) -> Recorded:
    """Keep what a source offers, each once, in a number of queries that does not grow with the releases.

    What is not said this time stays as it was said before. Not seen is not gone: nothing is deleted.
    """
    keys = [key_of_release(release) for release in releases]
    offered = dict(zip(keys, releases, strict=True))
    known = {row.key: row for row in Release.objects.filter(source=source, key__in=offered).defer("raw")}
    rows = {key: _row(source, key, release, known.get(key), now) for key, release in offered.items()}
    new = [row for key, row in rows.items() if key not in known]
    changed = [row for key, row in rows.items() if key in known and _is_changed(row, known[key])]
    unknown = [row for row in (*new, *changed) if row.work_id is None]
    for row, work in zip(unknown, works_of([BookFacts.from_json(row.facts) for row in unknown]), strict=True):
        row.work_id = work
    Release.objects.bulk_create(
        [*new, *changed],
        update_conflicts=True,
        unique_fields=["source", "key"],
        update_fields=[*_SEEN_ANEW, "work", "last_seen", "raw", "raw_at"],
    )
    as_before = {row.pk for row in known.values()} - {known[row.key].pk for row in changed}
    Release.objects.filter(pk__in=as_before).update(last_seen=now)
    return Recorded(new=len(new), changed=len(changed), first_seen=[rows[key].first_seen for key in keys])


def key_of_release(release: base.Release) -> str:
    """Of its row."""
    key: str = storable(release.id)[:500]
    return key


def _row(source: str, key: str, release: base.Release, known: Release | None, now: datetime) -> Release:
    facts = {**(known.facts if known else {}), **storable(release.facts.as_json())}
    people = [each["name"] for each in facts.get("authors", ())]
    title = facts.get("title") or release.name
    added = release.added if release.added is not None and release.added <= now + _AHEAD else None
    row = Release(
        source=source,
        key=key,
        work_id=known.work_id if known else None,
        name=release.name,
        title=title[:512],
        authors=", ".join(people)[:512],
        search=searchable(" ".join([title, *people, *facts.get("narrators", ())])),
        title_key=key_of(title.partition(":")[0]),
        language=facts.get("language", "")[:64],
        format=(release.formats[0] if release.formats else "")[:16],
        free=release.free,
        counts=release.counts,
        added=added,
        hash=release.hash[:64],
        link=release.link,
        fetch=release.fetch,
        genres=list(release.genres),
        formats=list(release.formats),
        facts=facts,
        first_seen=known.first_seen if known else now,
        last_seen=now,
        raw=storable(dict(release.raw)),
        raw_at=now,
    )
    for name in _COUNTS:
        value = getattr(release, name)
        setattr(row, name, None if value is None else min(value, _MOST_COUNT))
    for name in _SEEN_ANEW:
        value = storable(getattr(row, name))
        is_said = value not in (None, "", [], {})
        # That it is free is said of now alone.
        setattr(row, name, value if is_said or known is None or name == "free" else getattr(known, name))
    row.dated_at = row.added or row.first_seen
    return row


def _is_changed(row: Release, known: Release) -> bool:
    return any(getattr(row, name) != getattr(known, name) for name in _SEEN_ANEW)


def searchable(text: str) -> str:
    """What the list's search looks in; the words that are sought become the same way."""
    return normalise(storable(text))[:500]


def storable(value: Any) -> Any:
    """A value of an answer that every database keeps: without NULs, halves of characters, and numbers that JSON lacks."""
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {storable(str(name)): storable(each) for name, each in value.items()}
    return [storable(each) for each in value] if isinstance(value, list | tuple) else value


def match_again(*, since: datetime) -> int:
    """Releases without a work, of works whose books came since: returns how many have one now."""
    matched, last = 0, 0
    books = Book.objects.filter(added_at__gte=since).order_by("pk").select_related("work").only("pk", "work__title")
    while batch := list(books.filter(pk__gt=last)[:BATCH]):
        last = batch[-1].pk
        keys = {key for book in batch if (key := key_of(book.work.title.partition(":")[0]))}
        releases = list(Release.objects.filter(work=None, title_key__in=keys).defer("raw")[: BATCH * 10])
        for start in range(0, len(releases), BATCH):
            part = releases[start : start + BATCH]
            found = [
                Release(pk=row.pk, work_id=work)
                for row, work in zip(part, works_of([BookFacts.from_json(row.facts) for row in part]), strict=True)
                if work is not None
            ]
            Release.objects.bulk_update(found, ["work"])
            matched += len(found)
    return matched


def forget_raw(run: TaskRun) -> None:
    """Empties answers that are older than CRAWL_RAW_DAYS, as many as there is time for."""
    old = Q(raw_at__lt=timezone.now() - timedelta(days=settings.CRAWL_RAW_DAYS))
    # In the order of the list, each batch would sort all that are left.
    due = Release.objects.filter(old).order_by().values_list("pk", flat=True)
    while not run.should_stop and (keys := list(due[:BATCH])):
        Release.objects.filter(pk__in=keys).update(raw={}, raw_at=None)
