import json
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.html import format_html
from django.utils.safestring import SafeString

from annotation.giving import session_plan
from annotation.languages import direction, in_english
from annotation.models.studies import Campaign, Study, StudyText, web_address
from annotation.studies import life, setup
from annotation.studies.forecast import Forecast, Pay
from annotation.studies.forecast import forecast as forecast_of
from annotation.studies.pairs import pairs_of_kinds
from annotation.studies.wording import current_texts, standard_wording
from datasets.forms import whole_characters
from datasets.models.pictures import Pair
from datasets.models.projects import Project
from datasets.models.releases import Mode

NEW_CAMPAIGN = "new"


class Grouped(forms.BaseForm):
    """A form whose fields come under headings, as templates/annotation/_fieldset.html shows them."""

    groups: dict[str, list[str]]

    def fieldsets(self) -> list[tuple[str, list[forms.BoundField]]]:
        return [(legend, [self[name] for name in names]) for legend, names in self.groups.items()]


class StudyForm(Grouped, forms.ModelForm[Study]):
    groups = {
        "The study": ["name", "campaign", "new_campaign", "mode", "language", "methods"],
        "A session": ["goal", "session_size", "seconds_per_pair", "n_practice", "n_warm_up", "n_checks"],
        "Hidden repeats": ["repeat_percent", "repeat_distance"],
        "How people compare": ["allows_swipe", "allows_flicker"],
        "How people answer": ["confirms_on_press", "asks_who", "asks_cues"],
        "How pairs are given out": ["side", "spacing", "reserves_session", "lease_seconds", "person_limit"],
        "At the end": ["completion_code", "completion_url"],
    }
    # Off unless somebody knows why; each biases figures.
    biased = ["stops_adaptively", "min_ratings", "max_ratings", "half_width", "is_ordered_by_model", "core_percent"]

    campaign = forms.ChoiceField(
        help_text="A campaign joins an HA1 and an HA2 study over the same pairs; each person rates in one of them."
    )
    new_campaign = forms.CharField(
        max_length=60, required=False, label="Name of the new campaign", help_text="Only for a new campaign."
    )
    language = forms.ChoiceField(
        label="Language of its wording",
        choices=list(in_english().items()),
        help_text="English begins with a standard wording, others with an empty one. Further languages can be added.",
    )
    methods = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Pairs",
        help_text="Which pairs the study holds, by source, scope and method. None ticked: all of them.",
    )

    goal = forms.IntegerField(label="Ratings wanted per pair", min_value=1, max_value=life.MAX_GOAL)
    session_size = forms.IntegerField(
        label="Pairs per session",
        min_value=1,
        max_value=10_000,
        help_text="All that one person sees in one go; it should fit into half an hour.",
    )
    seconds_per_pair = forms.IntegerField(
        label="Seconds per pair", min_value=1, max_value=600, help_text="What annotators are told to expect."
    )
    lease_seconds = forms.IntegerField(
        label="Seconds a pair waits for its answer",
        min_value=60,
        max_value=86_400,
        help_text="After that it may be given to somebody else; a later answer is still kept.",
    )
    n_practice = forms.IntegerField(
        label="Practice pairs",
        min_value=0,
        max_value=1000,
        help_text="At the beginning, with feedback. Where none is marked for it, a pair that counts takes the place.",
    )
    n_warm_up = forms.IntegerField(
        label="Warm-up pairs",
        min_value=0,
        max_value=1000,
        help_text="The first pairs after practice: people find their scale with them, and they do not count.",
    )
    n_checks = forms.IntegerField(
        label="Checks",
        min_value=0,
        max_value=1000,
        help_text="Pairs whose answer is plain, or that ask for a certain score. Where none is marked for it, a pair "
        "that counts takes the place.",
    )
    repeat_percent = forms.IntegerField(
        label="Repeats, in percent of the session",
        min_value=0,
        max_value=50,
        help_text="Pairs shown a second time, to see how far people agree with themselves. They do not count twice.",
    )
    repeat_distance = forms.IntegerField(
        label="Pairs between a pair and its repeat, at least", min_value=1, max_value=10_000
    )
    side = forms.ChoiceField(
        label="Side of the original", choices=Study.SideRule.choices, help_text="In HA2; HA1 shows no original."
    )
    spacing = forms.IntegerField(
        label="Pairs between versions of one original, at least",
        min_value=0,
        max_value=10_000,
        help_text="Only where a session is longer than there are originals; otherwise nobody sees an original twice.",
    )
    reserves_session = forms.BooleanField(
        required=False,
        label="Reserve a whole session for whoever begins",
        help_text="So that they can finish, and a full study turns people away before they begin.",
    )
    person_limit = forms.IntegerField(
        required=False,
        label="Pairs per person in all, at most",
        min_value=1,
        max_value=1_000_000,
        help_text="More than a session lets whoever has finished one begin another. Empty: one session each.",
    )
    allows_swipe = forms.BooleanField(
        required=False,
        label="Swipe: one picture over the other, with a divider to move",
        help_text="In HA2, and only for whoever asks for it. The two pictures side by side are always offered.",
    )
    confirms_on_press = forms.BooleanField(
        required=False,
        label="A score is the answer as soon as it is pressed",
        help_text="Quicker, and easier to get wrong; the previous answer can always be changed.",
    )
    asks_who = forms.BooleanField(
        required=False,
        label="Offer to say whether one knows who or where this is",
        help_text="No, think so, or yes; never a name. Beside the note that everybody may leave.",
    )
    asks_cues = forms.BooleanField(
        required=False,
        label="Ask for boxes on what gives a person or a place away",
        help_text="On the anonymized picture, optional for each pair; they come with the ratings and into releases.",
    )
    allows_flicker = forms.BooleanField(
        required=False,
        label="Flicker: one picture in the place of the other while a key or button is held",
        help_text="Nothing alternates by itself.",
    )
    completion_code = forms.CharField(
        required=False,
        max_length=60,
        label="Completion code",
        help_text="For people sent by a panel: shown on the last page to whoever has finished, and to nobody else.",
        validators=[whole_characters],
    )
    completion_url = forms.CharField(
        required=False,
        max_length=500,
        label="Address to go back to",
        widget=forms.URLInput,
        validators=[web_address],
        help_text="A link on the last page, back to the panel.",
    )
    stops_adaptively = forms.BooleanField(
        required=False,
        label="Stop each pair when its interval is narrow enough",
        help_text="Pairs on which people happen to agree stop early, so agreement looks better than it is.",
    )
    min_ratings = forms.IntegerField(label="Never with fewer ratings than", min_value=2, max_value=life.MAX_GOAL)
    max_ratings = forms.IntegerField(label="Always with", min_value=2, max_value=life.MAX_GOAL)
    half_width = forms.FloatField(
        label="Half width of the 95 % interval that is enough, in score points", min_value=0.05, max_value=9
    )
    is_ordered_by_model = forms.BooleanField(
        required=False,
        label="Give out first the pairs whose score, as the model in use predicts it, is rare",
        help_text="What is rated first then depends on the model that is to be judged by these ratings.",
    )
    core_percent = forms.IntegerField(
        label="Core, in percent of the originals",
        min_value=0,
        max_value=100,
        help_text="Drawn by lot when the study opens. Neither rule above touches it: its figures stay unbiased.",
    )

    class Meta:
        model = Study
        fields = [
            "name", "mode", "language", "goal", "session_size", "seconds_per_pair", "lease_seconds",
            "n_practice", "n_warm_up", "n_checks", "repeat_percent", "repeat_distance",
            "side", "spacing", "reserves_session", "person_limit", "allows_swipe", "allows_flicker",
            "confirms_on_press", "asks_who", "asks_cues",
            "completion_code", "completion_url",
            "stops_adaptively", "min_ratings", "max_ratings", "half_width", "is_ordered_by_model", "core_percent",
        ]  # fmt: skip

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
            elif setup.campaign_named(self.project, name):
                self.add_error("new_campaign", "There is a campaign of this name; choose it from the list instead.")
        elif self.project.campaigns.filter(pk=data.get("campaign") or 0, studies__mode=data.get("mode")).exists():
            self.add_error("campaign", f"This campaign already has an {data.get('mode')} study.")
        if data.get("mode") == Mode.HA2 and self.pairs().filter(original=None).exists():
            self.add_error("mode", "HA2 shows the original beside the picture, but some of these pairs have none.")
        if not self.pairs().exists():
            self.add_error("methods", "There are no such pairs yet; import pairs first.")
        self._check_session(data)
        return data

    def _check_session(self, data: dict[str, Any]) -> None:
        said = [data.get(name) for name in ("session_size", "n_practice", "n_warm_up", "n_checks", "repeat_percent")]
        if None in said:
            return
        try:
            session_plan.SessionPlan(*said).check()  # type: ignore[arg-type]
        except session_plan.CannotPlan as error:
            self.add_error("session_size", str(error))
        limit, size = data.get("person_limit"), said[0]
        if limit and size and limit < size:
            self.add_error("person_limit", f"A person who may see {limit} pairs cannot finish a session of {size}.")
        if (data.get("min_ratings") or 0) > (data.get("max_ratings") or life.MAX_GOAL):
            self.add_error("max_ratings", "This must be at least the fewest ratings above.")

    def biased_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.biased]

    @property
    def is_biased(self) -> bool:
        """Whether what was sent turns one of the biased rules on, or has an error there: then they are shown open."""
        return any(self[name].errors for name in self.biased) or any(
            self[name].value() for name in ("stops_adaptively", "is_ordered_by_model")
        )

    def kinds(self) -> list[list[str]]:
        """Source, scope and method of the chosen pairs; none where all of them are."""
        return [json.loads(kind) for kind in self.cleaned_data.get("methods") or []]

    def pairs(self) -> QuerySet[Pair]:
        return pairs_of_kinds(self.project, self.kinds())

    def chosen_campaign(self) -> Campaign | str:
        """The campaign, or the name of the new one."""
        if self.cleaned_data["campaign"] != NEW_CAMPAIGN:
            return self.project.campaigns.get(pk=self.cleaned_data["campaign"])
        return str(self.cleaned_data["new_campaign"])


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
    """Every text of a study in one language; beside each, what it says in the study's own."""

    def __init__(self, study: Study, *args: Any, language: str, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        kwargs["initial"] = _bodies(study, language)
        super().__init__(*args, **kwargs)
        beside = _bodies(study, study.language) if language != study.language else {}
        for kind in standard_wording(study.mode):
            self.fields[kind] = text_field(kind)
            self.fields[kind].widget.attrs |= {"lang": language, "dir": direction(language)}
            if kind in beside:
                self.fields[kind].help_text = _in_its_language(beside[kind], study.language)


def _in_its_language(words: str, language: str) -> SafeString:
    marks = '<span class="preserve" lang="{}" dir="{}">{}</span>'
    return format_html(marks, language, direction(language), words)


def _bodies(study: Study, language: str) -> dict[str, str]:
    return {kind: text.body for kind, text in current_texts(study, language=language).items()}


class InvitationForm(forms.Form):
    kind = forms.ChoiceField(choices=[("many", "for many people"), ("personal", "for one person")])
    note = forms.CharField(max_length=120, required=False, help_text="For yourself; annotators do not see it.")


class GoalForm(forms.Form):
    goal = forms.IntegerField(label="Ratings wanted per pair", min_value=1, max_value=life.MAX_GOAL)
    reason = forms.CharField(label="Why", max_length=500, help_text="Kept in the history, for whoever reads the data.")


class CompletionForm(forms.Form):
    """What the last page gives to whoever has finished, as it is said when a study is set up."""

    completion_code = StudyForm.base_fields["completion_code"]
    completion_url = StudyForm.base_fields["completion_url"]
    reason = forms.CharField(
        label="Why", max_length=500, required=False, help_text="Kept in the history.", validators=[whole_characters]
    )


class PlannerForm(Grouped, forms.Form):
    """What a planned study is like; whatever is left out is as the page found it."""

    groups = {
        "The study": ["n_pairs", "n_originals", "goal"],
        "A session": ["session_size", "n_practice", "n_warm_up", "n_checks", "repeat_percent", "repeat_distance"],
        "Time and pay": ["seconds", "minutes_around", "pay", "pay_per"],
        "People": ["sd", "reliability"],
    }

    n_pairs = forms.IntegerField(label="Pairs", min_value=1, max_value=100_000_000)
    n_originals = forms.IntegerField(
        label="Originals",
        min_value=1,
        max_value=100_000_000,
        help_text="Nobody is shown two versions of one, unless a session is longer than there are originals.",
    )
    goal = forms.IntegerField(label="Ratings wanted per pair", min_value=1, max_value=life.MAX_GOAL)
    session_size = forms.IntegerField(label="Pairs per session", min_value=1, max_value=10_000)
    n_practice = forms.IntegerField(label="of them practice", min_value=0, max_value=1000)
    n_warm_up = forms.IntegerField(label="warm-up, not counted", min_value=0, max_value=1000)
    n_checks = forms.IntegerField(label="checks", min_value=0, max_value=1000)
    repeat_percent = forms.IntegerField(label="and hidden repeats, in percent", min_value=0, max_value=50)
    repeat_distance = forms.IntegerField(label="Pairs before a repeat, at least", min_value=1, max_value=10_000)
    seconds = forms.FloatField(label="Seconds per answer", min_value=0.1, max_value=3600)
    minutes_around = forms.FloatField(
        label="Minutes around a session", min_value=0, max_value=600, help_text="For consent and instructions."
    )
    pay = forms.FloatField(label="Pay", min_value=0, max_value=1_000_000, help_text="In any currency.")
    pay_per = forms.ChoiceField(label="for", choices=[("hour", "an hour"), ("session", "a session")])
    sd = forms.FloatField(
        label="Deviation of ratings",
        min_value=0.01,
        max_value=9,
        help_text="How far, in score points, different people's ratings of one pair lie apart: the pooled standard "
        "deviation within pairs.",
    )
    reliability = forms.FloatField(
        label="Reliability of one rating",
        min_value=0.001,
        max_value=1,
        help_text="ICC(1): the share of all variance that lies between pairs.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": ""} | kwargs)

    def forecast(self) -> Forecast | None:
        """None where the numbers fit no study; the form then says why."""
        if not self.is_valid():
            return None
        said = self.cleaned_data
        session = session_plan.SessionPlan(
            said["session_size"],
            said["n_practice"],
            said["n_warm_up"],
            said["n_checks"],
            said["repeat_percent"],
            said["repeat_distance"],
        )
        shared = ("n_pairs", "n_originals", "goal", "seconds", "minutes_around", "sd", "reliability")
        try:
            return forecast_of(
                session=session,
                pay=Pay(said["pay"], said["pay_per"]),
                **{name: said[name] for name in shared},
            )
        except session_plan.CannotPlan as error:
            self.add_error(None, str(error))
            return None
