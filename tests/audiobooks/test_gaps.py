"""What is missing, and why: the traps of series, languages and scopes, and what it costs to find out."""

from __future__ import annotations

import contextlib
from datetime import date, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audiobooks import gaps
from audiobooks.fields import Offer, new_book
from audiobooks.gaps import Board, Gap, Reason, all_boards, author_boards, missing, series_boards, wishes
from audiobooks.library.albums import key_of
from audiobooks.merging import merge
from audiobooks.models import (
    Acquisition,
    Author,
    Authorship,
    Book,
    Follow,
    Series,
    SeriesEntry,
    Work,
    WorkMark,
    WorkSearch,
)

pytestmark = pytest.mark.django_db
SALT = "The Salt Cartographers"
NOW = timezone.now()
LATER = (NOW + timedelta(days=40)).date().isoformat()


@pytest.fixture(autouse=True)
def _rules(settings: Any) -> None:
    settings.RELEASE_LANGUAGES = ["en"]
    settings.FOLLOW_AUTHORS = 3


def add(
    title: str,
    position: str | None = None,
    standing: str = "known",
    *,
    series: str | list[list[str]] = SALT,
    work: Work | None = None,
    author: str = "Ilse Varga",
    **said: Any,
) -> Book:
    said = {"title": title, "authors": [author], "language": "en", **said}
    if position is not None:
        said["series"] = [[series, position]] if isinstance(series, str) else series
    offers = {name: Offer(value, "list") for name, value in said.items()}
    work = work or Work.objects.create(title=title, key=key_of(title))
    return new_book(work, offers, now=NOW, standing=standing)


def own(title: str, position: str | None = None, **said: Any) -> Book:
    return add(title, position, "owned", **said)


def board(name: str = SALT) -> Board:
    (found,) = (board for board in series_boards() if board.name == name)
    (alone,) = series_boards(only=found.key)
    assert alone == found
    return found


def of_author(name: str = "Ilse Varga") -> Board:
    (found,) = (board for board in author_boards() if board.name == name)
    (alone,) = author_boards(only=found.key)
    assert alone == found
    return found


def told(board: Board) -> list[tuple[str, str, str]]:
    return [(gap.position, gap.title, gap.reason.value) for gap in board.gaps]


def positions(board: Board) -> list[str]:
    return [gap.position for gap in board.gaps]


def follow(scope: str, name: str = SALT, since: date = date(2020, 1, 1), **values: Any) -> Follow:
    return Follow.objects.create(series=Series.objects.get(name=name), scope=scope, since=since, **values)


def searched(work: Work, outcome: str, *, days: int = 7, ago: int = 0) -> WorkSearch:
    moments = {"searched_at": NOW - timedelta(days=ago), "next_at": NOW + timedelta(days=days)}
    return WorkSearch.objects.create(work=work, outcome=outcome, **moments)


def acquire(work: Work, state: str, **values: Any) -> Acquisition:
    return Acquisition.objects.create(work=work, state=state, state_since=NOW, cause="series", why="x", **values)


# --- works and places -------------------------------------------------------------------------------------------------


def test_a_missing_volume_is_named() -> None:
    own("The Tide", "1")
    wanted = add("The Shoal", "2", released="2019-05-07")
    assert told(board()) == [("2", "The Shoal", "not_searched")]
    (gap,) = board().gaps
    assert (gap.work, gap.book, gap.authors, gap.released) == (wanted.work_id, wanted.pk, "Ilse Varga", "2019-05-07")
    assert gap.is_due and gap.is_open and (board().have, board().total) == (1, 2)


def test_numbers_that_nobody_names() -> None:
    for number in (1, 2, 3, 5, 7):
        own(f"Volume of {number * 'x'}", str(number))
    assert told(board()) == [("4", "", "unknown_title"), ("6", "", "unknown_title")]
    assert (board().have, board().total) == (5, 7)
    assert missing() == []


def test_a_series_that_counts_by_years_lacks_no_thousand_volumes() -> None:
    own("Almanac", "2016")
    own("Almanac of the Year After", "2017")
    assert told(board()) == []


