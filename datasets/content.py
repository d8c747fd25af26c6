"""The content of a release: what it says, as files of which its hash is made. The same bytes each time.

A release records the format in which it was frozen (`Release.format`), and keeps it.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from functools import partial
from itertools import chain, islice
from operator import attrgetter
from typing import Any

from datasets.batches import in_batches, in_ranges
from datasets.models.pictures import Image
from datasets.models.releases import FrozenRating, Label, Release
from datasets.rows import (
    CORE_COLUMN,
    CUE_COLUMNS,
    FILE_COLUMNS,
    LABEL_COLUMNS,
    OTHER_COLUMNS,
    RATING_COLUMNS,
    SET_ASIDE_COLUMNS,
    SPLIT_COLUMNS,
)
from datasets.tables import csv_lines, path_cell, quoted_lines

LINES_AT_ONCE = 1000
LABELS_AT_ONCE = 1000  # read at a time, with their ratings
EXTENSIONS = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}


def picture_name(image: Image) -> str:
    return f"pictures/{image.display_sha256}{EXTENSIONS[image.content_type]}"


def _csv(release: Release, header: tuple[str, ...], rows: Iterator[tuple[Any, ...]]) -> Iterator[bytes]:
    lines = csv_lines(header, rows) if release.format == 1 else quoted_lines(header, rows)
    while chunk := "".join(islice(lines, LINES_AT_ONCE)):
        yield chunk.encode()


def _number(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(f"{value:.6f}".rstrip("0").rstrip("."))


def json_lines(value: Any) -> Iterator[bytes]:
    yield (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def labels_of(release: Release) -> Iterator[Label]:
    labels = release.labels.select_related("original", "anonymized")
    return chain.from_iterable(in_batches(labels, key="number", at_once=LABELS_AT_ONCE))


def labels_csv(
    release: Release,
    *,
    path_of: Callable[[Image], str] = picture_name,
    part_of: Callable[[Label], str] = attrgetter("part"),
) -> Iterator[bytes]:
    """The labels as the zip has them; a training run names the pictures where they lie, and the parts it uses."""
    columns: tuple[str, ...] = LABEL_COLUMNS
    cells: list[Callable[[Label], tuple[Any, ...]]] = [lambda label: _label_cells(label, path_of, part_of(label))]
    if release.has_core():
        columns, cells = (*columns, CORE_COLUMN), [*cells, _core_cells]
    if release.names_files:
        columns, cells = (*columns, *FILE_COLUMNS), [*cells, _file_cells]
    rows = (tuple(chain.from_iterable(each(label) for each in cells)) for label in labels_of(release))
    return _csv(release, columns, rows)


def _core_cells(label: Label) -> tuple[int]:
    return (int(bool(label.is_core)),)


def _file_cells(label: Label) -> tuple[str, str]:
    return path_cell(label.original_file), path_cell(label.anonymized_file)


def _label_cells(label: Label, path_of: Callable[[Image], str], part: str) -> tuple[Any, ...]:
    original = shown_original(label)
    return (
        label.pair,
        path_of(original) if original else "",
        path_of(label.anonymized),
        label.source,
        label.method,
        label.scope,
        json.dumps(label.parameters, sort_keys=True),
        label.public_group,
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
        release,
        RATING_COLUMNS,
        (
            (pair, annotator, occurrence, _number(score), _number(seconds), position, int(is_late), n_revisions)
            for pair, annotator, occurrence, score, seconds, position, is_late, n_revisions in in_ranges(
                ratings.values_list(
                    "label__pair", "annotator", "occurrence", "score", "seconds", "position", "is_late", "n_revisions"
                ),
                key="label__number",
                at_once=LABELS_AT_ONCE,
            )
        ),
    )


def splits_csv(release: Release) -> Iterator[bytes]:
    labels = release.labels.values_list("number", "pair", "public_group", "part")
    rows = chain.from_iterable(in_batches(labels, key="number", at_once=LABELS_AT_ONCE))
    return _csv(release, SPLIT_COLUMNS, (row[1:] for row in rows))


def set_aside_csv(release: Release) -> Iterator[bytes]:
    rows = release.set_aside.order_by("pair", "annotator").values_list("pair", "group", "annotator", "score")
    cells = ((*rest, _number(score)) for *rest, score in in_ranges(rows, key="pair", at_once=LABELS_AT_ONCE))
    return _csv(release, SET_ASIDE_COLUMNS, cells)


def other_answers_csv(release: Release) -> Iterator[bytes]:
    rows = release.other_answers.order_by("pair", "annotator", "occurrence").values_list(
        "pair", "annotator", "purpose", "occurrence", "score", "seconds", "position", "is_late", "n_revisions"
    )
    cells = (
        (*who, _number(score), _number(seconds), position, int(is_late), n_revisions)
        for *who, score, seconds, position, is_late, n_revisions in in_ranges(rows, key="pair", at_once=LABELS_AT_ONCE)
    )
    return _csv(release, OTHER_COLUMNS, cells)


def _cues_csv(release: Release, *, is_set_aside: bool) -> Iterator[bytes]:
    cues = release.cues.filter(is_set_aside=is_set_aside).order_by("pair", "annotator", "pk")
    return _csv(release, CUE_COLUMNS, in_ranges(cues.values_list(*CUE_COLUMNS), key="pair", at_once=LABELS_AT_ONCE))


cues_csv = partial(_cues_csv, is_set_aside=False)
set_aside_cues_csv = partial(_cues_csv, is_set_aside=True)


Content = dict[str, Callable[[Release], Iterator[bytes]]]
CONTENT: Content = {
    "labels.csv": labels_csv,
    "ratings.csv": ratings_csv,
    "splits.csv": splits_csv,
    "wording.json": lambda release: json_lines(release.origins.get("texts", [])),
}


def content_of(release: Release) -> Content:
    """The content files of a release: from format 2 on the answers that no label rests on; where a decision kept
    ratings out, these too; and cues where they were asked for, so that a file without a row says that nobody marked
    anything."""
    asks_cues, has_set_aside = bool(release.origins.get("asks_cues")), release.set_aside.exists()
    further: dict[str, tuple[bool, Callable[[Release], Iterator[bytes]]]] = {
        "other_answers.csv": (release.format > 1, other_answers_csv),
        "set_aside.csv": (has_set_aside, set_aside_csv),
        "cues.csv": (asks_cues, cues_csv),
        "set_aside_cues.csv": (asks_cues and has_set_aside, set_aside_cues_csv),
    }
    return CONTENT | {name: lines for name, (is_there, lines) in further.items() if is_there}


def content_hash(release: Release) -> str:
    """SHA-256 over the lines `sha256  name` of the content files, as `sha256sum` prints them.

    The pictures are covered by their hashes in labels.csv.
    """
    return hash_of_files((name, chunks(release)) for name, chunks in content_of(release).items())


def hash_of_files(files: Iterable[tuple[str, Iterable[bytes]]]) -> str:
    """SHA-256 over the lines that `sha256sum` would print of them; a file at a time, chunk by chunk."""
    return hash_of_sums((_sha256(chunks), name) for name, chunks in files)


def hash_of_sums(sums: Iterable[tuple[str, str]]) -> str:
    return hashlib.sha256("".join(f"{digest}  {name}\n" for digest, name in sums).encode()).hexdigest()


def _sha256(chunks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
