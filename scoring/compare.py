"""A run's model held against people, beside classical metrics, a lookup table, and people against one another.

Everything is computed on the run's test part, which the training has never seen, and can be computed again from
`predictions.csv` (`prediction_lines`).
"""

import json
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import chain
from typing import Any

import numpy as np
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from datasets.batches import in_batches
from datasets.jobs import Attempt, JobFailed, handles, queue_job
from datasets.models.jobs import Job
from datasets.models.releases import Label
from datasets.tables import quoted_lines
from scoring.baselines import score_labels
from scoring.measures.correlation import Statistic, correlation_intervals
from scoring.measures.humans import CORRELATION, leave_one_out, split_half
from scoring.models import BaselineScore, Comparison, Prediction, TrainingRun

SEED = 20240721
RESAMPLES = 1000
ENOUGH_GROUPS = 30  # originals in the test part; with fewer an interval covers nearly everything
FEW_GROUPS = 10  # with fewer, resampling originals says nothing of how far a figure would move
COLUMNS = (
    "pair", "split", "group", "dataset", "scope", "method", "score_mean", "target", "prediction",
    "psnr", "mse", "ssim", "lookup", "ratings",
)  # fmt: skip
# What stands beside the model, in the page's order: column and name.
PREDICTORS = {
    "prediction": "PerceptAnon, this run",
    "lookup": "Training mean of source, scope and method",
    "psnr": "PSNR",
    "mse": "MSE",
    "ssim": "SSIM (Gaussian window of 11, K1 0.01, K2 0.03)",
}


@dataclass(frozen=True)
class Row:
    """One pair of a run: what people said, and what everything else says. Metrics are None where they say nothing."""

    label: Label
    split: str
    target: float
    prediction: float
    psnr: float | None
    mse: float | None
    ssim: float | None
    lookup: float
    ratings: dict[str, float]  # by annotator; of repeats the first

    @property
    def mean(self) -> float:
        return self.label.mean

    @property
    def off(self) -> float:
        """How far the prediction lies above people's mean."""
        return self.prediction - self.mean

    @property
    def kind(self) -> str:
        return f"{self.label.scope} {self.label.method}".strip()


# Rows ----------------------------------------------------------------------------------------------------------------


def rows_of(run: TrainingRun, *splits: str) -> Iterator[Row]:
    """The run's pairs in the order of labels.csv, of the given parts or of all, in bounded memory."""
    table = Lookup(run)
    found = run.predictions.select_related("label").prefetch_related("label__baselines", "label__ratings")
    if splits:
        found = found.filter(split__in=splits)
    for batch in in_batches(found, key="label__number", at_once=500):
        yield from (_row(prediction, table) for prediction in batch)


def _row(prediction: Prediction, table: "Lookup") -> Row:
    label = prediction.label
    scores = {score.metric: score.value for score in label.baselines.all()}
    first = {rating.annotator: rating.score for rating in label.ratings.all() if rating.occurrence == 0}
    return Row(
        label=label,
        split=prediction.split,
        target=prediction.target,
        prediction=prediction.score,
        lookup=table.score(label),
        ratings=first,
        **{metric: scores.get(metric) for metric in BaselineScore.Metric.values},
    )


class Lookup:
    """What a table that knows nothing of pixels would say: the training part's mean of source x scope x method.

    Where the training part has no such pair, its overall mean. A network that is not better than this has learnt which
    method was used, and nothing of the picture.
    """

    def __init__(self, run: TrainingRun) -> None:
        means = defaultdict(list)
        trained = run.predictions.filter(split="train").order_by("label__number")
        for *cell, mean in trained.values_list("label__source", "label__scope", "label__method", "label__mean"):
            means[tuple(cell)].append(mean)
        self.means = {cell: statistics.fmean(values) for cell, values in means.items()}
        self.overall = statistics.fmean(chain.from_iterable(means.values()))

    def score(self, label: Label) -> float:
        return self.means.get((label.source, label.scope, label.method), self.overall)


def prediction_lines(run: TrainingRun) -> Iterator[str]:
    """predictions.csv: every pair of the run, numbers in full so that all figures can be computed again."""
    return quoted_lines(COLUMNS, map(_cells, rows_of(run)))


def _cells(row: Row) -> tuple[Any, ...]:
    label = row.label
    numbers = (row.mean, row.target, row.prediction, row.psnr, row.mse, row.ssim, row.lookup)
    return (
        label.pair,
        row.split,
        label.public_group,
        label.source,
        label.scope,
        label.method,
        *numbers,
        json.dumps(row.ratings, sort_keys=True),
    )


# Figures -------------------------------------------------------------------------------------------------------------


