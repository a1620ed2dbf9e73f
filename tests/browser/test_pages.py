"""Every page in a real browser: nothing refused by the policy, no other host, no sideways scrolling, axe content."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from PIL import Image

from audiobooks import covers
from audiobooks.crawl import record
from audiobooks.exceptions import ServiceError
from audiobooks.facts import BookFacts, Contributor, SeriesPlace
from audiobooks.fields import Offer, apply, edit, new_book
from audiobooks.merging import merge
from audiobooks.models import (
    Author,
    Book,
    Crawl,
    Genre,
    Guide,
    LibraryFile,
    MetadataRun,
    ProviderMatch,
    Release,
    Series,
    ServiceState,
    Work,
)
from audiobooks.names import rows_of
from audiobooks.sources import base as sources
from scheduling.display import change_url, step_url
from scheduling.models import Job, Task, TaskLog
from scheduling.scheduler import declare_jobs
from tests.browser.conftest import Visit

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def addresses(administrator: User) -> dict[str, str]:
    declare_jobs()
    job = Job.objects.by_id("library_scan")
    job.pause(reason="holiday")
    failed = Task.for_job(job, status="failed", error_message="Traceback\nValueError: x", finished_at=timezone.now())
    failed.save()
    TaskLog.objects.create(task=failed, seq=0, text="2026-01-01T00:00:00.000Z WARNING scan: odd\n" * 50)
    return {
        "dashboard": "/admin/",
        "jobs": "/admin/scheduling/job/",
        "job": "/admin/scheduling/job/library_scan/change/",
        "new job": "/admin/scheduling/job/add/",
        "tasks": "/admin/scheduling/task/",
        "task": f"/admin/scheduling/task/{failed.pk}/change/",
        "processes": "/admin/scheduling/schedulerprocess/",
        **library_pages(),
        **source_pages(),
        "people": "/admin/auth/user/",
    }


def library_pages() -> dict[str, str]:
    """A small library in which each page has something of everything that it can show."""
    by = User.objects.get(username="admin")
    cover = io.BytesIO()
    Image.linear_gradient("L").resize((600, 600)).save(cover, "PNG")
    run = MetadataRun.objects.create(
        kind="full", state="asks", started_at=timezone.now(), checked=120, changed=31, replaced=25
    )
    for number, title in enumerate(("The Way of Kings", "Words of Radiance", "Rhythm of War", "Edgedancer")):
        values = {
            "title": title, "authors": ["Brandon Sanderson"], "narrators": ["Kate Reading", "Michael Kramer"],
            "series": [["The Stormlight Archive", ("1", "2", "4", "2.5")[number]]], "genres": ["Fantasy"],
            "runtime": 164_000, "language": "en", "description": f"{title} is a long story. " * 20, "asin": "B003ZWFO7E",
        }  # fmt: skip
        work = Work.objects.create(title=title, key=str(number))
        offers = {name: Offer(value, "folder") for name, value in values.items()}
        book = new_book(work, offers, now=timezone.now(), path=f"Sanderson/{title}")
        LibraryFile.objects.create(book=book, path=f"{book.path}/1.m4b", size=9**9, modified_ns=1, format="m4b")
    Book.objects.filter(pk=book.pk).update(cover=covers.keep(cover.getvalue()))
    Book.objects.filter(title="Rhythm of War").update(missing_since=timezone.now(), standing="wanted")
    other = new_book(Work.objects.create(title="Elantris"), {"title": Offer("Elantris", "folder"),
        "authors": Offer(["B. Sanderson"], "folder")}, now=timezone.now())  # fmt: skip
    merge("author", *(Author.objects.get(name=name).pk for name in ("Brandon Sanderson", "B. Sanderson")), by=by)
    rows_of(Author, ["Brian Sanderson"])
    told = {"publisher": Offer("Macmillan Audio", "audible"), "subtitle": Offer("A Stormlight Novella", "audible")}
    apply(book, told, why="refresh of all books", now=timezone.now(), run=run)
    edit(book, {"publisher": "Recorded by hand"}, by=by)
    told = {"publisher": Offer("Macmillan Audio UK", "audible")}
    apply(Book.objects.get(pk=book.pk), told, why="refresh of all books", now=timezone.now(), run=run)
    for number, facts in enumerate((
        BookFacts(title="Edgedancer", authors=(Contributor(name="Brandon Sanderson"),), runtime=22_000, language="en",
            cover_url="https://example.org/covers/edgedancer.jpg", series=(SeriesPlace(name="The Stormlight Archive", position="2.5"),)),
        BookFacts(title="Edgedancer (Dramatized Adaptation)", authors=(Contributor(name="Brandon Sanderson"),),
            publisher="GraphicAudio", description="A dramatized adaptation with a full cast. " * 10),
    )):  # fmt: skip
        penalties = [{"name": "runtime", "words": "It runs 6 h 06 min, ours 45 h 33 min", "share": 0.9, "weight": 20}]
        match = ProviderMatch.objects.create(
            book=book, provider="audible", record=f"B07{number}", region="us", verdict="medium", distance=0.12 + number / 5,
            facts=facts.as_json(), evidence={"penalties": penalties, "vetoes": ["One is dramatized"] * number},
        )  # fmt: skip
    ProviderMatch.objects.create(book=other, provider="audible", record="B1", verdict="weak", distance=0.4)
    pages = {name: f"/admin/audiobooks/{name}/" for name in (
        "book", "bookchange", "providermatch", "metadatarun", "author", "series", "genre", "libraryfile", "guide"
    )}  # fmt: skip
    return {
        **{f"list {name}": url for name, url in pages.items()},
        "one book": change_url(book),
        "one bare book": change_url(other),
        "book edited": step_url(book, "edit"),
        "review": change_url(match),
        "run": change_url(run),
        "author": change_url(Author.objects.get(name="Brandon Sanderson")),
        "series": change_url(Series.objects.get()),
        "genre": change_url(Genre.objects.get()),
        "no books": "/admin/audiobooks/book/?q=nothing",
        **guide_pages(),
    }


def guide_pages() -> dict[str, str]:
    text = (
        "# Guides -> Beginners -> Start here\n\nWelcome. See [seeding well](https://www.example.org/guides/?gid=38940), which is "
        f"long. {'Each torrent is seeded for 72 hours within 30 days. ' * 8}\n\n## What to do\n\n- Read the rules\n- Choose a client\n"
        "  - one that is allowed\n  - with one port\n1. First\n2. Second\n\n| Class | Unsatisfied torrents | What it needs |\n"
        "| --- | --- | --- |\n| User | 50 | nothing |\n| Power User | 100 | 25 GiB uploaded and a ratio of 2, kept for four weeks |\n\n"
        f"> Be kind.\n> Always.\n\n    listen_port = 6881\n    {'a_long_line_without_blanks_' * 6}\n\n### The end\n\nThat is all."
    )
    now = timezone.now()
    Guide.seen("folder", "tracker/Start here.html", title="Start here", text=text, now=now)
    newer = (
        text.replace("72 hours", "96 hours")
        .replace("- Choose a client\n", "")
        .replace("is all.", "is all.\n\nA new end.")
    )
    guide, _ = Guide.seen("folder", "tracker/Start here.html", title="Start here", text=newer, now=now)
    gone, _ = Guide.seen("site", f"/guides/?gid={'7' * 60}", title="A guide that is gone " * 6, text="", now=now)
    Guide.objects.filter(pk=gone.pk).update(missing_since=now, problem="There is no text in it.")
    return {
        "guide": change_url(guide),
        "guide that is gone": change_url(gone),
        "guides found": "/admin/audiobooks/guide/?q=power+user",
        "guide version": f"/admin/audiobooks/guide/{guide.pk}/versions/{guide.versions.first().pk}/",
        "guide first version": f"/admin/audiobooks/guide/{guide.pk}/versions/{guide.versions.last().pk}/",
    }


def source_pages() -> dict[str, str]:
    now = timezone.now()
    account = {"grade": "Power User", "ratio": 3.25, "unsatisfied": 12, "unsatisfied_limit": 100, "wedges": 7}
    drift = {"less": ["narrators is filled in 20% of its releases, usually in 100%"], "sample": {"title": "x" * 400}}
    times = {"account_at": now, "crawled_at": now, "complete_at": now, "pass_began": now}
    Crawl.objects.create(source="librivox", account=account, drift=drift, new=17, rows=280, pages=3, **times)
    error = ServiceError("LibriVox answered without a list of books. " * 5)
    ServiceState.objects.record_failure("source:librivox", "x", error)
    facts = BookFacts(
        title="The Way of Kings", authors=(Contributor(name="Brandon Sanderson"),), description="Long. " * 99
    )
    release = sources.Release(
        source="librivox", id="1", name="The.Way.of.Kings." * 12, facts=facts, size=9**9, seeders=41, free=True,
        formats=("m4b", "mp3"), genres=("Fantasy",), link="https://site.example/t/1", raw={"title": "x" * 400},
    )  # fmt: skip
    record("librivox", [release], now=now)
    return {
        "sources": "/admin/audiobooks/crawl/",
        "releases": "/admin/audiobooks/release/",
        "release": change_url(Release.objects.get()),
    }


def test_every_page_is_whole(look: Visit, addresses: dict[str, str], tmp_path: Path) -> None:
    problems = look.problems_of(addresses, tmp_path)
    assert not problems, problems


def test_a_match_is_decided_with_the_keyboard_alone(
    addresses: dict[str, str], administrator: User, visit: Callable[..., Visit]
) -> None:
    one = visit()
    one.sign_in("admin")
    page = one.open(addresses["review"])
    wanted = ProviderMatch.objects.get(record="B071")
    for _ in range(120):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('aria-label')") == f"Accept: {wanted}":
            break
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Accepted for Edgedancer")
    wanted.refresh_from_db()
    assert wanted.state == "accepted"
    assert page.locator("h2 >> text=Elantris").count() == 1, "the next book"


def test_signing_in_is_refused_after_ten_wrong_passwords(administrator: User, visit: Callable[..., Visit]) -> None:
    one = visit()
    for _ in range(10):
        page = one.open("/admin/login/")
        page.fill("[name=username]", "admin")
        page.fill("[name=password]", "wrong")
        page.click("[type=submit]")
    assert "refused for 15 minutes" in page.content()
    assert page.title().startswith("Too many wrong passwords")
    one.sign_in("admin")
    assert "refused for 15 minutes" in page.content()
    one.wrong.clear()  # The refusals are error answers.


def test_pages_are_read_and_steps_taken_without_scripts(administrator: User, visit: Callable[..., Visit]) -> None:
    declare_jobs()
    job = Job.objects.by_id("library_scan")
    one = visit(scripts=False)
    page = one.open("/admin/")
    assert page.is_visible("[name=username]")
    one.sign_in("admin")
    page = one.open("/admin/scheduling/job/")
    assert page.is_visible(f"text={job.name}")
    page.click(f"button[aria-label='Run now: {job.name}']")
    task = Task.objects.get()
    assert page.is_visible(f"text=queued Task {task.pk}")
    page = one.open(f"/admin/scheduling/task/{task.pk}/change/")
    assert page.is_visible("#task-state")
    page.click("button:has-text('Cancel')")
    assert Task.objects.get().status == "cancelled"
    assert page.is_visible("text=cancelled")
