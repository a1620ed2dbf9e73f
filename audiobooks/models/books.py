"""Works and books. A work is what people mean by a book; a Book is one recording of it (an edition)."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Prefetch

from audiobooks.library.base import PATH_CHARACTERS

from .library import Author, Genre, Narrator, Series


class Work(models.Model):
    """What the recordings of one book have in common. `key` is of its title alone: authors and volumes tell works apart."""

    title = models.CharField(max_length=512)
    key = models.CharField(max_length=255, db_index=True, editable=False)

    class Meta:
        ordering = ["title"]

    def __str__(self) -> str:
        return self.title


class Book(models.Model):
    """One recording: in the library, wanted, or only known of.

    provenance: field -> {"source", "at", "locked"?, "offered"?}; see `audiobooks.fields`.
    """

    class Standing(models.TextChoices):
        OWNED = "owned"
        WANTED = "wanted"
        KNOWN = "known"

    work = models.ForeignKey(Work, on_delete=models.PROTECT, related_name="books")
    standing = models.CharField(max_length=8, choices=Standing, default=Standing.OWNED, db_index=True)
    path = models.CharField(
        max_length=PATH_CHARACTERS, unique=True, null=True, blank=True, help_text="Relative to the library folder."
    )
    title = models.CharField(max_length=512)
    subtitle = models.CharField(max_length=512, blank=True)
    authors = models.ManyToManyField(Author, through="Authorship", related_name="books")
    narrators = models.ManyToManyField(Narrator, through="Reading", related_name="books")
    genres = models.ManyToManyField(Genre, related_name="books", blank=True)
    description = models.TextField(blank=True)
    language = models.CharField(max_length=64, blank=True, help_text="ISO 639-1, such as en.")
    runtime = models.DurationField(null=True, blank=True, help_text="Of all its files together.")
    asin = models.CharField("ASIN", max_length=16, blank=True, db_index=True)
    isbn = models.CharField("ISBN", max_length=20, blank=True, db_index=True)
    publisher = models.CharField(max_length=255, blank=True)
    released = models.CharField(max_length=10, blank=True, help_text="YYYY, YYYY-MM or YYYY-MM-DD.")
    abridged = models.BooleanField(null=True, blank=True, help_text="Unknown where neither tags nor names say it.")
    cover_url = models.CharField(max_length=1000, blank=True, help_text="Where the cover comes from.")
    cover = models.CharField(max_length=100, blank=True, editable=False, help_text="Its file in the folder of covers.")
    provenance = models.JSONField(default=dict, blank=True, editable=False)
    added_at = models.DateTimeField(auto_now_add=True, db_index=True)
    tried_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When a refresh last asked about it."
    )
    refreshed_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When a provider last described it."
    )
    missing_since = models.DateTimeField(
        null=True, blank=True, help_text="When a scan first found none of its files; absence never deletes."
    )

    names_read: dict[str, list[Any]] | None = None
    """Its names as `fields.read_names` found them, until they are written."""

    class Meta:
        ordering = ["title"]
        indexes = [
            models.Index(fields=["title"], name="book_by_title"),
            models.Index(fields=["tried_at", "id"], name="book_by_try"),
            # The list's filters, in the list's order.
            models.Index(fields=["standing", "title"], name="book_by_standing"),
            models.Index(fields=["language", "title"], name="book_by_language"),
            models.Index(fields=["title"], condition=models.Q(cover=""), name="book_without_cover"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def author_names(self) -> list[str]:
        """In order; no query where `with_names()` gave the book."""
        return [one.author.name for one in self.authorships.all()]

    @property
    def narrator_names(self) -> list[str]:
        return [one.narrator.name for one in self.readings.all()]


class Authorship(models.Model):
    book = models.ForeignKey(Book, on_delete=models.CASCADE, related_name="authorships")
    author = models.ForeignKey(Author, on_delete=models.CASCADE, related_name="authorships")
    number = models.PositiveSmallIntegerField(help_text="Place in the list of the book's authors, from 0.")

    class Meta:
        ordering = ["number", "pk"]
        constraints = [models.UniqueConstraint(fields=["book", "author"], name="author_once")]

    def __str__(self) -> str:
        return str(self.author)


class Reading(models.Model):
    book = models.ForeignKey(Book, on_delete=models.CASCADE, related_name="readings")
    narrator = models.ForeignKey(Narrator, on_delete=models.CASCADE, related_name="readings")
    number = models.PositiveSmallIntegerField(help_text="Place in the list of the book's narrators, from 0.")

    class Meta:
        ordering = ["number", "pk"]
        constraints = [models.UniqueConstraint(fields=["book", "narrator"], name="narrator_once")]

    def __str__(self) -> str:
        return str(self.narrator)


class SeriesEntry(models.Model):
    """A book's place in a series; a book may be in several."""

    book = models.ForeignKey(Book, on_delete=models.CASCADE, related_name="series_entries")
    series = models.ForeignKey(Series, on_delete=models.CASCADE, related_name="entries")
    position = models.CharField(max_length=32, blank=True, help_text="As text: 1, 0.5, 1-3.")
    order = models.FloatField(null=True, blank=True, help_text="The first number of the position.")

    class Meta:
        ordering = ["order", "position", "pk"]
        constraints = [models.UniqueConstraint(fields=["book", "series"], name="once_in_a_series")]
        verbose_name_plural = "series entries"

    def __str__(self) -> str:
        return f"{self.series} {self.position}".strip()


