import csv
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from annotation.management.naming import named_study
from annotation.watching.role_files import ROLE_COLUMNS, give_roles_from_file
from datasets.tables import encoding_of
from datasets.telling import TellingCommand


class Command(TellingCommand):
    help = (
        "Make pairs of a study checks or practice, by a CSV file as the study's page of pairs gives it. Its "
        f"columns: {', '.join(ROLE_COLUMNS)}; and to name the pair: pair, or original and anonymized, with source, "
        "scope and method where these do not suffice."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", help="PROJECT/CAMPAIGN/MODE")
        parser.add_argument("file", type=Path, help="`pair` is the number on the study's pages")

    def handle(self, *args: Any, study: str, file: Path, **options: Any) -> None:
        found = named_study(study)
        try:
            with file.open("rb") as raw:
                encoding = encoding_of(raw, at_most=file.stat().st_size)
            with file.open(newline="", encoding=encoding) as opened:
                n = give_roles_from_file(found, opened)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise CommandError(f"{file} cannot be read as CSV: {error}") from error
        self.stdout.write(f"Pairs that have the roles of the file: {n}.")
