"""The only writer of ratings.

Until when: a pair that was given out may be answered whatever has happened since, its lease run out, the session
finished or the study closed; nobody's work is thrown away, and what comes after its place went back is marked late.
An answer may be revised only while the participation runs and the study is not closed: after that it stands.
"""

from dataclasses import dataclass
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy

from annotation.answering.cues import Box, mark
from annotation.giving.person import ParticipationErased, Person, locked
from annotation.models.ratings import Assignment, Rating, Remark, Revision
from annotation.models.studies import SCORES, Study
from annotation.sql import change, fetch_all, fetch_one, uuid_value

NOT_GIVEN = gettext_lazy("This pair was not given to you.")
KEY_USED = gettext_lazy("This key has already been used for another answer; send a new one.")


class AnswerRefused(Exception):
    """An answer that cannot be stored. `code` is for programs, the message for people."""

    code = "refused"
    status = 400


class InvalidScore(AnswerRefused):
    code = "invalid_score"


class UnknownAssignment(AnswerRefused):
    code = "unknown_assignment"
    status = 404


class AlreadyRated(AnswerRefused):
    code = "already_rated"
    status = 409


class NotRated(AnswerRefused):
    code = "not_rated"
    status = 409


class RevisionsEnded(AnswerRefused):
    code = "revisions_ended"
    status = 409


class KeyAlreadyUsed(AnswerRefused):
    code = "key_already_used"
    status = 409


def checked_score(score: object) -> int:
    if isinstance(score, bool) or not isinstance(score, int) or score not in SCORES:
        words = gettext("Choose a score from %(least)s to %(most)s.")
        raise InvalidScore(words % {"least": SCORES[0], "most": SCORES[-1]})
    return score


@dataclass(frozen=True)
class Answer:
    """What a person says of a pair, under a key of their own so that it can safely be sent again."""

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


@dataclass(frozen=True)
class Recorded:
    """What is stored of an answer."""

    score: int
    purpose: str
    item: int


def submit_rating(assignment: Assignment, *, score: int, seconds: float | None, key: UUID) -> Rating:
    """Record the one answer to an assignment. The same key again returns it; another key raises AlreadyRated."""
    with transaction.atomic():
        try:
            person = locked(assignment.participation_id)
        except ParticipationErased as erased:
            raise UnknownAssignment(NOT_GIVEN) from erased
        record(person, Answer(key, assignment.public_id, score, seconds))
        count_answers(person)
    return Rating.objects.get(assignment=assignment)


ANSWERED = """
UPDATE annotation_assignment SET answered_at = {now}
WHERE public_id = %s AND participation_id = %s AND answered_at IS NULL
RETURNING id, item_id, purpose, returned_at, {seconds_since_served}"""

RATED = """
INSERT INTO annotation_rating (assignment_id, score, seconds, hidden_seconds, is_late, viewing, created_at)
VALUES (%s, %s, %s, %s, %s, {json}, {now}) RETURNING id"""

SAID = """
INSERT INTO annotation_revision (rating_id, number, "key", score, seconds, created_at)
VALUES (%s, 1, %s, %s, %s, {now}) ON CONFLICT ("key") DO NOTHING RETURNING id"""

COUNTED = "UPDATE annotation_item SET n_rated = n_rated + 1, n_held = n_held + %s WHERE id = %s"


def record(person: Person, answer: Answer) -> Recorded:
    """Record an answer of a locked person, in the transaction of the caller, who then stores `person.n_answered`.

    Raises AnswerRefused; what was written until then must be rolled back.
    """
    checked_score(answer.score)
    row = fetch_one(ANSWERED, uuid_value(answer.assignment), person.pk)
    if row is None:
        return _recorded_before(person, answer)
    pk, item, purpose, returned_at, elapsed = row
    is_late = returned_at is not None
    seconds, hidden = _bounded(answer.seconds, elapsed), _bounded(answer.hidden_seconds, elapsed)
    [[rating]] = fetch_all(RATED, pk, answer.score, seconds, hidden, is_late, answer.viewing)
    said = fetch_one(SAID, rating, uuid_value(answer.key), answer.score, seconds)
    if said is None:
        raise KeyAlreadyUsed(KEY_USED)
    if purpose == Assignment.Purpose.MAIN:
        # Only main answers count to the goal. A late one takes a place anew: its own was given to others.
        change(COUNTED, int(is_late), item)
    if answer.note or answer.knows:
        Remark.objects.create(rating_id=rating, note=answer.note, knows=answer.knows)
    if answer.cues and person.asks_cues:
        mark(said[0], item, answer.cues)
    person.n_answered += 1
    return Recorded(answer.score, purpose, item)


def count_answers(person: Person) -> None:
    change("UPDATE annotation_participation SET n_answered = %s WHERE id = %s", person.n_answered, person.pk)


def _recorded_before(person: Person, answer: Answer) -> Recorded:
    """What an answer that came before has left: the same key gets the same acknowledgement."""
    mine = Rating.objects.filter(assignment__public_id=answer.assignment, assignment__participation=person.pk)
    rating = mine.select_related("assignment").first()
    if rating is None:
        raise UnknownAssignment(NOT_GIVEN)
    if not rating.revisions.filter(key=answer.key).exists():
        raise AlreadyRated(gettext("This pair has been rated already; the first answer is kept."))
    return Recorded(rating.score, rating.assignment.purpose, rating.assignment.item_id)


def _bounded(seconds: float | None, elapsed: float | None) -> float | None:
    """The page's clock, never more than the time since the pair was sent out."""
    return None if seconds is None else round(min(seconds, max(elapsed or 0.0, 0.0)), 3)


def revise_rating(
    assignment: Assignment, *, score: int, seconds: float | None, key: UUID, cues: tuple[Box, ...] = ()
) -> Rating:
    """Replace the answer to an assignment, its boxes too; what was said before stays in its revisions.

    How long the pair took is what it took at first; the seconds of second thoughts stand with the revision alone.
    Raises NotRated before the first answer and RevisionsEnded after the end of the participation or the study.
    """
    checked_score(score)
    try:
        return _revised(assignment, score=score, seconds=seconds, key=key, cues=cues)
    except IntegrityError as error:  # two answers under one key: the database lets one in, the other is told
        if Revision.objects.filter(key=key).exists():
            raise KeyAlreadyUsed(KEY_USED) from error
        raise


@transaction.atomic
def _revised(assignment: Assignment, *, score: int, seconds: float | None, key: UUID, cues: tuple[Box, ...]) -> Rating:
    # Two revisions at once: the second waits for the first here, so that numbers follow each other.
    ratings = Rating.objects.select_for_update(of=("self",)).select_related("assignment__participation__study")
    rating = ratings.filter(assignment=assignment).first()
    if rating is None:
        raise NotRated(gettext("This pair has not been rated yet; send an answer, not a revision."))
    if known := Revision.objects.filter(key=key).first():
        if known.rating_id != rating.pk:
            raise KeyAlreadyUsed(KEY_USED)
        return rating
    participation = rating.assignment.participation
    if participation.finished_at or participation.study.state == Study.State.CLOSED:
        raise RevisionsEnded(gettext("This study has ended for you; the answer stays as it is."))
    elapsed = timezone.now() - (rating.assignment.served_at or rating.created_at)
    rating.score = score
    rating.save(update_fields=["score"])
    revision = rating.revisions.create(
        number=rating.revisions.count() + 1,
        key=key,
        score=score,
        seconds=_bounded(seconds, elapsed.total_seconds()),
        created_at=Now(),
    )
    if cues and participation.study.asks_cues:
        mark(revision.pk, assignment.item_id, cues)
    return rating
