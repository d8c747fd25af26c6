"""What may stop early or come first, and that the core never does."""

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from annotation.models.studies import Item, Study
from annotation.studies.adaptive import (
    Pool,
    Sums,
    has_enough,
    pooled,
    standard_error,
    update_open_studies,
    update_stops,
)
from annotation.studies.life import change_state
from annotation.studies.pairs import add_items, further_pairs
from datasets import jobs
from scoring.models import Checkpoint
from scoring.results import priorities_for
from tests import make
from tests.annotation.said import said, say
from tests.conftest import FEW_OR_MANY
from tests.races import at_once
from tests.scoring import trained

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


def adaptive_study(n_pairs: int = 6, **fields: Any) -> Study:
    defaults = {"stops_adaptively": True, "core_percent": 0, "goal": 5, "min_ratings": 3, "max_ratings": 10}
    return make.study(n_pairs=n_pairs, **defaults | {"half_width": 1.0} | fields)


def rows(study: Study, **which: Any) -> list[tuple[int, float | None]]:
    return list(study.items.filter(**which).order_by("pk").values_list("goal", "priority"))


def goals(study: Study, **which: Any) -> list[int]:
    return [goal for goal, _ in rows(study, **which)]


# The core ---------------------------------------------------------------------------------------------------------


def core_groups(study: Study) -> set[str]:
    return set(study.items.filter(is_core=True).values_list("group", flat=True))


@pytest.mark.parametrize(("percent", "n_core"), [(0, 0), (20, 2), (25, 2), (100, 10)])
def test_the_core_is_a_share_of_the_originals_with_all_their_versions(percent: int, n_core: int) -> None:
    study = make.study(n_pairs=30, per_group=3, stops_adaptively=True, core_percent=percent)
    by_group = defaultdict(set)
    for group, is_core in study.items.values_list("group", "is_core"):
        by_group[group].add(is_core)
    assert all(len(each) == 1 for each in by_group.values())
    assert len(core_groups(study)) == n_core


def test_the_core_is_drawn_by_the_studys_seed() -> None:
    project = make.project()
    make.pairs(project, 20)
    cores = [
        core_groups(make.study(project, n_pairs=0, stops_adaptively=True, core_percent=40, seed=seed))
        for seed in (1, 1, 2)
    ]
    assert cores[0] == cores[1] != cores[2]


def test_a_study_without_biased_rules_is_core_throughout() -> None:
    study = make.study(n_pairs=5)
    assert not study.items.filter(is_core=False).exists()


def test_the_core_is_fixed_at_the_first_opening_and_later_pairs_never_join_it() -> None:
    study = make.study(n_pairs=10, is_ordered_by_model=True, core_percent=50)
    before = core_groups(study)
    make.pairs(study.project, 6)
    make.pair(study.project, group=next(iter(before)))
    add_items(study, further_pairs(study))
    change_state(study, Study.State.PAUSED)
    Study.objects.update(core_percent=100)
    change_state(study, Study.State.OPEN)
    assert (core_groups(study), study.items.filter(is_core=True).count(), study.items.count()) == (before, 5, 17)


def test_the_core_is_never_touched() -> None:
    study = adaptive_study(n_pairs=10, core_percent=50, is_ordered_by_model=True)
    said(study, [[5] * 10] * 5)
    update_stops(study)
    assert rows(study, is_core=True) == [(5, None)] * 5
    assert all(priority is not None for _, priority in rows(study, is_core=False))


SCORES = st.lists(st.lists(st.none() | st.integers(1, 10), min_size=6, max_size=6), max_size=7)


@FEW_OR_MANY
def test_whatever_people_say_the_core_keeps_its_goal_and_no_goal_falls_below_what_is_held(n_drawn: int) -> None:
    @settings(max_examples=n_drawn)
    @given(
        scores=SCORES,
        core=st.integers(0, 100),
        leases=st.lists(st.integers(0, 6), min_size=6, max_size=6),
        width=st.floats(0.1, 3),
        by_model=st.booleans(),
    )
    def check(scores: list[list[int | None]], core: int, leases: list[int], width: float, by_model: bool) -> None:
        study = adaptive_study(core_percent=core, half_width=width, is_ordered_by_model=by_model)
        said(study, scores)
        for item, n in zip(study.items.order_by("pk"), leases, strict=True):
            Item.objects.filter(pk=item.pk).update(n_held=F("n_held") + n)
        held = list(study.items.order_by("pk").values("pk", "n_held", "n_rated"))
        update_stops(study)
        assert set(rows(study, is_core=True)) <= {(5, None)}
        assert list(study.items.order_by("pk").values("pk", "n_held", "n_rated")) == held
        for item in study.items.filter(is_core=False):
            assert item.goal in {max(item.n_held, 1), max(item.n_held, 10)}
            assert item.n_rated >= 3 or item.goal >= 10

    check()


