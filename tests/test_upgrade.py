"""A site that began as an earlier version goes on as this one: each version's dump is loaded, migrated and used.

The dumps are those of tests/upgrades/VERSION, made by tests/upgrades/make_dump.py.
"""

import hashlib
import hmac
import re
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client, override_settings
from django.urls import reverse

from annotation.models.people import Invitation, NameInRelease, Participation
from annotation.models.ratings import Rating
from annotation.models.studies import Study, StudyText
from annotation.privacy import participation_with_code
from bench.audit import wrong_counts
from datasets.content import content_hash
from datasets.export import archive_name
from datasets.files import media_path
from datasets.models.releases import Release
from scoring.models import TrainingRun
from tests import make
from tests.upgrades.make_dump import UPGRADES

pytestmark = pytest.mark.postgres

VERSIONS = sorted(path.parent.name for path in UPGRADES.glob("*/sqlite.sql"))
# What a later version takes away on purpose, as TABLE.COLUMN, and why. All else must be there after it.
GONE = {
    "annotation_study.reserves_session": "a session is always set aside; what is left of one, at the next turn",
    "annotation_participation.withdrawal_code": "only its hash is kept",
    "datasets_release.pseudonym_key": "names in releases are kept, so nobody can make them again",
}
# Tables and values that a later version calls otherwise.
MOVED = {"annotation_studyplan": "annotation_preregistration"}
RENAMED = {
    "annotation_studychange.kind": {"marks": "roles"},
    "django_content_type.model": {"studyplan": "preregistration"},
}
# Where Django notes what there is, and each upgrade adds to it.
GROWING = ("django_migrations.", "django_content_type.", "auth_permission.")

# SHA-256 of the SHA256SUMS in the zip that 0.1.0 made of the release in each dump.
SUMS_AS_FROZEN = {
    "sqlite": "008696ab15938608225e83e43bc3ced4b31cbe882775893ed1a97619965050a1",
    "postgresql": "db5593755148871a15c8e53339e958be737617dfc55bbc9d35d2e08c053ed29c",
}

Contents = dict[str, list[Any]]


@dataclass(frozen=True)
class Upgrade:
    before: Contents
    after: Contents
    new: str  # the name of a database that this version has made from nothing


@pytest.fixture(scope="module", params=VERSIONS)
def upgrade(
    request: pytest.FixtureRequest,
    django_db_setup: None,
    django_db_blocker: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Upgrade]:
    """The site of an earlier version, migrated: every test of it works on the same one."""
    kept, folder = UPGRADES / request.param, tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(kept / "pictures.zip") as pictures:
        pictures.extractall(folder)
    dump, of_tests = (kept / f"{connection.vendor}.sql").read_text(), connection.settings_dict["NAME"]
    with django_db_blocker.unblock(), override_settings(MEDIA_ROOT=folder), database_from(dump, folder):
        before = contents()
        call_command("migrate", verbosity=0)
        yield Upgrade(before, contents(), of_tests)


@contextmanager
def database_from(dump: str, folder: Path) -> Iterator[None]:
    """A database of its own in the place of the tests'."""
    of_tests = connection.settings_dict["NAME"]
    connection.close()
    load = {"sqlite": into_sqlite, "postgresql": into_postgresql}[connection.vendor]
    with load(dump, folder) as name:
        connection.settings_dict["NAME"] = name
        try:
            yield
        finally:
            connection.close()
            connection.settings_dict["NAME"] = of_tests


@contextmanager
def into_sqlite(dump: str, folder: Path) -> Iterator[str]:
    path = str(folder / "studio.sqlite3")
    with closing(sqlite3.connect(path)) as database:
        database.executescript(dump)
    yield path


