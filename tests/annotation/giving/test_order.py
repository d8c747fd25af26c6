from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.giving.order import draw_start, original_side, purpose_at, session_purposes
from annotation.giving.session_plan import SessionPlan
from annotation.models.ratings import Assignment
from annotation.models.studies import RING, Study

Purpose = Assignment.Purpose

plans = st.builds(
    SessionPlan,
    size=st.integers(1, 150),
    n_practice=st.integers(0, 6),
    n_warm_up=st.integers(0, 8),
    n_checks=st.integers(0, 6),
    repeat_percent=st.integers(0, 50),
    repeat_distance=st.integers(1, 30),
)
seeds = st.integers(0, 2**62)


@given(plans, seeds)
def test_a_session_is_as_long_as_planned_and_the_same_each_time(plan: SessionPlan, seed: int) -> None:
    purposes = session_purposes(plan, seed)
    assert len(purposes) == plan.size
    assert [purpose_at(plan, seed, position) for position in range(1, plan.size + 1)] == list(purposes)
    session_purposes.cache_clear()
    assert session_purposes(plan, seed) == purposes


@given(plans, seeds)
def test_practice_and_warm_up_open_the_session_and_never_take_more_than_half(plan: SessionPlan, seed: int) -> None:
    purposes = session_purposes(plan, seed)
    opening = ([Purpose.PRACTICE] * plan.n_practice + [Purpose.WARM_UP] * plan.n_warm_up)[: plan.size // 2]
    assert list(purposes[: len(opening)]) == opening
    assert not {Purpose.PRACTICE, Purpose.WARM_UP} & set(purposes[len(opening) :])


@given(plans, seeds)
def test_a_session_holds_its_checks_and_repeats_where_there_is_room(plan: SessionPlan, seed: int) -> None:
    purposes = session_purposes(plan, seed)
    n_opening = min(plan.n_practice + plan.n_warm_up, plan.size // 2)
    n_rest, counted = plan.size - n_opening, Counter(purposes)
    assert counted[Purpose.CHECK] <= plan.n_checks
    assert counted[Purpose.REPEAT] <= plan.n_repeats
    if n_rest >= 2 * (plan.n_checks + plan.repeat_distance + plan.n_repeats):
        assert counted[Purpose.CHECK] == plan.n_checks
        assert counted[Purpose.REPEAT] == plan.n_repeats
    assert counted[Purpose.MAIN] >= max(1, n_rest / 2)
    first_repeat = next((i for i, purpose in enumerate(purposes) if purpose == Purpose.REPEAT), plan.size)
    assert first_repeat >= min(plan.size, n_opening + plan.repeat_distance)


@given(plans, seeds)
def test_as_many_positions_count_as_the_session_plan_says(plan: SessionPlan, seed: int) -> None:
    counted = Counter(session_purposes(plan, seed))
    assert plan.n_counted <= counted[Purpose.MAIN] <= plan.n_counted + counted[Purpose.CHECK]  # in a repeat's place
    if plan.n_checks == 0:
        assert counted[Purpose.MAIN] == plan.n_counted


def test_checks_come_one_in_each_stretch_of_the_session() -> None:
    plan = SessionPlan(40, n_checks=4)
    for seed in range(50):
        places = [i for i, purpose in enumerate(session_purposes(plan, seed)) if purpose == Purpose.CHECK]
        assert [place // 10 for place in places] == [0, 1, 2, 3]


def test_people_get_their_checks_at_different_places() -> None:
    plan = SessionPlan(30, n_checks=1)
    assert len({session_purposes(plan, seed).index(Purpose.CHECK) for seed in range(100)}) > 20


@given(seeds, st.integers(1, 10**6))
def test_a_draw_starts_on_the_ring(seed: int, position: int) -> None:
    assert 0 <= draw_start(seed, position) < RING


@given(seeds, st.integers(1, 500))
def test_of_two_positions_one_has_the_original_left(seed: int, block: int) -> None:
    sides = [original_side(Study.SideRule.BALANCED, seed, position) for position in (2 * block - 1, 2 * block)]
    assert sorted(sides) == ["left", "right"]


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_fixed_side_is_kept(side: str) -> None:
    assert {original_side(side, 1, position) for position in range(20)} == {side}


def test_nobody_can_tell_the_side_from_the_one_before() -> None:
    follows = [
        original_side(Study.SideRule.BALANCED, 7, position) == original_side(Study.SideRule.BALANCED, 7, position + 1)
        for position in range(2, 400, 2)
    ]
    assert 0.3 < sum(follows) / len(follows) < 0.7
