from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.measures.consensus import Consensus, corrected_scores


class Study(NamedTuple):
    item: np.ndarray
    annotator: np.ndarray
    score: np.ndarray
    quality: np.ndarray
    bias: np.ndarray
    inconsistency: np.ndarray

    def fitted(self) -> Consensus:
        return corrected_scores(self.item, self.annotator, self.score)

    def plain_mean(self) -> np.ndarray:
        return np.bincount(self.item, self.score) / np.bincount(self.item)


def simulated(seed: int, *, n_items: int = 300, n_annotators: int = 30, per_item: int = 5) -> Study:
    """Whole scores from 1 to 10 by annotators who differ in harshness (0.8) and care (0.4 to 2.5)."""
    rng = np.random.default_rng(seed)
    item = np.repeat(np.arange(n_items), per_item)
    annotator = np.concatenate([rng.choice(n_annotators, per_item, replace=False) for _ in range(n_items)])
    quality = rng.normal(5.5, 1.7, n_items)
    bias, inconsistency = rng.normal(0, 0.8, n_annotators), rng.uniform(0.4, 2.5, n_annotators)
    noisy = quality[item] + bias[annotator] + inconsistency[annotator] * rng.normal(size=len(item))
    return Study(item, annotator, np.clip(np.rint(noisy), 1, 10), quality, bias, inconsistency)


def rmse(score: np.ndarray, quality: np.ndarray) -> float:
    return float(np.sqrt(np.mean((score - quality) ** 2)))


@pytest.mark.parametrize("seed", range(5))
def test_harshness_and_care_of_each_annotator_are_recovered(seed):
    study = simulated(seed)
    consensus = study.fitted()
    assert consensus.converged
    assert np.corrcoef(consensus.bias, study.bias)[0, 1] > 0.9
    assert np.corrcoef(consensus.inconsistency, study.inconsistency)[0, 1] > 0.8


@pytest.mark.parametrize("per_item", [3, 5, 8])
def test_corrected_scores_are_nearer_the_truth_than_plain_means(per_item):
    for seed in range(5):
        study = simulated(seed, per_item=per_item)
        assert rmse(study.fitted().score, study.quality) < rmse(study.plain_mean(), study.quality)


@pytest.mark.parametrize("seed", range(20))
def test_at_three_ratings_per_item_nobodys_inconsistency_collapses(seed):
    study = simulated(seed, n_items=100, n_annotators=12, per_item=3)
    consensus = study.fitted()
    assert (consensus.inconsistency > 0.5 * study.inconsistency.min()).all()
    assert rmse(consensus.score, study.quality) < 1.05 * rmse(study.plain_mean(), study.quality)


def test_standard_errors_cover_the_truth_about_as_often_as_they_say():
    study = simulated(1, n_items=2000)
    consensus = study.fitted()
    inside = (study.quality > 2.5) & (study.quality < 8.5)  # the ends of the scale cut ratings off
    off = (consensus.score - study.quality)[inside] / consensus.se[inside]
    assert 0.9 < np.mean(np.abs(off) < 1.96) < 0.98


def test_the_fit_is_that_of_the_written_formulas_in_plain_loops():
    study = simulated(4, n_items=25, n_annotators=6, per_item=3)
    score, se, bias, inconsistency = fitted_in_loops(study)
    consensus = study.fitted()
    assert consensus.score == pytest.approx(score, abs=2e-3)
    assert consensus.se == pytest.approx(se, abs=2e-3)
    assert consensus.bias == pytest.approx(bias, abs=2e-3)
    assert consensus.inconsistency == pytest.approx(inconsistency, abs=2e-3)


def fitted_in_loops(study: Study) -> tuple[list[float], list[float], list[float], list[float]]:
    """The EM for one connected component, a rating at a time, for so long that its starting values are forgotten."""
    ratings = list(zip(study.item.tolist(), study.annotator.tolist(), study.score.tolist(), strict=True))
    of_item = [[(i, x) for j, i, x in ratings if j == item] for item in range(25)]
    of_annotator = [[(j, x) for j, i, x in ratings if i == annotator] for annotator in range(6)]
    b, s2, mu, tau2, lambda2 = [0.0] * 6, [1.0] * 6, 5.0, 1.0, 1.0
    for _ in range(600):
        v = [1 / (1 / tau2 + sum(1 / s2[i] for i, _ in row)) for row in of_item]
        psi = [v[j] * (mu / tau2 + sum((x - b[i]) / s2[i] for i, x in row)) for j, row in enumerate(of_item)]
        big_b = [1 / (len(row) / s2[i] + 1 / lambda2) for i, row in enumerate(of_annotator)]
        b = [big_b[i] * sum(x - psi[j] for j, x in row) / s2[i] for i, row in enumerate(of_annotator)]
        b = [bias - sum(b) / 6 for bias in b]
        squares = [
            sum((x - psi[j] - b[i]) ** 2 + v[j] + big_b[i] for j, x in row) for i, row in enumerate(of_annotator)
        ]
        s2 = [(squares[i] + 2 * sum(squares) / len(ratings)) / (len(row) + 2) for i, row in enumerate(of_annotator)]
        mu = sum(psi) / 25
        tau2 = sum((q - mu) ** 2 + variance for q, variance in zip(psi, v, strict=True)) / 25
        lambda2 = sum(bias**2 + variance for bias, variance in zip(b, big_b, strict=True)) / 6
    precision = [sum(1 / s2[i] for i, _ in row) for row in of_item]
    score = [sum((x - b[i]) / s2[i] for i, x in row) / p for row, p in zip(of_item, precision, strict=True)]
    return score, [p**-0.5 for p in precision], b, [variance**0.5 for variance in s2]


