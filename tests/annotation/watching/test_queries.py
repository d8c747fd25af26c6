import csv

import krippendorff
import numpy as np
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from annotation.models.people import Participation
from annotation.models.ratings import Assignment
from annotation.models.studies import Item, Study
from annotation.watching.agreement import rating_counts, score_histogram, study_agreement
from annotation.watching.people import people_of
from annotation.watching.progress import study_progress
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


def downloaded(study: Study) -> list[dict[str, str]]:
    """The ratings as a researcher gets them."""
    researcher = Client()
    researcher.force_login(make.member(study.project))
    reply = researcher.get(reverse("annotation:ratings", args=[study.public_id]))
    return list(csv.DictReader(b"".join(reply).decode().splitlines()))  # type: ignore[arg-type]


def matrix(rows: list[dict[str, str]]) -> np.ndarray:
    """Annotators x items, with gaps."""
    people, items = ({row[name]: None for row in rows} for name in ("annotator", "pair"))
    made = np.full((len(people), len(items)), np.nan)
    for row in rows:
        made[list(people).index(row["annotator"]), list(items).index(row["pair"])] = int(row["score"])
    return made


def uneven_study() -> Study:
    """Six people with some of the pairs each."""
    study = make.study(n_pairs=8, goal=6)
    for seed in range(6):
        scores = np.random.default_rng(seed).integers(1, 11, size=3 + seed % 3)
        make.rate(make.participation(study, seed=seed), *map(int, scores))
    return study


# Agreement --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["interval", "ordinal"])
def test_alpha_on_the_page_is_krippendorffs_alpha_of_the_downloaded_ratings(level: str) -> None:
    study = uneven_study()
    said = matrix(downloaded(study))
    expected = krippendorff.alpha(said, value_domain=range(1, 11), level_of_measurement=level)
    assert np.isnan(said).any()
    assert study_agreement(study)[level]["alpha"] == pytest.approx(expected, abs=1e-12)


def test_without_ratings_alpha_is_undefined_for_a_reason() -> None:
    alpha = study_agreement(make.study())["interval"]
    assert (alpha["alpha"], bool(alpha["reason"])) == (None, True)


def test_only_ratings_of_the_study_count() -> None:
    study = make.study(n_pairs=1)
    other = make.study(study.project, n_pairs=0)
    make.rate(make.participation(study), 3)
    make.rate(make.participation(other), 9)
    assert [n for _, n in score_histogram(rating_counts(study)[0])] == [0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert [row["score"] for row in downloaded(study)] == ["3"]


def test_practice_repeats_and_withdrawn_people_do_not_count() -> None:
    study = make.study(n_pairs=4, goal=4)
    people = [make.participation(study) for _ in range(3)]
    for score, person in enumerate(people, start=1):
        make.rate(person, score)
    Assignment.objects.filter(participation=people[0]).update(purpose=Assignment.Purpose.REPEAT)
    Participation.objects.filter(pk=people[1].pk).update(withdrawn_at=timezone.now())
    assert [row["score"] for row in downloaded(study)] == ["3"]
    assert rating_counts(study)[0].sum(axis=0).tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 0, 0]


def test_a_revised_rating_counts_once_with_its_newest_score() -> None:
    study = make.study(n_pairs=1)
    make.rate(make.participation(study), 3)
    make.rating(Assignment.objects.get(), 8, revises=True)
    assert dict(score_histogram(rating_counts(study)[0]))[8] == 1
    assert sum(n for _, n in score_histogram(rating_counts(study)[0])) == 1


def test_ratings_are_counted_per_pair_with_its_group() -> None:
    study = make.study(n_pairs=2, per_group=2, goal=2)
    for scores in ([1, 1], [1, 10]):
        make.rate(make.participation(study), *scores)
    counts, groups = rating_counts(study)
    assert counts.sum() == 4
    assert counts.sum(axis=1).tolist() == [2, 2]
    assert groups.tolist() == ["g0", "g0"]


def test_the_download_names_people_by_pseudonym_only() -> None:
    study = make.study(n_pairs=1)
    member = make.member(study.project, name="alice", email="alice@example.org")
    make.rate(mine := make.participation(study, by=member), 7)
    [row] = downloaded(study)
    assert row["annotator"] == mine.annotator.pseudonym
    assert not {"alice", "alice@example.org"} & set(row.values())


# Progress ---------------------------------------------------------------------------------------------------------


def test_checks_are_no_part_of_a_studys_progress() -> None:
    study = make.study(n_pairs=4, goal=1)
    study.items.filter(pk=study.items.all()[0].pk).update(role="check", goal=0)
    progress = study_progress(study)
    assert (progress.n_items, progress.n_complete, progress.n_wanted) == (3, 0, 3)


def test_progress_counts_pairs_ratings_and_people() -> None:
    study = make.study(n_pairs=4, goal=2)
    make.rate(make.participation(study), 5, 5, 5, 5)
    make.rate(make.participation(study), 5)
    make.leases(make.participation(study))
    progress = study_progress(study)
    assert (progress.n_items, progress.n_complete, progress.n_wanted, progress.n_rated) == (4, 1, 8, 5)
    assert (progress.n_people, progress.percent) == (3, 62)


def test_who_rated_the_last_pair_has_finished() -> None:
    study = make.study(n_pairs=2, session_size=2)
    make.rate(person := make.participation(study), 5, 5)
    assert study_progress(study).n_finished == 0  # the page has not asked for more yet
    make.leases(person)
    assert study_progress(study).n_finished == 1


def test_withdrawn_pictures_are_not_wanted_any_more() -> None:
    study = make.study(n_pairs=3, goal=2)
    Item.objects.filter(pk=study.items.first().pk).update(state=Item.State.WITHDRAWN)  # type: ignore[union-attr]
    assert (study_progress(study).n_items, study_progress(study).n_wanted) == (2, 4)


def test_a_study_without_pairs_is_at_nought_per_cent() -> None:
    assert study_progress(make.study(n_pairs=0, is_open=False)).percent == 0


def test_people_are_listed_with_how_far_they_are() -> None:
    study = make.study(n_pairs=3)
    for n_rated in (3, 1, 0):
        make.rate(make.participation(study), *[5] * n_rated)
    assert [person.n_rated for person in people_of(study)] == [3, 1, 0]


def test_counting_ratings_costs_the_same_however_many_there_are() -> None:
    costs = []
    for study in (make.rated_study(n_pairs=2, n_people=2), make.rated_study(n_pairs=8, n_people=5)):
        with CaptureQueriesContext(connection) as captured:
            study_progress(study)
            study_agreement(study)
            list(people_of(study))
        costs.append(len(captured))
    assert costs[0] == costs[1]
