import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django import forms
from django.core.management.base import CommandError

from annotation.management.wording_file import wording
from annotation.studies import pairs, setup
from annotation.studies.forms.setup import NEW_CAMPAIGN, StudyForm
from annotation.studies.settings import BIASED, GROUPS, SETTINGS
from annotation.studies.setup import set_up_study
from datasets.management.following import finish_here, named_project
from datasets.models.projects import Project
from datasets.models.releases import Mode
from datasets.telling import TellingCommand

REQUIRED = ["name", "mode"]
# What is called otherwise than the setting is.
OPTIONS = {
    "n_practice": "--practice",
    "n_warm_up": "--warm-up",
    "n_checks": "--checks",
    "repeat_percent": "--repeats",
    "allows_swipe": "--no-swipe",
    "allows_flicker": "--no-flicker",
    "confirms_on_press": "--confirm-on-press",
    "asks_who": "--ask-who",
    "asks_cues": "--ask-cues",
    "person_limit": "--limit",
    "stops_adaptively": "--adaptive-stop",
    "is_ordered_by_model": "--model-order",
    "core_percent": "--core",
}
NAMES = {"name": "The study's name", "new_campaign": "The campaign's name", "__all__": "The study"}


class Command(TellingCommand):
    help = "Set up a draft study over the pairs of a project, or over some kinds of them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--project", required=True)
        parser.add_argument("--campaign", required=True, help="name; made if it is new")
        parser.add_argument("--mode", required=True, choices=Mode.values)
        parser.add_argument(
            "--only",
            nargs=3,
            action="append",
            default=[],
            metavar=("SOURCE", "SCOPE", "METHOD"),
            help="only pairs of this kind; may be repeated",
        )
        parser.add_argument("--wording", type=Path, help="JSON file: kind of text to its words")
        for legend, names in GROUPS.items():
            add_options(parser, legend, names)
        add_options(parser, "Rules that bias figures, see docs/researchers.md", BIASED)

    def handle(self, *args: Any, **options: Any) -> None:
        project = named_project(options["project"])
        form = checked_form(project, options)
        words = wording(options["wording"], options["mode"])
        study, job = set_up_study(project, wording=words, **form.chosen())
        if job:
            self.stderr.write(f"{study} is being filled with its pairs; a worker goes on if this is interrupted.")
            finish_here(self, job)
        name = f"{project.slug}/{study.campaign.slug}/{study.mode}"
        self.stdout.write(f"{name} is a draft with {study.items.count()} pairs. Next: manage.py study {name} --open")


def add_options(parser: ArgumentParser, legend: str, names: list[str]) -> None:
    """An option for each of these fields of the page's form, which checks them here too."""
    group = parser.add_argument_group(legend)
    for name in names:
        if name not in REQUIRED:
            words, default = in_words(name).replace("%", "%%"), SETTINGS[name].get_default()
            group.add_argument(option_of(name), dest=name, default=default, help=words, **kind_of(name))


def option_of(name: str) -> str:
    return OPTIONS.get(name, "--" + name.replace("_", "-"))


def in_words(name: str) -> str:
    """Its name and help; with them its range and default, of a switch what it turns off."""
    field, default = StudyForm.base_fields[name], SETTINGS[name].get_default()
    words = f"Without {SETTINGS[name].verbose_name}" if default is True else str(field.label)
    if isinstance(field, forms.IntegerField):
        words += f", {field.min_value} to {field.max_value}"
    if field.help_text:
        words += f". {field.help_text}"
    return words if isinstance(default, bool) or default in (None, "") else f"{words} (default: {default})"


def kind_of(name: str) -> dict[str, Any]:
    """What the parser takes."""
    field = StudyForm.base_fields[name]
    if isinstance(field, forms.BooleanField):
        return {"action": "store_false" if SETTINGS[name].default else "store_true"}
    if isinstance(field, forms.DecimalField):
        return {"metavar": "N"}  # the form reads it, to the last digit
    if isinstance(field, forms.IntegerField):
        return {"type": float if isinstance(field, forms.FloatField) else int, "metavar": "N"}
    if isinstance(field, forms.ChoiceField):
        return {"choices": [value for value, _ in field.choices]}  # type: ignore[misc, union-attr]
    return {}


def checked_form(project: Project, options: dict[str, Any]) -> StudyForm:
    """The page's form, filled in by options. Raises CommandError with all that is wrong."""
    for source, scope, method in options["only"]:
        if not pairs.pairs_of_kinds(project, [(source, scope, method)]).exists():
            raise CommandError(f"{project} has no pairs of source {source!r}, scope {scope!r} and method {method!r}.")
    campaign = setup.campaign_named(project, options["campaign"])
    data = {name: options[name] for name in SETTINGS}
    data |= {"campaign": str(campaign.pk) if campaign else NEW_CAMPAIGN, "new_campaign": options["campaign"]}
    data["methods"] = [json.dumps(kind) for kind in options["only"]]
    form = StudyForm(project, data)
    if not form.is_valid():
        typed = {name: option_of(name) for name in SETTINGS} | NAMES
        wrong = [f"{typed.get(name, name)}: {' '.join(map(str, each))}" for name, each in form.errors.items()]
        raise CommandError("\n".join(wrong))
    return form
