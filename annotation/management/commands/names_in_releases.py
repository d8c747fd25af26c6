from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from annotation.management.naming import named_study
from annotation.models.people import NameInRelease
from datasets.audit import record
from datasets.models.audit import What
from datasets.telling import TellingCommand


class Command(TellingCommand):
    help = "What one person of a study is called in its releases, for whoever asks which rows there are theirs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", help="PROJECT/CAMPAIGN/MODE")
        parser.add_argument("annotator", help="the pseudonym shown on the study's page")

    def handle(self, *args: Any, study: str, annotator: str, **options: Any) -> None:
        found = named_study(study)
        if not found.participations.filter(annotator__pseudonym=annotator).exists():
            raise CommandError(f"Nobody called {annotator!r} takes part in {study}; the study's page lists everybody.")
        record(What.NAMES_SEEN, by=None, on=found, project=found.project)
        theirs = NameInRelease.objects.filter(release__in=found.releases(), annotator__pseudonym=annotator)
        for each in theirs.select_related("release").order_by("release__slug", "release__version"):
            self.stdout.write(f"{each.release.slug}/{each.release.version}  {each.name}")
        if not theirs.exists():
            self.stdout.write(f"{annotator} is in no release of {study}.")
