"""Who may do what in the library: every step, by a real POST, in each of the roles that a new database has."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audiobooks.admin import books
from audiobooks.models import (
    Author,
    AuthorAlias,
    Book,
    BookChange,
    Genre,
    MetadataRun,
    ProviderMatch,
    Series,
    Work,
)
from audiobooks.names import rows_of
from scheduling.display import step_url
from scheduling.models import Job, Task
from tests.conftest import Editor
from tests.scheduling.test_roles import WHO, signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("roles", "refresh")]
CALLS: list[Any] = []
AT = "2026-01-01T00:00:00+00:00"


@pytest.fixture
def refresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for the verbs that queue Tasks, of a Job that is not there."""

    def refresh_one(book_id: int, by: User) -> Task:
        CALLS.append(("refresh", book_id, by.username))
        return Task.objects.create(task_name="refresh")

    CALLS.clear()
    monkeypatch.setattr(books, "refresh_one", refresh_one)


@dataclass(frozen=True)
class Step:
    """`prepare` makes what is needed and returns where to post and, where it is made there, what."""

    prepare: Callable[[], str | tuple[str, dict[str, Any]]]
    is_done: Callable[[], bool]
    roles: str
    data: dict[str, Any] = field(default_factory=dict)


def make_book() -> Book:
    offered = {"value": "Theirs", "source": "audnexus", "why": "locked", "at": AT}
    provenance = {"title": {"source": "person", "at": AT, "locked": True, "offered": offered}}
    return Book.objects.create(title="Ours", work=Work.objects.create(title="Ours"), provenance=provenance)


def of_book(step: str) -> Callable[[], str]:
    return lambda: step_url(make_book(), step)


def of_match(step: str, state: str = "proposed") -> Callable[[], tuple[str, dict[str, Any]]]:
    def prepare() -> tuple[str, dict[str, Any]]:
        match = ProviderMatch.objects.create(
            book=make_book(), provider="audnexus", record="B1", state=state, verdict="medium", distance=0.2
        )
        return step_url(match, step), {"seen": match.pk}

    return prepare


def of_authors(step: str) -> Callable[[], tuple[str, dict[str, Any]]]:
    def prepare() -> tuple[str, dict[str, Any]]:
        kept, gone = rows_of(Author, ["Kept", "Gone"])
        data: dict[str, Any] = {"name": "New Name", "gone": gone.pk}
        if step in ("undo_merge", "split"):
            from django.contrib.auth.models import User

            from audiobooks.merging import merge

            data["merge"] = merge("author", kept.pk, gone.pk, by=User.objects.create_user("other")).pk
            data["alias"] = AuthorAlias.objects.get().pk
        return reverse(f"admin:audiobooks_author_{step}", args=[kept.pk]), data

    return prepare


def of_change() -> str:
    book = make_book()
    change = BookChange.objects.create(
        book=book,
        why="refresh",
        before={"title": {"value": "Before", "provenance": None}},
        after={"title": {"value": "Ours", "provenance": book.provenance.get("title")}},
    )
    return step_url(change, "undo")


def of_run(step: str, state: str) -> Callable[[], str]:
    def prepare() -> str:
        Job(id="metadata_full", name="Refresh", function="audiobooks.metadata_full", cron="0 4 1 * *").save_definition()
        return step_url(MetadataRun.objects.create(kind="full", state=state, started_at=timezone.now()), step)

    return prepare


def of_genre() -> str:
    return step_url(Genre.objects.create(name="SF", key="sf"), "switch")


def merge_series() -> tuple[str, dict[str, Any]]:
    kept, gone = rows_of(Series, ["Kept", "Gone"])
    return reverse("admin:audiobooks_series_merge", args=[kept.pk]), {"gone": gone.pk}


def title() -> str:
    return Book.objects.get().title


def state() -> str:
    return ProviderMatch.objects.get().state


