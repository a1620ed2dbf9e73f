import re


def order_of(position: str) -> float | None:
    number = re.search(r"\d+(?:\.\d+)?", position)
    return float(number[0]) if number else None
