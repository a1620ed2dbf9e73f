"""The weekly top 10: which works are on it and where, what is remembered, and what does no harm."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from audiobooks import charts, genres
from audiobooks.charts import TOP, WINDOWS, discover, interleaved, joined, monday_of, releases_of
from audiobooks.courses import Move, course, courses
from audiobooks.fields import Offer, new_book
from audiobooks.http import Doorway
from audiobooks.imports import store
from audiobooks.library.albums import key_of
from audiobooks.merging import add_alias, merge, undo_merge
from audiobooks.models import Book, Chart, ChartEntry, Genre, GenreAlias, Proposal, Work
from audiobooks.names import rows_of
from audiobooks.owning import Held, record
from audiobooks.proposing import decline, look_at_books, look_in_library, recognise, take_back, want
from audiobooks.sources.base import Release, Source
from audiobooks.tasks import import_books, library_scan, top10_discovery_task
from scheduling.context import TaskRun
from scheduling.exceptions import TaskFailed
from tests.audiobooks.running import Quiet
from tests.fakes.charted import Charted, facts, release
from tests.fakes.librivox import FakeLibriVox
from tests.fakes.myanonamouse import SEED, FakeMyAnonamouse, row
from tests.samples.audio import write_tags

pytestmark = pytest.mark.django_db
SUNDAY = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)
TITLES = ["Amber", "Birch", "Cedar", "Dogwood", "Elder", "Fir", "Gorse", "Hazel", "Ivy", "Juniper", "Kapok", "Larch", "Maple"]  # fmt: skip


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(SUNDAY, tick=False) as travel:
        yield travel


@pytest.fixture
def fantasy() -> Genre:
    return Genre.objects.create(name="Fantasy", key="fantasy", enabled=True)


@pytest.fixture
def fake() -> Charted:
    return Charted()


@pytest.fixture
def by() -> User:
    return User.objects.create_user("somebody")


def run_with(*sources: Source, stop_after: int | None = None) -> TaskRun:
    run = TaskRun(task_id=0, attempt=1, channel=Quiet(stop_after))
    discover(run, sources=sources)
    return run


def on_chart(week: date | None = None, genre: str = "Fantasy") -> list[str]:
    entries = ChartEntry.objects.filter(chart__name=genre)
    entries = entries.filter(chart__week=week or monday_of(timezone.now().date()))
    return [entry.title for entry in entries.order_by("rank")]


def owned(title: str, author: str, **columns: Any) -> Book:
    offers = {"title": Offer(title, "folder"), "authors": Offer([author], "folder")}
    return new_book(Work.objects.create(title=title, key=key_of(title)), offers, now=timezone.now(), **columns)


# --- the rule ---------------------------------------------------------------------------------------------------------


def points(answers: dict[str, list[list[str]]], before: dict[int, int] | None = None) -> list[tuple[str, int]]:
    given = {
        source: [[release(title, source=source) for title in titles] for titles in lists]
        for source, lists in answers.items()
    }
    works = joined(given, [None] * len(releases_of(given)), before or {})
    return [(work.releases[0].name, work.points) for work in works]


def test_sources_are_joined_by_rank_whatever_they_count() -> None:
    found = points({"a": [["Amber", "Birch", "Cedar"]], "b": [["Cedar", "Dogwood"]]})
    assert found == [("Cedar", 18), ("Amber", 10), ("Birch", 9), ("Dogwood", 9)]


def test_a_tie_goes_to_the_better_best_place_then_to_the_title() -> None:
    # 10 + 1 beside 6 + 5; 9 beside 9.
    one = ["Birch", "Amber", *TITLES[3:6], "Cedar"]
    other = [*TITLES[6:11], "Cedar"]
    ranks = [title for title, _ in points({"a": [one], "b": [other]})]
    assert ranks.index("Birch") < ranks.index("Gorse"), "equal points and places: by title"
    assert dict(points({"a": [["Birch", "Amber"]], "b": [["Amber"]]}))["Amber"] == 19


def test_who_stood_better_the_week_before_wins_a_tie(fake: Charted, fantasy: Genre, clock: Any) -> None:
    other = Charted("other", "Other")
    fake.put("Fantasy", ["Zebrawood", "Amber"])
    run_with(fake, other)
    clock.shift(timedelta(weeks=1))
    fake.put("Fantasy", ["Amber"])
    other.put("Fantasy", ["Zebrawood"])
    run_with(fake, other)
    assert on_chart() == ["Zebrawood", "Amber"]


def test_more_than_ten_places_count_nothing() -> None:
    assert len(points({"a": [TITLES]})) == TOP
    assert points({"a": [TITLES]})[-1] == (TITLES[TOP - 1], 1)


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from("abc"),
        st.lists(st.permutations(TITLES).map(lambda all: all[:8]), min_size=1, max_size=2),
        min_size=1,
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_the_sources_does_not_matter(answers: dict[str, list[list[str]]], random: Random) -> None:
    found = points(answers)
    shuffled = list(answers.items())
    random.shuffle(shuffled)
    assert points(dict(shuffled)) == found
    assert len({title for title, _ in found}) == len(found)
    assert sum(number for _, number in found) <= 55 * len(answers)
    assert [number for _, number in found] == sorted((number for _, number in found), reverse=True)


def test_the_edition_that_stood_best_is_shown() -> None:
    given = {
        "a": [[release("Amber", source="a"), release(facts("Birch: A Novel", "Nora Birchson"), source="a")]],
        "b": [[release("Birch", source="b")]],
    }
    [first, _] = joined(given, [None] * 3, {})
    assert [(each.source, each.name) for each in first.releases] == [("b", "Birch"), ("a", "Birch: A Novel")]


def test_lists_of_one_source_are_one_list() -> None:
    lists = [[release("Amber"), release("Birch")], [release("Cedar"), release("Amber"), release("Fir")]]
    assert [each.name for each in interleaved(lists)] == ["Amber", "Cedar", "Birch", "Fir"]


def test_editions_of_a_work_count_once_and_by_the_best(fake: Charted, fantasy: Genre) -> None:
    fake.put("Fantasy", [
        facts("The Glass Meridian", "Ilse Varga", narrators=("Sam Oakes",)), "Birch",
        facts("The Glass Meridian (Salt, Book 3)", "I. Varga", language="de"),
        facts("Glass Meridian [Dramatized Adaptation]", "Varga, Ilse"), "Cedar",
        facts("The Glass Meridian", "Tomas Reed"),
    ])  # fmt: skip
    run_with(fake)
    assert on_chart() == ["The Glass Meridian", "Birch", "Cedar", "The Glass Meridian"]
    assert Proposal.objects.count() == 4


# --- windows ----------------------------------------------------------------------------------------------------------


def test_a_thin_week_is_widened_and_the_chart_says_so(fake: Charted, fantasy: Genre) -> None:
    fake.put("Fantasy", list(TITLES[:4]))
    fake.put("Fantasy", list(TITLES[4:11]), days=30)
    run_with(fake)
    chart = Chart.objects.get()
    assert (chart.window, len(on_chart())) == (30, 10)
    assert "7 days have fewer than 10 works, so 30 days were looked at" in chart.note
    assert [window for _, window in fake.asked] == [7, 14, 30]


def test_what_a_longer_window_has_no_more_of_is_not_taken_from_it(fake: Charted, fantasy: Genre) -> None:
    fake.put("Fantasy", list(TITLES[:4]))
    run_with(fake)
    chart = Chart.objects.get()
    assert (chart.window, chart.note) == (7, "There are only 4 in 90 days.")
    assert [window for _, window in fake.asked] == list(WINDOWS)


def test_a_full_week_is_asked_for_once(fake: Charted, fantasy: Genre) -> None:
    fake.put("Fantasy", list(TITLES))
    run_with(fake)
    assert fake.asked == [("Fantasy", 7)]
    assert (Chart.objects.get().window, Chart.objects.get().note) == (7, "")


# --- weeks ------------------------------------------------------------------------------------------------------------


def weeks(fake: Charted, clock: Any, *lists: list[str]) -> list[dict[str, Any]]:
    """For each week what each title's course is."""
    found = []
    for number, titles in enumerate(lists):
        if number:
            clock.shift(timedelta(weeks=1))
        fake.put("Fantasy", list(titles))
        if titles:
            run_with(fake)
            chart = Chart.objects.latest("week")
            entries = list(chart.entries.select_related("chart"))
            of = courses(entries)
            found.append({entry.title: of[entry.pk] for entry in entries})
    return found


