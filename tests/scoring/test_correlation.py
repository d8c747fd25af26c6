import json
from dataclasses import asdict
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from scoring.measures.correlation import Correlation, correlation_intervals, kendall, pearson, spearman

RANK = {
    "spearman": (spearman, lambda x, y: float(stats.spearmanr(x, y).statistic)),
    "kendall": (kendall, lambda x, y: float(stats.kendalltau(x, y).statistic)),
}
either = pytest.mark.parametrize("name", RANK)
every_measure = pytest.mark.parametrize("measure", [spearman, kendall, pearson])

# Two columns of few distinct values, so that ties are common, with both infinities among them.
tied_columns = st.lists(
    st.tuples(*[st.sampled_from([-np.inf, -2.5, 0.0, 0.1, 1.0, 7.0, np.inf])] * 2), max_size=25
).map(lambda rows: np.array(rows, dtype=float).reshape(-1, 2).T)


def tied(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=n)
    return np.rint(3 * quality + 2 * rng.normal(size=n)), np.rint(2 * quality + 2 * rng.normal(size=n))


def tau_b_by_definition(x, y) -> float:
    """Every pair of rows looked at: slow, and as the textbook has it."""
    pairs = [(np.sign(x[i] - x[j]), np.sign(y[i] - y[j])) for i, j in combinations(range(len(x)), 2)]
    untied = sum(a != 0 for a, _ in pairs) * sum(b != 0 for _, b in pairs)
    return sum(a * b for a, b in pairs) / untied**0.5


def test_a_well_known_example_has_its_well_known_rank_correlations():
    # Wikipedia, "Spearman's rank correlation coefficient": IQ and hours of television a week.
    iq = [106, 100, 86, 101, 99, 103, 97, 113, 112, 110]
    hours = [7, 27, 2, 50, 28, 29, 20, 12, 6, 17]
    assert spearman(iq, hours).value == pytest.approx(-29 / 165)
    assert kendall(iq, hours).value == pytest.approx(-5 / 45)


def test_anscombes_first_set_has_his_published_r():
    x = [10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5]
    y = [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68]
    assert pearson(x, y).value == pytest.approx(0.816, abs=5e-4)


def test_ties_share_their_rank_and_are_left_out_of_taus_denominator():
    x, y = [1, 2, 2, 3], [1, 3, 2, 3]  # of six pairs four concordant, one tied in x, one tied in y
    assert kendall(x, y).value == pytest.approx(4 / 5)
    assert spearman(x, y).value == pytest.approx(3.75 / 4.5)
    assert kendall([12, 2, 1, 12, 2], [1, 4, 7, 1, 0]).value == pytest.approx(-0.47140452079103173)  # scipy's manual


@either
@settings(max_examples=100, deadline=None)
@given(columns=tied_columns)
def test_a_rank_correlation_is_scipys_or_says_why_not(name, columns):
    ours, scipys = RANK[name]
    x, y = columns
    found = ours(x, y)
    if len(x) < 2:
        assert found == Correlation(None, "too_few_rows", len(x))
    elif len(set(x)) == 1 or len(set(y)) == 1:
        assert found == Correlation(None, "no_variation", len(x))
    else:
        assert found == Correlation(pytest.approx(scipys(x, y), abs=1e-12), None, len(x))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=2, max_size=20))
def test_tau_is_that_of_looking_at_every_pair(rows):
    x, y = np.array(rows).T
    if (value := kendall(x, y).value) is not None:
        assert value == pytest.approx(tau_b_by_definition(x, y), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.integers(-50, 50)), min_size=3, max_size=20))
def test_pearsons_r_is_numpys(rows):
    x, y = np.array(rows).T
    if np.ptp(x) > 1e-3 and np.ptp(y) > 0:
        assert pearson(x, y).value == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-6)


@either
def test_ten_thousand_rows_with_ties_agree_with_scipy(name):
    ours, scipys = RANK[name]
    x, y = tied(10_000)
    assert ours(x, y).value == pytest.approx(scipys(x, y), abs=1e-12)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 7, 8, 9, 1023, 1024, 1025])
def test_any_number_of_rows_in_opposite_order_gives_minus_one(n):
    for measure in (spearman, kendall, pearson):
        assert measure(np.arange(n), -np.arange(n)).value == pytest.approx(-1, abs=1e-12)
        assert measure(np.arange(n), np.arange(n)).value == pytest.approx(1, abs=1e-12)


@every_measure
def test_rounding_never_carries_a_value_past_one(measure):
    for seed in range(50):
        x = np.random.default_rng(seed).normal(size=7)
        assert 1 - 1e-12 < measure(x, 0.1 * x).value <= 1
        assert -1 <= measure(x, -0.1 * x).value < -1 + 1e-12


@every_measure
@pytest.mark.parametrize(
    ("x", "y", "reason"),
    [
        ([], [], "too_few_rows"),
        ([3], [4], "too_few_rows"),
        ([5, 5, 5], [1, 2, 3], "no_variation"),
        ([1, 2, 3], [0.1, 0.1, 0.1], "no_variation"),
        ([np.inf, np.inf], [1, 2], "no_variation"),
    ],
)
def test_what_has_no_correlation_is_none_with_its_reason(measure, x, y, reason):
    assert measure(x, y) == Correlation(None, reason, len(x))
    for interval in correlation_intervals(x, y, None, seed=1).values():
        assert (interval.low, interval.high, interval.reason, interval.dropped) == (None, None, reason, 0)


