"""Questions about a study that pages ask."""

import csv
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean, stdev
from typing import Any

import numpy as np
from django.db.models import Avg, Case, Count, F, Max, OuterRef, Q, QuerySet, Subquery, Sum, When

from annotation.models.people import Participation
from annotation.models.quality import Decision, Flag
from annotation.models.ratings import Assignment, Cue, Rating, Report
from annotation.models.studies import SCORES, Item, Study
from datasets.models.releases import CueKind
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


def set_aside(study: Study, *, by: datetime | None = None) -> list[int]:
    """Participations whose latest decision on their use is no; by a moment, where one is given."""
    decisions = Decision.objects.filter(participation__study=study, kind=Decision.Kind.USE)
    decisions = decisions.filter(decided_at__lte=by) if by else decisions
    latest = dict(decisions.order_by("decided_at", "pk").values_list("participation", "verdict"))
    return [participation for participation, is_used in latest.items() if not is_used]


def reports_of(study: Study) -> QuerySet[Report]:
    """What people reported of pictures and nobody has looked at, the newest first."""
    waiting = Report.objects.to_look_at().filter(assignment__participation__study=study)
    return waiting.select_related("assignment__item", "assignment__participation__annotator")


def n_flagged(study: Study) -> int:
    """People about whom a flag waits for a decision."""
    waiting = Flag.objects.to_decide().filter(participation__study=study)
    return waiting.values("participation").distinct().count()


