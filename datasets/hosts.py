"""Whether this host may serve the site: all hosts of a site have its database, media folder and keys in common.

The first start writes a random mark into the media folder, and records it in the database with a fingerprint of each
key. A host that finds another one later was set up wrongly (a folder that is not mounted, the keys of another site): it
would store pictures where no other host looks for them, and sign what none believes.
"""

import hashlib
import hmac
import json
import logging
import os
import shutil
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.staticfiles.storage import ManifestFilesMixin, staticfiles_storage
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from datasets import disk
from datasets.audit import record
from datasets.files import media_path, store
from datasets.models.audit import What
from datasets.models.hosts import SharedFact
from datasets.refusals import Refusal

log = logging.getLogger(__name__)

STORAGE = "storage"
KEYS = ("SECRET_KEY", "PSEUDONYM_KEY")
SHARED = (STORAGE, *KEYS)
MARK = "site-mark"  # below MEDIA_ROOT
RESTORING = "restoring"  # below MEDIA_ROOT while a backup is taken back, with its name
OTHERS = 0o077  # of a file's permissions: those of its group and of everybody
LITTLE_FREE_BYTES = 2 * 2**30  # a training keeps three times its weights, an archive all pictures once more


class Unfit(Refusal):
    """This host is not one of the site's, or not ready to be."""


@dataclass(frozen=True)
class Finding:
    what: str
    says: str
    mend: str = ""  # empty where nothing has to be done
    stops: bool = False  # the site, or this host

    def __str__(self) -> str:
        return " ".join(filter(None, (f"{self.what}: {self.says}", self.mend)))


def this_host() -> str:
    return socket.gethostname()


def check_in() -> None:
    """Before a web host or worker begins: record what no host has recorded yet. Raises Unfit where this one differs."""
    found = [*unapplied_migrations()]
    if not found:
        if not media_path(RESTORING).exists():
            _record()
        found = [*differences()]
    if found:
        raise Unfit(f"This host does not start. {' '.join(map(str, found))}")
    for finding in open_to_others():
        log.warning("%s", finding)


def unfit() -> list[Finding]:
    """What keeps this host from serving; nothing where it is fit. A few short statements, however large the site is."""
    try:
        return [*unapplied_migrations()] or [*differences(), *missing_static_files()]
    except (OperationalError, InterfaceError) as error:
        return [no_database(error)]


def adopt(name: str) -> None:
    """Somebody has changed the media folder or a key on purpose: from now on this host's is the site's."""
    with transaction.atomic():
        value = uuid4().hex if name == STORAGE else fingerprint(name)
        SharedFact.objects.update_or_create(name=name, defaults={"value": value})
        record(What.ADOPTED, by=None, after={"adopted": name})
        if name == STORAGE:
            _write_mark(value)


def fingerprint(name: str) -> str:
    """Of a key: it tells whether two hosts have the same, and nothing else. One way, and keyed by the key itself."""
    return hmac.new(getattr(settings, name).encode(), f"fingerprint of {name}".encode(), hashlib.sha256).hexdigest()


def _record() -> None:
    """Of two hosts that start for the first time at once, the second waits for the first's row, and finds its mark."""
    if SharedFact.objects.count() >= len(SHARED):
        return
    with transaction.atomic():
        for name in KEYS:
            SharedFact.objects.get_or_create(name=name, defaults={"value": fingerprint(name)})
        there = _mark()
        fact, is_new = SharedFact.objects.get_or_create(name=STORAGE, defaults={"value": there or uuid4().hex})
        if is_new and not there:
            _write_mark(fact.value)


def _mark() -> str:
    """Of the media folder; empty where it has none. Raises OSError."""
    path = media_path(MARK)
    return path.read_text().strip() if path.exists() else ""


def _write_mark(value: str) -> None:
    store(MARK, f"{value}\n".encode())


# What is looked at ------------------------------------------------------------------------------------------------


def no_database(error: Exception) -> Finding:
    reason = " ".join(str(error).split())
    return Finding("database", f"it cannot be reached: {reason}.", "Start it, or set DATABASE_URL.", stops=True)


def unapplied_migrations() -> Iterator[Finding]:
    if missing := _migrations_on_disk() - MigrationRecorder(connection).applied_migrations().keys():
        says = f"{len(missing)} are not applied, {min(missing)[0]}.{min(missing)[1]} among them."
        yield Finding("migrations", says, "Run: manage.py migrate", stops=True)


@lru_cache
def _migrations_on_disk() -> frozenset[tuple[str, str]]:
    loader = MigrationLoader(None, load=False)
    loader.load_disk()
    return frozenset(loader.disk_migrations or ())


def recorded_facts() -> dict[str, str]:
    return dict(SharedFact.objects.values_list("name", "value"))


