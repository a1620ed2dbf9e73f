import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('audiobooks', '0018_name_holdings'),
    ]

    operations = [
        migrations.CreateModel(
            name='Guide',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('origin', models.CharField(choices=[('folder', 'saved page'), ('site', 'from the site')], max_length=8)),
                ('place', models.CharField(help_text='The path of the file in its folder, or on the site.', max_length=500)),
                ('title', models.CharField(max_length=255)),
                ('text', models.TextField(blank=True)),
                ('searched', models.TextField(blank=True, editable=False)),
                ('digest', models.CharField(editable=False, max_length=64)),
                ('stamp', models.CharField(blank=True, editable=False, max_length=64)),
                ('first_seen_at', models.DateTimeField()),
                ('checked_at', models.DateTimeField(help_text='When it was last read.')),
                ('changed_at', models.DateTimeField(help_text='When it was first seen as it is now.')),
                ('missing_since', models.DateTimeField(blank=True, null=True)),
                ('problem', models.CharField(blank=True, help_text='Why it could not be read at the last try.', max_length=255)),
            ],
            options={
                'ordering': ['title', 'pk'],
                'constraints': [models.UniqueConstraint(fields=('origin', 'place'), name='guide_once')],
            },
        ),
        migrations.CreateModel(
            name='GuideVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('title', models.CharField(max_length=255)),
                ('text', models.TextField(blank=True)),
                ('digest', models.CharField(max_length=64)),
                ('seen_at', models.DateTimeField()),
                ('guide', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='versions', to='audiobooks.guide')),
            ],
            options={
                'ordering': ['-pk'],
            },
        ),
    ]
