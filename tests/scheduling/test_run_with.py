"""Running a Job once with arguments of its own: the form made from a signature, and its page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any, Literal

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from scheduling.argument_forms import ArgumentsForm
from scheduling.arguments import described_in
from scheduling.context import TaskRun
from scheduling.display import step_url
from scheduling.models import Job, Task
from scheduling.registry import TaskFunction, registry
from tests.scheduling.making import make_job

EVIL = "<script>alert('x')</script>"
LIST = "/admin/scheduling/job/"


def everything(
    run: TaskRun,
    title: str,
    limit: int = 20,
    ratio: float = 0.5,
    dry: bool = True,
    since: date | None = None,
    at: datetime | None = None,
    mode: Literal["fast", "deep", 3, True] = "fast",
    genre: Literal["sf", "crime"] | None = None,
    note: str | None = None,
    tags: list[str] = [],  # noqa: B006
    options: dict[str, int] | None = None,
    either: int | str = 1,
    anything: Any = None,
    maybe: bool | None = None,
) -> None:
    """Everything that a signature may hold.

    Some prose, not: an argument.

    Args:
        title: What it is called,
            on two lines: really.
        limit (int, optional): How many <b>at most</b>.
        unknown: Not in the signature.

    Returns:
        nothing: at all
    """


@pytest.fixture
def function() -> Iterator[TaskFunction]:
    made = TaskFunction(everything, name="sample.everything", label="everything", defaults=None)
    registry.add(made)
    yield made
    registry.remove("sample.everything")


def shown(form: ArgumentsForm) -> dict[str, Any]:
    """What a browser sends back of a form that nobody touched."""
    data = {}
    for bound in form:
        value = bound.field.prepare_value(bound.initial)
        if value is True and type(bound.field).__name__ == "SwitchField":
            data[bound.html_name] = "on"
        elif value not in (None, False):
            data[bound.html_name] = str(value)
        elif type(bound.field).__name__ != "SwitchField":
            data[bound.html_name] = ""
    return data


def filled(function: TaskFunction, stored: dict[str, Any], **changes: str | None) -> ArgumentsForm:
    data = shown(ArgumentsForm(function, stored))
    for name, value in changes.items():
        if value is None:
            data.pop(f"argument-{name}", None)
        else:
            data[f"argument-{name}"] = value
    form = ArgumentsForm(function, stored, data)
    form.is_valid()
    return form


def test_the_docstring_explains_arguments(function: TaskFunction) -> None:
    helps = {parameter.name: parameter.help for parameter in function.parameters if parameter.help}
    assert helps == {"title": "What it is called, on two lines: really.", "limit": "How many <b>at most</b>."}
    assert described_in("No section.\n    Args: x") == {}
    assert described_in("Arguments:\n\n  a: one\n\n  b (str): two\nNot: this") == {"a": "one", "b": "two"}
    assert described_in("Args:") == {}


class TestTheForm:
    def test_what_is_left_alone_is_as_stored_or_left_to_the_function(self, function: TaskFunction) -> None:
        assert filled(function, {"title": "t"}).cleaned_arguments == {"title": "t"}
        stored = {
            "title": " two\nlines ", "limit": 10**30, "ratio": 3, "dry": False, "since": "2026-03-01",
            "at": "2026-03-01T04:00:01.123456+05:00", "mode": 3, "genre": "crime", "note": "n", "tags": ["ü", "b"],
            "options": {"a": 1}, "either": "5", "anything": {"x": [None]}, "maybe": False,
        }  # fmt: skip
        form = filled(function, stored)
        assert form.errors == {}
        assert form.cleaned_arguments == stored

    @pytest.mark.parametrize(
        ("name", "text", "value"),
        [
            ("title", "x", "x"),
            ("title", "a\r\nb", "a\nb"),
            ("limit", "7", 7),
            ("limit", "-7", -7),
            ("limit", "9" * 400, int("9" * 400)),
            ("ratio", "1e3", 1000.0),
            ("dry", None, False),
            ("since", "2026-12-24", "2026-12-24"),
            ("at", "2026-12-24T08:00", "2026-12-24T08:00:00+00:00"),
            ("mode", "true", True),
            ("mode", "3", 3),
            ("mode", '"deep"', "deep"),
            ("genre", '"sf"', "sf"),
            ("note", EVIL, EVIL),
            ("tags", '["a", "b"]', ["a", "b"]),
            ("tags", "a,b", ["a", "b"]),
            ("options", '{"a": 1}', {"a": 1}),
            ("either", "5", 5),
            ("either", "five", "five"),
            ("anything", "[1, null]", [1, None]),
            ("maybe", "true", True),
        ],
    )
    def test_what_is_typed_is_read_as_its_type(
        self, function: TaskFunction, name: str, text: str | None, value: Any
    ) -> None:
        form = filled(function, {"title": "t"}, **{name: text})
        assert form.errors == {}
        assert form.cleaned_arguments == {"title": "t", name: value}
        assert type(form.cleaned_arguments[name]) is type(value)

    @pytest.mark.parametrize(
        ("name", "text", "sentence"),
        [
            ("title", "", "required"),
            ("title", "a\0b", "no database keeps"),
            ("limit", "many", "whole number"),
            ("limit", "1.5", "whole number"),
            ("limit", "9" * 5000, "whole number"),
            ("ratio", "nan", "number"),
            ("ratio", "1e999", "number"),
            ("since", "soon", "valid date"),
            ("since", "2026-02-30", "valid date"),
            ("at", "0000-00-00T00:00", "valid date"),
            ("mode", "fast", "valid choice"),
            ("mode", "1", "valid choice"),
            ("genre", EVIL, "valid choice"),
            ("tags", "[1]", "is not a list"),
            ("tags", '["a\\u0000"]', "no database keeps"),
            ("options", '{"a": "x"}', "is not an object"),
            ("options", "[" * 100_000, "not JSON"),
            ("options", "{'a': 1}", "not JSON"),
            ("options", "a", "is not an object"),
            ("anything", "NaN", "no database keeps"),
            ("anything", "[" * 900 + "]" * 900, "no database keeps"),
        ],
    )
    def test_a_mistake_is_explained_beside_its_field(
        self, function: TaskFunction, name: str, text: str, sentence: str
    ) -> None:
        form = filled(function, {"title": "t"}, **{name: text})
        assert {field: len(errors) for field, errors in form.errors.items()} == {name: 1}
        assert sentence in form.errors[name][0]

    def test_an_emptied_field_means_nothing_or_the_functions_default(self, function: TaskFunction) -> None:
        stored = {"title": "t", "limit": 5, "note": "n", "since": "2026-03-01", "options": {"a": 1}, "tags": ["x"]}
        emptied = filled(function, stored, limit="", note="", since="", options="", tags="")
        assert emptied.cleaned_arguments == {"title": "t", "note": None, "since": None, "options": None}

    def test_stored_arguments_that_do_not_fit_any_more_can_be_mended(self, function: TaskFunction) -> None:
        stored = {"title": 5, "limit": "x", "dry": "yes", "at": "soon", "since": 3, "mode": "gone", "away": 1}
        form = filled(function, stored)
        assert set(form.errors) == {"title", "limit", "dry", "at", "since", "mode"}
        form = filled(
            function, stored, title="t", limit="3", dry="false", at="2026-01-01T00:00:00+00:00", since="2026-01-01",
            mode='"deep"',
        )  # fmt: skip
        assert form.errors == {}
        assert form.cleaned_arguments["limit"] == 3 and form.cleaned_arguments["dry"] is False
        assert "away" not in form.cleaned_arguments

    @pytest.mark.parametrize(
        "moment", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "2026-10-25T02:30:00"]
    )
    def test_moments_at_the_edge(self, function: TaskFunction, moment: str) -> None:
        assert filled(function, {"title": "t", "at": moment}).cleaned_arguments == {"title": "t", "at": moment}

    def test_required_ones_without_a_value_are_asked_for(self) -> None:
        def needy(run: TaskRun, flag: bool, count: int, text: str | None, kind: Literal["a"]) -> None:
            """Needs all."""

        function = TaskFunction(needy, name="sample.needy", label="n", defaults=None)
        assert set(filled(function, {}).errors) == {"flag", "count", "kind"}
        form = filled(function, {}, flag="false", count="0", kind='"a"')
        assert form.cleaned_arguments == {"flag": False, "count": 0, "text": None, "kind": "a"}


def url_of(id: str = "x") -> str:
    return reverse("admin:scheduling_job_run_with", args=[id])


@pytest.mark.django_db
class TestThePage:
    def test_it_queues_a_run_and_goes_to_it(self, admin_client: Client, admin_user: User) -> None:
        make_job(arguments={"items": 3, "pause": 0.5})
        assert f'href="{url_of()}"' in admin_client.get(f"{LIST}x/change/").content.decode()
        html = admin_client.get(url_of()).content.decode()
        assert 'name="argument-items"' in html and 'value="3"' in html
        assert not Task.objects.exists()
        data = {"argument-items": "7", "argument-pause": "", "argument-fail_every": "0"}
        response = admin_client.post(url_of(), data)
        task = Task.objects.get()
        assert response["Location"] == f"/admin/scheduling/task/{task.pk}/change/"
        assert (task.arguments, task.cause, task.requested_by) == ({"items": 7}, "manual", admin_user)
        assert Job.objects.by_id("x").arguments == {"items": 3, "pause": 0.5}
        assert LogEntry.objects.get().change_message == f"Queued Task {task.pk}."

    def test_a_mistake_shows_the_page_again_with_what_was_typed(self, admin_client: Client) -> None:
        make_job()
        response = admin_client.post(url_of(), {"argument-items": EVIL})
        html = response.content.decode()
        assert response.status_code == 200
        assert "Enter a whole number" in html and "&lt;script&gt;alert" in html and EVIL not in html
        assert not Task.objects.exists() and not LogEntry.objects.exists()

    def test_it_needs_its_own_permission_and_a_token(self, admin_user: User) -> None:
        make_job()
        user = User.objects.create_user("somebody", is_staff=True)
        codenames = ["run_job", "view_job", "change_job", "add_job", "pause_job"]
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client = Client()
        client.force_login(user)
        assert client.get(url_of()).status_code == client.post(url_of()).status_code == 403
        assert url_of() not in client.get(f"{LIST}x/change/").content.decode()
        user.user_permissions.add(Permission.objects.get(codename="run_with_arguments_job"))
        assert client.get(url_of()).status_code == 200
        assert client.post(url_of(), {"argument-items": "1"}).status_code == 302
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(admin_user)
        assert strict.post(url_of(), {"argument-items": "1"}).status_code == 403
        assert Task.objects.count() == 1

    def test_what_is_not_there_is_not_found_and_nothing_is_run_by_looking(
        self, admin_client: Client, function: TaskFunction
    ) -> None:
        assert admin_client.get(url_of()).status_code == 404
        make_job(function="sample.everything", name=EVIL, arguments={"title": EVIL})
        html = admin_client.get(url_of()).content.decode()
        assert EVIL not in html and "<b>at most</b>" not in html and "&lt;b&gt;at most" in html
        assert "How many" in html and "on two lines: really." in html
        assert not Task.objects.exists()
        Job.objects.update(function="gone.away")
        assert admin_client.get(url_of()).status_code == 404

    def test_a_function_without_arguments_has_a_page_too(self, admin_client: Client) -> None:
        make_job(function="sample.noop")
        assert "It takes no arguments" in admin_client.get(url_of()).content.decode()
        assert admin_client.post(url_of()).status_code == 302
        assert Task.objects.get().arguments == {}

    def test_a_job_with_an_odd_id(self, admin_client: Client) -> None:
        make_job("a/b_5F? ü")
        assert admin_client.post(step_url(Job(pk="a/b_5F? ü"), "run_with"), {"argument-items": "1"}).status_code == 302
        assert Task.objects.get().job_id == "a/b_5F? ü"
