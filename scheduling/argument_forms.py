"""A form for the arguments of a task function, made from its signature."""

from __future__ import annotations

import json
import typing
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Literal

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.html import escape
from unfold.widgets import (
    UnfoldAdminExpandableTextareaWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from .arguments import NOT_STORABLE, Parameter, alternatives, from_text, is_storable
from .exceptions import ArgumentError
from .registry import TaskFunction

NoneType = type(None)
NOT_GIVEN: Any = object()
"""Of a field left alone or empty: the function's own default counts."""
PREFIX = "argument"
"""Before the names of the fields, which are those of somebody's arguments."""


class ArgumentsForm(forms.Form):
    """A field per parameter, filled with the Job's arguments. `cleaned_arguments` are JSON, checked as a whole.

    What is left as it was shown is taken as it is stored, or is left to the function where nothing is.
    """

    def __init__(self, function: TaskFunction, stored: Mapping[str, Any], data: Any = None) -> None:
        super().__init__(data, prefix=PREFIX)
        self.function, self._stored = function, stored
        self.cleaned_arguments: dict[str, Any] = {}
        for parameter in function.parameters:
            value = stored.get(parameter.name, parameter.default)
            self.fields[parameter.name] = field_for(parameter, as_stored(value))
        self._owed = {parameter.name for parameter in function.parameters if parameter.required}

    def clean(self) -> dict[str, Any]:
        changed = set(self.changed_data)
        given = {}
        for name, value in self.cleaned_data.items():
            if name not in changed and (name in self._stored or name not in self._owed):
                value = self._stored.get(name, NOT_GIVEN)
            if value is not NOT_GIVEN:
                given[name] = value
        try:
            if not self.errors:
                self.function.check_arguments(given)
        except ArgumentError as error:
            for name, text in error.problems.items():
                self.add_error(name if name in self.fields else None, text)
        self.cleaned_arguments = given
        return self.cleaned_data


def as_stored(value: Any) -> Any:
    """A default as JSON would have it."""
    return value.isoformat() if isinstance(value, date) else value


def field_for(parameter: Parameter, value: Any) -> forms.Field:
    """The field for a parameter, showing a JSON value; its clean value is JSON or `NOT_GIVEN`."""
    kinds = [kind for kind in alternatives(parameter.type) if kind is not NoneType and kind is not None]
    may_be_none = len(kinds) < len(alternatives(parameter.type))
    kind = kinds[0] if len(kinds) == 1 else Any
    words = f"{parameter.type_in_words.capitalize()}."
    common: dict[str, Any] = {
        "label": parameter.name,
        "required": parameter.required and not may_be_none,
        # Escaped here: the template that shows it takes it for HTML.
        "help_text": escape(f"{parameter.help} {words}".strip()),
        "initial": value,
    }
    if kind is bool and not may_be_none and isinstance(value, bool):
        return SwitchField(**{**common, "required": False})
    if kind is bool or typing.get_origin(kind) is Literal:
        values = list(typing.get_args(kind)) if kind is not bool else [True, False]
        if may_be_none and None not in values:
            values.insert(0, None)
        return OneOfField(values, **common)
    if kind in (int, float, date, datetime) and _fits_its_input(value, kind):
        return _PLAIN_FIELDS[kind](empty=None if may_be_none else NOT_GIVEN, **common)
    if kind is str and isinstance(value, str | None):
        return TextField(empty=None if may_be_none else "", **common)
    return AnyField(parameter.type, **common)


def _fits_its_input(value: Any, kind: type) -> bool:
    """Whether what is stored can be shown in the input of its type, or is nothing."""
    if value is None:
        return True
    if kind in (int, float):
        return isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    try:
        return isinstance(value, str) and bool(_shown_moment(value) if kind is datetime else date.fromisoformat(value))
    except (ValueError, OverflowError):
        return False


def _shown_moment(text: str) -> str:
    """As the input wants it, in the zone of the person who looks."""
    moment = datetime.fromisoformat(text)
    return f"{timezone.localtime(moment) if moment.tzinfo else moment:%Y-%m-%dT%H:%M:%S}"


class _EmptyMeans:
    """A field of which an empty input has a meaning of its own."""

    def __init__(self, *, empty: Any, **options: Any) -> None:
        self._empty = empty
        super().__init__(**options)

    def clean(self, value: Any) -> Any:
        found = super().clean(value)  # type: ignore[misc]
        return self._empty if found in (None, "") else self.as_json(found)

    @staticmethod
    def as_json(found: Any) -> Any:
        if not is_storable(found):
            raise ValidationError(NOT_STORABLE)
        return found


def _input(kind: str, **attributes: str) -> UnfoldAdminTextInputWidget:
    return UnfoldAdminTextInputWidget(attrs={"type": kind, **attributes})


class WholeNumberField(_EmptyMeans, forms.IntegerField):
    def __init__(self, **options: Any) -> None:
        # Not type=number, in which browsers round what is too long for them.
        super().__init__(widget=_input("text", inputmode="numeric"), **options)


class NumberField(_EmptyMeans, forms.FloatField):
    def __init__(self, **options: Any) -> None:
        super().__init__(widget=_input("text", inputmode="decimal"), **options)


class TextField(_EmptyMeans, forms.CharField):
    def __init__(self, **options: Any) -> None:
        super().__init__(
            widget=UnfoldAdminExpandableTextareaWidget(attrs={"rows": 1}),
            strip=False,
            error_messages={"null_characters_not_allowed": NOT_STORABLE},
            **options,
        )

    def to_python(self, value: Any) -> Any:
        # As it was stored: a browser sends line ends of its own.
        text = super().to_python(value)
        return text.replace("\r\n", "\n") if isinstance(text, str) else text

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(initial, self.to_python(data))


class DayField(_EmptyMeans, forms.DateField):
    def __init__(self, *, initial: Any, **options: Any) -> None:
        day = date.fromisoformat(initial) if initial else None
        super().__init__(widget=_input("date"), initial=day, **options)

    def prepare_value(self, value: Any) -> Any:
        return value.isoformat() if isinstance(value, date) else value

    @staticmethod
    def as_json(found: Any) -> Any:
        return found.isoformat()


class MomentField(_EmptyMeans, forms.DateTimeField):
    """In the time zone of the person who looks, to the second.

    Left as it was shown, it is what is stored, also where the clocks show that time twice.
    """

    def __init__(self, *, initial: Any, help_text: str, **options: Any) -> None:
        self._stored = initial
        super().__init__(
            widget=_input("datetime-local", step="1"),
            initial=_shown_moment(initial) if initial else "",
            help_text=f"{help_text} In the time zone {timezone.get_current_timezone_name()}.",
            **options,
        )

    def has_changed(self, initial: Any, data: Any) -> bool:
        # Browsers leave seconds out where there are none.
        return (data or "") not in (initial, initial.removesuffix(":00"))

    def clean(self, value: Any) -> Any:
        return self._stored if self._stored and not self.has_changed(self.initial, value) else super().clean(value)

    @staticmethod
    def as_json(found: Any) -> Any:
        return found.isoformat()


class SwitchField(forms.BooleanField):
    def __init__(self, **options: Any) -> None:
        super().__init__(widget=UnfoldBooleanSwitchWidget, **options)


class OneOfField(forms.ChoiceField):
    """One of some JSON values."""

    def __init__(self, values: list[Any], *, initial: Any, required: bool, **options: Any) -> None:
        self._values = {json.dumps(value): value for value in values}
        choices = [(key, _choice(value)) for key, value in self._values.items()]
        shown = json.dumps(initial)
        if shown not in self._values:
            choices.insert(0, ("", "–"))
            shown = ""
        super().__init__(choices=choices, initial=shown, required=required, widget=UnfoldAdminSelectWidget, **options)

    def clean(self, value: Any) -> Any:
        key = super().clean(value)
        return self._values[key] if key else NOT_GIVEN


def _choice(value: Any) -> str:
    return {True: "yes", False: "no", None: "–"}[value] if value is None or isinstance(value, bool) else str(value)


class AnyField(forms.CharField):
    """JSON, or whatever `arguments.from_text` reads as the type that is wanted."""

    def __init__(self, wanted: Any, *, initial: Any, help_text: str, required: bool, **options: Any) -> None:
        self._wanted = wanted
        shown = "" if initial is None else json.dumps(initial, ensure_ascii=False)
        super().__init__(
            widget=UnfoldAdminExpandableTextareaWidget(attrs={"rows": 2}),
            strip=False,
            initial=shown,
            required=required,
            help_text=f"{help_text} Written as JSON.",
            error_messages={"null_characters_not_allowed": NOT_STORABLE},
            **options,
        )

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text.strip():
            return None if NoneType in alternatives(self._wanted) else NOT_GIVEN
        found = self._read(text.replace("\r\n", "\n"))
        if not is_storable(found):
            raise ValidationError(NOT_STORABLE)
        return found

    def _read(self, text: str) -> Any:
        kinds = {typing.get_origin(kind) or kind for kind in alternatives(self._wanted)}
        if not (text.lstrip()[:1] in ("[", "{") and kinds & {list, dict}):
            return from_text(text, self._wanted)
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise ValidationError('This is not JSON. Write e.g. ["a", "b"] or {"a": 1}, with double quotes.') from None


_PLAIN_FIELDS: dict[Any, Callable[..., forms.Field]] = {
    int: WholeNumberField,
    float: NumberField,
    date: DayField,
    datetime: MomentField,
}
