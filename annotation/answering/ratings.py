"""The only writer of what people say of pairs: first answers and revised ones, with what stands beside them.

Until when: a pair that was given out may be answered whatever has happened since, its lease run out, the session
finished or the study closed; nobody's work is thrown away, and what comes after its place went back is marked late.
An answer may be revised only while the participation runs and the study is not closed: after that it stands.

Every verb here writes for a locked person, in the transaction of the caller. Where one raises AnswerRefused, what was
written until then must be rolled back.
"""

from dataclasses import dataclass
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext

from annotation.answering import statements
from annotation.answering.cues import Box, mark
from annotation.answering.refusals import (
    AlreadyRated,
    InvalidScore,
    KeyAlreadyUsed,
    NotRated,
    RevisionsEnded,
    UnknownAssignment,
)
from annotation.giving.person import Person
from annotation.models.ratings import Assignment, Rating, Remark, Revision
from annotation.models.studies import SCORES, Study
from annotation.sql import change, fetch_all, fetch_one, uuid_value


@dataclass(frozen=True)
class Answer:
    """What a person says of a pair, under a key of their own so that it can safely be sent again.

    There is none off the scale: raises InvalidScore.
    """

    key: UUID
    assignment: UUID
    score: int
    seconds: float | None = None  # from all pictures painted, without hidden-tab time
    hidden_seconds: float | None = None  # with the tab in the background
    revises: bool = False
    note: str = ""
    knows: str = ""  # of Remark.Knows
    viewing: str | None = None  # JSON that viewing_conditions has checked; of the first answer only
    cues: tuple[Box, ...] = ()

    def __post_init__(self) -> None:
        if type(self.score) is not int or self.score not in SCORES:
            words = gettext("Choose a score from %(least)s to %(most)s.")
            raise InvalidScore(words % {"least": SCORES[0], "most": SCORES[-1]})


@dataclass(frozen=True)
class Recorded:
    """What is stored of an answer."""

    score: int
    purpose: str
    item: int


# First answers ------------------------------------------------------------------------------------------------------


def submit_rating(person: Person, answer: Answer) -> Recorded:
    """Record the one answer to an assignment; the caller then stores `person.n_answered`.

    The same key again returns what is stored; another key raises AlreadyRated.
    """
    row = fetch_one(statements.ANSWERED, assignment=uuid_value(answer.assignment), participation=person.pk)
    if row is None:
        return _recorded_before(person, answer)
    pk, item, purpose, returned_at, elapsed = row
    is_late = returned_at is not None
    seconds, hidden = _bounded(answer.seconds, elapsed), _bounded(answer.hidden_seconds, elapsed)
    [[rating]] = fetch_all(
        statements.RATED,
        assignment=pk,
        score=answer.score,
        seconds=seconds,
        hidden_seconds=hidden,
        is_late=is_late,
        viewing=answer.viewing,
    )
    key = uuid_value(answer.key)
    said = fetch_one(statements.SAID, rating=rating, key=key, score=answer.score, seconds=seconds)
    if said is None:
        raise KeyAlreadyUsed
    if purpose == Assignment.Purpose.MAIN:
        change(statements.COUNTED, item=item, n_late=int(is_late))  # only main answers count to the goal
    _store_beside(person, answer, rating=rating, revision=said[0], item=item)
    person.n_answered += 1
    return Recorded(answer.score, purpose, item)


def count_answers(person: Person) -> None:
    change(statements.COUNT_ANSWERS, participation=person.pk, n_answered=person.n_answered)


def _recorded_before(person: Person, answer: Answer) -> Recorded:
    """What an answer that came before has left: the same key gets the same acknowledgement."""
    mine = Rating.objects.filter(assignment__public_id=answer.assignment, assignment__participation=person.pk)
    rating = mine.select_related("assignment").first()
    if rating is None:
        raise UnknownAssignment
    if not rating.revisions.filter(key=answer.key).exists():
        raise AlreadyRated(gettext("This pair has been rated already; the first answer is kept."))
    return Recorded(rating.score, rating.assignment.purpose, rating.assignment.item_id)


def _bounded(seconds: float | None, elapsed: float | None) -> float | None:
    """The page's clock, never more than the time since the pair was sent out."""
    return None if seconds is None else round(min(seconds, max(elapsed or 0.0, 0.0)), 3)


# Revised ones -------------------------------------------------------------------------------------------------------


def revise_rating(person: Person, answer: Answer) -> int:
    """Replace the answer to an assignment, its boxes too; the score that stands now. What was said before stays in its
    revisions.

    How long the pair took is what it took at first; the seconds of second thoughts stand with the revision alone.
    Raises NotRated before the first answer and RevisionsEnded after the end of the participation or the study.
    """
    mine = Assignment.objects.filter(participation=person.pk, public_id=answer.assignment)
    given = mine.select_related("rating").first()
    if given is None:
        raise UnknownAssignment
    if not hasattr(given, "rating"):
        raise NotRated
    if said := Revision.objects.filter(key=answer.key).first():
        if said.rating_id != given.rating.pk:
            raise KeyAlreadyUsed
        return given.rating.score
    if person.has_ended or person.state == Study.State.CLOSED:
        raise RevisionsEnded
    given.rating.score = answer.score
    given.rating.save(update_fields=["score"])
    revision = _next_revision(given, answer)
    _store_beside(person, answer, rating=given.rating.pk, revision=revision.pk, item=given.item_id)
    return answer.score


def _next_revision(given: Assignment, answer: Answer) -> Revision:
    elapsed = timezone.now() - (given.served_at or given.rating.created_at)
    try:
        with transaction.atomic():
            return given.rating.revisions.create(
                number=given.rating.revisions.count() + 1,  # whoever revises it at the same time waits for the person
                key=answer.key,
                score=answer.score,
                seconds=_bounded(answer.seconds, elapsed.total_seconds()),
                created_at=Now(),
            )
    except IntegrityError as error:  # two answers under one key: the database lets one in, the other is told
        if Revision.objects.filter(key=answer.key).exists():
            raise KeyAlreadyUsed from error
        raise


# Beside either ------------------------------------------------------------------------------------------------------


def _store_beside(person: Person, answer: Answer, *, rating: int, revision: int, item: int) -> None:
    """The remark on a rating, where there is one, and the boxes of a revision, where the study asks for them."""
    if answer.note or answer.knows:
        remark = Remark(rating_id=rating, note=answer.note, knows=answer.knows)
        Remark.objects.bulk_create(
            [remark], update_conflicts=True, unique_fields=["rating"], update_fields=["note", "knows"]
        )
    if answer.cues and person.asks_cues:
        mark(revision, item, answer.cues)
