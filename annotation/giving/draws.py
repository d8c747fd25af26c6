"""Which item a position of a session gets.

A draw starts at a place on the ring that seed and position decide, among the items with the fewest holders, and takes
the first that a rule allows, wrapping round. The rules are relaxed in the order in which `Draws` asks them; the two
that are never relaxed are that nobody gets an item twice (repeats aside, which are planned) and that no HA1 study shows
a picture whose original this person has seen.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from annotation.giving.order import Purpose, draw_start, lot, purpose_at, session_purposes
from annotation.giving.person import Person
from annotation.sql import fetch_all, fetch_one
from datasets.models.releases import Mode

TRIES = 8  # looks at the places with the fewest holders, where others were faster each time

# Conditions on an item `i`. Nested, and with an offset of nothing, so that both databases ask an index for one pair at
# a time, however long the person's history is: PostgreSQL would make a join of it and might read all of the history.
ONE = " LIMIT 1 OFFSET 0)"
_OF_SAME_ORIGINAL = (
    'EXISTS (SELECT 1 FROM annotation_item h WHERE h.study_id = i.study_id AND h."group" = i."group" AND '
)
MINE = "EXISTS (SELECT 1 FROM annotation_assignment a WHERE a.participation_id = %s AND a.item_id = "
NOT_MINE = "NOT " + MINE + "i.id" + ONE
NEW_ORIGINAL = "NOT " + _OF_SAME_ORIGINAL + MINE + "h.id" + ONE + ONE
APART = NOT_MINE + " AND NOT " + _OF_SAME_ORIGINAL + MINE + "h.id AND a.position >= %s" + ONE + ONE

# Nobody judges a picture alone whose original they have seen, or will: HA1 leaves out what this person holds or was
# shown in HA2, and HA2 what they hold in HA1, in any study of the project.
_UNSPOILT = """NOT EXISTS (
  SELECT 1 FROM annotation_participation o
  JOIN annotation_study s ON s.id = o.study_id AND s.mode = %s
  JOIN annotation_item h ON h.study_id = s.id AND h."group" = i."group"
  JOIN annotation_assignment a ON a.participation_id = o.id AND a.item_id = h.id
  WHERE o.annotator_id = %s AND """
UNSPOILT = {
    Mode.HA1: (Mode.HA2, _UNSPOILT + "(a.served_at IS NOT NULL OR a.returned_at IS NULL))"),
    Mode.HA2: (Mode.HA1, _UNSPOILT + "a.answered_at IS NULL AND a.returned_at IS NULL)"),
}

ITEM = "SELECT i.id FROM annotation_item i WHERE i.study_id = %s AND i.state = 'open' AND "
_WANTING = "i.n_held < i.goal AND "
FEWEST = ITEM.replace("i.id", "i.n_held", 1) + _WANTING + "i.n_held >= %s AND "
FIRST = ITEM + _WANTING + "i.n_held = %s AND i.shuffle >= %s AND "
WIDEST = ITEM + _WANTING + "i.priority IS NOT NULL AND NOT i.is_core AND "
CHECK = ITEM + "NOT (i.role = 'main') AND i.role = %s AND i.shuffle >= %s AND "
BY_SHUFFLE = " ORDER BY i.shuffle LIMIT 1 "
# Where no place is taken, and so no row changed: whoever marks the pair meanwhile (marks.py) would see that nobody has
# been given it, and make it something else. They lock its row and are passed by, or wait until the pair is given.
UNMARKED = "{skip_being_marked}"

# Where many pairs want ratings some are looked at: should these be of few originals by chance, nothing is lost.
WANTED = """SELECT COUNT(DISTINCT "group"), COUNT(*) FROM (
  SELECT i."group" FROM annotation_item i WHERE i.study_id = %s AND i.state = 'open' AND i.n_held < i.goal
  LIMIT %s) wanting"""
LOOKED_AT = 3  # pairs that want ratings, for each of a session's
SATED = ITEM + "i.role = 'main' AND i.n_held >= i.goal AND "
BY_ORIGINAL = ' AND i."group" >= %s ORDER BY i."group" LIMIT 1 '
NO_VERSION_WANTED = """NOT EXISTS (SELECT 1 FROM annotation_item w
  WHERE w.study_id = i.study_id AND w."group" = i."group" AND w.n_held < w.goal AND w.state = 'open')"""

AGAIN = """
SELECT a.item_id FROM annotation_assignment a
WHERE a.participation_id = %s AND a.position >= %s AND a.position <= %s AND a.purpose = 'main'
AND a.skipped_at IS NULL
AND (a.answered_at IS NOT NULL OR a.returned_at IS NULL)
AND EXISTS (SELECT 1 FROM annotation_item i WHERE i.id = a.item_id AND i.state = 'open')
AND NOT EXISTS (SELECT 1 FROM annotation_assignment r
  WHERE r.participation_id = a.participation_id AND r.item_id = a.item_id AND r.occurrence = 1)
ORDER BY a.position LIMIT 1"""


@dataclass(frozen=True)
class Draw:
    item: int
    purpose: str
    reason: str  # the rule that allowed the item
    start: int | None = None  # where on the ring the draw began
    n_held: int | None = None  # the fewest holders it saw


@dataclass(frozen=True)
class Rule:
    """A condition on an item, with its parameters; its name is the reason of an assignment."""

    name: str
    condition: str
    parameters: tuple[Any, ...]


def unspoilt(person: Person, rule: Rule) -> Rule:
    """The rule, for somebody who may take part in other studies of the project too."""
    if not person.is_member:
        return rule
    other_mode, condition = UNSPOILT[Mode(person.mode)]
    return Rule(rule.name, f"{rule.condition} AND {condition}", (*rule.parameters, other_mode, person.annotator))


class Draws:
    """The draws of one person in one transaction."""

    def __init__(self, person: Person, *, may_wait: bool) -> None:
        self.person = person
        self.may_wait = may_wait
        self._strictest = unspoilt(person, Rule("new original", NEW_ORIGINAL, (person.pk,)))
        self._any_version = unspoilt(person, Rule("any version", NOT_MINE, (person.pk,)))
        # The fewest holders of an item that the strictest rule allows; None when it allows none. Within the
        # transaction it allows fewer and fewer.
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

    @cached_property
    def _wanted(self) -> tuple[int, int]:
        """How many originals, and pairs, want ratings; at least, where there are many."""
        [[n_originals, n_pairs]] = fetch_all(WANTED, self.person.study, LOOKED_AT * self.person.n_planned)
        return n_originals, n_pairs

    @property
    def _few_are_wanted(self) -> bool:
        n_originals, _ = self._wanted
        return n_originals < self.person.n_planned

    @cached_property
    def _unwanted(self) -> list[Rule]:
        """For a pair that does not count where few originals want ratings: best none of theirs.

        Whoever warmed up on the last pairs could not rate them so that it counts, and neither could the next person.
        Where versions never come again, other originals are the only ones.
        """
        unwanted = f"{self._strictest.condition} AND {NO_VERSION_WANTED}"
        apart = Rule(self._strictest.name, unwanted, self._strictest.parameters)
        return [apart, self._strictest, self._any_version] if self.person.has_few_originals else [apart]

    def _warm_up(self, start: int, position: int) -> Draw | None:
        if not self._few_are_wanted:
            return self._counting(Purpose.WARM_UP, start, position)
        for rule in self._unwanted:
            for begin in (f"{start:08x}", ""):
                which = SATED + rule.condition + BY_ORIGINAL + UNMARKED
                row = fetch_one(which, self.person.study, *rule.parameters, begin)
                if row:
                    return Draw(int(row[0]), Purpose.WARM_UP, rule.name, start)
        n_warm_ups = session_purposes(self.person.plan, self.person.seed).count(Purpose.WARM_UP)
        if self.person.has_few_originals and self._wanted[1] > n_warm_ups:
            return self._counting(Purpose.WARM_UP, start, position)
        return None

    def _counting(self, purpose: str, start: int, position: int) -> Draw | None:
        if self._fewest is not None:
            draw, self._fewest = self._first(purpose, self._strictest, start, self._fewest)
            if draw:
                return draw
        for rule in self._relaxed(position):
            draw, _ = self._first(purpose, rule, start, 0)
            if draw:
                return draw
        return None

    def _relaxed(self, position: int) -> Iterator[Rule]:
        """The rules after the strictest, in a study that has too few originals for a session."""
        person = self.person
        if person.has_few_originals:
            yield unspoilt(person, Rule("spaced", APART, (person.pk, person.pk, position - person.spacing)))
            yield unspoilt(person, Rule("not in a row", APART, (person.pk, person.pk, position - 1)))
            yield self._any_version

    def _first(self, purpose: str, rule: Rule, start: int, fewest: int) -> tuple[Draw | None, int | None]:
        """Of the items with the fewest holders, at least so many, the first at or after the start, wrapping round."""
        study = self.person.study
        level: int | None = fewest
        n_lost = 0
        while level is not None:
            for begin in (start, 0):
                which = FIRST + rule.condition + BY_SHUFFLE
                if item := self._take(purpose, which, study, level, begin, *rule.parameters):
                    return Draw(item, purpose, rule.name, start, level), level
            # Who has waited for a place that another took in the end looks at the same level again, but not for ever.
            n_lost += 1
            at_least = level if self.may_wait and n_lost < TRIES else level + 1
            statement = FEWEST + rule.condition + " ORDER BY i.n_held LIMIT 1"
            row = fetch_one(statement, study, at_least, *rule.parameters)
            level = row[0] if row else None
        return None, None

    def _favoured(self, start: int, position: int) -> Draw | None:
        """The pair whose score is least sure, where the study asks for it; never of the core."""
        person = self.person
        if not person.favours_wide or lot(person.seed, position, "core") % 100 < person.core_percent:
            return None
        rule = self._strictest
        which = WIDEST + rule.condition + " ORDER BY i.priority DESC, i.shuffle LIMIT 1 "
        item = self._take(Purpose.MAIN, which, person.study, *rule.parameters)
        return Draw(item, Purpose.MAIN, "least sure", start) if item else None

    def _take(self, purpose: str, which: str, *parameters: Any) -> int | None:
        """The item, with one of its places taken where the answer will count."""
        if purpose == Purpose.MAIN:
            row = fetch_one(TAKE.replace("(which)", f"({which}{lock_of(self.may_wait)})"), *parameters)
        else:
            row = fetch_one(which + UNMARKED, *parameters)
        return int(row[0]) if row else None

    def _check(self, purpose: str, start: int) -> Draw | None:
        person = self.person
        for rule in self._unwanted if self._few_are_wanted else (self._strictest, self._any_version):
            for begin in (start, 0):
                which = CHECK + rule.condition + BY_SHUFFLE + UNMARKED
                row = fetch_one(which, person.study, purpose, begin, *rule.parameters)
                if row:
                    return Draw(int(row[0]), purpose, purpose, start)
        return None

    def _repeat(self, position: int) -> Draw | None:
        """A pair that this person was given long enough before, and not twice yet."""
        person = self.person
        first = person.n_practice + person.n_warm_up + 1
        last = position - person.repeat_distance
        if last < first:
            return None
        start = first + lot(person.seed, position) % (last - first + 1)
        row = fetch_one(AGAIN, person.pk, start, last) or fetch_one(AGAIN, person.pk, first, start)
        return Draw(int(row[0]), Purpose.REPEAT, "repeat", start) if row else None


def lock_of(may_wait: bool) -> str:
    """How an item is chosen whose place is then taken.

    Rows that others are just taking are skipped: who holds one item and waited for another could wait in a circle. A
    draw that holds nothing yet chooses without a lock, so that it waits at the update, for one row: nobody hears "no
    more" while others merely look.
    """
    return "" if may_wait else "{skip_locked}"


TAKE = "UPDATE annotation_item SET n_held = n_held + 1 WHERE id = (which) AND n_held < goal RETURNING id"
