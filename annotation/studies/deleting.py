"""A project that was never published is deleted by a job, batch by batch, so that nobody elsewhere has to wait."""

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Now

from annotation.models.people import Annotator, Participation
from annotation.models.studies import Campaign, Item, Study
from datasets.files import media_path
from datasets.jobs import Attempt, JobFailed, handles
from datasets.models.jobs import Job
from datasets.models.pictures import Image, Pair
from datasets.models.projects import Project
from datasets.models.releases import Release
from datasets.releases import discard_draft
from datasets.uploads import is_upload

AT_ONCE = 500  # rows; of people, with all that they said, fewer
PEOPLE_AT_ONCE = 10


@handles("delete_project")
def delete_project(attempt: Attempt) -> dict[str, Any]:
    """Ends with the row of its own job, so that nothing of the project is left to look at."""
    project = attempt.job.project
    pictures = media_path(f"pictures/{project.pk}")
    with attempt.writing():
        Project.objects.select_for_update().get(pk=project.pk)  # whoever begins a freeze waits, or is waited for
        _refuse(attempt.job)
        Study.objects.filter(campaign__project=project).exclude(state=Study.State.CLOSED).update(
            state=Study.State.CLOSED, closed_at=Now()
        )
        for draft in Release.objects.filter(project=project):
            discard_draft(draft)
    people = Participation.objects.filter(study__campaign__project=project)
    _in_batches(attempt, people, PEOPLE_AT_ONCE, lock=True)
    _in_batches(attempt, Annotator.objects.filter(project=project))
    _in_batches(attempt, Item.objects.filter(study__campaign__project=project))
    _in_batches(attempt, Campaign.objects.filter(project=project))
    _in_batches(attempt, Pair.objects.filter(project=project))
    _in_batches(attempt, Image.objects.filter(project=project))
    uploads = [Path(name) for name in project.jobs.values_list("arguments__archive", flat=True) if name]
    with attempt.writing():
        _refuse(attempt.job)
        project.delete()
    shutil.rmtree(pictures, ignore_errors=True)
    for upload in filter(is_upload, uploads):
        with suppress(OSError):
            upload.unlink()
    return {}


def _refuse(job: Job) -> None:
    if Release.objects.frozen().filter(project=job.project).exists():
        raise JobFailed("This project has a frozen release, so it stays. Close its studies instead.")
    if job.project.jobs.unfinished().exclude(pk=job.pk).exists():
        raise JobFailed("Another job of this project is not finished. Cancel it or wait for it, then try again.")


def _in_batches(attempt: Attempt, rows: QuerySet[Any], at_once: int = AT_ONCE, *, lock: bool = False) -> None:
    """Delete all rows. Locked ones first wait for whoever writes to them, as an answer does to its participation."""
    in_order = rows.order_by("pk").values_list("pk", flat=True)
    while True:
        with attempt.writing():
            ids = list((in_order.select_for_update(of=("self",)) if lock else in_order)[:at_once])
            if not ids:
                return
            rows.model._default_manager.filter(pk__in=ids).delete()
