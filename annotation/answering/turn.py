"""A turn: a list of answers in, one acknowledgement each and the next pairs out.

The page, the form without JavaScript and programs all come through `take_turn`. Every answer carries a key made by the
client; sending it again is safe and gives the same acknowledgement.
"""

import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext

from annotation.answering.ratings import Answer, Recorded, count_answers, revise_rating, submit_rating
from annotation.answering.refusals import AnswerRefused
from annotation.answering.skips import Skip, skip_pair
from annotation.answering.statements import PAINTED
from annotation.answering.wire import Acknowledgement, key_of, parsed, parsed_id, session_data
from annotation.giving.leases import Session, served, settled
from annotation.giving.person import Person, locked
from annotation.models.people import Participation
from annotation.models.ratings import Assignment
from annotation.models.studies import Item
from annotation.sql import change, uuid_value

log = logging.getLogger(__name__)


def take_turn(participation: Participation, answers: list[Any], *, painted: Any = None) -> dict[str, Any]:
    """Store answers one by one (a refused one spoils no other), then say what is next.

    Each answer is read before the database is asked, and stored in a transaction of its own; the last one's says what
    is next too.
    """
    on_screen = parsed_id(painted)

    def what_is_next(person: Person) -> Session:
        _note_painted(person, on_screen)
        return served(person)

    acknowledgements: list[Acknowledgement] = []
    session: Session | None = None
    for number, data in enumerate(answers, start=1):
        then = what_is_next if number == len(answers) else count_answers
        acknowledgement, session = _acknowledged(participation, data, then)
        acknowledgements.append(acknowledgement)
    if session is None:  # no answers, or the last one refused
        with transaction.atomic():
            session = what_is_next(locked(participation.pk))
    return {"acknowledgements": acknowledgements, **session_data(settled(session))}


def _acknowledged(
    participation: Participation, data: Any, then: Callable[[Person], Session | None]
) -> tuple[Acknowledgement, Session | None]:
    """One answer and what follows it in its transaction, or why nothing of it is stored."""
    try:
        said = parsed(data)
        with transaction.atomic():
            person = locked(participation.pk)
            score, feedback = _stored(person, said)
            return Acknowledgement(key_of(data), "stored", score=score, feedback=feedback), then(person)
    except AnswerRefused as refusal:
        log.info("participation %s: answer refused, %s", participation.pk, refusal.code)
        refused = Acknowledgement(key_of(data), "refused", refusal.code, str(refusal), http_status=refusal.status)
        return refused, None


def _stored(person: Person, said: Answer | Skip) -> tuple[int | None, str]:
    """The score that stands now, and what is said to a practice pair."""
    if isinstance(said, Skip):
        skip_pair(person, said)
        return None, ""
    if said.revises:
        return revise_rating(person, said), ""
    recorded = submit_rating(person, said)
    return recorded.score, _feedback(recorded)


def _feedback(recorded: Recorded) -> str:
    """After a practice pair, and after nothing else: how such pairs are meant to be rated."""
    if recorded.purpose != Assignment.Purpose.PRACTICE:
        return ""
    item = Item.objects.get(pk=recorded.item)
    if item.expected_low is None or item.expected_high is None:
        return ""
    rated = {"low": item.expected_low, "high": item.expected_high, "score": recorded.score}
    if item.expected_low == item.expected_high:
        return gettext("This was for practice. It is usually rated with %(low)s; you chose %(score)s.") % rated
    return gettext("This was for practice. It is usually rated from %(low)s to %(high)s; you chose %(score)s.") % rated


def _note_painted(person: Person, assignment: UUID | None) -> None:
    """Remember when a pair was on the screen for the first time. Only a hint; the answers beside it count."""
    if assignment and change(PAINTED, assignment=uuid_value(assignment), participation=person.pk):
        person.has_seen = True
