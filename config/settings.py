"""Settings come from the environment, and from `var/studio.env` where `make demo` has written one.

Every variable is named in docs/admins.md. A bad or missing value stops the start with a sentence that says what to do.
"""

import os
from pathlib import Path

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
VAR_DIR = Path(env.str("STUDIO_VAR", default=str(BASE_DIR / "var")))
if (VAR_DIR / "studio.env").exists():
    env.read_env(VAR_DIR / "studio.env")


WORDS_OF_EXAMPLES = ("change-me", "changeme", "django-insecure", "example", "password", "your-secret")


def secret(name: str) -> str:
    """A secret of at least 32 characters: never made up here, since a new one would undo what the last one signed."""
    value = env.str(name, default="")
    is_guessed = len(set(value)) < 10 or any(word in value.lower() for word in WORDS_OF_EXAMPLES)
    if len(value) < 32 or is_guessed:
        raise ImproperlyConfigured(
            f"{name} must be set to at least 32 random characters. `make demo` writes one into var/studio.env; "
            """elsewhere run: python -c "import secrets; print(secrets.token_urlsafe(48))" and set it."""
        )
    return value


def number(name: str, *, default: float, least: float) -> float:
    given = env.str(name, default=str(default))
    try:
        value = float(given)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a number; it is {given!r}.") from error
    if not least <= value < float("inf"):
        raise ImproperlyConfigured(f"{name} must be at least {least:g}; it is {value:g}.")
    return value


def rate(name: str, *, default: str) -> tuple[int, float]:
    """So many, in so many seconds; written with minutes."""
    given = env.str(name, default=default)
    n, _, minutes = given.partition("/")
    if not (n.isdecimal() and minutes.isdecimal() and int(n) and int(minutes)):
        raise ImproperlyConfigured(f"{name} must be like 10/15, ten in fifteen minutes; it is {given!r}.")
    return int(n), int(minutes) * 60.0


def flag(name: str, *, default: bool) -> bool:
    value = env.str(name, default=str(default)).lower()
    if value not in {"true", "false", "1", "0", "yes", "no", "on", "off"}:
        raise ImproperlyConfigured(f"{name} must be true or false; it is {value!r}.")
    return value in {"true", "1", "yes", "on"}


os.umask(0o077)  # what any process of a site writes, its owner alone may read
HTTPS = flag("HTTPS", default=False)
DEMO = flag("DEMO", default=False)  # a site to try things out on, for visitors of this machine alone
DEBUG = flag("DEBUG", default=False)
if DEBUG and not DEMO:
    raise ImproperlyConfigured(
        "DEBUG is on: errors would show code and settings to visitors. Set DEBUG=false; on a machine of your own, to "
        "try things out, set DEMO=true beside it."
    )
