from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.models.ratings import Assignment
from annotation.models.studies import RING, Study
from annotation.order import SessionPlan, draw_start, original_side, purpose_at, session_purposes

Purpose = Assignment.Purpose

plans = st.builds(
    SessionPlan,
    n_practice=st.integers(0, 6),
    n_warm_up=st.integers(0, 8),
    n_checks=st.integers(0, 6),
    repeat_percent=st.integers(0, 50),
    repeat_distance=st.integers(1, 30),
)
seeds = st.integers(0, 2**62)
sizes = st.integers(1, 150)


@given(plans, seeds, sizes)
def test_a_session_is_as_long_as_planned_and_the_same_each_time(plan: SessionPlan, seed: int, n: int) -> None:
    purposes = session_purposes(plan, seed, n)
    assert len(purposes) == n
    assert [purpose_at(plan, seed, n, position) for position in range(1, n + 1)] == list(purposes)
    session_purposes.cache_clear()
    assert session_purposes(plan, seed, n) == purposes


@given(plans, seeds, sizes)
def test_practice_and_warm_up_open_the_session_and_never_take_more_than_half(
    plan: SessionPlan, seed: int, n: int
) -> None:
    purposes = session_purposes(plan, seed, n)
    opening = ([Purpose.PRACTICE] * plan.n_practice + [Purpose.WARM_UP] * plan.n_warm_up)[: n // 2]
    assert list(purposes[: len(opening)]) == opening
    assert not {Purpose.PRACTICE, Purpose.WARM_UP} & set(purposes[len(opening) :])


@given(plans, seeds, sizes)
def test_a_session_holds_its_checks_and_repeats_where_there_is_room(plan: SessionPlan, seed: int, n: int) -> None:
    purposes = session_purposes(plan, seed, n)
    n_opening = min(plan.n_practice + plan.n_warm_up, n // 2)
    n_rest, counted = n - n_opening, Counter(purposes)
    assert counted[Purpose.CHECK] <= plan.n_checks
    assert counted[Purpose.REPEAT] <= round(n_rest * plan.repeat_percent / 100)
    if n_rest >= 2 * (plan.n_checks + plan.repeat_distance + round(n_rest * plan.repeat_percent / 100)):
        assert counted[Purpose.CHECK] == plan.n_checks
        assert counted[Purpose.REPEAT] == round(n_rest * plan.repeat_percent / 100)
    first_repeat = next((i for i, purpose in enumerate(purposes) if purpose == Purpose.REPEAT), n)
    assert first_repeat >= min(n, n_opening + plan.repeat_distance)


def test_checks_come_one_in_each_stretch_of_the_session() -> None:
    plan = SessionPlan(n_practice=0, n_warm_up=0, n_checks=4, repeat_percent=0, repeat_distance=20)
    for seed in range(50):
        places = [i for i, purpose in enumerate(session_purposes(plan, seed, 40)) if purpose == Purpose.CHECK]
        assert [place // 10 for place in places] == [0, 1, 2, 3]


def test_people_get_their_checks_at_different_places() -> None:
    plan = SessionPlan(n_practice=0, n_warm_up=0, n_checks=1, repeat_percent=0, repeat_distance=20)
    assert len({session_purposes(plan, seed, 30).index(Purpose.CHECK) for seed in range(100)}) > 20


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
