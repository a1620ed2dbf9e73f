"""What the layouts of library programs say."""

import pytest

from audiobooks.library.folder import parse_location
from audiobooks.library.tags import split_names, split_numbered


@pytest.mark.parametrize(
    ("path", "facts"),
    [
        ("Ilse Varga/The Glass Meridian", {"author": "Ilse Varga", "title": "The Glass Meridian"}),
        (
            "Ilse Varga/The Salt Cartographers/Vol 3 - 1994 - The Glass Meridian - A Tale {Mara Quill} [B0TESTAA03]",
            {
                "author": "Ilse Varga", "series": "The Salt Cartographers", "position": "3", "year": "1994",
                "title": "The Glass Meridian", "subtitle": "A Tale", "narrator": "Mara Quill", "asin": "B0TESTAA03",
            },
        ),
        (
            "Ilse Varga/Salt/Salt #1 - The Glass Meridian {Mara Quill}",
            {"series": "Salt", "position": "1", "title": "The Glass Meridian", "narrator": "Mara Quill"},
        ),
        ("The Glass Meridian [B0TESTAA03]", {"author": "", "title": "The Glass Meridian", "asin": "B0TESTAA03"}),
        ("The Glass Meridian꞉ A Tale [B0TESTAA03]", {"title": "The Glass Meridian", "subtitle": "A Tale"}),
        ("Ilse Varga/Salt/1994 - The Glass Meridian [Salt 1]", {"year": "1994", "series": "Salt", "position": "1"}),
        ("Ilse Varga/Salt/1 - The Glass Meridian", {"position": "1", "title": "The Glass Meridian"}),
        (
            "Ilse Varga/Glass vol_03 (2024) (Ilse Varga) {ASIN.B0TESTAA03}",
            {"title": "Glass", "position": "03", "year": "2024", "asin": "B0TESTAA03"},
        ),
        ("Ilse Varga/The Glass Meridian (1994)", {"title": "The Glass Meridian", "year": "1994", "series": ""}),
        ("Ilse Varga/The Glass Meridian (Unabridged)", {"title": "The Glass Meridian", "abridged": False}),
        ("Ilse Varga/1984", {"title": "1984", "year": "", "position": ""}),
        ("Ilse Varga/11.22.63", {"title": "11.22.63", "position": ""}),
    ],
)  # fmt: skip
def test_a_place_says_what_it_can(path: str, facts: dict[str, object]) -> None:
    found = vars(parse_location(path, is_file=False))
    assert {name: found[name] for name in facts} == facts


def test_names_and_numbers_are_split() -> None:
    assert split_names(["Ilse Varga, Tomas Reed; A. B.", "Ilse Varga"]) == ("Ilse Varga", "Tomas Reed", "A. B.")
    assert split_names(["Martin Luther King, Jr."]) == ("Martin Luther King, Jr.",)
    assert split_numbered("The Tide #2.5") == ("The Tide", "2.5")
    assert split_numbered("The Tide, Book 2") == ("The Tide", "2")
    assert split_numbered("The Tide") == ("The Tide", "")
