"""Django settings: the only place that reads the environment and `.env`."""

import os
import re
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import environ
from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
env.read_env(BASE_DIR / ".env")
# `NAME=` means the default, and blanks round a value are not meant.
env.ENVIRON = {name: value.strip() for name, value in os.environ.items() if value.strip()}

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="")
if not SECRET_KEY:
    raise ImproperlyConfigured(
        "SECRET_KEY is not set. `make run` writes a .env with a random one; or copy .env.example to .env and fill it in."
    )
WEB_BIND = env.str("WEB_BIND", default="127.0.0.1:8000")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", cast=str.strip, default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", cast=str.strip, default=[])

if env.bool("HTTPS", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_HSTS_SECONDS = 30 * 24 * 3600
    # What else has this domain is not ours to bind, so HSTS speaks of this host alone.
    SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
    # Else one who guesses passwords would lock out everybody: all come from the proxy's address.
    AXES_CLIENT_IP_CALLABLE = "audiobooks.middleware.address_behind_proxy"
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "axes",
    "django_apscheduler",
    "scheduling",
    "audiobooks",
    *env.list("AUDIOBOOKS_EXTRA_APPS", cast=str.strip, default=[]),
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "audiobooks.middleware.refuse_nul",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "scheduling.middleware.zone_of_person",
    "axes.middleware.AxesMiddleware",
]

# Ten wrong passwords for a name from an address, and both are refused for a quarter of an hour.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_TEMPLATE = "audiobooks/locked_out.html"
AXES_RESET_ON_SUCCESS = True
AXES_ENABLE_ADMIN = False
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        # What the admin's theme needs: Alpine compiles its attributes, and the colours are a style element in the page.
        "script-src": [SELF, UNSAFE_EVAL],
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

