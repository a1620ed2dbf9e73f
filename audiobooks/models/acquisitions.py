"""From gap to shelf: what is followed and left out, each search, each acquisition, and what is not to be fetched again."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.auth.models import User
from django.db import models
from django.db.models import Q

from .books import Book, Work
from .library import Author, Series


class Follow(models.Model):
    """Which works of a series or an author a person wants. Without a row the rule of settings holds.

    since: of `future` and `gaps`: works released from that day on are wanted in any case.
    """

    class Scope(models.TextChoices):
        GAPS = "gaps", "gaps and future"
        FROM = "from", "from a number on"
        FUTURE = "future", "future only"
        ALL = "all", "all"
        NONE = "none", "nothing"

    series = models.OneToOneField(Series, on_delete=models.CASCADE, null=True, blank=True, related_name="follow")
    author = models.OneToOneField(Author, on_delete=models.CASCADE, null=True, blank=True, related_name="follow")
    scope = models.CharField(max_length=8, choices=Scope, default=Scope.GAPS)
    from_number = models.FloatField(null=True, blank=True, help_text="The first volume that is wanted, such as 3.")
    since = models.DateField()
    by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True)

    class Meta:
        # Its page is that of the gaps.
        verbose_name_plural = "gaps"
        constraints = [
            models.CheckConstraint(
                condition=Q(series__isnull=False, author=None) | Q(series=None, author__isnull=False),
                name="follows_a_series_or_an_author",
            )
        ]

    def __str__(self) -> str:
        return str(self.series or self.author)


class Listing(models.Model):
    """When a provider last listed the books of a series or an author, so that those longest ago are asked first."""

    series = models.OneToOneField(Series, on_delete=models.CASCADE, null=True, related_name="listing")
    author = models.OneToOneField(Author, on_delete=models.CASCADE, null=True, related_name="listing")
    asked_at = models.DateTimeField(db_index=True)
    books = models.PositiveIntegerField(default=0, help_text="That were listed.")
    error = models.CharField(max_length=500, blank=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.series or self.author)


class WorkMark(models.Model):
    """A person wants no recording of a work: it sticks to the work, whatever edition or ASIN comes."""

    class Kind(models.TextChoices):
        IGNORED = "ignored"
        HEARD = "heard", "heard elsewhere"

    work = models.OneToOneField(Work, on_delete=models.CASCADE, related_name="mark")
    kind = models.CharField(max_length=8, choices=Kind)
    at = models.DateTimeField(auto_now_add=True)
    by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True)

    class Meta:
        permissions = [("decide_workmark", "Can ignore works, and say that they were heard elsewhere")]

    def __str__(self) -> str:
        return f"{self.work}: {self.get_kind_display()}"


class WorkSearch(models.Model):
    """The last search of the sources for a work, with what each candidate was kept out or in by, and when the next is due.

    decision: {"candidates": [{"source", "key", "name", "score", "verdict", "reasons": [str]}], "sources": {name: str}}.
    """

    class Outcome(models.TextChoices):
        FOUND = "found", "a release was found"
        NOTHING = "nothing", "no release found"
        LANGUAGE = "language", "in another language only"
        UNFIT = "unfit", "none that is fit"
        UNANSWERED = "unanswered", "not every source answered"

    work = models.OneToOneField(Work, on_delete=models.CASCADE, related_name="search")
    outcome = models.CharField(max_length=12, choices=Outcome)
    searched_at = models.DateTimeField()
    next_at = models.DateTimeField(db_index=True)
    fruitless = models.PositiveIntegerField(default=0, help_text="Searches in a row that found nothing fit.")
    decision = models.JSONField(default=dict)

    class Meta:
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.work}: {self.get_outcome_display()}"


class Acquisition(models.Model):
    """One attempt to get one work by one release: a proposal until it is approved, and then what became of it.

    The budget counts these rows and nothing else, so that nothing is reserved without one. While it is `open` no other
    row is for the same work.

    book: the recording that is wanted, as it is known. source, key: of the release, whose row is a `Release`; name, size
        and free are what was known of it when it was approved.
    reasons: sentences, why this release. candidates: those behind it, best first, as in `WorkSearch.decision`.
    refusal: why no rule approved it when one was asked last.
    hash: the info hash in lower case, known before the client is given anything.
    parts: [{"name", "size"}], of a download by HTTP with "url", "md5" and "sha1"; [] where they are not known.
    content: where what was fetched lies, absolute, as we see it. target: where it goes, relative to the library folder.
    problem: what a person has to see to, empty while all goes well.
    """

    class State(models.TextChoices):
        PROPOSED = "proposed", "to be approved"
        APPROVED = "approved", "approved"
        FETCHING = "fetching", "downloading"
        FETCHED = "fetched", "downloaded"
        CHECKED = "checked", "checked"
        IMPORTED = "imported", "in the library"
        DECLINED = "declined", "declined"
        FAILED = "failed", "failed"
        QUARANTINED = "quarantined", "wrong recording"
        CANCELLED = "cancelled", "given up"

    OPEN = (State.PROPOSED, State.APPROVED, State.FETCHING, State.FETCHED, State.CHECKED)
    RESERVING = (State.APPROVED, State.FETCHING, State.FETCHED, State.CHECKED)
    """States in which it counts against the budget; after them only what it did counts."""

    class Cause(models.TextChoices):
        SERIES = "series", "a gap in a series"
        AUTHOR = "author", "a gap of an author"
        WISH = "wish", "a wish"

    work = models.ForeignKey(Work, on_delete=models.PROTECT, related_name="acquisitions")
    book = models.ForeignKey(Book, on_delete=models.SET_NULL, null=True, blank=True, related_name="acquisitions")
    state = models.CharField(max_length=12, choices=State, default=State.PROPOSED)
    state_since = models.DateTimeField()
    cause = models.CharField(max_length=8, choices=Cause)
    why = models.CharField(max_length=255, help_text="Such as: number 3 of The Salt Cartographers.")
    source = models.CharField(max_length=64)
    key = models.CharField(max_length=500, help_text="The source's own identifier of the release.")
    name = models.TextField(help_text="Of the release, as the source writes it.")
    size = models.BigIntegerField(null=True, blank=True, help_text="Bytes.")
    free = models.BooleanField(null=True, help_text="Whether to fetch it costs nothing of a ratio.")
    counts = models.BooleanField(default=False, help_text="Whether the source counts what a member fetches.")
    verdict = models.CharField(max_length=8, help_text="fit, or doubtful, which no rule approves.")
    score = models.FloatField(default=0)
    reasons = models.JSONField(default=list)
    candidates = models.JSONField(default=list)
    refusal = models.TextField(blank=True)
    made_at = models.DateTimeField(auto_now_add=True)
    approved_at = models.DateTimeField(null=True, blank=True)
    approved_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, help_text="Nobody: by rule."
    )
    client = models.CharField(max_length=32, blank=True)
    hash = models.CharField(max_length=64, blank=True, db_index=True)
    handed_at = models.DateTimeField(null=True, blank=True, help_text="When the client was given it.")
    grown = models.BooleanField(default=False, help_text="Whether it turned out larger than was approved.")
    fetched = models.BigIntegerField(default=0, help_text="Bytes.")
    progress_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When `fetched` last grew; of what was given up, when its client was last looked at.",
    )
    fetched_at = models.DateTimeField(null=True, blank=True, help_text="When all of it was there.")
    parts = models.JSONField(default=list)
    content = models.TextField(blank=True)
    check_result = models.JSONField(default=dict)
    target = models.CharField(max_length=1024, blank=True)
    problem = models.TextField(blank=True)
    problem_since = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["work"],
                condition=Q(state__in=("proposed", "approved", "fetching", "fetched", "checked")),
                name="one_open_acquisition_a_work",
            )
        ]
        indexes = [
            models.Index(fields=["state", "-id"], name="acquisition_by_state"),
            models.Index(fields=["approved_at"], name="acquisition_by_approval"),
            # Of two parts, so that what is not fetched is looked up by its hash.
            models.Index(fields=["fetched_at"], condition=Q(fetched_at__isnull=False), name="acquisition_by_fetching"),
            models.Index(fields=["state_since"], name="acquisition_by_change"),
            models.Index(fields=["hash"], condition=Q(fetched_at=None), name="acquisition_not_fetched"),
        ]
        permissions = [
            ("decide_acquisition", "Can approve and decline acquisitions"),
            ("stop_acquisition", "Can stop all fetching, and let it go on"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_open(self) -> bool:
        return self.state in self.OPEN


NEEDS_YOU = ~Q(problem="") & Q(state__in=Acquisition.OPEN)
"""Those that cannot go on without a person."""


class AcquisitionEvent(models.Model):
    """What happened to an acquisition, as a sentence; kept for good."""

    acquisition = models.ForeignKey(Acquisition, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField(auto_now_add=True)
    state = models.CharField(max_length=12, choices=Acquisition.State)
    text = models.TextField()
    by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True)

    class Meta:
        ordering = ["pk"]
        default_permissions = ()

    def __str__(self) -> str:
        return self.text


class BlockedRelease(models.Model):
    """A release that is not fetched again until then: by the source's identifier, by info hash, or by name and size.

    work: for which it is not; None, where the release itself is at fault, for any.
    """

    work = models.ForeignKey(
        Work, on_delete=models.CASCADE, null=True, blank=True, related_name="blocks", help_text="Empty: any."
    )
    source = models.CharField(max_length=64)
    key = models.CharField(max_length=500)
    hash = models.CharField(max_length=64, blank=True)
    name_key = models.CharField(max_length=255, blank=True, editable=False)
    name = models.TextField()
    size = models.BigIntegerField(null=True, blank=True, help_text="Bytes.")
    reason = models.TextField()
    at = models.DateTimeField(auto_now_add=True)
    until = models.DateTimeField(null=True, blank=True, help_text="Empty: for good.")
    by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True)

    DAYS = timedelta(days=180)

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["source", "key"], name="blocked_by_key"),
            models.Index(fields=["name_key"], name="blocked_by_name"),
            models.Index(fields=["hash"], name="blocked_by_hash"),
        ]

    def __str__(self) -> str:
        return self.name


class FetchingStop(models.Model):
    """The switch that stops all fetching: while a row has no end, nothing is approved by rule and no client is given anything."""

    began_at = models.DateTimeField(auto_now_add=True)
    began_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    reason = models.CharField(max_length=255, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["-pk"]
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(models.Value(1), condition=Q(ended_at=None), name="one_stop_of_fetching_at_a_time")
        ]

    def __str__(self) -> str:
        return self.reason or "stopped"