def test_a_month_of_charts(fake: Charted, fantasy: Genre, clock: Any) -> None:
    a, b, c, d, e = TITLES[:5]
    found = weeks(fake, clock, [a, b, c], [b, a, c, d], [b, d, a], [c, b, a, e], [b, c, d], [d, b])
    moves = [{title: str(one.move) for title, one in week.items()} for week in found]
    assert moves == [
        {a: "new", b: "new", c: "new"},
        {b: "up", a: "down", c: "same", d: "new"},
        {b: "same", d: "up", a: "down"},
        {c: "back", b: "down", a: "same", e: "new"},
        {b: "up", c: "down", d: "back"},
        {d: "up", b: "down"},
    ]
    last = found[-1]
    assert (last[b].weeks, last[b].peak, last[b].before, last[b].places) == (6, 1, 1, 1)
    assert (last[d].weeks, last[d].peak, last[d].places) == (4, 1, 2)
    assert (found[4][c].weeks, found[4][c].peak) == (4, 1)
    assert list(last[d].ranks.values()) == [4, 2, 3, 1]
    assert Chart.objects.count() == 6 and Proposal.objects.count() == 5


def test_a_week_without_a_run_is_no_week_off_the_chart(fake: Charted, fantasy: Genre, clock: Any) -> None:
    found = weeks(fake, clock, ["Amber", "Birch"], [], ["Birch", "Amber"])
    assert {title: one.move for title, one in found[1].items()} == {"Birch": Move.UP, "Amber": Move.DOWN}


