"""What providers were found to know of books, and what refreshes changed."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import models

from .books import Book


class ProviderMatch(models.Model):
    """A provider's record that is, may be, or is not a book's. What a person decided outranks whatever is found later."""

    class State(models.TextChoices):
        PROPOSED = "proposed", "to be reviewed"
        AUTOMATIC = "automatic", "matched by rule"
        ACCEPTED = "accepted", "accepted by a person"
        REJECTED = "rejected", "rejected by a person"

    TAKEN = (State.AUTOMATIC, State.ACCEPTED)
    DECIDED = (State.ACCEPTED, State.REJECTED)

    book = models.ForeignKey(Book, on_delete=models.CASCADE, related_name="matches")
    provider = models.CharField(max_length=32)
    record = models.CharField(max_length=64, help_text="The provider's own identifier.")
    region = models.CharField(max_length=4, blank=True)
    state = models.CharField(max_length=16, choices=State, default=State.PROPOSED)
    verdict = models.CharField(max_length=8)
    distance = models.FloatField()
    evidence = models.JSONField(default=dict)
    facts = models.JSONField(default=dict, help_text="The record as it was when it was compared.")
    same_recording = models.BooleanField(null=True, help_text="Whether it is this very recording, where that is known.")
    made_at = models.DateTimeField(auto_now_add=True)
    undone = models.BooleanField(
        default=False, help_text="What it wrote by rule was undone, so only a person takes it again."
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True)

    class Meta:
        ordering = ["distance", "pk"]
        verbose_name = "doubtful match"
        verbose_name_plural = "doubtful matches"
        constraints = [models.UniqueConstraint(fields=["book", "provider", "record", "region"], name="matched_once")]
        indexes = [
            models.Index(fields=["book"], condition=models.Q(state="proposed"), name="match_to_review"),
        ]
        permissions = [("review_providermatch", "Can decide doubtful matches")]

    def __str__(self) -> str:
        return f"{self.provider} {self.record}"


class MetadataRun(models.Model):
    """One refresh, over as many Tasks as it takes. A book belongs to what is left while it was not tried since `started_at`."""

    class Kind(models.TextChoices):
        FULL = "full", "all books"
        NEW = "new", "new books"
        ONE = "one", "one book"

    class State(models.TextChoices):
        RUNNING = "running"
        ASKS = "asks", "asks whether to go on"
        FINISHED = "finished"
        ABANDONED = "abandoned"
        UNDONE = "undone"

    kind = models.CharField(max_length=8, choices=Kind)
    state = models.CharField(max_length=16, choices=State, default=State.RUNNING)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    task_id = models.BigIntegerField(null=True, blank=True, help_text="The Task that worked on it last.")
    checked = models.PositiveIntegerField(default=0, help_text="Books asked about.")
    changed = models.PositiveIntegerField(default=0, help_text="Books changed.")
    replaced = models.PositiveIntegerField(default=0, help_text="Books of which a value was replaced by another.")
    may_change_much = models.BooleanField(default=False, help_text="A person let it go beyond the guard.")

    class Meta:
        ordering = ["-pk"]
        verbose_name = "refresh"
        verbose_name_plural = "refreshes"
        permissions = [
            ("allow_metadatarun", "Can let a refresh go beyond the guard"),
            ("undo_metadatarun", "Can undo a refresh"),
        ]

    def __str__(self) -> str:
        return f"Refresh #{self.pk} of {self.get_kind_display()}"


class BookChange(models.Model):
    """One change of a book's fields: field -> {"value", "provenance"}, before and after."""

    book = models.ForeignKey(Book, on_delete=models.CASCADE, related_name="changes")
    run = models.ForeignKey(MetadataRun, on_delete=models.SET_NULL, null=True, blank=True, related_name="changes")
    by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True)
    why = models.CharField(max_length=255)
    at = models.DateTimeField(auto_now_add=True)
    before = models.JSONField()
    after = models.JSONField()
    undone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.book}: {', '.join(self.after)}"
