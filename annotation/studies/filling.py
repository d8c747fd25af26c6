"""A study gets more pairs than anybody wants to wait for: a job puts them in, batch by batch."""

from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from annotation.models.studies import Study
from annotation.studies.history import locked_study
from annotation.studies.pairs import PAIRS_AT_ONCE, Kinds, add_items, fitting, further_pairs, kinds_held, pairs_of_kinds
from datasets.closing import hold_open
from datasets.jobs import Attempt, JobCancelled, JobFailed, handles, queue_job
from datasets.models.jobs import Job, JobQuerySet
from datasets.models.pictures import Pair

FILL = "fill_study"  # the kind of job
DELETED = "The study was deleted before it was filled."


def fillings(study: Study) -> JobQuerySet:
    """The jobs that put pairs into the study, the latest first."""
    return Job.objects.filter(kind=FILL, project=study.campaign.project_id, arguments__study=study.pk)


def add_further_pairs(study: Study, *, by: AbstractBaseUser | None = None, at_once: int = PAIRS_AT_ONCE) -> int | Job:
    """How many were added, or the job that adds them. While one is under way that one is the answer.

    Raises ProjectClosed.
    """
    with transaction.atomic():
        hold_open(locked_study(study).project)  # of two clicks, the second waits
        if job := fillings(study).unfinished().first():
            return job
        if further_pairs(study).count() > at_once:
            return fill_later(study, kinds_held(study), by=by, at_once=at_once)
        return add_items(study, further_pairs(study), by=by, at_once=at_once)


def fill_later(study: Study, kinds: Kinds, *, by: AbstractBaseUser | None, at_once: int) -> Job:
    """A job for the project's pairs of these kinds that are there now; what is imported later can be added later."""
    last = Pair.objects.filter(project=study.project).latest("pk").pk
    named = [[*kind] for kind in kinds]
    return queue_job(FILL, study.project, by=by, study=study.pk, kinds=named, last=last, at_once=at_once)


@handles(FILL)
def fill_study(attempt: Attempt) -> dict[str, Any]:
    study = Study.objects.select_related("campaign__project").filter(pk=attempt.arguments["study"]).first()
    if study is None:
        raise JobFailed(DELETED)
    try:
        _fill(attempt, study)
    except Study.DoesNotExist as error:
        raise JobFailed(DELETED) from error
    except JobCancelled as cancelled:
        raise JobCancelled("The pairs that were put into the study until then are kept.") from cancelled
    return {"study": str(study.public_id), "n_pairs": study.items.rated().count()}


def _fill(attempt: Attempt, study: Study) -> None:
    wanted = fitting(study.mode, pairs_of_kinds(study.project, attempt.arguments["kinds"]))
    wanted = wanted.filter(pk__lte=attempt.arguments["last"])
    missing = wanted.exclude(items__study=study)
    n_total = wanted.count()
    n_held = n_total - missing.count()
    attempt.progress(n_held, n_total)
    add_items(
        study,
        missing,
        by=attempt.job.created_by,
        writing=lambda n_seen: attempt.writing(n_done=n_held + n_seen),
        at_once=attempt.arguments.get("at_once", PAIRS_AT_ONCE),
    )
