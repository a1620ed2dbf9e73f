import pytest

from audiobooks.matching.releases import parse_release
from audiobooks.matching.titles import parse_title


@pytest.mark.parametrize(
    ("title", "subtitle", "expected"),
    [
        ("The Glass Meridian - The Salt Cartographers Series, Book 7", "", ("The Glass Meridian", "", "The Salt Cartographers", "7")),
        ("The Glass Meridian (The Salt Cartographers, #3)", "", ("The Glass Meridian", "", "The Salt Cartographers", "3")),
        ("The Glass Meridian (Salt, #3; Sea, #1)", "", ("The Glass Meridian", "", "Salt", "3")),
        ("The Glass Meridian (Salt, #0.5)", "", ("The Glass Meridian", "", "Salt", "0.5")),
        ("The Glass Meridian (Salt 3)", "", ("The Glass Meridian", "", "Salt", "3")),
        ("The Glass Meridian", "The Salt Cartographers, Book 3", ("The Glass Meridian", "", "The Salt Cartographers", "3")),
        ("The Salt Cartographers, Book 3", "The Glass Meridian", ("The Glass Meridian", "", "The Salt Cartographers", "3")),
        ("A LitRPG Adventure (Salt, Book 1)", "The Glass Meridian", ("The Glass Meridian", "", "Salt", "1")),
        ("Salt: The Northern Years, Book 2", "The Glass Meridian", ("The Glass Meridian", "", "Salt: The Northern Years", "2")),
        ("Salt, Vol. 8", "The Town of Glass", ("Salt", "The Town of Glass", "Salt", "8")),
        ("Salt, Vol. 1 - The Glass Meridian", "", ("The Glass Meridian", "", "Salt", "1")),
        ("Salt: Year 2 (Light Novel), Vol. 3", "", ("Salt: Year 2", "", "Salt: Year 2", "3")),
        ("Salt: Book 2: Salt Series", "", ("Salt", "", "Salt", "2")),
        ("Salt Book 7", "", ("Salt", "", "Salt", "7")),
        ("Salt, Book One", "", ("Salt", "", "Salt", "1")),
        ("The Glass Meridian Book Five of Salt", "", ("The Glass Meridian", "", "Salt", "5")),
        ("Meridian: An Ada Holm Thriller, Book 9", "", ("Meridian", "", "Ada Holm", "9")),
        ("Salt 6: A Progression Fantasy", "", ("Salt 6", "", "Salt", "6")),
        ("Salt: Books 1-3", "", ("Salt", "", "Salt", "1-3")),
        ("The Glass Meridian: A Novel", "", ("The Glass Meridian", "", "", "")),
        ("The Glass Meridian", "How a Line Was Drawn", ("The Glass Meridian", "How a Line Was Drawn", "", "")),
        ("2001: A Glass Odyssey", "", ("2001: A Glass Odyssey", "", "", "")),
        ("Salt 2: A Cultivation Novel", "Book 2", ("Salt 2", "", "Salt", "2")),
        ("Salt - The Glass Road: A LitRPG Series, Book 1", "", ("Salt", "", "The Glass Road", "1")),
        ("The Glass Road: A LitRPG Series, Book 1", "", ("The Glass Road", "", "The Glass Road", "1")),
        ("Salt - A Monster Evolution LitRPG Adventure!", "", ("Salt", "", "", "")),
        ("Salt, Book Twenty-One", "", ("Salt", "", "Salt", "21")),
        ("Salt_ The Glass Meridian", "", ("Salt", "The Glass Meridian", "", "")),
        ("Salt: Stories", "", ("Salt", "", "", "")),
        ("Ada Holm", "A Life", ("Ada Holm", "", "", "")),
        ("Stories", "", ("Stories", "", "", "")),
        ("1984", "", ("1984", "", "", "")),
        ("11.22.63", "", ("11.22.63", "", "", "")),
        ("10:04", "", ("10:04", "", "", "")),
        ("A Novel", "", ("A Novel", "", "", "")),
        ("(", "", ("(", "", "", "")),
        ("", "", ("", "", "", "")),
    ],
)  # fmt: skip
def test_a_title_is_taken_apart(title: str, subtitle: str, expected: tuple[str, str, str, str]) -> None:
    found = parse_title(title, subtitle)
    assert (found.title, found.subtitle, found.series, found.position) == expected


