"""What is decided before anybody has rated: the headline figure, and whom the study's rule sets aside."""

from typing import Any

from django import forms

from annotation.models.quality import Preregistration
from annotation.models.studies import Study
from annotation.studies.forms.layout import Grouped
from annotation.studies.preregistration import ExclusionRule
from datasets.forms import whole_characters

LONGEST_REASON = 1000


class PreregistrationForm(Grouped, forms.Form):
    """What is preregistered, and after the first opening why it is departed from."""

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
        choices=Preregistration.Headline.choices,
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
        label="Why it is departed from",
        max_length=LONGEST_REASON,
        validators=[whole_characters],
        help_text="The change is dated, and every later release names it with this reason.",
    )

    def __init__(self, study: Study, current: Preregistration, *args: Any, **kwargs: Any) -> None:
        initial = {"headline": current.headline, **current.rule}
        super().__init__(*args, **{"initial": initial} | kwargs)
        if not study.has_begun:
            del self.fields["reason"]
        elif self.groups is PreregistrationForm.groups:
            self.groups = {**PreregistrationForm.groups, "Deviation": ["reason"]}

    def decided(self) -> dict[str, Any]:
        said = self.cleaned_data
        return {"headline": said["headline"], "rule": ExclusionRule.of(said), "reason": said.get("reason", "")}
