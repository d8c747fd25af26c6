"""A site of its own for each test process: secrets, database file and media in a temporary folder."""

import os
import shutil
import tempfile
from pathlib import Path

import psycopg
import pytest

_worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
_var = Path(tempfile.mkdtemp(prefix=f"studio-test-{_worker}-"))
os.environ |= {
    "STUDIO_VAR": str(_var),
    "SECRET_KEY": "a-secret-for-tests-only-0123456789abcdef",
    "PSEUDONYM_KEY": "a-pseudonym-key-for-tests-only-0123456789",
    "DEBUG": "false",
    "HTTPS": "false",
}

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_configure(config: pytest.Config) -> None:
    from django.conf import settings

    # The manifest of hashed names is made by collectstatic at deployment.
    settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}


def pytest_sessionstart(session: pytest.Session) -> None:
    """A run on PostgreSQL where there is none ends at once: as a failure where skipping is forbidden."""
    url = os.environ.get("DATABASE_URL", "")
    if not url.startswith("postgres"):
        return
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        forbidden = bool(os.environ.get("FORBID_SKIPS"))
        pytest.exit(f"PostgreSQL is not reachable, its tests are left out: {error}", returncode=int(forbidden))


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(_var, ignore_errors=True)


def skip_or_fail(reason: str) -> None:
    """Where the gate runs, what it needs is there: a skip would hide a fault."""
    if os.environ.get("FORBID_SKIPS"):
        pytest.fail(f"{reason} (skipping is forbidden here)")
    pytest.skip(reason)


@pytest.fixture
def london() -> Path:
    """Real faces (Face Research Lab London Set, CC BY 4.0), where they are."""
    folder = SHARED_DATA / "london"
    if not folder.is_dir():
        pytest.skip("the London faces are not here (../shared/data/london)")
    return folder


@pytest.fixture(autouse=True)
def _quick_passwords(settings: object) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # type: ignore[attr-defined]
