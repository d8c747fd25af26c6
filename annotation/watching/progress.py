"""How far a study has come."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from django.db.models import Count, Exists, F, Min, OuterRef, Q, Sum
from django.utils import timezone

from annotation.giving.join import held_places
from annotation.models.people import Participation
from annotation.models.ratings import Assignment
from annotation.models.studies import Item, Study


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


@dataclass(frozen=True)
class Held:
    """A study whose places are all taken, some of them by people who may still answer."""

    n_places: int  # that wait for an answer
    n_people: int  # who have them
    n_unbegun: int  # of these, who have not seen a pair yet
    minutes: int  # until the first of the places may come free


def held_beyond_answers(study: Study) -> Held | None:
    """Why nobody can begin though answers are lacking; None where somebody can, or everything is answered."""
    if not study.is_open or study.items.wanting_ratings().exists():
        return None
    seen = Assignment.objects.filter(participation=OuterRef("participation")).exclude(painted_at=None)
    is_unbegun = Q(participation__n_answered=0) & ~Q(Exists(seen))
    found = held_places(study).aggregate(
        n_places=Count("pk"),
        n_people=Count("participation", distinct=True),
        n_unbegun=Count("participation", distinct=True, filter=is_unbegun),
        first_until=Min("participation__leased_until"),
    )
    first_until = found.pop("first_until")
    if first_until is None or first_until <= timezone.now():  # what nobody came back for is given to who comes
        return None
    return Held(**found, minutes=ceil((first_until - timezone.now()).total_seconds() / 60))


def study_size(study: Study) -> dict[str, int]:
    """Pairs that are rated, and originals."""
    items = study.items.rated().filter(state=Item.State.OPEN).order_by()
    return items.aggregate(n_pairs=Count("pk"), n_originals=Count("group", distinct=True))
