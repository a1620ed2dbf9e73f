"""Authors, narrators, series and genres: their books and other names; merged, parted and renamed, with a way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from audiobooks import genres
from audiobooks.display import cover_of
from audiobooks.library.albums import key_of
from audiobooks.matching.positions import gaps
from audiobooks.merging import KINDS, add_alias, merge, rename, split, undo_merge
from audiobooks.models import Author, Book, Chart, Genre, Merge, Narrator, Series
from audiobooks.sources import registry
from audiobooks.sources.base import Source
from scheduling.admin.posting import post_action, who
from scheduling.display import NOTHING, label
from scheduling.exceptions import NotAllowedNow

from .base import LibraryAdmin, LibraryList
from .gaps import MODELS as BOARDS
from .gaps import board_url

BOOKS_SHOWN = 100
OTHERS_SHOWN = 20
MERGES_SHOWN = 20


def with_counts(kind: str, rows: list[Any]) -> list[Any]:
    """Each with `books_in_all` and `other_names`; two queries."""
    own = KINDS[kind]
    pks = [row.pk for row in rows]
    counts = dict(own.links(*pks).order_by().values_list(own.column).annotate(Count("pk")))
    names: dict[int, list[str]] = {}
    for of, name in own.alias._default_manager.filter(of__in=pks).values_list("of", "name"):
        names.setdefault(of, []).append(name)
    for row in rows:
        row.books_in_all, row.other_names = counts.get(row.pk, 0), names.get(row.pk, [])
    return rows


def named_like(kind: str, text: str) -> Any:
    """Rows of which the name, or another name, has each word of the text."""
    own = KINDS[kind]
    rows = own.model._default_manager.all()
    for word in text.split()[:6]:
        key = key_of(word)
        rows = rows.filter(
            Q(key__contains=key) | Q(pk__in=own.alias._default_manager.filter(key__contains=key).values("of"))
        )
    return rows


class NamedList(LibraryList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        with_counts(self.opts.model_name, self.result_list)


class NamedAdmin(LibraryAdmin):
    list_display = ["name_column", "books_column", "aliases_column"]
    search_fields = ["name"]
    search_help_text = "a name, or another name"
    ordering = ["name"]
    sortable_by = ()
    change_form_template = "audiobooks/admin/named.html"
    fields = ["name"]
    steps: tuple[str, ...] = ("merge", "undo_merge", "alias", "split", "rename")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[LibraryList]:
        return NamedList

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        return (
            queryset.filter(pk__in=named_like(self.kind, search_term).values("pk")) if search_term else queryset
        ), False

    def get_urls(self) -> list[URLPattern]:
        steps = [
            path(
                f"<path:object_id>/{step.replace('_', '-')}/",
                self.admin_site.admin_view(getattr(self, f"{step}_view")),
                name=f"audiobooks_{self.kind}_{step}",
            )
            for step in self.steps
        ]
        return [*steps, *super().get_urls()]

    @property
    def kind(self) -> str:
        return str(self.opts.model_name)

    # --- the list ----------------------------------------------------------------------------------------------------

    @admin.display(description="name")
    def name_column(self, row: Any) -> SafeString:
        return format_html('<bdi class="scheduling-wrap">{}</bdi>', row.name)

    @admin.display(description="books")
    def books_column(self, row: Any) -> str:
        return f"{row.books_in_all:,}"

    @admin.display(description="other names")
    def aliases_column(self, row: Any) -> SafeString | str:
        names = format_html_join(", ", "<bdi>{}</bdi>", ((name,) for name in row.other_names))
        return format_html('<span class="scheduling-wrap">{}</span>', names) if names else NOTHING

    # --- one row -----------------------------------------------------------------------------------------------------

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        row: Any = kwargs["obj"]
        may_change = request.user.has_perm(f"audiobooks.change_{self.kind}")
        asked = request.GET.get("merge", "").strip()[:255]
        links = list(_links(self.kind, row)[: BOOKS_SHOWN + 1])
        with_counts(self.kind, [row])
        context.update(
            title=row.name,
            row=row,
            kind=self.kind,
            aliases=list(row.aliases.all()),
            places=_places(links[:BOOKS_SHOWN], is_series=self.kind == "series"),
            is_series=self.kind == "series",
            is_more=len(links) > BOOKS_SHOWN,
            all_books=reverse("admin:audiobooks_book_changelist", query={f"{FIELDS[self.kind]}__id__exact": row.pk}),
            gaps_url=board_url(self.kind, row.pk) if self.kind in BOARDS else "",
            may_change=may_change,
            asked=asked,
            others=_others(self.kind, row, asked) if may_change else [],
            merges=list(Merge.objects.filter(kind=self.kind, kept=row.pk).select_related("by")[:MERGES_SHOWN]),
            urls={step: reverse(f"admin:audiobooks_{self.kind}_{step}", args=[row.pk]) for step in self.steps},
        )
        return super().render_change_form(request, context, *args, **kwargs)

    def _step(self, request: HttpRequest, object_id: str, verb: Any) -> HttpResponse:
        view = post_action(f"audiobooks.change_{self.kind}")(verb)
        return view(self, request, object_id)

    def merge_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def verb(_: Any, request: HttpRequest, row: Any) -> str:
            done = merge(self.kind, row.pk, _number(request.POST.get("gone")), by=who(request))
            return f"{done.name} is another name of it now; books that were its own: {len(done.links)}."

        return self._step(request, object_id, verb)

    def undo_merge_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def verb(_: Any, request: HttpRequest, row: Any) -> str:
            done = Merge.objects.filter(kind=self.kind, pk=_number(request.POST.get("merge"))).first()
            if done is None:
                raise NotAllowedNow("There is no such merge.")
            return f"{undo_merge(done)} is one of its own again."

        return self._step(request, object_id, verb)

    def split_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def verb(_: Any, request: HttpRequest, row: Any) -> str:
            return f"{split(self.kind, _number(request.POST.get('alias')))} is one of its own now."

        return self._step(request, object_id, verb)

    def alias_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def verb(_: Any, request: HttpRequest, row: Any) -> str:
            add_alias(self.kind, row.pk, name := request.POST.get("name", ""))
            return f"Sources that say {name.strip()} mean it."

        return self._step(request, object_id, verb)

    def rename_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def verb(_: Any, request: HttpRequest, row: Any) -> str:
            rename(self.kind, row.pk, name := request.POST.get("name", ""))
            return f"Its name is {name.strip()} now."

        return self._step(request, object_id, verb)


def _nowhere(usual: genres.Usual, sources: Sequence[Source]) -> str:
    """Labels of the sources that have no such genre."""
    return ", ".join(one.label for one in sources if one.name in genres.KNOWN_NAMES and not usual.at(one.name))


FIELDS = {"author": "authors", "narrator": "narrators", "series": "series_entries__series", "genre": "genres"}
"""Kind -> the way to it from a book."""


def _number(text: str | None) -> int:
    """Raises:
    NotAllowedNow: it is none.
    """
    if not text or not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise NotAllowedNow("Choose one.")
    return int(text)


def _links(kind: str, row: Any) -> Any:
    own = KINDS[kind]
    order = ["order", "position", "book__title"] if kind == "series" else ["book__title", "book"]
    return own.links(row.pk).select_related("book").order_by(*order)


def _places(links: list[Any], *, is_series: bool) -> list[dict[str, Any]]:
    """Rows of the table of books; of a series also the gaps, each before the first book behind it."""
    missing = gaps(link.position for link in links) if is_series else []
    rows: list[dict[str, Any]] = []
    for link in links:
        order = getattr(link, "order", None)
        while missing and order is not None and missing[0][0] < order:
            rows.append({"gap": _in_words(missing.pop(0))})
        book: Book = link.book
        rows.append({"book": book, "cover": cover_of(book, small=True), "position": getattr(link, "position", "")})
    return rows


def _in_words(gap: tuple[int, int]) -> str:
    first, last = gap
    return str(first) if first == last else f"{first}–{last}"


def _others(kind: str, row: Any, asked: str) -> list[Any]:
    """What it may be merged with: what was searched for, else those that share the longest word of its name."""
    text = asked or max(row.name.split(), key=lambda word: len(key_of(word)), default="")
    return with_counts(kind, list(named_like(kind, text).exclude(pk=row.pk).order_by("name")[:OTHERS_SHOWN]))


@admin.register(Author, Narrator, Series)
class PlainNamedAdmin(NamedAdmin):
    pass


@admin.register(Genre)
class GenreAdmin(NamedAdmin):
    list_display = ["name_column", "books_column", "aliases_column", "enabled_column", "switch_column"]
    list_filter = ["enabled"]
    steps = (*NamedAdmin.steps, "switch")
    change_list_template = "audiobooks/admin/genre_list.html"

    class Media:
        css = {"all": ["audiobooks/charts.css"]}

    def get_urls(self) -> list[URLPattern]:
        choose = path("choose/", self.admin_site.admin_view(self.choose_view), name="audiobooks_genre_choose")
        return [choose, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("aliases")

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        genre: Genre = kwargs["obj"]
        context.update(
            has_charts=Chart.objects.filter(genre=genre).exists(),
            sources=[
                {
                    "name": source.name,
                    "label": source.label,
                    "names": genres.names_at(source.name, genre),
                    "known": genres.KNOWN_NAMES.get(source.name, ()),
                }
                for source in registry.sources()
            ],
        )
        return super().render_change_form(request, context, *args, **kwargs)

    def choose_view(self, request: HttpRequest) -> HttpResponse:
        """The usual genres, each to be ticked."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        may_change = request.user.has_perm("audiobooks.change_genre")
        if request.method == "POST":
            if not may_change:
                raise PermissionDenied
            genres.choose(request.POST.getlist("genre"))
            looked_at = Genre.objects.filter(enabled=True).count()
            messages.success(request, f"The weekly top 10 looks at {looked_at} genre{'' if looked_at == 1 else 's'}.")
            return HttpResponseRedirect(reverse("admin:audiobooks_genre_choose"))
        chosen, sources = genres.chosen(), registry.sources()
        context = {
            **self.admin_site.each_context(request),
            "title": "Choose genres",
            "opts": self.opts,
            "media": self.media,
            "sources": ", ".join(source.label for source in sources) or "none",
            "may_change": may_change,
            "rows": [
                {"name": usual.name, "is_chosen": usual.name in chosen, "nowhere": _nowhere(usual, sources)}
                for usual in genres.USUAL
            ],
        }
        return TemplateResponse(request, "audiobooks/admin/genres.html", context)

    def get_list_display(self, request: HttpRequest) -> list[str]:
        shown = list(self.list_display)
        return shown if request.user.has_perm("audiobooks.change_genre") else shown[:-1]

    @admin.display(description="top 10")
    def enabled_column(self, genre: Genre) -> SafeString:
        return label("looked at", "success") if genre.enabled else label("left out", "")

    @admin.display(description="switch")
    def switch_column(self, genre: Genre) -> SafeString:
        # A button of the list's own form, which carries the CSRF token.
        return render_to_string("audiobooks/admin/switch_button.html", {"genre": genre})

    @post_action("audiobooks.change_genre")
    def switch_view(self, request: HttpRequest, genre: Genre) -> str:
        # What is wanted is said, so that two presses are no switch forth and back.
        genre.enabled = request.POST.get("switch") == "on" if "switch" in request.POST else not genre.enabled
        genre.save(update_fields=["enabled"])
        return "The weekly top 10 looks at it." if genre.enabled else "The weekly top 10 leaves it out."
