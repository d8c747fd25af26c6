"""Pairs come in: a manifest and its pictures, from a folder or a zip, checked to the last row before any is kept."""

import json
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings

from datasets.alike import compare_originals
from datasets.files import discard_old_drafts
from datasets.images import image_rows, store_files
from datasets.jobs import Attempt, JobCancelled, JobFailed, handles
from datasets.models.pictures import Image, Pair, Source
from datasets.models.projects import Project
from datasets.pair_changes import MergedGroups
from datasets.pictures import Picture, PictureRefused, inspect
from datasets.quotas import Newcomers, Room, reserve
from datasets.removal import NOT_TAKEN, removed_among
from datasets.reports import Problem, Report, discard_old_reports
from datasets.roots import NotThere, Root, opened_root
from datasets.rows import BadRow, Manifest, ManifestRow
from datasets.tables import DELIMITERS, ENCODINGS
from datasets.uploads import discard_old_uploads, is_upload

PAIRS_AT_ONCE = 20  # in one transaction: some 80 ms at most, so that nobody who rates has to wait for long
BYTES_AT_ONCE = 64_000_000
SHOWN_ROWS = 50  # of a layout, before anything is kept
_LINE = struct.Struct("<6I")  # a line's number, and so many bits of the hash of each of its five facts
_FACT_BITS = 0xFFFFFFFF


@handles("import_pairs")
def import_pairs(attempt: Attempt) -> dict[str, Any]:
    """Check every row and picture, then store them batch by batch. Done again, it changes nothing."""
    discard_old_drafts()
    discard_old_uploads()
    discard_old_reports()
    try:
        root = opened_root(attempt.arguments)
        n_rows, wanted = check(attempt, root)
        if root.is_by_layout and not attempt.arguments.get("as_previewed"):
            return {"n_rows": n_rows, "preview": preview(root)}
        reserve(attempt, wanted)
        result = store(attempt, root, n_rows)
        compare_originals(attempt)
    except JobCancelled as cancelled:
        n_new = attempt.job.result.get("n_new", 0)
        raise JobCancelled(f"{n_new} new pairs were stored before it was cancelled, and are kept.") from cancelled
    attempt.no_longer_needed += _uploads(attempt.arguments)
    return result


def _uploads(arguments: dict[str, Any]) -> list[Path]:
    archive = Path(arguments.get("archive", ""))
    return [archive] if is_upload(archive) else []


@contextmanager
def opened_manifest(root: Root, look: Callable[[], None] = lambda: None) -> Iterator[tuple[Manifest, str]]:
    """A root's manifest with its header read, and as what it is read, in words; `look` is called for each line."""
    with root.manifest_text() as text:
        manifest = Manifest(text, at_most=settings.MANIFEST_MAX_BYTES, look=look)
        yield (
            manifest,
            "its layout" if root.is_by_layout else f"{ENCODINGS[text.encoding]}, {DELIMITERS[manifest.delimiter]}",
        )


def preview(root: Root) -> list[list[str]]:
    """The first rows of what a layout says: anonymized, original, source, scope, method."""
    with opened_manifest(root) as (manifest, _):
        rows = [row for row in islice(manifest.rows(), SHOWN_ROWS) if isinstance(row, ManifestRow)]
    return [[row.anonymized, row.original, row.source, row.scope, row.method] for row in rows]


def _reader(root: Root, attempt: Attempt) -> Callable[[str], Picture]:
    """Opens pictures by the safe door; an original beside its many versions is opened once.

    Raises JobFailed where they are more than one import may be, however often the same ones are named.
    """
    n_pixels = n_bytes = 0

    @lru_cache(maxsize=2)
    def picture(name: str) -> Picture:
        nonlocal n_pixels, n_bytes
        attempt.look()
        opened = inspect(root.read(name))
        n_pixels, n_bytes = n_pixels + opened.width * opened.height, n_bytes + len(opened.original)
        _refuse_beyond("IMPORT_MAX_PIXELS", n_pixels, f"{n_pixels / 1e9:,.1f} gigapixels")
        _refuse_beyond("IMPORT_MAX_BYTES", n_bytes, f"{n_bytes / 1e9:,.1f} GB")
        return opened

    return picture


def _refuse_beyond(setting: str, n: int, said: str) -> None:
    if n > getattr(settings, setting):
        raise JobFailed(
            f"One import may not be as large as this one, {said} so far. Import it in parts, or ask an admin of the "
            f"site to raise {setting}."
        )


