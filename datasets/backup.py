"""Backups, made while people use the site: `manage.py backup`. datasets/restore.py takes one back.

    DIR/20261201-105800/database.sqlite3   or database.pgdump: the site's rows at one moment
    DIR/20261201-105800/files.jsonl        a line for each file of the media folder: name, SHA-256, bytes, time
    DIR/20261201-105800/manifest.json      written last: where it is missing there is no backup
    DIR/pictures/9f/9f86d0...              what the files hold, by SHA-256, once for all backups
    DIR/releases/... DIR/runs/...

No key is in it; `keys` puts them into a file of their own.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import sleep
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from datasets import disk
from datasets.audit import record
from datasets.dumps import dump_name, dumped
from datasets.files import CHUNK, DRAFTS, media_path
from datasets.hosts import KEYS, fingerprint
from datasets.models.audit import What
from datasets.refusals import Refusal

FORMAT = 1
MANIFEST, FILES = "manifest.json", "files.jsonl"
TIME = "%Y%m%d-%H%M%S"
MOST_NAMED = 100  # missing files, in a manifest


class CannotBackUp(Refusal):
    pass


@dataclass(frozen=True)
class Kept:
    """A file of the media folder, as a line of files.jsonl."""

    name: str
    sha256: str
    n_bytes: int
    modified: int  # ns since 1970

    @property
    def pool(self) -> Path:
        """Where a backup keeps what it holds, below DIR."""
        kind = self.name.partition("/")[0] if "/" in self.name else "other"
        return Path(kind, self.sha256[:2], self.sha256)


@dataclass(frozen=True)
class Backup:
    folder: Path
    manifest: dict[str, Any]

    @property
    def made_at(self) -> datetime:
        return datetime.strptime(self.folder.name, TIME).replace(tzinfo=UTC)

    @property
    def pools(self) -> Path:
        return self.folder.parent

    def files(self) -> Iterator[Kept]:
        with (self.folder / FILES).open() as lines:
            for line in lines:
                yield Kept(**json.loads(line))


def backups(folder: Path) -> list[Backup]:
    """All whole ones, the newest first."""
    whole = sorted(file for file in folder.glob(f"*/{MANIFEST}") if not file.parent.name.startswith("."))
    return [Backup(file.parent, json.loads(file.read_text())) for file in reversed(whole)]


def back_up(folder: Path, *, keep: int | None = None, keys: Path | None = None) -> Backup:
    """Raises CannotBackUp; then what was begun is gone, and former backups are as they were."""
    folder.mkdir(parents=True, exist_ok=True)
    _check_place(folder)
    with _alone(folder):
        for left in folder.glob(".2*"):  # by one that was killed
            shutil.rmtree(left)
        name = _free_name(folder)
        draft = folder / f".{name}"
        draft.mkdir()
        try:
            _write(draft, former=next(iter(backups(folder)), None))
            draft.replace(folder / name)
        except OSError as error:
            if disk.is_full(error):
                raise CannotBackUp(
                    f"The disk of {folder} is full. Make room there, or take an older backup away."
                ) from error
            raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        if keys:
            write_keys(keys)
        made = backups(folder)
        if keep:
            _forget(folder, made[keep:], made[:keep])
    record(What.BACKED_UP, by=None, after={"backup": made[0].folder.name, "with keys": keys is not None})
    return made[0]


def _free_name(folder: Path) -> str:
    while (folder / (name := datetime.now(UTC).strftime(TIME))).exists():
        sleep(0.1)
    return name


def _check_place(folder: Path) -> None:
    media = Path(settings.MEDIA_ROOT).resolve()
    if folder.resolve().is_relative_to(media):
        raise CannotBackUp(f"{folder} lies in the media folder, of which it would be a copy. Name another one.")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotBackUp(f"Another backup into {folder} is under way. Wait for its end.") from error
        yield


def _write(draft: Path, former: Backup | None) -> None:
    database = draft / dump_name()
    with dumped(database) as named:
        n_files, n_bytes = _copy_files(draft, former)
        missing = _missing(named, draft)
    manifest = {
        "format": FORMAT,
        "engine": connection.vendor,
        "database": {"file": database.name, "n_bytes": database.stat().st_size, "sha256": sha256_of(database)},
        "files": {"n": n_files, "n_bytes": n_bytes, "sha256": sha256_of(draft / FILES)},
        # Named by the rows and not there: removed meanwhile, or lost before.
        "n_missing": len(missing),
        "missing": missing[:MOST_NAMED],
        "migrations": sorted(map(list, MigrationRecorder(connection).applied_migrations())),
        "keys": {name: fingerprint(name) for name in KEYS},
    }
    write_whole(draft / MANIFEST, json.dumps(manifest, indent=2) + "\n")


def _copy_files(draft: Path, former: Backup | None) -> tuple[int, int]:
    """How many files there are, of how many bytes. What the last backup has, unchanged, is not read again."""
    n_files = n_bytes = 0
    known = _Walk(former.files() if former else iter(()))
    with (draft / FILES).open("w") as lines:
        for name in names_in_order(Path(settings.MEDIA_ROOT)):
            if kept := _kept(draft.parent, name, known.at(name)):
                lines.write(json.dumps(asdict(kept)) + "\n")
                n_files, n_bytes = n_files + 1, n_bytes + kept.n_bytes
        lines.flush()
        os.fsync(lines.fileno())
    return n_files, n_bytes


class _Walk:
    """Along the files of a former backup, in step with those that are there now: memory for one of each."""

    def __init__(self, files: Iterator[Kept]) -> None:
        self._files, self._next = files, next(files, None)

    def at(self, name: str) -> Kept | None:
        while self._next and Path(self._next.name).parts < Path(name).parts:
            self._next = next(self._files, None)
        return self._next if self._next and self._next.name == name else None


def names_in_order(folder: Path, below: str = "") -> Iterator[str]:
    """Of all files, by the parts of their names; without those that are being written."""
    for entry in sorted(os.scandir(folder / below), key=lambda entry: entry.name) if folder.is_dir() else ():
        name = f"{below}{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            if name != DRAFTS:
                yield from names_in_order(folder, f"{name}/")
        elif entry.is_file(follow_symlinks=False):
            yield name


def _kept(pools: Path, name: str, former: Kept | None) -> Kept | None:
    """Into its pool, unless it is there already; None where it was removed meanwhile."""
    path = media_path(name)
    try:
        stat = path.stat()
        alike = former and (former.n_bytes, former.modified) == (stat.st_size, stat.st_mtime_ns)
        if former and alike and _is_there(pools / former.pool, former.n_bytes):
            return former
        return _copied(pools, name, path, stat.st_mtime_ns)
    except FileNotFoundError:
        return None


def _is_there(path: Path, n_bytes: int) -> bool:
    return path.exists() and path.stat().st_size == n_bytes


def _copied(pools: Path, name: str, path: Path, modified: int) -> Kept:
    drafts = pools / ".drafts"
    drafts.mkdir(exist_ok=True)
    draft, digest, n_bytes = drafts / uuid4().hex, hashlib.sha256(), 0
    try:
        with path.open("rb") as source, draft.open("wb") as copy:
            while chunk := source.read(CHUNK):
                digest.update(chunk)
                copy.write(chunk)
                n_bytes += len(chunk)
            copy.flush()
            os.fsync(copy.fileno())
        kept = Kept(name, digest.hexdigest(), n_bytes, modified)
        to = pools / kept.pool
        to.parent.mkdir(parents=True, exist_ok=True)
        draft.replace(to)  # one that is there has the same bytes, or was damaged
    finally:
        draft.unlink(missing_ok=True)
    return kept


def _missing(named: Iterable[str], draft: Path) -> list[str]:
    gone = {name for name in named if not media_path(name).exists()}
    if gone:  # few
        with (draft / FILES).open() as lines:
            gone -= {name for line in lines if (name := json.loads(line)["name"]) in gone}
    return sorted(gone)


def write_keys(path: Path) -> None:
    """As var/studio.env has them. Keep them where the backups are not."""
    write_whole(path, "".join(f"{name}={getattr(settings, name)}\n" for name in KEYS))


def write_whole(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with draft.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _forget(folder: Path, old: Iterable[Backup], stay: Iterable[Backup]) -> None:
    """Take backups away, and what no other has in the pools."""
    for each in old:
        shutil.rmtree(each.folder)
    wanted = {bytes.fromhex(kept.sha256) for backup in stay for kept in backup.files()}  # 33 bytes each, and a set's
    for pooled in folder.glob("*/??/*"):
        if len(pooled.name) == 64 and bytes.fromhex(pooled.name) not in wanted:
            pooled.unlink()


# Whether it is whole ------------------------------------------------------------------------------------------------


def damages(backup: Backup) -> Iterator[str]:
    """What differs from what was written, after a look at every byte."""
    facts = backup.manifest
    for name, sha256 in ((facts["database"]["file"], facts["database"]["sha256"]), (FILES, facts["files"]["sha256"])):
        yield from _damage(backup.folder / name, sha256, name)
    seen = set[bytes]()
    for kept in backup.files():
        if (digest := bytes.fromhex(kept.sha256)) not in seen:
            seen.add(digest)
            yield from _damage(backup.pools / kept.pool, kept.sha256, kept.name)


def _damage(path: Path, sha256: str, name: str) -> Iterator[str]:
    if not path.exists():
        yield f"{name} is missing"
    elif sha256_of(path) != sha256:
        yield f"{name} is damaged"
