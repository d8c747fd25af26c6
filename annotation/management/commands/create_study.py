from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.db.models import Q, QuerySet

from annotation import studies
from annotation.management.wording_file import wording
from annotation.models.studies import web_address
from annotation.planner import CannotPlan, SessionPlan
from datasets.management.following import named_project
from datasets.models.pictures import Pair
from datasets.models.projects import Project
from datasets.models.releases import Mode


class Command(BaseCommand):
    help = "Set up a draft study over the pairs of a project, or over some kinds of them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--project", required=True)
        parser.add_argument("--campaign", required=True, help="name; made if it is new")
        parser.add_argument("--mode", required=True, choices=Mode.values)
        parser.add_argument("--goal", type=int, default=5, help="ratings wanted per pair (default: %(default)s)")
        parser.add_argument("--session-size", type=int, default=30, help="pairs per person (default: %(default)s)")
        parser.add_argument(
            "--seconds-per-pair", type=int, default=12, help="as people are told (default: %(default)s)"
        )
        parser.add_argument("--practice", type=int, default=0, help="pairs with feedback (default: %(default)s)")
        parser.add_argument("--warm-up", type=int, default=5, help="pairs not counted (default: %(default)s)")
        parser.add_argument("--checks", type=int, default=0, help="checks in a session (default: %(default)s)")
        parser.add_argument("--repeats", type=int, default=5, help="percent shown twice (default: %(default)s)")
        parser.add_argument(
            "--lease-seconds", type=int, default=600, help="how long a pair waits (default: %(default)s)"
        )
        parser.add_argument("--no-swipe", action="store_true", help="do not offer to compare by swipe (HA2)")
        parser.add_argument("--no-flicker", action="store_true", help="do not offer to compare by flicker (HA2)")
        parser.add_argument("--completion-code", default="", help="shown to whoever has finished")
        parser.add_argument("--completion-url", default="", help="a link on the last page; http or https")
        parser.add_argument(
            "--only",
            nargs=3,
            action="append",
            default=[],
            metavar=("SOURCE", "SCOPE", "METHOD"),
            help="only pairs of this kind; may be repeated",
        )
        parser.add_argument("--wording", type=Path, help="JSON file: kind of text to its words")

    def handle(self, *args: Any, **options: Any) -> None:
        project = named_project(options["project"])
        if not 1 <= options["goal"] <= 1000 or not 1 <= options["session_size"] <= 10_000:
            raise CommandError("--goal must be at least 1 and at most 1000, --session-size at most 10000.")
        if not 1 <= options["seconds_per_pair"] <= 600 or not 60 <= options["lease_seconds"] <= 86_400:
            raise CommandError("--seconds-per-pair must be from 1 to 600, --lease-seconds from 60 to 86400.")
        check_completion(options["completion_code"], options["completion_url"])
        plan = session_plan(options)
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
                    pairs=chosen_pairs(project, options["only"]),
                    wording=wording(options["wording"], options["mode"]),
                    goal=options["goal"],
                    session_size=options["session_size"],
                    seconds_per_pair=options["seconds_per_pair"],
                    lease_seconds=options["lease_seconds"],
                    n_practice=plan.n_practice,
                    n_warm_up=plan.n_warm_up,
                    n_checks=plan.n_checks,
                    repeat_percent=plan.repeat_percent,
                    allows_swipe=not options["no_swipe"],
                    allows_flicker=not options["no_flicker"],
                    completion_code=options["completion_code"],
                    completion_url=options["completion_url"],
                )
            except (studies.NotPossible, studies.PairsDoNotFit) as error:
                raise CommandError(str(error)) from error
        name = f"{project.slug}/{campaign.slug}/{study.mode}"
        self.stdout.write(f"{name} is a draft with {study.items.count()} pairs. Next: manage.py study {name} --open")


def session_plan(options: dict[str, Any]) -> SessionPlan:
    beside = [options[name] for name in ("practice", "warm_up", "checks", "repeats")]
    if min(beside) < 0 or options["repeats"] > 50:
        raise CommandError("--practice, --warm-up and --checks cannot be negative; --repeats is from 0 to 50.")
    plan = SessionPlan(options["session_size"], *beside)
    try:
        plan.check()
    except CannotPlan as error:
        raise CommandError(str(error)) from error
    return plan


def chosen_pairs(project: Project, kinds: list[list[str]]) -> QuerySet[Pair]:
    """The project's pairs of these kinds (source, scope, method), or all of them."""
    chosen = Q()
    for source, scope, method in kinds:
        kind = Q(source__name=source, scope=scope, method=method)
        if not project.pairs.filter(kind).exists():
            raise CommandError(f"{project} has no pairs of source {source!r}, scope {scope!r} and method {method!r}.")
        chosen |= kind
    return project.pairs.filter(chosen)


def check_completion(code: str, url: str) -> None:
    if len(code) > 60 or len(url) > 500:
        raise CommandError("--completion-code may have 60 characters, --completion-url 500.")
    if url:
        try:
            web_address(url)
        except ValidationError as error:
            raise CommandError("--completion-url must begin with https:// or http://.") from error


def check_name(what: str, name: str, *, most: int) -> None:
    if not 0 < len(name.strip()) <= most:
        raise CommandError(f"{what} must have at least 1 and at most {most} characters.")
