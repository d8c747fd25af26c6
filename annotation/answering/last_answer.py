"""The last answer, brought back for the person who gave it: without a script there is no other way to change one."""

from dataclasses import dataclass
from typing import Any

from annotation.answering.cues import PLACES
from annotation.giving.leases import Lease, lease_of
from annotation.models.people import Participation
from annotation.models.ratings import Cue, Rating
from annotation.models.studies import Study


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
    mine = Rating.objects.filter(assignment__participation=participation)
    newest = mine.order_by("-assignment__answered_at", "-assignment__position").first()
    if newest is None or (lease := lease_of(newest.assignment_id)) is None:
        return None
    boxes = Cue.objects.current().filter(revision__rating=newest).values("kind", *PLACES)
    return LastAnswer(lease, newest.score, list(boxes))
