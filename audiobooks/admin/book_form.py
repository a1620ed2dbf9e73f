"""The form of a book's fields. What its person does not change is not checked, and not written."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import ProhibitNullCharactersValidator
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from audiobooks.display import label_of, place_in_words
from audiobooks.fields import FIELDS, TEXTS, Value
from audiobooks.library.albums import key_of

HELP = {
    "language": "ISO 639-1, such as en or de.",
    "released": "YYYY, YYYY-MM or YYYY-MM-DD.",
    "asin": "Ten letters and digits, such as B002V5D7WW.",
    "isbn": "Ten or thirteen digits.",
    "cover_url": "https; the cover is fetched from there at the next refresh.",
    "runtime": "Hours and minutes, such as 12:05.",
    "abridged": "",
    "authors": "One a line, in order.",
    "narrators": "One a line, in order.",
    "genres": "One a line.",
    "series": "One a line, with the position behind #: Discworld #8. A position is text: 1, 0.5, 1-3.",
}
_PLACE = re.compile(r"(?P<series>.+?)\s*#\s*(?P<position>[^#]*)")
_RUNTIME = re.compile(r"(\d{1,4}):([0-5]\d)(?::([0-5]\d))?")


class RuntimeField(forms.CharField):
    """Whole seconds, written as hours and minutes, with seconds where there are some."""

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, int):
            return value
        hours, rest = divmod(value, 3600)
        text = f"{hours}:{rest // 60:02}"
        return f"{text}:{rest % 60:02}" if rest % 60 else text

    def to_python(self, value: Any) -> Any:
        if not (text := str(value or "").strip()):
            return None
        if not (parts := _RUNTIME.fullmatch(text)):
            raise ValidationError("Write hours and minutes, such as 12:05.")
        return int(parts[1]) * 3600 + int(parts[2]) * 60 + int(parts[3] or 0)


class LinesField(forms.CharField):
    """A list, one a line."""

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        # Of a list the validators of text see nothing.
        ProhibitNullCharactersValidator()(value or "")
        return [line.strip() for line in (value or "").splitlines() if line.strip()]


class PlacesField(LinesField):
    """Places in series. `kept`: those that the book has; their lines mean them, also where a name holds a #."""

    def __init__(self, *, kept: list[list[str]], **options: Any) -> None:
        super().__init__(**options)
        self._kept = {place_in_words(*place).strip(): place for place in kept}

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(place_in_words(*place) for place in value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return [self._kept.get(line) or _place(line) for line in super().to_python(value)]


def _place(line: str) -> list[str]:
    found = _PLACE.fullmatch(line)
    return [found["series"], found["position"].strip()] if found else [line, ""]


class BookForm(forms.Form):
    """`changed` are the fields of which the person changed what the page showed, with their new values."""

    def __init__(self, values: dict[str, Value], data: Any = None) -> None:
        super().__init__(data, initial=values, auto_id="book_%s")
        for name in FIELDS:
            self.fields[name] = _field(name, values)

    def clean(self) -> dict[str, Any]:
        for name in self.changed_data:
            value = self.cleaned_data.get(name)
            if value and name in _CHECKS:
                try:
                    self.cleaned_data[name] = _CHECKS[name](value)
                except ValidationError as error:
                    self.add_error(name, error)
        return self.cleaned_data

    @property
    def changed(self) -> dict[str, Value]:
        return {name: self.cleaned_data[name] for name in self.changed_data}


def _field(name: str, values: dict[str, Value]) -> forms.Field:
    # What the page showed comes back with it, so that a value which a refresh wrote in the meantime is not put back.
    options: dict[str, Any] = {
        "label": label_of(name).capitalize() if name not in ("asin", "isbn") else label_of(name),
        "help_text": HELP.get(name, ""),
        "required": name == "title",
        "show_hidden_initial": True,
    }
    if name == "abridged":
        choices = [("", "unknown"), ("True", "yes"), ("False", "no")]
        return forms.TypedChoiceField(
            choices=choices,
            coerce=lambda text: text == "True",
            empty_value=None,
            widget=UnfoldAdminSelectWidget,
            **options,
        )
    if name == "runtime":
        return RuntimeField(widget=UnfoldAdminTextInputWidget, **options)
    if name == "series":
        kept = values.get(name) or []
        return PlacesField(kept=kept, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}), **options)
    if name in ("authors", "narrators", "genres"):
        return LinesField(widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}), **options)
    if name == "description":
        return forms.CharField(max_length=TEXTS[name], widget=UnfoldAdminTextareaWidget(attrs={"rows": 8}), **options)
    return forms.CharField(max_length=TEXTS[name], widget=UnfoldAdminTextInputWidget, **options)


# --- checks -----------------------------------------------------------------------------------------------------------


def _names(names: list[str]) -> list[str]:
    seen: set[str] = set()
    for name in names:
        if not (key := key_of(name)):
            raise ValidationError(f"“{name}” has no letter or digit.")
        if len(name) > 255:
            raise ValidationError(f"“{name[:40]}…” has more than 255 characters.")
        if key in seen:
            raise ValidationError(f"“{name}” is there twice.")
        seen.add(key)
    return names


def _places(places: list[list[str]]) -> list[list[str]]:
    _names([series for series, _ in places])
    for series, position in places:
        if len(position) > 32:
            raise ValidationError(f"The position in “{series}” has more than 32 characters.")
    return places


def _released(text: str) -> str:
    is_date = re.fullmatch(r"\d{4}(-\d\d){0,2}", text)
    try:
        # What is left out is the first.
        date.fromisoformat(text + "-01-01"[len(text) - 4 :] if is_date else "")
    except ValueError:
        raise ValidationError("Write YYYY, YYYY-MM or YYYY-MM-DD, a day that there is.") from None
    return text


def _language(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{2,3}", text):
        raise ValidationError("Write the code of the language, such as en or de.")
    return text.lower()


def _asin(text: str) -> str:
    if not re.fullmatch(r"[A-Z0-9]{10}", text.upper()):
        raise ValidationError("An ASIN has ten letters and digits.")
    return text.upper()


def _isbn(text: str) -> str:
    digits = re.sub(r"[\s-]", "", text).upper()
    if re.fullmatch(r"\d{13}", digits):
        is_right = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits)) % 10 == 0
    elif re.fullmatch(r"\d{9}[\dX]", digits):
        values = (10 if digit == "X" else int(digit) for digit in digits)
        is_right = sum(value * (10 - place) for place, value in enumerate(values)) % 11 == 0
    else:
        raise ValidationError("An ISBN has ten or thirteen digits.")
    if not is_right:
        raise ValidationError("Its check digit is wrong: a digit is mistyped.")
    return digits


def _cover_url(text: str) -> str:
    if not re.fullmatch(r"https://[^\s/]+/\S*", text):
        raise ValidationError("Write an address that begins with https://.")
    return text


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "authors": _names,
    "narrators": _names,
    "genres": _names,
    "series": _places,
    "released": _released,
    "language": _language,
    "asin": _asin,
    "isbn": _isbn,
    "cover_url": _cover_url,
}
