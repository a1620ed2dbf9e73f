"""The pages of the gaps: what they show, who may change what, and what they cost."""

from __future__ import annotations

import re
from datetime import date, timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from audiobooks.models import Author, Book, Follow, Listing, Series, Work, WorkMark, WorkSearch
from tests.audiobooks.test_gaps import LATER, NOW, SALT, acquire, add, own, searched

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("roles")]
LIST = "/admin/audiobooks/follow/"
HOSTILE = '<script>alert("x")</script>\u202eevil'


@pytest.fixture(autouse=True)
def _rules(settings: Any) -> None:
    settings.RELEASE_LANGUAGES = ["en"]
    settings.FOLLOW_AUTHORS = 3


def in_role(role: str) -> Client:
    user = User.objects.create_user(role, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def client() -> Client:
    return in_role("Operator")


def get(client: Client, url: str, **query: str) -> str:
    response = client.get(url, query)
    assert response.status_code == 200
    return re.sub(r"\s+", " ", unescape(response.content.decode()))


def names(client: Client, **query: str) -> list[str]:
    response = client.get(LIST, query)
    assert response.status_code == 200
    return [card.board.name for card in response.context["cards"]]


def series_url(name: str = SALT) -> str:
    return reverse("admin:audiobooks_follow_series", args=[Series.objects.get(name=name).pk])


def step(work: Work, name: str) -> str:
    return reverse(f"admin:audiobooks_work_{name}", args=[work.pk])


# --- all of them ------------------------------------------------------------------------------------------------------


def test_what_is_announced_without_a_day_names_none(client: Client) -> None:
    own("Tide", "1")
    add("Shoal", "2", released="2200-01-01")
    page = get(client, series_url())
    assert "no day is known" in page and "2200" not in page


def test_each_gap_is_there_with_its_reason(client: Client) -> None:
    own("Tide", "1")
    add("Shoal", "2")
    searched(add("Ebb", "3").work, "nothing", days=9)
    add("Reef", "4", released=LATER)
    acquire(add("Spit", "5").work, "fetching", problem="The disk is full.")
    own("Bay", "7")
    page = get(client, LIST)
    for words in (
        SALT, "2 of 7", "Shoal", "not searched yet", "searched in the next run", "no release found", "next search",
        "not released yet", f"out {LATER}", "needs you", "The disk is full.", "Number 6", "no catalogue names it",
    ):  # fmt: skip
        assert words in page, words
    assert 'value="2" max="7"' in page


def test_an_empty_library_and_one_without_gaps(client: Client) -> None:
    assert "No series of which something is owned" in get(client, LIST)
    own("Tide", "1")
    assert "Nothing of what is wanted is missing" in get(client, LIST)
    assert names(client, show="all") == [SALT]
    assert "There is nothing like that" in get(client, LIST, q="zzz")


def make_boards() -> None:
    own("Tide", "1")
    add("Shoal", "2")
    own("Moor", "1", series="The Heath", author="Ove Holm")
    searched(add("Fen", "2", series="The Heath", author="Ove Holm").work, "unfit")
    own("Whole", "1", series="Complete", author="Ove Holm")
    Follow.objects.create(author=Author.objects.get(name="Ove Holm"), scope="all", since=date(2020, 1, 1))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["Ove Holm", "The Heath", SALT]), ({"kind": "series"}, ["The Heath", SALT]), ({"kind": "author"}, ["Ove Holm"]),
        ({"show": "all"}, ["Complete", "Ove Holm", "The Heath", SALT]), ({"reason": "unfit"}, ["Ove Holm", "The Heath"]),
        ({"q": "heath"}, ["The Heath"]), ({"q": "FEN"}, ["Ove Holm", "The Heath"]), ({"q": "salt cart"}, [SALT]),
        ({"q": "complete", "show": "all"}, ["Complete"]), ({"q": "salt fen"}, []), ({"reason": "nonsense"}, ["Ove Holm", "The Heath", SALT]),
        ({"kind": "nonsense", "p": "999"}, ["Ove Holm", "The Heath", SALT]), ({"p": "-1"}, ["Ove Holm", "The Heath", SALT]),
        ({"p": "²"}, ["Ove Holm", "The Heath", SALT]), ({"q": "%_"}, ["Ove Holm", "The Heath", SALT]), ({"q": "heath %"}, ["The Heath"]),
    ],
)  # fmt: skip
def test_filters_and_search(client: Client, query: dict[str, str], found: list[str]) -> None:
    make_boards()
    assert names(client, **query) == found


