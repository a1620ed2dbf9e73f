"""Acquisitions of an invented household in every state, with what each page of them can show."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone
from PIL import Image

from audiobooks import covers, crawl
from audiobooks.facts import BookFacts, Contributor
from audiobooks.fields import Offer, new_book
from audiobooks.ledger import GB
from audiobooks.library.albums import key_of
from audiobooks.models import Acquisition, AcquisitionEvent, BlockedRelease, Book, Crawl, Release, Work
from audiobooks.sources import base

AUTHOR, SERIES, SOURCE = "Ilse Varga", "The Salt Cartographers", "librivox"
TITLES = (
    "The Salt Road",
    "The Glass Meridian",
    "A Harbour of Lanterns",
    "Seven Orchards",
    "The Last Observatory",
    "Beneath the Ferrymen",
    "Winter Almanac",
    "Letters from the Beekeeper",
    "The Quiet Tides",
)


def wanted(title: str, number: int = 1, **columns: Any) -> Book:
    """A book that is only known of, as a catalogue tells it."""
    said = {"title": title, "authors": [AUTHOR], "series": [[SERIES, str(number)]], "language": "en", "runtime": 36_000}
    work = Work.objects.create(title=title[:500], key=key_of(title)[:255])
    offers = {name: Offer(value, "audnexus") for name, value in said.items()}
    return new_book(work, offers, now=timezone.now(), **{"standing": "known", **columns})


def offered(title: str, key: str, **more: Any) -> Release:
    """A release of it that is fit; of a source that counts nothing."""
    facts = BookFacts(title=title, authors=(Contributor(name=AUTHOR),), language="en", runtime=36_000)
    name = f"{title} by {AUTHOR} [ENG / MP3]"
    values = {"size": GB // 2, "seeders": 12, "free": True, "formats": ("mp3",), "facts": facts, "name": name, **more}
    crawl.record(SOURCE, [base.Release(source=SOURCE, id=key, **values)], now=timezone.now())
    return Release.objects.get(source=SOURCE, key=key)


def candidate(release: Release, *reasons: str, verdict: str = "fit") -> dict[str, Any]:
    told = {"source": release.source, "key": release.key, "name": release.name, "size": release.size}
    return {**told, "score": 0.8, "verdict": verdict, "reasons": list(reasons)}


def acquired(
    title: str = "The Glass Meridian", state: str = "proposed", number: int = 2, **columns: Any
) -> Acquisition:
    """An acquisition with its book, its release, and one behind it."""
    book = columns.pop("book", None) or wanted(title, number)
    release = offered(title, f"{key_of(title)[:100]}-1")
    other = offered(title, f"{key_of(title)[:100]}-2", name=f"{title} ({AUTHOR}) m4b 128k", size=GB)
    known = {
        **{"source": SOURCE, "key": release.key, "name": release.name, "size": release.size, "free": True},
        **{"verdict": "fit", "score": 0.9, "reasons": ["Title and author are the same.", "12 seed it."]},
        **{"cause": "series", "why": f"number {number} of {SERIES}", "state_since": timezone.now()},
        **{"candidates": [candidate(other, "It is larger than others of its length.")]},
    }
    row = Acquisition.objects.create(work_id=book.work_id, book=book, state=state, **{**known, **columns})
    AcquisitionEvent.objects.create(acquisition=row, state="proposed", text=f"Proposed: {row.name} of {row.source}.")
    return row


def fill(by: User | None = None) -> dict[str, Acquisition]:
    """One in each state, and some that need a person, by what they show."""
    now = timezone.now()
    account = {"unsatisfied": 12, "unsatisfied_limit": 100, "uploaded": 900 * GB, "downloaded": 300 * GB}
    Crawl.objects.update_or_create(source="myanonamouse", defaults={"account": account, "account_at": now})
    approved: dict[str, Any] = {"approved_at": now - timedelta(hours=2), "approved_by": by}
    handed = {**approved, "handed_at": now - timedelta(hours=1), "client": "qbittorrent", "hash": "a" * 40}
    there = {**handed, "fetched": GB // 2, "fetched_at": now, "content": "/downloads/ilse varga - seven orchards"}
    over_budget = "Downloads approved in 7 days: 20 at most, of which 20 are used and 0 reserved; this takes 1."
    doubt = "It may be the wrong recording. It runs 6 h 06 min, and 10 h 00 min are known of the work."
    checked = {"verdict": "doubtful", "problems": [{"name": "runtime", "sentence": doubt}]}
    rows: list[tuple[str, str, dict[str, Any]]] = [
        ("proposed", "proposed", {}),
        ("refused", "proposed", {"refusal": over_budget}),
        ("doubtful", "proposed", {"verdict": "doubtful", "size": None, "free": None}),
        ("approved", "approved", approved),
        ("fetching", "fetching", {**handed, "fetched": GB // 5, "progress_at": now}),
        ("stuck", "fetching", {**handed, "hash": "b" * 40, "fetched": GB // 9, "problem_since": now,
            "problem": "qBittorrent has the torrent no more: somebody removed it there. Fetch it again, or give it up."}),
        ("doubted", "fetched", {**there, "check_result": checked, "problem": doubt, "problem_since": now}),
        ("imported", "imported", {**there, "target": f"{AUTHOR}/{SERIES}/08 - {TITLES[7]} {{Mara Quill}}"}),
        ("quarantined", "quarantined", {**there, "check_result": checked}),
    ]  # fmt: skip
    made = {}
    for number, (what, state, columns) in enumerate(rows, 1):
        title = TITLES[number - 1]
        row = made[what] = acquired(title, state, number, **columns)
        if row.approved_at:
            text = f"Approved by {by or 'rule'}."
            AcquisitionEvent.objects.create(acquisition=row, state="approved", text=text, by=by)
    cover = io.BytesIO()
    Image.linear_gradient("L").resize((600, 600)).save(cover, "PNG")
    kept = covers.keep(cover.getvalue())
    Book.objects.filter(pk__in=[made[what].book_id for what in ("proposed", "stuck", "imported")]).update(cover=kept)
    Acquisition.objects.filter(pk=made["fetching"].pk).update(why=f"number 5 of {SERIES}, which is a long one " * 4)
    for number, (days, reason) in enumerate(
        ((None, "A person declined it."), (90, f"Wrong recording. {doubt}"), (-1, "The torrent is not safe."))
    ):
        until = None if days is None else now + timedelta(days=days)
        BlockedRelease.objects.create(
            source=SOURCE, key=f"kept-out-{number}", name=f"Winter.Almanac.{number}." * (1 + 6 * number), size=GB, reason=reason,
            until=until, by=by if days is None else None,
        )  # fmt: skip
    return made
