"""Which pair a person sees next, and how long it waits for them.

A person's pairs are drawn when they begin, the whole session at once where the study says so, and are held for them
until their time runs out without a sign of them. `Item.n_held` counts the main pairs that are held or answered and
never passes the goal by a draw: the update that takes a place names the goal in its condition, so of two people who
reach for the last place one finds no row.

Each draw starts at a place on the ring that seed and position decide, among the items with the fewest holders, and
takes the first that a rule allows, wrapping round. The rules are relaxed in the order in which `Draws` asks them; the
two that are never relaxed are that nobody gets an item twice (repeats aside, which are planned) and that no HA1
study shows a picture whose original this person has seen.

Locks (PostgreSQL; on SQLite every transaction here is alone): whoever writes to the assignments of a participation
holds its row and, for a member, the annotator's, so that of two studies at once each sees what the other has given.
Item rows come after these: they are taken without waiting by whoever may hold another one already, and in the order of
their ids by those who give many back, so that nobody waits in a circle.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now

from annotation.models.people import Participation
from annotation.models.ratings import Assignment
from annotation.models.studies import Study
from annotation.order import Purpose, SessionPlan, draw_start, lot, original_side, purpose_at
from annotation.sql import change, fetch_all, fetch_one, prefer_indexes, uuid_text, uuid_value
from datasets.models.releases import Mode

TRIES = 8  # looks at the places with the fewest holders, where others were faster each time
BATCH = 20  # draws in one transaction: some milliseconds, so that nobody who rates has to wait


class ParticipationErased(Exception):
    """The participation was erased while its owner was asking for pairs."""


@dataclass(frozen=True)
class Lease:
    """One pair that a person holds, with what the page needs to show it."""

    pk: int
    item: int
    public_id: str
    position: int
    purpose: str
    original_side: str
    original_key: str | None
    anonymized_key: str
    is_served: bool
    instructed_score: int | None
    anonymized_size: tuple[int, int]  # width, height in pixels
    original_size: tuple[int, int] | None


@dataclass(frozen=True)
class Session:
    """Where a participation stands: the pairs that are in front of the person, in order, and how far it has come."""

    person: "Person"
    leases: list[Lease]
    is_finished: bool

    @property
    def n_done(self) -> int:
        return self.person.n_answered

    @property
    def n_planned(self) -> int:
        return self.person.n_planned


@dataclass
class Person:
    """A participation whose row is locked, and the rules of its study."""

    pk: int
    public_id: UUID | str  # as the database stores it
    study: int
    annotator: int
    seed: int
    n_planned: int
    n_answered: int
    has_ended: bool
    is_member: bool  # who may take part in other studies of the project too
    mode: str
    state: str
    window: int
    lease_seconds: int
    reserves_session: bool
    spacing: int
    side: str
    favours_wide: bool  # the study stops pairs adaptively or is ordered by a model
    core_percent: int
    n_practice: int
    n_warm_up: int
    n_checks: int
    repeat_percent: int
    repeat_distance: int

    @property
    def plan(self) -> SessionPlan:
        return SessionPlan(self.n_practice, self.n_warm_up, self.n_checks, self.repeat_percent, self.repeat_distance)

    @property
    def is_open(self) -> bool:
        return self.state == Study.State.OPEN

    @property
    def n_left(self) -> int:
        return self.n_planned - self.n_answered

    @cached_property
    def has_few_originals(self) -> bool:
        """Whether the study has fewer originals than the session has pairs: only then versions may come again."""
        groups = fetch_all(GROUPS, self.study, self.n_planned)
        return len(groups) < self.n_planned


LOCK = """
SELECT p.id, p.public_id, p.study_id, p.annotator_id, p.seed, p.n_planned, p.n_answered,
  p.finished_at IS NOT NULL OR p.withdrawn_at IS NOT NULL,
  n.user_id IS NOT NULL,
  s.mode, s.state, s."window", s.lease_seconds, s.reserves_session, s.spacing, s.side,
  s.stops_adaptively OR s.is_ordered_by_model, s.core_percent,
  s.n_practice, s.n_warm_up, s.n_checks, s.repeat_percent, s.repeat_distance
