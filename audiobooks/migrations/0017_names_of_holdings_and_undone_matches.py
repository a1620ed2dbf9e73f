"""The last part of a holding's path, to find it by; and which matches a person has undone."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audiobooks", "0016_chart_roles")]

    operations = [
        migrations.AddField(
            model_name="holding",
            name="name",
            field=models.CharField(
                blank=True, db_index=True, editable=False, help_text="The last part of the path.", max_length=255
            ),
        ),
        migrations.AddField(
            model_name="providermatch",
            name="undone",
            field=models.BooleanField(
                default=False, help_text="What it wrote by rule was undone, so only a person takes it again."
            ),
        ),
    ]
