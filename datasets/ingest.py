"""Pairs come in: a manifest and its pictures, from a folder or a zip, checked to the last row before any is kept."""

import io
import json
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from hashlib import blake2b
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from datasets.files import discard_old_drafts
from datasets.images import image_rows, store_files
from datasets.jobs import Attempt, JobCancelled, JobFailed, handles
from datasets.models.pictures import Image, Pair, Source
from datasets.models.projects import Project
from datasets.pictures import MAX_BYTES, Picture, PictureRefused, inspect
from datasets.refusals import Refusal
from datasets.rows import BadManifest, BadRow, ManifestRow, manifest_rows
from datasets.tables import spellings
from datasets.uploads import discard_old_uploads, is_upload

PAIRS_AT_ONCE = 20  # in one transaction: some 80 ms at most, so that nobody who rates has to wait for long
BYTES_AT_ONCE = 64_000_000
SHOWN_PROBLEMS = 20
MANIFEST_NAME = "manifest.csv"
_LINE = struct.Struct("<6I")  # a line's number, and so many bits of the hash of each of its five facts
_FACT_BITS = 0xFFFFFFFF

# What zipfile raises on members that are missing, encrypted, damaged or packed in a rare way.
_UNREADABLE = (KeyError, EOFError, OSError, RuntimeError, lzma.LZMAError, zipfile.BadZipFile, zlib.error)


class NotThere(Refusal):
    """The manifest names a file that cannot be had."""


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
    known, rows = _Known(attempt.job.project), _rows(root)
    while batch := list(islice(rows, PAIRS_AT_ONCE)):
        n_rows += len(batch)
        problems += known.problems([_seen(row, picture) for row in batch])
        if n_rows % PAIRS_AT_ONCE == 0:
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


class _SeenRow(NamedTuple):
    """What a row says, and of which two pictures."""

    line: int
    original: str  # SHA-256; empty where there is no original
    anonymized: str
    facts: dict[str, Any]


def _seen(row: ManifestRow | BadRow, picture: Callable[[str], Picture]) -> _SeenRow | str:
    """The row with its pictures seen, or what is wrong with it."""
    if isinstance(row, BadRow):
        return str(row)
    for name in filter(None, (row.original, row.anonymized)):
        try:
            picture(name)
        except NotThere as error:
            return f"line {row.number}: {error}."
        except PictureRefused as error:
            return f"line {row.number}: {name}: {error}."
    original = picture(row.original) if row.original else None
    shown = original.original_sha256 if original else ""
    return _SeenRow(row.number, shown, picture(row.anonymized).original_sha256, _facts(row, original))


def _facts(row: ManifestRow, original: Picture | None) -> dict[str, Any]:
    """What a row says about its two pictures."""
    return {
        "group": row.group or (original.original_sha256 if original else ""),
        "source": row.source or "unnamed",
        "method": row.method,
        "scope": row.scope,
        "parameters": row.parameters,
    }


class _Known:
    """What is said about each two pictures, in the project and by the manifest's rows so far.

    Two pictures are one pair: of rows that say different things about them, all but one would be lost without a word.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        # By a digest of both pictures: the line and a hash of each fact, packed, as a million rows have to fit in.
        self.lines: dict[bytes, bytes] = {}

    def problems(self, batch: list[_SeenRow | str]) -> list[str]:
        """What is wrong with these rows, in their order; a problem that is known already stays as it is."""
        stored = self._stored([row for row in batch if isinstance(row, _SeenRow)])
        found = [row if isinstance(row, str) else self._contradiction(row, stored) for row in batch]
        return [problem for problem in found if problem]

    def _contradiction(self, row: _SeenRow, stored: dict[tuple[str, str], Pair]) -> str | None:
        pictures = bytes.fromhex(row.original + row.anonymized)
        hashes = [hash(json.dumps(value, sort_keys=True)) & _FACT_BITS for value in row.facts.values()]
        packed = _LINE.pack(row.line, *hashes)
        line, *first = _LINE.unpack(self.lines.setdefault(blake2b(pictures, digest_size=16).digest(), packed))
        if other := " and ".join(fact for fact, a, b in zip(row.facts, first, hashes, strict=True) if a != b):
            return f"line {row.line}: the same two pictures as in line {line}, with another {other}."
        pair = stored.get((row.original, row.anonymized))
        if pair and (other := _difference(pair, row.facts)):
            return f"line {row.line}: the project has these two pictures with another {other}."
        return None

    def _stored(self, batch: list[_SeenRow]) -> dict[tuple[str, str], Pair]:
        """The project's pairs of these pictures, by the hashes of both: at most every original with every version."""
        pairs = Pair.objects.filter(project=self.project, anonymized__sha256__in={row.anonymized for row in batch})
        pairs = pairs.select_related("source", "original", "anonymized")
        whole = pairs.filter(original__sha256__in={row.original for row in batch if row.original})
        lone = pairs.filter(original=None) if not all(row.original for row in batch) else pairs.none()
        return {
            (pair.original.sha256 if pair.original else "", pair.anonymized.sha256): pair for pair in chain(whole, lone)
        }


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
        pictures = [each for _, *both in batch for each in both if each]
        for each in pictures:
            store_files(project, each)
        n_done += len(batch)
        with attempt.writing(n_done=n_done, n_total=n_rows):
            images = image_rows(project, pictures)
            n_new += sum(_store_pair(project, sources, images, *row) for row in batch)
            attempt.note(n_new=n_new)
        batch.clear()

    for row in _rows(root):
        if isinstance(row, BadRow):
            raise JobFailed(f"The manifest changed while it was imported: {row} Import it again.")
        batch.append((row, picture(row.original) if row.original else None, picture(row.anonymized)))
        n_bytes = sum(len(each.original) for _, *pictures in batch for each in pictures if each)
        if len(batch) == PAIRS_AT_ONCE or n_bytes > BYTES_AT_ONCE:
            flush()
    flush()
    return {"n_rows": n_rows, "n_new": n_new, "n_known": n_rows - n_new}


def _store_pair(
    project: Project,
    sources: dict[str, Source],
    images: dict[str, Image],
    row: ManifestRow,
    original: Picture | None,
    anonymized: Picture,
) -> bool:
    """Whether the pair is new."""
    facts = _facts(row, original)
    source = facts["source"]
    if source not in sources:
        sources[source], _ = Source.objects.get_or_create(project=project, name=source)
    pair, is_new = Pair.objects.get_or_create(
        project=project,
        original=images[original.original_sha256] if original else None,
        anonymized=images[anonymized.original_sha256],
        defaults=facts | {"source": sources[source], "original_path": row.original, "anonymized_path": row.anonymized},
    )
    if not is_new and (other := _difference(pair, facts)):  # by another import, since this one was checked
        raise JobFailed(f"line {row.number}: the project now has these two pictures with another {other}.")
    return is_new
