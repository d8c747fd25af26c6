import csv
import json
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scoring.measures import agreement
from scoring.measures.agreement import (
    Level,
    agreement_summary,
    alpha_interval,
    krippendorff_alpha,
    raw_agreement,
)

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
SCALE = range(1, 11)
LEVELS: tuple[Level, ...] = ("nominal", "ordinal", "interval", "ratio")
every_level = pytest.mark.parametrize("level", LEVELS)

# Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, example C: 4 observers x 12 units.
PUBLISHED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, np.nan, np.nan, np.nan],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, np.nan, 3],
        [np.nan, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, np.nan],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, np.nan],
    ]
)

# Annotators x items on a short stretch of the scale, so that ties and gaps are common.
matrices = st.tuples(st.integers(1, 5), st.integers(1, 6)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.sampled_from([np.nan, 1.0, 2.0, 3.0, 7.0, 10.0]))
)


def counts_of(matrix: np.ndarray, values=SCALE) -> np.ndarray:
    return np.stack([(matrix == value).sum(axis=0) for value in values], axis=1)


def simulated(n_groups: int, versions: int, raters: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Counts and group labels of versions that share much of their original's anonymity."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), versions)
    quality = rng.normal(5.5, 2, n_groups)[groups] + rng.normal(0, 0.5, len(groups))
    scores = np.clip(np.rint(quality + rng.normal(0, 1.5, (raters, len(groups)))), 1, 10)
    return counts_of(scores), np.char.add("original-", groups.astype(str))


def by_definition(matrix: np.ndarray, level: Level) -> float:
    """Alpha from lists of pairs of ratings: slow, and as the textbook has it."""
    units = [column[~np.isnan(column)].tolist() for column in matrix.T]
    units = [unit for unit in units if len(unit) > 1]
    everything = sorted(rating for unit in units for rating in unit)
    n = len(everything)

    def between(a: float, b: float) -> float:
        low, high = min(a, b), max(a, b)
        ends = (everything.count(low) + everything.count(high)) / 2
        return sum(low <= rating <= high for rating in everything) - ends

    squared: dict[Level, Callable[[float, float], float]] = {
        "nominal": lambda a, b: float(a != b),
        "ordinal": lambda a, b: between(a, b) ** 2,
        "interval": lambda a, b: (a - b) ** 2,
        "ratio": lambda a, b: ((a - b) / (a + b)) ** 2,
    }
    distance = squared[level]
    observed = sum(sum(distance(a, b) for a, b in permutations(unit, 2)) / (len(unit) - 1) for unit in units) / n
    expected = sum(distance(a, b) for a, b in permutations(everything, 2)) / (n * (n - 1))
    return 1 - observed / expected


@pytest.mark.parametrize(
    ("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849), ("ratio", 0.797)]
)
def test_krippendorffs_own_example_gives_his_alphas(level, published):
    alpha = krippendorff_alpha(counts_of(PUBLISHED), SCALE, level=level)
    assert alpha.value == pytest.approx(published, abs=5e-4)
    assert (alpha.reason, alpha.n_items, alpha.n_ratings) == (None, 11, 40)


@every_level
@settings(max_examples=60)
@given(matrix=matrices)
def test_alpha_is_that_of_the_definition_and_of_the_package_or_says_why_not(level, matrix):
    alpha = krippendorff_alpha(counts_of(matrix), SCALE, level=level)
    rated = ~np.isnan(matrix)
    paired = matrix[rated & (rated.sum(axis=0) > 1)]
    assert alpha.n_ratings == len(paired)
    if len(set(paired)) < 2:
        assert (alpha.value, alpha.reason) == (None, "no_variation" if len(paired) else "no_pairable_values")
    else:
        package = krippendorff.alpha(matrix, value_domain=list(SCALE), level_of_measurement=level)
        assert alpha.value == pytest.approx(package, abs=1e-9)
        assert alpha.value == pytest.approx(by_definition(matrix, level), abs=1e-9)


@every_level
@settings(max_examples=30)
@given(matrix=matrices, random=st.randoms())
def test_the_order_of_items_and_columns_and_unused_scale_points_change_nothing(level, matrix, random):
    counts = counts_of(matrix)
    items, columns = list(range(len(counts))), list(range(len(SCALE)))
    random.shuffle(items)
    random.shuffle(columns)
    shuffled = krippendorff_alpha(counts[items][:, columns], np.array(SCALE)[columns], level=level)
    longer = krippendorff_alpha(np.pad(counts, ((0, 0), (0, 3))), range(1, 14), level=level)
    alpha = krippendorff_alpha(counts, SCALE, level=level)
    for other in (shuffled, longer):
        assert other.value == pytest.approx(alpha.value, abs=1e-9)
        assert (other.reason, other.n_items, other.n_ratings) == (alpha.reason, alpha.n_items, alpha.n_ratings)


@settings(max_examples=30)
@given(matrix=matrices)
def test_interval_alpha_survives_a_new_unit_and_ordinal_alpha_any_rising_recoding(matrix):
    counts, scale = counts_of(matrix), np.array(SCALE)
    assert krippendorff_alpha(counts, 3 - 0.5 * scale).value == pytest.approx(
        krippendorff_alpha(counts, scale).value, abs=1e-9
    )
    assert krippendorff_alpha(counts, np.exp(scale), level="ordinal").value == pytest.approx(
        krippendorff_alpha(counts, scale, level="ordinal").value, abs=1e-9
    )


@every_level
def test_items_with_one_rating_do_not_even_enter_the_marginals(level):
    counts, _ = simulated(8, 2)
    lonely = np.vstack([counts, np.eye(10, dtype=int), np.zeros((4, 10), dtype=int)])
    assert krippendorff_alpha(lonely, SCALE, level=level) == krippendorff_alpha(counts, SCALE, level=level)


@every_level
def test_without_a_second_rating_there_is_no_alpha(level):
    for counts in (np.eye(10, dtype=int), np.zeros((3, 10), dtype=int), np.zeros((0, 10), dtype=int)):
        alpha = krippendorff_alpha(counts, SCALE, level=level)
        interval = alpha_interval(counts, SCALE, None, level=level, seed=1)
        assert (alpha.value, alpha.reason) == (None, "no_pairable_values")
        assert (interval.low, interval.high, interval.reason) == (None, None, "no_pairable_values")
        assert raw_agreement(counts, SCALE) is None


@every_level
def test_when_all_give_the_same_score_alpha_is_undefined_and_raw_agreement_whole(level):
    counts = counts_of(np.full((3, 6), 7.0))
    counts[5] = np.eye(10, dtype=int)[0]  # a lone other score is no variation that could be paired
    alpha = krippendorff_alpha(counts, SCALE, level=level)
    assert (alpha.value, alpha.reason) == (None, "no_variation")
    assert alpha_interval(counts, SCALE, None, level=level, seed=1).reason == "no_variation"
    assert raw_agreement(counts, SCALE) == 1.0


@every_level
def test_a_single_item_has_alpha_zero_and_no_interval(level):
    counts = counts_of(np.array([[2.0, 4.0], [9.0, np.nan]]))
    assert krippendorff_alpha(counts, SCALE, level=level).value == 0.0
    assert alpha_interval(counts, SCALE, None, level=level, seed=1).reason == "single_unit"
    assert alpha_interval(counts, SCALE, ["a", "b"], level=level, seed=1).reason == "single_unit"


def test_the_ratio_level_refuses_ratings_below_zero():
    counts = np.array([[2, 1, 0], [0, 1, 1]])
    assert krippendorff_alpha(counts, [-1, 0, 1], level="ratio").reason == "negative_value_ratio"
    assert alpha_interval(counts, [-1, 0, 1], None, level="ratio", seed=1).reason == "negative_value_ratio"
    assert krippendorff_alpha(counts, [-1, 0, 1], level="interval").value is not None
    assert krippendorff_alpha(counts[:, ::-1], [0, 1, 2], level="ratio").value is not None
    assert krippendorff_alpha([[0, 2, 1], [0, 1, 1]], [-1, 0, 1], level="ratio").value is not None  # -1 is unused


def test_systematic_disagreement_is_shown_as_negative():
    alpha = krippendorff_alpha(counts_of(np.array([[1.0, 10.0, 1.0, 10.0], [10.0, 1.0, 10.0, 1.0]])), SCALE)
    assert alpha.value == pytest.approx(-0.75)


def test_one_dissent_among_sixty_equal_ratings_gives_alpha_zero():
    matrix = np.full((2, 30), 5.0)
    matrix[0, 0] = 6
    assert krippendorff_alpha(counts_of(matrix), SCALE).value == pytest.approx(0, abs=1e-9)
    assert raw_agreement(counts_of(matrix), SCALE, within=0) == pytest.approx(29 / 30)


def test_counts_must_fit_the_scale():
    with pytest.raises(ValueError, match="one column for each"):
        krippendorff_alpha(np.ones((4, 5), dtype=int), SCALE)


def test_small_integer_counts_do_not_overflow():
    counts, _ = simulated(20, 1, raters=60)
    assert krippendorff_alpha(counts.astype(np.uint8), SCALE) == krippendorff_alpha(counts, SCALE)
    assert raw_agreement(counts.astype(np.uint8), SCALE) == raw_agreement(counts, SCALE)


@settings(max_examples=60)
@given(matrix=matrices, within=st.sampled_from([0, 1, 2, 9]))
def test_raw_agreement_counts_pairs_of_ratings_of_the_same_item(matrix, within):
    columns = [column[~np.isnan(column)].tolist() for column in matrix.T]
    near = [abs(a - b) <= within for column in columns for a, b in permutations(column, 2)]
    expected = pytest.approx(np.mean(near)) if near else None
    assert raw_agreement(counts_of(matrix), SCALE, within=within) == expected


def test_steps_of_a_tenth_are_one_step_apart():
    assert raw_agreement([[1, 1, 0], [0, 1, 1]], [0.2, 0.3, 0.4], within=0.1) == 1.0


@every_level
def test_the_interval_by_groups_is_that_of_redrawing_whole_groups_one_by_one(level):
    counts, groups = simulated(9, 3)
    labels = sorted(set(groups))
    drawn = np.random.default_rng(5).integers(len(labels), size=(80, len(labels)))
    alphas = [naive_alpha([counts[groups == labels[g]] for g in row], level) for row in drawn]
    interval = alpha_interval(counts, SCALE, groups, level=level, resamples=80, seed=5)
    assert (interval.low, interval.high) == pytest.approx(np.percentile(alphas, [2.5, 97.5]), abs=1e-9)
    assert (interval.unit, interval.resamples, interval.dropped, interval.seed) == ("group", 80, 0, 5)


@every_level
def test_the_interval_by_items_is_that_of_repeating_each_kind_of_item_as_often_as_drawn(level):
    counts = np.repeat(simulated(6, 1, raters=3)[0], [3, 1, 4, 1, 5, 2], axis=0)
    kinds, times = np.unique(counts, axis=0, return_counts=True)
    weights = np.random.default_rng(5).multinomial(len(counts), times / len(counts), size=80)
    alphas = [naive_alpha([np.repeat(kinds, row, axis=0)], level) for row in weights]
    interval = alpha_interval(counts, SCALE, None, level=level, resamples=80, seed=5)
    assert (interval.low, interval.high) == pytest.approx(np.percentile(alphas, [2.5, 97.5]), abs=1e-9)
    assert interval.unit == "item"


def naive_alpha(tables: list[np.ndarray], level: Level) -> float:
    return krippendorff.alpha(value_counts=np.vstack(tables), value_domain=list(SCALE), level_of_measurement=level)


def test_a_seed_gives_the_same_interval_in_any_chunks_and_another_seed_another():
    for counts, groups in (simulated(15, 3), (simulated(40, 1, raters=2)[0], None)):
        first = alpha_interval(counts, SCALE, groups, seed=7)
        assert alpha_interval(counts, SCALE, groups, seed=8).low != first.low
        again = alpha_interval(counts, SCALE, groups, seed=7, cells_at_once=100)
        assert (again.low, again.high) == pytest.approx((first.low, first.high), abs=1e-12)
        assert alpha_interval(counts, SCALE, groups, seed=7) == first


def test_versions_of_few_originals_make_the_interval_wider_than_their_rows_do():
    counts, groups = simulated(40, 8)
    by_group = alpha_interval(counts, SCALE, groups, seed=1)
    by_row = alpha_interval(counts, SCALE, None, seed=1)
    alpha = krippendorff_alpha(counts, SCALE).value
    assert by_group.low < by_row.low < alpha < by_row.high < by_group.high
    assert by_group.high - by_group.low > 1.3 * (by_row.high - by_row.low)


def test_a_group_label_of_an_item_with_one_rating_is_no_unit():
    counts, groups = simulated(10, 2)
    lonely = np.vstack([counts, np.eye(10, dtype=int)])
    more_groups = [*groups, *(f"lonely-{n}" for n in range(10))]
    assert alpha_interval(lonely, SCALE, more_groups, seed=3) == alpha_interval(counts, SCALE, groups, seed=3)


def test_resamples_without_variation_are_dropped_and_counted():
    unanimous, split = [0, 3, 0], [1, 1, 1]
    interval = alpha_interval([unanimous] * 26 + [split] * 4, [1, 2, 3], None, seed=1)
    assert 0 < interval.dropped <= 50
    assert interval.low <= interval.high
    refused = alpha_interval([unanimous] * 29 + [split], [1, 2, 3], range(30), seed=1)
    assert (refused.low, refused.high, refused.reason) == (None, None, "unvaried_resamples")
    assert refused.dropped > 50


def test_the_summary_is_json_with_everything_needed_to_repeat_it():
    counts, groups = simulated(12, 2)
    counts = np.vstack([counts, np.eye(10, dtype=int)[:1], np.zeros((1, 10), dtype=int)])
    summary = agreement_summary(counts, SCALE, [*groups, "a", "b"], seed=11, resamples=200)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["interval"]["low"] < summary["interval"]["alpha"] < summary["interval"]["high"]
    assert summary["ordinal"]["alpha"] == krippendorff_alpha(counts, SCALE, level="ordinal").value
    assert summary["nominal"]["alpha"] == krippendorff_alpha(counts, SCALE, level="nominal").value
    assert summary["raw_agreement_within_1"] == raw_agreement(counts, SCALE)
    assert (summary["n_items"], summary["n_items_with_two"], summary["n_ratings"]) == (25, 24, 121)
    assert (summary["unit"], summary["seed"], summary["resamples"], summary["dropped"]) == ("group", 11, 200, 0)
    assert summary["versions"] == {"numpy": np.__version__, "krippendorff": agreement.version("krippendorff")}


@settings(max_examples=60)
@given(matrix=matrices, by_group=st.booleans())
def test_a_summary_of_anything_has_no_nan_and_raises_nothing(matrix, by_group):
    groups = [f"original-{n // 2}" for n in range(matrix.shape[1])] if by_group else None
    summary = agreement_summary(counts_of(matrix), SCALE, groups, seed=1, resamples=50)
    json.dumps(summary, allow_nan=False)
    for level in ("interval", "ordinal", "nominal"):
        assert (summary[level]["alpha"] is None) == (summary[level]["reason"] is not None)
    assert (summary["interval"]["low"] is None) == (summary["interval"]["ci_reason"] is not None)


def real_counts(file: str, values: list[float], method: str | None = None) -> np.ndarray:
    path = DATA / file
    if not path.exists():
        pytest.skip(f"the real ratings {file} are not beside this checkout, in ../shared/data")
    with path.open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if method in (None, row["method"])]
    scores = [[float(row[name] or "nan") for name in row if name.startswith("rater")] for row in rows]
    return counts_of(np.array(scores).T, values)


@pytest.mark.parametrize(("level", "published"), [("ordinal", 0.714), ("interval", 0.742)])
def test_the_netflix_public_ratings_give_the_known_alphas(level, published):
    scale = [1, 2, 3, 4, 5]
    alpha = krippendorff_alpha(real_counts("sureal_raw/HA2_NFLX_public_1to5.csv", scale), scale, level=level)
    assert alpha.value == pytest.approx(published, abs=5e-4)
    assert (alpha.n_items, alpha.n_ratings) == (79, 79 * 26)


@pytest.mark.parametrize(
    ("method", "published"), [("BlendedDiffusion", 0.49), ("Glide", 0.61), ("SDInpaint", 0.73), ("SDXLInpaint", 0.72)]
)
def test_imagenhubs_mask_guided_ratings_give_the_published_ordinal_alphas(method, published):
    scale = [0, 0.5, 1]
    counts = real_counts("imagenhub_ratings/HA2_Mask-Guided_IE_SC_0to1.csv", scale, method)
    assert krippendorff_alpha(counts, scale, level="ordinal").value == pytest.approx(published, abs=0.005)


def test_imagenhubs_imagic_ratings_are_all_equal_and_have_no_alpha():
    scale = [0, 0.5, 1]
    counts = real_counts("imagenhub_ratings/HA2_Text-Guided_IE_SC_0to1.csv", scale, "Imagic")
    assert krippendorff_alpha(counts, scale, level="ordinal").reason == "no_variation"
    assert raw_agreement(counts, scale, within=0) == 1.0
