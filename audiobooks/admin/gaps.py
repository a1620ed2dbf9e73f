"""Gaps: every series and author with what is missing and why, what is wanted of each, and what a person leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from audiobooks.acquire import leave_out
from audiobooks.gaps import AUTHOR, SERIES, Board, Gap, Reason, all_boards, preview
from audiobooks.library.albums import key_of
from audiobooks.models import Author, Follow, Listing, Series
from scheduling.admin.posting import perform, who
from scheduling.display import label

from .base import WORDS_SEARCHED, LibraryAdmin

DECIDE, FOLLOW = "audiobooks.decide_workmark", "audiobooks.change_follow"
BOARDS_ON_A_PAGE = 25
GAPS_ON_A_CARD = 8
GAPS_ON_A_PAGE = 500
TITLES_TOLD = 5
MODELS: dict[str, type[Series] | type[Author]] = {SERIES: Series, AUTHOR: Author}
REASONS = frozenset(Reason.values)
RULE = "rule"
"""Instead of a scope: as settings say."""
VARIANTS = {
    Reason.NOT_SEARCHED: "info",
    Reason.NO_RELEASE: "warning",
    Reason.LANGUAGE: "warning",
    Reason.UNFIT: "warning",
    Reason.UNANSWERED: "warning",
    Reason.FOUND: "warning",
    Reason.PROPOSED: "info",
    Reason.DOWNLOADING: "info",
    Reason.PROBLEM: "danger",
    Reason.IN_A_SET: "success",
    Reason.HEARD: "success",
}


@dataclass(frozen=True)
class Row:
    """A gap as pages show it. steps: address and text of what a person may do with it."""

    gap: Gap
    label: SafeString
    url: str
    steps: list[tuple[str, str]]

    @property
    def title(self) -> str:
        return self.gap.title or f"Number {self.gap.position}"


@dataclass(frozen=True)
class Card:
    board: Board
    url: str
    rows: list[Row]
    more: int

    @property
    def kind(self) -> str:
        return "author" if self.board.kind == AUTHOR else "series"

    @property
    def scope(self) -> str:
        return Follow.Scope(self.board.scope).label


class FollowForm(forms.Form):
    """What is wanted of a series or an author."""

    scope = forms.ChoiceField(
        label="Wanted", widget=forms.Select(attrs={"class": "scheduling-input"}), choices=Follow.Scope.choices
    )
    from_number = forms.FloatField(
        label="From number",
        required=False,
        min_value=0,
        max_value=100_000,
        help_text="Of “from a number on”: the first volume that is wanted.",
        widget=forms.NumberInput(attrs={"class": "scheduling-input", "step": "any"}),
    )
    since = forms.DateField(
        label="New since",
        required=False,
        help_text="Of “gaps and future” and “future only”: what came out from that day on is wanted in any case.",
        widget=forms.DateInput(attrs={"class": "scheduling-input", "type": "date"}, format="%Y-%m-%d"),
    )

    def __init__(self, kind: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if kind == AUTHOR:
            # Only series count their works.
            choices = [choice for choice in Follow.Scope.choices if choice[0] != Follow.Scope.FROM]
            self.fields["scope"].choices = choices  # type: ignore[attr-defined]
            del self.fields["from_number"]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if data.get("scope") == Follow.Scope.FROM and data.get("from_number") is None and not self.errors:
            self.add_error("from_number", "Write the number of the first volume that is wanted.")
        return data

    @property
    def values(self) -> dict[str, Any]:
        """Columns of a Follow."""
        data = self.cleaned_data
        is_from = data["scope"] == Follow.Scope.FROM
        return {
            "scope": data["scope"],
            "from_number": data["from_number"] if is_from else None,
            "since": data["since"] or timezone.localdate(),
        }


@admin.register(Follow)
class GapsAdmin(LibraryAdmin):
    """Its list is the board of all series and authors; each of them has a page."""

    class Media:
        css = {"all": ["audiobooks/gaps.css"]}

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("", wrap(self.changelist_view), name="audiobooks_follow_changelist"),
            path("series/<int:key>/", wrap(self.series_view), name="audiobooks_follow_series"),
            path("author/<int:key>/", wrap(self.author_view), name="audiobooks_follow_author"),
        ]

    # --- all of them --------------------------------------------------------------------------------------------------

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        asked = {name: request.GET.get(name, "").strip()[:200] for name in ("kind", "show", "reason", "q")}
        boards = all_boards()
        found = _filtered(boards, **asked)
        page = _page_of(request.GET.get("p", ""), len(found))
        shown = found[(page - 1) * BOARDS_ON_A_PAGE : page * BOARDS_ON_A_PAGE]
        may_decide = request.user.has_perm(DECIDE)
        context = {
            **self.admin_site.each_context(request),
            "title": "Gaps",
            "opts": self.opts,
            "media": self.media,
            "asked": asked,
            "reasons": Reason.choices,
            "cards": [_card(board, asked["reason"], may_decide) for board in shown],
            "found": len(found),
            "is_empty": not boards,
            "gaps": sum(len(board.open_gaps) for board in found),
            "page": page,
            "is_more": page * BOARDS_ON_A_PAGE < len(found),
            "before": _address(request, page - 1),
            "after": _address(request, page + 1),
        }
        return TemplateResponse(request, "audiobooks/admin/gaps.html", context)

    # --- one of them --------------------------------------------------------------------------------------------------

    def series_view(self, request: HttpRequest, key: int) -> HttpResponse:
        return self._one(request, SERIES, key)

    def author_view(self, request: HttpRequest, key: int) -> HttpResponse:
        return self._one(request, AUTHOR, key)

    def _one(self, request: HttpRequest, kind: str, key: int) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        may_follow = request.user.has_perm(FOLLOW)
        found: Any = MODELS[kind]._default_manager.select_related("follow", "listing").filter(pk=key).first()
        if found is None:
            raise Http404
        if request.method == "POST":
            if not may_follow:
                raise PermissionDenied
            form = FollowForm(kind, request.POST)
            is_rule = request.POST.get("scope") == RULE
            if is_rule or form.is_valid():
                perform(self, request, found, _back_to_rule(kind) if is_rule else _follow(kind, form))
                return HttpResponseRedirect(board_url(kind, key))
        else:
            form = FollowForm(kind, request.GET if "scope" in request.GET else None, initial=_initial(found))
        is_previewed = form.is_bound and form.is_valid()
        wanted = Follow(**form.values) if is_previewed else Follow(**_initial(found))
        both = preview(kind, key, wanted)
        if both is None:
            # It went between the two looks.
            raise Http404
        now, then = both
        listing: Listing | None = getattr(found, "listing", None)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Gaps of {found}",
            "opts": self.opts,
            "media": self.media,
            "row": found,
            "card": _card(now, "", request.user.has_perm(DECIDE), most=GAPS_ON_A_PAGE),
            "listing": listing,
            "form": form,
            "may_follow": may_follow,
            "told": _told(now, then) if is_previewed else "",
            "chosen": [(name, value) for name, value in form.data.items() if name in form.fields],
        }
        return TemplateResponse(request, "audiobooks/admin/gaps_of_one.html", context)


def board_url(kind: str, key: int) -> str:
    return reverse(f"admin:audiobooks_follow_{kind}", args=[key])


# --- what is chosen ---------------------------------------------------------------------------------------------------


def _initial(row: Any) -> dict[str, Any]:
    follow: Follow | None = getattr(row, "follow", None)
    if follow is None:
        return {"scope": Follow.Scope.GAPS, "since": timezone.localdate()}
    return {"scope": follow.scope, "from_number": follow.from_number, "since": follow.since}


def _follow(kind: str, form: FollowForm) -> Any:
    def verb(_: Any, request: HttpRequest, row: Any) -> str:
        both = preview(kind, row.pk, Follow(**form.values))
        Follow.objects.update_or_create(**{kind: row}, defaults={**form.values, "by": who(request)})
        if both is not None:
            before, after = ({gap.work for gap in board.open_gaps if gap.work is not None} for board in both)
            leave_out(before - after, kind)
        return f"Wanted of it: {Follow.Scope(form.values['scope']).label}."

    return verb


def _back_to_rule(kind: str) -> Any:
    def verb(_: Any, request: HttpRequest, row: Any) -> str:
        Follow.objects.filter(**{kind: row}).delete()
        return "The rule of settings holds for it again."

    return verb


def _told(now: Board, then: Board) -> str:
    """What a scope would change, before it is saved."""
    before, after = ({_identity(gap): gap for gap in board.open_gaps} for board in (now, then))
    added = [gap for key, gap in after.items() if key not in before]
    due = [gap for gap in added if gap.is_due]
    later = sum(gap.reason == Reason.NOT_RELEASED for gap in added)
    gone = len(before.keys() - after.keys())
    parts = [f"This adds {len(due)} now{_titles(due)}"]
    if later:
        parts.append(f"{later} that {'is' if later == 1 else 'are'} not released yet")
    if others := len(added) - len(due) - later:
        parts.append(f"{others} that {'is' if others == 1 else 'are'} not to be searched now")
    sentence = ", and ".join(parts) + "."
    return f"{sentence} It takes away {gone}." if gone else sentence


def _titles(gaps: Sequence[Gap]) -> str:
    if not gaps:
        return ""
    named = ", ".join(f"{gap.position} {gap.title}".strip() for gap in gaps[:TITLES_TOLD])
    return f" ({named}{', …' if len(gaps) > TITLES_TOLD else ''})"


def _identity(gap: Gap) -> tuple[int | None, str]:
    return gap.work, gap.position if gap.work is None else ""


# --- what is shown ----------------------------------------------------------------------------------------------------


def _filtered(boards: Sequence[Board], *, kind: str, show: str, reason: str, q: str) -> list[Board]:
    """By itself those with gaps."""
    words = [key_of(word) for word in q.split()[:WORDS_SEARCHED]]
    return [
        board
        for board in boards
        if (kind not in MODELS or board.kind == kind)
        and _has(board, show, reason)
        and (not words or _is_named(board, words))
    ]


def _has(board: Board, show: str, reason: str) -> bool:
    if reason in REASONS:
        return any(gap.reason == reason for gap in board.gaps)
    return show == "all" or any(gap.is_open for gap in board.gaps)


def _is_named(board: Board, words: Sequence[str]) -> bool:
    """The series or author, or one of its gaps."""
    texts = (board.name, *(gap.title for gap in board.gaps))
    return any(all(word in key for word in words) for key in map(_key_of, texts))


_key_of = lru_cache(65536)(key_of)
"""Each search asks for the same names and titles."""


def _card(board: Board, reason: str, may_decide: bool, most: int = GAPS_ON_A_CARD) -> Card:
    gaps = [gap for gap in board.gaps if reason not in REASONS or gap.reason == reason]
    rows = [row_of(gap, may_decide=may_decide) for gap in gaps[:most]]
    return Card(board, board_url(board.kind, board.key), rows, len(gaps) - len(rows))


def row_of(gap: Gap, *, may_decide: bool) -> Row:
    url = reverse("admin:audiobooks_work_change", args=[gap.work]) if gap.work else ""
    steps = steps_of(gap.work, gap.reason) if may_decide and gap.work else []
    return Row(gap, label(gap.reason.label, VARIANTS.get(gap.reason, "")), url, steps)


def steps_of(work: int, reason: Reason) -> list[tuple[str, str]]:
    """Address and text of what a person may do with a work that is not owned."""
    if reason in (Reason.IGNORED, Reason.HEARD):
        steps = [("take_back", "Take back")]
    elif reason in (Reason.IN_A_SET, Reason.NAMESAKE):
        steps = []
    else:
        steps = [("ignore", "Ignore"), ("heard", "Heard elsewhere")]
    return [(reverse(f"admin:audiobooks_work_{step}", args=[work]), text) for step, text in steps]


def _page_of(text: str, boards: int) -> int:
    last = max(1, -(-boards // BOARDS_ON_A_PAGE))
    return min(max(int(text), 1), last) if text.isascii() and text.isdecimal() and len(text) < 9 else 1


def _address(request: HttpRequest, page: int) -> str:
    query = request.GET.copy()
    query["p"] = str(page)
    return f"?{query.urlencode()}"
