"""A person's data leaves: erased here, kept in frozen releases under a name that nobody can join to them any more."""

from django.db import transaction
from django.db.models import F

from annotation.models.people import Participation
from annotation.models.ratings import Assignment
from annotation.models.studies import Item
from datasets.models.releases import Release, ReleaseNotice


@transaction.atomic
def erase_participation(participation: Participation) -> None:
    """Delete a participation with all it holds; its places go back to others, and releases of its study say so.

    The annotator goes too when this was their last participation in the project.
    """
    locked = Participation.objects.select_for_update(of=("self",)).select_related("study", "annotator")
    mine = locked.get(pk=participation.pk)
    for assignment in mine.assignments.select_for_update(of=("self",)).order_by("item_id"):
        _give_back(assignment)
    study, annotator = mine.study, mine.annotator
    had_ratings = mine.assignments.exclude(answered_at=None).exists()
    mine.delete()
    if not annotator.participations.exists():
        annotator.delete()
    if had_ratings:
        _note_in_releases(study.campaign.project_id, study.public_id.hex)


def _give_back(assignment: Assignment) -> None:
    is_rated = assignment.answered_at is not None and assignment.purpose == Assignment.Purpose.MAIN
    is_held = assignment.answered_at is None and assignment.returned_at is None
    if is_rated or is_held:
        Item.objects.filter(pk=assignment.item_id).update(n_held=F("n_held") - 1, n_rated=F("n_rated") - int(is_rated))


def _note_in_releases(project: int, study: str) -> None:
    for release in Release.objects.filter(project=project, origins__study_id=study):
        ReleaseNotice.objects.create(
            release=release,
            kind=ReleaseNotice.Kind.WITHDRAWN,
            text="A person who rated in this study was erased after the release was frozen.",
        )
