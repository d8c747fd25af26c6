"""The order of a session, from its seed alone."""

from collections import Counter
from itertools import groupby, pairwise

from hypothesis import given
from hypothesis import strategies as st

from annotation.models.studies import RING, Study
from annotation.order import Purpose, SessionPlan, Side, draw_start, lot, original_side, purpose_at, session_purposes

seeds = st.integers(0, 2**62 - 1)
positions = st.integers(1, 10_000)
plans = st.builds(
    SessionPlan,
    n_practice=st.integers(0, 8),
    n_warm_up=st.integers(0, 10),
    n_checks=st.integers(0, 12),
    repeat_percent=st.integers(0, 50),
    repeat_distance=st.integers(1, 40),
)
sizes = st.integers(1, 150)
USUAL = SessionPlan(n_practice=3, n_warm_up=5, n_checks=4, repeat_percent=5, repeat_distance=20)


def opening(plan: SessionPlan, n_planned: int) -> int:
    return min(plan.n_practice + plan.n_warm_up, n_planned // 2)


# What each position is for ----------------------------------------------------------------------------------------


@given(plan=plans, seed=seeds, n=sizes)
def test_every_position_has_a_purpose(plan: SessionPlan, seed: int, n: int) -> None:
    purposes = session_purposes(plan, seed, n)
    assert len(purposes) == n
    assert set(purposes) <= set(Purpose.values)


@given(plan=plans, seed=seeds, n=sizes)
def test_practice_comes_first_then_warm_up_and_together_they_are_at_most_half(
    plan: SessionPlan, seed: int, n: int
) -> None:
    purposes = session_purposes(plan, seed, n)
    first = opening(plan, n)
    n_practice = min(plan.n_practice, first)
    assert purposes[:first] == (Purpose.PRACTICE,) * n_practice + (Purpose.WARM_UP,) * (first - n_practice)
    assert not {Purpose.PRACTICE, Purpose.WARM_UP} & set(purposes[first:])


@given(plan=plans, seed=seeds, n=sizes)
def test_a_session_never_holds_more_checks_and_repeats_than_planned(plan: SessionPlan, seed: int, n: int) -> None:
    counts = Counter(session_purposes(plan, seed, n))
    n_rest = n - opening(plan, n)
    assert counts[Purpose.CHECK] <= min(plan.n_checks, n_rest)
    assert counts[Purpose.REPEAT] <= round(n_rest * plan.repeat_percent / 100)


@given(seed=seeds, n=st.integers(50, 150))
def test_a_session_that_is_long_enough_holds_all_its_checks_and_repeats(seed: int, n: int) -> None:
    counts = Counter(session_purposes(USUAL, seed, n))
    assert (counts[Purpose.PRACTICE], counts[Purpose.WARM_UP], counts[Purpose.CHECK]) == (3, 5, 4)
    assert counts[Purpose.REPEAT] == round((n - 8) * 0.05)


@given(plan=plans, seed=seeds, n=sizes)
def test_before_a_repeat_there_are_enough_positions_for_its_first_time(plan: SessionPlan, seed: int, n: int) -> None:
    first = opening(plan, n)
    for position, purpose in enumerate(session_purposes(plan, seed, n)):
        if purpose == Purpose.REPEAT:
            assert position - first >= plan.repeat_distance


@given(seed=seeds, n=st.integers(60, 150), n_checks=st.integers(1, 5))
def test_each_stretch_of_a_session_has_its_check(seed: int, n: int, n_checks: int) -> None:
    plan = SessionPlan(0, 0, n_checks, 0, 20)
    found = [at for at, purpose in enumerate(session_purposes(plan, seed, n)) if purpose == Purpose.CHECK]
    ends = [round(k * n / n_checks) for k in range(n_checks + 1)]
    assert len(found) == n_checks
    assert all(start <= at < end for at, (start, end) in zip(found, pairwise(ends), strict=True))


def test_checks_and_repeats_come_at_no_fixed_place() -> None:
    orders = {session_purposes(USUAL, seed, 60) for seed in range(20)}
    assert len(orders) == 20


@given(plan=plans, seed=seeds, n=sizes)
def test_the_order_is_the_same_for_ever(plan: SessionPlan, seed: int, n: int) -> None:
    first = session_purposes(plan, seed, n)
    session_purposes.cache_clear()
    assert session_purposes(plan, seed, n) == first


def test_the_order_of_a_stored_session_does_not_change_with_the_code() -> None:
    """What was drawn must be replayable after years: these are the numbers of today."""
    assert (lot(42, 1), draw_start(42, 1)) == (278651779053087998, 310209790)
    checks = [at for at, each in enumerate(session_purposes(USUAL, 42, 60), start=1) if each == Purpose.CHECK]
    repeats = [at for at, each in enumerate(session_purposes(USUAL, 42, 60), start=1) if each == Purpose.REPEAT]
    assert (checks, repeats) == ([18, 29, 43, 55], [33, 45, 52])


@given(plan=plans, seed=seeds, n=sizes, position=positions)
def test_pairs_beyond_the_session_count(plan: SessionPlan, seed: int, n: int, position: int) -> None:
    expected = session_purposes(plan, seed, n)[position - 1] if position <= n else Purpose.MAIN
    assert purpose_at(plan, seed, n, position) == expected


# Where a draw begins ----------------------------------------------------------------------------------------------


@given(seed=seeds, position=positions)
def test_a_draw_begins_on_the_ring(seed: int, position: int) -> None:
    assert 0 <= draw_start(seed, position) < RING


def test_draws_begin_all_round_the_ring() -> None:
    """2,000 starts in 10 equal arcs: 200 each, give or take five standard deviations."""
    arcs = Counter(draw_start(seed, position) * 10 // RING for seed in range(20) for position in range(1, 101))
    assert len(arcs) == 10
    assert all(133 <= n <= 267 for n in arcs.values())


# Side -------------------------------------------------------------------------------------------------------------


@given(seed=seeds, block=st.integers(0, 5000))
def test_of_two_positions_in_a_block_one_has_the_original_left(seed: int, block: int) -> None:
    sides = [original_side(Study.SideRule.BALANCED, seed, 2 * block + second) for second in (0, 1)]
    assert sorted(sides) == [Side.LEFT, Side.RIGHT]


@given(seed=seeds, n=st.integers(1, 200))
def test_left_and_right_are_equally_often_at_any_point_and_never_three_times_in_a_row(seed: int, n: int) -> None:
    sides = [original_side(Study.SideRule.BALANCED, seed, position) for position in range(1, n + 1)]
    assert abs(sides.count(Side.LEFT) - sides.count(Side.RIGHT)) <= 2
    assert all(len(list(run)) <= 2 for _, run in groupby(sides))


def test_which_side_comes_first_is_decided_by_lot() -> None:
    firsts = Counter(original_side(Study.SideRule.BALANCED, seed, 2) for seed in range(400))
    assert all(150 <= n <= 250 for n in firsts.values())
    sides = [original_side(Study.SideRule.BALANCED, 7, position) for position in range(2, 102)]
    assert any(a == b for a, b in pairwise(sides))  # no plain alternation, which a person would notice


@given(seed=seeds, position=positions, rule=st.sampled_from([Study.SideRule.LEFT, Study.SideRule.RIGHT]))
def test_a_fixed_side_is_always_the_same(seed: int, position: int, rule: str) -> None:
    assert original_side(rule, seed, position) == rule