def test_an_older_chart_knows_nothing_of_later_ones(fake: Charted, fantasy: Genre, clock: Any) -> None:
    weeks(fake, clock, ["Birch", "Amber"], ["Amber", "Birch"], ["Amber"])
    chart = Chart.objects.earliest("week")
    found = courses(list(chart.entries.select_related("chart")))
    assert {(one.move, one.weeks, one.peak) for one in found.values()} == {(Move.NEW, 1, 1), (Move.NEW, 1, 2)}


def test_a_course_out_of_its_ranks() -> None:
    first = date(2026, 1, 5)
    ranks = {first: 3, first + timedelta(weeks=2): 1, first + timedelta(weeks=3): 1}
    found = course(ranks, first + timedelta(weeks=2), first + timedelta(weeks=1))
    assert (found.move, found.weeks, found.peak, found.before) == (Move.BACK, 2, 1, None)


@pytest.mark.parametrize(
    ("moment", "zone", "monday"),
    [
        ("2026-11-01T23:30:00+00:00", "UTC", date(2026, 10, 26)),
        ("2026-11-01T23:30:00+00:00", "Europe/Berlin", date(2026, 11, 2)),
        ("2026-11-02T00:00:00+00:00", "UTC", date(2026, 11, 2)),
        ("2026-11-02T04:30:00+00:00", "America/New_York", date(2026, 10, 26)),
        ("2027-01-03T12:00:00+00:00", "UTC", date(2026, 12, 28)),
    ],
)
def test_the_week_is_that_of_the_zone_of_the_project(
    moment: str, zone: str, monday: date, settings: Any, fake: Charted, fantasy: Genre
) -> None:
    settings.TIME_ZONE = zone
    fake.put("Fantasy", ["Amber"])
    with time_machine.travel(datetime.fromisoformat(moment), tick=False), timezone.override(ZoneInfo("Asia/Tokyo")):
        run_with(fake)
    assert Chart.objects.get().week == monday


# --- runs that are repeated, fail, or find nothing --------------------------------------------------------------------


def test_a_second_run_of_the_week_replaces_its_chart_and_no_decision(
    fake: Charted, fantasy: Genre, by: User, clock: Any
) -> None:
    fake.put("Fantasy", ["Amber", "Birch"])
    run_with(fake)
    before = Chart.objects.get()
    decline(Proposal.objects.get(title="Amber"), by)
    clock.shift(timedelta(hours=5))
    fake.put("Fantasy", ["Birch", "Amber", "Cedar"])
    run = run_with(fake)
    chart = Chart.objects.get()
    assert (chart.pk, on_chart()) == (before.pk, ["Birch", "Amber", "Cedar"])
    assert chart.made_at > before.made_at
    assert Proposal.objects.get(title="Amber").state == "declined"
    assert run.result == {"week": "2026-10-26", "works": 3, "proposed": 1, "charts": 1}


def test_an_empty_answer_wipes_nothing(fake: Charted, fantasy: Genre) -> None:
    fake.put("Fantasy", ["Amber", "Birch"])
    run_with(fake)
    fake.put("Fantasy", [])
    assert run_with(fake).result["kept"] == 1
    assert on_chart() == ["Amber", "Birch"]


def test_nothing_at_all_makes_no_chart(fake: Charted, fantasy: Genre) -> None:
    assert run_with(fake).result["empty"] == 1
    assert not Chart.objects.exists()


