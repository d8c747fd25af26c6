"""A picture goes, since somebody shown in it asked: it, all that was made from it, and its way back in.

The records come first, in one transaction: from its end on nobody is shown the picture, no release takes it up and no
import brings it back. Then a job deletes the files, and has zips made anew without it. Whoever is killed on the way
leaves what is to be done in the row of the removal, for the next worker.
"""

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import ProtectedError, Q, QuerySet
from django.db.models.functions import Now
from django.urls import reverse

from datasets import ledger
from datasets.audit import record
from datasets.export import Retracted, archive_name, request_export
from datasets.files import media_path
from datasets.jobs import Attempt, NotRetryable, handles, leads_to, queue_job, repeats, retry_job
from datasets.looks import SAYS_NOTHING
from datasets.models.audit import What
from datasets.models.jobs import Job
from datasets.models.pictures import Image, Pair, PairChange
from datasets.models.projects import Project
from datasets.models.releases import FrozenRating, Label, Release, ReleaseNotice
from datasets.models.removals import Removal, RemovedImage
from datasets.pair_changes import hold_pairs, hold_projects, use_of
from datasets.refusals import Refusal
from datasets.reports import report_name
from datasets.traces import wipe_soon
from datasets.uploads import upload_of

NOTICE = (
    "A picture was removed because somebody shown in it asked for it. The rows about it stay, as they were published; "
    "its files are in no zip that is made from now on. Whoever has the earlier zip should delete them there too."
)
AGAIN_EVERY = 600.0  # seconds
Withdraw = Callable[[], None]
Holds = Callable[[list[int], AbstractBaseUser | None], Withdraw]
_holding: list[Holds] = []
_training: list[Callable[[list[Release]], list[str]]] = []


NOT_TAKEN = "removed from the site because somebody shown in it asked for it, and is not taken again; leave it out"


class CannotRemove(Refusal):
    pass


def holds(hold: Holds) -> Holds:
    """Register what locks whatever shows these pairs (their ids), and gives what shows them no more."""
    _holding.append(hold)
    return hold


def trains(models_of: Callable[[list[Release]], list[str]]) -> Callable[[list[Release]], list[str]]:
    """Register what stops the trainings on these releases, and says in words which models have seen them."""
    _training.append(models_of)
    return models_of


# What it takes ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Taken:
    """What goes with a picture."""

    images: list[Image]
    pairs: list[Pair]
    releases: list[Release]

    @property
    def n_ratings(self) -> int:
        """In releases; they stay there."""
        return FrozenRating.objects.filter(label__in=labels_with(self.images), label__release__in=self.releases).count()


def taken_with(image: Image) -> Taken:
    """The picture, its versions, every pair that shows one of these, and the releases that hold one."""
    # What is shown alike is one picture, whatever stood in the file beside its pixels.
    alike = Image.objects.filter(project=image.project_id, display_sha256=image.display_sha256).exclude(display="")
    same = {each.in_pairs for each in alike}
    versions = Pair.objects.filter(original__in=same).values("anonymized")
    named = Image.objects.filter(Q(pk__in=same) | Q(pk__in=versions))
    images = list(Image.objects.filter(Q(pk__in=named) | Q(renews__in=named)).exclude(display="").order_by("pk"))
    pairs = Pair.objects.filter(Q(original__in=named) | Q(anonymized__in=named)).order_by("number")
    releases = Release.objects.frozen().filter(labels__in=labels_with(images)).distinct().order_by("pk")
    return Taken(images, list(pairs), list(releases.select_related("project")))


def labels_with(images: Iterable[Image]) -> QuerySet[Label]:
    ids = [image.pk for image in images]
    return Label.objects.filter(Q(original__in=ids) | Q(anonymized__in=ids))


# The records --------------------------------------------------------------------------------------------------------


