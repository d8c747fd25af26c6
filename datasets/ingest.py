"""Pairs come in: a manifest and its pictures, from a folder or a zip, checked to the last row before any is kept."""

import io
import json
import lzma
import os
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

from datasets.files import discard_old_drafts
from datasets.images import image_row, store_files
from datasets.jobs import Attempt, JobCancelled, JobFailed, handles
from datasets.models.pictures import Pair, Source
from datasets.models.projects import Project
from datasets.pictures import MAX_BYTES, Picture, PictureRefused, inspect
from datasets.rows import BadManifest, BadRow, ManifestRow, manifest_rows
from datasets.uploads import discard_old_uploads, is_upload

BATCH = 20  # pairs per transaction: some milliseconds, so that nobody who rates has to wait
BATCH_BYTES = 64_000_000
SHOWN_PROBLEMS = 20
MANIFEST_NAME = "manifest.csv"

# What zipfile raises on members that are missing, encrypted, damaged or packed in a rare way.
_UNREADABLE = (KeyError, EOFError, OSError, RuntimeError, lzma.LZMAError, zipfile.BadZipFile, zlib.error)


class NotThere(Exception):
    """The manifest names a file that cannot be had."""


def spellings(name: str) -> list[str]:
    """The name as the manifest has it, then composed and decomposed: macOS takes the letter ü apart, others do not."""
    return list(dict.fromkeys((name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name))))


class Folder:
    """Pictures and manifest in a folder; nothing outside of it can be reached."""

    def __init__(self, root: Path, manifest: Path) -> None:
        self.root, self.manifest = root.resolve(), manifest

    @contextmanager
    def manifest_text(self) -> Iterator[TextIO]:
        try:
            with self.manifest.open(encoding="utf-8-sig", newline="") as file:
                yield file
        except OSError as error:
            raise BadManifest(f"the manifest cannot be read: {error.strerror} ({self.manifest}).") from error

    def read(self, name: str) -> bytes:
        paths = [self.root / spelling for spelling in spellings(name)]
        path = next(filter(os.path.exists, paths), paths[0])
        path = Path(os.path.realpath(path))  # resolve() raises RuntimeError where links go in a circle
        if not path.is_relative_to(self.root):
            raise NotThere(f"{name} lies outside the root folder")
        try:
            if path.stat().st_size > MAX_BYTES:
                raise NotThere(f"{name} is larger than {MAX_BYTES / 1e6:g} MB")
            return path.read_bytes()
        except OSError as error:
            raise NotThere(f"{name} cannot be read: {error.strerror}") from error


class Archive:
    """Pictures and manifest in a zip, read member by member and never unpacked."""

    def __init__(self, path: Path) -> None:
        try:
            self.zip = zipfile.ZipFile(path)
        except (OSError, NotImplementedError, ValueError, zipfile.BadZipFile) as error:
            raise BadManifest("the file is not a zip that can be read; make it again.") from error
        manifests = [name for name in self.zip.namelist() if name.rsplit("/", 1)[-1] == MANIFEST_NAME]
        if len(manifests) != 1:
            raise BadManifest(f"the zip must hold one {MANIFEST_NAME}; it holds {len(manifests)}.")
        self.manifest_name = manifests[0]
        self.prefix = self.manifest_name.removesuffix(MANIFEST_NAME)  # a zip of a folder keeps the folder's name

    @contextmanager
    def manifest_text(self) -> Iterator[TextIO]:
        try:
            with self.zip.open(self.manifest_name) as file:
                yield io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        except _UNREADABLE as error:
            raise BadManifest(
                f"{self.manifest_name} cannot be read from the zip; make it again, without a password."
            ) from error

    def read(self, name: str) -> bytes:
        try:
            with self.zip.open(self._member(name)) as file:
                data = file.read(MAX_BYTES + 1)  # the header's size may lie
        except _UNREADABLE as error:
            raise NotThere(f"{name} is not in the zip or cannot be read from it") from error
        if len(data) > MAX_BYTES:
            raise NotThere(f"{name} is larger than {MAX_BYTES / 1e6:g} MB")
        return data

    def _member(self, name: str) -> str:
        names = [self.prefix + spelling for spelling in spellings(name)]
        return next((each for each in names if each in self.zip.NameToInfo), names[0])


Root = Folder | Archive


@handles("import_pairs")
def import_pairs(attempt: Attempt) -> dict[str, Any]:
    """Check every row and picture, then store them batch by batch. Done again, it changes nothing."""
    discard_old_drafts()
    discard_old_uploads()
    try:
        root = _root(attempt.arguments)
        n_rows = _check(attempt, root)
        result = _store(attempt, root, n_rows)
    except (BadManifest, NotThere, PictureRefused) as error:
        raise JobFailed(str(error)) from error
    except JobCancelled as cancelled:
        n_new = attempt.job.result.get("n_new", 0)
        raise JobCancelled(f"{n_new} new pairs were stored before it was cancelled, and are kept.") from cancelled
    attempt.no_longer_needed += _uploads(attempt.arguments)
    return result


def _uploads(arguments: dict[str, Any]) -> list[Path]:
    archive = Path(arguments.get("archive", ""))
    return [archive] if is_upload(archive) else []


def _root(arguments: dict[str, Any]) -> Root:
    if archive := arguments.get("archive"):
        if is_upload(Path(archive)) and not Path(archive).exists():
            raise BadManifest("The uploaded file is gone; upload it again.")
        return Archive(Path(archive))
    return Folder(Path(arguments["root"]), Path(arguments["manifest"]))


def _rows(root: Root) -> Iterator[ManifestRow | BadRow]:
    text: AbstractContextManager[TextIO] = root.manifest_text()
    with text as lines:
        yield from manifest_rows(lines)


