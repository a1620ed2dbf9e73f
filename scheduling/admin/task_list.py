"""The list of Tasks: its filters, and pages that cost the same wherever they lie in a million rows.

A page is asked for by the Task it lies before (older) or after (newer), never by its number, and nothing is counted.
What has an index narrows first: job, status, dates (which become Task numbers), a Job's id as search. Of what that
leaves, the others (cause, duration, the beginning of a name) are looked for among the next `LOOKED_THROUGH` Tasks; where
those do not fill the page, it says how far it looked and links on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import BooleanField, ExpressionWrapper, F, Q, QuerySet
from django.db.models.expressions import RawSQL
from django.http import HttpRequest
from django.utils import timezone
from unfold.views import ChangeList

from scheduling.display import moment
from scheduling.history import Seconds
from scheduling.models import Job, Task

LOOKED_THROUGH = 50_000
JOBS_OFFERED = 200
WITHOUT_JOB = "-"
SKEW = 10_000
"""Task numbers. By so many at most, Tasks are numbered in another order than that of their dates."""
NEIGHBOURS = 100
LARGEST_NUMBER = 2**63 - 1

LENGTHS: dict[str, tuple[str, Q]] = {
    "under_1s": ("under 1 s", Q(seconds__lt=1)),
    "1s_10s": ("1 to 10 s", Q(seconds__gte=1, seconds__lt=10)),
    "10s_60s": ("10 to 60 s", Q(seconds__gte=10, seconds__lt=60)),
    "1m_10m": ("1 to 10 min", Q(seconds__gte=60, seconds__lt=600)),
    "over_10m": ("over 10 min", Q(seconds__gte=600)),
}
WENT_WRONG = ",".join(Task.RETRIED)
# Written out, since SQLite uses the partial index task_unseen only where it reads the condition of the index itself, not
# where the statuses are parameters. Without the index, no failures mean that the whole history is read for some.
UNSEEN = Q(
    RawSQL(
        f'"scheduling_task"."status" IN ({", ".join(f"{status.value!r}" for status in Task.RETRIED)})',
        (),
        output_field=BooleanField(),
    ),
    seen_at=None,
)
"""Failures that nobody has looked at."""


class NativeInput(forms.DateInput):
    input_type = "date"


def _input(**attributes: str) -> dict[str, str]:
    return {"class": "scheduling-input", **attributes}


class StatusField(forms.ChoiceField):
    """One status, or several with commas between them."""

    def valid_value(self, value: Any) -> bool:
        return all(part in Task.Status for part in str(value).split(","))


def _check_year(day: date) -> None:
    if not 1900 <= day.year <= 9000:
        raise ValidationError("Use a year from 1900 to 9000.")


def _day(label: str) -> forms.DateField:
    widget = NativeInput(attrs=_input(), format="%Y-%m-%d")
    return forms.DateField(
        required=False, label=label, input_formats=["%Y-%m-%d"], widget=widget, validators=[_check_year]
    )


def _moment(label: str) -> forms.DateTimeField:
    return forms.DateTimeField(required=False, label=label, widget=forms.HiddenInput, validators=[_check_year])


class TaskFilterForm(forms.Form):
    """The filters as the address of the list holds them; each may be left out.

    q: a Task's number (#123), a Job's id, or the beginning of a task's name.
    job: a Job's id or name; `-` for Tasks without a Job.
    status: a `Task.Status`, or several with commas between them.
    cause: a `Task.Cause`.
    date_from, date_to: days, YYYY-MM-DD, both included, in the current time zone; of when the Task was made.
    duration: a key of `LENGTHS`.

    Hidden, for links:

    since, until: moments in ISO 8601, the second excluded; of when the Task was made. A day of the project's time zone.
    unseen: `yes` for failures that nobody has looked at.
    """

    q = forms.CharField(
        required=False,
        label="Search",
        max_length=255,
        widget=forms.TextInput(attrs=_input(type="search", placeholder="#123, job id or task name")),
    )
    job = forms.CharField(required=False, max_length=255, widget=forms.TextInput(attrs=_input(list="task-jobs")))
    status = StatusField(required=False, widget=forms.Select(attrs=_input()))
    cause = forms.ChoiceField(
        required=False, choices=[("", "all"), *Task.Cause.choices], widget=forms.Select(attrs=_input())
    )
    date_from = _day("From")
    date_to = _day("To")
    duration = forms.ChoiceField(
        required=False,
        choices=[("", "all"), *((key, words) for key, (words, _) in LENGTHS.items())],
        widget=forms.Select(attrs=_input()),
    )
    since = _moment("Made since")
    until = _moment("Made before")
    unseen = forms.ChoiceField(
        required=False, label="Failed and not looked at", choices=[("yes", "yes")], widget=forms.HiddenInput
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [("", "all"), (WENT_WRONG, "went wrong"), *Task.Status.choices]
        asked = self.data.get("status", "")
        if asked and asked not in dict(choices):
            choices.append((asked, asked.replace(",", ", ").replace("_", " ")))
        self.fields["status"].choices = choices  # type: ignore[attr-defined]

    def clean_job(self) -> str:
        """The Job's id. Whether the search is the id of one, `q_is_job`, is asked with it."""
        asked: str = self.cleaned_data["job"]
        search: str = self.cleaned_data.get("q", "")
        is_named = Q(name__iexact=asked) if asked else Q(pk__in=[])
        jobs = Job.objects.filter(Q(pk__in=[asked, search]) | is_named) if asked or search else Job.objects.none()
        named = ExpressionWrapper(is_named, output_field=BooleanField())
        known: dict[str, bool] = dict(jobs.order_by().values_list("pk", named))
        self.cleaned_data["q_is_job"] = search in known
        if not asked or asked == WITHOUT_JOB or asked in known:
            return asked
        found = [pk for pk, has_name in known.items() if has_name]
        if len(found) != 1:
            problem = "Several Jobs have this name; write the id." if found else "There is no Job of this id or name."
            raise ValidationError(problem)
        return found[0]

    def clean_date_from(self) -> datetime | None:
        return _start_of(self.cleaned_data["date_from"])

    def clean_date_to(self) -> datetime | None:
        """The moment after that day."""
        day: date | None = self.cleaned_data["date_to"]
        return _start_of(day + timedelta(days=1) if day else None)


