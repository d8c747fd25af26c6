"""A backup becomes a site again: `manage.py restore`, on a host that holds none."""

import os
import shutil
from itertools import islice
from pathlib import Path
from uuid import uuid4

from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from datasets import disk
from datasets.audit import record
from datasets.backup import FORMAT, Backup, backups, damages, sha256_of
from datasets.dumps import drop_all, is_empty, undump
from datasets.files import DRAFTS, media_path
from datasets.hosts import KEYS, RESTORING, fingerprint
from datasets.ledger import ledger_file, replay
from datasets.models.audit import What
from datasets.refusals import Refusal

MOST_NAMED = 5  # damages


class CannotRestore(Refusal):
    pass


def restore(folder: Path, name: str = "", *, ledger: Path | None = None) -> tuple[Backup, int | None]:
    """The newest backup in this folder, or the one of this name. Everything is looked at before anything is written.

    Where it is interrupted, the site does not start; the same command goes on. Gives how many people were erased again
    by the ledger, None where there is none. Raises CannotRestore.
    """
    erased = ledger or ledger_file()
    if ledger and not ledger.exists():
        raise CannotRestore(f"There is no ledger of erasures at {ledger}.")
    backup = chosen(folder, name)
    _check_fits(backup)
    _check_room_for(backup)
    if found := [*islice(damages(backup), MOST_NAMED + 1)]:
        more = ", and more" if len(found) > MOST_NAMED else ""
        raise CannotRestore(f"This backup is not whole: {', '.join(found[:MOST_NAMED])}{more}. Choose an older one.")
    try:
        _copy_files(backup)
        if not is_empty():  # by a restore that was interrupted
            drop_all()
        undump(backup.folder / backup.manifest["database"]["file"])
    except OSError as error:
        if disk.is_full(error):
            raise CannotRestore("The disk is full. Make room, then run the same command again.") from error
        raise
    call_command("migrate", verbosity=0)
    Session.objects.all().delete()  # of whoever was logged in then
    n_erased = replay(erased) if erased.exists() else None
    record(What.RESTORED, by=None, after={"backup": backup.folder.name, "erased again": n_erased})
    media_path(RESTORING).unlink()
    return backup, n_erased


def chosen(folder: Path, name: str = "") -> Backup:
    there = backups(folder)
    if not there:
        raise CannotRestore(f"There is no whole backup in {folder}.")
    if not name:
        return there[0]
    for each in there:
        if each.folder.name == name:
            return each
    raise CannotRestore(f"There is no backup {name}; there are {', '.join(each.folder.name for each in there)}.")


def _check_fits(backup: Backup) -> None:
    facts = backup.manifest
    if facts["format"] > FORMAT or (ahead := _migrations(backup) - _ours()):
        newer = f" ({min(ahead)[0]}.{min(ahead)[1]})" if facts["format"] <= FORMAT else ""
        raise CannotRestore(f"This backup is of a newer version{newer}. Install that version first.")
    if facts["engine"] != connection.vendor:
        raise CannotRestore(
            f"This backup is of a site on {facts['engine']}. Set DATABASE_URL to a new one of that kind."
        )
    for key in KEYS:
        if facts["keys"][key] != fingerprint(key):
            raise CannotRestore(
                f"{key} is not the one of this backup. Set it to that; `backup --keys FILE` has written it into its "
                "file, which serves as var/studio.env."
            )


def _migrations(backup: Backup) -> set[tuple[str, str]]:
    return {(app, name) for app, name in backup.manifest["migrations"]}


def _ours() -> set[tuple[str, str]]:
    """With those that a squashed one replaces: they count as applied by its name, or by theirs."""
    loader = MigrationLoader(None, load=False)
    loader.load_disk()
    disk_migrations = loader.disk_migrations or {}
    replaced = {pair for migration in disk_migrations.values() for pair in migration.replaces}
    return {*disk_migrations, *replaced}


def _check_room_for(backup: Backup) -> None:
    media = Path(settings.MEDIA_ROOT)
    begun = media_path(RESTORING)
    is_same = begun.exists() and begun.read_text().strip() == backup.folder.name
    is_new = not any(each.name != DRAFTS for each in media.glob("*"))
    if not (is_empty() or is_same):
        raise CannotRestore("There is a site in this database already. Set DATABASE_URL to one that is new and empty.")
    if not (is_new or is_same):
        raise CannotRestore(f"There are files in {media} already. Move them away, or set STUDIO_VAR to a new folder.")


def _copy_files(backup: Backup) -> None:
    media_path(DRAFTS).mkdir(parents=True, exist_ok=True)
    media_path(RESTORING).write_text(f"{backup.folder.name}\n")
    for kept in backup.files():
        path = media_path(kept.name)
        if path.exists() and sha256_of(path) == kept.sha256:  # by a restore that was interrupted
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = media_path(f"{DRAFTS}/{uuid4().hex}")
        shutil.copyfile(backup.pools / kept.pool, draft)
        os.utime(draft, ns=(kept.modified, kept.modified))
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
