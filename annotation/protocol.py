"""The answering protocol: a list of answers in, one acknowledgement each and the next pairs out.

The page, the form without JavaScript and programs all come through `take_turn`. Every answer carries a key made by the
client; sending it again is safe and gives the same acknowledgement.
"""

import logging
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext

from annotation.answer import (
    NOT_GIVEN,
    Answer,
    AnswerRefused,
    Recorded,
    UnknownAssignment,
    checked_score,
    count_answers,
    record,
    revise_rating,
)
from annotation.cues import parsed_cues
from annotation.giving.leases import Lease, Session, served, settled
from annotation.giving.person import Person, locked
from annotation.models.people import Participation
from annotation.models.ratings import Assignment, Remark, Report
from annotation.models.studies import Item
from annotation.previous import previous_answer
from annotation.skips import MAX_WORDS, Skip, skip_pair
from annotation.sql import change, uuid_text, uuid_value
from annotation.viewing import MAX_SECONDS, is_within, viewing_conditions

log = logging.getLogger(__name__)
MAX_ANSWERS = 100  # in one request
MAX_KEY = 64  # characters of a key that are sent back, whatever came


class InvalidAnswer(AnswerRefused):
    code = "invalid_answer"


@dataclass(frozen=True)
class Acknowledgement:
    key: str
    status: str  # stored, or refused with a code and a sentence
    code: str = ""
    detail: str = ""
    score: int | None = None  # what is stored now
    feedback: str = ""  # to a practice pair
    http_status: int = 200


def parsed_answer(data: Any) -> Answer:
    """An answer from JSON. Raises AnswerRefused with what is wrong."""
    if not isinstance(data, dict):
        raise InvalidAnswer(gettext("An answer is an object with key, assignment and score."))
    key, assignment = _ids(data)
    for name in ("seconds", "hidden_seconds"):
        if data.get(name) is not None and not is_within(data[name], MAX_SECONDS):
            wrong = gettext("%(name)s must be a number from 0 to %(most)s, or null.")
            raise InvalidAnswer(wrong % {"name": name, "most": MAX_SECONDS})
    return Answer(
        key=key,
        assignment=assignment,
        score=checked_score(data.get("score")),
        seconds=data.get("seconds"),
        hidden_seconds=data.get("hidden_seconds"),
        revises=data.get("revises") is True,
        viewing=viewing_conditions(data.get("viewing")),
        cues=parsed_cues(data.get("cues")),
        note=_words(data.get("note")),
        knows=data["knows"] if data.get("knows") in Remark.Knows.values else "",
    )


def parsed_skip(data: dict[str, Any]) -> Skip:
    """A pair that is not rated, from JSON: `skips` says why."""
    if data["skips"] == "":
        raise InvalidAnswer(gettext("Say why you skip it: choose one of the reasons."))
    if data["skips"] not in Report.Kind.values:
        wrong = gettext("skips must be one of %(reasons)s.")
        raise InvalidAnswer(wrong % {"reasons": ", ".join(Report.Kind.values)})
    _, assignment = _ids(data)
    return Skip(assignment=assignment, kind=data["skips"], words=_words(data.get("note")))


def _ids(data: dict[str, Any]) -> tuple[UUID, UUID]:
    try:
        return UUID(_plain(data.get("key"))), UUID(_plain(data.get("assignment")))
    except ValueError as error:
        raise InvalidAnswer(gettext("key and assignment must both be UUIDs.")) from error


def _words(said: Any) -> str:
    """A note as it can be stored. Whatever is wrong with one, the answer beside it counts."""
    if not isinstance(said, str):
        return ""
    return said.encode(errors="replace").decode().replace("\0", "").strip()[:MAX_WORDS]


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
        return Acknowledgement(_key(data), "stored")
    answer = parsed_answer(data)
    if answer.revises:
        score = _revised(person, answer)
        return Acknowledgement(_key(data), "stored", score=score)
    said = record(person, answer)
    return Acknowledgement(_key(data), "stored", score=said.score, feedback=_feedback(said))


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
    return Acknowledgement(_key(data), "refused", refusal.code, str(refusal), http_status=refusal.status)


def _key(data: Any) -> str:
    return _echo(data.get("key", "")) if isinstance(data, dict) else ""


def _echo(key: Any) -> str:
    """The client's key as it came, so that it finds its answer again; halves of characters would break the reply."""
    return _plain(key)[:MAX_KEY].encode(errors="replace").decode()


def _plain(value: Any) -> str:
    """As text; lists and objects, nested as deep as they may be, are nothing that we could name something by."""
    return "" if isinstance(value, list | dict) else str(value)


PAINTED = """
UPDATE annotation_assignment SET painted_at = {now}
WHERE public_id = %s AND participation_id = %s AND painted_at IS NULL AND served_at IS NOT NULL"""


def _note_painted(person: Person, painted: str | None) -> None:
    """Remember when a pair was on the screen for the first time."""
    if painted:
        with suppress(ValueError):  # only a hint; the answers beside it count
            change(PAINTED, uuid_value(UUID(_plain(painted))), person.pk)


def session_data(session: Session) -> dict[str, Any]:
    """What a person may know of their session: no purpose, no method, no file name, no expected score."""
    addresses = _addresses(session.person.public_id)
    return {
        "leases": [lease_data(lease, session.person.mode, addresses.pictures) for lease in session.leases],
        "progress": {"done": session.n_done, "total": session.n_planned},
        "finished": session.is_finished or not session.leases,
        "finished_url": addresses.end,
    }


def previous_data(participation: Participation) -> dict[str, Any] | None:
    """The pair that was answered last, in the same words, with its score and boxes; None where it cannot be changed."""
    if (previous := previous_answer(participation)) is None:
        return None
    pictures = _addresses(participation.public_id).pictures
    lease = lease_data(previous.lease, participation.study.mode, pictures)
    return {"lease": lease, "score": previous.score, "cues": previous.cues}


def lease_data(lease: Lease, mode: str, pictures_address: str) -> dict[str, Any]:
    pictures = [_picture("anonymized", pictures_address, lease.anonymized_key, lease.width, lease.height)]
    if lease.original_key and lease.original_width:
        size = lease.original_width, lease.original_height
        original = _picture("original", pictures_address, lease.original_key, *size)
        pictures.insert(0 if lease.original_side == Assignment.Side.LEFT else 1, original)
    return {
        "assignment": uuid_text(lease.public_id),
        "position": lease.position,
        "mode": mode,
        "instruction": instruction(lease),
        "pictures": pictures,
    }


def instruction(lease: Lease) -> str:
    """What an explicit-instruction check asks for, in the place of the question."""
    if not lease.instructed_score:
        return ""
    return gettext("For this one, please choose %(score)s.") % {"score": lease.instructed_score}


def _picture(side: str, address: str, key: UUID | str, width: int, height: int | None) -> dict[str, Any]:
    return {"side": side, "url": f"{address}{uuid_text(key)}/", "width": width, "height": height}


class _Addresses(NamedTuple):
    pictures: str  # to which a picture's key is added
    end: str


@lru_cache(maxsize=1024)
def _addresses(participation: UUID | str) -> _Addresses:
    """Of a participation's pages: worked out once, since an answer needs several."""
    public_id = uuid_text(participation)
    pictures = reverse("annotation:picture", args=[public_id, public_id]).removesuffix(f"{public_id}/")
    return _Addresses(pictures, reverse("annotation:end", args=[public_id]))
