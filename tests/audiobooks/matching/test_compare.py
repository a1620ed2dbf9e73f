"""Each failure that other projects had is a row here."""

import json

import pytest

from audiobooks.facts import BookFacts
from audiobooks.matching.choose import choose
from audiobooks.matching.compare import Verdict, compare

from .books import HOUR, MERIDIAN, VARGA, book


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (MERIDIAN, book("Glass Meridian", "Varga, Ilse")),
        (MERIDIAN, book("The Glass Meridian", "Tomas Reed", VARGA)),
        (MERIDIAN, book("The Glass Meridian", "I. Varga")),
        (MERIDIAN, book("The Glass Meridian", VARGA, subtitle="Salt, Book 3")),
        (MERIDIAN, book("Salt, Book 3", VARGA, subtitle="The Glass Meridian")),
        (MERIDIAN, book("The Glass Meridian: A Xianxia Cultivation Novel", VARGA)),
        (MERIDIAN, book("The Glass Meridian: How a Line Was Drawn Through the Sea", VARGA)),
        (MERIDIAN, book("01 The Glass Meridian", VARGA)),
        (book("This Glass Meridian Salt Cartographers", VARGA), book("This Glass Meridian", VARGA, series=(("The Salt Cartographers", "7"),))),
        (book("Salt 3", VARGA), book("Salt", VARGA, series=(("Salt", "3"),))),
        (book("Salt", VARGA, series=(("Salt", "1"),)), book("Salt", VARGA)),
        (book("Salt Book III", VARGA), book("Salt, Vol. 3", VARGA)),
        (book("Größe", "Jürgen Łuk"), book("Grosse", "Jurgen Luk")),
        (book("雪の国", "伊勢"), book("雪の国", "伊勢")),
        (book("The Glass Meridian Ilse Varga"), MERIDIAN),
        # title and author the other way round, or cut in another place
        (book("Ilse Varga", "The Glass Meridian"), MERIDIAN),
        (book("The Glass Meridian", "Salt Harbour", subtitle="Ilse Varga"), book("The Glass Meridian", VARGA, series=(("Salt Harbour", "3"),))),
        (book("Reed The Glass Meridian", VARGA), book("The Glass Meridian", "Ilse Varga-Reed")),
        (book("The Glass Meridian", "Mike Varga", runtime=9 * HOUR), book("The Glass Meridian", "Michael Varga", runtime=9 * HOUR)),
        # a name with two errors, where title and length agree
        (book("The Glass Meridian", "Ilsabeth Vargason", runtime=9 * HOUR), book("The Glass Meridian", "Ilsebeth Vargasen", runtime=9 * HOUR)),
        (book("Ilse Varga's The Glass Meridian"), MERIDIAN),
        (book("varga ilse glass meridian"), MERIDIAN),
        (book("Plato The Glass Meridian"), book("The Glass Meridian", "Plato")),
        # what programs leave out of a name, and what people add
        (book("glass meridian long tide", VARGA), book("The Glass Meridian and the Long Tide", VARGA)),
        (book("Salt Tide", VARGA), book("Salt & Tide", VARGA)),
        (book("The Thirty-Nine Tides", VARGA), book("The 39 Tides", VARGA)),
        (book("How the Glass Meridian Became a Line in the S", VARGA, runtime=HOUR), book("How the Glass Meridian Became a Line in the Sea", VARGA, runtime=HOUR)),
        (book("The Glass Meridian The Complete and Uncut Edition", VARGA), MERIDIAN),
        (book("Salt 03 The Glass Meridian", VARGA), book("The Glass Meridian", VARGA, series=(("Salt", "3"),))),
        (book("", VARGA, isbns=("9780306406157",)), book("The Glass Meridian", VARGA, isbns=("9780306406157",))),
        (book(asin="B0TESTAA03"), book("The Glass Meridian", VARGA, asin="B0TESTAA03", is_audio=True)),
        (book("The Glass Meridian", VARGA, language="eng"), book("The Glass Meridian", VARGA, language="English")),
    ],
)  # fmt: skip
def test_one_book_is_strong(ours: BookFacts, theirs: BookFacts) -> None:
    match = compare(ours, theirs)
    assert match.verdict is Verdict.STRONG, match.as_json()