@transaction.atomic
def remove_image(image: Image, *, by: AbstractBaseUser | None = None) -> Removal:
    """Take a picture and everything made from it out of its project for good; the files go by a job.

    Raises CannotRemove where it is gone already, or while an import runs that may need it.
    """
    project = image.project
    withdraw = [hold([pair.pk for pair in taken_with(image).pairs], by) for hold in _holding]
    hold_projects(Project.objects.filter(pk=project.pk))
    if project.jobs.unfinished().filter(kind="import_pairs").exists():
        raise CannotRemove("An import is running, which may need the picture; remove it when that has ended.")
    taken = taken_with(image)
    if not taken.images:
        raise CannotRemove("This picture was removed already.")
    pairs = list(hold_pairs(Pair.objects.filter(pk__in=[pair.pk for pair in taken.pairs])))
    # An export that ends now is waited for: its zip is among those that are made anew.
    list(Release.objects.select_for_update(no_key=True).filter(pk__in=[each.pk for each in taken.releases]))
    removal = Removal.objects.create(
        project=project,
        pairs=[pair.number for pair in pairs],
        n_ratings=taken.n_ratings,
        releases=[str(release) for release in taken.releases],
        models_trained=[words for models_of in _training for words in models_of(taken.releases)],
        files_left=sorted({str(name) for each in taken.images for name in (each.original, each.display)}),
        zips_left=[each.pk for each in taken.releases if media_path(archive_name(each)).exists()],
        by_id=by.pk if by else None,
    )
    for each in withdraw:
        each()
    _refuse_from_now_on(taken.images)
    _forget_pairs(project, pairs, {each.sha256 for each in taken.images})
    _forget_images(taken.images)
    for release in taken.releases:
        release.notices.create(kind=ReleaseNotice.Kind.REMOVED, text=NOTICE)
    queue_job("remove_image", project, by=by, removal=removal.pk)
    record(What.PICTURE_REMOVED, by=by, on=removal, project=project, after={"pairs": removal.pairs})
    wipe_soon()
    return removal


def _refuse_from_now_on(images: list[Image]) -> None:
    for image in images:
        ledger.enter(_in_ledger(image))
    for sha256 in sorted({sha256 for each in images for sha256 in (each.sha256, each.display_sha256)}):
        RemovedImage.objects.get_or_create(digest=ledger.enter_picture(sha256))


def _in_ledger(image: Image) -> str:
    """It stays where other projects have it: each answers for its own."""
    return f"picture {image.sha256} of project {image.project_id}"


def _forget_pairs(project: Project, pairs: list[Pair], hashes: set[str]) -> None:
    """Their numbers stay, where something refers to them: names of files and groups that are hashes go."""
    names = {name for pair in pairs for name in (pair.original_path, pair.anonymized_path) if name}
    for group in {pair.group for pair in pairs} & hashes:
        _rename_group(project, group, f"removed {uuid4().hex}")
    for pair in pairs:
        if use_of(pair):
            Pair.objects.filter(pk=pair.pk).update(removed_at=Now(), original_path="", anonymized_path="")
        else:
            pair.delete()
    PairChange.objects.filter(project=project, pair__in=[pair.number for pair in pairs]).update(
        anonymized_path="", before={}, after={}
    )
    _forget_names(project, names | hashes)


def _rename_group(project: Project, group: str, becomes: str) -> None:
    """An original's hash was its group's name. In releases too, but for what their content hash covers."""
    for relation in Pair._meta.related_objects:
        rows: Any = relation.related_model._default_manager
        rows.filter(group=group, **{f"{relation.field.name}__project": project}).update(group=becomes)
    Pair.with_removed.filter(project=project, group=group).update(group=becomes)
    Label.objects.filter(release__project=project, group=group).update(group=becomes)


def _forget_names(project: Project, names: set[str]) -> None:
    """In what imports have said."""
    for job in project.jobs.filter(kind="import_pairs"):
        said = job.error + job.traceback + json.dumps(job.result, ensure_ascii=False)
        if any(name in said for name in names):
            job.result.pop("preview", None)
            words = "It named a picture that was removed."
            Job.objects.filter(pk=job.pk).update(error=words if job.error else "", traceback="", result=job.result)


def _forget_images(images: list[Image]) -> None:
    """A row goes, or stays empty for the releases and pairs that refer to it, and tells no hash that they do not."""
    for image in sorted(images, key=lambda each: each.renews_id is None):  # those that renew others first
        try:
            with transaction.atomic():
                Image.objects.get(pk=image.pk).delete()
        except ProtectedError:
            is_released = labels_with([image]).exclude(release__frozen_at=None).exists()
            Image.objects.filter(pk=image.pk).update(
                sha256=f"removed {uuid4().hex}",
                display_sha256=image.display_sha256 if is_released else "",
                original="",
                display="",
                look=SAYS_NOTHING,
                alike=None,
                changes={},
            )


# The files ----------------------------------------------------------------------------------------------------------


