"""Who may put a question to a source; and everybody who looks at the library sees sources and releases."""

from importlib import import_module

from django.db import migrations

OPERATE = ["try_crawl"]
ROLES = {"Viewer": [], "Operator": OPERATE, "Administrator": OPERATE}

give = import_module("audiobooks.migrations.0007_library_roles").give


def make_roles(apps, schema_editor):
    give(apps, schema_editor, ROLES)


class Migration(migrations.Migration):

    dependencies = [("audiobooks", "0013_sources")]

    # Backwards the rights stay: somebody may have given them by hand.
    operations = [migrations.RunPython(make_roles, migrations.RunPython.noop)]
