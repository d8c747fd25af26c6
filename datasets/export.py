"""A release as files: the same bytes each time, readable without this site, checkable with `sha256sum -c`."""

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, islice
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from datasets import splits
from datasets.batches import in_batches, in_ranges
from datasets.files import media_path
from datasets.jobs import Attempt, JobFailed, handles, queue_job
from datasets.models.jobs import Job
from datasets.models.pictures import Image
from datasets.models.releases import FrozenRating, Label, Release
from datasets.rows import (
    CORE_COLUMN,
    CUE_COLUMNS,
    LABEL_COLUMNS,
    RATING_COLUMNS,
    SET_ASIDE_COLUMNS,
    SPLIT_COLUMNS,
)
from datasets.tables import csv_lines

ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # a zip has no "no date"
CHUNK = 1024 * 1024
LINES_AT_ONCE = 1000
LABELS_AT_ONCE = 1000  # read at a time, with their ratings
PROGRESS_EVERY = 25  # pictures
EXTENSIONS = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}


# The content: what the release says, and what its hash covers --------------------------------------------------------


def picture_name(image: Image) -> str:
    return f"pictures/{image.display_sha256}{EXTENSIONS[image.content_type]}"


def _csv(header: tuple[str, ...], rows: Iterator[tuple[Any, ...]]) -> Iterator[bytes]:
    lines = csv_lines(header, rows)
    while chunk := "".join(islice(lines, LINES_AT_ONCE)):
        yield chunk.encode()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}".rstrip("0").rstrip(".")


