"""The step from the instructions to the first pair, and what is kept of it in `Participation.conditions`.

`comprehension`: `n_tries`, how often all questions were answered until they were answered rightly.
`screen`: the window in which the instructions were read, as the page saw it. It warns and records; it decides nothing.
"""

import json
from typing import Any

from django.db import transaction
from django.utils import timezone

from annotation.models.people import Participation
from annotation.viewing import LIMITS, is_within

# CSS pixels of width that a landscape picture should have at least; with less the page warns.
LEAST_PICTURE = 280
SCREEN = ("viewport_width", "viewport_height", "pixel_ratio", "picture_width")
LONGEST_SCREEN = 300  # characters


@transaction.atomic
def record_try(participation: Participation, *, understood: bool, screen: dict[str, Any] | None) -> None:
    """Count an answer to the questions; the right one opens the way to the pairs."""
    mine = Participation.objects.select_for_update().get(pk=participation.pk)
    if mine.instructed_at:  # in another tab
        return
    n_tries = mine.conditions.get("comprehension", {}).get("n_tries", 0) + 1
    mine.conditions |= {"comprehension": {"n_tries": n_tries}} | ({"screen": screen} if screen else {})
    mine.instructed_at = timezone.now() if understood else None
    mine.save(update_fields=["conditions", "instructed_at"])


def screen_conditions(sent: str) -> dict[str, Any] | None:
    """What the page measured; None unless every part is there, known and in its range."""
    if len(sent) > LONGEST_SCREEN:
        return None
    try:
        data = json.loads(sent)
    except ValueError:
        return None
    if not isinstance(data, dict) or data.keys() != set(SCREEN):
        return None
    if not all(is_within(data[name], LIMITS[name]) for name in SCREEN):
        return None
    return {name: round(data[name], 3) for name in SCREEN} | {"warned": data["picture_width"] < LEAST_PICTURE}
