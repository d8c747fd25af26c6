"""The numbers that a forecast is computed from."""

from django import forms

from annotation.giving.session_plan import SessionPlan
from annotation.studies.forecast import Forecast, Pay, forecast
from annotation.studies.forms.layout import Grouped
from annotation.studies.settings import SESSION, SETTINGS, field_for
from datasets.telling import told_in


class ForecastForm(Grouped, forms.Form):
    """What a planned study is like; whatever is left out is as the page found it."""

    groups = {
        "The study": ["n_pairs", "n_originals", "goal"],
        "A session": SESSION,
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
    goal = field_for(SETTINGS["goal"])
    session_size = field_for(SETTINGS["session_size"])
    n_practice = field_for(SETTINGS["n_practice"])
    n_warm_up = field_for(SETTINGS["n_warm_up"])
    n_checks = field_for(SETTINGS["n_checks"])
    repeat_percent = field_for(SETTINGS["repeat_percent"])
    repeat_distance = field_for(SETTINGS["repeat_distance"])
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

    def forecast(self) -> Forecast | None:
        """None where the numbers fit no study; the form then says why."""
        if not self.is_valid():
            return None
        said = self.cleaned_data
        shared = ("n_pairs", "n_originals", "goal", "seconds", "minutes_around", "sd", "reliability")
        with told_in(self):
            return forecast(
                session=SessionPlan(*(said[name] for name in SESSION)),
                pay=Pay(said["pay"], said["pay_per"]),
                **{name: said[name] for name in shared},
            )
        return None