FROM annotation_participation p
JOIN annotation_annotator n ON n.id = p.annotator_id
JOIN annotation_study s ON s.id = p.study_id
WHERE p.id = %s {lock_participation}"""

LOCK_ANNOTATOR = "SELECT id FROM annotation_annotator WHERE id = %s {lock}"

GROUPS = """
SELECT DISTINCT "group" FROM annotation_item WHERE study_id = %s AND role = 'main' AND state = 'open' LIMIT %s"""

_HELD = """
SELECT a.id, a.item_id, a.public_id, a.position, a.purpose, a.original_side, a.original_key, a.anonymized_key,
  a.served_at IS NOT NULL, i.instructed_score, shown.width, shown.height, beside.width, beside.height
FROM annotation_assignment a
JOIN annotation_item i ON i.id = a.item_id
JOIN datasets_pair pair ON pair.id = i.pair_id
JOIN datasets_image shown ON shown.id = pair.anonymized_id
LEFT JOIN datasets_image beside ON beside.id = pair.original_id AND a.original_key IS NOT NULL
WHERE a.participation_id = %s AND a.answered_at IS NULL AND a.returned_at IS NULL"""
HELD = _HELD + " ORDER BY a.position LIMIT %s"
HELD_AND_SERVED = _HELD + " AND a.served_at IS NOT NULL ORDER BY a.position LIMIT %s"

COUNT_HELD = """
SELECT COUNT(*) FROM annotation_assignment
WHERE participation_id = %s AND answered_at IS NULL AND returned_at IS NULL"""

LAST_POSITION = "SELECT COALESCE(MAX(position), 0) FROM annotation_assignment WHERE participation_id = %s"

SERVE = """
UPDATE annotation_assignment SET served_at = {now} WHERE participation_id = %s AND answered_at IS NULL
AND returned_at IS NULL AND served_at IS NULL AND position BETWEEN %s AND %s"""

RENEW = "UPDATE annotation_participation SET n_answered = %s, leased_until = {in_seconds} WHERE id = %s"

FINISH = """
UPDATE annotation_participation SET n_answered = %s,
  finished_at = CASE WHEN withdrawn_at IS NULL THEN COALESCE(finished_at, {now}) ELSE finished_at END
WHERE id = %s"""


def locked(participation: int) -> Person:
    """The participation, held until the transaction ends: of two tabs the second waits here. Call within `atomic`."""
    row = fetch_one(LOCK, participation)
    if row is None:
        raise ParticipationErased
    person = Person(*row)
    if person.is_member:
        fetch_one(LOCK_ANNOTATOR, person.annotator)
    return person


def next_pairs(participation: Participation) -> Session:
    """Renew what this participation holds, top it up, and finish it after its last pair.

    The last is the last of the session, or the last that an open study has for this person.
    """
    with transaction.atomic():
        session = served(locked(participation.pk))
    return settled(session)


def settled(session: Session) -> Session:
    """The same, after what needs a transaction of its own: a look at places nobody came back for, and the end."""
    if not session.leases and not session.is_finished:
        session = _second_look(session.person)
    if session.is_finished:
        give_back(session.person.pk)
    return session


def _second_look(waiting: Person) -> Session:
    """For whoever got nothing: first wait for the rows that were skipped, then take what others have left behind."""
    session = _looked_again(waiting)
    while not session.leases and not session.is_finished and return_expired_leases(waiting.study):
        session = _looked_again(waiting)
    if session.leases or session.is_finished:
        return session
    with transaction.atomic():
        person = locked(waiting.pk)
        if not person.is_open or _may_still_come(person):
            return session
        _finish(person)
    return Session(person, [], is_finished=True)


def _looked_again(person: Person) -> Session:
    with transaction.atomic():
        return served(locked(person.pk), may_wait=True)


def served(person: Person, *, may_wait: bool = False) -> Session:
    """The pairs in front of a locked person, each noted as sent; the session's end if it was the last one."""
    if person.has_ended or person.n_left <= 0:
        _finish(person)
        return Session(person, [], is_finished=True)
    n_shown = min(person.window, person.n_left)
    leases = _held(person, n_shown)
    if len(leases) < n_shown and person.is_open and top_up(person, may_wait=may_wait):
        leases = _held(person, n_shown)
    if not all(lease.is_served for lease in leases):
        change(SERVE, person.pk, leases[0].position, leases[-1].position)
    change(RENEW, person.n_answered, person.lease_seconds, person.pk)
    return Session(person, leases, is_finished=False)


