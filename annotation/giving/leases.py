"""Which pair a person sees next, and how long it waits for them.

A person's pairs are drawn when they begin, the whole session at once, and are held for them until their time runs out
without a sign of them. `Item.n_held` counts the main pairs that are held or answered and
never passes the goal by a draw: the update that takes a place names the goal in its condition, so of two people who
reach for the last place one finds no row.

Locks (PostgreSQL; on SQLite every transaction here is alone): whoever writes to the assignments of a participation
holds its row and, for a member, the annotator's, so that of two studies at once each sees what the other has given.
Item rows come after these: they are taken without waiting by whoever may hold another one already, and in the order of
their ids by those who give many back, so that nobody waits in a circle.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now

from annotation.giving import statements
from annotation.giving.draws import Draw, Draws, lock_of, unspoilt
from annotation.giving.order import Purpose, original_side
from annotation.giving.person import Person, locked
from annotation.models.people import Participation
from annotation.models.ratings import Assignment
from annotation.sql import change, fetch_all, fetch_one, prefer_indexes, under, uuid_value
from datasets.models.releases import Mode

DRAWS_AT_ONCE = 20  # in one transaction: some milliseconds, so that nobody who rates has to wait
DRAWS_AT_FIRST = 8  # while somebody waits for the reply to their consent; a page is never sent as many


@dataclass(frozen=True)
class Lease:
    """One pair that a person holds, with what the page needs to show it. Ids and keys are as the database stores them;
    sizes are in pixels."""

    pk: int
    public_id: UUID | str
    position: int
    original_side: str
    original_key: UUID | str | None
    anonymized_key: UUID | str
    is_served: bool
    instructed_score: int | None
    width: int
    height: int
    original_width: int | None
    original_height: int | None


@dataclass(frozen=True)
class Session:
    """Where a participation stands: the pairs that are in front of the person, in order, and how far it has come."""

    person: Person
    leases: list[Lease]
    is_finished: bool

    @property
    def n_done(self) -> int:
        return self.person.n_answered

    @property
    def n_planned(self) -> int:
        return self.person.n_planned


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
        change(statements.SERVE, participation=person.pk, first=leases[0].position, last=leases[-1].position)
        person.note_sent()
    _renew(person)
    return Session(person, leases, is_finished=False)


def _held(person: Person, n: int) -> list[Lease]:
    """The first of the pairs this person holds. Of a study that is not open, only those they may have seen."""
    return _leases(statements.HELD if person.is_open else statements.HELD_AND_SERVED, n, participation=person.pk)


def lease_of(assignment: int) -> Lease | None:
    """A pair as it was given to its person; None once it is withdrawn."""
    found = _leases(statements.THIS, 1, assignment=assignment)
    return found[0] if found else None


def _leases(which: str, n: int, **named: int) -> list[Lease]:
    return [Lease(*row) for row in fetch_all(under(statements.LEASES, which=which), n=n, **named)]


def _renew(person: Person) -> None:
    seconds = person.seconds_to_wait
    change(statements.RENEW, participation=person.pk, n_answered=person.n_answered, lease_seconds=seconds)


def keep_waiting(participation: Participation) -> None:
    """Renew the time for which the pairs of a participation wait; what has gone back to others stays there."""
    with transaction.atomic():
        person = locked(participation.pk)
        if not person.has_ended:
            _renew(person)


# The block --------------------------------------------------------------------------------------------------------


def reserve_session(participation: Participation, *, between: Callable[[], object] = lambda: None) -> None:
    """Set a session's pairs aside, in transactions of some milliseconds. The session gets shorter where the study has
    no more for this person, so that whoever begins knows what they will have done at the end."""
    while reserve_batch(participation) == DRAWS_AT_ONCE:
        between()
    while reserve_batch(participation, may_wait=True):  # one by one, where others were just choosing
        pass
    with transaction.atomic():
        person = locked(participation.pk)
        [[n_held]] = fetch_all(statements.COUNT_HELD, participation=person.pk)
        if n_held < person.n_left:
            participation.n_planned = person.n_answered + n_held
            participation.save(update_fields=["n_planned"])


def reserve_first(participation: Participation) -> bool:
    """Set the first pairs of a session aside; False where none is to be had that counts, warm-up or not.

    Until it holds a pair that counts it holds no place of an item, so that it may wait for one. A short session may
    happen to have repeats alone: it is begun as long as there is something that counts.
    """
    held = participation.assignments.held()
    counting = held.filter(purpose=Purpose.MAIN)
    reserve_batch(participation, at_most=DRAWS_AT_FIRST)
    while not counting.exists() and reserve_batch(participation, may_wait=True):
        pass
    if counting.exists() or not held.exists():
        return counting.exists()
    with transaction.atomic():
        return Draws(locked(participation.pk), may_wait=False).has_counting()


def reserve_batch(participation: Participation, *, may_wait: bool = False, at_most: int = DRAWS_AT_ONCE) -> int:
    """Set the next pairs of a session aside; how many."""
    with transaction.atomic():
        person = locked(participation.pk)
        n_added = top_up(person, may_wait=may_wait, at_most=at_most)
        _renew(person)
    return n_added


def top_up(person: Person, *, may_wait: bool = False, at_most: int = DRAWS_AT_ONCE) -> int:
    """Take again what was returned, then draw, a batch at most; how many pairs were added."""
    [[n_held]] = fetch_all(statements.COUNT_HELD, participation=person.pk)
    wanted = min(person.n_left - n_held, 1 if may_wait else at_most)
    n_added = _retake(person, wanted, may_wait=may_wait) if wanted > 0 else 0
    if n_added >= wanted:
        return n_added
    prefer_indexes()
    [[position]] = fetch_all(statements.LAST_POSITION, participation=person.pk)
    draws = Draws(person, may_wait=may_wait)
    while n_added < wanted:
        position += 1
        if (draw := draws.at(position)) is None:
            break
        _assign(person, draw, position)
        n_added += 1
    return n_added


def _assign(person: Person, draw: Draw, position: int) -> None:
    change(
        statements.ASSIGN,
        public_id=uuid_value(uuid4()),
        item=draw.item,
        participation=person.pk,
        occurrence=int(draw.purpose == Purpose.REPEAT),
        purpose=draw.purpose,
        position=position,
        original_side=original_side(person.side, person.seed, position),
        reason=draw.reason,
        draw_start=draw.start,
        draw_n_held=draw.n_held,
        original_key=uuid_value(uuid4()) if person.mode == Mode.HA2 else None,  # it has no address at all in HA1
        anonymized_key=uuid_value(uuid4()),
    )


# Coming back ------------------------------------------------------------------------------------------------------


def _retake(person: Person, n: int, *, may_wait: bool) -> int:
    """Of the pairs that were given free when this person's time ran out, those that are still to be had."""
    returned = under(statements.RETURNED, unspoilt=unspoilt(person))
    found = fetch_all(returned, **person.named, n=n)
    take = under(statements.TAKE_THIS, lock=lock_of(may_wait))
    retaken = [pk for pk, item, purpose in found if purpose != Purpose.MAIN or fetch_one(take, item=item)]
    if retaken:
        Assignment.objects.filter(pk__in=retaken).update(returned_at=None)
    return len(retaken)


