"""Whoever operates may import books."""

from django.contrib.auth.management import create_permissions
from django.db import migrations

ROLES = ["Operator", "Administrator"]


def make_roles(apps, schema_editor):
    alias = schema_editor.connection.alias
    # In a database that is being made, permissions come only after the last migration.
    config = apps.get_app_config("audiobooks")
    config.models_module = getattr(config, "models_module", None) or True
    create_permissions(config, apps=apps, using=alias, verbosity=0)

    permissions = apps.get_model("auth", "Permission").objects.using(alias)
    may_import = permissions.get(content_type__app_label="audiobooks", codename="import_books")
    groups = apps.get_model("auth", "Group").objects.using(alias)
    # One that was somebody's own before looks at no Tasks, and gets no rights without being asked.
    for group in groups.filter(name__in=ROLES, permissions__codename="view_task"):
        group.permissions.add(may_import)


class Migration(migrations.Migration):

    dependencies = [("audiobooks", "0009_holdings_and_imports")]

    # Backwards the right stays: somebody may have given it by hand.
    operations = [migrations.RunPython(make_roles, migrations.RunPython.noop)]
