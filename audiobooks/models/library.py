"""The library as the scan found it: books, who wrote and read them, their series, and their files."""

from __future__ import annotations

from django.db import models

from audiobooks.library.base import PATH_CHARACTERS


class Named(models.Model):
    """A name as it was first seen, and the key by which other spellings of it are recognised."""

    name = models.CharField(max_length=255)
    key = models.CharField(max_length=255, unique=True, editable=False)

    class Meta:
        abstract = True
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Author(Named):
    pass


class Narrator(Named):
    pass


class Series(Named):
    class Meta(Named.Meta):
        verbose_name_plural = "series"


class Book(models.Model):
    """One recording in the library: a folder of parts, or a single file."""

    path = models.CharField(max_length=PATH_CHARACTERS, unique=True, help_text="Relative to the library folder.")
    title = models.CharField(max_length=512)
    subtitle = models.CharField(max_length=512, blank=True)
    authors = models.ManyToManyField(Author, related_name="books", blank=True)
    narrators = models.ManyToManyField(Narrator, related_name="books", blank=True)
    language = models.CharField(max_length=64, blank=True)
    runtime = models.DurationField(null=True, blank=True, help_text="Of all its files together.")
    asin = models.CharField("ASIN", max_length=16, blank=True, db_index=True)
    isbn = models.CharField("ISBN", max_length=20, blank=True, db_index=True)
    publisher = models.CharField(max_length=255, blank=True)
    year = models.CharField(max_length=4, blank=True)
    abridged = models.BooleanField(null=True, blank=True, help_text="Unknown where neither tags nor names say it.")
    added_at = models.DateTimeField(auto_now_add=True, db_index=True)
    missing_since = models.DateTimeField(
        null=True, blank=True, help_text="When a scan first found none of its files; absence never deletes."
    )

    class Meta:
        ordering = ["title"]
        indexes = [models.Index(fields=["title"], name="book_by_title")]

    def __str__(self) -> str:
        return self.title


class SeriesEntry(models.Model):
    """A book's place in a series; a book may be in several."""

    book = models.ForeignKey(Book, on_delete=models.CASCADE, related_name="series_entries")
    series = models.ForeignKey(Series, on_delete=models.CASCADE, related_name="entries")
    position = models.CharField(max_length=32, blank=True, help_text="As text: 1, 0.5, 1-3.")
    order = models.FloatField(null=True, blank=True, help_text="The first number of the position.")

    class Meta:
        ordering = ["order", "position"]
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
