"""Doubtful matches: which books wait, and the candidates beside what is known of the book."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, Exists, Min, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from audiobooks import matches
from audiobooks.display import cover_of, label_of, shown, source_of
from audiobooks.facts import BookFacts
from audiobooks.fields import FIELDS, is_empty, is_same, offers_of, values_of
from audiobooks.models import Book, ProviderMatch, with_names
from scheduling.admin.posting import post_action, who
from scheduling.display import change_url, label, moment, two_lines

from .base import LibraryAdmin, LibraryList
from .books import LONG

CANDIDATES_SHOWN = 10
State = ProviderMatch.State
VARIANTS = {State.PROPOSED: "warning", State.AUTOMATIC: "info", State.ACCEPTED: "success", State.REJECTED: ""}
PERMISSION = "audiobooks.review_providermatch"


@dataclass(frozen=True)
class Cell:
    text: str
    differs: bool = False
    url: str = ""

    @property
    def is_long(self) -> bool:
        return len(self.text) > LONG


def comparison(book: Book, candidates: list[ProviderMatch]) -> list[tuple[str, Cell, list[Cell]]]:
    """Field, what is known here, and what each candidate says; fields of which nobody says anything are left out."""
    ours = values_of(book)
    theirs = [offers_of(BookFacts.from_json(match.facts), match.provider) for match in candidates]
    rows = []
    for name in FIELDS:
        said = [offers[name].value if name in offers else None for offers in theirs]
        if any(not is_empty(value) for value in (ours[name], *said)):
            cells = [_cell(name, ours[name], value) for value in said]
            rows.append((label_of(name), Cell(shown(name, ours[name])), cells))
    return rows


def _cell(name: str, ours: Any, theirs: Any) -> Cell:
    differs = not is_empty(ours) and not is_empty(theirs) and not is_same(name, ours, theirs)
    is_address = name == "cover_url" and isinstance(theirs, str) and theirs.startswith("https://")
    return Cell(shown(name, theirs), differs, theirs if is_address else "")


def evidence_of(match: ProviderMatch) -> list[str]:
    """What speaks against it, in words, the gravest first."""
    penalties = sorted(match.evidence.get("penalties", ()), key=lambda one: -one.get("share", 0) * one.get("weight", 0))
    vetoes = [veto if isinstance(veto, str) else veto.get("words", "") for veto in match.evidence.get("vetoes", ())]
    return [words for words in (*vetoes, *(one.get("words", "") for one in penalties if one.get("share"))) if words]


class ReviewList(LibraryList):
    """A row for each book that waits, each with `cover`, and `candidates` and `nearest` of its proposals."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        proposed = ProviderMatch.objects.filter(
            book__in=[row.book_id for row in self.result_list], state=State.PROPOSED
        )
        counts = proposed.order_by().values_list("book").annotate(Count("pk"), Min("distance"))
        counted = {book: (candidates, nearest) for book, candidates, nearest in counts}
        for row in self.result_list:
            row.candidates, row.nearest = counted.get(row.book_id, (0, 1.0))


