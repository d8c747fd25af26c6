from argparse import ArgumentParser
from typing import Any

from annotation.studies.displays import renew_displays
from datasets.management.following import named_project
from datasets.telling import TellingCommand


class Command(TellingCommand):
    help = "Make anew what earlier versions stored to be shown. Opened studies and releases keep what people saw."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", help="the project's slug")

    def handle(self, *args: Any, project: str, **options: Any) -> None:
        done = renew_displays(named_project(project))
        self.stdout.write(
            f"{done.n_renewed} made anew; {done.n_beside} made anew for studies that open from now on, as people or "
            f"releases have the old ones; {done.n_unfit} kept, as their originals are missing or would be refused "
            "today."
        )
