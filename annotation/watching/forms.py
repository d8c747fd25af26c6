"""What is asked of whoever watches over a study: decisions about people, and which pairs are checks."""

from typing import Any

from django import forms

from annotation.models.quality import Decision
from annotation.models.studies import MAX_SCORE, MIN_SCORE, Item
from annotation.studies.forms.preregistration import LONGEST_REASON
from annotation.watching import roles
from datasets.forms import whole_characters
from datasets.telling import told_in


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label="Why",
        max_length=LONGEST_REASON,
        validators=[whole_characters],
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Kept for good.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": ""} | kwargs)


class DecisionForm(ReasonForm):
    """The button that is pressed says what is decided."""

    decision = forms.ChoiceField(
        choices=[(f"{kind}-{answer}", f"{kind}: {answer}") for kind in Decision.Kind.values for answer in ("yes", "no")]
    )

    def decided(self) -> tuple[str, bool]:
        """The kind and the verdict."""
        kind, answer = self.cleaned_data["decision"].split("-")
        return kind, answer == "yes"


class RoleForm(forms.Form):
    """What a pair is for, and what it expects."""

    role = forms.ChoiceField(
        label="This pair", choices=[("main", "is rated"), ("check", "is a check"), ("practice", "is for practice")]
    )
    expected = forms.IntegerField(
        label="Expected score",
        required=False,
        min_value=MIN_SCORE,
        max_value=MAX_SCORE,
        help_text="For practice, and for checks whose answer is plain from the picture.",
    )
    tolerance = forms.IntegerField(label="Tolerance, in points", required=False, min_value=0, max_value=MAX_SCORE)
    direction = forms.ChoiceField(
        label="Direction",
        required=False,
        choices=[(key, words.replace("so high", "that")) for key, words in roles.DIRECTIONS.items()],
    )
    instructed_score = forms.IntegerField(
        label="Or ask in words for the score",
        required=False,
        min_value=MIN_SCORE,
        max_value=MAX_SCORE,
        help_text="For checks: the question above the picture then asks for this score. Only such checks can ever be "
        "a ground not to pay.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": ""} | kwargs)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if self.errors:
            return data
        with told_in(self):
            data["pair_role"] = self._pair_role(data)
            data["pair_role"].check()
        return data

    def _pair_role(self, data: dict[str, Any]) -> roles.PairRole:
        low = high = None
        if data["expected"] is not None:
            tolerance = 1 if data["tolerance"] is None else data["tolerance"]
            low, high = roles.expected_range(data["expected"], tolerance, data["direction"] or roles.NEAR)
        return roles.PairRole(data["role"], low, high, data["instructed_score"])


def role_initial(item: Item) -> dict[str, Any]:
    """A range as the form would say it: a middle with a tolerance, or one end of the scale."""
    initial: dict[str, Any] = {"role": item.role, "tolerance": 1, "instructed_score": item.instructed_score}
    low, high = item.expected_low, item.expected_high
    if low is None or high is None:
        return initial
    if low == MIN_SCORE:
        return initial | {"expected": high, "tolerance": 0, "direction": roles.AT_MOST}
    if high == MAX_SCORE:
        return initial | {"expected": low, "tolerance": 0, "direction": roles.AT_LEAST}
    return initial | {"expected": (low + high) // 2, "tolerance": (high - low + 1) // 2, "direction": roles.NEAR}
