"""The order of a session, all of it from the participation's seed: what each position is for, where its draw begins on
the ring, and on which side the original stands. Pure functions, so that a session can be replayed from what is stored.
"""

import hashlib
from functools import lru_cache
from itertools import chain, pairwise

from annotation.giving.session_plan import SessionPlan
from annotation.models.ratings import Assignment
from annotation.models.studies import RING, Study

Purpose = Assignment.Purpose
Side = Assignment.Side


def lot(seed: int, position: int, what: str = "") -> int:
    """A number below 2**64 that looks drawn by lot and is the same for ever."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{position}{what}".encode()).digest()[:8])


def draw_start(seed: int, position: int) -> int:
    """The place on the ring where the draw for this position begins."""
    return lot(seed, position) % RING


def purpose_at(plan: SessionPlan, seed: int, position: int) -> str:
    """What a position is for; those past the session make up for pairs that were lost to others, and count."""
    purposes = session_purposes(plan, seed)
    return purposes[position - 1] if position <= len(purposes) else Purpose.MAIN


@lru_cache(maxsize=512)
def session_purposes(plan: SessionPlan, seed: int) -> tuple[str, ...]:
    """Practice, then warm-up, then pairs that count with checks and repeats among them, evenly but at no fixed beat."""
    opening = [Purpose.PRACTICE] * plan.n_practice + [Purpose.WARM_UP] * plan.n_warm_up
    opening = opening[: plan.n_opening]
    rest: list[str] = [Purpose.MAIN] * (plan.size - len(opening))
    beside = (
        (Purpose.CHECK, plan.n_checks_shown, 0),
        (Purpose.REPEAT, plan.n_repeats_sought, plan.repeat_distance),
    )
    for purpose, n, first in beside:
        for place in _spread(n, first, len(rest), seed, purpose):
            # Where the place is taken already, the next one that is not; at the end of the session, the first.
            places = chain(range(place, len(rest)), range(first, place))
            free = next((i for i in places if rest[i] == Purpose.MAIN), None)
            if free is not None:
                rest[free] = purpose
    return tuple(str(purpose) for purpose in [*opening, *rest])


def _spread(n: int, first: int, end: int, seed: int, what: str) -> list[int]:
    """One place in each of `n` equal stretches of [first, end), by lot."""
    if n < 1 or first >= end:
        return []
    length = (end - first) / n
    starts = [first + round(k * length) for k in range(n + 1)]
    return [start + lot(seed, k, what) % max(1, after - start) for k, (start, after) in enumerate(pairwise(starts))]


def original_side(rule: str, seed: int, position: int) -> str:
    """Where the original stands. Balanced: of two positions that follow each other one has it left, by lot which."""
    if rule != Study.SideRule.BALANCED:
        return rule
    block, second = divmod(position - 1, 2)
    return (Side.LEFT, Side.RIGHT)[(lot(seed, block, "side") + second) % 2]