def rating_counts(
    study: Study, *, core_only: bool = False, without: Collection[int] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """How many gave each rated item each score (items x 10), and the items' groups. One GROUP BY.

    `without`: participations that are left out.
    """
    said = Rating.objects.filter(
        assignment__item__study=study,
        assignment__purpose=Assignment.Purpose.MAIN,
        assignment__participation__withdrawn_at=None,
    ).exclude(assignment__participation__in=without)
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
    """A file for csv that gives each line back."""

    def write(self, line: str) -> str:
        return line


def csv_lines(rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """CSV, line by line: a download begins at once and is never whole in memory."""
    return map(csv.writer(_Echo(), lineterminator="\n").writerow, rows)


def rating_lines(study: Study) -> Iterator[str]:
    """The ratings so far as CSV, line by line, under the annotators' pseudonyms in the project."""
    columns = {
        "item": "assignment__item",
        "annotator": "assignment__participation__annotator__pseudonym",
        "score": "score",
        "seconds": "seconds",
        "position": "assignment__position",
        "late": "is_late",
        "used": "assignment__participation",
    }
    said = Rating.objects.filter(
        assignment__item__study=study,
        assignment__purpose=Assignment.Purpose.MAIN,
        assignment__participation__withdrawn_at=None,
    ).order_by("assignment__item", "assignment__participation")
    yield from csv_lines([columns])
    unused = set(set_aside(study))
    rows = said.values_list(*columns.values()).iterator(chunk_size=2000)
    yield from csv_lines([*cells, int(participation not in unused)] for *cells, participation in rows)


def cue_lines(study: Study) -> Iterator[str]:
    """The boxes beside these ratings as CSV, line by line; in pixels of the anonymized picture."""
    rating = "revision__rating__assignment__"
    columns = {
        "item": f"{rating}item",
        "annotator": f"{rating}participation__annotator__pseudonym",
        **{name: name for name in ("kind", "x", "y", "width", "height")},
        "image_width": f"{rating}item__pair__anonymized__width",
        "image_height": f"{rating}item__pair__anonymized__height",
        "used": f"{rating}participation",
    }
    marked = _cues_of(study).order_by(f"{rating}item", f"{rating}participation", "pk")
    yield from csv_lines([columns])
    unused = set(set_aside(study))
    rows = marked.values_list(*columns.values()).iterator(chunk_size=2000)
    yield from csv_lines([*cells, int(participation not in unused)] for *cells, participation in rows)


def cue_counts(study: Study) -> list[dict[str, Any]]:
    """How often each kind was marked: boxes, answers and pairs. One query."""
    counts = (
        _cues_of(study)
        .order_by()
        .values("kind")
        .annotate(
            n=Count("pk"),
            n_answers=Count("revision", distinct=True),
            n_pairs=Count("revision__rating__assignment__item", distinct=True),
        )
    )
    by_kind = {row["kind"]: row for row in counts}
    none = {"n": 0, "n_answers": 0, "n_pairs": 0}
    return [none | by_kind.get(kind, {}) | {"kind": label} for kind, label in CueKind.choices]


def _cues_of(study: Study) -> QuerySet[Cue]:
    """Beside the ratings that count so far."""
    return Cue.objects.current().filter(
        revision__rating__assignment__item__study=study,
        revision__rating__assignment__purpose=Assignment.Purpose.MAIN,
        revision__rating__assignment__participation__withdrawn_at=None,
    )


# What a person watching over the study sees of pairs and people ----------------------------------------------------

SHOWS = {
    "all": "all pairs",
    "check": "checks",
    "practice": "practice pairs",
    "withdrawn": "withdrawn pairs",
}


def items_to_show(study: Study, show: str, *, by_spread: bool) -> QuerySet[Item]:
    """Pairs of a kind in SHOWS, in the order in which they came in, or those with the largest deviation first."""
    items = study.items.select_related("pair__source", "pair__anonymized").order_by("pk")
    if show in (Item.Role.CHECK, Item.Role.PRACTICE):
        items = items.filter(role=show)
    elif show == Item.State.WITHDRAWN:
        items = items.filter(state=Item.State.WITHDRAWN)
    if not by_spread:
        return items
    counting = Q(assignments__purpose=Assignment.Purpose.MAIN, assignments__participation__withdrawn_at=None)
    score = F("assignments__rating__score")
    n = Count("assignments__rating", filter=counting)
    mean, squares = Avg(score, filter=counting), Avg(score * score, filter=counting)
    # With n - 1, as it is shown; pairs with one rating have none and come last.
    variance = (squares - mean * mean) * F("n_said") / (F("n_said") - 1.0)
    items = items.annotate(n_said=n).annotate(spread=Case(When(n_said__gt=1, then=variance), default=-1.0))
    return items.order_by("-spread", "pk")


@dataclass(frozen=True)
class ItemStatistics:
    item: Item
    n: int
    mean: float | None
    std: float | None  # with n - 1
    histogram: list[tuple[int, int]]

    @property
    def most(self) -> int:
        return max(n for _, n in self.histogram)


def with_statistics(items: Iterable[Item]) -> list[ItemStatistics]:
    """The items with what counts of their ratings. One query, however many."""
    listed = list(items)
    said = Rating.objects.filter(
        assignment__item__in=[item.pk for item in listed],
        assignment__purpose=Assignment.Purpose.MAIN,
        assignment__participation__withdrawn_at=None,
    )
    by_item: dict[int, Counter[int]] = {}
    for pk, score, n in said.values_list("assignment__item", "score").annotate(n=Count("pk")).order_by():
        by_item.setdefault(pk, Counter())[score] = n
    return [_statistics(item, by_item.get(item.pk, Counter())) for item in listed]


def _statistics(item: Item, counts: Counter[int]) -> ItemStatistics:
    scores = list(counts.elements())
    return ItemStatistics(
        item=item,
        n=len(scores),
        mean=fmean(scores) if scores else None,
        std=stdev(scores) if len(scores) > 1 else None,
        histogram=[(score, counts[score]) for score in SCORES],
    )


def answers_to(item: Item) -> QuerySet[Rating]:
    """Everything that was said of a pair, for whatever purpose it was shown."""
    said = Rating.objects.filter(assignment__item=item, assignment__participation__withdrawn_at=None)
    return said.select_related("assignment__participation__annotator", "remark").order_by("created_at")


def cues_on(item: Item) -> QuerySet[Cue]:
    """The boxes that stand on a pair now, of everybody who has not withdrawn, for whatever purpose it was shown."""
    said = Cue.objects.current().filter(
        revision__rating__assignment__item=item, revision__rating__assignment__participation__withdrawn_at=None
    )
    return said.select_related("revision__rating__assignment__participation__annotator").order_by("revision", "pk")


def reports_on(item: Item) -> QuerySet[Report]:
    """Why people did not rate a pair."""
    said = Report.objects.filter(assignment__item=item, assignment__participation__withdrawn_at=None)
    return said.select_related("assignment__participation__annotator")


def checked_answers(person: Participation) -> list[dict[str, Any]]:
    """A person's answers to checks and practice pairs, with whether they passed."""
    said = Rating.objects.filter(
        assignment__participation=person,
        assignment__purpose__in=[Assignment.Purpose.CHECK, Assignment.Purpose.PRACTICE],
    ).select_related("assignment__item")
    return [
        {"rating": each, "item": (item := each.assignment.item), "passed": item.passes(each.score)}
        for each in said.order_by("assignment__position")
    ]


def skipped_checks(person: Participation) -> QuerySet[Report]:
    """Checks and practice pairs that a person did not rate, with the reasons they gave."""
    skipped = Report.objects.filter(
        assignment__participation=person,
        assignment__purpose__in=[Assignment.Purpose.CHECK, Assignment.Purpose.PRACTICE],
    )
    return skipped.select_related("assignment__item").order_by("assignment__position")


def repeated_answers(person: Participation) -> list[dict[str, Any]]:
    """What a person said of the pairs that came twice: first and second answer."""
    again = Rating.objects.filter(assignment__participation=person, assignment__purpose=Assignment.Purpose.REPEAT)
    first = Rating.objects.filter(
        assignment__participation=person, assignment__item=OuterRef("assignment__item"), assignment__occurrence=0
    )
    again = again.annotate(first=Subquery(first.values("score")[:1])).select_related("assignment")
    return [
        {"rating": each, "first": each.first, "difference": abs(each.score - each.first)}
        for each in again.order_by("assignment__position")
        if each.first is not None
    ]