CSRF_FAILURE_VIEW = "audiobooks.views.stale_form"
ROOT_URLCONF = "audiobooks.urls"
WSGI_APPLICATION = "audiobooks.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # Before those of Unfold, whose app stands before ours.
        "DIRS": [BASE_DIR / "audiobooks" / "templates_first"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# Not a setting of Django: those are shown on its error page, and this one holds a password.
_database_url = env.str("DATABASE_URL", default="sqlite:///audiobooks.sqlite3")
DATABASES = {"default": env.db_url_config(_database_url)}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A relative path is meant from the project's folder, wherever a command is started.
    DATABASES["default"]["NAME"] = str(BASE_DIR / DATABASES["default"]["NAME"])
    DATABASES["default"]["OPTIONS"] = {
        # Writers queue for the write lock instead of failing when a read becomes a write.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    # It holds password hashes and sessions. SQLite would make it readable for all, and -wal and -shm like it.
    if not Path(DATABASES["default"]["NAME"]).exists():
        Path(DATABASES["default"]["NAME"]).touch(mode=0o600)
else:
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    DATABASES["default"]["CONN_MAX_AGE"] = 60
    DATABASES["default"]["OPTIONS"] = {
        # A server that has vanished is noticed in seconds (the last is in milliseconds), not in the kernel's minutes.
        **{"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3},
        "tcp_user_timeout": 15_000,
        **DATABASES["default"].get("OPTIONS", {}),
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

LANGUAGE_CODE = "en"
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}

AUDIOBOOKS_LIBRARY = (BASE_DIR / Path(env.str("AUDIOBOOKS_LIBRARY", default="./library")).expanduser()).resolve()
AUDIOBOOKS_COVERS = (BASE_DIR / Path(env.str("AUDIOBOOKS_COVERS", default="./covers")).expanduser()).resolve()
AUDIOBOOKSHELF_URL = env.str("AUDIOBOOKSHELF_URL", default="")
AUDIOBOOKSHELF_KEY = env.str("AUDIOBOOKSHELF_KEY", default="")
AUDIOBOOKSHELF_WRITE = env.bool("AUDIOBOOKSHELF_WRITE", default=False)
METADATA_GUARD_PERCENT = env.int("METADATA_GUARD_PERCENT", default=10)

MAM_BROWSER_SESSION = env.str("MAM_BROWSER_SESSION", default="")
GUIDES_FOLDER = (BASE_DIR / Path(env.str("GUIDES_FOLDER", default="./guides")).expanduser()).resolve()
# Guides that members point beginners to; .env.example says what each is.
_GUIDES = (72809, 37768, 37729, 38940, 45578, 48479, 33794, 31646, 75694, 77872, 28698)
GUIDES_PAGES = env.list("GUIDES_PAGES", cast=str.strip, default=[f"/guides/?gid={number}" for number in _GUIDES])

VERSION = "0.1.0"
CONTACT = env.str("CONTACT", default="")

METADATA_PROVIDERS = env.list("METADATA_PROVIDERS", cast=str.strip, default=["audnexus", "open_library", "librivox"])
AUDIBLE_REGION = env.str("AUDIBLE_REGION", default="us").lower()
GOOGLE_BOOKS_KEY = env.str("GOOGLE_BOOKS_KEY", default="")
HARDCOVER_TOKEN = env.str("HARDCOVER_TOKEN", default="")
AUDNEXUS_URL = env.str("AUDNEXUS_URL", default="https://api.audnex.us")
AUDIBLE_URL = env.str("AUDIBLE_URL", default="https://api.audible.{domain}")
OPEN_LIBRARY_URL = env.str("OPEN_LIBRARY_URL", default="https://openlibrary.org")
GOOGLE_BOOKS_URL = env.str("GOOGLE_BOOKS_URL", default="https://www.googleapis.com/books/v1")
HARDCOVER_URL = env.str("HARDCOVER_URL", default="https://api.hardcover.app/v1/graphql")
LIBRIVOX_URL = env.str("LIBRIVOX_URL", default="https://librivox.org/api/feed/audiobooks")
ARCHIVE_URL = env.str("ARCHIVE_URL", default="https://archive.org")

# Empty: those that are configured, and LibriVox where none is.
SOURCES = env.list("SOURCES", cast=str.strip, default=[])
MAM_SESSION = env.str("MAM_SESSION", default="")
MAM_URL = env.str("MAM_URL", default="https://www.myanonamouse.net")
MAM_LANGUAGES = env.list("MAM_LANGUAGES", cast=str.strip, default=[])
_indexers = [[*map(str.strip, each.split("|")), "", ""] for each in env.list("TORZNAB_INDEXERS", default=[])]
TORZNAB_INDEXERS = [{"name": name, "url": url, "key": key} for name, url, key, *_ in _indexers if name or url]
CRAWL_PAGES = env.int("CRAWL_PAGES", default=40)
CRAWL_RAW_DAYS = env.int("CRAWL_RAW_DAYS", default=14)

ACQUIRE = env.str("AUDIOBOOKS_ACQUIRE", default="review").lower()
FOLLOW_AUTHORS = env.int("FOLLOW_AUTHORS", default=3)
RELEASE_LANGUAGES = env.list("RELEASE_LANGUAGES", cast=str.strip, default=["en"])
RELEASE_FORMATS = [name.lower() for name in env.list("RELEASE_FORMATS", cast=str.strip, default=["m4b", "mp3"])]
RELEASE_UNABRIDGED = env.bool("RELEASE_UNABRIDGED", default=True)
RELEASE_BITRATE = env.int("RELEASE_BITRATE", default=64)
RELEASE_MB_PER_HOUR = tuple(env.list("RELEASE_MB_PER_HOUR", cast=float, default=[7.0, 250.0]))
RELEASE_SEEDERS = env.int("RELEASE_SEEDERS", default=1)
RELEASE_COST = env.str("RELEASE_COST", default="free").lower()
# Negative: a tenth of the limit, and 5 at least.
BUDGET_SLOTS_KEPT = env.int("BUDGET_SLOTS_KEPT", default=-1)
BUDGET_RATIO = env.float("BUDGET_RATIO", default=2.0)
BUDGET_FREE_GB = env.float("BUDGET_FREE_GB", default=20.0)
BUDGET_RUN = env.int("BUDGET_RUN", default=5)
BUDGET_RUN_GB = env.float("BUDGET_RUN_GB", default=10.0)
BUDGET_WEEK = env.int("BUDGET_WEEK", default=20)
BUDGET_WEEK_GB = env.float("BUDGET_WEEK_GB", default=40.0)
AUDIOBOOKS_DOWNLOADS = (BASE_DIR / Path(env.str("AUDIOBOOKS_DOWNLOADS", default="./downloads")).expanduser()).resolve()
QBITTORRENT_URL = env.str("QBITTORRENT_URL", default="")
QBITTORRENT_USER = env.str("QBITTORRENT_USER", default="")
QBITTORRENT_PASSWORD = env.str("QBITTORRENT_PASSWORD", default="")
TRANSMISSION_URL = env.str("TRANSMISSION_URL", default="")
TRANSMISSION_USER = env.str("TRANSMISSION_USER", default="")
TRANSMISSION_PASSWORD = env.str("TRANSMISSION_PASSWORD", default="")
TORRENT_CATEGORY = env.str("TORRENT_CATEGORY", default="audiobooks")
# The client's path -> ours.
DOWNLOAD_PATHS = {
    theirs.strip(): ours.strip()
    for theirs, _, ours in (each.partition("=>") for each in env.list("DOWNLOAD_PATHS", default=[]))
}
SHELF_PATH = env.str("SHELF_PATH", default="{author}/{series}/{position} - {title} {{{narrator}}}")

DIGEST_TO = env.list("DIGEST_TO", cast=str.strip, default=[])
# Not a setting of Django: those are shown on its error page, and this one holds a password.
_email_url = env.str("EMAIL_URL", default="")
if _email_url:
    vars().update(env.email_url_config(_email_url))
# Seconds.
EMAIL_TIMEOUT = 30
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", default="audiobooks@localhost")

SCHEDULING = {
    "WORKERS": env.int("SCHEDULER_WORKERS", default=4),
    "SHUTDOWN_GRACE": env.float("SCHEDULER_SHUTDOWN_GRACE", default=30.0),
    "RETENTION_DAYS": env.int("TASK_RETENTION_DAYS", default=30),
    "RETENTION_FAILED_DAYS": env.int("TASK_RETENTION_FAILED_DAYS", default=30),
    "START_IN_WEB": env.bool("SCHEDULER_IN_WEB", default=False),
    # The password as it stands in the URL, and as it is sent, which differs where characters are percent-encoded.
    "SECRETS": tuple(
        filter(
            None,
            (
                *(SECRET_KEY, urlsplit(_database_url).password, DATABASES["default"].get("PASSWORD")),
                # A token may have been copied with the word Bearer before it.
                *(GOOGLE_BOOKS_KEY, HARDCOVER_TOKEN, *HARDCOVER_TOKEN.split()[-1:], AUDIOBOOKSHELF_KEY),
                # A session may have been pasted as a line of a cookie, and a key be part of the address.
                *(
                    part.removeprefix("mam_id=")
                    for session in (MAM_SESSION, MAM_BROWSER_SESSION)
                    for part in (session, *re.split(r"[\s;,\"'`]+", session))
                ),
                *(QBITTORRENT_PASSWORD, TRANSMISSION_PASSWORD),
                *(urlsplit(_email_url).password, vars().get("EMAIL_HOST_PASSWORD")),
                *(each["key"] for each in TORZNAB_INDEXERS),
                *(value for each in TORZNAB_INDEXERS for _, value in parse_qsl(each["url"].partition("?")[2])),
            ),
        )
    ),
}

DEFAULT_EXCEPTION_REPORTER_FILTER = "scheduling.redaction.RedactingReporterFilter"

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "class": "scheduling.redaction.RedactingFormatter",
            "format": "{asctime} {levelname:7} {name}: {message}",
            "style": "{",
        }
    },
    "handlers": {"terminal": {"class": "logging.StreamHandler", "formatter": "line", "level": LOG_LEVEL}},
    # What a Task logs is kept with it, whatever the terminal shows.
    "root": {"handlers": ["terminal"], "level": "DEBUG" if LOG_LEVEL == "DEBUG" else "INFO"},
    "loggers": {
        # APScheduler's own lines say less than ours and come with each run.
        "apscheduler": {"level": "WARNING"},
        # It would show headers.
        "httpcore": {"level": "WARNING"},
        # Named here, it loses the handlers that Django gives it, which know no redaction.
        "django": {"level": "INFO"},
    },
}

UNFOLD = {
    "SITE_TITLE": "Audiobook Automation",
    "SITE_HEADER": "Audiobook Automation",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("audiobooks/icon.svg")}],
    "SHOW_HISTORY": True,
    "ENVIRONMENT": "audiobooks.admin.acquisitions.stopped_in_words",
    "SCRIPTS": [lambda request: static("scheduling/zone.js")],
    "SIDEBAR": {"navigation": "audiobooks.navigation.navigation"},
}
