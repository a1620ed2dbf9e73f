"""The roles of scheduling may look at the library."""

from django.contrib.auth.management import create_permissions
from django.db import migrations

ROLES = ["Viewer", "Operator", "Administrator"]


def make_roles(apps, schema_editor):
    alias = schema_editor.connection.alias
    # In a database that is being made, permissions come only after the last migration.
    config = apps.get_app_config("audiobooks")
    config.models_module = getattr(config, "models_module", None) or True
    create_permissions(config, apps=apps, using=alias, verbosity=0)

    permissions = apps.get_model("auth", "Permission").objects.using(alias)
    looks = permissions.filter(content_type__app_label="audiobooks", codename__startswith="view_")
    groups = apps.get_model("auth", "Group").objects.using(alias)
    # Those that were somebody's own before look at no Tasks either.
    for group in groups.filter(name__in=ROLES, permissions__codename="view_task"):
        group.permissions.add(*looks)


class Migration(migrations.Migration):

    dependencies = [
        ("audiobooks", "0001_library"),
        ("scheduling", "0005_roles"),
    ]

    operations = [migrations.RunPython(make_roles, migrations.RunPython.noop)]
