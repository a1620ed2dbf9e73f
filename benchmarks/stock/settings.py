"""The Django settings of the stock side: what django-apscheduler needs."""

import os

import environ

SECRET_KEY = "a-secret-key-that-only-benchmarks-use"
INSTALLED_APPS = ["django.contrib.contenttypes", "django_apscheduler"]
DATABASES = {"default": environ.Env.db_url_config(os.environ["DATABASE_URL"])}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        # As on our side. With Django's default, DEFERRED, this scheduler dies within seconds: see `endurance`.
        "transaction_mode": os.environ.get("BENCHMARK_TRANSACTION_MODE", "IMMEDIATE"),
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"terminal": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["terminal"], "level": "WARNING"},
}