STEPS = {
    "edit": Step(of_book("edit"), lambda: title() == "New", "OA", {"title": "New", "initial-title": "Ours"}),
    "take": Step(of_book("take"), lambda: title() == "Theirs", "OA", {"field": "title", "at": AT}),
    "unlock": Step(
        of_book("unlock"), lambda: "locked" not in Book.objects.get().provenance["title"], "OA", {"field": "title"}
    ),
    "refresh": Step(of_book("refresh"), lambda: ("refresh", Book.objects.get().pk, "somebody") in CALLS, "OA"),
    "undo a change": Step(of_change, lambda: title() == "Before", "OA"),
    "accept": Step(of_match("accept"), lambda: state() == "accepted", "OA"),
    "reject": Step(of_match("reject"), lambda: state() == "rejected", "OA"),
    "none of these": Step(of_match("none"), lambda: state() == "rejected", "OA"),
    "take back": Step(of_match("take_back", "rejected"), lambda: state() == "proposed", "OA"),
    "merge": Step(of_authors("merge"), lambda: Author.objects.count() == 1, "OA"),
    "merge series": Step(merge_series, lambda: Series.objects.count() == 1, "OA"),
    "undo a merge": Step(of_authors("undo_merge"), lambda: Author.objects.count() == 2, "OA"),
    "split": Step(of_authors("split"), lambda: Author.objects.count() == 2, "OA"),
    "add a name": Step(of_authors("alias"), AuthorAlias.objects.exists, "OA"),
    "rename": Step(of_authors("rename"), Author.objects.filter(name="New Name").exists, "OA"),
    "switch a genre": Step(of_genre, lambda: Genre.objects.get().enabled, "OA", {"switch": "on"}),
    "let a run go on": Step(of_run("allow", "asks"), MetadataRun.objects.filter(may_change_much=True, state="running").exists, "A"),
    "undo a run": Step(of_run("undo", "finished"), lambda: Task.objects.filter(arguments={"undo": MetadataRun.objects.get().pk}).exists(), "A"),
}  # fmt: skip
PAGES = [
    "servicestate",
    "crawl",
    "release",
    "guide",
    "book",
    "bookchange",
    "libraryfile",
    "providermatch",
    "metadatarun",
    "author",
    "narrator",
    "series",
    "genre",
]


def prepared(step: Step) -> tuple[str, dict[str, Any]]:
    made = step.prepare()
    url, data = (made, {}) if isinstance(made, str) else made
    return url, {**data, **step.data}


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_done_by_those_who_may_and_by_nobody_else(name: str, who: str) -> None:
    step = STEPS[name]
    url, data = prepared(step)
    assert not step.is_done()
    response = signed_in(who).post(url, data)
    may = who == "superuser" or who[0] in step.roles
    assert step.is_done() == may
    assert response.status_code == (302 if may or who in ("stranger", "member without rights") else 403) or (
        who == "member without rights" and response.status_code == 403
    )


@pytest.mark.parametrize("name", [name for name in STEPS if name != "edit"])
def test_no_step_is_done_by_looking(name: str) -> None:
    url, data = prepared(STEPS[name])
    assert signed_in("superuser").get(url, data).status_code in (302, 405)
    assert not STEPS[name].is_done()


@pytest.mark.parametrize("name", STEPS)
def test_no_step_is_done_without_the_token(name: str) -> None:
    url, data = prepared(STEPS[name])
    client = Client(enforce_csrf_checks=True)
    client.cookies = signed_in("superuser").cookies
    assert client.post(url, data).status_code == 403
    assert not STEPS[name].is_done()


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("page", PAGES)
def test_all_roles_may_look_and_nobody_else(page: str, who: str) -> None:
    response = signed_in(who).get(f"/admin/audiobooks/{page}/")
    assert (response.status_code == 200) == (who not in ("stranger", "member without rights"))


@pytest.mark.parametrize("who", ["Viewer", "Operator"])
def test_a_page_shows_the_buttons_of_the_role_and_no_others(who: str) -> None:
    url, _ = prepared(STEPS["accept"])
    match, client = ProviderMatch.objects.get(), signed_in(who)
    review = client.get(url.replace("accept", "change")).content.decode()
    book = client.get(step_url(match.book, "change")).content.decode()
    for step in ("accept", "reject", "none"):
        assert (step_url(match, step) in review) == (who == "Operator")
    for step in ("edit", "take", "unlock", "refresh"):
        assert (step_url(match.book, step) in book) == (who == "Operator")


def test_making_the_roles_again_takes_nothing_away_and_gives_nothing_to_what_is_somebodys_own() -> None:
    extra = Permission.objects.get(codename="delete_book")
    viewer, operator = Group.objects.get(name="Viewer"), Group.objects.get(name="Operator")
    viewer.permissions.add(extra)
    operator.permissions.clear()
    before = set(viewer.permissions.all())
    importlib.import_module("audiobooks.migrations.0007_library_roles").make_roles(apps, Editor)
    assert set(viewer.permissions.all()) == before
    assert not operator.permissions.exists()


def test_a_run_that_does_not_ask_is_not_let_go() -> None:
    run = MetadataRun.objects.create(kind="full", state="finished", started_at=timezone.now() - timedelta(hours=1))
    signed_in("superuser").post(step_url(run, "allow"))
    run.refresh_from_db()
    assert run.state == "finished" and not run.may_change_much


@pytest.mark.parametrize("who", WHO)
def test_who_may_put_a_question_to_a_provider(who: str) -> None:
    response = signed_in(who).post("/admin/audiobooks/servicestate/audnexus/try/", {"asin": "x"})
    asked = response.status_code == 200 and "ten letters" in response.content.decode()
    assert asked == (who in ("Operator", "Administrator", "superuser"))


@pytest.mark.parametrize("who", WHO)
def test_who_may_put_a_question_to_a_source(who: str) -> None:
    response = signed_in(who).post("/admin/audiobooks/crawl/librivox/try/", {"title": ""})
    asked = response.status_code == 200 and "Write a title." in response.content.decode()
    assert asked == (who in ("Operator", "Administrator", "superuser"))