def _held(person: Person, n: int) -> list[Lease]:
    """The first of the pairs this person holds. Of a study that is not open, only those they may have seen."""
    statement = HELD if person.is_open else HELD_AND_SERVED
    return [
        Lease(
            pk=pk,
            item=item,
            public_id=uuid_text(public_id),
            position=position,
            purpose=purpose,
            original_side=side,
            original_key=uuid_text(original_key) if original_key else None,
            anonymized_key=uuid_text(anonymized_key),
            is_served=bool(is_served),
            instructed_score=instructed_score,
            anonymized_size=(width, height),
            original_size=(original_width, original_height) if original_width else None,
        )
        for (
            pk,
            item,
            public_id,
            position,
            purpose,
            side,
            original_key,
            anonymized_key,
            is_served,
            instructed_score,
            width,
            height,
            original_width,
            original_height,
        ) in fetch_all(statement, person.pk, n)
    ]


# The block --------------------------------------------------------------------------------------------------------


def reserve_session(participation: Participation) -> None:
    """Set a session's pairs aside, in transactions of some milliseconds. The session gets shorter where the study has
    no more for this person, so that whoever begins knows what they will have done at the end."""
    while reserve_batch(participation) == BATCH:
        pass
    while reserve_batch(participation, may_wait=True):  # one by one, where others were just choosing
        pass
    with transaction.atomic():
        person = locked(participation.pk)
        [[n_held]] = fetch_all(COUNT_HELD, person.pk)
        if person.reserves_session and n_held < person.n_left:
            participation.n_planned = person.n_answered + n_held
            participation.save(update_fields=["n_planned"])


def reserve_first(participation: Participation) -> bool:
    """Set a session's first pairs aside; whether there are any. Who finds only rows that others hold waits for one."""
    return bool(reserve_batch(participation) or reserve_batch(participation, may_wait=True))


def reserve_batch(participation: Participation, *, may_wait: bool = False) -> int:
    """Set the next pairs of a session aside; how many, at most BATCH."""
    with transaction.atomic():
        person = locked(participation.pk)
        n_added = top_up(person, may_wait=may_wait)
        change(RENEW, person.n_answered, person.lease_seconds, person.pk)
    return n_added


def top_up(person: Person, *, may_wait: bool = False) -> int:
    """Take again what was returned, then draw, a batch at most; how many pairs were added."""
    wanted = person.n_left if person.reserves_session else min(person.window, person.n_left)
    [[n_held]] = fetch_all(COUNT_HELD, person.pk)
    wanted = min(wanted - n_held, 1 if may_wait else BATCH)
    n_added = _retake(person, wanted, may_wait=may_wait) if wanted > 0 else 0
    if n_added >= wanted:
        return n_added
    prefer_indexes()
    [[position]] = fetch_all(LAST_POSITION, person.pk)
    # Who draws ahead of need leaves the last place of an item to those who have nothing; a reserved session is needed.
    draws = Draws(person, may_wait=may_wait)
    while n_added < wanted:
        position += 1
        draws.is_ahead = not person.reserves_session and n_held + n_added > 0
        if (draw := draws.at(position)) is None:
            break
        _assign(person, draw, position)
        n_added += 1
    return n_added


@dataclass(frozen=True)
class Draw:
    item: int
    purpose: str
    reason: str  # the rule that allowed the item
    start: int | None = None  # where on the ring the draw began
    n_held: int | None = None  # the fewest holders it saw


ASSIGN = """
INSERT INTO annotation_assignment (public_id, item_id, participation_id, occurrence, purpose, position, original_side,
  reason, draw_start, draw_n_held, original_key, anonymized_key, reserved_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, {now})"""


def _assign(person: Person, draw: Draw, position: int) -> None:
    change(
        ASSIGN,
        uuid_value(uuid4()),
        draw.item,
        person.pk,
        int(draw.purpose == Purpose.REPEAT),
        draw.purpose,
        position,
        original_side(person.side, person.seed, position),
        draw.reason,
        draw.start,
        draw.n_held,
        uuid_value(uuid4()) if person.mode == Mode.HA2 else None,  # an original has no address at all in HA1
        uuid_value(uuid4()),
    )


# Drawing ----------------------------------------------------------------------------------------------------------

