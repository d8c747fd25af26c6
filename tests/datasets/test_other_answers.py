"""Repeats, checks, practice and warm-ups of a release: self-consistency computed again from the downloaded zip."""

import csv
import io
import zipfile
from collections import Counter

import pytest

from annotation.models.ratings import Rating
from annotation.models.studies import Study
from annotation.privacy import erase_participation
from annotation.watching.roles import PairRole, give_role
from datasets.models.releases import Release
from datasets.rows import OTHER_COLUMNS
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


@pytest.fixture
def study() -> Study:
    """Two people do it all: practice, a warm-up, a check, and some pairs twice; a third stops after the practice."""
    study = make.study(
        n_pairs=14,
        is_open=False,
        goal=9,
        session_size=14,
        n_practice=1,
        n_warm_up=1,
        n_checks=1,
        repeat_percent=20,
        repeat_distance=3,
    )
    practice, check = study.items.order_by("pk")[:2]
    give_role(study, practice, PairRole("practice", 1, 3))
    give_role(study, check, PairRole("check", 1, 3))
    Study.objects.filter(pk=study.pk).update(state="open")
    study.refresh_from_db()
    for n_answers in (14, 14, 1):
        person = make.participation(study, n_planned=14)
        make.rate(person, *[1 + n % 10 for n in range(n_answers)])
    return study


def table(release: Release, name: str) -> list[dict[str, str]]:
    with zipfile.ZipFile(make.archive(release)) as archive:
        return list(csv.DictReader(io.StringIO(archive.read(name).decode())))


def test_every_answer_is_in_one_table_by_what_it_was_asked_for(study: Study) -> None:
    release = make.release(study)
    others, ratings = table(release, "other_answers.csv"), table(release, "ratings.csv")
    assert tuple(others[0]) == OTHER_COLUMNS
    given = Counter(
        Rating.objects.exclude(assignment__participation=study.participations.order_by("pk")[2]).values_list(
            "assignment__purpose", flat=True
        )
    )
    assert given.keys() == {"practice", "warm_up", "main", "check", "repeat"}
    assert Counter(row["purpose"] for row in others) + Counter(main=len(ratings)) == given
    assert {row["annotator"] for row in others} == {row["annotator"] for row in ratings}


def test_what_people_said_the_second_time_stands_beside_the_first(study: Study) -> None:
    release = make.release(study)
    first = {(row["pair"], row["annotator"]): float(row["score"]) for row in table(release, "ratings.csv")}
    again = [row for row in table(release, "other_answers.csv") if row["purpose"] == "repeat"]
    found = sorted((first[row["pair"], row["annotator"]], float(row["score"])) for row in again)
    repeats = Rating.objects.filter(assignment__purpose="repeat").select_related("assignment")
    assert found == sorted(
        (
            Rating.objects.get(
                assignment__item=each.assignment.item_id,
                assignment__participation=each.assignment.participation_id,
                assignment__occurrence=0,
            ).score,
            each.score,
        )
        for each in repeats
    )
    assert len(found) >= 2


def test_whoever_is_erased_is_in_none_of_it(study: Study) -> None:
    erase_participation(study.participations.order_by("pk")[0])
    assert len({row["annotator"] for row in table(make.release(study), "other_answers.csv")}) == 1
