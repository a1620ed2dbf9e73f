"""“Import books”: a file is uploaded, shown as what its import would do, and then imported or given up."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget

from audiobooks import imports
from audiobooks.display import source_of
from audiobooks.library.exports import MOST_BYTES, MOST_ROWS, UnreadableExport
from audiobooks.models import Upload
from scheduling.admin.posting import perform, who
from scheduling.display import change_url
from scheduling.models import Task

PERMISSION = "audiobooks.import_books"


class UploadForm(forms.Form):
    file = forms.FileField(
        label="File",
        widget=UnfoldAdminFileFieldWidget,
        help_text=(
            "An export of Goodreads, Libation or OpenAudible, or a list of your own as CSV or JSON with a heading Title, and "
            f"Author, Series, Position, ASIN and so on as you like. Up to {MOST_BYTES // 1024**2} MB and {MOST_ROWS:,} rows."
        ),
    )
    standing = forms.ChoiceField(
        label="Import as",
        choices=[("owned", "owned"), ("wanted", "wanted")],
        widget=UnfoldAdminSelectWidget,
        help_text=(
            "What books are of which the file does not say it. Where a row says it itself, that counts. What is owned "
            "already stays owned."
        ),
    )

    def clean_file(self) -> UploadedFile[bytes]:
        file: UploadedFile[bytes] = self.cleaned_data["file"]
        if (file.size or 0) > MOST_BYTES:
            raise ValidationError(f"It is larger than {MOST_BYTES // 1024**2} MB, and no export of books is.")
        return file


def import_urls(model_admin: Any) -> list[URLPattern]:
    def page(view: Any) -> Any:
        def checked(request: HttpRequest, **kwargs: Any) -> HttpResponse:
            if not request.user.has_perm(PERMISSION):
                raise PermissionDenied
            response: HttpResponse = view(model_admin, request, **kwargs)
            return response

        return model_admin.admin_site.admin_view(checked)

    return [
        path("import/", page(_upload), name="audiobooks_book_import"),
        path("import/<int:pk>/", page(_preview), name="audiobooks_book_import_preview"),
        path("import/<int:pk>/give-up/", page(_give_up), name="audiobooks_book_import_give_up"),
    ]


def _upload(model_admin: Any, request: HttpRequest) -> HttpResponse:
    is_post = request.method == "POST"
    form = UploadForm(request.POST, request.FILES) if is_post else UploadForm()
    if is_post and form.is_valid():
        file = form.cleaned_data["file"]
        try:
            upload = imports.store(file.read(), file.name, form.cleaned_data["standing"], by=who(request))
        except UnreadableExport as error:
            form.add_error("file", str(error))
        else:
            return HttpResponseRedirect(reverse("admin:audiobooks_book_import_preview", args=[upload.pk]))
    return _page(model_admin, request, "import.html", form=form)


def _preview(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    upload = _own(request, pk)
    if request.method == "POST":
        queued: list[Task] = []

        def confirm(_: Any, request: HttpRequest, upload: Upload) -> Task:
            queued.append(imports.queue_import(upload, by=who(request)))
            return queued[0]

        perform(model_admin, request, upload, confirm)
        if queued and request.user.has_perm("scheduling.view_task"):
            return HttpResponseRedirect(change_url(queued[0]))
        return HttpResponseRedirect(request.path)
    found = upload.preview
    return _page(
        model_admin,
        request,
        "import_preview.html",
        upload=upload,
        found=found,
        kind="a plain list" if found["kind"] == "list" else f"an export of {source_of(found['kind'])}",
        first=found["first"],
        new=found["new"],
        already_known=found["already known"],
        problems=found["first problems"],
        more_problems=found["problems"] - len(found["first problems"]),
        is_whole=found["compared"] == found["books"],
    )


def _give_up(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    upload = _own(request, pk)
    if Upload.objects.filter(pk=upload.pk, task=None).delete()[0]:
        messages.success(request, f"{upload} was deleted; nothing was imported.")
    return HttpResponseRedirect(reverse("admin:audiobooks_book_import"))


def _own(request: HttpRequest, pk: int) -> Upload:
    """What others read is nobody's business."""
    return get_object_or_404(Upload.objects.defer("data").select_related("task"), pk=pk, by=who(request))


def _page(model_admin: Any, request: HttpRequest, template: str, **context: Any) -> HttpResponse:
    shared = {
        **model_admin.admin_site.each_context(request),
        "title": "Import books",
        "opts": model_admin.opts,
        "media": model_admin.media,
    }
    return TemplateResponse(request, f"audiobooks/admin/{template}", {**shared, **context})
