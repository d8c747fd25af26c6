"""What the mean of a few ratings is worth: its 95 % interval, its reliability, and the spread that both rest on."""

from dataclasses import dataclass
from functools import cache
from math import cos, exp, lgamma, pi, sin, sqrt, tan

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Spread:
    """How far ratings of one item lie apart, over all items with two ratings.

    `sd` is the pooled residual: the root of the mean square within items, the annotators' biases included.
    `reliability` is that of one rating, ICC(1) for unequal numbers; None where fewer than two items or no variation
    define it. It may be negative, and is shown as it is.
    """

    sd: float
    reliability: float | None
    n_items: int
    n_ratings: int


def spread(counts: ArrayLike, values: ArrayLike) -> Spread | None:
    """Of `counts` (items x values: how many gave an item a value). None where no item has two ratings."""
    table, points = np.asarray(counts, dtype=np.float64), np.asarray(values, dtype=np.float64)
    return spread_of_sums(table.sum(axis=1), table @ points, table @ points**2)


def spread_of_sums(n: np.ndarray, total: np.ndarray, squares: np.ndarray) -> Spread | None:
    """The same from each item's number of ratings, their sum, and the sum of their squares."""
    pairable = n >= 2
    n, total, squares = n[pairable], total[pairable], squares[pairable]
    n_items, n_ratings = len(n), n.sum()
    if n_items == 0:
        return None
    within = max(float((squares - total**2 / n).sum() / (n_ratings - n_items)), 0.0)  # -1e-15 where all agree
    reliability = _reliability(n, total, within) if n_items > 1 else None
    return Spread(sqrt(within), reliability, n_items, int(n_ratings))


def _reliability(n: np.ndarray, total: np.ndarray, within: float) -> float | None:
    """ICC(1) = (MSB - MSW) / (MSB + (k0 - 1) MSW), with k0 = (N - sum n^2 / N) / (items - 1)."""
    n_ratings = n.sum()
    between = (n * (total / n - total.sum() / n_ratings) ** 2).sum() / (len(n) - 1)
    k0 = (n_ratings - (n**2).sum() / n_ratings) / (len(n) - 1)
    below = between + (k0 - 1) * within
    return float((between - within) / below) if below > 0 else None


def reliability_of_mean(reliability: float, n: int) -> float:
    """That of the mean of `n` ratings, where one has this reliability (Spearman-Brown)."""
    return n * reliability / (1 + (n - 1) * reliability)


def half_width(sd: float, n: int, *, df: int | None = None) -> float:
    """Of the 95 % interval of a mean of `n` ratings: Student's t with `df` degrees of freedom, n - 1 unless given."""
    return t_quantile(n - 1 if df is None else df) * sd / sqrt(n)


def expected_width(sd: float, n: int) -> float:
    """Of the 95 % t interval that `n` normal ratings of true deviation `sd` will have on average.

    Small samples show a smaller deviation than the true one, by the factor c4(n), and pay for it in t.
    """
    if n < 2:
        raise ValueError("one rating has no interval; two are the fewest.")
    c4 = sqrt(2 / (n - 1)) * exp(lgamma(n / 2) - lgamma((n - 1) / 2))
    return 2 * half_width(c4 * sd, n)


LARGE = 1000  # degrees of freedom, from which t differs from the normal by less than 0.003


@cache
def t_quantile(df: int, *, level: float = 0.95) -> float:
    """The two-sided quantile of Student's t: 12.706 for df = 1, 2.365 for df = 7, 1.960 in the limit.

    By bisection of the closed form for whole degrees of freedom (Abramowitz & Stegun 26.7.3 and 26.7.4).
    """
    if df < 1:
        raise ValueError(f"Student's t has at least one degree of freedom, not {df}.")
    df = min(df, LARGE)
    low, high = 0.0, pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, df) < level else (low, middle)
    return sqrt(df) * tan((low + high) / 2)


def _within(theta: float, df: int) -> float:
    """The share of t between -t and t, where theta = atan(t / sqrt(df))."""
    is_odd = df % 2
    term = total = cos(theta) if is_odd else 1.0
    for k in range(2 if is_odd else 1, df - 1, 2):
        term *= k / (k + 1) * cos(theta) ** 2
        total += term
    if not is_odd:
        return sin(theta) * total
    return 2 / pi * (theta + (sin(theta) * total if df > 1 else 0.0))
