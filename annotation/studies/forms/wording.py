"""What the texts of a study may be, and the form in which they are written."""

from typing import Any

from django import forms
from django.utils.html import format_html
from django.utils.safestring import SafeString

from annotation.languages import direction
from annotation.models.studies import Study, StudyText
from annotation.studies.forms.layout import Plain
from annotation.studies.wording import current_texts, standard_wording
from datasets.forms import whole_characters

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


class WordingForm(Plain, forms.Form):
    """Every text of a study in one language; beside each, what it says in the study's own."""

    def __init__(self, study: Study, *args: Any, language: str, **kwargs: Any) -> None:
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
