
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('audiobooks', '0007_library_roles'),
    ]

    operations = [
        migrations.AddField(
            model_name='merge',
            name='enabled',
            field=models.JSONField(default=list, help_text='Of genres: the switch of the gone and of the kept row.'),
        ),
        migrations.AlterField(
            model_name='merge',
            name='links',
            field=models.JSONField(default=list, help_text="[book, place there, whether it hung on both rows, place on the kept row] of each of the gone row's books."),
        ),
        migrations.AddIndex(
            model_name='book',
            index=models.Index(fields=['standing', 'title'], name='book_by_standing'),
        ),
        migrations.AddIndex(
            model_name='book',
            index=models.Index(fields=['language', 'title'], name='book_by_language'),
        ),
        migrations.AddIndex(
            model_name='book',
            index=models.Index(condition=models.Q(('cover', '')), fields=['title'], name='book_without_cover'),
        ),
    ]
