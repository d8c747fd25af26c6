"""The answering protocol: a list of answers in, one acknowledgement each and the next pairs out.

The page, the form without JavaScript and programs all come through `take_turn`. Every answer carries a key made by the
client; sending it again is safe and gives the same acknowledgement.
"""

import logging
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext

from annotation.answering.ratings import (
    NOT_GIVEN,
    Answer,
    AnswerRefused,
    Recorded,
    UnknownAssignment,
    count_answers,
    record,
    revise_rating,
)
from annotation.answering.skips import skip_pair
from annotation.answering.wire import Acknowledgement, as_text, key_of, parsed_answer, parsed_skip, session_data
from annotation.giving.leases import Session, served, settled
from annotation.giving.person import Person, locked
from annotation.models.people import Participation
from annotation.models.ratings import Assignment, Remark
from annotation.models.studies import Item
from annotation.sql import change, uuid_value

log = logging.getLogger(__name__)


def take_turn(participation: Participation, answers: list[Any], *, painted: str | None = None) -> dict[str, Any]:
    """Store answers one by one (a refused one spoils no other), then say what is next."""
    acknowledgements = [_acknowledged(participation, data) for data in answers[:-1]]
    if answers:
        last, session = _last_and_next(participation, answers[-1], painted)
        acknowledgements.append(last)
    else:
        session = _next(participation, painted)
    return {"acknowledgements": acknowledgements, **session_data(settled(session))}


def _last_and_next(participation: Participation, data: Any, painted: str | None) -> tuple[Acknowledgement, Session]:
    """The way of nearly every turn: one answer and what comes next, in one transaction."""
    try:
        with transaction.atomic():
            person = locked(participation.pk)
            acknowledgement = _stored(person, data)
            _note_painted(person, painted)
            return acknowledgement, served(person)
    except AnswerRefused as refusal:
        return _refused(participation, data, refusal), _next(participation, painted)


def _next(participation: Participation, painted: str | None) -> Session:
    with transaction.atomic():
        person = locked(participation.pk)
        _note_painted(person, painted)
        return served(person)


def _acknowledged(participation: Participation, data: Any) -> Acknowledgement:
    try:
        with transaction.atomic():
            person = locked(participation.pk)
            acknowledgement = _stored(person, data)
            count_answers(person)
            return acknowledgement
    except AnswerRefused as refusal:
        return _refused(participation, data, refusal)


def _stored(person: Person, data: Any) -> Acknowledgement:
    if isinstance(data, dict) and data.get("skips") is not None:
        skip_pair(person, parsed_skip(data))
        return Acknowledgement(key_of(data), "stored")
    answer = parsed_answer(data)
    if answer.revises:
        score = _revised(person, answer)
        return Acknowledgement(key_of(data), "stored", score=score)
    said = record(person, answer)
    return Acknowledgement(key_of(data), "stored", score=said.score, feedback=_feedback(said))


def _revised(person: Person, answer: Answer) -> int:
    mine = Assignment.objects.filter(participation=person.pk, public_id=answer.assignment).first()
    if mine is None:
        raise UnknownAssignment(NOT_GIVEN)
    rating = revise_rating(mine, score=answer.score, seconds=answer.seconds, key=answer.key, cues=answer.cues)
    if answer.note or answer.knows:
        Remark.objects.update_or_create(rating=rating, defaults={"note": answer.note, "knows": answer.knows})
    return rating.score


def _feedback(said: Recorded) -> str:
    """After a practice pair, and after nothing else: how such pairs are meant to be rated."""
    if said.purpose != Assignment.Purpose.PRACTICE:
        return ""
    item = Item.objects.get(pk=said.item)
    if item.expected_low is None or item.expected_high is None:
        return ""
    rated = {"low": item.expected_low, "high": item.expected_high, "score": said.score}
    if item.expected_low == item.expected_high:
        return gettext("This was for practice. It is usually rated with %(low)s; you chose %(score)s.") % rated
    return gettext("This was for practice. It is usually rated from %(low)s to %(high)s; you chose %(score)s.") % rated


def _refused(participation: Participation, data: Any, refusal: AnswerRefused) -> Acknowledgement:
    log.info("participation %s: answer refused, %s", participation.pk, refusal.code)
    return Acknowledgement(key_of(data), "refused", refusal.code, str(refusal), http_status=refusal.status)


PAINTED = """
UPDATE annotation_assignment SET painted_at = {now}
WHERE public_id = %s AND participation_id = %s AND painted_at IS NULL AND served_at IS NOT NULL"""


def _note_painted(person: Person, painted: str | None) -> None:
    """Remember when a pair was on the screen for the first time."""
    if painted:
        with suppress(ValueError):  # only a hint; the answers beside it count
            change(PAINTED, uuid_value(UUID(as_text(painted))), person.pk)