def test_a_failing_source_costs_its_answers_alone(fake: Charted, fantasy: Genre) -> None:
    broken = Charted("broken", "Broken", error="It is out of order.")
    fake.put("Fantasy", list(TITLES[:10]))
    run = run_with(broken, fake)
    chart = Chart.objects.get()
    assert on_chart() == TITLES[:10] and chart.sources == ["fake"]
    assert "Broken did not answer: It is out of order." in chart.note
    assert run.result["failed sources"] == {"Broken": "It is out of order."}
    assert len(broken.asked) == 1


def test_half_of_an_answer_is_none(fake: Charted, fantasy: Genre) -> None:
    add_alias("genre", fantasy.pk, "Magic")
    other = Charted("other", "Other", error="It is out of order.", failing=("Magic",))
    fake.put("Fantasy", ["Amber"])
    other.put("Fantasy", ["Birch"])
    run_with(fake, other)
    assert on_chart() == ["Amber"] and Chart.objects.get().sources == ["fake"]


def test_a_chart_is_not_replaced_by_one_of_fewer_sources(fake: Charted, fantasy: Genre) -> None:
    other = Charted("other", "Other")
    fake.put("Fantasy", ["Amber"])
    other.put("Fantasy", ["Birch"])
    run_with(fake, other)
    other.error = "It is out of order."
    fake.put("Fantasy", ["Cedar"])
    assert run_with(fake, other).result["kept"] == 1
    assert sorted(on_chart()) == ["Amber", "Birch"]
    run_with(fake)
    assert on_chart() == ["Cedar"], "it is not asked any more, so nothing is lost"


