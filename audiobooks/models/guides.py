"""Guides: the rules, questions and guides of a tracker as text, each with the versions that were seen of it."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from datetime import datetime
from typing import Literal

from django.db import models, transaction

MOST_VERSIONS = 100
"""Of one guide. A page that tells the time has a new one each night."""
PLACE_CHARACTERS = 500
_WORDS_SEARCHED = 6
_MARKS = re.compile(r"^(?:#{1,6}|>) |^\|[ |-]+\|$|\|", re.MULTILINE)
"""Of headings, quotations and tables, which are no words."""


class GuideQuerySet(models.QuerySet["Guide"]):
    def searched(self, text: str) -> GuideQuerySet:
        """Those with each word in title or text, whatever its case and accents."""
        found = self
        for word in folded(text).split()[:_WORDS_SEARCHED]:
            found = found.filter(searched__contains=word)
        return found


class Guide(models.Model):
    """A page of the site, or a file of the folder that a person saved. What is gone is kept."""

    class Origin(models.TextChoices):
        FOLDER = "folder", "saved page"
        SITE = "site", "from the site"

    origin = models.CharField(max_length=8, choices=Origin)
    place = models.CharField(
        max_length=PLACE_CHARACTERS, help_text="The path of the file in its folder, or on the site."
    )
    title = models.CharField(max_length=255)
    text = models.TextField(blank=True)
    searched = models.TextField(blank=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    stamp = models.CharField(max_length=64, blank=True, editable=False)
    """Of a file: its size, when it was changed, and which reader has read it."""
    first_seen_at = models.DateTimeField()
    checked_at = models.DateTimeField(help_text="When it was last read.")
    changed_at = models.DateTimeField(help_text="When it was first seen as it is now.")
    missing_since = models.DateTimeField(null=True, blank=True)
    problem = models.CharField(max_length=255, blank=True, help_text="Why it could not be read at the last try.")

    objects = GuideQuerySet.as_manager()

    class Meta:
        ordering = ["title", "pk"]
        constraints = [models.UniqueConstraint(fields=["origin", "place"], name="guide_once")]

    def __str__(self) -> str:
        return self.title

    @classmethod
    def seen(
        cls, origin: str, place: str, *, title: str, text: str, now: datetime, stamp: str = ""
    ) -> tuple[Guide, Literal["new", "changed", "unchanged"]]:
        """Record what was read, and tell whether it is "new", "changed" or "unchanged", which makes no version."""
        digest = hashlib.sha256(f"{title}\0{text}".encode()).hexdigest()
        made = {"title": title, "digest": "", "first_seen_at": now, "checked_at": now, "changed_at": now}
        with transaction.atomic():
            guide, is_new = cls.objects.select_for_update().get_or_create(origin=origin, place=place, defaults=made)
            guide.checked_at, guide.stamp, guide.missing_since, guide.problem = now, stamp, None, ""
            if guide.digest == digest:
                guide.save(update_fields=["checked_at", "stamp", "missing_since", "problem"])
                return guide, "unchanged"
            guide.title, guide.text, guide.digest, guide.changed_at = title, text, digest, now
            guide.searched = folded(_MARKS.sub(" ", f"{title}\n{text}"))
            guide.save()
            GuideVersion.objects.create(guide=guide, title=title, text=text, digest=digest, seen_at=now)
            kept = guide.versions.values_list("pk", flat=True)[:MOST_VERSIONS]
            if len(kept) == MOST_VERSIONS:
                guide.versions.filter(pk__lt=min(kept)).delete()
        return guide, "new" if is_new else "changed"


class GuideVersion(models.Model):
    """A text that a guide had. Of each the newest hundred are kept, the one it has now among them."""

    guide = models.ForeignKey(Guide, on_delete=models.CASCADE, related_name="versions")
    title = models.CharField(max_length=255)
    text = models.TextField(blank=True)
    digest = models.CharField(max_length=64)
    seen_at = models.DateTimeField()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.title}, {self.seen_at:%Y-%m-%d %H:%M}"


def folded(text: str) -> str:
    """Without case and accents, blanks as one: databases differ in what they take for the same letter."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return " ".join("".join(letter for letter in plain if not unicodedata.combining(letter)).split())
