"""A site is copied while people rate, and taken back on an empty machine: nothing that was acknowledged is lost."""

import fcntl
import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
import pytest
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg.sql import SQL, Identifier

from annotation.models.ratings import Revision
from annotation.models.studies import Study
from annotation.privacy import erase_participation
from datasets.backup import MANIFEST, CannotBackUp, back_up, backups, damages
from datasets.files import media_path
from datasets.hosts import RESTORING, Unfit, check_in
from datasets.ledger import ledger_file
from datasets.models.audit import AuditEntry, What
from datasets.models.pictures import Image
from datasets.restore import CannotRestore, restore
from tests import make
from tests.datasets.test_doctor import lines_on
from tests.workers import REPOSITORY, site_of_this_test, wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.postgres,
    pytest.mark.usefixtures("media_of_its_own"),
]
N_RATERS = 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An empty machine: nothing of the site but its keys, which were kept apart."""
    here = site_of_this_test() | {"STUDIO_VAR": str(tmp_path / "elsewhere")}
    if connection.vendor == "sqlite":
        yield here | {"DATABASE_URL": f"sqlite:///{tmp_path}/elsewhere/studio.sqlite3"}
        return
    server, _, name = here["DATABASE_URL"].rpartition("/")
    other = Identifier(f"{name}_elsewhere")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as at_server:
        at_server.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(other))
        at_server.execute(SQL("CREATE DATABASE {}").format(other))
        yield here | {"DATABASE_URL": f"{server}/{name}_elsewhere"}
        at_server.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(other))


def command(*arguments: str) -> list[str]:
    return [sys.executable, "manage.py", *arguments]


def run(site: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), cwd=REPOSITORY, env=site, capture_output=True, text=True, check=False)


def media_of(site: dict[str, str]) -> Path:
    return Path(site["STUDIO_VAR"]) / "media"


# What a restored site holds, and whether a person who comes back to it goes on; said as JSON.
LOOK = """
import json
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from annotation.access import resume_token
from annotation.models.people import Participation
from annotation.models.ratings import Revision
from datasets.export import request_export
from datasets import jobs
from datasets.files import media_path
from datasets.hosts import RESTORING, Unfit, check_in
from datasets.models.audit import AuditEntry
from datasets.models.pictures import Image
from datasets.models.releases import Release
import hashlib

