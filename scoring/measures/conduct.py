"""How each annotator rated beside the others: bias, agreement, speed, runs and drift.

Every function takes parallel arrays, one entry per rating, with annotators and items as codes from 0 without gaps, and
answers per annotator. An annotator rates an item once; planned repeats are compared by `self_consistency`. What cannot
be answered is None (or nan in an array). Nothing here says what is good or bad: thresholds belong to whoever asks.
"""

from dataclasses import dataclass
from math import atanh, exp, sqrt, tanh

import numpy as np
from numpy.typing import ArrayLike

from scoring.measures.consensus import corrected_scores
from scoring.measures.correlation import spearman
from scoring.measures.means import spread_of_sums

Z = 1.959964  # two-sided 95 % of the normal distribution
FAST = 1 / 3  # of the study's median: below it an answer is very fast
HIDDEN_SECONDS = 1.0  # behind another tab, at least, for an answer to count as given with a hidden tab


@dataclass(frozen=True)
class Bias:
    """In score points, relative to the other annotators of the same component; `inconsistency` is a deviation.

    The intervals are normal approximations, that of the inconsistency on a logarithmic scale.
    """

    bias: float
    low: float
    high: float
    inconsistency: float
    inconsistency_low: float
    inconsistency_high: float


@dataclass(frozen=True)
class LeaveOneOut:
    """Spearman's rho of one annotator's scores with the mean of the others' on the `n` items they share.

    `rho` is None with `reason` (see correlation.py); the interval is Fisher's z with the deviation of Bonett and Wright
    (2000), None below ten items and where rho is 1 or -1.
    """

    rho: float | None
    low: float | None
    high: float | None
    n: int
    reason: str | None


@dataclass(frozen=True)
class Consistency:
    """Of an annotator with themselves: pairs of answers to the same item."""

    n: int
    mean_difference: float | None  # of absolute differences, in score points
    within_1: float | None  # share


@dataclass(frozen=True)
class Course:
    """The last third of a session against the first: in residuals from the others' mean, and in time."""

    n: int
    drift: float | None  # score points
    drift_se: float | None
    seconds_first: float | None  # medians
    seconds_last: float | None


def biases(item: np.ndarray, person: np.ndarray, score: np.ndarray) -> tuple[list[Bias] | None, str | None]:
    """Each annotator's bias and inconsistency (consensus.py), or None and the reason."""
    fitted = corrected_scores(item, person, score)
    if fitted.bias is None or fitted.inconsistency is None:
        return None, fitted.reason
    each = zip(fitted.bias, fitted.inconsistency, np.bincount(person), strict=True)
    return [_bias(float(bias), float(inconsistency), int(n)) for bias, inconsistency, n in each], None


def _bias(bias: float, inconsistency: float, n: int) -> Bias:
    around, factor = Z * inconsistency / sqrt(n), exp(Z / sqrt(2 * max(n - 1, 1)))
    return Bias(bias, bias - around, bias + around, inconsistency, inconsistency / factor, inconsistency * factor)


def means_of_others(item: np.ndarray, score: np.ndarray) -> np.ndarray:
    """For each rating, the mean of the other ratings of its item; nan where it is the only one."""
    n, total = np.bincount(item)[item], np.bincount(item, score)[item]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(n > 1, (total - score) / (n - 1), np.nan)


def leave_one_out(own: np.ndarray, others: np.ndarray) -> LeaveOneOut:
    """One annotator's scores against `means_of_others`, item by item."""
    shared = ~np.isnan(others)
    found = spearman(own[shared], others[shared])
    low, high = _rho_interval(found.value, found.n)
    return LeaveOneOut(found.value, low, high, found.n, found.reason)


def _rho_interval(rho: float | None, n: int) -> tuple[float | None, float | None]:
    if rho is None or n < 10 or abs(rho) >= 1:
        return None, None
    around = Z * sqrt((1 + rho**2 / 2) / (n - 3))
    return tanh(atanh(rho) - around), tanh(atanh(rho) + around)


