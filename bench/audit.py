"""What must hold of a study's tables, compared with what its annotators were told."""

from collections import Counter
from collections.abc import Iterator

from django.db.models import Count, F, Q

from annotation.models.people import Participation
from annotation.models.ratings import Assignment, Rating, Revision
from annotation.models.studies import Item, Study
from bench.outbox import Diary
from datasets.models.jobs import Job
from tests.annotation.places import assert_places_add_up

LATE = Q(assignments__rating__is_late=True, assignments__purpose=Assignment.Purpose.MAIN)


def violations(study: Study, diaries: list[Diary]) -> Iterator[str]:
    for diary in diaries:
        yield from diary.errors
    yield from wrong_answers(diaries)
    yield from wrong_counts(study)


def wrong_answers(diaries: list[Diary]) -> Iterator[str]:
    """Acknowledged and not stored as said, stored and never said, or stored twice."""
    sent = {key: answer for diary in diaries for key, answer in diary.sent.items()}
    rows = Revision.objects.values_list("key", "number", "rating__assignment__public_id", "score", "rating__score")
    stored = {str(key): (number, str(assignment), score, head) for key, number, assignment, score, head in rows}
    for key in (key for diary in diaries for key in diary.acknowledged):
        assignment, score = sent[key]
        if (found := stored.get(key)) != (1, assignment, score, score):
            yield f"acknowledged {key}: {score} for {assignment}; stored: {found}"
    for key in stored.keys() - sent.keys():
        yield f"stored {stored[key]} under {key}, which nobody has sent"
    answers = Counter(assignment for _, assignment, _, _ in stored.values())
    for assignment, n in answers.items():
        if n > 1:
            yield f"{assignment} has {n} answers; each person said one"
    if (n_ratings := Rating.objects.count()) != len(stored):
        yield f"{n_ratings} ratings, but {len(stored)} revisions"


def wrong_counts(study: Study) -> Iterator[str]:
    answered = Count("assignments", filter=Q(assignments__answered_at__isnull=False))
    for person in Participation.objects.annotate(found=answered).exclude(n_answered=F("found")):
        yield f"participation {person.pk} counts {person.n_answered} answers and has {person.found}"
    if n := Assignment.objects.filter(answered_at__isnull=False, rating=None).count():
        yield f"{n} assignments are answered and have no rating"
    if n := Assignment.objects.filter(answered_at=None, rating__isnull=False).count():
        yield f"{n} assignments have a rating and are not answered"
    try:
        assert_places_add_up(study)
    except AssertionError as error:
        yield f"places do not add up: {error}"
    # A late answer is kept beside those of the people who were given its place.
    for item in study.items.annotate(n_late=Count("assignments", filter=LATE)).filter(
        n_held__gt=F("goal") + F("n_late")
    ):
        yield f"item {item.pk} is held by {item.n_held} people, {item.n_late} of them late, with a goal of {item.goal}"


def stuck_leases(study: Study) -> Iterator[str]:
    """After all leases ran out and were given back."""
    if n := Assignment.objects.held().filter(participation__study=study).count():
        yield f"{n} pairs are held by people whose time has run out"
    if n := study.items.exclude(n_held=F("n_rated")).count():
        yield f"{n} items count people who hold them, and nobody does"


def wanting(study: Study) -> int:
    """Items that have not reached their goal."""
    return study.items.rated().filter(state=Item.State.OPEN, n_rated__lt=F("goal")).count()


def unfinished_jobs(jobs: list[Job]) -> Iterator[str]:
    for job in Job.objects.filter(pk__in=[job.pk for job in jobs]).exclude(state=Job.State.DONE):
        yield f"{job} is {job.state} at attempt {job.attempt}, after {job.n_deaths} deaths: {job.error} {job.traceback}"
