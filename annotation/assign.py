"""Which pair a person sees next, and how long it waits for them.

An item is drawn among those with the fewest holders, from a random start on the ring, and leased. `Item.n_held` counts
leases and answers together and never passes the goal by a draw: the update that takes a place names the goal in its
condition, so of two people who reach for the last place one finds no row.
"""

import hashlib
from dataclasses import dataclass
from operator import attrgetter

from django.db import transaction
from django.db.models import Count, Exists, F, Max, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from annotation.models.people import Participation
from annotation.models.ratings import Assignment
from annotation.models.studies import RING, Item, Study
from datasets.jobs import in_seconds
from datasets.models.releases import Mode

SPACING = 5  # positions between two versions of one original, where a new original cannot be had
TRIES = 8  # draws for one position before leaving it to others who were faster each time


class ParticipationErased(Exception):
    """The participation was erased while its owner was asking for pairs."""


@dataclass(frozen=True)
class Session:
    """Where a participation stands: the pairs it holds, in order, and how far it has come."""

    leases: list[Assignment]
    n_done: int
    n_planned: int
    is_finished: bool


@dataclass(frozen=True)
class Draw:
    item: Item
    start: int  # where on the ring the draw began
    n_held: int  # the fewest holders it saw
    reason: str  # the rule that allowed the item


def next_pairs(participation: Participation) -> Session:
    """Renew what this participation holds, top it up to the study's window, and finish it after its last pair.

    The last is the last of the session, or the last that an open study has for this person.
    """
    session = _topped_up(participation)
    if not session.leases and not session.is_finished and return_expired_leases(participation.study):
        return _topped_up(participation)  # nothing was free but places that nobody came back for
    return session


@transaction.atomic
def _topped_up(participation: Participation) -> Session:
    # Two tabs of one person would both top up: the second waits here, then finds the first one's leases.
    locked = (
        Participation.objects.select_for_update(of=("self",))
        .select_related("study")
        .filter(pk=participation.pk)
        .first()
    )
    if locked is None:
        raise ParticipationErased
    unanswered = _unanswered(locked)
    history = locked.assignments.aggregate(last=Max("position", default=0), n_done=Count("answered_at"))
    n_done: int = history["n_done"]
    if locked.withdrawn_at or locked.finished_at or n_done >= locked.n_planned:
        _finish(locked)
        return Session([], n_done, locked.n_planned, is_finished=True)
    wanted = min(locked.study.window, locked.n_planned - n_done)
    leases = _renewed(unanswered, wanted, locked.study.lease_seconds)
    if locked.study.is_open:
        _top_up(locked, leases, wanted, last_position=history["last"])
    is_finished = locked.study.is_open and not leases and not _may_still_come(locked)
    if is_finished:
        _finish(locked)
    return Session(leases, n_done, locked.n_planned, is_finished)


def _may_still_come(participation: Participation) -> bool:
    """Whether a pair may yet be free for this person: one that lacks answers, whoever holds it now."""
    answered = participation.assignments.exclude(answered_at=None)
    lacking = participation.study.items.filter(state=Item.State.OPEN, n_rated__lt=F("goal"))
    items: QuerySet[Item] = lacking.exclude(Exists(answered.filter(item=OuterRef("pk"))))
    if participation.study.mode == Mode.HA1:  # what is spoilt for HA1 stays so; HA2 waits for an answer only
        items = unspoilt(items, participation)
    return items.exists()


def _finish(participation: Participation) -> None:
    """The end: what is still leased goes back to others, and pictures can no longer be fetched."""
    for assignment in participation.assignments.held().order_by("item_id"):
        _return(assignment)
    Participation.objects.active().filter(pk=participation.pk).update(finished_at=Now())


def _unanswered(participation: Participation) -> list[Assignment]:
    """The pairs this person holds, and those whose lease ran out but which are still wanted."""
    wanted = unspoilt(Item.objects.wanting_ratings(), participation)
    unanswered = participation.assignments.unanswered().filter(Q(returned_at=None) | Q(item__in=wanted))
    # A late answer, or the return of an expired lease, may be under way: it ends before what is read here is renewed.
    locked = unanswered.select_for_update(of=("self",)).order_by("position")
    return list(locked.select_related("item__pair__original", "item__pair__anonymized"))


def _renewed(unanswered: list[Assignment], wanted: int, seconds: int) -> list[Assignment]:
    """All that is held, and of what ran out as much as is wanted, with a fresh lease."""
    leases = [lease for lease in unanswered if lease.returned_at is None]
    for lease in unanswered:
        if lease.returned_at and len(leases) < wanted and _retake(lease.item, may_wait=not leases):
            leases.append(lease)
    fresh = Assignment.objects.filter(pk__in=[lease.pk for lease in leases])
    fresh.update(leased_until=in_seconds(seconds), returned_at=None)
    return sorted(leases, key=attrgetter("position"))


def _top_up(participation: Participation, leases: list[Assignment], wanted: int, *, last_position: int) -> None:
    position = last_position
    while len(leases) < wanted:
        draw = _draw(participation, position + 1, ahead=bool(leases))
        if draw is None:
            return
        position += 1
        leases.append(_assign(participation, draw, position))


