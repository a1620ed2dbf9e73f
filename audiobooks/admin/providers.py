"""Metadata providers: which are on, how each fares, and a question put to one at once."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.contrib import admin

from audiobooks.display import shown
from audiobooks.facts import BookFacts, Contributor
from audiobooks.fields import FIELDS, offers_of
from audiobooks.http import Doorway
from audiobooks.metadata.registry import NEEDS, PROVIDERS, ask
from audiobooks.models import Host, ServiceState

from .services import TRIED, Answer, Row, ServicesAdmin, state_of

_TOLD = ("title", "subtitle", "authors", "narrators", "series", "released", "runtime", "language", "asin", "isbn")


class QuestionForm(forms.Form):
    """What to ask: an identifier, or a title and an author."""

    title = forms.CharField(required=False, max_length=255, widget=forms.TextInput(attrs={"class": "scheduling-input"}))
    author = forms.CharField(
        required=False, max_length=255, widget=forms.TextInput(attrs={"class": "scheduling-input"})
    )
    asin = forms.RegexField(
        r"^[0-9A-Za-z]{10}$",
        label="ASIN",
        required=False,
        widget=forms.TextInput(attrs={"class": "scheduling-input"}),
        error_messages={"invalid": "An ASIN has ten letters and digits."},
    )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not self.errors and not (data.get("title") or data.get("asin")):
            raise forms.ValidationError("Write a title or an ASIN.")
        return data

    @property
    def wanted(self) -> BookFacts:
        data = self.cleaned_data
        authors = (Contributor(name=data["author"]),) if data["author"] else ()
        return BookFacts(title=data["title"], authors=authors, asin=data["asin"].upper())


@admin.register(ServiceState)
class ProvidersAdmin(ServicesAdmin):
    page_title = "Metadata providers"
    template = "audiobooks/admin/providers.html"
    try_permission = "audiobooks.try_servicestate"
    question = QuestionForm

    def names(self) -> Collection[str]:
        return PROVIDERS

    def label_of(self, name: str) -> str:
        return PROVIDERS[name]().label

    def ask(self, name: str, form: QuestionForm) -> Answer:
        provider, doorway = PROVIDERS[name](), Doorway(patience=TRIED)
        asked = ask(doorway, provider, "look_up", form.wanted)
        if not (asked.found or asked.error) and form.wanted.title:
            asked = ask(doorway, provider, "search", form.wanted)
        return Answer(found=[_told(facts) for facts in asked.found], error=asked.error, reason=asked.reason)

    def rows(self) -> list[Row]:
        services = {state.name: state for state in ServiceState.objects.filter(name__in=PROVIDERS)}
        addresses = {address for name in PROVIDERS for address in _addresses(name)}
        hosts = list(Host.objects.filter(host__in=addresses))
        rows = []
        for name in PROVIDERS:
            on, service = name in settings.METADATA_PROVIDERS, services.get(name)
            rows.append(
                Row(
                    name=name,
                    label=self.label_of(name),
                    state=state_of(on=on, lacks="a key" if _lacks(name) else "", service=service),
                    order=settings.METADATA_PROVIDERS.index(name) + 1 if on else None,
                    lacks=NEEDS[name] if _lacks(name) else "",
                    service=service,
                    hosts=[host for host in hosts if host.host in _addresses(name)],
                )
            )
        return rows


def _lacks(name: str) -> bool:
    return name in NEEDS and not getattr(settings, NEEDS[name])


def _addresses(name: str) -> set[str]:
    settings_of = {
        "audnexus": (settings.AUDNEXUS_URL, settings.AUDIBLE_URL),
        "open_library": (settings.OPEN_LIBRARY_URL,),
        "librivox": (settings.LIBRIVOX_URL,),
        "google_books": (settings.GOOGLE_BOOKS_URL,),
        "hardcover": (settings.HARDCOVER_URL,),
    }
    return {urlsplit(url).netloc for url in settings_of[name]}


def _told(facts: BookFacts) -> list[tuple[str, str]]:
    offers = offers_of(facts, facts.source)
    return [(name, shown(name, offers[name].value)) for name in FIELDS if name in _TOLD and name in offers]
