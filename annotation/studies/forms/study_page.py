"""The small forms of a study's page, for what is changed while it runs."""

from django import forms

from annotation.models.people import Invitation
from annotation.models.studies import Study
from annotation.studies.forms.layout import Plain
from annotation.studies.settings import SETTINGS, field_for
from datasets.forms import whole_characters


class InvitationForm(Plain, forms.Form):
    kind = forms.ChoiceField(choices=Invitation.Kind.choices)
    note = forms.CharField(max_length=120, required=False, help_text="For yourself; annotators do not see it.")


class GoalForm(Plain, forms.Form):
    goal = field_for(SETTINGS["goal"])
    reason = forms.CharField(label="Why", max_length=500, help_text="Kept in the history, for whoever reads the data.")


class FreezeForm(Plain, forms.Form):
    names_files = forms.BooleanField(
        label="Put the file names as imported into the release",
        required=False,
        help_text="In labels.csv, for everybody who gets it. A file name can give away a person, a place or a method: "
        "look at the names first. Without this a release names pictures by their hashes alone; its key, which stays "
        "with you, says which files they are.",
    )


class CompletionForm(Plain, forms.ModelForm[Study]):
    """What the last page gives to whoever has finished, as it is said when a study is set up."""

    reason = forms.CharField(
        label="Why", max_length=500, required=False, help_text="Kept in the history.", validators=[whole_characters]
    )

    class Meta:
        model = Study
        fields = ["completion_code", "completion_url"]
        widgets = {"completion_url": forms.URLInput}
        formfield_callback = field_for
