"""Which pairs serve as checks and for practice, and which are taken out of a study.

A pair that somebody has been given keeps its role: what was said of it would mean something else afterwards.
"""

from dataclasses import asdict, dataclass
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from annotation.history import locked_study, record_change
from annotation.models.ratings import Assignment, Report
from annotation.models.studies import MAX_SCORE, MIN_SCORE, SCORES, Item, Study, StudyChange

NEAR, AT_MOST, AT_LEAST = "near", "at_most", "at_least"
DIRECTIONS = {NEAR: "about so high", AT_MOST: "at most so high", AT_LEAST: "at least so high"}


class CannotMark(ValueError):
    """The pair cannot serve so; the message says why and what to do."""


@dataclass(frozen=True)
class Mark:
    """A role, and what it expects: a range of scores, or for a check the one score that the question asks for."""

    role: str
    expected_low: int | None = None
    expected_high: int | None = None
    instructed_score: int | None = None

    def check(self) -> None:
        has_range, instructed = self.expected_low is not None, self.instructed_score
        if self.role == Item.Role.MAIN and (has_range or instructed is not None):
            raise CannotMark("A pair of the study proper expects no score; leave the expected scores empty.")
        if self.role == Item.Role.PRACTICE and (not has_range or instructed is not None):
            raise CannotMark("A practice pair needs an expected score for its feedback, and no instruction.")
        if self.role == Item.Role.CHECK and has_range == (instructed is not None):
            raise CannotMark("A check needs either an expected score or a score to ask for in words.")
        if has_range and (self.expected_low, self.expected_high) == (MIN_SCORE, MAX_SCORE):
            raise CannotMark("That range holds every score, so nobody could fail; choose a smaller tolerance.")


def expected_range(score: int, tolerance: int, direction: str) -> tuple[int, int]:
    """The scores that pass: an image against itself must score low, a blank one high, and not to the point."""
    if score not in SCORES or tolerance < 0:
        raise CannotMark(f"Expect a score from {MIN_SCORE} to {MAX_SCORE}, with a tolerance of 0 or more.")
    low = MIN_SCORE if direction == AT_MOST else max(MIN_SCORE, score - tolerance)
    high = MAX_SCORE if direction == AT_LEAST else min(MAX_SCORE, score + tolerance)
    return low, high


@transaction.atomic
def mark_item(study: Study, item: Item, mark: Mark, *, by: AbstractBaseUser | None = None) -> None:
    """Give a pair its role. Raises CannotMark where it has been given to somebody."""
    mark.check()
    study = locked_study(study)
    before = study.items.get(pk=item.pk)
    said_before, said_now = _said(before), asdict(mark)
    if said_before == said_now:
        return
    goal = study.goal if mark.role == Item.Role.MAIN else 0
    # Whoever draws the pair at this moment holds its row, and then it is held.
    given = Assignment.objects.filter(item=OuterRef("pk"))
    free = study.items.filter(~Exists(given), pk=item.pk, n_held=0)
    if not free.update(goal=goal, **said_now):
        raise CannotMark("This pair has been given to somebody already; choose one that has not, or add another.")
    if study.has_begun:
        name = str(before.pair.pk)
        record_change(study, StudyChange.Kind.MARKS, before={name: said_before}, after={name: said_now}, by=by)


def _said(item: Item) -> dict[str, Any]:
    return asdict(Mark(item.role, item.expected_low, item.expected_high, item.instructed_score))


@transaction.atomic
def withdraw_item(study: Study, item: Item, *, reason: str, by: AbstractBaseUser | None = None) -> None:
    """Show a pair to nobody any more. What was said of it stays."""
    _change_state(study, item, Item.State.WITHDRAWN, reason=reason, by=by)


@transaction.atomic
def put_back_item(study: Study, item: Item, *, reason: str, by: AbstractBaseUser | None = None) -> None:
    _change_state(study, item, Item.State.OPEN, reason=reason, by=by)


def settle_reports(item: Item) -> int:
    """Somebody has seen what was reported of a pair; how many reports."""
    return Report.objects.filter(assignment__item=item, settled_at=None).update(settled_at=Now())


def _change_state(study: Study, item: Item, state: str, *, reason: str, by: AbstractBaseUser | None) -> None:
    study = locked_study(study)
    before = study.items.get(pk=item.pk)
    if before.state == state:
        return
    study.items.filter(pk=item.pk).update(state=state)
    settle_reports(item)
    said = {"pair": before.pair_id, "state": before.state}, {"pair": before.pair_id, "state": str(state)}
    record_change(study, StudyChange.Kind.WITHDRAWN, before=said[0], after=said[1], by=by, reason=reason)
