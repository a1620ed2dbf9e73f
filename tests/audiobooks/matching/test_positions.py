import pytest

from audiobooks.matching.positions import parse_positions


@pytest.mark.parametrize(
    ("text", "shown", "is_set"),
    [
        ("3", "3", False), ("03", "3", False), ("1-3", "1-3", True), ("1 – 3", "1-3", True), ("1 to 3", "1-3", True), ("1, 3", "1, 3", True),
        ("Books 1, 2 & 3", "1-3", True), ("Book 1", "1", False), ("0.5", "0.5", False), ("0,5", "0.5", False),
        ("Vol. III", "3", False), ("One", "1", False), ("#3.5", "3.5", False), ("2, Dramatized Adaptation", "2", False),
        ("1 of 3", "1", False), ("1/3", "1", False), ("1-3, 5", "1, 2, 3, 5", True), ("0", "0", False),
        ("", "", False), ("3a", "", False), ("3-1", "", False), ("1-9999", "", False), ("Dramatized", "", False), ("-", "", False),
    ],
)  # fmt: skip
def test_a_position_is_a_set_of_numbers(text: str, shown: str, is_set: bool) -> None:
    found = parse_positions(text)
    assert (str(found), found.is_set, bool(found)) == (shown, is_set, bool(shown))


def test_a_series_is_sorted_with_the_unnumbered_last() -> None:
    assert sorted(["2", "1-3", "", "1", "0.5", "0"], key=lambda text: parse_positions(text).order) == [
        "0", "0.5", "1", "1-3", "2", "",
    ]  # fmt: skip
