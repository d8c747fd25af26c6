import json
from typing import Any

from django import forms

from annotation import studies
from annotation.models.studies import Campaign, Study, StudyText
from annotation.wording import standard_wording
from datasets.forms import whole_characters
from datasets.models.pictures import Pair
from datasets.models.projects import Project
from datasets.models.releases import Mode

NEW_CAMPAIGN = "new"


class StudyForm(forms.ModelForm[Study]):
    campaign = forms.ChoiceField(
        help_text="A campaign joins an HA1 and an HA2 study over the same pairs; each person rates in one of them."
    )
    new_campaign = forms.CharField(
        max_length=60, required=False, label="Name of the new campaign", help_text="Only for a new campaign."
    )
    methods = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Pairs",
        help_text="Which pairs the study holds, by source, scope and method. None ticked: all of them.",
    )

    goal = forms.IntegerField(label="Ratings wanted per pair", min_value=1, max_value=1000)
    session_size = forms.IntegerField(label="Pairs per person", min_value=1, max_value=10_000)
    seconds_per_pair = forms.IntegerField(
        label="Seconds per pair", min_value=1, max_value=600, help_text="What annotators are told to expect."
    )
    lease_seconds = forms.IntegerField(
        label="Seconds a pair waits for its answer",
        min_value=60,
        max_value=86_400,
        help_text="After that it may be given to somebody else; a later answer is still kept.",
    )

    class Meta:
        model = Study
        fields = ["name", "mode", "goal", "session_size", "seconds_per_pair", "lease_seconds"]

    field_order = ["name", "campaign", "new_campaign", *Meta.fields[1:], "methods"]

    def __init__(self, project: Project, *args: Any, **kwargs: Any) -> None:
        # The model's defaults come with an instance.
        kwargs.setdefault("instance", Study())
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
        self.project = project
        existing = [(str(campaign.pk), campaign.name) for campaign in project.campaigns.all()]
        campaign_field, methods_field = self.fields["campaign"], self.fields["methods"]
        assert isinstance(campaign_field, forms.ChoiceField)  # noqa: S101  narrows the type
        assert isinstance(methods_field, forms.MultipleChoiceField)  # noqa: S101
        campaign_field.choices = [(NEW_CAMPAIGN, "A new campaign"), *existing]
        kinds = project.pairs.order_by("source__name", "scope", "method").values_list("source__name", "scope", "method")
        methods_field.choices = [(json.dumps(kind), " · ".join(filter(None, kind))) for kind in kinds.distinct()]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if data.get("campaign") == NEW_CAMPAIGN:
            name = data.get("new_campaign")
            if not name:
                self.add_error("new_campaign", "Give the new campaign a name.")
            elif studies.campaign_named(self.project, name):
                self.add_error("new_campaign", "There is a campaign of this name; choose it from the list instead.")
        elif self.project.campaigns.filter(pk=data.get("campaign") or 0, studies__mode=data.get("mode")).exists():
            self.add_error("campaign", f"This campaign already has an {data.get('mode')} study.")
        if data.get("mode") == Mode.HA2 and self.pairs().filter(original=None).exists():
            self.add_error("mode", "HA2 shows the original beside the picture, but some of these pairs have none.")
        if not self.pairs().exists():
            self.add_error("methods", "There are no such pairs yet; import pairs first.")
        return data

    def pairs(self) -> Any:
        chosen = self.cleaned_data.get("methods") or []
        pairs = Pair.objects.filter(project=self.project)
        if not chosen:
            return pairs
        kept = Pair.objects.none()
        for kind in chosen:
            source, scope, method = json.loads(kind)
            kept = kept | pairs.filter(source__name=source, scope=scope, method=method)
        return kept

    def chosen_campaign(self) -> Campaign:
        if self.cleaned_data["campaign"] != NEW_CAMPAIGN:
            return self.project.campaigns.get(pk=self.cleaned_data["campaign"])
        return studies.begin_campaign(self.project, self.cleaned_data["new_campaign"])


LABELS = {
    StudyText.Kind.QUESTION: "Question",
    StudyText.Kind.LOW_LABEL: "Label of score 1",
    StudyText.Kind.HIGH_LABEL: "Label of score 10",
    StudyText.Kind.REFERENCE_NOTE: "What the original is for",
    StudyText.Kind.INSTRUCTIONS: "Instructions",
    StudyText.Kind.CONSENT: "Consent",
    StudyText.Kind.END: "After the last pair",
}
# How long a text may be where it must fit beside the pictures; the others have a page.
SHORT = {StudyText.Kind.QUESTION: 300, StudyText.Kind.LOW_LABEL: 60, StudyText.Kind.HIGH_LABEL: 60}
LONGEST_TEXT = 20_000


def text_field(kind: str) -> forms.CharField:
    """What a text of this kind may be, wherever it comes from."""
    widget = forms.TextInput() if kind in SHORT else forms.Textarea(attrs={"rows": 6})
    longest = SHORT.get(StudyText.Kind(kind), LONGEST_TEXT)
    label = LABELS[StudyText.Kind(kind)]
    return forms.CharField(label=label, widget=widget, max_length=longest, validators=[whole_characters])


class WordingForm(forms.Form):
    """Every text of a study, the standard wording to begin with."""

    def __init__(self, study: Study, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
        for kind in standard_wording(study.mode):
            self.fields[kind] = text_field(kind)


class InvitationForm(forms.Form):
    kind = forms.ChoiceField(choices=[("many", "for many people"), ("personal", "for one person")])
    note = forms.CharField(max_length=120, required=False, help_text="For yourself; annotators do not see it.")
