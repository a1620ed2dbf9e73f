"""What sources offer, how far the crawl of each is, and the sessions that they know us by."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.utils import timezone

from .books import Work


class SourceSessionQuerySet(models.QuerySet["SourceSession"]):
    def current(self, source: str, seed: str) -> str:
        """The newest value that came of this seed; empty where there is none."""
        values = self.filter(source=source, seed=seed).values_list("current", flat=True)
        return values.first() or ""

    def begin(self, source: str, seed: str, *, unless_newer_than: datetime) -> None:
        """Let this seed be the source's, unless another was pasted after that moment."""
        now = timezone.now()
        row, is_new = self.get_or_create(source=source, defaults={"seed": seed, "pasted_at": now})
        if not is_new and row.seed != seed:
            other = self.filter(source=source, pasted_at__lt=unless_newer_than).exclude(seed=seed)
            other.update(seed=seed, current="", pasted_at=now, renewed_at=None)

    def renew(self, source: str, seed: str, current: str) -> bool:
        """False where the seed is not the source's any more."""
        return bool(self.filter(source=source, seed=seed).update(current=current, renewed_at=timezone.now()))


class SourceSession(models.Model):
    """A session that the source changes with its answers: no page and no log shows it."""

    source = models.CharField(max_length=64, unique=True)
    seed = models.CharField(max_length=64, help_text="A hash of what a person pasted.")
    current = models.TextField(blank=True, help_text="What the source gave in its place last.")
    pasted_at = models.DateTimeField(help_text="When this seed was first used.")
    renewed_at = models.DateTimeField(null=True, blank=True)

    objects = SourceSessionQuerySet.as_manager()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.source


class Crawl(models.Model):
    """How far the crawl of a source is.

    A pass goes from the newest release to those that were known when it began, over as many Tasks as it takes.
    """

    source = models.CharField(max_length=64, unique=True)
    listing = models.CharField(max_length=64, blank=True, editable=False)
    """A hash of the settings that say what is listed: of another listing nothing is known."""
    pass_began = models.DateTimeField(null=True, blank=True, help_text="Of the pass that is not at its end.")
    cursor = models.TextField(blank=True, help_text="Of the last page that this pass has read.")
    complete_at = models.DateTimeField(
        null=True, blank=True, help_text="When the last pass that came to its end began: what is older is known."
    )
    crawled_at = models.DateTimeField(null=True, blank=True, help_text="When it last answered.")
    pages = models.PositiveIntegerField(default=0, help_text="Of the last crawl.")
    rows = models.PositiveIntegerField(default=0, help_text="Of the last crawl.")
    new = models.PositiveIntegerField(default=0, help_text="Releases that the last crawl saw first.")
    changed = models.PositiveIntegerField(default=0, help_text="Releases of which the last crawl saw something new.")
    usual = models.JSONField(default=list, help_text="Of each of the last crawls: rows, releases, and field -> filled.")
    drift = models.JSONField(default=dict, help_text="What the last crawl read less of than usual, with a sample.")
    drifting = models.PositiveIntegerField(default=0, help_text="Crawls in a row that read less than usual.")
    account = models.JSONField(default=dict, help_text="What the source says of the member.")
    account_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["source"]
        verbose_name = "source"
        permissions = [("try_crawl", "Can put a question to a source")]

    def __str__(self) -> str:
        return self.source


class Release(models.Model):
    """One offer of a source, as it was last seen. Empty, null and [] are unknown. Absence deletes nothing."""

    source = models.CharField(max_length=64)
    key = models.CharField(max_length=500, help_text="The source's own identifier.")
    # Before what is long, so that a search need not read that.
    search = models.CharField(max_length=500, editable=False, help_text="Title and people, normalised.")
    title_key = models.CharField(max_length=255, editable=False, help_text="As of works.")
    dated_at = models.DateTimeField(help_text="When it was added or, where that is not known, first seen.")
    work = models.ForeignKey(Work, on_delete=models.SET_NULL, null=True, blank=True, related_name="releases")
    title = models.CharField(max_length=512)
    authors = models.CharField(max_length=512, blank=True)
    language = models.CharField(max_length=64, blank=True, help_text="ISO 639-1, such as en.")
    format = models.CharField(max_length=16, blank=True, help_text="The first of its formats.")
    free = models.BooleanField(null=True, help_text="Whether to fetch it costs nothing of a ratio now.")
    counts = models.BooleanField(
        null=True,
        help_text="Whether the tracker behind the source counts what a member fetches, as far as that is said.",
    )
    size = models.BigIntegerField(null=True, blank=True, help_text="Bytes.")
    files = models.BigIntegerField(null=True, blank=True)
    seeders = models.BigIntegerField(null=True, blank=True)
    leechers = models.BigIntegerField(null=True, blank=True)
    fetched = models.BigIntegerField(null=True, blank=True, help_text="How often, as the source counts.")
    added = models.DateTimeField(null=True, blank=True, help_text="When the source got it.")
    bitrate = models.BigIntegerField(null=True, blank=True, help_text="kbit/s.")
    hash = models.CharField(max_length=64, blank=True, help_text="Info hash.")
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    raw_at = models.DateTimeField(null=True, blank=True, help_text="Of `raw`; null where that was emptied.")
    name = models.TextField(help_text="As the source writes it.")
    link = models.TextField(blank=True)
    fetch = models.TextField(blank=True, help_text="What the source needs to fetch it.")
    genres = models.JSONField(default=list, help_text="The source's own categories.")
    formats = models.JSONField(default=list)
    facts = models.JSONField(default=dict, help_text="What it says of the book, as BookFacts.")
    raw = models.JSONField(default=dict, help_text="The row of the answer, for some days, without secrets.")

    class Meta:
        ordering = ["-dated_at", "-pk"]
        constraints = [models.UniqueConstraint(fields=["source", "key"], name="offered_once")]
        indexes = [
            # A search reads through this alone, in the list's order, until it has a page.
            models.Index(fields=["dated_at", "id", "search"], name="release_by_date"),
            # The list's filters, in the list's order.
            models.Index(fields=["source", "dated_at", "id"], name="release_by_source"),
            models.Index(fields=["language", "dated_at", "id"], name="release_by_language"),
            models.Index(fields=["format", "dated_at", "id"], name="release_by_format"),
            models.Index(fields=["free", "dated_at", "id"], name="release_by_free"),
            models.Index(fields=["title_key"], condition=models.Q(work=None), name="release_without_work"),
            models.Index(fields=["raw_at"], condition=models.Q(raw_at__isnull=False), name="release_with_raw"),
        ]

    def __str__(self) -> str:
        return self.title
