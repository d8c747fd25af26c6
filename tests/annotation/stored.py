"""Everything that is stored of some studies at one moment, and the rules of giving pairs out: worked out in plain
Python, from the rows alone.
"""

from dataclasses import dataclass, fields
from datetime import datetime
from functools import cached_property
from uuid import UUID

from django.utils import timezone

from annotation.models.people import Annotator, Participation
from annotation.models.ratings import Assignment, Revision
from annotation.models.studies import Item, Study


@dataclass(frozen=True)
class Given:
    """An assignment with what was said of it."""

    pk: int
    person: int
    item: int
    public_id: UUID
    purpose: str
    occurrence: int
    position: int
    reason: str
    draw_n_held: int | None
    served_at: datetime | None
    painted_at: datetime | None
    answered_at: datetime | None
    returned_at: datetime | None
    skipped_at: datetime | None
    score: int | None
    is_late: bool | None

    @property
    def is_held(self) -> bool:
        return self.answered_at is None and self.returned_at is None

    @property
    def is_lost(self) -> bool:
        """Given back unanswered; its person may get it again."""
        return self.answered_at is None and self.returned_at is not None and self.skipped_at is None

    @property
    def is_given_up(self) -> bool:
        """Given back unanswered, whether its person may get it again or not."""
        return self.answered_at is None and self.returned_at is not None


@dataclass(frozen=True)
class Person:
    """A participation."""

    pk: int
    study_id: int
    annotator_id: int
    seed: int
    n_planned: int
    n_answered: int
    leased_until: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True)
class Place:
    """A pair in a study."""

    pk: int
    study_id: int
    group: str
    role: str
    state: str
    goal: int
    n_held: int
    n_rated: int


GIVEN = ["pk", "participation_id", "item_id", *[each.name for each in fields(Given)[3:-2]]]
GIVEN += ["rating__score", "rating__is_late"]
PERSON = [each.name for each in fields(Person)]
PLACE = [each.name for each in fields(Place)]


@dataclass(frozen=True, eq=False)
class Stored:
    """Everything at one moment. Small enough to be read whole after each step."""

    studies: dict[int, Study]
    items: dict[int, Place]
    people: dict[int, Person]
    given: dict[int, Given]
    revisions: dict[int, list[tuple[int, UUID, int]]]  # of an assignment: number, key, score
    n_annotators: int
    at: datetime

    @cached_property
    def _by_person(self) -> dict[int, list[Given]]:
        found: dict[int, list[Given]] = {}
        for each in sorted(self.given.values(), key=lambda each: each.position):
            found.setdefault(each.person, []).append(each)
        return found

    def of(self, person: int) -> list[Given]:
        """What somebody was ever given, in order."""
        return self._by_person.get(person, [])

    def groups_of(self, person: int) -> set[str]:
        return {self.group(each) for each in self.of(person)}

    def left_behind(self, study: int) -> set[int]:
        """Whose time has run out while they hold pairs: these are anybody's."""
        late = [pk for pk, row in self.people.items() if row.leased_until and row.leased_until < self.at]
        late = [pk for pk in late if self.people[pk].study_id == study]
        return {pk for pk in late if any(each.is_held for each in self.of(pk))}

    def group(self, given: Given) -> str:
        return self.items[given.item].group

    def mode(self, person: int) -> str:
        return self.studies[self.people[person].study_id].mode

    def n_originals(self, study: int) -> int:
        return len({each.group for each in self.main_items(study) if each.state == Item.State.OPEN})

    def main_items(self, study: int) -> list[Place]:
        return [each for each in self.items.values() if each.study_id == study and each.role == Item.Role.MAIN]

    def elsewhere(self, person: int, mode: str) -> list[Given]:
        """What the same human being was given in this mode, in any study of the project."""
        annotator = self.people[person].annotator_id
        same = {each.pk for each in self.people.values() if each.annotator_id == annotator}
        return [each for each in self.given.values() if each.person in same and self.mode(each.person) == mode]


def stored() -> Stored:
    revisions: dict[int, list[tuple[int, UUID, int]]] = {}
    said = Revision.objects.order_by("number").values_list("rating__assignment_id", "number", "key", "score")
    for assignment, *revision in said:
        revisions.setdefault(assignment, []).append(tuple(revision))
    return Stored(
        at=timezone.now(),
        studies=Study.objects.in_bulk(),
        items={row[0]: Place(*row) for row in Item.objects.values_list(*PLACE)},
        people={row[0]: Person(*row) for row in Participation.objects.values_list(*PERSON)},
        given={row[0]: Given(*row) for row in Assignment.objects.values_list(*GIVEN)},
        revisions=revisions,
        n_annotators=Annotator.objects.count(),
    )