def test_a_series_of_which_nothing_is_owned_has_no_board() -> None:
    add("The Shoal", "2")
    assert series_boards() == []
    follow("all")
    assert told(board()) == [("1", "", "unknown_title"), ("2", "The Shoal", "not_searched")]


@pytest.mark.parametrize("second", ["B000000002", ""])
def test_another_edition_of_what_one_owns_is_no_gap(second: str) -> None:
    one = own("The Tide", "1", asin="B000000001")
    add("The Tide: A Novel", "1", work=one.work, asin=second, narrators=["Somebody Else"])
    add("The Tide", "", work=one.work, abridged=True)
    follow("all")
    assert told(board()) == [] and (board().have, board().total) == (1, 1)


@pytest.mark.parametrize(
    "title", ["The Tide", "The Tide: A Novel", "The Salt Cartographers: The Tide", "The Tide (Dramatized Adaptation)"]
)
def test_another_row_of_the_same_work_at_the_same_place_is_no_gap(title: str) -> None:
    own("The Tide", "1")
    add(title, "1", asin="B000000002")
    follow("all")
    assert told(board()) == [] and board().total == 1


def test_several_rows_of_a_work_that_is_missing_are_one_gap() -> None:
    own("The Tide", "1")
    add("The Shoal", "2", abridged=True, asin="B000000001", released="2001")
    best = add("The Shoal: A Novel", "2", abridged=False, asin="B000000002", released="2002")
    add("The Shoal", "2")
    (gap,) = board().gaps
    assert gap.book == best.pk and gap.work == best.work_id and board().total == 2
    assert len(missing()) == 1


def test_a_longer_title_is_another_work() -> None:
    own("She", "1", series="She", author="H. Rider Haggard")
    add("She and Allan", "1", series="She", author="H. Rider Haggard")
    assert told(board("She")) == [("1", "She and Allan", "not_searched")]


def test_a_title_of_another_author_is_another_work() -> None:
    own("Private", "1", series="Private", author="James Patterson")
    add("Private", "1", series="Private", author="Kate Brian")
    assert len(board("Private").gaps) == 1


def test_a_translation_at_the_same_place_is_the_same_volume() -> None:
    own("Die Flut", "1", language="de")
    add("The Tide", "1")
    add("The Shoal", "2")
    add("Die Untiefe", "2", language="de")
    # The language of what one owns comes first.
    assert told(board()) == [("2", "Die Untiefe", "not_searched")]


def test_a_work_in_two_series_is_missing_once() -> None:
    own("The Tide", "1", series=[[SALT, "1"], ["The Cosmos", "7"]])
    add("The Shoal", "2", series=[[SALT, "2"], ["The Cosmos", "8"]])
    assert positions(board()) == ["2"] and "8" in positions(board("The Cosmos"))
    assert [(each.title, each.why) for each in missing()] == [("The Shoal", "number 8 of The Cosmos")]


@pytest.mark.parametrize("position", ["0", "0.5", "1.5", "", "nonsense"])
def test_what_is_beside_the_main_line_is_missing_where_all_is_wanted(position: str) -> None:
    own("The Tide", "1")
    own("The Shoal", "2")
    add("The Ebb", position)
    assert told(board()) == []
    follow("all")
    assert told(board()) == [(position, "The Ebb", "not_searched")]


# --- series of one name -------------------------------------------------------------------------------------------------


def private() -> None:
    """Two series of one name, of which number 1 of one is owned."""
    own("Private", "1", author="James Patterson")
    add("Private London", "4", author="James Patterson")
    add("Private", "1", author="Kate Brian")
    add("Invitation Only", "2", author="Kate Brian")
    add("Legacy", "6", author="Kate Brian", released=LATER)


def test_another_series_of_the_same_name_is_no_gap() -> None:
    private()
    strangers = [("1", "Private", "namesake"), ("2", "Invitation Only", "namesake"), ("6", "Legacy", "namesake")]
    unknown = [(str(number), "", "unknown_title") for number in (2, 3)]
    assert told(board()) == [*unknown, ("4", "Private London", "not_searched"), *strangers]
    assert (board().have, board().total) == (1, 4)
    assert [each.title for each in missing()] == ["Private London"]
    assert [place[2] for place in gaps.look_at(Work.objects.get(title="Legacy").pk).places] == ["6"]


