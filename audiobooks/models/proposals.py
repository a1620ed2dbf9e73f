"""What is proposed to a person, and what they decided."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import models
from django.db.models import Q

from .books import Book


class Proposals(models.QuerySet["Proposal"]):
    def waiting(self) -> Proposals:
        """For a decision: what the library has by now, or wants already, asks nobody."""
        return self.filter(WAITING)

    def declined(self) -> Proposals:
        """Of a book that nobody wants besides."""
        return self.filter(state=Proposal.State.DECLINED, book__standing=Book.Standing.KNOWN)

    def of_standing(self, standing: str) -> Proposals:
        """Of a `Proposal.standing`; all of any other text."""
        return self.filter(_STANDINGS.get(standing, Q()))


class Proposal(models.Model):
    """A work as it is recognised over weeks, genres, sources and editions, and what a person decided of it.

    It is kept for good: that it was declined is remembered by its being there.
    facts: of the best known edition; what it was proposed for is in `why`.
    editions: what it is called elsewhere, as facts, where that is not told from `facts`: such as the title of a translation.
    book: the library's book that is of this work, as far as that was recognised.
    """

    class State(models.TextChoices):
        PROPOSED = "proposed", "proposed"
        WANTED = "wanted", "wanted"
        DECLINED = "declined", "declined"

    class Cause(models.TextChoices):
        CHART = "chart", "a chart"

    state = models.CharField(max_length=16, choices=State, default=State.PROPOSED)
    title = models.CharField(max_length=512)
    authors = models.CharField(max_length=512, blank=True)
    facts = models.JSONField(default=dict)
    editions = models.JSONField(default=list)
    cause = models.CharField(max_length=16, choices=Cause)
    why = models.CharField(max_length=255, help_text="Such as: number 3 of Fantasy in the week of 23 Nov 2026.")
    made_at = models.DateTimeField(auto_now_add=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True)
    book = models.ForeignKey(Book, on_delete=models.SET_NULL, null=True, blank=True, related_name="proposals")

    objects = Proposals.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["state", "-id"], name="proposal_by_state")]
        permissions = [("decide_proposal", "Can want and decline what is proposed")]

    def __str__(self) -> str:
        return self.title

    @property
    def standing(self) -> str:
        """`owned` and `wanted` as the library has it, else what was decided."""
        if self.book is not None and self.book.standing in (Book.Standing.OWNED, Book.Standing.WANTED):
            return self.book.standing
        return self.state

    @property
    def is_waiting(self) -> bool:
        return self.standing == self.State.PROPOSED


_OWNED, _WANTED = Q(book__standing=Book.Standing.OWNED), Q(book__standing=Book.Standing.WANTED)
_BY_STATE = Q(book=None) | Q(book__standing=Book.Standing.KNOWN)
WAITING = _BY_STATE & Q(state=Proposal.State.PROPOSED)
_STANDINGS = {
    "owned": _OWNED,
    "wanted": _WANTED | (_BY_STATE & Q(state=Proposal.State.WANTED)),
    "declined": _BY_STATE & Q(state=Proposal.State.DECLINED),
    "proposed": WAITING,
}


class ProposalKey(models.Model):
    """By what a description that may be of the work is found, to be compared; each edition that was recognised adds its own."""

    proposal = models.ForeignKey(Proposal, on_delete=models.CASCADE, related_name="keys")
    key = models.CharField(max_length=200)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["key", "proposal"], name="keyed_once")]

    def __str__(self) -> str:
        return self.key