def test_the_page_of_a_biased_study_warns_and_shows_the_agreement_of_its_core() -> None:
    study = adaptive_study(n_pairs=4, core_percent=50)
    said(study, [[2 if item.is_core else score for item in study.items.order_by("pk")] for score in (3, 9)])
    researcher = Client()
    researcher.force_login(make.member(study.project))
    reply = researcher.get(reverse("annotation:study", args=[study.public_id]))
    assert "figures of all its pairs are biased" in reply.content.decode()
    assert reply.context["core_agreement"]["raw_agreement_within_1"] == 1
    assert reply.context["agreement"]["raw_agreement_within_1"] == 0.5
    plain = make.study(study.project, n_pairs=0)
    page = researcher.get(reverse("annotation:study", args=[plain.public_id])).content.decode()
    assert "biased" not in page


# Stopping ---------------------------------------------------------------------------------------------------------


def test_pairs_that_people_agree_on_stop_and_the_others_go_on_to_the_most() -> None:
    study = adaptive_study(n_pairs=2)
    said(study, [[5, 1], [5, 9]] * 4)  # eight ratings each: a pair's own deviation counts
    update_stops(study)
    assert goals(study) == [8, 10]


def test_before_eight_ratings_the_pooled_residual_decides_and_unanimous_pairs_do_not_stop() -> None:
    study = adaptive_study(n_pairs=2)
    said(study, [[5, 1], [5, 9], [5, 1], [5, 9]])
    update_stops(study)
    assert goals(study) == [10, 10]


def test_no_pair_stops_before_the_fewest_ratings() -> None:
    study = adaptive_study(n_pairs=3, min_ratings=5)
    said(study, [[5, 6, 7]] * 4)
    update_stops(study)
    assert goals(study) == [10, 10, 10]
    said(study, [[5, 6, 7]])
    update_stops(study)
    assert goals(study) == [5, 5, 5]


def test_every_pair_stops_at_the_most_ratings() -> None:
    study = adaptive_study(n_pairs=1, max_ratings=4)
    said(study, [[1], [10], [1], [10]])
    update_stops(study)
    assert goals(study) == [4]


def test_a_pair_that_stopped_goes_on_when_an_answer_is_revised() -> None:
    study = adaptive_study(n_pairs=1)
    people = said(study, [[5]] * 8)
    update_stops(study)
    rating = people[0].assignments.get().rating
    rating.score = 10
    rating.save()
    update_stops(study)
    assert goals(study) == [10]


def test_people_who_have_withdrawn_count_for_nothing() -> None:
    study = adaptive_study(n_pairs=1, min_ratings=3)
    people = said(study, [[5]] * 3)
    type(people[0]).objects.filter(pk=people[0].pk).update(withdrawn_at=people[0].consented_at)
    update_stops(study)
    assert goals(study) == [10]


def test_the_half_width_is_students() -> None:
    given_, study = [4, 5, 6, 5, 4, 6, 5, 7], SimpleNamespace(min_ratings=3, max_ratings=99, half_width=0.0)
    of_all = Pool(sd=1.5, df=40, variance_between=1)
    for n, expected in (
        (8, stats.t.ppf(0.975, 7) * np.std(given_, ddof=1) / np.sqrt(8)),
        (7, stats.t.ppf(0.975, 40) * 1.5 / np.sqrt(7)),
    ):
        some = given_[:n]
        summed = Sums(n, sum(some), sum(score**2 for score in some))
        study.half_width = expected + 1e-9
        assert has_enough(summed, of_all, study)  # type: ignore[arg-type]
        study.half_width = expected - 1e-9
        assert not has_enough(summed, of_all, study)  # type: ignore[arg-type]


def test_without_any_pair_rated_twice_nothing_stops() -> None:
    assert pooled({}).df == pooled({1: Sums(1, 5, 25)}).df == 0


# Order ------------------------------------------------------------------------------------------------------------


def test_the_pair_known_least_comes_first() -> None:
    study = adaptive_study(n_pairs=3)
    said(study, [[5, 3], [6, 8], [5]])
    update_stops(study)
    thrice, twice, never = [priority for _, priority in rows(study)]
    assert never > twice > thrice  # type: ignore[operator]


def test_the_standard_error_is_that_of_a_normal_posterior() -> None:
    pool = Pool(sd=2, df=10, variance_between=3)
    assert standard_error(Sums(), pool) == pytest.approx(3**0.5)
    assert standard_error(Sums(4, 20, 110), pool) == pytest.approx((1 / (1 / 3 + 4 / 4)) ** 0.5)


def test_no_model_in_use_has_nothing_to_say() -> None:
    study = make.study(n_pairs=2, is_ordered_by_model=True, core_percent=0)
    assert priorities_for(study.project, study.mode, [item.pair_id for item in study.items.all()]) == {}
    update_stops(study)
    assert rows(study) == [(2, None), (2, None)]


def test_pairs_of_rare_predicted_scores_come_first_and_unknown_ones_last() -> None:
    study = make.study(n_pairs=4, is_ordered_by_model=True, core_percent=0)
    pairs = [item.pair_id for item in study.items.order_by("pk")]
    update_stops(study, priorities=lambda *_: {pairs[0]: 0.5, pairs[2]: 0.75})
    assert rows(study) == [(2, 0.5), (2, 0.0), (2, 0.75), (2, 0.0)]


