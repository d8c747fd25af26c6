"""The last answer, brought back for the person who gave it: without a script there is no other way to change one."""

from dataclasses import dataclass
from typing import Any

from annotation.answering.cues import PLACES
from annotation.giving.leases import Lease
from annotation.models.people import Participation
from annotation.models.ratings import Cue, Rating
from annotation.models.studies import Item, Study


@dataclass(frozen=True)
class LastAnswer:
    """The pair that was answered last, as it was shown, with the score and the boxes it has now."""

    lease: Lease
    score: int
    cues: list[dict[str, Any]]  # the boxes of what was said last


def last_answer(participation: Participation) -> LastAnswer | None:
    """The newest answer of a participation, as long as `revise_rating` takes another one for it and its
    pictures may be looked at; never one before it."""
    if participation.finished_at or participation.study.state == Study.State.CLOSED:
        return None
    pictures = ("assignment__item__pair__anonymized", "assignment__item__pair__original")
    mine = Rating.objects.filter(assignment__participation=participation).select_related(*pictures)
    newest = mine.order_by("-assignment__answered_at", "-assignment__position").first()
    if newest is None or newest.assignment.item.state != Item.State.OPEN:
        return None
    boxes = Cue.objects.current().filter(revision__rating=newest).values("kind", *PLACES)
    return LastAnswer(_lease(newest), newest.score, list(boxes))


def _lease(rating: Rating) -> Lease:
    given = rating.assignment
    pair = given.item.pair
    beside = pair.original if given.original_key else None
    return Lease(
        pk=given.pk,
        public_id=given.public_id,
        position=given.position,
        original_side=given.original_side,
        original_key=given.original_key,
        anonymized_key=given.anonymized_key,
        is_served=True,
        instructed_score=given.item.instructed_score,
        width=pair.anonymized.width,
        height=pair.anonymized.height,
        original_width=beside.width if beside else None,
        original_height=beside.height if beside else None,
    )
