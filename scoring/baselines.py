"""Classical metrics of a release's pairs: how far the anonymized picture is from its original, pixel by pixel."""

import hashlib
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Count, QuerySet

from datasets.files import media_path
from datasets.jobs import Attempt, JobFailed, handles, queue_job
from datasets.models.jobs import Job
from datasets.models.pictures import Image
from datasets.models.releases import Label, Release
from datasets.pictures import PictureRefused, open_display
from scoring.measures import pixels
from scoring.models import BaselineScore

LABELS_AT_ONCE = 10  # in one transaction; scoring one takes some tenths of a second
METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    BaselineScore.Metric.PSNR: pixels.psnr,
    BaselineScore.Metric.MSE: pixels.mse,
    BaselineScore.Metric.SSIM: pixels.ssim,
}
NO_ORIGINAL = "the pair has no original"
REMOVED = "a picture was removed"


def request_baselines(release: Release, *, by: AbstractBaseUser | None = None) -> Job:
    return queue_job("score_baselines", release.project, by=by, release=release.pk)


@handles("score_baselines", lane="train", in_closed_projects=True)
def score_baselines(attempt: Attempt) -> dict[str, Any]:
    """Score every pair of a release that has no scores yet."""
    release = Release.objects.frozen().get(pk=attempt.arguments["release"])
    return {"release": release.pk, "n_scored": score_labels(attempt, release.labels.all())}


def score_labels(attempt: Attempt, labels: QuerySet[Label]) -> int:
    """Score those of the labels that lack a score, in the job's short transactions; how many that were."""
    unscored = labels.annotate(n_scores=Count("baselines")).filter(n_scores__lt=len(METRICS))
    waiting = unscored.select_related("original", "anonymized").order_by("pk")
    n_total, n_done = waiting.count(), 0
    found = iter(list(waiting))
    while batch := list(islice(found, LABELS_AT_ONCE)):
        scores = []
        for label in batch:
            attempt.look()
            scores += _scores(label)
        n_done += len(batch)
        with attempt.writing(n_done=n_done, n_total=n_total):
            # Two comparisons on one release may score the same pair at once: they find the same.
            BaselineScore.objects.bulk_create(scores, ignore_conflicts=True)
    return n_done


def _scores(label: Label) -> list[BaselineScore]:
    if label.original is None:
        return [BaselineScore(label=label, metric=metric, reason=NO_ORIGINAL) for metric in METRICS]
    if label.is_removed:
        return [BaselineScore(label=label, metric=metric, reason=REMOVED) for metric in METRICS]
    original, anonymized = _pixels(label.original), _pixels(label.anonymized)
    return [_score(label, metric, original, anonymized) for metric in METRICS]


def _score(label: Label, metric: str, original: np.ndarray, anonymized: np.ndarray) -> BaselineScore:
    try:
        return BaselineScore(label=label, metric=metric, value=METRICS[metric](original, anonymized))
    except (pixels.SizesDiffer, pixels.TooSmall) as error:
        return BaselineScore(label=label, metric=metric, reason=str(error)[:80])


def _pixels(image: Image) -> np.ndarray:
    """The display picture, H x W x 3 uint8."""
    try:
        data = media_path(str(image.display.name)).read_bytes()
        if hashlib.sha256(data).hexdigest() != image.display_sha256:
            raise PictureRefused("it is not the file that was imported")
        return np.asarray(open_display(data))
    except (OSError, PictureRefused) as error:
        raise JobFailed(
            f"The file of picture {image.display_sha256} cannot be read ({error}). Restore it from a backup of the "
            "media folder, then try again."
        ) from error