def check(attempt: Attempt, root: Root) -> tuple[int, Room]:
    """Read everything, keep nothing: how many rows there are, and the room for what is new; or JobFailed with the first
    problems.

    All problems stand in the job's report.
    """
    picture, known, n_rows = _reader(root, attempt), KnownPairs(attempt.job.project), 0
    merged, newcomers = MergedGroups(attempt.job.project), Newcomers(attempt.job.project)
    with Report(attempt.job) as report, opened_manifest(root, attempt.look) as (manifest, read_as):
        report.add(_doubts(manifest, attempt.arguments))
        rows = manifest.rows()
        while batch := list(islice(rows, PAIRS_AT_ONCE)):
            n_rows += len(batch)
            _refuse_beyond("IMPORT_MAX_ROWS", n_rows, f"{n_rows:,} rows")
            seen = [each for row in batch for each in _seen(row, picture, merged)]
            report.add(known.problems(_without_removed(seen)))
            newcomers.see(size for row in seen if isinstance(row, SeenRow) for size in row.sizes.items())
            attempt.progress(0, n_rows)
        report.add(_ratings(manifest, attempt.arguments))
    if report.n_problems:
        raise JobFailed(_told(report, read_as))
    if not n_rows:
        raise JobFailed("The manifest has no rows; nothing was imported.")
    return n_rows, Room(known.n_new, newcomers.n_bytes)


def _told(report: Report, read_as: str) -> str:
    listed = "\n".join(report.first)
    more = report.n_problems - len(report.first)
    rest = f"\n... and {more} more, all of them in the report." if more else ""
    return (
        f"Nothing was imported. Mend what is listed and import it again (the manifest was read as {read_as}):\n"
        f"{listed}{rest}"
    )


AS_UNREAD = "or import it again and say that columns nobody knows are left unread"


def _doubts(manifest: Manifest, arguments: dict[str, Any]) -> list[Problem]:
    """Columns that stop the import by their names, until the researcher says that nobody has to read them."""
    if arguments.get("leave_columns"):
        return []
    return [
        Problem(1, f"the column {name!r} {doubt}. Rename or remove it, {AS_UNREAD}.")
        for name, doubt in manifest.doubtful.items()
    ]


def _ratings(manifest: Manifest, arguments: dict[str, Any]) -> list[Problem]:
    """Columns that stop it by what they hold, known once all rows are read."""
    if arguments.get("leave_columns"):
        return []
    holds = "holds numbers from 1 to 10 in most rows, from this line on. A manifest cannot bring in ratings"
    return [Problem(line, f"{named} {holds}: remove it, {AS_UNREAD}.") for line, named in manifest.like_ratings]


class SeenRow(NamedTuple):
    """What a row says, and of which two pictures."""

    line: int
    original: str  # SHA-256; empty where there is no original
    anonymized: str
    facts: dict[str, Any]
    pictures: dict[str, str]  # names of files by the SHA-256 of their bytes, and of what is shown of them
    sizes: dict[str, int]  # in bytes, by the SHA-256 of them


def _seen(
    row: ManifestRow | BadRow, picture: Callable[[str], Picture], merged: MergedGroups
) -> Iterator["SeenRow | Problem"]:
    """The row with its pictures seen, or all that is wrong with it."""
    if isinstance(row, BadRow):
        yield Problem(row.line, row.words)
        return
    names = [name for name in (row.original, row.anonymized) if name]
    problems = [problem for name in names if (problem := _unfit(name, row.number, picture))]
    if problems:
        yield from problems
        return
    original = picture(row.original) if row.original else None
    anonymized = picture(row.anonymized)
    pictures = dict.fromkeys(_hashes(anonymized), row.anonymized)
    if original:
        pictures |= dict.fromkeys(_hashes(original), row.original)
    sizes = {each.original_sha256: len(each.original) for each in (original, anonymized) if each}
    shown = original.original_sha256 if original else ""
    yield SeenRow(row.number, shown, anonymized.original_sha256, _facts(row, original, merged), pictures, sizes)


def _hashes(picture: Picture) -> tuple[str, str]:
    return picture.original_sha256, picture.display_sha256


def _without_removed(batch: "list[SeenRow | Problem]") -> "list[SeenRow | Problem]":
    """A problem in the place of each row of which a picture was removed."""
    removed = removed_among({sha256 for row in batch if isinstance(row, SeenRow) for sha256 in row.pictures})
    return [_removed_problem(row, removed) or row if isinstance(row, SeenRow) else row for row in batch]


def _removed_problem(row: SeenRow, removed: set[str]) -> Problem | None:
    name = next((row.pictures[sha256] for sha256 in row.pictures if sha256 in removed), None)
    return Problem(row.line, f"{name}: this picture was {NOT_TAKEN}.") if name else None


