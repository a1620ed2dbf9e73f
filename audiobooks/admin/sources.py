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
from django.template.defaultfilters import filesizeformat
from django.utils.safestring import SafeString

from audiobooks.display import shown
from audiobooks.facts import BookFacts, Contributor
from audiobooks.fields import offers_of
from audiobooks.http import Doorway
from audiobooks.models import Crawl, Host, ServiceState, SourceSession
from audiobooks.sources import registry
from audiobooks.sources.base import Release
from scheduling.display import label

from .services import TRIED, Answer, Row, ServicesAdmin, state_of

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


@dataclass(frozen=True, kw_only=True)
class SourceRow(Row):
    crawl: Crawl | None
    session: SourceSession | None

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
class SourcesAdmin(ServicesAdmin):
    page_title = "Sources"
    template = "audiobooks/admin/sources.html"
    try_permission = "audiobooks.try_crawl"
    question = SearchForm

    def names(self) -> list[str]:
        return registry.names()

    def label_of(self, name: str) -> str:
        return registry.source(name).label

    def ask(self, name: str, form: SearchForm) -> Answer:
        source = registry.source(name)
        search = partial(source.search, wanted=form.wanted, limit=SHOWN_RELEASES)
        outcome = registry.ask(Doorway(patience=TRIED), source, search)
        return Answer(found=[_told(release) for release in outcome.answer or ()], error=outcome.error)

    def context(self) -> dict[str, Any]:
        return {"most_pages": settings.CRAWL_PAGES}

    def rows(self) -> list[SourceRow]:
        names, on = registry.names(), registry.turned_on()
        states = ServiceState.objects.filter(name__in=map(registry.state_name, names))
        services = {state.name: state for state in states}
        crawls = {crawl.source: crawl for crawl in Crawl.objects.filter(source__in=names)}
        kept = SourceSession.objects.filter(source__in=names).defer("current")
        sessions = {session.source: session for session in kept}
        addresses = {name: _host_of(registry.address_of(name)) for name in names}
        hosts = list(Host.objects.filter(host__in=addresses.values()))
        rows = []
        for name in names:
            service, is_on, lacks = (
                services.get(registry.state_name(name)),
                name in on,
                not registry.is_configured(name),
            )
            rows.append(
                SourceRow(
                    name=name,
                    label=self.label_of(name),
                    state=state_of(on=is_on, lacks="a session" if lacks else "", service=service),
                    order=on.index(name) + 1 if is_on else None,
                    lacks="MAM_SESSION" if lacks else "",
                    service=service,
                    hosts=[host for host in hosts if host.host == addresses[name]],
                    crawl=crawls.get(name),
                    session=sessions.get(name),
                )
            )
        return rows


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
