"""Each book gets its work; authors and narrators keep the order in which they were written down."""

import unicodedata

from django.db import migrations
from django.db.models import F

AT_A_TIME = 500


def key_of(title):
    plain = unicodedata.normalize("NFKD", title).casefold()
    return "".join(letter for letter in plain if letter.isalnum())[:255]


def move(apps, schema_editor):
    alias = schema_editor.connection.alias

    def model(name):
        return apps.get_model("audiobooks", name)

    Book, Work = model("Book"), model("Work")
    books = Book.objects.using(alias)
    books.exclude(year="").update(released=F("year"))
    for through, column, target in (
        (Book.authors.through, "author_id", "Authorship"),
        (Book.narrators.through, "narrator_id", "Reading"),
    ):
        numbers, rows = {}, []
        links = through.objects.using(alias).order_by("id").values_list("book_id", column)
        for book, name in links.iterator():
            number = numbers[book] = numbers.get(book, -1) + 1
            rows.append(model(target)(**{"book_id": book, column: name, "number": number}))
        model(target).objects.using(alias).bulk_create(rows, batch_size=AT_A_TIME)

    authors = {}
    for book, author in Book.authors.through.objects.using(alias).values_list("book_id", "author_id").iterator():
        authors.setdefault(book, set()).add(author)
    # Recordings of one title by one of the same authors are of one work.
    works = {}
    for book, title in books.order_by("id").values_list("id", "title").iterator():
        by, key = authors.get(book, set()), key_of(title)
        known = next((work for others, work in works.get(key, ()) if by & others), None)
        if known is None:
            known = Work.objects.using(alias).create(title=title, key=key)
            works.setdefault(key, []).append((by, known))
        books.filter(pk=book).update(work=known)


class Migration(migrations.Migration):

    dependencies = [("audiobooks", "0004_books")]

    operations = [migrations.RunPython(move, migrations.RunPython.noop)]
