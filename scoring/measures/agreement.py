"""How far annotators agree: Krippendorff's alpha with its interval, and raw agreement.

Every function takes `counts`, items x scale points: how many annotators gave an item a value. Alpha depends on the
ratings through these counts alone, so one GROUP BY over the ratings is all it needs. What cannot be answered is None
and a reason:

no_pairable_values    no item has two ratings
no_variation          all ratings that can be paired are equal
negative_value_ratio  the ratio level needs a true zero, and a rating lies below it
single_unit           one group (or item) cannot be resampled
unvaried_resamples    more than 5 % of the resamples had no variation
"""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

import krippendorff
import numpy as np
from numpy.typing import ArrayLike

Level = Literal["nominal", "ordinal", "interval", "ratio"]

MAX_DROPPED = 0.05  # share of resamples; beyond it the percentiles describe only the lucky ones
CELLS_AT_ONCE = 2_000_000  # 16 MB an array


@dataclass(frozen=True)
class Alpha:
    """`value` is at most 1 and may be negative. Items with one rating count neither here nor in the marginals."""

    value: float | None
    reason: str | None
    n_items: int
    n_ratings: int


@dataclass(frozen=True)
class Interval:
    """A 95 % interval and all that is needed to draw it again. `dropped` of the `resamples` had no variation."""

    low: float | None
    high: float | None
    reason: str | None
    resamples: int
    dropped: int
    seed: int
    unit: Literal["group", "item"]


def krippendorff_alpha(counts: ArrayLike, values: ArrayLike, *, level: Level = "interval") -> Alpha:
    """Alpha of `counts` (items x values), or the reason why there is none."""
    pairable, points, _ = _pairable(counts, values)
    n_items, n_ratings = len(pairable), int(pairable.sum())
    if reason := _why_undefined(points, level):
        return Alpha(None, reason, n_items, n_ratings)
    if n_items == 1:  # expected from the very ratings observed: 0 by definition, free of rounding
        return Alpha(0.0, None, n_items, n_ratings)
    value = krippendorff.alpha(value_counts=pairable, value_domain=points, level_of_measurement=level)
    return Alpha(float(value), None, n_items, n_ratings)


def alpha_interval(
    counts: ArrayLike,
    values: ArrayLike,
    groups: ArrayLike | None,
    *,
    level: Level = "interval",
    resamples: int = 1000,
    seed: int,
    cells_at_once: int = CELLS_AT_ONCE,
) -> Interval:
    """Percentile bootstrap of alpha over groups (`groups`: one label per item), or over items where it is None.

    Versions of one original are rated alike, so resampling them one by one makes the interval too narrow.
    `cells_at_once` bounds the resamples x units held in memory (8 bytes each), and changes no figure.
    """
    unit: Literal["group", "item"] = "item" if groups is None else "group"
    pairable, points, is_pairable = _pairable(counts, values)
    reason = _why_undefined(points, level)
    if reason is None:
        sums, times = _units(pairable, None if groups is None else np.asarray(groups)[is_pairable])
        reason = "single_unit" if times.sum() == 1 else None
    if reason:
        return Interval(None, None, reason, resamples, 0, seed, unit)

    alphas = _alphas(_resampled(sums, times, resamples, seed, cells_at_once), points, level)
    dropped = resamples - len(alphas)
    if dropped > MAX_DROPPED * resamples:
        return Interval(None, None, "unvaried_resamples", resamples, dropped, seed, unit)
    low, high = np.percentile(alphas, [2.5, 97.5])
    return Interval(float(low), float(high), None, resamples, dropped, seed, unit)


def raw_agreement(counts: ArrayLike, values: ArrayLike, *, within: float = 1) -> float | None:
    """Share of all pairs of ratings of the same item that differ by at most `within`; None without a pair."""
    pairable, points, _ = _pairable(counts, values)
    n_pairs = (pairable.sum(axis=1) * (pairable.sum(axis=1) - 1)).sum()  # ordered pairs, here and below
    if n_pairs == 0:
        return None
    near = np.abs(points[:, None] - points) <= within + 1e-9  # 0.4 - 0.3 is a little more than 0.1
    n_near = (pairable * (pairable @ near)).sum() - pairable.sum()  # no rating is paired with itself
    return float(n_near / n_pairs)


