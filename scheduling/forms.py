"""The forms of the admin: a Job, its schedule alone for the preview, and what is asked before run now and pause."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.fields import InvalidJSONInput
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from unfold.widgets import (
    UnfoldAdminExpandableTextareaWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSplitDateTimeWidget,
    UnfoldAdminTextInputWidget,
)

from .arguments import NOT_STORABLE, is_storable
from .exceptions import UnknownJob
from .models import Job
from .registry import registry


class ArgumentsField(forms.JSONField):
    """JSON that every database keeps. Nothing is shown as nothing, not as `null`."""

    def to_python(self, value: Any) -> Any:
        try:
            found = super().to_python(value)
        except (ValueError, RecursionError):
            # A number of thousands of digits, or brackets without end.
            raise ValidationError(self.error_messages["invalid"], code="invalid") from None
        if not is_storable(found):
            raise ValidationError(NOT_STORABLE, code="invalid")
        return found

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What was typed, to the letter where it cannot be read."""
        try:
            self.to_python(data)
        except ValidationError:
            return InvalidJSONInput(data.encode("utf-8", "backslashreplace").decode())
        return super().bound_data(data, initial)

    def prepare_value(self, value: Any) -> Any:
        return "" if value is None else super().prepare_value(value)


class KeptMomentField(forms.SplitDateTimeField):
    """Left as it was shown, it is what is stored: with its microseconds, and of an hour that the clocks show twice."""

    stored: datetime | None = None

    def compress(self, data_list: Any) -> datetime | None:
        if self.stored is not None and data_list:
            shown = timezone.localtime(self.stored).replace(microsecond=0, tzinfo=None)
            if datetime.combine(*data_list) == shown:
                return self.stored
        found: datetime | None = super().compress(data_list)
        return found


class JobForm(forms.ModelForm):  # type: ignore[type-arg]
    """What runs, when, under which policy. Everything is checked by `Job.clean`."""

    function = forms.ChoiceField(label="Task function", widget=UnfoldAdminSelectWidget, help_text="What is run.")
    arguments = ArgumentsField(
        required=False,
        initial=dict,
        widget=UnfoldAdminExpandableTextareaWidget(attrs={"rows": 2}),
        help_text='Named arguments as JSON, e.g. {"limit": 20}.',
        error_messages={"invalid": 'This is not JSON. Write e.g. {"limit": 20}, with double quotes.'},
    )
    seen = forms.CharField(required=False, widget=forms.HiddenInput)
    """The definition that the person saw, as `_fingerprint`."""

    class Meta:
        model = Job
        exclude = ()
        field_classes = {"anchor": KeptMomentField, "run_at": KeptMomentField}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stored_function = "" if self.instance._state.adding else self.instance.function
        if not self.instance._state.adding:
            self.initial["seen"] = _fingerprint(self.instance)
        if function := self.fields.get("function"):
            function.choices = self._function_choices()  # type: ignore[attr-defined]
        for name in ("anchor", "run_at"):
            if field := self.fields.get(name):
                field.stored = self.initial.get(name)  # type: ignore[attr-defined]
                field.help_text = f"{field.help_text} In the time zone {timezone.get_current_timezone_name()}."

    def _function_choices(self) -> list[tuple[str, str]]:
        choices = registry.choices()
        current = self._stored_function
        if current and current not in registry:
            choices.insert(0, (current, f"{current} – unresolvable: this program has no such function"))
        return choices

    def clean(self) -> dict[str, Any]:
        """Refuses to undo what somebody else saved since the person opened the page; saving once more does."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.instance._state.adding or not cleaned.get("seen"):
            return cleaned
        try:
            # The lock holds until the view's transaction ends.
            now = _fingerprint(Job.objects.locked(self.instance.pk))
        except UnknownJob:
            raise ValidationError("Somebody has deleted this Job meanwhile.") from None
        if cleaned["seen"] != now:
            self.data = MultiValueDict({**dict(self.data.lists()), self.add_prefix("seen"): [now]})  # type: ignore[attr-defined]
            raise ValidationError(
                "Somebody has saved this Job since you opened it. Look at it in another window; saving once more "
                "puts yours in its place."
            )
        return cleaned

    def clean_arguments(self) -> Any:
        """Left empty, the field means no arguments."""
        arguments = self.cleaned_data["arguments"]
        return {} if arguments is None else arguments

    def add_error(self, field: str | None, error: Any) -> None:
        """What `Job.clean` finds wrong in a field that could not even be read is not said again.

        A Job whose function is not here can still be edited, e.g. by the web page of another program.
        """
        problems = getattr(error, "error_dict", None) if field is None else None
        if problems is None:
            super().add_error(field, error)
            return
        left = {name: errors for name, errors in problems.items() if name not in self.errors}
        if self._stored_function not in registry and self.cleaned_data.get("function") == self._stored_function:
            left.pop("function", None)
        if left:
            super().add_error(None, ValidationError(left))


class ScheduleForm(forms.Form):
    """The schedule of a Job that is being edited, for its preview; the names are those of `JobForm`."""

    trigger = forms.ChoiceField(choices=Job.TriggerKind.choices)
    cron = forms.CharField(required=False, max_length=255)
    interval = forms.DurationField(required=False)
    anchor = KeptMomentField(required=False, widget=UnfoldAdminSplitDateTimeWidget)
    run_at = KeptMomentField(required=False, widget=UnfoldAdminSplitDateTimeWidget)
    timezone = forms.CharField(required=False, max_length=64)

    def __init__(self, data: Any, *, stored: Job | None = None) -> None:
        super().__init__(data)
        for name in ("anchor", "run_at"):
            self.fields[name].stored = getattr(stored, name, None)  # type: ignore[attr-defined]

    def job(self) -> Job:
        """An unsaved Job with this schedule.

        Raises:
            ValidationError: a field cannot be read.
        """
        return Job(**checked(self), created_at=timezone.now())


def _fingerprint(job: Job) -> str:
    """Of the definition, which a pause is no part of."""
    text = json.dumps([job.definition(), job.anchor], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


class PauseEverythingForm(forms.Form):
    """Why everything is paused; may be left open."""

    reason = forms.CharField(
        required=False,
        max_length=255,
        widget=UnfoldAdminTextInputWidget,
        help_text="Shown on every page until it is resumed.",
    )


class PauseForm(forms.Form):
    """Why, and until when; both may be left open."""

    reason = forms.CharField(required=False, max_length=255, widget=UnfoldAdminTextInputWidget)
    until = forms.DateTimeField(
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local", "step": "60"}),
        error_messages={"invalid": "The end of the pause is not a date and time. Write e.g. 2026-12-24T08:00."},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields[
            "until"
        ].help_text = f"In the time zone {timezone.get_current_timezone_name()}; empty means until it is resumed."

    def clean_until(self) -> datetime | None:
        until: datetime | None = self.cleaned_data["until"]
        if until is not None and until <= timezone.now():
            raise ValidationError("The end of the pause must be in the future.")
        return until


def checked(form: forms.Form) -> dict[str, Any]:
    """The form's values.

    Raises:
        ValidationError: something in it is wrong; its messages are sentences.
    """
    if not form.is_valid():
        raise ValidationError([message for errors in form.errors.as_data().values() for message in errors])
    return form.cleaned_data