check_in()
person = Participation.objects.earliest("pk")
browser = Client(headers={"host": "localhost"})
browser.get(reverse("annotation:resume", args=[resume_token(person)]))
turn = browser.post(reverse("annotation:answer", args=[person.public_id]), {"answers": []}, "application/json")
job = request_export(Release.objects.get())
jobs.run(job.pk)
job.refresh_from_db()
print(json.dumps({
    "answers": sorted(str(each.key) for each in Revision.objects.all()),
    "pictures": [hashlib.sha256(each.display.read()).hexdigest() for each in Image.objects.all()],
    "turn": turn.status_code,
    "log": [*AuditEntry.objects.order_by("pk").values_list("what", flat=True)][-2:],
    "sessions": Session.objects.count(),
    "archive": hashlib.sha256(media_path(job.result["file"]).read_bytes()).hexdigest(),
}))
"""


def looked_at(site: dict[str, str]) -> dict[str, Any]:
    done = run(site | {"LOG_LEVEL": "ERROR"}, "shell", "--no-imports", "-c", LOOK)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


# There and back ----------------------------------------------------------------------------------------------------


@pytest.mark.services
def test_what_was_acknowledged_before_a_backup_is_on_the_empty_machine_that_takes_it_back(
    folder: Path, elsewhere: dict[str, str]
) -> None:
    check_in()
    release = make.release(study := make.rated_study(n_pairs=6, n_people=2))
    archive = hashlib.sha256(make.archive(release).read_bytes()).hexdigest()
    said = {str(key) for key in Revision.objects.values_list("key", flat=True)}
    make.browser(make.participation(study)).force_login(make.user())
    assert Session.objects.exists()
    study.items.update(goal=9)
    with people_who_rate(study) as acknowledged:
        wait_until(lambda: len(acknowledged) >= N_RATERS)
        before = {*acknowledged}
        made = back_up(folder)
    assert [*damages(made)] == []
    assert made.manifest["missing"] == []
    gone = study.participations.latest("pk")
    theirs = {
        str(key)
        for key in Revision.objects.filter(rating__assignment__participation=gone).values_list("key", flat=True)
    }
    erase_participation(gone)
    done = run(elsewhere, "restore", str(folder), "--ledger", str(ledger_file()))
    assert done.returncode == 0, done.stderr
    assert "1 who were erased since are erased again." in done.stdout
    assert "Everybody logs in anew." in done.stdout
    found = looked_at(elsewhere)
    assert {*found["answers"]} >= (before | said) - theirs
    assert not theirs & {*found["answers"]}
    assert found["pictures"] == [hashlib.sha256(each.display.read()).hexdigest() for each in Image.objects.all()]
    assert (found["turn"], found["sessions"], found["archive"]) == (200, 0, archive)
    assert found["log"] == [What.ERASED, What.RESTORED]
    assert AuditEntry.objects.filter(what=What.BACKED_UP).count() == 1


class people_who_rate:  # noqa: N801  used as the function that it is like
    """Some who answer pair after pair while something else happens; gives the keys of what was acknowledged."""

    def __init__(self, study: Study) -> None:
        self._people = [make.participation(study) for _ in range(N_RATERS)]
        self._acknowledged: list[str] = []

    def __enter__(self) -> list[str]:
        self._threads = [Thread(target=self._rate, args=[person]) for person in self._people]
        for thread in self._threads:
            thread.start()
        return self._acknowledged

    def _rate(self, person: Any) -> None:
        try:
            while held := make.leases(person):
                rating = make.rating(held[0], 5, seconds=1.0)
                self._acknowledged.append(str(rating.revisions.get().key))
        finally:
            connection.close()

    def __exit__(self, *error: object) -> None:
        for thread in self._threads:
            thread.join()


# Incremental, apart, for the owner alone ---------------------------------------------------------------------------


def test_pictures_are_kept_once_for_all_backups_and_go_with_the_last_that_has_them(folder: Path) -> None:
    old = make.pair(make.project()).anonymized
    back_up(folder)
    pooled = {path: path.stat().st_ino for path in folder.glob("pictures/??/*")}
    assert len(pooled) == 2  # this one and its original
    media_path(old.display.name).unlink()
    make.image(make.project())
    second = back_up(folder)
    assert (second.manifest["n_missing"], second.manifest["missing"]) == (1, [old.display.name])
    assert pooled.items() < {path: path.stat().st_ino for path in folder.glob("pictures/??/*")}.items()
    assert [*damages(backups(folder)[1])] == []
    third = back_up(folder, keep=1)
    assert [each.folder for each in backups(folder)] == [third.folder]
    assert len([*folder.glob("pictures/??/*")]) == 2
    assert [*damages(third)] == []


def test_a_backup_is_its_owners_alone_and_holds_no_key(folder: Path, tmp_path: Path, settings: Any) -> None:
    make.pair(make.project())
    back_up(folder, keys=tmp_path / "keys.env")
    written = [tmp_path / "keys.env", *folder.rglob("*")]
    assert [path for path in written if path.stat().st_mode & 0o077] == []
    kept = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    for name in ("SECRET_KEY", "PSEUDONYM_KEY"):
        assert getattr(settings, name).encode() not in kept
        assert f"{name}={getattr(settings, name)}\n" in (tmp_path / "keys.env").read_text()


# Interrupted, damaged, wrong ---------------------------------------------------------------------------------------


@pytest.mark.services
def test_a_backup_that_is_killed_is_none_and_the_one_before_stays(folder: Path) -> None:
    make.pairs(make.project(), 3)
    first = back_up(folder)
    study = make.study(n_pairs=40)
    child = subprocess.Popen(command("backup", str(folder)), cwd=REPOSITORY, env=site_of_this_test())
    try:
        wait_until(lambda: len([*folder.glob("pictures/??/*")]) > 6)  # it has begun to copy the new ones
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    if len(backups(folder)) == 1:  # it had not ended by then
        assert [*folder.glob(".2*")]
    assert [*damages(backups(folder)[-1])] == []
    assert backups(folder)[-1].folder == first.folder
    last = back_up(folder)
    assert [*damages(last)] == []
    assert [*folder.glob(".2*")] == []
    assert study.items.count() == 40


def test_of_two_backups_at_once_the_second_is_told_to_wait(folder: Path) -> None:
    back_up(folder)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(CannotBackUp, match=r"Another backup into .* is under way"):
            back_up(folder)
    with pytest.raises(CannotBackUp, match="lies in the media folder"):
        back_up(media_path("backups"))


@pytest.mark.services
def test_a_restore_that_is_killed_leaves_a_site_that_does_not_start_and_goes_on(
    folder: Path, elsewhere: dict[str, str]
) -> None:
    check_in()
    make.release(make.rated_study(n_pairs=30, n_people=1))
    made = back_up(folder)
    child = subprocess.Popen(command("restore", str(folder)), cwd=REPOSITORY, env=elsewhere)
    try:
        wait_until(lambda: child.poll() is not None or any(media_of(elsewhere).glob("pictures/*/*/*")))
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert child.returncode == -signal.SIGKILL  # with 60 pictures to go
    assert "This host does not start." in started(elsewhere)
    other = back_up(folder)
    refused = run(elsewhere, "restore", str(folder), "--backup", other.folder.name).stderr
    assert "already. " in refused  # the files, or the database too, by when the kill came
    for _ in range(2):  # the second as after a kill of the first at its end
        assert run(elsewhere, "restore", str(folder), "--backup", made.folder.name).returncode == 0
        assert not (media_of(elsewhere) / "restoring").exists()
        (media_of(elsewhere) / "restoring").write_text(f"{made.folder.name}\n")
    (media_of(elsewhere) / "restoring").unlink()
    assert looked_at(elsewhere)["turn"] == 200


def started(site: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "import config.wsgi"],
        cwd=REPOSITORY,
        env=site,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    return done.stderr


def test_a_media_folder_that_waits_for_the_rest_of_a_backup_is_not_the_sites(settings: Any) -> None:
    check_in()
    media_path(RESTORING).write_text("20261201-105800\n")
    with pytest.raises(Unfit, match="is being restored from a backup, or that was interrupted"):
        check_in()


@pytest.mark.services
def test_one_byte_that_differs_is_found_before_anything_is_written(folder: Path, elsewhere: dict[str, str]) -> None:
    make.pair(make.project())
    made = back_up(folder)
    kept = next(each for each in made.files() if each.name.startswith("pictures/"))
    path = made.pools / kept.pool
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(CommandError, match=f"is not whole: {kept.name} is damaged"):
        call_command("backup", str(folder), "--check")
    done = run(elsewhere, "restore", str(folder))
    assert f"This backup is not whole: {kept.name} is damaged" in done.stderr
    assert not media_of(elsewhere).exists()
    path.write_bytes(data)
    out = StringIO()
    call_command("backup", str(folder), "--check", stdout=out)
    assert "files and the database" in out.getvalue()


def test_a_site_that_is_there_other_keys_and_newer_versions_are_refused(folder: Path, settings: Any) -> None:
    make.pair(make.project())
    with pytest.raises(CannotRestore, match="no whole backup"):
        restore(folder)
    made = back_up(folder)
    with pytest.raises(CannotRestore, match=f"there are {made.folder.name}"):
        restore(folder, "20200101-000000")
    with pytest.raises(CannotRestore, match="a site in this database already"):
        restore(folder)
    settings.PSEUDONYM_KEY = "another-secret-for-tests-only-0123456789"
    with pytest.raises(CannotRestore, match="PSEUDONYM_KEY is not the one of this backup"):
        restore(folder)
    facts = made.manifest | {"migrations": [["datasets", "9999_of_tomorrow"]]}
    (made.folder / MANIFEST).write_text(json.dumps(facts))
    with pytest.raises(CannotRestore, match=r"of a newer version \(datasets.9999_of_tomorrow\)"):
        restore(folder)


def test_the_doctor_says_how_old_the_last_backup_is(folder: Path, settings: Any) -> None:
    assert "where backups are is not said" in lines_on("backup")[0]
    settings.BACKUP_DIR = str(folder)
    assert "there is no whole one. Make one" in lines_on("backup")[0]
    call_command("backup", stdout=StringIO())
    made = backups(folder)[0].folder
    assert lines_on("backup")[0].startswith("ok ")
    made.rename(folder / f"{datetime.now(UTC) - timedelta(days=3):%Y%m%d-%H%M%S}")
    assert lines_on("backup")[0].startswith("mend")
