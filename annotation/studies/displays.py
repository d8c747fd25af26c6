"""Display files of earlier versions, made anew; and which file of a picture a study shows, measures and releases.

A study shows what was there when it first opened. Where nobody was given a picture and no release holds it, the file of
today takes the place of the old one. Else it stands beside it, as an image of its own: studies that open from then on
show that one, all others go on with what their people have seen.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from django.db import transaction
from django.db.models import Case, Exists, F, Max, OuterRef, Q, QuerySet, When

from annotation.models.ratings import Assignment
from annotation.models.studies import Item, Study
from datasets.batches import in_batches
from datasets.files import media_path
from datasets.images import shown_as, store_files
from datasets.models.pictures import Image, Pair
from datasets.models.projects import Project
from datasets.models.releases import Label
from datasets.pair_changes import hold_pairs, hold_projects, remove_unnamed
from datasets.pictures import Picture, PictureRefused, inspect

PICTURES_AT_ONCE = 500  # rows that are read at a time


# What a study shows --------------------------------------------------------------------------------------------------


def fix_displays(study: Study) -> None:
    """Let the study show what there is now, for good. Call it in the transaction that opens it for the first time."""
    # So the newest renewal that an opening study sees is newer than all that it will show.
    hold_projects(Project.objects.filter(pk=study.project.pk))
    newest = Image.objects.filter(project=study.project).exclude(renews=None).aggregate(newest=Max("pk", default=0))
    Study.objects.filter(pk=study.pk).update(newest_renewal=newest["newest"])
    study.refresh_from_db(fields=["newest_renewal"])


def shown_pictures(study: Study, images: Iterable[Image | None]) -> dict[int, Image]:
    """What the study's people see of these images of pairs, by the ids by which the pairs name them."""
    named = {image.pk: image for image in images if image}
    if not study.newest_renewal:
        return named
    renewed = Image.objects.filter(renews__in=named, pk__lte=study.newest_renewal)
    return named | {image.in_pairs: image for image in renewed}


def shown(study: Study, image: str, field: str) -> Case:
    """The same for a query: a field of what the study's people see of the image at the end of this path."""
    renewed = When(**{f"{image}__renewed__pk__lte": study.newest_renewal}, then=F(f"{image}__renewed__{field}"))
    return Case(renewed, default=F(f"{image}__{field}"))


# Made anew -----------------------------------------------------------------------------------------------------------


class _Outcome(Enum):
    IN_PLACE = "in place"
    BESIDE = "beside"
    GONE = "gone"  # somebody has removed it, or renewed it first


@dataclass(frozen=True)
class Renewal:
    """How many pictures of earlier versions there were, by what became of them."""

    n_renewed: int
    n_beside: int  # somebody was given them, or a release holds them: later studies show the new file
    n_unfit: int  # their originals are missing, or would be refused today


def renew_displays(project: Project) -> Renewal:
    """Make the display files that importing the originals today would make. Done again, it changes nothing."""
    before = Image.objects.filter(project=project, changes__isnull=True, renews=None, renewed=None)
    counts = dict.fromkeys(_Outcome, 0)
    n_unfit = 0
    for batch in in_batches(before, at_once=PICTURES_AT_ONCE):
        for image in batch:
            try:
                picture = inspect(media_path(str(image.original.name)).read_bytes())
            except (FileNotFoundError, PictureRefused):
                n_unfit += 1
                continue
            store_files(project, picture)
            counts[_renew(image, picture)] += 1
    return Renewal(counts[_Outcome.IN_PLACE], counts[_Outcome.BESIDE], n_unfit)


@transaction.atomic
def _renew(image: Image, picture: Picture) -> _Outcome:
    """Whoever gives the picture out, opens a study with it, freezes it, changes or removes its pair meanwhile waits, or
    is waited for."""
    hold_projects(Project.objects.filter(pk=image.project_id))
    pairs = hold_pairs(Pair.objects.filter(Q(original=image) | Q(anonymized=image)))
    # A place that is given out refers to its item: so nobody gets the picture between the look and the change.
    list(Item.objects.filter(pair__in=pairs).order_by("pk").select_for_update())
    fields = shown_as(image.project, picture)
    old = Image.objects.filter(pk=image.pk, changes__isnull=True, renewed=None)
    if not old.exists():
        remove_unnamed([str(fields["display"]), str(image.original.name)])
        return _Outcome.GONE
    if image.display_sha256 == picture.display_sha256 or _untouched(old).exists():
        old.update(**fields)
        remove_unnamed([str(image.display.name)])
        return _Outcome.IN_PLACE
    Image.objects.create(
        project=image.project,
        renews=image,
        sha256=image.sha256,
        original=image.original,
        n_bytes=image.n_bytes,
        **fields,
    )
    return _Outcome.BESIDE


def _untouched(images: QuerySet[Image]) -> QuerySet[Image]:
    this = OuterRef("pk")
    given = Assignment.objects.filter(Q(item__pair__original=this) | Q(item__pair__anonymized=this))
    released = Label.objects.filter(Q(original=this) | Q(anonymized=this))
    return images.exclude(Exists(given)).exclude(Exists(released))
