"""What holds nothing that has to stay is deleted, batch by batch, so that nobody elsewhere has to wait: a study that
nobody has rated in, at once; a project that was never published, by a job."""

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from annotation.giving.leases import give_back
from annotation.models.people import Annotator, Participation
from annotation.models.ratings import Assignment, Rating
from annotation.models.studies import Campaign, Item, Study
from annotation.studies.filling import fillings
from annotation.studies.history import NotPossible, locked_study
from annotation.studies.life import change_state
from annotation.studies.pairs import PAIRS_AT_ONCE
from datasets import ledger
from datasets.audit import record
from datasets.files import media_path
from datasets.jobs import Attempt, JobFailed, cancel_job, handles
from datasets.models.audit import What
from datasets.models.jobs import Job
from datasets.models.pictures import Image, Pair
from datasets.models.projects import Project, ProjectChange
from datasets.models.releases import Release
from datasets.releases import discard_draft
from datasets.traces import wipe_soon
from datasets.uploads import is_upload

AT_ONCE = 500  # rows; of people, with all that they said, fewer
PEOPLE_AT_ONCE = 10


# A study ------------------------------------------------------------------------------------------------------------


def check_deletable(study: Study) -> None:
    """Raises NotPossible where somebody has rated in the study, or a release was frozen from it."""
    if Rating.objects.of_study(study).exists():
        raise NotPossible("People have rated in this study, so it stays; close it instead.")
    if study.releases().exists():
        raise NotPossible("A release was frozen from this study, so it stays; close it instead.")


def is_deletable(study: Study) -> bool:
    try:
        check_deletable(study)
    except NotPossible:
        return False
    return True


def holdings(study: Study) -> dict[str, int]:
    """What goes with a study that is deleted."""
    people = Participation.objects.filter(study=study)
    return {
        "pairs": study.items.count(),
        "pairs for practice or checks": study.items.exclude(role=Item.Role.MAIN).count(),
        "texts": study.texts.count(),
        "links": study.invitations.count(),
        "people who began": people.count(),
        "pairs that wait for their answer": Assignment.objects.filter(participation__in=people).held().count(),
    }


def delete_study(study: Study, *, by: AbstractBaseUser | None = None, at_once: int = PAIRS_AT_ONCE) -> None:
    """Take a study back in which nobody has rated. Its campaign stays, free for another study of this mode.

    A study that runs is closed first, so nobody new comes in. Who answers meanwhile is heard, and the study stays,
    closed. Raises NotPossible. Of two clicks both help, and one of them records it.
    """
    facts = {"study": study.name, "study_id": study.public_id.hex, "short name": study.short_name, **holdings(study)}
    try:
        _stop(study, by=by)
        while _leave_out_people(study):
            pass
        while _take_out(study, at_once):
            pass
        with transaction.atomic():
            _locked_deletable(study).delete()
            record(What.STUDY_DELETED, by=by, on=study, project=study.project, before={"pairs": facts["pairs"]})
            study.project.changes.create(
                kind=ProjectChange.Kind.STUDY_DELETED, by_id=by.pk if by else None, facts=facts
            )
    except Study.DoesNotExist:  # by another click
        return


@transaction.atomic
def _stop(study: Study, *, by: AbstractBaseUser | None) -> None:
    locked = _locked_deletable(study)
    for job in fillings(locked).unfinished():
        cancel_job(job)
    if locked.state in {Study.State.OPEN, Study.State.PAUSED}:
        change_state(locked, Study.State.CLOSED, by=by, reason="The study is being deleted.")


@transaction.atomic
def _leave_out_people(study: Study) -> int:
    """Some of those who began and said nothing: how many went. Their places go back, should the study stay."""
    _locked_deletable(study)
    some = study.participations.order_by("pk").select_for_update(of=("self", "annotator")).select_related("annotator")
    people = list(some[:PEOPLE_AT_ONCE])
    check_deletable(study)  # whoever was answering has been waited for
    for person in people:
        ledger.enter(person.public_id)
        give_back(person.pk)
        person.delete()
    Annotator.objects.filter(pk__in=[person.annotator_id for person in people], participations=None).delete()
    wipe_soon()
    return len(people)


@transaction.atomic
def _take_out(study: Study, at_once: int) -> int:
    """A batch of its pairs: how many went."""
    last = _locked_deletable(study).items.order_by("-pk").values_list("pk", flat=True)[:at_once]
    return Item.objects.filter(pk__in=list(last)).delete()[0]


def _locked_deletable(study: Study) -> Study:
    locked = locked_study(study)
    check_deletable(locked)
    return locked


# A project ----------------------------------------------------------------------------------------------------------


@handles("delete_project", in_closed_projects=True)
def delete_project(attempt: Attempt) -> dict[str, Any]:
    """Ends with the row of its own job, so that nothing of the project is left to look at."""
    project = attempt.job.project
    pictures = media_path(f"pictures/{project.pk}")
    studies = Study.objects.filter(campaign__project=project)
    with attempt.writing():
        # Whoever begins a freeze waits, or is waited for; first the study, as they do, so that none waits in a circle.
        list(studies.select_for_update(of=("self",)).order_by("pk"))
        Project.objects.select_for_update().get(pk=project.pk)
        _refuse(attempt.job)
        studies.exclude(state=Study.State.CLOSED).update(state=Study.State.CLOSED, closed_at=Now())
        # Whoever has waited with a job of their own is refused: the rest of this cannot be taken back.
        Project.objects.filter(pk=project.pk, closed_at=None).update(closed_at=Now())
        for draft in Release.objects.filter(project=project):
            discard_draft(draft)
    while _erase_people(attempt, Participation.objects.filter(study__campaign__project=project)):
        pass
    _in_batches(attempt, Annotator.objects.filter(project=project))
    _in_batches(attempt, Item.objects.filter(study__campaign__project=project))
    _in_batches(attempt, Campaign.objects.filter(project=project))
    _in_batches(attempt, Pair.with_removed.filter(project=project))
    _in_batches(attempt, Image.objects.filter(project=project))
    uploads = [Path(name) for name in project.jobs.values_list("arguments__archive", flat=True) if name]
    with attempt.writing():
        _refuse(attempt.job)
        record(What.PROJECT_DELETED, by=attempt.job.created_by, on=project, project=project)
        project.delete()
        wipe_soon()
    shutil.rmtree(pictures, ignore_errors=True)
    for upload in filter(is_upload, uploads):
        with suppress(OSError):
            upload.unlink()
    return {}


def _refuse(job: Job) -> None:
    if Release.objects.frozen().filter(project=job.project).exists():
        raise JobFailed("This project has a frozen release, so it stays. Close it instead.")
    if job.project.jobs.unfinished().exclude(pk=job.pk).exists():
        raise JobFailed("Another job of this project is not finished. Cancel it or wait for it, then try again.")


def _erase_people(attempt: Attempt, people: QuerySet[Participation]) -> int:
    """Some of them: how many went. Whoever is just answering is waited for."""
    with attempt.writing():
        some = list(people.order_by("pk").select_for_update(of=("self",))[:PEOPLE_AT_ONCE])
        for person in some:
            ledger.enter(person.public_id)
        Participation.objects.filter(pk__in=[person.pk for person in some]).delete()
    return len(some)


def _in_batches(attempt: Attempt, rows: QuerySet[Any]) -> None:
    in_order = rows.order_by("pk").values_list("pk", flat=True)
    while True:
        with attempt.writing():
            ids = list(in_order[:AT_ONCE])
            if not ids:
                return
            rows.model._base_manager.filter(pk__in=ids).delete()