# Conditions on an item `i`. Nested, and with an offset of nothing, so that both databases ask an index for one pair at
# a time, however long the person's history is: PostgreSQL would make a join of it and might read all of the history.
_ONE = " LIMIT 1 OFFSET 0)"
_OF_SAME_ORIGINAL = (
    'EXISTS (SELECT 1 FROM annotation_item h WHERE h.study_id = i.study_id AND h."group" = i."group" AND '
)
_MINE = "EXISTS (SELECT 1 FROM annotation_assignment a WHERE a.participation_id = %s AND a.item_id = "
NOT_MINE = "NOT " + _MINE + "i.id" + _ONE
NEW_ORIGINAL = "NOT " + _OF_SAME_ORIGINAL + _MINE + "h.id" + _ONE + _ONE
APART = NOT_MINE + " AND NOT " + _OF_SAME_ORIGINAL + _MINE + "h.id AND a.position >= %s" + _ONE + _ONE

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

_ITEM = "SELECT i.id FROM annotation_item i WHERE i.study_id = %s AND i.state = 'open' AND "
# The first condition is the index's own; the second leaves a place to others, for who draws ahead.
_WANTING = "i.n_held < i.goal AND i.n_held < i.goal - %s AND "
FEWEST = _ITEM.replace("i.id", "i.n_held", 1) + _WANTING + "i.n_held >= %s AND "
FIRST = _ITEM + _WANTING + "i.n_held = %s AND i.shuffle >= %s AND "
WIDEST = _ITEM + _WANTING + "i.priority IS NOT NULL AND NOT i.is_core AND "
CHECK = _ITEM + "NOT (i.role = 'main') AND i.role = %s AND i.shuffle >= %s AND "
BY_SHUFFLE = " ORDER BY i.shuffle LIMIT 1 "

# The last originals that want ratings are too few to warm up on: a person rates one version of each, as warm-up or so
# that it counts. Pairs that want none are walked by their originals. Where many pairs want ratings, some are looked at:
# should these be of few originals by chance, people warm up on other pairs than they might, and nothing is lost.
WANTED_ORIGINALS = """SELECT COUNT(DISTINCT "group") FROM (
  SELECT i."group" FROM annotation_item i WHERE i.study_id = %s AND i.state = 'open' AND i.n_held < i.goal
  LIMIT %s) wanting"""
LOOKED_AT = 3  # pairs that want ratings, for each of a session's
SATED = _ITEM + "i.role = 'main' AND i.n_held >= i.goal AND "
BY_ORIGINAL = ' AND i."group" >= %s ORDER BY i."group" LIMIT 1'
NO_VERSION_WANTED = """NOT EXISTS (SELECT 1 FROM annotation_item w
  WHERE w.study_id = i.study_id AND w."group" = i."group" AND w.n_held < w.goal)"""

