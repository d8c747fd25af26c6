import csv
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from annotation.management.naming import named_study
from annotation.marks import CannotMark, mark_item
from annotation.models.studies import Study
from annotation.quality_forms import MarkForm
from datasets.forms import errors_in_words

COLUMNS = ("pair", "role", "expected", "tolerance", "direction", "instructed_score")


class Command(BaseCommand):
    help = f"Mark pairs of a study as checks or practice, from a CSV file with the columns {', '.join(COLUMNS)}."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", help="PROJECT/CAMPAIGN/MODE")
        parser.add_argument("file", type=Path, help="`pair` is the number on the study's pages")

    def handle(self, *args: Any, study: str, file: Path, **options: Any) -> None:
        found = named_study(study)
        try:
            with file.open(newline="", encoding="utf-8-sig") as opened, transaction.atomic():
                n = self.mark(found, csv.DictReader(opened))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise CommandError(f"{file} cannot be read as CSV: {error}") from error
        self.stdout.write(f"{n} pairs marked.")

    def mark(self, study: Study, rows: "csv.DictReader[str]") -> int:
        if missing := {"pair", "role"} - set(rows.fieldnames or ()):
            raise CommandError(f"The file has no column {' and no column '.join(sorted(missing))}.")
        n = 0
        for n, row in enumerate(rows, start=1):
            try:
                self.mark_one(study, row)
            except CannotMark as error:
                raise CommandError(f"Row {n}: {error} Nothing was marked.") from error
        return n

    def mark_one(self, study: Study, row: dict[str, str]) -> None:
        number = (row["pair"] or "").strip()
        is_number = number.isascii() and number.isdigit() and len(number) < 19
        item = study.items.filter(pair=int(number)).first() if is_number else None
        if item is None:
            raise CannotMark(f"the study has no pair {number!r}.")
        form = MarkForm(row)
        if not form.is_valid():
            raise CannotMark(errors_in_words(form))
        mark_item(study, item, form.cleaned_data["mark"])
