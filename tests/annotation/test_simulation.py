"""A large study rated to its end, with the draws of life on a real database; only the answers are written in bulk."""

from collections import Counter
from hashlib import sha256

import pytest
from django.db import connection
from django.db.models import Count
from django.utils import timezone

from annotation import studies
from annotation.join import CannotJoin, join_by_invitation
from annotation.models.people import Invitation, Participation
from annotation.models.ratings import Assignment
from annotation.models.studies import Campaign, Study
from annotation.wording import current_texts
from datasets.models.pictures import Image, Pair, Source
from datasets.models.projects import Project
from tests import make

pytestmark = pytest.mark.django_db

N_ORIGINALS, VERSIONS, GOAL, PLACES = 1200, 7, 8, 90


def pairs_without_files(of: Project) -> None:
    """As many pairs as the study of the paper has; nobody looks at them."""
    files = {"width": 8, "height": 8, "n_bytes": 1, "content_type": "image/png"}

    def images(kind: str, n: int) -> list[Image]:
        hashes = [sha256(f"{kind}{number}".encode()).hexdigest() for number in range(n)]
        return Image.objects.bulk_create(
            [Image(project=of, sha256=each, display_sha256=each, **files) for each in hashes], batch_size=500
        )

    source = Source.objects.create(project=of, name="simulation")
    originals, versions = images("original", N_ORIGINALS), images("version", N_ORIGINALS * VERSIONS)
    Pair.objects.bulk_create(
        [
            Pair(
                project=of,
                original=(original := originals[number // VERSIONS]),
                anonymized=version,
                group=original.sha256,
                source=source,
                anonymized_path=f"{number}.png",
            )
            for number, version in enumerate(versions)
        ],
        batch_size=500,
    )


def next_person(invitation: Invitation) -> Participation | None:
    """Somebody who begins, or None when the study has all its answers."""
    try:
        return join_by_invitation(invitation, agreed_to=current_texts(invitation.study)["consent"])
    except CannotJoin as cannot:
        if cannot.code != "full":
            raise
        return None


@pytest.mark.skipif(
    connection.vendor != "sqlite", reason="the draws are the same on PostgreSQL, and three times slower"
)
def test_a_large_study_ends_with_every_goal_reached_and_no_original_shown_twice_to_anybody() -> None:
    project = make.project()
    pairs_without_files(project)
    study = studies.create_study(
        project,
        campaign=Campaign.objects.create(project=project, slug="large", name="Large"),
        mode="HA2",
        name="Large",
        pairs=Pair.objects.filter(project=project),
        goal=GOAL,
        session_size=PLACES,
        n_warm_up=0,
        repeat_percent=0,
    )
    studies.change_state(study, Study.State.OPEN)
    invitation = studies.invite(study)
    sizes = []
    while person := next_person(invitation):
        sizes.append(person.n_planned)
        person.assignments.update(answered_at=timezone.now())
    assert set(study.items.values_list("n_held", flat=True)) == {GOAL}
    assert sum(sizes) == N_ORIGINALS * VERSIONS * GOAL
    repeated = (
        Assignment.objects.order_by().values("participation", "item__group").annotate(n=Count("pk")).filter(n__gt=1)
    )
    assert not repeated.exists()
    assert Participation.objects.count() == len(sizes)
    # Nearly everybody has the whole session; only the last ones find less.
    assert sum(size < PLACES for size in sizes) <= 10
    # Every level was filled before the next one began, but for the pairs that a person must not see.
    levels = Counter(Assignment.objects.values_list("draw_n_held", flat=True))
    assert levels == dict.fromkeys(range(GOAL), N_ORIGINALS * VERSIONS)
