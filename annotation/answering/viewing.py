"""Viewing conditions: how somebody looked at a pair, as the page saw it. They describe an answer, never decide it."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from annotation.models.studies import Study
from datasets.models.releases import Mode

# HA1's one picture, and the ways to compare in HA2.
MODES = SINGLE, SIDE, SWIPE, FLICKER = "single", "side", "swipe", "flicker"
MAX_SECONDS = 24 * 3600
MAX_LENGTH = 100_000  # CSS pixels
LIMITS: Mapping[str, float] = MappingProxyType(
    {
        "zoom": 1000,  # display pixels per picture pixel, at most while the pair was on the screen
        "picture_width": MAX_LENGTH,  # as first shown
        "stage_width": MAX_LENGTH,
        "stage_height": MAX_LENGTH,
        "viewport_width": MAX_LENGTH,
        "viewport_height": MAX_LENGTH,
        "pixel_ratio": 100,
    }
)


def view_modes(study: Study) -> list[str]:
    """The ways in which people may look at its pictures, the first of them to begin with."""
    if study.mode == Mode.HA1:
        return [SINGLE]
    allowed = {SIDE: True, SWIPE: study.allows_swipe, FLICKER: study.allows_flicker}
    return [mode for mode, is_allowed in allowed.items() if is_allowed]


def viewing_conditions(data: Any) -> str | None:
    """What a page reports, as JSON to store; None unless every part is there, known and in its range."""
    if not isinstance(data, dict) or data.keys() != LIMITS.keys() | {"seconds"}:
        return None
    seconds = data["seconds"]
    if not isinstance(seconds, dict) or not seconds or not set(MODES).issuperset(seconds):
        return None
    if not all(is_within(each, MAX_SECONDS) for each in seconds.values()):
        return None
    if not all(is_within(data[name], limit) for name, limit in LIMITS.items()):
        return None
    rounded = {name: round(data[name], 3) for name in LIMITS}
    return json.dumps({"seconds": {mode: round(each, 3) for mode, each in seconds.items()}} | rounded)


def is_within(value: Any, most: float) -> bool:
    """A number from 0 to `most`, as JSON has them."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= value <= most  # NaN and infinity are not between
