"""A study becomes a release: what people had said by a moment in time, copied for good."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, islice
from operator import attrgetter
from typing import Any

import numpy as np
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone
from django.utils.text import slugify

from annotation.models.people import Decision, Participation
from annotation.models.ratings import Assignment, Revision
from annotation.models.studies import Item, Study, StudyText
from datasets.export import content_hash
from datasets.jobs import Attempt, JobFailed, handles, queue_job
from datasets.models.jobs import Job
from datasets.models.pictures import Source
from datasets.models.releases import Release
from datasets.releases import (
    ReleasedPair,
    ReleasedRating,
    begin_release,
    discard_draft,
    finish_release,
    pseudonym,
    release_agreement,
    write_labels,
)
from scoring.measures.consensus import corrected_scores

BATCH = 100  # labels per transaction
COUNTING_RULE = (
    "The newest answer to each main assignment, given before the study was frozen, late ones included (marked), of "
    "people who have not withdrawn and whom no decision sets aside."
)


class NothingToFreeze(Exception):
    """The study has no rating that would be released."""


@transaction.atomic
def request_freeze(study: Study, *, by: AbstractBaseUser | None = None) -> Job:
    """Freeze what is there now. Raises NothingToFreeze before any job is made.

    While a freeze of this study is under way that one is the answer: a second click makes no second release.
    """
    Study.objects.select_for_update().get(pk=study.pk)  # of two clicks, the second finds the first one's job
    begun = Job.objects.unfinished().filter(kind="freeze_study", project=study.project, arguments__study=study.pk)
    if job := begun.first():
        return job
    now = timezone.now()
    if not released_revisions(study, now).exists():
        raise NothingToFreeze("This study has no ratings yet; there is nothing to freeze.")
    return queue_job("freeze_study", study.project, by=by, study=study.pk, cutoff=now.isoformat())


def released_revisions(study: Study, cutoff: datetime) -> QuerySet[Revision]:
    """The answers that count at a moment: the newest revision of each main answer by then."""
    said = Revision.objects.filter(created_at__lte=cutoff)
    newer = said.filter(rating=OuterRef("rating"), number__gt=OuterRef("number"))
    return said.filter(
        ~Exists(newer),
        rating__assignment__item__study=study,
        rating__assignment__purpose=Assignment.Purpose.MAIN,
        rating__assignment__participation__withdrawn_at=None,
    ).exclude(rating__assignment__participation__in=set_aside(study))


def set_aside(study: Study) -> list[int]:
    """Participations whose latest decision on their use is no."""
    decisions = Decision.objects.filter(participation__study=study, kind=Decision.Kind.USE).order_by("decided_at", "pk")
    latest = dict(decisions.values_list("participation", "verdict"))
    return [participation for participation, is_used in latest.items() if not is_used]


@dataclass(frozen=True)
class _Said:
    """One answer that counts."""

    item: int
    person: int
    score: int
    seconds: float | None
    position: int
    is_late: bool
    n_revisions: int


@handles("freeze_study")
def freeze_study(attempt: Attempt) -> dict[str, Any]:
    """Write the release in short transactions; visible only when it is whole. A new attempt starts a new draft."""
    study = Study.objects.select_related("campaign__project").get(pk=attempt.arguments["study"])
    cutoff = datetime.fromisoformat(attempt.arguments["cutoff"])
    said = _said(study, cutoff)
    if not said:
        raise JobFailed("No rating is left to release: everybody has withdrawn or been set aside.")
    release = _draft(attempt, study, cutoff, said)
    n_labels = _write(attempt, release, said)
    agreement, content = release_agreement(release), content_hash(release)
    with attempt.writing(n_done=n_labels):
        finish_release(release, agreement=agreement, content_hash=content)
    return {"release": release.pk, "slug": release.slug, "version": release.version, "n_labels": n_labels}


def _said(study: Study, cutoff: datetime) -> list[_Said]:
    rows = released_revisions(study, cutoff).annotate(assignment=F("rating__assignment"))
    values = rows.order_by("rating__assignment__item__pair", "rating__assignment__participation").values_list(
        "rating__assignment__item",
        "rating__assignment__participation__annotator",
        "score",
        "seconds",
        "rating__assignment__position",
        "rating__is_late",
        "number",
    )
    return [_Said(*row) for row in values.iterator(chunk_size=10_000)]


def _draft(attempt: Attempt, study: Study, cutoff: datetime, said: list[_Said]) -> Release:
    name = f"{study.name} (simulated ratings)" if study.simulated else study.name
    with attempt.writing(n_total=len({each.item for each in said})):
        for left in _abandoned_drafts(attempt, study):
            discard_draft(left)
        return begin_release(
            study.project,
            slug=slugify(f"{study.campaign.slug}-{study.mode}"),
            title=name,
            mode=study.mode,
            simulated=study.simulated,
            origins=_origins(attempt, study, cutoff, said),
            counting_rule=COUNTING_RULE,
        )


def _abandoned_drafts(attempt: Attempt, study: Study) -> list[Release]:
    """What earlier attempts of this job left, and jobs that failed or were cancelled on the way."""
    drafts = Release.objects.filter(project=study.project, frozen_at=None)
    others = Job.objects.unfinished().filter(project=study.project).exclude(pk=attempt.job.pk)
    at_work = set(others.values_list("pk", flat=True))
    return [draft for draft in drafts if "job" in draft.origins and draft.origins["job"] not in at_work]


def _origins(attempt: Attempt, study: Study, cutoff: datetime, said: list[_Said]) -> dict[str, Any]:
    sources = Source.objects.filter(pairs__items__study=study).distinct().order_by("name")
    texts = StudyText.objects.filter(study=study).exclude(shown_at=None)
    return {
        "job": attempt.job.pk,
        "study": study.name,
        "study_id": study.public_id.hex,
        "campaign": study.campaign.name,
        "goal": study.goal,
        "cutoff": cutoff.isoformat(),
        "n_annotators": len({each.person for each in said}),
        "n_ratings": len(said),
        "n_set_aside": len(set_aside(study)),
        "n_withdrawn": Participation.objects.filter(study=study).exclude(withdrawn_at=None).count(),
        "sources": list(sources.values("name", "licence", "citation")),
        "texts": list(texts.values("kind", "language", "version", "sha256", "body")),
    }


def _write(attempt: Attempt, release: Release, said: list[_Said]) -> int:
    n_done = 0
    pairs = _released_pairs(release, said)
    while batch := list(islice(pairs, BATCH)):
        with attempt.writing(n_done=n_done + len(batch)):
            write_labels(release, batch, first_number=n_done + 1)
        n_done += len(batch)
    return n_done


def _released_pairs(release: Release, said: list[_Said]) -> Iterator[ReleasedPair]:
    codes, items = np.unique([each.item for each in said], return_inverse=True)
    _, people = np.unique([each.person for each in said], return_inverse=True)
    consensus = corrected_scores(items, people, np.array([each.score for each in said], dtype=float))
    place = {int(item): i for i, item in enumerate(codes)}
    by_item = ((item, list(answers)) for item, answers in groupby(said, key=attrgetter("item")))
    while batch := list(islice(by_item, BATCH)):
        rows = _items(item for item, _ in batch)
        for item, answers in batch:
            i = place[item]
            yield ReleasedPair(
                pair=rows[item].pair,
                ratings=[_released(release, answer) for answer in answers],
                corrected=float(consensus.score[i]) if consensus.se is not None else None,
                corrected_se=float(consensus.se[i]) if consensus.se is not None else None,
            )


def _items(ids: Iterable[int]) -> dict[int, Item]:
    return Item.objects.select_related("pair__original", "pair__anonymized", "pair__source").in_bulk(list(ids))


def _released(release: Release, answer: _Said) -> ReleasedRating:
    return ReleasedRating(
        annotator=pseudonym(release, f"annotator:{answer.person}"),
        score=answer.score,
        seconds=answer.seconds,
        position=answer.position,
        is_late=answer.is_late,
        n_revisions=answer.n_revisions,
    )
