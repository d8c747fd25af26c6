import json
from dataclasses import asdict
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from scoring.measures.humans import Figure, leave_one_out, split_half

SCIPY = {"spearman": stats.spearmanr, "kendall": stats.kendalltau}
either = pytest.mark.parametrize("statistic", SCIPY)


class Ratings(NamedTuple):
    item: np.ndarray
    annotator: np.ndarray
    score: np.ndarray


def ratings(*rows: tuple[int, str, float]) -> Ratings:
    return Ratings(*(np.array(column) for column in zip(*rows, strict=True)))


def table(**scores: list[float | None]) -> Ratings:
    """One keyword per annotator: their scores of items 0, 1, 2 and on, None where they gave none."""
    return ratings(*((i, who, s) for who, given_ in scores.items() for i, s in enumerate(given_) if s is not None))


def simulated(
    seed: int = 0, *, n_items: int = 40, n_annotators: int = 9, step: float = 1
) -> tuple[Ratings, np.ndarray]:
    """One to five ratings per item, in no order, and a model's predictions."""
    rng = np.random.default_rng(seed)
    quality = rng.normal(5.5, 2, n_items)
    item = np.repeat(np.arange(n_items), rng.integers(1, 6, n_items))
    annotator = np.concatenate([rng.permutation(n_annotators)[:n] for n in np.bincount(item)])
    score = np.clip(np.rint(quality[item] + rng.normal(0, 1.5, len(item))), 1, 10) * step
    shuffle = rng.permutation(len(item))
    return Ratings(item[shuffle], annotator[shuffle], score[shuffle]), quality + rng.normal(0, 1, n_items)


def correlation(statistic: str, x, y) -> float | None:
    if len(set(x)) < 2 or len(set(y)) < 2:
        return None
    return float(SCIPY[statistic](x, y).statistic)


def left_out_in_loops(given_: Ratings, model: np.ndarray, statistic: str) -> tuple[Figure, Figure]:
    rows = list(zip(*(column.tolist() for column in given_), strict=True))
    humans, models, n_annotators = [], [], len({who for _, who, _ in rows})
    for annotator in sorted({who for _, who, _ in rows}):
        own, others, predicted = [], [], []
        for item, who, score in rows:
            rest = [s for i, w, s in rows if i == item and w != annotator]
            if who == annotator and rest:
                own.append(score)
                others.append(round(float(np.mean(rest)), 9))
                predicted.append(model[item])
        if len(own) >= 3 and (value := correlation(statistic, own, others)) is not None:
            humans.append((value, len(own)))
            if (value := correlation(statistic, predicted, others)) is not None:
                models.append((value, len(own)))
    return tuple(
        Figure(
            pytest.approx(np.mean([v for v, _ in found]), abs=1e-12),
            None,
            len(found),
            n_annotators - len(found),
            sum(n for _, n in found),
        )
        for found in (humans, models)
    )


def halves_in_loops(given_: Ratings, statistic: str, seed: int, splits: int) -> list[float]:
    """The documented procedure with a list of raters per item."""
    rng = np.random.default_rng(seed)
    rows = [(i, s) for i, s in zip(given_.item, given_.score, strict=True) if sum(given_.item == i) > 1]
    items = sorted({int(i) for i, _ in rows})
    values = []
    for _ in range(splits):
        keys, coins = rng.random(len(rows)), rng.random(len(items))
        first, second = [], []
        for item, coin in zip(items, coins, strict=True):
            mine = [score for _, score in sorted((k, s) for k, (i, s) in zip(keys, rows, strict=True) if i == item)]
            cut = len(mine) // 2 + (1 if len(mine) % 2 and coin < 0.5 else 0)
            first.append(round(float(np.mean(mine[:cut])), 9))
            second.append(round(float(np.mean(mine[cut:])), 9))
        values.append(correlation(statistic, first, second))
    return values


