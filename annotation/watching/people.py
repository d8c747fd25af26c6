"""What a person who watches over a study sees of the people who rate."""

from typing import Any

from django.db.models import Count, Max, OuterRef, QuerySet, Subquery

from annotation.models.people import Participation
from annotation.models.quality import Flag
from annotation.models.ratings import Assignment, Rating, Report
from annotation.models.studies import Study


def n_flagged(study: Study) -> int:
    """People about whom a flag waits for a decision."""
    waiting = Flag.objects.to_decide().filter(participation__study=study)
    return waiting.values("participation").distinct().count()


def people_of(study: Study) -> Any:
    """Participations with how far each one is, under their pseudonyms."""
    return (
        Participation.objects.filter(study=study)
        .select_related("annotator", "invitation")
        .annotate(n_rated=Count("assignments__rating"), last_at=Max("assignments__answered_at"))
        .order_by("consented_at")
    )


def checked_answers(person: Participation) -> list[dict[str, Any]]:
    """A person's answers to checks and practice pairs, with whether they passed."""
    ratings = Rating.objects.with_known_answer().filter(assignment__participation=person)
    return [
        {"rating": each, "item": (item := each.assignment.item), "passed": item.passes(each.score)}
        for each in ratings.select_related("assignment__item__pair").order_by("assignment__position")
    ]


def skipped_checks(person: Participation) -> QuerySet[Report]:
    """Checks and practice pairs that a person did not rate, with the reasons they gave."""
    skipped = Report.objects.with_known_answer().filter(assignment__participation=person)
    return skipped.select_related("assignment__item__pair").order_by("assignment__position")


def repeated_answers(person: Participation) -> list[dict[str, Any]]:
    """What a person said of the pairs that came twice: first and second answer."""
    own = Rating.objects.filter(assignment__participation=person)
    first = own.filter(assignment__item=OuterRef("assignment__item"), assignment__occurrence=0)
    again: Any = own.filter(assignment__purpose=Assignment.Purpose.REPEAT)
    again = again.annotate(first=Subquery(first.values("score")[:1])).select_related("assignment__item__pair")
    return [
        {"rating": each, "first": each.first, "difference": abs(each.score - each.first)}
        for each in again.order_by("assignment__position")
        if each.first is not None
    ]
