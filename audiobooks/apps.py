from django.apps import AppConfig


class AudiobooksConfig(AppConfig):
    name = "audiobooks"
    verbose_name = "Library"