def test_each_annotator_and_the_model_stand_against_the_same_others():
    given_ = table(ann=[1, 2, 3, 4], bob=[2, 1, 4, 3], cid=[1, 2, 3, 4])
    found = leave_one_out(*given_, model=[0.1, 0.2, 0.3, 0.4])
    # The others of ann and cid have the means 1.5, 1.5, 3.5, 3.5; those of bob 1, 2, 3, 4.
    assert found.human.value == pytest.approx((2 * 4 / 20**0.5 + 0.6) / 3)
    assert found.model.value == pytest.approx((2 * 4 / 20**0.5 + 1) / 3)
    assert asdict(found.human) | {"value": 0} == asdict(Figure(0, None, 3, 0, 12))
    assert leave_one_out(*given_, statistic="kendall").human.value == pytest.approx((2 * 4 / 24**0.5 + 2 / 6) / 3)


@either
@pytest.mark.parametrize("step", [1, 0.1])
def test_leaving_one_out_is_what_plain_loops_with_scipy_do(statistic, step):
    for seed in range(4):
        given_, model = simulated(seed, step=step)
        found = leave_one_out(*given_, model=model, statistic=statistic)
        assert (found.human, found.model) == left_out_in_loops(given_, model, statistic)
        assert found.statistic == statistic


@either
@pytest.mark.parametrize("step", [1, 0.1])
def test_split_halves_are_those_of_the_documented_procedure_in_plain_loops(statistic, step):
    given_, _ = simulated(2, step=step)
    values = halves_in_loops(given_, statistic, seed=11, splits=12)
    found = split_half(*given_, statistic=statistic, seed=11, splits=12)
    mean = np.mean(values)
    assert (found.value, found.stepped_up) == pytest.approx((mean, 2 * mean / (1 + mean)), abs=1e-12)
    assert found.n_items == (np.bincount(given_.item) > 1).sum()
    assert (found.statistic, found.reason, found.splits, found.dropped, found.seed) == (statistic, None, 12, 0, 11)


def test_without_a_model_the_people_stand_alone():
    given_, model = simulated()
    assert leave_one_out(*given_).model is None
    assert leave_one_out(*given_).human == leave_one_out(*given_, model=model).human


def test_whoever_gives_one_score_to_all_or_shares_too_little_is_left_out_and_counted():
    given_ = table(
        ann=[1, 2, 3, 4, None],
        bob=[2, 1, 4, 3, None],
        constant=[5, 5, 5, 5, None],
        newcomer=[1, 9, None, None, None],
        loner=[None, None, None, None, 7],
    )
    found = leave_one_out(*given_, model=[1, 2, 3, 4, np.nan])
    for figure in (found.human, found.model):
        assert (figure.n_annotators, figure.n_left_out, figure.n_rows) == (2, 3, 8)


def test_a_model_that_does_not_vary_on_an_annotators_items_is_not_counted_there():
    given_ = table(ann=[1, 2, 3, None, None, None], bob=[1, 3, 4, 4, 5, 6], cid=[None, None, None, 4, 6, 9])
    found = leave_one_out(*given_, model=[5, 5, 5, 1, 2, 3])
    assert (found.human.n_annotators, found.model.n_annotators) == (3, 2)
    assert (found.model.n_left_out, found.model.n_rows) == (1, 9)
    flat = leave_one_out(*given_, model=[5] * 6)
    assert flat.model == Figure(None, "no_variation", 0, 3, 0)
    assert flat.human == found.human


def test_an_infinite_prediction_is_the_highest():
    given_, model = simulated()
    infinite = np.where(model == model.max(), np.inf, model)
    assert leave_one_out(*given_, model=infinite) == leave_one_out(*given_, model=model)


@pytest.mark.parametrize(
    ("given_", "reason"),
    [
        (Ratings(np.array([]), np.array([]), np.array([])), "no_pairable_values"),
        (table(ann=[1, 2, 3]), "no_pairable_values"),
        (table(ann=[1, 2, 3, None, None], bob=[None, None, None, 5, 6]), "no_pairable_values"),
        (table(ann=[1, 2], bob=[2, 4]), "too_few_rows"),
        (table(ann=[7, 7, 7], bob=[7, 7, 7]), "no_variation"),
    ],
)
def test_what_has_no_human_reference_is_none_with_its_reason(given_, reason):
    found = leave_one_out(*given_, model=[1, 2, 3, 4, 5])
    halves = split_half(*given_, seed=1)
    n_annotators = len(set(given_.annotator))
    assert found.human == found.model == Figure(None, reason, 0, n_annotators, 0)
    assert (halves.value, halves.stepped_up, halves.reason) == (None, None, reason)


