"""The human reference: how well people predict one another, to stand beside a model's figures on the same items.

Ratings are three parallel arrays: `item` (codes from 0, the places in a model's predictions), `annotator` (codes or
labels) and `score`. Nobody rates an item twice here: of repeated ratings the first counts, and the caller leaves out
the others. What cannot be answered is None and a reason:

no_pairable_values  no item has two ratings
too_few_rows        no annotator shares MIN_SHARED items with others; or fewer items than that have two ratings
no_variation        a column was constant wherever a correlation was tried
unvaried_splits     more than 5 % of the splits had a constant half
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scoring.measures.agreement import MAX_DROPPED
from scoring.measures.correlation import Correlation, Statistic, kendall, spearman

MIN_SHARED = 3  # items: of two items any correlation is 1, -1 or undefined
DECIMALS = 9  # kept of a mean score, so that equal means are ties however they were added up

CORRELATION: dict[Statistic, Callable[[ArrayLike, ArrayLike], Correlation]] = {"spearman": spearman, "kendall": kendall}


@dataclass(frozen=True)
class Figure:
    """The mean correlation over `n_annotators`, from their `n_rows` ratings; `n_left_out` had no correlation."""

    value: float | None
    reason: str | None
    n_annotators: int
    n_left_out: int
    n_rows: int


@dataclass(frozen=True)
class LeaveOneOut:
    """`human`: each annotator against the mean of the others. `model`: its predictions against those same means.

    The model's figure is over annotators where both are defined, at most those of the human one.
    """

    statistic: Statistic
    human: Figure
    model: Figure | None


@dataclass(frozen=True)
class SplitHalf:
    """The mean correlation of the two halves' means over `n_items`; `dropped` of the `splits` had a constant half.

    `stepped_up` is 2r / (1 + r) of that mean (Spearman-Brown): what all raters together would reach against as many
    others. It is meant for Pearson's r, an approximation for ranks, and None where r is -1.
    """

    statistic: Statistic
    value: float | None
    stepped_up: float | None
    reason: str | None
    n_items: int
    splits: int
    dropped: int
    seed: int


@dataclass(frozen=True, eq=False)
class _Shared:
    """The ratings of items that two or more people rated, in the order given, and how many of each item."""

    item: np.ndarray
    annotator: np.ndarray
    score: np.ndarray
    n_of_item: np.ndarray


def leave_one_out(
    item: ArrayLike,
    annotator: ArrayLike,
    score: ArrayLike,
    *,
    model: ArrayLike | None = None,
    statistic: Statistic = "spearman",
) -> LeaveOneOut:
    """Each annotator against the mean of the others on the items they share, averaged over annotators.

    `model`: a prediction per item, rising with the score. Raises ValueError where a rating or a prediction that is
    needed is missing or NaN.
    """
    shared = _shared_ratings(item, annotator, score)
    total = np.bincount(shared.item, shared.score, minlength=len(shared.n_of_item))[shared.item]
    others = np.round((total - shared.score) / (shared.n_of_item[shared.item] - 1), DECIMALS)
    predicted = None if model is None else _predicted(model, shared)

    humans, models = [], []
    n_annotators = len(np.unique(np.asarray(annotator)))
    for rows in _rows_by_annotator(shared.annotator):
        if len(rows) < MIN_SHARED:
            continue
        humans.append(CORRELATION[statistic](shared.score[rows], others[rows]))
        if predicted is not None and humans[-1].value is not None:
            models.append(CORRELATION[statistic](predicted[rows], others[rows]))

    none = ("no_variation" if humans else "too_few_rows") if len(shared.item) else "no_pairable_values"
    human = _mean_figure(humans, n_annotators, none)
    return LeaveOneOut(statistic, human, None if predicted is None else _mean_figure(models, n_annotators, none))


def split_half(
    item: ArrayLike,
    annotator: ArrayLike,
    score: ArrayLike,
    *,
    seed: int,
    splits: int = 100,
    statistic: Statistic = "spearman",
) -> SplitHalf:
    """Split each item's raters at random into two halves, correlate the halves' means over items; mean over splits.

    Of the ratings of items with two or more, a split draws from `default_rng(seed)` first `random(n_ratings)`, a key
    per rating in the order given, then `random(n_items)`, a coin per item in the order of its code. The k raters of
    an item with the lowest keys, k = n // 2, are one half and the rest the other; at odd n a coin under 0.5 makes it
    k + 1.
    """
    shared = _shared_ratings(item, annotator, score)
    items, code = np.unique(shared.item, return_inverse=True)
    reason = _too_few(len(items))
    values = [] if reason else _split_correlations(code, shared.score, splits, seed, CORRELATION[statistic])
    dropped = 0 if reason else splits - len(values)
    if reason is None and not values:
        reason = "no_variation"
    elif dropped > MAX_DROPPED * splits:
        reason = "unvaried_splits"
    if reason:
        return SplitHalf(statistic, None, None, reason, len(items), splits, dropped, seed)
    mean = float(np.mean(values))
    stepped_up = 2 * mean / (1 + mean) if mean > -1 else None
    return SplitHalf(statistic, mean, stepped_up, None, len(items), splits, dropped, seed)


def _split_correlations(
    item: np.ndarray,
    score: np.ndarray,
    splits: int,
    seed: int,
    correlation: Callable[[ArrayLike, ArrayLike], Correlation],
) -> list[float]:
    """The correlation of every split that has variation. Items are codes from 0, each with two ratings or more."""
    rng = np.random.default_rng(seed)
    n_of_item, total = np.bincount(item), np.bincount(item, score)
    rank_in_item = np.arange(len(item)) - np.repeat(np.cumsum(n_of_item) - n_of_item, n_of_item)
    values = []
    for _ in range(splits):
        key, coin = rng.random(len(item)), rng.random(len(n_of_item))
        n_in_half = n_of_item // 2 + (n_of_item % 2) * (coin < 0.5)
        order = np.lexsort((key, item))
        in_half = order[rank_in_item < n_in_half[item[order]]]
        half = np.bincount(item[in_half], score[in_half])
        means = half / n_in_half, (total - half) / (n_of_item - n_in_half)
        value = correlation(*np.round(means, DECIMALS)).value
        if value is not None:
            values.append(value)
    return values


def _mean_figure(correlations: list[Correlation], n_annotators: int, none: str) -> Figure:
    defined = [(c.value, c.n) for c in correlations if c.value is not None]
    if not defined:
        return Figure(None, none, 0, n_annotators, 0)
    values, rows = zip(*defined, strict=True)
    return Figure(float(np.mean(values)), None, len(values), n_annotators - len(values), sum(rows))


def _too_few(n_items: int) -> str | None:
    if n_items == 0:
        return "no_pairable_values"
    return "too_few_rows" if n_items < MIN_SHARED else None


def _shared_ratings(item: ArrayLike, annotator: ArrayLike, score: ArrayLike) -> _Shared:
    items, scores = np.asarray(item, dtype=np.intp), np.asarray(score, dtype=np.float64)
    annotators = np.unique(np.asarray(annotator), return_inverse=True)[1]
    if not len(items) == len(annotators) == len(scores):
        raise ValueError(f"{len(items)} items, {len(annotators)} annotators and {len(scores)} scores are not parallel.")
    if not np.isfinite(scores).all():
        raise ValueError("a score is not a finite number; leave out what was not rated.")
    pairs, times = np.unique(np.stack([items, annotators]), axis=1, return_counts=True)
    if (times > 1).any():
        twice = pairs[0, times.argmax()]
        raise ValueError(f"item {twice} has two ratings by one annotator; pass only the first.")
    n_of_item = np.bincount(items)
    kept = n_of_item[items] >= 2
    return _Shared(items[kept], annotators[kept], scores[kept], n_of_item)


def _predicted(model: ArrayLike, shared: _Shared) -> np.ndarray:
    """The prediction beside each rating."""
    of_item, n_items = np.asarray(model, dtype=np.float64), len(shared.n_of_item)
    if of_item.ndim != 1 or len(of_item) < n_items:
        raise ValueError(
            f"{of_item.size} predictions for {n_items} items; give one per item, in the order of its code."
        )
    if np.isnan(of_item[shared.item]).any():
        raise ValueError(
            "a prediction is NaN; leave its item out of the ratings, so that people are judged without it too."
        )
    return of_item[shared.item]


def _rows_by_annotator(annotator: np.ndarray) -> list[np.ndarray]:
    order = np.argsort(annotator, kind="stable")
    starts = np.flatnonzero(np.diff(annotator[order])) + 1
    return np.split(order, starts) if len(order) else []
