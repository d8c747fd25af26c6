"""What is asked of whoever watches over a study: its plan, decisions about people, and which pairs are checks."""

from typing import Any

from django import forms

from annotation.models.quality import Decision, StudyPlan
from annotation.models.studies import MAX_SCORE, MIN_SCORE, Item, Study
from annotation.studies.forms.layout import Grouped
from annotation.studies.preregistration import Rule
from annotation.watching import roles
from datasets.forms import whole_characters
from datasets.telling import told_in

LONGEST_REASON = 1000


class PlanForm(Grouped, forms.Form):
    """A plan, and after the first opening why it is departed from."""

    groups = {
        "Headline": ["headline"],
        "Who is set aside by the rule: whoever meets one part": [
            "fewer_ratings_than",
            "failed_checks",
            "failed_instructions",
            "repeat_difference_above",
            "fast_percent_above",
            "correlation_below",
        ],
    }

    headline = forms.ChoiceField(
        label="Headline measure",
        choices=StudyPlan.Headline.choices,
        help_text="The figure that a report of this study names first.",
    )
    fewer_ratings_than = forms.IntegerField(
        label="Fewer ratings that count than", required=False, min_value=1, max_value=100_000
    )
    failed_checks = forms.IntegerField(label="Failed checks, at least", required=False, min_value=1, max_value=1000)
    failed_instructions = forms.IntegerField(
        label="Instructions not followed, at least", required=False, min_value=1, max_value=1000
    )
    repeat_difference_above = forms.FloatField(
        label="Repeats differ on average by more than", required=False, min_value=0, max_value=9, help_text="Points."
    )
    fast_percent_above = forms.FloatField(
        label="Very fast answers, more than",
        required=False,
        min_value=0,
        max_value=100,
        help_text="In percent of the answers: those that took less than a third of the study's median time.",
    )
    correlation_below = forms.FloatField(
        label="Correlation with the mean of the others below",
        required=False,
        min_value=-1,
        max_value=1,
        help_text="Spearman's rho on the pairs that others rated too.",
    )
    reason = forms.CharField(
        label="Why the plan is departed from",
        max_length=LONGEST_REASON,
        validators=[whole_characters],
        help_text="The change is dated, and every later release names it with this reason.",
    )

    def __init__(self, study: Study, plan: StudyPlan, *args: Any, **kwargs: Any) -> None:
        initial = {"headline": plan.headline, **plan.rule}
        super().__init__(*args, **{"initial": initial, "label_suffix": ""} | kwargs)
        if not study.has_begun:
            del self.fields["reason"]
        elif self.groups is PlanForm.groups:
            self.groups = {**PlanForm.groups, "Deviation": ["reason"]}

    def rule(self) -> Rule:
        return Rule.of(self.cleaned_data)


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
        choices=[(f"{kind}-{said}", f"{kind}: {said}") for kind in Decision.Kind.values for said in ("yes", "no")]
    )

    def decided(self) -> tuple[str, bool]:
        """The kind and the verdict."""
        kind, said = self.cleaned_data["decision"].split("-")
        return kind, said == "yes"


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
