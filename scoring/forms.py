from dataclasses import Field, fields
from typing import Any

from django import forms
from django.http import QueryDict

from datasets.models.releases import Release
from scoring import recipe as choices
from scoring.at_hand import WEIGHT_FILES, weights_here
from scoring.recipe import BadRecipe, Recipe
from scoring.runs import GIVEN, recipe_for

CHOICES = {
    "backbone": choices.BACKBONES,
    "weights": choices.WEIGHTS,
    "target": tuple(choices.CLASSES),
    "task": choices.TASKS,
    "optimizer": choices.OPTIMIZERS,
    "schedule": choices.SCHEDULES,
}
HELP = {
    "backbone": "tiny trains on a CPU in minutes and is for trying things out; the others are torchvision's.",
    "weights": "imagenet starts from trained weights (WEIGHTS_DIR); random starts from nothing.",
    "target": "mean learns the mean score; labels10 its nearest whole score.",
    "scheme": "all, task-person, task-face, loov-SOURCE or anon-METHOD; always by whole originals.",
    "split_seed": "Another seed is another split. Keep it, and no original once tested on is ever trained on.",
    "seed": "Of the random weights, the order of the rows and the augmentation.",
    "size": "Pixels to each side; vit_b_16 takes 224 alone.",
    "lr": "Learning rate of the first epoch.",
    "momentum": "Of sgd alone.",
    "schedule": "cosine falls to 0 at the end; step divides by ten after every 10 epochs.",
    "rotation": "Degrees to either side, at most.",
    "paired": "HA2: the same flip and rotation for original and anonymized.",
}


class RecipeForm(forms.Form):
    """A recipe for one release: mode and scale are the release's, everything else begins as in the paper.

    But for the weights: where those of the paper's backbone are not here, the form begins with random ones.
    """

    missing_weights = ""  # the file that would let it begin as in the paper

    def __init__(self, release: Release, data: QueryDict | None = None) -> None:
        super().__init__(data, label_suffix="")
        self.release = release
        for field in fields(Recipe):
            if field.name not in GIVEN:
                self.fields[field.name] = _form_field(field)
        self.weights_here = weights_here()
        begins_with = self.fields["backbone"].initial
        if begins_with not in self.weights_here:  # the press that nobody thinks about must be one that trains
            self.missing_weights = WEIGHT_FILES[begins_with]
            self.fields["weights"].initial = "random"
        here = f"Here are those of: {', '.join(self.weights_here)}." if self.weights_here else "None are here."
        self.fields["weights"].help_text = f"{HELP['weights']} {here} A worker downloads what it lacks."

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors:
            try:
                self.recipe = recipe_for(self.release, **cleaned)
            except BadRecipe as error:
                self.add_error(error.field if error.field in self.fields else None, str(error))
        return cleaned


def _form_field(field: Field[Any]) -> forms.Field:
    common: dict[str, Any] = {
        "initial": field.default,
        "help_text": HELP.get(field.name, ""),
        "label": {"lr": "Learning rate"}.get(field.name, field.name.replace("_", " ").capitalize()),
    }
    if field.name in CHOICES:
        return forms.ChoiceField(choices=[(name, name) for name in CHOICES[field.name]], **common)
    if field.type is bool:
        return forms.BooleanField(required=False, **common)
    if field.type is int:
        return forms.IntegerField(**common)
    if field.type is float:
        return forms.FloatField(widget=forms.NumberInput(attrs={"step": "any"}), **common)
    return forms.CharField(max_length=60, **common)
