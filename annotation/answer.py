"""The only writer of ratings.

Until when: a pair that was given out may be answered whatever has happened since, its lease run out, the session
finished or the study closed; nobody's work is thrown away, and what comes after its place went back is marked late.
An answer may be revised only while the participation runs and the study is not closed: after that it stands.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from annotation.models.ratings import Assignment, Rating, Revision
from annotation.models.studies import SCORES, Item, Study

NOT_GIVEN = "This pair was not given to you."
KEY_USED = "This key has already been used for another answer; send a new one."


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
        raise InvalidScore(f"Choose a score from {SCORES[0]} to {SCORES[-1]}.")
    return score


def submit_rating(assignment: Assignment, *, score: int, seconds: float | None, key: UUID) -> Rating:
    """Record the one answer to an assignment. The same key again returns it; another key raises AlreadyRated."""
    checked_score(score)
    with _own_key(key):
        return _recorded(assignment, score=score, seconds=seconds, key=key)


@contextmanager
def _own_key(key: UUID) -> Iterator[None]:
    """Two answers under one key: the database lets one in, the other is told."""
    try:
        yield
    except IntegrityError as error:
        if Revision.objects.filter(key=key).exists():
            raise KeyAlreadyUsed(KEY_USED) from error
        raise


@transaction.atomic
def _recorded(assignment: Assignment, *, score: int, seconds: float | None, key: UUID) -> Rating:
    # A second tab may answer, the lease may run out, its holder may come back and renew it: all in turn, from here on.
    locked = Assignment.objects.select_for_update().filter(pk=assignment.pk).first()
    if locked is None:  # erased with its participation a moment ago
        raise UnknownAssignment(NOT_GIVEN)
    if locked.answered_at:
        return _stored(locked, key)
    Assignment.objects.filter(pk=locked.pk).update(answered_at=Now())
    is_late = locked.returned_at is not None
    rating = Rating.objects.create(
        assignment=locked, score=score, seconds=_bounded(seconds, locked), is_late=is_late, created_at=Now()
    )
    _add_revision(rating, number=1, key=key)
    _count(locked, is_late=is_late)
    return rating


def _stored(assignment: Assignment, key: UUID) -> Rating:
    revision = Revision.objects.select_related("rating").filter(key=key, rating__assignment=assignment).first()
    if revision is None:
        raise AlreadyRated("This pair has been rated already; the first answer is kept.")
    return revision.rating


def _add_revision(rating: Rating, *, number: int, key: UUID) -> None:
    Revision.objects.create(
        rating=rating, number=number, key=key, score=rating.score, seconds=rating.seconds, created_at=Now()
    )


def _count(assignment: Assignment, *, is_late: bool) -> None:
    """Only main answers count to the goal. A late one takes a place anew: its own was given to others."""
    n_rated = int(assignment.purpose == Assignment.Purpose.MAIN)
    Item.objects.filter(pk=assignment.item_id).update(
        n_rated=F("n_rated") + n_rated, n_held=F("n_held") + (n_rated if is_late else n_rated - 1)
    )


def _bounded(seconds: float | None, assignment: Assignment) -> float | None:
    """The page's clock, never more than the time since the pair was given out."""
    if seconds is None:
        return None
    elapsed = timezone.now() - assignment.leased_at
    return round(min(seconds, max(elapsed, timedelta(0)).total_seconds()), 3)


def revise_rating(assignment: Assignment, *, score: int, seconds: float | None, key: UUID) -> Rating:
    """Replace the answer to an assignment; what was said before stays in its revisions.

    Raises NotRated before the first answer and RevisionsEnded after the end of the participation or the study.
    """
    checked_score(score)
    with _own_key(key):
        return _revised(assignment, score=score, seconds=seconds, key=key)


@transaction.atomic
def _revised(assignment: Assignment, *, score: int, seconds: float | None, key: UUID) -> Rating:
    # Two revisions at once: the second waits for the first here, so that numbers follow each other.
    ratings = Rating.objects.select_for_update(of=("self",)).select_related("assignment__participation__study")
    rating = ratings.filter(assignment=assignment).first()
    if rating is None:
        raise NotRated("This pair has not been rated yet; send an answer, not a revision.")
    if known := Revision.objects.filter(key=key).first():
        if known.rating_id != rating.pk:
            raise KeyAlreadyUsed(KEY_USED)
        return rating
    participation = rating.assignment.participation
    if participation.finished_at or participation.study.state == Study.State.CLOSED:
        raise RevisionsEnded("This study has ended for you; the answer stays as it is.")
    rating.score, rating.seconds = score, _bounded(seconds, rating.assignment)
    rating.save(update_fields=["score", "seconds"])
    _add_revision(rating, number=rating.revisions.count() + 1, key=key)
    return rating