SECRET_KEY = secret("SECRET_KEY")
PSEUDONYM_KEY = secret("PSEUDONYM_KEY")  # withdrawal codes and the ledger of erasures; apart, so that each can change
if PSEUDONYM_KEY == SECRET_KEY:
    raise ImproperlyConfigured("PSEUDONYM_KEY and SECRET_KEY must differ: one is public once it leaks by the other.")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "config.apps.GuardedAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "config.statics.Collected",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "django_tasks",
    "django_tasks_db",
    "rest_framework",
    "drf_spectacular",
    "csp",
    "datasets.apps.DatasetsConfig",
    "scoring.apps.ScoringConfig",
    "annotation.apps.AnnotationConfig",
]
MIDDLEWARE = [
    "config.caching.not_kept",  # outermost: what the others answer themselves is for nobody else either
    "config.headers.closed",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "annotation.languages.SpeakTheirLanguage",
    "config.known.remembered",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "config.sessions.limited",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    # Before the search for a CSRF token, which reads the body: whoever must log in first has sent it for nothing.
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "datasets.second_factor.AskForSecondFactor",
    "config.lockout.TellWhy",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
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

DATABASE_URL = env.str("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'studio.sqlite3'}")
if not DATABASE_URL.startswith(("sqlite:///", "postgres://", "postgresql://")):
    raise ImproperlyConfigured("DATABASE_URL must begin with sqlite:/// or postgres://.")
try:
    DATABASES = {"default": env.db_url_config(DATABASE_URL)}
except ValueError as error:
    raise ImproperlyConfigured(f"DATABASE_URL cannot be read: {error}.") from error
GUESSED_FIRST = {"admin", "changeme", "change-me", "password", "postgres", "postgresql", "secret", "studio"}
if not DEMO and str(DATABASES["default"].get("PASSWORD", "")).lower() in GUESSED_FIRST:
    raise ImproperlyConfigured("The password in DATABASE_URL is one that is guessed first. Give that user another.")
# FULL: whoever is told that an answer is stored has dropped it, so it must be on disk by then and survive a power cut.
SQLITE_SYNCHRONOUS = env.str("SQLITE_SYNCHRONOUS", default="FULL").upper()
if SQLITE_SYNCHRONOUS not in {"NORMAL", "FULL", "EXTRA"}:
    raise ImproperlyConfigured(f"SQLITE_SYNCHRONOUS must be FULL, EXTRA or NORMAL; it is {SQLITE_SYNCHRONOUS!r}.")
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"] |= {
        "ENGINE": "config.sqlite",
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": (
                f"PRAGMA journal_mode=WAL; PRAGMA synchronous={SQLITE_SYNCHRONOUS}; PRAGMA cache_size=-32000; "
                "PRAGMA secure_delete=ON;"  # what is deleted is overwritten, not only forgotten
            ),
        },
        # A file, not memory: threads and worker processes of the tests must share it.
        "TEST": {"NAME": str(VAR_DIR / "test.sqlite3")},
    }
else:
    DATABASES["default"]["ENGINE"] = "config.postgresql"
    # Statements that come again and again are planned once a connection: planning costs more than an answer's rows.
    DATABASES["default"].setdefault("OPTIONS", {}).update(server_side_binding=True, prepare_threshold=5)
    # PostgreSQL would compile statements whose cost it overrates, as in tables that it has not analysed yet: that takes
    # longer than any of ours runs.
    DATABASES["default"]["OPTIONS"].setdefault("options", "-c jit=off")
DATABASES["default"]["CONN_MAX_AGE"] = None  # each thread keeps its connection: opening one costs more than an answer
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True  # a database that was started again costs nobody an error
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# 0.1.0 could queue jobs in Redis. Whoever goes on setting it would wait for workers that look elsewhere.
if (_engine := env.str("TASKS_ENGINE", default="db")) != "db":
    raise ImproperlyConfigured(
        f"TASKS_ENGINE is {_engine!r}, but jobs wait in the database alone. Remove TASKS_ENGINE and REDIS_URL; for "
        "several hosts set DATABASE_URL to the same PostgreSQL on each of them (docs/admins.md)."
    )
LANES = ("short", "train")
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": list(LANES)}}
JOB_LEASE_SECONDS = number("JOB_LEASE_SECONDS", default=15, least=1)
JOB_HEARTBEAT_SECONDS = number("JOB_HEARTBEAT_SECONDS", default=5, least=0.1)
if JOB_HEARTBEAT_SECONDS * 2 > JOB_LEASE_SECONDS:
    raise ImproperlyConfigured("JOB_LEASE_SECONDS must be at least twice JOB_HEARTBEAT_SECONDS.")

TRAIN_DEVICE = env.str("TRAIN_DEVICE", default="auto")  # cpu, cuda, cuda:1; auto: a GPU where there is one
TRAIN_MEMORY_BYTES = int(number("TRAIN_MEMORY_BYTES", default=0, least=0))  # 0: four fifths of the host's
WEIGHTS_DIR = env.str("WEIGHTS_DIR", default="")  # torchvision's ImageNet weights, by their own file names
if WEIGHTS_DIR and not Path(WEIGHTS_DIR).is_dir():
    raise ImproperlyConfigured(f"WEIGHTS_DIR must be a folder; there is none at {WEIGHTS_DIR!r}.")

