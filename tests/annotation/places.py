"""What must hold of a study's items at any moment, however people came and went."""

from django.db.models import Count, Q

from annotation.models.ratings import Assignment
from annotation.models.studies import Study

RATED = Q(assignments__rating__isnull=False, assignments__purpose=Assignment.Purpose.MAIN)
HELD = Q(
    assignments__isnull=False,
    assignments__purpose=Assignment.Purpose.MAIN,
    assignments__answered_at=None,
    assignments__returned_at=None,
)


def assert_places_add_up(study: Study) -> None:
    """Each item counts the ratings it has, and the people who hold it besides."""
    counted = study.items.annotate(
        ratings=Count("assignments", filter=RATED, distinct=True),
        leases=Count("assignments", filter=HELD, distinct=True),
    )
    for item in counted:
        assert (item.n_rated, item.n_held) == (item.ratings, item.ratings + item.leases), f"item {item.pk}"
