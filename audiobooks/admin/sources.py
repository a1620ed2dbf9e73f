"""Sources: which are on, how each fares, how far its crawl is, and a question put to one at once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from audiobooks.display import shown
from audiobooks.facts import BookFacts, Contributor
from audiobooks.fields import offers_of
from audiobooks.http import Doorway
from audiobooks.models import Crawl, Host, ServiceState, SourceSession
from audiobooks.services import Outcome
from audiobooks.sources import registry
from audiobooks.sources.base import Release
from scheduling.display import label

from .base import LibraryAdmin
from .providers import TRIED, state_of

PERMISSION = "audiobooks.try_crawl"
SHOWN_RELEASES = 10
_OF_ACCOUNT = {"grade": "class", "unsatisfied_limit": "unsatisfied at most"}
_TOLD = ("title", "authors", "narrators", "series", "language")


class SearchForm(forms.Form):
    """What to search for."""

    title = forms.CharField(
        max_length=255,
        widget=forms.TextInput(attrs={"class": "scheduling-input"}),
        error_messages={"required": "Write a title."},
    )
    author = forms.CharField(
        required=False, max_length=255, widget=forms.TextInput(attrs={"class": "scheduling-input"})
    )

    @property
    def wanted(self) -> BookFacts:
        author = self.cleaned_data["author"]
        return BookFacts(
            title=self.cleaned_data["title"], authors=(Contributor(name=author),) if author else (), is_audio=True
        )


@dataclass(frozen=True)
class Row:
    name: str
    label: str
    state: SafeString
    order: int | None
    lacks: str
    service: ServiceState | None
    crawl: Crawl | None
    session: SourceSession | None
    host: Host | None

    @property
    def account(self) -> list[tuple[str, str]]:
        account = self.crawl.account if self.crawl else {}
        return [(_OF_ACCOUNT.get(name, name), _in_words(name, value)) for name, value in account.items()]

    @property
    def drift(self) -> SafeString | str:
        return label("reads less than usual", "warning") if self.crawl and self.crawl.drift else ""

    @property
    def sample(self) -> str:
        sample = self.crawl.drift.get("sample") if self.crawl else None
        return json.dumps(sample, indent=2, ensure_ascii=False, sort_keys=True) if sample else ""


@admin.register(Crawl)
class SourcesAdmin(LibraryAdmin):
    """Its list is the health of the sources; single rows have no page that anybody needs."""

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("", wrap(self.changelist_view), name="audiobooks_crawl_changelist"),
            path("<slug:name>/try/", wrap(self.try_view), name="audiobooks_crawl_try"),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return self._page(request, SearchForm())

    def try_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Searches one source, by POST, also one that is not turned on: it is a person's own question."""
        if not (self.has_view_permission(request) and request.user.has_perm(PERMISSION)):
            raise PermissionDenied
        if request.method != "POST" or name not in registry.names():
            return HttpResponseRedirect(reverse("admin:audiobooks_crawl_changelist"))
        form, source = SearchForm(request.POST), registry.source(name)
        outcome = None
        if form.is_valid():
            search = partial(source.search, wanted=form.wanted, limit=SHOWN_RELEASES)
            outcome = registry.ask(Doorway(patience=TRIED), source, search)
        return self._page(request, form, tried=source.label, outcome=outcome)

    def _page(
        self,
        request: HttpRequest,
        form: SearchForm,
        *,
        tried: str = "",
        outcome: Outcome[tuple[Release, ...]] | None = None,
    ) -> HttpResponse:
        found = outcome.answer or () if outcome else ()
        context = {
            **self.admin_site.each_context(request),
            "title": "Sources",
            "opts": self.opts,
            "sources": _rows(),
            "most_pages": settings.CRAWL_PAGES,
            "form": form,
            "may_try": request.user.has_perm(PERMISSION),
            "tried": tried,
            "outcome": outcome,
            "found": len(found),
            "releases": [_told(release) for release in found],
            "media": self.media,
        }
        return TemplateResponse(request, "audiobooks/admin/sources.html", context)


def _rows() -> list[Row]:
    names, on = registry.names(), registry.turned_on()
    services = {state.name: state for state in ServiceState.objects.filter(name__in=map(registry.state_name, names))}
    crawls = {crawl.source: crawl for crawl in Crawl.objects.filter(source__in=names)}
    sessions = {session.source: session for session in SourceSession.objects.filter(source__in=names).defer("current")}
    addresses = {name: _host_of(registry.address_of(name)) for name in names}
    hosts = {host.host: host for host in Host.objects.filter(host__in=addresses.values())}
    rows = []
    for name in names:
        service, is_on, lacks = services.get(registry.state_name(name)), name in on, not registry.is_configured(name)
        rows.append(
            Row(
                name=name,
                label=registry.source(name).label,
                state=state_of(on=is_on, lacks="a session" if lacks else "", service=service),
                order=on.index(name) + 1 if is_on else None,
                lacks="MAM_SESSION" if lacks else "",
                service=service,
                crawl=crawls.get(name),
                session=sessions.get(name),
                host=hosts.get(addresses[name]),
            )
        )
    return sorted(rows, key=lambda row: (row.order is None, row.order or 0))


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower()
    except ValueError:
        # A check says so.
        return ""


def _in_words(name: str, value: Any) -> str:
    if name in ("uploaded", "downloaded"):
        return str(filesizeformat(value))
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def _told(release: Release) -> list[tuple[str, str]]:
    offers = offers_of(release.facts, release.source)
    told = [("name", release.name), *((name, shown(name, offers[name].value)) for name in _TOLD if name in offers)]
    numbers = [("seeders", release.seeders), ("fetched", release.fetched)]
    told += [("formats", ", ".join(release.formats)), ("size", filesizeformat(release.size) if release.size else "")]
    told += [(name, f"{value:,}") for name, value in numbers if value is not None]
    return [(name, value) for name, value in told if value]
