"""How far the ratings so far agree."""

from collections import Counter
from collections.abc import Collection
from typing import Any

import numpy as np
from django.db.models import Count

from annotation.models.ratings import Rating
from annotation.models.studies import SCORES, Study
from datasets.releases import AGREEMENT_SEED
from scoring.measures.agreement import agreement_summary
from scoring.measures.means import Spread, spread


def rating_counts(
    study: Study, *, core_only: bool = False, without: Collection[int] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """How many gave each rated item each score (items x 10), and the items' groups. One GROUP BY.

    `without`: participations that are left out.
    """
    counting = Rating.objects.counting().of_study(study).exclude(assignment__participation__in=without)
    rows = (
        (counting.filter(assignment__item__is_core=True) if core_only else counting)
        .values("assignment__item", "assignment__item__group", "score")
        .annotate(n=Count("pk"))
        .order_by("assignment__item")
    )
    places: dict[int, int] = {}
    groups: list[str] = []
    cells: Counter[tuple[int, int]] = Counter()
    for row in rows.iterator(chunk_size=10_000):
        item = row["assignment__item"]
        if item not in places:
            places[item] = len(places)
            groups.append(row["assignment__item__group"])
        cells[places[item], row["score"] - SCORES[0]] += row["n"]
    counts = np.zeros((len(places), len(SCORES)), dtype=np.int64)
    for place, n in cells.items():
        counts[place] = n
    return counts, np.array(groups)


def study_agreement(study: Study) -> dict[str, Any]:
    """Agreement among the ratings so far, with its reason where it is undefined."""
    return agreement(*rating_counts(study))


def core_agreement(study: Study) -> dict[str, Any]:
    """The same, of the pairs that neither adaptive stop nor a model's order touches."""
    return agreement(*rating_counts(study, core_only=True))


def agreement(counts: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    return agreement_summary(counts, np.array(SCORES), groups if len(groups) else None, seed=AGREEMENT_SEED)


def study_spread(study: Study) -> Spread | None:
    """How far people's ratings of one pair lie apart so far; None before any pair has two."""
    counts, _ = rating_counts(study)
    return spread(counts, np.array(SCORES))


def score_histogram(counts: np.ndarray) -> list[tuple[int, int]]:
    return [(score, int(n)) for score, n in zip(SCORES, counts.sum(axis=0), strict=True)]
