"""Pictures in the site: in by the safe door (`datasets.pictures`), out by the guarded one."""

from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest, HttpResponseBase

from datasets.files import file_response, store
from datasets.models.pictures import Image
from datasets.models.projects import Project
from datasets.pictures import Picture


def file_name(project: Project, sha256: str, extension: str) -> str:
    return f"pictures/{project.pk}/{sha256[:2]}/{sha256}{extension}"


def store_files(project: Project, picture: Picture) -> None:
    """Write original and display file. Do this before the row, so that no row ever names a file that is not there."""
    store(file_name(project, picture.original_sha256, picture.original_extension), picture.original)
    store(file_name(project, picture.display_sha256, picture.extension), picture.display)


def shown_as(project: Project, picture: Picture) -> dict[str, Any]:
    """The fields of an image that say what people are shown."""
    return {
        "display_sha256": picture.display_sha256,
        "display": file_name(project, picture.display_sha256, picture.extension),
        "content_type": picture.content_type,
        "width": picture.width,
        "height": picture.height,
        "changes": picture.changes,
    }


def stored_as(project: Project, picture: Picture) -> dict[str, Any]:
    """The fields of an image but for the project and the hash that tells it from others."""
    return {
        "original": file_name(project, picture.original_sha256, picture.original_extension),
        "n_bytes": len(picture.original),
        "look": picture.look,
        **shown_as(project, picture),
    }


def image_row(project: Project, picture: Picture) -> Image:
    """The project's row for this picture, made if it is new."""
    image, _ = Image.objects.get_or_create(
        project=project, sha256=picture.original_sha256, renews=None, defaults=stored_as(project, picture)
    )
    return image


def image_rows(project: Project, pictures: Iterable[Picture]) -> dict[str, Image]:
    """The project's rows for these pictures by their hashes: those that are there in one query, new ones are made."""
    wanted = {picture.original_sha256: picture for picture in pictures}
    there = Image.objects.filter(project=project, sha256__in=wanted, renews=None)
    rows = {image.sha256: image for image in there}
    return rows | {sha256: image_row(project, wanted[sha256]) for sha256 in wanted if sha256 not in rows}


def picture_response(request: HttpRequest, name: str, content_type: str) -> HttpResponseBase:
    """The display file of this name, for a caller who has checked that this person may see it. No hash, no ETag."""
    return file_response(request, name, content_type=content_type)
