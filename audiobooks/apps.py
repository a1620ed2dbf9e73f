from django.apps import AppConfig


class AudiobooksConfig(AppConfig):
    name = "audiobooks"
    verbose_name = "Library"

    def ready(self) -> None:
        from . import checks  # noqa: F401  (registers them)