def test_the_order_of_the_ratings_and_a_new_unit_change_nothing_else():
    study = simulated(3)
    shuffle = np.random.default_rng(0).permutation(len(study.item))
    consensus = study.fitted()
    other = corrected_scores(study.item[shuffle], study.annotator[shuffle], 100 + 10 * study.score[shuffle])
    assert other.score == pytest.approx(100 + 10 * consensus.score)
    assert other.se == pytest.approx(10 * consensus.se)
    assert other.bias == pytest.approx(10 * consensus.bias, abs=1e-6)
    assert other.inconsistency == pytest.approx(10 * consensus.inconsistency)


def test_annotators_who_differ_by_a_constant_alone_are_reconciled():
    item, annotator = np.repeat(np.arange(20), 3), np.tile(np.arange(3), 20)
    consensus = corrected_scores(item, annotator, item % 7 + np.array([-1, 0, 1])[annotator])
    assert consensus.bias == pytest.approx([-1, 0, 1], abs=1e-3)
    assert consensus.score == pytest.approx(np.arange(20) % 7, abs=1e-3)


def test_perfect_agreement_is_a_defined_case():
    item, annotator = np.repeat(np.arange(20), 3), np.tile(np.arange(3), 20)
    consensus = corrected_scores(item, annotator, item % 7)
    assert consensus.score == pytest.approx(np.arange(20) % 7, abs=1e-3)
    assert consensus.inconsistency == pytest.approx(np.zeros(3), abs=1e-2)


@pytest.mark.parametrize(
    ("item", "annotator", "score", "reason", "means"),
    [
        ([], [], [], "no_pairable_values", []),
        ([0], [0], [4], "no_pairable_values", [4]),
        ([0, 1, 2, 0], [0, 0, 0, 0], [3, 5, 9, 4], "no_pairable_values", [3.5, 5, 9]),  # one annotator
        ([0, 1, 2, 3], [0, 1, 0, 1], [3, 5, 9, 1], "no_pairable_values", [3, 5, 9, 1]),  # two who share no item
        ([0, 0, 0], [0, 1, 2], [3, 5, 10], "single_item", [6]),
        ([0, 0, 1, 1], [0, 1, 0, 1], [7, 7, 7, 7], "no_variation", [7, 7]),
    ],
)
def test_what_cannot_be_corrected_is_a_plain_mean_with_its_reason(item, annotator, score, reason, means):
    consensus = corrected_scores(item, annotator, score)
    assert consensus.score.tolist() == means
    assert (consensus.se, consensus.bias, consensus.inconsistency) == (None, None, None)
    assert consensus.reason == reason


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(1, 10)), max_size=20))
def test_no_ratings_whatever_give_nan_or_a_warning(ratings):
    table = np.array(ratings, dtype=int).reshape(-1, 3)
    item, annotator = (np.unique(codes, return_inverse=True)[1] for codes in (table[:, 0], table[:, 1]))
    consensus = corrected_scores(item, annotator, table[:, 2])
    for figures in (consensus.score, consensus.se, consensus.bias, consensus.inconsistency):
        assert figures is None or np.isfinite(figures).all()
    assert (consensus.reason is None) == (consensus.bias is not None)


def test_a_fit_that_ran_out_of_iterations_says_so():
    of = simulated(0)
    consensus = corrected_scores(of.item, of.annotator, of.score, max_iterations=2)
    assert (consensus.converged, consensus.iterations) == (False, 2)


def test_annotators_who_share_no_item_even_by_others_are_not_compared():
    left, right = simulated(1, n_items=60, n_annotators=8), simulated(2, n_items=60, n_annotators=8)
    consensus = corrected_scores(
        np.concatenate([left.item, 60 + right.item]),
        np.concatenate([left.annotator, 8 + right.annotator]),
        np.concatenate([left.score, right.score + 3]),
    )
    assert consensus.n_components == 2
    assert not consensus.biases_are_comparable
    assert consensus.component.tolist() == [0] * 8 + [1] * 8
    assert consensus.bias[:8].mean() == pytest.approx(0, abs=1e-9)
    assert consensus.bias[8:].mean() == pytest.approx(0, abs=1e-9)


def test_a_long_chain_of_annotators_is_one_component():
    links = np.arange(2000)
    item, annotator = np.repeat(links, 2), np.column_stack([links, links + 1]).ravel()
    shuffle = np.random.default_rng(0).permutation(2001)  # so that neighbours' codes tell nothing
    consensus = corrected_scores(item, shuffle[annotator], item % 9 + annotator % 2)
    assert consensus.n_components == 1
    assert consensus.biases_are_comparable


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=20))
def test_components_are_those_of_a_search_along_shared_items(edges):
    item, annotator = (np.unique(codes, return_inverse=True)[1] for codes in np.array(edges).T)
    component = corrected_scores(item, annotator, np.ones(len(item))).component
    for start in range(annotator.max() + 1):
        reached, before = {start}, set()
        while reached != before:
            before = reached
            reached = set(annotator[np.isin(item, item[np.isin(annotator, list(reached))])].tolist())
        assert reached == set(np.flatnonzero(component == component[start]).tolist())


def test_codes_with_gaps_and_scores_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="item 1 has no rating"):
        corrected_scores([0, 2], [0, 1], [3, 4])
    with pytest.raises(ValueError, match="annotator 0 has no rating"):
        corrected_scores([0, 0], [1, 2], [3, 4])
    with pytest.raises(ValueError, match="not a finite number"):
        corrected_scores([0, 0], [0, 1], [3, np.nan])
    with pytest.raises(ValueError, match="not parallel"):
        corrected_scores([0, 0], [0, 1], [3])
