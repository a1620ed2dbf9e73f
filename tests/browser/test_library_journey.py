"""What people do with their books, in a real browser, with a scheduler that asks a stand-in for the catalogues."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from audiobooks.fields import Offer, new_book
from audiobooks.models import Book, ProviderMatch, Work
from scheduling.models import Job, Task
from tests.audiobooks.outside import Outside, Reply, Seen
from tests.browser.conftest import Visit
from tests.scheduling.processes import running_scheduler, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

RECORD = {
    "asin": "B0TESTAA03",
    "title": "The Glass Meridian",
    "authors": [{"asin": "B0TESTAU01", "name": "Ilse Varga"}],
    "narrators": [{"name": "Mara Quill"}],
    "summary": "<p>A map that nobody drew.</p>",
    "publisherName": "Lantern Audio",
    "region": "us",
    "language": "english",
    "runtimeLengthMin": 812,
    "formatType": "unabridged",
    "releaseDate": "2024-03-05T00:00:00.000Z",
    "isbn": "",
    "seriesPrimary": {"asin": "B0TESTSE01", "name": "The Salt Cartographers", "position": "3"},
}
PRODUCT = {
    "asin": "B0TESTAA03",
    "title": "The Glass Meridian",
    "authors": [{"asin": "B0TESTAU01", "name": "Ilse Varga"}],
    "narrators": [{"name": "Mara Quill"}],
    "publisher_name": "Lantern Audio",
    "language": "english",
    "runtime_length_min": 812,
    "format_type": "unabridged",
    "content_delivery_type": "SinglePartBook",
    "content_type": "Product",
    "release_date": "2024-03-05",
    "series": [{"asin": "B0TESTSE01", "title": "The Salt Cartographers", "sequence": "3"}],
}


def catalogues(seen: Seen) -> Reply:
    if seen.path == "/books/B0TESTAA03":
        return Reply.of(RECORD)
    if seen.path.startswith("/1.0/catalog/products"):
        return Reply.of({"products": [PRODUCT], "total_results": 1})
    return Reply(404, b'{"error": {"code": "NOT_FOUND", "message": "unknown"}}')


@pytest.fixture
def outside() -> Iterator[Outside]:
    with Outside() as server:
        server.otherwise = catalogues
        yield server


@pytest.fixture
def library(
    administrator: User, visit: Callable[..., Visit], process_env: dict[str, str], outside: Outside, tmp_path: Path
) -> Iterator[Visit]:
    where = {"METADATA_PROVIDERS": "audnexus", "AUDNEXUS_URL": outside.url, "AUDIBLE_URL": outside.url}
    with running_scheduler({**process_env, **where}, tmp_path):
        one = visit()
        one.sign_in("admin")
        yield one


def refreshed(book: Book, since: int) -> Task:
    """The Task after `since` that the button of the book's page queued, ended."""
    found: list[Task] = []

    def ended() -> bool:
        found[:] = Task.objects.filter(job_id="metadata_new", pk__gt=since).exclude(status__in=Task.ACTIVE)
        return bool(found)

    wait_until(ended, seconds=60)
    return found[0]


def test_a_doubtful_match_is_reviewed_and_a_hand_edit_respected(library: Visit) -> None:
    told = {"title": Offer("The Glass Meridian", "folder"), "narrators": Offer(["Somebody Else"], "folder")}
    work = Work.objects.create(title="The Glass Meridian", key="theglassmeridian")
    book = new_book(work, told, now=timezone.now(), path="The Glass Meridian")
    address = f"/admin/audiobooks/book/{book.pk}/change/"

    # A full refresh finds a book of that title; of its author nothing is known here, so it asks.
    page = library.open("/admin/scheduling/job/metadata_full/change/")
    page.click("button:has-text('Run now')")
    full = Job.objects.by_id("metadata_full")
    wait_until(lambda: full.tasks.filter(status="completed").exists(), seconds=60)
    assert ProviderMatch.objects.get().state == "proposed"
    book.refresh_from_db()
    assert book.description == "", "nothing is written of a doubtful match"

    page = library.open("/admin/audiobooks/providermatch/")
    page.click("a:has-text('The Glass Meridian') >> nth=0")
    assert "Ilse Varga" in page.inner_text("main, #content")
    page.click("button:has-text('Accept')")
    page.wait_for_load_state()
    assert ProviderMatch.objects.get().state == "accepted"

    # The publisher is corrected by hand before any source has said one.
    page = library.open(address.replace("change", "edit"))
    page.fill("[name=publisher]", "Recorded by hand")
    page.click("button:has-text('Save')")
    page.wait_for_load_state()
    book.refresh_from_db()
    assert book.publisher == "Recorded by hand"

    last = Task.objects.order_by("-pk").values_list("pk", flat=True)[0]
    page = library.open(address)
    page.click("button:has-text('Refresh')")
    page.wait_for_load_state()
    assert refreshed(book, last).status == "completed"

    book.refresh_from_db()
    assert book.publisher == "Recorded by hand"
    assert book.description == "A map that nobody drew."
    assert book.author_names == ["Ilse Varga"]
    assert book.narrator_names == ["Somebody Else"], "another recording of the work says nothing of its readers"
    text = library.open(address).inner_text("main, #content")
    assert "A map that nobody drew." in text and "Audnexus" in text
    assert "Recorded by hand" in text
