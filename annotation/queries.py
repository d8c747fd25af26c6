"""Questions about a study that pages ask."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import Count, F, Max, Q, Sum

from annotation.models.people import Participation
from annotation.models.ratings import Assignment, Rating
from annotation.models.studies import SCORES, Item, Study
from datasets.releases import AGREEMENT_SEED
from scoring.measures.agreement import agreement_summary
from scoring.measures.means import Spread, spread


@dataclass(frozen=True)
class Progress:
    n_items: int
    n_complete: int  # items that have their goal
    n_wanted: int  # ratings, over all items
    n_rated: int
    n_people: int
    n_finished: int

    @property
    def percent(self) -> int:
        return round(100 * self.n_rated / self.n_wanted) if self.n_wanted else 0


def study_progress(study: Study) -> Progress:
    return progress_of([study])[study.pk]


def progress_of(studies: Iterable[Study]) -> dict[int, Progress]:
    """How far each study is, by its id. Two queries, however many studies."""
    ids = [study.pk for study in studies]
    items: Any = Item.objects.rated().filter(study__in=ids, state=Item.State.OPEN).order_by().values("study")
    items = items.annotate(
        n_items=Count("pk"),
        n_complete=Count("pk", filter=Q(n_rated__gte=F("goal"))),
        n_wanted=Sum("goal", default=0),
        n_given=Sum("n_rated", default=0),
    )
    people: Any = Participation.objects.filter(study__in=ids).order_by().values("study")
    people = people.annotate(n_people=Count("pk"), n_finished=Count("pk", filter=~Q(finished_at=None)))
    in_items, in_people = ({row["study"]: row for row in rows} for rows in (items, people))
    return {pk: _progress(in_items.get(pk, {}), in_people.get(pk, {})) for pk in ids}


def _progress(items: Mapping[str, int], people: Mapping[str, int]) -> Progress:
    """From a study's rows; a study without items or people has none."""
    return Progress(
        n_items=items.get("n_items", 0),
        n_complete=items.get("n_complete", 0),
        n_wanted=items.get("n_wanted", 0),
        n_rated=items.get("n_given", 0),
        n_people=people.get("n_people", 0),
        n_finished=people.get("n_finished", 0),
    )


def rating_counts(study: Study, *, core_only: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """How many gave each rated item each score (items x 10), and the items' groups. One GROUP BY."""
    said = Rating.objects.filter(
        assignment__item__study=study,
        assignment__purpose=Assignment.Purpose.MAIN,
        assignment__participation__withdrawn_at=None,
    )
    rows = (
        (said.filter(assignment__item__is_core=True) if core_only else said)
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


def study_size(study: Study) -> dict[str, int]:
    """Pairs that are rated, and originals."""
    items = study.items.rated().filter(state=Item.State.OPEN).order_by()
    return items.aggregate(n_pairs=Count("pk"), n_originals=Count("group", distinct=True))


def score_histogram(counts: np.ndarray) -> list[tuple[int, int]]:
    return [(score, int(n)) for score, n in zip(SCORES, counts.sum(axis=0), strict=True)]


def people_of(study: Study) -> Any:
    """Participations with how far each one is, under their pseudonyms."""
    return (
        Participation.objects.filter(study=study)
        .select_related("annotator", "invitation")
        .annotate(n_rated=Count("assignments__rating"), last_at=Max("assignments__answered_at"))
        .order_by("consented_at")
    )


class _Echo:
    def write(self, line: str) -> str:
        return line


def rating_lines(study: Study) -> Iterator[str]:
    """The ratings so far as CSV, line by line, under the annotators' pseudonyms in the project."""
    columns = {
        "item": "assignment__item",
        "annotator": "assignment__participation__annotator__pseudonym",
        "score": "score",
        "seconds": "seconds",
        "position": "assignment__position",
        "late": "is_late",
    }
    said = Rating.objects.filter(
        assignment__item__study=study,
        assignment__purpose=Assignment.Purpose.MAIN,
        assignment__participation__withdrawn_at=None,
    ).order_by("assignment__item", "assignment__participation")
    writer = csv.writer(_Echo(), lineterminator="\n")
    yield writer.writerow(columns)
    for row in said.values_list(*columns.values()).iterator(chunk_size=2000):
        yield writer.writerow(row)