def test_an_author_of_another_series_of_the_same_name_lacks_nothing_of_it() -> None:
    private()
    own("Last Christmas", author="Kate Brian")
    Follow.objects.create(author=Author.objects.get(name="Kate Brian"), scope="gaps", since=date(2020, 1, 1))
    # It comes out later, which is why it counts.
    assert told(of_author("Kate Brian")) == [("6", "Legacy", "not_released")]


def test_of_both_series_of_one_name_something_is_owned() -> None:
    private()
    own("Untouchable", "3", author="Kate Brian")
    assert {gap.title for gap in board().open_gaps} >= {"Private London", "Invitation Only"}


def test_what_is_owned_in_a_recording_that_is_not_in_the_series_is_of_it() -> None:
    private()
    theirs = Work.objects.get(books__authors__name="Kate Brian", title="Private")
    add("Private", standing="owned", author="Kate Brian", work=theirs)
    assert "Private" not in {gap.title for gap in board().gaps}
    assert (board().have, "Invitation Only" in {gap.title for gap in board().open_gaps}) == (2, True)


@pytest.mark.parametrize("standing", ["wanted", "owned"])
def test_what_a_person_wants_is_of_the_series(standing: str) -> None:
    private()
    Book.objects.filter(title="Legacy").update(standing=standing)
    assert "Invitation Only" in {gap.title for gap in board().open_gaps}


@pytest.mark.parametrize(
    ("others", "position"),
    [
        ("Dick Hill", "3"),  # A number that nobody has.
        ("J. Patterson", "1"),  # Written in another way.
        ("", "1"),
    ],
)
def test_what_may_be_of_the_series_is_a_gap_of_it(others: str, position: str) -> None:
    own("Private", "1", author="James Patterson")
    said: dict[str, Any] = {"authors": [others]} if others else {"authors": []}
    add("Quite Another Title", position, **said)
    assert ("Quite Another Title", "not_searched") in [told[1:] for told in told(board())]


def test_whom_one_has_written_with_writes_the_same_series() -> None:
    private()
    add("Private Games", "3", authors=["James Patterson", "Mark Sullivan"])
    add("Private Berlin", "1.5", author="Mark Sullivan")
    add("Private Suspect", "1", author="Mark Sullivan")
    assert {"Private Games", "Private Suspect"} <= {gap.title for gap in board().open_gaps}


def test_a_series_of_several_authors_outlasts_a_number_told_twice() -> None:
    own("Horus Rising", "1", author="Dan Abnett")
    own("False Gods", "2", author="Graham McNeill")
    add("Galaxy in Flames", "3", author="Ben Counter")
    add("Daemon World", "1", author="Ben Counter")
    assert ("3", "Galaxy in Flames", "not_searched") in told(board())


def test_where_nothing_is_wanted_no_other_series_is_named() -> None:
    private()
    follow("none")
    assert told(board()) == []


def test_of_an_owned_book_of_nobody_nothing_is_concluded() -> None:
    own("Private", "1", authors=[])
    add("Number One", "1", author="Kate Brian")
    add("Invitation Only", "2", author="Kate Brian")
    assert "Invitation Only" in {gap.title for gap in board().open_gaps}


# --- sets -------------------------------------------------------------------------------------------------------------


def test_what_an_owned_omnibus_has_is_no_gap() -> None:
    own("The First Three", "1-3")
    for number, title in enumerate(("Tide", "Shoal", "Ebb", "Reef"), 1):
        add(title, str(number))
    assert [(gap.position, gap.reason, gap.note) for gap in board().gaps] == [
        *((str(number), Reason.IN_A_SET, "The First Three") for number in (1, 2, 3)),
        ("4", Reason.NOT_SEARCHED, ""),
    ]
    assert (board().have, board().total) == (3, 4)
    assert [each.title for each in missing()] == ["Reef"]


