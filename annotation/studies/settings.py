"""The settings of a study: under which headings people are asked for them, and which of them are its design.

What each is called, its help, its range and what it is at first stand on the model (`annotation.models.studies.Study`).
"""

from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db.models import CharField, Field

from annotation.models.studies import Study
from datasets.forms import whole_characters

# What one session holds, in the order in which a SessionPlan takes them.
SESSION = ["session_size", "n_practice", "n_warm_up", "n_checks", "repeat_percent", "repeat_distance"]
GROUPS = {
    "The study": ["name", "mode", "language"],
    "A session": ["goal", "session_size", "seconds_per_pair", "n_practice", "n_warm_up", "n_checks"],
    "Hidden repeats": ["repeat_percent", "repeat_distance"],
    "How people compare": ["allows_swipe", "allows_flicker"],
    "How people answer": ["confirms_on_press", "asks_who", "asks_cues"],
    "How pairs are given out": ["side", "spacing", "lease_seconds", "person_limit"],
    "Pay": ["pay_per_hour", "pay_currency"],
    "At the end": ["completion_code", "completion_url"],
}
# Off unless somebody knows why; each biases figures.
BIASED = ["stops_adaptively", "min_ratings", "max_ratings", "half_width", "is_ordered_by_model", "core_percent"]
# What decides how many ratings there are and which pairs they are of: fixed when the study first opens.
DESIGN = ["mode", *SESSION, "person_limit", "spacing", "side", *BIASED]

SETTINGS: dict[str, Field[Any, Any]] = {
    name: Study._meta.get_field(name)  # type: ignore[misc]
    for name in [name for names in GROUPS.values() for name in names] + BIASED
}


def field_for(setting: Field[Any, Any], **said: Any) -> Any:
    """What a form asks for a setting, in the model's words and within its range."""
    for each in setting.validators:
        if isinstance(each, MinValueValidator):
            said["min_value"] = each.limit_value
        elif isinstance(each, MaxValueValidator):
            said["max_value"] = each.limit_value
    if isinstance(setting, CharField) and not setting.choices:
        said["validators"] = [whole_characters]
    return setting.formfield(**said)
