"""Which item a position of a session gets.

A draw starts at a place on the ring that seed and position decide, among the items with the fewest holders, and takes
the first that a condition allows, wrapping round. The conditions are relaxed in the order in which `Draws` asks them;
the two that are never relaxed are that nobody gets an item twice (repeats aside, which are planned) and that no HA1
study shows a picture whose original this person has seen.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from annotation.giving import statements
from annotation.giving.order import Purpose, draw_start, lot, purpose_at, session_purposes
from annotation.giving.person import Person
from annotation.giving.statements import ANY_VERSION, NEW_AND_SATED, NEW_ORIGINAL, NOT_IN_A_ROW, SPACED, Condition
from annotation.sql import fetch_all, fetch_one, under
from datasets.models.releases import Mode

# After the strictest, in a study that has too few originals for a session.
RELAXED = (SPACED, NOT_IN_A_ROW, ANY_VERSION)
TRIES = 8  # looks at the places with the fewest holders, where others were faster each time
LOOKED_AT = 3  # pairs that want ratings, for each of a session's


@dataclass(frozen=True)
class Draw:
    item: int
    purpose: str
    reason: str  # the condition that allowed the item
    start: int | None = None  # where on the ring the draw began
    n_held: int | None = None  # the fewest holders it saw


class Draws:
    """The draws of one person in one transaction."""

    def __init__(self, person: Person, *, may_wait: bool) -> None:
        self.person = person
        self.may_wait = may_wait
        self._conditions = {"unspoilt": unspoilt(person), "lock": lock_of(may_wait)}
        # The fewest holders that a new original has; None when there is none. Ever fewer are new in the transaction.
        self._fewest: int | None = 0

    def at(self, position: int) -> Draw | None:
        """What the position is for, or a pair that counts where that cannot be had."""
        person = self.person
        purpose = purpose_at(person.plan, person.seed, position)
        start = draw_start(person.seed, position)
        if purpose == Purpose.REPEAT and (draw := self._repeat(position)):
            return draw
        if purpose in (Purpose.CHECK, Purpose.PRACTICE) and (draw := self._check(purpose, start)):
            return draw
        if purpose == Purpose.WARM_UP and (draw := self._warm_up(start, position)):
            return draw
        return self._favoured(start, position) or self._counting(Purpose.MAIN, start, position)

    def has_counting(self) -> bool:
        """Whether there is a pair that would count, for a session of its own."""
        allowed = (NEW_ORIGINAL, ANY_VERSION) if self.person.has_few_originals else (NEW_ORIGINAL,)
        return any(self._fetch(statements.FEWEST, each, n_held=0) is not None for each in allowed)

    def _fetch(self, statement: str, condition: Condition, **values: Any) -> Any:
        """What a draw finds under a condition: the first cell of its row, or None."""
        whole = under(statement, allowed=condition.sql, **self._conditions)
        row = fetch_one(whole, **self.person.named, **values)
        return row[0] if row else None

    @cached_property
    def _wanted(self) -> tuple[int, int]:
        """How many originals, and pairs, want ratings; at least, where there are many."""
        n_looked_at = LOOKED_AT * self.person.n_planned
        [[n_originals, n_pairs]] = fetch_all(statements.WANTED, study=self.person.study, n=n_looked_at)
        return n_originals, n_pairs

    @property
    def _few_are_wanted(self) -> bool:
        n_originals, _ = self._wanted
        return n_originals < self.person.n_planned

    @property
    def _sated(self) -> tuple[Condition, ...]:
        """For a pair that does not count where few originals want ratings: best none of theirs.

        Whoever warmed up on the last pairs could not rate them so that it counts, and neither could the next person.
        Where versions never come again, other originals are the only ones.
        """
        return (NEW_AND_SATED, NEW_ORIGINAL, ANY_VERSION) if self.person.has_few_originals else (NEW_AND_SATED,)

    def _warm_up(self, start: int, position: int) -> Draw | None:
        if not self._few_are_wanted:
            return self._counting(Purpose.WARM_UP, start, position)
        for condition in self._sated:
            for begin in (f"{start:08x}", ""):
                if item := self._fetch(statements.SATED, condition, from_group=begin):
                    return Draw(item, Purpose.WARM_UP, condition.name, start)
        n_warm_ups = session_purposes(self.person.plan, self.person.seed).count(Purpose.WARM_UP)
        if self.person.has_few_originals and self._wanted[1] > n_warm_ups:
            return self._counting(Purpose.WARM_UP, start, position)
        return None

    def _counting(self, purpose: str, start: int, position: int) -> Draw | None:
        if self._fewest is not None:
            draw, self._fewest = self._first(purpose, NEW_ORIGINAL, start, position, self._fewest)
            if draw:
                return draw
        for condition in RELAXED if self.person.has_few_originals else ():
            draw, _ = self._first(purpose, condition, start, position, 0)
            if draw:
                return draw
        return None

    def _first(
        self, purpose: str, condition: Condition, start: int, position: int, fewest: int
    ) -> tuple[Draw | None, int | None]:
        """Of the items with the fewest holders, at least so many, the first at or after the start, wrapping round.

        With one of its places taken where the answer will count.
        """
        first = statements.TAKE_FIRST if purpose == Purpose.MAIN else statements.FIRST
        level: int | None = fewest
        n_lost = 0
        while level is not None:
            for begin in (start, 0):
                if item := self._fetch(first, condition, position=position, n_held=level, start=begin):
                    return Draw(item, purpose, condition.name, start, level), level
            # Who has waited for a place that another took in the end looks at the same level again, but not for ever.
            n_lost += 1
            at_least = level if self.may_wait and n_lost < TRIES else level + 1
            level = self._fetch(statements.FEWEST, condition, position=position, n_held=at_least)
        return None, None

    def _favoured(self, start: int, position: int) -> Draw | None:
        """The pair whose score is least sure, where the study asks for it; never of the core."""
        person = self.person
        if not person.favours_wide or lot(person.seed, position, "core") % 100 < person.core_percent:
            return None
        item = self._fetch(statements.TAKE_WIDEST, NEW_ORIGINAL)
        return Draw(item, Purpose.MAIN, "least sure", start) if item else None

    def _check(self, purpose: str, start: int) -> Draw | None:
        for condition in self._sated if self._few_are_wanted else (NEW_ORIGINAL, ANY_VERSION):
            for begin in (start, 0):
                if item := self._fetch(statements.CHECK, condition, role=purpose, start=begin):
                    return Draw(item, purpose, purpose, start)
        return None

    def _repeat(self, position: int) -> Draw | None:
        """A pair that this person was given long enough before, and not twice yet."""
        plan = self.person.plan
        first = plan.n_practice + plan.n_warm_up + 1
        last = position - plan.repeat_distance
        if last < first:
            return None
        start = first + lot(self.person.seed, position) % (last - first + 1)
        for begin, end in ((start, last), (first, start)):
            if row := fetch_one(statements.AGAIN, participation=self.person.pk, first=begin, last=end):
                return Draw(row[0], Purpose.REPEAT, "repeat", start)
        return None


def unspoilt(person: Person) -> str:
    """The condition on items for somebody who may take part in other studies of the project too."""
    return statements.UNSPOILT[Mode(person.mode)] if person.is_member else statements.EVERY_ITEM


def lock_of(may_wait: bool) -> str:
    """How an item is chosen whose place is then taken.

    Rows that others are just taking are skipped: who holds one item and waited for another could wait in a circle. A
    draw that holds nothing yet chooses without a lock, so that it waits at the update, for one row: nobody hears "no
    more" while others merely look.
    """
    return "" if may_wait else "{skip_locked}"
