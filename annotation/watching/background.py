"""What workers check unasked in studies that get answers: each check of a study is a job whose result stays.

Only the latest check of a kind is kept. A large study is checked more rarely, so that a worker has time for the rest.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Q, Sum
from django.urls import reverse
from django.utils import timezone

from annotation.models.studies import Study
from datasets.jobs import Attempt, JobFailed, handles, leads_to, queue_job, repeats
from datasets.models.jobs import Job

CHECK_EVERY = 60  # seconds
LEAST_PAUSE = timedelta(minutes=10)
PAUSE_PER_RUN = 50  # a fiftieth of a worker's time at most
AFTER_CLOSING = timedelta(days=1)  # for late answers

Check = Callable[[Attempt, Study], dict[str, Any]]
kinds: list[str] = []  # of checks; each is a kind of job


def checks_studies(kind: str) -> Callable[[Check], Check]:
    """Register what finds something out about a study; it returns what is to be known until the next check."""

    def register(check: Check) -> Check:
        @handles(kind, in_closed_projects=True)
        def job(attempt: Attempt) -> dict[str, Any]:
            study = _study_of(attempt)
            n = _n_answered(study)  # before the answers are read: whatever comes meanwhile is a reason to check again
            found = check(attempt, study)
            with attempt.writing():
                _forget_earlier(attempt, study)
            return {"n_answered": n, **found}

        kinds.append(kind)
        leads_to(kind)(_page_of)
        return check

    return register


def _page_of(job: Job) -> tuple[str, str] | None:
    """Where what a check found is shown."""
    study = Study.objects.filter(pk=job.arguments["study"]).first()
    return ("To what was found", reverse("annotation:quality", args=[study.public_id])) if study else None


@transaction.atomic
def request_check(study: Study, kind: str, *, by: AbstractBaseUser | None = None) -> Job:
    """Check in the background. A check that is under way is the answer to a second wish."""
    Study.objects.select_for_update(no_key=True).get(pk=study.pk)  # two workers that find it due at once
    return checks_of(study, kind).unfinished().first() or queue_job(kind, study.project, by=by, study=study.pk)


@repeats(every=CHECK_EVERY)
def request_due_checks() -> None:
    """Of studies with new answers since their last check, when that is long enough ago."""
    just_closed = Q(state=Study.State.CLOSED, closed_at__gt=timezone.now() - AFTER_CLOSING)
    studies = Study.objects.filter(Q(state=Study.State.OPEN) | just_closed)
    for study in studies.select_related("campaign__project"):
        for kind in kinds:
            if _is_due(study, kind):
                request_check(study, kind)


def _is_due(study: Study, kind: str) -> bool:
    last = checks_of(study, kind).first()
    n = _n_answered(study)
    if last is None:
        return n > 0
    if not last.is_finished or last.result.get("n_answered") == n:
        return False
    begun, ended = last.started_at or last.created_at, last.finished_at or last.created_at
    return timezone.now() >= ended + max(LEAST_PAUSE, PAUSE_PER_RUN * (ended - begun))


def checks_of(study: Study, kind: str) -> Any:
    """The latest first."""
    return Job.objects.filter(kind=kind, project=study.campaign.project_id, arguments__study=study.pk)


def last_check(study: Study, kind: str) -> dict[str, Any] | None:
    """What the last one found, and `checked_at`."""
    job = checks_of(study, kind).filter(state=Job.State.DONE).first()
    return {**job.result, "checked_at": job.finished_at} if job else None


def _n_answered(study: Study) -> int:
    return study.participations.aggregate(n=Sum("n_answered", default=0))["n"]


def _study_of(attempt: Attempt) -> Study:
    study = Study.objects.filter(pk=attempt.arguments["study"]).select_related("campaign__project").first()
    if study is None:
        raise JobFailed("The study was deleted before it could be looked at.")
    return study


def _forget_earlier(attempt: Attempt, study: Study) -> None:
    """Called while writing: the latest check is enough to know."""
    others = checks_of(study, attempt.job.kind).exclude(pk=attempt.job.pk)
    others.exclude(state__in=[Job.State.QUEUED, Job.State.RUNNING]).delete()
