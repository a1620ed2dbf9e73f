"""Holdings of before get the last part of their path."""

from pathlib import PurePosixPath

from django.db import migrations


def name_holdings(apps, schema_editor):
    holdings = apps.get_model("audiobooks", "Holding").objects
    last = 0
    while batch := list(holdings.filter(pk__gt=last).exclude(path="").order_by("pk").only("path")[:1000]):
        for holding in batch:
            holding.name = PurePosixPath(holding.path).name[:255]
        holdings.bulk_update(batch, ["name"], batch_size=200)
        last = batch[-1].pk


class Migration(migrations.Migration):
    dependencies = [("audiobooks", "0017_names_of_holdings_and_undone_matches")]

    operations = [migrations.RunPython(name_holdings, migrations.RunPython.noop)]
