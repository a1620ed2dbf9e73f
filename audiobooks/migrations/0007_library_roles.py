"""What the roles may do in the library. Like scheduling's, each gets more than the one before; nothing is taken away."""

from django.contrib.auth.management import create_permissions
from django.db import migrations

OPERATE = [
    "change_book", "review_providermatch", "change_author", "change_narrator", "change_series", "change_genre",
]
ADMINISTER = ["allow_metadatarun", "undo_metadatarun"]
ROLES = {"Viewer": [], "Operator": OPERATE, "Administrator": OPERATE + ADMINISTER}


def give(apps, schema_editor, roles):
    """Each group what it gets of `roles`, and the sight of everything in the library."""
    alias = schema_editor.connection.alias
    # In a database that is being made, permissions come only after the last migration.
    config = apps.get_app_config("audiobooks")
    config.models_module = getattr(config, "models_module", None) or True
    create_permissions(config, apps=apps, using=alias, verbosity=0)

    permissions = apps.get_model("auth", "Permission").objects.using(alias)
    ours = permissions.filter(content_type__app_label="audiobooks")
    groups = apps.get_model("auth", "Group").objects.using(alias)
    for name, codenames in roles.items():
        # One that was somebody's own before looks at no Tasks, and gets no rights without being asked.
        for group in groups.filter(name=name, permissions__codename="view_task"):
            group.permissions.add(*ours.filter(codename__startswith="view_"), *ours.filter(codename__in=codenames))


def make_roles(apps, schema_editor):
    give(apps, schema_editor, ROLES)


class Migration(migrations.Migration):

    dependencies = [("audiobooks", "0006_books_settled")]

    # Backwards the rights stay: somebody may have given them by hand.
    operations = [migrations.RunPython(make_roles, migrations.RunPython.noop)]
