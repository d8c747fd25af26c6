"""A pair that somebody does not rate: skipped with a reason, or reported as broken or distressing.

It leaves this person's session at once, with a planned repeat of it, and its place goes to others. The researcher sees
what was reported; whether a pair is withdrawn for everybody is theirs to decide (watching/roles.py).
"""

from dataclasses import dataclass
from uuid import UUID

from django.db.models.functions import Coalesce, Now
from django.utils.translation import gettext

from annotation.answering.refusals import AlreadyRated, UnknownAssignment
from annotation.giving.leases import free_places
from annotation.giving.person import Person
from annotation.models.ratings import Assignment, Report

MAX_WORDS = 500


@dataclass(frozen=True)
class Skip:
    assignment: UUID
    kind: str
    words: str = ""


def skip_pair(person: Person, skip: Skip) -> None:
    """Take a pair back from a locked person, in the transaction of the caller. Sending it again is safe.

    Raises UnknownAssignment, and AlreadyRated where the pair was answered first.
    """
    mine = Assignment.objects.filter(participation=person.pk)
    given = mine.filter(public_id=skip.assignment, served_at__isnull=False).first()
    if given is None:
        raise UnknownAssignment
    if given.answered_at:
        raise AlreadyRated(gettext("This pair has been rated already; the answer is kept."))
    if given.skipped_at:
        return
    unanswered = mine.filter(item=given.item_id, answered_at=None)
    held = unanswered.filter(returned_at=None, purpose=Assignment.Purpose.MAIN)
    free_places(list(held.values_list("item_id", flat=True)))
    unanswered.update(skipped_at=Now(), returned_at=Coalesce("returned_at", Now()))
    person.has_seen = True
    Report.objects.create(assignment=given, kind=skip.kind, words=skip.words)
