"""The same invented work as sources may write it: other spellings, editions and languages."""

from __future__ import annotations

from hypothesis import strategies as st

from audiobooks.facts import BookFacts, Contributor, SeriesPlace

TITLE, SERIES, POSITION = "The Glass Meridian", "Salt", "3"
WORK = BookFacts(
    source="fake",
    title=TITLE,
    authors=(Contributor(name="Ilse Varga"),),
    series=(SeriesPlace(name=SERIES, position=POSITION),),
    language="en",
    narrators=("Sam Oakes",),
    runtime=40_000,
    is_audio=True,
)
OTHERS = [
    ("The Iron Meridian", "Ilse Varga", "4"),
    ("Salt", "Ilse Varga", "1"),
    ("The Glass Meridian", "Tomas Reed", ""),
    ("Summary of The Glass Meridian", "Ilse Varga", ""),
    ("Salt: Books 1-3", "Ilse Varga", ""),
    ("The Glass Meridians and Other Lines", "Ilse Varga", ""),
    ("The Grass Widow", "Ilse Varga", ""),
]
"""Title, author and position of what is no edition of it."""

_FORMS = st.sampled_from(
    [
        *("{}", "{}: A Novel", "{} (Salt, Book 3)", "{}: Salt, Book 3", "Salt 3: {}", "Salt, Book 3: {}", "{} [M4B]"),
        *("{} (25th Anniversary Edition)", "{} (version 2)", "{} (Version 3 Dramatic Reading)", "{} (Unabridged)"),
        *("{} [Dramatized Adaptation]", "{} (1 of 2) [Dramatized Adaptation]", "{}, Unabridged", "{} (Part 2 of 3)"),
        *("{} - Dramatized Adaptation", "{} - version 2", "  {}  "),
    ]
)
_CASES = st.sampled_from([str, str.upper, str.lower, str.title, str.swapcase])
_AUTHORS = st.sampled_from(
    [
        "Ilse Varga",
        "ILSE VARGA",
        "Varga, Ilse",
        "I. Varga",
        "Ilse M. Varga",
        "Ílse Vàrga",
        "Dr. Ilse Varga",
        "Ilse  Varga",
    ]
)
_OTHER_AUTHORS = st.lists(
    st.sampled_from(["Tomas Reed", "Nora Ferris - translator", "Full Cast"]), max_size=2, unique=True
)


@st.composite
def _titles(draw: st.DrawFn) -> str:
    title = draw(_CASES)(TITLE)
    match draw(st.sampled_from(["", "", "article", "typo", "dash", "accents"])):
        case "article":
            title = title[4:]
        case "typo":
            at = draw(st.integers(len(title) - 7, len(title) - 2))
            title = title[:at] + title[at + 1 :]
        case "dash":
            title = title.replace(" ", draw(st.sampled_from(["-", " – "[1:2], "  ", "_"])))
        case "accents":
            title = title.replace("a", "á").replace("i", "ı" if draw(st.booleans()) else "í")
    return draw(_FORMS).format(title)


@st.composite
def editions(draw: st.DrawFn) -> BookFacts:
    authors = [draw(_AUTHORS), *draw(_OTHER_AUTHORS)]
    places = draw(
        st.sampled_from([(), (SeriesPlace(name="Salt", position="3"),), (SeriesPlace(name="The Salt Saga"),)])
    )
    return BookFacts(
        source=draw(st.sampled_from(["fake", "other"])),
        title=draw(_titles()),
        authors=tuple(Contributor(name=name) for name in draw(st.permutations(authors))),
        series=places,
        language=draw(st.sampled_from(["", "en", "de", "fr"])),
        narrators=tuple(draw(st.lists(st.sampled_from(["Nora Ferris", "Sam Oakes", "Full Cast"]), max_size=2))),
        runtime=draw(st.one_of(st.none(), st.integers(0, 10**6))),
        abridged=draw(st.sampled_from([None, True, False])),
        asin=draw(st.sampled_from(["", "B0TESTAA03", "B0TESTAA99"])),
        is_audio=draw(st.sampled_from([None, True])),
    )


def others() -> list[BookFacts]:
    return [
        BookFacts(
            title=title,
            authors=(Contributor(name=author),),
            series=(SeriesPlace(name="Salt", position=position),) if position else (),
        )
        for title, author, position in OTHERS
    ]