def _json(value: Any) -> Iterator[bytes]:
    yield (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _labels(release: Release) -> Iterator[Label]:
    labels = release.labels.select_related("original", "anonymized")
    return chain.from_iterable(in_batches(labels, key="number", at_once=LABELS_AT_ONCE))


def labels_csv(
    release: Release,
    *,
    path_of: Callable[[Image], str] = picture_name,
    part_of: Callable[[Label], str] = lambda label: splits.part_of(label.group),
) -> Iterator[bytes]:
    """The labels as the zip has them; a training run names the pictures where they lie, and the parts it uses."""
    rows = ((label, _label_cells(label, path_of, part_of(label))) for label in _labels(release))
    if not release.has_core():
        return _csv(LABEL_COLUMNS, (cells for _, cells in rows))
    return _csv((*LABEL_COLUMNS, CORE_COLUMN), ((*cells, int(bool(label.is_core))) for label, cells in rows))


def _label_cells(label: Label, path_of: Callable[[Image], str], part: str) -> tuple[Any, ...]:
    original = shown_original(label)
    return (
        label.number,
        path_of(original) if original else "",
        path_of(label.anonymized),
        label.source,
        label.method,
        label.scope,
        json.dumps(label.parameters, sort_keys=True),
        label.group,
        part,
        label.n,
        *map(_number, (label.mean, label.median, label.std, label.corrected, label.corrected_se)),
        label.original_sha256,
        label.anonymized_sha256,
    )


def shown_original(label: Label) -> Image | None:
    """The original that annotators saw. In HA1 they saw none, and it does not leave the site with the release."""
    return label.original if label.original_sha256 else None


def ratings_csv(release: Release) -> Iterator[bytes]:
    ratings = FrozenRating.objects.filter(label__release=release).order_by("label__number", "annotator", "occurrence")
    return _csv(
        RATING_COLUMNS,
        (
            (number, annotator, occurrence, _number(score), _number(seconds), position, int(is_late), n_revisions)
            for number, annotator, occurrence, score, seconds, position, is_late, n_revisions in in_ranges(
                ratings.values_list(
                    "label__number", "annotator", "occurrence", "score", "seconds", "position", "is_late", "n_revisions"
                ),
                key="label__number",
                at_once=LABELS_AT_ONCE,
            )
        ),
    )


def splits_csv(release: Release) -> Iterator[bytes]:
    labels = release.labels.values_list("number", "group")
    rows = chain.from_iterable(in_batches(labels, key="number", at_once=LABELS_AT_ONCE))
    return _csv(SPLIT_COLUMNS, ((number, group, splits.part_of(group)) for number, group in rows))


def set_aside_csv(release: Release) -> Iterator[bytes]:
    rows = release.set_aside.order_by("pair", "annotator").values_list("pair", "group", "annotator", "score")
    cells = ((*rest, _number(score)) for *rest, score in in_ranges(rows, key="pair", at_once=LABELS_AT_ONCE))
    return _csv(SET_ASIDE_COLUMNS, cells)


def _cues_csv(release: Release, *, is_set_aside: bool) -> Iterator[bytes]:
    cues = release.cues.filter(is_set_aside=is_set_aside).order_by("pair", "annotator", "pk")
    return _csv(CUE_COLUMNS, in_ranges(cues.values_list(*CUE_COLUMNS), key="pair", at_once=LABELS_AT_ONCE))


cues_csv = partial(_cues_csv, is_set_aside=False)
set_aside_cues_csv = partial(_cues_csv, is_set_aside=True)


Content = dict[str, Callable[[Release], Iterator[bytes]]]
CONTENT: Content = {
    "labels.csv": labels_csv,
    "ratings.csv": ratings_csv,
    "splits.csv": splits_csv,
    "wording.json": lambda release: _json(release.origins.get("texts", [])),
}


def content_of(release: Release) -> Content:
    """The content files of a release: where a decision kept ratings out, these too; and cues where they were asked for,
    so that a file without a row says that nobody marked anything."""
    asks_cues, has_set_aside = bool(release.origins.get("asks_cues")), release.set_aside.exists()
    further: dict[str, tuple[bool, Callable[[Release], Iterator[bytes]]]] = {
        "set_aside.csv": (has_set_aside, set_aside_csv),
        "cues.csv": (asks_cues, cues_csv),
        "set_aside_cues.csv": (asks_cues and has_set_aside, set_aside_cues_csv),
    }
    return CONTENT | {name: lines for name, (is_there, lines) in further.items() if is_there}


def content_hash(release: Release) -> str:
    """SHA-256 over the lines `sha256  name` of the content files, as `sha256sum` prints them.

    The pictures are covered by their hashes in labels.csv.
    """

    def sums() -> Iterator[tuple[str, str]]:
        for name, chunks in content_of(release).items():
            digest = hashlib.sha256()
            for chunk in chunks(release):
                digest.update(chunk)
            yield digest.hexdigest(), name

    return _hash_of_sums(sums())


def _hash_of_sums(sums: Iterable[tuple[str, str]]) -> str:
    return hashlib.sha256("".join(f"{digest}  {name}\n" for digest, name in sums).encode()).hexdigest()


# The archive ---------------------------------------------------------------------------------------------------------


def archive_name(release: Release) -> str:
    return f"releases/{release.public_id}/{release.slug}-v{release.version}.zip"


@transaction.atomic
def request_export(release: Release, *, by: AbstractBaseUser | None = None) -> Job:
    """The job that makes the archive: the one under way or done if there is one, else a new one."""
    # Two people ask at once: the second waits here, then gets the first's job.
    Release.objects.select_for_update(no_key=True).get(pk=release.pk)
    made = Job.objects.filter(kind="export_release", project=release.project, arguments__release=release.pk)
    running = made.unfinished().first()
    done = made.filter(state=Job.State.DONE).first() if media_path(archive_name(release)).exists() else None
    return running or done or queue_job("export_release", release.project, by=by, release=release.pk)


@handles("export_release")
def export_release(attempt: Attempt) -> dict[str, Any]:
    """Write the archive beside its final place, then put it there if the job is still ours."""
    release = Release.objects.frozen().select_related("project").get(pk=attempt.arguments["release"])
    path = media_path(archive_name(release))
    path.parent.mkdir(parents=True, exist_ok=True)
    drafts = f".job-{attempt.job.pk}-attempt-"
    for left in path.parent.glob(f"{drafts}*"):  # by an attempt that died
        left.unlink(missing_ok=True)
    draft = path.with_name(f"{drafts}{attempt.number}.zip")
    try:
        with zipfile.ZipFile(draft, "w", allowZip64=True) as archive:
            files = _write_archive(attempt, release, archive)
        with draft.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        n_bytes = draft.stat().st_size
        with attempt.writing():
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return {"file": archive_name(release), "sha256": digest, "bytes": n_bytes, "n_files": files}


def _write_archive(attempt: Attempt, release: Release, archive: zipfile.ZipFile) -> int:
    sums: dict[str, dict[str, Any]] = {}

    def add(name: str, chunks: Iterator[bytes], *, compressed: bool = True) -> None:
        sums[name] = _add(archive, name, chunks, compressed=compressed)

    for name, chunks in content_of(release).items():
        add(name, chunks(release))
    if _hash_of_sums((sums[name]["sha256"], name) for name in content_of(release)) != release.content_hash:
        raise JobFailed(
            "What the database holds of this release is not what was frozen: its content has another hash. Somebody or "
            "something changed it past the studio. Restore the database from a backup, or freeze the study again."
        )
    add("agreement.json", _json(release.agreement))
    add("README.md", iter([readme(release).encode()]))
    n_labels = release.labels.count()
    for n, label in enumerate(_labels(release), start=1):
        for image in filter(None, (shown_original(label), label.anonymized)):
            if picture_name(image) not in sums:
                add(picture_name(image), _file_chunks(image), compressed=False)
                if sums[picture_name(image)]["sha256"] != image.display_sha256:
                    raise _unusable(image, "damaged")
        if n % PROGRESS_EVERY == 0:
            attempt.progress(n, n_labels)
    manifest = {"release": facts(release), "files": sums}
    add("manifest.json", _json(manifest))
    lines = "".join(f"{entry['sha256']}  {name}\n" for name, entry in sorted(sums.items()))
    _add(archive, "SHA256SUMS", iter([lines.encode()]), compressed=True)
    return len(sums) + 1


def _add(archive: zipfile.ZipFile, name: str, chunks: Iterator[bytes], *, compressed: bool) -> dict[str, Any]:
    entry = zipfile.ZipInfo(name, date_time=ZIP_DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    entry.external_attr = 0o644 << 16
    digest, n_bytes = hashlib.sha256(), 0
    with archive.open(entry, "w", force_zip64=True) as member:
        for chunk in chunks:
            digest.update(chunk)
            n_bytes += len(chunk)
            member.write(chunk)
    return {"sha256": digest.hexdigest(), "bytes": n_bytes}


def _file_chunks(image: Image) -> Iterator[bytes]:
    try:
        with media_path(str(image.display.name)).open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
    except FileNotFoundError as error:
        raise _unusable(image, "missing") from error


def _unusable(image: Image, what: str) -> JobFailed:
    return JobFailed(
        f"The file of picture {image.display_sha256} is {what} on the server. Restore it from a backup of the media "
        "folder or import the picture again, then try again."
    )


def facts(release: Release) -> dict[str, Any]:
    """What a release is, for programs."""
    return {
        "project": release.project.slug,
        "slug": release.slug,
        "version": release.version,
        "title": release.title,
        "mode": release.mode,
        "scale": [release.scale_min, release.scale_max],
        "direction": "higher is more anonymous" if release.direction > 0 else "lower is more anonymous",
        "simulated": release.simulated,
        "counting_rule": release.counting_rule,
        "frozen_at": release.frozen_at.isoformat() if release.frozen_at else None,
        "content_hash": release.content_hash,
        "study": {key: value for key, value in release.origins.items() if key != "texts"},
    }


def readme(release: Release) -> str:
    shown = "the anonymized picture alone" if release.mode == "HA1" else "the anonymized picture beside its original"
    simulated = (
        "\n**These ratings are simulated.** A program made them up to show how the studio works. They say nothing "
        "about how people see these pictures.\n"
        if release.simulated
        else ""
    )
    set_aside = (
        "| set_aside.csv | ratings that somebody decided not to use: in no label, here so that the decision can be "
        "judged; pairs beyond the last row of labels.csv have no rating that is used |\n"
        if "set_aside.csv" in content_of(release)
        else ""
    )
    core = (
        "\n**Figures of all these pairs are biased**: they were given out, or stopped, by rules that depend on what "
        "was said or on a model.\nThose of the core are not: originals drawn by lot before the first rating, with 1 "
        "under `is_core` in labels.csv;\ntheir agreement is under `core` in the `sets` of agreement.json.\n"
        if release.has_core()
        else ""
    )
    cues = (
        "| cues.csv | one row per box that an annotator drew on what gives a person or a place away: pair, annotator, "
        "kind, the box (left, top, width, height) and its picture's size, in pixels of the anonymized picture in "
        "pictures/; marking was optional, so no box does not mean that nothing gives anything away |\n"
        if "cues.csv" in content_of(release)
        else ""
    )
    set_aside_cues = (
        "| set_aside_cues.csv | the same, beside the ratings in set_aside.csv |\n"
        if "set_aside_cues.csv" in content_of(release)
        else ""
    )
    return f"""# {release.title}, version {release.version}
{simulated}
Ratings of how anonymous a picture is, from {release.scale_min:g} (not anonymous) to {release.scale_max:g} (fully
anonymous), given on {shown} ({release.mode}).
{core}
| file | what it holds |
|---|---|
| labels.csv | one row per pair: paths, source, method, scope, group, split, number of ratings, mean, median, standard deviation (n - 1), and the mean corrected for each annotator's bias and noise, with its standard error |
| ratings.csv | one row per rating: pair, annotator (a name for this release only), score, seconds, position in the session |
| splits.csv | train, val or test, by group: all versions of one original are in one part |
| wording.json | every text the annotators read, with version and SHA-256 |
{set_aside}{cues}{set_aside_cues}| agreement.json | inter-rater agreement with confidence intervals, their seed and the versions used; under `sets` for all ratings, without those whom the study's planned rule leaves out, and as used, each with who is left out and the SHA-256 of its ratings |
| pictures/ | the pictures as they were shown, named by their SHA-256 |
| manifest.json, SHA256SUMS | size and SHA-256 of every file; check with `sha256sum -c SHA256SUMS` |

Counting rule: {release.counting_rule}

The annotators' names are pseudonyms: they hide who somebody is, but the ratings are still about people.

Content hash: `{release.content_hash}`: the SHA-256 of the lines that
`sha256sum {" ".join(content_of(release))}` prints.
"""  # noqa: E501  rows of a Markdown table
