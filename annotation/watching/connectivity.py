"""Whether all annotators of a study can be compared: a check in the background, with a warning where they cannot.

Two annotators are comparable where a chain of shared pairs leads from one to the other. In a study that falls apart
into several such components, harsh annotators and poor pictures look the same (see scoring/measures/consensus.py).
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
from django.db.models import QuerySet

from annotation.models.people import Participation
from annotation.models.ratings import Assignment
from annotation.models.studies import Study
from annotation.watching.background import checks_studies
from datasets.jobs import Attempt
from scoring.measures.graph import Components

KIND = "check_connectivity"
ROWS_AT_ONCE = 20_000  # in memory
N_LISTED = 10  # components whose sizes are kept, the largest first


@checks_studies(KIND)
def check_connectivity(attempt: Attempt, study: Study) -> dict[str, Any]:
    """`components`: the number of annotators and pairs in each, the largest first."""
    sizes = components(study, between=attempt.check)
    return {"n_components": len(sizes), "components": sizes[:N_LISTED]}


def components(
    study: Study, *, between: Callable[[], None] = lambda: None, rows_at_once: int = ROWS_AT_ONCE
) -> list[tuple[int, int]]:
    """How many annotators and pairs belong together, for each component of the main ratings; the largest first.

    Memory grows with annotators and pairs, not with ratings. Pairs without a rating and people without one are left
    out, as are people who have withdrawn. `between` is called before ratings are read, and before each batch of them.
    """
    people = _ids(Participation.objects.not_withdrawn().filter(study=study))
    items = _ids(study.items.all())
    if not len(people) or not len(items):
        return []
    graph, is_rated = Components(len(people) + len(items)), np.zeros(len(people) + len(items), dtype=bool)
    between()
    for person, item in _edges(study, rows_at_once):
        between()
        left, right = np.searchsorted(people, person), np.searchsorted(items, item)
        known = (people.take(left, mode="clip") == person) & (items.take(right, mode="clip") == item)
        left, right = left[known], right[known] + len(people)  # without those who came since
        is_rated[left] = is_rated[right] = True
        graph.join(left, right)
    _, code = np.unique(graph.root[is_rated], return_inverse=True)
    is_person = np.flatnonzero(is_rated) < len(people)
    n_people, n_items = np.bincount(code, is_person), np.bincount(code, ~is_person)
    sizes = zip(n_people.astype(int).tolist(), n_items.astype(int).tolist(), strict=True)
    return sorted(sizes, reverse=True)


def _ids(rows: QuerySet[Any]) -> np.ndarray:
    ids = rows.order_by("pk").values_list("pk", flat=True)
    return np.fromiter(ids.iterator(chunk_size=ROWS_AT_ONCE), dtype=np.int64)


def _edges(study: Study, rows_at_once: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Who rated what, in batches of parallel arrays of ids."""
    rated = Assignment.objects.counting().of_study(study).exclude(answered_at=None)
    rows = rated.order_by().values_list("participation_id", "item_id").iterator(chunk_size=rows_at_once)
    while batch := list(islice(rows, rows_at_once)):
        pairs = np.array(batch, dtype=np.int64)
        yield pairs[:, 0], pairs[:, 1]
