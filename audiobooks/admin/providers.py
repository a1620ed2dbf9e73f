"""Metadata providers: which are on, how each fares, and a question put to one at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from audiobooks.display import shown
from audiobooks.facts import BookFacts, Contributor
from audiobooks.fields import FIELDS, offers_of
from audiobooks.http import Doorway, Patience
from audiobooks.metadata.registry import NEEDS, PROVIDERS, Asked, ask
from audiobooks.models import Host, ServiceState
from scheduling.display import label

from .base import LibraryAdmin

PERMISSION = "audiobooks.try_servicestate"
TRIED = Patience(connect=5, read=10, total=15, attempts=1, longest_pause=3)
"""A person waits for the page meanwhile."""
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


@dataclass(frozen=True)
class Row:
    name: str
    label: str
    state: SafeString
    order: int | None
    service: ServiceState | None
    hosts: list[Host]
    needs: str


@admin.register(ServiceState)
class ProvidersAdmin(LibraryAdmin):
    """Its list is the health of the providers; single rows have no page that anybody needs."""

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("", wrap(self.changelist_view), name="audiobooks_servicestate_changelist"),
            path("<slug:name>/try/", wrap(self.try_view), name="audiobooks_servicestate_try"),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return self._page(request, QuestionForm())

    def try_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Asks one provider, by POST, also one that is not turned on: it is a person's own question."""
        if not (self.has_view_permission(request) and request.user.has_perm(PERMISSION)):
            raise PermissionDenied
        if request.method != "POST" or name not in PROVIDERS:
            return HttpResponseRedirect(reverse("admin:audiobooks_servicestate_changelist"))
        form = QuestionForm(request.POST)
        asked = self._ask(name, form.wanted) if form.is_valid() else None
        return self._page(request, form, tried=name, asked=asked)

    @staticmethod
    def _ask(name: str, wanted: BookFacts) -> Asked:
        provider, doorway = PROVIDERS[name](), Doorway(patience=TRIED)
        found = ask(doorway, provider, "look_up", wanted)
        if found.found or found.error or not wanted.title:
            return found
        return ask(doorway, provider, "search", wanted)

    def _page(
        self, request: HttpRequest, form: QuestionForm, *, tried: str = "", asked: Asked | None = None
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": "Metadata providers",
            "opts": self.opts,
            "providers": _rows(),
            "form": form,
            "may_try": request.user.has_perm(PERMISSION),
            "tried": PROVIDERS[tried]().label if tried else "",
            "asked": asked,
            "records": [_told(facts) for facts in asked.found] if asked else [],
            "found": len(asked.found) if asked else 0,
            "media": self.media,
        }
        return TemplateResponse(request, "audiobooks/admin/providers.html", context)


def _rows() -> list[Row]:
    services = {state.name: state for state in ServiceState.objects.filter(name__in=PROVIDERS)}
    addresses = {address for name in PROVIDERS for address in _addresses(name)}
    hosts = {host.host: host for host in Host.objects.filter(host__in=addresses)}
    rows = []
    for name, make in PROVIDERS.items():
        on = name in settings.METADATA_PROVIDERS
        service = services.get(name)
        rows.append(
            Row(
                name=name,
                label=make().label,
                state=state_of(on=on, lacks="a key" if _lacks(name) else "", service=service),
                order=settings.METADATA_PROVIDERS.index(name) + 1 if on else None,
                service=service,
                hosts=[host for address, host in hosts.items() if address in _addresses(name)],
                needs=NEEDS.get(name, "") if _lacks(name) else "",
            )
        )
    return sorted(rows, key=lambda row: (row.order is None, row.order or 0))


def _lacks(name: str) -> bool:
    return name in NEEDS and not getattr(settings, NEEDS[name])


def state_of(*, on: bool, lacks: str, service: ServiceState | None) -> SafeString:
    if not on:
        return label("off", "")
    if lacks:
        return label(f"lacks {lacks}", "danger")
    if service is None:
        return label("not asked yet", "")
    if service.off_until is not None and service.off_until > timezone.now():
        return label("left alone", "danger")
    return label("failed last", "warning") if service.consecutive_failures else label("answers", "success")


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
