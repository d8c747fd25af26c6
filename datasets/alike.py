"""Groups that may show one person though nobody said so: pointed out before a study, merged by whoever looks."""

from collections import defaultdict
from pathlib import PurePosixPath
from typing import NamedTuple

from django.db.models import QuerySet

from datasets.models.pictures import Pair
from datasets.names import plain

MOST_GROUPS = 10  # a folder with more is a collection, not one person


class Alike(NamedTuple):
    """Groups of pairs, and what they have in common."""

    groups: tuple[str, ...]
    why: str


def groups_alike(pairs: QuerySet[Pair]) -> list[Alike]:
    """Groups whose pictures have equal names in different folders, or lie in a small folder of their own."""
    by_name: dict[str, set[str]] = defaultdict(set)
    by_folder: dict[str, set[str]] = defaultdict(set)
    rows = pairs.values_list("group", "original_path", "anonymized_path").order_by("pk")
    for group, original, anonymized in rows.iterator(chunk_size=2000):
        path = PurePosixPath(plain(original or anonymized))
        by_name[path.stem.casefold()].add(group)
        by_folder[str(path.parent)].add(group)
    found = [Alike(tuple(sorted(groups)), f"the file name {name}") for name, groups in by_name.items()]
    if len(by_folder) > 1:
        found += [Alike(tuple(sorted(groups)), f"the folder {name}") for name, groups in by_folder.items()]
    return [each for each in found if 1 < len(each.groups) <= MOST_GROUPS]