def test_a_title_says_what_kind_of_recording_it_is() -> None:
    found = parse_title("The Glass Meridian (Part 2 of 3) (Dramatized Adaptation)")
    assert (found.title, found.part, found.dramatised) == ("The Glass Meridian", "2 of 3", True)
    assert parse_title("The Glass Meridian (Abridged)").abridged is True
    assert parse_title("The Glass Meridian [Unabridged]").abridged is False
    assert parse_title("The Glass Meridian").abridged is None
    assert parse_title("The Glass Meridian (10th Anniversary Edition)").editions == ("10th Anniversary Edition",)
    assert parse_title("Summary of The Glass Meridian").derived
    assert parse_title("The Salt Cartographers Box Set").bundle
    assert parse_title("Salt: Volume 5", "Salt, Book 6").is_contradictory


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("The Glass Meridian by Ilse Varga [ENG / M4B] [VIP]",
            {"title": "The Glass Meridian", "authors": ["Ilse Varga"], "language": "en", "is_audio": True}),
        ("Ilse Varga - Salt 03 - The Glass Meridian (2019) {Mara Quill} [B0TESTAA03]",
            {"title": "The Glass Meridian", "authors": ["Ilse Varga"], "series": [("Salt", "03")], "released": "2019",
             "narrators": ("Mara Quill",), "asin": "B0TESTAA03"}),
        ("Ilse Varga/Salt/Vol 3 - 1994 - The Glass Meridian - The Long Shore {Mara Quill}",
            {"title": "The Glass Meridian", "subtitle": "The Long Shore", "authors": ["Ilse Varga"], "series": [("Salt", "3")], "released": "1994"}),
        ("The Glass Meridian - Ilse Varga", {"title": "The Glass Meridian", "authors": ["Ilse Varga"]}),
        ("Varga, Ilse - The Glass Meridian", {"title": "The Glass Meridian", "authors": ["Ilse Varga"]}),
        ("Ilse Varga-The Glass Meridian", {"title": "The Glass Meridian", "authors": ["Ilse Varga"]}),
        ("IlseVarga-TheGlassMeridian", {"title": "The Glass Meridian", "authors": ["Ilse Varga"]}),
        ("Ilse_Varga-The_Glass_Meridian.m4b", {"title": "The Glass Meridian", "authors": ["Ilse Varga"], "is_audio": True}),
        ("Ilse.Varga.-.Salt.Bk.6.-.The.Glass.Meridian.NMR",
            {"title": "The Glass Meridian", "authors": ["Ilse Varga"], "series": [("Salt", "6")]}),
        ("Ilse Varga - [Salt 01] - The Glass Meridian (retail) (epub).epub",
            {"title": "The Glass Meridian", "authors": ["Ilse Varga"], "series": [("Salt", "01")], "is_audio": False}),
        ("Ilse Varga-Reed - Salt", {"title": "Salt", "authors": ["Ilse Varga-Reed"]}),
        ("Ilse Varga/1987 - The Glass Meridian (Quill) 96k 08.20.33 {348mb}",
            {"title": "The Glass Meridian", "authors": ["Ilse Varga"], "released": "1987"}),
        ("The Glass Meridian [German] [Unabridged]", {"title": "The Glass Meridian", "language": "de", "abridged": False}),
        ("The Glass Meridian (9780306406157)", {"title": "The Glass Meridian", "isbns": ("9780306406157",)}),
        ("The Glass Meridian (Dramatized Adaptation) by Ilse Varga", {"title": "The Glass Meridian", "subtitle": "Dramatized Adaptation"}),
        ("Ilse Varga - Salt Series/Ilse Varga - 01 - Salt", {"title": "Salt", "authors": ["Ilse Varga"], "series": [("Salt", "01")]}),
        ("Ilse Varga/The Glass Meridian (2015)/Ilse Varga - The Glass Meridian.m4b",
            {"title": "The Glass Meridian", "authors": ["Ilse Varga"], "series": []}),
        ("Ilse Varga, The Salt series Complete and Unabridged/1. The Glass Meridian",
            {"title": "The Glass Meridian", "authors": ["Ilse Varga"], "series": [("The Salt", "1")]}),
        ("Ilse Varga/Salt/Book 3", {"title": "Salt", "authors": ["Ilse Varga"], "series": [("Salt", "3")]}),
        ("Ilse Varga/Salt/3.The Glass Meridian", {"title": "The Glass Meridian", "series": [("Salt", "3")]}),
        ("Ilse Varga/Salt/61 Hours", {"title": "61 Hours", "series": [("Salt", "")]}),
        ("Varga, Ilse Maria/The Glass Meridian", {"title": "The Glass Meridian", "authors": ["Ilse Maria Varga"]}),
        ("Ilse Varga - The Salt Web 64k", {"title": "The Salt Web", "authors": ["Ilse Varga"]}),
        ("Ilse Varga - The Glass Meridian WEB", {"title": "The Glass Meridian"}),
        ("Ilse.Varga.-.The.Glass.Meridian.2015.M4B-GRP", {"title": "The Glass Meridian", "authors": ["Ilse Varga"], "released": "2015"}),
        ("Ilse Varga - Salt 03 The Glass Meridian", {"title": "The Glass Meridian", "series": [("Salt", "03")]}),
        ("Salt 3 - Ilse Varga", {"title": "Salt 3", "authors": ["Ilse Varga"], "series": [("Salt", "3")]}),
        ("The Glass Meridian (2024) (Ilse Varga) {ASIN.B0TESTAA03} [tag]",
            {"title": "The Glass Meridian", "authors": ["Ilse Varga"], "released": "2024", "asin": "B0TESTAA03"}),
        ("Ilse Varga - 1984", {"title": "1984", "authors": ["Ilse Varga"], "released": ""}),
        ("Ilse Varga - 1949 - 1984", {"title": "1984", "authors": ["Ilse Varga"], "released": "1949"}),
        ("Ilse Varga/2015 - Golden Ghost", {"title": "Golden Ghost", "authors": ["Ilse Varga"], "released": "2015"}),
        ("Ilse Varga/Salt/Salt, Book 3 The Glass Meridian", {"title": "The Glass Meridian", "series": [("Salt", "3")]}),
        ("Ilse Varga/Salt/Bk3 The Glass Meridian", {"title": "The Glass Meridian", "series": [("Salt", "3")]}),
        ("Ilse Varga Collection/The Glass Meridian/CD 1", {"title": "The Glass Meridian", "authors": ["Ilse Varga"]}),
        ("IlseVarga - TheGlassMeridian", {"title": "The Glass Meridian", "authors": ["Ilse Varga"]}),
        ("Ilse Varga - Glass Meridian, The, read by Mara Quill 64kbps 44khz",
            {"title": "The Glass Meridian", "authors": ["Ilse Varga"], "narrators": ("Mara Quill",)}),
        ("B0TESTAA03.m4b", {"title": "", "asin": "B0TESTAA03"}),
        ("Spider-Glass", {"title": "Spider-Glass", "authors": []}),
        # nothing of its own behind the folder
        ("Ilse Varga/Salt/[Unabridged]", {"title": "Salt", "authors": ["Ilse Varga"], "abridged": False}),
        ("Ilse Varga/Salt/[M4B].m4b", {"title": "Salt", "authors": ["Ilse Varga"]}),
        ("", {"title": "", "authors": []}),
    ],
)  # fmt: skip
def test_a_release_is_read(name: str, expected: dict[str, object]) -> None:
    facts = parse_release(name)
    found = {
        **vars(facts),
        "authors": list(facts.author_names),
        "series": [(place.name, place.position) for place in facts.series],
    }
    assert {key: found[key] for key in expected} == expected


def test_a_number_in_brackets_that_is_too_great_for_a_volume_belongs_to_the_title() -> None:
    assert parse_title("The Long Road (Route 66)").title == "The Long Road (Route 66)"