def test_a_reason_shows_its_gaps_only(client: Client) -> None:
    own("Tide", "1")
    add("Shoal", "2")
    searched(add("Ebb", "3").work, "nothing")
    page = get(client, LIST, reason="no_release")
    assert "Ebb" in page and "Shoal" not in page


def test_pages_end(client: Client) -> None:
    for number in range(30):
        own(f"One {number}", "1", series=f"S{number:02}")
        add(f"Two {number} x", "2", series=f"S{number:02}")
    first, second = names(client, kind="series"), names(client, kind="series", p="2")
    assert (first[0], first[-1], second[0], second[-1]) == ("S00", "S24", "S25", "S29")
    page = get(client, LIST, q="s", kind="series")
    assert "?q=s&kind=series&p=2" in page and 'rel="prev"' not in page
    assert 'rel="next"' not in get(client, LIST, p="2") and 'rel="prev"' in get(client, LIST, p="2")


def test_a_long_board_is_cut_and_leads_on(client: Client) -> None:
    own("Tide", "1")
    for number in range(2, 14):
        add(f"Volume {'x' * number}", str(number))
    page = get(client, LIST)
    assert "4 more" in page and page.count("Heard elsewhere:") == 8
    assert get(client, series_url()).count("Heard elsewhere:") == 12


def test_what_sources_say_is_text(client: Client) -> None:
    own(HOSTILE, "1", series=HOSTILE)
    work = add(HOSTILE, "2", series=HOSTILE, author=HOSTILE).work
    WorkSearch.objects.create(
        work=work, outcome="unfit", searched_at=NOW, next_at=NOW,
        decision={"candidates": [{"source": "x", "name": HOSTILE, "score": 0.5, "verdict": HOSTILE, "reasons": [HOSTILE]}],
                  "sources": {HOSTILE: HOSTILE}},
    )  # fmt: skip
    Listing.objects.create(series=Series.objects.get(), asked_at=NOW, error=HOSTILE)
    urls = (LIST, series_url(HOSTILE[:255]), f"/admin/audiobooks/work/{work.pk}/change/")
    for url in urls:
        text = client.get(url).content.decode()
        assert HOSTILE not in text and "&lt;script&gt;" in text


# --- marks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kind"), [("ignore", "ignored"), ("heard", "heard")])
def test_a_person_leaves_a_work_out_and_takes_it_back(client: Client, name: str, kind: str) -> None:
    own("Tide", "1")
    work = add("Shoal", "2").work
    assert step(work, name) in get(client, LIST)
    response = client.post(step(work, name), follow=True, headers={"Referer": f"http://testserver{LIST}"})
    assert response.redirect_chain[-1][0] == f"http://testserver{LIST}"
    mark = WorkMark.objects.get()
    assert (mark.work, mark.kind, mark.by) == (work, kind, User.objects.get())
    assert names(client) == [] and LogEntry.objects.count() == 1
    page = get(client, series_url())
    assert step(work, "take_back") in page and step(work, "ignore") not in page
    client.post(step(work, "take_back"))
    assert not WorkMark.objects.exists() and names(client) == [SALT]
    assert "neither ignored nor heard" in client.post(step(work, "take_back"), follow=True).content.decode()


def test_take_back_reaches_the_mark_of_another_row_of_the_work(client: Client) -> None:
    own("Tide", "1")
    work = add("Shoal", "2").work
    WorkMark.objects.create(work=work, kind="ignored")
    add("Shoal: A Novel", "2", abridged=False, asin="B000000002", released="2001")
    assert step(work, "take_back") in get(client, series_url())


@pytest.mark.parametrize("name", ["ignore", "heard", "take_back"])
def test_marks_need_a_post_and_the_permission(client: Client, name: str) -> None:
    work = add("Shoal").work
    assert client.get(step(work, name)).status_code == 302
    viewer = in_role("Viewer")
    assert viewer.post(step(work, name)).status_code == 403
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="Operator"))
    assert strict.post(step(work, name)).status_code == 403
    assert client.post(f"/admin/audiobooks/work/999999/{name.replace('_', '-')}/").status_code == 404
    assert not WorkMark.objects.exists()


