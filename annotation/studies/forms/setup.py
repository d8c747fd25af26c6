"""The form that sets a study up."""

import json
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.text import capfirst

from annotation.giving.session_plan import SessionPlan
from annotation.languages import in_english
from annotation.models.studies import MAX_GOAL, Campaign, Study
from annotation.studies.forms.layout import Grouped
from annotation.studies.pairs import check_fit, pairs_of_kinds
from annotation.studies.settings import BIASED, GROUPS, SESSION, SETTINGS, field_for
from annotation.studies.setup import campaign_named
from datasets.models.pictures import Pair
from datasets.models.projects import Project
from datasets.telling import told_in

NEW_CAMPAIGN = "new"


class StudyForm(Grouped, forms.ModelForm[Study]):
    """Every setting of a study, its campaign and which pairs it holds."""

    groups = GROUPS | {"The study": ["name", "campaign", "new_campaign", "mode", "language", "methods"]}

    campaign = forms.ChoiceField(
        help_text="A campaign joins an HA1 and an HA2 study over the same pairs; each person rates in one of them."
    )
    new_campaign = forms.CharField(
        max_length=60, required=False, label="Name of the new campaign", help_text="Only for a new campaign."
    )
    language = forms.ChoiceField(
        label=capfirst(SETTINGS["language"].verbose_name),
        initial=SETTINGS["language"].default,
        help_text=SETTINGS["language"].help_text,
        choices=list(in_english().items()),
    )
    methods = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Pairs",
        help_text="Which pairs the study holds, by source, scope and method. None ticked: all of them.",
    )

    class Meta:
        model = Study
        fields = [*SETTINGS]
        widgets = {"completion_url": forms.URLInput}
        formfield_callback = field_for

    def __init__(self, project: Project, *args: Any, **kwargs: Any) -> None:
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
            elif campaign_named(self.project, name):
                self.add_error("new_campaign", "There is a campaign of this name; choose it from the list instead.")
        elif self.project.campaigns.filter(pk=data.get("campaign") or 0, studies__mode=data.get("mode")).exists():
            self.add_error("campaign", f"This campaign already has an {data.get('mode')} study.")
        with told_in(self, "mode"):
            check_fit(data.get("mode", ""), self.pairs())
        if not self.pairs().exists():
            self.add_error("methods", "There are no such pairs yet; import pairs first.")
        self._check_session(data)
        self._check_pay(data)
        return data

    def _check_pay(self, data: dict[str, Any]) -> None:
        pay, currency = data.get("pay_per_hour"), data.get("pay_currency")
        if pay and not currency:
            self.add_error("pay_currency", "Name the currency of the pay.")
        if currency and not pay and "pay_per_hour" not in self.errors:
            self.add_error("pay_per_hour", "Say how much, or leave the currency empty.")

    def _check_session(self, data: dict[str, Any]) -> None:
        said = [data.get(name) for name in SESSION]
        if None not in said:
            with told_in(self, "session_size"):
                SessionPlan(*said).check()  # type: ignore[arg-type]
        limit, size = data.get("person_limit"), data.get("session_size")
        if limit and size and limit < size:
            self.add_error("person_limit", f"A person who may see {limit} pairs cannot finish a session of {size}.")
        if (data.get("min_ratings") or 0) > (data.get("max_ratings") or MAX_GOAL):
            self.add_error("max_ratings", "This must be at least the fewest ratings above.")

    def biased_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in BIASED]

    @property
    def is_biased(self) -> bool:
        """Whether what was sent turns one of the biased rules on, or has an error there: then they are shown open."""
        return any(self[name].errors for name in BIASED) or any(
            self[name].value() for name in ("stops_adaptively", "is_ordered_by_model")
        )

    def kinds(self) -> list[list[str]]:
        """Source, scope and method of the chosen pairs; none where all of them are."""
        return [json.loads(kind) for kind in self.cleaned_data.get("methods") or []]

    def pairs(self) -> QuerySet[Pair]:
        return pairs_of_kinds(self.project, self.kinds())

    def chosen(self) -> dict[str, Any]:
        """What the study is set up with."""
        settings = {name: self.cleaned_data[name] for name in SETTINGS}
        return settings | {"campaign": self._chosen_campaign(), "kinds": self.kinds()}

    def _chosen_campaign(self) -> Campaign | str:
        """The campaign, or the name of the new one."""
        if self.cleaned_data["campaign"] != NEW_CAMPAIGN:
            return self.project.campaigns.get(pk=self.cleaned_data["campaign"])
        return str(self.cleaned_data["new_campaign"])
