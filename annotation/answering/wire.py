"""The answering protocol as it goes over the wire: what is parsed of an answer, and what is said in return."""

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from django.urls import reverse
from django.utils.translation import gettext

from annotation.answering.cues import parsed_cues
from annotation.answering.last_answer import last_answer
from annotation.answering.ratings import Answer
from annotation.answering.refusals import InvalidAnswer
from annotation.answering.skips import MAX_WORDS, Skip
from annotation.answering.viewing import MAX_SECONDS, is_within, viewing_conditions
from annotation.giving.leases import Lease, Session
from annotation.models.people import Participation
from annotation.models.ratings import Assignment, Remark, Report
from annotation.sql import uuid_text

MAX_ANSWERS = 100  # in one request
MAX_KEY = 64  # characters of a key that are sent back, whatever came


# In -----------------------------------------------------------------------------------------------------------------


def parsed(data: Any) -> Answer | Skip:
    """What is said of a pair, from JSON. Raises AnswerRefused with what is wrong."""
    if not isinstance(data, dict):
        raise InvalidAnswer(gettext("An answer is an object with key, assignment and score."))
    return _answer(data) if data.get("skips") is None else _skip(data)


def _answer(data: Any) -> Answer:
    key, assignment = _ids(data)
    for name in ("seconds", "hidden_seconds"):
        if data.get(name) is not None and not is_within(data[name], MAX_SECONDS):
            wrong = gettext("%(name)s must be a number from 0 to %(most)s, or null.")
            raise InvalidAnswer(wrong % {"name": name, "most": MAX_SECONDS})
    return Answer(
        key=key,
        assignment=assignment,
        score=data.get("score"),
        seconds=data.get("seconds"),
        hidden_seconds=data.get("hidden_seconds"),
        revises=data.get("revises") is True,
        viewing=viewing_conditions(data.get("viewing")),
        cues=parsed_cues(data.get("cues")),
        note=_words(data.get("note")),
        knows=data["knows"] if data.get("knows") in Remark.Knows.values else "",
    )


def _skip(data: dict[str, Any]) -> Skip:
    """A pair that is not rated: `skips` says why."""
    if data["skips"] == "":
        raise InvalidAnswer(gettext("Say why you skip it: choose one of the reasons."))
    if data["skips"] not in Report.Kind.values:
        wrong = gettext("skips must be one of %(reasons)s.")
        raise InvalidAnswer(wrong % {"reasons": ", ".join(Report.Kind.values)})
    _, assignment = _ids(data)
    return Skip(assignment=assignment, kind=data["skips"], words=_words(data.get("note")))


def _ids(data: dict[str, Any]) -> tuple[UUID, UUID]:
    key, assignment = parsed_id(data.get("key")), parsed_id(data.get("assignment"))
    if key is None or assignment is None:
        raise InvalidAnswer(gettext("key and assignment must both be UUIDs."))
    return key, assignment


def parsed_id(value: Any) -> UUID | None:
    try:
        return UUID(_as_text(value))
    except ValueError:
        return None


def _words(said: Any) -> str:
    """A note as it can be stored. Whatever is wrong with one, the answer beside it counts."""
    if not isinstance(said, str):
        return ""
    return said.encode(errors="replace").decode().replace("\0", "").strip()[:MAX_WORDS]


def _as_text(value: Any) -> str:
    """As text; lists and objects, nested as deep as they may be, are nothing that we could name something by."""
    return "" if isinstance(value, list | dict) else str(value)


# Out ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Acknowledgement:
    """What became of one answer."""

    key: str
    status: str  # stored, or refused with a code and a sentence
    code: str = ""
    detail: str = ""
    score: int | None = None  # what is stored now
    feedback: str = ""  # to a practice pair
    http_status: int = 200


def acknowledgement_data(acknowledgement: Acknowledgement) -> dict[str, Any]:
    return {name: value for name, value in asdict(acknowledgement).items() if name != "http_status"}


def key_of(data: Any) -> str:
    """The client's key as it came, so that it finds its answer again; halves of characters would break the reply."""
    if not isinstance(data, dict):
        return ""
    return _as_text(data.get("key", ""))[:MAX_KEY].encode(errors="replace").decode()


def session_data(session: Session) -> dict[str, Any]:
    """What a person may know of their session: no purpose, no method, no file name, no expected score."""
    addresses = _addresses(session.person.public_id)
    return {
        "leases": [lease_data(lease, session.person.mode, addresses.pictures) for lease in session.leases],
        "progress": {"done": session.n_done, "total": session.n_planned},
        "finished": session.is_finished or not session.leases,
        "finished_url": addresses.end,
    }


def last_answer_data(participation: Participation) -> dict[str, Any] | None:
    """The pair that was answered last, in the same words, with its score and boxes; None where it cannot be changed."""
    if (found := last_answer(participation)) is None:
        return None
    pictures = _addresses(participation.public_id).pictures
    lease = lease_data(found.lease, participation.study.mode, pictures)
    return {"lease": lease, "score": found.score, "cues": found.cues}


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
