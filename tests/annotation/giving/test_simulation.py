"""A large study rated to its end, with the draws of life on a real database; only the answers are written in bulk."""

from collections import Counter
from dataclasses import asdict
from hashlib import sha256
from typing import Any

import pytest
from django.db import connection
from django.db.models import Count, F
from django.utils import timezone

from annotation.giving.join import CannotJoin, join_by_invitation
from annotation.giving.session_plan import SessionPlan
from annotation.models.people import Invitation, Participation
from annotation.models.ratings import Assignment
from annotation.models.studies import Campaign, Item, Study
from annotation.studies import invitations, life, setup
from annotation.studies.forecast import Pay, forecast
from annotation.studies.wording import current_texts
from annotation.watching.roles import PairRole, give_roles
from datasets.models.pictures import Image, Pair, Source
from datasets.models.projects import Project
from tests import make

pytestmark = pytest.mark.django_db

N_ORIGINALS, VERSIONS, GOAL, PLACES = 1200, 7, 8, 90


def pairs_without_files(of: Project, n_originals: int, n_versions: int) -> None:
    """Nobody looks at them."""
    files = {"width": 8, "height": 8, "n_bytes": 1, "content_type": "image/png"}

    def images(kind: str, n: int) -> list[Image]:
        hashes = [sha256(f"{kind}{number}".encode()).hexdigest() for number in range(n)]
        return Image.objects.bulk_create(
            [Image(project=of, sha256=each, display_sha256=each, **files) for each in hashes], batch_size=500
        )

    source = Source.objects.create(project=of, name="simulation")
    originals, versions = images("original", n_originals), images("version", n_originals * n_versions)
    Pair.objects.bulk_create(
        [
            Pair(
                project=of,
                original=(original := originals[number // n_versions]),
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


def opened(n_originals: int, n_versions: int, **settings: Any) -> Study:
    project = make.project()
    pairs_without_files(project, n_originals, n_versions)
    campaign = Campaign.objects.create(project=project, slug="c", name="C")
    pairs = Pair.objects.filter(project=project)
    study = setup.create_study(project, campaign=campaign, mode="HA2", name="S", pairs=pairs, **settings)
    checks = study.items.order_by("pk")[: settings.get("n_checks", 0)]
    give_roles(study, {item.pk: PairRole("check", instructed_score=4) for item in checks})
    life.change_state(study, Study.State.OPEN)
    return study


def sessions(study: Study) -> list[int]:
    """How long each was, until nobody can begin; everybody answers all they are given."""
    invitation, sizes = invitations.invite(study), []
    while person := next_person(invitation):
        sizes.append(person.n_planned)
        counting = person.assignments.filter(purpose=Assignment.Purpose.MAIN)
        Item.objects.filter(assignments__in=counting).update(n_rated=F("n_rated") + 1)
        person.assignments.update(answered_at=timezone.now())
    return sizes


@pytest.mark.long
@pytest.mark.skipif(
    connection.vendor != "sqlite", reason="the draws are the same on PostgreSQL, and three times slower"
)
def test_a_large_study_ends_with_every_goal_reached_and_no_original_shown_twice_to_anybody() -> None:
    settings = {"goal": GOAL, "session_size": PLACES, "n_warm_up": 0, "repeat_percent": 0}
    study = opened(N_ORIGINALS, VERSIONS, **settings)
    sizes = sessions(study)
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
    foretold = forecast(
        n_pairs=N_ORIGINALS * VERSIONS, n_originals=N_ORIGINALS, goal=GOAL, session=SessionPlan(PLACES), seconds=12,
        pay=Pay(12, "hour"),
    )  # fmt: skip
    assert foretold.n_people <= len(sizes) <= 1.02 * foretold.n_people


@pytest.mark.parametrize(
    ("n_originals", "n_versions", "goal", "session"),
    [
        (120, 1, 5, SessionPlan(30, n_warm_up=5, repeat_percent=5)),  # as a study is set up if nothing is chosen
        (100, 3, 4, SessionPlan(40, n_warm_up=5, n_checks=2, repeat_percent=10)),
        (40, 1, 4, SessionPlan(90, n_warm_up=5, repeat_percent=5)),  # fewer pairs than a session has
        (6, 1, 4, SessionPlan(30, n_warm_up=5)),
        (10, 7, 8, SessionPlan(30, n_warm_up=3, repeat_percent=10)),  # fewer originals
        (30, 2, 3, SessionPlan(20, n_warm_up=5, repeat_percent=10)),  # repeats that would come too early
    ],
)
def test_small_studies_with_pairs_that_do_not_count_take_few_people_more_than_foretold(
    n_originals: int, n_versions: int, goal: int, session: SessionPlan
) -> None:
    settings = asdict(session)
    study = opened(n_originals, n_versions, goal=goal, session_size=settings.pop("size"), **settings)
    main = study.items.rated()
    plan = forecast(
        n_pairs=main.count(), n_originals=main.values("group").distinct().count(), goal=goal, session=session,
        seconds=12, pay=Pay(12, "hour"),
    )  # fmt: skip
    sizes = sessions(study)
    assert set(main.values_list("n_held", flat=True)) == {goal}
    first = study.participations.earliest("pk").assignments
    assert first.filter(purpose=Assignment.Purpose.MAIN).count() == plan.n_counted
    # The last sessions are short: what is left over is partly what somebody has seen, or has warmed up on.
    assert plan.n_people - 2 <= len(sizes) <= 1.25 * plan.n_people + 3