# As in smtp+tls://user:password@mail.example.org:587. Without it nothing is sent, and whoever has forgotten a password
# must ask an admin. A demo prints its mails.
EMAIL_URL = env.str("EMAIL_URL", default="consolemail://" if DEMO else "")
if EMAIL_URL and not EMAIL_URL.startswith(("smtp://", "smtp+tls://", "smtp+ssl://", "consolemail://", "memorymail://")):
    raise ImproperlyConfigured("EMAIL_URL must begin with smtp://, smtp+tls:// or smtp+ssl://.")
vars().update(env.email_url_config(EMAIL_URL or "dummymail://"))
EMAIL_TIMEOUT = 4  # seconds: whoever has pressed a button waits for it, and a proxy in front for five
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="studio@localhost")

AUTHENTICATION_BACKENDS = ["config.lockout.CountedLogIns"]
_VALIDATORS = "django.contrib.auth.password_validation"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"{_VALIDATORS}.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": f"{_VALIDATORS}.UserAttributeSimilarityValidator"},
    {"NAME": f"{_VALIDATORS}.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
SESSION_LONGEST_SECONDS = 24 * 3600 * number("SESSION_LONGEST_DAYS", default=14, least=0.01)
SESSION_IDLE_SECONDS = 3600 * number("SESSION_IDLE_HOURS", default=12, least=0.1)
SESSION_COOKIE_AGE = int(SESSION_LONGEST_SECONDS)
CONFIRMED_SECONDS = 60 * number("CONFIRMED_MINUTES", default=10, least=1)
# Of superusers and of those who administer projects. Set to false only where nobody but you reaches the site.
SECOND_FACTOR_REQUIRED = flag("SECOND_FACTOR_REQUIRED", default=not DEMO)
# Of django-allauth: what differs from its own choices (config/accounts.py has what is more than a value).
ACCOUNT_ADAPTER = "config.accounts.Accounts"
ACCOUNT_FORMS = {"login": "config.accounts.LogInForm"}
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*", "password2*"]
ACCOUNT_RATE_LIMITS = False  # ours are shared by all processes (config/lockout.py)
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_EMAIL_VERIFICATION = "optional"
ACCOUNT_EMAIL_NOTIFICATIONS = bool(EMAIL_URL)
ACCOUNT_EMAIL_SUBJECT_PREFIX = "PerceptAnon Studio: "
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False  # nobody is written to because a stranger has typed their address
ACCOUNT_REAUTHENTICATION_TIMEOUT = int(CONFIRMED_SECONDS)
ACCOUNT_AUTHENTICATED_LOGIN_REDIRECTS = False  # whoever may not open a page can log in as somebody else
MFA_ADAPTER = "config.accounts.SecondFactors"
MFA_FORMS = {"authenticate": "config.accounts.CodeForm", "reauthenticate": "config.accounts.CodeAgainForm"}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_ALLOW_UNVERIFIED_EMAIL = True  # accounts may have no address at all
MFA_RATE_LIMITS = False
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not HTTPS  # browsers have keys on their own machine's sites alone, then
USERSESSIONS_TRACK_ACTIVITY = False  # config/sessions.py notes it more rarely
# How many wrong passwords there may be, and in how many minutes (datasets/tries.py counts them).
WRONG_PER_NAME_AND_ADDRESS = rate("WRONG_PER_NAME_AND_ADDRESS", default="10/15")
WRONG_PER_NAME = rate("WRONG_PER_NAME", default="50/60")  # more than one address may make, else one locks anybody out
WRONG_PER_ADDRESS = rate("WRONG_PER_ADDRESS", default="50/15")
WRONG_NAMES_PER_ADDRESS = rate("WRONG_NAMES_PER_ADDRESS", default="20/60")
WRONG_PER_KNOWN_BROWSER = rate("WRONG_PER_KNOWN_BROWSER", default="10/15")
MAILS_PER_ADDRESS = rate("MAILS_PER_ADDRESS", default="5/60")  # of e-mail, so that nobody has another's box filled
JOINS_PER_ADDRESS = rate("JOINS_PER_ADDRESS", default="20/60")  # by links for many people
FIRST_PAIR_SECONDS = 60 * number("FIRST_PAIR_MINUTES", default=10, least=1)
PROXY_COUNT = int(number("PROXY_COUNT", default=0, least=0))

if DEMO and HTTPS:
    raise ImproperlyConfigured(
        "DEMO and HTTPS are both on, but a demo is for one machine. Take DEMO=true out of var/studio.env."
    )
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 3600 * 24 * 365 if HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
if HTTPS:  # a browser takes these from the site itself alone, not from its neighbours below the same domain
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "font-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

# Of the annotators' pages (annotation/languages.py); all others speak LANGUAGE_CODE.
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("ar", "العربية")]
MACHINE_TRANSLATED = {"ar"}  # no person has read these words yet, and every page in them says so
LOCALE_PATHS = [BASE_DIR / "annotation" / "locale"]
LANGUAGE_COOKIE_NAME = "language"
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_SECURE = HTTPS
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
MEDIA_ROOT = VAR_DIR / "media"  # never served as a folder: pictures leave through datasets.images.picture_response
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage" if DEBUG else "config.statics.StaticFiles"
    },
}
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = DEBUG
# A web server in front may send files itself: the internal prefix that maps to MEDIA_ROOT (docs/admins.md).
ACCEL_PREFIX = env.str("ACCEL_PREFIX", default="")
# Keyed hashes of whoever was erased; by default a file beside the media folder. On several hosts one that all share.
ERASURE_LEDGER = env.str("ERASURE_LEDGER", default="")
# With less a job is not begun: a picture and its drafts take some 30 MB.
DISK_LEAST_FREE_BYTES = int(number("DISK_LEAST_FREE_BYTES", default=50 * 1024**2, least=0))
# Of one import, and of one job: more than any that we know of, and little enough for others to get their turn.
MANIFEST_MAX_BYTES = int(number("MANIFEST_MAX_BYTES", default=150_000_000, least=1))
IMPORT_MAX_ROWS = int(number("IMPORT_MAX_ROWS", default=1_000_000, least=1))
IMPORT_MAX_PIXELS = int(number("IMPORT_MAX_PIXELS", default=1_000_000_000_000, least=1))  # decoded
IMPORT_MAX_BYTES = int(number("IMPORT_MAX_BYTES", default=200 * 1024**3, least=1))  # of pictures, as they come
PROJECT_MAX_PAIRS = int(number("PROJECT_MAX_PAIRS", default=1_000_000, least=1))
PROJECT_MAX_BYTES = int(number("PROJECT_MAX_BYTES", default=500 * 1024**3, least=1))  # of pictures, as they come
JOB_MAX_SECONDS = number("JOB_MAX_SECONDS", default=12 * 3600, least=1)  # trainings are not meant
BACKUP_DIR = env.str("BACKUP_DIR", default="")
# So long the audit log is kept; the database keeps each entry for 30 days in any case (datasets/migrations/0022).
AUDIT_KEEP_DAYS = number("AUDIT_KEEP_DAYS", default=730, least=30)
BACKUP_MAX_DAYS = number("BACKUP_MAX_DAYS", default=2, least=0)  # after which the doctor asks for a new one
UPLOAD_MAX_BYTES = int(number("UPLOAD_MAX_BYTES", default=4 * 1024**3, least=1))
# Of files and folders in a zip that is imported: each takes a kilobyte and a half of a worker's memory, empty ones too.
ZIP_MAX_FILES = int(number("ZIP_MAX_FILES", default=100_000, least=1))
FILE_UPLOAD_PERMISSIONS = 0o600  # Django's own would let everybody on the machine read
FILE_UPLOAD_HANDLERS = ["datasets.uploads.BoundedUpload"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024  # bodies other than files; an answer is some 500 bytes

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "EXCEPTION_HANDLER": "datasets.telling.in_json",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "PerceptAnon Studio",
    "VERSION": "1",  # of the protocol
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": ["annotation.answering.schema.with_components"],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "filters": {
        "without_tokens": {"()": "config.logs.WithoutTokens"},
        "without_outages": {"()": "config.logs.WithoutOutages"},
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["without_tokens"]},
    },
    "loggers": {
        "django.request": {"filters": ["without_outages"]},
        "waitress.queue": {"level": "ERROR"},  # that a request waits a moment for a thread is the rule on a busy site
    },
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="WARNING").upper()},
}