def test_a_chart_is_not_replaced_by_one_of_fewer_works(
    fake: Charted, fantasy: Genre, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    other = Charted("other", "Other")
    fake.put("Fantasy", list(TITLES[:10]))
    run_with(fake)
    fake.put("Fantasy", ["Maple"])
    other.put("Fantasy", ["Larch"])
    for sources in ([fake], [fake, other]):
        run = run_with(*sources)
        assert run.result == {"week": "2026-10-26", "kept": 1}
        assert on_chart() == TITLES[:10]
    assert "it has 10 works, and its sources have only 1 now" in caplog.text
    fake.put("Fantasy", list(TITLES[3:13]))
    run_with(fake)
    assert on_chart() == TITLES[3:13], "as many replace it"
    clock.shift(timedelta(weeks=1))
    fake.put("Fantasy", ["Maple"])
    run_with(fake)
    assert on_chart() == ["Maple"], "it is another week"


def test_where_nobody_answers_the_task_fails_and_says_why(fake: Charted, fantasy: Genre) -> None:
    fake.put("Fantasy", ["Amber"])
    run_with(fake)
    fake.error = "The session is over."
    with pytest.raises(TaskFailed, match=r"No source answered.*Fake: The session is over\."):
        run_with(fake)
    assert on_chart() == ["Amber"]


@pytest.mark.parametrize("step", ["asking", "writing"])
def test_a_genre_that_our_code_trips_over_costs_its_own_chart_only(
    fake: Charted, fantasy: Genre, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    """Found: those behind it by name had no chart, each week."""
    for name in ("Horror", "Sea Stories"):
        Genre.objects.create(name=name, key=key_of(name), enabled=True)
    for name in ("Fantasy", "Horror", "Sea Stories"):
        fake.put(name, ["Amber", f"{name} Birch"])
    owner, name, place = (Charted, "popular", 2) if step == "asking" else (charts, "make_chart", 0)
    right = getattr(owner, name)

    def wrong(*args: Any, **more: Any) -> Any:
        if str(args[place]) != "Sea Stories":
            raise TypeError(f"unhashable {args[place]}")
        return right(*args, **more)

    monkeypatch.setattr(owner, name, wrong)
    run = TaskRun(task_id=0, attempt=1, channel=Quiet())
    with pytest.raises(ExceptionGroup) as caught:
        discover(run, sources=[fake])
    assert [str(each) for each in caught.value.exceptions] == ["unhashable Fantasy", "unhashable Horror"]
    assert [chart.name for chart in Chart.objects.all()] == ["Sea Stories"]
    assert Proposal.objects.count() == 2
    assert run.result == {"week": "2026-10-26", "broken": 2, "works": 2, "proposed": 2, "charts": 1}
    assert (run.processed, run.items_succeeded, run.items_failed) == (3, 1, 2)
    told = [record.getMessage() for record in caplog.records if "broke" in record.getMessage()]
    assert told == [f"{name}: making its chart broke (TypeError)." for name in ("Fantasy", "Horror")]


def test_a_stop_behind_a_genre_that_broke_is_heeded(
    fake: Charted, fantasy: Genre, monkeypatch: pytest.MonkeyPatch
) -> None:
    Genre.objects.create(name="Horror", key="horror", enabled=True)
    asked: list[str] = []

    def wrong(_: Charted, http: Doorway, genre: str, **more: Any) -> None:
        asked.append(genre)
        raise TypeError("a bug")

    monkeypatch.setattr(Charted, "popular", wrong)
    run = TaskRun(task_id=0, attempt=1, channel=Quiet(stop_after=1))
    with pytest.raises(TypeError, match="a bug"):
        discover(run, sources=[fake])
    assert asked == ["Fantasy"]
    assert run.result == {"week": "2026-10-26", "broken": 1}
    assert (run.processed, run.items_failed) == (1, 1)


def test_without_a_genre_the_task_says_what_to_do(fake: Charted) -> None:
    Genre.objects.create(name="Fantasy", key="fantasy")
    with pytest.raises(TaskFailed, match="press “Choose genres”"):
        run_with(fake)


def test_without_a_source_the_task_says_what_to_do(fantasy: Genre) -> None:
    with pytest.raises(TaskFailed, match=r"SOURCES in \.env"):
        run_with()


def test_a_stopped_run_keeps_what_it_has(fake: Charted, fantasy: Genre) -> None:
    Genre.objects.create(name="Horror", key="horror", enabled=True)
    fake.put("Fantasy", ["Amber"])
    fake.put("Horror", ["Birch"])
    run = run_with(fake, stop_after=1)
    assert [chart.name for chart in Chart.objects.all()] == ["Fantasy"]
    assert (run.processed, run.total) == (1, 2)


def test_a_release_without_a_title_or_author_harms_nothing(fake: Charted, fantasy: Genre) -> None:
    fake.put("Fantasy", [facts("…", "Nobody"), facts("Amber", ""), "Birch", facts("  ", "X")])
    run_with(fake)
    assert on_chart() == ["Amber", "Birch"]


def test_texts_of_any_length_fit(fake: Charted, fantasy: Genre) -> None:
    fake.put("Fantasy", [facts("Long " * 400, "Author " * 200), facts("X", "\u202eevil")])
    run_with(fake)
    assert len(on_chart()) == 2


def test_a_run_costs_few_queries_however_many_works_are_known(fake: Charted, fantasy: Genre, clock: Any) -> None:
    counts = []
    for week in range(3):
        fake.put("Fantasy", [f"Tree {number * 7 + week:03} {TITLES[number]}" for number in range(10)])
        with CaptureQueriesContext(connection) as queries:
            run_with(fake)
        counts.append(len(queries))
        clock.shift(timedelta(weeks=1))
    assert counts[2] - counts[1] <= 5 and max(counts) < 120


# --- genres and sources -----------------------------------------------------------------------------------------------


def test_a_work_on_the_charts_of_two_genres_is_one_work(fake: Charted, fantasy: Genre, by: User) -> None:
    Genre.objects.create(name="Horror", key="horror", enabled=True)
    fake.put("Fantasy", [facts("Salt", "Ilse Varga")])
    fake.put("Horror", ["Birch", facts("SALT: A Novel", "Varga, Ilse")])
    run = run_with(fake)
    assert run.result["proposed"] == 2
    work = Proposal.objects.get(title="Salt")
    assert {(entry.chart.name, entry.rank) for entry in work.entries.all()} == {("Fantasy", 1), ("Horror", 2)}
    assert work.why == "Number 1 of Fantasy in the week of 26 Oct 2026"


def test_a_genre_is_asked_for_by_what_the_source_calls_it() -> None:
    genre = Genre.objects.create(name="Thriller", key="thriller")
    assert genres.names_at("librivox", genre) == ("Suspense, Espionage, Political & Thrillers",)
    assert genres.names_at("myanonamouse", genre) == ("Crime/Thriller",)
    assert genres.names_at("indexer", genre) == ("Thriller",)


def test_what_a_person_calls_it_outweighs_what_is_usual() -> None:
    [genre] = rows_of(Genre, ["Thriller"])
    add_alias("genre", genre.pk, "Mystery")
    add_alias("genre", genre.pk, "crime/thriller")
    genre = Genre.objects.get()
    assert set(genres.names_at("myanonamouse", genre)) == {"Crime/Thriller", "Mystery"}
    add_alias("genre", genre.pk, "Westerns")
    assert genres.names_at("librivox", Genre.objects.get()) == ("Westerns",)


def test_what_is_no_genre_is_a_tag_at_librivox_alone() -> None:
    genre = Genre.objects.create(name="Sea Stories", key="seastories")
    assert genres.names_at("librivox", genre) == ("Sea Stories",)
    assert genres.names_at("myanonamouse", genre) == ()
    business = Genre.objects.create(name="Business", key="business")
    assert genres.names_at("librivox", business) == ()


@pytest.mark.parametrize("usual", genres.USUAL, ids=lambda usual: usual.name)
def test_the_usual_genres_have_names_that_there_are(usual: genres.Usual) -> None:
    for source, known in genres.KNOWN_NAMES.items():
        assert usual.at(source) in ("", *known)
    assert usual.librivox or usual.myanonamouse


def test_genres_are_chosen_and_given_up() -> None:
    [other, old] = rows_of(Genre, ["Sea Stories", "History"])
    Genre.objects.update(enabled=True)
    [merged] = rows_of(Genre, ["Spooky"])
    GenreAlias.objects.create(name="Horror", key="horror", of=merged)
    genres.choose(["Fantasy", "Horror", "nonsense"])
    enabled = set(Genre.objects.filter(enabled=True).values_list("name", flat=True))
    assert enabled == {"Sea Stories", "Spooky", "Fantasy"}
    assert genres.chosen() == {"Fantasy", "Horror"}
    genres.choose([])
    assert Genre.objects.filter(enabled=True).get() == other
    assert Genre.objects.filter(pk=old.pk).exists(), "nothing is deleted"


def test_charts_follow_a_merge_of_genres_and_come_back(fake: Charted, fantasy: Genre, by: User, clock: Any) -> None:
    fake.put("Fantasy", ["Amber"])
    run_with(fake)
    clock.shift(timedelta(weeks=1))
    epic = Genre.objects.create(name="Epic", key="epic", enabled=True)
    fake.put("Epic", ["Birch"])
    run_with(fake)
    done = merge("genre", epic.pk, fantasy.pk, by=by)
    assert {(chart.week.day, chart.title) for chart in Chart.objects.all()} == {
        (26, "Epic"),
        (2, "Epic"),
        (2, "Fantasy"),
    }
    assert Chart.objects.filter(genre=None).count() == 1
    undo_merge(done)
    assert {(chart.week.day, chart.title) for chart in Chart.objects.all()} == {
        (26, "Fantasy"),
        (2, "Epic"),
        (2, "Fantasy"),
    }


# --- decisions and the library ----------------------------------------------------------------------------------------


def test_wanting_makes_a_book_of_any_recording_that_is_wanted(fake: Charted, fantasy: Genre, by: User) -> None:
    fake.put("Fantasy", [facts("Salt", "Ilse Varga", narrators=("Sam Oakes",), runtime=4000, asin="B0TESTAA03")])
    run_with(fake)
    want(Proposal.objects.get(), by)
    proposal = Proposal.objects.select_related("book").get()
    assert (proposal.state, proposal.standing, proposal.decided_by) == ("wanted", "wanted", by)
    assert proposal.book is not None
    book = proposal.book
    assert (book.standing, book.asin, book.runtime, book.narrator_names) == ("wanted", "", None, [])
    assert book.author_names == ["Ilse Varga"]


def test_another_recording_that_is_bought_is_the_wanted_one(fake: Charted, fantasy: Genre, by: User) -> None:
    fake.put("Fantasy", [facts("Salt", "Ilse Varga", narrators=("Sam Oakes",), runtime=4000)])
    run_with(fake)
    want(Proposal.objects.get(), by)
    bought = facts("Salt", "Ilse Varga", narrators=("Nora Ferris",), runtime=9000, source="libation")
    record(Held(library="libation", item="1", facts=bought), now=timezone.now())
    assert Book.objects.get().standing == "owned"
    assert Proposal.objects.select_related("book").get().standing == "owned"


def test_a_book_bought_between_two_weeks_is_owned_and_not_proposed(fake: Charted, fantasy: Genre, clock: Any) -> None:
    fake.put("Fantasy", [facts("Salt: A Novel", "Ilse Varga"), "Birch"])
    run_with(fake)
    assert Proposal.objects.waiting().count() == 2
    owned("Salt", "Varga, Ilse")
    clock.shift(timedelta(weeks=1))
    run_with(fake)
    assert [one.title for one in Proposal.objects.waiting()] == ["Birch"]
    assert Proposal.objects.of_standing("owned").get().title == "Salt: A Novel"


def test_what_is_owned_is_never_proposed_at_all(fake: Charted, fantasy: Genre) -> None:
    owned("Birch", "Nora Birchson")
    owned("Other", "Nora Birchson")
    fake.put("Fantasy", ["Birch", "Amber"])
    run_with(fake)
    assert [one.title for one in Proposal.objects.waiting()] == ["Amber"]


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (("Mort", "Terry Pratchett"), ("Mort (Unabridged)", "Sir Terry Pratchett")),
        (("Salt", "N. Ferris"), ("Salt (Harbour Cycle, Book 1)", "Nora Ferris")),
        (("Salt", "Ferris, Nora"), ("Salt: Harbour Cycle, Book 1", "Nora Ferris")),
        (("Salt (Unabridged)", "Dr. Nora Ferris"), ("Salt: A Novel", "Ferris, Nora")),
        (("Salt", "Jo Nesbø"), ("Salt: A Novel", "Nesbo, Jo")),
    ],
)
def test_what_is_owned_is_known_where_title_and_author_are_written_otherwise(
    mine: tuple[str, str], theirs: tuple[str, str], fake: Charted, fantasy: Genre
) -> None:
    book = owned(*theirs)
    owned("Other (Unabridged)", theirs[1])
    fake.put("Fantasy", [facts(*mine), facts("Amber", mine[1])])
    run_with(fake)
    assert Proposal.objects.get(title=mine[0]).book == book
    assert [one.title for one in Proposal.objects.waiting()] == ["Amber"]