@contextmanager
def into_postgresql(dump: str, folder: Path) -> Iterator[str]:
    given = connection.get_connection_params()
    server = {key: given[key] for key in ("host", "port", "user", "password") if key in given}
    name = f"{given['dbname']}_{folder.name}"
    with psycopg.connect(**server, dbname=given["dbname"], autocommit=True) as beside:
        beside.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        beside.execute(f'CREATE DATABASE "{name}"')
        with psycopg.connect(**server, dbname=name) as database:
            database.execute(dump)
        yield name
        beside.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def contents() -> Contents:
    """The values of every column, by TABLE.COLUMN, in the order of the rows' keys."""
    found: Contents = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            key = connection.introspection.get_primary_key_column(cursor, table)
            cursor.execute(f'SELECT * FROM "{table}" ORDER BY "{key}"')  # noqa: S608  names of our own tables
            names, rows = [f"{table}.{column[0]}" for column in cursor.description], cursor.fetchall()
            found |= {name: [row[n] for row in rows] for n, name in enumerate(names)}
    return found


def schema(of: Any) -> dict[str, Any]:
    """Columns, indexes and constraints of every table of a connection's database; by the names that are ours, since
    Django's own say by which steps, and in which order, a table came about."""
    found, ask = {}, of.introspection
    ours = {each.name for model in apps.get_models() for each in (*model._meta.constraints, *model._meta.indexes)}
    with of.cursor() as cursor:
        for table in ask.table_names(cursor):
            columns = {column.name: column for column in ask.get_table_description(cursor, table)}
            constraints = ask.get_constraints(cursor, table).items()
            said = [(name if name in ours else "", sorted(how.items())) for name, how in constraints]
            found[table] = columns, sorted(said, key=repr)
    return found


# What stays ---------------------------------------------------------------------------------------------------------


def test_no_row_and_no_value_is_lost(upgrade: Upgrade) -> None:
    kept = {name: values for name, values in upgrade.before.items() if name not in GONE}
    assert [name for name, values in kept.items() if is_lost(name, values, upgrade)] == []


def test_withdrawal_codes_that_people_have_go_on_working(upgrade: Upgrade) -> None:
    codes = upgrade.before["annotation_participation.withdrawal_code"]
    found = [participation_with_code(code) for code in codes]
    assert [person and person.pk for person in found] == upgrade.before["annotation_participation.id"]


def test_names_in_releases_are_kept_for_the_people_who_have_them(upgrade: Upgrade) -> None:
    kept = {(each.annotator_id, each.name) for each in NameInRelease.objects.all()}
    [key] = upgrade.before["datasets_release.pseudonym_key"]

    def name(person: int) -> str:
        made = hmac.new(settings.PSEUDONYM_KEY.encode(), f"{key}:annotator:{person}".encode(), "sha256")
        return f"R-{made.hexdigest()[:12]}"

    assert kept == {(person, name(person)) for person, _ in kept}
    of_nobody = set(upgrade.before["datasets_frozenrating.annotator"]) - {name for _, name in kept}
    assert 0 < len(of_nobody) <= len(upgrade.before["datasets_releasenotice.id"])  # of those who were erased since
    assert len(kept) > 2


def is_lost(name: str, values: list[Any], upgrade: Upgrade) -> bool:
    if called := RENAMED.get(name):
        values = [called.get(value, value) for value in values]
    table, column = name.split(".")
    now = upgrade.after.get(f"{MOVED.get(table, table)}.{column}", [])
    return values != (now[: len(values)] if name.startswith(GROWING) else now)


@pytest.mark.django_db  # for then there is one to compare it with
def test_its_database_is_like_that_of_a_new_site(upgrade: Upgrade) -> None:
    call_command("makemigrations", check_changes=True, dry_run=True, verbosity=0)
    new = connection.copy()
    new.settings_dict["NAME"] = upgrade.new
    with closing(new):
        assert schema(connection) == schema(new)


def test_what_the_database_decides_holds_of_every_row(upgrade: Upgrade) -> None:
    connection.check_constraints()
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA integrity_check")  # NOT NULL, UNIQUE and CHECK too
            assert cursor.fetchall() == [("ok",)]
        else:
            cursor.execute("SELECT conname FROM pg_constraint WHERE NOT convalidated")
            assert cursor.fetchall() == []


def test_counts_and_places_add_up(upgrade: Upgrade) -> None:
    assert [wrong for study in Study.objects.all() for wrong in wrong_counts(study)] == []


