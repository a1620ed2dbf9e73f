"""The library in numbers, for the first page."""

from __future__ import annotations

from typing import Any

from django.core.cache import cache
from django.db.models import Count, Q, Value
from django.http import HttpRequest
from django.urls import reverse

from audiobooks.models import Acquisition, Author, Book, FetchingStop, LibraryFile, Proposal, Series
from audiobooks.models.acquisitions import NEEDS_YOU
from audiobooks.models.proposals import WAITING
from scheduling.admin.dashboard import Facts, register_panel

from .acquisitions import remember_stop
from .book_list import PROPOSED

COUNTS_KEPT_SECONDS = 60


@register_panel
def library_in_numbers(request: HttpRequest) -> Facts | None:
    seen = [
        label for label, model, *_ in _COUNTED if request.user.has_perm(f"audiobooks.view_{model._meta.model_name}")
    ]
    if not seen:
        return None
    numbers = cache.get_or_set("audiobooks.library_in_numbers", _count, COUNTS_KEPT_SECONDS) or {}
    facts = [
        (label, f"{numbers[label]:,}", _list_url(model, query)) for label, model, _, query in _COUNTED if label in seen
    ]
    return {"title": "Library", "facts": facts}


_COUNTED: list[tuple[str, Any, Q, dict[str, str]]] = [
    ("books", Book, Q(), {}),
    ("missing books", Book, Q(missing_since__isnull=False), {"missing_since__isempty": "0"}),
    ("books to review", Book, Q(PROPOSED), {"review": "waiting"}),
    ("proposals to decide", Proposal, WAITING, {}),
    ("acquisitions to approve", Acquisition, Q(state=Acquisition.State.PROPOSED), {"view": "proposed"}),
    ("downloads under way", Acquisition, Q(state__in=Acquisition.RESERVING), {"view": "way"}),
    ("need you", Acquisition, NEEDS_YOU, {"view": "needs"}),
    ("files with errors", LibraryFile, ~Q(error=""), {"error__isempty": "0"}),
    ("authors", Author, Q(), {}),
    ("series", Series, Q(), {}),
]
"""Label, model, which rows, and the filter of its list that shows them."""


def _count() -> dict[str, int]:
    # The head of the page tells of it.
    stops = ("stops", FetchingStop, Q(ended_at=None))
    first, *others = [
        # Grouped by a word of its own, an empty table gives no row, and several counts are one query.
        model.objects.filter(wanted).order_by().annotate(label=Value(label)).values_list("label").annotate(Count("pk"))
        for label, model, wanted in (*(each[:3] for each in _COUNTED), stops)
    ]
    numbers = {label: 0 for label, *_ in _COUNTED} | dict(first.union(*others, all=True))
    remember_stop(numbers.pop("stops", 0) > 0)
    return numbers


def _list_url(model: Any, query: dict[str, str]) -> str:
    return reverse(f"admin:audiobooks_{model._meta.model_name}_changelist", query=query or None)