def _assign(participation: Participation, draw: Draw, position: int) -> Assignment:
    assignment = Assignment(
        item=draw.item,
        participation=participation,
        position=position,
        reason=draw.reason,
        draw_start=draw.start,
        draw_n_held=draw.n_held,
        leased_at=Now(),
        leased_until=in_seconds(participation.study.lease_seconds),
    )
    if participation.study.mode == Mode.HA1:
        assignment.original_key = None  # the original of an HA1 pair has no address at all
    assignment.save(force_insert=True)
    return assignment


# Drawing ----------------------------------------------------------------------------------------------------------


def draw_start(seed: int, position: int) -> int:
    """The place on the ring where the draw for this position begins; the same for ever."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{position}".encode()).digest()[:8]) % RING


def _draw(participation: Participation, position: int, *, ahead: bool) -> Draw | None:
    """Take a place at the first item that a rule allows, the strictest rule first.

    Whoever has a pair to rate already draws `ahead`, and leaves the last place of an item to those who have none.
    """
    start = draw_start(participation.seed, position)
    for reason, items in allowed_items(participation, position).items():
        free = items.filter(n_held__lt=F("goal") - 1) if ahead else items
        if draw := _take_from(free, start, reason, may_wait=not ahead):
            return draw
    return None


def allowed_items(participation: Participation, position: int) -> dict[str, QuerySet[Item]]:
    """What this person may be given, by rule; a later rule is asked only when an earlier one allows nothing."""
    mine = Assignment.objects.filter(participation=participation)
    items: QuerySet[Item] = participation.study.items.wanting_ratings().exclude(
        Exists(mine.filter(item=OuterRef("pk")))
    )
    items = unspoilt(items, participation)  # never relaxed
    same_group = mine.filter(item__group=OuterRef("group"))
    apart = items.exclude(Exists(same_group.held()))  # one version of an original at a time
    return {
        "new original": items.exclude(Exists(same_group)),
        "spaced": apart.exclude(Exists(same_group.filter(position__gte=position - SPACING))),
        "unspaced": apart,
    }


def unspoilt(items: QuerySet[Item], participation: Participation) -> QuerySet[Item]:
    """Without what would spoil an HA1 answer: nobody judges a picture alone whose original they have seen.

    So HA1 leaves out what this person was given in HA2, and HA2 what they hold in HA1.
    """
    theirs = Assignment.objects.filter(
        participation__annotator=participation.annotator_id, item__group=OuterRef("group")
    )
    if participation.study.mode == Mode.HA1:
        return items.exclude(Exists(theirs.filter(participation__study__mode=Mode.HA2)))
    return items.exclude(Exists(theirs.held().filter(participation__study__mode=Mode.HA1)))


def _take_from(items: QuerySet[Item], start: int, reason: str, *, may_wait: bool) -> Draw | None:
    """Of the items with the fewest holders, the first at or after the start, wrapping round.

    Rows that others are just taking are skipped: who holds one item and waited for another could deadlock. Only a
    draw that holds nothing yet may wait, so that nobody hears "no more" while others merely look at the last places.
    """
    for _ in range(TRIES):
        fewest = items.order_by("n_held").values_list("n_held", flat=True).first()
        if fewest is None:
            return None
        level = items.filter(n_held=fewest).order_by("shuffle").select_related("pair__original", "pair__anonymized")
        free = level.select_for_update(skip_locked=True, of=("self",))
        item = free.filter(shuffle__gte=start).first() or free.first()
        if item is None and may_wait:
            item = level.first()
        if item and _take(item):
            return Draw(item, start, fewest, reason)
    return None


def _take(item: Item) -> bool:
    """Take one of the places of an item. False when others have taken the last one meanwhile."""
    return bool(Item.objects.wanting_ratings().filter(pk=item.pk).update(n_held=F("n_held") + 1))


def _retake(item: Item, *, may_wait: bool) -> bool:
    """Take a place again after a lease ran out; for who may wait, see `_take_from`."""
    free = Item.objects.wanting_ratings().select_for_update(skip_locked=True).filter(pk=item.pk)
    return (may_wait or free.first() is not None) and _take(item)


# Leases that run out ----------------------------------------------------------------------------------------------


def expired_leases(study: Study) -> QuerySet[Assignment]:
    return Assignment.objects.held().filter(item__study=study, leased_until__lt=Now())


def return_expired_leases(study: Study) -> int:
    """Give the places of expired leases to others; how many. Answers that come later are kept and marked late."""
    return sum(_return(assignment) for assignment in expired_leases(study).order_by("item_id"))


@transaction.atomic
def _return(assignment: Assignment) -> bool:
    # The answer may arrive at this very moment: whichever update comes second finds no row.
    if not Assignment.objects.held().filter(pk=assignment.pk).update(returned_at=Now()):
        return False
    Item.objects.filter(pk=assignment.item_id).update(n_held=F("n_held") - 1)
    return True