@pytest.mark.parametrize(
    ("ours", "theirs", "at_most"),
    [
        # another volume
        (book("Salt, Vol. 1", VARGA), book("Salt, Vol. 2", VARGA), Verdict.NONE),
        (book("Salt 3", VARGA), book("Salt 4", VARGA), Verdict.NONE),
        (book("Salt: Books 1-3", VARGA), book("Salt, Book 1", VARGA), Verdict.NONE),
        (book("Salt", VARGA, series=(("Salt", "2"),)), book("Salt", VARGA, series=(("The Salt Series", "3"),)), Verdict.NONE),
        (book("Salt", VARGA), book("Salt, Vol. 2", VARGA), Verdict.MEDIUM),
        # a number in the name of the series is none of a volume
        (book("The Three Lodgers", VARGA), book("The Three Lodgers, Vol. 2", VARGA), Verdict.MEDIUM),
        (book("Lodger Eighty-Six", VARGA), book("Lodger Eighty-Six: Book 2", VARGA), Verdict.MEDIUM),
        (book("Salt II", VARGA), book("Salt II", VARGA, series=(("Salt II", "4"),)), Verdict.MEDIUM),
        (book("Salt 3", VARGA), book("Salt", VARGA), Verdict.LOW),
        (book("[02] Salt", VARGA), book("[03] Salt", VARGA), Verdict.LOW),
        # sequels and other books with the start of the title
        (book("The Lodger", VARGA), book("The Lodger's Secret", VARGA), Verdict.LOW),
        (book("Salt", VARGA), book("Salt: House Meridian", VARGA), Verdict.MEDIUM),
        (book("Salt", VARGA), book("Salt Messiah", VARGA), Verdict.MEDIUM),
        (book("Salt: The First Shore", VARGA), book("Salt: The Last Shore", VARGA), Verdict.MEDIUM),
        # not the book itself
        (MERIDIAN, book("Summary of The Glass Meridian", VARGA), Verdict.NONE),
        (MERIDIAN, book("The Glass Meridian: SuperSummary Study Guide", VARGA), Verdict.NONE),
        (MERIDIAN, book("The Glass Meridian (Dramatized Adaptation)", VARGA), Verdict.NONE),
        (MERIDIAN, book("The Glass Meridian (Part 1 of 2)", VARGA), Verdict.MEDIUM),
        (book("Salt", VARGA), book("The Salt Box Set", VARGA), Verdict.MEDIUM),
        # a publisher that stands where the author should
        (book("The Glass Meridian", "Bright Summaries", subtitle="Ilse Varga"), MERIDIAN, Verdict.LOW),
        (book("Ilse Varga", "The Glass Meridian", subtitle="A Study"), MERIDIAN, Verdict.MEDIUM),
        # nearly the same author
        (book("The Glass Meridian", "Mike Varga"), book("The Glass Meridian", "Mary Varga"), Verdict.MEDIUM),
        (book("The Glass Meridian", "Mike A. Varga", runtime=9 * HOUR), book("The Glass Meridian", "Mary B. Varga", runtime=9 * HOUR), Verdict.LOW),
        (book("The Glass Meridian", "Mike Varga", runtime=9 * HOUR), book("The Glass Meridian", "Mary Varga", runtime=8 * HOUR), Verdict.MEDIUM),
        (book("The Glass Meridian", "Ilsabeth Vargason"), book("The Glass Meridian", "Ilsebeth Vargasen"), Verdict.MEDIUM),
        (book("The Glass Meridian", "Ilsabeth Vargason", runtime=9 * HOUR), book("The Glass Lodger", "Ilsebeth Vargasen", runtime=9 * HOUR), Verdict.LOW),
        # nearly the same words
        (book("Salt in the Tide", VARGA), book("Salt of the Tide", VARGA), Verdict.MEDIUM),
        (book("Tide Salt", VARGA), book("Salt and Tide", VARGA), Verdict.MEDIUM),
        (book("Meridian Reading, 3rd Edition", VARGA), book("Meridian Reading, 4th Edition", VARGA), Verdict.MEDIUM),
        (book("How the Glass Meridian Became a Line in the Sea", VARGA), book("How the Glass Meridian Became a Line in the Sea Again", VARGA), Verdict.MEDIUM),
        (book("Harbour", VARGA, series=(("Harbour", "2"),)), book("The Glass Meridian", VARGA, series=(("Harbour", "2"),)), Verdict.MEDIUM),
        # the same title by another author, in another language, by nobody known
        (MERIDIAN, book("The Glass Meridian", "Petra Holm"), Verdict.LOW),
        (MERIDIAN, book("The Glass Meridian", "Petra Varga"), Verdict.LOW),
        (book("Salt", VARGA, language="de"), book("Salt", VARGA, language="en"), Verdict.NONE),
        (book("The Glass Meridian"), book("The Glass Meridian"), Verdict.LOW),
        (book("The Glass Meridian"), MERIDIAN, Verdict.LOW),
        # an ASIN that everything else contradicts
        (book("Other", "Petra Holm", asin="B0TESTAA03"), book("The Glass Meridian", VARGA, asin="B0TESTAA03"), Verdict.LOW),
        (BookFacts(), BookFacts(), Verdict.NONE),
        (BookFacts(), MERIDIAN, Verdict.NONE),
    ],
)  # fmt: skip
def test_what_may_be_another_book_is_not_strong(ours: BookFacts, theirs: BookFacts, at_most: Verdict) -> None:
    order = list(Verdict)
    match = compare(ours, theirs)
    assert order.index(match.verdict) <= order.index(at_most), match.as_json()


