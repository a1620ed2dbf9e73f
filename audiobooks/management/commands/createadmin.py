"""`manage.py createadmin`: the first person who may sign in."""

from __future__ import annotations

import secrets
from itertools import chain, count
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    help = "Create an administrator with a random password, printed once, unless there is an administrator."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--username", default="admin")

    def handle(self, *args: Any, username: str, **options: Any) -> None:
        users = get_user_model()._default_manager
        if users.filter(is_superuser=True).exists():
            self.stdout.write("There is an administrator already; none was created.")
            return
        password = secrets.token_urlsafe(12)
        # A person who has the name already gets no rights by this.
        names = chain([username], (f"{username}{number}" for number in count(2)))
        username = next(name for name in names if not users.filter(username=name).exists())
        users.create_superuser(username=username, password=password)
        self.stdout.write(f"Sign in as {username} with the password {password} (it is not shown again).")
