"""The only writer of releases.

A release is written as a draft, label by label, and becomes visible in the instant it gets its hash. From then on
nothing changes it: exports are made from its rows and give the same bytes each time.
"""

import hashlib
import hmac
import secrets
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.conf import settings
from django.db.models import Max
from django.db.models.functions import Now

from datasets.models.pictures import Pair
from datasets.models.projects import Project
from datasets.models.releases import FrozenRating, Label, Release
from scoring.measures.agreement import agreement_summary

AGREEMENT_SEED = 20240721


@dataclass(frozen=True)
class ReleasedRating:
    annotator: str
    score: int
    seconds: float | None
    position: int | None
    is_late: bool
    n_revisions: int


@dataclass(frozen=True)
class ReleasedPair:
    pair: Pair
    ratings: list[ReleasedRating]
    corrected: float | None
    corrected_se: float | None


def begin_release(
    project: Project,
    *,
    slug: str,
    title: str,
    mode: str,
    simulated: bool,
    origins: dict[str, Any],
    counting_rule: str,
) -> Release:
    """A draft under the next version number. Call it in a transaction."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # two freezes at once would take the same number
    last = project.releases.filter(slug=slug).aggregate(last=Max("version", default=0))["last"]
    return Release.objects.create(
        project=project,
        slug=slug,
        version=last + 1,
        title=title,
        mode=mode,
        simulated=simulated,
        origins=origins,
        counting_rule=counting_rule,
        pseudonym_key=secrets.token_hex(16),
    )


def pseudonym(release: Release, person: str) -> str:
    """A name for this person in this release only. Without PSEUDONYM_KEY nobody can join the names of two releases."""
    message = f"{release.pseudonym_key}:{person}".encode()
    return "R-" + hmac.new(settings.PSEUDONYM_KEY.encode(), message, hashlib.sha256).hexdigest()[:12]


def write_labels(release: Release, pairs: Iterable[ReleasedPair], *, first_number: int) -> None:
    """Add labels and their ratings to a draft. Call it in a transaction."""
    released = list(pairs)
    labels = Label.objects.bulk_create(
        [_label(release, each, number) for number, each in enumerate(released, start=first_number)]
    )
    FrozenRating.objects.bulk_create(
        [
            FrozenRating(
                label=label,
                annotator=rating.annotator,
                score=rating.score,
                # Tenths of a second are plenty for research and tell less of a person.
                seconds=None if rating.seconds is None else round(rating.seconds, 1),
                position=rating.position,
                is_late=rating.is_late,
                n_revisions=rating.n_revisions,
            )
            for label, each in zip(labels, released, strict=True)
            for rating in each.ratings
        ]
    )


def _label(release: Release, released: ReleasedPair, number: int) -> Label:
    pair, scores = released.pair, [rating.score for rating in released.ratings]
    return Label(
        release=release,
        number=number,
        original=pair.original,
        anonymized=pair.anonymized,
        original_sha256=pair.original.display_sha256 if pair.original and release.mode == "HA2" else "",
        anonymized_sha256=pair.anonymized.display_sha256,
        group=pair.group,
        source=pair.source.name,
        method=pair.method,
        scope=pair.scope,
        parameters=pair.parameters,
        n=len(scores),
        mean=statistics.fmean(scores),
        median=statistics.median(scores),
        std=statistics.stdev(scores) if len(scores) > 1 else None,
        corrected=released.corrected,
        corrected_se=released.corrected_se,
    )


def release_agreement(release: Release) -> dict[str, Any]:
    """Agreement among the released ratings, resampled by group (agreement.md)."""
    points = np.arange(int(release.scale_min), int(release.scale_max) + 1)
    rows = {number: i for i, number in enumerate(release.labels.values_list("number", flat=True))}
    groups = list(release.labels.values_list("group", flat=True))
    counts = np.zeros((len(rows), len(points)), dtype=np.int64)
    ratings = FrozenRating.objects.filter(label__release=release, occurrence=0)
    for number, score in ratings.values_list("label__number", "score").iterator(chunk_size=10_000):
        counts[rows[number], round(score - release.scale_min)] += 1
    return agreement_summary(counts, points, np.array(groups), seed=AGREEMENT_SEED)


def finish_release(release: Release, *, agreement: dict[str, Any], content_hash: str) -> None:
    """The draft becomes the release."""
    Release.objects.filter(pk=release.pk, frozen_at=None).update(
        agreement=agreement, content_hash=content_hash, frozen_at=Now()
    )
    release.refresh_from_db()


def discard_draft(release: Release) -> None:
    """Take away what an attempt left that did not come to its end. A frozen release is never touched."""
    if release.frozen_at:
        raise ValueError(f"{release} is frozen and cannot be discarded.")
    FrozenRating.objects.filter(label__release=release).delete()
    Label.objects.filter(release=release).delete()
    release.notices.all().delete()
    release.delete()
