"""From the instructions to the first pair: two questions, and what is kept of this step in `Participation.conditions`.

Whoever has read the instructions says which end of the scale is which before the first pair.
`comprehension`: `n_tries`, how often all questions were answered until they were answered rightly.
`screen`: the window in which the instructions were read, as the page saw it. It warns and records; it decides nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from annotation.answering.viewing import LIMITS, is_within
from annotation.models.people import Participation
from datasets.models.releases import Mode

# CSS pixels of width that a landscape picture should have at least; with less the page warns.
LEAST_PICTURE = 280
SCREEN = ("viewport_width", "viewport_height", "pixel_ratio", "picture_width")
LONGEST_SCREEN = 300  # characters
LOW, HIGH = "low", "high"  # the ends of the scale, as the form sends them
CHOOSE = gettext_noop("Choose one of the two.")


@dataclass(frozen=True)
class Question:
    name: str
    text: str  # English, as the catalogs know it
    answer: str
    why: str  # said to whoever went the other way


BADGE = Question(
    "badge",
    gettext_noop("The face is hidden, but you can read the person's name on a badge. Towards which end do you go?"),
    LOW,
    gettext_noop(
        "The badge tells who the person is, so the picture is not anonymous, however well the face is hidden. The "
        "lower the number, the less anonymous."
    ),
)
NOTHING_LEFT = Question(
    "nothing_left",
    gettext_noop("Nothing in the picture tells who or where this is. Towards which end do you go?"),
    HIGH,
    gettext_noop(
        "Nothing is left that gives anybody away, so the picture is anonymous. The higher the number, the more "
        "anonymous."
    ),
)
ORIGINAL_TELLS = Question(
    "original_tells",
    gettext_noop(
        "The original shows a face, but nothing in the anonymized picture tells who or where this is. Towards which "
        "end do you go?"
    ),
    HIGH,
    gettext_noop(
        "You rate the anonymized picture, for somebody who does not have the original. Nothing in it gives anybody "
        "away, so it is anonymous. The higher the number, the more anonymous."
    ),
)


def questions(mode: str) -> list[Question]:
    """One for either end, so that always choosing the same end is not right."""
    return [BADGE, ORIGINAL_TELLS if mode == Mode.HA2 else NOTHING_LEFT]


def checked(mode: str, said: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each question with what was chosen; `trouble` says what was wrong with it, None where it was right."""
    return [
        {"question": each, "chosen": said.get(each.name), "trouble": _trouble(each, said)} for each in questions(mode)
    ]


def unasked(mode: str) -> list[dict[str, Any]]:
    return [{"question": each, "chosen": None, "trouble": None} for each in questions(mode)]


def is_complete(mode: str, said: Mapping[str, Any]) -> bool:
    return all(said.get(each.name) in (LOW, HIGH) for each in questions(mode))


def _trouble(question: Question, said: Mapping[str, Any]) -> str | None:
    if said.get(question.name) == question.answer:
        return None
    return gettext(question.why if said.get(question.name) in (LOW, HIGH) else CHOOSE)


# What is kept of it -------------------------------------------------------------------------------------------------


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