def test_the_psnr_of_identical_pictures_ranks_above_all_others():
    psnr, score = [31.5, np.inf, 24.0, np.inf, 28.2], [3, 1, 9, 1, 8]
    for measure in (spearman, kendall):
        assert measure(psnr, score).value == measure([31.5, 99, 24.0, 99, 28.2], score).value == pytest.approx(-1)
    assert pearson(psnr, score) == Correlation(None, "infinite_value", 5)


def test_pearsons_r_survives_numbers_whose_squares_overflow_or_vanish():
    x = np.array([1.0, 2.0, 4.0])
    for scale in (1e-300, 1e300):
        assert pearson(scale * x, [3, 1, 1]).value == pytest.approx(pearson(x, [3, 1, 1]).value)


@every_measure
def test_a_nan_and_columns_of_different_lengths_are_refused(measure):
    with pytest.raises(ValueError, match="NaN"):
        measure([1, np.nan, 3], [1, 2, 3])
    with pytest.raises(ValueError, match=r"shapes \(3,\) and \(2,\)"):
        measure([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="NaN"):
        correlation_intervals([1, 2, 3], [1, 2, np.nan], None, seed=1)


@either
@pytest.mark.parametrize("resamples", [1, 2, 80])
def test_the_interval_is_that_of_redrawing_whole_groups_one_by_one(name, resamples):
    x, y = tied(60)
    x[:3] = np.inf
    groups = np.char.add("original-", (np.arange(60) % 14).astype(str))
    labels = sorted(set(groups))
    drawn = np.random.default_rng(5).integers(len(labels), size=(resamples, len(labels)))
    rows = [np.concatenate([np.flatnonzero(groups == labels[g]) for g in resample]) for resample in drawn]
    values = [RANK[name][1](x[resample], y[resample]) for resample in rows]
    interval = correlation_intervals(x, y, groups, seed=5, resamples=resamples)[name]
    assert (interval.low, interval.high) == pytest.approx(np.percentile(values, [2.5, 97.5]), abs=1e-12)
    assert (interval.unit, interval.resamples, interval.dropped, interval.seed) == ("group", resamples, 0, 5)


@either
def test_without_groups_the_rows_are_redrawn(name):
    x, y = tied(40)
    by_row = correlation_intervals(x, y, None, seed=2)[name]
    assert by_row.unit == "row"
    assert by_row.low < RANK[name][0](x, y).value < by_row.high
    one_each = correlation_intervals(x, y, np.arange(40), seed=2)[name]
    assert (one_each.low, one_each.high, one_each.unit) == (by_row.low, by_row.high, "group")


@either
def test_versions_of_few_originals_make_the_interval_wider_than_their_rows_do(name):
    original = np.repeat(np.arange(30), 8)
    x, y = (column[original] for column in tied(30))
    y = y + np.random.default_rng(0).normal(0, 0.1, len(y))
    by_group, by_row = (correlation_intervals(x, y, groups, seed=1)[name] for groups in (original, None))
    assert by_group.high - by_group.low > 2 * (by_row.high - by_row.low)


def test_a_seed_gives_the_same_interval_in_any_chunks_and_another_seed_another():
    x, y = tied(50)
    for groups in (None, np.arange(50) // 4):
        first = correlation_intervals(x, y, groups, seed=7)
        assert correlation_intervals(x, y, groups, seed=8)["kendall"].low != first["kendall"].low
        assert correlation_intervals(x, y, groups, seed=7, cells_at_once=333) == first


def test_one_group_alone_has_no_interval():
    for interval in correlation_intervals([1, 2, 3], [1, 3, 2], ["a", "a", "a"], seed=1).values():
        assert (interval.low, interval.high, interval.reason) == (None, None, "single_unit")


def test_resamples_without_variation_are_dropped_and_counted():
    x, y = np.arange(30), np.zeros(30)
    y[:4] = 1
    for interval in correlation_intervals(x, y, None, seed=1).values():
        assert 0 < interval.dropped <= 50
        assert interval.low <= interval.high
    y[1:4] = 0
    for interval in correlation_intervals(x, y, None, seed=1).values():
        assert (interval.low, interval.high, interval.reason) == (None, None, "unvaried_resamples")
        assert interval.dropped > 50


def test_there_is_one_group_label_per_row():
    with pytest.raises(ValueError, match="2 groups for 3 rows"):
        correlation_intervals([1, 2, 3], [1, 3, 2], ["a", "b"], seed=1)


@settings(max_examples=40, deadline=None)
@given(columns=tied_columns, by_group=st.booleans())
def test_intervals_of_anything_are_json_without_nan(columns, by_group):
    groups = np.arange(columns.shape[1]) // 3 if by_group else None
    for interval in correlation_intervals(*columns, groups, seed=1, resamples=40).values():
        json.dumps(asdict(interval), allow_nan=False)
        assert (interval.low is None) == (interval.high is None) == (interval.reason is not None)