def test_to_stop_is_heeded_while_the_library_is_looked_in(
    fake: Charted, fantasy: Genre, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.put("Fantasy", TITLES[:6])
    run_with(fake)
    for title in TITLES[:6]:
        owned(title, f"Nora {title}son")
    monkeypatch.setattr(charts, "LOOKED_AT_ONCE", 2)
    looks = [False, False, True]

    class StopsInTheMiddle(Quiet):
        def stop_wanted(self) -> bool:
            return looks.pop(0) if looks else True

    discover(TaskRun(task_id=0, attempt=1, channel=StopsInTheMiddle()), sources=[fake])
    assert Proposal.objects.exclude(book=None).count() == 4
    run_with(fake)
    assert Proposal.objects.exclude(book=None).count() == 6


def test_one_of_the_many_works_of_an_author_is_recognised(fake: Charted, fantasy: Genre) -> None:
    """Of another spelling nothing but the author says where to look."""
    fake.put("Fantasy", [facts(title, "Nora Ferris") for title in (*TITLES[:8], "Colour of Shadows")])
    run_with(fake)
    [found] = recognise([facts("Color of Shadows", "Nora Ferris")])
    assert found is not None and found.title == "Colour of Shadows"


def called_otherwise(book: Book, title: str) -> None:
    Book.objects.filter(pk=book.pk).update(title=title)
    Work.objects.filter(pk=book.work_id).update(title=title, key=key_of(title))


def test_a_work_whose_book_turns_out_to_be_another_is_proposed_again(fake: Charted, fantasy: Genre) -> None:
    book, same = owned("Amber", "Nora Amberson"), owned("Birch", "Nora Birchson")
    fake.put("Fantasy", ["Amber", "Birch"])
    run_with(fake)
    assert not Proposal.objects.waiting().exists() and look_in_library() == 0
    called_otherwise(book, "Quite Another Thing")
    called_otherwise(same, "Birch (Unabridged)")
    assert look_in_library() == 1
    assert {work.title: work.book for work in Proposal.objects.all()} == {"Amber": None, "Birch": same}
    assert [one.title for one in Proposal.objects.waiting()] == ["Amber"]


def test_the_book_of_a_wish_stays_whatever_it_is_called(fake: Charted, fantasy: Genre, by: User) -> None:
    fake.put("Fantasy", ["Amber"])
    run_with(fake)
    work = Proposal.objects.get()
    want(work, by)
    book = Book.objects.get()
    called_otherwise(book, "Quite Another Thing")
    owned("Amber", "Nora Amberson", standing="known")
    assert look_in_library() == 0 and Proposal.objects.get().book == book
    bought = owned("Amber: A Novel", "Nora Amberson")
    assert look_in_library() == 1 and Proposal.objects.get().book == bought
    take_back(work)
    Book.objects.exclude(pk=book.pk).delete()
    Proposal.objects.update(book=book)
    assert look_in_library() == 1 and Proposal.objects.get().book is None, "it is nobody's wish any more"


def test_what_is_wanted_of_old_asks_nobody(fake: Charted, fantasy: Genre) -> None:
    owned("Birch", "Nora Birchson", standing="wanted")
    fake.put("Fantasy", ["Birch"])
    run_with(fake)
    assert not Proposal.objects.waiting().exists()
    assert Proposal.objects.of_standing("wanted").count() == 1


def test_a_scan_finds_what_was_proposed(fake: Charted, fantasy: Genre, clock: Any) -> None:
    fake.put("Fantasy", ["Birch", "Amber"])
    run_with(fake)
    owned("Amber", "Nora Amberson")
    clock.shift(timedelta(hours=1))
    known = owned("Birch", "Nora Birchson", standing="known")
    assert look_at_books(added_since=timezone.now()) == 1
    assert Proposal.objects.get(title="Birch").book == known
    book = owned("BIRCH: A Novel", "Nora Birchson")
    assert look_at_books(added_since=timezone.now()) == 1 and look_at_books(added_since=timezone.now()) == 0
    assert {work.title: work.book for work in Proposal.objects.all()} == {"Birch": book, "Amber": None}
    assert look_in_library() == 1


def test_the_scan_and_an_import_look(
    fake: Charted, fantasy: Genre, by: User, settings: Any, tmp_path: Path, clock: Any
) -> None:
    fake.put("Fantasy", ["Birch", "Amber"])
    run_with(fake)
    settings.AUDIOBOOKS_LIBRARY, settings.AUDIOBOOKSHELF_URL = tmp_path, ""
    (tmp_path / "Nora Birchson" / "Birch").mkdir(parents=True)
    write_tags(tmp_path / "Nora Birchson" / "Birch" / "1.mp3", album="Birch", author="Nora Birchson")
    library_scan.function(TaskRun(task_id=0, attempt=1, channel=Quiet()))
    assert [one.title for one in Proposal.objects.waiting()] == ["Amber"]
    upload = store(b"title,author\nAmber,Nora Amberson\n", "list.csv", "owned", by=by)
    import_books.function(TaskRun(task_id=0, attempt=1, channel=Quiet()), upload.pk)
    assert not Proposal.objects.waiting().exists()


def test_a_wish_is_taken_back(fake: Charted, fantasy: Genre, by: User) -> None:
    fake.put("Fantasy", ["Birch", "Amber"])
    run_with(fake)
    owned("Amber", "Nora Amberson", standing="wanted")
    for proposal in Proposal.objects.all():
        want(proposal, by)
        take_back(proposal)
    standings = dict(Book.objects.values_list("title", "standing"))
    assert standings == {"Birch": "known", "Amber": "wanted"}
    assert set(Proposal.objects.values_list("state", "decided_by")) == {("proposed", None)}


# --- the sources themselves -------------------------------------------------------------------------------------------


def test_the_task_asks_the_sources_of_the_settings(settings: Any, fantasy: Genre) -> None:
    docs = [
        {"identifier": f"i{at}", "title": f"{title} (version 2)", "creator": "A. Uthor"}
        for at, title in enumerate(TITLES)
    ]
    rows = [row(at, title, category="41", added="2026-10-30 10:00:00") for at, title in enumerate(TITLES[::-1])]
    with FakeLibriVox(docs=docs) as archive, FakeMyAnonamouse(rows=rows) as tracker:
        settings.LIBRIVOX_URL, settings.ARCHIVE_URL = archive.url, archive.archive_url
        settings.MAM_URL, settings.MAM_SESSION = tracker.url, SEED
        settings.SOURCES = ["myanonamouse", "librivox"]
        top10_discovery_task()
        chart = Chart.objects.get()
        assert chart.sources == ["librivox", "myanonamouse"]
        assert chart.entries.count() == 10 and {entry.points for entry in chart.entries.all()} >= {10, 9, 8}
        assert "fantasy" in archive.outside.seen[-1].query["q"]


@pytest.mark.django_db(transaction=True)
def test_two_runs_at_once_make_one_chart_and_each_work_once(fantasy: Genre) -> None:
    together = threading.Barrier(2)

    class Slow(Charted):
        def popular(self, http: Doorway, genre: str, *, since: date, limit: int = 10) -> tuple[Release, ...]:
            found = super().popular(http, genre, since=since, limit=limit)
            together.wait(timeout=20)
            return found

    def one() -> None:
        source = Slow()
        source.put("Fantasy", list(TITLES[:10]))
        try:
            run_with(source)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(one) for _ in range(2)]:
            future.result()
    assert Chart.objects.count() == 1 and on_chart() == TITLES[:10]
    assert Proposal.objects.count() == 10
