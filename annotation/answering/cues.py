"""Cues: boxes on what gives identity or place away, in whole pixels of the anonymized picture's display file.

They stand beside a score and never cost anybody an answer: a box that cannot be is left out, in a study that does not
ask all of them are. A revision says its boxes anew, and those of what was said before stay with that.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from annotation.answering.statements import MARKED
from annotation.sql import change_each
from datasets.models.releases import CueKind

MAX_CUES = 20  # of one answer
MIN_SIDE = 4  # pixels; less is a slip of the hand
MAX_EDGE = 2**31 - 1  # what the databases count to; the picture's own edge is checked when a box is stored
PLACES = ("x", "y", "width", "height")


@dataclass(frozen=True)
class Box:
    kind: str  # of CueKind
    x: int  # of its left edge, from the picture's left
    y: int  # of its upper edge, from the picture's top
    width: int
    height: int


def parsed_cues(data: Any) -> tuple[Box, ...]:
    """The boxes of a list that can be, the first 20 of them; what is no list holds none."""
    boxes = (_box(each) for each in data) if isinstance(data, list) else ()
    return tuple(box for box in boxes if box)[:MAX_CUES]


def _box(data: Any) -> Box | None:
    if not isinstance(data, dict) or data.get("kind") not in CueKind.values:
        return None
    places = [data[name] for name in PLACES if _is_count(data.get(name))]
    if len(places) < len(PLACES):
        return None
    x, y, width, height = places
    if min(width, height) < MIN_SIDE or max(x + width, y + height) > MAX_EDGE:
        return None
    return Box(data["kind"], x, y, width, height)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def mark(revision: int, item: int, boxes: Sequence[Box]) -> None:
    """Store the boxes of a revision of an answer to an item, in the transaction of the caller."""
    change_each(MARKED, (asdict(box) | {"revision": revision, "item": item} for box in boxes))