@admin.register(ProviderMatch)
class ReviewAdmin(LibraryAdmin):
    """The list has the books that wait, each by the first of its proposals. A page is that of a match's book."""

    list_display = ["cover_column", "book_column", "candidates_column", "nearest_column", "waiting"]
    list_display_links = ["book_column"]
    ordering = ["pk"]
    sortable_by = ()
    change_form_template = "audiobooks/admin/review.html"
    fields = ["state"]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ReviewList]:
        return ReviewList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"title": "Matches to review", **(extra_context or {})})  # type: ignore[no-any-return]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProviderMatch]:
        found: QuerySet[ProviderMatch] = super().get_queryset(request).select_related("book")
        if request.resolver_match and request.resolver_match.url_name == "audiobooks_providermatch_changelist":
            return first_of_each_book(found).defer("facts", "evidence").prefetch_related("book__authorships__author")
        return found

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        steps = [
            path(
                f"<path:object_id>/{step.replace('_', '-')}/",
                wrap(getattr(self, f"{step}_view")),
                name=f"audiobooks_providermatch_{step}",
            )
            for step in ("accept", "reject", "none", "take_back")
        ]
        return [*steps, *super().get_urls()]

    # --- the list ----------------------------------------------------------------------------------------------------

    @admin.display(description="cover")
    def cover_column(self, match: ProviderMatch) -> SafeString:
        return cover_of(match.book, small=True)

    @admin.display(description="book")
    def book_column(self, match: ProviderMatch) -> SafeString:
        return two_lines(match.book.title, ", ".join(match.book.author_names))

    @admin.display(description="candidates")
    def candidates_column(self, match: Any) -> str:
        return str(match.candidates)

    @admin.display(description="nearest")
    def nearest_column(self, match: Any) -> str:
        return f"{1 - match.nearest:.0%} alike"

    @admin.display(description="waiting since")
    def waiting(self, match: ProviderMatch) -> SafeString | str:
        return moment(match.made_at)

    # --- one book ----------------------------------------------------------------------------------------------------

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        match: ProviderMatch = kwargs["obj"]
        book = with_names(Book.objects.all()).get(pk=match.book_id)
        candidates: list[Any] = list(book.matches.select_related("decided_by"))
        # Those that wait first.
        candidates = sorted(candidates, key=lambda one: one.state != State.PROPOSED)[:CANDIDATES_SHOWN]
        for one in candidates:
            one.source = source_of(one.provider)
            one.state_label = label(one.get_state_display(), VARIANTS.get(one.state, ""))
            one.alike = f"{1 - one.distance:.0%}"
            one.against = evidence_of(one)
            one.is_decided = one.state in ProviderMatch.DECIDED
        context.update(
            title=f"Which of these is {book}?",
            book=book,
            cover=cover_of(book, small=False),
            candidates=candidates,
            waiting=[one for one in candidates if one.state == State.PROPOSED],
            rows=comparison(book, candidates),
            next=next_waiting(match),
            may_review=request.user.has_perm(PERMISSION),
        )
        return super().render_change_form(request, context, *args, **kwargs)

    def accept_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._decide(request, object_id, _accept)

    def reject_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._decide(request, object_id, _reject)

    def none_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._decide(request, object_id, _none)

    @post_action(PERMISSION)
    def take_back_view(self, request: HttpRequest, match: ProviderMatch) -> str:
        matches.take_back(match)
        return "It waits for a decision again."

    def _decide(self, request: HttpRequest, object_id: str, verb: Any) -> HttpResponse:
        """Do it, then go on: with what else waits of this book, else with the next book."""
        response = post_action(PERMISSION)(verb)(self, request, object_id)
        if not isinstance(response, HttpResponseRedirect) or not self.has_view_permission(request):
            return response
        match = self.get_object(request, object_id)
        assert match is not None
        rest = ProviderMatch.objects.filter(book=match.book_id, state=State.PROPOSED).first() or next_waiting(match)
        if rest is not None:
            return HttpResponseRedirect(change_url(rest))
        messages.info(request, "Nothing else waits to be reviewed.")
        return HttpResponseRedirect(reverse("admin:audiobooks_providermatch_changelist"))


def _accept(_: Any, request: HttpRequest, match: ProviderMatch) -> str:
    return f"Accepted for {match.book}.{_taken_back(*matches.accept(match, who(request)), of='another record')}"


def _reject(_: Any, request: HttpRequest, match: ProviderMatch) -> str:
    return f"Rejected for {match.book}.{_taken_back(*matches.reject(match, who(request)))}"


def _none(_: Any, request: HttpRequest, match: ProviderMatch) -> str:
    seen = set(request.POST.getlist("seen"))
    number, put_back, stay = matches.reject_all(match.book, seen, who(request))
    return f"Rejected for {match.book}: {number}.{_taken_back(put_back, stay)}"


def _taken_back(put_back: list[str], stay: list[str], *, of: str = "it") -> str:
    told = f" What {of} had written was taken back: {', '.join(map(label_of, put_back))}." if put_back else ""
    if stay:
        told += f" Nothing tells what stood there before, so this stays: {', '.join(map(label_of, stay))}."
    return told


def first_of_each_book(found: QuerySet[ProviderMatch]) -> QuerySet[ProviderMatch]:
    earlier = ProviderMatch.objects.filter(book=OuterRef("book"), state=State.PROPOSED, pk__lt=OuterRef("pk"))
    return found.filter(~Exists(earlier), state=State.PROPOSED)


def next_waiting(match: ProviderMatch) -> ProviderMatch | None:
    """Of another book: the next in the list, from its beginning behind its end."""
    waiting = first_of_each_book(ProviderMatch.objects.exclude(book=match.book_id)).order_by("pk")
    return waiting.filter(pk__gt=match.pk).first() or waiting.first()
