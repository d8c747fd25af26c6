"""Pairs for a study: put in at once where they are few, in the background where they are many.

The job's arguments say which kinds of pairs, never which pairs. Pairs that are in stay in, so that whoever takes the
job up again goes on where it stopped.
"""

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from annotation import studies
from annotation.models.studies import Campaign, Study
from datasets.jobs import Attempt, JobCancelled, JobFailed, handles, queue_job
from datasets.models.jobs import Job
from datasets.models.pictures import Pair
from datasets.models.projects import Project
from datasets.models.releases import Mode

AT_ONCE = studies.BATCH  # pairs, in one transaction of a fraction of a second
Kinds = Sequence[Sequence[str]]


def set_up_study(
    project: Project,
    *,
    campaign: Campaign | str,
    mode: str,
    name: str,
    kinds: Kinds = (),
    by: AbstractBaseUser | None = None,
    **settings: Any,
) -> tuple[Study, Job | None]:
    """A draft over the project's pairs of these kinds, in this campaign or a new one of this name.

    With the job that fills it, where there are too many to wait for: until that has ended nobody can open it. Else all
    is there at once, or nothing was made.
    """
    pairs = studies.pairs_of_kinds(project, kinds)
    studies.check_fit(mode, pairs)
    with transaction.atomic():
        chosen = studies.begin_campaign(project, campaign) if isinstance(campaign, str) else campaign
        study = studies.begin_study(chosen, mode=mode, name=name, **settings)
        if pairs.count() > AT_ONCE:
            return study, _request(study, kinds, by=by)
        studies.add_items(study, pairs)
    return study, None


def add_further_pairs(study: Study, *, by: AbstractBaseUser | None = None) -> int | Job:
    """How many were added, or the job that adds them. While one is under way that one is the answer."""
    with transaction.atomic():
        Study.objects.select_for_update(of=("self",), no_key=True).get(pk=study.pk)  # of two clicks, the second waits
        if job := studies.fillings(study).unfinished().first():
            return job
        if studies.further_pairs(study).count() > AT_ONCE:
            return _request(study, studies.kinds_held(study), by=by)
        return studies.add_items(study, studies.further_pairs(study), by=by)


def _request(study: Study, kinds: Kinds, *, by: AbstractBaseUser | None) -> Job:
    """For the pairs that are there now; what is imported later can be added later."""
    last = Pair.objects.filter(project=study.project).latest("pk").pk
    return queue_job(studies.FILL, study.project, by=by, study=study.pk, kinds=[[*kind] for kind in kinds], last=last)


@handles(studies.FILL)
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


DELETED = "The study was deleted before it was filled."


def _fill(attempt: Attempt, study: Study) -> None:
    wanted = studies.pairs_of_kinds(study.project, attempt.arguments["kinds"])
    wanted = wanted.filter(pk__lte=attempt.arguments["last"])
    if study.mode == Mode.HA2:
        wanted = wanted.exclude(original=None)
    missing = wanted.exclude(items__study=study)
    n_total = wanted.count()
    n_held = n_total - missing.count()
    attempt.progress(n_held, n_total)
    studies.add_items(
        study, missing, by=attempt.job.created_by, writing=lambda n_seen: attempt.writing(n_done=n_held + n_seen)
    )
