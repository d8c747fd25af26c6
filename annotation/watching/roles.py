"""Which pairs serve as checks and for practice, and which are taken out of a study.

A pair that somebody has been given keeps its role: what was said of it would mean something else afterwards.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models.functions import Now

from annotation.models.ratings import Assignment, Report
from annotation.models.studies import MAX_SCORE, MIN_SCORE, SCORES, Item, Study, StudyChange
from annotation.studies.history import locked_study, record_change
from datasets import removal
from datasets.refusals import Refusal

NEAR, AT_MOST, AT_LEAST = "near", "at_most", "at_least"
DIRECTIONS = {NEAR: "about so high", AT_MOST: "at most so high", AT_LEAST: "at least so high"}


class CannotServe(Refusal):
    """The pair cannot serve so; the message says why and what to do."""


class AlreadyGivenOut(CannotServe):
    """Somebody has been given these pairs (ids of items)."""

    def __init__(self, items: Iterable[int]) -> None:
        super().__init__("This pair has been given to somebody already; choose one that has not, or add another.")
        self.items = sorted(items)


@dataclass(frozen=True)
class PairRole:
    """What a pair is for, and what it expects: a range of scores, or the one that a check's question asks for."""

    role: str
    expected_low: int | None = None
    expected_high: int | None = None
    instructed_score: int | None = None

    def check(self) -> None:
        has_range, instructed = self.expected_low is not None, self.instructed_score
        if self.role == Item.Role.MAIN and (has_range or instructed is not None):
            raise CannotServe("A pair of the study proper expects no score; leave the expected scores empty.")
        if self.role == Item.Role.PRACTICE and (not has_range or instructed is not None):
            raise CannotServe("A practice pair needs an expected score for its feedback, and no instruction.")
        if self.role == Item.Role.CHECK and has_range == (instructed is not None):
            raise CannotServe("A check needs either an expected score or a score to ask for in words.")
        if has_range and (self.expected_low, self.expected_high) == (MIN_SCORE, MAX_SCORE):
            raise CannotServe("That range holds every score, so nobody could fail; choose a smaller tolerance.")


FIELDS = [each.name for each in fields(PairRole)]


def expected_range(score: int, tolerance: int, direction: str) -> tuple[int, int]:
    """The scores that pass: an image against itself must score low, a blank one high, and not to the point."""
    if score not in SCORES or tolerance < 0:
        raise CannotServe(f"Expect a score from {MIN_SCORE} to {MAX_SCORE}, with a tolerance of 0 or more.")
    low = MIN_SCORE if direction == AT_MOST else max(MIN_SCORE, score - tolerance)
    high = MAX_SCORE if direction == AT_LEAST else min(MAX_SCORE, score + tolerance)
    return low, high


def give_role(study: Study, item: Item, role: PairRole, *, by: AbstractBaseUser | None = None) -> None:
    """Give a pair its role. Raises CannotServe where it has been given to somebody."""
    give_roles(study, {item.pk: role}, by=by)


@transaction.atomic
def give_roles(study: Study, wanted: Mapping[int, PairRole], *, by: AbstractBaseUser | None = None) -> None:
    """Give some hundred pairs at most, by the ids of their items, their roles: all or none.

    Raises CannotServe for a role that does not fit together, AlreadyGivenOut where somebody has been given such a pair.
    """
    for role in wanted.values():
        role.check()
    study = locked_study(study)
    # Whoever draws one of the pairs at this moment, for whatever purpose, holds its row until they hold the pair.
    locked = study.items.select_related("pair").select_for_update(of=("self",)).filter(pk__in=wanted).order_by("pk")
    changed = [item for item in locked if role_of(item) != wanted[item.pk]]
    if given := given_out(changed):
        raise AlreadyGivenOut(given)
    before = {str(item.pair.number): asdict(role_of(item)) for item in changed}
    for item in changed:
        _set_role(item, wanted[item.pk], study)
    Item.objects.bulk_update(changed, ["goal", *FIELDS])
    if study.has_begun and changed:
        after = {str(item.pair.number): asdict(role_of(item)) for item in changed}
        record_change(study, StudyChange.Kind.ROLES, before=before, after=after, by=by)


def role_of(item: Item) -> PairRole:
    return PairRole(**{name: getattr(item, name) for name in FIELDS})


def given_out(items: Iterable[Item]) -> set[int]:
    """Those (ids) that somebody has been given: they keep their roles."""
    by_id = {item.pk: item for item in items}
    given = Assignment.objects.filter(item__in=by_id).order_by().values_list("item_id", flat=True).distinct()
    return set(given) | {pk for pk, item in by_id.items() if item.n_held}


def _set_role(item: Item, role: PairRole, study: Study) -> None:
    item.goal = study.goal if role.role == Item.Role.MAIN else 0
    for name, value in asdict(role).items():
        setattr(item, name, value)


@transaction.atomic
def withdraw_item(study: Study, item: Item, *, reason: str, by: AbstractBaseUser | None = None) -> None:
    """Show a pair to nobody any more. What was said of it stays."""
    _change_state(study, item, Item.State.WITHDRAWN, reason=reason, by=by)


@transaction.atomic
def put_back_item(study: Study, item: Item, *, reason: str, by: AbstractBaseUser | None = None) -> None:
    if item.pair.removed_at:
        raise CannotServe("The picture of this pair was removed; it is shown to nobody any more.")
    _change_state(study, item, Item.State.OPEN, reason=reason, by=by)


@removal.holds
def hold_studies_with(pairs: list[int], by: AbstractBaseUser | None) -> removal.Withdraw:
    """Studies are locked before their project, as by whoever opens or deletes one."""
    showing = Study.objects.filter(items__pair__in=pairs).values("pk")
    for study in Study.objects.filter(pk__in=showing).order_by("pk"):
        locked_study(study)

    def withdraw() -> None:
        for item in Item.objects.filter(pair__in=pairs).select_related("study").order_by("study", "pk"):
            withdraw_item(item.study, item, reason="Its picture was removed.", by=by)

    return withdraw


def settle_reports(item: Item) -> int:
    """Somebody has seen what was reported of a pair; how many reports."""
    return Report.objects.filter(assignment__item=item, settled_at=None).update(settled_at=Now())


def _change_state(study: Study, item: Item, state: str, *, reason: str, by: AbstractBaseUser | None) -> None:
    study = locked_study(study)
    before = study.items.select_related("pair").get(pk=item.pk)
    if before.state == state:
        return
    study.items.filter(pk=item.pk).update(state=state)
    settle_reports(item)
    was, becomes = ({"pair": before.pair.number, "state": str(each)} for each in (before.state, state))
    record_change(study, StudyChange.Kind.WITHDRAWN, before=was, after=becomes, by=by, reason=reason)
