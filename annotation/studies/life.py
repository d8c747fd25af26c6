"""The life of a study: opened, paused, closed; its goal and its last page changed.

What is changed while people rate is recorded as a `StudyChange` in the transaction that changes it.
"""

from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Greatest, Now

from annotation.models.studies import MAX_GOAL, Item, Study, StudyChange
from annotation.studies.core import choose_core
from annotation.studies.displays import fix_displays
from annotation.studies.filling import fillings
from annotation.studies.history import NotPossible, locked_study, record_change
from annotation.studies.preregistration import preregister
from annotation.studies.wording import current_texts, mark_shown
from datasets.closing import check_open, hold_open

State = Study.State
# What a study may become, and from where.
STEPS = {
    State.OPEN: {State.DRAFT, State.PAUSED, State.CLOSED},
    State.PAUSED: {State.OPEN},
    State.CLOSED: {State.OPEN, State.PAUSED},
}


@transaction.atomic
def change_state(study: Study, state: str, *, by: AbstractBaseUser | None = None, reason: str = "") -> None:
    """Open, pause or close a study. People who hold pairs may still answer them."""
    locked = locked_study(study)
    study.state = locked.state  # somebody else may have changed it a moment ago
    check_step(locked, state)
    if state == State.OPEN:
        hold_open(locked.project)
    stamps: dict[str, Any] = {}
    if state == State.OPEN:
        stamps["opened_at"] = locked.opened_at or Now()
    elif state == State.CLOSED:
        stamps["closed_at"] = Now()
    Study.objects.filter(pk=study.pk).update(state=state, **stamps)
    record_change(study, StudyChange.Kind.STATE, before=locked.state, after=state, by=by, reason=reason)
    study.refresh_from_db()
    if state == State.OPEN:
        mark_shown(study)
        if not locked.has_begun:
            _begin(study)


def possible_steps(study: Study) -> list[str]:
    """What it may become now; in a closed project no study opens."""
    steps = [str(step) for step, before in STEPS.items() if study.state in before]
    return [step for step in steps if step != State.OPEN or not study.project.closed_at]


def check_step(study: Study, state: str) -> None:
    """Raises NotPossible where the study cannot become so now, ProjectClosed where none opens in its project."""
    if state not in STEPS:
        raise NotPossible("Choose whether to open, pause or close the study.")
    if study.state not in STEPS[State(state)]:
        raise NotPossible(f"This study is {study.get_state_display()}; it cannot become {State(state).label}.")
    if state == State.OPEN:
        check_open(study.project)
        _check_complete(study)


def _check_complete(study: Study) -> None:
    """Whether there is all that people need who are about to rate in it."""
    if not study.has_begun and fillings(study).unfinished().exists():
        raise NotPossible("This study is still being filled with its pairs; open it once they are all there.")
    if not current_texts(study):
        raise NotPossible("This study has no wording yet; write it first.")
    if not study.items.rated().exists():
        raise NotPossible("This study has no pairs; import pairs and add them first.")


def _begin(study: Study) -> None:
    """What is decided before the first rating, and never again."""
    fix_displays(study)
    preregister(study)
    if study.has_core:
        choose_core(study)


@transaction.atomic
def change_goal(study: Study, goal: int, *, by: AbstractBaseUser | None = None, reason: str = "") -> None:
    """Want so many ratings of each pair from now on.

    More: pairs that were complete are given out again. Fewer: no further draws; whoever holds a pair may answer it, so
    that a pair's goal never falls below what it holds. Where a study stops adaptively, only the core has this goal.
    """
    if not 1 <= goal <= MAX_GOAL:
        raise NotPossible(f"Each pair can want from 1 to {MAX_GOAL} ratings.")
    locked = locked_study(study)
    if locked.goal == goal:
        raise NotPossible(f"Each pair wants {goal} ratings already.")
    Study.objects.filter(pk=study.pk).update(goal=goal)
    items = locked.items.rated().filter(state=Item.State.OPEN)
    items = items.filter(is_core=True) if locked.stops_adaptively else items
    # People draw and return pairs meanwhile. Each row is decided by what it holds when it is reached.
    _in_order(items).update(goal=Greatest(F("n_held"), Value(goal)))
    record_change(locked, StudyChange.Kind.GOAL, before=locked.goal, after=goal, by=by, reason=reason)
    study.refresh_from_db(fields=["goal"])


COMPLETION = ("completion_code", "completion_url")


def completion_of(study: Study) -> dict[str, str]:
    """What the last page gives to whoever has finished."""
    return {name: getattr(study, name) for name in COMPLETION}


@transaction.atomic
def change_completion(
    study: Study, *, completion_code: str, completion_url: str, by: AbstractBaseUser | None = None, reason: str = ""
) -> None:
    """Give another code or address on the last page, also to whoever has finished and comes back to it."""
    locked = locked_study(study)
    before, after = completion_of(locked), {"completion_code": completion_code, "completion_url": completion_url}
    if before == after:
        raise NotPossible("The last page shows this already; nothing has changed.")
    Study.objects.filter(pk=study.pk).update(**after)
    changed = [name for name in COMPLETION if before[name] != after[name]]
    was, becomes = ({name: texts[name] for name in changed} for texts in (before, after))
    record_change(locked, StudyChange.Kind.COMPLETION, before=was, after=becomes, by=by, reason=reason)
    study.refresh_from_db(fields=COMPLETION)


def _in_order(items: QuerySet[Item]) -> QuerySet[Item]:
    """The same items, for an update of many: locked by their ids first.

    Whoever gives back several pairs locks them in the same order, so neither waits for the other in a circle.
    """
    return Item.objects.filter(pk__in=items.order_by("pk").select_for_update(no_key=True).values("pk"))
