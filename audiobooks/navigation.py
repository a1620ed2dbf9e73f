"""The sidebar: what is looked at every day first."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

GROUPS: dict[str, dict[str, str]] = {
    "Schedule": {
        "Job": "schedule",
        "Task": "checklist",
        "DayCount": "calendar_month",
        "JobChange": "history",
        "PauseOfAll": "pause_circle",
        "SchedulerProcess": "memory",
    },
    "Discover": {
        "Chart": "leaderboard",
        "Proposal": "recommend",
        "Release": "album",
        "Guide": "menu_book",
        "Crawl": "travel_explore",
    },
    "Library": {
        "Book": "headphones",
        "Series": "format_list_numbered",
        "Author": "person",
        "Narrator": "record_voice_over",
        "Genre": "category",
        "LibraryFile": "audio_file",
    },
    "Metadata": {
        "ProviderMatch": "compare_arrows",
        "MetadataRun": "sync",
        "BookChange": "history",
        "ServiceState": "dns",
    },
    "People": {"User": "group", "Group": "shield_person"},
}
"""Title -> model -> icon of Material Symbols, which Unfold brings along."""


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """What this person may look at; what is in no group, as of a user's own apps, comes after them by app."""
    shown = {
        (app["name"], model["object_name"]): model
        for app in admin.site.get_app_list(request)
        for model in app["models"]
        if model["admin_url"]
    }
    groups = {"": [_item(request, "Dashboard", reverse("admin:index"), "home")]}
    for title, icons in GROUPS.items():
        found = {name: model for (_, name), model in shown.items() if name in icons}
        groups[title] = [
            _item(request, found[name]["name"], found[name]["admin_url"], icon)
            for name, icon in icons.items()
            if name in found
        ]
    named = {name for icons in GROUPS.values() for name in icons}
    for (app, name), model in shown.items():
        if name not in named:
            groups.setdefault(str(app), []).append(_item(request, model["name"], model["admin_url"], "folder"))
    return [{"title": title, "items": items} for title, items in groups.items() if items]


def _item(request: HttpRequest, title: str, url: str, icon: str) -> dict[str, Any]:
    is_index = url == reverse("admin:index")
    return {
        "title": title[:1].upper() + title[1:],
        "link": url,
        "icon": icon,
        "active": request.path == url if is_index else request.path.startswith(url),
    }