def test_an_owned_omnibus_has_its_volumes_in_every_series() -> None:
    own("The First Three", "1-3")
    own("Another", "1", series="The Cosmos")
    add("Shoal", series=[[SALT, "2"], ["The Cosmos", "2"]], position="")
    (gap,) = board("The Cosmos").gaps
    assert gap.reason == Reason.IN_A_SET and missing() == []


def test_an_owned_omnibus_of_odd_numbers() -> None:
    own("One and Three", "1, 3")
    add("Shoal", "2")
    add("Ebb", "3")
    add("Between", "2.5")
    follow("all")
    assert [(gap.position, gap.reason) for gap in board().gaps] == [
        ("2", Reason.NOT_SEARCHED), ("2.5", Reason.NOT_SEARCHED), ("3", Reason.IN_A_SET),
    ]  # fmt: skip


@pytest.mark.parametrize("scope", ["gaps", "all"])
def test_a_listed_set_is_no_gap_while_its_parts_are_listed(scope: str) -> None:
    own("Tide", "1")
    add("Shoal", "2")
    add("Ebb", "3")
    add("The Box", "1-3")
    add("Another Box", "1-2")
    follow(scope)
    assert positions(board()) == ["2", "3"] and board().total == 3


def test_a_set_is_a_gap_where_a_part_comes_in_no_other_way() -> None:
    own("Tide", "1")
    add("The Box", "1-4")
    add("The Small Box", "1-3")
    add("The Second Box", "1-3")
    assert positions(board()) == ["1-3", "1-4"]


def test_an_omnibus_beside_its_parts_counts_once() -> None:
    own("The First Two", "1-2")
    own("Tide", "1")
    own("Shoal", "2")
    assert (board().have, board().total, board().gaps) == (2, 2, ())


# --- languages --------------------------------------------------------------------------------------------------------


def test_what_is_in_other_languages_only_does_not_count() -> None:
    own("Tide", "1")
    add("La Barre", "2", language="fr")
    assert told(board()) == []
    add("Reef", "3", language="")
    assert told(board()) == [("2", "La Barre", "language"), ("3", "Reef", "not_searched")]
    # It is named because there would be a hole; no source is asked for it.
    assert [each.title for each in missing()] == ["Reef"]
    follow("all")
    add("Un Conte", "1.5", language="fr")
    assert positions(board()) == ["2", "3"]


def test_the_language_of_what_is_owned_counts() -> None:
    own("La Marée", "1", language="fr")
    add("La Barre", "2", language="fr")
    add("Riff", "3", language="de")
    assert positions(board()) == ["2"]


@pytest.mark.parametrize("written", ["eng", "en-GB", "English", "EN"])
def test_languages_are_known_however_they_are_written(written: str, settings: Any) -> None:
    settings.RELEASE_LANGUAGES = [written]
    own("Tide", "1", language="")
    add("Shoal", "2", language="en")
    add("La Barre", "3", language="fr")
    assert positions(board()) == ["2"]


# --- days of release --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("released", "reason"),
    [
        (LATER, "not_released"), (LATER[:7], "not_released"), ("2099", "not_released"),
        (str(NOW.year), "not_searched"), ("2001", "not_searched"), ("", "not_searched"), ("soon", "not_searched"),
        ("2026-13-45", "not_searched"), ("0000-00-0", "not_searched"),
    ],
)  # fmt: skip
def test_what_is_not_released_is_not_searched(released: str, reason: str) -> None:
    own("Tide", "1")
    add("Shoal", "2", released=released)
    (gap,) = board().gaps
    assert gap.reason == reason
    assert bool(missing()) == (reason == "not_searched") and (gap.next_at is not None) == (reason == "not_released")


@pytest.mark.parametrize("placeholder", ["2200-01-01", "9999"])
def test_what_is_announced_without_a_day_waits_for_none(placeholder: str) -> None:
    own("Tide", "1")
    add("Shoal", "2", released=placeholder)
    (gap,) = board().gaps
    assert (gap.reason, gap.next_at, missing()) == ("not_released", None, [])


