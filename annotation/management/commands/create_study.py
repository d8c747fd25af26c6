import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from annotation import studies
from annotation.forms import longest
from annotation.wording import standard_wording
from datasets.management.following import named_project
from datasets.models.releases import Mode


class Command(BaseCommand):
    help = "Set up a draft study over all pairs of a project."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--project", required=True)
        parser.add_argument("--campaign", required=True, help="name; made if it is new")
        parser.add_argument("--mode", required=True, choices=Mode.values)
        parser.add_argument("--goal", type=int, default=5, help="ratings wanted per pair (default: %(default)s)")
        parser.add_argument("--session-size", type=int, default=30, help="pairs per person (default: %(default)s)")
        parser.add_argument("--wording", type=Path, help="JSON file: kind of text to its words")

    def handle(self, *args: Any, **options: Any) -> None:
        project = named_project(options["project"])
        if not 1 <= options["goal"] <= 1000 or not 1 <= options["session_size"] <= 10_000:
            raise CommandError("--goal must be at least 1 and at most 1000, --session-size at most 10000.")
        check_name("The study's name", options["name"], most=120)
        check_name("The campaign's name", options["campaign"], most=60)
        with transaction.atomic():
            campaign = studies.campaign_named(project, options["campaign"]) or studies.begin_campaign(
                project, options["campaign"]
            )
            try:
                study = studies.create_study(
                    project,
                    campaign=campaign,
                    mode=options["mode"],
                    name=options["name"],
                    pairs=project.pairs.all(),
                    wording=wording(options["wording"], options["mode"]),
                    goal=options["goal"],
                    session_size=options["session_size"],
                )
            except (studies.NotPossible, studies.PairsDoNotFit) as error:
                raise CommandError(str(error)) from error
        name = f"{project.slug}/{campaign.slug}/{study.mode}"
        self.stdout.write(f"{name} is a draft with {study.items.count()} pairs. Next: manage.py study {name} --open")


def check_name(what: str, name: str, *, most: int) -> None:
    if not 0 < len(name.strip()) <= most:
        raise CommandError(f"{what} must have at least 1 and at most {most} characters.")


def wording(path: Path | None, mode: str) -> dict[str, str]:
    """The texts of a JSON file, every kind one that this mode has."""
    if path is None:
        return {}
    try:
        texts = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} cannot be read as JSON: {error}") from error
    kinds = standard_wording(mode)
    if (
        not isinstance(texts, dict)
        or not set(texts) <= set(kinds)
        or not all(isinstance(t, str) for t in texts.values())
    ):
        raise CommandError(f"{path} must be a JSON object of texts; its keys may be {', '.join(kinds)}.")
    for kind, text in texts.items():
        if not 0 < len(text.strip()) <= longest(kind):
            raise CommandError(f"{path}: {kind!r} must have at least 1 and at most {longest(kind)} characters.")
    return texts
