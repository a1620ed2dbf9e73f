"""Who may put a question to a provider; and everybody who looks at the library sees how the providers fare."""

from importlib import import_module

from django.db import migrations

OPERATE = ["try_servicestate"]
ROLES = {"Viewer": [], "Operator": OPERATE, "Administrator": OPERATE}

give = import_module("audiobooks.migrations.0007_library_roles").give


def make_roles(apps, schema_editor):
    give(apps, schema_editor, ROLES)


class Migration(migrations.Migration):

    dependencies = [("audiobooks", "0010_import_roles")]

    operations = [
        migrations.AlterModelOptions(
            name="servicestate",
            options={
                "ordering": ["name"],
                "permissions": [("try_servicestate", "Can put a question to a provider")],
                "verbose_name": "provider",
            },
        ),
        # Backwards the rights stay: somebody may have given them by hand.
        migrations.RunPython(make_roles, migrations.RunPython.noop),
    ]
