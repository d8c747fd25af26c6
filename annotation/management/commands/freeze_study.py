from argparse import ArgumentParser
from typing import Any

from annotation.freeze import doubts, request_freeze
from annotation.management.naming import named_study
from datasets.management.following import finish_here
from datasets.telling import TellingCommand


class Command(TellingCommand):
    help = "Freeze what people have said in a study so far into a new release."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", help="PROJECT/CAMPAIGN/MODE")
        parser.add_argument(
            "--file-names",
            action="store_true",
            help="put the files' names as imported into labels.csv; they can give away a person or a method",
        )

    def handle(self, *args: Any, study: str, file_names: bool, **options: Any) -> None:
        found = named_study(study)
        for doubt in doubts(found, names_files=file_names):
            self.stderr.write(f"Note: {doubt}")
        result = finish_here(self, request_freeze(found, names_files=file_names))
        name = f"{found.project.slug}/{result['slug']}/{result['version']}"
        self.stdout.write(f"{name}: {result['n_labels']} labels. Next: manage.py export_release {name}")
