"""The pages of the library: bounded in rows and in queries."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audiobooks.models import Book, LibraryFile, Series, SeriesEntry, Work
from audiobooks.navigation import navigation
from tests.scheduling.making import person

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def make_book(name: str, *, files: int, series: int) -> Book:
    book = Book.objects.create(path=name, title=name, work=Work.objects.create(title=name))
    LibraryFile.objects.bulk_create(
        LibraryFile(book=book, path=f"{name}/{number:04}.mp3", size=1, modified_ns=1, format="mp3")
        for number in range(files)
    )
    for number in range(series):
        row = Series.objects.create(name=f"{name} {number}", key=f"{name}{number}")
        SeriesEntry.objects.create(book=book, series=row, position=str(number))
    return book


def page_of(client: Client, book: Book) -> tuple[str, int]:
    url = reverse("admin:audiobooks_book_change", args=[book.pk])
    with CaptureQueriesContext(connection) as queries:
        response = client.get(url)
    assert response.status_code == 200
    return response.content.decode(), len(queries)


def test_the_page_of_a_large_book_costs_no_more_queries_than_that_of_a_small_one(client: Client) -> None:
    small, large = make_book("small", files=2, series=1), make_book("large", files=300, series=20)
    page_of(client, small)
    assert page_of(client, large)[1] == page_of(client, small)[1]


def test_the_page_of_a_book_shows_a_hundred_files_and_leads_to_all_of_them(client: Client) -> None:
    make_book("other", files=3, series=0)
    page, _ = page_of(client, make_book("large", files=300, series=0))
    assert len(set(re.findall(r"large/\d+\.mp3", page))) == 100
    link = re.search(r'href="(/admin/audiobooks/libraryfile/\?[^"]+)">300 in the list', page)
    assert link is not None
    files = client.get(link[1])
    assert files.context["cl"].result_count == 300


def test_the_sidebar_holds_what_this_person_may_look_at_once(admin_client: Client, roles: None) -> None:
    def links(client: Client) -> list[str]:
        page = client.get("/admin/").content.decode()
        sidebar = page.partition('id="nav-sidebar-apps"')[2].partition("</div>\n\n    ")[0]
        return re.findall(r'<a href="(/admin/[^"]*)"', sidebar)

    everything = links(admin_client)
    assert everything[:3] == ["/admin/", "/admin/scheduling/job/", "/admin/scheduling/task/"]
    assert len(set(everything)) == len(everything)
    # A work has a page, and no list.
    models = {model._meta for model in admin.site._registry if model is not Work}
    assert {f"/admin/{each.app_label}/{each.model_name}/" for each in models} == set(everything) - {"/admin/"}
    seen = links(person("view_job"))
    assert seen == ["/admin/", "/admin/scheduling/job/"]


def test_a_model_of_a_users_own_app_has_a_place_of_its_own(rf: RequestFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    request = rf.get("/admin/audiobooks/book/1/change/")
    request.user = User.objects.create_superuser("root")
    theirs = {"name": "tasks", "model": type("Task", (), {"_meta": SimpleNamespace(label="zoo.Task")})}
    apps = [*admin.site.get_app_list(request), {"name": "Zoo", "models": [{**theirs, "admin_url": "/admin/zoo/task/"}]}]
    monkeypatch.setattr(admin.site, "get_app_list", lambda request: apps)
    groups = {group["title"]: [item["link"] for item in group["items"]] for group in navigation(request)}
    assert groups["Zoo"] == ["/admin/zoo/task/"] and "/admin/scheduling/task/" in groups["Schedule"]
    active = [item["title"] for group in navigation(request) for item in group["items"] if item["active"]]
    assert active == ["Books"]
