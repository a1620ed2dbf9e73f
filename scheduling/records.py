"""What happened, kept for people to look at: changes of Jobs, pauses of everything, counts of outcomes by day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class JobChange(models.Model):
    """One change of a Job, with the Job as it was before and after.

    `before` and `after` are `Job.snapshot()`; null where there was no Job. The Job may be gone; `job_key` is its id.
    """

    class Kind(models.TextChoices):
        CREATED = "created", "created"
        EDITED = "edited", "edited"
        RESTORED = "restored", "brought back to what code declares"
        PAUSED = "paused", "paused"
        RESUMED = "resumed", "resumed"
        DELETED = "deleted", "deleted"
        UNDONE = "undone", "undid a change"
        CODE = "code", "brought in line with code"

    job_key = models.CharField("job id", max_length=255)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    at = models.DateTimeField(default=timezone.now)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="Empty for a change made by code or a command.",
    )
    before = models.JSONField(null=True, blank=True)
    after = models.JSONField(null=True, blank=True)

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["job_key", "-id"], name="change_by_job")]

    def __str__(self) -> str:
        return f"{self.job_key} {self.get_kind_display()}"

    @classmethod
    def note(
        cls, job_key: str, kind: str, *, by: User | None, before: dict[str, Any] | None, after: dict[str, Any] | None
    ) -> None:
        """Write it down, in the caller's transaction; nothing where nothing changed."""
        if before != after:
            cls.objects.create(job_key=job_key, kind=kind, by=by, before=before, after=after)

    @property
    def changed(self) -> list[str]:
        """The names of the fields that are not as they were; none where a Job came or went."""
        if self.before is None or self.after is None:
            return []
        before, after = self.before, self.after
        return [name for name in before if name in after and before[name] != after[name]]


class PauseOfAll(models.Model):
    """A time in which nothing is started by schedule or as a retry; on while `ended_at` is empty."""

    began_at = models.DateTimeField(default=timezone.now)
    began_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    reason = models.CharField(max_length=255, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        verbose_name = "pause of everything"
        verbose_name_plural = "pauses of everything"
        ordering = ["-pk"]
        permissions = [("pause_everything", "Can pause and resume everything")]
        constraints = [
            models.UniqueConstraint(models.Value(1), condition=Q(ended_at=None), name="one_pause_of_all_at_a_time")
        ]

    def __str__(self) -> str:
        return f"everything paused {self.in_words()}"

    def in_words(self) -> str:
        """Such as "since 2026-11-24 08:00 UTC by anna (the disk is full)"."""
        since = f"since {timezone.localtime(self.began_at):%Y-%m-%d %H:%M %Z}"
        by = f" by {self.began_by}" if self.began_by else ""
        return f"{since}{by}{f' ({self.reason})' if self.reason else ''}"


class DayCount(models.Model):
    """How many Tasks of a Job, made on a day of the project's time zone, ended so; for days that are over.

    It outlives the Tasks, which are cleaned up after weeks.
    """

    job_key = models.CharField("job id", max_length=255, blank=True, help_text="Empty for Tasks without a Job.")
    day = models.DateField()
    status = models.CharField(max_length=16)
    count = models.PositiveIntegerField()
    seconds = models.FloatField(default=0.0, help_text="How long they ran, together.")
    longest = models.FloatField(default=0.0, help_text="Seconds that the longest of them ran.")

    class Meta:
        verbose_name = "count of a day"
        verbose_name_plural = "year of runs"
        ordering = ["-day"]
        constraints = [models.UniqueConstraint(fields=["day", "job_key", "status"], name="one_count_a_day")]

    def __str__(self) -> str:
        return f"{self.day} {self.job_key} {self.status}: {self.count}"
