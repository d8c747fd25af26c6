from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from datasets.telling import TellingCommand
from scoring.management.naming import named_run


class Command(TellingCommand):
    help = "Put a run's model in service: one is in use for each mode of a project."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", help="the run's id, or its beginning")

    def handle(self, *args: Any, run: str, **options: Any) -> None:
        found = named_run(run)
        if not hasattr(found, "checkpoint"):
            raise CommandError(f"{found} has no model; it is {found.job.get_state_display()}.")
        found.checkpoint.use()
        self.stdout.write(f"In use for {found.checkpoint.mode} in {found.project}: {found.checkpoint.sha256}")
