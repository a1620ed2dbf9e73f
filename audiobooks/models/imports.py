"""A file of books between its upload and its import."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import models

from scheduling.models import Task

from .books import Book


class Upload(models.Model):
    """In the database, since the pages and the schedulers may be on different machines.

    It is deleted once it is imported, given up, followed by another of the same person, or a day old.
    preview: what `audiobooks.imports.preview` found.
    """

    name = models.CharField(max_length=255)
    data = models.BinaryField(help_text="zlib.")
    standing = models.CharField(max_length=8, choices=Book.Standing, help_text="Of rows that say nothing of it.")
    preview = models.JSONField(default=dict)
    made_at = models.DateTimeField(auto_now_add=True)
    by = models.ForeignKey(User, on_delete=models.CASCADE, null=True, blank=True)
    task = models.ForeignKey(Task, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        default_permissions = ()
        permissions = [("import_books", "Can import books from files")]

    def __str__(self) -> str:
        return self.name
