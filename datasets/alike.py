"""Groups that may show one person though nobody said so: pointed out before a study, merged by whoever looks.

Originals that look nearly the same are found by jobs, never while somebody waits for a page: by each import at its end,
and for pictures of versions that did not compare them by a job of its own.
"""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Exists, Min, OuterRef, QuerySet
from django.urls import reverse

from datasets.batches import in_batches
from datasets.files import media_path
from datasets.jobs import Attempt, handles, leads_to, queue_job
from datasets.looks import SAYS_NOTHING, first_alike, look_of
from datasets.models.jobs import Job
from datasets.models.pictures import Image, Pair
from datasets.models.projects import Project
from datasets.names import plain
from datasets.pictures import PictureRefused, open_display

MOST_GROUPS = 10  # a folder with more is a collection, not one person
COMPARE = "compare_pictures"  # the kind of job
LOOKED_AT_ONCE = 10  # pictures, some tenths of a second each
STORED_AT_ONCE = 500  # rows, in one transaction


class Alike(NamedTuple):
    """Groups of pairs, and what they have in common."""

    groups: tuple[str, ...]
    why: str


def groups_alike(pairs: QuerySet[Pair]) -> list[Alike]:
    """Groups whose originals look nearly the same, whose pictures have equal names in different folders, or lie in a
    small folder of their own."""
    by_look, by_name, by_folder = (defaultdict[Any, set[str]](set) for _ in range(3))
    rows = pairs.values_list("group", "original_path", "anonymized_path", "original__alike").order_by("pk")
    for group, original, anonymized, alike in rows.iterator(chunk_size=2000):
        path = PurePosixPath(plain(original or anonymized))
        by_name[path.stem.casefold()].add(group)
        by_folder[str(path.parent)].add(group)
        if alike:
            by_look[alike].add(group)
    found = [Alike(tuple(sorted(groups)), "originals that look nearly the same") for groups in by_look.values()]
    found += [Alike(tuple(sorted(groups)), f"the file name {name}") for name, groups in by_name.items()]
    if len(by_folder) > 1:
        found += [Alike(tuple(sorted(groups)), f"the folder {name}") for name, groups in by_folder.items()]
    return [each for each in found if 1 < len(each.groups) <= MOST_GROUPS]


def examples_of(project: Project, groups: Iterable[str]) -> dict[str, Pair]:
    """The first pair of each of these groups, to look at. Two queries, however many."""
    of_groups = project.pairs.filter(group__in=set(groups)).order_by()
    firsts = [row["first"] for row in of_groups.values("group").annotate(first=Min("pk"))]
    return {pair.group: pair for pair in project.pairs.filter(pk__in=firsts).select_related("original", "anonymized")}


# Originals that look nearly the same ----------------------------------------------------------------------------------


def originals_of(project: Project) -> QuerySet[Image]:
    return Image.objects.filter(Exists(Pair.objects.filter(original=OuterRef("pk"))), project=project)


def unseen_originals(project: Project) -> QuerySet[Image]:
    """Those of versions that did not say what a picture looks like."""
    return originals_of(project).filter(look=None)


@transaction.atomic
def request_comparing(project: Project, *, by: AbstractBaseUser | None = None) -> Job:
    """The job that compares the project's originals, those of earlier versions too; the one under way if there is."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # of two clicks, the second finds the first's job
    begun = Job.objects.unfinished().filter(kind=COMPARE, project=project).first()
    return begun or queue_job(COMPARE, project, by=by)


@handles(COMPARE)
def compare_pictures(attempt: Attempt) -> dict[str, Any]:
    unseen = unseen_originals(attempt.job.project)
    n_done, n_total = 0, unseen.count()
    for batch in in_batches(unseen, at_once=LOOKED_AT_ONCE):
        looks = {}
        for image in batch:
            attempt.look()
            looks[image.pk] = _look(image)
        n_done += len(batch)
        with attempt.writing(n_done=n_done, n_total=n_total):
            for pk, look in looks.items():
                Image.objects.filter(pk=pk).update(look=look)
    compare_originals(attempt)
    return {"n_alike": len(groups_alike(attempt.job.project.pairs.all()))}


@leads_to(COMPARE)
def _groups_page(job: Job) -> tuple[str, str] | None:
    if job.state != Job.State.DONE:
        return None
    return "Groups that may show one person", reverse("datasets:groups", args=[job.project.slug])


def _look(image: Image) -> int:
    try:
        return look_of(open_display(media_path(str(image.display.name)).read_bytes()))
    except (OSError, PictureRefused):
        return SAYS_NOTHING  # a file that is missing or damaged is told where it is needed


def compare_originals(attempt: Attempt) -> None:
    """Store which of the project's originals look nearly the same, of all whose look is known.

    Each is compared with those alone that share a part of its look: 0.02 s for 10,000 originals, 0.2 s where all are
    much alike, 0.1 s for 100,000.
    """
    known = originals_of(attempt.job.project).exclude(look=None).exclude(look=SAYS_NOTHING)
    rows = [row for batch in in_batches(known.values_list("pk", "look"), at_once=10_000) for row in batch]
    pks, looks = (np.array(column, dtype=np.int64) for column in (zip(*rows, strict=True) if rows else ([], [])))
    first = first_alike(looks)
    n_alike = np.bincount(first, minlength=len(pks))
    found = {int(pk): int(pks[at]) for pk, at in zip(pks, first, strict=True) if n_alike[at] > 1}
    stored = dict(originals_of(attempt.job.project).exclude(alike=None).values_list("pk", "alike"))
    changed = [pk for pk in found.keys() | stored.keys() if found.get(pk) != stored.get(pk)]
    for start in range(0, len(changed), STORED_AT_ONCE):
        part = Image.objects.in_bulk(changed[start : start + STORED_AT_ONCE])
        for pk, image in part.items():
            image.alike = found.get(pk)
        with attempt.writing():
            Image.objects.bulk_update(part.values(), ["alike"])