def test_a_viewer_sees_no_buttons() -> None:
    own("Tide", "1")
    work = add("Shoal", "2").work
    viewer = in_role("Viewer")
    for url in (LIST, series_url(), f"/admin/audiobooks/work/{work.pk}/change/"):
        page = get(viewer, url)
        assert "Shoal" in page and "Heard elsewhere" not in page and "Save" not in page


# --- what is wanted ---------------------------------------------------------------------------------------------------


def fill() -> None:
    own("Tide", "1")
    add("Shoal", "2")
    add("Tale", "2.5")
    add("Ebb", "3", released=LATER)
    add("Letters", "", released=LATER)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"scope": "all"}, "This adds 1 now (2.5 Tale)."),
        ({"scope": "gaps"}, "This adds 0 now."),
        ({"scope": "none"}, "This adds 0 now. It takes away 3."),
        ({"scope": "future"}, "This adds 0 now. It takes away 1."),
        ({"scope": "from", "from_number": "2.5"}, "This adds 1 now (2.5 Tale). It takes away 2."),
    ],
)
def test_what_a_scope_changes_is_said_before_it_is_saved(client: Client, query: dict[str, str], told: str) -> None:
    fill()
    page = get(client, series_url(), **query)
    assert told in page and "Save" in page and not Follow.objects.exists()
    Follow.objects.create(series=Series.objects.get(), scope="none", since=NOW.date())
    page = get(client, series_url(), scope="gaps")
    assert "This adds 1 now (2 Shoal), and 2 that are not released yet." in page


def test_a_scope_is_saved_with_who_chose_it_and_taken_back(client: Client) -> None:
    fill()
    response = client.post(series_url(), {"scope": "from", "from_number": "2.5", "since": "2024-05-06"}, follow=True)
    follow = Follow.objects.get()
    assert (follow.scope, follow.from_number, follow.since) == ("from", 2.5, date(2024, 5, 6))
    assert follow.by == User.objects.get() and follow.series == Series.objects.get()
    assert "From a number on." in response.content.decode() and LogEntry.objects.count() == 1
    client.post(series_url(), {"scope": "all", "from_number": "2.5", "since": ""})
    follow = Follow.objects.get()
    assert (follow.scope, follow.from_number, follow.since) == ("all", None, timezone.localdate())
    client.post(series_url(), {"scope": "rule"})
    assert not Follow.objects.exists()


@pytest.mark.parametrize(
    "data",
    [
        {"scope": "from"}, {"scope": "from", "from_number": "nan"}, {"scope": "from", "from_number": "-1"},
        {"scope": "from", "from_number": "1e400"}, {"scope": "everything"}, {}, {"scope": "gaps", "since": "soon"},
        {"scope": "from", "from_number": "three"},
    ],
)  # fmt: skip
def test_nonsense_is_not_saved(client: Client, data: dict[str, str]) -> None:
    fill()
    assert client.post(series_url(), data).status_code == 200
    assert not Follow.objects.exists()
    assert "Save" not in get(client, series_url(), **{"scope": "", **data})


def test_authors_have_no_numbers(client: Client) -> None:
    own("Tide")
    url = reverse("admin:audiobooks_follow_author", args=[Author.objects.get().pk])
    page = get(client, url)
    assert "From number" not in page and "from a number on" not in page
    client.post(url, {"scope": "from", "from_number": "1"})
    assert not Follow.objects.exists()
    assert "This adds 1 now (Moor)." in (add("Moor") and get(client, url, scope="all"))
    client.post(url, {"scope": "all"})
    assert Follow.objects.get().author == Author.objects.get()


def test_scopes_need_the_permission() -> None:
    fill()
    viewer = in_role("Viewer")
    assert viewer.post(series_url(), {"scope": "all"}).status_code == 403
    assert viewer.post(series_url(), {"scope": "rule"}).status_code == 403
    assert not Follow.objects.exists()


def test_nobody_without_a_role_sees_anything() -> None:
    fill()
    work = Work.objects.all()[0]
    client = Client()
    client.force_login(User.objects.create_user("new", is_staff=True))
    for url in (LIST, series_url(), f"/admin/audiobooks/work/{work.pk}/change/"):
        assert client.get(url).status_code == 403