class LibraryFile(models.Model):
    """An audio file. Size and change time tell the next scan whether it must be read again."""

    book = models.ForeignKey(Book, on_delete=models.CASCADE, related_name="files")
    path = models.CharField(max_length=PATH_CHARACTERS, unique=True, help_text="Relative to the library folder.")
    size = models.BigIntegerField(help_text="Bytes.")
    modified_ns = models.BigIntegerField(help_text="Nanoseconds since 1970.")
    format = models.CharField(max_length=8)
    duration = models.DurationField(null=True, blank=True)
    tags = models.JSONField(
        default=dict, blank=True, help_text="What the scan read, for the book's other files to be joined with."
    )
    error = models.TextField(blank=True, help_text="Why it could not be read.")
    missing_since = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["path"]

    def __str__(self) -> str:
        return self.path


class Holding(models.Model):
    """A book in a library that is no folder of ours: an item of an Audiobookshelf server, or a row of an export."""

    book = models.ForeignKey(Book, on_delete=models.CASCADE, related_name="holdings")
    library = models.CharField(max_length=100, help_text="Such as audiobookshelf:LIBRARY or libation.")
    item = models.CharField(max_length=255, help_text="The library's own identifier of it.")
    path = models.CharField(max_length=PATH_CHARACTERS, blank=True)
    name = models.CharField(
        max_length=255, blank=True, db_index=True, editable=False, help_text="The last part of the path."
    )
    formats = models.JSONField(default=list, blank=True)
    size = models.BigIntegerField(null=True, blank=True, help_text="Bytes.")
    seen_at = models.DateTimeField(help_text="When the library last named it.")
    missing_since = models.DateTimeField(
        null=True, blank=True, help_text="Since when no recording of it is there; absence never deletes."
    )
    written = models.JSONField(
        default=dict, blank=True, editable=False, help_text="Field -> digest of our value that was written there last."
    )

    class Meta:
        ordering = ["library", "item"]
        constraints = [models.UniqueConstraint(fields=["library", "item"], name="held_once")]

    def __str__(self) -> str:
        return f"{self.library}: {self.path or self.item}"


def with_names(books: models.QuerySet[Book]) -> models.QuerySet[Book]:
    """With authors, narrators, genres and series at hand: five queries for any number of books."""
    looks: Any = (
        Prefetch("authorships", Authorship.objects.select_related("author")),
        Prefetch("readings", Reading.objects.select_related("narrator")),
        Prefetch("series_entries", SeriesEntry.objects.select_related("series")),
        "genres",
    )
    return books.prefetch_related(*looks)
