import gc
import os
import shutil
from pathlib import Path

import hypothesis
import psycopg
import pytest

from tests.workers import media_of_its_own, start_worker  # noqa: F401  fixtures

# Processes that a test starts are a real site's: they read its settings, and find what tests/settings.py has set.
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"

# Speed is measured in bench/: a test must not fail because the machine has other work.
hypothesis.settings.register_profile("studio", deadline=None)
hypothesis.settings.load_profile("studio")

# Of drawn examples each of which asks a whole study or site: a few in every run.
FEW_OR_MANY = pytest.mark.parametrize("n_drawn", [5, pytest.param(50, marks=pytest.mark.long)])

# A test process looks for garbage in circles more rarely than a site: a tenth of its time went into that.
gc.set_threshold(50_000, 20, 50)

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What asks no database says the same on every one: the run on PostgreSQL leaves it to the run on SQLite."""
    if not os.environ.get("DATABASE_URL", "").startswith("postgres"):
        return
    left_out = [item for item in items if not _asks_a_database(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if _asks_a_database(item)]


def _asks_a_database(item: pytest.Item) -> bool:
    marked = any(item.get_closest_marker(name) for name in ("django_db", "services", "postgres"))
    return marked or not {"db", "transactional_db"}.isdisjoint(getattr(item, "fixturenames", ()))


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(os.environ["STUDIO_VAR"], ignore_errors=True)


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
