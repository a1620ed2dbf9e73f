"""What the pages share: a view that only takes POST, asks for a permission, and says how it went."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, models, transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from unfold.admin import ModelAdmin

from scheduling.display import change_url
from scheduling.exceptions import SchedulingError
from scheduling.models import Task
from scheduling.triggers import TriggerError

logger = logging.getLogger(__name__)

Verb = Callable[[Any, HttpRequest, Any], str | Task]
"""Does it and returns the sentence that is shown and kept in the history; or the Task that it queued."""
MOST_AT_ONCE = 100
"""Rows that one action in bulk takes; more than a page holds."""
TOLD_ONE_BY_ONE = 5
"""Of an action in bulk; of more, the sum is told."""


class SchedulingAdmin(ModelAdmin):  # type: ignore[misc]
    """A ModelAdmin whose pages say that no scheduler is alive, or that everything is paused."""

    list_per_page = 50
    linked_lookups: Sequence[str] = ()
    """What links of ours ask a list for, beside its filters."""
    change_list_template = "scheduling/admin/change_list.html"
    change_form_template = "scheduling/admin/change_form.html"

    class Media:
        css = {"all": ["scheduling/admin.css"]}

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Django lets an address ask for any field, by which what pages blank out is guessed letter by letter."""
        filters = (one[0] if isinstance(one, list | tuple) else one for one in self.get_list_filter(request))
        names = {getattr(one, "parameter_name", one) for one in filters}
        asked = {f"{name}{kind}" for name in names for kind in ("", "__exact", "__id__exact", "__isnull", "__isempty")}
        return lookup in asked or lookup in self.linked_lookups


class ReadOnly:
    """For rows that the machine writes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def post_action(permission: str) -> Callable[[Verb], Callable[..., HttpResponse]]:
    """A view method of a ModelAdmin for one row."""

    def decorate(verb: Verb) -> Callable[..., HttpResponse]:
        @wraps(verb)
        def view(self: Any, request: HttpRequest, object_id: str) -> HttpResponse:
            if not request.user.has_perm(permission):
                raise PermissionDenied
            row = self.get_object(request, unquote(object_id))
            if row is None:
                raise Http404
            if request.method != "POST":
                may_look = self.has_view_or_change_permission(request, row)
                return nothing_done(request, change_url(row) if may_look else reverse("admin:index"))
            perform(self, request, row, verb)
            return HttpResponseRedirect(_back(self, request, row))

        return view

    return decorate


def nothing_done(request: HttpRequest, url: str) -> HttpResponse:
    """The answer to GET: who pressed a button after the session had ended is sent here by the sign-in."""
    messages.warning(request, "Nothing was done yet. Press the button again.")
    return HttpResponseRedirect(url)


def who(request: HttpRequest) -> User:
    """The person, who is signed in on every page of the admin."""
    assert isinstance(request.user, User)
    return request.user


def perform(model_admin: Any, request: HttpRequest, row: models.Model, verb: Verb) -> bool:
    """Do it together with its line in the row's history. False: it was refused, and the person was told why."""
    is_done, told = _tried(model_admin, request, row, verb)
    (messages.success if is_done else messages.error)(request, told)
    return is_done


def _tried(model_admin: Any, request: HttpRequest, row: models.Model, verb: Verb) -> tuple[bool, str]:
    """Whether it was done, and what the person is told."""
    try:
        with transaction.atomic():
            done = verb(model_admin, request, row)
            sentence = f"Queued Task {done.pk}." if isinstance(done, Task) else done
            model_admin.log_change(request, row, sentence)
    except (SchedulingError, TriggerError) as error:
        return False, f"{row}: {error}"
    except ValidationError as error:
        return False, f"{row}: {' '.join(error.messages)}"
    except IntegrityError as error:
        # What it refers to was there when it began. Only the first line: the others quote rows.
        logger.warning("%s was left as it was: %s", row, str(error).strip().partition("\n")[0])
        return (
            False,
            f"{row}: somebody else changed what belongs to it at the same moment; nothing was done. Try again.",
        )
    if isinstance(done, Task):
        url = change_url(done)
        return True, format_html('{}: queued <a href="{}" class="underline">Task {}</a>.', row, url, done.pk)
    return True, f"{row}: {sentence}"


def perform_each(model_admin: Any, request: HttpRequest, rows: QuerySet[Any], verb: Verb) -> None:
    """Each by itself: one that is refused does not keep the others from it."""
    chosen = list(rows[: MOST_AT_ONCE + 1])
    if are_too_many(model_admin, request, len(chosen)):
        return
    kind = f"{model_admin.opts.object_name}s"
    tried = [_tried(model_admin, request, row, verb) for row in chosen]
    done, refused = ([told for is_done, told in tried if is_done == wanted] for wanted in (True, False))
    if len(done) > TOLD_ONE_BY_ONE:
        done = [f"Done for {len(done)} of {len(tried)} {kind}."]
    if (more := len(refused) - TOLD_ONE_BY_ONE) > 0:
        refused[TOLD_ONE_BY_ONE:] = [f"Refused as well: {more} more {kind}."]
    for sentence in done:
        messages.success(request, sentence)
    for sentence in refused:
        messages.error(request, sentence)


def are_too_many(model_admin: Any, request: HttpRequest, number: int) -> bool:
    """Whether these are more rows than an action in bulk takes, which the person is told then."""
    if number <= MOST_AT_ONCE:
        return False
    kind = f"{model_admin.opts.object_name}s"
    messages.error(request, f"These are more than {MOST_AT_ONCE} {kind}, the most at once; nothing was done.")
    return True


def _back(model_admin: Any, request: HttpRequest, row: models.Model) -> str:
    """Where the person was: the list with its filters, or the row's page."""
    may_look = model_admin.has_view_or_change_permission(request, row)
    return where_from(request, otherwise=change_url(row)) if may_look else reverse("admin:index")


def where_from(request: HttpRequest, *, otherwise: str) -> str:
    """The page of ours that the person came from."""
    came_from = request.headers.get("Referer", "")
    if url_has_allowed_host_and_scheme(
        came_from, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        return came_from
    return otherwise
