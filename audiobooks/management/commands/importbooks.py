"""`manage.py importbooks FILE`: import an export of Goodreads, Libation or OpenAudible, or a list, from a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audiobooks import imports
from audiobooks.library.exports import MOST_BYTES, UnreadableExport, read_export
from audiobooks.tasks import import_books
from scheduling.exceptions import SchedulingError
from scheduling.runner import run_here, stoppable


class Command(BaseCommand):
    help = "Import an export of Goodreads, Libation or OpenAudible, or a plain list of books as CSV or JSON."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--as", dest="standing", choices=imports.STANDINGS, default=imports.STANDINGS[0],
            help="what books are of which the file does not say whether they are owned or wanted (default: owned)",
        )  # fmt: skip
        parser.add_argument("--dry-run", action="store_true", help="say what would be imported, and change nothing")

    def handle(self, *args: Any, file: Path, standing: str, dry_run: bool, **options: Any) -> None:
        try:
            with file.open("rb") as opened:
                # One byte more than is allowed tells that it is too large.
                data = opened.read(MOST_BYTES + 1)
            if dry_run:
                found = imports.preview(read_export(data, file.name), standing, most=None)
                self._show(found)
                return
            upload = imports.store(data, file.name, standing, by=None, most=0)
            with stoppable():
                result = run_here(import_books, {"upload": upload.pk})
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}.") from None
        except (UnreadableExport, SchedulingError) as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            raise CommandError("Stopped. What was imported stays; import the file again to go on.") from None
        self.stdout.write(", ".join(f"{name}: {count}" for name, count in result.items()))

    def _show(self, found: dict[str, Any]) -> None:
        names = ("kind", "books", "new", "already known", "owned", "wanted", "known", "problems")
        self.stdout.write(", ".join(f"{name}: {found[name]}" for name in names))
        if found["unused"]:
            self.stdout.write(f"Nothing is known of these columns, and they are not read: {', '.join(found['unused'])}")
        for line, sentence in found["first problems"]:
            self.stdout.write(f"Line {line}: {sentence}")