def alphas_without(item: np.ndarray, person: np.ndarray, score: np.ndarray) -> tuple[float | None, np.ndarray]:
    """Krippendorff's alpha (interval) of all ratings, and without each annotator; nan or None where undefined.

    Exact and in one pass: leaving one rating out changes the sums of its own item alone.
    """
    n = np.bincount(item).astype(float)
    total, squares = np.bincount(item, score), np.bincount(item, score**2)
    whole = _sums(n, total, squares)
    all_of_it = whole.sum(axis=1)
    rest = _sums(n[item] - 1, total[item] - score, squares[item] - score**2)
    changes = rest - whole[:, item]
    without = np.stack([all_of_it[k] + np.bincount(person, changes[k]) for k in range(len(changes))])
    alpha = _alpha(all_of_it[:, None])[0]
    return None if np.isnan(alpha) else float(alpha), _alpha(without)


def _sums(n: np.ndarray, total: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Per item (columns) what alpha sums over items: observed disagreement, ratings, their sum and their squares."""
    pairable = n >= 2
    observed = np.where(pairable, 2 * (n * squares - total**2) / np.maximum(n - 1, 1), 0)
    return np.stack([observed, *(np.where(pairable, each, 0) for each in (n, total, squares))])


def _alpha(sums: np.ndarray) -> np.ndarray:
    observed, n, total, squares = sums
    expected = 2 * (n * squares - total**2)
    # Sums of whole numbers, so that no variation is 0 but for rounding.
    defined = expected > 1e-9 * np.maximum(n * squares, 1)
    return np.where(defined, 1 - (n - 1) * observed / np.where(defined, expected, 1), np.nan)


def self_consistency(first: ArrayLike, second: ArrayLike) -> Consistency:
    """Of parallel first and second answers to the same items."""
    apart = np.abs(np.asarray(first, dtype=float) - np.asarray(second, dtype=float))
    if not len(apart):
        return Consistency(0, None, None)
    return Consistency(len(apart), float(apart.mean()), float((apart <= 1).mean()))


def longest_run(score: ArrayLike) -> int:
    """How often the same score came one after the other, at most; of scores in the order in which they were given."""
    scores = np.asarray(score)
    if not len(scores):
        return 0
    starts = np.flatnonzero(np.append(True, scores[1:] != scores[:-1]))
    return int(np.diff(np.append(starts, len(scores))).max())


def entropy(score: ArrayLike) -> float:
    """Shannon's, in bits, of how often each score was given: 0 where all are equal, 3.32 for ten equally often."""
    _, n = np.unique(np.asarray(score), return_counts=True)
    share = n / n.sum()
    return float(-(share * np.log2(share)).sum()) + 0.0  # not -0.0


def course(residual: np.ndarray, seconds: np.ndarray) -> Course:
    """Of one annotator, in order of position: residuals from the others' mean and seconds, each nan where unknown."""
    known = residual[~np.isnan(residual)]
    timed = seconds[~np.isnan(seconds)]
    drift = drift_se = first_seconds = last_seconds = None
    if (third := len(known) // 3) >= 2:
        first, last = known[:third], known[-third:]
        drift = float(last.mean() - first.mean())
        drift_se = sqrt((first.var(ddof=1) + last.var(ddof=1)) / third)
    if third := len(timed) // 3:
        first_seconds, last_seconds = float(np.median(timed[:third])), float(np.median(timed[-third:]))
    return Course(len(known), drift, drift_se, first_seconds, last_seconds)


def pooled_residual(item: np.ndarray, score: np.ndarray) -> float | None:
    """The pooled deviation of ratings within items (means.py); None where no item has two."""
    found = spread_of_sums(np.bincount(item).astype(float), np.bincount(item, score), np.bincount(item, score**2))
    return found.sd if found else None
