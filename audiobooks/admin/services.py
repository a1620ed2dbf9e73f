"""What the pages of providers and of sources share: how each fares, and a question put to one at once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from audiobooks.http import Patience
from audiobooks.models import Host, ServiceState
from scheduling.display import label

from .base import LibraryAdmin

TRIED = Patience(connect=5, read=10, total=15, attempts=1, longest_pause=3)
"""A person waits for the page meanwhile."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """order: in which it is asked, None where it is off. lacks: the setting without which nobody answers."""

    name: str
    label: str
    state: SafeString
    order: int | None
    lacks: str
    service: ServiceState | None
    hosts: Sequence[Host]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a question came to: of each that was found its names and values. reason: why there is none, where it is told."""

    found: Sequence[Sequence[tuple[str, str]]]
    error: Exception | None
    reason: str = ""

    @property
    def count(self) -> int:
        return len(self.found)


class ServicesAdmin(LibraryAdmin):
    """Its list is the health of the services; single rows have no page that anybody needs."""

    page_title: str
    template: str
    try_permission: str
    question: type[forms.Form]

    @abstractmethod
    def names(self) -> Collection[str]:
        """Of all that can be asked, also of those that are not turned on."""

    @abstractmethod
    def label_of(self, name: str) -> str: ...

    @abstractmethod
    def rows(self) -> Sequence[Row]: ...

    @abstractmethod
    def ask(self, name: str, form: Any) -> Answer: ...

    def get_urls(self) -> list[URLPattern]:
        wrap, name = self.admin_site.admin_view, f"{self.opts.app_label}_{self.opts.model_name}"
        return [
            path("", wrap(self.changelist_view), name=f"{name}_changelist"),
            path("<slug:name>/try/", wrap(self.try_view), name=f"{name}_try"),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return self._page(request, self.question())

    def try_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Asks one, by POST, also one that is not turned on: it is a person's own question."""
        if not (self.has_view_permission(request) and request.user.has_perm(self.try_permission)):
            raise PermissionDenied
        if request.method != "POST" or name not in self.names():
            return HttpResponseRedirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"))
        form = self.question(request.POST)
        return self._page(
            request, form, tried=self.label_of(name), answer=self.ask(name, form) if form.is_valid() else None
        )

    def context(self) -> dict[str, Any]:
        """What the page of one kind needs besides."""
        return {}

    def _page(
        self, request: HttpRequest, form: forms.Form, *, tried: str = "", answer: Answer | None = None
    ) -> HttpResponse:
        rows = sorted(self.rows(), key=lambda row: (row.order is None, row.order or 0))
        context = {
            **self.admin_site.each_context(request),
            **self.context(),
            "title": self.page_title,
            "opts": self.opts,
            "rows": [
                (row, reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_try", args=[row.name]))
                for row in rows
            ],
            "form": form,
            "may_try": request.user.has_perm(self.try_permission),
            "tried": tried,
            "answer": answer,
            "media": self.media,
        }
        return TemplateResponse(request, self.template, context)


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
