"""The annotator-corrected score of an item: what is left when each annotator's bias and noise are taken out.

The model is that of ITU-T P.910 Annex E: a rating is the item's quality plus the annotator's bias plus noise of the
annotator's own inconsistency. Its likelihood is unbounded in the qualities: with three to eight ratings per item one
annotator's inconsistency falls to 0 and the "quality" becomes that annotator's votes. So the qualities are integrated
out here (marginal maximum likelihood by EM), with quality ~ N(mean, tau^2) and bias ~ N(0, lambda^2).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scoring.measures.graph import Components

MAX_ITERATIONS = 500
TOLERANCE = 1e-5  # of the ratings' standard deviation, on every bias and inconsistency
FLOOR = 1e-8  # of the ratings' variance, under every variance: perfect agreement must not divide by zero
PRIOR_RATINGS = 2  # an annotator's noise leans on the pooled noise as if by two more ratings


@dataclass(frozen=True, eq=False)
class Consensus:
    """Scores in the ratings' own units; `se`, `bias` and `inconsistency` are None where `reason` says why.

    no_pairable_values  no item was rated by two annotators
    single_item         bias and noise cannot be told apart on one item
    no_variation        all ratings are equal

    `score` is then the plain mean. `se` is the error of `score`, which is not pulled to the mean; the posterior's
    deviation, often printed beside it, would be too small by far where items hardly differ.
    `converged` is False where the data say too little for the fit to settle, as with two ratings per annotator.

    A bias is relative to the mean annotator of the same connected component of the annotator-item graph (`component`,
    one label per annotator): across components, harsh annotators and poor items look the same.
    """

    score: np.ndarray  # per item
    se: np.ndarray | None  # per item
    bias: np.ndarray | None  # per annotator, positive where they rate higher than the others
    inconsistency: np.ndarray | None  # per annotator, a standard deviation
    reason: str | None
    component: np.ndarray  # per annotator
    n_components: int
    converged: bool
    iterations: int

    @property
    def biases_are_comparable(self) -> bool:
        return self.n_components <= 1


def corrected_scores(
    item: ArrayLike, annotator: ArrayLike, score: ArrayLike, *, max_iterations: int = MAX_ITERATIONS
) -> Consensus:
    """Fit the model to ratings given as three parallel arrays; items and annotators are codes from 0 without gaps.

    What has not converged after `max_iterations` is returned as it is, and says so.
    """
    items, annotators = np.asarray(item, dtype=np.intp), np.asarray(annotator, dtype=np.intp)
    scores = np.asarray(score, dtype=np.float64)
    if not len(items) == len(annotators) == len(scores):
        raise ValueError(f"{len(items)} items, {len(annotators)} annotators and {len(scores)} scores are not parallel.")
    if not np.isfinite(scores).all():
        raise ValueError("a score is not a finite number; leave out what was not rated.")
    n_of_item, n_of_annotator = _ratings_per(items, "item"), _ratings_per(annotators, "annotator")
    component, n_components = _components(items, annotators, len(n_of_item), len(n_of_annotator))
    if reason := _why_undefined(items, annotators, scores):
        mean = np.bincount(items, scores) / n_of_item
        return Consensus(mean, None, None, None, reason, component, n_components, converged=True, iterations=0)
    return _fitted(items, annotators, scores, component, n_components, max_iterations)


def _fitted(
    item: np.ndarray,
    annotator: np.ndarray,
    score: np.ndarray,
    component: np.ndarray,
    n_components: int,
    max_iterations: int,
) -> Consensus:
    floor, step_allowed = FLOOR * score.var(), TOLERANCE * score.std()
    n_of_annotator = np.bincount(annotator)
    annotators_in = np.bincount(component)

    def centred(bias: np.ndarray) -> np.ndarray:
        return bias - (np.bincount(component, bias) / annotators_in)[component]

    quality = np.bincount(item, score) / np.bincount(item)
    mean, tau2 = quality.mean(), max(quality.var(), floor)
    residual = score - quality[item]
    bias = centred(np.bincount(annotator, residual) / n_of_annotator)
    lambda2 = max(bias.var(), floor)
    noise = np.full(len(n_of_annotator), max(residual.var(), floor))  # s^2, per annotator

    iterations, converged = 0, False
    while not converged and iterations < max_iterations:
        iterations += 1
        # E: the qualities' posterior, given biases and noise.
        total, precision = _weighted(item, annotator, score, bias, noise)
        variance = 1 / (1 / tau2 + precision)
        quality = variance * (mean / tau2 + total)
        # M: biases and noise, given that posterior. The variances that are added keep any s^2 from collapsing to 0.
        residual = score - quality[item]
        sums = np.bincount(annotator, residual)
        squares = np.bincount(annotator, residual**2 + variance[item])
        bias_variance = 1 / (n_of_annotator / noise + 1 / lambda2)
        old_bias, bias = bias, centred(bias_variance * sums / noise)
        squares += n_of_annotator * (bias**2 + bias_variance) - 2 * bias * sums
        pooled = squares.sum() / len(score)
        shrunk = (squares + PRIOR_RATINGS * pooled) / (n_of_annotator + PRIOR_RATINGS)
        old_noise, noise = noise, np.maximum(shrunk, floor)
        mean, tau2 = quality.mean(), max(quality.var() + variance.mean(), floor)
        lambda2 = max((bias**2 + bias_variance).mean(), floor)

        step = max(np.abs(bias - old_bias).max(), np.abs(np.sqrt(noise) - np.sqrt(old_noise)).max())
        converged = bool(step <= step_allowed)

    total, precision = _weighted(item, annotator, score, bias, noise)
    return Consensus(
        score=total / precision,  # without the prior's pull to the mean: an item with few ratings is not shrunk
        se=np.sqrt(1 / precision),
        bias=bias,
        inconsistency=np.sqrt(noise),
        reason=None,
        component=component,
        n_components=n_components,
        converged=converged,
        iterations=iterations,
    )


def _weighted(
    item: np.ndarray, annotator: np.ndarray, score: np.ndarray, bias: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Per item, the sum of (score - bias) / s^2 and the sum of 1 / s^2."""
    precision = (1 / noise)[annotator]
    return np.bincount(item, precision * (score - bias[annotator])), np.bincount(item, precision)


def _ratings_per(code: np.ndarray, name: str) -> np.ndarray:
    n = np.bincount(code)
    if not n.all():
        raise ValueError(f"{name} {int(n.argmin())} has no rating; number only those that have one, from 0.")
    return n


def _why_undefined(item: np.ndarray, annotator: np.ndarray, score: np.ndarray) -> str | None:
    if len(score) == 0:
        return "no_pairable_values"
    someone = np.empty(item.max() + 1, dtype=np.intp)
    someone[item] = annotator  # any one of those who rated it
    if (someone[item] == annotator).all():
        return "no_pairable_values"
    if item.max() == 0:
        return "single_item"
    return "no_variation" if score.min() == score.max() else None


def _components(item: np.ndarray, annotator: np.ndarray, n_items: int, n_annotators: int) -> tuple[np.ndarray, int]:
    """The connected component of each annotator, and how many there are."""
    graph = Components(n_annotators + n_items)
    graph.join(annotator, item + n_annotators)
    roots, component = np.unique(graph.root, return_inverse=True)
    return component[:n_annotators], len(roots)
