"""Studies that stop each pair when its interval is narrow enough, or are ordered by a model: off by default.

Both bias figures: pairs on which people happen to agree stop early, and what is rated first depends on the model that
is to be judged by it. A core of originals, drawn before the first rating (core.py), is touched by neither: its pairs
keep the study's goal and have no priority.

A pair has enough with `min_ratings`, once the 95 % interval of its mean is at most `half_width` to either side, and
always with `max_ratings`. With few ratings a pair's own deviation is so noisy that unanimous pairs would stop falsely:
before OWN_FROM ratings the interval is that of the pooled residual.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
from django.db import transaction
from django.db.models import Count, F, QuerySet, Sum

from annotation.models.ratings import Rating
from annotation.models.studies import Item, Study
from annotation.studies.forecast import ASSUMED_RELIABILITY, ASSUMED_SD
from datasets.batches import in_batches
from datasets.jobs import repeats
from scoring.measures.means import half_width, spread_of_sums
from scoring.results import priorities_for

LOOK_EVERY = 60  # seconds
OWN_FROM = 8  # ratings
ITEMS_AT_ONCE = 500  # in a transaction: people who rate wait some milliseconds at most
LEAST_VARIANCE = 0.01  # of the ratings of a unanimous pair
LEAST_RELIABILITY = 0.05  # so that ratings tell something even where people agree on nothing yet
TIE = 1e-6  # what a model's word weighs beside the standard error


@dataclass(frozen=True)
class Pool:
    """What all pairs together say: the residual, its degrees of freedom, and how far the pairs' means lie apart."""

    sd: float
    df: int  # 0 where no pair has two ratings and `sd` is an assumption
    variance_between: float


@dataclass(frozen=True)
class Sums:
    """What people said of a pair, summed up."""

    n: int = 0
    total: int = 0
    squares: int = 0

    @property
    def variance(self) -> float:
        return max((self.squares - self.total**2 / self.n) / (self.n - 1), 0.0)


@repeats(every=LOOK_EVERY)
def update_open_studies() -> None:
    for study in Study.objects.filter(state=Study.State.OPEN).select_related("campaign__project"):
        if study.has_core:
            update_stops(study)


def update_stops(
    study: Study, *, priorities: Callable[..., dict[int, float]] = priorities_for, at_once: int = ITEMS_AT_ONCE
) -> None:
    """Set the goals and priorities of all pairs outside the core by what has been said so far.

    Safe while people rate, and in several workers at once: a pair's row is locked while its goal is decided, and the
    goal is never below what the pair holds.
    """
    sums_of = _sums(study) if study.stops_adaptively else {}
    pool = pooled(sums_of)
    outside: QuerySet[Item] = study.items.rated().filter(is_core=False, state=Item.State.OPEN).order_by("pk")
    by_model: dict[int, float] = {}
    if study.is_ordered_by_model:
        pairs = outside.values_list("pair_id", flat=True)
        by_model = priorities(study.project, study.mode, pairs.iterator(chunk_size=at_once))
    for batch in in_batches(outside.values_list("pk", flat=True), at_once=at_once):
        _update(study, batch, sums_of, pool, by_model)


def _sums(study: Study) -> dict[int, Sums]:
    """By item, of all pairs, the core too. One GROUP BY."""
    rows = (
        Rating.objects.counting()
        .of_study(study)
        .order_by()
        .values("assignment__item")
        .annotate(n=Count("pk"), total=Sum("score"), squares=Sum(F("score") * F("score")))
        .values_list("assignment__item", "n", "total", "squares")
    )
    return {item: Sums(n, total, squares) for item, n, total, squares in rows.iterator(chunk_size=ITEMS_AT_ONCE)}


def pooled(sums_of: dict[int, Sums]) -> Pool:
    rows = np.array([(each.n, each.total, each.squares) for each in sums_of.values()], dtype=float).reshape(-1, 3)
    found = spread_of_sums(*rows.T)
    sd = found.sd if found else ASSUMED_SD
    measured = found.reliability if found else None
    reliability = min(max(ASSUMED_RELIABILITY if measured is None else measured, LEAST_RELIABILITY), 0.99)
    between = max(sd**2, LEAST_VARIANCE) * reliability / (1 - reliability)
    return Pool(sd, found.n_ratings - found.n_items if found else 0, between)


def has_enough(sums: Sums, pool: Pool, study: Study) -> bool:
    """Whether a pair needs no further rating."""
    if sums.n >= study.max_ratings:
        return True
    if sums.n < study.min_ratings or not pool.df:
        return False
    if sums.n < OWN_FROM:
        return half_width(pool.sd, sums.n, df=pool.df) <= study.half_width
    return half_width(sqrt(sums.variance), sums.n) <= study.half_width


def standard_error(sums: Sums, pool: Pool) -> float:
    """Of a pair's score, after what was said and before it what all pairs are like (posterior of a normal mean)."""
    variance = max(sums.variance if sums.n >= OWN_FROM else pool.sd**2, LEAST_VARIANCE)
    return 1 / sqrt(1 / pool.variance_between + sums.n / variance)


@transaction.atomic
def _update(study: Study, ids: list[int], sums_of: dict[int, Sums], pool: Pool, by_model: dict[int, float]) -> None:
    # Draws and answers change what an item holds: they wait until its goal is decided. By ids, as whoever returns.
    locked = Item.objects.filter(pk__in=ids, is_core=False).order_by("pk").select_for_update(no_key=True)
    changed = []
    for item in locked:
        goal, priority = _goal_and_priority(item, sums_of.get(item.pk, Sums()), pool, by_model, study)
        if (goal, priority) != (item.goal, item.priority):
            item.goal, item.priority = goal, priority
            changed.append(item)
    if changed:
        Item.objects.bulk_update(changed, ["goal", "priority"])


def _goal_and_priority(
    item: Item, sums: Sums, pool: Pool, by_model: dict[int, float], study: Study
) -> tuple[int, float | None]:
    # Where the model knows some pairs, those that it does not know come last; where it knows none, all are as good.
    word = by_model.get(item.pair_id, 0.0) if by_model else None
    if not study.stops_adaptively:
        return item.goal, word
    goal = item.n_held if has_enough(sums, pool, study) else max(item.n_held, study.max_ratings)
    # In hundredths of a point, or each answer would move every pair a little.
    return max(goal, 1), round(standard_error(sums, pool), 2) + TIE * (word or 0.0)