def test_people_who_agree_in_all_reach_one():
    scores = [1, 5, 5, 9, 10, 2]
    given_ = table(ann=scores, bob=scores, cid=scores)
    assert leave_one_out(*given_).human.value == pytest.approx(1)
    halves = split_half(*given_, seed=1)
    assert (halves.value, halves.stepped_up) == pytest.approx((1, 1))


def test_halves_that_are_exact_opposites_cannot_be_stepped_up():
    given_ = table(low=[1] * 12, high=[10] * 12)
    found = split_half(*given_, seed=1)
    assert (found.value, found.stepped_up, found.reason) == (-1, None, None)


def test_splits_with_a_constant_half_are_dropped_and_too_many_are_no_answer():
    seldom, often = table(low=[1] * 7, high=[10] * 7), table(low=[1] * 4, high=[10] * 4)
    found = split_half(*seldom, seed=1, splits=400)
    assert 0 < found.dropped <= 20
    assert found.value == -1
    refused = split_half(*often, seed=1, splits=400)
    assert (refused.value, refused.stepped_up, refused.reason) == (None, None, "unvaried_splits")
    assert refused.dropped > 20


def test_a_seed_gives_the_same_halves_and_another_seed_others():
    given_, _ = simulated()
    assert split_half(*given_, seed=4) == split_half(*given_, seed=4)
    assert split_half(*given_, seed=4).value != split_half(*given_, seed=5).value


def test_labels_of_annotators_and_the_order_of_ratings_do_not_matter_when_one_is_left_out():
    given_, model = simulated()
    shuffle = np.random.default_rng(0).permutation(len(given_.item))
    item, annotator, score = (column[shuffle] for column in given_)
    found = leave_one_out(item, np.char.add("annotator-", annotator.astype(str)), score, model=model)
    expected = leave_one_out(*given_, model=model)
    assert found.human.value == pytest.approx(expected.human.value, abs=1e-12)
    assert found.model.value == pytest.approx(expected.model.value, abs=1e-12)


def test_more_raters_per_item_bring_the_halves_nearer_together():
    rng = np.random.default_rng(0)
    quality = rng.normal(5.5, 2, 200)

    def halves(raters: int) -> float | None:
        item, annotator = np.repeat(np.arange(200), raters), np.tile(np.arange(raters), 200)
        return split_half(item, annotator, quality[item] + rng.normal(0, 2, len(item)), seed=1, splits=20).value

    assert halves(2) < halves(6) < halves(20)


def test_ratings_and_predictions_that_cannot_be_used_are_refused():
    given_, model = simulated()
    with pytest.raises(ValueError, match="not parallel"):
        leave_one_out([0, 1], ["a"], [3, 4])
    with pytest.raises(ValueError, match="not a finite number"):
        split_half([0, 0], ["a", "b"], [3, np.nan], seed=1)
    with pytest.raises(ValueError, match="item 1 has two ratings by one annotator"):
        leave_one_out([0, 1, 1], ["a", "b", "b"], [3, 4, 5])
    with pytest.raises(ValueError, match="39 predictions for 40 items"):
        leave_one_out(*given_, model=model[:-1])
    with pytest.raises(ValueError, match="a prediction is NaN"):
        leave_one_out(*given_, model=np.full(40, np.nan))


@settings(max_examples=60, deadline=None)
@given(st.sets(st.tuples(st.integers(0, 5), st.integers(0, 4)), max_size=25), st.randoms(), st.sampled_from([*SCIPY]))
def test_no_ratings_whatever_give_nan_or_a_warning(pairs, random, statistic):
    rows = [(item, annotator, random.randint(1, 4)) for item, annotator in sorted(pairs)]
    item, annotator, score = np.array(rows, dtype=int).reshape(-1, 3).T
    model = [random.randint(1, 3) for _ in range(6)]
    found = leave_one_out(item, annotator, score, model=model, statistic=statistic)
    halves = split_half(item, annotator, score, seed=1, splits=5, statistic=statistic)
    for figure in (found.human, found.model, halves):
        json.dumps(asdict(figure), allow_nan=False)
        assert (figure.value is None) == (figure.reason is not None)
