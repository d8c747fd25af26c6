import numpy as np
import pytest
from scipy import stats

from scoring.measures.means import expected_width, half_width, reliability_of_mean, spread, t_quantile


@pytest.mark.parametrize("df", [1, 2, 3, 4, 7, 8, 29, 100, 999, 1000])
def test_the_quantile_is_students(df: int) -> None:
    assert t_quantile(df) == pytest.approx(stats.t.ppf(0.975, df), rel=1e-9)


def test_the_quantile_of_very_many_is_the_normals() -> None:
    assert t_quantile(1_000_000) == pytest.approx(stats.norm.ppf(0.975), abs=0.003)


def test_without_degrees_of_freedom_there_is_no_quantile() -> None:
    with pytest.raises(ValueError, match="at least one"):
        t_quantile(0)


def test_the_half_width_is_that_of_a_t_interval() -> None:
    said = np.array([3, 5, 6, 9, 4.0])
    low, high = stats.t.interval(0.95, 4, loc=said.mean(), scale=stats.sem(said))
    assert half_width(said.std(ddof=1), 5) == pytest.approx((high - low) / 2)


@pytest.mark.parametrize("n", [2, 5, 8])
def test_the_expected_width_is_the_average_of_many_intervals(n: int) -> None:
    said = np.random.default_rng(3).normal(6, 2, size=(200_000, n))
    widths = 2 * stats.t.ppf(0.975, n - 1) * said.std(axis=1, ddof=1) / np.sqrt(n)
    assert expected_width(2, n) == pytest.approx(widths.mean(), rel=0.01)


def test_one_rating_has_no_width() -> None:
    with pytest.raises(ValueError, match="no interval"):
        expected_width(2, 1)


def test_spearman_and_brown_double_a_test() -> None:
    assert reliability_of_mean(0.5, 2) == pytest.approx(2 / 3)
    assert reliability_of_mean(0.3, 1) == pytest.approx(0.3)


# Shrout & Fleiss 1979, table 2: six targets, four judges; ICC(1,1) is .17, the mean square within 6.26.
SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def counted(said: list[list[int]]) -> np.ndarray:
    return np.array([[each.count(score) for score in range(1, 11)] for each in said])


def test_the_spread_is_that_of_shrout_and_fleiss() -> None:
    found = spread(counted(SHROUT_FLEISS), range(1, 11))
    assert found is not None
    assert (found.sd**2, found.reliability) == pytest.approx((6.26, 0.166), abs=0.005)
    assert (found.n_items, found.n_ratings) == (6, 24)


def test_unequal_numbers_of_ratings_find_the_spread_that_made_them() -> None:
    random = np.random.default_rng(1)
    n = random.integers(2, 9, size=20_000)
    quality = random.normal(0, 1, size=len(n))
    said = [np.round(10 * (50 + q + random.normal(0, 2, size=k))).astype(int) for q, k in zip(quality, n, strict=True)]
    counts = np.array([np.bincount(each, minlength=700) for each in said], dtype=np.int16)
    found = spread(counts, np.arange(700) / 10)
    assert found is not None
    assert found.sd == pytest.approx(2, rel=0.02)
    assert found.reliability == pytest.approx(1 / 5, abs=0.02)


def test_items_with_one_rating_say_nothing_of_the_spread() -> None:
    assert spread(counted([[3], [7]]), range(1, 11)) is None
    assert spread(np.zeros((0, 10)), range(1, 11)) is None
    assert spread(counted([*SHROUT_FLEISS, [10]]), range(1, 11)) == spread(counted(SHROUT_FLEISS), range(1, 11))


def test_one_item_or_equal_ratings_have_no_reliability() -> None:
    alone, equal = spread(counted([[3, 5]]), range(1, 11)), spread(counted([[4, 4], [4, 4]]), range(1, 11))
    assert (alone.sd, alone.reliability) == (pytest.approx(2**0.5), None)  # type: ignore[union-attr]
    assert (equal.sd, equal.reliability) == (0, None)  # type: ignore[union-attr]
