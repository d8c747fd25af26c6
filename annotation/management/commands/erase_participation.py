from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from annotation.management.naming import named_study
from annotation.privacy import erase_participation
from datasets.telling import TellingCommand


class Command(TellingCommand):
    help = "Erase one person's participation in a study, with all its ratings, for good."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", help="PROJECT/CAMPAIGN/MODE")
        parser.add_argument("annotator", help="the pseudonym shown on the study's page")

    def handle(self, *args: Any, study: str, annotator: str, **options: Any) -> None:
        found = named_study(study).participations.filter(annotator__pseudonym=annotator).first()
        if found is None:
            raise CommandError(f"Nobody called {annotator!r} takes part in {study}; the study's page lists everybody.")
        erase_participation(found)
        self.stdout.write(f"{annotator} is erased from {study}.")