AGAIN = """
SELECT a.item_id FROM annotation_assignment a
WHERE a.participation_id = %s AND a.position >= %s AND a.position <= %s AND a.purpose = 'main'
AND (a.answered_at IS NOT NULL OR a.returned_at IS NULL)
AND NOT EXISTS (SELECT 1 FROM annotation_assignment r
  WHERE r.participation_id = a.participation_id AND r.item_id = a.item_id AND r.occurrence = 1)
ORDER BY a.position LIMIT 1"""


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
        self.is_ahead = False
        self.may_wait = may_wait
        self._strictest = unspoilt(person, Rule("new original", NEW_ORIGINAL, (person.pk,)))
        # The fewest holders of an item that the strictest rule allows; None when it allows none. Within the
        # transaction it allows fewer and fewer.
        self._fewest: int | None = 0

    def at(self, position: int) -> Draw | None:
        """What the position is for, or a pair that counts where that cannot be had."""
        person = self.person
        purpose = purpose_at(person.plan, person.seed, person.n_planned, position)
        start = draw_start(person.seed, position)
        if purpose == Purpose.REPEAT and (draw := self._repeat(position)):
            return draw
        if purpose in (Purpose.CHECK, Purpose.PRACTICE) and (draw := self._check(purpose, start)):
            return draw
        if purpose == Purpose.WARM_UP:
            return self._sated(start) or self._counting(purpose, start, position)
        return self._favoured(start, position) or self._counting(Purpose.MAIN, start, position)

    @cached_property
    def _few_are_wanted(self) -> bool:
        [[n]] = fetch_all(WANTED_ORIGINALS, self.person.study, LOOKED_AT * self.person.n_planned)
        return bool(n < self.person.n_planned)

    def _sated(self, start: int) -> Draw | None:
        """For a warm-up where few pairs want ratings: one that wants none. Whoever warmed up on the last pairs could
        not rate them so that it counts, and neither could the next person."""
        if not self._few_are_wanted:
            return None
        strictest, mine = self._strictest, unspoilt(self.person, Rule("any version", NOT_MINE, (self.person.pk,)))
        apart = Rule(strictest.name, f"{strictest.condition} AND {NO_VERSION_WANTED}", strictest.parameters)
        for rule in (apart, strictest, mine):
            for begin in (f"{start:08x}", ""):
                row = fetch_one(SATED + rule.condition + BY_ORIGINAL, self.person.study, *rule.parameters, begin)
                if row:
                    return Draw(int(row[0]), Purpose.WARM_UP, rule.name, start)
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
            yield unspoilt(person, Rule("any version", NOT_MINE, (person.pk,)))

    def _first(self, purpose: str, rule: Rule, start: int, fewest: int) -> tuple[Draw | None, int | None]:
        """Of the items with the fewest holders, at least so many, the first at or after the start, wrapping round."""
        study, ahead = self.person.study, int(self.is_ahead)
        level: int | None = fewest
        n_lost = 0
        while level is not None:
            for begin in (start, 0):
                which = FIRST + rule.condition + BY_SHUFFLE
                if item := self._take(purpose, which, study, ahead, level, begin, *rule.parameters):
                    return Draw(item, purpose, rule.name, start, level), level
            # Who has waited for a place that another took in the end looks at the same level again, but not for ever.
            n_lost += 1
            at_least = level if self.may_wait and n_lost < TRIES else level + 1
            statement = FEWEST + rule.condition + " ORDER BY i.n_held LIMIT 1"
            row = fetch_one(statement, study, ahead, at_least, *rule.parameters)
            level = row[0] if row else None
        return None, None

    def _favoured(self, start: int, position: int) -> Draw | None:
        """The pair whose score is least sure, where the study asks for it; never of the core."""
        person = self.person
        if not person.favours_wide or lot(person.seed, position, "core") % 100 < person.core_percent:
            return None
        rule = self._strictest
        which = WIDEST + rule.condition + " ORDER BY i.priority DESC, i.shuffle LIMIT 1 "
        item = self._take(Purpose.MAIN, which, person.study, int(self.is_ahead), *rule.parameters)
        return Draw(item, Purpose.MAIN, "least sure", start) if item else None

    def _take(self, purpose: str, which: str, *parameters: Any) -> int | None:
        """The item, with one of its places taken where the answer will count."""
        if purpose == Purpose.MAIN:
            row = fetch_one(TAKE.replace("(which)", f"({which}{_lock(self.may_wait)})"), *parameters)
        else:
            row = fetch_one(which, *parameters)
        return int(row[0]) if row else None

    def _check(self, purpose: str, start: int) -> Draw | None:
        person = self.person
        for rule in (self._strictest, unspoilt(person, Rule("any version", NOT_MINE, (person.pk,)))):
            for begin in (start, 0):
                row = fetch_one(CHECK + rule.condition + BY_SHUFFLE, person.study, purpose, begin, *rule.parameters)
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


def _lock(may_wait: bool) -> str:
    """How an item is chosen whose place is then taken.

    Rows that others are just taking are skipped: who holds one item and waited for another could wait in a circle. A
    draw that holds nothing yet chooses without a lock, so that it waits at the update, for one row: nobody hears "no
    more" while others merely look.
    """
    return "" if may_wait else "{skip_locked}"


TAKE = "UPDATE annotation_item SET n_held = n_held + 1 WHERE id = (which) AND n_held < goal RETURNING id"

# Coming back ------------------------------------------------------------------------------------------------------

RETURNED = """
SELECT a.id, a.item_id, a.purpose FROM annotation_assignment a JOIN annotation_item i ON i.id = a.item_id
WHERE a.participation_id = %s AND a.answered_at IS NULL AND a.returned_at IS NOT NULL AND i.state = 'open'
AND (a.purpose <> 'main' OR i.n_held < i.goal)
AND (a.purpose <> 'repeat' OR EXISTS (SELECT 1 FROM annotation_assignment m
  WHERE m.participation_id = a.participation_id AND m.item_id = a.item_id AND m.occurrence = 0
  AND (m.answered_at IS NOT NULL OR m.returned_at IS NULL)))
AND """

