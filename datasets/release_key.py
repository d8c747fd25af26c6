"""The key of a release: which pictures its rows are, by the names and bytes that were imported. It stays with the
project's researchers, apart from the release."""

from collections.abc import Iterator

from django.db.models import F

from datasets.batches import in_batches
from datasets.models.pictures import Pair
from datasets.models.releases import Label, Release
from datasets.tables import path_cell, quoted_lines, words_cell

COLUMNS = (
    "row", "pair", "group", "group_as_imported", "original", "anonymized", "original_sha256", "anonymized_sha256",
)  # fmt: skip
LABELS_AT_ONCE = 1000


def key_lines(release: Release) -> Iterator[str]:
    """As CSV, line by line, in the order of labels.csv; the SHA-256 are of the bytes as they were imported."""
    return quoted_lines(COLUMNS, (row for batch in _batches(release) for row in batch))


def _batches(release: Release) -> Iterator[list[tuple[int | str, ...]]]:
    labels = release.labels.select_related("original", "anonymized")
    for batch in in_batches(labels, key="number", at_once=LABELS_AT_ONCE):
        shown = [label.anonymized.in_pairs for label in batch]
        pairs = Pair.with_removed.filter(project=release.project_id, anonymized__in=shown)
        pair_of = {(pair.original_id, pair.anonymized_id): pair for pair in pairs}
        yield [_row(label, pair_of[_pictures(label)]) for label in batch]


def _pictures(label: Label) -> tuple[int | None, int]:
    """As pairs name them."""
    return label.original.in_pairs if label.original else None, label.anonymized.in_pairs


def _row(label: Label, pair: Pair) -> tuple[int | str, ...]:
    return (
        label.number,
        pair.number,
        label.public_group,
        words_cell(label.group),
        path_cell(pair.original_path),
        path_cell(pair.anonymized_path),
        label.original.sha256 if label.original else "",
        label.anonymized.sha256,
    )


def names_originals(release: Release) -> bool:
    """Whether its groups are named by the hashes of originals that are not in it: so did format 1, in HA1."""
    return (
        release.mode == "HA1" and release.labels.filter(public_group=F("original__sha256"), original_sha256="").exists()
    )
