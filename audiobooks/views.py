"""Pages that are no part of the admin."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def stale_form(request: HttpRequest, reason: str = "") -> HttpResponse:
    """For a form whose token does not fit, as of a page that was open when the person signed in anew."""
    return render(request, "audiobooks/stale_form.html", status=403)