def test_an_asin_outweighs_the_numbers_of_a_series() -> None:
    ours = book("The Glass Meridian", VARGA, asin="B0TESTAA03", series=(("Salt", "4.5"),))
    theirs = book("The Glass Meridian", VARGA, asin="B0TESTAA03", series=(("Salt", "5"),), is_audio=True)
    match = compare(ours, theirs)
    assert (match.verdict, match.same_recording) == (Verdict.STRONG, True)
    assert (
        compare(book("Salt, Vol. 1", asin="B0TESTAA03"), book("Salt, Vol. 2", VARGA, asin="B0TESTAA03")).verdict
        is Verdict.MEDIUM
    )


def test_an_isbn_does_not_outweigh_another_author() -> None:
    ours, theirs = (book("Salt", name, isbns=("9780306406157",)) for name in (VARGA, "Petra Holm"))
    assert compare(ours, theirs).verdict is not Verdict.STRONG


def test_an_unknown_language_vetoes_nothing() -> None:
    assert compare(book("Salt", VARGA, language="de"), book("Salt", VARGA)).verdict is Verdict.STRONG


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        ({"runtime": 9 * HOUR}, {"runtime": 9 * HOUR + 60}, True),
        ({"runtime": 9 * HOUR}, {"runtime": 12 * HOUR + 1800}, False),
        ({"runtime": 9 * HOUR}, {"runtime": 9 * HOUR + 900}, None),
        ({"runtime": 0}, {"runtime": 9 * HOUR}, None),
        ({}, {}, None),
        ({"narrators": ("Mara Quill",), "runtime": 9 * HOUR}, {"narrators": ("Quill, Mara",), "runtime": 9 * HOUR + 300}, True),
        ({"narrators": ("Mara Quill",), "runtime": 9 * HOUR}, {"narrators": ("Otto Brand",), "runtime": 9 * HOUR}, False),
        ({"narrators": ("Mara Quill",)}, {"narrators": ("Mara Quill",)}, None),
        ({"narrators": ("Mara Quill",), "abridged": False}, {"narrators": ("Mara Quill",), "abridged": False}, True),
        ({"narrators": ("Full Cast",), "runtime": 9 * HOUR}, {"narrators": ("Mara Quill",), "runtime": 9 * HOUR}, True),
        ({"abridged": True, "runtime": 9 * HOUR}, {"abridged": False, "runtime": 9 * HOUR}, False),
        ({"runtime": 9 * HOUR}, {"runtime": 9 * HOUR, "is_audio": False}, False),
        ({"asin": "B0TESTAA03"}, {"asin": "B0TESTAA03", "is_audio": True}, True),
        ({"asin": "B0TESTAA03"}, {"asin": "B0TESTAA03", "is_audio": False}, False),
        ({"asin": "0306406152"}, {"isbns": ("9780306406157",)}, None),
        ({"asin": "B0TESTAA03"}, {"asin": "B0TESTAA04"}, None),
        ({"asin": "B0TESTAA03", "runtime": 9 * HOUR}, {"asin": "B0TESTAA03", "runtime": 3 * HOUR, "is_audio": True}, None),
    ],
)  # fmt: skip
def test_one_work_may_be_another_recording(
    ours: dict[str, object], theirs: dict[str, object], same: bool | None
) -> None:
    match = compare(book("The Glass Meridian", VARGA, **ours), book("The Glass Meridian", VARGA, **theirs))
    assert match.verdict is Verdict.STRONG
    assert match.same_recording is same, match.recording_evidence