def test_the_earliest_edition_says_when_it_was_released() -> None:
    own("Tide", "1")
    work = add("Shoal", "2", released=LATER).work
    add("Shoal", "2", work=work, released="2011-01-01")
    add("Shoal", "2", work=work)
    assert [gap.reason for gap in board().gaps] == [Reason.NOT_SEARCHED]


# --- marks, searches and acquisitions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "have", "total"), [("ignored", 1, 1), ("heard", 2, 2)])
def test_a_mark_survives_a_new_edition(kind: str, have: int, total: int) -> None:
    own("Tide", "1")
    work = add("Shoal", "2", asin="B000000001").work
    WorkMark.objects.create(work=work, kind=kind)
    for round in range(2):
        assert [gap.reason for gap in board().gaps] == [kind]
        assert (board().have, board().total, board().open_gaps, missing()) == (have, total, (), [])
        # Of the same row, and as a row of its own that a source made.
        add("Shoal", "2", work=work, asin=f"B00000001{round}")
        add("Shoal: A Novel", "2", asin=f"B00000002{round}")


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        ("found", Reason.FOUND), ("nothing", Reason.NO_RELEASE), ("language", Reason.LANGUAGE), ("unfit", Reason.UNFIT),
        ("unanswered", Reason.UNANSWERED),
    ],
)  # fmt: skip
def test_the_last_search_says_why_and_when_again(outcome: str, reason: Reason) -> None:
    own("Tide", "1")
    search = searched(add("Shoal", "2").work, outcome)
    (gap,) = board().gaps
    assert (gap.reason, gap.next_at, gap.is_due, missing()) == (reason, search.next_at, False, [])
    WorkSearch.objects.update(next_at=NOW - timedelta(seconds=1))
    assert len(missing()) == 1


def test_every_outcome_has_a_reason() -> None:
    assert set(gaps.OF_OUTCOME) == set(WorkSearch.Outcome)


@pytest.mark.parametrize(
    ("state", "problem", "reason"),
    [
        ("proposed", "", Reason.PROPOSED), ("approved", "", Reason.DOWNLOADING), ("fetched", "", Reason.DOWNLOADING),
        ("fetching", "The disk is full.", Reason.PROBLEM), ("declined", "", Reason.NOT_SEARCHED),
        ("imported", "", Reason.NOT_SEARCHED),
    ],
)  # fmt: skip
def test_an_open_acquisition_is_said_and_not_searched_again(state: str, problem: str, reason: Reason) -> None:
    own("Tide", "1")
    acquire(add("Shoal", "2").work, state, problem=problem)
    (gap,) = board().gaps
    assert (gap.reason, gap.note) == (reason, problem)
    assert bool(missing()) == (reason == Reason.NOT_SEARCHED)


def test_what_was_never_searched_comes_first_then_what_was_longest_ago() -> None:
    own("Tide", "1")
    for number, ago in ((2, 3), (3, 30), (4, None), (5, 9), (6, None)):
        work = add(f"Number {number * 'y'}", str(number)).work
        if ago is not None:
            searched(work, "nothing", days=-1, ago=ago)
    assert [each.why for each in missing()] == [f"number {number} of {SALT}" for number in (4, 6, 3, 5, 2)]
    assert {each.cause for each in missing()} == {"series"}


def test_wishes_are_wanted_works_that_are_due() -> None:
    wanted = add("Alone", standing="wanted", language="fr")
    other = own("Tide")
    add("Tide", standing="wanted", work=other.work)
    add("Later", standing="wanted", released=LATER)
    marked = add("Marked", standing="wanted")
    WorkMark.objects.create(work=marked.work, kind="heard")
    acquire(add("Coming", standing="wanted").work, "approved")
    found = wishes()
    assert [(each.work, each.book, each.cause, each.why) for each in found] == [
        (wanted.work_id, wanted.pk, "wish", "a wish")
    ]
    searched(wanted.work, "nothing")
    assert wishes() == []