def _start_of(day: date | None) -> datetime | None:
    return timezone.make_aware(datetime.combine(day, time.min)) if day else None


@dataclass
class Narrowing:
    """What the filters ask for: `indexed` of an index, `others` of each row; and the first and last Task that can be it."""

    first: int = 0
    last: int = LARGEST_NUMBER
    indexed: Q = field(default_factory=Q)
    others: Q = field(default_factory=Q)


def narrowing_of(wanted: dict[str, Any]) -> Narrowing:
    """Of the cleaned data of a `TaskFilterForm`."""
    found = Narrowing()
    if job := wanted["job"]:
        found.indexed &= Q(job=None) if job == WITHOUT_JOB else Q(job_id=job)
    if status := wanted["status"]:
        statuses = status.split(",")
        found.indexed &= Q(status=statuses[0]) if len(statuses) == 1 else Q(status__in=statuses)
    if cause := wanted["cause"]:
        found.others &= Q(cause=cause)
    if duration := wanted["duration"]:
        found.others &= LENGTHS[duration][1]
    if wanted["unseen"]:
        found.indexed &= UNSEEN
    since = max(filter(None, (wanted["date_from"], wanted["since"])), default=None)
    until = min(filter(None, (wanted["date_to"], wanted["until"])), default=None)
    _between(since, until, found)
    _search(wanted["q"], found, is_job=wanted["q_is_job"])
    return found


def _between(since: datetime | None, until: datetime | None, found: Narrowing) -> None:
    """Tasks made in that time. Their numbers come first: those are the order of every index of the list."""
    if since is not None:
        later = Task.objects.filter(date_created__gte=since).order_by("date_created")
        # The least of some: a Task that was written late, with a date of long ago, is no bound.
        first = min(later.values_list("pk", flat=True)[:NEIGHBOURS], default=None)
        found.indexed &= Q(pk__in=[]) if first is None else Q(date_created__gte=since)
        found.first = (first or 0) - SKEW
    if until is not None:
        earlier = Task.objects.filter(date_created__lt=until).order_by("-date_created")
        last = max(earlier.values_list("pk", flat=True)[:NEIGHBOURS], default=None)
        found.indexed &= Q(pk__in=[]) if last is None else Q(date_created__lt=until)
        found.last = (last or 0) + SKEW


_NUMBER = re.compile(r"#?([0-9]{1,18})")


def _search(text: str, found: Narrowing, *, is_job: bool) -> None:
    if not text:
        return
    if is_job:
        found.indexed &= Q(job_id=text)
    elif number := _NUMBER.fullmatch(text):
        found.indexed &= Q(pk=int(number[1]))
    else:
        found.others &= Q(task_name__istartswith=text)


@dataclass(frozen=True)
class Pages:
    """Stands where Django expects a paginator. The addresses are empty where there is no such page."""

    newer: str = ""
    older: str = ""
    looked_down_to: int | None = None
    """The oldest Task looked at, where the page could not be filled."""
    template_name: str = "scheduling/admin/task_pages.html"
    num_pages: int = 1


