"""Hosts of one site have storage and keys in common: what is recorded, who does not start, and what `/ready/` says."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.test.utils import CaptureQueriesContext

from datasets import hosts
from datasets.hosts import Unfit, check_in
from datasets.models.hosts import SharedFact
from tests import make
from tests.races import at_once
from tests.workers import REPOSITORY, site_of_this_test

pytestmark = [pytest.mark.django_db, pytest.mark.postgres, pytest.mark.usefixtures("media_of_its_own")]
OTHER_KEY = "another-secret-for-tests-only-0123456789"


def recorded() -> dict[str, str]:
    return dict(SharedFact.objects.values_list("name", "value"))


def mark(settings: Any) -> Path:
    return Path(settings.MEDIA_ROOT) / hosts.MARK


def ready() -> tuple[int, list[str]]:
    reply = Client().get("/ready/")
    return reply.status_code, reply.content.decode().splitlines()


@pytest.fixture
def checked_in() -> None:
    check_in()


def folder_gone(settings: Any) -> None:
    settings.MEDIA_ROOT = settings.MEDIA_ROOT.with_name("elsewhere")


def folder_of_another_site(settings: Any) -> None:
    mark(settings).write_text("of-another-site\n")


def folder_unreadable(settings: Any) -> None:
    mark(settings).unlink()
    mark(settings).mkdir()


def other_secret_key(settings: Any) -> None:
    settings.SECRET_KEY = OTHER_KEY


def other_pseudonym_key(settings: Any) -> None:
    settings.PSEUDONYM_KEY = OTHER_KEY


DIFFERENCES = [
    (folder_gone, "storage", "holds no file site-mark"),
    (folder_of_another_site, "storage", "its file site-mark names another"),
    (folder_unreadable, "storage", "cannot be read"),
    (other_secret_key, "SECRET_KEY", "another one than that of the site's other hosts"),
    (other_pseudonym_key, "PSEUDONYM_KEY", "another one than that of the site's other hosts"),
]


# The first start ----------------------------------------------------------------------------------------------------


def test_the_first_start_records_a_mark_and_fingerprints_and_later_ones_find_them(settings: Any) -> None:
    check_in()
    first = recorded()
    assert first.keys() == {"storage", "SECRET_KEY", "PSEUDONYM_KEY"}
    assert mark(settings).read_text() == first["storage"] + "\n"
    check_in()
    assert recorded() == first


def test_a_fingerprint_tells_nothing_of_its_key_and_is_no_others(checked_in: None, settings: Any) -> None:
    kept = " ".join(recorded().values())
    for name in hosts.KEYS:
        key = getattr(settings, name)
        assert not any(key[n : n + 6] in kept for n in range(len(key) - 5))
    assert len(set(recorded().values())) == 3


def test_a_media_folder_that_has_a_mark_keeps_it_when_the_database_is_new(checked_in: None, settings: Any) -> None:
    before = mark(settings).read_text()
    SharedFact.objects.all().delete()
    check_in()
    assert mark(settings).read_text() == before == recorded()["storage"] + "\n"


@pytest.mark.django_db(transaction=True)
def test_web_host_and_workers_that_start_for_the_first_time_at_once_all_start(settings: Any) -> None:
    at_once(check_in, check_in, check_in)
    assert mark(settings).read_text() == recorded()["storage"] + "\n"


# Later starts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("change", "what", "says"), DIFFERENCES)
def test_a_host_that_differs_does_not_start_and_reads_which_and_what_to_do(
    checked_in: None, settings: Any, change: Any, what: str, says: str
) -> None:
    before = recorded()
    change(settings)
    with pytest.raises(Unfit, match=rf"{what}: .*{says}.*where the change is meant, run: manage.py adopt {what}"):
        check_in()
    assert recorded() == before


def test_accounts_that_the_demo_made_keep_a_site_from_starting_that_is_no_demo(settings: Any, tmp_path: Path) -> None:
    settings.VAR_DIR, settings.DEMO = tmp_path, True
    check_in()
    hosts.demo_logins().write_text('{"researcher": "in the file", "gone": "too"}')
    make.user("researcher")
    check_in()
    settings.DEMO = False
    with pytest.raises(Unfit, match=r"the passwords of researcher stand in .*demo-logins\.json"):
        check_in()
    hosts.demo_logins().unlink()
    check_in()


def test_a_host_whose_database_is_of_an_earlier_version_is_told_to_migrate() -> None:
    with one_migration_missing(), pytest.raises(Unfit, match=r"migrations: 1 are not applied.*Run: manage.py migrate"):
        check_in()
    assert recorded() == {}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (folder_gone, "storage"),
        (folder_of_another_site, "storage"),
        (other_secret_key, "SECRET_KEY"),
        (other_pseudonym_key, "PSEUDONYM_KEY"),
    ],
)
def test_a_deliberate_change_is_taken_over_by_its_name(checked_in: None, settings: Any, change: Any, what: str) -> None:
    before = recorded()
    change(settings)
    call_command("adopt", what, stdout=StringIO())
    check_in()
    assert {name for name, value in recorded().items() if value != before[name]} == {what}


def test_another_folder_than_that_which_was_adopted_is_refused(checked_in: None, settings: Any) -> None:
    old = settings.MEDIA_ROOT
    folder_gone(settings)
    hosts.adopt("storage")
    settings.MEDIA_ROOT = old
    with pytest.raises(Unfit, match="storage"):
        check_in()


def test_a_worker_that_differs_does_not_start(checked_in: None, settings: Any) -> None:
    other_pseudonym_key(settings)
    with pytest.raises(CommandError, match=r"This host does not start\. PSEUDONYM_KEY: "):
        call_command("work")


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_a_web_host_that_differs_does_not_start(settings: Any) -> None:
    assert started_web_host().returncode == 0
    refused = started_web_host(SECRET_KEY=OTHER_KEY)
    assert refused.returncode != 0
    assert "Unfit: This host does not start. SECRET_KEY: " in refused.stderr


def started_web_host(**changes: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "import config.wsgi"]
    environment = site_of_this_test() | changes
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)


# /ready/ ------------------------------------------------------------------------------------------------------------


def test_a_fit_host_is_ready(checked_in: None) -> None:
    assert ready() == (200, ["ok"])


@pytest.mark.parametrize(("change", "what", "says"), DIFFERENCES)
def test_a_host_that_became_unfit_says_of_what_by_name_alone_and_is_alive(
    checked_in: None, settings: Any, change: Any, what: str, says: str
) -> None:
    change(settings)
    assert ready() == (503, [what])
    assert Client().get("/health/").status_code == 200


def test_a_host_without_its_database_is_not_ready(checked_in: None) -> None:
    def refuse(*args: Any) -> Any:
        raise OperationalError("connection to server at 10.0.0.7 failed")

    with connection.execute_wrapper(refuse):
        assert ready() == (503, ["database"])


def test_a_host_whose_database_was_not_migrated_is_not_ready() -> None:
    with one_migration_missing():
        assert ready() == (503, ["migrations"])


def test_a_host_whose_static_files_were_not_collected_is_not_ready(settings: Any, tmp_path: Path) -> None:
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = settings.STORAGES | {"staticfiles": {"BACKEND": "config.statics.StaticFiles"}}
    assert ready() == (503, ["static files"])


def test_to_be_ready_costs_a_few_statements(checked_in: None) -> None:
    ready()
    with CaptureQueriesContext(connection) as captured:
        ready()
    assert len(captured) <= 3


@contextmanager
def one_migration_missing() -> Iterator[None]:
    """As a database that an earlier version has made, seen from this one."""
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("datasets", "0009_other_answers")
    yield
    recorder.record_applied("datasets", "0009_other_answers")
