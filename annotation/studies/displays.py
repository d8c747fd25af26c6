"""Display files of earlier versions, made anew where nobody has seen them and no release holds them."""

from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, QuerySet

from annotation.models.ratings import Assignment
from datasets.files import media_path
from datasets.images import file_name, store_files
from datasets.models.pictures import Image
from datasets.models.projects import Project
from datasets.models.releases import Label
from datasets.pair_changes import remove_unnamed
from datasets.pictures import PictureRefused, inspect


@dataclass(frozen=True)
class Renewal:
    """How many pictures of earlier versions there were, by what became of them."""

    n_renewed: int
    n_kept: int  # somebody was given them, or a release holds them
    n_unfit: int  # their originals are missing, or would be refused today


def renew_displays(project: Project) -> Renewal:
    """Make the display files that importing the originals today would make. Done again, it changes nothing.

    A picture that anybody was given, or that a release holds, keeps the file that they had.
    """
    before = Image.objects.filter(project=project, changes__isnull=True)
    n_before = before.count()
    n_renewed = n_unfit = 0
    for image in list(_untouched(before)):
        try:
            picture = inspect(media_path(str(image.original.name)).read_bytes())
        except (FileNotFoundError, PictureRefused):
            n_unfit += 1
            continue
        store_files(project, picture)
        # Asked again by the statement that writes: somebody may have been given the picture meanwhile.
        renewed = _untouched(before.filter(pk=image.pk)).update(
            display=file_name(project, picture.display_sha256, picture.extension),
            display_sha256=picture.display_sha256,
            content_type=picture.content_type,
            width=picture.width,
            height=picture.height,
            changes=picture.changes,
        )
        n_renewed += renewed
        if renewed:
            remove_unnamed([str(image.display.name)])
    return Renewal(n_renewed, n_before - n_renewed - n_unfit, n_unfit)


def _untouched(images: QuerySet[Image]) -> QuerySet[Image]:
    this = OuterRef("pk")
    given = Assignment.objects.filter(Q(item__pair__original=this) | Q(item__pair__anonymized=this))
    released = Label.objects.filter(Q(original=this) | Q(anonymized=this))
    return images.exclude(Exists(given)).exclude(Exists(released))