def test_the_model_only_breaks_ties_where_a_study_also_stops_adaptively() -> None:
    study = adaptive_study(n_pairs=3, is_ordered_by_model=True)
    pairs = [item.pair_id for item in study.items.order_by("pk")]
    said(study, [[5], [7]])
    update_stops(study, priorities=lambda *_: {pairs[0]: 1.0, pairs[2]: 0.5})
    known, unknown, other = [priority for _, priority in rows(study)]
    assert other > unknown > known  # type: ignore[operator]


# While people rate ------------------------------------------------------------------------------------------------


def test_workers_update_open_studies_with_such_rules_unasked() -> None:
    assert update_open_studies in jobs.repeated
    one, paused, plain = adaptive_study(n_pairs=1), adaptive_study(n_pairs=1), make.study(n_pairs=1)
    change_state(paused, Study.State.PAUSED)
    update_open_studies()
    assert [goals(study)[0] for study in (one, paused, plain)] == [10, 5, 2]


def test_what_has_not_changed_is_not_written() -> None:
    study = adaptive_study(n_pairs=3)
    said(study, [[5, 6, 7]] * 2)
    update_stops(study)
    with CaptureQueriesContext(connection) as captured:
        update_stops(study)
    assert not [each for each in captured if each["sql"].startswith("UPDATE")]


def test_an_update_takes_as_many_queries_for_little_and_much() -> None:
    costs = []
    for n_pairs in (2, 40):
        study = adaptive_study(n_pairs=n_pairs)
        said(study, [[5] * n_pairs] * 2)
        with CaptureQueriesContext(connection) as captured:
            update_stops(study)
        costs.append(len(captured))
    assert costs[0] == costs[1]


@pytest.mark.django_db(transaction=True)
def test_goals_are_never_below_what_is_held_while_people_draw_and_rate() -> None:
    study = adaptive_study(n_pairs=6, min_ratings=2)
    people = [make.participation(study) for _ in range(8)]
    seen: list[bool] = []

    def rate(mine: list[Any]) -> None:
        for person in mine:
            for item in study.items.order_by("shuffle"):
                if Item.objects.wanting_ratings().filter(pk=item.pk).update(n_held=F("n_held") + 1):
                    say(person, {item: 5})
                    Item.objects.filter(pk=item.pk).update(n_held=F("n_held") - 1)  # `say` took a place of its own
                seen.append(study.items.filter(n_held__gt=F("goal") + 4).exists())

    at_once(
        lambda: rate(people[::2]),
        lambda: rate(people[1::2]),
        lambda: [update_stops(study, at_once=2) for _ in range(10)],
        lambda: [update_stops(study, at_once=2) for _ in range(10)],
    )
    update_stops(study)
    assert not any(seen)
    assert not study.items.filter(n_held__gt=F("goal")).exists()
    assert not study.items.filter(n_held__gt=10).exists()


# What the model says ----------------------------------------------------------------------------------------------


@pytest.fixture
def predicted() -> tuple[Study, list[int]]:
    """A study whose release a model was trained on: of 12 pairs the first is predicted at 9, two at 3, the rest at 5.

    The model is in use.
    """
    study = make.study(n_pairs=12)
    said(study, [[5] * 12, [6] * 12])
    scores = {1: 9.2, 2: 2.8, 3: 3.1}
    run = trained.run(make.release(study), score=lambda label: scores.get(label.number, 5.1))
    run.checkpoint.use()
    return study, list(study.items.order_by("pair").values_list("pair_id", flat=True))


def test_pairs_are_the_more_urgent_the_rarer_their_predicted_score(predicted: tuple[Study, list[int]]) -> None:
    study, pairs = predicted
    found = priorities_for(study.project, study.mode, pairs)
    assert [found[pair] for pair in pairs] == pytest.approx([11 / 12, 10 / 12, 10 / 12, *[3 / 12] * 9])


def test_a_model_says_nothing_of_pairs_it_has_not_predicted(predicted: tuple[Study, list[int]]) -> None:
    study, pairs = predicted
    new = make.pair(study.project)
    assert set(priorities_for(study.project, study.mode, [new.pk, pairs[0]])) == {pairs[0]}


def test_neither_another_mode_nor_another_project_nor_a_model_out_of_use_has_a_say(
    predicted: tuple[Study, list[int]],
) -> None:
    study, pairs = predicted
    assert priorities_for(study.project, "HA1", pairs) == {}
    assert priorities_for(make.project(), study.mode, pairs) == {}
    Checkpoint.objects.update(in_use=False)
    assert priorities_for(study.project, study.mode, pairs) == {}


def test_a_study_takes_its_order_from_the_model_in_use(predicted: tuple[Study, list[int]]) -> None:
    first, _ = predicted
    study = make.study(first.project, n_pairs=0, is_ordered_by_model=True, core_percent=50)
    update_stops(study)
    outside = study.items.filter(is_core=False)
    assert dict(outside.values_list("pair_id", "priority")) == pytest.approx(
        priorities_for(study.project, study.mode, outside.values_list("pair_id", flat=True))
    )
    assert rows(study, is_core=True) == [(2, None)] * 6