def agreement_summary(
    counts: ArrayLike, values: ArrayLike, groups: ArrayLike | None, *, seed: int, resamples: int = 1000
) -> dict[str, Any]:
    """The figures a study or a release publishes, ready for JSON: numbers, strings and None.

    Alpha and raw agreement use the items with two ratings; `n_items` and `n_ratings` count all that were rated.
    """
    alphas = {level: krippendorff_alpha(counts, values, level=level) for level in ("interval", "ordinal", "nominal")}
    interval = alpha_interval(counts, values, groups, seed=seed, resamples=resamples)
    figures: dict[str, Any] = {level: {"alpha": a.value, "reason": a.reason} for level, a in alphas.items()}
    figures["interval"] |= {"low": interval.low, "high": interval.high, "ci_reason": interval.reason}
    n_per_item = np.asarray(counts, dtype=np.int64).sum(axis=1)
    return figures | {
        "raw_agreement_within_1": raw_agreement(counts, values, within=1),
        "n_items": int((n_per_item >= 1).sum()),
        "n_items_with_two": int((n_per_item >= 2).sum()),
        "n_ratings": int(n_per_item.sum()),
        "unit": interval.unit,
        "seed": seed,
        "resamples": resamples,
        "dropped": interval.dropped,
        "versions": {name: version(name) for name in ("numpy", "krippendorff")},
    }


def _pairable(counts: ArrayLike, values: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The items with two ratings, the scale points they use in rising order, and which items they are."""
    table, points = np.asarray(counts, dtype=np.int64), np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != len(np.unique(points)):
        raise ValueError(f"counts must be items x values, with one column for each of {points}; it has {table.shape}.")
    is_pairable = table.sum(axis=1) >= 2
    order = np.argsort(points)  # the ordinal level reads the columns from left to right
    used = order[table[is_pairable].any(axis=0)[order]]
    return table[is_pairable][:, used], points[used], is_pairable


def _why_undefined(points: np.ndarray, level: Level) -> str | None:
    if len(points) == 0:
        return "no_pairable_values"
    if len(points) == 1:
        return "no_variation"
    return "negative_value_ratio" if level == "ratio" and points[0] < 0 else None


def _units(counts: np.ndarray, groups: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """What is drawn in a resample: one row per unit, and how many units share the row.

    A row is all that alpha needs to know: the marginals n_v, then the coincidences of each pair of values a < b,
    sum c_a * c_b / (m - 1) over the unit's items. Rows add up. Items with equal counts share one row.
    """
    if groups is None:
        counts, times = np.unique(counts, axis=0, return_counts=True)
        unit_of = np.arange(len(counts))
    else:
        labels, unit_of = np.unique(groups, return_inverse=True)
        times = np.ones(len(labels), dtype=np.int64)
    shares = counts / (counts.sum(axis=1, keepdims=True) - 1)
    left, right = np.triu_indices(counts.shape[1], k=1)
    marginals = [np.bincount(unit_of, column) for column in counts.T]
    coincidences = [np.bincount(unit_of, counts[:, a] * shares[:, b]) for a, b in zip(left, right, strict=True)]
    return np.column_stack(marginals + coincidences), times


def _resampled(sums: np.ndarray, times: np.ndarray, resamples: int, seed: int, cells_at_once: int) -> np.ndarray:
    """Each resample's sum of the rows drawn, resamples x columns: weights (resamples x units) @ rows, in chunks."""
    rng = np.random.default_rng(seed)
    at_once = max(1, cells_at_once // len(times))
    sizes = [min(at_once, resamples - start) for start in range(0, resamples, at_once)]
    return np.concatenate([_weights(rng, times, size).astype(np.float64) @ sums for size in sizes])


def _weights(rng: np.random.Generator, times: np.ndarray, size: int) -> np.ndarray:
    """How often each row is drawn in each of `size` resamples, which draw as many units as there are."""
    n_units = int(times.sum())
    if n_units > len(times):
        return rng.multinomial(n_units, times / n_units, size=size)
    # No two units share a row: the same distribution, seven times faster than a multinomial at 40,000 units.
    drawn = rng.integers(n_units, size=(size, n_units)) + n_units * np.arange(size)[:, None]
    return np.bincount(drawn.ravel(), minlength=size * n_units).reshape(size, n_units)


def _alphas(sums: np.ndarray, points: np.ndarray, level: Level) -> np.ndarray:
    """Alpha of every resample that has variation: 1 - (N - 1) * D_o / D_e, both D over pairs of values a < b."""
    n_v, coincidences = sums[:, : len(points)], sums[:, len(points) :]
    left, right = np.triu_indices(len(points), k=1)
    apart = _squared_distances(n_v, points, level)
    observed = (coincidences * apart).sum(axis=1)
    expected = (n_v[:, left] * n_v[:, right] * apart).sum(axis=1)
    varied = expected > 0
    return 1 - (n_v.sum(axis=1)[varied] - 1) * observed[varied] / expected[varied]


def _squared_distances(n_v: np.ndarray, points: np.ndarray, level: Level) -> np.ndarray:
    """Distances of the pairs a < b, (1 or resamples) x pairs: only ordinal ones depend on the marginals."""
    left, right = np.triu_indices(len(points), k=1)
    place = np.cumsum(n_v, axis=1) - n_v / 2 if level == "ordinal" else points[None, :]
    a, b = place[:, left], place[:, right]
    if level == "nominal":
        return np.ones_like(a)
    if level == "ratio":
        return ((a - b) / (a + b)) ** 2
    return (a - b) ** 2