# The rules, in plain Python ---------------------------------------------------------------------------------------


def is_spoilt(state: Stored, person: int, group: str) -> bool:
    """Whether a picture of this original would be judged by somebody who knows the original, or is about to."""
    if state.mode(person) == "HA1":
        beside = state.elsewhere(person, "HA2")
        return any(state.group(each) == group and (each.served_at or not each.returned_at) for each in beside)
    return any(state.group(each) == group and each.is_held for each in state.elsewhere(person, "HA1"))


def may_see(state: Stored, person: int, item: Place) -> bool:
    """Whether this person has not been given the item, nor its original where there are enough originals."""
    mine = state.of(person)
    if item.pk in {each.item for each in mine}:
        return False
    row = state.people[person]
    has_few = state.n_originals(row.study_id) < row.n_planned
    return has_few or item.group not in {state.group(each) for each in mine}


def allowed(state: Stored, person: int) -> list[Place]:
    """The pairs that count and that this person could be given now."""
    study = state.people[person].study_id
    lost = {each.item for each in state.of(person) if each.is_lost and not each.occurrence}
    return [
        item
        for item in state.main_items(study)
        if item.state == Item.State.OPEN
        and item.n_held < item.goal
        and (item.pk in lost or may_see(state, person, item))
        and not is_spoilt(state, person, item.group)
    ]


def awaited(state: Stored, person: int) -> list[Place]:
    """The pairs that count and may yet be free for this person, whoever holds them now."""
    unanswered = {each.item for each in state.of(person) if not each.answered_at and not each.skipped_at}
    return [
        item
        for item in state.main_items(state.people[person].study_id)
        if item.state == Item.State.OPEN
        and item.n_rated < item.goal
        and (item.pk in unanswered or may_see(state, person, item))
        and not (state.mode(person) == "HA1" and is_spoilt(state, person, item.group))
    ]


# A step, from what was stored before it to what is now ---------------------------------------------------------------

# How early a rule stands among those that are tried one after the other.
NEW_ORIGINAL, SPACED, NOT_IN_A_ROW, ANY_VERSION = range(4)


@dataclass(frozen=True)
class Step:
    """One person acts at most; the time of others may run out."""

    before: Stored
    now: Stored

    def new_ones(self) -> list[Given]:
        return [each for pk, each in self.now.given.items() if pk not in self.before.given]

    def taken_again(self) -> list[Given]:
        """What had been lost and is its person's again."""
        held = [each for each in self.now.given.values() if each.is_held]
        return [each for each in held if (was := self.before.given.get(each.pk)) and was.returned_at]

    def passed_by(self, person: int, role: str = Item.Role.MAIN) -> list[Place]:
        """The pairs of a role that this person was not given, and could have been all along if there was a place."""
        study, mine = self.now.people[person].study_id, {each.item for each in self.now.of(person)}
        return [
            item
            for pk, item in self.now.items.items()
            if item.study_id == study
            and item.role == role
            and pk not in mine
            and (was := self.before.items.get(pk))
            and was.state == item.state == Item.State.OPEN
            and not any(self._is_spoilt(state, person, item.group) for state in (self.before, self.now))
        ]

    def of_new_originals(self, person: int, role: str) -> list[Place]:
        groups = self.now.groups_of(person)
        return [item for item in self.passed_by(person, role) if item.group not in groups]

    def sated(self, person: int, position: int) -> list[Place]:
        """New originals at this position that wanted no rating all the while."""
        before = self.before.items
        full = [each for each in self.passed_by(person) if before[each.pk].n_held >= before[each.pk].goal]
        full = [each for each in full if each.n_held >= each.goal]
        return [each for each in full if self.rank(person, each, position) == NEW_ORIGINAL]

    @staticmethod
    def _is_spoilt(state: Stored, person: int, group: str) -> bool:
        return person in state.people and is_spoilt(state, person, group)

    def rank(self, person: int, item: Place, position: int) -> int:
        """The first of the rules that would have given this person the item at this position."""
        mine = self.now.of(person)
        places = [each.position for each in mine if each.position < position and self.now.group(each) == item.group]
        if not places:
            return NEW_ORIGINAL
        distance = position - max(places)
        if distance > self.now.studies[self.now.people[person].study_id].spacing:
            return SPACED
        return NOT_IN_A_ROW if distance > 1 else ANY_VERSION

    def wanting(self, person: int) -> list[Place]:
        """Of those that were passed by: with a place. Places are taken by this person alone, so what has one before and
        is not theirs has one always."""
        before = self.before.items
        return [each for each in self.passed_by(person) if before[each.pk].n_held < before[each.pk].goal]
