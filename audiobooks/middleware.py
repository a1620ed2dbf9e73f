"""What every request passes."""

from collections.abc import Callable
from ipaddress import ip_address

from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, QueryDict

Next = Callable[[HttpRequest], HttpResponse]


def refuse_nul(next_one: Next) -> Next:
    """PostgreSQL takes no NUL in a text, and Django passes one that is sent on to it, which ends as an error page."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if "\0" in request.path or _has_nul(request.GET):
            return HttpResponseBadRequest("A NUL character can stand in no address.")
        # Of a POST the fields; files that are sent are not among them.
        if _has_nul(request.POST):
            return HttpResponseBadRequest("A NUL character can stand in no field.")
        return next_one(request)

    return middleware


def _has_nul(fields: QueryDict) -> bool:
    return any("\0" in text for _, values in fields.lists() for text in values)


def address_behind_proxy(request: HttpRequest) -> str:
    """Of the person: what the proxy itself added at the end. What stands before that was sent by the visitor."""
    # Kept as .env.example says: a proxy that adds nothing lets the visitor choose what is counted. It cannot be told from
    # one that does, and the proxy's own address beside the header would narrow nothing, being the same for everybody.
    last = request.META.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip()
    try:
        return str(ip_address(last))
    except ValueError:  # None, or what no column of addresses takes.
        return str(request.META["REMOTE_ADDR"])
