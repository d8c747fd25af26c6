"""The core: originals drawn by lot before the first rating, which keep to the study's goal and order."""

import hashlib
from collections.abc import Iterator
from itertools import islice

import numpy as np

from annotation.models.studies import Study

GROUPS_AT_ONCE = 2000


def choose_core(study: Study) -> None:
    """A share of the originals, by lot: with all their versions they keep to the study's goal and order."""
    groups = study.items.rated().order_by().values_list("group", flat=True).distinct()
    lots = np.fromiter((_lot(study, group) for group in groups.iterator(chunk_size=GROUPS_AT_ONCE)), dtype=np.uint64)
    n_core = round(len(lots) * study.core_percent / 100)
    last = np.sort(lots)[n_core - 1] if n_core else None
    outside = (group for group in list(groups) if last is None or _lot(study, group) > last)
    for batch in _batches(outside):
        study.items.filter(group__in=batch).update(is_core=False)


def _lot(study: Study, group: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{study.seed}:core:{group}".encode()).digest()[:8])


def _batches(groups: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(groups, GROUPS_AT_ONCE)):
        yield batch