def test_texts_that_people_have_read_are_what_their_hashes_say(upgrade: Upgrade) -> None:
    for text in StudyText.objects.all():
        assert hashlib.sha256(text.body.encode()).hexdigest() == text.sha256


def test_a_release_and_its_archive_are_what_its_hash_says(upgrade: Upgrade) -> None:
    for release in Release.objects.frozen():
        assert content_hash(release) == release.content_hash
        with zipfile.ZipFile(make.archive(release)) as archive:
            sums = dict(reversed(line.split("  ")) for line in archive.read("SHA256SUMS").decode().splitlines())
            assert {name: hashlib.sha256(archive.read(name)).hexdigest() for name in sums} == sums
            assert sums.keys() == {*archive.namelist()} - {"SHA256SUMS"}
            named = re.search(r"`sha256sum ([a-z].+)`", archive.read("README.md").decode())
            assert named
            lines = "".join(f"{sums[name]}  {name}\n" for name in named[1].split())
            assert hashlib.sha256(lines.encode()).hexdigest() == release.content_hash


def test_a_release_of_format_1_is_exported_as_the_version_that_froze_it_did(upgrade: Upgrade) -> None:
    """Each file, README and manifest too: SHA256SUMS names them all. A project that gets another name changes none."""
    [release] = Release.objects.filter(format=1)
    for slug in ("renamed", release.project.slug):
        type(release.project).objects.filter(pk=release.project_id).update(slug=slug)
        with zipfile.ZipFile(make.archive(release)) as archive:
            assert hashlib.sha256(archive.read("SHA256SUMS")).hexdigest() == SUMS_AS_FROZEN[connection.vendor]
        media_path(archive_name(release)).unlink()


# What goes on -------------------------------------------------------------------------------------------------------


def test_whoever_had_stopped_goes_on_and_is_heard(upgrade: Upgrade) -> None:
    unfinished = Participation.objects.active().filter(study__state=Study.State.OPEN)
    assert unfinished.values("study").distinct().count() == 4
    for person in unfinished.filter(annotator__user=None):
        browser, n_ratings = make.browser(person), Rating.objects.count()
        page = browser.get(reverse("annotation:rate", args=[person.public_id]))
        answer = make.answer(page.context["lease"]["assignment"])
        address = reverse("annotation:answer", args=[person.public_id])
        said = browser.post(address, {"answers": [answer]}, content_type="application/json")
        assert [each["status"] for each in said.json()["acknowledgements"]] == ["stored"]
        assert Rating.objects.count() == n_ratings + 1


def test_a_personal_link_that_was_used_stays_so(upgrade: Upgrade) -> None:
    used = Invitation.objects.exclude(used_at=None)
    personal = Participation.objects.filter(invitation__kind=Invitation.Kind.PERSONAL)
    assert dict(used.values_list("pk", "used_at")) == dict(personal.values_list("invitation", "consented_at")) != {}


def test_its_study_is_frozen_anew(upgrade: Upgrade) -> None:
    first = Release.objects.frozen().get(version=1)
    second = make.release(Study.objects.get(name="Rooms, HA2"))
    assert (second.slug, second.version) == (first.slug, 2)


def test_researchers_find_their_pages(upgrade: Upgrade) -> None:
    browser = Client()
    browser.force_login(User.objects.get(username="ben"))
    missing = {page: status for page in pages() if (status := browser.get(page).status_code) != 200}
    assert missing == {}


def pages() -> Iterator[str]:
    for study in Study.objects.all():
        for name in ("study", "wording", "quality", "preregistration", "items", "ratings", "remarks", "cues"):
            yield reverse(f"annotation:{name}", args=[study.public_id])
        for person in study.participations.all():
            yield reverse("annotation:annotator", args=[study.public_id, person.public_id])
        yield reverse("annotation:item", args=[study.public_id, study.items.first().pk])
    for release in Release.objects.frozen():
        yield reverse("datasets:release", args=[release.project.slug, release.slug, release.version])
    for run in TrainingRun.objects.all():
        yield reverse("scoring:run", args=[run.public_id])
        yield reverse("scoring:predictions", args=[run.public_id])
