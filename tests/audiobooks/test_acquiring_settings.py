"""What in the settings of acquiring cannot work is said at start-up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from audiobooks.checks import check_acquiring


@pytest.mark.parametrize(
    ("changed", "number", "said"),
    [
        ({}, None, ""),
        ({"ACQUIRE": "auto"}, None, ""),
        ({"ACQUIRE": "yes"}, 30, "“yes”"),
        ({"RELEASE_COST": "paid"}, None, ""),
        ({"RELEASE_COST": "vip"}, 31, "“vip”"),
        ({"BUDGET_SLOTS_KEPT": -1, "BUDGET_RATIO": 0.0, "BUDGET_WEEK": 0, "RELEASE_SEEDERS": 0}, None, ""),
        ({"BUDGET_RATIO": -0.5}, 32, "BUDGET_RATIO is -0.5."),
        ({"BUDGET_RATIO": float("nan")}, 32, "BUDGET_RATIO"),
        ({"BUDGET_FREE_GB": float("inf")}, 32, "BUDGET_FREE_GB"),
        *(({name: -1}, 32, f"{name} is -1.") for name in ("BUDGET_RUN", "BUDGET_RUN_GB", "BUDGET_WEEK", "BUDGET_WEEK_GB")),
        *(({name: -1}, 32, f"{name} is -1.") for name in ("FOLLOW_AUTHORS", "RELEASE_BITRATE", "RELEASE_SEEDERS")),
        ({"RELEASE_LANGUAGES": ["en", "de", "grc"]}, None, ""),
        ({"RELEASE_LANGUAGES": ["en", "German"]}, 33, "“German”"),
        ({"RELEASE_LANGUAGES": ["eng"]}, 33, "“eng”"),
        ({"RELEASE_LANGUAGES": ["EN"]}, 33, "“EN”"),
        ({"RELEASE_LANGUAGES": ["qq"]}, 33, "“qq”"),
        ({"RELEASE_FORMATS": ["opus", "flac", "m4a"]}, None, ""),
        ({"RELEASE_FORMATS": ["m4b", "epub"]}, 34, "“epub”"),
        ({"RELEASE_FORMATS": [".mp3"]}, 34, "“.mp3”"),
        *(({"RELEASE_MB_PER_HOUR": sizes}, 35, "two numbers") for sizes in [(7.0,), (7.0, 8.0, 9.0), (250.0, 7.0), (-1.0, 7.0)]),
        ({"SHELF_PATH": "{title}"}, None, ""),
        ({"SHELF_PATH": "{authors}/{year} - {title} ({language})"}, None, ""),
        ({"SHELF_PATH": "{author}/{genre}/{title}"}, 36, "names {genre}"),
        ({"SHELF_PATH": "{author.__class__}/{title}"}, 36, "names {author.__class__}"),
        ({"SHELF_PATH": "{author[0]}/{title}"}, 36, "names {author[0]}"),
        ({"SHELF_PATH": "{}/{title}"}, 36, "names {}"),
        ({"SHELF_PATH": "{author/{title}"}, 36, ""),
        ({"SHELF_PATH": "{title}/{author}"}, 36, "has to hold {title}"),
        ({"SHELF_PATH": "books"}, 36, "has to hold {title}"),
        ({"SHELF_PATH": "//"}, 36, "has to hold {title}"),
        ({"AUDIOBOOKS_LIBRARY": Path("/a/b"), "AUDIOBOOKS_DOWNLOADS": Path("/a/bc")}, None, ""),
        ({"AUDIOBOOKS_LIBRARY": Path("/a/b"), "AUDIOBOOKS_DOWNLOADS": Path("/a/b")}, 37, "half a download"),
        ({"AUDIOBOOKS_LIBRARY": Path("/a/b"), "AUDIOBOOKS_DOWNLOADS": Path("/a/b/c")}, 37, "half a download"),
    ],
)  # fmt: skip
def test_settings_that_cannot_work_are_said(changed: dict[str, Any], number: int | None, said: str) -> None:
    with override_settings(**changed):
        found = check_acquiring(None)
    assert [message.id for message in found] == ([] if number is None else [f"audiobooks.E{number:03}"])
    assert all(said in message.msg and message.hint for message in found)
