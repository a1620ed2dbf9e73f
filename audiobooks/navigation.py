"""The sidebar: what is looked at every day first."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

GROUPS: dict[str, dict[str, str]] = {
    "Schedule": {
        "scheduling.Job": "schedule",
        "scheduling.Task": "checklist",
        "scheduling.DayCount": "calendar_month",
        "scheduling.JobChange": "history",
        "scheduling.PauseOfAll": "pause_circle",
        "scheduling.SchedulerProcess": "memory",
    },
    "Discover": {
        "audiobooks.Chart": "leaderboard",
        "audiobooks.Proposal": "recommend",
        "audiobooks.Release": "album",
        "audiobooks.Guide": "menu_book",
        "audiobooks.Crawl": "travel_explore",
    },
    "Get": {
        "audiobooks.Acquisition": "download",
        "audiobooks.BlockedRelease": "block",
    },
    "Library": {
        "audiobooks.Book": "headphones",
        "audiobooks.Follow": "playlist_add",
        "audiobooks.Series": "format_list_numbered",
        "audiobooks.Author": "person",
        "audiobooks.Narrator": "record_voice_over",
        "audiobooks.Genre": "category",
        "audiobooks.LibraryFile": "audio_file",
    },
    "Metadata": {
        "audiobooks.ProviderMatch": "compare_arrows",
        "audiobooks.MetadataRun": "sync",
        "audiobooks.BookChange": "history",
        "audiobooks.ServiceState": "dns",
    },
    "People": {"auth.User": "group", "auth.Group": "shield_person"},
}
"""Title -> model -> icon of Material Symbols, which Unfold brings along."""


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """What this person may look at; what is in no group, as of a user's own apps, comes after them by app."""
    apps = admin.site.get_app_list(request)
    shown = {model["model"]._meta.label: model for app in apps for model in app["models"] if model["admin_url"]}
    groups = [("", [_item(request, "Dashboard", reverse("admin:index"), "home")])]
    for title, icons in GROUPS.items():
        mine = [(shown[label], icon) for label, icon in icons.items() if label in shown]
        groups.append((title, [_item(request, model["name"], model["admin_url"], icon) for model, icon in mine]))
    named = {label for icons in GROUPS.values() for label in icons}
    for app in apps:
        others = [model for model in app["models"] if model["admin_url"] and model["model"]._meta.label not in named]
        groups.append((app["name"], [_item(request, each["name"], each["admin_url"], "folder") for each in others]))
    return [{"title": title, "items": items} for title, items in groups if items]


def _item(request: HttpRequest, title: str, url: str, icon: str) -> dict[str, Any]:
    is_index = url == reverse("admin:index")
    return {
        "title": title[:1].upper() + title[1:],
        "link": url,
        "icon": icon,
        "active": request.path == url if is_index else request.path.startswith(url),
    }