# The end, and leases that run out ---------------------------------------------------------------------------------


def _finish(person: Person) -> None:
    """The end: pictures can no longer be fetched. What is still held goes back by `give_back`, after the commit."""
    change(statements.FINISH, participation=person.pk, n_answered=person.n_answered)


def _may_still_come(person: Person) -> bool:
    """Whether a pair may yet be free for this person: one that lacks answers, whoever holds it now."""
    condition = statements.ANY_VERSION if person.has_few_originals else statements.NEW_ORIGINAL
    # What is spoilt for HA1 stays so; HA2 waits for an answer only.
    lasting = unspoilt(person) if person.mode == Mode.HA1 else statements.EVERY_ITEM
    may_come = under(statements.MAY_COME, allowed=condition.sql, unspoilt=lasting)
    return fetch_one(may_come, **person.named) is not None


def give_back(participation: int, *, unpainted_only: bool = False) -> int:
    """Give what a participation holds to others; how many pairs. Answers that come later are kept and marked late."""
    with transaction.atomic():
        # In step with its owner, who may be answering or coming back at this very moment.
        list(Participation.objects.select_for_update(no_key=True).filter(pk=participation).values_list("pk"))
        returned = fetch_all(statements.GIVE_BACK, participation=participation, painted_too=not unpainted_only)
        free_places(item for item, purpose in returned if purpose == Purpose.MAIN)
    return len(returned)


def free_places(items: Iterable[int]) -> None:
    """One holder less for each of these items, in the order in which everybody locks several. Call within `atomic`."""
    for item in sorted(items):
        change(statements.FREE_PLACE, item=item)


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