def _reader(root: Root) -> Callable[[str], Picture]:
    """Opens pictures by the safe door; an original beside its many versions is opened once."""

    @lru_cache(maxsize=2)
    def picture(name: str) -> Picture:
        return inspect(root.read(name))

    return picture


def _check(attempt: Attempt, root: Root) -> int:
    """Read everything, keep nothing: how many rows there are, or JobFailed with the first problems."""
    picture, problems, n_rows = _reader(root), list[str](), 0
    told = _Told(attempt.job.project)
    for n_rows, row in enumerate(_rows(root), start=1):
        if problem := _problem(row, picture, told):
            problems.append(problem)
        if n_rows % BATCH == 0:
            attempt.progress(0, n_rows)
        if len(problems) > SHOWN_PROBLEMS:
            break
    if problems:
        more = "\n... and more." if len(problems) > SHOWN_PROBLEMS else ""
        listed = "\n".join(problems[:SHOWN_PROBLEMS])
        raise JobFailed(f"Nothing was imported. Mend the manifest and import it again:\n{listed}{more}")
    if not n_rows:
        raise JobFailed("The manifest has no rows; nothing was imported.")
    return n_rows


def _problem(row: ManifestRow | BadRow, picture: Callable[[str], Picture], told: "_Told") -> str | None:
    if isinstance(row, BadRow):
        return str(row)
    for name in filter(None, (row.original, row.anonymized)):
        try:
            picture(name)
        except NotThere as error:
            return f"line {row.number}: {error}."
        except PictureRefused as error:
            return f"line {row.number}: {name}: {error}."
    return told.contradiction(row, picture(row.original) if row.original else None, picture(row.anonymized))


def _facts(row: ManifestRow, original: Picture | None) -> dict[str, Any]:
    """What a row says about its two pictures."""
    return {
        "group": row.group or (original.original_sha256 if original else ""),
        "source": row.source or "unnamed",
        "method": row.method,
        "scope": row.scope,
        "parameters": row.parameters,
    }


class _Told:
    """What is said about each two pictures, in the project and by the manifest's rows so far.

    Two pictures are one pair: of rows that say different things about them, all but one would be lost without a word.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        # By the hashes of both pictures: the line, and a hash of each fact, so that a million rows fit into memory.
        self.lines: dict[bytes, tuple[int, dict[str, int]]] = {}

    def contradiction(self, row: ManifestRow, original: Picture | None, anonymized: Picture) -> str | None:
        facts = _facts(row, original)
        pictures = bytes.fromhex((original.original_sha256 if original else "") + anonymized.original_sha256)
        hashes = {fact: hash(json.dumps(value, sort_keys=True)) for fact, value in facts.items()}
        line, said = self.lines.setdefault(pictures, (row.number, hashes))
        if other := " and ".join(fact for fact in facts if said[fact] != hashes[fact]):
            return f"line {row.number}: the same two pictures as in line {line}, with another {other}."
        pair = self._stored(original, anonymized)
        if pair and (other := _difference(pair, facts)):
            return f"line {row.number}: the project has these two pictures with another {other}."
        return None

    def _stored(self, original: Picture | None, anonymized: Picture) -> Pair | None:
        pairs = Pair.objects.filter(project=self.project, anonymized__sha256=anonymized.original_sha256)
        whole = pairs.filter(original__sha256=original.original_sha256) if original else pairs.filter(original=None)
        return whole.select_related("source").first()


def _difference(pair: Pair, facts: dict[str, Any]) -> str:
    """The facts that differ from what is stored, in words; empty where none does."""
    stored = {name: getattr(pair, name) for name in facts} | {"source": pair.source.name}
    return " and ".join(name for name in facts if stored[name] != facts[name])


def _store(attempt: Attempt, root: Root, n_rows: int) -> dict[str, Any]:
    project, picture = attempt.job.project, _reader(root)
    sources: dict[str, Source] = {}
    n_new, n_done = attempt.job.result.get("n_new", 0), 0  # new by an attempt that died or was cancelled, too
    batch: list[tuple[ManifestRow, Picture | None, Picture]] = []

    def flush() -> None:
        nonlocal n_new, n_done
        for _, original, anonymized in batch:
            for each in filter(None, (original, anonymized)):
                store_files(project, each)
        n_done += len(batch)
        with attempt.writing(n_done=n_done, n_total=n_rows):
            n_new += sum(_store_pair(project, sources, *row) for row in batch)
            attempt.note(n_new=n_new)
        batch.clear()

    for row in _rows(root):
        if isinstance(row, BadRow):
            raise JobFailed(f"The manifest changed while it was imported: {row} Import it again.")
        batch.append((row, picture(row.original) if row.original else None, picture(row.anonymized)))
        n_bytes = sum(len(each.original) for _, *pictures in batch for each in pictures if each)
        if len(batch) == BATCH or n_bytes > BATCH_BYTES:
            flush()
    flush()
    return {"n_rows": n_rows, "n_new": n_new, "n_known": n_rows - n_new}


def _store_pair(
    project: Project, sources: dict[str, Source], row: ManifestRow, original: Picture | None, anonymized: Picture
) -> bool:
    """Whether the pair is new."""
    facts = _facts(row, original)
    source = facts["source"]
    if source not in sources:
        sources[source], _ = Source.objects.get_or_create(project=project, name=source)
    pair, is_new = Pair.objects.get_or_create(
        project=project,
        original=image_row(project, original) if original else None,
        anonymized=image_row(project, anonymized),
        defaults=facts | {"source": sources[source], "original_path": row.original, "anonymized_path": row.anonymized},
    )
    if not is_new and (other := _difference(pair, facts)):  # by another import, since this one was checked
        raise JobFailed(f"line {row.number}: the project now has these two pictures with another {other}.")
    return is_new