@transaction.atomic
def request_comparison(run: TrainingRun, *, by: AbstractBaseUser | None = None) -> Job:
    """The job that compares: the one under way if there is one, else a new one."""
    TrainingRun.objects.select_for_update(of=("self",), no_key=True).get(pk=run.pk)  # of two clicks one is enough
    begun = Job.objects.unfinished().filter(kind="compare_run", project=run.project, arguments__run=run.pk)
    return begun.first() or queue_job("compare_run", run.project, by=by, run=run.pk)


# Not in the lane train: it would wait there until the next training has ended.
@handles("compare_run", in_closed_projects=True)
def compare_run(attempt: Attempt) -> dict[str, Any]:
    """Score the test part's pairs by the classical metrics where that was not done yet, then compare."""
    run = TrainingRun.objects.with_lineage().get(pk=attempt.arguments["run"])
    if not hasattr(run, "checkpoint"):
        raise JobFailed("This run has no model to compare; it must be done first.")
    score_labels(attempt, Label.objects.filter(pk__in=run.predictions.filter(split="test").values("label")))
    found = figures(list(rows_of(run, "test")), has_classes=run.recipe["target"] != "mean")
    with attempt.writing():
        Comparison.objects.update_or_create(run=run, defaults={"figures": found})
    return {"run": run.pk}


def figures(rows: Sequence[Row], *, has_classes: bool) -> dict[str, Any]:
    """All that the comparison page shows, ready for JSON: numbers, strings and None with a reason."""
    groups = {row.label.public_group for row in rows}
    by_kind = defaultdict(list)
    for row in rows:
        by_kind[row.kind].append(row)
    return {
        "n_pairs": len(rows),
        "n_groups": len(groups),
        "is_too_small": len(groups) < ENOUGH_GROUPS,
        "enough_groups": ENOUGH_GROUPS,
        **_held_against_people(rows, has_classes),
        "by_kind": [
            {"kind": kind, "n_pairs": len(of_kind), **_held_against_people(of_kind, has_classes)}
            for kind, of_kind in sorted(by_kind.items())
        ],
        "seed": SEED,
        "resamples": RESAMPLES,
        "versions": {name: version(name) for name in ("numpy", "perceptanon-studio")},
    }


def _held_against_people(rows: Sequence[Row], has_classes: bool) -> dict[str, Any]:
    predictors = [_predictor(rows, column, name) for column, name in PREDICTORS.items()]
    if has_classes:  # then it is judged by its own target too, as published
        own = _predictor(rows, "prediction", "PerceptAnon, this run, against the classes it learnt", against="target")
        predictors.insert(1, own)
    return {"predictors": predictors, "people": {name: _people(rows, name) for name in CORRELATION}}


def _predictor(rows: Sequence[Row], column: str, name: str, *, against: str = "mean") -> dict[str, Any]:
    """One predictor's correlations with the human mean, on the rows where it says anything."""
    usable = [row for row in rows if getattr(row, column) is not None]
    x = np.array([getattr(row, column) for row in usable], dtype=np.float64)
    y = np.array([getattr(row, against) for row in usable], dtype=np.float64)
    found: dict[str, Any] = {"column": column, "against": against, "name": name, "n": len(usable)}
    intervals = _intervals(x, y, np.array([row.label.public_group for row in usable]))
    for statistic, correlation in CORRELATION.items():
        value = correlation(x, y)
        found[statistic] = {"value": value.value, "reason": value.reason, **intervals[statistic]}
    return found


def _intervals(x: np.ndarray, y: np.ndarray, groups: np.ndarray) -> dict[str, dict[str, Any]]:
    if len(np.unique(groups)) < FEW_GROUPS:
        return {statistic: {"low": None, "high": None, "ci_reason": "few_groups"} for statistic in CORRELATION}
    intervals = correlation_intervals(x, y, groups, seed=SEED, resamples=RESAMPLES)
    return {
        statistic: {"low": interval.low, "high": interval.high, "ci_reason": interval.reason}
        for statistic, interval in intervals.items()
    }


def _people(rows: Sequence[Row], statistic: Statistic) -> dict[str, Any]:
    """One person against the mean of the others, the model against those same means, and half against half."""
    ratings = [(i, who, score) for i, row in enumerate(rows) for who, score in sorted(row.ratings.items())]
    item, annotator, score = (np.array(column) for column in zip(*ratings, strict=True))
    model = np.array([row.prediction for row in rows])
    alone = leave_one_out(item, annotator, score, model=model, statistic=statistic)
    halves = split_half(item, annotator, score, seed=SEED, statistic=statistic)
    return {"leave_one_out": asdict(alone), "split_half": asdict(halves)}