class TaskChangeList(ChangeList):  # type: ignore[misc]
    """The list of Tasks, by `before` and `after`: the numbers of the Tasks at the edges of the page asked for.

    The address takes the parameters of `TaskFilterForm`.
    """

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        self.form = TaskFilterForm(request.GET)
        self.jobs = list(Job.objects.order_by("name").values_list("pk", "name")[: JOBS_OFFERED + 1])
        self.before, self.after = (_number(request.GET.get(name)) for name in ("before", "after"))
        super().__init__(request, *args, **kwargs)

    @property
    def jobs_offered(self) -> list[tuple[str, str]]:
        return self.jobs[:JOBS_OFFERED]

    @property
    def are_more_jobs(self) -> bool:
        return len(self.jobs) > JOBS_OFFERED

    @property
    def hidden_filters(self) -> list[tuple[forms.BoundField, str, str]]:
        """Those that are on: the field, its value as it is shown, and the address without it."""
        return [
            (
                field,
                moment(value) if isinstance(value, datetime) else value,
                self.get_query_string(remove=[field.name, "before", "after"]),
            )
            for field in self.form.hidden_fields()
            if (value := self.form.cleaned_data.get(field.name))
        ]

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        left: dict[str, Any] = super().get_filters_params(params)
        own = {*self.form.fields, "before", "after"}
        return {name: value for name, value in left.items() if name not in own}

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Task]:
        tasks: QuerySet[Task] = super().get_queryset(request, exclude_parameters)
        if not self.form.is_valid():
            # A list that left out a filter would be taken for what was asked for.
            self.narrowing = Narrowing()
            return tasks.none()
        self.narrowing = narrowing_of(self.form.cleaned_data)
        self.indexed_tasks = tasks.filter(self.narrowing.indexed)
        seconds = Seconds(F("finished_at"), F("started_at"))
        return self.indexed_tasks.alias(seconds=seconds).filter(self.narrowing.others)

    def get_results(self, request: HttpRequest) -> None:
        self.result_list, self.paginator = self._page()
        self.result_count = len(self.result_list)
        # The same, since it is not known: Unfold then says nothing of it.
        self.full_result_count = self.result_count
        self.show_full_result_count = False
        self.can_show_all = self.multi_page = False

    def _page(self) -> tuple[list[Task], Pages]:
        if not self.form.is_valid():
            return [], Pages()
        if self.after is not None:
            tasks, edge, is_more = self._look(newer_than=self.after)
            if is_more:
                return tasks, self._pages(newer=tasks[0].pk if edge is None else edge, older=self.after + 1)
            # All that is newer fits: that is the first page, with what is older to fill it.
        before = self.before if self.after is None else None
        tasks, edge, is_more = self._look(older_than=before)
        older = (tasks[-1].pk if edge is None else edge) if is_more else None
        newer = None if before is None else before - 1
        return tasks, self._pages(newer=newer, older=older, looked_down_to=edge if is_more else None)

    def _look(
        self, *, older_than: int | None = None, newer_than: int | None = None
    ) -> tuple[list[Task], int | None, bool]:
        """The page's Tasks; where the looking ended, if before the page was full; whether there may be more."""
        up = newer_than is not None
        order = "pk" if up else "-pk"
        # One bound at each end: of two, SQLite reads up to the first that is written, however far off it is.
        first, last = self.narrowing.first, self.narrowing.last
        if newer_than is not None:
            first = max(first, newer_than + 1)
        if older_than is not None:
            last = min(last, older_than - 1)
        edge = self._edge(first, last, order) if self.narrowing.others else None
        if edge is not None:
            first, last = (first, edge) if up else (edge, last)
        found = list(self.queryset.filter(pk__range=(first, last)).order_by(order)[: self.list_per_page + 1])
        is_full = len(found) > self.list_per_page
        tasks = found[: self.list_per_page]
        return tasks[::-1] if up else tasks, None if is_full else edge, is_full or edge is not None

    def _edge(self, first: int, last: int, order: str) -> int | None:
        """The last Task to be looked at for what has no index; None: all are."""
        candidates = self.indexed_tasks.filter(pk__range=(first, last)).order_by(order).values_list("pk", flat=True)
        return candidates[LOOKED_THROUGH : LOOKED_THROUGH + 1].first()

    def _pages(self, *, newer: int | None, older: int | None, looked_down_to: int | None = None) -> Pages:
        return Pages(
            newer="" if newer is None else self.get_query_string({"after": newer}, ["before", "after"]),
            older="" if older is None else self.get_query_string({"before": older}, ["before", "after"]),
            looked_down_to=looked_down_to,
        )


def _number(text: str | None) -> int | None:
    return int(text) if text and len(text) <= 18 and text.isascii() and text.isdecimal() else None
