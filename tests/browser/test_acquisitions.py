"""The way from gap to shelf in a real browser: whole on a desk and a phone, light and dark, and without scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from audiobooks import acquire
from audiobooks.models import (
    Acquisition,
    BlockedRelease,
    Book,
    FetchingStop,
    Follow,
    Series,
    Work,
    WorkMark,
    WorkSearch,
)
from scheduling.display import change_url
from scheduling.models import Task
from scheduling.scheduler import declare_jobs
from tests.browser.conftest import Visit
from tests.fakes.librivox import FakeLibriVox
from tests.samples.acquired import SERIES, acquired, candidate, fill, offered, wanted
from tests.scheduling.processes import running_scheduler, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
LIST = "/admin/audiobooks/acquisition/"
GAPS = "/admin/audiobooks/follow/"


def searched(work: Work) -> None:
    """A search that found a release in another language."""
    release = offered("Das gläserne Meer", "other")
    reason = "It is in German, and English is wanted."
    decision = {
        "candidates": [candidate(release, reason, verdict="unfit")],
        "sources": {"Indexer": "It did not answer. " * 6},
    }
    now = timezone.now()
    WorkSearch.objects.create(
        work=work, outcome="language", searched_at=now, next_at=now + timedelta(days=14), fruitless=2, decision=decision
    )  # fmt: skip


@pytest.fixture
def addresses(administrator: User) -> dict[str, str]:
    made = fill(administrator)
    # One volume is owned, so that the others are gaps; one was searched for, one is left out, one nobody wants.
    Book.objects.filter(pk=made["imported"].book_id).update(standing="owned")
    searched(wanted("The Glass Sea", 10).work)
    WorkMark.objects.create(work=wanted("The Heard Tide", 11).work, kind="heard", by=administrator)
    wanted("A Title of Many Words " * 8, 12)
    series = Series.objects.get(name=SERIES)
    lists = {
        f"acquisitions {view}": f"{LIST}?view={view}" for view in ("proposed", "needs", "way", "got", "not", "all")
    }
    return {
        "acquisitions": LIST,
        **lists,
        "no acquisitions": f"{LIST}?q=nothing",
        **{f"acquisition {name}": change_url(row) for name, row in made.items()},
        "week": f"{LIST}week/",
        "kept out": "/admin/audiobooks/blockedrelease/",
        "gaps": GAPS,
        "no gaps": f"{GAPS}?q=nothing",
        "gaps of one": f"{GAPS}series/{series.pk}/",
        "gaps of one, foreseen": f"{GAPS}series/{series.pk}/?scope=from&from_number=3",
        "work searched for": change_url(Work.objects.get(title="The Glass Sea")),
        "work under way": change_url(made["stuck"].work),
    }


def test_every_page_is_whole(look: Visit, addresses: dict[str, str], tmp_path: Path) -> None:
    problems = look.problems_of(addresses, tmp_path)
    acquire.stop_fetching(User.objects.get(), f"The disk is full, and {'so it is ' * 20}")
    stopped = {"stopped": LIST, "dashboard while stopped": "/admin/"}
    problems += look.problems_of(stopped, tmp_path)
    assert not problems, problems


@pytest.fixture
def console(
    administrator: User, visit: Callable[..., Visit], process_env: dict[str, str], tmp_path: Path
) -> Iterator[Visit]:
    """With a scheduler whose source gives away what it has, in no time."""
    with FakeLibriVox(projects=[]) as source:
        declare_jobs()
        where = {
            **{"SOURCES": "librivox", "LIBRIVOX_URL": source.url, "ARCHIVE_URL": source.archive_url, "BUDGET_FREE_GB": "0.01"},
            **{"AUDIOBOOKS_LIBRARY": str(tmp_path / "library"), "AUDIOBOOKS_DOWNLOADS": str(tmp_path / "fetched")},
        }  # fmt: skip
        with running_scheduler({**process_env, **where}, tmp_path):
            one = visit()
            one.sign_in("admin")
            yield one


def test_from_a_gap_to_an_approval_that_moves_on(console: Visit) -> None:
    owned, left_out, gap = wanted("The Salt Road", 1), wanted("The Bare Reef", 2), wanted("The Glass Meridian", 3)
    Book.objects.filter(pk=owned.pk).update(standing="owned")
    page = console.open(GAPS)
    page.click("button[aria-label='Ignore: The Bare Reef']")
    page.wait_for_selector("text=It is ignored, whatever the edition.")
    assert WorkMark.objects.get().work_id == left_out.work_id

    page.click(f"a:has-text('{SERIES}') >> nth=0")
    page.select_option("[name=scope]", "from")
    page.fill("[name=from_number]", "4")
    page.click("button:has-text('What would that change?')")
    page.wait_for_selector("text=It takes away 1.")
    assert not Follow.objects.exists(), "it was a question"
    page.fill("[name=from_number]", "3")
    page.click("button:has-text('What would that change?')")
    page.wait_for_selector(".gaps-told >> text=This adds 0 now")
    page.click("button:has-text('Save')")
    page.wait_for_selector("text=Wanted of it: from a number on.")
    assert Follow.objects.get().from_number == 3

    row = acquired(book=gap)
    page = console.open(LIST)
    page.click(f"button[aria-label='Approve: {row.name}']")
    page.wait_for_selector("text=Approved.")

    # The Job is woken: its source has the release no more, so what stands behind it is proposed at once.
    wait_until(
        lambda: not Acquisition.objects.filter(pk=row.pk, state__in=("proposed", "approved")).exists(), seconds=60
    )
    task = Task.objects.filter(job="download_monitor").latest("pk")
    assert task.requested_by == User.objects.get()
    page = console.open(change_url(row))
    text = page.inner_text("main, #content")
    assert "Approved by admin." in text and "failed" in text.lower()
    assert BlockedRelease.objects.get().key == row.key


def test_a_doubt_is_settled_and_all_is_stopped_without_scripts(
    addresses: dict[str, str], administrator: User, visit: Callable[..., Visit]
) -> None:
    one = visit(scripts=False)
    one.sign_in("admin")
    page = one.open(addresses["acquisition doubted"])
    button = page.locator("button[aria-label^='Take it as it is: ']")
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Taken as it is.")
    assert Acquisition.objects.filter(state="checked").exists()
    page = one.open(LIST)
    page.click("summary:has-text('Stop all fetching')")
    page.fill("[name=reason]", "holiday")
    page.click("button:has-text('Stop')")
    page.wait_for_selector("text=Nothing is approved by rule")
    assert FetchingStop.objects.get().reason == "holiday"
    page.click("button:has-text('Let fetching go on')")
    page.wait_for_selector("text=Fetching goes on.")
    page = one.open(f"{LIST}?view=proposed")
    page.locator("input.action-select").first.check()
    page.select_option("select[name=action]", "decline_selected")
    page.locator("button[name=index], button:has-text('Run')").first.click()
    page.wait_for_selector("text=not proposed again")
    page = one.open(reverse("admin:audiobooks_blockedrelease_changelist"))
    assert page.is_visible("text=A person declined it.")
