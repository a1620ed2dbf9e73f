"""Who says what is followed, ignored and heard elsewhere; and everybody who looks at the library sees the gaps."""

from importlib import import_module

from django.db import migrations

OPERATE = ["decide_workmark", "change_follow"]
ROLES = {"Viewer": [], "Operator": OPERATE, "Administrator": OPERATE}

give = import_module("audiobooks.migrations.0007_library_roles").give


def make_roles(apps, schema_editor):
    give(apps, schema_editor, ROLES)


class Migration(migrations.Migration):

    dependencies = [("audiobooks", "0022_acquisitions")]

    # Backwards the rights stay: somebody may have given them by hand.
    operations = [migrations.RunPython(make_roles, migrations.RunPython.noop)]
