"""What the stand-in offers, by number."""

from __future__ import annotations

FIRST = ("Mara", "Ilse", "Tomas", "Ray", "Nina", "Cyril", "Dana", "Ove", "Petra", "Hal")
LAST = ("Quill", "Varga", "Reed", "Holm", "Lindt", "Moss", "Okoro", "Stone", "Weiss", "Young")


def title(number: int) -> str:
    """In words: a number would be a volume."""
    return f"The {' and '.join(f'{FIRST[int(digit)]} {LAST[int(digit)]}' for digit in str(number))}"


def author(number: int) -> str:
    return f"{FIRST[number % 10]} {LAST[number // 10 % 10]}"
