"""What the pages of charts and proposals show, what they cost, and who may decide."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audiobooks.admin.plots import plot, small
from audiobooks.charts import discover
from audiobooks.facts import BookFacts
from audiobooks.genres import names_at
from audiobooks.models import Book, Chart, ChartEntry, Genre, GenreAlias, Proposal
from audiobooks.proposing import decline, want
from scheduling.context import TaskRun
from scheduling.display import change_url, step_url
from tests.audiobooks.running import Quiet
from tests.fakes.charted import Charted, facts
from tests.samples.charted import fill
from tests.scheduling.test_roles import WHO, signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("roles")]
CHARTS, PROPOSALS, CHOOSE = "/admin/audiobooks/chart/", "/admin/audiobooks/proposal/", "/admin/audiobooks/genre/choose/"
HOSTILE = '<script>alert("x")</script>\u202eevil'
MONDAY = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def root() -> User:
    cache.clear()
    return User.objects.create_superuser("root")


@pytest.fixture
def client(root: User) -> Client:
    client = Client()
    client.force_login(root)
    return client


@pytest.fixture
def clock() -> Iterator[Any]:
    with time_machine.travel(MONDAY, tick=False) as travel:
        yield travel


def charted(*works: BookFacts | str, genre: str = "Fantasy") -> Chart:
    row, _ = Genre.objects.get_or_create(key=genre.lower(), defaults={"name": genre})
    Genre.objects.update(enabled=False)
    Genre.objects.filter(pk=row.pk).update(enabled=True)
    fake = Charted()
    fake.put(genre, list(works))
    discover(TaskRun(task_id=0, attempt=1, channel=Quiet()), sources=[fake])
    return Chart.objects.filter(genre=row).latest("week")


def get(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def works_in(client: Client, query: str = "") -> list[str]:
    response = client.get(f"{PROPOSALS}?{query}")
    assert response.status_code == 200
    return [row.title for row in response.context["cl"].result_list]


# --- cost -------------------------------------------------------------------------------------------------------------


def test_every_page_costs_at_most_twelve_queries_for_a_role(root: User) -> None:
    fill(root, genres=("Fantasy", "Mystery", "History"), weeks=5)
    client = signed_in("Operator")
    chart = Chart.objects.latest("week")
    longest = max(Proposal.objects.all(), key=lambda work: work.entries.count())
    for url in (
        CHARTS, f"{CHARTS}?week={Chart.objects.earliest('week').week}", f"{CHARTS}?genre={chart.genre_id}",
        change_url(chart), change_url(Chart.objects.earliest("week")),
        PROPOSALS, f"{PROPOSALS}?standing=all", f"{PROPOSALS}?q=the", change_url(longest),
        change_url(Proposal.objects.of_standing("owned")[0]), CHOOSE, "/admin/audiobooks/genre/",
    ):  # fmt: skip
        client.get(url)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(url).status_code == 200
        assert len(queries) <= 12, (url, [query["sql"][:150] for query in queries])


# --- charts -----------------------------------------------------------------------------------------------------------


def test_without_a_chart_the_page_says_how_there_will_be_one(client: Client) -> None:
    assert f'href="{CHOOSE}"' in get(client, CHARTS)
    Genre.objects.create(name="Fantasy", key="fantasy", enabled=True)
    page = get(client, CHARTS)
    assert "Weekly Top-10 Discovery" in page and "Choose genres" not in page


def test_a_chart_shows_ranks_moves_weeks_and_what_became_of_each(client: Client, root: User, clock: Any) -> None:
    charted("Amber", "Birch", "Cedar", "Dogwood")
    decline(Proposal.objects.get(title="Amber"), root)
    want(Proposal.objects.get(title="Birch"), root)
    clock.shift(timedelta(weeks=1))
    page = get(client, change_url(charted("Birch", "Amber", "Elder", "Cedar")))
    moves = re.findall(r'class="charts-words">([^<]*(?:up|down|new|again|as before)[^<]*)<', page)
    assert moves == ["up 1, from 2", "down 1, from 1", "new on the chart", "down 1, from 3"]
    rows = re.split(r'<li class="scheduling-card charts-entry', page)[1:]
    assert ["Want: " in row for row in rows] == [False, False, True, True]
    assert "wanted" in rows[0] and "declined" in rows[1]
    assert re.findall(r"<dt>Weeks</dt><dd>(\d+)</dd>", page) == ["2", "2", "1", "2"]
    assert re.findall(r"<dt>Peak</dt><dd>(\d+)</dd>", page) == ["1", "1", "3", "3"]
    assert "There are only 4 in 90 days." in page
    assert "9 Nov 2026: 1" in page, "the picture in words"


def test_the_overview_goes_from_week_to_week_and_to_the_weeks_of_a_genre(client: Client, clock: Any) -> None:
    first = charted("Amber")
    charted("Birch", genre="Horror")
    clock.shift(timedelta(weeks=1))
    charted("Cedar")
    page = get(client, CHARTS)
    assert "Week of 9 Nov 2026" in page and "Cedar" in page and "Birch" not in page
    assert '?week=2026-11-02" rel="prev"' in page and 'rel="next"' not in page
    page = get(client, f"{CHARTS}?week=2026-11-02")
    assert "Amber" in page and "Birch" in page and "Cedar" not in page and '?week=2026-11-09" rel="next"' in page
    page = get(client, f"{CHARTS}?genre={first.genre_id}")
    assert "Amber" in page and "Cedar" in page and "Birch" not in page


def test_of_many_weeks_the_newest_are_shown(client: Client, clock: Any) -> None:
    chart = charted("Amber")
    weeks = [chart.week - timedelta(weeks=at) for at in range(1, 70)]
    same = {"genre": chart.genre, "name": chart.name, "key": chart.key, "window": 7, "made_at": chart.made_at}
    Chart.objects.bulk_create([Chart(week=week, **same) for week in weeks])
    page = get(client, f"{CHARTS}?genre={chart.genre_id}")
    assert page.count('<li class="scheduling-card charts-card">') == 60 and "the newest 60" in page
    assert f"Week of {weeks[-1].day} {weeks[-1]:%b %Y}" in get(client, f"{CHARTS}?week={weeks[-1]}")


@pytest.mark.parametrize(
    "query", ["week=x", "week=2026-11-03", "genre=99999", "genre=x", "week=&genre=", "week=%00", "genre=%2700"]
)
def test_odd_questions_get_the_last_week(query: str, client: Client, clock: Any) -> None:
    charted("Amber")
    response = client.get(f"{CHARTS}?{query}")
    assert response.status_code in (200, 400)
    assert response.status_code == 400 or "Week of 2 Nov 2026" in response.content.decode()


def test_what_sources_say_is_text_and_nothing_comes_from_elsewhere(client: Client, clock: Any) -> None:
    work = facts(HOSTILE, HOSTILE, narrators=(HOSTILE,), series=HOSTILE, position=HOSTILE, description=HOSTILE,
        cover_url="https://elsewhere.invalid/x.jpg", language=HOSTILE, genres=(HOSTILE,))  # fmt: skip
    chart = charted(work, "Amber")
    ChartEntry.objects.update(link="javascript:alert(1)")
    clock.shift(timedelta(weeks=1))
    for url in (
        CHARTS,
        change_url(chart),
        change_url(charted(work)),
        PROPOSALS,
        change_url(Proposal.objects.get(title=HOSTILE)),
    ):
        page = get(client, url)
        assert "<script>alert" not in page and "javascript:alert" not in page, url
        assert "elsewhere.invalid" not in page, url
        assert not re.search(r"\sstyle=", page.split('id="content-main"')[-1]), url


def test_a_chart_whose_genre_is_gone_is_shown_by_its_name(client: Client, clock: Any) -> None:
    chart = charted("Amber")
    Genre.objects.all().delete()
    assert "Fantasy" in get(client, change_url(chart)) and "Fantasy" in get(client, CHARTS)


# --- proposals --------------------------------------------------------------------------------------------------------


def test_the_inbox_has_what_waits_and_its_filter_the_rest(client: Client, root: User, clock: Any) -> None:
    charted("Amber", "Birch", "Cedar", "Dogwood")
    decline(Proposal.objects.get(title="Amber"), root)
    want(Proposal.objects.get(title="Birch"), root)
    want(Proposal.objects.get(title="Dogwood"), root)
    Book.objects.filter(title="Dogwood").update(standing="owned")
    assert works_in(client) == ["Cedar"]
    assert works_in(client, "standing=declined") == ["Amber"]
    assert works_in(client, "standing=wanted") == ["Birch"]
    assert works_in(client, "standing=owned") == ["Dogwood"]
    assert len(works_in(client, "standing=all")) == 4
    assert works_in(client, "q=cedarson") == ["Cedar"] and works_in(client, "q=amber") == []


def test_many_are_decided_at_once_and_what_is_decided_is_told(client: Client, root: User, clock: Any) -> None:
    charted("Amber", "Birch", "Cedar")
    amber = Proposal.objects.get(title="Amber")
    want(amber, root)
    keys = [work.pk for work in Proposal.objects.all()]
    data = {"action": "decline_selected", "_selected_action": keys}
    page = client.post(f"{PROPOSALS}?standing=all", data, follow=True).content.decode()
    assert "wanted already" in page
    assert dict(Proposal.objects.values_list("title", "state")) == {
        "Amber": "wanted",
        "Birch": "declined",
        "Cedar": "declined",
    }


def test_a_work_shows_its_way_over_the_weeks_of_each_genre(client: Client, clock: Any) -> None:
    charted("Amber", "Birch")
    charted("Cedar", "Birch", genre="Horror")
    clock.shift(timedelta(weeks=1))
    charted("Birch")
    page = get(client, change_url(Proposal.objects.get(title="Birch")))
    assert "Fantasy: 2 Nov 2026: 2, 9 Nov 2026: 1" in page and "Horror: 2 Nov 2026: 2, 9 Nov 2026: –" in page
    assert re.search(r"Best rank</dt><dd>1 in <a[^>]*>Fantasy, week of 9 Nov 2026</a>; 2 weeks on a chart", page)
    assert "Number 2 of Fantasy in the week of 2 Nov 2026" in page


# --- genres -----------------------------------------------------------------------------------------------------------


def test_genres_are_chosen_on_one_page(client: Client) -> None:
    page = get(client, CHOOSE)
    assert "Asked: LibriVox" in page and "checked" not in page
    client.post(CHOOSE, {"genre": ["Fantasy", "History", "nonsense", ""]})
    assert set(Genre.objects.filter(enabled=True).values_list("name", flat=True)) == {"Fantasy", "History"}
    assert get(client, CHOOSE).count(" checked") == 2
    client.post(CHOOSE, {"genre": ["History"]})
    assert Genre.objects.get(enabled=True).name == "History"


def test_the_page_of_a_genre_says_how_sources_are_asked_and_takes_a_name(client: Client, settings: Any) -> None:
    settings.SOURCES, settings.MAM_SESSION = ["librivox", "myanonamouse"], "x"
    genre = Genre.objects.create(name="Space Opera", key="spaceopera")
    page = get(client, change_url(genre))
    assert "asked by “Space Opera”" in page and "has none of its names" in page
    client.post(step_url(genre, "alias"), {"name": "Science Fiction"})
    assert "asked by “Science Fiction”" in get(client, change_url(genre))
    assert names_at("myanonamouse", Genre.objects.get()) == ("Science Fiction",)
    assert GenreAlias.objects.count() == 1


# --- who --------------------------------------------------------------------------------------------------------------


def of_proposal(step: str) -> str:
    charted("Amber")
    work = Proposal.objects.get()
    if step == "take_back":
        decline(work, User.objects.create_user("other"))
    return step_url(work, step)


STEPS = {"want": "wanted", "decline": "declined", "take_back": "proposed"}


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_done_by_those_who_may_and_by_nobody_else(step: str, who: str) -> None:
    url = of_proposal(step)
    before = Proposal.objects.get().state
    signed_in(who).post(url)
    may = who in ("Operator", "Administrator", "superuser")
    assert Proposal.objects.get().state == (STEPS[step] if may else before)


@pytest.mark.parametrize("step", STEPS)
def test_no_step_is_done_by_looking_or_without_the_token(step: str) -> None:
    url = of_proposal(step)
    before = Proposal.objects.get().state
    person = signed_in("superuser")
    assert person.get(url).status_code == 302
    client = Client(enforce_csrf_checks=True)
    client.cookies = person.cookies
    assert client.post(url).status_code == 403
    assert Proposal.objects.get().state == before


@pytest.mark.parametrize("who", WHO)
def test_in_bulk_as_well(who: str) -> None:
    charted("Amber")
    data = {"action": "decline_selected", "_selected_action": [Proposal.objects.get().pk]}
    signed_in(who).post(PROPOSALS, data)
    may = who in ("Operator", "Administrator", "superuser")
    assert Proposal.objects.get().state == ("declined" if may else "proposed")


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("url", [CHARTS, PROPOSALS, CHOOSE])
def test_all_roles_may_look_and_nobody_else(url: str, who: str) -> None:
    charted("Amber")
    response = signed_in(who).get(url)
    assert (response.status_code == 200) == (who not in ("stranger", "member without rights"))


@pytest.mark.parametrize("who", WHO)
def test_genres_are_chosen_by_those_who_may(who: str) -> None:
    signed_in(who).post(CHOOSE, {"genre": ["History"]})
    assert Genre.objects.filter(enabled=True).exists() == (who in ("Operator", "Administrator", "superuser"))


@pytest.mark.parametrize("who", ["Viewer", "Operator"])
def test_a_page_has_the_buttons_of_the_role_and_no_others(who: str) -> None:
    chart, client = charted("Amber"), signed_in(who)
    for url in (change_url(chart), PROPOSALS, change_url(Proposal.objects.get())):
        assert ("/want/" in get(client, url)) == (who == "Operator"), url
    assert ("Look at these" in get(client, CHOOSE)) == (who == "Operator")


def test_rows_of_charts_are_added_changed_and_deleted_by_nobody(client: Client, clock: Any) -> None:
    chart = charted("Amber")
    for url in (change_url(chart), change_url(Proposal.objects.get())):
        assert client.post(url, {"week": "2020-01-01", "state": "declined"}).status_code == 403
        assert client.post(url.replace("change", "delete"), {"post": "yes"}).status_code == 403
    assert client.get(reverse("admin:audiobooks_proposal_add")).status_code == 403


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_a_line_breaks_where_the_work_was_off_the_chart() -> None:
    weeks = [(MONDAY + timedelta(weeks=at)).date() for at in range(4)]
    drawn = plot({"Amber": {weeks[0]: 1, weeks[1]: 2, weeks[3]: 10}}, weeks, named=True)
    assert drawn is not None
    [line] = drawn.lines
    assert line.path == "M54 29L102 55M198 263" and len(line.dots) == 3
    assert drawn.rows == [("Amber", [1, 2, None, 10])]
    assert plot({"Amber": {weeks[0]: 1}}, weeks[:1], named=True) is None
    found = small({weeks[0]: 1, weeks[1]: 2}, weeks[:2])
    assert found is not None and found.path == "M3 3L12 7"