def _unfit(name: str, line: int, picture: Callable[[str], Picture]) -> Problem | None:
    try:
        picture(name)
    except NotThere as error:
        return Problem(line, f"{error}.")
    except PictureRefused as error:
        return Problem(line, f"{name}: {error}.")
    return None


def _facts(row: ManifestRow, original: Picture | None, merged: MergedGroups) -> dict[str, Any]:
    """What a row says about its two pictures, under the name that its group has by now."""
    return {
        "group": merged.name_of(row.group or (original.original_sha256 if original else "")),
        "source": row.source or "unnamed",
        "method": row.method,
        "scope": row.scope,
        "parameters": row.parameters,
    }


class KnownPairs:
    """What is said about each two pictures, in the project and by the manifest's rows so far.

    Two pictures are one pair: of rows that say different things about them, all but one would be lost without a word.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        # By a digest of both pictures: the line and a hash of each fact, packed, as a million rows have to fit in.
        self.lines: dict[bytes, bytes] = {}
        self.n_new = 0  # pairs that the project does not have

    def problems(self, batch: list[SeenRow | Problem]) -> list[Problem]:
        """What is wrong with these rows, in their order; a problem that is known already stays as it is."""
        stored = self._stored([row for row in batch if isinstance(row, SeenRow)])
        found = [row if isinstance(row, Problem) else self._contradiction(row, stored) for row in batch]
        return [problem for problem in found if problem]

    def _contradiction(self, row: SeenRow, stored: dict[tuple[str, str], Pair]) -> Problem | None:
        pictures = bytes.fromhex(row.original + row.anonymized)
        hashes = [hash(json.dumps(value, sort_keys=True)) & _FACT_BITS for value in row.facts.values()]
        packed = _LINE.pack(row.line, *hashes)
        line, *first = _LINE.unpack(self.lines.setdefault(blake2b(pictures, digest_size=16).digest(), packed))
        if other := " and ".join(fact for fact, a, b in zip(row.facts, first, hashes, strict=True) if a != b):
            return Problem(row.line, f"the same two pictures as in line {line}, with another {other}.")
        pair = stored.get((row.original, row.anonymized))
        self.n_new += pair is None and line == row.line
        if pair and (other := _difference(pair, row.facts)):
            return Problem(
                row.line,
                f"the project has these two pictures as pair {pair.number}, with another {other}. Write what is there "
                "into the manifest, or change the pair on its page first; a row that says the same changes nothing.",
            )
        return None

    def _stored(self, batch: list[SeenRow]) -> dict[tuple[str, str], Pair]:
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


def store(attempt: Attempt, root: Root, n_rows: int) -> dict[str, Any]:
    project, picture = attempt.job.project, _reader(root, attempt)
    sources, merged = dict[str, Source](), MergedGroups(project)
    n_new, n_done = attempt.job.result.get("n_new", 0), 0  # new by an attempt that died or was cancelled, too
    batch: list[tuple[ManifestRow, dict[str, Any], Picture | None, Picture]] = []

    def flush() -> None:
        nonlocal n_new, n_done
        pictures = [each for _, _, *both in batch for each in both if each]
        for each in pictures:
            store_files(project, each)
        n_done += len(batch)
        with attempt.writing(n_done=n_done, n_total=n_rows):
            if removed_among({sha256 for each in pictures for sha256 in _hashes(each)}):  # since it was checked
                raise JobFailed(f"One of these pictures was {NOT_TAKEN}.")
            images = image_rows(project, pictures)
            n_new += sum(_store_pair(project, sources, images, *row) for row in batch)
            attempt.note(n_new=n_new)
        batch.clear()

    with opened_manifest(root, attempt.look) as (manifest, read_as):
        for row in manifest.rows():
            if isinstance(row, BadRow):
                raise JobFailed(f"The manifest changed while it was imported: {row} Import it again.")
            original = picture(row.original) if row.original else None
            batch.append((row, _facts(row, original, merged), original, picture(row.anonymized)))
            n_bytes = sum(len(each.original) + len(each.display) for _, _, *both in batch for each in both if each)
            if len(batch) == PAIRS_AT_ONCE or n_bytes > BYTES_AT_ONCE:
                flush()
        flush()
    counts = {"n_rows": n_rows, "n_new": n_new, "n_known": n_rows - n_new}
    return counts | {"read_as": read_as, "unread": manifest.unread}


def _store_pair(
    project: Project,
    sources: dict[str, Source],
    images: dict[str, Image],
    row: ManifestRow,
    facts: dict[str, Any],
    original: Picture | None,
    anonymized: Picture,
) -> bool:
    """Whether the pair is new."""
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
