"""The weekly top 10 of each genre, kept as history. Rank, change, weeks and peak follow from the rows."""

from __future__ import annotations

from django.db import models

from .library import Genre
from .proposals import Proposal


class Chart(models.Model):
    """One genre in one week.

    A merge of genres may leave it without its genre; its name and key stay, and find it when the merge is undone.
    """

    genre = models.ForeignKey(Genre, on_delete=models.SET_NULL, null=True, related_name="charts")
    name = models.CharField(max_length=255, help_text="Of the genre when it was made.")
    key = models.CharField(max_length=255)
    week = models.DateField(help_text="Its Monday, in the project's time zone.")
    window = models.PositiveSmallIntegerField(help_text="Days that were looked at.")
    sources = models.JSONField(default=list, help_text="Names of those whose answers it is made of.")
    note = models.TextField(blank=True, help_text="Why it was widened or is thin, and who did not answer.")
    made_at = models.DateTimeField()

    class Meta:
        ordering = ["-week", "name"]
        constraints = [models.UniqueConstraint(fields=["genre", "week"], name="one_chart_a_week")]
        indexes = [models.Index(fields=["-week", "name"], name="chart_by_week")]

    def __str__(self) -> str:
        return f"{self.title}, week of {self.week.day} {self.week:%b %Y}"

    @property
    def title(self) -> str:
        return self.genre.name if self.genre is not None else self.name


class ChartEntry(models.Model):
    """A work's place. title, author and facts are those of the edition that brought it there.

    count: how often that was fetched, as its source counts; of no meaning beside another source's.
    points: of the rule by which sources are joined.
    """

    chart = models.ForeignKey(Chart, on_delete=models.CASCADE, related_name="entries")
    rank = models.PositiveSmallIntegerField()
    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="entries")
    title = models.CharField(max_length=512)
    authors = models.CharField(max_length=512, blank=True)
    facts = models.JSONField(default=dict)
    source = models.CharField(max_length=64)
    release = models.CharField(max_length=255, help_text="The source's own identifier of it.")
    link = models.CharField(max_length=1000, blank=True, help_text="Its page for people.")
    count = models.BigIntegerField(null=True, blank=True)
    points = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["rank"]
        constraints = [
            models.UniqueConstraint(fields=["chart", "rank"], name="one_work_a_rank"),
            models.UniqueConstraint(fields=["chart", "proposal"], name="one_rank_a_work"),
        ]

    def __str__(self) -> str:
        return f"{self.rank}. {self.title}"