def test_a_match_explains_itself() -> None:
    match = compare(book("The Glass Meridian", VARGA, runtime=32520), book("The Glass Meridian", VARGA, runtime=45000))
    told = json.loads(json.dumps(match.as_json()))
    assert told["verdict"] == "strong"
    assert {"name": "runtime", "weight": 1.5, "share": 1.0, "words": "runtime 9 h 02 min against 12 h 30 min"} in told[
        "penalties"
    ]
    assert told["same_recording"] is False and "runtime 9 h 02 min against 12 h 30 min" in told["recording_evidence"]


def test_several_equal_candidates_make_none_strong() -> None:
    ours = book("Salt", VARGA)
    candidates = [
        book("Salt", VARGA, subtitle="The Shore and Its Long History"),
        book("Salt", VARGA, subtitle="A Cook's Way Through the Kitchen"),
    ]
    matches = choose(ours, candidates)
    assert [match.verdict for match in matches] == [Verdict.MEDIUM, Verdict.MEDIUM]
    assert all("several equal candidates" in match.doubts for match in matches)
    assert choose(ours, candidates[:1])[0].verdict is Verdict.STRONG


def test_the_best_comes_first_and_its_recordings_are_one_book() -> None:
    ours = book("The Glass Meridian", VARGA, runtime=9 * HOUR)
    other = book("The Lodger", VARGA, runtime=9 * HOUR)
    long = book("The Glass Meridian", VARGA, runtime=12 * HOUR, narrators=("Otto Brand",))
    right = book("The Glass Meridian", VARGA, runtime=9 * HOUR, narrators=("Mara Quill",))
    matches = choose(ours, [other, long, right])
    assert [match.theirs for match in matches] == [right, long, other]
    assert matches[0].verdict is Verdict.STRONG and matches[0].same_recording


def test_of_two_readings_of_one_length_none_is_said_to_be_ours() -> None:
    ours = book("The Glass Meridian", VARGA, runtime=9 * HOUR)
    readings = [
        book("The Glass Meridian", VARGA, runtime=9 * HOUR, narrators=(name,)) for name in ("Mara Quill", "Otto Brand")
    ]
    assert [match.same_recording for match in choose(ours, readings)] == [None, None]
    known = book("The Glass Meridian", VARGA, runtime=9 * HOUR, narrators=("Otto Brand",))
    assert [match.same_recording for match in choose(known, readings)] == [True, False]


def test_no_candidates_no_matches() -> None:
    assert choose(MERIDIAN, []) == []