def differences() -> Iterator[Finding]:
    """Where this host's media folder or keys are not those of the others. What is not recorded differs from none."""
    yield from _accounts_of_the_demo()
    recorded = recorded_facts()
    yield from _storage(recorded)
    for name in KEYS:
        if recorded.get(name, fingerprint(name)) != fingerprint(name):
            says = "it is another one than that of the site's other hosts, or than before."
            yield Finding(name, says, _what_to_do(name, "set the old one again"), stops=True)


def demo_logins() -> Path:
    """Where the demo keeps the passwords of the accounts that it makes."""
    return Path(settings.VAR_DIR) / "demo-logins.json"


def _accounts_of_the_demo() -> Iterator[Finding]:
    if settings.DEMO or not demo_logins().exists():
        return
    there = User.objects.filter(username__in=json.loads(demo_logins().read_text()), is_active=True)
    if names := sorted(there.values_list("username", flat=True)):
        says = f"the passwords of {', '.join(names)} stand in {demo_logins()}."
        mend = "Give them new ones (manage.py changepassword NAME) or delete them, then remove that file."
        yield Finding("demo accounts", says, mend, stops=True)


def _what_to_do(name: str, mend: str) -> str:
    return f"{mend[0].upper()}{mend[1:]}; or, where the change is meant, run: manage.py adopt {name}"


def _storage(recorded: dict[str, str]) -> Iterator[Finding]:
    if wrong := _wrong_with_mark(recorded.get(STORAGE)):
        mend = _what_to_do(STORAGE, "mount the site's folder there, or set STUDIO_VAR")
        yield Finding(STORAGE, f"the media folder {settings.MEDIA_ROOT} {wrong}.", mend, stops=True)


def _wrong_with_mark(recorded: str | None) -> str:
    if media_path(RESTORING).exists():
        return "is being restored from a backup, or that was interrupted: run the same command again"
    if recorded is None:
        return ""
    try:
        found = _mark()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if not found:
        return f"is not the site's: it holds no file {MARK}"
    return "" if found == recorded else f"is not the site's: its file {MARK} names another"


def missing_static_files() -> Iterator[Finding]:
    if isinstance(staticfiles_storage, ManifestFilesMixin) and not staticfiles_storage.hashed_files:
        says = f"there is no list of them in {settings.STATIC_ROOT}, so pages cannot be shown."
        mend = "Run: manage.py collectstatic --noinput; then start this host anew"
        yield Finding("static files", says, mend, stops=True)


def disks(folders: Iterable[Path]) -> Iterator[Finding]:
    """Whether there is room in each of these folders, or where they would be made."""
    for folder in folders:
        there = next(each for each in (folder, *folder.parents) if each.exists())
        free = shutil.disk_usage(there).free
        says = f"{free / 1e9:.1f} GB are free in {folder}."
        if not os.access(there, os.W_OK):
            yield Finding("disk", f"{folder} cannot be written to.", "Give it to the user of this process.", stops=True)
        elif free < settings.DISK_LEAST_FREE_BYTES:
            yield Finding("disk", f"the disk is full: {says}", "Make room there, or enlarge it.", stops=True)
        else:
            yield Finding("disk", says, "" if free > LITTLE_FREE_BYTES else "Make room there, or enlarge it.")


def open_to_others() -> Iterator[Finding]:
    """What this site keeps and other users of the machine can read: written by an older version, or moved here."""
    kept = [Path(settings.VAR_DIR) / "studio.env", Path(settings.MEDIA_ROOT)]
    if settings.DATABASES["default"]["ENGINE"] == "config.sqlite":
        kept.append(Path(settings.DATABASES["default"]["NAME"]))
    for path in kept:
        if path.exists() and path.stat().st_mode & OTHERS and path.parent.stat().st_mode & OTHERS:
            says = "other users of this machine can read it."
            yield Finding("who can read", f"{path}: {says}", f"Run: chmod -R go-rwx {path}")


# For jobs ---------------------------------------------------------------------------------------------------------


def trouble_for_jobs(error: BaseException | None = None) -> str:
    """Why a job cannot be done on this host though another could, for whoever waits for it; empty where it can be.

    With what stopped the job, if anything did. The folder's path is not for everybody: `manage.py doctor` names it.
    """
    if disk.is_full(error):
        return "The disk of the database is full." if isinstance(error, DatabaseError) else _full()
    recorded = SharedFact.objects.filter(name=STORAGE).values_list("value", flat=True).first()
    if wrong := _wrong_with_mark(recorded):
        return f"On the host {this_host()} the media folder {wrong}."
    if any(finding.stops for finding in disks([Path(settings.MEDIA_ROOT)])):
        return _full()
    return ""


def _full() -> str:
    return f"The disk of the host {this_host()} is full, or cannot be written to."