TAKE_THIS = TAKE.replace("(which)", "(SELECT i.id FROM annotation_item i WHERE i.id = %s AND i.n_held < i.goal (lock))")


def _retake(person: Person, n: int, *, may_wait: bool) -> int:
    """Of the pairs that were given free when this person's time ran out, those that are still to be had."""
    rule = unspoilt(person, Rule("returned", "1 = 1", ()))
    found = fetch_all(RETURNED + rule.condition + " ORDER BY a.position LIMIT %s", person.pk, *rule.parameters, n)
    take = TAKE_THIS.replace("(lock)", _lock(may_wait))
    retaken = [pk for pk, item, purpose in found if purpose != Purpose.MAIN or fetch_one(take, item)]
    if retaken:
        Assignment.objects.filter(pk__in=retaken).update(returned_at=None)
    return len(retaken)


# The end, and leases that run out ---------------------------------------------------------------------------------


def _finish(person: Person) -> None:
    """The end: pictures can no longer be fetched. What is still held goes back by `give_back`, after the commit."""
    change(FINISH, person.n_answered, person.pk)


_MAY_COME = (
    _ITEM + "i.role = 'main' AND i.n_rated < i.goal AND (" + _MINE + "i.id AND a.answered_at IS NULL" + _ONE + " OR "
)


def _may_still_come(person: Person) -> bool:
    """Whether a pair may yet be free for this person: one that lacks answers, whoever holds it now."""
    rule = Rule("any version", NOT_MINE, (person.pk,)) if person.has_few_originals else None
    rule = rule or Rule("new original", NEW_ORIGINAL, (person.pk,))
    statement, parameters = _MAY_COME + rule.condition + ")", (person.study, person.pk, *rule.parameters)
    if person.mode == Mode.HA1:  # what is spoilt for HA1 stays so; HA2 waits for an answer only
        spoilt = unspoilt(person, Rule("", "", ()))
        statement, parameters = statement + spoilt.condition, (*parameters, *spoilt.parameters)
    return fetch_one(statement + " LIMIT 1", *parameters) is not None


GIVE_BACK = """
UPDATE annotation_assignment SET returned_at = {now}
WHERE participation_id = %s AND answered_at IS NULL AND returned_at IS NULL"""


def give_back(participation: int, *, unpainted_only: bool = False) -> int:
    """Give what a participation holds to others; how many pairs. Answers that come later are kept and marked late."""
    which = GIVE_BACK + (" AND painted_at IS NULL" if unpainted_only else "")
    with transaction.atomic():
        # In step with its owner, who may be answering or coming back at this very moment.
        list(Participation.objects.select_for_update(no_key=True).filter(pk=participation).values_list("pk"))
        returned = fetch_all(which + " RETURNING item_id, purpose", participation)
        free_places(item for item, purpose in returned if purpose == Purpose.MAIN)
    return len(returned)


def free_places(items: Iterable[int]) -> None:
    """One holder less for each of these items, in the order in which everybody locks several. Call within `atomic`."""
    for item in sorted(items):
        change("UPDATE annotation_item SET n_held = n_held - 1 WHERE id = %s", item)


def expired(study: int) -> QuerySet[Participation]:
    """Those whose time has run out and who still hold pairs."""
    held = Assignment.objects.held().filter(participation=OuterRef("pk"))
    return Participation.objects.filter(Exists(held), study=study, leased_until__lt=Now())


def return_expired_leases(study: int) -> int:
    """Give the pairs of those whose time has run out to others; how many.

    What was never on a screen goes first. A pair that was is given away only when nothing else is left: its answer
    may be on its way.
    """
    for unpainted_only in (True, False):
        n_returned = 0
        for pk in expired(study).order_by("leased_until").values_list("pk", flat=True):
            with transaction.atomic():
                late = Participation.objects.select_for_update(no_key=True).filter(pk=pk, leased_until__lt=Now())
                if late.first():  # has not come back meanwhile
                    n_returned += give_back(pk, unpainted_only=unpainted_only)
        if n_returned:
            return n_returned
    return 0
