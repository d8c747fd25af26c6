"""Whether all annotators of a study can be compared: a check in the background, with a warning where they cannot.

Two annotators are comparable where a chain of shared pairs leads from one to the other. In a study that falls apart
into several such components, harsh annotators and poor pictures look the same (see scoring/measures/consensus.py).
"""

from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from typing import Any

import numpy as np
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import QuerySet, Sum
from django.utils import timezone

from annotation.models.people import Participation
from annotation.models.ratings import Assignment
from annotation.models.studies import Study
from datasets.jobs import Attempt, JobFailed, handles, queue_job, repeats
from datasets.models.jobs import Job
from scoring.measures.graph import Components

KIND = "check_connectivity"
BATCH = 20_000  # ratings in memory at a time
LOOK_EVERY = 60  # seconds
LEAST_PAUSE = timedelta(minutes=10)
PAUSE_PER_RUN = 50  # a large study is checked more rarely: a fiftieth of a worker's time at most
N_LISTED = 10  # components whose sizes are kept, the largest first


@transaction.atomic
def request_check(study: Study, *, by: AbstractBaseUser | None = None) -> Job:
    """Look at the study's graph in the background. One that is under way is the answer to a second wish."""
    Study.objects.select_for_update(no_key=True).get(pk=study.pk)  # two workers that look around at once
    return checks_of(study).unfinished().first() or queue_job(KIND, study.project, by=by, study=study.pk)


@repeats(every=LOOK_EVERY)
def request_due_checks() -> None:
    """For open studies with new answers since their last check, when that is long enough ago."""
    for study in Study.objects.filter(state=Study.State.OPEN).select_related("campaign__project"):
        if _is_due(study):
            request_check(study)


def _is_due(study: Study) -> bool:
    last = checks_of(study).first()
    n_answered = _n_answered(study)
    if last is None:
        return n_answered > 0
    if not last.is_finished or last.result.get("n_answered") == n_answered:
        return False
    begun, ended = last.started_at or last.created_at, last.finished_at or last.created_at
    return timezone.now() >= ended + max(LEAST_PAUSE, PAUSE_PER_RUN * (ended - begun))


def checks_of(study: Study) -> Any:
    """The latest first."""
    return Job.objects.filter(kind=KIND, project=study.campaign.project_id, arguments__study=study.pk)


def last_check(study: Study) -> dict[str, Any] | None:
    """What the last check found: when, and `components`, the number of annotators and pairs in each, largest first."""
    job = checks_of(study).filter(state=Job.State.DONE).first()
    return {**job.result, "checked_at": job.finished_at} if job else None


@handles(KIND)
def check_connectivity(attempt: Attempt) -> dict[str, Any]:
    study = Study.objects.filter(pk=attempt.arguments["study"]).select_related("campaign").first()
    if study is None:
        raise JobFailed("The study was deleted before it could be checked.")
    n_answered = _n_answered(study)  # before the ratings: whatever comes meanwhile is a reason to look again
    sizes = components(study, attempt=attempt)
    with attempt.writing():  # the latest one is enough to know
        checks_of(study).exclude(pk=attempt.job.pk).exclude(state__in=[Job.State.QUEUED, Job.State.RUNNING]).delete()
    return {"n_answered": n_answered, "n_components": len(sizes), "components": sizes[:N_LISTED]}


def _n_answered(study: Study) -> int:
    return study.participations.aggregate(n=Sum("n_answered", default=0))["n"]


def components(study: Study, *, attempt: Attempt | None = None) -> list[tuple[int, int]]:
    """How many annotators and pairs belong together, for each component of the main ratings; the largest first.

    Memory grows with annotators and pairs, not with ratings. Pairs without a rating and people without one are left
    out, as are people who have withdrawn.
    """
    people = _ids(Participation.objects.filter(study=study, withdrawn_at=None))
    items = _ids(study.items.all())
    if not len(people) or not len(items):
        return []
    graph, is_rated = Components(len(people) + len(items)), np.zeros(len(people) + len(items), dtype=bool)
    for person, item in _edges(study):
        if attempt:
            attempt.check()
        left, right = np.searchsorted(people, person), np.searchsorted(items, item)
        known = (people.take(left, mode="clip") == person) & (items.take(right, mode="clip") == item)
        left, right = left[known], right[known] + len(people)  # without those who came since
        is_rated[left] = is_rated[right] = True
        graph.join(left, right)
    _, code = np.unique(graph.root[is_rated], return_inverse=True)
    is_person = np.flatnonzero(is_rated) < len(people)
    n_people, n_items = np.bincount(code, is_person), np.bincount(code, ~is_person)
    sizes = zip(n_people.astype(int).tolist(), n_items.astype(int).tolist(), strict=True)
    return sorted(sizes, reverse=True)


def _ids(rows: QuerySet[Any]) -> np.ndarray:
    ids = rows.order_by("pk").values_list("pk", flat=True)
    return np.fromiter(ids.iterator(chunk_size=BATCH), dtype=np.int64)


def _edges(study: Study) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Who rated what, in batches of parallel arrays of ids."""
    said = Assignment.objects.filter(
        participation__study=study,
        participation__withdrawn_at=None,
        purpose=Assignment.Purpose.MAIN,
        answered_at__isnull=False,
    )
    rows = said.order_by().values_list("participation_id", "item_id").iterator(chunk_size=BATCH)
    while batch := list(islice(rows, BATCH)):
        pairs = np.array(batch, dtype=np.int64)
        yield pairs[:, 0], pairs[:, 1]
