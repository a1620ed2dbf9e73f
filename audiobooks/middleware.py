"""What every request passes."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest

Next = Callable[[HttpRequest], HttpResponse]


def refuse_nul(next_one: Next) -> Next:
    """PostgreSQL takes no NUL in a text, and Django passes one in a query on to it, which ends as an error page."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if "\0" in request.path or any("\0" in text for values in request.GET.lists() for text in values[1]):
            return HttpResponseBadRequest("A NUL character can stand in no address.")
        return next_one(request)

    return middleware
