"""What people said, as rows: quick, and free of how pairs are given out."""

from collections.abc import Sequence
from uuid import uuid4

from django.db.models import F
from django.utils import timezone

from annotation.models.people import Participation
from annotation.models.ratings import Assignment, Rating, Revision
from annotation.models.studies import Item, Study
from tests import make


def said(study: Study, scores: Sequence[Sequence[int | None]]) -> list[Participation]:
    """One new person for each row, with a main score for each of the study's pairs by their order; None: not rated."""
    items = list(study.items.order_by("pk"))
    return [say(make.participation(study), dict(zip(items, row, strict=False))) for row in scores]


def say(
    person: Participation,
    scores: dict[Item, int | None],
    *,
    purpose: str = "main",
    seconds: float | None = 2.5,
    hidden: float | None = None,
) -> Participation:
    now, last = timezone.now(), person.assignments.count()
    rated = [(item, score) for item, score in scores.items() if score is not None]
    given = Assignment.objects.bulk_create(
        Assignment(
            item=item,
            participation=person,
            position=position,
            reason="new original",
            purpose=purpose,
            occurrence=int(purpose == "repeat"),
            reserved_at=now,
            served_at=now,
            answered_at=now,
        )
        for position, (item, _) in enumerate(rated, start=last + 1)
    )
    ratings = Rating.objects.bulk_create(
        Rating(assignment=each, score=score, seconds=seconds, hidden_seconds=hidden, created_at=now)
        for each, (_, score) in zip(given, rated, strict=True)
    )
    Revision.objects.bulk_create(
        Revision(rating=each, number=1, key=uuid4(), score=each.score, seconds=seconds, created_at=now)
        for each in ratings
    )
    ids = [item.pk for item, _ in rated if purpose == "main"]
    Item.objects.filter(pk__in=ids).update(n_held=F("n_held") + 1, n_rated=F("n_rated") + 1)
    Participation.objects.filter(pk=person.pk).update(n_answered=F("n_answered") + len(rated))
    return person
