from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotation.freeze import NothingToFreeze, request_freeze
from annotation.management.naming import named_study
from datasets.management.following import finish_here


class Command(BaseCommand):
    help = "Freeze what people have said in a study so far into a new release."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", help="PROJECT/CAMPAIGN/MODE")

    def handle(self, *args: Any, study: str, **options: Any) -> None:
        found = named_study(study)
        try:
            job = request_freeze(found)
        except NothingToFreeze as error:
            raise CommandError(str(error)) from error
        result = finish_here(self, job)
        name = f"{found.project.slug}/{result['slug']}/{result['version']}"
        self.stdout.write(f"{name}: {result['n_labels']} labels. Next: manage.py export_release {name}")
