"""The charts in a real browser: whole on a desk and a phone, light and dark, with the keyboard and without scripts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from audiobooks.models import Chart, Genre, Proposal
from scheduling.display import change_url
from tests.browser.conftest import Visit
from tests.samples.charted import fill

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def addresses(administrator: User) -> dict[str, str]:
    fill(administrator)
    works = Proposal.objects.all()
    longest = max(works, key=lambda work: work.entries.count())
    return {
        "charts": "/admin/audiobooks/chart/",
        "charts of a genre": f"/admin/audiobooks/chart/?genre={Genre.objects.get(name='Fantasy').pk}",
        "chart": change_url(Chart.objects.filter(name="Fantasy").latest("week")),
        "first chart": change_url(Chart.objects.filter(name="Fantasy").earliest("week")),
        "widened chart": change_url(Chart.objects.filter(name="History").latest("week")),
        "proposals": "/admin/audiobooks/proposal/",
        "proposals of all kinds": "/admin/audiobooks/proposal/?standing=all",
        "proposal": change_url(longest),
        "declined": change_url(works.of_standing("declined")[0]),
        "choose genres": "/admin/audiobooks/genre/choose/",
        "genres": "/admin/audiobooks/genre/",
        "genre": change_url(Genre.objects.get(name="Fantasy")),
    }


def test_every_page_is_whole(look: Visit, addresses: dict[str, str], tmp_path: Path) -> None:
    problems = look.problems_of(addresses, tmp_path)
    assert not problems, problems


def test_a_work_is_wanted_with_the_keyboard_alone_and_without_scripts(
    addresses: dict[str, str], administrator: User, visit: Callable[..., Visit]
) -> None:
    one = visit(scripts=False)
    one.sign_in("admin")
    page = one.open(addresses["chart"])
    wanted = page.locator("button[aria-label^='Want: ']").first
    label = wanted.get_attribute("aria-label")
    assert label is not None
    wanted.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("text=It is wanted now.")
    assert page.url.endswith(addresses["chart"])
    assert page.locator(f"button[aria-label='{label}']").count() == 0
    assert Proposal.objects.get(title=label.removeprefix("Want: ")).state == "wanted"


def test_proposals_are_declined_in_bulk_and_taken_back(
    addresses: dict[str, str], administrator: User, visit: Callable[..., Visit]
) -> None:
    one = visit()
    one.sign_in("admin")
    page = one.open(addresses["proposals"])
    waiting = Proposal.objects.waiting().count()
    for at in (0, 1):
        page.locator("input.action-select").nth(at).check()
    page.select_option("select[name=action]", "decline_selected")
    page.locator("button[name=index], button:has-text('Run')").first.click()
    page.wait_for_selector("text=it is not proposed again")
    assert Proposal.objects.waiting().count() == waiting - 2
    page = one.open(addresses["declined"])
    page.click("button:has-text('Take back')")
    page.wait_for_selector("text=It waits for a decision again.")
    assert Proposal.objects.waiting().count() == waiting - 1
