"""What workers look at unasked in studies that get answers: each kind of look is a job whose result stays.

Only the latest look of a kind is kept. A large study is looked at more rarely, so that a worker has time for the rest.
"""

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Q, Sum
from django.utils import timezone

from annotation.models.studies import Study
from datasets.jobs import Attempt, JobFailed, queue_job
from datasets.models.jobs import Job

LOOK_EVERY = 60  # seconds
LEAST_PAUSE = timedelta(minutes=10)
PAUSE_PER_RUN = 50  # a fiftieth of a worker's time at most
AFTER_CLOSING = timedelta(days=1)  # for late answers


@transaction.atomic
def request_look(study: Study, kind: str, *, by: AbstractBaseUser | None = None) -> Job:
    """Look in the background. A look that is under way is the answer to a second wish."""
    Study.objects.select_for_update(no_key=True).get(pk=study.pk)  # two workers that look around at once
    return looks_of(study, kind).unfinished().first() or queue_job(kind, study.project, by=by, study=study.pk)


def request_due_looks(kind: str) -> None:
    """At studies with new answers since their last look, when that is long enough ago."""
    just_closed = Q(state=Study.State.CLOSED, closed_at__gt=timezone.now() - AFTER_CLOSING)
    studies = Study.objects.filter(Q(state=Study.State.OPEN) | just_closed)
    for study in studies.select_related("campaign__project"):
        if _is_due(study, kind):
            request_look(study, kind)


def _is_due(study: Study, kind: str) -> bool:
    last = looks_of(study, kind).first()
    n = n_answered(study)
    if last is None:
        return n > 0
    if not last.is_finished or last.result.get("n_answered") == n:
        return False
    begun, ended = last.started_at or last.created_at, last.finished_at or last.created_at
    return timezone.now() >= ended + max(LEAST_PAUSE, PAUSE_PER_RUN * (ended - begun))


def looks_of(study: Study, kind: str) -> Any:
    """The latest first."""
    return Job.objects.filter(kind=kind, project=study.campaign.project_id, arguments__study=study.pk)


def last_look(study: Study, kind: str) -> dict[str, Any] | None:
    """What the last one found, and `looked_at`."""
    job = looks_of(study, kind).filter(state=Job.State.DONE).first()
    return {**job.result, "looked_at": job.finished_at} if job else None


def n_answered(study: Study) -> int:
    """Ask before reading the answers: whatever comes meanwhile is a reason to look again."""
    return study.participations.aggregate(n=Sum("n_answered", default=0))["n"]


def study_of(attempt: Attempt) -> Study:
    study = Study.objects.filter(pk=attempt.arguments["study"]).select_related("campaign__project").first()
    if study is None:
        raise JobFailed("The study was deleted before it could be looked at.")
    return study


def forget_earlier(attempt: Attempt, study: Study) -> None:
    """Called while writing: the latest look is enough to know."""
    others = looks_of(study, attempt.job.kind).exclude(pk=attempt.job.pk)
    others.exclude(state__in=[Job.State.QUEUED, Job.State.RUNNING]).delete()
