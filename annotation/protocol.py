"""The answering protocol: a list of answers in, one acknowledgement each and the next pairs out.

The page, the form without JavaScript and programs all come through `take_turn`. Every answer carries a key made by the
client; sending it again is safe and gives the same acknowledgement.
"""

import logging
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now
from django.urls import reverse

from annotation.answer import (
    NOT_GIVEN,
    AnswerRefused,
    UnknownAssignment,
    checked_score,
    revise_rating,
    submit_rating,
)
from annotation.assign import Session, next_pairs
from annotation.models.people import Participation
from annotation.models.ratings import Assignment
from datasets.models.pictures import Image

log = logging.getLogger(__name__)
MAX_ANSWERS = 100  # in one request
MAX_SECONDS = 24 * 3600
MAX_KEY = 64  # characters of a key that are sent back, whatever came


class InvalidAnswer(AnswerRefused):
    code = "invalid_answer"


@dataclass(frozen=True)
class Answer:
    key: UUID
    assignment: UUID
    score: int
    seconds: float | None = None
    revises: bool = False


@dataclass(frozen=True)
class Acknowledgement:
    key: str
    status: str  # stored, or refused with a code and a sentence
    code: str = ""
    detail: str = ""
    score: int | None = None  # what is stored now
    http_status: int = 200


def parsed_answer(data: Any) -> Answer:
    """An answer from JSON. Raises AnswerRefused with what is wrong."""
    if not isinstance(data, dict):
        raise InvalidAnswer("An answer is an object with key, assignment and score.")
    try:
        key, assignment = UUID(str(data.get("key"))), UUID(str(data.get("assignment")))
    except ValueError as error:
        raise InvalidAnswer("key and assignment must both be UUIDs.") from error
    seconds = data.get("seconds")
    if seconds is not None and not _is_duration(seconds):
        raise InvalidAnswer(f"seconds must be a number from 0 to {MAX_SECONDS}, or null.")
    return Answer(key, assignment, checked_score(data.get("score")), seconds, data.get("revises") is True)


def _is_duration(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= value <= MAX_SECONDS  # NaN and infinity are not between


def take_turn(participation: Participation, answers: list[Any], *, painted: str | None = None) -> dict[str, Any]:
    """Store answers one by one (a refused one spoils no other), then say what is next."""
    acknowledgements = [_acknowledged(participation, data) for data in answers]
    _note_painted(participation, painted)
    session = next_pairs(participation)
    return {"acknowledgements": acknowledgements, **session_data(participation, session)}


def _acknowledged(participation: Participation, data: Any) -> Acknowledgement:
    key = _echo(data.get("key", "")) if isinstance(data, dict) else ""
    try:
        answer = parsed_answer(data)
        assignment = participation.assignments.filter(public_id=answer.assignment).first()
        if assignment is None:
            raise UnknownAssignment(NOT_GIVEN)
        verb = revise_rating if answer.revises else submit_rating
        rating = verb(assignment, score=answer.score, seconds=answer.seconds, key=answer.key)
    except AnswerRefused as refusal:
        log.info("participation %s: answer refused, %s", participation.pk, refusal.code)
        return Acknowledgement(key, "refused", refusal.code, str(refusal), http_status=refusal.status)
    return Acknowledgement(key, "stored", score=rating.score)


def _echo(key: Any) -> str:
    """The client's key as it came, so that it finds its answer again; halves of characters would break the reply."""
    return str(key)[:MAX_KEY].encode(errors="replace").decode()


def _note_painted(participation: Participation, painted: str | None) -> None:
    """Remember when a pair was on the screen for the first time."""
    if painted:
        try:
            on_screen = participation.assignments.filter(public_id=UUID(str(painted)), painted_at=None)
        except ValueError:
            return  # only a hint; the answers beside it count
        with transaction.atomic():  # for SQLite: a transaction waits its turn in the fair queue, a lone update does not
            on_screen.update(painted_at=Now())


def session_data(participation: Participation, session: Session) -> dict[str, Any]:
    """What a person may know of their session: no purpose, no method, no file name, no expected score."""
    return {
        "leases": [lease_data(participation, lease) for lease in session.leases],
        "progress": {"done": session.n_done, "total": session.n_planned},
        "finished": session.is_finished or not session.leases,
        "finished_url": reverse("annotation:end", args=[participation.public_id]),
    }


def lease_data(participation: Participation, lease: Assignment) -> dict[str, Any]:
    pair = lease.item.pair
    pictures = [_picture(participation, "anonymized", lease.anonymized_key, pair.anonymized)]
    if lease.original_key and pair.original:
        original = _picture(participation, "original", lease.original_key, pair.original)
        pictures.insert(0 if lease.original_side == Assignment.Side.LEFT else 1, original)
    return {
        "assignment": str(lease.public_id),
        "position": lease.position,
        "mode": participation.study.mode,
        "pictures": pictures,
    }


def _picture(participation: Participation, side: str, key: UUID, image: Image) -> dict[str, Any]:
    url = reverse("annotation:picture", args=[participation.public_id, key])
    return {"side": side, "url": url, "width": image.width, "height": image.height}