def test_a_work_of_several_rows_is_wished_once() -> None:
    one, _ = (add("The Shoal", standing="wanted", author=author) for author in ("Ilse Varga", "Varga, I."))
    assert len(wishes()) == 2
    kept, gone = (Author.objects.get(name=name).pk for name in ("Ilse Varga", "Varga, I."))
    merge("author", kept, gone, by=User.objects.create_user("ann"))
    assert [each.work for each in wishes()] == [one.work_id]
    # Neither is the other searched for while this is not due.
    searched(one.work, "nothing")
    assert wishes() == []
    for author in ((), ()):
        add("Untold", standing="wanted", authors=author)
    assert len(wishes()) == 2, "whether these are one, nobody knows"


# --- scopes -----------------------------------------------------------------------------------------------------------


def fill() -> None:
    """Owned: 2. Missing: 0.5, 1, 3, 3.5 of last year, 4 to come, an unnumbered companion of next month."""
    own("The Second", "2")
    add("The Prequel", "0.5", released="2001")
    add("The First", "1", released="2001-02-03")
    add("The Third", "3", released="2003")
    add("The Tale", "3.5", released="2024-06-01")
    add("The Fourth", "4", released=LATER)
    add("The Companion", "", released=LATER[:7])


@pytest.mark.parametrize(
    ("scope", "values", "found"),
    [
        ("gaps", {}, ["1", "3", "3.5", "4", ""]),
        ("gaps", {"since": date(2025, 1, 1)}, ["1", "3", "4", ""]),
        ("from", {"from_number": 3.0}, ["3", "3.5", "4"]),
        ("from", {"from_number": 0.5}, ["0.5", "1", "3", "3.5", "4"]),
        ("from", {"from_number": None}, []),
        ("future", {}, ["3.5", "4", ""]),
        ("future", {"since": date(2024, 6, 2)}, ["4", ""]),
        ("all", {}, ["0.5", "1", "3", "3.5", "4", ""]),
        ("none", {}, []),
    ],
)
def test_scopes(scope: str, values: dict[str, Any], found: list[str]) -> None:
    fill()
    assert positions(board()) == ["1", "3", "4", ""]
    chosen = follow(scope, **values)
    assert positions(board()) == found and board().scope == scope and board().is_chosen
    assert (board().have, board().total) == (1, 1 + len(found))
    chosen.delete()
    (shown,) = series_boards(only=board().key, follow=Follow(series_id=board().key, **_values(chosen)))
    assert positions(shown) == found


def _values(chosen: Follow) -> dict[str, Any]:
    return {"scope": chosen.scope, "since": chosen.since, "from_number": chosen.from_number}


def test_a_tale_that_comes_out_while_one_owns_the_series_stays_a_gap() -> None:
    book = own("Tide", "1")
    add("A Tale", "1.5", released=(NOW - timedelta(days=30)).date().isoformat())
    assert told(board()) == []
    Book.objects.filter(pk=book.pk).update(added_at=NOW - timedelta(days=400))
    assert positions(board()) == ["1.5"]


def test_what_a_person_wants_is_in_every_scope() -> None:
    own("Tide", "1")
    add("A Tale", "1.5", standing="wanted")
    follow("none")
    assert positions(board()) == ["1.5"]


# --- authors ----------------------------------------------------------------------------------------------------------


def test_an_author_is_followed_once_enough_is_owned() -> None:
    for number in range(2):
        own(f"Alone {number * 'x'}")
    assert author_boards() == []
    work = own("Alone at last").work
    own("Alone at last", work=work)
    assert (of_author().have, of_author().total, of_author().scope) == (3, 3, "gaps")


def test_no_author_is_followed_by_rule_where_that_is_off(settings: Any) -> None:
    settings.FOLLOW_AUTHORS = 0
    own("Alone")
    assert author_boards() == []
    Follow.objects.create(author=Author.objects.get(), scope="all", since=NOW.date())
    add("Old")
    assert [gap.title for gap in of_author().gaps] == ["Old"]


def make_author() -> Author:
    own("Tide", "1")
    own("Alone")
    own("Alone Again")
    add("Shoal", "2")
    add("A Tale", "2.5")
    add("Elsewhere", "1", series="Strangers")
    add("By Itself", released="2001")
    add("To Come", released=LATER)
    add("Un Conte", language="fr")
    add("alone")
    return Author.objects.get()