@pytest.mark.parametrize("kind", ["series", "author"])
@pytest.mark.parametrize("key", ["999999", "9" * 30])
def test_rows_that_are_not_there(client: Client, kind: str, key: str) -> None:
    assert client.get(f"{LIST}{kind}/{key}/").status_code == 404
    assert client.post(f"{LIST}{kind}/{key}/", {"scope": "all"}).status_code == 404


def test_a_series_without_books_has_a_page(client: Client) -> None:
    series = Series.objects.create(name="Empty", key="empty")
    assert "0 of 0" in get(client, f"{LIST}series/{series.pk}/", scope="all")


def test_what_the_catalogue_said_is_shown(client: Client) -> None:
    fill()
    assert "It was not asked yet" in get(client, series_url())
    Listing.objects.create(series=Series.objects.get(), asked_at=NOW, books=17, error="Audible is off until Monday.")
    page = get(client, series_url())
    assert "17" in page and "Audible is off until Monday." in page and "rest on what is known" in page


# --- why not yet ------------------------------------------------------------------------------------------------------


def test_why_not_yet(client: Client) -> None:
    own("Tide", "1")
    work = add("Shoal", "2", asin="B000000007").work
    page = get(client, LIST)
    url = f"/admin/audiobooks/work/{work.pk}/change/"
    assert url in page
    assert "why not yet?" in get(client, url) and "never" in get(client, url)
    WorkSearch.objects.create(
        work=work, outcome="unfit", searched_at=NOW, next_at=NOW + timedelta(days=8), fruitless=2,
        decision={
            "candidates": [
                {"source": "librivox", "key": "1", "name": "Shoal (read by many)", "score": 0.31, "verdict": "refused",
                 "reasons": ["It is abridged.", "Nobody seeds it."]}
            ],
            "sources": {"myanonamouse": "It was left alone."},
        },
    )  # fmt: skip
    acquire(work, "declined", name="Shoal.m4b")
    page = get(client, url)
    for words in (
        "no release is fit", "Shoal (read by many)", "It is abridged.", "Nobody seeds it.", "score 0.31", "2 searches in a row",
        "It was left alone.", "B000000007", SALT, "number 2", "Shoal.m4b", "declined", "Searched next",
    ):  # fmt: skip
        assert words in page, words


def test_a_work_that_is_owned(client: Client) -> None:
    work = own("Tide", "1").work
    assert "It is owned" in get(client, f"/admin/audiobooks/work/{work.pk}/change/")


def test_works_have_no_list_of_their_own(client: Client) -> None:
    response = client.get("/admin/audiobooks/work/")
    assert response.status_code == 302 and response["Location"] == LIST
    page = get(client, LIST)
    assert "/admin/audiobooks/work/" not in re.sub(r"/work/\d", "", page)


def test_the_sidebar_and_the_page_of_a_series_lead_here(client: Client) -> None:
    own("Tide", "1")
    page = get(client, f"/admin/audiobooks/series/{Series.objects.get().pk}/change/")
    assert series_url() in page and "Gaps" in page and LIST in page
    author = Author.objects.get()
    assert f"{LIST}author/{author.pk}/" in get(client, f"/admin/audiobooks/author/{author.pk}/change/")


# --- what it costs ----------------------------------------------------------------------------------------------------


def _costs(client: Client, books: int) -> dict[str, int]:
    for number in range(books):
        of, name = number % 5, f"Series {number // 5}"
        add(f"B{number} x", str(of + 1), "owned" if of % 2 else "known", series=name, author=f"A{number // 10}")
    work = Book.objects.filter(standing="known")[0].work
    if not WorkSearch.objects.exists():
        searched(work, "nothing")
    author = Author.objects.order_by("pk")[0].pk
    pages = {
        "list": LIST,
        "list, found": f"{LIST}?q=series&reason=not_searched",
        "series": series_url("Series 0"),
        "series, preview": f"{series_url('Series 0')}?scope=all",
        "author, preview": f"{LIST}author/{author}/?scope=all",
        "work": f"/admin/audiobooks/work/{work.pk}/change/",
    }
    costs = {}
    for name, url in pages.items():
        client.get(url)
        # That is kept for some seconds, which may end in between.
        cache.set("audiobooks.fetching_stopped", False, 60)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(url).status_code == 200
        costs[name] = len(queries)
    return costs


def test_the_pages_cost_a_bounded_number_of_queries() -> None:
    client = in_role("Administrator")
    few = _costs(client, 30)
    assert _costs(client, 200) == few
    assert max(few.values()) <= 12, few
