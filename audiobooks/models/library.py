"""Who and what books are known by: authors, narrators, series and genres, each with the other names it goes by."""

from __future__ import annotations

from django.db import models


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


class Genre(Named):
    enabled = models.BooleanField(default=False, help_text="Whether the weekly top 10 looks at it.")


class Alias(models.Model):
    """Another name of the same, from a merge or a person; a source that uses it means `of`."""

    name = models.CharField(max_length=255)
    key = models.CharField(max_length=255, unique=True, editable=False)

    class Meta:
        abstract = True
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class AuthorAlias(Alias):
    of = models.ForeignKey(Author, on_delete=models.CASCADE, related_name="aliases")

    class Meta(Alias.Meta):
        verbose_name_plural = "author aliases"


class NarratorAlias(Alias):
    of = models.ForeignKey(Narrator, on_delete=models.CASCADE, related_name="aliases")

    class Meta(Alias.Meta):
        verbose_name_plural = "narrator aliases"


class SeriesAlias(Alias):
    of = models.ForeignKey(Series, on_delete=models.CASCADE, related_name="aliases")

    class Meta(Alias.Meta):
        verbose_name_plural = "series aliases"


class GenreAlias(Alias):
    """What sources call the genre: "Sci-Fi & Fantasy: Space Opera" and the like."""

    of = models.ForeignKey(Genre, on_delete=models.CASCADE, related_name="aliases")

    class Meta(Alias.Meta):
        verbose_name_plural = "genre aliases"


class Merge(models.Model):
    """One author, narrator, series or genre was made part of another; kept so that it can be undone."""

    class Kind(models.TextChoices):
        AUTHOR = "author"
        NARRATOR = "narrator"
        SERIES = "series"
        GENRE = "genre"

    kind = models.CharField(max_length=16, choices=Kind)
    kept = models.BigIntegerField(help_text="Key of the row that stayed.")
    name = models.CharField(max_length=255, help_text="Of the row that is gone.")
    key = models.CharField(max_length=255)
    aliases = models.JSONField(default=list, help_text="[name, key] of each alias that the gone row had.")
    links = models.JSONField(
        default=list,
        help_text="[book, place there, whether it hung on both rows, place on the kept row] of each of the gone row's books.",
    )
    enabled = models.JSONField(default=list, help_text="Of genres: the switch of the gone and of the kept row.")
    follow = models.JSONField(
        default=dict,
        help_text="Of series and authors: id, scope, from_number, since and by of the gone row's Follow, if it had one.",
    )
    at = models.DateTimeField(auto_now_add=True)
    by = models.ForeignKey("auth.User", on_delete=models.SET_NULL, null=True)
    undone_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.name} ({self.kind})"