@pytest.mark.parametrize(
    ("scope", "found"),
    [
        (None, ["Shoal", "To Come"]),
        ("gaps", ["Shoal", "To Come"]),
        ("future", ["To Come"]),
        ("all", ["Elsewhere", "Shoal", "A Tale", "By Itself", "To Come"]),
        ("none", []),
    ],
)
def test_scopes_of_an_author(scope: str | None, found: list[str]) -> None:
    author = make_author()
    if scope:
        Follow.objects.create(author=author, scope=scope, since=date(2020, 1, 1))
    shown = of_author()
    assert [gap.title for gap in shown.gaps] == found
    assert (shown.have, shown.total) == (3, 3 + len(found))
    by_author = [each for each in missing() if each.cause == "author"]
    expected = [] if scope != "all" else ["a book by Ilse Varga"] * 3
    assert [each.why for each in by_author] == expected
    assert missing(cause="series") and all(each.cause == "author" for each in missing(cause="author"))


def test_what_is_not_wanted_of_a_series_does_not_come_back_by_its_author() -> None:
    make_author()
    add("To Come as Well", "3", released=LATER)
    assert [gap.title for gap in of_author().gaps] == ["Shoal", "To Come as Well", "To Come"]
    follow("none")
    assert [gap.title for gap in of_author().gaps] == ["To Come"]


def test_what_a_set_has_is_no_gap_of_its_author() -> None:
    own("The First Three", "1-3")
    own("Alone")
    own("Alone Again")
    add("Shoal", "2")
    add("The Box", "1-2")
    add("The Other Box", "4-5", series="Strangers")
    Follow.objects.create(author=Author.objects.get(), scope="all", since=date(2020, 1, 1))
    assert [(gap.title, gap.reason) for gap in of_author().gaps] == [
        ("The Other Box", Reason.NOT_SEARCHED), ("Shoal", Reason.IN_A_SET),
    ]  # fmt: skip


# --- what it costs ----------------------------------------------------------------------------------------------------


@pytest.mark.timeout(200)
@pytest.mark.slow
def test_tables_full_of_dead_rows_make_it_no_slower(settings: Any) -> None:
    """As where much was written and taken back, and PostgreSQL has not cleaned up: it believes that little is there."""
    with contextlib.suppress(Undone), transaction.atomic():
        works = Work.objects.bulk_create(Work(title="x", key=f"x{number}") for number in range(20_000))
        books = Book.objects.bulk_create(Book(work=work, title="x") for work in works)
        series = Series.objects.create(name="x", key="x")
        author = Author.objects.create(name="x", key="x")
        SeriesEntry.objects.bulk_create(SeriesEntry(book=book, series=series) for book in books)
        Authorship.objects.bulk_create(Authorship(book=book, author=author, number=0) for book in books)
        raise Undone
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL statement_timeout = '5s'")
    settings.FOLLOW_AUTHORS = 1
    _queries(100)


class Undone(Exception):
    pass


def _queries(books: int) -> list[int]:
    for number in range(books):
        name, of = f"Series {number // 5}", number % 5
        add(f"Book {number} x", str(of + 1), "owned" if of % 2 else "known", series=name, author=f"A{number // 5}")
    costs = []
    series, author = Series.objects.all()[0].pk, Author.objects.all()[0].pk
    for ask in (
        all_boards, missing, wishes, lambda: series_boards(only=series), lambda: author_boards(only=author)
    ):  # fmt: skip
        with CaptureQueriesContext(connection) as queries:
            ask()
        costs.append(len(queries))
    return costs


def test_the_queries_are_few_and_do_not_grow(settings: Any) -> None:
    settings.FOLLOW_AUTHORS = 1
    few = _queries(10)
    assert _queries(100) == few and max(few) <= 8


def test_the_keys_of_a_gap_are_those_of_rows() -> None:
    own("Tide", "1")
    add("Shoal", "2")
    (gap,) = board().gaps
    assert isinstance(gap, Gap) and Book.objects.get(pk=gap.book).work_id == gap.work
