import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from scoring.measures import conduct

SCALE = np.arange(1, 11)


def ratings(n_people: int = 6, n_items: int = 60, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Item, person and score of a panel in which everybody rated two thirds of the items."""
    rng = np.random.default_rng(seed)
    quality, bias = rng.uniform(2, 9, n_items), rng.normal(0, 1, n_people)
    rows = [(i, p) for p in range(n_people) for i in range(n_items) if (i + p) % 3]
    item, person = np.array(rows).T
    scores = np.clip(np.rint(quality[item] + bias[person] + rng.normal(0, 1, len(item))), 1, 10)
    return item, person, scores


def matrix(item: np.ndarray, person: np.ndarray, score: np.ndarray) -> np.ndarray:
    table = np.full((person.max() + 1, item.max() + 1), np.nan)
    table[person, item] = score
    return table


def alpha_of(table: np.ndarray) -> float:
    return krippendorff.alpha(table, level_of_measurement="interval", value_domain=SCALE)


def test_alpha_without_each_person_is_what_counting_again_gives() -> None:
    item, person, score = ratings()
    table = matrix(item, person, score)
    alpha, without = conduct.alphas_without(item, person, score)
    assert alpha == pytest.approx(alpha_of(table))
    assert without == pytest.approx([alpha_of(np.delete(table, k, axis=0)) for k in range(len(table))])


# Few people and items, so that leaving one out often leaves an item alone, or no variation at all.
sparse = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 4), st.sampled_from([1, 5, 10])),
    min_size=1,
    max_size=14,
    unique_by=lambda row: row[:2],
)


@settings(max_examples=200)
@given(sparse)
def test_alpha_without_holds_for_items_with_one_or_two_ratings(rows: list[tuple[int, int, int]]) -> None:
    item, person, score = (np.array(column) for column in zip(*rows, strict=True))
    people, person = np.unique(person, return_inverse=True)
    _, item = np.unique(item, return_inverse=True)
    table = matrix(item, person, score.astype(float))
    _, without = conduct.alphas_without(item, person, score.astype(float))
    for k in range(len(people)):
        rest = np.delete(table, k, axis=0)
        pairable = rest[:, (~np.isnan(rest)).sum(axis=0) > 1] if len(rest) else np.empty((0, 0))
        values = pairable[~np.isnan(pairable)]
        if len(np.unique(values)) < 2:
            assert np.isnan(without[k])
        else:
            assert without[k] == pytest.approx(alpha_of(rest), abs=1e-9)


def test_leave_one_out_is_spearmans_rho_with_the_mean_of_the_others() -> None:
    item, person, score = ratings()
    table = matrix(item, person, score)
    others = conduct.means_of_others(item, score)
    for k in range(len(table)):
        rest = np.nanmean(np.delete(table, k, axis=0), axis=0)
        mine = ~np.isnan(table[k])
        found = conduct.leave_one_out(score[person == k], others[person == k])
        assert found.rho == pytest.approx(spearmanr(table[k][mine], rest[mine]).statistic)
        assert found.low is not None
        assert found.low < found.rho < found.high  # type: ignore[operator]


def test_items_that_nobody_else_rated_are_left_out_of_the_correlation() -> None:
    found = conduct.leave_one_out(np.array([1.0, 2, 3, 9]), np.array([1.0, 2, 3, np.nan]))
    assert (found.n, found.rho, found.low) == (3, pytest.approx(1), None)


def test_a_constant_annotator_has_no_correlation_and_the_reason_says_so() -> None:
    found = conduct.leave_one_out(np.full(20, 5.0), np.arange(20.0))
    assert (found.rho, found.reason) == (None, "no_variation")


def test_who_rates_higher_than_the_others_has_a_bias_above_zero() -> None:
    item, person, score = ratings(seed=3)
    score = np.where(person == 2, np.clip(score + 2, 1, 10), score)
    found, reason = conduct.biases(item, person, score)
    assert reason is None
    assert found is not None
    assert max(range(6), key=lambda k: found[k].bias) == 2
    assert found[2].low > 0
    assert all(each.inconsistency_low < each.inconsistency < each.inconsistency_high for each in found)


def test_biases_of_ratings_that_cannot_be_compared_are_undefined() -> None:
    assert conduct.biases(np.array([0, 1]), np.array([0, 1]), np.array([3.0, 4])) == (None, "no_pairable_values")


@pytest.mark.parametrize(("scores", "longest"), [([], 0), ([4], 1), ([4, 4, 5, 5, 5, 4], 3), ([1, 1, 1, 1], 4)])
def test_the_longest_run_is_counted_in_order(scores: list[int], longest: int) -> None:
    assert conduct.longest_run(scores) == longest


def test_entropy_is_zero_for_one_score_and_most_for_all_equally_often() -> None:
    assert conduct.entropy([7, 7, 7]) == 0
    assert conduct.entropy(SCALE) == pytest.approx(np.log2(10))


def test_consistency_with_oneself_is_the_mean_difference_and_the_share_within_one() -> None:
    assert conduct.self_consistency([1, 5, 9], [2, 5, 3]) == conduct.Consistency(3, pytest.approx(7 / 3), 2 / 3)  # type: ignore[arg-type]
    assert conduct.self_consistency([], []) == conduct.Consistency(0, None, None)


def test_the_course_compares_the_last_third_with_the_first() -> None:
    residual = np.array([0.0, 1, 0, 5, 5, 5, 3, 4, 3])
    seconds = np.array([9.0, 9, 9, np.nan, 5, 5, 2, 2])
    found = conduct.course(residual, seconds)
    assert (found.n, found.drift) == (9, pytest.approx(3))
    assert (found.seconds_first, found.seconds_last) == (9, 2)


def test_too_short_a_course_says_nothing() -> None:
    assert conduct.course(np.array([1.0, np.nan]), np.array([])) == conduct.Course(1, None, None, None, None)
