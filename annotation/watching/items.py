"""What a person who watches over a study sees of its pairs."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from django.db.models import Avg, Case, Count, F, QuerySet, When

from annotation.models.ratings import Cue, Rating, Report, counting_through
from annotation.models.studies import SCORES, Item, Study
from annotation.studies.displays import shown_pictures
from datasets.models.pictures import Image
from datasets.models.releases import CueKind


def reports_of(study: Study) -> QuerySet[Report]:
    """What people reported of pictures and nobody has looked at, the newest first."""
    waiting = Report.objects.to_look_at().of_study(study)
    return waiting.select_related("assignment__item__pair", "assignment__participation__annotator")


def cue_counts(study: Study) -> list[dict[str, Any]]:
    """How often each kind was marked: boxes, answers and pairs. One query."""
    counts = (
        cues_of(study)
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


def cues_of(study: Study) -> QuerySet[Cue]:
    """Beside the ratings that count so far."""
    return Cue.objects.current().counting().of_study(study)


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
    counting = counting_through("assignments__")
    score = F("assignments__rating__score")
    n = Count("assignments__rating", filter=counting)
    mean, squares = Avg(score, filter=counting), Avg(score * score, filter=counting)
    # With n - 1, as it is shown; pairs with one rating have none and come last.
    variance = (squares - mean * mean) * F("n_counting") / (F("n_counting") - 1.0)
    items = items.annotate(n_counting=n).annotate(spread=Case(When(n_counting__gt=1, then=variance), default=-1.0))
    return items.order_by("-spread", "pk")


@dataclass(frozen=True)
class ItemStatistics:
    item: Item
    picture: Image  # as the study's people see the anonymized one
    n: int
    mean: float | None
    std: float | None  # with n - 1
    histogram: list[tuple[int, int]]

    @property
    def most(self) -> int:
        return max(n for _, n in self.histogram)


def with_statistics(study: Study, items: Iterable[Item]) -> list[ItemStatistics]:
    """The study's items with what counts of their ratings. As many queries for many as for few."""
    listed = list(items)
    shown = shown_pictures(study, [item.pair.anonymized for item in listed])
    ratings = Rating.objects.counting().filter(assignment__item__in=[item.pk for item in listed])
    by_item: dict[int, Counter[int]] = {}
    for pk, score, n in ratings.values_list("assignment__item", "score").annotate(n=Count("pk")).order_by():
        by_item.setdefault(pk, Counter())[score] = n
    return [_statistics(item, shown[item.pair.anonymized_id], by_item.get(item.pk, Counter())) for item in listed]


def _statistics(item: Item, picture: Image, counts: Counter[int]) -> ItemStatistics:
    scores = list(counts.elements())
    return ItemStatistics(
        item=item,
        picture=picture,
        n=len(scores),
        mean=fmean(scores) if scores else None,
        std=stdev(scores) if len(scores) > 1 else None,
        histogram=[(score, counts[score]) for score in SCORES],
    )


def answers_to(item: Item) -> QuerySet[Rating]:
    """Everything that was said of a pair, for whatever purpose it was shown."""
    ratings = Rating.objects.not_withdrawn().filter(assignment__item=item)
    return ratings.select_related("assignment__participation__annotator", "remark").order_by("created_at")


def cues_on(item: Item) -> QuerySet[Cue]:
    """The boxes that stand on a pair now, of everybody who has not withdrawn, for whatever purpose it was shown."""
    cues = Cue.objects.current().not_withdrawn().filter(revision__rating__assignment__item=item)
    return cues.select_related("revision__rating__assignment__participation__annotator").order_by("revision", "pk")


def reports_on(item: Item) -> QuerySet[Report]:
    """Why people did not rate a pair."""
    reports = Report.objects.not_withdrawn().filter(assignment__item=item)
    return reports.select_related("assignment__participation__annotator")
