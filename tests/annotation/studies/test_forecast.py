"""What is foretold, held against studies that are simulated to their end."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy import stats

from annotation.giving.session_plan import CannotPlan, SessionPlan
from annotation.models.studies import RING
from annotation.studies.forecast import Forecast, Pay, forecast

# People beyond those foretold: the last sessions are shorter, for what is left over is partly what somebody has seen.
TOLERANCE = 0.02


def foretold(**fields: Any) -> Forecast:
    size = fields.pop("size", 90)
    defaults = {"n_pairs": 8400, "n_originals": 1200, "goal": 8, "seconds": 12, "pay": Pay(10, "hour")}
    return forecast(**{"session": SessionPlan(size)} | defaults | fields)


# The rule of the draw, simulated ---------------------------------------------------------------------------------


@dataclass
class Ended:
    n_held: np.ndarray  # per item
    blocks: list[np.ndarray]  # per person, the items of their session
    group: np.ndarray  # per item

    @property
    def n_with_a_repeated_original(self) -> int:
        return sum(len(np.unique(self.group[block])) < len(block) for block in self.blocks)


def simulated(*, n_originals: int, n_versions: int, goal: int, n_main: int, seed: int = 1) -> Ended:
    """People come one after the other, each draws a whole session and rates it, until nothing is left to draw.

    A draw begins at a place on the ring that seed and position decide, and takes, of the items with the fewest
    holders that this person may have, the first from there on, wrapping round. Nobody gets an original twice.
    """
    n_items = n_originals * n_versions
    random = np.random.default_rng(seed)
    shuffle = np.sort(random.integers(0, RING, n_items))
    group = random.permutation(np.repeat(np.arange(n_originals), n_versions))
    ended = Ended(np.zeros(n_items, dtype=int), [], group)
    while (ended.n_held < goal).any():
        block = _block(ended.n_held, group, shuffle, goal=goal, n_main=n_main, seed=int(random.integers(2**62)))
        assert len(block), "somebody was turned away while a pair lacked ratings"
        ended.blocks.append(block)
    return ended


def _block(n_held: np.ndarray, group: np.ndarray, shuffle: np.ndarray, *, goal: int, n_main: int, seed: int) -> Any:
    allowed, block = n_held < goal, []
    for position in range(1, n_main + 1):
        places = np.flatnonzero(allowed)
        if not len(places):
            break
        fewest = places[n_held[places] == n_held[places].min()]
        start = int.from_bytes(hashlib.sha256(f"{seed}:{position}".encode()).digest()[:8]) % RING
        item = fewest[np.searchsorted(shuffle[fewest], start) % len(fewest)]
        n_held[item] += 1
        allowed &= group != group[item]
        block.append(item)
    return np.array(block, dtype=int)


def test_a_study_of_1200_originals_in_7_versions_comes_to_its_end_as_foretold() -> None:
    ended, plan = simulated(n_originals=1200, n_versions=7, goal=8, n_main=90), foretold()
    assert set(ended.n_held) == {8}
    assert ended.n_with_a_repeated_original == 0
    assert (plan.n_ratings, plan.n_people) == (67_200, 747)
    assert 747 <= len(ended.blocks) <= 747 * (1 + TOLERANCE)
    minutes = sum(len(block) for block in ended.blocks) * 12 / 60 + len(ended.blocks) * 3
    assert minutes / 60 == pytest.approx(plan.hours, rel=TOLERANCE)


@pytest.mark.parametrize(
    ("n_originals", "n_versions", "goal", "size"),
    [(500, 1, 5, 30), (300, 7, 8, 40), (60, 7, 8, 30), (30, 7, 4, 30), (10, 7, 8, 10), (200, 2, 1, 7)],
)
def test_smaller_studies_end_as_foretold_give_or_take_two_people_and_two_percent(
    n_originals: int, n_versions: int, goal: int, size: int
) -> None:
    ended = simulated(n_originals=n_originals, n_versions=n_versions, goal=goal, n_main=size)
    plan = foretold(n_pairs=n_originals * n_versions, n_originals=n_originals, goal=goal, size=size)
    assert set(ended.n_held) == {goal}
    assert ended.n_with_a_repeated_original == 0
    assert plan.n_people <= len(ended.blocks) <= plan.n_people * (1 + TOLERANCE) + 2


# The figures ------------------------------------------------------------------------------------------------------


def test_pairs_that_do_not_count_cost_people_and_hours() -> None:
    session = SessionPlan(90, n_practice=3, n_warm_up=5, n_checks=2, repeat_percent=5)
    plan = foretold(session=session, minutes_around=0)
    assert (session.n_repeats, session.n_main, plan.n_counted) == (4, 76, 76)
    assert plan.n_people == 885  # 67,200 / 76
    assert plan.hours == pytest.approx((67_200 + 885 * 14) * 12 / 3600)


def test_minutes_are_those_of_a_full_session() -> None:
    assert foretold(minutes_around=4).minutes == pytest.approx(90 * 12 / 60 + 4)


def test_a_session_ends_where_there_are_no_more_pairs() -> None:
    plan = foretold(n_pairs=6, n_originals=3, goal=4, size=90, minutes_around=0)
    assert (plan.n_people, plan.n_counted, plan.minutes) == (4, 6, pytest.approx(6 * 12 / 60))


def test_of_few_pairs_fewer_count_where_people_warm_up_on_them() -> None:
    plan = foretold(n_pairs=6, n_originals=6, goal=4, session=SessionPlan(30, n_warm_up=5), minutes_around=0)
    assert (plan.n_counted, plan.n_people, plan.minutes) == (3, 8, pytest.approx(6 * 12 / 60))


def test_pairs_for_practice_and_checks_are_beside_those_that_count() -> None:
    plan = foretold(n_pairs=20, n_originals=20, goal=3, session=SessionPlan(30, n_practice=2, n_checks=3))
    assert (plan.n_counted, plan.n_people) == (20, 3)


def test_repeats_that_would_come_too_early_are_not_shown() -> None:
    session = SessionPlan(20, n_warm_up=5, repeat_percent=10)
    assert foretold(session=session).n_counted == 15
    assert foretold(session=SessionPlan(20, n_warm_up=5, repeat_percent=10, repeat_distance=5)).n_counted == 13


def test_pay_is_per_hour_or_per_session() -> None:
    per_hour, per_session = foretold(pay=Pay(12, "hour")), foretold(pay=Pay(3.5, "session"))
    assert per_hour.cost == pytest.approx(12 * per_hour.hours)
    assert per_session.cost == pytest.approx(3.5 * 747)


def test_few_originals_in_many_versions_need_as_many_people_as_an_original_has_ratings() -> None:
    assert foretold(n_pairs=700, n_originals=100, goal=8, size=100).n_people == 56
    assert foretold(n_pairs=70, n_originals=10, goal=8, size=70).n_people == 8  # versions repeat in so small a study


def test_the_width_is_the_average_of_t_intervals_of_simulated_ratings() -> None:
    said = np.random.default_rng(5).normal(6, 1.7, size=(100_000, 8))
    widths = 2 * stats.t.ppf(0.975, 7) * said.std(axis=1, ddof=1) / np.sqrt(8)
    assert foretold(sd=1.7).width == pytest.approx(widths.mean(), rel=0.01)


def test_one_rating_per_pair_has_no_interval() -> None:
    plan = foretold(goal=1, reliability=0.4)
    assert (plan.width, plan.reliability) == (None, pytest.approx(0.4))


def test_the_reliability_is_the_correlation_of_two_such_panels() -> None:
    random = np.random.default_rng(7)
    quality = random.normal(0, 1, size=(50_000, 1))  # ICC 1 / (1 + 1.5^2) = 0.308
    one, other = ((quality + random.normal(0, 1.5, size=(50_000, 8))).mean(axis=1) for _ in range(2))
    assert foretold(reliability=1 / 3.25).reliability == pytest.approx(np.corrcoef(one, other)[0, 1], abs=0.01)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"n_pairs": 0}, "at least one pair"),
        ({"n_originals": 0}, "at least one original"),
        ({"n_originals": 8401}, "no more than there are pairs"),
        ({"goal": 0}, "at least one rating"),
        ({"seconds": 0}, "take some time"),
        ({"seconds": float("nan")}, "take some time"),
        ({"pay": Pay(-1, "hour")}, "pay cannot be negative"),
        ({"pay": Pay(1, "year")}, "per hour or per session"),
        ({"sd": 0}, "deviation"),
        ({"reliability": 0}, "above 0 and at most 1"),
        ({"reliability": 1.1}, "above 0 and at most 1"),
        ({"minutes_around": -1}, "around a session"),
        ({"session": SessionPlan(10, n_practice=3, n_warm_up=3)}, "leave 4 that count"),
        ({"session": SessionPlan(4, n_checks=9)}, "leave 0 that count"),
        ({"session": SessionPlan(0)}, "leave 0 that count"),
    ],
)
def test_impossible_numbers_are_refused_in_words(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(CannotPlan, match=says):
        foretold(**fields)