@handles("remove_image", in_closed_projects=True)
def remove_files(attempt: Attempt) -> dict[str, Any]:
    """Delete what the removal names, have zips made anew, then forget the names. Begun anew, it goes on."""
    removal = Removal.objects.get(pk=attempt.arguments["removal"])
    n_total = len(removal.files_left) + len(removal.zips_left) + 1
    removed = [Path(name).stem for name in removal.files_left]
    with attempt.writing(n_done=0, n_total=n_total):
        pass
    _delete_uploads(attempt, removal, set(removed))
    for n, name in enumerate(removal.files_left, start=1):
        if not (Image.objects.filter(original=name) | Image.objects.filter(display=name)).exists():
            media_path(name).unlink(missing_ok=True)
        attempt.progress(n, n_total)
    for release in Release.objects.filter(pk__in=removal.zips_left).order_by("pk"):
        _make_anew(attempt, removal, release)
    with attempt.writing(n_done=n_total):
        Removal.objects.filter(pk=removal.pk).update(files_left=[], zips_left=[], finished_at=Now())
        wipe_soon()
    return {"pairs": removal.pairs, "models": removal.models_trained}


@leads_to("remove_image")
def page_of(job: Job) -> tuple[str, str] | None:
    removal = Removal.objects.filter(pk=job.arguments["removal"]).select_related("project").first()
    return (
        ("To what went", reverse("datasets:removal", args=[removal.project.slug, removal.public_id]))
        if removal
        else None
    )


@repeats(every=AGAIN_EVERY)
def take_up_again() -> None:
    """Removals whose job failed, or was cancelled: they were promised to somebody."""
    for removal in Removal.objects.filter(finished_at=None):
        job = Job.objects.filter(kind="remove_image", project=removal.project_id, arguments__removal=removal.pk).get()
        with suppress(NotRetryable):  # it is under way, or another worker was faster
            retry_job(job)


def _make_anew(attempt: Attempt, removal: Removal, release: Release) -> None:
    path = media_path(archive_name(release))
    path.unlink(missing_ok=True)
    with attempt.writing():
        with suppress(Retracted):
            request_export(release, by=attempt.job.created_by)
        removal.zips_left = [pk for pk in removal.zips_left if pk != release.pk]
        removal.save(update_fields=["zips_left"])


def _delete_uploads(attempt: Attempt, removal: Removal, hashes: set[str]) -> None:
    """Of imports that ended without reading theirs to the end, with what they said was wrong."""
    for job in Job.objects.filter(kind="import_pairs").exclude(pk__in=Job.objects.unfinished().values("pk")):
        upload = upload_of(job)
        if job.project_id == removal.project_id:
            media_path(report_name(job)).unlink(missing_ok=True)
        if upload and upload.exists() and _holds_one_of(attempt, upload, hashes):
            upload.unlink(missing_ok=True)


def _holds_one_of(attempt: Attempt, upload: Path, hashes: set[str]) -> bool:
    """An upload that cannot be read is nobody's loss."""
    try:
        with zipfile.ZipFile(upload) as archive:
            for name in archive.namelist():
                attempt.look()
                with archive.open(name) as member:
                    if hashlib.file_digest(member, "sha256").hexdigest() in hashes:  # type: ignore[arg-type]
                        return True
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, ValueError):
        return True
    return False


# The way back -------------------------------------------------------------------------------------------------------


def removed_among(hashes: Iterable[str]) -> set[str]:
    """Which of these SHA-256 are of pictures that were removed, as they came or as they were shown."""
    by_digest = {ledger.picture_digest(sha256): sha256 for sha256 in hashes}
    removed = RemovedImage.objects.filter(digest__in=by_digest).values_list("digest", flat=True)
    return {by_digest[digest] for digest in removed}


@ledger.replays
def _remove_again(is_erased: ledger.IsErased) -> int:
    """Pictures that came back with a backup from before their removal."""
    RemovedImage.objects.bulk_create([RemovedImage(digest=each) for each in is_erased.pictures], ignore_conflicts=True)
    there = Image.objects.exclude(display="").select_related("project")
    back = [image for image in there.iterator(chunk_size=2000) if is_erased(_in_ledger(image))]
    for image in back:
        # Nobody works at a site that is being restored.
        image.project.jobs.unfinished().filter(kind="import_pairs").update(
            state=Job.State.CANCELLED, finished_at=Now(), leased_until=None
        )
        with suppress(CannotRemove):  # it went with another
            remove_image(image)
    return len(back)


def counted(taken: Taken) -> dict[str, int]:
    """What a page or a command says before it is done."""
    return {
        "pictures": len({each.in_pairs for each in taken.images}),
        "pairs": len(taken.pairs),
        "ratings in releases": taken.n_ratings,
        "releases": len(taken.releases),
    }
