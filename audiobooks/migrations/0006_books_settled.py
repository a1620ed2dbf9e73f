import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [('audiobooks', '0005_books_moved')]

    operations = [
        migrations.RemoveField(
            model_name='book',
            name='year',
        ),
        migrations.RemoveField(model_name='book', name='authors'),
        migrations.AddField(
            model_name='book',
            name='authors',
            field=models.ManyToManyField(related_name='books', through='audiobooks.Authorship', to='audiobooks.author'),
        ),
        migrations.RemoveField(model_name='book', name='narrators'),
        migrations.AddField(
            model_name='book',
            name='narrators',
            field=models.ManyToManyField(related_name='books', through='audiobooks.Reading', to='audiobooks.narrator'),
        ),
        migrations.AlterField(
            model_name='book',
            name='work',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='books', to='audiobooks.work'),
        ),
    ]
