import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotation.languages import in_english
from annotation.management.wording_file import wording
from annotation.models.studies import Study
from annotation.studies import history, pairs, setup
from annotation.studies.forms.setup import NEW_CAMPAIGN, StudyForm
from annotation.studies.setup import set_up_study
from annotation.studies.wording import STANDARD_LANGUAGE
from datasets.management.following import finish_here, named_project
from datasets.models.projects import Project
from datasets.models.releases import Mode

# The fields of the page's form, which checks them here too, by their options.
OPTIONS = {
    "language": "--language",
    "goal": "--goal",
    "session_size": "--session-size",
    "seconds_per_pair": "--seconds-per-pair",
    "n_practice": "--practice",
    "n_warm_up": "--warm-up",
    "n_checks": "--checks",
    "repeat_percent": "--repeats",
    "repeat_distance": "--repeat-distance",
    "lease_seconds": "--lease-seconds",
    "side": "--side",
    "spacing": "--spacing",
    "person_limit": "--limit",
    "stops_adaptively": "--adaptive-stop",
    "min_ratings": "--min-ratings",
    "max_ratings": "--max-ratings",
    "half_width": "--half-width",
    "is_ordered_by_model": "--model-order",
    "core_percent": "--core",
    "completion_code": "--completion-code",
    "completion_url": "--completion-url",
}
NAMES = {"name": "The study's name", "new_campaign": "The campaign's name", "__all__": "The study"}


class Command(BaseCommand):
    help = "Set up a draft study over the pairs of a project, or over some kinds of them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--project", required=True)
        parser.add_argument("--campaign", required=True, help="name; made if it is new")
        parser.add_argument("--mode", required=True, choices=Mode.values)
        add_session_options(parser)
        add_biased_options(parser)
        parser.add_argument(
            "--only",
            nargs=3,
            action="append",
            default=[],
            metavar=("SOURCE", "SCOPE", "METHOD"),
            help="only pairs of this kind; may be repeated",
        )
        parser.add_argument("--no-swipe", action="store_true", help="do not offer to compare by swipe (HA2)")
        parser.add_argument("--confirm-on-press", action="store_true", help="a score is the answer once it is pressed")
        parser.add_argument(
            "--ask-who", action="store_true", help="offer to say whether one knows who or where this is"
        )
        parser.add_argument(
            "--ask-cues", action="store_true", help="ask for boxes on what gives a person or a place away"
        )
        parser.add_argument("--no-flicker", action="store_true", help="do not offer to compare by flicker (HA2)")
        parser.add_argument(
            "--language",
            choices=in_english(),
            default=STANDARD_LANGUAGE,
            help="of its wording; in another one than English it has only what --wording says (default: %(default)s)",
        )
        parser.add_argument("--wording", type=Path, help="JSON file: kind of text to its words")

    def handle(self, *args: Any, **options: Any) -> None:
        project = named_project(options["project"])
        form = checked_form(project, options)
        chosen = {name: form.cleaned_data[name] for name in StudyForm.Meta.fields}
        words = wording(options["wording"], options["mode"])
        try:
            study, job = set_up_study(
                project, campaign=form.chosen_campaign(), kinds=form.kinds(), wording=words, **chosen
            )
        except (history.NotPossible, pairs.PairsDoNotFit) as error:
            raise CommandError(str(error)) from error
        if job:
            self.stderr.write(f"{study} is being filled with its pairs; a worker goes on if this is interrupted.")
            finish_here(self, job)
        name = f"{project.slug}/{study.campaign.slug}/{study.mode}"
        self.stdout.write(f"{name} is a draft with {study.items.count()} pairs. Next: manage.py study {name} --open")


def add_session_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--goal", type=int, default=5, help="ratings wanted per pair (default: %(default)s)")
    add("--session-size", type=int, default=30, help="pairs per session (default: %(default)s)")
    add("--seconds-per-pair", type=int, default=12, help="as people are told (default: %(default)s)")
    add("--practice", type=int, default=0, help="pairs with feedback (default: %(default)s)")
    add("--warm-up", type=int, default=5, help="pairs not counted (default: %(default)s)")
    add("--checks", type=int, default=0, help="checks in a session (default: %(default)s)")
    add("--repeats", type=int, default=5, help="percent shown twice (default: %(default)s)")
    add("--repeat-distance", type=int, default=20, help="pairs before a repeat, at least (default: %(default)s)")
    add("--lease-seconds", type=int, default=600, help="how long a pair waits (default: %(default)s)")
    add("--side", choices=Study.SideRule.values, default="left", help="of the original (default: %(default)s)")
    add("--spacing", type=int, default=5, help="pairs between versions of an original (default: %(default)s)")
    add("--completion-code", default="", help="shown to whoever has finished")
    add("--completion-url", default="", help="a link on the last page; http or https")
    add("--limit", type=int, help="pairs per person in all; more than a session allows another (default: a session)")


def add_biased_options(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("rules that bias figures, see docs/researchers.md").add_argument
    add("--adaptive-stop", action="store_true", help="stop each pair when its interval is narrow enough")
    add("--min-ratings", type=int, default=5, help="never stop with fewer (default: %(default)s)")
    add("--max-ratings", type=int, default=15, help="always stop with so many (default: %(default)s)")
    add("--half-width", type=float, default=0.75, help="of the interval, in score points (default: %(default)s)")
    add("--model-order", action="store_true", help="give out first what the model in use finds rare")
    add("--core", type=int, default=20, help="percent of the originals that neither touches (default: %(default)s)")


def checked_form(project: Project, options: dict[str, Any]) -> StudyForm:
    """The page's form, filled in by options. Raises CommandError with all that is wrong."""
    for source, scope, method in options["only"]:
        if not pairs.pairs_of_kinds(project, [(source, scope, method)]).exists():
            raise CommandError(f"{project} has no pairs of source {source!r}, scope {scope!r} and method {method!r}.")
    campaign = setup.campaign_named(project, options["campaign"])
    data = {name: options[option.removeprefix("--").replace("-", "_")] for name, option in OPTIONS.items()}
    data |= {"name": options["name"], "mode": options["mode"], "reserves_session": True}
    data |= {"confirms_on_press": options["confirm_on_press"]}
    data |= {"asks_who": options["ask_who"], "asks_cues": options["ask_cues"]}
    data |= {f"allows_{mode}": not options[f"no_{mode}"] for mode in ("swipe", "flicker")}
    data |= {"campaign": str(campaign.pk) if campaign else NEW_CAMPAIGN, "new_campaign": options["campaign"]}
    data["methods"] = [json.dumps(kind) for kind in options["only"]]
    form = StudyForm(project, data)
    if not form.is_valid():
        said = OPTIONS | NAMES
        wrong = [f"{said.get(name, name)}: {' '.join(map(str, each))}" for name, each in form.errors.items()]
        raise CommandError("\n".join(wrong))
    return form
