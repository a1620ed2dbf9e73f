"""Three roles to begin with: who looks, who operates, who administers. What people add to them or take away stays."""

from django.contrib.auth.management import create_permissions
from django.db import migrations

OPERATE = ["run_job", "pause_job", "cancel_task", "retry_task", "pause_everything"]
ADMINISTER = ["run_with_arguments_job", "add_job", "change_job", "delete_job"]
ROLES = {"Viewer": [], "Operator": OPERATE, "Administrator": OPERATE + ADMINISTER}


def make_roles(apps, schema_editor):
    alias = schema_editor.connection.alias
    # In a database that is being made, permissions come only after the last migration.
    config = apps.get_app_config("scheduling")
    config.models_module = getattr(config, "models_module", None) or True
    create_permissions(config, apps=apps, using=alias, verbosity=0)

    groups = apps.get_model("auth", "Group").objects.using(alias)
    ours = apps.get_model("auth", "Permission").objects.using(alias).filter(content_type__app_label="scheduling")
    for name, codenames in ROLES.items():
        group, is_new = groups.get_or_create(name=name)
        if is_new:  # One that was there is somebody's own, and gets no rights without being asked.
            group.permissions.add(*ours.filter(codename__startswith="view_"), *ours.filter(codename__in=codenames))


class Migration(migrations.Migration):

    dependencies = [
        ("scheduling", "0004_records"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    # Backwards the groups stay: people may be in them, and may have had groups of these names before.
    operations = [migrations.RunPython(make_roles, migrations.RunPython.noop)]
