from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('audiobooks', '0020_guide_roles'),
    ]

    operations = [
        migrations.AddField(
            model_name='proposal',
            name='editions',
            field=models.JSONField(default=list),
        ),
    ]
