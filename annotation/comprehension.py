"""Questions that whoever has read the instructions answers before the first pair: which end of the scale is which."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext, gettext_noop

from datasets.models.releases import Mode

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
